/*
 * A SCSI adapter (Virtual I/O Device 1.2, 5.6): a queue for the management of tasks, one for events, and any number
 * for commands.  A transfer that has begun cannot be taken back: who aborts a command is answered when it has ended.
 */
#include "hw/virtio/virtio_scsi.h"

#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/machine.h"
#include "hw/scsi/scsi.h"
#include "hw/virtio/virtio.h"
#include "util/bits.h"
#include "util/endian.h"

enum { FEATURE_HOTPLUG = 1, FEATURE_CHANGE = 2 };
enum { QUEUE_CONTROL, QUEUE_EVENT, QUEUE_COMMANDS };
/* Configuration (5.6.4). */
enum {
    CONFIG_QUEUES = 0, CONFIG_SEG_MAX = 4, CONFIG_MAX_SECTORS = 8, CONFIG_PER_LUN = 12, CONFIG_EVENT_SIZE = 16,
    CONFIG_SENSE_SIZE = 20, CONFIG_CDB_SIZE = 24, CONFIG_MAX_CHANNEL = 28, CONFIG_MAX_TARGET = 30, CONFIG_MAX_LUN = 32,
    CONFIG_SIZE = 36
};
enum { SENSE_SIZE_DEFAULT = 96, CDB_SIZE_DEFAULT = 32, SENSE_SIZE_MAX = 1024, CDB_SIZE_MAX = 255 };
/* Requests (5.6.6.1): before the CDB, and the response before the sense data. */
enum { REQUEST_TAG = 8, REQUEST_CDB = 19, RESPONSE_RESIDUAL = 4, RESPONSE_STATUS = 10, RESPONSE_CODE = 11,
       RESPONSE_SENSE = 12 };
enum { CODE_OK = 0, CODE_OVERRUN = 1, CODE_ABORTED = 2, CODE_BAD_TARGET = 3, CODE_RESET = 4, CODE_FAILURE = 9,
       CODE_SUCCEEDED = 10, CODE_REJECTED = 11, CODE_INCORRECT_LUN = 12 };
/* Control (5.6.6.2). */
enum { CONTROL_TMF = 0, CONTROL_QUERY = 1, CONTROL_SUBSCRIBE = 2, CONTROL_SIZE = 24, NOTIFICATION_SIZE = 16 };
enum { TMF_ABORT_TASK, TMF_ABORT_TASK_SET, TMF_CLEAR_ACA, TMF_CLEAR_TASK_SET, TMF_NEXUS_RESET, TMF_LUN_RESET,
       TMF_QUERY_TASK, TMF_QUERY_TASK_SET };
/* Events (5.6.6.3). */
enum { EVENT_NONE = 0, EVENT_PARAM_CHANGE = 3, EVENT_SIZE = 16 };
#define EVENT_MISSED UINT32_C(0x80000000)
enum { QUEUES_AUTO = UINT32_MAX };

typedef struct VirtioScsi {
    VirtioDevice virtio;
    ScsiBus *bus;
    uint32_t queues, queue_size, max_sectors, per_lun;
    uint32_t sense_size, cdb_size; /* as the driver chose */
    bool missed;                   /* an event found no room */
    GQueue commands;               /* ScsiCommand, under way */
    GQueue spare;
} VirtioScsi;

/* A task management function that waits for commands to end. */
typedef struct ScsiTask {
    VirtElement *element;
    unsigned waiting;
    uint8_t code;
} ScsiTask;

typedef struct ScsiCommand {
    ScsiRequest request; /* first: `done` is called with it */
    GList link;
    VirtioScsi *scsi;
    VirtElement *element;
    unsigned target, lun;
    uint64_t tag;
    uint8_t code;        /* CODE_OK, or of a task that has aborted it */
    GSList *tasks;       /* ScsiTask *, which wait for it */
} ScsiCommand;

/* ---- places ---- */

/* 1, the target, and a logical unit in flat space (5.6.6.1). */
static bool parse_place(const uint8_t *p, unsigned *target, unsigned *lun)
{
    *target = p[1];
    *lun = ld16be(p + 2) & 0x3fff;
    return p[0] == 1;
}

static void put_place(uint8_t *p, unsigned target, unsigned lun)
{
    p[0] = 1;
    p[1] = target;
    st16be(p + 2, lun < 256 ? lun : lun | 0x4000);
}

/* ---- commands ---- */

static ScsiCommand *command_new(VirtioScsi *s, VirtElement *e)
{
    GList *link = g_queue_pop_head_link(&s->spare);
    ScsiCommand *c = link ? link->data : g_new0(ScsiCommand, 1);

    c->link.data = c;
    c->scsi = s;
    c->element = e;
    c->code = CODE_OK;
    g_queue_push_tail_link(&s->commands, &c->link);
    return c;
}

static void answer(VirtElement *e, const void *bytes, unsigned size)
{
    VirtQueue *q = e->queue;
    uint64_t n = dma_from_buffer(&e->in, 0, bytes, size);
    virtqueue_push(q, e, n);
    virtqueue_flush_soon(q);
}

static void task_step(ScsiTask *t)
{
    if (--t->waiting)
        return;
    answer(t->element, &t->code, 1);
    g_free(t);
}

static unsigned response_size(const VirtioScsi *s) { return RESPONSE_SENSE + s->sense_size; }

static uint64_t put_response(ScsiCommand *c)
{
    VirtioScsi *s = c->scsi;
    ScsiRequest *r = &c->request;
    uint8_t a[RESPONSE_SENSE + SENSE_SIZE_MAX] = { 0 };
    uint64_t room = c->element->out.size - r->out_offset + c->element->in.size - r->in_offset;

    if (c->code == CODE_OK && r->overrun)
        c->code = CODE_OVERRUN;
    a[RESPONSE_CODE] = c->code;
    if (c->code == CODE_OK) {
        a[RESPONSE_STATUS] = r->status;
        st32le(a + RESPONSE_RESIDUAL, room - r->transferred);
        if (r->status == SCSI_CHECK_CONDITION) {
            st32le(a, MIN(s->sense_size, SCSI_SENSE_SIZE));
            memcpy(a + RESPONSE_SENSE, r->sense, MIN(s->sense_size, SCSI_SENSE_SIZE));
        }
    }
    dma_from_buffer(&c->element->in, 0, a, r->in_offset);
    /* A transfer that failed may have written all the same. */
    bool clean = c->code == CODE_OK && r->status == SCSI_GOOD && c->element->out.size == r->out_offset;
    return clean ? r->in_offset + r->transferred : c->element->in.size;
}

static void command_end(ScsiCommand *c)
{
    VirtioScsi *s = c->scsi;
    VirtElement *e = c->element;
    VirtQueue *q = e->queue;
    GSList *tasks = c->tasks;

    virtqueue_push(q, e, put_response(c));
    virtqueue_flush_soon(q);
    c->tasks = NULL;
    g_queue_unlink(&s->commands, &c->link);
    g_queue_push_head_link(&s->spare, &c->link);
    for (GSList *l = tasks; l; l = l->next)
        task_step(l->data);
    g_slist_free(tasks);
}

static void command_done(ScsiRequest *r) { command_end((ScsiCommand *)r); }

static void command_refuse(ScsiCommand *c, uint8_t code)
{
    c->code = code;
    command_end(c);
}

static void command_begin(VirtioScsi *s, VirtElement *e, const uint8_t *header, unsigned header_size)
{
    ScsiCommand *c = command_new(s, e);
    ScsiRequest *r = &c->request;
    bool known = parse_place(header, &c->target, &c->lun);

    c->tag = ld64le(header + REQUEST_TAG);
    r->out = &e->out;
    r->in = &e->in;
    r->out_offset = header_size;
    r->in_offset = response_size(s);
    r->done = command_done;
    memset(r->cdb, 0, sizeof r->cdb);
    memcpy(r->cdb, header + REQUEST_CDB, MIN(s->cdb_size, sizeof r->cdb));
    if (!known || !scsi_bus_has_target(s->bus, c->target))
        command_refuse(c, CODE_BAD_TARGET);
    else if (e->out.size > r->out_offset && e->in.size > r->in_offset)
        command_refuse(c, CODE_FAILURE); /* both ways at once was not agreed on */
    else
        scsi_submit(s->bus, c->target, c->lun, r);
}

static bool serve_command(VirtioScsi *s, VirtElement *e)
{
    uint8_t header[REQUEST_CDB + CDB_SIZE_MAX];
    unsigned size = REQUEST_CDB + s->cdb_size;

    if (dma_to_buffer(&e->out, 0, header, size) < size || e->in.size < response_size(s))
        return false;
    command_begin(s, e, header, size);
    return true;
}

/* ---- task management ---- */

static bool task_concerns(const ScsiCommand *c, uint32_t function, unsigned target, unsigned lun, uint64_t tag)
{
    if (c->target != target)
        return false;
    if (function == TMF_NEXUS_RESET)
        return true;
    return c->lun == lun && ((function != TMF_ABORT_TASK && function != TMF_QUERY_TASK) || c->tag == tag);
}

/*
 * Whether a command that the function concerns is under way; with a task, they end by its code, and it waits for them.
 */
static bool task_collect(VirtioScsi *s, ScsiTask *t, uint32_t function, unsigned target, unsigned lun, uint64_t tag)
{
    bool any = false;
    for (GList *l = s->commands.head; l; l = l->next) {
        ScsiCommand *c = l->data;
        if (!task_concerns(c, function, target, lun, tag))
            continue;
        any = true;
        if (!t)
            continue;
        c->code = function == TMF_LUN_RESET || function == TMF_NEXUS_RESET ? CODE_RESET : CODE_ABORTED;
        c->tasks = g_slist_prepend(c->tasks, t);
        t->waiting++;
    }
    return any;
}

static void task_abort(VirtioScsi *s, VirtElement *e, uint32_t function, unsigned target, unsigned lun, uint64_t tag)
{
    ScsiTask *t = g_new0(ScsiTask, 1);

    *t = (ScsiTask){ .element = e, .waiting = 1, .code = CODE_OK };
    task_collect(s, t, function, target, lun, tag);
    if (function == TMF_LUN_RESET)
        scsi_bus_reset(s->bus, target, lun);
    else if (function == TMF_NEXUS_RESET)
        scsi_bus_reset(s->bus, target, UINT_MAX);
    task_step(t);
}

static void serve_task(VirtioScsi *s, VirtElement *e, const uint8_t *control)
{
    uint32_t function = ld32le(control + 4);
    uint64_t tag = ld64le(control + 16);
    unsigned target, lun;
    bool known = parse_place(control + 8, &target, &lun);
    uint8_t code = CODE_REJECTED;

    if (!known || !scsi_bus_has_target(s->bus, target)) {
        code = CODE_BAD_TARGET;
    } else if (function != TMF_NEXUS_RESET && !scsi_bus_has_lun(s->bus, target, lun)) {
        code = CODE_INCORRECT_LUN;
    } else if (function == TMF_QUERY_TASK || function == TMF_QUERY_TASK_SET) {
        code = task_collect(s, NULL, function, target, lun, tag) ? CODE_SUCCEEDED : CODE_OK;
    } else if (function <= TMF_LUN_RESET && function != TMF_CLEAR_ACA) {
        task_abort(s, e, function, target, lun, tag);
        return;
    }
    answer(e, &code, 1);
}

/* No asynchronous notifications of SAM are sent: none is subscribed to (5.6.6.2). */
static void serve_notification(VirtElement *e)
{
    uint8_t a[5] = { 0, 0, 0, 0, CODE_OK };
    answer(e, a, sizeof a);
}

static bool serve_control(VirtioScsi *s, VirtElement *e)
{
    uint8_t control[CONTROL_SIZE] = { 0 };
    unsigned n = dma_to_buffer(&e->out, 0, control, sizeof control);
    uint32_t type = ld32le(control);

    if (type == CONTROL_TMF && n == CONTROL_SIZE && e->in.size)
        serve_task(s, e, control);
    else if ((type == CONTROL_QUERY || type == CONTROL_SUBSCRIBE) && n >= NOTIFICATION_SIZE && e->in.size >= 5)
        serve_notification(e);
    else
        return false;
    return true;
}

/* ---- events ---- */

static void send_event(VirtioScsi *s, uint32_t event, unsigned target, unsigned lun, uint32_t reason)
{
    VirtQueue *q = &s->virtio.queue[QUEUE_EVENT];
    VirtElement *e = virtqueue_pop(q);
    uint8_t a[EVENT_SIZE] = { 0 };

    if (!e) {
        s->missed = true;
        return;
    }
    st32le(a, event | (s->missed ? EVENT_MISSED : 0));
    put_place(a + 4, target, lun);
    st32le(a + 12, reason);
    s->missed = false;
    answer(e, a, sizeof a);
}

static void device_event(void *opaque, unsigned target, unsigned lun, uint8_t asc, uint8_t ascq)
{
    VirtioScsi *s = opaque;
    if (virtio_running(&s->virtio) && virtio_has(&s->virtio, FEATURE_CHANGE))
        send_event(s, EVENT_PARAM_CHANGE, target, lun, asc | ascq << 8);
}

/* ---- the device ---- */

static void scsi_notify(VirtioDevice *v, VirtQueue *q)
{
    VirtioScsi *s = (VirtioScsi *)v;
    VirtElement *e;

    if (q->index == QUEUE_EVENT) {
        if (s->missed)
            send_event(s, EVENT_NONE, 0, 0, 0);
        return;
    }
    while ((e = virtqueue_pop(q))) {
        if (q->index == QUEUE_CONTROL ? serve_control(s, e) : serve_command(s, e))
            continue;
        virtqueue_forget(e);
        virtio_break(v, "queue %u: a request that is too short", q->index);
        return;
    }
}

static void scsi_config_read(VirtioDevice *v, uint8_t *c)
{
    const VirtioScsi *s = (VirtioScsi *)v;

    memset(c, 0, CONFIG_SIZE);
    st32le(c + CONFIG_QUEUES, s->queues);
    st32le(c + CONFIG_SEG_MAX, s->queue_size - 2);
    st32le(c + CONFIG_MAX_SECTORS, s->max_sectors);
    st32le(c + CONFIG_PER_LUN, s->per_lun);
    st32le(c + CONFIG_EVENT_SIZE, EVENT_SIZE);
    st32le(c + CONFIG_SENSE_SIZE, s->sense_size);
    st32le(c + CONFIG_CDB_SIZE, s->cdb_size);
    st16le(c + CONFIG_MAX_TARGET, SCSI_TARGETS_MAX - 1);
    st32le(c + CONFIG_MAX_LUN, SCSI_LUNS_MAX - 1);
}

static void scsi_config_write(VirtioDevice *v, const uint8_t *c, unsigned offset, unsigned size)
{
    VirtioScsi *s = (VirtioScsi *)v;
    uint32_t sense = ld32le(c + CONFIG_SENSE_SIZE), cdb = ld32le(c + CONFIG_CDB_SIZE);
    (void)offset, (void)size;

    if (sense > SENSE_SIZE_MAX || !cdb || cdb > CDB_SIZE_MAX) {
        log_guest_error("%s: sense data of %u bytes, CDBs of %u", v->pci.dev.id, sense, cdb);
        return;
    }
    s->sense_size = sense;
    s->cdb_size = cdb;
}

static void scsi_driver_reset(VirtioDevice *v)
{
    VirtioScsi *s = (VirtioScsi *)v;
    scsi_bus_reset(s->bus, UINT_MAX, UINT_MAX);
    s->missed = false;
    s->sense_size = SENSE_SIZE_DEFAULT;
    s->cdb_size = CDB_SIZE_DEFAULT;
}

static void scsi_drain(VirtioDevice *v) { scsi_bus_drain(((VirtioScsi *)v)->bus); }

static const VirtioType scsi_virtio = {
    .id = VIRTIO_ID_SCSI, .class_code = 0x010000, .config_size = CONFIG_SIZE,
    .features = BIT(FEATURE_HOTPLUG) | BIT(FEATURE_CHANGE), .config_read = scsi_config_read,
    .config_write = scsi_config_write, .notify = scsi_notify, .reset = scsi_driver_reset, .drain = scsi_drain,
};

/* ---- life ---- */

static gboolean check(VirtioScsi *s, GError **err)
{
    const char *id = s->virtio.pci.dev.id;

    if (s->queues == QUEUES_AUTO)
        s->queues = CLAMP(s->virtio.pci.dev.machine->cpu_count, 1, VIRTIO_QUEUES_MAX - QUEUE_COMMANDS);
    if (!s->queues || s->queues > VIRTIO_QUEUES_MAX - QUEUE_COMMANDS)
        return error_set(err, "device '%s': num_queues is 1 to %u, not %u", id, VIRTIO_QUEUES_MAX - QUEUE_COMMANDS,
                         s->queues);
    if (!is_power_of_2(s->queue_size) || s->queue_size < 4 || s->queue_size > VIRTIO_QUEUE_SIZE_MAX)
        return error_set(err, "device '%s': virtqueue_size is a power of 2 from 4 to %u, not %u", id,
                         VIRTIO_QUEUE_SIZE_MAX, s->queue_size);
    return TRUE;
}

static gboolean scsi_create(Device *dev, GError **err)
{
    VirtioScsi *s = (VirtioScsi *)dev;

    if (!check(s, err) || !virtio_init(&s->virtio, &scsi_virtio, QUEUE_COMMANDS + s->queues, s->queue_size, err))
        return FALSE;
    g_queue_init(&s->commands);
    g_queue_init(&s->spare);
    s->bus = scsi_bus_new(dev, device_event, s);
    return TRUE;
}

static void scsi_reset(Device *dev) { virtio_reset((VirtioDevice *)dev); }

static void scsi_destroy(Device *dev)
{
    VirtioScsi *s = (VirtioScsi *)dev;
    GList *link;

    scsi_bus_drain(s->bus);
    scsi_bus_free(s->bus);
    virtio_exit(&s->virtio);
    while ((link = g_queue_pop_head_link(&s->spare))) {
        scsi_request_clear(link->data);
        g_free(link->data);
    }
}

static void scsi_pre_save(Device *dev) { virtio_pre_save((VirtioDevice *)dev); }

static gboolean scsi_post_load(Device *dev, GError **err)
{
    VirtioScsi *s = (VirtioScsi *)dev;

    if (s->sense_size > SENSE_SIZE_MAX || !s->cdb_size || s->cdb_size > CDB_SIZE_MAX)
        return error_set(err, "%s: sizes of sense data and commands in the saved state cannot be", dev->id);
    return virtio_post_load(&s->virtio, err);
}

static const Property scsi_properties[] = {
    VIRTIO_PROPERTIES(VirtioScsi),
    PROPERTY(VirtioScsi, queues, "num_queues", PROP_U32, QUEUES_AUTO, "command queues; otherwise one for each CPU"),
    PROPERTY(VirtioScsi, queue_size, "virtqueue_size", PROP_U32, 256, "requests in a queue, a power of 2"),
    PROPERTY(VirtioScsi, max_sectors, "max_sectors", PROP_U32, 0xffff, "sectors of a command"),
    PROPERTY(VirtioScsi, per_lun, "cmd_per_lun", PROP_U32, 128, "commands of a logical unit at once"),
    PROPERTY_END
};

static const StateField scsi_state[] = {
    STATE_STRUCT(VirtioScsi, virtio, virtio_state), STATE_U32(VirtioScsi, sense_size), STATE_U32(VirtioScsi, cdb_size),
    STATE_BOOL(VirtioScsi, missed), STATE_END
};

const DeviceType virtio_scsi_type = {
    .name = "virtio-scsi-pci", .description = "virtio SCSI adapter", .bus = "pci", .size = sizeof(VirtioScsi),
    .user = true,
    .properties = scsi_properties, .create = scsi_create, .reset = scsi_reset, .destroy = scsi_destroy,
    .state = scsi_state, .pre_save = scsi_pre_save, .post_load = scsi_post_load,
};
