/* Intel's Gigabit Ethernet controllers 82540EM (e1000) and 82574L (e1000e). */
#ifndef MYNA_HW_NET_E1000_H
#define MYNA_HW_NET_E1000_H

#include "core/device.h"

extern const DeviceType e1000_type, e1000e_type;

#endif
