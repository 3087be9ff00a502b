/*
 * isa-debug-exit: a write of v ends the emulator with exit status (v << 1) | 1, as with QEMU's device of that name.
 */
#include "hw/misc/debug_exit.h"

#include "core/machine.h"
#include "hw/isa/isa_device.h"

typedef struct DebugExit {
    Device dev;
    Region *region;
    uint32_t iobase, iosize;
} DebugExit;

static uint64_t debug_exit_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    return 0;
}

static void debug_exit_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    DebugExit *s = opaque;
    int status = (uint32_t)value << 1 | 1;
    (void)offset, (void)size;

    machine_request_shutdown(s->dev.machine, status, "guest request (isa-debug-exit)");
}

static const RegionOps debug_exit_ops = { debug_exit_read, debug_exit_write, 1, 4 };

static gboolean debug_exit_create(Device *dev, GError **err)
{
    DebugExit *s = (DebugExit *)dev;
    IsaBus *bus = isa_bus_find(dev, err);

    if (!bus)
        return FALSE;
    s->region = isa_ports_add(dev, bus, s->iobase, s->iosize, &debug_exit_ops, s);
    return TRUE;
}

static void debug_exit_destroy(Device *dev)
{
    isa_ports_remove(dev, ((DebugExit *)dev)->region);
}

static void debug_exit_reset(Device *dev)
{
    (void)dev;
}

static const Property debug_exit_properties[] = {
    { .name = "iobase", .type = PROP_U32, .offset = offsetof(DebugExit, iobase), .initial = 0x501, .max = 0xfffc,
      .help = "first port" },
    { .name = "iosize", .type = PROP_U32, .offset = offsetof(DebugExit, iosize), .initial = 2, .min = 1, .max = 4,
      .help = "number of ports" },
    PROPERTY_END
};

static const StateField debug_exit_state[] = { STATE_END }; /* the port keeps nothing */

const DeviceType debug_exit_type = {
    .name = "isa-debug-exit",
    .description = "port that ends the emulator with an exit status",
    .bus = "isa",
    .size = sizeof(DebugExit),
    .user = true,
    .properties = debug_exit_properties,
    .create = debug_exit_create,
    .reset = debug_exit_reset,
    .destroy = debug_exit_destroy,
    .state = debug_exit_state,
};
