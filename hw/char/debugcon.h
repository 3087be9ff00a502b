/* A port whose bytes go to the host: the debug console of Bochs and QEMU. */
#ifndef MYNA_HW_DEBUGCON_H
#define MYNA_HW_DEBUGCON_H

#include "core/device.h"

extern const DeviceType debugcon_type;

#endif
