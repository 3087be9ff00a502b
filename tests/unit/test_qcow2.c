/*
 * backends/block/qcow2*.c: what the specification (QEMU, docs/interop/qcow2.txt) says of the bytes in the file; random
 * work beside a copy; snapshots, backing images, sizes, repair; several threads; and power failures at random moments.
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "backends/block/image.h"
#include "backends/block/image_copy.h"
#include "config.h"
#include "core/options.h"
#include "util/bits.h"
#include "util/endian.h"

typedef struct Fixture {
    char *directory, *file, *base;
} Fixture;

static void fixture_up(Fixture *f, gconstpointer unused)
{
    (void)unused;
    f->directory = g_dir_make_tmp("myna-qcow2-XXXXXX", NULL);
    f->file = g_build_filename(f->directory, "disk.qcow2", NULL);
    f->base = g_build_filename(f->directory, "base.qcow2", NULL);
}

static void fixture_down(Fixture *f, gconstpointer unused)
{
    (void)unused;
    g_remove(f->file);
    g_remove(f->base);
    g_rmdir(f->directory);
    g_free(f->file);
    g_free(f->base);
    g_free(f->directory);
}

/* ---- helpers ---- */

static void create(const char *file, uint64_t size, const char *options, const char *backing)
{
    GError *err = NULL;
    g_autoptr(GPtrArray) pairs = option_pairs_parse(options, NULL);
    ImageCreate c = { .who = "test", .file = file, .size = size, .backing = backing,
                      .backing_format = backing ? "qcow2" : NULL, .options = pairs };
    image_driver_find("qcow2")->create(&c, &err);
    g_assert_no_error(err);
    g_assert_cmpuint(pairs->len, ==, 0);
}

static Image *open_as(const char *file, bool readonly, bool repair)
{
    GError *err = NULL;
    ImageOptions o = { .who = "test", .file = file, .format = "qcow2", .readonly = readonly, .repair = repair,
                       .discard = true };
    Image *i = image_open(&o, &err);
    g_assert_no_error(err);
    return i;
}

static Image *open_rw(const char *file) { return open_as(file, false, false); }

static char *open_error(const char *file, bool readonly)
{
    GError *err = NULL;
    ImageOptions o = { .who = "test", .file = file, .format = "qcow2", .readonly = readonly };
    g_assert_null(image_open(&o, &err));
    g_assert_nonnull(err);
    char *text = g_strdup(err->message);
    g_error_free(err);
    g_assert_null(strchr(text, '\n'));
    return text;
}

#define assert_mentions(text, part)                                                                                    \
    do {                                                                                                               \
        if (!strstr(text, part))                                                                                       \
            g_error("\"%s\" does not mention \"%s\"", text, part);                                                     \
    } while (0)

static void print_line(void *opaque, const char *line)
{
    (void)opaque;
    g_test_message("%s", line);
}

static ImageCheck check_image(Image *i, bool leaks, bool all)
{
    GError *err = NULL;
    ImageCheck c = { .repair_leaks = leaks, .repair_all = all, .tell = print_line };
    i->driver->check(i, &c, &err);
    g_assert_no_error(err);
    return c;
}

static ImageCheck check_file(const char *file)
{
    Image *i = open_as(file, true, true);
    ImageCheck c = check_image(i, false, false);
    image_close(i);
    return c;
}

static void assert_sound(const char *file)
{
    ImageCheck c = check_file(file);
    g_assert_cmpuint(c.corruptions, ==, 0);
    g_assert_cmpuint(c.leaks, ==, 0);
}

static void fill(Image *i, uint64_t offset, uint64_t size, uint8_t byte)
{
    g_autofree uint8_t *buf = g_malloc(size);
    memset(buf, byte, size);
    g_assert_cmpint(image_write(i, offset, buf, size), ==, 0);
}

static void assert_filled(Image *i, uint64_t offset, uint64_t size, uint8_t byte)
{
    g_autofree uint8_t *buf = g_malloc(size);
    g_assert_cmpint(image_read(i, offset, buf, size), ==, 0);
    for (uint64_t n = 0; n < size; n++)
        if (buf[n] != byte)
            g_error("byte %" G_GUINT64_FORMAT " is %u, not %u", offset + n, buf[n], byte);
}

static uint8_t *file_get(const char *file, gsize *size)
{
    char *data;
    g_assert_true(g_file_get_contents(file, &data, size, NULL));
    return (uint8_t *)data;
}

static void file_poke(const char *file, uint64_t offset, const void *bytes, size_t size)
{
    FILE *f = g_fopen(file, "r+b");
    g_assert_nonnull(f);
    g_assert_cmpint(fseek(f, offset, SEEK_SET), ==, 0);
    g_assert_cmpuint(fwrite(bytes, 1, size, f), ==, size);
    fclose(f);
}

static void file_poke64(const char *file, uint64_t offset, uint64_t value)
{
    uint8_t b[8];
    st64be(b, value);
    file_poke(file, offset, b, sizeof b);
}

/* ---- the bytes of the format ---- */

static void test_layout(Fixture *f, gconstpointer unused)
{
    gsize size;
    (void)unused;

    create(f->file, 1 * GiB, "", NULL);
    Image *i = open_rw(f->file);
    g_assert_cmpuint(i->size, ==, GiB);
    fill(i, 640 * MiB + 4096, 512, 0xa5); /* the second L2 table's first cluster beyond: 640 MiB is entry 2048 of table 1 */
    image_close(i);
    g_autofree uint8_t *b = file_get(f->file, &size);
    g_assert_cmpmem(b, 4, "QFI\xfb", 4);
    g_assert_cmpuint(ld32be(b + 4), ==, 3);
    g_assert_cmpuint(ld32be(b + 20), ==, 16);  /* clusters of 64 KiB */
    g_assert_cmpuint(ld64be(b + 24), ==, GiB);
    g_assert_cmpuint(ld32be(b + 36), ==, 2);   /* an L2 table of 8,192 entries reaches 512 MiB */
    g_assert_cmpuint(ld32be(b + 96), ==, 4);   /* counts of 16 bits */
    g_assert_cmpuint(ld64be(b + 72), ==, 0);
    uint64_t l1 = ld64be(b + 40), table = ld64be(b + 48);
    g_assert_cmpuint(ld64be(b + l1), ==, 0);
    uint64_t l2 = ld64be(b + l1 + 8);
    g_assert_cmphex(l2 >> 63, ==, 1);
    l2 &= ~BIT(63);
    uint64_t entry = ld64be(b + l2 + 2048 * 8);
    g_assert_cmphex(entry >> 63, ==, 1);
    entry &= ~BIT(63);
    g_assert_cmpuint(entry % (64 * KiB), ==, 0);
    g_assert_cmphex(b[entry + 4096], ==, 0xa5);
    g_assert_cmphex(b[entry + 4095], ==, 0);
    uint64_t block = ld64be(b + table);
    for (uint64_t n = 0; n < size / (64 * KiB); n++)
        g_assert_cmpuint(ld16be(b + block + n * 2), ==, 1);
}

static void test_zero_flag(Fixture *f, gconstpointer unused)
{
    gsize size;
    (void)unused;

    create(f->file, 4 * MiB, "", NULL);
    Image *i = open_rw(f->file);
    fill(i, 0, 3 * 64 * KiB, 7);
    g_assert_cmpint(image_write_zeroes(i, 0, 64 * KiB, false), ==, 0);         /* keeps its place */
    g_assert_cmpint(image_write_zeroes(i, 64 * KiB, 64 * KiB, true), ==, 0);   /* gives it away */
    assert_filled(i, 0, 128 * KiB, 0);
    assert_filled(i, 128 * KiB, 64 * KiB, 7);
    image_close(i);
    g_autofree uint8_t *b = file_get(f->file, &size);
    uint64_t l2 = ld64be(b + ld64be(b + 40)) & ~BIT(63);
    g_assert_cmphex(ld64be(b + l2) & 1, ==, 1);
    g_assert_cmphex(ld64be(b + l2) & UINT64_C(0x00fffffffffffe00), !=, 0);
    g_assert_cmphex(ld64be(b + l2 + 8), ==, 1);
    assert_sound(f->file);
    i = open_rw(f->file);
    fill(i, 512, 512, 9); /* into the kept place: what was there before must not come back */
    assert_filled(i, 0, 512, 0);
    assert_filled(i, 512, 512, 9);
    assert_filled(i, 1024, 63 * KiB, 0);
    image_close(i);
    assert_sound(f->file);
}

static void test_refcount_widths(Fixture *f, gconstpointer unused)
{
    (void)unused;
    for (unsigned bits = 1; bits <= 64; bits *= 2) {
        g_autofree char *options = g_strdup_printf("refcount_bits=%u,cluster_size=512", bits);
        create(f->file, 3 * MiB, options, NULL);
        Image *i = open_rw(f->file);
        fill(i, 1000 * 512, 1536 * KiB, bits);
        image_close(i);
        assert_sound(f->file);
        i = open_rw(f->file);
        assert_filled(i, 1000 * 512, 1536 * KiB, bits);
        g_assert_cmpint(image_discard(i, 0, 3 * MiB), ==, 0);
        image_close(i);
        assert_sound(f->file);
    }
}

/* Clusters of 512 bytes: a table of one cluster counts 8 MiB of the file, and has to grow. */
static void test_reftable_grows(Fixture *f, gconstpointer unused)
{
    (void)unused;
    create(f->file, 40 * MiB, "cluster_size=512", NULL);
    Image *i = open_rw(f->file);
    for (unsigned n = 0; n < 40; n++)
        fill(i, n * MiB, MiB, n + 1);
    image_close(i);
    assert_sound(f->file);
    i = open_rw(f->file);
    for (unsigned n = 0; n < 40; n++)
        assert_filled(i, n * MiB, MiB, n + 1);
    image_close(i);
}

/* ---- random work beside a copy ---- */

typedef struct Variant {
    const char *name, *options;
    bool backed;
} Variant;

static const Variant variants[] = {
    { "usual", "", false },
    { "small", "cluster_size=512", false },
    { "v2", "compat=0.10,cluster_size=4096", false },
    { "v2-backed", "compat=0.10,cluster_size=4096", true },
    { "backed", "", true },
    { "lazy", "lazy_refcounts=on,cluster_size=1024", true },
    { "large", "cluster_size=2M,refcount_bits=64", true },
#ifdef CONFIG_ZSTD
    { "zstd", "compression_type=zstd,cluster_size=16k", false },
#endif
};

enum { SIZE = 5 << 20, BASE_SIZE = 3 << 20 };

static uint64_t cluster_size(Image *i)
{
    g_autoptr(GPtrArray) pairs = option_pairs_parse("", NULL);
    i->driver->info(i, pairs);
    return g_ascii_strtoull(option_pairs_get(pairs, "cluster_size"), NULL, 10);
}

static uint64_t random_up_to(uint64_t most, uint64_t limit)
{
    uint64_t n = g_test_rand_int_range(1, most); /* once: MIN() evaluates twice */
    return MIN(n, limit);
}

static void random_write(Image *i, uint8_t *copy, uint64_t offset, uint64_t size)
{
    unsigned cuts = g_test_rand_int_range(1, 5), n = 0;
    struct iovec iov[5];

    for (uint64_t k = 0; k < size; k++)
        copy[offset + k] = (k >> 9) * 3 + size;
    for (uint64_t at = 0, part; at < size; at += part, n++) {
        part = n == cuts - 1 ? size - at : random_up_to(70000, size - at);
        iov[n] = (struct iovec){ copy + offset + at, part };
    }
    g_assert_cmpint(image_writev(i, offset, iov, n), ==, 0);
}

static void random_pack(Image *i, uint8_t *copy, uint64_t cluster)
{
    uint64_t offset = g_test_rand_int_range(0, i->size / cluster) * cluster, size = MIN(cluster, i->size - offset);
    memset(copy + offset, g_test_rand_int(), size);
    g_assert_cmpint(i->driver->write_compressed(i, offset, copy + offset, size), ==, 0);
}

static void random_step(Image *i, uint8_t *copy, bool may_discard)
{
    uint64_t offset = g_test_rand_int_range(0, i->size / 512) * UINT64_C(512);
    uint64_t size = random_up_to(300, (i->size - offset) / 512) * 512, cluster = cluster_size(i);

    switch (g_test_rand_int_range(0, 7)) {
    case 0:
        g_assert_cmpint(image_write_zeroes(i, offset, size, g_test_rand_bit()), ==, 0);
        memset(copy + offset, 0, size);
        break;
    case 1:
        if (!may_discard)
            break;
        g_assert_cmpint(image_discard(i, offset, size), ==, 0);
        uint64_t from = align_up(offset, cluster);
        uint64_t to = offset + size == i->size ? i->size : align_down(offset + size, cluster);
        if (from < to)
            memset(copy + from, 0, to - from);
        break;
    case 2: random_pack(i, copy, cluster); break;
    case 3: g_assert_cmpint(image_flush(i), ==, 0); break;
    default: random_write(i, copy, offset, size); break;
    }
}

static void assert_equal(Image *i, const uint8_t *copy)
{
    g_autofree uint8_t *buf = g_malloc(i->size);
    struct iovec iov[3] = { { buf, 1000 }, { buf + 1000, 100000 }, { buf + 101000, i->size - 101000 } };

    g_assert_cmpint(image_readv(i, 0, iov, 3), ==, 0);
    for (uint64_t n = 0; n < i->size; n++)
        if (buf[n] != copy[n])
            g_error("byte %" G_GUINT64_FORMAT " is %u, not %u", n, buf[n], copy[n]);
}

/* What the map calls zeros is zeros, and what it says lies in the file lies there. */
static void assert_mapped(Image *i, const uint8_t *copy)
{
    ImageExtent e;
    Image *in;

    for (uint64_t at = 0; at < i->size; at += e.length) {
        g_assert_cmpint(image_map_chain(i, at, i->size - at, &e, &in), ==, 0);
        g_assert_cmpuint(e.length, >, 0);
        g_autofree uint8_t *buf = g_malloc0(e.length);
        if (e.in_file && !e.zero)
            g_assert_cmpint(image_read(in->lower, e.at, buf, e.length), ==, 0);
        if (e.zero || e.in_file)
            g_assert_cmpmem(buf, e.length, copy + at, e.length);
    }
}

static void make_base(const char *file)
{
    create(file, BASE_SIZE, "cluster_size=4096", NULL);
    Image *i = open_rw(file);
    for (unsigned n = 0; n < 40; n++)
        fill(i, n * UINT64_C(70000) / 512 * 512, 30000, n + 1);
    image_close(i);
}

static void read_base(const char *file, uint8_t *copy)
{
    Image *i = open_as(file, true, false);
    g_assert_cmpint(image_read(i, 0, copy, BASE_SIZE), ==, 0);
    image_close(i);
}

static void test_random(Fixture *f, gconstpointer data)
{
    const Variant *v = data;
    g_autofree uint8_t *copy = g_malloc0(SIZE);

    if (v->backed) {
        make_base(f->base);
        read_base(f->base, copy);
    }
    create(f->file, SIZE, v->options, v->backed ? f->base : NULL);
    for (unsigned round = 0; round < 6; round++) {
        Image *i = open_rw(f->file);
        assert_equal(i, copy);
        for (unsigned n = 0; n < 40; n++)
            random_step(i, copy, !v->backed || !g_str_has_prefix(v->name, "v2"));
        assert_equal(i, copy);
        assert_mapped(i, copy);
        image_close(i);
        assert_sound(f->file);
    }
}

/* ---- backing images ---- */

static void test_backing(Fixture *f, gconstpointer unused)
{
    GError *err = NULL;
    (void)unused;

    make_base(f->base);
    create(f->file, 4 * MiB, "", "base.qcow2"); /* relative to the image */
    Image *i = open_rw(f->file);
    assert_filled(i, 0, 30000 / 512 * 512, 1);
    assert_filled(i, BASE_SIZE, MiB, 0); /* behind the shorter one's end */
    fill(i, 512, 512, 99);
    assert_filled(i, 0, 512, 1);
    assert_filled(i, 512, 512, 99);
    assert_filled(i, 1024, 20000, 1);
    g_assert_cmpstr(i->driver->backing_file(i), ==, "base.qcow2");
    g_assert_cmpstr(i->driver->backing_format(i), ==, "qcow2");
    g_assert_cmpint(i->driver->make_empty(i), ==, 0);
    assert_filled(i, 512, 512, 1);
    ImageWork w = { 0 };
    g_assert_cmpint(image_rebase(i, NULL, &w), ==, 0);
    g_assert_true(i->driver->set_backing(i, NULL, NULL, &err));
    image_close(i);
    assert_sound(f->file);
    g_remove(f->base);
    i = open_rw(f->file);
    g_assert_null(i->backing);
    assert_filled(i, 0, 30000 / 512 * 512, 1);
    image_close(i);
}

static void test_backing_errors(Fixture *f, gconstpointer unused)
{
    (void)unused;
    create(f->file, MiB, "", "missing.qcow2");
    g_autofree char *missing = open_error(f->file, true);
    assert_mentions(missing, "missing.qcow2");
    assert_mentions(missing, "No such file");
    create(f->file, MiB, "", "disk.qcow2"); /* itself */
    g_autofree char *loop = open_error(f->file, true);
    assert_mentions(loop, "backing files");
}

static void test_commit(Fixture *f, gconstpointer unused)
{
    ImageWork w = { 0 };
    ImageOptions o = { .who = "test", .file = f->file, .no_backing = true };
    (void)unused;

    make_base(f->base);
    create(f->file, 4 * MiB, "", f->base);
    Image *top = open_rw(f->file);
    fill(top, MiB, 64 * KiB, 77);
    g_assert_cmpint(image_write_zeroes(top, 0, 64 * KiB, true), ==, 0);
    image_close(top);
    top = image_open(&o, NULL);
    Image *base = open_rw(f->base);
    g_assert_cmpint(image_commit(top, base, &w), ==, 0);
    g_assert_cmpuint(base->size, ==, 4 * MiB);
    assert_filled(base, MiB, 64 * KiB, 77);
    assert_filled(base, 0, 64 * KiB, 0);
    image_close(top);
    image_close(base);
    assert_sound(f->base);
}

/* ---- snapshots ---- */

static void snapshot(Image *i, char what, const char *name)
{
    GError *err = NULL;
    gboolean ok = what == 'c'   ? i->driver->snapshot_create(i, name, &err)
                  : what == 'a' ? i->driver->snapshot_apply(i, name, &err)
                                : i->driver->snapshot_delete(i, name, &err);
    g_assert_no_error(err);
    g_assert_true(ok);
}

static void test_snapshots(Fixture *f, gconstpointer unused)
{
    g_autofree uint8_t *copies = g_malloc0(4 * SIZE);
    uint8_t *now = copies + 3 * SIZE;
    static const char *const names[] = { "one", "two", "three" };
    (void)unused;

    create(f->file, SIZE, "cluster_size=4096", NULL);
    Image *i = open_rw(f->file);
    for (unsigned n = 0; n < 3; n++) {
        for (unsigned k = 0; k < 30; k++)
            random_step(i, now, true);
        memcpy(copies + n * SIZE, now, SIZE);
        snapshot(i, 'c', names[n]);
        g_assert_cmpuint(check_image(i, false, false).corruptions, ==, 0);
    }
    for (unsigned n = 0; n < 6; n++) {
        unsigned which = g_test_rand_int_range(0, 3);
        snapshot(i, 'a', names[which]);
        memcpy(now, copies + which * SIZE, SIZE);
        assert_equal(i, now);
        for (unsigned k = 0; k < 10; k++)
            random_step(i, now, true);
        assert_equal(i, now);
    }
    snapshot(i, 'd', "two");
    snapshot(i, 'a', "3"); /* by its id */
    assert_equal(i, copies + 2 * SIZE);
    image_close(i);
    assert_sound(f->file);
    i = open_rw(f->file);
    g_autoptr(GPtrArray) list = i->driver->snapshots(i);
    g_assert_cmpuint(list->len, ==, 2);
    g_assert_cmpstr(((ImageSnapshot *)g_ptr_array_index(list, 1))->name, ==, "three");
    g_assert_cmpuint(((ImageSnapshot *)g_ptr_array_index(list, 1))->disk_size, ==, SIZE);
    snapshot(i, 'd', "one");
    snapshot(i, 'd', "three");
    assert_equal(i, copies + 2 * SIZE);
    image_close(i);
    assert_sound(f->file);
}

static void test_snapshot_errors(Fixture *f, gconstpointer unused)
{
    GError *err = NULL;
    (void)unused;

    create(f->file, MiB, "refcount_bits=1", NULL);
    Image *i = open_rw(f->file);
    fill(i, 0, 64 * KiB, 1);
    g_assert_false(i->driver->snapshot_create(i, "s", &err));
    assert_mentions(err->message, "1 bits");
    g_clear_error(&err);
    g_assert_false(i->driver->snapshot_apply(i, "absent", &err));
    assert_mentions(err->message, "'absent'");
    g_clear_error(&err);
    fill(i, 0, 64 * KiB, 2);
    image_close(i);
    assert_sound(f->file);
}

static void test_snapshot_size(Fixture *f, gconstpointer unused)
{
    (void)unused;
    create(f->file, MiB, "", NULL);
    Image *i = open_rw(f->file);
    fill(i, 0, MiB, 5);
    snapshot(i, 'c', "small");
    g_assert_cmpint(image_resize(i, 3 * MiB), ==, 0);
    fill(i, 2 * MiB, MiB, 6);
    snapshot(i, 'a', "small");
    g_assert_cmpuint(i->size, ==, MiB);
    assert_filled(i, 0, MiB, 5);
    g_assert_cmpint(image_resize(i, 3 * MiB), ==, 0);
    assert_filled(i, MiB, 2 * MiB, 0);
    image_close(i);
    assert_sound(f->file);
}

/* ---- sizes ---- */

static void test_resize(Fixture *f, gconstpointer unused)
{
    (void)unused;
    make_base(f->base);
    create(f->file, 2 * MiB + 512, "", f->base);
    Image *i = open_rw(f->file);
    fill(i, 2 * MiB, 512, 3);
    g_assert_cmpint(image_resize(i, 1000 * 512), ==, 0);
    g_assert_cmpint(image_resize(i, 600 * MiB), ==, 0);
    g_assert_cmpuint(i->size, ==, 600 * MiB);
    assert_filled(i, 1000 * 512, 4 * MiB, 0); /* neither what was cut off, nor what the backing image has there */
    fill(i, 600 * MiB - 512, 512, 8);
    image_close(i);
    assert_sound(f->file);
    i = open_rw(f->file);
    g_assert_cmpuint(i->size, ==, 600 * MiB);
    assert_filled(i, 600 * MiB - 512, 512, 8);
    image_close(i);
}

static void test_range(Fixture *f, gconstpointer unused)
{
    uint8_t b[1024] = { 0 };
    (void)unused;

    create(f->file, MiB, "", NULL);
    Image *i = open_rw(f->file);
    g_assert_cmpint(image_write(i, MiB - 512, b, 1024), ==, -EINVAL);
    g_assert_cmpint(image_read(i, UINT64_MAX - 100, b, 512), ==, -EINVAL);
    g_assert_cmpint(image_write_zeroes(i, MiB, 512, true), ==, -EINVAL);
    g_assert_cmpint(image_discard(i, UINT64_MAX - 511, 512), ==, -EINVAL);
    image_close(i);
}

/* ---- faults ---- */

static uint64_t place_of(const char *file, uint64_t *l2)
{
    gsize size;
    g_autofree uint8_t *b = file_get(file, &size);
    *l2 = ld64be(b + ld64be(b + 40)) & ~BIT(63);
    return ld64be(b + *l2) & UINT64_C(0x00fffffffffffe00);
}

static void make_filled(const char *file, const char *options)
{
    create(file, 4 * MiB, options, NULL);
    Image *i = open_rw(file);
    fill(i, 0, MiB, 42);
    image_close(i);
}

/* An entry that leads to a table: writing there would destroy the image. */
static void test_overlap(Fixture *f, gconstpointer unused)
{
    uint8_t b[512] = { 0 };
    uint64_t l2;
    (void)unused;

    make_filled(f->file, "");
    place_of(f->file, &l2);
    file_poke64(f->file, l2, l2 | BIT(63));
    Image *i = open_rw(f->file);
    g_assert_cmpint(image_write(i, 0, b, sizeof b), ==, -EIO);
    g_assert_cmpint(image_write(i, 64 * KiB, b, sizeof b), ==, -EIO); /* nothing is written any more */
    image_close(i);
    g_autofree char *text = open_error(f->file, false);
    assert_mentions(text, "marked as corrupt");
    g_assert_cmpuint(check_file(f->file).corruptions, >, 0);
}

static void test_repair_counts(Fixture *f, gconstpointer unused)
{
    gsize size;
    uint64_t l2, at;
    (void)unused;

    make_filled(f->file, "");
    at = place_of(f->file, &l2);
    g_autofree uint8_t *b = file_get(f->file, &size);
    uint64_t block = ld64be(b + ld64be(b + 48));
    uint8_t zero[2] = { 0 }, three[2] = { 0, 3 };
    file_poke(f->file, block + at / (64 * KiB) * 2, zero, 2);
    file_poke(f->file, block + (at / (64 * KiB) + 1) * 2, three, 2);
    ImageCheck c = check_file(f->file);
    g_assert_cmpuint(c.corruptions, ==, 1);
    g_assert_cmpuint(c.leaks, ==, 1);
    Image *i = open_as(f->file, false, true);
    c = check_image(i, true, false);
    g_assert_cmpuint(c.leaks_fixed, >, 0);
    g_assert_cmpuint(c.corruptions, >, 0);
    c = check_image(i, true, true);
    g_assert_cmpuint(c.corruptions, ==, 0);
    image_close(i);
    assert_sound(f->file);
}

static void test_repair_table(Fixture *f, gconstpointer unused)
{
    gsize size;
    (void)unused;

    make_filled(f->file, "cluster_size=4096");
    g_autofree uint8_t *b = file_get(f->file, &size);
    file_poke64(f->file, ld64be(b + 48), 0x123456789000);
    g_autofree char *text = open_error(f->file, false);
    assert_mentions(text, "refcount table's entry at offset 4096");
    g_assert_cmpuint(check_file(f->file).corruptions, >, 0);
    Image *i = open_as(f->file, false, true);
    ImageCheck c = check_image(i, true, true);
    g_assert_cmpuint(c.corruptions, ==, 0);
    g_assert_cmpuint(c.corruptions_fixed, >, 0);
    image_close(i);
    assert_sound(f->file);
    i = open_rw(f->file);
    assert_filled(i, 0, MiB, 42);
    fill(i, MiB, 2 * MiB, 43);
    image_close(i);
    assert_sound(f->file);
}

/* A lazy image that was not closed is marked, and mended when it is opened the next time. */
static void test_lazy(Fixture *f, gconstpointer unused)
{
    gsize size;
    (void)unused;

    create(f->file, 4 * MiB, "lazy_refcounts=on", NULL);
    Image *i = open_rw(f->file);
    fill(i, 0, MiB, 1);
    g_assert_cmpint(image_flush(i), ==, 0);
    g_autofree uint8_t *b = file_get(f->file, &size);
    g_assert_cmphex(ld64be(b + 72), ==, 1);
    g_assert_true(g_file_set_contents(f->base, (char *)b, size, NULL)); /* as it is when the process is killed now */
    image_close(i);
    g_autofree uint8_t *closed = file_get(f->file, &size);
    g_assert_cmphex(ld64be(closed + 72), ==, 0);
    assert_sound(f->file);
    i = open_rw(f->base);
    assert_filled(i, 0, MiB, 1);
    image_close(i);
    assert_sound(f->base);
}

/* In clusters of 512 bytes a name may be longer than its cluster. */
static void test_backing_name(Fixture *f, gconstpointer unused)
{
    static const uint8_t size[4] = { 0, 0, 3, 0xe8 };
    (void)unused;
    make_filled(f->file, "cluster_size=512");
    file_poke64(f->file, 8, 256);
    file_poke(f->file, 16, size, 4);
    g_autofree char *text = open_error(f->file, false);
    assert_mentions(text, "backing_file_offset");
}

static void test_features(Fixture *f, gconstpointer unused)
{
    (void)unused;
    make_filled(f->file, "");
    file_poke64(f->file, 72, BIT(4));
    g_autofree char *text = open_error(f->file, true);
    assert_mentions(text, "incompatible feature 4");
    file_poke64(f->file, 72, BIT(1));
    g_autofree char *corrupt = open_error(f->file, false);
    assert_mentions(corrupt, "marked as corrupt");
    Image *i = open_as(f->file, true, false); /* may be read */
    assert_filled(i, 0, MiB, 42);
    image_close(i);
}

/* ---- threads ---- */

enum { THREADS = 4, SECTORS = 2048 };

typedef struct Worker {
    Image *image;
    unsigned number;
    uint8_t bytes[SECTORS]; /* of each of its sectors */
} Worker;

/* Sectors n with n % THREADS == number are its own; all clusters are everybody's. */
static gpointer work(gpointer data)
{
    Worker *w = data;
    g_autoptr(GRand) r = g_rand_new_with_seed(w->number);
    uint8_t b[512];

    for (unsigned n = 0; n < 3000; n++) {
        unsigned sector = g_rand_int_range(r, 0, SECTORS), byte = g_rand_int_range(r, 0, 256);
        uint64_t at = ((uint64_t)sector * THREADS + w->number) * 512;
        switch (g_rand_int_range(r, 0, 8)) {
        case 0:
            g_assert_cmpint(image_write_zeroes(w->image, at, 512, true), ==, 0);
            w->bytes[sector] = 0;
            break;
        case 1: g_assert_cmpint(image_flush(w->image), ==, 0); break;
        case 2:
        case 3:
        case 4:
            g_assert_cmpint(image_read(w->image, at, b, 512), ==, 0);
            for (unsigned k = 0; k < 512; k++)
                g_assert_cmpuint(b[k], ==, w->bytes[sector]);
            break;
        default:
            memset(b, byte, 512);
            g_assert_cmpint(image_write(w->image, at, b, 512), ==, 0);
            w->bytes[sector] = byte;
        }
    }
    return NULL;
}

/* One more takes places away all the time: of clusters behind the others' sectors. */
static gpointer churn(gpointer data)
{
    Image *i = data;
    uint64_t start = (uint64_t)SECTORS * THREADS * 512;
    uint8_t b[65536];

    for (unsigned n = 0; n < 600; n++) {
        memset(b, n, sizeof b);
        g_assert_cmpint(image_write(i, start + n % 8 * 64 * KiB, b, sizeof b), ==, 0);
        g_assert_cmpint(image_discard(i, start + (n + 3) % 8 * 64 * KiB, 64 * KiB), ==, 0);
    }
    return NULL;
}

static void test_threads(Fixture *f, gconstpointer options)
{
    g_autofree Worker *workers = g_new0(Worker, THREADS);
    GThread *threads[THREADS + 1];

    create(f->file, 8 * MiB, options, NULL);
    Image *i = open_rw(f->file);
    for (unsigned n = 0; n < THREADS; n++) {
        workers[n].image = i;
        workers[n].number = n;
        threads[n] = g_thread_new("worker", work, &workers[n]);
    }
    threads[THREADS] = g_thread_new("churn", churn, i);
    for (unsigned n = 0; n <= THREADS; n++)
        g_thread_join(threads[n]);
    for (unsigned n = 0; n < THREADS * SECTORS; n++)
        assert_filled(i, n * UINT64_C(512), 512, workers[n % THREADS].bytes[n / THREADS]);
    image_close(i);
    assert_sound(f->file);
}

/* ---- power failures ---- */

/*
 * The lower image's driver is replaced by one that keeps a record.  After each flush all that was written before it is on
 * the disk; of what was written since, any sectors may be.
 */
typedef struct Write {
    uint64_t offset, size;
    uint8_t *data; /* NULL: a flush */
} Write;

typedef struct Disk {
    ImageDriver driver;
    const ImageDriver *file;
    GArray *writes;
} Disk;

static Disk disk;

static int record_write(Image *i, uint64_t offset, const void *buf, uint64_t size)
{
    Write w = { offset, size, g_memdup2(buf, size) };
    g_array_append_val(disk.writes, w);
    return disk.file->write(i, offset, buf, size);
}

static int record_flush(Image *i)
{
    Write w = { 0, 0, NULL };
    (void)i;
    g_array_append_val(disk.writes, w);
    return 0;
}

static int record_nothing(Image *i, uint64_t offset, uint64_t size)
{
    (void)i;
    (void)offset;
    (void)size;
    return 0;
}

static void record_begin(Image *i)
{
    disk.file = i->lower->driver;
    disk.driver = *disk.file;
    disk.driver.write = record_write;
    disk.driver.writev = NULL;
    disk.driver.flush = record_flush;
    disk.driver.discard = record_nothing;
    disk.driver.write_zeroes = NULL;
    disk.writes = g_array_new(FALSE, FALSE, sizeof(Write));
    i->lower->driver = &disk.driver;
}

static void record_end(void)
{
    for (guint n = 0; n < disk.writes->len; n++)
        g_free(g_array_index(disk.writes, Write, n).data);
    g_array_unref(disk.writes);
}

static void put(GByteArray *file, const Write *w, uint64_t from, uint64_t size)
{
    if (file->len < w->offset + from + size) {
        guint old = file->len;
        g_byte_array_set_size(file, w->offset + from + size);
        memset(file->data + old, 0, file->len - old);
    }
    memcpy(file->data + w->offset + from, w->data + from, size);
}

/* Some sectors of a write that no flush followed. */
static void put_some(GByteArray *file, const Write *w)
{
    for (uint64_t n = 0; n < w->size; n += 512)
        if (g_test_rand_bit())
            put(file, w, n, MIN(512, w->size - n));
}

/* The file as it may be when power fails after `count` entries of the record. */
static GByteArray *failed_disk(const uint8_t *before, gsize size, guint count)
{
    GByteArray *file = g_byte_array_append(g_byte_array_new(), before, size);
    guint flushed = 0;

    for (guint n = 0; n < count; n++)
        if (!g_array_index(disk.writes, Write, n).data)
            flushed = n;
    for (guint n = 0; n < count; n++) {
        const Write *w = &g_array_index(disk.writes, Write, n);
        if (!w->data)
            continue;
        if (n < flushed)
            put(file, w, 0, w->size);
        else
            put_some(file, w);
    }
    return file;
}

/* After each step the disk's content as it was promised: what sectors hold for sure, 0xffff where it is open. */
typedef struct Promise {
    guint entries; /* of the record */
    uint16_t *sectors;
} Promise;

enum { FAIL_SIZE = 2 << 20, FAIL_SECTORS = FAIL_SIZE / 512 };

static void check_promise(const char *file, const Promise *p)
{
    Image *i = open_as(file, true, false);
    uint8_t b[512];

    for (unsigned n = 0; n < FAIL_SECTORS; n++) {
        if (p->sectors[n] == 0xffff)
            continue;
        g_assert_cmpint(image_read(i, n * UINT64_C(512), b, 512), ==, 0);
        for (unsigned k = 0; k < 512; k++)
            if (b[k] != p->sectors[n])
                g_error("sector %u has %u, not %u, which was flushed", n, b[k], p->sectors[n]);
    }
    image_close(i);
}

/* Writes, zeros and discards of whole numbers of sectors; what they touch is open until the next flush. */
static void failing_step(Image *i, uint8_t *now, uint16_t *promised)
{
    unsigned start = g_test_rand_int_range(0, FAIL_SECTORS), n = g_test_rand_int_range(1, 200);
    uint64_t at = start * UINT64_C(512);

    n = MIN(n, FAIL_SECTORS - start);
    switch (g_test_rand_int_range(0, 6)) {
    case 0:
        g_assert_cmpint(image_flush(i), ==, 0);
        for (unsigned k = 0; k < FAIL_SECTORS; k++)
            promised[k] = now[k];
        return;
    case 1:
        g_assert_cmpint(image_write_zeroes(i, at, n * UINT64_C(512), true), ==, 0);
        memset(now + start, 0, n);
        break;
    default:
        now[start] = g_test_rand_int();
        memset(now + start, now[start], n);
        fill(i, at, n * UINT64_C(512), now[start]);
    }
    for (unsigned k = start; k < start + n; k++)
        promised[k] = 0xffff;
}

static void promise_add(GArray *promises, const uint16_t *promised)
{
    Promise p = { disk.writes->len, g_memdup2(promised, FAIL_SECTORS * 2) };
    g_array_append_val(promises, p);
}

/* What held at the latest step that was over by then, and is not touched by the one under way. */
static Promise promise_at(GArray *promises, guint entries)
{
    guint n = 0;
    while (n + 1 < promises->len && g_array_index(promises, Promise, n + 1).entries <= entries)
        n++;
    Promise p = g_array_index(promises, Promise, n);
    if (n + 1 < promises->len) { /* the step under way may have been done in part */
        const Promise *next = &g_array_index(promises, Promise, n + 1);
        p.sectors = g_memdup2(p.sectors, FAIL_SECTORS * 2);
        for (unsigned k = 0; k < FAIL_SECTORS; k++)
            if (next->sectors[k] != p.sectors[k])
                p.sectors[k] = 0xffff;
    } else {
        p.sectors = g_memdup2(p.sectors, FAIL_SECTORS * 2);
    }
    return p;
}

/* A lazy image's counts may be behind: it is marked, and repaired as a matter of course. */
static void try_failure(Fixture *f, const uint8_t *before, gsize size, GArray *promises, guint entries, bool lazy)
{
    g_autoptr(GByteArray) file = failed_disk(before, size, entries);
    Promise p = promise_at(promises, entries);

    g_assert_true(g_file_set_contents(f->base, (char *)file->data, file->len, NULL));
    Image *i = open_as(f->base, false, true);
    ImageCheck c = check_image(i, false, false);
    if (!lazy)
        g_assert_cmpuint(c.corruptions, ==, 0);
    c = check_image(i, true, true);
    g_assert_cmpuint(c.corruptions, ==, 0);
    image_close(i);
    check_promise(f->base, &p);
    g_free(p.sectors);
}

static void test_power(Fixture *f, gconstpointer options)
{
    g_autofree uint8_t *now = g_malloc0(FAIL_SECTORS);
    g_autofree uint16_t *promised = g_new0(uint16_t, FAIL_SECTORS);
    GArray *promises = g_array_new(FALSE, FALSE, sizeof(Promise));
    gsize size;

    create(f->file, FAIL_SIZE, options, NULL);
    Image *i = open_rw(f->file);
    fill(i, 0, MiB, 0); /* some clusters have places already */
    g_assert_cmpint(image_flush(i), ==, 0);
    g_autofree uint8_t *before = file_get(f->file, &size);
    record_begin(i);
    promise_add(promises, promised);
    for (unsigned n = 0; n < 120; n++) {
        failing_step(i, now, promised);
        promise_add(promises, promised);
    }
    i->lower->driver = disk.file;
    image_close(i);
    for (unsigned n = 0; n < 100; n++)
        try_failure(f, before, size, promises, g_test_rand_int_range(0, disk.writes->len + 1),
                    strstr(options, "lazy"));
    for (guint n = 0; n < promises->len; n++)
        g_free(g_array_index(promises, Promise, n).sectors);
    g_array_unref(promises);
    record_end();
}

#define TEST(name, function, data) g_test_add("/qcow2/" name, Fixture, data, fixture_up, function, fixture_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST("layout", test_layout, NULL);
    TEST("zero-flag", test_zero_flag, NULL);
    TEST("refcount-widths", test_refcount_widths, NULL);
    TEST("reftable-grows", test_reftable_grows, NULL);
    for (unsigned n = 0; n < ARRAY_SIZE(variants); n++) {
        g_autofree char *name = g_strdup_printf("/qcow2/random/%s", variants[n].name);
        g_test_add(name, Fixture, &variants[n], fixture_up, test_random, fixture_down);
    }
    TEST("backing", test_backing, NULL);
    TEST("backing-errors", test_backing_errors, NULL);
    TEST("commit", test_commit, NULL);
    TEST("snapshots", test_snapshots, NULL);
    TEST("snapshot-errors", test_snapshot_errors, NULL);
    TEST("snapshot-size", test_snapshot_size, NULL);
    TEST("resize", test_resize, NULL);
    TEST("range", test_range, NULL);
    TEST("overlap", test_overlap, NULL);
    TEST("repair-counts", test_repair_counts, NULL);
    TEST("repair-table", test_repair_table, NULL);
    TEST("lazy", test_lazy, NULL);
    TEST("backing-name", test_backing_name, NULL);
    TEST("features", test_features, NULL);
    TEST("threads", test_threads, "");
    TEST("threads-small", test_threads, "cluster_size=4096");
    TEST("power", test_power, "cluster_size=4096");
    TEST("power-large", test_power, "");
    TEST("power-lazy", test_power, "cluster_size=4096,lazy_refcounts=on");
    return g_test_run();
}
