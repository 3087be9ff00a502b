/* Creative Sound Blaster 16: DSP 4.05, mixer CT1745, and an OPL3 synthesizer (opl3.h). */
#ifndef MYNA_HW_AUDIO_SB16_H
#define MYNA_HW_AUDIO_SB16_H

#include "core/device.h"

extern const DeviceType sb16_type;

#endif
