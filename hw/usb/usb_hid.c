/* Keyboard, mouse and tablet as USB devices: requests and life (HID 1.11, 7). */
#include "hw/usb/usb_hid.h"

#include <string.h>

#include "core/error.h"
#include "core/machine.h"
#include "util/bits.h"

enum { GET_REPORT = 1, GET_IDLE, GET_PROTOCOL, SET_REPORT = 9, SET_IDLE, SET_PROTOCOL, GET_DESCRIPTOR = 6 };
enum { REPORT_INPUT = 1, REPORT_OUTPUT = 2, DESC_HID = 0x21, DESC_REPORT = 0x22, STALL = -1 };
enum { CLASS_IN = 0xa1, CLASS_OUT = 0x21, STANDARD_IN = 0x81, ENDPOINT_IN = 0x81 };
enum { IDLE_UNIT = 4 * 1000 * 1000 /* ns (7.2.4) */ };

/* ---- requests ---- */

static void idle_start(UsbHid *s)
{
    if (s->idle && s->usb.configuration)
        timer_arm(s->idle_timer, clock_now(s->usb.dev.machine->clocks, MYNA_CLOCK_VIRTUAL) + s->idle * IDLE_UNIT);
    else
        timer_cancel(s->idle_timer);
}

static void idle_over(void *opaque)
{
    UsbHid *s = opaque;
    s->due = true;
    idle_start(s);
    usb_ready(&s->usb, ENDPOINT_IN);
}

static void show_leds(UsbHid *s)
{
    unsigned leds = (s->leds & 1 ? INPUT_NUM_LOCK : 0) | (s->leds & 2 ? INPUT_CAPS_LOCK : 0) |
                    (s->leds & 4 ? INPUT_SCROLL_LOCK : 0);
    input_set_leds(s->usb.dev.machine, s, leds);
}

static int set_report(UsbHid *s, const UsbRequest *r, const uint8_t *data)
{
    if (s->kind != HID_KEYBOARD || r->value >> 8 != REPORT_OUTPUT || !r->length)
        return STALL;
    s->leds = data[0] & 0x1f;
    show_leds(s);
    return 0;
}

static int get_report(UsbHid *s, const UsbRequest *r, uint8_t *data)
{
    if (r->value >> 8 == REPORT_OUTPUT && s->kind == HID_KEYBOARD) {
        data[0] = s->leds;
        return 1;
    }
    return r->value >> 8 == REPORT_INPUT ? (int)hid_report(s, data) : STALL;
}

static int set_idle(UsbHid *s, const UsbRequest *r)
{
    if (r->value & 0xff)
        return STALL; /* of a report by number, which there are not */
    s->idle = r->value >> 8;
    idle_start(s);
    return 0;
}

/* Only of boot devices (7.2.5, 7.2.6). */
static int set_protocol(UsbHid *s, const UsbRequest *r)
{
    if (s->kind == HID_TABLET || r->value > HID_REPORT_PROTOCOL)
        return STALL;
    s->protocol = r->value;
    return 0;
}

static int get_protocol(const UsbHid *s, uint8_t *data)
{
    if (s->kind == HID_TABLET)
        return STALL;
    data[0] = s->protocol;
    return 1;
}

static int get_descriptor(const UsbHid *s, const UsbRequest *r, uint8_t *data)
{
    unsigned size;
    const uint8_t *from;
    switch (r->value >> 8) {
    case DESC_HID: from = hid_class_desc(s->kind, &size); break;
    case DESC_REPORT: from = hid_report_desc(s->kind, &size); break;
    default: return STALL;
    }
    memcpy(data, from, size);
    return size;
}

static int hid_control(UsbDevice *d, const UsbRequest *r, uint8_t *data)
{
    UsbHid *s = (UsbHid *)d;
    if (r->index || !d->configuration)
        return STALL;
    switch (r->type << 8 | r->request) {
    case STANDARD_IN << 8 | GET_DESCRIPTOR: return get_descriptor(s, r, data);
    case CLASS_IN << 8 | GET_REPORT: return get_report(s, r, data);
    case CLASS_IN << 8 | GET_IDLE: data[0] = s->idle; return 1;
    case CLASS_IN << 8 | GET_PROTOCOL: return get_protocol(s, data);
    case CLASS_OUT << 8 | SET_REPORT: return set_report(s, r, data);
    case CLASS_OUT << 8 | SET_IDLE: return set_idle(s, r);
    case CLASS_OUT << 8 | SET_PROTOCOL: return set_protocol(s, r);
    default: return STALL;
    }
}

/* Who asks for less than a report gets its beginning: old drivers know of three bytes of a mouse. */
static void hid_transfer(UsbDevice *d, UsbPacket *p)
{
    UsbHid *s = (UsbHid *)d;
    uint8_t report[HID_REPORT_MAX];
    if (!hid_has_news(s)) {
        p->status = USB_NAK;
        return;
    }
    usb_packet_put(p, report, hid_report(s, report));
    idle_start(s);
}

/* ---- life ---- */

static void use(UsbHid *s)
{
    input_activate(s->usb.dev.machine, s, s->usb.configuration);
}

static void hid_configured(UsbDevice *d)
{
    UsbHid *s = (UsbHid *)d;
    use(s);
    hid_forget(s);
    s->protocol = HID_REPORT_PROTOCOL;
    idle_start(s);
}

static void hid_bus_reset(UsbDevice *d)
{
    UsbHid *s = (UsbHid *)d;
    hid_forget(s);
    s->protocol = HID_REPORT_PROTOCOL;
    s->idle = s->leds = 0;
    idle_start(s);
    show_leds(s);
}

#define HID_TYPE(k)                                                                                                    \
    { .desc = &hid_descs[k], .control = hid_control, .transfer = hid_transfer, .reset = hid_bus_reset,                 \
      .configured = hid_configured }
static const UsbType hid_types[] = {
    [HID_KEYBOARD] = HID_TYPE(HID_KEYBOARD), [HID_MOUSE] = HID_TYPE(HID_MOUSE), [HID_TABLET] = HID_TYPE(HID_TABLET),
};

static unsigned kind_of(const Device *dev)
{
    return dev->type == &usb_kbd_type ? HID_KEYBOARD : dev->type == &usb_mouse_type ? HID_MOUSE : HID_TABLET;
}

static gboolean hid_create(Device *dev, GError **err)
{
    UsbHid *s = (UsbHid *)dev;
    s->kind = kind_of(dev);
    s->idle_timer = timer_new(dev->machine->clocks, MYNA_CLOCK_VIRTUAL, idle_over, s);
    input_add(dev->machine, &hid_sinks[s->kind], s, false);
    if (usb_device_init(&s->usb, &hid_types[s->kind], err))
        return TRUE;
    input_remove(dev->machine, s);
    timer_free(s->idle_timer);
    return FALSE;
}

static void hid_reset(Device *dev) { usb_device_reset(&((UsbHid *)dev)->usb); }

static void hid_destroy(Device *dev)
{
    UsbHid *s = (UsbHid *)dev;
    usb_device_exit(&s->usb);
    input_remove(dev->machine, s);
    timer_free(s->idle_timer);
}

static gboolean hid_post_load(Device *dev, GError **err)
{
    UsbHid *s = (UsbHid *)dev;
    if (s->protocol > HID_REPORT_PROTOCOL || s->first >= HID_EVENTS || s->count > HID_EVENTS)
        return error_set(err, "%s: the saved state has a protocol or events that cannot be", dev->id);
    if (!usb_device_post_load(&s->usb, err))
        return FALSE;
    use(s);
    show_leds(s);
    return TRUE;
}

static const Property hid_properties[] = {
    USB_PROPERTIES(UsbHid),
    PROPERTY(UsbHid, usb.serial, "serial", PROP_STRING, 0, "serial number"),
    PROPERTY_END
};

static const StateField keyboard_state[] = {
    STATE_STRUCT(UsbHid, usb, usb_device_state), STATE_U8(UsbHid, protocol), STATE_U8(UsbHid, idle),
    STATE_U8(UsbHid, leds), STATE_BOOL(UsbHid, due), STATE_TIMER(UsbHid, idle_timer), STATE_BYTES(UsbHid, held),
    STATE_BYTES(UsbHid, known), STATE_ARRAY_U16(UsbHid, key), STATE_U32(UsbHid, first), STATE_U32(UsbHid, count),
    STATE_END
};

static const StateField pointer_state[] = {
    STATE_STRUCT(UsbHid, usb, usb_device_state), STATE_U8(UsbHid, protocol), STATE_U8(UsbHid, idle),
    STATE_BOOL(UsbHid, due), STATE_TIMER(UsbHid, idle_timer), STATE_STRUCT_ARRAY(UsbHid, move, hid_move_state),
    STATE_STRUCT(UsbHid, last, hid_move_state), STATE_U32(UsbHid, first), STATE_U32(UsbHid, count), STATE_END
};

#define HID_DEVICE(n, what, fields)                                                                                    \
    { .name = n, .description = what, .bus = "usb", .size = sizeof(UsbHid), .user = true,                              \
      .properties = hid_properties, .create = hid_create, .reset = hid_reset, .destroy = hid_destroy,                  \
      .state = fields, .post_load = hid_post_load }

const DeviceType usb_kbd_type = HID_DEVICE("usb-kbd", "USB keyboard", keyboard_state);
const DeviceType usb_mouse_type = HID_DEVICE("usb-mouse", "USB mouse with wheel and five buttons", pointer_state);
const DeviceType usb_tablet_type = HID_DEVICE("usb-tablet", "USB tablet: a pointer of positions", pointer_state);
