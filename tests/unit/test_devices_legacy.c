/*
 * Interrupt controllers, timer, clock and DMA controllers of a PC on a bench.
 */
#include "hw/char/serial.h"
#include "hw/intc/i8259.h"
#include "hw/misc/i8237.h"
#include "hw/misc/port61.h"
#include "hw/timer/i8254.h"
#include "hw/timer/mc146818.h"
#include "tests/unit/bench.h"

/* --- 8259 ------------------------------------------------------------------------------------------------------ */

typedef struct Pic {
    Bench b;
    CpuPort port;
    Device *dev;
    int intr;
} Pic;

static void pic_intr(void *opaque, int n, int level)
{
    (void)n;
    ((Pic *)opaque)->intr = level;
}

static void pic_input(Pic *p, unsigned n, int level)
{
    IrqLine line = i8259_input(p->dev, n);
    irq_set(&line, level);
}

static void pic_program(Pic *p, uint8_t icw4)
{
    static const uint16_t base[] = { 0x20, 0xa0 };

    for (unsigned i = 0; i < 2; i++) {
        out(&p->b, base[i], 0x11);
        out(&p->b, base[i] + 1, i ? 0x70 : 0x08);
        out(&p->b, base[i] + 1, i ? 2 : 4);
        out(&p->b, base[i] + 1, icw4);
        out(&p->b, base[i] + 1, 0);
    }
}

static void pic_init(Pic *p, uint8_t icw4)
{
    bench_init(&p->b, &p->port);
    p->intr = 0;
    p->dev = bench_add(&p->b, &i8259_type, NULL, NULL);
    i8259_connect(p->dev, (IrqLine){ pic_intr, p, 0 });
    pic_program(p, icw4);
}

static void test_pic_priority(void)
{
    Pic p;
    pic_init(&p, 1);

    pic_input(&p, 4, 1);
    g_assert_cmpint(p.intr, ==, 1);
    pic_input(&p, 1, 1);
    g_assert_cmphex(i8259_acknowledge(p.dev), ==, 0x09);
    g_assert_cmpint(p.intr, ==, 0); /* 4 waits behind 1 */
    pic_input(&p, 0, 1);
    g_assert_cmpint(p.intr, ==, 1);
    g_assert_cmphex(i8259_acknowledge(p.dev), ==, 0x08);
    out(&p.b, 0x20, 0x0b);
    g_assert_cmphex(in(&p.b, 0x20), ==, 0x03); /* ISR */
    out(&p.b, 0x20, 0x0a);
    g_assert_cmphex(in(&p.b, 0x20), ==, 0x10); /* IRR */
    out(&p.b, 0x20, 0x20);
    g_assert_cmpint(p.intr, ==, 0);
    out(&p.b, 0x20, 0x61);
    g_assert_cmpint(p.intr, ==, 1);
    g_assert_cmphex(i8259_acknowledge(p.dev), ==, 0x0c);
    out(&p.b, 0x20, 0x20);
    g_assert_cmpint(p.intr, ==, 0); /* edges are used up, though the lines are still high */
    bench_exit(&p.b);
}

static void test_pic_cascade(void)
{
    Pic p;
    pic_init(&p, 1);

    pic_input(&p, 12, 1);
    g_assert_cmphex(i8259_acknowledge(p.dev), ==, 0x74);
    pic_input(&p, 9, 1); /* higher in the slave, but the master serves the cascade */
    g_assert_cmpint(p.intr, ==, 0);
    out(&p.b, 0x20, 0x20);
    g_assert_cmpint(p.intr, ==, 1);
    g_assert_cmphex(i8259_acknowledge(p.dev), ==, 0x71);
    out(&p.b, 0xa0, 0x20);
    out(&p.b, 0x20, 0x20);
    out(&p.b, 0xa0, 0x20);
    out(&p.b, 0xa1, 0xff);
    pic_input(&p, 14, 1);
    g_assert_cmpint(p.intr, ==, 0);
    out(&p.b, 0xa1, 0xbf);
    g_assert_cmphex(i8259_acknowledge(p.dev), ==, 0x76);
    pic_input(&p, 2, 1); /* leads nowhere */
    bench_exit(&p.b);
}

static void test_pic_fully_nested(void)
{
    Pic p;
    pic_init(&p, 0x11);

    pic_input(&p, 12, 1);
    g_assert_cmphex(i8259_acknowledge(p.dev), ==, 0x74);
    pic_input(&p, 9, 1);
    g_assert_cmpint(p.intr, ==, 1);
    g_assert_cmphex(i8259_acknowledge(p.dev), ==, 0x71);
    bench_exit(&p.b);
}

static void test_pic_spurious(void)
{
    Pic p;
    pic_init(&p, 1);

    pic_input(&p, 5, 1);
    pic_input(&p, 5, 0);
    g_assert_cmpint(p.intr, ==, 0);
    g_assert_cmphex(i8259_acknowledge(p.dev), ==, 0x0f); /* a CPU that had seen INTR */
    out(&p.b, 0x20, 0x0b);
    g_assert_cmphex(in(&p.b, 0x20), ==, 0);
    pic_input(&p, 14, 1);
    pic_input(&p, 14, 0);
    g_assert_cmphex(i8259_acknowledge(p.dev), ==, 0x77);
    g_assert_cmphex(in(&p.b, 0x20), ==, 0x04); /* the master serves the cascade */
    out(&p.b, 0xa0, 0x0b);
    g_assert_cmphex(in(&p.b, 0xa0), ==, 0);
    bench_exit(&p.b);
}

static void test_pic_level(void)
{
    Pic p;
    pic_init(&p, 1);

    out(&p.b, 0x4d0, 0xff);
    out(&p.b, 0x4d1, 0xff);
    g_assert_cmphex(in(&p.b, 0x4d0), ==, 0xf8);
    g_assert_cmphex(in(&p.b, 0x4d1), ==, 0xde);
    pic_input(&p, 10, 1);
    g_assert_cmphex(i8259_acknowledge(p.dev), ==, 0x72);
    out(&p.b, 0xa0, 0x20);
    out(&p.b, 0x20, 0x20);
    g_assert_cmpint(p.intr, ==, 1); /* the line is still high */
    g_assert_cmphex(i8259_acknowledge(p.dev), ==, 0x72);
    pic_input(&p, 10, 0);
    out(&p.b, 0xa0, 0x20);
    out(&p.b, 0x20, 0x20);
    g_assert_cmpint(p.intr, ==, 0);
    bench_exit(&p.b);
}

static void test_pic_modes(void)
{
    Pic p;
    pic_init(&p, 3); /* automatic EOI */

    pic_input(&p, 3, 1);
    g_assert_cmphex(i8259_acknowledge(p.dev), ==, 0x0b);
    pic_input(&p, 6, 1);
    g_assert_cmphex(i8259_acknowledge(p.dev), ==, 0x0e);

    pic_program(&p, 1);
    out(&p.b, 0x20, 0xc3); /* 3 lowest: 4 comes first */
    for (unsigned n = 3; n < 7; n++) {
        pic_input(&p, n, 0);
        pic_input(&p, n, 1);
    }
    g_assert_cmphex(i8259_acknowledge(p.dev), ==, 0x0c);
    out(&p.b, 0x20, 0xa0); /* rotate on EOI: 4 lowest */
    g_assert_cmphex(i8259_acknowledge(p.dev), ==, 0x0d);
    out(&p.b, 0x20, 0x0c); /* poll: 5 in service keeps 6 back */
    g_assert_cmphex(in(&p.b, 0x20), ==, 0);
    out(&p.b, 0x20, 0x68);
    out(&p.b, 0x21, 0x20); /* special mask: 5 masked, all others free */
    g_assert_cmpint(p.intr, ==, 1);
    out(&p.b, 0x20, 0x0c);
    g_assert_cmphex(in(&p.b, 0x20), ==, 0x86);
    out(&p.b, 0x20, 0x0b);
    g_assert_cmphex(in(&p.b, 0x20), ==, 0x60);
    bench_exit(&p.b);
}

/* --- 8254 and port 61h ----------------------------------------------------------------------------------------- */

/* Some nanosecond within the tick. */
static int64_t tick(int64_t n)
{
    return muldiv64(n, NS_PER_SECOND, I8254_HZ) + 400;
}

static unsigned pit_latched(Bench *b, unsigned n)
{
    out(b, 0x43, n << 6);
    unsigned low = in(b, 0x40 + n);
    return low | in(b, 0x40 + n) << 8;
}

static uint8_t pit_status(Bench *b, unsigned n)
{
    out(b, 0x43, 0xe0 | 2 << n);
    return in(b, 0x40 + n);
}

static void pit_program(Bench *b, unsigned n, unsigned mode, unsigned count)
{
    out(b, 0x43, n << 6 | 0x30 | mode << 1);
    out(b, 0x40 + n, count);
    out(b, 0x40 + n, count >> 8);
}

/* A count written in tick t is loaded with tick t + 1. */
static void test_pit_counts(void)
{
    Bench b;
    CpuPort port;
    bench_init(&b, &port);
    bench_add(&b, &i8254_type, NULL, NULL);

    at(&b, tick(1000));
    pit_program(&b, 1, 2, 100);
    g_assert_cmphex(pit_status(&b, 1), ==, 0xf4); /* OUT, null count */
    for (unsigned i = 0; i < 250; i++) {
        at(&b, tick(1001 + i));
        g_assert_cmpuint(pit_latched(&b, 1), ==, 100 - i % 100);
        g_assert_cmphex(pit_status(&b, 1), ==, i % 100 == 99 ? 0x34 : 0xb4);
    }
    pit_program(&b, 1, 3, 101); /* high for 51 ticks, low for 50 */
    for (unsigned i = 0; i < 303; i++) {
        unsigned phase = i % 101, half = phase < 51 ? phase : phase - 51;
        at(&b, tick(1251 + i));
        g_assert_cmpuint(pit_latched(&b, 1), ==, 100 - 2 * half);
        g_assert_cmphex(pit_status(&b, 1), ==, phase < 51 ? 0xb6 : 0x36);
    }
    at(&b, tick(2000));
    pit_program(&b, 1, 0, 0);
    at(&b, tick(2001));
    g_assert_cmpuint(pit_latched(&b, 1), ==, 0);
    at(&b, tick(2001 + 65535));
    g_assert_cmpuint(pit_latched(&b, 1), ==, 1);
    g_assert_cmphex(pit_status(&b, 1), ==, 0x30);
    at(&b, tick(2001 + 65536));
    g_assert_cmphex(pit_status(&b, 1), ==, 0xb0);
    at(&b, tick(2001 + 65537));
    g_assert_cmphex(pit_latched(&b, 1), ==, 0xffff);
    bench_exit(&b);
}

static void test_pit_access(void)
{
    Bench b;
    CpuPort port;
    bench_init(&b, &port);
    bench_add(&b, &i8254_type, NULL, NULL);

    out(&b, 0x43, 0x75); /* channel 1, BCD, mode 2 */
    out(&b, 0x41, 0x00);
    out(&b, 0x41, 0x10);
    at(&b, tick(2));
    g_assert_cmphex(pit_latched(&b, 1), ==, 0x0999);
    g_assert_cmphex(pit_status(&b, 1), ==, 0xb5);
    at(&b, tick(11));
    g_assert_cmphex(in(&b, 0x41), ==, 0x90); /* unlatched: low, then high */
    g_assert_cmphex(in(&b, 0x41), ==, 0x09);
    out(&b, 0x43, 0x54); /* low byte only */
    out(&b, 0x41, 0x80);
    at(&b, tick(12));
    out(&b, 0x43, 0xc4); /* read-back: status and count */
    at(&b, tick(50));
    g_assert_cmphex(in(&b, 0x41), ==, 0x94);
    g_assert_cmphex(in(&b, 0x41), ==, 0x80);
    g_assert_cmphex(in(&b, 0x41), ==, 0x80 - 38);
    at(&b, tick(60));
    out(&b, 0x41, 0x40); /* takes effect with the next period, at tick 12 + 128 */
    g_assert_cmphex(pit_status(&b, 1), ==, 0xd4);
    at(&b, tick(139));
    g_assert_cmphex(in(&b, 0x41), ==, 1);
    at(&b, tick(140));
    g_assert_cmphex(in(&b, 0x41), ==, 0x40);
    at(&b, tick(140 + 64 + 5));
    g_assert_cmphex(in(&b, 0x41), ==, 0x40 - 5);
    bench_exit(&b);
}

static void test_pit_gate(void)
{
    Bench b;
    CpuPort port;
    bench_init(&b, &port);
    bench_add(&b, &i8254_type, NULL, NULL);
    bench_add(&b, &port61_type, NULL, NULL);

    pit_program(&b, 2, 0, 1000); /* counts while the gate is high */
    at(&b, tick(100));
    g_assert_cmpuint(pit_latched(&b, 2), ==, 1000);
    out(&b, 0x61, 1);
    at(&b, tick(400));
    g_assert_cmpuint(pit_latched(&b, 2), ==, 700);
    out(&b, 0x61, 0);
    at(&b, tick(5000));
    g_assert_cmpuint(pit_latched(&b, 2), ==, 700);
    g_assert_cmphex(in(&b, 0x61) & 0x2f, ==, 0x00);
    out(&b, 0x61, 3);
    at(&b, tick(5699));
    g_assert_cmphex(in(&b, 0x61) & 0x2f, ==, 0x03);
    at(&b, tick(5700));
    g_assert_cmphex(in(&b, 0x61) & 0x2f, ==, 0x23);

    pit_program(&b, 2, 1, 50); /* one shot, by the gate's rise */
    g_assert_cmphex(in(&b, 0x61) & 0x20, ==, 0x20);
    at(&b, tick(6000));
    out(&b, 0x61, 0);
    out(&b, 0x61, 1);
    at(&b, tick(6001));
    g_assert_cmphex(in(&b, 0x61) & 0x20, ==, 0);
    at(&b, tick(6050));
    g_assert_cmphex(in(&b, 0x61) & 0x20, ==, 0);
    at(&b, tick(6051));
    g_assert_cmphex(in(&b, 0x61) & 0x20, ==, 0x20);

    pit_program(&b, 2, 5, 10); /* strobe */
    out(&b, 0x61, 0);
    out(&b, 0x61, 1);
    for (unsigned i = 0; i < 20; i++) {
        at(&b, tick(6052 + i));
        g_assert_cmphex(in(&b, 0x61) & 0x20, ==, i == 10 ? 0 : 0x20);
    }
    bool refresh = in(&b, 0x61) & 0x10;
    at(&b, tick(6071 + 18));
    g_assert_cmpint(!!(in(&b, 0x61) & 0x10), !=, refresh);
    bench_exit(&b);
}

/* The first nanosecond of a tick. */
static void assert_tick(Device *pit, int64_t n)
{
    int64_t ns = deadline(pit, "timer");

    g_assert_cmpint(muldiv64(ns, I8254_HZ, NS_PER_SECOND), ==, n);
    g_assert_cmpint(muldiv64(ns - 1, I8254_HZ, NS_PER_SECOND), ==, n - 1);
}

/* A thousand periods: an edge each, at its tick. */
static void test_pit_irq(void)
{
    Bench b;
    CpuPort port;
    bench_init(&b, &port);
    Device *pit = bench_add(&b, &i8254_type, NULL, NULL);

    g_assert_cmpint(b.level[0], ==, 1);
    pit_program(&b, 0, 0, 500);
    g_assert_cmpint(b.level[0], ==, 0);
    assert_tick(pit, 501);
    run_to(&b, tick(501));
    g_assert_cmpint(b.level[0], ==, 1);
    at(&b, tick(501));
    pit_program(&b, 0, 2, 65521);
    b.edges[0] = 0;
    int64_t next = 502 + 65521;
    for (unsigned i = 1; i <= 1000; i++, next += 65521) {
        assert_tick(pit, next);
        run_to(&b, deadline(pit, "timer"));
        g_assert_cmpuint(b.edges[0], ==, i);
    }
    out(&b, 0x40, 0x00); /* 45056 from the next period on */
    out(&b, 0x40, 0xb0);
    for (unsigned i = 0; i < 5; i++, next += 45056) {
        assert_tick(pit, next);
        run_to(&b, deadline(pit, "timer"));
        g_assert_cmpuint(b.edges[0], ==, 1001 + i);
    }
    bench_exit(&b);
}

/* Twenty periods late: lost, or made up for at twice the rate. */
static void pit_late(const char *policy, unsigned late, unsigned after_ten)
{
    enum { HALF = 32000 };
    Bench b;
    CpuPort port;
    bench_init(&b, &port);
    bench_add(&b, &i8254_type, "lost_tick_policy", policy);

    pit_program(&b, 0, 2, 2 * HALF);
    b.edges[0] = 0;
    int64_t now = 20 * 2 * HALF + 1;
    run_to(&b, tick(now));
    g_assert_cmpuint(b.edges[0], ==, 1);
    for (unsigned i = 1; i <= 20; i++)
        run_to(&b, tick(now + (HALF + 300) * i)); /* 300: what a timer was late */
    g_assert_cmpuint(b.edges[0], ==, 1 + after_ten);
    for (unsigned i = 21; i <= 80; i++)
        run_to(&b, tick(now + (HALF + 300) * i));
    g_assert_cmpuint(b.edges[0], ==, 1 + 40 + late);
    bench_exit(&b);
}

static void test_pit_late(void)
{
    pit_late("discard", 0, 10);
    pit_late("delay", 19, 20);
}

static void test_pit_policy_error(void)
{
    Bench b;
    CpuPort port;
    GError *err = NULL;
    bench_init(&b, &port);

    g_assert_null(device_add(b.m, &i8254_type, "pit", &err, "lost_tick_policy", "slew", NULL));
    g_assert_cmpstr(err->message, ==, "device 'pit': lost_tick_policy is 'slew', but must be discard or delay");
    g_clear_error(&err);
    g_assert_null(device_add(b.m, &port61_type, "spk", &err, NULL));
    g_assert_cmpstr(err->message, ==,
                    "device 'spk' (isa-pcspk) needs an 8254 timer, which this machine does not have");
    g_clear_error(&err);
    machine_provide(b.m, "isa", NULL);
    g_assert_null(device_add(b.m, &serial_type, "com", &err, NULL));
    g_assert_cmpstr(err->message, ==, "device 'com' (isa-serial) needs an ISA bus, which this machine does not have");
    g_clear_error(&err);
    bench_exit(&b);
}

/* --- RTC ------------------------------------------------------------------------------------------------------- */

static uint8_t cmos(Bench *b, unsigned index)
{
    out(b, 0x70, index);
    return in(b, 0x71);
}

static void set_cmos(Bench *b, unsigned index, uint8_t v)
{
    out(b, 0x70, index);
    out(b, 0x71, v);
}

static void assert_time(Bench *b, const char *expected)
{
    char *t = g_strdup_printf("%02x%02x-%02x-%02x %02x:%02x:%02x %u", cmos(b, 0x32), cmos(b, 9), cmos(b, 8), cmos(b, 7),
                              cmos(b, 4), cmos(b, 2), cmos(b, 0), cmos(b, 6));
    g_assert_cmpstr(t, ==, expected);
    g_free(t);
}

static Device *rtc_add(Bench *b, const char *base)
{
    GError *err = NULL;
    Device *dev = device_add(b->m, &mc146818_type, NULL, &err, "clock", "vm", "base", base, NULL);

    g_assert_no_error(err);
    mc146818_type.reset(dev);
    return dev;
}

static void test_rtc_time(void)
{
    Bench b;
    CpuPort port;
    bench_init(&b, &port);
    rtc_add(&b, "1999-12-31T23:59:58");

    assert_time(&b, "1999-12-31 23:59:58 6"); /* a Friday */
    at(&b, SECOND(1));
    assert_time(&b, "1999-12-31 23:59:59 6");
    at(&b, SECOND(2));
    assert_time(&b, "2000-01-01 00:00:00 7");
    at(&b, SECOND(2 + 59 * 86400));
    assert_time(&b, "2000-02-29 00:00:00 3");
    at(&b, SECOND(2 + 60 * 86400 + 13 * 3600));
    assert_time(&b, "2000-03-01 13:00:00 4");
    set_cmos(&b, 0x0b, 0x00); /* 12 hours */
    g_assert_cmphex(cmos(&b, 4), ==, 0x81);
    set_cmos(&b, 0x0b, 0x06); /* binary */
    g_assert_cmpuint(cmos(&b, 4), ==, 13);
    g_assert_cmpuint(cmos(&b, 0x32), ==, 20);
    bench_exit(&b);
}

static void test_rtc_set(void)
{
    Bench b;
    CpuPort port;
    bench_init(&b, &port);
    rtc_add(&b, "2000-01-01");

    at(&b, SECOND(5) + 300);
    set_cmos(&b, 0x0b, 0x82);
    at(&b, SECOND(50));
    assert_time(&b, "2000-01-01 00:00:05 7"); /* held */
    static const uint8_t set[][2] = { { 0, 0x59 }, { 2, 0x59 }, { 4, 0x23 }, { 6, 1 }, { 7, 0x28 }, { 8, 2 },
                                      { 9, 0x99 }, { 0x32, 0x98 } };
    for (unsigned i = 0; i < G_N_ELEMENTS(set); i++)
        set_cmos(&b, set[i][0], set[i][1]);
    set_cmos(&b, 0x0b, 0x02);
    assert_time(&b, "9899-02-28 23:59:59 1");
    at(&b, SECOND(51));
    assert_time(&b, "9899-03-01 00:00:00 2");
    set_cmos(&b, 0, 0x30); /* without holding the clock */
    assert_time(&b, "9899-03-01 00:00:30 2");
    set_cmos(&b, 0x0a, 0x76); /* divider in reset; out of it, half a second to the first update */
    at(&b, SECOND(70) + 100);
    set_cmos(&b, 0x0a, 0x26);
    assert_time(&b, "9899-03-01 00:00:30 2");
    at(&b, SECOND(70) + 499999000);
    g_assert_cmphex(cmos(&b, 0x0a), ==, 0xa6); /* update in progress */
    at(&b, SECOND(70) + 500000200);
    g_assert_cmphex(cmos(&b, 0x0a), ==, 0x26);
    assert_time(&b, "9899-03-01 00:00:31 2");
    for (unsigned i = 0; i < 10; i++) /* no value makes it fall over */
        set_cmos(&b, i == 1 || i == 3 || i == 5 ? 0x32 : i, 0xff);
    cmos(&b, 9);
    bench_exit(&b);
}

static void test_rtc_interrupts(void)
{
    Bench b;
    CpuPort port;
    bench_init(&b, &port);
    Device *rtc = rtc_add(&b, "2000-01-01T00:00:00");

    set_cmos(&b, 0x0b, 0x12); /* update ended */
    g_assert_cmpint(deadline(rtc, "update_timer"), ==, SECOND(1));
    run_to(&b, SECOND(1));
    g_assert_cmpint(b.level[8], ==, 1);
    g_assert_cmphex(cmos(&b, 0x0c), ==, 0xd0); /* the periodic flag comes along */
    g_assert_cmpint(b.level[8], ==, 0);
    g_assert_cmphex(cmos(&b, 0x0c), ==, 0);

    set_cmos(&b, 1, 0x03);
    set_cmos(&b, 3, 0xc0);
    set_cmos(&b, 5, 0xff);
    set_cmos(&b, 0x0b, 0x22); /* alarm at second 3 of any minute */
    run_to(&b, SECOND(2));
    g_assert_cmpint(b.level[8], ==, 0);
    run_to(&b, SECOND(3));
    g_assert_cmpint(b.level[8], ==, 1);
    g_assert_cmphex(cmos(&b, 0x0c) & 0xb0, ==, 0xb0);
    g_assert_cmpint(b.level[8], ==, 0);
    g_assert_cmpint(deadline(rtc, "update_timer"), ==, SECOND(63));
    run_to(&b, SECOND(63));
    g_assert_cmpint(b.level[8], ==, 1);
    cmos(&b, 0x0c);
    set_cmos(&b, 1, 0x77); /* never */
    g_assert_cmpint(deadline(rtc, "update_timer"), ==, -1);
    at(&b, SECOND(200));
    set_cmos(&b, 1, 0x30); /* seen without an interrupt too */
    set_cmos(&b, 0x0b, 0x02);
    at(&b, SECOND(211));
    g_assert_cmphex(cmos(&b, 0x0c), ==, 0x70);
    bench_exit(&b);
}

static void test_rtc_periodic(void)
{
    Bench b;
    CpuPort port;
    bench_init(&b, &port);
    Device *rtc = rtc_add(&b, "2000-01-01T00:00:00");

    set_cmos(&b, 0x0a, 0x2f); /* 2 Hz */
    set_cmos(&b, 0x0b, 0x42);
    for (unsigned i = 1; i <= 100; i++) {
        int64_t due = SECOND(i) / 2 + 1;
        g_assert_cmpint(deadline(rtc, "periodic_timer"), ==, due);
        g_assert_cmpint(b.level[8], ==, 0);
        run_to(&b, due);
        g_assert_cmpint(b.level[8], ==, 1);
        g_assert_cmphex(cmos(&b, 0x0c) & 0xc0, ==, 0xc0);
    }
    set_cmos(&b, 0x0a, 0x26); /* 1024 Hz */
    g_assert_cmpint(deadline(rtc, "periodic_timer"), <, SECOND(50) + 1000000);
    set_cmos(&b, 0x0a, 0x20); /* no rate */
    g_assert_cmpint(deadline(rtc, "periodic_timer"), ==, -1);
    bench_exit(&b);
}

static void test_rtc_memory(void)
{
    Bench b;
    CpuPort port;
    GError *err = NULL;
    bench_init(&b, &port);
    Device *dev = rtc_add(&b, "2000-01-01");

    mc146818_set_cmos(dev, 0x5b, 0xa5);
    set_cmos(&b, 0x8f, 0x5a);
    g_assert_true(mc146818_nmi_masked(dev));
    mc146818_type.reset(dev);
    g_assert_cmphex(cmos(&b, 0x5b), ==, 0xa5);
    g_assert_cmphex(cmos(&b, 0x0f), ==, 0x5a);
    g_assert_cmphex(cmos(&b, 0x0d), ==, 0x80);
    g_assert_false(mc146818_nmi_masked(dev));
    g_assert_null(device_add(b.m, &mc146818_type, "clk", &err, "base", "noon", NULL));
    g_assert_cmpstr(err->message, ==,
                    "device 'clk': base is 'noon', but must be utc, localtime, or a date as 2006-06-17T16:01:21");
    g_clear_error(&err);
    bench_exit(&b);
}

/* --- 8237 ------------------------------------------------------------------------------------------------------ */

typedef struct DmaUser {
    Bench *b;
    uint8_t data[64];
    bool to_memory;
    unsigned step, calls;
} DmaUser;

static unsigned dma_user_transfer(void *opaque, unsigned channel, unsigned pos, unsigned size)
{
    DmaUser *u = opaque;
    unsigned n = MIN(size, u->step);

    u->calls++;
    if (u->to_memory)
        isa_dma_write(u->b->isa.dma, channel, u->data + pos, pos, n);
    else
        isa_dma_read(u->b->isa.dma, channel, u->data + pos, pos, n);
    return pos + n;
}

static const IsaDmaOps dma_user_ops = { .transfer = dma_user_transfer };

static void dma_program(Bench *b, unsigned channel, uint8_t mode, unsigned address, unsigned count, uint8_t page)
{
    static const uint8_t pages[] = { 0x87, 0x83, 0x81, 0x82, 0x8f, 0x8b, 0x89, 0x8a };
    unsigned base = channel < 4 ? 0 : 0xc0, shift = channel >= 4, n = channel & 3;

    out(b, base + (12 << shift), 0);
    out(b, base + (11 << shift), mode | n);
    out(b, base + (2 * n << shift), address);
    out(b, base + (2 * n << shift), address >> 8);
    out(b, base + ((2 * n + 1) << shift), count);
    out(b, base + ((2 * n + 1) << shift), count >> 8);
    out(b, pages[channel], page);
    out(b, base + (10 << shift), n);
}

static unsigned dma_word(Bench *b, unsigned port)
{
    unsigned low = in(b, port);
    return low | in(b, port) << 8;
}

static void dma_bench(Bench *b, CpuPort *port, Region **ram)
{
    GError *err = NULL;

    bench_init(b, port);
    *ram = region_new_ram(b->m->pool, "ram", MiB, &err);
    g_assert_no_error(err);
    region_add(as_root(b->m->memory), 0, *ram, 0);
    bench_add(b, &i8237_type, NULL, NULL);
}

static void dma_bench_exit(Bench *b, Region *ram)
{
    region_remove(ram);
    region_free(ram);
    bench_exit(b);
}

static void test_dma_bytes(void)
{
    Bench b;
    CpuPort port;
    Region *ram;
    dma_bench(&b, &port, &ram);
    DmaUser u = { .b = &b, .to_memory = true, .step = 5 };

    for (unsigned i = 0; i < sizeof u.data; i++)
        u.data[i] = i + 1;
    isa_dma_register(b.isa.dma, 2, &dma_user_ops, &u);
    isa_dma_request(b.isa.dma, 2, 1);
    g_assert_cmpuint(u.calls, ==, 0); /* masked */
    dma_program(&b, 2, 0x44, 0xfff8, 15, 0x05); /* wraps within its page */
    g_assert_cmpuint(u.calls, ==, 4);
    for (unsigned i = 0; i < 16; i++)
        g_assert_cmpuint(as_read(b.m->memory, 0x50000 + ((0xfff8 + i) & 0xffff), 1), ==, i + 1);
    g_assert_cmphex(in(&b, 8), ==, 0x44); /* request, terminal count */
    g_assert_cmphex(in(&b, 8), ==, 0x40);
    g_assert_cmphex(in(&b, 15) & 15, ==, 0x0f); /* masked again */
    out(&b, 12, 0);
    g_assert_cmphex(dma_word(&b, 4), ==, 0x0008);
    g_assert_cmphex(dma_word(&b, 5), ==, 0xffff);

    u.to_memory = false; /* memory to device, downwards */
    memset(u.data, 0, sizeof u.data);
    dma_program(&b, 2, 0x68, 0x0003, 5, 0x05);
    static const uint8_t down[] = { 12, 11, 10, 9, 8, 7 };
    g_assert_cmpmem(u.data, sizeof down, down, sizeof down);

    u.to_memory = true; /* verify: memory stays */
    memset(u.data, 0, sizeof u.data);
    dma_program(&b, 2, 0x40, 0x0000, 3, 0x05);
    g_assert_cmpuint(as_read(b.m->memory, 0x50000, 1), ==, 9);
    dma_bench_exit(&b, ram);
}

static void test_dma_words(void)
{
    Bench b;
    CpuPort port;
    Region *ram;
    dma_bench(&b, &port, &ram);
    DmaUser u = { .b = &b, .step = 8 };

    for (unsigned i = 0; i < 32; i++)
        as_write(b.m->memory, 0x2fff0 + i, i, 1);
    isa_dma_register(b.isa.dma, 5, &dma_user_ops, &u);
    dma_program(&b, 5, 0x58, 0x7ff8, 15, 0x03); /* words at 2fff0: bit 0 of the page does not count; auto */
    out(&b, 0xd0, 0x04);
    isa_dma_request(b.isa.dma, 5, 1);
    g_assert_cmpuint(u.calls, ==, 0); /* controller disabled */
    out(&b, 0xd0, 0x00);
    g_assert_cmpuint(u.calls, ==, 4); /* once through, though the request stays */
    for (unsigned i = 0; i < 32; i++)
        g_assert_cmpuint(u.data[i], ==, i);
    out(&b, 0xd8, 0);
    g_assert_cmphex(dma_word(&b, 0xc4), ==, 0x7ff8);
    g_assert_cmphex(dma_word(&b, 0xc6), ==, 15);
    g_assert_cmphex(in(&b, 0x8b), ==, 3);
    out(&b, 0x80, 0x55);
    g_assert_cmphex(in(&b, 0x80), ==, 0x55);
    dma_bench_exit(&b, ram);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/i8259/priority", test_pic_priority);
    g_test_add_func("/i8259/cascade", test_pic_cascade);
    g_test_add_func("/i8259/fully-nested", test_pic_fully_nested);
    g_test_add_func("/i8259/spurious", test_pic_spurious);
    g_test_add_func("/i8259/level", test_pic_level);
    g_test_add_func("/i8259/modes", test_pic_modes);
    g_test_add_func("/i8254/counts", test_pit_counts);
    g_test_add_func("/i8254/access", test_pit_access);
    g_test_add_func("/i8254/gate", test_pit_gate);
    g_test_add_func("/i8254/irq", test_pit_irq);
    g_test_add_func("/i8254/late", test_pit_late);
    g_test_add_func("/i8254/errors", test_pit_policy_error);
    g_test_add_func("/rtc/time", test_rtc_time);
    g_test_add_func("/rtc/set", test_rtc_set);
    g_test_add_func("/rtc/interrupts", test_rtc_interrupts);
    g_test_add_func("/rtc/periodic", test_rtc_periodic);
    g_test_add_func("/rtc/memory", test_rtc_memory);
    g_test_add_func("/i8237/bytes", test_dma_bytes);
    g_test_add_func("/i8237/words", test_dma_words);
    return g_test_run();
}
