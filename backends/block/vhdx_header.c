/* VHDX's headers, table of regions, and metadata (vhdx.h). */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "backends/block/vhdx.h"
#include "core/error.h"
#include "util/crc32c.h"
#include "util/endian.h"

const uint8_t vhdx_bat_guid[] = { 0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42, 0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd,
                                  0x4a, 0x08 };
const uint8_t vhdx_metadata_guid[] = { 0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f,
                                       0x88, 0x6e };
const uint8_t vhdx_parameters_guid[] = { 0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d, 0xb3, 0xb6, 0x33, 0xf0, 0xaa,
                                         0x44, 0xe7, 0x6b };
const uint8_t vhdx_size_guid[] = { 0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48, 0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b,
                                   0xf4, 0xb8 };
const uint8_t vhdx_disk_guid[] = { 0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23, 0x45, 0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00,
                                   0xc7, 0x46 };
const uint8_t vhdx_logical_guid[] = { 0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47, 0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa,
                                      0xab, 0x5f };
const uint8_t vhdx_physical_guid[] = { 0xc7, 0x48, 0xa3, 0xcd, 0x5d, 0x44, 0x71, 0x44, 0x9c, 0xc9, 0xe9, 0x88, 0x52, 0x51,
                                       0xc5, 0x56 };
const uint8_t vhdx_parent_guid[] = { 0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45, 0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34,
                                     0xab, 0x0c };

enum { LOG_MAX = 64 << 20 };

uint32_t vhdx_checksum(const uint8_t *p, size_t size)
{
    static const uint8_t zeros[4];
    uint32_t crc = crc32c(0, p, VHDX_CHECKSUM);

    crc = crc32c(crc, zeros, sizeof zeros);
    return crc32c(crc, p + VHDX_CHECKSUM + 4, size - VHDX_CHECKSUM - 4);
}

/* ---- headers (2.2.2) ---- */

static bool header_ok(const uint8_t *h)
{
    return !memcmp(h, VHDX_HEADER_MAGIC, 4) && ld32le(h + VHDX_CHECKSUM) == vhdx_checksum(h, VHDX_HEADER_SIZE);
}

static gboolean check_header(Image *i, Vhdx *v, uint64_t at, GError **err)
{
    if (ld16le(v->header + VHDX_VERSION) != 1)
        return error_set(err, "'%s': VHDX header, offset 0x%" PRIx64 ": version %u is not supported, only 1", i->file,
                         at + VHDX_VERSION, ld16le(v->header + VHDX_VERSION));
    if (ld16le(v->header + VHDX_LOG_VERSION))
        return error_set(err, "'%s': VHDX header, offset 0x%" PRIx64 ": log version %u is not supported, only 0", i->file,
                         at + VHDX_LOG_VERSION, ld16le(v->header + VHDX_LOG_VERSION));
    v->log = (VhdxRegion){ ld64le(v->header + VHDX_LOG_OFFSET), ld32le(v->header + VHDX_LOG_LENGTH) };
    if (v->log.at % VHDX_UNIT || v->log.length % VHDX_UNIT || v->log.at < VHDX_UNIT || !v->log.length ||
        v->log.length > LOG_MAX || v->log.at > i->lower->size || v->log.length > i->lower->size - v->log.at)
        return error_set(err, "'%s': VHDX header, offset 0x%" PRIx64 ": the log, 0x%" PRIx64 " bytes at 0x%" PRIx64
                         ", is not possible", i->file, at + VHDX_LOG_LENGTH, v->log.length, v->log.at);
    return TRUE;
}

/* The valid one with the greater sequence number. */
gboolean vhdx_read_header(Image *i, Vhdx *v, GError **err)
{
    g_autofree uint8_t *both = g_malloc(2 * VHDX_HEADER_SIZE);
    bool ok[2];

    for (unsigned k = 0; k < 2; k++) {
        uint8_t *h = both + k * VHDX_HEADER_SIZE;
        int status = image_read(i->lower, VHDX_AT_HEADERS * (k + 1), h, VHDX_HEADER_SIZE);
        if (status)
            return image_error(i, "VHDX header cannot be read", status, err);
        ok[k] = header_ok(h);
    }
    if (!ok[0] && !ok[1])
        return error_set(err, "'%s': both VHDX headers, at offsets 0x%x and 0x%x, have a wrong checksum or signature",
                         i->file, VHDX_AT_HEADERS, 2 * VHDX_AT_HEADERS);
    v->current = ok[1] && (!ok[0] || ld64le(both + VHDX_HEADER_SIZE + VHDX_SEQUENCE) > ld64le(both + VHDX_SEQUENCE));
    memcpy(v->header, both + v->current * VHDX_HEADER_SIZE, VHDX_HEADER_SIZE);
    return check_header(i, v, VHDX_AT_HEADERS * (v->current + 1), err);
}

int vhdx_write_header(Vhdx *v)
{
    Image *file = v->s.image.lower;
    unsigned other = !v->current;

    st64le(v->header + VHDX_SEQUENCE, ld64le(v->header + VHDX_SEQUENCE) + 1);
    st32le(v->header + VHDX_CHECKSUM, vhdx_checksum(v->header, VHDX_HEADER_SIZE));
    int status = image_write(file, VHDX_AT_HEADERS * (other + 1), v->header, VHDX_HEADER_SIZE);
    if (!status)
        status = image_flush(file);
    if (!status)
        v->current = other;
    return status;
}

/* ---- regions (2.2.3) ---- */

static gboolean take_region(Image *i, Vhdx *v, uint64_t at, const uint8_t *entry, GError **err)
{
    VhdxRegion region = { ld64le(entry + VHDX_REGION_OFFSET), ld32le(entry + VHDX_REGION_LENGTH) };
    bool bat = !memcmp(entry, vhdx_bat_guid, VHDX_GUID), metadata = !memcmp(entry, vhdx_metadata_guid, VHDX_GUID);

    if (region.at % VHDX_UNIT || region.at < VHDX_UNIT || region.length % VHDX_UNIT || !region.length ||
        region.at > i->lower->size || region.length > i->lower->size - region.at)
        return error_set(err, "'%s': VHDX region table, offset 0x%" PRIx64 ": a region of 0x%" PRIx64 " bytes at 0x%" PRIx64
                         " is not possible in a file of 0x%" PRIx64, i->file, at, region.length, region.at,
                         i->lower->size);
    if (!bat && !metadata)
        return !(ld32le(entry + VHDX_REGION_REQUIRED) & 1) ||
               error_set(err, "'%s': VHDX region table, offset 0x%" PRIx64 ": a region that is not known here must be "
                         "understood", i->file, at);
    v->end = MAX(v->end, region.at + region.length);
    *(bat ? &v->bat : &v->metadata) = region;
    return TRUE;
}

static bool overlap(VhdxRegion a, VhdxRegion b) { return a.at < b.at + b.length && b.at < a.at + a.length; }

static gboolean check_regions(Image *i, const Vhdx *v, GError **err)
{
    if (!v->bat.length || !v->metadata.length)
        return error_set(err, "'%s': VHDX region table: the region of the %s is missing", i->file,
                         v->bat.length ? "metadata" : "block table");
    if (overlap(v->bat, v->metadata) || overlap(v->bat, v->log) || overlap(v->metadata, v->log))
        return error_set(err, "'%s': VHDX: log (0x%" PRIx64 "), block table (0x%" PRIx64 ") and metadata (0x%" PRIx64
                         ") overlap", i->file, v->log.at, v->bat.at, v->metadata.at);
    return TRUE;
}

gboolean vhdx_read_regions(Image *i, Vhdx *v, GError **err)
{
    g_autofree uint8_t *table = g_malloc(VHDX_TABLE_SIZE);
    uint64_t at = VHDX_AT_REGIONS;
    bool ok = false;

    v->end = v->log.at + v->log.length;
    for (unsigned k = 0; k < 2 && !ok; k++) {
        at = VHDX_AT_REGIONS + k * VHDX_TABLE_SIZE;
        int status = image_read(i->lower, at, table, VHDX_TABLE_SIZE);
        if (status)
            return image_error(i, "VHDX region table cannot be read", status, err);
        ok = !memcmp(table, VHDX_REGIONS_MAGIC, 4) &&
             ld32le(table + VHDX_CHECKSUM) == vhdx_checksum(table, VHDX_TABLE_SIZE);
    }
    uint32_t count = ld32le(table + VHDX_REGIONS_COUNT);
    if (!ok || count > (VHDX_TABLE_SIZE - VHDX_REGIONS_HEAD) / VHDX_ENTRY)
        return error_set(err, "'%s': both VHDX region tables, at offsets 0x%x and 0x%x, have a wrong checksum, signature "
                         "or count", i->file, VHDX_AT_REGIONS, VHDX_AT_REGIONS + VHDX_TABLE_SIZE);
    for (uint32_t k = 0; k < count; k++) {
        uint32_t entry = VHDX_REGIONS_HEAD + k * VHDX_ENTRY;
        if (!take_region(i, v, at + entry, table + entry, err))
            return FALSE;
    }
    return check_regions(i, v, err);
}

/* ---- metadata (2.6) ---- */

/* Reads an item's first n bytes; FALSE: it is not there, or not as it should be. */
static gboolean read_item(Image *i, const Vhdx *v, const uint8_t *table, const uint8_t *guid, const char *name,
                          uint8_t *to, uint32_t n, GError **err)
{
    for (unsigned k = 0; k < ld16le(table + VHDX_METADATA_COUNT); k++) {
        const uint8_t *entry = table + VHDX_METADATA_HEAD + k * VHDX_ENTRY;
        uint64_t at = ld32le(entry + VHDX_ITEM_OFFSET), length = ld32le(entry + VHDX_ITEM_LENGTH);
        if (memcmp(entry, guid, VHDX_GUID))
            continue;
        if (at < VHDX_TABLE_SIZE || length < n || at + length > v->metadata.length)
            return error_set(err, "'%s': VHDX metadata, offset 0x%" PRIx64 ": %s, %" PRIu64 " bytes at 0x%" PRIx64
                             ", is not possible", i->file, v->metadata.at + (entry - table), name, length, at);
        int status = image_read(i->lower, v->metadata.at + at, to, n);
        return !status || image_error(i, "VHDX metadata cannot be read", status, err);
    }
    return error_set(err, "'%s': VHDX metadata, offset 0x%" PRIx64 ": %s is missing", i->file, v->metadata.at, name);
}

/* What must be understood to read the disk is known here, or the disk is not read. */
static gboolean check_items(Image *i, const Vhdx *v, const uint8_t *table, GError **err)
{
    const uint8_t *const known[] = { vhdx_parameters_guid, vhdx_size_guid, vhdx_disk_guid, vhdx_logical_guid,
                                     vhdx_physical_guid, vhdx_parent_guid };
    uint32_t count = ld16le(table + VHDX_METADATA_COUNT);

    if (memcmp(table, VHDX_METADATA_MAGIC, 8) || count > (VHDX_TABLE_SIZE - VHDX_METADATA_HEAD) / VHDX_ENTRY)
        return error_set(err, "'%s': VHDX metadata, offset 0x%" PRIx64 ": wrong signature or count", i->file,
                         v->metadata.at);
    for (uint32_t k = 0; k < count; k++) {
        const uint8_t *entry = table + VHDX_METADATA_HEAD + k * VHDX_ENTRY;
        bool found = !(ld32le(entry + VHDX_ITEM_FLAGS) & VHDX_ITEM_REQUIRED);
        for (unsigned n = 0; n < ARRAY_SIZE(known); n++)
            found |= !memcmp(entry, known[n], VHDX_GUID);
        if (!found)
            return error_set(err, "'%s': VHDX metadata, offset 0x%" PRIx64 ": an item that is not known here must be "
                             "understood", i->file, v->metadata.at + (entry - table));
    }
    return TRUE;
}

static gboolean check_values(Image *i, const Vhdx *v, GError **err)
{
    if (v->flags & VHDX_HAS_PARENT)
        return error_set(err, "'%s' is a differencing VHDX image: merge it into its parent (Merge-VHD) first", i->file);
    if (!is_power_of_2(v->block_size) || v->block_size < VHDX_UNIT || v->block_size > 256 * MiB)
        return error_set(err, "'%s': VHDX metadata: a block size of %u is not possible", i->file, v->block_size);
    if (v->sector_size != 512 && v->sector_size != 4096)
        return error_set(err, "'%s': VHDX metadata: a sector size of %u is not possible", i->file, v->sector_size);
    if (!i->size || i->size > VHDX_SIZE_MAX || i->size % v->sector_size)
        return error_set(err, "'%s': VHDX metadata: a disk of %" PRIu64 " bytes is not possible", i->file, i->size);
    return TRUE;
}

gboolean vhdx_read_metadata(Image *i, Vhdx *v, GError **err)
{
    g_autofree uint8_t *table = g_malloc(VHDX_TABLE_SIZE);
    uint8_t parameters[8], size[8], sector[4];
    int status = image_read(i->lower, v->metadata.at, table, VHDX_TABLE_SIZE);

    if (status)
        return image_error(i, "VHDX metadata cannot be read", status, err);
    if (!check_items(i, v, table, err) ||
        !read_item(i, v, table, vhdx_parameters_guid, "the file's parameters", parameters, sizeof parameters, err) ||
        !read_item(i, v, table, vhdx_size_guid, "the disk's size", size, sizeof size, err) ||
        !read_item(i, v, table, vhdx_logical_guid, "the sector size", sector, sizeof sector, err))
        return FALSE;
    v->block_size = ld32le(parameters);
    v->flags = ld32le(parameters + 4);
    v->sector_size = ld32le(sector);
    i->size = ld64le(size);
    return check_values(i, v, err);
}
