/* Another size of the disk, and a disk that is its backing image's again. */
#include <errno.h>
#include <string.h>

#include "backends/block/qcow2.h"
#include "util/bits.h"

/* The file ends behind what is in use. */
static int cut_file(Qcow2 *q)
{
    uint64_t clusters = q->end >> q->cluster_bits, count = 0;
    int status = 0;

    g_mutex_lock(&q->lock);
    while (!status && clusters && !count) {
        status = qcow2_refcount_get(q, clusters - 1, &count);
        clusters -= !count;
    }
    if (!status && clusters)
        q->end = q->fresh = clusters << q->cluster_bits;
    q->packed_at = 0;
    g_mutex_unlock(&q->lock);
    if (status || q->image.lower->size <= q->end)
        return status;
    status = image_resize(q->image.lower, q->end);
    return status == -ENOTSUP ? 0 : status; /* a block device stays as it is */
}

static int set_size(Qcow2 *q, uint64_t size)
{
    g_mutex_lock(&q->lock);
    uint64_t old = q->header.size;
    q->header.size = size;
    int status = qcow2_header_update(q);
    if (status)
        q->header.size = old;
    g_mutex_unlock(&q->lock);
    return status ? status : qcow2_sync(q);
}

static int shrink(Qcow2 *q, uint64_t size)
{
    uint64_t from = align_up(size, q->cluster), to = align_up(q->image.size, q->cluster);
    uint64_t rest = MIN(from, q->image.size) - size; /* of the last cluster: QEMU would show it after growing again */
    int status = from < to ? qcow2_drop(q, from, to - from, 0, false) : 0;

    if (!status)
        status = qcow2_zero_bytes(q, size, rest);
    if (!status)
        status = qcow2_write_all(q);
    if (!status)
        status = set_size(q, size);
    return status ? status : cut_file(q);
}

static int grow_l1(Qcow2 *q, uint64_t size)
{
    uint32_t needed = qcow2_l1_needed(q, size);

    if (needed <= q->header.l1_size)
        return 0;
    if (needed > QCOW2_L1_MAX / 8)
        return -EFBIG;
    uint64_t *table = g_try_new0(uint64_t, needed);
    if (!table)
        return -ENOMEM;
    int status = qcow2_write_all(q);
    memcpy(table, q->l1, (size_t)q->header.l1_size * 8);
    if (!status)
        return qcow2_l1_switch(q, table, needed, q->header.size);
    g_free(table);
    return status;
}

/* What the old end's cluster holds behind the end, and what a longer backing image has there, must not come to light. */
static int hide_old(Qcow2 *q, uint64_t old, uint64_t size)
{
    uint64_t cluster_end = MIN(align_up(old, q->cluster), size);
    uint64_t backing = q->image.backing ? MIN(align_up(q->image.backing->size, q->cluster), align_up(size, q->cluster)) : 0;
    int status = cluster_end > old ? qcow2_zero_bytes(q, old, cluster_end - old) : 0;

    if (status || backing <= cluster_end)
        return status;
    if (q->header.version >= 3)
        return qcow2_drop(q, align_up(old, q->cluster), backing - align_up(old, q->cluster), QCOW2_ZERO, false);
    return qcow2_zero_bytes(q, cluster_end, MIN(backing, size) - cluster_end);
}

static int grow(Qcow2 *q, uint64_t size)
{
    uint64_t old = q->image.size;
    int status = grow_l1(q, size);

    if (status)
        return status;
    q->image.size = size;
    status = hide_old(q, old, size);
    if (!status)
        status = qcow2_write_all(q);
    if (!status)
        status = set_size(q, size);
    if (status)
        q->image.size = old;
    return status;
}

int qcow2_resize(Image *i, uint64_t size)
{
    Qcow2 *q = qcow2_of(i);
    Qcow2Range range;
    int status = -ENOTSUP;

    if (size % 512 || size > INT64_MAX - q->cluster)
        return -EINVAL;
    g_mutex_lock(&q->lock);
    qcow2_range_begin(q, &range, 0, UINT64_MAX, true);
    g_mutex_unlock(&q->lock);
    if (q->header.version >= 3 || !q->snapshots->len) /* version 2's snapshots have the disk's size */
        status = size < i->size ? shrink(q, size) : grow(q, size);
    g_mutex_lock(&q->lock);
    if (!status)
        i->size = size;
    qcow2_range_end(q, &range);
    g_mutex_unlock(&q->lock);
    return status;
}

static int empty(Qcow2 *q)
{
    uint32_t entries = q->header.l1_size;
    g_autofree uint64_t *old = g_memdup2(q->l1, (size_t)entries * 8);
    uint64_t *table = g_try_new0(uint64_t, entries + 1);
    int status = table ? qcow2_write_all(q) : -ENOMEM;

    if (status) {
        g_free(table);
        return status;
    }
    status = qcow2_l1_switch(q, table, entries, q->header.size);
    if (!status)
        status = qcow2_tree_refer(q, old, entries, false);
    if (!status)
        status = qcow2_write_all(q);
    return status ? status : cut_file(q);
}

int qcow2_make_empty(Image *i)
{
    Qcow2 *q = qcow2_of(i);
    Qcow2Range range;

    if (i->readonly)
        return -EROFS;
    g_mutex_lock(&q->lock);
    qcow2_range_begin(q, &range, 0, UINT64_MAX, true);
    g_mutex_unlock(&q->lock);
    int status = empty(q);
    g_mutex_lock(&q->lock);
    qcow2_range_end(q, &range);
    g_mutex_unlock(&q->lock);
    return status;
}
