/*
 * Input: keys and pointers on their way from faces (windows, VNC, monitor, QMP) to devices (PS/2, USB, virtio, vmport).
 *
 * A device adds sinks; a face sends events and knows no device.  Of several sinks of a kind one gets the events: the one
 * that the guest activated last (a driver that configures a USB tablet takes it over from the PS/2 mouse).  A pointer that
 * takes positions goes before one that takes movements.  Faces may always send positions: a sink that takes movements
 * gets the way from the position before.
 *
 * All under the machine lock, in the main loop's thread; devices call input_activate() and input_set_leds() in any thread
 * that holds the lock.
 */
#ifndef MYNA_CORE_INPUT_H
#define MYNA_CORE_INPUT_H

#include <stdbool.h>

typedef struct Machine Machine;
typedef struct Input Input;

enum { INPUT_LEFT = 1, INPUT_RIGHT = 2, INPUT_MIDDLE = 4, INPUT_SIDE = 8, INPUT_EXTRA = 16 }; /* buttons */
enum { INPUT_SCROLL_LOCK = 1, INPUT_NUM_LOCK = 2, INPUT_CAPS_LOCK = 4 };                      /* lights */
enum { INPUT_SCALE = 0x8000 }; /* positions are 0 .. INPUT_SCALE - 1, from the left and from the top of the screen */

/* What a device takes, each or NULL: one that has `key` is a keyboard, one with `motion` or `position` a pointer. */
typedef struct InputSink {
    const char *name;                                                      /* one line, for `info mice` */
    void (*key)(void *opaque, unsigned usage, bool down);                  /* usage: page 7 of the USB HID Usage Tables */
    /* Movement in dots to the right, down, of the wheel towards the user; buttons now held. */
    void (*motion)(void *opaque, int dx, int dy, int dz, unsigned buttons);
    void (*position)(void *opaque, unsigned x, unsigned y, int dz, unsigned buttons);
} InputSink;

/* ---- for devices ---- */

/* sink is kept, not copied; opaque is its name among all.  It is active at once if `active`. */
void input_add(Machine *m, const InputSink *sink, void *opaque, bool active);
void input_remove(Machine *m, void *opaque);

/*
 * The guest's driver has taken the device into use, or left it.  Held keys are let go on a keyboard that loses the place.
 */
void input_activate(Machine *m, void *opaque, bool active);

/* What the keyboard's lights (INPUT_*_LOCK) show now. */
void input_set_leds(Machine *m, void *opaque, unsigned leds);

/* ---- for faces ---- */

/* Whether there is one that gets keys, or the pointer's events; whether that takes positions. */
bool input_has_keyboard(Machine *m);
bool input_has_pointer(Machine *m);
bool input_is_absolute(Machine *m);

/* A key that is down already may be pressed again (keyboards repeat by themselves); lets go of all that are held. */
void input_key(Machine *m, unsigned usage, bool down);
void input_release_keys(Machine *m);

/* Movement in dots.  A sink that takes positions gets the place that it leads to on a screen of 1024 x 768. */
void input_move(Machine *m, int dx, int dy);

/*
 * The pointer is on dot (x, y) of a screen of width x height.  A sink of movements gets the way from the position before;
 * input_forget_position() begins anew, as when the pointer has left the window.
 */
void input_position(Machine *m, int x, int y, unsigned width, unsigned height);
void input_forget_position(Machine *m);

/* The same for a sink that takes positions, in its units; a negative x or y: where it was. */
void input_place(Machine *m, int x, int y);

/* Buttons now held; the wheel's steps towards the user. */
void input_buttons(Machine *m, unsigned buttons);
void input_wheel(Machine *m, int dz);
unsigned input_buttons_held(Machine *m);

/* Of the keyboard that gets keys. */
unsigned input_leds(Machine *m);

/* The nth pointer: its name, whether it takes positions, whether it is the one in use; false behind the last. */
bool input_pointer_nth(Machine *m, unsigned n, const char **name, bool *absolute, bool *used);

/* ---- for machine.c ---- */

Input *input_new(void);
void input_free(Input *in);

#endif
