/* Commands of the I/O queues (NVM Express 1.4, chapter 6). */
#include <errno.h>
#include <string.h>

#include "core/log.h"
#include "hw/block/nvme_internal.h"
#include "util/bits.h"

enum { IO_FLUSH = 0x00, IO_WRITE = 0x01, IO_READ = 0x02, IO_WRITE_ZEROES = 0x08, IO_DATASET = 0x09 };
#define FORCE_ACCESS BIT(30) /* doubleword 12: on stable storage before it is complete */
#define DEALLOCATE BIT(25)
#define ALL_NAMESPACES UINT32_MAX

static bool is_write(const NvmeRequest *r)
{
    return r->command[0] != IO_READ;
}

static uint16_t status_of(const NvmeRequest *r, int error)
{
    switch (error) {
    case 0: return NVME_OK;
    case -EINVAL: return NVME_OUT_OF_RANGE; /* the image became smaller */
    case -EROFS: return NVME_READ_ONLY;
    case -ENOSPC: return NVME_CAPACITY;
    default: return is_write(r) ? NVME_WRITE_FAULT : NVME_READ_ERROR;
    }
}

static void done(void *opaque, int error)
{
    NvmeRequest *r = opaque;
    nvme_finish(r, status_of(r, error), 0);
}

static uint16_t run_flush(NvmeRequest *r)
{
    block_flush(r->controller->block, done, r);
    return NVME_PENDING;
}

/* A write that must be on stable storage is followed by a flush. */
static void written(void *opaque, int error)
{
    NvmeRequest *r = opaque;

    if (!error && (nvme_dword(r, 12) & FORCE_ACCESS))
        block_flush(r->controller->block, done, r);
    else
        done(r, error);
}

/* The bytes of a command's blocks, whose count is one more than its field says. */
static uint16_t take_range(const NvmeRequest *r, uint64_t *offset, uint64_t *size)
{
    const Nvme *s = r->controller;
    uint64_t first = nvme_qword(r, 10), count = (nvme_dword(r, 12) & 0xffff) + 1, blocks = nvme_blocks(s);

    if (first >= blocks || count > blocks - first) {
        log_guest_error("nvme: command %02x for blocks %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT " of %"
                        G_GUINT64_FORMAT, r->command[0], first, first + count, blocks);
        return NVME_OUT_OF_RANGE;
    }
    *offset = first * s->block_bytes;
    *size = count * s->block_bytes;
    return NVME_OK;
}

static void count_transfer(NvmeRequest *r, uint64_t size)
{
    NvmeCounters *c = &r->controller->counters;

    if (is_write(r))
        c->writes++, c->blocks_written += size / 512;
    else
        c->reads++, c->blocks_read += size / 512;
}

static uint16_t run_transfer(NvmeRequest *r)
{
    BlockBackend *b = r->controller->block;
    uint64_t offset, size;
    uint16_t status = take_range(r, &offset, &size);

    if (!status && is_write(r) && block_readonly(b))
        status = NVME_READ_ONLY;
    if (!status)
        status = nvme_map(r, size, !is_write(r));
    if (status)
        return status;
    count_transfer(r, size);
    if (is_write(r))
        block_writev(b, offset, r->dma.iov, r->dma.count, written, r);
    else
        block_readv(b, offset, r->dma.iov, r->dma.count, done, r);
    return NVME_PENDING;
}

static uint16_t run_write_zeroes(NvmeRequest *r)
{
    BlockBackend *b = r->controller->block;
    uint64_t offset, size;
    uint16_t status = take_range(r, &offset, &size);

    if (status)
        return status;
    if (block_readonly(b))
        return NVME_READ_ONLY;
    block_write_zeroes(b, offset, size, nvme_dword(r, 12) & DEALLOCATE, written, r);
    return NVME_PENDING;
}

/* ---- DATASET MANAGEMENT: one discard after the other ---- */

static void range_next(NvmeRequest *r);

static void discarded(void *opaque, int error)
{
    NvmeRequest *r = opaque;

    if (error)
        done(r, error);
    else
        range_next(r);
}

static void range_next(NvmeRequest *r)
{
    Nvme *s = r->controller;

    while (r->range < r->range_count) {
        const uint8_t *p = r->ranges + NVME_RANGE * r->range++;
        uint64_t count = ld32le(p + 4), first = ld64le(p + 8);
        if (count) {
            block_discard(s->block, first * s->block_bytes, count * s->block_bytes, discarded, r);
            return;
        }
    }
    done(r, 0);
}

static bool ranges_fit(const NvmeRequest *r)
{
    uint64_t blocks = nvme_blocks(r->controller);

    for (unsigned i = 0; i < r->range_count; i++) {
        const uint8_t *p = r->ranges + NVME_RANGE * i;
        uint64_t count = ld32le(p + 4), first = ld64le(p + 8);
        if (first > blocks || count > blocks - first)
            return false;
    }
    return true;
}

static bool has_range(const NvmeRequest *r)
{
    for (unsigned i = 0; i < r->range_count; i++)
        if (ld32le(r->ranges + NVME_RANGE * i + 4))
            return true;
    return false;
}

/* Hints other than "deallocate" change nothing. */
static uint16_t run_dataset(NvmeRequest *r)
{
    bool deallocate = nvme_dword(r, 11) & 4;

    r->range = 0;
    r->range_count = (nvme_dword(r, 10) & 0xff) + 1;
    uint16_t status = nvme_map(r, r->range_count * NVME_RANGE, false);
    if (status)
        return status;
    r->ranges = g_malloc(r->range_count * NVME_RANGE);
    dma_to_buffer(&r->dma, 0, r->ranges, r->range_count * NVME_RANGE);
    if (!ranges_fit(r))
        return NVME_OUT_OF_RANGE;
    if (!deallocate || !has_range(r))
        return NVME_OK;
    if (block_readonly(r->controller->block))
        return NVME_READ_ONLY;
    range_next(r);
    return NVME_PENDING;
}

/* ---- the table ---- */

typedef uint16_t IoCommand(NvmeRequest *r);

static IoCommand *const commands[] = {
    [IO_FLUSH] = run_flush,
    [IO_WRITE] = run_transfer,
    [IO_READ] = run_transfer,
    [IO_WRITE_ZEROES] = run_write_zeroes,
    [IO_DATASET] = run_dataset,
};

uint16_t nvme_io(NvmeRequest *r)
{
    unsigned opcode = r->command[0];

    if (opcode >= ARRAY_SIZE(commands) || !commands[opcode]) {
        log_printf(LOG_UNIMP, "nvme: no I/O command %02x\n", opcode);
        return NVME_BAD_OPCODE;
    }
    if (nvme_namespace(r) != 1 && !(opcode == IO_FLUSH && nvme_namespace(r) == ALL_NAMESPACES))
        return NVME_BAD_NAMESPACE;
    return commands[opcode](r);
}
