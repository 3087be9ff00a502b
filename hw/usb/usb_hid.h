/*
 * Keyboard, mouse and tablet (Device Class Definition for Human Interface Devices 1.11): the types, and what their
 * files share.
 */
#ifndef MYNA_HW_USB_HID_H
#define MYNA_HW_USB_HID_H

#include "core/clock.h"
#include "core/input.h"
#include "hw/usb/usb.h"

extern const DeviceType usb_kbd_type, usb_mouse_type, usb_tablet_type;

enum { HID_KEYBOARD, HID_MOUSE, HID_TABLET };
enum { HID_REPORT_MAX = 8, HID_KEYS = 256, HID_EVENTS = 128 };
enum { HID_BOOT_PROTOCOL = 0, HID_REPORT_PROTOCOL = 1 };

/* What a pointer did while its buttons were in one state. */
typedef struct HidMove {
    int32_t dx, dy, dz;      /* not yet reported */
    uint16_t x, y;           /* of a tablet */
    uint8_t buttons;
} HidMove;

typedef struct UsbHid {
    UsbDevice usb;
    unsigned kind;
    uint8_t protocol, idle, leds;
    bool due;                /* the idle time is over: a report without news */
    Timer *idle_timer;
    /* Keyboards: keys that the user holds, and those that the guest knows of; presses and releases on their way. */
    uint8_t held[HID_KEYS / 8], known[HID_KEYS / 8];
    uint16_t key[HID_EVENTS]; /* usage, with KEY_DOWN */
    /* Pointers: steps on their way, the newest of which grows; what the last report said. */
    HidMove move[HID_EVENTS], last;
    uint32_t first, count;   /* in key[] or move[] */
} UsbHid;

/* ---- usb_hid_desc.c ---- */

extern const UsbDesc hid_descs[];          /* by kind */
const uint8_t *hid_report_desc(unsigned kind, unsigned *size);
const uint8_t *hid_class_desc(unsigned kind, unsigned *size);

/* ---- usb_hid_events.c ---- */

extern const InputSink hid_sinks[];        /* by kind; opaque is the UsbHid */
bool hid_has_news(const UsbHid *s);
/* The next report, which takes the oldest event off; returns its size. */
unsigned hid_report(UsbHid *s, uint8_t out[HID_REPORT_MAX]);
/* As if nothing were held, moved or waiting. */
void hid_forget(UsbHid *s);
extern const StateField hid_move_state[];

#endif
