/* -drive and -blockdev (machines/drive_options.h). */
#include "machines/drive_options.h"

#include <limits.h>
#include <string.h>

#include "core/error.h"
#include "core/options.h"
#include "util/bits.h"

static const char *const words_interface[] = {"ide", "virtio", "scsi", "floppy", "none", NULL};
static const char *const words_media[] = {"disk", "cdrom", NULL};
static const char *const words_cache[] = {"writeback", "none", "writethrough", "directsync", "unsafe", NULL};
static const char *const words_aio[] = {"threads", "native", "io_uring", NULL};         /* from BLOCK_AIO_THREADS */
static const char *const words_discard[] = {"ignore", "off", "unmap", "on", NULL};
static const char *const words_zeroes[] = {"off", "on", "unmap", NULL};                 /* BlockDetectZeroes */
static const char *const words_error[] = {"report", "ignore", "stop", "enospc", NULL};  /* from BLOCK_ERROR_REPORT */
static const char *const words_on_off[] = {"off", "on", NULL};

static const OptionField drive_fields[] = {
    OPTION_FIELD(DriveOptions, file, "file", OPTION_STRING),
    OPTION_FIELD(DriveOptions, format, "format", OPTION_STRING),
    OPTION_CHOICE(DriveOptions, interface, "if", words_interface),
    OPTION_CHOICE(DriveOptions, media, "media", words_media),
    OPTION_FIELD(DriveOptions, id, "id", OPTION_STRING),
    OPTION_FIELD(DriveOptions, readonly, "readonly", OPTION_BOOL),
    OPTION_FIELD(DriveOptions, readonly, "read-only", OPTION_BOOL),
    OPTION_FIELD(DriveOptions, snapshot, "snapshot", OPTION_BOOL),
    OPTION_FIELD(DriveOptions, index, "index", OPTION_UNSIGNED),
    OPTION_FIELD(DriveOptions, bus, "bus", OPTION_UNSIGNED),
    OPTION_FIELD(DriveOptions, unit, "unit", OPTION_UNSIGNED),
    OPTION_CHOICE(DriveOptions, cache, "cache", words_cache),
    OPTION_CHOICE(DriveOptions, cache_direct, "cache.direct", words_on_off),
    OPTION_CHOICE(DriveOptions, cache_no_flush, "cache.no-flush", words_on_off),
    OPTION_CHOICE(DriveOptions, cache_writeback, "cache.writeback", words_on_off),
    OPTION_CHOICE(DriveOptions, aio, "aio", words_aio),
    OPTION_CHOICE(DriveOptions, discard, "discard", words_discard),
    OPTION_CHOICE(DriveOptions, detect_zeroes, "detect-zeroes", words_zeroes),
    OPTION_CHOICE(DriveOptions, werror, "werror", words_error),
    OPTION_CHOICE(DriveOptions, rerror, "rerror", words_error),
    OPTION_FIELD_IGNORED("copy-on-read"), OPTION_FIELD_IGNORED("auto-read-only"), OPTION_FIELD_IGNORED("force-share"),
    OPTION_FIELD_END,
};

/* Today's names, and those that QEMU had before. */
#define LIMIT(kind, name, old, old_max)                                                                                \
    OPTION_FIELD(DriveOptions, throttle.limit[kind].average, "throttling." name, OPTION_SIZE),                         \
    OPTION_FIELD(DriveOptions, throttle.limit[kind].max, "throttling." name "-max", OPTION_SIZE),                      \
    OPTION_FIELD(DriveOptions, throttle.limit[kind].max_length, "throttling." name "-max-length", OPTION_SIZE),        \
    OPTION_FIELD(DriveOptions, throttle.limit[kind].average, old, OPTION_SIZE),                                        \
    OPTION_FIELD(DriveOptions, throttle.limit[kind].max, old_max, OPTION_SIZE)

static const OptionField throttle_fields[] = {
    LIMIT(THROTTLE_BPS_TOTAL, "bps-total", "bps", "bps_max"),
    LIMIT(THROTTLE_BPS_READ, "bps-read", "bps_rd", "bps_rd_max"),
    LIMIT(THROTTLE_BPS_WRITE, "bps-write", "bps_wr", "bps_wr_max"),
    LIMIT(THROTTLE_IOPS_TOTAL, "iops-total", "iops", "iops_max"),
    LIMIT(THROTTLE_IOPS_READ, "iops-read", "iops_rd", "iops_rd_max"),
    LIMIT(THROTTLE_IOPS_WRITE, "iops-write", "iops_wr", "iops_wr_max"),
    OPTION_FIELD(DriveOptions, throttle.iops_size, "throttling.iops-size", OPTION_SIZE),
    OPTION_FIELD(DriveOptions, throttle.iops_size, "iops_size", OPTION_SIZE),
    OPTION_FIELD(DriveOptions, throttle_group, "throttling.group", OPTION_STRING),
    OPTION_FIELD_END,
};

/* ---- parsing ---- */

static bool is_limit(const char *key)
{
    return g_str_has_prefix(key, "throttling.") || g_str_has_prefix(key, "bps") || g_str_has_prefix(key, "iops");
}

static bool is_of_node(const char *key)
{
    return !strcmp(key, "driver") || !strcmp(key, "node-name") || !strcmp(key, "backing") ||
           g_str_has_prefix(key, "file.") || g_str_has_prefix(key, "backing.");
}

DriveOptions *drive_options_new(const char *file, const char *interface, unsigned index, const char *media)
{
    DriveOptions *d = g_new0(DriveOptions, 1);
    d->file = g_strdup(file);
    d->interface = g_strdup(interface);
    d->media = g_strdup(media);
    d->index = index;
    d->bus = d->unit = UINT_MAX;
    return d;
}

void drive_options_free(gpointer p)
{
    DriveOptions *d = p;
    option_fields_clear(drive_fields, d);
    g_free(d->throttle_group);
    if (d->node)
        g_ptr_array_unref(d->node);
    g_free(d);
}

static gboolean fields_parse(const GPtrArray *pairs, const OptionField *fields, DriveOptions *d, GError **err)
{
    g_autofree char *text = option_pairs_format(pairs);
    return option_fields_parse("-drive", text, NULL, fields, d, err);
}

DriveOptions *drive_options_parse(const char *text, GError **err)
{
    DriveOptions *d = drive_options_new(NULL, NULL, UINT_MAX, NULL);
    g_autoptr(GPtrArray) all = option_pairs_parse(text, NULL), plain = option_pairs_parse("", NULL),
                         limits = option_pairs_parse("", NULL), node = option_pairs_parse("", NULL);

    for (unsigned i = 0; i < all->len; i++) {
        const OptionPair *p = all->pdata[i];
        option_pairs_add(is_limit(p->key) ? limits : is_of_node(p->key) ? node : plain, p->key, p->value);
    }
    d->node = node->len ? g_steal_pointer(&node) : NULL;
    if (fields_parse(plain, drive_fields, d, err) && fields_parse(limits, throttle_fields, d, err))
        return d;
    drive_options_free(d);
    return NULL;
}

/* ---- meaning ---- */

/* The place of a word in its list; 0 without one. */
static unsigned place(const char *word, const char *const *words)
{
    for (unsigned k = 0; word && words[k]; k++) {
        if (!strcmp(word, words[k]))
            return k;
    }
    return 0;
}

static void settle_cache(const DriveOptions *d, BlockOptions *o)
{
    const char *mode = d->cache ? d->cache : "writeback";

    o->direct = !strcmp(mode, "none") || !strcmp(mode, "directsync");
    o->writethrough = !strcmp(mode, "writethrough") || !strcmp(mode, "directsync");
    o->no_flush = !strcmp(mode, "unsafe");
    if (d->cache_direct)
        o->direct = place(d->cache_direct, words_on_off);
    if (d->cache_no_flush)
        o->no_flush = place(d->cache_no_flush, words_on_off);
    if (d->cache_writeback)
        o->writethrough = !place(d->cache_writeback, words_on_off);
}

static gboolean settle_words(const char *who, const char *aio, const char *zeroes, BlockOptions *o, GError **err)
{
    g_autofree char *aio_place = g_strdup_printf("%s: aio=", who);
    g_autofree char *zeroes_place = g_strdup_printf("%s: detect-zeroes=", who);

    if (aio && !g_strv_contains(words_aio, aio))
        return error_unknown(err, aio_place, "value", aio, words_aio);
    if (zeroes && !g_strv_contains(words_zeroes, zeroes))
        return error_unknown(err, zeroes_place, "value", zeroes, words_zeroes);
    if (aio)
        o->aio = BLOCK_AIO_THREADS + place(aio, words_aio);
    if (zeroes)
        o->detect_zeroes = place(zeroes, words_zeroes);
    if (o->detect_zeroes == BLOCK_ZEROES_UNMAP && !o->discard)
        return error_set(err, "%s: detect-zeroes=unmap needs discard=unmap", who);
    return TRUE;
}

static void take_node(const ImageNode *n, BlockOptions *o)
{
    o->file = n->file;
    o->format = n->format ? n->format : o->format;
    o->backing = n->backing;
    o->readonly |= n->readonly;
    o->direct |= n->direct;
    o->no_flush |= n->no_flush;
    o->discard |= n->discard;
    o->no_lock |= n->no_lock;
    o->throttle_group = n->throttle_group ? n->throttle_group : o->throttle_group;
}

/* file= beside file.driver= is the name of what the driver opens, as in QEMU. */
static gboolean settle_node(const char *who, const DriveOptions *d, BlockOptions *o, ImageNode *n, GError **err)
{
    g_autoptr(GPtrArray) pairs = option_pairs_parse("", NULL);

    for (unsigned i = 0; i < d->node->len; i++) {
        const OptionPair *p = d->node->pdata[i];
        option_pairs_add(pairs, p->key, p->value);
    }
    if (d->file)
        option_pairs_add(pairs, "file.filename", d->file);
    if (!image_node_settle(who, pairs, n, err))
        return FALSE;
    take_node(n, o);
    return TRUE;
}

gboolean drive_options_settle(const char *who, const DriveOptions *d, BlockOptions *o, ImageNode *n, GError **err)
{
    memset(n, 0, sizeof *n);
    *o = (BlockOptions){
        .file = d->file, .format = d->format, .readonly = d->readonly, .snapshot = d->snapshot,
        .cdrom = !g_strcmp0(d->media, "cdrom"), .discard = place(d->discard, words_discard) >= 2,
        .throttle = d->throttle, .throttle_group = d->throttle_group,
        .werror = d->werror ? BLOCK_ERROR_REPORT + place(d->werror, words_error) : BLOCK_ERROR_DEFAULT,
        .rerror = d->rerror ? BLOCK_ERROR_REPORT + place(d->rerror, words_error) : BLOCK_ERROR_DEFAULT,
    };
    settle_cache(d, o);
    return (!d->node || settle_node(who, d, o, n, err)) &&
           settle_words(who, d->aio ? d->aio : n->aio, d->detect_zeroes ? d->detect_zeroes : n->detect_zeroes, o, err);
}

gboolean blockdev_settle(GPtrArray *pairs, const GPtrArray *all, GPtrArray *used, BlockOptions *o, ImageNode *n,
                         GError **err)
{
    const char *name = option_pairs_get(pairs, "node-name");
    g_autofree char *who = g_strdup_printf("-blockdev %s", name ? name : "");

    memset(n, 0, sizeof *n);
    *o = (BlockOptions){0};
    if (!name)
        return error_set(err, "-blockdev: it needs a node-name=, by which -device drive= finds it");
    if (!image_node_expand(who, pairs, all, used, err) || !image_node_settle(who, pairs, n, err))
        return FALSE;
    take_node(n, o);
    o->id = n->name;
    return settle_words(who, n->aio, n->detect_zeroes, o, err);
}

/* ---- -object throttle-group ---- */

/* QEMU's keys are x-iops-total=; the same as members of its "limits". */
static char *limit_key(const char *key)
{
    const char *name = g_str_has_prefix(key, "x-") ? key + 2 : g_str_has_prefix(key, "limits.") ? key + 7 : NULL;
    return name ? g_strconcat("throttling.", name, NULL) : g_strdup(key);
}

gboolean throttle_object_parse(const char *text, char **id, BlockThrottle *limits, GError **err)
{
    g_autoptr(GPtrArray) all = option_pairs_parse(text, "qom-type"), pairs = option_pairs_parse("", NULL);
    g_autofree char *line = NULL;
    DriveOptions d = {0};

    g_free(option_pairs_take(all, "qom-type"));
    *id = option_pairs_take(all, "id");
    if (!*id)
        return error_set(err, "-object throttle-group: it needs an id=");
    for (unsigned i = 0; i < all->len; i++) {
        const OptionPair *p = all->pdata[i];
        g_autofree char *key = limit_key(p->key);
        option_pairs_add(pairs, key, p->value);
    }
    line = option_pairs_format(pairs);
    gboolean ok = option_fields_parse("-object throttle-group", line, NULL, throttle_fields, &d, err);
    *limits = d.throttle;
    g_free(d.throttle_group);
    return ok;
}
