/*
 * Files opened with O_DIRECT (cache.direct).  The host wants offset, length and buffer aligned; what is not goes through
 * a buffer of our own.  Of a block that is written in part the rest is read before, so nobody else may write it
 * meanwhile.
 */
#include "backends/block/file_direct.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/bits.h"

enum { MAX_ALIGNMENT = 4096, CHUNK = 1 * MiB };

unsigned direct_find_alignment(int fd)
{
    void *buf = NULL;
    unsigned alignment = 512;

    if (lseek(fd, 0, SEEK_END) < MAX_ALIGNMENT || posix_memalign(&buf, MAX_ALIGNMENT, MAX_ALIGNMENT))
        return MAX_ALIGNMENT;
    while (alignment < MAX_ALIGNMENT && pread(fd, buf, alignment, 0) < 0 && errno == EINVAL)
        alignment *= 2;
    free(buf);
    return alignment;
}

static bool is_aligned(const DirectFile *f, uint64_t offset, const void *buf, uint64_t size)
{
    return !((offset | size | (uintptr_t)buf) % f->alignment);
}

/* A read that ends within a block has met the end of the file. */
static int read_aligned(const DirectFile *f, uint64_t offset, void *buf, uint64_t size)
{
    uint8_t *to = buf;

    while (size) {
        ssize_t n = pread(f->fd, to, size, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        to += n, offset += n, size -= n;
        if (n % f->alignment || !n) {
            memset(to, 0, size);
            return 0;
        }
    }
    return 0;
}

/* The whole blocks that bytes lie in, at most a buffer's worth. */
typedef struct Span {
    uint64_t start, length; /* aligned */
    uint64_t skip, n;       /* the bytes themselves, within */
} Span;

static Span span_at(const DirectFile *f, uint64_t offset, uint64_t size)
{
    Span s = { .start = align_down(offset, f->alignment) };

    s.skip = offset - s.start;
    s.n = MIN(size, CHUNK - s.skip);
    s.length = align_up(s.skip + s.n, f->alignment);
    return s;
}

int direct_read(DirectFile *f, uint64_t offset, void *buf, uint64_t size)
{
    void *bounce = NULL;
    uint8_t *to = buf;
    int status = 0;

    if (is_aligned(f, offset, buf, size))
        return read_aligned(f, offset, buf, size);
    if (posix_memalign(&bounce, MAX_ALIGNMENT, CHUNK))
        return -ENOMEM;
    while (size && !status) {
        Span s = span_at(f, offset, size);
        status = read_aligned(f, s.start, bounce, s.length);
        if (!status)
            memcpy(to, (uint8_t *)bounce + s.skip, s.n);
        to += s.n, offset += s.n, size -= s.n;
    }
    free(bounce);
    return status;
}

/* What of the first and the last block stays. */
static int read_edges(const DirectFile *f, const Span *s, uint8_t *bounce)
{
    uint64_t last = s->length - f->alignment;
    int status = 0;

    if (s->skip)
        status = read_aligned(f, s->start, bounce, f->alignment);
    if (!status && s->skip + s->n != s->length && (last || !s->skip))
        status = read_aligned(f, s->start + last, bounce + last, f->alignment);
    return status;
}

/* The last block may reach beyond the end that the file is to have. */
static int write_span(const DirectFile *f, const Span *s, const uint8_t *bounce)
{
    uint64_t end = s->start + s->skip + s->n;
    off_t before = lseek(f->fd, 0, SEEK_END);
    int status = file_write(f->fd, s->start, bounce, s->length);

    if (status || s->start + s->length <= (uint64_t)before || s->start + s->length == end)
        return status;
    return ftruncate(f->fd, MAX((uint64_t)before, end)) ? -errno : 0;
}

static int write_unaligned(DirectFile *f, uint64_t offset, const void *buf, uint64_t size)
{
    void *bounce = NULL;
    const uint8_t *from = buf;
    int status = 0;

    if (posix_memalign(&bounce, MAX_ALIGNMENT, CHUNK))
        return -ENOMEM;
    g_rw_lock_writer_lock(&f->lock);
    while (size && !status) {
        Span s = span_at(f, offset, size);
        status = read_edges(f, &s, bounce);
        memcpy((uint8_t *)bounce + s.skip, from, s.n);
        if (!status)
            status = write_span(f, &s, bounce);
        from += s.n, offset += s.n, size -= s.n;
    }
    g_rw_lock_writer_unlock(&f->lock);
    free(bounce);
    return status;
}

int direct_write(DirectFile *f, uint64_t offset, const void *buf, uint64_t size)
{
    if (!is_aligned(f, offset, buf, size))
        return write_unaligned(f, offset, buf, size);
    g_rw_lock_reader_lock(&f->lock);
    int status = file_write(f->fd, offset, buf, size);
    g_rw_lock_reader_unlock(&f->lock);
    return status;
}
