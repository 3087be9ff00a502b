/*
 * Motorola MC146818 real-time clock and 128 bytes of CMOS memory at ports 70h and 71h (MC146818A data sheet).
 *
 * The time is a clock of the host plus an offset, so nothing runs while nobody looks.  Flags of register C that no
 * interrupt waits for are worked out when it is read.  While the guest holds the clock (SET bit, or divider in reset)
 * the time stands in the registers.
 */
#include "hw/timer/mc146818.h"

#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/machine.h"
#include "hw/isa/isa_device.h"

enum {
    SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM, WEEKDAY, DAY, MONTH, YEAR, REG_A, REG_B, REG_C,
    REG_D, CENTURY = 0x32, CMOS_SIZE = 128
};
enum { A_UIP = 0x80, A_DIVIDER = 0x70, A_DIVIDER_RUN = 0x20, A_RATE = 0x0f };
enum { B_SET = 0x80, B_PIE = 0x40, B_AIE = 0x20, B_UIE = 0x10, B_SQWE = 0x08, B_BINARY = 0x04, B_24H = 0x02 };
enum { C_IRQ = 0x80, C_PERIODIC = 0x40, C_ALARM = 0x20, C_UPDATE = 0x10, D_VALID = 0x80 };
enum { HOUR_PM = 0x80, ALARM_ANY = 0xc0 };
enum { DAY_SECONDS = 86400, CRYSTAL_HZ = 32768, ISA_LINE = 8 };
/* Update in progress: announced 244 us ahead, and lasting 1984 us (data sheet, "Update Cycle", 32.768 kHz). */
#define UIP_NS (INT64_C(244000) + 1984000)

typedef struct Rtc {
    Device dev;
    IsaBus *bus;
    Region *region;
    char *base, *clock_name;
    ClockType clock;       /* the time of day runs with it */
    uint8_t index;
    bool nmi_masked;
    uint8_t cmos[CMOS_SIZE];
    int64_t offset;        /* time = clock + offset seconds + phase nanoseconds; apart, for years beyond 2262 */
    int64_t phase;         /* 0 .. NS_PER_SECOND - 1 */
    int64_t checked;       /* second up to which update and alarm flags are known */
    uint64_t periods;      /* crystal ticks up to which the periodic flag is known */
    uint8_t weekday_shift; /* the guest's weekday against the calendar's, modulo 7 */
    Timer *update_timer;   /* on clock */
    Timer *periodic_timer; /* on the virtual clock */
} Rtc;

typedef struct Calendar {
    int64_t days;          /* since 1970-01-01 */
    int64_t year;
    unsigned month, day, hour, minute, second; /* month and day from 1 */
} Calendar;

/* --- calendar ------------------------------------------------------------------------------------------------ */

/* Days since 1970-01-01 of a Gregorian date; years are counted from March so that leap days end them. */
static int64_t days_of_date(int64_t year, unsigned month, unsigned day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    unsigned march_month = (month + 9) % 12;
    return y * 365 + y / 4 - y / 100 + y / 400 + (153 * march_month + 2) / 5 + day - 1 - 719468;
}

/* For days from 0000-03-01 on. */
static void date_of_days(Calendar *t, int64_t days)
{
    int64_t shifted = days + 719468, year = shifted * 400 / 146097 + 1;

    while (days_of_date(year, 3, 1) > days)
        year--;
    unsigned day_of_year = days - days_of_date(year, 3, 1), march_month = (5 * day_of_year + 2) / 153;
    t->month = (march_month + 2) % 12 + 1;
    t->day = day_of_year - (153 * march_month + 2) / 5 + 1;
    t->year = t->month <= 2 ? year + 1 : year;
    t->days = days;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static Calendar calendar_of_second(int64_t second)
{
    Calendar t;
    int64_t days = floor_div(second, DAY_SECONDS);
    unsigned rest = second - days * DAY_SECONDS;

    date_of_days(&t, days);
    t.hour = rest / 3600;
    t.minute = rest / 60 % 60;
    t.second = rest % 60;
    return t;
}

/* 0: Sunday. */
static unsigned weekday_of_days(int64_t days)
{
    return (unsigned)(((days + 4) % 7 + 7) % 7);
}

/* --- registers ----------------------------------------------------------------------------------------------- */

static uint8_t rtc_encode(const Rtc *s, unsigned v)
{
    return s->cmos[REG_B] & B_BINARY ? v : v / 10 << 4 | v % 10;
}

static unsigned rtc_decode(const Rtc *s, uint8_t v)
{
    return s->cmos[REG_B] & B_BINARY ? v : (v >> 4) * 10u + (v & 15);
}

static uint8_t rtc_encode_hour(const Rtc *s, unsigned hour)
{
    if (s->cmos[REG_B] & B_24H)
        return rtc_encode(s, hour);
    return rtc_encode(s, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static unsigned rtc_decode_hour(const Rtc *s, uint8_t v)
{
    if (s->cmos[REG_B] & B_24H)
        return rtc_decode(s, v);
    return rtc_decode(s, v & ~HOUR_PM) % 12 + (v & HOUR_PM ? 12 : 0);
}

static bool rtc_runs(const Rtc *s)
{
    return !(s->cmos[REG_B] & B_SET) && (s->cmos[REG_A] & A_DIVIDER) == A_DIVIDER_RUN;
}

/* The present second since 1970, and nanoseconds into it. */
static int64_t rtc_now(const Rtc *s, int64_t *ns)
{
    int64_t now = clock_now(s->dev.machine->clocks, s->clock) + s->phase, second = floor_div(now, NS_PER_SECOND);

    *ns = now - second * NS_PER_SECOND;
    return second + s->offset;
}

static int64_t rtc_second(const Rtc *s)
{
    int64_t ns;
    return rtc_now(s, &ns);
}

/* Makes the present that second and nanosecond. */
static void rtc_set_now(Rtc *s, int64_t second, int64_t ns)
{
    int64_t difference = ns - clock_now(s->dev.machine->clocks, s->clock);
    int64_t seconds = floor_div(difference, NS_PER_SECOND);

    s->offset = second + seconds;
    s->phase = difference - seconds * NS_PER_SECOND;
    s->checked = second;
}

/* Writes a time into the registers. */
static void rtc_show(Rtc *s, int64_t second)
{
    Calendar t = calendar_of_second(second);

    s->cmos[SECONDS] = rtc_encode(s, t.second);
    s->cmos[MINUTES] = rtc_encode(s, t.minute);
    s->cmos[HOURS] = rtc_encode_hour(s, t.hour);
    s->cmos[WEEKDAY] = rtc_encode(s, (weekday_of_days(t.days) + s->weekday_shift) % 7 + 1);
    s->cmos[DAY] = rtc_encode(s, t.day);
    s->cmos[MONTH] = rtc_encode(s, t.month);
    s->cmos[YEAR] = rtc_encode(s, t.year % 100);
    s->cmos[CENTURY] = rtc_encode(s, t.year / 100 % 100);
}

/* The second that the registers show; what is no date is brought into range first. */
static int64_t rtc_second_of_registers(Rtc *s)
{
    int64_t year = MAX(rtc_decode(s, s->cmos[CENTURY]) * 100 + rtc_decode(s, s->cmos[YEAR]), 1);
    unsigned month = CLAMP(rtc_decode(s, s->cmos[MONTH]), 1, 12);
    int64_t days = days_of_date(year, month, rtc_decode(s, s->cmos[DAY]));
    unsigned weekday = rtc_decode(s, s->cmos[WEEKDAY]) + 6;

    s->weekday_shift = (weekday + 7 - weekday_of_days(days)) % 7;
    return days * DAY_SECONDS + rtc_decode_hour(s, s->cmos[HOURS]) * 3600 + rtc_decode(s, s->cmos[MINUTES]) * 60 +
           rtc_decode(s, s->cmos[SECONDS]);
}

/* --- flags and interrupts ------------------------------------------------------------------------------------ */

static bool alarm_matches(uint8_t alarm, uint8_t value)
{
    return (alarm & ALARM_ANY) == ALARM_ANY || alarm == value;
}

/* The first second after `from` at which the alarm goes off; -1 if it never does. */
static int64_t rtc_next_alarm(const Rtc *s, int64_t from)
{
    int64_t day = floor_div(from + 1, DAY_SECONDS) * DAY_SECONDS;

    for (int64_t at = from + 1; at <= from + DAY_SECONDS;) {
        unsigned t = (at - day) % DAY_SECONDS;
        if (!alarm_matches(s->cmos[HOURS_ALARM], rtc_encode_hour(s, t / 3600)))
            at += 3600 - t % 3600;
        else if (!alarm_matches(s->cmos[MINUTES_ALARM], rtc_encode(s, t / 60 % 60)))
            at += 60 - t % 60;
        else if (!alarm_matches(s->cmos[SECONDS_ALARM], rtc_encode(s, t % 60)))
            at++;
        else
            return at;
    }
    return -1;
}

/* Period of the periodic flag in crystal ticks; 0: none (data sheet, table 5). */
static unsigned rtc_period(const Rtc *s)
{
    unsigned rate = s->cmos[REG_A] & A_RATE;

    if (!rate || (s->cmos[REG_A] & A_DIVIDER) != A_DIVIDER_RUN)
        return 0;
    return 1u << (rate < 3 ? rate + 6 : rate - 1);
}

static uint64_t rtc_crystal(const Rtc *s)
{
    return muldiv64(clock_now(s->dev.machine->clocks, MYNA_CLOCK_VIRTUAL), CRYSTAL_HZ, NS_PER_SECOND);
}

static void rtc_check_periodic(Rtc *s)
{
    unsigned period = rtc_period(s);
    uint64_t now = rtc_crystal(s);

    if (period && now / period > s->periods / period)
        s->cmos[REG_C] |= C_PERIODIC;
    s->periods = now;
}

static void rtc_check_update(Rtc *s)
{
    if (!rtc_runs(s))
        return;
    int64_t now = rtc_second(s);
    if (now > s->checked) {
        int64_t alarm = s->cmos[REG_C] & C_ALARM ? -1 : rtc_next_alarm(s, s->checked);
        s->cmos[REG_C] |= C_UPDATE | (alarm >= 0 && alarm <= now ? C_ALARM : 0);
    }
    s->checked = now;
}

/* Flags that are already set, or cause no interrupt, need no timer. */
static uint8_t rtc_awaited(const Rtc *s)
{
    return s->cmos[REG_B] & ~s->cmos[REG_C] & (C_PERIODIC | C_ALARM | C_UPDATE);
}

static void rtc_arm_periodic(Rtc *s)
{
    unsigned period = rtc_period(s);

    if (!period || !(rtc_awaited(s) & C_PERIODIC)) {
        timer_cancel(s->periodic_timer);
        return;
    }
    uint64_t next = (s->periods / period + 1) * period;
    timer_arm(s->periodic_timer, muldiv64(next, NS_PER_SECOND, CRYSTAL_HZ) + 1);
}

static void rtc_arm_update(Rtc *s)
{
    int64_t next = -1;

    if (rtc_runs(s) && (rtc_awaited(s) & C_UPDATE))
        next = s->checked + 1;
    else if (rtc_runs(s) && (rtc_awaited(s) & C_ALARM))
        next = rtc_next_alarm(s, s->checked);
    if (next < 0)
        timer_cancel(s->update_timer);
    else
        timer_arm(s->update_timer, (next - s->offset) * NS_PER_SECOND - s->phase);
}

/* Brings flags, interrupt and timers up to date. */
static void rtc_sync(Rtc *s)
{
    rtc_check_periodic(s);
    rtc_check_update(s);
    bool irq = s->cmos[REG_C] & s->cmos[REG_B] & (C_PERIODIC | C_ALARM | C_UPDATE);
    s->cmos[REG_C] = (s->cmos[REG_C] & ~C_IRQ) | (irq ? C_IRQ : 0);
    irq_set(&s->bus->irq[ISA_LINE], irq);
    rtc_arm_periodic(s);
    rtc_arm_update(s);
}

static void rtc_timer(void *opaque)
{
    rtc_sync(opaque);
}

/* --- ports --------------------------------------------------------------------------------------------------- */

static bool is_time(unsigned index)
{
    return index == SECONDS || index == MINUTES || index == HOURS || (index >= WEEKDAY && index <= YEAR) ||
           index == CENTURY;
}

static uint8_t rtc_read_a(const Rtc *s)
{
    int64_t ns;

    rtc_now(s, &ns);
    bool updating = rtc_runs(s) && ns >= NS_PER_SECOND - UIP_NS;
    return (s->cmos[REG_A] & ~A_UIP) | (updating ? A_UIP : 0);
}

static uint8_t rtc_read_c(Rtc *s)
{
    rtc_sync(s);
    uint8_t v = s->cmos[REG_C];
    if (v) {
        s->cmos[REG_C] = 0;
        rtc_sync(s);
    }
    return v;
}

static uint8_t rtc_read_register(Rtc *s)
{
    if (is_time(s->index) && rtc_runs(s))
        rtc_show(s, rtc_second(s));
    switch (s->index) {
    case REG_A: return rtc_read_a(s);
    case REG_C: return rtc_read_c(s);
    case REG_D: return D_VALID;
    default: return s->cmos[s->index];
    }
}

/* The index port cannot be read. */
static uint64_t rtc_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    return offset == 0 ? 0xff : rtc_read_register(opaque);
}

static void rtc_write_time(Rtc *s, uint8_t v)
{
    if (!rtc_runs(s)) {
        s->cmos[s->index] = v;
        return;
    }
    rtc_sync(s); /* flags up to now are those of the old time */
    int64_t ns, second = rtc_now(s, &ns);
    rtc_show(s, second);
    s->cmos[s->index] = v;
    rtc_set_now(s, rtc_second_of_registers(s), ns);
    rtc_sync(s);
}

/* Registers A and B: either may stop or start the clock, and change what causes interrupts. */
static void rtc_write_control(Rtc *s, uint8_t a, uint8_t b)
{
    rtc_sync(s);
    int64_t ns, second = rtc_now(s, &ns);
    bool ran = rtc_runs(s), was_reset = (s->cmos[REG_A] & A_DIVIDER) != A_DIVIDER_RUN;

    if (ran)
        rtc_show(s, second);
    if (b & B_SET)
        b &= ~B_UIE; /* data sheet, "SET" */
    s->cmos[REG_A] = a & ~A_UIP;
    s->cmos[REG_B] = b;
    if (!ran && rtc_runs(s)) /* out of divider reset, the first update is half a second away */
        rtc_set_now(s, rtc_second_of_registers(s), was_reset ? NS_PER_SECOND / 2 : ns);
    rtc_sync(s);
}

static void rtc_write_register(Rtc *s, uint8_t v)
{
    if (is_time(s->index)) {
        rtc_write_time(s, v);
        return;
    }
    switch (s->index) {
    case REG_A: rtc_write_control(s, v, s->cmos[REG_B]); break;
    case REG_B: rtc_write_control(s, s->cmos[REG_A], v); break;
    case REG_C: case REG_D: log_guest_error("RTC: write of %02x to read-only register %02x", v, s->index); break;
    case SECONDS_ALARM: case MINUTES_ALARM: case HOURS_ALARM:
        rtc_sync(s);
        s->cmos[s->index] = v;
        rtc_sync(s);
        break;
    default: s->cmos[s->index] = v; break;
    }
}

static void rtc_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Rtc *s = opaque;
    (void)size;

    if (offset == 1) {
        rtc_write_register(s, value);
        return;
    }
    s->index = value & (CMOS_SIZE - 1);
    s->nmi_masked = value & 0x80;
}

static const RegionOps rtc_ops = { rtc_read, rtc_write, 1, 1 };

void mc146818_set_cmos(Device *dev, unsigned index, uint8_t value)
{
    ((Rtc *)dev)->cmos[index % CMOS_SIZE] = value;
}

bool mc146818_nmi_masked(Device *dev)
{
    return ((Rtc *)dev)->nmi_masked;
}

/* --- type ---------------------------------------------------------------------------------------------------- */

/* base=utc, localtime, or a date with or without a time: sets the first time. */
static gboolean rtc_parse_base(Rtc *s, GError **err)
{
    const char *base = s->base ? s->base : "utc";
    int64_t host = clock_now(s->dev.machine->clocks, MYNA_CLOCK_HOST), second = host / NS_PER_SECOND;

    if (!strcmp(base, "utc") || !strcmp(base, "localtime")) {
        GDateTime *date = strcmp(base, "utc") ? g_date_time_new_from_unix_local(second) : NULL;
        int64_t east = date ? g_date_time_get_utc_offset(date) / G_USEC_PER_SEC : 0;
        g_clear_pointer(&date, g_date_time_unref);
        rtc_set_now(s, second + east, host % NS_PER_SECOND);
        return TRUE;
    }
    GTimeZone *zone = g_time_zone_new_utc();
    char *text = g_strconcat(base, strchr(base, 'T') ? "" : "T00:00:00", NULL);
    GDateTime *date = g_date_time_new_from_iso8601(text, zone);
    g_free(text);
    g_time_zone_unref(zone);
    if (!date)
        return error_set(err, "device '%s': base is '%s', but must be utc, localtime, or a date as 2006-06-17T16:01:21",
                         s->dev.id, base);
    rtc_set_now(s, g_date_time_to_unix(date), 0);
    g_date_time_unref(date);
    return TRUE;
}

static gboolean rtc_parse_clock(Rtc *s, GError **err)
{
    const char *name = s->clock_name ? s->clock_name : "host";

    s->clock = strcmp(name, "vm") ? MYNA_CLOCK_HOST : MYNA_CLOCK_VIRTUAL;
    if (s->clock == MYNA_CLOCK_HOST && strcmp(name, "host"))
        return error_set(err, "device '%s': clock is '%s', but must be host or vm", s->dev.id, name);
    return TRUE;
}

static gboolean rtc_create(Device *dev, GError **err)
{
    Rtc *s = (Rtc *)dev;
    Clocks *clocks = dev->machine->clocks;

    s->bus = isa_bus_find(dev, err);
    if (!s->bus || !rtc_parse_clock(s, err) || !rtc_parse_base(s, err))
        return FALSE;
    s->cmos[REG_A] = A_DIVIDER_RUN | 6; /* 1024 Hz, as firmware expects it from a battery-backed clock */
    s->cmos[REG_B] = B_24H;
    s->cmos[REG_D] = D_VALID;
    s->update_timer = timer_new(clocks, s->clock, rtc_timer, s);
    s->periodic_timer = timer_new(clocks, MYNA_CLOCK_VIRTUAL, rtc_timer, s);
    s->region = isa_ports_add(dev, s->bus, 0x70, 2, &rtc_ops, s);
    if (!machine_find(dev->machine, "rtc"))
        machine_provide(dev->machine, "rtc", dev);
    return TRUE;
}

static void rtc_destroy(Device *dev)
{
    Rtc *s = (Rtc *)dev;

    isa_ports_remove(dev, s->region);
    timer_free(s->update_timer);
    timer_free(s->periodic_timer);
    if (machine_find(dev->machine, "rtc") == dev)
        machine_provide(dev->machine, "rtc", NULL);
}

/* Memory and time outlive a reset (data sheet, "RESET"). */
static void rtc_reset(Device *dev)
{
    Rtc *s = (Rtc *)dev;

    s->index = 0;
    s->nmi_masked = false;
    s->cmos[REG_B] &= ~(B_PIE | B_AIE | B_UIE | B_SQWE);
    rtc_sync(s);
    s->cmos[REG_C] = 0;
}

static const Property rtc_properties[] = {
    PROPERTY(Rtc, base, "base", PROP_STRING, 0, "utc (default), localtime, or a date as 2006-06-17T16:01:21"),
    PROPERTY(Rtc, clock_name, "clock", PROP_STRING, 0, "host (wall clock, default) or vm (stops with the machine)"),
    PROPERTY_END
};

static const StateField rtc_state[] = {
    STATE_U8(Rtc, index), STATE_BOOL(Rtc, nmi_masked), STATE_BYTES(Rtc, cmos), STATE_U64(Rtc, offset),
    STATE_U64(Rtc, phase), STATE_U64(Rtc, checked), STATE_U64(Rtc, periods), STATE_U8(Rtc, weekday_shift),
    STATE_TIMER(Rtc, update_timer), STATE_TIMER(Rtc, periodic_timer), STATE_END
};

static gboolean rtc_post_load(Device *dev, GError **err)
{
    Rtc *s = (Rtc *)dev;
    int64_t limit = INT64_C(1) << 40; /* seconds; no guest can set a year beyond 16665 */

    s->index %= CMOS_SIZE;
    s->weekday_shift %= 7;
    if (s->offset < -limit || s->offset > limit || s->checked < -limit || s->checked > limit || s->phase < 0 ||
        s->phase >= NS_PER_SECOND)
        return error_set(err, "device '%s': the saved time is out of range", dev->id);
    return TRUE;
}

const DeviceType mc146818_type = {
    .name = "mc146818rtc",
    .description = "MC146818 real-time clock and CMOS memory",
    .bus = "isa",
    .size = sizeof(Rtc),
    .properties = rtc_properties,
    .create = rtc_create,
    .reset = rtc_reset,
    .destroy = rtc_destroy,
    .state = rtc_state,
    .post_load = rtc_post_load,
};
