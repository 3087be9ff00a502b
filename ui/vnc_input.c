/*
 * Keys and pointer of a viewer.
 *
 * A viewer with QEMU's extended key events says which key it is; from others come keysyms: characters, for which the
 * guest's layout (-k) says the key, and what else has to be held with it.  Those that the viewer holds and the guest
 * needs not, or the other way round, are let go or pressed for the moment of the key's own press.
 */
#include "config.h"

#ifdef CONFIG_VNC
#include "ui/keymap.h"
#include "ui/vnc_internal.h"

enum { KEY_RIGHT_CTRL = 0xe4, KEY_RIGHT_SHIFT = 0xe5 };
enum { WHEEL_UP = 8, WHEEL_DOWN = 16, WHEELS = WHEEL_UP | WHEEL_DOWN };
enum { NO_MOTION = 0x7fff }; /* of a pointer that sends movements (QEMU's pointer motion change) */

/* ---- keys ---- */

static void key_hold(VncViewer *v, unsigned key, uint32_t keysym)
{
    v->held[key] = true;
    v->keysyms[key] = keysym;
    input_key(v->server->machine, key, true);
}

static void key_let_go(VncViewer *v, unsigned key)
{
    if (!v->held[key])
        return;
    v->held[key] = false;
    v->keysyms[key] = 0;
    input_key(v->server->machine, key, false);
}

/* Brings a modifier that has two keys or one into the state that a character needs; what to undo, in *undo. */
typedef struct Undo {
    uint8_t key[4];
    bool down[4];
    unsigned count;
} Undo;

static void modifier_press(VncViewer *v, unsigned key, bool down, Undo *undo)
{
    input_key(v->server->machine, key, down);
    undo->key[undo->count] = key;
    undo->down[undo->count++] = !down;
}

static void modifier_need(VncViewer *v, unsigned key, unsigned other, bool needed, Undo *undo)
{
    if (needed && !v->held[key] && !v->held[other])
        modifier_press(v, key, true, undo);
    if (!needed && v->held[key])
        modifier_press(v, key, false, undo);
    if (!needed && other != key && v->held[other])
        modifier_press(v, other, false, undo);
}

static void modifiers_undo(VncViewer *v, const Undo *undo)
{
    for (unsigned n = undo->count; n--;)
        input_key(v->server->machine, undo->key[n], undo->down[n]);
}

/* A letter's case is turned by Caps Lock, which the viewer has taken into account already. */
static bool caps_turns(VncViewer *v, uint32_t character)
{
    return (input_leds(v->server->machine) & INPUT_CAPS_LOCK) &&
           g_unichar_toupper(character) != g_unichar_tolower(character);
}

static void stroke_modifiers(VncViewer *v, const KeyStroke *k, bool turned, Undo *undo)
{
    bool shift = !!(k->modifiers & STROKE_SHIFT) != turned;
    modifier_need(v, KEY_LEFT_SHIFT, KEY_RIGHT_SHIFT, shift, undo);
    modifier_need(v, KEY_RIGHT_ALT, KEY_RIGHT_ALT, k->modifiers & STROKE_ALTGR, undo);
    if (k->modifiers & STROKE_CTRL)
        modifier_need(v, KEY_LEFT_CTRL, KEY_LEFT_CTRL, true, undo);
}

/* With Ctrl or Alt it is a key that is meant, whatever the layouts make of it. */
static bool is_shortcut(const VncViewer *v)
{
    return v->held[KEY_LEFT_CTRL] || v->held[KEY_RIGHT_CTRL] || v->held[KEY_LEFT_ALT];
}

static void character_press(VncViewer *v, uint32_t character, uint32_t keysym)
{
    KeyStroke strokes[STROKES_MAX];
    unsigned count = layout_strokes(layout_of(v->server->machine), character, strokes);
    for (unsigned n = 0; n < count; n++) {
        Undo undo = { .count = 0 };
        if (!is_shortcut(v))
            stroke_modifiers(v, &strokes[n], caps_turns(v, character), &undo);
        key_hold(v, strokes[n].key, keysym);
        if (n + 1 < count)
            key_let_go(v, strokes[n].key);
        modifiers_undo(v, &undo);
    }
}

static void keysym_release(VncViewer *v, uint32_t keysym)
{
    for (unsigned key = 0; key < G_N_ELEMENTS(v->keysyms); key++)
        if (v->held[key] && v->keysyms[key] == keysym)
            key_let_go(v, key);
}

static void keysym_event(VncViewer *v, bool down, uint32_t keysym)
{
    unsigned key = key_of_keysym(keysym);
    if (!down)
        keysym_release(v, keysym);
    else if (key)
        key_hold(v, key, keysym);
    else
        character_press(v, character_of_keysym(keysym), keysym);
}

void vnc_key(VncViewer *v, bool down, uint32_t keysym, uint32_t code)
{
    unsigned key = code ? key_of_xt(code) : 0;
    machine_lock(v->server->machine);
    if (key && down)
        key_hold(v, key, 0);
    else if (key)
        key_let_go(v, key);
    else
        keysym_event(v, down, keysym);
    view_hurry(v->server->view, false);
    vnc_tell_state(v);
    machine_unlock(v->server->machine);
}

static void on_key(rfbBool down, rfbKeySym keysym, rfbClientPtr cl) { vnc_key(cl->clientData, down, keysym, 0); }

/* ---- pointer ---- */

/* Of RFB: left, middle, right, wheel up and down, to the left and right, back. */
static unsigned buttons_of(unsigned mask)
{
    static const uint8_t table[][2] = {
        { 1, INPUT_LEFT }, { 2, INPUT_MIDDLE }, { 4, INPUT_RIGHT }, { 128, INPUT_SIDE },
    };
    unsigned buttons = 0;
    for (unsigned n = 0; n < G_N_ELEMENTS(table); n++)
        buttons |= mask & table[n][0] ? table[n][1] : 0;
    return buttons;
}

static void pointer_buttons(VncViewer *v, unsigned mask)
{
    unsigned buttons = buttons_of(mask), turned = mask & ~v->wheel & WHEELS;
    if (buttons != v->buttons)
        input_buttons(v->server->machine, buttons);
    v->buttons = buttons;
    v->wheel = mask & WHEELS;
    if (turned)
        input_wheel(v->server->machine, turned & WHEEL_UP ? -1 : 1);
}

/* A viewer that was told of movements sends them from when it knows. */
static void pointer_place(VncViewer *v, int x, int y)
{
    Machine *m = v->server->machine;
    int width = v->server->screen->width, height = v->server->screen->height;
    if (v->motion && v->told_absolute == 0)
        input_move(m, CLAMP(x - NO_MOTION, -width, width), CLAMP(y - NO_MOTION, -height, height));
    else
        input_position(m, MIN(x, width - 1), MIN(y, height - 1), width, height);
}

static void on_pointer(int mask, int x, int y, rfbClientPtr cl)
{
    VncViewer *v = cl->clientData;
    machine_lock(v->server->machine);
    pointer_place(v, x, y);
    pointer_buttons(v, mask);
    view_hurry(v->server->view, false);
    vnc_tell_state(v);
    machine_unlock(v->server->machine);
}

void vnc_input_release(VncViewer *v)
{
    for (unsigned key = 0; key < G_N_ELEMENTS(v->held); key++)
        key_let_go(v, key);
    pointer_buttons(v, 0);
    input_forget_position(v->server->machine);
}

void vnc_input_hooks(rfbScreenInfo *screen)
{
    screen->kbdAddEvent = on_key;
    screen->ptrAddEvent = on_pointer;
}
#endif
