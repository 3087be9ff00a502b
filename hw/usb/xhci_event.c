/* Event rings and interrupters (xHCI 1.1, 4.9.4, 4.17, 5.5.2). */
#include "core/log.h"
#include "hw/usb/xhci_internal.h"
#include "util/bits.h"
#include "util/endian.h"

enum { IMAN = 0x00, IMOD = 0x04, ERSTSZ = 0x08, ERSTBA = 0x10, ERDP = 0x18 };
enum { IMAN_PENDING = 1, IMAN_ENABLE = 2, ERDP_BUSY = 8, ERDP_FLAGS = 15 };
enum { SEGMENT_ENTRY = 16, SEGMENT_MIN = 16, SEGMENT_MAX = 4096 };

/* ---- the ring ---- */

static uint32_t ring_size(const XhciInterrupter *i)
{
    uint32_t n = 0;
    for (unsigned k = 0; k < i->segments; k++)
        n += i->size[k];
    return n;
}

/* Number of the block at an address, counted through all segments; -1: none. */
static int64_t block_at(const XhciInterrupter *i, uint64_t address)
{
    uint32_t before = 0;
    for (unsigned k = 0; k < i->segments; before += i->size[k++])
        if (address - i->base[k] < (uint64_t)i->size[k] * TRB_SIZE)
            return before + (address - i->base[k]) / TRB_SIZE;
    return -1;
}

static uint64_t enqueue(const XhciInterrupter *i) { return i->base[i->segment] + (uint64_t)i->at * TRB_SIZE; }

/* Blocks that can be written: one always stays free, for the ring that is full differs from the one that is empty. */
static uint32_t ring_room(const XhciInterrupter *i)
{
    int64_t guest = block_at(i, i->erdp & ~(uint64_t)ERDP_FLAGS);
    uint32_t size = ring_size(i);
    if (guest < 0)
        return size - 1; /* ERDP has not been set yet, or is wrong: there is nothing to be waited for */
    return (guest - block_at(i, enqueue(i)) + 2 * (int64_t)size - 1) % size;
}

/* Writing ERSTBA starts the ring anew (5.5.2.3.2). */
static void ring_start(Xhci *x, XhciInterrupter *i)
{
    uint8_t entry[SEGMENT_ENTRY];
    i->segments = i->segment = i->at = 0;
    i->cycle = true;
    i->due = i->full = false;
    for (unsigned k = 0; k < MIN(i->erstsz, XHCI_SEGMENTS); k++) {
        pci_dma_read(&x->pci, i->erstba + k * SEGMENT_ENTRY, entry, sizeof entry);
        uint32_t size = ld32le(entry + 8) & 0xffff;
        if (size < SEGMENT_MIN || size > SEGMENT_MAX) {
            log_guest_error("%s: a segment of an event ring with %u blocks", x->pci.dev.id, size);
            return;
        }
        i->base[k] = ld64le(entry) & ~UINT64_C(63);
        i->size[k] = size;
        i->segments++;
    }
}

static void ring_put(Xhci *x, XhciInterrupter *i, uint64_t parameter, uint32_t status, uint32_t control)
{
    uint8_t b[TRB_SIZE];
    st64le(b, parameter);
    st32le(b + 8, status);
    st32le(b + 12, control | (i->cycle ? TRB_CYCLE : 0));
    /* The cycle bit, which gives the block to the guest, comes last: its CPUs may be looking. */
    pci_dma_write(&x->pci, enqueue(i), b, 12);
    pci_dma_write(&x->pci, enqueue(i) + 12, b + 12, 4);
    if (++i->at < i->size[i->segment])
        return;
    i->at = 0;
    i->segment = (i->segment + 1) % i->segments;
    i->cycle ^= !i->segment;
}

bool xhci_event_room(Xhci *x, unsigned n, unsigned interrupter)
{
    XhciInterrupter *i = &x->interrupter[interrupter < XHCI_INTERRUPTERS ? interrupter : 0];
    if (!i->segments)
        return true; /* nobody looks */
    uint32_t room = ring_room(i), size = ring_size(i);
    if (room > MIN(n, size - 2)) /* one more than asked for: for the event that says that no more is left */
        return true;
    if (!i->full && room == 1)
        ring_put(x, i, 0, (uint32_t)CC_EVENTS_FULL << 24, TRB_HOST_EVENT << 10);
    i->due |= !i->full; /* also for a guest that blocks the interrupts of its events */
    i->full = true;
    return false;
}

void xhci_event(Xhci *x, unsigned interrupter, uint64_t parameter, uint32_t status, uint32_t control)
{
    XhciInterrupter *i = &x->interrupter[interrupter < XHCI_INTERRUPTERS ? interrupter : 0];
    if (!i->segments || !ring_room(i)) {
        log_guest_error("%s: an event of type %u has no place in a ring", x->pci.dev.id, control >> 10 & 0x3f);
        return;
    }
    ring_put(x, i, parameter, status, control & ~(uint32_t)TRB_BLOCK_INTERRUPT);
    if (!(control & TRB_BLOCK_INTERRUPT))
        i->due = true;
}

/* ---- interrupts (4.17.2) ---- */

/* A message clears the pending bit as it is sent (4.17.5). */
static void send_message(Xhci *x, unsigned n)
{
    XhciInterrupter *i = &x->interrupter[n];
    if (msix_enabled(&x->msix))
        msix_notify(&x->msix, n);
    else if (msi_enabled(&x->pci))
        msi_notify(&x->pci, n);
    else
        return;
    i->iman &= ~(uint32_t)IMAN_PENDING;
}

/* There is no moderation: interrupts come as early as they can, and not before the guest is through with the last. */
void xhci_update_interrupts(Xhci *x)
{
    bool level = false;
    for (unsigned n = 0; n < XHCI_INTERRUPTERS; n++) {
        XhciInterrupter *i = &x->interrupter[n];
        if (i->due && !(i->erdp & ERDP_BUSY)) {
            i->due = false;
            i->erdp |= ERDP_BUSY;
            i->iman |= IMAN_PENDING;
            x->usbsts |= STS_EVENT;
        }
        if (i->iman == (IMAN_PENDING | IMAN_ENABLE) && x->usbcmd & CMD_INTERRUPTS)
            send_message(x, n);
        level |= i->iman == (IMAN_PENDING | IMAN_ENABLE);
    }
    bool message = msix_enabled(&x->msix) || msi_enabled(&x->pci);
    pci_set_irq(&x->pci, level && !message && x->usbcmd & CMD_INTERRUPTS);
}

/* ---- registers ---- */

uint32_t xhci_interrupter_read(const Xhci *x, unsigned n, unsigned offset)
{
    const XhciInterrupter *i = &x->interrupter[n];
    switch (offset) {
    case IMAN: return i->iman;
    case IMOD: return i->imod;
    case ERSTSZ: return i->erstsz;
    case ERSTBA: return i->erstba;
    case ERSTBA + 4: return i->erstba >> 32;
    case ERDP: return i->erdp;
    case ERDP + 4: return i->erdp >> 32;
    default: return 0;
    }
}

/* The busy bit is cleared by writing 1; what came meanwhile, or was left, interrupts again. */
static void write_erdp(XhciInterrupter *i, uint32_t v)
{
    uint32_t busy = i->erdp & ~v & ERDP_BUSY;
    i->erdp = bits_deposit(i->erdp, 0, 32, (v & ~(uint32_t)ERDP_BUSY) | busy);
    i->full = false;
    if (v & ERDP_BUSY && i->segments && enqueue(i) != (i->erdp & ~(uint64_t)ERDP_FLAGS))
        i->due = true;
}

void xhci_interrupter_write(Xhci *x, unsigned n, unsigned offset, uint32_t v)
{
    XhciInterrupter *i = &x->interrupter[n];
    switch (offset) {
    case IMAN: i->iman = (i->iman & ~v & IMAN_PENDING) | (v & IMAN_ENABLE); break;
    case IMOD: i->imod = v; break;
    case ERSTSZ: i->erstsz = v & 0xffff; break;
    case ERSTBA: i->erstba = bits_deposit(i->erstba, 0, 32, v & ~63u); ring_start(x, i); break;
    case ERSTBA + 4: i->erstba = bits_deposit(i->erstba, 32, 32, v); ring_start(x, i); break;
    case ERDP: write_erdp(i, v); break;
    case ERDP + 4: i->erdp = bits_deposit(i->erdp, 32, 32, v); break;
    default: break;
    }
}

bool xhci_interrupter_sane(const XhciInterrupter *i)
{
    if (i->segments > XHCI_SEGMENTS || (i->segments && i->segment >= i->segments) || i->iman > 3)
        return false;
    for (unsigned k = 0; k < i->segments; k++)
        if (i->size[k] < SEGMENT_MIN || i->size[k] > SEGMENT_MAX)
            return false;
    return !i->segments || i->at < i->size[i->segment];
}
