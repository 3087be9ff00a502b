/* What virtio.c, virtio_queue.c (with virtio_split.c and virtio_packed.c) and virtio_pci.c are to each other. */
#ifndef MYNA_HW_VIRTIO_PRIVATE_H
#define MYNA_HW_VIRTIO_PRIVATE_H

#include "hw/virtio/virtio.h"

enum {
    STATUS_ACKNOWLEDGE = 1, STATUS_DRIVER = 2, STATUS_DRIVER_OK = 4, STATUS_FEATURES_OK = 8, STATUS_NEEDS_RESET = 0x40,
    STATUS_FAILED = 0x80
};
enum { ISR_QUEUE = 1, ISR_CONFIG = 2 };
enum { NO_VECTOR = 0xffff };

/* ---- virtio.c: what the transport's registers do ---- */

void virtio_write_status(VirtioDevice *v, uint8_t status, bool legacy);
/* Bits that are not offered are dropped. */
void virtio_write_features(VirtioDevice *v, uint64_t features);
/* The driver says that something is in queue n. */
void virtio_notified(VirtioDevice *v, unsigned n, bool legacy);
void virtio_kick_all(VirtioDevice *v);
/* An element is not on the way any more. */
void virtio_landed(VirtQueue *q);
uint64_t virtio_config_read(VirtioDevice *v, unsigned offset, unsigned size);
void virtio_config_write(VirtioDevice *v, unsigned offset, uint64_t value, unsigned size);

/* ---- virtio_pci.c ---- */

gboolean virtio_pci_init(VirtioDevice *v, GError **err);
void virtio_pci_exit(VirtioDevice *v);
/* By MSI-X if that is on, with a vector or NO_VECTOR, otherwise INTx and the ISR's bit. */
void virtio_interrupt(VirtioDevice *v, uint16_t vector, uint8_t isr);
void virtio_pci_restored(VirtioDevice *v);

/* ---- virtio_queue.c ---- */

void virtqueue_reset(VirtQueue *q);
/* Lets the driver see what was pushed; whether it wants to be interrupted is kept for virtqueue_flush(). */
void virtqueue_show(VirtQueue *q);
void virtqueue_exit(VirtQueue *q);
/* Whether what was loaded can be. */
gboolean virtqueue_check(const VirtQueue *q, GError **err);

/* ---- rings, for virtio_split.c and virtio_packed.c ---- */

enum { DESC_SIZE = 16, DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };

typedef struct VirtDesc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, tail; /* tail: `next` of a split ring, `id` of a packed one */
} VirtDesc;

/* A table of descriptors: a ring's own, or an indirect one. */
typedef struct VirtTable {
    const uint8_t *host; /* NULL: not in RAM */
    uint64_t gpa;
    unsigned entries;
} VirtTable;

typedef struct VirtRingSizes {
    uint64_t desc, avail, used;
} VirtRingSizes;

uint16_t ring_ld16(const VirtRing *r, uint64_t offset);
/* Writes, of which dirty bits and caches of code learn. */
void ring_write(VirtQueue *q, VirtRing *r, uint64_t offset, const void *bytes, unsigned size);
void ring_st16(VirtQueue *q, VirtRing *r, uint64_t offset, uint16_t v);
/* The table that an indirect descriptor leads to; false when the driver broke the rules. */
bool indirect_table(VirtQueue *q, const VirtDesc *d, VirtTable *t);
/* One that the table has: n is below t->entries; packed: the fields at the end are the other way round. */
VirtDesc desc_read(VirtQueue *q, const VirtTable *t, unsigned n, bool packed);
/* What a descriptor that is no table leads to becomes part of the element; false when the driver broke the rules. */
bool element_add(VirtElement *e, const VirtDesc *d);

/* Whether an event index lies among those that were passed between `old` and `now` (2.7.7.2). */
static inline bool event_passed(uint16_t event, uint16_t now, uint16_t old)
{
    return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

/* The kinds of ring: `pop` fills an element that is there; the others as their namesakes of virtio.h. */
typedef struct VirtRingKind {
    VirtRingSizes (*sizes)(const VirtQueue *q);
    bool (*has_element)(VirtQueue *q);
    bool (*pop)(VirtQueue *q, VirtElement *e);
    void (*unpop)(VirtQueue *q, const VirtElement *e);
    void (*push)(VirtQueue *q, const VirtElement *e, uint32_t written);
    bool (*publish)(VirtQueue *q);    /* shows what was pushed; whether the driver wants an interrupt */
    void (*arm)(VirtQueue *q);        /* the driver is to notify about the next element, by index */
    void (*set_notify)(VirtQueue *q); /* as notify_off says, by flag */
} VirtRingKind;

extern const VirtRingKind virtio_split, virtio_packed;

#endif
