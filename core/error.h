/*
 * Errors of the user, as GError.  A message says what is wrong, where, and what would be right, in one line.
 */
#ifndef MYNA_CORE_ERROR_H
#define MYNA_CORE_ERROR_H

#include <glib.h>

#define MYNA_ERROR (g_quark_from_static_string("myna"))

/* Sets *err (code 0) by a printf format; returns FALSE, so that a caller may `return error_set(...)`. */
gboolean error_set(GError **err, const char *format, ...) G_GNUC_PRINTF(2, 3);

/*
 * The name among names[0..n) that is nearest to `given` (edit distance at most 3, and less than its length), or NULL.
 * names are not owned.
 */
const char *nearest_name(const char *given, const char *const *names, unsigned n);

/*
 * Parses a size with an optional suffix B, K, M, G, T (powers of 1024; without one: times default_unit).  FALSE and *err
 * naming `what` on a bad or too large number.
 */
gboolean parse_size(const char *what, const char *text, guint64 default_unit, guint64 *out, GError **err);

/* Parses the address of a network card, "52:54:00:12:34:56" (or with dashes), which is one station's. */
gboolean parse_mac(const char *what, const char *text, guint8 mac[6], GError **err);

#endif
