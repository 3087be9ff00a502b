/* Consoles and ports: the bus, its configuration and control queues (Virtual I/O Device 1.2, 5.3; virtio_serial.h). */
#include "hw/virtio/virtio_serial.h"

#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/machine.h"
#include "util/bits.h"
#include "util/endian.h"

enum { FEATURE_MULTIPORT = 1, FEATURE_EMERGENCY_WRITE = 2 };
enum { CONFIG_PORTS = 4, CONFIG_EMERGENCY = 8, CONFIG_SIZE = 12 };
enum { QUEUE_CONTROL_RECEIVE = 2, QUEUE_CONTROL_TRANSMIT = 3, QUEUE_SIZE = 128 };
/* Control messages (5.3.6.2). */
enum { MESSAGE_SIZE = 8, NAME_MAX_SIZE = 255 };
enum { DEVICE_READY, PORT_ADD, PORT_REMOVE, PORT_READY, CONSOLE_PORT, RESIZE, PORT_OPEN, PORT_NAME };

#define FIRST_BUS "virtio-serial"

bool serial_is_multiport(const VirtioSerial *s) { return virtio_has(&s->virtio, FEATURE_MULTIPORT); }

/* ---- queues: two for each port, and after port 0's two for control (5.3.2) ---- */

static unsigned queue_of_port(unsigned nr) { return nr ? 2 + 2 * nr : 0; }

static SerialPort *port_of_queue(VirtioSerial *s, const VirtQueue *q)
{
    return &s->port[q->index < 2 ? 0 : q->index / 2 - 1];
}

/* ---- control ---- */

/* Puts one message into room that the driver gave; false when there is none. */
static bool send_message(VirtioSerial *s, const SerialPort *p, unsigned event, unsigned value, const char *text)
{
    VirtQueue *q = &s->virtio.queue[QUEUE_CONTROL_RECEIVE];
    VirtElement *e = virtqueue_pop(q);
    uint8_t m[MESSAGE_SIZE + NAME_MAX_SIZE + 1];
    unsigned size = MESSAGE_SIZE;

    if (!e)
        return false;
    st32le(m, p->nr);
    st16le(m + 4, event);
    st16le(m + 6, value);
    if (text) {
        g_strlcpy((char *)m + size, text, NAME_MAX_SIZE);
        size += strlen((char *)m + size) + 1;
    }
    uint64_t n = dma_from_buffer(&e->in, 0, m, size);
    virtqueue_push(q, e, n);
    virtqueue_flush(q);
    return true;
}

/* The messages of a port in the order in which drivers expect them. */
static bool send_pending(VirtioSerial *s, SerialPort *p)
{
    while (p->pending && p->device) {
        uint8_t tell = p->pending & -p->pending;
        bool sent;
        switch (tell) {
        case PORT_TELL_ADD: sent = send_message(s, p, PORT_ADD, 1, NULL); break;
        case PORT_TELL_CONSOLE: sent = send_message(s, p, CONSOLE_PORT, 1, NULL); break;
        case PORT_TELL_NAME: sent = send_message(s, p, PORT_NAME, 1, p->device->name); break;
        default: sent = send_message(s, p, PORT_OPEN, p->host_open, NULL); break;
        }
        if (!sent)
            return false;
        p->pending &= ~tell;
    }
    return true;
}

void serial_send_control(VirtioSerial *s)
{
    if (!serial_is_multiport(s))
        return;
    for (unsigned k = 0; k < s->max_ports; k++)
        if (!send_pending(s, &s->port[k]))
            return;
}

static void device_ready(VirtioSerial *s, bool ok)
{
    if (!ok)
        log_guest_error("%s: the driver cannot use its ports", s->virtio.pci.dev.id);
    for (unsigned k = 0; ok && k < s->max_ports; k++)
        if (s->port[k].device)
            s->port[k].pending |= PORT_TELL_ADD;
}

static void port_ready(SerialPort *p, bool ok)
{
    if (!ok) {
        log_guest_error("%s: the driver cannot use port %u", p->serial->virtio.pci.dev.id, p->nr);
        return;
    }
    if (p->device->console)
        p->pending |= PORT_TELL_CONSOLE;
    if (p->device->name)
        p->pending |= PORT_TELL_NAME;
    p->ready = true;
    p->host_open = port_host_is_open(p);
    if (p->host_open)
        p->pending |= PORT_TELL_OPEN;
}

static void control_message(VirtioSerial *s, uint32_t nr, unsigned event, unsigned value)
{
    if (event == DEVICE_READY) {
        device_ready(s, value);
        return;
    }
    if (nr >= s->max_ports || !s->port[nr].device) {
        log_guest_error("%s: control message %u for port %u, which is not there", s->virtio.pci.dev.id, event, nr);
        return;
    }
    if (event == PORT_READY) {
        port_ready(&s->port[nr], value);
    } else if (event == PORT_OPEN) {
        s->port[nr].guest_open = value;
        port_can_receive_more(&s->port[nr]);
    }
}

static void take_control(VirtioSerial *s, VirtQueue *q)
{
    VirtElement *e;

    while ((e = virtqueue_pop(q))) {
        uint8_t m[MESSAGE_SIZE];
        bool whole = dma_to_buffer(&e->out, 0, m, sizeof m) == sizeof m;
        virtqueue_push(q, e, 0);
        if (whole)
            control_message(s, ld32le(m), ld16le(m + 4), ld16le(m + 6));
    }
    virtqueue_flush(q);
    serial_send_control(s);
}

/* ---- the device ---- */

static void serial_notify(VirtioDevice *v, VirtQueue *q)
{
    VirtioSerial *s = (VirtioSerial *)v;

    if (q->index == QUEUE_CONTROL_RECEIVE)
        serial_send_control(s);
    else if (q->index == QUEUE_CONTROL_TRANSMIT)
        take_control(s, q);
    else if (q->index % 2)
        timer_arm(port_of_queue(s, q)->pump, 0);
    else
        port_can_receive_more(port_of_queue(s, q));
}

static void serial_config_read(VirtioDevice *v, uint8_t *c)
{
    const VirtioSerial *s = (VirtioSerial *)v;
    memset(c, 0, CONFIG_SIZE);
    st32le(c + CONFIG_PORTS, s->max_ports);
}

/* A character for port 0 before there are queues (5.3.4). */
static void serial_config_write(VirtioDevice *v, const uint8_t *c, unsigned offset, unsigned size)
{
    VirtioSerial *s = (VirtioSerial *)v;

    if (s->emergency_write && s->port[0].device && offset <= CONFIG_EMERGENCY && offset + size > CONFIG_EMERGENCY)
        char_write(s->port[0].device->chardev, c + CONFIG_EMERGENCY, 1);
}

/* Without control messages port 0 is in use as long as the driver is. */
static void serial_status_changed(VirtioDevice *v, uint8_t status)
{
    VirtioSerial *s = (VirtioSerial *)v;
    if (!serial_is_multiport(s))
        s->port[0].guest_open = status & 4;
}

static void serial_driver_reset(VirtioDevice *v)
{
    VirtioSerial *s = (VirtioSerial *)v;
    for (unsigned k = 0; k < s->max_ports; k++) {
        SerialPort *p = &s->port[k];
        p->ready = p->guest_open = p->host_open = false;
        p->pending = 0;
        p->sent = 0;
        timer_cancel(p->pump);
    }
}

static const VirtioType serial_virtio = {
    .id = VIRTIO_ID_CONSOLE, .class_code = 0x078000, .config_size = CONFIG_SIZE, .config_read = serial_config_read,
    .config_write = serial_config_write, .notify = serial_notify, .status_changed = serial_status_changed,
    .reset = serial_driver_reset,
};

/* ---- plugging ---- */

static char *bus_slot(const char *name) { return g_strconcat(FIRST_BUS ":", name, NULL); }

static VirtioSerial *find_bus(const SerialPortDevice *d, GError **err)
{
    g_autofree char *slot = d->bus_name ? bus_slot(d->bus_name) : g_strdup(FIRST_BUS);
    VirtioSerial *s = machine_find(d->dev.machine, slot);

    if (!s && d->bus_name)
        error_set(err, "device '%s': there is no bus '%s'; a bus is named by its device's id, and '.0'", d->dev.id,
                  d->bus_name);
    else if (!s)
        error_set(err, "device '%s' (%s) needs -device virtio-serial-pci before it", d->dev.id, d->dev.type->name);
    return s;
}

gboolean serial_plug(SerialPortDevice *d, GError **err)
{
    VirtioSerial *s = find_bus(d, err);
    /* Port 0 is a console's: drivers without more ports know it as one. */
    unsigned nr = d->console ? 0 : 1;

    if (!s)
        return FALSE;
    while (d->nr == UINT32_MAX && nr < s->max_ports && s->port[nr].device)
        nr++;
    if (d->nr != UINT32_MAX)
        nr = d->nr;
    if (nr >= s->max_ports)
        return error_set(err, "device '%s': bus '%s' has ports 0 to %u%s", d->dev.id, s->virtio.pci.dev.id,
                         s->max_ports - 1, d->nr == UINT32_MAX ? ", and all are taken" : "");
    if (s->port[nr].device)
        return error_set(err, "device '%s': port %u is taken by '%s'", d->dev.id, nr, s->port[nr].device->dev.id);
    if (!nr && !d->console)
        return error_set(err, "device '%s': port 0 is for a virtconsole; take nr=1 or more", d->dev.id);
    d->serial = s;
    d->nr = nr;
    s->port[nr].device = d;
    return TRUE;
}

void serial_unplug(SerialPortDevice *d)
{
    if (d->serial)
        d->serial->port[d->nr].device = NULL;
    d->serial = NULL;
}

/* ---- life ---- */

static gboolean serial_create(Device *dev, GError **err)
{
    VirtioSerial *s = (VirtioSerial *)dev;
    Machine *m = dev->machine;

    if (!virtio_init(&s->virtio, &serial_virtio, 2 + 2 * s->max_ports, QUEUE_SIZE, err))
        return FALSE;
    s->virtio.features_offered |= BIT(FEATURE_MULTIPORT) | (s->emergency_write ? BIT(FEATURE_EMERGENCY_WRITE) : 0);
    for (unsigned k = 0; k < s->max_ports; k++) {
        VirtQueue *q = &s->virtio.queue[queue_of_port(k)];
        s->port[k] = (SerialPort){ .serial = s, .nr = k, .receive = q, .transmit = q + 1 };
        s->port[k].pump = timer_new(m->clocks, MYNA_CLOCK_VIRTUAL, port_transmit, &s->port[k]);
    }
    g_autofree char *name = g_strconcat(dev->id, ".0", NULL), *slot = bus_slot(name);
    machine_provide(m, slot, s);
    if (!machine_find(m, FIRST_BUS))
        machine_provide(m, FIRST_BUS, s);
    return TRUE;
}

static void serial_reset(Device *dev) { virtio_reset((VirtioDevice *)dev); }

static void serial_destroy(Device *dev)
{
    VirtioSerial *s = (VirtioSerial *)dev;
    g_autofree char *name = g_strconcat(dev->id, ".0", NULL), *slot = bus_slot(name);

    machine_provide(dev->machine, slot, NULL);
    if (machine_find(dev->machine, FIRST_BUS) == s)
        machine_provide(dev->machine, FIRST_BUS, NULL);
    for (unsigned k = 0; k < s->max_ports; k++) {
        timer_free(s->port[k].pump);
        if (s->port[k].device)
            s->port[k].device->serial = NULL;
    }
    virtio_exit(&s->virtio);
}

static void serial_pre_save(Device *dev) { virtio_pre_save((VirtioDevice *)dev); }

/* The host's side may be another now: the guest is told if so. */
static gboolean serial_post_load(Device *dev, GError **err)
{
    VirtioSerial *s = (VirtioSerial *)dev;

    for (unsigned k = 0; k < s->max_ports; k++) {
        SerialPort *p = &s->port[k];
        if (p->device && p->ready && p->host_open != port_host_is_open(p)) {
            p->host_open = !p->host_open;
            p->pending |= PORT_TELL_OPEN;
        }
    }
    return virtio_post_load(&s->virtio, err);
}

static const Property serial_properties[] = {
    VIRTIO_PROPERTIES(VirtioSerial),
    { .name = "max_ports", .type = PROP_U32, .offset = offsetof(VirtioSerial, max_ports), .initial = SERIAL_PORTS_MAX,
      .min = 1, .max = SERIAL_PORTS_MAX, .help = "ports that may be plugged in" },
    PROPERTY(VirtioSerial, emergency_write, "emergency-write", PROP_BOOL, 1, "offer output before queues are set up"),
    PROPERTY_END
};

static const StateField port_state[] = {
    STATE_BOOL(SerialPort, ready), STATE_BOOL(SerialPort, guest_open), STATE_BOOL(SerialPort, host_open),
    STATE_U8(SerialPort, pending), STATE_U32(SerialPort, sent), STATE_END
};

static const StateField serial_state[] = {
    STATE_STRUCT(VirtioSerial, virtio, virtio_state), STATE_STRUCT_ARRAY(VirtioSerial, port, port_state), STATE_END
};

const DeviceType virtio_serial_type = {
    .name = "virtio-serial-pci", .description = "virtio serial ports and consoles", .bus = "pci",
    .size = sizeof(VirtioSerial), .user = true, .properties = serial_properties, .create = serial_create,
    .reset = serial_reset, .destroy = serial_destroy, .state = serial_state, .pre_save = serial_pre_save,
    .post_load = serial_post_load,
};
