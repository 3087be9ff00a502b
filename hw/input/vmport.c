/* VMware's backdoor (vmport.h). */
#include "hw/input/vmport.h"

#include "core/log.h"
#include "core/machine.h"
#include "hw/isa/isa_device.h"

enum { PORT = 0x5658, PORT_COUNT = 4 };
#define MAGIC UINT32_C(0x564d5868)
enum { COMMAND_VERSION = 10, COMMAND_RAM_SIZE = 20, COMMAND_FREQUENCY = 45 };
enum { VERSION = 6, PRODUCT = 2, RAM_SIZE_SIGN = 0x1177 };

typedef struct Vmport {
    Device dev;
    Region *region;
    uint64_t tsc_hz;             /* property */
    struct {
        VmportFn *fn;
        void *opaque;
    } command[VMPORT_COMMANDS];
} Vmport;

void vmport_serve(Device *dev, unsigned n, VmportFn *fn, void *opaque)
{
    Vmport *s = (Vmport *)dev;
    s->command[n].fn = fn;
    s->command[n].opaque = opaque;
}

static void command_version(void *opaque, uint32_t r[IO_REGISTERS])
{
    (void)opaque;
    r[IO_EAX] = VERSION;
    r[IO_EBX] = MAGIC;
    r[IO_ECX] = PRODUCT;
}

static void command_ram_size(void *opaque, uint32_t r[IO_REGISTERS])
{
    const Vmport *s = opaque;
    r[IO_EAX] = MIN(s->dev.machine->ram_size, UINT32_MAX);
    r[IO_EBX] = RAM_SIZE_SIGN;
}

/* Of the TSC, 64 bits, and of the local APIC's timer, which counts as fast. */
static void command_frequency(void *opaque, uint32_t r[IO_REGISTERS])
{
    const Vmport *s = opaque;
    r[IO_EAX] = s->tsc_hz;
    r[IO_EBX] = s->tsc_hz >> 32;
    r[IO_ECX] = s->tsc_hz;
}

/* The CPU whose access this is, and its registers; NULL: no CPU's. */
static const CpuPort *caller_of(const Vmport *s, uint32_t r[IO_REGISTERS])
{
    const Machine *m = s->dev.machine;

    for (unsigned n = 0; n < m->cpu_count; n++) {
        const CpuPort *cpu = m->cpu_ports[n];
        if (cpu->io_get && cpu->io_get(cpu->cpu, r))
            return cpu;
    }
    return NULL;
}

/* What there is not is answered by all ones. */
static uint32_t vmport_call(Vmport *s)
{
    uint32_t r[IO_REGISTERS];
    const CpuPort *cpu = caller_of(s, r);

    if (!cpu || r[IO_EAX] != MAGIC)
        return UINT32_MAX;
    unsigned n = (uint16_t)r[IO_ECX];
    if (n < VMPORT_COMMANDS && s->command[n].fn) {
        s->command[n].fn(s->command[n].opaque, r);
    } else {
        log_printf(LOG_UNIMP, "vmport: command %u is not there\n", n);
        r[IO_EAX] = UINT32_MAX;
    }
    cpu->io_set(cpu->cpu, r);
    return r[IO_EAX];
}

static uint64_t vmport_read(void *opaque, uint64_t offset, unsigned size)
{
    return offset || size != 4 ? UINT64_MAX : vmport_call(opaque);
}

/* OUT is a call too; it finds no result in EAX that it would lose. */
static void vmport_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)value;
    if (!offset && size == 4)
        vmport_call(opaque);
}

static const RegionOps vmport_ops = { vmport_read, vmport_write, 1, 4 };

static gboolean vmport_create(Device *dev, GError **err)
{
    IsaBus *bus = isa_bus_find(dev, err);

    if (!bus)
        return FALSE;
    ((Vmport *)dev)->region = isa_ports_add(dev, bus, PORT, PORT_COUNT, &vmport_ops, dev);
    vmport_serve(dev, COMMAND_VERSION, command_version, dev);
    vmport_serve(dev, COMMAND_RAM_SIZE, command_ram_size, dev);
    if (((Vmport *)dev)->tsc_hz)
        vmport_serve(dev, COMMAND_FREQUENCY, command_frequency, dev);
    machine_provide(dev->machine, "vmport", dev);
    return TRUE;
}

static void vmport_destroy(Device *dev)
{
    machine_provide(dev->machine, "vmport", NULL);
    isa_ports_remove(dev, ((Vmport *)dev)->region);
}

static void vmport_reset(Device *dev) { (void)dev; }

static const Property vmport_properties[] = {
    PROPERTY(Vmport, tsc_hz, "tsc-frequency", PROP_U64, 0, "what the guest is told of the TSC, in Hz; 0: nothing"),
    PROPERTY_END
};

static const StateField vmport_state[] = { STATE_END };

const DeviceType vmport_type = {
    .name = "vmport",
    .description = "VMware's backdoor port",
    .bus = "isa",
    .size = sizeof(Vmport),
    .properties = vmport_properties,
    .create = vmport_create,
    .reset = vmport_reset,
    .destroy = vmport_destroy,
    .state = vmport_state,
};
