/*
 * The format "vdi", VirtualBox's (described by its Storage/VDICore.h): a header, a table with an entry of 4 bytes for each
 * block of the disk, and blocks in the order in which they were first written.  Numbers are little-endian.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "backends/block/drivers.h"
#include "backends/block/format.h"
#include "backends/block/sparse.h"
#include "core/error.h"
#include "util/bits.h"
#include "util/endian.h"

#define SIGNATURE UINT32_C(0xbeda107f)
#define VERSION 0x00010001
#define TEXT "<<< Oracle VM VirtualBox Disk Image >>>\n"

/* Offsets in the header. */
enum {
    AT_SIGNATURE = 64,
    AT_VERSION = 68,
    AT_HEADER_SIZE = 72, /* from here on */
    AT_TYPE = 76,
    AT_TABLE = 340,
    AT_DATA = 344,
    AT_SECTOR_SIZE = 360,
    AT_SIZE = 368,
    AT_BLOCK_SIZE = 376,
    AT_BLOCK_EXTRA = 380,
    AT_BLOCKS = 384,
    AT_ALLOCATED = 388,
    AT_UUID = 392,
    AT_UUID_SNAPSHOT = 408,
    AT_UUID_PARENT = 440,
    HEADER = 512,
};

enum { TYPE_DYNAMIC = 1, TYPE_FIXED = 2, TYPE_UNDO = 3, TYPE_DIFFERENCING = 4 };

/* Entries of the table that are no block's index. */
#define NOWHERE UINT32_C(0xffffffff)
#define ZERO UINT32_C(0xfffffffe)

#define TABLE_MAX (256 * MiB)

typedef struct Vdi {
    Sparse s;
    uint8_t header[HEADER];
    uint32_t *table;
    uint32_t blocks;     /* of the disk */
    uint32_t used;       /* indices below it are taken, as the header is to say */
    uint64_t at_table, at_data, block_size;
} Vdi;

static uint64_t place_of(const Vdi *v, uint32_t index) { return v->at_data + index * v->block_size; }

/* ---- opening ---- */

static bool vdi_probe(Image *lower, const uint8_t *head, size_t n, uint64_t size)
{
    (void)lower, (void)size;
    return n >= HEADER && ld32le(head + AT_SIGNATURE) == SIGNATURE;
}

static gboolean bad(const Image *i, GError **err, int at, const char *what, uint64_t value)
{
    return error_set(err, "'%s': VDI header, offset %d: %s 0x%" PRIx64 " is not possible", i->file, at, what, value);
}

static gboolean check_type(Image *i, const uint8_t *h, GError **err)
{
    uint32_t type = ld32le(h + AT_TYPE);

    if (ld32le(h + AT_SIGNATURE) != SIGNATURE)
        return error_set(err, "'%s' is no VDI image: no signature at offset %d", i->file, AT_SIGNATURE);
    if (ld32le(h + AT_VERSION) >> 16 != VERSION >> 16)
        return error_set(err, "'%s': VDI version %u.%u is not supported, only 1.x", i->file,
                         ld32le(h + AT_VERSION) >> 16, ld32le(h + AT_VERSION) & 0xffff);
    if (type == TYPE_UNDO || type == TYPE_DIFFERENCING)
        return error_set(err, "'%s' is a differencing VDI image: merge it into its parent (VBoxManage clonemedium) first",
                         i->file);
    return type == TYPE_DYNAMIC || type == TYPE_FIXED || bad(i, err, AT_TYPE, "image type", type);
}

static gboolean check_sizes(Image *i, Vdi *v, GError **err)
{
    const uint8_t *h = v->header;
    uint64_t table_size = (uint64_t)v->blocks * 4;

    if (ld32le(h + AT_SECTOR_SIZE) != 512)
        return bad(i, err, AT_SECTOR_SIZE, "sector size", ld32le(h + AT_SECTOR_SIZE));
    if (!is_power_of_2(v->block_size) || v->block_size < 4 * KiB || v->block_size > 256 * MiB)
        return bad(i, err, AT_BLOCK_SIZE, "block size", v->block_size);
    if (ld32le(h + AT_BLOCK_EXTRA))
        return bad(i, err, AT_BLOCK_EXTRA, "extra size of a block", ld32le(h + AT_BLOCK_EXTRA));
    if (v->at_table % 512 || v->at_table < HEADER || v->at_table > i->lower->size)
        return bad(i, err, AT_TABLE, "table's offset", v->at_table);
    if (v->at_data % 512 || v->at_data < v->at_table + table_size)
        return bad(i, err, AT_DATA, "data's offset", v->at_data);
    if (table_size > TABLE_MAX || table_size > i->lower->size - v->at_table)
        return bad(i, err, AT_BLOCKS, "number of blocks", v->blocks);
    if (!i->size || i->size > v->blocks * v->block_size)
        return bad(i, err, AT_SIZE, "disk's size", i->size);
    i->size = align_up(i->size, 512);
    return TRUE;
}

/* Each index once, and below the number of blocks: who writes to a block twice there would write to another's. */
static gboolean check_table(Image *i, Vdi *v, GError **err)
{
    g_autofree uint8_t *seen = g_malloc0(v->blocks / 8 + 1);

    for (uint32_t k = 0; k < v->blocks; k++) {
        uint32_t n = v->table[k];
        uint64_t at = v->at_table + (uint64_t)k * 4;
        if (n >= ZERO)
            continue;
        if (n >= v->blocks)
            return error_set(err, "'%s': VDI table, offset 0x%" PRIx64 ": block %u lies at index %u, but only %u exist",
                             i->file, at, k, n, v->blocks);
        if (seen[n / 8] >> n % 8 & 1)
            return error_set(err, "'%s': VDI table, offset 0x%" PRIx64 ": block %u lies at index %u, where another lies",
                             i->file, at, k, n);
        seen[n / 8] |= 1 << n % 8;
    }
    return TRUE;
}

static gboolean read_table(Image *i, Vdi *v, GError **err)
{
    v->table = g_try_new(uint32_t, v->blocks);
    int status = v->table ? image_read(i->lower, v->at_table, v->table, (uint64_t)v->blocks * 4) : -ENOMEM;

    if (status)
        return image_error(i, "VDI table cannot be read", status, err);
    for (uint32_t k = 0; k < v->blocks; k++) {
        v->table[k] = le32(v->table[k]);
        if (v->table[k] < MIN(v->blocks, ZERO))
            v->used = MAX(v->used, v->table[k] + 1);
    }
    return TRUE;
}

static int write_used(Vdi *v)
{
    st32le(v->header + AT_ALLOCATED, v->used);
    return image_write(v->s.image.lower, AT_ALLOCATED, v->header + AT_ALLOCATED, 4);
}

static gboolean load(Image *i, Vdi *v, const ImageOptions *o, GError **err)
{
    int status = image_read(i->lower, 0, v->header, HEADER);
    if (status)
        return image_error(i, "VDI header cannot be read", status, err);
    if (!check_type(i, v->header, err))
        return FALSE;
    v->at_table = ld32le(v->header + AT_TABLE);
    v->at_data = ld32le(v->header + AT_DATA);
    v->block_size = ld32le(v->header + AT_BLOCK_SIZE);
    v->blocks = ld32le(v->header + AT_BLOCKS);
    i->size = ld64le(v->header + AT_SIZE);
    if (!check_sizes(i, v, err) || !read_table(i, v, err) || (!o->repair && !check_table(i, v, err)))
        return FALSE;
    /* Who was stopped while allocating left a count that is too high. */
    if (!i->readonly && !o->repair && v->used != ld32le(v->header + AT_ALLOCATED))
        status = write_used(v);
    return !status || image_error(i, "VDI header cannot be written", status, err);
}

static const SparseOps vdi_sparse_ops;

static gboolean vdi_open(Image *i, const ImageOptions *o, GError **err)
{
    Vdi *v = (Vdi *)i;

    sparse_init(&v->s, &vdi_sparse_ops);
    return load(i, v, o, err) || open_failed(o, err);
}

static void vdi_close(Image *i)
{
    g_free(((Vdi *)i)->table);
    sparse_clear(&((Vdi *)i)->s);
}

/* ---- bytes ---- */

static SparseKind kind_of(uint32_t entry)
{
    return entry == NOWHERE ? SPARSE_NONE : entry == ZERO ? SPARSE_ZERO : SPARSE_DATA;
}

static int vdi_find(Image *i, uint64_t offset, uint64_t size, SparseRun *run)
{
    Vdi *v = (Vdi *)i;
    uint32_t block = offset / v->block_size, entry = v->table[block];
    uint64_t length = v->block_size - offset % v->block_size;

    *run = (SparseRun){ .kind = kind_of(entry), .file = i->lower };
    if (run->kind == SPARSE_DATA)
        run->at = place_of(v, entry) + offset % v->block_size;
    while (length < size && kind_of(v->table[++block]) == run->kind &&
           (run->kind != SPARSE_DATA || v->table[block] == ++entry))
        length += v->block_size;
    run->length = MIN(length, size);
    return 0;
}

/*
 * The content, then the header's count, then the entry: whoever reads the image after that stopped anywhere finds no
 * entry that the count lacks.
 */
static int vdi_allocate(Image *i, uint64_t offset, const void *buf, uint64_t *size)
{
    Vdi *v = (Vdi *)i;
    uint32_t block = offset / v->block_size, index = v->used;
    uint64_t start = block * v->block_size;
    uint8_t entry[4];
    int status;

    *size = MIN(*size, v->block_size - (offset - start));
    if (index >= v->blocks)
        return -ENOSPC; /* blocks that nobody names, of an image that something else has written */
    status = sparse_fill(i, i->lower, place_of(v, index), start, v->block_size, offset, buf, *size);
    if (status)
        return status;
    v->used = index + 1;
    status = write_used(v);
    st32le(entry, index);
    if (!status)
        status = image_write(i->lower, v->at_table + (uint64_t)block * 4, entry, sizeof entry);
    if (!status)
        v->table[block] = index;
    return status;
}

static const SparseOps vdi_sparse_ops = { .find = vdi_find, .allocate = vdi_allocate };

/* ---- resizing, checking, information ---- */

static int write_size(Vdi *v, uint64_t size, uint32_t blocks)
{
    st64le(v->header + AT_SIZE, size);
    st32le(v->header + AT_BLOCKS, blocks);
    return image_write(v->s.image.lower, 0, v->header, HEADER);
}

/* Grows as far as there is room for the table before the first block. */
static int vdi_resize(Image *i, uint64_t size)
{
    Vdi *v = (Vdi *)i;
    uint64_t blocks = (size + v->block_size - 1) / v->block_size;

    if (size < i->size || ld32le(v->header + AT_TYPE) == TYPE_FIXED || size > TABLE_MAX / 4 * v->block_size ||
        v->at_table + blocks * 4 > v->at_data)
        return -ENOTSUP;
    g_rw_lock_writer_lock(&v->s.lock);
    uint64_t more = blocks - v->blocks;
    g_autofree uint8_t *entries = g_malloc(more * 4 + 1);
    memset(entries, 0xff, more * 4);
    int status = image_write(i->lower, v->at_table + (uint64_t)v->blocks * 4, entries, more * 4);
    if (!status) {
        v->table = g_renew(uint32_t, v->table, blocks);
        memset(v->table + v->blocks, 0xff, more * 4);
        v->blocks = blocks;
        status = write_size(v, size, blocks);
    }
    g_rw_lock_writer_unlock(&v->s.lock);
    return status;
}

static gboolean vdi_check(Image *i, ImageCheck *c, GError **err)
{
    Vdi *v = (Vdi *)i;
    g_autoptr(GError) problem = NULL;
    uint32_t named = ld32le(v->header + AT_ALLOCATED);

    c->total = v->blocks;
    for (uint32_t k = 0; k < v->blocks; k++)
        if (v->table[k] < ZERO)
            c->allocated++, c->fragmented += k && v->table[k - 1] + 1 != v->table[k];
    c->end = place_of(v, v->used);
    if (!check_table(i, v, &problem)) {
        c->corruptions++;
        check_tell(c, "%s", problem->message);
    }
    if (named != c->allocated) {
        check_tell(c, "VDI header, offset %d: %u blocks are said to be allocated, and %" PRIu64 " are", AT_ALLOCATED,
                         named, c->allocated);
        c->leaks++;
        int status = (c->repair_leaks || c->repair_all) && !i->readonly ? write_used(v) : -EROFS;
        c->leaks_fixed += !status && v->used == c->allocated;
    }
    (void)err;
    return TRUE;
}

static void vdi_info(Image *i, GPtrArray *pairs)
{
    Vdi *v = (Vdi *)i;
    bool fixed = ld32le(v->header + AT_TYPE) == TYPE_FIXED;

    info_add(pairs, "static", "%s", fixed ? "on" : "off");
    info_add(pairs, "cluster_size", "%" PRIu64, v->block_size);
}

/* ---- creating ---- */

enum { BLOCK = MiB };

static void make_header(uint8_t *h, uint64_t size, uint32_t blocks, uint64_t at_data, bool fixed)
{
    strcpy((char *)h, TEXT);
    st32le(h + AT_SIGNATURE, SIGNATURE);
    st32le(h + AT_VERSION, VERSION);
    st32le(h + AT_HEADER_SIZE, 0x180);
    st32le(h + AT_TYPE, fixed ? TYPE_FIXED : TYPE_DYNAMIC);
    st32le(h + AT_TABLE, HEADER);
    st32le(h + AT_DATA, at_data);
    st32le(h + AT_SECTOR_SIZE, 512);
    st64le(h + AT_SIZE, size);
    st32le(h + AT_BLOCK_SIZE, BLOCK);
    st32le(h + AT_BLOCKS, blocks);
    st32le(h + AT_ALLOCATED, fixed ? blocks : 0);
    make_uuid(h + AT_UUID);
    make_uuid(h + AT_UUID_SNAPSHOT);
}

static gboolean vdi_create(const ImageCreate *c, GError **err)
{
    uint8_t header[HEADER] = { 0 };
    uint64_t blocks = (c->size + BLOCK - 1) / BLOCK, at_data = align_up(HEADER + blocks * 4, MiB);
    bool fixed = false;

    if (!create_check_no_backing(c, "VDI", err) || !create_take_bool(c, "static", &fixed, err))
        return FALSE;
    if (!c->size || blocks * 4 > TABLE_MAX)
        return error_set(err, "%s: a VDI image has from 512 bytes to 64 TiB", c->who);
    make_header(header, c->size, blocks, at_data, fixed);
    Image *file = create_file(c, c->file, at_data + (fixed ? blocks * BLOCK : 0), err);
    if (!file)
        return FALSE;
    g_autofree uint32_t *table = g_new(uint32_t, blocks);
    for (uint32_t k = 0; k < blocks; k++)
        table[k] = fixed ? le32(k) : NOWHERE;
    int status = image_write(file, 0, header, HEADER);
    if (!status)
        status = image_write(file, HEADER, table, blocks * 4);
    return create_end(c, file, status, err);
}

const ImageDriver image_driver_vdi = {
    .name = "vdi",
    .description = "VirtualBox's disk image",
    .size = sizeof(Vdi),
    .probe = vdi_probe,
    .open = vdi_open,
    .close = vdi_close,
    .read = sparse_read,
    .write = sparse_write,
    .write_zeroes = sparse_write_zeroes,
    .discard = sparse_discard,
    .flush = sparse_flush,
    .map = sparse_map,
    .resize = vdi_resize,
    .create = vdi_create,
    .create_help = "static=BOOL (off): all blocks are allocated",
    .check = vdi_check,
    .info = vdi_info,
};
