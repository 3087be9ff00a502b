/*
 * What the standard VGA has on its screen: graphics modes, from the CRTC's addresses to dots (IBM PS/2 Hardware
 * Interface Technical Reference, "CRT Controller", "Attribute Controller"), and VBE's frame buffers.
 *
 * Only what changed is drawn.  A change of registers (VgaKey) draws all; otherwise a line of graphics is drawn when a
 * page of its bytes was written.  A processor may still be writing into a page by its fast path when the page's dirty
 * bit is cleared; so a page that was dirty is drawn once more at the next update.
 */
#include <string.h>

#include "core/machine.h"
#include "hw/display/vga_state.h"
#include "util/bits.h"

enum { MODE_SHIFT_INTERLEAVED = 0x20, MODE_SHIFT_256 = 0x40 };
enum { CR_MODE_ROW_13 = 1, CR_MODE_ROW_14 = 2, CR_MODE_LINES_TIMES_2 = 4, CR_MODE_COUNT_2 = 8, CR_MODE_WRAP = 0x20,
       CR_MODE_BYTE = 0x40, CR_UNDERLINE_COUNT_4 = 0x20, CR_UNDERLINE_DWORD = 0x40 };
enum { AR_MODE_SPLIT_UNPANNED = 0x20, AR_MODE_COLOR_SELECT = 0x80 };

void vga_draw_forget(Vga *v) { v->drawn = false; }

unsigned vga_dot_repeat(const Vga *v) { return v->sr[SR_CLOCKING] & 8 ? 2 : 1; }

/* ---- dirty pages ---- */

bool vga_pages_collect(Vga *v, uint64_t offset, uint64_t size)
{
    RamPool *pool = v->pci.dev.machine->pool;
    uint64_t base = region_pool_offset(v->vram), end = MIN(offset + size, v->size);
    bool any = false;
    for (uint64_t page = offset >> RAM_PAGE_BITS; page << RAM_PAGE_BITS < end; page++) {
        bool dirty = ram_test_and_clear_dirty(pool, base + (page << RAM_PAGE_BITS), 1, PAGE_DIRTY_DISPLAY);
        v->page_changed[page] = dirty || v->page_again[page];
        v->page_again[page] = dirty;
        any |= v->page_changed[page];
    }
    return any;
}

static bool bytes_changed(const Vga *v, uint64_t offset, uint64_t size)
{
    for (uint64_t page = offset >> RAM_PAGE_BITS; page <= (offset + size - 1) >> RAM_PAGE_BITS; page++)
        if (v->page_changed[page])
            return true;
    return false;
}

static bool place_changed(const Vga *v, uint32_t place)
{
    uint32_t at = vga_index(v->layout, place);
    return v->page_changed[at >> RAM_PAGE_BITS] ||
           v->page_changed[(at + vga_upper(v->layout, place)) >> RAM_PAGE_BITS];
}

/* ---- colours ---- */

/* Six bits become eight by repeating the lowest one, as on QEMU, so that pictures compare. */
static unsigned widen(uint8_t c) { return c << 2 | (c & 1 ? 3 : 0); }

static uint32_t dac_color(const Vga *v, uint8_t index)
{
    const uint8_t *c = v->palette + 3 * (index & v->pel_mask);
    if (v->vbe[VBE_ENABLE] & VBE_8BIT_DAC)
        return (uint32_t)c[0] << 16 | c[1] << 8 | c[2];
    return widen(c[0] & 63) << 16 | widen(c[1] & 63) << 8 | widen(c[2] & 63);
}

/* The attribute controller's way from four bits to eight. */
static uint8_t attribute_color(const Vga *v, unsigned n)
{
    uint8_t c = v->ar[n & v->ar[AR_PLANE_ENABLE]], select = v->ar[AR_COLOR_SELECT];
    if (v->ar[AR_MODE] & AR_MODE_COLOR_SELECT)
        return (c & 15) | select << 4;
    return c | (select & 12) << 4;
}

static bool colors_256(const Vga *v)
{
    return vga_vbe_on(v) ? v->vbe[VBE_BPP] == 8 : vga_graphics(v) && v->gr[GR_MODE] & MODE_SHIFT_256;
}

static void colors_make(Vga *v)
{
    bool all = colors_256(v);
    for (unsigned n = 0; n < (all ? 256 : 16); n++)
        v->rgb[n] = dac_color(v, all ? n : attribute_color(v, n));
}

/* ---- the CRTC's addresses ---- */

VgaScan vga_scan_first(const Vga *v)
{
    unsigned start = v->cr[CR_START_HIGH] << 8 | v->cr[CR_START_LOW];
    return (VgaScan){ .address = start + (v->cr[CR_PRESET_ROW] >> 5 & 3), .row = v->cr[CR_PRESET_ROW] & 31 };
}

/* The line after s: below the line of comparison addresses begin at 0; each row is as high as register 9 says. */
void vga_scan_next(const Vga *v, VgaScan *s)
{
    unsigned times = v->cr[CR_MODE] & CR_MODE_LINES_TIMES_2 ? 2 : 1;
    s->y++;
    if (!s->split && s->y == (vga_line_compare(v) + 1) * times) {
        *s = (VgaScan){ .split = true, .y = s->y, .text_row = s->text_row + 1 };
        return;
    }
    if (v->cr[CR_MAX_SCAN] & 0x80 && !s->doubled) {
        s->doubled = true;
        return;
    }
    s->doubled = false;
    if (s->row == (v->cr[CR_MAX_SCAN] & 31)) {
        s->row = 0;
        s->text_row++;
        s->address += v->cr[CR_OFFSET] * 2;
    } else {
        s->row = (s->row + 1) & 31;
    }
}

uint32_t vga_place(const Vga *v, uint16_t address, unsigned row)
{
    unsigned mode = v->cr[CR_MODE];
    uint32_t place = address;
    if (v->cr[CR_UNDERLINE] & CR_UNDERLINE_DWORD)
        place = address << 2 | address >> 14;
    else if (!(mode & CR_MODE_BYTE))
        place = address << 1 | (mode & CR_MODE_WRAP ? address >> 15 : address >> 13 & 1);
    if (!(mode & CR_MODE_ROW_13))
        place = bits_deposit(place, 13, 1, row);
    if (!(mode & CR_MODE_ROW_14))
        place = bits_deposit(place, 14, 1, row >> 1);
    return place & 0xffff;
}

static unsigned count_shift(const Vga *v)
{
    return v->cr[CR_UNDERLINE] & CR_UNDERLINE_COUNT_4 ? 2 : v->cr[CR_MODE] & CR_MODE_COUNT_2 ? 1 : 0;
}

static unsigned lines_shown(const Vga *v)
{
    return vga_lines_displayed(v) * (v->cr[CR_MODE] & CR_MODE_LINES_TIMES_2 ? 2 : 1);
}

/* ---- legacy graphics ---- */

/* The shift registers: eight dots of a place's four bytes. */

static void dots_planar(uint32_t w, const uint32_t *rgb, uint32_t *dots)
{
    for (unsigned k = 0; k < 8; k++) {
        uint32_t bits = w >> (7 - k) & 0x01010101;
        dots[k] = rgb[(bits | bits >> 7 | bits >> 14 | bits >> 21) & 15];
    }
}

/* Two bits of a colour in planes 0 (then 1), the upper ones in planes 2 (then 3): CGA's modes. */
static void dots_interleaved(uint32_t w, const uint32_t *rgb, uint32_t *dots)
{
    for (unsigned k = 0; k < 8; k++) {
        uint32_t pair = w >> (k / 4 * 8) >> (6 - k % 4 * 2);
        dots[k] = rgb[(pair & 3) | (pair >> 14 & 12)];
    }
}

static void dots_256(uint32_t w, const uint32_t *rgb, uint32_t *dots)
{
    for (unsigned k = 0; k < 8; k++)
        dots[k] = rgb[w >> (k / 2 * 8) & 0xff];
}

typedef void DotsFn(uint32_t w, const uint32_t *rgb, uint32_t *dots);

static DotsFn *dots_choose(const Vga *v)
{
    unsigned mode = v->gr[GR_MODE];
    return mode & MODE_SHIFT_256 ? dots_256 : mode & MODE_SHIFT_INTERLEAVED ? dots_interleaved : dots_planar;
}

static unsigned pan_of(const Vga *v, const VgaScan *s)
{
    return s->split && v->ar[AR_MODE] & AR_MODE_SPLIT_UNPANNED ? 0 : v->ar[AR_PANNING] & 7;
}

/* Twice as wide, from the end so that it may be done in place. */
static void dots_double(uint32_t *dots, unsigned n)
{
    while (n--)
        dots[2 * n] = dots[2 * n + 1] = dots[n];
}

static void graphics_line(Vga *v, const VgaScan *s, unsigned columns, uint32_t *to)
{
    unsigned shift = count_shift(v), repeat = vga_dot_repeat(v), pan = pan_of(v, s);
    DotsFn *dots = dots_choose(v);
    for (unsigned c = 0; c < columns + (pan != 0); c++)
        dots(vga_fetch(v, vga_place(v, s->address + (c >> shift), s->row)), v->rgb, v->line + 8 * c);
    if (repeat == 2)
        dots_double(v->line, 8 * (columns + 1));
    memcpy(to, v->line + pan * repeat, 8 * columns * repeat * sizeof *to);
}

static bool graphics_line_changed(const Vga *v, const VgaScan *s, unsigned columns)
{
    unsigned shift = count_shift(v);
    for (unsigned c = 0; c < columns + (pan_of(v, s) != 0); c++)
        if (place_changed(v, vga_place(v, s->address + (c >> shift), s->row)))
            return true;
    return false;
}

static bool same_dots(const Vga *v, const VgaScan *a, const VgaScan *b)
{
    return a->address == b->address && pan_of(v, a) == pan_of(v, b) &&
           vga_place(v, a->address, a->row) == vga_place(v, b->address, b->row);
}

static void draw_graphics(Vga *v, bool all)
{
    unsigned columns = v->cr[CR_H_DISPLAY_END] + 1, width = columns * 8 * vga_dot_repeat(v), height = lines_shown(v);
    VgaScan s = vga_scan_first(v), before = s;
    bool changed = false;
    all |= console_resize(&v->console, width, height);
    if (!vga_pages_collect(v, 0, VGA_PLANES_SIZE) && !all)
        return;
    uint32_t *to = v->console.surface.pixels;
    for (unsigned y = 0; y < height; y++, to += width) {
        bool same = y && same_dots(v, &s, &before);
        if (!same)
            changed = all || graphics_line_changed(v, &s, columns);
        if (changed && same)
            memcpy(to, to - width, width * sizeof *to);
        else if (changed)
            graphics_line(v, &s, columns, to);
        if (changed)
            console_mark_lines(&v->console, y, 1);
        before = s;
        vga_scan_next(v, &s);
    }
}

/* ---- VBE ---- */

typedef void LineFn(const uint8_t *from, const uint32_t *rgb, uint32_t *to, unsigned n);

static void line_8(const uint8_t *from, const uint32_t *rgb, uint32_t *to, unsigned n)
{
    for (unsigned x = 0; x < n; x++)
        to[x] = rgb[from[x]];
}

/* Fields of 5 and 6 bits become 8 by repeating their upper ones below. */
static uint32_t widen_5(unsigned c) { return (c & 31) << 3 | (c & 31) >> 2; }
static uint32_t widen_6(unsigned c) { return (c & 63) << 2 | (c & 63) >> 4; }

static void line_15(const uint8_t *from, const uint32_t *rgb, uint32_t *to, unsigned n)
{
    (void)rgb;
    for (unsigned x = 0; x < n; x++) {
        unsigned p = ld16le(from + 2 * x);
        to[x] = widen_5(p >> 10) << 16 | widen_5(p >> 5) << 8 | widen_5(p);
    }
}

static void line_16(const uint8_t *from, const uint32_t *rgb, uint32_t *to, unsigned n)
{
    (void)rgb;
    for (unsigned x = 0; x < n; x++) {
        unsigned p = ld16le(from + 2 * x);
        to[x] = widen_5(p >> 11) << 16 | widen_6(p >> 5) << 8 | widen_5(p);
    }
}

static void line_24(const uint8_t *from, const uint32_t *rgb, uint32_t *to, unsigned n)
{
    (void)rgb;
    for (unsigned x = 0; x < n; x++, from += 3)
        to[x] = from[0] | from[1] << 8 | (uint32_t)from[2] << 16;
}

static void line_32(const uint8_t *from, const uint32_t *rgb, uint32_t *to, unsigned n)
{
    (void)rgb;
    for (unsigned x = 0; x < n; x++)
        to[x] = ld32le(from + 4 * x) & 0xffffff;
}

/* The planes of a 16-colour mode stand at from as places do. */
static void line_4(const uint8_t *from, const uint32_t *rgb, uint32_t *to, unsigned n)
{
    for (unsigned x = 0; x < n; x += 8)
        dots_planar(ld32le(from + x / 2), rgb, to + x);
}

static LineFn *line_choose(unsigned bpp)
{
    switch (bpp) {
    case 4: return line_4;
    case 15: return line_15;
    case 16: return line_16;
    case 24: return line_24;
    case 32: return line_32;
    default: return line_8;
    }
}

/*
 * Places of 16-colour modes are read as if the layout were planar.  A program that sets such a mode through VBE clears
 * memory, which is the same in all layouts; what it then writes into the first 64 Ki places goes through the layout, so
 * a line of it is gathered first.
 */
static const uint8_t *line_gather(Vga *v, uint64_t at, unsigned bytes)
{
    uint8_t *gathered = (uint8_t *)(v->line);
    for (unsigned k = 0; k < bytes; k += 4)
        st32le(gathered + k, vga_fetch(v, (at + k) / 4));
    return gathered;
}

static bool vbe_line_changed(const Vga *v, uint64_t at, unsigned bytes)
{
    bool scattered = v->vbe[VBE_BPP] == 4 && v->layout != LAYOUT_PLANAR && at < VGA_PLANES_SIZE;
    return bytes_changed(v, at, bytes) || (scattered && bytes_changed(v, 0, VGA_PLANES_SIZE));
}

static void draw_vbe(Vga *v, bool all)
{
    const uint16_t *r = v->vbe;
    bool planes = r[VBE_BPP] == 4;
    unsigned width = r[VBE_XRES], height = r[VBE_YRES], scale = planes ? 4 : 1, pixel = (r[VBE_BPP] + 7) / 8;
    uint64_t stride = (uint64_t)vbe_line_bytes(v) * scale, bytes = planes ? width / 2 : (uint64_t)width * pixel;
    uint64_t at = r[VBE_Y_OFFSET] * stride + (planes ? r[VBE_X_OFFSET] / 8 * 4 : (uint64_t)r[VBE_X_OFFSET] * pixel);
    LineFn *line = line_choose(r[VBE_BPP]);
    all |= console_resize(&v->console, width, height);
    bool any = planes && vga_pages_collect(v, 0, v->size);
    if (!planes)
        any = vga_pages_collect(v, at, (height - 1) * stride + bytes);
    if (!all && !any)
        return;
    uint32_t *to = v->console.surface.pixels;
    for (unsigned y = 0; y < height; y++, at += stride, to += width)
        if (all || vbe_line_changed(v, at, bytes)) {
            line(planes ? line_gather(v, at, bytes) : v->memory + at, v->rgb, to, width);
            console_mark_lines(&v->console, y, 1);
        }
}

/* ---- all modes ---- */

/* In text, start address and cursor place only say which cells are shown: those are compared one by one. */
static VgaKey key_make(const Vga *v, bool on)
{
    VgaKey key;
    memset(&key, 0, sizeof key);
    memcpy(key.sr, v->sr, sizeof key.sr);
    memcpy(key.cr, v->cr, sizeof key.cr);
    memcpy(key.ar, v->ar, sizeof key.ar);
    memcpy(key.palette, v->palette, sizeof key.palette);
    key.sr[SR_MAP_MASK] = key.sr[SR_MEMORY] = 0;
    if (!vga_vbe_on(v) && !vga_graphics(v))
        key.cr[CR_START_HIGH] = key.cr[CR_START_LOW] = 0;
    key.cr[CR_CURSOR_HIGH] = key.cr[CR_CURSOR_LOW] = 0;
    key.gr_mode = v->gr[GR_MODE] & (MODE_SHIFT_256 | MODE_SHIFT_INTERLEAVED);
    key.gr_misc = vga_graphics(v);
    key.on = on;
    key.pel_mask = v->pel_mask;
    for (unsigned n = VBE_XRES; n < VBE_COUNT; n++)
        if (n != VBE_BANK && (vga_vbe_on(v) || n == VBE_ENABLE))
            st16le(key.vbe + 2 * n, v->vbe[n]);
    return key;
}

static void draw_black(Vga *v)
{
    Surface *s = &v->console.surface;
    memset(s->pixels, 0, (size_t)s->width * s->height * sizeof *s->pixels);
    console_mark_lines(&v->console, 0, s->height);
}

static void vga_update(void *opaque, bool all)
{
    Vga *v = opaque;
    bool on = v->ar_index & AR_INDEX_SCREEN_ON && !(v->sr[SR_CLOCKING] & 0x20);
    VgaKey key = key_make(v, on);
    all |= !v->drawn || memcmp(&key, &v->key, sizeof key);
    v->key = key;
    v->drawn = true;
    if (all)
        colors_make(v);
    if (!on) {
        if (all)
            draw_black(v);
    } else if (vga_vbe_on(v)) {
        draw_vbe(v, all);
    } else if (vga_graphics(v)) {
        draw_graphics(v, all);
    } else {
        all |= console_resize(&v->console, vga_text_width(v), lines_shown(v));
        vga_text_draw(v, all);
    }
}

static bool vga_text(void *opaque, unsigned *columns, unsigned *rows, uint16_t *cells, unsigned max_cells)
{
    const Vga *v = opaque;
    if (!(v->ar_index & AR_INDEX_SCREEN_ON) || vga_vbe_on(v) || vga_graphics(v))
        return false;
    return vga_text_read(v, columns, rows, cells, max_cells);
}

static int vga_cursor(void *opaque) { return vga_text_cursor(opaque); }

const ConsoleOps vga_console_ops = { .update = vga_update, .text = vga_text, .text_cursor = vga_cursor };
