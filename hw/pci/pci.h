/*
 * The PCI bus: configuration space, BARs, INTx routing (PCI Local Bus Specification 3.0; chapter 6 for the header).
 *
 * A PCI device embeds a PciDevice as its first member, fills its header in create() by pci_device_init(), and adds BARs.
 * The bus handles reads and writes of the header: command bits map and unmap the BARs.  Under the machine lock.
 */
#ifndef MYNA_HW_PCI_PCI_H
#define MYNA_HW_PCI_PCI_H

#include "core/device.h"
#include "core/irq.h"
#include "core/memory.h"

enum {
    PCI_VENDOR_ID = 0x00, PCI_DEVICE_ID = 0x02, PCI_COMMAND = 0x04, PCI_STATUS = 0x06, PCI_REVISION = 0x08,
    PCI_CLASS = 0x09 /* three bytes */, PCI_HEADER_TYPE = 0x0e, PCI_BAR0 = 0x10, PCI_SUBSYSTEM_VENDOR = 0x2c,
    PCI_SUBSYSTEM = 0x2e, PCI_ROM_BAR = 0x30, PCI_CAPABILITIES = 0x34, PCI_IRQ_LINE = 0x3c, PCI_IRQ_PIN = 0x3d,
};
enum { PCI_COMMAND_IO = 1, PCI_COMMAND_MEMORY = 2, PCI_COMMAND_MASTER = 4, PCI_COMMAND_INTX_DISABLE = 0x400 };
enum { PCI_BAR_MEMORY = 0, PCI_BAR_IO = 1, PCI_BAR_MEMORY64 = 4, PCI_BAR_PREFETCH = 8 };

typedef struct PciBus PciBus;
typedef struct PciDevice PciDevice;

typedef struct PciBar {
    Region *region;   /* NULL: not there */
    uint8_t flags;    /* PCI_BAR_* */
    bool mapped;
    uint64_t address; /* where it is mapped */
} PciBar;

struct PciDevice {
    Device dev;
    PciBus *bus;
    int32_t devfn;          /* slot << 3 | function; -1 before create: the bus chooses (property "addr") */
    uint8_t config[256];
    uint8_t writable[256];  /* mask of the bits that the guest may write; BARs and command are set up by the bus */
    uint8_t clear[256];     /* bits that are cleared by writing 1 */
    PciBar bar[7];          /* 6: expansion ROM */
    bool intx_level;
    uint8_t capabilities_end, msi; /* places in config; 0: none (pci_msi.h) */
    struct Msix *msix;             /* or NULL */
    /* Called after the guest's write of configuration bytes [offset, offset+size) took effect; may be NULL. */
    void (*config_written)(PciDevice *pci, unsigned offset, unsigned size);
    /* Called before the guest's read of configuration bytes [offset, offset+size); may be NULL. */
    void (*config_reading)(PciDevice *pci, unsigned offset, unsigned size);
};

/* Identity of a device, for pci_device_init. */
typedef struct PciId {
    uint16_t vendor, device, subsystem_vendor, subsystem;
    uint32_t class_code; /* class << 16 | subclass << 8 | programming interface */
    uint8_t revision;
    uint8_t interrupt_pin; /* 0: none, 1..4: INTA..INTD */
} PciId;

/*
 * Attaches pci to the bus machine_find(m, "pci") in slot pci->devfn (or the first free one) and sets up its header;
 * to be called first in create().  FALSE with *err when the slot is taken or no bus is there.
 */
gboolean pci_device_init(PciDevice *pci, const PciId *id, GError **err);
void pci_device_exit(PciDevice *pci); /* for destroy() */

/* BAR n (6: ROM) of a region whose size is a power of 2, at least 16 (memory) or 4 (I/O). */
void pci_add_bar(PciDevice *pci, unsigned n, uint8_t flags, Region *region);

/* Resets the header: command, BARs, interrupt line; call from reset(). */
void pci_device_reset(PciDevice *pci);

/* After a restore: maps the BARs as the configuration says; call from post_load(). */
void pci_device_restored(PciDevice *pci);

/* INTx level of the device's pin. */
void pci_set_irq(PciDevice *pci, int level);

/* Where the device's DMA goes, if the command register allows mastering. */
AddressSpace *pci_memory(const PciDevice *pci);
bool pci_may_master(const PciDevice *pci);

/* DMA into guest memory; nothing happens (reads give ones) while the command register forbids mastering. */
void pci_dma_read(PciDevice *pci, uint64_t addr, void *buf, uint64_t size);
void pci_dma_write(PciDevice *pci, uint64_t addr, const void *buf, uint64_t size);

/* Fields for a PCI device's state table: STATE_STRUCT(T, pci, pci_device_state). */
extern const StateField pci_device_state[];

/* The property every PCI device has: addr=SLOT[.FUNCTION] in hexadecimal; put into its property list. */
#define PCI_ADDR_PROPERTY(T)                                                                                           \
    { .name = "addr", .type = PROP_U32, .offset = offsetof(T, pci.devfn), .initial = UINT32_MAX,                       \
      .help = "slot and function as slot << 3 | function" }

/*
 * A bus whose configuration mechanism 1 (0xcf8/0xcfc) the host bridge serves by pci_bus_config_*.  route maps (device,
 * pin 0..3) to one of the irq lines 0..3 (PIRQA..D), which the south bridge connects by pci_bus_set_lines.
 */
PciBus *pci_bus_new(Machine *m, AddressSpace *memory, AddressSpace *ports);
void pci_bus_free(PciBus *bus);
void pci_bus_set_lines(PciBus *bus, const IrqLine lines[4]);
uint32_t pci_bus_config_read(PciBus *bus, uint32_t address, unsigned size);  /* address: as in 0xcf8, low bits added */
void pci_bus_config_write(PciBus *bus, uint32_t address, uint32_t v, unsigned size);
PciDevice *pci_bus_device(PciBus *bus, unsigned devfn); /* or NULL */
/* Memory BARs appear in this container instead of the root of the address space, e.g. one that RAM lies over. */
void pci_bus_set_memory_container(PciBus *bus, Region *container);

#endif
