/*
 * Commands of the floppy controller that move data (82077AA datasheet, section 5.1).  A sector goes between image and
 * buffer at a time, and between buffer and guest by DMA, or byte by byte.  An image has no marks of deleted data.
 */
#include <string.h>

#include "core/log.h"
#include "hw/block/fdc_internal.h"
#include "util/bits.h"

enum { COMMAND_MASK = 0x1f, READ_TRACK = 0x02, READ_DELETED = 0x0c, SCAN_LOW = 0x19, SCAN_HIGH = 0x1d };
enum { BIT_SKIP = 0x20, BIT_VERIFY_COUNT = 0x80, SIZE_512 = 2, ID_BYTES = 4 };

static FloppyDrive *drive_of(Fdc *s) { return fdc_drive(s, s->unit); }
static bool uses_dma(const Fdc *s) { return !(s->timing[1] & 1) && s->bus->dma; }
static unsigned command_of(const Fdc *s) { return s->bytes[0] & COMMAND_MASK; }

/* ---- the end ---- */

static void request(Fdc *s, int level)
{
    if (s->bus->dma)
        isa_dma_request(s->bus->dma, FDC_DMA, level);
}

void fdc_data_end(Fdc *s, uint8_t st0, uint8_t st1, uint8_t st2)
{
    const uint8_t results[7] = { st0 | s->head << 2 | s->unit, st1, st2 | s->control_mark, s->c, s->h, s->r, s->n };

    memcpy(s->bytes, results, sizeof results);
    s->control_mark = 0;
    fdc_result(s, sizeof results);
    request(s, 0);
    fdc_raise(s);
}

static void fail(Fdc *s, uint8_t st1, uint8_t st2) { fdc_data_end(s, ST0_ABNORMAL, st1, st2); }

/* ---- where a sector is ---- */

static uint64_t sector_offset(Fdc *s)
{
    const FloppyDrive *d = drive_of(s);
    const FloppyFormat *f = d->format;

    return (((uint64_t)d->cylinder * f->heads + s->head) * f->track_sectors + s->r - 1) * FDC_SECTOR;
}

/* Whether there is a sector of the ID that is sought; ends the command when there is none. */
static bool sector_find(Fdc *s)
{
    const FloppyDrive *d = drive_of(s);

    if (!fdc_readable(s, d) || d->cylinder >= d->format->tracks || s->head >= d->format->heads)
        fail(s, ST1_NO_MARK, 0);
    else if (s->c != d->cylinder)
        fail(s, ST1_NO_DATA, ST2_WRONG_CYLINDER);
    else if (s->h != s->head || !s->r || s->r > d->format->track_sectors || s->n != SIZE_512)
        fail(s, ST1_NO_DATA, 0);
    else
        return true;
    return false;
}

/* The next ID (table 5-6): within the track, on the other side, on the next cylinder; false there: no more. */
static bool sector_next(Fdc *s)
{
    bool second = s->head;

    if (s->r != s->last) {
        s->r++;
        return true;
    }
    s->r = 1;
    if (s->multi && !second) {
        s->head = s->h = 1;
        return true;
    }
    s->c++;
    if (s->multi)
        s->h = 0;
    return false;
}

/* ---- image to buffer and back ---- */

/* A sector of its own: after a reset the image may still be at one while the next command is at another. */
typedef struct FdcTransfer {
    Fdc *fdc;
    uint8_t data[FDC_SECTOR];
} FdcTransfer;

/* Whether the controller still waits for it. */
static bool transfer_ends(FdcTransfer *t)
{
    Fdc *s = t->fdc;
    bool wanted = s->transfer == t;

    if (wanted)
        s->transfer = NULL;
    return wanted;
}

static FdcTransfer *transfer_new(Fdc *s)
{
    s->phase = FDC_BUSY;
    request(s, 0);
    s->transfer = g_new0(FdcTransfer, 1);
    s->transfer->fdc = s;
    return s->transfer;
}

static void offer(Fdc *s, FdcPhase phase, uint32_t length)
{
    s->phase = phase;
    s->at = 0;
    s->length = length;
    if (uses_dma(s))
        request(s, 1);
    else
        fdc_raise(s);
}

static void sector_continue(Fdc *s);
static void format_continue(Fdc *s);

static void loaded(void *opaque, int status)
{
    g_autofree FdcTransfer *t = opaque;
    Fdc *s = t->fdc;

    if (!transfer_ends(t))
        return;
    memcpy(s->operation == FDC_SCAN ? s->scanned : s->buffer, t->data, FDC_SECTOR);
    if (status)
        fail(s, ST1_DATA_ERROR, ST2_DATA_ERROR);
    else
        offer(s, s->operation == FDC_SCAN ? FDC_DATA_OUT : FDC_DATA_IN, FDC_SECTOR);
}

/* Behind the end of a short image a disk is empty. */
static void sector_load(Fdc *s)
{
    BlockBackend *b = drive_of(s)->block;
    uint64_t offset = sector_offset(s), size = block_size(b);
    uint64_t there = offset < size ? MIN(size - offset, FDC_SECTOR) : 0;
    FdcTransfer *t = transfer_new(s);

    block_read(b, there ? offset : 0, t->data, there, loaded, t);
}

static void stored(void *opaque, int status)
{
    g_autofree FdcTransfer *t = opaque;
    Fdc *s = t->fdc;

    if (!transfer_ends(t))
        return;
    if (status)
        fail(s, ST1_DATA_ERROR, ST2_DATA_ERROR);
    else if (s->operation == FDC_FORMAT)
        format_continue(s);
    else
        sector_continue(s);
}

static void sector_store(Fdc *s)
{
    BlockBackend *b = drive_of(s)->block;

    uint64_t offset = sector_offset(s);
    FdcTransfer *t = transfer_new(s);

    memcpy(t->data, s->buffer, FDC_SECTOR);
    block_write(b, offset, t->data, FDC_SECTOR, stored, t);
}

/* ---- one sector after the other ---- */

static void sector_begin(Fdc *s)
{
    if (!sector_find(s))
        return;
    if (s->operation == FDC_WRITE)
        offer(s, FDC_DATA_OUT, FDC_SECTOR);
    else
        sector_load(s);
}

/* A sector is done: the next, or the end, which without a terminal count is an error. */
static void sector_continue(Fdc *s)
{
    bool more = sector_next(s);

    if (s->terminal || s->control_mark)
        fdc_data_end(s, 0, 0, 0);
    else if (more)
        sector_begin(s);
    else
        fail(s, ST1_END, 0);
}

static bool scan_byte(unsigned command, uint8_t disk, uint8_t host)
{
    return host == 0xff || disk == host || (command == SCAN_LOW && disk < host) ||
           (command == SCAN_HIGH && disk > host);
}

/* The first sector that meets the condition ends it (5.1.8): "hit" when it is equal. */
static void scan_compare(Fdc *s)
{
    bool met = true, equal = true;

    for (uint32_t n = 0; n < s->at; n++) {
        uint8_t disk = s->scanned[n], host = s->buffer[n];
        met &= scan_byte(s->scan, disk, host);
        equal &= host == 0xff || disk == host;
    }
    if (met) {
        fdc_data_end(s, 0, 0, equal ? ST2_SCAN_HIT : 0);
        return;
    }
    for (unsigned n = s->step == 2 ? 2 : 1; n--;)
        if (!sector_next(s) || s->terminal) {
            fdc_data_end(s, 0, 0, ST2_SCAN_NOT);
            return;
        }
    sector_begin(s);
}

/* FORMAT has the ID of a sector, and writes its data. */
static void format_sector(Fdc *s)
{
    const FloppyFormat *f = drive_of(s)->format;

    s->c = s->buffer[0], s->h = s->buffer[1], s->r = s->buffer[2];
    s->left--;
    memset(s->buffer, s->filler, FDC_SECTOR);
    if (f && s->r && s->r <= f->track_sectors && s->head < f->heads && drive_of(s)->cylinder < f->tracks)
        sector_store(s);
    else
        fail(s, ST1_NO_DATA, 0);
}

static void format_continue(Fdc *s)
{
    if (s->left)
        offer(s, FDC_DATA_OUT, ID_BYTES);
    else
        fdc_data_end(s, 0, 0, 0);
}

/* The buffer is full, empty, or the host has had enough: what it does not send of a sector is zeros. */
static void buffer_done(Fdc *s)
{
    switch (s->operation) {
    case FDC_READ: sector_continue(s); break;
    case FDC_SCAN: scan_compare(s); break;
    case FDC_FORMAT:
        memset(s->buffer + s->at, 0, FDC_SECTOR - s->at);
        format_sector(s);
        break;
    default:
        memset(s->buffer + s->at, 0, FDC_SECTOR - s->at);
        sector_store(s);
        break;
    }
}

/* ---- buffer to guest and back ---- */

static unsigned dma_transfer(void *opaque, unsigned channel, unsigned pos, unsigned size)
{
    Fdc *s = opaque;
    unsigned end = pos + size;

    while (pos < end && (s->phase == FDC_DATA_IN || s->phase == FDC_DATA_OUT)) {
        unsigned n = MIN(end - pos, s->length - s->at);
        if (s->phase == FDC_DATA_IN)
            isa_dma_write(s->bus->dma, channel, s->buffer + s->at, pos, n);
        else
            isa_dma_read(s->bus->dma, channel, s->buffer + s->at, pos, n);
        s->at += n;
        pos += n;
        s->terminal = pos == end;
        if (s->at == s->length || s->terminal)
            buffer_done(s);
    }
    return pos;
}

const IsaDmaOps fdc_dma_ops = { .transfer = dma_transfer };

static void byte_moved(Fdc *s)
{
    s->irq = false;
    fdc_update_irq(s);
    if (++s->at == s->length)
        buffer_done(s);
}

uint8_t fdc_read_data(Fdc *s)
{
    uint8_t v = s->buffer[s->at];

    if (!uses_dma(s))
        byte_moved(s);
    return v;
}

void fdc_write_data(Fdc *s, uint8_t v)
{
    if (uses_dma(s))
        return;
    s->buffer[s->at] = v;
    byte_moved(s);
}

/* ---- commands ---- */

static bool is_protected(Fdc *s)
{
    const FloppyDrive *d = drive_of(s);
    return d && d->format && block_readonly(d->block);
}

static void begin(Fdc *s, FdcOperation operation, uint8_t mark)
{
    s->operation = operation;
    s->scan = command_of(s);
    s->terminal = false;
    s->control_mark = mark;
    sector_begin(s);
}

/* Data without the mark that is asked for is read as one sector; or, with SK, passed over to the end (table 5-5). */
void fdc_read(Fdc *s)
{
    bool deleted = command_of(s) == READ_DELETED;

    if (command_of(s) == READ_TRACK) {
        s->r = 1;
        s->multi = false;
    }
    if (deleted && s->bytes[0] & BIT_SKIP) {
        if (sector_find(s))
            fail(s, ST1_END, ST2_MARK);
        return;
    }
    begin(s, FDC_READ, deleted ? ST2_MARK : 0);
}

void fdc_write(Fdc *s)
{
    if (is_protected(s))
        fail(s, ST1_READ_ONLY, 0);
    else
        begin(s, FDC_WRITE, 0);
}

void fdc_scan(Fdc *s) { begin(s, FDC_SCAN, 0); }

/* An image's sectors have no check codes: that they are there is all there is to verify. */
void fdc_verify(Fdc *s)
{
    unsigned count = s->bytes[1] & BIT_VERIFY_COUNT ? s->bytes[8] : 0;
    bool counted = count, more = true;

    s->control_mark = 0;
    while (more) {
        if (!sector_find(s))
            return;
        more = sector_next(s) && !(counted && !--count);
    }
    fdc_data_end(s, 0, 0, 0);
}

void fdc_format(Fdc *s)
{
    s->unit = s->bytes[1] & 3;
    s->head = s->h = s->bytes[1] >> 2 & 1;
    s->n = s->bytes[2];
    s->left = s->bytes[3];
    s->filler = s->bytes[5];
    s->operation = FDC_FORMAT;
    s->terminal = false;
    s->control_mark = 0;
    if (!drive_of(s) || !drive_of(s)->format)
        fail(s, ST1_NO_MARK, 0);
    else if (is_protected(s))
        fail(s, ST1_READ_ONLY, 0);
    else
        format_continue(s);
}
