/*
 * What the files of the UHCI controller share (sections are of the UHCI Design Guide 1.1).
 *
 * The guest's list of frames is walked once for each millisecond.  While transfers come to an end, a timer does so at
 * each frame; when all devices say NAK, only each IDLE_FRAMES frames, and the frames in between are then walked
 * together.  A device that becomes ready, and a guest that reads the frame's number, have what is due walked at once.
 */
#ifndef MYNA_HW_USB_UHCI_INTERNAL_H
#define MYNA_HW_USB_UHCI_INTERNAL_H

#include "core/clock.h"
#include "hw/pci/pci.h"
#include "hw/usb/uhci.h"
#include "hw/usb/usb_later.h"

enum { UHCI_PORTS = 2 };

typedef struct Uhci Uhci;

struct Uhci {
    PciDevice pci;
    Region *registers;
    UsbBus *bus;
    UsbPort port[UHCI_PORTS];
    Timer *timer;
    int64_t frame_at;        /* when the next frame begins */
    uint16_t command, status, enabled, frame, portsc[UHCI_PORTS];
    uint32_t frame_list;
    uint8_t sof;
    bool interrupt_done, interrupt_short; /* why USBINT is set */
    uint32_t quiet;          /* frames since a transfer came to an end */
    bool busy;               /* private: the schedule is being walked */
    UsbLaters later;
};

enum { UHCI_RUN = 0x01, UHCI_RESET = 0x02, UHCI_GLOBAL_RESET = 0x04, UHCI_GLOBAL_SUSPEND = 0x08 };
enum { UHCI_STS_INTERRUPT = 0x01, UHCI_STS_ERROR = 0x02, UHCI_STS_RESUME = 0x04, UHCI_STS_PROCESS_ERROR = 0x10,
       UHCI_STS_HALTED = 0x20 };
enum { UHCI_PORT_CONNECTED = 0x01, UHCI_PORT_CONNECT_CHANGE = 0x02, UHCI_PORT_ENABLED = 0x04,
       UHCI_PORT_ENABLE_CHANGE = 0x08, UHCI_PORT_RESUME = 0x40, UHCI_PORT_ONE = 0x80, UHCI_PORT_LOW_SPEED = 0x100,
       UHCI_PORT_RESET = 0x200, UHCI_PORT_SUSPEND = 0x1000 };

/* ---- uhci.c ---- */

void uhci_update_irq(Uhci *s);

/* ---- uhci_schedule.c ---- */

/* Walks the frames that have begun, and sets the timer for the next. */
void uhci_catch_up(Uhci *s);
void uhci_start(Uhci *s);
/* A device is done with a transfer (UsbLaters.ended). */
void uhci_ended(void *controller);

#endif
