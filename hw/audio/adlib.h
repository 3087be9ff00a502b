/* An AdLib card: an OPL3 synthesizer at 388h, and where a Sound Blaster has it. */
#ifndef MYNA_HW_AUDIO_ADLIB_H
#define MYNA_HW_AUDIO_ADLIB_H

#include "core/device.h"

extern const DeviceType adlib_type;

#endif
