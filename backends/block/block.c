/* Drives: the list of a machine, and what devices ask of one (block.h, block_internal.h). */
#include "backends/block/block.h"

#include <string.h>

#include "backends/block/block_internal.h"
#include "core/error.h"
#include "core/log.h"

/* ---- options ---- */

static void options_copy(BlockOptions *to, const BlockOptions *from)
{
    *to = *from;
    to->id = g_strdup(from->id);
    to->file = g_strdup(from->file);
    to->format = g_strdup(from->format);
    to->backing = g_strdup(from->backing);
    to->throttle_group = g_strdup(from->throttle_group);
}

static void options_clear(BlockOptions *o)
{
    g_free((char *)o->id);
    g_free((char *)o->file);
    g_free((char *)o->format);
    g_free((char *)o->backing);
    g_free((char *)o->throttle_group);
}

/* ---- the list ---- */

BlockList *block_list(Machine *m) { return machine_find(m, "block"); }

static void backend_free(gpointer p)
{
    BlockBackend *b = p;

    if (b->image)
        image_close(b->image);
    throttle_detach(b);
    options_clear(&b->options);
    g_free(b->device);
    g_free(b);
}

static void machine_happened(void *opaque, const MachineEvent *e)
{
    BlockList *list = opaque;

    if (e->kind == MACHINE_RUN_STATE && list->machine->run_state == RUN_RUNNING)
        block_retry_held(list);
}

static BlockList *list_new(Machine *m)
{
    BlockList *list = g_new0(BlockList, 1);

    list->machine = m;
    list->backends = g_ptr_array_new_with_free_func(backend_free);
    list->groups = g_ptr_array_new();
    block_source_attach(list);
    list->threads = block_threads_new(list);
    list->uring = block_uring_new(list);
    list->listener = (MachineListener){ .happened = machine_happened, .opaque = list };
    machine_listen(m, &list->listener);
    m->settle = block_settle;
    machine_provide(m, "block", list);
    return list;
}

BlockList *block_list_of(Machine *m) { return block_list(m) ?: list_new(m); }

BlockBackend *block_find(Machine *m, const char *id) { return machine_find_backend(m, "drive", id); }

BlockBackend *block_nth(Machine *m, unsigned n)
{
    BlockList *list = block_list(m);
    return list && n < list->backends->len ? g_ptr_array_index(list->backends, n) : NULL;
}

/* ---- opening ---- */

/* The drive that has a file open already, or NULL. */
static BlockBackend *find_user(Machine *m, const char *file)
{
    BlockBackend *b;

    for (unsigned n = 0; (b = block_nth(m, n)); n++) {
        if (b->image && image_is_same(b->image, file))
            return b;
    }
    return NULL;
}

static bool may_share(const BlockOptions *o) { return o->readonly || o->snapshot; }

/* The lock would keep this drive out as well; but the user's mistake is within one command line. */
static gboolean check_user(Machine *m, const BlockOptions *o, const BlockBackend *instead_of, GError **err)
{
    BlockBackend *user = find_user(m, o->file);

    if (!user || user == instead_of || (may_share(&user->options) && may_share(o)))
        return TRUE;
    return error_set(err, "drive '%s': '%s' is already used by drive '%s'; only drives with readonly=on or snapshot=on "
                     "can share a file", o->id, o->file, user->options.id);
}

Image *block_open_image(Machine *m, const BlockOptions *o, const BlockBackend *instead_of, GError **err)
{
    g_autofree char *who = g_strdup_printf("drive '%s'", o->id);
    bool no_backing = o->backing && !*o->backing;

    if (!check_user(m, o, instead_of, err))
        return NULL;
    return image_open(&(ImageOptions){ .who = who, .file = o->file, .format = o->format, .readonly = o->readonly,
                                       .backing = no_backing ? NULL : o->backing, .no_backing = no_backing,
                                       .snapshot = o->snapshot, .cdrom = o->cdrom, .direct = o->direct,
                                       .no_flush = o->no_flush, .discard = o->discard, .no_lock = o->no_lock }, err);
}

/* The file that io_uring may read and write in the image's place, or -1. */
static int find_fd(const BlockBackend *b)
{
    const Image *i = b->image;
    bool raw = i && i->lower && !strcmp(i->driver->name, "raw");

    return raw && b->list->uring && b->options.aio != BLOCK_AIO_THREADS ? image_fd(i->lower) : -1;
}

void block_put_image(BlockBackend *b, Image *image)
{
    if (b->image)
        image_close(b->image);
    b->image = image;
    b->fd = find_fd(b);
    b->alignment = image ? image_alignment(image) : 1;
    b->told = false;
}

static gboolean check_aio(BlockList *list, const BlockOptions *o, GError **err)
{
    return o->aio != BLOCK_AIO_URING || list->uring ||
           error_set(err, "drive '%s': aio=io_uring: this host, or this build, has no io_uring; "
                     "aio=threads goes everywhere", o->id);
}

static BlockBackend *backend_new(BlockList *list, const BlockOptions *o)
{
    BlockBackend *b = g_new0(BlockBackend, 1);

    b->list = list;
    b->fd = -1;
    b->no_write_cache = o->writethrough;
    options_copy(&b->options, o);
    return b;
}

BlockBackend *block_open(Machine *m, const BlockOptions *options, GError **err)
{
    BlockOptions o = *options;
    Image *image = NULL;

    o.readonly |= o.cdrom;
    if (block_find(m, o.id)) {
        error_set(err, "drive '%s': there is already a drive of this id; give each its own id=", o.id);
        return NULL;
    }
    BlockList *list = block_list_of(m);
    if (!check_aio(list, &o, err) || (o.file && !(image = block_open_image(m, &o, NULL, err))))
        return NULL;
    BlockBackend *b = backend_new(list, &o);
    block_put_image(b, image);
    if (!throttle_attach(b, &o, err)) {
        backend_free(b);
        return NULL;
    }
    g_ptr_array_add(list->backends, b);
    machine_provide_backend(m, "drive", o.id, b);
    return b;
}

void block_close_all(Machine *m)
{
    BlockList *list = block_list(m);

    if (!list)
        return;
    for (unsigned i = 0; i < list->backends->len; i++) {
        BlockBackend *b = list->backends->pdata[i];
        block_drain(b);
        machine_provide_backend(m, "drive", b->options.id, NULL);
    }
    machine_provide(m, "block", NULL);
    machine_unlisten(m, &list->listener);
    m->settle = NULL;
    block_threads_free(list->threads);
    if (list->uring)
        block_uring_free(list->uring);
    g_source_destroy(list->source);
    g_source_unref(list->source);
    g_ptr_array_unref(list->backends);
    throttle_groups_free(list);
    block_requests_free(list);
    g_free(list);
}

/* ---- who listens: an array of const BlockListener * in a slot of its own, as drives may come later ---- */

void block_listen(Machine *m, const BlockListener *l)
{
    GPtrArray *all = machine_find(m, "block-listeners");

    if (!all)
        machine_provide(m, "block-listeners", all = g_ptr_array_new());
    g_ptr_array_add(all, (gpointer)l);
}

void block_unlisten(Machine *m, const BlockListener *l)
{
    GPtrArray *all = machine_find(m, "block-listeners");

    if (!all || !g_ptr_array_remove(all, (gpointer)l) || all->len)
        return;
    machine_provide(m, "block-listeners", NULL);
    g_ptr_array_unref(all);
}

void block_tell(const BlockEvent *e)
{
    GPtrArray *all = machine_find(e->drive->list->machine, "block-listeners");

    for (unsigned i = 0; all && i < all->len; i++) {
        const BlockListener *l = all->pdata[i];
        l->happened(l->opaque, e);
    }
}

/* ---- who uses it ---- */

gboolean block_attach(BlockBackend *b, const char *device, const BlockUser *user, void *opaque, GError **err)
{
    if (b->device)
        return error_set(err, "%s: drive '%s' is used by '%s' already; each drive belongs to one device", device,
                         b->options.id, b->device);
    b->device = g_strdup(device);
    b->user = user;
    b->user_opaque = opaque;
    return TRUE;
}

void block_detach(BlockBackend *b)
{
    block_drain(b);
    g_clear_pointer(&b->device, g_free);
    b->user = NULL;
}

const char *block_user(const BlockBackend *b) { return b->device; }

/* ---- what a device asks ---- */

const char *block_id(const BlockBackend *b) { return b->options.id; }
const char *block_file(const BlockBackend *b) { return b->image ? b->options.file : NULL; }
uint64_t block_size(const BlockBackend *b) { return b->image ? b->image->size : 0; }
bool block_readonly(const BlockBackend *b) { return b->options.readonly || b->medium_readonly; }
bool block_inserted(const BlockBackend *b) { return b->image != NULL; }
bool block_has_failed(const BlockBackend *b) { return b->told || b->held.first; }
bool block_is_cdrom(const BlockBackend *b) { return b->options.cdrom; }
bool block_can_discard(const BlockBackend *b) { return b->image && b->image->discard && b->image->driver->discard; }

/* What lies over the guest's image for snapshot=on is no format of its own. */
static const Image *shown_image(const BlockBackend *b)
{
    return b->image && b->options.snapshot && !b->image->lower ? b->image->backing : b->image;
}

const char *block_format(const BlockBackend *b) { return b->image ? shown_image(b)->driver->name : NULL; }

const char *block_protocol(const BlockBackend *b)
{
    const Image *i = shown_image(b);
    return i && i->lower ? i->lower->driver->name : NULL;
}

const char *block_backing(const BlockBackend *b, unsigned n)
{
    const Image *i = shown_image(b);
    for (i = i ? i->backing : NULL; i && n; n--)
        i = i->backing;
    return i ? i->file : NULL;
}

const char *block_cache_mode(const BlockBackend *b)
{
    static const char *const names[2][2] = { { "writeback", "writethrough" }, { "none", "directsync" } };
    const BlockOptions *o = &b->options;

    return o->no_flush && !b->no_write_cache && !o->direct ? "unsafe" : names[o->direct][b->no_write_cache];
}

void block_set_write_cache(BlockBackend *b, bool on) { b->no_write_cache = !on; }
bool block_write_cache(const BlockBackend *b) { return !b->no_write_cache; }
