/*
 * Text modes of the standard VGA (IBM PS/2 Hardware Interface Technical Reference, "Alphanumeric Modes"): characters in
 * plane 0, attributes in plane 1, fonts in plane 2, cursor, underline, blinking.
 *
 * When a page was written, or cursor or blinking are in another phase, all cells are compared with what was drawn, and
 * those that differ are drawn; a changed font draws all.
 */
#include <string.h>

#include "hw/display/vga_state.h"
#include "util/bits.h"

enum { CELL_CURSOR = 1 << 16, CELL_HIDDEN = 1 << 17, CELL_UNKNOWN = UINT32_MAX };
enum { CURSOR_OFF = 0x20, ATTRIBUTE_FONT = 8 };
enum { ROW_LINES_MAX = 128 }; /* the row counter runs to 31 and round to register 9's value, each line twice */

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

/* In the paired layout planes 2 and 3 have pages of their own. */
static bool font_pages_changed(const Vga *v)
{
    unsigned page = (v->layout == LAYOUT_PAIRED ? VGA_PLANES_SIZE / 2 : 0) >> RAM_PAGE_BITS;
    while (page < VGA_PLANES_SIZE >> RAM_PAGE_BITS)
        if (v->page_changed[page++])
            return true;
    return false;
}

/* Looks whether the fonts changed. */
static bool fonts_read(Vga *v, bool all)
{
    if (!font_pages_changed(v) && !all)
        return false;
    bool first = font_read(v, 0), second = font_read(v, 1);
    return first || second;
}

/* ---- cells ---- */

static unsigned cursor_skew(const Vga *v) { return v->cr[CR_CURSOR_END] >> 5 & 3; }

/* The cursor changes each 8 frames, characters each 16. */
static VgaTextPhase phase_now(const Vga *v)
{
    int64_t frame = vga_frame(v);
    return (VgaTextPhase){ .start = v->cr[CR_START_HIGH] << 8 | v->cr[CR_START_LOW],
                           .cursor = (v->cr[CR_CURSOR_HIGH] << 8 | v->cr[CR_CURSOR_LOW]) + cursor_skew(v),
                           .cursor_on = !(v->cr[CR_CURSOR_START] & CURSOR_OFF) && !(frame & 8),
                           .hidden = frame & 16 && v->ar[AR_MODE] & AR_MODE_BLINK };
}

static bool phase_same(const VgaTextPhase *a, const VgaTextPhase *b)
{
    return a->start == b->start && a->cursor_on == b->cursor_on && a->hidden == b->hidden &&
           (a->cursor == b->cursor || !a->cursor_on);
}

static uint32_t cell_read(const Vga *v, const VgaTextPhase *phase, uint16_t address)
{
    uint32_t cell = vga_fetch(v, vga_place(v, address, 0)) & 0xffff;
    if (phase->cursor_on && address == phase->cursor)
        cell |= CELL_CURSOR;
    if (phase->hidden && cell & 0x8000)
        cell |= CELL_HIDDEN;
    return cell;
}

/* The nine dots of a row of a cell, the leftmost in bit 8. */
static unsigned cell_row(const Vga *v, uint32_t cell, unsigned row)
{
    unsigned code = cell & 0xff, attribute = cell >> 8 & 0xff;
    unsigned first = v->cr[CR_CURSOR_START] & 31, last = v->cr[CR_CURSOR_END] & 31;
    unsigned bits = v->font[(attribute & ATTRIBUTE_FONT) != 0][code * 32 + row] << 1;
    if ((code & 0xe0) == 0xc0 && v->ar[AR_MODE] & AR_MODE_LINE_GRAPHICS)
        bits |= bits >> 1 & 1;
    if (cell & CELL_HIDDEN)
        bits = 0;
    if ((attribute & 0x77) == 1 && row == (v->cr[CR_UNDERLINE] & 31u))
        bits = 0x1ff;
    if (cell & CELL_CURSOR && row >= first && row <= last)
        bits = 0x1ff;
    return bits;
}

/* Nine or eight dots; wide: each twice. */
static void dots_put(uint32_t *to, unsigned bits, unsigned dots, uint32_t fore, uint32_t back)
{
    for (unsigned d = 0; d < dots; d++)
        to[d] = bits >> (8 - d) & 1 ? fore : back;
}

static void dots_put_wide(uint32_t *to, unsigned bits, unsigned dots, uint32_t fore, uint32_t back)
{
    for (unsigned d = 0; d < dots; d++)
        to[2 * d] = to[2 * d + 1] = bits >> (8 - d) & 1 ? fore : back;
}

/* A cell's dots of one line at x, which may be left of the screen, or the cell partly right of it. */
static void cell_put(uint32_t *line, int width, int x, const uint32_t *dots, int count)
{
    int from = MAX(-x, 0), to = MIN(count, width - x);
    if (from < to)
        memcpy(line + x + from, dots + from, (to - from) * sizeof *dots);
}

/* ---- rows ---- */

/* The lines of a row of characters: its first, and for each the line within the characters. */
typedef struct TextRow {
    VgaScan first;
    unsigned lines;
    uint8_t row[ROW_LINES_MAX];
} TextRow;

/* With nine dots a value of 8 is no shift and 0 one dot; with eight it is the shift itself. */
static unsigned pan_of(const Vga *v, const VgaScan *s)
{
    unsigned pan = v->ar[AR_PANNING];
    if (s->split && v->ar[AR_MODE] & AR_MODE_SPLIT_UNPANNED)
        return 0;
    return cell_dots(v) == 8 ? pan & 7 : pan >= 8 ? 0 : pan + 1;
}

/* Draws one cell on all lines of its row. */
static void cell_draw(Vga *v, uint32_t cell, unsigned column, const TextRow *r)
{
    unsigned width = v->console.surface.width, repeat = vga_dot_repeat(v), dots = cell_dots(v);
    unsigned attribute = cell >> 8 & 0xff;
    uint32_t fore = v->rgb[attribute & 15], back = v->rgb[attribute >> 4 & (v->ar[AR_MODE] & AR_MODE_BLINK ? 7 : 15)];
    uint32_t *line = v->console.surface.pixels + (size_t)r->first.y * width, drawn[2 * 9];
    int x = ((int)(column * dots) - (int)pan_of(v, &r->first)) * (int)repeat;
    bool inside = x >= 0 && x + dots * repeat <= width;
    for (unsigned k = 0; k < r->lines; k++, line += width) {
        uint32_t *to = inside ? line + x : drawn;
        unsigned bits = cell_row(v, cell, r->row[k]);
        if (repeat == 2)
            dots_put_wide(to, bits, dots, fore, back);
        else
            dots_put(to, bits, dots, fore, back);
        if (!inside)
            cell_put(line, width, x, drawn, dots * repeat);
    }
}

/* The row of characters that begins at s; s becomes the first line of the following one. */
static void row_take(const Vga *v, VgaScan *s, TextRow *r)
{
    r->first = *s;
    r->lines = 0;
    while (s->text_row == r->first.text_row && s->y < v->console.surface.height && r->lines < ROW_LINES_MAX) {
        r->row[r->lines++] = s->row;
        vga_scan_next(v, s);
    }
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

static void row_draw(Vga *v, const VgaTextPhase *phase, const TextRow *r)
{
    const VgaScan *s = &r->first;
    unsigned room = text_columns(v) + 1, columns = text_columns(v) + (pan_of(v, s) != 0), shift = vga_count_shift(v);
    uint32_t *drawn = cells_reserve(v, (s->text_row + 1) * room) + s->text_row * room;
    bool changed = false;
    for (unsigned c = 0; c < columns; c++) {
        uint32_t cell = cell_read(v, phase, s->address + (c >> shift));
        if (cell == drawn[c])
            continue;
        drawn[c] = cell;
        cell_draw(v, cell, c, r);
        changed = true;
    }
    if (changed)
        console_mark_lines(&v->console, s->y, r->lines);
}

void vga_text_draw(Vga *v, bool all)
{
    VgaTextPhase phase = phase_now(v);
    bool written = vga_pages_collect(v, 0, VGA_PLANES_SIZE);
    if (!all && !written && phase_same(&phase, &v->text_phase))
        return;
    v->text_phase = phase;
    if (fonts_read(v, all) || all)
        for (unsigned k = 0; k < v->cell_count; k++)
            v->cells[k] = CELL_UNKNOWN;
    TextRow row;
    for (VgaScan s = vga_scan_first(v); s.y < v->console.surface.height;) {
        row_take(v, &s, &row);
        row_draw(v, &phase, &row);
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
