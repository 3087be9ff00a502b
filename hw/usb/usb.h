/*
 * USB: what host controllers, hubs and devices are to each other (Universal Serial Bus Specification 2.0; 3.2 for
 * SuperSpeed).
 *
 * A controller makes a UsbBus and adds its ports; a device (a UsbDevice embedded in a Device, DeviceType.bus "usb")
 * goes into one when it is created.  The controller hands transfers to a device as UsbPackets by usb_submit().  The
 * device answers at once (with data, NAK, STALL), or takes the packet and answers later by usb_complete().
 *
 * What waits for something that the user or the world outside does (a key, a frame) answers NAK and calls
 * usb_ready() when there is something: the controller then asks again.  So nothing is polled, and a NAK leaves
 * nothing behind that would have to be saved.  A packet may be taken (USB_ASYNC) only for work that ends by itself,
 * as transfers of a disk do: Machine.settle, or the device's pre_save(), brings it to its end before the machine is
 * saved.  A saved machine has no packets, only places in rings and queues (controller) and in control transfers
 * (usb_device_state).
 *
 * Requests of chapter 9 are served from descriptor tables (usb_desc.c); a device's functions see what is left: its
 * class's requests, and transfers on endpoints other than 0 that are in the current configuration and not halted.
 *
 * All under the machine lock.
 */
#ifndef MYNA_HW_USB_H
#define MYNA_HW_USB_H

#include "core/device.h"
#include "core/dma.h"

typedef struct UsbBus UsbBus;
typedef struct UsbPort UsbPort;
typedef struct UsbDevice UsbDevice;
typedef struct UsbPacket UsbPacket;

/* ---- packets ---- */

typedef enum UsbPid { USB_SETUP = 0x2d, USB_IN = 0x69, USB_OUT = 0xe1 } UsbPid; /* 2.0, table 8-1 */

typedef enum UsbStatus {
    USB_OK,       /* all data moved, or an IN ended short: `actual` bytes */
    USB_NAK,      /* nothing moved; the device says usb_ready() when it is worth asking again */
    USB_STALL,
    USB_BABBLE,   /* the device had more than there was room for */
    USB_ERROR,    /* no answer: no such device or endpoint, or the device was unplugged */
    USB_ASYNC,    /* the device has the packet; `done` is called when it is finished */
} UsbStatus;

enum { USB_SETUP_SIZE = 8, USB_TRANSFER_MAX = 16 << 20 /* bytes of a packet */ };

/*
 * One transaction, or as many of one endpoint as the controller wants done at once (a transfer descriptor): IN ends
 * when `data` is full or the device sends a short packet.
 */
struct UsbPacket {
    /* by the controller, which owns it; not to be touched while status is USB_ASYNC */
    UsbPid pid;
    uint8_t endpoint;               /* number, 0..15 */
    uint32_t stream;                /* of a bulk endpoint with streams; else 0 */
    uint8_t setup[USB_SETUP_SIZE];  /* USB_SETUP: the data of it */
    DmaList data;                   /* IN (to_memory), OUT: in the guest's memory; may be empty */
    void (*done)(UsbPacket *p);     /* for USB_ASYNC; never called from within usb_submit() or usb_cancel() */
    void *opaque;
    /* the outcome, by the device */
    UsbStatus status;
    uint32_t actual;                /* bytes moved */
    /* private to hw/usb */
    UsbDevice *device;
    GList link;
    bool taken;                     /* in the device's list */
};

/* An empty packet for that memory; usb_packet_clear() frees what it comes to hold. */
void usb_packet_init(UsbPacket *p, AddressSpace *memory, void (*done)(UsbPacket *p), void *opaque);
/* For the next transfer: no data, which dma_add(&p->data, ...) then gives it. */
void usb_packet_setup(UsbPacket *p, UsbPid pid, unsigned endpoint);
void usb_packet_clear(UsbPacket *p);

/* Bytes not yet moved. */
static inline uint64_t usb_packet_room(const UsbPacket *p) { return p->data.size - p->actual; }
/* For devices: moves bytes behind those moved before, as many as there is room for (IN) or are there (OUT). */
unsigned usb_packet_put(UsbPacket *p, const void *buf, unsigned size);
unsigned usb_packet_get(UsbPacket *p, void *buf, unsigned size);

/* ---- for controllers and hubs: ports ---- */

typedef enum UsbSpeed { USB_LOW, USB_FULL, USB_HIGH, USB_SUPER } UsbSpeed;
enum { USB_SPEED_LOW = 1 << USB_LOW, USB_SPEED_FULL = 1 << USB_FULL, USB_SPEED_HIGH = 1 << USB_HIGH,
       USB_SPEED_SUPER = 1 << USB_SUPER, USB_SPEEDS_2 = USB_SPEED_LOW | USB_SPEED_FULL | USB_SPEED_HIGH };

typedef struct UsbPortOps {
    void (*attached)(UsbPort *port);     /* port->device has been plugged in; port->speed says how fast it is */
    void (*detached)(UsbPort *port);     /* it has gone; its packets ended with USB_ERROR */
    /*
     * Root ports: a device at or behind this port has something for endpoint `address` (80h: IN), which gave NAK. 
     * Called at any time, also while the controller is in usb_submit() for the same endpoint.
     */
    void (*ready)(UsbPort *port, UsbDevice *d, uint8_t address);
    /* A device at or behind this port signals resume (2.0, 7.1.7.7): it does when the guest has allowed it. */
    void (*resume)(UsbPort *port);
} UsbPortOps;

struct UsbPort {
    UsbBus *bus;
    UsbDevice *hub;          /* whose port it is; NULL: the controller's */
    unsigned number;         /* from 1, as port= names it */
    unsigned speeds;         /* USB_SPEED_* */
    const UsbPortOps *ops;
    void *opaque;
    UsbDevice *device;       /* or NULL */
    UsbSpeed speed;          /* of the device */
    char *path;              /* "2", or "2.4" behind a hub */
};

/*
 * A bus named "ID.0" of the controller's id.  Its ports are memory of the controller or hub; adding sets all fields,
 * in the order in which devices without port= take them.
 */
UsbBus *usb_bus_new(Device *controller);
void usb_bus_free(UsbBus *bus);          /* devices that are still there are no longer plugged in */
void usb_port_add(UsbBus *bus, UsbPort *port, UsbDevice *hub, unsigned number, unsigned speeds, const UsbPortOps *ops,
                  void *opaque);
void usb_port_remove(UsbPort *port);     /* for hubs that are destroyed */
const char *usb_bus_name(const UsbBus *bus);

/* Reset signalling on the port (2.0, 7.1.7.5): the device is in its default state, address 0, not configured. */
void usb_port_reset(UsbPort *port);

/* The device of that address at the port or behind it in hubs (UHCI, EHCI); NULL: none. */
UsbDevice *usb_port_find(const UsbPort *port, unsigned address);
/* The device that a route string of xHCI leads to from a root port (3.2, 8.9: four bits for each hub); NULL: none. */
UsbDevice *usb_port_route(const UsbPort *port, uint32_t route);

/* ---- for controllers: transfers ---- */

/*
 * Hands a packet to a device (NULL: none answers) and returns its status.  With USB_ASYNC the packet is the device's
 * until `done` or usb_cancel().
 */
UsbStatus usb_submit(UsbDevice *d, UsbPacket *p);
/* Takes a packet back whose status is USB_ASYNC: its memory is not touched any more, `done` is not called. */
void usb_cancel(UsbPacket *p);

/* ---- descriptor tables (2.0, 9.6) ---- */

enum { USB_INTERFACES_MAX = 16, USB_CONTROL_MAX = 4096 /* bytes of a control transfer */ };
enum { USB_CONTROL = 0, USB_ISOCHRONOUS = 1, USB_BULK = 2, USB_INTERRUPT = 3 };

typedef struct UsbEndpointDesc {
    uint8_t address;            /* with 80h: IN */
    uint8_t attributes;         /* transfer type, and synchronisation and usage of isochronous ones */
    uint16_t max_packet;
    uint8_t interval;
    /* SuperSpeed's companion (3.2, 9.6.7) */
    uint8_t max_burst, companion_attributes;
    uint16_t bytes_per_interval;
    const uint8_t *extra;       /* class descriptors that follow, or NULL */
    unsigned extra_size;
} UsbEndpointDesc;

typedef struct UsbInterfaceDesc {
    uint8_t number, alternate, interface_class, subclass, protocol;
    uint8_t string;             /* index in UsbDesc.strings; 0: none */
    const UsbEndpointDesc *endpoints;
    unsigned endpoint_count;
    const uint8_t *extra;       /* class descriptors between interface and endpoints, or NULL */
    unsigned extra_size;
} UsbInterfaceDesc;

typedef struct UsbConfigurationDesc {
    uint8_t value;              /* of SET_CONFIGURATION; not 0 */
    uint8_t attributes;         /* 80h always; 40h: self-powered, 20h: may wake the host */
    uint16_t milliamperes;
    uint8_t string;
    const UsbInterfaceDesc *interfaces; /* alternates follow each other; groups (IADs) are not there yet */
    unsigned interface_count;
} UsbConfigurationDesc;

/* What a device is at one speed. */
typedef struct UsbSpeedDesc {
    uint16_t version;           /* bcdUSB */
    uint8_t device_class, subclass, protocol;
    uint16_t max_packet0;       /* bytes of endpoint 0; SuperSpeed: 512 */
    const UsbConfigurationDesc *configurations;
    unsigned configuration_count;
} UsbSpeedDesc;

enum { USB_STRING_MANUFACTURER = 1, USB_STRING_PRODUCT, USB_STRING_SERIAL, USB_STRINGS_OWN };

typedef struct UsbDesc {
    uint16_t vendor, product, release;
    const char *const *strings; /* UTF-8, by index: 0 unused, 1..3 as above, then the device's own; ended by NULL */
    const UsbSpeedDesc *speeds[USB_SUPER + 1]; /* NULL: it does not run at this speed */
} UsbDesc;

/* ---- devices ---- */

/* A control request (2.0, 9.3). */
typedef struct UsbRequest {
    uint8_t type, request;      /* bmRequestType, bRequest */
    uint16_t value, index, length;
} UsbRequest;

typedef struct UsbType {
    const UsbDesc *desc;
    /*
     * A request that chapter 9 does not define, or that is not for the device in general (GET_DESCRIPTOR of an
     * interface, say).  IN: puts at most USB_CONTROL_MAX bytes into data and returns how many; more than the
     * request's length are cut. OUT: data has r->length bytes; returns 0.  Less than 0: STALL.  NULL: knows none.
     */
    int (*control)(UsbDevice *d, const UsbRequest *r, uint8_t *data);
    /*
     * IN or OUT on an endpoint other than 0: moves data, and sets p->status if it is not USB_OK.  STALL halts the
     * endpoint.  A packet that became USB_ASYNC is ended by usb_complete() and may be taken back by cancel().
     */
    void (*transfer)(UsbDevice *d, UsbPacket *p);
    void (*cancel)(UsbDevice *d, UsbPacket *p);   /* NULL for devices that never leave a packet USB_ASYNC */
    void (*reset)(UsbDevice *d);                  /* bus reset, and each machine reset; NULL: nothing to do */
    /* d->configuration has changed (0: not configured), also by a reset; NULL: does not care. */
    void (*configured)(UsbDevice *d);
    void (*alternate_set)(UsbDevice *d, unsigned interface); /* d->alternate[interface] was set; may be NULL */
    void (*halt_cleared)(UsbDevice *d, uint8_t address);     /* CLEAR_FEATURE(ENDPOINT_HALT); may be NULL */
    UsbPort *(*hub_port)(UsbDevice *d, unsigned n);          /* hubs: the nth port from 1, or NULL; others: NULL */
} UsbType;

typedef enum UsbStage { USB_STAGE_IDLE, USB_STAGE_IN, USB_STAGE_OUT, USB_STAGE_STATUS, USB_STAGE_STALL } UsbStage;

struct UsbDevice {
    Device dev;
    const UsbType *type;
    UsbPort *port, *place;      /* where it is plugged in, or NULL; where it belongs */
    char *bus_name, *port_path; /* properties, or NULL */
    char *serial;               /* property of some; NULL: as desc says */
    uint8_t address, configuration;
    uint8_t alternate[USB_INTERFACES_MAX];
    uint32_t halted;            /* usb_halt_mask() of each endpoint that is */
    bool wakeup_allowed;        /* DEVICE_REMOTE_WAKEUP */
    bool suspended;             /* by the controller or hub that it is plugged into: usb_suspend() */
    /* the control transfer under way */
    uint8_t stage;              /* UsbStage */
    uint8_t setup[USB_SETUP_SIZE];
    uint32_t length, at;        /* bytes of the data stage; those moved */
    uint8_t data[USB_CONTROL_MAX];
    GQueue packets;             /* private: those that are USB_ASYNC */
};

/* Properties that every USB device has; put into its property list. */
#define USB_PROPERTIES(T)                                                                                              \
    PROPERTY(T, usb.bus_name, "bus", PROP_STRING, 0, "the controller's bus, ID.0; otherwise one with a free port"),    \
    PROPERTY(T, usb.port_path, "port", PROP_STRING, 0, "port of the bus (1), or of a hub in it (1.2)")

/* To be called first in create(): finds bus and port, and plugs the device in.  FALSE with *err: no place for it. */
gboolean usb_device_init(UsbDevice *d, const UsbType *type, GError **err);
void usb_device_exit(UsbDevice *d);   /* for destroy(): unplugs it */
void usb_device_reset(UsbDevice *d);  /* for reset() of the Device */
/* Fields for a USB device's state table, STATE_STRUCT(T, usb, usb_device_state), and their check for post_load(). */
extern const StateField usb_device_state[];
gboolean usb_device_post_load(UsbDevice *d, GError **err);

/* Pulls the plug, or puts it back into the port that it was in (what a user does, or a device that starts anew). */
void usb_unplug(UsbDevice *d);
void usb_plug(UsbDevice *d);

/* There is something for endpoint `address`: NAK is over; a suspended device wakes its port if the guest allows it. */
void usb_ready(UsbDevice *d, uint8_t address);
/* Ends a packet that the device had taken; p->actual and p->status are set. */
void usb_complete(UsbPacket *p);
/* For controllers and hubs: the port of the device, and all behind it, was suspended, or resumed. */
void usb_suspend(UsbDevice *d, bool suspended);

/* The endpoint in the current configuration; NULL: it has none of that address. */
const UsbEndpointDesc *usb_endpoint(const UsbDevice *d, uint8_t address);
UsbSpeed usb_speed(const UsbDevice *d);

/* ---- for the monitor ---- */

/* `info usb`: a line for each device of the machine. */
void usb_print(Machine *m, GString *out);

/* ---- private to hw/usb: usb_desc.c ---- */

/* Carries out a standard request, or hands it to the device; as UsbType.control. */
int usb_request(UsbDevice *d, const UsbRequest *r, uint8_t *data);
/* What SET_CONFIGURATION does; false: there is no such configuration.  0 is always there. */
bool usb_set_configuration(UsbDevice *d, unsigned value);
/* Whether configuration and alternates of a restored device exist. */
gboolean usb_check_configuration(const UsbDevice *d, GError **err);
/* The bit of UsbDevice.halted that stands for an endpoint. */
static inline uint32_t usb_halt_mask(uint8_t address) { return UINT32_C(1) << ((address & 15) + (address >> 7) * 16); }
/* A string of the device, or NULL. */
const char *usb_string(const UsbDevice *d, unsigned index);

#endif
