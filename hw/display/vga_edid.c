/*
 * What the card's monitor says of itself (VESA E-EDID standard, release A, structure 1.4): one preferred mode, and the
 * established ones up to 1024 x 768.
 */
#include <string.h>

#include "hw/display/vga_state.h"
#include "util/bits.h"

enum { REFRESH_HZ = 60 };

typedef struct Blanking {
    unsigned total, front, sync;
} Blanking;

/* Proportions of a usual mode; horizontally in multiples of 8. */
static Blanking blanking_horizontal(unsigned x)
{
    return (Blanking){ align_up(x / 4, 8), align_up(x / 20, 8), align_up(x / 10, 8) };
}

static Blanking blanking_vertical(unsigned y)
{
    return (Blanking){ y / 25 + 10, 3, 6 };
}

/* Section 3.10.2: the detailed timing, 18 bytes. */
static void put_timing(uint8_t *p, unsigned x, unsigned y)
{
    Blanking h = blanking_horizontal(x), v = blanking_vertical(y);
    st16le(p, MIN((x + h.total) * (y + v.total) / 10000 * REFRESH_HZ, 65535)); /* 10 kHz */
    p[2] = x;
    p[3] = h.total;
    p[4] = x >> 8 << 4 | (h.total >> 8 & 15);
    p[5] = y;
    p[6] = v.total;
    p[7] = y >> 8 << 4 | (v.total >> 8 & 15);
    p[8] = h.front;
    p[9] = h.sync;
    p[10] = (v.front & 15) << 4 | (v.sync & 15);
    p[11] = (h.front >> 8 & 3) << 6 | (h.sync >> 8 & 3) << 4;
    p[17] = 0x1e; /* digital separate sync, both positive */
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

static void put_limits(uint8_t *p)
{
    static const uint8_t limits[] = { 50, 125, 30, 160, 255, 0, '\n', ' ', ' ', ' ', ' ', ' ', ' ' };
    p[3] = 0xfd;
    memcpy(p + 5, limits, sizeof limits);
}

void vga_edid_make(uint8_t edid[VGA_EDID_SIZE], unsigned xres, unsigned yres)
{
    static const uint8_t header[] = { 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0 };
    static const uint8_t chromaticity[] = { 0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54 }; /* sRGB */
    uint8_t sum = 0;
    memset(edid, 0, VGA_EDID_SIZE);
    memcpy(edid, header, sizeof header);
    st16be(edid + 8, ('M' - 64) << 10 | ('Y' - 64) << 5 | ('N' - 64));
    st16le(edid + 10, 0x1111);
    edid[16] = 1;                /* week and year of make */
    edid[17] = 2024 - 1990;
    edid[18] = 1;
    edid[19] = 4;
    edid[20] = 0xa5;             /* digital, 8 bits a colour, DisplayPort */
    edid[21] = xres / 40;        /* centimetres, at some 100 dots an inch */
    edid[22] = yres / 40;
    edid[23] = 120;              /* gamma 2.2 */
    edid[24] = 0x06;             /* sRGB; the first timing is the native one */
    memcpy(edid + 25, chromaticity, sizeof chromaticity);
    edid[35] = 0x21;             /* 640 x 480 and 800 x 600 at 60 Hz */
    edid[36] = 0x08;             /* 1024 x 768 at 60 Hz */
    memset(edid + 38, 1, 16);    /* no standard timings */
    put_timing(edid + 54, xres, yres);
    put_text(edid + 72, 0xfc, "Myna");
    put_limits(edid + 90);
    put_text(edid + 108, 0xff, "1");
    for (unsigned k = 0; k < VGA_EDID_SIZE - 1; k++)
        sum += edid[k];
    edid[VGA_EDID_SIZE - 1] = -sum;
}
