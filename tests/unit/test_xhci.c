/* An xHCI controller as a driver sees it: registers, rings, contexts, events (xHCI 1.1). */
#include "hw/usb/xhci_internal.h"
#include "tests/unit/damaged_state.h"
#include "tests/unit/usb_bench.h"

#define BAR_AT UINT64_C(0xe0000000)
#define MSIX_AT UINT64_C(0xe0100000)
enum { OP = 0x40, USBCMD = OP, USBSTS = OP + 4, CRCR = OP + 0x18, DCBAAP = OP + 0x30, CONFIG = OP + 0x38,
       PORTSC = OP + 0x400, IR0 = 0x1020, DOORBELL = 0x2000 };
/* Where the driver has its structures. */
enum { DCBAA = 0x10000, COMMANDS = 0x11000, COMMAND_SIZE = 16, ERST = 0x12000, EVENTS = 0x13000, SEGMENT = 16,
       INPUT_CONTEXT = 0x20000, OUTPUT_CONTEXT = 0x21000 /* + 1000h each */, RINGS = 0x40000 /* + 1000h each */,
       RING_SIZE = 32, DATA = 0x100000 };
enum { COMPLETION = 33, TRANSFER = 32, PORT = 34 };
enum { CHANGE_BITS = 0xfe0000 };

typedef struct Event {
    uint64_t parameter;
    uint32_t status, control;
} Event;

typedef struct Ring {
    uint64_t base;
    unsigned at, cycle, size;
} Ring;

typedef struct Fixture {
    UsbBench b;
    Xhci *x;
    Ring commands, ring[32];
    unsigned segments, event, cycle; /* of the event ring: how many, the next block, its cycle bit */
} Fixture;

static uint32_t reg(Fixture *f, unsigned at) { return get32(&f->b, BAR_AT + at); }
static void reg_put(Fixture *f, unsigned at, uint32_t v) { put32(&f->b, BAR_AT + at, v); }
static void reg_put64(Fixture *f, unsigned at, uint64_t v) { put64(&f->b, BAR_AT + at, v); }

/* ---- events ---- */

/* Segments lie apart from each other, so that their borders are seen. */
static uint64_t event_at(unsigned n) { return EVENTS + n / SEGMENT * 0x1000 + n % SEGMENT * TRB_SIZE; }

static bool event_peek(Fixture *f)
{
    return (get32(&f->b, event_at(f->event) + 12) & 1) == f->cycle;
}

static Event event_read(Fixture *f)
{
    uint64_t at = event_at(f->event);
    g_assert_true(event_peek(f));
    f->event = (f->event + 1) % (f->segments * SEGMENT);
    f->cycle ^= !f->event;
    return (Event){ get64(&f->b, at), get32(&f->b, at + 8), get32(&f->b, at + 12) };
}

static void events_handled(Fixture *f) { reg_put64(f, IR0 + 0x18, event_at(f->event) | 8); }

static Event event_take(Fixture *f)
{
    Event e = event_read(f);
    events_handled(f);
    return e;
}

static unsigned type_of(Event e) { return e.control >> 10 & 63; }
static unsigned code_of(Event e) { return e.status >> 24; }

static void no_event(Fixture *f) { g_assert_false(event_peek(f)); }

/* ---- rings ---- */

static Ring ring_new(Fixture *f, uint64_t base, unsigned size)
{
    for (unsigned n = 0; n < size; n++)
        put32(&f->b, base + n * TRB_SIZE + 12, 0);
    return (Ring){ .base = base, .cycle = 1, .size = size };
}

/* Puts a block at the end, and a Link where the ring ends; returns the block's place. */
static uint64_t ring_put(Fixture *f, Ring *r, uint64_t parameter, uint32_t status, uint32_t control)
{
    uint64_t at = r->base + r->at * TRB_SIZE;
    put64(&f->b, at, parameter);
    put32(&f->b, at + 8, status);
    put32(&f->b, at + 12, control | r->cycle);
    if (++r->at < r->size - 1)
        return at;
    uint64_t link = r->base + r->at * TRB_SIZE;
    put64(&f->b, link, r->base);
    put32(&f->b, link + 12, TRB_LINK << 10 | TRB_TOGGLE | (control & TRB_CHAIN) | r->cycle);
    r->at = 0;
    r->cycle ^= 1;
    return at;
}

static Event command(Fixture *f, unsigned type, uint64_t parameter, uint32_t control)
{
    uint64_t at = ring_put(f, &f->commands, parameter, 0, type << 10 | control);
    reg_put(f, DOORBELL, 0);
    Event e = event_take(f);
    g_assert_cmpuint(type_of(e), ==, COMPLETION);
    g_assert_cmphex(e.parameter, ==, at);
    return e;
}

static void command_ok(Fixture *f, unsigned type, uint64_t parameter, uint32_t control)
{
    g_assert_cmpuint(code_of(command(f, type, parameter, control)), ==, CC_SUCCESS);
}

static void bell(Fixture *f, unsigned slot, unsigned dci) { reg_put(f, DOORBELL + 4 * slot, dci); }

/* ---- start ---- */

static void start(Fixture *f, unsigned segments)
{
    reg_put(f, CONFIG, 32);
    reg_put64(f, DCBAAP, DCBAA);
    f->commands = ring_new(f, COMMANDS, COMMAND_SIZE);
    reg_put64(f, CRCR, COMMANDS | 1);
    f->segments = segments;
    f->event = 0;
    f->cycle = 1;
    for (unsigned n = 0; n < segments; n++) {
        put64(&f->b, ERST + 16 * n, event_at(n * SEGMENT));
        put32(&f->b, ERST + 16 * n + 8, SEGMENT);
    }
    for (unsigned n = 0; n < segments * SEGMENT; n++)
        put32(&f->b, event_at(n) + 12, 0);
    reg_put(f, IR0 + 8, segments);
    reg_put64(f, IR0 + 0x18, event_at(0));
    reg_put64(f, IR0 + 0x10, ERST);
    reg_put(f, IR0, 3);
    reg_put(f, USBCMD, CMD_RUN | CMD_INTERRUPTS);
    g_assert_cmphex(reg(f, USBSTS) & STS_HALTED, ==, 0);
}

static void fixture_up(Fixture *f, gconstpointer unused)
{
    GError *err = NULL;
    (void)unused;
    usb_bench_up(&f->b);
    f->x = (Xhci *)device_add(f->b.m, &qemu_xhci_type, NULL, &err, "addr", "24", NULL);
    g_assert_no_error(err);
    machine_reset(f->b.m);
    bench_config_write(&f->b, PCI_BAR0, BAR_AT, 4);
    bench_config_write(&f->b, PCI_BAR0 + 8, MSIX_AT, 4);
    bench_config_write(&f->b, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
    start(f, 2);
}

static void fixture_down(Fixture *f, gconstpointer unused)
{
    (void)unused;
    usb_bench_down(&f->b);
}

/* ---- a device: port n from 1 ---- */

static uint32_t portsc(Fixture *f, unsigned n) { return reg(f, PORTSC + 16 * (n - 1)); }
static void portsc_put(Fixture *f, unsigned n, uint32_t v) { reg_put(f, PORTSC + 16 * (n - 1), v); }

static void port_event(Fixture *f, unsigned n)
{
    Event e = event_take(f);
    g_assert_cmpuint(type_of(e), ==, PORT);
    g_assert_cmpuint(e.parameter >> 24, ==, n);
    portsc_put(f, n, (portsc(f, n) & CHANGE_BITS) | 0x200);
}

static UsbDevice *plug(Fixture *f, const DeviceType *type, unsigned port)
{
    UsbDevice *d = (UsbDevice *)usb_bench_add(&f->b, type, NULL, NULL);
    port_event(f, port);
    return d;
}

static void port_reset(Fixture *f, unsigned n)
{
    portsc_put(f, n, 1 << 4 | 0x200);
    g_assert_cmphex(portsc(f, n) & 0x200013, ==, 0x200003);
    port_event(f, n);
}

static void input_put(Fixture *f, unsigned context, unsigned word, uint32_t v)
{
    put32(&f->b, INPUT_CONTEXT + 32 * context + 4 * word, v);
}

static void input_clear(Fixture *f, uint32_t drop, uint32_t add)
{
    for (unsigned n = 0; n < 33 * 32; n += 4)
        put32(&f->b, INPUT_CONTEXT + n, 0);
    input_put(f, 0, 0, drop);
    input_put(f, 0, 1, add);
}

static void input_endpoint(Fixture *f, unsigned dci, unsigned type, unsigned interval, unsigned packet)
{
    f->ring[dci] = ring_new(f, RINGS + dci * 0x1000, RING_SIZE);
    input_put(f, 1 + dci, 0, interval << 16);
    input_put(f, 1 + dci, 1, 3 << 1 | type << 3 | packet << 16);
    input_put(f, 1 + dci, 2, f->ring[dci].base | 1);
}

static uint32_t context(Fixture *f, unsigned slot, unsigned dci, unsigned word)
{
    return get32(&f->b, OUTPUT_CONTEXT + slot * 0x1000 + 32 * dci + 4 * word);
}

static unsigned slot_state(Fixture *f, unsigned slot) { return context(f, slot, 0, 3) >> 27; }
static unsigned endpoint_state(Fixture *f, unsigned slot, unsigned dci) { return context(f, slot, dci, 0) & 7; }

/* Enable Slot and Address Device. */
static unsigned address(Fixture *f, unsigned port)
{
    Event e = command(f, TRB_ENABLE_SLOT, 0, 0);
    unsigned slot = e.control >> 24;
    g_assert_cmpuint(code_of(e), ==, CC_SUCCESS);
    put64(&f->b, DCBAA + 8 * slot, OUTPUT_CONTEXT + slot * 0x1000);
    input_clear(f, 0, 3);
    input_put(f, 1, 0, 1 << 27 | 3 << 20);
    input_put(f, 1, 1, port << 16);
    input_endpoint(f, 1, EP_CONTROL, 0, 64);
    command_ok(f, TRB_ADDRESS_DEVICE, INPUT_CONTEXT, slot << 24);
    g_assert_cmpuint(slot_state(f, slot), ==, SLOT_ADDRESSED);
    g_assert_cmpuint(context(f, slot, 0, 3) & 0xff, ==, slot);
    g_assert_cmpuint(endpoint_state(f, slot, 1), ==, EP_RUNNING);
    return slot;
}

static void control_put(Fixture *f, unsigned type, unsigned request, unsigned value, unsigned index, unsigned length)
{
    bool in = type & 0x80;
    uint64_t setup = type | request << 8 | value << 16 | (uint64_t)index << 32 | (uint64_t)length << 48;
    ring_put(f, &f->ring[1], setup, 8, TRB_SETUP << 10 | TRB_IMMEDIATE | (length ? in ? 3 << 16 : 2 << 16 : 0));
    if (length)
        ring_put(f, &f->ring[1], DATA, length, TRB_DATA << 10 | TRB_ISP | (in ? TRB_DIRECTION_IN : 0));
    ring_put(f, &f->ring[1], 0, 0, TRB_STATUS << 10 | TRB_IOC | (in && length ? 0 : TRB_DIRECTION_IN));
}

/* A control transfer; the code of the last event. */
static unsigned control(Fixture *f, unsigned slot, unsigned type, unsigned request, unsigned value, unsigned index,
                        unsigned length)
{
    control_put(f, type, request, value, index, length);
    bell(f, slot, 1);
    Event e = event_take(f);
    g_assert_cmpuint(type_of(e), ==, TRANSFER);
    g_assert_cmphex(e.control >> 16, ==, slot << 8 | 1);
    return code_of(e) == CC_SHORT ? code_of(event_take(f)) : code_of(e);
}

/* Configure Endpoint for the interrupt endpoint of an input device, and SET_CONFIGURATION. */
static void configure_input(Fixture *f, unsigned slot)
{
    input_clear(f, 0, 1 | 1 << 3);
    input_put(f, 1, 0, 3 << 27 | 3 << 20);
    input_endpoint(f, 3, EP_INTERRUPT_IN, 6, 8);
    command_ok(f, TRB_CONFIGURE_ENDPOINT, INPUT_CONTEXT, slot << 24);
    g_assert_cmpuint(slot_state(f, slot), ==, SLOT_CONFIGURED);
    g_assert_cmpuint(control(f, slot, 0, 9, 1, 0, 0), ==, CC_SUCCESS);
}

static unsigned keyboard(Fixture *f)
{
    plug(f, &usb_kbd_type, 1);
    port_reset(f, 1);
    unsigned slot = address(f, 1);
    configure_input(f, slot);
    return slot;
}

/* usb-test on the first USB 3 port, with endpoints 1 OUT (2) and 1 IN (3). */
static UsbTest *bulk(Fixture *f, unsigned *slot)
{
    UsbTest *t = (UsbTest *)plug(f, &usb_test_type, 5);
    *slot = address(f, 5);
    input_clear(f, 0, 1 | 1 << 2 | 1 << 3);
    input_put(f, 1, 0, 3 << 27 | 4 << 20);
    input_endpoint(f, 2, EP_BULK_OUT, 0, 1024);
    input_endpoint(f, 3, EP_BULK_IN, 0, 1024);
    command_ok(f, TRB_CONFIGURE_ENDPOINT, INPUT_CONTEXT, *slot << 24);
    g_assert_cmpuint(control(f, *slot, 0, 9, 3, 0, 0), ==, CC_SUCCESS);
    return t;
}

static void later(Fixture *f, int64_t ns)
{
    clock_set(f->b.m->clocks, clock_now(f->b.m->clocks, MYNA_CLOCK_VIRTUAL) + ns);
    clock_fire_due(f->b.m->clocks);
}

/* ---- registers ---- */

static void test_registers(Fixture *f, gconstpointer unused)
{
    (void)unused;
    g_assert_cmphex(reg(f, 0), ==, 0x01100040);
    g_assert_cmphex(reg(f, 4), ==, 8 << 24 | 8 << 8 | 32);
    g_assert_cmphex(reg(f, 0x10) & 1, ==, 1);
    g_assert_cmphex(reg(f, 0x14), ==, DOORBELL);
    unsigned at = reg(f, 0x10) >> 16 << 2; /* extended capabilities: USB 2 and USB 3 ports */
    g_assert_cmphex(reg(f, at) & 0xff0000ff, ==, 0x02000002);
    g_assert_cmphex(reg(f, at + 4), ==, 0x20425355);
    g_assert_cmphex(reg(f, at + 8) & 0xffff, ==, 0x0401);
    at += (reg(f, at) >> 8 & 0xff) << 2;
    g_assert_cmphex(reg(f, at), ==, 0x03000002);
    g_assert_cmphex(reg(f, at + 8) & 0xffff, ==, 0x0405);
    g_assert_cmphex(reg(f, OP + 8), ==, 1);
    g_assert_cmphex(portsc(f, 1), ==, 0x2a0); /* power, no device */
    later(f, 125000 * 3);
    g_assert_cmphex(reg(f, 0x1000), ==, 3);
    reg_put(f, USBCMD, CMD_RESET);
    g_assert_cmphex(reg(f, USBCMD), ==, 0);
    g_assert_cmphex(reg(f, USBSTS), ==, STS_HALTED);
    g_assert_cmphex(reg(f, CONFIG), ==, 0);
    reg_put(f, USBCMD, CMD_RESTORE);
    g_assert_cmphex(reg(f, USBSTS) & STS_RESTORE_ERROR, ==, STS_RESTORE_ERROR);
    reg_put(f, USBSTS, STS_RESTORE_ERROR);
    reg_put(f, USBCMD, CMD_SAVE);
    reg_put(f, USBCMD, CMD_RESTORE);
    g_assert_cmphex(reg(f, USBSTS), ==, STS_HALTED);
}

static void test_ports(Fixture *f, gconstpointer unused)
{
    (void)unused;
    usb_bench_add(&f->b, &usb_kbd_type, NULL, NULL);
    g_assert_cmphex(reg(f, USBSTS) & STS_PORT, ==, STS_PORT);
    g_assert_cmphex(portsc(f, 1), ==, 0x20ee1); /* high speed, polling, not enabled */
    port_event(f, 1);
    g_assert_cmphex(portsc(f, 1), ==, 0xee1);
    port_reset(f, 1);
    g_assert_cmphex(portsc(f, 1), ==, 0xe03);
    portsc_put(f, 1, 0x202);                    /* writing 1 disables */
    g_assert_cmphex(portsc(f, 1), ==, 0xee1);
    UsbDevice *d = plug(f, &usb_test_type, 6);  /* connector 2, of SuperSpeed: port 2 of those */
    g_assert_cmphex(portsc(f, 6), ==, 0x1203);  /* is enabled by itself */
    g_assert_cmphex(portsc(f, 2) & 1, ==, 0);
    portsc_put(f, 6, 0x80000200);               /* warm reset */
    g_assert_cmphex(portsc(f, 6) & CHANGE_BITS, ==, 1 << 21 | 1 << 19);
    port_event(f, 6);
    portsc_put(f, 6, 1 << 16 | 3 << 5 | 0x200); /* to sleep */
    g_assert_cmphex(portsc(f, 6), ==, 0x1263);
    g_assert_true(d->suspended);
    portsc_put(f, 6, 1 << 16 | 0x200);
    g_assert_cmphex(portsc(f, 6), ==, 0x401203);
    g_assert_false(d->suspended);
    port_event(f, 6);
    usb_unplug(d);
    port_event(f, 6);
    g_assert_cmphex(portsc(f, 6), ==, 0x2a0);
}

/* ---- commands ---- */

static void test_commands(Fixture *f, gconstpointer unused)
{
    (void)unused;
    command_ok(f, TRB_NO_OP_COMMAND, 0, 0);
    g_assert_cmphex(reg(f, CRCR), ==, 8);
    g_assert_cmpuint(code_of(command(f, 60, 0, 0)), ==, CC_TRB);
    g_assert_cmpuint(code_of(command(f, TRB_DISABLE_SLOT, 0, 5 << 24)), ==, CC_NO_SLOT);
    g_assert_cmpuint(code_of(command(f, TRB_DISABLE_SLOT, 0, 255u << 24)), ==, CC_NO_SLOT);
    for (unsigned n = 1; n <= 32; n++)
        g_assert_cmphex(command(f, TRB_ENABLE_SLOT, 0, 0).control >> 24, ==, n);
    g_assert_cmpuint(code_of(command(f, TRB_ENABLE_SLOT, 0, 0)), ==, CC_NO_SLOTS);
    command_ok(f, TRB_DISABLE_SLOT, 0, 7 << 24);
    g_assert_cmphex(command(f, TRB_ENABLE_SLOT, 0, 0).control >> 24, ==, 7);
    g_assert_cmpuint(code_of(command(f, TRB_STOP_ENDPOINT, 0, 7 << 24 | 1 << 16)), ==, CC_NO_ENDPOINT);
    g_assert_cmpuint(code_of(command(f, TRB_CONFIGURE_ENDPOINT, INPUT_CONTEXT, 7 << 24)), ==, CC_CONTEXT);
    put64(&f->b, DCBAA + 8 * 7, OUTPUT_CONTEXT + 0x7000);
    input_clear(f, 0, 3);
    input_put(f, 1, 1, 1 << 16);
    input_endpoint(f, 1, EP_CONTROL, 0, 64);
    g_assert_cmpuint(code_of(command(f, TRB_ADDRESS_DEVICE, INPUT_CONTEXT, 7 << 24)), ==, CC_TRANSACTION);
    command_ok(f, TRB_PORT_BANDWIDTH, DATA, 0);
    g_assert_cmphex(get32(&f->b, DATA), ==, 0x5a5a5a00);
    reg_put(f, CRCR, 4);
    Event e = event_take(f);
    g_assert_cmpuint(code_of(e), ==, CC_RING_STOPPED);
    g_assert_cmphex(e.parameter, ==, f->commands.base + f->commands.at * TRB_SIZE);
    g_assert_cmphex(reg(f, CRCR), ==, 0);
}

static void test_slot_life(Fixture *f, gconstpointer unused)
{
    (void)unused;
    unsigned slot = keyboard(f);
    UsbDevice *d = f->x->connector[0].device;
    g_assert_cmpuint(d->address, ==, slot);
    g_assert_cmpuint(context(f, slot, 0, 0) >> 27, ==, 3);
    g_assert_cmpuint(code_of(command(f, TRB_ADDRESS_DEVICE, INPUT_CONTEXT, slot << 24)), ==, CC_CONTEXT);
    input_clear(f, 0, 2);
    input_endpoint(f, 1, EP_CONTROL, 0, 32);
    f->ring[1] = (Ring){ 0 };
    command_ok(f, TRB_EVALUATE_CONTEXT, INPUT_CONTEXT, slot << 24);
    g_assert_cmpuint(context(f, slot, 1, 1) >> 16, ==, 32);
    input_clear(f, 1, 1);
    g_assert_cmpuint(code_of(command(f, TRB_CONFIGURE_ENDPOINT, INPUT_CONTEXT, slot << 24)), ==, CC_TRB);
    input_clear(f, 0, 1 | 1 << 4);
    input_endpoint(f, 4, EP_BULK_IN, 0, 64); /* an even place is OUT */
    g_assert_cmpuint(code_of(command(f, TRB_CONFIGURE_ENDPOINT, INPUT_CONTEXT, slot << 24)), ==, CC_PARAMETER);
    command_ok(f, TRB_CONFIGURE_ENDPOINT, 0, slot << 24 | 1 << 9);
    g_assert_cmpuint(slot_state(f, slot), ==, SLOT_ADDRESSED);
    g_assert_cmpuint(endpoint_state(f, slot, 3), ==, EP_DISABLED);
    command_ok(f, TRB_RESET_DEVICE, 0, slot << 24);
    g_assert_cmpuint(slot_state(f, slot), ==, SLOT_DEFAULT);
    g_assert_cmpuint(code_of(command(f, TRB_RESET_DEVICE, 0, slot << 24)), ==, CC_CONTEXT);
    command_ok(f, TRB_DISABLE_SLOT, 0, slot << 24);
    g_assert_cmpuint(slot_state(f, slot), ==, 0);
}

/* ---- transfers ---- */

static void test_control(Fixture *f, gconstpointer unused)
{
    (void)unused;
    unsigned slot = keyboard(f);
    control_put(f, 0x80, 6, 0x0100, 0, 64);
    bell(f, slot, 1);
    Event e = event_take(f); /* 18 bytes of 64 */
    g_assert_cmpuint(code_of(e), ==, CC_SHORT);
    g_assert_cmpuint(e.status & 0xffffff, ==, 64 - 18);
    g_assert_cmpuint(code_of(event_take(f)), ==, CC_SUCCESS);
    g_assert_cmphex(get32(&f->b, DATA + 8), ==, 0x00010627);
    /* A request that is refused halts endpoint 0 of the controller, which is then reset and goes on behind it. */
    g_assert_cmpuint(control(f, slot, 0x80, 6, 0x5500, 0, 64), ==, CC_STALL);
    g_assert_cmpuint(endpoint_state(f, slot, 1), ==, EP_HALTED);
    bell(f, slot, 1);
    no_event(f);
    g_assert_cmpuint(code_of(command(f, TRB_SET_DEQUEUE, f->ring[1].base, slot << 24 | 1 << 16)), ==, CC_CONTEXT);
    command_ok(f, TRB_RESET_ENDPOINT, 0, slot << 24 | 1 << 16);
    g_assert_cmpuint(endpoint_state(f, slot, 1), ==, EP_STOPPED);
    uint64_t next = f->ring[1].base + f->ring[1].at * TRB_SIZE;
    command_ok(f, TRB_SET_DEQUEUE, next | f->ring[1].cycle, slot << 24 | 1 << 16);
    g_assert_cmphex(context(f, slot, 1, 2), ==, next | f->ring[1].cycle);
    g_assert_cmpuint(control(f, slot, 0x80, 8, 0, 0, 1), ==, CC_SUCCESS);
    g_assert_cmphex(as_read(f->b.m->memory, DATA, 1), ==, 1);
}

static void interrupt_put(Fixture *f)
{
    ring_put(f, &f->ring[3], DATA, 8, TRB_NORMAL << 10 | TRB_IOC | TRB_ISP);
}

/* The device is asked when it has something, and no more often than its interval allows. */
static void test_interrupt(Fixture *f, gconstpointer unused)
{
    (void)unused;
    unsigned slot = keyboard(f);
    for (unsigned n = 0; n < 3; n++)
        interrupt_put(f);
    bell(f, slot, 3);
    no_event(f);
    g_assert_false(timer_armed(f->x->timer));
    input_key(f->b.m, 4, true);
    input_key(f->b.m, 4, false);
    Event e = event_take(f);
    g_assert_cmpuint(code_of(e), ==, CC_SUCCESS);
    g_assert_cmphex(e.control >> 16, ==, slot << 8 | 3);
    g_assert_cmphex(get32(&f->b, DATA), ==, 0x00040000);
    no_event(f);
    later(f, 7900 * 1000);
    no_event(f);
    later(f, 200 * 1000);
    g_assert_cmpuint(code_of(event_take(f)), ==, CC_SUCCESS);
    g_assert_cmphex(get32(&f->b, DATA), ==, 0);
    later(f, 8000 * 1000);
    no_event(f);
    g_assert_false(timer_armed(f->x->timer));
    g_assert_cmpuint(code_of(command(f, TRB_STOP_ENDPOINT, 0, slot << 24 | 2 << 16)), ==, CC_NO_ENDPOINT);
}

static void test_stop(Fixture *f, gconstpointer unused)
{
    (void)unused;
    unsigned slot = keyboard(f);
    uint64_t at = ring_put(f, &f->ring[3], DATA, 8, TRB_NORMAL << 10 | TRB_IOC);
    bell(f, slot, 3);
    ring_put(f, &f->commands, 0, 0, TRB_STOP_ENDPOINT << 10 | slot << 24 | 3 << 16);
    reg_put(f, DOORBELL, 0);
    Event e = event_take(f);
    g_assert_cmpuint(type_of(e), ==, TRANSFER);
    g_assert_cmpuint(code_of(e), ==, CC_STOPPED);
    g_assert_cmphex(e.parameter, ==, at);
    g_assert_cmpuint(e.status & 0xffffff, ==, 8);
    g_assert_cmpuint(code_of(event_take(f)), ==, CC_SUCCESS);
    g_assert_cmpuint(endpoint_state(f, slot, 3), ==, EP_STOPPED);
    g_assert_cmphex(context(f, slot, 3, 2), ==, at | 1);
    input_key(f->b.m, 4, true);
    no_event(f);
    bell(f, slot, 3);
    g_assert_cmphex(event_take(f).parameter, ==, at);
}

/* Chained blocks, over the end of the ring; Event Data tells how much there was in all (4.11.5.2). */
static void test_chain(Fixture *f, gconstpointer unused)
{
    unsigned slot;
    (void)unused;
    UsbTest *t = bulk(f, &slot);
    Ring *in = &f->ring[3], *out = &f->ring[2];
    for (unsigned round = 0; round < 20; round++) {
        uint32_t first = t->given;
        ring_put(f, in, DATA, 1000, TRB_NORMAL << 10 | TRB_CHAIN);
        ring_put(f, in, DATA + 0x2000, 3000, TRB_NORMAL << 10 | TRB_CHAIN);
        ring_put(f, in, DATA + 0x1000, 5, TRB_NORMAL << 10 | TRB_CHAIN);
        no_event(f);
        bell(f, slot, 3); /* the descriptor is not yet whole */
        g_assert_cmpuint(t->given, ==, first);
        ring_put(f, in, 0x1234567890, 0, TRB_DATA_OF_EVENT << 10 | TRB_IOC);
        bell(f, slot, 3);
        Event e = event_take(f);
        g_assert_cmphex(e.parameter, ==, 0x1234567890);
        g_assert_cmphex(e.control & TRB_EVENT_DATA, ==, TRB_EVENT_DATA);
        g_assert_cmpuint(code_of(e), ==, CC_SUCCESS);
        g_assert_cmpuint(e.status & 0xffffff, ==, 4005);
        for (unsigned n = 0; n < 1000; n += 37)
            g_assert_cmphex(as_read(f->b.m->memory, DATA + n, 1), ==, test_byte(first + n));
        g_assert_cmphex(as_read(f->b.m->memory, DATA + 0x2000 + 2999, 1), ==, test_byte(first + 3999));
        g_assert_cmphex(as_read(f->b.m->memory, DATA + 0x1004, 1), ==, test_byte(first + 4004));
        no_event(f);
    }
    put64(&f->b, DATA, 0x0807060504030201);
    ring_put(f, out, DATA, 8, TRB_NORMAL << 10 | TRB_CHAIN);
    ring_put(f, out, 0x100, 2, TRB_NORMAL << 10 | TRB_IOC | TRB_IMMEDIATE);
    bell(f, slot, 2);
    g_assert_cmpuint(code_of(event_take(f)), ==, CC_SUCCESS);
    g_assert_cmpuint(t->taken, ==, 10);
    g_assert_cmpuint(t->sum, ==, 36 + 1);
}

static void test_short(Fixture *f, gconstpointer unused)
{
    unsigned slot;
    (void)unused;
    UsbTest *t = bulk(f, &slot);
    Ring *in = &f->ring[3];
    t->limit = 1100;
    ring_put(f, in, DATA, 1000, TRB_NORMAL << 10 | TRB_CHAIN | TRB_ISP | TRB_IOC);
    uint64_t at = ring_put(f, in, DATA + 0x1000, 1000, TRB_NORMAL << 10 | TRB_CHAIN | TRB_ISP);
    ring_put(f, in, DATA + 0x2000, 1000, TRB_NORMAL << 10 | TRB_IOC | TRB_ISP);
    uint64_t next = ring_put(f, in, DATA, 1100, TRB_NORMAL << 10 | TRB_IOC);
    bell(f, slot, 3);
    Event e = event_take(f);
    g_assert_cmpuint(code_of(e), ==, CC_SUCCESS);
    g_assert_cmpuint(e.status & 0xffffff, ==, 0);
    e = event_take(f);
    g_assert_cmpuint(code_of(e), ==, CC_SHORT);
    g_assert_cmphex(e.parameter, ==, at);
    g_assert_cmpuint(e.status & 0xffffff, ==, 900);
    g_assert_cmphex(event_take(f).parameter, ==, next);
    /* Without ISP the last block tells. */
    ring_put(f, in, DATA, 2000, TRB_NORMAL << 10 | TRB_CHAIN);
    at = ring_put(f, in, DATA, 500, TRB_NORMAL << 10 | TRB_IOC);
    bell(f, slot, 3);
    e = event_take(f);
    g_assert_cmpuint(code_of(e), ==, CC_SHORT);
    g_assert_cmphex(e.parameter, ==, at);
    no_event(f);
}

static void test_later(Fixture *f, gconstpointer unused)
{
    unsigned slot;
    (void)unused;
    UsbTest *t = bulk(f, &slot);
    Ring *in = &f->ring[3];
    t->ready_inside = true;
    ring_put(f, in, DATA, 100, TRB_NORMAL << 10 | TRB_IOC);
    bell(f, slot, 3);
    g_assert_cmpuint(code_of(event_take(f)), ==, CC_SUCCESS);
    g_assert_cmpuint(t->transfers, ==, 2);
    t->answer = USB_NAK;
    ring_put(f, in, DATA, 100, TRB_NORMAL << 10 | TRB_IOC);
    bell(f, slot, 3);
    no_event(f);
    t->answer = USB_ASYNC;
    usb_ready(&t->usb, 0x81);
    no_event(f);
    bell(f, slot, 3); /* it is at it already */
    t->answer = USB_OK;
    usb_test_finish(t);
    g_assert_cmpuint(code_of(event_take(f)), ==, CC_SUCCESS);
    no_event(f);
    t->answer = USB_ASYNC;
    ring_put(f, in, DATA, 100, TRB_NORMAL << 10 | TRB_IOC);
    bell(f, slot, 3);
    ring_put(f, &f->commands, 0, 0, TRB_STOP_ENDPOINT << 10 | slot << 24 | 3 << 16);
    reg_put(f, DOORBELL, 0);
    g_assert_cmpuint(code_of(event_take(f)), ==, CC_STOPPED);
    g_assert_cmpuint(code_of(event_take(f)), ==, CC_SUCCESS);
    g_assert_cmpuint(t->cancelled, ==, 1);
    bell(f, slot, 3);
    g_assert_nonnull(t->packet);
    usb_unplug(&t->usb);
    g_assert_cmpuint(code_of(event_take(f)), ==, CC_TRANSACTION);
    port_event(f, 5);
    g_assert_cmpuint(endpoint_state(f, slot, 3), ==, EP_HALTED);
}

static void test_isochronous(Fixture *f, gconstpointer unused)
{
    (void)unused;
    UsbTest *t = (UsbTest *)plug(f, &usb_test_type, 5);
    unsigned slot = address(f, 5);
    input_clear(f, 0, 1 | 1 << 5);
    input_put(f, 1, 0, 5 << 27 | 4 << 20);
    input_endpoint(f, 5, EP_ISOCH_IN, 3, 192);
    command_ok(f, TRB_CONFIGURE_ENDPOINT, INPUT_CONTEXT, slot << 24);
    g_assert_cmpuint(control(f, slot, 0, 9, 3, 0, 0), ==, CC_SUCCESS);
    g_assert_cmpuint(control(f, slot, 1, 11, 1, 0, 0), ==, CC_SUCCESS);
    later(f, SEGMENT * NS_PER_SECOND);
    for (unsigned n = 0; n < 14; n++)
        ring_put(f, &f->ring[5], DATA, 192, TRB_ISOCH << 10 | TRB_IOC);
    bell(f, slot, 5);
    unsigned at_once = t->transfers;
    g_assert_cmpuint(at_once, <=, 10); /* what was missed, within bounds; the rest one a millisecond */
    for (unsigned n = 0; n < at_once; n++)
        g_assert_cmpuint(code_of(event_take(f)), ==, CC_SUCCESS);
    no_event(f);
    later(f, 1000 * 1000);
    g_assert_cmpuint(code_of(event_take(f)), ==, CC_SUCCESS);
    no_event(f);
    t->answer = USB_NAK;
    later(f, 1000 * 1000);
    Event e = event_take(f);
    g_assert_cmpuint(e.status & 0xffffff, ==, 192);
}

/* ---- interrupts, and event rings that are full ---- */

static void test_messages(Fixture *f, gconstpointer unused)
{
    unsigned at = bench_config_read(&f->b, PCI_CAPABILITIES, 1);
    (void)unused;
    g_assert_cmpint(f->b.level, ==, 0);
    ring_put(f, &f->commands, 0, 0, TRB_NO_OP_COMMAND << 10);
    reg_put(f, DOORBELL, 0);
    g_assert_cmpint(f->b.level, ==, 1);
    g_assert_cmphex(reg(f, USBSTS) & STS_EVENT, ==, STS_EVENT);
    event_take(f);
    g_assert_cmpint(f->b.level, ==, 1);
    reg_put(f, IR0, 3); /* pending is cleared by writing 1 */
    g_assert_cmpint(f->b.level, ==, 0);
    g_assert_cmphex(bench_config_read(&f->b, at, 1), ==, PCI_CAP_MSIX);
    put64(&f->b, MSIX_AT, BENCH_MSI_AT);
    put32(&f->b, MSIX_AT + 8, 42);
    put32(&f->b, MSIX_AT + 12, 0);
    bench_config_write(&f->b, at + 2, 0x8000, 2);
    for (unsigned n = 0; n < 3; n++)
        ring_put(f, &f->commands, 0, 0, TRB_NO_OP_COMMAND << 10);
    reg_put(f, DOORBELL, 0);
    g_assert_cmpuint(f->b.messages[42], ==, 1);
    g_assert_cmphex(reg(f, IR0), ==, 2); /* a message clears it */
    reg_put(f, DOORBELL, 0);
    g_assert_cmpuint(f->b.messages[42], ==, 1);
    event_take(f);
    g_assert_cmpuint(f->b.messages[42], ==, 2); /* there are more */
    event_read(f);
    event_take(f);
    g_assert_cmpuint(f->b.messages[42], ==, 2);
}

/* More than the ring has room for comes when there is room again, in order (4.9.4). */
static void test_full(Fixture *f, gconstpointer unused)
{
    unsigned slot, events = 0, full = 0;
    (void)unused;
    UsbTest *t = bulk(f, &slot);
    uint64_t at[100];
    for (unsigned n = 0, sent = 0; n < 100; n++) {
        for (; sent < 100 && sent < n + RING_SIZE - 4; sent++)
            at[sent] = ring_put(f, &f->ring[3], DATA, 1, TRB_NORMAL << 10 | TRB_IOC);
        bell(f, slot, 3);
        while (event_peek(f) && events <= n) {
            Event e = event_read(f);
            if (type_of(e) == TRB_HOST_EVENT) {
                g_assert_cmpuint(code_of(e), ==, CC_EVENTS_FULL);
                full++;
                continue;
            }
            g_assert_cmphex(e.parameter, ==, at[events++]);
        }
        if (n % 10 == 9)
            events_handled(f);
    }
    events_handled(f);
    g_assert_cmpuint(events, ==, 100);
    g_assert_cmpuint(t->given, ==, 100);
    g_assert_cmpuint(t->transfers, ==, 100);
}

static void test_full_told(Fixture *f, gconstpointer unused)
{
    unsigned count = 0, full = 0;
    (void)unused;
    start(f, 2); /* again: rings are anew */
    reg_put(f, USBCMD, 0);
    reg_put64(f, CRCR, COMMANDS | 1);
    reg_put(f, USBCMD, CMD_RUN);
    f->commands = ring_new(f, 0x60000, 64);
    reg_put64(f, CRCR, 0x60000 | 1);
    for (unsigned n = 0; n < 50; n++)
        ring_put(f, &f->commands, 0, 0, TRB_NO_OP_COMMAND << 10);
    reg_put(f, DOORBELL, 0);
    for (unsigned round = 0; round < 3; round++) {
        while (event_peek(f)) {
            Event e = event_read(f);
            full += type_of(e) == TRB_HOST_EVENT;
            count += type_of(e) == COMPLETION;
        }
        events_handled(f);
    }
    g_assert_cmpuint(count, ==, 50);
    g_assert_cmpuint(full, <=, 1);
}

/* ---- abuse ---- */

/* A ring that leads to itself, its cycle bit always right: the controller leaves it for others, and goes on later. */
static void test_endless(Fixture *f, gconstpointer unused)
{
    unsigned slot;
    (void)unused;
    UsbTest *t = bulk(f, &slot);
    uint64_t base = f->ring[3].base;
    put64(&f->b, base, DATA);
    put32(&f->b, base + 8, 1);
    put32(&f->b, base + 12, TRB_NORMAL << 10 | 1);
    put64(&f->b, base + 16, base);
    put32(&f->b, base + 28, TRB_LINK << 10 | 1);
    bell(f, slot, 3);
    unsigned first = t->transfers;
    g_assert_cmpuint(first, >, 100);
    g_assert_cmpuint(first, <, 100000);
    g_assert_true(timer_armed(f->x->timer));
    command_ok(f, TRB_NO_OP_COMMAND, 0, 0);
    later(f, 2 * 1000 * 1000);
    g_assert_cmpuint(t->transfers, >, first);
    put32(&f->b, base + 12, TRB_LINK << 10 | 1); /* Links only */
    bell(f, slot, 3);
    first = t->transfers;
    bell(f, slot, 3);
    g_assert_cmpuint(t->transfers, ==, first);
    put32(&f->b, base + 12, TRB_NORMAL << 10 | TRB_CHAIN | 1); /* a descriptor without end */
    bell(f, slot, 3);
    g_assert_cmpuint(code_of(event_take(f)), ==, CC_TRB);
    g_assert_cmpuint(endpoint_state(f, slot, 3), ==, EP_ERROR);
}

/* Where it is to write is its own registers. */
static void test_self(Fixture *f, gconstpointer unused)
{
    unsigned slot;
    (void)unused;
    bulk(f, &slot);
    ring_put(f, &f->ring[3], BAR_AT + USBCMD, 64, TRB_NORMAL << 10 | TRB_IOC);
    bell(f, slot, 3);
    g_assert_cmpuint(code_of(event_take(f)), ==, CC_SUCCESS);
    g_assert_cmphex(reg(f, USBCMD), ==, CMD_RUN | CMD_INTERRUPTS);
    bench_config_write(&f->b, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
    ring_put(f, &f->commands, 0, 0, TRB_NO_OP_COMMAND << 10);
    reg_put(f, DOORBELL, 0);
    no_event(f);
    bench_config_write(&f->b, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
    g_assert_cmpuint(code_of(event_take(f)), ==, CC_SUCCESS);
}

static void random_memory(Fixture *f, GRand *random)
{
    static const uint32_t places[] = { DCBAA, COMMANDS, ERST, INPUT_CONTEXT, OUTPUT_CONTEXT + 0x1000, RINGS + 0x1000,
                                       RINGS + 0x2000, RINGS + 0x3000 };
    uint32_t at = places[g_rand_int_range(random, 0, 8)] + g_rand_int_range(random, 0, 64) * 4;
    uint32_t v = g_rand_int(random);
    switch (g_rand_int_range(random, 0, 4)) {
    case 0: v = places[v % 8]; break;
    case 1: v = (v & 0x3f0001ff) % 64 << 10 | (v & 0x033f); break;
    case 2: v &= 0xff; break;
    default: break;
    }
    put32(&f->b, at, v);
}

static void random_access(Fixture *f, GRand *random)
{
    unsigned at = g_rand_int_range(random, 0, 0x4000 / 4) * 4;
    switch (g_rand_int_range(random, 0, 8)) {
    case 0: reg(f, at); break;
    case 1: reg_put(f, at, g_rand_int(random)); break;
    case 2: reg_put(f, OP + g_rand_int_range(random, 0, 0x120) * 4, g_rand_int(random) & ~(uint32_t)CMD_RESET); break;
    case 3: reg_put(f, IR0 + g_rand_int_range(random, 0, 16) * 4, EVENTS + g_rand_int_range(random, 0, 8) * 16); break;
    case 4: bell(f, g_rand_int_range(random, 0, 4), g_rand_int_range(random, 0, 6)); break;
    case 5: input_key(f->b.m, g_rand_int_range(random, 0, 256), g_rand_int(random) & 1); break;
    default: random_memory(f, random); break;
    }
}

static void test_random(Fixture *f, gconstpointer unused)
{
    GRand *random = g_rand_new_with_seed(11);
    unsigned slot;
    (void)unused;
    keyboard(f);
    UsbDevice *t = (UsbDevice *)usb_bench_add(&f->b, &usb_test_type, NULL, NULL);
    port_event(f, 6);
    slot = address(f, 6);
    g_assert_cmpuint(slot, ==, 2);
    GByteArray *saved = machine_save(f->b.m);
    for (unsigned round = 0; round < 60; round++) {
        GError *err = NULL;
        g_assert_true(machine_load(f->b.m, saved->data, saved->len, &err));
        for (unsigned n = 0; n < 300; n++)
            random_access(f, random);
        later(f, 10 * 1000 * 1000);
        if (round % 8 == 0) {
            usb_unplug(t);
            usb_plug(t);
        }
    }
    g_byte_array_unref(saved);
    g_rand_free(random);
}

/* ---- save and restore ---- */

static void test_save(Fixture *f, gconstpointer unused)
{
    GError *err = NULL;
    unsigned slot;
    (void)unused;
    UsbTest *t = bulk(f, &slot);
    t->answer = USB_NAK;
    uint64_t at = ring_put(f, &f->ring[3], DATA + 0x1000, 100, TRB_NORMAL << 10 | TRB_IOC);
    bell(f, slot, 3);
    control_put(f, 0x80, 6, 0x0100, 0, 18);
    f->ring[1].at--; /* the status stage comes later */
    put32(&f->b, f->ring[1].base + f->ring[1].at * TRB_SIZE + 12, 0);
    bell(f, slot, 1);
    GByteArray *saved = machine_save(f->b.m);
    unsigned event = f->event, cycle = f->cycle;
    machine_reset(f->b.m);
    g_assert_cmphex(reg(f, USBSTS), ==, UINT32_MAX); /* BARs are not mapped */
    g_assert_true(machine_load(f->b.m, saved->data, saved->len, &err));
    g_assert_cmphex(reg(f, USBSTS) & STS_HALTED, ==, 0);
    f->event = event;
    f->cycle = cycle;
    t->answer = USB_OK;
    usb_ready(&t->usb, 0x81);
    g_assert_cmphex(event_take(f).parameter, ==, at);
    ring_put(f, &f->ring[1], 0, 0, TRB_STATUS << 10 | TRB_IOC);
    bell(f, slot, 1);
    g_assert_cmpuint(code_of(event_take(f)), ==, CC_SUCCESS);
    g_assert_cmphex(get32(&f->b, DATA + 8), ==, 0x56781234);
    g_byte_array_unref(saved);
}

static void test_save_broken(Fixture *f, gconstpointer unused)
{
    GRand *random = g_rand_new_with_seed(5);
    (void)unused;
    keyboard(f);
    GByteArray *saved = machine_save(f->b.m);
    for (unsigned round = 0; round < 100; round++) {
        if (load_damaged(f->b.m, saved, 8, random))
            for (unsigned i = 0; i < 100; i++)
                random_access(f, random);
        machine_reset(f->b.m);
    }
    g_byte_array_unref(saved);
    g_rand_free(random);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name, function) g_test_add("/xhci/" name, Fixture, NULL, fixture_up, function, fixture_down)
    TEST("registers", test_registers);
    TEST("ports", test_ports);
    TEST("commands", test_commands);
    TEST("slot-life", test_slot_life);
    TEST("control", test_control);
    TEST("interrupt", test_interrupt);
    TEST("stop", test_stop);
    TEST("chain", test_chain);
    TEST("short", test_short);
    TEST("later", test_later);
    TEST("isochronous", test_isochronous);
    TEST("messages", test_messages);
    TEST("full", test_full);
    TEST("full-told", test_full_told);
    TEST("endless", test_endless);
    TEST("self", test_self);
    TEST("random", test_random);
    TEST("save", test_save);
    TEST("save-broken", test_save_broken);
    return g_test_run();
}
