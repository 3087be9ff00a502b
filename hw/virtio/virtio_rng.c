/* An entropy device (Virtual I/O Device 1.2, 5.4): one queue of buffers, which it fills; a quota limits how fast. */
#include "hw/virtio/virtio_rng.h"

#include "core/error.h"
#include "core/machine.h"
#include "core/random.h"
#include "hw/virtio/virtio.h"

enum { QUEUE_SIZE = 8, PIECE = 4096 /* of an answer, which may be shorter than the buffer */ };

typedef struct VirtioRng {
    VirtioDevice virtio;
    uint64_t max_bytes;   /* in a period */
    uint32_t period;      /* ms */
    uint64_t quota;       /* bytes left of this period */
    Timer *next_period;   /* armed while something of the quota has been taken */
} VirtioRng;

static void fill(VirtioRng *r, VirtElement *e)
{
    uint8_t bytes[PIECE];
    uint64_t n = MIN(MIN(e->in.size, sizeof bytes), r->quota);

    random_bytes(bytes, n);
    dma_from_buffer(&e->in, 0, bytes, n);
    r->quota -= n;
    virtqueue_push(e->queue, e, n);
}

static void rng_notify(VirtioDevice *v, VirtQueue *q)
{
    VirtioRng *r = (VirtioRng *)v;
    VirtElement *e;

    while (r->quota && (e = virtqueue_pop(q)))
        fill(r, e);
    virtqueue_flush(q);
    if (r->quota < r->max_bytes && !timer_armed(r->next_period))
        timer_arm(r->next_period, clock_now(v->pci.dev.machine->clocks, MYNA_CLOCK_VIRTUAL) +
                                      r->period * INT64_C(1000000));
}

static void period_begin(void *opaque)
{
    VirtioRng *r = opaque;
    r->quota = r->max_bytes;
    rng_notify(&r->virtio, &r->virtio.queue[0]);
}

static void rng_driver_reset(VirtioDevice *v) { (void)v; }

static const VirtioType rng_virtio = {
    .id = VIRTIO_ID_RNG, .class_code = 0x00ff00, .notify = rng_notify, .reset = rng_driver_reset,
};

/* ---- life ---- */

static gboolean rng_create(Device *dev, GError **err)
{
    VirtioRng *r = (VirtioRng *)dev;

    if (!virtio_init(&r->virtio, &rng_virtio, 1, QUEUE_SIZE, err))
        return FALSE;
    r->next_period = timer_new(dev->machine->clocks, MYNA_CLOCK_VIRTUAL, period_begin, r);
    return TRUE;
}

static void rng_reset(Device *dev)
{
    VirtioRng *r = (VirtioRng *)dev;
    timer_cancel(r->next_period);
    r->quota = r->max_bytes;
    virtio_reset(&r->virtio);
}

static void rng_destroy(Device *dev)
{
    VirtioRng *r = (VirtioRng *)dev;
    timer_free(r->next_period);
    virtio_exit(&r->virtio);
}

static void rng_pre_save(Device *dev) { virtio_pre_save((VirtioDevice *)dev); }

static gboolean rng_post_load(Device *dev, GError **err)
{
    VirtioRng *r = (VirtioRng *)dev;
    r->quota = MIN(r->quota, r->max_bytes);
    return virtio_post_load(&r->virtio, err);
}

static const Property rng_properties[] = {
    VIRTIO_PROPERTIES(VirtioRng),
    { .name = "max-bytes", .type = PROP_U64, .offset = offsetof(VirtioRng, max_bytes), .initial = INT64_MAX, .min = 1,
      .max = INT64_MAX, .help = "bytes in each period" },
    { .name = "period", .type = PROP_U32, .offset = offsetof(VirtioRng, period), .initial = 65536, .min = 1,
      .max = UINT32_MAX, .help = "milliseconds" },
    PROPERTY_END
};

static const StateField rng_state[] = {
    STATE_STRUCT(VirtioRng, virtio, virtio_state), STATE_U64(VirtioRng, quota), STATE_TIMER(VirtioRng, next_period),
    STATE_END
};

const DeviceType virtio_rng_type = {
    .name = "virtio-rng-pci", .description = "virtio entropy device", .bus = "pci", .size = sizeof(VirtioRng),
    .user = true,
    .properties = rng_properties, .create = rng_create, .reset = rng_reset, .destroy = rng_destroy, .state = rng_state,
    .pre_save = rng_pre_save, .post_load = rng_post_load,
};
