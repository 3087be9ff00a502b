/* Types of C (type.h). */
#include "debugger/symbols/type.h"

#include <string.h>

#include "debugger/symbols/dwarf.h"
#include "util/bits.h"

const Type type_number = { .kind = TYPE_INTEGER, .plain = true, .size = 8, .name = "unsigned long" };
const Type type_integer = { .kind = TYPE_INTEGER, .plain = true, .size = 8, .is_signed = true, .name = "long" };
const Type type_void = { .kind = TYPE_VOID, .name = "void" };
const Type type_int = { .kind = TYPE_INTEGER, .size = 4, .is_signed = true, .name = "int" };
const Type type_unsigned = { .kind = TYPE_INTEGER, .size = 4, .name = "unsigned int" };
const Type type_long = { .kind = TYPE_INTEGER, .size = 8, .is_signed = true, .name = "long" };
const Type type_unsigned_long = { .kind = TYPE_INTEGER, .size = 8, .name = "unsigned long" };
const Type type_byte = { .kind = TYPE_INTEGER, .size = 1, .name = "u8" };

#define NUMBER(n, s, sign) { .kind = TYPE_INTEGER, .name = n, .size = s, .is_signed = sign }
#define CHARACTER(n, sign) { .kind = TYPE_CHAR, .name = n, .size = 1, .is_signed = sign }
static const Type basic[] = {
    NUMBER("u8", 1, false), NUMBER("u16", 2, false), NUMBER("u32", 4, false), NUMBER("u64", 8, false),
    NUMBER("s8", 1, true), NUMBER("s16", 2, true), NUMBER("s32", 4, true), NUMBER("s64", 8, true),
    NUMBER("uint8_t", 1, false), NUMBER("uint16_t", 2, false), NUMBER("uint32_t", 4, false),
    NUMBER("uint64_t", 8, false), NUMBER("int8_t", 1, true), NUMBER("int16_t", 2, true), NUMBER("int32_t", 4, true),
    NUMBER("int64_t", 8, true), NUMBER("size_t", 8, false), NUMBER("uintptr_t", 8, false),
    NUMBER("short", 2, true), NUMBER("unsigned short", 2, false), NUMBER("int", 4, true),
    NUMBER("unsigned int", 4, false), NUMBER("long", 8, true), NUMBER("unsigned long", 8, false),
    NUMBER("long long", 8, true), NUMBER("unsigned long long", 8, false),
    CHARACTER("char", true), CHARACTER("signed char", true), CHARACTER("unsigned char", false),
    { .kind = TYPE_BOOL, .name = "bool", .size = 1 }, { .kind = TYPE_BOOL, .name = "_Bool", .size = 1 },
    { .kind = TYPE_FLOAT, .name = "float", .size = 4 }, { .kind = TYPE_FLOAT, .name = "double", .size = 8 },
    { .kind = TYPE_VOID, .name = "void" },
};

const Type *type_basic(const char *name)
{
    for (unsigned k = 0; k < ARRAY_SIZE(basic); k++)
        if (!strcmp(basic[k].name, name))
            return &basic[k];
    return NULL;
}

const Type *type_unsigned_of(unsigned size)
{
    for (unsigned k = 0; k < 4; k++)
        if (basic[k].size == size)
            return &basic[k];
    return &basic[3];
}

const Type *type_target(const Type *t)
{
    const Type *target = t->file && t->die ? dwarf_type_target(t) : t->target;
    return target ? target : &type_void;
}

const Type *type_strip(const Type *t)
{
    for (unsigned k = 0; k < 64 && (t->kind == TYPE_TYPEDEF || t->kind == TYPE_QUALIFIER); k++)
        t = type_target(t);
    return t->kind == TYPE_TYPEDEF || t->kind == TYPE_QUALIFIER ? &type_void : t; /* DWARF that goes in circles */
}

const GArray *type_members(const Type *t) { return t->file ? dwarf_type_members(t) : NULL; }

bool type_is_record(const Type *t)
{
    t = type_strip(t);
    return t->kind == TYPE_STRUCT || t->kind == TYPE_UNION;
}

bool type_is_scalar(const Type *t)
{
    t = type_strip(t);
    return t->kind >= TYPE_INTEGER && t->kind <= TYPE_POINTER && t->kind != TYPE_FLOAT && t->size && t->size <= 8;
}

static const TypeMember *find_member(const Type *t, const char *name, uint64_t *offset, unsigned depth)
{
    const GArray *members = type_members(type_strip(t));
    for (guint k = 0; members && k < members->len; k++) {
        const TypeMember *m = &g_array_index(members, TypeMember, k);
        uint64_t inner = *offset + m->offset;
        const TypeMember *found = NULL;
        if (m->name && !strcmp(m->name, name))
            found = m;
        else if (!m->name && depth && type_is_record(m->type))
            found = find_member(m->type, name, &inner, depth - 1);
        if (found) {
            *offset = inner;
            return found;
        }
    }
    return NULL;
}

const TypeMember *type_member(const Type *t, const char *name, uint64_t *offset)
{
    return find_member(t, name, offset, 16);
}

/* Types may be nested as deep as a file says: further than this is no type of a program. */
static uint64_t size_of(const Type *t, unsigned depth)
{
    uint64_t each;
    t = type_strip(t);
    if (type_is_record(t) && !t->size) /* perhaps only declared here: looking at its members completes it */
        type_members(t);
    if (t->kind != TYPE_ARRAY || !depth)
        return t->size;
    each = size_of(type_target(t), depth - 1);
    return each && t->count > UINT64_MAX / each ? 0 : t->count * each;
}

uint64_t type_size(const Type *t) { return size_of(t, 16); }

uint64_t type_fit(const Type *t, uint64_t bits)
{
    t = type_strip(t);
    if (t->kind == TYPE_BOOL)
        return bits != 0;
    if (!t->size || t->size >= 8)
        return bits;
    return t->is_signed ? (uint64_t)sign_extend(bits, t->size * 8) : bits & bit_mask(t->size * 8);
}
