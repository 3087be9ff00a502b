/*
 * virtio-serial-pci: consoles and ports (Virtual I/O Device 1.2, 5.3); virtconsole and virtserialport are what is
 * plugged in, each with a character back end.
 */
#ifndef MYNA_HW_VIRTIO_SERIAL_H
#define MYNA_HW_VIRTIO_SERIAL_H

#include "backends/char/char.h"
#include "hw/virtio/virtio.h"

extern const DeviceType virtio_serial_type, virtconsole_type, virtserialport_type;

enum { SERIAL_PORTS_MAX = 31 };

typedef struct VirtioSerial VirtioSerial;
typedef struct SerialPort SerialPort;

/* A port as the user plugged it in: virtio_serial_port.c. */
typedef struct SerialPortDevice {
    Device dev;
    VirtioSerial *serial;
    CharBackend *chardev;
    char *name, *bus_name;
    uint32_t nr;         /* UINT32_MAX: one that is free */
    bool console;
} SerialPortDevice;

/* A place for one, there or not, and its state. */
struct SerialPort {
    VirtioSerial *serial;
    unsigned nr;
    SerialPortDevice *device; /* NULL: nothing is plugged in */
    VirtQueue *receive, *transmit;
    bool ready;          /* the driver is: it is told of the host's side from then on */
    bool guest_open;     /* a process of the guest has it open */
    bool host_open;      /* what the guest has been told last of the host's side */
    uint8_t pending;     /* PORT_TELL_*: control messages that the driver has yet to get */
    uint32_t sent;       /* bytes of the first element to transmit that the host has taken */
    Timer *pump;         /* transmits, in the main loop */
};

enum { PORT_TELL_ADD = 1, PORT_TELL_CONSOLE = 2, PORT_TELL_NAME = 4, PORT_TELL_OPEN = 8 };

struct VirtioSerial {
    VirtioDevice virtio;
    uint32_t max_ports;
    bool emergency_write;
    SerialPort port[SERIAL_PORTS_MAX];
};

/* ---- between virtio_serial.c and virtio_serial_port.c ---- */

/* Messages that are pending, as far as the driver has room for them. */
void serial_send_control(VirtioSerial *s);
/* A place on the bus that the device names; *err says why not. */
gboolean serial_plug(SerialPortDevice *d, GError **err);
void serial_unplug(SerialPortDevice *d);
/* Whether a driver knows more than port 0. */
bool serial_is_multiport(const VirtioSerial *s);

void port_transmit(void *port);          /* the pump */
void port_can_receive_more(SerialPort *p); /* the driver gave room, or opened it */
bool port_host_is_open(const SerialPort *p);

#endif
