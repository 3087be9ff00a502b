/*
 * virtio-net: frames (Virtual I/O Device 1.2, 5.1.6).
 *
 * Frames to be sent go from the guest's memory to the network as they are, by the main loop, in batches: while there
 * are some, the driver need not notify.  A frame for the guest goes into as many buffers as it needs, where the driver
 * can put it together; when there are not enough, it waits, and with it the network, until there are more.
 */
#include <string.h>

#include "core/log.h"
#include "core/machine.h"
#include "hw/virtio/virtio_net_private.h"
#include "util/bits.h"
#include "util/endian.h"

enum { BATCH = 256 /* frames of a queue, before others have their turn */ };

static const char *id_of(const VirtioNet *n) { return n->virtio.pci.dev.id; }
static VirtQueue *rx_queue(VirtioNet *n, unsigned pair) { return &n->virtio.queue[2 * pair]; }
static VirtQueue *tx_queue(VirtioNet *n, unsigned pair) { return &n->virtio.queue[2 * pair + 1]; }

/* The last field, num_buffers, came with mergeable buffers, and is always there since 1.0 (5.1.6.1). */
static unsigned header_size(const VirtioNet *n)
{
    bool long_one = virtio_has(&n->virtio, VIRTIO_F_VERSION_1) || virtio_has(&n->virtio, NET_F_MRG_RXBUF);
    return long_one ? NET_HEADER_SIZE : NET_LEGACY_HEADER_SIZE;
}

/* ---- flows ---- */

/*
 * A number that both directions of a flow have: of addresses, protocol and ports.  What is no TCP or UDP over IP, or a
 * fragment without ports, is told apart by addresses alone.
 */
static uint8_t flow_hash(const uint8_t *frame, size_t size)
{
    enum { IPV4 = 0x0800, IPV6 = 0x86dd, TCP = 6, UDP = 17, FRAGMENT = 0x3fff };
    uint32_t sum = 0;
    size_t ports = 0;

    if (size >= 34 && ld16be(frame + 12) == IPV4) {
        sum = ld32be(frame + 26) ^ ld32be(frame + 30);
        if ((frame[23] == TCP || frame[23] == UDP) && !(ld16be(frame + 20) & FRAGMENT))
            ports = 14 + (frame[14] & 15) * 4;
    } else if (size >= 54 && ld16be(frame + 12) == IPV6) {
        for (unsigned k = 0; k < 32; k += 4)
            sum ^= ld32be(frame + 22 + k);
        ports = frame[20] == TCP || frame[20] == UDP ? 54 : 0;
    }
    if (ports && ports + 4 <= size)
        sum ^= ld16be(frame + ports) ^ ld16be(frame + ports + 2);
    return (sum * UINT32_C(0x9e3779b1)) >> 24;
}

/* ---- sending ---- */

/* The frame behind the header; what lies in between of the list's elements is left out. */
static unsigned frame_iov(VirtioNet *n, const DmaList *d, size_t skip)
{
    unsigned count = 0;

    if (n->iov_room < d->count) {
        n->iov_room = MAX(d->count, 64);
        n->iov = g_renew(struct iovec, n->iov, n->iov_room);
    }
    for (unsigned k = 0; k < d->count; k++) {
        const struct iovec *v = &d->iov[k];
        size_t cut = MIN(skip, v->iov_len);
        skip -= cut;
        if (v->iov_len > cut)
            n->iov[count++] = (struct iovec) { (uint8_t *)v->iov_base + cut, v->iov_len - cut };
    }
    return count;
}

static bool offload_valid(const NetOffload *o, size_t size)
{
    if (o->flags & NET_NEEDS_CSUM && (size_t)o->csum_start + o->csum_offset + 2 > size)
        return false;
    switch (o->gso & ~NET_GSO_ECN) {
    case NET_GSO_NONE: return true;
    case NET_GSO_TCP4: case NET_GSO_TCP6: case NET_GSO_UDP: case NET_GSO_UDP_L4: return o->gso_size != 0;
    default: return false;
    }
}

static NetOffload header_read(const uint8_t *h)
{
    return (NetOffload) { .flags = h[0] & NET_NEEDS_CSUM, .gso = h[1], .header_size = ld16le(h + 2),
                          .gso_size = ld16le(h + 4), .csum_start = ld16le(h + 6), .csum_offset = ld16le(h + 8) };
}

/* Answers to the flow come by this pair from now on. */
static void flow_learn(VirtioNet *n, unsigned pair, const struct iovec *iov, unsigned count)
{
    uint8_t head[128];

    if (n->pairs_used > 1)
        n->flow[flow_hash(head, net_iov_copy(iov, count, 0, head, sizeof head))] = pair;
}

static void send_frame(VirtioNet *n, unsigned pair, const VirtElement *e)
{
    uint8_t header[NET_HEADER_SIZE] = { 0 };
    size_t skip = header_size(n), size = e->out.size - MIN(e->out.size, skip);

    dma_to_buffer(&e->out, 0, header, skip);
    NetOffload offload = header_read(header);
    if (size < 14 || size > NET_FRAME_MAX || !offload_valid(&offload, size)) {
        log_guest_error("%s: a frame of %zu bytes to send, flags 0x%02x, segmentation 0x%02x", id_of(n), size,
                        header[0], header[1]);
        return;
    }
    unsigned count = frame_iov(n, &e->out, skip);
    flow_learn(n, pair, n->iov, count);
    net_send(n->backend, n->iov, count, &offload);
}

/* True: there is more. */
static bool send_batch(VirtioNet *n, unsigned pair)
{
    VirtQueue *q = tx_queue(n, pair);
    VirtElement *e;
    unsigned frames = 0;

    while (frames < BATCH && (e = virtqueue_pop(q))) {
        send_frame(n, pair, e);
        virtqueue_push(q, e, 0);
        frames++;
    }
    virtqueue_flush(q);
    return frames == BATCH;
}

/* When nothing is left the driver has to say so again, unless it has added something at this moment. */
static bool send_more(VirtioNet *n, unsigned pair)
{
    VirtQueue *q = tx_queue(n, pair);

    if (send_batch(n, pair))
        return true;
    virtqueue_set_notify(q, true);
    if (!virtqueue_has_element(q))
        return false;
    virtqueue_set_notify(q, false);
    return true;
}

void virtio_net_send(void *opaque)
{
    VirtioNet *n = opaque;

    for (unsigned pair = 0; pair < n->pairs; pair++)
        if (n->sending >> pair & 1 && !send_more(n, pair))
            n->sending &= ~BIT(pair);
    if (n->sending)
        timer_arm(n->send, 0);
}

/*
 * By the main loop, so that a processor goes on with the next frame meanwhile; at once, whatever the clock is restored
 * to.
 */
void virtio_net_sent(VirtioNet *n, VirtQueue *q)
{
    unsigned pair = q->index / 2;

    virtqueue_set_notify(q, false);
    n->sending |= BIT(pair);
    if (!timer_armed(n->send))
        timer_arm(n->send, 0);
}

/* ---- receiving ---- */

static void header_write(const VirtioNet *n, uint8_t h[NET_HEADER_SIZE], const NetOffload *o)
{
    memset(h, 0, NET_HEADER_SIZE);
    h[0] = virtio_has(&n->virtio, NET_F_GUEST_CSUM) ? o->flags : 0;
    h[1] = o->gso;
    st16le(h + 2, o->header_size);
    st16le(h + 4, o->gso_size);
    st16le(h + 6, o->csum_start);
    st16le(h + 8, o->csum_offset);
    st16le(h + 10, 1);
}

/* Bytes [offset, offset + size) of a frame to a place in an element. */
static void copy_part(VirtElement *e, size_t at, const struct iovec *iov, unsigned count, size_t offset, size_t size)
{
    for (unsigned k = 0; k < count && size; k++) {
        if (offset >= iov[k].iov_len) {
            offset -= iov[k].iov_len;
            continue;
        }
        size_t part = MIN(iov[k].iov_len - offset, size);
        dma_from_buffer(&e->in, at, (uint8_t *)iov[k].iov_base + offset, part);
        at += part;
        size -= part;
        offset = 0;
    }
}

typedef enum Delivery { DELIVERED, DROPPED, NO_ROOM } Delivery;

/*
 * Elements with room for `size` bytes, `taken` of them, or none.  A driver without mergeable buffers has one for each
 * frame, and a ring that is too small as a whole never has room: such frames are lost, others wait.
 */
static Delivery take_room(VirtioNet *n, VirtQueue *q, size_t size, unsigned *taken)
{
    unsigned count = 0, most = virtio_has(&n->virtio, NET_F_MRG_RXBUF) ? q->size : 1;
    VirtElement *e;
    size_t room = 0;

    while (room < size && count < most && (e = virtqueue_pop(q))) {
        n->taken[count++] = e;
        room += e->in.size;
    }
    *taken = count;
    if (room >= size)
        return DELIVERED;
    while (count)
        virtqueue_unpop(q, n->taken[--count]);
    return *taken < most && virtio_running(&n->virtio) ? NO_ROOM : DROPPED;
}

/* Header and frame into the elements taken, the first of which says how many there are (5.1.6.4). */
static void fill(VirtioNet *n, unsigned taken, uint8_t *header, const struct iovec *iov, unsigned count, size_t size)
{
    VirtQueue *q = n->taken[0]->queue;
    size_t skip = header_size(n), offset = 0;

    st16le(header + 10, taken);
    dma_from_buffer(&n->taken[0]->in, 0, header, skip);
    for (unsigned k = 0; k < taken; k++) {
        VirtElement *e = n->taken[k];
        size_t at = k ? 0 : skip, part = MIN(size - offset, e->in.size - at);
        copy_part(e, at, iov, count, offset, part);
        offset += part;
        virtqueue_push(q, e, at + part);
    }
    virtqueue_flush(q);
}

static Delivery deliver(VirtioNet *n, VirtQueue *q, uint8_t *header, const struct iovec *iov, unsigned count,
                        size_t size)
{
    unsigned taken;

    if (!virtio_running(&n->virtio) || !q->enabled)
        return DROPPED;
    Delivery d = take_room(n, q, header_size(n) + size, &taken);
    if (d == DROPPED)
        log_guest_error("%s: the buffers of queue %u have no room for a frame of %zu bytes", id_of(n), q->index, size);
    if (d != DELIVERED)
        return d;
    if (n->taken[0]->in.size < header_size(n)) {
        while (taken)
            virtqueue_unpop(q, n->taken[--taken]);
        virtio_break(&n->virtio, "queue %u: a buffer without room for a header", q->index);
        return DROPPED;
    }
    fill(n, taken, header, iov, count, size);
    return DELIVERED;
}

/* The queue of a frame: where its flow is sent. */
static VirtQueue *queue_for(VirtioNet *n, const uint8_t *head, size_t size)
{
    unsigned pair = n->pairs_used > 1 ? n->flow[flow_hash(head, size)] : 0;
    return rx_queue(n, pair < n->pairs_used ? pair : 0);
}

static void held_try(VirtioNet *n)
{
    struct iovec iov = { n->held, n->held_size };

    if (!n->held_size)
        return;
    VirtQueue *q = queue_for(n, n->held, n->held_size);
    if (deliver(n, q, n->held_header, &iov, 1, n->held_size) != NO_ROOM)
        n->held_size = 0;
}

/* While it has buffers, the driver need not say that there are more. */
static bool has_buffers(VirtQueue *q)
{
    bool has = virtqueue_has_element(q);

    if (!has) {
        virtqueue_set_notify(q, true);
        has = virtqueue_has_element(q);
    }
    if (has)
        virtqueue_set_notify(q, false);
    return has;
}

/*
 * Any queue's lack stops all, as nobody knows where the next frame belongs; one that the driver has taken out of use does
 * not, its frames are lost.
 */
static bool net_can_receive(void *opaque)
{
    VirtioNet *n = opaque;

    if (!virtio_running(&n->virtio))
        return false;
    for (unsigned pair = 0; pair < n->pairs_used; pair++)
        if (rx_queue(n, pair)->enabled && !has_buffers(rx_queue(n, pair)))
            return false;
    return !n->held_size;
}

static void hold(VirtioNet *n, VirtQueue *q, const uint8_t *header, const struct iovec *iov, unsigned count,
                 size_t size)
{
    memcpy(n->held_header, header, NET_HEADER_SIZE);
    n->held_size = net_iov_copy(iov, count, 0, n->held, size);
    virtqueue_set_notify(q, true);
    held_try(n);
}

static void net_frame(void *opaque, const struct iovec *iov, unsigned count, const NetOffload *offload)
{
    VirtioNet *n = opaque;
    uint8_t head[128], header[NET_HEADER_SIZE];
    size_t size = net_iov_size(iov, count), known = net_iov_copy(iov, count, 0, head, sizeof head);

    if (n->held_size || size > NET_FRAME_MAX || !virtio_net_filter_passes(n, head, known))
        return;
    VirtQueue *q = queue_for(n, head, known);
    header_write(n, header, offload);
    if (deliver(n, q, header, iov, count, size) == NO_ROOM)
        hold(n, q, header, iov, count, size);
}

void virtio_net_refilled(VirtioNet *n)
{
    held_try(n);
    if (!n->held_size)
        net_accept(n->backend);
}

static void net_link(void *opaque, bool up)
{
    VirtioNet *n = opaque;
    (void)up;
    if (virtio_has(&n->virtio, NET_F_STATUS))
        virtio_config_changed(&n->virtio);
}

const NetUser virtio_net_user = { .can_receive = net_can_receive, .receive = net_frame, .link_changed = net_link };
