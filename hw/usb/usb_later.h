/*
 * Transfers that devices take their time for (USB_ASYNC), at controllers that walk the guest's schedule again and again
 * (UHCI, EHCI): each descriptor has a packet of its own while its device is at it.
 */
#ifndef MYNA_HW_USB_USB_LATER_H
#define MYNA_HW_USB_USB_LATER_H

#include "hw/usb/usb.h"

enum { USB_LATER = 16 };

typedef struct UsbLater {
    uint32_t td, token;      /* its descriptor, and that one's token as it was then; td 0: free */
    unsigned unseen;         /* walks since the schedule last led to it */
    UsbPacket packet;
} UsbLater;

typedef struct UsbLaters {
    UsbLater slot[USB_LATER];
    void (*ended)(void *controller); /* a device is done with one */
    void *controller;
} UsbLaters;

void usb_laters_init(UsbLaters *l, AddressSpace *memory, void (*ended)(void *controller), void *controller);
void usb_laters_clear(UsbLaters *l);

/* Takes back what devices still have. */
void usb_laters_cancel(UsbLaters *l);
/* A walk has ended: what the guest has taken away, or used for something else, is nobody's any more. */
void usb_laters_age(UsbLaters *l);

/* The descriptor's packet, if it has one and its token is the same; NULL: it needs a new one. */
UsbLater *usb_later_find(UsbLaters *l, uint32_t td, uint32_t token);
/* One to be filled and handed to a device; NULL: none is free, the guest's schedule has to ask again. */
UsbLater *usb_later_new(UsbLaters *l, uint32_t td, uint32_t token);
/* USB_ASYNC: it is under way.  Otherwise the outcome, and it is free again. */
UsbStatus usb_later_result(UsbLater *later, uint32_t *actual);

#endif
