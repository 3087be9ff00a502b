/* A port by which a test in the guest ends the emulator with an exit status. */
#ifndef MYNA_HW_DEBUG_EXIT_H
#define MYNA_HW_DEBUG_EXIT_H

#include "core/device.h"

extern const DeviceType debug_exit_type;

#endif
