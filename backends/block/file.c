/*
 * The protocol "file": regular files and block devices of the host, and how they are opened and locked.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/block/file_direct.h"
#include "backends/block/image.h"
#include "core/error.h"
#include "util/bits.h"

G_STATIC_ASSERT(sizeof(off_t) == 8); /* images may be larger than 2 GiB */

#ifndef O_DIRECT
#define O_DIRECT 0 /* the host has no such thing: the page cache it is */
#endif

typedef struct FileImage {
    Image image;
    int fd;
    bool is_device, direct;
    DirectFile aligned; /* of direct */
} FileImage;

static FileImage *file_of(const Image *i) { return (FileImage *)i; }

int file_read(int fd, uint64_t offset, void *buf, uint64_t size)
{
    uint8_t *to = buf;

    while (size) {
        ssize_t n = pread(fd, to, MIN(size, GiB), offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (!n) {
            memset(to, 0, size);
            return 0;
        }
        to += n, offset += n, size -= n;
    }
    return 0;
}

int file_write(int fd, uint64_t offset, const void *buf, uint64_t size)
{
    const uint8_t *from = buf;

    while (size) {
        ssize_t n = pwrite(fd, from, MIN(size, GiB), offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? -errno : -ENOSPC;
        from += n, offset += n, size -= n;
    }
    return 0;
}

static const FileImage *file_below(const Image *i)
{
    while (i->lower)
        i = i->lower;
    return !strcmp(i->driver->name, "file") ? (const FileImage *)i : NULL;
}

unsigned image_alignment(const Image *i)
{
    const FileImage *f = file_below(i);
    return f && f->direct ? f->aligned.alignment : 1;
}

int image_fd(const Image *i) { return !strcmp(i->driver->name, "file") ? file_of(i)->fd : -1; }

/* ---- opening ---- */

static gboolean check_type(FileImage *f, const char *who, GError **err)
{
    struct stat st;

    if (fstat(f->fd, &st))
        return error_set(err, "%s: '%s': %s", who, f->image.file, g_strerror(errno));
    if (S_ISDIR(st.st_mode))
        return error_set(err, "%s: '%s' is a directory, not an image file", who, f->image.file);
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return error_set(err, "%s: '%s' is neither a regular file nor a block device", who, f->image.file);
    f->is_device = S_ISBLK(st.st_mode);
    return TRUE;
}

static gboolean find_size(FileImage *f, const char *who, GError **err)
{
    off_t end = lseek(f->fd, 0, SEEK_END);

    if (end < 0)
        return error_set(err, "%s: the size of '%s' cannot be found: %s", who, f->image.file, g_strerror(errno));
    if ((uint64_t)end > INT64_MAX - 4 * KiB)
        return error_set(err, "%s: '%s' is too large", who, f->image.file);
    f->image.size = end;
    return TRUE;
}

/* After the size is known. */
static gboolean prepare_direct(FileImage *f)
{
    f->aligned.fd = f->fd;
    f->aligned.alignment = f->direct ? direct_find_alignment(f->fd) : 1;
    g_rw_lock_init(&f->aligned.lock);
    return TRUE;
}

static gboolean fail_open(const Image *i, const char *who, int e, GError **err)
{
    if (e == EINVAL && file_of(i)->direct)
        return error_set(err, "%s: the file system of '%s' has no O_DIRECT, which cache=none and cache.direct=on need; "
                         "cache=writeback does not", who, i->file);
    bool forbidden = e == EACCES || e == EPERM || e == EROFS;
    struct stat st; /* opening a directory for writing fails already */

    if (e == EISDIR || (!stat(i->file, &st) && S_ISDIR(st.st_mode)))
        return error_set(err, "%s: '%s' is a directory, not an image file", who, i->file);
    if (forbidden && !i->readonly && !access(i->file, R_OK))
        return error_set(err, "%s: cannot open '%s' for writing: %s; give snapshot=on or readonly=on", who, i->file,
                         g_strerror(e));
    return error_set(err, "%s: cannot open '%s': %s", who, i->file, g_strerror(e));
}

static gboolean lock(FileImage *f, const ImageOptions *o, GError **err)
{
    if (o->no_lock || file_lock(f->fd, !f->image.readonly, f->image.file, err))
        return TRUE;
    g_prefix_error(err, "%s: ", o->who);
    return FALSE;
}

static gboolean file_open(Image *i, const ImageOptions *o, GError **err)
{
    FileImage *f = file_of(i);
    /* O_NONBLOCK: opening a pipe must not wait for its other end; on files it has no effect. */
    int flags = (i->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

    f->direct = o->direct;
    f->fd = open(i->file, flags | (f->direct ? O_DIRECT : 0));
    if (f->fd < 0)
        return fail_open(i, o->who, errno, err);
    return check_type(f, o->who, err) && lock(f, o, err) && find_size(f, o->who, err) &&
           prepare_direct(f);
}

static void file_close(Image *i)
{
    FileImage *f = file_of(i);

    if (f->aligned.alignment)
        g_rw_lock_clear(&f->aligned.lock);
    if (f->fd >= 0)
        close(f->fd);
}

gboolean file_create(const char *who, const char *file, uint64_t size, GError **err)
{
    int fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

    if (fd < 0)
        return error_set(err, "%s: cannot create '%s': %s", who, file, g_strerror(errno));
    int e = ftruncate(fd, size) ? errno : 0;
    close(fd);
    return !e || error_set(err, "%s: '%s' cannot have %" G_GUINT64_FORMAT " bytes: %s", who, file, size, g_strerror(e));
}

static gboolean create(const ImageCreate *c, GError **err) { return file_create(c->who, c->file, c->size, err); }

/* ---- bytes ---- */

static int file_image_read(Image *i, uint64_t offset, void *buf, uint64_t size)
{
    FileImage *f = file_of(i);
    return f->direct ? direct_read(&f->aligned, offset, buf, size) : file_read(f->fd, offset, buf, size);
}

/* Files grow by it: a format's metadata and clusters are appended. */
static int file_image_write(Image *i, uint64_t offset, const void *buf, uint64_t size)
{
    FileImage *f = file_of(i);
    return f->direct ? direct_write(&f->aligned, offset, buf, size) : file_write(f->fd, offset, buf, size);
}

static uint64_t vector_size(const struct iovec *iov, unsigned count)
{
    uint64_t size = 0;
    for (unsigned k = 0; k < count; k++)
        size += iov[k].iov_len;
    return size;
}

/* One call for all buffers; what ends short goes on buffer by buffer. */
static int transfer(Image *i, uint64_t offset, const struct iovec *iov, unsigned count, bool write)
{
    enum { MAX_BUFFERS = 1024 /* IOV_MAX */ };
    FileImage *f = file_of(i);
    int status = 0;

    if (!f->direct && count > 1 && count <= MAX_BUFFERS) {
        ssize_t n = write ? pwritev(f->fd, iov, count, offset) : preadv(f->fd, iov, count, offset);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n >= 0 && (uint64_t)n == vector_size(iov, count))
            return 0;
    }
    for (unsigned k = 0; k < count && !status; offset += iov[k++].iov_len)
        status = write ? file_image_write(i, offset, iov[k].iov_base, iov[k].iov_len)
                       : file_image_read(i, offset, iov[k].iov_base, iov[k].iov_len);
    return status;
}

static int file_readv(Image *i, uint64_t offset, const struct iovec *iov, unsigned count)
{
    return transfer(i, offset, iov, count, false);
}

static int file_writev(Image *i, uint64_t offset, const struct iovec *iov, unsigned count)
{
    return transfer(i, offset, iov, count, true);
}

static int file_flush(Image *i)
{
    if (i->readonly || i->no_flush)
        return 0;
    while (fdatasync(file_of(i)->fd)) {
        if (errno != EINTR)
            return -errno;
    }
    return 0;
}

static int file_resize(Image *i, uint64_t size)
{
    if (file_of(i)->is_device)
        return -ENOTSUP;
    return ftruncate(file_of(i)->fd, size) ? -errno : 0;
}

/* Holes, where the file system tells them (lseek(2), SEEK_DATA). */
static int file_map(Image *i, uint64_t offset, uint64_t size, ImageExtent *e)
{
    int fd = file_of(i)->fd;
    off_t data = lseek(fd, offset, SEEK_DATA);
    off_t hole = data == (off_t)offset ? lseek(fd, offset, SEEK_HOLE) : -1;

    *e = (ImageExtent){ .length = size, .allocated = true, .in_file = true, .at = offset };
    if (data < 0 ? errno == ENXIO : data > (off_t)offset) {
        e->zero = true;
        e->allocated = false;
        e->length = data < 0 ? size : MIN(size, (uint64_t)data - offset);
    } else if (hole > (off_t)offset) {
        e->length = MIN(size, (uint64_t)hole - offset);
    }
    return 0;
}

#ifdef FALLOC_FL_PUNCH_HOLE
static int allocate(Image *i, int mode, uint64_t offset, uint64_t size)
{
    return fallocate(file_of(i)->fd, mode | FALLOC_FL_KEEP_SIZE, offset, size) ? -errno : 0;
}

static int file_discard(Image *i, uint64_t offset, uint64_t size)
{
    int status = i->discard ? allocate(i, FALLOC_FL_PUNCH_HOLE, offset, size) : 0;
    return status == -EOPNOTSUPP ? 0 : status;
}

static int file_write_zeroes(Image *i, uint64_t offset, uint64_t size, bool may_unmap)
{
    if (may_unmap && i->discard)
        return allocate(i, FALLOC_FL_PUNCH_HOLE, offset, size);
    return allocate(i, FALLOC_FL_ZERO_RANGE, offset, size);
}
#endif

const ImageDriver image_driver_file = {
    .name = "file",
    .description = "a file or block device",
    .protocol = true,
    .size = sizeof(FileImage),
    .open = file_open,
    .close = file_close,
    .read = file_image_read,
    .write = file_image_write,
    .readv = file_readv,
    .writev = file_writev,
    .flush = file_flush,
    .map = file_map,
    .resize = file_resize,
    .create = create,
#ifdef FALLOC_FL_PUNCH_HOLE
    .discard = file_discard,
    .write_zeroes = file_write_zeroes,
#endif
};
