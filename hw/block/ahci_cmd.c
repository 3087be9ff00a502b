/*
 * Commands of an AHCI port: command list, tables and FISes (AHCI 1.3.1, chapter 4; Serial ATA 3.x, section 10.5), and
 * the data of commands that run one at a time.
 */
#include <string.h>

#include "core/log.h"
#include "hw/block/ahci.h"
#include "util/bits.h"
#include "util/endian.h"

enum { HEADER = 32, TABLE_CFIS = 0, TABLE_ACMD = 0x40, TABLE_PRDT = 0x80, PRD = 16, CFIS = 20 };
enum { AREA_PIO = 0x20, AREA_REGISTERS = 0x40, AREA_BITS = 0x58 };
enum { FIS_TO_DEVICE = 0x27, FIS_REGISTERS = 0x34, FIS_PIO = 0x5f, FIS_BITS = 0xa1 };
enum { FIS_COMMAND = 0x80, FIS_INTERRUPT = 0x40, FIS_FROM_DEVICE = 0x20 };

static PciDevice *pci_of(const AhciPort *p) { return &p->hba->pci; }

bool ahci_may_run(const AhciPort *p)
{
    return p->command & CMD_ST && ide_drive_present(&p->drive) && !p->halted && pci_may_master(pci_of(p));
}

/* ---- headers and tables ---- */

static uint64_t header_at(const AhciPort *p, unsigned slot)
{
    return p->list + slot * HEADER;
}

/* Where a slot's table is, and how many ranges of memory it has. */
static uint64_t table_of(AhciPort *p, unsigned slot, unsigned *ranges)
{
    uint8_t header[HEADER];

    pci_dma_read(pci_of(p), header_at(p, slot), header, sizeof header);
    *ranges = ld16le(header + 2);
    return ld64le(header + 8) & ~UINT64_C(0x7f);
}

/* One range: address, and bytes less one (4.2.3.3).  `offset` bytes are still to be passed over. */
static void collect_range(const uint8_t *prd, uint64_t *offset, uint64_t size, DmaList *d)
{
    uint64_t address = ld64le(prd) & ~UINT64_C(1), n = (ld32le(prd + 12) & 0x3fffff) + 1;

    if (*offset >= n) {
        *offset -= n;
        return;
    }
    dma_add(d, address + *offset, MIN(n - *offset, size - d->size));
    *offset = 0;
}

void ahci_collect(AhciPort *p, unsigned slot, uint64_t offset, uint64_t size, DmaList *d, bool to_memory)
{
    enum { BATCH = 64 };
    uint8_t prds[BATCH * PRD];
    unsigned ranges;
    uint64_t at = table_of(p, slot, &ranges) + TABLE_PRDT;

    dma_reset(d);
    d->to_memory = to_memory;
    for (unsigned n = 0; n < ranges && d->size < size; n++) {
        if (n % BATCH == 0)
            pci_dma_read(pci_of(p), at + n * PRD, prds, MIN(ranges - n, BATCH) * PRD);
        collect_range(prds + n % BATCH * PRD, &offset, size, d);
    }
}

/* ---- FISes to memory ---- */

static void put_registers(const IdeDrive *d, uint8_t *fis)
{
    fis[2] = d->status;
    fis[3] = d->error;
    fis[4] = d->now.low, fis[5] = d->now.mid, fis[6] = d->now.high;
    fis[7] = d->device;
    fis[8] = d->before.low, fis[9] = d->before.mid, fis[10] = d->before.high;
    fis[12] = d->now.count, fis[13] = d->before.count;
}

static void fis_store(AhciPort *p, unsigned at, const uint8_t *fis, unsigned size)
{
    if (p->command & CMD_FRE)
        ahci_dma_write(p->hba, p->fis + at, fis, size);
}

void ahci_send_registers(AhciPort *p, bool irq)
{
    uint8_t fis[20] = { FIS_REGISTERS, irq ? FIS_INTERRUPT : 0 };

    put_registers(&p->drive, fis);
    fis_store(p, AREA_REGISTERS, fis, sizeof fis);
}

void ahci_send_bits(AhciPort *p, uint32_t active)
{
    uint8_t fis[8] = { FIS_BITS, FIS_INTERRUPT, p->drive.status & 0x77, p->drive.error };

    st32le(fis + 4, active);
    fis_store(p, AREA_BITS, fis, sizeof fis);
}

/* Before a block of PIO; it names the status at the block's end, too. */
static void send_pio(AhciPort *p, uint32_t n, bool last)
{
    const IdeDrive *d = &p->drive;
    uint8_t fis[20] = { FIS_PIO, FIS_INTERRUPT | (d->phase == IDE_PIO_IN ? FIS_FROM_DEVICE : 0) };

    put_registers(d, fis);
    fis[15] = last ? ST_DRDY | ST_DSC : ST_BSY;
    st16le(fis + 16, n);
    fis_store(p, AREA_PIO, fis, sizeof fis);
}

/* ---- data ---- */

static bool waits_for_data(const IdeDrive *d)
{
    return d->phase >= IDE_PIO_IN && d->phase <= IDE_DMA_OUT;
}

static bool is_last_input(const IdeDrive *d)
{
    return d->phase == IDE_PIO_IN && d->end == d->length && !d->left;
}

/* The drive's next n bytes; false when the table has not so much memory. */
static bool move_data(AhciPort *p, uint32_t n)
{
    IdeDrive *d = &p->drive;
    bool in = d->phase == IDE_PIO_IN || d->phase == IDE_DMA_IN;

    ahci_collect(p, p->slot, p->moved, n, &p->dma, in);
    uint64_t size = p->dma.size;
    if (in) {
        dma_from_buffer(&p->dma, 0, d->buffer + d->pos, size);
        ahci_dma_written(p->hba, &p->dma, size);
    } else {
        dma_to_buffer(&p->dma, 0, d->buffer + d->pos, size);
    }
    dma_reset(&p->dma);
    p->moved += size;
    return size == n;
}

/* More data than memory is an overflow, whose data is lost; a write without data cannot be done. */
static void data_overflow(AhciPort *p)
{
    IdeDrive *d = &p->drive;

    log_guest_error("ahci: port %u: command %02x moves more than the memory of its table", p->number, d->command);
    p->status |= PORT_OFS;
    if (d->phase == IDE_PIO_OUT || d->phase == IDE_DMA_OUT)
        ide_abort(d);
}

static void move_block(AhciPort *p)
{
    IdeDrive *d = &p->drive;
    bool pio = d->phase == IDE_PIO_IN || d->phase == IDE_PIO_OUT, last = is_last_input(d);
    uint32_t n = d->end - d->pos;

    if (pio)
        send_pio(p, n, last);
    if (!move_data(p, n))
        data_overflow(p);
    if (!waits_for_data(d))
        return;
    d->pos = d->end;
    ide_block_done(d);
    if (pio)
        ahci_port_raise(p, PORT_PSS);
}

static void move_packet(AhciPort *p)
{
    IdeDrive *d = &p->drive;
    unsigned ranges;

    pci_dma_read(pci_of(p), table_of(p, p->slot, &ranges) + TABLE_ACMD, d->buffer, sizeof d->cdb);
    d->pos = d->end;
    ide_block_done(d);
}

/* Blocks follow each other here, not within each other: the drive offers the next one from ide_block_done(). */
void ahci_move(AhciPort *p)
{
    IdeDrive *d = &p->drive;

    if (p->moving)
        return;
    p->moving = true;
    while (waits_for_data(d) && p->slot != AHCI_NO_SLOT && ahci_may_run(p)) {
        if (d->packet == PACKET_CDB)
            move_packet(p);
        else
            move_block(p);
    }
    p->moving = false;
}

/* ---- ends ---- */

static void put_byte_count(AhciPort *p, unsigned slot)
{
    uint8_t count[4];

    st32le(count, p->moved);
    ahci_dma_write(p->hba, header_at(p, slot) + 4, count, sizeof count);
}

/* Input by PIO ends with its last block: no other FIS follows it. */
void ahci_command_ended(AhciPort *p, bool irq)
{
    IdeDrive *d = &p->drive;
    unsigned slot = p->slot;

    if (slot == AHCI_NO_SLOT)
        return;
    put_byte_count(p, slot);
    p->slot = AHCI_NO_SLOT;
    p->issued &= ~BIT(slot);
    if (irq)
        ahci_send_registers(p, true);
    p->halted = d->status & ST_ERR;
    ahci_port_raise(p, (irq ? PORT_DHRS : 0) | (d->status & ST_ERR ? PORT_TFES : 0));
    ahci_port_run(p);
}

/* ---- issue ---- */

static void take_registers(IdeDrive *d, const uint8_t *fis)
{
    d->now = (IdeTaskFile) { .feature = fis[3], .low = fis[4], .mid = fis[5], .high = fis[6], .count = fis[12] };
    d->before = (IdeTaskFile) { .feature = fis[11], .low = fis[8], .mid = fis[9], .high = fis[10], .count = fis[13] };
    d->device = (fis[7] & ~DEV_DEV) | DEV_OBSOLETE;
}

/* A write of the control register: SRST is set by one FIS and cleared by the next. */
static void control_written(AhciPort *p, unsigned slot, const uint8_t *fis)
{
    IdeDrive *d = &p->drive;
    bool reset = fis[15] & CTL_SRST, was = d->held;

    p->issued &= ~BIT(slot);
    d->held = reset;
    if (reset && !was) {
        ide_stop_drive(d);
    } else if (was && !reset) {
        d->device = 0;
        ide_reset_drive(d);
    }
}

static void diagnose(AhciPort *p)
{
    ide_stop_drive(&p->drive);
    ide_reset_drive(&p->drive);
    ahci_command_ended(p, true);
}

static void command_start(AhciPort *p, unsigned slot, const uint8_t *fis)
{
    IdeDrive *d = &p->drive;

    p->slot = slot;
    p->moved = 0;
    take_registers(d, fis);
    if (fis[2] == 0x90)
        diagnose(p);
    else
        ata_execute(d, fis[2]);
    if (fis[2] == 0x08 && p->slot == slot) /* DEVICE RESET ends by its signature */
        ahci_command_ended(p, false);
}

/* False: the slot has to wait. */
static bool slot_issue(AhciPort *p, unsigned slot)
{
    uint8_t fis[CFIS];
    unsigned ranges;

    pci_dma_read(pci_of(p), table_of(p, slot, &ranges) + TABLE_CFIS, fis, sizeof fis);
    if (fis[0] == FIS_TO_DEVICE && fis[1] & FIS_COMMAND && ahci_is_queued(fis[2]) && p->drive.kind == IDE_DISK)
        return ahci_queue(p, slot, fis);
    if (ahci_queued(p))
        return false;
    if (fis[0] != FIS_TO_DEVICE) {
        log_guest_error("ahci: port %u: FIS %02x in slot %u", p->number, fis[0], slot);
        p->issued &= ~BIT(slot);
    } else if (!(fis[1] & FIS_COMMAND)) {
        control_written(p, slot, fis);
    } else {
        command_start(p, slot, fis);
    }
    return true;
}

static bool takes_commands(const AhciPort *p)
{
    const IdeDrive *d = &p->drive;

    return ahci_may_run(p) && p->issued && p->slot == AHCI_NO_SLOT && (d->held || !(d->status & (ST_BSY | ST_DRQ)));
}

/* Slots are served in a circle (5.3.2.3, P:SelectCmd). */
void ahci_port_run(AhciPort *p)
{
    bool more = true;

    if (p->issuing)
        return;
    p->issuing = true;
    while (more && takes_commands(p)) {
        while (!(p->issued >> p->next_slot & 1))
            p->next_slot = (p->next_slot + 1) % AHCI_SLOTS;
        unsigned slot = p->next_slot;
        more = slot_issue(p, slot);
        if (more)
            p->next_slot = (slot + 1) % AHCI_SLOTS;
    }
    p->issuing = false;
    ahci_move(p);
}
