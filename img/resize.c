/* myna-img resize */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "img/img.h"

/* "+5G" and "-5G" are from the size it has. */
static gboolean parse_new_size(const char *text, uint64_t old, uint64_t *size)
{
    uint64_t n;
    bool relative = *text == '+' || *text == '-';

    if (!img_parse_size("size", text + relative, &n))
        return FALSE;
    if (*text == '-' && n > old) {
        img_fail_text("the disk has " U64 " bytes, fewer than it is to become smaller", old);
        return FALSE;
    }
    if (*text == '+' && n > INT64_MAX - 512 - old) {
        img_fail_text("the size is too large");
        return FALSE;
    }
    *size = *text == '+' ? old + n : *text == '-' ? old - n : n;
    return TRUE;
}

static int resize(Image *i, const char *text, bool may_shrink, bool quiet)
{
    uint64_t size;

    if (!parse_new_size(text, i->size, &size))
        return IMG_FAILED;
    if (size < i->size && !may_shrink)
        return img_fail_text("'%s' would lose what lies behind its new end at " U64 "; give --shrink if that is wanted",
                             i->file, size);
    int status = image_resize(i, size);
    if (!status)
        status = image_flush(i);
    if (status == -ENOTSUP)
        return img_fail_text("'%s': the format %s, or this image with its snapshots, cannot be resized so", i->file,
                             i->driver->name);
    if (status)
        return img_fail_text("'%s' cannot be resized: %s", i->file, g_strerror(-status));
    if (!quiet)
        printf("Image resized.\n");
    return IMG_OK;
}

int img_resize(int argc, char **argv)
{
    g_autofree char *format = NULL, *preallocation = NULL;
    gboolean shrink = FALSE, quiet = FALSE;
    const GOptionEntry options[] = {
        { "format", 'f', 0, G_OPTION_ARG_FILENAME, &format, "format of the image [by content]", "FORMAT" },
        { "shrink", 0, 0, G_OPTION_ARG_NONE, &shrink, "what lies behind the new end may be lost", NULL },
        { "preallocation", 0, 0, G_OPTION_ARG_FILENAME, &preallocation, "off", "MODE" },
        { "quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "says nothing but errors", NULL },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    /* The size may begin with "-": it is no option. */
    const char *size = argc > 2 ? argv[--argc] : NULL;

    if (!img_parse(&argc, &argv, options, "FILE [+|-]SIZE", 0, 1))
        return IMG_FAILED;
    if (argc < 2 || !size)
        return img_fail_text("usage: myna-img resize [OPTION...] FILE [+|-]SIZE (--help tells more)");
    if (preallocation && strcmp(preallocation, "off"))
        return img_fail_text("--preallocation=%s is not supported; it can be off", preallocation);
    Image *i = img_open(argv[1], &(ImgOpen) { .format = format });
    if (!i)
        return IMG_FAILED;
    int status = resize(i, size, shrink, quiet);
    image_close(i);
    return status;
}
