/*
 * Slices of L2 tables and of reference count blocks in memory, in which order they reach the file, and the ranges of the
 * disk that threads work on.
 *
 * A slice is at most 4 KiB, so that random access over a large disk reads, and holds, little.  Dirty slices are not
 * evicted: who adds them calls qcow2_relieve() from time to time, without the lock.
 */
#include <errno.h>
#include <string.h>

#include "backends/block/qcow2.h"
#include "util/bits.h"
#include "util/endian.h"

/* ---- ranges ---- */

/* Whether one that came earlier is in the way. */
static bool range_must_wait(const Qcow2Range *r)
{
    for (const GList *l = r->link.prev; l; l = l->prev) {
        const Qcow2Range *other = l->data;
        if ((r->exclusive || other->exclusive) && r->start < other->end && other->start < r->end)
            return true;
    }
    return false;
}

void qcow2_range_begin(Qcow2 *q, Qcow2Range *r, uint64_t start, uint64_t end, bool exclusive)
{
    *r = (Qcow2Range){ .start = start, .end = end, .exclusive = exclusive, .link.data = r };
    g_queue_push_tail_link(&q->ranges, &r->link);
    q->exclusive += exclusive;
    while (q->exclusive && range_must_wait(r))
        g_cond_wait(&q->range_ended, &q->lock);
}

void qcow2_range_end(Qcow2 *q, Qcow2Range *r)
{
    g_queue_unlink(&q->ranges, &r->link);
    if (q->exclusive)
        g_cond_broadcast(&q->range_ended);
    q->exclusive -= r->exclusive;
}

/* ---- slices ---- */

static void slice_free(Qcow2 *q, Qcow2Slice *s)
{
    g_hash_table_remove(q->slices, &s->at);
    g_queue_unlink(&q->recent, &s->link);
    if (s->dirty)
        g_ptr_array_remove_fast(q->dirty[s->kind], s);
    g_free(s->data);
    g_free(s);
}

/* Makes room for one more, if a clean one can go. */
static void evict(Qcow2 *q)
{
    unsigned tries = 64;

    if (q->recent.length < q->slices_max)
        return;
    for (GList *l = q->recent.tail; l && tries--; l = l->prev) {
        Qcow2Slice *s = l->data;
        if (!s->dirty && !s->writing) {
            slice_free(q, s);
            return;
        }
    }
}

static Qcow2Slice *slice_new(Qcow2 *q, Qcow2Kind kind, uint64_t at)
{
    evict(q);
    Qcow2Slice *s = g_new0(Qcow2Slice, 1);
    s->at = at;
    s->kind = kind;
    s->link.data = s;
    s->data = g_malloc0(UINT64_C(1) << q->slice_bits);
    g_hash_table_insert(q->slices, &s->at, s);
    g_queue_push_head_link(&q->recent, &s->link);
    return s;
}

int qcow2_cache_get(Qcow2 *q, Qcow2Kind kind, uint64_t at, Qcow2Slice **out)
{
    Qcow2Slice *s = g_hash_table_lookup(q->slices, &at);

    *out = s;
    if (s && s->kind == kind) {
        if (q->recent.head != &s->link) {
            g_queue_unlink(&q->recent, &s->link);
            g_queue_push_head_link(&q->recent, &s->link);
        }
        return 0;
    }
    if (s) {
        qcow2_corrupt(q, "the table at offset %" G_GUINT64_FORMAT " is used as an L2 table and for reference counts", at);
        return -EIO;
    }
    s = slice_new(q, kind, at);
    int status = image_read(q->image.lower, at, s->data, UINT64_C(1) << q->slice_bits);
    if (status)
        slice_free(q, s);
    else
        *out = s;
    return status;
}

void qcow2_cache_dirty(Qcow2 *q, Qcow2Slice *s)
{
    if (!s->dirty)
        g_ptr_array_add(q->dirty[s->kind], s);
    s->dirty = true;
}

Qcow2Slice *qcow2_cache_new(Qcow2 *q, Qcow2Kind kind, uint64_t at)
{
    Qcow2Slice *s = g_hash_table_lookup(q->slices, &at);

    if (s)
        slice_free(q, s);
    s = slice_new(q, kind, at);
    qcow2_cache_dirty(q, s);
    return s;
}

/* None of them is being written: clusters are let go by who writes. */
void qcow2_cache_forget(Qcow2 *q, uint64_t at, uint64_t size)
{
    for (uint64_t end = at + size; at < end; at += UINT64_C(1) << q->slice_bits) {
        Qcow2Slice *s = g_hash_table_lookup(q->slices, &at);
        if (s)
            slice_free(q, s);
    }
}

void qcow2_cache_clear(Qcow2 *q)
{
    while (q->recent.head)
        slice_free(q, q->recent.head->data);
}

/* ---- writing ---- */

/* What is to be written, as it was at one moment. */
typedef struct Batch {
    GPtrArray *slices[QCOW2_KINDS];
    uint8_t *copies[QCOW2_KINDS];
    uint8_t *l1, *reftable;
    Qcow2Part l1_part, reftable_part;
    uint64_t l1_at, reftable_at;
    GArray *frees;
} Batch;

static gint compare_slices(gconstpointer a, gconstpointer b)
{
    const Qcow2Slice *x = *(Qcow2Slice *const *)a, *y = *(Qcow2Slice *const *)b;
    return x->at < y->at ? -1 : x->at > y->at;
}

static void take_slices(Qcow2 *q, Batch *b, Qcow2Kind kind)
{
    uint64_t size = UINT64_C(1) << q->slice_bits;

    b->slices[kind] = q->dirty[kind];
    q->dirty[kind] = g_ptr_array_new();
    g_ptr_array_sort(b->slices[kind], compare_slices);
    b->copies[kind] = g_malloc(b->slices[kind]->len * size);
    for (guint n = 0; n < b->slices[kind]->len; n++) {
        Qcow2Slice *s = g_ptr_array_index(b->slices[kind], n);
        memcpy(b->copies[kind] + n * size, s->data, size);
        s->dirty = false;
        s->writing = true;
    }
}

/* Dirty entries, as they are in the file. */
static uint8_t *take_entries(const uint64_t *table, Qcow2Part *dirty, Qcow2Part *taken)
{
    uint8_t *bytes = g_malloc((dirty->to - dirty->from) * 8 + 1);

    *taken = *dirty;
    *dirty = (Qcow2Part){ 0, 0 };
    for (uint32_t n = taken->from; n < taken->to; n++)
        st64be(bytes + (n - taken->from) * 8, table[n]);
    return bytes;
}

/* Lazy images keep their counts in memory as long as that is little. */
static bool counts_can_wait(const Qcow2 *q) { return q->lazy && q->dirty[QCOW2_REFCOUNTS]->len < q->slices_max / 4; }

static void batch_take(Qcow2 *q, Batch *b, bool all)
{
    g_mutex_lock(&q->lock);
    if (all || !counts_can_wait(q)) {
        take_slices(q, b, QCOW2_REFCOUNTS);
        b->reftable = take_entries(q->reftable, &q->reftable_dirty, &b->reftable_part);
        q->reftable_writing = b->reftable_part;
    }
    take_slices(q, b, QCOW2_L2);
    b->l1 = take_entries(q->l1, &q->l1_dirty, &b->l1_part);
    b->l1_at = q->header.l1_at;
    b->reftable_at = q->header.reftable_at;
    b->frees = q->frees;
    q->frees = g_array_new(FALSE, FALSE, sizeof(Qcow2Free));
    g_mutex_unlock(&q->lock);
}

static int write_slices(Qcow2 *q, const Batch *b, Qcow2Kind kind)
{
    uint64_t size = UINT64_C(1) << q->slice_bits;
    int status = 0;

    for (guint n = 0; b->slices[kind] && n < b->slices[kind]->len && !status; n++) {
        const Qcow2Slice *s = g_ptr_array_index(b->slices[kind], n);
        status = image_write(q->image.lower, s->at, b->copies[kind] + n * size, size);
    }
    return status;
}

static int sync_if(Qcow2 *q, bool needed)
{
    return needed ? qcow2_sync(q) : 0;
}

int qcow2_sync(Qcow2 *q)
{
    g_mutex_lock(&q->lock);
    bool was = q->unsynced;
    q->unsynced = false;
    g_mutex_unlock(&q->lock);
    int status = image_flush(q->image.lower);
    if (status && was) {
        g_mutex_lock(&q->lock);
        q->unsynced = true;
        g_mutex_unlock(&q->lock);
    }
    return status;
}

static bool has(const GPtrArray *slices) { return slices && slices->len; }

static int write_entries(Qcow2 *q, uint64_t at, Qcow2Part part, const uint8_t *bytes)
{
    uint64_t size = (part.to - part.from) * UINT64_C(8);
    return size ? image_write(q->image.lower, at + part.from * UINT64_C(8), bytes, size) : 0;
}

static bool note_unsynced(Qcow2 *q, bool wrote)
{
    g_mutex_lock(&q->lock);
    q->unsynced |= wrote;
    bool unsynced = q->unsynced;
    g_mutex_unlock(&q->lock);
    return unsynced;
}

static int write_counts(Qcow2 *q, Batch *b)
{
    bool table = b->reftable_part.to > b->reftable_part.from;
    int status = write_slices(q, b, QCOW2_REFCOUNTS);

    note_unsynced(q, has(b->slices[QCOW2_REFCOUNTS]));
    if (!status)
        status = sync_if(q, table);
    if (!status)
        status = write_entries(q, b->reftable_at, b->reftable_part, b->reftable);
    note_unsynced(q, table);
    return status;
}

static int batch_write(Qcow2 *q, Batch *b)
{
    bool l1 = b->l1_part.to > b->l1_part.from;
    int status = write_counts(q, b);

    if (!status)
        status = sync_if(q, note_unsynced(q, false) && (has(b->slices[QCOW2_L2]) || l1));
    if (!status)
        status = write_slices(q, b, QCOW2_L2);
    if (!status)
        status = sync_if(q, l1 && has(b->slices[QCOW2_L2]));
    if (!status)
        status = write_entries(q, b->l1_at, b->l1_part, b->l1);
    return status ? status : sync_if(q, b->frees->len);
}

/* After a failure all is to be written again. */
static void give_back(Qcow2 *q, Batch *b, int status)
{
    for (unsigned kind = 0; kind < QCOW2_KINDS; kind++) {
        for (guint n = 0; b->slices[kind] && n < b->slices[kind]->len; n++) {
            Qcow2Slice *s = g_ptr_array_index(b->slices[kind], n);
            s->writing = false;
            if (status)
                qcow2_cache_dirty(q, s);
        }
    }
    q->reftable_writing = (Qcow2Part){ 0, 0 };
    if (!status)
        return;
    qcow2_part_add(&q->l1_dirty, b->l1_part);
    qcow2_part_add(&q->reftable_dirty, b->reftable_part);
    g_array_append_vals(q->frees, b->frees->data, b->frees->len);
}

static void batch_clear(Batch *b)
{
    for (unsigned kind = 0; kind < QCOW2_KINDS; kind++) {
        if (b->slices[kind])
            g_ptr_array_unref(b->slices[kind]);
        g_free(b->copies[kind]);
    }
    g_free(b->l1);
    g_free(b->reftable);
    g_array_unref(b->frees);
}

/* A cluster whose last reference goes: nothing refers to it any more, and nothing can before the count is 0. */
static bool is_doomed(Qcow2 *q, uint64_t cluster)
{
    uint64_t count;

    g_mutex_lock(&q->lock);
    bool doomed = !qcow2_refcount_get(q, cluster, &count) && count == 1;
    g_mutex_unlock(&q->lock);
    return doomed;
}

/* The host may have the room of what nothing uses any more; before another use may begin. */
static void discard_freed(Qcow2 *q, const GArray *frees)
{
    for (guint n = 0; n < frees->len; n++) {
        const Qcow2Free *f = &g_array_index(frees, Qcow2Free, n);
        for (uint64_t c = f->at >> q->cluster_bits, end = c + f->clusters, run; c < end; c += MAX(run, 1)) {
            for (run = 0; c + run < end && is_doomed(q, c + run); run++)
                ;
            if (run)
                image_discard(q->image.lower, c << q->cluster_bits, run << q->cluster_bits);
        }
    }
}

static int write_back(Qcow2 *q, bool all)
{
    Batch b = { 0 };

    batch_take(q, &b, all);
    int status = batch_write(q, &b);
    if (!status && q->image.discard)
        discard_freed(q, b.frees);
    g_mutex_lock(&q->lock);
    give_back(q, &b, status);
    if (!status)
        status = qcow2_apply_frees(q, b.frees);
    g_mutex_unlock(&q->lock);
    batch_clear(&b);
    return status;
}

int qcow2_write_back(Qcow2 *q)
{
    g_mutex_lock(&q->write_back);
    int status = write_back(q, false);
    g_mutex_unlock(&q->write_back);
    return status;
}

/* Twice: clusters freed by the first change reference counts, which the second writes. */
int qcow2_write_all(Qcow2 *q)
{
    g_mutex_lock(&q->write_back);
    int status = write_back(q, true);
    if (!status)
        status = write_back(q, true);
    if (!status)
        status = qcow2_sync(q);
    g_mutex_unlock(&q->write_back);
    return status;
}

int qcow2_relieve(Qcow2 *q)
{
    enum { FREES_MAX = 4096 };

    g_mutex_lock(&q->lock);
    unsigned dirty = q->dirty[QCOW2_REFCOUNTS]->len + q->dirty[QCOW2_L2]->len;
    bool full = dirty > q->slices_max / 2 || q->frees->len > FREES_MAX;
    g_mutex_unlock(&q->lock);
    return full ? qcow2_write_back(q) : 0;
}
