/*
 * VMDK's sparse extents (vmdk.h).  Grain tables are read when they are first needed, and stay.  New grains come at the
 * file's end: the grain, then its entry in the redundant table, then that in the table.
 *
 * "Stream-optimised" extents have their grains compressed (RFC 1950), each behind a marker with its sector and size.  A
 * grain that is written again is compressed anew at the end of the file, and the room of the old one is lost.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include "backends/block/format.h"
#include "backends/block/vmdk.h"
#include "core/error.h"
#include "core/log.h"
#include "util/bits.h"
#include "util/endian.h"

#define ZERO_GRAIN 1
#define AT_END UINT64_MAX /* of the directory: it is in the footer's */
#define STEP (16 * MiB)

enum {
    ENTRIES_MAX = 512,
    TABLES_MAX = 1 << 20,
    MARKER_DATA = 12, /* in a grain's marker: sector (8), size of data (4) */
};

/* ---- opening ---- */

static gboolean bad(const Image *file, GError **err, uint64_t at, const char *what, uint64_t value)
{
    return error_set(err, "'%s': VMDK header, offset 0x%" PRIx64 ": %s 0x%" PRIx64 " is not possible", file->file, at,
                     what, value);
}

/* The header, or, when it leaves that to it, the footer's copy before the last sector. */
static gboolean read_header(VmdkSparse *s, uint8_t *h, uint64_t *at, GError **err)
{
    Image *file = s->file;
    int status = image_read(file, 0, h, VMDK_SECTOR);

    *at = 0;
    if (!status && ld64le(h + VMDK_DIRECTORY) == AT_END && file->size >= 3 * VMDK_SECTOR) {
        s->streamed = true;
        *at = align_down(file->size, VMDK_SECTOR) - 2 * VMDK_SECTOR;
        status = image_read(file, *at, h, VMDK_SECTOR);
    }
    if (status)
        return image_error(file, "VMDK header cannot be read", status, err);
    if (memcmp(h, VMDK_MAGIC, 4))
        return error_set(err, "'%s' is no sparse VMDK extent: no '%s' at offset 0x%" PRIx64, file->file, VMDK_MAGIC, *at);
    return TRUE;
}

static gboolean check_header(const VmdkSparse *s, const uint8_t *h, uint64_t at, GError **err)
{
    uint32_t version = ld32le(h + VMDK_VERSION), flags = ld32le(h + VMDK_FLAGS);
    uint64_t grain = ld64le(h + VMDK_GRAIN), capacity = ld64le(h + VMDK_CAPACITY);

    if (version < 1 || version > 3)
        return error_set(err, "'%s': VMDK version %u is not supported, only 1 to 3", s->file->file, version);
    if ((flags & VMDK_FLAG_NEWLINES) && memcmp(h + VMDK_NEWLINES, "\n \r\n", 4))
        return error_set(err, "'%s': VMDK header, offset 0x%" PRIx64 ": line ends have been converted; transfer the "
                         "image as binary data", s->file->file, at + VMDK_NEWLINES);
    if (!is_power_of_2(grain) || grain < 8 || grain > 32 * KiB)
        return bad(s->file, err, at + VMDK_GRAIN, "grain size", grain);
    if (s->entries < 1 || s->entries > ENTRIES_MAX)
        return bad(s->file, err, at + VMDK_ENTRIES, "size of a grain table", s->entries);
    if (!capacity || capacity > INT64_MAX / VMDK_SECTOR || s->tables > TABLES_MAX)
        return bad(s->file, err, at + VMDK_CAPACITY, "capacity", capacity);
    if (s->compressed && ld16le(h + VMDK_COMPRESSION) != 1)
        return bad(s->file, err, at + VMDK_COMPRESSION, "compression", ld16le(h + VMDK_COMPRESSION));
    return TRUE;
}

static uint64_t sectors_at(const uint8_t *h, unsigned at)
{
    return MIN(ld64le(h + at), INT64_MAX / VMDK_SECTOR) * VMDK_SECTOR;
}

static gboolean take_header(VmdkSparse *s, const uint8_t *h, uint64_t at, GError **err)
{
    uint32_t flags = ld32le(h + VMDK_FLAGS);

    s->entries = ld32le(h + VMDK_ENTRIES);
    s->size = sectors_at(h, VMDK_CAPACITY);
    s->grain = sectors_at(h, VMDK_GRAIN);
    s->compressed = flags & VMDK_FLAG_COMPRESSED;
    s->markers = flags & VMDK_FLAG_MARKERS;
    s->zero_grains = flags & VMDK_FLAG_ZERO_GRAINS;
    s->at_directory = sectors_at(h, VMDK_DIRECTORY);
    s->at_redundant = flags & VMDK_FLAG_REDUNDANT ? sectors_at(h, VMDK_REDUNDANT) : 0;
    s->at_descriptor = sectors_at(h, VMDK_DESCRIPTOR);
    s->descriptor_size = sectors_at(h, VMDK_DESCRIPTOR_SIZE);
    uint64_t per_table = s->entries && s->grain && s->grain <= GiB ? s->entries * s->grain : UINT64_MAX;
    s->tables = s->size / per_table + !!(s->size % per_table);
    return check_header(s, h, at, err);
}

/* A directory; its tables must lie within the file. */
static uint32_t *read_directory(const VmdkSparse *s, uint64_t at, GError **err)
{
    uint64_t size = s->tables * 4, table_size = s->entries * 4;
    g_autofree uint32_t *directory = g_try_new(uint32_t, s->tables);
    int status = directory ? 0 : -ENOMEM;

    if (at < VMDK_SECTOR || at > s->file->size || size > s->file->size - at) {
        error_set(err, "'%s': VMDK grain directory, %" PRIu64 " entries at offset 0x%" PRIx64 ", is not within the file",
                  s->file->file, s->tables, at);
        return NULL;
    }
    if (!status)
        status = image_read(s->file, at, directory, size);
    if (status) {
        image_error(s->file, "VMDK grain directory cannot be read", status, err);
        return NULL;
    }
    for (uint64_t k = 0; k < s->tables; k++) {
        uint64_t table = (uint64_t)(directory[k] = le32(directory[k])) * VMDK_SECTOR;
        if (table > s->file->size || (table && table_size > s->file->size - table)) {
            error_set(err, "'%s': VMDK grain directory, offset 0x%" PRIx64 ": the grain table at 0x%" PRIx64
                      " is not within the file", s->file->file, at + k * 4, table);
            return NULL;
        }
    }
    return g_steal_pointer(&directory);
}

gboolean vmdk_sparse_open(VmdkSparse *s, Image *file, GError **err)
{
    uint8_t header[VMDK_SECTOR];
    uint64_t at;

    *s = (VmdkSparse){ .file = file };
    if (!read_header(s, header, &at, err) || !take_header(s, header, at, err))
        return FALSE;
    s->end = align_up(file->size, s->compressed ? VMDK_SECTOR : s->grain);
    s->loaded = g_try_new0(uint32_t *, s->tables);
    if (!s->loaded)
        return image_error(file, "VMDK grain tables have no room in memory", -ENOMEM, err);
    s->directory = read_directory(s, s->at_directory, err);
    if (!s->directory)
        return FALSE;
    if (s->at_redundant)
        s->redundant = read_directory(s, s->at_redundant, err);
    return s->redundant || !s->at_redundant;
}

void vmdk_sparse_clear(VmdkSparse *s)
{
    if (s->grown)
        image_resize(s->file, s->end);
    for (uint64_t k = 0; s->loaded && k < s->tables; k++)
        g_free(s->loaded[k]);
    g_free(s->loaded);
    g_free(s->directory);
    g_free(s->redundant);
}

/* ---- tables ---- */

/* Two readers may load a table at once: the first one's stays. */
static int load_table(VmdkSparse *s, uint64_t n, uint32_t **table)
{
    g_autofree uint32_t *fresh = NULL;
    uint32_t *old = NULL;

    *table = __atomic_load_n(&s->loaded[n], __ATOMIC_ACQUIRE);
    if (*table)
        return 0;
    fresh = g_try_new0(uint32_t, s->entries);
    int status = fresh ? 0 : -ENOMEM;
    if (!status && s->directory[n])
        status = image_read(s->file, (uint64_t)s->directory[n] * VMDK_SECTOR, fresh, s->entries * 4);
    if (status)
        return status;
    for (uint64_t k = 0; k < s->entries; k++)
        fresh[k] = le32(fresh[k]);
    if (__atomic_compare_exchange_n(&s->loaded[n], &old, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        *table = g_steal_pointer(&fresh);
    else
        *table = old;
    return 0;
}

static SparseKind kind_of(const VmdkSparse *s, uint32_t entry)
{
    if (!entry)
        return SPARSE_NONE;
    if (entry == ZERO_GRAIN && s->zero_grains)
        return SPARSE_ZERO;
    return s->compressed ? SPARSE_COMPRESSED : SPARSE_DATA;
}

static uint64_t entry_at(const VmdkSparse *s, uint64_t grain)
{
    return (uint64_t)s->directory[grain / s->entries] * VMDK_SECTOR + grain % s->entries * 4;
}

/* Whether a grain can lie there; the last one may reach beyond the file's end, and is zeros there. */
static bool place_ok(const VmdkSparse *s, uint32_t entry)
{
    uint64_t at = (uint64_t)entry * VMDK_SECTOR;
    return at < MAX(s->file->size, s->end);
}

static int bad_place(const VmdkSparse *s, uint64_t grain, uint32_t entry)
{
    log_user("'%s': VMDK grain table, offset 0x%" PRIx64 ": grain %" PRIu64 " lies at 0x%" PRIx64
             ", beyond the end of the file (0x%" PRIx64 ")", s->file->file, entry_at(s, grain), grain,
             (uint64_t)entry * VMDK_SECTOR, s->file->size);
    return -EIO;
}

int vmdk_sparse_find(VmdkSparse *s, uint64_t offset, uint64_t size, SparseRun *run)
{
    uint64_t grain = offset / s->grain, in_grain = offset % s->grain, length = s->grain - in_grain, k = grain % s->entries;
    uint32_t *table, entry;
    int status = load_table(s, grain / s->entries, &table);

    if (status)
        return status;
    entry = table[k];
    *run = (SparseRun){ .kind = kind_of(s, entry), .file = s->file, .at = (uint64_t)entry * VMDK_SECTOR };
    if (entry > ZERO_GRAIN && !place_ok(s, entry))
        return bad_place(s, grain, entry);
    if (run->kind == SPARSE_DATA)
        run->at += in_grain;
    while (length < size && ++k < s->entries && run->kind != SPARSE_COMPRESSED) {
        entry += s->grain / VMDK_SECTOR;
        if (kind_of(s, table[k]) != run->kind || (run->kind == SPARSE_DATA && (table[k] != entry || !place_ok(s, entry))))
            break;
        length += s->grain;
    }
    run->length = MIN(length, size);
    return 0;
}

/* ---- compressed grains ---- */

/* zlib checks what it has expanded by an Adler-32. */
static int expand(uint8_t *to, uint64_t size, const uint8_t *from, uint64_t length)
{
    uLongf got = size;

    if (uncompress(to, &got, from, length) != Z_OK)
        return -EIO;
    memset(to + got, 0, size - got);
    return 0;
}

static int bad_grain(const VmdkSparse *s, uint64_t at, uint64_t grain)
{
    log_user("'%s': VMDK grain %" PRIu64 ", offset 0x%" PRIx64 ": the compressed data is damaged", s->file->file, grain, at);
    return -EIO;
}

static int read_grain(VmdkSparse *s, uint64_t at, uint64_t grain, uint8_t *to)
{
    uint64_t most = compressBound(s->grain) + VMDK_SECTOR, length = most;
    g_autofree uint8_t *data = g_malloc(most);
    uint8_t marker[MARKER_DATA];
    int status = s->markers ? image_read(s->file, at, marker, MARKER_DATA) : 0;

    if (!status && s->markers) {
        length = ld32le(marker + 8);
        if (ld64le(marker) != grain * (s->grain / VMDK_SECTOR) || length > most)
            return bad_grain(s, at, grain);
    }
    if (!status)
        status = image_read(s->file, at + (s->markers ? MARKER_DATA : 0), data, length);
    if (!status && expand(to, s->grain, data, length))
        return bad_grain(s, at, grain);
    return status;
}

int vmdk_sparse_read_compressed(VmdkSparse *s, const SparseRun *run, uint64_t offset, void *buf, uint64_t size)
{
    g_autofree uint8_t *data = g_malloc(s->grain);
    int status = read_grain(s, run->at, offset / s->grain, data);

    if (!status)
        memcpy(buf, data + offset % s->grain, size);
    return status;
}

/* ---- new grains ---- */

/*
 * The file grows in steps, each on stable storage before anything in it is used: else a host that loses power may keep an
 * entry and not the file's size, and the same place would be given out again.
 */
static int take_room(VmdkSparse *s, uint64_t size, uint64_t *at)
{
    int status = 0;

    if (s->streamed || (s->end + size) / VMDK_SECTOR > UINT32_MAX)
        return s->streamed ? -EROFS : -EFBIG;
    if (s->end + size > s->file->size) {
        status = image_resize(s->file, s->end + MAX(size, STEP));
        if (status == -ENOTSUP)
            status = -ENOSPC;
        s->grown |= !status;
        if (!status)
            status = image_flush(s->file);
    }
    if (status)
        return status;
    *at = s->end;
    s->end += align_up(size, s->compressed ? VMDK_SECTOR : s->grain);
    return 0;
}

static int write_u32(Image *file, uint64_t at, uint32_t value)
{
    uint8_t bytes[4];

    st32le(bytes, value);
    return image_write(file, at, bytes, sizeof bytes);
}

/* A table of zeros for grains that have none yet, or its redundant copy. */
static int make_table(VmdkSparse *s, uint32_t *directory, uint64_t at_directory, uint64_t n)
{
    uint64_t at;

    if (directory[n])
        return 0;
    int status = take_room(s, s->entries * 4, &at);
    if (!status)
        status = write_u32(s->file, at_directory + n * 4, at / VMDK_SECTOR);
    if (!status)
        directory[n] = at / VMDK_SECTOR;
    return status;
}

static int set_entry(VmdkSparse *s, uint64_t grain, uint64_t at)
{
    uint64_t n = grain / s->entries, k = grain % s->entries;
    uint32_t *table;
    int status = load_table(s, n, &table);

    if (!status && s->redundant)
        status = make_table(s, s->redundant, s->at_redundant, n);
    if (!status)
        status = make_table(s, s->directory, s->at_directory, n);
    if (!status && s->redundant)
        status = write_u32(s->file, (uint64_t)s->redundant[n] * VMDK_SECTOR + k * 4, at / VMDK_SECTOR);
    if (!status)
        status = write_u32(s->file, entry_at(s, grain), at / VMDK_SECTOR);
    if (!status)
        table[k] = at / VMDK_SECTOR;
    return status;
}

static int write_compressed(VmdkSparse *s, uint64_t grain, const uint8_t *data, uint64_t *at)
{
    uLongf length = compressBound(s->grain);
    uint64_t skip = s->markers ? MARKER_DATA : 0;
    g_autofree uint8_t *out = g_malloc0(align_up(skip + length, VMDK_SECTOR));

    if (compress(out + skip, &length, data, s->grain) != Z_OK)
        return -EIO;
    if (s->markers) {
        st64le(out, grain * (s->grain / VMDK_SECTOR));
        st32le(out + 8, length);
    }
    uint64_t size = align_up(skip + length, VMDK_SECTOR);
    memset(out + skip + length, 0, size - skip - length);
    int status = take_room(s, size, at);
    return status ? status : image_write(s->file, *at, out, size);
}

static int allocate_compressed(VmdkSparse *s, uint64_t offset, const void *buf, uint64_t size)
{
    uint64_t grain = offset / s->grain, at;
    g_autofree uint8_t *data = g_malloc0(s->grain);
    SparseRun run;
    int status = vmdk_sparse_find(s, offset, size, &run);

    if (!status && run.kind == SPARSE_COMPRESSED)
        status = read_grain(s, run.at, grain, data);
    memcpy(data + offset % s->grain, buf, size);
    if (!status)
        status = write_compressed(s, grain, data, &at);
    return status ? status : set_entry(s, grain, at);
}

int vmdk_sparse_allocate(Image *i, VmdkSparse *s, uint64_t start, uint64_t offset, const void *buf, uint64_t *size)
{
    uint64_t grain = offset / s->grain, first = grain * s->grain, at;

    *size = MIN(*size, s->grain - (offset - first));
    if (s->compressed)
        return allocate_compressed(s, offset, buf, *size);
    int status = take_room(s, s->grain, &at);
    if (!status)
        status = sparse_fill(i, s->file, at, start + first, s->grain, start + offset, buf, *size);
    return status ? status : set_entry(s, grain, at);
}

/* ---- checking ---- */

static void check_grain(VmdkSparse *s, uint64_t grain, uint32_t entry, ImageCheck *c)
{
    if (entry > ZERO_GRAIN && !place_ok(s, entry)) {
        c->corruptions++;
        check_tell(c, "'%s': VMDK grain table, offset 0x%" PRIx64 ": grain %" PRIu64 " lies at 0x%" PRIx64
                   ", beyond the end of the file", s->file->file, entry_at(s, grain), grain,
                   (uint64_t)entry * VMDK_SECTOR);
    } else if (kind_of(s, entry) >= SPARSE_DATA) {
        c->allocated++;
        c->compressed += s->compressed;
        c->end = MAX(c->end, (uint64_t)entry * VMDK_SECTOR + s->grain);
    }
}

static void check_overlap(VmdkSparse *s, const uint64_t *places, uint64_t grains, ImageCheck *c)
{
    uint64_t other;
    int64_t one = sparse_overlap(places, grains, s->compressed ? 1 : s->grain, &other);

    if (one < 0)
        return;
    c->corruptions++;
    check_tell(c, "'%s': VMDK grain table, offset 0x%" PRIx64 ": grain %" PRId64 " at 0x%" PRIx64 " overlaps grain %" PRIu64,
               s->file->file, entry_at(s, one), one, places[one], other);
}

void vmdk_sparse_check(VmdkSparse *s, ImageCheck *c)
{
    uint64_t grains = (s->size + s->grain - 1) / s->grain;
    g_autofree uint64_t *places = g_try_new(uint64_t, grains);
    uint32_t *table;

    c->total += grains;
    for (uint64_t k = 0; k < grains; k++) {
        int status = load_table(s, k / s->entries, &table);
        uint32_t entry = status ? 0 : table[k % s->entries];
        if (status && k % s->entries == 0) {
            c->corruptions++;
            check_tell(c, "'%s': VMDK grain table, offset 0x%" PRIx64 ": %s", s->file->file, entry_at(s, k),
                       g_strerror(-status));
        }
        check_grain(s, k, entry, c);
        if (places)
            places[k] = kind_of(s, entry) >= SPARSE_DATA ? (uint64_t)entry * VMDK_SECTOR : UINT64_MAX;
    }
    if (places)
        check_overlap(s, places, grains, c);
}
