/*
 * The coprocessor error latch: with CR0.NE clear a processor reports x87 errors by its FERR# pin, which a PC/AT turns
 * into interrupt 13; a write to port F0h (or F1h) takes it back (PIIX3 data sheet, "Coprocessor Error Register").
 */
#include "hw/misc/ferr.h"

#include "core/irq.h"
#include "core/machine.h"
#include "hw/isa/isa_device.h"

enum { FERR_IRQ = 13 };

typedef struct Ferr {
    Device dev;
    IsaBus *bus;
    Region *region;
    IrqLine input;
    bool latched;
} Ferr;

static void set_latch(Ferr *s, bool latched)
{
    s->latched = latched;
    irq_set(&s->bus->irq[FERR_IRQ], latched);
}

static void ferr_set(void *opaque, int n, int level)
{
    (void)n;
    if (level)
        set_latch(opaque, true);
}

static uint64_t ferr_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    return 0xff;
}

static void ferr_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)offset, (void)value, (void)size;
    set_latch(opaque, false);
}

static const RegionOps ferr_ops = { ferr_read, ferr_write, 1, 1 };

static gboolean ferr_create(Device *dev, GError **err)
{
    Ferr *s = (Ferr *)dev;
    s->bus = isa_bus_find(dev, err);
    if (!s->bus)
        return FALSE;
    s->region = isa_ports_add(dev, s->bus, 0xf0, 2, &ferr_ops, dev);
    s->input = (IrqLine){ ferr_set, s, 0 };
    machine_provide(dev->machine, "ferr", &s->input);
    return TRUE;
}

static void ferr_destroy(Device *dev)
{
    machine_provide(dev->machine, "ferr", NULL);
    isa_ports_remove(dev, ((Ferr *)dev)->region);
}

static void ferr_reset(Device *dev) { set_latch((Ferr *)dev, false); }

static gboolean ferr_post_load(Device *dev, GError **err)
{
    (void)err;
    set_latch((Ferr *)dev, ((Ferr *)dev)->latched);
    return TRUE;
}

static const StateField ferr_state[] = { STATE_BOOL(Ferr, latched), STATE_END };

const DeviceType ferr_type = {
    .name = "ferr", .description = "coprocessor error latch", .bus = "isa", .size = sizeof(Ferr),
    .create = ferr_create, .reset = ferr_reset, .destroy = ferr_destroy, .state = ferr_state,
    .post_load = ferr_post_load,
};
