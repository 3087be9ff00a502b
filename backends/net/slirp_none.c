/* User mode networks where Myna was built without libslirp. */
#include "config.h"

#include "backends/net/user.h"

#ifndef CONFIG_SLIRP
#include "backends/net/backend.h"
#include "core/error.h"

#define NOT_BUILT "user networks are not built in: they need libslirp (Debian: libslirp-dev)"

const NetKind net_kind_user = {
    .name = "user", .help = NOT_BUILT,
};

bool net_user_available(void)
{
    return false;
}

bool net_is_user(const NetBackend *n)
{
    (void)n;
    return false;
}

bool net_user_is_restricted(const NetBackend *n)
{
    return net_is_user(n);
}

gboolean net_user_forward(NetBackend *n, const char *rule, GError **err)
{
    (void)n, (void)rule;
    return error_set(err, NOT_BUILT);
}

gboolean net_user_forget(NetBackend *n, const char *rule, GError **err)
{
    return net_user_forward(n, rule, err);
}

char *net_user_connections(NetBackend *n)
{
    (void)n;
    return g_strdup("");
}

char *net_user_ping_problem(void)
{
    return NULL;
}
#endif
