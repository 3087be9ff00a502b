/*
 * pc-testdev: what kvm-unit-tests expects of QEMU's device of that name.
 *
 *   ports e0..e3        a 32-bit register; e8..eb the same register
 *   ports e4..e7        a physical address whose host mapping is to be dropped: nothing to do here
 *   ports 2000..2017    level of interrupt line 0..23
 *   memory ff000000     64 KiB of device memory, which behaves as RAM but is no RAM
 *
 * Lines from 16 on, and all of them at the I/O APIC, need the board's lines "gsi"; else the ISA bus's are used.
 */
#include "hw/misc/pc_testdev.h"

#include "core/machine.h"
#include "hw/isa/isa_device.h"
#include "util/endian.h"

enum { REGISTER_PORT = 0xe0, FLUSH_PORT = 0xe4, ALIAS_PORT = 0xe8, LINES_PORT = 0x2000, LINES = 24, ISA_LINES = 16 };
enum { MEMORY_SIZE = 0x10000, REGIONS = 5 };
#define MEMORY_ADDRESS UINT64_C(0xff000000)

typedef struct PcTestdev {
    Device dev;
    IsaBus *bus;
    Region *regions[REGIONS];
    uint8_t reg[4];
    bool level[LINES];
    uint8_t *memory;
} PcTestdev;

static uint64_t reg_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    return ((PcTestdev *)opaque)->reg[offset];
}

static void reg_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    ((PcTestdev *)opaque)->reg[offset] = value;
}

static uint64_t flush_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    return UINT64_MAX;
}

static void flush_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)opaque, (void)offset, (void)value, (void)size;
}

static uint64_t lines_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    return ((PcTestdev *)opaque)->level[offset];
}

static void line_drive(PcTestdev *s, unsigned n)
{
    const IrqLine *gsi = machine_find(s->dev.machine, "gsi");

    if (gsi)
        irq_set(&gsi[n], s->level[n]);
    else if (n < ISA_LINES)
        irq_set(&s->bus->irq[n], s->level[n]);
}

static void lines_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    PcTestdev *s = opaque;
    (void)size;

    s->level[offset] = value & 0xff;
    line_drive(s, offset);
}

static uint64_t memory_read(void *opaque, uint64_t offset, unsigned size)
{
    return ldle(((PcTestdev *)opaque)->memory + offset, size);
}

static void memory_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    stle(((PcTestdev *)opaque)->memory + offset, value, size);
}

static const RegionOps reg_ops = { reg_read, reg_write, 1, 1 };
static const RegionOps flush_ops = { flush_read, flush_write, 1, 4 };
static const RegionOps lines_ops = { lines_read, lines_write, 1, 1 };
static const RegionOps memory_ops = { memory_read, memory_write, 1, 8 };

static gboolean pc_testdev_create(Device *dev, GError **err)
{
    PcTestdev *s = (PcTestdev *)dev;
    IsaBus *bus = isa_bus_find(dev, err);

    if (!bus)
        return FALSE;
    s->bus = bus;
    s->memory = g_malloc0(MEMORY_SIZE);
    s->regions[0] = isa_ports_add(dev, bus, REGISTER_PORT, 4, &reg_ops, s);
    s->regions[1] = isa_ports_add(dev, bus, FLUSH_PORT, 4, &flush_ops, s);
    s->regions[2] = isa_ports_add(dev, bus, ALIAS_PORT, 4, &reg_ops, s);
    s->regions[3] = isa_ports_add(dev, bus, LINES_PORT, LINES, &lines_ops, s);
    s->regions[4] = region_new_io("pc-testdev-memory", MEMORY_SIZE, &memory_ops, s);
    machine_lock(dev->machine);
    region_add(as_root(bus->memory), MEMORY_ADDRESS, s->regions[4], 1);
    machine_unlock(dev->machine);
    return TRUE;
}

static void pc_testdev_destroy(Device *dev)
{
    PcTestdev *s = (PcTestdev *)dev;

    for (unsigned i = 0; i < REGIONS; i++)
        isa_ports_remove(dev, s->regions[i]);
    g_free(s->memory);
}

static void pc_testdev_reset(Device *dev)
{
    PcTestdev *s = (PcTestdev *)dev;

    memset(s->reg, 0, sizeof s->reg);
    memset(s->memory, 0, MEMORY_SIZE);
    for (unsigned n = 0; n < LINES; n++) {
        if (!s->level[n])
            continue;
        s->level[n] = false;
        line_drive(s, n);
    }
}

static const StateField pc_testdev_state[] = {
    STATE_ARRAY_U8(PcTestdev, reg), STATE_ARRAY_BOOL(PcTestdev, level), STATE_BUFFER(PcTestdev, memory, MEMORY_SIZE),
    STATE_END
};

const DeviceType pc_testdev_type = {
    .name = "pc-testdev",
    .description = "test device of kvm-unit-tests",
    .bus = "isa",
    .size = sizeof(PcTestdev),
    .user = true,
    .create = pc_testdev_create,
    .reset = pc_testdev_reset,
    .destroy = pc_testdev_destroy,
    .state = pc_testdev_state,
};
