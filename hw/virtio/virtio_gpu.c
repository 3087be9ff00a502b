/* The virtio graphics card as a device (virtio_gpu.h): configuration, queues, state. */
#include "hw/virtio/virtio_gpu.h"

#include <string.h>

#include "core/error.h"
#include "core/machine.h"
#include "hw/virtio/virtio_gpu_private.h"

enum { QUEUE_CONTROL = 0, QUEUE_CURSOR = 1, QUEUES = 2, QUEUE_SIZE = 64 };
enum { FEATURE_EDID = 1 };
enum { CONFIG_EVENTS = 0, CONFIG_CLEAR = 4, CONFIG_SCANOUTS = 8, CONFIG_SIZE = 16 };
enum { EVENT_DISPLAY = 1 };
enum { TURN_BYTES = 16 << 20 };

/* ---- configuration (5.7.4) ---- */

static void gpu_config_read(VirtioDevice *v, uint8_t *config)
{
    const Gpu *g = (Gpu *)v;
    memset(config, 0, CONFIG_SIZE);
    st32le(config + CONFIG_EVENTS, g->events);
    st32le(config + CONFIG_SCANOUTS, g->max_outputs);
}

static void gpu_config_write(VirtioDevice *v, const uint8_t *config, unsigned offset, unsigned size)
{
    Gpu *g = (Gpu *)v;
    (void)offset, (void)size;
    g->events &= ~ld32le(config + CONFIG_CLEAR);
}

void gpu_display_event(Gpu *g)
{
    g->events |= EVENT_DISPLAY;
    virtio_config_changed(&g->virtio);
}

/* ---- queues ---- */

/* What was saved is not kept: it is as much as the pictures themselves. */
static void forget_saved(Gpu *g)
{
    g_byte_array_unref(g->saved);
    g->saved = g_byte_array_new();
}

/*
 * Some commands move megabytes.  A driver with many of them waits until others had their turn; what is left stays in
 * the queue.
 */
static void gpu_notify(VirtioDevice *v, VirtQueue *q)
{
    Gpu *g = (Gpu *)v;
    VirtElement *e;

    if (g->saved->len)
        forget_saved(g);
    g->turn = TURN_BYTES;
    while (g->turn > 0 && (e = virtqueue_pop(q)))
        virtqueue_push(q, e, gpu_command(g, e));
    if (g->turn <= 0)
        virtio_kick(q);
    virtqueue_flush(q);
}

static void gpu_driver_reset(VirtioDevice *v)
{
    Gpu *g = (Gpu *)v;
    gpu_scanouts_reset(g);
    gpu_resources_free(g);
}

static const VirtioType gpu_virtio = {
    .id = VIRTIO_ID_GPU, .class_code = 0x038000, .config_size = CONFIG_SIZE, .config_read = gpu_config_read,
    .config_write = gpu_config_write, .notify = gpu_notify, .reset = gpu_driver_reset,
};
static const VirtioType vga_virtio = {
    .id = VIRTIO_ID_GPU, .class_code = 0x030000, .config_size = CONFIG_SIZE, .config_read = gpu_config_read,
    .config_write = gpu_config_write, .notify = gpu_notify, .reset = gpu_driver_reset,
};

/* ---- life ---- */

gboolean gpu_init(Gpu *g, Console *vga, GError **err)
{
    if (!virtio_init(&g->virtio, vga ? &vga_virtio : &gpu_virtio, QUEUES, QUEUE_SIZE, err))
        return FALSE;
    if (g->edid)
        g->virtio.features_offered |= BIT(FEATURE_EDID);
    g->resources = g_hash_table_new(NULL, NULL);
    g->saved = g_byte_array_new();
    gpu_scanouts_init(g, vga);
    return TRUE;
}

void gpu_exit(Gpu *g)
{
    gpu_resources_free(g);
    g_hash_table_unref(g->resources);
    g_byte_array_unref(g->saved);
    gpu_scanouts_exit(g);
    virtio_exit(&g->virtio);
}

void gpu_reset(Device *dev)
{
    Gpu *g = (Gpu *)dev;
    g->events = 0;
    virtio_reset(&g->virtio);
}

void gpu_pre_save(Device *dev)
{
    Gpu *g = (Gpu *)dev;
    virtio_pre_save(&g->virtio);
    g_byte_array_set_size(g->saved, 0);
    gpu_resources_save(g, g->saved);
}

gboolean gpu_post_load(Device *dev, GError **err)
{
    Gpu *g = (Gpu *)dev;
    gboolean ok = gpu_resources_load(g, g->saved, err);
    forget_saved(g);
    return ok && gpu_scanouts_loaded(g, err) && virtio_post_load(&g->virtio, err);
}

const StateField gpu_state[] = {
    STATE_STRUCT(Gpu, virtio, virtio_state), STATE_U32(Gpu, events),
    STATE_STRUCT_ARRAY(Gpu, scanout, gpu_scanout_state), STATE_BYTE_ARRAY(Gpu, saved, UINT32_MAX), STATE_END
};

/* ---- virtio-gpu-pci ---- */

static gboolean gpu_create(Device *dev, GError **err) { return gpu_init((Gpu *)dev, NULL, err); }
static void gpu_destroy(Device *dev) { gpu_exit((Gpu *)dev); }

static const Property gpu_properties[] = { GPU_PROPERTIES, PROPERTY_END };

const DeviceType virtio_gpu_type = {
    .name = "virtio-gpu-pci", .description = "virtio graphics card", .bus = "pci", .size = sizeof(Gpu), .user = true,
    .properties = gpu_properties, .create = gpu_create, .reset = gpu_reset, .destroy = gpu_destroy, .state = gpu_state,
    .pre_save = gpu_pre_save, .post_load = gpu_post_load,
};
