/*
 * Commands of the floppy controller (82077AA datasheet, section 5): a command is found by some of its first byte's
 * bits, and takes a number of bytes.
 */
#include <string.h>

#include "core/log.h"
#include "hw/block/fdc_internal.h"
#include "util/bits.h"

enum { CONFIG_IMPLIED_SEEK = 0x40, VERSION_ENHANCED = 0x90, STEPS = 79, BIT_MULTI = 0x80 };

void fdc_begin(Fdc *s)
{
    s->phase = FDC_COMMAND;
    s->position = s->count = 0;
}

void fdc_result(Fdc *s, unsigned count)
{
    s->phase = FDC_RESULT;
    s->count = count;
    s->position = 0;
}

static unsigned unit_of(const Fdc *s) { return s->bytes[1] & 3; }

/* ---- seeks (5.2) ---- */

/* Heads are where they shall be at once; the interrupt waits for SENSE INTERRUPT STATUS. */
static void seek_end(Fdc *s, unsigned unit, uint8_t st0)
{
    s->sense[unit] = ST0_SEEK_END | st0 | unit;
    fdc_begin(s);
    fdc_raise(s);
}

void fdc_seek(Fdc *s, unsigned unit, unsigned cylinder)
{
    FloppyDrive *d = fdc_drive(s, unit);
    int steps = (int)cylinder - s->present_cylinder[unit];

    s->present_cylinder[unit] = cylinder;
    if (d)
        fdc_step(d, MAX(d->cylinder + steps, 0));
}

static void run_seek(Fdc *s)
{
    fdc_seek(s, unit_of(s), s->bytes[2]);
    seek_end(s, unit_of(s), s->bytes[1] & 4);
}

static void run_relative_seek(Fdc *s)
{
    unsigned now = s->present_cylinder[unit_of(s)];

    fdc_seek(s, unit_of(s), (uint8_t)(s->bytes[0] & 0x40 ? now + s->bytes[2] : now - s->bytes[2]));
    seek_end(s, unit_of(s), s->bytes[1] & 4);
}

/* At most 79 steps outwards; a drive that is not there has no track 0. */
static void run_recalibrate(Fdc *s)
{
    FloppyDrive *d = fdc_drive(s, unit_of(s));

    s->present_cylinder[unit_of(s)] = 0;
    if (d)
        fdc_step(d, d->cylinder > STEPS ? d->cylinder - STEPS : 0);
    seek_end(s, unit_of(s), d && !d->cylinder ? 0 : ST0_ABNORMAL | ST0_NO_TRACK0);
}

/* ---- states ---- */

/* After a reset there are four, one for each unit (5.2.3); without an interrupt the command is invalid. */
static void run_sense_interrupt(Fdc *s)
{
    unsigned unit = FDC_UNITS - s->polled;

    s->irq = false;
    fdc_update_irq(s);
    if (s->polled) {
        s->polled--;
        s->bytes[0] = ST0_POLLED | unit;
    } else {
        for (unit = 0; unit < FDC_UNITS && !s->sense[unit]; )
            unit++;
        if (unit == FDC_UNITS) {
            s->bytes[0] = ST0_INVALID;
            fdc_result(s, 1);
            return;
        }
        s->bytes[0] = s->sense[unit];
        s->sense[unit] = 0;
    }
    s->bytes[1] = s->present_cylinder[unit];
    fdc_result(s, 2);
}

static void run_sense_drive(Fdc *s)
{
    enum { TWO_SIDES = 0x08, TRACK0 = 0x10, READY = 0x20, PROTECTED = 0x40 };
    const FloppyDrive *d = fdc_drive(s, unit_of(s));
    uint8_t v = (s->bytes[1] & 7) | TWO_SIDES | READY;

    if (d)
        v |= (d->cylinder ? 0 : TRACK0) | (block_readonly(d->block) ? PROTECTED : 0);
    s->bytes[0] = v;
    fdc_result(s, 1);
}

/* The next ID under the head. */
static void run_read_id(Fdc *s)
{
    FloppyDrive *d = fdc_drive(s, unit_of(s));

    s->unit = unit_of(s);
    s->head = s->h = s->bytes[1] >> 2 & 1;
    s->c = s->r = s->n = 0;
    if (!fdc_readable(s, d) || d->cylinder >= d->format->tracks || s->head >= d->format->heads) {
        fdc_data_end(s, ST0_ABNORMAL, ST1_NO_MARK, 0);
        return;
    }
    d->next_id = d->next_id % d->format->track_sectors + 1;
    s->c = d->cylinder;
    s->r = d->next_id;
    s->n = 2;
    fdc_data_end(s, 0, 0, 0);
}

static void run_dump(Fdc *s)
{
    uint8_t v[10] = { [4] = s->timing[0], s->timing[1], s->last, s->lock << 7 | s->perpendicular, s->config,
                      s->precompensation_track };

    memcpy(v, s->present_cylinder, FDC_UNITS);
    memcpy(s->bytes, v, sizeof v);
    fdc_result(s, sizeof v);
}

static void run_version(Fdc *s)
{
    s->bytes[0] = VERSION_ENHANCED;
    fdc_result(s, 1);
}

/* ---- settings ---- */

static void run_specify(Fdc *s)
{
    s->timing[0] = s->bytes[1];
    s->timing[1] = s->bytes[2];
    fdc_begin(s);
}

static void run_configure(Fdc *s)
{
    s->config = s->bytes[2] & 0x7f;
    s->precompensation_track = s->bytes[3];
    fdc_begin(s);
}

/* Bits of drives are taken with OW only (5.2.6). */
static void run_perpendicular(Fdc *s)
{
    uint8_t v = s->bytes[1];

    s->perpendicular = v & 0x80 ? v & 0x3f : (s->perpendicular & 0x3c) | (v & 3);
    fdc_begin(s);
}

static void run_lock(Fdc *s)
{
    s->lock = s->bytes[0] & 0x80;
    s->bytes[0] = s->lock << 4;
    fdc_result(s, 1);
}

static void run_invalid(Fdc *s)
{
    log_guest_error("fdc: no command %02x", s->bytes[0]);
    s->bytes[0] = ST0_INVALID;
    fdc_result(s, 1);
}

/* ---- the table ---- */

typedef struct FdcCommand {
    uint8_t mask, value, bytes;
    void (*run)(Fdc *s);
    bool data;       /* bytes are head and unit, C, H, R, N, EOT, GPL, DTL */
} FdcCommand;

static const FdcCommand commands[] = {
    { 0x1f, 0x06, 9, fdc_read, true },
    { 0x1f, 0x0c, 9, fdc_read, true },      /* READ DELETED DATA */
    { 0x9f, 0x02, 9, fdc_read, true },      /* READ TRACK */
    { 0x3f, 0x05, 9, fdc_write, true },
    { 0x3f, 0x09, 9, fdc_write, true },     /* WRITE DELETED DATA */
    { 0x1f, 0x16, 9, fdc_verify, true },
    { 0x1f, 0x11, 9, fdc_scan, true },      /* equal, low or equal, high or equal */
    { 0x1f, 0x19, 9, fdc_scan, true },
    { 0x1f, 0x1d, 9, fdc_scan, true },
    { 0xbf, 0x0d, 6, fdc_format, false },
    { 0xff, 0x07, 2, run_recalibrate, false },
    { 0xff, 0x08, 1, run_sense_interrupt, false },
    { 0xff, 0x03, 3, run_specify, false },
    { 0xff, 0x04, 2, run_sense_drive, false },
    { 0xff, 0x0f, 3, run_seek, false },
    { 0xbf, 0x8f, 3, run_relative_seek, false },
    { 0xbf, 0x0a, 2, run_read_id, false },
    { 0xff, 0x0e, 1, run_dump, false },
    { 0xff, 0x10, 1, run_version, false },
    { 0xff, 0x12, 2, run_perpendicular, false },
    { 0xff, 0x13, 4, run_configure, false },
    { 0x7f, 0x14, 1, run_lock, false },
    { 0x00, 0x00, 1, run_invalid, false },
};

static const FdcCommand *command_find(uint8_t first)
{
    const FdcCommand *c = commands;

    while ((first & c->mask) != c->value)
        c++;
    return c;
}

static void take_place(Fdc *s)
{
    const uint8_t *b = s->bytes;

    s->unit = b[1] & 3;
    s->head = b[1] >> 2 & 1;
    s->c = b[2], s->h = b[3], s->r = b[4], s->n = b[5], s->last = b[6], s->step = b[8];
    s->multi = b[0] & BIT_MULTI;
    if (s->config & CONFIG_IMPLIED_SEEK)
        fdc_seek(s, s->unit, s->c);
}

void fdc_write_command(Fdc *s, uint8_t v)
{
    const FdcCommand *c;

    s->bytes[s->position++] = v;
    c = command_find(s->bytes[0]);
    if (s->position < c->bytes)
        return;
    s->position = 0;
    if (c->data)
        take_place(s);
    c->run(s);
}
