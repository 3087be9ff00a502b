/* -fsdev and -virtfs (fsdev.h). */
#include "backends/9p/fsdev.h"

#include <string.h>

#include "core/error.h"
#include "core/machine.h"
#include "core/options.h"

typedef struct FsdevOptions {
    char *driver, *id, *path, *security, *uid_map, *gid_map;
    bool readonly;
} FsdevOptions;

static const char *const words_driver[] = { "local", NULL };
static const char *const words_security[] = { "none", "passthrough", "mapped-xattr", "mapped", NULL };

static const OptionField fsdev_fields[] = {
    OPTION_CHOICE(FsdevOptions, driver, "fsdriver", words_driver),
    OPTION_FIELD(FsdevOptions, id, "id", OPTION_STRING),
    OPTION_FIELD(FsdevOptions, path, "path", OPTION_STRING),
    OPTION_FIELD(FsdevOptions, readonly, "readonly", OPTION_BOOL),
    OPTION_CHOICE(FsdevOptions, security, "security_model", words_security),
    OPTION_CHOICE(FsdevOptions, security, "security-model", words_security),
    OPTION_FIELD(FsdevOptions, uid_map, "uid-map", OPTION_STRING),
    OPTION_FIELD(FsdevOptions, gid_map, "gid-map", OPTION_STRING),
    OPTION_FIELD_IGNORED("writeout"), OPTION_FIELD_IGNORED("multidevs"),
    OPTION_FIELD_END,
};

static void shares_free(gpointer p)
{
    g_hash_table_unref(p);
}

static GHashTable *shares(Machine *m)
{
    GHashTable *table = machine_find(m, "fsdev");
    if (!table) {
        table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)share_free);
        machine_provide(m, "fsdev", table);
    }
    return table;
}

static ShareSecurity security_of(const char *word)
{
    if (!word || !strcmp(word, "none"))
        return SHARE_NONE;
    return strcmp(word, "passthrough") ? SHARE_MAPPED : SHARE_PASSTHROUGH;
}

static gboolean check(Machine *m, const FsdevOptions *o, GError **err)
{
    if (!o->driver)
        return error_set(err, "-fsdev: needs a driver: local,id=ID,path=DIR");
    if (!o->id)
        return error_set(err, "-fsdev: needs an id=, by which a device names it");
    if (!o->path)
        return error_set(err, "-fsdev: '%s' needs a path=, the folder to share", o->id);
    if (fsdev_find(m, o->id))
        return error_set(err, "-fsdev: there is already one of the id '%s'", o->id);
    return TRUE;
}

static gboolean maps_parse(const FsdevOptions *o, Share *s, GError **err)
{
    return (!o->uid_map || id_map_parse("-fsdev: uid-map", o->uid_map, &s->uids, err)) &&
           (!o->gid_map || id_map_parse("-fsdev: gid-map", o->gid_map, &s->gids, err));
}

static gboolean open_share(Machine *m, const FsdevOptions *o, GError **err)
{
    Share *s = check(m, o, err) ? share_new(o->path, err) : NULL;

    if (!s)
        return FALSE;
    s->readonly = o->readonly;
    s->security = security_of(o->security);
    if (!maps_parse(o, s, err)) {
        share_free(s);
        return FALSE;
    }
    g_hash_table_insert(shares(m), g_strdup(o->id), s);
    return TRUE;
}

gboolean fsdev_open(Machine *m, const char *text, GError **err)
{
    FsdevOptions o = { .readonly = true };
    gboolean ok = option_fields_parse("-fsdev", text, "fsdriver", fsdev_fields, &o, err) && open_share(m, &o, err);

    option_fields_clear(fsdev_fields, &o);
    return ok;
}

const Share *fsdev_find(Machine *m, const char *id)
{
    return g_hash_table_lookup(shares(m), id);
}

void fsdev_close_all(Machine *m)
{
    GHashTable *table = machine_find(m, "fsdev");
    machine_provide(m, "fsdev", NULL);
    if (table)
        shares_free(table);
}

/* ---- -virtfs ---- */

/* A value in an option list: each comma twice. */
static void append_option(GString *out, const char *key, const char *value)
{
    g_string_append_printf(out, ",%s=", key);
    for (; *value; value++)
        g_string_append(out, *value == ',' ? ",," : (char[]) { *value, 0 });
}

gboolean fsdev_split_virtfs(const char *text, unsigned n, char **fsdev, char **device, GError **err)
{
    g_autoptr(GPtrArray) pairs = option_pairs_parse(text, "fsdriver");
    g_autofree char *driver = option_pairs_take(pairs, "fsdriver"), *tag = option_pairs_take(pairs, "mount_tag");
    g_autofree char *id = option_pairs_take(pairs, "id");
    GString *share = g_string_new(driver), *dev = g_string_new("virtio-9p-pci");

    if (!id)
        id = g_strdup_printf("virtfs%u", n);
    append_option(share, "id", id);
    for (guint k = 0; k < pairs->len; k++) {
        const OptionPair *p = g_ptr_array_index(pairs, k);
        append_option(share, p->key, p->value ? p->value : "on");
    }
    append_option(dev, "fsdev", id);
    append_option(dev, "mount_tag", tag ? tag : "");
    *fsdev = g_string_free(share, FALSE);
    *device = g_string_free(dev, FALSE);
    if (driver && tag)
        return TRUE;
    g_clear_pointer(fsdev, g_free);
    g_clear_pointer(device, g_free);
    return error_set(err, "-virtfs: needs a driver and a mount_tag=: local,path=DIR,mount_tag=NAME");
}
