/* The device that kvm-unit-tests finds on a PC. */
#ifndef MYNA_HW_PC_TESTDEV_H
#define MYNA_HW_PC_TESTDEV_H

#include "core/device.h"

extern const DeviceType pc_testdev_type;

#endif
