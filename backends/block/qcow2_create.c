/* New qcow2 images: header, reference counts and an L1 table of zeros, in this order and nothing between. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/block/qcow2.h"
#include "config.h"
#include "core/error.h"
#include "core/options.h"
#include "util/bits.h"
#include "util/endian.h"

typedef struct Wanted {
    uint64_t cluster;
    char *compat, *compression, *preallocation;
    unsigned refcount_bits;
    bool lazy;
} Wanted;

static void wanted_clear(Wanted *w)
{
    g_free(w->compat);
    g_free(w->compression);
    g_free(w->preallocation);
}

static gboolean check_word(const char *who, const char *key, const char *value, const char *const *words, GError **err)
{
    if (!value || g_strv_contains(words, value))
        return TRUE;
    g_autofree char *known = g_strjoinv(", ", (char **)words);
    return error_set(err, "%s: %s=%s is not supported for qcow2; it can be %s", who, key, value, known);
}

static gboolean check_words(const char *who, const Wanted *w, GError **err)
{
    static const char *const compats[] = { "0.10", "v2", "1.1", "v3", NULL };
    static const char *const compressions[] = { "zlib",
#ifdef CONFIG_ZSTD
        "zstd",
#endif
        NULL };
    static const char *const preallocations[] = { "off", "metadata", "falloc", "full", NULL };

    return check_word(who, "compat", w->compat, compats, err) &&
           check_word(who, "compression_type", w->compression, compressions, err) &&
           check_word(who, "preallocation", w->preallocation, preallocations, err);
}

/* "extended_l2=off", "encryption=off": as QEMU's defaults; on is not supported. */
static gboolean check_off(const ImageCreate *c, const char *key, GError **err)
{
    g_autofree char *value = option_pairs_take(c->options, key);

    if (!value || !strcmp(value, "off"))
        return TRUE;
    return error_set(err, "%s: %s=%s is not supported for qcow2", c->who, key, value);
}

static gboolean take_options(const ImageCreate *c, Wanted *w, GError **err)
{
    g_autofree char *cluster = NULL, *bits = NULL, *lazy = NULL;

    if (!c->options)
        return TRUE;
    cluster = option_pairs_take(c->options, "cluster_size");
    bits = option_pairs_take(c->options, "refcount_bits");
    lazy = option_pairs_take(c->options, "lazy_refcounts");
    w->compat = option_pairs_take(c->options, "compat");
    w->compression = option_pairs_take(c->options, "compression_type");
    w->preallocation = option_pairs_take(c->options, "preallocation");
    return (!cluster || parse_size(c->who, cluster, 1, &w->cluster, err)) &&
           (!bits || parse_unsigned("refcount_bits", bits, 64, &w->refcount_bits, err)) &&
           (!lazy || parse_bool("lazy_refcounts", lazy, &w->lazy, err)) && check_words(c->who, w, err) &&
           check_off(c, "extended_l2", err) && check_off(c, "encryption", err);
}

static gboolean check_wanted(const ImageCreate *c, const Wanted *w, GError **err)
{
    bool v2 = w->compat && (!strcmp(w->compat, "0.10") || !strcmp(w->compat, "v2"));

    if (w->cluster < 512 || w->cluster > 2 * MiB || !is_power_of_2(w->cluster))
        return error_set(err, "%s: cluster_size=%" G_GUINT64_FORMAT " must be a power of 2 from 512 to 2M", c->who,
                         w->cluster);
    if (!is_power_of_2(w->refcount_bits))
        return error_set(err, "%s: refcount_bits=%u must be a power of 2 from 1 to 64", c->who, w->refcount_bits);
    if (v2 && (w->lazy || w->refcount_bits != 16 || (w->compression && strcmp(w->compression, "zlib"))))
        return error_set(err, "%s: lazy_refcounts, refcount_bits and compression_type need compat=1.1", c->who);
    if (c->backing && strlen(c->backing) > QCOW2_BACKING_MAX)
        return error_set(err, "%s: the backing file's name is longer than %d bytes", c->who, QCOW2_BACKING_MAX);
    return TRUE;
}

/* ---- layout ---- */

static void fill_header(Qcow2 *q, const ImageCreate *c, const Wanted *w)
{
    bool v2 = w->compat && (!strcmp(w->compat, "0.10") || !strcmp(w->compat, "v2"));
    bool zstd = w->compression && !strcmp(w->compression, "zstd");

    q->cluster_bits = bit_lowest(w->cluster);
    q->cluster = w->cluster;
    q->l2_bits = q->cluster_bits - 3;
    q->refcount_order = bit_lowest(w->refcount_bits);
    q->block_bits = q->cluster_bits + 3 - q->refcount_order;
    q->backing = g_strdup(c->backing);
    q->backing_format = g_strdup(c->backing_format);
    q->header = (Qcow2Header){
        .version = v2 ? 2 : 3, .cluster_bits = q->cluster_bits, .size = align_up(c->size, 512),
        .refcount_order = q->refcount_order, .length = v2 ? QCOW2_HEADER_V2 : QCOW2_HEADER_LONG, .compression = zstd,
        .incompatible = zstd ? QCOW2_COMPRESSION : 0, .compatible = w->lazy ? QCOW2_LAZY : 0,
    };
    q->header.l1_size = qcow2_l1_needed(q, q->header.size);
}

static uint64_t clusters_of(const Qcow2 *q, uint64_t bytes) { return align_up(bytes, q->cluster) >> q->cluster_bits; }

/* Header, table, blocks, L1: returns the clusters, all of which the blocks count. */
static uint64_t lay_out(Qcow2 *q, uint64_t *blocks)
{
    uint64_t l1 = MAX(clusters_of(q, (uint64_t)q->header.l1_size * 8), 1), table, total = 0;

    *blocks = 1;
    for (;;) {
        table = clusters_of(q, *blocks * 8);
        total = 1 + table + *blocks + l1;
        if (total <= *blocks << q->block_bits)
            break;
        *blocks = (total + bit_mask(q->block_bits)) >> q->block_bits;
    }
    q->header.reftable_at = q->cluster;
    q->header.reftable_clusters = table;
    q->header.l1_at = (1 + table + *blocks) << q->cluster_bits;
    return total;
}

static int write_blocks(Qcow2 *q, uint64_t blocks, uint64_t total)
{
    uint64_t first = 1 + q->header.reftable_clusters;
    g_autofree uint64_t *table = g_new0(uint64_t, blocks);
    g_autofree uint8_t *block = g_malloc(q->cluster);
    int status = 0;

    for (uint64_t b = 0; b < blocks && !status; b++) {
        uint64_t from = b << q->block_bits;
        memset(block, 0, q->cluster);
        for (uint64_t n = 0; from + n < total && n <= bit_mask(q->block_bits); n++)
            qcow2_refcount_store(block, q->refcount_order, n, 1);
        table[b] = (first + b) << q->cluster_bits;
        status = image_write(q->image.lower, table[b], block, q->cluster);
    }
    return status ? status : qcow2_table_write(q, q->header.reftable_at, table, blocks);
}

static int write_image(Qcow2 *q)
{
    uint64_t blocks, total = lay_out(q, &blocks);
    g_autofree uint8_t *cluster = g_malloc0(q->cluster);
    int status = qcow2_header_encode(q, cluster);

    if (!status)
        status = image_resize(q->image.lower, total << q->cluster_bits);
    if (!status)
        status = write_blocks(q, blocks, total);
    return status ? status : image_write(q->image.lower, 0, cluster, q->cluster);
}

/* The file is empty: what is not written reads as zeros. */
static gboolean write_new(const ImageCreate *c, const Wanted *w, GError **err)
{
    Qcow2 q = { .image.file = (char *)c->file };
    ImageOptions o = { .who = c->who, .file = c->file };

    q.image.lower = image_open_file(&o, err);
    if (!q.image.lower)
        return FALSE;
    q.extensions = g_array_new(FALSE, FALSE, sizeof(Qcow2Extension));
    fill_header(&q, c, w);
    bool too_large = q.header.l1_size > QCOW2_L1_MAX / 8;
    int status = too_large ? 0 : write_image(&q);
    qcow2_extensions_free(&q);
    g_free(q.backing);
    g_free(q.backing_format);
    image_close(q.image.lower);
    if (too_large)
        return error_set(err, "%s: %" G_GUINT64_FORMAT " bytes are too many for clusters of %" G_GUINT64_FORMAT
                         " bytes; give a larger cluster_size=", c->who, c->size, w->cluster);
    return !status || error_set(err, "%s: '%s' cannot be written: %s", c->who, c->file, g_strerror(-status));
}

static gboolean preallocate(const ImageCreate *c, const Wanted *w, GError **err)
{
    ImageOptions o = { .who = c->who, .file = c->file, .format = "qcow2", .no_backing = true };
    bool data = w->preallocation && (!strcmp(w->preallocation, "full") || !strcmp(w->preallocation, "falloc"));

    if (!w->preallocation || !strcmp(w->preallocation, "off"))
        return TRUE;
    Image *i = image_open(&o, err);
    if (!i)
        return FALSE;
    int status = qcow2_preallocate(i, data);
    image_close(i);
    return !status || error_set(err, "%s: '%s' cannot be preallocated: %s", c->who, c->file, g_strerror(-status));
}

gboolean qcow2_create(const ImageCreate *c, GError **err)
{
    Wanted w = { .cluster = 64 * KiB, .refcount_bits = 16 };
    gboolean ok = take_options(c, &w, err) && check_wanted(c, &w, err);

    if (ok && w.preallocation && strcmp(w.preallocation, "off") && c->backing)
        ok = error_set(err, "%s: preallocation= and a backing file exclude each other", c->who);
    ok = ok && file_create(c->who, c->file, 0, err) && write_new(c, &w, err) && preallocate(c, &w, err);
    wanted_clear(&w);
    return ok;
}
