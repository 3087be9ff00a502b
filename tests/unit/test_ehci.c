/* An EHCI controller as a driver sees it: registers, ports, both schedules (EHCI 1.0). */
#include "hw/usb/ehci_internal.h"
#include "tests/unit/damaged_state.h"
#include "tests/unit/usb_bench.h"

#define BAR_AT UINT64_C(0xe0000000)
enum { CMD = 0x20, STS = 0x24, INTR = 0x28, FRINDEX = 0x2c, PERIODIC = 0x34, ASYNC = 0x38, CONFIG = 0x60,
       PORTSC = 0x64 };
enum { FRAMES = 0x10000, HEAD = 0x20000, QUEUE = 0x20080, TDS = 0x21000, DATA = 0x30000, MS = 1000 * 1000 };
enum { ACTIVE = 1 << 7, HALTED = 1 << 6, TRANSACTION = 1 << 3, IOC = 1 << 15, END = 1, Q = 2 };
enum { OUT = 0 << 8, IN = 1 << 8, SETUP = 2 << 8 };
enum { RUN = EHCI_RUN | EHCI_PERIODIC | EHCI_ASYNC };

typedef struct Fixture {
    UsbBench b;
    Ehci *s;
} Fixture;

static uint32_t reg(Fixture *f, unsigned at) { return get32(&f->b, BAR_AT + at); }
static void reg_put(Fixture *f, unsigned at, uint32_t v) { put32(&f->b, BAR_AT + at, v); }

static void frames(Fixture *f, unsigned n)
{
    for (; n; n--) {
        clock_set(f->b.m->clocks, clock_now(f->b.m->clocks, MYNA_CLOCK_VIRTUAL) + MS);
        clock_fire_due(f->b.m->clocks);
    }
}

/* A queue that waits for descriptors. */
static void queue_put(Fixture *f, uint32_t at, uint32_t link, unsigned address, unsigned endpoint, unsigned packet)
{
    for (unsigned n = 0; n < 48; n += 4)
        put32(&f->b, at + n, 0);
    put32(&f->b, at, link);
    put32(&f->b, at + 4, address | endpoint << 8 | 2 << 12 | packet << 16 | (at == HEAD) << 15);
    put32(&f->b, at + 16, END);
    put32(&f->b, at + 20, END);
}

static void fixture_up(Fixture *f, gconstpointer unused)
{
    GError *err = NULL;
    (void)unused;
    usb_bench_up(&f->b);
    f->s = (Ehci *)device_add(f->b.m, &ich9_ehci_type, NULL, &err, "addr", "24", NULL);
    g_assert_no_error(err);
    machine_reset(f->b.m);
    bench_config_write(&f->b, PCI_BAR0, BAR_AT, 4);
    bench_config_write(&f->b, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
    for (unsigned n = 0; n < 1024; n++)
        put32(&f->b, FRAMES + 4 * n, END);
    queue_put(f, HEAD, QUEUE | Q, 0, 0, 64);
    put32(&f->b, HEAD + 24, HALTED);
    queue_put(f, QUEUE, HEAD | Q, 0, 0, 64);
    reg_put(f, PERIODIC, FRAMES);
    reg_put(f, ASYNC, HEAD);
    reg_put(f, INTR, 0x37);
    reg_put(f, CMD, RUN);
    reg_put(f, CONFIG, 1);
}

static void fixture_down(Fixture *f, gconstpointer unused)
{
    (void)unused;
    usb_bench_down(&f->b);
}

static UsbDevice *plug(Fixture *f, const DeviceType *type)
{
    UsbDevice *d = (UsbDevice *)usb_bench_add(&f->b, type, NULL, NULL);
    unsigned at = PORTSC + 4 * (d->port->number - 1);
    g_assert_cmphex(reg(f, at), ==, 0x1003);
    g_assert_cmphex(reg(f, STS) & 4, ==, 4);
    reg_put(f, STS, 4);
    reg_put(f, at, 0x1102);
    g_assert_cmphex(reg(f, at), ==, 0x1101);
    reg_put(f, at, 0x1000);
    g_assert_cmphex(reg(f, at), ==, 0x1005);
    return d;
}

/* ---- descriptors ---- */

static uint32_t td(unsigned n) { return TDS + 64 * n; }
static uint32_t td_token(Fixture *f, unsigned n) { return get32(&f->b, td(n) + 8); }

static void td_put(Fixture *f, unsigned n, uint32_t next, uint32_t kind, uint32_t data, unsigned bytes)
{
    put32(&f->b, td(n), next);
    put32(&f->b, td(n) + 4, END);
    for (unsigned k = 0; k < 5; k++)
        put32(&f->b, td(n) + 12 + 4 * k, k ? (data & ~0xfffu) + k * 0x1000 : data);
    put32(&f->b, td(n) + 8, ACTIVE | kind | bytes << 16 | 3 << 10);
}

static void queue_start(Fixture *f, uint32_t at, uint32_t first)
{
    put32(&f->b, at + 24, 0);
    put32(&f->b, at + 16, first);
}

static uint32_t overlay(Fixture *f, uint32_t at) { return get32(&f->b, at + 24); }

static void control(Fixture *f, unsigned address, uint64_t setup, unsigned bytes)
{
    queue_put(f, QUEUE, HEAD | Q, address, 0, 64);
    put64(&f->b, DATA, setup);
    td_put(f, 0, td(bytes ? 1 : 2), SETUP, DATA, 8);
    td_put(f, 1, td(2), IN, DATA + 0x100, bytes);
    td_put(f, 2, END, (bytes ? OUT : IN) | IOC, 0, 0);
    queue_start(f, QUEUE, td(0));
    frames(f, 1);
    g_assert_cmphex(td_token(f, 2) & (ACTIVE | HALTED), ==, 0);
    g_assert_cmphex(reg(f, STS) & 0x37, ==, 1);
    g_assert_cmpint(f->b.level, ==, 1);
    reg_put(f, STS, 1);
    g_assert_cmpint(f->b.level, ==, 0);
}

static void configure(Fixture *f, unsigned value)
{
    control(f, 0, 0x0005 << 8 | 5 << 16, 0);
    control(f, 5, 9 << 8 | value << 16, 0);
}

/* ---- tests ---- */

static void test_registers(Fixture *f, gconstpointer unused)
{
    (void)unused;
    g_assert_cmphex(reg(f, 0), ==, 0x01000020);
    g_assert_cmphex(as_read(f->b.m->memory, BAR_AT, 1), ==, 0x20);
    g_assert_cmphex(as_read(f->b.m->memory, BAR_AT + 2, 2), ==, 0x0100);
    g_assert_cmphex(reg(f, 4) & 0xf, ==, 6);
    g_assert_cmphex(bench_config_read(&f->b, 0x60, 1), ==, 0x20);
    g_assert_cmphex(reg(f, STS), ==, EHCI_STS_PERIODIC | EHCI_STS_ASYNC);
    g_assert_cmphex(reg(f, PORTSC), ==, 0x1000);
    frames(f, 3);
    g_assert_cmpuint(reg(f, FRINDEX), ==, 24);
    reg_put(f, CMD, RUN | EHCI_DOORBELL);           /* interrupt on asynchronous advance */
    g_assert_cmphex(reg(f, CMD) & EHCI_DOORBELL, ==, EHCI_DOORBELL);
    frames(f, 1);
    g_assert_cmphex(reg(f, CMD) & EHCI_DOORBELL, ==, 0);
    g_assert_cmphex(reg(f, STS) & 0x37, ==, 0x20);
    reg_put(f, CMD, EHCI_RUN);
    g_assert_false(timer_armed(f->s->timer));        /* nothing to walk costs nothing */
    clock_set(f->b.m->clocks, 100 * MS);
    g_assert_cmpuint(reg(f, FRINDEX), ==, 800);
    reg_put(f, CMD, 0);
    g_assert_cmphex(reg(f, STS) & 0xf000, ==, EHCI_STS_HALTED);
    reg_put(f, CMD, 2);
    g_assert_cmphex(reg(f, CMD), ==, 0x80000);
    g_assert_cmphex(reg(f, CONFIG), ==, 0);
}

static void test_ports(Fixture *f, gconstpointer unused)
{
    (void)unused;
    UsbDevice *d = plug(f, &usb_kbd_type);
    g_assert_cmpint(usb_speed(d), ==, USB_HIGH);
    configure(f, 1);
    control(f, 5, 3 << 8 | 1 << 16, 0);
    reg_put(f, PORTSC, 0x1084);
    g_assert_cmphex(reg(f, PORTSC), ==, 0x1085);
    input_key(f->b.m, 4, true);
    g_assert_cmphex(reg(f, PORTSC), ==, 0x10c5);
    g_assert_cmphex(reg(f, STS) & 0x37, ==, 4);
    reg_put(f, PORTSC, 0x1004);
    g_assert_cmphex(reg(f, PORTSC), ==, 0x1005);
    g_assert_false(d->suspended);
    usb_unplug(d);
    g_assert_cmphex(reg(f, PORTSC), ==, 0x1002);
}

static void test_control(Fixture *f, gconstpointer unused)
{
    (void)unused;
    plug(f, &usb_kbd_type);
    configure(f, 1);
    control(f, 5, 0x80 | 6 << 8 | UINT64_C(0x0100) << 16 | UINT64_C(64) << 48, 64);
    g_assert_cmphex(get32(&f->b, DATA + 0x108), ==, 0x00010627);
    g_assert_cmpuint(td_token(f, 1) >> 16 & 0x7fff, ==, 64 - 18);
    put64(&f->b, DATA, 0x80 | 6 << 8 | UINT64_C(0x5500) << 16 | UINT64_C(64) << 48);
    td_put(f, 0, td(1), SETUP, DATA, 8);
    td_put(f, 1, END, IN, DATA, 64);
    queue_start(f, QUEUE, td(0));
    frames(f, 1);
    g_assert_cmphex(td_token(f, 1) & 0xff, ==, HALTED);
    g_assert_cmphex(overlay(f, QUEUE) & 0xff, ==, HALTED);
    g_assert_cmphex(reg(f, STS) & 0x37, ==, 2);
}

/* Five pages, from within the first (3.5.4). */
static void test_bulk(Fixture *f, gconstpointer unused)
{
    (void)unused;
    UsbTest *t = (UsbTest *)plug(f, &usb_test_type);
    configure(f, 3);
    queue_put(f, QUEUE, HEAD | Q, 5, 1, 512);
    td_put(f, 0, td(1), IN, DATA + 0xff0, 16384);
    td_put(f, 1, END, IN | IOC, DATA + 0x8000, 512);
    queue_start(f, QUEUE, td(0));
    frames(f, 1);
    for (unsigned n = 0; n < 16384; n += 111)
        g_assert_cmphex(as_read(f->b.m->memory, DATA + 0xff0 + n, 1), ==, test_byte(n));
    g_assert_cmpuint(t->given, ==, 16896);
    g_assert_cmphex(td_token(f, 0) & 0x80000000, ==, 0); /* 32 packets: the toggle is as before */
    g_assert_cmphex(td_token(f, 1) & 0x80000000, ==, 0x80000000);
    /* A short packet goes on at the alternate. */
    t->limit = 100;
    td_put(f, 0, td(1), IN, DATA, 512);
    put32(&f->b, td(0) + 4, td(2));
    td_put(f, 1, END, IN, DATA, 512);
    td_put(f, 2, END, IN | IOC, DATA, 100);
    queue_start(f, QUEUE, td(0));
    frames(f, 1);
    g_assert_cmphex(td_token(f, 1) & ACTIVE, ==, ACTIVE);
    g_assert_cmphex(td_token(f, 2) & ACTIVE, ==, 0);
    /* One that takes a while, and one that the guest takes away meanwhile. */
    t->answer = USB_ASYNC;
    td_put(f, 0, END, IN | IOC, DATA, 100);
    queue_start(f, QUEUE, td(0));
    frames(f, 3);
    g_assert_cmphex(td_token(f, 0) & ACTIVE, ==, ACTIVE);
    usb_test_finish(t);
    frames(f, 1);
    g_assert_cmphex(td_token(f, 0) & ACTIVE, ==, 0);
    td_put(f, 0, END, IN | IOC, DATA, 100);
    queue_start(f, QUEUE, td(0));
    frames(f, 1);
    queue_start(f, QUEUE, END);
    frames(f, 200);
    g_assert_cmpuint(t->cancelled, ==, 1);
}

static void interrupt_queue(Fixture *f)
{
    queue_put(f, 0x22000, END, 5, 1, 8);
    for (unsigned n = 0; n < 1024; n += 8)
        put32(&f->b, FRAMES + 4 * n, 0x22000 | Q);
    td_put(f, 4, END, IN | IOC, DATA, 8);
    queue_start(f, 0x22000, td(4));
}

static void test_interrupt(Fixture *f, gconstpointer unused)
{
    (void)unused;
    plug(f, &usb_kbd_type);
    configure(f, 1);
    interrupt_queue(f);
    frames(f, 100);
    g_assert_cmphex(td_token(f, 4) & ACTIVE, ==, ACTIVE);
    input_key(f->b.m, 4, true);
    frames(f, 9);
    g_assert_cmphex(td_token(f, 4) & 0xff, ==, 0);
    g_assert_cmphex(get32(&f->b, DATA), ==, 0x00040000);
    g_assert_cmphex(reg(f, STS) & 0x37, ==, 1);
}

static void test_save(Fixture *f, gconstpointer unused)
{
    GError *err = NULL;
    (void)unused;
    plug(f, &usb_kbd_type);
    configure(f, 1);
    interrupt_queue(f);
    frames(f, 20);
    uint32_t index = reg(f, FRINDEX);
    GByteArray *saved = machine_save(f->b.m);
    machine_reset(f->b.m);
    g_assert_true(machine_load(f->b.m, saved->data, saved->len, &err));
    g_assert_cmpuint(reg(f, FRINDEX), ==, index);
    input_key(f->b.m, 7, true);
    frames(f, 9);
    g_assert_cmphex(get32(&f->b, DATA), ==, 0x00070000);
    g_byte_array_unref(saved);
}

static void random_access(Fixture *f, GRand *random)
{
    static const uint32_t links[] = { HEAD | Q, QUEUE | Q, TDS, TDS + 64, END, 0x22000 | Q, 0xe0000020, 0x22000 | 4 };
    static const uint32_t places[] = { HEAD, QUEUE, 0x22000, TDS, TDS + 64, FRAMES };
    uint32_t v = g_rand_int(random), w = g_rand_int(random);
    switch (g_rand_int_range(random, 0, 8)) {
    case 0: as_read(f->b.m->memory, BAR_AT + v % 0x80, 1 << v % 3); break;
    case 1: reg_put(f, CMD + v % 24 * 4, w & ~(uint32_t)EHCI_RESET); break;
    case 2: reg_put(f, CMD, RUN | (v & EHCI_DOORBELL)); break;
    case 3: frames(f, 1); break;
    case 4: input_key(f->b.m, v % 256, v >> 8 & 1); break;
    case 5: put32(&f->b, places[v % 6] + (v >> 8 & 7) * 4, links[w % 8]); break;
    case 6: put32(&f->b, places[v % 6] + (v >> 8 & 15) * 4, w & (v & 0x10000 ? 0xffff : UINT32_MAX)); break;
    default: td_put(f, v % 2, links[w % 8], (v >> 8 & 3) << 8 | (v & IOC), DATA + (w >> 8 & 0xfff), w >> 20 & 511);
    }
}

static void test_random(Fixture *f, gconstpointer unused)
{
    GRand *random = g_rand_new_with_seed(2);
    (void)unused;
    plug(f, &usb_kbd_type);
    configure(f, 1);
    GByteArray *saved = machine_save(f->b.m);
    for (unsigned round = 0; round < 100; round++) {
        if (load_damaged(f->b.m, saved, round % 2 * 4, random))
            for (unsigned n = 0; n < 200; n++)
                random_access(f, random);
        machine_reset(f->b.m);
    }
    g_byte_array_unref(saved);
    g_rand_free(random);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name, function) g_test_add("/ehci/" name, Fixture, NULL, fixture_up, function, fixture_down)
    TEST("registers", test_registers);
    TEST("ports", test_ports);
    TEST("control", test_control);
    TEST("bulk", test_bulk);
    TEST("interrupt", test_interrupt);
    TEST("save", test_save);
    TEST("random", test_random);
    return g_test_run();
}
