/*
 * An AdLib Gold's synthesizer: an OPL3 (opl3.h) at 388h to 38bh, and at the address of a Sound Blaster, 220h to 223h.
 */
#include "hw/audio/adlib.h"

#include "core/machine.h"
#include "hw/audio/opl3.h"
#include "hw/isa/isa_device.h"

enum { ADLIB_PORT = 0x388 };

typedef struct Adlib {
    Device dev;
    Region *ports, *blaster_ports;
    AudioBackend *backend;
    uint32_t iobase;
    Opl3 opl3;
} Adlib;

static uint64_t adlib_read(void *opaque, uint64_t offset, unsigned size)
{
    Adlib *s = opaque;
    (void)size;
    return offset & 1 ? 0xff : opl3_read(&s->opl3);
}

static void adlib_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Adlib *s = opaque;
    (void)size;
    opl3_write(&s->opl3, offset, value);
}

static const RegionOps adlib_ops = { adlib_read, adlib_write, 1, 1 };

static gboolean adlib_create(Device *dev, GError **err)
{
    Adlib *s = (Adlib *)dev;
    IsaBus *bus = isa_bus_find(dev, err);

    if (!bus)
        return FALSE;
    opl3_init(&s->opl3, dev->machine, s->backend, "adlib");
    s->ports = isa_ports_add(dev, bus, ADLIB_PORT, OPL3_PORTS, &adlib_ops, s);
    s->blaster_ports = isa_ports_add(dev, bus, s->iobase, OPL3_PORTS, &adlib_ops, s);
    return TRUE;
}

static void adlib_destroy(Device *dev)
{
    Adlib *s = (Adlib *)dev;

    isa_ports_remove(dev, s->ports);
    isa_ports_remove(dev, s->blaster_ports);
    opl3_exit(&s->opl3);
}

static void adlib_reset(Device *dev)
{
    opl3_reset(&((Adlib *)dev)->opl3);
}

static gboolean adlib_post_load(Device *dev, GError **err)
{
    return opl3_restored(&((Adlib *)dev)->opl3, err);
}

static const Property adlib_properties[] = {
    PROPERTY(Adlib, backend, "audiodev", PROP_AUDIO, 0, "where sound goes (-audiodev); else the first one"),
    { .name = "iobase", .type = PROP_U32, .offset = offsetof(Adlib, iobase), .initial = 0x220, .max = 0xfffc,
      .help = "first of the other four ports" },
    PROPERTY_END
};

static const StateField adlib_state[] = { STATE_STRUCT(Adlib, opl3, opl3_state), STATE_END };

const DeviceType adlib_type = {
    .name = "adlib",
    .description = "Yamaha YMF262 (OPL3) synthesizer",
    .bus = "isa",
    .size = sizeof(Adlib),
    .user = true,
    .properties = adlib_properties,
    .create = adlib_create,
    .reset = adlib_reset,
    .destroy = adlib_destroy,
    .state = adlib_state,
    .post_load = adlib_post_load,
};
