/*
 * Keys that a face types into the guest's keyboard (QMP's send-key, the monitor's sendkey).
 *
 * A chord is pressed key by key, held for a while of the guest's time, and let go in reverse.  Chords queue up.
 */
#ifndef MYNA_DEBUGGER_TYPING_H
#define MYNA_DEBUGGER_TYPING_H

#include <glib.h>

#include "core/machine.h"

enum { CHORD_KEYS = 16, CHORD_HOLD_MS = 100 };

typedef struct Chord {
    uint8_t keys[CHORD_KEYS]; /* as in ps2_keyboard_key() */
    unsigned count, hold_ms;
} Chord;

/* FALSE with *err: without a keyboard, or when very many wait already.  Main loop's thread, machine lock held. */
gboolean typing_add(Machine *m, const Chord *chord, GError **err);

/* Forgets what was not typed yet; before the machine is freed. */
void typing_free(Machine *m);

#endif
