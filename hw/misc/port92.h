/* System control port A (92h): fast A20 and reset. */
#ifndef MYNA_HW_PORT92_H
#define MYNA_HW_PORT92_H

#include "core/device.h"

extern const DeviceType port92_type;

#endif
