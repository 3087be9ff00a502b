/* The list of all device types: what -device can add (those with `user` set), and what boards place. */
#ifndef MYNA_MACHINES_DEVICES_H
#define MYNA_MACHINES_DEVICES_H

#include "core/device.h"

extern const DeviceType *const device_types[]; /* NULL-ended */

#endif
