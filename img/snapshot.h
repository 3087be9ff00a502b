/* The list of snapshots, as `snapshot -l` and `info` print it. */
#ifndef MYNA_IMG_SNAPSHOT_H
#define MYNA_IMG_SNAPSHOT_H

#include <glib.h>

void img_snapshots_print(const GPtrArray *list); /* of ImageSnapshot *; nothing when it is empty */

#endif
