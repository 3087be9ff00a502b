/* Message-signalled interrupts and the capability list (pci_msi.h). */
#include "hw/pci/pci_msi.h"

#include <string.h>

#include "core/machine.h"
#include "util/bits.h"
#include "util/endian.h"

enum { STATUS_CAPABILITIES = 0x10, FIRST_CAPABILITY = 0x40 };

unsigned pci_add_capability(PciDevice *pci, uint8_t id, unsigned size)
{
    uint8_t *c = pci->config;
    unsigned at = pci->capabilities_end ? pci->capabilities_end : FIRST_CAPABILITY;
    g_assert(at + size <= sizeof pci->config);
    c[at] = id;
    c[at + 1] = c[PCI_CAPABILITIES];
    c[PCI_CAPABILITIES] = at;
    c[PCI_STATUS] |= STATUS_CAPABILITIES;
    pci->capabilities_end = align_up(at + size, 4);
    return at;
}

/* A message is a write of 32 bits, which the APICs' region takes (SDM vol. 3A 11.11). */
static void send(PciDevice *pci, uint64_t address, uint32_t data)
{
    if (pci_may_master(pci))
        as_write(pci_memory(pci), address, data, 4);
}

/* ---- MSI: offsets in the capability with 64-bit address and masks (6.8.1) ---- */

enum { MSI_CONTROL = 2, MSI_ADDRESS = 4, MSI_DATA = 12, MSI_MASK = 16, MSI_PENDING = 20, MSI_SIZE = 24 };
enum { MSI_ENABLE = 1, MSI_CONTROL_FIXED = 0x180 /* 64-bit, maskable */ };

void msi_init(PciDevice *pci, unsigned vectors)
{
    unsigned log2 = 31 - __builtin_clz(vectors), at = pci_add_capability(pci, PCI_CAP_MSI, MSI_SIZE);
    uint8_t *w = pci->writable + at;
    pci->msi = at;
    st16le(pci->config + at + MSI_CONTROL, MSI_CONTROL_FIXED | log2 << 1);
    st16le(w + MSI_CONTROL, MSI_ENABLE | 0x70);
    st32le(w + MSI_ADDRESS, ~3u);
    st32le(w + MSI_ADDRESS + 4, ~0u);
    st16le(w + MSI_DATA, 0xffff);
    st32le(w + MSI_MASK, vectors == 32 ? ~0u : (1u << vectors) - 1);
}

bool msi_enabled(const PciDevice *pci)
{
    return pci->msi && ld16le(pci->config + pci->msi + MSI_CONTROL) & MSI_ENABLE;
}

/* How many vectors the guest allows: never more than there are. */
static unsigned msi_allowed(const PciDevice *pci)
{
    unsigned control = ld16le(pci->config + pci->msi + MSI_CONTROL);
    return 1u << MIN(control >> 4 & 7, control >> 1 & 7);
}

void msi_notify(PciDevice *pci, unsigned n)
{
    uint8_t *c = pci->config + pci->msi;
    if (!msi_enabled(pci))
        return;
    n %= msi_allowed(pci);
    if (ld32le(c + MSI_MASK) >> n & 1) {
        st32le(c + MSI_PENDING, ld32le(c + MSI_PENDING) | BIT(n));
        return;
    }
    /* The low bits of the data are the vector's number. */
    send(pci, ld64le(c + MSI_ADDRESS), (ld16le(c + MSI_DATA) & ~(msi_allowed(pci) - 1)) | n);
}

static void msi_written(PciDevice *pci)
{
    uint8_t *c = pci->config + pci->msi;
    uint32_t due = ld32le(c + MSI_PENDING) & ~ld32le(c + MSI_MASK);
    if (!msi_enabled(pci) || !due)
        return;
    st32le(c + MSI_PENDING, ld32le(c + MSI_PENDING) & ~due);
    for (unsigned n = 0; n < 32; n++)
        if (due >> n & 1)
            msi_notify(pci, n);
}

/* ---- MSI-X (6.8.2) ---- */

enum { MSIX_CONTROL = 2, MSIX_TABLE = 4, MSIX_PBA = 8, MSIX_SIZE = 12 };
enum { MSIX_ENABLE = 0x8000, MSIX_MASK_ALL = 0x4000, MSIX_VECTOR_MASKED = 1 };

static unsigned msix_control(const Msix *x) { return ld16le(x->pci->config + x->capability + MSIX_CONTROL); }

bool msix_enabled(const Msix *x) { return x->pci && msix_control(x) & MSIX_ENABLE; }

static bool msix_masked(const Msix *x, unsigned n)
{
    return msix_control(x) & MSIX_MASK_ALL || x->table[n * MSIX_ENTRY_SIZE + 12] & MSIX_VECTOR_MASKED;
}

void msix_notify(Msix *x, unsigned n)
{
    if (!msix_enabled(x) || n >= x->vectors)
        return;
    if (msix_masked(x, n)) {
        x->pending[n / 8] |= BIT(n % 8);
        return;
    }
    x->pending[n / 8] &= ~BIT(n % 8);
    send(x->pci, ld64le(x->table + n * MSIX_ENTRY_SIZE), ld32le(x->table + n * MSIX_ENTRY_SIZE + 8));
}

static void msix_send_pending(Msix *x)
{
    for (unsigned n = 0; msix_enabled(x) && n < x->vectors; n++)
        if (x->pending[n / 8] >> n % 8 & 1 && !msix_masked(x, n))
            msix_notify(x, n);
}

static uint64_t msix_read(void *opaque, uint64_t offset, unsigned size)
{
    Msix *x = opaque;
    uint64_t pba = region_size(x->region) / 2;
    if (offset + size <= x->vectors * MSIX_ENTRY_SIZE)
        return ldle(x->table + offset, size);
    if (offset >= pba && offset - pba + size <= sizeof x->pending)
        return ldle(x->pending + (offset - pba), size);
    return 0;
}

static void msix_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    Msix *x = opaque;
    if (offset + size > x->vectors * MSIX_ENTRY_SIZE)
        return;
    stle(x->table + offset, v, size);
    msix_send_pending(x);
}

static const RegionOps msix_ops = { msix_read, msix_write, 4, 8 };

static void msix_reset(Msix *x)
{
    memset(x->table, 0, sizeof x->table);
    memset(x->pending, 0, sizeof x->pending);
    for (unsigned n = 0; n < x->vectors; n++)
        x->table[n * MSIX_ENTRY_SIZE + 12] = MSIX_VECTOR_MASKED;
}

void msix_init(Msix *x, PciDevice *pci, unsigned vectors, unsigned bar)
{
    const unsigned half = sizeof x->table; /* the pending bits follow at half the region */
    *x = (Msix){ .pci = pci, .vectors = vectors };
    x->region = region_new_io("msix", 2 * half, &msix_ops, x);
    x->capability = pci_add_capability(pci, PCI_CAP_MSIX, MSIX_SIZE);
    uint8_t *c = pci->config + x->capability;
    st16le(c + MSIX_CONTROL, vectors - 1);
    st16le(pci->writable + x->capability + MSIX_CONTROL, MSIX_ENABLE | MSIX_MASK_ALL);
    st32le(c + MSIX_TABLE, bar);
    st32le(c + MSIX_PBA, half | bar);
    pci->msix = x;
    pci_add_bar(pci, bar, PCI_BAR_MEMORY, x->region);
    msix_reset(x);
}

void msix_exit(Msix *x)
{
    if (!x->pci)
        return;
    x->pci->msix = NULL;
    region_free(x->region);
    x->pci = NULL;
}

const StateField msix_state[] = { STATE_BYTES(Msix, table), STATE_BYTES(Msix, pending), STATE_END };

/* ---- for pci.c ---- */

void pci_msi_written(PciDevice *pci, unsigned offset, unsigned size)
{
    if (pci->msi && offset < pci->msi + (unsigned)MSI_SIZE && offset + size > pci->msi)
        msi_written(pci);
    if (pci->msix && offset < pci->msix->capability + 4 && offset + size > pci->msix->capability)
        msix_send_pending(pci->msix);
}

void pci_msi_reset(PciDevice *pci)
{
    if (pci->msi) {
        uint8_t *c = pci->config + pci->msi;
        st16le(c + MSI_CONTROL, ld16le(c + MSI_CONTROL) & ~(MSI_ENABLE | 0x70));
        memset(c + MSI_ADDRESS, 0, MSI_SIZE - MSI_ADDRESS);
    }
    if (pci->msix) {
        uint8_t *c = pci->config + pci->msix->capability;
        st16le(c + MSIX_CONTROL, ld16le(c + MSIX_CONTROL) & ~(MSIX_ENABLE | MSIX_MASK_ALL));
        msix_reset(pci->msix);
    }
}
