/* Graphics cards with a VGA in them on a bench: where they are on the bus, and the registers that all have. */
#ifndef MYNA_TESTS_UNIT_CARD_BENCH_H
#define MYNA_TESTS_UNIT_CARD_BENCH_H

#include "hw/display/console.h"
#include "hw/pci/pci.h"
#include "tests/unit/bench.h"

enum { DEVFN = 2 << 3 };
#define LFB 0xe0000000u
#define MMIO 0xe8000000u

typedef struct Card {
    Bench b;
    CpuPort port;
    PciBus *bus;
    Device *dev;
    Console *con;
    GRand *chance; /* the test's own, or not set */
} Card;

/* With a pool of so many bytes; its frame buffer is BAR 0, its registers are those of BAR mmio_bar. */
static inline void card_up(Card *c, uint64_t pool, const DeviceType *type, unsigned mmio_bar, const char *property,
                           const char *value)
{
    bench_init_sized(&c->b, &c->port, pool);
    c->bus = pci_bus_new(c->b.m, c->b.m->memory, c->b.m->ports);
    c->dev = bench_add(&c->b, type, property, value);
    c->con = console_nth(c->b.m, 0);
    g_assert_nonnull(c->con);
    pci_bus_config_write(c->bus, DEVFN << 8 | PCI_BAR0, LFB, 4);
    pci_bus_config_write(c->bus, DEVFN << 8 | (PCI_BAR0 + 4 * mmio_bar), MMIO, 4);
    pci_bus_config_write(c->bus, DEVFN << 8 | PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY, 2);
}

static inline void card_down(Card *c)
{
    device_remove(c->dev);
    g_assert_null(console_nth(c->b.m, 0));
    pci_bus_free(c->bus);
    bench_exit(&c->b);
}

static inline void poke(Card *c, uint32_t at, uint64_t v, unsigned size) { as_write(c->b.m->memory, at, v, size); }
static inline uint64_t peek(Card *c, uint32_t at, unsigned size) { return as_read(c->b.m->memory, at, size); }

static inline void index_write(Card *c, uint16_t port, uint8_t n, uint8_t v)
{
    as_write(c->b.m->ports, port, v << 8 | n, 2);
}

static inline void seq(Card *c, uint8_t n, uint8_t v) { index_write(c, 0x3c4, n, v); }
static inline void gfx(Card *c, uint8_t n, uint8_t v) { index_write(c, 0x3ce, n, v); }
static inline void crtc(Card *c, uint8_t n, uint8_t v) { index_write(c, 0x3d4, n, v); }

/* Drawing what has changed leaves the picture that drawing all makes. */
static inline void assert_drawn_whole(Card *c)
{
    const Surface *s = &c->con->surface;
    console_update(c->con, false);
    gsize bytes = (gsize)s->width * s->height * 4;
    g_autofree uint32_t *before = g_memdup2(s->pixels, bytes);
    console_update(c->con, true);
    g_assert_true(!memcmp(before, s->pixels, bytes));
}

#endif
