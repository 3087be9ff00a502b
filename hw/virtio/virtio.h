/*
 * Virtio (OASIS Virtual I/O Device 1.2): what all its devices share.  virtio.c has features, status and configuration,
 * virtio_queue.c split and packed rings, virtio_pci.c the transport over PCI, modern and transitional.
 *
 * A device type embeds a VirtioDevice as its first member, which is a PciDevice, and calls virtio_init() in
 * create().  It then only sees requests: its `notify` takes elements off a queue by virtqueue_pop(), does what they
 * say, and gives them back by virtqueue_push() and virtqueue_flush(), at any later time and in any order.
 *
 * A driver that breaks the rules (a loop of descriptors, an index that runs away) makes the device need a reset
 * (2.1.1): it takes nothing off its queues any more until the driver resets it; log_guest_error() says why.
 *
 * Rings lie in RAM, and are reached by host pointers that are looked up once for each memory map.  Buffers may lie
 * anywhere; while one that is not RAM is written, the device does not hear its own registers, so that no driver can
 * have it call itself.
 *
 * No element is on the way while the machine is saved: a device either lets its requests end (VirtioType.drain), or
 * takes an element off its queue only when it can answer it.  After a restore each queue's `notify` is called.
 *
 * Under the machine lock.
 */
#ifndef MYNA_HW_VIRTIO_H
#define MYNA_HW_VIRTIO_H

#include "core/clock.h"
#include "core/dma.h"
#include "core/idle.h"
#include "hw/pci/pci_msi.h"

enum { VIRTIO_QUEUES_MAX = 64, VIRTIO_QUEUE_SIZE_MAX = 1024 };

/* Device identities (virtio 1.2, 5). */
enum {
    VIRTIO_ID_NET = 1, VIRTIO_ID_BLOCK = 2, VIRTIO_ID_CONSOLE = 3, VIRTIO_ID_RNG = 4, VIRTIO_ID_BALLOON = 5,
    VIRTIO_ID_SCSI = 8, VIRTIO_ID_9P = 9, VIRTIO_ID_GPU = 16, VIRTIO_ID_INPUT = 18
};
/* Feature bits of the transport and the rings (6), which virtio.c offers and serves by itself. */
enum {
    VIRTIO_F_ANY_LAYOUT = 27, VIRTIO_F_INDIRECT_DESC = 28, VIRTIO_F_EVENT_IDX = 29, VIRTIO_F_VERSION_1 = 32,
    VIRTIO_F_RING_PACKED = 34, VIRTIO_F_NOTIFICATION_DATA = 38, VIRTIO_F_RING_RESET = 40
};

typedef struct VirtioDevice VirtioDevice;
typedef struct VirtQueue VirtQueue;

/* A request: what the driver wrote for the device, and the room for the answer. */
typedef struct VirtElement {
    VirtQueue *queue;
    DmaList out, in;          /* device-readable, device-writable */
    /* private to virtio_queue.c */
    uint16_t id, descriptors; /* how the ring knows it, and how many places of it it takes */
    uint16_t pieces;          /* descriptors that have been followed */
    uint32_t epoch;           /* the queue's, when it was popped */
    struct VirtElement *next; /* spare ones */
} VirtElement;

typedef struct VirtioType {
    uint16_t id;              /* VIRTIO_ID_* */
    uint32_t class_code;      /* PCI's */
    unsigned config_size;     /* of the device's configuration space (bytes, little-endian) */
    uint64_t features;        /* offered beside those above */
    /* Fills `config` before the driver reads it. */
    void (*config_read)(VirtioDevice *v, uint8_t *config);
    /* The driver wrote `config` at [offset, offset + size); NULL: it is read-only. */
    void (*config_write)(VirtioDevice *v, const uint8_t *config, unsigned offset, unsigned size);
    /*
     * There may be something in the queue.  An endless supply does not keep the device here: after some rounds of the
     * ring virtqueue_pop() finds nothing, and this is called again soon.
     */
    void (*notify)(VirtioDevice *v, VirtQueue *q);
    /* Features are agreed, or the status changed (DRIVER_OK, ...); may be NULL. */
    void (*status_changed)(VirtioDevice *v, uint8_t status);
    /*
     * The driver reset the device.  Also part of a machine reset.  Elements may still be on the way: they are pushed
     * or forgotten some time as ever, and the driver learns that the device is reset when none is (2.4.2).
     */
    void (*reset)(VirtioDevice *v);
    /*
     * Waits until no element is on the way: for legacy drivers, who would not, for a machine reset, and a save.  NULL:
     * after reset() there is none.
     */
    void (*drain)(VirtioDevice *v);
    /* The same for one queue (2.6.1); NULL: VIRTIO_F_RING_RESET is not offered. */
    void (*queue_reset)(VirtioDevice *v, VirtQueue *q);
} VirtioType;

/* A part of a ring in host memory. */
typedef struct VirtRing {
    uint8_t *host;
    uint64_t pool_offset;
} VirtRing;

struct VirtQueue {
    VirtioDevice *device;
    uint16_t index;
    uint16_t size, size_max;  /* elements of the ring: what the driver chose, and may choose */
    bool enabled;
    uint64_t desc, avail, used; /* GPA of the rings' parts (packed: ring, driver events, device events) */
    uint16_t vector;          /* MSI-X, 0xffff: none */
    uint16_t next_avail, next_used; /* split: free-running; packed: places */
    bool avail_wrap, used_wrap;     /* packed */
    bool notify_off;          /* by virtqueue_set_notify() */
    uint16_t in_flight;       /* elements popped and not yet pushed */
    /* private to virtio_queue.c */
    uint16_t pushed;          /* places pushed since the last flush */
    uint16_t first_place, first_flags; /* packed: of the first of them, which is shown last */
    bool armed;               /* the driver has been told to notify about the next element */
    bool mapped;              /* the three below are those of the present memory map */
    VirtRing desc_ring, avail_ring, used_ring;
    uint32_t epoch;           /* counts resets: elements of earlier ones are forgotten */
    VirtElement *spare;
    bool kick_pending;        /* `notify` is to be called by the device itself */
    bool flush_pending;
    bool interrupt_wanted;    /* for what the driver may see already */
};

struct VirtioDevice {
    PciDevice pci;
    Msix msix;
    const VirtioType *type;
    /* properties, by VIRTIO_PROPERTIES */
    bool disable_modern, disable_legacy, packed, event_idx, indirect_desc;
    uint32_t vectors;
    /* state, by VIRTIO_STATE */
    uint64_t features_offered; /* create() may change it after virtio_init(); not saved */
    uint64_t features;        /* agreed */
    uint8_t status, isr, generation;
    uint16_t config_vector;
    uint32_t feature_select, driver_feature_select, queue_select;
    bool broken;              /* needs a reset */
    bool started;             /* notified by a legacy driver before its DRIVER_OK, as old ones do */
    unsigned queue_count;
    VirtQueue queue[VIRTIO_QUEUES_MAX];
    /* private to virtio*.c */
    struct VirtioPci *transport;
    Timer *kick;              /* calls `notify` of queues with kick_pending */
    GSource *flusher;         /* flushes queues with flush_pending */
    IdleTask idle;            /* does, or else `hold`, what flusher would */
    Timer *hold;
    unsigned held;            /* elements that were pushed since */
    unsigned impatient;       /* flushes that are not to be held back */
    unsigned in_flight;       /* of all queues */
    bool resetting;           /* the driver wrote status 0, and elements are still on the way */
    unsigned turns;           /* elements that may yet be popped within this `notify` */
    bool in_notify;
    bool deaf;                /* it writes to memory by itself: not to be heard if that is its registers */
};

/*
 * For create(), after properties are set: the PCI identity, BARs and capabilities.  queues: their number; size: how
 * long a driver may make each (a power of 2, at most VIRTIO_QUEUE_SIZE_MAX).
 */
gboolean virtio_init(VirtioDevice *v, const VirtioType *type, unsigned queues, unsigned size, GError **err);
void virtio_exit(VirtioDevice *v);          /* for destroy() */
void virtio_reset(VirtioDevice *v);         /* for reset() */
void virtio_pre_save(VirtioDevice *v);      /* for pre_save(): drains, flushes */
gboolean virtio_post_load(VirtioDevice *v, GError **err); /* for post_load(): checks what was loaded */

static inline bool virtio_has(const VirtioDevice *v, unsigned feature) { return v->features >> feature & 1; }
static inline bool virtio_running(const VirtioDevice *v) 
{
    return ((v->status & 4) || v->started) && !v->broken && !v->resetting;
}

/*
 * Takes the next element off a queue; NULL when there is none (or the device is not running, or is broken).  The
 * driver need not notify about more before this, or virtqueue_has_element(), has found nothing.
 */
VirtElement *virtqueue_pop(VirtQueue *q);
/*
 * Gives it back, with the number of bytes written to `in`, which are marked (dma_written()); frees it.  Not seen yet.
 */
void virtqueue_push(VirtQueue *q, VirtElement *e, uint32_t written);
/* Lets the driver see what was pushed, and interrupts it if it wants to know. */
void virtqueue_flush(VirtQueue *q);
/*
 * The same a little later, once for all that ends together: when a CPU of the guest would sleep (core/idle.h), or when the
 * main loop has dealt with what it is dealing with.
 */
void virtqueue_flush_soon(VirtQueue *q);
/* Puts the element that was popped last back, as if it had not been taken. */
void virtqueue_unpop(VirtQueue *q, VirtElement *e);
/* Frees one without an answer: the device was reset meanwhile. */
void virtqueue_forget(VirtElement *e);
/* Whether there is one to pop. */
bool virtqueue_has_element(VirtQueue *q);
/* Whether the driver should tell about new elements; off while the device looks by itself. */
void virtqueue_set_notify(VirtQueue *q, bool on);
/* Has `notify` called soon, in the main loop: for a device that leaves elements where they are. */
void virtio_kick(VirtQueue *q);
/* The driver broke the rules: the device needs a reset. */
void virtio_break(VirtioDevice *v, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* The configuration space has changed by the device. */
void virtio_config_changed(VirtioDevice *v);

/* PCI's part and MSI-X included: STATE_STRUCT(T, virtio, virtio_state). */
extern const StateField virtio_state[];

#define VIRTIO_PROPERTIES(T)                                                                                           \
    { .name = "addr", .type = PROP_U32, .offset = offsetof(T, virtio.pci.devfn), .initial = UINT32_MAX,                \
      .help = "slot and function as slot << 3 | function" },                                                           \
    { .name = "packed", .type = PROP_BOOL, .offset = offsetof(T, virtio.packed), .initial = 0,                         \
      .help = "offer packed rings" },                                                                                  \
    { .name = "event_idx", .type = PROP_BOOL, .offset = offsetof(T, virtio.event_idx), .initial = 1,                   \
      .help = "offer to say by index when to notify" },                                                                \
    { .name = "indirect_desc", .type = PROP_BOOL, .offset = offsetof(T, virtio.indirect_desc), .initial = 1,           \
      .help = "offer tables of descriptors" },                                                                         \
    { .name = "disable-modern", .type = PROP_BOOL, .offset = offsetof(T, virtio.disable_modern), .initial = 0,         \
      .help = "only the interface before virtio 1.0" },                                                                \
    { .name = "disable-legacy", .type = PROP_BOOL, .offset = offsetof(T, virtio.disable_legacy), .initial = 0,         \
      .help = "only the interface of virtio 1.0 and later" },                                                          \
    { .name = "vectors", .type = PROP_U32, .offset = offsetof(T, virtio.vectors), .initial = UINT32_MAX,            \
      .help = "MSI-X vectors; 0: none; otherwise one for each queue and one more" }

#endif
