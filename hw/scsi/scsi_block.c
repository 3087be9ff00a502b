/* Commands that move blocks (SBC-3). */
#include <string.h>

#include "hw/scsi/scsi_private.h"
#include "util/bits.h"
#include "util/endian.h"

enum { CDB1_FUA = 0x08, CDB1_BYTE_CHECK = 0x06, CDB1_UNMAP = 0x08, CDB1_NO_DATA = 0x01, CDB1_ANCHOR = 0x10 };

/* The logical block address and number of blocks, where the CDB's length puts them (SPC-4 4.2.2). */
static void cdb_range(const uint8_t *c, uint64_t *lba, uint32_t *blocks)
{
    switch (c[0] >> 5) {
    case 0:
        *lba = ld32be(c) & 0x1fffff;
        *blocks = c[4] ? c[4] : 256;
        break;
    case 4:
        *lba = ld64be(c + 2);
        *blocks = ld32be(c + 10);
        break;
    case 5:
        *lba = ld32be(c + 2);
        *blocks = ld32be(c + 6);
        break;
    default:
        *lba = ld32be(c + 2);
        *blocks = ld16be(c + 7);
        break;
    }
}

/* Whether the blocks exist; r->offset and r->left are then their bytes. */
static bool range_take(ScsiRequest *r, uint64_t lba, uint64_t blocks)
{
    const ScsiDevice *d = r->device;
    uint64_t all = scsi_blocks(d);

    if (lba > all || blocks > all - lba) {
        scsi_fail(r, SENSE_LBA_OUT_OF_RANGE);
        return false;
    }
    r->offset = lba * d->logical;
    r->left = blocks * d->logical;
    return true;
}

static bool range_of_cdb(ScsiRequest *r)
{
    uint64_t lba;
    uint32_t blocks;
    cdb_range(r->cdb, &lba, &blocks);
    return range_take(r, lba, blocks);
}

static bool may_write(ScsiRequest *r)
{
    if (!block_readonly(r->device->drive))
        return true;
    scsi_fail(r, SENSE_WRITE_PROTECTED);
    return false;
}

static bool enough(ScsiRequest *r, uint64_t size)
{
    if (r->left <= size)
        return true;
    r->overrun = true;
    scsi_end(r);
    return false;
}

/* ---- READ, WRITE ---- */

static void read_done(void *opaque, int status)
{
    ScsiRequest *r = opaque;
    if (status) {
        scsi_fail_errno(r, status, false);
        return;
    }
    r->transferred = r->left;
    scsi_end(r);
}

void scsi_read(ScsiRequest *r)
{
    unsigned count;

    if (!range_of_cdb(r) || !enough(r, r->in->size - r->in_offset))
        return;
    if (!r->left) {
        scsi_end(r);
        return;
    }
    const struct iovec *iov = dma_slice(&r->slice, r->in, r->in_offset, r->left, &count);
    block_readv(r->device->drive, r->offset, iov, count, read_done, r);
}

static void flush_done(void *opaque, int status)
{
    ScsiRequest *r = opaque;
    if (status)
        scsi_fail_errno(r, status, true);
    else
        scsi_end(r);
}

/* Who forces unit access has it on stable storage at the end; WRITE(6) has no such bit. */
static void write_done(void *opaque, int status)
{
    ScsiRequest *r = opaque;
    if (status) {
        scsi_fail_errno(r, status, true);
        return;
    }
    r->transferred = r->left;
    if (r->cdb[0] >> 5 && r->cdb[1] & CDB1_FUA)
        block_flush(r->device->drive, flush_done, r);
    else
        scsi_end(r);
}

void scsi_write(ScsiRequest *r)
{
    unsigned count;

    if (!may_write(r) || !range_of_cdb(r) || !enough(r, scsi_out_size(r)))
        return;
    if (!r->left) {
        scsi_end(r);
        return;
    }
    const struct iovec *iov = dma_slice(&r->slice, r->out, r->out_offset, r->left, &count);
    block_writev(r->device->drive, r->offset, iov, count, write_done, r);
}

/* Without a comparison there is nothing that a host's file does not do by itself. */
void scsi_verify(ScsiRequest *r)
{
    if (r->cdb[1] & CDB1_BYTE_CHECK)
        scsi_fail(r, SENSE_INVALID_FIELD);
    else if (range_of_cdb(r))
        scsi_end(r);
}

/* Of all blocks, whichever are named; IMMED need not be heeded. */
void scsi_synchronize(ScsiRequest *r) { block_flush(r->device->drive, flush_done, r); }

/* ---- UNMAP (SBC-3 5.28) ---- */

enum { UNMAP_HEADER = 8, UNMAP_ENTRY = 16, UNMAP_ENTRIES_MAX = 255 };

static void unmap_next(void *opaque, int status)
{
    ScsiRequest *r = opaque;

    if (status) {
        scsi_fail_errno(r, status, true);
        return;
    }
    while (r->step < r->steps) {
        const uint8_t *entry = r->scratch + UNMAP_HEADER + UNMAP_ENTRY * r->step++;
        if (!range_take(r, ld64be(entry), ld32be(entry + 8)))
            return;
        if (!r->left)
            continue;
        block_discard(r->device->drive, r->offset, r->left, unmap_next, r);
        return;
    }
    scsi_end(r);
}

void scsi_unmap(ScsiRequest *r)
{
    unsigned length = ld16be(r->cdb + 7);

    if (!may_write(r))
        return;
    if (r->cdb[1] & 1) { /* ANCHOR */
        scsi_fail(r, SENSE_INVALID_FIELD);
        return;
    }
    g_free(r->scratch);
    r->scratch = g_malloc0(MAX(length, UNMAP_HEADER));
    unsigned n = scsi_parameters(r, r->scratch, length);
    if (length && (n < UNMAP_HEADER || ld16be(r->scratch + 2) > n - UNMAP_HEADER)) {
        scsi_fail(r, SENSE_PARAMETER_LENGTH);
        return;
    }
    r->step = 0;
    r->steps = ld16be(r->scratch + 2) / UNMAP_ENTRY;
    r->transferred = n;
    if (r->steps > UNMAP_ENTRIES_MAX)
        scsi_fail(r, SENSE_INVALID_PARAMETER);
    else
        unmap_next(r, 0);
}

/* ---- WRITE SAME (SBC-3 5.43) ---- */

enum { SAME_PIECE = 512 * 1024 };

static void same_next(void *opaque, int status)
{
    ScsiRequest *r = opaque;

    if (status) {
        scsi_fail_errno(r, status, true);
        return;
    }
    if (!r->left) {
        scsi_end(r);
        return;
    }
    uint64_t at = r->offset, n = MIN(r->left, r->piece);
    r->offset += n;
    r->left -= n;
    block_write(r->device->drive, at, r->scratch, n, same_next, r);
}

static void same_done(void *opaque, int status) { flush_done(opaque, status); }

static bool is_zero(const uint8_t *p, unsigned n) { return !p[0] && !memcmp(p, p + 1, n - 1); }

/* One block, as often as the piece that is written has room for it. */
static void same_fill(ScsiRequest *r, const uint8_t *block)
{
    unsigned size = r->device->logical;

    r->piece = MIN(r->left, (uint64_t)SAME_PIECE);
    g_free(r->scratch);
    r->scratch = g_malloc(r->piece);
    for (unsigned at = 0; at < r->piece; at += size)
        memcpy(r->scratch + at, block, size);
}

void scsi_write_same(ScsiRequest *r)
{
    ScsiDevice *d = r->device;
    bool long_cdb = r->cdb[0] >> 5 == 4, no_data = long_cdb && r->cdb[1] & CDB1_NO_DATA;
    g_autofree uint8_t *block = g_malloc0(d->logical);

    if (!may_write(r) || !range_of_cdb(r))
        return;
    if (r->cdb[1] & CDB1_ANCHOR || r->cdb[1] >> 5 || !r->left) { /* no blocks: WSNZ of the block limits page */
        scsi_fail(r, SENSE_INVALID_FIELD);
        return;
    }
    r->transferred = no_data ? 0 : scsi_parameters(r, block, d->logical);
    if (!no_data && r->transferred < d->logical) {
        r->overrun = true;
        scsi_end(r);
        return;
    }
    if (is_zero(block, d->logical)) {
        block_write_zeroes(d->drive, r->offset, r->left, r->cdb[1] & CDB1_UNMAP, same_done, r);
        return;
    }
    same_fill(r, block);
    same_next(r, 0);
}

/* ---- READ CAPACITY ---- */

void scsi_read_capacity_10(ScsiRequest *r)
{
    uint8_t answer[8];
    uint64_t blocks = scsi_blocks(r->device);

    st32be(answer, blocks ? MIN(blocks - 1, UINT32_MAX) : 0);
    st32be(answer + 4, r->device->logical);
    scsi_reply(r, answer, sizeof answer, sizeof answer);
}

enum { READ_CAPACITY_16 = 0x10, PROVISIONED_THIN = 0x80 };

void scsi_service_action_in(ScsiRequest *r)
{
    const ScsiDevice *d = r->device;
    uint8_t answer[32] = { 0 };
    uint64_t blocks = scsi_blocks(d);

    if ((r->cdb[1] & 0x1f) != READ_CAPACITY_16) {
        scsi_fail(r, SENSE_INVALID_FIELD);
        return;
    }
    st64be(answer, blocks ? blocks - 1 : 0);
    st32be(answer + 8, d->logical);
    answer[13] = bit_highest(d->physical / d->logical);
    answer[14] = d->cdrom ? 0 : PROVISIONED_THIN;
    scsi_reply(r, answer, sizeof answer, ld32be(r->cdb + 10));
}
