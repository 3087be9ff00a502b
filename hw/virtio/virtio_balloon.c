/*
 * A balloon (Virtual I/O Device 1.2, 5.5): pages that the guest puts in it are given back to the host; those that it
 * takes out are there again when they are touched.  Pages that it reports as free are given back as well.
 */
#include "hw/virtio/virtio_balloon.h"

#include <string.h>

#include "core/log.h"
#include "core/machine.h"
#include "hw/virtio/virtio.h"
#include "util/bits.h"
#include "util/endian.h"

enum { FEATURE_STATS = 1, FEATURE_DEFLATE_ON_OOM = 2, FEATURE_REPORTING = 5 };
/* Queues are numbered without those that are not offered: that of page hints (5.5.2). */
enum { QUEUE_INFLATE, QUEUE_DEFLATE, QUEUE_STATS, QUEUE_REPORTING, QUEUES, QUEUE_SIZE = 128 };
enum { CONFIG_PAGES = 0, CONFIG_ACTUAL = 4, CONFIG_SIZE = 8 };
enum { PAGE_BITS = 12, PAGES_MAX = 1024 /* of a request; drivers have 256 */, STAT_SIZE = 10, STATS_MAX = 64 };

typedef struct VirtioBalloon {
    VirtioDevice virtio;
    bool deflate_on_oom, reporting;
    uint32_t pages, actual;   /* to be in the balloon, and in it, as its driver says */
    uint64_t stats[BALLOON_STATS];
} VirtioBalloon;

/* ---- pages ---- */

/* Gives back what of [gpa, gpa + size) is RAM. */
static void release(VirtioBalloon *b, uint64_t gpa, uint64_t size)
{
    AddressSpace *as = pci_memory(&b->virtio.pci);

    while (size) {
        AsTarget t = as_lookup(as, gpa);
        uint64_t n = MIN(size, t.room);
        if (t.host && !t.readonly)
            ram_release(as_pool(as), t.pool_offset, n);
        gpa += n;
        size -= n;
    }
}

/* A list of page numbers; neighbours are given back together. */
static void inflate(VirtioBalloon *b, const VirtElement *e)
{
    uint8_t list[PAGES_MAX * 4];
    unsigned count = dma_to_buffer(&e->out, 0, list, sizeof list) / 4;

    if (e->out.size > sizeof list)
        log_guest_error("%s: of %" G_GUINT64_FORMAT " pages at once %u are taken", b->virtio.pci.dev.id,
                        e->out.size / 4,
                        PAGES_MAX);
    for (unsigned k = 0, n; k < count; k += n) {
        uint64_t page = ld32le(list + 4 * k);
        for (n = 1; k + n < count && ld32le(list + 4 * (k + n)) == page + n; n++)
            ;
        release(b, page << PAGE_BITS, (uint64_t)n << PAGE_BITS);
    }
}

/* The buffers themselves are the pages (5.5.6.7), whose contents need not stay. */
static void report(VirtioBalloon *b, VirtElement *e)
{
    RamPool *pool = as_pool(pci_memory(&b->virtio.pci));

    for (unsigned k = 0; k < e->in.count; k++) {
        const struct iovec *v = &e->in.iov[k];
        const uint8_t *at = v->iov_base;
        if (at >= pool->host && at < pool->host + pool->size)
            ram_release(pool, at - pool->host, v->iov_len);
    }
}

/* ---- statistics: one buffer, which the driver fills anew each time that it is given back (5.5.6.3) ---- */

static void stats_clear(VirtioBalloon *b) { memset(b->stats, 0xff, sizeof b->stats); }

static void stats_read(VirtioBalloon *b)
{
    VirtQueue *q = &b->virtio.queue[QUEUE_STATS];
    VirtElement *e = virtqueue_pop(q);
    uint8_t list[STATS_MAX * STAT_SIZE];

    if (!e)
        return;
    unsigned n = dma_to_buffer(&e->out, 0, list, sizeof list) / STAT_SIZE;
    for (unsigned k = 0; k < n; k++) {
        unsigned tag = ld16le(list + k * STAT_SIZE);
        if (tag < BALLOON_STATS)
            b->stats[tag] = ld64le(list + k * STAT_SIZE + 2);
    }
    virtqueue_unpop(q, e);
}

static void stats_ask(VirtioBalloon *b)
{
    VirtQueue *q = &b->virtio.queue[QUEUE_STATS];
    VirtElement *e = virtqueue_pop(q);

    if (!e)
        return;
    virtqueue_push(q, e, 0);
    virtqueue_flush(q);
    virtqueue_has_element(q); /* so that the driver notifies when it has filled it */
}

/* ---- the device ---- */

static void balloon_notify(VirtioDevice *v, VirtQueue *q)
{
    VirtioBalloon *b = (VirtioBalloon *)v;
    VirtElement *e;

    if (q->index == QUEUE_STATS) {
        stats_read(b);
        return;
    }
    while ((e = virtqueue_pop(q))) {
        if (q->index == QUEUE_INFLATE)
            inflate(b, e);
        else if (q->index == QUEUE_REPORTING)
            report(b, e);
        virtqueue_push(q, e, 0);
    }
    virtqueue_flush(q);
}

static void balloon_config_read(VirtioDevice *v, uint8_t *c)
{
    const VirtioBalloon *b = (VirtioBalloon *)v;
    st32le(c + CONFIG_PAGES, b->pages);
    st32le(c + CONFIG_ACTUAL, b->actual);
}

static void balloon_config_write(VirtioDevice *v, const uint8_t *c, unsigned offset, unsigned size)
{
    VirtioBalloon *b = (VirtioBalloon *)v;
    (void)offset, (void)size;
    b->actual = ld32le(c + CONFIG_ACTUAL);
}

static void balloon_driver_reset(VirtioDevice *v)
{
    VirtioBalloon *b = (VirtioBalloon *)v;
    b->actual = 0;
    stats_clear(b);
}

static const VirtioType balloon_virtio = {
    .id = VIRTIO_ID_BALLOON, .class_code = 0x00ff00, .config_size = CONFIG_SIZE, .features = BIT(FEATURE_STATS),
    .config_read = balloon_config_read, .config_write = balloon_config_write, .notify = balloon_notify,
    .reset = balloon_driver_reset,
};

/* ---- for the monitor ---- */

void virtio_balloon_set(Device *balloon, uint64_t bytes)
{
    VirtioBalloon *b = (VirtioBalloon *)balloon;
    b->pages = (balloon->machine->ram_size - MIN(bytes, balloon->machine->ram_size)) >> PAGE_BITS;
    virtio_config_changed(&b->virtio);
}

void virtio_balloon_query(Device *balloon, BalloonInfo *info)
{
    VirtioBalloon *b = (VirtioBalloon *)balloon;
    uint64_t all = balloon->machine->ram_size, in = (uint64_t)b->actual << PAGE_BITS;

    info->actual = all - MIN(all, in);
    info->target = all - ((uint64_t)b->pages << PAGE_BITS);
    memcpy(info->stats, b->stats, sizeof info->stats);
    stats_ask(b);
}

/* ---- life ---- */

static gboolean balloon_create(Device *dev, GError **err)
{
    VirtioBalloon *b = (VirtioBalloon *)dev;

    if (!virtio_init(&b->virtio, &balloon_virtio, b->reporting ? QUEUES : QUEUE_REPORTING, QUEUE_SIZE, err))
        return FALSE;
    b->virtio.features_offered |= (b->deflate_on_oom ? BIT(FEATURE_DEFLATE_ON_OOM) : 0) |
                                  (b->reporting ? BIT(FEATURE_REPORTING) : 0);
    return TRUE;
}

static void balloon_reset(Device *dev) { virtio_reset((VirtioDevice *)dev); }

static void balloon_destroy(Device *dev) { virtio_exit((VirtioDevice *)dev); }

static void balloon_pre_save(Device *dev) { virtio_pre_save((VirtioDevice *)dev); }

static gboolean balloon_post_load(Device *dev, GError **err)
{
    VirtioBalloon *b = (VirtioBalloon *)dev;
    b->pages = MIN(b->pages, dev->machine->ram_size >> PAGE_BITS);
    return virtio_post_load(&b->virtio, err);
}

static const Property balloon_properties[] = {
    VIRTIO_PROPERTIES(VirtioBalloon),
    PROPERTY(VirtioBalloon, deflate_on_oom, "deflate-on-oom", PROP_BOOL, 0,
             "the guest may take memory when it runs out of it"),
    PROPERTY(VirtioBalloon, reporting, "free-page-reporting", PROP_BOOL, 0,
             "the guest says which of its memory is free"),
    PROPERTY_END
};

static const StateField balloon_state[] = {
    STATE_STRUCT(VirtioBalloon, virtio, virtio_state), STATE_U32(VirtioBalloon, pages),
    STATE_U32(VirtioBalloon, actual), STATE_ARRAY_U64(VirtioBalloon, stats), STATE_END
};

const DeviceType virtio_balloon_type = {
    .name = "virtio-balloon-pci", .description = "virtio memory balloon", .bus = "pci", .size = sizeof(VirtioBalloon),
    .user = true, .properties = balloon_properties, .create = balloon_create, .reset = balloon_reset,
    .destroy = balloon_destroy, .state = balloon_state, .pre_save = balloon_pre_save, .post_load = balloon_post_load,
};
