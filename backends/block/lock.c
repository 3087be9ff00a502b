/*
 * Locks of image files.  Open file description locks (fcntl(2), F_OFD_SETLK) belong to the open file, not to the
 * process, so that a second drive of the same process is kept out too, and closing another descriptor of the file does
 * not drop them.  The lock covers the whole file: QEMU, which locks single bytes, sees it and is seen.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/block/image.h"
#include "core/error.h"
#include "core/log.h"

#ifdef F_OFD_SETLK
static struct flock whole_file(bool exclusive)
{
    return (struct flock) { .l_type = exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET };
}

/* The process of a traditional record lock in the way; 0: unknown (locks of open files have no process). */
static pid_t lock_pid(int fd, bool exclusive)
{
    struct flock lock = whole_file(exclusive);

    if (fcntl(fd, F_OFD_GETLK, &lock) || lock.l_type == F_UNLCK || lock.l_pid < 0)
        return 0;
    return lock.l_pid;
}
#endif

static int try_lock(int fd, bool exclusive)
{
#ifdef F_OFD_SETLK
    struct flock lock = whole_file(exclusive);

    if (!fcntl(fd, F_OFD_SETLK, &lock))
        return 0;
    if (errno != EINVAL)
        return errno;
#endif
    return flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) ? errno : 0;
}

/* ---- who holds it: a process with the file open whose fdinfo shows a lock (proc(5)) ---- */

static bool fd_holds_lock(const char *pid, const char *fd, const struct stat *file)
{
    g_autofree char *link = g_strdup_printf("/proc/%s/fd/%s", pid, fd);
    g_autofree char *info = g_strdup_printf("/proc/%s/fdinfo/%s", pid, fd);
    g_autofree char *text = NULL;
    struct stat st;

    return !stat(link, &st) && st.st_dev == file->st_dev && st.st_ino == file->st_ino &&
           g_file_get_contents(info, &text, NULL, NULL) && strstr(text, "\nlock:");
}

static bool process_holds_lock(const char *pid, const struct stat *file)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/fd", pid);
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *fd;
    bool found = false;

    while (dir && !found && (fd = g_dir_read_name(dir)))
        found = fd_holds_lock(pid, fd, file);
    if (dir)
        g_dir_close(dir);
    return found;
}

static pid_t find_holder(const struct stat *file)
{
    GDir *dir = g_dir_open("/proc", 0, NULL);
    const char *name;
    pid_t pid = 0;

    while (dir && !pid && (name = g_dir_read_name(dir))) {
        if (g_ascii_isdigit(*name) && process_holds_lock(name, file))
            pid = g_ascii_strtoll(name, NULL, 10);
    }
    if (dir)
        g_dir_close(dir);
    return pid;
}

/* "process 123 (NAME)", or what is known of that; to be freed. */
static char *holder_text(int fd, bool exclusive)
{
    g_autofree char *comm = NULL, *path = NULL;
    struct stat st;
    pid_t pid = 0;

#ifdef F_OFD_SETLK
    pid = lock_pid(fd, exclusive);
#else
    (void)exclusive;
#endif
    if (!pid && !fstat(fd, &st))
        pid = find_holder(&st);
    if (!pid)
        return g_strdup("another process");
    path = g_strdup_printf("/proc/%ld/comm", (long)pid);
    if (!g_file_get_contents(path, &comm, NULL, NULL))
        return g_strdup_printf("process %ld", (long)pid);
    return g_strdup_printf("process %ld (%s)", (long)pid, g_strchomp(comm));
}

gboolean file_lock(int fd, bool exclusive, const char *file, GError **err)
{
    int e = try_lock(fd, exclusive);

    if (!e)
        return TRUE;
    if (e != EAGAIN && e != EACCES && e != EWOULDBLOCK) {
        log_user("warning: '%s' cannot be locked (%s): nothing keeps other programs from writing it", file,
                 g_strerror(e));
        return TRUE;
    }
    g_autofree char *holder = holder_text(fd, exclusive);
    return error_set(err, "'%s' is in use by %s%s", file, holder,
                     exclusive ? "; snapshot=on or readonly=on let several machines read one image" : "");
}
