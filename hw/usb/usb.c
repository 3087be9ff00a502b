/* Buses, ports, and how devices come into them (usb.h). */
#include "hw/usb/usb.h"

#include <string.h>

#include "core/error.h"
#include "core/machine.h"

struct UsbBus {
    char *name;              /* "xhci.0" */
    Machine *machine;
    GPtrArray *ports;        /* UsbPort *, as they were added */
    UsbBus *next;            /* of the machine, as they were made */
};

enum { TIERS_MAX = 5 /* hubs between a root port and a device (2.0, 4.1.1) */ };

#define FIRST_BUS "usb"

/* ---- buses ---- */

static UsbBus *first_bus(Machine *m) { return machine_find(m, FIRST_BUS); }

UsbBus *usb_bus_new(Device *controller)
{
    UsbBus *bus = g_new0(UsbBus, 1), *last = first_bus(controller->machine);
    bus->machine = controller->machine;
    bus->name = g_strconcat(controller->id, ".0", NULL);
    bus->ports = g_ptr_array_new();
    while (last && last->next)
        last = last->next;
    if (last)
        last->next = bus;
    else
        machine_provide(bus->machine, FIRST_BUS, bus);
    return bus;
}

static void bus_unlink(UsbBus *bus)
{
    UsbBus *before = first_bus(bus->machine);
    if (before == bus) {
        machine_provide(bus->machine, FIRST_BUS, bus->next);
        return;
    }
    while (before->next != bus)
        before = before->next;
    before->next = bus->next;
}

void usb_bus_free(UsbBus *bus)
{
    while (bus->ports->len)
        usb_port_remove(bus->ports->pdata[bus->ports->len - 1]);
    bus_unlink(bus);
    g_ptr_array_unref(bus->ports);
    g_free(bus->name);
    g_free(bus);
}

const char *usb_bus_name(const UsbBus *bus) { return bus->name; }

/* ---- ports ---- */

void usb_port_add(UsbBus *bus, UsbPort *port, UsbDevice *hub, unsigned number, unsigned speeds, const UsbPortOps *ops,
                  void *opaque)
{
    *port = (UsbPort){ .bus = bus, .hub = hub, .number = number, .speeds = speeds, .ops = ops, .opaque = opaque };
    port->path = hub ? g_strdup_printf("%s.%u", hub->port->path, number) : g_strdup_printf("%u", number);
    g_ptr_array_add(bus->ports, port);
}

void usb_port_remove(UsbPort *port)
{
    UsbDevice *d = port->device;
    if (d)
        usb_unplug(d);
    if (d)
        d->place = NULL;
    g_ptr_array_remove(port->bus->ports, port);
    g_free(port->path);
    port->path = NULL;
}

void usb_port_reset(UsbPort *port)
{
    if (port->device)
        usb_device_reset(port->device);
}

/* Calls of tiers below the root port: a hub that is plugged into itself cannot be made, but the depth is bounded. */
static UsbDevice *find_below(const UsbPort *port, unsigned address, unsigned tiers)
{
    UsbDevice *d = port->device, *found;
    UsbPort *down;

    if (!d || d->address == address || !d->type->hub_port || !tiers)
        return d && d->address == address ? d : NULL;
    for (unsigned n = 1; (down = d->type->hub_port(d, n)); n++)
        if ((found = find_below(down, address, tiers - 1)))
            return found;
    return NULL;
}

UsbDevice *usb_port_find(const UsbPort *port, unsigned address) { return find_below(port, address, TIERS_MAX); }

UsbDevice *usb_port_route(const UsbPort *port, uint32_t route)
{
    for (route &= 0xfffff; port && route; route >>= 4) {
        UsbDevice *hub = port->device;
        port = hub && hub->type->hub_port ? hub->type->hub_port(hub, route & 15) : NULL;
    }
    return port ? port->device : NULL;
}

static UsbPort *root_of(UsbPort *port)
{
    for (unsigned tiers = 0; port && port->hub && tiers <= TIERS_MAX; tiers++)
        port = port->hub->port;
    return port && !port->hub ? port : NULL;
}

/* ---- the way in ---- */

static unsigned speeds_of(const UsbType *type)
{
    unsigned speeds = 0;
    for (unsigned s = 0; s <= USB_SUPER; s++)
        if (type->desc->speeds[s])
            speeds |= 1u << s;
    return speeds;
}

static unsigned port_count(const UsbBus *bus)
{
    unsigned n = 0;
    for (unsigned k = 0; k < bus->ports->len; k++)
        n += !((UsbPort *)bus->ports->pdata[k])->hub;
    return n;
}

static UsbPort *port_of_path(const UsbBus *bus, const char *path)
{
    for (unsigned k = 0; k < bus->ports->len; k++) {
        UsbPort *port = bus->ports->pdata[k];
        if (!strcmp(port->path, path))
            return port;
    }
    return NULL;
}

static UsbBus *bus_of_name(const UsbDevice *d, GError **err)
{
    UsbBus *first = first_bus(d->dev.machine), *bus = first;
    while (bus && strcmp(bus->name, d->bus_name))
        bus = bus->next;
    if (!bus && first)
        error_set(err, "device '%s': there is no USB bus '%s'; the first is '%s'", d->dev.id, d->bus_name,
                  first->name);
    else if (!bus)
        error_set(err, "device '%s': there is no USB bus '%s'; add -device qemu-xhci before it", d->dev.id,
                  d->bus_name);
    return bus;
}

/* The port that port= names, if the device can be there. */
static UsbPort *port_named(const UsbDevice *d, const UsbBus *bus, GError **err)
{
    UsbPort *port = port_of_path(bus, d->port_path);
    if (!port)
        error_set(err, "device '%s': USB bus '%s' has no port '%s'; its own are 1 to %u, those of a hub in port 1 are "
                  "1.1 and so on", d->dev.id, bus->name, d->port_path, port_count(bus));
    else if (port->device)
        error_set(err, "device '%s': port %s of USB bus '%s' is taken by '%s'", d->dev.id, port->path, bus->name,
                  port->device->dev.id);
    else if (!(port->speeds & speeds_of(d->type)))
        error_set(err, "device '%s': port %s of USB bus '%s' does not run at a speed of this device; -device "
                  "qemu-xhci has ports for all", d->dev.id, port->path, bus->name);
    else
        return port;
    return NULL;
}

static UsbPort *port_free(const UsbBus *bus, unsigned speeds)
{
    for (unsigned k = 0; k < bus->ports->len; k++) {
        UsbPort *port = bus->ports->pdata[k];
        if (!port->device && port->speeds & speeds)
            return port;
    }
    return NULL;
}

static UsbPort *port_any(const UsbDevice *d, const UsbBus *only, GError **err)
{
    const UsbBus *first = only ? only : first_bus(d->dev.machine);
    if (!first) {
        error_set(err, "device '%s' (%s): no USB bus: add -device qemu-xhci before it", d->dev.id, d->dev.type->name);
        return NULL;
    }
    for (const UsbBus *bus = first; bus; bus = only ? NULL : bus->next) {
        UsbPort *port = port_free(bus, speeds_of(d->type));
        if (port)
            return port;
    }
    error_set(err, "device '%s' (%s): no free port for it on %s '%s'; add another -device qemu-xhci, or one with p2= "
              "and p3= more ports", d->dev.id, d->dev.type->name, only ? "USB bus" : "any USB bus; the first is",
              first->name);
    return NULL;
}

static UsbPort *port_choose(const UsbDevice *d, GError **err)
{
    UsbBus *bus = d->bus_name ? bus_of_name(d, err) : first_bus(d->dev.machine);
    if (d->bus_name && !bus)
        return NULL;
    if (d->port_path && bus)
        return port_named(d, bus, err);
    return port_any(d, d->bus_name ? bus : NULL, err);
}

gboolean usb_device_init(UsbDevice *d, const UsbType *type, GError **err)
{
    d->type = type;
    d->place = port_choose(d, err);
    if (!d->place)
        return FALSE;
    g_queue_init(&d->packets);
    usb_plug(d);
    return TRUE;
}

void usb_device_exit(UsbDevice *d)
{
    usb_unplug(d);
    d->place = NULL;
}

void usb_plug(UsbDevice *d)
{
    UsbPort *port = d->place;
    if (d->port || !port || port->device)
        return;
    d->port = port;
    port->device = d;
    port->speed = 31 - __builtin_clz(port->speeds & speeds_of(d->type));
    usb_device_reset(d);
    port->ops->attached(port);
}

/* What is still under way ends before the controller learns that the device has gone. */
void usb_unplug(UsbDevice *d)
{
    UsbPort *port = d->port;
    if (!port)
        return;
    d->port = NULL;
    usb_device_reset(d);
    port->device = NULL;
    port->ops->detached(port);
}

/* ---- up to the controller ---- */

void usb_ready(UsbDevice *d, uint8_t address)
{
    UsbPort *root = root_of(d->port);
    if (!root)
        return;
    if (d->suspended && d->wakeup_allowed)
        d->port->ops->resume(d->port);
    root->ops->ready(root, d, address);
}

void usb_suspend(UsbDevice *d, bool suspended)
{
    UsbPort *down;
    d->suspended = suspended;
    for (unsigned n = 1; d->type->hub_port && (down = d->type->hub_port(d, n)); n++)
        if (down->device)
            usb_suspend(down->device, suspended);
}

UsbSpeed usb_speed(const UsbDevice *d) { return d->port ? d->port->speed : USB_FULL; }

/* ---- info usb ---- */

static void print_device(unsigned number, const UsbDevice *d, GString *out)
{
    static const char *const speeds[] = { "1.5", "12", "480", "5000" };
    g_string_append_printf(out, "  Device %u.%u, Port %s, Speed %s Mb/s, Product %s, ID: %s%s\n", number, d->address,
                           d->port->path, speeds[d->port->speed], usb_string(d, USB_STRING_PRODUCT), d->dev.id,
                           d->configuration ? "" : " (not configured)");
}

void usb_print(Machine *m, GString *out)
{
    unsigned number = 0;
    if (!first_bus(m))
        g_string_append(out, "No USB bus: -device qemu-xhci adds one\n");
    for (const UsbBus *bus = first_bus(m); bus; bus = bus->next, number++) {
        g_string_append_printf(out, "Bus %u: %s, %u ports\n", number, bus->name, port_count(bus));
        for (unsigned k = 0; k < bus->ports->len; k++) {
            const UsbPort *port = bus->ports->pdata[k];
            if (port->device)
                print_device(number, port->device, out);
        }
    }
}
