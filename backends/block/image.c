/*
 * Images (image.h): opening them with all that lies below, and bytes in and out, whatever the driver.
 */
#include "backends/block/image.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "backends/block/drivers.h"
#include "backends/block/image_node.h"
#include "core/error.h"
#include "core/log.h"
#include "util/bits.h"

/* ---- opening ---- */

static Image *image_new(const ImageDriver *driver, const ImageOptions *o)
{
    Image *i = g_malloc0(driver->size);
    i->driver = driver;
    i->file = g_strdup(o->file);
    i->readonly = o->readonly || o->snapshot;
    i->discard = o->discard;
    i->no_flush = o->no_flush || o->snapshot;
    return i;
}

static Image *open_with(const ImageDriver *driver, Image *lower, const ImageOptions *o, GError **err)
{
    Image *i = image_new(driver, o);
    i->lower = lower;
    if (driver->open(i, o, err))
        return i;
    image_close(i);
    return NULL;
}

static Image *open_protocol(const ImageOptions *o, GError **err)
{
    return open_with(image_is_nbd(o->file) ? &image_driver_nbd : &image_driver_file, NULL, o, err);
}

static const ImageDriver *choose_format(const ImageOptions *o, Image *lower, GError **err)
{
    const ImageDriver *driver = o->format ? image_driver_find(o->format) : image_driver_probe(lower);
    const char *unknown = NULL;
    g_autoptr(GString) names = g_string_new(NULL);

    if (driver && driver == &image_driver_raw && !o->format)
        unknown = image_unknown_format(lower);
    if (unknown) {
        error_set(err, "%s: '%s' looks like a %s image, a format that is not supported; convert it to raw, "
                  "or give format=raw to use it as raw", o->who, o->file, unknown);
        return NULL;
    }
    if (driver && !driver->protocol)
        return driver;
    for (const ImageDriver *const *d = image_drivers; *d; d++)
        if (!(*d)->protocol)
            g_string_append_printf(names, "%s%s", names->len ? ", " : "", (*d)->name);
    error_set(err, "%s: the image format '%s' is not supported; it can be %s", o->who, o->format, names->str);
    return NULL;
}

/* Raw, since nothing else was seen: to be written, that is said. */
static void mark_guess(Image *i)
{
    i->guessed = !i->readonly;
    if (i->guessed)
        log_user("warning: '%s' is taken for a raw disk; give format=raw if it is one (until then it cannot be given "
                 "another format's header)", i->file);
}

static Image *open_format(const ImageOptions *o, GError **err)
{
    Image *lower = open_protocol(o, err);
    const ImageDriver *driver = lower ? choose_format(o, lower, err) : NULL;
    Image *i = driver ? open_with(driver, lower, o, err) : NULL;

    if (i && !o->format && driver == &image_driver_raw)
        mark_guess(i);
    if (lower && !driver)
        image_close(lower);
    return i;
}

/* With a temporary file over it, where the options want that. */
static Image *open_whole(const ImageOptions *o, GError **err)
{
    Image *i = open_format(o, err);

    if (!i || !o->snapshot || o->readonly)
        return i;
    Image *overlay = overlay_open(i, err);
    if (overlay)
        return overlay;
    g_prefix_error(err, "%s: snapshot=on: ", o->who);
    image_close(i);
    return NULL;
}

/* A description in the place of a file name: what it says counts beside the other options. */
static Image *open_described(const ImageOptions *o, GError **err)
{
    ImageOptions real = *o;
    ImageNode n;

    if (!image_node_from_name(o->who, o->file, &n, err))
        return NULL;
    if (image_node_is_name(n.file)) {
        error_set(err, "%s: filename=%s: a description within a description", o->who, n.file);
        image_node_clear(&n);
        return NULL;
    }
    real.file = n.file;
    real.format = n.format ?: o->format;
    real.backing = n.backing && *n.backing ? n.backing : o->backing;
    real.no_backing |= n.backing && !*n.backing;
    real.readonly |= n.readonly;
    real.direct |= n.direct;
    real.no_flush |= n.no_flush;
    real.discard |= n.discard;
    real.no_lock |= n.no_lock;
    Image *i = open_whole(&real, err);
    image_node_clear(&n);
    return i;
}

Image *image_open(const ImageOptions *o, GError **err)
{
    return image_node_is_name(o->file) ? open_described(o, err) : open_whole(o, err);
}

Image *image_open_file(const ImageOptions *o, GError **err) { return open_protocol(o, err); }

void image_close(Image *i)
{
    i->driver->close(i);
    if (i->backing)
        image_close(i->backing);
    if (i->lower)
        image_close(i->lower);
    g_free(i->file);
    g_free(i);
}

bool image_is_same(const Image *i, const char *file)
{
    struct stat ours, other;

    for (; i; i = i->lower ? i->lower : i->backing)
        if (!stat(i->file, &ours) && !stat(file, &other) && ours.st_dev == other.st_dev && ours.st_ino == other.st_ino)
            return true;
    return false;
}

/* ---- bytes ---- */

int image_read(Image *i, uint64_t offset, void *buf, uint64_t size)
{
    return size ? i->driver->read(i, offset, buf, size) : 0;
}

int image_write(Image *i, uint64_t offset, const void *buf, uint64_t size)
{
    if (i->readonly || !i->driver->write)
        return -EROFS;
    return size ? i->driver->write(i, offset, buf, size) : 0;
}

/* One element after the other: right where a driver has no better way. */
static int each(Image *i, uint64_t offset, const struct iovec *iov, unsigned count, bool write)
{
    int status = 0;
    for (unsigned k = 0; k < count && !status; offset += iov[k++].iov_len)
        status = write ? image_write(i, offset, iov[k].iov_base, iov[k].iov_len)
                       : image_read(i, offset, iov[k].iov_base, iov[k].iov_len);
    return status;
}

int image_readv(Image *i, uint64_t offset, const struct iovec *iov, unsigned count)
{
    return i->driver->readv && count ? i->driver->readv(i, offset, iov, count) : each(i, offset, iov, count, false);
}

int image_writev(Image *i, uint64_t offset, const struct iovec *iov, unsigned count)
{
    if (i->readonly)
        return -EROFS;
    return i->driver->writev && count ? i->driver->writev(i, offset, iov, count) : each(i, offset, iov, count, true);
}

static int write_zero_bytes(Image *i, uint64_t offset, uint64_t size)
{
    enum { CHUNK = 256 * KiB };
    g_autofree void *zeros = g_malloc0(MIN(size, CHUNK));
    int status = 0;
    for (uint64_t n; size && !status; offset += n, size -= n) {
        n = MIN(size, CHUNK);
        status = image_write(i, offset, zeros, n);
    }
    return status;
}

int image_write_zeroes(Image *i, uint64_t offset, uint64_t size, bool may_unmap)
{
    int status = -ENOTSUP;
    if (i->readonly)
        return -EROFS;
    if (size && i->driver->write_zeroes)
        status = i->driver->write_zeroes(i, offset, size, may_unmap);
    return status == -ENOTSUP || status == -EOPNOTSUPP ? write_zero_bytes(i, offset, size) : status;
}

int image_discard(Image *i, uint64_t offset, uint64_t size)
{
    if (i->readonly)
        return -EROFS;
    return size && i->driver->discard ? i->driver->discard(i, offset, size) : 0;
}

int image_flush(Image *i) { return i->driver->flush && !i->no_flush ? i->driver->flush(i) : 0; }

int image_map(Image *i, uint64_t offset, uint64_t size, ImageExtent *e)
{
    if (i->driver->map)
        return i->driver->map(i, offset, size, e);
    *e = (ImageExtent){ .length = size, .allocated = true };
    return 0;
}

int image_map_chain(Image *i, uint64_t offset, uint64_t size, ImageExtent *e, Image **in)
{
    for (;; i = i->backing) {
        int status = image_map(i, offset, size, e);
        *in = i;
        if (status || e->allocated || e->zero || !i->backing)
            return status;
        size = e->length;
        if (offset >= i->backing->size) { /* what lies behind a shorter backing image's end */
            e->zero = true;
            return 0;
        }
        size = MIN(size, i->backing->size - offset);
    }
}

int image_resize(Image *i, uint64_t size)
{
    if (i->readonly)
        return -EROFS;
    int status = i->driver->resize ? i->driver->resize(i, size) : -ENOTSUP;
    if (!status)
        i->size = size;
    return status;
}

gboolean image_error(const Image *i, const char *what, int status, GError **err)
{
    return error_set(err, "'%s' %s: %s", i->file, what, g_strerror(-status));
}
