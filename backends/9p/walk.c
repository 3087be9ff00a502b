/* 9P: attach, walk, clunk (attach(5), walk(5), clunk(5)). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "backends/9p/session.h"

enum { NAMES_MAX = 16, ATTEMPTS_MAX = 16 };

static int add_fid(P9Server *s, uint32_t id, uint32_t uid, const char *path)
{
    g_rw_lock_writer_lock(&s->lock);
    int error = fid_add_locked(s, id, uid, g_strdup(path), NULL);
    g_rw_lock_writer_unlock(&s->lock);
    return error;
}

static int stat_path(P9Server *s, const char *path, struct stat *st)
{
    int fd = share_open(s->share, path, 0);
    if (fd < 0)
        return fd;
    int error = share_stat(s->share, fd, st);
    close(fd);
    return error;
}

int p9_attach(P9Request *q)
{
    uint32_t id = p9_get32(&q->in);
    struct stat st;

    p9_get32(&q->in); /* afid: none */
    g_free(p9_get_string(&q->in)); /* the user's name: the number that follows counts */
    g_autofree char *tree = p9_get_string(&q->in);
    uint32_t uid = p9_get32(&q->in);
    if (q->in.bad)
        return -EPROTO;
    if (*tree && strcmp(tree, "/"))
        return -ENOENT; /* one tree */
    int error = stat_path(q->server, "", &st);
    if (!error)
        error = add_fid(q->server, id, uid, "");
    if (!error)
        put_qid(q, &st);
    return error;
}

/* A walk on its way: the path so far, and what was found. */
typedef struct Walk {
    char *name[NAMES_MAX];
    unsigned names, found;
    struct stat st[NAMES_MAX];
    char *path;
    unsigned renames; /* the server's count when it was done */
} Walk;

static bool names_get(P9Request *q, Walk *w)
{
    unsigned n = p9_get16(&q->in);

    if (n > NAMES_MAX)
        return false;
    for (; w->names < n; w->names++)
        w->name[w->names] = p9_get_string(&q->in);
    return !q->in.bad;
}

/* `..` goes up in the path, in which there are no links, and at the share's folder stays there (walk(5)). */
static char *path_step(const char *path, const char *name)
{
    if (!strcmp(name, ".."))
        return g_strndup(path, strrchr(path, '/') ? strrchr(path, '/') - path : 0);
    return path_join(path, name);
}

static int walk_step(P9Server *s, Walk *w, const char *name)
{
    struct stat *st = &w->st[w->found];

    if (strcmp(name, "..") && !name_is_valid(name))
        return -ENOENT;
    g_autofree char *next = path_step(w->path, name);
    int error = stat_path(s, next, st);
    if (error)
        return error == -ELOOP ? -ENOTDIR : error;
    g_free(w->path);
    w->path = g_steal_pointer(&next);
    w->found++;
    return 0;
}

/* From a fid's path as far as it goes; the error when that is nowhere. */
static int walk_names(P9Server *s, P9Fid *from, Walk *w)
{
    int error = 0;

    g_rw_lock_reader_lock(&s->lock);
    w->renames = s->renames;
    g_clear_pointer(&w->path, g_free);
    w->path = g_strdup(from->path);
    w->found = 0;
    if (!w->path)
        error = -ENOENT;
    while (!error && w->found < w->names)
        error = walk_step(s, w, w->name[w->found]);
    g_rw_lock_reader_unlock(&s->lock);
    return w->found ? 0 : error;
}

/* The new fid, or the old one's new place; -EAGAIN: something was renamed since the path was walked. */
static int walk_take(P9Server *s, P9Fid *from, uint32_t id, const Walk *w)
{
    int error = 0;

    g_rw_lock_writer_lock(&s->lock);
    if (w->renames != s->renames)
        error = -EAGAIN;
    else if (id != from->id)
        error = fid_add_locked(s, id, from->uid, g_strdup(w->path), NULL);
    else if (s->bytes + strlen(w->path) > P9_BYTES_MAX)
        error = -ENFILE;
    else if (g_hash_table_lookup(s->fids, GUINT_TO_POINTER(id)) == from)
        fid_set_path(s, from, g_strdup(w->path));
    g_rw_lock_writer_unlock(&s->lock);
    return error;
}

static int walk(P9Server *s, P9Fid *from, uint32_t id, Walk *w)
{
    int error = -EAGAIN;

    for (unsigned n = 0; n < ATTEMPTS_MAX && error == -EAGAIN; n++) {
        error = walk_names(s, from, w);
        if (!error && w->found == w->names)
            error = walk_take(s, from, id, w);
    }
    return error;
}

int p9_walk(P9Request *q)
{
    P9Fid *from = fid_get(q->server, p9_get32(&q->in));
    uint32_t id = p9_get32(&q->in);
    g_autofree Walk *w = g_new0(Walk, 1);
    int error = names_get(q, w) ? 0 : -EPROTO;

    if (!error && (!from || from->kind == FID_XATTR || from->kind == FID_XATTR_NEW))
        error = -EBADF;
    if (!error && from->kind != FID_PATH && id == from->id)
        error = -EBUSY; /* open: walk(5) */
    if (!error)
        error = walk(q->server, from, id, w);
    if (!error) {
        p9_put16(&q->out, w->found);
        for (unsigned k = 0; k < w->found; k++)
            put_qid(q, &w->st[k]);
    }
    for (unsigned k = 0; k < w->names; k++)
        g_free(w->name[k]);
    g_free(w->path);
    fid_put(from);
    return error;
}

/* ---- clunk ---- */

int p9_clunk(P9Request *q)
{
    P9Fid *f = fid_get(q->server, p9_get32(&q->in));
    int error = 0;

    if (!f)
        return -EBADF;
    g_mutex_lock(&f->lock);
    if (f->kind == FID_XATTR_NEW)
        error = xattr_store(q->server, f);
    g_mutex_unlock(&f->lock);
    if (!fid_remove(q->server, f) && !error)
        error = -EBADF;
    fid_put(f);
    return error;
}
