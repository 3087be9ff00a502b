/* myna-img check */
#include <stdio.h>
#include <string.h>

#include "img/img.h"

/* qemu-img's exit statuses. */
enum { CHECK_OK = 0, CHECK_FAILED = 1, CHECK_CORRUPT = 2, CHECK_LEAKS = 3, CHECK_UNSUPPORTED = 63 };

static void tell(void *opaque, const char *line)
{
    (void)opaque;
    puts(line);
}

static void print_fixed(const ImageCheck *c)
{
    if (!c->corruptions_fixed && !c->leaks_fixed)
        return;
    printf("The following inconsistencies were found and repaired:\n\n    " U64 " leaked clusters\n    " U64
           " corruptions\n\n", c->leaks_fixed, c->corruptions_fixed);
}

static void print_left(const ImageCheck *c)
{
    if (c->corruptions)
        printf("\n" U64 " errors were found on the image.\nData may be corrupted, or further writes to the image may corrupt "
               "it.\n", c->corruptions);
    if (c->leaks)
        printf("\n" U64 " leaked clusters were found on the image.\nThis means waste of disk space, but no harm to data.\n",
               c->leaks);
    if (!c->corruptions && !c->leaks)
        printf("No errors were found on the image.\n");
}

static double percent(uint64_t part, uint64_t whole) { return whole ? part * 100.0 / whole : 0; }

static void print_human(const ImageCheck *c)
{
    print_fixed(c);
    print_left(c);
    if (c->total && c->allocated)
        printf(U64 "/" U64 " = %0.2f%% allocated, %0.2f%% fragmented, %0.2f%% compressed clusters\n", c->allocated, c->total,
               percent(c->allocated, c->total), percent(c->fragmented, c->allocated), percent(c->compressed, c->allocated));
    if (c->end)
        printf("Image end offset: " U64 "\n", c->end);
}

#ifdef CONFIG_JSON_GLIB
static void add_if(JsonBuilder *b, const char *key, uint64_t value)
{
    if (value)
        img_json_number(b, key, value);
}

static void print_json(const Image *i, const ImageCheck *c)
{
    JsonBuilder *b = json_builder_new();

    json_builder_begin_object(b);
    img_json_string(b, "filename", i->file);
    img_json_string(b, "format", i->driver->name);
    img_json_number(b, "check-errors", 0);
    add_if(b, "image-end-offset", c->end);
    add_if(b, "corruptions", c->corruptions);
    add_if(b, "leaks", c->leaks);
    add_if(b, "corruptions-fixed", c->corruptions_fixed);
    add_if(b, "leaks-fixed", c->leaks_fixed);
    add_if(b, "total-clusters", c->total);
    add_if(b, "allocated-clusters", c->allocated);
    add_if(b, "fragmented-clusters", c->fragmented);
    add_if(b, "compressed-clusters", c->compressed);
    json_builder_end_object(b);
    img_json_print(b);
    g_object_unref(b);
}
#else
static void print_json(const Image *i, const ImageCheck *c)
{
    (void)i;
    (void)c;
}
#endif

/* After a repair what was found once more: one fault can hide another. */
static gboolean check_again(Image *i, ImageCheck *c, GError **err)
{
    ImageCheck again = { .tell = c->tell };

    if (!i->driver->check(i, &again, err))
        return FALSE;
    again.corruptions_fixed = c->corruptions_fixed;
    again.leaks_fixed = c->leaks_fixed;
    *c = again;
    return TRUE;
}

static int check(Image *i, ImageCheck *c, bool json, bool quiet)
{
    GError *err = NULL;
    bool repair = c->repair_leaks || c->repair_all;

    if (!i->driver->check) {
        img_fail_text("'%s': images of the format %s cannot be checked", i->file, i->driver->name);
        return CHECK_UNSUPPORTED;
    }
    gboolean ok = i->driver->check(i, c, &err);
    if (ok && repair && (c->corruptions_fixed || c->leaks_fixed))
        ok = check_again(i, c, &err);
    if (!ok)
        return img_fail(err);
    if (json)
        print_json(i, c);
    else if (!quiet)
        print_human(c);
    return c->corruptions ? CHECK_CORRUPT : c->leaks ? CHECK_LEAKS : CHECK_OK;
}

int img_check(int argc, char **argv)
{
    g_autofree char *format = NULL, *output = NULL, *repair = NULL, *cache = NULL;
    gboolean quiet = FALSE, shared = FALSE;
    const GOptionEntry options[] = {
        { "format", 'f', 0, G_OPTION_ARG_FILENAME, &format, "format of the image [by content]", "FORMAT" },
        { "repair", 'r', 0, G_OPTION_ARG_FILENAME, &repair, "leaks: clusters that nothing uses; all: everything", "WHAT" },
        { "output", 0, 0, G_OPTION_ARG_FILENAME, &output, "human or json [human]", "FORM" },
        { "cache", 'T', 0, G_OPTION_ARG_FILENAME, &cache, "cache mode for reading", "MODE" },
        { "force-share", 'U', 0, G_OPTION_ARG_NONE, &shared, "even when another writes it", NULL },
        { "quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "says nothing but errors", NULL },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    bool json;

    if (!img_parse(&argc, &argv, options, "FILE", 1, 1) || !img_json_wanted(output, &json))
        return CHECK_FAILED;
    if (repair && strcmp(repair, "leaks") && strcmp(repair, "all"))
        return img_fail_text("-r %s is unknown; it can be leaks or all", repair);
    Image *i = img_open(argv[1], &(ImgOpen) { .format = format, .cache = cache, .readonly = !repair,
                                              .no_lock = shared && !repair, .no_backing = true, .repair = true });
    if (!i)
        return CHECK_FAILED;
    ImageCheck c = { .repair_leaks = repair, .repair_all = repair && !strcmp(repair, "all"),
                     .tell = quiet || json ? NULL : tell };
    int status = check(i, &c, json, quiet);
    image_close(i);
    return status;
}
