/*
 * What most ISA devices need in create() and destroy(): the bus, and ports on it.
 */
#ifndef MYNA_HW_ISA_DEVICE_H
#define MYNA_HW_ISA_DEVICE_H

#include "core/device.h"
#include "hw/isa.h"

/* The bus the board provided as "isa"; NULL with *err naming the device when the machine has none. */
IsaBus *isa_bus_find(Device *dev, GError **err);

/* Puts `count` ports of a device at `port`, named after its type; removes and frees them (NULL: nothing happens). */
Region *isa_ports_add(Device *dev, IsaBus *bus, unsigned port, unsigned count, const RegionOps *ops, void *opaque);
void isa_ports_remove(Device *dev, Region *r);

/*
 * Sets address line A20 of all CPUs.  Keyboard controller and port 92h both drive it; the one written last wins, as on
 * chip sets that mirror the two.
 */
void isa_set_a20(Machine *m, bool enabled);

#endif
