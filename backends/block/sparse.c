/*
 * Disks in blocks found by a table (sparse.h): bytes in and out by the driver's find() and allocate().
 */
#include "backends/block/sparse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/bits.h"

static Sparse *sparse_of(Image *i) { return (Sparse *)i; }

void sparse_init(Sparse *s, const SparseOps *ops)
{
    s->ops = ops;
    g_rw_lock_init(&s->lock);
}

void sparse_clear(Sparse *s) { g_rw_lock_clear(&s->lock); }

/* ---- reading ---- */

/* From the backing image; zeros where it ends, or when there is none. */
static int read_backing(const Image *i, uint64_t offset, void *buf, uint64_t size)
{
    uint64_t there = i->backing && offset < i->backing->size ? MIN(size, i->backing->size - offset) : 0;

    memset((uint8_t *)buf + there, 0, size - there);
    return there ? image_read(i->backing, offset, buf, there) : 0;
}

static int read_run(Image *i, const SparseRun *run, uint64_t offset, void *buf)
{
    switch (run->kind) {
    case SPARSE_DATA: return image_read(run->file, run->at, buf, run->length);
    case SPARSE_COMPRESSED: return sparse_of(i)->ops->read_compressed(i, run, offset, buf, run->length);
    case SPARSE_ZERO: memset(buf, 0, run->length); return 0;
    default: return read_backing(i, offset, buf, run->length);
    }
}

int sparse_read(Image *i, uint64_t offset, void *buf, uint64_t size)
{
    Sparse *s = sparse_of(i);
    uint8_t *to = buf;
    int status = 0;
    SparseRun run;

    g_rw_lock_reader_lock(&s->lock);
    for (; size && !status; offset += run.length, to += run.length, size -= run.length) {
        status = s->ops->find(i, offset, size, &run);
        if (status)
            break;
        status = read_run(i, &run, offset, to);
    }
    g_rw_lock_reader_unlock(&s->lock);
    return status;
}

/* ---- writing ---- */

/* Writes the first *size bytes that have their place; *size is 0 when the first one has none. */
static int write_in_place(Image *i, uint64_t offset, const void *buf, uint64_t *size)
{
    SparseRun run;
    int status = sparse_of(i)->ops->find(i, offset, *size, &run);

    *size = 0;
    if (status || run.kind != SPARSE_DATA)
        return status;
    *size = run.length;
    return image_write(run.file, run.at, buf, run.length);
}

/* The same for bytes without a place; looks again, since another may have given them one. */
static int write_allocating(Image *i, uint64_t offset, const void *buf, uint64_t *size)
{
    const SparseOps *ops = sparse_of(i)->ops;
    SparseRun run;
    int status = ops->find(i, offset, *size, &run);

    if (status)
        return status;
    *size = run.length;
    if (run.kind == SPARSE_DATA)
        return image_write(run.file, run.at, buf, run.length);
    return ops->allocate ? ops->allocate(i, offset, buf, size) : -EROFS;
}

int sparse_write(Image *i, uint64_t offset, const void *buf, uint64_t size)
{
    Sparse *s = sparse_of(i);
    const uint8_t *from = buf;
    int status = 0;

    for (uint64_t n; size && !status; offset += n, from += n, size -= n) {
        n = size;
        g_rw_lock_reader_lock(&s->lock);
        status = write_in_place(i, offset, from, &n);
        g_rw_lock_reader_unlock(&s->lock);
        if (status || n)
            continue;
        n = size;
        g_rw_lock_writer_lock(&s->lock);
        status = write_allocating(i, offset, from, &n);
        g_rw_lock_writer_unlock(&s->lock);
    }
    return status;
}

/* ---- zeroing, discarding ---- */

static int write_zero_bytes(Image *i, uint64_t offset, uint64_t size)
{
    enum { CHUNK = 64 * KiB };
    g_autofree uint8_t *zeros = g_malloc0(MIN(size, CHUNK));
    int status = 0;

    for (uint64_t n; size && !status; offset += n, size -= n) {
        n = MIN(size, CHUNK);
        status = sparse_write(i, offset, zeros, n);
    }
    return status;
}

typedef int DataFunction(Image *file, uint64_t at, uint64_t size);

/* Calls fn for the data of a run; *run tells what was there. */
static int with_data(Image *i, uint64_t offset, uint64_t size, SparseRun *run, DataFunction *fn)
{
    Sparse *s = sparse_of(i);

    g_rw_lock_reader_lock(&s->lock);
    int status = s->ops->find(i, offset, size, run);
    if (!status && run->kind == SPARSE_DATA)
        status = fn(run->file, run->at, run->length);
    g_rw_lock_reader_unlock(&s->lock);
    return status;
}

static int zero_kept(Image *file, uint64_t at, uint64_t size) { return image_write_zeroes(file, at, size, false); }
static int zero_unmapped(Image *file, uint64_t at, uint64_t size) { return image_write_zeroes(file, at, size, true); }

int sparse_write_zeroes(Image *i, uint64_t offset, uint64_t size, bool may_unmap)
{
    int status = 0;
    SparseRun run;

    for (; size && !status; offset += run.length, size -= run.length) {
        status = with_data(i, offset, size, &run, may_unmap ? zero_unmapped : zero_kept);
        if (status)
            break;
        if (run.kind == SPARSE_COMPRESSED || (run.kind == SPARSE_NONE && i->backing))
            status = write_zero_bytes(i, offset, run.length);
    }
    return status;
}

int sparse_discard(Image *i, uint64_t offset, uint64_t size)
{
    int status = 0;
    SparseRun run;

    for (; size && !status; offset += run.length, size -= run.length) {
        status = with_data(i, offset, size, &run, image_discard);
        if (status)
            break;
    }
    return status;
}

/* ---- the rest ---- */

int sparse_map(Image *i, uint64_t offset, uint64_t size, ImageExtent *e)
{
    Sparse *s = sparse_of(i);
    SparseRun run = { .length = size };

    g_rw_lock_reader_lock(&s->lock);
    int status = s->ops->find(i, offset, size, &run);
    g_rw_lock_reader_unlock(&s->lock);
    *e = (ImageExtent){ .length = run.length, .allocated = run.kind != SPARSE_NONE,
                        .zero = run.kind == SPARSE_ZERO || (run.kind == SPARSE_NONE && !i->backing),
                        .in_file = run.kind == SPARSE_DATA && run.file == i->lower,
                        .compressed = run.kind == SPARSE_COMPRESSED, .at = run.at };
    return status;
}

int sparse_flush(Image *i) { return image_flush(i->lower); }

int sparse_make_room(Image *file, uint64_t at, uint64_t size)
{
    uint64_t old = file->size;
    int status = 0;

    if (at + size > old)
        status = image_resize(file, at + size);
    if (status == -ENOTSUP) /* a device or a server */
        status = -ENOSPC;
    if (!status && at < old)
        status = image_write_zeroes(file, at, MIN(size, old - at), true);
    return status;
}

int sparse_fill(Image *i, Image *file, uint64_t at, uint64_t start, uint64_t length, uint64_t offset, const void *buf,
                uint64_t size)
{
    int status = sparse_make_room(file, at, length);

    if (!status && i->backing && size < length) {
        g_autofree uint8_t *old = g_malloc(length);
        status = read_backing(i, start, old, length);
        memcpy(old + (offset - start), buf, size);
        return status ? status : image_write(file, at, old, length);
    }
    return status ? status : image_write(file, at + (offset - start), buf, size);
}

typedef struct Place {
    uint64_t at, index;
} Place;

static int compare_places(const void *a, const void *b)
{
    const Place *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

int64_t sparse_overlap(const uint64_t *places, uint64_t count, uint64_t length, uint64_t *other)
{
    g_autofree Place *sorted = g_new(Place, count + 1);
    uint64_t n = 0;

    for (uint64_t k = 0; k < count; k++)
        if (places[k] != UINT64_MAX)
            sorted[n++] = (Place){ places[k], k };
    qsort(sorted, n, sizeof *sorted, compare_places);
    for (uint64_t k = 1; k < n; k++) {
        if (sorted[k].at - sorted[k - 1].at < length) {
            *other = sorted[k - 1].index;
            return sorted[k].index;
        }
    }
    return -1;
}
