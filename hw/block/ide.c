/* IDE channels: registers, selection, reset, interrupts, the data port (ide.h). */
#include "hw/block/ide.h"

#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "util/bits.h"
#include "util/endian.h"

enum { REG_DATA, REG_ERROR, REG_COUNT, REG_LOW, REG_MID, REG_HIGH, REG_DEVICE, REG_STATUS };
#define REG_FEATURE REG_ERROR
#define REG_COMMAND REG_STATUS

/* ---- interrupt ---- */

/* Only the selected drive drives INTRQ, and only while nIEN is 0; the bus master notes the edge (82371SB 2.7.2). */
static void update_line(IdeChannel *ch)
{
    bool level = ch->drive[ch->selected].intrq && !(ch->control & CTL_NIEN);

    if (level == ch->line)
        return;
    ch->line = level;
    if (level)
        ch->dma.status |= BM_INTERRUPT;
    irq_set(&ch->irq, level);
}

static void drive_interrupt(IdeDrive *d) { update_line(d->owner); }
static void drive_offered(IdeDrive *d) { ide_dma_run(d->owner); }
static void drive_ended(IdeDrive *d, bool irq) { (void)d, (void)irq; }
static void drive_was_reset(IdeDrive *d) { (void)d; }

/* A guest learns of ends and resets by status and interrupt. */
static const IdeTransport channel_transport = {
    .interrupt = drive_interrupt, .offered = drive_offered, .ended = drive_ended, .was_reset = drive_was_reset,
};

/* ---- the data port ---- */

/* What a block lacks at its odd end reads as 0. */
static uint64_t data_read(IdeDrive *d, unsigned size)
{
    uint8_t bytes[8] = { 0 };
    uint64_t v;

    if (unlikely(d->phase != IDE_PIO_IN))
        return 0;
    if (likely(d->end - d->pos >= size)) {
        v = ldle(d->buffer + d->pos, size);
        d->pos += size;
    } else {
        memcpy(bytes, d->buffer + d->pos, d->end - d->pos);
        v = ldle(bytes, size);
        d->pos = d->end;
    }
    if (d->pos == d->end)
        ide_block_done(d);
    return v;
}

static void data_write(IdeDrive *d, uint64_t v, unsigned size)
{
    uint8_t bytes[8];

    if (unlikely(d->phase != IDE_PIO_OUT))
        return;
    if (likely(d->end - d->pos >= size)) {
        stle(d->buffer + d->pos, v, size);
        d->pos += size;
    } else {
        stle(bytes, v, size);
        memcpy(d->buffer + d->pos, bytes, d->end - d->pos);
        d->pos = d->end;
    }
    if (d->pos == d->end)
        ide_block_done(d);
}

/* ---- registers ---- */

/* Where nobody answers, registers read as 0: an absent drive is neither busy nor ready (section 9.16.1). */
static uint8_t register_read(IdeChannel *ch, unsigned reg)
{
    IdeDrive *d = &ch->drive[ch->selected];
    const IdeTaskFile *t = ch->control & CTL_HOB ? &d->before : &d->now;

    if (!ide_drive_present(d))
        return 0;
    switch (reg) {
    case REG_ERROR: return d->error;
    case REG_COUNT: return t->count;
    case REG_LOW: return t->low;
    case REG_MID: return t->mid;
    case REG_HIGH: return t->high;
    case REG_DEVICE: return d->device;
    default:
        ide_lower(d);
        return d->status;
    }
}

uint64_t ide_read(IdeChannel *ch, unsigned reg, unsigned size)
{
    uint64_t v = 0;

    if (reg == REG_DATA)
        return data_read(&ch->drive[ch->selected], size);
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)register_read(ch, (reg + i) & 7) << 8 * i;
    return v;
}

uint8_t ide_read_alternate(IdeChannel *ch)
{
    const IdeDrive *d = &ch->drive[ch->selected];
    return ide_drive_present(d) ? d->status : 0;
}

static void parameter_write(IdeDrive *d, unsigned reg, uint8_t v)
{
    static const size_t place[] = {
        [REG_FEATURE] = offsetof(IdeTaskFile, feature), [REG_COUNT] = offsetof(IdeTaskFile, count),
        [REG_LOW] = offsetof(IdeTaskFile, low), [REG_MID] = offsetof(IdeTaskFile, mid),
        [REG_HIGH] = offsetof(IdeTaskFile, high),
    };
    uint8_t *now = (uint8_t *)&d->now + place[reg], *before = (uint8_t *)&d->before + place[reg];

    *before = *now;
    *now = v;
}

static void device_write(IdeChannel *ch, uint8_t v)
{
    ch->selected = !!(v & DEV_DEV);
    ch->drive[0].device = ch->drive[1].device = v | DEV_OBSOLETE;
    update_line(ch);
}

static void diagnose(IdeChannel *ch)
{
    for (unsigned i = 0; i < 2; i++) {
        ide_stop_drive(&ch->drive[i]);
        ch->drive[i].device = DEV_OBSOLETE;
        ide_reset_drive(&ch->drive[i]);
    }
    ch->selected = 0;
    if (ide_drive_present(&ch->drive[0]))
        ide_raise(&ch->drive[0]);
    update_line(ch);
}

/* An absent drive takes no command, but both drives carry out EXECUTE DEVICE DIAGNOSTIC (section 8.9). */
static void command_write(IdeChannel *ch, uint8_t v)
{
    IdeDrive *d = &ch->drive[ch->selected];

    if (v == 0x90 && !(d->status & ST_DRQ))
        diagnose(ch);
    else if (ide_drive_present(d))
        ata_execute(d, v);
}

/* Both drives hear what is written; a busy one does not listen (section 7.1). */
static void register_write(IdeChannel *ch, unsigned reg, uint8_t v)
{
    if (ch->drive[ch->selected].status & ST_BSY && !(reg == REG_COMMAND && v == 0x08))
        return;
    ch->control &= ~CTL_HOB;
    if (reg == REG_COMMAND) {
        command_write(ch, v);
    } else if (reg == REG_DEVICE) {
        device_write(ch, v);
    } else {
        for (unsigned i = 0; i < 2; i++) {
            if (!(ch->drive[i].status & ST_BSY))
                parameter_write(&ch->drive[i], reg, v);
        }
    }
}

void ide_write(IdeChannel *ch, unsigned reg, uint64_t v, unsigned size)
{
    if (reg == REG_DATA) {
        data_write(&ch->drive[ch->selected], v, size);
        return;
    }
    for (unsigned i = 0; i < size && reg + i <= REG_COMMAND; i++)
        register_write(ch, reg + i, v >> 8 * i);
}

/* Software reset lasts as long as SRST is set, and until the image is done with (section 9.3). */
void ide_write_control(IdeChannel *ch, uint8_t v)
{
    uint8_t changed = ch->control ^ v;

    ch->control = v & (CTL_NIEN | CTL_SRST | CTL_HOB);
    if (changed & CTL_SRST) {
        device_write(ch, 0);
        for (unsigned i = 0; i < 2; i++) {
            ch->drive[i].held = v & CTL_SRST;
            if (v & CTL_SRST)
                ide_stop_drive(&ch->drive[i]);
            else
                ide_reset_drive(&ch->drive[i]);
        }
    }
    update_line(ch);
}

/* ---- life ---- */

void ide_channel_init(IdeChannel *ch, PciDevice *pci, IrqLine irq)
{
    ch->irq = irq;
    ch->dma.pci = pci;
    for (unsigned i = 0; i < 2; i++)
        ide_drive_init(&ch->drive[i], &channel_transport, ch, i);
}

void ide_channel_exit(IdeChannel *ch)
{
    for (unsigned i = 0; i < 2; i++)
        ide_drive_exit(&ch->drive[i]);
}

void ide_channel_drain(IdeChannel *ch)
{
    for (unsigned i = 0; i < 2; i++)
        ide_drive_drain(&ch->drive[i]);
}

void ide_channel_reset(IdeChannel *ch)
{
    for (unsigned i = 0; i < 2; i++)
        ide_stop_drive(&ch->drive[i]);
    ide_channel_drain(ch);
    ch->selected = 0;
    ch->control = 0;
    ch->drive[0].held = ch->drive[1].held = false;
    ide_dma_reset(&ch->dma);
    for (unsigned i = 0; i < 2; i++)
        ide_drive_power_on(&ch->drive[i]);
    update_line(ch);
}

/* ---- save and restore ---- */

gboolean ide_channel_restored(IdeChannel *ch, const char *owner, GError **err)
{
    if (ch->selected > 1)
        return error_set(err, "%s: the saved state selects drive %u of a channel; it has drives 0 and 1", owner,
                         ch->selected);
    for (unsigned i = 0; i < 2; i++) {
        if (!ide_drive_sane(&ch->drive[i]))
            return error_set(err, "%s: the saved state of drive %u does not fit this machine's drive, or itself", owner,
                             i);
    }
    return TRUE;
}

const StateField ide_channel_state[] = {
    STATE_STRUCT_ARRAY(IdeChannel, drive, ide_drive_state), STATE_U8(IdeChannel, selected),
    STATE_U8(IdeChannel, control), STATE_BOOL(IdeChannel, line), STATE_STRUCT(IdeChannel, dma, ide_dma_state), STATE_END
};
