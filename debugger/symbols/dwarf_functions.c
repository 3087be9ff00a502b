/* Functions by DWARF (dwarf.h). */
#include "config.h"

#ifdef CONFIG_LIBDW

#include <stdlib.h>

#include "debugger/symbols/dwarf_internal.h"

static void describe(DwarfFile *f, Dwarf_Die *die, DwarfFunction *out)
{
    Dwarf_Addr first = 0, end = 0;
    Dwarf_Die unit;
    int line = 0;
    Dwarf_Attribute attribute;
    dwarf_decl_line(die, &line);
    dwarf_entrypc(die, &first);
    dwarf_highpc(die, &end);
    *out = (DwarfFunction){ .name = dwarf_die_name(die), .file = dwarf_decl_file(die), .line = MAX(line, 0) };
    if (dwarf_diecu(die, &unit, NULL, NULL))
        out->folder = dwarf_formstring(dwarf_attr(&unit, DW_AT_comp_dir, &attribute));
    out->first = dwarf_to_live(f, first);
    out->end = end ? dwarf_to_live(f, end - 1) + 1 : out->first;
}

bool dwarf_function(DwarfFile *f, uint64_t address, DwarfFunction *out)
{
    Dwarf_Die die;
    if (!dwarf_enter(f))
        return false;
    bool found = dwarf_function_at(f, dwarf_to_linked(f, address), &die);
    if (found)
        describe(f, &die, out);
    dwarf_leave(f);
    return found && out->name;
}

static bool has_code(Dwarf_Die *die, void *opaque)
{
    Dwarf_Addr entry;
    (void)opaque;
    return dwarf_tag(die) == DW_TAG_subprogram && !dwarf_entrypc(die, &entry);
}

bool dwarf_function_named(DwarfFile *f, const char *name, DwarfFunction *out)
{
    Dwarf_Die die;
    if (!dwarf_enter(f))
        return false;
    bool found = dwarf_find(f, "function", name, 0, has_code, NULL, &die);
    if (found)
        describe(f, &die, out);
    dwarf_leave(f);
    return found;
}

/* ---- inlined ones ---- */

static void add_inlined(Dwarf_Die *die, Dwarf_Files *files, GArray *all)
{
    Dwarf_Attribute attribute;
    Dwarf_Word file = 0, line = 0;
    DwarfInlined i = { .name = dwarf_die_name(die) };
    dwarf_formudata(dwarf_attr(die, DW_AT_call_file, &attribute), &file);
    dwarf_formudata(dwarf_attr(die, DW_AT_call_line, &attribute), &line);
    i.call_file = files ? dwarf_filesrc(files, file, NULL, NULL) : NULL;
    i.call_line = line;
    if (i.name)
        g_array_append_val(all, i);
}

GArray *dwarf_inlined(DwarfFile *f, uint64_t address)
{
    GArray *all = g_array_new(FALSE, FALSE, sizeof(DwarfInlined));
    Dwarf_Die *scopes, unit;
    Dwarf_Files *files = NULL;
    size_t ignored;
    if (!dwarf_enter(f))
        return all;
    int count = dwarf_scopes_at(f, dwarf_to_linked(f, address), &scopes);
    if (count && dwarf_diecu(&scopes[0], &unit, NULL, NULL))
        dwarf_getsrcfiles(&unit, &files, &ignored);
    for (int k = 0; k < count; k++)
        if (dwarf_tag(&scopes[k]) == DW_TAG_inlined_subroutine)
            add_inlined(&scopes[k], files, all);
    free(scopes);
    dwarf_leave(f);
    return all;
}

#endif
