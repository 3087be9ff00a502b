/*
 * libFuzzer's target for the formats of images (make fuzz-formats): the first byte chooses an image that we have made and
 * filled a little, the second how it is used, and the others change its metadata: place (1 byte), offset (2), length (1),
 * and bytes.  Checksums are then made right, or not.  Whatever it has become: an error, or bytes; no crash, no hang,
 * and none in a check.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backends/block/image.h"
#include "core/options.h"
#include "util/bits.h"
#include "util/crc32c.h"
#include "util/endian.h"

enum { PAGE = 4096, SIZE = 3 * 1024 * 1024 + 512, CHANGE = 4 };

typedef struct Kind {
    const char *format, *options;
    unsigned places[8]; /* where its metadata is; 0 behind the first: none */
} Kind;

static const Kind kinds[] = {
    { "vdi", "", { 0, 340, 512 } },
    { "vpc", "", { 0, 512, 1536 } },
    { "vpc", "subformat=fixed", { 0, SIZE } },
    { "vmdk", "", { 0, 512, 21 * 512, 22 * 512, 26 * 512, 27 * 512 } },
    { "vmdk", "subformat=streamOptimized", { 0, 512, 26 * 512, 27 * 512, 65536 } },
    { "vhdx", "block_size=1M", { 65536, 131072, 196608, 262144, 1 << 20, 2 << 20, (2 << 20) + 65536, 3 << 20 } },
    { "qcow2", "cluster_size=512", { 0, 512, 1024, 1536, 2048, 4096, 8192 } },
};

/* The pages of an image that are not zeros. */
typedef struct Base {
    char *data;
    gsize size;
} Base;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fill(const char *file, const char *format)
{
    static const char text[] = "what an image holds";
    Image *i = image_open(&(ImageOptions){ .who = "fuzz", .file = file, .format = format }, NULL);

    for (unsigned k = 0; k < 3; k++)
        g_assert_cmpint(image_write(i, k * MiB + 700, text, sizeof text), ==, 0);
    image_close(i);
}

static Base make_base(const Kind *k)
{
    g_autofree char *directory = g_dir_make_tmp("myna-fuzz-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(directory, "image", NULL);
    g_autoptr(GPtrArray) options = option_pairs_parse(k->options, NULL);
    Base b;

    g_assert_true(image_driver_find(k->format)->create(
        &(ImageCreate){ .who = "fuzz", .file = file, .size = SIZE, .options = options }, NULL));
    fill(file, k->format);
    g_assert_true(g_file_get_contents(file, &b.data, &b.size, NULL));
    g_remove(file);
    g_rmdir(directory);
    return b;
}

static void write_base(int fd, const Base *b)
{
    static const char zeros[PAGE];

    g_assert_cmpint(ftruncate(fd, 0), ==, 0);
    g_assert_cmpint(ftruncate(fd, b->size), ==, 0);
    for (gsize at = 0; at < b->size; at += PAGE) {
        gsize n = MIN(PAGE, b->size - at);
        if (memcmp(b->data + at, zeros, n))
            g_assert_cmpint(file_write(fd, at, b->data + at, n), ==, 0);
    }
}

static void change(int fd, const Kind *k, const uint8_t *data, size_t size)
{
    while (size > CHANGE) {
        unsigned n = MIN(data[3] % 32 + 1u, size - CHANGE);
        file_write(fd, k->places[data[0] % 8] + ld16le(data + 1) % 4096, data + CHANGE, n);
        data += CHANGE + n, size -= CHANGE + n;
    }
}

/* ---- checksums ---- */

static void sum_vhdx(int fd, uint64_t at, size_t size)
{
    g_autofree uint8_t *p = g_malloc(size);

    file_read(fd, at, p, size);
    st32le(p + 4, 0);
    st32le(p + 4, crc32c(0, p, size));
    file_write(fd, at + 4, p + 4, 4);
}

/* An entry of the log at its start, as long as it says. */
static void sum_log(int fd)
{
    uint8_t length[4];

    file_read(fd, MiB + 8, length, sizeof length);
    if (ld32le(length) >= 64 && ld32le(length) <= MiB)
        sum_vhdx(fd, MiB, ld32le(length));
}

static void sum_vhd(int fd, uint64_t at, size_t size, unsigned sum_at)
{
    uint8_t p[1024], sum[4];
    uint32_t total = 0;

    file_read(fd, at, p, size);
    memset(p + sum_at, 0, 4);
    for (size_t k = 0; k < size; k++)
        total += p[k];
    st32be(sum, ~total);
    file_write(fd, at + sum_at, sum, 4);
}

static void make_sums(int fd, const Kind *k)
{
    if (!strcmp(k->format, "vhdx")) {
        sum_vhdx(fd, 65536, 4096);
        sum_vhdx(fd, 131072, 4096);
        sum_vhdx(fd, 196608, 65536);
        sum_log(fd);
    } else if (!strcmp(k->format, "vpc")) {
        off_t end = lseek(fd, 0, SEEK_END);
        sum_vhd(fd, 0, 512, 64);
        sum_vhd(fd, 512, 1024, 36);
        sum_vhd(fd, end - 512, 512, 64);
    }
}

/* ---- use ---- */

enum { USE_READONLY = 1, USE_SUMS = 2, USE_GUESS = 4, USE_REPAIR = 8 };

static void use(Image *i)
{
    uint8_t buf[5000];
    ImageExtent e;
    ImageCheck c = { .repair_all = true };

    for (unsigned k = 0; k < 8; k++) {
        uint64_t at = k * (i->size / 8);
        memset(buf, k, sizeof buf);
        if (i->size < sizeof buf || at > i->size - sizeof buf)
            continue;
        image_read(i, at, buf, sizeof buf);
        if (!image_map(i, at, i->size - at, &e))
            g_assert_true(e.length && e.length <= i->size - at);
        image_write(i, at, buf, sizeof buf);
        image_write_zeroes(i, at, 300, true);
    }
    if (i->driver->check)
        i->driver->check(i, &c, NULL);
    image_flush(i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Base bases[ARRAY_SIZE(kinds)];
    static int fd = -1;
    g_autoptr(GError) err = NULL;

    if (size < 2)
        return 0;
    unsigned n = data[0] % ARRAY_SIZE(kinds), how = data[1];
    if (fd < 0)
        fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (!bases[n].data)
        bases[n] = make_base(&kinds[n]);
    write_base(fd, &bases[n]);
    change(fd, &kinds[n], data + 2, size - 2);
    if (how & USE_SUMS)
        make_sums(fd, &kinds[n]);
    g_autofree char *file = g_strdup_printf("/proc/self/fd/%d", fd);
    Image *i = image_open(&(ImageOptions){ .who = "fuzz", .file = file, .readonly = how & USE_READONLY, .no_backing = true,
                                           .format = how & USE_GUESS ? NULL : kinds[n].format,
                                           .repair = how & USE_REPAIR }, &err);
    g_assert_true(i || (err && !strchr(err->message, '\n')));
    if (i) {
        use(i);
        image_close(i);
    }
    return 0;
}
