/* Backing images: where the name in an image leads, and opening what is there. */
#include <string.h>

#include "backends/block/image.h"
#include "core/error.h"

char *image_backing_path(const char *file, const char *name)
{
    const char *colon = strchr(name, ':'), *slash = strchr(name, '/');
    bool is_url = colon && (!slash || colon < slash);

    if (is_url || g_path_is_absolute(name))
        return g_strdup(name);
    g_autofree char *directory = g_path_get_dirname(file);
    return strcmp(directory, ".") || !strncmp(file, "./", 2) ? g_build_filename(directory, name, NULL) : g_strdup(name);
}

gboolean image_open_backing(Image *i, const ImageOptions *o, const char *name, const char *format, GError **err)
{
    enum { DEPTH_MAX = 200 };
    g_autofree char *path = o->backing ? g_strdup(o->backing) : name && *name ? image_backing_path(i->file, name) : NULL;
    ImageOptions b = { .who = o->who, .file = path, .format = o->backing ? NULL : format, .readonly = true,
                       .no_lock = o->no_lock, .direct = o->direct, .depth = o->depth + 1 };

    if (o->no_backing || !path || !*path)
        return TRUE;
    if (b.depth > DEPTH_MAX)
        return error_set(err, "%s: '%s' stands on more than %d backing files, or on itself", o->who, i->file, DEPTH_MAX);
    i->backing = image_open(&b, err);
    if (i->backing)
        return TRUE;
    if (!o->depth)
        g_prefix_error(err, "backing file of '%s': ", i->file);
    return FALSE;
}
