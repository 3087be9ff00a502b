/*
 * The `pc` board: a PC/AT compatible with an i440FX-style memory map.  pc.c makes it, in the order of pc_create();
 * pc_memory.c has memory, memory map and firmware; pc_chipset.c PCI and the
 * bridges; pc_fw_cfg.c what firmware asks.
 */
#ifndef MYNA_MACHINES_PC_H
#define MYNA_MACHINES_PC_H

#include "backends/block/block.h"
#include "hw/acpi/piix4_pm.h"
#include "hw/intc/apic.h"
#include "hw/isa.h"
#include "hw/pci/i440fx.h"
#include "hw/pci/piix3_ide.h"
#include "machines/acpi.h"
#include "machines/board.h"
#include "machines/boot.h"
#include "machines/cpu_threads.h"
#include "machines/smbios.h"

enum { PC_MAX_CPUS = 255, PC_MAX_APIC_ID = 254, PC_GSI_COUNT = 24, PC_SERIAL_COUNT = 4, PC_IDE_COUNT = 4 };

typedef struct Pc {
    Machine *m;
    const Options *o;

    CpuModel *model;
    Cpu *cpus[PC_MAX_CPUS];
    unsigned cpu_count;
    CpuThreads *threads;
    Device *vga;               /* NULL: no graphics card */
    SmbiosTables *smbios;
    BootPlan *plan;            /* NULL: firmware starts */

    uint64_t ram_below_4g;     /* end of the RAM that starts at 0 */
    GArray *memory_map;        /* of E820Entry */
    Region *ram;
    Region *rom_low;           /* firmware's last 128 KiB as they show below 1 MiB; NULL without firmware */
    Region *pci;               /* what lies where no RAM is: ROM, video memory, BARs */
    GPtrArray *regions;        /* all regions that the board made (Region *), in the order of making */

    IsaBus isa;
    IrqLine pic_in[16], ioapic_in[PC_GSI_COUNT];
    IrqLine gsi[PC_GSI_COUNT]; /* interrupt lines by number: ISA lines, then PCI */
    Device *pic;
    bool has_hpet;
    bool hpet_legacy;          /* the HPET has taken lines 0 and 8 from PIT and RTC */
    ApicBus *apic_bus;         /* NULL: the processor has no local APIC */
    PciBus *pci_bus;
    I440fx *bridge;
    Piix4Pm *pm;               /* NULL with -machine acpi=off */
    AcpiTables *acpi;          /* likewise */
    FwCfg *fw_cfg;
    unsigned serial_count;
    Piix3Ide *ide_controller;
    BlockBackend *ide[PC_IDE_COUNT]; /* its drives, primary master first; NULL: none */
} Pc;

extern const Board board_pc;

/* RAM, its two windows, the container of everything else; memory_map. */
gboolean pc_memory_create(Pc *pc, GError **err);
void pc_memory_destroy(Pc *pc);

/* A firmware file as it is named, or along -L and the usual directories; freed by the caller; NULL when not found. */
char *pc_firmware_find(const Pc *pc, const char *name);

/* Graphics card and SMBIOS tables; and what firmware would do with them, for kernels that start without one. */
gboolean pc_display_create(Pc *pc, GError **err);
void pc_display_start(Pc *pc);
void pc_smbios_create(Pc *pc);
void pc_smbios_start(Pc *pc);

/* Maps -bios, or the default firmware found along the search path. */
gboolean pc_firmware_load(Pc *pc, GError **err);

/* PCI bus and bridges; pc_chipset_start() sets them up at each reset as firmware does, for starts without one. */
gboolean pc_chipset_create(Pc *pc, GError **err);
void pc_chipset_start(Pc *pc);
void pc_processors_start(Pc *pc);

/* Makes the ACPI tables and gives them to firmware; pc_acpi_start() puts them into memory for starts without one. */
void pc_acpi_create(Pc *pc);
void pc_acpi_start(Pc *pc);
uint64_t pc_acpi_rsdp(const Pc *pc);

/* Instead of a start, after the reset that ends ACPI S3: to the guest's waking vector, or to firmware that goes there. */
void pc_wake(Pc *pc);

/* Opens all drives, and makes the devices that -drive if= stands for (drives.c). */
gboolean pc_drives_create(Pc *pc, GError **err);
/* -object throttle-group; the drives of the group may be there already. */
gboolean pc_throttle_group_create(Pc *pc, const char *text, GError **err);

/* The fw_cfg device, with what firmware asks for and the user's files. */
gboolean pc_fw_cfg_create(Pc *pc, GError **err);

/* Fills the CMOS memory with what BIOSes expect: memory sizes, boot order, number of processors. */
void pc_cmos_fill(Pc *pc, Device *rtc);
void pc_cmos_floppies(Pc *pc, uint8_t a, uint8_t b);

#endif
