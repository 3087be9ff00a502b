/*
 * The screen as a picture in a file: PPM (netpbm "P6") or PNG (ISO/IEC 15948).
 */
#ifndef MYNA_UI_PICTURE_H
#define MYNA_UI_PICTURE_H

#include "hw/display/console.h"

typedef enum PictureFormat { PICTURE_BY_NAME, PICTURE_PPM, PICTURE_PNG } PictureFormat;

/* The console, brought up to date; a file whose name ends in .png is a PNG, else a PPM.  Machine lock held. */
gboolean picture_write(Console *c, const char *path, PictureFormat format, GError **err);

/* A PNG of 8-bit RGB; zlib's level of compression, 1 to 9.  Any thread. */
GByteArray *picture_png(const uint32_t *pixels, unsigned width, unsigned height, int level);

#endif
