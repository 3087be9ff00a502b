/* SMART (SFF-8035i; ATA/ATAPI-6, section 8.41) and general purpose logs (ACS-2, section 7.24 and annex A). */
#include <string.h>

#include "hw/block/ide.h"
#include "util/bits.h"
#include "util/endian.h"

/* The sum of all bytes is 0. */
void ata_put_checksum(uint8_t page[ATA_SECTOR])
{
    uint8_t sum = 0;

    for (unsigned i = 0; i < ATA_SECTOR - 1; i++)
        sum += page[i];
    page[ATA_SECTOR - 1] = -sum;
}

static void send_pages(IdeDrive *d, unsigned pages)
{
    d->block_size = ATA_SECTOR;
    ide_send(d, pages * ATA_SECTOR);
}

/* ---- data and thresholds ---- */

/* An attribute: number, flags, current and worst value, raw value, threshold. */
typedef struct Attribute {
    uint8_t id, flags, value, raw, threshold;
} Attribute;

static const Attribute attributes[] = {
    { 1, 0x03, 100, 0, 6 },    /* read errors */
    { 3, 0x03, 100, 16, 0 },   /* time to spin up */
    { 4, 0x02, 100, 100, 20 }, /* starts and stops */
    { 5, 0x03, 100, 0, 36 },   /* reallocated sectors */
    { 9, 0x03, 100, 1, 0 },    /* hours of operation */
    { 12, 0x03, 100, 0, 0 },   /* power cycles */
    { 194, 0x02, 69, 31, 50 }, /* temperature */
};

static void put_abilities(uint8_t *page)
{
    page[362] = 0;            /* no off-line collection was begun */
    page[363] = 0;            /* the last self-test ended well */
    page[367] = 0x11;         /* off-line at once, self-tests */
    page[368] = 0x03;         /* attributes are kept */
    page[370] = 1;            /* an error log */
    page[372] = page[373] = 1; /* minutes of a short and of an extended self-test */
}

static void send_attributes(IdeDrive *d, bool thresholds)
{
    uint8_t *page = d->buffer;

    memset(page, 0, ATA_SECTOR);
    page[0] = 1;
    for (unsigned i = 0; i < ARRAY_SIZE(attributes); i++) {
        const Attribute *a = &attributes[i];
        uint8_t *p = page + 2 + 12 * i;
        p[0] = a->id;
        p[1] = thresholds ? a->threshold : a->flags;
        if (!thresholds)
            p[3] = p[4] = a->value, p[5] = a->raw;
    }
    if (!thresholds)
        put_abilities(page);
    ata_put_checksum(page);
    send_pages(d, 1);
}

/* ---- logs ---- */

enum { LOG_DIRECTORY = 0x00, LOG_ERRORS = 0x01, LOG_SELF_TESTS = 0x06, LOG_QUEUE_ERROR = 0x10 };

/* Logs that SMART has: none of them holds an entry. */
static bool put_smart_log(uint8_t *page, unsigned log)
{
    memset(page, 0, ATA_SECTOR);
    switch (log) {
    case LOG_DIRECTORY:
        page[0] = 1;
        page[2 * LOG_ERRORS] = page[2 * LOG_SELF_TESTS] = 1;
        return true;
    case LOG_ERRORS: case LOG_SELF_TESTS:
        page[0] = 1;
        ata_put_checksum(page);
        return true;
    default: return false;
    }
}

static void smart_log(IdeDrive *d)
{
    if (d->now.count == 1 && put_smart_log(d->buffer, d->now.low))
        send_pages(d, 1);
    else
        ide_abort(d);
}

static void put_queue_error(const IdeDrive *d, uint8_t *page)
{
    memcpy(page, d->queue_error, sizeof d->queue_error);
    ata_put_checksum(page);
}

void ata_read_log(IdeDrive *d)
{
    unsigned log = d->now.low, first = d->now.mid | d->before.mid << 8, count = d->now.count | d->before.count << 8;

    if (first || count != 1 || (log == LOG_QUEUE_ERROR && !d->sata)) {
        ide_abort(d);
        return;
    }
    memset(d->buffer, 0, ATA_SECTOR);
    if (log == LOG_DIRECTORY) {
        d->buffer[0] = 1;
        d->buffer[2 * LOG_QUEUE_ERROR] = d->sata;
    } else if (log == LOG_QUEUE_ERROR) {
        put_queue_error(d, d->buffer);
    } else {
        ide_abort(d);
        return;
    }
    send_pages(d, 1);
}

/* ---- SMART ---- */

static void smart_status(IdeDrive *d)
{
    d->now.mid = 0x4f; /* no threshold exceeded: the values stay as they were given */
    d->now.high = 0xc2;
    ide_finish(d, true);
}

static void smart_enable(IdeDrive *d, bool on)
{
    d->smart = on;
    ide_finish(d, true);
}

void ata_smart(IdeDrive *d)
{
    uint8_t what = d->now.feature;

    if (d->now.mid != 0x4f || d->now.high != 0xc2 || (!d->smart && what != 0xd8)) {
        ide_abort(d);
        return;
    }
    switch (what) {
    case 0xd0: send_attributes(d, false); break;
    case 0xd1: send_attributes(d, true); break;
    case 0xd2: case 0xd3: ide_finish(d, true); break; /* attributes do not change: nothing to be saved */
    case 0xd4: ide_finish(d, true); break;            /* a self-test, which an image passes at once */
    case 0xd5: smart_log(d); break;
    case 0xd8: smart_enable(d, true); break;
    case 0xd9: smart_enable(d, false); break;
    case 0xda: smart_status(d); break;
    default: ide_abort(d); break;
    }
}
