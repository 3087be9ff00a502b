/* 9P: what files are, and extended attributes. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "backends/9p/session.h"
#include "util/bits.h"

/* ---- getattr ---- */

enum { GETATTR_BASIC = 0x7ff };

/* Linux's own numbering of devices (new_encode_dev() in linux/kdev_t.h), which need not be this host's. */
static uint64_t device_encode(dev_t d)
{
    uint64_t major_ = major(d), minor_ = minor(d);
    return (minor_ & 0xff) | major_ << 8 | (minor_ & ~UINT64_C(0xff)) << 12;
}

static void put_time(P9Request *q, const struct timespec *t)
{
    p9_put64(&q->out, t->tv_sec);
    p9_put64(&q->out, t->tv_nsec);
}

static void put_attributes(P9Request *q, const struct stat *st)
{
    bool special = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);

    p9_put64(&q->out, GETATTR_BASIC);
    put_qid(q, st);
    p9_put32(&q->out, st->st_mode);
    p9_put32(&q->out, st->st_uid);
    p9_put32(&q->out, st->st_gid);
    p9_put64(&q->out, st->st_nlink);
    p9_put64(&q->out, special ? device_encode(st->st_rdev) : 0);
    p9_put64(&q->out, st->st_size);
    p9_put64(&q->out, st->st_blksize);
    p9_put64(&q->out, st->st_blocks);
    put_time(q, &st->st_atim);
    put_time(q, &st->st_mtim);
    put_time(q, &st->st_ctim);
    for (unsigned k = 0; k < 4; k++)
        p9_put64(&q->out, 0); /* birth, generation, data version: not in the mask */
}

int p9_getattr(P9Request *q)
{
    P9Fid *f = fid_get(q->server, p9_get32(&q->in));
    struct stat st;

    p9_get64(&q->in); /* what is asked for; the answer says what there is */
    if (!f)
        return -EBADF;
    int fd = fid_handle(q->server, f);
    fid_put(f);
    if (fd < 0)
        return fd;
    int error = share_stat(q->server->share, fd, &st);
    close(fd);
    if (!error)
        put_attributes(q, &st);
    return error;
}

/* ---- setattr ---- */

enum {
    SET_MODE = 1, SET_UID = 2, SET_GID = 4, SET_SIZE = 8, SET_ATIME = 0x10, SET_MTIME = 0x20, SET_ATIME_TO = 0x80,
    SET_MTIME_TO = 0x100
};

typedef struct NewAttributes {
    uint32_t valid, mode, uid, gid;
    uint64_t size, atime[2], mtime[2];
} NewAttributes;

static void attributes_get(P9Request *q, NewAttributes *a)
{
    a->valid = p9_get32(&q->in);
    a->mode = p9_get32(&q->in);
    a->uid = p9_get32(&q->in);
    a->gid = p9_get32(&q->in);
    a->size = p9_get64(&q->in);
    for (unsigned k = 0; k < 2; k++)
        a->atime[k] = p9_get64(&q->in);
    for (unsigned k = 0; k < 2; k++)
        a->mtime[k] = p9_get64(&q->in);
}

static int set_size(int fd, uint64_t size)
{
    if (size > INT64_MAX)
        return -EFBIG;
    int writable = share_reopen(fd, O_WRONLY);
    if (writable < 0)
        return writable;
    int error = ftruncate(writable, size) ? -errno : 0;
    close(writable);
    return error;
}

static struct timespec time_to_set(const NewAttributes *a, unsigned bit, unsigned to_bit, const uint64_t t[2])
{
    if (!(a->valid & bit))
        return (struct timespec) { .tv_nsec = UTIME_OMIT };
    if (!(a->valid & to_bit))
        return (struct timespec) { .tv_nsec = UTIME_NOW };
    return (struct timespec) { .tv_sec = t[0], .tv_nsec = MIN(t[1], 999999999) };
}

static int set_times(int fd, const NewAttributes *a)
{
    char link[SHARE_LINK_SIZE];
    const struct timespec times[2] = { time_to_set(a, SET_ATIME, SET_ATIME_TO, a->atime),
                                       time_to_set(a, SET_MTIME, SET_MTIME_TO, a->mtime) };
    return utimensat(AT_FDCWD, share_link(fd, link), times, 0) ? -errno : 0;
}

static int set_mode(const Share *s, int fd, uint32_t mode)
{
    struct stat st;
    int error = share_stat(s, fd, &st);
    return error ? error : share_set_mode(s, fd, (st.st_mode & S_IFMT) | (mode & 07777));
}

/* chown() takes set-user-id bits away, so mode comes after it; a new size makes a new mtime, so times come last. */
static int set_attributes(const Share *s, int fd, const NewAttributes *a)
{
    int error = 0;

    if (a->valid & (SET_UID | SET_GID))
        error = share_set_owner(s, fd, a->valid & SET_UID ? a->uid : UINT32_MAX, a->valid & SET_GID ? a->gid : UINT32_MAX);
    if (!error && a->valid & SET_MODE)
        error = set_mode(s, fd, a->mode);
    if (!error && a->valid & SET_SIZE)
        error = set_size(fd, a->size);
    if (!error && a->valid & (SET_ATIME | SET_MTIME))
        error = set_times(fd, a);
    return error;
}

int p9_setattr(P9Request *q)
{
    P9Fid *f = fid_get(q->server, p9_get32(&q->in));
    NewAttributes a;

    attributes_get(q, &a);
    int fd = q->in.bad ? -EPROTO : f ? fid_handle(q->server, f) : -EBADF;
    fid_put(f);
    if (fd < 0)
        return fd;
    int error = set_attributes(q->server->share, fd, &a);
    close(fd);
    return error;
}

/* ---- extended attributes ---- */

enum { VALUE_MAX = 65536 }; /* XATTR_SIZE_MAX, XATTR_LIST_MAX (linux/limits.h) */

/* The list of names without those that are not shown. */
static int list_names(const Share *s, const char *link, GByteArray *value)
{
    g_autofree char *names = g_malloc(VALUE_MAX);
    ssize_t size = listxattr(link, names, VALUE_MAX);

    if (size < 0)
        return -errno;
    for (ssize_t at = 0, n; at < size; at += n) {
        n = strnlen(names + at, size - at - 1) + 1;
        if (share_xattr_visible(s, names + at))
            g_byte_array_append(value, (uint8_t *)names + at, n);
    }
    return 0;
}

static int get_value(const Share *s, const char *link, const char *name, GByteArray *value)
{
    if (!share_xattr_visible(s, name))
        return -ENODATA;
    g_byte_array_set_size(value, VALUE_MAX);
    ssize_t size = getxattr(link, name, value->data, VALUE_MAX);
    int error = size < 0 ? -errno : 0;
    g_byte_array_set_size(value, MAX(size, 0));
    return error;
}

static int read_attribute(P9Server *s, P9Fid *f, const char *name, GByteArray *value)
{
    char link[SHARE_LINK_SIZE];
    int fd = fid_handle(s, f);

    if (fd < 0)
        return fd;
    share_link(fd, link);
    int error = *name ? get_value(s->share, link, name, value) : list_names(s->share, link, value);
    close(fd);
    return error;
}

/* A new fid that the value is read from. */
static int add_value_fid(P9Server *s, uint32_t id, GByteArray *value)
{
    P9Fid *f;

    g_rw_lock_writer_lock(&s->lock);
    int error = s->bytes + value->len > P9_BYTES_MAX ? -ENFILE : fid_add_locked(s, id, 0, NULL, &f);
    if (!error) {
        f->kind = FID_XATTR;
        f->value = g_byte_array_ref(value);
        f->charged = value->len;
        s->bytes += value->len;
    }
    g_rw_lock_writer_unlock(&s->lock);
    return error;
}

int p9_xattrwalk(P9Request *q)
{
    P9Fid *f = fid_get(q->server, p9_get32(&q->in));
    uint32_t id = p9_get32(&q->in);
    g_autofree char *name = p9_get_string(&q->in);
    g_autoptr(GByteArray) value = g_byte_array_new();
    int error = q->in.bad ? -EPROTO : f ? read_attribute(q->server, f, name, value) : -EBADF;

    fid_put(f);
    if (!error)
        error = add_value_fid(q->server, id, value);
    if (!error)
        p9_put64(&q->out, value->len);
    return error;
}

int p9_xattrcreate(P9Request *q)
{
    P9Server *s = q->server;
    P9Fid *f = fid_get(s, p9_get32(&q->in));
    g_autofree char *name = p9_get_string(&q->in);
    uint64_t size = p9_get64(&q->in);
    uint32_t flags = p9_get32(&q->in);
    int error = q->in.bad ? -EPROTO : !f ? -EBADF : !share_xattr_writable(s->share, name) ? -EOPNOTSUPP
                : size > VALUE_MAX ? -E2BIG : 0;

    if (!error) {
        g_mutex_lock(&f->lock);
        error = f->kind != FID_PATH ? -EBADF : fid_charge(s, f, size);
        if (!error) {
            f->kind = FID_XATTR_NEW;
            f->xattr = g_steal_pointer(&name);
            f->xattr_flags = flags & (XATTR_CREATE | XATTR_REPLACE);
            f->value = g_byte_array_new();
        }
        g_mutex_unlock(&f->lock);
    }
    fid_put(f);
    return error;
}

/* An attribute without a byte is one to be removed: the message has no other word for it. */
int xattr_store(P9Server *s, P9Fid *f)
{
    char link[SHARE_LINK_SIZE];
    int fd = f->value->len == f->charged ? fid_open(s, f, 0) : -EINVAL; /* fewer came than were announced */

    if (fd < 0)
        return fd;
    share_link(fd, link);
    int failed = f->charged ? setxattr(link, f->xattr, f->value->data, f->charged, f->xattr_flags) : removexattr(link, f->xattr);
    int error = failed ? -errno : 0;
    close(fd);
    return error;
}
