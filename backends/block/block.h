/*
 * Drives: a disk as a device sees it.  A drive has an image (image.h), or none as long as no medium is in it, and moves
 * bytes without making the caller wait.
 *
 * Everything here is called with the machine lock held, and completions come in the main loop's thread with it held,
 * never before the submitting call returned.  Transfers of one drive may overlap and complete in any order; a flush
 * covers what was completed before it was submitted.
 */
#ifndef MYNA_BACKENDS_BLOCK_H
#define MYNA_BACKENDS_BLOCK_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

typedef struct Machine Machine;
typedef struct BlockBackend BlockBackend;

/* Status is 0 or a negative errno. */
typedef void BlockDone(void *opaque, int status);

/* What the device that uses a drive wants to hear; any may be NULL. */
typedef struct BlockUser {
    bool removable;                              /* its medium can be another one: CDs, floppies */
    void (*medium_changed)(void *opaque);        /* another medium, or none, is in it now; a new one closes the tray */
    /*
     * The user wants the medium out: the device opens its tray (block_set_tray()), or, locked and not forced, tells the
     * guest of it.  Without this function the medium is taken out as it is.
     */
    void (*eject_wanted)(void *opaque, bool force);
    void (*resized)(void *opaque);
} BlockUser;

typedef enum BlockAio { BLOCK_AIO_DEFAULT, BLOCK_AIO_THREADS, BLOCK_AIO_NATIVE, BLOCK_AIO_URING } BlockAio;

/* werror= and rerror=: what an error of the host becomes.  DEFAULT: enospc for writing, report for reading. */
typedef enum BlockErrorAction {
    BLOCK_ERROR_DEFAULT,
    BLOCK_ERROR_REPORT,  /* the guest is told */
    BLOCK_ERROR_IGNORE,  /* it is told that all went well */
    BLOCK_ERROR_STOP,    /* the machine is paused, and the transfer tried again when it goes on */
    BLOCK_ERROR_ENOSPC   /* the same where there is no room left, else report */
} BlockErrorAction;

/* detect-zeroes=: writes of zeros take no room. */
typedef enum BlockDetectZeroes { BLOCK_ZEROES_OFF, BLOCK_ZEROES_ON, BLOCK_ZEROES_UNMAP } BlockDetectZeroes;

typedef enum BlockThrottleKind {
    THROTTLE_BPS_TOTAL, THROTTLE_BPS_READ, THROTTLE_BPS_WRITE,
    THROTTLE_IOPS_TOTAL, THROTTLE_IOPS_READ, THROTTLE_IOPS_WRITE, THROTTLE_KINDS
} BlockThrottleKind;

/* A limit of bytes or transfers in a second; 0: none. */
typedef struct BlockLimit {
    uint64_t average;
    uint64_t max;        /* the rate of bursts; 0: none but what a tenth of a second may hold */
    uint64_t max_length; /* seconds that a burst may last; 0: 1 */
} BlockLimit;

typedef struct BlockThrottle {
    BlockLimit limit[THROTTLE_KINDS];
    uint64_t iops_size;  /* a transfer counts as one for each so many bytes; 0: as one */
} BlockThrottle;

/* What -drive or -blockdev said; zeros are the usual way.  block_open() copies what it keeps. */
typedef struct BlockOptions {
    const char *id;       /* unique */
    const char *file;     /* NULL: an empty removable drive */
    const char *format;   /* a driver's name (image.h), or NULL: by content */
    const char *backing;  /* instead of the backing file that the image names; "": none */
    bool readonly;
    bool snapshot;        /* writes go to a temporary file */
    bool cdrom;
    bool direct;          /* cache.direct: past the host's page cache */
    bool no_flush;        /* cache.no-flush: the guest's flushes do nothing */
    bool writethrough;    /* cache.writeback=off */
    bool discard;         /* discard=unmap */
    bool no_lock;         /* locking=off */
    BlockDetectZeroes detect_zeroes;
    BlockAio aio;
    BlockErrorAction werror, rerror;
    BlockThrottle throttle;
    const char *throttle_group; /* drives of one group share its limits; NULL: its own */
} BlockOptions;

/* Opens an image, locking it against other writers; *err names file and reason.  Owned by the machine. */
BlockBackend *block_open(Machine *m, const BlockOptions *options, GError **err);
/* A group that drives may name as throttle_group, with limits of its own. */
gboolean block_throttle_group(Machine *m, const char *name, const BlockThrottle *limits, GError **err);
BlockBackend *block_find(Machine *m, const char *id);
BlockBackend *block_nth(Machine *m, unsigned n); /* in the order they were opened; NULL behind the last */
void block_close_all(Machine *m);

/*
 * Another medium for a drive of removable media, or none.  The new one is opened before the old is closed, so that a
 * mistake changes nothing; the drive keeps its other options.  format NULL: by content; readonly: beside what the drive
 * is already.  Where the guest has locked the door, the user's wish goes to the guest and *err says so, but with `force`
 * it is carried out.  Main loop's thread.
 */
gboolean block_change(BlockBackend *b, const char *file, const char *format, bool readonly, bool force, GError **err);
gboolean block_eject(BlockBackend *b, bool force, GError **err);
bool block_removable(const BlockBackend *b);

/* Another size, in whole sectors; tells the device.  Main loop's thread. */
gboolean block_resize(BlockBackend *b, uint64_t size, GError **err);

/* Writes what the image has of its own into its backing image, and empties it.  Main loop's thread. */
gboolean block_commit(BlockBackend *b, GError **err);

/* What happened to a drive, for who shows it (QMP). */
typedef enum BlockEventKind { BLOCK_EVENT_ERROR, BLOCK_EVENT_TRAY } BlockEventKind;

typedef struct BlockEvent {
    BlockEventKind kind;
    BlockBackend *drive;
    bool write;              /* error: of writing; else of reading */
    BlockErrorAction action; /* error: REPORT, IGNORE or STOP */
    int status;              /* error: a negative errno */
} BlockEvent;

typedef struct BlockListener {
    void (*happened)(void *opaque, const BlockEvent *e); /* machine lock held; any thread that may hold it */
    void *opaque;
} BlockListener;

void block_listen(Machine *m, const BlockListener *l);   /* kept, not copied */
void block_unlisten(Machine *m, const BlockListener *l);

/*
 * A device takes a drive for itself, in create(), and gives it back, in destroy().  `device` is its id; FALSE with *err
 * when another has it.
 */
gboolean block_attach(BlockBackend *b, const char *device, const BlockUser *user, void *opaque, GError **err);
void block_detach(BlockBackend *b);
const char *block_user(const BlockBackend *b); /* the device's id, or NULL */

const char *block_id(const BlockBackend *b);
const char *block_file(const BlockBackend *b);   /* its image's name; NULL without a medium */
const char *block_format(const BlockBackend *b); /* "qcow2"; NULL without a medium */
uint64_t block_size(const BlockBackend *b);      /* bytes; 0 without a medium */
bool block_readonly(const BlockBackend *b);
bool block_has_failed(const BlockBackend *b);    /* a transfer has, since the medium is in it */
bool block_inserted(const BlockBackend *b);
bool block_is_cdrom(const BlockBackend *b);
const char *block_protocol(const BlockBackend *b); /* "file"; NULL without a medium */
const char *block_cache_mode(const BlockBackend *b); /* "writeback", as cache= has it */
/* The backing files: the n-th below the image; NULL behind the last. */
const char *block_backing(const BlockBackend *b, unsigned n);
bool block_can_discard(const BlockBackend *b);   /* discard=unmap, and the image can */

/*
 * Asynchronous transfers of bytes.  Buffers, and the iovec array, must stay until done.  Out of range is -EINVAL, no
 * medium -ENXIO, writing what is read-only -EROFS.
 */
void block_read(BlockBackend *b, uint64_t offset, void *buf, uint64_t size, BlockDone *done, void *opaque);
void block_write(BlockBackend *b, uint64_t offset, const void *buf, uint64_t size, BlockDone *done, void *opaque);
void block_readv(BlockBackend *b, uint64_t offset, const struct iovec *iov, unsigned count, BlockDone *done, void *opaque);
void block_writev(BlockBackend *b, uint64_t offset, const struct iovec *iov, unsigned count, BlockDone *done, void *opaque);
void block_flush(BlockBackend *b, BlockDone *done, void *opaque); /* all completed writes are on stable storage */
/* Reads afterwards give zeros; may_unmap: the host may take the room back. */
void block_write_zeroes(BlockBackend *b, uint64_t offset, uint64_t size, bool may_unmap, BlockDone *done, void *opaque);
/* What is read afterwards is open; a hint, which may do nothing. */
void block_discard(BlockBackend *b, uint64_t offset, uint64_t size, BlockDone *done, void *opaque);

/*
 * Around several transfers at once, so that they are handed to the host in one go; may be nested.  Without it each goes at
 * once; what completions begin is handed over together anyway.  The last unplug tells of what is done already: `done`
 * functions of all drives may run before it returns.
 */
void block_plug(BlockBackend *b);
void block_unplug(BlockBackend *b);

/*
 * Off: a write is on stable storage when it is done, as a disk without a write cache has it (ATA SET FEATURES 82h, SCSI WCE,
 * virtio-blk's writeback).  On is what a drive begins with unless cache= said otherwise.
 */
void block_set_write_cache(BlockBackend *b, bool on);
bool block_write_cache(const BlockBackend *b);

/* The guest opened or closed the tray, locked or unlocked the door. */
void block_set_tray(BlockBackend *b, bool open);
void block_set_locked(BlockBackend *b, bool locked);
bool block_tray_open(const BlockBackend *b);
bool block_locked(const BlockBackend *b);

/* Waits until no transfer is under way (reset, save); runs completions. Main loop's thread. */
void block_drain(BlockBackend *b);
void block_drain_all(Machine *m);

/*
 * Before a machine's state goes to a file: transfers under way end, and what was written to images is on stable storage.
 * FALSE with *err when it cannot be, or when a drive has snapshot=on: its changes, which the state needs, end with the
 * process.  Main loop's thread, paused.
 */
gboolean block_sync_for_save(Machine *m, GError **err);

/* Synchronous read for firmware tables, geometry guesses: 0 or a negative errno. */
int block_read_now(BlockBackend *b, uint64_t offset, void *buf, uint64_t size);

#endif
