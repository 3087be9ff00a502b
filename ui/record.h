/*
 * Recording a screen to a file: AVI with a PNG for each frame that differs from the one before ("MPNG"), which ffmpeg
 * and the players on it read.  The rate is that of the guest's clock: while the machine is paused, so is the film.
 *
 * Frames are packed and written by a thread.  When it cannot keep up, a frame is left out (the one before stands
 * longer), and the guest does not wait.  At 2 GiB, where AVI's numbers end, the film ends with a line to the user.
 */
#ifndef MYNA_UI_RECORD_H
#define MYNA_UI_RECORD_H

#include <glib.h>

#include "core/machine.h"

enum { RECORD_RATE = 25 }; /* frames a second */

/* FALSE with *err: without a screen of that number, when one is recorded already, or when the file cannot be made. */
gboolean record_start(Machine *m, unsigned head, const char *path, GError **err);

/* Completes the file; FALSE with *err when nothing is recorded, or when not all could be written. */
gboolean record_stop(Machine *m, GError **err);

/* The same at the machine's end, with a line to the user if something went wrong; nothing when nothing is recorded. */
void record_end(Machine *m);

#endif
