/*
 * SCSI disks and CD drives (hw/scsi) by commands, and virtio-scsi-pci as a driver sees it: SPC-4, SBC-3, MMC-6, Virtual I/O Device
 * 1.2 section 5.6.
 */
#include <glib/gstdio.h>
#include <unistd.h>

#include "backends/block/block.h"
#include "hw/scsi/scsi.h"
#include "hw/virtio/virtio_scsi.h"
#include "virtio_driver.h"

#define V1 (UINT64_C(1) << VIRTIO_F_VERSION_1)
enum { BLOCKS = 4096, CD_BLOCKS = 400, REQUEST = BUFFERS_AT, RESPONSE = BUFFERS_AT + 0x1000, DATA = BUFFERS_AT + 0x10000 };
enum { CONTROL, EVENTS, COMMANDS };
enum { GOOD = 0, CHECK = 2 };
/* The test's targets: a disk, a CD drive with a disc and one without. */
enum { DISK, CD, EMPTY_CD };

typedef struct Fixture {
    Driver d;
    char *directory, *disk, *cd;
    BlockBackend *drives[3];
    uint8_t sense[96], code, status;
    uint32_t sense_size, residual;
} Fixture;

static uint8_t pattern(uint64_t n) { return n * 7 + (n >> 9) * 13 + 1; }

static char *image_new(Fixture *f, const char *name, uint64_t size)
{
    g_autofree uint8_t *data = g_malloc(size);
    char *path = g_build_filename(f->directory, name, NULL);
    for (uint64_t n = 0; n < size; n++)
        data[n] = pattern(n);
    g_assert_true(g_file_set_contents(path, (char *)data, size, NULL));
    return path;
}

static void add_unit(Fixture *f, const DeviceType *type, const char *drive, const char *id)
{
    GError *err = NULL;
    device_add(f->d.m, type, NULL, &err, "drive", drive, "scsi-id", id, "serial", "S-1", NULL);
    g_assert_no_error(err);
}

static void up(Fixture *f)
{
    GError *err = NULL;
    *f = (Fixture){ .directory = g_dir_make_tmp("myna-scsi-XXXXXX", NULL) };
    f->disk = image_new(f, "disk.img", BLOCKS * 512);
    f->cd = image_new(f, "cd.iso", CD_BLOCKS * 2048);
    driver_machine_up(&f->d);
    const BlockOptions options[3] = { { .id = "disk", .file = f->disk, .format = "raw" },
                                      { .id = "cd", .file = f->cd, .format = "raw", .cdrom = true },
                                      { .id = "none", .cdrom = true } };
    for (unsigned k = 0; k < 3; k++) {
        f->drives[k] = block_open(f->d.m, &options[k], &err);
        g_assert_no_error(err);
    }
    device_add(f->d.m, &virtio_scsi_type, "s0", &err, "addr", "0x18", "num_queues", "1", "virtqueue_size", "128", NULL);
    g_assert_no_error(err);
    add_unit(f, &scsi_hd_type, "disk", "0");
    add_unit(f, &scsi_cd_type, "cd", "1");
    add_unit(f, &scsi_cd_type, "none", "2");
    machine_reset(f->d.m);
    driver_map(&f->d);
    driver_start(&f->d, V1 | 4, 3);
}

static void down(Fixture *f)
{
    Machine *m = f->d.m;
    while (m->devices->len)
        device_remove(m->devices->pdata[m->devices->len - 1]);
    block_close_all(m);
    driver_machine_down(&f->d);
    g_unlink(f->disk);
    g_unlink(f->cd);
    g_rmdir(f->directory);
    g_free(f->disk);
    g_free(f->cd);
    g_free(f->directory);
}

/* ---- commands ---- */

static unsigned make_request(Fixture *f, unsigned slot, unsigned target, unsigned lun, const uint8_t *cdb, unsigned n,
                             uint32_t out, uint32_t in, Segment *s)
{
    uint64_t at = REQUEST + slot * 64, response = RESPONSE + slot * 128, data = DATA + slot * 0x10000;
    uint8_t header[51] = { 1, target, lun >> 8 | 0x40, lun, 0, 0, 0, 0, slot };
    unsigned k = 0;

    memcpy(header + 19, cdb, n);
    as_write_bytes(f->d.m->memory, at, header, sizeof header);
    s[k++] = (Segment){ at, sizeof header, false };
    if (out)
        s[k++] = (Segment){ data, out, false };
    s[k++] = (Segment){ response, 108, true };
    if (in)
        s[k++] = (Segment){ data, in, true };
    return k;
}

static void take_response(Fixture *f, unsigned slot)
{
    uint8_t a[108];
    as_read_bytes(f->d.m->memory, RESPONSE + slot * 128, a, sizeof a);
    f->sense_size = ld32le(a);
    f->residual = ld32le(a + 4);
    f->status = a[10];
    f->code = a[11];
    memcpy(f->sense, a + 12, 96);
}

static uint8_t command_to(Fixture *f, unsigned target, unsigned lun, const uint8_t *cdb, unsigned n, uint32_t out, uint32_t in)
{
    Segment s[4];
    unsigned k = make_request(f, 0, target, lun, cdb, n, out, in, s);
    driver_request(&f->d, COMMANDS, s, k);
    take_response(f, 0);
    return f->status;
}

#define CDB(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })
#define command(f, target, cdb, out, in) command_to(f, target, 0, cdb, out, in)

static uint8_t data_byte(Fixture *f, unsigned n) { return mread(&f->d, DATA + n, 1); }
static uint32_t data_32(Fixture *f, unsigned n) { return be32(le32((uint32_t)mread(&f->d, DATA + n, 4))); }

static void expect_sense(Fixture *f, uint8_t key, uint8_t asc, uint8_t ascq)
{
    g_assert_cmphex(f->code, ==, 0);
    g_assert_cmphex(f->status, ==, CHECK);
    g_assert_cmpuint(f->sense_size, ==, 18);
    g_assert_cmphex(f->sense[0], ==, 0x70);
    g_assert_cmphex(f->sense[2], ==, key);
    g_assert_cmphex(f->sense[12], ==, asc);
    g_assert_cmphex(f->sense[13], ==, ascq);
}

/* What is reported after a reset, once. */
static void ready(Fixture *f)
{
    for (unsigned t = DISK; t <= EMPTY_CD; t++) {
        command(f, t, CDB(0, 0, 0, 0, 0, 0), 0, 0);
        expect_sense(f, 6, 0x29, 0);
    }
}

static void expect_pattern(Fixture *f, uint64_t at, uint64_t offset, unsigned size)
{
    g_autofree uint8_t *bytes = g_malloc(size);
    as_read_bytes(f->d.m->memory, at, bytes, size);
    for (unsigned n = 0; n < size; n++)
        g_assert_cmphex(bytes[n], ==, pattern(offset + n));
}

/* ---- tests ---- */

static void test_inquiry(void)
{
    Fixture f;
    up(&f);
    /* Answered although the reset is still to be reported (SAM-5 5.14). */
    g_assert_cmphex(command(&f, DISK, CDB(0x12, 0, 0, 0, 36, 0), 0, 36), ==, GOOD);
    g_assert_cmphex(data_byte(&f, 0), ==, 0);
    g_assert_cmphex(data_byte(&f, 1), ==, 0);
    g_assert_cmphex(data_byte(&f, 2), ==, 5);
    g_assert_cmphex(data_byte(&f, 4), ==, 31);
    g_assert_cmpuint(f.residual, ==, 0);
    g_assert_cmphex(command(&f, CD, CDB(0x12, 0, 0, 0, 36, 0), 0, 255), ==, GOOD);
    g_assert_cmphex(data_byte(&f, 0), ==, 5);
    g_assert_cmphex(data_byte(&f, 1), ==, 0x80);
    g_assert_cmpuint(f.residual, ==, 255 - 36);
    g_assert_cmphex(command(&f, DISK, CDB(0x12, 0, 0, 0, 5, 0), 0, 36), ==, GOOD); /* the allocation length cuts */
    g_assert_cmpuint(f.residual, ==, 31);
    command(&f, DISK, CDB(0x12, 0, 0x80, 0, 36, 0), 0, 36); /* a page without EVPD */
    expect_sense(&f, 5, 0x24, 0);
    static const uint8_t pages[] = { 0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2 };
    for (unsigned k = 0; k < sizeof pages; k++) {
        g_assert_cmphex(command(&f, DISK, CDB(0x12, 1, pages[k], 0, 255, 0), 0, 255), ==, GOOD);
        g_assert_cmphex(data_byte(&f, 1), ==, pages[k]);
        g_assert_cmpuint(f.residual, ==, 255 - 4 - data_byte(&f, 3));
    }
    command(&f, CD, CDB(0x12, 1, 0xb0, 0, 255, 0), 0, 255);
    expect_sense(&f, 5, 0x24, 0);
    down(&f);
}

static void test_luns(void)
{
    Fixture f;
    up(&f);
    g_assert_cmphex(command(&f, DISK, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0), 0, 64), ==, GOOD);
    g_assert_cmpuint(data_32(&f, 0), ==, 8);
    g_assert_cmphex(mread(&f.d, DATA + 8, 8), ==, 0);
    g_assert_cmphex(command_to(&f, DISK, 3, CDB(0x12, 0, 0, 0, 36, 0), 0, 36), ==, GOOD);
    g_assert_cmphex(data_byte(&f, 0), ==, 0x7f);
    command_to(&f, DISK, 3, CDB(0, 0, 0, 0, 0, 0), 0, 0);
    expect_sense(&f, 5, 0x25, 0);
    command_to(&f, 77, 0, CDB(0, 0, 0, 0, 0, 0), 0, 0);
    g_assert_cmphex(f.code, ==, 3); /* BAD_TARGET */
    down(&f);
}

static void test_attention(void)
{
    Fixture f;
    up(&f);
    ready(&f);
    g_assert_cmphex(command(&f, DISK, CDB(0, 0, 0, 0, 0, 0), 0, 0), ==, GOOD);
    command(&f, EMPTY_CD, CDB(0, 0, 0, 0, 0, 0), 0, 0);
    expect_sense(&f, 2, 0x3a, 1);
    machine_reset(f.d.m);
    driver_map(&f.d);
    driver_start(&f.d, V1, 3);
    g_assert_cmphex(command(&f, DISK, CDB(3, 0, 0, 0, 18, 0), 0, 18), ==, GOOD); /* REQUEST SENSE takes it */
    g_assert_cmphex(data_byte(&f, 2), ==, 6);
    g_assert_cmphex(data_byte(&f, 12), ==, 0x29);
    g_assert_cmphex(command(&f, DISK, CDB(0, 0, 0, 0, 0, 0), 0, 0), ==, GOOD);
    command(&f, DISK, CDB(0xff, 0, 0, 0, 0, 0), 0, 0);
    expect_sense(&f, 5, 0x20, 0);
    down(&f);
}

static void test_capacity(void)
{
    Fixture f;
    up(&f);
    ready(&f);
    g_assert_cmphex(command(&f, DISK, CDB(0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0, 8), ==, GOOD);
    g_assert_cmpuint(data_32(&f, 0), ==, BLOCKS - 1);
    g_assert_cmpuint(data_32(&f, 4), ==, 512);
    g_assert_cmphex(command(&f, DISK, CDB(0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0), 0, 32), ==, GOOD);
    g_assert_cmpuint(data_32(&f, 4), ==, BLOCKS - 1);
    g_assert_cmphex(data_byte(&f, 14), ==, 0x80);
    g_assert_cmphex(command(&f, CD, CDB(0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0, 8), ==, GOOD);
    g_assert_cmpuint(data_32(&f, 0), ==, CD_BLOCKS - 1);
    g_assert_cmpuint(data_32(&f, 4), ==, 2048);
    down(&f);
}

/* Every length of CDB; the end of the medium; more data than there is room for. */
static void test_read(void)
{
    Fixture f;
    up(&f);
    ready(&f);
    g_assert_cmphex(command(&f, DISK, CDB(0x08, 0, 1, 2, 2, 0), 0, 1024), ==, GOOD);
    expect_pattern(&f, DATA, 0x102 * 512, 1024);
    g_assert_cmphex(command(&f, DISK, CDB(0x28, 0, 0, 0, 2, 3, 0, 0, 3, 0), 0, 1536), ==, GOOD);
    expect_pattern(&f, DATA, 0x203 * 512, 1536);
    g_assert_cmphex(command(&f, DISK, CDB(0xa8, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0), 0, 512), ==, GOOD);
    expect_pattern(&f, DATA, 9 * 512, 512);
    g_assert_cmphex(command(&f, DISK, CDB(0x88, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0), 0, 4096), ==, GOOD);
    expect_pattern(&f, DATA, 8 * 512, 512);
    g_assert_cmpuint(f.residual, ==, 4096 - 512);
    g_assert_cmphex(command(&f, CD, CDB(0x28, 0, 0, 0, 0, 7, 0, 0, 2, 0), 0, 4096), ==, GOOD);
    expect_pattern(&f, DATA, 7 * 2048, 4096);
    command(&f, DISK, CDB(0x28, 0, 0, 0, 0x10, 0, 0, 0, 1, 0), 0, 512);
    expect_sense(&f, 5, 0x21, 0);
    command(&f, DISK, CDB(0x88, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 2, 0, 0), 0, 1024);
    expect_sense(&f, 5, 0x21, 0);
    command(&f, DISK, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 2, 0), 0, 512);
    g_assert_cmphex(f.code, ==, 1); /* OVERRUN */
    g_assert_cmphex(command(&f, DISK, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0, 0), ==, GOOD);
    command(&f, EMPTY_CD, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), 0, 2048);
    expect_sense(&f, 2, 0x3a, 1);
    down(&f);
}

static void read_block(Fixture *f, uint32_t lba, unsigned blocks)
{
    g_assert_cmphex(command(f, DISK, CDB(0x28, 0, lba >> 24, lba >> 16, lba >> 8, lba, 0, 0, blocks, 0), 0, 512 * blocks), ==, GOOD);
}

static void test_write(void)
{
    Fixture f;
    g_autofree char *contents = NULL;
    up(&f);
    ready(&f);
    for (unsigned n = 0; n < 1024; n++)
        mwrite(&f.d, DATA + n, pattern(n), 1);
    g_assert_cmphex(command(&f, DISK, CDB(0x0a, 0, 0, 100, 2, 0), 1024, 0), ==, GOOD);
    g_assert_cmphex(command(&f, DISK, CDB(0x2a, 8, 0, 0, 0, 110, 0, 0, 2, 0), 1024, 0), ==, GOOD); /* FUA */
    g_assert_cmphex(command(&f, DISK, CDB(0x8a, 0, 0, 0, 0, 0, 0, 0, 0, 120, 0, 0, 0, 2, 0, 0), 1024, 0), ==, GOOD);
    g_assert_cmphex(command(&f, DISK, CDB(0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0, 0), ==, GOOD);
    g_assert_true(g_file_get_contents(f.disk, &contents, NULL, NULL));
    for (unsigned k = 100; k <= 120; k += 10)
        for (unsigned n = 0; n < 1024; n++)
            g_assert_cmphex((uint8_t)contents[k * 512 + n], ==, pattern(n));
    command(&f, CD, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), 2048, 0);
    expect_sense(&f, 5, 0x20, 0);
    command(&f, DISK, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 2, 0), 512, 0);
    g_assert_cmphex(f.code, ==, 1);
    g_assert_cmphex(command(&f, DISK, CDB(0x2f, 0, 0, 0, 0, 0, 0, 0, 4, 0), 0, 0), ==, GOOD);
    command(&f, DISK, CDB(0x2f, 2, 0, 0, 0, 0, 0, 0, 1, 0), 512, 0);
    expect_sense(&f, 5, 0x24, 0);
    down(&f);
}

static void test_write_same(void)
{
    Fixture f;
    up(&f);
    ready(&f);
    for (unsigned n = 0; n < 512; n++)
        mwrite(&f.d, DATA + n, n ^ 0x5a, 1);
    g_assert_cmphex(command(&f, DISK, CDB(0x41, 0, 0, 0, 0, 50, 0, 7, 0xd0, 0), 512, 0), ==, GOOD); /* 2,000 blocks: in pieces */
    static const unsigned at[] = { 50, 1073, 1074, 2049 };
    for (unsigned k = 0; k < G_N_ELEMENTS(at); k++) {
        read_block(&f, at[k], 1);
        for (unsigned n = 0; n < 512; n++)
            g_assert_cmphex(data_byte(&f, n), ==, (uint8_t)(n ^ 0x5a));
    }
    read_block(&f, 2050, 1);
    expect_pattern(&f, DATA, 2050 * 512, 512);
    g_assert_cmphex(command(&f, DISK, CDB(0x93, 9, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0, 4, 0, 0), 0, 0), ==, GOOD); /* UNMAP, NDOB */
    read_block(&f, 61, 1);
    for (unsigned n = 0; n < 512; n++)
        g_assert_cmphex(data_byte(&f, n), ==, 0);
    command(&f, DISK, CDB(0x41, 0, 0, 0, 0, 50, 0, 0, 0, 0), 512, 0); /* WSNZ */
    expect_sense(&f, 5, 0x24, 0);
    command(&f, DISK, CDB(0x41, 0, 0, 0, 15, 255, 0, 0, 2, 0), 512, 0);
    expect_sense(&f, 5, 0x21, 0);
    down(&f);
}

static void put_unmap(Fixture *f, unsigned entry, uint64_t lba, uint32_t blocks)
{
    uint8_t e[16] = { 0 };
    st64be(e, lba);
    st32be(e + 8, blocks);
    as_write_bytes(f->d.m->memory, DATA + 8 + 16 * entry, e, sizeof e);
}

static void test_unmap(void)
{
    Fixture f;
    up(&f);
    ready(&f);
    const uint8_t header[8] = { 0, 38, 0, 32 };
    as_write_bytes(f.d.m->memory, DATA, header, 8);
    put_unmap(&f, 0, 16, 8);
    put_unmap(&f, 1, 0, 0);
    g_assert_cmphex(command(&f, DISK, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 40, 0), 40, 0), ==, GOOD);
    put_unmap(&f, 1, BLOCKS, 1);
    command(&f, DISK, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 40, 0), 40, 0);
    expect_sense(&f, 5, 0x21, 0);
    command(&f, DISK, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 20, 0), 20, 0);
    expect_sense(&f, 5, 0x1a, 0);
    g_assert_cmphex(command(&f, DISK, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0, 0), ==, GOOD);
    down(&f);
}

/* The write cache is seen in the caching page, and switched there (SBC-3 6.4.5). */
static void test_mode(void)
{
    Fixture f;
    uint8_t page[24] = { 0 };
    up(&f);
    ready(&f);
    g_assert_cmphex(command(&f, DISK, CDB(0x1a, 8, 0x08, 0, 255, 0), 0, 255), ==, GOOD);
    g_assert_cmphex(data_byte(&f, 0), ==, 23);
    g_assert_cmphex(data_byte(&f, 2), ==, 0x10);
    g_assert_cmphex(data_byte(&f, 4), ==, 0x08);
    g_assert_cmphex(data_byte(&f, 6), ==, 0x04);
    as_read_bytes(f.d.m->memory, DATA, page, sizeof page);
    page[0] = page[2] = page[6] = 0;
    as_write_bytes(f.d.m->memory, DATA, page, sizeof page);
    g_assert_cmphex(command(&f, DISK, CDB(0x15, 0x10, 0, 0, 24, 0), 24, 0), ==, GOOD);
    g_assert_false(block_write_cache(f.drives[DISK]));
    page[7] = 1; /* what cannot be changed */
    as_write_bytes(f.d.m->memory, DATA, page, sizeof page);
    command(&f, DISK, CDB(0x15, 0x10, 0, 0, 24, 0), 24, 0);
    expect_sense(&f, 5, 0x26, 0);
    command(&f, DISK, CDB(0x15, 0x10, 0, 0, 20, 0), 20, 0);
    expect_sense(&f, 5, 0x26, 0);
    command(&f, DISK, CDB(0x15, 0x11, 0, 0, 24, 0), 24, 0);
    expect_sense(&f, 5, 0x24, 0);
    g_assert_cmphex(command(&f, DISK, CDB(0x5a, 0, 0x3f, 0, 0, 0, 0, 1, 0, 0), 0, 256), ==, GOOD);
    g_assert_cmphex(data_byte(&f, 7), ==, 8);
    g_assert_cmphex(command(&f, CD, CDB(0x5a, 0, 0x2a, 0, 0, 0, 0, 1, 0, 0), 0, 256), ==, GOOD);
    g_assert_cmphex(data_byte(&f, 8), ==, 0x2a);
    command(&f, DISK, CDB(0x1a, 0, 0xc8, 0, 255, 0), 0, 255); /* saved values */
    expect_sense(&f, 5, 0x39, 0);
    command(&f, DISK, CDB(0x1a, 0, 0x2a, 0, 255, 0), 0, 255);
    expect_sense(&f, 5, 0x24, 0);
    down(&f);
}

static void test_cd(void)
{
    Fixture f;
    up(&f);
    ready(&f);
    g_assert_cmphex(command(&f, CD, CDB(0x43, 0, 0, 0, 0, 0, 0, 0, 64, 0), 0, 64), ==, GOOD);
    g_assert_cmphex(data_32(&f, 0), ==, 0x00120101);
    g_assert_cmphex(data_byte(&f, 14), ==, 0xaa);
    g_assert_cmpuint(data_32(&f, 16), ==, CD_BLOCKS);
    g_assert_cmphex(command(&f, CD, CDB(0x43, 2, 0, 0, 0, 0, 0xaa, 0, 64, 0), 0, 64), ==, GOOD); /* lead-out, in MSF */
    g_assert_cmphex(data_32(&f, 8), ==, 7 << 8 | 25); /* 550 frames */
    command(&f, CD, CDB(0x43, 0, 0, 0, 0, 0, 5, 0, 64, 0), 0, 64);
    expect_sense(&f, 5, 0x24, 0);
    g_assert_cmphex(command(&f, CD, CDB(0x46, 0, 0, 0, 0, 0, 0, 0, 128, 0), 0, 128), ==, GOOD);
    g_assert_cmphex(data_32(&f, 4), ==, 0x08);
    g_assert_cmphex(command(&f, EMPTY_CD, CDB(0x46, 0, 0, 0, 0, 0, 0, 0, 128, 0), 0, 128), ==, GOOD);
    g_assert_cmphex(data_32(&f, 4), ==, 0);
    g_assert_cmphex(command(&f, CD, CDB(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0), 0, 8), ==, GOOD);
    g_assert_cmphex(data_32(&f, 0), ==, 0x00060410);
    g_assert_cmphex(data_byte(&f, 5), ==, 2);
    g_assert_cmphex(command(&f, CD, CDB(0x51, 0, 0, 0, 0, 0, 0, 0, 34, 0), 0, 34), ==, GOOD);
    g_assert_cmphex(command(&f, CD, CDB(0xbe, 0, 0, 0, 0, 3, 0, 0, 1, 0x10, 0, 0), 0, 2048), ==, GOOD);
    expect_pattern(&f, DATA, 3 * 2048, 2048);
    down(&f);
}

/* PREVENT ALLOW, START STOP: the door. */
static void test_tray(void)
{
    Fixture f;
    up(&f);
    ready(&f);
    g_assert_cmphex(command(&f, CD, CDB(0x1e, 0, 0, 0, 1, 0), 0, 0), ==, GOOD);
    g_assert_true(block_locked(f.drives[CD]));
    command(&f, CD, CDB(0x1b, 0, 0, 0, 2, 0), 0, 0);
    expect_sense(&f, 5, 0x53, 2);
    g_assert_cmphex(command(&f, CD, CDB(0x1e, 0, 0, 0, 0, 0), 0, 0), ==, GOOD);
    g_assert_cmphex(command(&f, CD, CDB(0x1b, 0, 0, 0, 2, 0), 0, 0), ==, GOOD);
    g_assert_true(block_tray_open(f.drives[CD]));
    command(&f, CD, CDB(0, 0, 0, 0, 0, 0), 0, 0);
    expect_sense(&f, 2, 0x3a, 2);
    g_assert_cmphex(command(&f, CD, CDB(0x1b, 0, 0, 0, 3, 0), 0, 0), ==, GOOD);
    g_assert_cmphex(command(&f, CD, CDB(0, 0, 0, 0, 0, 0), 0, 0), ==, GOOD);
    command(&f, DISK, CDB(0x1b, 0, 0, 0, 2, 0), 0, 0);
    expect_sense(&f, 5, 0x24, 0);
    g_assert_cmphex(command(&f, DISK, CDB(0x1b, 0, 0, 0, 0, 0), 0, 0), ==, GOOD);
    command(&f, DISK, CDB(0, 0, 0, 0, 0, 0), 0, 0);
    expect_sense(&f, 2, 4, 2);
    g_assert_cmphex(command(&f, DISK, CDB(0x1b, 0, 0, 0, 1, 0), 0, 0), ==, GOOD);
    g_assert_cmphex(command(&f, DISK, CDB(0, 0, 0, 0, 0, 0), 0, 0), ==, GOOD);
    down(&f);
}

/* ---- task management (5.6.6.2) ---- */

static uint8_t task(Fixture *f, uint32_t function, unsigned target, unsigned lun, uint64_t tag)
{
    uint8_t control[24] = { 0 };
    Segment s[] = { { REQUEST + 0x800, 24, false }, { RESPONSE + 0xf00, 1, true } };
    st32le(control + 4, function);
    control[8] = 1;
    control[9] = target;
    st16be(control + 10, lun | 0x4000);
    st64le(control + 16, tag);
    as_write_bytes(f->d.m->memory, REQUEST + 0x800, control, sizeof control);
    driver_request(&f->d, CONTROL, s, 2);
    return mread(&f->d, RESPONSE + 0xf00, 1);
}

static void test_tasks(void)
{
    Fixture f;
    unsigned slot;
    uint32_t length;
    up(&f);
    ready(&f);
    g_assert_cmphex(task(&f, 0, DISK, 0, 1), ==, 0);   /* ABORT TASK of none */
    g_assert_cmphex(task(&f, 6, DISK, 0, 1), ==, 0);   /* QUERY TASK */
    g_assert_cmphex(task(&f, 5, DISK, 9, 0), ==, 12);  /* LUN RESET of none */
    g_assert_cmphex(task(&f, 5, 200, 0, 0), ==, 3);
    g_assert_cmphex(task(&f, 2, DISK, 0, 0), ==, 11);  /* CLEAR ACA */
    for (unsigned n = 1; n < 8; n++) {
        Segment s[4];
        unsigned k = make_request(&f, n, DISK, 0, CDB(0x28, 0, 0, 0, 0, n, 0, 0, 8, 0), 0, 4096, s);
        driver_add(&f.d, COMMANDS, n, s, k);
    }
    driver_kick(&f.d, COMMANDS);
    g_assert_cmphex(task(&f, 5, DISK, 0, 0), ==, 0);
    for (unsigned n = 1; n < 8; n++) { /* all have ended when the reset has */
        g_assert_true(driver_used(&f.d, COMMANDS, &slot, &length) || (settle(&f.d), driver_used(&f.d, COMMANDS, &slot, &length)));
        take_response(&f, slot);
        g_assert_cmphex(f.code, ==, 4); /* RESET */
    }
    command(&f, DISK, CDB(0, 0, 0, 0, 0, 0), 0, 0);
    expect_sense(&f, 6, 0x29, 0);
    g_assert_cmphex(task(&f, 4, CD, 0, 0), ==, 0); /* I_T NEXUS RESET */
    command(&f, CD, CDB(0, 0, 0, 0, 0, 0), 0, 0);
    expect_sense(&f, 6, 0x29, 0);
    down(&f);
}

/* Other sizes of CDB and sense data, as the driver may choose (5.6.4). */
static void test_sizes(void)
{
    Fixture f;
    up(&f);
    ready(&f);
    mwrite(&f.d, DEVICE_CONFIG + 20, 16, 4);
    mwrite(&f.d, DEVICE_CONFIG + 24, 12, 4);
    Segment s[4];
    make_request(&f, 0, DISK, 0, CDB(0x28, 0, 0, 0, 255, 0, 0, 0, 1, 0), 0, 512, s);
    s[0].size = 19 + 12;
    s[1].size = 12 + 16;
    driver_request(&f.d, COMMANDS, s, 3);
    take_response(&f, 0);
    g_assert_cmpuint(f.sense_size, ==, 16);
    g_assert_cmphex(f.sense[12], ==, 0x21);
    mwrite(&f.d, DEVICE_CONFIG + 24, 0, 4);
    g_assert_cmpuint(mread(&f.d, DEVICE_CONFIG + 24, 4), ==, 12);
    driver_start(&f.d, V1, 3);
    g_assert_cmpuint(mread(&f.d, DEVICE_CONFIG + 20, 4), ==, 96);
    s[0].size = 20; /* too short: the device needs a reset */
    driver_add(&f.d, COMMANDS, 0, s, 3);
    driver_kick(&f.d, COMMANDS);
    g_assert_cmphex(driver_status(&f.d), ==, 0x4f);
    down(&f);
}

static void test_save(void)
{
    Fixture f;
    GError *err = NULL;
    unsigned slot, left = 7;
    uint32_t length;
    up(&f);
    ready(&f);
    command(&f, CD, CDB(0x1e, 0, 0, 0, 1, 0), 0, 0);
    for (unsigned n = 1; n < 8; n++) {
        Segment s[4];
        unsigned k = make_request(&f, n, DISK, 0, CDB(0x28, 0, 0, 0, 0, n, 0, 0, 8, 0), 0, 4096, s);
        driver_add(&f.d, COMMANDS, n, s, k);
    }
    driver_kick(&f.d, COMMANDS);
    GByteArray *saved = machine_save(f.d.m);
    machine_reset(f.d.m);
    machine_load(f.d.m, saved->data, saved->len, &err);
    g_assert_no_error(err);
    g_byte_array_unref(saved);
    settle(&f.d);
    while (left && driver_used(&f.d, COMMANDS, &slot, &length)) {
        left--;
        take_response(&f, slot);
        g_assert_cmphex(f.status, ==, GOOD);
        expect_pattern(&f, DATA + slot * 0x10000, slot * 512, 4096);
    }
    g_assert_cmpuint(left, ==, 0);
    g_assert_true(block_locked(f.drives[CD]));
    command(&f, CD, CDB(0x1b, 0, 0, 0, 2, 0), 0, 0);
    expect_sense(&f, 5, 0x53, 2);
    down(&f);
}

/* Where a unit goes, and what is said when it cannot. */
static void test_places(void)
{
    static const struct { const char *id, *property, *value, *words; } cases[] = {
        { "0", NULL, NULL, "taken by" }, { "256", NULL, NULL, "scsi-id 0 to 255" },
        { "5", "bus", "s9.0", "no SCSI bus 's9.0'" }, { "5", "channel", "1", "channel is 0" },
    };
    for (unsigned k = 0; k < G_N_ELEMENTS(cases); k++) {
        Fixture f;
        GError *err = NULL;
        up(&f);
        block_open(f.d.m, &(BlockOptions){ .id = "more", .cdrom = true }, NULL);
        g_assert_null(device_add(f.d.m, &scsi_cd_type, "x", &err, "drive", "more", "scsi-id", cases[k].id, cases[k].property,
                                 cases[k].value, NULL));
        g_assert_nonnull(strstr(err->message, cases[k].words));
        g_clear_error(&err);
        g_assert_nonnull(device_add(f.d.m, &scsi_cd_type, "x", &err, "drive", "more", "bus", "s0.0", "scsi-id", "0", "lun", "300",
                                    NULL));
        down(&f);
    }
}

/* Commands of any kind with any parameters and lengths: an answer each. */
static void test_random(void)
{
    Fixture f;
    up(&f);
    for (unsigned round = 0; round < 20000; round++) {
        static const uint8_t codes[] = {
            0x00, 0x03, 0x08, 0x0a, 0x12, 0x15, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2a, 0x2f, 0x35, 0x41, 0x42, 0x43, 0x46, 0x4a, 0x51,
            0x55, 0x5a, 0x88, 0x8a, 0x8f, 0x91, 0x93, 0x9e, 0xa0, 0xa8, 0xaa, 0xbd, 0xbe,
        };
        uint8_t cdb[16];
        for (unsigned k = 0; k < sizeof cdb; k++)
            cdb[k] = g_test_rand_int_range(0, 3) ? 0 : g_test_rand_int();
        cdb[0] = g_test_rand_int_range(0, 50) ? codes[g_test_rand_int_range(0, sizeof codes)] : g_test_rand_int();
        for (unsigned k = 0; k < 8; k++)
            mwrite(&f.d, DATA + 4 * g_test_rand_int_range(0, 16), g_test_rand_int() & 0xff0003ff, 4);
        uint32_t out = g_test_rand_bit() ? g_test_rand_int_range(0, 3000) : 0;
        command_to(&f, g_test_rand_int_range(0, 4), g_test_rand_int_range(0, 2), cdb, sizeof cdb, out,
                   out ? 0 : g_test_rand_int_range(0, 3000));
        g_assert_true(f.status == GOOD || f.status == CHECK);
    }
    down(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scsi/inquiry", test_inquiry);
    g_test_add_func("/scsi/luns", test_luns);
    g_test_add_func("/scsi/attention", test_attention);
    g_test_add_func("/scsi/capacity", test_capacity);
    g_test_add_func("/scsi/read", test_read);
    g_test_add_func("/scsi/write", test_write);
    g_test_add_func("/scsi/write-same", test_write_same);
    g_test_add_func("/scsi/unmap", test_unmap);
    g_test_add_func("/scsi/mode", test_mode);
    g_test_add_func("/scsi/cd", test_cd);
    g_test_add_func("/scsi/tray", test_tray);
    g_test_add_func("/scsi/tasks", test_tasks);
    g_test_add_func("/scsi/sizes", test_sizes);
    g_test_add_func("/scsi/save", test_save);
    g_test_add_func("/scsi/places", test_places);
    g_test_add_func("/scsi/random", test_random);
    return g_test_run();
}
