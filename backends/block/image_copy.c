/* Work on whole images (image_copy.h), in parts of at most some MiB. */
#include "backends/block/image_copy.h"

#include <errno.h>
#include <string.h>

#include "core/options.h"
#include "util/bits.h"

enum { CHUNK = 2 << 20 };

bool buffer_is_zero(const void *buf, uint64_t size)
{
    const uint8_t *b = buf;
    return !size || (!b[0] && !memcmp(b, b + 1, size - 1));
}

/* ---- what all of it needs ---- */

static int step(ImageWork *w, uint64_t done, uint64_t total)
{
    if (w->progress)
        w->progress(w->opaque, done, total);
    return w->cancel && *w->cancel ? -ECANCELED : 0;
}

static int failed(ImageWork *w, const Image *i, uint64_t at, bool writing, int status)
{
    if (status && !w->failed) {
        w->failed = i;
        w->failed_at = at;
        w->failed_writing = writing;
    }
    return status;
}

/* What lies behind an image's end, or in no image, is zeros. */
static int read_padded(Image *i, uint64_t offset, uint8_t *buf, uint64_t size, ImageWork *w)
{
    uint64_t there = i && offset < i->size ? MIN(size, i->size - offset) : 0;

    memset(buf + there, 0, size - there);
    return there ? failed(w, i, offset, false, image_read(i, offset, buf, there)) : 0;
}

static int write_all(Image *i, uint64_t offset, const uint8_t *buf, uint64_t size, ImageWork *w)
{
    return failed(w, i, offset, true, image_write(i, offset, buf, size));
}

static int write_zeroes(Image *i, uint64_t offset, uint64_t size, ImageWork *w)
{
    return failed(w, i, offset, true, image_write_zeroes(i, offset, size, true));
}

/* ---- copying ---- */

/* Bytes from the buffer's beginning that are all zeros, or all without `sparse` zeros in a row. */
static uint64_t same_kind(const uint8_t *buf, uint64_t size, uint64_t sparse, bool *zero)
{
    uint64_t n = MIN(sparse, size);

    *zero = buffer_is_zero(buf, n);
    while (n < size && buffer_is_zero(buf + n, MIN(sparse, size - n)) == *zero)
        n += MIN(sparse, size - n);
    return n;
}

static int write_sparse(Image *to, uint64_t at, const uint8_t *buf, uint64_t size, const ImageCopy *c, ImageWork *w)
{
    int status = 0;

    for (uint64_t n; size && !status; buf += n, at += n, size -= n) {
        bool zero = false;
        n = c->sparse ? same_kind(buf, size, c->sparse, &zero) : size;
        if (zero)
            status = c->zeroed ? 0 : write_zeroes(to, at, n, w);
        else
            status = write_all(to, at, buf, n, w);
    }
    return status;
}

/* A cluster at a time, as large as the format wants it; its last one may be shorter. */
static int write_packed(Image *to, uint64_t at, const uint8_t *buf, uint64_t size, const ImageCopy *c, ImageWork *w)
{
    if (buffer_is_zero(buf, size))
        return c->zeroed ? 0 : write_zeroes(to, at, size, w);
    return failed(w, to, at, true, to->driver->write_compressed(to, at, buf, size));
}

/* The largest size that the format compresses at once: found by what `info` says of its clusters. */
static uint64_t cluster_of(Image *i)
{
    g_autoptr(GPtrArray) pairs = option_pairs_parse("", NULL);
    const char *text;

    if (i->driver->info)
        i->driver->info(i, pairs);
    text = option_pairs_get(pairs, "cluster_size");
    return text ? g_ascii_strtoull(text, NULL, 10) : 64 * KiB;
}

static int read_or_salvage(Image *from, uint64_t offset, uint8_t *buf, uint64_t size, ImageCopy *c, ImageWork *w)
{
    enum { SECTOR = 512 };
    ImageWork quiet = { 0 };
    int status = read_padded(from, offset, buf, size, c->salvage ? &quiet : w);

    if (!status || !c->salvage)
        return status;
    for (uint64_t n = 0, part; n < size; n += part) {
        part = MIN(SECTOR, size - n);
        if (!read_padded(from, offset + n, buf + n, part, &quiet))
            continue;
        memset(buf + n, 0, part);
        c->lost += part;
    }
    return 0;
}

static int find_extent(Image *from, uint64_t offset, uint64_t size, const ImageCopy *c, ImageExtent *e, ImageWork *w)
{
    Image *in = from;
    int status = c->top_only ? image_map(from, offset, size, e) : image_map_chain(from, offset, size, e, &in);

    if (status && c->salvage) {
        *e = (ImageExtent){ .length = MIN(size, 64 * KiB), .allocated = true };
        status = 0;
    }
    if (!status && !e->length)
        status = -EIO;
    return failed(w, in, offset, false, status);
}

static int copy_data(Image *from, uint64_t offset, Image *to, uint8_t *buf, uint64_t size, ImageCopy *c, ImageWork *w)
{
    int status = read_or_salvage(from, offset, buf, size, c, w);

    if (status)
        return status;
    return c->compress ? write_packed(to, c->at + offset, buf, size, c, w)
                       : write_sparse(to, c->at + offset, buf, size, c, w);
}

/* Compressed clusters are whole: data and holes within one are not told apart. */
static int copy_compressed(Image *from, Image *to, uint8_t *buf, ImageCopy *c, ImageWork *w)
{
    uint64_t cluster = MIN(cluster_of(to), CHUNK);
    int status = 0;

    for (uint64_t at = 0, n; at < from->size && !status; at += n) {
        ImageExtent e;
        n = MIN(cluster, from->size - at);
        status = find_extent(from, at, from->size - at, c, &e, w);
        if (status)
            break;
        if (e.length >= cluster && (!e.allocated || e.zero)) {
            n = align_down(e.length, cluster);
            status = c->zeroed || !e.zero ? 0 : write_zeroes(to, c->at + at, n, w);
        } else {
            status = copy_data(from, at, to, buf, n, c, w);
        }
        if (!status)
            status = step(w, at + n, from->size);
    }
    return status;
}

static int copy_plain(Image *from, Image *to, uint8_t *buf, ImageCopy *c, ImageWork *w)
{
    int status = 0;

    for (uint64_t at = 0, n; at < from->size && !status; at += n) {
        ImageExtent e;
        status = find_extent(from, at, from->size - at, c, &e, w);
        if (status)
            break;
        n = e.length;
        bool skip = c->top_only && !e.allocated, hole = !skip && (e.zero || !e.allocated) && c->sparse;
        if (!skip && !hole)
            status = copy_data(from, at, to, buf, n = MIN(n, CHUNK - (at & (CHUNK - 1))), c, w);
        else if (hole && !c->zeroed)
            status = write_zeroes(to, c->at + at, n, w);
        if (!status)
            status = step(w, at + n, from->size);
    }
    return status;
}

int image_copy(Image *from, Image *to, ImageCopy *c, ImageWork *w)
{
    g_autofree uint8_t *buf = g_try_malloc(CHUNK);

    if (!buf)
        return -ENOMEM;
    if (c->compress && !to->driver->write_compressed)
        return -ENOTSUP;
    return c->compress ? copy_compressed(from, to, buf, c, w) : copy_plain(from, to, buf, c, w);
}

/* ---- committing ---- */

static int commit_extent(Image *in, uint64_t at, const ImageExtent *e, Image *base, uint8_t *buf, ImageWork *w)
{
    if (e->zero)
        return write_zeroes(base, at, e->length, w);
    int status = read_padded(in, at, buf, e->length, w);
    return status ? status : write_all(base, at, buf, e->length, w);
}

int image_commit(Image *top, Image *base, ImageWork *w)
{
    g_autofree uint8_t *buf = g_try_malloc(CHUNK);
    int status = buf ? 0 : -ENOMEM;

    if (!status && base->size < top->size)
        status = failed(w, base, base->size, true, image_resize(base, top->size));
    for (uint64_t at = 0; at < top->size && !status;) {
        ImageExtent e;
        Image *in;
        status = image_map_chain(top, at, top->size - at, &e, &in);
        if (status || !e.length)
            return failed(w, top, at, false, status ? status : -EIO);
        if (e.allocated && !e.zero)
            e.length = MIN(e.length, CHUNK);
        status = e.allocated ? commit_extent(in, at, &e, base, buf, w) : 0;
        at += e.length;
        if (!status)
            status = step(w, at, top->size);
    }
    return status ? status : failed(w, base, 0, true, image_flush(base));
}

/* ---- rebasing ---- */

/* Parts of 64 KiB that differ are written to `top`: the rest of a larger cluster is read from the old backing image. */
static int keep_differences(Image *top, uint64_t at, const uint8_t *old, const uint8_t *new, uint64_t size, ImageWork *w)
{
    enum { PART = 64 << 10 };
    int status = 0;

    for (uint64_t n = 0, part; n < size && !status; n += part) {
        part = MIN(PART, size - n);
        if (!memcmp(old + n, new + n, part))
            continue;
        status = buffer_is_zero(old + n, part) ? write_zeroes(top, at + n, part, w)
                                               : write_all(top, at + n, old + n, part, w);
    }
    return status;
}

int image_rebase(Image *top, Image *backing, ImageWork *w)
{
    g_autofree uint8_t *old = g_try_malloc(CHUNK), *new = g_try_malloc(CHUNK);
    int status = old && new ? 0 : -ENOMEM;

    for (uint64_t at = 0, n; at < top->size && !status; at += n) {
        ImageExtent e;
        status = failed(w, top, at, false, image_map(top, at, top->size - at, &e));
        if (status)
            break;
        n = e.allocated ? e.length : MIN(e.length, CHUNK - (at & (CHUNK - 1)));
        if (!e.allocated) {
            status = read_padded(top->backing, at, old, n, w);
            if (!status)
                status = read_padded(backing, at, new, n, w);
            if (!status)
                status = keep_differences(top, at, old, new, n, w);
        }
        if (!status)
            status = step(w, at + n, top->size);
    }
    return status ? status : failed(w, top, 0, true, image_flush(top));
}

/* ---- comparing ---- */

/* What one has there: of it, behind its end nothing. */
static int extent_padded(Image *i, uint64_t at, uint64_t size, ImageExtent *e, ImageWork *w)
{
    Image *in = i;

    *e = (ImageExtent){ .length = size, .zero = true };
    if (at >= i->size)
        return 0;
    return failed(w, i, at, false, image_map_chain(i, at, MIN(size, i->size - at), e, &in));
}

static uint64_t first_difference(const uint8_t *a, const uint8_t *b, uint64_t size)
{
    enum { SECTOR = 512 };
    uint64_t n = 0;
    while (n < size && !memcmp(a + n, b + n, MIN(SECTOR, size - n)))
        n += MIN(SECTOR, size - n);
    return n;
}

int image_compare(Image *a, Image *b, bool strict, uint64_t *at, bool *status_differs, ImageWork *w)
{
    g_autofree uint8_t *x = g_try_malloc(CHUNK), *y = g_try_malloc(CHUNK);
    uint64_t size = MAX(a->size, b->size), n;
    int status = x && y ? 0 : -ENOMEM;

    *status_differs = false;
    for (*at = 0; *at < size && !status; *at += n) {
        ImageExtent e, f;
        status = extent_padded(a, *at, size - *at, &e, w);
        if (!status)
            status = extent_padded(b, *at, size - *at, &f, w);
        if (status)
            break;
        n = MIN(e.length, f.length);
        if (strict && (e.allocated != f.allocated || e.zero != f.zero)) {
            *status_differs = true;
            return 0;
        }
        if ((e.zero || !e.allocated) && (f.zero || !f.allocated))
            continue;
        n = MIN(n, CHUNK);
        status = read_padded(a, *at, x, n, w);
        if (!status)
            status = read_padded(b, *at, y, n, w);
        uint64_t same = status ? n : first_difference(x, y, n);
        *at += same < n ? same : 0;
        if (status || same < n)
            return status;
        status = step(w, *at + n, size);
    }
    return status;
}
