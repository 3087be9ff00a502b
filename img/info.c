/* myna-img info */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/options.h"
#include "img/img.h"
#include "img/snapshot.h"

/* What the two forms of output print. */
typedef struct Info {
    const Image *image;
    GPtrArray *pairs, *snapshots;
    char *cluster_size, *dirty;
    const char *backing, *backing_format;
    char *backing_path;
    uint64_t on_disk;
} Info;

static uint64_t size_on_disk(const char *file)
{
    struct stat st;
    return stat(file, &st) ? 0 : (uint64_t)st.st_blocks * 512;
}

static void info_fill(Info *o, Image *i)
{
    const ImageDriver *d = i->driver;

    *o = (Info){ .image = i, .pairs = option_pairs_parse("", NULL), .on_disk = size_on_disk(i->file) };
    if (d->info)
        d->info(i, o->pairs);
    o->cluster_size = option_pairs_take(o->pairs, "cluster_size");
    o->dirty = option_pairs_take(o->pairs, "dirty");
    o->snapshots = d->snapshots ? d->snapshots(i) : NULL;
    o->backing = d->backing_file ? d->backing_file(i) : NULL;
    o->backing_format = d->backing_format ? d->backing_format(i) : NULL;
    o->backing_path = o->backing ? image_backing_path(i->file, o->backing) : NULL;
}

static void info_clear(Info *o)
{
    g_ptr_array_unref(o->pairs);
    if (o->snapshots)
        g_ptr_array_unref(o->snapshots);
    g_free(o->cluster_size);
    g_free(o->dirty);
    g_free(o->backing_path);
}

/* ---- for people ---- */

static void print_backing(const Info *o)
{
    if (!o->backing)
        return;
    if (strcmp(o->backing, o->backing_path))
        printf("backing file: %s (actual path: %s)\n", o->backing, o->backing_path);
    else
        printf("backing file: %s\n", o->backing);
    if (o->backing_format)
        printf("backing file format: %s\n", o->backing_format);
}

static void print_human(const Info *o)
{
    g_autofree char *size = img_size_text(o->image->size), *on_disk = img_size_text(o->on_disk);

    printf("image: %s\nfile format: %s\nvirtual size: %s (" U64 " bytes)\ndisk size: %s\n", o->image->file,
           o->image->driver->name, size, o->image->size, on_disk);
    if (o->cluster_size)
        printf("cluster_size: %s\n", o->cluster_size);
    if (o->dirty && !strcmp(o->dirty, "true"))
        printf("cleanly shut down: no\n");
    print_backing(o);
    if (o->snapshots)
        img_snapshots_print(o->snapshots);
    if (o->pairs->len)
        printf("Format specific information:\n");
    for (guint n = 0; n < o->pairs->len; n++) {
        const OptionPair *p = g_ptr_array_index(o->pairs, n);
        printf("    %s: %s\n", p->key, p->value);
    }
}

/* ---- for programs: qemu-img's members ---- */

#ifdef CONFIG_JSON_GLIB
static void add_snapshot(JsonBuilder *b, const ImageSnapshot *s)
{
    enum { NS = 1000000000 };

    json_builder_begin_object(b);
    img_json_string(b, "id", s->id);
    img_json_string(b, "name", s->name);
    img_json_number(b, "vm-state-size", s->vm_size);
    img_json_number(b, "date-sec", s->date);
    img_json_number(b, "date-nsec", 0);
    img_json_number(b, "vm-clock-sec", s->vm_clock / NS);
    img_json_number(b, "vm-clock-nsec", s->vm_clock % NS);
    json_builder_end_object(b);
}

/* "lazy refcounts", "false": a boolean member lazy-refcounts. */
static void add_pair(JsonBuilder *b, const OptionPair *p)
{
    g_autofree char *key = g_strdelimit(g_strdup(p->key), " _", '-');
    char *end;
    guint64 number = g_ascii_strtoull(p->value, &end, 10);

    if (!strcmp(p->value, "true") || !strcmp(p->value, "false"))
        img_json_bool(b, key, !strcmp(p->value, "true"));
    else if (g_ascii_isdigit(*p->value) && !*end)
        img_json_number(b, key, number);
    else
        img_json_string(b, key, p->value);
}

static void add_specific(JsonBuilder *b, const Info *o)
{
    if (!o->pairs->len)
        return;
    json_builder_set_member_name(b, "format-specific");
    json_builder_begin_object(b);
    img_json_string(b, "type", o->image->driver->name);
    json_builder_set_member_name(b, "data");
    json_builder_begin_object(b);
    for (guint n = 0; n < o->pairs->len; n++)
        add_pair(b, g_ptr_array_index(o->pairs, n));
    json_builder_end_object(b);
    json_builder_end_object(b);
}

static void add_snapshots(JsonBuilder *b, const GPtrArray *snapshots)
{
    if (!snapshots || !snapshots->len)
        return;
    json_builder_set_member_name(b, "snapshots");
    json_builder_begin_array(b);
    for (guint n = 0; n < snapshots->len; n++)
        add_snapshot(b, g_ptr_array_index(snapshots, n));
    json_builder_end_array(b);
}

static void add_info(JsonBuilder *b, const Info *o)
{
    json_builder_begin_object(b);
    img_json_string(b, "filename", o->image->file);
    img_json_string(b, "format", o->image->driver->name);
    img_json_number(b, "virtual-size", o->image->size);
    img_json_number(b, "actual-size", o->on_disk);
    if (o->cluster_size)
        img_json_number(b, "cluster-size", g_ascii_strtoull(o->cluster_size, NULL, 10));
    img_json_bool(b, "dirty-flag", o->dirty && !strcmp(o->dirty, "true"));
    if (o->backing) {
        img_json_string(b, "backing-filename", o->backing);
        img_json_string(b, "full-backing-filename", o->backing_path);
    }
    if (o->backing && o->backing_format)
        img_json_string(b, "backing-filename-format", o->backing_format);
    add_snapshots(b, o->snapshots);
    add_specific(b, o);
    json_builder_end_object(b);
}

static void print_json(const Info *infos, guint count, bool chain)
{
    JsonBuilder *b = json_builder_new();

    if (chain)
        json_builder_begin_array(b);
    for (guint n = 0; n < count; n++)
        add_info(b, &infos[n]);
    if (chain)
        json_builder_end_array(b);
    img_json_print(b);
    g_object_unref(b);
}
#else
static void print_json(const Info *infos, guint count, bool chain)
{
    (void)infos;
    (void)count;
    (void)chain;
}
#endif

static void print(GArray *infos, bool json, bool chain)
{
    if (json) {
        print_json((const Info *)infos->data, infos->len, chain);
        return;
    }
    for (guint n = 0; n < infos->len; n++) {
        if (n)
            printf("\n");
        print_human(&g_array_index(infos, Info, n));
    }
}

static void show(Image *i, bool json, bool chain)
{
    GArray *infos = g_array_new(FALSE, FALSE, sizeof(Info));

    for (; i; i = chain ? i->backing : NULL) {
        Info o;
        info_fill(&o, i);
        g_array_append_val(infos, o);
    }
    print(infos, json, chain);
    for (guint n = 0; n < infos->len; n++)
        info_clear(&g_array_index(infos, Info, n));
    g_array_unref(infos);
}

int img_info(int argc, char **argv)
{
    g_autofree char *format = NULL, *output = NULL;
    gboolean chain = FALSE, shared = FALSE;
    const GOptionEntry options[] = {
        { "format", 'f', 0, G_OPTION_ARG_FILENAME, &format, "format of the image [by content]", "FORMAT" },
        { "output", 0, 0, G_OPTION_ARG_FILENAME, &output, "human or json [human]", "FORM" },
        { "backing-chain", 0, 0, G_OPTION_ARG_NONE, &chain, "its backing files too", NULL },
        { "force-share", 'U', 0, G_OPTION_ARG_NONE, &shared, "even when another writes it", NULL },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    bool json;

    if (!img_parse(&argc, &argv, options, "FILE", 1, 1) || !img_json_wanted(output, &json))
        return IMG_FAILED;
    Image *i = img_open(argv[1], &(ImgOpen) { .format = format, .readonly = true, .no_lock = shared, .no_backing = !chain });
    if (!i)
        return IMG_FAILED;
    show(i, json, chain);
    image_close(i);
    return IMG_OK;
}
