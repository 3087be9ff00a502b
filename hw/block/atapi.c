/*
 * CD-ROM drives: the PACKET command (ATA/ATAPI-6, section 9.8) and the commands it carries (MMC-3, INCITS 360-2002;
 * sense codes: SPC-2, section 7.20), by a table.
 */
#include <string.h>

#include "core/log.h"
#include "hw/block/ide.h"
#include "util/endian.h"

/* Interrupt reason, in the count register: command or data, direction to the host. */
enum { REASON_COMMAND = 1, REASON_TO_HOST = 2 };

enum { SENSE_NONE, SENSE_NOT_READY = 2, SENSE_MEDIUM = 3, SENSE_ILLEGAL = 5, SENSE_ATTENTION = 6 };
enum {
    ASC_READ_ERROR = 0x11, ASC_BAD_COMMAND = 0x20, ASC_BAD_ADDRESS = 0x21, ASC_BAD_FIELD = 0x24,
    ASC_MEDIUM_CHANGED = 0x28, ASC_NO_SAVING = 0x39, ASC_NO_MEDIUM = 0x3a, ASC_REMOVAL_PREVENTED = 0x53,
    ASC_BAD_MODE = 0x64, ASC_BAD_SEQUENCE = 0x2c, ASC_BAD_LENGTH = 0x1a, ASC_BAD_PARAMETER = 0x26,
};

/* Media events of GET EVENT STATUS NOTIFICATION (MMC-3, table 97). */
enum { EVENT_EJECT_REQUEST = 1, EVENT_NEW = 2, EVENT_REMOVED = 3 };

bool atapi_ready(const IdeDrive *d)
{
    return block_inserted(d->block) && !d->tray_open;
}

/* ---- ends of commands ---- */

void atapi_finish(IdeDrive *d)
{
    d->now.count = REASON_COMMAND | REASON_TO_HOST;
    ide_finish(d, true);
}

static void check_condition(IdeDrive *d, uint8_t key, uint8_t asc, uint8_t ascq)
{
    d->sense_key = key;
    d->asc = asc;
    d->ascq = ascq;
    d->now.count = REASON_COMMAND | REASON_TO_HOST;
    ide_fail(d, 0, key << 4 | ER_ABRT);
}

static void bad_field(IdeDrive *d)
{
    check_condition(d, SENSE_ILLEGAL, ASC_BAD_FIELD, 0);
}

static void not_ready(IdeDrive *d)
{
    check_condition(d, SENSE_NOT_READY, ASC_NO_MEDIUM, d->tray_open ? 2 : 1);
}

void atapi_image_error(IdeDrive *d)
{
    check_condition(d, SENSE_MEDIUM, ASC_READ_ERROR, 0);
}

/* ---- data to the host ---- */

/* PIO blocks are as long as the host allows; only the last one may be odd (section 8.23.7). */
static uint32_t block_limit(const IdeDrive *d, uint32_t left)
{
    uint32_t limit = d->byte_limit == 0 || d->byte_limit == 0xffff ? 0xfffe : d->byte_limit;

    return left <= limit ? left : MAX(limit & ~1u, 2);
}

void atapi_block_next(IdeDrive *d)
{
    uint32_t n = block_limit(d, d->length - d->pos);

    d->now.count = d->writing ? 0 : REASON_TO_HOST;
    d->now.mid = n;
    d->now.high = n >> 8;
    ide_offer(d, d->pos + n, d->writing ? IDE_PIO_OUT : IDE_PIO_IN);
    ide_raise(d);
}

/* Sends what lies in the buffer, at most as much as the command asked for. */
static void reply(IdeDrive *d, uint32_t length, uint32_t allocated)
{
    length = MIN(length, allocated);
    if (length)
        ide_send(d, length);
    else
        atapi_finish(d);
}

/* The same for answers that a command's fields may rule out. */
static void reply_or_refuse(IdeDrive *d, uint32_t length, uint32_t allocated)
{
    if (length)
        reply(d, length, allocated);
    else
        bad_field(d);
}

static uint32_t allocated16(const IdeDrive *d)
{
    return ld16be(d->cdb + 7);
}

/* ---- reading ---- */

static void read_sectors(IdeDrive *d, uint32_t lba, uint32_t count)
{
    if (lba > d->sectors || count > d->sectors - lba || (!count && lba == d->sectors))
        check_condition(d, SENSE_ILLEGAL, ASC_BAD_ADDRESS, 0);
    else if (!count)
        atapi_finish(d);
    else
        ide_transfer_start(d, lba, count, false);
}

static void run_read10(IdeDrive *d)
{
    read_sectors(d, ld32be(d->cdb + 2), ld16be(d->cdb + 7));
}

static void run_read12(IdeDrive *d)
{
    read_sectors(d, ld32be(d->cdb + 2), ld32be(d->cdb + 6));
}

/* READ CD: user data of sectors of mode 1, which is what an image has; or no data at all, as a seek. */
static void run_read_cd(IdeDrive *d)
{
    unsigned type = d->cdb[1] >> 2 & 7, parts = d->cdb[9] & 0xf8;
    uint32_t count = ld32be(d->cdb + 5) & 0xffffff;

    if (type > 2 || type == 1)
        check_condition(d, SENSE_ILLEGAL, ASC_BAD_MODE, 0);
    else if (parts == 0x10 || !parts)
        read_sectors(d, ld32be(d->cdb + 2), parts ? count : 0);
    else
        bad_field(d);
}

static uint32_t msf_address(const uint8_t *p)
{
    uint32_t frame = (p[0] * 60u + p[1]) * CD_FRAMES + p[2];
    return frame - CD_PREGAP; /* before the first sector: beyond the end */
}

/* READ CD MSF: from one time up to another. */
static void run_read_cd_msf(IdeDrive *d)
{
    unsigned type = d->cdb[1] >> 2 & 7, parts = d->cdb[9] & 0xf8;
    uint32_t first = msf_address(d->cdb + 3), end = msf_address(d->cdb + 6);

    if (type > 2 || type == 1)
        check_condition(d, SENSE_ILLEGAL, ASC_BAD_MODE, 0);
    else if (end < first)
        check_condition(d, SENSE_ILLEGAL, ASC_BAD_ADDRESS, 0);
    else if (parts == 0x10 || !parts)
        read_sectors(d, first, parts ? end - first : 0);
    else
        bad_field(d);
}

/* ---- audio, of which an image has none ---- */

static void refuse_play(IdeDrive *d, uint32_t length)
{
    if (length)
        check_condition(d, SENSE_ILLEGAL, ASC_BAD_MODE, 0);
    else
        atapi_finish(d);
}

static void run_play10(IdeDrive *d) { refuse_play(d, ld16be(d->cdb + 7)); }
static void run_play12(IdeDrive *d) { refuse_play(d, ld32be(d->cdb + 6)); }
static void run_play_msf(IdeDrive *d) { refuse_play(d, memcmp(d->cdb + 3, d->cdb + 6, 3)); }
static void run_play_track(IdeDrive *d) { refuse_play(d, 1); }
static void run_pause(IdeDrive *d) { check_condition(d, SENSE_ILLEGAL, ASC_BAD_SEQUENCE, 0); }

static void run_seek(IdeDrive *d)
{
    read_sectors(d, ld32be(d->cdb + 2), 0);
}

/* ---- tray ---- */

static void run_lock(IdeDrive *d)
{
    d->tray_locked = d->cdb[4] & 1;
    block_set_locked(d->block, d->tray_locked);
    atapi_finish(d);
}

static void set_tray(IdeDrive *d, bool open)
{
    if (open && atapi_ready(d))
        d->media_event = EVENT_REMOVED;
    else if (!open && d->tray_open && block_inserted(d->block))
        d->media_event = EVENT_NEW, d->attention = true;
    d->tray_open = open;
    block_set_tray(d->block, open);
}

static void tray_open(IdeDrive *d)
{
    if (d->tray_locked) {
        check_condition(d, SENSE_ILLEGAL, ASC_REMOVAL_PREVENTED, 2);
        return;
    }
    set_tray(d, true);
    atapi_finish(d);
}

static void tray_close(IdeDrive *d)
{
    set_tray(d, false);
    atapi_finish(d);
}

/* The user cannot see a drawer: a medium that is put in has been put onto an open one, and closed it. */
void atapi_medium_changed(IdeDrive *d)
{
    bool there = block_inserted(d->block);

    d->media_event = there ? EVENT_NEW : EVENT_REMOVED;
    d->attention |= there;
    if (there && d->tray_open) {
        d->tray_open = false;
        block_set_tray(d->block, false);
    }
}

/* The button at the front: when the guest has locked the door, it is told, and may open it. */
void atapi_eject_wanted(IdeDrive *d, bool force)
{
    if (d->tray_locked && !force) {
        d->media_event = EVENT_EJECT_REQUEST;
        return;
    }
    d->tray_locked = false;
    block_set_locked(d->block, false);
    set_tray(d, true);
}

/* START STOP UNIT: bit 0 start, bit 1 load or eject; bits 7:4 are power conditions, which nothing hangs on. */
static void run_start_stop(IdeDrive *d)
{
    switch (d->cdb[4] & 0xf3) {
    case 2: tray_open(d); break;
    case 3: tray_close(d); break;
    default: atapi_finish(d); break;
    }
}

/* ---- answers ---- */

static void run_done(IdeDrive *d) { atapi_finish(d); }

static void run_request_sense(IdeDrive *d)
{
    uint8_t *p = d->buffer;

    memset(p, 0, 18);
    p[0] = 0x70;
    p[2] = d->sense_key;
    p[7] = 10;
    p[12] = d->asc;
    p[13] = d->ascq;
    d->sense_key = d->asc = d->ascq = 0;
    reply(d, 18, d->cdb[4]);
}

static void run_inquiry(IdeDrive *d)
{
    reply_or_refuse(d, atapi_inquiry(d, d->buffer), ld16be(d->cdb + 3));
}

static void run_read_capacity(IdeDrive *d)
{
    st32be(d->buffer, d->sectors ? d->sectors - 1 : 0);
    st32be(d->buffer + 4, CD_SECTOR);
    reply(d, 8, 8);
}

static void run_read_toc(IdeDrive *d)
{
    reply_or_refuse(d, atapi_toc(d, d->buffer), allocated16(d));
}

static void run_mode_sense(IdeDrive *d)
{
    if (d->cdb[2] >> 6 == 3)
        check_condition(d, SENSE_ILLEGAL, ASC_NO_SAVING, 0);
    else
        reply_or_refuse(d, atapi_mode_sense(d, d->buffer), allocated16(d));
}

/* MODE SELECT: pages after a header, from the host. */
static void run_mode_select(IdeDrive *d)
{
    uint32_t length = allocated16(d);

    if ((d->cdb[1] & 0x11) != 0x10) /* pages are in their standard form, and are not saved */
        bad_field(d);
    else if (!length)
        atapi_finish(d);
    else if (length > ATAPI_MAX_PARAMETERS)
        check_condition(d, SENSE_ILLEGAL, ASC_BAD_LENGTH, 0);
    else
        ide_receive(d, length);
}

void atapi_received(IdeDrive *d)
{
    if (atapi_mode_select(d, d->buffer, d->length))
        atapi_finish(d);
    else
        check_condition(d, SENSE_ILLEGAL, ASC_BAD_PARAMETER, 0);
}

static void run_configuration(IdeDrive *d)
{
    reply_or_refuse(d, atapi_configuration(d, d->buffer), allocated16(d));
}

static void run_event(IdeDrive *d)
{
    reply_or_refuse(d, atapi_event(d, d->buffer), allocated16(d));
}

static void run_disc_information(IdeDrive *d)
{
    reply_or_refuse(d, atapi_disc_information(d, d->buffer), allocated16(d));
}

static void run_track_information(IdeDrive *d)
{
    reply_or_refuse(d, atapi_track_information(d, d->buffer), allocated16(d));
}

static void run_mechanism_status(IdeDrive *d)
{
    reply(d, atapi_mechanism_status(d, d->buffer), ld16be(d->cdb + 8));
}

static void run_subchannel(IdeDrive *d)
{
    reply_or_refuse(d, atapi_subchannel(d, d->buffer), allocated16(d));
}

/* ---- the table ---- */

typedef enum PacketFlag {
    MEDIUM = 1,       /* needs a medium */
    PATIENT = 2,      /* done even when there is a unit attention to be told */
    KEEPS_SENSE = 4,
} PacketFlag;

typedef struct PacketCommand {
    void (*run)(IdeDrive *d);
    uint8_t flags;
} PacketCommand;

static const PacketCommand packet_commands[256] = {
    [0x00] = { run_done, MEDIUM }, /* TEST UNIT READY */
    [0x03] = { run_request_sense, PATIENT | KEEPS_SENSE },
    [0x12] = { run_inquiry, PATIENT },
    [0x1b] = { run_start_stop, 0 },
    [0x1e] = { run_lock, 0 },
    [0x25] = { run_read_capacity, MEDIUM },
    [0x28] = { run_read10, MEDIUM },
    [0x2b] = { run_seek, MEDIUM },
    [0x2f] = { run_seek, MEDIUM }, /* VERIFY: sectors have no check codes */
    [0x42] = { run_subchannel, MEDIUM },
    [0x43] = { run_read_toc, MEDIUM },
    [0x45] = { run_play10, MEDIUM },
    [0x46] = { run_configuration, PATIENT },
    [0x47] = { run_play_msf, MEDIUM },
    [0x48] = { run_play_track, MEDIUM },
    [0x4a] = { run_event, PATIENT },
    [0x4b] = { run_pause, MEDIUM },
    [0x4e] = { run_done, MEDIUM }, /* STOP PLAY */
    [0x51] = { run_disc_information, MEDIUM },
    [0x52] = { run_track_information, MEDIUM },
    [0x55] = { run_mode_select, 0 },
    [0x5a] = { run_mode_sense, 0 },
    [0xa5] = { run_play12, MEDIUM },
    [0xa8] = { run_read12, MEDIUM },
    [0xb9] = { run_read_cd_msf, MEDIUM },
    [0xbb] = { run_done, 0 }, /* SET CD SPEED: the speed of an image is the host's */
    [0xbd] = { run_mechanism_status, 0 },
    [0xbe] = { run_read_cd, MEDIUM },
};

static void execute_command(IdeDrive *d, const PacketCommand *c)
{
    if (!c->run) {
        log_printf(LOG_UNIMP, "ide: CD-ROM has no packet command %02x\n", d->cdb[0]);
        check_condition(d, SENSE_ILLEGAL, ASC_BAD_COMMAND, 0);
    } else if (d->attention && !(c->flags & PATIENT)) {
        d->attention = false;
        check_condition(d, SENSE_ATTENTION, ASC_MEDIUM_CHANGED, 0);
    } else if ((c->flags & MEDIUM) && !atapi_ready(d)) {
        not_ready(d);
    } else {
        c->run(d);
    }
}

void atapi_execute(IdeDrive *d)
{
    memcpy(d->cdb, d->buffer, sizeof d->cdb);
    const PacketCommand *c = &packet_commands[d->cdb[0]];
    d->packet = PACKET_DATA;
    d->dma = d->now.feature & 1;
    d->standby = false;
    if (!(c->flags & KEEPS_SENSE))
        d->sense_key = d->asc = d->ascq = SENSE_NONE;
    execute_command(d, c);
}

/* The host writes the packet to the data port as soon as it sees DRQ; there is no interrupt for it. */
void atapi_start(IdeDrive *d)
{
    if (d->now.feature & 2) { /* overlapped */
        ide_abort(d);
        return;
    }
    d->byte_limit = d->now.mid | d->now.high << 8;
    d->now.count = REASON_COMMAND;
    d->packet = PACKET_CDB;
    d->pos = 0;
    d->length = sizeof d->cdb;
    ide_offer(d, d->length, IDE_PIO_OUT);
    d->transport->offered(d);
}
