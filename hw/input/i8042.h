/* The keyboard controller of a PC; hw/input/ps2.h has the keyboard and the mouse behind it. */
#ifndef MYNA_HW_I8042_H
#define MYNA_HW_I8042_H

#include "core/device.h"

extern const DeviceType i8042_type;

#endif
