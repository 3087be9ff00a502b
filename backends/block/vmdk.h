/*
 * The format "vmdk", VMware's ("Virtual Disk Format 5.0", 2011): a descriptor, a text that names the disk's extents, and
 * extents, which are flat files, or sparse ones: a header, a grain directory with the sectors of grain tables, those with
 * the sectors of grains.  A sparse extent that is a whole disk has the descriptor within.  Numbers are little-endian.
 *
 *   vmdk.c             the driver: opening, bytes, checking
 *   vmdk_descriptor.c  the text
 *   vmdk_sparse.c      sparse extents
 *   vmdk_create.c      making images
 */
#ifndef MYNA_BACKENDS_BLOCK_VMDK_H
#define MYNA_BACKENDS_BLOCK_VMDK_H

#include "backends/block/sparse.h"

#define VMDK_MAGIC "KDMV"
#define VMDK_TEXT "# Disk DescriptorFile"
#define VMDK_NO_PARENT UINT32_C(0xffffffff)

enum { VMDK_SECTOR = 512, VMDK_DESCRIPTOR_MAX = 1 << 20, VMDK_EXTENTS_MAX = 4096 };

/* Offsets in a sparse extent's header. */
enum {
    VMDK_VERSION = 4,
    VMDK_FLAGS = 8,
    VMDK_CAPACITY = 12, /* in sectors, as all offsets and sizes below */
    VMDK_GRAIN = 20,
    VMDK_DESCRIPTOR = 28,
    VMDK_DESCRIPTOR_SIZE = 36,
    VMDK_ENTRIES = 44,  /* of a grain table */
    VMDK_REDUNDANT = 48,
    VMDK_DIRECTORY = 56,
    VMDK_OVERHEAD = 64, /* metadata, before the first grain */
    VMDK_NEWLINES = 73, /* "\n \r\n": a transfer as text changes them */
    VMDK_COMPRESSION = 77,
};

enum {
    VMDK_FLAG_NEWLINES = 1,
    VMDK_FLAG_REDUNDANT = 2,
    VMDK_FLAG_ZERO_GRAINS = 4,
    VMDK_FLAG_COMPRESSED = 1 << 16,
    VMDK_FLAG_MARKERS = 1 << 17,
};

/* ---- descriptors (vmdk_descriptor.c) ---- */

typedef struct VmdkLine {
    uint64_t sectors, offset; /* `offset` in the file, of flat ones */
    char *type, *file;        /* "SPARSE"; NULL with "ZERO" */
    bool readonly;
} VmdkLine;

typedef struct VmdkDescriptor {
    char *type;       /* "monolithicSparse"; "" when it names none */
    char *parent;     /* the parent's file, or NULL */
    uint32_t cid, parent_cid;
    int64_t cid_at;   /* of the digits in the text; -1: none there */
    GPtrArray *lines; /* VmdkLine * */
} VmdkDescriptor;

/* `name` for errors, which give the line; d is to be cleared in each case. */
gboolean vmdk_descriptor_parse(const char *name, const char *text, VmdkDescriptor *d, GError **err);
void vmdk_descriptor_clear(VmdkDescriptor *d);

/* ---- sparse extents (vmdk_sparse.c) ---- */

typedef struct VmdkSparse {
    Image *file;
    uint64_t size;       /* bytes of the disk */
    uint64_t grain;      /* bytes */
    uint64_t entries;    /* of a grain table */
    uint64_t tables;
    uint64_t at_directory, at_redundant;  /* bytes; at_redundant 0: no second directory */
    uint32_t *directory, *redundant;      /* sectors of the tables; 0: none */
    uint32_t **loaded;   /* tables, once they were needed */
    bool compressed, markers, zero_grains;
    bool streamed;       /* the directory stands at the file's end: nothing can be appended */
    bool grown;          /* the file has room beyond `end`, to be given back */
    uint64_t end;        /* where the next grain comes */
    uint64_t at_descriptor, descriptor_size; /* bytes; 0: none within */
} VmdkSparse;

/* Reads and checks header and directories; `s` is to be cleared in each case. */
gboolean vmdk_sparse_open(VmdkSparse *s, Image *file, GError **err);
void vmdk_sparse_clear(VmdkSparse *s);
/* Offsets are within the extent. */
int vmdk_sparse_find(VmdkSparse *s, uint64_t offset, uint64_t size, SparseRun *run);
int vmdk_sparse_read_compressed(VmdkSparse *s, const SparseRun *run, uint64_t offset, void *buf, uint64_t size);
/* As SparseOps.allocate; `start` of the disk is where the extent begins. */
int vmdk_sparse_allocate(Image *i, VmdkSparse *s, uint64_t start, uint64_t offset, const void *buf, uint64_t *size);
void vmdk_sparse_check(VmdkSparse *s, ImageCheck *c);

#endif
