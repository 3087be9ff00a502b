/* myna-img convert: copies one image, or several one behind the other, into a new one. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/options.h"
#include "img/img.h"

typedef struct Convert {
    char *from_format, *to_format, *cache, *source_cache, *backing, *backing_format, *snapshot, *sparse, **options;
    gboolean compress, progress, quiet, existing, zeroed, salvage, shared, force, unordered;
    int threads;
    /* while it runs */
    GPtrArray *sources;
    uint64_t size, done;
    ImgProgress bar;
    ImageWork work;
} Convert;

/* ---- sources ---- */

static void source_close(gpointer i) { image_close(i); }

/* "snapshot.name=X" and "snapshot.id=X", or X itself. */
static const char *snapshot_name(const char *text)
{
    const char *equals = strchr(text, '=');
    return g_str_has_prefix(text, "snapshot.") && equals ? equals + 1 : text;
}

static gboolean show_snapshot(Image *i, const char *name)
{
    GError *err = NULL;

    if (!i->driver->snapshot_show) {
        img_fail_text("'%s': the format %s has no snapshots", i->file, i->driver->name);
        return FALSE;
    }
    if (!i->driver->snapshot_show(i, name, &err)) {
        img_fail(err);
        return FALSE;
    }
    return TRUE;
}

static gboolean open_sources(Convert *c, char **files, int count, const char *target)
{
    for (int n = 0; n < count; n++) {
        Image *i = img_open(files[n], &(ImgOpen) { .format = c->from_format, .cache = c->source_cache, .readonly = true,
                                                   .no_lock = c->shared });
        if (!i)
            return FALSE;
        g_ptr_array_add(c->sources, i);
        if (image_is_same(i, target)) {
            img_fail_text("'%s' is the source and cannot be the target", target);
            return FALSE;
        }
        if (c->snapshot && !show_snapshot(i, snapshot_name(c->snapshot)))
            return FALSE;
        c->size += i->size;
    }
    return TRUE;
}

/* ---- target ---- */

static gboolean take_backing(Convert *c, GPtrArray *pairs, const char *target)
{
    char *backing = option_pairs_take(pairs, "backing_file"), *format = option_pairs_take(pairs, "backing_fmt");

    if (backing) {
        g_free(c->backing);
        c->backing = backing;
    }
    if (format) {
        g_free(c->backing_format);
        c->backing_format = format;
    }
    if (!c->backing)
        return TRUE;
    if (c->sources->len > 1) {
        img_fail_text("-B goes with one source only");
        return FALSE;
    }
    format = img_backing_format(target, c->backing, c->backing_format);
    g_free(c->backing_format);
    c->backing_format = format;
    return format != NULL;
}

static gboolean create_target(Convert *c, const char *target)
{
    GPtrArray *pairs = img_pairs(c->options, c->to_format);

    if (!pairs)
        return FALSE;
    g_free(option_pairs_take(pairs, "size")); /* it is the source's */
    gboolean ok = take_backing(c, pairs, target) && img_may_create(target, c->force) &&
                  img_create_file(target, c->to_format, c->size, c->backing, c->backing_format, pairs);
    g_ptr_array_unref(pairs);
    return ok;
}

static Image *open_target(Convert *c, const char *target)
{
    Image *i = img_open(target, &(ImgOpen) { .format = c->to_format, .cache = c->cache ? c->cache : "unsafe",
                                             .no_backing = !c->existing && !c->backing });
    if (!i || i->size >= c->size)
        return i;
    img_fail_text("'%s' has " U64 " bytes, fewer than the " U64 " of the source", target, i->size, c->size);
    image_close(i);
    return NULL;
}

/* ---- copying ---- */

static void show_progress(void *opaque, uint64_t done, uint64_t total)
{
    Convert *c = opaque;

    (void)total;
    c->work.progress(c->work.opaque, c->done + done, c->size);
}

static int copy(Convert *c, Image *to)
{
    ImageCopy copy = { .top_only = c->backing, .compress = c->compress, .zeroed = !c->existing || c->zeroed,
                       .salvage = c->salvage, .sparse = 4096 };
    int status = 0;

    if (copy.top_only) /* zeros hide what the backing file has */
        copy.zeroed = false;
    if (c->sparse && !img_parse_size("-S", c->sparse, &copy.sparse))
        return IMG_FAILED;
    img_progress_start(&c->bar, c->progress, &c->work);
    ImageWork w = { .progress = c->work.progress ? show_progress : NULL, .opaque = c };
    for (guint n = 0; n < c->sources->len && !status; n++) {
        Image *from = g_ptr_array_index(c->sources, n);
        copy.at = c->done;
        status = image_copy(from, to, &copy, &w);
        c->done += from->size;
    }
    img_progress_end(&c->bar);
    if (copy.lost)
        img_fail_text("warning: " U64 " bytes could not be read; they are zeros in the target", copy.lost);
    return status ? img_fail_work(&w, to, status) : IMG_OK;
}

static int run(Convert *c, char **files, int count)
{
    const char *target = files[count - 1];

    if (!open_sources(c, files, count - 1, target) || (!c->existing && !create_target(c, target)))
        return IMG_FAILED;
    Image *to = open_target(c, target);
    if (!to)
        return IMG_FAILED;
    int status = copy(c, to);
    if (!status && image_flush(to))
        status = img_fail_text("'%s': cannot be written to stable storage", target);
    image_close(to);
    if (status && !c->existing)
        unlink(target);
    return status;
}

static void convert_clear(Convert *c)
{
    g_ptr_array_unref(c->sources);
    g_strfreev(c->options);
    g_free(c->from_format);
    g_free(c->to_format);
    g_free(c->cache);
    g_free(c->source_cache);
    g_free(c->backing);
    g_free(c->backing_format);
    g_free(c->snapshot);
    g_free(c->sparse);
}

int img_convert(int argc, char **argv)
{
    Convert c = { .sources = g_ptr_array_new_with_free_func(source_close) };
    const GOptionEntry options[] = {
        { "format", 'f', 0, G_OPTION_ARG_FILENAME, &c.from_format, "format of the sources [by content]", "FORMAT" },
        { "target-format", 'O', 0, G_OPTION_ARG_FILENAME, &c.to_format, "format of the target [raw]", "FORMAT" },
        { "backing", 'B', 0, G_OPTION_ARG_FILENAME, &c.backing, "the target's backing file: only what the source itself has is copied", "FILE" },
        { "backing-format", 'F', 0, G_OPTION_ARG_FILENAME, &c.backing_format, "its format", "FORMAT" },
        { "options", 'o', 0, G_OPTION_ARG_FILENAME_ARRAY, &c.options, "options of the target's format; help lists them", "KEY=VALUE,..." },
        { "compress", 'c', 0, G_OPTION_ARG_NONE, &c.compress, "compresses", NULL },
        { "snapshot", 'l', 0, G_OPTION_ARG_FILENAME, &c.snapshot, "a snapshot within the source", "NAME" },
        { "sparse", 'S', 0, G_OPTION_ARG_FILENAME, &c.sparse, "so many zeros in a row become a hole; 0: none do [4k]", "SIZE" },
        { "existing", 'n', 0, G_OPTION_ARG_NONE, &c.existing, "the target exists, and is written to as it is", NULL },
        { "target-is-zero", 0, 0, G_OPTION_ARG_NONE, &c.zeroed, "and reads as zeros", NULL },
        { "salvage", 0, 0, G_OPTION_ARG_NONE, &c.salvage, "what cannot be read becomes zeros", NULL },
        { "cache", 't', 0, G_OPTION_ARG_FILENAME, &c.cache, "cache mode for writing [unsafe]", "MODE" },
        { "source-cache", 'T', 0, G_OPTION_ARG_FILENAME, &c.source_cache, "cache mode for reading", "MODE" },
        { "progress", 'p', 0, G_OPTION_ARG_NONE, &c.progress, "a bar on a terminal", NULL },
        { "quiet", 'q', 0, G_OPTION_ARG_NONE, &c.quiet, "says nothing but errors", NULL },
        { "force-share", 'U', 0, G_OPTION_ARG_NONE, &c.shared, "reads even what another writes", NULL },
        { "threads", 'm', 0, G_OPTION_ARG_INT, &c.threads, "accepted for qemu-img's sake", "N" },
        { "out-of-order", 'W', 0, G_OPTION_ARG_NONE, &c.unordered, "accepted for qemu-img's sake", NULL },
        { "force", 0, 0, G_OPTION_ARG_NONE, &c.force, "overwrites a file that exists", NULL },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    int status = IMG_FAILED;

    if (img_parse(&argc, &argv, options, "FILE... TARGET", 2, G_MAXINT)) {
        if (!c.to_format)
            c.to_format = g_strdup("raw");
        status = run(&c, argv + 1, argc - 1);
    }
    convert_clear(&c);
    return status;
}
