/* Commands of the admin queue: queues, features, abort (NVM Express 1.4, chapter 5). */
#include <string.h>

#include "core/log.h"
#include "hw/block/nvme_internal.h"
#include "util/bits.h"

enum {
    ADMIN_DELETE_SQ = 0x00, ADMIN_CREATE_SQ = 0x01, ADMIN_LOG_PAGE = 0x02, ADMIN_DELETE_CQ = 0x04,
    ADMIN_CREATE_CQ = 0x05, ADMIN_IDENTIFY = 0x06, ADMIN_ABORT = 0x08, ADMIN_SET_FEATURES = 0x09,
    ADMIN_GET_FEATURES = 0x0a, ADMIN_EVENT_REQUEST = 0x0c,
};

enum { QUEUE_CONTIGUOUS = 1, CQ_INTERRUPTS = 2 };

/* ---- queues (sections 5.3 to 5.6) ---- */

static unsigned queue_id(const NvmeRequest *r) { return nvme_dword(r, 10) & 0xffff; }
static unsigned queue_entries(const NvmeRequest *r) { return (nvme_dword(r, 10) >> 16) + 1; }

/* What creating either kind of queue asks for; `taken`: there is one of this number. */
static uint16_t check_queue(const NvmeRequest *r, bool taken)
{
    const Nvme *s = r->controller;
    uint64_t base = nvme_qword(r, 6);

    if (!queue_id(r) || queue_id(r) > s->queue_pairs || taken)
        return NVME_BAD_QUEUE_ID;
    if (s->configuration >> 16 != 0x46) /* entries are of 2^6 and 2^4 bytes (section 3.1.5) */
        return NVME_BAD_QUEUE_SIZE;
    if (queue_entries(r) < 2 || queue_entries(r) > NVME_MAX_ENTRIES)
        return NVME_BAD_QUEUE_SIZE;
    if (!(nvme_dword(r, 11) & QUEUE_CONTIGUOUS))
        return NVME_BAD_FIELD;
    return base % nvme_page(s) ? NVME_BAD_PRP : NVME_OK;
}

static bool cq_exists(const Nvme *s, unsigned n) { return n <= s->queue_pairs && s->cq[n].entries; }
static bool sq_exists(const Nvme *s, unsigned n) { return n <= s->queue_pairs && s->sq[n].entries; }

static uint16_t run_create_cq(NvmeRequest *r, uint32_t *result)
{
    Nvme *s = r->controller;
    unsigned n = queue_id(r), vector = nvme_dword(r, 11) >> 16;
    uint16_t status = check_queue(r, cq_exists(s, n));
    (void)result;

    if (status)
        return status;
    if (vector > s->queue_pairs || (vector && !msix_enabled(&s->msix)))
        return NVME_BAD_VECTOR;
    s->cq[n] = (NvmeCq) { .base = nvme_qword(r, 6), .entries = queue_entries(r), .vector = vector, .phase = true,
                          .interrupts = nvme_dword(r, 11) & CQ_INTERRUPTS };
    return NVME_OK;
}

static uint16_t run_create_sq(NvmeRequest *r, uint32_t *result)
{
    Nvme *s = r->controller;
    unsigned n = queue_id(r), cq = nvme_dword(r, 11) >> 16;
    uint16_t status = check_queue(r, sq_exists(s, n));
    (void)result;

    if (!cq || !cq_exists(s, cq))
        return NVME_BAD_COMPLETION_QUEUE;
    if (status)
        return status;
    s->sq[n] = (NvmeSq) { .base = nvme_qword(r, 6), .entries = queue_entries(r), .cq = cq };
    s->cq[cq].users++;
    return NVME_OK;
}

void nvme_sq_delete(Nvme *s, unsigned n)
{
    s->cq[s->sq[n].cq].users--;
    s->sq[n] = (NvmeSq) { 0 };
}

/* Transfers cannot be called back: the queue goes when its last one is done. */
static uint16_t run_delete_sq(NvmeRequest *r, uint32_t *result)
{
    Nvme *s = r->controller;
    unsigned n = queue_id(r);
    (void)result;

    if (!n || !sq_exists(s, n) || s->sq[n].deleting)
        return NVME_BAD_QUEUE_ID;
    if (!s->sq[n].in_flight) {
        nvme_sq_delete(s, n);
        return NVME_OK;
    }
    s->sq[n].deleting = r;
    return NVME_PENDING;
}

static uint16_t run_delete_cq(NvmeRequest *r, uint32_t *result)
{
    Nvme *s = r->controller;
    unsigned n = queue_id(r);
    (void)result;

    if (!n || !cq_exists(s, n))
        return NVME_BAD_QUEUE_ID;
    if (s->cq[n].users)
        return NVME_BAD_QUEUE_DELETION;
    s->cq[n] = (NvmeCq) { 0 };
    nvme_update_irq(s);
    return NVME_OK;
}

/* ---- features (sections 5.14 and 5.21) ---- */

enum { SELECT_CURRENT, SELECT_DEFAULT, SELECT_SAVED, SELECT_CAPABILITIES };
enum { TEMPERATURE_UNDER = 1 << 20, CHANGEABLE = 4, NOTICE_NAMESPACE = 0x100 };
#define FEATURE_SAVE BIT(31)
#define EVENTS_KNOWN UINT32_C(0x1ff) /* critical warnings, namespace attributes */

/* Bits of each feature that the guest sets; the number of queues and vectors are looked after on their own. */
static const uint32_t settable[NVME_FEATURES] = {
    [FEATURE_ARBITRATION] = 0xffffff07, [FEATURE_POWER] = 0, [FEATURE_TEMPERATURE] = 0xffff,
    [FEATURE_RECOVERY] = 0xffff, [FEATURE_CACHE] = 1,
    [FEATURE_QUEUES] = 0, [FEATURE_COALESCING] = 0xffff, [FEATURE_VECTOR] = 0,
    [FEATURE_ATOMICITY] = 1, [FEATURE_EVENTS] = EVENTS_KNOWN,
};

static uint32_t feature_default(const Nvme *s, unsigned n)
{
    switch (n) {
    case FEATURE_ARBITRATION: return 7; /* no limit of a burst */
    case FEATURE_TEMPERATURE: return NVME_TEMPERATURE_WARNING;
    case FEATURE_CACHE: return 1;
    case FEATURE_QUEUES: return (s->queue_pairs - 1) | (s->queue_pairs - 1) << 16;
    default: return 0;
    }
}

void nvme_features_reset(Nvme *s)
{
    for (unsigned n = 0; n < NVME_FEATURES; n++)
        s->feature[n] = feature_default(s, n);
    s->feature[FEATURE_CACHE] = block_write_cache(s->block);
}

static unsigned feature_number(const NvmeRequest *r) { return nvme_dword(r, 10) & 0xff; }

static bool feature_exists(unsigned n)
{
    return n && n != 3 && n < NVME_FEATURES; /* 3: LBA ranges */
}

/* The temperature that was meant: the composite one, and whether it is over or under. */
static uint16_t set_temperature(Nvme *s, uint32_t v)
{
    if (v >> 16 & 15) /* other sensors */
        return NVME_BAD_FIELD;
    if (v & TEMPERATURE_UNDER)
        return NVME_OK; /* never too cold */
    s->feature[FEATURE_TEMPERATURE] = v & settable[FEATURE_TEMPERATURE];
    if ((v & 0xffff) <= NVME_TEMPERATURE && s->feature[FEATURE_EVENTS] & 2)
        nvme_event(s, EVENT_HEALTH, 1, LOG_HEALTH);
    return NVME_OK;
}

static bool has_io_queues(const Nvme *s)
{
    for (unsigned n = 1; n <= s->queue_pairs; n++)
        if (s->cq[n].entries || s->sq[n].entries)
            return true;
    return false;
}

/* All queues there are may be used, whatever number is asked for. */
static uint16_t set_queues(const Nvme *s, uint32_t v, uint32_t *result)
{
    if (has_io_queues(s))
        return NVME_SEQUENCE_ERROR;
    if ((v & 0xffff) == 0xffff || v >> 16 == 0xffff)
        return NVME_BAD_FIELD;
    *result = s->feature[FEATURE_QUEUES];
    return NVME_OK;
}

static void set_cache(Nvme *s, bool on)
{
    s->feature[FEATURE_CACHE] = on;
    block_set_write_cache(s->block, on);
}

static void cache_flushed(void *opaque, int error)
{
    nvme_finish(opaque, error ? NVME_WRITE_FAULT : NVME_OK, 0);
}

/* What the cache holds when it is turned off goes to stable storage. */
static uint16_t run_set_cache(NvmeRequest *r)
{
    bool on = nvme_dword(r, 11) & 1;

    set_cache(r->controller, on);
    if (on)
        return NVME_OK;
    block_flush(r->controller->block, cache_flushed, r);
    return NVME_PENDING;
}

static uint16_t run_set_features(NvmeRequest *r, uint32_t *result)
{
    Nvme *s = r->controller;
    unsigned n = feature_number(r);
    uint32_t v = nvme_dword(r, 11);

    if (!feature_exists(n))
        return NVME_BAD_FIELD;
    if (nvme_dword(r, 10) & FEATURE_SAVE)
        return NVME_NOT_SAVEABLE;
    switch (n) {
    case FEATURE_POWER: return v & 0x1f ? NVME_BAD_FIELD : NVME_OK; /* there is one power state */
    case FEATURE_TEMPERATURE: return set_temperature(s, v);
    case FEATURE_CACHE: return run_set_cache(r);
    case FEATURE_QUEUES: return set_queues(s, v, result);
    case FEATURE_VECTOR: return (v & 0xffff) > s->queue_pairs ? NVME_BAD_FIELD : NVME_OK;
    default: s->feature[n] = v & settable[n]; return NVME_OK;
    }
}

static uint32_t feature_now(const Nvme *s, const NvmeRequest *r, unsigned n)
{
    uint32_t argument = nvme_dword(r, 11);

    if (n == FEATURE_TEMPERATURE && argument & TEMPERATURE_UNDER)
        return 0;
    return n == FEATURE_VECTOR ? argument & 0xffff : s->feature[n];
}

static uint16_t run_get_features(NvmeRequest *r, uint32_t *result)
{
    Nvme *s = r->controller;
    unsigned n = feature_number(r);

    if (!feature_exists(n) || (n == FEATURE_VECTOR && (nvme_dword(r, 11) & 0xffff) > s->queue_pairs))
        return NVME_BAD_FIELD;
    switch (nvme_dword(r, 10) >> 8 & 7) {
    case SELECT_CURRENT: *result = feature_now(s, r, n); return NVME_OK;
    case SELECT_DEFAULT: case SELECT_SAVED: *result = feature_default(s, n); return NVME_OK;
    case SELECT_CAPABILITIES: *result = settable[n] || n == FEATURE_QUEUES ? CHANGEABLE : 0; return NVME_OK;
    default: return NVME_BAD_FIELD;
    }
}

/* ---- the rest ---- */

/* A transfer cannot be called back: only what waits for an event is aborted; bit 0 says that nothing was. */
static uint16_t run_abort(NvmeRequest *r, uint32_t *result)
{
    unsigned sq = nvme_dword(r, 10) & 0xffff, id = nvme_dword(r, 10) >> 16;

    *result = !(sq == 0 && nvme_event_abort(r->controller, id));
    return NVME_OK;
}

static uint16_t run_event_request(NvmeRequest *r, uint32_t *result) { (void)result; return nvme_event_request(r); }
static uint16_t run_identify(NvmeRequest *r, uint32_t *result) { (void)result; return nvme_identify(r); }
static uint16_t run_log_page(NvmeRequest *r, uint32_t *result) { (void)result; return nvme_log_page(r); }

typedef uint16_t AdminCommand(NvmeRequest *r, uint32_t *result);

static AdminCommand *const commands[] = {
    [ADMIN_DELETE_SQ] = run_delete_sq,
    [ADMIN_CREATE_SQ] = run_create_sq,
    [ADMIN_LOG_PAGE] = run_log_page,
    [ADMIN_DELETE_CQ] = run_delete_cq,
    [ADMIN_CREATE_CQ] = run_create_cq,
    [ADMIN_IDENTIFY] = run_identify,
    [ADMIN_ABORT] = run_abort,
    [ADMIN_SET_FEATURES] = run_set_features,
    [ADMIN_GET_FEATURES] = run_get_features,
    [ADMIN_EVENT_REQUEST] = run_event_request,
};

uint16_t nvme_admin(NvmeRequest *r, uint32_t *result)
{
    unsigned opcode = r->command[0];

    if (opcode < ARRAY_SIZE(commands) && commands[opcode])
        return commands[opcode](r, result);
    log_printf(LOG_UNIMP, "nvme: no admin command %02x\n", opcode);
    return NVME_BAD_OPCODE;
}
