/* Realtek's RTL8139C+ Fast Ethernet controller. */
#ifndef MYNA_HW_NET_RTL8139_H
#define MYNA_HW_NET_RTL8139_H

#include "core/device.h"

extern const DeviceType rtl8139_type;

#endif
