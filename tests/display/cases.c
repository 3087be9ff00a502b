/*
 * The display cases (cases.h).  This file is also part of a bare guest: no library, no floating point.
 *
 * The register tables are those of IBM's video BIOS (PS/2 Hardware Interface Technical Reference, "Mode tables"); Mode
 * X and its relatives as in M. Abrash, "Graphics Programming Black Book", chapters 47 to 49.
 */
#include "cases.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

enum { SEQUENCER = 0x3c4, GRAPHICS = 0x3ce, VBE_INDEX = 0x1ce, VBE_DATA = 0x1d0 };
enum { VBE_XRES = 1, VBE_YRES, VBE_BPP, VBE_ENABLE, VBE_BANK, VBE_VIRT_WIDTH, VBE_VIRT_HEIGHT, VBE_X_OFFSET,
       VBE_Y_OFFSET };
enum { LINE_BYTES_MAX = 4096 * 4 };

typedef struct Mode {
    uint8_t misc, seq[5], crtc[25], gfx[9], attr[21];
} Mode;

#define ATTR_EGA 0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f
#define ATTR_CGA 0, 1, 2, 3, 4, 5, 6, 7, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17
#define ATTR_SAME 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15

static const Mode mode_1 = {
    0x67, { 3, 8, 3, 0, 2 },
    { 0x2d, 0x27, 0x28, 0x90, 0x2b, 0xa0, 0xbf, 0x1f, 0, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x14, 0x1f,
      0x96, 0xb9, 0xa3, 0xff },
    { 0, 0, 0, 0, 0, 0x10, 0x0e, 0x0f, 0xff }, { ATTR_EGA, 0x0c, 0, 15, 8, 0 }
};
static const Mode mode_3 = {
    0x67, { 3, 0, 3, 0, 2 },
    { 0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28, 0x1f,
      0x96, 0xb9, 0xa3, 0xff },
    { 0, 0, 0, 0, 0, 0x10, 0x0e, 0x0f, 0xff }, { ATTR_EGA, 0x0c, 0, 15, 8, 0 }
};
static const Mode mode_4 = {
    0x63, { 3, 9, 3, 0, 2 },
    { 0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0, 0xc1, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x14, 0, 0x96,
      0xb9, 0xa2, 0xff },
    { 0, 0, 0, 0, 0, 0x30, 0x0f, 0x0f, 0xff },
    { 0, 0x13, 0x15, 0x17, 2, 4, 6, 7, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 1, 0, 3, 0, 0 }
};
static const Mode mode_6 = {
    0x63, { 3, 1, 1, 0, 6 },
    { 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, 0xc1, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28, 0, 0x96,
      0xb9, 0xc2, 0xff },
    { 0, 0, 0, 0, 0, 0, 0x0d, 0x0f, 0xff },
    { 0, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 1, 0, 1, 0, 0 }
};
static const Mode mode_7 = {
    0x66, { 3, 0, 3, 0, 2 },
    { 0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28, 0x0d,
      0x96, 0xb9, 0xa3, 0xff },
    { 0, 0, 0, 0, 0, 0x10, 0x0a, 0x0f, 0xff },
    { 0, 8, 8, 8, 8, 8, 8, 8, 0x10, 0x18, 0x18, 0x18, 0x18, 0x18, 0x18, 0x18, 0x0e, 0, 15, 8, 0 }
};
static const Mode mode_d = {
    0x63, { 3, 9, 15, 0, 6 },
    { 0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x14, 0, 0x96,
      0xb9, 0xe3, 0xff },
    { 0, 0, 0, 0, 0, 0, 5, 0x0f, 0xff }, { ATTR_CGA, 1, 0, 15, 0, 0 }
};
static const Mode mode_e = {
    0x63, { 3, 1, 15, 0, 6 },
    { 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28, 0, 0x96,
      0xb9, 0xe3, 0xff },
    { 0, 0, 0, 0, 0, 0, 5, 0x0f, 0xff }, { ATTR_CGA, 1, 0, 15, 0, 0 }
};
static const Mode mode_f = {
    0xa2, { 3, 1, 15, 0, 6 },
    { 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, 0x40, 0, 0, 0, 0, 0, 0, 0x83, 0x85, 0x5d, 0x28, 0x0f, 0x63,
      0xba, 0xe3, 0xff },
    { 0, 0, 0, 0, 0, 0, 5, 5, 0xff },
    { 0, 8, 0, 0, 0x18, 0x18, 0, 0, 0, 8, 0, 0, 0, 0x18, 0, 0, 0x0b, 0, 5, 0, 0 }
};
static const Mode mode_10 = {
    0xa3, { 3, 1, 15, 0, 6 },
    { 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, 0x40, 0, 0, 0, 0, 0, 0, 0x83, 0x85, 0x5d, 0x28, 0x0f, 0x63,
      0xba, 0xe3, 0xff },
    { 0, 0, 0, 0, 0, 0, 5, 0x0f, 0xff }, { ATTR_EGA, 1, 0, 15, 0, 0 }
};
static const Mode mode_11 = {
    0xe3, { 3, 1, 15, 0, 6 },
    { 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0, 0x40, 0, 0, 0, 0, 0, 0, 0xea, 0x8c, 0xdf, 0x28, 0, 0xe7,
      0x04, 0xc3, 0xff },
    { 0, 0, 0, 0, 0, 0, 5, 1, 0xff },
    { 0, 0x3f, 0, 0x3f, 0, 0x3f, 0, 0x3f, 0, 0x3f, 0, 0x3f, 0, 0x3f, 0, 0x3f, 1, 0, 15, 0, 0 }
};
static const Mode mode_12 = {
    0xe3, { 3, 1, 15, 0, 6 },
    { 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0, 0x40, 0, 0, 0, 0, 0, 0, 0xea, 0x8c, 0xdf, 0x28, 0, 0xe7,
      0x04, 0xe3, 0xff },
    { 0, 0, 0, 0, 0, 0, 5, 0x0f, 0xff }, { ATTR_EGA, 1, 0, 15, 0, 0 }
};
static const Mode mode_13 = {
    0x63, { 3, 1, 15, 0, 14 },
    { 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, 0x41, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28, 0x40, 0x96,
      0xb9, 0xa3, 0xff },
    { 0, 0, 0, 0, 0, 0x40, 5, 0x0f, 0xff }, { ATTR_SAME, 0x41, 0, 15, 0, 0 }
};

/* ---- registers ---- */

static void out(Bus *b, unsigned port, uint8_t v) { bus_out(b, port, v, 1); }

static void index_out(Bus *b, unsigned port, uint8_t n, uint8_t v) { bus_out(b, port, v << 8 | n, 2); }

static void seq(Bus *b, uint8_t n, uint8_t v) { index_out(b, SEQUENCER, n, v); }
static void gfx(Bus *b, uint8_t n, uint8_t v) { index_out(b, GRAPHICS, n, v); }

/* Where the CRTC and input status 1 are. */
static unsigned crtc_base(Bus *b) { return bus_in(b, 0x3cc, 1) & 1 ? 0x3d0 : 0x3b0; }

static void crtc(Bus *b, uint8_t n, uint8_t v) { index_out(b, crtc_base(b) + 4, n, v); }

static void attr(Bus *b, uint8_t n, uint8_t v)
{
    bus_in(b, crtc_base(b) + 10, 1);
    out(b, 0x3c0, n);
    out(b, 0x3c0, v);
    out(b, 0x3c0, 0x20);
}

static void vbe(Bus *b, unsigned n, uint16_t v)
{
    bus_out(b, VBE_INDEX, n, 2);
    bus_out(b, VBE_DATA, v, 2);
}

/* Something that looks like chance: 32 bits of a number. */
static uint32_t mix(uint32_t n)
{
    n = (n ^ n >> 16) * 0x7feb352d;
    n = (n ^ n >> 15) * 0x846ca68b;
    return n ^ n >> 16;
}

static void palette_set(Bus *b)
{
    out(b, 0x3c6, 0xff);
    out(b, 0x3c8, 0);
    for (unsigned n = 0; n < 256; n++) {
        out(b, 0x3c9, n * 37 & 63);
        out(b, 0x3c9, (n * 11 + 5) & 63);
        out(b, 0x3c9, n >> 2);
    }
}

static void mode_registers(Bus *b, const Mode *m)
{
    vbe(b, VBE_ENABLE, 0);
    out(b, 0x3c2, m->misc);
    for (unsigned n = 0; n < LENGTH(m->seq); n++)
        seq(b, n, m->seq[n]);
    crtc(b, 0x11, 0);
    for (unsigned n = 0; n < LENGTH(m->crtc); n++)
        crtc(b, n, m->crtc[n]);
    crtc(b, 0x11, m->crtc[0x11] & 0x7f); /* not protected: cases change the others */
    for (unsigned n = 0; n < LENGTH(m->gfx); n++)
        gfx(b, n, m->gfx[n]);
    for (unsigned n = 0; n < LENGTH(m->attr); n++)
        attr(b, n, m->attr[n]);
}

/* All planes empty, by planar writes. */
static void planes_clear(Bus *b)
{
    mode_registers(b, &mode_12);
    for (uint32_t at = 0; at < 0x10000; at += 4)
        bus_write(b, 0xa0000 + at, 0, 4);
}

static void mode_set(Bus *b, const Mode *m)
{
    planes_clear(b);
    mode_registers(b, m);
    palette_set(b);
}

/* ---- text ---- */

enum { FONT_PLACES = 0x2000 };

/* A font whose every row of every character differs; seed tells fonts apart. */
static void font_load(Bus *b, const Mode *m, unsigned place, uint32_t seed)
{
    seq(b, 2, 4);
    seq(b, 4, 6);
    gfx(b, 5, 0);
    gfx(b, 6, 4);
    for (uint32_t n = 0; n < FONT_PLACES; n += 4)
        bus_write(b, 0xa0000 + place + n, mix(seed * FONT_PLACES + n), 4);
    seq(b, 2, m->seq[2]);
    seq(b, 4, m->seq[4]);
    gfx(b, 5, m->gfx[5]);
    gfx(b, 6, m->gfx[6]);
}

static uint32_t text_base(const Mode *m) { return m->misc & 1 ? 0xb8000 : 0xb0000; }

static void cells_fill(Bus *b, const Mode *m, uint32_t seed)
{
    for (uint32_t n = 0; n < 0x8000; n += 4)
        bus_write(b, text_base(m) + n, mix(seed << 16 ^ n), 4);
}

/* Text of any mode, cursor at row 3; every cell, attribute and dot of a glyph is different. */
static void text_show(Bus *b, const Mode *m)
{
    mode_set(b, m);
    font_load(b, m, 0, 1);
    cells_fill(b, m, 7);
    crtc(b, 0x0f, 3 * 2 * m->crtc[0x13] + 5);
}

static Mode text_lines(const Mode *base, unsigned lines, unsigned height)
{
    Mode m = *base;
    m.crtc[9] = 0x40 | (height - 1);
    m.crtc[0x0a] = height - 2;
    m.crtc[0x0b] = height - 1;
    if (lines == 200)
        m.crtc[9] |= 0x80;
    if (lines == 350) {
        m.misc = (m.misc & 0x3f) | 0x80;
        m.crtc[0x10] = 0x83;
        m.crtc[0x11] = 0x85;
        m.crtc[0x12] = 0x5d;
        m.crtc[0x15] = 0x63;
        m.crtc[0x16] = 0xba;
    }
    return m;
}

/* BIOS modes 0 to 3 with 200, 350 and 400 lines, and 80 x 50. */
static void text_bios(Bus *b, unsigned n)
{
    static const struct { const Mode *base; unsigned lines, height; } modes[] = {
        { &mode_1, 200, 8 }, { &mode_1, 350, 14 }, { &mode_1, 400, 16 }, { &mode_3, 200, 8 }, { &mode_3, 350, 14 },
        { &mode_3, 400, 16 }, { &mode_3, 400, 8 }, { &mode_3, 350, 8 },
    };
    Mode m = text_lines(modes[n].base, modes[n].lines, modes[n].height);
    text_show(b, &m);
}

static void text_mono(Bus *b, unsigned n)
{
    Mode m = text_lines(&mode_7, n ? 350 : 400, n ? 14 : 16);
    text_show(b, &m);
}

/* 132 columns of eight dots: 25, 43 (of 350 lines) and 60 (of 480 lines) rows. */
static void text_132(Bus *b, unsigned n)
{
    Mode m = n == 1 ? text_lines(&mode_3, 350, 8) : n == 2 ? text_lines(&mode_3, 400, 8) : mode_3;
    static const uint8_t horizontal[6] = { 0xa0, 0x83, 0x84, 0x83, 0x8a, 0x9e };
    for (unsigned k = 0; k < 6; k++)
        m.crtc[k] = horizontal[k];
    m.seq[1] = 1;
    m.crtc[0x13] = 66;
    m.attr[0x13] = 0;
    if (n == 2) {
        m.misc = 0xe7;
        m.crtc[6] = 0x0b;
        m.crtc[7] = 0x3e;
        m.crtc[0x10] = 0xea;
        m.crtc[0x11] = 0x0c;
        m.crtc[0x12] = 0xdf;
    }
    text_show(b, &m);
}

static void text_8_dots(Bus *b, unsigned n)
{
    Mode m = n ? mode_1 : mode_3;
    m.misc = 0x63;
    m.seq[1] |= 1;
    m.attr[0x13] = 0;
    text_show(b, &m);
}

/* Characters 192 to 223 without the ninth dot of lines; blinking off: 16 backgrounds. */
static void text_attributes(Bus *b, unsigned n)
{
    Mode m = mode_3;
    m.attr[0x10] = n << 2;
    text_show(b, &m);
}

static void text_cursor(Bus *b, unsigned n)
{
    static const uint8_t shapes[][2] = {
        { 0, 15 }, { 7, 7 }, { 13, 14 }, { 0x2d, 14 }, { 14, 3 }, { 4, 31 }, { 20, 25 }, { 13, 0x2e }, { 13, 0x6e }
    };
    text_show(b, &mode_3);
    crtc(b, 0x0a, shapes[n][0]);
    crtc(b, 0x0b, shapes[n][1]);
}

/* The cursor's place counts from the memory's start, not the screen's. */
static void text_cursor_place(Bus *b, unsigned n)
{
    static const uint16_t places[] = { 0, 79, 1999, 2000, 0x1234, 80 * 24 };
    text_show(b, &mode_3);
    crtc(b, 0x0e, places[n] >> 8);
    crtc(b, 0x0f, places[n]);
}

static void text_underline(Bus *b, unsigned n)
{
    static const uint8_t lines[] = { 0, 7, 15, 0x1f };
    text_show(b, &mode_3);
    crtc(b, 0x14, lines[n]);
}

/* Two fonts of the eight places, by sequencer register 3. */
static void text_fonts(Bus *b, unsigned n)
{
    static const uint16_t places[8] = { 0, 0x4000, 0x8000, 0xc000, 0x2000, 0x6000, 0xa000, 0xe000 };
    unsigned first = n & 7, second = (n * 3 + 5) & 7;
    text_show(b, &mode_3);
    font_load(b, &mode_3, places[first], 20 + first);
    font_load(b, &mode_3, places[second], 20 + second);
    seq(b, 3, (first & 3) | (first & 4) << 2 | (second & 3) << 2 | (second & 4) << 3);
}

static void text_pan_9(Bus *b, unsigned n)
{
    text_show(b, &mode_3);
    attr(b, 0x13, n);
}

static void text_pan_8(Bus *b, unsigned n)
{
    text_8_dots(b, 0);
    attr(b, 0x13, n);
}

/* Smooth scrolling: by lines, and by characters (byte panning). */
static void text_scroll(Bus *b, unsigned n)
{
    text_show(b, &mode_3);
    crtc(b, 8, n < 4 ? n * 5 : (n - 3) << 5 | 3);
}

static void text_start(Bus *b, unsigned n)
{
    static const uint16_t starts[] = { 1, 80, 2000, 0x1ff0, 0x3fa0, 0xff80 };
    text_show(b, &mode_3);
    crtc(b, 0x0c, starts[n] >> 8);
    crtc(b, 0x0d, starts[n]);
}

static void text_offset(Bus *b, unsigned n)
{
    static const uint8_t offsets[] = { 0, 20, 41, 64, 0xff };
    text_show(b, &mode_3);
    crtc(b, 0x13, offsets[n]);
}

static void split_at(Bus *b, unsigned line, const Mode *m)
{
    crtc(b, 0x18, line);
    crtc(b, 7, (m->crtc[7] & ~0x10) | (line >> 8 & 1) << 4);
    crtc(b, 9, (m->crtc[9] & ~0x40) | (line >> 9 & 1) << 6);
}

/* A split screen in all that the upper part may have moved: start, lines, dots, bytes. */
static void text_split(Bus *b, unsigned n)
{
    static const uint16_t lines[] = { 0, 99, 200, 255, 256, 397 };
    text_show(b, &mode_3);
    crtc(b, 0x0d, 35);
    crtc(b, 8, n % 3 == 1 ? 0x27 : n % 3 * 3);
    attr(b, 0x10, n & 1 ? 0x2c : 0x0c);
    attr(b, 0x13, n);
    split_at(b, lines[n], &mode_3);
}

/* ---- colours ---- */

/* 16 colours by blinking off; palette registers, colour select in both ways, plane enable, mask, 8 bits in the DAC. */
static void text_colors(Bus *b, unsigned n)
{
    text_show(b, &mode_3);
    switch (n) {
    case 0: case 1: case 2: case 3:
        attr(b, 0x14, n * 5);
        break;
    case 4: case 5: case 6: case 7:
        attr(b, 0x10, 0x8c);
        attr(b, 0x14, n * 7 & 15);
        break;
    case 8: attr(b, 0x12, 5); break;
    case 9: attr(b, 0x12, 10); break;
    case 10: out(b, 0x3c6, 0x15); break;
    default:
        for (unsigned k = 0; k < 16; k++)
            attr(b, k, 63 - 3 * k);
        break;
    }
}

/* What is around the picture is not in it. */
static void text_overscan(Bus *b, unsigned n)
{
    text_show(b, &mode_3);
    attr(b, 0x11, 9 + n);
}

/* Off by the sequencer: black; without the palette (attribute controller's index): the border's colour. */
static void text_off(Bus *b, unsigned n)
{
    text_show(b, &mode_3);
    attr(b, 0x11, 0x2a);
    if (n == 0)
        seq(b, 1, 0x20);
    bus_in(b, 0x3da, 1);
    if (n)
        out(b, 0x3c0, 0);
}

/* ---- graphics ---- */

static void plane_bytes(Bus *b, uint32_t window, uint32_t size, uint32_t seed)
{
    for (uint32_t n = 0; n < size; n += 4)
        bus_write(b, window + n, mix(seed << 20 ^ n), 4);
}

/* Every place of each plane differs. */
static void planes_fill(Bus *b, uint32_t seed)
{
    for (unsigned p = 0; p < 4; p++) {
        seq(b, 2, 1 << p);
        plane_bytes(b, 0xa0000, 0x10000, seed + p);
    }
    seq(b, 2, 15);
}

static void planar_show(Bus *b, const Mode *m)
{
    mode_set(b, m);
    planes_fill(b, 30);
}

static void cga_show(Bus *b, unsigned n)
{
    static const Mode *const modes[] = { &mode_4, &mode_6 };
    mode_set(b, modes[n]);
    plane_bytes(b, 0xb8000, 0x8000, 40 + n);
}

static void planar_bios(Bus *b, unsigned n)
{
    static const Mode *const modes[] = { &mode_d, &mode_e, &mode_f, &mode_10, &mode_11, &mode_12 };
    planar_show(b, modes[n]);
}

static void chain4_show(Bus *b, unsigned n)
{
    mode_set(b, &mode_13);
    plane_bytes(b, 0xa0000, 0x10000, 50 + n);
    if (n == 1)
        out(b, 0x3c6, 0x3c);
    if (n == 2)
        attr(b, 0x14, 5); /* colour select is not for 256 colours */
    if (n == 3) {
        crtc(b, 0x0c, 0x12);
        crtc(b, 0x0d, 0x34);
    }
}

/* 320 x 200, x 240, x 400, 360 x 480, 320 x 480, 256 x 256, 400 x 300 dots of 256 colours in planes. */
static void mode_x(Bus *b, unsigned n)
{
    Mode m = mode_13;
    m.seq[4] = 6;
    m.crtc[0x14] = 0;
    m.crtc[0x17] = 0xe3;
    if (n == 2)
        m.crtc[9] = 0x40;
    if (n == 1 || n == 3 || n == 4 || n == 5) {
        m.misc = 0xe3;
        m.crtc[6] = 0x0d;
        m.crtc[7] = 0x3e;
        m.crtc[9] = n == 1 ? 0x41 : 0x40;
        m.crtc[0x10] = 0xea;
        m.crtc[0x11] = 0x0c;
        m.crtc[0x12] = 0xdf;
        m.crtc[0x15] = 0xe7;
        m.crtc[0x16] = 0x06;
    }
    if (n == 3) {
        static const uint8_t wide[6] = { 0x6b, 0x59, 0x5a, 0x8e, 0x5e, 0x8a };
        for (unsigned k = 0; k < 6; k++)
            m.crtc[k] = wide[k];
        m.misc = 0xe7;
        m.crtc[0x13] = 0x2d;
    }
    if (n == 5) {
        m.crtc[1] = 0x3f;
        m.crtc[9] = 0x41;
        m.crtc[0x12] = 0xff;
        m.crtc[7] = 0x3a;
        m.crtc[6] = 0x23;
        m.crtc[0x13] = 0x20;
    }
    planar_show(b, &m);
}

static Mode mode_x_plain(void)
{
    Mode m = mode_13;
    m.seq[4] = 6;
    m.crtc[0x14] = 0;
    m.crtc[0x17] = 0xe3;
    return m;
}

static void graphics_pan(Bus *b, unsigned n)
{
    planar_show(b, &mode_12);
    attr(b, 0x13, n);
}

static void graphics_pan_half(Bus *b, unsigned n)
{
    planar_show(b, &mode_d);
    attr(b, 0x13, n * 3);
}

static void graphics_pan_256(Bus *b, unsigned n)
{
    Mode m = mode_x_plain();
    planar_show(b, &m);
    attr(b, 0x13, n * 2);
}

static void graphics_start(Bus *b, unsigned n)
{
    static const uint16_t starts[] = { 1, 80, 0x4000, 0x8123, 0xfff0 };
    planar_show(b, &mode_12);
    crtc(b, 0x0c, starts[n] >> 8);
    crtc(b, 0x0d, starts[n]);
}

static void graphics_offset(Bus *b, unsigned n)
{
    static const uint8_t offsets[] = { 0, 30, 50, 0x80 };
    planar_show(b, &mode_e);
    crtc(b, 0x13, offsets[n]);
}

static void graphics_split(Bus *b, unsigned n)
{
    Mode x = mode_x_plain();
    const Mode *m = n < 3 ? &mode_12 : n < 6 ? &mode_d : &x;
    static const uint16_t lines[] = { 100, 300, 477 };
    planar_show(b, m);
    crtc(b, 0x0c, 0x20);
    attr(b, 0x13, n % 3 * 2);
    attr(b, 0x10, m->attr[0x10] | (n & 1 ? 0x20 : 0));
    crtc(b, 8, n % 3 == 2 ? 0x40 : 0);
    split_at(b, lines[n % 3], m);
}

/* Each of a row's lines once, twice (either way), four times, and so on. */
static void graphics_lines(Bus *b, unsigned n)
{
    static const uint8_t scans[] = { 0x40, 0x41, 0xc0, 0xc1, 0x43, 0x4f, 0x5f };
    planar_show(b, &mode_12);
    crtc(b, 9, scans[n]);
}

/* Lines counted by two (mode control, bit 2). */
static void graphics_lines_by_2(Bus *b, unsigned n)
{
    planar_show(b, &mode_e);
    crtc(b, 0x17, n ? 0xe7 : 0xa7);
    crtc(b, 0x12, 0x63);
    crtc(b, 7, 0x1d);
}

/* How addresses are made: bytes, words, double words, wrap, rows in bits 13 and 14, counting by 2 and 4. */
static void graphics_address(Bus *b, unsigned n)
{
    static const uint8_t modes[][2] = {
        { 0xe3, 0 }, { 0xa3, 0 }, { 0x83, 0 }, { 0xa3, 0x40 }, { 0xe2, 0 }, { 0xe1, 0 }, { 0xe0, 0 }, { 0xa0, 0 },
        { 0xeb, 0 }, { 0xe3, 0x20 }, { 0xa3, 0x60 }, { 0xab, 0 }, { 0x88, 0x40 },
    };
    planar_show(b, &mode_12);
    crtc(b, 9, 0x43);
    crtc(b, 0x0c, 0x31);
    crtc(b, 0x17, modes[n][0]);
    crtc(b, 0x14, modes[n][1]);
}

/* 720 x 348 as on a Hercules card: four interleaved quarters. */
static void hercules(Bus *b, unsigned n)
{
    Mode m = mode_f;
    (void)n;
    m.gfx[6] = 0x09;
    m.attr[0x12] = 1;
    m.crtc[1] = 89;
    m.crtc[0x13] = 45;
    m.crtc[9] = 0x43;
    m.crtc[0x12] = 0x5b;
    m.crtc[0x17] = 0xe0;
    mode_set(b, &m);
    seq(b, 2, 1);
    plane_bytes(b, 0xb0000, 0x8000, 61);
}

/* The shift register's ways to make dots of four planes. */
static void graphics_shift(Bus *b, unsigned n)
{
    planar_show(b, n & 1 ? &mode_12 : &mode_d);
    gfx(b, 5, n < 2 ? 0 : n < 4 ? 0x20 : 0x40);
}

static void graphics_colors(Bus *b, unsigned n)
{
    planar_show(b, &mode_12);
    attr(b, 0x12, n < 4 ? 1 << n : 15);
    if (n == 4) {
        attr(b, 0x10, 0x81);
        attr(b, 0x14, 0x0e);
    } else if (n == 5) {
        attr(b, 0x14, 0x0b);
    }
}

/* ---- ways into memory ---- */

/* Strips of the screen drawn through all that stands between processor and planes; reads load the latches. */
static void strips_draw(Bus *b, unsigned mode, uint32_t seed)
{
    for (unsigned strip = 0; strip < 32; strip++) {
        uint32_t r = mix(seed * 32 + strip);
        gfx(b, 0, r);
        gfx(b, 1, r >> 4);
        gfx(b, 3, r >> 8 & 0x1f);
        gfx(b, 8, strip & 1 ? 0xff : r >> 16);
        gfx(b, 5, mode);
        seq(b, 2, strip & 2 ? 15 : r >> 24);
        for (uint32_t at = strip * 15 * 80; at < (strip + 1) * 15 * 80; at++) {
            bus_read(b, 0xa0000 + (mix(at) & 0x7fff), 1);
            bus_write(b, 0xa0000 + at, mix(at + seed) >> 7 & 0xff, 1);
        }
    }
    seq(b, 2, 15);
}

static void write_modes(Bus *b, unsigned n)
{
    planar_show(b, &mode_12);
    strips_draw(b, n & 3, 70 + n);
}

/* Larger writes are bytes one after the other. */
static void write_sizes(Bus *b, unsigned n)
{
    planar_show(b, &mode_12);
    gfx(b, 3, 0x18 | n);
    gfx(b, 8, 0x5a);
    bus_read(b, 0xa0000 + 1234 * n, 1); /* loads the latches */
    for (uint32_t at = 0; at < 0x9600; at += 7)
        bus_write(b, 0xa0000 + at, mix(at), at & 1 ? 2 : 4);
}

/* What is read, in both modes, is drawn. */
static void read_modes(Bus *b, unsigned n)
{
    planar_show(b, &mode_12);
    for (uint32_t at = 0; at < 0x4b00; at++) {
        if (at % 80 == 0) {
            gfx(b, 2, at / 80);
            gfx(b, 7, at / 80 >> 2);
            gfx(b, 4, at / 160);
        }
        gfx(b, 5, n ? 8 : 0);
        uint32_t value = bus_read(b, 0xa0000 + at, n == 2 ? 4 : 1);
        gfx(b, 5, 0);
        bus_write(b, 0xa4b00 + at, value & 0xff, 1);
    }
}

/* Odd/even addressing through each memory map; chain-4 with planes left out; what lies where is seen planar. */
static void addressing(Bus *b, unsigned n)
{
    static const struct { uint8_t memory, mode, map; uint32_t window, size; } ways[] = {
        { 2, 0x10, 5, 0xa0000, 0x10000 }, { 2, 0x10, 9, 0xb0000, 0x8000 }, { 2, 0x10, 13, 0xb8000, 0x8000 },
        { 14, 0x40, 5, 0xa0000, 0x10000 }, { 14, 0x40, 13, 0xb8000, 0x8000 }, { 6, 0, 9, 0xb0000, 0x8000 },
    };
    static const uint8_t masks[] = { 15, 5, 3, 9 };
    mode_set(b, &mode_12);
    for (unsigned k = 0; k < LENGTH(masks); k++) {
        seq(b, 4, ways[n].memory);
        gfx(b, 5, ways[n].mode & 0x1f);
        gfx(b, 6, ways[n].map);
        seq(b, 2, masks[k]);
        for (uint32_t at = ways[n].size / 4 * k; at < ways[n].size / 4 * (k + 1); at += 4)
            bus_write(b, ways[n].window + at, mix(at + n), 4);
    }
    mode_registers(b, &mode_12);
}

/* Memory stays what it is from mode to mode: text, seen as planes; planes, seen as mode 13h, and back. */
static void mode_changes(Bus *b, unsigned n)
{
    Mode x = mode_x_plain();
    const Mode *const first[] = { &mode_3, &mode_13, &mode_3, &mode_4, &x, &mode_13 };
    const Mode *const second[] = { &mode_12, &mode_12, &mode_13, &x, &mode_3, &mode_3 };
    if (n == 0 || n == 2) {
        text_show(b, &mode_3);
    } else {
        mode_set(b, first[n]);
        if (n == 4)
            planes_fill(b, 80);
        else
            plane_bytes(b, n == 3 ? 0xb8000 : 0xa0000, n == 3 ? 0x8000 : 0x10000, 90 + n);
    }
    mode_registers(b, second[n]);
    crtc(b, 0x0a, 0x20);
}

/* ---- chance ---- */

/* Any of the registers that a picture hangs on, within what the CRTC can do. */
static void random_text(Bus *b, unsigned n)
{
    uint32_t r = mix(1000 + n), q = mix(2000 + n), p = mix(3000 + n);
    Mode m = mode_3;
    m.seq[1] = (r & 1) | (n % 5 == 0 ? 8 : 0);
    m.crtc[9] = (m.crtc[9] & 0x40) | (r >> 3 & 31) | (r >> 8 & 1) << 7;
    m.crtc[1] = 19 + (r >> 10) % 80;
    m.crtc[8] = (r >> 17) % ((m.crtc[9] & 31) + 1u) | (r >> 24 & 3) << 5;
    m.crtc[0x0a] = q & 0x1f;
    m.crtc[0x0b] = q >> 6 & 0x7f;
    m.crtc[0x0c] = q >> 13;
    m.crtc[0x0d] = q >> 21;
    m.crtc[0x13] = p;
    m.crtc[0x14] = (p >> 8 & 0x1f) | (p >> 13 & 3) << 5;
    m.crtc[0x17] = 0x80 | (p >> 15 & 0x6f);
    m.crtc[0x18] = p >> 23;
    m.attr[0x10] = (r >> 26 & 3) << 2 | (q >> 5 & 1) << 5 | (q & 1) << 7;
    m.attr[0x12] = n & 1 ? 15 : p >> 8;
    m.attr[0x13] = p >> 4 & 15;
    m.attr[0x14] = q >> 17 & 15;
    m.crtc[7] = (m.crtc[7] & ~0x10) | (p & 0x10);
    m.crtc[9] &= 0xbf;
    text_show(b, &m);
    seq(b, 3, r >> 9 & 0x3f);
    crtc(b, 0x0e, m.crtc[0x0c]);
    crtc(b, 0x0f, m.crtc[0x0d] + 57);
}

static void random_graphics(Bus *b, unsigned n)
{
    uint32_t r = mix(4000 + n), q = mix(5000 + n), p = mix(6000 + n);
    Mode m = n & 1 ? mode_12 : mode_d;
    m.seq[1] = 1 | (n % 5 == 0 ? 8 : 0);
    m.crtc[9] = (r >> 3 & 31) | (r >> 8 & 1) << 7;
    m.crtc[1] = 19 + (r >> 10) % 80;
    m.crtc[8] = (r >> 17) % ((m.crtc[9] & 31) + 1u) | (r >> 24 & 3) << 5;
    m.crtc[0x0c] = q >> 13;
    m.crtc[0x0d] = q >> 21;
    m.crtc[0x13] = p;
    m.crtc[0x14] = (p >> 13 & 3) << 5;
    m.crtc[0x17] = 0x80 | (p >> 15 & 0x6f);
    m.crtc[0x18] = p >> 23;
    m.crtc[7] = (m.crtc[7] & ~0x10) | (p & 0x10);
    m.gfx[5] = n % 3 << 5;
    m.attr[0x10] = 1 | (q >> 5 & 1) << 5 | (q & 1) << 7;
    m.attr[0x12] = n & 2 ? 15 : p >> 8;
    m.attr[0x13] = p >> 4 & 15;
    m.attr[0x14] = q >> 17 & 15;
    planar_show(b, &mode_12);
    mode_registers(b, &m);
}

/* ---- VBE ---- */

static void vbe_set(Bus *b, unsigned width, unsigned height, unsigned bpp, unsigned flags)
{
    mode_registers(b, bpp == 4 ? &mode_12 : &mode_13);
    palette_set(b);
    vbe(b, VBE_XRES, width);
    vbe(b, VBE_YRES, height);
    vbe(b, VBE_BPP, bpp);
    vbe(b, VBE_ENABLE, 0x41 | flags);
    bus_in(b, 0x3da, 1);
    out(b, 0x3c0, 0x20);
}

static unsigned pixel_bytes(unsigned bpp) { return (bpp + 7) / 8; }

/* A line of bytes: chance in some, counting in the others, so that every pixel differs from its neighbours. */
static void line_make(uint8_t *line, unsigned bytes, uint32_t y)
{
    uint32_t start = mix(y);
    for (unsigned n = 0; n < bytes; n++)
        line[n] = (start >> (n & 3) * 8) + n * 5 + (n >> 6);
}

static void frame_fill(Bus *b, unsigned line_bytes, unsigned lines)
{
    uint8_t line[LINE_BYTES_MAX];
    for (uint32_t y = 0; y < lines; y++) {
        line_make(line, line_bytes, y);
        bus_write_frame(b, y * line_bytes, line, line_bytes);
    }
}

static const uint8_t vbe_depths[] = { 8, 15, 16, 24, 32 };
static const uint16_t vbe_sizes[][2] = {
    { 320, 200 }, { 640, 400 }, { 640, 480 }, { 800, 600 }, { 1024, 768 }, { 1152, 864 }, { 1280, 800 },
    { 1280, 1024 }, { 1440, 900 }, { 1600, 1200 }, { 1920, 1080 }, { 2560, 1600 }, { 3840, 2160 },
};

static void vbe_linear(Bus *b, unsigned n)
{
    const uint16_t *size = vbe_sizes[n / LENGTH(vbe_depths)];
    unsigned bpp = vbe_depths[n % LENGTH(vbe_depths)];
    vbe_set(b, size[0], size[1], bpp, 0);
    frame_fill(b, size[0] * pixel_bytes(bpp), size[1]);
}

/* Through the window of 64 KiB. */
static void vbe_banked(Bus *b, unsigned n)
{
    static const struct { uint16_t width, height; uint8_t bpp; } modes[] = {
        { 640, 480, 8 }, { 800, 600, 15 }, { 640, 480, 16 }, { 640, 480, 24 }, { 800, 600, 32 }, { 1024, 768, 8 },
    };
    unsigned width = modes[n].width, height = modes[n].height, bytes = pixel_bytes(modes[n].bpp);
    vbe_set(b, width, height, modes[n].bpp, 0);
    for (uint32_t at = 0; at < width * height * bytes; at += 4) {
        if (!(at & 0xffff))
            vbe(b, VBE_BANK, at >> 16);
        bus_write(b, 0xa0000 + (at & 0xffff), mix(at + n), 4);
    }
}

/* A line longer than the screen is wide, and the screen somewhere in it. */
static void vbe_virtual(Bus *b, unsigned n)
{
    static const struct { uint16_t width, virt, x, y; uint8_t bpp; } modes[] = {
        { 640, 800, 0, 0, 8 }, { 640, 808, 1, 3, 8 }, { 800, 1600, 137, 211, 16 }, { 640, 1024, 384, 7, 24 },
        { 1024, 2048, 1024, 100, 32 }, { 640, 648, 8, 1, 15 }, { 640, 640, 0, 480, 32 },
    };
    vbe_set(b, modes[n].width, 480, modes[n].bpp, 0);
    vbe(b, VBE_VIRT_WIDTH, modes[n].virt);
    frame_fill(b, modes[n].virt * pixel_bytes(modes[n].bpp), 480 + modes[n].y);
    vbe(b, VBE_X_OFFSET, modes[n].x);
    vbe(b, VBE_Y_OFFSET, modes[n].y);
}

/* 16 colours in planes, 64 Ki places a bank. */
static void vbe_planes(Bus *b, unsigned n)
{
    static const uint16_t sizes[][3] = {
        { 640, 480, 640 }, { 800, 600, 800 }, { 1024, 768, 1024 }, { 1280, 1024, 1280 }, { 800, 600, 1024 }
    };
    vbe_set(b, sizes[n][0], sizes[n][1], 4, 0);
    vbe(b, VBE_VIRT_WIDTH, sizes[n][2]);
    uint32_t places = sizes[n][2] / 8 * sizes[n][1];
    for (uint32_t at = 0; at < places; at += 4) {
        if (!(at & 0xffff))
            vbe(b, VBE_BANK, at >> 16);
        for (unsigned p = 0; p < 4; p++) {
            seq(b, 2, 1 << p);
            bus_write(b, 0xa0000 + (at & 0xffff), mix(at * 4 + p), 4);
        }
    }
    if (n == 4)
        vbe(b, VBE_X_OFFSET, 96);
}

/* 8 bits a colour in the DAC; memory kept at the change of the mode. */
static void vbe_dac_8(Bus *b, unsigned n)
{
    (void)n;
    vbe_set(b, 640, 480, 8, 0x20);
    out(b, 0x3c8, 0);
    for (unsigned k = 0; k < 768; k++)
        out(b, 0x3c9, mix(k));
    frame_fill(b, 640, 480);
    vbe(b, VBE_ENABLE, 0x20);
    vbe(b, VBE_ENABLE, 0xe1);
}

/* ---- the list ---- */

static const struct Family {
    const char *name;
    unsigned count;
    void (*show)(Bus *b, unsigned n);
} families[] = {
    { "text", 8, text_bios }, { "text-mono", 2, text_mono }, { "text-132", 3, text_132 },
    { "text-8-dots", 2, text_8_dots }, { "text-attributes", 4, text_attributes }, { "text-cursor", 9, text_cursor },
    { "text-cursor-place", 6, text_cursor_place }, { "text-underline", 4, text_underline },
    { "text-fonts", 8, text_fonts }, { "text-pan-9", 10, text_pan_9 }, { "text-pan-8", 8, text_pan_8 },
    { "text-scroll", 7, text_scroll }, { "text-start", 6, text_start }, { "text-offset", 5, text_offset },
    { "text-split", 6, text_split }, { "text-colors", 12, text_colors }, { "text-overscan", 2, text_overscan },
    { "text-off", 2, text_off }, { "cga", 2, cga_show }, { "planar", 6, planar_bios }, { "chain-4", 4, chain4_show },
    { "mode-x", 6, mode_x }, { "pan", 8, graphics_pan }, { "pan-half", 3, graphics_pan_half },
    { "pan-256", 4, graphics_pan_256 }, { "start", 5, graphics_start }, { "offset", 4, graphics_offset },
    { "split", 9, graphics_split }, { "lines", 7, graphics_lines }, { "lines-by-2", 2, graphics_lines_by_2 },
    { "address", 13, graphics_address }, { "hercules", 1, hercules }, { "shift", 6, graphics_shift },
    { "colors", 6, graphics_colors }, { "write-mode", 8, write_modes }, { "write-size", 2, write_sizes },
    { "read-mode", 3, read_modes }, { "addressing", 6, addressing }, { "mode-change", 6, mode_changes },
    { "random-text", 30, random_text }, { "random-graphics", 30, random_graphics },
    { "vbe", LENGTH(vbe_sizes) * LENGTH(vbe_depths), vbe_linear }, { "vbe-banked", 6, vbe_banked },
    { "vbe-virtual", 7, vbe_virtual }, { "vbe-planes", 5, vbe_planes }, { "vbe-dac-8", 1, vbe_dac_8 },
};

static const struct Family *family_find(unsigned *n)
{
    const struct Family *f = families;
    while (f < families + LENGTH(families) - 1 && *n >= f->count)
        *n -= f++->count;
    return f;
}

unsigned case_count(void)
{
    unsigned count = 0;
    for (unsigned n = 0; n < LENGTH(families); n++)
        count += families[n].count;
    return count;
}

const char *case_family(unsigned n) { return family_find(&n)->name; }

unsigned case_number(unsigned n)
{
    family_find(&n);
    return n;
}

void case_show(Bus *b, unsigned n)
{
    const struct Family *f = family_find(&n);
    f->show(b, n);
}
