/* Variables by DWARF: which are visible at an address, and where they are in a frame (dwarf.h). */
#include "config.h"

#ifdef CONFIG_LIBDW

#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "debugger/symbols/dwarf_location.h"
#include "util/endian.h"

struct DwarfVariable {
    DwarfFile *file;
    Dwarf_Off die;
    const Type *type;
};

/* ---- visible ones ---- */

static bool is_variable(Dwarf_Die *die)
{
    return dwarf_tag(die) == DW_TAG_variable || dwarf_tag(die) == DW_TAG_formal_parameter;
}

static bool has_place(Dwarf_Die *die)
{
    return dwarf_hasattr_integrate(die, DW_AT_location) || dwarf_hasattr_integrate(die, DW_AT_const_value);
}

/* In one scope; of the unit's only what is defined there, as what is declared a symbol finds. */
static bool find_in_scope(Dwarf_Die *scope, const char *name, Dwarf_Die *out)
{
    bool whole_unit = dwarf_tag(scope) == DW_TAG_compile_unit;
    if (dwarf_child(scope, out))
        return false;
    do {
        const char *is = is_variable(out) ? dwarf_die_name(out) : NULL;
        if (is && !strcmp(is, name) && (!whole_unit || has_place(out)))
            return true;
    } while (!dwarf_siblingof(out, out));
    return false;
}

static bool find_variable(DwarfFile *f, const char *name, uint64_t linked, Dwarf_Die *out)
{
    Dwarf_Die *scopes;
    int count = dwarf_scopes_at(f, linked, &scopes);
    bool found = false;
    for (int k = 0; k < count && !found; k++)
        found = find_in_scope(&scopes[k], name, out);
    free(scopes);
    return found;
}

DwarfVariable *dwarf_local(DwarfFile *f, const char *name, uint64_t address)
{
    DwarfVariable *v = NULL;
    Dwarf_Die die;
    if (!dwarf_enter(f))
        return NULL;
    if (find_variable(f, name, dwarf_to_linked(f, address), &die)) {
        const Type *t = dwarf_type_of(f, &die);
        v = g_new0(DwarfVariable, 1);
        *v = (DwarfVariable){ .file = dwarf_file_ref(f), .die = dwarf_dieoffset(&die), .type = t ? t : &type_void };
    }
    dwarf_leave(f);
    return v;
}

void dwarf_variable_free(DwarfVariable *v)
{
    if (v)
        dwarf_file_unref(v->file);
    g_free(v);
}

const Type *dwarf_variable_type(const DwarfVariable *v) { return v->type; }

static void add_names(Dwarf_Die *scope, bool parameters, GPtrArray *names)
{
    Dwarf_Die die;
    unsigned wanted = parameters ? DW_TAG_formal_parameter : DW_TAG_variable;
    for (int more = dwarf_child(scope, &die); !more; more = dwarf_siblingof(&die, &die)) {
        const char *name = (unsigned)dwarf_tag(&die) == wanted ? dwarf_die_name(&die) : NULL;
        if (name && !g_ptr_array_find_with_equal_func(names, name, g_str_equal, NULL))
            g_ptr_array_add(names, (gpointer)name);
    }
}

/* Up to the function that was called: of inlined ones within only locals, as their parameters are no frame's. */
GPtrArray *dwarf_names(DwarfFile *f, uint64_t address, bool parameters)
{
    GPtrArray *names = g_ptr_array_new();
    Dwarf_Die *scopes;
    if (!dwarf_enter(f))
        return names;
    int count = dwarf_scopes_at(f, dwarf_to_linked(f, address), &scopes);
    for (int k = 0; k < count && dwarf_tag(&scopes[k]) != DW_TAG_compile_unit; k++) {
        bool inlined = dwarf_tag(&scopes[k]) == DW_TAG_inlined_subroutine;
        if (!parameters || dwarf_tag(&scopes[k]) == DW_TAG_subprogram || (inlined && !k))
            add_names(&scopes[k], parameters, names);
        if (dwarf_tag(&scopes[k]) == DW_TAG_subprogram || (inlined && parameters))
            break;
    }
    free(scopes);
    dwarf_leave(f);
    return names;
}

/* ---- the frame ---- */

static bool cfa_by(Dwarf_CFI *cfi, DwarfContext *c, uint64_t pc, uint64_t *cfa)
{
    Dwarf_Frame *frame = NULL;
    Dwarf_Op *ops;
    size_t count;
    DwarfPlace place;
    if (!cfi || dwarf_cfi_addrframe(cfi, pc, &frame))
        return false;
    bool found = !dwarf_frame_cfa(frame, &ops, &count) && dwarf_locate(c, NULL, ops, count, &place) &&
                 place.kind == DWARF_PLACE_MEMORY;
    free(frame);
    if (found)
        *cfa = place.value;
    return found;
}

bool dwarf_frame_address(DwarfFile *f, Cpu *cpu, const Frame *frame, uint64_t *cfa)
{
    DwarfContext c = { .file = f, .cpu = cpu, .frame = frame, .of_cfa = true };
    if (!dwarf_enter(f))
        return false;
    uint64_t pc = dwarf_to_linked(f, frame_lookup_pc(frame));
    bool found = cfa_by(dwarf_getcfi(f->dwarf), &c, pc, cfa) ||
                 (!f->dwfl && cfa_by(dwarf_getcfi_elf(f->elf), &c, pc, cfa));
    dwarf_leave(f);
    return found;
}

/* ---- where they are ---- */

static gboolean constant_place(Dwarf_Die *die, DwarfPlace *out, GError **err)
{
    Dwarf_Attribute attribute;
    Dwarf_Block block;
    Dwarf_Sword s;
    memset(out, 0, sizeof *out);
    out->kind = DWARF_PLACE_BYTES;
    if (!dwarf_attr_integrate(die, DW_AT_const_value, &attribute))
        return error_set(err, "<optimized out>");
    if (!dwarf_formblock(&attribute, &block))
        memcpy(out->bytes, block.data, MIN(block.length, sizeof out->bytes));
    else if (!dwarf_formsdata(&attribute, &s))
        st64le(out->bytes, s);
    else
        return error_set(err, "<optimized out>");
    return TRUE;
}

static gboolean locate(const DwarfVariable *v, DwarfContext *c, DwarfPlace *out)
{
    Dwarf_Attribute attribute;
    Dwarf_Op *ops;
    size_t count;
    Dwarf_Die die;
    uint64_t pc = dwarf_to_linked(v->file, frame_lookup_pc(c->frame));
    if (!dwarf_offdie(v->file->dwarf, v->die, &die))
        return error_set(c->err, "<optimized out>");
    if (!dwarf_attr_integrate(&die, DW_AT_location, &attribute))
        return constant_place(&die, out, c->err);
    if (dwarf_getlocation_addr(&attribute, pc, &ops, &count, 1) != 1)
        return error_set(c->err, "<optimized out>");
    c->has_function = dwarf_function_at(v->file, pc, &c->function);
    return dwarf_locate(c, &attribute, ops, count, out);
}

gboolean dwarf_variable_place(const DwarfVariable *v, Cpu *cpu, const Frame *frame, DwarfPlace *out, GError **err)
{
    DwarfContext c = { .file = v->file, .cpu = cpu, .frame = frame, .err = err };
    if (!dwarf_enter(v->file))
        return error_set(err, "its file has changed: load it again");
    gboolean ok = locate(v, &c, out);
    dwarf_leave(v->file);
    return ok;
}

#endif
