/* Another medium, another size, and commit (block.h). */
#include "backends/block/block_internal.h"
#include "backends/block/image_copy.h"
#include "core/error.h"

/* ---- tray and door ---- */

void block_set_tray(BlockBackend *b, bool open)
{
    if (b->tray_open == open)
        return;
    b->tray_open = open;
    block_tell(&(BlockEvent){ .kind = BLOCK_EVENT_TRAY, .drive = b });
    if (open && b->eject_pending) {
        b->list->eject_wanted = true; /* not now: a device's command is under way */
        block_source_wake(b->list);
    }
}

void block_set_locked(BlockBackend *b, bool locked) { b->locked = locked; }
bool block_tray_open(const BlockBackend *b) { return b->tray_open; }
bool block_locked(const BlockBackend *b) { return b->locked; }

bool block_removable(const BlockBackend *b)
{
    return b->options.cdrom || !b->user || b->user->removable;
}

/* ---- media ---- */

static void set_string(const char **field, const char *value)
{
    g_free((char *)*field);
    *field = g_strdup(value);
}

static void tell_medium(BlockBackend *b)
{
    if (b->user && b->user->medium_changed)
        b->user->medium_changed(b->user_opaque);
}

static void take_out(BlockBackend *b)
{
    b->eject_pending = false;
    if (!b->image)
        return;
    block_drain(b);
    block_put_image(b, NULL);
    set_string(&b->options.file, NULL);
    b->medium_readonly = false;
    tell_medium(b);
}

void block_eject_pending(BlockList *list)
{
    machine_lock(list->machine);
    list->eject_wanted = false;
    for (unsigned i = 0; i < list->backends->len; i++) {
        BlockBackend *b = list->backends->pdata[i];
        if (b->eject_pending && b->tray_open)
            take_out(b);
    }
    machine_unlock(list->machine);
}

static gboolean check_removable(const BlockBackend *b, GError **err)
{
    return block_removable(b) ||
           error_set(err, "drive '%s': its medium cannot be changed: '%s' is a fixed disk", b->options.id, b->device);
}

/* Has the device open its tray, if it has one. */
static gboolean open_tray(BlockBackend *b, bool force, GError **err)
{
    bool has_tray = b->user && b->user->eject_wanted;

    if (has_tray && !b->tray_open)
        b->user->eject_wanted(b->user_opaque, force);
    if (!has_tray || force || b->tray_open)
        return TRUE;
    return error_set(err, "drive '%s': the guest has locked the tray, and is told that it should open it; "
                     "-f does not ask it", b->options.id);
}

gboolean block_eject(BlockBackend *b, bool force, GError **err)
{
    if (!check_removable(b, err))
        return FALSE;
    b->eject_pending = b->image != NULL;
    if (!open_tray(b, force, err))
        return FALSE;
    take_out(b);
    return TRUE;
}

/* Of the same file, that is in the drive and may be locked by it, the old one has to be closed first. */
static Image *open_next(BlockBackend *b, const BlockOptions *o, GError **err)
{
    if (b->image && image_is_same(b->image, o->file)) {
        block_drain(b);
        block_put_image(b, NULL);
    }
    return block_open_image(b->list->machine, o, b, err);
}

gboolean block_change(BlockBackend *b, const char *file, const char *format, bool readonly, bool force, GError **err)
{
    BlockOptions o = b->options;

    o.file = file;
    o.format = format;
    o.backing = NULL;
    o.readonly |= readonly;
    b->eject_pending = false;
    if (!check_removable(b, err) || !open_tray(b, force, err))
        return FALSE;
    Image *image = open_next(b, &o, err);
    if (!image)
        return FALSE;
    block_drain(b);
    block_put_image(b, image);
    set_string(&b->options.file, file);
    set_string(&b->options.format, format);
    set_string(&b->options.backing, NULL);
    b->medium_readonly = readonly;
    block_set_tray(b, false);
    tell_medium(b);
    return TRUE;
}

/* ---- size ---- */

gboolean block_resize(BlockBackend *b, uint64_t size, GError **err)
{
    unsigned sector = b->options.cdrom ? 2048 : 512;

    if (!b->image)
        return error_set(err, "drive '%s' has no medium", b->options.id);
    if (size % sector || size > INT64_MAX)
        return error_set(err, "drive '%s': its size is a multiple of %u bytes, not %" G_GUINT64_FORMAT, b->options.id,
                         sector, size);
    if (block_readonly(b))
        return error_set(err, "drive '%s' is read-only", b->options.id);
    block_drain(b);
    int status = image_resize(b->image, size);
    if (status)
        return image_error(b->image, "cannot be resized", status, err);
    if (b->user && b->user->resized)
        b->user->resized(b->user_opaque);
    return TRUE;
}

/* ---- commit ---- */

/* What the image has of its own; what it lacks is in its backing image already. */
static int copy_down(Image *top)
{
    Image *base = top->backing;
    ImageWork w = { 0 };

    top->backing = NULL;
    int status = image_commit(top, base, &w);
    top->backing = base;
    return status;
}

static Image *reopen(const BlockBackend *b, const char *file, const char *format, bool readonly, GError **err)
{
    g_autofree char *who = g_strdup_printf("drive '%s'", b->options.id);
    return image_open(&(ImageOptions){ .who = who, .file = file, .format = format, .readonly = readonly,
                                       .direct = b->options.direct, .no_lock = b->options.no_lock }, err);
}

/* Its lock lets others read it, so it is closed before it is opened to be written. */
static gboolean set_backing_writable(BlockBackend *b, bool writable, GError **err)
{
    Image *top = b->image;
    g_autofree char *file = g_strdup(top->backing->file);
    const char *format = top->backing->driver->name;
    g_autoptr(GError) why = NULL;

    image_close(top->backing);
    top->backing = reopen(b, file, format, !writable, &why);
    if (top->backing)
        return TRUE;
    if (writable)
        top->backing = reopen(b, file, format, true, NULL);
    if (!top->backing)
        block_put_image(b, NULL); /* its blocks would read as zeros */
    g_propagate_error(err, g_steal_pointer(&why));
    return FALSE;
}

gboolean block_commit(BlockBackend *b, GError **err)
{
    Image *top = b->image;

    if (!top || !top->backing)
        return error_set(err, "drive '%s' has no backing image to commit to", b->options.id);
    if (block_readonly(b) || !top->driver->make_empty)
        return error_set(err, "drive '%s': %s", b->options.id,
                         block_readonly(b) ? "it is read-only" : "its format cannot be emptied, as a commit does");
    block_drain(b);
    if (!set_backing_writable(b, true, err))
        return FALSE;
    int status = copy_down(top);
    if (!status)
        status = top->driver->make_empty(top);
    if (status)
        image_error(top, "cannot be committed", status, err);
    return set_backing_writable(b, false, status ? NULL : err) && !status;
}
