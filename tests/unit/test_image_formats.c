/*
 * backends/block: VDI, VHD, VMDK and VHDX: what we make, what is put together here byte for byte as the specifications
 * describe it, and what is damaged.
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include "backends/block/image.h"
#include "core/options.h"
#include "util/bits.h"
#include "util/crc32c.h"
#include "util/endian.h"

enum { SIZE = 9 * 1024 * 1024 + 1536, SECTOR = 512 };

typedef struct Kind {
    const char *format, *options;
} Kind;

static const Kind kinds[] = {
    { "vdi", "" },
    { "vdi", "static=on" },
    { "vpc", "" },
    { "vpc", "subformat=fixed" },
    { "vmdk", "" },
    { "vmdk", "zeroed_grain=on,adapter_type=lsilogic" },
    { "vmdk", "subformat=monolithicFlat" },
    { "vmdk", "subformat=twoGbMaxExtentSparse" },
    { "vmdk", "subformat=twoGbMaxExtentFlat" },
    { "vmdk", "subformat=streamOptimized" },
    { "vhdx", "" },
    { "vhdx", "block_size=1M,log_size=2M" },
    { "vhdx", "subformat=fixed" },
};

typedef struct Fixture {
    char *directory, *file;
} Fixture;

static void fixture_up(Fixture *f, gconstpointer unused)
{
    (void)unused;
    f->directory = g_dir_make_tmp("myna-formats-XXXXXX", NULL);
    f->file = g_build_filename(f->directory, "disk.img", NULL);
}

static void clear_directory(Fixture *f)
{
    GDir *dir = g_dir_open(f->directory, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(f->directory, name, NULL);
        g_remove(path);
    }
    g_dir_close(dir);
}

static void fixture_down(Fixture *f, gconstpointer unused)
{
    (void)unused;
    clear_directory(f);
    g_rmdir(f->directory);
    g_free(f->file);
    g_free(f->directory);
}

static void create(Fixture *f, const char *format, const char *options, uint64_t size)
{
    g_autoptr(GPtrArray) pairs = option_pairs_parse(options, NULL);
    GError *err = NULL;

    image_driver_find(format)->create(&(ImageCreate){ .who = "test", .file = f->file, .size = size, .options = pairs }, &err);
    g_assert_no_error(err);
    g_assert_cmpuint(pairs->len, ==, 0);
}

static char *create_error(Fixture *f, const char *format, const char *options, uint64_t size)
{
    g_autoptr(GPtrArray) pairs = option_pairs_parse(options, NULL);
    g_autoptr(GError) err = NULL;
    ImageCreate c = { .who = "test", .file = f->file, .size = size, .options = pairs };

    g_assert_false(image_driver_find(format)->create(&c, &err));
    return g_strdup(err->message);
}

static Image *open_ok(Fixture *f, const char *format, bool readonly)
{
    GError *err = NULL;
    Image *i = image_open(&(ImageOptions){ .who = "test", .file = f->file, .format = format, .readonly = readonly }, &err);

    g_assert_no_error(err);
    return i;
}

/* The message of an open that must fail: one line that says who. */
static char *open_error(Fixture *f, const char *format)
{
    g_autoptr(GError) err = NULL;
    Image *i = image_open(&(ImageOptions){ .who = "test", .file = f->file, .format = format }, &err);

    g_assert_null(i);
    g_assert_true(g_str_has_prefix(err->message, "test: "));
    g_assert_null(strchr(err->message, '\n'));
    return g_strdup(err->message);
}

#define assert_mentions(text, part)                                                                                    \
    do {                                                                                                               \
        if (!strstr(text, part))                                                                                       \
            g_error("\"%s\" does not mention \"%s\"", text, part);                                                     \
    } while (0)

static void assert_check(Image *i, unsigned corruptions)
{
    ImageCheck c = { 0 };
    GError *err = NULL;

    g_assert_true(i->driver->check(i, &c, &err));
    g_assert_cmpuint(c.corruptions, ==, corruptions);
    g_assert_cmpuint(c.leaks, ==, 0);
    g_assert_cmpuint(c.allocated, <=, c.total);
}

static void file_get(const char *name, uint8_t **data, gsize *size)
{
    g_assert_true(g_file_get_contents(name, (char **)data, size, NULL));
}

static void file_put(const char *name, const void *data, gsize size)
{
    g_assert_true(g_file_set_contents(name, data, size, NULL));
}

/* ---- what we make ---- */

static void random_work(Image *i, uint8_t *model, GRand *r)
{
    uint64_t offset = g_rand_int_range(r, 0, SIZE), size = g_rand_int_range(r, 1, g_rand_boolean(r) ? 5000 : 300000);
    g_autofree uint8_t *buf = g_malloc(300000);

    size = MIN(size, SIZE - offset);
    switch (g_rand_int_range(r, 0, 6)) {
    case 0:
        g_assert_cmpint(image_write_zeroes(i, offset, size, g_rand_boolean(r)), ==, 0);
        memset(model + offset, 0, size);
        break;
    case 1:
        g_assert_cmpint(image_flush(i), ==, 0);
        break;
    case 2:
    case 3:
        g_assert_cmpint(image_read(i, offset, buf, size), ==, 0);
        g_assert_cmpmem(buf, size, model + offset, size);
        break;
    default:
        for (uint64_t k = 0; k < size; k++)
            buf[k] = g_rand_int(r) >> 13;
        g_assert_cmpint(image_write(i, offset, buf, size), ==, 0);
        memcpy(model + offset, buf, size);
    }
}

/* What is said to be zeros is, and the extents have the disk's size. */
static void assert_map(Image *i, const uint8_t *model)
{
    ImageExtent e;

    for (uint64_t at = 0; at < SIZE; at += e.length) {
        g_assert_cmpint(image_map(i, at, SIZE - at, &e), ==, 0);
        g_assert_cmpuint(e.length, >, 0);
        g_assert_cmpuint(e.length, <=, SIZE - at);
        for (uint64_t k = 0; e.zero && k < e.length; k++)
            g_assert_cmpuint(model[at + k], ==, 0);
    }
}

static void assert_content(Image *i, const uint8_t *model)
{
    g_autofree uint8_t *all = g_malloc(SIZE);

    g_assert_cmpint(image_read(i, 0, all, SIZE), ==, 0);
    g_assert_true(!memcmp(all, model, SIZE));
}

static void test_own(Fixture *f, gconstpointer unused)
{
    g_autoptr(GRand) r = g_rand_new_with_seed(6);
    (void)unused;

    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        g_autofree uint8_t *model = g_malloc0(SIZE);
        g_test_message("%s %s", kinds[k].format, kinds[k].options);
        create(f, kinds[k].format, kinds[k].options, SIZE);
        for (unsigned opened = 0; opened < 3; opened++) {
            Image *i = open_ok(f, NULL, false);
            g_assert_cmpstr(i->driver->name, ==, kinds[k].format);
            g_assert_cmpuint(i->size, ==, SIZE);
            for (unsigned n = 0; n < 25; n++)
                random_work(i, model, r);
            assert_map(i, model);
            assert_check(i, 0);
            image_close(i);
        }
        Image *i = open_ok(f, kinds[k].format, true);
        assert_content(i, model);
        g_assert_cmpint(image_write(i, 0, model, 1), ==, -EROFS);
        image_close(i);
        clear_directory(f);
    }
}

typedef struct Writer {
    Image *image;
    uint8_t number;
} Writer;

enum { WRITERS = 6, STRIPE = 3000 };

static gpointer write_stripes(gpointer opaque)
{
    const Writer *w = opaque;
    uint8_t buf[STRIPE], back[STRIPE];

    memset(buf, w->number + 1, sizeof buf);
    for (uint64_t at = w->number * STRIPE; at + STRIPE <= SIZE; at += WRITERS * STRIPE * 7) {
        g_assert_cmpint(image_write(w->image, at, buf, STRIPE), ==, 0);
        g_assert_cmpint(image_read(w->image, at, back, STRIPE), ==, 0);
        g_assert_cmpmem(buf, STRIPE, back, STRIPE);
    }
    return NULL;
}

/* Threads that fill the same blocks get one each, and the same one. */
static void test_threads(Fixture *f, gconstpointer unused)
{
    (void)unused;
    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        Writer writers[WRITERS];
        GThread *threads[WRITERS];
        uint8_t back[STRIPE];
        create(f, kinds[k].format, kinds[k].options, SIZE);
        Image *i = open_ok(f, kinds[k].format, false);
        for (unsigned n = 0; n < WRITERS; n++) {
            writers[n] = (Writer){ i, n };
            threads[n] = g_thread_new("writer", write_stripes, &writers[n]);
        }
        for (unsigned n = 0; n < WRITERS; n++)
            g_thread_join(threads[n]);
        for (uint64_t at = 0; at + WRITERS * STRIPE <= SIZE; at += WRITERS * STRIPE * 7) {
            for (unsigned n = 0; n < WRITERS; n++) {
                g_assert_cmpint(image_read(i, at + n * STRIPE, back, STRIPE), ==, 0);
                g_assert_true(back[0] == n + 1 && !memcmp(back, back + 1, STRIPE - 1));
            }
        }
        assert_check(i, 0);
        image_close(i);
        clear_directory(f);
    }
}

static void test_sizes(Fixture *f, gconstpointer unused)
{
    uint8_t byte = 7;
    (void)unused;

    create(f, "vdi", "", MiB);
    Image *i = open_ok(f, "vdi", false);
    g_assert_cmpint(image_write(i, MiB - 1, &byte, 1), ==, 0);
    g_assert_cmpint(image_resize(i, 200 * MiB), ==, 0);
    g_assert_cmpint(image_write(i, 200 * MiB - 1, &byte, 1), ==, 0);
    g_assert_cmpint(image_resize(i, MiB), ==, -ENOTSUP);
    image_close(i);
    i = open_ok(f, "vdi", true);
    g_assert_cmpuint(i->size, ==, 200 * MiB);
    byte = 0;
    g_assert_cmpint(image_read(i, 200 * MiB - 1, &byte, 1), ==, 0);
    g_assert_cmpuint(byte, ==, 7);
    image_close(i);

    create(f, "vpc", "force_size=off", 10 * MiB); /* 302 cylinders of 4 heads and 17 sectors */
    i = open_ok(f, "vpc", true);
    g_assert_cmpuint(i->size, ==, UINT64_C(302) * 4 * 17 * 512);
    image_close(i);
}

static void test_create_errors(Fixture *f, gconstpointer unused)
{
    static const struct {
        const char *format, *options, *words;
        uint64_t size;
    } rows[] = {
        { "vdi", "static=perhaps", "static", MiB },
        { "vdi", "", "64 TiB", 0 },
        { "vpc", "", "2040 GiB", 2041 * GiB },
        { "vpc", "subformat=sparse", "dynamic", MiB },
        { "vmdk", "subformat=monolithicsparse", "monolithicSparse", MiB },
        { "vmdk", "", "2 TiB", 2049 * GiB },
        { "vmdk", "hwversion=four", "hwversion", MiB },
        { "vhdx", "block_size=3M", "block_size", MiB },
        { "vhdx", "", "64 TiB", 65 * 1024 * GiB },
    };
    (void)unused;

    for (unsigned k = 0; k < ARRAY_SIZE(rows); k++) {
        g_autofree char *text = create_error(f, rows[k].format, rows[k].options, rows[k].size);
        assert_mentions(text, rows[k].words);
        g_assert_false(g_file_test(f->file, G_FILE_TEST_EXISTS));
    }
}

/* ---- byte for byte ---- */

static void assert_bytes(Image *i, uint64_t offset, uint8_t byte, unsigned size)
{
    g_autofree uint8_t *buf = g_malloc(size);

    g_assert_cmpint(image_read(i, offset, buf, size), ==, 0);
    for (unsigned k = 0; k < size; k++)
        g_assert_cmpuint(buf[k], ==, byte);
}

/* Four blocks: the second one in the file, one never written, the first one, and one discarded to zeros. */
static void test_vdi_bytes(Fixture *f, gconstpointer unused)
{
    enum { DATA = 1024, BLOCK = 1 << 20 };
    g_autofree uint8_t *b = g_malloc0(DATA + 2 * BLOCK);
    static const uint32_t table[] = { 1, 0xffffffff, 0, 0xfffffffe };
    uint8_t byte = 0x33;
    (void)unused;

    st32le(b + 0x40, 0xbeda107f);
    st32le(b + 0x44, 0x00010001);
    st32le(b + 0x48, 0x190);
    st32le(b + 0x4c, 1);
    st32le(b + 0x154, 512);
    st32le(b + 0x158, DATA);
    st32le(b + 0x168, 512);
    st64le(b + 0x170, 4 * BLOCK);
    st32le(b + 0x178, BLOCK);
    st32le(b + 0x180, 4);
    st32le(b + 0x184, 2);
    for (unsigned k = 0; k < 4; k++)
        st32le(b + 512 + 4 * k, table[k]);
    memset(b + DATA, 0x11, BLOCK);
    memset(b + DATA + BLOCK, 0x22, BLOCK);
    file_put(f->file, b, DATA + 2 * BLOCK);
    Image *i = open_ok(f, NULL, false);
    g_assert_cmpuint(i->size, ==, 4 * BLOCK);
    assert_bytes(i, 0, 0x22, BLOCK);
    assert_bytes(i, BLOCK, 0, BLOCK);
    assert_bytes(i, 2 * BLOCK, 0x11, BLOCK);
    assert_bytes(i, 3 * BLOCK, 0, BLOCK);
    g_assert_cmpint(image_write(i, 3 * BLOCK + 5, &byte, 1), ==, 0);
    assert_bytes(i, 3 * BLOCK + 5, 0x33, 1);
    assert_bytes(i, 3 * BLOCK + 6, 0, 100);
    image_close(i);
    g_autofree uint8_t *after = NULL;
    gsize size;
    file_get(f->file, &after, &size);
    g_assert_cmpuint(size, ==, DATA + 3 * BLOCK);
    g_assert_cmpuint(ld32le(after + 0x184), ==, 3);
    g_assert_cmpuint(ld32le(after + 512 + 12), ==, 2);
    g_assert_cmpuint(after[DATA + 2 * BLOCK + 5], ==, 0x33);
}

static uint32_t vhd_checksum(uint8_t *p, unsigned size, unsigned at)
{
    uint32_t sum = 0;
    st32be(p + at, 0);
    for (unsigned k = 0; k < size; k++)
        sum += p[k];
    return ~sum;
}

static void make_vhd_footer(uint8_t *p, uint64_t size)
{
    memcpy(p, "conectix", 8);
    st32be(p + 8, 2);
    st32be(p + 12, 0x10000);
    st64be(p + 16, 512);
    memcpy(p + 28, "win ", 4);
    st64be(p + 40, size);
    st64be(p + 48, size);
    st32be(p + 60, 3);
    st32be(p + 64, vhd_checksum(p, 512, 64));
}

/* One block of 4 KiB of which sectors 0 and 2 were written; what lies in the others is not the disk's. */
static void test_vhd_bytes(Fixture *f, gconstpointer unused)
{
    enum { BLOCK = 4096, TABLE = 1536, PLACE = 2048, END = PLACE + 512 + BLOCK };
    uint8_t b[END + 512] = { 0 }, byte = 0x55;
    (void)unused;

    make_vhd_footer(b, 2 * BLOCK);
    memcpy(b + 512, "cxsparse", 8);
    st64be(b + 512 + 8, UINT64_MAX);
    st64be(b + 512 + 16, TABLE);
    st32be(b + 512 + 24, 0x10000);
    st32be(b + 512 + 28, 2);
    st32be(b + 512 + 32, BLOCK);
    st32be(b + 512 + 36, vhd_checksum(b + 512, 1024, 36));
    st32be(b + TABLE, PLACE / 512);
    st32be(b + TABLE + 4, 0xffffffff);
    b[PLACE] = 0xa0;
    memset(b + PLACE + 512, 0x44, BLOCK);
    memcpy(b + END, b, 512);
    file_put(f->file, b, sizeof b);
    Image *i = open_ok(f, NULL, false);
    assert_bytes(i, 0, 0x44, 512);
    assert_bytes(i, 512, 0, 512);
    assert_bytes(i, 1024, 0x44, 512);
    assert_bytes(i, 1536, 0, 2 * BLOCK - 1536);
    g_assert_cmpint(image_write(i, 600, &byte, 1), ==, 0);
    assert_bytes(i, 600, 0x55, 1);
    assert_bytes(i, 601, 0, 1024 - 601);
    assert_bytes(i, 1024, 0x44, 512);
    g_assert_cmpint(image_write(i, BLOCK, &byte, 1), ==, 0);
    image_close(i);
    g_autofree uint8_t *after = NULL;
    gsize size;
    file_get(f->file, &after, &size);
    g_assert_cmpuint(size, ==, END + 512 + BLOCK + 512); /* the new block where the footer was, and that at the end */
    g_assert_cmpmem(after + size - 512, 512, b, 512);
    g_assert_cmpuint(ld32be(after + TABLE + 4), ==, END / 512);
    g_assert_cmpuint(after[PLACE], ==, 0xff);

    memset(after + size - 512, 0, 512); /* the copy in front is enough */
    file_put(f->file, after, size);
    image_close(open_ok(f, NULL, true));
}

enum { GRAIN = 64 * 1024, GRAINS = 4 };

static void make_vmdk_header(uint8_t *h, uint32_t version, uint32_t flags, uint64_t directory)
{
    memcpy(h, "KDMV", 4);
    st32le(h + 4, version);
    st32le(h + 8, flags | 1);
    st64le(h + 12, GRAINS * GRAIN / 512);
    st64le(h + 20, GRAIN / 512);
    st32le(h + 44, 512);
    st64le(h + 56, directory);
    st64le(h + 64, 128);
    memcpy(h + 73, "\n \r\n", 4);
    st16le(h + 77, flags >> 16 & 1);
}

/* A grain of data, one never written, one of zeros (entry 1, with flag 4), and a table that is not there for more. */
static void test_vmdk_bytes(Fixture *f, gconstpointer unused)
{
    enum { DIRECTORY = 1, TABLE = 2, PLACE = 128 };
    g_autofree uint8_t *b = g_malloc0(PLACE * SECTOR + GRAIN);
    uint8_t byte = 0x66;
    (void)unused;

    make_vmdk_header(b, 2, 4, DIRECTORY);
    st32le(b + DIRECTORY * SECTOR, TABLE);
    st32le(b + TABLE * SECTOR, PLACE);
    st32le(b + TABLE * SECTOR + 8, 1);
    memset(b + PLACE * SECTOR, 0x77, GRAIN);
    file_put(f->file, b, PLACE * SECTOR + GRAIN);
    Image *i = open_ok(f, NULL, false);
    ImageExtent e;
    g_assert_cmpuint(i->size, ==, GRAINS * GRAIN);
    assert_bytes(i, 0, 0x77, GRAIN);
    assert_bytes(i, GRAIN, 0, 3 * GRAIN);
    g_assert_cmpint(image_map(i, 2 * GRAIN, 2 * GRAIN, &e), ==, 0);
    g_assert_true(e.zero && e.allocated && e.length == GRAIN);
    g_assert_cmpint(image_write(i, 2 * GRAIN + 9, &byte, 1), ==, 0);
    assert_bytes(i, 2 * GRAIN, 0, 9);
    assert_bytes(i, 2 * GRAIN + 9, 0x66, 1);
    image_close(i);
    g_autofree uint8_t *after = NULL;
    gsize size;
    file_get(f->file, &after, &size);
    g_assert_cmpuint(size, ==, PLACE * SECTOR + 2 * GRAIN);
    g_assert_cmpuint(ld32le(after + TABLE * SECTOR + 8), ==, PLACE + 128);
}

/* As VMware exports it: the header says that the directory is in the footer; grains, table, directory, footer, end. */
static void test_vmdk_stream(Fixture *f, gconstpointer unused)
{
    enum { PLACE = 1, TABLE = 9, DIRECTORY = 14, FOOTER = 16, SECTORS = 18, FLAGS = 3 << 16 };
    uint8_t b[SECTORS * SECTOR] = { 0 }, data[GRAIN];
    uLongf length = (TABLE - 1 - PLACE) * SECTOR - 12;
    (void)unused;

    make_vmdk_header(b, 3, FLAGS, UINT64_MAX);
    memset(data, 0x88, sizeof data);
    g_assert_cmpint(compress(b + PLACE * SECTOR + 12, &length, data, sizeof data), ==, Z_OK);
    st64le(b + PLACE * SECTOR, GRAIN / SECTOR); /* the second grain's sector */
    st32le(b + PLACE * SECTOR + 8, length);
    st32le(b + TABLE * SECTOR + 4, PLACE);
    st32le(b + DIRECTORY * SECTOR, TABLE);
    make_vmdk_header(b + FOOTER * SECTOR, 3, FLAGS, DIRECTORY);
    file_put(f->file, b, sizeof b);
    Image *i = open_ok(f, NULL, true);
    assert_bytes(i, 0, 0, GRAIN);
    assert_bytes(i, GRAIN, 0x88, GRAIN);
    assert_bytes(i, 2 * GRAIN, 0, 2 * GRAIN);
    image_close(i);
    g_autofree char *text = open_error(f, NULL);
    assert_mentions(text, "stream-optimised");

    b[PLACE * SECTOR + 12 + length - 1] ^= 1; /* the Adler-32 */
    file_put(f->file, b, sizeof b);
    i = open_ok(f, NULL, true);
    g_assert_cmpint(image_read(i, GRAIN, data, 1), ==, -EIO);
    g_assert_cmpint(image_read(i, 0, data, 1), ==, 0);
    image_close(i);
}

static uint32_t vhdx_sum(uint8_t *p, unsigned size)
{
    st32le(p + 4, 0);
    return crc32c(0, p, size);
}

/* A log that says that the first block of the disk is at 8 MiB, in an image whose table does not say so. */
static void test_vhdx_log(Fixture *f, gconstpointer unused)
{
    enum { LOG = 1 << 20, BAT = 3 << 20, BLOCK = 1 << 20, PLACE = 8 << 20, AT = 4096 * 3 };
    g_autofree uint8_t *b = NULL;
    gsize size;
    (void)unused;

    create(f, "vhdx", "block_size=1M", 4 * BLOCK);
    file_get(f->file, &b, &size);
    b = g_realloc(b, PLACE + BLOCK);
    memset(b + size, 0, PLACE + BLOCK - size);
    memset(b + PLACE, 0x99, BLOCK);
    for (unsigned k = 1; k <= 2; k++) {
        memset(b + k * 65536 + 48, 0xab, 16); /* the log's GUID in both headers */
        st32le(b + k * 65536 + 4, vhdx_sum(b + k * 65536, 4096));
    }
    uint8_t *e = b + LOG + AT, *d = e + 64, *sector = e + 4096;
    memcpy(e, "loge", 4);
    st32le(e + 8, 8192);
    st32le(e + 12, AT);
    st64le(e + 16, UINT64_C(0x1234567890));
    st32le(e + 24, 1);
    memset(e + 32, 0xab, 16);
    st64le(e + 48, PLACE + BLOCK);
    st64le(e + 56, PLACE + BLOCK);
    memcpy(d, "desc", 4);
    st64le(d + 8, PLACE | 6); /* the sector's first 8 bytes stand in the descriptor */
    st64le(d + 16, BAT);
    st64le(d + 24, UINT64_C(0x1234567890));
    memcpy(sector, "data", 4);
    st32le(sector + 4, 0x12);
    st32le(sector + 4092, 0x34567890);
    st32le(e + 4, vhdx_sum(e, 8192));
    file_put(f->file, b, PLACE + BLOCK);

    g_autoptr(GError) err = NULL;
    g_assert_null(image_open(&(ImageOptions){ .who = "test", .file = f->file, .readonly = true }, &err));
    assert_mentions(err->message, "log must be replayed");
    Image *i = open_ok(f, NULL, false);
    assert_bytes(i, 0, 0x99, BLOCK);
    assert_bytes(i, BLOCK, 0, 3 * BLOCK);
    image_close(i);
    i = open_ok(f, NULL, true); /* the log is empty now */
    assert_bytes(i, 0, 0x99, BLOCK);
    image_close(i);

    sector[100] ^= 1; /* an entry that was not written to its end is none */
    file_put(f->file, b, PLACE + BLOCK);
    g_autofree char *text = open_error(f, NULL);
    assert_mentions(text, "VHDX log, at offset 0x100000");
}

static void test_crc32c(void)
{
    uint8_t zeros[32] = { 0 };

    g_assert_cmphex(crc32c(0, "123456789", 9), ==, 0xe3069283);
    g_assert_cmphex(crc32c(crc32c(0, "1234", 4), "56789", 5), ==, 0xe3069283);
    g_assert_cmphex(crc32c(0, zeros, sizeof zeros), ==, 0x8a9136aa); /* RFC 3720, B.4 */
}

/* ---- what is damaged ---- */

typedef struct Damage {
    const char *format, *options;
    uint64_t at, value;
    unsigned size;
    const char *words;
} Damage;

static const Damage damages[] = {
    { "vdi", "", 0x44, 0x00020000, 4, "version 2.0" },
    { "vdi", "", 0x4c, 4, 4, "differencing" },
    { "vdi", "", 0x4c, 9, 4, "offset 76" },
    { "vdi", "", 0x154, 511, 4, "offset 340" },
    { "vdi", "", 0x158, 512, 4, "offset 344" },
    { "vdi", "", 0x168, 4096, 4, "offset 360" },
    { "vdi", "", 0x170, GiB, 8, "offset 368" },
    { "vdi", "", 0x178, 12345, 4, "offset 376" },
    { "vdi", "", 0x180, 0x7fffffff, 4, "offset 344" },
    { "vdi", "static=on", 512 + 8, 200, 4, "offset 0x208: block 2 lies at index 200" },
    { "vdi", "static=on", 512 + 8, 1, 4, "offset 0x208: block 2 lies at index 1, where another lies" },
    { "vpc", "", 512 + 36, 0, 4, "offset 0x200: its checksum is 0x00000000" },
    { "vpc", "", 1536, 0x01000000, 4, "offset 0x600: block 0 lies at 0x200" },
    { "vpc", "", 1536, 0x00ffff0f, 4, "offset 0x600: block 0 lies at 0x1ffffe0000" },
    { "vmdk", "", 4, 9, 4, "version 9" },
    { "vmdk", "", 12, UINT64_MAX, 8, "offset 0xc" },
    { "vmdk", "", 20, 3, 8, "offset 0x14" },
    { "vmdk", "", 44, 0, 4, "offset 0x2c" },
    { "vmdk", "", 56, 1 << 30, 8, "grain directory" },
    { "vmdk", "", 73, 0x0a0d0a20, 4, "offset 0x49" },
    { "vmdk", "", 21 * 512, 0x7fffffff, 4, "offset 0x2a00: the grain table at 0xfffffffe00" },
    { "vmdk", "subformat=streamOptimized", 77, 2, 2, "offset 0x4d" },
    { "vhdx", "", 192 * 1024 + 8, 3, 4, NULL },
    { "vhdx", "subformat=fixed", 3 << 20, (1 << 20) | 6, 8, "it overlaps" },
    { "vhdx", "subformat=fixed", 3 << 20, 5, 8, "offset 0x300000: block 0, entry 0x5" },
    { "vhdx", "subformat=fixed", 3 << 20, (3 << 20) | 6, 8, "it overlaps table, metadata or log" },
    { "vhdx", "subformat=fixed", 3 << 20, (12 << 20) | 6, 8, "overlaps another block" },
    { "vhdx", "subformat=fixed", 3 << 20, UINT64_C(1) << 40 | 6, 8, "it is not within the file" },
    { "vhdx", "", (2 << 20) + 65536, 3, 4, "block size of 3" },
    { "vhdx", "", 2 << 20, 0, 8, "VHDX metadata, offset 0x200000" },
};

static void test_damage(Fixture *f, gconstpointer unused)
{
    (void)unused;
    for (unsigned k = 0; k < ARRAY_SIZE(damages); k++) {
        const Damage *d = &damages[k];
        g_autofree uint8_t *b = NULL;
        gsize size;
        create(f, d->format, d->options, SIZE);
        file_get(f->file, &b, &size);
        stle(b + d->at, d->value, d->size);
        file_put(f->file, b, size);
        g_test_message("%s, offset 0x%" PRIx64, d->format, d->at);
        if (d->words) {
            g_autofree char *text = open_error(f, d->format);
            assert_mentions(text, d->words);
        } else { /* the second copy counts, or the place is free */
            image_close(open_ok(f, d->format, true));
        }
        clear_directory(f);
    }
}

/* Both headers, or both tables, of a VHDX. */
static void test_vhdx_copies(Fixture *f, gconstpointer unused)
{
    static const unsigned places[] = { 64 * 1024 + 100, 192 * 1024 + 100 };
    (void)unused;
    for (unsigned k = 0; k < 2; k++) {
        g_autofree uint8_t *b = NULL;
        gsize size;
        create(f, "vhdx", "", SIZE);
        file_get(f->file, &b, &size);
        b[places[k]] ^= 1;
        file_put(f->file, b, size);
        image_close(open_ok(f, "vhdx", false));
        b[places[k] + 65536] ^= 1;
        file_put(f->file, b, size);
        g_autofree char *text = open_error(f, "vhdx");
        assert_mentions(text, k ? "offsets 0x30000 and 0x40000" : "offsets 0x10000 and 0x20000");
    }
}

static void test_vmdk_descriptor(Fixture *f, gconstpointer unused)
{
    static const struct {
        const char *lines, *format, *words;
    } rows[] = {
        { "RW 8 FLAT \"/etc/passwd\" 0\n", NULL, "'/etc/passwd', a file in another directory" },
        { "RW 8 FLAT \"../passwd\" 0\n", NULL, "'../passwd', a file in another directory" },
        { "RW 8 FLAT \"../none/none\" 0\n", "vmdk", "cannot open" },
        { "RW 8 FLAT\n", NULL, "line 4: an extent of type FLAT needs a file name" },
        { "RW x FLAT \"a\"\n", NULL, "line 4: an extent is" },
        { "RW 8 FLAT \"a\" many\n", NULL, "line 4: 'many'" },
        { "RW 8 VMFSSPARSE \"a\"\n", NULL, "VMFSSPARSE are not supported" },
        { "RW 0 ZERO\n", NULL, "0 sectors" },
        { "RW 8 ZERO\nRW 18014398509481983 ZERO\n", NULL, "18014398509481983 sectors" },
        { "RDONLY 8 ZERO\n", NULL, "not to be written" },
        { "", NULL, "names no extent" },
        { "parentCID=12345678\nparentFileNameHint=\"p.vmdk\"\nRW 8 ZERO\n", NULL, "parent ('p.vmdk')" },
    };
    (void)unused;

    for (unsigned k = 0; k < ARRAY_SIZE(rows); k++) {
        g_autofree char *padding = g_strnfill(600, '\n'); /* a sector at least, as all that is recognised */
        g_autofree char *text = g_strconcat("# Disk DescriptorFile\nversion=1\nCID=12345678\n", rows[k].lines, padding, NULL);
        file_put(f->file, text, strlen(text));
        g_autofree char *message = open_error(f, rows[k].format);
        assert_mentions(message, rows[k].words);
    }
}

/* The content's identity changes with the first write after opening, in its place. */
static void test_vmdk_cid(Fixture *f, gconstpointer unused)
{
    g_autofree uint8_t *before = NULL, *after = NULL;
    gsize size;
    (void)unused;

    create(f, "vmdk", "", SIZE);
    file_get(f->file, &before, &size);
    Image *i = open_ok(f, NULL, false);
    g_assert_cmpint(image_write(i, 0, "x", 1), ==, 0);
    image_close(i);
    file_get(f->file, &after, &size);
    const char *old = strstr((char *)before + 512, "\nCID="), *new = strstr((char *)after + 512, "\nCID=");
    g_assert_cmpint(old - (char *)before, ==, new - (char *)after);
    g_assert_cmpint(memcmp(old, new, 13), !=, 0);
    g_assert_cmpint(memcmp(old + 13, new + 13, 100), ==, 0);
}

/* Reads and writes, whatever the metadata has become: errors, but no crash and no end. */
static void use_damaged(Fixture *f, const char *format, GRand *r)
{
    g_autoptr(GError) err = NULL;
    ImageOptions o = { .who = "test", .file = f->file, .format = format, .readonly = g_rand_boolean(r),
                       .repair = g_rand_int_range(r, 0, 4) == 0 };
    Image *i = image_open(&o, &err);
    uint8_t buf[3000] = { 0 };
    ImageCheck c = { 0 };

    if (!i)
        return;
    for (unsigned n = 0; n < 10; n++) {
        uint64_t offset = MIN(i->size, SIZE) * n / 10;
        if (offset + sizeof buf > i->size)
            continue;
        image_read(i, offset, buf, sizeof buf);
        image_write(i, offset, buf, sizeof buf);
    }
    if (i->driver->check)
        i->driver->check(i, &c, NULL);
    image_close(i);
}

static void test_random_damage(Fixture *f, gconstpointer unused)
{
    g_autoptr(GRand) r = g_rand_new_with_seed(7);
    (void)unused;

    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        g_autofree uint8_t *b = NULL;
        gsize size;
        create(f, kinds[k].format, kinds[k].options, SIZE);
        file_get(f->file, &b, &size);
        for (unsigned n = 0; n < 40; n++) {
            g_autofree uint8_t *copy = g_memdup2(b, size);
            gsize cut = g_rand_int_range(r, 0, 5) ? size : (gsize)g_rand_int_range(r, 0, size);
            gsize within = g_rand_boolean(r) ? 1024 : 70000;
            for (unsigned m = g_rand_int_range(r, 1, 6); m; m--)
                copy[g_rand_int_range(r, 0, MIN(size, within))] = g_rand_int(r);
            file_put(f->file, copy, cut);
            use_damaged(f, g_rand_boolean(r) ? kinds[k].format : NULL, r);
        }
        clear_directory(f);
    }
}

#define ADD(name, function) g_test_add("/image-formats/" name, Fixture, NULL, fixture_up, function, fixture_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("own", test_own);
    ADD("threads", test_threads);
    ADD("sizes", test_sizes);
    ADD("create-errors", test_create_errors);
    ADD("vdi/bytes", test_vdi_bytes);
    ADD("vhd/bytes", test_vhd_bytes);
    ADD("vmdk/bytes", test_vmdk_bytes);
    ADD("vmdk/stream", test_vmdk_stream);
    ADD("vmdk/descriptor", test_vmdk_descriptor);
    ADD("vmdk/cid", test_vmdk_cid);
    ADD("vhdx/log", test_vhdx_log);
    ADD("vhdx/copies", test_vhdx_copies);
    g_test_add_func("/image-formats/crc32c", test_crc32c);
    ADD("damage", test_damage);
    ADD("random-damage", test_random_damage);
    return g_test_run();
}
