/*
 * What a display device shows, for windows, VNC, screenshots (ui/): a picture of 32-bit pixels or a text screen.
 */
#ifndef MYNA_HW_CONSOLE_H
#define MYNA_HW_CONSOLE_H

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
    Surface surface;   /* owned by the device */
};

#endif
