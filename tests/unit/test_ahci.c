/*
 * An AHCI adapter as a driver sees it: registers, command lists, FISes in memory, messages (AHCI 1.3.1; Serial ATA
 * 3.x).  Port 0 has a disk, port 1 a CD-ROM.
 */
#include "hw/block/ahci.h"
#include "tests/unit/damaged_state.h"
#include "tests/unit/disk_bench.h"

enum { GHC = 0x04, HBA_IS = 0x08 };
enum { CLB = 0x00, FB = 0x08, IS = 0x10, IE = 0x14, CMD = 0x18, TFD = 0x20, SIG = 0x24, SSTS = 0x28, SCTL = 0x2c,
       SERR = 0x30, SACT = 0x34, CI = 0x38 };
enum { LISTS = 0x10000, AREAS = 0x20000, TABLES = 0x30000, TABLE = 0x400, DATA = 0x100000 };
enum { DISK_PORT, CD_PORT, EMPTY_PORT, DISK_SECTORS = DISK_BYTES / 512 };
enum { HEADER_ATAPI = 0x20, HEADER_WRITE = 0x40, HEADER_CLEAR = 0x400 };

typedef struct Fixture {
    DiskBench b;
} Fixture;

static uint64_t port_at(unsigned port, unsigned reg) { return BAR_AT + 0x100 + 0x80 * port + reg; }
static void port_write(Fixture *f, unsigned port, unsigned reg, uint32_t v) { put32(&f->b, port_at(port, reg), v); }
static uint32_t port_read(Fixture *f, unsigned port, unsigned reg) { return get32(&f->b, port_at(port, reg)); }
static uint64_t list_at(unsigned port, unsigned slot) { return LISTS + 0x400 * port + 32 * slot; }
static uint64_t area_at(unsigned port) { return AREAS + 0x100 * port; }
static uint64_t table_at(unsigned port, unsigned slot) { return TABLES + (port * 32 + slot) * TABLE; }

static void drive_add(Fixture *f, const DeviceType *type, const char *drive, const char *bus)
{
    GError *err = NULL;
    device_add(f->b.m, type, NULL, &err, "drive", drive, "bus", bus, NULL);
    g_assert_no_error(err);
}

static void port_start(Fixture *f, unsigned port)
{
    port_write(f, port, CLB, list_at(port, 0));
    port_write(f, port, FB, area_at(port));
    port_write(f, port, SERR, UINT32_MAX);
    port_write(f, port, IS, UINT32_MAX);
    port_write(f, port, IE, UINT32_MAX);
    port_write(f, port, CMD, 0x10);
    port_write(f, port, CMD, 0x11);
}

static void setup(Fixture *f)
{
    disk_bench_map(&f->b, 5, BAR_AT);
    put32(&f->b, BAR_AT + GHC, 0x80000002);
    for (unsigned port = 0; port < 3; port++)
        port_start(f, port);
}

static void fixture_up(Fixture *f, gconstpointer unused)
{
    GError *err = NULL;
    (void)unused;
    disk_bench_up(&f->b);
    f->b.dev = device_add(f->b.m, &ich9_ahci_type, "ahci", &err, "addr", "24", NULL);
    g_assert_no_error(err);
    drive_add(f, &ide_hd_type, "disk", "ahci.0");
    drive_add(f, &ide_cd_type, "cd", "ahci.1");
    machine_reset(f->b.m);
    setup(f);
}

static void fixture_down(Fixture *f, gconstpointer unused)
{
    (void)unused;
    disk_bench_down(&f->b);
}

/* ---- commands ---- */

typedef struct Fis {
    uint8_t command, device;
    uint16_t feature, count;
    uint64_t lba;
} Fis;

static void header_put(Fixture *f, unsigned port, unsigned slot, unsigned flags, unsigned ranges)
{
    put32(&f->b, list_at(port, slot), 5 | flags | ranges << 16);
    put32(&f->b, list_at(port, slot) + 4, 0);
    put64(&f->b, list_at(port, slot) + 8, table_at(port, slot));
}

static void fis_put(Fixture *f, unsigned port, unsigned slot, const Fis *c)
{
    uint64_t at = table_at(port, slot);
    put32(&f->b, at, 0x27 | 0x80 << 8 | c->command << 16 | (c->feature & 0xffu) << 24);
    put32(&f->b, at + 4, (c->lba & 0xffffff) | (uint32_t)(c->device | 0x40) << 24);
    put32(&f->b, at + 8, (c->lba >> 24 & 0xffffff) | (c->feature & 0xff00u) << 16);
    put32(&f->b, at + 12, c->count);
    put32(&f->b, at + 16, 0);
}

static void range_put(Fixture *f, unsigned port, unsigned slot, unsigned n, uint64_t at, uint32_t size)
{
    uint64_t prd = table_at(port, slot) + 0x80 + 16 * n;
    put64(&f->b, prd, at);
    put32(&f->b, prd + 8, 0);
    put32(&f->b, prd + 12, size - 1);
}

/* A command with one range of memory, not yet issued. */
static void command_put(Fixture *f, unsigned port, unsigned slot, const Fis *c, unsigned flags, uint64_t at,
                        uint32_t size)
{
    header_put(f, port, slot, flags, size ? 1 : 0);
    fis_put(f, port, slot, c);
    if (size)
        range_put(f, port, slot, 0, at, size);
}

static void wait_issued(Fixture *f, unsigned port, uint32_t slots)
{
    while (port_read(f, port, CI) & slots && !(port_read(f, port, IS) >> 30 & 1))
        disk_bench_turn(&f->b, true);
}

/* Runs one in slot 0; the task file afterwards. */
static uint32_t run(Fixture *f, unsigned port, const Fis *c, unsigned flags, uint64_t at, uint32_t size)
{
    port_write(f, port, IS, UINT32_MAX);
    command_put(f, port, 0, c, flags, at, size);
    port_write(f, port, CI, 1);
    wait_issued(f, port, 1);
    return port_read(f, port, TFD);
}

/* A packet command by DMA, in slot 0. */
static uint32_t packet(Fixture *f, const uint8_t cdb[12], uint64_t at, uint32_t size, bool dma)
{
    port_write(f, CD_PORT, IS, UINT32_MAX);
    command_put(f, CD_PORT, 0, &(Fis) { .command = 0xa0, .feature = dma, .lba = 0xfffe00 }, HEADER_ATAPI, at, size);
    as_write_bytes(f->b.m->memory, table_at(CD_PORT, 0) + 0x40, cdb, 12);
    port_write(f, CD_PORT, CI, 1);
    wait_issued(f, CD_PORT, 1);
    return port_read(f, CD_PORT, TFD);
}

static void port_recover(Fixture *f, unsigned port)
{
    port_write(f, port, CMD, 0x10);
    settle(&f->b);
    g_assert_cmphex(port_read(f, port, CMD) & 0x8000, ==, 0);
    port_write(f, port, SERR, UINT32_MAX);
    port_write(f, port, IS, UINT32_MAX);
    port_write(f, port, CMD, 0x11);
}

/* ---- tests ---- */

static void test_registers(Fixture *f, gconstpointer unused)
{
    (void)unused;
    g_assert_cmphex(config_read(&f->b, PCI_CLASS, 4) & 0xffffff, ==, 0x010601);
    g_assert_cmphex(get32(&f->b, BAR_AT), ==, 0xc1349f05);
    g_assert_cmphex(get32(&f->b, BAR_AT + GHC), ==, 0x80000002);
    g_assert_cmphex(get32(&f->b, BAR_AT + 0x0c), ==, 0x3f);
    g_assert_cmphex(get32(&f->b, BAR_AT + 0x10), ==, 0x00010301);
    g_assert_cmphex(port_read(f, DISK_PORT, SIG), ==, 0x00000101);
    g_assert_cmphex(port_read(f, CD_PORT, SIG), ==, 0xeb140101);
    g_assert_cmphex(port_read(f, EMPTY_PORT, SIG), ==, 0xffffffff);
    g_assert_cmphex(port_read(f, DISK_PORT, SSTS), ==, 0x133);
    g_assert_cmphex(port_read(f, EMPTY_PORT, SSTS), ==, 0);
    g_assert_cmphex(port_read(f, DISK_PORT, TFD), ==, 0x0150);
    g_assert_cmphex(port_read(f, EMPTY_PORT, TFD), ==, 0x7f);
    g_assert_cmphex(port_read(f, DISK_PORT, CMD), ==, 0xc013);
    /* The signature's FIS came when there was a place for it. */
    g_assert_cmphex(get32(&f->b, area_at(CD_PORT) + 0x40) & 0xff, ==, 0x34);
    g_assert_cmphex(get32(&f->b, area_at(CD_PORT) + 0x44) & 0xffffff, ==, 0xeb1401);
}

static void test_identify(Fixture *f, gconstpointer unused)
{
    uint8_t page[512], sum = 0;
    (void)unused;
    g_assert_cmphex(run(f, DISK_PORT, &(Fis) { .command = 0xec }, 0, DATA, 512) & 0xff, ==, 0x50);
    as_read_bytes(f->b.m->memory, DATA, page, 512);
    g_assert_cmpuint(ld32le(page + 120), ==, DISK_SECTORS);
    g_assert_cmpuint(ld64le(page + 200), ==, DISK_SECTORS);
    g_assert_cmphex(ld16le(page + 152), ==, 0x010e);
    g_assert_cmpuint(ld16le(page + 150), ==, 31);
    g_assert_cmphex(ld16le(page + 186), ==, 0);
    for (unsigned i = 0; i < 512; i++)
        sum += page[i];
    g_assert_cmpuint(sum, ==, 0);
    /* By PIO: its setup FIS names the status at the end; bytes are counted. */
    g_assert_cmphex(port_read(f, DISK_PORT, IS), ==, 2);
    g_assert_cmphex(get32(&f->b, area_at(0) + 0x20) & 0xffff, ==, 0x605f);
    g_assert_cmphex(get32(&f->b, area_at(0) + 0x2c) >> 24, ==, 0x50);
    g_assert_cmpuint(get32(&f->b, area_at(0) + 0x30), ==, 512);
    g_assert_cmpuint(get32(&f->b, list_at(0, 0) + 4), ==, 512);
    g_assert_cmphex(run(f, CD_PORT, &(Fis) { .command = 0xec }, 0, DATA, 512), ==, 0x0451);
    g_assert_cmphex(port_read(f, CD_PORT, IS), ==, 0x40000001);
    port_recover(f, CD_PORT);
    g_assert_cmphex(run(f, CD_PORT, &(Fis) { .command = 0xa1 }, 0, DATA, 512) & 0xff, ==, 0x50);
    g_assert_cmphex(get32(&f->b, DATA) & 0xffff, ==, 0x85c0);
}

static void test_dma(Fixture *f, gconstpointer unused)
{
    (void)unused;
    g_assert_cmphex(run(f, 0, &(Fis) { .command = 0x25, .lba = 1000, .count = 600 }, 0, DATA, 600 * 512), ==, 0x50);
    expect_pattern(&f->b, DATA, 1000 * 512, 600 * 512);
    g_assert_cmphex(port_read(f, 0, IS), ==, 1);
    g_assert_cmpuint(get32(&f->b, list_at(0, 0) + 4), ==, 600 * 512);
    /* Ranges of odd places. */
    header_put(f, 0, 3, 0, 3);
    fis_put(f, 0, 3, &(Fis) { .command = 0xc8, .lba = 7, .count = 3 });
    range_put(f, 0, 3, 0, DATA + 2, 700);
    range_put(f, 0, 3, 1, DATA + 0x2000, 2);
    range_put(f, 0, 3, 2, DATA + 0x3ffe, 834);
    port_write(f, 0, CI, 1 << 3);
    wait_issued(f, 0, 1 << 3);
    expect_pattern(&f->b, DATA + 2, 7 * 512, 700);
    expect_pattern(&f->b, DATA + 0x2000, 7 * 512 + 700, 2);
    expect_pattern(&f->b, DATA + 0x3ffe, 7 * 512 + 702, 834);
    fill(&f->b, DATA, 16 * 512);
    const Fis write = { .command = 0x35, .lba = 50, .count = 16 };
    g_assert_cmphex(run(f, 0, &write, HEADER_WRITE, DATA, 16 * 512), ==, 0x50);
    expect_file(f->b.disk, 50 * 512, 16 * 512);
    g_assert_cmphex(run(f, 0, &(Fis) { .command = 0x30, .lba = 90, .count = 2 }, HEADER_WRITE, DATA, 1024), ==, 0x50);
    expect_file(f->b.disk, 90 * 512, 1024);
    g_assert_cmphex(run(f, 0, &(Fis) { .command = 0xea }, 0, 0, 0), ==, 0x50);
}

static void test_errors(Fixture *f, gconstpointer unused)
{
    (void)unused;
    g_assert_cmphex(run(f, 0, &(Fis) { .command = 0x25, .lba = DISK_SECTORS, .count = 1 }, 0, DATA, 512), ==, 0x1051);
    g_assert_cmphex(port_read(f, 0, IS), ==, 0x40000001);
    g_assert_cmphex(get32(&f->b, area_at(0) + 0x40), ==, 0x10514034);
    /* Nothing more is done until the port is stopped. */
    command_put(f, 0, 1, &(Fis) { .command = 0xec }, 0, DATA, 512);
    port_write(f, 0, CI, 2);
    settle(&f->b);
    g_assert_cmphex(port_read(f, 0, CI), ==, 2);
    port_recover(f, 0);
    g_assert_cmphex(port_read(f, 0, CI), ==, 0);
    g_assert_cmphex(run(f, 0, &(Fis) { .command = 0x02 }, 0, 0, 0), ==, 0x0451);
    port_recover(f, 0);
    /* Less memory than data: an overflow for reads; a write cannot be. */
    g_assert_cmphex(run(f, 0, &(Fis) { .command = 0x25, .lba = 3, .count = 2 }, 0, DATA, 700), ==, 0x50);
    g_assert_cmphex(port_read(f, 0, IS), ==, 0x01000001);
    expect_pattern(&f->b, DATA, 3 * 512, 700);
    g_assert_cmphex(run(f, 0, &(Fis) { .command = 0x35, .lba = 3, .count = 2 }, HEADER_WRITE, DATA, 700), ==, 0x0451);
    port_recover(f, 0);
    g_assert_cmphex(run(f, 0, &(Fis) { .command = 0xe5 }, 0, 0, 0), ==, 0x50);
}

static void queued_put(Fixture *f, unsigned slot, bool write, uint64_t lba, unsigned count, uint64_t at)
{
    command_put(f, 0, slot, &(Fis) { .command = write ? 0x61 : 0x60, .feature = count, .count = slot << 3, .lba = lba },
                write ? HEADER_WRITE : 0, at, count * 512);
}

static void test_queued(Fixture *f, gconstpointer unused)
{
    (void)unused;
    for (unsigned n = 0; n < 32; n++)
        queued_put(f, n, false, n * 100, 8, DATA + n * 0x1000);
    port_write(f, 0, SACT, UINT32_MAX);
    port_write(f, 0, CI, UINT32_MAX);
    g_assert_cmphex(port_read(f, 0, CI), ==, 0);
    while (port_read(f, 0, SACT))
        disk_bench_turn(&f->b, true);
    g_assert_cmphex(port_read(f, 0, IS), ==, 8);
    g_assert_cmphex(get32(&f->b, area_at(0) + 0x58), ==, 0x005040a1);
    for (unsigned n = 0; n < 32; n++)
        expect_pattern(&f->b, DATA + n * 0x1000, n * 100 * 512, 0x1000);
    fill(&f->b, DATA, 0x1000);
    queued_put(f, 9, true, 77, 8, DATA);
    as_write(f->b.m->memory, table_at(0, 9) + 7, 0xc0, 1); /* on stable storage */
    port_write(f, 0, SACT, 1 << 9);
    port_write(f, 0, CI, 1 << 9);
    while (port_read(f, 0, SACT))
        disk_bench_turn(&f->b, true);
    expect_file(f->b.disk, 77 * 512, 0x1000);
}

static void test_queued_error(Fixture *f, gconstpointer unused)
{
    (void)unused;
    queued_put(f, 2, false, 5, 8, DATA);
    queued_put(f, 5, false, DISK_SECTORS - 1, 2, DATA + 0x1000);
    port_write(f, 0, SACT, 1 << 2 | 1 << 5);
    port_write(f, 0, CI, 1 << 2 | 1 << 5);
    settle(&f->b);
    g_assert_cmphex(port_read(f, 0, IS), ==, 0x40000008);
    g_assert_cmphex(port_read(f, 0, SACT), ==, 1 << 2 | 1 << 5);
    g_assert_cmphex(port_read(f, 0, TFD), ==, 0x1051);
    port_recover(f, 0);
    g_assert_cmphex(port_read(f, 0, SACT), ==, 0);
    g_assert_cmphex(run(f, 0, &(Fis) { .command = 0x2f, .lba = 0x10, .count = 1 }, 0, DATA, 512) & 0xff, ==, 0x50);
    g_assert_cmphex(get32(&f->b, DATA) & 0xffff00ff, ==, 0x10510005);
    g_assert_cmphex(get32(&f->b, DATA + 4) & 0xffffff, ==, DISK_SECTORS - 1);
    g_assert_cmphex(run(f, 0, &(Fis) { .command = 0x2f, .lba = 0, .count = 1 }, 0, DATA, 512) & 0xff, ==, 0x50);
    g_assert_cmphex(get32(&f->b, DATA), ==, 1);
    g_assert_cmphex(get32(&f->b, DATA + 0x20), ==, 1);
}

static void test_packet(Fixture *f, gconstpointer unused)
{
    (void)unused;
    uint8_t inquiry[12] = { 0x12, 0, 0, 0, 36 }, read[12] = { 0x28, [5] = 20, [8] = 70 }, sense[12] = { 3, [4] = 18 };
    g_assert_cmphex(packet(f, inquiry, DATA, 36, false) & 0xff, ==, 0x50);
    g_assert_cmphex(get32(&f->b, DATA + 8), ==, 0x414e594d); /* MYNA */
    g_assert_cmphex(port_read(f, CD_PORT, IS), ==, 3);
    g_assert_cmpuint(get32(&f->b, list_at(CD_PORT, 0) + 4), ==, 36);
    g_assert_cmphex(packet(f, read, DATA, 70 * 2048, true) & 0xff, ==, 0x50);
    expect_pattern(&f->b, DATA, 20 * 2048, 70 * 2048);
    g_assert_cmphex(port_read(f, CD_PORT, IS), ==, 1);
    g_assert_cmphex(packet(f, read, DATA, 70 * 2048, false) & 0xff, ==, 0x50);
    expect_pattern(&f->b, DATA, 20 * 2048, 70 * 2048);
    read[4] = 1;
    g_assert_cmphex(packet(f, read, DATA, 2048, true), ==, 0x5451);
    port_recover(f, CD_PORT);
    g_assert_cmphex(packet(f, sense, DATA, 18, false) & 0xff, ==, 0x50);
    g_assert_cmphex(get32(&f->b, DATA + 12) & 0xff, ==, 0x21);
}

static void control_put(Fixture *f, unsigned slot, bool srst)
{
    command_put(f, 0, slot, &(Fis) { 0 }, HEADER_CLEAR, 0, 0);
    put32(&f->b, table_at(0, slot), 0x27);
    put32(&f->b, table_at(0, slot) + 12, srst ? 0x04000000 : 0);
    port_write(f, 0, CI, 1 << slot);
    g_assert_cmphex(port_read(f, 0, CI), ==, 0);
}

static void test_resets(Fixture *f, gconstpointer unused)
{
    (void)unused;
    /* By software. */
    control_put(f, 0, true);
    g_assert_cmphex(port_read(f, 0, TFD) & 0x88, ==, 0);
    put32(&f->b, area_at(0) + 0x40, 0);
    control_put(f, 1, false);
    g_assert_cmphex(get32(&f->b, area_at(0) + 0x40), ==, 0x01500034);
    g_assert_cmphex(port_read(f, 0, TFD), ==, 0x0150);
    /* COMRESET, while something is read. */
    command_put(f, 0, 0, &(Fis) { .command = 0x25, .count = 8 }, 0, DATA, 4096);
    port_write(f, 0, CI, 1);
    port_write(f, 0, CMD, 0x10);
    port_write(f, 0, SCTL, 0x301);
    g_assert_cmphex(port_read(f, 0, SSTS), ==, 0);
    g_assert_cmphex(port_read(f, 0, TFD), ==, 0x7f);
    port_write(f, 0, SCTL, 0x300);
    settle(&f->b);
    g_assert_cmphex(port_read(f, 0, SSTS), ==, 0x133);
    g_assert_cmphex(port_read(f, 0, SIG), ==, 0x101);
    g_assert_cmphex(port_read(f, 0, SERR), ==, 1 << 26);
    g_assert_cmphex(port_read(f, 0, IS) & 0x40, ==, 0x40);
    port_write(f, 0, SERR, 1 << 26);
    g_assert_cmphex(port_read(f, 0, IS) & 0x40, ==, 0);
    port_write(f, 0, CMD, 0x11);
    g_assert_cmphex(run(f, 0, &(Fis) { .command = 0xec }, 0, DATA, 512) & 0xff, ==, 0x50);
    /* Of the adapter, while queued commands are under way. */
    queued_put(f, 0, false, 0, 8, DATA);
    port_write(f, 0, SACT, 1);
    port_write(f, 0, CI, 1);
    put32(&f->b, BAR_AT + GHC, 1);
    settle(&f->b);
    g_assert_cmphex(get32(&f->b, BAR_AT + GHC), ==, 0x80000000);
    g_assert_cmphex(port_read(f, 0, SACT), ==, 0);
    g_assert_cmphex(port_read(f, 0, CMD), ==, 6);
    setup(f);
    g_assert_cmphex(run(f, 0, &(Fis) { .command = 0xec }, 0, DATA, 512) & 0xff, ==, 0x50);
}

static void test_interrupts(Fixture *f, gconstpointer unused)
{
    (void)unused;
    g_assert_cmpint(f->b.level, ==, 0);
    run(f, 0, &(Fis) { .command = 0xe5 }, 0, 0, 0);
    g_assert_cmpint(f->b.level, ==, 1);
    g_assert_cmphex(get32(&f->b, BAR_AT + HBA_IS), ==, 1);
    port_write(f, 0, IS, 1);
    g_assert_cmpint(f->b.level, ==, 0);
    port_write(f, 0, IE, 0);
    run(f, 0, &(Fis) { .command = 0xe5 }, 0, 0, 0);
    g_assert_cmpint(f->b.level, ==, 0);
    port_write(f, 0, IE, 1);
    g_assert_cmpint(f->b.level, ==, 1);
    unsigned at = config_read(&f->b, PCI_CAPABILITIES, 1);
    g_assert_cmphex(config_read(&f->b, at, 1), ==, 5);
    config_write(&f->b, at + 4, MSI_AT, 4);
    config_write(&f->b, at + 12, 33, 2);
    config_write(&f->b, at + 2, 1, 2);
    g_assert_cmpint(f->b.level, ==, 0);
    unsigned before = f->b.messages[33];
    run(f, CD_PORT, &(Fis) { .command = 0xa1 }, 0, DATA, 512);
    g_assert_cmpuint(f->b.messages[33], >, before);
}

static void test_save(Fixture *f, gconstpointer unused)
{
    (void)unused;
    /* While images are read. */
    for (unsigned n = 0; n < 8; n++)
        queued_put(f, n, false, n * 50, 8, DATA + n * 0x1000);
    port_write(f, 0, SACT, 0xff);
    port_write(f, 0, CI, 0xff);
    save_and_restore(&f->b);
    g_assert_cmphex(port_read(f, 0, SACT), ==, 0);
    for (unsigned n = 0; n < 8; n++)
        expect_pattern(&f->b, DATA + n * 0x1000, n * 50 * 512, 0x1000);
    /* Data that waits until the adapter may be master. */
    command_put(f, 0, 4, &(Fis) { .command = 0x25, .lba = 9, .count = 600 }, 0, DATA, 600 * 512);
    port_write(f, 0, CI, 1 << 4);
    config_write(&f->b, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
    settle(&f->b);
    g_assert_cmphex(port_read(f, 0, CI), ==, 1 << 4);
    save_and_restore(&f->b);
    config_write(&f->b, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
    wait_issued(f, 0, 1 << 4);
    expect_pattern(&f->b, DATA, 9 * 512, 600 * 512);
    g_assert_cmphex(port_read(f, 0, TFD), ==, 0x50);
}

/* ---- a guest that means no good ---- */

static void random_command(Fixture *f, GRand *random)
{
    static const uint8_t commands[] = { 0x25, 0x35, 0x60, 0x61, 0xa0, 0xec, 0x20, 0x30, 0x06, 0x2f, 0xb0, 0xc4, 0xef,
                                        0xea };
    static const uint64_t places[] = { DATA, LISTS, TABLES, BAR_AT, BAR_AT + 0x100, 0x7fff00, AREAS, 0xf0000000 };
    unsigned port = g_rand_int_range(random, 0, 3), slot = g_rand_int_range(random, 0, 32);
    unsigned ranges = g_rand_int_range(random, 0, 6);
    uint8_t command = commands[g_rand_int_range(random, 0, 14)];
    Fis c = { .command = g_rand_int_range(random, 0, 8) ? command : g_rand_int(random),
              .feature = g_rand_int_range(random, 0, 300), .count = g_rand_int_range(random, 0, 300),
              .lba = g_rand_int_range(random, 0, DISK_SECTORS + 100) };

    header_put(f, port, slot, g_rand_int(random) & 0xe0, g_rand_int_range(random, 0, 50) ? ranges : 65535);
    fis_put(f, port, slot, &c);
    for (unsigned n = 0; n < ranges; n++)
        range_put(f, port, slot, n, places[g_rand_int_range(random, 0, 8)] + g_rand_int_range(random, 0, 0x80) * 2,
                  g_rand_int_range(random, 1, 80000));
    for (unsigned n = 0; n < 12; n++)
        as_write(f->b.m->memory, table_at(port, slot) + 0x40 + n, g_rand_int(random) & (n ? 0x3f : 0xff), 1);
    if (g_rand_int_range(random, 0, 10) == 0)
        put32(&f->b, table_at(port, slot), g_rand_int(random));
}

static void random_access(Fixture *f, GRand *random)
{
    uint32_t v = g_rand_int(random) >> g_rand_int_range(random, 0, 32);
    unsigned port = g_rand_int_range(random, 0, 6), size = 1 << g_rand_int_range(random, 0, 4);

    switch (g_rand_int_range(random, 0, 9)) {
    case 0: case 1: random_command(f, random); break;
    case 2: as_read(f->b.m->memory, BAR_AT + g_rand_int_range(random, 0, 0x1000), size); break;
    case 3: as_write(f->b.m->memory, port_at(port, g_rand_int_range(random, IS, 0x80)), v, size); break;
    case 4: port_write(f, port, SACT, v); break;
    case 5: case 6: port_write(f, port, CI, v); break;
    case 7:
        if (v % 8 == 0)
            port_write(f, port, CMD, v & 8 ? 0x11 : v & 0x18);
        if (v % 64 == 1)
            setup(f);
        if (v % 64 == 2)
            put32(&f->b, BAR_AT + GHC, v);
        break;
    default: disk_bench_turn(&f->b, false); break;
    }
}

static void test_random(Fixture *f, gconstpointer unused)
{
    GRand *random = g_rand_new_with_seed(g_test_rand_int());
    (void)unused;
    unsigned at = config_read(&f->b, PCI_CAPABILITIES, 1);

    for (unsigned i = 0; i < 20000; i++) {
        random_access(f, random);
        if (i == 10000) { /* messages to its own registers */
            config_write(&f->b, at + 4, BAR_AT + 8, 4);
            config_write(&f->b, at + 2, 1, 2);
        }
    }
    settle(&f->b);
    memset(region_host(f->b.ram) + LISTS, 0, DATA - LISTS);
    put32(&f->b, BAR_AT + GHC, 1);
    settle(&f->b);
    machine_reset(f->b.m);
    setup(f);
    g_assert_cmphex(run(f, 0, &(Fis) { .command = 0xec }, 0, DATA, 512) & 0xff, ==, 0x50);
    g_rand_free(random);
}

static void test_save_broken(Fixture *f, gconstpointer unused)
{
    GRand *random = g_rand_new_with_seed(9);
    (void)unused;

    GByteArray *saved = machine_save(f->b.m);
    for (unsigned round = 0; round < 150; round++) {
        if (load_damaged(f->b.m, saved, 4, random))
            for (unsigned i = 0; i < 200; i++)
                random_access(f, random);
        settle(&f->b);
        machine_reset(f->b.m);
    }
    g_byte_array_unref(saved);
    g_rand_free(random);
}

static void test_buses(Fixture *f, gconstpointer unused)
{
    GError *err = NULL;
    g_autofree char *extra = disk_image_new(&f->b, "extra.img", 64 * KiB);
    (void)unused;

    block_open(f->b.m, &(BlockOptions) { .id = "extra", .file = extra, .format = "raw" }, &err);
    g_assert_no_error(err);
    g_assert_null(device_add(f->b.m, &ide_hd_type, NULL, &err, "drive", "extra", "bus", "ahci.0", NULL));
    g_assert_nonnull(strstr(err->message, "free"));
    g_clear_error(&err);
    g_assert_null(device_add(f->b.m, &ide_hd_type, NULL, &err, "drive", "extra", "bus", "ahci.6", NULL));
    g_assert_nonnull(strstr(err->message, "ahci.0, ahci.1"));
    g_clear_error(&err);
    /* A disk that comes while the machine runs is told. */
    drive_add(f, &ide_hd_type, "extra", "ahci.2");
    g_assert_cmphex(port_read(f, 2, IS) & 0x40, ==, 0x40);
    g_assert_cmphex(port_read(f, 2, SSTS), ==, 0x133);
    g_assert_cmphex(port_read(f, 2, SIG), ==, 0x101);
    g_remove(extra);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name, function) g_test_add("/ahci/" name, Fixture, NULL, fixture_up, function, fixture_down)
    TEST("registers", test_registers);
    TEST("identify", test_identify);
    TEST("dma", test_dma);
    TEST("errors", test_errors);
    TEST("queued", test_queued);
    TEST("queued-error", test_queued_error);
    TEST("packet", test_packet);
    TEST("resets", test_resets);
    TEST("interrupts", test_interrupts);
    TEST("save", test_save);
    TEST("save-broken", test_save_broken);
    TEST("random", test_random);
    TEST("buses", test_buses);
    return g_test_run();
}
