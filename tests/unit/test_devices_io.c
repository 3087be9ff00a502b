/*
 * Keyboard controller, serial port and the small devices of a PC on a bench; saving and restoring all ISA devices.
 */
#include "hw/char/debugcon.h"
#include "hw/char/serial.h"
#include "hw/input/i8042.h"
#include "hw/input/ps2.h"
#include "hw/intc/i8259.h"
#include "hw/misc/debug_exit.h"
#include "hw/misc/i8237.h"
#include "hw/misc/pc_testdev.h"
#include "hw/misc/port61.h"
#include "hw/misc/port92.h"
#include "hw/timer/i8254.h"
#include "hw/timer/mc146818.h"
#include "tests/unit/bench.h"

/* --- 8042, keyboard, mouse ------------------------------------------------------------------------------------- */

enum { KEY_A = 4, KEY_PAUSE = 0x48, KEY_HOME = 0x4a, KEY_LSHIFT = 0xe1 };

/* What waits at port 60h, letting the device's next byte come each time. */
static char *kbc_drain(Bench *b)
{
    GString *s = g_string_new(NULL);

    for (unsigned i = 0; i < 256 && in(b, 0x64) & 1; i++) {
        bool mouse = in(b, 0x64) & 0x20;
        g_string_append_printf(s, "%s%s%02x", s->len ? " " : "", mouse ? "m" : "", in(b, 0x60));
        run_to(b, clock_now(b->m->clocks, MYNA_CLOCK_VIRTUAL) + 1000000);
    }
    return g_string_free(s, FALSE);
}

static void assert_bytes(Bench *b, const char *expected)
{
    char *s = kbc_drain(b);
    g_assert_cmpstr(s, ==, expected);
    g_free(s);
}

static void to_keyboard(Bench *b, uint8_t v, const char *expected)
{
    out(b, 0x60, v);
    assert_bytes(b, expected);
}

static void to_mouse(Bench *b, uint8_t v, const char *expected)
{
    out(b, 0x64, 0xd4);
    out(b, 0x60, v);
    assert_bytes(b, expected);
}

static void command(Bench *b, uint8_t v, const char *expected)
{
    out(b, 0x64, v);
    assert_bytes(b, expected);
}

static void test_kbc_commands(void)
{
    Bench b;
    CpuPort port;
    bench_init(&b, &port);
    bench_add(&b, &i8042_type, NULL, NULL);

    g_assert_cmphex(in(&b, 0x64), ==, 0x14);
    command(&b, 0xaa, "55");
    command(&b, 0xab, "00");
    command(&b, 0xa9, "00");
    command(&b, 0x20, "45");
    command(&b, 0x60, "");
    g_assert_cmphex(in(&b, 0x64), ==, 0x1c); /* command written last */
    out(&b, 0x60, 0x47);
    command(&b, 0x20, "47");
    command(&b, 0x65, "");
    out(&b, 0x60, 0x99);
    command(&b, 0x25, "99");
    command(&b, 0xad, "");
    command(&b, 0xa7, "");
    command(&b, 0x20, "77");
    command(&b, 0xae, "");
    command(&b, 0xa8, "");
    command(&b, 0x20, "47");
    command(&b, 0xd0, "cf");
    command(&b, 0xdd, "");
    g_assert_false(b.a20);
    command(&b, 0xd0, "cd");
    command(&b, 0xdf, "");
    g_assert_true(b.a20);
    command(&b, 0xd1, "");
    out(&b, 0x60, 0xdd);
    g_assert_false(b.a20);
    b.edges[1] = b.edges[12] = 0;
    command(&b, 0xd2, "");
    out(&b, 0x60, 0x12);
    g_assert_cmpint(b.level[1], ==, 1);
    assert_bytes(&b, "12");
    command(&b, 0xd3, "");
    out(&b, 0x60, 0x34);
    g_assert_cmpint(b.level[12], ==, 1);
    assert_bytes(&b, "m34");
    g_assert_cmpint(b.level[12], ==, 0);
    for (unsigned i = 0; i < 20; i++)
        out(&b, 0x64, 0xd0); /* answers that nobody reads */
    assert_bytes(&b, "cd dd dd dd dd"); /* the output buffer's own bit shows */
    g_assert_true(b.m->run_state == RUN_PAUSED);
    bench_exit(&b);
}

static void test_keyboard_commands(void)
{
    Bench b;
    CpuPort port;
    bench_init(&b, &port);
    bench_add(&b, &i8042_type, NULL, NULL);
    Ps2Keyboard *k = machine_find(b.m, "ps2-keyboard");

    to_keyboard(&b, 0xff, "fa aa");
    to_keyboard(&b, 0xf2, "fa ab 41"); /* translated, as all */
    to_keyboard(&b, 0xed, "fa");
    to_keyboard(&b, 0x05, "fa");
    g_assert_cmphex(ps2_keyboard_leds(k), ==, 5);
    to_keyboard(&b, 0xee, "ee");
    to_keyboard(&b, 0xf3, "fa");
    to_keyboard(&b, 0x00, "fa");
    to_keyboard(&b, 0xfe, "fa");
    to_keyboard(&b, 0x10, "fe");
    to_keyboard(&b, 0xf0, "fa");
    to_keyboard(&b, 0x00, "fa 41");
    to_keyboard(&b, 0xed, "fa");
    to_keyboard(&b, 0xf4, "fa"); /* a command in place of the parameter */
    to_keyboard(&b, 0xf5, "fa");
    ps2_keyboard_key(k, KEY_A, true);
    assert_bytes(&b, "");
    bench_exit(&b);
}

static void press(Ps2Keyboard *k, unsigned key)
{
    ps2_keyboard_key(k, key, true);
    ps2_keyboard_key(k, key, false);
}

static void test_keyboard_keys(void)
{
    Bench b;
    CpuPort port;
    bench_init(&b, &port);
    bench_add(&b, &i8042_type, NULL, NULL);
    Ps2Keyboard *k = machine_find(b.m, "ps2-keyboard");

    press(k, KEY_A);
    g_assert_cmpint(b.level[1], ==, 1);
    assert_bytes(&b, "1e 9e");
    press(k, KEY_HOME);
    assert_bytes(&b, "e0 47 e0 c7");
    press(k, KEY_PAUSE);
    assert_bytes(&b, "e1 1d 45 e1 9d c5");
    press(k, 0x46);
    assert_bytes(&b, "e0 2a e0 37 e0 b7 e0 aa");
    press(k, 0);
    press(k, 0x1000);
    assert_bytes(&b, "");
    out(&b, 0x64, 0x60); /* no translation: set 2 */
    out(&b, 0x60, 0x05);
    press(k, KEY_A);
    assert_bytes(&b, "1c f0 1c");
    to_keyboard(&b, 0xf0, "fa");
    to_keyboard(&b, 0x01, "fa");
    press(k, KEY_HOME);
    assert_bytes(&b, "e0 47 e0 c7");
    to_keyboard(&b, 0xf0, "fa");
    to_keyboard(&b, 0x03, "fa");
    press(k, KEY_HOME);
    assert_bytes(&b, "6e f0 6e");
    to_keyboard(&b, 0xfd, "fa"); /* this key: make only */
    to_keyboard(&b, 0x6e, "fa");
    press(k, KEY_HOME);
    press(k, KEY_A);
    assert_bytes(&b, "6e 1c f0 1c");
    for (unsigned i = 0; i < 1000; i++) /* more than fits: whole keys are lost */
        press(k, KEY_A);
    char *s = kbc_drain(&b);
    g_free(s);
    ps2_keyboard_key(k, KEY_A, true);
    ps2_keyboard_key(k, KEY_LSHIFT, true);
    ps2_keyboard_release_all(k);
    s = kbc_drain(&b);
    g_assert_true(g_str_has_suffix(s, "1c 12 f0 1c f0 12"));
    g_free(s);
    bench_exit(&b);
}

static void test_keyboard_repeat(void)
{
    Bench b;
    CpuPort port;
    bench_init(&b, &port);
    bench_add(&b, &i8042_type, NULL, NULL);
    Ps2Keyboard *k = machine_find(b.m, "ps2-keyboard");

    to_keyboard(&b, 0xf3, "fa");
    to_keyboard(&b, 0x20, "fa"); /* after 500 ms, each 33.36 ms */
    int64_t start = SECOND(1);
    run_to(&b, start);
    ps2_keyboard_key(k, KEY_A, true);
    ps2_keyboard_key(k, KEY_A, true);
    assert_bytes(&b, "1e");
    g_assert_cmpint(timer_deadline(k->repeat), ==, start + 500000000);
    run_to(&b, start + 500000000);
    int64_t second = timer_deadline(k->repeat) - start;
    g_assert_cmpint(second, >=, 533360000);
    g_assert_cmpint(second, <, 633360000);
    assert_bytes(&b, "1e");
    run_to(&b, start + 700000000);
    assert_bytes(&b, "1e");
    ps2_keyboard_key(k, KEY_A, false);
    assert_bytes(&b, "9e");
    run_to(&b, start + SECOND(2));
    assert_bytes(&b, "");
    bench_exit(&b);
}

static void test_mouse(void)
{
    Bench b;
    CpuPort port;
    bench_init(&b, &port);
    bench_add(&b, &i8042_type, NULL, NULL);
    Ps2Mouse *mouse = machine_find(b.m, "ps2-mouse");

    out(&b, 0x64, 0x60);
    out(&b, 0x60, 0x47);
    to_mouse(&b, 0xff, "mfa maa m00");
    ps2_mouse_event(mouse, 1, 1, 0, 0);
    assert_bytes(&b, ""); /* not enabled */
    to_mouse(&b, 0xf4, "mfa");
    ps2_mouse_event(mouse, 3, 2, 5, INPUT_LEFT);
    g_assert_cmpint(b.level[12], ==, 1);
    assert_bytes(&b, "m29 m03 mfe");
    to_mouse(&b, 0xe9, "mfa m24 m02 m64");
    static const uint8_t knock[] = { 200, 100, 80 };
    for (unsigned i = 0; i < 3; i++) {
        to_mouse(&b, 0xf3, "mfa");
        to_mouse(&b, knock[i], "mfa");
    }
    to_mouse(&b, 0xf2, "mfa m03");
    ps2_mouse_event(mouse, 0, 0, -1, INPUT_RIGHT | INPUT_MIDDLE);
    assert_bytes(&b, "m0e m00 m00 mff");
    ps2_mouse_event(mouse, -300, 0, 0, 0); /* more than one packet holds */
    assert_bytes(&b, "m18 m01 m00 m00 m18 md3 m00 m00");
    ps2_mouse_event(mouse, 10, 0, 0, 0);
    ps2_mouse_event(mouse, 20, 0, 0, 0); /* gathered while the first waits */
    ps2_mouse_event(mouse, 30, 0, 0, 0);
    assert_bytes(&b, "m08 m0a m00 m00 m08 m32 m00 m00");
    to_mouse(&b, 0xe7, "mfa");
    ps2_mouse_event(mouse, 4, -20, 0, 0);
    assert_bytes(&b, "m08 m06 m28 m00");
    to_mouse(&b, 0xf0, "mfa");
    ps2_mouse_event(mouse, 4, 0, 0, 0);
    assert_bytes(&b, "");
    to_mouse(&b, 0xeb, "mfa m08 m04 m00 m00");
    to_mouse(&b, 0xee, "mfa");
    to_mouse(&b, 0x12, "m12");
    to_mouse(&b, 0xec, "mfa");
    to_mouse(&b, 0x12, "mfe");
    for (int i = 0; i < 1000; i++)
        ps2_mouse_event(mouse, INT_MAX, INT_MIN, INT_MAX, i);
    for (int i = 0; i < 1000; i++) {
        out(&b, 0x64, 0xd4);
        out(&b, 0x60, i);
    }
    bench_exit(&b);
}

/* --- port 92h -------------------------------------------------------------------------------------------------- */

static void test_port92(void)
{
    Bench b;
    CpuPort port;
    bench_init(&b, &port);
    bench_add(&b, &port92_type, NULL, NULL);

    g_assert_cmphex(in(&b, 0x92), ==, 2);
    out(&b, 0x92, 0);
    g_assert_false(b.a20);
    out(&b, 0x92, 2);
    g_assert_true(b.a20);
    bench_exit(&b);
}

/* --- serial ---------------------------------------------------------------------------------------------------- */

enum { COM1 = 0x3f8 };

static Device *serial_loop(Bench *b, CpuPort *port)
{
    bench_init(b, port);
    Device *dev = bench_add(b, &serial_type, NULL, NULL);
    out(b, COM1 + 4, 0x1b); /* loopback, DTR, RTS, OUT2 */
    return dev;
}

static void test_serial_registers(void)
{
    Bench b;
    CpuPort port;
    bench_init(&b, &port);
    bench_add(&b, &serial_type, NULL, NULL);

    g_assert_cmphex(in(&b, COM1 + 2), ==, 0x01);
    g_assert_cmphex(in(&b, COM1 + 5), ==, 0x60);
    out(&b, COM1 + 3, 0x83);
    out(&b, COM1, 0x34);
    out(&b, COM1 + 1, 0x12);
    g_assert_cmphex(in(&b, COM1), ==, 0x34);
    g_assert_cmphex(in(&b, COM1 + 1), ==, 0x12);
    out(&b, COM1 + 3, 0x03);
    g_assert_cmphex(in(&b, COM1 + 1), ==, 0);
    out(&b, COM1 + 7, 0xa5);
    g_assert_cmphex(in(&b, COM1 + 7), ==, 0xa5);
    out(&b, COM1 + 2, 0x01);
    g_assert_cmphex(in(&b, COM1 + 2), ==, 0xc1);
    out(&b, COM1 + 1, 0xff);
    g_assert_cmphex(in(&b, COM1 + 1), ==, 0x0f);
    bench_exit(&b);
}

static void test_serial_transmit(void)
{
    Bench b;
    CpuPort port;
    bench_init(&b, &port);
    bench_add(&b, &serial_type, NULL, NULL);

    out(&b, COM1 + 1, 0x02); /* enabling asks for data at once */
    g_assert_cmpint(b.level[4], ==, 1);
    g_assert_cmphex(in(&b, COM1 + 2), ==, 0x02);
    g_assert_cmpint(b.level[4], ==, 0); /* reading IIR takes it back */
    g_assert_cmphex(in(&b, COM1 + 2), ==, 0x01);
    out(&b, COM1, 'x');
    g_assert_cmpint(b.level[4], ==, 1);
    unsigned edges = b.edges[4];
    out(&b, COM1, 'y'); /* a new edge for each */
    g_assert_cmpuint(b.edges[4], ==, edges + 1);
    g_assert_cmphex(in(&b, COM1 + 5), ==, 0x60);
    out(&b, COM1 + 1, 0);
    g_assert_cmpint(b.level[4], ==, 0);
    out(&b, COM1 + 1, 0x02);
    g_assert_cmpint(b.level[4], ==, 1);
    bench_exit(&b);
}

static void test_serial_loopback(void)
{
    Bench b;
    CpuPort port;
    serial_loop(&b, &port);

    g_assert_cmphex(in(&b, COM1 + 6), ==, 0xbb); /* DCD, DSR, CTS and that they changed */
    g_assert_cmphex(in(&b, COM1 + 6), ==, 0xb0);
    out(&b, COM1 + 1, 0x08);
    out(&b, COM1 + 4, 0x1f);
    g_assert_cmpint(b.level[4], ==, 0); /* ring begins: no change that counts */
    out(&b, COM1 + 4, 0x1b);
    g_assert_cmpint(b.level[4], ==, 1);
    g_assert_cmphex(in(&b, COM1 + 2), ==, 0x00);
    g_assert_cmphex(in(&b, COM1 + 6), ==, 0xb4);
    g_assert_cmpint(b.level[4], ==, 0);
    out(&b, COM1 + 1, 0x05);
    out(&b, COM1, 0x41);
    g_assert_cmphex(in(&b, COM1 + 2), ==, 0x04);
    out(&b, COM1, 0x42); /* without FIFO the second one is lost */
    g_assert_cmphex(in(&b, COM1 + 2), ==, 0x06);
    g_assert_cmphex(in(&b, COM1 + 5), ==, 0x63);
    g_assert_cmphex(in(&b, COM1 + 5), ==, 0x61);
    g_assert_cmphex(in(&b, COM1), ==, 0x41);
    g_assert_cmphex(in(&b, COM1 + 5), ==, 0x60);
    g_assert_cmpint(b.level[4], ==, 0);
    bench_exit(&b);
}

static void test_serial_fifo(void)
{
    Bench b;
    CpuPort port;
    Device *com = serial_loop(&b, &port);

    out(&b, COM1 + 3, 0x03);
    out(&b, COM1 + 2, 0x47); /* trigger at 4 */
    out(&b, COM1 + 1, 0x01);
    for (unsigned i = 0; i < 3; i++)
        out(&b, COM1, i);
    g_assert_cmpint(b.level[4], ==, 0);
    int64_t four = 4 * 10 * SECOND(1) / 9600; /* characters of 8N1 at the divisor of 12 */
    g_assert_cmpint(deadline(com, "timeout"), ==, four);
    run_to(&b, four);
    g_assert_cmpint(b.level[4], ==, 1);
    g_assert_cmphex(in(&b, COM1 + 2), ==, 0xcc);
    g_assert_cmphex(in(&b, COM1), ==, 0);
    g_assert_cmpint(b.level[4], ==, 0); /* the wait starts anew */
    run_to(&b, 3 * four);
    g_assert_cmphex(in(&b, COM1 + 2), ==, 0xcc);
    out(&b, COM1, 3);
    out(&b, COM1, 4);
    g_assert_cmphex(in(&b, COM1 + 2), ==, 0xc4);
    for (unsigned i = 5; i < 30; i++)
        out(&b, COM1, i);
    g_assert_cmphex(in(&b, COM1 + 5), ==, 0x63); /* overrun */
    for (unsigned i = 1; i <= 16; i++)
        g_assert_cmphex(in(&b, COM1), ==, i);
    g_assert_cmphex(in(&b, COM1 + 5), ==, 0x60);
    out(&b, COM1, 9);
    out(&b, COM1 + 2, 0x43);
    g_assert_cmphex(in(&b, COM1 + 5), ==, 0x60);
    bench_exit(&b);
}

static void test_serial_places(void)
{
    Bench b;
    CpuPort port;
    GError *err = NULL;
    bench_init(&b, &port);

    static const uint16_t bases[] = { 0x3f8, 0x2f8, 0x3e8, 0x2e8 };
    for (unsigned i = 0; i < 4; i++) {
        bench_add(&b, &serial_type, NULL, NULL);
        out(&b, bases[i] + 7, i + 1);
    }
    for (unsigned i = 0; i < 4; i++)
        g_assert_cmphex(in(&b, bases[i] + 7), ==, i + 1);
    g_assert_null(device_add(b.m, &serial_type, "fifth", &err, NULL));
    g_assert_cmpstr(err->message, ==, "device 'fifth': there are 4 serial ports already; give this one iobase and irq");
    g_clear_error(&err);
    g_assert_nonnull(device_add(b.m, &serial_type, NULL, &err, "iobase", "0x1000", "irq", "9", NULL));
    out(&b, 0x1001, 2);
    g_assert_cmpint(b.level[9], ==, 1);
    bench_exit(&b);
}

/* --- the rest -------------------------------------------------------------------------------------------------- */

static void test_debugcon(void)
{
    Bench b;
    CpuPort port;
    bench_init(&b, &port);
    bench_add(&b, &debugcon_type, NULL, NULL);
    bench_add(&b, &debugcon_type, "iobase", "0x402");

    g_assert_cmphex(in(&b, 0xe9), ==, 0xe9);
    g_assert_cmphex(in(&b, 0x402), ==, 0xe9);
    out(&b, 0xe9, 'x');
    bench_exit(&b);
}

static void test_debug_exit(void)
{
    Bench b;
    CpuPort port;
    bench_init(&b, &port);
    bench_add(&b, &debug_exit_type, "iobase", "0xf4");

    b.m->cpu_count = 0;
    g_assert_cmphex(in(&b, 0xf4), ==, 0);
    as_write(b.m->ports, 0xf4, 0x11, 1);
    g_assert_cmpint(machine_run(b.m, true), ==, 0x23);
    bench_exit(&b);
}

static void test_pc_testdev(void)
{
    Bench b;
    CpuPort port;
    bench_init(&b, &port);
    bench_add(&b, &pc_testdev_type, NULL, NULL);

    as_write(b.m->ports, 0xe0, 0x12345678, 4);
    g_assert_cmphex(in(&b, 0xe2), ==, 0x34);
    g_assert_cmphex(in(&b, 0xe9), ==, 0x56);
    as_write(b.m->ports, 0xe1, 0xabcd, 2);
    g_assert_cmphex(as_read(b.m->ports, 0xe0, 4), ==, 0x12abcd78);
    as_write(b.m->ports, 0xe4, 0x1000, 4);
    out(&b, 0x200d, 1);
    as_write(b.m->ports, 0x200b, 1, 4); /* four lines in one write */
    g_assert_cmpint(b.level[11], ==, 1);
    g_assert_cmpint(b.level[13], ==, 0);
    out(&b, 0x2017, 1); /* beyond the ISA lines, without a board */
    as_write(b.m->memory, 0xff000ffd, UINT64_C(0x1122334455667788), 8);
    g_assert_cmphex(as_read(b.m->memory, 0xff000ffe, 4), ==, 0x44556677);
    as_write(b.m->memory, 0xff00fffc, UINT64_C(0x1122334455667788), 8); /* over the end */
    g_assert_cmphex(as_read(b.m->memory, 0xff00fffc, 4), ==, 0x55667788);
    bench_exit(&b);
}

/* --- state: what is saved, and that it is the same after a restore ----------------------------------------------- */

static void add_all(Bench *b)
{
    GError *err = NULL;
    static const DeviceType *const types[] = {
        &i8259_type, &i8254_type, &port61_type, &i8237_type, &i8042_type, &port92_type, &serial_type, &serial_type,
        &debugcon_type, &debug_exit_type, &pc_testdev_type,
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++)
        g_assert_nonnull(device_add(b->m, types[i], NULL, &err, NULL));
    g_assert_nonnull(device_add(b->m, &mc146818_type, NULL, &err, "clock", "vm", "base", "2001-02-03", NULL));
    machine_reset(b->m);
}

/*
 * Bytes to all ports of all devices that do not end the machine, and some keys and time in between; with timers, it
 * depends a little on the host's time.
 */
static void disturb(Bench *b, GRand *rand, unsigned count, bool timers)
{
    static const uint16_t ranges[][2] = {
        { 0x00, 16 }, { 0x20, 2 }, { 0x40, 4 }, { 0x60, 2 }, { 0x64, 1 }, { 0x70, 2 }, { 0x80, 16 }, { 0xa0, 2 },
        { 0xc0, 32 }, { 0xe0, 12 }, { 0x3f8, 8 }, { 0x2f8, 8 }, { 0x4d0, 2 }, { 0x2000, 24 },
    };
    Ps2Keyboard *k = machine_find(b->m, "ps2-keyboard");
    Ps2Mouse *mouse = machine_find(b->m, "ps2-mouse");

    for (unsigned i = 0; i < count; i++) {
        const uint16_t *r = ranges[g_rand_int_range(rand, 0, G_N_ELEMENTS(ranges))];
        unsigned port = r[0] + g_rand_int_range(rand, 0, r[1]), v = g_rand_int(rand) & 0xff;
        if (g_rand_int(rand) & 1)
            in(b, port);
        else if (port != 0x64 || (v < 0xf0 && v != 0xd1))
            out(b, port, v);
        as_write(b->m->memory, 0xff000000 + (g_rand_int(rand) & 0xffff), v, 1);
        ps2_keyboard_key(k, g_rand_int(rand) & 0x3f, v & 1);
        ps2_mouse_event(mouse, v, -(int)v, 0, v >> 5);
        if (i % 16 == 0)
            (timers ? run_to : at)(b, clock_now(b->m->clocks, MYNA_CLOCK_VIRTUAL) + g_rand_int_range(rand, 0, 3000000));
        i8259_acknowledge(device_first(b->m, &i8259_type));
    }
}

static char *dump_all(Machine *m)
{
    GString *s = g_string_new(NULL);
    GPtrArray *devices = machine_devices(m);

    for (unsigned i = 0; i < devices->len; i++) {
        Device *dev = devices->pdata[i];
        g_string_append_printf(s, "%s:\n", dev->id);
        state_dump(dev->type->state, dev, 1, s);
    }
    return g_string_free(s, FALSE);
}

static void assert_same(Bench *a, Bench *b)
{
    char *all_a = dump_all(a->m), *all_b = dump_all(b->m);
    char **lines_a = g_strsplit(all_a, "\n", -1), **lines_b = g_strsplit(all_b, "\n", -1);

    g_assert_cmpuint(g_strv_length(lines_a), ==, g_strv_length(lines_b));
    for (unsigned i = 0; lines_a[i]; i++)
        g_assert_cmpstr(lines_a[i], ==, lines_b[i]);
    g_strfreev(lines_a);
    g_strfreev(lines_b);
    g_free(all_a);
    g_free(all_b);
}

/* The two go on alike. */
static void assert_same_future(Bench *a, Bench *b, uint32_t seed)
{
    GRand *ra = g_rand_new_with_seed(seed), *rb = g_rand_new_with_seed(seed);

    disturb(a, ra, 200, false);
    disturb(b, rb, 200, false);
    assert_same(a, b);
    g_rand_free(ra);
    g_rand_free(rb);
}

static void test_state(void)
{
    for (unsigned round = 0; round < 20; round++) {
        Bench a, b;
        CpuPort port_a, port_b;
        GError *err = NULL;
        GRand *rand = g_rand_new_with_seed(round);
        bench_init(&a, &port_a);
        bench_init(&b, &port_b);
        add_all(&a);
        add_all(&b);
        disturb(&a, rand, 400, true);

        GByteArray *saved = machine_save(a.m);
        g_assert_true(machine_load(b.m, saved->data, saved->len, &err));
        g_assert_no_error(err);
        assert_same(&a, &b);
        assert_same_future(&a, &b, round + 1000);
        g_byte_array_unref(saved);
        g_rand_free(rand);
        bench_exit(&a);
        bench_exit(&b);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/i8042/commands", test_kbc_commands);
    g_test_add_func("/i8042/keyboard", test_keyboard_commands);
    g_test_add_func("/i8042/keys", test_keyboard_keys);
    g_test_add_func("/i8042/repeat", test_keyboard_repeat);
    g_test_add_func("/i8042/mouse", test_mouse);
    g_test_add_func("/port92", test_port92);
    g_test_add_func("/serial/registers", test_serial_registers);
    g_test_add_func("/serial/transmit", test_serial_transmit);
    g_test_add_func("/serial/loopback", test_serial_loopback);
    g_test_add_func("/serial/fifo", test_serial_fifo);
    g_test_add_func("/serial/places", test_serial_places);
    g_test_add_func("/debugcon", test_debugcon);
    g_test_add_func("/debug-exit", test_debug_exit);
    g_test_add_func("/pc-testdev", test_pc_testdev);
    g_test_add_func("/state", test_state);
    return g_test_run();
}
