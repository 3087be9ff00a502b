/* Sound as the command line has it: -audiodev, and -audio, which is a back end and its device in one. */
#ifndef MYNA_MACHINES_SOUND_H
#define MYNA_MACHINES_SOUND_H

#include "core/machine.h"
#include "machines/options.h"

/* Back ends, before any device; devices of -audio, when the board has its buses. */
gboolean sound_open(Machine *m, const Options *o, GError **err);
gboolean sound_devices_create(Machine *m, const Options *o, GError **err);

/* The models of -audio that are built in, for `-audio help`. */
void sound_list_models(const DeviceType *const *types);

#endif
