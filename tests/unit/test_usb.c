/* Buses, ports, descriptors and control transfers (USB 2.0, chapter 9), keyboard, mouse and tablet (HID 1.11). */
#include "tests/unit/usb_bench.h"

enum { BUFFER = 0x10000, GUARD = 0x5a };
enum { DESC_DEVICE = 0x0100, DESC_CONFIGURATION = 0x0200, DESC_STRING = 0x0300, DESC_QUALIFIER = 0x0600,
       DESC_OTHER_SPEED = 0x0700, DESC_BOS = 0x0f00, DESC_REPORT = 0x2200 };

/* ---- a controller without registers ---- */

typedef struct Host {
    Device dev;
    UsbBus *bus;
    UsbPort port[2];
    unsigned attached, detached, ready, resumed, done;
    uint8_t ready_address;
    uint32_t speeds;
} Host;

static void port_attached(UsbPort *p) { ((Host *)p->opaque)->attached++; }
static void port_detached(UsbPort *p) { ((Host *)p->opaque)->detached++; }
static void port_resume(UsbPort *p) { ((Host *)p->opaque)->resumed++; }
static void port_ready(UsbPort *p, UsbDevice *d, uint8_t address)
{
    Host *h = p->opaque;
    g_assert_true(p->device == d);
    h->ready++;
    h->ready_address = address;
}
static const UsbPortOps host_ops = { port_attached, port_detached, port_ready, port_resume };

static gboolean host_create(Device *dev, GError **err)
{
    Host *h = (Host *)dev;
    (void)err;
    h->bus = usb_bus_new(dev);
    for (unsigned n = 0; n < 2; n++)
        usb_port_add(h->bus, &h->port[n], NULL, n + 1, h->speeds, &host_ops, h);
    return TRUE;
}
static void host_reset(Device *dev) { (void)dev; }
static void host_destroy(Device *dev) { usb_bus_free(((Host *)dev)->bus); }
static const Property host_properties[] = {
    PROPERTY(Host, speeds, "speeds", PROP_U32, USB_SPEEDS_2, "speeds of the ports"), PROPERTY_END
};
static const StateField host_state[] = { STATE_END };
static const DeviceType host_type = {
    .name = "host", .description = "for tests", .bus = "system", .size = sizeof(Host), .properties = host_properties,
    .create = host_create, .reset = host_reset, .destroy = host_destroy, .state = host_state,
};

typedef struct Fixture {
    UsbBench b;
    Host *host;
    UsbPacket packet;
} Fixture;

static void packet_done(UsbPacket *p) { ((Host *)p->opaque)->done++; }

static void fixture_up(Fixture *f, gconstpointer speeds)
{
    g_autofree char *text = g_strdup_printf("%u", speeds ? GPOINTER_TO_UINT(speeds) : USB_SPEEDS_2);
    usb_bench_up(&f->b);
    f->host = (Host *)usb_bench_add(&f->b, &host_type, "speeds", text);
    usb_packet_init(&f->packet, f->b.m->memory, packet_done, f->host);
}

static void fixture_down(Fixture *f, gconstpointer unused)
{
    (void)unused;
    usb_packet_clear(&f->packet);
    usb_bench_down(&f->b);
}

static UsbDevice *add(Fixture *f, const DeviceType *type)
{
    return (UsbDevice *)usb_bench_add(&f->b, type, NULL, NULL);
}

/* ---- transfers ---- */

static UsbStatus transfer(Fixture *f, UsbDevice *d, UsbPid pid, unsigned endpoint, uint64_t at, unsigned size)
{
    usb_packet_setup(&f->packet, pid, endpoint);
    g_assert_true(dma_add(&f->packet.data, at, size));
    return usb_submit(d, &f->packet);
}

static UsbStatus setup(Fixture *f, UsbDevice *d, unsigned type, unsigned request, unsigned value, unsigned index,
                       unsigned length)
{
    usb_packet_setup(&f->packet, USB_SETUP, 0);
    f->packet.setup[0] = type;
    f->packet.setup[1] = request;
    st16le(f->packet.setup + 2, value);
    st16le(f->packet.setup + 4, index);
    st16le(f->packet.setup + 6, length);
    return usb_submit(d, &f->packet);
}

/* A request with `length` bytes at BUFFER, in packets of 64; returns the bytes moved, or -1 for STALL. */
static int control(Fixture *f, UsbDevice *d, unsigned type, unsigned request, unsigned value, unsigned index,
                   unsigned length)
{
    bool in = type & 0x80;
    unsigned moved = 0, size = 64;
    g_assert_cmpint(setup(f, d, type, request, value, index, length), ==, USB_OK);
    while (moved < length && size == 64) {
        if (transfer(f, d, in ? USB_IN : USB_OUT, 0, BUFFER + moved, MIN(64, length - moved)) == USB_STALL)
            return -1;
        size = f->packet.actual;
        moved += size;
    }
    UsbStatus status = transfer(f, d, in && length ? USB_OUT : USB_IN, 0, BUFFER, 0);
    return status == USB_STALL ? -1 : (int)moved;
}

static uint8_t byte(Fixture *f, unsigned n) { return as_read(f->b.m->memory, BUFFER + n, 1); }
static uint16_t word(Fixture *f, unsigned n) { return as_read(f->b.m->memory, BUFFER + n, 2); }
static void byte_put(Fixture *f, unsigned n, uint8_t v) { as_write(f->b.m->memory, BUFFER + n, v, 1); }

static int descriptor(Fixture *f, UsbDevice *d, unsigned what, unsigned length)
{
    return control(f, d, 0x80, 6, what, 0, length);
}

static void configure(Fixture *f, UsbDevice *d, unsigned value)
{
    g_assert_cmpint(control(f, d, 0, 9, value, 0, 0), ==, 0);
}

/* A report of the interrupt endpoint: its size, or -1 for NAK. */
static int report(Fixture *f, UsbDevice *d)
{
    UsbStatus status = transfer(f, d, USB_IN, 1, BUFFER, 8);
    g_assert_true(status == USB_OK || status == USB_NAK);
    return status == USB_OK ? (int)f->packet.actual : -1;
}

/* ---- descriptors ---- */

static void test_descriptors(Fixture *f, gconstpointer unused)
{
    UsbDevice *d = add(f, &usb_kbd_type);
    (void)unused;
    g_assert_cmpint(usb_speed(d), ==, USB_HIGH);
    g_assert_cmpint(descriptor(f, d, DESC_DEVICE, 64), ==, 18);
    g_assert_cmphex(word(f, 0), ==, 0x0112);
    g_assert_cmphex(word(f, 2), ==, 0x0200);
    g_assert_cmpuint(byte(f, 7), ==, 64);
    g_assert_cmphex(word(f, 8), ==, 0x0627);
    g_assert_cmpuint(byte(f, 17), ==, 1);
    byte_put(f, 8, GUARD);
    g_assert_cmpint(descriptor(f, d, DESC_DEVICE, 8), ==, 8); /* as hosts ask first, to learn of byte 7 */
    g_assert_cmphex(byte(f, 8), ==, GUARD);
    g_assert_cmpint(descriptor(f, d, DESC_CONFIGURATION, 255), ==, 9 + 9 + 9 + 7);
    g_assert_cmpuint(word(f, 2), ==, 34);
    g_assert_cmpuint(byte(f, 4), ==, 1);
    g_assert_cmphex(byte(f, 7), ==, 0xa0);
    g_assert_cmpuint(byte(f, 8), ==, 50); /* units of 2 mA */
    g_assert_cmphex(byte(f, 9 + 5), ==, 3);
    g_assert_cmphex(byte(f, 9 + 6), ==, 1);
    g_assert_cmphex(byte(f, 9 + 7), ==, 1);
    g_assert_cmphex(byte(f, 18 + 1), ==, 0x21);
    g_assert_cmphex(byte(f, 27 + 2), ==, 0x81);
    g_assert_cmphex(byte(f, 27 + 3), ==, USB_INTERRUPT);
    unsigned report_size = word(f, 18 + 7);
    g_assert_cmpint(descriptor(f, d, DESC_QUALIFIER, 64), ==, 10);
    g_assert_cmpuint(byte(f, 7), ==, 8); /* at full speed */
    g_assert_cmpint(descriptor(f, d, DESC_OTHER_SPEED, 255), ==, 34);
    g_assert_cmphex(byte(f, 1), ==, 7);
    g_assert_cmpuint(byte(f, 27 + 6), ==, 10);
    g_assert_cmpint(descriptor(f, d, DESC_BOS, 64), ==, -1);
    g_assert_cmpint(descriptor(f, d, DESC_CONFIGURATION + 1, 64), ==, -1);
    configure(f, d, 1);
    g_assert_cmpint(control(f, d, 0x81, 6, DESC_REPORT, 0, 255), ==, report_size);
    g_assert_cmphex(word(f, 0), ==, 0x0105);
    g_assert_cmphex(byte(f, report_size - 1), ==, 0xc0);
}

static void test_strings(Fixture *f, gconstpointer unused)
{
    UsbDevice *d = add(f, &usb_test_type);
    (void)unused;
    g_assert_cmpint(descriptor(f, d, DESC_STRING, 255), ==, 4);
    g_assert_cmphex(word(f, 2), ==, 0x0409);
    g_assert_cmpint(descriptor(f, d, DESC_STRING + 1, 255), ==, 2 + 2 * 4);
    g_assert_cmphex(word(f, 2), ==, 'T');
    g_assert_cmpint(descriptor(f, d, DESC_STRING + 2, 255), ==, 2 + 2 * 8);
    g_assert_cmphex(word(f, 2 + 2 * 3), ==, 0xe4);
    g_assert_cmphex(word(f, 2 + 2 * 6), ==, 0xd83d); /* a surrogate pair */
    g_assert_cmpint(descriptor(f, d, DESC_STRING + 3, 255), ==, -1);
    g_assert_cmpint(descriptor(f, d, DESC_STRING + 200, 255), ==, -1);
}

static void test_super_speed(Fixture *f, gconstpointer unused)
{
    UsbDevice *d = add(f, &usb_test_type);
    (void)unused;
    g_assert_cmpint(usb_speed(d), ==, USB_SUPER);
    g_assert_cmpint(descriptor(f, d, DESC_DEVICE, 64), ==, 18);
    g_assert_cmpuint(byte(f, 7), ==, 9); /* 2^9 bytes */
    g_assert_cmpint(descriptor(f, d, DESC_CONFIGURATION, 255), ==, 9 + 9 + 2 * (7 + 6) + 9 + 7 + 6);
    g_assert_cmpuint(byte(f, 4), ==, 1);   /* alternates are one interface */
    g_assert_cmpuint(byte(f, 8), ==, 5);   /* units of 8 mA */
    g_assert_cmphex(byte(f, 9 + 9 + 7 + 1), ==, 48);
    g_assert_cmpuint(byte(f, 9 + 9 + 7 + 2), ==, 3);
    g_assert_cmpint(descriptor(f, d, DESC_BOS, 255), ==, 5 + 7 + 10);
    g_assert_cmpuint(byte(f, 4), ==, 2);
    g_assert_cmpint(descriptor(f, d, DESC_QUALIFIER, 64), ==, -1);
    g_assert_cmpint(control(f, d, 0, 0x31, 40, 0, 0), ==, 0);   /* SET_ISOCH_DELAY */
    g_assert_cmpint(control(f, d, 0, 3, 48, 0, 0), ==, -1);     /* U1 only when configured */
    configure(f, d, 3);
    g_assert_cmpint(control(f, d, 0, 3, 48, 0, 0), ==, 0);
}

/* ---- requests of chapter 9 ---- */

static void test_requests(Fixture *f, gconstpointer unused)
{
    UsbDevice *d = add(f, &usb_test_type);
    (void)unused;
    g_assert_cmpint(setup(f, d, 0, 5, 77, 0, 0), ==, USB_OK);
    g_assert_cmpuint(d->address, ==, 0);                        /* it answers the status stage at its old address */
    g_assert_cmpint(transfer(f, d, USB_IN, 0, BUFFER, 0), ==, USB_OK);
    g_assert_cmpuint(d->address, ==, 77);
    g_assert_true(usb_port_find(d->port, 77) == d);
    g_assert_null(usb_port_find(d->port, 78));
    g_assert_cmpint(control(f, d, 0, 5, 128, 0, 0), ==, -1);
    g_assert_cmpint(control(f, d, 0x80, 8, 0, 0, 1), ==, 1);
    g_assert_cmpuint(byte(f, 0), ==, 0);
    g_assert_cmpint(control(f, d, 0, 9, 1, 0, 0), ==, -1);      /* there is 3 only */
    g_assert_cmpint(transfer(f, d, USB_IN, 1, BUFFER, 64), ==, USB_ERROR);
    configure(f, d, 3);
    g_assert_cmpint(control(f, d, 0x80, 8, 0, 0, 1), ==, 1);
    g_assert_cmpuint(byte(f, 0), ==, 3);
    g_assert_cmpint(control(f, d, 0x80, 0, 0, 0, 2), ==, 2);
    g_assert_cmphex(word(f, 0), ==, 1);                         /* self-powered */
    g_assert_cmpint(control(f, d, 0, 3, 1, 0, 0), ==, 0);
    g_assert_cmpint(control(f, d, 0x80, 0, 0, 0, 2), ==, 2);
    g_assert_cmphex(word(f, 0), ==, 3);                         /* and may wake the host */
    g_assert_cmpint(control(f, d, 0x40, 1, 0, 0, 0), ==, -1);   /* knows no vendor's requests */
    g_assert_cmpint(control(f, d, 0x83, 0, 0, 0, 2), ==, -1);
}

static void test_interfaces(Fixture *f, gconstpointer unused)
{
    UsbDevice *d = add(f, &usb_test_type);
    (void)unused;
    g_assert_cmpint(control(f, d, 0x81, 10, 0, 0, 1), ==, -1);
    configure(f, d, 3);
    g_assert_nonnull(usb_endpoint(d, 0x81));
    g_assert_null(usb_endpoint(d, 0x82));
    g_assert_cmpint(control(f, d, 1, 11, 1, 0, 0), ==, 0);
    g_assert_cmpint(control(f, d, 0x81, 10, 0, 0, 1), ==, 1);
    g_assert_cmpuint(byte(f, 0), ==, 1);
    g_assert_null(usb_endpoint(d, 0x81));
    g_assert_nonnull(usb_endpoint(d, 0x82));
    g_assert_cmpint(control(f, d, 1, 11, 2, 0, 0), ==, -1);
    g_assert_cmpint(control(f, d, 1, 11, 0, 1, 0), ==, -1);
    g_assert_cmpint(control(f, d, 0x81, 0, 0, 0, 2), ==, 2);
    configure(f, d, 3);
    g_assert_nonnull(usb_endpoint(d, 0x81));
}

static void test_halt(Fixture *f, gconstpointer unused)
{
    UsbDevice *d = add(f, &usb_test_type);
    UsbTest *t = (UsbTest *)d;
    (void)unused;
    configure(f, d, 3);
    t->answer = USB_STALL;
    g_assert_cmpint(transfer(f, d, USB_IN, 1, BUFFER, 64), ==, USB_STALL);
    t->answer = USB_OK;
    g_assert_cmpint(transfer(f, d, USB_IN, 1, BUFFER, 64), ==, USB_STALL);
    g_assert_cmpuint(t->transfers, ==, 1);
    g_assert_cmpint(transfer(f, d, USB_OUT, 1, BUFFER, 64), ==, USB_OK); /* the other direction is another endpoint */
    g_assert_cmpint(control(f, d, 0x82, 0, 0, 0x81, 2), ==, 2);
    g_assert_cmphex(word(f, 0), ==, 1);
    g_assert_cmpint(control(f, d, 0x82, 0, 0, 0x01, 2), ==, 2);
    g_assert_cmphex(word(f, 0), ==, 0);
    g_assert_cmpint(control(f, d, 2, 1, 0, 0x81, 0), ==, 0);
    g_assert_cmpint(transfer(f, d, USB_IN, 1, BUFFER, 64), ==, USB_OK);
    g_assert_cmpuint(byte(f, 1), ==, test_byte(1));
    g_assert_cmpint(control(f, d, 2, 3, 0, 0x01, 0), ==, 0);
    g_assert_cmpint(transfer(f, d, USB_OUT, 1, BUFFER, 64), ==, USB_STALL);
    g_assert_cmpint(control(f, d, 2, 3, 0, 0x83, 0), ==, -1);
    configure(f, d, 3);
    g_assert_cmpint(transfer(f, d, USB_OUT, 1, BUFFER, 64), ==, USB_OK);
}

/* Stages that do not follow each other as they should (2.0, 8.5.3). */
static void test_stages(Fixture *f, gconstpointer unused)
{
    UsbDevice *d = add(f, &usb_kbd_type);
    (void)unused;
    configure(f, d, 1);
    g_assert_cmpint(transfer(f, d, USB_IN, 0, BUFFER, 8), ==, USB_STALL);
    g_assert_cmpint(setup(f, d, 0x80, 6, DESC_DEVICE, 0, 18), ==, USB_OK);
    g_assert_cmpint(transfer(f, d, USB_IN, 0, BUFFER, 8), ==, USB_OK);
    g_assert_cmpint(setup(f, d, 0x80, 6, DESC_DEVICE, 0, 18), ==, USB_OK); /* begins anew */
    g_assert_cmpint(transfer(f, d, USB_IN, 0, BUFFER, 64), ==, USB_OK);
    g_assert_cmpuint(f->packet.actual, ==, 18);
    g_assert_cmpint(transfer(f, d, USB_IN, 0, BUFFER, 64), ==, USB_OK);
    g_assert_cmpuint(f->packet.actual, ==, 0);
    g_assert_cmpint(transfer(f, d, USB_OUT, 0, BUFFER, 0), ==, USB_OK);
    g_assert_cmpint(setup(f, d, 0x21, 9, 0x0200, 0, 1), ==, USB_OK);
    g_assert_cmpint(transfer(f, d, USB_OUT, 0, BUFFER, 2), ==, USB_STALL); /* more than announced */
    g_assert_cmpint(setup(f, d, 0x21, 9, 0x0200, 0, 0xffff), ==, USB_OK);
    g_assert_cmpint(transfer(f, d, USB_OUT, 0, BUFFER, 64), ==, USB_STALL);
    g_assert_cmpint(setup(f, d, 0x80, 6, DESC_DEVICE, 0, 0xffff), ==, USB_OK);
    g_assert_cmpint(transfer(f, d, USB_IN, 0, BUFFER, 0xffff), ==, USB_OK);
    g_assert_cmpuint(f->packet.actual, ==, 18);
}

/* ---- packets that take a while ---- */

static void test_async(Fixture *f, gconstpointer unused)
{
    UsbDevice *d = add(f, &usb_test_type);
    UsbTest *t = (UsbTest *)d;
    (void)unused;
    configure(f, d, 3);
    t->answer = USB_ASYNC;
    g_assert_cmpint(transfer(f, d, USB_IN, 1, BUFFER, 64), ==, USB_ASYNC);
    usb_test_finish(t);
    g_assert_cmpuint(f->host->done, ==, 1);
    g_assert_cmpuint(f->packet.actual, ==, 64);
    g_assert_cmpuint(byte(f, 63), ==, test_byte(63));
    g_assert_cmpint(transfer(f, d, USB_IN, 1, BUFFER, 64), ==, USB_ASYNC);
    usb_cancel(&f->packet);
    usb_cancel(&f->packet);
    g_assert_cmpuint(t->cancelled, ==, 1);
    g_assert_cmpuint(f->host->done, ==, 1);
    g_assert_cmpint(transfer(f, d, USB_IN, 1, BUFFER, 64), ==, USB_ASYNC);
    usb_unplug(d);
    g_assert_cmpuint(f->host->done, ==, 2);
    g_assert_cmpint(f->packet.status, ==, USB_ERROR);
    g_assert_cmpint(transfer(f, d, USB_IN, 1, BUFFER, 64), ==, USB_ERROR);
    usb_plug(d);
    g_assert_cmpuint(f->host->attached, ==, 2);
    g_assert_cmpuint(f->host->detached, ==, 1);
    g_assert_cmpuint(d->configuration, ==, 0);
}

/* ---- places ---- */

static void fails(Fixture *f, const DeviceType *type, const char *property, const char *value, const char *part)
{
    GError *err = NULL;
    g_assert_null(device_add(f->b.m, type, NULL, &err, property, value, NULL));
    g_assert_nonnull(err);
    g_assert_nonnull(strstr(err->message, part));
    g_clear_error(&err);
}

static void test_places(Fixture *f, gconstpointer unused)
{
    GError *err = NULL;
    (void)unused;
    fails(f, &usb_kbd_type, "bus", "nowhere.0", "the first is 'host.0'");
    fails(f, &usb_kbd_type, "port", "3", "its own are 1 to 2");
    UsbDevice *d = (UsbDevice *)usb_bench_add(&f->b, &usb_kbd_type, "port", "2");
    g_assert_true(d->port == &f->host->port[1]);
    fails(f, &usb_mouse_type, "port", "2", "taken by 'usb-kbd'");
    d = (UsbDevice *)usb_bench_add(&f->b, &usb_mouse_type, "bus", "host.0");
    g_assert_true(d->port == &f->host->port[0]);
    fails(f, &usb_tablet_type, NULL, NULL, "no free port");
    Host *other = (Host *)device_add(f->b.m, &host_type, "other", &err, NULL);
    g_assert_no_error(err);
    d = add(f, &usb_tablet_type);
    g_assert_true(d->port == &other->port[0]);
    g_autoptr(GString) text = g_string_new(NULL);
    usb_print(f->b.m, text);
    g_assert_nonnull(strstr(text->str, "Bus 1: other.0, 2 ports"));
    g_assert_nonnull(strstr(text->str, "Device 1.0, Port 1, Speed 480 Mb/s, Product USB Tablet, ID: usb-tablet"));
    device_remove(&f->host->dev); /* its devices stay, unplugged */
    f->host = other;
}

static void test_no_bus(void)
{
    Fixture f;
    usb_bench_up(&f.b);
    fails(&f, &usb_tablet_type, NULL, NULL, "no USB bus: add -device qemu-xhci");
    usb_bench_down(&f.b);
}

/* ---- keyboard ---- */

static void check_report(Fixture *f, UsbDevice *d, const char *expected)
{
    g_autoptr(GString) text = g_string_new(NULL);
    int n = report(f, d);
    for (int i = 0; i < n; i++)
        g_string_append_printf(text, "%02x", byte(f, i));
    g_assert_cmpstr(text->str, ==, expected);
}

static void test_keyboard(Fixture *f, gconstpointer unused)
{
    UsbDevice *d = add(f, &usb_kbd_type);
    (void)unused;
    g_assert_false(input_has_keyboard(f->b.m));
    configure(f, d, 1);
    g_assert_true(input_has_keyboard(f->b.m));
    check_report(f, d, "");
    input_key(f->b.m, 0x04, true);
    g_assert_cmpuint(f->host->ready, ==, 1);
    g_assert_cmphex(f->host->ready_address, ==, 0x81);
    input_key(f->b.m, 0x04, false);
    input_key(f->b.m, 0xe1, true);
    input_key(f->b.m, 0x05, true);
    check_report(f, d, "0000040000000000"); /* short as it was, it is seen */
    check_report(f, d, "0000000000000000");
    check_report(f, d, "0200000000000000");
    check_report(f, d, "0200050000000000");
    check_report(f, d, "");
    for (unsigned key = 0x10; key < 0x15; key++)
        input_key(f->b.m, key, true);
    for (unsigned n = 0; n < 4; n++)
        report(f, d);
    check_report(f, d, "0200051011121314");
    input_key(f->b.m, 0x15, true);
    check_report(f, d, "0200010101010101"); /* appendix C: seven keys do not fit */
    input_key(f->b.m, 0x05, false);
    check_report(f, d, "0200101112131415");
    g_assert_cmpint(control(f, d, 0xa1, 1, 0x0100, 0, 8), ==, 8); /* GET_REPORT */
    g_assert_cmphex(byte(f, 2), ==, 0x10);
    configure(f, d, 0);
    g_assert_false(input_has_keyboard(f->b.m));
    configure(f, d, 1);
    check_report(f, d, "");
}

/* What the guest does not fetch is not stored without end, and no key stays down. */
static void test_many_keys(Fixture *f, gconstpointer unused)
{
    UsbDevice *d = add(f, &usb_kbd_type);
    unsigned reports = 0;
    (void)unused;
    configure(f, d, 1);
    for (unsigned n = 0; n < 1000; n++) {
        input_key(f->b.m, 4 + n % 40, true);
        input_key(f->b.m, 4 + n % 40, false);
    }
    input_key(f->b.m, 0x1e, true);
    while (report(f, d) >= 0)
        reports++;
    g_assert_cmpuint(reports, <=, HID_EVENTS + 1);
    g_assert_cmpint(control(f, d, 0xa1, 1, 0x0100, 0, 8), ==, 8);
    g_assert_cmphex(word(f, 2), ==, 0x001e);
}

static void test_keyboard_requests(Fixture *f, gconstpointer unused)
{
    UsbDevice *d = add(f, &usb_kbd_type);
    (void)unused;
    configure(f, d, 1);
    byte_put(f, 0, 2);
    g_assert_cmpint(control(f, d, 0x21, 9, 0x0200, 0, 1), ==, 1);
    g_assert_cmphex(input_leds(f->b.m), ==, INPUT_CAPS_LOCK);
    byte_put(f, 0, 5);
    g_assert_cmpint(control(f, d, 0x21, 9, 0x0200, 0, 1), ==, 1);
    g_assert_cmphex(input_leds(f->b.m), ==, INPUT_NUM_LOCK | INPUT_SCROLL_LOCK);
    g_assert_cmpint(control(f, d, 0xa1, 1, 0x0200, 0, 1), ==, 1);
    g_assert_cmphex(byte(f, 0), ==, 5);
    g_assert_cmpint(control(f, d, 0xa1, 3, 0, 0, 1), ==, 1);
    g_assert_cmpuint(byte(f, 0), ==, HID_REPORT_PROTOCOL);
    g_assert_cmpint(control(f, d, 0x21, 11, 0, 0, 0), ==, 0);
    g_assert_cmpint(control(f, d, 0xa1, 3, 0, 0, 1), ==, 1);
    g_assert_cmpuint(byte(f, 0), ==, HID_BOOT_PROTOCOL);
    g_assert_cmpint(control(f, d, 0x21, 11, 2, 0, 0), ==, -1);
    g_assert_cmpint(control(f, d, 0xa1, 1, 0x0300, 0, 1), ==, -1); /* no feature reports */
    g_assert_cmpint(control(f, d, 0x21, 10, 0x0a01, 0, 0), ==, -1);
    /* Idle rate: 10 * 4 ms without news, then a report all the same. */
    g_assert_cmpint(control(f, d, 0x21, 10, 0x0a00, 0, 0), ==, 0);
    g_assert_cmpint(control(f, d, 0xa1, 2, 0, 0, 1), ==, 1);
    g_assert_cmpuint(byte(f, 0), ==, 10);
    check_report(f, d, "");
    g_assert_cmpint(timer_deadline(((UsbHid *)d)->idle_timer), ==, 40 * 1000 * 1000);
    clock_set(f->b.m->clocks, 40 * 1000 * 1000);
    clock_fire_due(f->b.m->clocks);
    check_report(f, d, "0000000000000000");
    check_report(f, d, "");
}

/* ---- pointers ---- */

static void test_mouse(Fixture *f, gconstpointer unused)
{
    UsbDevice *d = add(f, &usb_mouse_type);
    (void)unused;
    configure(f, d, 1);
    input_move(f->b.m, 3, -4);
    check_report(f, d, "0003fc00");
    input_wheel(f->b.m, 2);
    check_report(f, d, "000000fe"); /* towards the user is down */
    input_buttons(f->b.m, INPUT_LEFT | INPUT_EXTRA);
    input_buttons(f->b.m, 0);
    check_report(f, d, "11000000");
    check_report(f, d, "00000000");
    check_report(f, d, "");
    input_move(f->b.m, 300, -128);
    check_report(f, d, "007f8100");
    check_report(f, d, "007fff00");
    check_report(f, d, "002e0000");
    check_report(f, d, "");
    g_assert_cmpint(control(f, d, 0x21, 11, 0, 0, 0), ==, 0);
    input_move(f->b.m, 1, 1);
    check_report(f, d, "000101"); /* boot protocol (appendix B.2) */
}

static void test_moves(Fixture *f, gconstpointer unused)
{
    UsbDevice *d = add(f, &usb_mouse_type);
    GRand *random = g_rand_new_with_seed(1);
    int x = 0, y = 0, seen_x = 0, seen_y = 0;
    (void)unused;
    configure(f, d, 1);
    for (unsigned n = 0; n < 10000; n++) {
        int dx = g_rand_int_range(random, -300, 301), dy = g_rand_int_range(random, -300, 301);
        input_move(f->b.m, dx, dy);
        x += dx;
        y += dy;
        if (g_rand_int_range(random, 0, 50) == 0)
            input_buttons(f->b.m, g_rand_int_range(random, 0, 32));
        for (unsigned k = g_rand_int_range(random, 0, 4); k && report(f, d) >= 0; k--) {
            seen_x += (int8_t)byte(f, 1);
            seen_y += (int8_t)byte(f, 2);
        }
    }
    while (report(f, d) >= 0) {
        seen_x += (int8_t)byte(f, 1);
        seen_y += (int8_t)byte(f, 2);
    }
    g_assert_cmpint(seen_x, ==, x);
    g_assert_cmpint(seen_y, ==, y);
    g_rand_free(random);
}

static void test_tablet(Fixture *f, gconstpointer unused)
{
    UsbDevice *d = add(f, &usb_tablet_type);
    (void)unused;
    configure(f, d, 1);
    g_assert_true(input_is_absolute(f->b.m));
    input_place(f->b.m, 0x7fff, 0x1234);
    check_report(f, d, "00ff7f341200");
    for (int n = 0; n < 10000; n++)
        input_place(f->b.m, n, 10000 - n);
    check_report(f, d, "000f27010000");
    check_report(f, d, "");
    input_buttons(f->b.m, INPUT_RIGHT);
    input_wheel(f->b.m, -1);
    check_report(f, d, "020f27010001");
    g_assert_cmpint(control(f, d, 0xa1, 3, 0, 0, 1), ==, -1); /* no boot device */
    configure(f, d, 0);
    g_assert_false(input_has_pointer(f->b.m));
}

static void test_wakeup(Fixture *f, gconstpointer unused)
{
    UsbDevice *d = add(f, &usb_kbd_type);
    (void)unused;
    configure(f, d, 1);
    usb_suspend(d, true);
    input_key(f->b.m, 4, true);
    g_assert_cmpuint(f->host->resumed, ==, 0);
    g_assert_cmpint(control(f, d, 0, 3, 1, 0, 0), ==, 0);
    input_key(f->b.m, 4, false);
    g_assert_cmpuint(f->host->resumed, ==, 1);
    usb_suspend(d, false);
    input_key(f->b.m, 4, true);
    g_assert_cmpuint(f->host->resumed, ==, 1);
}

/* ---- save and restore ---- */

static void test_save(Fixture *f, gconstpointer unused)
{
    UsbDevice *d = add(f, &usb_kbd_type);
    GError *err = NULL;
    (void)unused;
    configure(f, d, 1);
    input_key(f->b.m, 4, true);
    input_key(f->b.m, 4, false);
    g_assert_cmpint(setup(f, d, 0x80, 6, DESC_DEVICE, 0, 18), ==, USB_OK);
    g_assert_cmpint(transfer(f, d, USB_IN, 0, BUFFER, 8), ==, USB_OK);
    GByteArray *saved = machine_save(f->b.m);
    machine_reset(f->b.m);
    g_assert_false(input_has_keyboard(f->b.m));
    g_assert_true(machine_load(f->b.m, saved->data, saved->len, &err));
    g_assert_true(input_has_keyboard(f->b.m));
    g_assert_cmpint(transfer(f, d, USB_IN, 0, BUFFER + 8, 64), ==, USB_OK); /* the rest of the descriptor */
    g_assert_cmpuint(f->packet.actual, ==, 10);
    g_assert_cmphex(word(f, 8), ==, 0x0627);
    check_report(f, d, "0000040000000000");
    check_report(f, d, "0000000000000000");
    check_report(f, d, "");
    g_byte_array_unref(saved);
}

static void random_request(Fixture *f, UsbDevice *d, GRand *random)
{
    static const uint8_t types[] = { 0x80, 0x81, 0x82, 0x00, 0x01, 0x02, 0xa1, 0x21, 0xc0, 0x40 };
    unsigned type = types[g_rand_int_range(random, 0, sizeof types)];
    switch (g_rand_int_range(random, 0, 6)) {
    case 0:
        setup(f, d, type, g_rand_int_range(random, 0, 64), g_rand_int_range(random, 0, 0x10000),
              g_rand_int_range(random, 0, 4), g_rand_int_range(random, 0, 0x10000));
        break;
    case 1:
        setup(f, d, type, g_rand_int_range(random, 0, 13), g_rand_int_range(random, 0, 40) << 8, 0, 64);
        break;
    case 2:
        transfer(f, d, USB_OUT, g_rand_int_range(random, 0, 2), BUFFER, g_rand_int_range(random, 0, 5000));
        break;
    case 3: input_key(f->b.m, g_rand_int_range(random, 0, 300), g_rand_int(random) & 1); break;
    case 4: input_move(f->b.m, g_rand_int(random), g_rand_int(random)); break;
    default: transfer(f, d, USB_IN, g_rand_int_range(random, 0, 3), BUFFER, g_rand_int_range(random, 0, 5000)); break;
    }
    g_assert_cmpint(f->packet.status, <, USB_ASYNC);
    g_assert_cmpuint(f->packet.actual, <=, f->packet.data.size);
}

static void test_random(Fixture *f, gconstpointer unused)
{
    UsbDevice *d[2] = { add(f, &usb_kbd_type), add(f, &usb_tablet_type) };
    GRand *random = g_rand_new_with_seed(3);
    (void)unused;
    for (unsigned round = 0; round < 100; round++) {
        configure(f, d[round % 2], 1);
        for (unsigned n = 0; n < 200; n++)
            random_request(f, d[round % 2], random);
        GByteArray *saved = machine_save(f->b.m);
        for (unsigned i = 0; i < 4; i++)
            saved->data[g_rand_int_range(random, 0, saved->len)] ^= 1 << g_rand_int_range(random, 0, 8);
        GError *err = NULL;
        if (!machine_load(f->b.m, saved->data, saved->len, &err))
            machine_reset(f->b.m);
        g_clear_error(&err);
        g_byte_array_unref(saved);
    }
    g_rand_free(random);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST_AT(name, function, speeds)                                                                                \
    g_test_add("/usb/" name, Fixture, GUINT_TO_POINTER(speeds), fixture_up, function, fixture_down)
#define TEST(name, function) TEST_AT(name, function, USB_SPEEDS_2)
    TEST("descriptors", test_descriptors);
    TEST("strings", test_strings);
    TEST_AT("super-speed", test_super_speed, USB_SPEED_SUPER | USB_SPEEDS_2);
    TEST("requests", test_requests);
    TEST("interfaces", test_interfaces);
    TEST("halt", test_halt);
    TEST("stages", test_stages);
    TEST("async", test_async);
    TEST("places", test_places);
    g_test_add_func("/usb/no-bus", test_no_bus);
    TEST("keyboard", test_keyboard);
    TEST("many-keys", test_many_keys);
    TEST("keyboard-requests", test_keyboard_requests);
    TEST("mouse", test_mouse);
    TEST("moves", test_moves);
    TEST("tablet", test_tablet);
    TEST("wakeup", test_wakeup);
    TEST("save", test_save);
    TEST("random", test_random);
    return g_test_run();
}
