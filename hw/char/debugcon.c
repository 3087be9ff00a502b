/*
 * isa-debugcon: each byte written to the port (0xe9; SeaBIOS and OVMF use 0x402) goes to a character back end.  Guests
 * find it by reading: the port then gives `readback`, 0xe9.
 */
#include "hw/char/debugcon.h"

#include "backends/char/char.h"
#include "core/machine.h"
#include "hw/isa/isa_device.h"

typedef struct Debugcon {
    Device dev;
    Region *region;
    CharBackend *chardev;
    uint32_t iobase, readback;
} Debugcon;

static uint64_t debugcon_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)offset, (void)size;
    return ((Debugcon *)opaque)->readback;
}

static void debugcon_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    uint8_t byte = value;
    (void)offset, (void)size;

    char_write(((Debugcon *)opaque)->chardev, &byte, 1);
}

static const RegionOps debugcon_ops = { debugcon_read, debugcon_write, 1, 1 };

static gboolean debugcon_create(Device *dev, GError **err)
{
    Debugcon *s = (Debugcon *)dev;
    IsaBus *bus = isa_bus_find(dev, err);

    if (!bus)
        return FALSE;
    s->region = isa_ports_add(dev, bus, s->iobase, 1, &debugcon_ops, s);
    return TRUE;
}

static void debugcon_destroy(Device *dev)
{
    isa_ports_remove(dev, ((Debugcon *)dev)->region);
}

static void debugcon_reset(Device *dev)
{
    (void)dev;
}

static const Property debugcon_properties[] = {
    { .name = "iobase", .type = PROP_U32, .offset = offsetof(Debugcon, iobase), .initial = 0xe9, .max = 0xffff,
      .help = "port" },
    { .name = "readback", .type = PROP_U32, .offset = offsetof(Debugcon, readback), .initial = 0xe9, .max = 0xff,
      .help = "what a read of the port gives" },
    PROPERTY(Debugcon, chardev, "chardev", PROP_CHAR, 0, "character back end"),
    PROPERTY_END
};

static const StateField debugcon_state[] = { STATE_END }; /* the port keeps nothing */

const DeviceType debugcon_type = {
    .name = "isa-debugcon",
    .description = "debug console port",
    .bus = "isa",
    .size = sizeof(Debugcon),
    .user = true,
    .properties = debugcon_properties,
    .create = debugcon_create,
    .reset = debugcon_reset,
    .destroy = debugcon_destroy,
    .state = debugcon_state,
};
