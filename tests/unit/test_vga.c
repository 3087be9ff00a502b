/*
 * The standard VGA on a bench: registers, the ways into video memory, and what is on the screen, dot by dot.
 */
#include <glib/gstdio.h>

#include "hw/display/vga.h"
#include "tests/unit/card_bench.h"
#include "util/endian.h"

static void card_init(Card *c, const char *property, const char *value)
{
    card_up(c, 100 * MiB, &vga_type, 2, property, value);
}

static void attr(Card *c, uint8_t n, uint8_t v)
{
    in(&c->b, 0x3da);
    out(&c->b, 0x3c0, n);
    out(&c->b, 0x3c0, v);
    out(&c->b, 0x3c0, 0x20);
}

static void color(Card *c, uint8_t n, uint8_t r, uint8_t g, uint8_t b)
{
    out(&c->b, 0x3c8, n);
    out(&c->b, 0x3c9, r);
    out(&c->b, 0x3c9, g);
    out(&c->b, 0x3c9, b);
}

static void vbe(Card *c, uint16_t n, uint16_t v)
{
    as_write(c->b.m->ports, 0x1ce, n, 2);
    as_write(c->b.m->ports, 0x1cf, v, 2);
}

static uint16_t vbe_get(Card *c, uint16_t n)
{
    as_write(c->b.m->ports, 0x1ce, n, 2);
    return as_read(c->b.m->ports, 0x1d0, 2);
}

/* The BIOS's mode tables, as far as they differ. */
typedef struct Mode {
    uint8_t misc, seq[5], crtc[25], gfx[9], attr_mode, attr_planes, pan;
} Mode;

static const Mode text_80 = {
    0x67, { 3, 0, 3, 0, 2 },
    { 0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28, 0x1f,
      0x96, 0xb9, 0xa3, 0xff },
    { 0, 0, 0, 0, 0, 0x10, 0x0e, 0x0f, 0xff }, 0x0c, 15, 8
};
static const Mode text_40 = {
    0x63, { 3, 9, 3, 0, 2 },
    { 0x2d, 0x27, 0x28, 0x90, 0x2b, 0xa0, 0xbf, 0x1f, 0, 0x4f, 0x2d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x14, 0x1f,
      0x96, 0xb9, 0xa3, 0xff },
    { 0, 0, 0, 0, 0, 0x10, 0x0e, 0x0f, 0xff }, 0x08, 15, 0
};
static const Mode cga_320 = {
    0x63, { 3, 9, 3, 0, 2 },
    { 0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0, 0xc1, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x14, 0x00, 0x96,
      0xb9, 0xa2, 0xff },
    { 0, 0, 0, 0, 0, 0x30, 0x0f, 0x0f, 0xff }, 0x01, 3, 0
};
static const Mode planar_640 = {
    0xe3, { 3, 1, 15, 0, 6 },
    { 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0, 0x40, 0, 0, 0, 0, 0, 0, 0xea, 0x8c, 0xdf, 0x28, 0x00, 0xe7,
      0x04, 0xe3, 0xff },
    { 0, 0, 0, 0, 0, 0, 5, 0x0f, 0xff }, 0x01, 15, 0
};
static const Mode chained_320 = {
    0x63, { 3, 1, 15, 0, 14 },
    { 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, 0x41, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28, 0x40, 0x96,
      0xb9, 0xa3, 0xff },
    { 0, 0, 0, 0, 0, 0x40, 5, 0x0f, 0xff }, 0x41, 15, 0
};

/* Colour n of the palette and of the attribute controller is 4n of red, 63 - n of green and n of blue. */
static void set_mode(Card *c, const Mode *m)
{
    out(&c->b, 0x3c2, m->misc);
    for (unsigned n = 0; n < 5; n++)
        seq(c, n, m->seq[n]);
    crtc(c, 0x11, 0);
    for (unsigned n = 0; n < 25; n++)
        crtc(c, n, m->crtc[n]);
    for (unsigned n = 0; n < 9; n++)
        gfx(c, n, m->gfx[n]);
    for (unsigned n = 0; n < 16; n++)
        attr(c, n, n);
    attr(c, 0x10, m->attr_mode);
    attr(c, 0x12, m->attr_planes);
    attr(c, 0x13, m->pan);
    attr(c, 0x14, 0);
    out(&c->b, 0x3c6, 0xff);
    for (unsigned n = 0; n < 256; n++)
        color(c, n, n * 4, 63 - n, n);
}

static uint32_t widen(unsigned v) { return (v & 63) << 2 | (v & 1 ? 3 : 0); }
static uint32_t rgb(unsigned n) { return widen(n * 4) << 16 | widen(63 - n) << 8 | widen(n); }

static uint32_t pixel(const Card *c, unsigned x, unsigned y)
{
    g_assert_cmpuint(x, <, c->con->surface.width);
    g_assert_cmpuint(y, <, c->con->surface.height);
    return c->con->surface.pixels[y * c->con->surface.width + x];
}

static void assert_size(const Card *c, unsigned width, unsigned height)
{
    g_assert_cmpuint(c->con->surface.width, ==, width);
    g_assert_cmpuint(c->con->surface.height, ==, height);
}

/* Pixels [x, x+n) of a line show the colours named by the letters 0..9, a..f. */
static void assert_dots(const Card *c, unsigned x, unsigned y, const char *dots)
{
    for (; *dots; dots++, x++)
        g_assert_cmphex(pixel(c, x, y), ==, rgb(g_ascii_xdigit_value(*dots)));
}

static unsigned changed_lines(Card *c)
{
    uint64_t seen = c->con->serial;
    unsigned n = 0;
    console_update(c->con, false);
    for (unsigned y = 0; y < c->con->surface.height; y++)
        n += c->con->line_serial[y] > seen;
    return n;
}

/* ---- registers ---- */

static void test_pci(void)
{
    Card c;
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "myna-test-vga.rom", NULL);
    char rom[3000];
    GError *err = NULL;
    memset(rom, 0x5a, sizeof rom);
    g_assert_true(g_file_set_contents(path, rom, sizeof rom, &err));
    card_init(&c, "romfile", path);

    g_assert_cmphex(pci_bus_config_read(c.bus, DEVFN << 8, 4), ==, 0x11111234);
    g_assert_cmphex(pci_bus_config_read(c.bus, DEVFN << 8 | 8, 4) >> 8, ==, 0x030000);
    g_assert_cmphex(pci_bus_config_read(c.bus, DEVFN << 8 | 0x10, 4), ==, LFB | 8);
    pci_bus_config_write(c.bus, DEVFN << 8 | 0x10, 0xffffffff, 4);
    g_assert_cmphex(pci_bus_config_read(c.bus, DEVFN << 8 | 0x10, 4), ==, 0xff000008);
    pci_bus_config_write(c.bus, DEVFN << 8 | 0x10, LFB, 4);
    pci_bus_config_write(c.bus, DEVFN << 8 | 0x30, 0xfffff800, 4);
    g_assert_cmphex(pci_bus_config_read(c.bus, DEVFN << 8 | 0x30, 4), ==, 0xfffff000);
    pci_bus_config_write(c.bus, DEVFN << 8 | 0x30, 0xf0000001, 4);
    g_assert_cmphex(peek(&c, 0xf0000000 + 2999, 2), ==, 0x005a);
    /* MMIO: EDID, VGA ports, VBE registers */
    g_assert_cmphex(peek(&c, MMIO, 8), ==, 0x00ffffffffffff00);
    uint8_t sum = 0;
    for (unsigned n = 0; n < 128; n++)
        sum += peek(&c, MMIO + n, 1);
    g_assert_cmpuint(sum, ==, 0);
    poke(&c, MMIO + 0x404, 0x0f02, 2);
    g_assert_cmphex(in(&c.b, 0x3c5), ==, 0x0f);
    poke(&c, MMIO + 0x502, 1024, 2);
    g_assert_cmpuint(vbe_get(&c, 1), ==, 1024);
    g_assert_cmphex(peek(&c, MMIO + 0x500, 2), ==, 0xb0c5);
    g_assert_cmphex(peek(&c, MMIO + 0x600, 4), ==, 0xffffffff);
    card_down(&c);
    g_unlink(path);
}

static void test_bad_properties(void)
{
    static const char *const bad[][2] = { { "romfile", "/nonexistent/rom" }, { "vgamem_mb", "3" }, { "xres", "1" } };
    Card c;
    card_init(&c, "vgamem_mb", "1");
    for (unsigned n = 0; n < G_N_ELEMENTS(bad); n++) {
        GError *err = NULL;
        g_assert_null(device_add(c.b.m, &vga_type, "second", &err, "vgamem_mb", "1", bad[n][0], bad[n][1], NULL));
        g_assert_nonnull(strstr(err->message, bad[n][0]));
        g_clear_error(&err);
    }
    card_down(&c);
}

static void test_registers(void)
{
    Card c;
    card_init(&c, NULL, NULL);
    /* mono or colour addresses */
    out(&c.b, 0x3c2, 0x02);
    out(&c.b, 0x3b4, 0x0c);
    out(&c.b, 0x3b5, 0x12);
    g_assert_cmphex(in(&c.b, 0x3b5), ==, 0x12);
    g_assert_cmphex(in(&c.b, 0x3d5), ==, 0xff);
    out(&c.b, 0x3c2, 0x67);
    g_assert_cmphex(in(&c.b, 0x3cc), ==, 0x67);
    g_assert_cmphex(in(&c.b, 0x3b5), ==, 0xff);
    g_assert_cmphex(in(&c.b, 0x3d5), ==, 0x12);
    /* protection of CRTC registers 0..7 but for the line compare bit */
    crtc(&c, 0x11, 0x80);
    crtc(&c, 0, 0x55);
    g_assert_cmphex(in(&c.b, 0x3d5), ==, 0);
    crtc(&c, 7, 0xff);
    g_assert_cmphex(in(&c.b, 0x3d5), ==, 0x10);
    crtc(&c, 0x11, 0);
    crtc(&c, 7, 0xff);
    g_assert_cmphex(in(&c.b, 0x3d5), ==, 0xff);
    /* attribute controller: index and data in turn */
    in(&c.b, 0x3da);
    out(&c.b, 0x3c0, 0x10);
    out(&c.b, 0x3c0, 0x4c);
    g_assert_cmphex(in(&c.b, 0x3c0), ==, 0x10);
    g_assert_cmphex(in(&c.b, 0x3c1), ==, 0x4c);
    out(&c.b, 0x3c0, 0x31);
    in(&c.b, 0x3da);
    out(&c.b, 0x3c0, 0x32);
    g_assert_cmphex(in(&c.b, 0x3c0), ==, 0); /* data of 12h, as the next write would be */
    /* DAC */
    color(&c, 255, 1, 2, 0xff);
    color(&c, 0, 4, 5, 6);
    out(&c.b, 0x3c7, 255);
    g_assert_cmphex(in(&c.b, 0x3c7), ==, 3);
    for (unsigned n = 0; n < 6; n++)
        g_assert_cmphex(in(&c.b, 0x3c9), ==, ((const uint8_t[]){ 1, 2, 0x3f, 4, 5, 6 })[n]);
    out(&c.b, 0x3c8, 9);
    g_assert_cmphex(in(&c.b, 0x3c7), ==, 0);
    g_assert_cmphex(in(&c.b, 0x3c8), ==, 9);
    /* feature control; masks */
    out(&c.b, 0x3da, 0xff);
    g_assert_cmphex(in(&c.b, 0x3ca), ==, 0x13);
    seq(&c, 4, 0xff);
    g_assert_cmphex(in(&c.b, 0x3c5), ==, 0x0e);
    gfx(&c, 5, 0xff);
    g_assert_cmphex(in(&c.b, 0x3cf), ==, 0x7b);
    gfx(&c, 9, 0xff);
    g_assert_cmphex(in(&c.b, 0x3cf), ==, 0);
    /* video subsystem off: nothing answers but its switch */
    out(&c.b, 0x3c3, 0);
    g_assert_cmphex(in(&c.b, 0x3cc), ==, 0xff);
    g_assert_cmphex(in(&c.b, 0x3c3), ==, 0);
    out(&c.b, 0x3c3, 1);
    g_assert_cmphex(in(&c.b, 0x3cc), ==, 0x67);
    card_down(&c);
}

/* 31.469 kHz and 70.086 Hz in 80-column text, seen through input status 1. */
static void test_timing(void)
{
    Card c;
    card_init(&c, NULL, NULL);
    set_mode(&c, &text_80);
    unsigned retraces = 0, lines = 0, before = 0;
    for (int64_t ns = 0; ns < SECOND(1); ns += 2000) {
        at(&c.b, ns);
        unsigned now = in(&c.b, 0x3da);
        retraces += (now & 8) && !(before & 8);
        lines += (now & 1) && !(before & 1);
        if (now & 8)
            g_assert_cmpuint(now & 1, ==, 1);
        before = now;
    }
    g_assert_cmpuint(retraces, ==, 70);
    g_assert_cmpuint(lines, ==, 70 * 400 + 39); /* each displayed line of whole frames, and of the begun one */
    /* lines counted twice make a frame last twice as long */
    crtc(&c, 0x17, 0xa7);
    retraces = 0;
    for (int64_t ns = SECOND(2); ns < SECOND(4); ns += 20000) {
        at(&c.b, ns);
        unsigned now = in(&c.b, 0x3da);
        retraces += (now & 8) && !(before & 8);
        before = now;
    }
    g_assert_cmpuint(retraces, ==, 70);
    card_down(&c);
}

/* ---- the monitor ---- */

static unsigned edid_width(const uint8_t *timing) { return timing[2] | (timing[4] & 0xf0) << 4; }
static unsigned edid_height(const uint8_t *timing) { return timing[5] | (timing[7] & 0xf0) << 4; }

static void edid_read(Card *c, uint8_t edid[256])
{
    uint8_t sum[2] = { 0, 0 };
    for (unsigned n = 0; n < 256; n++) {
        edid[n] = peek(c, MMIO + n, 1);
        sum[n / 128] += edid[n];
    }
    g_assert_cmpuint(sum[0] | sum[1], ==, 0);
}

/* A viewer's size becomes what the monitor prefers, as far as memory goes; the others are up to 3840 x 2160. */
static void test_edid(void)
{
    Card c;
    uint8_t edid[256];
    card_init(&c, "vgamem_mb", "64");
    edid_read(&c, edid);
    g_assert_cmpuint(edid_width(edid + 54), ==, 1280);
    g_assert_cmpuint(edid_height(edid + 54), ==, 800);
    g_assert_cmphex(edid[38], ==, 1920 / 8 - 31);
    g_assert_cmpuint(edid[126], ==, 1);
    g_assert_cmphex(edid[128], ==, 2);
    g_assert_cmpuint(edid_width(edid + 135), ==, 3840);
    g_assert_cmpuint(edid_height(edid + 135), ==, 2160);
    g_assert_cmpuint(ld16le(edid + 135), ==, 53325); /* 533.25 MHz: CVT 1.1, reduced blanking */
    g_assert_true(console_fit(c.con, 3846, 2160));
    edid_read(&c, edid);
    g_assert_cmpuint(edid_width(edid + 54), ==, 3840);
    g_assert_cmpuint(edid_height(edid + 54), ==, 2160);
    g_assert_true(console_fit(c.con, 1, 100000));
    edid_read(&c, edid);
    g_assert_cmpuint(edid_width(edid + 54), ==, 640);
    g_assert_cmpuint(edid_height(edid + 54), ==, 4088);
    g_assert_true(console_fit(c.con, 0, 0)); /* the viewer has gone */
    edid_read(&c, edid);
    g_assert_cmpuint(edid_width(edid + 54), ==, 1280);
    card_down(&c);
    card_init(&c, "vgamem_mb", "1");
    g_assert_true(console_fit(c.con, 1920, 1080));
    edid_read(&c, edid);
    g_assert_cmpuint(edid_width(edid + 54) * edid_height(edid + 54) * 8, <=, MiB);
    g_assert_cmpuint(edid_width(edid + 54), >=, 400);
    g_assert_cmphex(edid[38], ==, 1);
    g_assert_cmpuint(edid_width(edid + 135), ==, 0);
    card_down(&c);
}

enum { DDC_REGISTER = 11 };

static void ddc_wires(Card *c, bool clock, bool data) { vbe(c, DDC_REGISTER, 0x80 | clock | data << 1); }

static bool ddc_bit(Card *c, bool data)
{
    ddc_wires(c, false, data);
    ddc_wires(c, true, data);
    bool got = vbe_get(c, DDC_REGISTER) & 8;
    ddc_wires(c, false, data);
    return got;
}

static void ddc_start(Card *c)
{
    ddc_wires(c, false, true);
    ddc_wires(c, true, true);
    ddc_wires(c, true, false);
    ddc_wires(c, false, false);
}

/* Whether it is acknowledged. */
static bool ddc_put(Card *c, uint8_t byte)
{
    for (unsigned n = 8; n--;)
        ddc_bit(c, byte >> n & 1);
    return !ddc_bit(c, true);
}

static uint8_t ddc_get(Card *c, bool last)
{
    uint8_t byte = 0;
    for (unsigned n = 8; n--;)
        byte = byte << 1 | ddc_bit(c, true);
    ddc_bit(c, last);
    return byte;
}

/* The same EDID over the monitor's wires, bit by bit; saved and restored amid a byte. */
static void test_ddc(void)
{
    Card c, d;
    GError *err = NULL;
    uint8_t edid[256];
    card_init(&c, NULL, NULL);
    card_init(&d, NULL, NULL);
    edid_read(&c, edid);
    g_assert_cmphex(vbe_get(&c, DDC_REGISTER), ==, 0x0f);
    ddc_start(&c);
    g_assert_false(ddc_put(&c, 0xa4)); /* nobody at 52h */
    ddc_start(&c);
    g_assert_true(ddc_put(&c, 0xa0));
    g_assert_true(ddc_put(&c, 0x00));
    ddc_start(&c);
    g_assert_true(ddc_put(&c, 0xa1));
    for (unsigned n = 0; n < 256; n++)
        g_assert_cmphex(ddc_get(&c, false), ==, edid[n]);
    for (unsigned n = 0; n < 8; n++)
        g_assert_cmphex(ddc_get(&c, false), ==, edid[n]);
    for (unsigned n = 0; n < 3; n++)
        ddc_bit(&c, true);
    g_autoptr(GByteArray) saved = machine_save(c.b.m);
    g_assert_true(machine_load(d.b.m, saved->data, saved->len, &err));
    uint8_t rest = 0;
    for (unsigned n = 0; n < 5; n++)
        rest = rest << 1 | ddc_bit(&d, true);
    ddc_bit(&d, false);
    g_assert_cmphex(rest, ==, edid[8] & 0x1f);
    g_assert_cmphex(ddc_get(&d, true), ==, edid[9]);
    g_assert_cmphex(ddc_get(&d, true), ==, 0xff); /* not asked to go on, it has let go */
    vbe(&c, DDC_REGISTER, 0);
    g_assert_cmphex(vbe_get(&c, DDC_REGISTER), ==, 0x0f);
    card_down(&c);
    card_down(&d);
}

/* ---- memory ---- */

static void planes_setup(Card *c)
{
    set_mode(c, &planar_640);
}

/* Writes a byte to each plane of an address by the map mask. */
static void put_planes(Card *c, uint32_t at, uint32_t planes)
{
    for (unsigned n = 0; n < 4; n++) {
        seq(c, 2, 1 << n);
        poke(c, at, planes >> 8 * n & 0xff, 1);
    }
    seq(c, 2, 15);
}

static uint32_t get_planes(Card *c, uint32_t at)
{
    uint32_t v = 0;
    for (unsigned n = 0; n < 4; n++) {
        gfx(c, 4, n);
        v |= (uint32_t)peek(c, at, 1) << 8 * n;
    }
    return v;
}

static void test_write_modes(void)
{
    Card c;
    card_init(&c, NULL, NULL);
    planes_setup(&c);
    put_planes(&c, 0xa0000, 0x87654321);
    g_assert_cmphex(get_planes(&c, 0xa0000), ==, 0x87654321);
    /* mode 0: rotation, set/reset of some planes, bit mask against the latches */
    gfx(&c, 3, 4);
    poke(&c, 0xa0001, 0x12, 1);
    g_assert_cmphex(get_planes(&c, 0xa0001), ==, 0x21212121);
    gfx(&c, 3, 0);
    gfx(&c, 0, 0x5);
    gfx(&c, 1, 0x3);
    poke(&c, 0xa0001, 0x3c, 1);
    g_assert_cmphex(get_planes(&c, 0xa0001), ==, 0x3c3c00ff);
    gfx(&c, 1, 0);
    peek(&c, 0xa0000, 1);
    gfx(&c, 8, 0x0f);
    poke(&c, 0xa0002, 0x5a, 1);
    g_assert_cmphex(get_planes(&c, 0xa0002), ==, 0x8a6a4a2a);
    gfx(&c, 8, 0xff);
    for (unsigned op = 1; op < 4; op++) {
        static const uint32_t want[4] = { 0, 0x07050301, 0x8f6f4f2f, 0x886a4c2e };
        peek(&c, 0xa0000, 1);
        gfx(&c, 3, op << 3);
        poke(&c, 0xa0003, 0x0f, 1);
        g_assert_cmphex(get_planes(&c, 0xa0003), ==, want[op]);
    }
    gfx(&c, 3, 0);
    /* mode 1: latches; map mask */
    gfx(&c, 5, 1);
    peek(&c, 0xa0000, 1);
    seq(&c, 2, 0x9);
    poke(&c, 0xa0004, 0, 1);
    seq(&c, 2, 15);
    g_assert_cmphex(get_planes(&c, 0xa0004), ==, 0x87000021);
    /* mode 2: a colour through the bit mask */
    gfx(&c, 5, 2);
    peek(&c, 0xa0000, 1);
    gfx(&c, 8, 0xf0);
    poke(&c, 0xa0005, 0x6, 1);
    g_assert_cmphex(get_planes(&c, 0xa0005), ==, 0x07f5f301);
    gfx(&c, 8, 0xff);
    /* mode 3: set/reset through the rotated byte */
    gfx(&c, 5, 3);
    gfx(&c, 0, 0xc);
    gfx(&c, 3, 4);
    peek(&c, 0xa0000, 1);
    poke(&c, 0xa0006, 0xf0, 1);
    g_assert_cmphex(get_planes(&c, 0xa0006), ==, 0x8f6f4020);
    card_down(&c);
}

static void test_read_mode_1(void)
{
    Card c;
    card_init(&c, NULL, NULL);
    planes_setup(&c);
    put_planes(&c, 0xa0000, 0x00ff0ff0);
    gfx(&c, 5, 8);
    gfx(&c, 2, 0x6);
    gfx(&c, 7, 0xf);
    g_assert_cmphex(peek(&c, 0xa0000, 1), ==, 0x0f);
    gfx(&c, 7, 0xd);
    g_assert_cmphex(peek(&c, 0xa0000, 1), ==, 0x0f);
    gfx(&c, 7, 0x4);
    g_assert_cmphex(peek(&c, 0xa0000, 1), ==, 0xff);
    gfx(&c, 7, 0x0);
    g_assert_cmphex(peek(&c, 0xa0000, 1), ==, 0xff);
    card_down(&c);
}

/* Where the window is, by the memory map field and the enables. */
static void test_window(void)
{
    static const struct { uint8_t map; uint32_t first, last; } maps[] = {
        { 0, 0xa0000, 0xbffff }, { 1, 0xa0000, 0xaffff }, { 2, 0xb0000, 0xb7fff }, { 3, 0xb8000, 0xbffff }
    };
    Card c;
    card_init(&c, NULL, NULL);
    planes_setup(&c);
    for (unsigned n = 0; n < 4; n++) {
        gfx(&c, 6, 1 | maps[n].map << 2);
        poke(&c, maps[n].first, 0x11 + n, 1);
        poke(&c, maps[n].last, 0x22 + n, 1);
        g_assert_cmphex(peek(&c, maps[n].first, 1), ==, 0x11 + n);
        g_assert_cmphex(peek(&c, maps[n].last, 1), ==, 0x22 + n);
        if (n) {
            g_assert_cmphex(peek(&c, maps[n].first - 1, 1), ==, 0xff);
            poke(&c, maps[n].first - 1, 0, 1);
        }
        if (n == 1)
            g_assert_cmphex(peek(&c, maps[n].last + 1, 1), ==, 0xff);
    }
    out(&c.b, 0x3c2, 0xe1);
    g_assert_cmphex(peek(&c, 0xb8000, 1), ==, 0xff);
    poke(&c, 0xb8000, 0, 1);
    out(&c.b, 0x3c2, 0xe3);
    g_assert_cmphex(peek(&c, 0xb8000, 1), ==, 0x14);
    card_down(&c);
}

/* What is written in one addressing is at the right planes in the others, whatever lies directly in memory. */
static void test_addressing(void)
{
    Card c;
    card_init(&c, NULL, NULL);
    set_mode(&c, &text_80);
    for (unsigned n = 0; n < 0x8000; n += 4)
        poke(&c, 0xb8000 + n, n * 2654435761u, 4);
    g_assert_nonnull(as_lookup(c.b.m->memory, 0xb8000).host);
    seq(&c, 4, 6); /* sequential, as for loading a font */
    gfx(&c, 5, 0);
    gfx(&c, 6, 5);
    g_assert_null(as_lookup(c.b.m->memory, 0xb8000).host);
    for (unsigned n = 0; n < 0x8000; n += 2) {
        uint8_t b[4];
        st32le(b, (n & ~3u) * 2654435761u);
        gfx(&c, 4, 0);
        g_assert_cmphex(peek(&c, 0xa0000 + n, 1), ==, b[n & 2]);
        gfx(&c, 4, 1);
        g_assert_cmphex(peek(&c, 0xa0000 + n, 1), ==, b[(n & 2) + 1]);
    }
    seq(&c, 2, 4);
    for (unsigned n = 0; n < 0x10000; n++)
        poke(&c, 0xa0000 + n, n * 7 + (n >> 8), 1);
    set_mode(&c, &text_80);
    g_assert_cmphex(peek(&c, 0xb8000 + 1000, 4), ==, 1000 * 2654435761u);

    set_mode(&c, &chained_320);
    for (unsigned n = 0; n < 0x10000; n += 4) /* planes 0, 1 at even places are the text's; 2 the font's */
        if (n < 0x8000)
            g_assert_cmphex(peek(&c, 0xa0000 + n, 2), ==, n * 2654435761u & 0xffff);
    g_assert_cmphex(peek(&c, 0xa0000 + 0x1234 + 2, 1), ==, (uint8_t)(0x1234 * 7 + 0x12));
    poke(&c, 0xa4568, 0x44332211, 4);
    g_assert_nonnull(as_lookup(c.b.m->memory, 0xa0000).host);
    gfx(&c, 5, 0x48); /* no direct window: through the registers it is the same */
    gfx(&c, 5, 0x40);
    gfx(&c, 3, 0x18);
    g_assert_null(as_lookup(c.b.m->memory, 0xa0000).host);
    g_assert_cmphex(peek(&c, 0xa4568, 4), ==, 0x44332211);
    gfx(&c, 3, 0);
    seq(&c, 4, 6);
    g_assert_cmphex(get_planes(&c, 0xa4568), ==, 0x44332211);
    for (unsigned n = 0; n < 0x10000; n++) { /* plane 2 where neither text nor that write was */
        gfx(&c, 4, 2);
        if (n != 0x4568)
            g_assert_cmphex(peek(&c, 0xa0000 + n, 1), ==, (uint8_t)(n * 7 + (n >> 8)));
    }
    card_down(&c);
}

/* ---- text ---- */

static void load_glyph(Card *c, unsigned font_at, uint8_t code, const uint8_t rows[16])
{
    seq(c, 2, 4);
    seq(c, 4, 7);
    gfx(c, 4, 2);
    gfx(c, 5, 0);
    gfx(c, 6, 0);
    for (unsigned n = 0; n < 16; n++)
        poke(c, 0xa0000 + font_at + code * 32 + n, rows[n], 1);
    seq(c, 2, 3);
    seq(c, 4, 3);
    gfx(c, 4, 0);
    gfx(c, 5, 0x10);
    gfx(c, 6, 0x0e);
}

static const uint8_t glyph_a[16] = { 0x81, 0xff, 0x01 };
static const uint8_t glyph_box[16] = { 0x01, 0x0f, 0xf0 };

static void clear_text(Card *c)
{
    for (unsigned n = 0; n < 0x8000; n += 4)
        poke(c, 0xb8000 + n, 0x07200720, 4);
}

static void test_text(void)
{
    Card c;
    card_init(&c, NULL, NULL);
    set_mode(&c, &text_80);
    crtc(&c, 0x0a, 0x20); /* no cursor */
    load_glyph(&c, 0, 'A', glyph_a);
    load_glyph(&c, 0, 0xc4, glyph_box);
    clear_text(&c);
    poke(&c, 0xb8000, 0x1e41, 2);
    poke(&c, 0xb8000 + (24 * 80 + 79) * 2, 0x2dc4, 2);
    console_update(c.con, false);
    assert_size(&c, 720, 400);
    assert_dots(&c, 0, 0, "e111111e1000000000");
    assert_dots(&c, 0, 1, "eeeeeeee1000000000");
    assert_dots(&c, 0, 2, "1111111e1000");
    assert_dots(&c, 0, 15, "1111111110");
    assert_dots(&c, 79 * 9, 384, "2222222dd"); /* line graphics: the ninth dot repeats the eighth */
    assert_dots(&c, 79 * 9, 385, "2222ddddd");
    assert_dots(&c, 79 * 9, 386, "dddd22222");
    /* only what changes is drawn: one row of 16 lines; then nothing; then all by a palette change */
    g_assert_cmpuint(changed_lines(&c), ==, 0);
    poke(&c, 0xb8000 + 161, 0x1f, 1);
    g_assert_cmpuint(changed_lines(&c), ==, 16);
    assert_dots(&c, 0, 16, "1111111110");
    g_assert_cmpuint(changed_lines(&c), ==, 0);
    color(&c, 9, 1, 1, 1);
    g_assert_cmpuint(changed_lines(&c), ==, 400);
    /* a changed font draws all, too */
    load_glyph(&c, 0, 'A', glyph_box);
    g_assert_cmpuint(changed_lines(&c), ==, 400);
    assert_dots(&c, 0, 1, "1111eeee1");
    load_glyph(&c, 0, 'A', glyph_box);
    changed_lines(&c);
    g_assert_cmpuint(changed_lines(&c), ==, 0);
    /* screen off */
    seq(&c, 1, 0x20);
    console_update(c.con, false);
    g_assert_cmphex(pixel(&c, 0, 1), ==, 0);
    card_down(&c);
}

static void test_text_details(void)
{
    Card c;
    card_init(&c, NULL, NULL);
    set_mode(&c, &text_80);
    load_glyph(&c, 0, 'A', glyph_a);
    load_glyph(&c, 0x4000, 'A', glyph_box);
    clear_text(&c);
    /* cursor: lines 13 and 14 of cell 81, seen in frames 0..7, not in 8..15 */
    crtc(&c, 0x0f, 81);
    console_update(c.con, false);
    assert_dots(&c, 0, 16 + 13, "00000000077777777700");
    assert_dots(&c, 9, 16 + 12, "000000000");
    assert_dots(&c, 9, 16 + 15, "000000000");
    at(&c.b, SECOND(1) * 9 / 70);
    g_assert_cmpuint(changed_lines(&c), ==, 16);
    assert_dots(&c, 9, 16 + 13, "000000000");
    /* blinking: unseen in frames 16..31; without blinking bit 7 is a bright background */
    crtc(&c, 0x0a, 0x20);
    poke(&c, 0xb8000, 0xae41, 2);
    console_update(c.con, false);
    assert_dots(&c, 0, 1, "eeeeeeee2");
    at(&c.b, SECOND(1) * 17 / 70);
    console_update(c.con, false);
    assert_dots(&c, 0, 1, "222222222");
    attr(&c, 0x10, 0x04);
    console_update(c.con, false);
    assert_dots(&c, 0, 1, "eeeeeeeea");
    /* two fonts, chosen by bit 3 of the attribute */
    poke(&c, 0xb8002, 0x0641, 2);
    seq(&c, 3, 0x04);
    console_update(c.con, false);
    assert_dots(&c, 0, 1, "aaaaeeeea66666666");
    /* underline */
    crtc(&c, 0x14, 5);
    poke(&c, 0xb8004, 0x0120, 2);
    console_update(c.con, false);
    assert_dots(&c, 18, 5, "1111111110");
    assert_dots(&c, 18, 4, "000000000");
    /* panning by dots and lines, and a split screen that does neither */
    attr(&c, 0x10, 0x24);
    attr(&c, 0x13, 1);
    crtc(&c, 0x08, 1);
    crtc(&c, 0x18, 199);
    crtc(&c, 0x07, 0x0f);
    crtc(&c, 0x09, 0x0f);
    console_update(c.con, false);
    assert_dots(&c, 0, 0, "aaeeeea66666666");
    assert_dots(&c, 0, 14, "aaaaaaa000");
    assert_dots(&c, 0, 201, "aaaaeeeea66666666");
    /* start address */
    crtc(&c, 0x0d, 1);
    console_update(c.con, false);
    assert_dots(&c, 0, 0, "6666660");
    card_down(&c);
}

static void test_text_cells(void)
{
    Card c;
    unsigned columns, rows;
    uint16_t cells[80 * 25];
    card_init(&c, NULL, NULL);
    g_assert_false(console_text(c.con, &columns, &rows, cells, 2000));
    set_mode(&c, &text_80);
    clear_text(&c);
    poke(&c, 0xb8000 + 2 * 81, 0x4f58, 2);
    g_assert_true(console_text(c.con, &columns, &rows, cells, 2000));
    g_assert_cmpuint(columns, ==, 80);
    g_assert_cmpuint(rows, ==, 25);
    g_assert_cmphex(cells[81], ==, 0x4f58);
    g_assert_cmphex(cells[1999], ==, 0x0720);
    crtc(&c, 0x0d, 80);
    cells[1] = 0;
    cells[2] = 0xdead;
    g_assert_true(console_text(c.con, &columns, &rows, cells, 2));
    g_assert_cmphex(cells[1], ==, 0x4f58);
    g_assert_cmphex(cells[2], ==, 0xdead);
    set_mode(&c, &chained_320);
    g_assert_false(console_text(c.con, &columns, &rows, cells, 2000));

    set_mode(&c, &text_40);
    crtc(&c, 0x0a, 0x20);
    load_glyph(&c, 0, 'A', glyph_a);
    clear_text(&c);
    poke(&c, 0xb8000 + 2 * 41, 0x1e41, 2);
    console_update(c.con, false);
    assert_size(&c, 640, 400);
    assert_dots(&c, 0, 16, "0000000000000000ee111111111111ee00");
    card_down(&c);
}

/* ---- graphics ---- */

static void test_planar(void)
{
    Card c;
    card_init(&c, NULL, NULL);
    planes_setup(&c);
    for (unsigned n = 0; n < 0x10000; n += 8)
        poke(&c, 0xa0000 + n, 0, 8);
    /* dots 0..7 of line 2 are colours 0..7, 8..15 of it 8..f */
    put_planes(&c, 0xa0000 + 160, 0x000f3355);
    put_planes(&c, 0xa0000 + 161, 0xff0f3355);
    console_update(c.con, false);
    assert_size(&c, 640, 480);
    assert_dots(&c, 0, 2, "0123456789abcdef0000");
    assert_dots(&c, 0, 1, "00000000");
    console_update(c.con, false);
    g_assert_cmpuint(changed_lines(&c), ==, 0);
    poke(&c, 0xa0000 + 479 * 80 + 79, 0xff, 1);
    g_assert_cmpuint(changed_lines(&c), <, 60);
    assert_dots(&c, 632, 479, "ffffffff");
    g_assert_cmpuint(changed_lines(&c), <, 60); /* once more, for a writer that was not done */
    g_assert_cmpuint(changed_lines(&c), ==, 0);
    /* panning, start address, plane enable, palette */
    attr(&c, 0x13, 3);
    crtc(&c, 0x0d, 80);
    console_update(c.con, false);
    assert_dots(&c, 0, 1, "3456789abcdef0000");
    attr(&c, 0x12, 3);
    console_update(c.con, false);
    assert_dots(&c, 0, 1, "3012301230123000");
    attr(&c, 3, 9);
    console_update(c.con, false);
    assert_dots(&c, 0, 1, "9012901290129000");
    attr(&c, 0x10, 0x81);
    attr(&c, 0x14, 0x5);
    console_update(c.con, false);
    g_assert_cmphex(pixel(&c, 0, 1), ==, rgb(0x59));
    card_down(&c);
}

static void test_chained(void)
{
    Card c;
    card_init(&c, NULL, NULL);
    set_mode(&c, &chained_320);
    for (unsigned n = 0; n < 64000; n++)
        poke(&c, 0xa0000 + n, n % 320 + n / 320, 1);
    console_update(c.con, false);
    assert_size(&c, 640, 400);
    for (unsigned y = 0; y < 400; y += 7)
        for (unsigned x = 0; x < 640; x += 3)
            g_assert_cmphex(pixel(&c, x, y), ==, rgb((x / 2 + y / 2) & 0xff));
    out(&c.b, 0x3c6, 0x0f);
    console_update(c.con, false);
    g_assert_cmphex(pixel(&c, 50, 0), ==, rgb(25 & 15));
    out(&c.b, 0x3c6, 0xff);
    /* unchained, byte addresses: four pages of 320 x 200; this is page 1 */
    seq(&c, 4, 6);
    crtc(&c, 0x14, 0);
    crtc(&c, 0x17, 0xe3);
    crtc(&c, 0x0c, 0x40);
    for (unsigned n = 0; n < 16000; n++)
        put_planes(&c, 0xa4000 + n, 0x01010101 * (n / 80) + 0x03020100);
    console_update(c.con, false);
    for (unsigned y = 0; y < 400; y += 7)
        for (unsigned x = 0; x < 640; x += 3)
            g_assert_cmphex(pixel(&c, x, y), ==, rgb((y / 2 + x / 2 % 4) & 0xff));
    card_down(&c);
}

static void test_cga(void)
{
    Card c;
    card_init(&c, NULL, NULL);
    set_mode(&c, &cga_320);
    for (unsigned n = 0; n < 0x4000; n += 8)
        poke(&c, 0xb8000 + n, 0, 8);
    poke(&c, 0xb8000, 0x1b, 1);
    poke(&c, 0xb8001, 0xe4, 1);
    poke(&c, 0xb8000 + 0x2000 + 80 + 79, 0x1b, 1); /* line 3, at the right */
    console_update(c.con, false);
    assert_size(&c, 640, 400);
    assert_dots(&c, 0, 0, "001122333322110000");
    assert_dots(&c, 0, 1, "001122333322110000");
    assert_dots(&c, 0, 2, "000000000000000000");
    assert_dots(&c, 632, 6, "00112233");
    /* 640 x 200 in two colours: byte addresses, one plane */
    seq(&c, 1, 1);
    seq(&c, 4, 6);
    gfx(&c, 5, 0);
    gfx(&c, 6, 0x0d);
    crtc(&c, 0x11, 0);
    crtc(&c, 1, 0x4f);
    crtc(&c, 0x13, 0x28);
    crtc(&c, 0x17, 0xc2);
    attr(&c, 0x12, 1);
    seq(&c, 2, 1);
    for (unsigned n = 0; n < 0x4000; n += 8)
        poke(&c, 0xb8000 + n, 0, 8);
    poke(&c, 0xb8000 + 0x2000 + 1, 0xa5, 1);
    console_update(c.con, false);
    assert_size(&c, 640, 400);
    assert_dots(&c, 6, 2, "00101001010");
    assert_dots(&c, 6, 0, "00000000000");
    card_down(&c);
}

/* ---- VBE ---- */

static void vbe_mode(Card *c, unsigned width, unsigned height, unsigned bpp, uint16_t flags)
{
    vbe(c, 4, 0);
    vbe(c, 1, width);
    vbe(c, 2, height);
    vbe(c, 3, bpp);
    vbe(c, 4, 1 | flags);
    in(&c->b, 0x3da);
    out(&c->b, 0x3c0, 0x20);
}

static void test_vbe_registers(void)
{
    Card c;
    card_init(&c, "vgamem_mb", "8");
    g_assert_cmphex(vbe_get(&c, 0), ==, 0xb0c5);
    vbe(&c, 0, 0xb0c2);
    g_assert_cmphex(vbe_get(&c, 0), ==, 0xb0c2);
    vbe(&c, 0, 0x1234);
    g_assert_cmphex(vbe_get(&c, 0), ==, 0xb0c2);
    g_assert_cmpuint(vbe_get(&c, 10), ==, 128);
    g_assert_cmpuint(vbe_get(&c, 12), ==, 0);
    vbe(&c, 4, 2);
    g_assert_cmpuint(vbe_get(&c, 1), ==, 16000);
    g_assert_cmpuint(vbe_get(&c, 3), ==, 32);
    vbe_mode(&c, 1027, 768, 32, 0x40);
    g_assert_cmpuint(vbe_get(&c, 1), ==, 1024);
    g_assert_cmpuint(vbe_get(&c, 6), ==, 1024);
    g_assert_cmpuint(vbe_get(&c, 7), ==, 2048);
    vbe(&c, 9, 5000);
    g_assert_cmpuint(vbe_get(&c, 9), ==, 2048 - 768);
    vbe(&c, 6, 2048);
    g_assert_cmpuint(vbe_get(&c, 7), ==, 1024);
    g_assert_cmpuint(vbe_get(&c, 9), ==, 256);
    vbe(&c, 8, 3000);
    g_assert_cmpuint(vbe_get(&c, 8), ==, 1024);
    vbe(&c, 5, 129);
    g_assert_cmpuint(vbe_get(&c, 5), ==, 1);
    vbe_mode(&c, 16000, 12000, 7, 0);
    g_assert_cmpuint(vbe_get(&c, 3), ==, 8);
    g_assert_cmpuint(vbe_get(&c, 2), ==, 8 * MiB / 16000);
    vbe_mode(&c, 0, 0, 24, 0);
    g_assert_cmpuint(vbe_get(&c, 1), ==, 8);
    g_assert_cmpuint(vbe_get(&c, 2), ==, 1);
    console_update(c.con, false);
    assert_size(&c, 8, 1);
    card_down(&c);
}

static void test_vbe_depths(void)
{
    static const struct { unsigned bpp, bytes; uint32_t value, shown; } depths[] = {
        { 8, 1, 0x21, 0 }, { 15, 2, 0x7c1f, 0xff00ff }, { 16, 2, 0x8410, 0x848284 }, { 24, 3, 0x123456, 0x123456 },
        { 32, 4, 0xab654321, 0x654321 }
    };
    Card c;
    card_init(&c, NULL, NULL);
    set_mode(&c, &planar_640);
    for (unsigned n = 0; n < G_N_ELEMENTS(depths); n++) {
        unsigned stride = 808 * depths[n].bytes, at = LFB + 13 * stride + 101 * depths[n].bytes;
        poke(&c, LFB + 5, 0xff, 1);
        vbe_mode(&c, 800, 600, depths[n].bpp, 0x40);
        g_assert_cmphex(peek(&c, LFB + 5, 1), ==, 0); /* cleared */
        vbe(&c, 6, 808);
        for (unsigned k = 0; k < depths[n].bytes; k++)
            poke(&c, at + k, depths[n].value >> 8 * k & 0xff, 1);
        console_update(c.con, false);
        assert_size(&c, 800, 600);
        g_assert_cmphex(pixel(&c, 101, 13), ==, n ? depths[n].shown : rgb(0x21));
        g_assert_cmphex(pixel(&c, 102, 13), ==, n ? 0 : rgb(0));
        vbe(&c, 8, 1);
        vbe(&c, 9, 3);
        console_update(c.con, false);
        g_assert_cmphex(pixel(&c, 100, 10), ==, n ? depths[n].shown : rgb(0x21));
        console_update(c.con, false);
        g_assert_cmpuint(changed_lines(&c), ==, 0);
        poke(&c, LFB + 300 * stride, 1, 1);
        unsigned lines = changed_lines(&c);
        g_assert_cmpuint(lines, >, 0);
        g_assert_cmpuint(lines, <=, 4096 / stride + 2);
    }
    /* 8 bits a colour in the DAC; contents kept */
    poke(&c, LFB, 7, 1);
    vbe_mode(&c, 640, 480, 8, 0xe0);
    g_assert_cmphex(peek(&c, LFB, 1), ==, 7);
    color(&c, 7, 0xfe, 0xdc, 0xba);
    console_update(c.con, false);
    g_assert_cmphex(pixel(&c, 0, 0), ==, 0xfedcba);
    card_down(&c);
}

static void test_vbe_banks(void)
{
    Card c;
    card_init(&c, NULL, NULL);
    set_mode(&c, &chained_320);
    vbe_mode(&c, 1024, 768, 32, 0);
    for (unsigned n = 0; n < 48; n++) {
        vbe(&c, 5, n);
        poke(&c, 0xa0000 + n, 0xa0 + n, 1);
    }
    for (unsigned n = 0; n < 48; n++)
        g_assert_cmphex(peek(&c, LFB + n * 0x10001, 1), ==, 0xa0 + n);
    vbe(&c, 4, 0);
    g_assert_cmpuint(vbe_get(&c, 5), ==, 0);
    /* 16 colours in planes, 800 x 600 and more, drawn through banks */
    set_mode(&c, &planar_640);
    for (unsigned text_first = 0; text_first < 2; text_first++) {
        vbe(&c, 4, 0);
        set_mode(&c, text_first ? &text_80 : &planar_640); /* another layout of memory */
        set_mode(&c, &planar_640);
        vbe_mode(&c, 1600, 1200, 4, 0);
        for (unsigned y = 0; y < 1200; y += 399) {
            uint32_t place = y * 200 + 3;
            vbe(&c, 5, place >> 16);
            put_planes(&c, 0xa0000 + (place & 0xffff), 0xff0f3355);
        }
        console_update(c.con, false);
        assert_size(&c, 1600, 1200);
        for (unsigned y = 0; y < 1200; y += 399)
            assert_dots(&c, 22, y, "0089abcdef0");
        console_update(c.con, false);
        g_assert_cmpuint(changed_lines(&c), ==, 0);
        vbe(&c, 5, 0);
        poke(&c, 0xa0000 + 200 * 2, 0x80, 1);
        g_assert_cmpuint(changed_lines(&c), >, 0);
        assert_dots(&c, 0, 2, "f0");
    }
    card_down(&c);
}

/* ---- the other cards ---- */

/* A card beside the VGA: no legacy addresses; bochs-display has no VGA registers either, and shows VBE's modes only. */
static void test_other_cards(void)
{
    static const DeviceType *const types[] = { &secondary_vga_type, &bochs_display_type };
    for (unsigned n = 0; n < G_N_ELEMENTS(types); n++) {
        Card c;
        GError *err = NULL;
        uint32_t slot = (3 << 3) << 8, lfb = 0xd0000000, mmio = 0xe9000000;
        card_init(&c, NULL, NULL);
        set_mode(&c, &text_80);
        Device *dev = device_add(c.b.m, types[n], NULL, &err, "xres", "1920", "yres", "1080", NULL);
        g_assert_no_error(err);
        dev->type->reset(dev);
        Console *con = console_nth(c.b.m, 1);
        pci_bus_config_write(c.bus, slot | PCI_BAR0, lfb, 4);
        pci_bus_config_write(c.bus, slot | (PCI_BAR0 + 8), mmio, 4);
        pci_bus_config_write(c.bus, slot | PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY, 2);
        g_assert_cmphex(pci_bus_config_read(c.bus, slot, 4), ==, 0x11111234);
        g_assert_cmphex(pci_bus_config_read(c.bus, slot | 8, 4) >> 8, ==, 0x038000);
        g_assert_cmphex(peek(&c, mmio + 56, 1), ==, 1920 & 0xff);
        poke(&c, mmio + 0x404, 0x0f02, 2); /* the map mask */
        g_assert_cmphex(peek(&c, mmio + 0x405, 1), ==, n ? 0xff : 0x0f);
        out(&c.b, 0x3c4, 2);
        g_assert_cmphex(in(&c.b, 0x3c5), ==, 3);
        static const uint16_t mode[] = { 640, 480, 32, 0x41 };
        for (unsigned k = 0; k < 4; k++)
            poke(&c, mmio + 0x502 + 2 * k, mode[k], 2);
        peek(&c, mmio + 0x41a, 1);
        poke(&c, mmio + 0x400, 0x20, 1);
        poke(&c, lfb + 4 * 641, 0x123456, 4);
        console_update(con, false);
        g_assert_cmpuint(con->surface.width, ==, 640);
        g_assert_cmphex(con->surface.pixels[641], ==, 0x123456);
        poke(&c, mmio + 0x508, 0, 2);
        console_update(con, false);
        if (n)
            g_assert_cmphex(con->surface.pixels[641], ==, 0);
        device_remove(dev);
        card_down(&c);
    }
}

/* ---- the rest ---- */

/* A machine saved and loaded into another gives the same registers and the same picture. */
static void test_save(void)
{
    Card a, b;
    GError *err = NULL;
    card_init(&a, NULL, NULL);
    card_init(&b, NULL, NULL);
    set_mode(&a, &text_80);
    load_glyph(&a, 0, 'A', glyph_a);
    clear_text(&a);
    poke(&a, 0xb8000 + 60, 0x1e41, 2);
    out(&a.b, 0x3c8, 5);
    out(&a.b, 0x3c9, 5); /* amid a colour */
    out(&a.b, 0x3c9, 6);
    set_mode(&b, &chained_320); /* has another layout and direct window */
    for (unsigned n = 0; n < 64000; n += 8)
        poke(&b, 0xa0000 + n, 0x0102030405060708, 8);
    console_update(b.con, false);
    g_autoptr(GByteArray) saved = machine_save(a.b.m);
    g_assert_true(machine_load(b.b.m, saved->data, saved->len, &err));
    g_assert_no_error(err);
    g_autoptr(GByteArray) again = machine_save(b.b.m);
    g_assert_cmpmem(saved->data, saved->len, again->data, again->len);
    console_update(a.con, false);
    console_update(b.con, false);
    assert_size(&b, 720, 400);
    g_assert_cmpmem(a.con->surface.pixels, 720 * 400 * 4, b.con->surface.pixels, 720 * 400 * 4);
    assert_dots(&b, 270, 1, "eeeeeeee1");
    poke(&b, 0xb8000 + 60, 0x20, 1);
    g_assert_cmpuint(changed_lines(&b), ==, 16);
    out(&b.b, 0x3c9, 7);
    out(&b.b, 0x3c7, 5);
    g_assert_cmphex(in(&b.b, 0x3c9), ==, 5);

    vbe_mode(&a, 1024, 768, 32, 0x40);
    vbe(&a, 5, 7);
    poke(&a, LFB + 4, 0x00c0ffee, 4);
    g_autoptr(GByteArray) frame = machine_save(a.b.m);
    g_assert_true(machine_load(b.b.m, frame->data, frame->len, &err));
    console_update(b.con, false);
    assert_size(&b, 1024, 768);
    g_assert_cmphex(pixel(&b, 1, 0), ==, 0xc0ffee);
    poke(&b, 0xa0000, 0x5a, 1);
    g_assert_cmphex(peek(&b, LFB + 0x70000, 1), ==, 0x5a);
    card_down(&a);
    card_down(&b);
}

static void test_reset(void)
{
    Card c;
    card_init(&c, NULL, NULL);
    vbe_mode(&c, 1024, 768, 32, 0x40);
    console_update(c.con, false);
    c.dev->type->reset(c.dev);
    console_update(c.con, false);
    g_assert_cmphex(pixel(&c, 0, 0), ==, 0);
    g_assert_cmphex(vbe_get(&c, 4), ==, 0);
    g_assert_cmphex(vbe_get(&c, 0), ==, 0xb0c5);
    g_assert_cmphex(in(&c.b, 0x3cc), ==, 0);
    g_assert_cmphex(peek(&c, 0xa0000, 4), ==, 0xffffffff);
    card_down(&c);
}

/* Text mode without a BIOS, with the font found in a ROM. */
static void test_start(void)
{
    static const uint8_t face[10] = { 0x7e, 0x81, 0xa5, 0x81, 0x81, 0xbd, 0x99, 0x81, 0x81, 0x7e };
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "myna-test-vga-font.rom", NULL);
    g_autofree uint8_t *rom = g_malloc0(8192);
    GError *err = NULL;
    unsigned columns, rows;
    uint16_t cells[2000];
    Card c;
    memset(rom, 0xee, 8192);
    memset(rom + 1001, 0, 4096);
    memcpy(rom + 1001 + 18, face, sizeof face);
    rom[1001 + 'A' * 16] = 0x18;
    g_assert_true(g_file_set_contents(path, (const char *)rom, 8192, &err));
    card_init(&c, "romfile", path);
    vga_start_text(c.dev);
    poke(&c, 0xb8000, 0x4f01, 2);
    poke(&c, 0xb8002, 0x0741, 2);
    console_update(c.con, false);
    assert_size(&c, 720, 400);
    g_assert_cmphex(pixel(&c, 0, 0), ==, 0xa80000);
    g_assert_cmphex(pixel(&c, 1, 2), ==, 0xffffff);
    g_assert_cmphex(pixel(&c, 12, 0), ==, 0xa8a8a8);
    g_assert_cmphex(pixel(&c, 18, 0), ==, 0);
    g_assert_true(console_text(c.con, &columns, &rows, cells, 2000));
    g_assert_cmphex(cells[2], ==, 0x0720);
    card_down(&c);
    g_unlink(path);
}

static void test_ppm(void)
{
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "myna-test-vga.ppm", NULL), *text = NULL;
    GError *err = NULL;
    gsize size;
    Card c;
    card_init(&c, NULL, NULL);
    vbe_mode(&c, 8, 2, 32, 0x40);
    poke(&c, LFB + 4 * 9, 0x112233, 4);
    g_assert_true(console_write_ppm(c.con, path, &err));
    g_assert_true(g_file_get_contents(path, &text, &size, &err));
    g_assert_cmpuint(size, ==, 11 + 8 * 2 * 3);
    g_assert_cmpmem(text, 11, "P6\n8 2\n255\n", 11);
    g_assert_cmpmem(text + 11 + 9 * 3, 3, "\x11\x22\x33", 3);
    g_assert_false(console_write_ppm(c.con, "/nonexistent/x.ppm", &err));
    g_assert_nonnull(strstr(err->message, "/nonexistent/x.ppm"));
    g_clear_error(&err);
    card_down(&c);
    g_unlink(path);
}

/* Any registers, any accesses: nothing breaks, and a picture drawn bit by bit is the one drawn anew. */
static void test_random(void)
{
    static const uint16_t ports[] = { 0x3c0, 0x3c2, 0x3c4, 0x3c5, 0x3c6, 0x3c8, 0x3c9, 0x3ce, 0x3cf, 0x3d4, 0x3d5,
                                      0x3da };
    static const Mode *const modes[] = { &text_80, &text_40, &cga_320, &planar_640, &chained_320 };
    g_autoptr(GRand) r = g_rand_new_with_seed(20260101);
    Card c;
    card_init(&c, "vgamem_mb", "1");
    for (unsigned round = 0; round < 400; round++) {
        if (g_rand_int_range(r, 0, 3))
            set_mode(&c, modes[g_rand_int_range(r, 0, 5)]);
        for (unsigned n = g_rand_int_range(r, 0, 20); n--;)
            out(&c.b, ports[g_rand_int_range(r, 0, G_N_ELEMENTS(ports))], g_rand_int(r));
        for (unsigned n = g_rand_int_range(r, 0, 20) * !g_rand_int_range(r, 0, 3); n--;)
            vbe(&c, g_rand_int_range(r, 0, 12), g_rand_int(r) >> g_rand_int_range(r, 16, 32));
        if (g_rand_int_range(r, 0, 2))
            out(&c.b, 0x3c3, 1);
        attr(&c, 0x10, g_rand_int(r));
        console_update(c.con, false);
        for (unsigned n = 0; n < 100; n++)
            poke(&c, 0xa0000 + g_rand_int_range(r, 0, 0x20000), g_rand_int(r), 1 << g_rand_int_range(r, 0, 4));
        for (unsigned n = 0; n < 10; n++) {
            peek(&c, 0xa0000 + g_rand_int_range(r, 0, 0x20000), 4);
            poke(&c, LFB + g_rand_int_range(r, 0, MiB - 8), g_rand_int(r), 4);
        }
        assert_drawn_whole(&c);
    }
    card_down(&c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vga/pci", test_pci);
    g_test_add_func("/vga/bad-properties", test_bad_properties);
    g_test_add_func("/vga/registers", test_registers);
    g_test_add_func("/vga/timing", test_timing);
    g_test_add_func("/vga/edid", test_edid);
    g_test_add_func("/vga/ddc", test_ddc);
    g_test_add_func("/vga/write-modes", test_write_modes);
    g_test_add_func("/vga/read-mode-1", test_read_mode_1);
    g_test_add_func("/vga/window", test_window);
    g_test_add_func("/vga/addressing", test_addressing);
    g_test_add_func("/vga/text", test_text);
    g_test_add_func("/vga/text-details", test_text_details);
    g_test_add_func("/vga/text-cells", test_text_cells);
    g_test_add_func("/vga/planar", test_planar);
    g_test_add_func("/vga/chained", test_chained);
    g_test_add_func("/vga/cga", test_cga);
    g_test_add_func("/vga/vbe-registers", test_vbe_registers);
    g_test_add_func("/vga/vbe-depths", test_vbe_depths);
    g_test_add_func("/vga/vbe-banks", test_vbe_banks);
    g_test_add_func("/vga/other-cards", test_other_cards);
    g_test_add_func("/vga/save", test_save);
    g_test_add_func("/vga/reset", test_reset);
    g_test_add_func("/vga/start", test_start);
    g_test_add_func("/vga/ppm", test_ppm);
    g_test_add_func("/vga/random", test_random);
    return g_test_run();
}
