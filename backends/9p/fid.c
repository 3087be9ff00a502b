/* The 9P server's table of fids (session.h). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "backends/9p/session.h"

P9Fid *fid_get(P9Server *s, uint32_t id)
{
    g_rw_lock_reader_lock(&s->lock);
    P9Fid *f = g_hash_table_lookup(s->fids, GUINT_TO_POINTER(id));
    if (f)
        g_atomic_int_inc(&f->refs);
    g_rw_lock_reader_unlock(&s->lock);
    return f;
}

void fid_put(P9Fid *f)
{
    if (!f || !g_atomic_int_dec_and_test(&f->refs))
        return;
    if (f->fd >= 0)
        g_atomic_int_add(&f->server->open_files, -1);
    if (f->folder)
        closedir(f->folder);
    else if (f->fd >= 0)
        close(f->fd);
    if (f->value)
        g_byte_array_unref(f->value);
    g_mutex_clear(&f->lock);
    g_free(f->xattr);
    g_free(f->path);
    g_free(f);
}

static size_t path_bytes(const char *path)
{
    return path ? strlen(path) : 0;
}

int fid_add_locked(P9Server *s, uint32_t id, uint32_t uid, char *path, P9Fid **added)
{
    if (g_hash_table_contains(s->fids, GUINT_TO_POINTER(id))) {
        g_free(path);
        return -EINVAL;
    }
    if (g_hash_table_size(s->fids) >= P9_FIDS_MAX || s->bytes + path_bytes(path) > P9_BYTES_MAX) {
        g_free(path);
        return -ENFILE;
    }
    P9Fid *f = g_new0(P9Fid, 1);
    *f = (P9Fid) { .refs = 1, .server = s, .id = id, .uid = uid, .path = path, .fd = -1 };
    g_mutex_init(&f->lock);
    s->bytes += path_bytes(path);
    g_hash_table_insert(s->fids, GUINT_TO_POINTER(id), f);
    if (added)
        *added = f;
    return 0;
}

void fid_set_path(P9Server *s, P9Fid *f, char *path)
{
    s->bytes += path_bytes(path) - path_bytes(f->path);
    g_free(f->path);
    f->path = path;
}

/* What the table's end of a fid means for the counts; with the lock for writing. */
static void fid_forget(P9Server *s, P9Fid *f)
{
    s->bytes -= path_bytes(f->path) + f->charged;
    locks_release(s, f->id);
}

bool fid_remove(P9Server *s, P9Fid *f)
{
    g_rw_lock_writer_lock(&s->lock);
    bool there = g_hash_table_lookup(s->fids, GUINT_TO_POINTER(f->id)) == f;
    if (there) {
        fid_forget(s, f);
        g_hash_table_remove(s->fids, GUINT_TO_POINTER(f->id));
    }
    g_rw_lock_writer_unlock(&s->lock);
    if (there)
        fid_put(f);
    return there;
}

/* Closing may wait for the host, so it is done without the lock. */
void fids_clear(P9Server *s)
{
    GHashTable *fids = g_hash_table_new(NULL, NULL);
    GHashTableIter i;
    gpointer f;

    g_rw_lock_writer_lock(&s->lock);
    GHashTable *old = s->fids;
    s->fids = fids;
    g_hash_table_iter_init(&i, old);
    while (g_hash_table_iter_next(&i, NULL, &f))
        fid_forget(s, f);
    g_rw_lock_writer_unlock(&s->lock);
    g_hash_table_iter_init(&i, old);
    while (g_hash_table_iter_next(&i, NULL, &f))
        fid_put(f);
    g_hash_table_unref(old);
    locks_clear(s);
}

/* The rest of a path that is `from` or beneath it, with its slash; NULL for others. */
static const char *path_behind(const char *path, const char *from)
{
    size_t n = strlen(from);
    return path && !strncmp(path, from, n) && (!path[n] || path[n] == '/') ? path + n : NULL;
}

void fids_move(P9Server *s, const char *from, const char *to)
{
    GHashTableIter i;
    gpointer f;

    g_hash_table_iter_init(&i, s->fids);
    while (g_hash_table_iter_next(&i, NULL, &f)) {
        const char *rest = path_behind(((P9Fid *)f)->path, from);
        if (rest)
            fid_set_path(s, f, to ? g_strconcat(to, rest, NULL) : NULL);
    }
}

/* A fid that another message has removed meanwhile is not counted any more, and gets nothing. */
int fid_charge(P9Server *s, P9Fid *f, uint32_t size)
{
    g_rw_lock_writer_lock(&s->lock);
    int error = g_hash_table_lookup(s->fids, GUINT_TO_POINTER(f->id)) != f ? -EBADF
                : s->bytes + size > P9_BYTES_MAX                           ? -ENFILE
                                                                           : 0;
    if (!error) {
        s->bytes += size;
        f->charged += size;
    }
    g_rw_lock_writer_unlock(&s->lock);
    return error;
}

/* Descriptors are the whole process's: a client gets a part of them. */
int fid_set_open(P9Server *s, P9Fid *f, int fd, uint32_t flags)
{
    struct stat st;
    DIR *folder = NULL;

    if (f->kind != FID_PATH) {
        close(fd);
        return -EBADF;
    }
    if (g_atomic_int_add(&s->open_files, 1) >= s->open_max || fstat(fd, &st) ||
        (S_ISDIR(st.st_mode) && !(folder = fdopendir(fd)))) {
        g_atomic_int_add(&s->open_files, -1);
        close(fd);
        return -ENFILE;
    }
    f->fd = fd;
    f->folder = folder;
    f->position = 0;
    f->flags = flags;
    f->kind = folder ? FID_FOLDER : FID_FILE;
    return 0;
}

int fid_open(P9Server *s, P9Fid *f, int flags)
{
    g_rw_lock_reader_lock(&s->lock);
    int fd = f->path ? share_open(s->share, f->path, flags) : -ENOENT;
    g_rw_lock_reader_unlock(&s->lock);
    return fd;
}

int fid_handle(P9Server *s, P9Fid *f)
{
    g_mutex_lock(&f->lock);
    int fd = f->fd >= 0 ? fcntl(f->fd, F_DUPFD_CLOEXEC, 0) : fid_open(s, f, 0);
    if (fd < 0 && f->fd >= 0)
        fd = -errno;
    g_mutex_unlock(&f->lock);
    return fd;
}

int path_open_parent_locked(P9Server *s, const char *path, char **name)
{
    if (!path)
        return -ENOENT;
    if (!*path)
        return -EBUSY; /* the share itself is in no folder */
    const char *slash = strrchr(path, '/');
    g_autofree char *folder = g_strndup(path, slash ? slash - path : 0);
    int fd = share_open(s->share, folder, O_DIRECTORY);
    if (fd >= 0)
        *name = g_strdup(slash ? slash + 1 : path);
    return fd;
}

int fid_open_parent(P9Server *s, P9Fid *f, char **name)
{
    g_rw_lock_reader_lock(&s->lock);
    int fd = path_open_parent_locked(s, f->path, name);
    g_rw_lock_reader_unlock(&s->lock);
    return fd;
}
