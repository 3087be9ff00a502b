/* An AHCI host bus adapter: global registers, interrupts, life (AHCI 1.3.1, sections 2 and 3.1). */
#include "hw/block/ahci.h"

#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/machine.h"
#include "hw/pci/pci_msi.h"
#include "util/bits.h"

enum { REG_CAP = 0x00, REG_GHC = 0x04, REG_IS = 0x08, REG_PI = 0x0c, REG_VS = 0x10 };
enum { PORTS_AT = 0x100, PORT_SIZE = 0x80 };
enum { GHC_RESET = 1, GHC_INTERRUPTS = 2, BAR_REGISTERS = 5, REGISTERS_SIZE = 4096 };
#define GHC_AHCI BIT(31)
/* 64-bit addresses, queues, CLO, 6 Gbit/s, AHCI only, several DRQ blocks, 32 slots, 6 ports. */
#define CAPABILITIES (BIT(31) | BIT(30) | BIT(24) | 3u << 20 | BIT(18) | BIT(15) | 31u << 8 | (AHCI_PORTS - 1))

/* ---- interrupts ---- */

/* Ports that have something to tell: as long as they have, their bit cannot be cleared. */
static uint32_t ports_pending(Ahci *s)
{
    uint32_t pending = 0;

    for (unsigned n = 0; n < AHCI_PORTS; n++)
        if (ahci_port_read(&s->port[n], 0x10) & s->port[n].enable)
            pending |= BIT(n);
    return pending;
}

/* A message for all that happens while something is pending: the host may just have looked (10.7.2.1). */
void ahci_update_irq(Ahci *s)
{
    bool pending = s->interrupts && ports_pending(s);

    if (msi_enabled(&s->pci) && pending && !s->busy) {
        s->busy = true;
        msi_notify(&s->pci, 0);
        s->busy = false;
    }
    pci_set_irq(&s->pci, pending && !msi_enabled(&s->pci));
}

/* ---- memory ---- */

void ahci_dma_write(Ahci *s, uint64_t at, const void *data, uint64_t size)
{
    bool busy = s->busy;

    s->busy = true;
    pci_dma_write(&s->pci, at, data, size);
    s->busy = busy;
}

void ahci_dma_written(Ahci *s, DmaList *d, uint64_t size)
{
    bool busy = s->busy;

    s->busy = true;
    dma_written(d, size);
    s->busy = busy;
}

/* ---- registers ---- */

static void reset_ports(Ahci *s)
{
    s->interrupts = false;
    for (unsigned n = 0; n < AHCI_PORTS; n++)
        ahci_port_reset(&s->port[n]);
    ahci_update_irq(s);
}

/* The reset has been, but for transfers that still use the guest's memory. */
static bool is_resetting(Ahci *s)
{
    unsigned queued = 0;

    for (unsigned n = 0; n < AHCI_PORTS && s->resetting; n++)
        queued += ahci_queued(&s->port[n]);
    s->resetting = queued;
    return s->resetting;
}

static void write_global_control(Ahci *s, uint32_t v)
{
    s->interrupts = v & GHC_INTERRUPTS;
    if (v & GHC_RESET) {
        s->resetting = true;
        reset_ports(s);
    }
    ahci_update_irq(s);
}

static uint64_t registers_read(void *opaque, uint64_t offset, unsigned size)
{
    Ahci *s = opaque;
    (void)size;

    if (offset >= PORTS_AT) {
        unsigned n = (offset - PORTS_AT) / PORT_SIZE;
        return n < AHCI_PORTS ? ahci_port_read(&s->port[n], offset % PORT_SIZE) : 0;
    }
    switch (offset) {
    case REG_CAP: return CAPABILITIES;
    case REG_GHC: return GHC_AHCI | (s->interrupts ? GHC_INTERRUPTS : 0) | (is_resetting(s) ? GHC_RESET : 0);
    case REG_IS: return ports_pending(s);
    case REG_PI: return (1u << AHCI_PORTS) - 1;
    case REG_VS: return 0x00010301;
    default: return 0;
    }
}

static void registers_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    Ahci *s = opaque;
    (void)size;

    if (s->busy) {
        log_guest_error("ahci: the adapter is to write its own register %03x", (unsigned)offset);
    } else if (offset >= PORTS_AT) {
        unsigned n = (offset - PORTS_AT) / PORT_SIZE;
        if (n < AHCI_PORTS)
            ahci_port_write(&s->port[n], offset % PORT_SIZE, v);
    } else if (offset == REG_GHC) {
        write_global_control(s, v);
    } else if (offset == REG_IS) {
        ahci_update_irq(s);
    }
}

static const RegionOps registers_ops = {
    .read = registers_read, .write = registers_write, .min_size = 4, .max_size = 4,
};

/* Bus mastering may just have been allowed, or messages have taken the place of the pin. */
static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    Ahci *s = (Ahci *)pci;
    (void)offset;
    (void)size;

    ahci_update_irq(s);
    for (unsigned n = 0; n < AHCI_PORTS; n++)
        ahci_port_run(&s->port[n]);
}

/* ---- life ---- */

static gboolean ahci_create(Device *dev, GError **err)
{
    static const PciId id = { .vendor = 0x8086, .device = 0x2922, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
                              .class_code = 0x010601, .revision = 2, .interrupt_pin = 1 };
    Ahci *s = (Ahci *)dev;

    if (!pci_device_init(&s->pci, &id, err))
        return FALSE;
    s->pci.config_written = config_written;
    s->registers = region_new_io("ahci", REGISTERS_SIZE, &registers_ops, s);
    pci_add_bar(&s->pci, BAR_REGISTERS, PCI_BAR_MEMORY, s->registers);
    msi_init(&s->pci, 1);
    for (unsigned n = 0; n < AHCI_PORTS; n++)
        ahci_port_init(&s->port[n], s, n);
    return TRUE;
}

static void ahci_reset(Device *dev)
{
    Ahci *s = (Ahci *)dev;

    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        AhciPort *p = &s->port[n];
        p->command = 0;
        ahci_queue_forget(p);
        ide_stop_drive(&p->drive);
        ide_drive_drain(&p->drive);
        p->list = p->fis = 0;
    }
    pci_device_reset(&s->pci);
    reset_ports(s);
}

static void ahci_destroy(Device *dev)
{
    Ahci *s = (Ahci *)dev;

    for (unsigned n = 0; n < AHCI_PORTS; n++)
        ahci_port_exit(&s->port[n]);
    pci_device_exit(&s->pci);
    region_free(s->registers);
}

static void ahci_pre_save(Device *dev)
{
    Ahci *s = (Ahci *)dev;

    for (unsigned n = 0; n < AHCI_PORTS; n++)
        ide_drive_drain(&s->port[n].drive);
}

static gboolean ahci_post_load(Device *dev, GError **err)
{
    Ahci *s = (Ahci *)dev;

    for (unsigned n = 0; n < AHCI_PORTS; n++)
        if (!ahci_port_sane(&s->port[n]))
            return error_set(err, "%s: the saved state of port %u does not fit this machine's drive, or itself",
                             dev->id, n);
    pci_device_restored(&s->pci);
    return TRUE;
}

static const StateField ahci_state[] = {
    STATE_STRUCT(Ahci, pci, pci_device_state), STATE_STRUCT_ARRAY(Ahci, port, ahci_port_state),
    STATE_BOOL(Ahci, interrupts), STATE_END
};

static const Property ahci_properties[] = { PCI_ADDR_PROPERTY(Ahci), PROPERTY_END };

#define AHCI_TYPE(variable, name_)                                                                                     \
    const DeviceType variable = {                                                                                      \
        .name = name_, .description = "AHCI adapter with six SATA ports", .bus = "pci", .size = sizeof(Ahci),          \
        .user = true, .properties = ahci_properties, .create = ahci_create, .reset = ahci_reset,                       \
        .destroy = ahci_destroy, .state = ahci_state, .pre_save = ahci_pre_save, .post_load = ahci_post_load,          \
    }

AHCI_TYPE(ich9_ahci_type, "ich9-ahci");
AHCI_TYPE(ahci_type, "ahci");
