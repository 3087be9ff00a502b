/*
 * What VDI, VHD, VHDX and VMDK have in common: a disk in blocks of one size that lie anywhere in a file, and a table that
 * says where.  Such a driver embeds a Sparse, says by find() where bytes are, and by allocate() gives those a place that
 * have none; reading, writing, zeroing, discarding and mapping follow from the two and go into the driver as they are.
 *
 * Order of writes: a block's content is written before the table's entry that names it, so that whoever ends at any
 * moment leaves at worst a block that nobody uses.
 */
#ifndef MYNA_BACKENDS_BLOCK_SPARSE_H
#define MYNA_BACKENDS_BLOCK_SPARSE_H

#include "backends/block/image.h"

typedef enum SparseKind {
    SPARSE_NONE,       /* the backing image's bytes, or zeros */
    SPARSE_ZERO,       /* zeros, whatever the backing image has */
    SPARSE_DATA,       /* as they are, in `file` at `at` */
    SPARSE_COMPRESSED, /* in `file` at `at`, read by read_compressed() */
} SparseKind;

typedef struct SparseRun {
    SparseKind kind;
    uint64_t length;   /* of the same kind, and one behind the other; 1 up to what was asked for */
    Image *file;
    uint64_t at;
} SparseRun;

typedef struct SparseOps {
    /* What is at [offset, offset + size)?  The lock is held, for reading at least. */
    int (*find)(Image *i, uint64_t offset, uint64_t size, SparseRun *run);
    /*
     * Writes bytes that have no place as they are, all within one run of find().  The lock is held for writing.  May write
     * fewer, from the first on: *size says how many, at least 1.  NULL: all bytes have their place.
     */
    int (*allocate)(Image *i, uint64_t offset, const void *buf, uint64_t *size);
    /* NULL: no format with compressed blocks. */
    int (*read_compressed)(Image *i, const SparseRun *run, uint64_t offset, void *buf, uint64_t size);
} SparseOps;

typedef struct Sparse {
    Image image;
    const SparseOps *ops;
    GRWLock lock; /* writer: who changes tables; reader: who uses them, until his bytes are moved */
} Sparse;

/* The first thing in open(), and the last in close(). */
void sparse_init(Sparse *s, const SparseOps *ops);
void sparse_clear(Sparse *s);

int sparse_read(Image *i, uint64_t offset, void *buf, uint64_t size);
int sparse_write(Image *i, uint64_t offset, const void *buf, uint64_t size);
int sparse_write_zeroes(Image *i, uint64_t offset, uint64_t size, bool may_unmap);
int sparse_discard(Image *i, uint64_t offset, uint64_t size);
int sparse_map(Image *i, uint64_t offset, uint64_t size, ImageExtent *e);
int sparse_flush(Image *i); /* `lower`'s */

/* Makes [at, at + size) of a file zeros; the file grows when it ends before. */
int sparse_make_room(Image *file, uint64_t at, uint64_t size);

/*
 * Writes a new block, at [at, at + length) of `file`, that begins at `start` of the disk: `size` bytes at `offset` from
 * buf, the others as the backing image has them, or zeros.
 */
int sparse_fill(Image *i, Image *file, uint64_t at, uint64_t start, uint64_t length, uint64_t offset, const void *buf,
                uint64_t size);

/*
 * Whether two of count places of `length` bytes overlap: the index of one, and of the other in *other; -1 without.
 * places[] holds UINT64_MAX for those that are none.
 */
int64_t sparse_overlap(const uint64_t *places, uint64_t count, uint64_t length, uint64_t *other);

#endif
