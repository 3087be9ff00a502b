/* VHDX's driver (vhdx.h): blocks and their table. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "backends/block/drivers.h"
#include "backends/block/format.h"
#include "backends/block/vhdx.h"
#include "core/error.h"
#include "util/endian.h"

#define TABLE_MAX (128 * MiB)
#define OFFSET_MASK (~(VHDX_UNIT - UINT64_C(1)))

static unsigned state_of(uint64_t entry) { return entry & 7; }
static uint64_t place_of(uint64_t entry) { return entry & OFFSET_MASK; }

/* Where a block's entry is in the file: behind each `ratio` of them is one for a bitmap (2.5). */
static uint64_t entry_at(const Vhdx *v, uint64_t block) { return v->bat.at + (block + block / v->ratio) * 8; }

/* ---- opening ---- */

static bool vhdx_probe(Image *lower, const uint8_t *head, size_t n, uint64_t size)
{
    (void)lower, (void)size;
    return n >= 8 && !memcmp(head, VHDX_FILE_MAGIC, 8);
}

static gboolean bad_entry(const Image *i, uint64_t block, const char *what, uint64_t entry, GError **err)
{
    const Vhdx *v = (const Vhdx *)i;

    return error_set(err, "'%s': VHDX block table, offset 0x%" PRIx64 ": block %" PRIu64 ", entry 0x%" PRIx64 ": %s", i->file,
                     entry_at(v, block), block, entry, what);
}

static bool overlaps(const Vhdx *v, uint64_t place, VhdxRegion r)
{
    return place < r.at + r.length && r.at < place + v->block_size;
}

/* Each block behind what comes first, within the file, and apart from the others. */
static gboolean check_table(Image *i, Vhdx *v, GError **err)
{
    g_autofree uint64_t *places = g_try_new(uint64_t, v->blocks);
    uint64_t other;

    if (!places)
        return image_error(i, "VHDX block table has no room in memory", -ENOMEM, err);
    for (uint64_t k = 0; k < v->blocks; k++) {
        uint64_t entry = v->table[k], place = place_of(entry);
        places[k] = state_of(entry) == VHDX_PRESENT ? place : UINT64_MAX;
        if (state_of(entry) == VHDX_PARTIAL || state_of(entry) == 4 || state_of(entry) == 5)
            return bad_entry(i, k, "its state is not possible", entry, err);
        if (state_of(entry) == VHDX_PRESENT && (place < VHDX_UNIT || place >= i->lower->size))
            return bad_entry(i, k, "it is not within the file", entry, err);
        if (state_of(entry) == VHDX_PRESENT &&
            (overlaps(v, place, v->bat) || overlaps(v, place, v->metadata) || overlaps(v, place, v->log)))
            return bad_entry(i, k, "it overlaps table, metadata or log", entry, err);
    }
    int64_t one = sparse_overlap(places, v->blocks, v->block_size, &other);
    return one < 0 || bad_entry(i, one, "it overlaps another block", v->table[one], err);
}

/* Packs the blocks' entries, which come in groups. */
static gboolean read_table(Image *i, Vhdx *v, GError **err)
{
    uint64_t entries = v->blocks + (v->blocks - 1) / v->ratio;

    if (entries * 8 > MIN(v->bat.length, TABLE_MAX))
        return error_set(err, "'%s': the VHDX block table, 0x%" PRIx64 " bytes at offset 0x%" PRIx64 ", cannot have %" PRIu64
                         " entries", i->file, v->bat.length, v->bat.at, entries);
    v->table = g_try_new(uint64_t, entries);
    int status = v->table ? image_read(i->lower, v->bat.at, v->table, entries * 8) : -ENOMEM;
    if (status)
        return image_error(i, "VHDX block table cannot be read", status, err);
    for (uint64_t k = 0; k < v->blocks; k++) {
        v->table[k] = le64(v->table[k + k / v->ratio]);
        if (place_of(v->table[k]) && place_of(v->table[k]) < INT64_MAX / 2)
            v->end = MAX(v->end, place_of(v->table[k]) + v->block_size);
    }
    return TRUE;
}

static gboolean load(Image *i, Vhdx *v, const ImageOptions *o, GError **err)
{
    char magic[8];
    int status = image_read(i->lower, 0, magic, sizeof magic);

    if (status)
        return image_error(i, "cannot be read", status, err);
    if (memcmp(magic, VHDX_FILE_MAGIC, 8))
        return error_set(err, "'%s' is no VHDX image: no '%s' at offset 0", i->file, VHDX_FILE_MAGIC);
    if (!vhdx_read_header(i, v, err) || !vhdx_log_replay(i, v, err) || !vhdx_read_regions(i, v, err) ||
        !vhdx_read_metadata(i, v, err))
        return FALSE;
    v->blocks = (i->size + v->block_size - 1) / v->block_size;
    v->ratio = BIT(23) * v->sector_size / v->block_size;
    v->log_sequence = 1;
    return read_table(i, v, err) && (o->repair || check_table(i, v, err));
}

static const SparseOps vhdx_sparse_ops;

static gboolean vhdx_open(Image *i, const ImageOptions *o, GError **err)
{
    Vhdx *v = (Vhdx *)i;

    sparse_init(&v->s, &vhdx_sparse_ops);
    return load(i, v, o, err) || open_failed(o, err);
}

static void vhdx_close(Image *i)
{
    Vhdx *v = (Vhdx *)i;

    vhdx_end(v);
    g_free(v->table);
    sparse_clear(&v->s);
}

/* ---- bytes ---- */

static SparseKind kind_of(uint64_t entry)
{
    switch (state_of(entry)) {
    case VHDX_PRESENT: return SPARSE_DATA;
    case VHDX_ZERO:
    case VHDX_UNMAPPED: return SPARSE_ZERO;
    default: return SPARSE_NONE;
    }
}

static int vhdx_find(Image *i, uint64_t offset, uint64_t size, SparseRun *run)
{
    Vhdx *v = (Vhdx *)i;
    uint64_t block = offset / v->block_size, in_block = offset % v->block_size, length = v->block_size - in_block;
    uint64_t place = place_of(v->table[block]);

    *run = (SparseRun){ .kind = kind_of(v->table[block]), .file = i->lower, .at = place + in_block };
    while (length < size && kind_of(v->table[++block]) == run->kind) {
        place += v->block_size;
        if (run->kind == SPARSE_DATA && place_of(v->table[block]) != place)
            break;
        length += v->block_size;
    }
    run->length = MIN(length, size);
    return 0;
}

/* The entry, with its neighbours as they are, through the log. */
static int set_entry(Image *i, uint64_t block, uint64_t entry)
{
    Vhdx *v = (Vhdx *)i;
    uint64_t at = entry_at(v, block), sector_at = align_down(at, VHDX_LOG_SECTOR);
    uint8_t sector[VHDX_LOG_SECTOR];
    int status = image_read(i->lower, sector_at, sector, sizeof sector);

    st64le(sector + (at - sector_at), entry);
    if (!status)
        status = vhdx_log_write(v, sector_at, sector);
    if (!status)
        v->table[block] = entry;
    return status;
}

static int vhdx_allocate(Image *i, uint64_t offset, const void *buf, uint64_t *size)
{
    Vhdx *v = (Vhdx *)i;
    uint64_t block = offset / v->block_size, start = block * v->block_size, at = align_up(v->end, VHDX_UNIT);
    int status = vhdx_begin(v);

    *size = MIN(*size, v->block_size - (offset - start));
    if (!status)
        status = sparse_fill(i, i->lower, at, start, v->block_size, offset, buf, *size);
    if (!status)
        status = set_entry(i, block, at | VHDX_PRESENT);
    if (!status)
        v->end = at + v->block_size;
    return status;
}

static const SparseOps vhdx_sparse_ops = { .find = vhdx_find, .allocate = vhdx_allocate };

/* The file's GUIDs change before the first change of anything else (2.2.2). */
static int begin(Image *i)
{
    Vhdx *v = (Vhdx *)i;

    if (__atomic_load_n(&v->begun, __ATOMIC_ACQUIRE))
        return 0;
    g_rw_lock_writer_lock(&v->s.lock);
    int status = vhdx_begin(v);
    g_rw_lock_writer_unlock(&v->s.lock);
    return status;
}

static int vhdx_write(Image *i, uint64_t offset, const void *buf, uint64_t size)
{
    int status = begin(i);
    return status ? status : sparse_write(i, offset, buf, size);
}

static int vhdx_write_zeroes(Image *i, uint64_t offset, uint64_t size, bool may_unmap)
{
    int status = begin(i);
    return status ? status : sparse_write_zeroes(i, offset, size, may_unmap);
}

static int vhdx_discard(Image *i, uint64_t offset, uint64_t size)
{
    int status = begin(i);
    return status ? status : sparse_discard(i, offset, size);
}

/* ---- checking, information ---- */

static gboolean vhdx_check(Image *i, ImageCheck *c, GError **err)
{
    Vhdx *v = (Vhdx *)i;
    g_autoptr(GError) problem = NULL;
    (void)err;

    c->total = v->blocks;
    for (uint64_t k = 0; k < v->blocks; k++)
        c->allocated += state_of(v->table[k]) == VHDX_PRESENT;
    c->end = v->end;
    if (!check_table(i, v, &problem)) {
        c->corruptions++;
        check_tell(c, "%s", problem->message);
    }
    return TRUE;
}

static void vhdx_info(Image *i, GPtrArray *pairs)
{
    Vhdx *v = (Vhdx *)i;

    info_add(pairs, "subformat", "%s", v->flags & VHDX_LEAVE_ALLOCATED ? "fixed" : "dynamic");
    info_add(pairs, "cluster_size", "%u", v->block_size);
    info_add(pairs, "log size", "%" PRIu64, v->log.length);
    info_add(pairs, "sector size", "%u", v->sector_size);
}

const ImageDriver image_driver_vhdx = {
    .name = "vhdx",
    .description = "Hyper-V's disk image",
    .size = sizeof(Vhdx),
    .probe = vhdx_probe,
    .open = vhdx_open,
    .close = vhdx_close,
    .read = sparse_read,
    .write = vhdx_write,
    .write_zeroes = vhdx_write_zeroes,
    .discard = vhdx_discard,
    .flush = sparse_flush,
    .map = sparse_map,
    .create = vhdx_create,
    .create_help = VHDX_CREATE_HELP,
    .check = vhdx_check,
    .info = vhdx_info,
};
