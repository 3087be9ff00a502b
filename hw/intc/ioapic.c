/*
 * The I/O APIC: 24 redirection entries (Intel 82093AA datasheet; EOI register of version 20h).
 */
#include <inttypes.h>

#include "core/log.h"
#include "core/machine.h"
#include "hw/intc/apic.h"
#include "util/bits.h"

#define PINS 24
#define ENTRY_REMOTE_IRR BIT(14)
#define ENTRY_LEVEL BIT(15)
#define ENTRY_MASKED BIT(16)
#define ENTRY_READ_ONLY (BIT(12) | ENTRY_REMOTE_IRR)

struct IoApic {
    Device dev;
    Region *region;
    ApicBus *bus;
    uint8_t select, id;
    uint32_t levels; /* bit n: pin n is asserted */
    uint64_t entry[PINS];
};

static void deliver(IoApic *io, unsigned pin)
{
    uint64_t e = io->entry[pin];
    ApicMessage msg = { .destination = e >> 56, .logical = e >> 11 & 1, .mode = e >> 8 & 7, .vector = e,
                        .level = e & ENTRY_LEVEL };
    if (msg.mode == APIC_EXTINT)
        return;
    if (e & ENTRY_LEVEL)
        io->entry[pin] |= ENTRY_REMOTE_IRR;
    apic_bus_deliver(io->bus, &msg);
}

/* Sends a level that is due: it waits while the pin is masked, or the last one was not yet ended. */
static void serve_level(IoApic *io, unsigned pin)
{
    uint64_t e = io->entry[pin];
    if ((e & ENTRY_LEVEL) && (io->levels >> pin & 1) && !(e & (ENTRY_MASKED | ENTRY_REMOTE_IRR)))
        deliver(io, pin);
}

static void pin_set(void *opaque, int pin, int level)
{
    IoApic *io = opaque;
    uint32_t bit = 1u << pin;
    bool edge = level && !(io->levels & bit);
    io->levels = level ? io->levels | bit : io->levels & ~bit;
    if (io->entry[pin] & ENTRY_LEVEL)
        serve_level(io, pin);
    else if (edge && !(io->entry[pin] & ENTRY_MASKED)) /* an edge on a masked pin is lost (section 3.2.4) */
        deliver(io, pin);
}

IrqLine ioapic_line(IoApic *io, unsigned pin) { return (IrqLine){ pin_set, io, pin }; }

static void end_of_interrupt(void *opaque, uint8_t vector)
{
    IoApic *io = opaque;
    for (unsigned pin = 0; pin < PINS; pin++)
        if ((io->entry[pin] & 0xff) == vector && (io->entry[pin] & ENTRY_REMOTE_IRR)) {
            io->entry[pin] &= ~ENTRY_REMOTE_IRR;
            serve_level(io, pin);
        }
}

static uint32_t read_selected(const IoApic *io)
{
    unsigned r = io->select;
    if (r >= 0x10 && r < 0x10 + PINS * 2)
        return io->entry[(r - 0x10) / 2] >> (r & 1 ? 32 : 0);
    switch (r) {
    case 0:
    case 2: return (uint32_t)io->id << 24;
    case 1: return 0x20 | (PINS - 1) << 16;
    default: return 0;
    }
}

static void write_entry(IoApic *io, unsigned pin, bool high, uint32_t v)
{
    uint64_t *e = &io->entry[pin];
    if (high) {
        *e = (*e & 0xffffffff) | (uint64_t)v << 32;
    } else {
        uint64_t keep = *e & (ENTRY_READ_ONLY | ~UINT64_C(0xffffffff));
        *e = keep | (v & 0x1ffff & ~ENTRY_READ_ONLY);
        if (!(*e & ENTRY_LEVEL))
            *e &= ~ENTRY_REMOTE_IRR;
    }
    serve_level(io, pin);
}

static void write_selected(IoApic *io, uint32_t v)
{
    unsigned r = io->select;
    if (r >= 0x10 && r < 0x10 + PINS * 2)
        write_entry(io, (r - 0x10) / 2, r & 1, v);
    else if (r == 0)
        io->id = v >> 24 & 15;
}

static uint64_t ioapic_read(void *opaque, uint64_t offset, unsigned size)
{
    IoApic *io = opaque;
    (void)size;
    switch (offset) {
    case 0x00: return io->select;
    case 0x10: return read_selected(io);
    default: return 0;
    }
}

static void ioapic_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    IoApic *io = opaque;
    (void)size;
    switch (offset) {
    case 0x00: io->select = v; break;
    case 0x10: write_selected(io, v); break;
    case 0x40: end_of_interrupt(io, v); break;
    default: log_guest_error("I/O APIC: write at offset 0x%x", (unsigned)offset); break;
    }
}

static const RegionOps ioapic_ops = { .read = ioapic_read, .write = ioapic_write, .min_size = 4, .max_size = 4 };

Region *ioapic_region(IoApic *io) { return io->region; }

static void dump_pin(const IoApic *io, unsigned pin, GString *out)
{
    static const char *const modes[8] = { "fixed", "lowest", "SMI", "?", "NMI", "INIT", "?", "ExtINT" };
    uint64_t e = io->entry[pin];
    g_string_append_printf(out, "  pin %2u 0x%016" PRIx64 " dest=%u vec=0x%02x %s active-%s %s %s %s%s%s\n", pin, e,
                           (unsigned)(e >> 56), (unsigned)e & 0xff, e & ENTRY_LEVEL ? "level" : "edge ",
                           e & BIT(13) ? "lo" : "hi", e & ENTRY_MASKED ? "masked" : "      ", modes[e >> 8 & 7],
                           e & BIT(11) ? "logical" : "physical", io->levels >> pin & 1 ? ", asserted" : "",
                           e & ENTRY_REMOTE_IRR ? ", waits for EOI" : "");
}

void ioapic_dump(const IoApic *io, GString *out)
{
    g_string_append_printf(out, "%s: ver=0x20 id=0x%02x sel=0x%02x\n", io->dev.id, io->id, io->select);
    for (unsigned pin = 0; pin < PINS; pin++)
        dump_pin(io, pin, out);
}

void ioapic_dump_pending(const IoApic *io, GString *out)
{
    for (unsigned pin = 0; pin < PINS; pin++)
        if ((io->levels >> pin & 1) || (io->entry[pin] & ENTRY_REMOTE_IRR))
            dump_pin(io, pin, out);
}

static gboolean ioapic_create(Device *dev, GError **err)
{
    IoApic *io = (IoApic *)dev;
    (void)err;
    io->region = region_new_io("ioapic", 0x1000, &ioapic_ops, io);
    io->bus = machine_find(dev->machine, "apic");
    apic_bus_set_eoi(io->bus, end_of_interrupt, io);
    return TRUE;
}

static void ioapic_reset(Device *dev)
{
    IoApic *io = (IoApic *)dev;
    io->select = io->id = 0;
    io->levels = 0;
    for (unsigned k = 0; k < PINS; k++)
        io->entry[k] = ENTRY_MASKED;
}

static void ioapic_destroy(Device *dev)
{
    IoApic *io = (IoApic *)dev;
    region_remove(io->region);
    region_free(io->region);
}

static const StateField ioapic_state[] = {
    STATE_U8(IoApic, select), STATE_U8(IoApic, id), STATE_U32(IoApic, levels),
    STATE_ARRAY_U64(IoApic, entry), STATE_END
};

const DeviceType ioapic_type = {
    .name = "ioapic", .description = "I/O APIC with 24 pins", .bus = "system", .size = sizeof(IoApic),
    .create = ioapic_create, .reset = ioapic_reset, .destroy = ioapic_destroy, .state = ioapic_state,
};
