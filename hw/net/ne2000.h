/* NE2000 network cards: on the ISA bus, and on PCI as Realtek's RTL8029. */
#ifndef MYNA_HW_NET_NE2000_H
#define MYNA_HW_NET_NE2000_H

#include "core/device.h"

extern const DeviceType ne2k_isa_type, ne2k_pci_type;

#endif
