/*
 * Help for ISA devices: finding the bus, placing ports, the A20 gate.
 */
#include "hw/isa/isa_device.h"

#include "core/error.h"
#include "core/machine.h"

IsaBus *isa_bus_find(Device *dev, GError **err)
{
    IsaBus *bus = machine_find(dev->machine, "isa");
    if (!bus)
        error_set(err, "device '%s' (%s) needs an ISA bus, which this machine does not have", dev->id, dev->type->name);
    return bus;
}

Region *isa_ports_add(Device *dev, IsaBus *bus, unsigned port, unsigned count, const RegionOps *ops, void *opaque)
{
    Region *r = region_new_io(dev->type->name, count, ops, opaque);
    machine_lock(dev->machine);
    region_add(as_root(bus->ports), port, r, 0);
    machine_unlock(dev->machine);
    return r;
}

void isa_ports_remove(Device *dev, Region *r)
{
    if (!r)
        return;
    machine_lock(dev->machine);
    region_remove(r);
    machine_unlock(dev->machine);
    region_free(r);
}

void isa_set_a20(Machine *m, bool enabled)
{
    for (unsigned i = 0; i < m->cpu_count; i++)
        if (m->cpu_ports[i])
            m->cpu_ports[i]->a20(m->cpu_ports[i]->cpu, enabled);
}
