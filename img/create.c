/* myna-img create */
#include <stdio.h>
#include <string.h>

#include "core/options.h"
#include "img/img.h"

typedef struct Create {
    char *format, *backing, *backing_format, **options;
    gboolean quiet, unsafe, force;
} Create;

/* The backing file's size, for an image that has none given. */
static gboolean backing_size(const Create *c, const char *file, uint64_t *size)
{
    g_autofree char *path = image_backing_path(file, c->backing);
    Image *i = img_open(path, &(ImgOpen) { .format = c->backing_format, .readonly = true });

    if (!i)
        return FALSE;
    *size = i->size;
    image_close(i);
    return TRUE;
}

static gboolean find_size(const Create *c, const char *file, const char *text, uint64_t *size)
{
    if (c->backing && c->unsafe && !text) {
        img_fail_text("-u needs a size: the backing file is not looked at");
        return FALSE;
    }
    if (c->backing && !c->unsafe && !backing_size(c, file, size))
        return FALSE;
    if (text)
        return img_parse_size("size", text, size);
    if (c->backing)
        return TRUE;
    img_fail_text("'%s': give the size, as in: myna-img create -f qcow2 FILE 10G", file);
    return FALSE;
}

static void tell(const Create *c, const char *file, uint64_t size)
{
    if (c->quiet)
        return;
    printf("Formatting '%s', fmt=%s size=" U64, file, c->format, size);
    if (c->backing)
        printf(" backing_file=%s backing_fmt=%s", c->backing, c->backing_format);
    printf("\n");
}

static int run(Create *c, const char *file, const char *size_text, GPtrArray *pairs)
{
    g_autofree char *size_option = option_pairs_take(pairs, "size");
    char *backing = option_pairs_take(pairs, "backing_file"), *format = option_pairs_take(pairs, "backing_fmt");
    uint64_t size = 0;

    if (backing) {
        g_free(c->backing);
        c->backing = backing;
    }
    if (format) {
        g_free(c->backing_format);
        c->backing_format = format;
    }
    if (c->backing && !c->unsafe) {
        format = img_backing_format(file, c->backing, c->backing_format);
        g_free(c->backing_format);
        c->backing_format = format;
        if (!format)
            return IMG_FAILED;
    }
    if (!find_size(c, file, size_text ? size_text : size_option, &size) || !img_may_create(file, c->force))
        return IMG_FAILED;
    tell(c, file, size);
    return img_create_file(file, c->format, size, c->backing, c->backing_format, pairs) ? IMG_OK : IMG_FAILED;
}

int img_create(int argc, char **argv)
{
    Create c = { 0 };
    const GOptionEntry options[] = {
        { "format", 'f', 0, G_OPTION_ARG_FILENAME, &c.format, "format of the image [raw]", "FORMAT" },
        { "backing", 'b', 0, G_OPTION_ARG_FILENAME, &c.backing, "what the image lacks is read from this one", "FILE" },
        { "backing-format", 'F', 0, G_OPTION_ARG_FILENAME, &c.backing_format, "its format", "FORMAT" },
        { "options", 'o', 0, G_OPTION_ARG_FILENAME_ARRAY, &c.options, "options of the format; help lists them", "KEY=VALUE,..." },
        { "unsafe", 'u', 0, G_OPTION_ARG_NONE, &c.unsafe, "does not look at the backing file", NULL },
        { "quiet", 'q', 0, G_OPTION_ARG_NONE, &c.quiet, "says nothing but errors", NULL },
        { "force", 0, 0, G_OPTION_ARG_NONE, &c.force, "overwrites a file that exists", NULL },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    int status = IMG_FAILED;
    GPtrArray *pairs = NULL;
    /* -o help needs no file. */
    gboolean ok = img_parse(&argc, &argv, options, "FILE [SIZE]", 0, 2);

    if (ok && !c.format)
        c.format = g_strdup("raw");
    if (ok && !image_driver_find(c.format))
        ok = img_fail_text("the format '%s' is unknown; --help lists the formats", c.format) == IMG_OK;
    if (ok && !(pairs = img_pairs(c.options, c.format)))
        status = IMG_OK;
    else if (ok && argc < 2)
        img_fail_text("usage: myna-img create [OPTION...] FILE [SIZE] (--help tells more)");
    else if (ok)
        status = run(&c, argv[1], argc > 2 ? argv[2] : NULL, pairs);
    if (pairs)
        g_ptr_array_unref(pairs);
    g_strfreev(c.options);
    g_free(c.format);
    g_free(c.backing);
    g_free(c.backing_format);
    return status;
}
