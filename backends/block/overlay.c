/*
 * snapshot=on: the image stays as it is, and what the guest writes goes to a temporary file that has no name and ends
 * with the process.  It is sparse and has the image's layout; a bit for each cluster says whether the cluster is there.
 * Clusters have the size of a file system's block, so that a guest's writes seldom need a part of the old content.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/block/image.h"
#include "core/error.h"
#include "util/bits.h"

#define CLUSTER_BITS 12
#define CLUSTER (UINT64_C(1) << CLUSTER_BITS)
#define BITS (8 * sizeof(guint))

typedef struct Overlay {
    Image image;      /* the image that stays is its backing image */
    int fd;
    guint *present;   /* a bit for each cluster; atomic */
    GRWLock lock;     /* writer: who brings a part of a cluster over, which others must not write meanwhile */
} Overlay;

static bool is_present(const Overlay *o, uint64_t cluster)
{
    return g_atomic_int_get(&o->present[cluster / BITS]) >> cluster % BITS & 1;
}

static void set_present(Overlay *o, uint64_t cluster)
{
    if (!is_present(o, cluster))
        g_atomic_int_or(&o->present[cluster / BITS], 1u << cluster % BITS);
}

/* Words of `present`. */
static uint64_t present_words(uint64_t size) { return (size >> CLUSTER_BITS) / BITS + 1; }

/* $TMPDIR, or the directory for temporary files that may be large. */
static const char *temporary_directory(void)
{
    if (g_getenv("TMPDIR"))
        return g_getenv("TMPDIR");
    return access("/var/tmp", W_OK) ? g_get_tmp_dir() : "/var/tmp";
}

static int open_unnamed(const char *directory)
{
    int fd = -1;
#ifdef O_TMPFILE
    fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
#endif
    if (fd < 0) {
        g_autofree char *name = g_build_filename(directory, "myna-XXXXXX", NULL);
        fd = g_mkstemp_full(name, O_RDWR | O_CLOEXEC, 0600);
        if (fd >= 0)
            unlink(name);
    }
    return fd;
}

static void overlay_close(Image *i)
{
    Overlay *o = (Overlay *)i;
    close(o->fd);
    g_rw_lock_clear(&o->lock);
    g_free(o->present);
}

/*
 * Bytes from offset, at most `size`, whose clusters were all in the same file when they were looked at; *present: in this
 * one.  A write may bring one over meanwhile: who reads it then gets what was there before.
 */
static uint64_t run_length(const Overlay *o, uint64_t offset, uint64_t size, bool *present)
{
    uint64_t cluster = offset >> CLUSTER_BITS, n = CLUSTER - offset % CLUSTER;

    *present = is_present(o, cluster);
    while (n < size && is_present(o, ++cluster) == *present)
        n += CLUSTER;
    return MIN(n, size);
}

static int overlay_read(Image *i, uint64_t offset, void *buf, uint64_t size)
{
    Overlay *o = (Overlay *)i;
    uint8_t *to = buf;
    int status = 0;

    g_rw_lock_reader_lock(&o->lock);
    for (uint64_t n; size && !status; offset += n, to += n, size -= n) {
        bool present;
        n = run_length(o, offset, size, &present);
        status = present ? file_read(o->fd, offset, to, n) : image_read(i->backing, offset, to, n);
    }
    g_rw_lock_reader_unlock(&o->lock);
    return status;
}

/* Brings a cluster's content over, if it is not there yet. */
static int copy_cluster(Overlay *o, uint64_t cluster)
{
    uint8_t data[CLUSTER];
    uint64_t at = cluster << CLUSTER_BITS, n = MIN(CLUSTER, o->image.size - at);
    int status;

    if (is_present(o, cluster))
        return 0;
    status = image_read(o->image.backing, at, data, n);
    if (!status)
        status = file_write(o->fd, at, data, n);
    if (!status)
        set_present(o, cluster);
    return status;
}

/* The clusters at both ends of a write keep what the write does not cover. */
static int copy_edges(Overlay *o, uint64_t offset, uint64_t size)
{
    uint64_t end = offset + size;
    int status = 0;

    if (offset % CLUSTER)
        status = copy_cluster(o, offset >> CLUSTER_BITS);
    if (!status && end % CLUSTER && end != o->image.size)
        status = copy_cluster(o, end >> CLUSTER_BITS);
    return status;
}

/* Whether a write covers all of the clusters that are not there yet. */
static bool is_whole(const Overlay *o, uint64_t offset, uint64_t size)
{
    uint64_t end = offset + size;
    return (!(offset % CLUSTER) || is_present(o, offset >> CLUSTER_BITS)) &&
           (!(end % CLUSTER) || end == o->image.size || is_present(o, end >> CLUSTER_BITS));
}

static int write_clusters(Overlay *o, uint64_t offset, const void *buf, uint64_t size)
{
    int status = file_write(o->fd, offset, buf, size);
    for (uint64_t c = offset >> CLUSTER_BITS; !status && c <= (offset + size - 1) >> CLUSTER_BITS; c++)
        set_present(o, c);
    return status;
}

static int overlay_write(Image *i, uint64_t offset, const void *buf, uint64_t size)
{
    Overlay *o = (Overlay *)i;
    int status = 0;
    bool whole;

    g_rw_lock_reader_lock(&o->lock);
    whole = is_whole(o, offset, size);
    if (whole)
        status = write_clusters(o, offset, buf, size);
    g_rw_lock_reader_unlock(&o->lock);
    if (whole)
        return status;
    g_rw_lock_writer_lock(&o->lock);
    status = copy_edges(o, offset, size);
    if (!status)
        status = write_clusters(o, offset, buf, size);
    g_rw_lock_writer_unlock(&o->lock);
    return status;
}

static int overlay_map(Image *i, uint64_t offset, uint64_t size, ImageExtent *e)
{
    Overlay *o = (Overlay *)i;

    *e = (ImageExtent){ 0 };
    g_rw_lock_reader_lock(&o->lock);
    e->length = run_length(o, offset, size, &e->allocated);
    g_rw_lock_reader_unlock(&o->lock);
    return 0;
}

/* Everything is in the image below now. */
static int overlay_make_empty(Image *i)
{
    Overlay *o = (Overlay *)i;

    g_rw_lock_writer_lock(&o->lock);
    memset(o->present, 0, present_words(i->size) * sizeof *o->present);
    int status = ftruncate(o->fd, 0) ? -errno : 0;
    g_rw_lock_writer_unlock(&o->lock);
    return status;
}

/* No flush: what a snapshot holds is thrown away in the end, and need not be on stable storage. */
static const ImageDriver image_driver_overlay = {
    .name = "snapshot",
    .description = "a temporary file over an image that stays as it is",
    .size = sizeof(Overlay),
    .close = overlay_close,
    .read = overlay_read,
    .write = overlay_write,
    .map = overlay_map,
    .make_empty = overlay_make_empty,
};

Image *overlay_open(Image *base, GError **err)
{
    const char *directory = temporary_directory();
    int fd = open_unnamed(directory);
    guint *present = g_try_malloc0(present_words(base->size) * sizeof *present);

    if (fd < 0 || !present) {
        if (fd < 0)
            error_set(err, "no temporary file in '%s': %s; TMPDIR names another directory", directory, g_strerror(errno));
        else
            error_set(err, "no memory for the map of a snapshot");
        g_free(present);
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    Overlay *o = g_new0(Overlay, 1);
    o->image = (Image){ .driver = &image_driver_overlay, .file = g_strdup(base->file), .size = base->size,
                        .no_flush = true, .backing = base };
    o->fd = fd;
    o->present = present;
    g_rw_lock_init(&o->lock);
    return &o->image;
}
