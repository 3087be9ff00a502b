/*
 * What a drive's data lies in: an image file, and with snapshot=on an overlay that takes the writes.  Private to
 * backends/block.  All functions that move bytes may be called by several threads at once; they give 0 or a negative
 * errno.
 */
#ifndef MYNA_BACKENDS_BLOCK_IMAGE_H
#define MYNA_BACKENDS_BLOCK_IMAGE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "backends/block/block.h"

typedef struct Image Image;
typedef struct Overlay Overlay;

/* Opens and locks options->file; *err names drive, file and reason. */
Image *image_open(const BlockOptions *options, GError **err);
void image_close(Image *image);
uint64_t image_size(const Image *image); /* bytes, rounded up to whole sectors; what the file lacks reads as zeros */
bool image_is_same(const Image *image, const char *file);
int image_read(Image *image, uint64_t offset, void *buf, uint64_t size);
int image_write(Image *image, uint64_t offset, const void *buf, uint64_t size);
int image_flush(Image *image);

/* All bytes or an error; bytes beyond the end of the file read as zeros. */
int file_read(int fd, uint64_t offset, void *buf, uint64_t size);
int file_write(int fd, uint64_t offset, const void *buf, uint64_t size);

/* The name of an image format that is not raw, by the first and last bytes of a file; NULL when none is seen. */
const char *format_probe(int fd, uint64_t size);

/*
 * Locks an open file against writers (exclusive: against readers too) as long as it stays open.  *err says who holds
 * it, if that can be found.
 */
gboolean file_lock(int fd, bool exclusive, const char *file, GError **err);

/* A temporary file, without a name, that covers `size` bytes of another one. */
Overlay *overlay_new(uint64_t size, GError **err);
void overlay_free(Overlay *o);
int overlay_read(Overlay *o, int base_fd, uint64_t offset, void *buf, uint64_t size);
int overlay_write(Overlay *o, int base_fd, uint64_t offset, const void *buf, uint64_t size);

#endif
