/*
 * Internal snapshots: each is an L1 table of its own that shares tables and clusters with the active one.  What several
 * tables lead to has a reference for each; what has more than one is copied before it is written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/block/qcow2.h"
#include "core/error.h"
#include "util/bits.h"
#include "util/endian.h"

enum { FIXED = 40, EXTRA_SIZES = 16, EXTRA_OURS = 24, EXTRA_MAX = 1024 };

/* ---- the table ---- */

static void snapshot_free(Qcow2Snapshot *s)
{
    g_free(s->id);
    g_free(s->name);
    g_free(s->extra);
    g_free(s);
}

void qcow2_snapshots_free(Qcow2 *q)
{
    for (guint n = 0; n < q->snapshots->len; n++)
        snapshot_free(g_ptr_array_index(q->snapshots, n));
    g_ptr_array_unref(q->snapshots);
}

static uint64_t entry_size(const Qcow2Snapshot *s)
{
    return align_up(FIXED + s->extra_size + strlen(s->id) + strlen(s->name), 8);
}

uint64_t qcow2_snapshots_size(const Qcow2 *q)
{
    uint64_t size = 0;
    for (guint n = 0; n < q->snapshots->len; n++)
        size += entry_size(g_ptr_array_index(q->snapshots, n));
    return size;
}

static Qcow2Snapshot *decode(const Qcow2 *q, const uint8_t *b, const uint8_t *strings)
{
    Qcow2Snapshot *s = g_new0(Qcow2Snapshot, 1);

    s->l1_at = ld64be(b);
    s->l1_size = ld32be(b + 8);
    s->date = ld32be(b + 16);
    s->date_nsec = ld32be(b + 20);
    s->vm_clock = ld64be(b + 24);
    s->vm_size = ld32be(b + 32);
    s->disk_size = q->header.size;
    s->extra_size = ld32be(b + 36);
    s->extra = g_memdup2(b + FIXED, s->extra_size);
    if (s->extra_size >= 8)
        s->vm_size = ld64be(s->extra);
    if (s->extra_size >= EXTRA_SIZES)
        s->disk_size = ld64be(s->extra + 8);
    s->id = g_strndup((const char *)strings, ld16be(b + 12));
    s->name = g_strndup((const char *)strings + ld16be(b + 12), ld16be(b + 14));
    return s;
}

static bool snapshot_l1_ok(const Qcow2 *q, const Qcow2Snapshot *s)
{
    return s->l1_size <= QCOW2_L1_MAX / 8 && s->l1_at % q->cluster == 0 && s->l1_at <= q->end &&
           (uint64_t)s->l1_size * 8 <= q->end - s->l1_at && s->disk_size <= INT64_MAX - q->cluster;
}

static gboolean bad_snapshot(const Qcow2 *q, const char *who, uint64_t at, const char *what, GError **err)
{
    return error_set(err, "%s: '%s' is corrupt: the snapshot table's entry at offset %" G_GUINT64_FORMAT " %s", who,
                     q->image.file, at, what);
}

/* Reads one entry of at most `left` bytes. */
static gboolean read_entry(Qcow2 *q, const char *who, uint64_t at, uint64_t left, uint64_t *size, GError **err)
{
    uint8_t fixed[FIXED];
    int status = left < FIXED ? -EINVAL : image_read(q->image.lower, at, fixed, FIXED);

    if (status || ld32be(fixed + 36) > EXTRA_MAX)
        return bad_snapshot(q, who, at, status ? "does not lie within the file" : "has too much extra data", err);
    uint64_t extra = ld32be(fixed + 36), strings = (uint64_t)ld16be(fixed + 12) + ld16be(fixed + 14);
    *size = align_up(FIXED + extra + strings, 8);
    if (FIXED + extra + strings > left)
        return bad_snapshot(q, who, at, "does not lie within the file", err);
    g_autofree uint8_t *b = g_malloc(*size);
    status = image_read(q->image.lower, at, b, *size);
    if (status)
        return bad_snapshot(q, who, at, "cannot be read", err);
    Qcow2Snapshot *s = decode(q, b, b + FIXED + extra);
    g_ptr_array_add(q->snapshots, s);
    return snapshot_l1_ok(q, s) || bad_snapshot(q, who, at, "has an L1 table outside the file", err);
}

gboolean qcow2_snapshots_read(Qcow2 *q, const char *who, GError **err)
{
    uint64_t at = q->header.snapshots_at, left = MIN(q->end - MIN(at, q->end), QCOW2_SNAPSHOT_TABLE_MAX), size = 0;

    for (uint32_t n = 0; n < q->header.snapshots; n++, at += size, left -= MIN(left, size)) {
        if (!read_entry(q, who, at, left, &size, err))
            return FALSE;
    }
    return TRUE;
}

static void encode(const Qcow2Snapshot *s, uint8_t *b)
{
    size_t id = strlen(s->id), name = strlen(s->name);

    st64be(b, s->l1_at);
    st32be(b + 8, s->l1_size);
    st16be(b + 12, id);
    st16be(b + 14, name);
    st32be(b + 16, s->date);
    st32be(b + 20, s->date_nsec);
    st64be(b + 24, s->vm_clock);
    st32be(b + 32, MIN(s->vm_size, UINT32_MAX));
    st32be(b + 36, s->extra_size);
    if (s->extra_size)
        memcpy(b + FIXED, s->extra, s->extra_size);
    memcpy(b + FIXED + s->extra_size, s->id, id);
    memcpy(b + FIXED + s->extra_size + id, s->name, name);
}

static uint64_t clusters_of(const Qcow2 *q, uint64_t bytes) { return align_up(bytes, q->cluster) >> q->cluster_bits; }

static int alloc_bytes(Qcow2 *q, uint64_t bytes, uint64_t *at)
{
    bool fresh;

    g_mutex_lock(&q->lock);
    int status = qcow2_alloc(q, clusters_of(q, bytes), at, &fresh);
    g_mutex_unlock(&q->lock);
    return status;
}

static void free_bytes(Qcow2 *q, uint64_t at, uint64_t bytes)
{
    g_mutex_lock(&q->lock);
    if (bytes)
        qcow2_free(q, at, clusters_of(q, bytes));
    g_mutex_unlock(&q->lock);
}

static int write_snapshot_table(Qcow2 *q, uint64_t at, uint64_t size)
{
    g_autofree uint8_t *b = g_malloc0(size + 1);
    uint64_t n = 0;

    for (guint k = 0; k < q->snapshots->len; k++) {
        encode(g_ptr_array_index(q->snapshots, k), b + n);
        n += entry_size(g_ptr_array_index(q->snapshots, k));
    }
    return image_write(q->image.lower, at, b, size);
}

/* The table as it is in memory becomes the file's; `old` bytes were the old one's. */
static int switch_snapshots(Qcow2 *q, uint64_t old)
{
    uint64_t size = qcow2_snapshots_size(q), at = 0, old_at = q->header.snapshots_at;
    int status = size ? alloc_bytes(q, size, &at) : 0;

    if (!status && size)
        status = write_snapshot_table(q, at, size);
    if (!status)
        status = qcow2_write_all(q);
    if (status)
        return status;
    g_mutex_lock(&q->lock);
    q->header.snapshots = q->snapshots->len;
    q->header.snapshots_at = at;
    qcow2_tables_add(q, at, size);
    status = qcow2_header_update(q);
    g_mutex_unlock(&q->lock);
    if (!status)
        status = qcow2_sync(q);
    if (!status)
        free_bytes(q, old_at, old);
    return status;
}

/* ---- trees of tables ---- */

static int refer(Qcow2 *q, uint64_t at, uint64_t clusters, bool more)
{
    if (more)
        return qcow2_refcount_increase(q, at, clusters);
    qcow2_free(q, at, clusters);
    return 0;
}

/* All that one slice of an L2 table leads to; lock held. */
static int slice_refer(Qcow2 *q, uint64_t at, bool more)
{
    Qcow2Slice *s;
    Qcow2Run r;
    int status = qcow2_cache_get(q, QCOW2_L2, at, &s);

    for (unsigned n = 0; !status && n < 1u << (q->slice_bits - 3); n++) {
        uint64_t entry, place, clusters;
        status = qcow2_cache_get(q, QCOW2_L2, at, &s); /* counting may have evicted it */
        if (status)
            break;
        entry = qcow2_l2_load(s, n);
        if (!entry)
            continue;
        if (!qcow2_entry_decode(q, entry, &r))
            return -EIO;
        qcow2_entry_clusters(q, entry, &place, &clusters);
        status = clusters ? refer(q, place, clusters, more) : 0;
    }
    return status;
}

static bool l2_at_ok(const Qcow2 *q, uint64_t at) { return at % q->cluster == 0 && at >= q->cluster && at < q->end; }

static int table_refer(Qcow2 *q, uint64_t at, bool more)
{
    int status = l2_at_ok(q, at) ? 0 : -EIO;

    for (uint64_t n = 0; n < q->cluster && !status; n += UINT64_C(1) << q->slice_bits) {
        g_mutex_lock(&q->lock);
        status = slice_refer(q, at + n, more);
        g_mutex_unlock(&q->lock);
        if (!status)
            status = qcow2_relieve(q);
    }
    if (status)
        return status;
    g_mutex_lock(&q->lock);
    status = refer(q, at, 1, more);
    g_mutex_unlock(&q->lock);
    return status;
}

int qcow2_tree_refer(Qcow2 *q, const uint64_t *l1, uint32_t entries, bool more)
{
    int status = 0;

    for (uint32_t n = 0; n < entries && !status; n++) {
        if (l1[n])
            status = table_refer(q, l1[n] & QCOW2_OFFSET, more);
    }
    return status;
}

/* The entry with the flag that its count asks for; lock held. */
static int mark_entry(Qcow2 *q, uint64_t entry, uint64_t *marked)
{
    uint64_t at = entry & QCOW2_OFFSET, count;

    *marked = entry;
    if (!at || entry & QCOW2_COMPRESSED)
        return 0;
    int status = qcow2_refcount_get(q, at >> q->cluster_bits, &count);
    *marked = count == 1 ? entry | QCOW2_COPIED : entry & ~QCOW2_COPIED;
    return status;
}

static int mark_slice(Qcow2 *q, uint64_t at)
{
    Qcow2Slice *s;
    int status = 0;

    for (unsigned n = 0; !status && n < 1u << (q->slice_bits - 3); n++) {
        uint64_t marked;
        status = qcow2_cache_get(q, QCOW2_L2, at, &s);
        uint64_t entry = status ? 0 : qcow2_l2_load(s, n);
        if (!entry)
            continue;
        status = mark_entry(q, entry, &marked);
        if (status || marked == entry)
            continue;
        status = qcow2_cache_get(q, QCOW2_L2, at, &s);
        if (!status)
            qcow2_l2_store(q, s, n, marked);
    }
    return status;
}

static int mark_table(Qcow2 *q, uint32_t index)
{
    uint64_t at = q->l1[index] & QCOW2_OFFSET;
    int status = l2_at_ok(q, at) ? 0 : -EIO;

    for (uint64_t n = 0; n < q->cluster && !status; n += UINT64_C(1) << q->slice_bits) {
        g_mutex_lock(&q->lock);
        status = mark_slice(q, at + n);
        g_mutex_unlock(&q->lock);
        if (!status)
            status = qcow2_relieve(q);
    }
    return status;
}

int qcow2_tree_mark(Qcow2 *q)
{
    int status = qcow2_write_all(q); /* counts first, and what was freed is counted as free */

    for (uint32_t n = 0; n < q->header.l1_size && !status; n++) {
        if (!q->l1[n])
            continue;
        status = mark_table(q, n);
        g_mutex_lock(&q->lock);
        if (!status)
            status = mark_entry(q, q->l1[n], &q->l1[n]);
        g_mutex_unlock(&q->lock);
    }
    if (!status)
        status = qcow2_write_all(q);
    if (!status && q->header.l1_size)
        status = qcow2_table_write(q, q->header.l1_at, q->l1, q->header.l1_size);
    return status ? status : qcow2_sync(q);
}

/* ---- what the user asks for ---- */

static void whole_begin(Qcow2 *q, Qcow2Range *range)
{
    g_mutex_lock(&q->lock);
    qcow2_range_begin(q, range, 0, UINT64_MAX, true);
    g_mutex_unlock(&q->lock);
}

static void whole_end(Qcow2 *q, Qcow2Range *range)
{
    g_mutex_lock(&q->lock);
    qcow2_range_end(q, range);
    g_mutex_unlock(&q->lock);
}

static Qcow2Snapshot *find(const Qcow2 *q, const char *name, guint *index)
{
    for (unsigned by_name = 0; by_name < 2; by_name++) {
        for (*index = 0; *index < q->snapshots->len; (*index)++) {
            Qcow2Snapshot *s = g_ptr_array_index(q->snapshots, *index);
            if (!strcmp(by_name ? s->name : s->id, name))
                return s;
        }
    }
    return NULL;
}

static gboolean no_snapshot(const Qcow2 *q, const char *name, GError **err)
{
    return error_set(err, "'%s' has no snapshot '%s'; it has %u: `myna-img snapshot -l` lists them", q->image.file, name,
                     q->snapshots->len);
}

static void exported_free(gpointer p)
{
    ImageSnapshot *s = p;
    g_free(s->id);
    g_free(s->name);
    g_free(s);
}

GPtrArray *qcow2_snapshots(Image *i)
{
    Qcow2 *q = qcow2_of(i);
    GPtrArray *list = g_ptr_array_new_with_free_func(exported_free);

    g_mutex_lock(&q->lock);
    for (guint n = 0; n < q->snapshots->len; n++) {
        const Qcow2Snapshot *s = g_ptr_array_index(q->snapshots, n);
        ImageSnapshot *e = g_new(ImageSnapshot, 1);
        *e = (ImageSnapshot){ .id = g_strdup(s->id), .name = g_strdup(s->name), .vm_size = s->vm_size,
                              .disk_size = s->disk_size, .date = s->date, .vm_clock = s->vm_clock };
        g_ptr_array_add(list, e);
    }
    g_mutex_unlock(&q->lock);
    return list;
}

static char *new_id(const Qcow2 *q)
{
    uint64_t last = 0;
    for (guint n = 0; n < q->snapshots->len; n++) {
        uint64_t id = strtoull(((Qcow2Snapshot *)g_ptr_array_index(q->snapshots, n))->id, NULL, 10);
        last = MAX(last, id);
    }
    return g_strdup_printf("%" G_GUINT64_FORMAT, last + 1);
}

static Qcow2Snapshot *snapshot_new(const Qcow2 *q, const char *name)
{
    Qcow2Snapshot *s = g_new0(Qcow2Snapshot, 1);
    int64_t now = g_get_real_time();

    s->id = new_id(q);
    s->name = g_strdup(name);
    s->date = now / G_USEC_PER_SEC;
    s->date_nsec = now % G_USEC_PER_SEC * 1000;
    s->disk_size = q->header.size;
    s->l1_size = q->header.l1_size;
    s->extra_size = EXTRA_OURS;
    s->extra = g_malloc0(EXTRA_OURS);
    st64be(s->extra + 8, s->disk_size);
    st64be(s->extra + 16, UINT64_MAX); /* no count of instructions */
    return s;
}

/* The copy of the L1 table, all counts, the list; at last what is shared is marked so. */
static int create(Qcow2 *q, Qcow2Snapshot *s)
{
    uint64_t old = qcow2_snapshots_size(q), l1_bytes = (uint64_t)s->l1_size * 8;
    int status = qcow2_tree_refer(q, q->l1, s->l1_size, true);

    if (status) {
        qcow2_tree_mark(q);
        return status;
    }
    status = qcow2_tree_mark(q);
    if (!status && l1_bytes)
        status = alloc_bytes(q, l1_bytes, &s->l1_at);
    if (!status && l1_bytes)
        status = qcow2_table_write(q, s->l1_at, q->l1, s->l1_size);
    g_ptr_array_add(q->snapshots, s);
    if (!status)
        status = switch_snapshots(q, old);
    if (status)
        g_ptr_array_remove_index(q->snapshots, q->snapshots->len - 1);
    return status;
}

gboolean qcow2_snapshot_create(Image *i, const char *name, GError **err)
{
    Qcow2 *q = qcow2_of(i);
    Qcow2Range range;
    guint index;

    if (i->readonly)
        return image_error(i, "cannot have a snapshot", -EROFS, err);
    if (!*name || strlen(name) > 255)
        return error_set(err, "'%s': a snapshot's name has 1 to 255 bytes", i->file);
    whole_begin(q, &range);
    bool exists = find(q, name, &index), full = q->snapshots->len >= QCOW2_SNAPSHOTS_MAX;
    Qcow2Snapshot *s = exists || full ? NULL : snapshot_new(q, name);
    int status = s ? create(q, s) : 0;
    if (status)
        snapshot_free(s);
    whole_end(q, &range);
    if (exists)
        return error_set(err, "'%s' has a snapshot '%s' already", i->file, name);
    if (full)
        return error_set(err, "'%s' has %d snapshots, as many as it can", i->file, QCOW2_SNAPSHOTS_MAX);
    if (status == -ERANGE)
        return error_set(err, "'%s' cannot have another snapshot: its reference counts of %u bits are at their limit",
                         i->file, 1u << q->refcount_order);
    return !status || image_error(i, "cannot have a snapshot", status, err);
}

/* A copy of a snapshot's table, as far as its disk goes: behind lies the machine's state. */
static uint64_t *active_table(Qcow2 *q, const Qcow2Snapshot *s, uint32_t *entries, int *status)
{
    uint64_t *table = qcow2_table_read(q, s->l1_at, s->l1_size, status);
    *entries = qcow2_l1_needed(q, s->disk_size);
    if (table && *entries > s->l1_size) {
        table = g_renew(uint64_t, table, *entries);
        memset(table + s->l1_size, 0, (*entries - s->l1_size) * 8);
    }
    return table;
}

static int apply(Qcow2 *q, const Qcow2Snapshot *s)
{
    uint32_t entries, old_entries = q->header.l1_size;
    g_autofree uint64_t *old = g_memdup2(q->l1, (size_t)old_entries * 8);
    int status = qcow2_write_all(q);
    uint64_t *table = status ? NULL : active_table(q, s, &entries, &status);

    if (status)
        return status;
    status = qcow2_tree_refer(q, table, entries, true);
    for (uint32_t n = 0; n < entries; n++)
        table[n] &= ~QCOW2_COPIED;
    if (status) {
        g_free(table);
        return status;
    }
    status = qcow2_l1_switch(q, table, entries, s->disk_size);
    if (status)
        return status;
    q->image.size = align_up(s->disk_size, 512);
    status = qcow2_tree_refer(q, old, old_entries, false);
    return status ? status : qcow2_tree_mark(q);
}

gboolean qcow2_snapshot_apply(Image *i, const char *name, GError **err)
{
    Qcow2 *q = qcow2_of(i);
    Qcow2Range range;
    guint index;

    if (i->readonly)
        return image_error(i, "cannot go back to a snapshot", -EROFS, err);
    whole_begin(q, &range);
    const Qcow2Snapshot *s = find(q, name, &index);
    int status = s ? apply(q, s) : 0;
    whole_end(q, &range);
    if (!s)
        return no_snapshot(q, name, err);
    return !status || image_error(i, "cannot go back to a snapshot", status, err);
}

static int delete(Qcow2 *q, Qcow2Snapshot *s, guint index)
{
    uint64_t old = qcow2_snapshots_size(q);
    int status;
    g_autofree uint64_t *table = qcow2_table_read(q, s->l1_at, s->l1_size, &status);

    if (status)
        return status;
    g_ptr_array_remove_index(q->snapshots, index);
    status = switch_snapshots(q, old);
    if (status) {
        g_ptr_array_insert(q->snapshots, index, s);
        return status;
    }
    status = qcow2_tree_refer(q, table, s->l1_size, false);
    free_bytes(q, s->l1_at, (uint64_t)s->l1_size * 8);
    snapshot_free(s);
    return status ? status : qcow2_tree_mark(q);
}

gboolean qcow2_snapshot_delete(Image *i, const char *name, GError **err)
{
    Qcow2 *q = qcow2_of(i);
    Qcow2Range range;
    guint index;

    if (i->readonly)
        return image_error(i, "cannot lose a snapshot", -EROFS, err);
    whole_begin(q, &range);
    Qcow2Snapshot *s = find(q, name, &index);
    int status = s ? delete(q, s, index) : 0;
    whole_end(q, &range);
    if (!s)
        return no_snapshot(q, name, err);
    return !status || image_error(i, "cannot lose a snapshot", status, err);
}

static void show(Qcow2 *q, uint64_t *table, uint32_t entries, uint64_t size)
{
    g_free(q->l1);
    q->l1 = table;
    q->header.l1_size = entries;
    q->image.size = align_up(size, 512);
}

gboolean qcow2_snapshot_show(Image *i, const char *name, GError **err)
{
    Qcow2 *q = qcow2_of(i);
    Qcow2Range range;
    uint32_t entries;
    guint index;
    int status = 0;

    if (!i->readonly)
        return error_set(err, "'%s': a snapshot is shown of an image that is open for reading only", i->file);
    whole_begin(q, &range);
    const Qcow2Snapshot *s = find(q, name, &index);
    uint64_t *table = s ? active_table(q, s, &entries, &status) : NULL;
    if (table)
        show(q, table, entries, s->disk_size);
    whole_end(q, &range);
    if (!s)
        return no_snapshot(q, name, err);
    return !status || image_error(i, "cannot show a snapshot", status, err);
}
