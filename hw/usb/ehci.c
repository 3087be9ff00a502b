/* The EHCI controller: registers, ports and life (EHCI 1.0, chapter 2). */
#include "hw/usb/ehci.h"

#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/machine.h"
#include "hw/usb/ehci_internal.h"
#include "util/bits.h"
#include "util/endian.h"

enum { OPERATIONAL = 0x20, USBCMD = 0x00, USBSTS = 0x04, USBINTR = 0x08, FRINDEX = 0x0c, PERIODICLISTBASE = 0x14,
       ASYNCLISTADDR = 0x18, CONFIGFLAG = 0x40, PORTSC = 0x44, REGISTERS_SIZE = 0x1000 };
enum { CMD_INITIAL = 8 << 16 /* at most an interrupt each millisecond */, CMD_WRITABLE = 0xff0031, INTERRUPTS = 0x3f };
enum { PORT_CONNECTED = 1 << 0, PORT_CONNECT_CHANGE = 1 << 1, PORT_ENABLE_CHANGE = 1 << 3, PORT_RESUME = 1 << 6,
       PORT_SUSPEND = 1 << 7, PORT_RESET = 1 << 8, PORT_POWER = 1 << 12, PORT_OWNER = 1 << 13,
       PORT_WAKE = 7 << 20, PORT_CHANGES = 0x2a };
enum { CONFIG_RELEASE = 0x60, CONFIG_FRAME_LENGTH = 0x61 };

void ehci_update_irq(Ehci *s)
{
    if (s->usbcmd & EHCI_RUN && s->usbcmd & EHCI_PERIODIC)
        s->usbsts |= EHCI_STS_PERIODIC;
    else
        s->usbsts &= ~(uint32_t)EHCI_STS_PERIODIC;
    if (s->usbcmd & EHCI_RUN && s->usbcmd & EHCI_ASYNC)
        s->usbsts |= EHCI_STS_ASYNC;
    else
        s->usbsts &= ~(uint32_t)EHCI_STS_ASYNC;
    pci_set_irq(&s->pci, (s->usbsts & s->usbintr & INTERRUPTS) != 0);
}

/* ---- ports (2.3.9) ---- */

static void port_changed(Ehci *s, unsigned n, uint32_t bits)
{
    s->portsc[n] |= bits;
    s->usbsts |= EHCI_STS_PORT;
    ehci_update_irq(s);
}

static void port_connect(Ehci *s, unsigned n)
{
    s->portsc[n] = (s->portsc[n] & (PORT_CHANGES | PORT_WAKE | PORT_OWNER)) | PORT_POWER;
    if (s->port[n].device)
        s->portsc[n] |= PORT_CONNECTED;
}

static void plugged(UsbPort *p)
{
    Ehci *s = p->opaque;
    port_connect(s, p - s->port);
    port_changed(s, p - s->port, PORT_CONNECT_CHANGE);
}

static void ready(UsbPort *p, UsbDevice *d, uint8_t address)
{
    Ehci *s = p->opaque;
    (void)d, (void)address;
    s->quiet = 0;
    ehci_catch_up(s);
}

static void resume(UsbPort *p)
{
    Ehci *s = p->opaque;
    unsigned n = p - s->port;
    if (s->portsc[n] & PORT_SUSPEND && !(s->portsc[n] & PORT_RESUME))
        port_changed(s, n, PORT_RESUME);
}

static const UsbPortOps port_ops = { .attached = plugged, .detached = plugged, .ready = ready, .resume = resume };

/* A reset ends when the guest says so; the port is enabled then (2.3.9, bit 8). */
static void write_reset(Ehci *s, unsigned n, bool on)
{
    bool was = s->portsc[n] & PORT_RESET;
    if (on && !was) {
        s->portsc[n] = (s->portsc[n] & ~(uint32_t)(EHCI_PORT_ENABLED | PORT_SUSPEND | PORT_RESUME)) | PORT_RESET;
        usb_port_reset(&s->port[n]);
    } else if (!on && was) {
        s->portsc[n] &= ~(uint32_t)PORT_RESET;
        if (s->port[n].device)
            s->portsc[n] |= EHCI_PORT_ENABLED;
    }
}

static void write_suspend(Ehci *s, unsigned n, uint32_t v)
{
    if (v & PORT_SUSPEND && s->portsc[n] & EHCI_PORT_ENABLED)
        s->portsc[n] |= PORT_SUSPEND;
    if (v & PORT_RESUME && s->portsc[n] & PORT_SUSPEND)
        s->portsc[n] |= PORT_RESUME;
    else if (!(v & PORT_RESUME) && s->portsc[n] & PORT_RESUME)
        s->portsc[n] &= ~(uint32_t)(PORT_RESUME | PORT_SUSPEND);
    if (s->port[n].device)
        usb_suspend(s->port[n].device, s->portsc[n] & PORT_SUSPEND);
}

static void write_port(Ehci *s, unsigned n, uint32_t v)
{
    const uint32_t kept = PORT_WAKE | PORT_OWNER;
    s->portsc[n] = (s->portsc[n] & ~(kept | (v & PORT_CHANGES))) | (v & kept);
    if (!(v & EHCI_PORT_ENABLED))
        s->portsc[n] &= ~(uint32_t)(EHCI_PORT_ENABLED | PORT_SUSPEND);
    write_reset(s, n, v & PORT_RESET);
    write_suspend(s, n, v);
}

/* ---- registers ---- */

static void controller_reset(Ehci *s)
{
    usb_laters_cancel(&s->later);
    timer_cancel(s->timer);
    s->usbcmd = CMD_INITIAL;
    s->usbsts = EHCI_STS_HALTED;
    s->usbintr = s->frindex = s->periodic_list = s->async_list = s->configflag = 0;
    s->frame_at = 0;
    s->quiet = 0;
    s->doorbell = false;
    for (unsigned n = 0; n < EHCI_PORTS; n++) {
        s->portsc[n] = 0;
        usb_port_reset(&s->port[n]);
        port_connect(s, n);
        if (s->port[n].device)
            s->portsc[n] |= PORT_CONNECT_CHANGE;
    }
    ehci_update_irq(s);
}

static void write_command(Ehci *s, uint32_t v)
{
    bool ran = s->usbcmd & EHCI_RUN;
    if (v & EHCI_RESET) {
        controller_reset(s);
        return;
    }
    ehci_catch_up(s);
    s->usbcmd = v & CMD_WRITABLE;
    s->doorbell |= v & EHCI_DOORBELL && v & EHCI_ASYNC;
    if (v & EHCI_RUN && !ran) {
        s->usbsts &= ~(uint32_t)EHCI_STS_HALTED;
        ehci_start(s);
    } else if (!(v & EHCI_RUN)) {
        s->usbsts |= EHCI_STS_HALTED;
        timer_cancel(s->timer);
    }
    s->quiet = 0;
    ehci_catch_up(s);
}

static uint32_t operational_read(Ehci *s, unsigned offset)
{
    switch (offset) {
    case USBCMD: return s->usbcmd | (s->doorbell ? EHCI_DOORBELL : 0);
    case USBSTS: return s->usbsts;
    case USBINTR: return s->usbintr;
    case FRINDEX: ehci_catch_up(s); return s->frindex;
    case PERIODICLISTBASE: return s->periodic_list;
    case ASYNCLISTADDR: return s->async_list;
    case CONFIGFLAG: return s->configflag;
    default: return offset >= PORTSC && offset < PORTSC + 4 * EHCI_PORTS ? s->portsc[(offset - PORTSC) / 4] : 0;
    }
}

static void operational_write(Ehci *s, unsigned offset, uint32_t v)
{
    switch (offset) {
    case USBCMD: write_command(s, v); break;
    case USBSTS: s->usbsts &= ~(v & INTERRUPTS); break;
    case USBINTR: s->usbintr = v & INTERRUPTS; break;
    case FRINDEX:
        if (s->usbsts & EHCI_STS_HALTED)
            s->frindex = v & 0x3ff8;
        break;
    case PERIODICLISTBASE: s->periodic_list = v & ~0xfffu; break;
    case ASYNCLISTADDR: s->async_list = v & ~31u; break;
    case CONFIGFLAG: s->configflag = v & 1; break;
    default:
        if (offset >= PORTSC && offset < PORTSC + 4 * EHCI_PORTS)
            write_port(s, (offset - PORTSC) / 4, v);
    }
}

static uint64_t registers_read(void *opaque, uint64_t offset, unsigned size)
{
    static const uint32_t capabilities[] = { 0x0100 << 16 | OPERATIONAL, EHCI_PORTS, 0 /* no 64-bit addresses */ };
    unsigned at = offset & ~UINT64_C(3);
    uint32_t v = at < sizeof capabilities ? capabilities[at / 4] : 0;
    if (at >= OPERATIONAL)
        v = operational_read(opaque, at - OPERATIONAL);
    return v >> offset % 4 * 8 & bit_mask(8 * size);
}

static void registers_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    Ehci *s = opaque;
    if (s->busy || size != 4 || offset < OPERATIONAL) {
        log_guest_error("%s: a write of %u bytes to register %03x", s->pci.dev.id, size, (unsigned)offset);
        return;
    }
    operational_write(s, offset - OPERATIONAL, v);
    ehci_update_irq(s);
}

static const RegionOps registers_ops = {
    .read = registers_read, .write = registers_write, .min_size = 1, .max_size = 4,
};

/* ---- life ---- */

static void timer_fired(void *opaque) { ehci_catch_up(opaque); }

static gboolean ehci_create(Device *dev, GError **err)
{
    Ehci *s = (Ehci *)dev;
    PciId id = { .vendor = 0x8086, .device = dev->type == &ich9_ehci_type ? 0x293a : 0x24cd, .subsystem_vendor = 0x1af4,
                 .subsystem = 0x1100, .class_code = 0x0c0320, .revision = 0x10, .interrupt_pin = 4 };
    if (!pci_device_init(&s->pci, &id, err))
        return FALSE;
    s->pci.config[CONFIG_RELEASE] = 0x20;
    s->pci.config[CONFIG_FRAME_LENGTH] = 0x20;
    s->pci.writable[CONFIG_FRAME_LENGTH] = 0x3f;
    s->registers = region_new_io("ehci", REGISTERS_SIZE, &registers_ops, s);
    pci_add_bar(&s->pci, 0, PCI_BAR_MEMORY, s->registers);
    s->timer = timer_new(dev->machine->clocks, MYNA_CLOCK_VIRTUAL, timer_fired, s);
    usb_laters_init(&s->later, pci_memory(&s->pci), ehci_ended, s);
    s->bus = usb_bus_new(dev);
    for (unsigned n = 0; n < EHCI_PORTS; n++)
        usb_port_add(s->bus, &s->port[n], NULL, n + 1, USB_SPEED_HIGH, &port_ops, s);
    return TRUE;
}

static void ehci_reset(Device *dev)
{
    Ehci *s = (Ehci *)dev;
    pci_device_reset(&s->pci);
    s->pci.config[CONFIG_FRAME_LENGTH] = 0x20;
    controller_reset(s);
}

static void ehci_destroy(Device *dev)
{
    Ehci *s = (Ehci *)dev;
    s->usbcmd = 0;
    usb_laters_cancel(&s->later);
    usb_bus_free(s->bus);
    pci_device_exit(&s->pci);
    region_free(s->registers);
    timer_free(s->timer);
    usb_laters_clear(&s->later);
}

static gboolean ehci_post_load(Device *dev, GError **err)
{
    Ehci *s = (Ehci *)dev;
    if (s->frindex > 0x3fff || s->periodic_list & 0xfff || s->async_list & 31 || s->frame_at < 0 ||
        s->frame_at > INT64_MAX / 2)
        return error_set(err, "%s: the saved state has lists that cannot be", dev->id);
    usb_laters_cancel(&s->later);
    pci_device_restored(&s->pci);
    return TRUE;
}

static const StateField ehci_state[] = {
    STATE_STRUCT(Ehci, pci, pci_device_state), STATE_TIMER(Ehci, timer), STATE_U64(Ehci, frame_at),
    STATE_U32(Ehci, usbcmd), STATE_U32(Ehci, usbsts), STATE_U32(Ehci, usbintr), STATE_U32(Ehci, frindex),
    STATE_U32(Ehci, periodic_list), STATE_U32(Ehci, async_list), STATE_U32(Ehci, configflag),
    STATE_ARRAY_U32(Ehci, portsc), STATE_BOOL(Ehci, doorbell), STATE_U32(Ehci, quiet), STATE_END
};

static const Property ehci_properties[] = { PCI_ADDR_PROPERTY(Ehci), PROPERTY_END };

#define EHCI_DEVICE(n, what)                                                                                           \
    { .name = n, .description = what, .bus = "pci", .size = sizeof(Ehci), .user = true,                                \
      .properties = ehci_properties, .create = ehci_create, .reset = ehci_reset, .destroy = ehci_destroy,              \
      .state = ehci_state, .post_load = ehci_post_load }

const DeviceType usb_ehci_type = EHCI_DEVICE("usb-ehci", "USB 2 controller (EHCI)");
const DeviceType ich9_ehci_type = EHCI_DEVICE("ich9-usb-ehci1", "USB 2 controller (EHCI) of Intel's ICH9");
