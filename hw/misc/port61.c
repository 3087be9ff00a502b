/*
 * System control port B, 61h (PIIX3 data sheet, "NMI Status and Control Register"): gate of timer channel 2, speaker
 * data, refresh toggle and the timer's output.  The speaker itself makes no sound.
 */
#include "hw/misc/port61.h"

#include "core/error.h"
#include "core/machine.h"
#include "hw/isa/isa_device.h"
#include "hw/timer/i8254.h"

enum { SPEAKER_CHANNEL = 2 };
enum { GATE2 = 0x01, WRITABLE = 0x0f, REFRESH = 0x10, OUT2 = 0x20 };
/* Memory is refreshed each 18 ticks of the timer's clock (15 us), and the bit turns over each time. */
enum { REFRESH_TICKS = 18 };

typedef struct Port61 {
    Device dev;
    Region *region;
    Device *pit;
    uint8_t control;
} Port61;

static uint64_t port61_read(void *opaque, uint64_t offset, unsigned size)
{
    Port61 *s = opaque;
    uint8_t v = s->control;
    (void)offset, (void)size;

    if (i8254_ticks(s->pit) / REFRESH_TICKS & 1)
        v |= REFRESH;
    if (i8254_output(s->pit, SPEAKER_CHANNEL))
        v |= OUT2;
    return v;
}

static void port61_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Port61 *s = opaque;
    (void)offset, (void)size;

    s->control = value & WRITABLE;
    i8254_set_gate(s->pit, SPEAKER_CHANNEL, value & GATE2);
}

static const RegionOps port61_ops = { port61_read, port61_write, 1, 1 };

static gboolean port61_create(Device *dev, GError **err)
{
    Port61 *s = (Port61 *)dev;
    IsaBus *bus = isa_bus_find(dev, err);

    if (!bus)
        return FALSE;
    s->pit = machine_find(dev->machine, "i8254");
    if (!s->pit)
        return error_set(err, "device '%s' (%s) needs an 8254 timer, which this machine does not have", dev->id,
                         dev->type->name);
    s->region = isa_ports_add(dev, bus, 0x61, 1, &port61_ops, s);
    return TRUE;
}

static void port61_destroy(Device *dev)
{
    isa_ports_remove(dev, ((Port61 *)dev)->region);
}

static void port61_reset(Device *dev)
{
    ((Port61 *)dev)->control = 0; /* the timer resets its gates itself */
}

static const StateField port61_state[] = { STATE_U8(Port61, control), STATE_END };

const DeviceType port61_type = {
    .name = "isa-pcspk",
    .description = "system control port B (speaker gate, refresh)",
    .bus = "isa",
    .size = sizeof(Port61),
    .create = port61_create,
    .reset = port61_reset,
    .destroy = port61_destroy,
    .state = port61_state,
};
