/* 9P: names in folders: making, linking, renaming and removing them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "backends/9p/session.h"

int new_file_finish(P9Server *s, int fd, const NewFile *new)
{
    int error = share_set_owner(s->share, fd, new->uid, new->gid);
    if (!error && !S_ISLNK(new->mode))
        error = share_set_mode(s->share, fd, new->mode);
    if (!error && new->rdev)
        error = share_set_device(s->share, fd, new->rdev);
    return error;
}

/* ---- making ---- */

/* In a mapped share what is neither file nor folder is a regular file on the host; a link's has its target in it. */
static int make_mapped(const Share *s, int folder, const char *name, const NewFile *new, const char *target)
{
    int fd = openat(folder, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, share_new_mode(s, new->mode));
    size_t n = target ? strlen(target) : 0;

    if (fd < 0)
        return -errno;
    int error = write(fd, target, n) == (ssize_t)n ? 0 : -ENOSPC;
    close(fd);
    return error;
}

static int make_special(const Share *s, int folder, const char *name, const NewFile *new)
{
    bool device = S_ISCHR(new->mode) || S_ISBLK(new->mode);

    if (!S_ISREG(new->mode) && s->security == SHARE_MAPPED)
        return make_mapped(s, folder, name, new, NULL);
    if (!S_ISREG(new->mode) && !S_ISFIFO(new->mode) && !S_ISSOCK(new->mode) && !device)
        return -EINVAL;
    if (device && s->security != SHARE_PASSTHROUGH)
        return -EPERM;
    return mknodat(folder, name, (new->mode & S_IFMT) | share_new_mode(s, new->mode & 07777), new->rdev) ? -errno : 0;
}

static int make(const Share *s, int folder, const char *name, const NewFile *new, const char *target)
{
    if (S_ISDIR(new->mode))
        return mkdirat(folder, name, share_new_mode(s, new->mode)) ? -errno : 0;
    if (!S_ISLNK(new->mode))
        return make_special(s, folder, name, new);
    if (s->security == SHARE_MAPPED)
        return make_mapped(s, folder, name, new, target);
    return symlinkat(target, folder, name) ? -errno : 0;
}

/* A mode that a link is given in a mapped share has to be said there too. */
static int finish(P9Server *s, int fd, const NewFile *new)
{
    int error = new_file_finish(s, fd, new);
    return !error && S_ISLNK(new->mode) && s->share->security == SHARE_MAPPED ? share_set_mode(s->share, fd, new->mode) : error;
}

/* Makes a name in a folder's fid, and answers with its qid. */
static int make_in(P9Request *q, P9Fid *f, const char *name, NewFile *new, const char *target)
{
    P9Server *s = q->server;
    struct stat st;
    int error = q->in.bad ? -EPROTO : !f ? -EBADF : !name_is_valid(name) ? -EINVAL : 0;
    int folder = error ? error : fid_open(s, f, O_DIRECTORY);

    if (folder < 0)
        return folder;
    new->uid = f->uid;
    error = make(s->share, folder, name, new, target);
    int fd = error ? error : openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (!error && fd < 0)
        error = -errno;
    close(folder);
    if (error)
        return error;
    error = finish(s, fd, new);
    if (!error)
        error = share_stat(s->share, fd, &st);
    close(fd);
    if (!error)
        put_qid(q, &st);
    return error;
}

int p9_mkdir(P9Request *q)
{
    P9Fid *f = fid_get(q->server, p9_get32(&q->in));
    g_autofree char *name = p9_get_string(&q->in);
    NewFile new = { .mode = S_IFDIR | (p9_get32(&q->in) & 07777) };

    new.gid = p9_get32(&q->in);
    int error = make_in(q, f, name, &new, NULL);
    fid_put(f);
    return error;
}

int p9_symlink(P9Request *q)
{
    P9Fid *f = fid_get(q->server, p9_get32(&q->in));
    g_autofree char *name = p9_get_string(&q->in), *target = p9_get_string(&q->in);
    NewFile new = { .mode = S_IFLNK | 0777, .gid = p9_get32(&q->in) };
    int error = strlen(target) < PATH_MAX ? make_in(q, f, name, &new, target) : -ENAMETOOLONG;

    fid_put(f);
    return error;
}

int p9_mknod(P9Request *q)
{
    P9Fid *f = fid_get(q->server, p9_get32(&q->in));
    g_autofree char *name = p9_get_string(&q->in);
    NewFile new = { .mode = p9_get32(&q->in) };
    uint32_t major_ = p9_get32(&q->in), minor_ = p9_get32(&q->in);

    new.gid = p9_get32(&q->in);
    new.rdev = S_ISCHR(new.mode) || S_ISBLK(new.mode) ? makedev(major_, minor_) : 0;
    int error = make_in(q, f, name, &new, NULL);
    fid_put(f);
    return error;
}

int p9_link(P9Request *q)
{
    P9Server *s = q->server;
    P9Fid *to = fid_get(s, p9_get32(&q->in)), *f = fid_get(s, p9_get32(&q->in));
    g_autofree char *name = p9_get_string(&q->in), *old = NULL;
    int error = q->in.bad ? -EPROTO : !to || !f ? -EBADF : !name_is_valid(name) ? -EINVAL : 0;
    int folder = error ? error : fid_open(s, to, O_DIRECTORY);
    int from = folder < 0 ? folder : fid_open_parent(s, f, &old);

    error = from < 0 ? from : linkat(from, old, folder, name, 0) ? -errno : 0;
    if (from >= 0)
        close(from);
    if (folder >= 0)
        close(folder);
    fid_put(to);
    fid_put(f);
    return error;
}

/* ---- reading links ---- */

/* A link of the host, or of a mapped share: a file with the target in it. */
static ssize_t read_target(P9Server *s, int fd, char *target, size_t size)
{
    struct stat st;
    int error = share_stat(s->share, fd, &st);

    if (error || !S_ISLNK(st.st_mode))
        return error ? error : -EINVAL;
    ssize_t n = readlinkat(fd, "", target, size);
    if (n >= 0)
        return n;
    int file = share_reopen(fd, O_RDONLY);
    if (file < 0)
        return file;
    n = pread(file, target, size, 0);
    error = n < 0 ? -errno : 0;
    close(file);
    return error ? error : n;
}

int p9_readlink(P9Request *q)
{
    P9Fid *f = fid_get(q->server, p9_get32(&q->in));
    char target[PATH_MAX];
    int fd = f ? fid_open(q->server, f, 0) : -EBADF;

    fid_put(f);
    if (fd < 0)
        return fd;
    ssize_t n = read_target(q->server, fd, target, sizeof target - 1);
    close(fd);
    if (n < 0)
        return n;
    target[n] = 0;
    p9_put_string(&q->out, target);
    return 0;
}

/* ---- renaming ---- */

/* `from` becomes `to`, as paths in the share; all fids that it concerns go with it. */
static int rename_locked(P9Server *s, const char *from, const char *to)
{
    g_autofree char *old = NULL, *new = NULL;
    int folder = path_open_parent_locked(s, from, &old);
    int target = folder < 0 ? folder : path_open_parent_locked(s, to, &new);
    int error = target < 0 ? target : renameat(folder, old, target, new) ? -errno : 0;

    if (target >= 0)
        close(target);
    if (folder >= 0)
        close(folder);
    if (error || !strcmp(from, to))
        return error;
    fids_move(s, to, NULL);
    fids_move(s, from, to);
    s->renames++;
    return 0;
}

static char *path_in(P9Fid *folder, const char *name)
{
    return folder->path ? path_join(folder->path, name) : NULL;
}

int p9_rename(P9Request *q)
{
    P9Server *s = q->server;
    P9Fid *f = fid_get(s, p9_get32(&q->in)), *folder = fid_get(s, p9_get32(&q->in));
    g_autofree char *name = p9_get_string(&q->in);
    int error = q->in.bad ? -EPROTO : !f || !folder ? -EBADF : !name_is_valid(name) ? -EINVAL : 0;

    if (!error) {
        g_rw_lock_writer_lock(&s->lock);
        g_autofree char *from = g_strdup(f->path), *to = path_in(folder, name);
        error = from && to ? rename_locked(s, from, to) : -ENOENT;
        g_rw_lock_writer_unlock(&s->lock);
    }
    fid_put(f);
    fid_put(folder);
    return error;
}

int p9_renameat(P9Request *q)
{
    P9Server *s = q->server;
    P9Fid *old = fid_get(s, p9_get32(&q->in));
    g_autofree char *old_name = p9_get_string(&q->in);
    P9Fid *new = fid_get(s, p9_get32(&q->in));
    g_autofree char *new_name = p9_get_string(&q->in);
    int error = q->in.bad ? -EPROTO : !old || !new ? -EBADF : 0;

    if (!error && (!name_is_valid(old_name) || !name_is_valid(new_name)))
        error = -EINVAL;
    if (!error) {
        g_rw_lock_writer_lock(&s->lock);
        g_autofree char *from = path_in(old, old_name), *to = path_in(new, new_name);
        error = from && to ? rename_locked(s, from, to) : -ENOENT;
        g_rw_lock_writer_unlock(&s->lock);
    }
    fid_put(old);
    fid_put(new);
    return error;
}

/* ---- removing ---- */

/* Fids of a removed name do not become those of a new file that gets it. */
static void path_removed(P9Server *s, const char *path)
{
    g_rw_lock_writer_lock(&s->lock);
    fids_move(s, path, NULL);
    g_rw_lock_writer_unlock(&s->lock);
}

int p9_unlinkat(P9Request *q)
{
    enum { REMOVE_FOLDER = 0x200 };
    P9Server *s = q->server;
    P9Fid *f = fid_get(s, p9_get32(&q->in));
    g_autofree char *name = p9_get_string(&q->in), *path = NULL;
    uint32_t flags = p9_get32(&q->in);
    int error = q->in.bad ? -EPROTO : !f ? -EBADF : !name_is_valid(name) ? -EINVAL : 0;
    int folder = error;

    if (!error) {
        g_rw_lock_reader_lock(&s->lock);
        path = path_in(f, name);
        folder = f->path ? share_open(s->share, f->path, O_DIRECTORY) : -ENOENT;
        g_rw_lock_reader_unlock(&s->lock);
    }
    fid_put(f);
    if (folder < 0)
        return folder;
    error = unlinkat(folder, name, flags & REMOVE_FOLDER ? AT_REMOVEDIR : 0) ? -errno : 0;
    close(folder);
    if (!error)
        path_removed(s, path);
    return error;
}

static int unlink_any(int folder, const char *name)
{
    if (!unlinkat(folder, name, 0))
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -errno;
    return unlinkat(folder, name, AT_REMOVEDIR) ? -errno : 0;
}

static int remove_file(P9Server *s, P9Fid *f)
{
    g_autofree char *name = NULL, *path = NULL;

    g_rw_lock_reader_lock(&s->lock);
    path = g_strdup(f->path);
    int folder = path_open_parent_locked(s, path, &name);
    g_rw_lock_reader_unlock(&s->lock);
    if (folder < 0)
        return folder;
    int error = unlink_any(folder, name);
    close(folder);
    if (!error)
        path_removed(s, path);
    return error;
}

/* The fid is gone in any case: remove(5). */
int p9_remove(P9Request *q)
{
    P9Fid *f = fid_get(q->server, p9_get32(&q->in));

    if (!f)
        return -EBADF;
    int error = q->server->share->readonly ? -EROFS : remove_file(q->server, f);
    fid_remove(q->server, f);
    fid_put(f);
    return error;
}
