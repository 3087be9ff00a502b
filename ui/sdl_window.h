/*
 * The parts of the SDL window (sdl.c): the window and its picture, what the user does, keys that are for the window
 * itself.
 *
 * SDL is called in the main loop's thread alone.  Where it may take long, which is when it draws, the machine lock is
 * not held.
 */
#ifndef MYNA_UI_SDL_WINDOW_H
#define MYNA_UI_SDL_WINDOW_H

#include <SDL.h>
#include <glib.h>
#include <stdbool.h>

#include "core/machine.h"
#include "ui/banner.h"
#include "ui/view.h"

typedef enum SdlScale { SDL_SMOOTH, SDL_INTEGER, SDL_OFF } SdlScale;
typedef enum SdlClose { SDL_CLOSE_QUITS, SDL_CLOSE_POWERS_DOWN, SDL_CLOSE_IGNORED } SdlClose;

typedef struct SdlHub SdlHub; /* what all windows of a machine share: SDL itself, and its events */

typedef struct SdlWindow {
    Machine *machine;
    SdlHub *hub;
    View *view;
    MachineListener listener;
    /* options */
    SdlScale scale;
    SdlClose close;
    bool show_cursor;
    /* the window */
    SDL_Window *window;
    SDL_Renderer *renderer;
    SDL_Texture *picture;      /* width x height dots of the guest's */
    unsigned width, height;    /* 0: nothing was shown yet */
    double zoom;               /* points of the window for each dot, as far as nobody resized it */
    int asked_width, asked_height; /* size that the window was given last, or was found with, in points */
    bool sized_by_user;        /* it does not follow the guest's size */
    bool full_screen, focused;
    GSource *painter;          /* runs once, or NULL: all is painted */
    Timer *fitting;            /* until the user has done resizing */
    /* the pointer */
    bool grabbed;              /* by the user's wish: keyboard, and pointer unless it is absolute */
    bool relative;             /* SDL tells movements only */
    bool cursor_defined;       /* the guest has a picture of it, which is not in the screen's */
    SDL_Cursor *cursor;        /* that; NULL: none, or SDL cannot show it */
    uint64_t cursor_serial;
    bool cursor_on;
    SDL_Texture *sprite;       /* the same, drawn while the pointer is relative */
    SDL_Rect sprite_at;        /* in dots */
    /* keys: by SDL's scancode */
    bool held[SDL_NUM_SCANCODES]; /* told to the guest */
    bool own[SDL_NUM_SCANCODES];  /* for the window: its release is no news for the guest either */
    /* text over the picture */
    SDL_Texture *banner;
    int banner_width, banner_height;
    bool banner_is_help;
    Timer *banner_end;
} SdlWindow;

/* ---- sdl_window.c ---- */

gboolean sdl_window_open(SdlWindow *w, GError **err);
void sdl_window_close(SdlWindow *w);
extern const ViewOps sdl_view_ops;

/* Painted soon, without the lock. */
void sdl_repaint(SdlWindow *w);
void sdl_title(SdlWindow *w);

/* Gives the window the guest's size, times zoom, as far as the screen has room. */
void sdl_follow_guest(SdlWindow *w);
void sdl_zoom(SdlWindow *w, double zoom);
void sdl_set_full_screen(SdlWindow *w, bool on);
/* The window has that size now, in points. */
void sdl_resized(SdlWindow *w, int width, int height);

/* The dot of the guest's screen at a point of the window, within the screen; false before there is one. */
bool sdl_dot_at(SdlWindow *w, int x, int y, int *dot_x, int *dot_y);

/* Text over the picture for some seconds, or (help) until it is asked for again; NULL: none. */
void sdl_banner(SdlWindow *w, const char *text, bool help);

/* ---- sdl_pointer.c ---- */

/* What SDL shows and tells of the pointer becomes what guest and user want now. */
void sdl_pointer_settle(SdlWindow *w);
void sdl_grab(SdlWindow *w, bool on);
void sdl_cursor_changed(SdlWindow *w, const ConsoleCursor *c);
void sdl_pointer_event(SdlWindow *w, const SDL_Event *e); /* motion, button, wheel */
void sdl_pointer_free(SdlWindow *w);

/* ---- sdl_keys.c ---- */

void sdl_key_event(SdlWindow *w, const SDL_KeyboardEvent *e);
void sdl_release_keys(SdlWindow *w);

#endif
