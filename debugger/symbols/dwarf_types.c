/* Types out of DWARF (dwarf.h; DWARF 5 chapter 5). */
#include "config.h"

#ifdef CONFIG_LIBDW

#include <string.h>

#include "debugger/symbols/dwarf_location.h"

/* ---- attributes ---- */

static bool number_of(Dwarf_Die *die, unsigned name, uint64_t *v)
{
    Dwarf_Attribute attribute;
    Dwarf_Word word;
    if (dwarf_formudata(dwarf_attr_integrate(die, name, &attribute), &word))
        return false;
    *v = word;
    return true;
}

static uint64_t number_or(Dwarf_Die *die, unsigned name, uint64_t other)
{
    uint64_t v;
    return number_of(die, name, &v) ? v : other;
}

static bool is_declaration(Dwarf_Die *die)
{
    Dwarf_Attribute attribute;
    bool flag = false;
    return !dwarf_formflag(dwarf_attr(die, DW_AT_declaration, &attribute), &flag) && flag;
}

/* A constant, which small forms have without their sign unless they say that they have one. */
static int64_t constant_of(Dwarf_Die *die)
{
    Dwarf_Attribute attribute;
    Dwarf_Word u = 0;
    Dwarf_Sword s = 0;
    if (!dwarf_attr(die, DW_AT_const_value, &attribute))
        return 0;
    unsigned form = dwarf_whatform(&attribute);
    if (form == DW_FORM_sdata || form == DW_FORM_implicit_const)
        dwarf_formsdata(&attribute, &s);
    else
        dwarf_formudata(&attribute, &u);
    return s | (int64_t)u;
}

/* ---- making ---- */

/* gcc's "long unsigned int" is "unsigned long" to everybody else. */
static const char *usual_name(const char *name)
{
    static const char *const names[][2] = {
        { "long int", "long" }, { "long unsigned int", "unsigned long" }, { "long long int", "long long" },
        { "long long unsigned int", "unsigned long long" }, { "short int", "short" },
        { "short unsigned int", "unsigned short" },
    };
    for (unsigned k = 0; name && k < G_N_ELEMENTS(names); k++)
        if (!strcmp(names[k][0], name))
            return names[k][1];
    return name;
}

static void make_base(Type *t, Dwarf_Die *die)
{
    t->name = usual_name(t->name);
    switch (number_or(die, DW_AT_encoding, DW_ATE_unsigned)) {
    case DW_ATE_boolean: t->kind = TYPE_BOOL; break;
    case DW_ATE_float: t->kind = TYPE_FLOAT; break;
    case DW_ATE_signed: t->kind = TYPE_INTEGER; t->is_signed = true; break;
    case DW_ATE_signed_char: t->kind = TYPE_CHAR; t->is_signed = true; break;
    case DW_ATE_unsigned_char: case DW_ATE_UTF: t->kind = TYPE_CHAR; break;
    default: t->kind = TYPE_INTEGER; break;
    }
}

static void make_enum(Type *t, Dwarf_Die *die)
{
    Dwarf_Die child;
    uint64_t encoding;
    t->kind = TYPE_ENUM;
    if (number_of(die, DW_AT_encoding, &encoding)) {
        t->is_signed = encoding == DW_ATE_signed || encoding == DW_ATE_signed_char;
        return;
    }
    for (int more = dwarf_child(die, &child); !more; more = dwarf_siblingof(&child, &child))
        t->is_signed |= dwarf_tag(&child) == DW_TAG_enumerator && constant_of(&child) < 0;
}

/* One dimension: its number of elements. */
static void make_dimension(Type *t, Dwarf_Die *subrange)
{
    uint64_t v;
    t->kind = TYPE_ARRAY;
    if (number_of(subrange, DW_AT_count, &v))
        t->count = v;
    else if (number_of(subrange, DW_AT_upper_bound, &v) && v != UINT64_MAX && v != UINT32_MAX)
        t->count = v + 1;
    else
        t->unbounded = true;
}

/* An array of several dimensions is one of arrays, which DWARF does not name. */
static void make_array(DwarfFile *f, Type *t, Dwarf_Die *die)
{
    Dwarf_Die child;
    Type *last = NULL;
    t->kind = TYPE_ARRAY;
    t->unbounded = true;
    for (int more = dwarf_child(die, &child); !more; more = dwarf_siblingof(&child, &child)) {
        Type *next = t;
        if (dwarf_tag(&child) != DW_TAG_subrange_type)
            continue;
        if (last) {
            next = g_new0(Type, 1);
            g_hash_table_add(f->pieces, next);
            last->target = next;
        }
        next->unbounded = false;
        make_dimension(next, &child);
        last = next;
    }
    last = last ? last : t;
    last->target = dwarf_type_of(f, die);
    t->targeted = true;
}

static void make_qualifier(Type *t, const char *name)
{
    t->kind = TYPE_QUALIFIER;
    t->name = name;
}

static void make(DwarfFile *f, Type *t, Dwarf_Die *die)
{
    switch (dwarf_tag(die)) {
    case DW_TAG_base_type: make_base(t, die); break;
    case DW_TAG_enumeration_type: make_enum(t, die); break;
    case DW_TAG_pointer_type: case DW_TAG_reference_type: case DW_TAG_rvalue_reference_type:
        t->kind = TYPE_POINTER;
        t->size = t->size ? t->size : f->pointer_size;
        break;
    case DW_TAG_array_type: make_array(f, t, die); break;
    case DW_TAG_structure_type: case DW_TAG_class_type: t->kind = TYPE_STRUCT; break;
    case DW_TAG_union_type: t->kind = TYPE_UNION; break;
    case DW_TAG_subroutine_type: case DW_TAG_subprogram:
        t->kind = TYPE_FUNCTION;
        t->name = NULL;
        break;
    case DW_TAG_typedef: t->kind = TYPE_TYPEDEF; break;
    case DW_TAG_const_type: make_qualifier(t, "const"); break;
    case DW_TAG_volatile_type: make_qualifier(t, "volatile"); break;
    case DW_TAG_restrict_type: make_qualifier(t, "restrict"); break;
    case DW_TAG_atomic_type: make_qualifier(t, "_Atomic"); break;
    default: t->kind = TYPE_VOID; break;
    }
}

const Type *dwarf_type_from(DwarfFile *f, Dwarf_Die *die)
{
    gint64 key = dwarf_dieoffset(die);
    Type *t = g_hash_table_lookup(f->types, &key);
    if (t)
        return t;
    t = g_new0(Type, 1);
    g_hash_table_insert(f->types, g_memdup2(&key, sizeof key), t);
    t->file = f;
    t->die = key;
    t->name = dwarf_die_name(die);
    t->size = number_or(die, DW_AT_byte_size, 0);
    if (t->size > INT32_MAX)
        t->size = 0;
    make(f, t, die);
    return t;
}

const Type *dwarf_type_of(DwarfFile *f, Dwarf_Die *die)
{
    Dwarf_Attribute attribute;
    Dwarf_Die type;
    if (!dwarf_formref_die(dwarf_attr_integrate(die, DW_AT_type, &attribute), &type))
        return NULL;
    return dwarf_type_from(f, &type);
}

/* ---- on demand ---- */

static Type *own(const Type *t) { return (Type *)t; /* of f->types, which are all changeable within the lock */ }

const Type *dwarf_type_target(const Type *t)
{
    Dwarf_Die die;
    if (!dwarf_enter(t->file))
        return t->target;
    if (!t->targeted && dwarf_offdie(t->file->dwarf, t->die, &die))
        own(t)->target = dwarf_type_of(t->file, &die);
    own(t)->targeted = true;
    const Type *target = t->target;
    dwarf_leave(t->file);
    return target;
}

/* The place of a member: a number, or an expression that adds one. */
static uint64_t member_offset(Dwarf_Die *die)
{
    Dwarf_Attribute attribute;
    Dwarf_Op *ops;
    size_t count;
    uint64_t v;
    if (number_of(die, DW_AT_data_member_location, &v))
        return v;
    if (dwarf_attr(die, DW_AT_data_member_location, &attribute) && !dwarf_getlocation(&attribute, &ops, &count) &&
        count == 1 && ops[0].atom == DW_OP_plus_uconst)
        return ops[0].number;
    return 0;
}

/* DWARF 4 counts bits from the structure's beginning; before, from the top of the storage unit (DWARF 3 5.6.6). */
static void set_bits(TypeMember *m, Dwarf_Die *die)
{
    uint64_t bits = number_or(die, DW_AT_bit_size, 0), at, from_top;
    if (!bits || bits > 64)
        return;
    if (number_of(die, DW_AT_data_bit_offset, &at)) {
        at += m->offset * 8;
    } else {
        uint64_t storage = number_or(die, DW_AT_byte_size, type_size(m->type)) * 8;
        from_top = number_or(die, DW_AT_bit_offset, 0);
        at = m->offset * 8 + storage - from_top - bits;
    }
    m->bits = bits;
    m->offset = at / 8;
    m->bit_offset = at % 8;
}

static bool make_member(DwarfFile *f, Type *t, Dwarf_Die *die, TypeMember *m)
{
    *m = (TypeMember){ .name = dwarf_die_name(die) };
    switch (dwarf_tag(die)) {
    case DW_TAG_enumerator:
        m->value = constant_of(die);
        m->type = t;
        return m->name;
    case DW_TAG_unspecified_parameters:
        t->variadic = true;
        return false;
    case DW_TAG_formal_parameter: case DW_TAG_member: case DW_TAG_inheritance:
        break;
    default:
        return false;
    }
    m->type = dwarf_type_of(f, die);
    m->type = m->type ? m->type : &type_void;
    m->offset = member_offset(die);
    if (m->offset > INT32_MAX)
        m->offset = 0;
    set_bits(m, die);
    return true;
}

/* Locals of a function and types within a structure are not members. */
static bool is_member_of(const Type *t, Dwarf_Die *die)
{
    unsigned tag = dwarf_tag(die);
    if (t->kind == TYPE_FUNCTION)
        return tag == DW_TAG_formal_parameter || tag == DW_TAG_unspecified_parameters;
    return t->kind == TYPE_ENUM ? tag == DW_TAG_enumerator : tag == DW_TAG_member || tag == DW_TAG_inheritance;
}

static bool is_complete(Dwarf_Die *die, void *opaque)
{
    return dwarf_tag(die) == GPOINTER_TO_INT(opaque) && !is_declaration(die);
}

static const char *tag_name(int tag)
{
    return tag == DW_TAG_union_type ? "union" : tag == DW_TAG_enumeration_type ? "enum" : "struct";
}

/* A structure that this unit only declares is defined in another. */
static void complete(DwarfFile *f, Type *t, Dwarf_Die *die)
{
    Dwarf_Die whole;
    int tag = dwarf_tag(die);
    bool tagged = t->kind == TYPE_STRUCT || t->kind == TYPE_UNION || t->kind == TYPE_ENUM;
    if (!is_declaration(die) || !t->name || !tagged ||
        !dwarf_find(f, tag_name(tag), t->name, 0, is_complete, GINT_TO_POINTER(tag), &whole))
        return;
    *die = whole;
    t->size = number_or(die, DW_AT_byte_size, 0);
}

static void make_members(DwarfFile *f, Type *t)
{
    Dwarf_Die die, child;
    t->members = g_array_new(FALSE, FALSE, sizeof(TypeMember));
    if (!t->die || !dwarf_offdie(f->dwarf, t->die, &die))
        return;
    complete(f, t, &die);
    for (int more = dwarf_child(&die, &child); !more; more = dwarf_siblingof(&child, &child)) {
        TypeMember m;
        if (is_member_of(t, &child) && make_member(f, t, &child, &m))
            g_array_append_val(t->members, m);
    }
}

const GArray *dwarf_type_members(const Type *t)
{
    if (!dwarf_enter(t->file))
        return NULL;
    if (!t->members)
        make_members(t->file, own(t));
    dwarf_leave(t->file);
    return t->members;
}

/* ---- by name ---- */

static bool is_basic(Dwarf_Die *die, void *opaque)
{
    (void)opaque;
    return dwarf_tag(die) == DW_TAG_base_type;
}

const Type *dwarf_type(DwarfFile *f, const char *tag, const char *name, uint64_t scope)
{
    static const struct { const char *name; int tag; } tags[] = {
        { "struct", DW_TAG_structure_type }, { "union", DW_TAG_union_type }, { "enum", DW_TAG_enumeration_type },
        { "typedef", DW_TAG_typedef },
    };
    const Type *t = NULL;
    Dwarf_Die die;
    if (!dwarf_enter(f))
        return NULL;
    for (unsigned k = 0; k < G_N_ELEMENTS(tags); k++)
        if (!strcmp(tags[k].name, tag) &&
            dwarf_find(f, tag, name, scope, is_complete, GINT_TO_POINTER(tags[k].tag), &die))
            t = dwarf_type_from(f, &die);
    if (!*tag && dwarf_find(f, "base", name, scope, is_basic, NULL, &die))
        t = dwarf_type_from(f, &die);
    dwarf_leave(f);
    return t;
}

/* ---- types of symbols ---- */

static bool address_of(Dwarf_Die *die, uint64_t *linked)
{
    Dwarf_Attribute attribute;
    Dwarf_Op *ops;
    size_t count;
    return dwarf_attr(die, DW_AT_location, &attribute) && !dwarf_getlocation(&attribute, &ops, &count) &&
        count == 1 && dwarf_op_address(&attribute, ops, linked);
}

typedef struct Wanted {
    DwarfFile *file;
    uint64_t linked;
} Wanted;

/* A definition at that address; a declaration does as well, unless it leaves something open. */
static bool is_variable(Dwarf_Die *die, void *opaque)
{
    Wanted *w = opaque;
    uint64_t linked;
    if (dwarf_tag(die) != DW_TAG_variable)
        return false;
    if (address_of(die, &linked))
        return linked == w->linked;
    const Type *t = dwarf_type_of(w->file, die);
    t = t ? type_strip(t) : NULL;
    return t && is_declaration(die) && !t->unbounded && (t->kind == TYPE_ARRAY || t->size);
}

static const Type *symbol_type(DwarfFile *f, const char *name, uint64_t linked, uint64_t scope)
{
    Dwarf_Die die;
    Dwarf_Addr entry;
    Wanted w = { .file = f, .linked = linked };
    if (dwarf_unit_at(f, linked, &die)) {
        bool begins = dwarf_function_at(f, linked, &die) && !dwarf_entrypc(&die, &entry) && entry == linked;
        return begins ? dwarf_type_from(f, &die) : NULL;
    }
    g_autofree char *kind = g_strdup_printf("variable at %" G_GUINT64_FORMAT, linked);
    return dwarf_find(f, kind, name, scope, is_variable, &w, &die) ? dwarf_type_of(f, &die) : NULL;
}

/* The address may be that of an absolute symbol, which the file's offset did not move. */
const Type *dwarf_symbol_type(DwarfFile *f, const char *name, uint64_t address, uint64_t scope)
{
    if (!dwarf_enter(f))
        return NULL;
    const Type *t = symbol_type(f, name, dwarf_to_linked(f, address), scope);
    dwarf_leave(f);
    return t;
}

static bool is_constant(Dwarf_Die *die, void *opaque)
{
    (void)opaque;
    return dwarf_tag(die) == DW_TAG_enumerator;
}

const Type *dwarf_constant(DwarfFile *f, const char *name, uint64_t scope, int64_t *value)
{
    Dwarf_Die die;
    const Type *t = NULL;
    if (!dwarf_enter(f))
        return NULL;
    if (dwarf_find(f, "constant", name, scope, is_constant, NULL, &die))
        t = dwarf_type_from(f, &die);
    dwarf_leave(f);
    const GArray *constants = t ? type_members(t) : NULL;
    for (guint k = 0; constants && k < constants->len; k++) {
        const TypeMember *m = &g_array_index(constants, TypeMember, k);
        if (!strcmp(m->name, name)) {
            *value = m->value;
            return t;
        }
    }
    return NULL;
}

#endif
