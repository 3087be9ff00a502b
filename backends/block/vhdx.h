/*
 * The format "vhdx", Microsoft's ([MS-VHDX], to whose sections the comments point): two headers of which one counts, two
 * copies of a table of regions, the region of metadata, that of the block allocation table (BAT), a log through which
 * both of them are changed, and blocks.  Numbers are little-endian, and so are the first three fields of a GUID.
 *
 *   vhdx.c         the driver: opening, bytes, checking
 *   vhdx_header.c  headers, regions, metadata
 *   vhdx_log.c     the log
 *   vhdx_create.c  making images
 */
#ifndef MYNA_BACKENDS_BLOCK_VHDX_H
#define MYNA_BACKENDS_BLOCK_VHDX_H

#include "backends/block/sparse.h"
#include "util/bits.h"

#define VHDX_FILE_MAGIC "vhdxfile"
#define VHDX_HEADER_MAGIC "head"
#define VHDX_REGIONS_MAGIC "regi"
#define VHDX_METADATA_MAGIC "metadata"
#define VHDX_SIZE_MAX (64 * 1024 * GiB)

enum {
    VHDX_GUID = 16,
    VHDX_AT_HEADERS = 64 << 10, /* and the second one as much behind */
    VHDX_HEADER_SIZE = 4096,
    VHDX_AT_REGIONS = 192 << 10,
    VHDX_TABLE_SIZE = 64 << 10, /* of regions, and of metadata */
    VHDX_UNIT = 1 << 20,        /* regions, log and blocks are at multiples of it, and have such sizes */
    VHDX_LOG_SECTOR = 4096,
};

/* Offsets in a header (2.2.2). */
enum {
    VHDX_CHECKSUM = 4, /* in other structures too */
    VHDX_SEQUENCE = 8,
    VHDX_FILE_GUID = 16,
    VHDX_DATA_GUID = 32,
    VHDX_LOG_GUID = 48,
    VHDX_LOG_VERSION = 64,
    VHDX_VERSION = 66,
    VHDX_LOG_LENGTH = 68,
    VHDX_LOG_OFFSET = 72,
};

/* The tables of regions and of metadata: their header's size, entries, and offsets in these (2.2.3, 2.6.1). */
enum {
    VHDX_REGIONS_COUNT = 8,
    VHDX_REGIONS_HEAD = 16,
    VHDX_METADATA_COUNT = 10,
    VHDX_METADATA_HEAD = 32,
    VHDX_ENTRY = 32,
    VHDX_REGION_OFFSET = 16,
    VHDX_REGION_LENGTH = 24,
    VHDX_REGION_REQUIRED = 28,
    VHDX_ITEM_OFFSET = 16,
    VHDX_ITEM_LENGTH = 20,
    VHDX_ITEM_FLAGS = 24,
};

enum { VHDX_ITEM_IS_DISK = 2, VHDX_ITEM_REQUIRED = 4 };
enum { VHDX_LEAVE_ALLOCATED = 1, VHDX_HAS_PARENT = 2 };

/* States of a block, in the low bits of its entry (2.5.1.1); 6: it is there. */
enum { VHDX_NOT_PRESENT, VHDX_UNDEFINED, VHDX_ZERO, VHDX_UNMAPPED, VHDX_PRESENT = 6, VHDX_PARTIAL = 7 };

/* As they stand in the file. */
extern const uint8_t vhdx_bat_guid[VHDX_GUID], vhdx_metadata_guid[VHDX_GUID];
extern const uint8_t vhdx_parameters_guid[VHDX_GUID], vhdx_size_guid[VHDX_GUID], vhdx_disk_guid[VHDX_GUID];
extern const uint8_t vhdx_logical_guid[VHDX_GUID], vhdx_physical_guid[VHDX_GUID], vhdx_parent_guid[VHDX_GUID];

typedef struct VhdxRegion {
    uint64_t at, length; /* length 0: not there */
} VhdxRegion;

typedef struct Vhdx {
    Sparse s;
    uint8_t header[VHDX_HEADER_SIZE];
    unsigned current;        /* header: 0 or 1 */
    bool begun;              /* the file's GUIDs are new ones, and the log is in use */
    VhdxRegion bat, metadata, log;
    uint64_t log_at, log_sequence; /* of the next entry */
    uint32_t block_size, sector_size, flags;
    uint64_t blocks, ratio;  /* `ratio` blocks, then an entry of a bitmap for them */
    uint64_t *table;         /* a block's entry, by block */
    uint64_t end;            /* where the next block comes */
} Vhdx;

/* ---- vhdx_header.c ---- */

/* The checksum of a structure whose own, at offset 4, counts as zeros. */
uint32_t vhdx_checksum(const uint8_t *p, size_t size);
gboolean vhdx_read_header(Image *i, Vhdx *v, GError **err);
gboolean vhdx_read_regions(Image *i, Vhdx *v, GError **err);
gboolean vhdx_read_metadata(Image *i, Vhdx *v, GError **err);
/* Writes v->header with the next sequence number over the one that does not count, and flushes: now it does. */
int vhdx_write_header(Vhdx *v);

/* ---- vhdx_log.c ---- */

/* Does what the log says, if it is not empty, and empties it. */
gboolean vhdx_log_replay(Image *i, Vhdx *v, GError **err);
/* Before the first change of the file; the lock is held for writing. */
int vhdx_begin(Vhdx *v);
/* Writes 4 KiB of metadata at a multiple of it, through the log.  What was written before is on stable storage then. */
int vhdx_log_write(Vhdx *v, uint64_t at, const uint8_t *data);
/* The log is empty: all is in its place. */
int vhdx_end(Vhdx *v);

/* ---- vhdx_create.c ---- */

#define VHDX_CREATE_HELP                                                                                               \
    "subformat=dynamic|fixed (dynamic)\n"                                                                              \
    "block_size=SIZE (8M to 64M, by the disk's size): a power of two from 1M to 256M\n"                                \
    "log_size=SIZE (1M)"

gboolean vhdx_create(const ImageCreate *c, GError **err);

#endif
