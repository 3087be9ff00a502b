/*
 * qcow2, versions 2 and 3 (QEMU, docs/interop/qcow2.txt): what the driver's files share.  Private to qcow2*.c.
 *
 *   qcow2.c           opening, closing, the driver            qcow2_io.c        reads, writes, zeros, discards
 *   qcow2_header.c    the header and its extensions           qcow2_compress.c  compressed clusters
 *   qcow2_cache.c     slices of tables, and writing them      qcow2_snapshot.c  internal snapshots
 *   qcow2_refcount.c  which clusters are in use               qcow2_resize.c    another size, emptying
 *   qcow2_map.c       where a part of the disk lies           qcow2_check.c     finding and mending faults
 *   qcow2_create.c    new images
 *
 * Locks.  `lock` guards everything that is not constant while the image is open; it is never held while data is moved.
 * A Range names the part of the disk that a thread works on: who only uses where clusters lie shares it, who moves or
 * frees clusters has it alone.  So a cluster cannot be freed, and used for something else, under a transfer's feet.
 * `write_back` is held by who writes tables to the file.  Order: Range, write_back, lock.
 *
 * Order of what reaches the file (power may fail at any moment, and then clusters may be lost, but none used twice):
 * tables change in memory; qcow2_write_back() writes reference counts, then refcount table entries of new blocks, then L2
 * tables that use what is counted, then L1 entries of new L2 tables, each group on stable storage before the next.  Clusters that tables no longer use stay
 * counted until those tables are on stable storage, and only then may be used again.
 */
#ifndef MYNA_BACKENDS_BLOCK_QCOW2_H
#define MYNA_BACKENDS_BLOCK_QCOW2_H

#include "backends/block/image.h"

#define QCOW2_MAGIC 0x514649fbU

enum {
    QCOW2_DIRTY = 1 << 0, /* incompatible features */
    QCOW2_CORRUPT = 1 << 1,
    QCOW2_DATA_FILE = 1 << 2,
    QCOW2_COMPRESSION = 1 << 3,
    QCOW2_EXTENDED_L2 = 1 << 4,
    QCOW2_LAZY = 1 << 0, /* compatible feature */
    QCOW2_BITMAPS = 1 << 0, /* autoclear feature */
};

enum {
    QCOW2_EXT_END = 0,
    QCOW2_EXT_BACKING_FORMAT = 0xe2792aca,
    QCOW2_EXT_FEATURES = 0x6803f857,
    QCOW2_EXT_BITMAPS = 0x23852875,
    QCOW2_EXT_DATA_FILE = 0x44415441,
};

enum {
    QCOW2_HEADER_V2 = 72,
    QCOW2_HEADER_V3 = 104,
    QCOW2_HEADER_LONG = 112, /* with the compression type */
    QCOW2_L1_MAX = 32 << 20, /* bytes of a table, as QEMU has it */
    QCOW2_REFTABLE_MAX = 8 << 20,
    QCOW2_SNAPSHOTS_MAX = 65536,
    QCOW2_SNAPSHOT_TABLE_MAX = 64 << 20,
    QCOW2_BACKING_MAX = 1023,
};

/* Entries of L1 and L2 tables. */
#define QCOW2_COPIED (UINT64_C(1) << 63)  /* its reference count is 1: written in place */
#define QCOW2_COMPRESSED (UINT64_C(1) << 62)
#define QCOW2_ZERO UINT64_C(1)
#define QCOW2_OFFSET UINT64_C(0x00fffffffffffe00)

typedef struct Qcow2Header {
    uint32_t version, cluster_bits, crypt, l1_size, reftable_clusters, snapshots, refcount_order, length;
    uint64_t size, l1_at, reftable_at, snapshots_at, incompatible, compatible, autoclear, backing_at;
    uint32_t backing_size;
    uint8_t compression; /* 0: zlib, 1: zstd */
} Qcow2Header;

typedef struct Qcow2Extension {
    uint32_t type, size;
    uint8_t *data;
} Qcow2Extension;

typedef struct Qcow2Snapshot {
    char *id, *name;
    uint64_t l1_at, vm_size, disk_size, vm_clock;
    uint32_t l1_size, date, date_nsec, extra_size;
    uint8_t *extra; /* as in the file, with VM size, disk size and what is unknown */
} Qcow2Snapshot;

typedef enum Qcow2Kind { QCOW2_REFCOUNTS, QCOW2_L2, QCOW2_KINDS } Qcow2Kind;

/* A part of a table in memory, slice_size bytes, as they are in the file. */
typedef struct Qcow2Slice {
    uint64_t at; /* in the file */
    Qcow2Kind kind;
    bool dirty, writing;
    GList link; /* of `recent` */
    uint8_t *data;
} Qcow2Slice;

typedef struct Qcow2Range {
    uint64_t start, end;
    bool exclusive;
    GList link;
} Qcow2Range;

/* Entries [from, to) of a table. */
typedef struct Qcow2Part {
    uint32_t from, to;
} Qcow2Part;

static inline void qcow2_part_add(Qcow2Part *p, Qcow2Part more)
{
    if (more.from == more.to)
        return;
    p->from = p->from == p->to ? more.from : MIN(p->from, more.from);
    p->to = MAX(p->to, more.to);
}

typedef struct Qcow2Free {
    uint64_t at, clusters;
} Qcow2Free;

typedef struct Qcow2 {
    Image image;
    /* constant */
    unsigned cluster_bits, l2_bits, slice_bits, refcount_order, block_bits; /* log2: bytes, entries, bytes, bits, counts */
    uint64_t cluster; /* bytes */
    bool lazy, holes; /* holes: what lies behind the end of the file reads as zeros once it is written behind */

    GMutex write_back, lock;
    /* Guarded by `lock`. */
    GCond range_ended;
    GQueue ranges;
    unsigned exclusive;
    Qcow2Header header;
    GArray *extensions; /* Qcow2Extension, without the backing format */
    char *backing, *backing_format;
    uint64_t *l1; /* header.l1_size entries */
    Qcow2Part l1_dirty;
    uint64_t *reftable;
    uint32_t reftable_size;
    Qcow2Part reftable_dirty, reftable_writing;
    GPtrArray *snapshots;
    GHashTable *slices;  /* by their place */
    GQueue recent;       /* most recently used first */
    GPtrArray *dirty[QCOW2_KINDS];
    unsigned slices_max;
    GArray *frees;       /* Qcow2Free: not used by tables in memory any more */
    GHashTable *tables;  /* numbers of clusters that hold active tables: data must not go there */
    uint64_t end;        /* of the last cluster in use, at least of the file */
    uint64_t fresh;      /* never written from here on */
    uint64_t next_free;  /* cluster where looking for free ones begins */
    uint64_t packed_at;  /* where the next compressed cluster may go; 0: a new cluster */
    bool unsynced;       /* written to since the last flush what tables will depend on */
    bool broken;         /* found corrupt: nothing is written any more */
    bool told;           /* one line of the first fault is enough */
} Qcow2;

static inline Qcow2 *qcow2_of(const Image *i) { return (Qcow2 *)i; }

/* ---- header (qcow2_header.c) ---- */

gboolean qcow2_header_read(Qcow2 *q, const char *who, GError **err);
/* Stores it with extensions and the backing file's name; -ENOSPC when that is more than a cluster. */
int qcow2_header_encode(const Qcow2 *q, uint8_t *cluster);
int qcow2_header_write(Qcow2 *q);
/* Writes the fixed fields alone: within a sector, so that it is the old or the new one. */
int qcow2_header_update(Qcow2 *q);
void qcow2_extensions_free(Qcow2 *q);
/* Tells the user once, and keeps the image from being written. */
void qcow2_corrupt(Qcow2 *q, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* ---- tables (qcow2_cache.c); lock held unless said otherwise ---- */

int qcow2_cache_get(Qcow2 *q, Qcow2Kind kind, uint64_t at, Qcow2Slice **out);
/* One of zeros that is not read; part of a new table. */
Qcow2Slice *qcow2_cache_new(Qcow2 *q, Qcow2Kind kind, uint64_t at);
void qcow2_cache_dirty(Qcow2 *q, Qcow2Slice *s);
void qcow2_cache_forget(Qcow2 *q, uint64_t at, uint64_t size);
void qcow2_cache_clear(Qcow2 *q);
/* Lock not held.  Afterwards clusters that were freed may be used again; not a flush of data. */
int qcow2_write_back(Qcow2 *q);
/* The same, and all on stable storage: reference counts of lazy images too. */
int qcow2_write_all(Qcow2 *q);
/* Lock not held: between parts of a long piece of work, so that memory stays bounded. */
int qcow2_relieve(Qcow2 *q);
int qcow2_sync(Qcow2 *q);

/* ---- ranges; lock held ---- */

void qcow2_range_begin(Qcow2 *q, Qcow2Range *r, uint64_t start, uint64_t end, bool exclusive);
void qcow2_range_end(Qcow2 *q, Qcow2Range *r);

/* ---- reference counts (qcow2_refcount.c); lock held ---- */

uint64_t qcow2_refcount_max(const Qcow2 *q);
uint64_t qcow2_refcount_load(const uint8_t *block, unsigned order, uint64_t index);
void qcow2_refcount_store(uint8_t *block, unsigned order, uint64_t index, uint64_t count);
int qcow2_refcount_get(Qcow2 *q, uint64_t cluster, uint64_t *count);
int qcow2_refcount_set(Qcow2 *q, uint64_t cluster, uint64_t count);
/* One reference more to each; -ERANGE: more than a count can be. */
int qcow2_refcount_increase(Qcow2 *q, uint64_t at, uint64_t clusters);
/* Clusters in a row that nothing uses, and a reference to each. *fresh: they read as zeros. */
int qcow2_alloc(Qcow2 *q, uint64_t clusters, uint64_t *at, bool *fresh);
/* One reference less, as soon as that is safe. */
void qcow2_free(Qcow2 *q, uint64_t at, uint64_t clusters);
int qcow2_apply_frees(Qcow2 *q, const GArray *frees);
void qcow2_tables_add(Qcow2 *q, uint64_t at, uint64_t size);
bool qcow2_tables_contain(const Qcow2 *q, uint64_t at, uint64_t size);
/* Blocks for so many clusters from `base` on, and a table, laid out behind base; header switched.  For check. */
int qcow2_reftable_rebuild(Qcow2 *q, uint64_t base, const uint64_t *counts);

/* ---- the map (qcow2_map.c); lock held ---- */

typedef enum Qcow2Cluster {
    CLUSTER_ABSENT,
    CLUSTER_ZERO,
    CLUSTER_ZERO_KEPT, /* reads as zeros, but has a place */
    CLUSTER_DATA,
    CLUSTER_COMPRESSED,
} Qcow2Cluster;

typedef struct Qcow2Run {
    Qcow2Cluster kind;
    bool in_place;   /* may be written where it lies */
    uint64_t at;     /* DATA, ZERO_KEPT: of the first byte; COMPRESSED: of the first byte of its cluster's data */
    uint64_t length; /* bytes of that kind, and in a row in the file */
    uint64_t stored; /* COMPRESSED: bytes in the file, at most */
} Qcow2Run;

int qcow2_lookup(Qcow2 *q, uint64_t offset, uint64_t size, Qcow2Run *r);
/* What an entry means; *end is behind its last byte in the file.  false: nonsense. */
bool qcow2_entry_decode(const Qcow2 *q, uint64_t entry, Qcow2Run *r);
/* The slice with the entry of `offset`, in a table that may be changed; *index is its number there. */
int qcow2_l2_get(Qcow2 *q, uint64_t offset, Qcow2Slice **s, unsigned *index);
uint64_t qcow2_l2_load(const Qcow2Slice *s, unsigned index);
void qcow2_l2_store(Qcow2 *q, Qcow2Slice *s, unsigned index, uint64_t entry);
/* What an entry refers to is referred to once less. */
void qcow2_free_entry(Qcow2 *q, uint64_t entry);
/* Clusters that an entry refers to. */
void qcow2_entry_clusters(const Qcow2 *q, uint64_t entry, uint64_t *at, uint64_t *clusters);
uint32_t qcow2_l1_needed(const Qcow2 *q, uint64_t size);
/* Bytes of the disk that a slice and a table of L2 entries describe. */
static inline uint64_t qcow2_slice_reach(const Qcow2 *q) { return q->cluster << (q->slice_bits - 3); }
static inline uint64_t qcow2_l2_reach(const Qcow2 *q) { return q->cluster << q->l2_bits; }
/* Reads, checks nothing but the place, and gives host order; to be freed; NULL: *status. */
uint64_t *qcow2_table_read(Qcow2 *q, uint64_t at, uint64_t entries, int *status);
int qcow2_table_write(Qcow2 *q, uint64_t at, const uint64_t *table, uint64_t entries);
/* Another active L1 table, written, and the header with it (and a size); the old one is freed. `table` is taken over. */
int qcow2_l1_switch(Qcow2 *q, uint64_t *table, uint32_t entries, uint64_t size);

/* ---- data (qcow2_io.c) ---- */

int qcow2_read(Image *i, uint64_t offset, void *buf, uint64_t size);
int qcow2_readv(Image *i, uint64_t offset, const struct iovec *iov, unsigned count);
int qcow2_write(Image *i, uint64_t offset, const void *buf, uint64_t size);
int qcow2_writev(Image *i, uint64_t offset, const struct iovec *iov, unsigned count);
int qcow2_write_zeroes(Image *i, uint64_t offset, uint64_t size, bool may_unmap);
int qcow2_discard(Image *i, uint64_t offset, uint64_t size);
int qcow2_map(Image *i, uint64_t offset, uint64_t size, ImageExtent *e);
/* The caller has a Range.  Clusters of [offset, offset + size), whole ones, become `entry` (0 or QCOW2_ZERO). */
int qcow2_drop(Qcow2 *q, uint64_t offset, uint64_t size, uint64_t entry, bool keep);
/* The caller has a Range. */
int qcow2_zero_bytes(Qcow2 *q, uint64_t offset, uint64_t size);
/* A place for each cluster that has none (preallocation). */
int qcow2_preallocate(Image *i, bool with_data);

/* ---- compressed clusters (qcow2_compress.c) ---- */

bool qcow2_compression_known(uint8_t type);
/* A cluster's bytes of it; -EIO when they are no such stream. */
int qcow2_decompress(const Qcow2 *q, const void *from, size_t size, void *to);
int qcow2_read_compressed(Qcow2 *q, const Qcow2Run *r, void *cluster);
int qcow2_write_compressed(Image *i, uint64_t offset, const void *buf, uint64_t size);

/* ---- snapshots (qcow2_snapshot.c) ---- */

gboolean qcow2_snapshots_read(Qcow2 *q, const char *who, GError **err);
void qcow2_snapshots_free(Qcow2 *q);
uint64_t qcow2_snapshots_size(const Qcow2 *q); /* bytes of their table */
GPtrArray *qcow2_snapshots(Image *i);
gboolean qcow2_snapshot_create(Image *i, const char *name, GError **err);
gboolean qcow2_snapshot_apply(Image *i, const char *name, GError **err);
gboolean qcow2_snapshot_delete(Image *i, const char *name, GError **err);
gboolean qcow2_snapshot_show(Image *i, const char *name, GError **err);
/* The caller has the whole disk; lock not held.  One reference more, or less, to all that a table leads to. */
int qcow2_tree_refer(Qcow2 *q, const uint64_t *l1, uint32_t entries, bool more);
/* QCOW2_COPIED of the active tables becomes what the counts say. */
int qcow2_tree_mark(Qcow2 *q);

/* ---- the rest ---- */

int qcow2_resize(Image *i, uint64_t size);
int qcow2_make_empty(Image *i);
gboolean qcow2_check(Image *i, ImageCheck *c, GError **err);
gboolean qcow2_create(const ImageCreate *c, GError **err);

#endif
