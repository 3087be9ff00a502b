/*
 * What a display device shows, for windows, VNC, screenshots (ui/): a picture of 32-bit pixels or a text screen.
 *
 * A display device embeds a Console and announces it by console_announce().  A viewer calls console_update()
 * some 30 times a second and looks at the lines whose serial is above the one it saw last; any number of viewers may do
 * so.  All under the machine lock, in the main loop's thread.
 */
#ifndef MYNA_HW_CONSOLE_H
#define MYNA_HW_CONSOLE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Console Console;
typedef struct Machine Machine;

typedef struct ConsoleOps {
    /* Brings the surface up to date; with `all` everything is redrawn.  Machine lock held, main loop's thread. */
    void (*update)(void *opaque, bool all);
    /* Reads the text screen: character and attribute of each cell; false in graphics modes. */
    bool (*text)(void *opaque, unsigned *columns, unsigned *rows, uint16_t *cells, unsigned max_cells);
    /* The cell, counted row by row, that has the text cursor; -1: none.  May be NULL, as all below. */
    int (*text_cursor)(void *opaque);
    /* A viewer has room for so many dots: the monitor that the guest asks (EDID) prefers them from now on.  May be NULL. */
    void (*fit)(void *opaque, unsigned width, unsigned height);
} ConsoleOps;

/* The picture: pixels[y * width + x] = 0x00RRGGBB. */
typedef struct Surface {
    unsigned width, height;
    uint32_t *pixels;
} Surface;

/* The pointer's picture where a device has it apart from the surface: pixels 0xAARRGGBB, colours not multiplied by alpha. */
enum { CURSOR_MAX = 256 };
typedef struct ConsoleCursor {
    unsigned width, height; /* 0: none */
    int hot_x, hot_y;       /* the dot of the picture that points */
    uint32_t *pixels;       /* owned by the console */
    int x, y;               /* where the guest has the hot dot */
    bool on;
    uint64_t serial;        /* counted up by each change of the picture or of `on`; not by movement */
} ConsoleCursor;

struct Console {
    const ConsoleOps *ops;
    void *opaque;
    Surface surface;       /* owned by the device */
    uint64_t serial;       /* of the latest update; counted up by each */
    uint64_t *line_serial; /* of the update that last changed each line of the surface */
    uint64_t size_serial;  /* of the update that last changed width or height */
    ConsoleCursor cursor;
    char *slot;            /* private */
};

/* ---- for viewers ---- */

/* The machine's nth display, as devices were made; NULL behind the last. */
Console *console_nth(Machine *m, unsigned n);

/* Brings the surface up to date; returns the serial to compare with next time. */
uint64_t console_update(Console *c, bool all);

/* The text screen (low byte: character, high byte: attribute); false in graphics modes. */
bool console_text(Console *c, unsigned *columns, unsigned *rows, uint16_t *cells, unsigned max_cells);

/* The cell of that screen, counted row by row from the top, which has the cursor; -1: none. */
int console_text_cursor(Console *c);

/* Tells the guest's monitor of a viewer's size; false: the device cannot. */
bool console_fit(Console *c, unsigned width, unsigned height);

/* Writes the picture, brought up to date, as a binary PPM file (the monitor's screendump); a "-" is no special name. */
gboolean console_write_ppm(Console *c, const char *path, GError **err);

/* ---- for devices ---- */

/* Puts the console, whose ops and opaque are set, into the machine's next slot; takes it out and frees all it has. */
void console_announce(Console *c, Machine *m);
void console_withdraw(Console *c, Machine *m);

/* Makes the surface of that size, black, all lines changed.  Nothing happens when it has that size; returns whether. */
bool console_resize(Console *c, unsigned width, unsigned height);

/* Lines [y, y+count) have changed. */
void console_mark_lines(Console *c, unsigned y, unsigned count);

/* The pointer's picture, copied, at most CURSOR_MAX wide and high (0, 0: none); where it is, and whether it is shown. */
void console_define_cursor(Console *c, unsigned width, unsigned height, int hot_x, int hot_y, const uint32_t *pixels);
void console_move_cursor(Console *c, int x, int y, bool on);

#endif
