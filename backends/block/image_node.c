/* Images described by parts (image_node.h). */
#include "backends/block/image_node.h"

#include <string.h>

#include "backends/block/drivers.h"
#include "backends/block/image_json.h"
#include "core/error.h"
#include "core/options.h"

enum { MAX_DEPTH = 16, MAX_PAIRS = 512 };

/* ---- names of nodes ---- */

GPtrArray *image_node_parse(const char *what, const char *text, GError **err)
{
    return *text == '{' ? image_json_parse(what, text, err) : option_pairs_parse(text, "driver");
}

static const GPtrArray *find_node(const GPtrArray *all, const char *name)
{
    for (unsigned i = 0; i < all->len; i++) {
        if (!g_strcmp0(option_pairs_get(all->pdata[i], "node-name"), name))
            return all->pdata[i];
    }
    return NULL;
}

static bool is_reference(const OptionPair *p)
{
    const char *dot = strrchr(p->key, '.');
    const char *key = dot ? dot + 1 : p->key;
    return p->value && *p->value && (!strcmp(key, "file") || !strcmp(key, "backing"));
}

static void insert_node(GPtrArray *pairs, const char *key, const GPtrArray *node)
{
    for (unsigned i = 0; i < node->len; i++) {
        const OptionPair *p = node->pdata[i];
        g_autofree char *full = g_strconcat(key, ".", p->key, NULL);
        option_pairs_add(pairs, full, p->value);
    }
}

/* What is put in may hold names again; nodes that stand on each other in a circle would never end. */
gboolean image_node_expand(const char *what, GPtrArray *pairs, const GPtrArray *all, GPtrArray *used, GError **err)
{
    for (unsigned i = 0; i < pairs->len;) {
        const OptionPair *p = pairs->pdata[i];
        if (!is_reference(p)) {
            i++;
            continue;
        }
        const GPtrArray *node = find_node(all, p->value);
        if (!node)
            return error_set(err, "%s: %s=%s: there is no node of that name (-blockdev node-name=%s,...)", what, p->key,
                             p->value, p->value);
        if (pairs->len > MAX_PAIRS)
            return error_set(err, "%s: node '%s' stands upon itself", what, p->value);
        if (used)
            g_ptr_array_add(used, g_strdup(p->value));
        g_autofree char *key = g_strdup(p->key);
        g_ptr_array_remove_index(pairs, i);
        insert_node(pairs, key, node);
    }
    return TRUE;
}

/* ---- what the keys of a node mean ---- */

typedef struct Walk {
    const char *what;
    GPtrArray *left;   /* pairs that nobody has asked for yet */
    char *prefix;      /* of the node: "", "file.", "file.file.", ... */
    ImageNode *out;
    GError **err;
} Walk;

/* A key of the node; to be freed; NULL: not given. */
static char *take(Walk *w, const char *key)
{
    g_autofree char *full = g_strconcat(w->prefix, key, NULL);
    return option_pairs_take(w->left, full);
}

static void drop(Walk *w, const char *key) { g_free(take(w, key)); }

static gboolean take_bool(Walk *w, const char *key, bool *v)
{
    g_autofree char *text = take(w, key), *where = g_strdup_printf("%s: %s%s=", w->what, w->prefix, key);
    bool on = false;

    if (text && !parse_bool(where, text, &on, w->err))
        return FALSE;
    *v |= on;
    return TRUE;
}

/* A word of several: the outermost node's counts. */
static void take_word(Walk *w, const char *key, char **v)
{
    char *text = take(w, key);
    if (*v)
        g_free(text);
    else
        *v = text;
}

static gboolean take_choice(Walk *w, const char *key, const char *yes, const char *no, bool *v)
{
    g_autofree char *text = take(w, key);
    const char *const words[] = { no, yes, NULL };
    g_autofree char *where = g_strdup_printf("%s: %s%s", w->what, w->prefix, key);

    if (text && !g_strv_contains(words, text))
        return error_unknown(w->err, where, "value", text, words);
    *v |= text && !strcmp(text, yes);
    return TRUE;
}

static gboolean take_common(Walk *w)
{
    ImageNode *n = w->out;
    bool automatic = false; /* auto-read-only: what can be written is opened so */

    take_word(w, "node-name", &n->name);
    take_word(w, "detect-zeroes", &n->detect_zeroes);
    drop(w, "force-share");
    return take_bool(w, "read-only", &n->readonly) && take_bool(w, "auto-read-only", &automatic) &&
           take_bool(w, "cache.direct", &n->direct) && take_bool(w, "cache.no-flush", &n->no_flush) &&
           take_choice(w, "discard", "unmap", "ignore", &n->discard);
}

/* ---- protocols ---- */

static gboolean take_file(Walk *w)
{
    g_autofree char *locking = take(w, "locking");
    static const char *const words[] = { "on", "off", "auto", NULL };

    if (locking && !g_strv_contains(words, locking))
        return error_unknown(w->err, w->what, "locking=", locking, words);
    w->out->no_lock |= !g_strcmp0(locking, "off");
    w->out->file = take(w, "filename");
    take_word(w, "aio", &w->out->aio);
    return w->out->file != NULL || error_set(w->err, "%s: %sfilename= is missing", w->what, w->prefix);
}

/* As the URL that the driver takes. */
static gboolean take_nbd(Walk *w)
{
    g_autofree char *path = take(w, "server.path"), *host = take(w, "server.host"), *port = take(w, "server.port"),
                    *export = take(w, "export");
    g_autofree char *name = g_uri_escape_string(export ?: "", "/", FALSE);

    g_free(take(w, "server.type")); /* the other keys say it as well */
    if (path)
        w->out->file = g_strdup_printf("nbd+unix:///%s?socket=%s", name, path);
    else if (host)
        w->out->file = g_strdup_printf(strchr(host, ':') ? "nbd://[%s]:%s/%s" : "nbd://%s:%s/%s", host, port ?: "10809",
                                       name);
    return w->out->file != NULL ||
           error_set(w->err, "%s: %sserver.host= or %sserver.path= says where the NBD server is", w->what, w->prefix,
                     w->prefix);
}

static gboolean take_protocol(Walk *w, const char *driver)
{
    if (!w->out->format)
        w->out->format = g_strdup("raw"); /* a protocol's bytes as they are */
    return strcmp(driver, "nbd") ? take_file(w) : take_nbd(w);
}

static bool is_protocol(const char *driver)
{
    const ImageDriver *d = image_driver_find(driver);
    return !strcmp(driver, "host_device") || !strcmp(driver, "nbd") || (d && d->protocol);
}

/* ---- formats ---- */

/* The pairs under backing. as one file name, or backing= (null: none). */
static void take_backing(Walk *w)
{
    g_autofree char *prefix = g_strconcat(w->prefix, "backing.", NULL);
    g_autoptr(GPtrArray) below = option_pairs_parse("", NULL);

    w->out->backing = take(w, "backing");
    for (unsigned i = 0; i < w->left->len;) {
        const OptionPair *p = w->left->pdata[i];
        if (!g_str_has_prefix(p->key, prefix)) {
            i++;
            continue;
        }
        option_pairs_add(below, p->key + strlen(prefix), p->value);
        g_ptr_array_remove_index(w->left, i);
    }
    if (below->len) {
        g_autofree char *text = option_pairs_format(below);
        g_free(w->out->backing);
        w->out->backing = g_strconcat("node:", text, NULL);
    }
}

static gboolean take_format(Walk *w, const char *driver)
{
    if (!strcmp(driver, "throttle")) {
        take_word(w, "throttle-group", &w->out->throttle_group);
        return TRUE;
    }
    if (w->out->format)
        return error_set(w->err, "%s: %sdriver=%s: a format stands on a protocol (file, nbd), not on another format",
                         w->what, w->prefix, driver);
    w->out->format = g_strdup(driver);
    take_backing(w);
    return TRUE;
}

/* ---- the walk down ---- */

static void descend(Walk *w)
{
    char *prefix = g_strconcat(w->prefix, "file.", NULL);
    g_free(w->prefix);
    w->prefix = prefix;
}

static bool has_below(const Walk *w)
{
    g_autofree char *prefix = g_strconcat(w->prefix, "file.", NULL);

    for (unsigned i = 0; i < w->left->len; i++) {
        if (g_str_has_prefix(((OptionPair *)w->left->pdata[i])->key, prefix))
            return true;
    }
    return false;
}

/* Without a driver: of what has a node below, the format is seen by its content; else it is a file. */
static gboolean walk(Walk *w)
{
    for (unsigned depth = 0; depth < MAX_DEPTH; depth++) {
        g_autofree char *driver = take(w, "driver");
        if (!take_common(w))
            return FALSE;
        if (driver ? is_protocol(driver) : !has_below(w))
            return take_protocol(w, driver ?: "file");
        if (driver && !take_format(w, driver))
            return FALSE;
        if (!driver)
            take_backing(w);
        descend(w);
    }
    return error_set(w->err, "%s: there are too many nodes upon each other", w->what);
}

static gboolean check_left(const Walk *w)
{
    const OptionPair *p = w->left->len ? w->left->pdata[0] : NULL;
    return !p || error_set(w->err, "%s: '%s' is unknown here", w->what, p->key);
}

gboolean image_node_settle(const char *what, const GPtrArray *pairs, ImageNode *out, GError **err)
{
    Walk w = { .what = what, .left = option_pairs_parse("", NULL), .prefix = g_strdup(""), .out = out, .err = err };

    memset(out, 0, sizeof *out);
    for (unsigned i = 0; i < pairs->len; i++) {
        const OptionPair *p = pairs->pdata[i];
        option_pairs_add(w.left, p->key, p->value);
    }
    gboolean ok = walk(&w) && check_left(&w);
    g_ptr_array_unref(w.left);
    g_free(w.prefix);
    if (!ok)
        image_node_clear(out);
    return ok;
}

void image_node_clear(ImageNode *n)
{
    char *all[] = { n->name, n->file, n->format, n->backing, n->throttle_group, n->aio, n->detect_zeroes };

    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++)
        g_free(all[i]);
    memset(n, 0, sizeof *n);
}

/* ---- as file names ---- */

bool image_node_is_name(const char *file) { return g_str_has_prefix(file, "json:") || g_str_has_prefix(file, "node:"); }

gboolean image_node_from_name(const char *who, const char *file, ImageNode *out, GError **err)
{
    g_autoptr(GPtrArray) pairs = image_node_parse(who, file + strlen("json:"), err);
    return pairs && image_node_settle(who, pairs, out, err);
}
