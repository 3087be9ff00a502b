/*
 * Virtio over PCI (Virtual I/O Device 1.2, 4.1): the registers of 1.0 and later in memory BAR 4, found by
 * capabilities, those from before in I/O BAR 0, and MSI-X in BAR 1.  A transitional device has both; identities are
 * QEMU's.
 */
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/machine.h"
#include "hw/virtio/virtio_private.h"
#include "util/bits.h"
#include "util/endian.h"

enum { BAR_LEGACY = 0, BAR_MSIX = 1, BAR_MODERN = 4 };
/* BAR 4: a page for each structure. */
enum { PART_COMMON, PART_ISR, PART_DEVICE, PART_NOTIFY, PARTS, PART_SIZE = 0x1000, NOTIFY_MULTIPLIER = 4 };
/* Capabilities (4.1.4). */
enum { CAP_TYPE = 3, CAP_BAR = 4, CAP_OFFSET = 8, CAP_LENGTH = 12, CAP_MULTIPLIER = 16, CAP_WINDOW = 16 };
enum { CAP_SIZE = 16, CAP_NOTIFY_SIZE = 20, CAP_WINDOW_SIZE = 20 };
enum { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE, CAP_PCI_CONFIG };

typedef struct VirtioPci {
    Region *modern, *legacy; /* NULL: not offered */
    unsigned window;         /* place of the capability through which BARs can be reached */
} VirtioPci;

/* ---- interrupts ---- */

/* A message is a write to wherever the guest said: to these registers too, which must not be heard now. */
static void send_message(VirtioDevice *v, uint16_t vector)
{
    bool deaf = v->deaf;
    v->deaf = true;
    msix_notify(&v->msix, vector);
    v->deaf = deaf;
}

void virtio_interrupt(VirtioDevice *v, uint16_t vector, uint8_t isr)
{
    if (msix_enabled(&v->msix)) {
        if (vector != NO_VECTOR)
            send_message(v, vector);
        return;
    }
    v->isr |= isr;
    pci_set_irq(&v->pci, 1);
}

/* Reading it acknowledges (4.1.4.5). */
static uint8_t read_isr(VirtioDevice *v)
{
    uint8_t isr = v->isr;
    v->isr = 0;
    pci_set_irq(&v->pci, 0);
    return isr;
}

static uint16_t vector_or_none(const VirtioDevice *v, uint16_t vector)
{
    return vector < v->msix.vectors ? vector : NO_VECTOR;
}

/* ---- common configuration (4.1.4.3) ---- */

enum {
    COMMON_DEVICE_SELECT = 0, COMMON_DEVICE_FEATURE = 4, COMMON_DRIVER_SELECT = 8, COMMON_DRIVER_FEATURE = 12,
    COMMON_CONFIG_VECTOR = 16, COMMON_QUEUES = 18, COMMON_STATUS = 20, COMMON_GENERATION = 21,
    COMMON_QUEUE_SELECT = 22,
    COMMON_QUEUE_SIZE = 24, COMMON_QUEUE_VECTOR = 26, COMMON_QUEUE_ENABLE = 28, COMMON_QUEUE_NOTIFY = 30,
    COMMON_QUEUE_DESC = 32, COMMON_QUEUE_DRIVER = 40, COMMON_QUEUE_DEVICE = 48, COMMON_QUEUE_RESET = 58,
    COMMON_SIZE = 60
};

static VirtQueue *selected(VirtioDevice *v)
{
    return v->queue_select < v->queue_count ? &v->queue[v->queue_select] : NULL;
}

/* A half of 64 feature bits; those that only legacy drivers know are not shown to others (6.3). */
static uint32_t features_half(uint64_t features, uint32_t select)
{
    features &= ~BIT(VIRTIO_F_ANY_LAYOUT);
    return select < 2 ? features >> 32 * select : 0;
}

static void common_queue(const VirtQueue *q, uint8_t *c)
{
    st16le(c + COMMON_QUEUE_SIZE, q->size);
    st16le(c + COMMON_QUEUE_VECTOR, q->vector);
    st16le(c + COMMON_QUEUE_ENABLE, q->enabled);
    st16le(c + COMMON_QUEUE_NOTIFY, q->index);
    st64le(c + COMMON_QUEUE_DESC, q->desc);
    st64le(c + COMMON_QUEUE_DRIVER, q->avail);
    st64le(c + COMMON_QUEUE_DEVICE, q->used);
}

static uint64_t common_read(VirtioDevice *v, unsigned offset, unsigned size)
{
    uint8_t c[COMMON_SIZE + 4] = { 0 };
    const VirtQueue *q = selected(v);

    if (offset >= COMMON_SIZE)
        return 0;
    st32le(c + COMMON_DEVICE_SELECT, v->feature_select);
    st32le(c + COMMON_DEVICE_FEATURE, features_half(v->features_offered, v->feature_select));
    st32le(c + COMMON_DRIVER_SELECT, v->driver_feature_select);
    st32le(c + COMMON_DRIVER_FEATURE, features_half(v->features, v->driver_feature_select));
    st16le(c + COMMON_CONFIG_VECTOR, v->config_vector);
    st16le(c + COMMON_QUEUES, v->queue_count);
    c[COMMON_STATUS] = v->status;
    c[COMMON_GENERATION] = v->generation;
    st16le(c + COMMON_QUEUE_SELECT, v->queue_select);
    if (q)
        common_queue(q, c);
    return ldle(c + offset, size);
}

static void set_half(uint64_t *v, bool high, uint32_t half) { *v = bits_deposit(*v, high ? 32 : 0, 32, half); }

static void write_driver_features(VirtioDevice *v, uint32_t half)
{
    uint64_t features = v->features;
    if (v->driver_feature_select > 1)
        return;
    set_half(&features, v->driver_feature_select, half);
    virtio_write_features(v, features);
}

static void write_queue_size(VirtQueue *q, unsigned size)
{
    bool any = virtio_has(q->device, VIRTIO_F_RING_PACKED); /* a split ring's is a power of 2 (2.7) */
    if (!size || size > q->size_max || (!any && !is_power_of_2(size)))
        log_guest_error("%s: queue %u of %u elements; %u at most", q->device->pci.dev.id, q->index, size, q->size_max);
    else if (!q->enabled)
        q->size = size;
}

static void write_queue_reset(VirtQueue *q)
{
    VirtioDevice *v = q->device;
    if (!virtio_has(v, VIRTIO_F_RING_RESET))
        return;
    v->type->queue_reset(v, q);
    virtqueue_reset(q);
}

/* The addresses are fixed while a queue is enabled (4.1.4.3.2). */
static void write_queue(VirtQueue *q, unsigned offset, uint64_t value)
{
    uint64_t *const address[] = { &q->desc, &q->avail, &q->used };

    if (offset == COMMON_QUEUE_VECTOR)
        q->vector = vector_or_none(q->device, value);
    else if (offset == COMMON_QUEUE_RESET && value == 1)
        write_queue_reset(q);
    else if (q->enabled)
        log_guest_error("%s: queue %u is changed while it is enabled", q->device->pci.dev.id, q->index);
    else if (offset == COMMON_QUEUE_SIZE)
        write_queue_size(q, value);
    else if (offset == COMMON_QUEUE_ENABLE)
        q->enabled = value == 1;
    else if (offset >= COMMON_QUEUE_DESC && offset < COMMON_QUEUE_DEVICE + 8 && offset % 4 == 0)
        set_half(address[(offset - COMMON_QUEUE_DESC) / 8], offset & 4, value);
}

static void common_write(VirtioDevice *v, unsigned offset, uint64_t value)
{
    switch (offset) {
    case COMMON_DEVICE_SELECT: v->feature_select = value; break;
    case COMMON_DRIVER_SELECT: v->driver_feature_select = value; break;
    case COMMON_DRIVER_FEATURE: write_driver_features(v, value); break;
    case COMMON_CONFIG_VECTOR: v->config_vector = vector_or_none(v, value); break;
    case COMMON_STATUS: virtio_write_status(v, value, false); break;
    case COMMON_QUEUE_SELECT: v->queue_select = (uint16_t)value; break;
    default:
        if (offset >= COMMON_QUEUE_SIZE && selected(v))
            write_queue(selected(v), offset, value);
        break;
    }
}

/* ---- BAR 4 ---- */

static uint64_t modern_read(void *opaque, uint64_t offset, unsigned size)
{
    VirtioDevice *v = opaque;
    unsigned at = offset % PART_SIZE;

    switch (offset / PART_SIZE) {
    case PART_COMMON: return common_read(v, at, size);
    case PART_ISR: return at ? 0 : read_isr(v);
    case PART_DEVICE: return virtio_config_read(v, at, size);
    default: return 0;
    }
}

static void modern_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    VirtioDevice *v = opaque;
    unsigned at = offset % PART_SIZE;

    if (v->deaf)
        return;
    switch (offset / PART_SIZE) {
    case PART_COMMON: common_write(v, at, value); break;
    case PART_DEVICE: virtio_config_write(v, at, value, size); break;
    case PART_NOTIFY: virtio_notified(v, at / NOTIFY_MULTIPLIER, false); break;
    default: break;
    }
}

static const RegionOps modern_ops = { modern_read, modern_write, 1, 4 };

/* ---- BAR 0: from before 1.0 (4.1.4.10) ---- */

enum {
    LEGACY_DEVICE_FEATURES = 0, LEGACY_DRIVER_FEATURES = 4, LEGACY_QUEUE_PAGE = 8, LEGACY_QUEUE_SIZE = 12,
    LEGACY_QUEUE_SELECT = 14, LEGACY_NOTIFY = 16, LEGACY_STATUS = 18, LEGACY_ISR = 19, LEGACY_CONFIG_VECTOR = 20,
    LEGACY_QUEUE_VECTOR = 22, LEGACY_SIZE = 24, LEGACY_SIZE_WITHOUT_MSIX = 20, LEGACY_PAGE = 4096
};

static unsigned legacy_size(const VirtioDevice *v)
{
    return msix_enabled(&v->msix) ? LEGACY_SIZE : LEGACY_SIZE_WITHOUT_MSIX;
}

static uint64_t legacy_header(VirtioDevice *v, unsigned offset, unsigned size)
{
    uint8_t c[LEGACY_SIZE + 4] = { 0 };
    const VirtQueue *q = selected(v);

    st32le(c + LEGACY_DEVICE_FEATURES, v->features_offered);
    st32le(c + LEGACY_DRIVER_FEATURES, v->features);
    st32le(c + LEGACY_QUEUE_PAGE, q ? q->desc / LEGACY_PAGE : 0);
    st16le(c + LEGACY_QUEUE_SIZE, q ? q->size : 0);
    st16le(c + LEGACY_QUEUE_SELECT, v->queue_select);
    c[LEGACY_STATUS] = v->status;
    if (offset <= LEGACY_ISR && offset + size > LEGACY_ISR)
        c[LEGACY_ISR] = read_isr(v);
    st16le(c + LEGACY_CONFIG_VECTOR, v->config_vector);
    st16le(c + LEGACY_QUEUE_VECTOR, q ? q->vector : NO_VECTOR);
    return ldle(c + offset, size);
}

static uint64_t legacy_read(void *opaque, uint64_t offset, unsigned size)
{
    VirtioDevice *v = opaque;
    unsigned header = legacy_size(v);
    return offset < header ? legacy_header(v, offset, size) : virtio_config_read(v, offset - header, size);
}

/* The three parts follow each other in pages, the used ring from a new one on (2.7.2); page 0 ends it all. */
static void write_queue_page(VirtioDevice *v, VirtQueue *q, uint32_t page)
{
    if (!page) {
        virtio_write_status(v, 0, true);
        return;
    }
    if (!q)
        return;
    q->desc = (uint64_t)page * LEGACY_PAGE;
    q->avail = q->desc + q->size * DESC_SIZE;
    q->used = align_up(q->avail + 4 + 2 * q->size + 2, LEGACY_PAGE);
    q->enabled = true;
    q->mapped = q->armed = false;
}

static void legacy_header_write(VirtioDevice *v, unsigned offset, uint64_t value)
{
    VirtQueue *q = selected(v);

    switch (offset) {
    case LEGACY_DRIVER_FEATURES: virtio_write_features(v, (uint32_t)value); break;
    case LEGACY_QUEUE_PAGE: write_queue_page(v, q, value); break;
    case LEGACY_QUEUE_SELECT: v->queue_select = (uint16_t)value; break;
    case LEGACY_NOTIFY: virtio_notified(v, (uint16_t)value, true); break;
    case LEGACY_STATUS: virtio_write_status(v, value, true); break;
    case LEGACY_CONFIG_VECTOR: v->config_vector = vector_or_none(v, value); break;
    case LEGACY_QUEUE_VECTOR:
        if (q)
            q->vector = vector_or_none(v, value);
        break;
    default: break;
    }
}

static void legacy_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    VirtioDevice *v = opaque;
    unsigned header = legacy_size(v);

    if (v->deaf)
        return;
    if (offset < header)
        legacy_header_write(v, offset, value);
    else
        virtio_config_write(v, offset - header, value, size);
}

static const RegionOps legacy_ops = { legacy_read, legacy_write, 1, 4 };

/* ---- configuration space ---- */

/* What the window of the last capability shows (4.1.4.9): an aligned part of BAR 4. */
static bool window_target(const VirtioDevice *v, uint32_t *offset, uint32_t *size)
{
    const uint8_t *c = v->pci.config + v->transport->window;

    *offset = ld32le(c + CAP_OFFSET);
    *size = ld32le(c + CAP_LENGTH);
    return c[CAP_BAR] == BAR_MODERN && (*size == 1 || *size == 2 || *size == 4) && *offset % *size == 0 &&
           *offset < PARTS * PART_SIZE;
}

static bool in_window(const VirtioDevice *v, unsigned at, unsigned n)
{
    unsigned data = v->transport->window + CAP_WINDOW;
    return v->transport->modern && at < data + 4 && at + n > data;
}

static void config_reading(PciDevice *pci, unsigned at, unsigned n)
{
    VirtioDevice *v = (VirtioDevice *)pci;
    uint32_t offset, size;

    if (in_window(v, at, n) && window_target(v, &offset, &size))
        stle(pci->config + v->transport->window + CAP_WINDOW, modern_read(v, offset, size), size);
}

/* A driver that may now be served may have told us of requests before. */
static void config_written(PciDevice *pci, unsigned at, unsigned n)
{
    VirtioDevice *v = (VirtioDevice *)pci;
    uint32_t offset, size;

    if (in_window(v, at, n) && window_target(v, &offset, &size))
        modern_write(v, offset, ldle(pci->config + v->transport->window + CAP_WINDOW, size), size);
    if (at <= PCI_COMMAND + 1 && at + n > PCI_COMMAND && pci_may_master(pci))
        virtio_kick_all(v);
}

static unsigned add_part(VirtioDevice *v, uint8_t type, unsigned part, unsigned length, unsigned size)
{
    unsigned at = pci_add_capability(&v->pci, PCI_CAP_VENDOR, size);
    uint8_t *c = v->pci.config + at;
    c[2] = size;
    c[CAP_TYPE] = type;
    c[CAP_BAR] = length ? BAR_MODERN : 0;
    st32le(c + CAP_OFFSET, part * PART_SIZE);
    st32le(c + CAP_LENGTH, length);
    return at;
}

static void add_modern(VirtioDevice *v)
{
    VirtioPci *p = v->transport;

    add_part(v, CAP_COMMON, PART_COMMON, PART_SIZE, CAP_SIZE);
    add_part(v, CAP_ISR, PART_ISR, PART_SIZE, CAP_SIZE);
    add_part(v, CAP_DEVICE, PART_DEVICE, PART_SIZE, CAP_SIZE);
    unsigned notify = add_part(v, CAP_NOTIFY, PART_NOTIFY, PART_SIZE, CAP_NOTIFY_SIZE);
    st32le(v->pci.config + notify + CAP_MULTIPLIER, NOTIFY_MULTIPLIER);
    p->window = add_part(v, CAP_PCI_CONFIG, 0, 0, CAP_WINDOW_SIZE);
    uint8_t *w = v->pci.writable + p->window;
    w[CAP_BAR] = 0xff;
    memset(w + CAP_OFFSET, 0xff, 12); /* offset, length, data */
    p->modern = region_new_io(v->pci.dev.type->name, PARTS * PART_SIZE, &modern_ops, v);
    pci_add_bar(&v->pci, BAR_MODERN, PCI_BAR_MEMORY64 | PCI_BAR_PREFETCH, p->modern);
}

static void add_legacy(VirtioDevice *v)
{
    uint64_t size = 32;
    while (size < LEGACY_SIZE + v->type->config_size)
        size *= 2;
    v->transport->legacy = region_new_io(v->pci.dev.type->name, size, &legacy_ops, v);
    pci_add_bar(&v->pci, BAR_LEGACY, PCI_BAR_IO, v->transport->legacy);
}

/* ---- life ---- */

/* Identities from before 1.0 (4.1.2.3); 0: the device came later. */
static uint16_t legacy_id(uint16_t id)
{
    switch (id) {
    case VIRTIO_ID_NET: return 0x1000;
    case VIRTIO_ID_BLOCK: return 0x1001;
    case VIRTIO_ID_BALLOON: return 0x1002;
    case VIRTIO_ID_CONSOLE: return 0x1003;
    case VIRTIO_ID_SCSI: return 0x1004;
    case VIRTIO_ID_RNG: return 0x1005;
    case VIRTIO_ID_9P: return 0x1009;
    default: return 0;
    }
}

static gboolean check_properties(VirtioDevice *v, GError **err)
{
    const char *id = v->pci.dev.id;

    v->disable_legacy |= !legacy_id(v->type->id);
    if (v->disable_legacy && v->disable_modern)
        return error_set(err, "%s: with disable-legacy and disable-modern no interface is left%s", id,
                         legacy_id(v->type->id) ? "" : " (it has no legacy one)");
    if (v->packed && v->disable_modern)
        return error_set(err, "%s: packed rings need the modern interface, without disable-modern=on", id);
    if (v->vectors != UINT32_MAX && v->vectors > MSIX_VECTORS_MAX)
        return error_set(err, "%s: vectors is 0 to %u, not %u", id, MSIX_VECTORS_MAX, v->vectors);
    return TRUE;
}

gboolean virtio_pci_init(VirtioDevice *v, GError **err)
{
    if (!check_properties(v, err))
        return FALSE;
    bool modern_only = v->disable_legacy;
    PciId id = { .vendor = 0x1af4, .device = modern_only ? 0x1040 + v->type->id : legacy_id(v->type->id),
                 .subsystem_vendor = 0x1af4, .subsystem = modern_only ? 0x1100 : v->type->id,
                 .class_code = v->type->class_code, .revision = modern_only, .interrupt_pin = 1 };
    if (!pci_device_init(&v->pci, &id, err))
        return FALSE;
    v->transport = g_new0(VirtioPci, 1);
    if (!v->disable_legacy)
        add_legacy(v);
    if (!v->disable_modern)
        add_modern(v);
    unsigned vectors = v->vectors == UINT32_MAX ? v->queue_count + 1 : v->vectors;
    if (vectors)
        msix_init(&v->msix, &v->pci, vectors, BAR_MSIX);
    v->pci.config_written = config_written;
    v->pci.config_reading = config_reading;
    return TRUE;
}

void virtio_pci_exit(VirtioDevice *v)
{
    pci_device_exit(&v->pci);
    msix_exit(&v->msix);
    if (v->transport->legacy)
        region_free(v->transport->legacy);
    if (v->transport->modern)
        region_free(v->transport->modern);
    g_free(v->transport);
}

void virtio_pci_restored(VirtioDevice *v)
{
    pci_device_restored(&v->pci);
    v->config_vector = vector_or_none(v, v->config_vector);
    for (unsigned n = 0; n < v->queue_count; n++)
        v->queue[n].vector = vector_or_none(v, v->queue[n].vector);
}
