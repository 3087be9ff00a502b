/*
 * The RTL8139C+'s descriptors (data sheet, chapter 9): rings for what comes and for two priorities of what goes, large
 * sends, checksums, VLAN tags.  A ring has at most 64 descriptors; the last has EOR.
 */
#include <stdatomic.h>
#include <string.h>

#include "core/log.h"
#include "core/machine.h"
#include "hw/net/rtl8139_internal.h"

#define D_OWN 0x80000000u
enum { DESCRIPTOR = 16, RING_MAX = 64, D_END = 0x40000000, D_FIRST = 0x20000000, D_LAST = 0x10000000 };
enum { TX_LARGE = 0x08000000, TX_IP_SUM = 0x40000, TX_UDP_SUM = 0x20000, TX_TCP_SUM = 0x10000, TX_TAG = 0x20000,
       TX_SIZE = 0xffff, TX_SEGMENT = 0x7ff, TX_STATUS = 0x3ff0000 };
enum { RX_SIZE = 0x1fff, RX_D_MULTICAST = 0x4000000, RX_D_PHYSICAL = 0x2000000, RX_D_BROADCAST = 0x1000000,
       RX_D_ERROR = 0x100000, RX_D_LONG = 0x200000, RX_PID_TCP = 0x10000, RX_PID_UDP = 0x20000, RX_PID_IP = 0x30000,
       RX_IP_BAD = 0x8000, RX_UDP_BAD = 0x4000, RX_TCP_BAD = 0x2000, RX_TAG = 0x10000 };

void rtl8139_report(Rtl8139 *s, uint64_t address, uint32_t v)
{
    if (!pci_may_master(&s->pci))
        return;
    atomic_thread_fence(memory_order_release);
    as_write(pci_memory(&s->pci), address, v, 4);
}

static uint32_t index_after(uint32_t n, uint32_t word) { return word & D_END || n == RING_MAX - 1 ? 0 : n + 1; }

/* ---- transmit ---- */

/* The headers of a large send; false: it is no TCP that can be cut. */
static bool segments_prepare(uint8_t *f, uint32_t size, unsigned segment, NetOffload *o)
{
    FrameHeaders h = frame_parse(f, size, FRAME_VLAN);
    unsigned header = h.l4 + 4 * (h.protocol == FRAME_TCP ? f[h.l4 + 12] >> 4 : 0);

    if (h.protocol != FRAME_TCP || !segment || header < h.l4 + 20 || header >= size)
        return false;
    frame_leave_segments(f, h.end, &h, h.l4 + 16, segment, header, o);
    return true;
}

/* The chip finds the fields itself, and takes nothing from what is in them. */
static void sums_prepare(uint8_t *f, uint32_t size, uint32_t options, NetOffload *o)
{
    FrameHeaders h = frame_parse(f, size, FRAME_VLAN);
    unsigned wanted = options & TX_TCP_SUM ? FRAME_TCP : options & TX_UDP_SUM ? FRAME_UDP : 0;

    if (options & TX_IP_SUM && h.v4) {
        st16be(f + h.l3 + 10, 0);
        frame_put_sum(f, size, h.l3, h.l4, h.l3 + 10);
    }
    if (wanted && h.protocol == wanted && h.end == size)
        frame_leave_sum(f, size, &h, h.l4 + (wanted == FRAME_TCP ? 16 : 6), o);
}

/* Options are those of the first descriptor, as is the tag, whose bytes stand as on the wire. */
static void frame_send(Rtl8139 *s, const uint8_t *d)
{
    uint32_t options = ld32le(d), size = s->tx_size;
    uint8_t *f = s->frame + FRAME_TAG_SIZE;
    NetOffload o = { 0 };

    if (size < FRAME_HEADER || s->tx_too_long ||
        (options & TX_LARGE && !segments_prepare(f, size, options >> 16 & TX_SEGMENT, &o))) {
        log_guest_error("%s: a frame of %u bytes cannot be sent", s->pci.dev.id, size);
        s->tally.tx_error++;
        return;
    }
    if (!(options & TX_LARGE))
        sums_prepare(f, size, options, &o);
    if (ld32le(d + 4) & TX_TAG) {
        f = frame_add_tag(f, FRAME_VLAN, ld16be(d + 4), &o);
        size += FRAME_TAG_SIZE;
    }
    if (size < FRAME_MIN)
        memset(f + size, 0, FRAME_MIN - size);
    rtl8139_send(s, f, MAX(size, (uint32_t)FRAME_MIN), &o);
}

static void piece_add(Rtl8139 *s, const uint8_t *d)
{
    uint32_t size = ld32le(d) & TX_SIZE;

    if (ld32le(d) & D_FIRST) {
        s->tx_size = 0;
        s->tx_too_long = false;
    }
    if (size > RTL8139_FRAME_MAX - s->tx_size) {
        s->tx_too_long = true;
        return;
    }
    pci_dma_read(&s->pci, ld64le(d + 8), s->frame + FRAME_TAG_SIZE + s->tx_size, size);
    s->tx_size += size;
}

/* One descriptor; false: it is not the chip's. */
static bool descriptor_run(Rtl8139 *s, unsigned ring)
{
    uint64_t base = ld64le(s->reg + (ring ? THPDS : TNPDS)) & ~UINT64_C(255);
    uint64_t at = base + s->tx_index[ring] * DESCRIPTOR;
    uint8_t d[DESCRIPTOR];

    pci_dma_read(&s->pci, at, d, sizeof d);
    uint32_t word = ld32le(d);
    if (!(word & D_OWN))
        return false;
    piece_add(s, d);
    if (word & D_LAST) {
        frame_send(s, d);
        s->tx_size = 0;
    }
    rtl8139_report(s, at, word & ~(D_OWN | (word & TX_LARGE ? 0 : (uint32_t)TX_STATUS)));
    s->tx_index[ring] = index_after(s->tx_index[ring], word);
    return true;
}

/* At most one round. */
void rtl8139_cplus_poll(Rtl8139 *s, unsigned ring)
{
    unsigned n = 0;

    if (s->busy || !rtl8139_cplus_tx(s) || !(s->reg[CR] & CR_TE) || !pci_may_master(&s->pci))
        return;
    s->busy = true;
    while (n < RING_MAX && descriptor_run(s, ring))
        n++;
    s->busy = false;
    rtl8139_raise(s, n ? INT_TOK : INT_TDU);
}

/* ---- receive ---- */

static uint64_t rx_descriptor(Rtl8139 *s, uint8_t d[DESCRIPTOR])
{
    uint64_t at = (ld64le(s->reg + RDSAR) & ~UINT64_C(255)) + s->rx_index * DESCRIPTOR;
    pci_dma_read(&s->pci, at, d, DESCRIPTOR);
    return at;
}

/* The guest gives descriptors back without a word: it is asked again when it looks at interrupts, and after a while. */
bool rtl8139_cplus_has_room(Rtl8139 *s)
{
    uint8_t d[DESCRIPTOR];

    if (s->busy)
        return false;
    s->busy = true;
    rx_descriptor(s, d);
    s->busy = false;
    return ld32le(d) & D_OWN;
}

static uint32_t rx_sums(const Rtl8139 *s, const uint8_t *f, size_t size, bool good)
{
    FrameHeaders h = frame_parse(f, size, FRAME_VLAN);

    if (!(s->reg[CPCR] & CPCR_RX_SUMS) || !h.v4)
        return 0;
    uint32_t v = good || frame_ip_right(&h, f) ? 0 : RX_IP_BAD;
    bool bad = h.protocol && !good && !frame_transport_right(&h, f);
    switch (h.protocol) {
    case FRAME_TCP: return v | RX_PID_TCP | (bad ? RX_TCP_BAD : 0);
    case FRAME_UDP: return v | RX_PID_UDP | (bad ? RX_UDP_BAD : 0);
    default: return v | RX_PID_IP;
    }
}

static void no_room(Rtl8139 *s)
{
    s->tally.missed++;
    rtl8139_raise(s, INT_RXOVW);
}

/* A frame longer than its buffer is cut and marked: it does not go on in the next (9.2.2). */
void rtl8139_cplus_store(Rtl8139 *s, uint8_t *f, size_t size, unsigned status, bool good)
{
    uint8_t d[DESCRIPTOR];
    uint64_t at = rx_descriptor(s, d);
    uint32_t word = ld32le(d), tag = 0, room = word & RX_SIZE;

    if (!(word & D_OWN)) {
        no_room(s);
        return;
    }
    uint32_t answer = (word & D_END) | D_FIRST | D_LAST | rx_sums(s, f, size, good) |
                      (status & RX_BROADCAST ? RX_D_BROADCAST : 0) | (status & RX_MULTICAST ? RX_D_MULTICAST : 0) |
                      (status & RX_PHYSICAL ? RX_D_PHYSICAL : 0);
    if (s->reg[CPCR] & CPCR_RX_VLAN && ld16be(f + FRAME_ADDRESSES) == FRAME_VLAN) {
        tag = RX_TAG | ld16le(f + FRAME_HEADER);
        memmove(f + FRAME_TAG_SIZE, f, FRAME_ADDRESSES);
        f += FRAME_TAG_SIZE;
        size -= FRAME_TAG_SIZE;
    }
    size += FRAME_FCS_SIZE;
    if (size > room)
        answer |= RX_D_ERROR | RX_D_LONG;
    size = MIN(size, room);
    pci_dma_write(&s->pci, ld64le(d + 8), f, size);
    rtl8139_report(s, at + 4, tag);
    rtl8139_report(s, at, answer | size);
    s->rx_index = index_after(s->rx_index, word);
    rtl8139_raise(s, INT_ROK);
}
