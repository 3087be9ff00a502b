/*
 * 9P: locks of byte ranges, as POSIX has them: a process's later lock of a range replaces its earlier one, and they are its own.  They
 * are between the client's processes: what the host's programs lock is not theirs.
 */
#include <errno.h>
#include <string.h>

#include "backends/9p/session.h"

enum { LOCK_READ, LOCK_WRITE, LOCK_UNLOCK };
enum { LOCK_SUCCESS, LOCK_BLOCKED, LOCK_ERROR };
enum { LOCKS_MAX = 4096 };

static P9LockRange *range(P9Server *s, guint n)
{
    return &g_array_index(s->locks, P9LockRange, n);
}

P9LockRange *locks_append(P9Server *s, P9LockRange r)
{
    r.client = g_strdup(r.client);
    g_array_append_val(s->locks, r);
    return range(s, s->locks->len - 1);
}

static void remove_at(P9Server *s, guint n)
{
    g_free(range(s, n)->client);
    g_array_remove_index_fast(s->locks, n);
}

void locks_release(P9Server *s, uint32_t fid)
{
    g_mutex_lock(&s->locks_mutex);
    for (guint n = s->locks->len; n-- > 0;) {
        if (range(s, n)->fid == fid)
            remove_at(s, n);
    }
    g_mutex_unlock(&s->locks_mutex);
}

void locks_clear(P9Server *s)
{
    g_mutex_lock(&s->locks_mutex);
    while (s->locks->len)
        remove_at(s, s->locks->len - 1);
    g_mutex_unlock(&s->locks_mutex);
}

static bool overlaps(const P9LockRange *a, const P9LockRange *b)
{
    return a->device == b->device && a->inode == b->inode && a->start <= b->end && b->start <= a->end;
}

static bool same_owner(const P9LockRange *a, const P9LockRange *b)
{
    return a->process == b->process && !strcmp(a->client, b->client);
}

static const P9LockRange *find_conflict(P9Server *s, const P9LockRange *wanted)
{
    for (guint n = 0; n < s->locks->len && wanted->type != LOCK_UNLOCK; n++) {
        const P9LockRange *r = range(s, n);
        if (overlaps(r, wanted) && !same_owner(r, wanted) && (r->type == LOCK_WRITE || wanted->type == LOCK_WRITE))
            return r;
    }
    return NULL;
}

/* Takes `gone` out of lock n, which may leave a part before it and one behind it. */
static void cut(P9Server *s, guint n, const P9LockRange *gone)
{
    P9LockRange r = *range(s, n), before = r, behind = r;

    before.end = gone->start - 1;
    behind.start = gone->end + 1;
    if (r.start < gone->start)
        locks_append(s, before);
    if (r.end > gone->end)
        locks_append(s, behind);
    remove_at(s, n);
}

/* What is appended meanwhile does not overlap. */
static void replace(P9Server *s, const P9LockRange *wanted)
{
    for (guint n = s->locks->len; n-- > 0;) {
        const P9LockRange *r = range(s, n);
        if (overlaps(r, wanted) && same_owner(r, wanted))
            cut(s, n, wanted);
    }
    if (wanted->type != LOCK_UNLOCK)
        locks_append(s, *wanted);
}

static uint8_t apply(P9Server *s, const P9LockRange *wanted)
{
    uint8_t status = LOCK_ERROR;

    g_mutex_lock(&s->locks_mutex);
    if (find_conflict(s, wanted)) {
        status = LOCK_BLOCKED;
    } else if (s->locks->len < LOCKS_MAX || wanted->type == LOCK_UNLOCK) {
        replace(s, wanted);
        status = LOCK_SUCCESS;
    }
    g_mutex_unlock(&s->locks_mutex);
    return status;
}

/* The file of an opened fid. */
static int identify(P9Server *s, P9LockRange *r)
{
    P9Fid *f = fid_get(s, r->fid);
    struct stat st;
    int error = f ? 0 : -EBADF;

    if (f) {
        g_mutex_lock(&f->lock);
        error = f->fd < 0 ? -EBADF : fstat(f->fd, &st) ? -errno : 0;
        g_mutex_unlock(&f->lock);
    }
    fid_put(f);
    if (!error) {
        r->device = st.st_dev;
        r->inode = st.st_ino;
    }
    return error;
}

/* start[8] length[8] proc_id[4] client_id[s]; a length of 0 reaches to the end of the file, however it grows. */
static int range_get(P9Request *q, P9LockRange *r)
{
    r->start = p9_get64(&q->in);
    uint64_t length = p9_get64(&q->in);
    r->process = p9_get32(&q->in);
    r->client = p9_get_string(&q->in);
    r->end = length && length - 1 <= UINT64_MAX - r->start ? r->start + length - 1 : UINT64_MAX;
    if (q->in.bad)
        return -EPROTO;
    return r->type > LOCK_UNLOCK ? -EINVAL : identify(q->server, r);
}

int p9_lock(P9Request *q)
{
    P9LockRange r = { .fid = p9_get32(&q->in), .type = p9_get8(&q->in) };

    p9_get32(&q->in); /* whether the client will wait; it asks again */
    int error = range_get(q, &r);
    if (!error)
        p9_put8(&q->out, apply(q->server, &r));
    g_free(r.client);
    return error;
}

static void put_range(P9Request *q, const P9LockRange *r, uint8_t type)
{
    p9_put8(&q->out, type);
    p9_put64(&q->out, r->start);
    p9_put64(&q->out, r->end == UINT64_MAX ? 0 : r->end - r->start + 1);
    p9_put32(&q->out, r->process);
    p9_put_string(&q->out, r->client);
}

int p9_getlock(P9Request *q)
{
    P9LockRange r = { .fid = p9_get32(&q->in), .type = p9_get8(&q->in) };
    int error = range_get(q, &r);

    if (!error) {
        g_mutex_lock(&q->server->locks_mutex);
        const P9LockRange *other = find_conflict(q->server, &r);
        put_range(q, other ? other : &r, other ? other->type : LOCK_UNLOCK);
        g_mutex_unlock(&q->server->locks_mutex);
    }
    g_free(r.client);
    return error;
}
