/*
 * The Cirrus CL-GD5446 on a bench: blits of all kinds beside a plain one written here, extended registers, banks and
 * write modes, the pointer, frame buffers of all depths, a state saved amid a blit.
 */
#include "hw/display/cirrus.h"
#include "tests/unit/card_bench.h"
#include "util/endian.h"

enum { MEMORY = 4 << 20, PATTERN = 0x200000 };
#define FEED (LFB + 0x1000000u)
#define BLIT (MMIO + 0x100u)

static void card_init(Card *c)
{
    card_up(c, 32 * MiB, &cirrus_vga_type, 1, NULL, NULL);
    c->chance = g_rand_new_with_seed(5446);
}

static void card_exit(Card *c)
{
    g_rand_free(c->chance);
    card_down(c);
}

static uint8_t index_read(Card *c, uint16_t port, uint8_t n)
{
    out(&c->b, port, n);
    return in(&c->b, port + 1);
}

static uint32_t chance(Card *c, uint32_t below) { return g_rand_int(c->chance) % below; }

static void dac_hidden(Card *c, uint8_t v)
{
    for (unsigned n = 0; n < 4; n++)
        in(&c->b, 0x3c6);
    out(&c->b, 0x3c6, v);
}

/* A packed mode of that depth: SR7 and the hidden register. */
static void mode_set(Card *c, unsigned columns, unsigned lines, unsigned bpp)
{
    unsigned pitch = columns * ((bpp + 7) / 8);
    out(&c->b, 0x3c2, 0x67);
    seq(c, 1, 1);
    seq(c, 4, 0x0e);
    seq(c, 7, bpp == 8 ? 0x11 : bpp <= 16 ? 0x17 : bpp == 24 ? 0x15 : 0x19);
    dac_hidden(c, bpp == 16 ? 0xc1 : bpp == 15 ? 0xf0 : bpp > 16 ? 0xc5 : 0);
    gfx(c, 6, 5);
    crtc(c, 0x11, 0);
    crtc(c, 1, columns - 1);
    crtc(c, 0x13, pitch);
    crtc(c, 0x1b, 0x22 | (pitch & 0x100) >> 4);
    crtc(c, 0x12, lines - 1);
    crtc(c, 7, (lines - 1) >> 7 & 2 ? 2 : 0);
    crtc(c, 9, 0x40);
    crtc(c, 0x17, 0xc3);
    crtc(c, 0x18, 0xff);
    out(&c->b, 0x3c6, 0xff);
    in(&c->b, 0x3da);
    out(&c->b, 0x3c0, 0x20);
}

static uint32_t pixel(const Card *c, unsigned x, unsigned y)
{
    return c->con->surface.pixels[y * c->con->surface.width + x];
}

/* ---- blits, plainly ---- */

typedef struct Want {
    unsigned width, height, to_pitch, from_pitch, mode, mode_2, rop, clip, key; /* width in bytes, both not less one */
    uint32_t to, from, foreground, background;
} Want;

enum { BACKWARD = 1, FROM_SYSTEM = 4, TRANSPARENT = 8, PATTERN_MODE = 0x40, EXPAND = 0x80 };

static uint8_t rop_of(unsigned code, uint8_t s, uint8_t d)
{
    static const struct { uint8_t code, table; } rops[] = { /* bit 2 * s + d of the table is the result */
        { 0x00, 0x0 }, { 0x05, 0x8 }, { 0x06, 0xa }, { 0x09, 0x4 }, { 0x0b, 0x5 }, { 0x0d, 0xc }, { 0x0e, 0xf },
        { 0x50, 0x2 }, { 0x59, 0x6 }, { 0x6d, 0xe }, { 0x90, 0x1 }, { 0x95, 0x9 }, { 0xad, 0xd }, { 0xd0, 0x3 },
        { 0xd6, 0xb }, { 0xda, 0x7 },
    };
    unsigned k = 0;
    uint8_t result = 0;
    while (rops[k].code != code)
        k++;
    for (unsigned n = 0; n < 8; n++)
        result |= (rops[k].table >> ((s >> n & 1) * 2 + (d >> n & 1)) & 1) << n;
    return result;
}

/* Byte k of the source's pixel x of line y; whether the pixel is drawn at all. */
static uint8_t source_of(const Want *w, const uint8_t *memory, const uint8_t *fed, unsigned x, unsigned y, unsigned k,
                         bool *drawn)
{
    unsigned bytes = (w->mode >> 4 & 3) + 1, pixels = (w->width + bytes - 1) / bytes, line = (pixels + 7) / 8;
    unsigned skip = bytes == 3 ? (w->clip & 31) / 3 : w->clip & 7, row = (w->from + y) & 7;
    const uint8_t *from = fed ? fed : memory + w->from;
    *drawn = true;
    if (w->mode & EXPAND) {
        uint8_t bits = from[y * (w->mode_2 & 1 && fed ? (line + 3) / 4 * 4 : line) + x / 8];
        if (w->mode & PATTERN_MODE)
            bits = fed ? fed[row] : memory[(w->from & ~7u) + row];
        bool set = bits >> (7 - x % 8) & 1, on = set;
        if (w->mode & PATTERN_MODE && w->mode_2 & 4 && !(w->mode & TRANSPARENT))
            return w->foreground >> 8 * k;
        if (w->mode & TRANSPARENT && w->mode_2 & 2)
            on = !set;
        *drawn = x >= skip && (on || !(w->mode & TRANSPARENT));
        return (set ? w->foreground : w->background) >> 8 * k;
    }
    if (w->mode & PATTERN_MODE) {
        unsigned pitch = bytes == 3 ? 32 : 8 * bytes, size = 8 * pitch;
        const uint8_t *pattern = fed ? fed : memory + (w->from & ~(size - 1));
        *drawn = x >= skip;
        return pattern[row * pitch + x % 8 * bytes + k];
    }
    return from[y * (fed ? (w->width + 3) / 4 * 4 : w->from_pitch) + x * bytes + k];
}

/* What memory is afterwards.  Copies are taken from how it was before: if they overlap, the direction is right for it. */
static void blit_plainly(const Want *w, uint8_t *memory, const uint8_t *fed)
{
    g_autofree uint8_t *before = g_memdup2(memory, MEMORY);
    unsigned bytes = (w->mode >> 4 & 3) + 1;
    bool keyed = w->mode & TRANSPARENT && !(w->mode & (EXPAND | PATTERN_MODE));
    for (unsigned y = 0; y < w->height; y++)
        for (unsigned x = 0; x < (w->width + bytes - 1) / bytes; x++) {
            uint32_t at = w->to + y * w->to_pitch + x * bytes, result = 0;
            bool drawn = true;
            for (unsigned k = 0; k < bytes; k++)
                result |= (uint32_t)rop_of(w->rop, source_of(w, before, fed, x, y, k, &drawn), before[at + k]) << 8 * k;
            if (keyed && result == (bytes == 1 ? w->key & 0xff : w->key))
                continue;
            for (unsigned k = 0; k < bytes && x * bytes + k < w->width && drawn; k++)
                memory[at + k] = result >> 8 * k;
        }
}

/* ---- blits, by the card ---- */

/* By the registers in memory, or those of the graphics controller. */
static void blit_register(Card *c, bool mmio, unsigned offset, unsigned n, uint8_t v)
{
    if (mmio)
        poke(c, BLIT + offset, v, 1);
    else
        gfx(c, n, v);
}

static void blit_start(Card *c, const Want *w, bool mmio)
{
    static const uint8_t background[4] = { 0, 0x10, 0x12, 0x14 }, foreground[4] = { 1, 0x11, 0x13, 0x15 };
    uint32_t last = w->mode & BACKWARD ? w->width - 1 : 0;
    uint32_t to = w->to + last + (w->mode & BACKWARD ? (w->height - 1) * w->to_pitch : 0);
    uint32_t from = w->from + last + (w->mode & BACKWARD ? (w->height - 1) * w->from_pitch : 0);
    uint16_t pairs[4] = { w->width - 1, w->height - 1, w->to_pitch, w->from_pitch };
    for (unsigned k = 0; k < 4; k++) {
        blit_register(c, mmio, k, background[k], w->background >> 8 * k);
        blit_register(c, mmio, 4 + k, foreground[k], w->foreground >> 8 * k);
        blit_register(c, mmio, 8 + 2 * k, 0x20 + 2 * k, pairs[k]);
        blit_register(c, mmio, 9 + 2 * k, 0x21 + 2 * k, pairs[k] >> 8);
    }
    for (unsigned k = 0; k < 3; k++) {
        blit_register(c, mmio, 0x10 + k, 0x28 + k, to >> 8 * k);
        blit_register(c, mmio, 0x14 + k, 0x2c + k, from >> 8 * k);
    }
    blit_register(c, mmio, 0x17, 0x2f, w->clip);
    blit_register(c, mmio, 0x18, 0x30, w->mode);
    blit_register(c, mmio, 0x1a, 0x32, w->rop);
    blit_register(c, mmio, 0x1b, 0x33, w->mode_2);
    blit_register(c, mmio, 0x1c, 0x34, w->key);
    blit_register(c, mmio, 0x1d, 0x35, w->key >> 8);
    blit_register(c, mmio, 0x40, 0x31, 2);
}

static void memory_random(Card *c, uint8_t *memory)
{
    for (unsigned n = 0; n < MEMORY; n += 4)
        st32le(memory + n, g_rand_int(c->chance));
    as_write_bytes(c->b.m->memory, LFB, memory, MEMORY);
}

static void memory_compare(Card *c, const uint8_t *memory, const Want *w)
{
    g_autofree uint8_t *got = g_malloc(MEMORY);
    as_read_bytes(c->b.m->memory, LFB, got, MEMORY);
    for (unsigned n = 0; n < MEMORY; n++)
        if (got[n] != memory[n])
            g_error("mode %02x/%02x rop %02x clip %u, %u x %u: byte %06x (to %06x, pitch %u) is %02x instead of %02x",
                    w->mode, w->mode_2, w->rop, w->clip, w->width, w->height, n, w->to, w->to_pitch, got[n],
                    memory[n]);
}

static const uint8_t rop_codes[16] = { 0x00, 0x05, 0x06, 0x09, 0x0b, 0x0d, 0x0e, 0x50, 0x59, 0x6d, 0x90, 0x95, 0xad,
                                       0xd0, 0xd6, 0xda };

static Want want_random(Card *c, unsigned round, unsigned mode)
{
    unsigned bytes = round % 4 + 1;
    Want w = { .width = (1 + chance(c, 60)) * bytes, .height = 1 + chance(c, 20), .to_pitch = 256 + chance(c, 300),
               .from_pitch = 256 + chance(c, 300), .mode = mode | (bytes - 1) << 4, .rop = rop_codes[round / 4 % 16],
               .clip = chance(c, 4) ? 0 : chance(c, 8), .key = g_rand_int(c->chance) & 0xffff,
               .to = chance(c, 0x100000), .from = PATTERN + chance(c, 0x100000),
               .foreground = g_rand_int(c->chance), .background = g_rand_int(c->chance) };
    if (mode & EXPAND)
        w.mode_2 = chance(c, 8);
    return w;
}

/* Each of the ways, with all raster operations and depths. */
static void test_blits(void)
{
    static const uint8_t modes[] = { 0, BACKWARD, TRANSPARENT, PATTERN_MODE, EXPAND, EXPAND | TRANSPARENT,
                                     EXPAND | PATTERN_MODE, EXPAND | PATTERN_MODE | TRANSPARENT };
    g_autofree uint8_t *memory = g_malloc(MEMORY);
    Card c;
    card_init(&c);
    mode_set(&c, 80, 480, 8);
    memory_random(&c, memory);
    for (unsigned m = 0; m < G_N_ELEMENTS(modes); m++) {
        Want w = { 0 };
        for (unsigned round = 0; round < 64; round++) {
            if (modes[m] == TRANSPARENT && round % 4 > 1)
                continue;
            w = want_random(&c, round, modes[m]);
            blit_start(&c, &w, round & 1);
            g_assert_cmphex(index_read(&c, 0x3ce, 0x31) & 3, ==, 0);
            blit_plainly(&w, memory, NULL);
        }
        memory_compare(&c, memory, &w);
    }
    card_exit(&c);
}

/* Areas that overlap, moved in the direction that is right for it. */
static void test_overlap(void)
{
    g_autofree uint8_t *memory = g_malloc(MEMORY);
    Card c;
    card_init(&c);
    mode_set(&c, 80, 480, 8);
    memory_random(&c, memory);
    for (unsigned n = 0; n < 2; n++) {
        Want w = { .width = 300, .height = 50, .to_pitch = 640, .from_pitch = 640, .mode = n ? BACKWARD : 0,
                   .rop = 0x0d, .to = n ? 0x10000 + 643 : 0x10000, .from = n ? 0x10000 : 0x10000 + 643 };
        blit_start(&c, &w, true);
        blit_plainly(&w, memory, NULL);
        memory_compare(&c, memory, &w);
    }
    /* behind the end of memory it goes on at 0 */
    Want w = { .width = 64, .height = 4, .to_pitch = 64, .from_pitch = 64, .rop = 0x0d, .to = MEMORY - 100,
               .from = PATTERN };
    blit_start(&c, &w, true);
    g_assert_cmphex(peek(&c, LFB + 28, 4), ==, ld32le(memory + PATTERN + 128));
    g_assert_cmphex(peek(&c, LFB + MEMORY - 4, 4), ==, ld32le(memory + PATTERN + 96));
    card_exit(&c);
}

static unsigned feed_size(const Want *w)
{
    unsigned bytes = (w->mode >> 4 & 3) + 1, line = ((w->width + bytes - 1) / bytes + 7) / 8;
    if (w->mode & PATTERN_MODE)
        return w->mode & EXPAND ? 8 : bytes == 3 ? 256 : 64 * bytes;
    if (!(w->mode & EXPAND))
        return (w->width + 3) / 4 * 4 * w->height;
    return (w->mode_2 & 1 ? (line + 3) / 4 * 4 : line) * w->height;
}

/* The processor's bytes come through the window of blits, the linear frame buffer, or banks, in double words. */
static void feed(Card *c, const uint8_t *bytes, unsigned from, unsigned to, unsigned way)
{
    static const uint32_t places[3] = { FEED, LFB, 0xa0000 };
    for (unsigned n = from; n < to; n += 4)
        poke(c, places[way] + n % 0x1000, ld32le(bytes + n), 4);
}

static void test_from_system(void)
{
    static const uint8_t modes[] = { 0, TRANSPARENT, PATTERN_MODE, EXPAND, EXPAND | TRANSPARENT,
                                     EXPAND | PATTERN_MODE };
    g_autofree uint8_t *memory = g_malloc(MEMORY), *fed = g_malloc(MEMORY);
    Card c;
    card_init(&c);
    mode_set(&c, 80, 480, 8);
    memory_random(&c, memory);
    for (unsigned n = 0; n < MEMORY; n += 4)
        st32le(fed + n, g_rand_int(c.chance));
    for (unsigned m = 0; m < G_N_ELEMENTS(modes); m++) {
        Want w = { 0 };
        for (unsigned round = 0; round < 64; round++) {
            if (modes[m] == TRANSPARENT && round % 4 > 1)
                continue;
            w = want_random(&c, round, modes[m] | FROM_SYSTEM);
            blit_start(&c, &w, round & 1);
            g_assert_cmphex(index_read(&c, 0x3ce, 0x31) & 1, ==, 1);
            feed(&c, fed, 0, feed_size(&w), round % 3);
            g_assert_cmphex(index_read(&c, 0x3ce, 0x31) & 3, ==, 0);
            blit_plainly(&w, memory, fed);
        }
        memory_compare(&c, memory, &w);
    }
    /* given up by the reset bit: memory is memory again */
    Want w = { .width = 64, .height = 4, .to_pitch = 64, .mode = FROM_SYSTEM, .rop = 0x0d, .to = 0 };
    blit_start(&c, &w, true);
    gfx(&c, 0x31, 4);
    gfx(&c, 0x31, 0);
    poke(&c, LFB + 0x3000, 0x12345678, 4);
    g_assert_cmphex(peek(&c, LFB + 0x3000, 4), ==, 0x12345678);
    /* which is plain memory for the processor again when there was no blit for a while */
    g_assert_null(as_lookup(c.b.m->memory, LFB).host);
    for (int64_t end = g_get_monotonic_time() + 10 * G_USEC_PER_SEC; !as_lookup(c.b.m->memory, LFB).host;) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_main_context_iteration(c.b.m->context, TRUE);
    }
    card_exit(&c);
}

/* Saved amid a blit from system memory, it goes on in another machine. */
static void test_save(void)
{
    g_autofree uint8_t *memory = g_malloc(MEMORY), *fed = g_malloc(MEMORY);
    GError *err = NULL;
    Card a, b;
    Want w = { .width = 200, .height = 30, .to_pitch = 640, .mode = FROM_SYSTEM | EXPAND | 0x10, .rop = 0x59,
               .to = 0x5000, .foreground = 0x1234, .background = 0x9876, .mode_2 = 1 };
    card_init(&a);
    card_init(&b);
    mode_set(&a, 80, 480, 16);
    memory_random(&a, memory);
    for (unsigned n = 0; n < 4096; n++)
        fed[n] = n * 7;
    blit_start(&a, &w, true);
    feed(&a, fed, 0, 100, 0);
    g_autoptr(GByteArray) saved = machine_save(a.b.m);
    g_assert_true(machine_load(b.b.m, saved->data, saved->len, &err));
    g_assert_no_error(err);
    feed(&b, fed, 100, feed_size(&w), 1);
    g_assert_cmphex(index_read(&b, 0x3ce, 0x31) & 3, ==, 0);
    blit_plainly(&w, memory, fed);
    memory_compare(&b, memory, &w);
    console_update(b.con, false);
    g_assert_cmpuint(b.con->surface.width, ==, 640);
    card_exit(&a);
    card_exit(&b);
}

/* ---- registers ---- */

static void test_registers(void)
{
    Card c;
    card_init(&c);
    g_assert_cmphex(pci_bus_config_read(c.bus, DEVFN << 8, 4), ==, 0x00b81013);
    g_assert_cmphex(pci_bus_config_read(c.bus, DEVFN << 8 | 8, 4) >> 8, ==, 0x030000);
    out(&c.b, 0x3c2, 0x67);
    g_assert_cmphex(index_read(&c, 0x3d4, 0x27), ==, 0xb8);
    g_assert_cmphex(index_read(&c, 0x3c4, 6), ==, 0x0f);
    seq(&c, 6, 0x12);
    g_assert_cmphex(index_read(&c, 0x3c4, 6), ==, 0x12);
    seq(&c, 6, 0);
    g_assert_cmphex(index_read(&c, 0x3c4, 6), ==, 0x0f);
    gfx(&c, 0, 0xa5);
    g_assert_cmphex(index_read(&c, 0x3ce, 0), ==, 0xa5);
    gfx(&c, 5, 0xff);
    g_assert_cmphex(index_read(&c, 0x3ce, 5), ==, 0x7f);
    gfx(&c, 5, 0);
    gfx(&c, 0x21, 0xff);
    g_assert_cmphex(index_read(&c, 0x3ce, 0x21), ==, 0x1f);
    g_assert_cmphex(peek(&c, BLIT + 9, 1), ==, 0x1f);
    dac_hidden(&c, 0xc1);
    for (unsigned n = 0; n < 4; n++)
        g_assert_cmphex(in(&c.b, 0x3c6), ==, 0xff);
    g_assert_cmphex(in(&c.b, 0x3c6), ==, 0xc1);
    poke(&c, MMIO + 8, 5, 1); /* 3C8h */
    g_assert_cmphex(in(&c.b, 0x3c8), ==, 5);
    g_assert_cmphex(index_read(&c, 0x3d4, 0x24), ==, 0);
    out(&c.b, 0x3c0, 0x31);
    g_assert_cmphex(index_read(&c, 0x3d4, 0x24), ==, 0x80);
    g_assert_cmphex(index_read(&c, 0x3d4, 0x26), ==, 0x31);
    /* the monitor's wires: a start and an address that is acknowledged */
    static const uint8_t wires[] = { 3, 1, 0 };
    for (unsigned n = 0; n < sizeof wires; n++)
        seq(&c, 8, wires[n]);
    for (unsigned n = 8; n--;) {
        unsigned data = 0xa0 >> n & 1 ? 2 : 0;
        seq(&c, 8, data);
        seq(&c, 8, data | 1);
        seq(&c, 8, data);
    }
    seq(&c, 8, 2);
    seq(&c, 8, 3);
    g_assert_cmphex(index_read(&c, 0x3c4, 8) & 0x84, ==, 4);
    card_exit(&c);
}

/* Banks of 4 and 16 KiB, one or two of them; write modes 4 and 5 in 8 and 16 bits. */
static void test_memory(void)
{
    Card c;
    card_init(&c);
    mode_set(&c, 80, 480, 8);
    gfx(&c, 9, 3);
    poke(&c, 0xa0010, 0x1122334455667788, 8);
    poke(&c, 0xa8010, 0xab, 1);
    g_assert_cmphex(peek(&c, LFB + 0x3010, 8), ==, 0x1122334455667788);
    g_assert_cmphex(peek(&c, LFB + 0xb010, 1), ==, 0xab);
    g_assert_nonnull(as_lookup(c.b.m->memory, 0xa0000).host);
    gfx(&c, 0x0b, 0x21);
    gfx(&c, 0x0a, 9);
    poke(&c, 0xa0010, 0x12, 1);
    poke(&c, 0xa8010, 0x34, 1);
    g_assert_cmphex(peek(&c, LFB + 0xc010, 1), ==, 0x12);
    g_assert_cmphex(peek(&c, LFB + 0x24010, 1), ==, 0x34);
    gfx(&c, 9, 0xff); /* half of this bank is behind the end of memory */
    poke(&c, 0xa3fff, 0x56, 1);
    poke(&c, 0xa4000, 0x78, 1);
    g_assert_cmphex(peek(&c, LFB + 0x3fffff, 1), ==, 0x56);
    g_assert_cmphex(peek(&c, 0xa4000, 1), ==, 0xff);
    g_assert_cmphex(peek(&c, LFB, 1), ==, 0);
    /* write modes */
    gfx(&c, 9, 0);
    gfx(&c, 0x0b, 6);
    gfx(&c, 0, 0x21);
    gfx(&c, 1, 0x43);
    gfx(&c, 5, 5);
    poke(&c, LFB + 0x100, 0xa1, 1);
    g_assert_null(as_lookup(c.b.m->memory, LFB).host);
    gfx(&c, 5, 4);
    poke(&c, LFB + 0x101, 0xff, 1);
    poke(&c, 0xa0102, 0x80, 1);
    gfx(&c, 5, 0);
    gfx(&c, 0x0b, 0);
    g_assert_cmphex(peek(&c, LFB + 0x800, 8), ==, 0x4321212121432143);
    g_assert_cmphex(peek(&c, LFB + 0x808, 8), ==, 0x4343434343434343);
    g_assert_cmphex(peek(&c, LFB + 0x810, 8), ==, 0x43);
    gfx(&c, 0x0b, 0x16);
    gfx(&c, 0x10, 0x65);
    gfx(&c, 0x11, 0x87);
    gfx(&c, 5, 5);
    poke(&c, LFB + 0x200, 0xc0, 1);
    gfx(&c, 5, 0);
    gfx(&c, 0x0b, 0);
    g_assert_cmphex(peek(&c, LFB + 0x2000, 8), ==, 0x6521652187438743);
    g_assert_cmphex(peek(&c, LFB + 0x2008, 8), ==, 0x6521652165216521);
    card_exit(&c);
}

/* Frame buffers of all depths: start address, pitch, lines shown twice. */
static void test_frames(void)
{
    static const struct { unsigned bpp, bytes; uint32_t value, shown; } depths[] = {
        { 8, 1, 5, 0xff0000 }, { 15, 2, 0x7c1f, 0xff00ff }, { 16, 2, 0x8410, 0x848284 }, { 24, 3, 0x123456, 0x123456 },
        { 32, 4, 0xab654321, 0x654321 }
    };
    Card c;
    card_init(&c);
    for (unsigned n = 0; n < G_N_ELEMENTS(depths); n++) {
        unsigned stride = 640 * depths[n].bytes, at = LFB + 4 * 0x12345 + 13 * stride + 101 * depths[n].bytes;
        mode_set(&c, 80, 480, depths[n].bpp);
        out(&c.b, 0x3c8, 5);
        out(&c.b, 0x3c9, 63);
        out(&c.b, 0x3c9, 0);
        out(&c.b, 0x3c9, 0);
        crtc(&c, 0x0c, 0x23);
        crtc(&c, 0x0d, 0x45);
        crtc(&c, 0x1b, 0x23 | (stride / 8 & 0x100) >> 4);
        for (unsigned k = 0; k < depths[n].bytes; k++)
            poke(&c, at + k, depths[n].value >> 8 * k & 0xff, 1);
        console_update(c.con, false);
        g_assert_cmpuint(c.con->surface.width, ==, 640);
        g_assert_cmpuint(c.con->surface.height, ==, 480);
        g_assert_cmphex(pixel(&c, 101, 13), ==, depths[n].shown);
        crtc(&c, 9, 0xc0);
        console_update(c.con, false);
        g_assert_cmphex(pixel(&c, 101, 26), ==, depths[n].shown);
        g_assert_cmphex(pixel(&c, 101, 27), ==, depths[n].shown);
    }
    card_exit(&c);
}

/* The pointer inverts, shows two colours, or nothing; moving it draws the lines that it was and is on. */
static void test_pointer(void)
{
    Card c;
    card_init(&c);
    mode_set(&c, 80, 480, 32);
    poke(&c, LFB + (100 * 640 + 200) * 4, 0x0f0f0f, 4);
    uint32_t pattern = LFB + MEMORY - 16384 + 2 * 256;
    poke(&c, pattern, 0xc0, 1);        /* plane 0: dots 0 and 1 */
    poke(&c, pattern + 128, 0x60, 1);  /* plane 1: dots 1 and 2 */
    seq(&c, 0x12, 2);
    out(&c.b, 0x3c8, 0);
    for (unsigned n = 0; n < 48; n++)
        out(&c.b, 0x3c9, n < 3 ? 0x20 : n >= 45 ? 0x3f : 0);
    seq(&c, 0x12, 1);
    seq(&c, 0x13, 2);
    seq(&c, 0x10 | (200 & 7) << 5, 200 >> 3);
    seq(&c, 0x11 | (100 & 7) << 5, 100 >> 3);
    console_update(c.con, false);
    g_assert_cmphex(pixel(&c, 200, 100), ==, 0xf0f0f0);
    g_assert_cmphex(pixel(&c, 201, 100), ==, 0xffffff);
    g_assert_cmphex(pixel(&c, 202, 100), ==, 0x808080);
    g_assert_cmphex(pixel(&c, 203, 100), ==, 0);
    console_update(c.con, false);
    uint64_t seen = c.con->serial;
    console_update(c.con, false);
    seq(&c, 0x11 | (102 & 7) << 5, 102 >> 3);
    console_update(c.con, false);
    unsigned lines = 0;
    for (unsigned y = 0; y < 480; y++)
        lines += c.con->line_serial[y] > seen;
    g_assert_cmpuint(lines, ==, 34);
    g_assert_cmphex(pixel(&c, 200, 100), ==, 0x0f0f0f);
    g_assert_cmphex(pixel(&c, 200, 102), ==, 0xffffff);
    /* large, at the right and lower edge */
    poke(&c, LFB + MEMORY - 16384 + 8, 0x80, 1);
    seq(&c, 0x13, 0);
    seq(&c, 0x12, 5);
    seq(&c, 0x10 | (639 & 7) << 5, 639 >> 3);
    seq(&c, 0x11 | (479 & 7) << 5, 479 >> 3);
    console_update(c.con, false);
    g_assert_cmphex(pixel(&c, 639, 479), ==, 0x808080);
    seq(&c, 0x12, 0);
    console_update(c.con, false);
    g_assert_cmphex(pixel(&c, 639, 479), ==, 0);
    card_exit(&c);
}

/* Any registers, any accesses: nothing breaks, and a picture drawn bit by bit is the one drawn anew. */
static void test_random(void)
{
    static const uint16_t ports[] = { 0x3c0, 0x3c2, 0x3c4, 0x3c5, 0x3c6, 0x3c8, 0x3c9, 0x3ce, 0x3cf, 0x3d4, 0x3d5,
                                      0x3da };
    Card c;
    card_init(&c);
    for (unsigned round = 0; round < 300; round++) {
        if (chance(&c, 2))
            mode_set(&c, 1 + chance(&c, 160), 1 + chance(&c, 400), 8 * (1 + chance(&c, 4)));
        for (unsigned n = chance(&c, 30); n--;)
            out(&c.b, ports[chance(&c, G_N_ELEMENTS(ports))], g_rand_int(c.chance));
        for (unsigned n = chance(&c, 30); n--;)
            poke(&c, BLIT + chance(&c, 0x44), g_rand_int(c.chance), 1 << chance(&c, 3));
        poke(&c, BLIT + 0x0b, 0, 1); /* few lines */
        poke(&c, BLIT + 0x40, chance(&c, 4) ? 0 : 2, 1);
        console_update(c.con, false);
        for (unsigned n = 0; n < 60; n++) {
            poke(&c, 0xa0000 + chance(&c, 0x20000 - 8), g_rand_int(c.chance), 1 << chance(&c, 4));
            poke(&c, LFB + chance(&c, MEMORY - 8), g_rand_int(c.chance), 1 << chance(&c, 4));
            poke(&c, FEED + chance(&c, 0x1000), g_rand_int(c.chance), 4);
            peek(&c, 0xa0000 + chance(&c, 0x20000 - 8), 8);
            peek(&c, LFB + chance(&c, MEMORY - 8), 4);
        }
        assert_drawn_whole(&c);
    }
    card_exit(&c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cirrus/registers", test_registers);
    g_test_add_func("/cirrus/memory", test_memory);
    g_test_add_func("/cirrus/blits", test_blits);
    g_test_add_func("/cirrus/overlap", test_overlap);
    g_test_add_func("/cirrus/from-system", test_from_system);
    g_test_add_func("/cirrus/save", test_save);
    g_test_add_func("/cirrus/frames", test_frames);
    g_test_add_func("/cirrus/pointer", test_pointer);
    g_test_add_func("/cirrus/random", test_random);
    return g_test_run();
}
