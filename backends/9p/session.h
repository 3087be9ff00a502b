/*
 * What the parts of the 9P server share; private to backends/9p.
 *
 * Locks: `lock` guards the table of fids and their paths.  Whoever resolves a path holds it for reading, so that renaming, which
 * holds it for writing, changes file and fids at once.  A fid's own lock guards the rest of it and is taken first.  No two fids' locks are
 * held together.
 */
#ifndef MYNA_BACKENDS_9P_SESSION_H
#define MYNA_BACKENDS_9P_SESSION_H

#include <dirent.h>

#include "backends/9p/message.h"
#include "backends/9p/server.h"

typedef enum P9FidKind { FID_PATH, FID_FILE, FID_FOLDER, FID_XATTR, FID_XATTR_NEW } P9FidKind;

typedef struct P9Fid {
    gint refs;
    P9Server *server;
    uint32_t id, uid;      /* uid: of the guest's user that attached, whom new files belong to */
    char *path;            /* in the share; NULL: what it was has been removed */
    GMutex lock;
    P9FidKind kind;
    int fd;                /* FILE, FOLDER: open; else -1 */
    DIR *folder;           /* FOLDER: owns fd */
    uint64_t position;     /* of `folder`: where the next entry is */
    uint32_t flags;        /* FILE, FOLDER: as the client opened it */
    char *xattr;           /* XATTR_NEW: its name */
    uint32_t xattr_flags;
    GByteArray *value;     /* XATTR, XATTR_NEW: its bytes */
    uint32_t charged;      /* bytes of `value` within the server's limit */
} P9Fid;

typedef struct P9LockRange {
    uint64_t device, inode;
    uint32_t fid;          /* by which it was made: released with it */
    uint8_t type;
    uint64_t start, end;   /* the last byte is in it */
    uint32_t process;
    char *client;
} P9LockRange;

struct P9Server {
    gint refs;
    const Share *share;
    GRWLock lock;
    GHashTable *fids;      /* uint32_t to P9Fid * */
    uint64_t bytes;        /* of paths and attributes */
    uint32_t msize;        /* 0: no version agreed */
    unsigned renames;      /* counts them */
    gint open_files, open_max;
    GMutex locks_mutex;
    GArray *locks;         /* P9LockRange */
    GMutex devices_mutex;
    uint64_t device[16];   /* st_dev by the number that stands in qids */
    unsigned device_count;
};

/* A message being carried out. */
typedef struct P9Request {
    P9Server *server;
    P9Reader in;
    P9Writer out;
} P9Request;

/* What a function for a type of message returns: 0 or a negative errno. */
typedef int P9Handler(P9Request *q);

P9Handler p9_attach, p9_walk, p9_clunk, p9_statfs, p9_lopen, p9_lcreate, p9_read, p9_write, p9_readdir, p9_fsync, p9_getattr,
    p9_setattr, p9_readlink, p9_symlink, p9_mknod, p9_mkdir, p9_link, p9_rename, p9_renameat, p9_unlinkat, p9_remove,
    p9_xattrwalk, p9_xattrcreate, p9_lock, p9_getlock;

/* ---- fid.c ---- */

/* A fid, to be given back by fid_put(); NULL: there is none. */
P9Fid *fid_get(P9Server *s, uint32_t id);
void fid_put(P9Fid *f);
/* A new fid in the table, which must not have it, with a path; 0 or a negative errno.  With the lock for writing. */
int fid_add_locked(P9Server *s, uint32_t id, uint32_t uid, char *path, P9Fid **added);
/* Out of the table; false when it is not there.  What is open is closed with the last reference. */
bool fid_remove(P9Server *s, P9Fid *f);
void fids_clear(P9Server *s);
/* Replaces the path of a fid. With the lock for writing. */
void fid_set_path(P9Server *s, P9Fid *f, char *path);
/* A path's fids, and those beneath it, have another path from now on; NULL: none.  With the lock for writing. */
void fids_move(P9Server *s, const char *from, const char *to);
/* Counts the bytes of a value against the server's limit: 0 or a negative errno. */
int fid_charge(P9Server *s, P9Fid *f, uint32_t size);
/* Makes an opened file the fid's; with the fid's lock.  Takes fd in any case. */
int fid_set_open(P9Server *s, P9Fid *f, int fd, uint32_t flags);

/*
 * Descriptors to be closed, or negative errno: the fid's file as it is open, or by O_PATH; its file beneath the share opened
 * with `flags`; the folder that its name stands in, and the name, to be freed.
 */
int fid_handle(P9Server *s, P9Fid *f);
int fid_open(P9Server *s, P9Fid *f, int flags);
int fid_open_parent(P9Server *s, P9Fid *f, char **name);
/* The same with the lock held, of a path. */
int path_open_parent_locked(P9Server *s, const char *path, char **name);

/* ---- server.c ---- */

enum { QID_FOLDER = 0x80, QID_LINK = 0x02, QID_FILE = 0x00 };
/* The same file has the same number in qids: the inode's, and the device's in the high bits. */
uint64_t qid_path(P9Server *s, uint64_t device, uint64_t inode);
void put_qid(P9Request *q, const struct stat *st);
/* A name in a folder, not a path: "" or a slash is wrong, and so are "." and "..", which name something else. */
bool name_is_valid(const char *name);
char *path_join(const char *folder, const char *name);
/* open()'s flags of this host for those of Linux on x86, in the protocol. */
int open_flags(uint32_t flags);

/* What the guest wants of a file that it makes. */
typedef struct NewFile {
    uint32_t mode, uid, gid;
    uint64_t rdev;
} NewFile;
/* Gives a new file its owner, mode and device number. */
int new_file_finish(P9Server *s, int fd, const NewFile *new);

/* What was written to a fid of kind XATTR_NEW becomes an attribute of its file; with the fid's lock. */
int xattr_store(P9Server *s, P9Fid *f);

/* ---- lock.c ---- */

void locks_release(P9Server *s, uint32_t fid);
void locks_clear(P9Server *s);
P9LockRange *locks_append(P9Server *s, P9LockRange r);

#endif
