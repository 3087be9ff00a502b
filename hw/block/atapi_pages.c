/*
 * The tables that a CD-ROM answers with: what it is, what it can, what its medium holds (MMC-3, INCITS 360-2002, and
 * SPC-2).  An image is a disc with one session of one data track.
 */
#include <string.h>

#include "hw/block/ide.h"
#include "util/bits.h"
#include "util/endian.h"

enum { TRACK_DATA = 0x14, LEAD_OUT = 0xaa, PREGAP = 150, FRAMES = 75 };
#define CD_MAX_SECTORS (80 * 60 * FRAMES + 45000) /* a CD has 80 minutes, with some room: larger images are DVDs */

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
    uint32_t frame = lba + PREGAP;

    if (!msf) {
        st32be(p, lba);
        return;
    }
    p[0] = 0;
    p[1] = frame / FRAMES / 60;
    p[2] = frame / FRAMES % 60;
    p[3] = frame % FRAMES;
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

unsigned atapi_subchannel(const IdeDrive *d, uint8_t *out)
{
    bool msf = d->cdb[1] & 2;

    memset(out, 0, 16);
    out[1] = 0x15; /* no audio is played */
    if (!(d->cdb[2] & 0x40))
        return 4;
    if (d->cdb[3] != 1)
        return 0;
    st16be(out + 2, 12);
    out[4] = 1; /* current position */
    out[5] = TRACK_DATA;
    out[6] = out[7] = 1;
    put_address(out + 8, 0, msf);
    put_address(out + 12, 0, msf);
    return 16;
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

static const uint8_t page_recovery[8] = { 0x01, 6, 0, 5 };
static const uint8_t page_audio[16] = { 0x0e, 14, 4, 0, 0, 0, 0, FRAMES, 1, 255, 2, 255 };

static uint8_t *put_fixed_page(uint8_t *p, const uint8_t *page, bool changeable)
{
    unsigned n = page[1] + 2;

    memset(p, 0, n);
    memcpy(p, page, changeable ? 2 : n);
    return p + n;
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

/* All pages, or one; bits 7:6 of byte 2 ask for present values, changeable bits (there are none), or defaults. */
unsigned atapi_mode_sense(const IdeDrive *d, uint8_t *out)
{
    bool changeable = d->cdb[2] >> 6 == 1;
    unsigned page = d->cdb[2] & 0x3f, all = page == 0x3f;
    uint8_t *p = out + 8;

    if (all || page == 0x01)
        p = put_fixed_page(p, page_recovery, changeable);
    if (all || page == 0x0e)
        p = put_fixed_page(p, page_audio, changeable);
    if (all || page == 0x2a)
        p = put_capabilities(d, p, changeable);
    if (p == out + 8)
        return 0;
    memset(out, 0, 8);
    st16be(out, p - out - 2);
    out[2] = medium_type(d);
    return p - out;
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
