/* 9P: entries of a folder. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "backends/9p/session.h"

enum { ENTRY_SIZE = 13 + 8 + 1 + 2 }; /* qid, offset, type, length of the name */

/* S_IFxxx as DT_xxx, and back (IFTODT and DTTOIF of glibc). */
static uint8_t type_of(mode_t mode) { return (mode & S_IFMT) >> 12; }
static mode_t mode_of(uint8_t type) { return (mode_t)type << 12; }

static bool is_top(P9Server *s, P9Fid *f)
{
    g_rw_lock_reader_lock(&s->lock);
    bool top = f->path && !*f->path;
    g_rw_lock_reader_unlock(&s->lock);
    return top;
}

/*
 * What the guest sees of an entry: the folder says type and number, but the type that matters in a mapped share stands
 * in the file's attributes.  `..` of the share's folder is the folder itself.
 */
static void entry_stat(P9Server *s, P9Fid *f, const struct dirent *d, struct stat *st)
{
    bool self = !strcmp(d->d_name, ".") || (!strcmp(d->d_name, "..") && is_top(s, f));
    int fd = -1;

    if (fstat(f->fd, st) || self)
        return;
    st->st_ino = d->d_ino;
    st->st_mode = mode_of(d->d_type);
    if (!strcmp(d->d_name, "..") || (d->d_type != DT_UNKNOWN && s->share->security != SHARE_MAPPED))
        return;
    fd = openat(f->fd, d->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        share_stat(s->share, fd, st);
        close(fd);
    }
}

static void put_entry(P9Request *q, P9Fid *f, const struct dirent *d)
{
    struct stat st = { 0 };

    entry_stat(q->server, f, d, &st);
    p9_put8(&q->out, S_ISDIR(st.st_mode) ? QID_FOLDER : S_ISLNK(st.st_mode) ? QID_LINK : QID_FILE);
    p9_put32(&q->out, 0);
    p9_put64(&q->out, qid_path(q->server, st.st_dev, st.st_ino));
    p9_put64(&q->out, d->d_off);
    p9_put8(&q->out, type_of(st.st_mode));
    p9_put_string(&q->out, d->d_name);
}

static void go_to(P9Fid *f, uint64_t offset)
{
    if (offset == f->position)
        return;
    if (offset)
        seekdir(f->folder, offset);
    else
        rewinddir(f->folder);
    f->position = offset;
}

/*
 * As many as fit into `limit` bytes of the answer; the first that does not is read again the next time.  None at all
 * would mean the end, so room for less than one is an error.
 */
static int put_entries(P9Request *q, P9Fid *f, uint64_t offset, size_t limit)
{
    size_t start = q->out.pos, end = start + limit;
    const struct dirent *d;

    go_to(f, offset);
    while ((errno = 0, d = readdir(f->folder))) {
        if (q->out.pos + ENTRY_SIZE + strlen(d->d_name) > end) {
            f->position = UINT64_MAX;
            break;
        }
        put_entry(q, f, d);
        f->position = d->d_off;
    }
    if (d)
        return q->out.pos > start ? 0 : -EINVAL;
    return -errno;
}

int p9_readdir(P9Request *q)
{
    P9Fid *f = fid_get(q->server, p9_get32(&q->in));
    uint64_t offset = p9_get64(&q->in);
    uint32_t count = p9_get32(&q->in);
    size_t length = q->out.pos;
    int error = q->in.bad ? -EPROTO : !f ? -EBADF : 0;

    p9_put32(&q->out, 0);
    if (!error && !q->out.full) {
        size_t start = q->out.pos;
        g_mutex_lock(&f->lock);
        error = f->kind == FID_FOLDER ? put_entries(q, f, offset, MIN(count, q->out.size - start)) : -EBADF;
        g_mutex_unlock(&f->lock);
        P9Writer w = { q->out.data, q->out.size, length, false };
        p9_put32(&w, q->out.pos - start);
    }
    fid_put(f);
    return error;
}
