/* -drive and its short forms, and what -blockdev and these say of an image (backends/block/block.h). */
#ifndef MYNA_MACHINES_DRIVE_OPTIONS_H
#define MYNA_MACHINES_DRIVE_OPTIONS_H

#include "backends/block/block.h"
#include "backends/block/image_node.h"

typedef struct DriveOptions {
    char *file, *format, *interface, *media, *id;
    char *cache, *aio, *discard, *detect_zeroes, *werror, *rerror;
    char *cache_direct, *cache_no_flush, *cache_writeback; /* on or off; NULL: as cache= says */
    char *throttle_group;
    bool readonly, snapshot;
    unsigned index;            /* UINT_MAX: the next free one */
    unsigned bus, unit;        /* the same by channel and drive; UINT_MAX: not given */
    BlockThrottle throttle;
    GPtrArray *node;           /* driver=, file.filename=, backing. ...: OptionPair *; NULL: none */
} DriveOptions;

/* NULL with *err. */
DriveOptions *drive_options_parse(const char *text, GError **err);
/* A short form: a file name that is not parsed, at a fixed place. */
DriveOptions *drive_options_new(const char *file, const char *interface, unsigned index, const char *media);
void drive_options_free(gpointer d);

/*
 * What block_open() wants, without an id; strings belong to `d` and to *node, which the caller clears with
 * image_node_clear() afterwards.  `who` opens the error line.
 */
gboolean drive_options_settle(const char *who, const DriveOptions *d, BlockOptions *out, ImageNode *node, GError **err);
/* The same of a -blockdev; `all`: every -blockdev, as parsed; `used`: gets the names of those it stands on. */
gboolean blockdev_settle(GPtrArray *pairs, const GPtrArray *all, GPtrArray *used, BlockOptions *out, ImageNode *node,
                         GError **err);

/* The limits of "-object throttle-group,id=ID,x-iops-total=...": *id is to be freed. */
gboolean throttle_object_parse(const char *text, char **id, BlockThrottle *limits, GError **err);

#endif
