/*
 * Keys of a terminal.  It tells characters, not keys, and nothing of their release: each is a chord that is typed, by
 * the guest's layout (-k).  Alt comes as ESC before the key.  Ctrl-A is the way to Myna itself, as with -nographic.
 */
#include "config.h"

#ifdef CONFIG_CURSES
#include "ui/curses_internal.h"
#include "ui/keymap.h"
#include "ui/typing.h"

enum { CTRL_A = 1, ESC = 0x1b, DELETE = 0x7f, HOLD_MS = 20 };
enum { USAGE_F1 = 0x3a, USAGE_DELETE = 0x4c, KEYS_AT_ONCE = 256 };

typedef struct TerminalKey {
    int key;         /* curses' */
    uint8_t usage;   /* HID's */
    uint8_t with;    /* a modifier, or 0 */
} TerminalKey;

static const TerminalKey terminal_keys[] = {
    { KEY_BACKSPACE, 0x2a, 0 }, { KEY_ENTER, 0x28, 0 }, { KEY_IC, 0x49, 0 },
    { KEY_HOME, 0x4a, 0 }, { KEY_PPAGE, 0x4b, 0 }, { KEY_DC, 0x4c, 0 },
    { KEY_END, 0x4d, 0 }, { KEY_NPAGE, 0x4e, 0 }, { KEY_RIGHT, 0x4f, 0 },
    { KEY_LEFT, 0x50, 0 }, { KEY_DOWN, 0x51, 0 }, { KEY_UP, 0x52, 0 },
    { KEY_BTAB, 0x2b, KEY_LEFT_SHIFT }, { KEY_SLEFT, 0x50, KEY_LEFT_SHIFT }, { KEY_SRIGHT, 0x4f, KEY_LEFT_SHIFT },
    { KEY_SF, 0x51, KEY_LEFT_SHIFT }, { KEY_SR, 0x52, KEY_LEFT_SHIFT }, { KEY_SHOME, 0x4a, KEY_LEFT_SHIFT },
    { KEY_SEND, 0x4d, KEY_LEFT_SHIFT }, { KEY_SDC, 0x4c, KEY_LEFT_SHIFT }, { KEY_SIC, 0x49, KEY_LEFT_SHIFT },
    { KEY_SNEXT, 0x4e, KEY_LEFT_SHIFT }, { KEY_SPREVIOUS, 0x4b, KEY_LEFT_SHIFT },
    { KEY_B2, 0x5d, 0 }, /* the keypad's middle */
};

static void chord_add(Chord *chord, unsigned usage)
{
    if (usage && chord->count < CHORD_KEYS)
        chord->keys[chord->count++] = usage;
}

/* What the guest cannot take, it does not get: a person types again. */
static void chord_type(Curses *c, const Chord *chord)
{
    if (chord->count)
        typing_add(c->machine, chord, NULL);
}

/* Of xterm, F13 is Shift-F1, F25 Ctrl-F1, F37 Ctrl-Shift-F1, F49 Alt-F1. */
static void function_key(Chord *chord, unsigned n)
{
    static const uint8_t with[][2] = { { 0, 0 }, { KEY_LEFT_SHIFT, 0 }, { KEY_LEFT_CTRL, 0 },
                                       { KEY_LEFT_CTRL, KEY_LEFT_SHIFT }, { KEY_LEFT_ALT, 0 } };
    unsigned row = (n - 1) / 12;
    for (unsigned k = 0; row < G_N_ELEMENTS(with) && k < 2; k++)
        chord_add(chord, with[row][k]);
    chord_add(chord, USAGE_F1 + (n - 1) % 12);
}

static void special_key(Curses *c, int key, bool alt)
{
    Chord chord = { .hold_ms = HOLD_MS };
    if (alt)
        chord_add(&chord, KEY_LEFT_ALT);
    for (unsigned n = 0; n < G_N_ELEMENTS(terminal_keys); n++) {
        if (terminal_keys[n].key != key)
            continue;
        chord_add(&chord, terminal_keys[n].with);
        chord_add(&chord, terminal_keys[n].usage);
        chord_type(c, &chord);
        return;
    }
    if (key <= KEY_F0 || key > KEY_F(60))
        return;
    function_key(&chord, key - KEY_F0);
    chord_type(c, &chord);
}

static void character_key(Curses *c, uint32_t character, bool alt)
{
    KeyStroke strokes[STROKES_MAX];
    unsigned count = layout_strokes(layout_of(c->machine), character == DELETE ? '\b' : character, strokes);
    for (unsigned n = 0; n < count; n++) {
        Chord chord = { .hold_ms = HOLD_MS };
        if (alt)
            chord_add(&chord, KEY_LEFT_ALT);
        chord_add(&chord, strokes[n].modifiers & STROKE_CTRL ? KEY_LEFT_CTRL : 0);
        chord_add(&chord, strokes[n].modifiers & STROKE_SHIFT ? KEY_LEFT_SHIFT : 0);
        chord_add(&chord, strokes[n].modifiers & STROKE_ALTGR ? KEY_RIGHT_ALT : 0);
        chord_add(&chord, strokes[n].key);
        chord_type(c, &chord);
    }
}

static void with_ctrl_alt(Curses *c, unsigned usage)
{
    Chord chord = { .keys = { KEY_LEFT_CTRL, KEY_LEFT_ALT, usage }, .count = 3, .hold_ms = HOLD_MS };
    chord_type(c, &chord);
}

/* Behind Ctrl-A. */
static void own_key(Curses *c, wint_t key)
{
    c->help = false;
    if (key == 'x')
        machine_quit(c->machine, 0);
    else if (key == CTRL_A || key == 'a')
        character_key(c, CTRL_A, false);
    else if (key == 'd')
        with_ctrl_alt(c, USAGE_DELETE);
    else if (key == 'r')
        clearok(stdscr, TRUE);
    else if (key >= '1' && key <= '9')
        with_ctrl_alt(c, USAGE_F1 + key - '1');
    else
        c->help = true;
}

/* What follows ESC at once belongs to it. */
static void escape_key(Curses *c)
{
    wint_t key;
    int kind = get_wch(&key);
    if (kind == KEY_CODE_YES)
        special_key(c, key, true);
    else if (kind == OK && key != ESC)
        character_key(c, key, true);
    else
        character_key(c, ESC, kind == OK);
}

static void take_key(Curses *c, int kind, wint_t key)
{
    bool help = c->help;
    if (c->prefix) {
        c->prefix = false;
        own_key(c, key);
    } else if (kind == OK && key == CTRL_A) {
        c->prefix = true;
        c->help = false;
    } else {
        c->help = false;
        if (kind == KEY_CODE_YES)
            special_key(c, key, false);
        else if (key == ESC)
            escape_key(c);
        else
            character_key(c, key, false);
    }
    if (c->prefix || c->help || help)
        curses_draw(c);
}

void curses_keys(Curses *c)
{
    wint_t key;
    int kind;
    for (unsigned n = 0; n < KEYS_AT_ONCE && (kind = get_wch(&key)) != ERR; n++)
        take_key(c, kind, key);
    view_hurry(c->view, false);
}
#endif
