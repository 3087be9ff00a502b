/* QMP where Myna was built without json-glib (qmp.h). */
#include "config.h"

#ifndef CONFIG_JSON_GLIB
#include "core/error.h"
#include "debugger/qmp/qmp.h"

gboolean qmp_attach(Machine *m, CharBackend *c, bool pretty, const char *what, GError **err)
{
    (void)m, (void)c, (void)pretty;
    return error_set(err, "%s: this Myna was built without json-glib; install it (Debian: libjson-glib-dev) and build anew",
                     what);
}

void qmp_free_all(Machine *m) { (void)m; }
#endif
