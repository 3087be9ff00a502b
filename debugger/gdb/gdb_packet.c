/* Frames of the gdb port: checksums, acknowledgements, escapes, run lengths (gdb manual E.1). */
#include <string.h>

#include "debugger/gdb/gdb_internal.h"

enum { INTERRUPT = 3, ESCAPE = '}', ESCAPED = 0x20 };

/* ---- out ---- */

static bool needs_escape(char ch) { return ch == '$' || ch == '#' || ch == '*' || ch == ESCAPE; }

/*
 * "0* " is four zeros: the character behind * is 29 more than the repetitions, printable, and none that means
 * something else.
 */
static unsigned usable_repetitions(unsigned n)
{
    enum { FEWEST = 3, MOST = 126 - 29 };
    n = MIN(n, MOST);
    while (n >= FEWEST && strchr("#$+-", n + 29))
        n--;
    return n >= FEWEST ? n : 0;
}

static unsigned run_length(const char *p, const char *end)
{
    unsigned n = 1;
    while (p + n < end && p[n] == *p)
        n++;
    return n;
}

static void append_encoded(GString *out, const char *data, size_t size)
{
    const char *end = data + size;
    while (data < end) {
        if (needs_escape(*data)) {
            g_string_append_c(out, ESCAPE);
            g_string_append_c(out, *data++ ^ ESCAPED);
            continue;
        }
        unsigned more = usable_repetitions(run_length(data, end) - 1);
        g_string_append_c(out, *data);
        if (more) {
            g_string_append_c(out, '*');
            g_string_append_c(out, more + 29);
        }
        data += 1 + more;
    }
}

static void frame(GString *out, char start, const char *data, size_t size)
{
    uint8_t sum = 0;
    g_string_assign(out, "");
    g_string_append_c(out, start);
    append_encoded(out, data, size);
    for (gsize k = 1; k < out->len; k++)
        sum += (uint8_t)out->str[k];
    g_string_append_printf(out, "#%02x", sum);
}

void gdb_send(GdbPort *g, const char *data, size_t size)
{
    frame(g->sent, '$', data, size);
    char_write(g->c, g->sent->str, g->sent->len);
}

void gdb_notify(GdbPort *g, const char *text)
{
    g_autoptr(GString) out = g_string_new(NULL);
    frame(out, '%', text, strlen(text));
    char_write(g->c, out->str, out->len);
}

/* In pieces that fit. */
void gdb_send_output(GdbPort *g, const char *text)
{
    enum { PIECE = GDB_PACKET_MAX / 2 - 8 };
    g_autoptr(GString) out = g_string_new(NULL);
    for (size_t left = strlen(text); left;) {
        size_t n = MIN(left, PIECE);
        g_string_assign(out, "O");
        gdb_put_bytes(out, (const uint8_t *)text, n);
        gdb_send(g, out->str, out->len);
        text += n;
        left -= n;
    }
}

/* ---- in ---- */

void gdb_packet_reset(GdbPort *g)
{
    g->frame = FRAME_NONE;
    g_string_truncate(g->sent, 0);
}

static void acknowledge(GdbPort *g, char how)
{
    if (!g->no_ack)
        char_write(g->c, &how, 1);
}

static void packet_ends(GdbPort *g)
{
    g->frame = FRAME_NONE;
    if (g->sum != g->given && !g->no_ack) {
        acknowledge(g, '-');
        return;
    }
    acknowledge(g, '+');
    g_byte_array_append(g->body, (const guint8 *)"", 1);
    if (g->too_long || g->sum != g->given)
        gdb_handle_overlong(g);
    else
        gdb_handle(g, (const char *)g->body->data, g->body->len - 1);
}

static void take_outside(GdbPort *g, uint8_t ch)
{
    if (ch == '$') {
        g->frame = FRAME_BODY;
        g->sum = g->given = 0;
        g->escaped = g->too_long = false;
        g_byte_array_set_size(g->body, 0);
    } else if (ch == INTERRUPT) {
        gdb_interrupt(g);
    } else if (ch == '-' && !g->no_ack) {
        char_write(g->c, g->sent->str, g->sent->len);
    } else if (ch == '+') {
        g_string_truncate(g->sent, 0);
    }
}

static void take_body(GdbPort *g, uint8_t ch)
{
    if (ch == '#') {
        g->frame = FRAME_SUM_HIGH;
        return;
    }
    if (ch == '$') { /* the end of the one before was lost */
        take_outside(g, ch);
        return;
    }
    g->sum += ch;
    if (ch == ESCAPE && !g->escaped) {
        g->escaped = true;
        return;
    }
    uint8_t plain = g->escaped ? ch ^ ESCAPED : ch;
    g->escaped = false;
    if (g->body->len < GDB_PACKET_MAX)
        g_byte_array_append(g->body, &plain, 1);
    else
        g->too_long = true;
}

static void take_sum(GdbPort *g, uint8_t ch)
{
    int digit = g_ascii_xdigit_value(ch);
    if (digit < 0) {
        g->frame = FRAME_NONE;
        acknowledge(g, '-');
        return;
    }
    g->given = g->given << 4 | digit;
    if (g->frame++ == FRAME_SUM_LOW)
        packet_ends(g);
}

void gdb_packet_feed(GdbPort *g, const uint8_t *data, size_t size)
{
    for (; size && !g->closing; data++, size--)
        switch (g->frame) {
        case FRAME_NONE: take_outside(g, *data); break;
        case FRAME_BODY: take_body(g, *data); break;
        default: take_sum(g, *data); break;
        }
}

/* ---- parts ---- */

bool gdb_parse_hex(const char **p, uint64_t *v)
{
    const char *start = *p;
    *v = 0;
    for (; g_ascii_isxdigit(**p) && *p - start < 16; (*p)++)
        *v = *v << 4 | g_ascii_xdigit_value(**p);
    return *p != start && !g_ascii_isxdigit(**p);
}

bool gdb_parse_hex_then(const char **p, uint64_t *v, char then)
{
    if (!gdb_parse_hex(p, v) || **p != then)
        return false;
    if (then)
        (*p)++;
    return true;
}

bool gdb_parse_bytes(const char **p, uint8_t *bytes, size_t size)
{
    for (; size; size--, *p += 2) {
        if (!g_ascii_isxdigit((*p)[0]) || !g_ascii_isxdigit((*p)[1]))
            return false;
        *bytes++ = g_ascii_xdigit_value((*p)[0]) << 4 | g_ascii_xdigit_value((*p)[1]);
    }
    return true;
}

void gdb_put_bytes(GString *s, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    for (; size; size--, bytes++) {
        g_string_append_c(s, digits[*bytes >> 4]);
        g_string_append_c(s, digits[*bytes & 15]);
    }
}

/* "pPID.TID" too; there is one process. */
bool gdb_parse_thread(const char **p, uint64_t *id)
{
    if (**p == 'p') {
        const char *dot = strchr(*p, '.');
        *p = dot ? dot + 1 : *p + 1;
    }
    if (g_str_has_prefix(*p, "-1")) {
        *p += 2;
        *id = UINT64_MAX;
        return true;
    }
    return gdb_parse_hex(p, id);
}
