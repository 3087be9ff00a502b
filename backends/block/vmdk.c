/* VMDK's driver (vmdk.h): a disk's extents in their order, each a sparse file, a flat one, or zeros. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backends/block/drivers.h"
#include "backends/block/format.h"
#include "backends/block/vmdk.h"
#include "backends/block/vmdk_create.h"
#include "core/error.h"
#include "core/random.h"
#include "util/bits.h"

typedef struct Extent {
    uint64_t start, size; /* bytes of the disk */
    Image *file;          /* NULL: zeros */
    bool owned;           /* `file` is not the image's lower one */
    bool sparse;
    uint64_t at;          /* flat: where its bytes are in the file */
    VmdkSparse s;
} Extent;

typedef struct Vmdk {
    Sparse s;
    GPtrArray *extents;   /* Extent *, by `start` */
    VmdkDescriptor descriptor;
    int64_t cid_at;       /* in the lower image; -1: nowhere */
    int cid_changed;      /* since the image was opened */
} Vmdk;

/* ---- opening ---- */

static bool vmdk_probe(Image *lower, const uint8_t *head, size_t n, uint64_t size)
{
    (void)lower, (void)size;
    return (n >= VMDK_SECTOR && !memcmp(head, VMDK_MAGIC, 4)) ||
           (n >= strlen(VMDK_TEXT) && !memcmp(head, VMDK_TEXT, strlen(VMDK_TEXT)));
}

static void extent_free(gpointer p)
{
    Extent *e = p;

    if (e->sparse)
        vmdk_sparse_clear(&e->s);
    if (e->owned)
        image_close(e->file);
    g_free(e);
}

static Extent *extent_add(Vmdk *v, uint64_t size)
{
    Extent *e = g_new0(Extent, 1);

    *e = (Extent){ .start = v->s.image.size, .size = size };
    v->s.image.size += size;
    g_ptr_array_add(v->extents, e);
    return e;
}

/*
 * Whoever can write to a raw disk can write a descriptor there that names any file of the host.  So those of an image whose
 * format was guessed name files beside it, and no others.
 */
static gboolean check_name(const ImageOptions *o, const char *name, GError **err)
{
    return o->format || (!strchr(name, '/') && *name) ||
           error_set(err, "'%s': the VMDK descriptor names '%s', a file in another directory: give format=vmdk to allow "
                     "that, or format=raw", o->file, name);
}

static Image *open_extent_file(Image *i, const ImageOptions *o, const char *name, GError **err)
{
    g_autofree char *directory = g_path_get_dirname(i->file);
    g_autofree char *path = g_path_is_absolute(name) ? g_strdup(name) : g_build_filename(directory, name, NULL);
    ImageOptions options = { .who = o->who, .file = path, .readonly = i->readonly, .no_lock = o->no_lock,
                             .direct = o->direct, .no_flush = i->no_flush, .discard = i->discard };

    return check_name(o, name, err) ? image_open_file(&options, err) : NULL;
}

static gboolean check_extent(Image *i, const VmdkLine *line, GError **err)
{
    static const char *const known[] = { "SPARSE", "FLAT", "VMFS", "ZERO" };
    bool ok = false;

    for (unsigned k = 0; k < ARRAY_SIZE(known); k++)
        ok |= !strcmp(line->type, known[k]);
    if (!ok)
        return error_set(err, "'%s': VMDK extents of type %s are not supported; those that are: SPARSE, FLAT, VMFS, ZERO",
                         i->file, line->type);
    if (!line->sectors || line->sectors > INT64_MAX / VMDK_SECTOR - i->size / VMDK_SECTOR)
        return error_set(err, "'%s': a VMDK extent of %" PRIu64 " sectors is not possible", i->file, line->sectors);
    if (line->readonly && !i->readonly)
        return error_set(err, "'%s': the VMDK descriptor says that '%s' is not to be written; give readonly=on or "
                         "snapshot=on", i->file, line->file ? line->file : "zeros");
    return TRUE;
}

static gboolean open_extent(Image *i, const ImageOptions *o, const VmdkLine *line, GError **err)
{
    Vmdk *v = (Vmdk *)i;

    if (!check_extent(i, line, err))
        return FALSE;
    Extent *e = extent_add(v, line->sectors * VMDK_SECTOR);
    if (!line->file)
        return TRUE;
    e->file = open_extent_file(i, o, line->file, err);
    if (!e->file)
        return FALSE;
    e->owned = true;
    e->at = line->offset * VMDK_SECTOR;
    e->sparse = !strcmp(line->type, "SPARSE");
    if (!e->sparse)
        return TRUE;
    if (!vmdk_sparse_open(&e->s, e->file, err))
        return FALSE;
    return e->s.size >= e->size ||
           error_set(err, "'%s': the VMDK extent has %" PRIu64 " bytes, and its descriptor says %" PRIu64, e->file->file,
                     e->s.size, e->size);
}

static gboolean read_descriptor(Image *i, Vmdk *v, uint64_t at, uint64_t size, GError **err)
{
    g_autofree char *text = g_malloc0(MIN(size, VMDK_DESCRIPTOR_MAX) + 1);

    if (size > VMDK_DESCRIPTOR_MAX)
        return error_set(err, "'%s': a VMDK descriptor of %" PRIu64 " bytes is not possible", i->file, size);
    int status = image_read(i->lower, at, text, size);
    if (status)
        return image_error(i, "VMDK descriptor cannot be read", status, err);
    if (!vmdk_descriptor_parse(i->file, text, &v->descriptor, err))
        return FALSE;
    v->cid_at = v->descriptor.cid_at < 0 ? -1 : (int64_t)at + v->descriptor.cid_at;
    return v->descriptor.parent_cid == VMDK_NO_PARENT ||
           error_set(err, "'%s' is a VMDK image with a parent ('%s'): merge it into that (vmware-vdiskmanager -r) first",
                     i->file, v->descriptor.parent ? v->descriptor.parent : "");
}

/* A file that is both extent and disk. */
static gboolean open_monolithic(Image *i, Vmdk *v, GError **err)
{
    Extent *e = extent_add(v, 0);

    e->sparse = true;
    e->file = i->lower;
    if (!vmdk_sparse_open(&e->s, i->lower, err))
        return FALSE;
    if (e->s.streamed && !i->readonly)
        return error_set(err, "'%s' is a stream-optimised VMDK image with its tables at the end, which cannot be written: "
                         "give readonly=on or snapshot=on, or convert it", i->file);
    e->size = i->size = e->s.size;
    return !e->s.at_descriptor || !e->s.descriptor_size ||
           read_descriptor(i, v, e->s.at_descriptor, e->s.descriptor_size, err);
}

static gboolean open_descriptor(Image *i, Vmdk *v, const ImageOptions *o, GError **err)
{
    if (!read_descriptor(i, v, 0, i->lower->size, err))
        return FALSE;
    for (unsigned k = 0; k < v->descriptor.lines->len; k++)
        if (!open_extent(i, o, v->descriptor.lines->pdata[k], err))
            return FALSE;
    return i->size || error_set(err, "'%s': the VMDK descriptor names no extent", i->file);
}

static gboolean load(Image *i, Vmdk *v, const ImageOptions *o, GError **err)
{
    char magic[4];
    int status = image_read(i->lower, 0, magic, sizeof magic);

    if (status)
        return image_error(i, "cannot be read", status, err);
    return memcmp(magic, VMDK_MAGIC, 4) ? open_descriptor(i, v, o, err) : open_monolithic(i, v, err);
}

static const SparseOps vmdk_sparse_ops;

static gboolean vmdk_open(Image *i, const ImageOptions *o, GError **err)
{
    Vmdk *v = (Vmdk *)i;

    sparse_init(&v->s, &vmdk_sparse_ops);
    v->extents = g_ptr_array_new_with_free_func(extent_free);
    v->cid_at = -1;
    if (load(i, v, o, err))
        return TRUE;
    if (err && !g_str_has_prefix((*err)->message, o->who)) /* an extent's file says it already */
        open_failed(o, err);
    return FALSE;
}

static void vmdk_close(Image *i)
{
    Vmdk *v = (Vmdk *)i;

    g_ptr_array_unref(v->extents);
    vmdk_descriptor_clear(&v->descriptor);
    sparse_clear(&v->s);
}

/* ---- bytes ---- */

/* The last extent that begins at or before an offset. */
static Extent *extent_at(const Vmdk *v, uint64_t offset)
{
    unsigned low = 0, high = v->extents->len;

    while (high - low > 1) {
        unsigned middle = low + (high - low) / 2;
        if (((Extent *)v->extents->pdata[middle])->start <= offset)
            low = middle;
        else
            high = middle;
    }
    return v->extents->pdata[low];
}

static int vmdk_find(Image *i, uint64_t offset, uint64_t size, SparseRun *run)
{
    Extent *e = extent_at((Vmdk *)i, offset);
    uint64_t in = offset - e->start;

    size = MIN(size, e->size - in);
    if (e->sparse)
        return vmdk_sparse_find(&e->s, in, size, run);
    *run = (SparseRun){ .kind = e->file ? SPARSE_DATA : SPARSE_ZERO, .length = size, .file = e->file, .at = e->at + in };
    return 0;
}

static int vmdk_read_compressed(Image *i, const SparseRun *run, uint64_t offset, void *buf, uint64_t size)
{
    Extent *e = extent_at((Vmdk *)i, offset);
    return vmdk_sparse_read_compressed(&e->s, run, offset - e->start, buf, size);
}

static int vmdk_allocate(Image *i, uint64_t offset, const void *buf, uint64_t *size)
{
    Extent *e = extent_at((Vmdk *)i, offset);
    return e->sparse ? vmdk_sparse_allocate(i, &e->s, e->start, offset - e->start, buf, size) : -EROFS;
}

static const SparseOps vmdk_sparse_ops = { .find = vmdk_find, .allocate = vmdk_allocate,
                                           .read_compressed = vmdk_read_compressed };

/*
 * The content's identity, by which a child knows that its parent is as it was, is another one from the first write on
 * (section "The Header").
 */
static int change_cid(Vmdk *v)
{
    char digits[9];
    uint32_t cid;
    int status = 0;

    if (v->cid_at < 0 || __atomic_load_n(&v->cid_changed, __ATOMIC_ACQUIRE))
        return 0;
    g_rw_lock_writer_lock(&v->s.lock);
    if (!v->cid_changed) {
        do
            random_bytes(&cid, sizeof cid);
        while (cid == VMDK_NO_PARENT || cid == v->descriptor.cid);
        snprintf(digits, sizeof digits, "%08" PRIx32, cid);
        status = image_write(v->s.image.lower, v->cid_at, digits, 8);
        __atomic_store_n(&v->cid_changed, !status, __ATOMIC_RELEASE);
    }
    g_rw_lock_writer_unlock(&v->s.lock);
    return status;
}

static int vmdk_write(Image *i, uint64_t offset, const void *buf, uint64_t size)
{
    int status = change_cid((Vmdk *)i);
    return status ? status : sparse_write(i, offset, buf, size);
}

static int vmdk_write_zeroes(Image *i, uint64_t offset, uint64_t size, bool may_unmap)
{
    int status = change_cid((Vmdk *)i);
    return status ? status : sparse_write_zeroes(i, offset, size, may_unmap);
}

static bool is_compressed(const Vmdk *v)
{
    const Extent *e = v->extents->pdata[0];
    return e->sparse && e->s.compressed;
}

/* A stream-optimised image has no other clusters, and others have none of them. */
static int vmdk_write_compressed(Image *i, uint64_t offset, const void *buf, uint64_t size)
{
    return is_compressed((Vmdk *)i) ? vmdk_write(i, offset, buf, size) : -ENOTSUP;
}

static int vmdk_flush(Image *i)
{
    Vmdk *v = (Vmdk *)i;
    int status = image_flush(i->lower);

    for (unsigned k = 0; k < v->extents->len && !status; k++) {
        Extent *e = v->extents->pdata[k];
        if (e->owned)
            status = image_flush(e->file);
    }
    return status;
}

/* ---- checking, information ---- */

static gboolean vmdk_check(Image *i, ImageCheck *c, GError **err)
{
    Vmdk *v = (Vmdk *)i;
    (void)err;

    for (unsigned k = 0; k < v->extents->len; k++) {
        Extent *e = v->extents->pdata[k];
        if (e->sparse)
            vmdk_sparse_check(&e->s, c);
    }
    return TRUE;
}

static void vmdk_info(Image *i, GPtrArray *pairs)
{
    Vmdk *v = (Vmdk *)i;

    info_add(pairs, "create type", "%s", v->descriptor.type ? v->descriptor.type : "");
    info_add(pairs, "cid", "%08" PRIx32, v->descriptor.cid);
    if (((Extent *)v->extents->pdata[0])->sparse)
        info_add(pairs, "cluster_size", "%" PRIu64, ((Extent *)v->extents->pdata[0])->s.grain);
    for (unsigned k = 0; k < v->extents->len; k++) {
        const Extent *e = v->extents->pdata[k];
        g_autofree char *key = g_strdup_printf("extent %u", k);
        info_add(pairs, key, "%s, %" PRIu64 " bytes%s", e->file ? e->file->file : "zeros", e->size,
                 !e->sparse ? "" : e->s.compressed ? ", compressed" : ", sparse");
    }
}

const ImageDriver image_driver_vmdk = {
    .name = "vmdk",
    .description = "VMware's disk image",
    .size = sizeof(Vmdk),
    .probe = vmdk_probe,
    .open = vmdk_open,
    .close = vmdk_close,
    .read = sparse_read,
    .write = vmdk_write,
    .write_zeroes = vmdk_write_zeroes,
    .discard = sparse_discard,
    .flush = vmdk_flush,
    .map = sparse_map,
    .write_compressed = vmdk_write_compressed,
    .create = vmdk_create,
    .create_help = VMDK_CREATE_HELP,
    .check = vmdk_check,
    .info = vmdk_info,
};
