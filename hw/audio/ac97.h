/* Intel 82801AA AC'97 audio controller with a codec on its link. */
#ifndef MYNA_HW_AUDIO_AC97_H
#define MYNA_HW_AUDIO_AC97_H

#include "core/device.h"

extern const DeviceType ac97_type;

#endif
