/*
 * libFuzzer's target for the drivers of image formats (make fuzz-images): the first byte chooses the format, the others are
 * a file, of which everything is done that a drive, a monitor or myna-img could: reading, mapping, checking, then writing,
 * resizing, snapshots, and repairing.  Whatever the file is: no crash, no hang, bounded memory.  The seeds are small sound
 * images (clusters of 512 bytes); clusters of what is written are few.
 */
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backends/block/image.h"
#include "core/options.h"
#include "util/bits.h"

enum { LENGTH = 4096, PLACES = 5 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const formats[] = { "qcow2" };

static int memory_file(const uint8_t *data, size_t size)
{
    int fd = memfd_create("image", MFD_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(file_write(fd, 0, data, size), ==, 0);
    return fd;
}

static Image *open_image(int fd, const char *format, bool readonly, bool repair)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autoptr(GError) err = NULL;
    ImageOptions o = { .who = "fuzz", .file = path, .format = format, .readonly = readonly, .repair = repair,
                       .no_backing = true, .no_lock = true, .discard = true };
    Image *i = image_open(&o, &err);

    g_assert_true(i || (err && !strchr(err->message, '\n')));
    return i;
}

/* Offsets that are interesting, and within the disk. */
static uint64_t place(const Image *i, unsigned n)
{
    const uint64_t places[PLACES] = { 0, 4096, i->size / 2, i->size - LENGTH, 65536 - 512 };
    uint64_t at = places[n] / 512 * 512;
    return i->size >= LENGTH && at <= i->size - LENGTH ? at : 0;
}

static void check(Image *i, bool leaks, bool all)
{
    g_autoptr(GError) err = NULL;
    ImageCheck c = { .repair_leaks = leaks, .repair_all = all };

    if (i->driver->check && !i->driver->check(i, &c, &err))
        g_assert_nonnull(err);
}

static void look(Image *i)
{
    uint8_t buf[LENGTH];
    uint64_t n = MIN(i->size, LENGTH);
    ImageExtent e = { .length = 0 };
    g_autoptr(GPtrArray) pairs = option_pairs_parse("", NULL);

    for (unsigned k = 0; k < PLACES; k++)
        image_read(i, place(i, k), buf, n);
    for (uint64_t at = 0, steps = 0; at < i->size && steps < 64; at += e.length, steps++)
        if (image_map(i, at, i->size - at, &e) || !e.length)
            break;
    if (i->driver->info)
        i->driver->info(i, pairs);
    if (i->driver->snapshots)
        g_ptr_array_unref(i->driver->snapshots(i));
    check(i, false, false);
}

static void change_bytes(Image *i)
{
    uint8_t buf[LENGTH];
    uint64_t n = MIN(i->size, LENGTH);

    for (unsigned k = 0; k < PLACES; k++) {
        memset(buf, k + 1, n);
        image_write(i, place(i, k), buf, n);
    }
    image_write_zeroes(i, 0, MIN(i->size, 64 * KiB), true);
    image_discard(i, place(i, 2), n);
    if (i->driver->write_compressed)
        i->driver->write_compressed(i, 0, buf, MIN(i->size, 512));
    image_flush(i);
}

/* Tables for terabytes are within the format's bounds; here they would take all the time. */
static bool is_large(Image *i)
{
    enum { LARGE_GIB = 4 };
    g_autoptr(GPtrArray) all = i->driver->snapshots ? i->driver->snapshots(i) : NULL;
    bool large = i->size > LARGE_GIB * GiB;

    for (guint n = 0; all && n < all->len; n++)
        large |= ((const ImageSnapshot *)all->pdata[n])->disk_size > LARGE_GIB * GiB;
    return large;
}

static void change_snapshots(Image *i)
{
    const ImageDriver *d = i->driver;
    GError *err = NULL;

    if (!d->snapshot_create)
        return;
    d->snapshot_create(i, "fuzz", &err);
    g_clear_error(&err);
    change_bytes(i);
    d->snapshot_apply(i, "fuzz", &err);
    g_clear_error(&err);
    d->snapshot_apply(i, "1", &err);
    g_clear_error(&err);
    d->snapshot_delete(i, "1", &err);
    g_clear_error(&err);
}

static void change(Image *i)
{
    if (is_large(i))
        return;
    change_bytes(i);
    change_snapshots(i);
    image_resize(i, align_up(i->size / 2, 512));
    image_resize(i, MIN(i->size, 64 * MiB) + 64 * KiB);
    change_bytes(i);
    if (i->driver->make_empty)
        i->driver->make_empty(i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *format = formats[data[0] % ARRAY_SIZE(formats)];
    int fd = memory_file(data + 1, size - 1);
    Image *i = open_image(fd, format, true, false);
    if (i) {
        look(i);
        image_close(i);
    }
    i = open_image(fd, format, false, data[0] & 0x80);
    if (i && data[0] & 0x80) {
        check(i, true, true);
        look(i);
    } else if (i) {
        change(i);
    }
    if (i)
        image_close(i);
    close(fd);
    return 0;
}
