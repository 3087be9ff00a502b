/*
 * Reads, writes, zeros and discards.  A request is worked off in runs: parts that lie in a row, or are all alike.
 */
#include <errno.h>
#include <string.h>

#include "backends/block/qcow2.h"
#include "util/bits.h"

/* ---- scattered buffers ---- */

typedef struct Vector {
    const struct iovec *iov;
    unsigned count;
    size_t skip; /* of the first */
} Vector;

enum { PIECES = 64 }; /* of a vector, at a time */

/* At most `size` bytes from the vector's beginning, in at most PIECES pieces, which are counted; returns the bytes. */
static uint64_t vector_peek(const Vector *v, uint64_t size, struct iovec *out, unsigned *pieces)
{
    uint64_t total = 0;
    size_t skip = v->skip;

    *pieces = 0;
    for (unsigned n = 0; n < v->count && total < size && *pieces < PIECES; n++, skip = 0) {
        size_t length = MIN(v->iov[n].iov_len - skip, size - total);
        out[(*pieces)++] = (struct iovec){ .iov_base = (uint8_t *)v->iov[n].iov_base + skip, .iov_len = length };
        total += length;
    }
    return total;
}

static void vector_advance(Vector *v, uint64_t size)
{
    while (size && v->count) {
        size_t left = v->iov->iov_len - v->skip;
        if (size < left) {
            v->skip += size;
            return;
        }
        size -= left;
        v->iov++;
        v->count--;
        v->skip = 0;
    }
}

static void vector_zero(Vector *v, uint64_t size)
{
    struct iovec pieces[PIECES];
    unsigned count;

    for (uint64_t n; size; size -= n) {
        n = vector_peek(v, size, pieces, &count);
        for (unsigned k = 0; k < count; k++)
            memset(pieces[k].iov_base, 0, pieces[k].iov_len);
        vector_advance(v, n);
    }
}

static void vector_store(Vector *v, const uint8_t *from, uint64_t size)
{
    struct iovec pieces[PIECES];
    unsigned count;

    for (uint64_t n; size; size -= n) {
        n = vector_peek(v, size, pieces, &count);
        for (unsigned k = 0; k < count; from += pieces[k++].iov_len)
            memcpy(pieces[k].iov_base, from, pieces[k].iov_len);
        vector_advance(v, n);
    }
}

static uint64_t vector_size(const struct iovec *iov, unsigned count)
{
    uint64_t size = 0;
    while (count--)
        size += iov++->iov_len;
    return size;
}

/* ---- reading ---- */

static int read_from(Image *from, uint64_t at, Vector *v, uint64_t size)
{
    struct iovec pieces[PIECES];
    unsigned count;
    int status = 0;

    for (uint64_t n; size && !status; at += n, size -= n) {
        n = vector_peek(v, size, pieces, &count);
        status = count == 1 ? image_read(from, at, pieces->iov_base, n) : image_readv(from, at, pieces, count);
        vector_advance(v, n);
    }
    return status;
}

/* What the image leaves to its backing image, which may be shorter. */
static int read_absent(Qcow2 *q, uint64_t offset, Vector *v, uint64_t size)
{
    Image *backing = q->image.backing;
    uint64_t there = backing && offset < backing->size ? MIN(size, backing->size - offset) : 0;
    int status = there ? read_from(backing, offset, v, there) : 0;

    if (!status)
        vector_zero(v, size - there);
    return status;
}

static int read_packed(Qcow2 *q, const Qcow2Run *r, uint64_t offset, Vector *v)
{
    g_autofree uint8_t *cluster = g_try_malloc(q->cluster);
    int status = cluster ? qcow2_read_compressed(q, r, cluster) : -ENOMEM;

    if (!status)
        vector_store(v, cluster + (offset & (q->cluster - 1)), r->length);
    return status;
}

static int read_run(Qcow2 *q, const Qcow2Run *r, uint64_t offset, Vector *v)
{
    switch (r->kind) {
    case CLUSTER_DATA: return read_from(q->image.lower, r->at, v, r->length);
    case CLUSTER_COMPRESSED: return read_packed(q, r, offset, v);
    case CLUSTER_ABSENT: return read_absent(q, offset, v, r->length);
    default: vector_zero(v, r->length); return 0;
    }
}

/* The caller has a Range. */
static int read_runs(Qcow2 *q, uint64_t offset, Vector *v, uint64_t size)
{
    Qcow2Run r;
    int status = 0;

    for (; size && !status; offset += r.length, size -= r.length) {
        g_mutex_lock(&q->lock);
        status = qcow2_lookup(q, offset, size, &r);
        g_mutex_unlock(&q->lock);
        if (!status)
            status = read_run(q, &r, offset, v);
    }
    return status;
}

int qcow2_readv(Image *i, uint64_t offset, const struct iovec *iov, unsigned count)
{
    Qcow2 *q = qcow2_of(i);
    Vector v = { .iov = iov, .count = count };
    uint64_t size = vector_size(iov, count);
    Qcow2Range range;

    if (offset > i->size || size > i->size - offset)
        return -EINVAL;
    g_mutex_lock(&q->lock);
    qcow2_range_begin(q, &range, offset, offset + size, false);
    g_mutex_unlock(&q->lock);
    int status = read_runs(q, offset, &v, size);
    g_mutex_lock(&q->lock);
    qcow2_range_end(q, &range);
    g_mutex_unlock(&q->lock);
    return status;
}

int qcow2_read(Image *i, uint64_t offset, void *buf, uint64_t size)
{
    struct iovec iov = { .iov_base = buf, .iov_len = size };
    return qcow2_readv(i, offset, &iov, 1);
}

/* ---- writing where clusters lie ---- */

static int write_to(Image *to, uint64_t at, Vector *v, uint64_t size)
{
    struct iovec pieces[PIECES];
    unsigned count;
    int status = 0;

    for (uint64_t n; size && !status; at += n, size -= n) {
        n = vector_peek(v, size, pieces, &count);
        status = count == 1 ? image_write(to, at, pieces->iov_base, n) : image_writev(to, at, pieces, count);
        vector_advance(v, n);
    }
    return status;
}

/* Whether data may go there; lock held. */
static bool place_is_data(Qcow2 *q, uint64_t at, uint64_t size)
{
    if (!qcow2_tables_contain(q, at, size))
        return true;
    qcow2_corrupt(q, "data at offset %" G_GUINT64_FORMAT " lies where a table of the image is", at);
    return false;
}

/* Looks for a run that is written in place; 0: *length is 0 when it is not. */
static int lookup_in_place(Qcow2 *q, uint64_t offset, uint64_t size, Qcow2Run *r)
{
    int status = qcow2_lookup(q, offset, size, r);

    if (!status && !r->in_place)
        r->length = 0;
    if (!status && r->length && !place_is_data(q, r->at, r->length))
        status = -EIO;
    return status;
}

/* ---- writing where there are none ---- */

/* Clusters that get a place together, and the part of them that is written. */
typedef struct Placing {
    uint64_t offset, size; /* of what is written */
    uint64_t start, clusters, at;
    bool fresh, kept;      /* kept: their old place, which read as zeros */
} Placing;

/* Whether what is at [offset, offset + size), within a cluster, reads as zeros; lock held. */
static int reads_as_zeros(Qcow2 *q, uint64_t offset, uint64_t size, bool *zeros)
{
    Qcow2Run r;
    const Image *backing = q->image.backing;
    int status = offset < q->image.size ? qcow2_lookup(q, offset, size, &r) : 0;

    if (status)
        return status;
    *zeros = offset >= q->image.size || r.kind == CLUSTER_ZERO || r.kind == CLUSTER_ZERO_KEPT ||
             (r.kind == CLUSTER_ABSENT && (!backing || offset >= backing->size));
    return 0;
}

/* The old content of a part of a cluster that a write leaves as it is; *out NULL: need not be written. */
static int old_content(Qcow2 *q, const Placing *p, uint64_t offset, uint64_t size, uint8_t **out)
{
    bool zeros = true;

    *out = NULL;
    g_mutex_lock(&q->lock);
    int status = size ? reads_as_zeros(q, offset, size, &zeros) : 0;
    g_mutex_unlock(&q->lock);
    if (status || !size || (zeros && p->fresh))
        return status;
    *out = g_try_malloc0(size);
    if (!*out)
        return -ENOMEM;
    uint64_t there = offset < q->image.size ? MIN(size, q->image.size - offset) : 0; /* the last cluster's rest is zeros */
    struct iovec iov = { .iov_base = *out, .iov_len = there };
    Vector v = { .iov = &iov, .count = 1 };
    return zeros ? 0 : read_runs(q, offset, &v, there);
}

/* Writes head, data and tail; in one go when the data is in few pieces. */
static int write_pieces(Qcow2 *q, const Placing *p, uint8_t *head, Vector *v, uint8_t *tail)
{
    struct iovec pieces[PIECES + 2];
    uint64_t in_cluster = p->offset - p->start, end = p->offset + p->size;
    uint64_t rest = p->start + (p->clusters << q->cluster_bits) - end;
    unsigned count;
    Image *lower = q->image.lower;

    if (vector_peek(v, p->size, pieces + 1, &count) == p->size) {
        pieces[0] = (struct iovec){ .iov_base = head, .iov_len = in_cluster };
        pieces[count + 1] = (struct iovec){ .iov_base = tail, .iov_len = rest };
        vector_advance(v, p->size);
        bool one = count == 1 && !head && !tail;
        uint64_t at = p->at + (head ? 0 : in_cluster);
        return one ? image_write(lower, at, pieces[1].iov_base, p->size)
                   : image_writev(lower, at, pieces + !head, count + !!head + !!tail);
    }
    int status = head ? image_write(lower, p->at, head, in_cluster) : 0;
    if (!status)
        status = write_to(lower, p->at + in_cluster, v, p->size);
    return status || !tail ? status : image_write(lower, p->at + in_cluster + p->size, tail, rest);
}

static int write_placed(Qcow2 *q, const Placing *p, Vector *v)
{
    g_autofree uint8_t *head = NULL, *tail = NULL;
    uint64_t end = p->offset + p->size, cluster_end = p->start + (p->clusters << q->cluster_bits);
    int status = old_content(q, p, p->start, p->offset - p->start, &head);

    if (!status)
        status = old_content(q, p, end, cluster_end - end, &tail);
    return status ? status : write_pieces(q, p, head, v, tail);
}

/* How many clusters from `index` on are to be placed together; *kept where, when they have one. */
static uint64_t count_unplaced(Qcow2 *q, const Qcow2Slice *s, unsigned index, uint64_t max, uint64_t *kept)
{
    Qcow2Run r, first;
    uint64_t n;
    bool own = false;

    *kept = 0;
    for (n = 0; n < max && index + n < 1u << (q->slice_bits - 3); n++) {
        uint64_t entry = qcow2_l2_load(s, index + n);
        if (!qcow2_entry_decode(q, entry, &r))
            break;
        own = r.kind == CLUSTER_ZERO_KEPT && entry & QCOW2_COPIED;
        if (!n) {
            first = r;
            *kept = own ? r.at : 0;
        }
        if (r.in_place || own != !!*kept || (own && r.at != first.at + (n << q->cluster_bits)))
            break;
    }
    return n;
}

/* Finds a place for a beginning of p's request; lock held. */
static int place(Qcow2 *q, Placing *p)
{
    Qcow2Slice *s;
    unsigned index;
    uint64_t kept, max, end = p->offset + p->size;
    int status = qcow2_l2_get(q, p->offset, &s, &index);

    if (status)
        return status;
    p->start = align_down(p->offset, q->cluster);
    max = (align_up(end, q->cluster) - p->start) >> q->cluster_bits;
    p->clusters = count_unplaced(q, s, index, max, &kept);
    if (!p->clusters)
        return -EIO;
    p->size = MIN(end, p->start + (p->clusters << q->cluster_bits)) - p->offset;
    p->kept = kept != 0;
    p->at = kept;
    if (kept)
        return place_is_data(q, kept, p->clusters << q->cluster_bits) ? 0 : -EIO;
    return qcow2_alloc(q, p->clusters, &p->at, &p->fresh);
}

/* Makes the tables say so; lock held. */
static int enter(Qcow2 *q, const Placing *p)
{
    Qcow2Slice *s;
    unsigned index;
    int status = qcow2_l2_get(q, p->start, &s, &index);

    if (status)
        return status;
    q->unsynced = true;
    for (uint64_t n = 0; n < p->clusters; n++) {
        uint64_t old = qcow2_l2_load(s, index + n);
        qcow2_l2_store(q, s, index + n, (p->at + (n << q->cluster_bits)) | QCOW2_COPIED);
        if (!p->kept)
            qcow2_free_entry(q, old);
    }
    return 0;
}

/* The caller has the range, alone: a beginning of [offset, offset + size) is written, *done bytes. */
static int write_placing(Qcow2 *q, uint64_t offset, Vector *v, uint64_t size, uint64_t *done)
{
    Placing p = { .offset = offset, .size = size };

    g_mutex_lock(&q->lock);
    int status = q->broken ? -EIO : place(q, &p);
    g_mutex_unlock(&q->lock);
    if (status)
        return status;
    status = write_placed(q, &p, v);
    g_mutex_lock(&q->lock);
    if (!status)
        status = enter(q, &p);
    else if (!p.kept)
        qcow2_free(q, p.at, p.clusters);
    g_mutex_unlock(&q->lock);
    *done = p.size;
    return status;
}

/* One part of a write, within a Range. */
static int write_some(Qcow2 *q, uint64_t offset, Vector *v, uint64_t size, bool alone, uint64_t *done)
{
    Qcow2Run r;

    g_mutex_lock(&q->lock);
    int status = q->broken ? -EIO : lookup_in_place(q, offset, size, &r);
    g_mutex_unlock(&q->lock);
    *done = status ? 0 : r.length;
    if (status || (!r.length && !alone))
        return status;
    return r.length ? write_to(q->image.lower, r.at, v, r.length) : write_placing(q, offset, v, size, done);
}

/* Of a request, at a time: so that a range that is held alone is not a large one. */
enum { PART = 2 << 20 };

static int write_part(Qcow2 *q, uint64_t offset, Vector *v, uint64_t size, bool alone, uint64_t *done)
{
    Qcow2Range range;
    uint64_t n = 1;
    int status = 0;

    *done = 0;
    g_mutex_lock(&q->lock);
    if (alone)
        qcow2_range_begin(q, &range, align_down(offset, q->cluster), align_up(offset + size, q->cluster), true);
    else
        qcow2_range_begin(q, &range, offset, offset + size, false);
    g_mutex_unlock(&q->lock);
    for (; size && n && !status; offset += n, size -= n, *done += n)
        status = write_some(q, offset, v, size, alone, &n);
    g_mutex_lock(&q->lock);
    qcow2_range_end(q, &range);
    g_mutex_unlock(&q->lock);
    return status;
}

int qcow2_writev(Image *i, uint64_t offset, const struct iovec *iov, unsigned count)
{
    Qcow2 *q = qcow2_of(i);
    Vector v = { .iov = iov, .count = count };
    uint64_t size = vector_size(iov, count), done;
    bool alone = false;
    int status = 0;

    if (offset > i->size || size > i->size - offset)
        return -EINVAL;
    while (size && !status) {
        status = write_part(q, offset, &v, alone ? MIN(size, MAX(PART, q->cluster)) : size, alone, &done);
        offset += done, size -= done;
        if (alone && !status)
            status = qcow2_relieve(q);
        alone = !alone;
    }
    return status;
}

int qcow2_write(Image *i, uint64_t offset, const void *buf, uint64_t size)
{
    struct iovec iov = { .iov_base = (void *)buf, .iov_len = size };
    return qcow2_writev(i, offset, &iov, 1);
}

/* ---- zeros and discards ---- */

/* What a cluster's entry becomes; `keep`: its place is kept when it is its own. */
static uint64_t dropped_entry(const Qcow2 *q, uint64_t old, uint64_t entry, bool keep)
{
    Qcow2Run r;

    if (keep && qcow2_entry_decode(q, old, &r) && old & QCOW2_COPIED &&
        (r.kind == CLUSTER_DATA || r.kind == CLUSTER_ZERO_KEPT))
        return old | QCOW2_ZERO;
    return entry;
}

/* Within a slice; lock held. */
static int drop_in_slice(Qcow2 *q, uint64_t offset, uint64_t clusters, uint64_t entry, bool keep)
{
    Qcow2Slice *s;
    unsigned index;
    int status = qcow2_l2_get(q, offset, &s, &index);

    for (unsigned end = index + clusters; !status && index < end; index++) {
        uint64_t old = qcow2_l2_load(s, index), new = dropped_entry(q, old, entry, keep);
        if (new == old)
            continue;
        qcow2_l2_store(q, s, index, new);
        if (new == entry)
            qcow2_free_entry(q, old);
    }
    return status;
}

/* Whether nothing changes: the clusters have no table, and read as they should; lock held. */
static bool is_dropped(Qcow2 *q, uint64_t offset, uint64_t size, uint64_t entry, uint64_t *length)
{
    Qcow2Run r;
    bool absent = !qcow2_lookup(q, offset, size, &r) && r.kind == CLUSTER_ABSENT;

    *length = absent ? r.length : 0;
    return absent && (!entry || !q->image.backing);
}

int qcow2_drop(Qcow2 *q, uint64_t offset, uint64_t size, uint64_t entry, bool keep)
{
    int status = 0;

    for (uint64_t n; size && !status; offset += n, size -= n) {
        g_mutex_lock(&q->lock);
        if (!is_dropped(q, offset, size, entry, &n)) {
            n = MIN(size, qcow2_slice_reach(q) - (offset & (qcow2_slice_reach(q) - 1)));
            status = q->broken ? -EIO : drop_in_slice(q, offset, n >> q->cluster_bits, entry, keep);
        }
        g_mutex_unlock(&q->lock);
        if (!status)
            status = qcow2_relieve(q);
    }
    return status;
}

/* Parts of clusters: zeros are written where something else is. */
int qcow2_zero_bytes(Qcow2 *q, uint64_t offset, uint64_t size)
{
    g_autofree uint8_t *zeros = g_try_malloc0(q->cluster);
    struct iovec iov = { .iov_base = zeros };
    int status = zeros ? 0 : -ENOMEM;

    for (uint64_t n; size && !status; offset += n, size -= n) {
        Vector v = { .iov = &iov, .count = 1 };
        bool is_zero;
        n = iov.iov_len = MIN(size, q->cluster - (offset & (q->cluster - 1)));
        g_mutex_lock(&q->lock);
        status = reads_as_zeros(q, offset, n, &is_zero);
        g_mutex_unlock(&q->lock);
        for (uint64_t left = n, done; !status && !is_zero && left; left -= done)
            status = write_some(q, offset + n - left, &v, left, true, &done);
    }
    return status;
}

/* The whole clusters within a request; the disk's end counts as one's. false: there are none. */
static bool whole_clusters(const Qcow2 *q, uint64_t offset, uint64_t size, uint64_t *start, uint64_t *end)
{
    *start = align_up(offset, q->cluster);
    *end = offset + size == q->image.size ? align_up(q->image.size, q->cluster) : align_down(offset + size, q->cluster);
    return *start < *end;
}

static int zero_range(Qcow2 *q, uint64_t offset, uint64_t size, uint64_t entry, bool keep)
{
    uint64_t start, end, last = offset + size;

    if (!whole_clusters(q, offset, size, &start, &end))
        return qcow2_zero_bytes(q, offset, size);
    int status = qcow2_zero_bytes(q, offset, start - offset);
    if (!status)
        status = qcow2_drop(q, start, end - start, entry, keep);
    return status || end >= last ? status : qcow2_zero_bytes(q, end, last - end);
}

int qcow2_write_zeroes(Image *i, uint64_t offset, uint64_t size, bool may_unmap)
{
    Qcow2 *q = qcow2_of(i);
    Qcow2Range range;
    bool v3 = q->header.version >= 3;

    if (offset > i->size || size > i->size - offset)
        return -EINVAL;
    if (!v3 && i->backing) /* version 2 has no clusters of zeros */
        return -ENOTSUP;
    g_mutex_lock(&q->lock);
    qcow2_range_begin(q, &range, align_down(offset, q->cluster), align_up(offset + size, q->cluster), true);
    g_mutex_unlock(&q->lock);
    int status = zero_range(q, offset, size, v3 ? QCOW2_ZERO : 0, v3 && !may_unmap);
    g_mutex_lock(&q->lock);
    qcow2_range_end(q, &range);
    g_mutex_unlock(&q->lock);
    return status;
}

int qcow2_discard(Image *i, uint64_t offset, uint64_t size)
{
    Qcow2 *q = qcow2_of(i);
    Qcow2Range range;
    uint64_t start, end;
    bool v3 = q->header.version >= 3;

    if (offset > i->size || size > i->size - offset)
        return -EINVAL;
    if (!whole_clusters(q, offset, size, &start, &end) || (!v3 && i->backing))
        return 0;
    g_mutex_lock(&q->lock);
    qcow2_range_begin(q, &range, start, end, true);
    g_mutex_unlock(&q->lock);
    int status = qcow2_drop(q, start, end - start, v3 ? QCOW2_ZERO : 0, false);
    g_mutex_lock(&q->lock);
    qcow2_range_end(q, &range);
    g_mutex_unlock(&q->lock);
    return status;
}

/* ---- mapping, placing ahead ---- */

int qcow2_map(Image *i, uint64_t offset, uint64_t size, ImageExtent *e)
{
    Qcow2 *q = qcow2_of(i);
    Qcow2Run r;

    g_mutex_lock(&q->lock);
    int status = qcow2_lookup(q, offset, size, &r);
    g_mutex_unlock(&q->lock);
    if (status)
        return status;
    *e = (ImageExtent){
        .length = r.length,
        .allocated = r.kind != CLUSTER_ABSENT,
        .zero = r.kind == CLUSTER_ZERO || r.kind == CLUSTER_ZERO_KEPT || (r.kind == CLUSTER_ABSENT && !i->backing),
        .in_file = r.kind == CLUSTER_DATA || r.kind == CLUSTER_ZERO_KEPT,
        .compressed = r.kind == CLUSTER_COMPRESSED,
        .at = r.kind == CLUSTER_DATA || r.kind == CLUSTER_ZERO_KEPT ? r.at : 0,
    };
    return 0;
}

static int place_ahead(Qcow2 *q, uint64_t offset, uint64_t size, uint64_t *done, uint64_t *end)
{
    Placing p = { .offset = offset, .size = size };
    int status = place(q, &p);

    if (!status)
        status = enter(q, &p);
    *done = p.size;
    *end = MAX(*end, p.at + (p.clusters << q->cluster_bits));
    return status;
}

/* Of a new image: its clusters lie in a row behind the tables, and the file is made as long. */
int qcow2_preallocate(Image *i, bool with_data)
{
    Qcow2 *q = qcow2_of(i);
    uint64_t begin = q->end, end = q->end;
    int status = 0;

    for (uint64_t offset = 0, n = 0; offset < i->size && !status; offset += n) {
        g_mutex_lock(&q->lock);
        status = place_ahead(q, offset, i->size - offset, &n, &end);
        g_mutex_unlock(&q->lock);
        if (!status)
            status = qcow2_relieve(q);
    }
    if (!status && end > i->lower->size)
        status = image_resize(i->lower, end);
    if (!status && with_data)
        status = image_write_zeroes(i->lower, begin, end - begin, false);
    return status;
}
