/*
 * The header: fixed fields, extensions behind them, the backing file's name behind those, all within the first cluster.
 * Extensions that are not known are kept as they are.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "backends/block/qcow2.h"
#include "core/error.h"
#include "core/log.h"
#include "util/bits.h"
#include "util/endian.h"

/* ---- reading ---- */

static void decode_fixed(Qcow2Header *h, const uint8_t *b)
{
    *h = (Qcow2Header){
        .version = ld32be(b + 4), .backing_at = ld64be(b + 8), .backing_size = ld32be(b + 16),
        .cluster_bits = ld32be(b + 20), .size = ld64be(b + 24), .crypt = ld32be(b + 32), .l1_size = ld32be(b + 36),
        .l1_at = ld64be(b + 40), .reftable_at = ld64be(b + 48), .reftable_clusters = ld32be(b + 56),
        .snapshots = ld32be(b + 60), .snapshots_at = ld64be(b + 64), .refcount_order = 4, .length = QCOW2_HEADER_V2,
    };
    if (h->version < 3)
        return;
    h->incompatible = ld64be(b + 72);
    h->compatible = ld64be(b + 80);
    h->autoclear = ld64be(b + 88);
    h->refcount_order = ld32be(b + 96);
    h->length = ld32be(b + 100);
    h->compression = h->length > QCOW2_HEADER_V3 ? b[104] : 0;
}

/* A field with a value that cannot be: where it is. */
static gboolean bad(const Qcow2 *q, const char *who, unsigned at, const char *field, uint64_t value, GError **err)
{
    return error_set(err, "%s: '%s': the qcow2 header's %s at offset %u is %" G_GUINT64_FORMAT ", which cannot be", who,
                     q->image.file, field, at, value);
}

/* Whether a table of whole entries of 8 bytes lies within the file. */
static bool table_ok(const Qcow2 *q, uint64_t at, uint64_t size)
{
    uint64_t end = align_up(q->image.lower->size, UINT64_C(1) << q->header.cluster_bits);
    return at % (UINT64_C(1) << q->header.cluster_bits) == 0 && at <= end && size <= end - at;
}

static gboolean check_fixed(const Qcow2 *q, const char *who, GError **err)
{
    const Qcow2Header *h = &q->header;

    if (h->version < 2 || h->version > 3)
        return error_set(err, "%s: '%s' is a qcow2 image of version %u; 2 and 3 are supported", who, q->image.file,
                         h->version);
    if (h->cluster_bits < 9 || h->cluster_bits > 21)
        return bad(q, who, 20, "cluster_bits", h->cluster_bits, err);
    if (h->crypt)
        return error_set(err, "%s: '%s' is encrypted, which is not supported", who, q->image.file);
    if (h->refcount_order > 6)
        return bad(q, who, 96, "refcount_order", h->refcount_order, err);
    if (h->version == 3 && (h->length < QCOW2_HEADER_V3 || h->length % 8 || h->length > BIT(h->cluster_bits)))
        return bad(q, who, 100, "header_length", h->length, err);
    if (h->size > INT64_MAX - BIT(h->cluster_bits))
        return bad(q, who, 24, "size", h->size, err);
    if (h->backing_size > QCOW2_BACKING_MAX)
        return bad(q, who, 16, "backing_file_size", h->backing_size, err);
    if (h->backing_at && (h->backing_at < h->length || h->backing_at > BIT(h->cluster_bits) ||
                          h->backing_size > BIT(h->cluster_bits) - h->backing_at))
        return bad(q, who, 8, "backing_file_offset", h->backing_at, err);
    return TRUE;
}

static gboolean check_tables(const Qcow2 *q, const char *who, GError **err)
{
    const Qcow2Header *h = &q->header;
    uint64_t reach = h->cluster_bits + h->cluster_bits - 3, needed = (h->size >> reach) + !!(h->size & bit_mask(reach));

    if (h->l1_size > (uint32_t)QCOW2_L1_MAX / 8 || h->l1_size < needed)
        return bad(q, who, 36, "l1_size", h->l1_size, err);
    if (h->l1_size && (!h->l1_at || !table_ok(q, h->l1_at, (uint64_t)h->l1_size * 8)))
        return bad(q, who, 40, "l1_table_offset", h->l1_at, err);
    if (!h->reftable_clusters || h->reftable_clusters > (uint32_t)QCOW2_REFTABLE_MAX >> h->cluster_bits)
        return bad(q, who, 56, "refcount_table_clusters", h->reftable_clusters, err);
    if (!h->reftable_at || !table_ok(q, h->reftable_at, (uint64_t)h->reftable_clusters << h->cluster_bits))
        return bad(q, who, 48, "refcount_table_offset", h->reftable_at, err);
    if (h->snapshots > QCOW2_SNAPSHOTS_MAX)
        return bad(q, who, 60, "nb_snapshots", h->snapshots, err);
    if (h->snapshots && !table_ok(q, h->snapshots_at, 1))
        return bad(q, who, 64, "snapshots_offset", h->snapshots_at, err);
    return TRUE;
}

/* The name that the image's table gives a feature that is not known here. */
static char *feature_name(const Qcow2 *q, unsigned bit)
{
    enum { ENTRY = 48 };

    for (guint n = 0; n < q->extensions->len; n++) {
        const Qcow2Extension *e = &g_array_index(q->extensions, Qcow2Extension, n);
        for (uint32_t at = 0; e->type == QCOW2_EXT_FEATURES && at + ENTRY <= e->size; at += ENTRY) {
            if (e->data[at] == 0 && e->data[at + 1] == bit) {
                g_autofree char *name = g_strndup((const char *)e->data + at + 2, ENTRY - 2);
                return g_str_to_ascii(name, "C");
            }
        }
    }
    return g_strdup_printf("incompatible feature %u", bit);
}

static gboolean check_features(const Qcow2 *q, const char *who, GError **err)
{
    const uint64_t known = QCOW2_DIRTY | QCOW2_CORRUPT | QCOW2_COMPRESSION;
    uint64_t unknown = q->header.incompatible & ~known;

    if (unknown) {
        g_autofree char *name = feature_name(q, bit_lowest(unknown));
        return error_set(err, "%s: '%s' uses '%s', which is not supported", who, q->image.file, name);
    }
    if (!qcow2_compression_known(q->header.compression))
        return error_set(err, "%s: '%s' is compressed by %s, which is not supported here", who, q->image.file,
                         q->header.compression == 1 ? "zstd" : "an unknown method");
    return TRUE;
}

static void take_extension(Qcow2 *q, uint32_t type, const uint8_t *data, uint32_t size)
{
    if (type == QCOW2_EXT_BACKING_FORMAT) {
        g_free(q->backing_format);
        q->backing_format = g_strndup((const char *)data, size);
        return;
    }
    Qcow2Extension e = { .type = type, .size = size, .data = g_memdup2(data, size) };
    g_array_append_val(q->extensions, e);
}

static gboolean read_extensions(Qcow2 *q, const uint8_t *b, uint64_t end, const char *who, GError **err)
{
    for (uint64_t at = q->header.length; at + 8 <= end;) {
        uint32_t type = ld32be(b + at), size = ld32be(b + at + 4);
        if (type == QCOW2_EXT_END)
            break;
        if (size > end - at - 8)
            return error_set(err, "%s: '%s': the qcow2 header extension at offset %" G_GUINT64_FORMAT
                             " has %u bytes and does not fit before offset %" G_GUINT64_FORMAT, who, q->image.file, at,
                             size, end);
        take_extension(q, type, b + at + 8, size);
        at += 8 + align_up(size, 8);
    }
    return TRUE;
}

gboolean qcow2_header_read(Qcow2 *q, const char *who, GError **err)
{
    uint8_t fixed[QCOW2_HEADER_LONG] = { 0 };
    int status = image_read(q->image.lower, 0, fixed, sizeof fixed);

    if (status)
        return error_set(err, "%s: '%s': the header cannot be read: %s", who, q->image.file, g_strerror(-status));
    if (ld32be(fixed) != QCOW2_MAGIC)
        return error_set(err, "%s: '%s' is no qcow2 image", who, q->image.file);
    decode_fixed(&q->header, fixed);
    if (!check_fixed(q, who, err))
        return FALSE;
    uint64_t cluster = BIT(q->header.cluster_bits);
    g_autofree uint8_t *b = g_malloc0(cluster);
    status = image_read(q->image.lower, 0, b, cluster);
    if (status)
        return error_set(err, "%s: '%s': the header cannot be read: %s", who, q->image.file, g_strerror(-status));
    if (q->header.backing_at && q->header.backing_size)
        q->backing = g_strndup((const char *)b + q->header.backing_at, q->header.backing_size);
    return read_extensions(q, b, q->header.backing_at ? q->header.backing_at : cluster, who, err) &&
           check_features(q, who, err) && check_tables(q, who, err);
}

void qcow2_extensions_free(Qcow2 *q)
{
    for (guint n = 0; n < q->extensions->len; n++)
        g_free(g_array_index(q->extensions, Qcow2Extension, n).data);
    g_array_unref(q->extensions);
}

/* ---- writing ---- */

static void encode_fixed(const Qcow2Header *h, uint8_t *b)
{
    st32be(b, QCOW2_MAGIC);
    st32be(b + 4, h->version);
    st64be(b + 8, h->backing_at);
    st32be(b + 16, h->backing_size);
    st32be(b + 20, h->cluster_bits);
    st64be(b + 24, h->size);
    st32be(b + 32, h->crypt);
    st32be(b + 36, h->l1_size);
    st64be(b + 40, h->l1_at);
    st64be(b + 48, h->reftable_at);
    st32be(b + 56, h->reftable_clusters);
    st32be(b + 60, h->snapshots);
    st64be(b + 64, h->snapshots_at);
    if (h->version < 3)
        return;
    st64be(b + 72, h->incompatible);
    st64be(b + 80, h->compatible);
    st64be(b + 88, h->autoclear);
    st32be(b + 96, h->refcount_order);
    st32be(b + 100, h->length);
    if (h->length > QCOW2_HEADER_V3)
        b[104] = h->compression;
}

static bool put_extension(uint8_t *cluster, uint64_t size, uint64_t *at, uint32_t type, const void *data, uint32_t length)
{
    if (align_up(length, 8) + 8 > size - *at)
        return false;
    st32be(cluster + *at, type);
    st32be(cluster + *at + 4, length);
    if (length)
        memcpy(cluster + *at + 8, data, length);
    *at += 8 + align_up(length, 8);
    return true;
}

int qcow2_header_encode(const Qcow2 *q, uint8_t *cluster)
{
    Qcow2Header h = q->header;
    uint64_t at = h.length, size = q->cluster;
    bool ok = true;

    memset(cluster + at, 0, size - at);
    if (q->backing_format)
        ok = put_extension(cluster, size, &at, QCOW2_EXT_BACKING_FORMAT, q->backing_format, strlen(q->backing_format));
    for (guint n = 0; n < q->extensions->len && ok; n++) {
        const Qcow2Extension *e = &g_array_index(q->extensions, Qcow2Extension, n);
        ok = put_extension(cluster, size, &at, e->type, e->data, e->size);
    }
    ok = ok && put_extension(cluster, size, &at, QCOW2_EXT_END, NULL, 0);
    h.backing_size = q->backing ? strlen(q->backing) : 0;
    h.backing_at = q->backing ? at : 0;
    if (!ok || h.backing_size > size - at)
        return -ENOSPC;
    if (q->backing)
        memcpy(cluster + at, q->backing, h.backing_size);
    encode_fixed(&h, cluster);
    return 0;
}

int qcow2_header_write(Qcow2 *q)
{
    g_autofree uint8_t *cluster = g_malloc0(q->cluster);
    int status = image_read(q->image.lower, 0, cluster, q->cluster); /* fields of a longer header stay */

    if (!status)
        status = qcow2_header_encode(q, cluster);
    if (!status)
        status = image_write(q->image.lower, 0, cluster, q->cluster);
    if (!status) {
        q->header.backing_size = ld32be(cluster + 16);
        q->header.backing_at = ld64be(cluster + 8);
    }
    return status;
}

int qcow2_header_update(Qcow2 *q)
{
    uint8_t fixed[QCOW2_HEADER_LONG] = { 0 };

    encode_fixed(&q->header, fixed);
    return image_write(q->image.lower, 0, fixed, q->header.version < 3 ? QCOW2_HEADER_V2 : QCOW2_HEADER_V3);
}

void qcow2_corrupt(Qcow2 *q, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    if (!q->told)
        log_user("'%s' is corrupt: %s; `myna-img check` tells more", q->image.file, text);
    q->told = true;
    q->broken = true;
    if (q->image.readonly || q->header.version < 3 || q->header.incompatible & QCOW2_CORRUPT)
        return;
    q->header.incompatible |= QCOW2_CORRUPT;
    qcow2_header_update(q);
}
