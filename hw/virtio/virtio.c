/*
 * Virtio devices: features, status, configuration, reset (Virtual I/O Device 1.2, 2.1 to 2.5).  virtio.h says what a
 * device sees of it.
 */
#include "hw/virtio/virtio.h"

#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/machine.h"
#include "hw/virtio/virtio_private.h"
#include "util/bits.h"
#include "util/endian.h"

/* ---- what is wrong, what has changed ---- */

void virtio_break(VirtioDevice *v, const char *format, ...)
{
    va_list args;

    if (v->broken)
        return;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    log_guest_error("%s: %s; the device needs a reset", v->pci.dev.id, text);
    v->broken = true;
    if (!virtio_has(v, VIRTIO_F_VERSION_1)) /* the bit came with 1.0 (2.1.1) */
        return;
    v->status |= STATUS_NEEDS_RESET;
    virtio_config_changed(v);
}

void virtio_config_changed(VirtioDevice *v)
{
    v->generation++;
    if (v->status & STATUS_DRIVER_OK)
        virtio_interrupt(v, v->config_vector, ISR_CONFIG);
}

/* ---- queues that are notified ---- */

enum { ROUNDS = 4 };

/* Lets the device look into a queue, for so many rounds of it at most: another CPU may fill it as fast. */
static void queue_serve(VirtQueue *q)
{
    VirtioDevice *v = q->device;

    q->kick_pending = false;
    if (!virtio_running(v) || !q->enabled)
        return;
    v->in_notify = true;
    v->turns = ROUNDS * q->size;
    v->type->notify(v, q);
    v->in_notify = false;
}

static void kick(void *opaque)
{
    VirtioDevice *v = opaque;
    for (unsigned n = 0; n < v->queue_count; n++)
        if (v->queue[n].kick_pending)
            queue_serve(&v->queue[n]);
}

void virtio_kick(VirtQueue *q)
{
    VirtioDevice *v = q->device;
    q->kick_pending = true;
    timer_arm(v->kick, 0); /* at once, whatever the clock is restored to */
}

void virtio_kick_all(VirtioDevice *v)
{
    for (unsigned n = 0; n < v->queue_count; n++)
        if (v->queue[n].enabled)
            virtio_kick(&v->queue[n]);
}

void virtio_notified(VirtioDevice *v, unsigned n, bool legacy)
{
    if (n >= v->queue_count) {
        log_guest_error("%s: queue %u is notified, of %u", v->pci.dev.id, n, v->queue_count);
        return;
    }
    if (legacy && v->status & STATUS_DRIVER)
        v->started = true;
    queue_serve(&v->queue[n]);
}

/* ---- flushing later ---- */

typedef struct Flusher {
    GSource base;
    VirtioDevice *device;
} Flusher;

static void flush_pending(VirtioDevice *v)
{
    for (unsigned n = 0; n < v->queue_count; n++) {
        VirtQueue *q = &v->queue[n];
        if (q->flush_pending) {
            q->flush_pending = false;
            virtqueue_flush(q);
        }
    }
}

static gboolean flusher_dispatch(GSource *source, GSourceFunc fn, gpointer data)
{
    VirtioDevice *v = ((Flusher *)source)->device;
    Machine *m = v->pci.dev.machine;
    (void)fn;
    (void)data;

    machine_lock(m);
    g_source_set_ready_time(source, -1);
    flush_pending(v);
    machine_unlock(m);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs flusher_funcs = { .dispatch = flusher_dispatch };

static GSource *flusher_new(VirtioDevice *v)
{
    GSource *source = g_source_new(&flusher_funcs, sizeof(Flusher));
    ((Flusher *)source)->device = v;
    g_source_set_name(source, "myna virtio");
    g_source_attach(source, v->pci.dev.machine->context);
    return source;
}

/*
 * A guest that is at work hears of what is done when it would sleep, or after HOLD_NS: by then it often has made more
 * requests, and one interrupt does for all.  Where it had not, it waited in vain, and the next are told at once.
 */
enum { HOLD_NS = 300000, IMPATIENCE = 32 };

static void idle(void *opaque)
{
    VirtioDevice *v = opaque;
    timer_cancel(v->hold);
    flush_pending(v);
}

static void held_long(void *opaque)
{
    VirtioDevice *v = opaque;

    idle_forget(v->pci.dev.machine, &v->idle);
    if (v->held <= 1)
        v->impatient = IMPATIENCE;
    flush_pending(v);
}

/* Whether interrupts are held back from now on. */
static bool begin_hold(VirtioDevice *v)
{
    Machine *m = v->pci.dev.machine;

    if (v->impatient) {
        v->impatient--;
        return false;
    }
    if (!idle_await(m, &v->idle))
        return false;
    v->held = 0;
    timer_arm(v->hold, clock_now(m->clocks, MYNA_CLOCK_VIRTUAL) + HOLD_NS);
    return true;
}

/* The interrupt alone waits: a driver that looks for itself sees what is done. */
static bool hold_back(VirtQueue *q)
{
    VirtioDevice *v = q->device;

    if (!v->idle.waits && !begin_hold(v))
        return false;
    v->held++;
    virtqueue_show(q);
    return true;
}

/* With nothing more on the way there is nothing to wait for but the guest. */
void virtqueue_flush_soon(VirtQueue *q)
{
    VirtioDevice *v = q->device;
    bool waits = q->flush_pending;

    q->flush_pending = true;
    if (hold_back(q))
        return;
    if (!v->in_flight)
        flush_pending(v);
    else if (!waits)
        g_source_set_ready_time(v->flusher, 0);
}

/* ---- features, status ---- */

/* They are fixed from FEATURES_OK on (3.1.1); legacy drivers have no such moment, but rings are laid out by them. */
static bool features_fixed(const VirtioDevice *v)
{
    bool fixed = v->status & (STATUS_FEATURES_OK | STATUS_DRIVER_OK) || v->started;
    for (unsigned n = 0; n < v->queue_count; n++)
        fixed |= v->queue[n].enabled;
    return fixed;
}

void virtio_write_features(VirtioDevice *v, uint64_t features)
{
    if (features_fixed(v))
        log_guest_error("%s: features are written after they were agreed", v->pci.dev.id);
    else
        v->features = features & v->features_offered;
}

static bool features_acceptable(const VirtioDevice *v, bool legacy)
{
    if (legacy || virtio_has(v, VIRTIO_F_VERSION_1))
        return true;
    log_guest_error("%s: the driver does not take VIRTIO_F_VERSION_1", v->pci.dev.id);
    return false;
}

static void forget(VirtioDevice *v)
{
    timer_cancel(v->kick);
    for (unsigned n = 0; n < v->queue_count; n++)
        virtqueue_reset(&v->queue[n]);
    v->features = 0;
    v->status = v->isr = 0;
    v->generation = 0;
    v->config_vector = NO_VECTOR;
    v->feature_select = v->driver_feature_select = v->queue_select = 0;
    v->broken = v->started = v->resetting = false;
    pci_set_irq(&v->pci, 0);
}

void virtio_landed(VirtQueue *q)
{
    VirtioDevice *v = q->device;
    q->in_flight--;
    v->in_flight--;
    if (v->resetting && !v->in_flight)
        forget(v);
}

static void drain(VirtioDevice *v)
{
    if (v->in_flight && v->type->drain)
        v->type->drain(v);
}

/*
 * The status stays until nothing is on the way, for which drivers since 1.0 wait (4.1.4.3.1), and no CPU's thread has
 * to.
 */
static void reset_by_driver(VirtioDevice *v, bool legacy)
{
    if (v->resetting)
        return;
    v->type->reset(v);
    if (legacy)
        drain(v);
    if (!v->in_flight || legacy)
        forget(v);
    else
        v->resetting = true;
}

void virtio_write_status(VirtioDevice *v, uint8_t status, bool legacy)
{
    if (!status) {
        reset_by_driver(v, legacy);
        return;
    }
    if (v->resetting)
        return;
    if (status & ~v->status & STATUS_FEATURES_OK && !features_acceptable(v, legacy))
        status &= ~STATUS_FEATURES_OK;
    bool begins = status & ~v->status & STATUS_DRIVER_OK;
    v->status = status | (v->status & STATUS_NEEDS_RESET);
    if (v->type->status_changed)
        v->type->status_changed(v, v->status);
    /* Drivers put buffers into queues, and notify, while they are not ready to have them used (3.1.1 forbids it). */
    if (begins)
        virtio_kick_all(v);
}

/* ---- configuration space ---- */

enum { CONFIG_MAX = 4096 };

uint64_t virtio_config_read(VirtioDevice *v, unsigned offset, unsigned size)
{
    uint8_t config[CONFIG_MAX];

    if (offset + size > v->type->config_size)
        return bit_mask(8 * size);
    v->type->config_read(v, config);
    return ldle(config + offset, size);
}

void virtio_config_write(VirtioDevice *v, unsigned offset, uint64_t value, unsigned size)
{
    uint8_t config[CONFIG_MAX];

    if (offset + size > v->type->config_size || !v->type->config_write) {
        log_guest_error("%s: write of configuration at 0x%x, which is read-only", v->pci.dev.id, offset);
        return;
    }
    v->type->config_read(v, config);
    stle(config + offset, value, size);
    v->type->config_write(v, config, offset, size);
}

/* ---- life ---- */

static void map_changed(void *opaque)
{
    VirtioDevice *v = opaque;
    for (unsigned n = 0; n < v->queue_count; n++)
        v->queue[n].mapped = false;
}

static uint64_t transport_features(const VirtioDevice *v)
{
    uint64_t f = BIT(VIRTIO_F_ANY_LAYOUT);
    if (v->event_idx)
        f |= BIT(VIRTIO_F_EVENT_IDX);
    if (v->indirect_desc)
        f |= BIT(VIRTIO_F_INDIRECT_DESC);
    if (v->disable_modern)
        return f;
    if (v->packed)
        f |= BIT(VIRTIO_F_RING_PACKED);
    if (v->type->queue_reset)
        f |= BIT(VIRTIO_F_RING_RESET);
    return f | BIT(VIRTIO_F_VERSION_1);
}

gboolean virtio_init(VirtioDevice *v, const VirtioType *type, unsigned queues, unsigned size, GError **err)
{
    Machine *m = v->pci.dev.machine;

    v->type = type;
    v->queue_count = queues;
    for (unsigned n = 0; n < queues; n++)
        v->queue[n] = (VirtQueue){ .device = v, .index = n, .size_max = size };
    v->features_offered = type->features | transport_features(v);
    if (!virtio_pci_init(v, err))
        return FALSE;
    v->kick = timer_new(m->clocks, MYNA_CLOCK_VIRTUAL, kick, v);
    v->flusher = flusher_new(v);
    v->idle = (IdleTask){ .fn = idle, .opaque = v };
    v->hold = timer_new(m->clocks, MYNA_CLOCK_VIRTUAL, held_long, v);
    as_add_listener(m->memory, map_changed, v);
    return TRUE;
}

void virtio_exit(VirtioDevice *v)
{
    as_remove_listener(v->pci.dev.machine->memory, map_changed, v);
    timer_free(v->kick);
    timer_free(v->hold);
    idle_forget(v->pci.dev.machine, &v->idle);
    g_source_destroy(v->flusher);
    g_source_unref(v->flusher);
    for (unsigned n = 0; n < v->queue_count; n++)
        virtqueue_exit(&v->queue[n]);
    virtio_pci_exit(v);
}

void virtio_reset(VirtioDevice *v)
{
    v->type->reset(v);
    drain(v);
    forget(v);
    pci_device_reset(&v->pci);
}

void virtio_pre_save(VirtioDevice *v)
{
    drain(v);
    flush_pending(v);
}

/* What a queue was told before the save may have been lost: each is looked at. */
gboolean virtio_post_load(VirtioDevice *v, GError **err)
{
    if (v->features & ~v->features_offered)
        return error_set(err, "%s: the saved state uses features 0x%" G_GINT64_MODIFIER "x that this device does not "
                         "offer; give it the properties that it had", v->pci.dev.id,
                         v->features & ~v->features_offered);
    for (unsigned n = 0; n < v->queue_count; n++) {
        VirtQueue *q = &v->queue[n];
        if (!virtqueue_check(q, err))
            return FALSE;
        q->mapped = q->armed = false;
        q->in_flight = q->pushed = 0;
        q->flush_pending = false;
        q->epoch++;
    }
    virtio_kick_all(v);
    v->in_flight = 0;
    v->resetting = false;
    virtio_pci_restored(v);
    return TRUE;
}

static const StateField queue_state[] = {
    STATE_U16(VirtQueue, size), STATE_BOOL(VirtQueue, enabled), STATE_U64(VirtQueue, desc),
    STATE_U64(VirtQueue, avail),
    STATE_U64(VirtQueue, used), STATE_U16(VirtQueue, vector), STATE_U16(VirtQueue, next_avail),
    STATE_U16(VirtQueue, next_used), STATE_BOOL(VirtQueue, avail_wrap), STATE_BOOL(VirtQueue, used_wrap),
    STATE_BOOL(VirtQueue, notify_off), STATE_END
};

const StateField virtio_state[] = {
    STATE_STRUCT(VirtioDevice, pci, pci_device_state), STATE_STRUCT(VirtioDevice, msix, msix_state),
    STATE_U64(VirtioDevice, features), STATE_U8(VirtioDevice, status), STATE_U8(VirtioDevice, isr),
    STATE_U8(VirtioDevice, generation), STATE_U16(VirtioDevice, config_vector),
    STATE_U32(VirtioDevice, feature_select), STATE_U32(VirtioDevice, driver_feature_select),
    STATE_U32(VirtioDevice, queue_select), STATE_BOOL(VirtioDevice, broken), STATE_BOOL(VirtioDevice, started),
    STATE_STRUCT_ARRAY(VirtioDevice, queue, queue_state), STATE_END
};
