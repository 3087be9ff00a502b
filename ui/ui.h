/*
 * Faces: windows, VNC servers, terminals that show the machine's screens and send its keyboard and pointer.
 *
 * `-display NAME[=VALUE][,key=value]...` opens one, each time it is given; `display_add` and `display_del` of the
 * monitor do it at run time.  Any number may be open, of one kind too.  All under the machine lock, in the main loop's
 * thread.
 *
 * To add a face NAME:
 *   - ui/NAME.c has a `const DisplayType NAME_display`, declared below; its open() parses its options with
 *     option_fields_parse("-display NAME", options, "KEY OF THE VALUE", fields, ...) (core/options.h);
 *   - ui/display.c has a row for it in display_rows[], within #ifdef CONFIG_X, and without the library a row that has
 *     no type but says which Debian package is missing; configure and scripts/install-deps know the library;
 *   - what the guest shows comes by a View (ui/view.h), which costs next to nothing while nothing changes; what the
 *     user does goes to core/input.h, with keys by ui/keymap.h, and pasted text to ui/typing.h;
 *   - docs/display-NAME.md for users, tests/unit/test_NAME.c.
 */
#ifndef MYNA_UI_UI_H
#define MYNA_UI_UI_H

#include <glib.h>
#include <stdbool.h>

#include "core/machine.h"

typedef struct DisplayType {
    const char *name;
    const char *help; /* one line, for -display help */
    /*
     * Opens one; options is what follows the name, without the "=" or "," (`vnc=:1,to=9`: ":1,to=9"; `sdl,scale=off`:
     * "scale=off"; else "").  NULL with *err in one line that begins with "-display NAME: ".
     */
    void *(*open)(Machine *m, const char *options, GError **err);
    void (*close)(void *display);
    /* One line for `info displays` ("127.0.0.1:5901, 2 viewers"), appended without an end of line; may be NULL. */
    void (*describe)(void *display, GString *out);
} DisplayType;

#ifdef CONFIG_SDL2
extern const DisplayType sdl_display;
#endif
#ifdef CONFIG_CURSES
extern const DisplayType curses_display;
#endif
#ifdef CONFIG_VNC
extern const DisplayType vnc_display;
#endif

/*
 * Opens one that may be closed again by its id: the name, or NAME.1 and so on when that is taken.  "none" opens
 * nothing.
 */
gboolean display_open(Machine *m, const char *text, GError **err);

/*
 * What is opened when nobody asked: a window, if one is built in, the host has a display ($WAYLAND_DISPLAY or
 * $DISPLAY) and the machine a screen.  That it cannot be opened is no mistake of the user's: a line to the log says
 * why.
 */
void display_open_default(Machine *m);

/* FALSE with *err: there is no such id. */
gboolean display_close(Machine *m, const char *id, GError **err);
/* The same from within a face's own callback: soon, when that has returned. */
void display_close_later(Machine *m, void *display);
void display_close_all(Machine *m);

/* The nth that is open: id, and its line appended to `about`; false behind the last. */
bool display_nth(Machine *m, unsigned n, const char **id, GString *about);

/* Whether text begins with the name of a display that is built in; FALSE with *err that says what there is. */
gboolean display_check(const char *text, GError **err);

/* -display help */
void display_list(void);

#endif
