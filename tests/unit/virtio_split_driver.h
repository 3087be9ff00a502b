/*
 * A driver for virtio devices with many queues and long rings (virtio_driver.h has all kinds of rings, and few of
 * them): the modern interface, split rings, INTx.  It has a machine of its own: memory, a PCI bus, and one device.
 */
#ifndef MYNA_TESTS_UNIT_VIRTIO_SPLIT_DRIVER_H
#define MYNA_TESTS_UNIT_VIRTIO_SPLIT_DRIVER_H

#include <string.h>

#include "core/machine.h"
#include "hw/virtio/virtio.h"
#include "util/bits.h"
#include "util/endian.h"

enum { DRIVER_QUEUES_MAX = 16, DRIVER_RAM = 32 << 20, DRIVER_BAR = 0xe0000000 };
enum { COMMON_CFG = 1, NOTIFY_CFG, ISR_CFG, DEVICE_CFG };

typedef struct DriverQueue {
    unsigned size, free, added, used; /* free: next descriptor, cyclic; added, used: free-running */
    uint64_t desc, avail, ring;       /* GPAs */
} DriverQueue;

typedef struct Driver {
    Machine *m;
    PciBus *pci;
    Region *ram;
    VirtioDevice *device;
    uint64_t part[5], next_free;      /* GPAs */
    uint64_t features;
    DriverQueue queue[DRIVER_QUEUES_MAX];
    unsigned interrupts;
    int level;
} Driver;

/* A piece of a request. */
typedef struct DriverPiece {
    uint64_t gpa;
    uint32_t size;
} DriverPiece;

static inline uint64_t driver_read(Driver *d, uint64_t gpa, unsigned size) { return as_read(d->m->memory, gpa, size); }
static inline void driver_write(Driver *d, uint64_t gpa, uint64_t v, unsigned size)
{
    as_write(d->m->memory, gpa, v, size);
}

/* Memory, all zero. */
static inline uint64_t driver_alloc(Driver *d, uint64_t size)
{
    uint64_t gpa = d->next_free;
    g_autofree uint8_t *zeros = g_malloc0(size);

    d->next_free = align_up(gpa + size, 4096);
    g_assert_cmpuint(d->next_free, <=, DRIVER_RAM);
    as_write_bytes(d->m->memory, gpa, zeros, size);
    return gpa;
}

static inline void driver_irq(void *opaque, int n, int level)
{
    Driver *d = opaque;
    (void)n;
    d->interrupts += level && !d->level;
    d->level = level;
}

/* The machine; the device is to be added next. */
static inline void driver_machine(Driver *d)
{
    IrqLine lines[4];

    memset(d, 0, sizeof *d);
    d->m = machine_new(2 * DRIVER_RAM, NULL);
    d->ram = region_new_ram(d->m->pool, "ram", DRIVER_RAM, NULL);
    region_add(as_root(d->m->memory), 0, d->ram, 0);
    d->pci = pci_bus_new(d->m, d->m->memory, d->m->ports);
    machine_provide(d->m, "pci", d->pci);
    for (unsigned k = 0; k < 4; k++)
        lines[k] = (IrqLine) { driver_irq, d, k };
    pci_bus_set_lines(d->pci, lines);
    d->next_free = 4096;
}

static inline uint32_t driver_config(Driver *d, unsigned offset, unsigned size)
{
    return pci_bus_config_read(d->pci, 0x80000000 | d->device->pci.devfn << 8 | offset, size);
}

static inline void driver_config_write(Driver *d, unsigned offset, uint32_t v, unsigned size)
{
    pci_bus_config_write(d->pci, 0x80000000 | d->device->pci.devfn << 8 | offset, v, size);
}

/* Where the device's registers are, by its capabilities (virtio 1.2, 4.1.4). */
static inline void driver_find_parts(Driver *d)
{
    for (unsigned at = driver_config(d, PCI_CAPABILITIES, 1); at; at = driver_config(d, at + 1, 1)) {
        unsigned type = driver_config(d, at + 3, 1);
        if (driver_config(d, at, 1) == PCI_CAP_VENDOR && type <= DEVICE_CFG)
            d->part[type] = DRIVER_BAR + driver_config(d, at + 8, 4);
    }
}

static inline void driver_attach(Driver *d, Device *dev)
{
    d->device = (VirtioDevice *)dev;
    dev->type->reset(dev);
    driver_find_parts(d);
    driver_config_write(d, PCI_BAR0 + 4 * 4, DRIVER_BAR, 4);
    driver_config_write(d, PCI_BAR0 + 4 * 5, 0, 4);
    driver_config_write(d, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
}

/* Before the networks and the like that they are on. */
static inline void driver_remove_devices(Driver *d)
{
    GPtrArray *devices = machine_devices(d->m);
    while (devices->len)
        device_remove(devices->pdata[devices->len - 1]);
}

static inline void driver_exit(Driver *d)
{
    driver_remove_devices(d);
    pci_bus_free(d->pci);
    region_remove(d->ram);
    region_free(d->ram);
    machine_free(d->m);
}

static inline uint64_t driver_common(Driver *d, unsigned offset, unsigned size)
{
    return driver_read(d, d->part[COMMON_CFG] + offset, size);
}

static inline void driver_common_write(Driver *d, unsigned offset, uint64_t v, unsigned size)
{
    driver_write(d, d->part[COMMON_CFG] + offset, v, size);
}

static inline uint8_t driver_status(Driver *d) { return driver_common(d, 20, 1); }

/* The features that are offered; agrees to those of `wanted` among them (3.1.1). */
static inline uint64_t driver_negotiate(Driver *d, uint64_t wanted)
{
    uint64_t offered = 0;

    driver_common_write(d, 20, 0, 1);
    g_assert_cmpuint(driver_status(d), ==, 0);
    driver_common_write(d, 20, 1, 1);
    driver_common_write(d, 20, 3, 1);
    for (unsigned half = 0; half < 2; half++) {
        driver_common_write(d, 0, half, 4);
        offered |= driver_common(d, 4, 4) << 32 * half;
    }
    d->features = offered & (wanted | BIT(VIRTIO_F_VERSION_1));
    for (unsigned half = 0; half < 2; half++) {
        driver_common_write(d, 8, half, 4);
        driver_common_write(d, 12, d->features >> 32 * half & UINT32_MAX, 4);
    }
    driver_common_write(d, 20, 11, 1);
    g_assert_cmpuint(driver_status(d), ==, 11);
    return offered;
}

/* A queue of so many elements, 0: of the most that there may be. */
static inline void driver_queue(Driver *d, unsigned n, unsigned size)
{
    DriverQueue *q = &d->queue[n];

    driver_common_write(d, 22, n, 2);
    *q = (DriverQueue) { .size = size ? size : driver_common(d, 24, 2) };
    g_assert_cmpuint(q->size, >, 0);
    driver_common_write(d, 24, q->size, 2);
    q->desc = driver_alloc(d, 16 * q->size);
    q->avail = driver_alloc(d, 6 + 2 * q->size);
    q->ring = driver_alloc(d, 6 + 8 * q->size);
    driver_common_write(d, 32, q->desc, 8);
    driver_common_write(d, 40, q->avail, 8);
    driver_common_write(d, 48, q->ring, 8);
    driver_common_write(d, 28, 1, 2);
}

static inline void driver_ok(Driver *d) { driver_common_write(d, 20, 15, 1); }

static inline void driver_kick(Driver *d, unsigned n)
{
    driver_common_write(d, 22, n, 2);
    driver_write(d, d->part[NOTIFY_CFG] + 4 * driver_common(d, 30, 2), n, 2);
}

static inline void driver_describe(Driver *d, DriverQueue *q, unsigned index, const DriverPiece *p, unsigned flags)
{
    uint64_t at = q->desc + 16 * index;
    driver_write(d, at, p->gpa, 8);
    driver_write(d, at + 8, p->size, 4);
    driver_write(d, at + 12, flags, 2);
    driver_write(d, at + 14, (index + 1) % q->size, 2);
}

/* A request: pieces for the device to read, then pieces for it to write.  Returns its head. */
static inline unsigned driver_add(Driver *d, unsigned n, const DriverPiece *piece, unsigned out, unsigned in)
{
    DriverQueue *q = &d->queue[n];
    unsigned head = q->free;

    for (unsigned k = 0; k < out + in; k++) {
        driver_describe(d, q, q->free, &piece[k], (k + 1 < out + in ? 1 : 0) | (k >= out ? 2 : 0));
        q->free = (q->free + 1) % q->size;
    }
    driver_write(d, q->avail + 4 + 2 * (q->added % q->size), head, 2);
    driver_write(d, q->avail + 2, ++q->added & 0xffff, 2);
    return head;
}

/* The next answer: its head, and the bytes that were written; false: there is none. */
static inline bool driver_take(Driver *d, unsigned n, unsigned *head, uint32_t *written)
{
    DriverQueue *q = &d->queue[n];
    uint64_t at = q->ring + 4 + 8 * (q->used % q->size);

    if (driver_read(d, q->ring + 2, 2) == (q->used & 0xffff))
        return false;
    if (head)
        *head = driver_read(d, at, 4);
    if (written)
        *written = driver_read(d, at + 4, 4);
    q->used++;
    return true;
}

static inline uint64_t driver_device_config(Driver *d, unsigned offset, unsigned size)
{
    return driver_read(d, d->part[DEVICE_CFG] + offset, size);
}

/* Reads and so clears the interrupt's cause (4.1.4.5). */
static inline uint8_t driver_isr(Driver *d) { return driver_read(d, d->part[ISR_CFG], 1); }

/* Timers that are due, and what the main loop has to do. */
static inline void driver_settle(Driver *d)
{
    for (unsigned k = 0; k < 20; k++) {
        clock_fire_due(d->m->clocks);
        while (g_main_context_iteration(d->m->context, FALSE))
            ;
    }
}

#endif
