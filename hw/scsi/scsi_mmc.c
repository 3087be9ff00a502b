/* Commands of CD drives, and of the media that can be taken out (MMC-6, SBC-3). */
#include <string.h>

#include "hw/scsi/scsi_private.h"
#include "util/bits.h"
#include "util/endian.h"

/* ---- tray ---- */

void scsi_prevent_removal(ScsiRequest *r)
{
    r->device->locked = r->cdb[4] & 1;
    block_set_locked(r->device->drive, r->device->locked);
    scsi_end(r);
}

static void tray_move(ScsiDevice *d, bool open)
{
    d->tray_open = open;
    block_set_tray(d->drive, open);
}

/* SBC-3 5.25: bit 0 starts, bit 1 loads or ejects; power conditions change nothing here. */
void scsi_start_stop(ScsiRequest *r)
{
    ScsiDevice *d = r->device;
    bool start = r->cdb[4] & 1, eject = r->cdb[4] & 2;

    if (r->cdb[4] >> 4) {
        scsi_end(r);
        return;
    }
    if (eject && !(d->removable || d->cdrom)) {
        scsi_fail(r, SENSE_INVALID_FIELD);
        return;
    }
    if (eject && !start && d->locked) {
        scsi_fail(r, SENSE_REMOVAL_PREVENTED);
        return;
    }
    if (eject)
        tray_move(d, !start);
    d->stopped = !start && !eject && !d->cdrom;
    scsi_end(r);
}

/* ---- what is on the disc: one track of data ---- */

enum { TRACK_DATA = 0x14, LEAD_OUT = 0xaa, FRAMES = 75, PREGAP = 150 };

/* A block as address, or minutes, seconds and frames. */
static void put_place(uint8_t *p, uint32_t lba, bool msf)
{
    if (!msf) {
        st32be(p, lba);
        return;
    }
    lba += PREGAP;
    p[0] = 0;
    p[1] = lba / FRAMES / 60;
    p[2] = lba / FRAMES % 60;
    p[3] = lba % FRAMES;
}

static unsigned put_track(uint8_t *p, uint8_t track, uint32_t lba, bool msf)
{
    p[1] = TRACK_DATA;
    p[2] = track;
    put_place(p + 4, lba, msf);
    return 8;
}

/* Raw entries (MMC-6 6.25.3.5): first and last track, lead-out, the track. */
static unsigned put_raw(uint8_t *p, uint8_t point, uint32_t lba, bool place)
{
    p[0] = 1;
    p[1] = TRACK_DATA;
    p[3] = point;
    if (place)
        put_place(p + 7, lba, true);
    else
        p[8] = 1;
    return 11;
}

void scsi_read_toc(ScsiRequest *r)
{
    uint32_t blocks = MIN(scsi_blocks(r->device), UINT32_MAX);
    bool msf = r->cdb[1] & 2;
    unsigned format = r->cdb[2] & 0xf ? r->cdb[2] & 0xf : r->cdb[9] >> 6, track = r->cdb[6], n = 4;
    uint8_t a[64] = { 0, 0, 1, 1 };

    if (format > 2 || (format == 0 && track > 1 && track != LEAD_OUT)) {
        scsi_fail(r, SENSE_INVALID_FIELD);
        return;
    }
    if (format == 2) {
        n += put_raw(a + n, 0xa0, 0, false);
        n += put_raw(a + n, 0xa1, 0, false);
        n += put_raw(a + n, 0xa2, blocks, true);
        n += put_raw(a + n, 1, 0, true);
    } else {
        if (track <= 1 || format == 1)
            n += put_track(a + n, 1, 0, msf);
        if (format == 0)
            n += put_track(a + n, LEAD_OUT, blocks, msf);
    }
    st16be(a, n - 2);
    scsi_reply(r, a, n, ld16be(r->cdb + 7));
}

/* ---- what the drive can (MMC-6 5.2, 6.5) ---- */

enum { PROFILE_CDROM = 0x08, PROFILE_DVDROM = 0x10, FEATURE_PERSISTENT = 1, FEATURE_CURRENT = 1 };

static unsigned profile_of(const ScsiDevice *d)
{
    if (!scsi_has_medium(d))
        return 0;
    return scsi_blocks(d) > 80 * 60 * FRAMES ? PROFILE_DVDROM : PROFILE_CDROM; /* what a CD has no room for */
}

static unsigned put_feature(uint8_t *p, uint16_t code, uint8_t version, bool persistent, bool current,
                            const uint8_t *data, unsigned n)
{
    st16be(p, code);
    p[2] = version << 2 | (persistent ? FEATURE_PERSISTENT << 1 : 0) | (current ? FEATURE_CURRENT : 0);
    p[3] = n;
    memcpy(p + 4, data, n);
    return 4 + n;
}

static unsigned put_features(const ScsiDevice *d, uint8_t *p)
{
    unsigned profile = profile_of(d), n = 0;
    const uint8_t profiles[8] = { 0, PROFILE_DVDROM, profile == PROFILE_DVDROM, 0,
                                  0, PROFILE_CDROM, profile == PROFILE_CDROM, 0 };
    static const uint8_t core[8] = { 0, 0, 0, 1 /* SCSI */, 1 }, morphing[4] = { 2 }, removable[4] = { 0x29 },
                         random_read[8] = { 0, 0, 0x08, 0, 0, 1, 0, 0 }, cd_read[4] = { 0 };

    n += put_feature(p + n, 0x00, 0, true, true, profiles, 8);
    n += put_feature(p + n, 0x01, 2, true, true, core, 8);
    n += put_feature(p + n, 0x02, 1, true, true, morphing, 4);
    n += put_feature(p + n, 0x03, 0, true, true, removable, 4);
    n += put_feature(p + n, 0x10, 0, false, profile != 0, random_read, 8);
    n += put_feature(p + n, 0x1e, 2, false, profile == PROFILE_CDROM, cd_read, 4);
    return n;
}

/* From a feature on, those that are current, or one (RT field). */
void scsi_get_configuration(ScsiRequest *r)
{
    unsigned which = r->cdb[1] & 3, start = ld16be(r->cdb + 2), n = 8;
    uint8_t all[128], a[128] = { 0 };
    unsigned size = put_features(r->device, all);

    if (which == 3) {
        scsi_fail(r, SENSE_INVALID_FIELD);
        return;
    }
    for (unsigned at = 0; at < size; at += 4 + all[at + 3]) {
        unsigned code = ld16be(all + at);
        bool current = all[at + 2] & FEATURE_CURRENT;
        if (which == 2 ? code != start : code < start || (which == 1 && !current))
            continue;
        memcpy(a + n, all + at, 4 + all[at + 3]);
        n += 4 + all[at + 3];
    }
    st32be(a, n - 4);
    st16be(a + 6, profile_of(r->device));
    scsi_reply(r, a, n, ld16be(r->cdb + 7));
}

/* Only by polling; media events are the one class (MMC-6 6.6). */
void scsi_get_event_status(ScsiRequest *r)
{
    ScsiDevice *d = r->device;
    uint8_t a[8] = { 0, 0, 0x80 /* none of the classes asked for */, 0x10 };
    unsigned n = 4;

    if (!(r->cdb[1] & 1)) {
        scsi_fail(r, SENSE_INVALID_FIELD);
        return;
    }
    if (r->cdb[4] & 0x10) {
        n = 8;
        a[2] = 4;
        a[4] = d->media_event;
        a[5] = (d->tray_open ? 1 : 0) | (scsi_has_medium(d) ? 2 : 0);
        d->media_event = 0;
    }
    st16be(a, n - 2);
    scsi_reply(r, a, n, ld16be(r->cdb + 7));
}

/* A finished disc of one session with one track (MMC-6 6.21). */
void scsi_read_disc_information(ScsiRequest *r)
{
    uint8_t a[34] = { 0, sizeof a - 2, 0x0e, 1, 1, 1, 1, 0x20 };

    if (r->cdb[1] & 7)
        scsi_fail(r, SENSE_INVALID_FIELD);
    else
        scsi_reply(r, a, sizeof a, ld16be(r->cdb + 7));
}

void scsi_mechanism_status(ScsiRequest *r)
{
    uint8_t a[8] = { 0 };
    a[1] = r->device->tray_open ? 0x10 : 0;
    scsi_reply(r, a, sizeof a, ld16be(r->cdb + 8));
}

/* The user data alone, as READ(10) (MMC-6 6.19). */
void scsi_read_cd(ScsiRequest *r)
{
    uint8_t read[SCSI_CDB_MAX] = { 0xa8 };

    if (!(r->cdb[9] & 0xf8) || !(ld32be(r->cdb + 5) & 0xffffff)) {
        scsi_end(r);
        return;
    }
    if ((r->cdb[9] & 0xf8) != 0x10 || r->cdb[10] & 7) {
        scsi_fail(r, SENSE_INVALID_FIELD);
        return;
    }
    memcpy(read + 2, r->cdb + 2, 4);
    st32be(read + 6, ld32be(r->cdb + 5) & 0xffffff);
    memcpy(r->cdb, read, sizeof read);
    scsi_read(r);
}
