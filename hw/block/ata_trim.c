/*
 * DATA SET MANAGEMENT with TRIM (ACS-2, section 7.10): blocks of ranges, eight bytes each, with a sector in bits 47:0
 * and a number of sectors, 0 for none, in 63:48.  One discard follows the other.
 */
#include "hw/block/ide.h"
#include "util/bits.h"
#include "util/endian.h"

enum { RANGE = 8, TRIM = 1 };

static uint64_t range_first(const uint8_t *p) { return ld64le(p) & bit_mask(48); }
static uint64_t range_count(const uint8_t *p) { return ld16le(p + 6); }

void ata_trim_start(IdeDrive *d)
{
    unsigned blocks = d->now.count | d->before.count << 8;

    if (d->now.feature != TRIM || !blocks || blocks > ATA_TRIM_BLOCKS || !block_can_discard(d->block) ||
        block_readonly(d->block)) {
        ide_abort(d);
        return;
    }
    d->trimming = true;
    ide_receive(d, blocks * ATA_SECTOR);
}

static void trim_next(IdeDrive *d);

static void discarded(void *opaque, int status)
{
    IdeDrive *d = opaque;

    if (!ide_image_done(d))
        return;
    if (status)
        ide_fail(d, ST_DF, ER_ABRT);
    else
        trim_next(d);
}

/* Ranges from pos on. */
static void trim_next(IdeDrive *d)
{
    while (d->pos < d->length) {
        const uint8_t *p = d->buffer + d->pos;
        d->pos += RANGE;
        if (!range_count(p))
            continue;
        ide_go_busy(d);
        block_discard(d->block, range_first(p) * ATA_SECTOR, range_count(p) * ATA_SECTOR, discarded, d);
        return;
    }
    ide_finish(d, true);
}

static bool ranges_fit(const IdeDrive *d)
{
    for (uint32_t at = 0; at < d->length; at += RANGE) {
        const uint8_t *p = d->buffer + at;
        if (range_first(p) > d->sectors || range_count(p) > d->sectors - range_first(p))
            return false;
    }
    return true;
}

void ata_trim(IdeDrive *d)
{
    d->pos = 0;
    if (ranges_fit(d))
        trim_next(d);
    else
        ide_fail(d, 0, ER_IDNF | ER_ABRT);
}
