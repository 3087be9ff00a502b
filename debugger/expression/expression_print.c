/* Values as text, in the form of gdb's print (gdb manual 10.5, 10.9). */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "debugger/expression/expression_tree.h"
#include "debugger/symbols/symbols.h"
#include "util/bits.h"
#include "util/endian.h"

enum {
    ELEMENTS_MAX = 200,  /* of an array, and characters of a string, as gdb has it */
    REPEATS = 10,        /* as many equal elements are counted instead */
    LINE = 100,          /* what is longer is shown with a member a line */
    OUTPUT_MAX = 256 << 10,
    DEPTH_MAX = 20,
};

typedef struct Printer {
    Debugger *debugger;
    Cpu *cpu;
    char format;
    bool inside;         /* of an array or structure */
    unsigned depth;      /* of such: a broken file's may contain itself */
    int indent;          /* -1: all in one line */
    GString *out;
} Printer;

static void print_value(const Printer *p, const Type *type, const uint8_t *bytes, size_t size);

/* ---- numbers ---- */

static void print_symbol(const Printer *p, uint64_t v) { symbols_print(debugger_symbols(p->debugger), v, p->out); }

static void print_binary(const Printer *p, uint64_t v)
{
    for (int bit = v ? (int)bit_highest(v) : 0; bit >= 0; bit--)
        g_string_append_c(p->out, '0' + (v >> bit & 1));
}

static void append_character(GString *out, uint8_t c, char quote)
{
    static const char escapes[] = "\nn\tt\rr\aa\bb\033e\\\\";
    for (unsigned k = 0; k + 1 < sizeof escapes; k += 2)
        if ((uint8_t)escapes[k] == c) {
            g_string_append_printf(out, "\\%c", escapes[k + 1]);
            return;
        }
    if (c == (uint8_t)quote)
        g_string_append_printf(out, "\\%c", quote);
    else if (c < ' ' || c >= 0x7f)
        g_string_append_printf(out, "\\%03o", c);
    else
        g_string_append_c(out, c);
}

static void print_character(const Printer *p, uint64_t v, bool is_signed)
{
    g_string_append_printf(p->out, is_signed ? "%" PRId64 " '" : "%" PRIu64 " '", v);
    append_character(p->out, v, '\'');
    g_string_append_c(p->out, '\'');
}

/* `v` has the sign of its type; it is cut to the type's size where bits are shown. */
static bool print_formatted(const Printer *p, const Type *t, uint64_t v)
{
    unsigned bits = t->size && t->size < 8 ? t->size * 8 : 64;
    uint64_t cut = v & bit_mask(bits);
    switch (p->format) {
    case 'x': g_string_append_printf(p->out, "0x%" PRIx64, cut); return true;
    case 'd': g_string_append_printf(p->out, "%" PRId64, sign_extend(cut, bits)); return true;
    case 'u': g_string_append_printf(p->out, "%" PRIu64, cut); return true;
    case 'o': g_string_append_printf(p->out, cut ? "0%" PRIo64 : "%" PRIo64, cut); return true;
    case 't': print_binary(p, cut); return true;
    case 'c': print_character(p, sign_extend(cut & 0xff, t->is_signed ? 8 : 9), t->is_signed); return true;
    case 'a':
        g_string_append_printf(p->out, "0x%" PRIx64, cut);
        print_symbol(p, cut);
        return true;
    default: return false;
    }
}

/* What nobody gave a type may be an address. */
static void print_plain(const Printer *p, const Type *t, uint64_t v)
{
    size_t before;
    if (t->is_signed || v < 10) {
        g_string_append_printf(p->out, "%" PRId64, v);
        return;
    }
    g_string_append_printf(p->out, "0x%" PRIx64, v);
    before = p->out->len;
    if (!p->inside)
        print_symbol(p, v);
    if (before == p->out->len && !p->inside)
        g_string_append_printf(p->out, " = %" PRIu64, v);
}

static void print_enum(const Printer *p, const Type *t, uint64_t v)
{
    const GArray *constants = type_members(t);
    for (guint k = 0; constants && k < constants->len; k++) {
        const TypeMember *m = &g_array_index(constants, TypeMember, k);
        if ((uint64_t)m->value == v) {
            g_string_append(p->out, m->name);
            if (!p->inside)
                g_string_append_printf(p->out, " (%" PRId64 ")", m->value);
            return;
        }
    }
    g_string_append_printf(p->out, t->is_signed ? "%" PRId64 : "%" PRIu64, v);
}

/* Of x87's format (SDM vol. 1 4.2.2), as near as a double is. */
static double extended_to_double(const uint8_t *bytes)
{
    unsigned exponent = ld16le(bytes + 8) & 0x7fff;
    double v = exponent == 0x7fff ? ld64le(bytes) << 1 ? NAN : INFINITY
                                  : ldexp((double)ld64le(bytes), (int)exponent - 16383 - 63);
    return bytes[9] & 0x80 ? -v : v;
}

static void print_float(const Printer *p, const Type *t, const uint8_t *bytes)
{
    uint32_t bits32;
    uint64_t bits64;
    float narrow;
    double wide;
    if (t->size == 4) {
        bits32 = ld32le(bytes);
        memcpy(&narrow, &bits32, sizeof narrow);
        g_string_append_printf(p->out, "%.9g", narrow);
    } else if (t->size == 8) {
        bits64 = ld64le(bytes);
        memcpy(&wide, &bits64, sizeof wide);
        g_string_append_printf(p->out, "%.17g", wide);
    } else {
        g_string_append_printf(p->out, "%.18g", extended_to_double(bytes));
    }
}

/* ---- strings and pointers ---- */

static void print_string(const Printer *p, const uint8_t *bytes, size_t size, bool more)
{
    g_string_append_c(p->out, '"');
    for (size_t k = 0; k < size; k++)
        append_character(p->out, bytes[k], '"');
    g_string_append(p->out, more ? "\"..." : "\"");
}

static bool is_character(const Type *t)
{
    t = type_strip(t);
    return t->kind == TYPE_CHAR && t->size == 1;
}

/* Of a string in memory, byte by byte up to where it ends or is not mapped. */
static void print_string_at(const Printer *p, uint64_t address)
{
    uint8_t bytes[ELEMENTS_MAX];
    size_t n = 0;
    while (n < sizeof bytes && debugger_read(p->cpu, address + n, &bytes[n], 1) && bytes[n])
        n++;
    uint8_t next;
    if (n || debugger_read(p->cpu, address, &next, 1)) {
        g_string_append_c(p->out, ' ');
        print_string(p, bytes, n, n == sizeof bytes);
    } else if (address) {
        g_string_append(p->out, " <not mapped>");
    }
}

static void print_pointer(const Printer *p, const Type *written, const Type *t, uint64_t v)
{
    const Type *to = type_target(t);
    if (!p->inside && !is_character(to)) {
        g_string_append_c(p->out, '(');
        type_declare(written, NULL, p->out);
        g_string_append(p->out, ") ");
    }
    g_string_append_printf(p->out, "0x%" PRIx64, v);
    if (is_character(to))
        print_string_at(p, v);
    else if (v)
        print_symbol(p, v);
}

static void print_function(const Printer *p, const Type *t, uint64_t v)
{
    if (print_formatted(p, &type_number, v))
        return;
    g_string_append_c(p->out, '{');
    type_declare(t, NULL, p->out);
    g_string_append_printf(p->out, "} 0x%" PRIx64, v);
    print_symbol(p, v);
}

/* ---- arrays and structures ---- */

static void print_characters(const Printer *p, const uint8_t *bytes, size_t size)
{
    while (size && !bytes[size - 1])
        size--;
    print_string(p, bytes, MIN(size, ELEMENTS_MAX), size > ELEMENTS_MAX);
}

/* How many elements from number k on are equal. */
static uint64_t count_equal(const uint8_t *bytes, uint64_t k, uint64_t count, uint64_t each)
{
    uint64_t n = 1;
    while (k + n < count && !memcmp(bytes + k * each, bytes + (k + n) * each, each))
        n++;
    return n;
}

static void print_elements(const Printer *p, const Type *element, const uint8_t *bytes, uint64_t count, uint64_t each)
{
    unsigned shown = 0;
    g_string_append_c(p->out, '{');
    for (uint64_t k = 0; k < count; shown++) {
        uint64_t equal = count_equal(bytes, k, count, each);
        if (k)
            g_string_append(p->out, ", ");
        if (shown == ELEMENTS_MAX || p->out->len > OUTPUT_MAX) {
            g_string_append(p->out, "...");
            break;
        }
        print_value(p, element, bytes + k * each, each);
        if (equal >= REPEATS)
            g_string_append_printf(p->out, " <repeats %" PRIu64 " times>", equal);
        k += equal >= REPEATS ? equal : 1;
    }
    g_string_append_c(p->out, '}');
}

static void print_array(const Printer *p, const Type *t, const uint8_t *bytes, size_t size)
{
    const Type *element = type_target(t);
    uint64_t each = type_size(element), count = each ? MIN(t->count, size / each) : 0;
    Printer inner = *p;
    inner.inside = true;
    inner.depth++;
    if (is_character(element) && (!p->format || p->format == 's'))
        print_characters(p, bytes, count);
    else
        print_elements(&inner, element, bytes, count, each);
}

static void print_field(const Printer *p, const TypeMember *m, const uint8_t *bytes, size_t size)
{
    Work w = { .cpu = p->cpu };
    Place place = { .kind = PLACE_BYTES, .bit_offset = m->bit_offset, .bits = m->bits };
    uint64_t v;
    uint8_t value[8];
    memcpy(place.bytes, bytes, MIN(size, sizeof place.bytes));
    if (!place_value(&w, &place, m->type, &v))
        v = 0;
    st64le(value, v);
    print_value(p, m->type, value, MIN(type_size(m->type), sizeof value));
}

static void print_member(const Printer *p, const TypeMember *m, const uint8_t *bytes, size_t size)
{
    uint64_t length = m->bits ? (m->bit_offset + m->bits + 7) / 8 : type_size(m->type);
    if (m->name)
        g_string_append_printf(p->out, "%s = ", m->name);
    if (m->offset > size || length > size - m->offset)
        g_string_append(p->out, "<outside>");
    else if (m->bits)
        print_field(p, m, bytes + m->offset, size - m->offset);
    else
        print_value(p, m->type, bytes + m->offset, length);
}

static void print_record(const Printer *p, const Type *t, const uint8_t *bytes, size_t size)
{
    const GArray *members = type_members(t);
    Printer inner = *p;
    inner.inside = true;
    inner.depth++;
    if (p->indent >= 0)
        inner.indent += 2;
    g_string_append_c(p->out, '{');
    for (guint k = 0; members && k < members->len && p->out->len < OUTPUT_MAX; k++) {
        if (k)
            g_string_append(p->out, p->indent < 0 ? ", " : ",");
        if (p->indent >= 0)
            g_string_append_printf(p->out, "\n%*s", inner.indent, "");
        print_member(&inner, &g_array_index(members, TypeMember, k), bytes, size);
    }
    if (p->indent >= 0)
        g_string_append_printf(p->out, "\n%*s", p->indent, "");
    g_string_append_c(p->out, '}');
}

/* ---- all ---- */

static void print_scalar(const Printer *p, const Type *written, const Type *t, uint64_t v)
{
    if (p->format == 's' && t->kind == TYPE_POINTER) {
        g_string_append_printf(p->out, "0x%" PRIx64, v);
        print_string_at(p, v);
    } else if (print_formatted(p, t, v)) {
        return;
    } else if (t->plain) {
        print_plain(p, t, v);
    } else if (t->kind == TYPE_POINTER) {
        print_pointer(p, written, t, v);
    } else if (t->kind == TYPE_ENUM) {
        print_enum(p, t, v);
    } else if (t->kind == TYPE_BOOL) {
        g_string_append(p->out, v ? "true" : "false");
    } else if (is_character(t)) {
        print_character(p, v, t->is_signed);
    } else {
        g_string_append_printf(p->out, t->is_signed ? "%" PRId64 : "%" PRIu64, v);
    }
}

static void print_value(const Printer *p, const Type *type, const uint8_t *bytes, size_t size)
{
    const Type *t = type_strip(type);
    if (p->depth > DEPTH_MAX)
        g_string_append(p->out, "...");
    else if (t->kind == TYPE_ARRAY)
        print_array(p, t, bytes, size);
    else if (type_is_record(t))
        print_record(p, t, bytes, size);
    else if (t->kind == TYPE_FUNCTION)
        print_function(p, t, size >= 8 ? ld64le(bytes) : 0);
    else if (t->kind == TYPE_FLOAT && (t->size == 4 || t->size == 8 || t->size >= 10) && size >= t->size)
        print_float(p, t, bytes);
    else if (type_is_scalar(t) && size >= t->size) {
        uint8_t wide[8] = { 0 };
        memcpy(wide, bytes, t->size);
        print_scalar(p, type, t, type_fit(t, ld64le(wide)));
    } else {
        g_string_append_printf(p->out, "<%zu bytes>", size);
    }
}

void value_print(Debugger *d, Cpu *cpu, const Type *type, const uint8_t *bytes, size_t size, char format, GString *out)
{
    g_autoptr(GString) text = g_string_new(NULL);
    Printer p = { .debugger = d, .cpu = cpu, .format = format, .indent = -1, .out = text };
    print_value(&p, type, bytes, size);
    if (text->len > LINE && (type_is_record(type) || type_strip(type)->kind == TYPE_ARRAY)) {
        g_string_truncate(text, 0);
        p.indent = 0;
        print_value(&p, type, bytes, size);
    }
    g_string_append_len(out, text->str, text->len);
}
