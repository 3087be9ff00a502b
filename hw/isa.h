/*
 * The ISA bus: port space, memory below 16 MiB, sixteen interrupt lines and the DMA channels; provided by the board as "isa".
 */
#ifndef MYNA_HW_ISA_H
#define MYNA_HW_ISA_H

#include "core/irq.h"
#include "core/memory.h"

/* A DMA channel's user, called by the controller under the machine lock. */
typedef struct IsaDmaOps {
    /*
     * The channel is programmed, unmasked and requested: move up to `size` bytes (what is left) at `pos` of the transfer
     * by isa_dma_read/_write; returns the new position.  It may be called from within isa_dma_request.
     */
    unsigned (*transfer)(void *opaque, unsigned channel, unsigned pos, unsigned size);
    /* The guest is about to look at the channel, or to program it: move what is due by now; may be NULL. */
    void (*sync)(void *opaque);
} IsaDmaOps;

typedef struct IsaDma IsaDma; /* the pair of 8237s (hw/misc/i8237.c) */

typedef struct IsaBus {
    AddressSpace *memory, *ports;
    IrqLine irq[16];   /* input lines; 2 is the cascade and unused */
    IsaDma *dma;       /* NULL without a DMA controller */
} IsaBus;

/* Registers a channel's user; raises or drops its DREQ; accesses guest memory on its behalf (hw/misc/i8237.c). */
void isa_dma_register(IsaDma *dma, unsigned channel, const IsaDmaOps *ops, void *opaque);
void isa_dma_request(IsaDma *dma, unsigned channel, int level);
unsigned isa_dma_read(IsaDma *dma, unsigned channel, void *buf, unsigned pos, unsigned size);
unsigned isa_dma_write(IsaDma *dma, unsigned channel, const void *buf, unsigned pos, unsigned size);

#endif
