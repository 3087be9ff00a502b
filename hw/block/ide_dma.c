/*
 * The bus master of an IDE channel (ide_dma.h).  A descriptor (section 1.2 of the interface's text) is eight bytes:
 * address, size in bytes (0: 64 KiB), and in bit 31 of the second word "last".  It moves at least two bytes, so a guest
 * cannot make a transfer endless by any table.
 */
#include "hw/block/ide_dma.h"

#include "hw/block/ide.h"
#include "util/bits.h"
#include "util/endian.h"

enum { REG_COMMAND = 0, REG_STATUS = 2, REG_TABLE = 4 };
#define DESCRIPTOR_LAST BIT(31)

void ide_dma_reset(IdeDma *dma)
{
    *dma = (IdeDma) { .pci = dma->pci };
}

static bool may_master(const IdeDma *dma)
{
    return ld16le(dma->pci->config + PCI_COMMAND) & PCI_COMMAND_MASTER;
}

static void descriptor_fetch(IdeDma *dma)
{
    uint8_t d[8];

    pci_dma_read(dma->pci, dma->next, d, sizeof d);
    dma->next += sizeof d;
    dma->address = ld32le(d) & ~1u;
    dma->left = ld32le(d + 4) & 0xfffe;
    dma->left = dma->left ? dma->left : 64 * KiB;
    dma->last = ld32le(d + 4) & DESCRIPTOR_LAST;
}

/* As many bytes as both the descriptor and the drive's block have. */
static void piece_move(IdeDma *dma, IdeDrive *d)
{
    uint32_t n = MIN(dma->left, d->end - d->pos);

    if (d->phase == IDE_DMA_IN)
        pci_dma_write(dma->pci, dma->address, d->buffer + d->pos, n);
    else
        pci_dma_read(dma->pci, dma->address, d->buffer + d->pos, n);
    dma->address += n;
    dma->left -= n;
    d->pos += n;
}

/* After the last descriptor's memory the engine is not active any more, whether or not the drive has enough. */
static void check_end(IdeDma *dma)
{
    if (dma->last && !dma->left)
        dma->status &= ~BM_ACTIVE;
}

static bool wants_dma(const IdeDrive *d)
{
    return d->phase == IDE_DMA_IN || d->phase == IDE_DMA_OUT;
}

/* The drive that requests DMA; the selected one if both do. */
static IdeDrive *dma_drive(IdeChannel *ch)
{
    IdeDrive *d = &ch->drive[ch->selected], *other = &ch->drive[!ch->selected];
    return wants_dma(d) ? d : wants_dma(other) ? other : NULL;
}

void ide_dma_run(IdeChannel *ch)
{
    IdeDma *dma = &ch->dma;
    IdeDrive *d;

    while ((dma->status & BM_ACTIVE) && may_master(dma) && (d = dma_drive(ch))) {
        if (!dma->left)
            descriptor_fetch(dma);
        piece_move(dma, d);
        check_end(dma);
        if (d->pos == d->end)
            ide_block_done(d);
    }
}

/* ---- registers ---- */

static void write_command(IdeChannel *ch, uint8_t v)
{
    IdeDma *dma = &ch->dma;
    bool started = v & ~dma->command & BM_START;

    dma->command = v & (BM_START | BM_TO_MEMORY);
    if (!(v & BM_START))
        dma->status &= ~BM_ACTIVE; /* what is left of a transfer is lost */
    if (!started)
        return;
    dma->next = dma->table;
    dma->left = 0;
    dma->last = false;
    dma->status |= BM_ACTIVE;
    ide_dma_run(ch);
}

static void write_byte(IdeChannel *ch, unsigned offset, uint8_t v)
{
    IdeDma *dma = &ch->dma;

    switch (offset) {
    case REG_COMMAND: write_command(ch, v); break;
    case REG_STATUS:
        dma->status = (dma->status & BM_ACTIVE) | (v & BM_CAPABLE) | (dma->status & ~v & (BM_ERROR | BM_INTERRUPT));
        break;
    default:
        if (offset >= REG_TABLE)
            dma->table = bits_deposit(dma->table, 8 * (offset - REG_TABLE), 8, v) & ~UINT32_C(3);
        break;
    }
}

static uint8_t read_byte(const IdeDma *dma, unsigned offset)
{
    switch (offset) {
    case REG_COMMAND: return dma->command;
    case REG_STATUS: return dma->status;
    default: return offset >= REG_TABLE ? dma->table >> 8 * (offset - REG_TABLE) : 0;
    }
}

uint64_t ide_dma_read(IdeChannel *ch, unsigned offset, unsigned size)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)read_byte(&ch->dma, (offset + i) % IDE_DMA_PORTS) << 8 * i;
    return v;
}

/* From the high end: a doubleword that starts the engine has its status byte taken first. */
void ide_dma_write(IdeChannel *ch, unsigned offset, uint64_t v, unsigned size)
{
    for (unsigned i = size; i--;)
        write_byte(ch, (offset + i) % IDE_DMA_PORTS, v >> 8 * i);
}

const StateField ide_dma_state[] = {
    STATE_U8(IdeDma, command), STATE_U8(IdeDma, status), STATE_U32(IdeDma, table), STATE_U32(IdeDma, next),
    STATE_U32(IdeDma, address), STATE_U32(IdeDma, left), STATE_BOOL(IdeDma, last), STATE_END
};
