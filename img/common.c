/* What the commands of myna-img share: options, error lines, opening, sizes. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/options.h"
#include "img/img.h"
#include "util/bits.h"

/* ---- error lines ---- */

int img_fail_text(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    fprintf(stderr, "myna-img: %s\n", text);
    return IMG_FAILED;
}

int img_fail(GError *err)
{
    const char *text = err->message;

    if (g_str_has_prefix(text, "myna-img: ")) /* openers of error lines name who wants something */
        text += strlen("myna-img: ");
    img_fail_text("%s", text);
    g_error_free(err);
    return IMG_FAILED;
}

int img_fail_work(const ImageWork *w, const Image *i, int status)
{
    if (!w->failed)
        return img_fail_text("'%s': %s", i->file, g_strerror(-status));
    if (status == -ENOTSUP && w->failed_writing)
        return img_fail_text("'%s': the format %s cannot do that", w->failed->file, w->failed->driver->name);
    return img_fail_text("'%s': %s at offset " U64 ": %s", w->failed->file, w->failed_writing ? "writing" : "reading",
                         w->failed_at, g_strerror(-status));
}

/* ---- options ---- */

gboolean img_parse(int *argc, char ***argv, const GOptionEntry *options, const char *usage, int least, int most)
{
    GError *err = NULL;
    g_autofree char *name = g_strdup_printf("myna-img %s", (*argv)[0]);
    GOptionContext *context = g_option_context_new(usage);

    g_set_prgname(name);
    g_option_context_add_main_entries(context, options, NULL);
    gboolean ok = g_option_context_parse(context, argc, argv, &err);
    g_option_context_free(context);
    if (!ok) {
        img_fail(err);
        return FALSE;
    }
    int n = 1;
    for (int k = 1; k < *argc; k++) /* the "--" before operands is left in */
        if (strcmp((*argv)[k], "--") || k > 1)
            (*argv)[n++] = (*argv)[k];
    *argc = n;
    if (n - 1 >= least && n - 1 <= most)
        return TRUE;
    img_fail_text("usage: %s [OPTION...] %s (--help tells more)", name, usage);
    return FALSE;
}

gboolean img_json_wanted(const char *output, bool *json)
{
    *json = output && !strcmp(output, "json");
    if (output && !*json && strcmp(output, "human")) {
        img_fail_text("--output=%s is unknown; it can be human or json", output);
        return FALSE;
    }
#ifndef CONFIG_JSON_GLIB
    if (*json) {
        img_fail_text("--output=json needs json-glib, which this build of Myna lacks");
        return FALSE;
    }
#endif
    return TRUE;
}

static const char *const cache_modes[] = { "none", "writeback", "writethrough", "directsync", "unsafe", NULL };

gboolean img_cache_known(const char *cache)
{
    GError *err = NULL;

    if (!cache || g_strv_contains(cache_modes, cache))
        return TRUE;
    error_unknown(&err, "-t", "cache mode", cache, cache_modes);
    img_fail(err);
    return FALSE;
}

static void help_options(const char *format)
{
    const ImageDriver *d = image_driver_find(format);

    if (d && d->create_help)
        printf("Options of %s:\n%s", format, d->create_help);
    else
        printf("%s has no options\n", format);
}

GPtrArray *img_pairs(char **options, const char *format)
{
    GString *text = g_string_new(NULL);

    for (; options && *options; options++)
        g_string_append_printf(text, "%s%s", text->len ? "," : "", *options);
    GPtrArray *pairs = option_pairs_parse(text->str, NULL);
    g_string_free(text, TRUE);
    if (!option_pairs_get(pairs, "help") && !option_pairs_get(pairs, "?"))
        return pairs;
    help_options(format);
    g_ptr_array_unref(pairs);
    return NULL;
}

/* ---- opening and making ---- */

Image *img_open(const char *file, const ImgOpen *how)
{
    GError *err = NULL;
    bool direct = how->cache && (!strcmp(how->cache, "none") || !strcmp(how->cache, "directsync"));
    ImageOptions o = { .who = "myna-img", .file = file, .format = how->format, .readonly = how->readonly,
                       .no_lock = how->no_lock, .no_backing = how->no_backing, .repair = how->repair, .direct = direct,
                       .discard = true, .no_flush = how->cache && !strcmp(how->cache, "unsafe") };
    if (!img_cache_known(how->cache))
        return NULL;
    Image *i = image_open(&o, &err);
    if (!i)
        img_fail(err);
    return i;
}

/* --force: not what another has open, either. */
static gboolean may_overwrite(const char *file)
{
    GError *err = NULL;
    ImageOptions o = { .who = "myna-img", .file = file };
    Image *i = image_open_file(&o, &err);

    if (i)
        image_close(i);
    else
        img_fail(err);
    return i != NULL;
}

gboolean img_may_create(const char *file, bool force)
{
    if (access(file, F_OK))
        return TRUE;
    if (force)
        return may_overwrite(file);
    img_fail_text("'%s' exists already; --force overwrites it", file);
    return FALSE;
}

gboolean img_create_file(const char *file, const char *format, uint64_t size, const char *backing,
                         const char *backing_format, GPtrArray *pairs)
{
    GError *err = NULL;
    const ImageDriver *d = image_driver_find(format);
    ImageCreate c = { .who = "myna-img", .file = file, .size = size, .backing = backing, .backing_format = backing_format,
                      .options = pairs };

    if (!d || d->protocol || !d->create) {
        img_fail_text("images of the format '%s' cannot be made; --help lists the formats", format);
        return FALSE;
    }
    if (!d->create(&c, &err)) {
        img_fail(err);
        return FALSE;
    }
    if (!pairs->len)
        return TRUE;
    const OptionPair *p = g_ptr_array_index(pairs, 0);
    img_fail_text("the format %s has no option '%s'; -o help lists those it has", format, p->key);
    unlink(file);
    return FALSE;
}

char *img_backing_format(const char *file, const char *backing, const char *given)
{
    if (given && !image_driver_find(given)) {
        img_fail_text("the backing file's format '%s' is unknown", given);
        return NULL;
    }
    if (given)
        return g_strdup(given);
    g_autofree char *path = image_backing_path(file, backing);
    Image *i = img_open(path, &(ImgOpen) { .readonly = true, .no_backing = true });
    if (!i)
        return NULL;
    char *format = g_strdup(i->driver->name);
    image_close(i);
    if (strcmp(format, "raw"))
        return format;
    img_fail_text("'%s' is not recognised as an image; give -F raw if it is a raw one", path);
    g_free(format);
    return NULL;
}

/* ---- sizes ---- */

char *img_size_text(uint64_t size)
{
    static const char *const units[] = { "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
    int exponent;

    frexp(size / (1000.0 / 1024.0), &exponent); /* 1000 KiB are 0.98 MiB, as QEMU has it */
    unsigned unit = exponent > 1 ? (exponent - 1) / 10 : 0;
    return g_strdup_printf("%0.3g %sB", size / (double)BIT(unit * 10), units[unit]);
}

gboolean img_parse_size(const char *what, const char *text, uint64_t *out)
{
    GError *err = NULL;
    guint64 size;

    if (!parse_size(what, text, 1, &size, &err)) {
        img_fail(err);
        return FALSE;
    }
    if (size > INT64_MAX - 512) {
        img_fail_text("%s: %s is too large", what, text);
        return FALSE;
    }
    *out = align_up(size, 512);
    return TRUE;
}

/* ---- progress ---- */

static void show_progress(void *opaque, uint64_t done, uint64_t total)
{
    enum { WIDTH = 40, STEPS = 1000 };
    ImgProgress *p = opaque;
    int now = total ? (int)((double)done / total * STEPS) : STEPS;
    char bar[WIDTH + 1];

    if (now == p->last)
        return;
    p->last = now;
    for (int n = 0; n < WIDTH; n++)
        bar[n] = n < now * WIDTH / STEPS ? '=' : n == now * WIDTH / STEPS ? '>' : ' ';
    bar[WIDTH] = 0;
    g_autofree char *from = img_size_text(done), *to = img_size_text(total);
    printf("\r[%s] %3d.%d%%  %s of %s\033[K", bar, now / 10, now % 10, from, to);
    fflush(stdout);
}

void img_progress_start(ImgProgress *p, bool wanted, ImageWork *w)
{
    *p = (ImgProgress){ .shown = wanted && isatty(STDOUT_FILENO), .last = -1 };
    if (!p->shown)
        return;
    w->progress = show_progress;
    w->opaque = p;
}

void img_progress_end(ImgProgress *p)
{
    if (p->shown)
        printf("\n");
}

/* ---- JSON ---- */

#ifdef CONFIG_JSON_GLIB
void img_json_print(JsonBuilder *b)
{
    JsonGenerator *g = json_generator_new();
    JsonNode *root = json_builder_get_root(b);

    json_generator_set_root(g, root);
    json_generator_set_pretty(g, TRUE);
    json_generator_set_indent(g, 4);
    g_autofree char *text = json_generator_to_data(g, NULL);
    puts(text);
    json_node_unref(root);
    g_object_unref(g);
}

void img_json_string(JsonBuilder *b, const char *key, const char *value)
{
    g_autofree char *text = g_utf8_make_valid(value, -1);
    json_builder_set_member_name(b, key);
    json_builder_add_string_value(b, text);
}

void img_json_number(JsonBuilder *b, const char *key, uint64_t value)
{
    json_builder_set_member_name(b, key);
    json_builder_add_int_value(b, value);
}

void img_json_bool(JsonBuilder *b, const char *key, bool value)
{
    json_builder_set_member_name(b, key);
    json_builder_add_boolean_value(b, value);
}
#endif
