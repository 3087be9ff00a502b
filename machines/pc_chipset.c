/*
 * The chip set of the `pc` board: PCI bus, 82441FX host bridge, PIIX3 and PIIX4; and what firmware would do to the PCI
 * bus, for kernels that start without one: interrupt routing, base addresses, power management ports.
 */
#include <string.h>

#include "cpu/segment.h"
#include "hw/acpi/piix4_pm.h"
#include "hw/isa/piix3.h"
#include "hw/pci/i440fx.h"
#include "hw/timer/mc146818.h"
#include "machines/pc.h"
#include "util/bits.h"
#include "util/endian.h"

enum { CONFIG_ENABLE = 1u << 31, PIIX3_DEVFN = 1 << 3, PIIX3_PIRQ = 0x60, DEVFN_COUNT = 256, BAR_COUNT = 6 };
enum { ELCR_SLAVE = 0x4d1, LEVEL_IRQ_10_11 = 0x0c };
enum { ACPI_AT = 0xe0000, ACPI_ROOM = 0x10000 }; /* in the ROM area, where the memory map has no RAM for kernels to use */
enum { BAR_IO_START = 0xc000, BAR_IO_END = 0x10000 };
#define BAR_MEMORY_END UINT64_C(0xfec00000)

/* ISA lines of PIRQA..D. */
static const uint8_t pirq_lines[4] = {10, 10, 11, 11};

/* SMIACT# is up while any processor is in SMM; the bridge does not know whose access it sees. */
static void smm_changed(void *opaque, bool in_smm)
{
    Pc *pc = opaque;
    for (unsigned i = 0; i < pc->cpu_count; i++)
        in_smm = in_smm || pc->cpus[i]->in_smm;
    i440fx_set_smm(pc->bridge, in_smm);
}

static void power_button(void *opaque)
{
    piix4_pm_power_button(opaque);
}

static gboolean pm_create(Pc *pc, GError **err)
{
    if (!pc->o->machine.acpi)
        return TRUE;
    pc->pm = (Piix4Pm *)board_add_device(pc->m, pc->o, &piix4_pm_type, NULL, err, NULL);
    if (!pc->pm)
        return FALSE;
    piix4_pm_connect(pc->pm, cpu_port(pc->cpus[0]), pc->gsi[9]);
    pc->m->powerdown = power_button;
    pc->m->powerdown_opaque = pc->pm;
    return TRUE;
}

gboolean pc_chipset_create(Pc *pc, GError **err)
{
    pc->pci_bus = pci_bus_new(pc->m, pc->m->memory, pc->m->ports);
    pci_bus_set_memory_container(pc->pci_bus, pc->pci);
    pc->bridge = (I440fx *)board_add_device(pc->m, pc->o, &i440fx_type, NULL, err, NULL);
    Piix3 *south = pc->bridge ? (Piix3 *)board_add_device(pc->m, pc->o, &piix3_type, NULL, err, NULL) : NULL;
    if (!south)
        return FALSE;
    piix3_set_isa_lines(south, pc->isa.irq);
    pc->m->smm_changed = smm_changed;
    pc->m->smm_opaque = pc;
    return pm_create(pc, err);
}

/* ---- ACPI ---- */

/* Where firmware looks for room for PCI memory below 4 GiB (SeaBIOS src/fw/pciinit.c). */
static uint64_t pci_hole_start(const Pc *pc)
{
    uint64_t end = pc->ram_below_4g;
    return end <= 2 * GiB ? 2 * GiB : end <= 3 * GiB ? 3 * GiB : align_up(end, 512 * MiB);
}

void pc_acpi_create(Pc *pc)
{
    uint32_t ids[PC_MAX_CPUS];
    if (!pc->o->machine.acpi)
        return;
    for (unsigned i = 0; i < pc->cpu_count; i++)
        ids[i] = pc->cpus[i]->apic_id;
    AcpiConfig config = {
        .apic_ids = ids, .cpu_count = pc->cpu_count, .ioapic = pc->apic_bus, .hpet = pc->has_hpet,
        .serial_count = pc->serial_count, .pci_hole_start = pci_hole_start(pc), .pci_hole_end = BAR_MEMORY_END - 1,
    };
    pc->acpi = acpi_build(&config);
    acpi_add_to_fw_cfg(pc->acpi, pc->fw_cfg);
}

uint64_t pc_acpi_rsdp(const Pc *pc)
{
    return pc->acpi && acpi_size(pc->acpi) <= ACPI_ROOM ? ACPI_AT : 0;
}

void pc_acpi_start(Pc *pc)
{
    if (pc_acpi_rsdp(pc))
        acpi_install(pc->acpi, pc->m->memory, ACPI_AT);
}

/* A wake reaches real mode at the vector, CS = vector >> 4 (ACPI 6.4 section 16.3.2). */
static void cpu_wake(Cpu *cpu, uint32_t vector)
{
    segment_load_real(cpu, SEG_CS, vector >> 4);
    cpu->rip = vector & 15;
    cpu_update_mode(cpu);
}

void pc_wake(Pc *pc)
{
    enum { CMOS_SHUTDOWN_STATUS = 0x0f, RESUME = 0xfe }; /* as SeaBIOS src/resume.c has it */
    if (!pc->plan) {
        mc146818_set_cmos(machine_find(pc->m, "rtc"), CMOS_SHUTDOWN_STATUS, RESUME);
        return;
    }
    pc_chipset_start(pc);
    pc_processors_start(pc);
    boot_environment_start(pc->m);
    cpu_wake(pc->cpus[0], acpi_waking_vector(pc->acpi, pc->m->memory, ACPI_AT));
}

/* ---- in firmware's place ---- */

typedef struct Windows {
    uint64_t memory, io; /* the next free address of each */
} Windows;

static uint32_t config_address(unsigned devfn, unsigned offset)
{
    return CONFIG_ENABLE | devfn << 8 | offset;
}

/*
 * Processors as firmware leaves them: the x87 initialised, and for SMIs a handler in SMRAM that only returns, each
 * processor having a save area of its own there.
 */
void pc_processors_start(Pc *pc)
{
    enum { SMRAM_CONTROL = 0x72, OPEN = 0x4a, CLOSED = 0x0a, SMRAM_AT = 0xa0000, ENTRY = 0x8000, AREA_SIZE = 0x200,
           AREA_COUNT = 128 };
    static const uint8_t rsm[] = {0x0f, 0xaa};
    pci_bus_config_write(pc->pci_bus, config_address(0, SMRAM_CONTROL), OPEN, 1);
    for (unsigned i = 0; i < pc->cpu_count; i++) {
        Cpu *cpu = pc->cpus[i];
        cpu->fpu.control = 0x37f;
        cpu->fpu.tags = 0;
        cpu->smbase = SMRAM_AT + i % AREA_COUNT * AREA_SIZE;
        as_load_bytes(pc->m->memory, cpu->smbase + ENTRY, rsm, sizeof rsm);
    }
    pci_bus_config_write(pc->pci_bus, config_address(0, SMRAM_CONTROL), CLOSED, 1);
}

/* The next multiple of size in a window, or 0 when it is full. */
static uint64_t window_take(uint64_t *next, uint64_t end, uint64_t size)
{
    uint64_t at = align_up(*next, size);
    if (at + size > end)
        return 0;
    *next = at + size;
    return at;
}

static void bar_place(PciBus *bus, const PciDevice *pci, unsigned n, Windows *w)
{
    const PciBar *bar = &pci->bar[n];
    if (!bar->region)
        return;
    uint64_t size = region_size(bar->region);
    bool io = bar->flags & PCI_BAR_IO;
    uint64_t at = io ? window_take(&w->io, BAR_IO_END, size) : window_take(&w->memory, BAR_MEMORY_END, size);
    pci_bus_config_write(bus, config_address(pci->devfn, PCI_BAR0 + 4 * n), at, 4);
}

static void function_setup(PciBus *bus, const PciDevice *pci, Windows *w)
{
    unsigned pin = pci->config[PCI_IRQ_PIN], command = ld16le(pci->config + PCI_COMMAND);
    for (unsigned n = 0; n < BAR_COUNT; n++)
        bar_place(bus, pci, n, w);
    if (pin)
        pci_bus_config_write(bus, config_address(pci->devfn, PCI_IRQ_LINE),
                             pirq_lines[((pci->devfn >> 3) - 1 + pin - 1) & 3], 1);
    pci_bus_config_write(bus, config_address(pci->devfn, PCI_COMMAND),
                         command | PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
}

void pc_chipset_start(Pc *pc)
{
    Windows w = {.memory = MAX(pc->ram_below_4g, 3 * GiB), .io = BAR_IO_START};
    for (unsigned i = 0; i < ARRAY_SIZE(pirq_lines); i++)
        pci_bus_config_write(pc->pci_bus, config_address(PIIX3_DEVFN, PIIX3_PIRQ + i), pirq_lines[i], 1);
    as_write(pc->m->ports, ELCR_SLAVE, LEVEL_IRQ_10_11, 1);
    for (unsigned devfn = 0; devfn < DEVFN_COUNT; devfn++) {
        const PciDevice *pci = pci_bus_device(pc->pci_bus, devfn);
        if (pci)
            function_setup(pc->pci_bus, pci, &w);
    }
    piix3_ide_enable(pc->ide_controller);
    if (pc->pm)
        piix4_pm_enable(pc->pm);
}
