/*
 * The high precision event timer: a 64-bit counter of 100 MHz and three comparators (IA-PC HPET specification 1.0a).
 */
#include "hw/timer/hpet.h"

#include <string.h>

#include "core/clock.h"
#include "core/machine.h"
#include "util/bits.h"

#define TIMERS 3
#define NS_PER_TICK 10
#define PERIOD_FS UINT64_C(10000000)
#define ROUTABLE 0xfff0f4u /* I/O APIC pins 2, 4-7, 12-23: none that a PC's ISA devices need edge-triggered */

enum { REG_CAPABILITIES = 0x00, REG_CONFIG = 0x10, REG_STATUS = 0x20, REG_COUNTER = 0xf0, REG_TIMERS = 0x100 };
enum { CONFIG_ENABLE = 1, CONFIG_LEGACY = 2 };
enum { /* timer configuration */
    T_LEVEL = 1 << 1, T_ENABLE = 1 << 2, T_PERIODIC = 1 << 3, T_PERIODIC_CAPABLE = 1 << 4, T_64BIT = 1 << 5,
    T_SET_VALUE = 1 << 6, T_32BIT = 1 << 8, T_ROUTE = 0x1f << 9,
};
#define T_WRITABLE (T_LEVEL | T_ENABLE | T_PERIODIC | T_SET_VALUE | T_32BIT | T_ROUTE)

typedef struct HpetTimer {
    Hpet *hpet;
    unsigned n;
    uint64_t config, comparator, period;
    Timer *timer;
} HpetTimer;

struct Hpet {
    Device dev;
    Region *region;
    IrqLine lines[24];
    void (*notify)(void *opaque, bool on);
    void *notify_opaque;
    uint64_t config, status;
    uint64_t counter;  /* while stopped: its value; while running: value at virtual time 0 */
    HpetTimer timers[TIMERS];
};

static uint64_t now_ticks(const Hpet *h)
{
    return clock_now(h->dev.machine->clocks, MYNA_CLOCK_VIRTUAL) / NS_PER_TICK;
}

static uint64_t counter_now(const Hpet *h)
{
    return h->config & CONFIG_ENABLE ? h->counter + now_ticks(h) : h->counter;
}

static bool is_32bit(const HpetTimer *t) { return t->config & T_32BIT; }

/* Ticks until the comparator matches, in the timer's width; a match just now is a whole turn away. */
static uint64_t ticks_to_match(const HpetTimer *t)
{
    uint64_t d = t->comparator - counter_now(t->hpet);
    return is_32bit(t) ? d & 0xffffffff : d;
}

/* How far ahead a host timer is set at most: a later match is looked for again then. */
#define HORIZON (NS_PER_SECOND * 3600 / NS_PER_TICK)

static void arm(HpetTimer *t)
{
    if (!(t->hpet->config & CONFIG_ENABLE)) {
        timer_cancel(t->timer);
        return;
    }
    uint64_t d = MIN(ticks_to_match(t), (uint64_t)HORIZON);
    /* A comparator just passed counts as late, not as a turn of the counter away. */
    uint64_t half = is_32bit(t) ? UINT64_C(1) << 31 : UINT64_C(1) << 63;
    if (ticks_to_match(t) >= half && (t->config & T_PERIODIC))
        d = 0;
    timer_arm(t->timer, (int64_t)((now_ticks(t->hpet) + d) * NS_PER_TICK));
}

static const IrqLine *line_of(const HpetTimer *t)
{
    if ((t->hpet->config & CONFIG_LEGACY) && t->n < 2)
        return &t->hpet->lines[t->n == 0 ? 0 : 8];
    return &t->hpet->lines[(t->config & T_ROUTE) >> 9 & 31];
}

static void signal_match(HpetTimer *t)
{
    Hpet *h = t->hpet;
    if (t->config & T_LEVEL) {
        h->status |= BIT(t->n);
        if (t->config & T_ENABLE)
            irq_raise(line_of(t));
    } else if (t->config & T_ENABLE) { /* the edge stays up: a falling one would withdraw it from the 8259 */
        irq_lower(line_of(t));
        irq_raise(line_of(t));
    }
}

/* Periods below this would keep the host busy with nothing else; matches missed meanwhile are dropped. */
#define SHORTEST_PERIOD (20000 / NS_PER_TICK)

static void next_period(HpetTimer *t)
{
    uint64_t now = counter_now(t->hpet), period = t->period;
    uint64_t mask = is_32bit(t) ? 0xffffffff : UINT64_MAX;
    if (!period)
        return;
    uint64_t late = (now - t->comparator) & mask;
    t->comparator = (t->comparator + (late / period + 1) * period) & mask;
    if (((t->comparator - now) & mask) < SHORTEST_PERIOD && period < SHORTEST_PERIOD)
        t->comparator = (now + SHORTEST_PERIOD) & mask;
}

static void timer_fired(void *opaque)
{
    HpetTimer *t = opaque;
    uint64_t half = is_32bit(t) ? UINT64_C(1) << 31 : UINT64_C(1) << 63, d = ticks_to_match(t);
    if (d != 0 && d < half) { /* came for the horizon's sake */
        arm(t);
        return;
    }
    signal_match(t);
    if (t->config & T_PERIODIC) {
        next_period(t);
        arm(t);
    } else if (is_32bit(t)) {
        /* A 32-bit one-shot matches again when the low half comes round. */
        timer_arm(t->timer, (int64_t)((now_ticks(t->hpet) + MIN(UINT64_C(1) << 32, (uint64_t)HORIZON)) * NS_PER_TICK));
    }
}

static void arm_all(Hpet *h)
{
    for (unsigned n = 0; n < TIMERS; n++)
        arm(&h->timers[n]);
}

static void write_config(Hpet *h, uint64_t v)
{
    uint64_t old = h->config, now = counter_now(h);
    h->config = v & (CONFIG_ENABLE | CONFIG_LEGACY);
    if ((old ^ h->config) & CONFIG_ENABLE) {
        h->counter = h->config & CONFIG_ENABLE ? h->counter - now_ticks(h) : now;
        arm_all(h);
    }
    if (((old ^ h->config) & CONFIG_LEGACY) && h->notify)
        h->notify(h->notify_opaque, h->config & CONFIG_LEGACY);
}

/* Status bits are cleared by writing 1, which ends a level interrupt. */
static void write_status(Hpet *h, uint64_t v)
{
    uint64_t cleared = h->status & v;
    h->status &= ~v;
    for (unsigned n = 0; n < TIMERS; n++)
        if (cleared >> n & 1)
            irq_lower(line_of(&h->timers[n]));
}

static void write_counter(Hpet *h, uint64_t v)
{
    h->counter = h->config & CONFIG_ENABLE ? v - now_ticks(h) : v;
    arm_all(h);
}

static void write_timer_config(HpetTimer *t, uint64_t v)
{
    if ((t->config & T_ENABLE) && !(v & T_ENABLE) && (t->hpet->status & BIT(t->n)))
        irq_lower(line_of(t));
    t->config = (t->config & ~(uint64_t)T_WRITABLE) | (v & T_WRITABLE);
    if (is_32bit(t)) {
        t->comparator &= 0xffffffff;
        t->period &= 0xffffffff;
    }
    arm(t);
}

/* In periodic mode the comparator takes a value only after T_SET_VALUE; otherwise a write sets the period (2.3.9.2.2). */
static void write_comparator(HpetTimer *t, uint64_t v)
{
    if (is_32bit(t))
        v &= 0xffffffff;
    if (!(t->config & T_PERIODIC)) {
        t->comparator = v;
    } else if (t->config & T_SET_VALUE) {
        t->comparator = v;
        t->config &= ~(uint64_t)T_SET_VALUE;
    } else {
        t->period = v;
    }
    if (!(t->config & T_PERIODIC) || !t->period)
        t->period = v;
    arm(t);
}

static uint64_t read_timer(const HpetTimer *t, unsigned reg)
{
    switch (reg) {
    case 0x00: return t->config | (uint64_t)ROUTABLE << 32;
    case 0x08: return t->comparator;
    default: return 0;
    }
}

static uint64_t read_register(Hpet *h, unsigned reg)
{
    if (reg >= REG_TIMERS && reg < REG_TIMERS + TIMERS * 0x20)
        return read_timer(&h->timers[(reg - REG_TIMERS) / 0x20], reg & 0x18);
    switch (reg) {
    case REG_CAPABILITIES: return PERIOD_FS << 32 | UINT64_C(0x8086) << 16 | 1 << 15 | 1 << 13 | (TIMERS - 1) << 8 | 1;
    case REG_CONFIG: return h->config;
    case REG_STATUS: return h->status;
    case REG_COUNTER: return counter_now(h);
    default: return 0;
    }
}

static void write_register(Hpet *h, unsigned reg, uint64_t v)
{
    if (reg >= REG_TIMERS && reg < REG_TIMERS + TIMERS * 0x20) {
        HpetTimer *t = &h->timers[(reg - REG_TIMERS) / 0x20];
        if ((reg & 0x18) == 0)
            write_timer_config(t, v);
        else if ((reg & 0x18) == 8)
            write_comparator(t, v);
        return;
    }
    switch (reg) {
    case REG_CONFIG: write_config(h, v); break;
    case REG_STATUS: write_status(h, v); break;
    case REG_COUNTER: write_counter(h, v); break;
    default: break;
    }
}

static uint64_t hpet_read(void *opaque, uint64_t offset, unsigned size)
{
    uint64_t v = read_register(opaque, offset & ~7u);
    return v >> ((offset & 7) * 8) & bit_mask(size * 8);
}

/* A 32-bit write leaves the register's other half as it is; of status bits that means 0. */
static void hpet_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    unsigned reg = offset & ~7u;
    if (size < 8) {
        uint64_t old = reg == REG_STATUS ? 0 : read_register(opaque, reg);
        v = bits_deposit(old, (offset & 7) * 8, size * 8, v);
    }
    write_register(opaque, reg, v);
}

static const RegionOps hpet_ops = { .read = hpet_read, .write = hpet_write, .min_size = 4, .max_size = 8 };

Region *hpet_region(Hpet *h) { return h->region; }
void hpet_set_lines(Hpet *h, const IrqLine lines[24]) { memcpy(h->lines, lines, sizeof h->lines); }

void hpet_set_legacy_notify(Hpet *h, void (*notify)(void *opaque, bool on), void *opaque)
{
    h->notify = notify;
    h->notify_opaque = opaque;
}

static gboolean hpet_create(Device *dev, GError **err)
{
    Hpet *h = (Hpet *)dev;
    (void)err;
    h->region = region_new_io("hpet", 0x400, &hpet_ops, h);
    for (unsigned n = 0; n < TIMERS; n++) {
        h->timers[n].hpet = h;
        h->timers[n].n = n;
        h->timers[n].timer = timer_new(dev->machine->clocks, MYNA_CLOCK_VIRTUAL, timer_fired, &h->timers[n]);
    }
    return TRUE;
}

static void hpet_reset(Device *dev)
{
    Hpet *h = (Hpet *)dev;
    write_config(h, 0);
    h->status = h->counter = 0;
    for (unsigned n = 0; n < TIMERS; n++) {
        HpetTimer *t = &h->timers[n];
        timer_cancel(t->timer);
        t->config = T_PERIODIC_CAPABLE | T_64BIT;
        t->comparator = UINT64_MAX;
        t->period = 0;
    }
}

static void hpet_destroy(Device *dev)
{
    Hpet *h = (Hpet *)dev;
    for (unsigned n = 0; n < TIMERS; n++)
        timer_free(h->timers[n].timer);
    region_remove(h->region);
    region_free(h->region);
}

static gboolean hpet_post_load(Device *dev, GError **err)
{
    Hpet *h = (Hpet *)dev;
    (void)err;
    if (h->notify)
        h->notify(h->notify_opaque, h->config & CONFIG_LEGACY);
    return TRUE;
}

static const StateField hpet_timer_state[] = {
    STATE_U64(HpetTimer, config), STATE_U64(HpetTimer, comparator), STATE_U64(HpetTimer, period),
    STATE_TIMER(HpetTimer, timer), STATE_END
};

static const StateField hpet_state[] = {
    STATE_U64(Hpet, config), STATE_U64(Hpet, status), STATE_U64(Hpet, counter),
    STATE_STRUCT_ARRAY(Hpet, timers, hpet_timer_state), STATE_END
};

const DeviceType hpet_type = {
    .name = "hpet", .description = "high precision event timer", .bus = "system", .size = sizeof(Hpet),
    .create = hpet_create, .reset = hpet_reset, .destroy = hpet_destroy, .state = hpet_state,
    .post_load = hpet_post_load,
};
