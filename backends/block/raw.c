/* The format "raw": the disk's bytes as they are in the file.  Also the shortest example of a format's driver. */
#include "backends/block/image.h"
#include "core/error.h"
#include "util/bits.h"

/* Whole sectors: a file may end within its last one, and what it lacks reads as zeros. */
static gboolean raw_open(Image *i, const ImageOptions *o, GError **err)
{
    (void)err;
    i->size = align_up(i->lower->size, o->cdrom ? 2048 : 512);
    return TRUE;
}

static void raw_close(Image *i) { (void)i; }

static int raw_read(Image *i, uint64_t offset, void *buf, uint64_t size) { return image_read(i->lower, offset, buf, size); }

static int raw_write(Image *i, uint64_t offset, const void *buf, uint64_t size)
{
    return image_write(i->lower, offset, buf, size);
}

static int raw_readv(Image *i, uint64_t offset, const struct iovec *iov, unsigned count)
{
    return image_readv(i->lower, offset, iov, count);
}

static int raw_writev(Image *i, uint64_t offset, const struct iovec *iov, unsigned count)
{
    return image_writev(i->lower, offset, iov, count);
}

static int raw_flush(Image *i) { return image_flush(i->lower); }
static int raw_discard(Image *i, uint64_t offset, uint64_t size) { return image_discard(i->lower, offset, size); }

static int raw_write_zeroes(Image *i, uint64_t offset, uint64_t size, bool may_unmap)
{
    return image_write_zeroes(i->lower, offset, size, may_unmap);
}

static int raw_map(Image *i, uint64_t offset, uint64_t size, ImageExtent *e) { return image_map(i->lower, offset, size, e); }

static int raw_resize(Image *i, uint64_t size) { return image_resize(i->lower, size); }

static gboolean raw_create(const ImageCreate *c, GError **err)
{
    if (c->backing)
        return error_set(err, "%s: a raw image has no backing file; qcow2 has", c->who);
    return file_create(c->who, c->file, c->size, err);
}

const ImageDriver image_driver_raw = {
    .name = "raw",
    .description = "the disk's bytes as they are",
    .size = sizeof(Image),
    .open = raw_open,
    .close = raw_close,
    .read = raw_read,
    .write = raw_write,
    .readv = raw_readv,
    .writev = raw_writev,
    .flush = raw_flush,
    .discard = raw_discard,
    .write_zeroes = raw_write_zeroes,
    .map = raw_map,
    .resize = raw_resize,
    .create = raw_create,
};
