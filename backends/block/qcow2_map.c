/*
 * Where the disk's clusters lie: the L1 table, which is in memory, has the places of L2 tables, which have an entry for
 * each cluster of the disk.
 */
#include <errno.h>
#include <string.h>

#include "backends/block/qcow2.h"
#include "util/bits.h"
#include "util/endian.h"

/* ---- entries ---- */

static unsigned compressed_shift(const Qcow2 *q) { return 62 - (q->cluster_bits - 8); }

/* A compressed entry: offset of any alignment, and how many 512-byte sectors it goes on behind the first. */
static bool decode_compressed(const Qcow2 *q, uint64_t entry, Qcow2Run *r)
{
    unsigned shift = compressed_shift(q);
    uint64_t sectors = bits_extract(entry, shift, 62 - shift) + 1;

    r->kind = CLUSTER_COMPRESSED;
    r->at = entry & bit_mask(shift);
    r->stored = sectors * 512 - r->at % 512;
    return r->at >= q->cluster && r->at < q->end;
}

bool qcow2_entry_decode(const Qcow2 *q, uint64_t entry, Qcow2Run *r)
{
    *r = (Qcow2Run){ 0 };
    if (entry & QCOW2_COMPRESSED)
        return decode_compressed(q, entry, r);
    r->at = entry & QCOW2_OFFSET;
    r->kind = entry & QCOW2_ZERO ? r->at ? CLUSTER_ZERO_KEPT : CLUSTER_ZERO : r->at ? CLUSTER_DATA : CLUSTER_ABSENT;
    r->in_place = r->kind == CLUSTER_DATA && entry & QCOW2_COPIED;
    if (entry & QCOW2_ZERO && q->header.version < 3)
        return false;
    return !r->at || (r->at % q->cluster == 0 && r->at >= q->cluster && r->at <= q->end - q->cluster);
}

void qcow2_entry_clusters(const Qcow2 *q, uint64_t entry, uint64_t *at, uint64_t *clusters)
{
    Qcow2Run r;

    qcow2_entry_decode(q, entry, &r);
    *at = align_down(r.at, q->cluster);
    *clusters = r.at ? 1 : 0;
    if (r.kind == CLUSTER_COMPRESSED)
        *clusters = (align_up(r.at + r.stored, q->cluster) - *at) >> q->cluster_bits;
}

void qcow2_free_entry(Qcow2 *q, uint64_t entry)
{
    uint64_t at, clusters;

    qcow2_entry_clusters(q, entry, &at, &clusters);
    if (clusters)
        qcow2_free(q, at, clusters);
}

uint64_t qcow2_l2_load(const Qcow2Slice *s, unsigned index) { return ld64be(s->data + index * 8); }

void qcow2_l2_store(Qcow2 *q, Qcow2Slice *s, unsigned index, uint64_t entry)
{
    st64be(s->data + index * 8, entry);
    qcow2_cache_dirty(q, s);
}

/* ---- tables ---- */

uint32_t qcow2_l1_needed(const Qcow2 *q, uint64_t size)
{
    unsigned reach = q->cluster_bits + q->l2_bits;
    return (size >> reach) + !!(size & bit_mask(reach));
}

uint64_t *qcow2_table_read(Qcow2 *q, uint64_t at, uint64_t entries, int *status)
{
    uint64_t *table = g_try_new(uint64_t, entries + 1);

    *status = table ? image_read(q->image.lower, at, table, entries * 8) : -ENOMEM;
    if (*status) {
        g_free(table);
        return NULL;
    }
    for (uint64_t n = 0; n < entries; n++)
        table[n] = be64(table[n]);
    return table;
}

int qcow2_table_write(Qcow2 *q, uint64_t at, const uint64_t *table, uint64_t entries)
{
    g_autofree uint64_t *bytes = g_try_new(uint64_t, entries + 1);

    for (uint64_t n = 0; bytes && n < entries; n++)
        bytes[n] = be64(table[n]);
    return bytes ? image_write(q->image.lower, at, bytes, entries * 8) : -ENOMEM;
}

static uint64_t l1_index(const Qcow2 *q, uint64_t offset) { return offset >> (q->cluster_bits + q->l2_bits); }

/* Offset, in the L2 table, of the slice with an entry, and the entry's number there. */
static uint64_t slice_of(const Qcow2 *q, uint64_t offset, unsigned *index)
{
    uint64_t n = offset >> q->cluster_bits & bit_mask(q->l2_bits);

    *index = n & bit_mask(q->slice_bits - 3);
    return align_down(n * 8, UINT64_C(1) << q->slice_bits);
}

static bool l2_place_ok(Qcow2 *q, uint64_t index)
{
    uint64_t at = q->l1[index] & QCOW2_OFFSET;

    if (at % q->cluster == 0 && at >= q->cluster && at <= q->end - q->cluster)
        return true;
    qcow2_corrupt(q, "the L1 table's entry %" G_GUINT64_FORMAT " points to offset %" G_GUINT64_FORMAT
                  ", where no L2 table can be", index, at);
    return false;
}

static int slice_for_reading(Qcow2 *q, uint64_t offset, Qcow2Slice **s, unsigned *index)
{
    uint64_t n = l1_index(q, offset), in_table = slice_of(q, offset, index);

    *s = NULL;
    if (n >= q->header.l1_size || !q->l1[n])
        return 0;
    if (!l2_place_ok(q, n))
        return -EIO;
    return qcow2_cache_get(q, QCOW2_L2, (q->l1[n] & QCOW2_OFFSET) + in_table, s);
}

/* ---- looking up ---- */

/* Whether what `next` says continues `r`. */
static bool run_goes_on(const Qcow2Run *r, uint64_t from, const Qcow2Run *next)
{
    if (next->kind != r->kind || next->in_place != r->in_place)
        return false;
    return r->kind == CLUSTER_ABSENT || r->kind == CLUSTER_ZERO ||
           (r->kind != CLUSTER_COMPRESSED && next->at == from);
}

static int bad_entry(Qcow2 *q, const Qcow2Slice *s, unsigned index)
{
    qcow2_corrupt(q, "the L2 entry at offset %" G_GUINT64_FORMAT " is 0x%" G_GINT64_MODIFIER "x, which points nowhere",
                  s->at + index * 8, qcow2_l2_load(s, index));
    return -EIO;
}

static int lookup_in_slice(Qcow2 *q, const Qcow2Slice *s, unsigned index, uint64_t offset, uint64_t size, Qcow2Run *r)
{
    uint64_t in_cluster = offset & (q->cluster - 1), n = q->cluster - in_cluster;
    unsigned count = 1u << (q->slice_bits - 3);
    Qcow2Run next;

    if (!qcow2_entry_decode(q, qcow2_l2_load(s, index), r))
        return bad_entry(q, s, index);
    while (n < size && ++index < count && qcow2_entry_decode(q, qcow2_l2_load(s, index), &next) &&
           run_goes_on(r, r->at + in_cluster + n, &next))
        n += q->cluster;
    r->length = MIN(n, size);
    if (r->kind == CLUSTER_DATA || r->kind == CLUSTER_ZERO_KEPT)
        r->at += in_cluster;
    return 0;
}

int qcow2_lookup(Qcow2 *q, uint64_t offset, uint64_t size, Qcow2Run *r)
{
    Qcow2Slice *s;
    unsigned index;
    int status = slice_for_reading(q, offset, &s, &index);

    if (status)
        return status;
    if (s) {
        status = lookup_in_slice(q, s, index, offset, size, r);
        r->in_place = r->in_place && q->l1[l1_index(q, offset)] & QCOW2_COPIED;
        return status;
    }
    /* Behind the L1 table's end, which a damaged header can put anywhere below the disk's, nothing is there at all. */
    bool behind = l1_index(q, offset) >= q->header.l1_size;
    uint64_t reach = qcow2_l2_reach(q) - (offset & (qcow2_l2_reach(q) - 1));
    *r = (Qcow2Run){ .kind = CLUSTER_ABSENT, .length = behind ? size : MIN(size, reach) };
    return 0;
}

/* ---- changing ---- */

static void l1_set(Qcow2 *q, uint64_t index, uint64_t entry)
{
    q->l1[index] = entry;
    qcow2_part_add(&q->l1_dirty, (Qcow2Part){ index, index + 1 });
}

/* Gives an L1 entry a table of its own: a copy of the one it has, or one of zeros. */
static int l2_create(Qcow2 *q, uint64_t index)
{
    uint64_t old = q->l1[index] & QCOW2_OFFSET, at, step = UINT64_C(1) << q->slice_bits;
    Qcow2Slice *from = NULL;
    bool fresh;

    if (q->l1[index] && !l2_place_ok(q, index))
        return -EIO;
    int status = qcow2_alloc(q, 1, &at, &fresh);
    for (uint64_t n = 0; n < q->cluster && !status; n += step) {
        Qcow2Slice *to = qcow2_cache_new(q, QCOW2_L2, at + n);
        if (old)
            status = qcow2_cache_get(q, QCOW2_L2, old + n, &from);
        if (old && !status)
            memcpy(to->data, from->data, step);
    }
    if (status)
        return status;
    qcow2_tables_add(q, at, q->cluster);
    l1_set(q, index, at | QCOW2_COPIED);
    if (old)
        qcow2_free(q, old, 1);
    return 0;
}

int qcow2_l2_get(Qcow2 *q, uint64_t offset, Qcow2Slice **s, unsigned *index)
{
    uint64_t n = l1_index(q, offset);

    if (n >= q->header.l1_size)
        return -EINVAL;
    int status = q->l1[n] & QCOW2_COPIED ? 0 : l2_create(q, n);
    return status ? status : slice_for_reading(q, offset, s, index);
}

/* ---- another L1 table ---- */

static uint64_t l1_clusters(const Qcow2 *q, uint32_t entries)
{
    return align_up((uint64_t)entries * 8, q->cluster) >> q->cluster_bits;
}

static int l1_place(Qcow2 *q, uint32_t entries, uint64_t *at)
{
    bool fresh;

    g_mutex_lock(&q->lock);
    int status = qcow2_alloc(q, MAX(l1_clusters(q, entries), 1), at, &fresh);
    g_mutex_unlock(&q->lock);
    return status ? status : qcow2_write_all(q);
}

static void l1_take(Qcow2 *q, uint64_t *table, uint32_t entries, uint64_t at)
{
    uint64_t old_at = q->header.l1_at, old = l1_clusters(q, q->header.l1_size);

    g_free(q->l1);
    q->l1 = table;
    q->header.l1_at = at;
    q->header.l1_size = entries;
    qcow2_tables_add(q, at, (uint64_t)entries * 8);
    if (old && old_at)
        qcow2_free(q, old_at, old);
}

int qcow2_l1_switch(Qcow2 *q, uint64_t *table, uint32_t entries, uint64_t size)
{
    uint64_t at;
    int status = l1_place(q, entries, &at);

    if (!status)
        status = qcow2_table_write(q, at, table, entries);
    if (!status)
        status = qcow2_sync(q);
    g_mutex_lock(&q->lock);
    if (!status) {
        l1_take(q, table, entries, at);
        q->header.size = size;
        status = qcow2_header_update(q);
    }
    g_mutex_unlock(&q->lock);
    if (status && q->l1 != table)
        g_free(table);
    if (!status)
        status = qcow2_sync(q);
    return status;
}
