/*
 * Text modes of the standard VGA (IBM PS/2 Hardware Interface Technical Reference, "Alphanumeric Modes"): characters in
 * plane 0, attributes in plane 1, fonts in plane 2, cursor, underline, blinking.
 *
 * Cells are compared with what was drawn; a changed font draws all.  Linux and BIOSes write text through the direct
 * window, so nothing is noted when they do.
 */
#include <string.h>

#include "hw/display/vga_state.h"
#include "util/bits.h"

enum { CELL_CURSOR = 1 << 16, CELL_HIDDEN = 1 << 17, CELL_UNKNOWN = UINT32_MAX };
enum { MODE_LINE_GRAPHICS = 4, MODE_BLINK = 8, MODE_SPLIT_UNPANNED = 0x20, CURSOR_OFF = 0x20, ATTRIBUTE_FONT = 8 };

static unsigned cell_dots(const Vga *v) { return v->sr[SR_CLOCKING] & 1 ? 8 : 9; }

static unsigned text_columns(const Vga *v) { return v->cr[CR_H_DISPLAY_END] + 1; }

unsigned vga_text_width(const Vga *v) { return text_columns(v) * cell_dots(v) * vga_dot_repeat(v); }

/* ---- fonts ---- */

/* Where in plane 2 a font is: font 0 for attributes without bit 3, 1 with it (sequencer register 3). */
static uint32_t font_place(const Vga *v, unsigned font)
{
    unsigned s = v->sr[SR_FONT];
    unsigned n = font ? (s >> 5 & 1) << 2 | (s >> 2 & 3) : (s >> 4 & 1) << 2 | (s & 3);
    return (n & 3) * 0x4000 + (n & 4 ? 0x2000 : 0);
}

static bool font_read(Vga *v, unsigned font)
{
    uint8_t now[sizeof v->font[0]];
    uint32_t place = font_place(v, font);
    for (unsigned k = 0; k < sizeof now; k++)
        now[k] = vga_fetch(v, place + k) >> 16;
    if (!memcmp(now, v->font[font], sizeof now))
        return false;
    memcpy(v->font[font], now, sizeof now);
    return true;
}

/* Looks whether the fonts changed; in the paired layout planes 2 and 3 have pages of their own. */
static bool fonts_read(Vga *v, bool all)
{
    unsigned start = v->layout == LAYOUT_PAIRED ? VGA_PLANES_SIZE / 2 : 0;
    if (!vga_pages_collect(v, start, VGA_PLANES_SIZE - start) && !all)
        return false;
    bool first = font_read(v, 0), second = font_read(v, 1);
    return first || second;
}

/* ---- cells ---- */

typedef struct Phase {
    uint16_t cursor;        /* address */
    bool cursor_on, hidden; /* hidden: characters that blink are not seen now */
} Phase;

/* The cursor changes each 8 frames, characters each 16. */
static Phase phase_now(const Vga *v)
{
    int64_t frame = vga_frame(v);
    return (Phase){ .cursor = v->cr[CR_CURSOR_HIGH] << 8 | v->cr[CR_CURSOR_LOW],
                    .cursor_on = !(v->cr[CR_CURSOR_START] & CURSOR_OFF) && !(frame & 8), .hidden = frame & 16 };
}

static uint32_t cell_read(const Vga *v, const Phase *phase, uint16_t address)
{
    uint32_t cell = vga_fetch(v, vga_place(v, address, 0)) & 0xffff;
    if (phase->cursor_on && address == phase->cursor)
        cell |= CELL_CURSOR;
    if (phase->hidden && cell & 0x8000 && v->ar[AR_MODE] & MODE_BLINK)
        cell |= CELL_HIDDEN;
    return cell;
}

/* The nine dots of a row of a cell, the leftmost in bit 8. */
static unsigned cell_row(const Vga *v, uint32_t cell, unsigned row)
{
    unsigned code = cell & 0xff, attribute = cell >> 8 & 0xff;
    unsigned first = v->cr[CR_CURSOR_START] & 31, last = v->cr[CR_CURSOR_END] & 31;
    unsigned bits = v->font[(attribute & ATTRIBUTE_FONT) != 0][code * 32 + row] << 1;
    if ((code & 0xe0) == 0xc0 && v->ar[AR_MODE] & MODE_LINE_GRAPHICS)
        bits |= bits >> 1 & 1;
    if (cell & CELL_HIDDEN)
        bits = 0;
    if ((attribute & 0x77) == 1 && row == (v->cr[CR_UNDERLINE] & 31u))
        bits = 0x1ff;
    if (cell & CELL_CURSOR && row >= first && row <= last)
        bits = 0x1ff;
    return bits;
}

/* Where the cells of a group of lines begin, in dots, and what they are drawn into. */
typedef struct Place {
    uint32_t *pixels;       /* of the line */
    unsigned width;
    int x;                  /* of the cell; may be left of the screen, or partly right of it */
} Place;

static void cell_draw_row(const Vga *v, uint32_t cell, unsigned row, const Place *p)
{
    unsigned bits = cell_row(v, cell, row), attribute = cell >> 8 & 0xff, dots = cell_dots(v);
    uint32_t fore = v->rgb[attribute & 15], back = v->rgb[attribute >> 4 & (v->ar[AR_MODE] & MODE_BLINK ? 7 : 15)];
    int x = p->x, end = p->width;
    for (unsigned d = 0; d < dots; d++)
        for (unsigned k = vga_dot_repeat(v); k--; x++)
            if (x >= 0 && x < end)
                p->pixels[x] = bits >> (8 - d) & 1 ? fore : back;
}

/* ---- rows ---- */

/* With nine dots a value of 8 is no shift and 0 one dot; with eight it is the shift itself. */
static unsigned pan_of(const Vga *v, const VgaScan *s)
{
    unsigned pan = v->ar[AR_PANNING];
    if (s->split && v->ar[AR_MODE] & MODE_SPLIT_UNPANNED)
        return 0;
    return cell_dots(v) == 8 ? pan & 7 : pan >= 8 ? 0 : pan + 1;
}

/* Draws one cell on all lines of a row, which begins at the scan s. */
static void cell_draw(Vga *v, uint32_t cell, unsigned column, VgaScan s, unsigned lines)
{
    unsigned width = v->console.surface.width, repeat = vga_dot_repeat(v);
    Place p = { v->console.surface.pixels + (size_t)s.y * width, width,
                ((int)(column * cell_dots(v)) - (int)pan_of(v, &s)) * (int)repeat };
    for (; lines--; p.pixels += width) {
        cell_draw_row(v, cell, s.row, &p);
        vga_scan_next(v, &s);
    }
}

/* Lines from s to the end of its row of characters; *next is the first of the following row. */
static unsigned row_lines(const Vga *v, VgaScan s, VgaScan *next)
{
    *next = s;
    while (next->text_row == s.text_row && next->y < v->console.surface.height)
        vga_scan_next(v, next);
    return next->y - s.y;
}

static uint32_t *cells_reserve(Vga *v, unsigned n)
{
    if (n > v->cell_count) {
        v->cells = g_renew(uint32_t, v->cells, n);
        for (unsigned k = v->cell_count; k < n; k++)
            v->cells[k] = CELL_UNKNOWN;
        v->cell_count = n;
    }
    return v->cells;
}

static void row_draw(Vga *v, const Phase *phase, VgaScan s, unsigned lines)
{
    unsigned room = text_columns(v) + 1, columns = text_columns(v) + (pan_of(v, &s) != 0);
    uint32_t *drawn = cells_reserve(v, (s.text_row + 1) * room) + s.text_row * room;
    bool changed = false;
    for (unsigned c = 0; c < columns; c++) {
        uint32_t cell = cell_read(v, phase, s.address + c);
        if (cell == drawn[c])
            continue;
        drawn[c] = cell;
        cell_draw(v, cell, c, s, lines);
        changed = true;
    }
    if (changed)
        console_mark_lines(&v->console, s.y, lines);
}

void vga_text_draw(Vga *v, bool all)
{
    Phase phase = phase_now(v);
    VgaScan s = vga_scan_first(v), next;
    if (fonts_read(v, all) || all)
        for (unsigned k = 0; k < v->cell_count; k++)
            v->cells[k] = CELL_UNKNOWN;
    for (; s.y < v->console.surface.height; s = next) {
        unsigned lines = row_lines(v, s, &next);
        row_draw(v, &phase, s, lines);
    }
}

bool vga_text_read(const Vga *v, unsigned *columns, unsigned *rows, uint16_t *cells, unsigned max_cells)
{
    unsigned height = (v->cr[CR_MAX_SCAN] & 31) + 1, n = 0;
    uint16_t address = v->cr[CR_START_HIGH] << 8 | v->cr[CR_START_LOW];
    *columns = text_columns(v);
    *rows = MAX(vga_lines_displayed(v) / (v->cr[CR_MAX_SCAN] & 0x80 ? 2 * height : height), 1);
    for (unsigned y = 0; y < *rows; y++, address += v->cr[CR_OFFSET] * 2)
        for (unsigned x = 0; x < *columns && n < max_cells; x++)
            cells[n++] = vga_fetch(v, vga_place(v, address + x, 0));
    return true;
}

int vga_text_cursor(const Vga *v)
{
    uint16_t start = v->cr[CR_START_HIGH] << 8 | v->cr[CR_START_LOW];
    uint16_t at = (v->cr[CR_CURSOR_HIGH] << 8 | v->cr[CR_CURSOR_LOW]) - start;
    unsigned pitch = v->cr[CR_OFFSET] * 2;
    if (v->cr[CR_CURSOR_START] & CURSOR_OFF || !pitch || at % pitch >= text_columns(v))
        return -1;
    return at / pitch * text_columns(v) + at % pitch;
}
