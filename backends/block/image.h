/*
 * Images: what a drive's data lies in.  Private to backends/block and to myna-img.
 *
 * An Image is a node with a driver.  Protocol drivers ("file", "nbd") move the bytes of one file or server.  Format drivers
 * ("raw", "qcow2", "vmdk", ...) stand on a protocol's image, `lower`, and show the guest's disk; those that leave parts
 * of the disk to another image read them from `backing`.  A driver is a const struct in the format's own file;
 * drivers.c lists them.  docs/new-image-format.md shows the way from nothing to a working one.
 *
 * All functions that move bytes block, and may be called by several threads at once on one image: a driver locks what it
 * changes.  They give 0 or a negative errno.  Offsets and sizes are bytes, within the image, of any alignment.  Who
 * writes a part of an image while it is being read or written by another gets either's bytes; nothing else breaks.
 */
#ifndef MYNA_BACKENDS_BLOCK_IMAGE_H
#define MYNA_BACKENDS_BLOCK_IMAGE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

typedef struct Image Image;
typedef struct ImageDriver ImageDriver;

/* How to open an image; zeros are the usual way. */
typedef struct ImageOptions {
    const char *who;      /* opens the error lines: "drive 'hd0'", "myna-img" */
    const char *file;     /* a path, or a URL: nbd://HOST[:PORT]/NAME, nbd+unix:///NAME?socket=PATH */
    const char *format;   /* a format driver's name; NULL: by content */
    const char *backing;  /* instead of the backing file that the image names; NULL: that one */
    bool readonly;
    bool snapshot;        /* writes go to a temporary file */
    bool cdrom;           /* sectors of 2,048 bytes */
    bool no_backing;      /* `backing` stays NULL: for who looks at this file alone */
    bool no_lock;         /* locking=off, myna-img -U */
    bool direct;          /* cache.direct: past the host's page cache */
    bool no_flush;        /* cache.no-flush: flushing does nothing */
    bool discard;         /* discard=unmap: what the guest discards is given back to the host */
    bool repair;          /* opened to be checked: what would keep it from being written is no error */
    unsigned depth;       /* images above it in the backing chain */
} ImageOptions;

struct Image {
    const ImageDriver *driver;
    char *file;           /* as the user, or the image above, named it */
    uint64_t size;        /* of the disk, whole sectors; changed by resize alone */
    bool readonly, discard, no_flush;
    bool guessed;         /* raw for want of a better: what looks like another format is not written to its start */
    Image *lower;         /* format: whose bytes it is; protocol: NULL */
    Image *backing;       /* where the parts are read from that it lacks; NULL: they are zeros */
};

/* Whether bytes are there, and where: of [offset, offset + length) all the same. */
typedef struct ImageExtent {
    uint64_t length;
    bool allocated;       /* by this image, not its backing image (for one without backing: not a hole) */
    bool zero;            /* reads as zeros */
    bool in_file;         /* as they are in the lower image, at `at` */
    bool compressed;
    uint64_t at;
} ImageExtent;

typedef struct ImageCreate {
    const char *who, *file;
    uint64_t size;
    const char *backing, *backing_format;
    GPtrArray *options;   /* of OptionPair * (core/options.h): -o of myna-img; the driver takes out those it knows */
} ImageCreate;

/* What a check found and, with repair, mended. */
typedef struct ImageCheck {
    bool repair_leaks, repair_all;
    void (*tell)(void *opaque, const char *line); /* each problem: where, and what is wrong */
    void *opaque;
    uint64_t corruptions, leaks, corruptions_fixed, leaks_fixed;
    uint64_t allocated, total, fragmented, compressed; /* clusters */
    uint64_t end;         /* of what is in use of the file */
} ImageCheck;

typedef struct ImageSnapshot {
    char *id, *name;
    uint64_t vm_size, disk_size;
    int64_t date;         /* seconds since 1970 */
    uint64_t vm_clock;    /* nanoseconds */
} ImageSnapshot;

struct ImageDriver {
    const char *name;         /* QEMU's */
    const char *description;  /* one line */
    bool protocol;
    size_t size;              /* of the instance struct, whose first member is an Image */
    /* Whether a file looks like one: its first `n` (at most 4096) bytes, and its size.  NULL: never recognised. */
    bool (*probe)(Image *lower, const uint8_t *head, size_t n, uint64_t size);
    /*
     * i->file, readonly, discard, no_flush and (format) lower are set; sets size, opens backing.  *err names what is
     * wrong at which offset.  When it fails, close() is called too.
     */
    gboolean (*open)(Image *i, const ImageOptions *o, GError **err);
    void (*close)(Image *i);  /* frees what open made, not the struct, lower, backing; writes what is not written yet */
    int (*read)(Image *i, uint64_t offset, void *buf, uint64_t size);
    int (*write)(Image *i, uint64_t offset, const void *buf, uint64_t size); /* NULL: read-only format */
    /* Several buffers at once; NULL: one buffer is made of them. */
    int (*readv)(Image *i, uint64_t offset, const struct iovec *iov, unsigned count);
    int (*writev)(Image *i, uint64_t offset, const struct iovec *iov, unsigned count);
    int (*write_zeroes)(Image *i, uint64_t offset, uint64_t size, bool may_unmap); /* NULL: zeros are written */
    int (*discard)(Image *i, uint64_t offset, uint64_t size); /* what is read there afterwards is open; NULL: nothing */
    int (*flush)(Image *i);   /* all completed writes to stable storage, lower included */
    int (*map)(Image *i, uint64_t offset, uint64_t size, ImageExtent *e); /* NULL: all allocated, as in lower */
    int (*resize)(Image *i, uint64_t size);      /* NULL: cannot; -ENOTSUP for a direction that it cannot */
    /* Whole clusters, but for the disk's end; NULL: cannot. */
    int (*write_compressed)(Image *i, uint64_t offset, const void *buf, uint64_t size);
    /* Of what is made: nothing exists under the file's name that must be kept. */
    gboolean (*create)(const ImageCreate *c, GError **err);
    const char *create_help;  /* "cluster_size=SIZE (64K), ...": a line each option */
    gboolean (*check)(Image *i, ImageCheck *c, GError **err);
    /*
     * Adds OptionPair *: the format-specific part of `info`, in QEMU's words ("lazy refcounts", "false"); the keys
     * cluster_size and dirty belong to its general part.
     */
    void (*info)(Image *i, GPtrArray *pairs);
    /* Snapshots within the image; ImageSnapshot * in an array that frees them.  NULL: none. */
    GPtrArray *(*snapshots)(Image *i);
    gboolean (*snapshot_create)(Image *i, const char *name, GError **err);
    gboolean (*snapshot_apply)(Image *i, const char *name_or_id, GError **err);
    gboolean (*snapshot_delete)(Image *i, const char *name_or_id, GError **err);
    gboolean (*snapshot_show)(Image *i, const char *name_or_id, GError **err); /* a read-only image reads as that one */
    /* Backing file, as the image names it (owned by it); NULL: none. */
    const char *(*backing_file)(const Image *i);
    const char *(*backing_format)(const Image *i);
    gboolean (*set_backing)(Image *i, const char *file, const char *format, GError **err);
    int (*make_empty)(Image *i); /* all reads from the backing image again (commit); NULL: cannot */
};

/* ---- images (image.c) ---- */

/* Opens protocol, format and backing chain, and locks the files; *err is one line.  NULL: nothing is left open. */
Image *image_open(const ImageOptions *o, GError **err);
/* The protocol's image alone: "raw" without a guess. */
Image *image_open_file(const ImageOptions *o, GError **err);
void image_close(Image *i);

int image_read(Image *i, uint64_t offset, void *buf, uint64_t size);
int image_write(Image *i, uint64_t offset, const void *buf, uint64_t size);
int image_readv(Image *i, uint64_t offset, const struct iovec *iov, unsigned count);
int image_writev(Image *i, uint64_t offset, const struct iovec *iov, unsigned count);
int image_write_zeroes(Image *i, uint64_t offset, uint64_t size, bool may_unmap);
int image_discard(Image *i, uint64_t offset, uint64_t size);
int image_flush(Image *i);
int image_map(Image *i, uint64_t offset, uint64_t size, ImageExtent *e);
/* The same through the backing chain: `allocated` by any of them, `*in` which. */
int image_map_chain(Image *i, uint64_t offset, uint64_t size, ImageExtent *e, Image **in);
int image_resize(Image *i, uint64_t size);
/* Whether it, or what it is made of, is that file. */
bool image_is_same(const Image *i, const char *file);
/* "'disk.img' cannot be resized" as an error line, for functions that give an errno. */
gboolean image_error(const Image *i, const char *what, int status, GError **err);

/* ---- backing images (backing.c) ---- */

/* Where an image in `file` that names `name` has its backing image: relative to the image; to be freed. */
char *image_backing_path(const char *file, const char *name);
/*
 * Called by open(): opens o->backing, or else `name` as the image has it (NULL, "": none), into i->backing.  The format
 * NULL: by content.
 */
gboolean image_open_backing(Image *i, const ImageOptions *o, const char *name, const char *format, GError **err);

/* ---- drivers (drivers.c) ---- */

extern const ImageDriver *const image_drivers[]; /* ends with NULL */
const ImageDriver *image_driver_find(const char *name);
/* The driver whose format a file has; the raw one when none is seen. */
const ImageDriver *image_driver_probe(Image *lower);
/* The name of a format that is recognised, but has no driver; NULL: none. */
const char *image_unknown_format(Image *lower);
/* The name of the format that a file has whose first n bytes these are; NULL: of none. */
const char *image_head_format(Image *lower, const uint8_t *head, size_t n);

/* ---- files (file.c) ---- */

/* All bytes or an error; bytes beyond the end of the file read as zeros. */
int file_read(int fd, uint64_t offset, void *buf, uint64_t size);
int file_write(int fd, uint64_t offset, const void *buf, uint64_t size);
/* Creates a file of that size; one that is there is emptied. */
gboolean file_create(const char *who, const char *file, uint64_t size, GError **err);
/* The descriptor of a "file" image, for who transfers on its own (io_uring), else -1. */
int image_fd(const Image *i);
/* What offset, length and buffer of its transfers have to be multiples of there (cache.direct); 1 without it. */
unsigned image_alignment(const Image *i);

/* ---- locks (lock.c) ---- */

/*
 * Locks an open file against writers (exclusive: against readers too) as long as it stays open; QEMU and its tools see
 * it, and their locks are seen.  *err says who holds it, if that can be found.
 */
gboolean file_lock(int fd, bool exclusive, const char *file, GError **err);

/* ---- snapshot=on (overlay.c) ---- */

/* Takes `base` over: writes go to a temporary file without a name. */
Image *overlay_open(Image *base, GError **err);

#endif
