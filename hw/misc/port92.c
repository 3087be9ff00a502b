/*
 * System control port A, 92h (PIIX3 data sheet, "Port 92 Register"): fast A20 gate and fast CPU reset.
 */
#include "hw/misc/port92.h"

#include "core/machine.h"
#include "hw/isa/isa_device.h"

enum { FAST_RESET = 0x01, FAST_A20 = 0x02 };

typedef struct Port92 {
    Device dev;
    Region *region;
    uint8_t value;
} Port92;

static uint64_t port92_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)offset, (void)size;
    return ((Port92 *)opaque)->value;
}

static void port92_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Port92 *s = opaque;
    bool reset = (value & FAST_RESET) && !(s->value & FAST_RESET); /* the bit's rise does it */
    (void)offset, (void)size;

    s->value = value & (FAST_RESET | FAST_A20);
    isa_set_a20(s->dev.machine, value & FAST_A20);
    if (reset)
        machine_request_reset(s->dev.machine, "guest request (port 0x92)");
}

static const RegionOps port92_ops = { port92_read, port92_write, 1, 1 };

static gboolean port92_create(Device *dev, GError **err)
{
    IsaBus *bus = isa_bus_find(dev, err);

    if (!bus)
        return FALSE;
    ((Port92 *)dev)->region = isa_ports_add(dev, bus, 0x92, 1, &port92_ops, dev);
    return TRUE;
}

static void port92_destroy(Device *dev)
{
    isa_ports_remove(dev, ((Port92 *)dev)->region);
}

/* A processor comes out of reset with A20 open, which the port shows. */
static void port92_reset(Device *dev)
{
    ((Port92 *)dev)->value = FAST_A20;
}

static const StateField port92_state[] = { STATE_U8(Port92, value), STATE_END };

const DeviceType port92_type = {
    .name = "port92",
    .description = "system control port A (fast A20 and reset)",
    .bus = "isa",
    .size = sizeof(Port92),
    .create = port92_create,
    .reset = port92_reset,
    .destroy = port92_destroy,
    .state = port92_state,
};
