/*
 * A disk (Virtual I/O Device 1.2, 5.2).  A request's buffers go to the drive as they are; requests of all queues are under
 * way at once and end in any order.
 */
#include "hw/virtio/virtio_blk.h"

#include <string.h>

#include "backends/block/block.h"
#include "core/error.h"
#include "core/log.h"
#include "core/machine.h"
#include "hw/virtio/virtio.h"
#include "util/bits.h"
#include "util/endian.h"

/* Features (5.2.3). */
enum {
    BLK_SEG_MAX = 2, BLK_GEOMETRY = 4, BLK_RO = 5, BLK_BLK_SIZE = 6, BLK_FLUSH = 9, BLK_TOPOLOGY = 10, BLK_CONFIG_WCE = 11,
    BLK_MQ = 12, BLK_DISCARD = 13, BLK_WRITE_ZEROES = 14
};
/* Configuration (5.2.4). */
enum {
    CONFIG_CAPACITY = 0, CONFIG_SEG_MAX = 12, CONFIG_CYLINDERS = 16, CONFIG_HEADS = 18, CONFIG_SECTORS = 19,
    CONFIG_BLK_SIZE = 20, CONFIG_PHYSICAL_EXP = 24, CONFIG_MIN_IO = 26, CONFIG_OPT_IO = 28, CONFIG_WRITEBACK = 32,
    CONFIG_QUEUES = 34, CONFIG_DISCARD_SECTORS = 36, CONFIG_DISCARD_SEGMENTS = 40, CONFIG_DISCARD_ALIGNMENT = 44,
    CONFIG_ZEROES_SECTORS = 48, CONFIG_ZEROES_SEGMENTS = 52, CONFIG_ZEROES_UNMAP = 56, CONFIG_SIZE = 60
};
/* Requests (5.2.6). */
enum { REQUEST_IN = 0, REQUEST_OUT = 1, REQUEST_FLUSH = 4, REQUEST_GET_ID = 8, REQUEST_DISCARD = 11, REQUEST_ZEROES = 13 };
enum { STATUS_OK = 0, STATUS_IOERR = 1, STATUS_UNSUPPORTED = 2 };
enum { HEADER_SIZE = 16, RANGE_SIZE = 16, RANGE_UNMAP = 1, ID_SIZE = 20 };
enum { SECTOR = 512, RANGE_SECTORS_MAX = (1u << 31) / SECTOR - 1, QUEUES_AUTO = UINT16_MAX };

typedef struct VirtioBlk {
    VirtioDevice virtio;
    BlockBackend *drive;
    char *serial, *write_cache_text;
    bool config_wce, discard, write_zeroes;
    uint16_t queues, queue_size;
    uint32_t logical, physical;    /* block sizes */
    bool cache_at_reset;           /* whether the drive has a write cache before a driver says so */
    bool writeback;                /* whether it has one now, for the saved state */
    struct BlkRequest *spare;
} VirtioBlk;

typedef struct BlkRequest {
    VirtioBlk *blk;
    VirtElement *element;
    DmaSlice data;
    struct BlkRequest *next;
} BlkRequest;

/* ---- requests ---- */

static BlkRequest *request_new(VirtioBlk *b, VirtElement *e)
{
    BlkRequest *r = b->spare;
    if (r)
        b->spare = r->next;
    else
        r = g_new0(BlkRequest, 1);
    r->blk = b;
    r->element = e;
    return r;
}

static void request_free(BlkRequest *r)
{
    r->next = r->blk->spare;
    r->blk->spare = r;
}

/* The status is the last byte that the device writes; what is before it counts as written, whatever came of it. */
static void request_end(BlkRequest *r, uint8_t status)
{
    VirtElement *e = r->element;
    VirtQueue *q = e->queue;

    dma_from_buffer(&e->in, e->in.size - 1, &status, 1);
    request_free(r);
    virtqueue_push(q, e, e->in.size);
    virtqueue_flush_soon(q);
}

static void request_done(void *opaque, int status)
{
    request_end(opaque, status ? STATUS_IOERR : STATUS_OK);
}

/* Whole blocks within the disk. */
static bool range_ok(const VirtioBlk *b, uint64_t sector, uint64_t size)
{
    uint64_t capacity = block_size(b->drive);
    return sector <= capacity / SECTOR && size <= capacity - sector * SECTOR && size % b->logical == 0 &&
           sector % (b->logical / SECTOR) == 0;
}

static void request_transfer(BlkRequest *r, uint64_t sector, bool write)
{
    VirtioBlk *b = r->blk;
    const DmaList *d = write ? &r->element->out : &r->element->in;
    uint64_t skip = write ? HEADER_SIZE : 0, size = d->size - (write ? HEADER_SIZE : 1);
    unsigned count;

    if (!range_ok(b, sector, size)) {
        log_guest_error("%s: %s of %" G_GUINT64_FORMAT " bytes at sector %" G_GUINT64_FORMAT, b->virtio.pci.dev.id,
                        write ? "write" : "read", size, sector);
        request_end(r, STATUS_IOERR);
        return;
    }
    if (!size) {
        request_end(r, STATUS_OK);
        return;
    }
    const struct iovec *iov = dma_slice(&r->data, d, skip, size, &count);
    if (write)
        block_writev(b->drive, sector * SECTOR, iov, count, request_done, r);
    else
        block_readv(b->drive, sector * SECTOR, iov, count, request_done, r);
}

static void request_get_id(BlkRequest *r)
{
    char id[ID_SIZE] = { 0 };

    if (r->blk->serial)
        memcpy(id, r->blk->serial, MIN(strlen(r->blk->serial), sizeof id));
    dma_from_buffer(&r->element->in, 0, id, MIN(sizeof id, r->element->in.size - 1));
    request_end(r, STATUS_OK);
}

/* One range, as the configuration says (5.2.6.2). */
static void request_range(BlkRequest *r, uint32_t type)
{
    VirtioBlk *b = r->blk;
    VirtElement *e = r->element;
    uint8_t range[RANGE_SIZE];

    if (dma_to_buffer(&e->out, HEADER_SIZE, range, sizeof range) < sizeof range ||
        e->out.size > HEADER_SIZE + RANGE_SIZE) {
        request_end(r, STATUS_IOERR);
        return;
    }
    uint64_t sector = ld64le(range), size = (uint64_t)ld32le(range + 8) * SECTOR;
    uint32_t flags = ld32le(range + 12);
    if (flags & ~RANGE_UNMAP || (flags && type == REQUEST_DISCARD))
        request_end(r, STATUS_UNSUPPORTED);
    else if (size > (uint64_t)RANGE_SECTORS_MAX * SECTOR || !range_ok(b, sector, size))
        request_end(r, STATUS_IOERR);
    else if (type == REQUEST_DISCARD)
        block_discard(b->drive, sector * SECTOR, size, request_done, r);
    else
        block_write_zeroes(b->drive, sector * SECTOR, size, flags & RANGE_UNMAP, request_done, r);
}

static bool is_offered(const VirtioBlk *b, unsigned feature) { return b->virtio.features_offered >> feature & 1; }

static void request_begin(BlkRequest *r, uint32_t type, uint64_t sector)
{
    VirtioBlk *b = r->blk;
    bool writes = type == REQUEST_OUT || type == REQUEST_DISCARD || type == REQUEST_ZEROES;

    if (writes && block_readonly(b->drive)) {
        request_end(r, STATUS_IOERR);
        return;
    }
    switch (type) {
    case REQUEST_IN:
    case REQUEST_OUT: request_transfer(r, sector, writes); break;
    case REQUEST_FLUSH: block_flush(b->drive, request_done, r); break;
    case REQUEST_GET_ID: request_get_id(r); break;
    case REQUEST_DISCARD:
    case REQUEST_ZEROES:
        if (is_offered(b, type == REQUEST_DISCARD ? BLK_DISCARD : BLK_WRITE_ZEROES))
            request_range(r, type);
        else
            request_end(r, STATUS_UNSUPPORTED);
        break;
    default: request_end(r, STATUS_UNSUPPORTED); break;
    }
}

static void pop_all(VirtioDevice *v, VirtQueue *q)
{
    VirtioBlk *b = (VirtioBlk *)v;
    VirtElement *e;

    while ((e = virtqueue_pop(q))) {
        uint8_t header[HEADER_SIZE];
        if (dma_to_buffer(&e->out, 0, header, sizeof header) < sizeof header || !e->in.size) {
            virtqueue_forget(e);
            virtio_break(v, "a request without header or status");
            return;
        }
        request_begin(request_new(b, e), ld32le(header), ld64le(header + 8));
    }
}

/* What the driver has put there since is handed to the host together. */
static void blk_notify(VirtioDevice *v, VirtQueue *q)
{
    BlockBackend *drive = ((VirtioBlk *)v)->drive;

    block_plug(drive);
    pop_all(v, q);
    block_unplug(drive);
}

/* ---- configuration ---- */

static void blk_config_read(VirtioDevice *v, uint8_t *c)
{
    VirtioBlk *b = (VirtioBlk *)v;
    uint64_t sectors = block_size(b->drive) / SECTOR;

    memset(c, 0, CONFIG_SIZE);
    st64le(c + CONFIG_CAPACITY, sectors);
    st32le(c + CONFIG_SEG_MAX, b->queue_size - 2); /* beside header and status */
    st16le(c + CONFIG_CYLINDERS, MIN(sectors / (16 * 63), 16383));
    c[CONFIG_HEADS] = 16;
    c[CONFIG_SECTORS] = 63;
    st32le(c + CONFIG_BLK_SIZE, b->logical);
    c[CONFIG_PHYSICAL_EXP] = bit_highest(b->physical / b->logical);
    st16le(c + CONFIG_MIN_IO, 1);
    c[CONFIG_WRITEBACK] = block_write_cache(b->drive);
    st16le(c + CONFIG_QUEUES, v->queue_count);
    st32le(c + CONFIG_DISCARD_SECTORS, RANGE_SECTORS_MAX);
    st32le(c + CONFIG_DISCARD_SEGMENTS, 1);
    st32le(c + CONFIG_DISCARD_ALIGNMENT, b->logical / SECTOR);
    st32le(c + CONFIG_ZEROES_SECTORS, RANGE_SECTORS_MAX);
    st32le(c + CONFIG_ZEROES_SEGMENTS, 1);
    c[CONFIG_ZEROES_UNMAP] = 1;
}

static void blk_config_write(VirtioDevice *v, const uint8_t *c, unsigned offset, unsigned size)
{
    VirtioBlk *b = (VirtioBlk *)v;

    if (offset <= CONFIG_WRITEBACK && offset + size > CONFIG_WRITEBACK && virtio_has(v, BLK_CONFIG_WCE))
        block_set_write_cache(b->drive, c[CONFIG_WRITEBACK] & 1);
}

/* Who never flushes has no use for a cache that loses data (5.2.6.2). */
static void blk_status_changed(VirtioDevice *v, uint8_t status)
{
    VirtioBlk *b = (VirtioBlk *)v;

    if (status & 4 && !virtio_has(v, BLK_FLUSH) && !virtio_has(v, BLK_CONFIG_WCE))
        block_set_write_cache(b->drive, false);
}

static void blk_driver_reset(VirtioDevice *v)
{
    VirtioBlk *b = (VirtioBlk *)v;
    block_set_write_cache(b->drive, b->cache_at_reset);
}

static void blk_drain(VirtioDevice *v) { block_drain(((VirtioBlk *)v)->drive); }

static const VirtioType blk_virtio = {
    .id = VIRTIO_ID_BLOCK, .class_code = 0x010000, .config_size = CONFIG_SIZE,
    .features = BIT(BLK_SEG_MAX) | BIT(BLK_GEOMETRY) | BIT(BLK_BLK_SIZE) | BIT(BLK_FLUSH) | BIT(BLK_TOPOLOGY),
    .config_read = blk_config_read, .config_write = blk_config_write, .notify = blk_notify,
    .status_changed = blk_status_changed, .reset = blk_driver_reset, .drain = blk_drain,
};

/* ---- life ---- */

static void capacity_changed(void *opaque) { virtio_config_changed(opaque); }

static const BlockUser blk_user = { .medium_changed = capacity_changed, .resized = capacity_changed };

static gboolean block_sizes_check(const VirtioBlk *b, GError **err)
{
    const char *id = b->virtio.pci.dev.id;

    if (!is_power_of_2(b->logical) || !is_power_of_2(b->physical) || b->physical < b->logical)
        return error_set(err, "device '%s': block sizes are powers of 2, the physical one at least the logical one", id);
    if (block_size(b->drive) % b->logical)
        return error_set(err, "device '%s': drive '%s' is not a whole number of blocks of %u bytes", id,
                         block_id(b->drive), b->logical);
    return TRUE;
}

static gboolean blk_check(VirtioBlk *b, GError **err)
{
    const char *id = b->virtio.pci.dev.id;

    if (!b->drive)
        return error_set(err, "device '%s': needs drive=ID, of a -drive if=none,id=ID,...", id);
    if (!block_inserted(b->drive))
        return error_set(err, "device '%s': drive '%s' has no image, which a disk needs", id, block_id(b->drive));
    if (!is_power_of_2(b->queue_size) || b->queue_size < 4 || b->queue_size > VIRTIO_QUEUE_SIZE_MAX)
        return error_set(err, "device '%s': queue-size is a power of 2 from 4 to %u, not %u", id, VIRTIO_QUEUE_SIZE_MAX,
                         b->queue_size);
    if (b->queues == QUEUES_AUTO)
        b->queues = CLAMP(b->virtio.pci.dev.machine->cpu_count, 1, VIRTIO_QUEUES_MAX);
    if (!b->queues || b->queues > VIRTIO_QUEUES_MAX)
        return error_set(err, "device '%s': num-queues is 1 to %u, not %u", id, VIRTIO_QUEUES_MAX, b->queues);
    return block_sizes_check(b, err);
}

/* write-cache=on, off or auto: as -drive says. */
static gboolean parse_write_cache(VirtioBlk *b, GError **err)
{
    const char *text = b->write_cache_text ? b->write_cache_text : "auto";
    bool on = !strcmp(text, "on");

    if (!on && strcmp(text, "off") && strcmp(text, "auto"))
        return error_set(err, "device '%s': write-cache is on, off or auto, not '%s'", b->virtio.pci.dev.id, text);
    if (*text != 'a')
        block_set_write_cache(b->drive, on);
    b->cache_at_reset = block_write_cache(b->drive);
    return TRUE;
}

static uint64_t features_of(const VirtioBlk *b)
{
    uint64_t f = 0;
    if (block_readonly(b->drive))
        f |= BIT(BLK_RO);
    if (b->config_wce)
        f |= BIT(BLK_CONFIG_WCE);
    if (b->queues > 1)
        f |= BIT(BLK_MQ);
    if (b->discard)
        f |= BIT(BLK_DISCARD);
    if (b->write_zeroes)
        f |= BIT(BLK_WRITE_ZEROES);
    return f;
}

static gboolean blk_create(Device *dev, GError **err)
{
    VirtioBlk *b = (VirtioBlk *)dev;

    if (!blk_check(b, err) || !block_attach(b->drive, dev->id, &blk_user, b, err))
        return FALSE;
    if (!parse_write_cache(b, err) || !virtio_init(&b->virtio, &blk_virtio, b->queues, b->queue_size, err)) {
        block_detach(b->drive);
        return FALSE;
    }
    b->virtio.features_offered |= features_of(b);
    return TRUE;
}

static void blk_reset(Device *dev) { virtio_reset((VirtioDevice *)dev); }

static void blk_destroy(Device *dev)
{
    VirtioBlk *b = (VirtioBlk *)dev;

    block_drain(b->drive);
    block_detach(b->drive);
    virtio_exit(&b->virtio);
    while (b->spare) {
        BlkRequest *r = b->spare;
        b->spare = r->next;
        dma_slice_free(&r->data);
        g_free(r);
    }
}

static void blk_pre_save(Device *dev)
{
    VirtioBlk *b = (VirtioBlk *)dev;
    virtio_pre_save(&b->virtio);
    b->writeback = block_write_cache(b->drive);
}

static gboolean blk_post_load(Device *dev, GError **err)
{
    VirtioBlk *b = (VirtioBlk *)dev;
    block_set_write_cache(b->drive, b->writeback);
    return virtio_post_load(&b->virtio, err);
}

static const Property blk_properties[] = {
    VIRTIO_PROPERTIES(VirtioBlk),
    PROPERTY(VirtioBlk, drive, "drive", PROP_DRIVE, 0, "the -drive that holds the data"),
    PROPERTY(VirtioBlk, serial, "serial", PROP_STRING, 0, "serial number, at most 20 characters"),
    PROPERTY(VirtioBlk, queues, "num-queues", PROP_U16, QUEUES_AUTO, "queues; otherwise one for each CPU"),
    PROPERTY(VirtioBlk, queue_size, "queue-size", PROP_U16, 256, "requests in a queue, a power of 2"),
    PROPERTY(VirtioBlk, write_cache_text, "write-cache", PROP_STRING, 0, "on, off, or auto: as the -drive has it"),
    PROPERTY(VirtioBlk, config_wce, "config-wce", PROP_BOOL, 1, "let the driver switch the write cache"),
    PROPERTY(VirtioBlk, discard, "discard", PROP_BOOL, 1, "offer to discard"),
    PROPERTY(VirtioBlk, write_zeroes, "write-zeroes", PROP_BOOL, 1, "offer to write zeroes"),
    { .name = "logical_block_size", .type = PROP_U32, .offset = offsetof(VirtioBlk, logical), .initial = SECTOR,
      .min = SECTOR, .max = 32768, .help = "bytes" },
    { .name = "physical_block_size", .type = PROP_U32, .offset = offsetof(VirtioBlk, physical), .initial = SECTOR,
      .min = SECTOR, .max = 32768, .help = "bytes" },
    PROPERTY_END
};

static const StateField blk_state[] = {
    STATE_STRUCT(VirtioBlk, virtio, virtio_state), STATE_BOOL(VirtioBlk, writeback), STATE_END
};

const DeviceType virtio_blk_type = {
    .name = "virtio-blk-pci", .description = "virtio disk", .bus = "pci", .size = sizeof(VirtioBlk), .user = true,
    .properties = blk_properties, .create = blk_create, .reset = blk_reset, .destroy = blk_destroy, .state = blk_state,
    .pre_save = blk_pre_save, .post_load = blk_post_load,
};
