/*
 * The Cirrus card's hardware cursor: 32 x 32 or 64 x 64 dots in two planes at the end of memory (TRM, registers SR10 to
 * SR13).  As it inverts what is below it, it is drawn into the picture.
 */
#include <string.h>

#include "hw/display/cirrus_state.h"

enum { POINTER_ON = 1, POINTER_LARGE = 4, PATTERN_AREA = 16 << 10, PATTERN_SMALL = 256 };

/* Small: plane 0 of all lines, then plane 1.  Large: each line has both, of eight bytes. */
static void planes_read(const Cirrus *c, CirrusPointer *p)
{
    const uint8_t *area = c->vga.memory + CIRRUS_MEMORY - PATTERN_AREA;
    unsigned number = c->sr[SR_POINTER_PATTERN], bytes = p->size / 8;
    area += p->size == 64 ? (number & 0x3c) * PATTERN_SMALL : (number & 0x3f) * PATTERN_SMALL;
    for (unsigned y = 0; y < p->size; y++)
        for (unsigned plane = 0; plane < 2; plane++)
            memcpy(p->plane[plane] + 8 * y, area + (p->size == 64 ? 16 * y + 8 * plane : 4 * y + 128 * plane), bytes);
}

static uint32_t color_of(const Cirrus *c, unsigned n)
{
    const uint8_t *p = c->pointer_palette + 3 * n;
    return vga_widen(p[0]) << 16 | vga_widen(p[1]) << 8 | vga_widen(p[2]);
}

static void pointer_read(const Cirrus *c, CirrusPointer *p)
{
    memset(p, 0, sizeof *p);
    if (!(c->sr[SR_POINTER] & POINTER_ON))
        return;
    p->size = c->sr[SR_POINTER] & POINTER_LARGE ? 64 : 32;
    p->x = c->pointer_x;
    p->y = c->pointer_y;
    p->color[0] = color_of(c, 0);
    p->color[1] = color_of(c, 15);
    planes_read(c, p);
}

static bool same(const CirrusPointer *a, const CirrusPointer *b)
{
    return a->x == b->x && a->y == b->y && a->size == b->size && a->color[0] == b->color[0] &&
           a->color[1] == b->color[1] && !memcmp(a->plane, b->plane, sizeof a->plane);
}

bool cirrus_pointer_look(Vga *v, bool all)
{
    Cirrus *c = (Cirrus *)v;
    c->pointer_before = c->pointer;
    pointer_read(c, &c->pointer);
    c->pointer_redraw = all || !same(&c->pointer, &c->pointer_before);
    return c->pointer_redraw;
}

static bool covers(const CirrusPointer *p, unsigned y) { return y >= p->y && y - p->y < p->size; }

bool cirrus_pointer_changed(const Vga *v, unsigned y)
{
    const Cirrus *c = (const Cirrus *)v;
    return c->pointer_redraw && (covers(&c->pointer, y) || covers(&c->pointer_before, y));
}

/* Of planes 0 and 1: neither, the picture; 0 alone, the picture inverted; 1 alone, colour 0; both, colour 1. */
void cirrus_pointer_draw(const Vga *v, unsigned y, uint32_t *dots, unsigned width)
{
    const CirrusPointer *p = &((const Cirrus *)v)->pointer;
    if (!covers(p, y))
        return;
    const uint8_t *invert = p->plane[0] + 8 * (y - p->y), *show = p->plane[1] + 8 * (y - p->y);
    for (unsigned k = 0; k < p->size && p->x + k < width; k++) {
        bool a = invert[k / 8] >> (7 - k % 8) & 1, b = show[k / 8] >> (7 - k % 8) & 1;
        if (b)
            dots[p->x + k] = p->color[a];
        else if (a)
            dots[p->x + k] ^= 0xffffff;
    }
}
