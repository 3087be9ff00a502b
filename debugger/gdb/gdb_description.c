/* The registers' layout as XML, for qXfer:features:read (gdb manual appendix G). */
#include "debugger/gdb/gdb_internal.h"

#include <string.h>

typedef struct Flag {
    const char *name;
    uint8_t bit;
} Flag;

static const Flag eflags[] = {
    { "CF", 0 },  { "", 1 },    { "PF", 2 },  { "AF", 4 },   { "ZF", 6 },   { "SF", 7 },  { "TF", 8 },
    { "IF", 9 },  { "DF", 10 }, { "OF", 11 }, { "NT", 14 },  { "RF", 16 },  { "VM", 17 }, { "AC", 18 },
    { "VIF", 19 }, { "VIP", 20 }, { "ID", 21 }, { NULL, 0 },
};
static const Flag mxcsr[] = {
    { "IE", 0 }, { "DE", 1 }, { "ZE", 2 }, { "OE", 3 },  { "UE", 4 },  { "PE", 5 },  { "DAZ", 6 }, { "IM", 7 },
    { "DM", 8 }, { "ZM", 9 }, { "OM", 10 }, { "UM", 11 }, { "PM", 12 }, { "FZ", 15 }, { NULL, 0 },
};
static const Flag cr0[] = {
    { "PE", 0 },  { "MP", 1 },  { "EM", 2 },  { "TS", 3 },  { "ET", 4 },  { "NE", 5 },
    { "WP", 16 }, { "AM", 18 }, { "NW", 29 }, { "CD", 30 }, { "PG", 31 }, { NULL, 0 },
};
static const Flag cr4[] = {
    { "VME", 0 },   { "PVI", 1 },     { "TSD", 2 },      { "DE", 3 },       { "PSE", 4 },         { "PAE", 5 },
    { "MCE", 6 },   { "PGE", 7 },     { "PCE", 8 },      { "OSFXSR", 9 },   { "OSXMMEXCPT", 10 }, { "UMIP", 11 },
    { "LA57", 12 }, { "VMXE", 13 },   { "SMXE", 14 },    { "FSGSBASE", 16 }, { "PCIDE", 17 },     { "OSXSAVE", 18 },
    { "SMEP", 20 }, { "SMAP", 21 },   { "PKE", 22 },     { "CET", 23 },     { "PKS", 24 },        { NULL, 0 },
};
static const Flag efer[] = {
    { "SCE", 0 }, { "LME", 8 }, { "LMA", 10 }, { "NXE", 11 }, { "SVME", 12 }, { "LMSLE", 13 }, { "FFXSR", 14 },
    { NULL, 0 },
};

/* Types that gdb does not have by itself stand in the feature that uses them. */
static const struct {
    const char *name;
    unsigned size;
    const Flag *flags;
} flag_types[] = {
    { "i386_eflags", 4, eflags }, { "i386_mxcsr", 4, mxcsr }, { "myna_cr0", 4, cr0 }, { "myna_cr4", 4, cr4 },
    { "myna_efer", 4, efer },
};

static const char vec128_type[] =
    "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/><vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
    "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/><vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
    "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/><vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
    "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/><field name=\"v2_double\" type=\"v2d\"/>"
    "<field name=\"v16_int8\" type=\"v16i8\"/><field name=\"v8_int16\" type=\"v8i16\"/>"
    "<field name=\"v4_int32\" type=\"v4i32\"/><field name=\"v2_int64\" type=\"v2i64\"/>"
    "<field name=\"uint128\" type=\"uint128\"/></union>";
static const char v2ui128_type[] = "<vector id=\"v2ui128\" type=\"uint128\" count=\"2\"/>";

static void put_flags(GString *out, const char *name, unsigned size, const Flag *flags)
{
    g_string_append_printf(out, "<flags id=\"%s\" size=\"%u\">", name, size);
    for (; flags->name; flags++)
        g_string_append_printf(out, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>", flags->name, flags->bit,
                               flags->bit);
    g_string_append(out, "</flags>");
}

static void put_type(GString *out, const char *type)
{
    for (unsigned k = 0; k < G_N_ELEMENTS(flag_types); k++)
        if (!strcmp(flag_types[k].name, type))
            put_flags(out, type, flag_types[k].size, flag_types[k].flags);
    if (!strcmp(type, "vec128"))
        g_string_append(out, vec128_type);
    else if (!strcmp(type, "v2ui128"))
        g_string_append(out, v2ui128_type);
}

/* Every type once, before the registers of the feature. */
static void put_types(GString *out, const GArray *layout, const char *feature)
{
    g_autoptr(GHashTable) done = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint k = 0; k < layout->len; k++) {
        const GdbRegister *r = &g_array_index(layout, GdbRegister, k);
        if (!strcmp(r->feature, feature) && g_hash_table_add(done, (gpointer)r->type))
            put_type(out, r->type);
    }
}

static void put_register(GString *out, const GdbRegister *r, unsigned number)
{
    g_string_append_printf(out, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%u\"", r->name, r->bits, r->type,
                           number);
    if (r->group)
        g_string_append_printf(out, " group=\"%s\"", r->group);
    g_string_append(out, "/>");
}

/* Without an <architecture>: gdb takes that of the program, or what the user sets. */
void gdb_make_description(GdbPort *g, GString *out)
{
    const char *feature = NULL;
    g_string_append(out, "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target version=\"1.0\">");
    for (guint k = 0; k < g->layout->len; k++) {
        const GdbRegister *r = &g_array_index(g->layout, GdbRegister, k);
        if (!feature || strcmp(feature, r->feature)) {
            g_string_append_printf(out, "%s<feature name=\"%s\">", feature ? "</feature>" : "", r->feature);
            put_types(out, g->layout, feature = r->feature);
        }
        put_register(out, r, k);
    }
    g_string_append_printf(out, "%s</target>", feature ? "</feature>" : "");
}
