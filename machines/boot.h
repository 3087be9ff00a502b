/*
 * Starting a kernel without firmware.
 *
 * A loader reads -kernel, -initrd and -append once and writes a BootPlan: which bytes go where in guest memory, and the
 * state in which the boot processor starts.  The plan is carried out at each machine reset, after the power-on reset of
 * devices and processors.  Below 1 MiB and in the interrupt controllers, memory and devices are left as a BIOS leaves
 * them (boot_environment.c).
 */
#ifndef MYNA_MACHINES_BOOT_H
#define MYNA_MACHINES_BOOT_H

#include <glib.h>

#include "core/machine.h"
#include "cpu/cpu.h"

/* Types of the memory map that BIOS function E820h gives (ACPI specification 15). */
enum { E820_RAM = 1, E820_RESERVED = 2 };

typedef struct E820Entry {
    uint64_t base, size;
    uint32_t type;
} E820Entry;

/* What a loader has to work with. */
typedef struct BootSource {
    const char *kernel, *initrd, *append; /* NULL: not given */
    const GArray *memory_map;             /* of E820Entry, ascending */
    uint64_t ram_below_4g;                /* end of the RAM that starts at 0 */
    bool long_mode;                       /* the processor has it */
    unsigned serial_ports;                /* COM1.. that exist, at most 4 */
    uint64_t rsdp;                        /* address of the ACPI root pointer, or 0 */
    bool text_screen;                     /* a VGA shows 80 x 25 text */
} BootSource;

/* How the boot processor starts: flat segments, interrupts off, in 32-bit mode, or in 64-bit mode with these tables. */
typedef struct BootCpu {
    uint64_t entry;
    uint64_t gpr[8];        /* in the order of their encoding */
    uint64_t gdt;           /* address of the table that boot_add_gdt() placed */
    uint64_t page_table;    /* CR3: not 0 means 64-bit mode */
} BootCpu;

typedef struct BootPlan {
    GArray *chunks;         /* of BootChunk (boot.c), in the order of writing */
    GPtrArray *held;        /* GBytes * that chunks point into */
    BootCpu cpu;
    uint64_t ram_below_4g;
} BootPlan;

/* Selectors of boot_add_gdt(), which are those of Linux's boot protocol. */
enum { BOOT_CS = 0x10, BOOT_DS = 0x18, BOOT_TSS = 0x20 };

/*
 * Loads -kernel by the loader that knows its format; NULL and *err naming the file and the fault.
 */
BootPlan *boot_load(const BootSource *source, GError **err);
void boot_plan_free(BootPlan *plan);

/* Carries the plan out: memory, then devices (as a BIOS leaves them), then the boot processor. */
void boot_plan_apply(const BootPlan *plan, Machine *m, Cpu *cpu);

/* ---- for loaders ---- */

typedef struct BootLoader {
    const char *name;
    bool (*probe)(const uint8_t *image, size_t size);
    /* `image` is held by the plan. */
    gboolean (*load)(const BootSource *source, const uint8_t *image, size_t size, BootPlan *plan, GError **err);
} BootLoader;

extern const BootLoader boot_multiboot, boot_pvh, boot_linux;

/* Maps a whole file, held by the plan from then on; NULL and *err. */
const uint8_t *boot_read_file(BootPlan *plan, const char *what, const char *file, size_t *size, GError **err);

/*
 * Puts data[0..size) to address, and zeros behind it up to mem_size.  data must outlive the plan (boot_hold).  FALSE
 * and *err when that is not all RAM; `what` names the thing.
 */
gboolean boot_add(BootPlan *plan, const BootSource *source, const char *what, uint64_t address, const void *data,
                  uint64_t size, uint64_t mem_size, GError **err);

/* The same for memory below 1 MiB, which is there always; the bytes are copied. */
void boot_add_low(BootPlan *plan, uint64_t address, const void *data, size_t size);

/*
 * A place of that many bytes below 640 KiB where no chunk is, 16-byte aligned, or page-aligned from a page on;
 * 0 when there is none.  Stays free until it is filled.
 */
uint64_t boot_low_place(const BootPlan *plan, uint64_t size);

/* Fills a new such place; its address.  FALSE and *err when it is too large. */
gboolean boot_add_somewhere_low(BootPlan *plan, const char *what, const void *data, size_t size, uint64_t *address,
                                GError **err);

/* A GDT with flat code and data segments, and a TSS, for 32-bit or 64-bit mode; sets plan->cpu.gdt. */
gboolean boot_add_gdt(BootPlan *plan, bool long_mode, GError **err);

/* Whether the whole range is RAM. */
bool boot_is_ram(const BootSource *source, uint64_t address, uint64_t size);

/* boot_environment.c: what a BIOS leaves in low memory, and in PIC and PIT. */
void boot_environment_add(BootPlan *plan, unsigned serial_ports);
void boot_environment_start(Machine *m);

#endif
