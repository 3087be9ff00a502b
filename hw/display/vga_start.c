/*
 * Text mode 3 as a video BIOS leaves it (IBM PS/2 Hardware Interface Technical Reference, "Mode tables"), for machines
 * that start a kernel without one.
 */
#include <string.h>

#include "core/machine.h"
#include "hw/display/vga_state.h"

enum { TEXT_CELLS = 0x4000, GLYPH_COUNT = 256, GLYPH_SIZE = 16, GLYPH_ROOM = 32 };

static const uint8_t mode3_sr[SR_COUNT] = { 0x03, 0x00, 0x03, 0x00, 0x02 };
static const uint8_t mode3_gr[GR_COUNT] = { 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x0f, 0xff };
static const uint8_t mode3_cr[CR_COUNT] = {
    0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00,
    0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
};
static const uint8_t mode3_ar[AR_COUNT] = {
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f,
    0x0c, 0x00, 0x0f, 0x08, 0x00,
};

/* The 64 colours of an EGA monitor: bits 2..0 are strong red, green and blue, bits 5..3 weak ones. */
static void palette_start(Vga *v)
{
    for (unsigned n = 0; n < 256; n++)
        for (unsigned c = 0; c < 3; c++)
            v->palette[3 * n + c] = (n >> (2 - c) & 1) * 0x2a + (n >> (5 - c) & 1) * 0x15;
}

/* A BIOS's 8 x 16 font begins with an empty glyph and the face of code page 437's character 1. */
static const uint8_t *font_find(const Vga *v)
{
    static const uint8_t first[2 * GLYPH_SIZE] = {
        [GLYPH_SIZE + 2] = 0x7e, 0x81, 0xa5, 0x81, 0x81, 0xbd, 0x99, 0x81, 0x81, 0x7e,
    };
    const uint8_t *rom = v->rom ? region_host(v->rom) : NULL;
    uint64_t size = v->rom ? region_size(v->rom) : 0;
    for (uint64_t at = 0; at + GLYPH_COUNT * GLYPH_SIZE <= size; at++)
        if (!memcmp(rom + at, first, sizeof first))
            return rom + at;
    return NULL;
}

static void font_start(Vga *v)
{
    const uint8_t *font = font_find(v);
    for (unsigned n = 0; font && n < GLYPH_COUNT; n++)
        for (unsigned row = 0; row < GLYPH_SIZE; row++) {
            uint32_t place = n * GLYPH_ROOM + row;
            v->memory[vga_index(v->layout, place) + vga_upper(v->layout, place)] = font[n * GLYPH_SIZE + row];
        }
}

static void cells_start(Vga *v)
{
    for (uint32_t place = 0; place < TEXT_CELLS; place++)
        st16le(v->memory + vga_index(v->layout, 2 * place), 0x0720);
}

void vga_start_text(Device *dev)
{
    Vga *v = (Vga *)dev;
    memcpy(v->sr, mode3_sr, sizeof v->sr);
    memcpy(v->gr, mode3_gr, sizeof v->gr);
    memcpy(v->cr, mode3_cr, sizeof v->cr);
    memcpy(v->ar, mode3_ar, sizeof v->ar);
    v->ar_index = AR_INDEX_SCREEN_ON;
    v->misc = 0x67;
    v->pel_mask = 0xff;
    palette_start(v);
    vga_window_update(v);
    cells_start(v);
    font_start(v);
    ram_mark_written(dev->machine->pool, region_pool_offset(v->vram), VGA_PLANES_SIZE);
}
