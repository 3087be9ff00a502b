/* The serial port of a PC: a 16550A. */
#ifndef MYNA_HW_SERIAL_H
#define MYNA_HW_SERIAL_H

#include "core/device.h"

extern const DeviceType serial_type;

#endif
