/*
 * An AVI file of one video stream (Microsoft, "AVI RIFF File Reference"), whose frames are pictures in files' form.
 */
#ifndef MYNA_UI_AVI_H
#define MYNA_UI_AVI_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Avi Avi;

/* codec: four characters ("MPNG"); rate: frames a second. */
Avi *avi_create(const char *path, const char *codec, unsigned width, unsigned height, unsigned rate, GError **err);

/* One frame; size 0: the one before stands on.  False: the file has no room for another, or it cannot be written. */
bool avi_frame(Avi *a, const uint8_t *data, uint32_t size);

/* Writes index and numbers, and closes; FALSE with *err when not all could be written. */
gboolean avi_close(Avi *a, GError **err);

#endif
