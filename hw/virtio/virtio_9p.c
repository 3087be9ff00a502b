/*
 * Virtio 9P transport: one queue, whose elements are a message of 9P each, and the room for its answer.  The specification reserves the
 * identity (Virtual I/O Device 1.2, 5) and leaves the rest to Linux: include/uapi/linux/virtio_9p.h, net/9p/trans_virtio.c.
 *
 * Messages are copied as they are taken, and answers when they are there, so that what the host's files take their time for touches
 * no memory of the guest.
 */
#include "hw/virtio/virtio_9p.h"

#include <string.h>

#include "backends/9p/fsdev.h"
#include "backends/9p/queue.h"
#include "core/error.h"
#include "core/machine.h"
#include "hw/virtio/virtio.h"
#include "util/bits.h"
#include "util/endian.h"

enum { QUEUE_SIZE = 128, TAG_MAX = 32, CONFIG_SIZE = 2 + TAG_MAX, F_MOUNT_TAG = 0 };

typedef struct Virtio9p {
    VirtioDevice virtio;
    char *fsdev, *tag;      /* properties */
    P9Queue *messages;
    GHashTable *elements;   /* VirtElement *, of messages that are under way */
    uint32_t saved_size;    /* of the server, from pre_save() to post_load() */
    uint8_t *saved;         /* P9_SAVED_MAX bytes */
} Virtio9p;

/* ---- messages ---- */

static void answered(void *opaque, void *tag, const uint8_t *answer, size_t size)
{
    Virtio9p *s = opaque;
    VirtElement *e = tag;
    VirtQueue *q = e->queue;

    g_hash_table_remove(s->elements, e);
    virtqueue_push(q, e, dma_from_buffer(&e->in, 0, answer, size));
    virtqueue_flush_soon(q);
}

static void take(Virtio9p *s, VirtElement *e)
{
    size_t size = MIN(e->out.size, P9_MSIZE_MAX);
    uint8_t *message = g_malloc(MAX(size, 1));

    dma_to_buffer(&e->out, 0, message, size);
    g_hash_table_add(s->elements, e);
    p9_queue_submit(s->messages, message, size, e->in.size, e);
}

static void share_notify(VirtioDevice *v, VirtQueue *q)
{
    VirtElement *e;

    while ((e = virtqueue_pop(q)))
        take((Virtio9p *)v, e);
}

static void share_driver_reset(VirtioDevice *v)
{
    Virtio9p *s = (Virtio9p *)v;
    GHashTableIter i;
    gpointer e;

    p9_queue_reset(s->messages);
    g_hash_table_iter_init(&i, s->elements);
    while (g_hash_table_iter_next(&i, &e, NULL)) {
        g_hash_table_iter_remove(&i);
        virtqueue_forget(e);
    }
}

static void share_drain(VirtioDevice *v)
{
    p9_queue_drain(((Virtio9p *)v)->messages);
}

/* tag_len[2] tag, without an end (struct virtio_9p_config). */
static void share_config_read(VirtioDevice *v, uint8_t *config)
{
    const char *tag = ((Virtio9p *)v)->tag;

    memset(config, 0, CONFIG_SIZE);
    st16le(config, strlen(tag));
    memcpy(config + 2, tag, strlen(tag));
}

static const VirtioType share_virtio = {
    .id = VIRTIO_ID_9P, .class_code = 0x000200, .config_size = CONFIG_SIZE, .features = BIT(F_MOUNT_TAG),
    .config_read = share_config_read, .notify = share_notify, .reset = share_driver_reset, .drain = share_drain,
};

/* ---- life ---- */

static gboolean check(const Virtio9p *s, GError **err)
{
    const char *id = s->virtio.pci.dev.id;

    if (!s->fsdev || !*s->fsdev)
        return error_set(err, "%s: needs a share: fsdev=ID of a -fsdev", id);
    if (!s->tag || !*s->tag)
        return error_set(err, "%s: needs a mount_tag=, the name by which the guest mounts it", id);
    if (strlen(s->tag) > TAG_MAX)
        return error_set(err, "%s: mount_tag=%s is longer than %d bytes", id, s->tag, TAG_MAX);
    return TRUE;
}

static const Share *find_share(Virtio9p *s, GError **err)
{
    Device *dev = &s->virtio.pci.dev;
    const Share *share = fsdev_find(dev->machine, s->fsdev);

    if (!share)
        error_set(err, "%s: there is no share '%s'; -fsdev local,id=%s,path=DIR makes one", dev->id, s->fsdev, s->fsdev);
    return share;
}

static gboolean share_create(Device *dev, GError **err)
{
    Virtio9p *s = (Virtio9p *)dev;
    const Share *share = check(s, err) ? find_share(s, err) : NULL;

    if (!share || !virtio_init(&s->virtio, &share_virtio, 1, QUEUE_SIZE, err))
        return FALSE;
    s->messages = p9_queue_new(dev->machine, share, answered, s);
    s->elements = g_hash_table_new(NULL, NULL);
    s->saved = g_malloc(P9_SAVED_MAX);
    return TRUE;
}

static void share_reset(Device *dev) { virtio_reset((VirtioDevice *)dev); }

static void share_destroy(Device *dev)
{
    Virtio9p *s = (Virtio9p *)dev;

    share_driver_reset(&s->virtio);
    p9_queue_free(s->messages);
    virtio_exit(&s->virtio);
    g_hash_table_unref(s->elements);
    g_free(s->saved);
}

static void share_pre_save(Device *dev)
{
    Virtio9p *s = (Virtio9p *)dev;
    g_autoptr(GByteArray) out = g_byte_array_new();

    virtio_pre_save(&s->virtio);
    p9_queue_save(s->messages, out);
    s->saved_size = MIN(out->len, P9_SAVED_MAX);
    memcpy(s->saved, out->data, s->saved_size);
}

static gboolean share_post_load(Device *dev, GError **err)
{
    Virtio9p *s = (Virtio9p *)dev;
    g_autoptr(GError) wrong = NULL;

    share_driver_reset(&s->virtio);
    if (!p9_queue_load(s->messages, s->saved, s->saved_size, &wrong))
        return error_set(err, "%s: %s", dev->id, wrong->message);
    return virtio_post_load(&s->virtio, err);
}

static const Property share_properties[] = {
    VIRTIO_PROPERTIES(Virtio9p),
    PROPERTY(Virtio9p, fsdev, "fsdev", PROP_STRING, 0, "share (-fsdev) of this id"),
    PROPERTY(Virtio9p, tag, "mount_tag", PROP_STRING, 0, "name by which the guest mounts it"),
    PROPERTY_END
};

static const StateField share_state[] = {
    STATE_STRUCT(Virtio9p, virtio, virtio_state), STATE_U32(Virtio9p, saved_size),
    STATE_VBUFFER(Virtio9p, saved, saved_size, P9_SAVED_MAX), STATE_END
};

const DeviceType virtio_9p_type = {
    .name = "virtio-9p-pci", .description = "folder of the host (9P2000.L)", .bus = "pci", .size = sizeof(Virtio9p), .user = true,
    .properties = share_properties, .create = share_create, .reset = share_reset, .destroy = share_destroy, .state = share_state,
    .pre_save = share_pre_save, .post_load = share_post_load,
};
