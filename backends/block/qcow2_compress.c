/*
 * Compressed clusters: raw deflate streams with a window of 4 KiB, or zstd frames, packed one behind the other at any
 * byte; a cluster of the file has a reference for each stream that touches it.
 */
#include <errno.h>
#include <string.h>
#include <zlib.h>

#include "backends/block/qcow2.h"
#include "config.h"
#include "util/bits.h"
#ifdef CONFIG_ZSTD
#include <zstd.h>
#endif

enum { ZLIB, ZSTD };
enum { WINDOW_BITS = 12 };

bool qcow2_compression_known(uint8_t type)
{
#ifdef CONFIG_ZSTD
    if (type == ZSTD)
        return true;
#endif
    return type == ZLIB;
}

/* ---- streams ---- */

static int zlib_decompress(const void *from, size_t size, void *to, size_t to_size)
{
    z_stream z = { .next_in = (Bytef *)from, .avail_in = size, .next_out = to, .avail_out = to_size };

    if (inflateInit2(&z, -WINDOW_BITS) != Z_OK)
        return -ENOMEM;
    int result = inflate(&z, Z_FINISH);
    bool full = !z.avail_out && (result == Z_STREAM_END || result == Z_BUF_ERROR || result == Z_OK);
    inflateEnd(&z);
    return full ? 0 : -EIO;
}

/* Bytes of the stream; 0: not shorter than what it is made of. */
static size_t zlib_compress(const void *from, size_t size, void *to)
{
    enum { MEMORY = 9 };
    z_stream z = { .next_in = (Bytef *)from, .avail_in = size, .next_out = to, .avail_out = size };

    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -WINDOW_BITS, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
        return 0;
    bool done = deflate(&z, Z_FINISH) == Z_STREAM_END && z.avail_out;
    size_t length = size - z.avail_out;
    deflateEnd(&z);
    return done ? length : 0;
}

#ifdef CONFIG_ZSTD
/* What follows the frame is another's: only as much is taken as a cluster needs. */
static int zstd_decompress(const void *from, size_t size, void *to, size_t to_size)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    ZSTD_inBuffer in = { .src = from, .size = size };
    ZSTD_outBuffer out = { .dst = to, .size = to_size };
    bool ok = context != NULL;

    while (ok && out.pos < out.size) {
        size_t in_before = in.pos, out_before = out.pos;
        ok = !ZSTD_isError(ZSTD_decompressStream(context, &out, &in)) && (in.pos > in_before || out.pos > out_before);
    }
    ZSTD_freeDCtx(context);
    return ok ? 0 : -EIO;
}

static size_t zstd_compress(const void *from, size_t size, void *to)
{
    size_t length = ZSTD_compress(to, size, from, size, ZSTD_CLEVEL_DEFAULT);
    return ZSTD_isError(length) || length >= size ? 0 : length;
}
#endif

int qcow2_decompress(const Qcow2 *q, const void *from, size_t size, void *to)
{
#ifdef CONFIG_ZSTD
    if (q->header.compression == ZSTD)
        return zstd_decompress(from, size, to, q->cluster);
#endif
    return zlib_decompress(from, size, to, q->cluster);
}

static size_t compress_cluster(const Qcow2 *q, const void *from, void *to)
{
#ifdef CONFIG_ZSTD
    if (q->header.compression == ZSTD)
        return zstd_compress(from, q->cluster, to);
#endif
    return zlib_compress(from, q->cluster, to);
}

int qcow2_read_compressed(Qcow2 *q, const Qcow2Run *r, void *cluster)
{
    g_autofree uint8_t *stored = g_try_malloc(r->stored);
    int status = stored ? image_read(q->image.lower, r->at, stored, r->stored) : -ENOMEM;

    if (!status)
        status = qcow2_decompress(q, stored, r->stored, cluster);
    if (status == -EIO) {
        g_mutex_lock(&q->lock);
        qcow2_corrupt(q, "the compressed data at offset %" G_GUINT64_FORMAT " cannot be decompressed", r->at);
        g_mutex_unlock(&q->lock);
    }
    return status;
}

/* ---- writing ---- */

/* Room in the cluster with the last stream, if it may have another reference. */
static int packed_left(Qcow2 *q, uint64_t *left)
{
    uint64_t in_cluster = q->packed_at & (q->cluster - 1), count = 0;
    int status = in_cluster ? qcow2_refcount_get(q, q->packed_at >> q->cluster_bits, &count) : 0;

    *left = in_cluster && count < qcow2_refcount_max(q) ? q->cluster - in_cluster : 0;
    return status;
}

/* Room for a stream of `size` bytes, with a reference to each cluster that it touches; lock held. */
static int packed_alloc(Qcow2 *q, uint64_t size, uint64_t *at)
{
    uint64_t next = 0, left;
    bool fresh;
    int status = packed_left(q, &left);

    if (!status && size > left) {
        status = qcow2_alloc(q, 1, &next, &fresh);
        if (!status && (!left || next != q->packed_at + left)) /* begins in the new cluster */
            q->packed_at = next, left = 0;
    }
    if (!status && left) /* the cluster that it begins in has other streams too */
        status = qcow2_refcount_increase(q, align_down(q->packed_at, q->cluster), 1);
    if (status)
        return status;
    *at = q->packed_at;
    q->packed_at += size;
    return 0;
}

static uint64_t compressed_entry(const Qcow2 *q, uint64_t at, uint64_t size)
{
    uint64_t sectors = ((at + size - 1) >> 9) - (at >> 9);
    return QCOW2_COMPRESSED | sectors << (62 - (q->cluster_bits - 8)) | at;
}

static int enter_compressed(Qcow2 *q, uint64_t offset, uint64_t entry)
{
    Qcow2Slice *s;
    unsigned index;
    int status = qcow2_l2_get(q, offset, &s, &index);

    if (status)
        return status;
    uint64_t old = qcow2_l2_load(s, index);
    q->unsynced = true;
    qcow2_l2_store(q, s, index, entry);
    qcow2_free_entry(q, old);
    return 0;
}

/* The caller has the cluster's Range. */
static int write_stream(Qcow2 *q, uint64_t offset, const void *stream, size_t size)
{
    uint64_t at = 0;

    g_mutex_lock(&q->lock);
    int status = packed_alloc(q, size, &at);
    if (!status && at > bit_mask(62 - (q->cluster_bits - 8)) - size)
        status = -EFBIG;
    g_mutex_unlock(&q->lock);
    if (!status)
        status = image_write(q->image.lower, at, stream, size);
    g_mutex_lock(&q->lock);
    if (!status)
        status = enter_compressed(q, offset, compressed_entry(q, at, size));
    g_mutex_unlock(&q->lock);
    return status;
}

/* A cluster, of the disk's last one as much as there is. */
static int write_cluster(Qcow2 *q, uint64_t offset, const uint8_t *buf, uint64_t size, uint8_t *whole, uint8_t *stream)
{
    Qcow2Range range;

    memcpy(whole, buf, size);
    memset(whole + size, 0, q->cluster - size);
    size_t length = compress_cluster(q, whole, stream);
    if (!length)
        return qcow2_write(&q->image, offset, buf, size);
    g_mutex_lock(&q->lock);
    qcow2_range_begin(q, &range, offset, offset + q->cluster, true);
    g_mutex_unlock(&q->lock);
    int status = write_stream(q, offset, stream, length);
    g_mutex_lock(&q->lock);
    qcow2_range_end(q, &range);
    g_mutex_unlock(&q->lock);
    return status ? status : qcow2_relieve(q);
}

int qcow2_write_compressed(Image *i, uint64_t offset, const void *buf, uint64_t size)
{
    Qcow2 *q = qcow2_of(i);
    const uint8_t *from = buf;
    int status = 0;

    if (offset % q->cluster || offset > i->size || size > i->size - offset ||
        (size % q->cluster && offset + size < i->size))
        return -EINVAL;
    g_autofree uint8_t *whole = g_try_malloc(q->cluster), *stream = g_try_malloc(q->cluster);
    if (!whole || !stream)
        return -ENOMEM;
    for (uint64_t n; size && !status; offset += n, from += n, size -= n) {
        n = MIN(size, q->cluster);
        status = write_cluster(q, offset, from, n, whole, stream);
    }
    return status;
}
