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

void vga_draw_forget(Vga *v) { v->drawn = false; }

unsigned vga_dot_repeat(const Vga *v) { return v->sr[SR_CLOCKING] & 8 ? 2 : 1; }

/* ---- dirty pages ---- */

/* One take for all pages: each makes processors look up their pages anew. */
bool vga_pages_collect(Vga *v, uint64_t offset, uint64_t size)
{
    uint64_t first = offset >> RAM_PAGE_BITS, end = MIN(offset + size, v->size);
    uint64_t pages = ((end - 1) >> RAM_PAGE_BITS) - first + 1, base = region_pool_offset(v->vram);
    uint8_t *changed = v->page_changed + first, *again = v->page_again + first;
    bool any = ram_take_dirty(v->pci.dev.machine->pool, base + (first << RAM_PAGE_BITS), pages << RAM_PAGE_BITS,
                              PAGE_DIRTY_DISPLAY, changed);
    for (uint64_t n = 0; n < pages; n++) {
        bool before = again[n];
        again[n] = changed[n];
        changed[n] |= before;
        any |= before;
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

static uint32_t dac_color(const Vga *v, uint8_t index)
{
    const uint8_t *c = v->palette + 3 * (index & v->pel_mask);
    if (v->vbe[VBE_ENABLE] & VBE_8BIT_DAC)
        return (uint32_t)c[0] << 16 | c[1] << 8 | c[2];
    return vga_widen(c[0]) << 16 | vga_widen(c[1]) << 8 | vga_widen(c[2]);
}

/* The attribute controller's way from four bits to eight. */
static uint8_t attribute_color(const Vga *v, unsigned n)
{
    uint8_t c = v->ar[n & v->ar[AR_PLANE_ENABLE]], select = v->ar[AR_COLOR_SELECT];
    if (v->ar[AR_MODE] & AR_MODE_COLOR_SELECT)
        return (c & 15) | select << 4;
    return c | (select & 12) << 4;
}

/* bpp: of a frame buffer, 0: none. */
static void colors_make(Vga *v, unsigned bpp)
{
    bool all = bpp ? bpp == 8 : vga_graphics(v) && v->gr[GR_MODE] & MODE_SHIFT_256;
    for (unsigned n = 0; n < (all ? 256 : 16); n++)
        v->rgb[n] = dac_color(v, all ? n : attribute_color(v, n));
}

/* ---- the CRTC's addresses ---- */

static unsigned byte_panning(const Vga *v) { return v->cr[CR_PRESET_ROW] >> 5 & 3; }

VgaScan vga_scan_first(const Vga *v)
{
    unsigned start = v->cr[CR_START_HIGH] << 8 | v->cr[CR_START_LOW];
    return (VgaScan){ .address = start + byte_panning(v), .row = v->cr[CR_PRESET_ROW] & 31 };
}

/*
 * The line after s: below the line of comparison addresses begin at 0, panned or not; each row is as high as register 9
 * says.
 */
void vga_scan_next(const Vga *v, VgaScan *s)
{
    unsigned times = v->cr[CR_MODE] & CR_MODE_LINES_TIMES_2 ? 2 : 1;
    s->y++;
    if (!s->split && s->y == (vga_line_compare(v) + 1) * times) {
        *s = (VgaScan){ .address = v->ar[AR_MODE] & AR_MODE_SPLIT_UNPANNED ? 0 : byte_panning(v), .split = true,
                        .y = s->y, .text_row = s->text_row + 1 };
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

unsigned vga_count_shift(const Vga *v)
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

/* Of 256 colours a dot is two clocks wide, and panning is by dots. */
static unsigned pan_of(const Vga *v, const VgaScan *s)
{
    if (s->split && v->ar[AR_MODE] & AR_MODE_SPLIT_UNPANNED)
        return 0;
    return v->ar[AR_PANNING] & (v->gr[GR_MODE] & MODE_SHIFT_256 ? 6 : 7);
}

/* Twice as wide, from the end so that it may be done in place. */
static void dots_double(uint32_t *dots, unsigned n)
{
    while (n--)
        dots[2 * n] = dots[2 * n + 1] = dots[n];
}

static void graphics_line(Vga *v, const VgaScan *s, unsigned columns, uint32_t *to)
{
    unsigned shift = vga_count_shift(v), repeat = vga_dot_repeat(v), pan = pan_of(v, s);
    DotsFn *dots = dots_choose(v);
    for (unsigned c = 0; c < columns + (pan != 0); c++)
        dots(vga_fetch(v, vga_place(v, s->address + (c >> shift), s->row)), v->rgb, v->line + 8 * c);
    if (repeat == 2)
        dots_double(v->line, 8 * (columns + 1));
    memcpy(to, v->line + pan * repeat, 8 * columns * repeat * sizeof *to);
}

static bool graphics_line_changed(const Vga *v, const VgaScan *s, unsigned columns)
{
    unsigned shift = vga_count_shift(v);
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

/* ---- frame buffers ---- */

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

/* A line that goes on at the memory's beginning; size of memory: at least as long as a line. */
static const uint8_t *line_wrap(Vga *v, uint64_t at, unsigned bytes)
{
    uint8_t *gathered = (uint8_t *)(v->line);
    unsigned first = v->size - at;
    memcpy(gathered, v->memory + at, first);
    memcpy(gathered + first, v->memory, bytes - first);
    return gathered;
}

static const uint8_t *line_bytes(Vga *v, const VgaFrame *f, uint64_t at, unsigned bytes)
{
    if (f->bpp == 4)
        return line_gather(v, at, bytes);
    return at + bytes > v->size ? line_wrap(v, at, bytes) : v->memory + at;
}

static bool frame_line_changed(const Vga *v, const VgaFrame *f, uint64_t at, unsigned bytes)
{
    bool scattered = f->bpp == 4 && v->layout != LAYOUT_PLANAR && at < VGA_PLANES_SIZE;
    if (at + bytes > v->size)
        return bytes_changed(v, at, v->size - at) || bytes_changed(v, 0, at + bytes - v->size);
    return bytes_changed(v, at, bytes) || (scattered && bytes_changed(v, 0, VGA_PLANES_SIZE));
}

/* Which pages were written: of all memory when the picture is not one piece of it. */
static bool frame_pages_collect(Vga *v, const VgaFrame *f, unsigned bytes)
{
    uint64_t size = (uint64_t)((f->height - 1) / f->repeat) * f->stride + bytes;
    if (f->bpp == 4 || f->start + size > v->size)
        return vga_pages_collect(v, 0, v->size);
    return vga_pages_collect(v, f->start, size);
}

static void draw_frame(Vga *v, const VgaFrame *f, bool all)
{
    const VgaExtension *x = v->extension;
    unsigned bytes = f->bpp == 4 ? f->width / 2 : f->width * ((f->bpp + 7) / 8);
    LineFn *line = line_choose(f->bpp);
    all |= console_resize(&v->console, f->width, f->height);
    bool pointer = x && x->pointer_look(v, all);
    if (!frame_pages_collect(v, f, bytes) && !all && !pointer)
        return;
    uint32_t *to = v->console.surface.pixels;
    for (unsigned y = 0; y < f->height; y++, to += f->width) {
        uint64_t place = (f->start + (uint64_t)(y / f->repeat) * f->stride) % v->size;
        if (!all && !frame_line_changed(v, f, place, bytes) && !(x && x->pointer_changed(v, y)))
            continue;
        line(line_bytes(v, f, place, bytes), v->rgb, to, f->width);
        if (x)
            x->pointer_draw(v, y, to, f->width);
        console_mark_lines(&v->console, y, 1);
    }
}

/* ---- all modes ---- */

/* The frame buffer that is shown; bpp 0: the VGA's own modes are. */
static VgaFrame frame_now(const Vga *v)
{
    VgaFrame f = { .bpp = 0 };
    if (vga_vbe_on(v))
        f = vbe_frame(v);
    else if (v->extension)
        v->extension->frame(v, &f);
    return f;
}

static void key_frame(uint8_t *to, const VgaFrame *f)
{
    st32le(to, f->width);
    st32le(to + 4, f->height);
    st32le(to + 8, f->bpp);
    st32le(to + 12, f->start);
    st32le(to + 16, f->stride);
    st32le(to + 20, f->repeat);
}

/* In text, start address and cursor place only say which cells are shown: those are compared one by one. */
static VgaKey key_make(const Vga *v, const VgaFrame *f, bool on)
{
    VgaKey key;
    memset(&key, 0, sizeof key);
    memcpy(key.sr, v->sr, sizeof key.sr);
    memcpy(key.cr, v->cr, sizeof key.cr);
    memcpy(key.ar, v->ar, sizeof key.ar);
    memcpy(key.palette, v->palette, sizeof key.palette);
    key.sr[SR_MAP_MASK] = key.sr[SR_MEMORY] = 0;
    if (!f->bpp && !vga_graphics(v))
        key.cr[CR_START_HIGH] = key.cr[CR_START_LOW] = 0;
    key.cr[CR_CURSOR_HIGH] = key.cr[CR_CURSOR_LOW] = 0;
    key.gr_mode = v->gr[GR_MODE] & (MODE_SHIFT_256 | MODE_SHIFT_INTERLEAVED);
    key.gr_misc = vga_graphics(v);
    key.on = on;
    key.pel_mask = v->pel_mask;
    key.dac_8bit = v->vbe[VBE_ENABLE] & VBE_8BIT_DAC;
    key_frame(key.frame, f);
    return key;
}

/* The sequencer makes the screen black; without its palette registers the attribute controller shows the border. */
static void draw_off(Vga *v)
{
    Surface *s = &v->console.surface;
    uint32_t color = v->sr[SR_CLOCKING] & SR_CLOCKING_OFF ? 0 : dac_color(v, v->ar[AR_OVERSCAN]);
    for (size_t n = 0; n < (size_t)s->width * s->height; n++)
        s->pixels[n] = color;
    console_mark_lines(&v->console, 0, s->height);
}

static void vga_update(void *opaque, bool all)
{
    Vga *v = opaque;
    bool on = !v->legacy_free ? v->ar_index & AR_INDEX_SCREEN_ON && !(v->sr[SR_CLOCKING] & SR_CLOCKING_OFF)
                              : vga_vbe_on(v);
    VgaFrame f = frame_now(v);
    VgaKey key = key_make(v, &f, on);
    all |= !v->drawn || memcmp(&key, &v->key, sizeof key);
    v->key = key;
    v->drawn = true;
    if (all)
        colors_make(v, f.bpp);
    if (!on) {
        if (all)
            draw_off(v);
    } else if (f.bpp) {
        draw_frame(v, &f, all);
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
    if (!(v->ar_index & AR_INDEX_SCREEN_ON) || frame_now(v).bpp || vga_graphics(v))
        return false;
    return vga_text_read(v, columns, rows, cells, max_cells);
}

static void vga_fit(void *opaque, unsigned width, unsigned height)
{
    Vga *v = opaque;
    if (!width || !height) { /* the viewer has gone */
        vga_prefer(v, v->xres, v->yres);
        return;
    }
    edid_fit(&width, &height, v->size);
    vga_prefer(v, width, height);
}

static int vga_cursor(void *opaque) { return vga_text_cursor(opaque); }

const ConsoleOps vga_console_ops = {
    .update = vga_update, .text = vga_text, .fit = vga_fit, .text_cursor = vga_cursor,
};
