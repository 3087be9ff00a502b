/*
 * Inside ui/curses*.c.  All under the machine lock, in the main loop's thread.
 */
#ifndef MYNA_UI_CURSES_INTERNAL_H
#define MYNA_UI_CURSES_INTERNAL_H

#define NCURSES_WIDECHAR 1
#include <curses.h>

#include "core/machine.h"
#include "ui/view.h"

typedef struct Curses {
    Machine *machine;
    View *view;
    SCREEN *screen;
    GSource *keys, *resized;
    uint16_t *cells;
    unsigned head;
    bool colours, bright;  /* 8 or 16 of them */
    int pair_zero;         /* black on black, as pair 0 is the terminal's */
    bool prefix, help;     /* Ctrl-A came; its keys are shown */
} Curses;

/* Draws the screen anew. */
void curses_draw(Curses *c);

/* Takes all keys that are there (curses_keys.c). */
void curses_keys(Curses *c);

#endif
