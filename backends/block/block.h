/*
 * Block back ends: a disk image as a device sees it.  Here raw files, with -snapshot's temporary overlay.
 */
#ifndef MYNA_BACKENDS_BLOCK_H
#define MYNA_BACKENDS_BLOCK_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Machine Machine;
typedef struct BlockBackend BlockBackend;

/*
 * Completion: status is 0 or a negative errno.  Called from the main loop's thread with the machine lock held,
 * never before the submitting call returned.
 */
typedef void BlockDone(void *opaque, int status);

/* What -drive said. */
typedef struct BlockOptions {
    const char *id;       /* unique */
    const char *file;     /* NULL: an empty removable drive */
    const char *format;   /* "raw", or NULL: by content */
    bool readonly;
    bool snapshot;        /* writes go to a temporary file */
    bool cdrom;
} BlockOptions;

/* Opens an image, locking it against other writers; *err names file and reason. Owned by the machine. */
BlockBackend *block_open(Machine *m, const BlockOptions *options, GError **err);
BlockBackend *block_find(Machine *m, const char *id);
BlockBackend *block_nth(Machine *m, unsigned n); /* in the order they were opened; NULL behind the last */
void block_close_all(Machine *m);

const char *block_id(const BlockBackend *b);
const char *block_file(const BlockBackend *b); /* its image's name; NULL without a medium */
uint64_t block_size(const BlockBackend *b);   /* bytes; 0 without a medium */
bool block_readonly(const BlockBackend *b);
bool block_inserted(const BlockBackend *b);
bool block_is_cdrom(const BlockBackend *b);

/* Asynchronous transfers of bytes; the buffer must stay until done.  Out of range is -EINVAL. */
void block_read(BlockBackend *b, uint64_t offset, void *buf, uint64_t size, BlockDone *done, void *opaque);
void block_write(BlockBackend *b, uint64_t offset, const void *buf, uint64_t size, BlockDone *done, void *opaque);
void block_flush(BlockBackend *b, BlockDone *done, void *opaque); /* all completed writes are on stable storage */

/* Waits until no transfer is under way (reset, save); runs completions. Main loop's thread. */
void block_drain(BlockBackend *b);

/* Synchronous read for firmware tables, geometry guesses: 0 or a negative errno. */
int block_read_now(BlockBackend *b, uint64_t offset, void *buf, uint64_t size);

#endif
