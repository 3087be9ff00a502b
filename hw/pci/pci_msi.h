/*
 * Message-signalled interrupts: MSI (PCI Local Bus Specification 3.0, 6.8.1) and MSI-X (6.8.2), and the capability list
 * (6.7).  A configuration write that unmasks sends what is pending; resets are pci_device_reset()'s.  Under the machine lock.
 */
#ifndef MYNA_HW_PCI_MSI_H
#define MYNA_HW_PCI_MSI_H

#include "hw/pci/pci.h"

enum { PCI_CAP_POWER = 0x01, PCI_CAP_MSI = 0x05, PCI_CAP_VENDOR = 0x09, PCI_CAP_EXPRESS = 0x10, PCI_CAP_MSIX = 0x11 };

/* Appends a capability of `size` bytes, its two of header included, at the next multiple of 4; returns where it is. */
unsigned pci_add_capability(PciDevice *pci, uint8_t id, unsigned size);

/* One MSI capability with 64-bit address and per-vector mask bits; vectors: 1, 2, 4 ... 32. */
void msi_init(PciDevice *pci, unsigned vectors);
bool msi_enabled(const PciDevice *pci);
/* Sends vector n; masked, it stays pending. */
void msi_notify(PciDevice *pci, unsigned n);

/*
 * An MSI-X table and pending bits of `vectors` (1..MSIX_VECTORS_MAX) entries in a memory region of their own, which becomes BAR
 * `bar`.  A device has one for itself, and its state: STATE_STRUCT(T, msix, msix_state).
 */
enum { MSIX_VECTORS_MAX = 128, MSIX_ENTRY_SIZE = 16 };
typedef struct Msix {
    PciDevice *pci;        /* NULL: the device has no MSI-X */
    Region *region;
    unsigned capability, vectors;
    uint8_t table[MSIX_VECTORS_MAX * MSIX_ENTRY_SIZE];
    uint8_t pending[MSIX_VECTORS_MAX / 8];
} Msix;

void msix_init(Msix *x, PciDevice *pci, unsigned vectors, unsigned bar);
void msix_exit(Msix *x);
bool msix_enabled(const Msix *x);
void msix_notify(Msix *x, unsigned n);
extern const StateField msix_state[];

/* For pci.c: after a write of configuration bytes; at a reset. */
void pci_msi_written(PciDevice *pci, unsigned offset, unsigned size);
void pci_msi_reset(PciDevice *pci);

#endif
