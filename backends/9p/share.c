/* Folders that a guest may see: the way to their files (share.h). */
#include "backends/9p/share.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/error.h"

enum { TRIES_MAX = 16 };

#ifdef SYS_openat2
/* The kernel's struct open_how and flags (linux/openat2.h), which headers older than the kernel lack. */
typedef struct OpenHow { uint64_t flags, mode, resolve; } OpenHow;
enum { NO_MAGICLINKS = 0x02, NO_SYMLINKS = 0x04, BENEATH = 0x08 };

/* EAGAIN says that something was moved meanwhile (openat2(2)); a host that moves without end does not hold us. */
static int open_beneath(int root, const char *path, int flags)
{
    OpenHow how = { .flags = flags, .resolve = BENEATH | NO_MAGICLINKS | NO_SYMLINKS };
    int fd = -1;

    for (unsigned n = 0; n < TRIES_MAX; n++) {
        fd = syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    return fd >= 0 ? fd : -errno;
}
#else
static int open_beneath(int root, const char *path, int flags)
{
    (void)root, (void)path, (void)flags;
    return -ENOSYS;
}
#endif

const char *share_link(int fd, char link[SHARE_LINK_SIZE])
{
    g_snprintf(link, SHARE_LINK_SIZE, "/proc/self/fd/%d", fd);
    return link;
}

/* Where a descriptor leads now; to be freed. */
static char *descriptor_path(int fd)
{
    char link[SHARE_LINK_SIZE];
    return g_file_read_link(share_link(fd, link), NULL);
}

/* Whether fd is, at this moment, in the folder: somebody on the host may have moved a folder that was being walked. */
static bool is_beneath(const Share *s, int fd)
{
    g_autofree char *root = descriptor_path(s->root), *path = descriptor_path(fd);
    if (!root || !path)
        return false;
    size_t n = strcmp(root, "/") ? strlen(root) : 0;
    return !strncmp(path, root, n) && (!path[n] || path[n] == '/' || path[n] == ' ');
}

/* The component at *path, which is advanced to the next; false when it is too long. */
static bool component_take(const char **path, char name[NAME_MAX + 1])
{
    size_t n = strcspn(*path, "/");
    if (n > NAME_MAX)
        return false;
    memcpy(name, *path, n);
    name[n] = 0;
    *path += n + ((*path)[n] == '/');
    return true;
}

/* The same for kernels without openat2(): one component at a time, none of them a link that would be followed. */
static int open_by_component(const Share *s, const char *path, int flags)
{
    char name[NAME_MAX + 1];
    int fd = openat(s->root, ".", *path ? O_PATH | O_CLOEXEC : flags);

    while (fd >= 0 && *path) {
        int folder = fd;
        fd = component_take(&path, name) ? openat(folder, name, *path ? O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC : flags)
                                         : (errno = ENAMETOOLONG, -1);
        int error = errno;
        close(folder);
        errno = error;
    }
    if (fd < 0)
        return -errno;
    if (is_beneath(s, fd))
        return fd;
    close(fd);
    return -EXDEV;
}

int share_open(const Share *s, const char *path, int flags)
{
    flags |= O_PATH | O_NOFOLLOW | O_CLOEXEC;
    if (strlen(path) >= PATH_MAX)
        return -ENAMETOOLONG;
    return s->by_component ? open_by_component(s, path, flags) : open_beneath(s->root, path, flags);
}

/* O_NONBLOCK is for what the kernel may do beside opening (leases); the type is known before, so no device is touched. */
int share_reopen(int fd, int flags)
{
    char link[SHARE_LINK_SIZE];
    struct stat st;

    if (fstat(fd, &st))
        return -errno;
    if (S_ISLNK(st.st_mode))
        return -ELOOP;
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return -ENXIO;
    int opened = open(share_link(fd, link), flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return opened >= 0 ? opened : -errno;
}

static bool proc_is_there(int fd)
{
    char link[SHARE_LINK_SIZE];
    struct stat st;
    return !stat(share_link(fd, link), &st);
}

/* A kernel without the call, or a sandbox that forbids it. */
static bool has_openat2(int root)
{
    int fd = open_beneath(root, "", O_PATH | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

Share *share_new(const char *path, GError **err)
{
    int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (root < 0) {
        error_set(err, "cannot share '%s': %s", path, g_strerror(errno));
        return NULL;
    }
    if (!proc_is_there(root)) {
        close(root);
        error_set(err, "cannot share '%s': /proc is not mounted, which sharing needs", path);
        return NULL;
    }
    Share *s = g_new0(Share, 1);
    *s = (Share) { .path = g_strdup(path), .root = root, .readonly = true, .by_component = !has_openat2(root) };
    return s;
}

void share_free(Share *s)
{
    close(s->root);
    g_free(s->path);
    g_free(s);
}
