/*
 * -fsdev: the host's folders that devices may share with the guest, by their ids.
 */
#ifndef MYNA_BACKENDS_9P_FSDEV_H
#define MYNA_BACKENDS_9P_FSDEV_H

#include "backends/9p/share.h"

typedef struct Machine Machine;

/* "local,id=ID,path=DIR[,readonly=on|off][,security_model=...]..."; *err is one line.  Owned by the machine. */
gboolean fsdev_open(Machine *m, const char *text, GError **err);
const Share *fsdev_find(Machine *m, const char *id);
void fsdev_close_all(Machine *m);

/*
 * -virtfs: the two of them that it stands for, to be freed: an argument of -fsdev, and one of -device.
 */
gboolean fsdev_split_virtfs(const char *text, unsigned n, char **fsdev, char **device, GError **err);

#endif
