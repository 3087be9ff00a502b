/* The PCI bus and the common half of its devices (pci.h). */
#include "hw/pci/pci.h"

#include <string.h>

#include "core/error.h"
#include "core/machine.h"
#include "hw/pci/pci_msi.h"
#include "util/bits.h"
#include "util/endian.h"

#define SLOTS 256

struct PciBus {
    Machine *machine;
    AddressSpace *memory, *ports;
    Region *memory_bars;  /* where memory BARs are mapped */
    PciDevice *devices[SLOTS];
    IrqLine lines[4];
    unsigned asserted[4]; /* devices that pull each PIRQ line */
};

PciBus *pci_bus_new(Machine *m, AddressSpace *memory, AddressSpace *ports)
{
    PciBus *bus = g_new0(PciBus, 1);
    bus->machine = m;
    bus->memory = memory;
    bus->ports = ports;
    bus->memory_bars = as_root(memory);
    machine_provide(m, "pci", bus);
    return bus;
}

void pci_bus_free(PciBus *bus) { g_free(bus); }

void pci_bus_set_memory_container(PciBus *bus, Region *container) { bus->memory_bars = container; }

void pci_bus_set_lines(PciBus *bus, const IrqLine lines[4]) { memcpy(bus->lines, lines, sizeof bus->lines); }

PciDevice *pci_bus_device(PciBus *bus, unsigned devfn) { return devfn < SLOTS ? bus->devices[devfn] : NULL; }

/* The place a BAR decodes, or all ones when it decodes nothing. */
static uint64_t bar_address(const PciDevice *pci, unsigned n)
{
    const PciBar *bar = &pci->bar[n];
    unsigned command = ld16le(pci->config + PCI_COMMAND), at = n == 6 ? PCI_ROM_BAR : PCI_BAR0 + n * 4;
    uint64_t v = ld32le(pci->config + at), size = region_size(bar->region);
    if (bar->flags & PCI_BAR_IO)
        v = command & PCI_COMMAND_IO ? v & ~UINT64_C(3) : ~UINT64_C(0);
    else if (!(command & PCI_COMMAND_MEMORY) || (n == 6 && !(v & 1)))
        return ~UINT64_C(0);
    else if (bar->flags & PCI_BAR_MEMORY64)
        v = (v & ~UINT64_C(15)) | (uint64_t)ld32le(pci->config + at + 4) << 32;
    else
        v &= n == 6 ? ~UINT64_C(0x7ff) : ~UINT64_C(15);
    /* Address 0 and the all-ones of sizing are no places (and a 64 KiB port space has no room above). */
    if (v == 0 || v + size - 1 < v || (bar->flags & PCI_BAR_IO ? v + size > 0x10000 : v >= BIT(52)))
        return ~UINT64_C(0);
    if (!(bar->flags & (PCI_BAR_MEMORY64 | PCI_BAR_IO)) && v + size > BIT(32))
        return ~UINT64_C(0);
    return v;
}

#define BAR_PRIORITY 1

static void map_bar(PciDevice *pci, unsigned n)
{
    PciBar *bar = &pci->bar[n];
    if (!bar->region)
        return;
    uint64_t address = bar_address(pci, n);
    if (bar->mapped && bar->address == address)
        return;
    if (bar->mapped)
        region_remove(bar->region);
    bar->mapped = address != ~UINT64_C(0);
    bar->address = address;
    Region *container = bar->flags & PCI_BAR_IO ? as_root(pci->bus->ports) : pci->bus->memory_bars;
    if (bar->mapped)
        region_add(container, address, bar->region, BAR_PRIORITY);
}

static void map_bars(PciDevice *pci)
{
    for (unsigned n = 0; n < ARRAY_SIZE(pci->bar); n++)
        map_bar(pci, n);
}

void pci_add_bar(PciDevice *pci, unsigned n, uint8_t flags, Region *region)
{
    unsigned at = n == 6 ? PCI_ROM_BAR : PCI_BAR0 + n * 4;
    uint64_t mask = ~(region_size(region) - 1);
    pci->bar[n] = (PciBar){ .region = region, .flags = flags };
    st32le(pci->config + at, n == 6 ? 0 : flags);
    st32le(pci->writable + at, n == 6 ? (mask & 0xfffff800) | 1 : mask & (flags & PCI_BAR_IO ? ~3u : ~15u));
    if (flags & PCI_BAR_MEMORY64)
        st32le(pci->writable + at + 4, mask >> 32);
}

static bool take_slot(PciDevice *pci, GError **err)
{
    PciBus *bus = pci->bus;
    if (pci->devfn >= 0) {
        if (pci->devfn >= SLOTS)
            return error_set(err, "%s: addr 0x%x is not on the bus: at most 0xff", pci->dev.id, pci->devfn);
        if (bus->devices[pci->devfn])
            return error_set(err, "%s: PCI slot 0x%x is taken by %s", pci->dev.id, pci->devfn >> 3,
                             bus->devices[pci->devfn]->dev.id);
    }
    for (int slot = 2; pci->devfn < 0 && slot < 32; slot++)
        if (!bus->devices[slot << 3])
            pci->devfn = slot << 3;
    if (pci->devfn < 0)
        return error_set(err, "%s: no PCI slot is free", pci->dev.id);
    bus->devices[pci->devfn] = pci;
    return true;
}

gboolean pci_device_init(PciDevice *pci, const PciId *id, GError **err)
{
    pci->bus = machine_find(pci->dev.machine, "pci");
    if (!pci->bus)
        return error_set(err, "%s: this machine has no PCI bus", pci->dev.id);
    if (!take_slot(pci, err))
        return FALSE;
    uint8_t *c = pci->config;
    st16le(c + PCI_VENDOR_ID, id->vendor);
    st16le(c + PCI_DEVICE_ID, id->device);
    c[PCI_REVISION] = id->revision;
    c[PCI_CLASS] = id->class_code;
    st16le(c + PCI_CLASS + 1, id->class_code >> 8);
    st16le(c + PCI_SUBSYSTEM_VENDOR, id->subsystem_vendor);
    st16le(c + PCI_SUBSYSTEM, id->subsystem);
    c[PCI_IRQ_PIN] = id->interrupt_pin;
    st16le(pci->writable + PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | 0x140 |
                                            PCI_COMMAND_INTX_DISABLE);
    st16le(pci->clear + PCI_STATUS, 0xf900);
    pci->writable[0x0c] = pci->writable[0x0d] = 0xff;
    pci->writable[PCI_IRQ_LINE] = 0xff;
    return TRUE;
}

void pci_device_exit(PciDevice *pci)
{
    if (!pci->bus)
        return;
    pci_set_irq(pci, 0);
    for (unsigned n = 0; n < ARRAY_SIZE(pci->bar); n++)
        if (pci->bar[n].region && pci->bar[n].mapped)
            region_remove(pci->bar[n].region);
    if (pci->devfn >= 0 && pci->bus->devices[pci->devfn] == pci)
        pci->bus->devices[pci->devfn] = NULL;
}

void pci_device_reset(PciDevice *pci)
{
    pci_set_irq(pci, 0);
    st16le(pci->config + PCI_COMMAND, 0);
    pci->config[PCI_IRQ_LINE] = 0;
    for (unsigned n = 0; n < ARRAY_SIZE(pci->bar); n++)
        if (pci->bar[n].region) {
            unsigned at = n == 6 ? PCI_ROM_BAR : PCI_BAR0 + n * 4;
            st32le(pci->config + at, n == 6 ? 0 : pci->bar[n].flags);
            if (pci->bar[n].flags & PCI_BAR_MEMORY64)
                st32le(pci->config + at + 4, 0);
        }
    pci_msi_reset(pci);
    map_bars(pci);
}

/* Routes INTx: device slot and pin give a PIRQ as on QEMU's and Intel's i440FX boards. */
static unsigned route(const PciDevice *pci)
{
    return ((pci->devfn >> 3) - 1 + (pci->config[PCI_IRQ_PIN] - 1)) & 3;
}

static bool intx_visible(const PciDevice *pci)
{
    return pci->intx_level && !(ld16le(pci->config + PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE);
}

/* Recounts the devices that pull a line: it is up while any does. */
static void update_line(PciBus *bus, unsigned line)
{
    unsigned n = 0;
    for (unsigned k = 0; k < SLOTS; k++)
        if (bus->devices[k] && bus->devices[k]->config[PCI_IRQ_PIN] && intx_visible(bus->devices[k]) &&
            route(bus->devices[k]) == line)
            n++;
    bus->asserted[line] = n;
    irq_set(&bus->lines[line], n != 0);
}

void pci_set_irq(PciDevice *pci, int level)
{
    if (pci->intx_level == !!level || !pci->config[PCI_IRQ_PIN])
        return;
    pci->intx_level = level;
    pci->config[PCI_STATUS] = (pci->config[PCI_STATUS] & ~8) | (level ? 8 : 0);
    update_line(pci->bus, route(pci));
}

AddressSpace *pci_memory(const PciDevice *pci) { return pci->bus->memory; }

bool pci_may_master(const PciDevice *pci) { return ld16le(pci->config + PCI_COMMAND) & PCI_COMMAND_MASTER; }

void pci_dma_read(PciDevice *pci, uint64_t addr, void *buf, uint64_t size)
{
    if (pci_may_master(pci))
        as_read_bytes(pci->bus->memory, addr, buf, size);
    else
        memset(buf, 0xff, size);
}

void pci_dma_write(PciDevice *pci, uint64_t addr, const void *buf, uint64_t size)
{
    if (pci_may_master(pci))
        as_write_bytes(pci->bus->memory, addr, buf, size);
}

/* The device of a configuration address (SDM-independent: PCI 3.0 section 3.2.2.3.2), or NULL; only bus 0 exists. */
static PciDevice *config_target(PciBus *bus, uint32_t address)
{
    return address >> 16 & 0xff ? NULL : bus->devices[address >> 8 & 0xff];
}

uint32_t pci_bus_config_read(PciBus *bus, uint32_t address, unsigned size)
{
    PciDevice *pci = config_target(bus, address);
    unsigned at = address & 0xff;
    if (!pci || at + size > sizeof pci->config)
        return 0xffffffff;
    if (pci->config_reading)
        pci->config_reading(pci, at, size);
    return ldle(pci->config + at, size);
}

static void config_write_byte(PciDevice *pci, unsigned at, uint8_t v)
{
    uint8_t w = pci->writable[at];
    pci->config[at] = ((pci->config[at] & ~w) | (v & w)) & ~(v & pci->clear[at]);
}

void pci_bus_config_write(PciBus *bus, uint32_t address, uint32_t v, unsigned size)
{
    PciDevice *pci = config_target(bus, address);
    unsigned at = address & 0xff;
    if (!pci || at + size > sizeof pci->config)
        return;
    for (unsigned k = 0; k < size; k++)
        config_write_byte(pci, at + k, v >> (k * 8));
    map_bars(pci);
    if (pci->config[PCI_IRQ_PIN])
        update_line(bus, route(pci));
    pci_msi_written(pci, at, size);
    if (pci->config_written)
        pci->config_written(pci, at, size);
}

void pci_device_restored(PciDevice *pci)
{
    map_bars(pci);
    if (pci->config[PCI_IRQ_PIN])
        update_line(pci->bus, route(pci));
}

const StateField pci_device_state[] = {
    STATE_BYTES(PciDevice, config), STATE_BOOL(PciDevice, intx_level), STATE_END
};
