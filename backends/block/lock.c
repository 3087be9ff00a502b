/*
 * Locks of image files.  Open file description locks (fcntl(2), F_OFD_SETLK) belong to the open file, not to the
 * process, so that a second drive of the same process is kept out too, and closing another descriptor of the file does
 * not drop them.
 *
 * Which bytes are locked is QEMU's convention, so that both see each other (its file-posix driver): a lock for reading on
 * byte 100 + n says that its holder does n, and one on byte 200 + n, that it bears nobody else doing n; whoever opens the
 * file sets his, and then looks whether somebody else's are in the way.  n is 0 for reading, 1 for writing, 3 for
 * changing the size.
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
enum { DOES = 100, BEARS_NO = 200 };
enum { READS = 1 << 0, WRITES = 1 << 1, RESIZES = 1 << 3, ALL_DEEDS = 4 };

static struct flock byte_lock(short type, unsigned byte)
{
    return (struct flock) { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
}

static int set_byte(int fd, unsigned byte)
{
    struct flock lock = byte_lock(F_RDLCK, byte);
    return fcntl(fd, F_OFD_SETLK, &lock) ? errno : 0;
}

/* Whether another open file has a lock there: EAGAIN; *pid: its process, or 0 (locks of open files have none). */
static int look_at_byte(int fd, unsigned byte, pid_t *pid)
{
    struct flock lock = byte_lock(F_WRLCK, byte);

    if (fcntl(fd, F_OFD_GETLK, &lock) || lock.l_type == F_UNLCK)
        return 0;
    *pid = MAX(lock.l_pid, 0);
    return EAGAIN;
}

static int lock_bytes(int fd, bool exclusive, pid_t *pid)
{
    const unsigned does = exclusive ? READS | WRITES | RESIZES : READS, bears_no = WRITES | RESIZES;
    int e = 0;

    for (unsigned n = 0; n < ALL_DEEDS && !e; n++) {
        if (does >> n & 1)
            e = set_byte(fd, DOES + n);
        if (!e && bears_no >> n & 1)
            e = set_byte(fd, BEARS_NO + n);
    }
    for (unsigned n = 0; n < ALL_DEEDS && !e; n++) {
        if (does >> n & 1)
            e = look_at_byte(fd, BEARS_NO + n, pid);
        if (!e && bears_no >> n & 1)
            e = look_at_byte(fd, DOES + n, pid);
    }
    return e;
}

/* Where a lock could not be set at all: whose is in the way. */
static pid_t find_pid(int fd)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    return fcntl(fd, F_OFD_GETLK, &lock) || lock.l_type == F_UNLCK ? 0 : MAX(lock.l_pid, 0);
}
#endif

static int try_lock(int fd, bool exclusive, pid_t *pid)
{
#ifdef F_OFD_SETLK
    int e = lock_bytes(fd, exclusive, pid);

    if (e && !*pid)
        *pid = find_pid(fd);
    if (e != EINVAL)
        return e;
#endif
    *pid = 0;
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

/* Our own descriptor `except` has locks too, and is not who is in the way. */
static bool process_holds_lock(const char *pid, const struct stat *file, int except)
{
    bool own = g_ascii_strtoll(pid, NULL, 10) == getpid();
    g_autofree char *path = g_strdup_printf("/proc/%s/fd", pid);
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *fd;
    bool found = false;

    while (dir && !found && (fd = g_dir_read_name(dir)))
        found = !(own && g_ascii_strtoll(fd, NULL, 10) == except) && fd_holds_lock(pid, fd, file);
    if (dir)
        g_dir_close(dir);
    return found;
}

static pid_t find_holder(const struct stat *file, int except)
{
    GDir *dir = g_dir_open("/proc", 0, NULL);
    const char *name;
    pid_t pid = 0;

    while (dir && !pid && (name = g_dir_read_name(dir))) {
        if (g_ascii_isdigit(*name) && process_holds_lock(name, file, except))
            pid = g_ascii_strtoll(name, NULL, 10);
    }
    if (dir)
        g_dir_close(dir);
    return pid;
}

/* "process 123 (NAME)", or what is known of that; to be freed. */
static char *holder_text(pid_t pid)
{
    g_autofree char *comm = NULL, *path = NULL;

    if (!pid)
        return g_strdup("another process");
    path = g_strdup_printf("/proc/%ld/comm", (long)pid);
    if (!g_file_get_contents(path, &comm, NULL, NULL))
        return g_strdup_printf("process %ld", (long)pid);
    return g_strdup_printf("process %ld (%s)", (long)pid, g_strchomp(comm));
}

static bool is_held(int e) { return e == EAGAIN || e == EACCES || e == EWOULDBLOCK; }

/*
 * A lock that no process holds is one of a process that has just ended: the kernel closes what its io_uring had open a moment
 * later.
 */
static int lock_soon(int fd, bool exclusive, pid_t *pid)
{
    enum { TRIES = 40, PAUSE = G_USEC_PER_SEC / 20 };
    int e = try_lock(fd, exclusive, pid);
    struct stat st;

    for (unsigned n = 0; is_held(e) && n < TRIES; n++) {
        if (!*pid && !fstat(fd, &st))
            *pid = find_holder(&st, fd);
        if (*pid)
            return e;
        g_usleep(PAUSE);
        e = try_lock(fd, exclusive, pid);
    }
    return e;
}

gboolean file_lock(int fd, bool exclusive, const char *file, GError **err)
{
    pid_t pid = 0;
    int e = lock_soon(fd, exclusive, &pid);

    if (!e)
        return TRUE;
    if (!is_held(e)) {
        log_user("warning: '%s' cannot be locked (%s): nothing keeps other programs from writing it", file,
                 g_strerror(e));
        return TRUE;
    }
    g_autofree char *holder = holder_text(pid);
    return error_set(err, "'%s' is in use by %s%s", file, holder,
                     exclusive ? "; snapshot=on or readonly=on let several machines read one image" : "");
}
