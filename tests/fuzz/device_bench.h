/*
 * A machine without CPU around one device of any type of machines/devices.c, for tests/fuzz/fuzz_device.c: the buses and
 * back ends that its type and properties ask for, and the list of its registers.
 */
#ifndef MYNA_TESTS_FUZZ_DEVICE_BENCH_H
#define MYNA_TESTS_FUZZ_DEVICE_BENCH_H

#include "backends/block/block.h"
#include "backends/char/char.h"
#include "backends/net/net.h"
#include "core/machine.h"
#include "hw/intc/apic.h"
#include "hw/isa.h"
#include "hw/pci/pci.h"

enum { DEVICE_BENCH_LINES = 24, DEVICE_BENCH_RAM = 1 << 20, DEVICE_BENCH_DRIVES = 4 };

/* Some registers, or memory of a device: where an address space leads to one region. */
typedef struct DeviceRange {
    AddressSpace *as;
    uint64_t at, size;
} DeviceRange;

typedef struct DeviceBench {
    Machine *m;
    Device *dev;               /* the one that this is about */
    PciBus *pci;
    IsaBus isa;
    ApicBus *apic;
    CpuPort cpu;
    IrqLine gsi[DEVICE_BENCH_LINES];
    bool level[DEVICE_BENCH_LINES];
    Region *ram, *local_apic;
    NetBackend *peer;          /* the other end of its network; NULL: it has none */
    CharBackend *chars;        /* its character back end, or NULL */
    BlockBackend *drives[DEVICE_BENCH_DRIVES];
    unsigned drive_count;
    GHashTable *foreign;       /* regions that are not the device's */
    GArray *own, *all;         /* of DeviceRange: the device's; and those of everything */
    bool moved;                /* they are no longer what they were */
} DeviceBench;

/* The type of that name, NULL: there is none; prints all names, a line each. */
const DeviceType *device_bench_type(const char *name);
void device_bench_list(void);

/* Makes it all, resets it and maps the device; a type that cannot be made stops the process with the reason. */
void device_bench_up(DeviceBench *b, const DeviceType *type);
void device_bench_down(DeviceBench *b);

/* What firmware does: places all BARs, and lets the devices be bus masters. */
void device_bench_map(DeviceBench *b);

/* Lists the ranges anew if they have changed; RAM is not among them. */
void device_bench_find_ranges(DeviceBench *b);

/* Another size of a drive; another medium, or none; the bench has drives. */
void device_bench_resize(DeviceBench *b, unsigned drive, uint64_t size);
void device_bench_change_medium(DeviceBench *b, unsigned drive, bool insert, bool force);

#endif
