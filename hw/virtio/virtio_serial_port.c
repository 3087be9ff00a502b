/* Ports of virtio-serial: bytes between queues and character back ends (virtio_serial.h). */
#include "hw/virtio/virtio_serial.h"

#include "core/error.h"
#include "core/machine.h"

enum { PIECE = 4096, TURN = 256 /* pieces and elements */ };

static SerialPort *place_of(const SerialPortDevice *d) { return d->serial ? &d->serial->port[d->nr] : NULL; }

bool port_host_is_open(const SerialPort *p) { return p->device->chardev && char_is_open(p->device->chardev); }

/* ---- to the host ---- */

typedef enum Outcome { DONE, HOST_FULL, TURN_OVER } Outcome;

/* Writes what is left of an element, as far as the host takes it and the turn goes. */
static Outcome transmit_rest(SerialPort *p, const VirtElement *e, unsigned *pieces)
{
    uint8_t bytes[PIECE];

    while (p->sent < e->out.size) {
        if (!*pieces)
            return TURN_OVER;
        --*pieces;
        unsigned n = dma_to_buffer(&e->out, p->sent, bytes, sizeof bytes);
        unsigned taken = p->device && p->device->chardev ? char_write_some(p->device->chardev, bytes, n) : n;
        p->sent += taken;
        if (taken < n)
            return HOST_FULL;
    }
    p->sent = 0;
    return DONE;
}

/*
 * What the host does not take stays in the queue, where a save finds it; writable() goes on.  A guest that writes
 * without end does not keep the main loop here: after a turn the pump is called anew.
 */
void port_transmit(void *opaque)
{
    SerialPort *p = opaque;
    VirtQueue *q = p->transmit;
    VirtElement *e;
    unsigned pieces = TURN;
    Outcome outcome = DONE;

    while (pieces && (e = virtqueue_pop(q))) {
        pieces--;
        outcome = transmit_rest(p, e, &pieces);
        if (outcome != DONE) {
            virtqueue_unpop(q, e);
            break;
        }
        virtqueue_push(q, e, 0);
    }
    virtqueue_flush(q);
    if (!pieces && outcome != HOST_FULL)
        timer_arm(p->pump, 0);
}

static void port_writable(void *opaque)
{
    SerialPort *p = place_of(opaque);
    if (p)
        port_transmit(p);
}

/* ---- to the guest ---- */

static unsigned port_can_receive(void *opaque)
{
    SerialPort *p = place_of(opaque);
    VirtElement *e;

    if (!p || !p->guest_open || !(e = virtqueue_pop(p->receive)))
        return 0;
    unsigned room = MIN(e->in.size, PIECE);
    virtqueue_unpop(p->receive, e);
    return room;
}

static void port_receive(void *opaque, const uint8_t *data, unsigned size)
{
    SerialPort *p = place_of(opaque);
    VirtElement *e;

    while (p && size && (e = virtqueue_pop(p->receive))) {
        unsigned n = dma_from_buffer(&e->in, 0, data, size);
        virtqueue_push(p->receive, e, n);
        if (!n) /* the driver took the room back that it had given */
            break;
        data += n;
        size -= n;
    }
    if (p)
        virtqueue_flush(p->receive);
}

void port_can_receive_more(SerialPort *p)
{
    if (p->device && p->device->chardev)
        char_accept_input(p->device->chardev);
}

static void port_event(void *opaque, int event)
{
    SerialPort *p = place_of(opaque);

    if (!p || (event != CHAR_OPENED && event != CHAR_CLOSED))
        return;
    bool open = event == CHAR_OPENED;
    if (p->ready && open != p->host_open) {
        p->host_open = open;
        p->pending |= PORT_TELL_OPEN;
        serial_send_control(p->serial);
    }
}

static const CharFrontend port_frontend = {
    .can_receive = port_can_receive, .receive = port_receive, .event = port_event, .writable = port_writable,
};

/* ---- life ---- */

static gboolean port_create(Device *dev, bool console, GError **err)
{
    SerialPortDevice *d = (SerialPortDevice *)dev;

    d->console = console;
    if (!serial_plug(d, err))
        return FALSE;
    if (d->chardev)
        char_connect(d->chardev, &port_frontend, d);
    return TRUE;
}

static gboolean console_create(Device *dev, GError **err) { return port_create(dev, true, err); }
static gboolean serialport_create(Device *dev, GError **err) { return port_create(dev, false, err); }

static void port_reset(Device *dev) { (void)dev; /* its state is the bus's */ }

static void port_destroy(Device *dev)
{
    SerialPortDevice *d = (SerialPortDevice *)dev;
    if (d->chardev)
        char_connect(d->chardev, NULL, NULL);
    serial_unplug(d);
}

static const Property port_properties[] = {
    PROPERTY(SerialPortDevice, chardev, "chardev", PROP_CHAR, 0, "the -chardev at the host's end"),
    PROPERTY(SerialPortDevice, name, "name", PROP_STRING, 0, "as the guest finds it, e.g. org.qemu.guest_agent.0"),
    PROPERTY(SerialPortDevice, nr, "nr", PROP_U32, UINT32_MAX, "number; otherwise one that is free"),
    PROPERTY(SerialPortDevice, bus_name, "bus", PROP_STRING, 0,
             "a virtio-serial-pci's bus, ID.0; otherwise the first one"),
    PROPERTY_END
};

static const StateField port_state[] = { STATE_END };

#define PORT_TYPE(variable, name_, description_, create_)                                                              \
    const DeviceType variable = {                                                                                      \
        .name = name_, .description = description_, .bus = "virtio-serial-bus", .size = sizeof(SerialPortDevice),      \
        .user = true, .properties = port_properties, .create = create_, .reset = port_reset, .destroy = port_destroy,  \
        .state = port_state,                                                                                           \
    }

PORT_TYPE(virtconsole_type, "virtconsole", "console on virtio-serial", console_create);
PORT_TYPE(virtserialport_type, "virtserialport", "port on virtio-serial", serialport_create);
