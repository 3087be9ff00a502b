/*
 * Two cascaded 8259A programmable interrupt controllers (Intel 8259A data sheet, order 231468), with the edge/level
 * control registers 4d0h and 4d1h of the PIIX south bridges, which take the place of ICW1's LTIM bit.
 */
#include "hw/intc/i8259.h"

#include "core/log.h"
#include "core/machine.h"
#include "hw/isa/isa_device.h"
#include "util/bits.h"

enum { CASCADE = 2, SPURIOUS = 7, NONE = -1 };
enum { ICW1_IC4 = 0x01, ICW1_SINGLE = 0x02, ICW1_LEVEL = 0x08, ICW1 = 0x10 };
enum { ICW4_AEOI = 0x02, ICW4_NESTED = 0x10 };
enum { OCW3 = 0x08, OCW3_RIS = 0x01, OCW3_RR = 0x02, OCW3_POLL = 0x04, OCW3_SMM = 0x20, OCW3_ESMM = 0x40 };

typedef struct I8259 I8259;

typedef struct Chip {
    I8259 *pair;
    bool master;
    uint8_t elcr_mask;     /* inputs that may be level-triggered */
    uint8_t lines;         /* levels of the inputs */
    uint8_t irr, isr, imr;
    uint8_t elcr;
    uint8_t base;          /* ICW2: vector of input 0 */
    uint8_t lowest;        /* input of lowest priority; the next one has the highest */
    uint8_t init_step;     /* ICW awaited at the odd port: 2, 3, 4, or 0 */
    bool needs_icw4, single, auto_eoi, rotate_on_auto_eoi, fully_nested, special_mask, read_isr, poll;
} Chip;

struct I8259 {
    Device dev;
    Region *regions[4];
    Chip chip[2];          /* master, slave */
    IrqLine intr;
    bool intr_level;
    bool slave_requested;  /* the request last shown on INTR came through the cascade */
};

/* The input of highest priority in a set, or 8 for none, as its distance from the top. */
static unsigned chip_rank(const Chip *c, uint8_t set)
{
    unsigned top = (c->lowest + 1) & 7;
    unsigned turned = (set >> top | set << (8 - top)) & 0xff;
    return turned ? bit_lowest(turned) : 8;
}

static unsigned chip_input_of_rank(const Chip *c, unsigned rank)
{
    return (c->lowest + 1 + rank) & 7;
}

/* The input to be served next, or NONE: the first unmasked request that nothing in service keeps back. */
static int chip_pending(const Chip *c)
{
    unsigned rank = chip_rank(c, c->irr & ~c->imr);
    uint8_t in_service = c->isr;

    if (c->special_mask)
        in_service &= ~c->imr;
    if (c->fully_nested && c->master)
        in_service &= ~(1 << CASCADE);
    return rank < chip_rank(c, in_service) ? (int)chip_input_of_rank(c, rank) : NONE;
}

static void chip_set_input(Chip *c, unsigned n, bool level)
{
    uint8_t bit = 1 << n;

    if (!level)
        c->irr &= ~bit;
    else if ((c->elcr & bit) || !(c->lines & bit))
        c->irr |= bit;
    c->lines = level ? c->lines | bit : c->lines & ~bit;
}

static void pair_update(I8259 *s)
{
    Chip *master = &s->chip[0];
    chip_set_input(master, CASCADE, chip_pending(&s->chip[1]) != NONE);

    int pending = chip_pending(master);
    if (pending != NONE)
        s->slave_requested = pending == CASCADE;
    if (s->intr_level == (pending != NONE))
        return;
    s->intr_level = pending != NONE;
    irq_set(&s->intr, s->intr_level);
}

static void pair_set_input(void *opaque, int n, int level)
{
    I8259 *s = opaque;

    if (n == CASCADE)
        return;
    chip_set_input(&s->chip[n >> 3], n & 7, level);
    pair_update(s);
}

/* INTA to one chip: moves a request into service.  An edge is used up, a level stays as long as its line. */
static void chip_accept(Chip *c, unsigned n)
{
    uint8_t bit = 1 << n;

    if (!(c->elcr & bit))
        c->irr &= ~bit;
    if (!c->auto_eoi)
        c->isr |= bit;
    else if (c->rotate_on_auto_eoi)
        c->lowest = n;
}

/* The vector of one chip; with no request left the chip answers as for input 7, without taking it into service. */
static int chip_acknowledge(Chip *c)
{
    int n = chip_pending(c);

    if (n != NONE)
        chip_accept(c, n);
    return c->base + (n == NONE ? SPURIOUS : n);
}

/*
 * A request may be withdrawn between the moment that a CPU saw INTR and its INTA.  If it was one of the slave's, the
 * master had already fixed on the cascade, so that the spurious vector is the slave's and the master is in service.
 */
static int pair_acknowledge(I8259 *s)
{
    Chip *master = &s->chip[0], *slave = &s->chip[1];
    int n = chip_pending(master), vector;

    if (n == CASCADE || (n == NONE && s->slave_requested)) {
        chip_accept(master, CASCADE);
        vector = chip_acknowledge(slave);
        chip_set_input(master, CASCADE, false); /* the slave's INT drops with INTA; a further request is a new edge */
    } else {
        vector = chip_acknowledge(master);
    }
    s->slave_requested = false;
    return vector;
}

int i8259_acknowledge(Device *dev)
{
    I8259 *s = (I8259 *)dev;
    int vector = pair_acknowledge(s);

    s->intr_level = false; /* INT drops between two requests: a new edge for a local APIC's LINT0 */
    irq_lower(&s->intr);
    pair_update(s);
    return vector;
}

/* Poll command: a read takes the place of INTA (8259A data sheet, "Poll Command"). */
static uint8_t chip_read_poll(Chip *c)
{
    int n = chip_pending(c);

    c->poll = false;
    if (n == NONE)
        return 0;
    chip_accept(c, n);
    pair_update(c->pair);
    return 0x80 | n;
}

static uint64_t chip_read(void *opaque, uint64_t offset, unsigned size)
{
    Chip *c = opaque;
    (void)size;

    if (c->poll)
        return chip_read_poll(c);
    if (offset == 1)
        return c->imr;
    return c->read_isr ? c->isr : c->irr;
}

/* ICW1: also clears the edge detectors, so that an input that is high needs a new edge. */
static void chip_write_icw1(Chip *c, uint8_t v)
{
    c->irr = c->lines & c->elcr;
    c->isr = c->imr = 0;
    c->lowest = 7;
    c->special_mask = c->read_isr = c->poll = c->rotate_on_auto_eoi = false;
    c->needs_icw4 = v & ICW1_IC4;
    c->single = v & ICW1_SINGLE;
    if (!c->needs_icw4)
        c->auto_eoi = c->fully_nested = false;
    c->init_step = 2;
    if (v & ICW1_LEVEL)
        log_guest_error("8259: ICW1 asks for level mode, which the edge/level registers decide");
}

static uint8_t chip_top_in_service(const Chip *c)
{
    uint8_t set = c->special_mask ? c->isr & ~c->imr : c->isr;
    unsigned rank = chip_rank(c, set);
    return rank == 8 ? 8 : chip_input_of_rank(c, rank);
}

static void chip_end_of_interrupt(Chip *c, unsigned n, bool rotate)
{
    if (n == 8)
        return;
    c->isr &= ~(1 << n);
    if (rotate)
        c->lowest = n;
}

/* OCW2, by its three command bits R, SL, EOI. */
static void chip_write_ocw2(Chip *c, uint8_t v)
{
    unsigned command = v >> 5, level = v & 7;

    switch (command) {
    case 0: c->rotate_on_auto_eoi = false; break;
    case 4: c->rotate_on_auto_eoi = true; break;
    case 1: case 5: chip_end_of_interrupt(c, chip_top_in_service(c), command == 5); break;
    case 3: case 7: chip_end_of_interrupt(c, level, command == 7); break;
    case 6: c->lowest = level; break;
    default: break; /* 2: no operation */
    }
}

static void chip_write_ocw3(Chip *c, uint8_t v)
{
    if (v & OCW3_POLL)
        c->poll = true;
    else if (v & OCW3_RR)
        c->read_isr = v & OCW3_RIS;
    if (v & OCW3_ESMM)
        c->special_mask = v & OCW3_SMM;
}

static void chip_write_icw4(Chip *c, uint8_t v)
{
    c->auto_eoi = v & ICW4_AEOI;
    c->fully_nested = v & ICW4_NESTED;
    if (!(v & 1))
        log_guest_error("8259: ICW4 %02x asks for MCS-80 mode", v);
}

/* The odd port takes ICW2, ICW3 (unless single) and ICW4 (if announced) after ICW1, else the mask, OCW1. */
static void chip_write_odd(Chip *c, uint8_t v)
{
    switch (c->init_step) {
    case 2:
        c->base = v & 0xf8;
        c->init_step = !c->single ? 3 : c->needs_icw4 ? 4 : 0;
        break;
    case 3:
        c->init_step = c->needs_icw4 ? 4 : 0; /* the wiring is fixed: slave at input 2 */
        break;
    case 4:
        chip_write_icw4(c, v);
        c->init_step = 0;
        break;
    default:
        c->imr = v;
        break;
    }
}

static void chip_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Chip *c = opaque;
    (void)size;

    if (offset == 1)
        chip_write_odd(c, value);
    else if (value & ICW1)
        chip_write_icw1(c, value);
    else if (value & OCW3)
        chip_write_ocw3(c, value);
    else
        chip_write_ocw2(c, value);
    pair_update(c->pair);
}

static uint64_t elcr_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)offset, (void)size;
    return ((Chip *)opaque)->elcr;
}

static void elcr_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Chip *c = opaque;
    (void)offset, (void)size;

    c->elcr = value & c->elcr_mask;
    c->irr = (c->irr & ~c->elcr) | (c->lines & c->elcr);
    pair_update(c->pair);
}

static const RegionOps chip_ops = { chip_read, chip_write, 1, 1 };
static const RegionOps elcr_ops = { elcr_read, elcr_write, 1, 1 };

IrqLine i8259_input(Device *dev, unsigned n)
{
    return (IrqLine){ pair_set_input, dev, n & 15 };
}

void i8259_connect(Device *dev, IrqLine intr)
{
    I8259 *s = (I8259 *)dev;

    s->intr = intr;
    irq_set(&s->intr, s->intr_level);
}

static gboolean i8259_create(Device *dev, GError **err)
{
    I8259 *s = (I8259 *)dev;
    IsaBus *bus = isa_bus_find(dev, err);

    if (!bus)
        return FALSE;
    for (unsigned i = 0; i < 2; i++) {
        Chip *c = &s->chip[i];
        c->pair = s;
        c->master = i == 0;
        c->elcr_mask = i == 0 ? 0xf8 : 0xde; /* 0, 1, 2, 8 and 13 are always edges (PIIX3, 2.4.4) */
        s->regions[i] = isa_ports_add(dev, bus, i ? 0xa0 : 0x20, 2, &chip_ops, c);
        s->regions[2 + i] = isa_ports_add(dev, bus, 0x4d0 + i, 1, &elcr_ops, c);
    }
    if (!machine_find(dev->machine, "i8259"))
        machine_provide(dev->machine, "i8259", dev);
    return TRUE;
}

static void i8259_destroy(Device *dev)
{
    I8259 *s = (I8259 *)dev;

    for (unsigned i = 0; i < 4; i++)
        isa_ports_remove(dev, s->regions[i]);
    if (machine_find(dev->machine, "i8259") == dev)
        machine_provide(dev->machine, "i8259", NULL);
}

/* Levels of the inputs stay: they are other devices' outputs. */
static void i8259_reset(Device *dev)
{
    I8259 *s = (I8259 *)dev;

    for (unsigned i = 0; i < 2; i++) {
        Chip *c = &s->chip[i];
        c->elcr = 0;
        chip_write_icw1(c, ICW1);
        c->init_step = c->base = 0;
    }
    s->slave_requested = false;
    pair_update(s);
}

static const StateField chip_state[] = {
    STATE_U8(Chip, lines), STATE_U8(Chip, irr), STATE_U8(Chip, isr), STATE_U8(Chip, imr), STATE_U8(Chip, elcr),
    STATE_U8(Chip, base), STATE_U8(Chip, lowest), STATE_U8(Chip, init_step), STATE_BOOL(Chip, needs_icw4),
    STATE_BOOL(Chip, single), STATE_BOOL(Chip, auto_eoi), STATE_BOOL(Chip, rotate_on_auto_eoi),
    STATE_BOOL(Chip, fully_nested), STATE_BOOL(Chip, special_mask), STATE_BOOL(Chip, read_isr), STATE_BOOL(Chip, poll),
    STATE_END
};

static const StateField i8259_state[] = {
    STATE_STRUCT_ARRAY(I8259, chip, chip_state), STATE_BOOL(I8259, intr_level), STATE_BOOL(I8259, slave_requested),
    STATE_END
};

static gboolean i8259_post_load(Device *dev, GError **err)
{
    I8259 *s = (I8259 *)dev;
    (void)err;

    for (unsigned i = 0; i < 2; i++)
        s->chip[i].lowest &= 7;
    return TRUE;
}

void i8259_dump(const Device *dev, GString *out)
{
    const I8259 *s = (const I8259 *)dev;

    for (unsigned i = 0; i < 2; i++) {
        const Chip *c = &s->chip[i];
        g_string_append_printf(out, "pic%u: irr=%02x imr=%02x isr=%02x lines=%02x irq_base=%02x elcr=%02x\n", i,
                               c->irr, c->imr, c->isr, c->lines, c->base, c->elcr);
    }
    g_string_append_printf(out, "pic INTR output: %d\n", s->intr_level);
}

const DeviceType i8259_type = {
    .name = "isa-i8259",
    .description = "pair of 8259A interrupt controllers",
    .bus = "isa",
    .size = sizeof(I8259),
    .create = i8259_create,
    .reset = i8259_reset,
    .destroy = i8259_destroy,
    .state = i8259_state,
    .post_load = i8259_post_load,
};
