/* myna-img compare */
#include <stdio.h>

#include "img/img.h"

/* qemu-img's exit statuses. */
enum { SAME = 0, DIFFERENT = 1, COMPARE_FAILED = 2 };

static int say(bool quiet, int status, const char *text, uint64_t at)
{
    if (!quiet)
        printf(text, at);
    return status;
}

static int compare(Image *a, Image *b, bool strict, bool quiet, bool progress)
{
    ImgProgress p;
    ImageWork w = { 0 };
    uint64_t at;
    bool allocation;

    if (a->size != b->size && strict)
        return say(quiet, DIFFERENT, "Strict mode: Image size mismatch!\n", 0);
    img_progress_start(&p, progress, &w);
    int status = image_compare(a, b, strict, &at, &allocation, &w);
    img_progress_end(&p);
    if (status) {
        img_fail_work(&w, a, status);
        return COMPARE_FAILED;
    }
    if (allocation)
        return say(quiet, DIFFERENT, "Strict mode: Offset " U64 " block status mismatch!\n", at);
    if (at < MAX(a->size, b->size))
        return say(quiet, DIFFERENT, "Content mismatch at offset " U64 "!\n", at);
    if (a->size != b->size)
        say(quiet, SAME, "Warning: Image size mismatch!\n", 0);
    return say(quiet, SAME, "Images are identical.\n", 0);
}

int img_compare(int argc, char **argv)
{
    g_autofree char *format = NULL, *second = NULL, *cache = NULL;
    gboolean strict = FALSE, quiet = FALSE, progress = FALSE, shared = FALSE;
    const GOptionEntry options[] = {
        { "format", 'f', 0, G_OPTION_ARG_FILENAME, &format, "format of the first image [by content]", "FORMAT" },
        { "second-format", 'F', 0, G_OPTION_ARG_FILENAME, &second, "of the second", "FORMAT" },
        { "strict", 's', 0, G_OPTION_ARG_NONE, &strict, "sizes and what is allocated must be equal, too", NULL },
        { "cache", 'T', 0, G_OPTION_ARG_FILENAME, &cache, "cache mode for reading", "MODE" },
        { "progress", 'p', 0, G_OPTION_ARG_NONE, &progress, "a bar on a terminal", NULL },
        { "quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "says nothing but errors", NULL },
        { "force-share", 'U', 0, G_OPTION_ARG_NONE, &shared, "even when another writes them", NULL },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };

    if (!img_parse(&argc, &argv, options, "FILE FILE", 2, 2))
        return COMPARE_FAILED;
    Image *a = img_open(argv[1], &(ImgOpen) { .format = format, .cache = cache, .readonly = true, .no_lock = shared });
    Image *b = a ? img_open(argv[2], &(ImgOpen) { .format = second, .cache = cache, .readonly = true, .no_lock = shared })
                 : NULL;
    int status = b ? compare(a, b, strict, quiet, progress) : COMPARE_FAILED;
    if (a)
        image_close(a);
    if (b)
        image_close(b);
    return status;
}
