/* Lines of source by DWARF (dwarf.h). */
#include "config.h"

#ifdef CONFIG_LIBDW

#include <stdlib.h>
#include <string.h>

#include "debugger/symbols/dwarf_internal.h"

/* ---- an address's line ---- */

static const char *unit_folder(Dwarf_Die *unit)
{
    Dwarf_Attribute attribute;
    return dwarf_formstring(dwarf_attr(unit, DW_AT_comp_dir, &attribute));
}

static bool find_line(DwarfFile *f, uint64_t address, const char **file, const char **folder, unsigned *line)
{
    Dwarf_Die unit;
    uint64_t linked = dwarf_to_linked(f, address);
    int number = 0;
    Dwarf_Line *l = dwarf_unit_at(f, linked, &unit) ? dwarf_getsrc_die(&unit, linked) : NULL;
    if (!l || dwarf_lineno(l, &number) || !(*file = dwarf_linesrc(l, NULL, NULL)))
        return false;
    *folder = unit_folder(&unit);
    *line = number;
    return number > 0;
}

bool dwarf_line_place(DwarfFile *f, uint64_t address, const char **file, const char **folder, unsigned *line)
{
    if (!dwarf_enter(f))
        return false;
    bool found = find_line(f, address, file, folder, line);
    dwarf_leave(f);
    return found;
}

bool dwarf_line(DwarfFile *f, uint64_t address, const char **file, unsigned *line)
{
    const char *folder;
    return dwarf_line_place(f, address, file, &folder, line);
}

/* ---- a line's addresses ---- */

bool dwarf_path_ends(const char *path, const char *end)
{
    size_t n = path ? strlen(path) : 0, m = strlen(end);
    if (g_str_has_prefix(end, "./"))
        return dwarf_path_ends(path, end + 2);
    return m && n >= m && !strcmp(path + n - m, end) && (n == m || path[n - m - 1] == '/' || *end == '/');
}

/* What is being looked for. */
typedef struct Search {
    DwarfFile *file;
    const char *name;
    unsigned line, best;    /* asked for; the nearest from there on so far, or 0 */
    GArray *addresses;
} Search;

static void take_line(Search *s, unsigned line, uint64_t linked)
{
    if (line < s->line || (s->best && line > s->best))
        return;
    if (line != s->best)
        g_array_set_size(s->addresses, 0);
    s->best = line;
    uint64_t live = dwarf_to_live(s->file, linked);
    g_array_append_val(s->addresses, live);
}

/* A statement's first row; those that go on with the same line are parts of it. */
static void search_unit(Search *s, Dwarf_Die *unit)
{
    Dwarf_Lines *lines;
    size_t count;
    const char *source = NULL;
    int before = 0;
    bool matches = false;
    if (dwarf_getsrclines(unit, &lines, &count))
        return;
    for (size_t k = 0; k < count; k++) {
        Dwarf_Line *l = dwarf_onesrcline(lines, k);
        const char *name = dwarf_linesrc(l, NULL, NULL);
        bool statement = false, end = false;
        Dwarf_Addr address;
        int line;
        if (name != source)
            matches = dwarf_path_ends(name, s->name);
        if (dwarf_lineno(l, &line) || dwarf_lineaddr(l, &address) || dwarf_linebeginstatement(l, &statement) ||
            dwarf_lineendsequence(l, &end))
            continue;
        if (matches && statement && !end && line > 0 && (name != source || line != before))
            take_line(s, line, address);
        source = name;
        before = line;
    }
}

static void search_units(Search *s, bool (*wanted)(const Search *s, const DwarfUnit *unit))
{
    const GArray *units = dwarf_units(s->file);
    for (guint k = 0; k < units->len; k++) {
        const DwarfUnit *u = &g_array_index(units, DwarfUnit, k);
        Dwarf_Die die;
        if (wanted(s, u) && dwarf_offdie(s->file->dwarf, u->die, &die))
            search_unit(s, &die);
    }
}

/* "mm/mmap.c" is not "arch/x86/mm/mmap.c" where there are both. */
static bool is_exactly(const Search *s, const DwarfUnit *unit) { return !g_strcmp0(unit->name, s->name); }
static bool is_named(const Search *s, const DwarfUnit *unit) { return dwarf_path_ends(unit->name, s->name); }

static bool mentions(const Search *s, const DwarfUnit *unit)
{
    return dwarf_unit_mentions(s->file, unit, s->name);
}

static gint compare_addresses(gconstpointer a, gconstpointer b)
{
    uint64_t p = *(const uint64_t *)a, q = *(const uint64_t *)b;
    return p < q ? -1 : p > q;
}

/* Where a function begins at that line, the stop is to be where its parameters can be looked at. */
static void skip_prologues(DwarfFile *f, GArray *addresses)
{
    for (guint k = 0; k < addresses->len; k++) {
        uint64_t *a = &g_array_index(addresses, uint64_t, k);
        dwarf_behind_prologue(f, *a, a);
    }
}

void dwarf_line_addresses(DwarfFile *f, const char *file, unsigned line, GArray *addresses)
{
    g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    Search s = { .file = f, .name = file, .line = line, .addresses = found };
    if (!dwarf_enter(f))
        return;
    search_units(&s, is_exactly);
    if (!found->len)
        search_units(&s, is_named);
    if (!found->len)
        search_units(&s, mentions);
    g_array_sort(found, compare_addresses);
    skip_prologues(f, found);
    g_array_append_vals(addresses, found->data, found->len);
    dwarf_leave(f);
}

/* ---- files ---- */

static bool find_source(DwarfFile *f, const char *file, const char **name, const char **folder)
{
    const GArray *units = dwarf_units(f);
    const DwarfUnit *found = NULL;
    for (guint k = 0; k < units->len; k++) {
        const DwarfUnit *u = &g_array_index(units, DwarfUnit, k);
        if (!g_strcmp0(u->name, file) || (!found && dwarf_path_ends(u->name, file)))
            found = u;
    }
    if (found) {
        *name = found->name;
        *folder = found->folder;
    }
    return found;
}

bool dwarf_find_source(DwarfFile *f, const char *file, const char **name, const char **folder)
{
    if (!dwarf_enter(f))
        return false;
    bool found = find_source(f, file, name, folder);
    dwarf_leave(f);
    return found;
}

/* ---- prologues ---- */

static bool behind_prologue(DwarfFile *f, uint64_t address, uint64_t *behind)
{
    Dwarf_Die function;
    Dwarf_Addr entry, *all;
    uint64_t linked = dwarf_to_linked(f, address);
    if (!dwarf_function_at(f, linked, &function) || dwarf_entrypc(&function, &entry) || entry != linked)
        return false;
    int count = dwarf_entry_breakpoints(&function, &all);
    if (count <= 0)
        return false;
    *behind = dwarf_to_live(f, all[0]);
    free(all);
    return true;
}

bool dwarf_behind_prologue(DwarfFile *f, uint64_t address, uint64_t *behind)
{
    if (!dwarf_enter(f))
        return false;
    bool found = behind_prologue(f, address, behind);
    dwarf_leave(f);
    return found;
}

#endif
