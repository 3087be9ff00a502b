/*
 * Split rings (Virtual I/O Device 1.2, 2.7): a table of descriptors, a ring of heads that the driver made available,
 * and one of those that the device has used.
 */
#include "hw/virtio/virtio_private.h"
#include "util/bits.h"
#include "util/endian.h"

/* Both rings: flags, index, elements, and the index of the other side's event. */
enum { FLAGS = 0, INDEX = 2, RING = 4, AVAIL_ENTRY = 2, USED_ENTRY = 8 };
enum { AVAIL_NO_INTERRUPT = 1, USED_NO_NOTIFY = 1 };

static VirtRingSizes split_sizes(const VirtQueue *q)
{
    return (VirtRingSizes){ .desc = q->size * DESC_SIZE, .avail = RING + AVAIL_ENTRY * q->size + 2,
                            .used = RING + USED_ENTRY * q->size + 2 };
}

static bool split_has_element(VirtQueue *q)
{
    uint16_t n = ring_ld16(&q->avail_ring, INDEX) - q->next_avail;
    if (n > q->size) {
        virtio_break(q->device, "queue %u: %u requests are available in a ring of %u", q->index, n, q->size);
        return false;
    }
    atomic_thread_fence(memory_order_acquire); /* the elements are read after the index */
    return n;
}

/* Adds a chain from its entry n on; an indirect table has none of its own (2.7.5.3.1). */
static bool add_chain(VirtQueue *q, VirtElement *e, const VirtTable *t, unsigned n, bool within)
{
    for (;;) {
        if (n >= t->entries) {
            virtio_break(q->device, "queue %u: descriptor %u of %u", q->index, n, t->entries);
            return false;
        }
        VirtDesc d = desc_read(q, t, n, false);
        if (d.flags & DESC_INDIRECT) {
            VirtTable table;
            if (!within && !(d.flags & DESC_NEXT))
                return indirect_table(q, &d, &table) && add_chain(q, e, &table, 0, true);
            virtio_break(q->device, "queue %u: a table of descriptors within another or amidst a chain", q->index);
            return false;
        }
        if (!element_add(e, &d))
            return false;
        if (!(d.flags & DESC_NEXT))
            return true;
        n = d.tail;
    }
}

static bool split_pop(VirtQueue *q, VirtElement *e)
{
    VirtTable t = { .host = q->desc_ring.host, .entries = q->size };

    e->id = ring_ld16(&q->avail_ring, RING + AVAIL_ENTRY * (q->next_avail & (q->size - 1)));
    e->descriptors = 1;
    if (!add_chain(q, e, &t, e->id, false))
        return false;
    q->next_avail++;
    return true;
}

static void split_unpop(VirtQueue *q, const VirtElement *e)
{
    (void)e;
    q->next_avail--;
}

static void split_push(VirtQueue *q, const VirtElement *e, uint32_t written)
{
    uint8_t entry[USED_ENTRY];
    st32le(entry, e->id);
    st32le(entry + 4, written);
    ring_write(q, &q->used_ring, RING + USED_ENTRY * (q->next_used & (q->size - 1)), entry, sizeof entry);
    q->next_used++;
    q->pushed++;
}

static bool split_publish(VirtQueue *q)
{
    uint16_t old = q->next_used - q->pushed;

    atomic_thread_fence(memory_order_release);
    ring_st16(q, &q->used_ring, INDEX, q->next_used);
    q->pushed = 0;
    /* The driver asks for an interrupt before it looks at the index: we look the other way round (2.7.7.2). */
    atomic_thread_fence(memory_order_seq_cst);
    if (virtio_has(q->device, VIRTIO_F_EVENT_IDX))
        return event_passed(ring_ld16(&q->avail_ring, RING + AVAIL_ENTRY * q->size), q->next_used, old);
    return !(ring_ld16(&q->avail_ring, FLAGS) & AVAIL_NO_INTERRUPT);
}

static void split_arm(VirtQueue *q)
{
    ring_st16(q, &q->used_ring, RING + USED_ENTRY * q->size, q->next_avail);
}

static void split_set_notify(VirtQueue *q)
{
    ring_st16(q, &q->used_ring, FLAGS, q->notify_off ? USED_NO_NOTIFY : 0);
}

const VirtRingKind virtio_split = {
    .sizes = split_sizes, .has_element = split_has_element, .pop = split_pop, .unpop = split_unpop, .push = split_push,
    .publish = split_publish, .arm = split_arm, .set_notify = split_set_notify,
};
