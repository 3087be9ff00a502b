/* Networks and their cards as the command line has them: -netdev, -nic, -net, and the card that nobody asked for. */
#ifndef MYNA_MACHINES_NETWORKS_H
#define MYNA_MACHINES_NETWORKS_H

#include "core/machine.h"
#include "machines/options.h"

/* Before the devices of -device, which name networks. */
gboolean networks_create(Machine *m, const Options *o, GError **err);

/* -object filter-dump,netdev=,file=: a capture of a network's frames. */
gboolean networks_create_object(Machine *m, const char *text, GError **err);

/* The network cards among device types, for -nic model=help. */
void networks_list_models(const DeviceType *const *types);

#endif
