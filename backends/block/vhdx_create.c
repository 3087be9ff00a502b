/* Making VHDX images (vhdx.h): in this order headers, regions' tables, log, metadata, block table, blocks. */
#include <string.h>

#include "backends/block/format.h"
#include "backends/block/vhdx.h"
#include "core/error.h"
#include "util/endian.h"

typedef struct Plan {
    uint64_t size, block_size, log_size;
    unsigned fixed;
    uint64_t blocks, ratio;
    VhdxRegion log, metadata, bat;
} Plan;

enum { SECTOR_SIZE = 512, PHYSICAL_SIZE = 4096 };

/* As large as keeps the table small. */
static uint64_t usual_block_size(uint64_t size)
{
    return (size > 32 * 1024 * GiB ? 64 : size > 100 * GiB ? 32 : size > GiB ? 16 : 8) * MiB;
}

static void lay_out(Plan *p)
{
    p->blocks = (p->size + p->block_size - 1) / p->block_size;
    p->ratio = BIT(23) * SECTOR_SIZE / p->block_size;
    p->log = (VhdxRegion){ VHDX_UNIT, p->log_size };
    p->metadata = (VhdxRegion){ p->log.at + p->log.length, VHDX_UNIT };
    p->bat = (VhdxRegion){ p->metadata.at + p->metadata.length,
                           align_up((p->blocks + (p->blocks - 1) / p->ratio) * 8, VHDX_UNIT) };
}

static int write_id(Image *file)
{
    static const char creator[] = "Myna";
    uint8_t id[512 + 8] = VHDX_FILE_MAGIC;

    for (unsigned k = 0; k < sizeof creator; k++)
        st16le(id + 8 + 2 * k, creator[k]);
    return image_write(file, 0, id, sizeof id);
}

static int write_headers(Image *file, const Plan *p)
{
    g_autofree uint8_t *h = g_malloc0(VHDX_HEADER_SIZE);
    int status = 0;

    memcpy(h, VHDX_HEADER_MAGIC, 4);
    make_uuid(h + VHDX_FILE_GUID);
    make_uuid(h + VHDX_DATA_GUID);
    st16le(h + VHDX_VERSION, 1);
    st32le(h + VHDX_LOG_LENGTH, p->log.length);
    st64le(h + VHDX_LOG_OFFSET, p->log.at);
    for (unsigned k = 0; k < 2 && !status; k++) {
        st64le(h + VHDX_SEQUENCE, k + 1);
        st32le(h + VHDX_CHECKSUM, vhdx_checksum(h, VHDX_HEADER_SIZE));
        status = image_write(file, VHDX_AT_HEADERS * (k + 1), h, VHDX_HEADER_SIZE);
    }
    return status;
}

static void make_region(uint8_t *entry, const uint8_t *guid, VhdxRegion region)
{
    memcpy(entry, guid, VHDX_GUID);
    st64le(entry + VHDX_REGION_OFFSET, region.at);
    st32le(entry + VHDX_REGION_LENGTH, region.length);
    st32le(entry + VHDX_REGION_REQUIRED, 1);
}

static int write_regions(Image *file, const Plan *p)
{
    g_autofree uint8_t *table = g_malloc0(VHDX_TABLE_SIZE);

    memcpy(table, VHDX_REGIONS_MAGIC, 4);
    st32le(table + VHDX_REGIONS_COUNT, 2);
    make_region(table + VHDX_REGIONS_HEAD, vhdx_bat_guid, p->bat);
    make_region(table + VHDX_REGIONS_HEAD + VHDX_ENTRY, vhdx_metadata_guid, p->metadata);
    st32le(table + VHDX_CHECKSUM, vhdx_checksum(table, VHDX_TABLE_SIZE));
    int status = image_write(file, VHDX_AT_REGIONS, table, VHDX_TABLE_SIZE);
    return status ? status : image_write(file, VHDX_AT_REGIONS + VHDX_TABLE_SIZE, table, VHDX_TABLE_SIZE);
}

/* Adds an item behind those there are, one directly behind the other. */
static uint8_t *add_item(uint8_t *region, const uint8_t *guid, uint32_t length, uint32_t flags)
{
    uint32_t n = ld16le(region + VHDX_METADATA_COUNT), at = VHDX_TABLE_SIZE;
    uint8_t *entry = region + VHDX_METADATA_HEAD + n * VHDX_ENTRY;

    if (n)
        at = ld32le(entry - VHDX_ENTRY + VHDX_ITEM_OFFSET) + ld32le(entry - VHDX_ENTRY + VHDX_ITEM_LENGTH);
    memcpy(entry, guid, VHDX_GUID);
    st32le(entry + VHDX_ITEM_OFFSET, at);
    st32le(entry + VHDX_ITEM_LENGTH, length);
    st32le(entry + VHDX_ITEM_FLAGS, flags);
    st16le(region + VHDX_METADATA_COUNT, n + 1);
    return region + at;
}

static int write_metadata(Image *file, const Plan *p)
{
    enum { USED = VHDX_TABLE_SIZE + 4096, DISK = VHDX_ITEM_IS_DISK | VHDX_ITEM_REQUIRED };
    g_autofree uint8_t *region = g_malloc0(USED);

    memcpy(region, VHDX_METADATA_MAGIC, 8);
    uint8_t *parameters = add_item(region, vhdx_parameters_guid, 8, VHDX_ITEM_REQUIRED);
    st32le(parameters, p->block_size);
    st32le(parameters + 4, p->fixed ? VHDX_LEAVE_ALLOCATED : 0);
    st64le(add_item(region, vhdx_size_guid, 8, DISK), p->size);
    make_uuid(add_item(region, vhdx_disk_guid, VHDX_GUID, DISK));
    st32le(add_item(region, vhdx_logical_guid, 4, DISK), SECTOR_SIZE);
    st32le(add_item(region, vhdx_physical_guid, 4, DISK), PHYSICAL_SIZE);
    return image_write(file, p->metadata.at, region, USED);
}

/* That of a dynamic image is zeros: no block is there. */
static int write_table(Image *file, const Plan *p)
{
    uint64_t entries = p->blocks + (p->blocks - 1) / p->ratio, data = p->bat.at + p->bat.length;
    g_autofree uint8_t *table = g_malloc0(entries * 8);

    for (uint64_t k = 0; k < p->blocks && p->fixed; k++)
        st64le(table + (k + k / p->ratio) * 8, (data + k * p->block_size) | VHDX_PRESENT);
    return image_write(file, p->bat.at, table, entries * 8);
}

static gboolean write_all(const ImageCreate *c, const Plan *p, GError **err)
{
    Image *file = create_file(c, c->file, p->bat.at + p->bat.length + (p->fixed ? p->blocks * p->block_size : 0), err);

    if (!file)
        return FALSE;
    int status = write_id(file);
    if (!status)
        status = write_headers(file, p);
    if (!status)
        status = write_regions(file, p);
    if (!status)
        status = write_metadata(file, p);
    if (!status)
        status = write_table(file, p);
    return create_end(c, file, status, err);
}

gboolean vhdx_create(const ImageCreate *c, GError **err)
{
    static const char *const subformats[] = { "dynamic", "fixed", NULL };
    Plan p = { .size = align_up(c->size, SECTOR_SIZE), .log_size = VHDX_UNIT };

    p.block_size = usual_block_size(p.size);
    if (!create_check_no_backing(c, "VHDX", err) || !create_take_word(c, "subformat", subformats, &p.fixed, err) ||
        !create_take_size(c, "block_size", VHDX_UNIT, 256 * MiB, &p.block_size, err) ||
        !create_take_size(c, "log_size", VHDX_UNIT, 64 * MiB, &p.log_size, err))
        return FALSE;
    if (!p.size || p.size > VHDX_SIZE_MAX || p.size / p.block_size > 16 * MiB)
        return error_set(err, "%s: a VHDX image has from 512 bytes to 64 TiB, and at most 16 Mi blocks", c->who);
    lay_out(&p);
    return write_all(c, &p, err);
}
