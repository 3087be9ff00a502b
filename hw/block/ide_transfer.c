/*
 * ATA drives: ends of commands, resets, the transfers between image and buffer, and a drive's life (ide.h).
 */
#include <string.h>

#include "hw/block/ide.h"
#include "util/bits.h"

bool ide_drive_present(const IdeDrive *d)
{
    return d->kind != IDE_NONE;
}

static void set_intrq(IdeDrive *d, bool level)
{
    d->intrq = level;
    d->transport->interrupt(d);
}

void ide_raise(IdeDrive *d) { set_intrq(d, true); }
void ide_lower(IdeDrive *d) { set_intrq(d, false); }

/* ---- ends of commands ---- */

static void end_command(IdeDrive *d, uint8_t status, uint8_t error)
{
    d->phase = IDE_IDLE;
    d->packet = PACKET_NONE;
    d->trimming = false;
    d->status = ST_DRDY | ST_DSC | status;
    d->error = error;
}

void ide_finish(IdeDrive *d, bool irq)
{
    end_command(d, 0, 0);
    if (irq)
        ide_raise(d);
    d->transport->ended(d, irq);
}

void ide_fail(IdeDrive *d, uint8_t status, uint8_t error)
{
    end_command(d, status | ST_ERR, error);
    ide_raise(d);
    d->transport->ended(d, true);
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
    d->trimming = false;
    d->status = ST_BSY;
    ide_lower(d);
}

void ide_reset_drive(IdeDrive *d)
{
    if (!ide_drive_present(d) || d->in_flight || d->held)
        return;
    ide_set_signature(d);
    d->phase = IDE_IDLE;
    d->standby = false;
    d->error = 1; /* diagnostic code: passed */
    d->status = d->kind == IDE_CDROM ? 0 : ST_DRDY | ST_DSC;
    d->transport->was_reset(d);
}

/* ---- transfers: image to buffer and back ---- */

static unsigned sector_size(const IdeDrive *d)
{
    return d->kind == IDE_CDROM ? CD_SECTOR : ATA_SECTOR;
}

void ide_go_busy(IdeDrive *d)
{
    d->phase = IDE_BUSY;
    d->status = ST_BSY;
    d->in_flight = true;
}

/* The image is done with: false when a reset has come between. */
bool ide_image_done(IdeDrive *d)
{
    d->in_flight = false;
    if (!d->stale)
        return true;
    d->stale = false;
    d->phase = IDE_IDLE; /* also while the reset is held, which does the rest when it ends */
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
    } else if (d->packet) {
        atapi_block_next(d);
    } else {
        ide_offer(d, MIN(d->length, d->pos + d->block_size), d->writing ? IDE_PIO_OUT : IDE_PIO_IN);
        if (irq)
            ide_raise(d);
    }
    d->transport->offered(d);
}

static void loaded(void *opaque, int status)
{
    IdeDrive *d = opaque;

    if (!ide_image_done(d))
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
    ide_go_busy(d);
    block_read(d->block, d->lba * sector_size(d), d->buffer, d->length, loaded, d);
}

static void flushed(void *opaque, int status)
{
    IdeDrive *d = opaque;

    if (!ide_image_done(d))
        return;
    if (status)
        ide_fail(d, ST_DF, ER_ABRT);
    else
        ide_finish(d, true);
}

void ide_flush(IdeDrive *d)
{
    ide_go_busy(d);
    block_flush(d->block, flushed, d);
}

static void stored(void *opaque, int status)
{
    IdeDrive *d = opaque;

    if (!ide_image_done(d))
        return;
    if (status) {
        image_failed(d);
        return;
    }
    chunk_end(d);
    if (d->left) {
        chunk_begin(d);
        block_next(d, true);
    } else {
        ide_finish(d, true);
    }
}

static void store(IdeDrive *d)
{
    ide_go_busy(d);
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

void ide_receive(IdeDrive *d, uint32_t length)
{
    d->writing = true;
    d->left = 0;
    d->pos = 0;
    d->length = length;
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
    else if (d->trimming)
        ata_trim(d);
    else if (d->writing && d->packet)
        atapi_received(d);
    else if (d->writing)
        store(d);
    else
        input_done(d);
}

/* ---- life ---- */

static void drive_measure(IdeDrive *d)
{
    d->sectors = MIN(block_size(d->block) / sector_size(d), d->kind == IDE_CDROM ? UINT32_MAX : bit_mask(48));
    d->cylinders = CLAMP(d->sectors / (16 * 63), 1, 16383);
}

void ide_drive_power_on(IdeDrive *d)
{
    if (!ide_drive_present(d))
        return;
    ata_set_defaults(d);
    atapi_set_defaults(d);
    memset(d->queue_error, 0, sizeof d->queue_error);
    d->device = DEV_OBSOLETE;
    d->sense_key = d->asc = d->ascq = d->media_event = 0;
    d->tray_open = d->tray_locked = d->attention = false;
    block_set_tray(d->block, false);
    block_set_locked(d->block, false);
    ide_reset_drive(d);
}

void ide_drive_init(IdeDrive *d, const IdeTransport *transport, void *owner, unsigned unit)
{
    d->transport = transport;
    d->owner = owner;
    d->unit = unit;
    d->buffer = g_malloc0(IDE_BUFFER);
}

void ide_drive_drain(IdeDrive *d)
{
    if (ide_drive_present(d))
        block_drain(d->block);
}

void ide_drive_exit(IdeDrive *d)
{
    if (ide_drive_present(d))
        block_detach(d->block);
    g_free(d->buffer);
}

static void medium_changed(void *opaque)
{
    IdeDrive *d = opaque;

    drive_measure(d);
    atapi_medium_changed(d);
}

static void eject_wanted(void *opaque, bool force) { atapi_eject_wanted(opaque, force); }

/* IDENTIFY tells the new size; ATA has no way to announce it. */
static void resized(void *opaque) { drive_measure(opaque); }

static const BlockUser disk_user = { .resized = resized };
static const BlockUser cd_user = { .removable = true, .medium_changed = medium_changed, .eject_wanted = eject_wanted };

gboolean ide_drive_attach(IdeDrive *d, IdeKind kind, BlockBackend *block, const char *model, const char *serial,
                          const char *device, GError **err)
{
    if (!block_attach(block, device, kind == IDE_CDROM ? &cd_user : &disk_user, d, err))
        return FALSE;
    d->kind = kind;
    d->block = block;
    d->cache_at_start = block_write_cache(block);
    drive_measure(d);
    g_strlcpy(d->model, model ? model : kind == IDE_CDROM ? "MYNA CD-ROM" : "MYNA HARDDISK", sizeof d->model);
    g_strlcpy(d->serial, serial, sizeof d->serial);
    ide_drive_power_on(d);
    return TRUE;
}

/* ---- save and restore ---- */

static bool block_sane(const IdeDrive *d)
{
    bool moving = d->phase >= IDE_PIO_IN;
    return d->pos <= d->end && d->end <= d->length && d->length <= IDE_BUFFER && (!moving || d->pos < d->end) &&
           (!moving || d->dma || d->packet || d->block_size);
}

bool ide_drive_sane(const IdeDrive *d)
{
    if (!ide_drive_present(d))
        return d->phase == IDE_IDLE && !d->intrq;
    return d->phase < IDE_PHASES && d->phase != IDE_BUSY && d->packet < IDE_PACKETS && d->heads >= 1 &&
           d->heads <= 16 && d->track && d->multiple <= IDE_MAX_MULTIPLE && block_sane(d) &&
           (d->packet == PACKET_NONE || d->kind == IDE_CDROM);
}

static const StateField task_file_state[] = {
    STATE_U8(IdeTaskFile, feature), STATE_U8(IdeTaskFile, count), STATE_U8(IdeTaskFile, low),
    STATE_U8(IdeTaskFile, mid), STATE_U8(IdeTaskFile, high), STATE_END
};

/* Nothing is in flight when it is saved: ide_drive_drain(). */
const StateField ide_drive_state[] = {
    STATE_STRUCT(IdeDrive, now, task_file_state), STATE_STRUCT(IdeDrive, before, task_file_state),
    STATE_U8(IdeDrive, device), STATE_U8(IdeDrive, status), STATE_U8(IdeDrive, error), STATE_U8(IdeDrive, command),
    STATE_BOOL(IdeDrive, intrq), STATE_U8(IdeDrive, heads), STATE_U8(IdeDrive, track), STATE_U8(IdeDrive, multiple),
    STATE_U8(IdeDrive, mode), STATE_BOOL(IdeDrive, write_cache), STATE_BOOL(IdeDrive, look_ahead),
    STATE_BOOL(IdeDrive, smart), STATE_BOOL(IdeDrive, standby), STATE_BOOL(IdeDrive, held),
    STATE_U8(IdeDrive, phase), STATE_U8(IdeDrive, packet),
    STATE_BOOL(IdeDrive, writing), STATE_BOOL(IdeDrive, dma), STATE_BOOL(IdeDrive, lba48), STATE_U64(IdeDrive, lba),
    STATE_U32(IdeDrive, left), STATE_U32(IdeDrive, pos), STATE_U32(IdeDrive, end),
    STATE_VBUFFER(IdeDrive, buffer, length, IDE_BUFFER), STATE_U32(IdeDrive, block_size),
    STATE_BOOL(IdeDrive, trimming), STATE_BYTES(IdeDrive, queue_error), STATE_BYTES(IdeDrive, cdb),
    STATE_U32(IdeDrive, byte_limit), STATE_U8(IdeDrive, sense_key), STATE_U8(IdeDrive, asc), STATE_U8(IdeDrive, ascq),
    STATE_BOOL(IdeDrive, tray_open), STATE_BOOL(IdeDrive, tray_locked), STATE_BOOL(IdeDrive, attention),
    STATE_U8(IdeDrive, media_event), STATE_BYTES(IdeDrive, recovery), STATE_BYTES(IdeDrive, volume), STATE_END
};

