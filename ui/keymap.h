/*
 * Keys and characters: from what a face knows to usages of page 7 of the USB HID Usage Tables, which is what a key is
 * in core/input.h.
 *
 * Where a face learns positions (scan codes), positions are sent, and the guest's own layout makes characters of them:
 * national layouts need nothing then.  Where it learns only characters (a VNC viewer without scan codes, pasted text),
 * the guest's layout (`-k de`) says which keys make them.
 */
#ifndef MYNA_UI_KEYMAP_H
#define MYNA_UI_KEYMAP_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/machine.h"

enum { KEY_LEFT_CTRL = 0xe0, KEY_LEFT_SHIFT = 0xe1, KEY_LEFT_ALT = 0xe2, KEY_RIGHT_ALT = 0xe6 };

/* ---- scan codes ---- */

/* An SDL scancode: usages already, beside SDL's own above 255; 0: no key of ours. */
unsigned key_of_sdl(unsigned scancode);

/* A code of XT's set 1, plus 80h (or E000h) behind E0h, as RFB's QEMU extended key event has it; 0: none. */
unsigned key_of_xt(unsigned code);

/* An X keysym of a key without a character, or of the keypad (XK_Return, XK_F1, XK_KP_5); 0: none. */
unsigned key_of_keysym(uint32_t keysym);

/* ---- characters, by the guest's layout ---- */

typedef struct KeyLayout KeyLayout;

/* What modifiers a key needs. */
enum { STROKE_SHIFT = 1, STROKE_ALTGR = 2, STROKE_CTRL = 4 };

typedef struct KeyStroke {
    uint8_t key, modifiers;
} KeyStroke;

/*
 * Strokes, one after another, that make the character: two where a dead key comes first.  Returns their number; 0: the
 * layout has no such character.  Line feed and carriage return are Enter, 08h, 09h and 1Bh the keys, others below 20h
 * Ctrl with a letter.
 */
enum { STROKES_MAX = 2 };
unsigned layout_strokes(const KeyLayout *l, uint32_t character, KeyStroke strokes[STROKES_MAX]);

/* The character of an X keysym, as Unicode; 0: it has none. */
uint32_t character_of_keysym(uint32_t keysym);

/* By the name that -k takes; NULL with *err that lists them. */
const KeyLayout *layout_find(const char *name, GError **err);
const char *layout_name(const KeyLayout *l);
const KeyLayout *layout_nth(unsigned n); /* NULL behind the last */

/* -k: of the machine's guest; "us" when none was set. */
void layout_set(Machine *m, const KeyLayout *l);
const KeyLayout *layout_of(Machine *m);

#endif
