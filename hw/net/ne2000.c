/* NE2000 network cards: a DP8390 (dp8390.h) on the ISA bus, or on PCI as Realtek's RTL8029. */
#include "hw/net/ne2000.h"

#include "core/error.h"
#include "core/machine.h"
#include "hw/isa/isa_device.h"
#include "hw/net/dp8390.h"
#include "hw/pci/pci.h"

#define NET_PROPERTIES(T)                                                                                              \
    PROPERTY(T, nic.net, "netdev", PROP_NET, 0, "the -netdev it is connected to"),                                     \
    PROPERTY(T, nic.mac, "mac", PROP_MAC, 0, "its address; otherwise the next of 52:54:00:12:34:56 and on")

/* ---- ISA ---- */

typedef struct Ne2kIsa {
    Device dev;
    Dp8390 nic;
    IsaBus *bus;
    Region *ports;
    uint32_t iobase, irq;
} Ne2kIsa;

static void isa_set_irq(void *opaque, int level)
{
    Ne2kIsa *s = opaque;
    irq_set(&s->bus->irq[s->irq], level);
}

static gboolean ne2k_isa_create(Device *dev, GError **err)
{
    Ne2kIsa *s = (Ne2kIsa *)dev;

    s->bus = isa_bus_find(dev, err);
    s->nic.set_irq = isa_set_irq;
    s->nic.opaque = s;
    if (!s->bus || !dp8390_init(&s->nic, dev, err))
        return FALSE;
    s->ports = isa_ports_add(dev, s->bus, s->iobase, DP8390_PORTS, &dp8390_ops, &s->nic);
    return TRUE;
}

static void ne2k_isa_reset(Device *dev) { dp8390_reset(&((Ne2kIsa *)dev)->nic); }

static void ne2k_isa_destroy(Device *dev)
{
    Ne2kIsa *s = (Ne2kIsa *)dev;

    dp8390_exit(&s->nic);
    isa_ports_remove(dev, s->ports);
}

static const Property ne2k_isa_properties[] = {
    { .name = "iobase", .type = PROP_U32, .offset = offsetof(Ne2kIsa, iobase), .initial = 0x300, .min = 0x100,
      .max = 0xffe0, .help = "first of 32 ports" },
    { .name = "irq", .type = PROP_U32, .offset = offsetof(Ne2kIsa, irq), .initial = 9, .min = 3, .max = 15,
      .help = "interrupt line" },
    NET_PROPERTIES(Ne2kIsa),
    PROPERTY_END
};

static const StateField ne2k_isa_state[] = { STATE_STRUCT(Ne2kIsa, nic, dp8390_state), STATE_END };

const DeviceType ne2k_isa_type = {
    .name = "ne2k_isa", .description = "NE2000 Ethernet", .bus = "isa", .size = sizeof(Ne2kIsa), .user = true,
    .properties = ne2k_isa_properties, .create = ne2k_isa_create, .reset = ne2k_isa_reset,
    .destroy = ne2k_isa_destroy, .state = ne2k_isa_state,
};

/* ---- PCI ---- */

enum { PCI_PORTS = 256 };

typedef struct Ne2kPci {
    PciDevice pci;
    Dp8390 nic;
    Region *window, *ports; /* the ports are the first of the BAR's */
} Ne2kPci;

static void pci_irq(void *opaque, int level) { pci_set_irq(opaque, level); }

static gboolean ne2k_pci_create(Device *dev, GError **err)
{
    static const PciId id = { .vendor = 0x10ec, .device = 0x8029, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
                              .class_code = 0x020000, .interrupt_pin = 1 };
    Ne2kPci *s = (Ne2kPci *)dev;

    if (!pci_device_init(&s->pci, &id, err))
        return FALSE;
    s->nic.set_irq = pci_irq;
    s->nic.opaque = &s->pci;
    if (!dp8390_init(&s->nic, dev, err)) {
        pci_device_exit(&s->pci);
        return FALSE;
    }
    s->window = region_new_container("ne2k_pci", PCI_PORTS);
    s->ports = region_new_io("ne2k_pci-ports", DP8390_PORTS, &dp8390_ops, &s->nic);
    region_add(s->window, 0, s->ports, 0);
    pci_add_bar(&s->pci, 0, PCI_BAR_IO, s->window);
    return TRUE;
}

static void ne2k_pci_reset(Device *dev)
{
    Ne2kPci *s = (Ne2kPci *)dev;

    pci_device_reset(&s->pci);
    dp8390_reset(&s->nic);
}

static void ne2k_pci_destroy(Device *dev)
{
    Ne2kPci *s = (Ne2kPci *)dev;

    dp8390_exit(&s->nic);
    pci_device_exit(&s->pci);
    region_remove(s->ports);
    region_free(s->ports);
    region_free(s->window);
}

static gboolean ne2k_pci_post_load(Device *dev, GError **err)
{
    (void)err;
    pci_device_restored(&((Ne2kPci *)dev)->pci);
    return TRUE;
}

static const Property ne2k_pci_properties[] = { PCI_ADDR_PROPERTY(Ne2kPci), NET_PROPERTIES(Ne2kPci), PROPERTY_END };

static const StateField ne2k_pci_state[] = {
    STATE_STRUCT(Ne2kPci, pci, pci_device_state), STATE_STRUCT(Ne2kPci, nic, dp8390_state), STATE_END
};

const DeviceType ne2k_pci_type = {
    .name = "ne2k_pci", .description = "Realtek RTL8029, an NE2000", .bus = "pci", .size = sizeof(Ne2kPci),
    .user = true, .properties = ne2k_pci_properties, .create = ne2k_pci_create, .reset = ne2k_pci_reset,
    .destroy = ne2k_pci_destroy, .state = ne2k_pci_state, .post_load = ne2k_pci_post_load,
};
