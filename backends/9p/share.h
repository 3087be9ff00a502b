/*
 * A folder of the host that a guest may see (-fsdev), and the only way to what is in it.
 *
 * Names are resolved beneath the folder by the host's kernel: openat2() with RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS and
 * RESOLVE_NO_SYMLINKS, as the guest's kernel follows symbolic links by itself and `..` is taken off before.  Kernels before
 * Linux 5.6 have no openat2(); there each component is opened for itself without following links.  Everything is then done to the
 * open file, whatever becomes of its name: it is reached again through /proc/self/fd, never by a path.
 *
 * A Share does not change once it is open: from any thread, and never with the machine lock.
 */
#ifndef MYNA_BACKENDS_9P_SHARE_H
#define MYNA_BACKENDS_9P_SHARE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* Whom files belong to, in the guest's eyes. */
typedef enum ShareSecurity {
    SHARE_NONE,        /* whom they belong to on the host; changing that is not an error, and not done */
    SHARE_PASSTHROUGH, /* the same, and changed on the host: for root */
    SHARE_MAPPED,      /* owner, mode and device number are kept in extended attributes (user.virtfs.*, as QEMU) */
} ShareSecurity;

enum { SHARE_RANGES_MAX = 16, SHARE_NOBODY = 65534 };
typedef struct IdRange { uint32_t guest, host, count; } IdRange;
/* Empty: each is itself; else what is in no range is SHARE_NOBODY for the guest, and cannot be given to a file. */
typedef struct IdMap { IdRange range[SHARE_RANGES_MAX]; unsigned count; } IdMap;

typedef struct Share {
    char *path;        /* as the user gave it */
    int root;          /* O_PATH */
    bool readonly;
    ShareSecurity security;
    IdMap uids, gids;
    bool by_component; /* no openat2() */
} Share;

/* Opens the folder; the other fields are the caller's to set.  NULL with *err. */
Share *share_new(const char *path, GError **err);
void share_free(Share *s);

/*
 * A file by its path in the share ("": the folder itself; components by single slashes, none of them "." or ".."), by O_PATH: it is not
 * opened by that.  flags: 0 or O_DIRECTORY.  The last component may be a symbolic link; none is followed.  Negative errno.
 */
int share_open(const Share *s, const char *path, int flags);

/* The file of an O_PATH descriptor for reading or writing: only regular ones and folders; others are -ENXIO. */
int share_reopen(int fd, int flags);

/* "/proc/self/fd/FD", for the calls that take no descriptor. */
enum { SHARE_LINK_SIZE = 32 };
const char *share_link(int fd, char link[SHARE_LINK_SIZE]);

/* What a file is to the guest; 0 or a negative errno. */
int share_stat(const Share *s, int fd, struct stat *st);

/* "GUEST:HOST[:COUNT]+..." */
gboolean id_map_parse(const char *what, const char *text, IdMap *map, GError **err);
uint32_t id_to_guest(const IdMap *map, uint32_t host);
bool id_to_host(const IdMap *map, uint32_t guest, uint32_t *host);

/*
 * What the guest wants of a file that is open (O_PATH will do): a new one of its own, or chown, chmod; UINT32_MAX: as it is.
 * mode has the file's type in mapped shares only.  0 or a negative errno.
 */
int share_set_owner(const Share *s, int fd, uint32_t uid, uint32_t gid);
int share_set_mode(const Share *s, int fd, uint32_t mode);
int share_set_device(const Share *s, int fd, uint64_t rdev);

/* How a file that the guest makes with `mode` is made on the host. */
uint32_t share_new_mode(const Share *s, uint32_t mode);

/* Whether an extended attribute is shown, and may be changed. */
bool share_xattr_visible(const Share *s, const char *name);
bool share_xattr_writable(const Share *s, const char *name);

#endif
