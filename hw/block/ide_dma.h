/*
 * The bus master of an IDE channel (Programming Interface for Bus Master IDE Controller, revision 1.0; Intel 82371SB
 * datasheet, section 2.7).
 */
#ifndef MYNA_HW_BLOCK_IDE_DMA_H
#define MYNA_HW_BLOCK_IDE_DMA_H

#include "core/state.h"
#include "hw/pci/pci.h"

typedef struct IdeDrive IdeDrive;
typedef struct IdeChannel IdeChannel;

typedef struct IdeDma {
    PciDevice *pci;
    uint8_t command, status;
    uint32_t table;         /* the descriptor table, as written */
    uint32_t next;          /* the next descriptor */
    uint32_t address, left; /* of the present one: memory still to be used */
    bool last;              /* it is the last one */
} IdeDma;

enum { IDE_DMA_PORTS = 8 };
enum { BM_START = 0x01, BM_TO_MEMORY = 0x08 };
enum { BM_ACTIVE = 0x01, BM_ERROR = 0x02, BM_INTERRUPT = 0x04, BM_CAPABLE = 0x60 };

void ide_dma_reset(IdeDma *dma);

/* Moves data while the engine runs, bus mastering is allowed and a drive waits for it. */
void ide_dma_run(IdeChannel *ch);

uint64_t ide_dma_read(IdeChannel *ch, unsigned offset, unsigned size);
void ide_dma_write(IdeChannel *ch, unsigned offset, uint64_t v, unsigned size);

extern const StateField ide_dma_state[];

#endif
