/*
 * Folders of the host for the guest, as the command line has them (machines/sharing.h).
 */
#include "machines/sharing.h"

#include "backends/9p/fsdev.h"
#include "machines/board.h"

gboolean shares_open(Machine *m, const Options *o, GError **err)
{
    for (guint i = 0; i < o->fsdevs->len; i++) {
        if (!fsdev_open(m, g_ptr_array_index(o->fsdevs, i), err))
            return FALSE;
    }
    return TRUE;
}

gboolean virtfs_create(Machine *m, const Options *o, GError **err)
{
    for (guint i = 0; i < o->virtfs->len; i++) {
        g_autofree char *share = NULL, *device = NULL;
        if (!fsdev_split_virtfs(g_ptr_array_index(o->virtfs, i), i, &share, &device, err) || !fsdev_open(m, share, err) ||
            !board_add_user_device(m, o, device, err))
            return FALSE;
    }
    return TRUE;
}
