/* What the files of the NVMe controller share (nvme.h). */
#ifndef MYNA_HW_BLOCK_NVME_INTERNAL_H
#define MYNA_HW_BLOCK_NVME_INTERNAL_H

#include "backends/block/block.h"
#include "core/dma.h"
#include "hw/pci/pci_msi.h"
#include "util/endian.h"

enum {
    NVME_QUEUES = MSIX_VECTORS_MAX, /* pairs, the admin queue's included: an interrupt for each */
    NVME_MAX_ENTRIES = 2048, NVME_REQUESTS = 256, NVME_EVENTS = 4, NVME_MAX_TRANSFER = 512 * 1024,
    NVME_COMMAND = 64, NVME_COMPLETION = 16, NVME_MAX_RANGES = 256, NVME_RANGE = 16,
};

/* Status: code in bits 7:0, type in 10:8, "do not retry" in 14 (section 4.6.1). */
enum {
    NVME_OK = 0, NVME_BAD_OPCODE = 0x4001, NVME_BAD_FIELD = 0x4002, NVME_ABORTED = 0x0007,
    NVME_BAD_NAMESPACE = 0x400b, NVME_SEQUENCE_ERROR = 0x400c,
    NVME_BAD_PRP = 0x4013, NVME_OUT_OF_RANGE = 0x4080, NVME_CAPACITY = 0x4081,
    NVME_BAD_COMPLETION_QUEUE = 0x4100, NVME_BAD_QUEUE_ID = 0x4101, NVME_BAD_QUEUE_SIZE = 0x4102,
    NVME_TOO_MANY_EVENTS = 0x4105, NVME_BAD_VECTOR = 0x4108, NVME_BAD_LOG_PAGE = 0x4109,
    NVME_BAD_QUEUE_DELETION = 0x410c, NVME_NOT_SAVEABLE = 0x410d,
    NVME_READ_ONLY = 0x4182, NVME_WRITE_FAULT = 0x0280, NVME_READ_ERROR = 0x0281,
    NVME_PENDING = 0xffff,      /* no status: the command ends later, by nvme_finish() */
    NVME_KEPT = 0xfffe,         /* the same without a request, by nvme_post() */
};

/* Features that are kept as a doubleword, by number (section 5.21.1). */
enum {
    FEATURE_ARBITRATION = 1, FEATURE_POWER = 2, FEATURE_TEMPERATURE = 4, FEATURE_RECOVERY = 5, FEATURE_CACHE = 6,
    FEATURE_QUEUES = 7, FEATURE_COALESCING = 8, FEATURE_VECTOR = 9, FEATURE_ATOMICITY = 10, FEATURE_EVENTS = 11,
    NVME_FEATURES = 12,
};

/* Asynchronous events: type in bits 2:0, information in 15:8, log page in 23:16 (section 5.2). */
enum { EVENT_ERROR = 0, EVENT_HEALTH = 1, EVENT_NOTICE = 2, EVENT_TYPES = 3 };
enum { LOG_ERRORS = 1, LOG_HEALTH = 2, LOG_FIRMWARE = 3, LOG_NAMESPACES = 4 };

enum { NVME_TEMPERATURE = 313, NVME_TEMPERATURE_WARNING = 343, NVME_TEMPERATURE_CRITICAL = 373 /* K */ };

typedef struct Nvme Nvme;

typedef struct NvmeSq {
    uint64_t base;
    uint32_t entries;           /* 0: there is no such queue */
    uint16_t head, tail, cq;
    uint32_t in_flight;
    struct NvmeRequest *deleting; /* DELETE I/O SUBMISSION QUEUE, which waits for the others; or NULL */
} NvmeSq;

typedef struct NvmeCq {
    uint64_t base;
    uint32_t entries;
    uint16_t head, tail, vector;
    bool phase, interrupts;
    uint32_t users;             /* submission queues */
    uint32_t in_flight;         /* completions that will be posted */
} NvmeCq;

typedef struct NvmeRequest {
    Nvme *controller;
    struct NvmeRequest *next;   /* free one */
    uint16_t sq;
    uint8_t command[NVME_COMMAND];
    DmaList dma;
    uint8_t *ranges;            /* of DATASET MANAGEMENT, or NULL */
    unsigned range, range_count;
} NvmeRequest;

typedef struct NvmeCounters {
    uint64_t blocks_read, blocks_written; /* of 512 bytes */
    uint64_t reads, writes;               /* commands */
} NvmeCounters;

struct Nvme {
    PciDevice pci;
    Region *registers;
    Msix msix;

    /* Properties. */
    BlockBackend *block;
    char *serial;
    uint32_t queue_pairs;       /* for I/O */
    uint32_t block_bytes;       /* of a logical block */
    bool cache_at_start;        /* the drive's write cache, as the user has it */

    /* Registers (section 3.1). */
    uint32_t mask, configuration, status, admin_sizes;
    uint64_t admin_sq, admin_cq;

    NvmeSq sq[NVME_QUEUES];
    NvmeCq cq[NVME_QUEUES];
    uint32_t next_queue;        /* whose turn it is */
    uint32_t feature[NVME_FEATURES];

    /* ASYNCHRONOUS EVENT REQUESTs that wait, and events that do. */
    uint16_t event_request[NVME_EVENTS];
    uint32_t event_requests;
    uint32_t event[NVME_EVENTS];
    uint32_t events;
    bool event_masked[EVENT_TYPES];
    bool namespace_changed;     /* and LOG_NAMESPACES was not read since */
    NvmeCounters counters;

    /* Nothing of the rest is saved: no command is under way then. */
    NvmeRequest *requests, *free_request;
    uint32_t in_flight;
    bool stopping;              /* a reset by the guest waits for transfers */
    bool busy;                  /* fetching or completing: registers hear nothing */
};

/* The fields of a command (section 4.2). */
static inline uint32_t nvme_dword(const NvmeRequest *r, unsigned n)
{
    return ld32le(r->command + 4 * n);
}

static inline uint64_t nvme_qword(const NvmeRequest *r, unsigned n)
{
    return ld64le(r->command + 4 * n);
}

static inline uint16_t nvme_id(const NvmeRequest *r) { return ld16le(r->command + 2); }
static inline uint32_t nvme_namespace(const NvmeRequest *r) { return nvme_dword(r, 1); }
static inline bool nvme_ready(const Nvme *s) { return s->status & 1; }
static inline uint64_t nvme_page(const Nvme *s) { return UINT64_C(4096) << (s->configuration >> 7 & 15); }
static inline uint64_t nvme_blocks(const Nvme *s) { return block_size(s->block) / s->block_bytes; }

/* ---- nvme.c: the last request of a controller that is being stopped is done ---- */
void nvme_stopped(Nvme *s);

/* ---- nvme_queue.c ---- */
void nvme_run(Nvme *s);                 /* fetches what can be fetched */
void nvme_post(Nvme *s, unsigned sq, uint16_t id, uint16_t status, uint32_t result);
bool nvme_has_room(const NvmeCq *q);
void nvme_update_irq(Nvme *s);
void nvme_finish(NvmeRequest *r, uint16_t status, uint32_t result); /* of one that was NVME_PENDING */

/* ---- nvme_prp.c ---- */
/* Collects size bytes (at most NVME_MAX_TRANSFER) of the command's memory in r->dma; a status. */
uint16_t nvme_map(NvmeRequest *r, uint64_t size, bool to_memory);
/* Answers with size bytes. */
uint16_t nvme_reply(NvmeRequest *r, const void *data, uint64_t size);

/* ---- commands: a status, and *result ---- */
uint16_t nvme_io(NvmeRequest *r);
uint16_t nvme_admin(NvmeRequest *r, uint32_t *result);
uint16_t nvme_identify(NvmeRequest *r);
uint16_t nvme_log_page(NvmeRequest *r);

/* ---- nvme_admin.c ---- */
void nvme_features_reset(Nvme *s);
void nvme_sq_delete(Nvme *s, unsigned n);

/* ---- nvme_event.c ---- */
uint16_t nvme_event_request(NvmeRequest *r);
void nvme_event(Nvme *s, unsigned type, unsigned information, unsigned page);
void nvme_event_seen(Nvme *s, unsigned type);  /* its log page was read: the next may be told */
bool nvme_event_abort(Nvme *s, uint16_t id);
void nvme_events_send(Nvme *s);

#endif
