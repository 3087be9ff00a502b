/*
 * Errors of the user: making them, guessing what was meant, and parsing sizes and addresses.
 */
#include "core/error.h"

#include <errno.h>
#include <string.h>

#include "util/bits.h"

#define NEAREST_MAX_LENGTH 63   /* longer names are never offered */
#define NEAREST_MAX_DISTANCE 3

gboolean error_set(GError **err, const char *format, ...)
{
    va_list args;

    if (!err)
        return FALSE;
    va_start(args, format);
    *err = g_error_new_valist(MYNA_ERROR, 0, format, args);
    va_end(args);
    return FALSE;
}

/* Levenshtein's distance, by one row of the table at a time. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned row[NEAREST_MAX_LENGTH + 1], width = strlen(b);

    for (unsigned j = 0; j <= width; j++)
        row[j] = j;
    for (unsigned i = 1; a[i - 1]; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= width; j++) {
            unsigned replace = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = MIN(replace, MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[width];
}

const char *nearest_name(const char *given, const char *const *names, unsigned n)
{
    unsigned best = MIN(NEAREST_MAX_DISTANCE + 1, strlen(given));
    const char *nearest = NULL;

    if (strlen(given) > NEAREST_MAX_LENGTH)
        return NULL;
    for (unsigned i = 0; i < n; i++) {
        if (strlen(names[i]) > NEAREST_MAX_LENGTH)
            continue;
        unsigned distance = edit_distance(given, names[i]);
        if (distance < best) {
            best = distance;
            nearest = names[i];
        }
    }
    return nearest;
}

/* The factor of a suffix, or 0 for an unknown one. */
static guint64 suffix_unit(char suffix)
{
    switch (g_ascii_toupper(suffix)) {
    case 'B': return 1;
    case 'K': return KiB;
    case 'M': return MiB;
    case 'G': return GiB;
    case 'T': return GiB * KiB;
    default: return 0;
    }
}

gboolean parse_size(const char *what, const char *text, guint64 default_unit, guint64 *out, GError **err)
{
    bool hex = text[0] == '0' && g_ascii_toupper(text[1]) == 'X';
    const char *digits = hex ? text + 2 : text;
    bool number = hex ? g_ascii_isxdigit(*digits) : g_ascii_isdigit(*digits);
    guint64 value = 0, unit = default_unit;
    char *end = NULL;

    errno = 0;
    if (number)
        value = g_ascii_strtoull(digits, &end, hex ? 16 : 10);
    if (number && *end)
        unit = end[1] ? 0 : suffix_unit(*end);
    if (!number || !unit)
        return error_set(err, "%s: '%s' is not a size: it takes a whole number with an optional suffix B, K, M, G or T",
                         what, text);
    if (errno == ERANGE || value > G_MAXUINT64 / unit)
        return error_set(err, "%s: '%s' is too large: sizes are less than 2^64 bytes", what, text);
    *out = value * unit;
    return TRUE;
}

gboolean parse_mac(const char *what, const char *text, guint8 mac[6], GError **err)
{
    guint8 bytes[6];
    const char *p = text;

    for (unsigned i = 0; i < 6; i++) {
        if (!g_ascii_isxdigit(p[0]) || !g_ascii_isxdigit(p[1]) || (i < 5 ? !strchr(":-", p[2]) || !p[2] : p[2] != 0))
            return error_set(err, "%s: '%s' is not an address like 52:54:00:12:34:56", what, text);
        bytes[i] = g_ascii_xdigit_value(p[0]) << 4 | g_ascii_xdigit_value(p[1]);
        p += 3;
    }
    if (bytes[0] & 1)
        return error_set(err, "%s: %s is a group's address; a card's has an even first byte", what, text);
    memcpy(mac, bytes, sizeof bytes);
    return TRUE;
}
