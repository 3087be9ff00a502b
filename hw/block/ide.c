/*
 * IDE channels: registers, selection, reset, interrupts, and the transfers between image, buffer and guest (ide.h).
 */
#include "hw/block/ide.h"

#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "util/bits.h"
#include "util/endian.h"

enum { REG_DATA, REG_ERROR, REG_COUNT, REG_LOW, REG_MID, REG_HIGH, REG_DEVICE, REG_STATUS };
#define REG_FEATURE REG_ERROR
#define REG_COMMAND REG_STATUS

bool ide_drive_present(const IdeDrive *d)
{
    return d->kind != IDE_NONE;
}

/* ---- interrupt ---- */

/* Only the selected drive drives INTRQ, and only while nIEN is 0; the bus master notes the edge (82371SB 2.7.2). */
void ide_update_line(IdeChannel *ch)
{
    bool level = ch->drive[ch->selected].intrq && !(ch->control & CTL_NIEN);

    if (level == ch->line)
        return;
    ch->line = level;
    if (level)
        ch->dma.status |= BM_INTERRUPT;
    irq_set(&ch->irq, level);
}

static void set_intrq(IdeDrive *d, bool level)
{
    d->intrq = level;
    ide_update_line(d->channel);
}

void ide_raise(IdeDrive *d)
{
    set_intrq(d, true);
}

/* ---- ends of commands ---- */

static void end_command(IdeDrive *d, uint8_t status, uint8_t error)
{
    d->phase = IDE_IDLE;
    d->packet = PACKET_NONE;
    d->status = ST_DRDY | ST_DSC | status;
    d->error = error;
}

void ide_finish(IdeDrive *d, bool irq)
{
    end_command(d, 0, 0);
    if (irq)
        ide_raise(d);
}

void ide_fail(IdeDrive *d, uint8_t status, uint8_t error)
{
    end_command(d, status | ST_ERR, error);
    ide_raise(d);
}

void ide_abort(IdeDrive *d)
{
    ide_fail(d, 0, ER_ABRT);
}

/* ---- reset ---- */

void ide_set_signature(IdeDrive *d)
{
    bool cd = d->kind == IDE_CDROM;

    d->now = d->before = (IdeTaskFile) { .count = 1, .low = 1, .mid = cd ? 0x14 : 0, .high = cd ? 0xeb : 0 };
    d->device &= DEV_DEV | DEV_OBSOLETE;
}

void ide_stop_drive(IdeDrive *d)
{
    if (!ide_drive_present(d))
        return;
    d->stale = d->in_flight;
    d->phase = d->in_flight ? IDE_BUSY : IDE_IDLE;
    d->packet = PACKET_NONE;
    d->status = ST_BSY;
    set_intrq(d, false);
}

void ide_reset_drive(IdeDrive *d)
{
    if (!ide_drive_present(d) || d->in_flight || (d->channel->control & CTL_SRST))
        return;
    ide_set_signature(d);
    d->phase = IDE_IDLE;
    d->standby = false;
    d->error = 1; /* diagnostic code: passed */
    d->status = d->kind == IDE_CDROM ? 0 : ST_DRDY | ST_DSC;
}

/* ---- transfers: image to buffer and back ---- */

static unsigned sector_size(const IdeDrive *d)
{
    return d->kind == IDE_CDROM ? CD_SECTOR : ATA_SECTOR;
}

static void go_busy(IdeDrive *d)
{
    d->phase = IDE_BUSY;
    d->status = ST_BSY;
    d->in_flight = true;
}

/* The image is done with: false when a reset has come between. */
static bool image_done(IdeDrive *d)
{
    d->in_flight = false;
    if (!d->stale)
        return true;
    d->stale = false;
    ide_reset_drive(d);
    return false;
}

static void image_failed(IdeDrive *d)
{
    if (d->packet) {
        atapi_image_error(d);
        return;
    }
    ata_put_address(d, d->lba);
    if (d->writing)
        ide_fail(d, ST_DF, ER_ABRT);
    else
        ide_fail(d, 0, ER_UNC);
}

/* The next buffer's worth of a transfer. */
static void chunk_begin(IdeDrive *d)
{
    d->pos = 0;
    d->length = MIN(d->left, IDE_BUFFER / sector_size(d)) * sector_size(d);
}

static void chunk_end(IdeDrive *d)
{
    d->lba += d->length / sector_size(d);
    d->left -= d->length / sector_size(d);
}

static void block_next(IdeDrive *d, bool irq)
{
    if (d->dma) {
        ide_offer(d, d->length, d->writing ? IDE_DMA_OUT : IDE_DMA_IN);
        ide_dma_run(d->channel);
    } else if (d->packet) {
        atapi_block_next(d);
    } else {
        ide_offer(d, MIN(d->length, d->pos + d->block_size), d->writing ? IDE_PIO_OUT : IDE_PIO_IN);
        if (irq)
            ide_raise(d);
    }
}

static void loaded(void *opaque, int status)
{
    IdeDrive *d = opaque;

    if (!image_done(d))
        return;
    if (status) {
        image_failed(d);
        return;
    }
    chunk_end(d);
    block_next(d, true);
}

static void load(IdeDrive *d)
{
    chunk_begin(d);
    go_busy(d);
    block_read(d->block, d->lba * sector_size(d), d->buffer, d->length, loaded, d);
}

static void flushed(void *opaque, int status)
{
    IdeDrive *d = opaque;

    if (!image_done(d))
        return;
    if (status)
        ide_fail(d, ST_DF, ER_ABRT);
    else
        ide_finish(d, true);
}

void ide_flush(IdeDrive *d)
{
    go_busy(d);
    block_flush(d->block, flushed, d);
}

static void stored(void *opaque, int status)
{
    IdeDrive *d = opaque;

    if (!image_done(d))
        return;
    if (status) {
        image_failed(d);
        return;
    }
    chunk_end(d);
    if (d->left) {
        chunk_begin(d);
        block_next(d, true);
    } else if (d->write_cache) {
        ide_finish(d, true);
    } else {
        ide_flush(d);
    }
}

static void store(IdeDrive *d)
{
    go_busy(d);
    block_write(d->block, d->lba * sector_size(d), d->buffer, d->length, stored, d);
}

void ide_transfer_start(IdeDrive *d, uint64_t lba, uint32_t count, bool writing)
{
    d->lba = lba;
    d->left = count;
    d->writing = writing;
    if (!writing) {
        load(d);
        return;
    }
    chunk_begin(d);
    block_next(d, false);
}

void ide_send(IdeDrive *d, uint32_t length)
{
    d->writing = false;
    d->left = 0;
    d->pos = 0;
    d->length = length;
    block_next(d, true);
}

/* ---- transfers: buffer to guest and back ---- */

void ide_offer(IdeDrive *d, uint32_t end, IdePhase phase)
{
    d->end = end;
    d->phase = phase;
    d->status = ST_DRDY | ST_DSC | ST_DRQ;
}

/* Disks do not interrupt after the last block of PIO input: it was announced when it was ready (section 9.5). */
static void input_done(IdeDrive *d)
{
    if (d->left)
        load(d);
    else if (d->packet)
        atapi_finish(d);
    else
        ide_finish(d, d->dma);
}

void ide_block_done(IdeDrive *d)
{
    if (d->packet == PACKET_CDB)
        atapi_execute(d);
    else if (d->pos < d->length)
        block_next(d, true);
    else if (d->writing)
        store(d);
    else
        input_done(d);
}

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
        set_intrq(d, false);
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
    ide_update_line(ch);
}

/* An absent drive takes no command, but both drives carry out EXECUTE DEVICE DIAGNOSTIC (section 8.9). */
static void command_write(IdeChannel *ch, uint8_t v)
{
    IdeDrive *d = &ch->drive[ch->selected];

    if (v == 0x90 && !(d->status & ST_DRQ))
        ata_diagnose(ch);
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
            if (v & CTL_SRST)
                ide_stop_drive(&ch->drive[i]);
            else
                ide_reset_drive(&ch->drive[i]);
        }
    }
    ide_update_line(ch);
}

/* ---- life ---- */

void ide_channel_init(IdeChannel *ch, PciDevice *pci, IrqLine irq)
{
    ch->irq = irq;
    ch->dma.pci = pci;
    for (unsigned i = 0; i < 2; i++) {
        ch->drive[i].channel = ch;
        ch->drive[i].unit = i;
        ch->drive[i].buffer = g_malloc0(IDE_BUFFER);
    }
}

void ide_channel_exit(IdeChannel *ch)
{
    ide_channel_drain(ch);
    for (unsigned i = 0; i < 2; i++)
        g_free(ch->drive[i].buffer);
}

void ide_channel_drain(IdeChannel *ch)
{
    for (unsigned i = 0; i < 2; i++) {
        if (ide_drive_present(&ch->drive[i]))
            block_drain(ch->drive[i].block);
    }
}

static void drive_power_on(IdeDrive *d)
{
    if (!ide_drive_present(d))
        return;
    ata_set_defaults(d);
    d->device = DEV_OBSOLETE;
    d->sense_key = d->asc = d->ascq = d->media_event = 0;
    d->tray_open = d->tray_locked = d->attention = false;
    ide_reset_drive(d);
}

void ide_channel_reset(IdeChannel *ch)
{
    for (unsigned i = 0; i < 2; i++)
        ide_stop_drive(&ch->drive[i]);
    ide_channel_drain(ch);
    ch->selected = 0;
    ch->control = 0;
    ide_dma_reset(&ch->dma);
    for (unsigned i = 0; i < 2; i++)
        drive_power_on(&ch->drive[i]);
    ide_update_line(ch);
}

void ide_drive_attach(IdeDrive *d, IdeKind kind, BlockBackend *block, const char *model, const char *serial)
{
    bool cd = kind == IDE_CDROM;

    d->kind = kind;
    d->block = block;
    d->sectors = MIN(block_size(block) / sector_size(d), cd ? UINT32_MAX : bit_mask(48));
    d->cylinders = CLAMP(d->sectors / (16 * 63), 1, 16383);
    g_strlcpy(d->model, model ? model : cd ? "MYNA CD-ROM" : "MYNA HARDDISK", sizeof d->model);
    g_strlcpy(d->serial, serial, sizeof d->serial);
    drive_power_on(d);
}

/* ---- save and restore ---- */

static bool block_sane(const IdeDrive *d)
{
    bool moving = d->phase >= IDE_PIO_IN;
    return d->pos <= d->end && d->end <= d->length && d->length <= IDE_BUFFER && (!moving || d->pos < d->end) &&
           (!moving || d->dma || d->packet || d->block_size);
}

static bool drive_sane(const IdeDrive *d)
{
    if (!ide_drive_present(d))
        return d->phase == IDE_IDLE && !d->intrq;
    return d->phase < IDE_PHASES && d->phase != IDE_BUSY && d->packet < IDE_PACKETS && d->heads >= 1 &&
           d->heads <= 16 && d->track && d->multiple <= IDE_MAX_MULTIPLE && block_sane(d) &&
           (d->packet == PACKET_NONE || d->kind == IDE_CDROM);
}

gboolean ide_channel_restored(IdeChannel *ch, const char *owner, GError **err)
{
    if (ch->selected > 1)
        return error_set(err, "%s: the saved state selects drive %u of a channel; it has drives 0 and 1", owner,
                         ch->selected);
    for (unsigned i = 0; i < 2; i++) {
        if (!drive_sane(&ch->drive[i]))
            return error_set(err, "%s: the saved state of drive %u does not fit this machine's drive, or itself", owner,
                             i);
    }
    return TRUE;
}

static const StateField task_file_state[] = {
    STATE_U8(IdeTaskFile, feature), STATE_U8(IdeTaskFile, count), STATE_U8(IdeTaskFile, low),
    STATE_U8(IdeTaskFile, mid), STATE_U8(IdeTaskFile, high), STATE_END
};

/* Nothing is in flight when it is saved: ide_channel_drain(). */
static const StateField drive_state[] = {
    STATE_STRUCT(IdeDrive, now, task_file_state), STATE_STRUCT(IdeDrive, before, task_file_state),
    STATE_U8(IdeDrive, device), STATE_U8(IdeDrive, status), STATE_U8(IdeDrive, error), STATE_U8(IdeDrive, command),
    STATE_BOOL(IdeDrive, intrq), STATE_U8(IdeDrive, heads), STATE_U8(IdeDrive, track), STATE_U8(IdeDrive, multiple),
    STATE_U8(IdeDrive, mode), STATE_BOOL(IdeDrive, write_cache), STATE_BOOL(IdeDrive, look_ahead),
    STATE_BOOL(IdeDrive, smart), STATE_BOOL(IdeDrive, standby), STATE_U8(IdeDrive, phase), STATE_U8(IdeDrive, packet),
    STATE_BOOL(IdeDrive, writing), STATE_BOOL(IdeDrive, dma), STATE_BOOL(IdeDrive, lba48), STATE_U64(IdeDrive, lba),
    STATE_U32(IdeDrive, left), STATE_U32(IdeDrive, pos), STATE_U32(IdeDrive, end),
    STATE_VBUFFER(IdeDrive, buffer, length, IDE_BUFFER), STATE_U32(IdeDrive, block_size), STATE_BYTES(IdeDrive, cdb),
    STATE_U32(IdeDrive, byte_limit), STATE_U8(IdeDrive, sense_key), STATE_U8(IdeDrive, asc), STATE_U8(IdeDrive, ascq),
    STATE_BOOL(IdeDrive, tray_open), STATE_BOOL(IdeDrive, tray_locked), STATE_BOOL(IdeDrive, attention),
    STATE_U8(IdeDrive, media_event), STATE_END
};

const StateField ide_channel_state[] = {
    STATE_STRUCT_ARRAY(IdeChannel, drive, drive_state), STATE_U8(IdeChannel, selected), STATE_U8(IdeChannel, control),
    STATE_BOOL(IdeChannel, line), STATE_STRUCT(IdeChannel, dma, ide_dma_state), STATE_END
};
