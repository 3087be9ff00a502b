/*
 * Queues: elements, and what split and packed rings have in common (Virtual I/O Device 1.2, 2.6).
 *
 * All that the driver wrote is read once, checked, and used from the copy: it may change while we look.  Whatever it
 * wrote, a walk ends after VIRTIO_QUEUE_SIZE_MAX descriptors.
 */
#include <string.h>

#include "core/error.h"
#include "core/machine.h"
#include "hw/virtio/virtio_private.h"
#include "util/bits.h"
#include "util/endian.h"

static const VirtRingKind *kind_of(const VirtQueue *q)
{
    return virtio_has(q->device, VIRTIO_F_RING_PACKED) ? &virtio_packed : &virtio_split;
}

static AddressSpace *memory_of(const VirtQueue *q) { return pci_memory(&q->device->pci); }

/* ---- rings ---- */

/*
 * A driver's rings are small and in RAM; a range that is cut in two there (by areas that are shadowed) is still one.
 */
static bool ring_map_part(VirtQueue *q, VirtRing *r, uint64_t gpa, uint64_t size)
{
    AsTarget t = as_lookup(memory_of(q), gpa);
    *r = (VirtRing){ t.host, t.pool_offset };
    for (uint64_t at = 0;; t = as_lookup(memory_of(q), gpa + at)) {
        if (!t.host || t.readonly || t.host != r->host + at)
            return false;
        at += t.room;
        if (at >= size)
            return true;
    }
}

static bool ring_map(VirtQueue *q)
{
    VirtRingSizes n = kind_of(q)->sizes(q);
    q->mapped = ring_map_part(q, &q->desc_ring, q->desc, n.desc) &&
                ring_map_part(q, &q->avail_ring, q->avail, n.avail) &&
                ring_map_part(q, &q->used_ring, q->used, n.used);
    if (!q->mapped)
        virtio_break(q->device, "queue %u is not in memory", q->index);
    return q->mapped;
}

/* Whether the driver may be asked: the device runs, and the ring is where we can reach it. */
static bool queue_ready(VirtQueue *q)
{
    const VirtioDevice *v = q->device;
    if (!virtio_running(v) || !q->enabled)
        return false;
    /* Drivers from before virtio 1.0 forget to allow it. */
    if (virtio_has(v, VIRTIO_F_VERSION_1) && !pci_may_master(&v->pci))
        return false;
    return q->mapped || ring_map(q);
}

uint16_t ring_ld16(const VirtRing *r, uint64_t offset) { return ld16le(r->host + offset); }

void ring_write(VirtQueue *q, VirtRing *r, uint64_t offset, const void *bytes, unsigned size)
{
    memcpy(r->host + offset, bytes, size);
    ram_mark_written(as_pool(memory_of(q)), r->pool_offset + offset, size);
}

void ring_st16(VirtQueue *q, VirtRing *r, uint64_t offset, uint16_t v)
{
    uint8_t bytes[2];
    st16le(bytes, v);
    ring_write(q, r, offset, bytes, sizeof bytes);
}

/* ---- descriptors ---- */

VirtDesc desc_read(VirtQueue *q, const VirtTable *t, unsigned n, bool packed)
{
    uint8_t bytes[DESC_SIZE];
    if (t->host)
        memcpy(bytes, t->host + n * DESC_SIZE, sizeof bytes);
    else
        as_read_bytes(memory_of(q), t->gpa + n * DESC_SIZE, bytes, sizeof bytes);
    return (VirtDesc){ .addr = ld64le(bytes), .len = ld32le(bytes + 8), .flags = ld16le(bytes + (packed ? 14 : 12)),
                       .tail = ld16le(bytes + (packed ? 12 : 14)) };
}

bool indirect_table(VirtQueue *q, const VirtDesc *d, VirtTable *t)
{
    if (!virtio_has(q->device, VIRTIO_F_INDIRECT_DESC) || !d->len || d->len % DESC_SIZE) {
        virtio_break(q->device, "queue %u: a table of descriptors of %u bytes%s", q->index, d->len,
                     virtio_has(q->device, VIRTIO_F_INDIRECT_DESC) ? "" : ", which was not agreed on");
        return false;
    }
    AsTarget a = as_lookup(memory_of(q), d->addr);
    *t = (VirtTable){ .host = a.room >= d->len ? a.host : NULL, .gpa = d->addr, .entries = d->len / DESC_SIZE };
    return true;
}

bool element_add(VirtElement *e, const VirtDesc *d)
{
    VirtioDevice *v = e->queue->device;
    bool write = d->flags & DESC_WRITE;

    if (e->pieces++ >= VIRTIO_QUEUE_SIZE_MAX) {
        virtio_break(v, "queue %u: a request of more than %u descriptors, or a loop", e->queue->index,
                     VIRTIO_QUEUE_SIZE_MAX);
        return false;
    }
    if (!write && e->in.size) { /* 2.7.4.2 */
        virtio_break(v, "queue %u: what the device reads follows what it writes", e->queue->index);
        return false;
    }
    if (!dma_add(write ? &e->in : &e->out, d->addr, d->len)) {
        virtio_break(v, "queue %u: a request that is too large (or not in RAM) at 0x%" G_GINT64_MODIFIER "x",
                     e->queue->index, d->addr);
        return false;
    }
    return true;
}

/* ---- elements ---- */

static VirtElement *element_new(VirtQueue *q)
{
    VirtElement *e = q->spare;
    if (e) {
        q->spare = e->next;
    } else {
        e = g_new0(VirtElement, 1);
        e->queue = q;
        dma_init(&e->out, memory_of(q), false);
        dma_init(&e->in, memory_of(q), true);
    }
    e->pieces = 0;
    e->epoch = q->epoch;
    return e;
}

static void element_free(VirtElement *e)
{
    dma_reset(&e->out);
    dma_reset(&e->in);
    e->next = e->queue->spare;
    e->queue->spare = e;
}

static bool take_turn(VirtQueue *q)
{
    VirtioDevice *v = q->device;
    if (!v->in_notify)
        return true;
    if (!v->turns) {
        virtio_kick(q);
        return false;
    }
    v->turns--;
    return true;
}

bool virtqueue_has_element(VirtQueue *q)
{
    if (!queue_ready(q))
        return false;
    const VirtRingKind *kind = kind_of(q);
    if (kind->has_element(q))
        return true;
    /* By index the driver is only told to notify when there is nothing left, and then might just have added one. */
    if (q->device->broken || q->notify_off || !virtio_has(q->device, VIRTIO_F_EVENT_IDX) ||
        q->armed)
        return false;
    kind->arm(q);
    q->armed = true;
    atomic_thread_fence(memory_order_seq_cst);
    return kind->has_element(q);
}

VirtElement *virtqueue_pop(VirtQueue *q)
{
    if (!virtqueue_has_element(q) || !take_turn(q))
        return NULL;
    if (q->in_flight >= q->size) {
        virtio_break(q->device, "queue %u: more requests than it has room for", q->index);
        return NULL;
    }
    VirtElement *e = element_new(q);
    if (!kind_of(q)->pop(q, e)) {
        element_free(e);
        return NULL;
    }
    q->armed = false;
    q->in_flight++;
    q->device->in_flight++;
    return e;
}

/* Whether the ring that it came from is still there. */
static bool is_current(const VirtElement *e) { return e->epoch == e->queue->epoch && e->queue->enabled; }

/* The last one may end a reset, after which the queue is another. */
static void element_land(VirtElement *e)
{
    VirtQueue *q = e->queue;
    bool current = is_current(e);

    element_free(e);
    if (current)
        virtio_landed(q);
}

void virtqueue_push(VirtQueue *q, VirtElement *e, uint32_t written)
{
    VirtioDevice *v = q->device;

    if (is_current(e)) {
        v->deaf = true;
        dma_written(&e->in, MIN(written, e->in.size));
        v->deaf = false;
        if (queue_ready(q))
            kind_of(q)->push(q, e, written);
    }
    element_land(e);
}

void virtqueue_show(VirtQueue *q)
{
    if (q->pushed && queue_ready(q) && kind_of(q)->publish(q))
        q->interrupt_wanted = true;
}

void virtqueue_flush(VirtQueue *q)
{
    virtqueue_show(q);
    if (!q->interrupt_wanted || !queue_ready(q))
        return;
    q->interrupt_wanted = false;
    virtio_interrupt(q->device, q->vector, ISR_QUEUE);
}

void virtqueue_unpop(VirtQueue *q, VirtElement *e)
{
    if (is_current(e))
        kind_of(q)->unpop(q, e);
    element_land(e);
}

void virtqueue_forget(VirtElement *e) { element_land(e); }

void virtqueue_set_notify(VirtQueue *q, bool on)
{
    if (q->notify_off == !on)
        return;
    q->notify_off = !on;
    q->armed = false;
    /* With indices, silence is not to move the index. */
    if (!queue_ready(q) || virtio_has(q->device, VIRTIO_F_EVENT_IDX))
        return;
    kind_of(q)->set_notify(q);
    atomic_thread_fence(memory_order_seq_cst);
}

/* ---- life ---- */

void virtqueue_reset(VirtQueue *q)
{
    q->size = q->size_max;
    q->enabled = false;
    q->desc = q->avail = q->used = 0;
    q->vector = NO_VECTOR;
    q->next_avail = q->next_used = 0;
    q->avail_wrap = q->used_wrap = true;
    q->notify_off = q->armed = q->mapped = q->kick_pending = q->flush_pending = false;
    q->interrupt_wanted = false;
    q->device->in_flight -= q->in_flight;
    q->in_flight = q->pushed = 0;
    q->epoch++;
}

void virtqueue_exit(VirtQueue *q)
{
    while (q->spare) {
        VirtElement *e = q->spare;
        q->spare = e->next;
        dma_clear(&e->out);
        dma_clear(&e->in);
        g_free(e);
    }
}

gboolean virtqueue_check(const VirtQueue *q, GError **err)
{
    const char *id = q->device->pci.dev.id;
    bool packed = virtio_has(q->device, VIRTIO_F_RING_PACKED);

    if (q->size > q->size_max || (q->enabled && !q->size) || (!packed && q->size & (q->size - 1)))
        return error_set(err, "%s: queue %u of %u elements in the saved state cannot be", id, q->index, q->size);
    if (!q->enabled && (q->next_avail || q->next_used))
        return error_set(err, "%s: queue %u in the saved state is not set up, and was used", id, q->index);
    if (packed && q->enabled && (q->next_avail >= q->size || q->next_used >= q->size))
        return error_set(err, "%s: queue %u in the saved state goes on behind its end", id, q->index);
    return TRUE;
}
