/*
 * The drives of the `pc` board: what -blockdev and -drive name is opened, and -drive's if= gives it a device: a place of
 * the IDE controller, of the floppy controller, or a device of its own.
 */
#include <limits.h>
#include <string.h>

#include "core/error.h"
#include "core/options.h"
#include "machines/pc.h"
#include "util/bits.h"

enum { FLOPPY_COUNT = 2, MAX_DRIVES = 256 };

/* ---- -blockdev ---- */

static GPtrArray *blockdevs_parse(const Options *o, GError **err)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref);

    for (guint i = 0; i < o->blockdevs->len; i++) {
        GPtrArray *pairs = image_node_parse("-blockdev", o->blockdevs->pdata[i], err);
        if (!pairs)
            return NULL;
        g_ptr_array_add(all, pairs);
    }
    return g_steal_pointer(&all);
}

static bool is_used(const GPtrArray *used, const char *name)
{
    for (guint i = 0; name && i < used->len; i++) {
        if (!strcmp(used->pdata[i], name))
            return true;
    }
    return false;
}

/* References of a copy are replaced, since others may name the same node. */
static GPtrArray *copy_pairs(const GPtrArray *pairs)
{
    GPtrArray *copy = option_pairs_parse("", NULL);

    for (guint i = 0; i < pairs->len; i++) {
        const OptionPair *p = pairs->pdata[i];
        option_pairs_add(copy, p->key, p->value);
    }
    return copy;
}

static gboolean names_collect(const GPtrArray *all, GPtrArray *used, GError **err)
{
    for (guint i = 0; i < all->len; i++) {
        g_autoptr(GPtrArray) pairs = copy_pairs(all->pdata[i]);
        if (!image_node_expand("-blockdev", pairs, all, used, err))
            return FALSE;
    }
    return TRUE;
}

static gboolean blockdev_open(Pc *pc, const GPtrArray *pairs, const GPtrArray *all, GError **err)
{
    g_autoptr(GPtrArray) copy = copy_pairs(pairs);
    BlockOptions b;
    ImageNode node;
    gboolean ok = blockdev_settle(copy, all, NULL, &b, &node, err) && block_open(pc->m, &b, err) != NULL;

    image_node_clear(&node);
    return ok;
}

/* A node that others stand on is opened with these. */
static gboolean blockdevs_open(Pc *pc, GError **err)
{
    g_autoptr(GPtrArray) all = blockdevs_parse(pc->o, err), used = g_ptr_array_new_with_free_func(g_free);

    if (!all || !names_collect(all, used, err))
        return FALSE;
    for (guint i = 0; i < all->len; i++) {
        if (!is_used(used, option_pairs_get(all->pdata[i], "node-name")) &&
            !blockdev_open(pc, all->pdata[i], all, err))
            return FALSE;
    }
    return TRUE;
}

/* ---- -object throttle-group ---- */

gboolean pc_throttle_group_create(Pc *pc, const char *text, GError **err)
{
    g_autofree char *id = NULL;
    BlockThrottle limits;

    return throttle_object_parse(text, &id, &limits, err) && block_throttle_group(pc->m, id, &limits, err);
}

/* ---- -drive ---- */

static bool has_interface(const DriveOptions *d, const char *name)
{
    return !strcmp(d->interface ? d->interface : "ide", name);
}

/* QEMU's default ids: "ide0-hd0", "ide1-cd0", "virtio0", "none0". */
static char *drive_id(const DriveOptions *d, unsigned n)
{
    const char *kind = !g_strcmp0(d->media, "cdrom") ? "cd" : "hd";

    if (d->id)
        return g_strdup(d->id);
    if (has_interface(d, "ide"))
        return g_strdup_printf("ide%u-%s%u", n / 2, kind, n % 2);
    if (has_interface(d, "scsi"))
        return g_strdup_printf("scsi0-%s%u", kind, n);
    return g_strdup_printf("%s%u", d->interface, n);
}

static BlockBackend *drive_open(Pc *pc, const DriveOptions *d, unsigned n, GError **err)
{
    g_autofree char *id = drive_id(d, n), *who = g_strdup_printf("drive '%s'", id);
    BlockBackend *drive = NULL;
    BlockOptions b;
    ImageNode node;

    if (drive_options_settle(who, d, &b, &node, err)) {
        b.id = id;
        b.snapshot |= pc->o->snapshot;
        drive = block_open(pc->m, &b, err);
    }
    image_node_clear(&node);
    return drive;
}

static gboolean place_taken(const DriveOptions *d, unsigned n, const BlockBackend *by, GError **err)
{
    return error_set(err, "-drive file=%s: %s drive %u is '%s' already", d->file ? d->file : "",
                     has_interface(d, "ide") ? "IDE" : d->interface, n, block_id(by));
}

/* The place in `places`: the given one or the first that is free. */
static gboolean find_place(const DriveOptions *d, BlockBackend *const *places, unsigned count, unsigned *n, GError **err)
{
    bool by_unit = d->bus != UINT_MAX || d->unit != UINT_MAX;
    unsigned bus = d->bus == UINT_MAX ? 0 : d->bus, unit = d->unit == UINT_MAX ? 0 : d->unit;

    if (by_unit && (d->index != UINT_MAX || bus > count || unit > (has_interface(d, "ide") ? 1 : count)))
        return error_set(err, "-drive file=%s: bus=%u,unit=%u is no place; index= says it too, but not both",
                         d->file ? d->file : "", bus, unit);
    *n = by_unit ? (has_interface(d, "ide") ? 2 * bus : 0) + unit : d->index;
    for (unsigned i = 0; *n == UINT_MAX && i < count; i++) {
        if (!places[i])
            *n = i;
    }
    if (*n >= count)
        return error_set(err, "-drive file=%s: machine 'pc' has %u %s drives", d->file ? d->file : "", count,
                         has_interface(d, "ide") ? "IDE" : d->interface);
    return !places[*n] || place_taken(d, *n, places[*n], err);
}

static gboolean place_open(Pc *pc, const DriveOptions *d, BlockBackend **places, unsigned count, GError **err)
{
    unsigned n;

    if (!find_place(d, places, count, &n, err))
        return FALSE;
    places[n] = drive_open(pc, d, n, err);
    return places[n] != NULL;
}

/* The drives of each interface, by place; a drive without a device needs none. */
typedef struct Places {
    BlockBackend *floppy[FLOPPY_COUNT], *virtio[MAX_DRIVES], *scsi[MAX_DRIVES];
} Places;

static gboolean drive_place(Pc *pc, Places *p, const DriveOptions *d, unsigned n, GError **err)
{
    if (has_interface(d, "ide"))
        return place_open(pc, d, pc->ide, PC_IDE_COUNT, err);
    if (has_interface(d, "floppy"))
        return place_open(pc, d, p->floppy, FLOPPY_COUNT, err);
    if (has_interface(d, "virtio"))
        return place_open(pc, d, p->virtio, MAX_DRIVES, err);
    if (has_interface(d, "scsi"))
        return place_open(pc, d, p->scsi, MAX_DRIVES, err);
    return drive_open(pc, d, n, err) != NULL;
}

static gboolean drives_open(Pc *pc, Places *p, GError **err)
{
    for (guint i = 0; i < pc->o->drives->len; i++) {
        if (!drive_place(pc, p, pc->o->drives->pdata[i], i, err))
            return FALSE;
    }
    return TRUE;
}

/* A CD-ROM drive without a medium, where the user said nothing of the secondary channel's master. */
static gboolean default_cdrom_open(Pc *pc, GError **err)
{
    static const DriveOptions empty = {.media = (char *)"cdrom"};
    if (pc->o->nodefaults || pc->ide[2])
        return TRUE;
    pc->ide[2] = drive_open(pc, &empty, 2, err);
    return pc->ide[2] != NULL;
}

/* ---- devices ---- */

static const DeviceType *find_type(const Pc *pc, const char *name)
{
    for (const DeviceType *const *t = pc->o->types; t && *t; t++) {
        if (!strcmp((*t)->name, name))
            return *t;
    }
    return NULL;
}

static const DeviceType *want_type(const Pc *pc, const char *interface, const char *name, GError **err)
{
    const DeviceType *type = find_type(pc, name);
    if (!type)
        error_set(err, "-drive if=%s: it needs the device '%s', which this Myna does not have", interface, name);
    return type;
}

static bool user_has(const Pc *pc, const char *type)
{
    for (guint i = 0; i < pc->o->devices->len; i++) {
        const char *text = pc->o->devices->pdata[i];
        if (g_str_has_prefix(text, type) && (!text[strlen(type)] || text[strlen(type)] == ','))
            return true;
    }
    return false;
}

static const char *id_of(const BlockBackend *b) { return b ? block_id(b) : NULL; }

/* The floppy controller is part of the board, but without drives nobody misses it. */
static gboolean floppy_create(Pc *pc, const Places *p, GError **err)
{
    const char *a = id_of(p->floppy[0]), *b = id_of(p->floppy[1]);
    const DeviceType *type = find_type(pc, "isa-fdc");

    if (!a && !b && (!type || pc->o->nodefaults || user_has(pc, "isa-fdc")))
        return TRUE;
    if (!type && !want_type(pc, "floppy", "isa-fdc", err))
        return FALSE;
    return board_add_device(pc->m, pc->o, type, NULL, err, a ? "driveA" : b ? "driveB" : NULL, a ? a : b,
                            a && b ? "driveB" : NULL, b, NULL) != NULL;
}

static gboolean virtio_create(Pc *pc, const Places *p, GError **err)
{
    for (unsigned n = 0; n < MAX_DRIVES; n++) {
        const DeviceType *type = p->virtio[n] ? want_type(pc, "virtio", "virtio-blk-pci", err) : NULL;
        if (p->virtio[n] &&
            (!type || !board_add_device(pc->m, pc->o, type, NULL, err, "drive", block_id(p->virtio[n]), NULL)))
            return FALSE;
    }
    return TRUE;
}

static gboolean scsi_controller_create(Pc *pc, GError **err)
{
    const DeviceType *type = want_type(pc, "scsi", "virtio-scsi-pci", err);
    return type && board_add_device(pc->m, pc->o, type, "scsi0", err, NULL);
}

static gboolean scsi_create(Pc *pc, const Places *p, GError **err)
{
    bool has_controller = false;

    for (unsigned n = 0; n < MAX_DRIVES; n++) {
        BlockBackend *b = p->scsi[n];
        if (b && !has_controller && !(has_controller = scsi_controller_create(pc, err)))
            return FALSE;
        const DeviceType *type = b ? want_type(pc, "scsi", block_is_cdrom(b) ? "scsi-cd" : "scsi-hd", err) : NULL;
        if (b && (!type || !board_add_device(pc->m, pc->o, type, NULL, err, "drive", block_id(b), NULL)))
            return FALSE;
    }
    return TRUE;
}

static gboolean ide_create(Pc *pc, GError **err)
{
    pc->ide_controller = (Piix3Ide *)board_add_device(pc->m, pc->o, &piix3_ide_type, NULL, err, NULL);
    if (!pc->ide_controller)
        return FALSE;
    for (unsigned i = 0; i < PC_IDE_COUNT; i++) {
        if (pc->ide[i])
            piix3_ide_attach(pc->ide_controller, i, pc->ide[i]);
    }
    return TRUE;
}

gboolean pc_drives_create(Pc *pc, GError **err)
{
    g_autofree Places *p = g_new0(Places, 1);

    return blockdevs_open(pc, err) && drives_open(pc, p, err) && default_cdrom_open(pc, err) && ide_create(pc, err) &&
           floppy_create(pc, p, err) && virtio_create(pc, p, err) && scsi_create(pc, p, err);
}
