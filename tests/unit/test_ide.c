/*
 * IDE: hw/block and hw/pci/piix3_ide.c, as a guest sees them through ports, memory and interrupt lines.  The machine
 * has a disk as primary master, a small disk as primary slave, and a CD-ROM as secondary master.
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "core/machine.h"
#include "hw/block/ide.h"
#include "hw/isa.h"
#include "hw/pci/pci.h"
#include "hw/pci/piix3_ide.h"
#include "tests/unit/damaged_state.h"
#include "util/bits.h"
#include "util/endian.h"

enum { DATA, ERROR_, COUNT, LOW, MID, HIGH, DEVICE, STATUS };
#define FEATURE ERROR_
#define COMMAND STATUS
enum { ERR = 0x01, DRQ = 0x08, DSC = 0x10, DF = 0x20, DRDY = 0x40, BSY = 0x80 };
enum { PRIMARY = 0x1f0, SECONDARY = 0x170, BM_BASE = 0xc000, PRD = 0x1000, PAGE_AT = 0x10000 };
enum { DISK_SECTORS = 16384, SLAVE_SECTORS = 100, CD_SECTORS = 300 };
#define DEVFN 9

typedef struct Fixture {
    Machine *m;
    IsaBus isa;
    PciBus *pci;
    Device *ide;
    Region *ram;
    char *directory, *disk, *slave, *cd;
    int level[16];
    unsigned edges[16];
} Fixture;

static uint8_t pattern(uint64_t n)
{
    return n * 7 + (n >> 9) * 13 + (n >> 17) + 1;
}

static char *image_new(Fixture *f, const char *name, uint64_t size)
{
    char *path = g_build_filename(f->directory, name, NULL);
    g_autofree uint8_t *data = g_malloc(size);
    for (uint64_t i = 0; i < size; i++)
        data[i] = pattern(i);
    g_assert_true(g_file_set_contents(path, (char *)data, size, NULL));
    return path;
}

static void line_set(void *opaque, int n, int level)
{
    Fixture *f = opaque;
    if (level && !f->level[n])
        f->edges[n]++;
    f->level[n] = level;
}

/* ---- access ---- */

static void outb(Fixture *f, unsigned port, uint8_t v) { as_write(f->m->ports, port, v, 1); }
static void outw(Fixture *f, unsigned port, uint16_t v) { as_write(f->m->ports, port, v, 2); }
static void outl(Fixture *f, unsigned port, uint32_t v) { as_write(f->m->ports, port, v, 4); }
static uint8_t inb(Fixture *f, unsigned port) { return as_read(f->m->ports, port, 1); }
static uint16_t inw(Fixture *f, unsigned port) { return as_read(f->m->ports, port, 2); }
static uint32_t inl(Fixture *f, unsigned port) { return as_read(f->m->ports, port, 4); }

static unsigned control_port(unsigned base) { return base + 0x206; }
static unsigned bm_port(unsigned base) { return BM_BASE + (base == PRIMARY ? 0 : 8); }

static void config_write(Fixture *f, unsigned at, uint32_t v, unsigned size)
{
    pci_bus_config_write(f->pci, 1u << 31 | DEVFN << 8 | at, v, size);
}

static uint32_t config_read(Fixture *f, unsigned at, unsigned size)
{
    return pci_bus_config_read(f->pci, 1u << 31 | DEVFN << 8 | at, size);
}

/* Lets the main loop run until the drive is not busy; the status register, which also clears the interrupt. */
static uint8_t wait_ready(Fixture *f, unsigned base)
{
    while (inb(f, control_port(base)) & BSY)
        g_main_context_iteration(f->m->context, TRUE);
    return inb(f, base + STATUS);
}

/* What firmware does. */
static void setup_pci(Fixture *f)
{
    config_write(f, 0x40, 0x8000, 2);
    config_write(f, 0x42, 0x8000, 2);
    config_write(f, PCI_BAR0 + 16, BM_BASE, 4);
    config_write(f, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MASTER, 2);
}

static void machine_up(Fixture *f, bool disk_readonly)
{
    GError *err = NULL;
    const BlockOptions options[4] = {
        { .id = "disk", .file = f->disk, .format = "raw", .readonly = disk_readonly },
        { .id = "slave", .file = f->slave, .format = "raw" },
        { .id = "cd", .file = f->cd, .cdrom = true },
    };

    f->m = machine_new(64 * MiB, NULL);
    f->ram = region_new_ram(f->m->pool, "ram", 8 * MiB, NULL);
    region_add(as_root(f->m->memory), 0, f->ram, 0);
    f->isa = (IsaBus) { .memory = f->m->memory, .ports = f->m->ports };
    for (unsigned i = 0; i < 16; i++)
        f->isa.irq[i] = (IrqLine) { line_set, f, i };
    machine_provide(f->m, "isa", &f->isa);
    f->pci = pci_bus_new(f->m, f->m->memory, f->m->ports);
    f->ide = device_add(f->m, &piix3_ide_type, NULL, &err, NULL);
    g_assert_no_error(err);
    for (unsigned i = 0; options[i].id; i++) {
        BlockBackend *b = block_open(f->m, &options[i], &err);
        g_assert_no_error(err);
        piix3_ide_attach((Piix3Ide *)f->ide, i, b);
    }
    machine_reset(f->m);
    setup_pci(f);
}

static void machine_down(Fixture *f)
{
    device_remove(f->ide);
    block_close_all(f->m);
    pci_bus_free(f->pci);
    region_remove(f->ram);
    region_free(f->ram);
    machine_free(f->m);
}

static void fixture_up(Fixture *f, gconstpointer unused)
{
    (void)unused;
    f->directory = g_dir_make_tmp("myna-ide-XXXXXX", NULL);
    f->disk = image_new(f, "disk.img", DISK_SECTORS * 512);
    f->slave = image_new(f, "slave.img", SLAVE_SECTORS * 512);
    f->cd = image_new(f, "cd.iso", CD_SECTORS * 2048);
    machine_up(f, false);
}

static void fixture_down(Fixture *f, gconstpointer unused)
{
    char *const files[] = { f->disk, f->slave, f->cd };
    (void)unused;

    machine_down(f);
    for (unsigned i = 0; i < 3; i++) {
        g_remove(files[i]);
        g_free(files[i]);
    }
    g_rmdir(f->directory);
    g_free(f->directory);
}

static void command28(Fixture *f, unsigned base, uint8_t device, uint8_t command, uint32_t lba, uint8_t count)
{
    outb(f, base + DEVICE, device | 0x40 | (lba >> 24 & 15));
    outb(f, base + COUNT, count);
    outb(f, base + LOW, lba);
    outb(f, base + MID, lba >> 8);
    outb(f, base + HIGH, lba >> 16);
    outb(f, base + COMMAND, command);
}

static void command48(Fixture *f, uint8_t command, uint64_t lba, uint16_t count)
{
    outb(f, PRIMARY + DEVICE, 0x40);
    outb(f, PRIMARY + COUNT, count >> 8);
    outb(f, PRIMARY + LOW, lba >> 24);
    outb(f, PRIMARY + MID, lba >> 32);
    outb(f, PRIMARY + HIGH, lba >> 40);
    outb(f, PRIMARY + COUNT, count);
    outb(f, PRIMARY + LOW, lba);
    outb(f, PRIMARY + MID, lba >> 8);
    outb(f, PRIMARY + HIGH, lba >> 16);
    outb(f, PRIMARY + COMMAND, command);
}

/* Checks n bytes of data port words against the pattern from `at` on. */
static void expect_words(Fixture *f, unsigned base, uint64_t at, unsigned n)
{
    for (unsigned i = 0; i < n; i += 2)
        g_assert_cmphex(inw(f, base), ==, pattern(at + i) | pattern(at + i + 1) << 8);
}

static void read_words(Fixture *f, unsigned base, uint8_t *to, unsigned n)
{
    for (unsigned i = 0; i < n; i += 2)
        st16le(to + i, inw(f, base));
}

/* ---- the function ---- */

static void test_pci(Fixture *f, gconstpointer unused)
{
    (void)unused;
    g_assert_cmphex(config_read(f, PCI_VENDOR_ID, 4), ==, 0x70108086);
    g_assert_cmphex(config_read(f, PCI_REVISION, 4), ==, 0x01018000);
    config_write(f, PCI_BAR0 + 16, 0xffffffff, 4);
    g_assert_cmphex(config_read(f, PCI_BAR0 + 16, 4), ==, 0xfffffff1);
    g_assert_cmphex(config_read(f, PCI_BAR0, 4), ==, 0);
    /* IDETIM switches the ports of each channel. */
    g_assert_cmphex(inb(f, PRIMARY + STATUS), ==, DRDY | DSC);
    config_write(f, 0x40, 0, 2);
    g_assert_cmphex(inb(f, PRIMARY + STATUS), ==, 0xff);
    g_assert_cmphex(inb(f, SECONDARY + DEVICE), !=, 0xff);
    config_write(f, PCI_COMMAND, 0, 2);
    g_assert_cmphex(inb(f, SECONDARY + DEVICE), ==, 0xff);
    piix3_ide_enable((Piix3Ide *)f->ide);
    config_write(f, PCI_COMMAND, 1, 2);
    g_assert_cmphex(inb(f, PRIMARY + STATUS), ==, DRDY | DSC);
}

static void string_get(const uint8_t *page, unsigned word, unsigned length, char *out)
{
    for (unsigned i = 0; i < length; i++)
        out[i] = page[(word * 2 + i) ^ 1];
    out[length] = 0;
    g_strchomp(out);
}

static void test_identify(Fixture *f, gconstpointer unused)
{
    uint8_t page[512], sum = 0;
    char text[41];
    (void)unused;

    outb(f, PRIMARY + DEVICE, 0);
    outb(f, PRIMARY + COMMAND, 0xec);
    g_assert_cmpint(f->level[14], ==, 1);
    g_assert_cmphex(inb(f, control_port(PRIMARY)), ==, DRDY | DSC | DRQ);
    g_assert_cmpint(f->level[14], ==, 1);
    g_assert_cmphex(inb(f, PRIMARY + STATUS), ==, DRDY | DSC | DRQ);
    g_assert_cmpint(f->level[14], ==, 0);
    read_words(f, PRIMARY, page, 512);
    g_assert_cmphex(inb(f, PRIMARY + STATUS), ==, DRDY | DSC);
    g_assert_cmpuint(f->edges[14], ==, 1);
    for (unsigned i = 0; i < 512; i++)
        sum += page[i];
    g_assert_cmpuint(sum, ==, 0);
    string_get(page, 27, 40, text);
    g_assert_cmpstr(text, ==, "MYNA HARDDISK");
    string_get(page, 10, 20, text);
    g_assert_cmpstr(text, ==, "MY00001");
    g_assert_cmpuint(ld16le(page + 2), ==, DISK_SECTORS / 1008);
    g_assert_cmpuint(ld16le(page + 6), ==, 16);
    g_assert_cmpuint(ld16le(page + 12), ==, 63);
    g_assert_cmpuint(ld32le(page + 120), ==, DISK_SECTORS);
    g_assert_cmpuint(ld64le(page + 200), ==, DISK_SECTORS);
    g_assert_cmphex(ld16le(page + 2 * 49) & 0x300, ==, 0x300);
    g_assert_cmphex(ld16le(page + 2 * 63) & 7, ==, 7);
    g_assert_cmphex(ld16le(page + 2 * 88) & 0x3f, ==, 0x3f);
    g_assert_cmphex(ld16le(page + 2 * 83), ==, 0x7400);
    g_assert_cmphex(ld16le(page + 2 * 93), ==, 0x600b);
    g_assert_cmphex(inw(f, PRIMARY), ==, 0); /* no DRQ */
    outb(f, PRIMARY + DEVICE, 0x10);
    outb(f, PRIMARY + COMMAND, 0xec);
    read_words(f, PRIMARY, page, 512);
    string_get(page, 10, 20, text);
    g_assert_cmpstr(text, ==, "MY00002");
    g_assert_cmpuint(ld32le(page + 120), ==, SLAVE_SECTORS);
    g_assert_cmphex(ld16le(page + 2 * 93), ==, 0x6b00);
}

static void test_absent(Fixture *f, gconstpointer unused)
{
    (void)unused;
    outb(f, SECONDARY + DEVICE, 0x10);
    g_assert_cmphex(inb(f, SECONDARY + STATUS), ==, 0);
    outb(f, SECONDARY + COUNT, 0x55);
    g_assert_cmphex(inb(f, SECONDARY + COUNT), ==, 0);
    outb(f, SECONDARY + COMMAND, 0xec);
    g_assert_cmphex(inb(f, SECONDARY + STATUS), ==, 0);
    g_assert_cmphex(inw(f, SECONDARY), ==, 0);
    g_assert_cmpint(f->level[15], ==, 0);
    outb(f, SECONDARY + DEVICE, 0);
    g_assert_cmphex(inb(f, SECONDARY + COUNT), ==, 0x55);
}

static void test_registers(Fixture *f, gconstpointer unused)
{
    (void)unused;
    outb(f, PRIMARY + DEVICE, 0);
    outb(f, PRIMARY + LOW, 0x12);
    outb(f, PRIMARY + LOW, 0x34);
    g_assert_cmphex(inb(f, PRIMARY + LOW), ==, 0x34);
    outb(f, control_port(PRIMARY), 0x80);
    g_assert_cmphex(inb(f, PRIMARY + LOW), ==, 0x12);
    outw(f, PRIMARY + COUNT, 0xaabb); /* two registers at once; HOB is cleared by it */
    g_assert_cmphex(inb(f, PRIMARY + COUNT), ==, 0xbb);
    g_assert_cmphex(inb(f, PRIMARY + LOW), ==, 0xaa);
    outb(f, PRIMARY + DEVICE, 0x10); /* the slave has heard it */
    g_assert_cmphex(inw(f, PRIMARY + COUNT), ==, 0xaabb);
    g_assert_cmphex(inb(f, PRIMARY + DEVICE), ==, 0xb0);
}

/* ---- PIO ---- */

static void test_pio_read(Fixture *f, gconstpointer unused)
{
    (void)unused;
    command28(f, PRIMARY, 0, 0x20, 5, 3);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC | DRQ);
        g_assert_cmpuint(f->edges[14], ==, i + 1);
        expect_words(f, PRIMARY, (5 + i) * 512, 512);
    }
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
    g_assert_cmpuint(f->edges[14], ==, 3);
    /* Doublewords, from the slave. */
    command28(f, PRIMARY, 0x10, 0x20, SLAVE_SECTORS - 1, 1);
    wait_ready(f, PRIMARY);
    for (unsigned i = 0; i < 512; i += 4)
        g_assert_cmphex(inl(f, PRIMARY) & 0xff, ==, pattern((SLAVE_SECTORS - 1) * 512 + i));
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
}

/* 256 sectors by a count of 0, in blocks of 16. */
static void test_multiple(Fixture *f, gconstpointer unused)
{
    (void)unused;
    command28(f, PRIMARY, 0, 0xc6, 0, 3);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC | ERR);
    command28(f, PRIMARY, 0, 0xc6, 0, 16);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
    f->edges[14] = 0;
    command28(f, PRIMARY, 0, 0xc4, 40, 0);
    for (unsigned i = 0; i < 16; i++) {
        g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC | DRQ);
        expect_words(f, PRIMARY, (40 + 16 * i) * 512, 16 * 512);
    }
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
    g_assert_cmpuint(f->edges[14], ==, 16);
    command28(f, PRIMARY, 0, 0xc6, 0, 0); /* switched off */
    wait_ready(f, PRIMARY);
    command28(f, PRIMARY, 0, 0xc4, 40, 1);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC | ERR);
    g_assert_cmphex(inb(f, PRIMARY + ERROR_), ==, 4);
}

static void file_read_at(const char *name, uint64_t at, uint8_t *buf, unsigned n)
{
    int fd = open(name, O_RDONLY);
    g_assert_cmpint(pread(fd, buf, n, at), ==, n);
    close(fd);
}

static void test_pio_write(Fixture *f, gconstpointer unused)
{
    uint8_t buf[1024];
    (void)unused;

    command28(f, PRIMARY, 0, 0x30, 100, 2);
    g_assert_cmpuint(f->edges[14], ==, 0); /* the first block is asked for without an interrupt */
    for (unsigned sector = 0; sector < 2; sector++) {
        g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC | DRQ);
        for (unsigned i = 0; i < 256; i++)
            outw(f, PRIMARY, sector << 8 | i);
    }
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
    g_assert_cmpuint(f->edges[14], ==, 2);
    file_read_at(f->disk, 100 * 512, buf, 1024);
    for (unsigned i = 0; i < 512; i++)
        g_assert_cmphex(ld16le(buf + 2 * i), ==, i >> 8 << 8 | (i & 255));
    outb(f, PRIMARY + COMMAND, 0xe7);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
    g_assert_cmpuint(f->edges[14], ==, 3);
    outb(f, PRIMARY + FEATURE, 0x82); /* no write cache: the write ends after a flush */
    outb(f, PRIMARY + COMMAND, 0xef);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
    command28(f, PRIMARY, 0, 0x30, 100, 1);
    for (unsigned i = 0; i < 128; i++)
        outl(f, PRIMARY, 0x01020304);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
    file_read_at(f->disk, 100 * 512, buf, 512);
    g_assert_cmphex(ld32le(buf + 508), ==, 0x01020304);
}

static void test_lba48(Fixture *f, gconstpointer unused)
{
    (void)unused;
    command48(f, 0x24, 9000, 600); /* several buffers */
    for (unsigned i = 0; i < 600; i++) {
        g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC | DRQ);
        expect_words(f, PRIMARY, (9000 + i) * 512, 512);
    }
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
    command48(f, 0x24, UINT64_C(1) << 40, 1);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC | ERR);
    g_assert_cmphex(inb(f, PRIMARY + ERROR_), ==, 0x10);
    outb(f, PRIMARY + COMMAND, 0x27);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
    g_assert_cmphex(inb(f, PRIMARY + MID) << 8 | inb(f, PRIMARY + LOW), ==, DISK_SECTORS - 1);
    outb(f, control_port(PRIMARY), 0x80);
    g_assert_cmphex(inb(f, PRIMARY + LOW), ==, 0);
}

static void test_chs(Fixture *f, gconstpointer unused)
{
    (void)unused;
    outb(f, PRIMARY + DEVICE, 0x0f); /* 16 heads, 63 sectors: cylinder 2, head 15, sector 63 */
    outb(f, PRIMARY + COUNT, 1);
    outb(f, PRIMARY + LOW, 63);
    outb(f, PRIMARY + MID, 2);
    outb(f, PRIMARY + HIGH, 0);
    outb(f, PRIMARY + COMMAND, 0x20);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC | DRQ);
    expect_words(f, PRIMARY, 512 * ((2 * 16 + 15) * 63 + 62), 512);
    outb(f, PRIMARY + LOW, 0); /* there is no sector 0 */
    outb(f, PRIMARY + COMMAND, 0x20);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC | ERR);
    g_assert_cmphex(inb(f, PRIMARY + ERROR_), ==, 0x10);
    outb(f, PRIMARY + DEVICE, 3); /* 4 heads, 10 sectors */
    outb(f, PRIMARY + COUNT, 10);
    outb(f, PRIMARY + COMMAND, 0x91);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
    outb(f, PRIMARY + LOW, 10);
    outb(f, PRIMARY + MID, 100);
    outb(f, PRIMARY + COUNT, 1);
    outb(f, PRIMARY + COMMAND, 0x20);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC | DRQ);
    expect_words(f, PRIMARY, 512 * ((100 * 4 + 3) * 10 + 9), 512);
}

/* ---- bus master ---- */

static void prd_put(Fixture *f, unsigned n, uint32_t address, uint32_t size, bool last)
{
    as_write(f->m->memory, PRD + 8 * n, address, 4);
    as_write(f->m->memory, PRD + 8 * n + 4, (size & 0xffff) | (last ? 1u << 31 : 0), 4);
}

static void bm_prepare(Fixture *f, unsigned base)
{
    outb(f, bm_port(base), 0);
    outb(f, bm_port(base) + 2, 0x06);
    outl(f, bm_port(base) + 4, PRD);
}

static void bm_start(Fixture *f, unsigned base, bool to_memory)
{
    outb(f, bm_port(base), to_memory ? 9 : 1);
}

static uint8_t bm_status(Fixture *f, unsigned base)
{
    return inb(f, bm_port(base) + 2);
}

static void expect_memory(Fixture *f, uint32_t at, uint64_t from, unsigned n)
{
    g_autofree uint8_t *buf = g_malloc(n);
    as_read_bytes(f->m->memory, at, buf, n);
    for (unsigned i = 0; i < n; i++)
        g_assert_cmphex(buf[i], ==, pattern(from + i));
}

/* Runs the main loop until no request is under way. */
static void settle(Fixture *f)
{
    static const char *const drives[] = { "disk", "slave", "cd" };
    for (unsigned i = 0; i < 3; i++)
        block_drain(block_find(f->m, drives[i]));
}

static void test_dma_read(Fixture *f, gconstpointer unused)
{
    (void)unused;
    prd_put(f, 0, PAGE_AT, 512 + 6, false);
    prd_put(f, 1, PAGE_AT + 0x2002, 2, false);
    prd_put(f, 2, PAGE_AT + 0x4000, 1536 - 520, true);
    bm_prepare(f, PRIMARY);
    command28(f, PRIMARY, 0, 0xc8, 7, 3);
    bm_start(f, PRIMARY, true);
    g_assert_cmphex(bm_status(f, PRIMARY), ==, 0x01);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
    g_assert_cmphex(bm_status(f, PRIMARY), ==, 0x04);
    g_assert_cmpuint(f->edges[14], ==, 1);
    expect_memory(f, PAGE_AT, 7 * 512, 518);
    expect_memory(f, PAGE_AT + 0x2002, 7 * 512 + 518, 2);
    expect_memory(f, PAGE_AT + 0x4000, 7 * 512 + 520, 1016);
    g_assert_cmphex(as_read(f->m->memory, PAGE_AT + 518, 2), ==, 0);
    outb(f, bm_port(PRIMARY), 0);
    outb(f, bm_port(PRIMARY) + 2, 0x64);
    g_assert_cmphex(bm_status(f, PRIMARY), ==, 0x60);
}

/* 600 sectors: a size of 0 is 64 KiB. */
static void test_dma_large(Fixture *f, gconstpointer unused)
{
    (void)unused;
    for (unsigned i = 0; i < 5; i++)
        prd_put(f, i, 0x100000 + i * 0x10000, i < 4 ? 0 : 600 * 512 - 4 * 0x10000, i == 4);
    bm_prepare(f, PRIMARY);
    bm_start(f, PRIMARY, true); /* before the command */
    command48(f, 0x25, 1234, 600);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
    g_assert_cmphex(bm_status(f, PRIMARY), ==, 0x04);
    expect_memory(f, 0x100000, 1234 * 512, 600 * 512);
}

static void test_dma_write(Fixture *f, gconstpointer unused)
{
    g_autofree uint8_t *data = g_malloc(400 * 512), *back = g_malloc(400 * 512);
    (void)unused;

    for (unsigned i = 0; i < 400 * 512; i++)
        data[i] = i * 31 >> 3;
    as_write_bytes(f->m->memory, 0x200000, data, 400 * 512);
    for (unsigned i = 0; i < 4; i++)
        prd_put(f, i, 0x200000 + i * 100 * 512, 100 * 512, i == 3);
    bm_prepare(f, PRIMARY);
    command48(f, 0x35, 3000, 400);
    g_assert_cmphex(inb(f, control_port(PRIMARY)) & (BSY | DRQ), !=, 0);
    bm_start(f, PRIMARY, false);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
    g_assert_cmphex(bm_status(f, PRIMARY), ==, 0x04);
    file_read_at(f->disk, 3000 * 512, back, 400 * 512);
    g_assert_cmpmem(data, 400 * 512, back, 400 * 512);
}

/* Memory for more than the drive sends: active stays.  For less: neither active nor interrupt, and it can go on. */
static void test_dma_lengths(Fixture *f, gconstpointer unused)
{
    (void)unused;
    prd_put(f, 0, PAGE_AT, 4096, true);
    bm_prepare(f, PRIMARY);
    command28(f, PRIMARY, 0, 0xc8, 0, 1);
    bm_start(f, PRIMARY, true);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
    g_assert_cmphex(bm_status(f, PRIMARY), ==, 0x05);
    bm_prepare(f, PRIMARY);
    g_assert_cmphex(bm_status(f, PRIMARY), ==, 0);

    prd_put(f, 0, PAGE_AT, 100, true);
    command28(f, PRIMARY, 0, 0xc8, 20, 1);
    bm_start(f, PRIMARY, true);
    settle(f);
    g_assert_cmphex(bm_status(f, PRIMARY), ==, 0);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC | DRQ);
    prd_put(f, 0, PAGE_AT + 100, 412, true);
    bm_prepare(f, PRIMARY);
    bm_start(f, PRIMARY, true);
    g_assert_cmphex(bm_status(f, PRIMARY), ==, 0x04);
    expect_memory(f, PAGE_AT, 20 * 512, 512);
    wait_ready(f, PRIMARY);
}

static void test_dma_not_master(Fixture *f, gconstpointer unused)
{
    (void)unused;
    config_write(f, PCI_COMMAND, PCI_COMMAND_IO, 2);
    prd_put(f, 0, PAGE_AT, 512, true);
    bm_prepare(f, PRIMARY);
    command28(f, PRIMARY, 0, 0xc8, 3, 1);
    bm_start(f, PRIMARY, true);
    settle(f);
    g_assert_cmphex(bm_status(f, PRIMARY), ==, 0x01);
    g_assert_cmphex(as_read(f->m->memory, PAGE_AT, 8), ==, 0);
    config_write(f, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MASTER, 2);
    g_assert_cmphex(bm_status(f, PRIMARY), ==, 0x04);
    expect_memory(f, PAGE_AT, 3 * 512, 512);
}

/* ---- errors, settings, reset ---- */

static void expect_abort(Fixture *f, unsigned base, uint8_t command)
{
    outb(f, base + COMMAND, command);
    g_assert_cmphex(wait_ready(f, base), ==, DRDY | DSC | ERR);
    g_assert_cmphex(inb(f, base + ERROR_), ==, 4);
}

static void test_errors(Fixture *f, gconstpointer unused)
{
    (void)unused;
    expect_abort(f, PRIMARY, 0x00);
    expect_abort(f, PRIMARY, 0xff);
    expect_abort(f, PRIMARY, 0xa1);
    command28(f, PRIMARY, 0, 0x20, DISK_SECTORS - 1, 2);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC | ERR);
    g_assert_cmphex(inb(f, PRIMARY + ERROR_), ==, 0x10);
    command28(f, PRIMARY, 0, 0x20, DISK_SECTORS - 1, 1);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC | DRQ);
    outb(f, PRIMARY + COMMAND, 0xec); /* not now */
    expect_words(f, PRIMARY, (DISK_SECTORS - 1) * 512, 512);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
    machine_down(f);
    machine_up(f, true);
    command28(f, PRIMARY, 0, 0x30, 0, 1);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC | ERR);
}

static void test_settings(Fixture *f, gconstpointer unused)
{
    uint8_t page[512];
    (void)unused;

    outb(f, PRIMARY + FEATURE, 3); /* multiword DMA 1 */
    outb(f, PRIMARY + COUNT, 0x21);
    outb(f, PRIMARY + COMMAND, 0xef);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
    outb(f, PRIMARY + COMMAND, 0xec);
    wait_ready(f, PRIMARY);
    read_words(f, PRIMARY, page, 512);
    g_assert_cmphex(ld16le(page + 2 * 63), ==, 0x0207);
    g_assert_cmphex(ld16le(page + 2 * 88), ==, 0x003f);
    outb(f, PRIMARY + COUNT, 0x47);
    expect_abort(f, PRIMARY, 0xef);
    outb(f, PRIMARY + COMMAND, 0xe0);
    wait_ready(f, PRIMARY);
    outb(f, PRIMARY + COMMAND, 0xe5);
    wait_ready(f, PRIMARY);
    g_assert_cmphex(inb(f, PRIMARY + COUNT), ==, 0);
    outb(f, PRIMARY + COMMAND, 0xe1);
    wait_ready(f, PRIMARY);
    outb(f, PRIMARY + COMMAND, 0xe5);
    wait_ready(f, PRIMARY);
    g_assert_cmphex(inb(f, PRIMARY + COUNT), ==, 0xff);
    outb(f, PRIMARY + FEATURE, 0xda);
    outb(f, PRIMARY + MID, 0x4f);
    outb(f, PRIMARY + HIGH, 0xc2);
    outb(f, PRIMARY + COMMAND, 0xb0);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
    g_assert_cmphex(inw(f, PRIMARY + MID), ==, 0xc24f);
    outb(f, PRIMARY + FEATURE, 0xd0);
    outb(f, PRIMARY + COMMAND, 0xb0);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC | DRQ);
    read_words(f, PRIMARY, page, 512);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
}

static void test_nien(Fixture *f, gconstpointer unused)
{
    (void)unused;
    outb(f, control_port(PRIMARY), 2);
    outb(f, PRIMARY + COMMAND, 0xec);
    g_assert_cmpint(f->level[14], ==, 0);
    outb(f, control_port(PRIMARY), 0); /* the interrupt is still pending */
    g_assert_cmpint(f->level[14], ==, 1);
    outb(f, PRIMARY + DEVICE, 0x10); /* but the other drive's is not */
    g_assert_cmpint(f->level[14], ==, 0);
    outb(f, PRIMARY + DEVICE, 0);
    g_assert_cmpint(f->level[14], ==, 1);
    g_assert_cmphex(inb(f, PRIMARY + STATUS), ==, DRDY | DSC | DRQ);
    g_assert_cmpint(f->level[14], ==, 0);
}

static void expect_signature(Fixture *f, unsigned base, unsigned cylinder)
{
    g_assert_cmphex(inb(f, base + ERROR_), ==, 1);
    g_assert_cmphex(inb(f, base + COUNT), ==, 1);
    g_assert_cmphex(inb(f, base + LOW), ==, 1);
    g_assert_cmphex(inw(f, base + MID), ==, cylinder);
}

static void test_reset(Fixture *f, gconstpointer unused)
{
    (void)unused;
    expect_signature(f, PRIMARY, 0);
    expect_signature(f, SECONDARY, 0xeb14);
    g_assert_cmphex(inb(f, SECONDARY + STATUS), ==, 0);
    outb(f, PRIMARY + DEVICE, 0x10);
    outb(f, PRIMARY + COMMAND, 0xec);
    command28(f, PRIMARY, 0, 0x20, 5, 200); /* the image is being read meanwhile */
    outb(f, control_port(PRIMARY), 4);
    g_assert_cmphex(inb(f, PRIMARY + STATUS), ==, BSY);
    settle(f);
    g_assert_cmphex(inb(f, PRIMARY + STATUS), ==, BSY);
    outb(f, control_port(PRIMARY), 0);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
    expect_signature(f, PRIMARY, 0);
    outb(f, PRIMARY + DEVICE, 0x10);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
    g_assert_cmpint(f->level[14], ==, 0);
    /* A reset that ends before the image is done with. */
    command28(f, PRIMARY, 0, 0x20, 5, 200);
    outb(f, control_port(PRIMARY), 4);
    outb(f, control_port(PRIMARY), 0);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
    expect_signature(f, PRIMARY, 0);
    command28(f, PRIMARY, 0, 0x20, 6, 1);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC | DRQ);
    expect_words(f, PRIMARY, 6 * 512, 512);
    /* The whole machine, in the middle of DMA. */
    prd_put(f, 0, PAGE_AT, 512, true);
    bm_prepare(f, PRIMARY);
    bm_start(f, PRIMARY, true);
    command28(f, PRIMARY, 0, 0xc8, 3, 1);
    machine_reset(f->m);
    setup_pci(f);
    g_assert_cmphex(bm_status(f, PRIMARY), ==, 0);
    g_assert_cmphex(inb(f, PRIMARY + STATUS), ==, DRDY | DSC);
    g_assert_cmphex(as_read(f->m->memory, PAGE_AT, 8), ==, 0);
}

static void test_diagnostic(Fixture *f, gconstpointer unused)
{
    (void)unused;
    outb(f, PRIMARY + DEVICE, 0x10);
    outb(f, PRIMARY + COMMAND, 0x90);
    g_assert_cmpint(f->level[14], ==, 1);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
    expect_signature(f, PRIMARY, 0);
    g_assert_cmphex(inb(f, PRIMARY + DEVICE), ==, 0xa0);
}

/* ---- CD-ROM ---- */

/* Sends a packet; the status after it. */
static uint8_t packet(Fixture *f, const uint8_t *cdb, unsigned limit, bool dma)
{
    outb(f, SECONDARY + DEVICE, 0);
    outb(f, SECONDARY + FEATURE, dma);
    outb(f, SECONDARY + MID, limit);
    outb(f, SECONDARY + HIGH, limit >> 8);
    outb(f, SECONDARY + COMMAND, 0xa0);
    g_assert_cmphex(wait_ready(f, SECONDARY), ==, DRDY | DSC | DRQ);
    g_assert_cmphex(inb(f, SECONDARY + COUNT) & 3, ==, 1);
    for (unsigned i = 0; i < 12; i += 2)
        outw(f, SECONDARY, ld16le(cdb + i));
    return wait_ready(f, SECONDARY);
}

/* A packet command with data to the host, block by block; the number of bytes. */
static unsigned packet_in(Fixture *f, const uint8_t *cdb, unsigned limit, uint8_t *to)
{
    unsigned got = 0;
    uint8_t status = packet(f, cdb, limit, false);

    while (status & DRQ) {
        unsigned n = inw(f, SECONDARY + MID);
        g_assert_cmpuint(n, <=, limit);
        g_assert_cmphex(inb(f, SECONDARY + COUNT) & 3, ==, 2);
        read_words(f, SECONDARY, to + got, n);
        got += n;
        status = wait_ready(f, SECONDARY);
    }
    g_assert_cmphex(status, ==, DRDY | DSC);
    g_assert_cmphex(inb(f, SECONDARY + COUNT) & 3, ==, 3);
    return got;
}

#define CDB(...) ((const uint8_t[12]) { __VA_ARGS__ })

static void expect_sense(Fixture *f, const uint8_t *cdb, unsigned key, unsigned asc)
{
    uint8_t sense[18];

    g_assert_cmphex(packet(f, cdb, 0x100, false), ==, DRDY | DSC | ERR);
    g_assert_cmphex(inb(f, SECONDARY + ERROR_), ==, key << 4 | 4);
    g_assert_cmpuint(packet_in(f, CDB(0x03, 0, 0, 0, 18), 0x100, sense), ==, 18);
    g_assert_cmphex(sense[2], ==, key);
    g_assert_cmphex(sense[12], ==, asc);
    g_assert_cmpuint(packet_in(f, CDB(0x03, 0, 0, 0, 18), 0x100, sense), ==, 18);
    g_assert_cmphex(sense[2], ==, 0);
}

static void test_cd_identify(Fixture *f, gconstpointer unused)
{
    uint8_t page[512];
    char text[41];
    (void)unused;

    outb(f, SECONDARY + COMMAND, 0xec);
    g_assert_cmphex(wait_ready(f, SECONDARY), ==, DRDY | DSC | ERR);
    g_assert_cmphex(inw(f, SECONDARY + MID), ==, 0xeb14);
    outb(f, SECONDARY + COMMAND, 0xa1);
    g_assert_cmphex(wait_ready(f, SECONDARY), ==, DRDY | DSC | DRQ);
    read_words(f, SECONDARY, page, 512);
    g_assert_cmphex(ld16le(page), ==, 0x85c0);
    g_assert_cmphex(ld16le(page + 2 * 93), ==, 0x600b);
    string_get(page, 27, 40, text);
    g_assert_cmpstr(text, ==, "MYNA CD-ROM");
    outb(f, SECONDARY + COMMAND, 0x08);
    g_assert_cmphex(inb(f, SECONDARY + STATUS), ==, 0);
    expect_signature(f, SECONDARY, 0xeb14);
    expect_abort(f, SECONDARY, 0x25);
}

static void test_cd_read(Fixture *f, gconstpointer unused)
{
    g_autofree uint8_t *data = g_malloc(CD_SECTORS * 2048);
    (void)unused;

    g_assert_cmpuint(packet_in(f, CDB(0x28, 0, 0, 0, 0, 10, 0, 0, 3), 2048, data), ==, 3 * 2048);
    for (unsigned i = 0; i < 3 * 2048; i++)
        g_assert_cmphex(data[i], ==, pattern(10 * 2048 + i));
    g_assert_cmpuint(f->edges[15], ==, 4);
    /* All of it, by blocks that are no sectors: several buffers. */
    g_assert_cmpuint(packet_in(f, CDB(0xa8, 0, 0, 0, 0, 0, 0, 0, 1, 0x2c), 0xfffe, data), ==, CD_SECTORS * 2048);
    for (unsigned i = 0; i < CD_SECTORS * 2048; i++)
        g_assert_cmphex(data[i], ==, pattern(i));
    g_assert_cmpuint(packet_in(f, CDB(0xbe, 0, 0, 0, 0, 7, 0, 0, 1, 0x10), 999, data), ==, 2048);
    g_assert_cmphex(data[2047], ==, pattern(7 * 2048 + 2047));
    g_assert_cmpuint(packet_in(f, CDB(0x28, 0, 0, 0, 0, 10), 2048, data), ==, 0);
    expect_sense(f, CDB(0x28, 0, 0, 0, 1, 0x2b, 0, 0, 2), 5, 0x21);
    expect_sense(f, CDB(0x28, 0, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff), 5, 0x21);
    expect_sense(f, CDB(0xbe, 4, 0, 0, 0, 7, 0, 0, 1, 0x10), 5, 0x64);
}

static void test_cd_dma(Fixture *f, gconstpointer unused)
{
    (void)unused;
    prd_put(f, 0, 0x100000, 0, false);
    prd_put(f, 1, 0x110000, 0, false);
    prd_put(f, 2, 0x120000, 80 * 2048 - 0x20000, true);
    bm_prepare(f, SECONDARY);
    outb(f, bm_port(SECONDARY), 9);
    g_assert_cmphex(packet(f, CDB(0x28, 0, 0, 0, 0, 100, 0, 0, 80), 0, true), ==, DRDY | DSC);
    g_assert_cmphex(bm_status(f, SECONDARY), ==, 0x04);
    g_assert_cmphex(inb(f, SECONDARY + COUNT) & 3, ==, 3);
    expect_memory(f, 0x100000, 100 * 2048, 80 * 2048);
    /* A short answer by DMA. */
    prd_put(f, 0, PAGE_AT, 8, true);
    bm_prepare(f, SECONDARY);
    outb(f, bm_port(SECONDARY), 9);
    g_assert_cmphex(packet(f, CDB(0x25), 0, true), ==, DRDY | DSC);
    g_assert_cmphex(as_read(f->m->memory, PAGE_AT, 4), ==, 0x2b010000);
}

static void test_cd_commands(Fixture *f, gconstpointer unused)
{
    uint8_t b[256];
    (void)unused;

    g_assert_cmphex(packet(f, CDB(0x00), 0, false), ==, DRDY | DSC);
    g_assert_cmpuint(packet_in(f, CDB(0x12, 0, 0, 0, 36), 0x100, b), ==, 36);
    g_assert_cmphex(b[0], ==, 5);
    g_assert_cmpmem(b + 8, 14, "MYNA    CD-ROM", 14);
    g_assert_cmpuint(packet_in(f, CDB(0x12, 0, 0, 0, 5), 0x100, b), ==, 5); /* an odd length */
    g_assert_cmpuint(packet_in(f, CDB(0x25), 0x100, b), ==, 8);
    g_assert_cmpuint(ld32be(b), ==, CD_SECTORS - 1);
    g_assert_cmpuint(ld32be(b + 4), ==, 2048);
    g_assert_cmpuint(packet_in(f, CDB(0x43, 2, 0, 0, 0, 0, 0, 0, 100), 0x100, b), ==, 20);
    g_assert_cmpuint(ld16be(b), ==, 18);
    g_assert_cmphex(b[6], ==, 1);
    g_assert_cmphex(ld32be(b + 8), ==, 0x000200);
    g_assert_cmphex(b[14], ==, 0xaa);
    g_assert_cmphex(ld32be(b + 16), ==, 0x000600); /* 300 frames after 0:02:00 */
    g_assert_cmpuint(packet_in(f, CDB(0x43, 0, 0, 0, 0, 0, 0, 0, 12, 0x40), 0x100, b), ==, 12);
    g_assert_cmphex(b[6], ==, 1);
    g_assert_cmpuint(packet_in(f, CDB(0x43, 0, 2, 0, 0, 0, 0, 0, 100), 0x100, b), ==, 48);
    expect_sense(f, CDB(0x43, 0, 5, 0, 0, 0, 0, 0, 100), 5, 0x24);
    g_assert_cmpuint(packet_in(f, CDB(0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 128), 0x100, b), ==, 30);
    g_assert_cmphex(b[8], ==, 0x2a);
    g_assert_cmpuint(packet_in(f, CDB(0x5a, 0, 0x3f, 0, 0, 0, 0, 0, 128), 0x100, b), ==, 66);
    expect_sense(f, CDB(0x5a, 0, 0xea, 0, 0, 0, 0, 0, 128), 5, 0x39);
    g_assert_cmpuint(packet_in(f, CDB(0x46, 0, 0, 0, 0, 0, 0, 0, 200), 0x100, b), >, 40);
    g_assert_cmphex(ld16be(b + 6), ==, 8);
    g_assert_cmpuint(packet_in(f, CDB(0x46, 2, 0, 0x1e, 0, 0, 0, 0, 200), 0x100, b), ==, 12);
    g_assert_cmpuint(packet_in(f, CDB(0x51, 0, 0, 0, 0, 0, 0, 0, 200), 0x100, b), ==, 34);
    g_assert_cmpuint(packet_in(f, CDB(0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 200), 0x100, b), ==, 8);
    g_assert_cmpuint(packet_in(f, CDB(0x42, 0, 0x40, 1, 0, 0, 0, 0, 200), 0x100, b), ==, 16);
    g_assert_cmphex(packet(f, CDB(0x2b), 0, false), ==, DRDY | DSC);
    expect_sense(f, CDB(0xff), 5, 0x20);
}

static void test_cd_tray(Fixture *f, gconstpointer unused)
{
    uint8_t b[16];
    const uint8_t *event = CDB(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 16);
    (void)unused;

    g_assert_cmphex(packet(f, CDB(0x1e, 0, 0, 0, 1), 0, false), ==, DRDY | DSC);
    expect_sense(f, CDB(0x1b, 0, 0, 0, 2), 5, 0x53);
    g_assert_cmphex(packet(f, CDB(0x1e), 0, false), ==, DRDY | DSC);
    g_assert_cmpuint(packet_in(f, event, 0x100, b), ==, 8);
    g_assert_cmphex(b[4], ==, 0);
    g_assert_cmphex(b[5], ==, 2);
    g_assert_cmphex(packet(f, CDB(0x1b, 0, 0, 0, 2), 0, false), ==, DRDY | DSC);
    expect_sense(f, CDB(0x00), 2, 0x3a);
    expect_sense(f, CDB(0x28, 0, 0, 0, 0, 10, 0, 0, 3), 2, 0x3a);
    g_assert_cmpuint(packet_in(f, event, 0x100, b), ==, 8);
    g_assert_cmphex(b[4], ==, 3);
    g_assert_cmphex(b[5], ==, 1);
    g_assert_cmphex(packet(f, CDB(0x1b, 0, 0, 0, 3), 0, false), ==, DRDY | DSC);
    expect_sense(f, CDB(0x00), 6, 0x28);
    g_assert_cmphex(packet(f, CDB(0x00), 0, false), ==, DRDY | DSC);
}

/* A packet command with data from the host. */
static uint8_t packet_out(Fixture *f, const uint8_t *cdb, const uint8_t *data, unsigned n)
{
    outb(f, SECONDARY + FEATURE, 0);
    outb(f, SECONDARY + MID, 0xfe);
    outb(f, SECONDARY + HIGH, 0xff);
    outb(f, SECONDARY + COMMAND, 0xa0);
    for (unsigned i = 0; i < 12; i += 2)
        outw(f, SECONDARY, cdb[i] | cdb[i + 1] << 8);
    g_assert_cmphex(wait_ready(f, SECONDARY), ==, DRDY | DSC | DRQ);
    g_assert_cmphex(inb(f, SECONDARY + COUNT), ==, 0);
    g_assert_cmpuint(inb(f, SECONDARY + MID), ==, n);
    for (unsigned i = 0; i < n; i += 2)
        outw(f, SECONDARY, data[i] | data[i + 1] << 8);
    return wait_ready(f, SECONDARY);
}

static void test_cd_audio(Fixture *f, gconstpointer unused)
{
    uint8_t b[64], select[24] = { [8] = 0x0e, 14, 4, [16] = 1, 0x80, 2, 0x70 };
    (void)unused;

    /* Nothing can be played. */
    expect_sense(f, CDB(0x45, 0, 0, 0, 0, 0, 0, 0, 9), 5, 0x64);
    g_assert_cmphex(packet(f, CDB(0x45), 0, false), ==, DRDY | DSC);
    expect_sense(f, CDB(0x47, 0, 0, 0, 2, 0, 0, 3, 0), 5, 0x64);
    expect_sense(f, CDB(0xa5, 0, 0, 0, 0, 0, 0, 0, 0, 9), 5, 0x64);
    expect_sense(f, CDB(0x4b), 5, 0x2c);
    g_assert_cmphex(packet(f, CDB(0x4e), 0, false), ==, DRDY | DSC);
    /* Position, catalogue number, recording code. */
    g_assert_cmpuint(packet_in(f, CDB(0x42, 2, 0x40, 1, 0, 0, 0, 0, 64), 0x100, b), ==, 16);
    g_assert_cmphex(b[1], ==, 0x15);
    g_assert_cmpuint(packet_in(f, CDB(0x42, 2, 0x40, 2, 0, 0, 0, 0, 64), 0x100, b), ==, 24);
    g_assert_cmphex(b[8], ==, 0);
    g_assert_cmpuint(packet_in(f, CDB(0x42, 2, 0x40, 3, 0, 0, 1, 0, 64), 0x100, b), ==, 24);
    expect_sense(f, CDB(0x42, 2, 0x40, 4, 0, 0, 0, 0, 64), 5, 0x24);
    /* Volumes are kept, until they are reset; what cannot be is refused. */
    g_assert_cmphex(packet_out(f, CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0, 24), select, 24), ==, DRDY | DSC);
    g_assert_cmpuint(packet_in(f, CDB(0x5a, 0, 0x0e, 0, 0, 0, 0, 0, 64), 0x100, b), ==, 24);
    g_assert_cmpmem(b + 16, 4, select + 16, 4);
    g_assert_cmpuint(packet_in(f, CDB(0x5a, 0, 0x8e, 0, 0, 0, 0, 0, 64), 0x100, b), ==, 24);
    g_assert_cmphex(b[17], ==, 0xff);
    select[9] = 200;
    g_assert_cmphex(packet_out(f, CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0, 24), select, 24), ==, DRDY | DSC | ERR);
    expect_sense(f, CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0xff, 0), 5, 0x1a);
    expect_sense(f, CDB(0x55, 0x11, 0, 0, 0, 0, 0, 0, 24), 5, 0x24);
}

/* The user's hand: a locked door is told of; a medium that is put in is news, and has its own size. */
static void test_cd_change(Fixture *f, gconstpointer unused)
{
    GError *err = NULL;
    uint8_t b[16];
    const uint8_t *event = CDB(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 16);
    BlockBackend *cd = block_find(f->m, "cd");
    g_autofree char *other = image_new(f, "other.iso", 50 * 2048);
    (void)unused;

    g_assert_cmphex(packet(f, CDB(0x1e, 0, 0, 0, 1), 0, false), ==, DRDY | DSC);
    g_assert_true(block_locked(cd));
    g_assert_false(block_eject(cd, false, &err));
    g_clear_error(&err);
    g_assert_cmpuint(packet_in(f, event, 0x100, b), ==, 8);
    g_assert_cmphex(b[4], ==, 1);
    g_assert_cmphex(packet(f, CDB(0x1e), 0, false), ==, DRDY | DSC);
    g_assert_true(block_eject(cd, false, &err));
    g_assert_no_error(err);
    expect_sense(f, CDB(0x00), 2, 0x3a);
    g_assert_true(block_change(cd, other, "raw", true, false, &err));
    g_assert_no_error(err);
    expect_sense(f, CDB(0x00), 6, 0x28);
    g_assert_cmpuint(packet_in(f, event, 0x100, b), ==, 8);
    g_assert_cmphex(b[4], ==, 2);
    g_assert_cmpuint(packet_in(f, CDB(0x25), 0x100, b), ==, 8);
    g_assert_cmpuint(ld32be(b), ==, 49);
    g_assert_false(block_removable(block_find(f->m, "disk")));
    g_remove(other);
}

static void test_cd_msf(Fixture *f, gconstpointer unused)
{
    uint8_t b[4096];
    (void)unused;

    /* 00:02:10 to 00:02:12 are sectors 10 and 11. */
    g_assert_cmpuint(packet_in(f, CDB(0xb9, 0, 0, 0, 2, 10, 0, 2, 12, 0x10), 0xfffe, b), ==, 4096);
    for (unsigned i = 0; i < 4096; i++)
        g_assert_cmphex(b[i], ==, pattern(10 * 2048 + i));
    expect_sense(f, CDB(0xb9, 0, 0, 0, 2, 12, 0, 2, 10, 0x10), 5, 0x21);
    expect_sense(f, CDB(0xb9, 0, 0, 0, 1, 0, 0, 2, 10, 0x10), 5, 0x21);
    g_assert_cmpuint(packet_in(f, CDB(0x52, 1, 0, 0, 0, 1, 0, 0, 36), 0x100, b), ==, 36);
    g_assert_cmpuint(ld32be(b + 24), ==, CD_SECTORS);
    expect_sense(f, CDB(0x52, 1, 0, 0, 0, 2, 0, 0, 36), 5, 0x24);
    g_assert_cmphex(packet(f, CDB(0x2f, 0, 0, 0, 0, 9), 0, false), ==, DRDY | DSC);
}

/* SMART's logs and those of READ LOG EXT; a log that is not there. */
static void test_logs(Fixture *f, gconstpointer unused)
{
    (void)unused;
    outb(f, PRIMARY + FEATURE, 0xd5);
    command28(f, PRIMARY, 0, 0xb0, 0xc24f01, 1);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC | DRQ);
    g_assert_cmphex(inw(f, PRIMARY), ==, 1);
    for (unsigned i = 1; i < 256; i++)
        inw(f, PRIMARY);
    outb(f, PRIMARY + FEATURE, 0xd5);
    command28(f, PRIMARY, 0, 0xb0, 0xc24f33, 1);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC | ERR);
    command48(f, 0x2f, 0, 1);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC | DRQ);
    g_assert_cmphex(inw(f, PRIMARY), ==, 1);
    for (unsigned i = 1; i < 256; i++)
        inw(f, PRIMARY);
    command48(f, 0x2f, 0x10, 1); /* of queues, which IDE does not have */
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC | ERR);
}

/* The write cache is the image's. */
static void test_write_cache(Fixture *f, gconstpointer unused)
{
    BlockBackend *disk = block_find(f->m, "disk");
    (void)unused;

    outb(f, PRIMARY + FEATURE, 0x82);
    command28(f, PRIMARY, 0, 0xef, 0, 0);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
    g_assert_false(block_write_cache(disk));
    outb(f, PRIMARY + FEATURE, 0x02);
    command28(f, PRIMARY, 0, 0xef, 0, 0);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
    g_assert_true(block_write_cache(disk));
}

/* ---- save and restore ---- */

/* Saves, lets a reset destroy everything, and restores. */
static void save_and_restore(Fixture *f)
{
    GError *err = NULL;
    GByteArray *saved = machine_save(f->m);

    machine_reset(f->m);
    as_write(f->m->memory, PAGE_AT, 0, 8);
    machine_load(f->m, saved->data, saved->len, &err);
    g_assert_no_error(err);
    GByteArray *again = machine_save(f->m);
    g_assert_cmpmem(saved->data, saved->len, again->data, again->len);
    g_byte_array_unref(again);
    g_byte_array_unref(saved);
}

static void test_save(Fixture *f, gconstpointer unused)
{
    uint8_t buf[512];
    (void)unused;

    /* In the middle of a sector that is read; the image was still being read when saving began. */
    command28(f, PRIMARY, 0x10, 0x20, 5, 3);
    save_and_restore(f);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC | DRQ);
    expect_words(f, PRIMARY, 5 * 512, 512 + 100);
    save_and_restore(f);
    expect_words(f, PRIMARY, 6 * 512 + 100, 512 * 2 - 100);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
    /* Written. */
    command28(f, PRIMARY, 0, 0x30, 8, 1);
    for (unsigned i = 0; i < 256; i++) {
        if (i == 77)
            save_and_restore(f);
        outw(f, PRIMARY, i);
    }
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
    file_read_at(f->disk, 8 * 512, buf, 512);
    for (unsigned i = 0; i < 256; i++)
        g_assert_cmphex(ld16le(buf + 2 * i), ==, i);
    /* DMA that waits for its engine, and in the middle of a descriptor table. */
    prd_put(f, 0, PAGE_AT, 512, false);
    prd_put(f, 1, PAGE_AT + 512, 100, true);
    bm_prepare(f, PRIMARY);
    command28(f, PRIMARY, 0, 0xc8, 30, 2);
    save_and_restore(f);
    bm_start(f, PRIMARY, true);
    g_assert_cmphex(bm_status(f, PRIMARY), ==, 0);
    expect_memory(f, PAGE_AT, 30 * 512, 612);
    save_and_restore(f);
    prd_put(f, 0, PAGE_AT + 612, 412, true);
    bm_prepare(f, PRIMARY);
    bm_start(f, PRIMARY, true);
    g_assert_cmphex(bm_status(f, PRIMARY), ==, 4);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC);
    expect_memory(f, PAGE_AT, 30 * 512, 1024);
}

/* A saved machine with nonsense in it is refused, or harmless. */
static void test_save_broken(Fixture *f, gconstpointer unused)
{
    GRand *random = g_rand_new_with_seed(7);
    (void)unused;

    command28(f, PRIMARY, 0, 0x20, 5, 3);
    wait_ready(f, PRIMARY);
    GByteArray *saved = machine_save(f->m);
    for (unsigned round = 0; round < 150; round++) {
        if (load_damaged(f->m, saved, 3, random)) {
            for (unsigned i = 0; i < 300; i++)
                inw(f, PRIMARY);
            bm_start(f, PRIMARY, true);
            settle(f);
        }
        machine_reset(f->m);
    }
    g_byte_array_unref(saved);
    g_rand_free(random);
}

/* ---- a guest that means no good ---- */

/* All registers, commands and packets, with random descriptor tables; a reset brings the drives back in the end. */
static void test_random(Fixture *f, gconstpointer unused)
{
    GRand *random = g_rand_new_with_seed(g_test_rand_int());
    (void)unused;

    for (unsigned i = 0; i < 2000; i++)
        as_write(f->m->memory, PRD + 4 * i, g_rand_int(random) & (i % 2 ? 0x8000ffff : 0x00ffffff), 4);
    for (unsigned i = 0; i < 30000; i++) {
        unsigned base = g_rand_boolean(random) ? PRIMARY : SECONDARY, size = 1 << g_rand_int_range(random, 0, 3);
        uint32_t v = g_rand_int(random) >> g_rand_int_range(random, 0, 32);
        switch (g_rand_int_range(random, 0, 8)) {
        case 0: as_write(f->m->ports, base + g_rand_int_range(random, 0, 8), v, size); break;
        case 1: as_read(f->m->ports, base + g_rand_int_range(random, 0, 8), size); break;
        case 2: as_write(f->m->ports, bm_port(base) + g_rand_int_range(random, 0, 3), v, size); break;
        case 3: outb(f, base + COMMAND, v); break;
        case 4:
            for (unsigned k = g_rand_int_range(random, 0, 600); k--;)
                inw(f, base);
            break;
        case 5:
            outb(f, base + COMMAND, 0xa0);
            for (unsigned k = 0; k < 6; k++)
                outw(f, base, k ? g_rand_int(random) & 0x3ff : g_rand_int(random) & 0xff);
            break;
        case 6:
            if (v % 16 == 0)
                outb(f, control_port(base), v >> 4);
            outl(f, bm_port(base) + 4, PRD);
            break;
        default: g_main_context_iteration(f->m->context, FALSE); break;
        }
    }
    settle(f);
    for (unsigned base = SECONDARY; base <= PRIMARY; base += PRIMARY - SECONDARY) {
        outb(f, control_port(base), 4);
        outb(f, control_port(base), 0);
        wait_ready(f, base);
    }
    outb(f, PRIMARY + COMMAND, 0xec);
    g_assert_cmphex(wait_ready(f, PRIMARY), ==, DRDY | DSC | DRQ);
    g_rand_free(random);
}

/* ---- -device ---- */

static void test_drive_devices(Fixture *f, gconstpointer unused)
{
    GError *err = NULL;
    g_autofree char *extra = image_new(f, "extra.img", 10 * 512);
    (void)unused;

    g_assert_null(device_add(f->m, &ide_hd_type, NULL, &err, NULL));
    g_assert_nonnull(strstr(err->message, "drive="));
    g_clear_error(&err);
    g_assert_null(device_add(f->m, &ide_hd_type, NULL, &err, "drive", "disk", NULL));
    g_assert_nonnull(strstr(err->message, "already"));
    g_clear_error(&err);
    block_open(f->m, &(BlockOptions) { .id = "extra", .file = extra, .format = "raw" }, &err);
    g_assert_no_error(err);
    g_assert_null(device_add(f->m, &ide_hd_type, NULL, &err, "drive", "extra", "bus", "ide.0", NULL));
    g_assert_nonnull(strstr(err->message, "free"));
    g_clear_error(&err);
    g_assert_nonnull(device_add(f->m, &ide_hd_type, NULL, &err, "drive", "extra", "bus", "ide.1", "unit", "1", "serial",
                                "S1", NULL));
    outb(f, SECONDARY + DEVICE, 0x10);
    g_assert_cmphex(inb(f, SECONDARY + STATUS), ==, DRDY | DSC);
    device_remove(device_first(f->m, &ide_hd_type));
    g_remove(extra);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name, function) g_test_add("/ide/" name, Fixture, NULL, fixture_up, function, fixture_down)
    TEST("pci", test_pci);
    TEST("identify", test_identify);
    TEST("absent", test_absent);
    TEST("registers", test_registers);
    TEST("pio-read", test_pio_read);
    TEST("multiple", test_multiple);
    TEST("pio-write", test_pio_write);
    TEST("lba48", test_lba48);
    TEST("chs", test_chs);
    TEST("dma-read", test_dma_read);
    TEST("dma-large", test_dma_large);
    TEST("dma-write", test_dma_write);
    TEST("dma-lengths", test_dma_lengths);
    TEST("dma-not-master", test_dma_not_master);
    TEST("errors", test_errors);
    TEST("settings", test_settings);
    TEST("nien", test_nien);
    TEST("reset", test_reset);
    TEST("diagnostic", test_diagnostic);
    TEST("cd-identify", test_cd_identify);
    TEST("cd-read", test_cd_read);
    TEST("cd-dma", test_cd_dma);
    TEST("cd-commands", test_cd_commands);
    TEST("cd-tray", test_cd_tray);
    TEST("cd-audio", test_cd_audio);
    TEST("cd-change", test_cd_change);
    TEST("cd-msf", test_cd_msf);
    TEST("logs", test_logs);
    TEST("write-cache", test_write_cache);
    TEST("save", test_save);
    TEST("save-broken", test_save_broken);
    TEST("random", test_random);
    TEST("drive-devices", test_drive_devices);
    return g_test_run();
}
