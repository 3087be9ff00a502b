/* debugger/linux/linux_btf.c: members are found in types made by hand, and nothing bad comes of damaged ones. */
#include "debugger/linux/linux_btf.h"

#include <string.h>

#include "util/endian.h"

/* ---- making types ---- */

typedef struct Maker {
    GByteArray *types;
    GString *strings;
    uint32_t count;
} Maker;

enum { KIND_INT = 1, KIND_PTR, KIND_ARRAY, KIND_STRUCT, KIND_UNION, KIND_ENUM, KIND_TYPEDEF = 8, KIND_CONST = 10,
       KIND_FUNC_PROTO = 13 };
enum { HEADER = 24 };

static void put32(Maker *m, uint32_t v)
{
    uint8_t b[4];
    st32le(b, v);
    g_byte_array_append(m->types, b, sizeof b);
}

static uint32_t put_name(Maker *m, const char *name)
{
    uint32_t at = m->strings->len;
    if (!*name)
        return 0;
    g_string_append_len(m->strings, name, strlen(name) + 1);
    return at;
}

/* A type's 12 bytes; returns its number. */
static uint32_t put_type(Maker *m, const char *name, unsigned kind, bool flag, uint16_t count, uint32_t size)
{
    put32(m, put_name(m, name));
    put32(m, (uint32_t)flag << 31 | kind << 24 | count);
    put32(m, size);
    return ++m->count;
}

static uint32_t put_int(Maker *m, const char *name, uint32_t size, unsigned bits, unsigned offset)
{
    uint32_t number = put_type(m, name, KIND_INT, false, 0, size);
    put32(m, offset << 16 | bits);
    return number;
}

static void put_member(Maker *m, const char *name, uint32_t type, uint32_t offset)
{
    put32(m, put_name(m, name));
    put32(m, type);
    put32(m, offset);
}

static Maker maker_new(void)
{
    Maker m = { .types = g_byte_array_new(), .strings = g_string_new(NULL) };
    g_string_append_len(m.strings, "", 1);
    return m;
}

static GByteArray *finish(Maker *m)
{
    uint8_t header[HEADER] = { 0 };
    st16le(header, 0xeb9f);
    header[2] = 1;
    st32le(header + 4, HEADER);
    st32le(header + 12, m->types->len);
    st32le(header + 16, m->types->len);
    st32le(header + 20, m->strings->len);
    g_byte_array_prepend(m->types, header, sizeof header);
    g_byte_array_append(m->types, (const uint8_t *)m->strings->str, m->strings->len);
    g_string_free(m->strings, TRUE);
    return m->types;
}

/*
 * struct inner { long value; };  typedef struct inner inner_t;
 * struct task { long a; char comm[16]; union { int pid; struct { const inner_t in; long other; }; };
 *               unsigned b:3, c:5; };
 * struct old { unsigned d:4 (bits 4 to 7, in the INT's own way); int *p[2]; };
 */
static GByteArray *make_types(void)
{
    Maker m = maker_new();
    uint32_t tlong = put_int(&m, "long", 8, 64, 0), tchar = put_int(&m, "char", 1, 8, 0);
    uint32_t comm = put_type(&m, "", KIND_ARRAY, false, 0, 0);
    put32(&m, tchar), put32(&m, tlong), put32(&m, 16);
    uint32_t tint = put_int(&m, "int", 4, 32, 0);
    uint32_t inner = put_type(&m, "inner", KIND_STRUCT, false, 1, 8);
    put_member(&m, "value", tlong, 0);
    uint32_t name = put_type(&m, "inner_t", KIND_TYPEDEF, false, 0, inner);
    uint32_t constant = put_type(&m, "", KIND_CONST, false, 0, name);
    uint32_t part = put_type(&m, "", KIND_STRUCT, false, 2, 16);
    put_member(&m, "in", constant, 0), put_member(&m, "other", tlong, 64);
    uint32_t either = put_type(&m, "", KIND_UNION, false, 2, 16);
    put_member(&m, "pid", tint, 0), put_member(&m, "", part, 0);
    put_type(&m, "task", KIND_STRUCT, true, 5, 48);
    put_member(&m, "a", tlong, 0), put_member(&m, "comm", comm, 64), put_member(&m, "", either, 192);
    put_member(&m, "b", tint, 3u << 24 | 320), put_member(&m, "c", tint, 5u << 24 | 323);
    uint32_t four = put_int(&m, "", 4, 4, 4);
    uint32_t pointer = put_type(&m, "", KIND_PTR, false, 0, tint);
    uint32_t pair = put_type(&m, "", KIND_ARRAY, false, 0, 0);
    put32(&m, pointer), put32(&m, tlong), put32(&m, 2);
    put_type(&m, "old", KIND_STRUCT, false, 2, 24);
    put_member(&m, "d", four, 0), put_member(&m, "p", pair, 64);
    return finish(&m);
}

/* ---- tests ---- */

static Btf *open_copy(const uint8_t *data, size_t size)
{
    g_autoptr(GError) err = NULL;
    Btf *b = btf_new(g_bytes_new(data, size), &err);
    g_assert_true(!b == !!err);
    return b;
}

static void check_field(const Btf *b, const char *structure, const char *path, uint64_t offset, uint64_t size,
                        unsigned bits, unsigned shift)
{
    BtfField f;
    g_assert_true(btf_field(b, btf_find(b, structure), path, &f));
    g_assert_cmpuint(f.offset, ==, offset);
    g_assert_cmpuint(f.size, ==, size);
    g_assert_cmpuint(f.bits, ==, bits);
    g_assert_cmpuint(f.shift, ==, shift);
}

static void test_fields(void)
{
    g_autoptr(GByteArray) data = make_types();
    Btf *b = open_copy(data->data, data->len);
    BtfField f;
    uint64_t size;
    uint32_t element;
    check_field(b, "task", "a", 0, 8, 0, 0);
    check_field(b, "task", "comm", 8, 16, 0, 0);
    check_field(b, "task", "pid", 24, 4, 0, 0);
    check_field(b, "task", "in.value", 24, 8, 0, 0);
    check_field(b, "task", "other", 32, 8, 0, 0);
    check_field(b, "task", "b", 40, 1, 3, 0);
    check_field(b, "task", "c", 40, 1, 5, 3);
    check_field(b, "old", "d", 0, 1, 4, 4);
    check_field(b, "old", "p", 8, 16, 0, 0);
    g_assert_false(btf_field(b, btf_find(b, "task"), "value", &f));
    g_assert_false(btf_field(b, btf_find(b, "task"), "a.value", &f));
    g_assert_false(btf_field(b, btf_find(b, "task"), "", &f));
    g_assert_cmpuint(btf_find(b, "inner_t"), ==, 0);
    g_assert_true(btf_size(b, btf_find(b, "task"), &size));
    g_assert_cmpuint(size, ==, 48);
    g_assert_true(btf_field(b, btf_find(b, "old"), "p", &f));
    g_assert_cmpuint(btf_array(b, f.type, &element), ==, 2);
    g_assert_true(btf_size(b, element, &size));
    g_assert_cmpuint(size, ==, 8);
    btf_free(b);
}

/* Types that are made of themselves. */
static void test_circles(void)
{
    Maker m = maker_new();
    enum { MEMBERS = 60000 };
    put_type(&m, "circle", KIND_TYPEDEF, false, 0, 1);
    uint32_t array = put_type(&m, "", KIND_ARRAY, false, 0, 0);
    put32(&m, array), put32(&m, 0), put32(&m, UINT32_MAX);
    uint32_t itself = put_type(&m, "itself", KIND_STRUCT, false, MEMBERS, 8);
    for (unsigned k = 0; k < MEMBERS; k++)
        put_member(&m, "", itself, 0);
    g_autoptr(GByteArray) data = finish(&m);
    Btf *b = open_copy(data->data, data->len);
    BtfField f;
    uint64_t size;
    g_assert_false(btf_size(b, 1, &size));
    g_assert_false(btf_size(b, array, &size));
    g_assert_cmpuint(btf_find(b, "itself"), ==, itself);
    g_assert_false(btf_field(b, itself, "missing", &f));
    btf_free(b);
}

/* Everything that can be asked of damaged data. */
static void ask(const uint8_t *data, size_t size)
{
    static const char *const structures[] = { "inner", "task", "old" };
    static const char *const paths[] = { "a", "comm", "pid", "in.value", "b", "d", "p", "missing" };
    Btf *b = open_copy(data, size);
    BtfField f;
    uint64_t bytes;
    uint32_t element;
    for (unsigned k = 0; b && k < G_N_ELEMENTS(structures); k++)
        for (unsigned n = 0; n < G_N_ELEMENTS(paths); n++)
            if (btf_field(b, btf_find(b, structures[k]), paths[n], &f))
                g_assert_true(!f.bits || f.size <= 8);
    for (uint32_t k = 0; b && k < 24; k++) {
        btf_size(b, k, &bytes);
        btf_array(b, k, &element);
    }
    btf_free(b);
}

static void test_damaged(void)
{
    g_autoptr(GByteArray) data = make_types();
    GRand *random = g_rand_new_with_seed(1);
    for (guint n = 0; n <= data->len; n++)
        ask(data->data, n);
    for (unsigned k = 0; k < 20000; k++) {
        g_autofree uint8_t *copy = g_memdup2(data->data, data->len);
        for (unsigned changes = g_rand_int_range(random, 1, 8); changes; changes--)
            copy[g_rand_int_range(random, k % 2 ? HEADER : 0, data->len)] = g_rand_int(random);
        ask(copy, data->len);
    }
    g_rand_free(random);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/linux_btf/fields", test_fields);
    g_test_add_func("/linux_btf/circles", test_circles);
    g_test_add_func("/linux_btf/damaged", test_damaged);
    return g_test_run();
}
