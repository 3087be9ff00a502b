/*
 * A bench for PCI disk controllers: a machine with 8 MiB of memory, a PCI bus, one controller whose BAR is mapped, a
 * drive "disk" with a known pattern and a CD "cd", and no CPU.  Messages of MSI-X and MSI are counted by their data.
 */
#ifndef MYNA_TESTS_UNIT_DISK_BENCH_H
#define MYNA_TESTS_UNIT_DISK_BENCH_H

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "backends/block/block.h"
#include "core/machine.h"
#include "hw/pci/pci.h"
#include "util/bits.h"
#include "util/endian.h"

#define DISK_BYTES (8 * MiB)
#define BAR_AT UINT64_C(0xe0000000)
#define MSIX_AT UINT64_C(0xe0100000)
#define MSI_AT UINT64_C(0xfee00000)
enum { DISK_DEVFN = 3 << 3, MESSAGES = 64 };

typedef struct DiskBench {
    Machine *m;
    PciBus *pci;
    Device *dev;
    Region *ram, *msi;
    char *directory, *disk, *cd;
    int level;
    unsigned messages[MESSAGES];
} DiskBench;

static inline uint8_t disk_pattern(uint64_t n)
{
    return n * 7 + (n >> 9) * 13 + (n >> 17) + 1;
}

static inline char *disk_image_new(DiskBench *b, const char *name, uint64_t size)
{
    char *path = g_build_filename(b->directory, name, NULL);
    g_autofree uint8_t *data = g_malloc(size);
    for (uint64_t i = 0; i < size; i++)
        data[i] = disk_pattern(i);
    g_assert_true(g_file_set_contents(path, (char *)data, size, NULL));
    return path;
}

static inline void disk_line_set(void *opaque, int n, int level)
{
    DiskBench *b = opaque;
    (void)n;
    b->level = level;
}

static inline uint64_t disk_msi_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    return 0;
}

static inline void disk_msi_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    DiskBench *b = opaque;
    (void)offset, (void)size;
    b->messages[v % MESSAGES]++;
}

static const RegionOps disk_msi_ops = { disk_msi_read, disk_msi_write, 4, 4 };

static inline void config_write(DiskBench *b, unsigned at, uint32_t v, unsigned size)
{
    pci_bus_config_write(b->pci, 1u << 31 | DISK_DEVFN << 8 | at, v, size);
}

static inline uint32_t config_read(DiskBench *b, unsigned at, unsigned size)
{
    return pci_bus_config_read(b->pci, 1u << 31 | DISK_DEVFN << 8 | at, size);
}

/* A machine with a bus and two drives; the caller adds its devices, and calls disk_bench_started(). */
static inline void disk_bench_up(DiskBench *b)
{
    GError *err = NULL;
    IrqLine lines[4];

    memset(b, 0, sizeof *b);
    b->directory = g_dir_make_tmp("myna-disk-XXXXXX", NULL);
    b->disk = disk_image_new(b, "disk.img", DISK_BYTES);
    b->cd = disk_image_new(b, "cd.iso", 600 * KiB);
    b->m = machine_new(64 * MiB, NULL);
    b->ram = region_new_ram(b->m->pool, "ram", 8 * MiB, NULL);
    b->msi = region_new_io("msi", 4096, &disk_msi_ops, b);
    region_add(as_root(b->m->memory), 0, b->ram, 0);
    region_add(as_root(b->m->memory), MSI_AT, b->msi, 0);
    b->pci = pci_bus_new(b->m, b->m->memory, b->m->ports);
    for (unsigned i = 0; i < 4; i++)
        lines[i] = (IrqLine) { disk_line_set, b, i };
    pci_bus_set_lines(b->pci, lines);
    block_open(b->m, &(BlockOptions) { .id = "disk", .file = b->disk, .format = "raw" }, &err);
    g_assert_no_error(err);
    block_open(b->m, &(BlockOptions) { .id = "cd", .file = b->cd, .format = "raw", .cdrom = true }, &err);
    g_assert_no_error(err);
}

/* Places BAR n and lets the controller be a master. */
static inline void disk_bench_map(DiskBench *b, unsigned bar, uint64_t at)
{
    config_write(b, PCI_BAR0 + 4 * bar, at, 4);
    config_write(b, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_IO | PCI_COMMAND_MASTER, 2);
}

static inline void disk_bench_down(DiskBench *b)
{
    while (machine_devices(b->m)->len)
        device_remove(g_ptr_array_index(machine_devices(b->m), machine_devices(b->m)->len - 1));
    block_close_all(b->m);
    pci_bus_free(b->pci);
    region_remove(b->ram);
    region_free(b->ram);
    region_remove(b->msi);
    region_free(b->msi);
    machine_free(b->m);
    g_remove(b->disk);
    g_remove(b->cd);
    g_rmdir(b->directory);
    g_free(b->disk);
    g_free(b->cd);
    g_free(b->directory);
}

/* ---- memory ---- */

static inline void put32(DiskBench *b, uint64_t at, uint32_t v) { as_write(b->m->memory, at, v, 4); }
static inline void put64(DiskBench *b, uint64_t at, uint64_t v) { as_write(b->m->memory, at, v, 8); }
static inline uint32_t get32(DiskBench *b, uint64_t at) { return as_read(b->m->memory, at, 4); }

static inline void expect_pattern(DiskBench *b, uint64_t memory, uint64_t disk, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        g_assert_cmphex(as_read(b->m->memory, memory + i, 1), ==, disk_pattern(disk + i));
}

/* Fills memory with what is not the pattern of the same place, and compares a file with that. */
static inline void fill(DiskBench *b, uint64_t at, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        as_write(b->m->memory, at + i, (i * 11) ^ (i >> 8) ^ 0x5a, 1);
}

static inline void expect_file(const char *file, uint64_t at, uint64_t n)
{
    g_autofree uint8_t *data = g_malloc(n);
    int fd = open(file, O_RDONLY);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pread(fd, data, n, at), ==, n);
    close(fd);
    for (uint64_t i = 0; i < n; i++)
        g_assert_cmphex(data[i], ==, (uint8_t)((i * 11) ^ (i >> 8) ^ 0x5a));
}

/* Runs what the main loop has to do; `wait`: at least one thing. */
static inline void disk_bench_turn(DiskBench *b, bool wait)
{
    g_main_context_iteration(b->m->context, wait);
}

static inline void settle(DiskBench *b)
{
    block_drain_all(b->m);
    while (g_main_context_iteration(b->m->context, FALSE))
        ;
}

/* Saves, lets a reset destroy everything, and restores; what is saved then is the same. */
static inline void save_and_restore(DiskBench *b)
{
    GError *err = NULL;
    GByteArray *saved = machine_save(b->m);

    machine_reset(b->m);
    machine_load(b->m, saved->data, saved->len, &err);
    g_assert_no_error(err);
    GByteArray *again = machine_save(b->m);
    g_assert_cmpmem(saved->data, saved->len, again->data, again->len);
    g_byte_array_unref(again);
    g_byte_array_unref(saved);
}

#endif
