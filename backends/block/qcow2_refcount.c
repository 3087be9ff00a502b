/*
 * Reference counts: a table of blocks, each a cluster of counts of 1 to 64 bits, one for each cluster of the file.
 * Clusters without a block have the count 0.
 */
#include <errno.h>
#include <string.h>

#include "backends/block/qcow2.h"
#include "util/bits.h"
#include "util/endian.h"

/* ---- single counts ---- */

uint64_t qcow2_refcount_max(const Qcow2 *q) { return bit_mask(1u << q->refcount_order); }

uint64_t qcow2_refcount_load(const uint8_t *block, unsigned order, uint64_t index)
{
    switch (order) {
    case 4: return ld16be(block + index * 2);
    case 5: return ld32be(block + index * 4);
    case 6: return ld64be(block + index * 8);
    default: return bits_extract(block[index >> (3 - order)], (index & bit_mask(3 - order)) << order, 1u << order);
    }
}

void qcow2_refcount_store(uint8_t *block, unsigned order, uint64_t index, uint64_t count)
{
    uint8_t *byte = block + (order < 4 ? index >> (3 - order) : 0);

    switch (order) {
    case 4: st16be(block + index * 2, count); break;
    case 5: st32be(block + index * 4, count); break;
    case 6: st64be(block + index * 8, count); break;
    default: *byte = bits_deposit(*byte, (index & bit_mask(3 - order)) << order, 1u << order, count);
    }
}

/* ---- blocks ---- */

static uint64_t block_index(const Qcow2 *q, uint64_t cluster) { return cluster >> q->block_bits; }

static bool has_block(const Qcow2 *q, uint64_t cluster)
{
    return block_index(q, cluster) < q->reftable_size && q->reftable[block_index(q, cluster)];
}

/* The slice with a cluster's count, and its number there. */
static int count_find(Qcow2 *q, uint64_t cluster, Qcow2Slice **s, uint64_t *index)
{
    uint64_t at = q->reftable[block_index(q, cluster)];
    unsigned slice_counts = q->slice_bits + 3 - q->refcount_order; /* log2 */
    uint64_t in_block = cluster & bit_mask(q->block_bits);

    if (at % q->cluster || at < q->cluster || at > q->end - q->cluster) {
        qcow2_corrupt(q, "the refcount table's entry %" G_GUINT64_FORMAT " points to offset %" G_GUINT64_FORMAT
                      ", where no block can be", block_index(q, cluster), at);
        return -EIO;
    }
    *index = in_block & bit_mask(slice_counts);
    return qcow2_cache_get(q, QCOW2_REFCOUNTS, at + (in_block >> slice_counts << q->slice_bits), s);
}

int qcow2_refcount_get(Qcow2 *q, uint64_t cluster, uint64_t *count)
{
    Qcow2Slice *s;
    uint64_t index;

    *count = 0;
    if (!has_block(q, cluster))
        return 0;
    int status = count_find(q, cluster, &s, &index);
    if (!status)
        *count = qcow2_refcount_load(s->data, q->refcount_order, index);
    return status;
}

int qcow2_refcount_set(Qcow2 *q, uint64_t cluster, uint64_t count)
{
    Qcow2Slice *s;
    uint64_t index;

    if (!has_block(q, cluster))
        return -EIO;
    int status = count_find(q, cluster, &s, &index);
    if (status)
        return status;
    qcow2_refcount_store(s->data, q->refcount_order, index, count);
    qcow2_cache_dirty(q, s);
    return 0;
}

/* ---- the table ---- */

static void set_header_reftable(Qcow2 *q, uint64_t at, uint64_t entries)
{
    q->header.reftable_at = at;
    q->header.reftable_clusters = entries * 8 >> q->cluster_bits;
}

/* Clusters of a table with that many entries; whole clusters. */
static uint64_t reftable_clusters(const Qcow2 *q, uint64_t entries) { return align_up(entries * 8, q->cluster) >> q->cluster_bits; }

/* How many blocks count `clusters` of old and, behind them, themselves and their table. */
static uint64_t blocks_for(const Qcow2 *q, uint64_t clusters, uint64_t *table)
{
    uint64_t blocks = 0, need = 1;

    while (need > blocks) {
        blocks = need;
        *table = reftable_clusters(q, blocks + blocks / 2);
        need = (clusters + blocks + *table + bit_mask(q->block_bits)) >> q->block_bits;
    }
    return blocks;
}

/* Writes block number `b` of [0, base + used), of which those from base on are 1, those before as `counts` says. */
static int write_block(Qcow2 *q, uint64_t b, uint64_t at, uint64_t base, uint64_t used, const uint64_t *counts)
{
    g_autofree uint8_t *block = g_malloc0(q->cluster);

    for (uint64_t n = 0, c = b << q->block_bits; n <= bit_mask(q->block_bits) && c < base + used; n++, c++) {
        uint64_t count = c >= base ? 1 : counts ? counts[c] : 0;
        qcow2_refcount_store(block, q->refcount_order, n, MIN(count, qcow2_refcount_max(q)));
    }
    return image_write(q->image.lower, at, block, q->cluster);
}

/* Blocks that may not be on stable storage yet are entered later. */
static int write_new_table(Qcow2 *q, uint64_t at, const uint64_t *table, uint64_t entries)
{
    g_autofree uint64_t *safe = g_memdup2(table, entries * 8);

    for (uint32_t n = q->reftable_dirty.from; n < q->reftable_dirty.to; n++)
        safe[n] = 0;
    return qcow2_table_write(q, at, safe, entries);
}

/* The new table takes the old one's place, on stable storage first. */
static int switch_reftable(Qcow2 *q, uint64_t at, uint64_t *table, uint64_t entries)
{
    Qcow2Header old = q->header;

    qcow2_part_add(&q->reftable_dirty, q->reftable_writing);
    int status = write_new_table(q, at, table, entries);
    if (!status)
        status = image_flush(q->image.lower);
    set_header_reftable(q, at, entries);
    if (!status)
        status = qcow2_header_update(q);
    if (!status)
        status = image_flush(q->image.lower);
    if (status) {
        q->header = old;
        g_free(table);
        return status;
    }
    g_free(q->reftable);
    q->reftable = table;
    q->reftable_size = entries;
    qcow2_tables_add(q, at, entries * 8);
    return 0;
}

/*
 * Blocks from number `first` on, which lie at `base` and behind, followed by the table.  They count themselves, so that
 * nothing that is there already has to change.
 */
static int lay_out(Qcow2 *q, uint64_t first, uint64_t blocks, uint64_t base, uint64_t table_clusters,
                   const uint64_t *counts)
{
    uint64_t used = blocks - first + table_clusters, entries = table_clusters << (q->cluster_bits - 3);
    uint64_t *table = g_try_new0(uint64_t, entries);
    int status = table ? 0 : -ENOMEM;

    if (status)
        return status;
    memcpy(table, q->reftable, MIN(first, q->reftable_size) * 8);
    for (uint64_t b = first; b < blocks && !status; b++) {
        table[b] = (base + b - first) << q->cluster_bits;
        status = write_block(q, b, table[b], base, used, counts);
    }
    if (status) {
        g_free(table);
        return status;
    }
    q->end = MAX(q->end, (base + used) << q->cluster_bits);
    q->fresh = MAX(q->fresh, q->end);
    for (uint64_t b = first; b < blocks; b++)
        qcow2_tables_add(q, table[b], q->cluster);
    return switch_reftable(q, (base + blocks - first) << q->cluster_bits, table, entries);
}

/* A larger table; what it newly covers begins with its own clusters. */
static int grow_table(Qcow2 *q, uint64_t cluster)
{
    uint64_t base = (uint64_t)q->reftable_size << q->block_bits, old_at = q->header.reftable_at, table;
    uint64_t old = q->header.reftable_clusters;
    uint64_t blocks = blocks_for(q, MAX(base, cluster), &table);

    if (table << q->cluster_bits > QCOW2_REFTABLE_MAX)
        return -EFBIG;
    uint64_t new_blocks = blocks - q->reftable_size; /* those that are needed for themselves and the table only */
    while (new_blocks > 1 && new_blocks - 1 + table <= (new_blocks - 1) << q->block_bits)
        new_blocks--;
    int status = lay_out(q, q->reftable_size, q->reftable_size + new_blocks, base, table, NULL);
    if (!status)
        qcow2_free(q, old_at, old);
    return status;
}

int qcow2_reftable_rebuild(Qcow2 *q, uint64_t base, const uint64_t *counts)
{
    uint64_t table, blocks = blocks_for(q, base, &table), entries = q->reftable_size;

    if (table << q->cluster_bits > QCOW2_REFTABLE_MAX)
        return -EFBIG;
    q->reftable_size = 0; /* nothing of it is kept */
    q->reftable_dirty = (Qcow2Part){ 0, 0 };
    int status = lay_out(q, 0, blocks, base, table, counts);
    /* All blocks count clusters from 0 on, but lie behind `base`. */
    if (status)
        q->reftable_size = entries;
    return status;
}

/* A block for a cluster that has none, at a free cluster: one that has a count already, or that one. */
static int block_create(Qcow2 *q, uint64_t cluster, uint64_t place)
{
    uint64_t at = place << q->cluster_bits, index = block_index(q, cluster);

    if (index >= q->reftable_size)
        return grow_table(q, cluster);
    for (uint64_t n = 0; n < q->cluster; n += UINT64_C(1) << q->slice_bits)
        qcow2_cache_new(q, QCOW2_REFCOUNTS, at + n);
    q->reftable[index] = at;
    qcow2_part_add(&q->reftable_dirty, (Qcow2Part){ index, index + 1 });
    q->end = MAX(q->end, at + q->cluster);
    q->fresh = MAX(q->fresh, q->end);
    qcow2_tables_add(q, at, q->cluster);
    return qcow2_refcount_set(q, place, 1);
}

/* ---- taking and giving clusters ---- */

void qcow2_tables_add(Qcow2 *q, uint64_t at, uint64_t size)
{
    uint64_t last = (at + size - 1) >> q->cluster_bits;
    for (uint64_t c = at >> q->cluster_bits; size && c <= last; c++)
        g_hash_table_add(q->tables, GSIZE_TO_POINTER(c));
}

bool qcow2_tables_contain(const Qcow2 *q, uint64_t at, uint64_t size)
{
    uint64_t last = (at + size - 1) >> q->cluster_bits;
    for (uint64_t c = at >> q->cluster_bits; c <= last; c++)
        if (g_hash_table_contains(q->tables, GSIZE_TO_POINTER(c)))
            return true;
    return false;
}

static int increase_one(Qcow2 *q, uint64_t cluster)
{
    uint64_t count;
    int status = qcow2_refcount_get(q, cluster, &count);

    if (status)
        return status;
    return count < qcow2_refcount_max(q) ? qcow2_refcount_set(q, cluster, count + 1) : -ERANGE;
}

int qcow2_refcount_increase(Qcow2 *q, uint64_t at, uint64_t clusters)
{
    int status = 0;
    for (uint64_t c = at >> q->cluster_bits, end = c + clusters; c < end && !status; c++)
        status = increase_one(q, c);
    return status;
}

/*
 * Sees to it that a cluster has a block.  A new block takes the first of the free clusters found so far, so that what is
 * looked for may be longer than a block counts.
 */
static int block_ensure(Qcow2 *q, uint64_t cluster, uint64_t *run)
{
    int status = 0;

    while (!status && !has_block(q, cluster)) {
        bool grows = block_index(q, cluster) >= q->reftable_size;
        status = block_create(q, cluster, cluster - *run);
        *run -= *run && !grows;
    }
    return status;
}

/* The first of `clusters` free ones in a row, all with a block. */
static int find_free(Qcow2 *q, uint64_t clusters, uint64_t *found)
{
    enum { BEHIND_MAX = 1 << 20 };
    uint64_t count, run = 0, c = q->next_free, behind = (q->end >> q->cluster_bits) + BEHIND_MAX;

    for (; run < clusters; c++) {
        if (c > behind && !run) { /* a million clusters are counted that the file does not have */
            qcow2_corrupt(q, "reference counts say that all clusters are in use");
            return -EIO;
        }
        if (c >= (QCOW2_OFFSET >> q->cluster_bits) || c >= (uint64_t)INT64_MAX >> q->cluster_bits)
            return -EFBIG;
        int status = block_ensure(q, c, &run);
        if (!status)
            status = qcow2_refcount_get(q, c, &count);
        if (status)
            return status;
        run = count ? 0 : run + 1;
    }
    *found = c - clusters;
    return 0;
}

/* A lazy image's counts on disk are behind from now on: who opens it next has to know, before tables use what is new. */
static int mark_dirty(Qcow2 *q)
{
    if (!q->lazy || q->header.incompatible & QCOW2_DIRTY)
        return 0;
    q->header.incompatible |= QCOW2_DIRTY;
    int status = qcow2_header_update(q);
    return status ? status : image_flush(q->image.lower);
}

int qcow2_alloc(Qcow2 *q, uint64_t clusters, uint64_t *at, bool *fresh)
{
    uint64_t first = 0;
    int status = q->broken ? -EIO : mark_dirty(q);

    if (!status)
        status = find_free(q, clusters, &first);
    if (status)
        return status;
    *at = first << q->cluster_bits;
    if (qcow2_tables_contain(q, *at, clusters << q->cluster_bits)) {
        qcow2_corrupt(q, "a table in use at offset %" G_GUINT64_FORMAT " is counted as free", *at);
        return -EIO;
    }
    q->next_free = first + clusters; /* smaller holes before are found again when something is freed */
    *fresh = q->holes && *at >= q->fresh;
    q->end = MAX(q->end, *at + (clusters << q->cluster_bits));
    q->fresh = MAX(q->fresh, q->end);
    qcow2_cache_forget(q, *at, clusters << q->cluster_bits);
    return qcow2_refcount_increase(q, *at, clusters);
}

void qcow2_free(Qcow2 *q, uint64_t at, uint64_t clusters)
{
    Qcow2Free *last = q->frees->len ? &g_array_index(q->frees, Qcow2Free, q->frees->len - 1) : NULL;
    uint64_t packed = align_down(q->packed_at, q->cluster);

    if (q->packed_at && packed >= at && packed - at < clusters << q->cluster_bits)
        q->packed_at = 0; /* else its room could be given back to the host while something new is put there */
    if (last && last->at + (last->clusters << q->cluster_bits) == at) {
        last->clusters += clusters;
        return;
    }
    Qcow2Free f = { .at = at, .clusters = clusters };
    g_array_append_val(q->frees, f);
}

static int decrease_one(Qcow2 *q, uint64_t cluster)
{
    uint64_t count;
    int status = qcow2_refcount_get(q, cluster, &count);

    if (!status && !count) {
        qcow2_corrupt(q, "the cluster at offset %" G_GUINT64_FORMAT " was in use, but is counted as free",
                      cluster << q->cluster_bits);
        status = -EIO;
    }
    if (!status)
        status = qcow2_refcount_set(q, cluster, count - 1);
    if (!status && count == 1) {
        qcow2_cache_forget(q, cluster << q->cluster_bits, q->cluster);
        g_hash_table_remove(q->tables, GSIZE_TO_POINTER(cluster));
        q->next_free = MIN(q->next_free, cluster);
    }
    return status;
}

int qcow2_apply_frees(Qcow2 *q, const GArray *frees)
{
    int status = 0;

    for (guint n = 0; n < frees->len; n++) {
        const Qcow2Free *f = &g_array_index(frees, Qcow2Free, n);
        for (uint64_t c = f->at >> q->cluster_bits, end = c + f->clusters; c < end && !status; c++)
            status = decrease_one(q, c);
    }
    return status;
}
