/*
 * Queued commands of an AHCI port (Serial ATA 3.x, section 13.6; ACS-3, READ and WRITE FPDMA QUEUED): up to 32 at a
 * time, between image and guest memory.  The first error ends them all; the log page 10h says which it was.
 */
#include <errno.h>
#include <string.h>

#include "core/log.h"
#include "hw/block/ahci.h"
#include "util/bits.h"
#include "util/endian.h"

enum { READ_QUEUED = 0x60, WRITE_QUEUED = 0x61 };
/* Under way in a port: what is not RAM is held in buffers, whose size must be bounded. */
#define QUEUED_BYTES (64 * MiB)

bool ahci_is_queued(uint8_t command)
{
    return command == READ_QUEUED || command == WRITE_QUEUED;
}

unsigned ahci_queued(const AhciPort *p)
{
    unsigned n = 0;

    for (unsigned i = 0; i < AHCI_SLOTS; i++)
        n += p->tag[i].under_way;
    return n;
}

void ahci_queue_forget(AhciPort *p)
{
    for (unsigned i = 0; i < AHCI_SLOTS; i++)
        p->tag[i].stale = p->tag[i].under_way;
}

/* ---- ends ---- */

static void put_error_log(IdeDrive *d, unsigned tag, uint64_t lba)
{
    uint8_t *log = d->queue_error;

    memset(log, 0, sizeof d->queue_error);
    log[0] = tag;
    log[2] = d->status;
    log[3] = d->error;
    log[4] = lba, log[5] = lba >> 8, log[6] = lba >> 16;
    log[7] = DEV_LBA;
    log[8] = lba >> 24, log[9] = lba >> 32, log[10] = lba >> 40;
}

/* All others are given up, too; the host finds them in SACT. */
static void fail(AhciPort *p, unsigned tag, uint64_t lba, uint8_t error)
{
    IdeDrive *d = &p->drive;

    d->status = ST_DRDY | ST_DSC | ST_ERR;
    d->error = error;
    put_error_log(d, tag, lba);
    p->halted = true;
    ahci_queue_forget(p);
    ahci_send_bits(p, 0);
    ahci_port_raise(p, PORT_SDBS | PORT_TFES);
}

static void succeed(AhciPort *p, unsigned tag)
{
    p->active &= ~BIT(tag);
    ahci_send_bits(p, BIT(tag));
    ahci_port_raise(p, PORT_SDBS);
}

static uint8_t error_of(const AhciTag *t, int status)
{
    if (status == -EINVAL)
        return ER_IDNF;
    return t->writing ? ER_ABRT : ER_UNC;
}

static void done(void *opaque, int status)
{
    AhciTag *t = opaque;
    AhciPort *p = t->port;
    bool wanted = !t->stale;

    t->under_way = t->stale = false;
    if (!status && !t->writing)
        ahci_dma_written(p->hba, &t->dma, t->dma.size);
    p->queued_bytes -= t->dma.size;
    dma_reset(&t->dma);
    if (!wanted)
        ahci_update_irq(p->hba);
    else if (status)
        fail(p, t - p->tag, t->lba, error_of(t, status));
    else
        succeed(p, t - p->tag);
    ahci_port_run(p);
}

static void written(void *opaque, int status)
{
    AhciTag *t = opaque;

    if (!status && t->force)
        block_flush(t->port->drive.block, done, t);
    else
        done(t, status);
}

/* ---- begin ---- */

static void submit(AhciTag *t)
{
    BlockBackend *b = t->port->drive.block;

    t->under_way = true;
    t->port->queued_bytes += t->dma.size;
    if (t->writing)
        block_writev(b, t->lba * ATA_SECTOR, t->dma.iov, t->dma.count, written, t);
    else
        block_readv(b, t->lba * ATA_SECTOR, t->dma.iov, t->dma.count, done, t);
}

/* The command is accepted: its slot is free for the host to look at, its tag is active (5.5.1). */
static void accept(AhciPort *p, unsigned slot, uint8_t command)
{
    IdeDrive *d = &p->drive;

    p->issued &= ~BIT(slot);
    d->command = command;
    d->standby = false;
    d->status = ST_DRDY | ST_DSC;
    d->error = 0;
}

bool ahci_queue(AhciPort *p, unsigned slot, const uint8_t *fis)
{
    IdeDrive *d = &p->drive;
    unsigned tag = fis[12] >> 3;
    AhciTag *t = &p->tag[tag];
    uint64_t lba = ld32le(fis + 8) & 0xffffff, count = fis[3] | fis[11] << 8;

    lba = lba << 24 | (ld32le(fis + 4) & 0xffffff);
    count = count ? count : 65536;
    if (t->under_way || (p->queued_bytes && p->queued_bytes + count * ATA_SECTOR > QUEUED_BYTES))
        return false;
    accept(p, slot, fis[2]);
    if (lba >= d->sectors || count > d->sectors - lba) {
        fail(p, tag, lba, ER_IDNF);
        return true;
    }
    t->writing = fis[2] == WRITE_QUEUED;
    t->force = fis[7] & 0x80;
    t->lba = lba;
    ahci_collect(p, slot, 0, count * ATA_SECTOR, &t->dma, !t->writing);
    if (t->dma.size == count * ATA_SECTOR && !(t->writing && block_readonly(d->block))) {
        submit(t);
        return true;
    }
    dma_reset(&t->dma);
    fail(p, tag, lba, ER_ABRT);
    return true;
}
