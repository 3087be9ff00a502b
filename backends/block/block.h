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
    void (*medium_changed)(void *opaque);        /* another medium, or none, is in it now */
    void (*eject_wanted)(void *opaque, bool force); /* the user wants the medium out: block_set_tray() says so when it is */
    void (*resized)(void *opaque);
} BlockUser;

/* What -drive or -blockdev said. */
typedef struct BlockOptions {
    const char *id;       /* unique */
    const char *file;     /* NULL: an empty removable drive */
    const char *format;   /* a driver's name (image.h), or NULL: by content */
    bool readonly;
    bool snapshot;        /* writes go to a temporary file */
    bool cdrom;
} BlockOptions;

/* Opens an image, locking it against other writers; *err names file and reason.  Owned by the machine. */
BlockBackend *block_open(Machine *m, const BlockOptions *options, GError **err);
BlockBackend *block_find(Machine *m, const char *id);
BlockBackend *block_nth(Machine *m, unsigned n); /* in the order they were opened; NULL behind the last */
void block_close_all(Machine *m);

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
bool block_inserted(const BlockBackend *b);
bool block_is_cdrom(const BlockBackend *b);
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

/* Synchronous read for firmware tables, geometry guesses: 0 or a negative errno. */
int block_read_now(BlockBackend *b, uint64_t offset, void *buf, uint64_t size);

#endif
