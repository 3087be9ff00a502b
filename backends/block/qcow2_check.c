/*
 * Checking and repairing.  All tables are walked and every reference to a cluster counted; then the counts on disk are
 * compared.  Too high a count is a leak; too low a one would let a cluster be used twice.  Counts are mended in place
 * where their blocks are sound; else all blocks are made anew at the end of the file.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "backends/block/qcow2.h"
#include "core/error.h"
#include "util/bits.h"

typedef struct Check {
    Qcow2 *q;
    ImageCheck *c;
    uint64_t clusters;  /* of the file */
    uint64_t *refs;     /* references found */
    uint64_t *l1;       /* the table that is walked */
    bool active;        /* it is the active one */
    bool rebuild;       /* blocks are not to be trusted */
    uint64_t last;      /* cluster of data before, for fragmentation */
} Check;

static void G_GNUC_PRINTF(2, 3) tell(Check *k, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    if (k->c->tell)
        k->c->tell(k->c->opaque, text);
}

#define U64 "%" G_GUINT64_FORMAT

/* ---- counting ---- */

/* References to [at, at + size); `where` is the entry that leads there. */
static bool count(Check *k, uint64_t at, uint64_t size, const char *what, uint64_t where)
{
    uint64_t first = at >> k->q->cluster_bits, last = (at + size - 1) >> k->q->cluster_bits;

    if (!size)
        return true;
    if (at + size < at || last >= k->clusters) {
        tell(k, "ERROR %s at offset " U64 " points to offset " U64 ", outside the file", what, where, at);
        k->c->corruptions++;
        return false;
    }
    for (uint64_t n = first; n <= last; n++)
        k->refs[n]++;
    k->c->end = MAX(k->c->end, (last + 1) << k->q->cluster_bits);
    return true;
}

static void count_data(Check *k, const Qcow2Run *r, uint64_t entry, uint64_t where)
{
    uint64_t at, clusters;

    qcow2_entry_clusters(k->q, entry, &at, &clusters);
    if (!count(k, at, clusters << k->q->cluster_bits, "the L2 entry", where) || !k->active)
        return;
    k->c->allocated++;
    k->c->compressed += r->kind == CLUSTER_COMPRESSED;
    k->c->fragmented += k->last && k->last + k->q->cluster != r->at && r->kind != CLUSTER_COMPRESSED;
    k->last = r->kind == CLUSTER_COMPRESSED ? 0 : r->at;
}

/* The last stream may end within what would be the file's last cluster. */
static bool entry_place_ok(Check *k, uint64_t entry, const Qcow2Run *r)
{
    return entry & QCOW2_COMPRESSED || r->at % k->q->cluster == 0;
}

static void check_entry(Check *k, uint64_t entry, uint64_t where)
{
    Qcow2Run r;
    bool sound = qcow2_entry_decode(k->q, entry, &r);

    if (!entry)
        return;
    if (!entry_place_ok(k, entry, &r) || (!sound && r.at < k->q->cluster)) {
        tell(k, "ERROR the L2 entry at offset " U64 " points to offset " U64 ", where no cluster can begin", where, r.at);
        k->c->corruptions++;
        return;
    }
    if (r.at)
        count_data(k, &r, entry, where);
}

static int check_l2(Check *k, uint64_t at)
{
    int status;
    g_autofree uint64_t *table = qcow2_table_read(k->q, at, UINT64_C(1) << k->q->l2_bits, &status);

    for (uint64_t n = 0; !status && n < UINT64_C(1) << k->q->l2_bits; n++)
        check_entry(k, table[n], at + n * 8);
    return status;
}

static int check_l1_entry(Check *k, uint64_t entry, uint64_t where)
{
    uint64_t at = entry & QCOW2_OFFSET;

    if (!entry)
        return 0;
    if (at % k->q->cluster || !at) {
        tell(k, "ERROR the L1 entry at offset " U64 " points to offset " U64 ", where no table can be", where, at);
        k->c->corruptions++;
        return 0;
    }
    return count(k, at, k->q->cluster, "the L1 entry", where) ? check_l2(k, at) : 0;
}

static int check_tree(Check *k, uint64_t at, uint32_t entries, bool active)
{
    int status = 0;
    g_autofree uint64_t *table = NULL;

    k->active = active;
    k->last = 0;
    if (!count(k, at, (uint64_t)entries * 8, "the L1 table", at))
        return 0;
    table = qcow2_table_read(k->q, at, entries, &status);
    for (uint32_t n = 0; n < entries && !status; n++)
        status = check_l1_entry(k, table[n], at + (uint64_t)n * 8);
    return status;
}

static int check_trees(Check *k)
{
    Qcow2 *q = k->q;
    int status = check_tree(k, q->header.l1_at, q->header.l1_size, true);

    for (guint n = 0; n < q->snapshots->len && !status; n++) {
        const Qcow2Snapshot *s = g_ptr_array_index(q->snapshots, n);
        status = check_tree(k, s->l1_at, s->l1_size, false);
    }
    return status;
}

/* Bitmaps are not used here, but lose nothing by a repair as long as nothing else is written. */
static int count_bitmap(Check *k, const uint64_t *entry_words, uint64_t where)
{
    uint64_t at = entry_words[0], entries = entry_words[1] >> 32;
    int status = 0;

    if (entries > QCOW2_L1_MAX / 8 || !count(k, at, entries * 8, "the bitmap directory", where))
        return 0;
    g_autofree uint64_t *table = qcow2_table_read(k->q, at, entries, &status);
    for (uint64_t n = 0; n < entries && !status; n++)
        if (table[n] & QCOW2_OFFSET)
            count(k, table[n] & QCOW2_OFFSET, k->q->cluster, "the bitmap table", at + n * 8);
    return status;
}

static uint64_t word(const uint8_t *b)
{
    uint64_t v = 0;
    for (unsigned n = 0; n < 8; n++)
        v = v << 8 | b[n];
    return v;
}

/* Directory entries: table's offset, its size, flags, type, granularity, extra data's and name's lengths (24 bytes). */
static int count_bitmaps(Check *k, const Qcow2Extension *e)
{
    enum { EXTENSION = 24, ENTRY = 24 };
    uint64_t size = e->size >= EXTENSION ? word(e->data + 8) : 0, at = e->size >= EXTENSION ? word(e->data + 16) : 0;
    int status = 0;

    if (size > QCOW2_SNAPSHOT_TABLE_MAX || !count(k, at, size, "the bitmap extension", 0))
        return 0;
    g_autofree uint8_t *b = g_malloc(size + 1);
    status = image_read(k->q->image.lower, at, b, size);
    for (uint64_t n = 0; !status && n + ENTRY <= size;) {
        uint64_t words[2] = { word(b + n), word(b + n + 8) }, tail = word(b + n + 16);
        status = count_bitmap(k, words, at + n);
        n += align_up(ENTRY + (tail & UINT32_MAX) + (tail >> 32 & 0xffff), 8);
    }
    return status;
}

static int check_bitmaps(Check *k)
{
    const Qcow2 *q = k->q;
    int status = 0;

    for (guint n = 0; n < q->extensions->len && !status && q->header.autoclear & QCOW2_BITMAPS; n++) {
        const Qcow2Extension *e = &g_array_index(q->extensions, Qcow2Extension, n);
        if (e->type == QCOW2_EXT_BITMAPS)
            status = count_bitmaps(k, e);
    }
    return status;
}

/* ---- counts on disk ---- */

static bool block_ok(Check *k, uint32_t index)
{
    uint64_t at = k->q->reftable[index], where = k->q->header.reftable_at + (uint64_t)index * 8;

    if (at % k->q->cluster || at < k->q->cluster) {
        tell(k, "ERROR the refcount table's entry at offset " U64 " points to offset " U64 ", where no block can be", where,
             at);
        k->c->corruptions++;
        return false;
    }
    if (!count(k, at, k->q->cluster, "the refcount table's entry", where))
        return false;
    if (k->refs[at >> k->q->cluster_bits] == 1)
        return true;
    tell(k, "ERROR the refcount block at offset " U64 " is used for something else too", at);
    k->c->corruptions++;
    return false;
}

static void check_blocks(Check *k)
{
    const Qcow2 *q = k->q;

    count(k, q->header.reftable_at, (uint64_t)q->reftable_size * 8, "the header", 48);
    for (uint32_t n = 0; n < q->reftable_size; n++)
        if (q->reftable[n] && !block_ok(k, n))
            k->rebuild = true;
}

static void report_count(Check *k, uint64_t cluster, uint64_t found, bool fix)
{
    uint64_t refs = k->refs[cluster];
    bool leak = found > refs;

    tell(k, "%s cluster " U64 " refcount=" U64 " reference=" U64, fix ? "Repairing" : leak ? "Leaked" : "ERROR", cluster,
         found, refs);
    if (leak)
        fix ? k->c->leaks_fixed++ : k->c->leaks++;
    else
        fix ? k->c->corruptions_fixed++ : k->c->corruptions++;
}

static bool may_fix(const Check *k, bool leak) { return k->c->repair_all || (leak && k->c->repair_leaks); }

/* Compares one; what can be mended in place is. */
static int check_count(Check *k, uint64_t cluster)
{
    uint64_t found;
    int status = qcow2_refcount_get(k->q, cluster, &found);
    bool leak = found > k->refs[cluster], fix = false;

    if (status || found == k->refs[cluster])
        return status;
    if (k->refs[cluster] > qcow2_refcount_max(k->q)) {
        tell(k, "ERROR cluster " U64 " has " U64 " references, more than its count can say", cluster, k->refs[cluster]);
        k->c->corruptions++;
        return 0;
    }
    if (may_fix(k, leak) && !k->rebuild) {
        fix = !qcow2_refcount_set(k->q, cluster, k->refs[cluster]);
        k->rebuild |= !fix; /* it has no block */
    }
    if (fix || !may_fix(k, leak))
        report_count(k, cluster, found, fix);
    return 0;
}

static int check_counts(Check *k)
{
    int status = 0;

    for (uint64_t n = 0; n < k->clusters && !status; n++)
        status = k->rebuild ? 0 : check_count(k, n);
    return status;
}

/* New blocks for what was found, without the old ones. */
static int rebuild(Check *k)
{
    Qcow2 *q = k->q;
    Check again = { .q = q, .c = &(ImageCheck){ 0 }, .clusters = k->clusters };

    again.refs = g_try_new0(uint64_t, again.clusters);
    int status = again.refs ? 0 : -ENOMEM;
    if (!status) {
        count(&again, 0, q->cluster, "the header", 0);
        status = check_trees(&again);
        count(&again, q->header.snapshots_at, qcow2_snapshots_size(q), "the header", 64);
    }
    if (!status)
        status = check_bitmaps(&again);
    g_hash_table_remove_all(q->tables);
    qcow2_cache_clear(q);
    q->end = MAX(q->end, k->clusters << q->cluster_bits);
    if (!status)
        status = qcow2_reftable_rebuild(q, k->clusters, again.refs);
    if (!status) {
        tell(k, "Repairing all reference counts: they are written anew");
        k->c->corruptions_fixed += MAX(k->c->corruptions - again.c->corruptions, 1);
        k->c->corruptions = again.c->corruptions;
        k->c->end = q->end;
    }
    g_free(again.refs);
    return status;
}

/* ---- the flag of clusters that may be written in place ---- */

static bool flag_wrong(Check *k, uint64_t entry)
{
    uint64_t at = entry & QCOW2_OFFSET, cluster = at >> k->q->cluster_bits, found;

    if (!at || entry & QCOW2_COMPRESSED || at % k->q->cluster || cluster >= k->clusters)
        return false;
    bool copied = entry & QCOW2_COPIED;
    if (copied)
        return k->refs[cluster] != 1;
    return k->refs[cluster] == 1 && !qcow2_refcount_get(k->q, cluster, &found) && found == 1;
}

/* A table's entries; returns how many are changed. */
static uint64_t check_flags(Check *k, uint64_t *table, uint64_t entries, uint64_t at, const char *what)
{
    uint64_t changed = 0;

    for (uint64_t n = 0; n < entries; n++) {
        if (!flag_wrong(k, table[n]))
            continue;
        tell(k, "%s the %s entry at offset " U64 " has a wrong OFLAG_COPIED: 0x%" G_GINT64_MODIFIER "x",
             k->c->repair_all ? "Repairing" : "ERROR", what, at + n * 8, table[n]);
        k->c->repair_all ? k->c->corruptions_fixed++ : k->c->corruptions++;
        table[n] ^= QCOW2_COPIED;
        changed++;
    }
    return changed;
}

static int check_l2_flags(Check *k, uint64_t at)
{
    uint64_t entries = UINT64_C(1) << k->q->l2_bits;
    int status;
    g_autofree uint64_t *table = qcow2_table_read(k->q, at, entries, &status);

    if (status || !check_flags(k, table, entries, at, "L2") || !k->c->repair_all)
        return status;
    qcow2_cache_forget(k->q, at, k->q->cluster);
    return qcow2_table_write(k->q, at, table, entries);
}

static int check_all_flags(Check *k)
{
    Qcow2 *q = k->q;
    int status = 0;

    for (uint32_t n = 0; n < q->header.l1_size && !status; n++) {
        uint64_t at = q->l1[n] & QCOW2_OFFSET;
        if (at && at % q->cluster == 0 && at >> q->cluster_bits < k->clusters)
            status = check_l2_flags(k, at);
    }
    if (status || !check_flags(k, q->l1, q->header.l1_size, q->header.l1_at, "L1"))
        return status;
    return k->c->repair_all ? qcow2_table_write(q, q->header.l1_at, q->l1, q->header.l1_size) : 0;
}

/* ---- the whole ---- */

static int walk(Check *k)
{
    Qcow2 *q = k->q;

    count(k, 0, q->cluster, "the header", 0);
    int status = check_trees(k);
    count(k, q->header.snapshots_at, qcow2_snapshots_size(q), "the header", 64);
    if (!status)
        status = check_bitmaps(k);
    check_blocks(k);
    if (!status)
        status = check_counts(k);
    if (!status && k->rebuild && k->c->repair_all)
        status = rebuild(k);
    return status ? status : check_all_flags(k);
}

/* All is right now: the marks that said otherwise go. */
static int clear_marks(Qcow2 *q)
{
    q->header.incompatible &= ~(uint64_t)(QCOW2_DIRTY | QCOW2_CORRUPT);
    int status = qcow2_header_update(q);
    return status ? status : image_flush(q->image.lower);
}

static int finish(Check *k)
{
    Qcow2 *q = k->q;
    bool repair = k->c->repair_all || k->c->repair_leaks;

    if (!repair || q->image.readonly)
        return 0;
    q->next_free = 0;
    q->packed_at = 0;
    int status = qcow2_write_all(q);
    if (!status && !k->c->corruptions && q->header.incompatible & (QCOW2_DIRTY | QCOW2_CORRUPT)) {
        status = clear_marks(q);
        q->broken = false;
    }
    return status;
}

gboolean qcow2_check(Image *i, ImageCheck *c, GError **err)
{
    Qcow2 *q = qcow2_of(i);
    Check k = { .q = q, .c = c };

    if (i->readonly)
        c->repair_leaks = c->repair_all = false;
    int status = i->readonly ? 0 : qcow2_write_all(q);
    c->total = align_up(i->size, q->cluster) >> q->cluster_bits;
    k.clusters = MAX(align_up(i->lower->size, q->cluster), q->end) >> q->cluster_bits;
    k.refs = g_try_new0(uint64_t, k.clusters + 1);
    if (!status)
        status = k.refs ? walk(&k) : -ENOMEM;
    if (!status)
        status = finish(&k);
    g_free(k.refs);
    return !status || image_error(i, "cannot be checked", status, err);
}
