/* qcow2: opening, closing, and the driver (qcow2.h has the overview). */
#include "backends/block/qcow2.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "backends/block/drivers.h"
#include "core/error.h"
#include "core/log.h"
#include "core/options.h"
#include "util/bits.h"
#include "util/endian.h"

/* ---- opening ---- */

static bool qcow2_probe(Image *lower, const uint8_t *head, size_t n, uint64_t size)
{
    (void)lower;
    (void)size;
    return n >= QCOW2_HEADER_V2 && ld32be(head) == QCOW2_MAGIC && ld32be(head + 4) >= 2;
}

static void init(Qcow2 *q)
{
    g_mutex_init(&q->lock);
    g_mutex_init(&q->write_back);
    g_cond_init(&q->range_ended);
    g_queue_init(&q->ranges);
    g_queue_init(&q->recent);
    q->extensions = g_array_new(FALSE, FALSE, sizeof(Qcow2Extension));
    q->frees = g_array_new(FALSE, FALSE, sizeof(Qcow2Free));
    q->slices = g_hash_table_new(g_int64_hash, g_int64_equal);
    q->tables = g_hash_table_new(NULL, NULL);
    q->snapshots = g_ptr_array_new();
    for (unsigned kind = 0; kind < QCOW2_KINDS; kind++)
        q->dirty[kind] = g_ptr_array_new();
}

/* A regular file's end reads as zeros when something is written behind it. */
static bool has_holes(const Image *lower)
{
    struct stat st;
    int fd = image_fd(lower);
    return fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode);
}

static void set_geometry(Qcow2 *q)
{
    enum { SLICE_BITS = 12, CACHE = 32 << 20 };
    const Qcow2Header *h = &q->header;

    q->cluster_bits = h->cluster_bits;
    q->cluster = BIT(h->cluster_bits);
    q->l2_bits = h->cluster_bits - 3;
    q->slice_bits = MIN(h->cluster_bits, SLICE_BITS);
    q->refcount_order = h->refcount_order;
    q->block_bits = h->cluster_bits + 3 - h->refcount_order;
    q->slices_max = CACHE >> q->slice_bits;
    q->lazy = h->version >= 3 && h->compatible & QCOW2_LAZY;
    q->end = q->fresh = align_up(q->image.lower->size, q->cluster);
    q->holes = has_holes(q->image.lower);
    q->image.size = align_up(h->size, 512);
}

static gboolean read_tables(Qcow2 *q, const char *who, GError **err)
{
    int status;

    q->reftable_size = q->header.reftable_clusters << (q->cluster_bits - 3);
    q->reftable = qcow2_table_read(q, q->header.reftable_at, q->reftable_size, &status);
    if (!status)
        q->l1 = qcow2_table_read(q, q->header.l1_at, q->header.l1_size, &status);
    return !status || error_set(err, "%s: '%s': the tables cannot be read: %s", who, q->image.file, g_strerror(-status));
}

/* The first entry of a table that points where no table can be; `entries` when there is none. */
static uint64_t bad_table_entry(const Qcow2 *q, const uint64_t *table, uint64_t entries, uint64_t mask)
{
    for (uint64_t n = 0; n < entries; n++) {
        uint64_t at = table[n] & mask;
        if (table[n] && (at % q->cluster || at < q->cluster || at > q->end - q->cluster))
            return n;
    }
    return entries;
}

/* An image that is to be written must lead to nowhere outside the file. */
static gboolean check_pointers(Qcow2 *q, const char *who, GError **err)
{
    uint64_t l1 = bad_table_entry(q, q->l1, q->header.l1_size, QCOW2_OFFSET);
    uint64_t block = bad_table_entry(q, q->reftable, q->reftable_size, ~UINT64_C(0));
    bool in_l1 = l1 < q->header.l1_size;

    if (!in_l1 && block == q->reftable_size)
        return TRUE;
    uint64_t n = in_l1 ? l1 : block, at = (in_l1 ? q->header.l1_at : q->header.reftable_at) + n * 8;
    uint64_t to = in_l1 ? q->l1[n] & QCOW2_OFFSET : q->reftable[n];
    return error_set(err, "%s: '%s' is corrupt: the %s entry at offset %" G_GUINT64_FORMAT " points to offset %"
                     G_GUINT64_FORMAT ", where none can be; `myna-img check` tells more", who, q->image.file,
                     in_l1 ? "L1 table's" : "refcount table's", at, to);
}

static void note_tables(Qcow2 *q)
{
    qcow2_tables_add(q, 0, q->cluster);
    qcow2_tables_add(q, q->header.l1_at, (uint64_t)q->header.l1_size * 8);
    qcow2_tables_add(q, q->header.reftable_at, (uint64_t)q->reftable_size * 8);
    qcow2_tables_add(q, q->header.snapshots_at, qcow2_snapshots_size(q));
    for (uint32_t n = 0; n < q->header.l1_size; n++)
        if (q->l1[n])
            qcow2_tables_add(q, q->l1[n] & QCOW2_OFFSET, q->cluster);
    for (uint32_t n = 0; n < q->reftable_size; n++)
        if (q->reftable[n])
            qcow2_tables_add(q, q->reftable[n], q->cluster);
}

/* Another program that writes an image of lazy counts was ended: the counts are behind, the tables are right. */
static gboolean mend_counts(Qcow2 *q, const char *who, GError **err)
{
    ImageCheck c = { .repair_leaks = true, .repair_all = true };

    log_user("'%s' was not closed properly: its reference counts are being repaired", q->image.file);
    if (!qcow2_check(&q->image, &c, err))
        return FALSE;
    return c.corruptions == 0 || error_set(err, "%s: '%s' is corrupt and cannot be repaired; `myna-img check` tells more",
                                           who, q->image.file);
}

/* What must be so before an image is written to. */
static gboolean prepare_writing(Qcow2 *q, const ImageOptions *o, GError **err)
{
    if (q->header.incompatible & QCOW2_CORRUPT)
        return error_set(err, "%s: '%s' is marked as corrupt; `myna-img check -r all` may repair it, and readonly=on reads it",
                         o->who, q->image.file);
    if (!check_pointers(q, o->who, err))
        return FALSE;
    if (q->header.incompatible & QCOW2_DIRTY && !mend_counts(q, o->who, err))
        return FALSE;
    if (!q->header.autoclear)
        return TRUE;
    q->header.autoclear = 0; /* bitmaps of what was written: they do not hear of what is written now */
    int status = qcow2_header_update(q);
    return !status || error_set(err, "%s: '%s': %s", o->who, q->image.file, g_strerror(-status));
}

static gboolean qcow2_open(Image *i, const ImageOptions *o, GError **err)
{
    Qcow2 *q = qcow2_of(i);

    init(q);
    if (!qcow2_header_read(q, o->who, err))
        return FALSE;
    set_geometry(q);
    if (!read_tables(q, o->who, err) || !qcow2_snapshots_read(q, o->who, err))
        return FALSE;
    note_tables(q);
    if (!i->readonly && !o->repair && !prepare_writing(q, o, err))
        return FALSE;
    return image_open_backing(i, o, q->backing, q->backing_format, err);
}

/* ---- closing ---- */

static void finish_writing(Qcow2 *q)
{
    int status = qcow2_write_all(q);

    if (!status && q->lazy && q->header.incompatible & QCOW2_DIRTY && !q->broken) {
        q->header.incompatible &= ~(uint64_t)QCOW2_DIRTY;
        status = qcow2_header_update(q);
        if (!status)
            status = image_flush(q->image.lower);
    }
    if (status)
        log_user("'%s': its tables cannot be written: %s", q->image.file, g_strerror(-status));
}

static void qcow2_close(Image *i)
{
    Qcow2 *q = qcow2_of(i);

    if (q->l1 && q->reftable && !i->readonly)
        finish_writing(q);
    qcow2_cache_clear(q);
    qcow2_extensions_free(q);
    qcow2_snapshots_free(q);
    for (unsigned kind = 0; kind < QCOW2_KINDS; kind++)
        g_ptr_array_unref(q->dirty[kind]);
    g_array_unref(q->frees);
    g_hash_table_unref(q->slices);
    g_hash_table_unref(q->tables);
    g_free(q->l1);
    g_free(q->reftable);
    g_free(q->backing);
    g_free(q->backing_format);
    g_cond_clear(&q->range_ended);
    g_mutex_clear(&q->lock);
    g_mutex_clear(&q->write_back);
}

static int qcow2_flush(Image *i)
{
    Qcow2 *q = qcow2_of(i);
    int status = i->readonly ? 0 : qcow2_write_back(q);

    return status ? status : image_flush(i->lower);
}

/* ---- what it is ---- */

static void add_pair(GPtrArray *pairs, const char *key, const char *value)
{
    OptionPair *p = g_new(OptionPair, 1);
    *p = (OptionPair){ .key = g_strdup(key), .value = g_strdup(value) };
    g_ptr_array_add(pairs, p);
}

static const char *truth(bool b) { return b ? "true" : "false"; }

static void qcow2_info(Image *i, GPtrArray *pairs)
{
    const Qcow2 *q = qcow2_of(i);
    g_autofree char *bits = g_strdup_printf("%u", 1u << q->refcount_order);
    g_autofree char *cluster = g_strdup_printf("%" G_GUINT64_FORMAT, q->cluster);

    add_pair(pairs, "cluster_size", cluster);
    add_pair(pairs, "dirty", truth(q->header.incompatible & QCOW2_DIRTY));
    add_pair(pairs, "compat", q->header.version < 3 ? "0.10" : "1.1");
    add_pair(pairs, "compression type", q->header.compression ? "zstd" : "zlib");
    if (q->header.version >= 3)
        add_pair(pairs, "lazy refcounts", truth(q->lazy));
    add_pair(pairs, "refcount bits", bits);
    if (q->header.version >= 3) {
        add_pair(pairs, "corrupt", truth(q->header.incompatible & QCOW2_CORRUPT));
        add_pair(pairs, "extended l2", "false");
    }
}

static const char *qcow2_backing_file(const Image *i) { return ((const Qcow2 *)i)->backing; }
static const char *qcow2_backing_format(const Image *i) { return ((const Qcow2 *)i)->backing_format; }

static gboolean qcow2_set_backing(Image *i, const char *file, const char *format, GError **err)
{
    Qcow2 *q = qcow2_of(i);
    char *old_file = q->backing, *old_format = q->backing_format;

    if (i->readonly)
        return image_error(i, "cannot have another backing file", -EROFS, err);
    if (file && strlen(file) > QCOW2_BACKING_MAX)
        return error_set(err, "'%s': the backing file's name is longer than %d bytes", i->file, QCOW2_BACKING_MAX);
    q->backing = g_strdup(file && *file ? file : NULL);
    q->backing_format = g_strdup(q->backing ? format : NULL);
    int status = qcow2_write_all(q); /* what the tables say refers to the new one from now on */
    if (!status)
        status = qcow2_header_write(q);
    if (!status)
        status = image_flush(i->lower);
    if (status) {
        g_free(q->backing);
        g_free(q->backing_format);
        q->backing = old_file;
        q->backing_format = old_format;
        return image_error(i, "cannot have another backing file", status, err);
    }
    g_free(old_file);
    g_free(old_format);
    return TRUE;
}

const ImageDriver image_driver_qcow2 = {
    .name = "qcow2",
    .description = "QEMU's image format, versions 2 and 3",
    .size = sizeof(Qcow2),
    .probe = qcow2_probe,
    .open = qcow2_open,
    .close = qcow2_close,
    .read = qcow2_read,
    .write = qcow2_write,
    .readv = qcow2_readv,
    .writev = qcow2_writev,
    .write_zeroes = qcow2_write_zeroes,
    .discard = qcow2_discard,
    .flush = qcow2_flush,
    .map = qcow2_map,
    .resize = qcow2_resize,
    .write_compressed = qcow2_write_compressed,
    .create = qcow2_create,
    .create_help = "  cluster_size=SIZE         of a cluster: 512 to 2M [64K]\n"
                   "  compat=0.10|1.1           version 2 or 3 [1.1]\n"
                   "  refcount_bits=N           1 to 64 [16]\n"
                   "  lazy_refcounts=on|off     reference counts are brought up to date when it is closed [off]\n"
                   "  compression_type=zlib|zstd    of compressed clusters [zlib]\n"
                   "  preallocation=off|metadata|falloc|full    places for all clusters [off]\n",
    .check = qcow2_check,
    .info = qcow2_info,
    .snapshots = qcow2_snapshots,
    .snapshot_create = qcow2_snapshot_create,
    .snapshot_apply = qcow2_snapshot_apply,
    .snapshot_delete = qcow2_snapshot_delete,
    .snapshot_show = qcow2_snapshot_show,
    .backing_file = qcow2_backing_file,
    .backing_format = qcow2_backing_format,
    .set_backing = qcow2_set_backing,
    .make_empty = qcow2_make_empty,
};
