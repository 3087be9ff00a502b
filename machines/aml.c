/* Writing ACPI Machine Language (aml.h). */
#include "machines/aml.h"

#include <string.h>

#include "util/endian.h"

enum { /* opcodes, section 20.3 */
    OP_ZERO = 0x00, OP_ONE = 0x01, OP_NAME = 0x08, OP_BYTE = 0x0a, OP_WORD = 0x0b, OP_DWORD = 0x0c, OP_QWORD = 0x0e,
    OP_SCOPE = 0x10, OP_BUFFER = 0x11, OP_PACKAGE = 0x12, OP_EXT = 0x5b, OP_EXT_DEVICE = 0x82,
};

struct Aml {
    GByteArray *bytes;
    GArray *open;          /* of guint: where each open body's PkgLength goes */
    GByteArray *resources; /* a resource template being written, or NULL */
};

Aml *aml_new(void)
{
    Aml *a = g_new0(Aml, 1);
    a->bytes = g_byte_array_new();
    a->open = g_array_new(FALSE, FALSE, sizeof(guint));
    return a;
}

GByteArray *aml_take(Aml *a)
{
    GByteArray *bytes = a->bytes;
    g_array_free(a->open, TRUE);
    g_free(a);
    return bytes;
}

static void put(GByteArray *to, uint64_t v, unsigned size)
{
    uint8_t b[8];
    stle(b, v, size);
    g_byte_array_append(to, b, size);
}

static void put_name(Aml *a, const char *name)
{
    char segment[4] = { '_', '_', '_', '_' };
    if (*name == '\\')
        put(a->bytes, *name++, 1);
    memcpy(segment, name, MIN(strlen(name), sizeof segment));
    g_byte_array_append(a->bytes, (const uint8_t *)segment, sizeof segment);
}

static void open_body(Aml *a)
{
    guint at = a->bytes->len;
    g_array_append_val(a->open, at);
}

void aml_scope(Aml *a, const char *name)
{
    put(a->bytes, OP_SCOPE, 1);
    open_body(a);
    put_name(a, name);
}

void aml_device(Aml *a, const char *name)
{
    put(a->bytes, OP_EXT, 1);
    put(a->bytes, OP_EXT_DEVICE, 1);
    open_body(a);
    put_name(a, name);
}

void aml_package(Aml *a, unsigned elements)
{
    put(a->bytes, OP_PACKAGE, 1);
    open_body(a);
    put(a->bytes, elements, 1);
}

/* PkgLength counts itself: one byte up to 63, else a lead byte with the low nibble and one to three more. */
static unsigned encode_length(uint32_t body, uint8_t out[4])
{
    unsigned bytes = body + 1 < 0x40 ? 1 : body + 2 < 0x1000 ? 2 : body + 3 < 0x100000 ? 3 : 4;
    uint32_t total = body + bytes;
    if (bytes == 1) {
        out[0] = total;
        return 1;
    }
    out[0] = (bytes - 1) << 6 | (total & 15);
    for (unsigned k = 1; k < bytes; k++)
        out[k] = total >> (4 + 8 * (k - 1));
    return bytes;
}

void aml_close(Aml *a)
{
    guint at = g_array_index(a->open, guint, a->open->len - 1);
    uint32_t body = a->bytes->len - at;
    uint8_t length[4];
    unsigned n = encode_length(body, length);
    g_array_set_size(a->open, a->open->len - 1);
    g_byte_array_set_size(a->bytes, a->bytes->len + n);
    memmove(a->bytes->data + at + n, a->bytes->data + at, body);
    memcpy(a->bytes->data + at, length, n);
}

void aml_name(Aml *a, const char *name)
{
    put(a->bytes, OP_NAME, 1);
    put_name(a, name);
}

void aml_integer(Aml *a, uint64_t v)
{
    if (v <= 1) {
        put(a->bytes, v ? OP_ONE : OP_ZERO, 1);
        return;
    }
    unsigned size = v <= 0xff ? 1 : v <= 0xffff ? 2 : v <= 0xffffffff ? 4 : 8;
    put(a->bytes, size == 1 ? OP_BYTE : size == 2 ? OP_WORD : size == 4 ? OP_DWORD : OP_QWORD, 1);
    put(a->bytes, v, size);
}

/* Three letters of five bits and four hexadecimal digits, big-endian (section 19.3.4). */
void aml_eisa_id(Aml *a, const char *id)
{
    uint16_t letters = (id[0] & 31) << 10 | (id[1] & 31) << 5 | (id[2] & 31);
    uint16_t number = g_ascii_strtoull(id + 3, NULL, 16);
    uint8_t b[4];
    st16be(b, letters);
    st16be(b + 2, number);
    put(a->bytes, OP_DWORD, 1);
    g_byte_array_append(a->bytes, b, sizeof b);
}

void aml_resources_begin(Aml *a) { a->resources = g_byte_array_new(); }

void aml_resource_io(Aml *a, uint16_t first, uint16_t length)
{
    put(a->resources, 0x47, 1);
    put(a->resources, 1, 1); /* 16-bit decode */
    put(a->resources, first, 2);
    put(a->resources, first, 2);
    put(a->resources, 1, 1);
    put(a->resources, length, 1);
}

void aml_resource_irq(Aml *a, unsigned irq)
{
    put(a->resources, 0x22, 1);
    put(a->resources, 1u << irq, 2);
}

/* Word address space (section 6.4.3.5.3): type 1 is I/O, 2 bus numbers. */
static void word_window(Aml *a, uint8_t type, uint8_t type_flags, uint16_t first, uint16_t last)
{
    put(a->resources, 0x88, 1);
    put(a->resources, 13, 2);
    put(a->resources, type, 1);
    put(a->resources, 0x0c, 1); /* fixed range, produced */
    put(a->resources, type_flags, 1);
    put(a->resources, 0, 2);
    put(a->resources, first, 2);
    put(a->resources, last, 2);
    put(a->resources, 0, 2);
    put(a->resources, last - first + 1, 2);
}

void aml_resource_bus(Aml *a, uint16_t first, uint16_t last) { word_window(a, 2, 0, first, last); }
void aml_resource_io_window(Aml *a, uint16_t first, uint16_t last) { word_window(a, 1, 3, first, last); }

void aml_resource_memory_window(Aml *a, uint32_t first, uint32_t last, gboolean cacheable)
{
    put(a->resources, 0x87, 1);
    put(a->resources, 23, 2);
    put(a->resources, 0, 1);
    put(a->resources, 0x0c, 1);
    put(a->resources, cacheable ? 3 : 1, 1);
    put(a->resources, 0, 4);
    put(a->resources, first, 4);
    put(a->resources, last, 4);
    put(a->resources, 0, 4);
    put(a->resources, last - first + 1, 4);
}

/* The template becomes a buffer, ended by the end tag. */
void aml_resources_end(Aml *a)
{
    put(a->resources, 0x79, 1);
    put(a->resources, 0, 1);
    put(a->bytes, OP_BUFFER, 1);
    open_body(a);
    aml_integer(a, a->resources->len);
    g_byte_array_append(a->bytes, a->resources->data, a->resources->len);
    aml_close(a);
    g_byte_array_free(a->resources, TRUE);
    a->resources = NULL;
}
