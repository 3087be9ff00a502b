/*
 * The e1000's transmit rings (317453, 3.3 to 3.5): descriptors are gathered to a frame, which is sent with its last
 * one. Segmentation and TCP's and UDP's checksum are left to the network (NetOffload), which does them where the host
 * cannot.
 */
#include <string.h>

#include "core/log.h"
#include "hw/net/e1000_internal.h"
#include "hw/net/frame.h"
#include "util/bits.h"
#include "util/endian.h"

static unsigned ring(unsigned at, unsigned queue) { return at + QUEUE_STRIDE * queue; }

/* ---- descriptors ---- */

static void context_load(E1000Tx *t, const uint8_t *d)
{
    uint32_t command = ld32le(d + 8);

    t->context[command & TXD_TSE ? 1 : 0] = (E1000Context){
        .ipcss = d[0], .ipcso = d[1], .ipcse = ld16le(d + 2), .tucss = d[4], .tucso = d[5], .tucse = ld16le(d + 6),
        .tucmd = d[11], .header_size = d[13], .segment = ld16le(d + 14),
    };
}

static void frame_begin(E1000Tx *t, uint32_t command, uint32_t options)
{
    t->begun = true;
    t->extended = command & TXD_DEXT;
    t->segmented = t->extended && command & TXD_TSE;
    t->options = options >> 8;
}

static void frame_add(E1000 *s, E1000Tx *t, uint64_t address, uint32_t size)
{
    if (size > E1000_FRAME_MAX - t->size) {
        t->too_long = true;
        return;
    }
    pci_dma_read(&s->pci, address, t->frame + FRAME_TAG_SIZE + t->size, size);
    t->size += size;
}

static void frame_forget(E1000Tx *t)
{
    t->begun = t->too_long = t->extended = t->segmented = t->tagged = false;
    t->options = 0;
    t->size = 0;
}

/* ---- checksums and segmentation ---- */

/* The sum of [start, end], end 0 being the frame's, to its place (317453, 3.5). */
static void checksum_put(uint8_t *f, uint32_t size, unsigned start, unsigned end, unsigned place)
{
    frame_put_sum(f, size, start, end ? MIN(end + 1u, size) : size, place);
}

/* TCP's and UDP's sum, by the network where it can be said to it. */
static void transport_sum(const E1000Context *c, uint8_t *f, uint32_t size, NetOffload *o)
{
    if (c->tucse || c->tucso < c->tucss || c->tucso + 2u > size) {
        checksum_put(f, size, c->tucss, c->tucse, c->tucso);
        return;
    }
    o->flags = NET_NEEDS_CSUM;
    o->csum_start = c->tucss;
    o->csum_offset = c->tucso - c->tucss;
}

static bool segments_sane(const E1000Context *c, const uint8_t *f, uint32_t size)
{
    unsigned ip_size = c->tucmd & TUCMD_IP ? 20 : 40;

    return c->tucmd & TUCMD_TCP && c->segment && c->ipcss + ip_size <= c->tucss && c->tucss + 20u <= c->header_size &&
           c->header_size < size && c->tucso >= c->tucss && c->tucso + 2u <= c->header_size &&
           size - c->ipcss <= 0xffff && f[c->tucss + 12] >> 4 >= 5;
}

/* The driver leaves lengths out (317453, 3.5.2). */
static void segments_prepare(const E1000Context *c, uint8_t *f, uint32_t size, NetOffload *o)
{
    bool v4 = c->tucmd & TUCMD_IP;
    const FrameHeaders h = { .v4 = v4, .v6 = !v4, .l3 = c->ipcss, .l4 = c->tucss, .protocol = FRAME_TCP };

    frame_leave_segments(f, size, &h, c->tucso, c->segment, c->header_size, o);
}

/* What the descriptors ask for; false: nothing can be sent. */
static bool frame_prepare(E1000Tx *t, const uint8_t *last, NetOffload *o)
{
    uint8_t *f = t->frame + FRAME_TAG_SIZE;
    const E1000Context *c = &t->context[t->segmented];
    uint32_t command = ld32le(last + 8);

    if (!t->extended) {
        if (command & TXD_IC)
            checksum_put(f, t->size, last[13], 0, last[10]);
        return true;
    }
    if (t->segmented) {
        if (!segments_sane(c, f, t->size))
            return false;
        segments_prepare(c, f, t->size, o);
        return true;
    }
    if (t->options & TXD_POPTS_IXSM >> 8)
        checksum_put(f, t->size, c->ipcss, c->ipcse, c->ipcso);
    if (t->options & TXD_POPTS_TXSM >> 8)
        transport_sum(c, f, t->size, o);
    return true;
}

/* ---- sending ---- */

static void frame_count(E1000 *s, const uint8_t *f, uint32_t size)
{
    e1000_count(s, TPT);
    e1000_count(s, GPTC);
    if (net_is_broadcast(f))
        e1000_count(s, BPTC);
    else if (net_is_multicast(f))
        e1000_count(s, MPTC);
    e1000_count_size(s, PTC64, size + FRAME_FCS_SIZE);
    e1000_count_octets(s, GOTCL, size + FRAME_FCS_SIZE);
    e1000_count_octets(s, TOTL, size + FRAME_FCS_SIZE);
}

static void frame_send(E1000 *s, uint8_t *f, uint32_t size, const NetOffload *o)
{
    struct iovec iov = { f, size };

    frame_count(s, f, size);
    if (!(REG(s, RCTL) & RCTL_LBM) && !e1000_phy_loopback(s)) {
        net_send(s->net, &iov, 1, o);
        return;
    }
    if (o->flags)
        checksum_put(f, size, o->csum_start, 0, o->csum_start + o->csum_offset);
    e1000_rx_frame(s, &iov, 1, &(NetOffload){ 0 });
}

static void frame_end(E1000 *s, E1000Tx *t, const uint8_t *last)
{
    NetOffload o = { 0 };
    uint8_t *f = t->frame + FRAME_TAG_SIZE;

    if (t->size < 14 || t->too_long || !frame_prepare(t, last, &o)) {
        log_guest_error("%s: a frame of %u bytes is dropped: %s", s->pci.dev.id, t->size,
                        t->too_long ? "too long" : "what is to be done with it makes no sense");
        return;
    }
    if (t->tagged && REG(s, CTRL) & CTRL_VME) {
        f = frame_add_tag(f, REG(s, VET), t->tag, &o);
        t->size += FRAME_TAG_SIZE;
    }
    if (REG(s, TCTL) & TCTL_PSP && t->size < FRAME_MIN) {
        memset(f + t->size, 0, FRAME_MIN - t->size);
        t->size = FRAME_MIN;
    }
    if (o.gso)
        e1000_count(s, TSCTC);
    frame_send(s, f, t->size, &o);
}

static void data_load(E1000 *s, E1000Tx *t, const uint8_t *d)
{
    uint32_t command = ld32le(d + 8), options = ld32le(d + 12);

    if (!t->begun)
        frame_begin(t, command, options);
    if (command & TXD_VLE) {
        t->tagged = true;
        t->tag = options >> 16;
    }
    frame_add(s, t, ld64le(d), command & (command & TXD_DEXT ? 0xfffff : 0xffff));
    if (!(command & TXD_EOP))
        return;
    frame_end(s, t, d);
    frame_forget(t);
}

/* ---- rings ---- */

/* One descriptor; whether it is to be reported, with the delay bit as it is there. */
static bool descriptor_run(E1000 *s, unsigned queue, uint64_t at, bool *delay)
{
    E1000Tx *t = &s->tx[queue];
    uint8_t d[TX_DESCRIPTOR];

    pci_dma_read(&s->pci, at, d, sizeof d);
    uint32_t command = ld32le(d + 8);
    if (command & TXD_DEXT && (command & TXD_DTYP) == 0)
        context_load(t, d);
    else
        data_load(s, t, d);
    if (!(command & (TXD_RS | TXD_RPS)))
        return false;
    *delay = command & TXD_IDE;
    e1000_report(s, at + 12, ld32le(d + 12) | TXD_DD, 4);
    return true;
}

static uint64_t ring_base(const E1000 *s, unsigned queue)
{
    return REG(s, ring(TDBAL, queue)) | (uint64_t)REG(s, ring(TDBAH, queue)) << 32;
}

static bool may_run(const E1000 *s, unsigned queue)
{
    return REG(s, TCTL) & TCTL_EN && !s->busy && pci_may_master(&s->pci) && (!queue || s->model->is_82574);
}

/* At most one round, whatever head and tail say. */
void e1000_tx_run(E1000 *s, unsigned queue)
{
    uint32_t count = REG(s, ring(TDLEN, queue)) / TX_DESCRIPTOR, *head = &REG(s, ring(TDH, queue));
    const uint32_t tail = REG(s, ring(TDT, queue));
    bool reported = false, delay = false;

    if (!may_run(s, queue) || *head == tail)
        return;
    if (*head >= count || tail >= count) {
        log_guest_error("%s: transmit ring of %u descriptors with head %u and tail %u", s->pci.dev.id, count, *head,
                        tail);
        return;
    }
    s->busy = true;
    while (*head != tail) {
        reported |= descriptor_run(s, queue, ring_base(s, queue) + *head * TX_DESCRIPTOR, &delay);
        *head = (*head + 1) % count;
    }
    s->busy = false;
    if (reported)
        e1000_tx_done(s, queue, delay);
    e1000_raise(s, INT_TXQE);
}

void e1000_tx_reset(E1000 *s)
{
    for (unsigned q = 0; q < E1000_QUEUES; q++) {
        frame_forget(&s->tx[q]);
        memset(s->tx[q].context, 0, sizeof s->tx[q].context);
    }
}
