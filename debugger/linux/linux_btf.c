/* BTF (linux_btf.h). */
#include "debugger/linux/linux_btf.h"

#include <string.h>

#include "core/error.h"
#include "util/bits.h"
#include "util/endian.h"

enum { BTF_MAGIC = 0xeb9f, BTF_HEADER_SIZE = 24, BTF_TYPE_SIZE = 12 };

typedef enum BtfKind {
    BTF_INT = 1, BTF_PTR, BTF_ARRAY, BTF_STRUCT, BTF_UNION, BTF_ENUM, BTF_FWD, BTF_TYPEDEF, BTF_VOLATILE, BTF_CONST,
    BTF_RESTRICT, BTF_FUNC, BTF_FUNC_PROTO, BTF_VAR, BTF_DATASEC, BTF_FLOAT, BTF_DECL_TAG, BTF_TYPE_TAG, BTF_ENUM64,
    BTF_KINDS
} BtfKind;

/* How deep typedefs, arrays and structures are followed: a circle ends there. */
#define MAX_DEPTH 32

struct Btf {
    GBytes *data;
    const uint8_t *types;     /* the section of types, and of strings */
    const char *strings;
    uint32_t types_size, strings_size;
    GArray *offsets;          /* of uint32_t: of type n at n - 1, into `types` */
    GHashTable *structures;   /* name (in strings) to number */
};

typedef struct BtfType {
    BtfKind kind;
    bool flag;                /* of a structure: its members' offsets hold sizes of bit-fields */
    uint32_t count, name;
    uint32_t size;            /* or the number of the type it is made of */
    const uint8_t *more;      /* what follows, of the length more_size() */
} BtfType;

/* What follows a type's 12 bytes. */
static uint64_t more_size(BtfKind kind, uint32_t count)
{
    switch (kind) {
    case BTF_INT: case BTF_VAR: case BTF_DECL_TAG: return 4;
    case BTF_ARRAY: return 12;
    case BTF_STRUCT: case BTF_UNION: case BTF_DATASEC: case BTF_ENUM64: return UINT64_C(12) * count;
    case BTF_ENUM: case BTF_FUNC_PROTO: return UINT64_C(8) * count;
    default: return 0;
    }
}

static BtfType decode_type(const uint8_t *p)
{
    uint32_t info = ld32le(p + 4);
    return (BtfType){ .kind = info >> 24 & 0x1f, .flag = info >> 31, .count = info & 0xffff, .name = ld32le(p),
                      .size = ld32le(p + 8), .more = p + BTF_TYPE_SIZE };
}

static bool get_type(const Btf *b, uint32_t number, BtfType *t)
{
    if (!number || number > b->offsets->len)
        return false;
    *t = decode_type(b->types + g_array_index(b->offsets, uint32_t, number - 1));
    return true;
}

/* Strings end within their section (btf_new). */
static const char *get_name(const Btf *b, uint32_t offset)
{
    return offset < b->strings_size ? b->strings + offset : "";
}

/* Types follow each other without an index: one is made. */
static void index_types(Btf *b)
{
    for (uint64_t at = 0; at + BTF_TYPE_SIZE <= b->types_size;) {
        BtfType t = decode_type(b->types + at);
        uint32_t offset = at;
        at += BTF_TYPE_SIZE + more_size(t.kind, t.count);
        if (!t.kind || t.kind >= BTF_KINDS || at > b->types_size)
            return;
        g_array_append_val(b->offsets, offset);
        if ((t.kind == BTF_STRUCT || t.kind == BTF_UNION) && *get_name(b, t.name))
            g_hash_table_insert(b->structures, (gpointer)get_name(b, t.name), GUINT_TO_POINTER(b->offsets->len));
    }
}

/* A section's place, by the words at `at` of the header: counted from the header's end. */
static bool get_section(const uint8_t *p, size_t size, unsigned at, const uint8_t **start, uint32_t *length)
{
    uint64_t from = (uint64_t)ld32le(p + 4) + ld32le(p + at);
    *length = ld32le(p + at + 4);
    *start = p + MIN(from, size);
    return from <= size && *length <= size - from;
}

Btf *btf_new(GBytes *data, GError **err)
{
    gsize size;
    const uint8_t *p = g_bytes_get_data(data, &size), *strings = NULL;
    Btf *b = g_new0(Btf, 1);
    b->data = data;
    b->offsets = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    b->structures = g_hash_table_new(g_str_hash, g_str_equal);
    bool ok = size >= BTF_HEADER_SIZE && size <= BTF_MAX_SIZE && ld16le(p) == BTF_MAGIC &&
              get_section(p, size, 8, &b->types, &b->types_size) &&
              get_section(p, size, 16, &strings, &b->strings_size) && b->strings_size &&
              !strings[b->strings_size - 1];
    if (!ok) {
        error_set(err, "the kernel's description of its types (BTF) is damaged");
        btf_free(b);
        return NULL;
    }
    b->strings = (const char *)strings;
    index_types(b);
    return b;
}

void btf_free(Btf *b)
{
    if (!b)
        return;
    g_hash_table_destroy(b->structures);
    g_array_free(b->offsets, TRUE);
    g_bytes_unref(b->data);
    g_free(b);
}

uint32_t btf_find(const Btf *b, const char *name)
{
    return GPOINTER_TO_UINT(g_hash_table_lookup(b->structures, name));
}

/* The type itself, behind its names and qualifiers. */
static bool get_plain_type(const Btf *b, uint32_t number, BtfType *t)
{
    for (unsigned depth = 0; depth < MAX_DEPTH && get_type(b, number, t); depth++)
        switch (t->kind) {
        case BTF_TYPEDEF: case BTF_VOLATILE: case BTF_CONST: case BTF_RESTRICT: case BTF_TYPE_TAG:
            number = t->size;
            break;
        default: return true;
        }
    return false;
}

uint32_t btf_array(const Btf *b, uint32_t type, uint32_t *element)
{
    BtfType t;
    if (!get_plain_type(b, type, &t) || t.kind != BTF_ARRAY)
        return 0;
    *element = ld32le(t.more);
    return ld32le(t.more + 8);
}

bool btf_size(const Btf *b, uint32_t type, uint64_t *size)
{
    uint64_t count = 1;
    BtfType t;
    for (unsigned depth = 0; depth < MAX_DEPTH && get_plain_type(b, type, &t); depth++)
        switch (t.kind) {
        case BTF_ARRAY:
            if (__builtin_mul_overflow(count, (uint64_t)ld32le(t.more + 8), &count))
                return false;
            type = ld32le(t.more);
            break;
        case BTF_PTR: return !__builtin_mul_overflow(count, UINT64_C(8), size);
        case BTF_INT: case BTF_STRUCT: case BTF_UNION: case BTF_ENUM: case BTF_ENUM64: case BTF_FLOAT:
            return !__builtin_mul_overflow(count, (uint64_t)t.size, size);
        default: return false;
        }
    return false;
}

/* Fills in where a member is, by its offset in bits and, of a bit-field, its bits; the INT may say them too. */
static bool place(const Btf *b, uint32_t type, uint64_t bit, unsigned bits, BtfField *f)
{
    BtfType t;
    *f = (BtfField){ .type = type };
    if (!bits && get_plain_type(b, type, &t) && t.kind == BTF_INT) {
        uint32_t encoding = ld32le(t.more);
        if ((encoding & 0xff) != UINT64_C(8) * t.size || bit % 8) {
            bits = encoding & 0xff;
            bit += encoding >> 16 & 0xff;
        }
    }
    f->offset = bit / 8;
    f->bits = bits;
    f->shift = bits ? bit % 8 : 0;
    f->size = (f->shift + bits + 7) / 8;
    if (bits)
        return bits <= 64 && f->size <= 8;
    if (!btf_size(b, type, &f->size))
        f->size = 0; /* of incomplete type: still at a place */
    return true;
}

/* A search for a member looks at so many at most: damaged structures hold themselves. */
typedef struct Search {
    const Btf *b;
    const char *name;
    unsigned left;
} Search;
#define SEARCH_MEMBERS 100000

/* A member by its name, in anonymous members too. */
static bool find_member(Search *s, uint32_t structure, uint64_t base, unsigned depth, BtfField *f)
{
    BtfType t;
    if (!depth || !get_plain_type(s->b, structure, &t) || (t.kind != BTF_STRUCT && t.kind != BTF_UNION))
        return false;
    for (uint32_t k = 0; k < t.count && s->left; k++) {
        s->left--;
        const uint8_t *m = t.more + 12 * k;
        uint32_t type = ld32le(m + 4), offset = ld32le(m + 8);
        unsigned bits = t.flag ? offset >> 24 : 0;
        uint64_t bit = base + (t.flag ? offset & 0xffffff : offset);
        const char *its_name = get_name(s->b, ld32le(m));
        if (!strcmp(its_name, s->name))
            return place(s->b, type, bit, bits, f);
        if (!*its_name && find_member(s, type, bit, depth - 1, f))
            return true;
    }
    return false;
}

bool btf_field(const Btf *b, uint32_t structure, const char *path, BtfField *f)
{
    g_auto(GStrv) names = g_strsplit(path, ".", MAX_DEPTH);
    uint64_t base = 0;
    for (char **name = names; *name; name++) {
        Search s = { .b = b, .name = *name, .left = SEARCH_MEMBERS };
        if (!find_member(&s, structure, base, MAX_DEPTH, f))
            return false;
        base = f->offset * 8;
        structure = f->type;
    }
    return *names;
}
