/*
 * The model (model.h), after the IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem", and Bochs' "VBE
 * BIOS/display interface".  Plain rather than fast: planes are apart, bits are taken one by one, and a line's place in
 * memory is worked out from its number.
 */
#include "model.h"

#include <glib.h>
#include <string.h>

enum { PLANE_SIZE = 1 << 20, WINDOW = 0xa0000, NOWHERE = -1 };
enum { XRES = 1, YRES, BPP, ENABLE, BANK, VIRT_WIDTH, VIRT_HEIGHT, X_OFFSET, Y_OFFSET };

struct Model {
    uint8_t misc, seq_index, seq[256], gfx_index, gfx[256], crtc_index, crtc[256], attr_index, attr[256], mask;
    bool attr_data;
    uint8_t dac[768];
    unsigned dac_at;
    uint16_t vbe_index, vbe[16];
    uint8_t latch[4], *plane[4], *frame;
    uint32_t memory;
};

Model *model_new(uint32_t memory)
{
    Model *m = g_new0(Model, 1);
    m->memory = memory;
    m->frame = g_malloc0(memory);
    for (unsigned p = 0; p < 4; p++)
        m->plane[p] = g_malloc0(PLANE_SIZE);
    return m;
}

void model_free(Model *m)
{
    for (unsigned p = 0; p < 4; p++)
        g_free(m->plane[p]);
    g_free(m->frame);
    g_free(m);
}

static bool bit(unsigned value, unsigned n) { return value >> n & 1; }

static bool vbe_on(const Model *m) { return bit(m->vbe[ENABLE], 0); }
static bool vbe_planes(const Model *m) { return vbe_on(m) && m->vbe[BPP] == 4; }
static bool vbe_packed(const Model *m) { return vbe_on(m) && m->vbe[BPP] != 4; }

/* ---- registers ---- */

static void vbe_write(Model *m, uint16_t value)
{
    bool was_on = vbe_on(m);
    m->vbe[m->vbe_index & 15] = value;
    if (m->vbe_index == XRES || m->vbe_index == ENABLE)
        m->vbe[VIRT_WIDTH] = MAX(m->vbe[VIRT_WIDTH], m->vbe[XRES]);
    if (m->vbe_index == ENABLE && vbe_on(m) && !was_on) {
        m->vbe[VIRT_WIDTH] = m->vbe[XRES];
        m->vbe[X_OFFSET] = m->vbe[Y_OFFSET] = 0;
        if (!bit(value, 7)) {
            memset(m->frame, 0, m->memory);
            for (unsigned p = 0; p < 4; p++)
                memset(m->plane[p], 0, PLANE_SIZE);
        }
    }
    if (!vbe_on(m))
        m->vbe[BANK] = 0;
}

static void attr_write(Model *m, uint8_t value)
{
    if (m->attr_data)
        m->attr[m->attr_index & 31] = value;
    else
        m->attr_index = value;
    m->attr_data = !m->attr_data;
}

/* Ports of the monochrome and the colour place; cases use the one that is on. */
static unsigned port_of_color(unsigned port) { return port >= 0x3b0 && port < 0x3c0 ? port + 0x20 : port; }

static void out_byte(Model *m, unsigned port, uint8_t value)
{
    switch (port_of_color(port)) {
    case 0x3c0: attr_write(m, value); break;
    case 0x3c2: m->misc = value; break;
    case 0x3c4: m->seq_index = value; break;
    case 0x3c5: m->seq[m->seq_index] = value; break;
    case 0x3c6: m->mask = value; break;
    case 0x3c8: m->dac_at = value * 3; break;
    case 0x3c9:
        m->dac[m->dac_at] = value;
        m->dac_at = (m->dac_at + 1) % sizeof m->dac;
        break;
    case 0x3ce: m->gfx_index = value; break;
    case 0x3cf: m->gfx[m->gfx_index] = value; break;
    case 0x3d4: m->crtc_index = value; break;
    case 0x3d5:
        if (m->crtc_index > 7 || !bit(m->crtc[0x11], 7))
            m->crtc[m->crtc_index] = value;
        break;
    default: break;
    }
}

void model_out(Model *m, unsigned port, unsigned value, unsigned size)
{
    if (port == 0x1ce)
        m->vbe_index = value;
    else if (port == 0x1cf || port == 0x1d0)
        vbe_write(m, value);
    else
        for (unsigned k = 0; k < size; k++)
            out_byte(m, port + k, value >> 8 * k);
}

unsigned model_in(Model *m, unsigned port, unsigned size)
{
    (void)size;
    if (port_of_color(port) == 0x3da)
        m->attr_data = false;
    return port == 0x3cc ? m->misc : 0;
}

/* ---- memory ---- */

/* The address within the window that the memory map has, or NOWHERE. */
static int window_offset(const Model *m, uint32_t address)
{
    static const int start[4] = { 0xa0000, 0xa0000, 0xb0000, 0xb8000 }, size[4] = { 0x20000, 0x10000, 0x8000, 0x8000 };
    unsigned map = vbe_on(m) ? 1 : m->gfx[6] >> 2 & 3;
    int offset = (int)address - start[map];
    return bit(m->misc, 1) && offset >= 0 && offset < size[map] ? offset : NOWHERE;
}

static bool plane_bit(const Model *m, unsigned plane, uint32_t place, unsigned n)
{
    return bit(m->plane[plane][place], n);
}

/* One bit of what is written to a plane. */
static bool written_bit(const Model *m, uint8_t value, unsigned plane, unsigned n)
{
    unsigned mode = m->gfx[5] & 3, count = m->gfx[3] & 7, how = m->gfx[3] >> 3 & 3;
    bool latch = bit(m->latch[plane], n), rotated = bit(value, (n + count) & 7), mask = bit(m->gfx[8], n), data;
    if (mode == 1)
        return latch;
    if (mode == 0)
        data = bit(m->gfx[1], plane) ? bit(m->gfx[0], plane) : rotated;
    else if (mode == 2)
        data = bit(value, plane);
    else
        data = bit(m->gfx[0], plane);
    if (mode == 3)
        mask = mask && rotated;
    if (how == 1)
        data = data && latch;
    else if (how == 2)
        data = data || latch;
    else if (how == 3)
        data = data != latch;
    return mask ? data : latch;
}

static uint32_t bank_place(const Model *m, uint32_t offset)
{
    return vbe_planes(m) ? (offset + m->vbe[BANK] * 0x10000u) % PLANE_SIZE : offset & 0xffff;
}

static void planes_write(Model *m, uint32_t offset, uint8_t value)
{
    for (unsigned p = 0; p < 4; p++) {
        uint32_t place = bank_place(m, offset);
        bool chosen = bit(m->seq[2], p);
        uint8_t byte = 0;
        if (bit(m->seq[4], 3)) {
            chosen = chosen && p == (offset & 3);
            place = offset & 0xfffc;
        } else if (!bit(m->seq[4], 2)) {
            chosen = chosen && p % 2 == offset % 2;
            place = (offset & 0xfffe) | offset >> 16;
        }
        for (unsigned n = 0; n < 8; n++)
            byte |= written_bit(m, value, p, n) << n;
        if (chosen)
            m->plane[p][place] = byte;
    }
}

static void write_byte(Model *m, uint32_t address, uint8_t value)
{
    int offset = window_offset(m, address);
    if (offset == NOWHERE)
        return;
    if (vbe_packed(m))
        m->frame[(m->vbe[BANK] * 0x10000u + offset) % m->memory] = value;
    else
        planes_write(m, offset, value);
}

void model_write(Model *m, uint32_t address, uint32_t value, unsigned size)
{
    for (unsigned k = 0; k < size; k++)
        write_byte(m, address + k, value >> 8 * k);
}

void model_write_frame(Model *m, uint32_t offset, const uint8_t *bytes, unsigned size)
{
    memcpy(m->frame + offset, bytes, size);
}

static uint8_t read_byte(Model *m, uint32_t address)
{
    int offset = window_offset(m, address);
    unsigned plane = m->gfx[4] & 3;
    uint8_t same = 0;
    if (offset == NOWHERE)
        return 0xff;
    if (vbe_packed(m))
        return m->frame[(m->vbe[BANK] * 0x10000u + offset) % m->memory];
    uint32_t place = bank_place(m, offset);
    if (bit(m->seq[4], 3)) {
        plane = offset & 3;
        place = offset & 0xfffc;
    } else if (bit(m->gfx[5], 4)) {
        plane = (plane & 2) | (offset & 1);
        place = (offset & 0xfffe) | offset >> 16;
    }
    for (unsigned p = 0; p < 4; p++)
        m->latch[p] = m->plane[p][place];
    if (!bit(m->gfx[5], 3))
        return m->latch[plane];
    for (unsigned n = 0; n < 8; n++) {
        bool equal = true;
        for (unsigned p = 0; p < 4; p++)
            if (bit(m->gfx[7], p) && plane_bit(m, p, place, n) != bit(m->gfx[2], p))
                equal = false;
        same |= equal << n;
    }
    return same;
}

uint32_t model_read(Model *m, uint32_t address, unsigned size)
{
    uint32_t value = 0;
    for (unsigned k = 0; k < size; k++)
        value |= (uint32_t)read_byte(m, address + k) << 8 * k;
    return value;
}

/* ---- colours ---- */

static uint32_t six_to_eight(unsigned c) { return (c & 63) * 4 + (c & 1) * 3; }

static uint32_t dac_color(const Model *m, unsigned n)
{
    const uint8_t *c = m->dac + (n & m->mask) * 3;
    if (bit(m->vbe[ENABLE], 5))
        return c[0] * 0x10000u + c[1] * 0x100u + c[2];
    return six_to_eight(c[0]) * 0x10000u + six_to_eight(c[1]) * 0x100u + six_to_eight(c[2]);
}

static uint32_t attr_color(const Model *m, unsigned n)
{
    unsigned c = m->attr[n & m->attr[0x12] & 15] & 63, select = m->attr[0x14] & 15;
    if (bit(m->attr[0x10], 7))
        c = (c & 15) + (select & 3) * 16;
    return dac_color(m, c + (select >> 2) * 64);
}

/* ---- where the CRTC is ---- */

static unsigned lines_displayed(const Model *m)
{
    return m->crtc[0x12] + bit(m->crtc[7], 1) * 256 + bit(m->crtc[7], 6) * 512 + 1;
}

static unsigned lines_times(const Model *m) { return bit(m->crtc[0x17], 2) ? 2 : 1; }

static unsigned line_compare(const Model *m)
{
    return m->crtc[0x18] + bit(m->crtc[7], 4) * 256 + bit(m->crtc[9], 6) * 512;
}

typedef struct Line {
    uint16_t address;   /* of its first character */
    unsigned row;       /* of the character */
    bool below;         /* the split */
} Line;

static Line line_of(const Model *m, unsigned y)
{
    unsigned rows = (m->crtc[9] & 31) + 1, each = bit(m->crtc[9], 7) ? 2 : 1, pitch = m->crtc[0x13] * 2;
    unsigned split = (line_compare(m) + 1) * lines_times(m), bytes = m->crtc[8] >> 5 & 3;
    if (y >= split) {
        unsigned n = (y - split) / each;
        return (Line){ (bit(m->attr[0x10], 5) ? 0 : bytes) + n / rows * pitch, n % rows, true };
    }
    unsigned n = y / each + (m->crtc[8] & 31);
    return (Line){ m->crtc[0x0c] * 256 + m->crtc[0x0d] + bytes + n / rows * pitch, n % rows, false };
}

/* Addresses count on with each character, each second or each fourth. */
static uint16_t address_of(const Model *m, Line l, unsigned character)
{
    unsigned each = bit(m->crtc[0x14], 5) ? 4 : bit(m->crtc[0x17], 3) ? 2 : 1;
    return l.address + character / each;
}

static uint32_t place_of(const Model *m, uint16_t address, unsigned row)
{
    uint32_t place;
    if (bit(m->crtc[0x14], 6))
        place = (address * 4 + address / 0x4000) & 0xffff;
    else if (bit(m->crtc[0x17], 6))
        place = address;
    else
        place = (address * 2 + bit(address, bit(m->crtc[0x17], 5) ? 15 : 13)) & 0xffff;
    if (!bit(m->crtc[0x17], 0))
        place = (place & ~0x2000u) + bit(row, 0) * 0x2000;
    if (!bit(m->crtc[0x17], 1))
        place = (place & ~0x4000u) + bit(row, 1) * 0x4000;
    return place;
}

static unsigned character_dots(const Model *m) { return bit(m->gfx[6], 0) || bit(m->seq[1], 0) ? 8 : 9; }

/* Dots that a line is moved to the left. */
static unsigned dots_panned(const Model *m, Line l)
{
    unsigned pan = m->attr[0x13] & 15;
    if (l.below && bit(m->attr[0x10], 5))
        return 0;
    if (character_dots(m) == 9)
        return pan < 8 ? pan + 1 : 0;
    return bit(m->gfx[6], 0) && bit(m->gfx[5], 6) ? pan & 6 : pan & 7;
}

/* ---- text ---- */

static uint32_t font_of(const Model *m, unsigned attribute)
{
    unsigned s = m->seq[3], a = (s >> 2 & 3) + bit(s, 5) * 4, b = (s & 3) + bit(s, 4) * 4;
    unsigned n = bit(attribute, 3) ? a : b;
    return (n & 3) * 0x4000 + (n >> 2) * 0x2000;
}

static bool text_dot_on(const Model *m, unsigned phase, uint16_t address, unsigned row, unsigned dot)
{
    uint32_t place = place_of(m, address, 0);
    unsigned code = m->plane[0][place], attribute = m->plane[1][place];
    uint8_t glyph = m->plane[2][font_of(m, attribute) + code * 32 + row];
    bool on = dot < 8 ? bit(glyph, 7 - dot) : code >= 0xc0 && code <= 0xdf && bit(m->attr[0x10], 2) && bit(glyph, 0);
    if (bit(m->attr[0x10], 3) && bit(attribute, 7) && !(phase & PHASE_TEXT))
        on = false;
    if ((attribute & 7) == 1 && (attribute >> 4 & 7) == 0 && row == (m->crtc[0x14] & 31u))
        on = true;
    uint16_t cursor = m->crtc[0x0e] * 256 + m->crtc[0x0f] + (m->crtc[0x0b] >> 5 & 3);
    if (address == cursor && phase & PHASE_CURSOR && !bit(m->crtc[0x0a], 5) && row >= (m->crtc[0x0a] & 31u) &&
        row <= (m->crtc[0x0b] & 31u))
        on = true;
    return on;
}

static uint32_t text_dot(const Model *m, unsigned phase, Line l, unsigned x)
{
    uint16_t address = address_of(m, l, x / character_dots(m));
    unsigned attribute = m->plane[1][place_of(m, address, 0)];
    if (text_dot_on(m, phase, address, l.row, x % character_dots(m)))
        return attr_color(m, attribute & 15);
    return attr_color(m, bit(m->attr[0x10], 3) ? attribute >> 4 & 7 : attribute >> 4);
}

/* ---- graphics ---- */

static uint32_t graphics_dot(const Model *m, Line l, unsigned x)
{
    uint32_t place = place_of(m, address_of(m, l, x / 8), l.row);
    unsigned dot = x % 8, low = dot / 4, at = 6 - dot % 4 * 2, color = 0;
    if (bit(m->gfx[5], 6))
        return dac_color(m, m->plane[dot / 2][place]);
    if (bit(m->gfx[5], 5))
        return attr_color(m, (m->plane[low][place] >> at & 3) + (m->plane[low + 2][place] >> at & 3) * 4);
    for (unsigned p = 0; p < 4; p++)
        color |= plane_bit(m, p, place, 7 - dot) << p;
    return attr_color(m, color);
}

/* ---- VBE ---- */

static uint32_t expand(unsigned value, unsigned shift, unsigned bits)
{
    unsigned c = value >> shift & ((1 << bits) - 1);
    return c << (8 - bits) | c >> (2 * bits - 8);
}

static uint32_t vbe_dot(const Model *m, unsigned x, unsigned y)
{
    unsigned bpp = m->vbe[BPP], bytes = (bpp + 7) / 8;
    x += m->vbe[X_OFFSET];
    y += m->vbe[Y_OFFSET];
    if (bpp == 4) {
        unsigned color = 0;
        for (unsigned p = 0; p < 4; p++)
            color |= plane_bit(m, p, y * (m->vbe[VIRT_WIDTH] / 8) + x / 8, 7 - x % 8) << p;
        return attr_color(m, color);
    }
    const uint8_t *at = m->frame + ((uint64_t)y * m->vbe[VIRT_WIDTH] + x) * bytes;
    if (bpp == 8)
        return dac_color(m, at[0]);
    if (bpp >= 24)
        return at[2] * 0x10000u + at[1] * 0x100u + at[0];
    unsigned value = at[0] + at[1] * 256;
    unsigned green = bpp == 15 ? 5 : 6;
    return expand(value, green + 5, 5) << 16 | expand(value, 5, green) << 8 | expand(value, 0, 5);
}

/* ---- the picture ---- */

static uint32_t dot_at(const Model *m, unsigned phase, Line l, unsigned x)
{
    x = x / (bit(m->seq[1], 3) ? 2 : 1) + dots_panned(m, l);
    return bit(m->gfx[6], 0) ? graphics_dot(m, l, x) : text_dot(m, phase, l, x);
}

bool model_blinks(const Model *m) { return !vbe_on(m) && !bit(m->gfx[6], 0); }

uint32_t *model_picture(const Model *m, unsigned phase, unsigned *width, unsigned *height)
{
    bool off = bit(m->seq[1], 5) || !bit(m->attr_index, 5);
    uint32_t border = bit(m->seq[1], 5) ? 0 : dac_color(m, m->attr[0x11]);
    *width = (m->crtc[1] + 1) * character_dots(m) * (bit(m->seq[1], 3) ? 2 : 1);
    *height = lines_displayed(m) * lines_times(m);
    if (vbe_on(m)) {
        *width = m->vbe[XRES];
        *height = m->vbe[YRES];
    }
    uint32_t *dots = g_new(uint32_t, (gsize)*width * *height), *to = dots;
    for (unsigned y = 0; y < *height; y++) {
        Line l = line_of(m, y);
        for (unsigned x = 0; x < *width; x++)
            *to++ = off ? border : vbe_on(m) ? vbe_dot(m, x, y) : dot_at(m, phase, l, x);
    }
    return dots;
}

double model_frame_ns(const Model *m)
{
    unsigned lines = m->crtc[6] + bit(m->crtc[7], 0) * 256 + bit(m->crtc[7], 5) * 512 + 2;
    double hz = (m->misc >> 2 & 3) == 1 ? 28322000 : 25175000;
    double dots = (m->crtc[0] + 5) * (bit(m->seq[1], 0) ? 8 : 9) * (bit(m->seq[1], 3) ? 2 : 1);
    return 1e9 / hz * dots * lines * lines_times(m);
}
