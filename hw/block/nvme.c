/* An NVMe controller: its registers, and its life (NVM Express 1.4, sections 3.1 and 7.6). */
#include "hw/block/nvme.h"

#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/machine.h"
#include "hw/block/nvme_internal.h"
#include "util/bits.h"

enum {
    REG_CAP = 0x00, REG_CAP_HIGH = 0x04, REG_VS = 0x08, REG_INTMS = 0x0c, REG_INTMC = 0x10, REG_CC = 0x14,
    REG_CSTS = 0x1c, REG_AQA = 0x24, REG_ASQ = 0x28, REG_ACQ = 0x30, DOORBELLS = 0x1000, REGISTERS_SIZE = 16 * 1024,
};
enum { CC_ENABLE = 1, CC_SHUTDOWN = 0xc000, CC_SET = 0x70 | 0x3800 /* command set, arbitration: 0 */ };
enum { CSTS_READY = 1, CSTS_FATAL = 2, CSTS_SHUTDOWN = 0x0c, CSTS_SHUTTING = 0x04, CSTS_SHUT = 0x08 };
enum { MAX_PAGE = 4, ADMIN_ENTRIES = 4096, MSIX_BAR = 4 };
/* Queues of 2048 entries, which lie in one piece; 7.5 s to be ready; the NVM commands; pages of 4 to 64 KiB. */
#define CAPABILITIES                                                                                                  \
    ((uint64_t)(NVME_MAX_ENTRIES - 1) | BIT(16) | UINT64_C(15) << 24 | BIT(37) | (uint64_t)MAX_PAGE << 52)

/* ---- start and stop ---- */

static bool may_start(const Nvme *s)
{
    unsigned sq = s->admin_sizes & 0xfff, cq = s->admin_sizes >> 16 & 0xfff;

    return sq && cq && !(s->configuration & CC_SET) && (s->configuration >> 7 & 15) <= MAX_PAGE &&
           s->admin_sq % nvme_page(s) == 0 && s->admin_cq % nvme_page(s) == 0;
}

static void start(Nvme *s)
{
    if (!may_start(s)) {
        log_guest_error("nvme: enabled with CC %08x, AQA %08x, ASQ %" G_GINT64_MODIFIER "x, ACQ %" G_GINT64_MODIFIER
                        "x", s->configuration, s->admin_sizes, s->admin_sq, s->admin_cq);
        s->status |= CSTS_FATAL;
        return;
    }
    s->cq[0] = (NvmeCq) { .base = s->admin_cq, .entries = (s->admin_sizes >> 16 & 0xfff) + 1, .phase = true,
                          .interrupts = true, .users = 1 };
    s->sq[0] = (NvmeSq) { .base = s->admin_sq, .entries = (s->admin_sizes & 0xfff) + 1 };
    s->status |= CSTS_READY;
}

static void clear(Nvme *s)
{
    memset(s->sq, 0, sizeof s->sq);
    memset(s->cq, 0, sizeof s->cq);
    memset(s->event_masked, 0, sizeof s->event_masked);
    s->events = s->event_requests = s->next_queue = 0;
    s->status = s->mask = 0;
    s->namespace_changed = s->stopping = false;
    block_set_write_cache(s->block, s->cache_at_start);
    nvme_features_reset(s);
    nvme_update_irq(s);
}

void nvme_stopped(Nvme *s)
{
    clear(s);
    if (s->configuration & CC_ENABLE)
        start(s);
}

/* The queues are gone when no transfer uses the guest's memory any more (section 7.3.2). */
static void stop(Nvme *s)
{
    if (s->in_flight)
        s->stopping = true;
    else
        nvme_stopped(s);
}

static void shut(void *opaque, int error)
{
    Nvme *s = opaque;
    (void)error; /* the user has been told */

    if ((s->status & CSTS_SHUTDOWN) == CSTS_SHUTTING)
        s->status = (s->status & ~CSTS_SHUTDOWN) | CSTS_SHUT;
}

static void write_configuration(Nvme *s, uint32_t v)
{
    uint32_t changed = s->configuration ^ v;

    s->configuration = v & 0xfffff1;
    if (changed & CC_ENABLE) {
        if (!(v & CC_ENABLE))
            stop(s);
        else if (!s->stopping)
            start(s);
    }
    if (!(changed & CC_SHUTDOWN))
        return;
    s->status &= ~CSTS_SHUTDOWN;
    if (v & CC_SHUTDOWN) {
        s->status |= CSTS_SHUTTING;
        block_flush(s->block, shut, s);
    }
}

/* ---- doorbells (section 3.1.24 and 3.1.25) ---- */

/* Errors that a wrong doorbell is (figure 146). */
enum { BAD_DOORBELL = 0, BAD_VALUE = 1 };

static void bad_doorbell(Nvme *s, unsigned n, uint32_t v, unsigned what)
{
    log_guest_error("nvme: doorbell %u written with %u, for which there is no %s", n, v,
                    what == BAD_VALUE ? "entry" : "queue");
    nvme_event(s, EVENT_ERROR, what, LOG_ERRORS);
}

static void write_tail(Nvme *s, unsigned n, uint32_t v)
{
    NvmeSq *q = &s->sq[n / 2];

    if (v >= q->entries)
        bad_doorbell(s, n, v, q->entries ? BAD_VALUE : BAD_DOORBELL);
    else
        q->tail = v;
}

static void write_head(Nvme *s, unsigned n, uint32_t v)
{
    NvmeCq *q = &s->cq[n / 2];

    if (v >= q->entries) {
        bad_doorbell(s, n, v, q->entries ? BAD_VALUE : BAD_DOORBELL);
        return;
    }
    q->head = v;
    nvme_update_irq(s);
    nvme_events_send(s);
}

static void write_doorbell(Nvme *s, unsigned n, uint32_t v)
{
    if (!nvme_ready(s) || s->stopping)
        return;
    if (n / 2 > s->queue_pairs)
        bad_doorbell(s, n, v, BAD_DOORBELL);
    else if (n % 2)
        write_head(s, n, v & 0xffff);
    else
        write_tail(s, n, v & 0xffff);
    nvme_run(s);
}

/* ---- registers ---- */

static uint64_t registers_read(void *opaque, uint64_t offset, unsigned size)
{
    const Nvme *s = opaque;
    (void)size;

    switch (offset & ~3u) {
    case REG_CAP: return CAPABILITIES & UINT32_MAX;
    case REG_CAP_HIGH: return CAPABILITIES >> 32;
    case REG_VS: return 0x00010400;
    case REG_INTMS: case REG_INTMC: return s->mask;
    case REG_CC: return s->configuration;
    case REG_CSTS: return s->status;
    case REG_AQA: return s->admin_sizes;
    case REG_ASQ: return s->admin_sq & UINT32_MAX;
    case REG_ASQ + 4: return s->admin_sq >> 32;
    case REG_ACQ: return s->admin_cq & UINT32_MAX;
    case REG_ACQ + 4: return s->admin_cq >> 32;
    default: return 0;
    }
}

static void write_register(Nvme *s, uint64_t offset, uint32_t v)
{
    switch (offset) {
    case REG_INTMS: s->mask |= v; break;
    case REG_INTMC: s->mask &= ~v; break;
    case REG_CC: write_configuration(s, v); break;
    case REG_AQA: s->admin_sizes = v & 0x0fff0fff; break;
    case REG_ASQ: s->admin_sq = bits_deposit(s->admin_sq, 0, 32, v & ~UINT32_C(0xfff)); break;
    case REG_ASQ + 4: s->admin_sq = bits_deposit(s->admin_sq, 32, 32, v); break;
    case REG_ACQ: s->admin_cq = bits_deposit(s->admin_cq, 0, 32, v & ~UINT32_C(0xfff)); break;
    case REG_ACQ + 4: s->admin_cq = bits_deposit(s->admin_cq, 32, 32, v); break;
    default: log_guest_error("nvme: no register at %03x to be written", (unsigned)offset); return;
    }
    nvme_update_irq(s);
}

static void registers_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    Nvme *s = opaque;
    (void)size;

    if (s->busy)
        log_guest_error("nvme: the controller is to write its own register %04x", (unsigned)offset);
    else if (offset >= DOORBELLS)
        write_doorbell(s, (offset - DOORBELLS) / 4, v);
    else
        write_register(s, offset & ~3u, v);
}

static const RegionOps registers_ops = {
    .read = registers_read, .write = registers_write, .min_size = 4, .max_size = 4,
};

/* Bus mastering may just have been allowed, or MSI-X taken the place of the pin. */
static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    Nvme *s = (Nvme *)pci;
    (void)offset;
    (void)size;

    nvme_update_irq(s);
    nvme_run(s);
}

/* ---- the drive ---- */

static void resized(void *opaque)
{
    Nvme *s = opaque;

    s->namespace_changed = true;
    if (s->feature[FEATURE_EVENTS] & 0x100)
        nvme_event(s, EVENT_NOTICE, 0, LOG_NAMESPACES);
}

static const BlockUser block_user_of_nvme = { .resized = resized };

/* ---- life ---- */

static gboolean check_properties(Nvme *s, GError **err)
{
    const char *id = s->pci.dev.id;

    if (!s->block)
        return error_set(err, "device '%s': needs drive=ID, of a -drive if=none,id=ID,...", id);
    if (!block_inserted(s->block))
        return error_set(err, "device '%s': drive '%s' has no image, which a disk needs", id, block_id(s->block));
    if (s->block_bytes != 512 && s->block_bytes != 4096)
        return error_set(err, "device '%s': logical_block_size is 512 or 4096, not %u", id, s->block_bytes);
    if (s->serial && strlen(s->serial) > 20)
        return error_set(err, "device '%s': serial '%s' is longer than 20 characters", id, s->serial);
    if (!s->serial)
        s->serial = g_strdup_printf("MY-%.17s", block_id(s->block));
    return TRUE;
}

static void requests_create(Nvme *s)
{
    s->requests = g_new0(NvmeRequest, NVME_REQUESTS);
    for (unsigned n = 0; n < NVME_REQUESTS; n++) {
        NvmeRequest *r = &s->requests[n];
        r->controller = s;
        r->next = s->free_request;
        s->free_request = r;
        dma_init(&r->dma, pci_memory(&s->pci), false);
    }
}

static gboolean nvme_create(Device *dev, GError **err)
{
    static const PciId id = { .vendor = 0x1b36, .device = 0x0010, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
                              .class_code = 0x010802, .revision = 2, .interrupt_pin = 1 };
    Nvme *s = (Nvme *)dev;

    if (!check_properties(s, err) || !block_attach(s->block, dev->id, &block_user_of_nvme, s, err))
        return FALSE;
    if (!pci_device_init(&s->pci, &id, err)) {
        block_detach(s->block);
        return FALSE;
    }
    s->pci.config_written = config_written;
    s->cache_at_start = block_write_cache(s->block);
    s->registers = region_new_io("nvme", REGISTERS_SIZE, &registers_ops, s);
    pci_add_bar(&s->pci, 0, PCI_BAR_MEMORY64, s->registers);
    msix_init(&s->msix, &s->pci, s->queue_pairs + 1, MSIX_BAR);
    requests_create(s);
    return TRUE;
}

static void nvme_reset(Device *dev)
{
    Nvme *s = (Nvme *)dev;

    s->stopping = true; /* what comes of transfers is not wanted */
    s->configuration = s->admin_sizes = 0;
    block_drain(s->block);
    s->admin_sq = s->admin_cq = 0;
    pci_device_reset(&s->pci);
    clear(s);
}

static void nvme_destroy(Device *dev)
{
    Nvme *s = (Nvme *)dev;

    s->stopping = true;
    s->configuration = 0;
    block_detach(s->block);
    pci_device_exit(&s->pci);
    msix_exit(&s->msix);
    region_free(s->registers);
    for (unsigned n = 0; n < NVME_REQUESTS; n++)
        dma_clear(&s->requests[n].dma);
    g_free(s->requests);
}

static void nvme_pre_save(Device *dev)
{
    block_drain(((Nvme *)dev)->block);
}

/* ---- restore: the saved state may come from anywhere ---- */

static bool queues_sane(const Nvme *s)
{
    for (unsigned n = 0; n < NVME_QUEUES; n++) {
        const NvmeSq *q = &s->sq[n];
        const NvmeCq *c = &s->cq[n];
        if (n > s->queue_pairs && (q->entries || c->entries))
            return false;
        if (q->entries && (q->entries > ADMIN_ENTRIES || q->head >= q->entries || q->tail >= q->entries ||
                           q->cq > s->queue_pairs || !s->cq[q->cq].entries))
            return false;
        if (c->entries && (c->entries < 2 || c->entries > ADMIN_ENTRIES || c->head >= c->entries ||
                           c->tail >= c->entries || c->vector > s->queue_pairs))
            return false;
    }
    return true;
}

static bool state_sane(const Nvme *s)
{
    return queues_sane(s) && s->next_queue <= s->queue_pairs && s->event_requests <= NVME_EVENTS &&
           s->events <= NVME_EVENTS && (!nvme_ready(s) || (s->sq[0].entries && may_start(s)));
}

static gboolean nvme_post_load(Device *dev, GError **err)
{
    Nvme *s = (Nvme *)dev;

    if (!state_sane(s))
        return error_set(err, "%s: the saved state has queues that cannot be", dev->id);
    for (unsigned n = 0; n < NVME_QUEUES; n++)
        s->cq[n].users = s->cq[n].in_flight = s->sq[n].in_flight = 0;
    for (unsigned n = 0; n < NVME_QUEUES; n++)
        if (s->sq[n].entries)
            s->cq[s->sq[n].cq].users++;
    s->stopping = false;
    block_set_write_cache(s->block, s->feature[FEATURE_CACHE] & 1);
    pci_device_restored(&s->pci);
    return TRUE;
}

static const StateField sq_state[] = {
    STATE_U64(NvmeSq, base), STATE_U32(NvmeSq, entries), STATE_U16(NvmeSq, head), STATE_U16(NvmeSq, tail),
    STATE_U16(NvmeSq, cq), STATE_END
};

static const StateField cq_state[] = {
    STATE_U64(NvmeCq, base), STATE_U32(NvmeCq, entries), STATE_U16(NvmeCq, head), STATE_U16(NvmeCq, tail),
    STATE_U16(NvmeCq, vector), STATE_BOOL(NvmeCq, phase), STATE_BOOL(NvmeCq, interrupts), STATE_END
};

static const StateField counters_state[] = {
    STATE_U64(NvmeCounters, blocks_read), STATE_U64(NvmeCounters, blocks_written), STATE_U64(NvmeCounters, reads),
    STATE_U64(NvmeCounters, writes), STATE_END
};

static const StateField nvme_state[] = {
    STATE_STRUCT(Nvme, pci, pci_device_state), STATE_STRUCT(Nvme, msix, msix_state), STATE_U32(Nvme, mask),
    STATE_U32(Nvme, configuration), STATE_U32(Nvme, status), STATE_U32(Nvme, admin_sizes), STATE_U64(Nvme, admin_sq),
    STATE_U64(Nvme, admin_cq), STATE_STRUCT_ARRAY(Nvme, sq, sq_state), STATE_STRUCT_ARRAY(Nvme, cq, cq_state),
    STATE_U32(Nvme, next_queue), STATE_ARRAY_U32(Nvme, feature), STATE_ARRAY_U16(Nvme, event_request),
    STATE_U32(Nvme, event_requests), STATE_ARRAY_U32(Nvme, event), STATE_U32(Nvme, events),
    STATE_ARRAY_BOOL(Nvme, event_masked), STATE_BOOL(Nvme, namespace_changed),
    STATE_STRUCT(Nvme, counters, counters_state), STATE_END
};

static const Property nvme_properties[] = {
    PCI_ADDR_PROPERTY(Nvme),
    PROPERTY(Nvme, block, "drive", PROP_DRIVE, 0, "the -drive that holds the data"),
    PROPERTY(Nvme, serial, "serial", PROP_STRING, 0, "serial number, at most 20 characters"),
    { .name = "max_ioqpairs", .type = PROP_U32, .offset = offsetof(Nvme, queue_pairs), .initial = 64, .min = 1,
      .max = NVME_QUEUES - 1, .help = "pairs of I/O queues" },
    PROPERTY(Nvme, block_bytes, "logical_block_size", PROP_U32, 512, "bytes of a block: 512 or 4096"),
    PROPERTY_END
};

const DeviceType nvme_type = {
    .name = "nvme", .description = "NVMe controller with one namespace", .bus = "pci", .size = sizeof(Nvme),
    .user = true, .properties = nvme_properties, .create = nvme_create, .reset = nvme_reset, .destroy = nvme_destroy,
    .state = nvme_state, .pre_save = nvme_pre_save, .post_load = nvme_post_load,
};
