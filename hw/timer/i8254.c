/*
 * 8254 programmable interval timer (Intel 8254 data sheet, order 231164), ports 40h to 43h.
 *
 * Nothing counts.  A channel keeps the tick at which its count was loaded; counter and output follow from the distance
 * to the present tick.  Ticks are those of the virtual clock since the machine's start, so that edges never drift.
 * Only channel 0 has a host timer, for its interrupt.
 *
 * Ticks that come too late to be seen as single edges (the host was busy, or the machine was stopped in a debugger's
 * hands) are lost with lost_tick_policy=discard; with delay they are made up for at twice the programmed rate.
 */
#include "hw/timer/i8254.h"

#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/machine.h"
#include "hw/isa/isa_device.h"

enum { CHANNELS = 3, SPEAKER = 2, LATCH_COMMAND = 0, READ_BACK = 3 };
enum { ACCESS_LOW = 1, ACCESS_HIGH = 2, ACCESS_WORD = 3 };
/* Interrupts nearer together than this (13 us) merge: no guest could serve them, and the host would be kept busy. */
enum { MIN_IRQ_TICKS = 16 };
/* Late ticks to be made up for are limited to those of this many seconds. */
enum { MAX_BACKLOG_SECONDS = 5 };

typedef struct Channel {
    uint8_t mode, access;
    bool bcd, gate;
    bool loaded;           /* counting since `start`; false after a control word until a count is written */
    bool triggered;        /* modes 1 and 5: the gate rose since the count was written */
    bool paused;           /* modes 0 and 4: gate low, `held` ticks after start */
    bool second_byte_read, second_byte_write;
    uint8_t low_byte;      /* first half of a count being written */
    uint8_t latched_bytes; /* of the latch, still to be read */
    bool status_latched;
    uint8_t status;
    uint16_t latch;
    uint16_t leftover;     /* what the counter showed when a control word stopped it */
    uint32_t count;        /* 1..10000h: the one in use */
    uint32_t next_count;   /* modes 1, 2, 3, 5: takes effect at the next reload; 0: none */
    int64_t start;         /* tick at which count was loaded */
    int64_t held;
    int64_t switch_tick;   /* modes 2 and 3: when next_count takes effect */
} Channel;

typedef struct I8254 {
    Device dev;
    IsaBus *bus;
    Region *region;
    char *lost_tick_policy;
    bool delay;
    Timer *timer;
    Channel channel[CHANNELS];
    I8254ListenerFn *listener; /* to channel 2 */
    void *listener_opaque;
    bool irq_level;
    int64_t seen_tick;     /* the interrupt line is up to date to here */
    int64_t inject_tick;   /* when the next late tick may be made up for */
    uint32_t backlog;      /* late ticks */
} I8254;

int64_t i8254_ticks(Device *dev)
{
    return muldiv64(clock_now(dev->machine->clocks, MYNA_CLOCK_VIRTUAL), I8254_HZ, NS_PER_SECOND);
}

/* The first nanosecond at which the clock above shows `tick`. */
static int64_t tick_to_ns(int64_t tick)
{
    return muldiv64(tick, NS_PER_SECOND, I8254_HZ) + 1;
}

static bool channel_is_periodic(const Channel *c)
{
    return c->mode == 2 || c->mode == 3;
}

static bool channel_needs_trigger(const Channel *c)
{
    return c->mode == 1 || c->mode == 5;
}

/* Ticks of the first, high half of mode 3's period. */
static uint32_t high_half(uint32_t count)
{
    return (count + 1) / 2;
}

static bool channel_is_counting(const Channel *c)
{
    if (!c->loaded)
        return false;
    return channel_needs_trigger(c) ? c->triggered : c->gate;
}

/* Ticks since the count was loaded. */
static int64_t channel_elapsed(const Channel *c, int64_t now)
{
    int64_t d = c->paused ? c->held : now - c->start;
    return d > 0 ? d : 0;
}

/* Lets a count written meanwhile take effect, if its time has come. */
static void channel_settle(Channel *c, int64_t now)
{
    if (!channel_is_periodic(c) || !c->next_count || now < c->switch_tick)
        return;
    /* Mode 3 loads at the end of a half; the new period goes on with the other half. */
    bool in_high_half = c->mode == 3 && (c->switch_tick - c->start) % c->count != 0;
    c->count = c->next_count;
    c->next_count = 0;
    c->start = c->switch_tick - (in_high_half ? high_half(c->count) : 0);
}

static bool channel_output(const Channel *c, int64_t now)
{
    int64_t d = channel_elapsed(c, now);

    if (!c->loaded || !(channel_is_counting(c) || c->paused))
        return c->mode != 0;
    switch (c->mode) {
    case 0: case 1: return d >= c->count;
    case 2: return d % c->count != c->count - 1;
    case 3: return d % c->count < high_half(c->count);
    default: return d != c->count;
    }
}

static uint16_t to_bcd(uint32_t v)
{
    return v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12;
}

static uint32_t from_bcd(uint16_t v)
{
    return (v & 15) + (v >> 4 & 15) * 10 + (v >> 8 & 15) * 100 + (v >> 12) * 1000;
}

/* What the counter shows. */
static uint16_t channel_counter(const Channel *c, int64_t now)
{
    int64_t d = channel_elapsed(c, now), v;

    if (!c->loaded)
        return c->leftover;
    if (!channel_is_counting(c) && !c->paused) {
        v = c->count;
    } else if (c->mode == 2) {
        v = c->count - d % c->count;
    } else if (c->mode == 3) { /* counts twice by 2 from an even number */
        uint32_t phase = d % c->count, half = high_half(c->count);
        v = (c->count & ~1u) - 2 * (phase < half ? phase : phase - half);
    } else {
        v = c->count - d;
    }
    if (!c->bcd)
        return v & 0xffff;
    v %= 10000;
    return to_bcd(v < 0 ? v + 10000 : v);
}

static bool channel_null_count(const Channel *c, int64_t now)
{
    return !c->loaded || c->next_count || (channel_needs_trigger(c) ? !c->triggered : now < c->start);
}

/* The count goes from the register to the counter with the next tick. */
static void channel_load(Channel *c, uint32_t count, int64_t now)
{
    c->count = count;
    c->next_count = 0;
    c->loaded = true;
    c->start = now + 1;
    c->held = 0;
    c->paused = !channel_needs_trigger(c) && !channel_is_periodic(c) && !c->gate;
}

/* The end of the current period (mode 3: half), when a new count takes effect. */
static int64_t channel_next_reload(const Channel *c, int64_t now)
{
    int64_t d = channel_elapsed(c, now), phase = d % c->count, begin = c->start + d - phase;

    if (c->mode == 3 && phase < high_half(c->count))
        return begin + high_half(c->count);
    return begin + c->count;
}

/* A complete count was written: what it does now depends on the mode (data sheet, "Mode Definitions"). */
static void channel_write_count(Channel *c, uint16_t raw, int64_t now)
{
    uint32_t count = c->bcd ? from_bcd(raw) : raw;

    if (!count)
        count = c->bcd ? 10000 : 0x10000;
    if (!c->loaded) {
        c->triggered = false;
        channel_load(c, count, now);
    } else if (channel_needs_trigger(c)) {
        c->next_count = count;
    } else if (channel_is_periodic(c) && c->gate) {
        if (!c->next_count)
            c->switch_tick = channel_next_reload(c, now);
        c->next_count = count;
    } else {
        channel_load(c, count, now);
    }
}

static void channel_set_gate(Channel *c, bool level, int64_t now)
{
    bool rises = level && !c->gate, falls = !level && c->gate;

    channel_settle(c, now);
    if (c->loaded && falls && !channel_needs_trigger(c) && !channel_is_periodic(c)) {
        c->held = now - c->start;
        c->paused = true;
    }
    c->gate = level;
    if (!c->loaded || !rises)
        return;
    if (c->paused) {
        c->start = now - c->held;
        c->paused = false;
    } else {
        c->triggered = true;
        channel_load(c, c->next_count ? c->next_count : c->count, now);
    }
}

/*
 * The interrupt line.  It follows OUT but for two things that only a late host would make visible: mode 2's low tick
 * falls together with the edge after it, and mode 3's low half is left out, for a fall that comes late would withdraw
 * the request from the interrupt controller.
 */
static bool channel_irq_level(const Channel *c, int64_t now)
{
    return channel_is_periodic(c) || c->mode >= 4 || channel_output(c, now);
}

/* Rising edges of OUT in (from, to], while the count is the same. */
static int64_t channel_edges(const Channel *c, int64_t from, int64_t to)
{
    if (!channel_is_counting(c))
        return 0;
    if (channel_is_periodic(c)) {
        int64_t a = from - c->start, b = to - c->start;
        return (b > 0 ? b / c->count : 0) - (a > 0 ? a / c->count : 0);
    }
    int64_t edge = c->start + c->count + (c->mode >= 4); /* modes 4 and 5: the strobe's end */
    return from < edge && edge <= to;
}

/* The tick of the next rising edge after now, or -1. */
static int64_t channel_next_edge(const Channel *c, int64_t now)
{
    if (!channel_is_counting(c))
        return -1;
    if (channel_is_periodic(c)) {
        if (c->next_count)
            return c->switch_tick > now ? c->switch_tick : now + 1; /* looks again when the new count is in effect */
        int64_t d = channel_elapsed(c, now);
        return c->start + (d / c->count + 1) * c->count;
    }
    int64_t edge = c->start + c->count + (c->mode >= 4);
    return edge > now ? edge : -1;
}

static void pit_set_irq(I8254 *s, bool level)
{
    if (s->irq_level == level)
        return;
    s->irq_level = level;
    irq_set(&s->bus->irq[0], level);
}

static void pit_tick(I8254 *s)
{
    pit_set_irq(s, false);
    pit_set_irq(s, true);
}

/* Counts the edges since the last look; a change of the count may lie between. */
static int64_t pit_count_edges(I8254 *s, int64_t now)
{
    Channel *c = &s->channel[0];
    int64_t n = 0;

    if (channel_is_periodic(c) && c->next_count && now >= c->switch_tick) {
        int64_t at = c->switch_tick;
        n = channel_edges(c, s->seen_tick, at);
        channel_settle(c, now);
        s->seen_tick = at;
    }
    n += channel_edges(c, s->seen_tick, now);
    s->seen_tick = now;
    return n;
}

static void pit_note_late(I8254 *s, int64_t late)
{
    const Channel *c = &s->channel[0];
    int64_t most = (int64_t)MAX_BACKLOG_SECONDS * I8254_HZ / c->count;

    if (s->delay && c->count >= MIN_IRQ_TICKS)
        s->backlog = MIN(s->backlog + late, most);
}

static uint32_t pit_inject_interval(const I8254 *s)
{
    uint32_t half = s->channel[0].count / 2;
    return half < MIN_IRQ_TICKS ? MIN_IRQ_TICKS : half;
}

static void pit_arm(I8254 *s, int64_t now)
{
    int64_t edge = channel_next_edge(&s->channel[0], now);

    if (edge >= 0 && edge < now + MIN_IRQ_TICKS && channel_is_periodic(&s->channel[0]) &&
        s->channel[0].count < MIN_IRQ_TICKS)
        edge = now + MIN_IRQ_TICKS;
    if (s->backlog && (edge < 0 || s->inject_tick < edge))
        edge = s->inject_tick;
    if (edge < 0)
        timer_cancel(s->timer);
    else
        timer_arm(s->timer, tick_to_ns(edge));
}

/* Brings the interrupt line up to the present tick. */
static void pit_sync(I8254 *s, int64_t now)
{
    int64_t edges = pit_count_edges(s, now);

    if (edges > 1)
        pit_note_late(s, edges - 1);
    if (edges == 0 && s->backlog && now >= s->inject_tick) {
        s->backlog--;
        edges = 1;
    }
    if (edges) {
        pit_tick(s);
        s->inject_tick = now + pit_inject_interval(s);
    }
    pit_set_irq(s, channel_irq_level(&s->channel[0], now));
}

static void pit_timer(void *opaque)
{
    I8254 *s = opaque;
    int64_t now = i8254_ticks(&s->dev);

    pit_sync(s, now);
    pit_arm(s, now);
}

static void pit_tell_listener(I8254 *s, unsigned n)
{
    if (n == SPEAKER && s->listener)
        s->listener(s->listener_opaque);
}

/* A change to channel n is framed by these two. */
static int64_t pit_begin_change(I8254 *s, unsigned n)
{
    pit_tell_listener(s, n);
    int64_t now = i8254_ticks(&s->dev);

    if (n == 0)
        pit_sync(s, now);
    channel_settle(&s->channel[n], now);
    return now;
}

static void pit_end_change(I8254 *s, unsigned n, int64_t now)
{
    if (n != 0)
        return;
    pit_set_irq(s, channel_irq_level(&s->channel[0], now));
    pit_arm(s, now);
}

/* The present tick, with channel n ready to be read; channel 0's timer is touched only if its count changes. */
static int64_t pit_look(I8254 *s, unsigned n)
{
    if (s->channel[n].next_count)
        pit_tell_listener(s, n);
    int64_t now = i8254_ticks(&s->dev);

    if (n == 0 && s->channel[0].next_count) {
        pit_sync(s, now);
        pit_arm(s, now);
    }
    channel_settle(&s->channel[n], now);
    return now;
}

static void channel_latch_count(Channel *c, int64_t now)
{
    if (c->latched_bytes)
        return;
    c->latch = channel_counter(c, now);
    c->latched_bytes = c->access == ACCESS_WORD ? 2 : 1;
    if (c->access == ACCESS_HIGH)
        c->latch >>= 8;
}

static void channel_latch_status(Channel *c, int64_t now)
{
    if (c->status_latched)
        return;
    c->status = channel_output(c, now) << 7 | channel_null_count(c, now) << 6 | c->access << 4 | c->mode << 1 | c->bcd;
    c->status_latched = true;
}

static void pit_read_back(I8254 *s, uint8_t v)
{
    for (unsigned n = 0; n < CHANNELS; n++) {
        Channel *c = &s->channel[n];
        if (!(v & 2 << n))
            continue;
        int64_t now = pit_look(s, n);
        if (!(v & 0x20))
            channel_latch_count(c, now);
        if (!(v & 0x10))
            channel_latch_status(c, now);
    }
}

static void channel_control(Channel *c, uint8_t v, int64_t now)
{
    c->leftover = channel_counter(c, now);
    c->access = v >> 4 & 3;
    c->mode = v >> 1 & 7;
    if (c->mode > 5)
        c->mode -= 4; /* bit 2 is "don't care" in modes 2 and 3 */
    c->bcd = v & 1;
    c->loaded = c->triggered = c->paused = c->second_byte_read = c->second_byte_write = c->status_latched = false;
    c->latched_bytes = 0;
    c->next_count = 0;
}

static void pit_write_control(I8254 *s, uint8_t v)
{
    unsigned n = v >> 6;

    if (n == READ_BACK) {
        pit_read_back(s, v);
        return;
    }
    if ((v >> 4 & 3) == LATCH_COMMAND) {
        channel_latch_count(&s->channel[n], pit_look(s, n));
        return;
    }
    int64_t now = pit_begin_change(s, n);
    channel_control(&s->channel[n], v, now);
    if (n == 0)
        s->backlog = 0;
    pit_end_change(s, n, now);
}

/* One byte of a count; in mode 0 the first of two stops counting (data sheet, "Mode 0"). */
static void channel_write_byte(Channel *c, uint8_t v, int64_t now)
{
    if (c->access == ACCESS_LOW) {
        channel_write_count(c, v, now);
    } else if (c->access == ACCESS_HIGH) {
        channel_write_count(c, v << 8, now);
    } else if (!c->second_byte_write) {
        c->low_byte = v;
        c->second_byte_write = true;
        if (c->mode == 0) {
            c->leftover = channel_counter(c, now);
            c->loaded = false;
        }
    } else {
        c->second_byte_write = false;
        channel_write_count(c, v << 8 | c->low_byte, now);
    }
}

static void pit_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    I8254 *s = opaque;
    (void)size;

    if (offset == 3) {
        pit_write_control(s, value);
        return;
    }
    int64_t now = pit_begin_change(s, offset);
    channel_write_byte(&s->channel[offset], value, now);
    pit_end_change(s, offset, now);
}

static uint8_t channel_read_latch(Channel *c)
{
    uint8_t v = c->latch;
    c->latch >>= 8;
    c->latched_bytes--;
    return v;
}

static uint8_t channel_read(Channel *c, int64_t now)
{
    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    if (c->latched_bytes)
        return channel_read_latch(c);
    uint16_t v = channel_counter(c, now);
    bool high = c->access == ACCESS_HIGH || (c->access == ACCESS_WORD && c->second_byte_read);
    if (c->access == ACCESS_WORD)
        c->second_byte_read = !c->second_byte_read;
    return high ? v >> 8 : v;
}

static uint64_t pit_read(void *opaque, uint64_t offset, unsigned size)
{
    I8254 *s = opaque;
    (void)size;

    if (offset == 3) {
        log_guest_error("8254: read of the control port");
        return 0xff;
    }
    return channel_read(&s->channel[offset], pit_look(s, offset));
}

static const RegionOps pit_ops = { pit_read, pit_write, 1, 1 };

bool i8254_output(Device *dev, unsigned channel)
{
    I8254 *s = (I8254 *)dev;
    unsigned n = channel % CHANNELS;

    return channel_output(&s->channel[n], pit_look(s, n));
}

void i8254_set_gate(Device *dev, unsigned channel, bool level)
{
    I8254 *s = (I8254 *)dev;
    unsigned n = channel % CHANNELS;
    int64_t now = pit_begin_change(s, n);

    channel_set_gate(&s->channel[n], level, now);
    pit_end_change(s, n, now);
}

/* ---- for the speaker ---- */

/* High ticks before `now`; from where they are counted is left open. */
static int64_t channel_high_before(const Channel *c, int64_t now)
{
    int64_t d = channel_elapsed(c, now), count = c->count;

    if (c->paused || !channel_is_counting(c))
        return channel_output(c, now) ? now : 0;
    switch (c->mode) {
    case 0: case 1: return d > count ? d - count : 0;
    case 2: return d - d / count;
    case 3: return d / count * high_half(count) + MIN(d % count, high_half(count));
    default: return d - (d > count);
    }
}

int64_t i8254_high_ticks(Device *dev, int64_t from, int64_t to)
{
    Channel *c = &((I8254 *)dev)->channel[SPEAKER];
    int64_t high = 0;

    if (channel_is_periodic(c) && c->next_count && from < c->switch_tick && c->switch_tick <= to) {
        high = channel_high_before(c, c->switch_tick) - channel_high_before(c, from);
        from = c->switch_tick;
    }
    channel_settle(c, to);
    return high + channel_high_before(c, to) - channel_high_before(c, from);
}

void i8254_set_listener(Device *dev, I8254ListenerFn *fn, void *opaque)
{
    I8254 *s = (I8254 *)dev;

    s->listener = fn;
    s->listener_opaque = opaque;
}

static gboolean i8254_create(Device *dev, GError **err)
{
    I8254 *s = (I8254 *)dev;
    const char *policy = s->lost_tick_policy ? s->lost_tick_policy : "delay";

    s->delay = !strcmp(policy, "delay");
    if (!s->delay && strcmp(policy, "discard"))
        return error_set(err, "device '%s': lost_tick_policy is '%s', but must be discard or delay", dev->id, policy);
    s->bus = isa_bus_find(dev, err);
    if (!s->bus)
        return FALSE;
    s->timer = timer_new(dev->machine->clocks, MYNA_CLOCK_VIRTUAL, pit_timer, s);
    s->region = isa_ports_add(dev, s->bus, 0x40, 4, &pit_ops, s);
    if (!machine_find(dev->machine, "i8254"))
        machine_provide(dev->machine, "i8254", dev);
    return TRUE;
}

static void i8254_destroy(Device *dev)
{
    I8254 *s = (I8254 *)dev;

    isa_ports_remove(dev, s->region);
    timer_free(s->timer);
    if (machine_find(dev->machine, "i8254") == dev)
        machine_provide(dev->machine, "i8254", NULL);
}

/* Undefined in the data sheet; like a control word for mode 3, as firmware leaves it, with nothing counted yet. */
static void i8254_reset(Device *dev)
{
    I8254 *s = (I8254 *)dev;
    int64_t now = i8254_ticks(dev);

    for (unsigned n = 0; n < CHANNELS; n++) {
        Channel *c = &s->channel[n];
        memset(c, 0, sizeof *c);
        c->count = 0x10000;
        c->mode = 3;
        c->access = ACCESS_WORD;
        c->gate = n != 2;
    }
    s->backlog = 0;
    s->seen_tick = s->inject_tick = now;
    timer_cancel(s->timer);
    pit_set_irq(s, true); /* OUT is high in mode 3 */
}

static const Property i8254_properties[] = {
    PROPERTY(I8254, lost_tick_policy, "lost_tick_policy", PROP_STRING, 0, "late ticks: delay (default) or discard"),
    PROPERTY_END
};

static const StateField channel_state[] = {
    STATE_U8(Channel, mode), STATE_U8(Channel, access), STATE_BOOL(Channel, bcd), STATE_BOOL(Channel, gate),
    STATE_BOOL(Channel, loaded), STATE_BOOL(Channel, triggered), STATE_BOOL(Channel, paused),
    STATE_BOOL(Channel, second_byte_read), STATE_BOOL(Channel, second_byte_write), STATE_U8(Channel, low_byte),
    STATE_U8(Channel, latched_bytes), STATE_BOOL(Channel, status_latched), STATE_U8(Channel, status),
    STATE_U16(Channel, latch), STATE_U16(Channel, leftover), STATE_U32(Channel, count), STATE_U32(Channel, next_count),
    STATE_U64(Channel, start), STATE_U64(Channel, held), STATE_U64(Channel, switch_tick), STATE_END
};

static const StateField i8254_state[] = {
    STATE_STRUCT_ARRAY(I8254, channel, channel_state), STATE_BOOL(I8254, irq_level), STATE_U64(I8254, seen_tick),
    STATE_U64(I8254, inject_tick), STATE_U32(I8254, backlog), STATE_TIMER(I8254, timer), STATE_END
};

static gboolean i8254_post_load(Device *dev, GError **err)
{
    I8254 *s = (I8254 *)dev;

    for (unsigned n = 0; n < CHANNELS; n++) {
        const Channel *c = &s->channel[n];
        if (!c->count || c->count > 0x10000 || c->next_count > 0x10000 || c->mode > 5 || c->latched_bytes > 2)
            return error_set(err, "device '%s': the saved state of channel %u is not one of an 8254", dev->id, n);
    }
    return TRUE;
}

const DeviceType i8254_type = {
    .name = "isa-pit",
    .description = "8254 interval timer",
    .bus = "isa",
    .size = sizeof(I8254),
    .properties = i8254_properties,
    .create = i8254_create,
    .reset = i8254_reset,
    .destroy = i8254_destroy,
    .state = i8254_state,
    .post_load = i8254_post_load,
};
