/*
 * What a display device shows, for windows, VNC, screenshots (ui/): a picture of 32-bit pixels or a text screen.
 *
 * A display device embeds a Console and announces it as "console0" (machine_provide).  A viewer calls console_update()
 * some 30 times a second and looks at the lines whose serial is above the one it saw last; any number of viewers may do
 * so.  All under the machine lock, in the main loop's thread.
 */
#ifndef MYNA_HW_CONSOLE_H
#define MYNA_HW_CONSOLE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Console Console;

typedef struct ConsoleOps {
    /* Brings the surface up to date; with `all` everything is redrawn.  Machine lock held, main loop's thread. */
    void (*update)(void *opaque, bool all);
    /* Reads the text screen: character and attribute of each cell; false in graphics modes. */
    bool (*text)(void *opaque, unsigned *columns, unsigned *rows, uint16_t *cells, unsigned max_cells);
} ConsoleOps;

/* The picture: pixels[y * width + x] = 0x00RRGGBB. */
typedef struct Surface {
    unsigned width, height;
    uint32_t *pixels;
} Surface;

struct Console {
    const ConsoleOps *ops;
    void *opaque;
    Surface surface;       /* owned by the device */
    uint64_t serial;       /* of the latest update; counted up by each */
    uint64_t *line_serial; /* of the update that last changed each line of the surface */
    uint64_t size_serial;  /* of the update that last changed width or height */
};

/* ---- for viewers ---- */

/* Brings the surface up to date; returns the serial to compare with next time. */
uint64_t console_update(Console *c, bool all);

/* The text screen (low byte: character, high byte: attribute); false in graphics modes. */
bool console_text(Console *c, unsigned *columns, unsigned *rows, uint16_t *cells, unsigned max_cells);

/* Writes the picture, brought up to date, as a binary PPM file (the monitor's screendump); a "-" is no special name. */
gboolean console_write_ppm(Console *c, const char *path, GError **err);

/* ---- for devices ---- */

/* Makes the surface of that size, black, all lines changed.  Nothing happens when it has that size; returns whether. */
bool console_resize(Console *c, unsigned width, unsigned height);

/* Lines [y, y+count) have changed. */
void console_mark_lines(Console *c, unsigned y, unsigned count);

/* Frees the surface. */
void console_clear(Console *c);

#endif
