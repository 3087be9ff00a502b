/* What format drivers share: errors of open(), options of create() and the file that it writes, and what check() and info() tell. */
#ifndef MYNA_BACKENDS_BLOCK_FORMAT_H
#define MYNA_BACKENDS_BLOCK_FORMAT_H

#include "backends/block/image.h"

/* Take an option out of c->options; without it *out stays.  FALSE: the value is none; *err names option and value. */
gboolean create_take_bool(const ImageCreate *c, const char *key, bool *out, GError **err);
/* A power of two from least to most. */
gboolean create_take_size(const ImageCreate *c, const char *key, uint64_t least, uint64_t most, uint64_t *out, GError **err);
/* One of `words` (ended by NULL): its index. */
gboolean create_take_word(const ImageCreate *c, const char *key, const char *const *words, unsigned *out, GError **err);

/* A format without backing files says so, when one was asked for. */
gboolean create_check_no_backing(const ImageCreate *c, const char *format, GError **err);

/* Makes a file of that size and opens it for writing; NULL with *err. */
Image *create_file(const ImageCreate *c, const char *file, uint64_t size, GError **err);
/* Flushes and closes it; `status`, or what failed then, becomes *err. */
gboolean create_end(const ImageCreate *c, Image *file, int status, GError **err);

/* Puts o->who before the error of an open() that failed; returns FALSE. */
gboolean open_failed(const ImageOptions *o, GError **err);

/* A line to who checks an image. */
void check_tell(ImageCheck *c, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Adds a pair to what info() tells. */
void info_add(GPtrArray *pairs, const char *key, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* A random UUID (RFC 4122, version 4), its first three fields in little-endian order. */
void make_uuid(uint8_t uuid[16]);

#endif
