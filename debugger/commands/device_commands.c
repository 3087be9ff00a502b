/* Commands that show devices and back ends: info irq, ioapic, pci, usb, chardev, roms, clock. */
#include <inttypes.h>

#include "backends/char/char.h"
#include "cpu/system.h"
#include "debugger/commands/command.h"
#include "hw/intc/apic.h"
#include "hw/intc/i8259.h"
#include "hw/pci/pci.h"
#include "hw/usb/usb.h"
#include "util/bits.h"
#include "util/endian.h"

/* ---- interrupts ---- */

static Lapic *lapic_of(MonitorCommand *c, unsigned n)
{
    g_autofree char *id = g_strdup_printf("apic%u", n);
    return (Lapic *)device_find(c->machine, id);
}

/* What is on its way: from the pins to the CPUs. */
static void info_irq(MonitorCommand *c)
{
    Device *pic = machine_find(c->machine, "i8259"), *ioapic = device_first(c->machine, &ioapic_type);
    Cpu *cpu;
    if (pic)
        i8259_dump(pic, c->out);
    if (ioapic) {
        g_string_append(c->out, "I/O APIC pins asserted or in service:\n");
        ioapic_dump_pending((IoApic *)ioapic, c->out);
    }
    for (unsigned k = 0; (cpu = debugger_cpu_at(c->debugger, k)); k++) {
        Lapic *apic = lapic_of(c, k);
        g_string_append_printf(c->out, "CPU %u: interrupts %s%s\n", k, cpu->eflags & F_IF ? "enabled" : "disabled",
                               atomic_load(&cpu->events) & EVENT_INTR ? ", one is pending" : "");
        if (apic)
            lapic_dump_vectors(apic, c->out);
    }
}

static void info_ioapic(MonitorCommand *c)
{
    Device *ioapic = device_first(c->machine, &ioapic_type);
    if (ioapic)
        ioapic_dump((IoApic *)ioapic, c->out);
    else
        g_string_append(c->out, "this machine has no I/O APIC\n");
}

/* ---- PCI ---- */

/* PCI Code and ID Assignment Specification, chapter 1. */
static const char *class_name(unsigned code)
{
    static const struct { unsigned code; const char *name; } names[] = {
        { 0x0100, "SCSI controller" }, { 0x0101, "IDE controller" }, { 0x0106, "SATA controller" },
        { 0x0108, "NVMe controller" },
        { 0x0200, "Ethernet controller" }, { 0x0300, "VGA controller" }, { 0x0401, "Audio controller" },
        { 0x0403, "Audio controller" }, { 0x0600, "Host bridge" }, { 0x0601, "ISA bridge" }, { 0x0604, "PCI bridge" },
        { 0x0680, "Bridge" }, { 0x0c03, "USB controller" }, { 0x0c05, "SMBus" },
    };
    for (unsigned k = 0; k < G_N_ELEMENTS(names); k++)
        if (names[k].code == code)
            return names[k].name;
    return NULL;
}

static void print_bar(const PciDevice *pci, unsigned n, GString *out)
{
    const PciBar *bar = &pci->bar[n];
    uint64_t size = region_size(bar->region);
    bool io = bar->flags & PCI_BAR_IO;
    g_string_append_printf(out, "      BAR%u: ", n);
    g_string_append(out, io ? "I/O" : bar->flags & PCI_BAR_MEMORY64 ? "64 bit" : "32 bit");
    if (!io)
        g_string_append_printf(out, "%s memory", bar->flags & PCI_BAR_PREFETCH ? " prefetchable" : "");
    if (bar->mapped)
        g_string_append_printf(out, " at 0x%0*" PRIx64 " [0x%0*" PRIx64 "].\n", io ? 4 : 8, bar->address, io ? 4 : 8,
                               bar->address + size - 1);
    else
        g_string_append_printf(out, ", 0x%" PRIx64 " bytes, not mapped.\n", size);
}

static void print_pci(const PciDevice *pci, GString *out)
{
    const uint8_t *config = pci->config;
    unsigned code = ld16le(config + PCI_CLASS + 1);
    g_string_append_printf(out, "  Bus  0, device %3d, function %d:\n    ", pci->devfn >> 3, pci->devfn & 7);
    if (class_name(code))
        g_string_append_printf(out, "%s:", class_name(code));
    else
        g_string_append_printf(out, "Class %04x:", code);
    g_string_append_printf(out, " PCI device %04x:%04x\n", ld16le(config + PCI_VENDOR_ID),
                           ld16le(config + PCI_DEVICE_ID));
    if (ld16le(config + PCI_SUBSYSTEM_VENDOR))
        g_string_append_printf(out, "      PCI subsystem %04x:%04x\n", ld16le(config + PCI_SUBSYSTEM_VENDOR),
                               ld16le(config + PCI_SUBSYSTEM));
    if (config[PCI_IRQ_PIN])
        g_string_append_printf(out, "      IRQ %u, pin %c%s\n", config[PCI_IRQ_LINE], 'A' + config[PCI_IRQ_PIN] - 1,
                               pci->intx_level ? ", asserted" : "");
    for (unsigned n = 0; n < G_N_ELEMENTS(pci->bar); n++)
        if (pci->bar[n].region)
            print_bar(pci, n, out);
    g_string_append_printf(out, "      id \"%s\"\n", pci->dev.id);
}

static void info_pci(MonitorCommand *c)
{
    PciBus *bus = machine_find(c->machine, "pci");
    if (!bus)
        g_string_append(c->out, "this machine has no PCI bus\n");
    for (unsigned devfn = 0; bus && devfn < 256; devfn++)
        if (pci_bus_device(bus, devfn))
            print_pci(pci_bus_device(bus, devfn), c->out);
}

static void info_usb(MonitorCommand *c) { usb_print(c->machine, c->out); }

/* ---- back ends ---- */

static void info_chardev(MonitorCommand *c)
{
    const CharBackend *b;
    for (unsigned k = 0; (b = char_nth(c->machine, k)); k++)
        g_string_append_printf(c->out, "%s: %s%s%s\n", char_id(b), char_kind_name(b),
                               char_is_open(b) ? "" : ", nobody is connected", char_is_connected(b) ? "" : ", unused");
}

/* ---- memory and time ---- */

static void info_roms(MonitorCommand *c)
{
    for (uint64_t at = 0; at < BIT(52);) {
        AsTarget t = as_lookup(c->machine->memory, at);
        uint64_t room = MAX(t.room, 1);
        if (t.host && t.readonly)
            g_string_append_printf(c->out, "addr=%016" PRIx64 " size=0x%06" PRIx64 " mem=rom name=\"%s\"\n", at, room,
                                   region_name(t.region));
        if (room > BIT(52) - at)
            return;
        at += room;
    }
}

static void print_seconds(const char *name, int64_t ns, GString *out)
{
    g_string_append_printf(out, "%s %" PRId64 ".%09" PRId64 " s\n", name, ns / NS_PER_SECOND, ns % NS_PER_SECOND);
}

static void info_clock(MonitorCommand *c)
{
    int64_t host = clock_now(c->machine->clocks, MYNA_CLOCK_HOST);
    g_autoptr(GDateTime) now = g_date_time_new_from_unix_utc(host / NS_PER_SECOND);
    g_autofree char *text = g_date_time_format(now, "%F %T");
    Cpu *cpu;
    print_seconds("the machine has run for", clock_now(c->machine->clocks, MYNA_CLOCK_VIRTUAL), c->out);
    g_string_append_printf(c->out, "the host's clock: %s UTC\n", text);
    for (unsigned k = 0; (cpu = debugger_cpu_at(c->debugger, k)); k++)
        g_string_append_printf(c->out, "TSC of CPU %u: 0x%016" PRIx64 " (%" PRIu64 " MHz)\n", k, tsc_read(cpu),
                               CPU_TSC_HZ / 1000000);
}

const CommandRow device_info[] = {
    { .name = "chardev", .arguments = "", .help = "character back ends: serial ports, monitors", .run = info_chardev },
    { .name = "clock", .aliases = "time", .arguments = "", .help = "the machine's time and time-stamp counters",
      .run = info_clock, .paused = true },
    { .name = "ioapic", .arguments = "", .help = "I/O APIC: each pin's entry", .run = info_ioapic, .paused = true },
    { .name = "irq", .arguments = "", .help = "interrupts on their way: 8259, I/O APIC, local APICs", .run = info_irq,
      .paused = true },
    { .name = "pci", .arguments = "", .help = "PCI devices and where their BARs are", .run = info_pci,
      .paused = true },
    { .name = "roms", .arguments = "", .help = "read-only memory", .run = info_roms },
    { .name = "usb", .arguments = "", .help = "USB buses, and the devices on them", .run = info_usb },
    { .name = NULL },
};
