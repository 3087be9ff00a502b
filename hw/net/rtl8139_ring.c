/*
 * The RTL8139's C mode (data sheet, 6.7 to 6.14 and chapter 8): frames go into a ring of bytes, each behind a word of
 * status and length, and out by four descriptors in turn.
 */
#include <string.h>

#include "core/log.h"
#include "core/machine.h"
#include "hw/net/rtl8139_internal.h"

#define LOOK_NS (NS_PER_SECOND / 1000)
enum { RX_HEADER = 4, FRAME_ROOM = 4096, LOOPED_MAX = FRAME_ROOM - FRAME_FCS_SIZE };

/* ---- transmit ---- */

void rtl8139_send(Rtl8139 *s, uint8_t *f, size_t size, const NetOffload *o)
{
    struct iovec iov = { f, size };

    s->tally.tx_ok++;
    if ((ld32le(s->reg + TCR) & TCR_LOOPBACK) != TCR_LOOPBACK) {
        net_send(s->net, &iov, 1, o);
        return;
    }
    if (o && o->flags)
        frame_put_sum(f, size, o->csum_start, size, o->csum_start + o->csum_offset);
    rtl8139_net_user.receive(s, &iov, 1, &(NetOffload){ 0 });
}

static void descriptor_send(Rtl8139 *s, unsigned n)
{
    uint8_t *reg = s->reg + TSD0 + 4 * n, f[TSD_SIZE + 1 + FRAME_MIN] = { 0 };
    uint32_t size = ld32le(reg) & TSD_SIZE;

    pci_dma_read(&s->pci, ld32le(s->reg + TSAD0 + 4 * n), f, size);
    if (size >= FRAME_HEADER)
        rtl8139_send(s, f, MAX(size, (uint32_t)FRAME_MIN), NULL);
    st32le(reg, ld32le(reg) | TSD_OWN | TSD_TOK);
}

/* The host gives a descriptor by clearing OWN; they are sent in turn (6.7). */
void rtl8139_transmit(Rtl8139 *s)
{
    bool sent = false;

    if (s->busy || !(s->reg[CR] & CR_TE) || rtl8139_cplus_tx(s) || !pci_may_master(&s->pci))
        return;
    s->busy = true;
    for (unsigned n = 0; n < TRANSMITS && !(ld32le(s->reg + TSD0 + 4 * s->transmit) & TSD_OWN); n++) {
        descriptor_send(s, s->transmit);
        s->transmit = (s->transmit + 1) % TRANSMITS;
        sent = true;
    }
    s->busy = false;
    if (sent)
        rtl8139_raise(s, INT_TOK);
}

/* ---- which frames ---- */

/* RX_*, or 0: not this one. */
static unsigned frame_status(const Rtl8139 *s, const uint8_t *f)
{
    uint32_t rcr = ld32le(s->reg + RCR);
    unsigned hash = frame_hash(f);
    bool mine = !memcmp(f, s->reg + IDR0, 6), listed = s->reg[MAR0 + hash / 8] >> hash % 8 & 1;

    if (net_is_broadcast(f))
        return rcr & (RCR_AB | RCR_AAP) ? RX_OK | RX_BROADCAST : 0;
    if (net_is_multicast(f))
        return (rcr & RCR_AM && listed) || rcr & RCR_AAP ? RX_OK | RX_MULTICAST : 0;
    if (mine)
        return rcr & (RCR_APM | RCR_AAP) ? RX_OK | RX_PHYSICAL : 0;
    return rcr & RCR_AAP ? RX_OK : 0;
}

/* ---- the ring of bytes ---- */

uint32_t rtl8139_ring_size(const Rtl8139 *s) { return 8192u << (ld32le(s->reg + RCR) >> 11 & 3); }

static uint32_t ring_free(const Rtl8139 *s)
{
    uint32_t size = rtl8139_ring_size(s);
    return (s->rx_read - s->rx_write + size - 1) % size;
}

/* With WRAP a frame goes on behind the ring's end, where the driver has left room (6.11); 64 KiB always begin again. */
static void ring_write(Rtl8139 *s, uint32_t at, const uint8_t *p, uint32_t size)
{
    uint32_t base = ld32le(s->reg + RBSTART), ring = rtl8139_ring_size(s), first = size;

    if (!(ld32le(s->reg + RCR) & RCR_WRAP) || ring == 65536)
        first = MIN(size, ring - at);
    pci_dma_write(&s->pci, base + at, p, first);
    pci_dma_write(&s->pci, base, p + first, size - first);
}

static uint32_t stored_size(size_t size) { return (RX_HEADER + size + FRAME_FCS_SIZE + 3) & ~UINT32_C(3); }

static void frame_store(Rtl8139 *s, const uint8_t *f, size_t size, unsigned status)
{
    uint32_t stored = stored_size(size);
    uint8_t image[RX_HEADER + FRAME_ROOM + FRAME_FCS_SIZE];

    if (stored > ring_free(s)) {
        s->tally.missed++;
        st32le(s->reg + MPC, (ld32le(s->reg + MPC) + 1) & 0xffffff);
        rtl8139_raise(s, INT_RXOVW);
        return;
    }
    st16le(image, status);
    st16le(image + 2, size + FRAME_FCS_SIZE);
    memcpy(image + RX_HEADER, f, stored - RX_HEADER);
    ring_write(s, s->rx_write, image, stored);
    s->rx_write = (s->rx_write + stored) % rtl8139_ring_size(s);
    rtl8139_raise(s, INT_ROK);
}

/* ---- for the network ---- */

static bool is_receiving(const Rtl8139 *s) { return s->reg[CR] & CR_RE && pci_may_master(&s->pci); }

static bool has_room(Rtl8139 *s)
{
    return rtl8139_cplus_rx(s) ? rtl8139_cplus_has_room(s) : ring_free(s) >= stored_size(1514);
}

/* A card that does not receive loses what comes, as on the wire. */
static bool can_receive(void *opaque)
{
    Rtl8139 *s = opaque;

    if (!is_receiving(s) || has_room(s))
        return true;
    rtl8139_look_in(s, LOOK_NS);
    return false;
}

void rtl8139_look_in(Rtl8139 *s, int64_t ns)
{
    int64_t when = clock_now(s->pci.dev.machine->clocks, MYNA_CLOCK_VIRTUAL) + ns;

    if (!timer_armed(s->look) || timer_deadline(s->look) > when)
        timer_arm(s->look, when);
}

/*
 * On the wire frames keep coming, and their interrupts with them. Here they wait for room: a driver that cleared ROK
 * with frames in the ring, because it had done its share for now, is told of them again.
 */
void rtl8139_look(void *opaque)
{
    Rtl8139 *s = opaque;

    if (is_receiving(s) && !has_room(s) && !rtl8139_cplus_rx(s))
        rtl8139_raise(s, INT_ROK);
    net_accept(s->net);
}

static void frame_count(Rtl8139 *s, unsigned status)
{
    s->tally.rx_ok++;
    s->tally.rx_physical += (status & RX_PHYSICAL) != 0;
    s->tally.rx_broadcast += (status & RX_BROADCAST) != 0;
    s->tally.rx_multicast += (status & RX_MULTICAST) != 0;
}

static void receive(void *opaque, const struct iovec *iov, unsigned count, const NetOffload *offload)
{
    Rtl8139 *s = opaque;
    uint8_t f[FRAME_ROOM + FRAME_FCS_SIZE] = { 0 };
    size_t size = net_iov_size(iov, count);
    bool was_busy = s->busy;

    if (!is_receiving(s) || size < FRAME_HEADER || size > LOOPED_MAX)
        return;
    net_iov_copy(iov, count, 0, f, size);
    unsigned status = frame_status(s, f);
    if (!status)
        return;
    frame_count(s, status);
    size = MAX(size, (size_t)FRAME_MIN);
    s->busy = true;
    if (rtl8139_cplus_rx(s))
        rtl8139_cplus_store(s, f, size, status, offload->flags & NET_CSUM_GOOD);
    else
        frame_store(s, f, size, status);
    s->busy = was_busy;
}

static void link_changed(void *opaque, bool up)
{
    (void)up;
    rtl8139_raise(opaque, INT_LINK);
}

const NetUser rtl8139_net_user = { can_receive, receive, link_changed };
