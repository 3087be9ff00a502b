/* The floppy controller as a driver sees it: ports, DMA channel 2, interrupt 6 (Intel 82077AA datasheet). */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "backends/block/block.h"
#include "hw/block/fdc.h"
#include "hw/misc/i8237.h"
#include "tests/unit/bench.h"
#include "tests/unit/damaged_state.h"

enum { DOR = 0x3f2, MSR = 0x3f4, DSR = 0x3f4, FIFO = 0x3f5, CHANGE = 0x3f7, CCR = 0x3f7, DATA_AT = 0x10000 };
enum { TRACK = 18 };

typedef struct Fixture {
    Bench b;
    CpuPort port;
    Region *ram;
    Device *fdc;
    char *directory, *disk;
    uint8_t result[16];
} Fixture;

static uint8_t pattern(uint64_t n) { return n * 7 + (n >> 9) * 13 + 1; }

static void image_put(Fixture *f, uint64_t size)
{
    g_autofree uint8_t *data = g_malloc(size);
    for (uint64_t n = 0; n < size; n++)
        data[n] = pattern(n);
    g_assert_true(g_file_set_contents(f->disk, (char *)data, size, NULL));
}

static void machine_up(Fixture *f, uint64_t size, bool readonly)
{
    GError *err = NULL;

    f->directory = g_dir_make_tmp("myna-fdc-XXXXXX", NULL);
    f->disk = g_build_filename(f->directory, "disk.img", NULL);
    image_put(f, size);
    bench_init(&f->b, &f->port);
    f->ram = region_new_ram(f->b.m->pool, "ram", MiB, NULL);
    region_add(as_root(f->b.m->memory), 0, f->ram, 0);
    bench_add(&f->b, &i8237_type, NULL, NULL);
    block_open(f->b.m, &(BlockOptions) { .id = "a", .file = f->disk, .format = "raw", .readonly = readonly }, &err);
    g_assert_no_error(err);
    f->fdc = bench_add(&f->b, &isa_fdc_type, "driveA", "a");
}

static void machine_down(Fixture *f)
{
    while (machine_devices(f->b.m)->len)
        device_remove(g_ptr_array_index(machine_devices(f->b.m), machine_devices(f->b.m)->len - 1));
    block_close_all(f->b.m);
    region_remove(f->ram);
    region_free(f->ram);
    bench_exit(&f->b);
    g_remove(f->disk);
    g_rmdir(f->directory);
    g_free(f->disk);
    g_free(f->directory);
}

/* ---- the port's protocol ---- */

static void turn(Fixture *f) { g_main_context_iteration(f->b.m->context, TRUE); }
static uint8_t status(Fixture *f) { return in(&f->b, MSR); }

static void send(Fixture *f, const uint8_t *bytes, unsigned count)
{
    for (unsigned n = 0; n < count; n++) {
        g_assert_cmphex(status(f) & 0xc0, ==, 0x80);
        out(&f->b, FIFO, bytes[n]);
    }
}
#define SEND(f, ...) send(f, (const uint8_t[]) { __VA_ARGS__ }, sizeof (const uint8_t[]) { __VA_ARGS__ })

static unsigned receive(Fixture *f)
{
    unsigned n = 0;
    while ((status(f) & 0xd0) == 0xd0)
        f->result[n++] = in(&f->b, FIFO);
    return n;
}

static void wait_result(Fixture *f)
{
    while ((status(f) & 0xd0) != 0xd0)
        turn(f);
}

static void sense(Fixture *f, uint8_t st0, uint8_t cylinder)
{
    SEND(f, 0x08);
    g_assert_cmpuint(receive(f), ==, 2);
    g_assert_cmphex(f->result[0], ==, st0);
    g_assert_cmpuint(f->result[1], ==, cylinder);
}

/* Reset, and what drivers do then; rate 0 is 500 kbit/s. */
static void start(Fixture *f, uint8_t rate, bool dma)
{
    out(&f->b, DOR, 0x18);
    out(&f->b, DOR, 0x1c);
    g_assert_cmpint(f->b.level[6], ==, 1);
    for (unsigned unit = 0; unit < 4; unit++)
        sense(f, 0xc0 | unit, 0);
    g_assert_cmpint(f->b.level[6], ==, 0);
    out(&f->b, CCR, rate);
    SEND(f, 0x03, 0xdf, dma ? 0x02 : 0x03);
}

/* mode: 46h disk to memory, 4ah memory to disk. */
static void dma_setup(Fixture *f, uint8_t mode, unsigned bytes)
{
    out(&f->b, 0x0a, 6);
    out(&f->b, 0x0c, 0);
    out(&f->b, 0x0b, mode);
    out(&f->b, 0x04, DATA_AT & 0xff);
    out(&f->b, 0x04, DATA_AT >> 8 & 0xff);
    out(&f->b, 0x81, DATA_AT >> 16);
    out(&f->b, 0x05, bytes - 1);
    out(&f->b, 0x05, (bytes - 1) >> 8);
    out(&f->b, 0x0a, 2);
}

static void seek(Fixture *f, unsigned cylinder)
{
    SEND(f, 0x0f, 0, cylinder);
    g_assert_cmpint(f->b.level[6], ==, 1);
    sense(f, 0x20, cylinder);
}

static void expect_result(Fixture *f, const uint8_t expected[7])
{
    wait_result(f);
    g_assert_cmpint(f->b.level[6], ==, 1);
    g_assert_cmpuint(receive(f), ==, 7);
    g_assert_cmpint(f->b.level[6], ==, 0);
    g_assert_cmpmem(f->result, 7, expected, 7);
}
#define RESULT(f, ...) expect_result(f, (const uint8_t[7]) { __VA_ARGS__ })

static void expect_memory(Fixture *f, unsigned memory, uint64_t disk, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        g_assert_cmphex(as_read(f->b.m->memory, DATA_AT + memory + i, 1), ==, pattern(disk + i));
}

static uint64_t place(unsigned c, unsigned h, unsigned r) { return ((c * 2 + h) * TRACK + r - 1) * 512; }

static void fill(Fixture *f, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        as_write(f->b.m->memory, DATA_AT + i, i * 3 ^ i >> 8, 1);
}

static void expect_file(Fixture *f, uint64_t at, const uint8_t *data, unsigned n)
{
    g_autofree uint8_t *got = g_malloc(n);
    int fd = open(f->disk, O_RDONLY);
    g_assert_cmpint(pread(fd, got, n, at), ==, n);
    close(fd);
    g_assert_cmpmem(got, n, data, n);
}

/* ---- tests ---- */

static void test_commands(void)
{
    Fixture f = { 0 };
    machine_up(&f, 1440 * KiB, false);
    g_assert_cmpuint(fdc_drive_type(f.fdc, 0), ==, 4);
    g_assert_cmpuint(fdc_drive_type(f.fdc, 1), ==, 0);
    g_assert_cmphex(status(&f), ==, 0);
    start(&f, 0, true);
    g_assert_cmphex(status(&f), ==, 0x80);
    SEND(&f, 0x10);
    g_assert_cmpuint(receive(&f), ==, 1);
    g_assert_cmphex(f.result[0], ==, 0x90);
    SEND(&f, 0x18); /* PART ID: of later ones */
    g_assert_cmpuint(receive(&f), ==, 1);
    g_assert_cmphex(f.result[0], ==, 0x80);
    SEND(&f, 0x08); /* nothing to sense */
    g_assert_cmpuint(receive(&f), ==, 1);
    g_assert_cmphex(f.result[0], ==, 0x80);
    SEND(&f, 0x13, 0, 0x57, 3);
    SEND(&f, 0x12, 0x84 | 1);
    SEND(&f, 0x94);
    g_assert_cmpuint(receive(&f), ==, 1);
    g_assert_cmphex(f.result[0], ==, 0x10);
    out(&f.b, DSR, 0x80);
    for (unsigned unit = 0; unit < 4; unit++)
        sense(&f, 0xc0 | unit, 0);
    SEND(&f, 0x0e);
    g_assert_cmpuint(receive(&f), ==, 10);
    g_assert_cmpmem(f.result, 10, ((const uint8_t[]) { 0, 0, 0, 0, 0xdf, 2, 0, 0x80, 0x57, 3 }), 10);
    SEND(&f, 0x04, 0);
    receive(&f);
    g_assert_cmphex(f.result[0], ==, 0x38);
    seek(&f, 40);
    SEND(&f, 0x04, 0);
    receive(&f);
    g_assert_cmphex(f.result[0], ==, 0x28);
    SEND(&f, 0xcf, 0, 10);
    sense(&f, 0x20, 50);
    SEND(&f, 0x8f, 0, 20);
    sense(&f, 0x20, 30);
    SEND(&f, 0x07, 0);
    sense(&f, 0x20, 0);
    SEND(&f, 0x07, 1);
    sense(&f, 0x71, 0);
    SEND(&f, 0x4a, 4);
    RESULT(&f, 4, 0, 0, 0, 1, 1, 2);
    SEND(&f, 0x4a, 1);
    RESULT(&f, 0x41, 1, 0, 0, 0, 0, 0);
    out(&f.b, CCR, 2); /* another data rate finds no mark */
    SEND(&f, 0x4a, 0);
    RESULT(&f, 0x40, 1, 0, 0, 0, 0, 0);
    machine_down(&f);
}

static void test_read(void)
{
    Fixture f = { 0 };
    machine_up(&f, 1440 * KiB, false);
    start(&f, 0, true);
    dma_setup(&f, 0x46, 512);
    SEND(&f, 0xe6, 0, 0, 0, 5, 2, TRACK, 0x1b, 0xff);
    RESULT(&f, 0, 0, 0, 0, 0, 6, 2);
    expect_memory(&f, 0, place(0, 0, 5), 512);
    /* Both sides of a cylinder, and the ID after it. */
    seek(&f, 33);
    dma_setup(&f, 0x46, 36 * 512);
    SEND(&f, 0xe6, 0, 33, 0, 1, 2, TRACK, 0x1b, 0xff);
    RESULT(&f, 4, 0, 0, 34, 0, 1, 2);
    expect_memory(&f, 0, place(33, 0, 1), 36 * 512);
    /* Without MT the end of the track is the end. */
    dma_setup(&f, 0x46, 4 * 512);
    SEND(&f, 0x66, 4, 33, 1, 16, 2, TRACK, 0x1b, 0xff);
    RESULT(&f, 0x44, 0x80, 0, 34, 1, 1, 2);
    expect_memory(&f, 0, place(33, 1, 16), 3 * 512);
    /* Part of a sector. */
    dma_setup(&f, 0x46, 100);
    SEND(&f, 0xe6, 0, 33, 0, 2, 2, TRACK, 0x1b, 0xff);
    RESULT(&f, 0, 0, 0, 33, 0, 3, 2);
    expect_memory(&f, 0, place(33, 0, 2), 100);
    /* A track from its first sector; deleted data; implied seek. */
    dma_setup(&f, 0x46, 2 * 512);
    SEND(&f, 0x42, 0, 33, 0, 9, 2, TRACK, 0x1b, 0xff);
    RESULT(&f, 0, 0, 0, 33, 0, 3, 2);
    expect_memory(&f, 0, place(33, 0, 1), 1024);
    dma_setup(&f, 0x46, 2 * 512);
    SEND(&f, 0xcc, 0, 33, 0, 1, 2, TRACK, 0x1b, 0xff);
    RESULT(&f, 0, 0, 0x40, 33, 0, 2, 2);
    SEND(&f, 0x13, 0, 0x40, 0);
    dma_setup(&f, 0x46, 512);
    SEND(&f, 0xe6, 0, 7, 0, 1, 2, TRACK, 0x1b, 0xff);
    RESULT(&f, 0, 0, 0, 7, 0, 2, 2);
    expect_memory(&f, 0, place(7, 0, 1), 512);
    machine_down(&f);
}

static void test_write(void)
{
    Fixture f = { 0 };
    uint8_t data[1024], filler[512];
    machine_up(&f, 1440 * KiB, false);
    start(&f, 0, true);
    fill(&f, 1024);
    as_read_bytes(f.b.m->memory, DATA_AT, data, sizeof data);
    dma_setup(&f, 0x4a, 1024);
    SEND(&f, 0xc5, 0, 0, 0, 18, 2, TRACK, 0x1b, 0xff); /* over to the other side */
    RESULT(&f, 4, 0, 0, 0, 1, 2, 2);
    expect_file(&f, place(0, 0, 18), data, 1024);
    dma_setup(&f, 0x4a, 100); /* the rest of the sector is zeros */
    SEND(&f, 0xc9, 0, 0, 0, 3, 2, TRACK, 0x1b, 0xff);
    RESULT(&f, 0, 0, 0, 0, 0, 4, 2);
    memset(data + 100, 0, 412);
    expect_file(&f, place(0, 0, 3), data, 512);
    /* FORMAT TRACK. */
    seek(&f, 2);
    for (unsigned n = 0; n < TRACK; n++)
        as_write(f.b.m->memory, DATA_AT + 4 * n, 2 | 0 << 8 | (n + 1) << 16 | 2 << 24, 4);
    dma_setup(&f, 0x4a, 4 * TRACK);
    SEND(&f, 0x4d, 0, 2, TRACK, 0x50, 0xf6);
    wait_result(&f);
    g_assert_cmpuint(receive(&f), ==, 7);
    g_assert_cmphex(f.result[0], ==, 0);
    memset(filler, 0xf6, 512);
    for (unsigned n = 1; n <= TRACK; n++)
        expect_file(&f, place(2, 0, n), filler, 512);
    machine_down(&f);
}

static void test_errors(void)
{
    Fixture f = { 0 };
    machine_up(&f, 1440 * KiB, true);
    start(&f, 0, true);
    SEND(&f, 0x04, 0);
    receive(&f);
    g_assert_cmphex(f.result[0], ==, 0x78);
    SEND(&f, 0xc5, 0, 0, 0, 1, 2, TRACK, 0x1b, 0xff);
    RESULT(&f, 0x40, 2, 0, 0, 0, 1, 2);
    SEND(&f, 0x4d, 0, 2, TRACK, 0x50, 0xf6);
    wait_result(&f);
    receive(&f);
    g_assert_cmphex(f.result[1], ==, 2);
    SEND(&f, 0xe6, 0, 0, 0, 19, 2, TRACK, 0x1b, 0xff);
    RESULT(&f, 0x40, 4, 0, 0, 0, 19, 2);
    SEND(&f, 0xe6, 0, 3, 0, 1, 2, TRACK, 0x1b, 0xff);
    RESULT(&f, 0x40, 4, 0x10, 3, 0, 1, 2);
    SEND(&f, 0xe6, 0, 0, 0, 1, 3, TRACK, 0x1b, 0xff);
    RESULT(&f, 0x40, 4, 0, 0, 0, 1, 3);
    SEND(&f, 0xe6, 1, 0, 0, 1, 2, TRACK, 0x1b, 0xff);
    RESULT(&f, 0x41, 1, 0, 0, 0, 1, 2);
    SEND(&f, 0x16, 0, 0, 0, 1, 2, TRACK, 0x1b, 0xff);
    RESULT(&f, 0, 0, 0, 1, 0, 1, 2);
    SEND(&f, 0x96, 0x80, 0, 0, 1, 2, TRACK, 0x1b, 3);
    RESULT(&f, 0, 0, 0, 0, 0, 4, 2);
    machine_down(&f);
}

static void test_scan(void)
{
    Fixture f = { 0 };
    machine_up(&f, 1440 * KiB, false);
    start(&f, 0, true);
    /* The third of three sectors is equal. */
    for (unsigned k = 0; k < 3; k++)
        for (unsigned n = 0; n < 512; n++)
            as_write(f.b.m->memory, DATA_AT + k * 512 + n, n % 5 ? pattern(place(0, 0, 3) + n) : 0xff, 1);
    dma_setup(&f, 0x4a, 3 * 512);
    SEND(&f, 0x51, 0, 0, 0, 1, 2, TRACK, 0x1b, 1);
    RESULT(&f, 0, 0, 8, 0, 0, 3, 2);
    memset(region_host(f.ram) + DATA_AT, 0, 512);
    dma_setup(&f, 0x4a, 512);
    SEND(&f, 0x51, 0, 0, 0, 1, 2, 1, 0x1b, 1);
    RESULT(&f, 0, 0, 4, 1, 0, 1, 2);
    dma_setup(&f, 0x4a, 512);
    SEND(&f, 0x5d, 0, 0, 0, 1, 2, 1, 0x1b, 1); /* all bytes are higher */
    RESULT(&f, 0, 0, 0, 0, 0, 1, 2);
    machine_down(&f);
}

/* Without DMA: each byte by the port, and no terminal count but the end of the track. */
static void test_pio(void)
{
    Fixture f = { 0 };
    uint8_t data[512];
    machine_up(&f, 1440 * KiB, false);
    start(&f, 0, false);
    SEND(&f, 0xe6, 0, 0, 0, 17, 2, TRACK, 0x1b, 0xff);
    for (unsigned n = 0; n < 2 * 512; n++) {
        while (!(status(&f) & 0x80))
            turn(&f);
        g_assert_cmphex(status(&f), ==, 0xf0);
        g_assert_cmphex(in(&f.b, FIFO), ==, pattern(place(0, 0, 17) + n));
    }
    out(&f.b, DOR, 0x18);
    start(&f, 0, false);
    SEND(&f, 0x45, 0, 0, 0, 4, 2, 4, 0x1b, 0xff);
    for (unsigned n = 0; n < 512; n++) {
        g_assert_cmphex(status(&f), ==, 0xb0);
        data[n] = n ^ 0x33;
        out(&f.b, FIFO, data[n]);
    }
    RESULT(&f, 0x40, 0x80, 0, 1, 0, 1, 2);
    expect_file(&f, place(0, 0, 4), data, 512);
    machine_down(&f);
}

static void test_formats(void)
{
    static const struct {
        unsigned kib, type, rate, tracks, heads, sectors;
    } formats[] = { { 160, 2, 1, 40, 1, 8 }, { 180, 2, 1, 40, 1, 9 }, { 320, 2, 1, 40, 2, 8 }, { 360, 2, 2, 40, 2, 9 },
                    { 720, 4, 2, 80, 2, 9 }, { 1200, 2, 0, 80, 2, 15 }, { 1440, 4, 0, 80, 2, 18 },
                    { 2880, 5, 3, 80, 2, 36 } };

    for (unsigned n = 0; n < ARRAY_SIZE(formats); n++) {
        unsigned c = formats[n].tracks - 1, h = formats[n].heads - 1, r = formats[n].sectors;
        Fixture f = { 0 };
        machine_up(&f, formats[n].kib * KiB, false);
        g_assert_cmpuint(fdc_drive_type(f.fdc, 0), ==, formats[n].type);
        start(&f, formats[n].rate, true);
        seek(&f, c);
        dma_setup(&f, 0x46, 512);
        SEND(&f, 0xe6, h << 2, c, h, r, 2, r, 0x1b, 0xff);
        wait_result(&f);
        receive(&f);
        g_assert_cmphex(f.result[0], ==, 4); /* MT: the other side is next, or was last */
        expect_memory(&f, 0, formats[n].kib * KiB - 512, 512);
        machine_down(&f);
    }
}

static void test_change_line(void)
{
    Fixture f = { 0 };
    machine_up(&f, 720 * KiB, false);
    start(&f, 2, true);
    g_assert_cmphex(in(&f.b, CHANGE) & 0x80, ==, 0x80);
    seek(&f, 1);
    g_assert_cmphex(in(&f.b, CHANGE) & 0x80, ==, 0);
    machine_down(&f);
}

static void save_and_restore(Fixture *f)
{
    GError *err = NULL;
    GByteArray *saved = machine_save(f->b.m);

    machine_reset(f->b.m);
    machine_load(f->b.m, saved->data, saved->len, &err);
    g_assert_no_error(err);
    g_byte_array_unref(saved);
}

static void test_save(void)
{
    Fixture f = { 0 };
    machine_up(&f, 1440 * KiB, false);
    start(&f, 0, true);
    seek(&f, 20);
    SEND(&f, 0xe6, 0, 20, 0, 1);
    save_and_restore(&f);
    dma_setup(&f, 0x46, 8 * 512);
    SEND(&f, 2, TRACK, 0x1b, 0xff);
    save_and_restore(&f);
    wait_result(&f);
    save_and_restore(&f);
    g_assert_cmpuint(receive(&f), ==, 7);
    g_assert_cmpmem(f.result, 7, ((const uint8_t[]) { 0, 0, 0, 20, 0, 9, 2 }), 7);
    expect_memory(&f, 0, place(20, 0, 1), 8 * 512);
    /* In the middle of a sector, by PIO. */
    SEND(&f, 0x03, 0xdf, 3);
    SEND(&f, 0x66, 0, 20, 0, 18, 2, TRACK, 0x1b, 0xff);
    for (unsigned n = 0; n < 512; n++) {
        while (!(status(&f) & 0x80))
            turn(&f);
        if (n == 200)
            save_and_restore(&f);
        g_assert_cmphex(in(&f.b, FIFO), ==, pattern(place(20, 0, 18) + n));
    }
    RESULT(&f, 0x40, 0x80, 0, 21, 0, 1, 2);
    machine_down(&f);
}

/* ---- a guest that means no good ---- */

static void random_access(Fixture *f, GRand *random)
{
    static const uint8_t starts[] = { 0xe6, 0xc5, 0x4d, 0x51, 0x59, 0x5d, 0x16, 0x4c, 0x42, 0x0f, 0x07, 0x08, 0x03,
                                      0x13 };
    uint32_t v = g_rand_int(random);

    switch (g_rand_int_range(random, 0, 8)) {
    case 0: out(&f->b, 0x3f0 + v % 8, v >> 8); break;
    case 1: in(&f->b, 0x3f0 + v % 8); break;
    case 2: dma_setup(f, v & 1 ? 0x46 : 0x4a, 1 + (v >> 8 & 0x3fff)); break;
    case 3:
        out(&f->b, FIFO, starts[v % 14]);
        for (unsigned n = 0; n < 8; n++)
            out(&f->b, FIFO, n == 4 ? 2 : v >> n & 0x1f);
        break;
    case 4:
        for (unsigned n = v % 600; n--;)
            in(&f->b, FIFO);
        break;
    case 5:
        for (unsigned n = v % 600; n--;)
            out(&f->b, FIFO, g_rand_int(random));
        break;
    case 6:
        if (v % 8 == 0)
            out(&f->b, DOR, 0x18), out(&f->b, DOR, 0x1c);
        break;
    default: g_main_context_iteration(f->b.m->context, FALSE); break;
    }
}

static void test_random(void)
{
    GRand *random = g_rand_new_with_seed(g_test_rand_int());
    Fixture f = { 0 };
    machine_up(&f, 1440 * KiB, false);
    start(&f, 0, true);
    for (unsigned n = 0; n < 20000; n++)
        random_access(&f, random);
    block_drain_all(f.b.m);
    machine_reset(f.b.m);
    start(&f, 0, true);
    SEND(&f, 0x07, 0);
    sense(&f, 0x20, 0);
    machine_down(&f);
    g_rand_free(random);
}

static void test_save_broken(void)
{
    GRand *random = g_rand_new_with_seed(3);
    Fixture f = { 0 };
    machine_up(&f, 1440 * KiB, false);
    start(&f, 0, false);
    SEND(&f, 0xe6, 0, 0, 0, 1, 2, TRACK, 0x1b, 0xff);
    GByteArray *saved = machine_save(f.b.m);
    for (unsigned round = 0; round < 200; round++) {
        if (load_damaged(f.b.m, saved, 4, random))
            for (unsigned n = 0; n < 100; n++)
                random_access(&f, random);
        block_drain_all(f.b.m);
        machine_reset(f.b.m);
    }
    g_byte_array_unref(saved);
    machine_down(&f);
    g_rand_free(random);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fdc/commands", test_commands);
    g_test_add_func("/fdc/read", test_read);
    g_test_add_func("/fdc/write", test_write);
    g_test_add_func("/fdc/errors", test_errors);
    g_test_add_func("/fdc/scan", test_scan);
    g_test_add_func("/fdc/pio", test_pio);
    g_test_add_func("/fdc/formats", test_formats);
    g_test_add_func("/fdc/change-line", test_change_line);
    g_test_add_func("/fdc/save", test_save);
    g_test_add_func("/fdc/save-broken", test_save_broken);
    g_test_add_func("/fdc/random", test_random);
    return g_test_run();
}
