/* INQUIRY, vital product data and mode pages (SPC-4 6.6, 7.5, 7.8; SBC-3 6.5, 6.6; MMC-3 5.5.10). */
#include <string.h>

#include "hw/scsi/scsi_private.h"
#include "util/bits.h"
#include "util/endian.h"

enum { TYPE_DISK = 0, TYPE_CDROM = 5, REMOVABLE = 0x80 };

/* Text in a field, filled with spaces. */
static void put_text(uint8_t *to, const char *text, unsigned size)
{
    memset(to, ' ', size);
    memcpy(to, text, MIN(strlen(text), size));
}

static const char *product_of(const ScsiDevice *d)
{
    return d->product ? d->product : d->cdrom ? "CD-ROM" : "HARDDISK";
}

static uint8_t type_of(const ScsiDevice *d) { return d->cdrom ? TYPE_CDROM : TYPE_DISK; }

static void inquiry_standard(ScsiRequest *r)
{
    const ScsiDevice *d = r->device;
    uint8_t a[36] = { type_of(d), d->removable || d->cdrom ? REMOVABLE : 0, 5 /* SPC-3 */, 0x12 /* HISUP, format 2 */,
                      sizeof a - 5, 0, 0, 0x02 /* CMDQUE */ };

    put_text(a + 8, d->vendor ? d->vendor : "MYNA", 8);
    put_text(a + 16, product_of(d), 16);
    put_text(a + 32, d->version ? d->version : "1.0", 4);
    scsi_reply(r, a, sizeof a, ld16be(r->cdb + 3));
}

/* ---- vital product data ---- */

enum { VPD_PAGES = 0x00, VPD_SERIAL = 0x80, VPD_ID = 0x83, VPD_LIMITS = 0xb0, VPD_BLOCK = 0xb1,
       VPD_PROVISIONING = 0xb2 };
enum { VPD_HEADER = 4, VPD_MAX = 4 + 252 };

static unsigned vpd_pages(const ScsiDevice *d, uint8_t *p)
{
    static const uint8_t all[] = { VPD_PAGES, VPD_SERIAL, VPD_ID, VPD_LIMITS, VPD_BLOCK, VPD_PROVISIONING };
    unsigned n = d->cdrom ? 3 : sizeof all;
    memcpy(p, all, n);
    return n;
}

static unsigned vpd_serial(const ScsiDevice *d, uint8_t *p)
{
    const char *serial = d->serial ? d->serial : d->dev.id;
    unsigned n = MIN(strlen(serial), 36);
    memcpy(p, serial, n);
    return n;
}

/* The drive's name, and the world-wide one if there is one (SPC-4 7.8.5). */
static unsigned vpd_id(const ScsiDevice *d, uint8_t *p)
{
    const char *name = d->serial ? d->serial : block_id(d->drive);
    unsigned n = MIN(strlen(name), 36);

    p[0] = 2; /* ASCII */
    p[3] = n;
    memcpy(p + 4, name, n);
    n += 4;
    if (d->wwn) {
        p[n] = 1;     /* binary */
        p[n + 1] = 3; /* NAA */
        p[n + 3] = 8;
        st64be(p + n + 4, d->wwn);
        n += 12;
    }
    return n;
}

/* SBC-3 6.5.3: as much as the commands take. */
static unsigned vpd_limits(const ScsiDevice *d, uint8_t *p)
{
    uint32_t blocks = (UINT32_C(1) << 30) / d->logical;
    p[0] = 1;                       /* WSNZ */
    st32be(p + 16, blocks);         /* UNMAP: blocks in all */
    st32be(p + 20, 255);            /* and entries */
    st32be(p + 24, 1);              /* granularity */
    st64be(p + 32, blocks);         /* WRITE SAME */
    return 60;
}

static unsigned vpd_block(const ScsiDevice *d, uint8_t *p)
{
    st16be(p, d->rotation_rate);
    return 60;
}

static unsigned vpd_provisioning(const ScsiDevice *d, uint8_t *p)
{
    (void)d;
    p[1] = 0xe0; /* UNMAP, WRITE SAME(16) and (10) unmap */
    p[2] = 2;    /* thin */
    return 4;
}

static void inquiry_vpd(ScsiRequest *r)
{
    static const struct {
        uint8_t page;
        bool disk_only;
        unsigned (*fill)(const ScsiDevice *d, uint8_t *p);
    } pages[] = {
        { VPD_PAGES, false, vpd_pages }, { VPD_SERIAL, false, vpd_serial }, { VPD_ID, false, vpd_id },
        { VPD_LIMITS, true, vpd_limits }, { VPD_BLOCK, true, vpd_block },
        { VPD_PROVISIONING, true, vpd_provisioning },
    };
    const ScsiDevice *d = r->device;
    uint8_t a[VPD_MAX] = { type_of(d), r->cdb[2] };

    for (unsigned k = 0; k < ARRAY_SIZE(pages); k++) {
        if (pages[k].page != r->cdb[2] || (pages[k].disk_only && d->cdrom))
            continue;
        unsigned n = pages[k].fill(d, a + VPD_HEADER);
        st16be(a + 2, n);
        scsi_reply(r, a, VPD_HEADER + n, ld16be(r->cdb + 3));
        return;
    }
    scsi_fail(r, SENSE_INVALID_FIELD);
}

void scsi_inquiry(ScsiRequest *r)
{
    if (r->cdb[1] & 1)
        inquiry_vpd(r);
    else if (r->cdb[2])
        scsi_fail(r, SENSE_INVALID_FIELD);
    else
        inquiry_standard(r);
}

/* ---- mode pages ---- */

enum { PAGE_RECOVERY = 0x01, PAGE_GEOMETRY = 0x04, PAGE_CACHING = 0x08, PAGE_CONTROL = 0x0a, PAGE_CAPABILITIES = 0x2a,
       PAGE_ALL = 0x3f };
enum { CURRENT, CHANGEABLE, DEFAULT, SAVED };
enum { CACHING_WRITE = 0x04, MODE_MAX = 256, WRITE_PROTECT = 0x80, FUA_SUPPORTED = 0x10 };

static unsigned page_recovery(const ScsiDevice *d, unsigned which, uint8_t *p)
{
    if (which != CHANGEABLE)
        p[0] = 0x80; /* AWRE */
    return d->cdrom ? 6 : 10;
}

/* Legacy numbers for who asks: 255 heads of 63 sectors. */
static unsigned page_geometry(const ScsiDevice *d, unsigned which, uint8_t *p)
{
    uint64_t cylinders = MIN(scsi_blocks(d) / (255 * 63), 0xffffff);
    if (which == CHANGEABLE)
        return 22;
    st32be(p, cylinders << 8 | 255);
    st16be(p + 18, 5400); /* rotation rate: any that is not 0 */
    return 22;
}

static unsigned page_caching(const ScsiDevice *d, unsigned which, uint8_t *p)
{
    if (which == CHANGEABLE || (which == DEFAULT ? d->cache_at_reset : block_write_cache(d->drive)))
        p[0] = CACHING_WRITE;
    return 18;
}

static unsigned page_control(const ScsiDevice *d, unsigned which, uint8_t *p)
{
    (void)d;
    if (which != CHANGEABLE)
        p[1] = 0x10; /* commands may be reordered */
    return 10;
}

/* MMC-3 5.5.10: a tray that can be locked and ejected; CD-R, CD-RW, DVD read; 176 KB/s, 70 times. */
static unsigned page_capabilities(const ScsiDevice *d, unsigned which, uint8_t *p)
{
    if (which == CHANGEABLE)
        return 20;
    p[0] = 0x3b;
    p[2] = 0x7f;
    p[3] = 0xff;
    p[4] = 0x2d | (d->locked ? 2 : 0);
    st16be(p + 6, 70 * 176);
    st16be(p + 8, 2);
    st16be(p + 10, 2048);
    st16be(p + 12, 70 * 176);
    return 20;
}

static const struct {
    uint8_t code;
    bool disk, cdrom;
    unsigned (*fill)(const ScsiDevice *d, unsigned which, uint8_t *p);
} mode_pages[] = {
    { PAGE_RECOVERY, true, true, page_recovery }, { PAGE_GEOMETRY, true, false, page_geometry },
    { PAGE_CACHING, true, false, page_caching }, { PAGE_CONTROL, true, true, page_control },
    { PAGE_CAPABILITIES, false, true, page_capabilities },
};

/* The page, or all, at p; how many bytes. */
static unsigned put_pages(const ScsiDevice *d, unsigned code, unsigned which, uint8_t *p)
{
    unsigned n = 0;
    for (unsigned k = 0; k < ARRAY_SIZE(mode_pages); k++) {
        if ((code != PAGE_ALL && code != mode_pages[k].code) || !(d->cdrom ? mode_pages[k].cdrom : mode_pages[k].disk))
            continue;
        p[n] = mode_pages[k].code;
        p[n + 1] = mode_pages[k].fill(d, which, p + n + 2);
        n += 2 + p[n + 1];
    }
    return n;
}

static unsigned put_block_descriptor(const ScsiDevice *d, uint8_t *p)
{
    st32be(p, MIN(scsi_blocks(d), 0xffffff)); /* density 0, number of blocks */
    st32be(p + 4, d->logical);
    return 8;
}

void scsi_mode_sense(ScsiRequest *r)
{
    const ScsiDevice *d = r->device;
    bool long_form = r->cdb[0] >> 5;
    unsigned header = long_form ? 8 : 4, descriptor = 0, which = r->cdb[2] >> 6;
    uint8_t a[MODE_MAX] = { 0 };

    if (which == SAVED) {
        scsi_fail(r, SENSE_SAVING_UNSUPPORTED);
        return;
    }
    if (!(r->cdb[1] & 8) && !d->cdrom)
        descriptor = put_block_descriptor(d, a + header);
    unsigned n = header + descriptor, pages = put_pages(d, r->cdb[2] & 0x3f, which, a + n);
    if (!pages || (r->cdb[3] && r->cdb[3] != 0xff)) { /* no subpages but all of them */
        scsi_fail(r, SENSE_INVALID_FIELD);
        return;
    }
    n += pages;
    uint8_t specific = d->cdrom ? 0 : FUA_SUPPORTED | (block_readonly(d->drive) ? WRITE_PROTECT : 0);
    if (long_form) {
        st16be(a, n - 2);
        a[3] = specific;
        st16be(a + 6, descriptor);
    } else {
        a[0] = n - 1;
        a[2] = specific;
        a[3] = descriptor;
    }
    scsi_reply(r, a, n, long_form ? ld16be(r->cdb + 7) : r->cdb[4]);
}

/* ---- MODE SELECT: of what can be changed, the write cache ---- */

/* Whether a page differs from the current one in nothing but what can be changed. */
static bool page_acceptable(const ScsiDevice *d, const uint8_t *page, unsigned n)
{
    uint8_t now[MODE_MAX] = { 0 }, mask[MODE_MAX] = { 0 };
    unsigned size = put_pages(d, page[0] & 0x3f, CURRENT, now);

    put_pages(d, page[0] & 0x3f, CHANGEABLE, mask);
    if ((page[0] & 0x3f) == PAGE_ALL || size != n)
        return false;
    for (unsigned k = 2; k < n; k++)
        if ((page[k] ^ now[k]) & ~mask[k])
            return false;
    return true;
}

/* All pages are looked at before any is put in place. */
static bool select_pages(ScsiDevice *d, const uint8_t *p, unsigned n, bool apply)
{
    while (n >= 2) {
        unsigned size = 2 + p[1];
        if (size > n || !page_acceptable(d, p, size))
            return false;
        if (apply && (p[0] & 0x3f) == PAGE_CACHING)
            block_set_write_cache(d->drive, p[2] & CACHING_WRITE);
        p += size;
        n -= size;
    }
    return !n;
}

void scsi_mode_select(ScsiRequest *r)
{
    bool long_form = r->cdb[0] >> 5;
    unsigned header = long_form ? 8 : 4, length = long_form ? ld16be(r->cdb + 7) : r->cdb[4];
    uint8_t p[MODE_MAX] = { 0 };

    if ((r->cdb[1] & 0x11) != 0x10) { /* pages as SPC has them, and not saved */
        scsi_fail(r, SENSE_INVALID_FIELD);
        return;
    }
    unsigned n = r->transferred = scsi_parameters(r, p, MIN(length, sizeof p));
    unsigned skip = header + (long_form ? ld16be(p + 6) : p[3]);
    if (n && (n < length || n < skip))
        scsi_fail(r, SENSE_PARAMETER_LENGTH);
    else if (n && !select_pages(r->device, p + skip, n - skip, false))
        scsi_fail(r, SENSE_INVALID_PARAMETER);
    else {
        if (n)
            select_pages(r->device, p + skip, n - skip, true);
        scsi_end(r);
    }
}
