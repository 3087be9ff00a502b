/*
 * A full-speed hub (Universal Serial Bus Specification 2.0, chapter 11): ports that the guest powers, resets, enables
 * and suspends, and an interrupt endpoint that tells which have changed.
 */
#include "hw/usb/usb_hub.h"

#include <string.h>

#include "core/error.h"
#include "hw/usb/usb.h"
#include "util/bits.h"
#include "util/endian.h"

enum { PORTS_MAX = 8, TIERS_MAX = 5 /* hubs in a row (4.1.1) */, ENDPOINT = 0x81, STALL = -1, DESC_HUB = 0x29 };
/* Requests (table 11-15): type and request. */
enum { GET_HUB_STATUS = 0xa000, GET_PORT_STATUS = 0xa300, GET_HUB_DESCRIPTOR = 0xa006, CLEAR_HUB_FEATURE = 0x2001,
       SET_HUB_FEATURE = 0x2003, CLEAR_PORT_FEATURE = 0x2301, SET_PORT_FEATURE = 0x2303 };
/* Features (table 11-17), which are bits of status, and from 16 on of changes (tables 11-21 and 11-22). */
enum { PORT_CONNECTION = 0, PORT_ENABLE = 1, PORT_SUSPEND = 2, PORT_RESET = 4, PORT_POWER = 8, PORT_LOW_SPEED = 9,
       FEATURES_CHANGE = 16, FEATURES_END = 21 };

typedef struct HubPort {
    UsbPort usb;
    uint16_t status, change;
} HubPort;

typedef struct UsbHub {
    UsbDevice usb;
    uint32_t ports;              /* property */
    HubPort port[PORTS_MAX];
} UsbHub;

/* ---- ports ---- */

static void port_set(HubPort *p, unsigned feature, bool on)
{
    p->status = bits_deposit(p->status, feature, 1, on);
    p->usb.enabled = p->status >> PORT_ENABLE & 1;
}

static void port_changed(UsbHub *h, HubPort *p, unsigned feature)
{
    p->change |= BIT(feature);
    usb_ready(&h->usb, ENDPOINT);
}

/* What is plugged in is seen while the port has power (11.5.1). */
static void port_connect(HubPort *p)
{
    bool there = p->usb.device && p->status >> PORT_POWER & 1;
    p->status &= BIT(PORT_POWER);
    p->usb.enabled = false;
    port_set(p, PORT_CONNECTION, there);
    port_set(p, PORT_LOW_SPEED, there && p->usb.speed == USB_LOW);
}

static void plugged(UsbPort *port)
{
    UsbHub *h = port->opaque;
    HubPort *p = &h->port[port->number - 1];
    port_connect(p);
    if (p->status >> PORT_POWER & 1)
        port_changed(h, p, PORT_CONNECTION);
}

static void resume(UsbPort *port)
{
    UsbHub *h = port->opaque;
    HubPort *p = &h->port[port->number - 1];
    if (p->status >> PORT_SUSPEND & 1) {
        port_set(p, PORT_SUSPEND, false);
        usb_suspend(port->device, false);
        port_changed(h, p, PORT_SUSPEND);
    } else {
        usb_ready(&h->usb, ENDPOINT); /* the hub itself sleeps: it passes the signal on */
    }
}

static const UsbPortOps port_ops = { .attached = plugged, .detached = plugged, .resume = resume };

/* ---- requests (11.24.2) ---- */

static void port_power(UsbHub *h, HubPort *p, bool on)
{
    bool was = p->status >> PORT_POWER & 1;
    port_set(p, PORT_POWER, on);
    if (on == was)
        return;
    port_connect(p);
    if (p->status >> PORT_CONNECTION & 1)
        port_changed(h, p, PORT_CONNECTION);
}

static void port_suspend(HubPort *p, bool on)
{
    port_set(p, PORT_SUSPEND, on);
    usb_suspend(p->usb.device, on);
}

static int set_port_feature(UsbHub *h, HubPort *p, unsigned feature)
{
    bool connected = p->status >> PORT_CONNECTION & 1, enabled = p->status >> PORT_ENABLE & 1;
    switch (feature) {
    case PORT_POWER: port_power(h, p, true); return 0;
    case PORT_SUSPEND:
        if (enabled)
            port_suspend(p, true);
        return 0;
    case PORT_RESET:
        if (connected) {
            usb_port_reset(&p->usb);
            port_set(p, PORT_SUSPEND, false);
            port_set(p, PORT_ENABLE, true);
            port_changed(h, p, PORT_RESET);
        }
        return 0;
    default: return STALL;
    }
}

static int clear_port_feature(UsbHub *h, HubPort *p, unsigned feature)
{
    if (feature >= FEATURES_CHANGE && feature < FEATURES_END) {
        p->change &= ~BIT(feature - FEATURES_CHANGE);
        return 0;
    }
    switch (feature) {
    case PORT_POWER: port_power(h, p, false); return 0;
    case PORT_ENABLE: port_set(p, PORT_ENABLE, false); return 0;
    case PORT_SUSPEND:
        if (p->status >> PORT_SUSPEND & 1) {
            port_suspend(p, false);
            port_changed(h, p, PORT_SUSPEND);
        }
        return 0;
    default: return STALL;
    }
}

/* Power of each port by itself; no over-current; all devices can be taken out (table 11-13). */
static int describe(const UsbHub *h, uint8_t *data)
{
    unsigned bitmap = h->ports / 8 + 1, size = 7 + 2 * bitmap;
    memset(data, 0, size);
    data[0] = size;
    data[1] = DESC_HUB;
    data[2] = h->ports;
    data[3] = 0x01 | 0x10;
    data[5] = 1; /* 2 ms until the power is good */
    memset(data + 7 + bitmap, 0xff, bitmap);
    return size;
}

static int port_request(UsbHub *h, const UsbRequest *r, uint8_t *data)
{
    unsigned n = r->index & 0xff;
    if (!n || n > h->ports)
        return STALL;
    HubPort *p = &h->port[n - 1];
    switch (r->type << 8 | r->request) {
    case SET_PORT_FEATURE: return set_port_feature(h, p, r->value);
    case CLEAR_PORT_FEATURE: return clear_port_feature(h, p, r->value);
    default:
        st16le(data, p->status);
        st16le(data + 2, p->change);
        return 4;
    }
}

static int hub_control(UsbDevice *d, const UsbRequest *r, uint8_t *data)
{
    UsbHub *h = (UsbHub *)d;
    switch (r->type << 8 | r->request) {
    case GET_HUB_DESCRIPTOR: return describe(h, data);
    case GET_HUB_STATUS: memset(data, 0, 4); return 4;
    case SET_HUB_FEATURE: case CLEAR_HUB_FEATURE: return r->value <= 1 ? 0 : STALL;
    case GET_PORT_STATUS: case SET_PORT_FEATURE: case CLEAR_PORT_FEATURE: return port_request(h, r, data);
    default: return STALL;
    }
}

/* A bit for each port that has changed, from bit 1 on (11.12.4). */
static void hub_transfer(UsbDevice *d, UsbPacket *p)
{
    UsbHub *h = (UsbHub *)d;
    uint8_t bitmap[PORTS_MAX / 8 + 1] = { 0 };
    bool any = false;
    for (unsigned n = 1; n <= h->ports; n++)
        if (h->port[n - 1].change) {
            bitmap[n / 8] |= BIT(n % 8);
            any = true;
        }
    if (any)
        usb_packet_put(p, bitmap, h->ports / 8 + 1);
    else
        p->status = USB_NAK;
}

static UsbPort *hub_port(UsbDevice *d, unsigned n)
{
    UsbHub *h = (UsbHub *)d;
    return n && n <= h->ports ? &h->port[n - 1].usb : NULL;
}

/* Without power; devices behind lose it too. */
static void hub_bus_reset(UsbDevice *d)
{
    UsbHub *h = (UsbHub *)d;
    for (unsigned n = 0; n < h->ports; n++) {
        HubPort *p = &h->port[n];
        p->status = p->change = 0;
        p->usb.enabled = false;
        if (p->usb.device)
            usb_device_reset(p->usb.device);
    }
}

/* ---- descriptors (11.23) ---- */

static const UsbEndpointDesc endpoint = {
    .address = ENDPOINT, .attributes = USB_INTERRUPT, .max_packet = PORTS_MAX / 8 + 1, .interval = 255,
};
static const UsbInterfaceDesc interface = { .interface_class = 9, .endpoints = &endpoint, .endpoint_count = 1 };
static const UsbConfigurationDesc configuration = {
    .value = 1, .attributes = 0xe0, .interfaces = &interface, .interface_count = 1,
};
static const UsbSpeedDesc full = {
    .version = 0x0110, .device_class = 9, .max_packet0 = 8, .configurations = &configuration, .configuration_count = 1,
};
static const char *const strings[] = { "", "Myna", "USB Hub", "1", NULL };
static const UsbDesc hub_desc = {
    .vendor = 0x0409, .product = 0x55aa, .release = 0x0101, .strings = strings, .speeds = { [USB_FULL] = &full },
};
static const UsbType hub_usb = {
    .desc = &hub_desc, .control = hub_control, .transfer = hub_transfer, .reset = hub_bus_reset, .hub_port = hub_port,
};

/* ---- life ---- */

static unsigned tier_of(const UsbPort *p)
{
    unsigned tier = 1;
    for (; p->hub; p = p->hub->port)
        tier++;
    return tier;
}

static gboolean hub_create(Device *dev, GError **err)
{
    UsbHub *h = (UsbHub *)dev;
    unsigned ports = h->ports;
    h->ports = 0; /* there are none yet, while it is plugged in */
    if (!usb_device_init(&h->usb, &hub_usb, err))
        return FALSE;
    if (tier_of(h->usb.port) > TIERS_MAX) {
        usb_device_exit(&h->usb);
        return error_set(err, "device '%s': at most %u hubs can be in a row", dev->id, TIERS_MAX);
    }
    h->ports = ports;
    for (unsigned n = 0; n < ports; n++)
        usb_port_add(h->usb.port->bus, &h->port[n].usb, &h->usb, n + 1, USB_SPEED_LOW | USB_SPEED_FULL, &port_ops, h);
    return TRUE;
}

static void hub_reset(Device *dev) { usb_device_reset(&((UsbHub *)dev)->usb); }

static void hub_destroy(Device *dev)
{
    UsbHub *h = (UsbHub *)dev;
    for (unsigned n = h->ports; n-- > 0;)
        usb_port_remove(&h->port[n].usb);
    usb_device_exit(&h->usb);
}

static gboolean hub_post_load(Device *dev, GError **err)
{
    UsbHub *h = (UsbHub *)dev;
    for (unsigned n = 0; n < h->ports; n++) {
        HubPort *p = &h->port[n];
        if (!p->usb.device && p->status & ~BIT(PORT_POWER))
            return error_set(err, "%s: the saved state has a device in port %u, where there is none", dev->id, n + 1);
        p->usb.enabled = p->status >> PORT_ENABLE & 1;
    }
    return usb_device_post_load(&h->usb, err);
}

static const Property hub_properties[] = {
    USB_PROPERTIES(UsbHub),
    { .name = "ports", .type = PROP_U32, .offset = offsetof(UsbHub, ports), .initial = PORTS_MAX, .min = 1,
      .max = PORTS_MAX, .help = "how many" },
    PROPERTY(UsbHub, usb.serial, "serial", PROP_STRING, 0, "serial number"),
    PROPERTY_END
};

static const StateField port_state[] = { STATE_U16(HubPort, status), STATE_U16(HubPort, change), STATE_END };
static const StateField hub_state[] = {
    STATE_STRUCT(UsbHub, usb, usb_device_state), STATE_STRUCT_ARRAY(UsbHub, port, port_state), STATE_END
};

const DeviceType usb_hub_type = {
    .name = "usb-hub", .description = "USB hub of full speed", .bus = "usb", .size = sizeof(UsbHub), .user = true,
    .properties = hub_properties, .create = hub_create, .reset = hub_reset, .destroy = hub_destroy,
    .state = hub_state, .post_load = hub_post_load,
};
