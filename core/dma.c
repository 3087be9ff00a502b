/* Guest memory as a scatter list (dma.h). */
#include "core/dma.h"

#include <string.h>

#include "util/bits.h"

/* What an element of the list is: RAM as it is, a buffer in place of what is not RAM, or memory of the caller's. */
typedef struct DmaRange {
    uint64_t gpa;
    uint64_t pool_offset; /* of RAM */
    bool bounce, callers;
} DmaRange;

#define SIZE_MAX_ALL (UINT64_C(1) << 31)
#define BUFFERED_MAX (1 * MiB)

void dma_init(DmaList *d, AddressSpace *as, bool to_memory)
{
    *d = (DmaList){ .as = as, .to_memory = to_memory, .ranges = g_array_new(FALSE, FALSE, sizeof(DmaRange)) };
}

static void append(DmaList *d, void *base, uint64_t size, const DmaRange *r)
{
    if (d->count == d->room) {
        d->room = d->room ? 2 * d->room : 8;
        d->iov = g_renew(struct iovec, d->iov, d->room);
    }
    d->iov[d->count++] = (struct iovec){ .iov_base = base, .iov_len = size };
    g_array_append_val(d->ranges, *r);
    d->size += size;
}

static void append_buffer(DmaList *d, uint64_t gpa, uint64_t size)
{
    void *buf = g_malloc0(size); /* what a transfer leaves out must not be the host's memory */
    if (!d->to_memory)
        as_read_bytes(d->as, gpa, buf, size);
    append(d, buf, size, &(DmaRange){ .gpa = gpa, .bounce = true });
    d->buffered += size;
}

/* As much of [gpa, gpa + size) as is one thing; returns how much, 0 when that would be too much. */
static uint64_t append_some(DmaList *d, uint64_t gpa, uint64_t size)
{
    AsTarget t = as_lookup(d->as, gpa);
    uint64_t n = MIN(size, t.room);
    if (t.host && !(d->to_memory && t.readonly)) {
        append(d, t.host, n, &(DmaRange){ .gpa = gpa, .pool_offset = t.pool_offset });
        return n;
    }
    n = MIN(n, 64 * KiB); /* what is not RAM is small, unless a guest means harm */
    if (n > BUFFERED_MAX - d->buffered)
        return 0;
    append_buffer(d, gpa, n);
    return n;
}

/* Back to the first `count` elements. */
static void cut(DmaList *d, unsigned count)
{
    for (unsigned k = count; k < d->count; k++) {
        d->size -= d->iov[k].iov_len;
        if (!g_array_index(d->ranges, DmaRange, k).bounce)
            continue;
        d->buffered -= d->iov[k].iov_len;
        g_free(d->iov[k].iov_base);
    }
    g_array_set_size(d->ranges, count);
    d->count = count;
}

bool dma_add(DmaList *d, uint64_t gpa, uint64_t size)
{
    if (size > SIZE_MAX_ALL - d->size)
        return false;
    unsigned count = d->count;
    for (uint64_t n; size; gpa += n, size -= n) {
        n = append_some(d, gpa, size);
        if (!n) {
            cut(d, count);
            return false;
        }
    }
    return true;
}

void dma_add_buffer(DmaList *d, void *buf, uint64_t size)
{
    if (size)
        append(d, buf, size, &(DmaRange){ .callers = true });
}

void dma_written(DmaList *d, uint64_t size)
{
    for (unsigned k = 0; k < d->count && size; k++) {
        const DmaRange *r = &g_array_index(d->ranges, DmaRange, k);
        uint64_t n = MIN(size, d->iov[k].iov_len);
        if (r->bounce)
            as_write_bytes(d->as, r->gpa, d->iov[k].iov_base, n);
        else if (!r->callers)
            ram_mark_written(as_pool(d->as), r->pool_offset, n);
        size -= n;
    }
}

void dma_reset(DmaList *d) { cut(d, 0); }

void dma_clear(DmaList *d)
{
    if (!d->ranges)
        return;
    dma_reset(d);
    g_array_unref(d->ranges);
    g_free(d->iov);
    *d = (DmaList){ 0 };
}

const struct iovec *dma_slice(DmaSlice *s, const DmaList *d, uint64_t offset, uint64_t size, unsigned *count)
{
    unsigned first = 0, n = 0;
    uint64_t in_list = 0;

    for (; first < d->count && offset >= d->iov[first].iov_len; first++)
        offset -= d->iov[first].iov_len;
    for (; first + n < d->count && in_list < offset + size; n++)
        in_list += d->iov[first + n].iov_len;
    *count = n;
    if ((!offset && in_list == size) || !n)
        return d->iov + first;
    if (s->room < n) {
        s->room = n;
        s->own = g_renew(struct iovec, s->own, n);
    }
    memcpy(s->own, d->iov + first, n * sizeof *s->own);
    s->own[n - 1].iov_len -= in_list - size - offset;
    s->own[0].iov_base = (uint8_t *)s->own[0].iov_base + offset;
    s->own[0].iov_len -= offset;
    return s->own;
}

void dma_slice_free(DmaSlice *s)
{
    g_free(s->own);
    *s = (DmaSlice){ 0 };
}

/* Copies [offset, offset + size) of the list from or to buf. */
static uint64_t copy(const DmaList *d, uint64_t offset, uint8_t *buf, uint64_t size, bool to_list)
{
    uint64_t done = 0;
    for (unsigned k = 0; k < d->count && done < size; k++) {
        const struct iovec *v = &d->iov[k];
        if (offset >= v->iov_len) {
            offset -= v->iov_len;
            continue;
        }
        uint64_t n = MIN(size - done, v->iov_len - offset);
        uint8_t *at = (uint8_t *)v->iov_base + offset;
        memcpy(to_list ? at : buf + done, to_list ? buf + done : at, n);
        done += n;
        offset = 0;
    }
    return done;
}

uint64_t dma_to_buffer(const DmaList *d, uint64_t offset, void *buf, uint64_t size)
{
    return copy(d, offset, buf, size, false);
}

uint64_t dma_from_buffer(DmaList *d, uint64_t offset, const void *buf, uint64_t size)
{
    return copy(d, offset, (uint8_t *)buf, size, true);
}
