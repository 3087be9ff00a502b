/*
 * Keys that a face types into the guest's keyboard: QMP's send-key, the monitor's sendkey and type, a window's paste.
 *
 * A chord is pressed key by key, held for a while of the guest's time, and let go in reverse.  Chords queue up; text
 * waits behind them.
 */
#ifndef MYNA_UI_TYPING_H
#define MYNA_UI_TYPING_H

#include <glib.h>

#include "core/machine.h"

enum { CHORD_KEYS = 16, CHORD_HOLD_MS = 100 };

typedef struct Chord {
    uint8_t keys[CHORD_KEYS]; /* usages, as in input_key() */
    unsigned count, hold_ms;
} Chord;

/* FALSE with *err: without a keyboard, or when very many wait already.  Main loop's thread, machine lock held. */
gboolean typing_add(Machine *m, const Chord *chord, GError **err);

/*
 * Types text (UTF-8) by the guest's layout (layout_of()).  FALSE with *err, and nothing typed, without a keyboard,
 * when the text is no UTF-8, or more than TYPING_TEXT_MAX bytes with what waits.  *left_out (may be NULL): characters
 * that the layout does not have.
 */
enum { TYPING_TEXT_MAX = 1 << 20 };
gboolean typing_text(Machine *m, const char *text, unsigned *left_out, GError **err);

/* Forgets what was not typed yet; a chord that is held is let go. */
void typing_stop(Machine *m);

/* Before the machine is freed. */
void typing_free(Machine *m);

#endif
