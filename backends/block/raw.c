/* The format "raw": the disk's bytes as they are in the file.  Also the shortest example of a format's driver. */
#include <errno.h>
#include <string.h>

#include "backends/block/image.h"
#include "core/error.h"
#include "core/log.h"
#include "util/bits.h"

/* Whole sectors: a file may end within its last one, and what it lacks reads as zeros. */
static gboolean raw_open(Image *i, const ImageOptions *o, GError **err)
{
    (void)err;
    i->size = align_up(i->lower->size, o->cdrom ? 2048 : 512);
    return TRUE;
}

static void raw_close(Image *i) { (void)i; }

/*
 * The format was guessed: the next one who opens it would guess by what stands in the first sector now, and a guest that
 * writes another format's header there could name any file of the host as its backing file.
 */
static int check_head(Image *i, uint64_t offset, const struct iovec *iov, unsigned count)
{
    uint8_t head[512];
    uint64_t at = offset;
    const char *format;
    int status;

    if (!i->guessed || offset >= sizeof head)
        return 0;
    status = image_read(i->lower, 0, head, sizeof head);
    for (unsigned k = 0; k < count && at < sizeof head; at += iov[k++].iov_len)
        memcpy(head + at, iov[k].iov_base, MIN(iov[k].iov_len, sizeof head - at));
    format = status ? NULL : image_head_format(i->lower, head, sizeof head);
    if (!format)
        return status;
    log_guest_error("disk image '%s': refused to write the header of a %s image to what was guessed to be raw; "
                    "format=raw lets it be written", i->file, format);
    return -EPERM;
}

static int raw_read(Image *i, uint64_t offset, void *buf, uint64_t size) { return image_read(i->lower, offset, buf, size); }

static int raw_write(Image *i, uint64_t offset, const void *buf, uint64_t size)
{
    int status = check_head(i, offset, &(struct iovec){ (void *)buf, size }, 1);
    return status ? status : image_write(i->lower, offset, buf, size);
}

static int raw_readv(Image *i, uint64_t offset, const struct iovec *iov, unsigned count)
{
    return image_readv(i->lower, offset, iov, count);
}

static int raw_writev(Image *i, uint64_t offset, const struct iovec *iov, unsigned count)
{
    int status = check_head(i, offset, iov, count);
    return status ? status : image_writev(i->lower, offset, iov, count);
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
