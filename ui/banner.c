/* Text over the screen (banner.h), in a font of 5 x 8 dots, of which the last line is for descenders. */
#include "ui/banner.h"

#include <glib.h>
#include <string.h>

enum { FIRST = ' ', LAST = '~', GLYPH_WIDTH = 5, GLYPH_HEIGHT = 8, CELL_WIDTH = 6, CELL_HEIGHT = 10, MARGIN = 8 };
enum { COLUMNS_MAX = 100, LINES_MAX = 50 };
#define INK UINT32_C(0xfff4f4f0)
#define PAPER UINT32_C(0xd8202428)

/* Five bits for each line, from the lowest on; the leftmost dot is the highest of them. */
static const uint64_t glyphs[LAST - FIRST + 1] = {
    0x0000000000, 0x0100421084, 0x000000294a, 0x0295f57d4a, 0x013c1741e4, 0x04d6820b59, 0x036554524c, 0x0000002084,
    0x0088842082, 0x0208210888, 0x0009575480, 0x00084f9080, 0x0208600000, 0x0000070000, 0x0318000000, 0x0410820841,
    0x03a39ace2e, 0x0388421184, 0x07d041062e, 0x03a213062e, 0x0085f928c2, 0x03a210fa1f, 0x03a31f4106, 0x010841083f,
    0x03a317462e, 0x030417c62e, 0x0018c03180, 0x02086018c0, 0x0088882082, 0x0001f07c00, 0x0208208888, 0x010041062e,
    0x03a17ade2e, 0x04631fc62e, 0x07a31f463e, 0x03a308422e, 0x072518c65c, 0x07e10f421f, 0x04210f421f, 0x03e31bc22e,
    0x04631fc631, 0x038842108e, 0x0324210847, 0x04654c5251, 0x07e1084210, 0x04631ad771, 0x04673ae731, 0x03a318c62e,
    0x04210f463e, 0x036558c62e, 0x04654f463e, 0x078217420f, 0x010842109f, 0x03a318c631, 0x0114a54631, 0x04775ac631,
    0x0462a22a31, 0x0108422a31, 0x07e082083f, 0x039084210e, 0x0044222110, 0x038421084e, 0x0000004544, 0xf800000000,
    0x0000000888, 0x03e2f0b800, 0x07a318fa10, 0x03a1083800, 0x03e318bc21, 0x03a1f8b800, 0x02108e2106, 0x705f18bc00,
    0x046318fa10, 0x0388423004, 0x6484211802, 0x04a98a4a10, 0x038842108c, 0x056b5ae800, 0x046318f800, 0x03a318b800,
    0x843d18f800, 0x085f18bc00, 0x04210c5800, 0x0782e83c00, 0x0190847108, 0x03e318c400, 0x0114a8c400, 0x02ab5ac400,
    0x0454454400, 0x705f18c400, 0x07d0417c00, 0x0088441082, 0x0108421084, 0x0208411088, 0x00002aa000,
};

static void dot_draw(Banner *b, unsigned x, unsigned y, unsigned scale)
{
    for (unsigned row = 0; row < scale; row++)
        for (unsigned column = 0; column < scale; column++)
            b->pixels[(y + row) * b->width + x + column] = INK;
}

static void glyph_draw(Banner *b, unsigned x, unsigned y, char c, unsigned scale)
{
    uint64_t glyph = glyphs[(c >= FIRST && c <= LAST ? c : '?') - FIRST];
    for (unsigned bit = 0; bit < GLYPH_WIDTH * GLYPH_HEIGHT; bit++)
        if (glyph >> bit & 1)
            dot_draw(b, x + (GLYPH_WIDTH - 1 - bit % GLYPH_WIDTH) * scale, y + bit / GLYPH_WIDTH * scale, scale);
}

Banner banner_make(const char *text, unsigned scale)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", LINES_MAX);
    unsigned columns = 0, rows = g_strv_length(lines);
    scale = CLAMP(scale, 1, 8);
    for (unsigned n = 0; n < rows; n++)
        columns = MAX(columns, MIN(strlen(lines[n]), COLUMNS_MAX));
    Banner b = { .width = (columns * CELL_WIDTH + 2 * MARGIN) * scale,
                 .height = (rows * CELL_HEIGHT + 2 * MARGIN) * scale };
    b.pixels = g_new(uint32_t, b.width * b.height);
    for (unsigned n = 0; n < b.width * b.height; n++)
        b.pixels[n] = PAPER;
    for (unsigned row = 0; row < rows; row++)
        for (unsigned column = 0; lines[row][column] && column < COLUMNS_MAX; column++)
            glyph_draw(&b, (MARGIN + column * CELL_WIDTH) * scale, (MARGIN + row * CELL_HEIGHT) * scale,
                       lines[row][column], scale);
    return b;
}

void banner_clear(Banner *b)
{
    g_free(b->pixels);
    *b = (Banner){ 0 };
}
