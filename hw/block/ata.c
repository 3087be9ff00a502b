/*
 * ATA commands (ATA/ATAPI-6, section 8), by a table: what runs a command, and which drives have it.
 */
#include "core/log.h"
#include "hw/block/ide.h"
#include "util/bits.h"

typedef enum CommandFlag {
    DISK = 1, CDROM = 2, BOTH = 3,
    EXT = 4,       /* 48-bit address */
    DMA = 8,
    MULTIPLE = 16, /* an interrupt for several sectors */
} CommandFlag;

typedef struct Command {
    void (*run)(IdeDrive *d);
    uint8_t flags;
} Command;

/* ---- addresses ---- */

static uint64_t low_bits(const IdeTaskFile *t)
{
    return t->low | (uint64_t)t->mid << 8 | (uint64_t)t->high << 16;
}

/* Cylinder, head and sector (from 1) of the current translation; false when there is no such place. */
static bool chs_address(const IdeDrive *d, uint64_t *lba)
{
    unsigned cylinder = d->now.mid | d->now.high << 8, head = d->device & DEV_HEAD, sector = d->now.low;

    *lba = ((uint64_t)cylinder * d->heads + head) * d->track + sector - 1;
    return head < d->heads && sector && sector <= d->track;
}

static bool take_address(const IdeDrive *d, uint64_t *lba)
{
    if (d->lba48)
        *lba = low_bits(&d->now) | low_bits(&d->before) << 24;
    else if (d->device & DEV_LBA)
        *lba = low_bits(&d->now) | (uint64_t)(d->device & DEV_HEAD) << 24;
    else
        return chs_address(d, lba);
    return true;
}

static void put_low_bits(IdeTaskFile *t, uint32_t v)
{
    t->low = v, t->mid = v >> 8, t->high = v >> 16;
}

static void put_chs(IdeDrive *d, uint64_t lba)
{
    uint64_t cylinder = lba / d->track / d->heads;

    d->now.low = lba % d->track + 1;
    d->now.mid = cylinder;
    d->now.high = cylinder >> 8;
    d->device = (d->device & ~DEV_HEAD) | lba / d->track % d->heads;
}

/* Tells the guest of a sector, in the form in which the command gave its own. */
void ata_put_address(IdeDrive *d, uint64_t lba)
{
    if (!d->lba48 && !(d->device & DEV_LBA)) {
        put_chs(d, lba);
        return;
    }
    put_low_bits(&d->now, lba);
    if (d->lba48)
        put_low_bits(&d->before, lba >> 24);
    else
        d->device = (d->device & ~DEV_HEAD) | (lba >> 24 & DEV_HEAD);
}

/* Sectors: 0 stands for the largest number. */
static uint32_t take_count(const IdeDrive *d)
{
    uint32_t n = d->lba48 ? d->now.count | d->before.count << 8 : d->now.count;
    return n ? n : d->lba48 ? 65536 : 256;
}

/* Address and count of a command; when they are not on the disk, the command fails. */
static bool take_range(IdeDrive *d, uint64_t *lba, uint32_t *count)
{
    *count = take_count(d);
    if (take_address(d, lba) && *lba < d->sectors && *count <= d->sectors - *lba)
        return true;
    ide_fail(d, 0, ER_IDNF);
    return false;
}

/* ---- reading and writing ---- */

static void run_transfer(IdeDrive *d, bool writing)
{
    uint64_t lba;
    uint32_t count;

    if (!d->block_size || (writing && block_readonly(d->block)))
        ide_abort(d);
    else if (take_range(d, &lba, &count))
        ide_transfer_start(d, lba, count, writing);
}

static void run_read(IdeDrive *d) { run_transfer(d, false); }
static void run_write(IdeDrive *d) { run_transfer(d, true); }

/* An image's sectors have no check codes: that they are there is all there is to verify. */
static void run_verify(IdeDrive *d)
{
    uint64_t lba;
    uint32_t count;

    if (take_range(d, &lba, &count))
        ide_finish(d, true);
}

static void run_seek(IdeDrive *d)
{
    uint64_t lba;

    if (take_address(d, &lba) && lba < d->sectors)
        ide_finish(d, true);
    else
        ide_fail(d, 0, ER_IDNF);
}

static void run_flush(IdeDrive *d) { ide_flush(d); }

/* ---- settings ---- */

static void run_set_multiple(IdeDrive *d)
{
    unsigned n = d->now.count;

    if (n > IDE_MAX_MULTIPLE || (n && !is_power_of_2(n))) {
        ide_abort(d);
        return;
    }
    d->multiple = n;
    ide_finish(d, true);
}

/* INITIALIZE DEVICE PARAMETERS: the translation of cylinder, head, sector (ATA-3 section 7.13). */
static void run_set_translation(IdeDrive *d)
{
    if (!d->now.count) {
        ide_abort(d);
        return;
    }
    d->track = d->now.count;
    d->heads = (d->device & DEV_HEAD) + 1;
    ide_finish(d, true);
}

void ata_set_defaults(IdeDrive *d)
{
    d->heads = 16;
    d->track = 63;
    d->multiple = IDE_MAX_MULTIPLE;
    d->mode = 0x45; /* Ultra DMA 5 */
    d->look_ahead = d->smart = true;
    d->write_cache = d->cache_at_start;
    block_set_write_cache(d->block, d->write_cache);
    d->standby = false;
}

/* What is in the cache when it is turned off, the command flushes. */
static void set_cache(IdeDrive *d, bool on)
{
    d->write_cache = on;
    block_set_write_cache(d->block, on);
}

/* Transfer mode: the kind in bits 7:3, the number in 2:0 (table 20). */
static bool set_mode(IdeDrive *d, uint8_t v)
{
    static const struct {
        uint8_t kind, max;
    } modes[] = { { 0x00, 1 }, { 0x08, 4 }, { 0x20, 2 }, { 0x40, 5 } };

    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
        if ((v & 0xf8) == modes[i].kind && (v & 7) <= modes[i].max) {
            if (v >= 0x20)
                d->mode = v;
            return true;
        }
    }
    return false;
}

static bool set_feature(IdeDrive *d)
{
    switch (d->now.feature) {
    case 0x02: set_cache(d, true); return true;
    case 0x03: return set_mode(d, d->now.count);
    case 0x55: d->look_ahead = false; return true;
    case 0x66: case 0xcc: return true; /* settings after software reset: they are kept in either case */
    case 0xaa: d->look_ahead = true; return true;
    default: return false;
    }
}

static void run_set_features(IdeDrive *d)
{
    if (d->now.feature == 0x82 && d->kind == IDE_DISK) {
        set_cache(d, false);
        ide_flush(d);
    } else if (set_feature(d)) {
        ide_finish(d, true);
    } else {
        ide_abort(d);
    }
}

/* ---- power ---- */

static void run_standby(IdeDrive *d)
{
    d->standby = true;
    ide_finish(d, true);
}

static void run_idle(IdeDrive *d)
{
    d->standby = false;
    ide_finish(d, true);
}

static void run_check_power(IdeDrive *d)
{
    d->now.count = d->standby ? 0x00 : 0xff;
    ide_finish(d, true);
}

/* ---- what the drive is ---- */

static void send_page(IdeDrive *d)
{
    d->dma = false;
    d->block_size = ATA_SECTOR;
    ide_send(d, ATA_SECTOR);
}

static void run_identify(IdeDrive *d)
{
    ata_identify(d, d->buffer);
    send_page(d);
}

static void run_identify_packet(IdeDrive *d)
{
    ata_identify_packet(d, d->buffer);
    send_page(d);
}

/* Commands by which a host finds disks tell it that this is a CD-ROM (section 9.12). */
static void run_not_a_disk(IdeDrive *d)
{
    if (d->kind == IDE_CDROM) {
        ide_set_signature(d);
        ide_abort(d);
    } else if (d->command == 0xec) {
        run_identify(d);
    } else {
        run_read(d);
    }
}

static void run_native_max(IdeDrive *d)
{
    uint64_t max = d->sectors ? d->sectors - 1 : 0;

    d->device |= DEV_LBA;
    ata_put_address(d, d->lba48 ? max : MIN(max, 0x0ffffffe));
    ide_finish(d, true);
}

/* ---- reset by command ---- */

/* DEVICE RESET has no interrupt, and is taken while the drive is busy (section 8.10). */
static void run_device_reset(IdeDrive *d)
{
    ide_stop_drive(d);
    ide_reset_drive(d);
}

/* ---- the table ---- */

static void run_done(IdeDrive *d) { ide_finish(d, true); }
static void run_nop(IdeDrive *d) { ide_abort(d); } /* section 8.15: always ends with ABRT */
static void run_packet(IdeDrive *d) { atapi_start(d); }

static const Command commands[256] = {
    [0x00] = { run_nop, BOTH },
    [0x06] = { ata_trim_start, DISK | EXT | DMA }, /* DATA SET MANAGEMENT */
    [0x08] = { run_device_reset, CDROM },
    [0x10 ... 0x1f] = { run_done, DISK }, /* RECALIBRATE */
    [0x20] = { run_not_a_disk, BOTH },    /* READ SECTOR(S) */
    [0x21] = { run_read, DISK },
    [0x24] = { run_read, DISK | EXT },
    [0x25] = { run_read, DISK | EXT | DMA },
    [0x27] = { run_native_max, DISK | EXT },
    [0x29] = { run_read, DISK | EXT | MULTIPLE },
    [0x2f] = { ata_read_log, DISK | EXT },
    [0x30 ... 0x31] = { run_write, DISK },
    [0x34] = { run_write, DISK | EXT },
    [0x35] = { run_write, DISK | EXT | DMA },
    [0x39] = { run_write, DISK | EXT | MULTIPLE },
    [0x3c] = { run_write, DISK }, /* WRITE VERIFY */
    [0x40 ... 0x41] = { run_verify, DISK },
    [0x42] = { run_verify, DISK | EXT },
    [0x47] = { ata_read_log, DISK | EXT | DMA },
    [0x70 ... 0x7f] = { run_seek, DISK },
    [0x91] = { run_set_translation, DISK },
    [0x94] = { run_standby, BOTH },
    [0x95] = { run_idle, BOTH },
    [0x96] = { run_standby, BOTH },
    [0x97] = { run_idle, BOTH },
    [0x98] = { run_check_power, BOTH },
    [0x99] = { run_standby, BOTH }, /* SLEEP: any access wakes the drive, as no host loses by it */
    [0xa0] = { run_packet, CDROM },
    [0xa1] = { run_identify_packet, CDROM },
    [0xb0] = { ata_smart, DISK },
    [0xc4] = { run_read, DISK | MULTIPLE },
    [0xc5] = { run_write, DISK | MULTIPLE },
    [0xc6] = { run_set_multiple, DISK },
    [0xc8 ... 0xc9] = { run_read, DISK | DMA },
    [0xca ... 0xcb] = { run_write, DISK | DMA },
    [0xe0] = { run_standby, BOTH },
    [0xe1] = { run_idle, BOTH },
    [0xe2] = { run_standby, BOTH },
    [0xe3] = { run_idle, BOTH },
    [0xe5] = { run_check_power, BOTH },
    [0xe6] = { run_standby, BOTH },
    [0xe7] = { run_flush, DISK },
    [0xea] = { run_flush, DISK | EXT },
    [0xec] = { run_not_a_disk, BOTH }, /* IDENTIFY DEVICE */
    [0xef] = { run_set_features, BOTH },
    [0xf8] = { run_native_max, DISK },
};

/* A drive in a command takes only DEVICE RESET (section 7.5). */
static bool may_execute(const IdeDrive *d, uint8_t command)
{
    return !(d->status & (ST_BSY | ST_DRQ)) || (command == 0x08 && d->kind == IDE_CDROM);
}

void ata_execute(IdeDrive *d, uint8_t command)
{
    const Command *c = &commands[command];
    CommandFlag kind = d->kind == IDE_CDROM ? CDROM : DISK;

    if (!may_execute(d, command)) {
        log_guest_error("ide: command %02x while drive %u is in command %02x", command, d->unit, d->command);
        return;
    }
    d->command = command;
    ide_lower(d);
    if (!(c->flags & kind)) {
        log_printf(LOG_UNIMP, "ide: drive %u has no command %02x\n", d->unit, command);
        ide_abort(d);
        return;
    }
    d->lba48 = c->flags & EXT;
    d->dma = c->flags & DMA;
    d->block_size = ATA_SECTOR * (c->flags & MULTIPLE ? d->multiple : 1);
    c->run(d);
}
