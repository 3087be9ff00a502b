/* EDIDs (edid.h). */
#include "hw/display/edid.h"

#include <glib.h>
#include <stdbool.h>
#include <string.h>

#include "util/bits.h"
#include "util/endian.h"

enum { BLOCK = 128, REFRESH_HZ = 60, STANDARD = 38, STANDARD_COUNT = 8, DETAILED = 54, TIMING = 18 };
enum { FIT_WIDTH = 640, FIT_HEIGHT = 480 }; /* guests can do with that */
enum { SIZE_MAX_12 = 4095 }; /* a detailed timing's sizes have 12 bits */
enum { H_BLANK = 160, H_FRONT = 48, H_SYNC = 32, V_FRONT = 3, V_BACK_MIN = 6, BLANK_MIN_US = 460 };
enum { CTA_TAG = 2, CTA_REVISION = 3, CTA_UNDERSCAN = 0x80, CTA_DATA = 4, CTA_DETAILED = 7 };

typedef struct Size {
    uint16_t width, height;
} Size;

/* At 96 dots an inch. */
static unsigned millimetres(unsigned dots) { return dots * 254 / 960; }

/* ---- detailed timings ---- */

/* VESA CVT 1.1, section 3.4.2: the width of the vertical sync tells the ratio. */
static unsigned sync_lines(unsigned x, unsigned y)
{
    return x * 3 == y * 4 ? 4 : x * 9 == y * 16 ? 5 : x * 10 == y * 16 ? 6 : x * 4 == y * 5 ? 7 : 10;
}

/* Reduced blanking: 460 us a frame at least (CVT 1.1, section 4.2). */
static unsigned blank_lines(unsigned x, unsigned y)
{
    unsigned lines = BLANK_MIN_US * REFRESH_HZ * y / (1000000 - BLANK_MIN_US * REFRESH_HZ) + 1;
    return MAX(lines, V_FRONT + sync_lines(x, y) + V_BACK_MIN);
}

/* E-EDID, section 3.10.2: 18 bytes; the screen's size is in millimetres. */
static void put_timing(uint8_t *p, unsigned x, unsigned y, const Size *screen)
{
    unsigned blank = blank_lines(x, y), sync = sync_lines(x, y);
    unsigned clock = (x + H_BLANK) * (y + blank) * REFRESH_HZ / 10000; /* of 10 kHz */
    st16le(p, MIN(clock - clock % 25, UINT16_MAX));
    p[2] = x;
    p[3] = H_BLANK;
    p[4] = x >> 8 << 4 | H_BLANK >> 8;
    p[5] = y;
    p[6] = blank;
    p[7] = y >> 8 << 4 | blank >> 8;
    p[8] = H_FRONT;
    p[9] = H_SYNC;
    p[10] = V_FRONT << 4 | sync;
    p[12] = screen->width;
    p[13] = screen->height;
    p[14] = screen->width >> 8 << 4 | screen->height >> 8;
    p[17] = 0x1a; /* digital separate sync, horizontal positive */
}

/* Section 3.10.3: a descriptor of text, 18 bytes; ended by a line feed and filled with blanks. */
static void put_text(uint8_t *p, uint8_t tag, const char *text)
{
    size_t n = strlen(text);
    p[3] = tag;
    memset(p + 5, ' ', 13);
    memcpy(p + 5, text, n);
    p[5 + n] = '\n';
}

/* 50 to 125 Hz, 30 to 160 kHz, 2550 MHz. */
static void put_limits(uint8_t *p)
{
    static const uint8_t limits[] = { 50, 125, 30, 160, 255, 1, '\n', ' ', ' ', ' ', ' ', ' ', ' ' };
    p[3] = 0xfd;
    memcpy(p + 5, limits, sizeof limits);
}

/* ---- blocks ---- */

static bool fits(const Size *s, uint64_t memory) { return (uint64_t)s->width * s->height * 4 <= memory; }

/* Section 3.9: width / 8 - 31, ratio, frequency - 60. */
static void put_standard(uint8_t *p, uint64_t memory)
{
    static const struct { Size size; uint8_t ratio; } modes[] = {
        { { 1920, 1200 }, 0 }, { { 1920, 1080 }, 3 }, { { 1680, 1050 }, 0 }, { { 1600, 1200 }, 1 },
        { { 1440, 900 }, 0 }, { { 1280, 1024 }, 2 }, { { 1280, 800 }, 0 }, { { 1280, 720 }, 3 },
    };
    memset(p, 1, 2 * STANDARD_COUNT);
    for (unsigned n = 0; n < ARRAY_SIZE(modes); n++)
        if (fits(&modes[n].size, memory)) {
            *p++ = modes[n].size.width / 8 - 31;
            *p++ = modes[n].ratio << 6 | (REFRESH_HZ - 60);
        }
}

static void put_sum(uint8_t *block)
{
    uint8_t sum = 0;
    for (unsigned n = 0; n < BLOCK - 1; n++)
        sum += block[n];
    block[BLOCK - 1] = -sum;
}

static void put_base(uint8_t *edid, unsigned width, unsigned height, const Size *screen, uint64_t memory)
{
    static const uint8_t header[] = { 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0 };
    static const uint8_t chromaticity[] = { 0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54 }; /* sRGB */
    memcpy(edid, header, sizeof header);
    st16be(edid + 8, ('M' - 64) << 10 | ('Y' - 64) << 5 | ('N' - 64));
    st16le(edid + 10, 0x1111);
    edid[16] = 1;                /* week and year of make */
    edid[17] = 2024 - 1990;
    edid[18] = 1;
    edid[19] = 4;
    edid[20] = 0xa5;             /* digital, 8 bits a colour, DisplayPort */
    edid[21] = (screen->width + 5) / 10; /* centimetres */
    edid[22] = (screen->height + 5) / 10;
    edid[23] = 120;              /* gamma 2.2 */
    edid[24] = 0x06;             /* sRGB; the first timing is the native one */
    memcpy(edid + 25, chromaticity, sizeof chromaticity);
    edid[35] = 0x21;             /* 640 x 480 and 800 x 600 at 60 Hz */
    edid[36] = 0x08;             /* 1024 x 768 at 60 Hz */
    put_standard(edid + STANDARD, memory);
    put_timing(edid + DETAILED, width, height, screen);
    put_text(edid + DETAILED + TIMING, 0xfc, "Myna");
    put_limits(edid + DETAILED + 2 * TIMING);
    put_text(edid + DETAILED + 3 * TIMING, 0xff, "1");
    edid[BLOCK - 2] = 1;         /* extension blocks */
    put_sum(edid);
}

/* CTA-861-G, sections 7.3 and 7.5: large modes, as detailed timings. */
static void put_extension(uint8_t *block, const Size *screen, uint64_t memory)
{
    static const uint8_t capabilities[] = { 0xe2, 0x00, 0x4a }; /* 7.5.6: range of RGB selectable, underscanned */
    static const Size modes[] = { { 3840, 2160 }, { 3440, 1440 }, { 2560, 1600 }, { 2560, 1440 }, { 2048, 1536 } };
    uint8_t *p = block + CTA_DETAILED;
    block[0] = CTA_TAG;
    block[1] = CTA_REVISION;
    block[2] = CTA_DETAILED;
    block[3] = CTA_UNDERSCAN;
    memcpy(block + CTA_DATA, capabilities, sizeof capabilities);
    for (unsigned n = 0; n < ARRAY_SIZE(modes); n++)
        if (fits(&modes[n], memory)) {
            put_timing(p, modes[n].width, modes[n].height, screen);
            p += TIMING;
        }
    put_sum(block);
}

void edid_make(uint8_t edid[EDID_SIZE], unsigned width, unsigned height, uint64_t memory)
{
    width = MIN(width, SIZE_MAX_12);
    height = MIN(height, SIZE_MAX_12);
    Size screen = { millimetres(width), millimetres(height) };
    memset(edid, 0, EDID_SIZE);
    put_base(edid, width, height, &screen, memory);
    put_extension(edid + BLOCK, &screen, memory);
}

void edid_fit(unsigned *width, unsigned *height, uint64_t memory)
{
    unsigned w = CLAMP(*width, FIT_WIDTH, EDID_MAX), h = CLAMP(*height, FIT_HEIGHT, EDID_MAX);
    while ((uint64_t)w * h * 8 > memory && (w > EDID_WIDTH_MIN || h > EDID_HEIGHT_MIN)) {
        w = MAX(w - w / 32, EDID_WIDTH_MIN);
        h = MAX(h - h / 32, EDID_HEIGHT_MIN);
    }
    *width = w & ~7u;
    *height = h;
}
