/* 9P: opened files. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "backends/9p/session.h"
#include "util/endian.h"

/* iounit 0: as much as a message holds. */
static void put_opened(P9Request *q, const struct stat *st)
{
    put_qid(q, st);
    p9_put32(&q->out, 0);
}

static bool wants_writing(uint32_t flags)
{
    enum { ACCESS = 3, TRUNCATE = 01000 };
    return flags & (ACCESS | TRUNCATE);
}

/* Opens a file that O_PATH stands for, closing that; in a mapped share, a device is a regular file to the host. */
static int open_path(P9Server *s, int path, uint32_t flags, struct stat *st)
{
    int fd = share_stat(s->share, path, st);

    if (!fd && !S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
        fd = S_ISLNK(st->st_mode) ? -ELOOP : -ENXIO;
    if (!fd)
        fd = share_reopen(path, open_flags(flags));
    close(path);
    return fd;
}

static int open_fid(P9Server *s, P9Fid *f, uint32_t flags, struct stat *st)
{
    int fd = f->kind == FID_PATH ? fid_open(s, f, 0) : -EBADF;

    if (fd >= 0)
        fd = open_path(s, fd, flags, st);
    return fd >= 0 ? fid_set_open(s, f, fd, flags) : fd;
}

int p9_lopen(P9Request *q)
{
    P9Fid *f = fid_get(q->server, p9_get32(&q->in));
    uint32_t flags = p9_get32(&q->in);
    struct stat st;
    int error = !f ? -EBADF : q->server->share->readonly && wants_writing(flags) ? -EROFS : q->in.bad ? -EPROTO : 0;

    if (!error) {
        g_mutex_lock(&f->lock);
        error = open_fid(q->server, f, flags, &st);
        g_mutex_unlock(&f->lock);
    }
    if (!error)
        put_opened(q, &st);
    fid_put(f);
    return error;
}

/* ---- creating ---- */

/*
 * The kernel makes the file or says that there is one, which is then opened like any other: O_CREAT by itself would open whatever
 * special file stands there.
 */
static int create(P9Server *s, int folder, const char *name, uint32_t flags, const NewFile *new, struct stat *st)
{
    enum { EXCLUSIVE = 0200 };
    int fd = openat(folder, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | open_flags(flags),
                    share_new_mode(s->share, new->mode));

    if (fd < 0 && errno == EEXIST && !(flags & EXCLUSIVE)) {
        fd = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        return fd >= 0 ? open_path(s, fd, flags, st) : -errno;
    }
    if (fd < 0)
        return -errno;
    int error = new_file_finish(s, fd, new);
    if (!error)
        error = share_stat(s->share, fd, st);
    if (error)
        close(fd);
    return error ? error : fd;
}

/* The fid of the folder becomes the new file's. */
static int create_in(P9Server *s, P9Fid *f, const char *name, uint32_t flags, const NewFile *new, struct stat *st)
{
    int folder = f->kind == FID_PATH ? fid_open(s, f, O_DIRECTORY) : -EBADF;

    if (folder < 0)
        return folder;
    int fd = create(s, folder, name, flags, new, st);
    close(folder);
    int error = fd >= 0 ? fid_set_open(s, f, fd, flags) : fd;
    if (error)
        return error;
    g_rw_lock_writer_lock(&s->lock);
    if (f->path)
        fid_set_path(s, f, path_join(f->path, name));
    g_rw_lock_writer_unlock(&s->lock);
    return 0;
}

int p9_lcreate(P9Request *q)
{
    P9Fid *f = fid_get(q->server, p9_get32(&q->in));
    g_autofree char *name = p9_get_string(&q->in);
    uint32_t flags = p9_get32(&q->in), mode = p9_get32(&q->in), gid = p9_get32(&q->in);
    struct stat st;
    int error = q->in.bad ? -EPROTO : !f ? -EBADF : !name_is_valid(name) ? -EINVAL : 0;

    if (!error) {
        NewFile new = { S_IFREG | (mode & 07777), f->uid, gid, 0 };
        g_mutex_lock(&f->lock);
        error = create_in(q->server, f, name, flags, &new, &st);
        g_mutex_unlock(&f->lock);
    }
    if (!error)
        put_opened(q, &st);
    fid_put(f);
    return error;
}

/* ---- reading and writing ---- */

static ssize_t read_value(const P9Fid *f, uint64_t offset, uint8_t *buf, size_t size)
{
    size_t n = offset < f->value->len ? MIN(size, f->value->len - offset) : 0;
    if (n)
        memcpy(buf, f->value->data + offset, n);
    return n;
}

static ssize_t read_some(P9Fid *f, uint64_t offset, uint8_t *buf, size_t size)
{
    if (f->kind == FID_XATTR)
        return read_value(f, offset, buf, size);
    if (f->kind != FID_FILE)
        return f->kind == FID_FOLDER ? -EISDIR : -EBADF;
    if (offset > INT64_MAX)
        return -EINVAL;
    ssize_t n;
    do {
        n = pread(f->fd, buf, size, offset);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

int p9_read(P9Request *q)
{
    P9Fid *f = fid_get(q->server, p9_get32(&q->in));
    uint64_t offset = p9_get64(&q->in);
    uint32_t count = p9_get32(&q->in);
    uint8_t *length = p9_room(&q->out, 4);
    ssize_t n = q->in.bad || !length ? -EPROTO : !f ? -EBADF : 0;

    if (!n) {
        g_mutex_lock(&f->lock);
        n = read_some(f, offset, q->out.data + q->out.pos, MIN(count, q->out.size - q->out.pos));
        g_mutex_unlock(&f->lock);
    }
    fid_put(f);
    if (n < 0)
        return n;
    st32le(length, n);
    q->out.pos += n;
    return 0;
}

static ssize_t write_value(P9Fid *f, uint64_t offset, const uint8_t *data, size_t size)
{
    if (offset != f->value->len || size > f->charged - f->value->len)
        return -ENOSPC;
    g_byte_array_append(f->value, data, size);
    return size;
}

static ssize_t write_some(P9Fid *f, uint64_t offset, const uint8_t *data, size_t size)
{
    if (f->kind == FID_XATTR_NEW)
        return write_value(f, offset, data, size);
    if (f->kind != FID_FILE)
        return -EBADF;
    if (offset > INT64_MAX)
        return -EINVAL;
    ssize_t n;
    do {
        n = pwrite(f->fd, data, size, offset);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

int p9_write(P9Request *q)
{
    P9Fid *f = fid_get(q->server, p9_get32(&q->in));
    uint64_t offset = p9_get64(&q->in);
    uint32_t count = p9_get32(&q->in);
    const uint8_t *data = p9_take(&q->in, count);
    ssize_t n = q->in.bad ? -EPROTO : !f ? -EBADF : 0;

    if (!n) {
        g_mutex_lock(&f->lock);
        n = write_some(f, offset, data, count);
        g_mutex_unlock(&f->lock);
    }
    fid_put(f);
    if (n < 0)
        return n;
    p9_put32(&q->out, n);
    return 0;
}

/* A copy of the descriptor, as a disk may take its time. */
int p9_fsync(P9Request *q)
{
    P9Fid *f = fid_get(q->server, p9_get32(&q->in));
    bool data_only = q->in.pos < q->in.size && p9_get32(&q->in);
    int error = !f ? -EBADF : 0;

    if (!error) {
        g_mutex_lock(&f->lock);
        int fd = f->fd >= 0 ? fcntl(f->fd, F_DUPFD_CLOEXEC, 0) : (errno = EBADF, -1);
        g_mutex_unlock(&f->lock);
        error = fd < 0 || (data_only ? fdatasync(fd) : fsync(fd)) ? -errno : 0;
        if (fd >= 0)
            close(fd);
    }
    fid_put(f);
    return error;
}
