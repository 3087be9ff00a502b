/* The xHCI controller: registers and life (xHCI 1.1, chapter 5). */
#include "hw/usb/xhci.h"

#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/machine.h"
#include "hw/usb/xhci_internal.h"
#include "util/bits.h"
#include "util/endian.h"

enum { CAPABILITIES_SIZE = 0x40, PROTOCOLS = 0x20, OPERATIONAL = 0x40, PORTS = 0x440, RUNTIME = 0x1000,
       INTERRUPTERS = 0x1020, DOORBELLS = 0x2000, REGISTERS_SIZE = 0x4000 };
enum { USBCMD = 0x00, USBSTS = 0x04, PAGESIZE = 0x08, DNCTRL = 0x14, CRCR = 0x18, DCBAAP = 0x30, CONFIG = 0x38 };
enum { CRCR_CYCLE = 1, CRCR_STOP = 2, CRCR_ABORT = 4, CRCR_RUNNING = 8, CRCR_FLAGS = 63 };
enum { CMD_WRITABLE = 0xf0d, STS_CLEARABLE = 0x41c };
enum { STEPS_MAX = 4096, RESUME_AFTER = 1000000 /* ns */, MICROFRAME = 125000 };
enum { MSIX_BAR = 2, CAPABILITY_START = 0x70 };

/* ---- work ---- */

int64_t xhci_now(const Xhci *x) { return clock_now(x->pci.dev.machine->clocks, MYNA_CLOCK_VIRTUAL); }

void xhci_continue_at(Xhci *x, int64_t ns)
{
    if (!timer_armed(x->timer) || timer_deadline(x->timer) > ns)
        timer_arm(x->timer, ns);
}

/* Endpoints that wait for room or time stay pending; the others do until they have nothing more. */
static bool endpoints_step(Xhci *x, unsigned id, uint32_t *blocked)
{
    bool done = false;
    for (unsigned dci = 1; dci < XHCI_ENDPOINTS; dci++) {
        uint32_t bit = BIT(dci);
        if (!(x->slot[id].pending & bit))
            continue;
        x->slot[id].pending &= ~bit;
        switch (xhci_endpoint_step(x, id, dci)) {
        case XHCI_DONE: x->slot[id].pending |= bit; done = true; break;
        case XHCI_BLOCKED: *blocked |= bit; break;
        case XHCI_IDLE: break;
        }
    }
    return done;
}

static bool slots_step(Xhci *x)
{
    bool done = false;
    for (unsigned id = 1; id <= XHCI_SLOTS; id++) {
        uint32_t blocked = 0;
        if (!x->slot[id].enabled || !x->slot[id].pending)
            continue;
        done |= endpoints_step(x, id, &blocked);
        x->slot[id].pending |= blocked;
    }
    return done;
}

static bool step(Xhci *x)
{
    x->again = false;
    bool done = xhci_ports_report(x);
    done |= xhci_command_step(x);
    done |= slots_step(x);
    return done || x->again;
}

/* Steps until there is nothing that can be done now; a guest whose rings have no end lets others live meanwhile. */
static void work(Xhci *x)
{
    unsigned steps = 0;
    while (xhci_runs(x) && pci_may_master(&x->pci) && steps < STEPS_MAX && step(x))
        steps++;
    if (steps == STEPS_MAX)
        xhci_continue_at(x, xhci_now(x) + RESUME_AFTER);
    xhci_update_interrupts(x);
}

void xhci_work(Xhci *x)
{
    if (x->busy) {
        x->again = true;
        return;
    }
    x->busy = true;
    work(x);
    x->busy = false;
}

/* Periodic endpoints, whose time may have come, are not pending: look at all. */
static void go_on(void *opaque)
{
    Xhci *x = opaque;
    for (unsigned id = 1; id <= XHCI_SLOTS; id++)
        for (unsigned dci = 1; x->slot[id].enabled && dci < XHCI_ENDPOINTS; dci++)
            if (x->slot[id].ep[dci].due)
                x->slot[id].pending |= BIT(dci);
    xhci_work(x);
}

/* ---- operational registers (5.4) ---- */

static void controller_reset(Xhci *x)
{
    for (unsigned id = 1; id <= XHCI_SLOTS; id++)
        xhci_slot_disable(x, id);
    memset(x->interrupter, 0, sizeof x->interrupter);
    x->usbcmd = x->dnctrl = x->config = 0;
    x->usbsts = STS_HALTED;
    x->dcbaap = 0;
    x->commands = (XhciRing){ 0 };
    x->command_running = x->saved = false;
    timer_cancel(x->timer);
    xhci_ports_reset(x);
    xhci_update_interrupts(x);
}

/* What was saved lies in the registers still, unless there was a reset since (4.23.2). */
static void save_or_restore(Xhci *x, uint32_t v)
{
    if (v & CMD_SAVE)
        x->saved = true;
    else if (v & CMD_RESTORE && !x->saved)
        x->usbsts |= STS_RESTORE_ERROR;
}

static void write_usbcmd(Xhci *x, uint32_t v)
{
    if (v & CMD_RESET) {
        controller_reset(x);
        return;
    }
    x->usbcmd = v & CMD_WRITABLE & ~(uint32_t)(CMD_SAVE | CMD_RESTORE);
    save_or_restore(x, v);
    if (v & CMD_RUN && !xhci_runs(x)) {
        x->usbsts &= ~(uint32_t)STS_HALTED;
        xhci_ports_started(x);
    } else if (!(v & CMD_RUN) && xhci_runs(x)) {
        x->usbsts |= STS_HALTED;
        x->command_running = false;
    }
}

/* The place can be set while the ring is stopped (5.4.5). */
static void write_crcr(Xhci *x, uint32_t v)
{
    if (x->command_running) {
        if (v & (CRCR_STOP | CRCR_ABORT))
            xhci_command_ring_stop(x);
        return;
    }
    x->commands.dequeue = bits_deposit(x->commands.dequeue, 0, 32, v & ~(uint32_t)CRCR_FLAGS);
    x->commands.cycle = v & CRCR_CYCLE;
}

static uint32_t operational_read(const Xhci *x, unsigned offset)
{
    switch (offset) {
    case USBCMD: return x->usbcmd;
    case USBSTS: return x->usbsts;
    case PAGESIZE: return 1; /* 4 KiB */
    case DNCTRL: return x->dnctrl;
    case CRCR: return x->command_running ? CRCR_RUNNING : 0;
    case DCBAAP: return x->dcbaap;
    case DCBAAP + 4: return x->dcbaap >> 32;
    case CONFIG: return x->config;
    default: return 0;
    }
}

static void operational_write(Xhci *x, unsigned offset, uint32_t v)
{
    switch (offset) {
    case USBCMD: write_usbcmd(x, v); break;
    case USBSTS: x->usbsts &= ~(v & STS_CLEARABLE); break;
    case DNCTRL: x->dnctrl = v & 0xffff; break;
    case CRCR: write_crcr(x, v); break;
    case CRCR + 4:
        if (!x->command_running)
            x->commands.dequeue = bits_deposit(x->commands.dequeue, 32, 32, v);
        break;
    case DCBAAP: x->dcbaap = bits_deposit(x->dcbaap, 0, 32, v & ~63u); break;
    case DCBAAP + 4: x->dcbaap = bits_deposit(x->dcbaap, 32, 32, v); break;
    case CONFIG: x->config = v & 0xff; break;
    default: break;
    }
}

/* ---- capabilities (5.3), and protocols of the ports (7.2) ---- */

static uint32_t protocol_read(const Xhci *x, unsigned offset)
{
    bool usb3 = offset >= 16;
    unsigned first = usb3 ? x->usb2_ports : 0, count = usb3 ? x->usb3_ports : x->usb2_ports;
    switch (offset % 16) {
    case 0: return (usb3 ? 0x03000002 : 0x02000402); /* the second is the last; a list goes on in units of 4 bytes */
    case 4: return 0x20425355;                       /* "USB " */
    case 8: return (count ? first + 1 : 0) | count << 8;
    default: return 0;
    }
}

static uint32_t capability_read(const Xhci *x, unsigned offset)
{
    switch (offset) {
    case 0x00: return 0x0110 << 16 | CAPABILITIES_SIZE;
    case 0x04: return XHCI_SLOTS | XHCI_INTERRUPTERS << 8 | xhci_ports(x) << 24;
    case 0x08: return 4 << 4 | 1;                    /* 2^4 segments of an event ring; no scratchpads */
    case 0x10: return PROTOCOLS / 4 << 16 | 1;       /* 64-bit addresses; contexts of 32 bytes; no streams */
    case 0x14: return DOORBELLS;
    case 0x18: return RUNTIME;
    default: return offset >= PROTOCOLS ? protocol_read(x, offset - PROTOCOLS) : 0;
    }
}

/* ---- runtime registers and doorbells (5.5, 5.6) ---- */

static uint32_t runtime_read(const Xhci *x, unsigned offset)
{
    unsigned n = (offset - (INTERRUPTERS - RUNTIME)) / 32;
    if (offset == 0)
        return xhci_runs(x) ? xhci_now(x) / MICROFRAME & 0x3fff : 0; /* MFINDEX */
    return offset >= INTERRUPTERS - RUNTIME && n < XHCI_INTERRUPTERS ? xhci_interrupter_read(x, n, offset % 32) : 0;
}

static void runtime_write(Xhci *x, unsigned offset, uint32_t v)
{
    unsigned n = (offset - (INTERRUPTERS - RUNTIME)) / 32;
    if (offset >= INTERRUPTERS - RUNTIME && n < XHCI_INTERRUPTERS)
        xhci_interrupter_write(x, n, offset % 32, v);
}

/* A stopped endpoint runs again (4.8.3). */
static void ring_endpoint(Xhci *x, unsigned id, unsigned dci)
{
    XhciSlot *s = &x->slot[id];
    if (id > XHCI_SLOTS || !s->enabled || !dci || dci >= XHCI_ENDPOINTS || s->ep[dci].state == EP_DISABLED) {
        log_guest_error("%s: doorbell of slot %u, endpoint %u, which is not in use", x->pci.dev.id, id, dci);
        return;
    }
    if (s->ep[dci].state == EP_STOPPED)
        xhci_endpoint_set(x, id, dci, EP_RUNNING);
    s->pending |= BIT(dci);
}

static void doorbell(Xhci *x, unsigned n, uint32_t v)
{
    if (!xhci_runs(x))
        log_guest_error("%s: doorbell %u while the controller is halted", x->pci.dev.id, n);
    else if (n)
        ring_endpoint(x, n, v & 0xff);
    else
        x->command_running = true;
}

/* ---- the region ---- */

static uint64_t registers_read(void *opaque, uint64_t offset, unsigned size)
{
    const Xhci *x = opaque;
    (void)size;
    if (offset < OPERATIONAL)
        return capability_read(x, offset);
    if (offset < PORTS)
        return operational_read(x, offset - OPERATIONAL);
    if (offset < PORTS + 16 * xhci_ports(x))
        return xhci_port_read(x, (offset - PORTS) / 16, offset % 16);
    return offset >= RUNTIME && offset < DOORBELLS ? runtime_read(x, offset - RUNTIME) : 0;
}

static void write_register(Xhci *x, unsigned offset, uint32_t v)
{
    if (offset >= DOORBELLS && offset < DOORBELLS + 4 * 256)
        doorbell(x, (offset - DOORBELLS) / 4, v);
    else if (offset >= RUNTIME && offset < DOORBELLS)
        runtime_write(x, offset - RUNTIME, v);
    else if (offset >= PORTS && offset < PORTS + 16 * xhci_ports(x))
        xhci_port_write(x, (offset - PORTS) / 16, offset % 16, v);
    else if (offset >= OPERATIONAL && offset < PORTS)
        operational_write(x, offset - OPERATIONAL, v);
}

static void registers_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    Xhci *x = opaque;
    (void)size;
    if (x->busy) {
        log_guest_error("%s: the controller is to write its own register %04x", x->pci.dev.id, (unsigned)offset);
        return;
    }
    x->busy = true;
    write_register(x, offset & ~UINT64_C(3), v);
    work(x);
    x->busy = false;
}

static const RegionOps registers_ops = {
    .read = registers_read, .write = registers_write, .min_size = 4, .max_size = 4,
};

/* Bus mastering may just have been allowed, or messages taken the place of the pin. */
static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    (void)offset, (void)size;
    xhci_work((Xhci *)pci);
}

/* ---- life ---- */

static void ports_create(Xhci *x)
{
    x->bus = usb_bus_new(&x->pci.dev);
    for (unsigned n = 0; n < MAX(x->usb2_ports, x->usb3_ports); n++) {
        unsigned speeds = (n < x->usb2_ports ? USB_SPEEDS_2 : 0) | (n < x->usb3_ports ? USB_SPEED_SUPER : 0);
        usb_port_add(x->bus, &x->connector[n], NULL, n + 1, speeds, &xhci_port_ops, x);
    }
}

static gboolean xhci_create(Device *dev, GError **err)
{
    Xhci *x = (Xhci *)dev;
    bool nec = dev->type == &nec_xhci_type;
    PciId id = { .vendor = nec ? 0x1033 : 0x1b36, .device = nec ? 0x0194 : 0x000d, .subsystem_vendor = 0x1af4,
                 .subsystem = 0x1100, .class_code = 0x0c0330, .revision = nec ? 3 : 1, .interrupt_pin = 1 };
    if (!x->usb2_ports && !x->usb3_ports)
        return error_set(err, "device '%s': p2 and p3 are both 0: a controller has at least one port", dev->id);
    if (!pci_device_init(&x->pci, &id, err))
        return FALSE;
    x->pci.config[0x60] = 0x30; /* serial bus release number (5.2.3) */
    x->pci.config[0x61] = 0x20; /* frame length (5.2.4) */
    x->registers = region_new_io("xhci", REGISTERS_SIZE, &registers_ops, x);
    pci_add_bar(&x->pci, 0, PCI_BAR_MEMORY64, x->registers);
    x->pci.capabilities_end = CAPABILITY_START; /* behind those two */
    msi_init(&x->pci, XHCI_INTERRUPTERS);
    msix_init(&x->msix, &x->pci, XHCI_INTERRUPTERS, MSIX_BAR);
    x->pci.config_written = config_written;
    x->timer = timer_new(dev->machine->clocks, MYNA_CLOCK_VIRTUAL, go_on, x);
    x->td = g_new(Trb, XHCI_TD_MAX);
    x->usbsts = STS_HALTED;
    ports_create(x);
    return TRUE;
}

static void xhci_reset(Device *dev)
{
    Xhci *x = (Xhci *)dev;
    pci_device_reset(&x->pci);
    controller_reset(x);
}

static void xhci_destroy(Device *dev)
{
    Xhci *x = (Xhci *)dev;
    for (unsigned id = 1; id <= XHCI_SLOTS; id++)
        xhci_slot_disable(x, id);
    usb_bus_free(x->bus);
    pci_device_exit(&x->pci);
    msix_exit(&x->msix);
    region_free(x->registers);
    timer_free(x->timer);
    g_free(x->td);
}

/* ---- restore: the saved state may come from anywhere ---- */

static bool slot_sane(const Xhci *x, const XhciSlot *s)
{
    for (unsigned dci = 0; dci < XHCI_ENDPOINTS; dci++) {
        const XhciEndpoint *e = &s->ep[dci];
        if (e->state > EP_ERROR || e->type > EP_INTERRUPT_IN || e->interval > 15 || e->status > USB_ERROR)
            return false;
    }
    return s->port <= xhci_ports(x) && s->state <= SLOT_CONFIGURED;
}

static gboolean xhci_post_load(Device *dev, GError **err)
{
    Xhci *x = (Xhci *)dev;
    for (unsigned id = 1; id <= XHCI_SLOTS; id++)
        if (!slot_sane(x, &x->slot[id]))
            return error_set(err, "%s: the saved state has a slot %u that cannot be", dev->id, id);
    for (unsigned n = 0; n < XHCI_INTERRUPTERS; n++)
        if (!xhci_interrupter_sane(&x->interrupter[n]))
            return error_set(err, "%s: the saved state has an event ring %u that cannot be", dev->id, n);
    for (unsigned id = 1; id <= XHCI_SLOTS; id++)
        for (unsigned dci = 1; dci < XHCI_ENDPOINTS; dci++)
            if (x->slot[id].ep[dci].packet)
                usb_cancel(x->slot[id].ep[dci].packet);
    pci_device_restored(&x->pci);
    return TRUE;
}

static const StateField ring_state[] = { STATE_U64(XhciRing, dequeue), STATE_BOOL(XhciRing, cycle), STATE_END };

static const StateField endpoint_state[] = {
    STATE_U8(XhciEndpoint, state), STATE_U8(XhciEndpoint, type), STATE_U8(XhciEndpoint, interval),
    STATE_STRUCT(XhciEndpoint, ring, ring_state), STATE_BOOL(XhciEndpoint, waiting), STATE_BOOL(XhciEndpoint, finished),
    STATE_U8(XhciEndpoint, status), STATE_U32(XhciEndpoint, actual), STATE_U64(XhciEndpoint, due), STATE_END
};

static const StateField slot_state[] = {
    STATE_BOOL(XhciSlot, enabled), STATE_U8(XhciSlot, state), STATE_U8(XhciSlot, port), STATE_U32(XhciSlot, route),
    STATE_U64(XhciSlot, context), STATE_U32(XhciSlot, pending), STATE_STRUCT_ARRAY(XhciSlot, ep, endpoint_state),
    STATE_END
};

static const StateField interrupter_state[] = {
    STATE_U32(XhciInterrupter, iman), STATE_U32(XhciInterrupter, imod), STATE_U32(XhciInterrupter, erstsz),
    STATE_U64(XhciInterrupter, erstba), STATE_U64(XhciInterrupter, erdp), STATE_ARRAY_U64(XhciInterrupter, base),
    STATE_ARRAY_U32(XhciInterrupter, size), STATE_U32(XhciInterrupter, segments), STATE_U32(XhciInterrupter, segment),
    STATE_U32(XhciInterrupter, at), STATE_BOOL(XhciInterrupter, cycle), STATE_BOOL(XhciInterrupter, due),
    STATE_BOOL(XhciInterrupter, full), STATE_END
};

static const StateField port_state[] = {
    STATE_U32(XhciPort, portsc), STATE_U32(XhciPort, portpmsc), STATE_BOOL(XhciPort, event), STATE_END
};

static const StateField xhci_state[] = {
    STATE_STRUCT(Xhci, pci, pci_device_state), STATE_STRUCT(Xhci, msix, msix_state), STATE_TIMER(Xhci, timer),
    STATE_U32(Xhci, usbcmd), STATE_U32(Xhci, usbsts), STATE_U32(Xhci, dnctrl), STATE_U32(Xhci, config),
    STATE_U64(Xhci, dcbaap), STATE_STRUCT(Xhci, commands, ring_state), STATE_BOOL(Xhci, command_running),
    STATE_BOOL(Xhci, saved), STATE_STRUCT_ARRAY(Xhci, port, port_state),
    STATE_STRUCT_ARRAY(Xhci, interrupter, interrupter_state), STATE_STRUCT_ARRAY(Xhci, slot, slot_state), STATE_END
};

#define PORTS_PROPERTY(field_, name_, help_)                                                                           \
    { .name = name_, .type = PROP_U32, .offset = offsetof(Xhci, field_), .initial = 4, .max = XHCI_PORTS_EACH,         \
      .help = help_ }
static const Property xhci_properties[] = {
    PCI_ADDR_PROPERTY(Xhci),
    PORTS_PROPERTY(usb2_ports, "p2", "ports for low, full and high speed"),
    PORTS_PROPERTY(usb3_ports, "p3", "ports for SuperSpeed"),
    PROPERTY_END
};

#define XHCI_DEVICE(n, what)                                                                                           \
    { .name = n, .description = what, .bus = "pci", .size = sizeof(Xhci), .user = true,                                \
      .properties = xhci_properties, .create = xhci_create, .reset = xhci_reset, .destroy = xhci_destroy,              \
      .state = xhci_state, .post_load = xhci_post_load }

const DeviceType qemu_xhci_type = XHCI_DEVICE("qemu-xhci", "USB 3 controller (xHCI)");
const DeviceType nec_xhci_type = XHCI_DEVICE("nec-usb-xhci", "USB 3 controller (xHCI) with NEC's numbers");
