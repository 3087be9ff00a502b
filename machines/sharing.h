/* Folders of the host for the guest, as the command line has them: -fsdev, -virtfs. */
#ifndef MYNA_MACHINES_SHARING_H
#define MYNA_MACHINES_SHARING_H

#include "core/machine.h"
#include "machines/options.h"

/* Those of -fsdev, before the devices of -device, which name them. */
gboolean shares_open(Machine *m, const Options *o, GError **err);
/* Those of -virtfs with their devices, which take the places that others leave. */
gboolean virtfs_create(Machine *m, const Options *o, GError **err);

#endif
