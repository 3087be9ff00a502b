/*
 * What the files of the xHCI controller share (sections are of xHCI 1.1).
 *
 * All work is done by xhci_work(): commands, events of ports, transfers of the endpoints that are `pending`.  Whatever
 * may give it something to do (a doorbell, a device that is ready, room in an event ring) notes that and calls it; from
 * within itself that is only noted.  So nothing nests, and a guest's rings, which may be endless, are left after so many steps
 * for a timer to go on.
 *
 * Nothing is lost when an event ring is full: what would make an event waits until the guest has made room (4.9.4).
 */
#ifndef MYNA_HW_USB_XHCI_INTERNAL_H
#define MYNA_HW_USB_XHCI_INTERNAL_H

#include "core/clock.h"
#include "hw/pci/pci_msi.h"
#include "hw/usb/usb.h"
#include "hw/usb/xhci.h"

enum { XHCI_SLOTS = 32, XHCI_ENDPOINTS = 32 /* by device context index, 1..31 */, XHCI_INTERRUPTERS = 8,
       XHCI_SEGMENTS = 16, XHCI_PORTS_EACH = 15, XHCI_TD_MAX = 4096 /* TRBs */ };

/* ---- transfer request blocks (6.4) ---- */

enum { TRB_SIZE = 16, TRB_CYCLE = 1 << 0, TRB_TOGGLE = 1 << 1 /* Link */, TRB_EVENT_DATA = 1 << 2 /* Transfer Event */,
       TRB_ISP = 1 << 2, TRB_CHAIN = 1 << 4, TRB_IOC = 1 << 5, TRB_IMMEDIATE = 1 << 6, TRB_BLOCK_INTERRUPT = 1 << 9,
       TRB_DIRECTION_IN = 1 << 16 };
enum { TRB_NORMAL = 1, TRB_SETUP, TRB_DATA, TRB_STATUS, TRB_ISOCH, TRB_LINK, TRB_DATA_OF_EVENT, TRB_NO_OP,
       TRB_ENABLE_SLOT, TRB_DISABLE_SLOT, TRB_ADDRESS_DEVICE, TRB_CONFIGURE_ENDPOINT, TRB_EVALUATE_CONTEXT,
       TRB_RESET_ENDPOINT, TRB_STOP_ENDPOINT, TRB_SET_DEQUEUE, TRB_RESET_DEVICE, TRB_FORCE_EVENT,
       TRB_NEGOTIATE_BANDWIDTH,
       TRB_SET_LATENCY, TRB_PORT_BANDWIDTH, TRB_FORCE_HEADER, TRB_NO_OP_COMMAND,
       TRB_TRANSFER_EVENT = 32, TRB_COMMAND_EVENT, TRB_PORT_EVENT, TRB_HOST_EVENT = 37,
       TRB_NEC_REPLY = 48, TRB_NEC_FIRMWARE };
enum { CC_SUCCESS = 1, CC_BABBLE = 3, CC_TRANSACTION = 4, CC_TRB = 5, CC_STALL = 6, CC_NO_SLOTS = 9, CC_NO_SLOT = 11,
       CC_NO_ENDPOINT = 12, CC_SHORT = 13, CC_PARAMETER = 17, CC_CONTEXT = 19, CC_EVENTS_FULL = 21,
       CC_RING_STOPPED = 24, CC_STOPPED = 26 };

typedef struct Trb {
    uint64_t address, parameter;
    uint32_t status, control;
} Trb;

static inline unsigned trb_type(const Trb *t) { return t->control >> 10 & 0x3f; }
static inline uint32_t trb_length(const Trb *t) { return t->status & 0x1ffff; }
static inline unsigned trb_interrupter(const Trb *t) { return t->status >> 22; }

/* A transfer or command ring: where the next block is, and the cycle bit that it has when it is there. */
typedef struct XhciRing {
    uint64_t dequeue;
    bool cycle;
} XhciRing;

/* ---- endpoints and slots ---- */

enum { EP_DISABLED, EP_RUNNING, EP_HALTED, EP_STOPPED, EP_ERROR };                      /* 6.2.3 */
enum { EP_ISOCH_OUT = 1, EP_BULK_OUT, EP_INTERRUPT_OUT, EP_CONTROL, EP_ISOCH_IN, EP_BULK_IN, EP_INTERRUPT_IN };
enum { SLOT_ENABLED, SLOT_DEFAULT, SLOT_ADDRESSED, SLOT_CONFIGURED };                    /* 6.2.2 */

typedef struct Xhci Xhci;

typedef struct XhciEndpoint {
    uint8_t state, type, interval;   /* interval: 2^n * 125 us */
    XhciRing ring;
    bool waiting;                    /* the device has given NAK to the transfer at the ring's place, or is at it */
    bool finished;                   /* it came to an end that has not been reported: */
    uint8_t status;                  /* UsbStatus */
    uint32_t actual;
    int64_t due;                     /* interrupt and isochronous: not before */
    UsbPacket *packet;               /* made when first needed */
} XhciEndpoint;

typedef struct XhciSlot {
    bool enabled;
    uint8_t state;
    uint8_t port;                    /* 1.. ports; 0: not yet addressed */
    uint32_t route;
    uint64_t context;                /* the output device context */
    uint32_t pending;                /* endpoints to be looked at, a bit each */
    XhciEndpoint ep[XHCI_ENDPOINTS];
} XhciSlot;

typedef struct XhciInterrupter {
    uint32_t iman, imod, erstsz;
    uint64_t erstba, erdp;
    uint64_t base[XHCI_SEGMENTS];    /* of the event ring's segments */
    uint32_t size[XHCI_SEGMENTS];    /* blocks */
    uint32_t segments, segment, at;  /* how many; where the next event goes */
    bool cycle, due, full;           /* an interrupt is due; the guest has been told that the ring is full */
} XhciInterrupter;

typedef struct XhciPort {
    uint32_t portsc, portpmsc;
    bool event;                      /* a change that there was no room for */
} XhciPort;

struct Xhci {
    PciDevice pci;
    Msix msix;
    Region *registers;
    UsbBus *bus;
    UsbPort connector[XHCI_PORTS_EACH]; /* each leads to a USB 2 port and a USB 3 port */
    Timer *timer;                    /* goes on with what was left */
    uint32_t usb2_ports, usb3_ports; /* properties; USB 2 ports come first */
    uint32_t usbcmd, usbsts, dnctrl, config;
    uint64_t dcbaap;
    XhciRing commands;
    bool command_running;
    bool saved;                      /* USBCMD.CSS was written since the last reset */
    bool busy, again;                /* private to xhci_work() and registers: not to be entered; was to be */
    XhciPort port[2 * XHCI_PORTS_EACH];
    XhciInterrupter interrupter[XHCI_INTERRUPTERS];
    XhciSlot slot[XHCI_SLOTS + 1];   /* from 1 */
    Trb *td;                         /* XHCI_TD_MAX: the transfer descriptor that is worked on */
};

enum { CMD_RUN = 1 << 0, CMD_RESET = 1 << 1, CMD_INTERRUPTS = 1 << 2, CMD_SAVE = 1 << 8, CMD_RESTORE = 1 << 9 };
enum { STS_HALTED = 1 << 0, STS_EVENT = 1 << 3, STS_PORT = 1 << 4, STS_RESTORE_ERROR = 1 << 10 };

static inline bool xhci_runs(const Xhci *x) { return !(x->usbsts & STS_HALTED); }
static inline unsigned xhci_ports(const Xhci *x) { return x->usb2_ports + x->usb3_ports; }

/* ---- xhci.c ---- */

void xhci_work(Xhci *x);
void xhci_continue_at(Xhci *x, int64_t ns); /* calls xhci_work() then, if not before */
int64_t xhci_now(const Xhci *x);

/* ---- xhci_event.c ---- */

/* Room for n events of the interrupter, or as many as its ring has at all; a full ring is told of once. */
bool xhci_event_room(Xhci *x, unsigned n, unsigned interrupter);
void xhci_event(Xhci *x, unsigned interrupter, uint64_t parameter, uint32_t status, uint32_t control);
void xhci_update_interrupts(Xhci *x);
uint32_t xhci_interrupter_read(const Xhci *x, unsigned n, unsigned offset);
void xhci_interrupter_write(Xhci *x, unsigned n, unsigned offset, uint32_t v);
bool xhci_interrupter_sane(const XhciInterrupter *i);

/* ---- xhci_port.c ---- */

extern const UsbPortOps xhci_port_ops;
void xhci_ports_reset(Xhci *x);
uint32_t xhci_port_read(const Xhci *x, unsigned n, unsigned offset);
void xhci_port_write(Xhci *x, unsigned n, unsigned offset, uint32_t v);
void xhci_ports_started(Xhci *x);           /* changes so far become events */
bool xhci_ports_report(Xhci *x);            /* true: one was reported */
UsbDevice *xhci_slot_device(Xhci *x, const XhciSlot *s);

/* ---- xhci_command.c ---- */

bool xhci_command_step(Xhci *x);            /* carries one out; false: there is none, or no room for its event */
void xhci_command_ring_stop(Xhci *x);       /* with the event that says so */

/* ---- xhci_context.c: the guest's contexts (6.2), and slots made of them ---- */

unsigned xhci_address_device(Xhci *x, unsigned id, uint64_t input, bool block_request);
unsigned xhci_configure_endpoint(Xhci *x, unsigned id, uint64_t input, bool deconfigure);
unsigned xhci_evaluate_context(Xhci *x, unsigned id, uint64_t input);
unsigned xhci_reset_device(Xhci *x, unsigned id);
void xhci_slot_disable(Xhci *x, unsigned id);
/* State and place of an endpoint, into its output context. */
void xhci_endpoint_set(Xhci *x, unsigned id, unsigned dci, unsigned state);
/* What is under way is given up. */
void xhci_endpoint_cancel(XhciEndpoint *e);

/* ---- xhci_transfer.c ---- */

typedef enum XhciStep { XHCI_IDLE, XHCI_BLOCKED, XHCI_DONE } XhciStep;
bool xhci_trb_fetch(Xhci *x, XhciRing *r, Trb *t);
XhciStep xhci_endpoint_step(Xhci *x, unsigned id, unsigned dci);
void xhci_endpoint_stopped_event(Xhci *x, unsigned id, unsigned dci);

#endif
