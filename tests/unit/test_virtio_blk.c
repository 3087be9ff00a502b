/* virtio-blk-pci as a driver sees it (Virtual I/O Device 1.2, 5.2), on an image in a file. */
#include <glib/gstdio.h>
#include <unistd.h>

#include "backends/block/block.h"
#include "hw/virtio/virtio_blk.h"
#include "virtio_driver.h"

#define BIT_(n) (UINT64_C(1) << (n))
#define V1 BIT_(VIRTIO_F_VERSION_1)
enum { SECTORS = 4096, HEADER = BUFFERS_AT, STATUS = BUFFERS_AT + 0x1000, DATA = BUFFERS_AT + 0x10000 };
enum { IN, OUT, FLUSH = 4, GET_ID = 8, DISCARD = 11, ZEROES = 13 };
enum { OK, IOERR, UNSUPPORTED };
enum { F_SEG_MAX = 2, F_GEOMETRY = 4, F_RO = 5, F_BLK_SIZE = 6, F_FLUSH = 9, F_TOPOLOGY = 10, F_WCE = 11, F_MQ = 12,
       F_DISCARD = 13, F_ZEROES = 14 };

typedef struct Disk {
    Driver d;
    char *directory, *image;
    BlockBackend *drive;
} Disk;

static uint8_t pattern(uint64_t n) { return n * 7 + (n >> 9) * 13 + 1; }

static void machine_up(Disk *k, bool readonly, const char *property, const char *value)
{
    GError *err = NULL;
    driver_machine_up(&k->d);
    k->drive = block_open(k->d.m, &(BlockOptions){ .id = "disk", .file = k->image, .format = "raw",
                                                   .readonly = readonly }, &err);
    g_assert_no_error(err);
    device_add(k->d.m, &virtio_blk_type, "v", &err, "addr", "0x18", "packed", "on", "drive", "disk", "serial",
               "NUMBER-7",
               "queue-size", "128", property, value, NULL);
    g_assert_no_error(err);
    machine_reset(k->d.m);
    driver_map(&k->d);
}

static void machine_down(Disk *k)
{
    Machine *m = k->d.m;
    while (m->devices->len)
        device_remove(m->devices->pdata[m->devices->len - 1]);
    block_close_all(m);
    driver_machine_down(&k->d);
}

static void up_with(Disk *k, bool readonly, const char *property, const char *value)
{
    g_autofree uint8_t *data = g_malloc(SECTORS * 512);
    for (unsigned n = 0; n < SECTORS * 512; n++)
        data[n] = pattern(n);
    *k = (Disk){ .directory = g_dir_make_tmp("myna-blk-XXXXXX", NULL) };
    k->image = g_build_filename(k->directory, "disk.img", NULL);
    g_assert_true(g_file_set_contents(k->image, (char *)data, SECTORS * 512, NULL));
    machine_up(k, readonly, property, value);
}

static void up(Disk *k) { up_with(k, false, NULL, NULL); }

static void down(Disk *k)
{
    machine_down(k);
    g_unlink(k->image);
    g_rmdir(k->directory);
    g_free(k->image);
    g_free(k->directory);
}

/* ---- requests ---- */

static uint64_t header_at(unsigned slot) { return HEADER + 16 * slot; }
static uint64_t status_at(unsigned slot) { return STATUS + slot; }

static void put_header(Disk *k, unsigned slot, uint32_t type, uint64_t sector)
{
    mwrite(&k->d, header_at(slot), type, 8);
    mwrite(&k->d, header_at(slot) + 8, sector, 8);
    mwrite(&k->d, status_at(slot), 0xee, 1);
}

/* Header, data in up to four pieces, status. */
static void add(Disk *k, unsigned slot, uint32_t type, uint64_t sector, uint64_t at, uint32_t size, unsigned pieces,
                bool in)
{
    Segment s[SLOT_DESCS] = { { header_at(slot), 16, false } };
    unsigned n = 1;
    put_header(k, slot, type, sector);
    for (uint32_t done = 0; done < size; n++) {
        uint32_t part = n < pieces ? MIN(size - done, size / pieces + n) : size - done;
        s[n] = (Segment){ at + done, part, in };
        done += part;
    }
    s[n++] = (Segment){ status_at(slot), 1, true };
    driver_add(&k->d, 0, slot, s, n);
}

static uint8_t wait_one(Disk *k, uint32_t *length)
{
    unsigned slot;
    uint32_t n;
    driver_kick(&k->d, 0);
    while (!driver_used(&k->d, 0, &slot, &n))
        g_main_context_iteration(k->d.m->context, TRUE);
    if (length)
        *length = n;
    return mread(&k->d, status_at(slot), 1);
}

static uint8_t request(Disk *k, uint32_t type, uint64_t sector, uint64_t at, uint32_t size, bool in)
{
    add(k, 0, type, sector, at, size, 3, in);
    return wait_one(k, NULL);
}

static uint8_t range_request(Disk *k, uint32_t type, uint64_t sector, uint32_t sectors, uint32_t flags)
{
    mwrite(&k->d, DATA, sector, 8);
    mwrite(&k->d, DATA + 8, sectors, 4);
    mwrite(&k->d, DATA + 12, flags, 4);
    return request(k, type, 0, DATA, 16, false);
}

static void expect_pattern(Disk *k, uint64_t at, uint64_t offset, unsigned size)
{
    g_autofree uint8_t *bytes = g_malloc(size);
    as_read_bytes(k->d.m->memory, at, bytes, size);
    for (unsigned n = 0; n < size; n++)
        g_assert_cmphex(bytes[n], ==, pattern(offset + n));
}

static void expect_zeros(Disk *k, uint64_t sector, unsigned sectors)
{
    g_autofree uint8_t *bytes = g_malloc(512 * sectors);
    g_assert_cmphex(request(k, IN, sector, DATA + 0x1000, 512 * sectors, true), ==, OK);
    as_read_bytes(k->d.m->memory, DATA + 0x1000, bytes, 512 * sectors);
    for (unsigned n = 0; n < 512 * sectors; n++)
        g_assert_cmphex(bytes[n], ==, 0);
}

/* ---- tests ---- */

static void test_features(void)
{
    Disk k;
    up_with(&k, false, "num-queues", "4");
    uint64_t all = driver_offered(&k.d);
    for (unsigned f = F_SEG_MAX; f <= F_ZEROES; f++)
        g_assert_cmpint(all >> f & 1, ==, f != F_RO && f != 3 && f != 7 && f != 8);
    g_assert_cmphex(mread(&k.d, DEVICE_CONFIG, 8), ==, SECTORS);
    g_assert_cmphex(mread(&k.d, DEVICE_CONFIG + 12, 4), ==, 126);
    g_assert_cmphex(mread(&k.d, DEVICE_CONFIG + 16, 4), ==, 63 << 24 | 16 << 16 | SECTORS / (16 * 63));
    g_assert_cmphex(mread(&k.d, DEVICE_CONFIG + 20, 4), ==, 512);
    g_assert_cmphex(mread(&k.d, DEVICE_CONFIG + 32, 1), ==, 1);
    g_assert_cmphex(mread(&k.d, DEVICE_CONFIG + 34, 2), ==, 4);
    g_assert_cmphex(config_read(&k.d, 2, 2), ==, 0x1001);
    g_assert_cmphex(config_read(&k.d, 9, 4) & 0xffffff, ==, 0x010000);
    down(&k);
    up_with(&k, true, NULL, NULL);
    g_assert_true(driver_offered(&k.d) & BIT_(F_RO));
    down(&k);
}

static void test_read(void)
{
    Disk k;
    uint32_t length;
    up(&k);
    driver_start(&k.d, V1, 1);
    g_assert_cmphex(request(&k, IN, 5, DATA + 3, 3 * 512, true), ==, OK);
    expect_pattern(&k, DATA + 3, 5 * 512, 3 * 512);
    add(&k, 0, IN, SECTORS - 1, DATA, 512, 1, true);
    g_assert_cmphex(wait_one(&k, &length), ==, OK);
    g_assert_cmpuint(length, ==, 513);
    g_assert_cmphex(request(&k, IN, SECTORS, DATA, 512, true), ==, IOERR);
    g_assert_cmphex(request(&k, IN, UINT64_MAX, DATA, 512, true), ==, IOERR);
    g_assert_cmphex(request(&k, IN, 0, DATA, 100, true), ==, IOERR);
    g_assert_cmphex(request(&k, 99, 0, DATA, 512, true), ==, UNSUPPORTED);
    down(&k);
}

/* Header and data in one buffer, data and status in another: framing is the driver's affair (2.7.4). */
static void test_layout(void)
{
    Disk k;
    Segment out[] = { { DATA, 16 + 700, false }, { DATA + 0x2000, 324, false }, { STATUS, 1, true } };
    Segment in[] = { { HEADER, 7, false }, { HEADER + 7, 9, false }, { DATA + 0x4000, 1025, true } };
    up(&k);
    driver_start(&k.d, V1, 1);
    mwrite(&k.d, DATA, OUT, 8);
    mwrite(&k.d, DATA + 8, 40, 8);
    for (unsigned n = 0; n < 700; n++)
        mwrite(&k.d, DATA + 16 + n, pattern(n), 1);
    for (unsigned n = 0; n < 324; n++)
        mwrite(&k.d, DATA + 0x2000 + n, pattern(700 + n), 1);
    driver_request(&k.d, 0, out, 3);
    g_assert_cmphex(mread(&k.d, STATUS, 1), ==, OK);
    put_header(&k, 0, IN, 40);
    mwrite(&k.d, DATA + 0x4000 + 1024, 0xee, 1);
    driver_request(&k.d, 0, in, 3);
    expect_pattern(&k, DATA + 0x4000, 0, 1024);
    g_assert_cmphex(mread(&k.d, DATA + 0x4000 + 1024, 1), ==, OK);
    down(&k);
}

static void test_write(void)
{
    Disk k;
    g_autofree char *contents = NULL;
    up(&k);
    driver_start(&k.d, V1 | BIT_(F_FLUSH), 1);
    g_assert_cmphex(request(&k, IN, 0, DATA, 4096, true), ==, OK);
    g_assert_cmphex(request(&k, OUT, 100, DATA, 4096, false), ==, OK);
    g_assert_cmphex(request(&k, FLUSH, 0, 0, 0, false), ==, OK);
    g_assert_true(g_file_get_contents(k.image, &contents, NULL, NULL));
    for (unsigned n = 0; n < 4096; n++)
        g_assert_cmphex((uint8_t)contents[100 * 512 + n], ==, pattern(n));
    g_assert_cmphex(request(&k, OUT, SECTORS - 1, DATA, 1024, false), ==, IOERR);
    g_assert_cmphex(request(&k, GET_ID, 0, DATA, 20, true), ==, OK);
    char id[20];
    as_read_bytes(k.d.m->memory, DATA, id, 20);
    g_assert_cmpmem(id, 20, "NUMBER-7\0\0\0\0\0\0\0\0\0\0\0\0", 20);
    down(&k);
}

static void test_ranges(void)
{
    Disk k;
    up(&k);
    driver_start(&k.d, V1 | BIT_(F_DISCARD) | BIT_(F_ZEROES), 1);
    g_assert_cmphex(range_request(&k, ZEROES, 10, 5, 0), ==, OK);
    g_assert_cmphex(range_request(&k, ZEROES, 20, 4, 1), ==, OK);
    expect_zeros(&k, 10, 5);
    expect_zeros(&k, 20, 4);
    g_assert_cmphex(request(&k, IN, 15, DATA + 0x1000, 512, true), ==, OK);
    expect_pattern(&k, DATA + 0x1000, 15 * 512, 512);
    g_assert_cmphex(range_request(&k, DISCARD, 30, 8, 0), ==, OK);
    g_assert_cmphex(range_request(&k, DISCARD, 30, 8, 1), ==, UNSUPPORTED);
    g_assert_cmphex(range_request(&k, ZEROES, 30, 8, 2), ==, UNSUPPORTED);
    g_assert_cmphex(range_request(&k, DISCARD, SECTORS - 1, 2, 0), ==, IOERR);
    g_assert_cmphex(range_request(&k, ZEROES, 0, UINT32_MAX, 0), ==, IOERR);
    g_assert_cmphex(request(&k, DISCARD, 0, DATA, 8, false), ==, IOERR);
    g_assert_cmphex(request(&k, DISCARD, 0, DATA, 32, false), ==, IOERR);
    down(&k);
}

static void test_readonly(void)
{
    Disk k;
    up_with(&k, true, NULL, NULL);
    driver_start(&k.d, V1 | BIT_(F_RO), 1);
    g_assert_cmphex(request(&k, IN, 0, DATA, 512, true), ==, OK);
    g_assert_cmphex(request(&k, OUT, 0, DATA, 512, false), ==, IOERR);
    g_assert_cmphex(range_request(&k, ZEROES, 10, 5, 0), ==, IOERR);
    down(&k);
}

/* 5.2.6.2: the driver switches the cache; who cannot flush has none; a reset brings back what the user said. */
static void test_write_cache(void)
{
    Disk k;
    up(&k);
    driver_start(&k.d, V1 | BIT_(F_FLUSH) | BIT_(F_WCE), 1);
    g_assert_true(block_write_cache(k.drive));
    mwrite(&k.d, DEVICE_CONFIG + 32, 0, 1);
    g_assert_false(block_write_cache(k.drive));
    g_assert_cmphex(mread(&k.d, DEVICE_CONFIG + 32, 1), ==, 0);
    driver_set_status(&k.d, 0);
    g_assert_true(block_write_cache(k.drive));
    driver_start(&k.d, V1, 1);
    g_assert_false(block_write_cache(k.drive));
    down(&k);
    up_with(&k, false, "write-cache", "off");
    driver_start(&k.d, V1 | BIT_(F_FLUSH), 1);
    g_assert_false(block_write_cache(k.drive));
    down(&k);
}

/* Without header or status there is nothing that could be answered. */
static void test_short(void)
{
    static const Segment bad[][2] = {
        { { HEADER, 15, false }, { STATUS, 1, true } }, { { HEADER, 16, false }, { HEADER, 16, false } },
    };
    for (unsigned n = 0; n < 2; n++) {
        Disk k;
        up(&k);
        driver_start(&k.d, V1, 1);
        driver_add(&k.d, 0, 0, bad[n], 2);
        driver_kick(&k.d, 0);
        g_assert_cmphex(driver_status(&k.d), ==, 0x4f);
        driver_start(&k.d, V1, 1);
        g_assert_cmphex(request(&k, IN, 0, DATA, 512, true), ==, OK);
        down(&k);
    }
}

/* Many requests at once, each of another part, saved while they are under way, over both kinds of rings. */
static void test_traffic(gconstpointer features)
{
    Disk k;
    GError *err = NULL;
    up(&k);
    driver_enable_msix(&k.d, 2);
    driver_start(&k.d, V1 | BIT_(F_FLUSH) | GPOINTER_TO_SIZE(features), 1);
    for (unsigned round = 0; round < 30; round++) {
        unsigned slot, left = SLOTS;
        uint32_t length;
        for (unsigned n = 0; n < SLOTS; n++)
            add(&k, n, IN, 8 * ((n * 5 + round) % 64), DATA + 0x2000 * n, 4096, 1 + n % 4, true);
        driver_kick(&k.d, 0);
        if (round % 5 == 0) {
            GByteArray *saved = machine_save(k.d.m);
            machine_reset(k.d.m);
            machine_load(k.d.m, saved->data, saved->len, &err);
            g_assert_no_error(err);
            g_byte_array_unref(saved);
        }
        while (left) {
            if (!driver_used(&k.d, 0, &slot, &length)) {
                g_main_context_iteration(k.d.m->context, TRUE);
                continue;
            }
            left--;
            g_assert_cmphex(mread(&k.d, status_at(slot), 1), ==, OK);
            expect_pattern(&k, DATA + 0x2000 * slot, 4096 * ((slot * 5 + round) % 64), 4096);
        }
    }
    g_assert_cmpuint(k.d.msi[1], >, 0);
    down(&k);
}

/* A reset does not lose the drive: what was under way ends, and the next driver begins afresh. */
static void test_reset(void)
{
    Disk k;
    up(&k);
    for (unsigned round = 0; round < 20; round++) {
        driver_start(&k.d, V1, 1);
        for (unsigned n = 0; n < SLOTS; n++)
            add(&k, n, IN, n, DATA + 0x2000 * n, 512, 1, true);
        driver_kick(&k.d, 0);
        driver_set_status(&k.d, 0);
        while (driver_status(&k.d))
            g_main_context_iteration(k.d.m->context, TRUE);
    }
    driver_start(&k.d, V1, 1);
    g_assert_cmphex(request(&k, IN, 3, DATA, 512, true), ==, OK);
    expect_pattern(&k, DATA, 3 * 512, 512);
    down(&k);
}

/* Another size is a change of the configuration (5.2.5). */
static void test_resize(void)
{
    Disk k;
    GError *err = NULL;
    up(&k);
    driver_enable_msix(&k.d, 2);
    driver_start(&k.d, V1, 1);
    mwrite(&k.d, COMMON + 16, 0, 2);
    g_assert_true(block_resize(k.drive, 2 * SECTORS * 512, &err));
    g_assert_cmpuint(k.d.msi[0], ==, 1);
    g_assert_cmphex(mread(&k.d, DEVICE_CONFIG, 8), ==, 2 * SECTORS);
    g_assert_cmphex(request(&k, OUT, 2 * SECTORS - 1, DATA, 512, false), ==, OK);
    g_assert_false(block_eject(k.drive, true, &err));
    g_clear_error(&err);
    down(&k);
}

static void expect_refused(const char *property, const char *value, const char *words)
{
    Disk k;
    GError *err = NULL;
    up(&k);
    block_open(k.d.m, &(BlockOptions){ .id = "empty" }, NULL);
    Device *dev = device_add(k.d.m, &virtio_blk_type, "w", &err, "drive", "empty", property, value, NULL);
    g_assert_null(dev);
    g_test_message("%s", err->message);
    g_assert_nonnull(strstr(err->message, words));
    g_clear_error(&err);
    down(&k);
}

static void test_properties(void)
{
    expect_refused(NULL, NULL, "has no image");
    expect_refused("drive", "disk", "already used by device 'v'");
    Disk k;
    GError *err = NULL;
    up(&k);
    g_assert_null(device_add(k.d.m, &virtio_blk_type, "w", &err, NULL));
    g_assert_nonnull(strstr(err->message, "needs drive=ID"));
    g_clear_error(&err);
    down(&k);
}

/* Requests of any type and place, in any layout: an answer each, or a device that needs a reset. */
static void test_random(void)
{
    Disk k;
    up(&k);
    for (unsigned round = 0; round < 300; round++) {
        driver_start(&k.d, V1, 1);
        for (unsigned n = 0; n < SLOTS; n++) {
            static const uint8_t types[] = { IN, IN, OUT, FLUSH, GET_ID, DISCARD, ZEROES, 2 };
            Segment s[4] = { { header_at(n), g_test_rand_int_range(14, 20), false } };
            put_header(&k, n, types[g_test_rand_int_range(0, 8)], g_test_rand_int_range(0, SECTORS + 10));
            for (unsigned i = 1; i < 4; i++)
                s[i] = (Segment){ DATA + g_test_rand_int_range(0, 0x10000), 1 << g_test_rand_int_range(0, 12),
                                  g_test_rand_bit() };
            driver_add(&k.d, 0, n, s, g_test_rand_int_range(1, 5));
        }
        driver_kick(&k.d, 0);
        if (g_test_rand_bit())
            block_drain(k.drive);
        driver_set_status(&k.d, 0);
        block_drain(k.drive);
        g_assert_cmphex(driver_status(&k.d), ==, 0);
    }
    driver_start(&k.d, V1, 1);
    g_assert_cmphex(request(&k, IN, 3, DATA, 512, true), ==, OK);
    down(&k);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-blk/features", test_features);
    g_test_add_func("/virtio-blk/read", test_read);
    g_test_add_func("/virtio-blk/layout", test_layout);
    g_test_add_func("/virtio-blk/write", test_write);
    g_test_add_func("/virtio-blk/ranges", test_ranges);
    g_test_add_func("/virtio-blk/readonly", test_readonly);
    g_test_add_func("/virtio-blk/write-cache", test_write_cache);
    g_test_add_func("/virtio-blk/short", test_short);
    g_test_add_data_func("/virtio-blk/traffic/split", GSIZE_TO_POINTER(BIT_(VIRTIO_F_EVENT_IDX)), test_traffic);
    g_test_add_data_func("/virtio-blk/traffic/packed", GSIZE_TO_POINTER(BIT_(VIRTIO_F_RING_PACKED)), test_traffic);
    g_test_add_func("/virtio-blk/reset", test_reset);
    g_test_add_func("/virtio-blk/resize", test_resize);
    g_test_add_func("/virtio-blk/properties", test_properties);
    g_test_add_func("/virtio-blk/random", test_random);
    return g_test_run();
}
