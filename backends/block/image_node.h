/*
 * Images described by parts, as -blockdev, -drive file.driver= and the file name json:{...} have them: a format's node
 * stands on a protocol's node, each with options of its own.
 *
 *   driver=qcow2,node-name=disk,file.driver=file,file.filename=a.qcow2,backing.driver=raw,backing.file.filename=b.img
 *
 * A description is a list of OptionPair (core/options.h) with such dotted keys, of whichever notation.
 */
#ifndef MYNA_BACKENDS_BLOCK_IMAGE_NODE_H
#define MYNA_BACKENDS_BLOCK_IMAGE_NODE_H

#include <glib.h>
#include <stdbool.h>

#include "backends/block/block.h"

/* What it comes to; strings are owned. */
typedef struct ImageNode {
    char *name;           /* node-name */
    char *file;           /* path or URL */
    char *format;         /* NULL: not said */
    char *backing;        /* a description as a file name, "" for none, NULL: not said */
    char *throttle_group; /* of a throttle node above it */
    char *aio, *detect_zeroes; /* NULL: not said */
    bool readonly, direct, no_flush, discard, no_lock;
} ImageNode;

/* From "{...}", when JSON is built in, or key=value,...; NULL with *err.  g_ptr_array_unref() frees it. */
GPtrArray *image_node_parse(const char *what, const char *text, GError **err);

/*
 * Puts other nodes' descriptions, from `all` (of GPtrArray *), in the place of their names (file=NAME, backing=NAME), and
 * adds these names to `used` (char *, copied; may be NULL).
 */
gboolean image_node_expand(const char *what, GPtrArray *pairs, const GPtrArray *all, GPtrArray *used, GError **err);

/* What an expanded description means; `what` opens the error line. */
gboolean image_node_settle(const char *what, const GPtrArray *pairs, ImageNode *out, GError **err);
void image_node_clear(ImageNode *n);

/* Whether a file name is a description: "json:{...}", or "node:key=value,..." as image_node_settle() has backing files. */
bool image_node_is_name(const char *file);
gboolean image_node_from_name(const char *who, const char *file, ImageNode *out, GError **err);

#endif
