/* DIEs by name and by address (dwarf_internal.h). */
#include "config.h"

#ifdef CONFIG_LIBDW

#include <stdlib.h>
#include <string.h>

#include "debugger/symbols/dwarf_internal.h"
#include "util/endian.h"

enum { SHORT_NAME = 3 }; /* what occurs everywhere in binary data: only looked for where the program is */

const char *dwarf_die_name(Dwarf_Die *die)
{
    Dwarf_Attribute attribute;
    return dwarf_formstring(dwarf_attr_integrate(die, DW_AT_name, &attribute));
}

/* ---- which units have a name at all ---- */

/*
 * Names are offsets of strings (DW_FORM_strp), which linkers merge, also into the ends of longer ones; short ones are
 * inline (DW_FORM_string).  So a unit that has the bytes of neither does not have the name, and need not be parsed.
 */
typedef struct Filter {
    const uint8_t *data;     /* .debug_info; NULL: every unit may have it */
    size_t size;
    const char *name;
    size_t length;           /* with the 0 */
    GHashTable *offsets;     /* where in .debug_str it is */
    uint8_t low[1 << 13];    /* bit n: an offset has these low 16 bits */
} Filter;

static void filter_take_strings(Filter *filter, const uint8_t *strings, size_t size)
{
    const uint8_t *end = strings + size, *p = strings;
    while ((p = memmem(p, end - p, filter->name, filter->length))) {
        uint32_t offset = p - strings;
        g_hash_table_add(filter->offsets, GUINT_TO_POINTER(offset));
        filter->low[(offset & 0xffff) >> 3] |= 1 << (offset & 7);
        p++;
    }
}

static Filter *filter_new(DwarfFile *f, const char *name)
{
    const uint8_t *strings, *ignored;
    size_t size, other;
    Filter *filter = g_new0(Filter, 1);
    filter->name = name;
    filter->length = strlen(name) + 1;
    filter->offsets = g_hash_table_new(NULL, NULL);
    bool indexed = dwarf_section(f, ".debug_str_offsets", &ignored, &other);
    if (f->dwfl || indexed || !dwarf_section(f, ".debug_info", &filter->data, &filter->size) ||
        !dwarf_section(f, ".debug_str", &strings, &size))
        filter->data = NULL;
    else
        filter_take_strings(filter, strings, size);
    return filter;
}

static void filter_free(Filter *filter)
{
    g_hash_table_destroy(filter->offsets);
    g_free(filter);
}

static bool filter_passes(const Filter *filter, const DwarfUnit *unit)
{
    if (!filter->data)
        return true;
    if (unit->start >= filter->size)
        return false;
    const uint8_t *p = filter->data + unit->start, *end = filter->data + MIN(unit->end, filter->size);
    if (memmem(p, end - p, filter->name, filter->length))
        return true;
    for (; g_hash_table_size(filter->offsets) && p + 4 <= end; p++) {
        unsigned low = ld16le(p);
        if (filter->low[low >> 3] >> (low & 7) & 1 &&
            g_hash_table_contains(filter->offsets, GUINT_TO_POINTER(ld32le(p))))
            return true;
    }
    return false;
}

/* ---- by name ---- */

static bool is_it(Dwarf_Die *die, const char *name, DwarfAccept *accept, void *opaque)
{
    const char *is = dwarf_die_name(die);
    return is && !strcmp(is, name) && accept(die, opaque);
}

/* Constants of enumerations are one level down; what is found of them is the enumeration. */
static bool find_in_children(Dwarf_Die *parent, const char *name, bool constants, DwarfAccept *accept, void *opaque,
                             Dwarf_Die *out)
{
    if (dwarf_child(parent, out))
        return false;
    do {
        Dwarf_Die die = *out, constant;
        if (!constants && is_it(out, name, accept, opaque))
            return true;
        if (constants && dwarf_tag(&die) == DW_TAG_enumeration_type &&
            find_in_children(&die, name, false, accept, opaque, &constant))
            return true;
        *out = die;
    } while (!dwarf_siblingof(out, out));
    return false;
}

static bool find_in_unit(DwarfFile *f, const Filter *filter, const DwarfUnit *unit, bool constants, DwarfAccept *accept,
                         void *opaque, Dwarf_Die *out)
{
    Dwarf_Die die;
    return filter_passes(filter, unit) && dwarf_offdie(f->dwarf, unit->die, &die) &&
           find_in_children(&die, filter->name, constants, accept, opaque, out);
}

static bool find_anywhere(DwarfFile *f, const Filter *filter, const DwarfUnit *first, bool constants,
                          DwarfAccept *accept, void *opaque, Dwarf_Die *out)
{
    const GArray *units = dwarf_units(f);
    if (first && find_in_unit(f, filter, first, constants, accept, opaque, out))
        return true;
    for (guint k = 0; filter->length > SHORT_NAME && k < units->len; k++)
        if (find_in_unit(f, filter, &g_array_index(units, DwarfUnit, k), constants, accept, opaque, out))
            return true;
    return false;
}

/* What was found, or not, in a search from the same unit is found again. */
bool dwarf_find(DwarfFile *f, const char *kind, const char *name, uint64_t scope, DwarfAccept *accept, void *opaque,
                Dwarf_Die *out)
{
    Dwarf_Die unit;
    const DwarfUnit *first = NULL;
    if (dwarf_unit_at(f, dwarf_to_linked(f, scope), &unit))
        first = dwarf_unit_of(f, dwarf_dieoffset(&unit));
    char *key = g_strdup_printf("%s %s %" G_GUINT64_FORMAT, kind, name, first ? (uint64_t)first->die : 0);
    const Dwarf_Off *before = g_hash_table_lookup(f->found, key);
    if (before) {
        g_free(key);
        return *before && dwarf_offdie(f->dwarf, *before, out);
    }
    Filter *filter = filter_new(f, name);
    bool found = find_anywhere(f, filter, first, !strcmp(kind, "constant"), accept, opaque, out);
    Dwarf_Off offset = found ? dwarf_dieoffset(out) : 0;
    filter_free(filter);
    g_hash_table_insert(f->found, key, g_memdup2(&offset, sizeof offset));
    return found;
}

/* ---- by address ---- */

bool dwarf_function_at(DwarfFile *f, uint64_t linked, Dwarf_Die *function)
{
    Dwarf_Die unit;
    if (!dwarf_unit_at(f, linked, &unit) || dwarf_child(&unit, function))
        return false;
    do {
        if (dwarf_tag(function) == DW_TAG_subprogram && dwarf_haspc(function, linked) > 0)
            return true;
    } while (!dwarf_siblingof(function, function));
    return false;
}

/* dwarf_getscopes() goes from an inlined function on to where it was written; the callers are wanted. */
int dwarf_scopes_at(DwarfFile *f, uint64_t linked, Dwarf_Die **scopes)
{
    Dwarf_Die unit, *inner = NULL;
    *scopes = NULL;
    if (!dwarf_unit_at(f, linked, &unit) || dwarf_getscopes(&unit, linked, &inner) <= 0)
        return 0;
    int count = dwarf_getscopes_die(&inner[0], scopes);
    free(inner);
    return MAX(count, 0);
}

#endif
