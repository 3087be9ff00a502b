/* myna-img rebase */
#include <stdio.h>
#include <string.h>

#include "img/img.h"

typedef struct Rebase {
    char *format, *cache, *source_cache, *backing, *backing_format;
    gboolean unsafe, progress, quiet;
} Rebase;

/* The content stays: what differs between the old and the new chain is written to the image. */
static int keep_content(Image *top, const Rebase *r)
{
    ImageWork w = { 0 };
    ImgProgress p;
    Image *backing = NULL;

    if (*r->backing) {
        g_autofree char *path = image_backing_path(top->file, r->backing);
        if (image_is_same(top, path))
            return img_fail_text("'%s' cannot be its own backing file", top->file);
        backing = img_open(path, &(ImgOpen) { .format = r->backing_format, .cache = r->source_cache, .readonly = true });
        if (!backing)
            return IMG_FAILED;
    }
    img_progress_start(&p, r->progress, &w);
    int status = image_rebase(top, backing, &w);
    img_progress_end(&p);
    if (status)
        img_fail_work(&w, top, status);
    if (backing)
        image_close(backing);
    return status ? IMG_FAILED : IMG_OK;
}

static int rebase(Image *top, const Rebase *r)
{
    GError *err = NULL;

    if (!top->driver->set_backing)
        return img_fail_text("'%s': images of the format %s have no backing file", top->file, top->driver->name);
    if (!r->unsafe && keep_content(top, r) != IMG_OK)
        return IMG_FAILED;
    return top->driver->set_backing(top, r->backing, r->backing_format, &err) ? IMG_OK : img_fail(err);
}

static int run(Rebase *r, const char *file)
{
    if (!r->backing)
        return img_fail_text("give the new backing file by -b; -b '' is none");
    if (*r->backing && !r->unsafe) {
        char *format = img_backing_format(file, r->backing, r->backing_format);
        g_free(r->backing_format);
        r->backing_format = format;
        if (!format)
            return IMG_FAILED;
    }
    Image *top = img_open(file, &(ImgOpen) { .format = r->format, .cache = r->cache, .no_backing = r->unsafe });
    if (!top)
        return IMG_FAILED;
    int status = rebase(top, r);
    image_close(top);
    return status;
}

int img_rebase(int argc, char **argv)
{
    Rebase r = { 0 };
    const GOptionEntry options[] = {
        { "format", 'f', 0, G_OPTION_ARG_FILENAME, &r.format, "format of the image [by content]", "FORMAT" },
        { "backing", 'b', 0, G_OPTION_ARG_FILENAME, &r.backing, "the new backing file; '': none", "FILE" },
        { "backing-format", 'F', 0, G_OPTION_ARG_FILENAME, &r.backing_format, "its format", "FORMAT" },
        { "unsafe", 'u', 0, G_OPTION_ARG_NONE, &r.unsafe, "changes the name alone, not what is read", NULL },
        { "cache", 't', 0, G_OPTION_ARG_FILENAME, &r.cache, "cache mode for writing", "MODE" },
        { "source-cache", 'T', 0, G_OPTION_ARG_FILENAME, &r.source_cache, "cache mode for reading", "MODE" },
        { "progress", 'p', 0, G_OPTION_ARG_NONE, &r.progress, "a bar on a terminal", NULL },
        { "quiet", 'q', 0, G_OPTION_ARG_NONE, &r.quiet, "says nothing but errors", NULL },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    int status = img_parse(&argc, &argv, options, "FILE", 1, 1) ? run(&r, argv[1]) : IMG_FAILED;

    g_free(r.format);
    g_free(r.cache);
    g_free(r.source_cache);
    g_free(r.backing);
    g_free(r.backing_format);
    return status;
}
