/* Descriptions of images in JSON, as pairs (image_node.h). */
#ifndef MYNA_BACKENDS_BLOCK_IMAGE_JSON_H
#define MYNA_BACKENDS_BLOCK_IMAGE_JSON_H

#include <glib.h>

/* The members of an object, and of those within it, with dotted keys; NULL with *err. */
GPtrArray *image_json_parse(const char *what, const char *text, GError **err);

#endif
