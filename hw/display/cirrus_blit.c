/*
 * The Cirrus card's blitter (TRM, "BitBLT Engine"): screen to screen in both directions, system to screen, 8 x 8
 * patterns, colour expansion, sixteen raster operations, transparency.
 *
 * A line is taken as a whole from its source, combined with what is at its destination, and stored; memory goes on at 0
 * behind its end.  A blit is done when its start bit is written; only one from system memory takes time, that is until
 * the processor has delivered all its bytes.
 *
 * Known to be inexact: there is no blit from the screen to system memory; lines of a source that overlap their
 * destination in the wrong direction are not smeared within the line.
 */
#include <string.h>

#include "core/log.h"
#include "hw/display/cirrus_state.h"

enum { MODE_BACKWARD = 1, MODE_TO_SYSTEM = 2, MODE_FROM_SYSTEM = 4, MODE_TRANSPARENT = 8, MODE_PATTERN = 0x40,
       MODE_EXPAND = 0x80 };
enum { MODE_2_DWORDS = 1, MODE_2_INVERT = 2, MODE_2_SOLID = 4 };
enum { STATUS_BUSY = 1, STATUS_START = 2, STATUS_FIFO = 0x10 };
enum { PATTERN_LINES = 8, PATTERN_24_PITCH = 32 };

typedef struct Blit {
    uint32_t width, height;    /* bytes, lines */
    uint32_t to, from;         /* addresses, of the last byte when it goes backward */
    uint32_t to_pitch, from_pitch;
    uint8_t mode, mode_2, rop;
    unsigned pixel;            /* bytes */
    unsigned skip;             /* pixels at the left that are not drawn */
    uint32_t foreground, background, key, key_mask;
} Blit;

static uint32_t register_16(const Cirrus *c, unsigned n) { return c->gr[n] | c->gr[n + 1] << 8; }
static uint32_t register_24(const Cirrus *c, unsigned n) { return register_16(c, n) | c->gr[n + 2] << 16; }

static Blit blit_of(const Cirrus *c)
{
    Blit b = {
        .width = (register_16(c, GR_BLIT_WIDTH) & 0x1fff) + 1, .height = (register_16(c, GR_BLIT_HEIGHT) & 0x7ff) + 1,
        .to = register_24(c, GR_BLIT_TO) & cirrus_mask(), .from = register_24(c, GR_BLIT_FROM) & cirrus_mask(),
        .to_pitch = register_16(c, GR_BLIT_TO_PITCH) & 0x1fff,
        .from_pitch = register_16(c, GR_BLIT_FROM_PITCH) & 0x1fff,
        .mode = c->gr[GR_BLIT_MODE], .mode_2 = c->gr[GR_BLIT_MODE_2], .rop = c->gr[GR_BLIT_ROP],
        .pixel = (c->gr[GR_BLIT_MODE] >> 4 & 3) + 1, .skip = c->gr[GR_BLIT_CLIP] & 7,
        .foreground = cirrus_foreground(c), .background = cirrus_background(c),
        .key = register_16(c, GR_BLIT_KEY), .key_mask = register_16(c, GR_BLIT_KEY_MASK),
    };
    if (b.pixel == 3)
        b.skip = (c->gr[GR_BLIT_CLIP] & 0x1f) / 3;
    return b;
}

/* ---- memory ---- */

static void memory_read(const Cirrus *c, uint32_t at, uint8_t *to, uint32_t n)
{
    at &= cirrus_mask();
    uint32_t first = MIN(n, CIRRUS_MEMORY - at);
    memcpy(to, c->vga.memory + at, first);
    memcpy(to + first, c->vga.memory, n - first);
}

static void memory_write(Cirrus *c, uint32_t at, const uint8_t *from, uint32_t n)
{
    at &= cirrus_mask();
    uint32_t first = MIN(n, CIRRUS_MEMORY - at);
    memcpy(c->vga.memory + at, from, first);
    memcpy(c->vga.memory, from + first, n - first);
    vga_written(&c->vga, at, first);
    if (n > first)
        vga_written(&c->vga, 0, n - first);
}

/* ---- raster operations (TRM, register GR32) ---- */

#define ROP(name, expression)                                                                                          \
    static void name(uint8_t *to, const uint8_t *from, uint32_t n)                                                     \
    {                                                                                                                  \
        for (uint32_t k = 0; k < n; k++) {                                                                             \
            unsigned s = from[k], d = to[k];                                                                           \
            (void)s, (void)d;                                                                                          \
            to[k] = expression;                                                                                        \
        }                                                                                                              \
    }
ROP(rop_zero, 0)
ROP(rop_and, s & d)
ROP(rop_and_not, s & ~d)
ROP(rop_not, ~d)
ROP(rop_copy, s)
ROP(rop_one, 0xff)
ROP(rop_not_and, ~s & d)
ROP(rop_xor, s ^ d)
ROP(rop_or, s | d)
ROP(rop_nor, ~(s | d))
ROP(rop_equal, ~(s ^ d))
ROP(rop_or_not, s | ~d)
ROP(rop_copy_not, ~s)
ROP(rop_not_or, ~s | d)
ROP(rop_nand, ~(s & d))

typedef void RopFn(uint8_t *to, const uint8_t *from, uint32_t n);

/* NULL: the destination stays what it is, as with the codes that the manual does not have. */
static RopFn *rop_choose(uint8_t code)
{
    switch (code) {
    case 0x00: return rop_zero;
    case 0x05: return rop_and;
    case 0x09: return rop_and_not;
    case 0x0b: return rop_not;
    case 0x0d: return rop_copy;
    case 0x0e: return rop_one;
    case 0x50: return rop_not_and;
    case 0x59: return rop_xor;
    case 0x6d: return rop_or;
    case 0x90: return rop_nor;
    case 0x95: return rop_equal;
    case 0xad: return rop_or_not;
    case 0xd0: return rop_copy_not;
    case 0xd6: return rop_not_or;
    case 0xda: return rop_nand;
    default: return NULL;
    }
}

/* ---- lines ---- */

static void pixel_put(uint8_t *to, uint32_t color, unsigned bytes)
{
    for (unsigned k = 0; k < bytes; k++)
        to[k] = color >> 8 * k;
}

/* A source line: its bytes, and for each pixel whether it is drawn. */
typedef struct Line {
    uint8_t bytes[CIRRUS_LINE_MAX + 4], drawn[CIRRUS_LINE_MAX + 4];
    bool all;                  /* they are */
} Line;

/* One bit a pixel becomes a colour; with transparency only set bits are drawn. */
static void line_expand(const Blit *b, const uint8_t *bits, bool repeat, Line *l)
{
    bool transparent = b->mode & MODE_TRANSPARENT, invert = transparent && b->mode_2 & MODE_2_INVERT;
    uint32_t pixels = (b->width + b->pixel - 1) / b->pixel;
    for (uint32_t x = 0; x < pixels; x++) {
        bool set = (bits[repeat ? 0 : x / 8] >> (7 - x % 8) & 1) != invert;
        l->drawn[x] = x >= b->skip && (set || !transparent);
        pixel_put(l->bytes + x * b->pixel, set != invert ? b->foreground : b->background, b->pixel);
    }
    l->all = false;
}

static void line_pattern(const Blit *b, const uint8_t *pattern, unsigned row, Line *l)
{
    unsigned pitch = b->pixel == 3 ? PATTERN_24_PITCH : 8 * b->pixel;
    uint32_t pixels = (b->width + b->pixel - 1) / b->pixel;
    for (uint32_t x = 0; x < pixels; x++) {
        memcpy(l->bytes + x * b->pixel, pattern + row * pitch + x % 8 * b->pixel, b->pixel);
        l->drawn[x] = x >= b->skip;
    }
    l->all = b->skip == 0;
}

static void line_solid(const Blit *b, Line *l)
{
    for (uint32_t x = 0; x < b->width; x += b->pixel)
        pixel_put(l->bytes + x, b->foreground, b->pixel);
    l->all = true;
}

/* Pixels whose result is the key (GR34, GR35; bits of the mask do not count) leave the destination alone. */
static void line_key(const Blit *b, const uint8_t *result, Line *l)
{
    for (uint32_t x = 0; x * b->pixel < b->width; x++) {
        uint32_t value = b->pixel == 1 ? result[x] : ld16le(result + 2 * x), bits = b->pixel == 1 ? 0xff : 0xffff;
        l->drawn[x] = ((value ^ b->key) & bits & ~b->key_mask) != 0;
    }
    l->all = false;
}

static bool keyed(const Blit *b) { return b->mode & MODE_TRANSPARENT && !(b->mode & (MODE_EXPAND | MODE_PATTERN)); }

/* Combines a line with memory at `at`. */
static void line_store(Cirrus *c, const Blit *b, uint32_t at, Line *l)
{
    RopFn *rop = rop_choose(b->rop);
    uint8_t before[CIRRUS_LINE_MAX + 4], result[CIRRUS_LINE_MAX + 4];
    if (!rop)
        return;
    memory_read(c, at, before, b->width);
    memcpy(result, before, b->width);
    result[b->width] = 0; /* of a last pixel that is not whole */
    rop(result, l->bytes, b->width);
    if (keyed(b))
        line_key(b, result, l);
    for (uint32_t x = 0; !l->all && x < b->width; x++)
        if (!l->drawn[x / b->pixel])
            result[x] = before[x];
    memory_write(c, at, result, b->width);
}

/* ---- blits within memory ---- */

static void blit_pattern(Cirrus *c, const Blit *b, const uint8_t *pattern)
{
    bool solid = b->mode & MODE_EXPAND && !(b->mode & MODE_TRANSPARENT) && b->mode_2 & MODE_2_SOLID;
    Line l;
    for (uint32_t y = 0; y < b->height; y++) {
        unsigned row = (b->from + y) % PATTERN_LINES;
        if (solid)
            line_solid(b, &l);
        else if (b->mode & MODE_EXPAND)
            line_expand(b, pattern + row, true, &l);
        else
            line_pattern(b, pattern, row, &l);
        line_store(c, b, b->to + y * b->to_pitch, &l);
    }
}

/* Bytes of a pattern: 8 x 8 bits or pixels. */
static uint32_t pattern_size(const Blit *b)
{
    return b->mode & MODE_EXPAND ? PATTERN_LINES : b->pixel == 3 ? 8 * PATTERN_24_PITCH : 64 * b->pixel;
}

static void blit_pattern_of_memory(Cirrus *c, const Blit *b)
{
    uint8_t pattern[8 * 8 * 4];
    memory_read(c, b->from & ~(pattern_size(b) - 1), pattern, pattern_size(b));
    blit_pattern(c, b, pattern);
}

/* Bits of a line; lines follow each other without a pitch. */
static uint32_t expand_bytes(const Blit *b)
{
    uint32_t pixels = (b->width + b->pixel - 1) / b->pixel;
    return (pixels + 7) / 8;
}

static void blit_expand(Cirrus *c, const Blit *b)
{
    uint8_t bits[CIRRUS_LINE_MAX];
    Line l;
    for (uint32_t y = 0; y < b->height; y++) {
        memory_read(c, b->from + y * expand_bytes(b), bits, expand_bytes(b));
        line_expand(b, bits, false, &l);
        line_store(c, b, b->to + y * b->to_pitch, &l);
    }
}

/* Backward, addresses are those of last bytes, and lines go upward. */
static void blit_copy(Cirrus *c, const Blit *b)
{
    bool backward = b->mode & MODE_BACKWARD;
    Line l;
    for (uint32_t y = 0; y < b->height; y++) {
        uint32_t from = y * b->from_pitch, to = y * b->to_pitch;
        l.all = true;
        memory_read(c, backward ? b->from - from - (b->width - 1) : b->from + from, l.bytes, b->width);
        line_store(c, b, backward ? b->to - to - (b->width - 1) : b->to + to, &l);
    }
}

/* ---- blits from system memory ---- */

/* Each line is filled up to a double word; of expansions, to a byte unless mode extensions say otherwise. */
static uint32_t feed_line_bytes(const Blit *b)
{
    if (b->mode & MODE_PATTERN)
        return pattern_size(b);
    if (!(b->mode & MODE_EXPAND))
        return (b->width + 3) & ~3u;
    return b->mode_2 & MODE_2_DWORDS ? (expand_bytes(b) + 3) & ~3u : expand_bytes(b);
}

static void feed_begin(Cirrus *c, const Blit *b)
{
    CirrusFeed *f = &c->feed;
    f->need = feed_line_bytes(b);
    f->have = f->line = f->total = 0;
    f->drop = 0;
    f->lines = b->mode & MODE_PATTERN ? 1 : b->height;
    c->gr[GR_BLIT_STATUS] |= STATUS_BUSY | STATUS_START;
}

static void feed_line(Cirrus *c)
{
    CirrusFeed *f = &c->feed;
    Blit b = blit_of(c);
    Line l = { .all = true };
    if (b.mode & MODE_PATTERN) {
        blit_pattern(c, &b, f->bytes);
        return;
    }
    if (b.mode & MODE_EXPAND)
        line_expand(&b, f->bytes, false, &l);
    else
        memcpy(l.bytes, f->bytes, b.width);
    line_store(c, &b, b.to + f->line * b.to_pitch, &l);
}

void cirrus_blit_feed(Cirrus *c, uint8_t byte)
{
    CirrusFeed *f = &c->feed;
    if (f->drop) {
        f->drop--;
        return;
    }
    f->bytes[f->have++] = byte;
    f->total++;
    if (f->have < f->need)
        return;
    feed_line(c);
    f->have = 0;
    f->line++;
    if (--f->lines)
        return;
    unsigned drop = -f->total & 3;
    cirrus_blit_reset(c);
    f->drop = drop;
}

/* Registers may be written meanwhile; what a line needs was fixed when the blit began. */
bool cirrus_blit_restored(Cirrus *c)
{
    const CirrusFeed *f = &c->feed;
    return f->need <= CIRRUS_LINE_MAX && f->drop < 4 && f->lines <= 2048 && !f->need == !f->lines &&
           (f->need ? f->have < f->need : !f->have);
}

/* ---- the engine ---- */

void cirrus_blit_reset(Cirrus *c)
{
    c->gr[GR_BLIT_STATUS] &= ~(STATUS_BUSY | STATUS_START | STATUS_FIFO);
    c->feed.need = c->feed.have = c->feed.lines = 0;
    c->feed.drop = 0;
}

/* What the engine cannot do; NULL: all is well. */
static const char *blit_refused(const Blit *b)
{
    if (b->mode & MODE_TO_SYSTEM)
        return "to system memory";
    if (keyed(b) && b->pixel > 2)
        return "with a transparent colour of more than 16 bits";
    return NULL;
}

void cirrus_blit_start(Cirrus *c)
{
    Blit b = blit_of(c);
    const char *refused = blit_refused(&b);
    if (refused) {
        log_guest_error("cirrus-vga: blit %s (mode 0x%02x) dropped", refused, b.mode);
    } else if (b.mode & MODE_FROM_SYSTEM) {
        feed_begin(c, &b);
        cirrus_window_fed(c);
        return;
    } else if (b.mode & MODE_PATTERN) {
        blit_pattern_of_memory(c, &b);
    } else if (b.mode & MODE_EXPAND) {
        blit_expand(c, &b);
    } else {
        blit_copy(c, &b);
    }
    cirrus_blit_reset(c);
}
