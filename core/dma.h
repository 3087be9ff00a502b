/*
 * Guest memory as a scatter list, for transfers that other threads or the host's kernel do.
 *
 * A device collects the ranges of a command, hands the list to a back end (block_readv(), net_send()), and finishes it
 * when the transfer is done.  RAM appears in the list as it is, without a copy; what is not RAM (a device's registers,
 * ROM as a target, nothing) by a buffer that is filled before, or written out afterwards.  A list does not move
 * with the memory map: RAM is never freed while a machine runs.
 *
 * Under the machine lock.
 */
#ifndef MYNA_CORE_DMA_H
#define MYNA_CORE_DMA_H

#include <sys/uio.h>

#include "core/memory.h"

typedef struct DmaList {
    AddressSpace *as;
    bool to_memory;          /* the guest's memory is written */
    struct iovec *iov;
    unsigned count, room;
    uint64_t size;           /* bytes in all */
    uint64_t buffered;       /* bytes in buffers: of what is not RAM */
    GArray *ranges;          /* private: what the elements are */
} DmaList;

/* An empty list; dma_clear() frees what it comes to hold. */
void dma_init(DmaList *d, AddressSpace *as, bool to_memory);
/*
 * Appends size bytes at a GPA.  A list has at most 2^31 bytes, of which 1 MiB need buffers, lest a guest has the host
 * fetch gigabytes from registers: false, with nothing added, beyond.
 */
bool dma_add(DmaList *d, uint64_t gpa, uint64_t size);
/* Appends memory of the caller's, which stays and is not the guest's: for devices that gather what they transfer. */
void dma_add_buffer(DmaList *d, void *buf, uint64_t size);
/* The first `size` bytes were written by the transfer: the guest, caches of code and displays learn of it. */
void dma_written(DmaList *d, uint64_t size);
/* Empties it, for reuse; the memory's room is kept. */
void dma_reset(DmaList *d);
void dma_clear(DmaList *d);

/*
 * [offset, offset + size), which the list has, as an array of buffers: the list's own elements if it has boundaries
 * there, otherwise in `s`, where they stay until its next use or dma_slice_free().
 */
typedef struct DmaSlice {
    struct iovec *own;
    unsigned room;
} DmaSlice;
const struct iovec *dma_slice(DmaSlice *s, const DmaList *d, uint64_t offset, uint64_t size, unsigned *count);
void dma_slice_free(DmaSlice *s);

/* Bytes from or to a list, from an offset in it; returns how many there were. */
uint64_t dma_to_buffer(const DmaList *d, uint64_t offset, void *buf, uint64_t size);
uint64_t dma_from_buffer(DmaList *d, uint64_t offset, const void *buf, uint64_t size);

#endif
