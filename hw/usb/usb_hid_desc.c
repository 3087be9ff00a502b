/* What keyboard, mouse and tablet say of themselves (HID 1.11, 6.2; appendices B and E). */
#include "hw/usb/usb_hid.h"
#include "util/bits.h"

/* ---- report descriptors (6.2.2) ---- */

static const uint8_t keyboard_report[] = {
    0x05, 0x01, 0x09, 0x06,             /* usage page generic desktop, usage keyboard */
    0xa1, 0x01,                         /* collection: application */
    0x75, 0x01, 0x95, 0x08,             /*  8 fields of 1 bit */
    0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, /*  usage page keys, usages left control to right GUI */
    0x15, 0x00, 0x25, 0x01,             /*  0 .. 1 */
    0x81, 0x02,                         /*  input: data, variable, absolute */
    0x95, 0x01, 0x75, 0x08, 0x81, 0x01, /*  input: a byte, constant */
    0x95, 0x05, 0x75, 0x01,             /*  5 fields of 1 bit */
    0x05, 0x08, 0x19, 0x01, 0x29, 0x05, /*  usage page LEDs, num lock to kana */
    0x91, 0x02,                         /*  output: data, variable, absolute */
    0x95, 0x01, 0x75, 0x03, 0x91, 0x01, /*  output: 3 bits, constant */
    0x95, 0x06, 0x75, 0x08,             /*  6 fields of 8 bits */
    0x15, 0x00, 0x26, 0xff, 0x00,       /*  0 .. 255 */
    0x05, 0x07, 0x19, 0x00, 0x2a, 0xff, 0x00, /* usage page keys, all usages */
    0x81, 0x00,                         /*  input: data, array */
    0xc0,
};

/* Buttons and wheel of both pointers. */
#define FIVE_BUTTONS                                                                                                   \
    0x05, 0x09, 0x19, 0x01, 0x29, 0x05, /* usage page buttons, 1 to 5 */                                               \
    0x15, 0x00, 0x25, 0x01, 0x95, 0x05, 0x75, 0x01, 0x81, 0x02, /* 5 fields of 1 bit */                                \
    0x95, 0x01, 0x75, 0x03, 0x81, 0x01  /* 3 bits, constant */
#define WHEEL                                                                                                          \
    0x09, 0x38, 0x15, 0x81, 0x25, 0x7f, 0x35, 0x00, 0x45, 0x00, /* usage wheel, -127 .. 127, no physical range */      \
    0x75, 0x08, 0x95, 0x01, 0x81, 0x06  /* input: data, variable, relative */

static const uint8_t mouse_report[] = {
    0x05, 0x01, 0x09, 0x02,             /* usage page generic desktop, usage mouse */
    0xa1, 0x01, 0x09, 0x01, 0xa1, 0x00, /* collections: application, pointer */
    FIVE_BUTTONS,
    0x05, 0x01, 0x09, 0x30, 0x09, 0x31, /*  X, Y */
    0x15, 0x81, 0x25, 0x7f,             /*  -127 .. 127 */
    0x75, 0x08, 0x95, 0x02, 0x81, 0x06, /*  input: data, variable, relative */
    WHEEL,
    0xc0, 0xc0,
};

static const uint8_t tablet_report[] = {
    0x05, 0x01, 0x09, 0x02,             /* usage page generic desktop, usage mouse: Windows moves its pointer by it */
    0xa1, 0x01, 0x09, 0x01, 0xa1, 0x00, /* collections: application, pointer */
    FIVE_BUTTONS,
    0x05, 0x01, 0x09, 0x30, 0x09, 0x31, /*  X, Y */
    0x15, 0x00, 0x26, 0xff, 0x7f,       /*  0 .. 7FFFh */
    0x35, 0x00, 0x46, 0xff, 0x7f,       /*  the same physically */
    0x75, 0x10, 0x95, 0x02, 0x81, 0x02, /*  input: data, variable, absolute */
    WHEEL,
    0xc0, 0xc0,
};

/* ---- class descriptors (6.2.1) ---- */

enum { DESC_HID = 0x21, DESC_REPORT = 0x22 };
#define CLASS_DESC(report) { 9, DESC_HID, 0x11, 0x01, 0, 1, DESC_REPORT, sizeof report & 0xff, sizeof report >> 8 }

static const uint8_t keyboard_class[] = CLASS_DESC(keyboard_report);
static const uint8_t mouse_class[] = CLASS_DESC(mouse_report);
static const uint8_t tablet_class[] = CLASS_DESC(tablet_report);

static const struct {
    const uint8_t *report, *class_desc;
    unsigned report_size;
} own[] = {
    [HID_KEYBOARD] = { keyboard_report, keyboard_class, sizeof keyboard_report },
    [HID_MOUSE] = { mouse_report, mouse_class, sizeof mouse_report },
    [HID_TABLET] = { tablet_report, tablet_class, sizeof tablet_report },
};

const uint8_t *hid_report_desc(unsigned kind, unsigned *size)
{
    *size = own[kind].report_size;
    return own[kind].report;
}

const uint8_t *hid_class_desc(unsigned kind, unsigned *size)
{
    *size = sizeof keyboard_class;
    return own[kind].class_desc;
}

/* ---- standard descriptors ---- */

enum { CLASS_HID = 3, SUBCLASS_BOOT = 1, PROTOCOL_KEYBOARD = 1, PROTOCOL_MOUSE = 2 };
enum { BUS_POWERED_WAKES = 0xa0, MILLIAMPERES = 100 };

/*
 * Full speed asks every 10 ms, or 4 for the tablet; high speed, where the interval is a power of 2 of microframes,
 * every 8 ms, or 1.
 */
#define ENDPOINT(bytes, every) { .address = 0x81, .attributes = USB_INTERRUPT, .max_packet = bytes, .interval = every }
#define INTERFACE(kind, sub, proto, ends)                                                                              \
    { .interface_class = CLASS_HID, .subclass = sub, .protocol = proto, .endpoints = ends, .endpoint_count = 1,        \
      .extra = kind##_class, .extra_size = sizeof kind##_class }
#define CONFIGURATION(i)                                                                                               \
    { .value = 1, .attributes = BUS_POWERED_WAKES, .milliamperes = MILLIAMPERES, .interfaces = i, .interface_count = 1 }
#define SPEED(c, packet0) { .version = 0x0200, .max_packet0 = packet0, .configurations = c, .configuration_count = 1 }

#define HID_SPEEDS(kind, sub, proto, bytes, full_interval, high_interval)                                              \
    static const UsbEndpointDesc kind##_full_endpoint = ENDPOINT(bytes, full_interval);                                \
    static const UsbEndpointDesc kind##_high_endpoint = ENDPOINT(bytes, high_interval);                                \
    static const UsbInterfaceDesc kind##_full_interface = INTERFACE(kind, sub, proto, &kind##_full_endpoint);          \
    static const UsbInterfaceDesc kind##_high_interface = INTERFACE(kind, sub, proto, &kind##_high_endpoint);          \
    static const UsbConfigurationDesc kind##_full_configuration = CONFIGURATION(&kind##_full_interface);               \
    static const UsbConfigurationDesc kind##_high_configuration = CONFIGURATION(&kind##_high_interface);               \
    static const UsbSpeedDesc kind##_full = SPEED(&kind##_full_configuration, 8);                                      \
    static const UsbSpeedDesc kind##_high = SPEED(&kind##_high_configuration, 64)

HID_SPEEDS(keyboard, SUBCLASS_BOOT, PROTOCOL_KEYBOARD, 8, 10, 7);
HID_SPEEDS(mouse, SUBCLASS_BOOT, PROTOCOL_MOUSE, 4, 10, 7);
HID_SPEEDS(tablet, 0, 0, 8, 4, 4);

static const char *const keyboard_strings[] = { "", "Myna", "USB Keyboard", "1", NULL };
static const char *const mouse_strings[] = { "", "Myna", "USB Mouse", "1", NULL };
static const char *const tablet_strings[] = { "", "Myna", "USB Tablet", "1", NULL };

/* The numbers are QEMU's: guests have rules for them (systemd's 60-autosuspend lets them sleep). */
#define HID_DESC(kind)                                                                                                 \
    { .vendor = 0x0627, .product = 0x0001, .strings = kind##_strings,                                                  \
      .speeds = { [USB_FULL] = &kind##_full, [USB_HIGH] = &kind##_high } }

const UsbDesc hid_descs[] = {
    [HID_KEYBOARD] = HID_DESC(keyboard), [HID_MOUSE] = HID_DESC(mouse), [HID_TABLET] = HID_DESC(tablet),
};
