/*
 * The tables that a CD-ROM answers with: what it is, what it can, what its medium holds (MMC-3, INCITS 360-2002, and
 * SPC-2).  An image is a disc with one session of one data track.
 */
#include <string.h>

#include "hw/block/ide.h"
#include "util/bits.h"
#include "util/endian.h"

enum { TRACK_DATA = 0x14, LEAD_OUT = 0xaa };
#define CD_MAX_SECTORS (80 * 60 * CD_FRAMES + 45000) /* a CD has 80 minutes, with some room: larger images are DVDs */

unsigned atapi_inquiry(const IdeDrive *d, uint8_t *out)
{
    if (d->cdb[1] & 3 || d->cdb[2]) /* vital product data: there are none */
        return 0;
    memset(out, 0, 36);
    out[0] = 5;    /* CD-ROM */
    out[1] = 0x80; /* removable */
    out[3] = 0x21; /* ATAPI; format of the answer */
    out[4] = 31;
    memcpy(out + 8, "MYNA    " "CD-ROM          " "1.0 ", 28);
    return 36;
}

/* ---- table of contents (section 6.25) ---- */

/* An address in the form the command asks for: minutes, seconds, frames from the start of the disc, or a sector. */
static void put_address(uint8_t *p, uint32_t lba, bool msf)
{
    uint32_t frame = lba + CD_PREGAP;

    if (!msf) {
        st32be(p, lba);
        return;
    }
    p[0] = 0;
    p[1] = frame / CD_FRAMES / 60;
    p[2] = frame / CD_FRAMES % 60;
    p[3] = frame % CD_FRAMES;
}

static uint8_t *toc_entry(uint8_t *p, uint8_t track, uint32_t lba, bool msf)
{
    memset(p, 0, 8);
    p[1] = TRACK_DATA;
    p[2] = track;
    put_address(p + 4, lba, msf);
    return p + 8;
}

static unsigned toc_end(uint8_t *out, const uint8_t *p)
{
    st16be(out, p - out - 2);
    out[2] = out[3] = 1; /* first and last track, or session */
    return p - out;
}

static unsigned toc_tracks(const IdeDrive *d, uint8_t *out, bool msf)
{
    unsigned first = d->cdb[6];
    uint8_t *p = out + 4;

    if (first > 1 && first != LEAD_OUT)
        return 0;
    if (first <= 1)
        p = toc_entry(p, 1, 0, msf);
    p = toc_entry(p, LEAD_OUT, d->sectors, msf);
    return toc_end(out, p);
}

/* One entry of the raw table: session, what it tells (track, or A0h to A2h), and where. */
static uint8_t *raw_entry(uint8_t *p, uint8_t point, uint8_t m, uint8_t s, uint8_t f)
{
    const uint8_t entry[11] = { 1, TRACK_DATA, 0, point, 0, 0, 0, 0, m, s, f };
    memcpy(p, entry, sizeof entry);
    return p + sizeof entry;
}

static unsigned toc_raw(const IdeDrive *d, uint8_t *out)
{
    uint8_t end[4], *p = out + 4;

    put_address(end, d->sectors, true);
    p = raw_entry(p, 0xa0, 1, 0, 0);                /* first track; kind of disc */
    p = raw_entry(p, 0xa1, 1, 0, 0);                /* last track */
    p = raw_entry(p, 0xa2, end[1], end[2], end[3]); /* lead-out */
    p = raw_entry(p, 1, 0, 2, 0);
    return toc_end(out, p);
}

/* The format stands in byte 2, or in older drives' place in byte 9. */
unsigned atapi_toc(const IdeDrive *d, uint8_t *out)
{
    unsigned format = d->cdb[2] & 15 ? d->cdb[2] & 15u : d->cdb[9] >> 6;
    bool msf = d->cdb[1] & 2;

    switch (format) {
    case 0: return toc_tracks(d, out, msf);
    case 1: return toc_end(out, toc_entry(out + 4, 1, 0, msf));
    case 2: return toc_raw(d, out);
    default: return 0;
    }
}

/* Present position, catalogue number and recording code: of the latter two there are none. */
unsigned atapi_subchannel(const IdeDrive *d, uint8_t *out)
{
    bool msf = d->cdb[1] & 2;
    unsigned format = d->cdb[3], length = format == 1 ? 16 : 24;

    memset(out, 0, 24);
    out[1] = 0x15; /* no audio is played */
    if (!(d->cdb[2] & 0x40))
        return 4;
    if (format < 1 || format > 3 || (format == 3 && d->cdb[6] > 1))
        return 0;
    st16be(out + 2, length - 4);
    out[4] = format;
    if (format == 2)
        return length;
    out[5] = TRACK_DATA;
    out[6] = 1;
    if (format == 3)
        return length;
    out[7] = 1;
    put_address(out + 8, 0, msf);
    put_address(out + 12, 0, msf);
    return length;
}

/* Of the track that is named, or that a sector is in (section 6.27). */
unsigned atapi_track_information(const IdeDrive *d, uint8_t *out)
{
    uint32_t place = ld32be(d->cdb + 2);

    switch (d->cdb[1] & 3) {
    case 0:
        if (place >= d->sectors)
            return 0;
        break;
    case 1: case 2:
        if (place != 1)
            return 0;
        break;
    default: return 0;
    }
    memset(out, 0, 36);
    st16be(out, 34);
    out[2] = out[3] = 1;                      /* track, session */
    out[5] = 4;                               /* data */
    out[6] = 1;                               /* mode 1 */
    st32be(out + 24, d->sectors);
    return 36;
}

unsigned atapi_disc_information(const IdeDrive *d, uint8_t *out)
{
    if (d->cdb[1] & 7) /* other kinds of information */
        return 0;
    memset(out, 0, 34);
    st16be(out, 32);
    out[2] = 0x0e; /* complete, the last session too */
    out[3] = out[4] = out[5] = out[6] = 1;
    out[7] = 0x20; /* unrestricted use */
    memset(out + 16, 0xff, 8); /* no further session can start */
    return 34;
}

unsigned atapi_mechanism_status(const IdeDrive *d, uint8_t *out)
{
    memset(out, 0, 8);
    out[1] = d->tray_open ? 0x10 : 0;
    return 8;
}

/* ---- mode pages (section 5.5) ---- */

static const uint8_t default_recovery[2] = { 0, 5 }, default_volume[8] = { 1, 255, 2, 255 };

void atapi_set_defaults(IdeDrive *d)
{
    memcpy(d->recovery, default_recovery, sizeof d->recovery);
    memcpy(d->volume, default_volume, sizeof d->volume);
}

/* Values that are asked for: changeable bits have a mask in their place. */
typedef enum PageValues { VALUES_NOW, VALUES_CHANGEABLE, VALUES_DEFAULT } PageValues;

static void put_values(uint8_t *p, PageValues which, const uint8_t *now, const uint8_t *initial, unsigned n)
{
    if (which == VALUES_CHANGEABLE)
        memset(p, 0xff, n);
    else
        memcpy(p, which == VALUES_NOW ? now : initial, n);
}

static uint8_t *put_recovery(const IdeDrive *d, uint8_t *p, PageValues which)
{
    memset(p, 0, 8);
    p[0] = 0x01;
    p[1] = 6;
    put_values(p + 2, which, d->recovery, default_recovery, sizeof d->recovery);
    return p + 8;
}

static uint8_t *put_audio(const IdeDrive *d, uint8_t *p, PageValues which)
{
    memset(p, 0, 16);
    p[0] = 0x0e;
    p[1] = 14;
    if (which != VALUES_CHANGEABLE)
        p[2] = 4, p[7] = CD_FRAMES;
    put_values(p + 8, which, d->volume, default_volume, sizeof d->volume);
    return p + 16;
}

/* Power conditions: no timers run. */
static uint8_t *put_power(uint8_t *p)
{
    memset(p, 0, 12);
    p[0] = 0x1a;
    p[1] = 10;
    return p + 12;
}

/* Capabilities and mechanical status. */
static uint8_t *put_capabilities(const IdeDrive *d, uint8_t *p, bool changeable)
{
    memset(p, 0, 22);
    p[0] = 0x2a;
    p[1] = 20;
    if (changeable)
        return p + 22;
    p[2] = 0x0b;                              /* reads CD-R, CD-RW, DVD-ROM */
    p[4] = 0x70;                              /* mode 2 forms 1 and 2, several sessions */
    p[6] = 0x29 | (d->tray_locked ? 2 : 0);   /* a tray, which can be ejected and locked */
    st16be(p + 8, 706);                       /* kB/s: fourfold speed */
    st16be(p + 12, IDE_BUFFER / 1024);
    st16be(p + 14, 706);
    return p + 22;
}

static uint8_t medium_type(const IdeDrive *d)
{
    return d->tray_open ? 0x71 : block_inserted(d->block) ? 0x01 : 0x70;
}

/* All pages, or one; bits 7:6 of byte 2 ask for present values, changeable bits, or defaults. */
unsigned atapi_mode_sense(const IdeDrive *d, uint8_t *out)
{
    PageValues which = d->cdb[2] >> 6;
    unsigned page = d->cdb[2] & 0x3f, all = page == 0x3f;
    uint8_t *p = out + 8;

    if (all || page == 0x01)
        p = put_recovery(d, p, which);
    if (all || page == 0x0e)
        p = put_audio(d, p, which);
    if (all || page == 0x1a)
        p = put_power(p);
    if (all || page == 0x2a)
        p = put_capabilities(d, p, which == VALUES_CHANGEABLE);
    if (p == out + 8)
        return 0;
    memset(out, 0, 8);
    st16be(out, p - out - 2);
    out[2] = medium_type(d);
    return p - out;
}

/* One page, of n bytes that are there; its length, or 0 when there is no such page, or it is cut off. */
static unsigned take_page(IdeDrive *d, const uint8_t *p, uint32_t n)
{
    static const struct {
        uint8_t page, length;
    } pages[] = { { 0x01, 8 }, { 0x01, 12 }, { 0x0e, 16 }, { 0x1a, 12 }, { 0x2a, 22 } };
    unsigned length = n >= 2 ? p[1] + 2 : 0, known = 0;

    for (unsigned k = 0; k < ARRAY_SIZE(pages); k++)
        known |= pages[k].page == (p[0] & 0x3f) && pages[k].length == length;
    if (!known || length > n)
        return 0;
    if ((p[0] & 0x3f) == 0x01)
        memcpy(d->recovery, p + 2, sizeof d->recovery);
    else if ((p[0] & 0x3f) == 0x0e)
        memcpy(d->volume, p + 8, sizeof d->volume);
    return length;
}

/* A header, block descriptors, which CD-ROMs do not have, and pages (SPC-2, section 8.3). */
bool atapi_mode_select(IdeDrive *d, const uint8_t *parameters, uint32_t length)
{
    uint32_t at = 8;

    if (length < at || ld16be(parameters + 6))
        return false;
    while (at < length) {
        unsigned n = take_page(d, parameters + at, length - at);
        if (!n)
            return false;
        at += n;
    }
    return true;
}

/* ---- features (section 5.3 and 6.6) ---- */

enum { PROFILE_NONE = 0, PROFILE_CD = 0x08, PROFILE_DVD = 0x10 };
enum { ASKED_ALL, ASKED_CURRENT, ASKED_ONE };
enum { PERSISTENT = 2, CURRENT = 1 };

static unsigned current_profile(const IdeDrive *d)
{
    if (!atapi_ready(d))
        return PROFILE_NONE;
    return d->sectors > CD_MAX_SECTORS ? PROFILE_DVD : PROFILE_CD;
}

/* A feature's descriptor, if it is asked for: number, version and flags, and what it holds. */
static uint8_t *put_feature(const IdeDrive *d, uint8_t *p, unsigned number, unsigned flags, const uint8_t *data,
                            unsigned length)
{
    unsigned asked = d->cdb[1] & 3, start = ld16be(d->cdb + 2);

    if (asked == ASKED_ONE ? number != start : number < start || (asked == ASKED_CURRENT && !(flags & CURRENT)))
        return p;
    st16be(p, number);
    p[2] = flags;
    p[3] = length;
    if (length)
        memcpy(p + 4, data, length);
    return p + 4 + length;
}

unsigned atapi_configuration(const IdeDrive *d, uint8_t *out)
{
    enum { VERSION1 = 1 << 2 };
    unsigned profile = current_profile(d), cd = profile == PROFILE_CD, dvd = profile == PROFILE_DVD;
    const uint8_t profiles[8] = { 0, PROFILE_DVD, dvd, 0, 0, PROFILE_CD, cd, 0 };
    const uint8_t core[8] = { 0, 0, 0, 2, 1 };              /* ATAPI; device busy events */
    const uint8_t morphing[4] = { 2 };                      /* operational change requests are told */
    const uint8_t removable[4] = { 0x29 };                  /* a tray, which can be ejected and locked */
    const uint8_t readable[8] = { 0, 0, CD_SECTOR >> 8, 0, 0, 16 };
    uint8_t *p = out + 8;

    if ((d->cdb[1] & 3) == 3)
        return 0;
    p = put_feature(d, p, 0x00, PERSISTENT | CURRENT, profiles, sizeof profiles);
    p = put_feature(d, p, 0x01, VERSION1 | PERSISTENT | CURRENT, core, sizeof core);
    p = put_feature(d, p, 0x02, VERSION1 | PERSISTENT | CURRENT, morphing, sizeof morphing);
    p = put_feature(d, p, 0x03, PERSISTENT | CURRENT, removable, sizeof removable);
    p = put_feature(d, p, 0x10, profile ? CURRENT : 0, readable, sizeof readable);
    p = put_feature(d, p, 0x1e, cd ? CURRENT : 0, NULL, 0);
    p = put_feature(d, p, 0x1f, dvd ? CURRENT : 0, NULL, 0);
    memset(out, 0, 8);
    st32be(out, p - out - 4);
    st16be(out + 6, profile);
    return p - out;
}

/* ---- events (section 6.7) ---- */

enum { EVENT_MEDIA = 4, EVENT_NONE = 0x80, EVENT_POLLED = 1 };

/* Events wait to be asked for; without a request for their class the answer says which classes there are. */
unsigned atapi_event(IdeDrive *d, uint8_t *out)
{
    bool asked = d->cdb[4] & 1 << EVENT_MEDIA;

    if (!(d->cdb[1] & EVENT_POLLED))
        return 0;
    memset(out, 0, 8);
    out[2] = asked ? EVENT_MEDIA : EVENT_NONE;
    out[3] = 1 << EVENT_MEDIA;
    if (!asked) {
        st16be(out, 2);
        return 4;
    }
    st16be(out, 6);
    out[4] = d->media_event;
    out[5] = (d->tray_open ? 1 : 0) | (atapi_ready(d) ? 2 : 0);
    d->media_event = 0;
    return 8;
}
