/*
 * What the files of the EHCI controller share (sections are of EHCI 1.0).
 *
 * A timer walks both schedules of the guest.  While transfers come to an end it does so each millisecond, and only each
 * IDLE_FRAMES when all devices say NAK; a device that becomes ready, and a guest that reads FRINDEX, have them walked at
 * once.  There are no companion controllers: a device of full speed finds no place here.
 */
#ifndef MYNA_HW_USB_EHCI_INTERNAL_H
#define MYNA_HW_USB_EHCI_INTERNAL_H

#include "core/clock.h"
#include "hw/pci/pci.h"
#include "hw/usb/ehci.h"
#include "hw/usb/usb_later.h"

enum { EHCI_PORTS = 6 };

typedef struct Ehci Ehci;

struct Ehci {
    PciDevice pci;
    Region *registers;
    UsbBus *bus;
    UsbPort port[EHCI_PORTS];
    Timer *timer;
    int64_t frame_at;        /* when the next frame begins */
    uint32_t usbcmd, usbsts, usbintr, frindex, periodic_list, async_list, configflag, portsc[EHCI_PORTS];
    bool doorbell;           /* the guest wants to know when the asynchronous schedule has been left (4.8.2) */
    uint32_t quiet;          /* frames since a transfer came to an end */
    bool busy;               /* private: the schedules are being walked */
    UsbLaters later;
};

enum { EHCI_RUN = 1 << 0, EHCI_RESET = 1 << 1, EHCI_PERIODIC = 1 << 4, EHCI_ASYNC = 1 << 5, EHCI_DOORBELL = 1 << 6 };
enum { EHCI_STS_INTERRUPT = 1 << 0, EHCI_STS_ERROR = 1 << 1, EHCI_STS_PORT = 1 << 2, EHCI_STS_ROLLOVER = 1 << 3,
       EHCI_STS_FATAL = 1 << 4, EHCI_STS_ADVANCE = 1 << 5, EHCI_STS_HALTED = 1 << 12, EHCI_STS_RECLAMATION = 1 << 13,
       EHCI_STS_PERIODIC = 1 << 14, EHCI_STS_ASYNC = 1 << 15 };
enum { EHCI_PORT_ENABLED = 1 << 2 };

/* ---- ehci.c ---- */

void ehci_update_irq(Ehci *s);

/* ---- ehci_schedule.c ---- */

/* Walks the schedules for the frames that have begun, and sets the timer for the next. */
void ehci_catch_up(Ehci *s);
void ehci_start(Ehci *s);
/* A device is done with a transfer (UsbLaters.ended). */
void ehci_ended(void *controller);

#endif
