/* Root hub ports (xHCI 1.1, 4.19 and 5.4.8): what PORTSC says, and what devices do there. */
#include "hw/usb/xhci_internal.h"
#include "util/bits.h"

enum { PORTSC = 0, PORTPMSC = 4 };
enum { SC_CONNECTED = 1 << 0, SC_ENABLED = 1 << 1, SC_RESET = 1 << 4, SC_POWER = 1 << 9, SC_LINK_WRITE = 1 << 16,
       SC_CONNECT_CHANGE = 1 << 17, SC_ENABLE_CHANGE = 1 << 18, SC_WARM_CHANGE = 1 << 19, SC_RESET_CHANGE = 1 << 21,
       SC_LINK_CHANGE = 1 << 22 };
enum { SC_CHANGES = 0xfe0000, SC_INDICATOR = 0xc000, SC_WAKE = 0x0e000000, SC_SPEED_SHIFT = 10, SC_LINK_SHIFT = 5 };
#define SC_WARM_RESET UINT32_C(0x80000000)
enum { LINK_U0 = 0, LINK_U3 = 3, LINK_DISABLED = 4, LINK_DETECT = 5, LINK_POLLING = 7, LINK_RESUME = 15 };

/* ---- which is which: USB 2 ports come first; connector n has the nth of both kinds ---- */

static bool is_usb3(const Xhci *x, unsigned n) { return n >= x->usb2_ports; }

static UsbPort *connector_of(Xhci *x, unsigned n) { return &x->connector[is_usb3(x, n) ? n - x->usb2_ports : n]; }

static unsigned port_of(const Xhci *x, const UsbPort *connector)
{
    unsigned n = connector - x->connector;
    return connector->speed == USB_SUPER ? n + x->usb2_ports : n;
}

static UsbDevice *device_at(Xhci *x, unsigned n)
{
    UsbPort *c = connector_of(x, n);
    return c->device && port_of(x, c) == n ? c->device : NULL;
}

UsbDevice *xhci_slot_device(Xhci *x, const XhciSlot *s)
{
    if (!s->port || s->port > xhci_ports(x) || !device_at(x, s->port - 1))
        return NULL;
    return usb_port_route(connector_of(x, s->port - 1), s->route);
}

/* ---- PORTSC ---- */

static unsigned link_of(const XhciPort *p) { return p->portsc >> SC_LINK_SHIFT & 15; }
static void set_link(XhciPort *p, unsigned link) { p->portsc = bits_deposit(p->portsc, SC_LINK_SHIFT, 4, link); }

/* A bit that becomes set is an event (4.19.2). */
static void changed(Xhci *x, unsigned n, uint32_t bits)
{
    XhciPort *p = &x->port[n];
    if ((p->portsc & bits) == bits)
        return;
    p->portsc |= bits;
    p->event = true;
    x->usbsts |= STS_PORT;
    xhci_work(x);
}

void xhci_ports_started(Xhci *x)
{
    for (unsigned n = 0; n < xhci_ports(x); n++)
        x->port[n].event = x->port[n].portsc & SC_CHANGES;
}

bool xhci_ports_report(Xhci *x)
{
    for (unsigned n = 0; n < xhci_ports(x); n++) {
        if (!x->port[n].event)
            continue;
        if (!xhci_event_room(x, 1, 0))
            return false;
        x->port[n].event = false;
        xhci_event(x, 0, (uint64_t)(n + 1) << 24, (uint32_t)CC_SUCCESS << 24, TRB_PORT_EVENT << 10);
        return true;
    }
    return false;
}

/* A USB 3 link trains by itself; a USB 2 port is enabled by a reset (4.19.1). */
static void connect(Xhci *x, unsigned n)
{
    static const uint8_t ids[] = { [USB_FULL] = 1, [USB_LOW] = 2, [USB_HIGH] = 3, [USB_SUPER] = 4 }; /* 7.2.2.1.1 */
    XhciPort *p = &x->port[n];
    UsbDevice *d = device_at(x, n);
    p->portsc = (p->portsc & (SC_CHANGES | SC_WAKE)) | SC_POWER;
    set_link(p, LINK_DETECT);
    if (!d)
        return;
    p->portsc |= SC_CONNECTED | (uint32_t)ids[usb_speed(d)] << SC_SPEED_SHIFT;
    set_link(p, is_usb3(x, n) ? LINK_U0 : LINK_POLLING);
    if (is_usb3(x, n))
        p->portsc |= SC_ENABLED;
}

static void reset_port(Xhci *x, unsigned n, bool warm)
{
    XhciPort *p = &x->port[n];
    UsbDevice *d = device_at(x, n);
    if (!d)
        return;
    usb_device_reset(d);
    set_link(p, LINK_U0);
    p->portsc |= SC_ENABLED;
    changed(x, n, SC_RESET_CHANGE | (warm ? SC_WARM_CHANGE : 0));
}

static void disable_port(Xhci *x, unsigned n)
{
    XhciPort *p = &x->port[n];
    p->portsc &= ~(uint32_t)SC_ENABLED;
    set_link(p, is_usb3(x, n) ? LINK_DISABLED : LINK_POLLING);
}

/* What the guest may make of the link's state (5.4.8, PLS). */
static void write_link(Xhci *x, unsigned n, unsigned link)
{
    XhciPort *p = &x->port[n];
    UsbDevice *d = device_at(x, n);
    unsigned old = link_of(p);
    if (link == LINK_DISABLED && is_usb3(x, n)) {
        disable_port(x, n);
    } else if (link == LINK_DETECT && is_usb3(x, n) && old == LINK_DISABLED) {
        connect(x, n);
        if (d)
            changed(x, n, SC_CONNECT_CHANGE);
    } else if (d && p->portsc & SC_ENABLED && (link <= LINK_U3 || (link == LINK_RESUME && old == LINK_U3))) {
        set_link(p, link);
        usb_suspend(d, link == LINK_U3);
        if (link == LINK_U0 && old >= LINK_U3)
            changed(x, n, SC_LINK_CHANGE);
    }
}

static void write_portsc(Xhci *x, unsigned n, uint32_t v)
{
    XhciPort *p = &x->port[n];
    p->portsc &= ~(v & SC_CHANGES);
    p->portsc = (p->portsc & ~(uint32_t)(SC_WAKE | SC_INDICATOR)) | (v & (SC_WAKE | SC_INDICATOR));
    if (v & SC_WARM_RESET && is_usb3(x, n))
        reset_port(x, n, true);
    else if (v & SC_RESET)
        reset_port(x, n, false);
    else if (v & SC_ENABLED)
        disable_port(x, n);
    else if (v & SC_LINK_WRITE)
        write_link(x, n, v >> SC_LINK_SHIFT & 15);
}

uint32_t xhci_port_read(const Xhci *x, unsigned n, unsigned offset)
{
    switch (offset) {
    case PORTSC: return x->port[n].portsc;
    case PORTPMSC: return x->port[n].portpmsc;
    default: return 0;
    }
}

void xhci_port_write(Xhci *x, unsigned n, unsigned offset, uint32_t v)
{
    if (offset == PORTSC)
        write_portsc(x, n, v);
    else if (offset == PORTPMSC)
        x->port[n].portpmsc = v & (is_usb3(x, n) ? 0x1ffff : 0xffff); /* link power management, which does nothing */
}

void xhci_ports_reset(Xhci *x)
{
    for (unsigned n = 0; n < xhci_ports(x); n++) {
        x->port[n] = (XhciPort){ 0 };
        if (device_at(x, n))
            usb_device_reset(device_at(x, n));
        connect(x, n);
        if (device_at(x, n))
            changed(x, n, SC_CONNECT_CHANGE);
    }
}

/* ---- what devices do ---- */

static void attached(UsbPort *c)
{
    Xhci *x = c->opaque;
    connect(x, port_of(x, c));
    changed(x, port_of(x, c), SC_CONNECT_CHANGE);
}

static void detached(UsbPort *c)
{
    Xhci *x = c->opaque;
    connect(x, port_of(x, c));
    changed(x, port_of(x, c), SC_CONNECT_CHANGE);
}

static void ready(UsbPort *c, UsbDevice *d, uint8_t address)
{
    Xhci *x = c->opaque;
    unsigned dci = (address & 15) * 2 + (address >> 7);
    for (unsigned id = 1; id <= XHCI_SLOTS; id++) {
        XhciSlot *s = &x->slot[id];
        if (!s->enabled || !s->ep[dci].waiting || xhci_slot_device(x, s) != d)
            continue;
        s->pending |= BIT(dci);
        xhci_work(x);
    }
}

static void resume(UsbPort *c)
{
    Xhci *x = c->opaque;
    unsigned n = port_of(x, c);
    if (link_of(&x->port[n]) != LINK_U3)
        return;
    set_link(&x->port[n], LINK_RESUME);
    changed(x, n, SC_LINK_CHANGE);
}

const UsbPortOps xhci_port_ops = { .attached = attached, .detached = detached, .ready = ready, .resume = resume };
