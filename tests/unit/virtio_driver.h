/*
 * A virtio driver for tests: a machine with RAM and a PCI bus but no CPU, and rings of both kinds, filled the way the
 * specification has drivers do it (Virtual I/O Device 1.2, 2.7 and 2.8).
 */
#ifndef MYNA_TESTS_UNIT_VIRTIO_DRIVER_H
#define MYNA_TESTS_UNIT_VIRTIO_DRIVER_H

#include <string.h>

#include "core/machine.h"
#include "hw/pci/pci.h"
#include "hw/virtio/virtio.h"
#include "util/bits.h"
#include "util/endian.h"

enum { DRIVER_QUEUES = 4, SLOTS = 16, SLOT_DESCS = 8, DRIVER_RING = SLOTS * SLOT_DESCS };
/* Memory: rings of each queue, indirect tables, buffers; registers; where MSI-X messages go. */
enum { RING_AT = 0x100000, RING_STEP = 0x10000, TABLES_AT = 0x180000, BUFFERS_AT = 0x200000, RAM_BYTES = 16 << 20 };
enum { BAR0_AT = 0xc000, MODERN = 0xe0000000, MSIX_TABLE = 0xe0010000, MESSAGES = 0xe0020000 };
enum { COMMON = MODERN, ISR = MODERN + 0x1000, DEVICE_CONFIG = MODERN + 0x2000, NOTIFY = MODERN + 0x3000 };

typedef struct Segment {
    uint64_t at;
    uint32_t size;
    bool write;
} Segment;

typedef struct DriverQueue {
    uint64_t desc, avail, used;
    unsigned size;
    uint16_t avail_index, used_index;      /* split: free-running; packed: places */
    bool avail_wrap, used_wrap;
    unsigned places[SLOTS];                /* packed: how many each slot takes */
} DriverQueue;

typedef struct Driver {
    Machine *m;
    PciBus *pci;
    Region *ram, *messages;
    unsigned devfn;
    uint64_t features;
    bool legacy, packed, indirect;
    DriverQueue queue[DRIVER_QUEUES];
    unsigned msi[16];                      /* messages, by their data */
    int intx;
} Driver;

/* ---- machine ---- */

static inline void message_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Driver *d = opaque;
    (void)offset, (void)size;
    d->msi[value % G_N_ELEMENTS(d->msi)]++;
}

static inline void line_set(void *opaque, int n, int level)
{
    Driver *d = opaque;
    (void)n;
    d->intx = level;
}

static const RegionOps message_ops = { NULL, message_write, 4, 4 };

static inline void driver_machine_up(Driver *d)
{
    IrqLine lines[4];
    *d = (Driver){ .m = machine_new(32 * MiB, NULL), .devfn = 3 << 3 };
    d->m->cpu_count = 1;
    d->m->ram_size = RAM_BYTES;
    d->ram = region_new_ram(d->m->pool, "ram", RAM_BYTES, NULL);
    region_add(as_root(d->m->memory), 0, d->ram, 0);
    d->messages = region_new_io("messages", 0x1000, &message_ops, d);
    region_add(as_root(d->m->memory), MESSAGES, d->messages, 0);
    d->pci = pci_bus_new(d->m, d->m->memory, d->m->ports);
    for (unsigned k = 0; k < 4; k++)
        lines[k] = (IrqLine){ line_set, d, k };
    pci_bus_set_lines(d->pci, lines);
}

static inline void driver_machine_down(Driver *d)
{
    while (d->m->devices->len)
        device_remove(d->m->devices->pdata[d->m->devices->len - 1]);
    pci_bus_free(d->pci);
    region_remove(d->ram);
    region_free(d->ram);
    region_remove(d->messages);
    region_free(d->messages);
    machine_free(d->m);
}

static inline void config_write(Driver *d, unsigned at, uint32_t v, unsigned size)
{
    pci_bus_config_write(d->pci, 1u << 31 | d->devfn << 8 | at, v, size);
}

static inline uint32_t config_read(Driver *d, unsigned at, unsigned size)
{
    return pci_bus_config_read(d->pci, 1u << 31 | d->devfn << 8 | at, size);
}

/* What firmware does. */
static inline void driver_map(Driver *d)
{
    config_write(d, PCI_BAR0, BAR0_AT, 4);
    config_write(d, PCI_BAR0 + 4, MSIX_TABLE, 4);
    config_write(d, PCI_BAR0 + 16, MODERN, 4);
    config_write(d, PCI_BAR0 + 20, 0, 4);
    config_write(d, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
}

/* Messages of vector n have the data n. */
static inline void driver_enable_msix(Driver *d, unsigned vectors)
{
    unsigned at = config_read(d, PCI_CAPABILITIES, 1);
    while (at && config_read(d, at, 1) != PCI_CAP_MSIX)
        at = config_read(d, at + 1, 1);
    g_assert_cmpuint(at, !=, 0);
    for (unsigned n = 0; n < vectors; n++) {
        as_write(d->m->memory, MSIX_TABLE + 16 * n, MESSAGES, 8);
        as_write(d->m->memory, MSIX_TABLE + 16 * n + 8, n, 8);
    }
    config_write(d, at + 2, 0x8000, 2);
}

/* Lets timers and the main loop run. */
static inline void settle(Driver *d)
{
    for (unsigned n = 0; n < 3; n++) {
        clock_fire_due(d->m->clocks);
        while (g_main_context_iteration(d->m->context, FALSE))
            ;
    }
}

/* ---- registers ---- */

static inline uint64_t mread(Driver *d, uint64_t at, unsigned size) { return as_read(d->m->memory, at, size); }
static inline void mwrite(Driver *d, uint64_t at, uint64_t v, unsigned size) { as_write(d->m->memory, at, v, size); }

static inline uint8_t driver_status(Driver *d)
{
    return d->legacy ? as_read(d->m->ports, BAR0_AT + 18, 1) : mread(d, COMMON + 20, 1);
}

static inline void driver_set_status(Driver *d, uint8_t v)
{
    if (d->legacy)
        as_write(d->m->ports, BAR0_AT + 18, v, 1);
    else
        mwrite(d, COMMON + 20, v, 1);
}

static inline uint64_t driver_offered(Driver *d)
{
    if (d->legacy)
        return as_read(d->m->ports, BAR0_AT, 4);
    mwrite(d, COMMON, 0, 4);
    uint64_t low = mread(d, COMMON + 4, 4);
    mwrite(d, COMMON, 1, 4);
    return low | mread(d, COMMON + 4, 4) << 32;
}

/* Reset, ACKNOWLEDGE, DRIVER, and the features. */
static inline void driver_agree(Driver *d, uint64_t features)
{
    driver_set_status(d, 0);
    g_assert_cmphex(driver_status(d), ==, 0);
    driver_set_status(d, 1);
    driver_set_status(d, 3);
    d->features = features;
    d->packed = features >> VIRTIO_F_RING_PACKED & 1;
    if (d->legacy) {
        as_write(d->m->ports, BAR0_AT + 4, features, 4);
        return;
    }
    for (unsigned half = 0; half < 2; half++) {
        mwrite(d, COMMON + 8, half, 4);
        mwrite(d, COMMON + 12, features >> 32 * half, 4);
    }
    driver_set_status(d, 11);
}

static inline void driver_queue_registers(Driver *d, unsigned n)
{
    DriverQueue *q = &d->queue[n];
    if (d->legacy) {
        as_write(d->m->ports, BAR0_AT + 14, n, 2);
        as_write(d->m->ports, BAR0_AT + 8, q->desc >> 12, 4);
        return;
    }
    mwrite(d, COMMON + 22, n, 2);
    mwrite(d, COMMON + 24, q->size, 2);
    mwrite(d, COMMON + 26, n + 1, 2);
    mwrite(d, COMMON + 32, q->desc, 8);
    mwrite(d, COMMON + 40, q->avail, 8);
    mwrite(d, COMMON + 48, q->used, 8);
    mwrite(d, COMMON + 28, 1, 2);
}

/* The queue as long as the device has it, at most DRIVER_RING in a modern device. */
static inline void driver_setup_queue(Driver *d, unsigned n)
{
    DriverQueue *q = &d->queue[n];
    uint64_t at = RING_AT + n * RING_STEP;
    if (d->legacy) {
        as_write(d->m->ports, BAR0_AT + 14, n, 2);
        q->size = as_read(d->m->ports, BAR0_AT + 12, 2);
    } else {
        mwrite(d, COMMON + 22, n, 2);
        q->size = MIN(mread(d, COMMON + 24, 2), DRIVER_RING);
    }
    *q = (DriverQueue){ .desc = at, .avail = at + 16 * q->size, .size = q->size, .avail_wrap = true,
                        .used_wrap = true };
    q->used = align_up(q->avail + 6 + 2 * q->size, 4096);
    g_autofree uint8_t *zeros = g_malloc0(RING_STEP);
    as_write_bytes(d->m->memory, at, zeros, RING_STEP);
    driver_queue_registers(d, n);
}

static inline void driver_start(Driver *d, uint64_t features, unsigned queues)
{
    driver_agree(d, features);
    for (unsigned n = 0; n < queues; n++)
        driver_setup_queue(d, n);
    driver_set_status(d, d->legacy ? 7 : 15);
    settle(d);
}

static inline void driver_kick(Driver *d, unsigned n)
{
    if (d->legacy)
        as_write(d->m->ports, BAR0_AT + 16, n, 2);
    else
        mwrite(d, NOTIFY + 4 * n, n, 2);
}

/* ---- split rings ---- */

static inline void split_descriptor(Driver *d, uint64_t at, const Segment *s, unsigned flags, unsigned next)
{
    mwrite(d, at, s->at, 8);
    mwrite(d, at + 8, s->size, 4);
    mwrite(d, at + 12, flags | (s->write ? 2 : 0), 2);
    mwrite(d, at + 14, next, 2);
}

static inline void split_show(Driver *d, DriverQueue *q, unsigned head)
{
    mwrite(d, q->avail + 4 + 2 * (q->avail_index % q->size), head, 2);
    mwrite(d, q->avail + 2, ++q->avail_index, 2);
}

static inline void split_add(Driver *d, DriverQueue *q, unsigned slot, const Segment *s, unsigned n)
{
    unsigned first = slot * SLOT_DESCS;
    uint64_t table = TABLES_AT + slot * 16 * SLOT_DESCS;
    for (unsigned k = 0; k < n; k++) {
        unsigned next = d->indirect ? k + 1 : first + k + 1;
        split_descriptor(d, d->indirect ? table + 16 * k : q->desc + 16 * (first + k), &s[k], k + 1 < n, next);
    }
    if (d->indirect)
        split_descriptor(d, q->desc + 16 * first, &(Segment){ table, 16 * n, false }, 4, 0);
    split_show(d, q, first);
}

static inline bool split_used(Driver *d, DriverQueue *q, unsigned *slot, uint32_t *length)
{
    if ((uint16_t)mread(d, q->used + 2, 2) == q->used_index)
        return false;
    uint64_t at = q->used + 4 + 8 * (q->used_index++ % q->size);
    *slot = mread(d, at, 4) / SLOT_DESCS;
    *length = mread(d, at + 4, 4);
    return true;
}

/* ---- packed rings ---- */

static inline void packed_flags(Driver *d, uint64_t at, unsigned flags, bool wrap)
{
    mwrite(d, at + 14, flags | (wrap ? 0x80 : 0x8000), 2);
}

static inline void packed_descriptor(Driver *d, uint64_t at, const Segment *s, unsigned id)
{
    mwrite(d, at, s->at, 8);
    mwrite(d, at + 8, s->size, 4);
    mwrite(d, at + 12, id, 2);
}

/* The first place's flags are written last (2.8.13). */
static inline void packed_add(Driver *d, DriverQueue *q, unsigned slot, const Segment *s, unsigned n)
{
    uint64_t table = TABLES_AT + slot * 16 * SLOT_DESCS, first = q->desc + 16 * q->avail_index;
    Segment one = { table, 16 * n, false };
    unsigned first_flags = 0, places = d->indirect ? 1 : n;
    bool first_wrap = q->avail_wrap;

    for (unsigned k = 0; k < n && d->indirect; k++) {
        packed_descriptor(d, table + 16 * k, &s[k], 0);
        mwrite(d, table + 16 * k + 14, s[k].write ? 2 : 0, 2);
    }
    for (unsigned k = 0; k < places; k++) {
        const Segment *p = d->indirect ? &one : &s[k];
        unsigned flags = (p->write ? 2 : 0) | (k + 1 < places ? 1 : 0) | (d->indirect ? 4 : 0);
        packed_descriptor(d, q->desc + 16 * q->avail_index, p, slot);
        if (k)
            packed_flags(d, q->desc + 16 * q->avail_index, flags, q->avail_wrap);
        else
            first_flags = flags;
        if (++q->avail_index == q->size) {
            q->avail_index = 0;
            q->avail_wrap = !q->avail_wrap;
        }
    }
    q->places[slot] = places;
    packed_flags(d, first, first_flags, first_wrap);
}

static inline bool packed_used(Driver *d, DriverQueue *q, unsigned *slot, uint32_t *length)
{
    uint64_t at = q->desc + 16 * q->used_index;
    unsigned flags = mread(d, at + 14, 2);
    bool avail = flags & 0x80, used = flags & 0x8000;
    if (avail != q->used_wrap || used != q->used_wrap)
        return false;
    *slot = mread(d, at + 12, 2);
    *length = mread(d, at + 8, 4);
    g_assert_cmpuint(*slot, <, SLOTS);
    q->used_index += q->places[*slot];
    if (q->used_index >= q->size) {
        q->used_index -= q->size;
        q->used_wrap = !q->used_wrap;
    }
    return true;
}

/* ---- both ---- */

/* Makes a request of n segments available as `slot`, which is not under way. */
static inline void driver_add(Driver *d, unsigned queue, unsigned slot, const Segment *s, unsigned n)
{
    (d->packed ? packed_add : split_add)(d, &d->queue[queue], slot, s, n);
}

/* Takes the next answer, if there is one. */
static inline bool driver_used(Driver *d, unsigned queue, unsigned *slot, uint32_t *length)
{
    return (d->packed ? packed_used : split_used)(d, &d->queue[queue], slot, length);
}

/* One request after another: its answer's length. */
static inline uint32_t driver_request(Driver *d, unsigned queue, const Segment *s, unsigned n)
{
    unsigned slot;
    uint32_t length = 0;
    driver_add(d, queue, 0, s, n);
    driver_kick(d, queue);
    while (!driver_used(d, queue, &slot, &length)) {
        clock_fire_due(d->m->clocks);
        g_main_context_iteration(d->m->context, FALSE);
    }
    g_assert_cmpuint(slot, ==, 0);
    return length;
}

#endif
