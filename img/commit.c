/* myna-img commit: what an image has goes to its backing file, or one further down. */
#include <stdio.h>
#include <string.h>

#include "img/img.h"

typedef struct Commit {
    char *format, *cache, *base;
    gboolean keep, progress, quiet;
} Commit;

static char *next_file(const Image *i, const char **format)
{
    const char *file = i->driver->backing_file ? i->driver->backing_file(i) : NULL;
    *format = i->driver->backing_format ? i->driver->backing_format(i) : NULL;
    return file ? image_backing_path(i->file, file) : NULL;
}

/*
 * Opens what lies between `top`, which is opened without backing images, and the base, as top's chain; returns the
 * base's name and format.  NULL: said why not.
 */
static char *open_between(Image *top, const Commit *c, char **base_format)
{
    for (Image *i = top;; i = i->backing) {
        const char *format;
        g_autofree char *file = next_file(i, &format);
        if (!file && c->base)
            img_fail_text("'%s' is no backing file of '%s'", c->base, top->file);
        else if (!file)
            img_fail_text("'%s' has no backing file", top->file);
        if (!file)
            return NULL;
        if (!c->base || !strcmp(c->base, file)) {
            *base_format = g_strdup(format);
            return g_steal_pointer(&file);
        }
        i->backing = img_open(file, &(ImgOpen) { .format = format, .readonly = true, .no_backing = true });
        if (!i->backing)
            return NULL;
    }
}

/* What is in the base now need not be in the image; not when others lie between, which hide the base. */
static int empty(Image *top, const Commit *c)
{
    if (c->keep || top->backing || !top->driver->make_empty)
        return IMG_OK;
    int status = top->driver->make_empty(top);
    return status ? img_fail_text("'%s' cannot be emptied: %s", top->file, g_strerror(-status)) : IMG_OK;
}

static int commit(Image *top, Image *base, const Commit *c)
{
    ImageWork w = { 0 };
    ImgProgress p;

    img_progress_start(&p, c->progress, &w);
    int status = image_commit(top, base, &w);
    img_progress_end(&p);
    if (status)
        return img_fail_work(&w, top, status);
    status = empty(top, c);
    if (!status && !c->quiet)
        printf("Image committed.\n");
    return status;
}

static int run(const Commit *c, const char *file)
{
    Image *top = img_open(file, &(ImgOpen) { .format = c->format, .cache = c->cache, .no_backing = true });
    g_autofree char *base_format = NULL;
    g_autofree char *base_file = top ? open_between(top, c, &base_format) : NULL;
    Image *base = base_file ? img_open(base_file, &(ImgOpen) { .format = base_format, .cache = c->cache }) : NULL;
    int status = base ? commit(top, base, c) : IMG_FAILED;

    if (base)
        image_close(base);
    if (top)
        image_close(top);
    return status;
}

int img_commit(int argc, char **argv)
{
    Commit c = { 0 };
    const GOptionEntry options[] = {
        { "format", 'f', 0, G_OPTION_ARG_FILENAME, &c.format, "format of the image [by content]", "FORMAT" },
        { "base", 'b', 0, G_OPTION_ARG_FILENAME, &c.base, "a file further down its chain [its backing file]", "FILE" },
        { "keep", 'd', 0, G_OPTION_ARG_NONE, &c.keep, "does not empty the image afterwards", NULL },
        { "cache", 't', 0, G_OPTION_ARG_FILENAME, &c.cache, "cache mode for writing", "MODE" },
        { "progress", 'p', 0, G_OPTION_ARG_NONE, &c.progress, "a bar on a terminal", NULL },
        { "quiet", 'q', 0, G_OPTION_ARG_NONE, &c.quiet, "says nothing but errors", NULL },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    int status = img_parse(&argc, &argv, options, "FILE", 1, 1) ? run(&c, argv[1]) : IMG_FAILED;

    g_free(c.format);
    g_free(c.cache);
    g_free(c.base);
    return status;
}
