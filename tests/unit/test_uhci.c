/* A UHCI controller as a driver sees it: registers, ports, frame list, queues (UHCI Design Guide 1.1). */
#include "hw/usb/uhci_internal.h"
#include "tests/unit/damaged_state.h"
#include "tests/unit/usb_bench.h"

enum { IO = 0xc000, CMD = IO, STS = IO + 2, INTR = IO + 4, FRNUM = IO + 6, FRBASE = IO + 8, SOF = IO + 12,
       PORTSC1 = IO + 16, PORTSC2 = IO + 18 };
enum { FRAMES = 0x10000, QUEUE = 0x20000, TDS = 0x21000, DATA = 0x30000, MS = 1000 * 1000 };
enum { ACTIVE = 1 << 23, IOC = 1 << 24, SPD = 1 << 29, STALLED = 1 << 22, NAK = 1 << 19, TIMEOUT = 1 << 18,
       NULL_LENGTH = 0x7ff };
enum { END = 1, Q = 2, DEPTH = 4 };

typedef struct Fixture {
    UsbBench b;
    Uhci *s;
} Fixture;

static unsigned in16(Fixture *f, unsigned port) { return as_read(f->b.m->ports, port, 2); }
static void out16(Fixture *f, unsigned port, unsigned v) { as_write(f->b.m->ports, port, v, 2); }

static void frames(Fixture *f, unsigned n)
{
    for (; n; n--) {
        clock_set(f->b.m->clocks, clock_now(f->b.m->clocks, MYNA_CLOCK_VIRTUAL) + MS);
        clock_fire_due(f->b.m->clocks);
    }
}

static void fixture_up(Fixture *f, gconstpointer unused)
{
    GError *err = NULL;
    (void)unused;
    usb_bench_up(&f->b);
    f->s = (Uhci *)device_add(f->b.m, &piix3_uhci_type, NULL, &err, "addr", "24", NULL);
    g_assert_no_error(err);
    machine_reset(f->b.m);
    bench_config_write(&f->b, PCI_BAR0 + 16, IO, 4);
    bench_config_write(&f->b, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MASTER, 2);
    for (unsigned n = 0; n < 1024; n++)
        put32(&f->b, FRAMES + 4 * n, QUEUE | Q);
    put32(&f->b, QUEUE, END);
    put32(&f->b, QUEUE + 4, END);
    as_write(f->b.m->ports, FRBASE, FRAMES, 4);
    out16(f, INTR, 15);
    out16(f, CMD, 1);
}

static void fixture_down(Fixture *f, gconstpointer unused)
{
    (void)unused;
    usb_bench_down(&f->b);
}

static UsbDevice *plug(Fixture *f, const DeviceType *type)
{
    UsbDevice *d = (UsbDevice *)usb_bench_add(&f->b, type, NULL, NULL);
    unsigned port = d->port->number == 1 ? PORTSC1 : PORTSC2;
    g_assert_cmphex(in16(f, port), ==, 0x83);
    out16(f, port, 0x202);
    out16(f, port, 0);
    out16(f, port, 4);
    g_assert_cmphex(in16(f, port), ==, 0x85);
    return d;
}

/* ---- descriptors ---- */

static unsigned td(unsigned n) { return TDS + 32 * n; }

static void td_put(Fixture *f, unsigned n, uint32_t link, unsigned pid, unsigned address, unsigned endpoint,
                   uint32_t data, unsigned bytes, uint32_t flags)
{
    put32(&f->b, td(n), link);
    put32(&f->b, td(n) + 4, ACTIVE | 3 << 27 | flags);
    put32(&f->b, td(n) + 8, pid | address << 8 | endpoint << 15 | ((bytes - 1) & 0x7ff) << 21);
    put32(&f->b, td(n) + 12, data);
}

static uint32_t td_status(Fixture *f, unsigned n) { return get32(&f->b, td(n) + 4); }
static void queue_put(Fixture *f, uint32_t element) { put32(&f->b, QUEUE + 4, element); }
static uint32_t queue_element(Fixture *f) { return get32(&f->b, QUEUE + 4); }

/* A control transfer at address 0 with up to 24 bytes of data in, all in one frame, depth first. */
static void control(Fixture *f, unsigned address, uint64_t setup, unsigned bytes)
{
    unsigned n = 0;
    put64(&f->b, DATA, setup);
    td_put(f, n, td(n + 1) | DEPTH, USB_SETUP, address, 0, DATA, 8, 0);
    for (unsigned at = 0; at < bytes; at += 8) {
        n++;
        td_put(f, n, td(n + 1) | DEPTH, USB_IN, address, 0, DATA + 0x100 + at, MIN(8, bytes - at), 0);
    }
    n++;
    td_put(f, n, END, bytes ? USB_OUT : USB_IN, address, 0, 0, 0, IOC);
    queue_put(f, td(0));
    frames(f, 1);
    g_assert_cmphex(queue_element(f), ==, END);
    g_assert_cmphex(td_status(f, n) & (ACTIVE | NULL_LENGTH), ==, NULL_LENGTH);
    g_assert_cmphex(in16(f, STS), ==, 1);
    g_assert_cmpint(f->b.level, ==, 1);
    out16(f, STS, 1);
    g_assert_cmpint(f->b.level, ==, 0);
}

static void configure(Fixture *f)
{
    control(f, 0, 0x0005 << 8 | 5 << 16, 0);
    control(f, 5, 9 << 8 | 1 << 16, 0);
}

/* ---- tests ---- */

static void test_registers(Fixture *f, gconstpointer unused)
{
    (void)unused;
    g_assert_cmphex(in16(f, CMD), ==, 1);
    g_assert_cmphex(in16(f, STS), ==, 0);
    g_assert_cmphex(as_read(f->b.m->ports, SOF, 1), ==, 64);
    g_assert_cmphex(in16(f, PORTSC1), ==, 0x80);
    g_assert_cmphex(in16(f, IO + 20) & 0x80, ==, 0); /* how drivers count ports */
    g_assert_cmphex(bench_config_read(&f->b, 0x60, 1), ==, 0x10);
    frames(f, 3);
    g_assert_cmpuint(in16(f, FRNUM), ==, 3);
    clock_set(f->b.m->clocks, clock_now(f->b.m->clocks, MYNA_CLOCK_VIRTUAL) + 5 * MS);
    g_assert_cmpuint(in16(f, FRNUM), ==, 8);         /* without the timer */
    out16(f, CMD, 0);
    g_assert_cmphex(in16(f, STS), ==, 0x20);
    out16(f, FRNUM, 0x7ff);
    out16(f, CMD, 1);
    frames(f, 2);
    g_assert_cmpuint(in16(f, FRNUM), ==, 1);
    out16(f, CMD, 2);
    g_assert_cmphex(in16(f, CMD), ==, 0);
    g_assert_cmphex(as_read(f->b.m->ports, FRBASE, 4), ==, 0);
}

static void test_ports(Fixture *f, gconstpointer unused)
{
    (void)unused;
    UsbDevice *d = plug(f, &usb_kbd_type);
    g_assert_cmpint(usb_speed(d), ==, USB_FULL);
    configure(f);
    control(f, 5, 3 << 8 | 1 << 16, 0);              /* may wake the host */
    out16(f, PORTSC1, 4 | 0x1000);
    input_key(f->b.m, 4, true);
    g_assert_cmphex(in16(f, PORTSC1), ==, 0x10c5);
    g_assert_cmphex(in16(f, STS), ==, 4);
    g_assert_cmpint(f->b.level, ==, 1);
    out16(f, STS, 4);
    out16(f, PORTSC1, 4 | 0x1000);                   /* ends resume */
    g_assert_cmphex(in16(f, PORTSC1), ==, 0x85);
    g_assert_false(d->suspended);
    usb_unplug(d);
    g_assert_cmphex(in16(f, PORTSC1), ==, 0x8a);
    out16(f, PORTSC1, 0x0a);
    g_assert_cmphex(in16(f, PORTSC1), ==, 0x80);
}

static void test_control(Fixture *f, gconstpointer unused)
{
    (void)unused;
    plug(f, &usb_kbd_type);
    configure(f);
    control(f, 5, 0x80 | 6 << 8 | UINT64_C(0x0100) << 16 | UINT64_C(18) << 48, 18);
    g_assert_cmphex(get32(&f->b, DATA + 0x108), ==, 0x00010627);
    g_assert_cmphex(td_status(f, 3) & 0x7ff, ==, 1); /* the last has two bytes */
}

static void test_interrupt(Fixture *f, gconstpointer unused)
{
    (void)unused;
    plug(f, &usb_kbd_type);
    configure(f);
    td_put(f, 0, td(1), USB_IN, 5, 1, DATA, 8, IOC);
    td_put(f, 1, END, USB_IN, 5, 1, DATA + 8, 8, IOC);
    queue_put(f, td(0));
    frames(f, 100);
    g_assert_cmphex(td_status(f, 0) & (ACTIVE | NAK), ==, ACTIVE | NAK);
    int64_t time = clock_now(f->b.m->clocks, MYNA_CLOCK_VIRTUAL);
    g_assert_cmpint(timer_deadline(f->s->timer), >, time);
    input_key(f->b.m, 4, true);                      /* the next frame, though it was idle */
    g_assert_cmpint(timer_deadline(f->s->timer), <=, time + MS);
    frames(f, 1);
    g_assert_cmphex(td_status(f, 0) & (ACTIVE | NAK | STALLED | 0x7ff), ==, 7);
    g_assert_cmphex(get32(&f->b, DATA), ==, 0x00040000);
    g_assert_cmphex(queue_element(f), ==, td(1));
    g_assert_cmphex(in16(f, STS), ==, 1);
}

static void test_short(Fixture *f, gconstpointer unused)
{
    (void)unused;
    plug(f, &usb_mouse_type);
    configure(f);
    input_move(f->b.m, 1, 1);
    td_put(f, 0, END, USB_IN, 5, 1, DATA, 8, SPD);
    queue_put(f, td(0));
    frames(f, 1);
    g_assert_cmphex(td_status(f, 0) & (ACTIVE | 0x7ff), ==, 3);
    g_assert_cmphex(queue_element(f), ==, td(0));    /* stays for the driver */
    g_assert_cmphex(in16(f, STS), ==, 1);
    out16(f, INTR, 4);
    g_assert_cmpint(f->b.level, ==, 0);              /* short packets are another enable */
    out16(f, INTR, 8);
    g_assert_cmpint(f->b.level, ==, 1);
}

static void test_errors(Fixture *f, gconstpointer unused)
{
    (void)unused;
    plug(f, &usb_kbd_type);
    td_put(f, 0, END, USB_IN, 99, 1, DATA, 8, IOC);
    queue_put(f, td(0));
    frames(f, 1);
    g_assert_cmphex(td_status(f, 0) & (ACTIVE | STALLED | TIMEOUT), ==, STALLED | TIMEOUT);
    g_assert_cmphex(in16(f, STS), ==, 3);
    out16(f, STS, 3);
    td_put(f, 0, END, USB_IN, 0, 0, DATA, 8, 0);     /* a data stage without a request */
    queue_put(f, td(0));
    frames(f, 1);
    g_assert_cmphex(td_status(f, 0) & (ACTIVE | STALLED | TIMEOUT), ==, STALLED);
    out16(f, STS, 3);
    td_put(f, 0, END, 0x77, 0, 0, DATA, 8, 0);       /* no such PID */
    queue_put(f, td(0));
    frames(f, 1);
    g_assert_cmphex(in16(f, STS), ==, 0x30);
    g_assert_cmphex(in16(f, CMD), ==, 0);
    g_assert_cmpint(f->b.level, ==, 1);
}

/* Rings of queues, of descriptors, and what leads to itself end with the frame. */
static void test_endless(Fixture *f, gconstpointer unused)
{
    (void)unused;
    plug(f, &usb_kbd_type);
    put32(&f->b, QUEUE, QUEUE | Q);
    frames(f, 3);
    queue_put(f, QUEUE | Q);
    frames(f, 3);
    td_put(f, 0, td(0) | DEPTH, USB_SETUP, 0, 0, DATA, 8, 0);
    queue_put(f, td(0));
    frames(f, 3);
    put32(&f->b, FRAMES + 4 * 9, td(1));
    td_put(f, 1, td(1), USB_IN, 0, 0, DATA, 8, 0);
    frames(f, 20);
    g_assert_cmpuint(in16(f, FRNUM), ==, 29);
    clock_set(f->b.m->clocks, clock_now(f->b.m->clocks, MYNA_CLOCK_VIRTUAL) + 3600 * NS_PER_SECOND);
    clock_fire_due(f->b.m->clocks);
    g_assert_cmpuint(in16(f, FRNUM), <, 100);        /* a long pause is not made up for */
}

static void random_access(Fixture *f, GRand *random)
{
    static const uint32_t links[] = { QUEUE | Q, TDS, TDS + 32, (TDS + 64) | DEPTH, END, (QUEUE + 16) | Q, IO, 0 };
    static const uint8_t pids[] = { USB_IN, USB_OUT, USB_SETUP, 3 };
    uint32_t v = g_rand_int(random);
    switch (g_rand_int_range(random, 0, 8)) {
    case 0: as_read(f->b.m->ports, IO + v % 32, 1 << v % 3); break;
    case 1: as_write(f->b.m->ports, IO + v % 32, g_rand_int(random), 1 << v % 3); break;
    case 2: out16(f, CMD, 1); break;
    case 3: frames(f, 1); break;
    case 4: input_key(f->b.m, v % 256, v >> 8 & 1); break;
    case 5: put32(&f->b, QUEUE + v % 8 * 4, links[v >> 8 & 7]); break;
    case 6: put32(&f->b, TDS + v % 3 * 32, links[v >> 8 & 7]); break;
    default:
        td_put(f, v % 3, links[v >> 4 & 7], pids[v >> 8 & 3], v >> 12 & 5, v >> 16 & 1, DATA, v >> 20 & 63,
               v & (IOC | SPD));
        break;
    }
}

static void test_random(Fixture *f, gconstpointer unused)
{
    GRand *random = g_rand_new_with_seed(2);
    (void)unused;
    plug(f, &usb_kbd_type);
    configure(f);
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

static void test_save(Fixture *f, gconstpointer unused)
{
    GError *err = NULL;
    (void)unused;
    plug(f, &usb_kbd_type);
    configure(f);
    td_put(f, 0, END, USB_IN, 5, 1, DATA, 8, IOC);
    queue_put(f, td(0));
    frames(f, 5);
    unsigned frame = in16(f, FRNUM);
    GByteArray *saved = machine_save(f->b.m);
    machine_reset(f->b.m);
    g_assert_true(machine_load(f->b.m, saved->data, saved->len, &err));
    g_assert_cmpuint(in16(f, FRNUM), ==, frame);
    input_key(f->b.m, 7, true);
    frames(f, 1);
    g_assert_cmphex(get32(&f->b, DATA), ==, 0x00070000);
    g_assert_cmphex(in16(f, STS), ==, 1);
    g_byte_array_unref(saved);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name, function) g_test_add("/uhci/" name, Fixture, NULL, fixture_up, function, fixture_down)
    TEST("registers", test_registers);
    TEST("ports", test_ports);
    TEST("control", test_control);
    TEST("interrupt", test_interrupt);
    TEST("short", test_short);
    TEST("errors", test_errors);
    TEST("endless", test_endless);
    TEST("random", test_random);
    TEST("save", test_save);
    return g_test_run();
}
