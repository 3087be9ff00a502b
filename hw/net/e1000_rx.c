/*
 * The e1000's receive rings (317453, 3.2; 317694, 7.1): legacy descriptors, and the 82574's extended and packet split
 * ones. While no descriptor is free the network keeps what comes (can_receive), up to its own limit.
 */
#include <string.h>

#include "hw/net/e1000_internal.h"
#include "hw/net/frame.h"
#include "util/endian.h"

enum { FRAME_USUAL = 1518, FRAME_LONG = 16384, SPLIT_BUFFERS = 4 };

/* A frame on its way into a ring. */
typedef struct Rx {
    unsigned queue;
    const uint8_t *data;
    uint32_t size;        /* with FCS, where the guest wants that */
    unsigned status;      /* RXD_*, errors from bit 8 on */
    uint16_t tag;
    uint32_t hash;
    unsigned hash_type;
} Rx;

static unsigned ring(unsigned at, unsigned queue) { return at + QUEUE_STRIDE * queue; }
static bool is_extended(const E1000 *s) { return s->model->is_82574 && REG(s, RFCTL) & RFCTL_EXTEN; }
static bool is_split(const E1000 *s) { return s->model->is_82574 && REG(s, RCTL) & RCTL_PACKET_SPLIT; }
static unsigned descriptor_size(const E1000 *s) { return is_split(s) ? RX_DESCRIPTOR_SPLIT : RX_DESCRIPTOR; }
static uint32_t ring_count(const E1000 *s, unsigned q) { return REG(s, ring(RDLEN, q)) / descriptor_size(s); }

static uint32_t ring_free(const E1000 *s, unsigned q)
{
    uint32_t count = ring_count(s, q), head = REG(s, ring(RDH, q)), tail = REG(s, ring(RDT, q));

    if (head >= count || tail >= count)
        return 0;
    return tail >= head ? tail - head : count - head + tail;
}

static uint32_t buffer_size(const E1000 *s)
{
    uint32_t size = 2048u >> (REG(s, RCTL) >> 16 & 3), flexible = REG(s, RCTL) >> 27 & 15;

    if (s->model->is_82574 && flexible)
        return flexible * 1024;
    return REG(s, RCTL) & RCTL_BSEX && size < 2048 ? size * 16 : size;
}

/* The buffers of one split descriptor: BSIZE0 in units of 128 bytes, the others of 1 KiB (317694, 10.2.5.2). */
static uint32_t split_size(const E1000 *s, unsigned n)
{
    return n ? (REG(s, PSRCTL) >> 8 * n & 0x3f) * 1024 : (REG(s, PSRCTL) & 0x7f) * 128;
}

static uint32_t descriptor_room(const E1000 *s)
{
    uint32_t room = 0;
    if (!is_split(s))
        return buffer_size(s);
    for (unsigned n = 0; n < SPLIT_BUFFERS; n++)
        room += split_size(s, n);
    return room;
}

/* ---- one descriptor ---- */

static void legacy_report(E1000 *s, uint64_t at, const Rx *r, uint32_t size, unsigned status)
{
    uint64_t high = (uint32_t)r->tag << 16 | (status >> 8 & 0xff) << 8 | (status & 0xff);
    e1000_report(s, at + 8, high << 32 | size, 8);
}

/* The hash, or the identification and checksum that nobody asked for (RXCSUM.PCSD). */
static void extended_report(E1000 *s, uint64_t at, const Rx *r, uint32_t size, unsigned status)
{
    uint32_t hash = REG(s, RXCSUM) & RXCSUM_PCSD ? r->hash : 0;
    uint64_t low = (uint64_t)hash << 32 | r->queue << 8 | (hash ? r->hash_type : 0);

    e1000_report(s, at, low, 8);
    e1000_report(s, at + 8, (uint64_t)r->tag << 48 | (uint64_t)size << 32 | (status >> 8) << 24 | (status & 0xff), 8);
}

/* Headers are not told apart: the buffers are filled one after the other.  The word with DD is written last. */
static void split_store(E1000 *s, uint64_t at, const uint8_t *d, const Rx *r, uint32_t offset, uint32_t size,
                        unsigned status)
{
    uint32_t part[SPLIT_BUFFERS];

    for (unsigned n = 0; n < SPLIT_BUFFERS; n++) {
        part[n] = MIN(split_size(s, n), size);
        pci_dma_write(&s->pci, ld64le(d + 8 * n), r->data + offset, part[n]);
        offset += part[n];
        size -= part[n];
    }
    e1000_report(s, at + 16, (uint64_t)part[3] << 48 | (uint64_t)part[2] << 32 | part[1] << 16, 8);
    extended_report(s, at, r, part[0], status);
}

/* Into the descriptor at the head; the last one of a frame has what is known of all of it. */
static void descriptor_fill(E1000 *s, const Rx *r, uint32_t offset, uint32_t size)
{
    uint32_t *head = &REG(s, ring(RDH, r->queue));
    uint64_t base = REG(s, ring(RDBAL, r->queue)) | (uint64_t)REG(s, ring(RDBAH, r->queue)) << 32;
    uint64_t at = base + (uint64_t)*head * descriptor_size(s);
    unsigned status = offset + size == r->size ? r->status | RXD_EOP | RXD_DD : RXD_DD;
    uint8_t d[RX_DESCRIPTOR_SPLIT];

    pci_dma_read(&s->pci, at, d, descriptor_size(s));
    if (is_split(s)) {
        split_store(s, at, d, r, offset, size, status);
    } else {
        pci_dma_write(&s->pci, ld64le(d), r->data + offset, size);
        if (is_extended(s))
            extended_report(s, at, r, size, status);
        else
            legacy_report(s, at, r, size, status);
    }
    *head = (*head + 1) % ring_count(s, r->queue);
}

/* ---- a frame ---- */

static void check_threshold(E1000 *s, unsigned queue)
{
    uint32_t threshold = ring_count(s, queue) >> ((REG(s, RCTL) >> 8 & 3) + 1);

    if (ring_free(s, queue) == threshold)
        e1000_raise(s, INT_RXDMT0);
}

static void frame_store(E1000 *s, const Rx *r)
{
    uint32_t room = descriptor_room(s);
    bool was_busy = s->busy;

    if (!room || ring_free(s, r->queue) < (r->size + room - 1) / room) {
        e1000_count(s, RNBC);
        e1000_count(s, MPC);
        e1000_raise(s, INT_RXO);
        return;
    }
    s->busy = true;
    for (uint32_t offset = 0; offset < r->size; offset += room)
        descriptor_fill(s, r, offset, MIN(room, r->size - offset));
    s->busy = was_busy;
    check_threshold(s, r->queue);
    e1000_rx_done(s);
}

static void frame_count(E1000 *s, const uint8_t *f, uint32_t size)
{
    e1000_count(s, GPRC);
    if (net_is_broadcast(f))
        e1000_count(s, BPRC);
    else if (net_is_multicast(f))
        e1000_count(s, MPRC);
    e1000_count_size(s, PRC64, size);
    e1000_count_octets(s, GORCL, size);
}

static bool too_long(const E1000 *s, uint32_t size, bool tagged)
{
    uint32_t most = FRAME_USUAL + (tagged ? FRAME_TAG_SIZE : 0);
    return size + FRAME_FCS_SIZE > most && !(REG(s, RCTL) & (RCTL_LPE | RCTL_SBP));
}

/* Takes the tag out, if the guest wants it beside (CTRL.VME); returns where the frame begins now. */
static uint8_t *tag_remove(const E1000 *s, uint8_t *f, Rx *r)
{
    if (ld16be(f + FRAME_ADDRESSES) != REG(s, VET) || !(REG(s, CTRL) & CTRL_VME))
        return f;
    r->status |= RXD_VP;
    r->tag = ld16be(f + FRAME_ADDRESSES + 2);
    r->size -= FRAME_TAG_SIZE;
    memmove(f + FRAME_TAG_SIZE, f, FRAME_ADDRESSES);
    return f + FRAME_TAG_SIZE;
}

static void choose_queue(const E1000 *s, const uint8_t *f, Rx *r)
{
    if (!s->model->is_82574)
        return;
    r->hash = e1000_rss_hash(s, f, r->size, &r->hash_type);
    unsigned n = r->hash & 127;
    if (r->hash_type)
        r->queue = REG(s, RETA + (n & ~3u)) >> (8 * (n & 3) + 7) & 1;
}

/* The frame stands in a buffer that has room for padding and FCS, whose value is not worked out. */
static void frame_take(E1000 *s, uint8_t *f, uint32_t size, bool good)
{
    Rx r = { .size = size };
    bool tagged = ld16be(f + FRAME_ADDRESSES) == REG(s, VET);

    e1000_count(s, TPR);
    e1000_count_octets(s, TORL, size + FRAME_FCS_SIZE);
    if (too_long(s, size, tagged)) {
        e1000_count(s, ROC);
        return;
    }
    if (!e1000_accepts(s, f))
        return;
    frame_count(s, f, size + FRAME_FCS_SIZE);
    r.status = e1000_check_sums(s, f, size, good);
    choose_queue(s, f, &r);
    r.data = tag_remove(s, f, &r);
    if (!(REG(s, RCTL) & RCTL_SECRC))
        r.size += FRAME_FCS_SIZE;
    frame_store(s, &r);
}

void e1000_rx_frame(E1000 *s, const struct iovec *iov, unsigned count, const NetOffload *offload)
{
    uint8_t f[FRAME_LONG + FRAME_FCS_SIZE];
    size_t size = net_iov_size(iov, count);

    if (!(REG(s, RCTL) & RCTL_EN) || !pci_may_master(&s->pci))
        return;
    if (size > FRAME_LONG || size < 14) {
        e1000_count(s, ROC);
        return;
    }
    net_iov_copy(iov, count, 0, f, size);
    size_t padded = MAX(size, (size_t)FRAME_MIN);
    memset(f + size, 0, padded + FRAME_FCS_SIZE - size);
    frame_take(s, f, padded, offload->flags & NET_CSUM_GOOD);
}

/* ---- for the network ---- */

/* A card that does not receive loses what comes, as on the wire. */
static bool can_receive(void *opaque)
{
    E1000 *s = opaque;

    if (!(REG(s, RCTL) & RCTL_EN) || !pci_may_master(&s->pci) || !ring_count(s, 0))
        return true;
    return ring_free(s, 0);
}

static void receive(void *opaque, const struct iovec *iov, unsigned count, const NetOffload *offload)
{
    E1000 *s = opaque;
    if (!(REG(s, STATUS) & STATUS_LU) || e1000_phy_loopback(s) || REG(s, RCTL) & RCTL_LBM)
        return;
    e1000_rx_frame(s, iov, count, offload);
}

static void link_changed(void *opaque, bool up)
{
    (void)up;
    e1000_link_update(opaque);
}

const NetUser e1000_net_user = { can_receive, receive, link_changed };
