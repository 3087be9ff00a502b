/*
 * The format "vpc", Microsoft's VHD ("Virtual Hard Disk Image Format Specification", 2006): a fixed image is the disk's
 * bytes and a footer; a dynamic one has a copy of the footer, a header, a table of blocks (BAT), blocks, and the footer.
 * Each block opens with a bitmap of the sectors in it that were ever written.  Numbers are big-endian.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "backends/block/drivers.h"
#include "backends/block/format.h"
#include "backends/block/sparse.h"
#include "core/error.h"
#include "util/bits.h"
#include "util/endian.h"

enum { SECTOR = 512, FOOTER = 512, HEADER = 1024 };

/* Offsets in the footer. */
enum {
    FOOT_FEATURES = 8,
    FOOT_VERSION = 12,
    FOOT_HEADER = 16,
    FOOT_TIME = 24,    /* seconds since 2000 */
    FOOT_CREATOR = 28,
    FOOT_CREATOR_VERSION = 32,
    FOOT_CREATOR_HOST = 36,
    FOOT_ORIGINAL_SIZE = 40,
    FOOT_SIZE = 48,
    FOOT_GEOMETRY = 56, /* cylinders (2 bytes), heads, sectors */
    FOOT_TYPE = 60,
    FOOT_CHECKSUM = 64,
    FOOT_UUID = 68,
};

/* Offsets in the dynamic disk's header. */
enum {
    HEAD_NEXT = 8,
    HEAD_TABLE = 16,
    HEAD_VERSION = 24,
    HEAD_BLOCKS = 28,
    HEAD_BLOCK_SIZE = 32,
    HEAD_CHECKSUM = 36,
};

enum { TYPE_FIXED = 2, TYPE_DYNAMIC = 3, TYPE_DIFFERENCING = 4 };

#define FOOTER_MAGIC "conectix"
#define HEADER_MAGIC "cxsparse"
#define VERSION 0x00010000
#define NOWHERE UINT32_C(0xffffffff)
#define SIZE_MAX_BYTES (2040 * GiB)
#define TABLE_MAX (16 * MiB)
#define EPOCH INT64_C(946684800) /* 2000-01-01, in seconds since 1970 */

typedef struct Vpc {
    Sparse s;
    uint8_t footer[FOOTER];
    uint32_t *table;     /* NULL: fixed; else the sector at which a block begins, with its bitmap */
    uint8_t *whole;      /* a bit for each block: all bits of its bitmap are known to be set */
    uint32_t blocks;
    uint64_t at_table, block_size, bitmap_size;
    uint64_t end;        /* of what is in use; the footer comes there */
} Vpc;

/* ---- opening ---- */

/* The one's complement of the sum of all bytes but the checksum's. */
static uint32_t checksum(const uint8_t *p, unsigned size, unsigned at)
{
    uint32_t sum = 0;

    for (unsigned k = 0; k < size; k++)
        sum += k >= at && k < at + 4 ? 0 : p[k];
    return ~sum;
}

static bool footer_ok(const uint8_t *f)
{
    return !memcmp(f, FOOTER_MAGIC, 8) && ld32be(f + FOOT_CHECKSUM) == checksum(f, FOOTER, FOOT_CHECKSUM);
}

static bool vpc_probe(Image *lower, const uint8_t *head, size_t n, uint64_t size)
{
    uint8_t footer[FOOTER];

    return (n >= FOOTER && !memcmp(head, FOOTER_MAGIC, 8)) ||
           (size >= FOOTER && !image_read(lower, size - FOOTER, footer, FOOTER) && footer_ok(footer));
}

/* The one at the end counts; a dynamic image whose end is lost has the copy at its start. */
static gboolean read_footer(Image *i, Vpc *v, GError **err)
{
    uint64_t size = i->lower->size, end = size >= FOOTER ? size - FOOTER : 0;
    int status = image_read(i->lower, end, v->footer, FOOTER);

    if (!status && !footer_ok(v->footer))
        status = image_read(i->lower, 0, v->footer, FOOTER);
    if (status)
        return image_error(i, "VHD footer cannot be read", status, err);
    if (memcmp(v->footer, FOOTER_MAGIC, 8))
        return error_set(err, "'%s' is no VHD image: no footer at offset 0x%" PRIx64, i->file, end);
    if (!footer_ok(v->footer))
        return error_set(err, "'%s': VHD footer, offset 0x%" PRIx64 ": its checksum is 0x%08x, and should be 0x%08x",
                         i->file, end, ld32be(v->footer + FOOT_CHECKSUM),
                         checksum(v->footer, FOOTER, FOOT_CHECKSUM));
    if (ld32be(v->footer + FOOT_VERSION) >> 16 != VERSION >> 16)
        return error_set(err, "'%s': VHD footer, offset 0x%" PRIx64 ": version 0x%x is not supported, only 0x%x",
                         i->file, end + FOOT_VERSION, ld32be(v->footer + FOOT_VERSION), VERSION);
    return TRUE;
}

static uint64_t geometry_size(const uint8_t *geometry)
{
    return (uint64_t)ld16be(geometry) * geometry[2] * geometry[3] * SECTOR;
}

#define GEOMETRY_MAX (UINT64_C(65535) * 16 * 255 * SECTOR)

/*
 * Virtual PC's guests see the geometry's size, which may be smaller than the one that the footer names; Hyper-V's and
 * those of the tools below see that one.  A geometry at its maximum stands for all larger disks.
 */
static uint64_t disk_size(const uint8_t *footer)
{
    static const char by_size[][5] = { "win ", "qem2", "d2v ", "tap\0", "CTXS", "wa\0\0" };
    uint64_t geometry = geometry_size(footer + FOOT_GEOMETRY), size = ld64be(footer + FOOT_SIZE);

    for (unsigned k = 0; k < ARRAY_SIZE(by_size); k++)
        if (!memcmp(footer + FOOT_CREATOR, by_size[k], 4))
            return size;
    return geometry && geometry < GEOMETRY_MAX ? geometry : size;
}

static gboolean check_disk_size(Image *i, Vpc *v, GError **err)
{
    if (i->size && i->size <= SIZE_MAX_BYTES)
        return TRUE;
    return error_set(err, "'%s': VHD footer, offset %d: a disk of %" PRIu64 " bytes is not possible", i->file,
                     ld64be(v->footer + FOOT_HEADER) == UINT64_MAX ? -FOOTER + FOOT_SIZE : FOOT_SIZE, i->size);
}

static gboolean check_header(Image *i, Vpc *v, uint64_t at, const uint8_t *h, GError **err)
{
    uint64_t table_size = (uint64_t)v->blocks * 4;

    if (memcmp(h, HEADER_MAGIC, 8))
        return error_set(err, "'%s': no VHD header at offset 0x%" PRIx64, i->file, at);
    if (ld32be(h + HEAD_CHECKSUM) != checksum(h, HEADER, HEAD_CHECKSUM))
        return error_set(err, "'%s': VHD header, offset 0x%" PRIx64 ": its checksum is 0x%08x, and should be 0x%08x",
                         i->file, at, ld32be(h + HEAD_CHECKSUM), checksum(h, HEADER, HEAD_CHECKSUM));
    if (!is_power_of_2(v->block_size) || v->block_size < SECTOR || v->block_size > 256 * MiB)
        return error_set(err, "'%s': VHD header, offset 0x%" PRIx64 ": a block size of %" PRIu64 " is not possible",
                         i->file, at + HEAD_BLOCK_SIZE, v->block_size);
    if (v->blocks * v->block_size < i->size)
        return error_set(err, "'%s': VHD header, offset 0x%" PRIx64 ": %u blocks are fewer than the disk has", i->file,
                         at + HEAD_BLOCKS, v->blocks);
    if (v->at_table % SECTOR || v->at_table < FOOTER || v->at_table > i->lower->size ||
        table_size > MIN(TABLE_MAX, i->lower->size - v->at_table))
        return error_set(err, "'%s': VHD header, offset 0x%" PRIx64 ": the block table, %u entries at 0x%" PRIx64
                         ", is not within the file", i->file, at + HEAD_TABLE, v->blocks, v->at_table);
    return TRUE;
}

static gboolean read_header(Image *i, Vpc *v, GError **err)
{
    uint64_t at = ld64be(v->footer + FOOT_HEADER);
    uint8_t header[HEADER];

    if (at > i->lower->size || i->lower->size - at < HEADER)
        return error_set(err, "'%s': VHD footer, offset %d: no header can be at 0x%" PRIx64 ", the file has 0x%" PRIx64
                         " bytes", i->file, FOOT_HEADER, at, i->lower->size);
    int status = image_read(i->lower, at, header, HEADER);
    if (status)
        return image_error(i, "VHD header cannot be read", status, err);
    v->at_table = ld64be(header + HEAD_TABLE);
    v->blocks = ld32be(header + HEAD_BLOCKS);
    v->block_size = ld32be(header + HEAD_BLOCK_SIZE);
    v->bitmap_size = align_up(v->block_size / SECTOR / 8, SECTOR);
    v->end = MAX(align_up(v->at_table + (uint64_t)v->blocks * 4, SECTOR), at + HEADER);
    return check_header(i, v, at, header, err);
}

static uint64_t block_place(const Vpc *v, uint32_t block)
{
    return v->table[block] == NOWHERE ? UINT64_MAX : (uint64_t)v->table[block] * SECTOR;
}

static uint64_t place_size(const Vpc *v) { return v->bitmap_size + v->block_size; }

/*
 * Each block within the file, behind the table, and apart from the others.  A host that lost power may have kept the last
 * entries and not the file's new size: some blocks behind its end are zeros, and no error.
 */
static gboolean check_table(Image *i, Vpc *v, GError **err)
{
    uint64_t first = v->at_table + (uint64_t)v->blocks * 4, last = i->lower->size + 16 * place_size(v), other;
    g_autofree uint64_t *places = g_new(uint64_t, v->blocks + 1);

    for (uint32_t k = 0; k < v->blocks; k++) {
        places[k] = block_place(v, k);
        if (places[k] == UINT64_MAX || (places[k] >= first && places[k] <= last))
            continue;
        return error_set(err, "'%s': VHD block table, offset 0x%" PRIx64 ": block %u lies at 0x%" PRIx64
                         ", not behind the table and within the file of 0x%" PRIx64 " bytes", i->file,
                         v->at_table + k * UINT64_C(4), k, places[k], i->lower->size);
    }
    int64_t one = sparse_overlap(places, v->blocks, place_size(v), &other);
    return one < 0 || error_set(err, "'%s': VHD block table, offset 0x%" PRIx64 ": block %" PRId64 " at 0x%" PRIx64
                                " overlaps block %" PRIu64, i->file, v->at_table + one * 4, one, places[one], other);
}

static gboolean read_table(Image *i, Vpc *v, GError **err)
{
    v->table = g_try_new(uint32_t, v->blocks);
    v->whole = g_try_malloc0(v->blocks / 8 + 1);
    int status = v->table && v->whole ? image_read(i->lower, v->at_table, v->table, (uint64_t)v->blocks * 4) : -ENOMEM;

    if (status)
        return image_error(i, "VHD block table cannot be read", status, err);
    for (uint32_t k = 0; k < v->blocks; k++) {
        v->table[k] = be32(v->table[k]);
        if (v->table[k] != NOWHERE)
            v->end = MAX(v->end, block_place(v, k) + place_size(v));
    }
    return TRUE;
}

static gboolean load(Image *i, Vpc *v, const ImageOptions *o, GError **err)
{
    if (!read_footer(i, v, err))
        return FALSE;
    i->size = align_down(disk_size(v->footer), SECTOR);
    switch (ld32be(v->footer + FOOT_TYPE)) {
    case TYPE_FIXED:
        if (i->lower->size < FOOTER || i->size > i->lower->size - FOOTER)
            i->size = align_down(i->lower->size - MIN(i->lower->size, FOOTER), SECTOR);
        return check_disk_size(i, v, err);
    case TYPE_DYNAMIC:
        return check_disk_size(i, v, err) && read_header(i, v, err) && read_table(i, v, err) &&
               (o->repair || check_table(i, v, err));
    case TYPE_DIFFERENCING:
        return error_set(err, "'%s' is a differencing VHD image: merge it into its parent first", i->file);
    default:
        return error_set(err, "'%s': VHD footer: disk type %u is not known", i->file, ld32be(v->footer + FOOT_TYPE));
    }
}

static const SparseOps vpc_sparse_ops;

static gboolean vpc_open(Image *i, const ImageOptions *o, GError **err)
{
    Vpc *v = (Vpc *)i;

    sparse_init(&v->s, &vpc_sparse_ops);
    return load(i, v, o, err) || open_failed(o, err);
}

static void vpc_close(Image *i)
{
    Vpc *v = (Vpc *)i;

    g_free(v->table);
    g_free(v->whole);
    sparse_clear(&v->s);
}

/* ---- bytes ---- */

static bool bit_set(const uint8_t *bitmap, uint64_t n) { return bitmap[n / 8] >> (7 - n % 8) & 1; }

static int read_bitmap(Image *i, uint32_t block, uint8_t *bitmap)
{
    return image_read(i->lower, block_place((Vpc *)i, block), bitmap, ((Vpc *)i)->bitmap_size);
}

/*
 * A sector whose bit is clear was never written and reads as zeros, whatever lies in its place.  Programs seldom leave
 * one clear, so the bitmap is read once in most cases; but bits of `whole` are set by readers, atomically for that.
 */
static int find_in_bitmap(Image *i, uint32_t block, uint64_t in_block, SparseRun *run)
{
    Vpc *v = (Vpc *)i;
    uint64_t sectors = v->block_size / SECTOR, first = in_block / SECTOR, end = first, k = 0;
    g_autofree uint8_t *bitmap = NULL;

    if (__atomic_load_n(&v->whole[block / 8], __ATOMIC_RELAXED) >> block % 8 & 1)
        return 0;
    bitmap = g_malloc(v->bitmap_size);
    int status = read_bitmap(i, block, bitmap);
    if (status)
        return status;
    while (k < sectors && bit_set(bitmap, k))
        k++;
    if (k == sectors)
        __atomic_or_fetch(&v->whole[block / 8], 1 << block % 8, __ATOMIC_RELAXED);
    while (end < sectors && bit_set(bitmap, end) == bit_set(bitmap, first))
        end++;
    run->length = MIN(run->length, end * SECTOR - in_block);
    if (!bit_set(bitmap, first))
        run->kind = SPARSE_NONE;
    return 0;
}

static int vpc_find(Image *i, uint64_t offset, uint64_t size, SparseRun *run)
{
    Vpc *v = (Vpc *)i;

    *run = (SparseRun){ .kind = SPARSE_DATA, .length = size, .file = i->lower, .at = offset };
    if (!v->table)
        return 0;
    uint32_t block = offset / v->block_size;
    uint64_t in_block = offset % v->block_size;
    run->length = MIN(size, v->block_size - in_block);
    if (v->table[block] == NOWHERE) {
        run->kind = SPARSE_NONE;
        return 0;
    }
    run->at = block_place(v, block) + v->bitmap_size + in_block;
    return find_in_bitmap(i, block, in_block, run);
}

/* Gives never written sectors of a block their zeros, and sets their bits: then it is as new ones are. */
static int complete_block(Image *i, uint32_t block)
{
    Vpc *v = (Vpc *)i;
    g_autofree uint8_t *bitmap = g_malloc(v->bitmap_size);
    int status = read_bitmap(i, block, bitmap);

    for (uint64_t k = 0; k < v->block_size / SECTOR && !status; k++)
        if (!bit_set(bitmap, k))
            status = image_write_zeroes(i->lower, block_place(v, block) + v->bitmap_size + k * SECTOR, SECTOR, false);
    memset(bitmap, 0xff, v->bitmap_size);
    return status ? status : image_write(i->lower, block_place(v, block), bitmap, v->bitmap_size);
}

/*
 * The new footer comes first, then the block in place of the old one, then the table's entry: at each moment the file has
 * all that it had, and its copy of the footer in front.
 */
static int new_block(Image *i, uint32_t block, uint64_t offset, const void *buf, uint64_t size)
{
    Vpc *v = (Vpc *)i;
    uint64_t at = v->end, end = at + place_size(v), data = at + v->bitmap_size;
    g_autofree uint8_t *bitmap = g_malloc(v->bitmap_size);
    uint8_t entry[4];
    int status = at / SECTOR < NOWHERE ? sparse_make_room(i->lower, end, FOOTER) : -EFBIG;

    if (!status)
        status = image_write(i->lower, end, v->footer, FOOTER);
    if (!status && i->lower->size > end + FOOTER)
        status = image_resize(i->lower, end + FOOTER);
    memset(bitmap, 0xff, v->bitmap_size);
    if (!status)
        status = sparse_fill(i, i->lower, data, block * v->block_size, v->block_size, offset, buf, size);
    if (!status)
        status = image_write(i->lower, at, bitmap, v->bitmap_size);
    st32be(entry, at / SECTOR);
    if (!status)
        status = image_write(i->lower, v->at_table + block * UINT64_C(4), entry, sizeof entry);
    if (status)
        return status;
    v->table[block] = at / SECTOR;
    v->end = end;
    return 0;
}

static int vpc_allocate(Image *i, uint64_t offset, const void *buf, uint64_t *size)
{
    Vpc *v = (Vpc *)i;
    uint32_t block = offset / v->block_size;
    SparseRun run;

    if (v->table[block] == NOWHERE)
        return new_block(i, block, offset, buf, *size);
    int status = complete_block(i, block);
    if (!status)
        status = vpc_find(i, offset, *size, &run);
    if (status)
        return status;
    *size = run.length;
    return image_write(run.file, run.at, buf, run.length);
}

static const SparseOps vpc_sparse_ops = { .find = vpc_find, .allocate = vpc_allocate };

/* ---- checking, information ---- */

static gboolean vpc_check(Image *i, ImageCheck *c, GError **err)
{
    Vpc *v = (Vpc *)i;
    g_autoptr(GError) problem = NULL;
    (void)err;

    if (!v->table) {
        c->end = i->lower->size;
        c->allocated = c->total = i->size / SECTOR;
        return TRUE;
    }
    c->total = v->blocks;
    for (uint32_t k = 0; k < v->blocks; k++)
        c->allocated += v->table[k] != NOWHERE;
    c->end = v->end + FOOTER;
    if (!check_table(i, v, &problem)) {
        c->corruptions++;
        check_tell(c, "%s", problem->message);
    }
    return TRUE;
}

static void vpc_info(Image *i, GPtrArray *pairs)
{
    Vpc *v = (Vpc *)i;

    info_add(pairs, "subformat", "%s", v->table ? "dynamic" : "fixed");
    info_add(pairs, "creator", "%.4s", (const char *)v->footer + FOOT_CREATOR);
    if (v->table)
        info_add(pairs, "cluster_size", "%" PRIu64, v->block_size);
}

/* ---- creating ---- */

enum { BLOCK = 2 * MiB };

/* The specification's "CHS calculation". */
static void make_geometry(uint64_t size, uint8_t *geometry)
{
    uint64_t sectors = MIN(size / SECTOR, UINT64_C(65535) * 16 * 255), per_track = 17, heads, cylinders_heads;

    if (sectors >= UINT64_C(65535) * 16 * 63) {
        per_track = 255, heads = 16;
        cylinders_heads = sectors / per_track;
    } else {
        cylinders_heads = sectors / per_track;
        heads = MAX((cylinders_heads + 1023) / 1024, 4);
        if (cylinders_heads >= heads * 1024 || heads > 16)
            per_track = 31, heads = 16, cylinders_heads = sectors / per_track;
        if (cylinders_heads >= heads * 1024)
            per_track = 63, heads = 16, cylinders_heads = sectors / per_track;
    }
    st16be(geometry, cylinders_heads / heads);
    geometry[2] = heads;
    geometry[3] = per_track;
}

/* The least size whose geometry holds `size`: a guest of Virtual PC then sees all of it. */
static uint64_t round_to_geometry(uint64_t size)
{
    uint8_t geometry[4] = { 0 };

    if (size >= GEOMETRY_MAX)
        return size;
    for (uint64_t up = align_up(size, SECTOR);; up += SECTOR) {
        make_geometry(up, geometry);
        if (geometry_size(geometry) >= size)
            return geometry_size(geometry);
    }
}

/* "qem2" is the mark by which QEMU knows that the size counts, and not the geometry; "win " would say Hyper-V made it. */
static void make_footer(uint8_t *f, uint64_t size, bool fixed, bool exact)
{
    memcpy(f, FOOTER_MAGIC, 8);
    st32be(f + FOOT_FEATURES, 2); /* always set */
    st32be(f + FOOT_VERSION, VERSION);
    st64be(f + FOOT_HEADER, fixed ? UINT64_MAX : FOOTER);
    st32be(f + FOOT_TIME, MAX(time(NULL) - EPOCH, 0));
    memcpy(f + FOOT_CREATOR, exact ? "qem2" : "myna", 4);
    st32be(f + FOOT_CREATOR_VERSION, 0x00010000);
    memcpy(f + FOOT_CREATOR_HOST, "Wi2k", 4);
    st64be(f + FOOT_ORIGINAL_SIZE, size);
    st64be(f + FOOT_SIZE, size);
    make_geometry(size, f + FOOT_GEOMETRY);
    st32be(f + FOOT_TYPE, fixed ? TYPE_FIXED : TYPE_DYNAMIC);
    make_uuid(f + FOOT_UUID);
    st32be(f + FOOT_CHECKSUM, checksum(f, FOOTER, FOOT_CHECKSUM));
}

static void make_header(uint8_t *h, uint32_t blocks)
{
    memcpy(h, HEADER_MAGIC, 8);
    st64be(h + HEAD_NEXT, UINT64_MAX);
    st64be(h + HEAD_TABLE, FOOTER + HEADER);
    st32be(h + HEAD_VERSION, VERSION);
    st32be(h + HEAD_BLOCKS, blocks);
    st32be(h + HEAD_BLOCK_SIZE, BLOCK);
    st32be(h + HEAD_CHECKSUM, checksum(h, HEADER, HEAD_CHECKSUM));
}

static int write_dynamic(Image *file, const uint8_t *footer, uint32_t blocks)
{
    uint8_t header[HEADER] = { 0 };
    uint64_t table_size = align_up((uint64_t)blocks * 4, SECTOR);
    g_autofree uint8_t *table = g_malloc(table_size);
    int status = image_write(file, 0, footer, FOOTER);

    make_header(header, blocks);
    memset(table, 0xff, table_size);
    if (!status)
        status = image_write(file, FOOTER, header, HEADER);
    if (!status)
        status = image_write(file, FOOTER + HEADER, table, table_size);
    return status ? status : image_write(file, FOOTER + HEADER + table_size, footer, FOOTER);
}

static gboolean vpc_create(const ImageCreate *c, GError **err)
{
    static const char *const subformats[] = { "dynamic", "fixed", NULL };
    uint8_t footer[FOOTER] = { 0 };
    unsigned fixed = 0;
    bool exact = true;

    if (!create_check_no_backing(c, "VHD", err) || !create_take_word(c, "subformat", subformats, &fixed, err) ||
        !create_take_bool(c, "force_size", &exact, err))
        return FALSE;
    uint64_t size = exact ? align_up(c->size, SECTOR) : round_to_geometry(c->size);
    if (!size || size > SIZE_MAX_BYTES)
        return error_set(err, "%s: a VHD image has from 512 bytes to 2040 GiB", c->who);
    make_footer(footer, size, fixed, exact);
    Image *file = create_file(c, c->file, fixed ? size : 0, err);
    if (!file)
        return FALSE;
    int status = fixed ? image_write(file, size, footer, FOOTER)
                       : write_dynamic(file, footer, (size + BLOCK - 1) / BLOCK);
    return create_end(c, file, status, err);
}

const ImageDriver image_driver_vpc = {
    .name = "vpc",
    .description = "Microsoft's VHD",
    .size = sizeof(Vpc),
    .probe = vpc_probe,
    .open = vpc_open,
    .close = vpc_close,
    .read = sparse_read,
    .write = sparse_write,
    .write_zeroes = sparse_write_zeroes,
    .discard = sparse_discard,
    .flush = sparse_flush,
    .map = sparse_map,
    .create = vpc_create,
    .create_help = "subformat=dynamic|fixed (dynamic)\n"
                   "force_size=BOOL (on): exactly the size asked for, not the next one that a geometry has",
    .check = vpc_check,
    .info = vpc_info,
};
