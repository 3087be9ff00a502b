/*
 * Packed rings (Virtual I/O Device 1.2, 2.8): one ring of descriptors that both sides write.  Two bits of a descriptor
 * say, by the parity of the round, whether it is available or used.
 */
#include "hw/virtio/virtio_private.h"
#include "util/bits.h"
#include "util/endian.h"

enum { PLACE_AVAIL = 0x80, PLACE_USED = 0x8000 };
enum { AT_LEN = 8, AT_ID = 12, AT_FLAGS = 14 };
/* Event suppression of each side (2.8.14): a place with the round's parity on top, and how to read it. */
enum { EVENT_PLACE = 0, EVENT_FLAGS = 2, EVENT_SIZE = 4, EVENT_WRAP = 0x8000 };
enum { EVENT_ENABLE = 0, EVENT_DISABLE = 1, EVENT_AT_PLACE = 2 };

static VirtRingSizes packed_sizes(const VirtQueue *q)
{
    return (VirtRingSizes){ .desc = q->size * DESC_SIZE, .avail = EVENT_SIZE, .used = EVENT_SIZE };
}

static bool packed_has_element(VirtQueue *q)
{
    uint16_t flags = ring_ld16(&q->desc_ring, q->next_avail * DESC_SIZE + AT_FLAGS);
    bool available = flags & PLACE_AVAIL, used = flags & PLACE_USED;

    atomic_thread_fence(memory_order_acquire); /* the rest is read after the flags */
    return available == q->avail_wrap && used != q->avail_wrap;
}

/* n places on, or back. */
static void place_move(const VirtQueue *q, uint16_t *place, bool *wrap, int n)
{
    int to = *place + n;
    if (to < 0 || to >= q->size) {
        to += to < 0 ? q->size : -q->size;
        *wrap = !*wrap;
    }
    *place = to;
}

/* All entries of an indirect table, which are in order (2.8.7). */
static bool add_table(VirtQueue *q, VirtElement *e, const VirtDesc *d)
{
    VirtTable t;
    if (!indirect_table(q, d, &t))
        return false;
    for (unsigned n = 0; n < t.entries; n++) {
        VirtDesc entry = desc_read(q, &t, n, true);
        if (entry.flags & DESC_INDIRECT) {
            virtio_break(q->device, "queue %u: a table of descriptors within another", q->index);
            return false;
        }
        if (!element_add(e, &entry))
            return false;
    }
    return true;
}

/* The chain of places from next_avail on; the last one has the element's id (2.8.6). */
static bool add_places(VirtQueue *q, VirtElement *e)
{
    VirtTable t = { .host = q->desc_ring.host, .entries = q->size };

    for (unsigned place = q->next_avail;; place = place + 1 == q->size ? 0 : place + 1) {
        VirtDesc d = desc_read(q, &t, place, true);
        e->id = d.tail;
        e->descriptors++;
        if (d.flags & DESC_INDIRECT ? !add_table(q, e, &d) : !element_add(e, &d))
            return false;
        if (!(d.flags & DESC_NEXT))
            return true;
        if (e->descriptors == q->size || d.flags & DESC_INDIRECT) {
            virtio_break(q->device, "queue %u: a chain that goes on behind its end", q->index);
            return false;
        }
    }
}

static bool packed_pop(VirtQueue *q, VirtElement *e)
{
    e->descriptors = 0;
    if (!add_places(q, e))
        return false;
    place_move(q, &q->next_avail, &q->avail_wrap, e->descriptors);
    return true;
}

static void packed_unpop(VirtQueue *q, const VirtElement *e)
{
    place_move(q, &q->next_avail, &q->avail_wrap, -e->descriptors);
}

/*
 * The driver reads used places in order, so that it sees none before the first has its flags, which publish() writes.
 */
static void packed_push(VirtQueue *q, const VirtElement *e, uint32_t written)
{
    uint8_t bytes[8];
    uint16_t flags = (q->used_wrap ? PLACE_AVAIL | PLACE_USED : 0) | (written ? DESC_WRITE : 0);

    st32le(bytes, written);
    st16le(bytes + 4, e->id);
    st16le(bytes + 6, flags);
    ring_write(q, &q->desc_ring, q->next_used * DESC_SIZE + AT_LEN, bytes, q->pushed ? 8 : 6);
    if (!q->pushed) {
        q->first_place = q->next_used;
        q->first_flags = flags;
    }
    q->pushed += e->descriptors;
    place_move(q, &q->next_used, &q->used_wrap, e->descriptors);
}

/* The driver's wish: at once, never, or when a place has been passed (2.8.10). */
static bool wants_interrupt(const VirtQueue *q, uint16_t pushed)
{
    uint16_t flags = ring_ld16(&q->avail_ring, EVENT_FLAGS) & 3, event = ring_ld16(&q->avail_ring, EVENT_PLACE);

    if (flags != EVENT_AT_PLACE || !virtio_has(q->device, VIRTIO_F_EVENT_IDX))
        return flags != EVENT_DISABLE;
    uint16_t place = event & ~EVENT_WRAP;
    if (!(event & EVENT_WRAP) == q->used_wrap)
        place -= q->size;
    return event_passed(place, q->next_used, q->next_used - pushed);
}

static bool packed_publish(VirtQueue *q)
{
    uint16_t pushed = q->pushed;

    atomic_thread_fence(memory_order_release);
    ring_st16(q, &q->desc_ring, q->first_place * DESC_SIZE + AT_FLAGS, q->first_flags);
    q->pushed = 0;
    atomic_thread_fence(memory_order_seq_cst);
    return wants_interrupt(q, pushed);
}

static void packed_arm(VirtQueue *q)
{
    uint8_t event[EVENT_SIZE];
    st16le(event + EVENT_PLACE, q->next_avail | (q->avail_wrap ? EVENT_WRAP : 0));
    st16le(event + EVENT_FLAGS, EVENT_AT_PLACE);
    ring_write(q, &q->used_ring, 0, event, sizeof event);
}

static void packed_set_notify(VirtQueue *q)
{
    ring_st16(q, &q->used_ring, EVENT_FLAGS, q->notify_off ? EVENT_DISABLE : EVENT_ENABLE);
}

const VirtRingKind virtio_packed = {
    .sizes = packed_sizes, .has_element = packed_has_element, .pop = packed_pop, .unpop = packed_unpop,
    .push = packed_push, .publish = packed_publish, .arm = packed_arm, .set_notify = packed_set_notify,
};
