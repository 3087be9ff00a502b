/*
 * Raw image files and host block devices.
 */
#include "backends/block/image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"
#include "util/bits.h"

G_STATIC_ASSERT(sizeof(off_t) == 8); /* images may be larger than 2 GiB */

struct Image {
    int fd;
    uint64_t size;
    bool readonly;
    Overlay *overlay; /* snapshot=on */
};

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

int image_read(Image *image, uint64_t offset, void *buf, uint64_t size)
{
    return image->overlay ? overlay_read(image->overlay, image->fd, offset, buf, size)
                          : file_read(image->fd, offset, buf, size);
}

int image_write(Image *image, uint64_t offset, const void *buf, uint64_t size)
{
    return image->overlay ? overlay_write(image->overlay, image->fd, offset, buf, size)
                          : file_write(image->fd, offset, buf, size);
}

/* What a snapshot holds is thrown away in the end: it need not be on stable storage. */
int image_flush(Image *image)
{
    if (image->overlay || image->readonly)
        return 0;
    while (fdatasync(image->fd)) {
        if (errno != EINTR)
            return -errno;
    }
    return 0;
}

uint64_t image_size(const Image *image)
{
    return image->size;
}


bool image_is_same(const Image *image, const char *file)
{
    struct stat ours, other;
    return !fstat(image->fd, &ours) && !stat(file, &other) && ours.st_dev == other.st_dev &&
           ours.st_ino == other.st_ino;
}

/* ---- opening ---- */

static bool needs_write(const BlockOptions *o)
{
    return !o->readonly && !o->snapshot;
}

static gboolean check_format_name(const BlockOptions *o, GError **err)
{
    if (!o->format || !strcmp(o->format, "raw"))
        return TRUE;
    return error_set(err, "drive '%s': the image format '%s' is not supported; it can be raw", o->id, o->format);
}

static gboolean check_file_type(const BlockOptions *o, int fd, GError **err)
{
    struct stat st;

    if (fstat(fd, &st))
        return error_set(err, "drive '%s': '%s': %s", o->id, o->file, g_strerror(errno));
    if (S_ISDIR(st.st_mode))
        return error_set(err, "drive '%s': '%s' is a directory, not an image file", o->id, o->file);
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return error_set(err, "drive '%s': '%s' is neither a regular file nor a block device", o->id, o->file);
    return TRUE;
}

static gboolean check_content(const BlockOptions *o, int fd, uint64_t size, GError **err)
{
    const char *format = o->format ? NULL : format_probe(fd, size);

    if (!format)
        return TRUE;
    return error_set(err, "drive '%s': '%s' looks like a %s image, a format that is not supported; convert it to raw, "
                     "or give format=raw to use it as raw", o->id, o->file, format);
}

static gboolean fail_open(const BlockOptions *o, int e, GError **err)
{
    bool forbidden = e == EACCES || e == EPERM || e == EROFS;

    if (forbidden && needs_write(o) && !access(o->file, R_OK))
        return error_set(err, "drive '%s': cannot open '%s' for writing: %s; give snapshot=on or readonly=on", o->id,
                         o->file, g_strerror(e));
    return error_set(err, "drive '%s': cannot open '%s': %s", o->id, o->file, g_strerror(e));
}

static gboolean lock_for(const BlockOptions *o, int fd, GError **err)
{
    if (file_lock(fd, needs_write(o), o->file, err))
        return TRUE;
    g_prefix_error(err, "drive '%s': ", o->id);
    return FALSE;
}

/* Whole sectors: a file may end within its last one. */
static gboolean find_size(const BlockOptions *o, int fd, uint64_t *size, GError **err)
{
    off_t end = lseek(fd, 0, SEEK_END);

    if (end < 0)
        return error_set(err, "drive '%s': the size of '%s' cannot be found: %s", o->id, o->file, g_strerror(errno));
    if (!check_content(o, fd, end, err))
        return FALSE;
    if ((uint64_t)end > INT64_MAX - 4 * KiB)
        return error_set(err, "drive '%s': '%s' is too large", o->id, o->file);
    *size = align_up(end, o->cdrom ? 2048 : 512);
    return TRUE;
}

static gboolean image_setup(Image *image, const BlockOptions *o, GError **err)
{
    if (!check_file_type(o, image->fd, err) || !lock_for(o, image->fd, err) ||
        !find_size(o, image->fd, &image->size, err))
        return FALSE;
    image->readonly = o->readonly;
    if (!o->snapshot || o->readonly)
        return TRUE;
    image->overlay = overlay_new(image->size, err);
    if (!image->overlay)
        g_prefix_error(err, "drive '%s': snapshot=on: ", o->id);
    return image->overlay != NULL;
}

Image *image_open(const BlockOptions *o, GError **err)
{
    if (!check_format_name(o, err))
        return NULL;
    /* O_NONBLOCK: opening a pipe must not wait for its other end; on files it has no effect. */
    int fd = open(o->file, (needs_write(o) ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        struct stat st; /* opening a directory for writing fails already */
        int e = errno;
        if (e == EISDIR || (!stat(o->file, &st) && S_ISDIR(st.st_mode)))
            error_set(err, "drive '%s': '%s' is a directory, not an image file", o->id, o->file);
        else
            fail_open(o, e, err);
        return NULL;
    }
    Image *image = g_new0(Image, 1);
    image->fd = fd;
    if (image_setup(image, o, err))
        return image;
    image_close(image);
    return NULL;
}

void image_close(Image *image)
{
    if (image->overlay)
        overlay_free(image->overlay);
    close(image->fd);
    g_free(image);
}
