/* Finding JSON objects in a stream of bytes (qmp_reader.h). */
#include "debugger/qmp/qmp_reader.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum { BEGIN_ANEW = 0xff }; /* what clients send to be sure that nothing has begun: it belongs to no UTF-8 */

void qmp_reader_init(QmpReader *r) { *r = (QmpReader){ .text = g_string_new(NULL) }; }
void qmp_reader_clear(QmpReader *r) { g_string_free(r->text, TRUE); }

void qmp_reader_reset(QmpReader *r)
{
    GString *text = g_string_truncate(r->text, 0);
    *r = (QmpReader){ .text = text };
}

/* ---- numbers and names (RFC 8259, sections 3 and 6), which json-glib takes in more forms than JSON has ---- */

static const char *pass_digits(const char *p)
{
    return p + strspn(p, "0123456789");
}

/* Behind the number at p; NULL: it is none.  *whole: it is an integer. */
static const char *pass_number(const char *p, bool *whole)
{
    p += *p == '-';
    if (!g_ascii_isdigit(*p))
        return NULL;
    p = *p == '0' ? p + 1 : pass_digits(p);
    *whole = *p != '.' && *p != 'e' && *p != 'E';
    if (*p == '.') {
        if (!g_ascii_isdigit(*++p))
            return NULL;
        p = pass_digits(p);
    }
    if (*p == 'e' || *p == 'E') {
        p += p[1] == '+' || p[1] == '-' ? 2 : 1;
        if (!g_ascii_isdigit(*p))
            return NULL;
        p = pass_digits(p);
    }
    return p;
}

/* Whether 64 bits hold it: JsonNode's integers have no more. */
static bool fits(const char *number, bool whole)
{
    errno = 0;
    if (!whole)
        return isfinite(g_ascii_strtod(number, NULL));
    if (*number == '-')
        g_ascii_strtoll(number, NULL, 10);
    else
        g_ascii_strtoull(number, NULL, 10);
    return errno == 0;
}

static const char *check_word(const char *w)
{
    bool whole;
    if (!strcmp(w, "true") || !strcmp(w, "false") || !strcmp(w, "null"))
        return NULL;
    const char *end = pass_number(w, &whole);
    if (!end || *end)
        return "neither a number nor true, false or null";
    return fits(w, whole) ? NULL : "a number that is too large";
}

/* ---- bytes ---- */

/* Return is what a terminal in raw mode sends. */
static bool ends_line(uint8_t byte) { return byte == '\n' || byte == '\r' || byte == BEGIN_ANEW; }

static QmpRead fail(QmpReader *r, uint8_t byte, const char *why, const char **mistake)
{
    qmp_reader_reset(r);
    r->skipping = !ends_line(byte);
    *mistake = why;
    return QMP_MISTAKE;
}

/* Within a string; NULL: all right. */
static const char *take_in_string(QmpReader *r, uint8_t byte)
{
    if (byte < ' ')
        return "a control character in a string";
    if (r->escaped)
        r->escaped = false;
    else if (byte == '\\')
        r->escaped = true;
    else if (byte == (uint8_t)r->quote)
        r->quote = 0;
    return NULL;
}

static const char *take_open(QmpReader *r, uint8_t byte)
{
    if (r->depth == QMP_DEPTH_MAX)
        return "brackets nested too deeply";
    r->open[r->depth++] = byte;
    return NULL;
}

static const char *take_close(QmpReader *r, uint8_t byte)
{
    char opened = r->open[--r->depth];
    return opened == (byte == '}' ? '{' : '[') ? NULL : "brackets that do not match";
}

static bool is_word(uint8_t byte) { return byte && (g_ascii_isalnum(byte) || strchr("+-._", byte)); }
static bool is_blank(uint8_t byte) { return byte && strchr(" \t\r\n", byte); }

static const char *end_word(QmpReader *r)
{
    if (!r->in_word)
        return NULL;
    r->in_word = false;
    return check_word(r->text->str + r->word);
}

/* Between strings. */
static const char *take_plain(QmpReader *r, uint8_t byte)
{
    if (is_word(byte)) {
        r->word = r->in_word ? r->word : r->text->len;
        r->in_word = true;
        return NULL;
    }
    const char *why = end_word(r);
    if (why || is_blank(byte) || byte == ',' || byte == ':')
        return why;
    switch (byte) {
    case '"':
    case '\'': r->quote = byte; return NULL;
    case '{':
    case '[': return take_open(r, byte);
    case '}':
    case ']': return take_close(r, byte);
    default: return "a character that belongs to no JSON";
    }
}

QmpRead qmp_reader_take(QmpReader *r, uint8_t byte, const char **mistake)
{
    if (r->skipping) {
        r->skipping = !ends_line(byte);
        return QMP_MORE;
    }
    if (byte == BEGIN_ANEW)
        return fail(r, byte, "a byte that belongs to no UTF-8", mistake);
    if (!r->depth) {
        g_string_truncate(r->text, 0);
        if (is_blank(byte))
            return QMP_MORE;
        if (byte != '{' && byte != '[')
            return fail(r, byte, "expected an object", mistake);
    }
    const char *why = r->quote ? take_in_string(r, byte) : take_plain(r, byte);
    if (!why && r->text->len >= QMP_SIZE_MAX)
        why = "longer than 1 MiB";
    if (why)
        return fail(r, byte, why, mistake);
    g_string_append_c(r->text, byte);
    return r->depth ? QMP_MORE : QMP_WHOLE;
}
