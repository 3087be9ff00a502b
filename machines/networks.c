/*
 * Networks and their cards as the command line has them (machines/networks.h).
 */
#include "machines/networks.h"

#include "backends/net/net.h"

gboolean networks_create(Machine *m, const Options *o, GError **err)
{
    for (guint i = 0; i < o->netdevs->len; i++) {
        if (!net_open(m, g_ptr_array_index(o->netdevs, i), err))
            return FALSE;
    }
    return TRUE;
}
