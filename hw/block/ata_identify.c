/*
 * What drives tell of themselves: IDENTIFY DEVICE and IDENTIFY PACKET DEVICE (ATA/ATAPI-6, sections 8.16 and 8.17;
 * ACS-2 for SATA and TRIM).
 */
#include <string.h>

#include "hw/block/ide.h"
#include "util/bits.h"
#include "util/endian.h"

#define FIRMWARE "1.0"

static void put(uint8_t *page, unsigned word, uint16_t v)
{
    st16le(page + 2 * word, v);
}

static void put32(uint8_t *page, unsigned word, uint32_t v)
{
    st32le(page + 2 * word, v);
}

/* Strings are padded with blanks, and have the first character in the high byte of a word. */
static void put_string(uint8_t *page, unsigned word, unsigned bytes, const char *text)
{
    unsigned n = strlen(text);

    for (unsigned i = 0; i < bytes; i++)
        page[(2 * word + i) ^ 1] = i < n ? text[i] : ' ';
}

static void put_names(const IdeDrive *d, uint8_t *page)
{
    put_string(page, 10, 20, d->serial);
    put_string(page, 23, 8, FIRMWARE);
    put_string(page, 27, 40, d->model);
}

/* Modes: those there are in the low byte, the one that is set in the high byte. */
static void put_modes(const IdeDrive *d, uint8_t *page)
{
    put(page, 63, 0x07 | (d->mode < 0x40 ? 0x100 << (d->mode & 7) : 0));
    put(page, 64, 0x03);                /* PIO modes 3 and 4 */
    for (unsigned word = 65; word <= 68; word++)
        put(page, word, 120);           /* ns of a cycle */
    put(page, 88, 0x3f | (d->mode >= 0x40 ? 0x100 << (d->mode & 7) : 0));
}

static void put_translation(const IdeDrive *d, uint8_t *page)
{
    uint32_t cylinders = MIN(d->sectors / (d->heads * d->track), 65535);

    put(page, 1, d->cylinders);
    put(page, 3, 16);
    put(page, 6, 63);
    put(page, 54, cylinders);
    put(page, 55, d->heads);
    put(page, 56, d->track);
    put32(page, 57, cylinders * d->heads * d->track);
}

/*
 * Word 93: a cable of 80 wires; bits 7-0 are device 0's, bits 12-8 device 1's, which clears the others: it answered,
 * its number was set by jumper, and (bits 3, 11) it passed its diagnostics or asserted PDIAG.
 */
static void put_reset_result(const IdeDrive *d, uint8_t *page) { put(page, 93, 0x6000 | (d->unit ? 0x0b00 : 0x000b)); }

static void put_features(const IdeDrive *d, uint8_t *page)
{
    put(page, 82, 0x4069);              /* NOP, look-ahead, write cache, power management, SMART */
    put(page, 83, 0x7400);              /* FLUSH CACHE EXT, FLUSH CACHE, 48-bit addresses */
    put(page, 84, 0x4023);              /* general purpose logs; SMART error log and self-test */
    put(page, 85, 0x4008 | (d->look_ahead ? 0x40 : 0) | (d->write_cache ? 0x20 : 0) | (d->smart ? 1 : 0));
    put(page, 86, 0x3400);
    put(page, 87, 0x4023);
}

/* Words that parallel drives have otherwise, or as 0. */
static void put_serial_ata(const IdeDrive *d, uint8_t *page)
{
    bool disk = d->kind == IDE_DISK;

    put(page, 75, disk ? 31 : 0);       /* depth of the queue, less one */
    put(page, 76, disk ? 0x010e : 0x000e); /* queued commands; 1.5, 3, 6 Gbit/s */
    put(page, 80, 0x01f0);              /* ATA8-ACS, too */
    put(page, 81, 0);
    put(page, 93, 0);
    put(page, 222, 0x103f);             /* Serial ATA, to revision 3.0 */
}

static void put_trim(const IdeDrive *d, uint8_t *page)
{
    if (!block_can_discard(d->block))
        return;
    put(page, 105, ATA_TRIM_BLOCKS);
    put(page, 169, 1);
}

void ata_identify(const IdeDrive *d, uint8_t page[ATA_SECTOR])
{
    memset(page, 0, ATA_SECTOR);
    put(page, 0, 0x0040);               /* fixed */
    put_names(d, page);
    put_translation(d, page);
    put(page, 47, 0x8000 | IDE_MAX_MULTIPLE);
    put(page, 48, 1);                   /* 32-bit access to the data port */
    put(page, 49, 0x0f00);              /* IORDY, LBA, DMA */
    put(page, 50, 0x4000);
    put(page, 51, 0x0200);
    put(page, 53, 7);                   /* words 54-58, 64-70 and 88 are valid */
    put(page, 59, d->multiple ? 0x100 | d->multiple : 0);
    put32(page, 60, MIN(d->sectors, 0x0fffffff));
    put_modes(d, page);
    put(page, 80, 0x00f0);              /* ATA/ATAPI-4 to -7 */
    put(page, 81, 0x0019);
    put_features(d, page);
    put_reset_result(d, page);
    st64le(page + 200, d->sectors);
    put_trim(d, page);
    if (d->sata)
        put_serial_ata(d, page);
    page[510] = 0xa5;
    ata_put_checksum(page);
}

void ata_identify_packet(const IdeDrive *d, uint8_t page[ATA_SECTOR])
{
    memset(page, 0, ATA_SECTOR);
    put(page, 0, 0x85c0);               /* ATAPI, CD-ROM, removable, 50 us to DRQ, packets of 12 bytes */
    put_names(d, page);
    put(page, 48, 1);
    put(page, 49, 0x0f00);
    put(page, 53, 6);
    put_modes(d, page);
    put(page, 71, 30);                  /* ns to the release of the bus */
    put(page, 72, 30);
    put(page, 80, 0x00f0);
    put(page, 81, 0x0019);
    put(page, 82, 0x4218);              /* NOP, DEVICE RESET, PACKET, power management */
    put(page, 83, 0x4000);
    put(page, 84, 0x4000);
    put(page, 85, 0x4218);
    put(page, 87, 0x4000);
    put_reset_result(d, page);
    if (d->sata)
        put_serial_ata(d, page);
    page[510] = 0xa5;
    ata_put_checksum(page);
}
