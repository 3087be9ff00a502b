/* The UHCI controller of the PIIX chips: registers, ports and life (UHCI 1.1, chapter 2). */
#include "hw/usb/uhci.h"

#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/machine.h"
#include "hw/usb/uhci_internal.h"
#include "util/bits.h"
#include "util/endian.h"

enum { USBCMD = 0x00, USBSTS = 0x02, USBINTR = 0x04, FRNUM = 0x06, FRBASEADD = 0x08, SOFMOD = 0x0c, PORTSC = 0x10,
       REGISTERS_SIZE = 0x20, BAR = 4, LEGACY = 0xc0, RELEASE = 0x60 };
enum { INTR_ERROR = 1, INTR_RESUME = 2, INTR_DONE = 4, INTR_SHORT = 8, SOF_DEFAULT = 64 };
enum { PORT_CHANGES = UHCI_PORT_CONNECT_CHANGE | UHCI_PORT_ENABLE_CHANGE,
       PORT_WRITABLE = UHCI_PORT_ENABLED | UHCI_PORT_RESUME | UHCI_PORT_RESET | UHCI_PORT_SUSPEND };

/* The level that status and enables make (2.1.3). */
void uhci_update_irq(Uhci *s)
{
    bool on = (s->interrupt_done && s->enabled & INTR_DONE) || (s->interrupt_short && s->enabled & INTR_SHORT) ||
              (s->status & UHCI_STS_ERROR && s->enabled & INTR_ERROR) ||
              (s->status & UHCI_STS_RESUME && s->enabled & INTR_RESUME) || s->status & UHCI_STS_PROCESS_ERROR;
    pci_set_irq(&s->pci, on);
}

/* ---- ports ---- */

static void port_connect(Uhci *s, unsigned n)
{
    const UsbPort *p = &s->port[n];
    uint16_t changes = s->portsc[n] & PORT_CHANGES;
    if (s->portsc[n] & UHCI_PORT_ENABLED)
        changes |= UHCI_PORT_ENABLE_CHANGE;
    s->portsc[n] = UHCI_PORT_ONE | changes | UHCI_PORT_CONNECT_CHANGE;
    if (p->device)
        s->portsc[n] |= UHCI_PORT_CONNECTED | (p->speed == USB_LOW ? UHCI_PORT_LOW_SPEED : 0);
}

static void port_resume(Uhci *s, unsigned n)
{
    if (s->portsc[n] & UHCI_PORT_SUSPEND)
        s->portsc[n] |= UHCI_PORT_RESUME;
    if (s->portsc[n] & UHCI_PORT_SUSPEND || s->command & UHCI_GLOBAL_SUSPEND)
        s->status |= UHCI_STS_RESUME;
    uhci_update_irq(s);
}

static void plugged(UsbPort *p)
{
    Uhci *s = p->opaque;
    port_connect(s, p - s->port);
    port_resume(s, p - s->port);
}

static void resume(UsbPort *p)
{
    Uhci *s = p->opaque;
    port_resume(s, p - s->port);
}

static void ready(UsbPort *p, UsbDevice *d, uint8_t address)
{
    Uhci *s = p->opaque;
    (void)d, (void)address;
    s->quiet = 0;
    uhci_catch_up(s);
}

static const UsbPortOps port_ops = { .attached = plugged, .detached = plugged, .ready = ready, .resume = resume };

static bool is_asleep(const Uhci *s, unsigned n)
{
    return s->portsc[n] & UHCI_PORT_SUSPEND || s->command & UHCI_GLOBAL_SUSPEND;
}

static void ports_update_sleep(Uhci *s)
{
    for (unsigned n = 0; n < UHCI_PORTS; n++)
        if (s->port[n].device)
            usb_suspend(s->port[n].device, is_asleep(s, n));
}

static void write_port(Uhci *s, unsigned n, uint16_t v)
{
    uint16_t old = s->portsc[n];
    s->portsc[n] = (old & ~(PORT_WRITABLE | (v & PORT_CHANGES))) | (v & PORT_WRITABLE);
    if (!s->port[n].device)
        s->portsc[n] &= ~(UHCI_PORT_ENABLED | UHCI_PORT_SUSPEND | UHCI_PORT_RESUME);
    if (v & ~old & UHCI_PORT_RESET) {
        usb_port_reset(&s->port[n]);
        s->portsc[n] &= ~(UHCI_PORT_ENABLED | UHCI_PORT_SUSPEND);
    }
    if (old & ~v & UHCI_PORT_RESUME) /* the end of resume ends the suspension (2.1.7) */
        s->portsc[n] &= ~UHCI_PORT_SUSPEND;
    ports_update_sleep(s);
}

/* ---- registers ---- */

static void controller_reset(Uhci *s)
{
    usb_laters_cancel(&s->later);
    timer_cancel(s->timer);
    s->command = s->enabled = s->frame = 0;
    s->status = UHCI_STS_HALTED;
    s->frame_list = 0;
    s->frame_at = 0;
    s->quiet = 0;
    s->sof = SOF_DEFAULT;
    s->interrupt_done = s->interrupt_short = false;
    for (unsigned n = 0; n < UHCI_PORTS; n++) {
        s->portsc[n] = UHCI_PORT_ONE;
        usb_port_reset(&s->port[n]);
        if (s->port[n].device)
            port_connect(s, n);
    }
    uhci_update_irq(s);
}

static void write_command(Uhci *s, uint16_t v)
{
    uint16_t old = s->command;
    if (v & UHCI_RESET) {
        controller_reset(s);
        return;
    }
    if (v & ~old & UHCI_GLOBAL_RESET)
        for (unsigned n = 0; n < UHCI_PORTS; n++)
            usb_port_reset(&s->port[n]);
    s->command = v & 0xff;
    ports_update_sleep(s);
    if (v & ~old & UHCI_RUN) {
        s->status &= ~UHCI_STS_HALTED;
        uhci_start(s);
    } else if (!(v & UHCI_RUN)) {
        s->status |= UHCI_STS_HALTED;
        timer_cancel(s->timer);
    }
}

static void write_status(Uhci *s, uint16_t v)
{
    s->status &= ~(v & 0x1f);
    if (v & UHCI_STS_INTERRUPT)
        s->interrupt_done = s->interrupt_short = false;
}

static uint16_t read_word(Uhci *s, unsigned offset)
{
    switch (offset) {
    case USBCMD: return s->command;
    case USBSTS: return s->status;
    case USBINTR: return s->enabled;
    case FRNUM: uhci_catch_up(s); return s->frame;
    case FRBASEADD: return s->frame_list;
    case FRBASEADD + 2: return s->frame_list >> 16;
    case SOFMOD: return s->sof;
    case PORTSC: case PORTSC + 2: return s->portsc[(offset - PORTSC) / 2];
    default: return offset < PORTSC + 2 * UHCI_PORTS ? 0 : 0xff7f; /* as a port that there is not: bit 7 is 0 */
    }
}

static void write_word(Uhci *s, unsigned offset, uint16_t v)
{
    switch (offset) {
    case USBCMD: write_command(s, v); break;
    case USBSTS: write_status(s, v); break;
    case USBINTR: s->enabled = v & 15; break;
    case FRNUM:
        if (s->status & UHCI_STS_HALTED)
            s->frame = v & 0x7ff;
        break;
    case FRBASEADD: s->frame_list = bits_deposit(s->frame_list, 0, 16, v & 0xf000); break;
    case FRBASEADD + 2: s->frame_list = bits_deposit(s->frame_list, 16, 16, v); break;
    case SOFMOD: s->sof = v & 0x7f; break;
    case PORTSC: case PORTSC + 2: write_port(s, (offset - PORTSC) / 2, v); break;
    default: break;
    }
}

static uint64_t registers_read(void *opaque, uint64_t offset, unsigned size)
{
    uint32_t v = read_word(opaque, offset & ~UINT64_C(1));
    return size == 1 ? v >> offset % 2 * 8 & 0xff : v;
}

/* Bytes: of the one register that is that wide, and halves of the others. */
static void registers_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    Uhci *s = opaque;
    unsigned at = offset & ~UINT64_C(1);
    if (s->busy) {
        log_guest_error("%s: the controller is to write its own register %02x", s->pci.dev.id, (unsigned)offset);
        return;
    }
    if (size == 1)
        v = bits_deposit(at == USBSTS ? 0 : read_word(s, at), offset % 2 * 8, 8, v);
    write_word(s, at, v);
    uhci_update_irq(s);
}

static const RegionOps registers_ops = {
    .read = registers_read, .write = registers_write, .min_size = 1, .max_size = 2,
};

/* ---- life ---- */

static void ports_create(Uhci *s)
{
    s->bus = usb_bus_new(&s->pci.dev);
    for (unsigned n = 0; n < UHCI_PORTS; n++)
        usb_port_add(s->bus, &s->port[n], NULL, n + 1, USB_SPEED_LOW | USB_SPEED_FULL, &port_ops, s);
}

static void timer_fired(void *opaque) { uhci_catch_up(opaque); }

static gboolean uhci_create(Device *dev, GError **err)
{
    Uhci *s = (Uhci *)dev;
    bool piix4 = dev->type == &piix4_uhci_type;
    PciId id = { .vendor = 0x8086, .device = piix4 ? 0x7112 : 0x7020, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
                 .class_code = 0x0c0300, .revision = 1, .interrupt_pin = 4 };
    if (!pci_device_init(&s->pci, &id, err))
        return FALSE;
    s->pci.config[RELEASE] = 0x10; /* USB 1.0 */
    st16le(s->pci.config + LEGACY, 0x2000);
    st16le(s->pci.writable + LEGACY, 0x20bf);
    st16le(s->pci.clear + LEGACY, 0x8f00);
    s->registers = region_new_io("uhci", REGISTERS_SIZE, &registers_ops, s);
    pci_add_bar(&s->pci, BAR, PCI_BAR_IO, s->registers);
    s->timer = timer_new(dev->machine->clocks, MYNA_CLOCK_VIRTUAL, timer_fired, s);
    usb_laters_init(&s->later, pci_memory(&s->pci), uhci_ended, s);
    ports_create(s);
    return TRUE;
}

static void uhci_reset(Device *dev)
{
    Uhci *s = (Uhci *)dev;
    pci_device_reset(&s->pci);
    st16le(s->pci.config + LEGACY, 0x2000);
    controller_reset(s);
}

static void uhci_destroy(Device *dev)
{
    Uhci *s = (Uhci *)dev;
    s->command = 0;
    usb_laters_cancel(&s->later);
    usb_bus_free(s->bus);
    pci_device_exit(&s->pci);
    region_free(s->registers);
    timer_free(s->timer);
    usb_laters_clear(&s->later);
}

static gboolean uhci_post_load(Device *dev, GError **err)
{
    Uhci *s = (Uhci *)dev;
    if (s->frame > 0x7ff || s->frame_list & 0xfff || s->frame_at < 0 || s->frame_at > INT64_MAX / 2)
        return error_set(err, "%s: the saved state has a frame number or list that cannot be", dev->id);
    usb_laters_cancel(&s->later);
    pci_device_restored(&s->pci);
    return TRUE;
}

static const StateField uhci_state[] = {
    STATE_STRUCT(Uhci, pci, pci_device_state), STATE_TIMER(Uhci, timer), STATE_U64(Uhci, frame_at),
    STATE_U16(Uhci, command), STATE_U16(Uhci, status), STATE_U16(Uhci, enabled), STATE_U16(Uhci, frame),
    STATE_ARRAY_U16(Uhci, portsc), STATE_U32(Uhci, frame_list), STATE_U8(Uhci, sof),
    STATE_BOOL(Uhci, interrupt_done), STATE_BOOL(Uhci, interrupt_short), STATE_U32(Uhci, quiet), STATE_END
};

static const Property uhci_properties[] = { PCI_ADDR_PROPERTY(Uhci), PROPERTY_END };

#define UHCI_DEVICE(n, what)                                                                                           \
    { .name = n, .description = what, .bus = "pci", .size = sizeof(Uhci), .user = true,                                \
      .properties = uhci_properties, .create = uhci_create, .reset = uhci_reset, .destroy = uhci_destroy,              \
      .state = uhci_state, .post_load = uhci_post_load }

const DeviceType piix3_uhci_type = UHCI_DEVICE("piix3-usb-uhci", "USB 1 controller (UHCI) of Intel's 82371SB");
const DeviceType piix4_uhci_type = UHCI_DEVICE("piix4-usb-uhci", "USB 1 controller (UHCI) of Intel's 82371AB");
