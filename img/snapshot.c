/* myna-img snapshot, and the list of snapshots that info prints too. */
#include "img/snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "img/img.h"

static char *date_text(int64_t date)
{
    g_autoptr(GDateTime) t = g_date_time_new_from_unix_local(date);
    return t ? g_date_time_format(t, "%Y-%m-%d %H:%M:%S") : g_strdup("-");
}

static char *clock_text(uint64_t ns)
{
    uint64_t ms = ns / 1000000, s = ms / 1000;
    return g_strdup_printf("%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64 ".%03" PRIu64, s / 3600, s / 60 % 60, s % 60, ms % 1000);
}

void img_snapshots_print(const GPtrArray *list)
{
    if (!list->len)
        return;
    printf("Snapshot list:\n%-10s%-17s%8s%20s%13s\n", "ID", "TAG", "VM SIZE", "DATE", "VM CLOCK");
    for (guint n = 0; n < list->len; n++) {
        const ImageSnapshot *s = g_ptr_array_index(list, n);
        g_autofree char *size = img_size_text(s->vm_size), *date = date_text(s->date), *clock = clock_text(s->vm_clock);
        printf("%-9s %-16s %8s%20s%13s\n", s->id, s->name, size, date, clock);
    }
}

static gboolean change(Image *i, const char *create, const char *apply, const char *delete, GError **err)
{
    const ImageDriver *d = i->driver;
    gboolean ok = TRUE;

    if (create)
        ok = d->snapshot_create(i, create, err);
    if (ok && apply)
        ok = d->snapshot_apply(i, apply, err);
    if (ok && delete)
        ok = d->snapshot_delete(i, delete, err);
    return ok;
}

static int list(Image *i)
{
    g_autoptr(GPtrArray) snapshots = i->driver->snapshots(i);
    img_snapshots_print(snapshots);
    return IMG_OK;
}

int img_snapshot(int argc, char **argv)
{
    g_autofree char *format = NULL, *create = NULL, *apply = NULL, *delete = NULL;
    gboolean wants_list = FALSE, quiet = FALSE, shared = FALSE;
    const GOptionEntry options[] = {
        { "list", 'l', 0, G_OPTION_ARG_NONE, &wants_list, "lists the snapshots (without another option, too)", NULL },
        { "create", 'c', 0, G_OPTION_ARG_FILENAME, &create, "makes one", "NAME" },
        { "apply", 'a', 0, G_OPTION_ARG_FILENAME, &apply, "makes the disk what it was then", "NAME" },
        { "delete", 'd', 0, G_OPTION_ARG_FILENAME, &delete, "deletes one", "NAME" },
        { "format", 'f', 0, G_OPTION_ARG_FILENAME, &format, "format of the image [by content]", "FORMAT" },
        { "force-share", 'U', 0, G_OPTION_ARG_NONE, &shared, "reads it even when another writes it", NULL },
        { "quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "says nothing but errors", NULL },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    GError *err = NULL;
    int status = IMG_OK;

    if (!img_parse(&argc, &argv, options, "FILE", 1, 1))
        return IMG_FAILED;
    if (!!create + !!apply + !!delete + !!wants_list > 1)
        return img_fail_text("give one of -l, -c, -a, -d");
    bool changes = create || apply || delete;
    Image *i = img_open(argv[1], &(ImgOpen) { .format = format, .readonly = !changes, .no_lock = shared && !changes,
                                              .no_backing = true });
    if (!i)
        return IMG_FAILED;
    if (!i->driver->snapshots)
        status = img_fail_text("'%s': the format %s has no snapshots; qcow2 has", argv[1], i->driver->name);
    else if (!changes)
        status = list(i);
    else if (!change(i, create, apply, delete, &err))
        status = img_fail(err);
    image_close(i);
    return status;
}
