/*
 * The server's copy of the guest's screen.  What a round of the view finds is compared in tiles: of a line that was
 * written, most of the dots are often as they were.
 */
#include "config.h"

#ifdef CONFIG_VNC
#include <stdlib.h>
#include <string.h>

#include "ui/vnc_internal.h"

enum { TILE_WIDTH = 64, TILE_HEIGHT = 16 };

/* ---- size ---- */

/* As rfbNewFramebuffer() does it, but that one sets a pixel format too. */
static void client_resize(rfbClientPtr cl)
{
    sraRgnDestroy(cl->modifiedRegion);
    cl->modifiedRegion = sraRgnCreateRect(0, 0, cl->screen->width, cl->screen->height);
    sraRgnMakeEmpty(cl->copyRegion);
    cl->newFBSizePending = cl->useNewFBSize;
}

bool vnc_picture_size(VncServer *s, unsigned width, unsigned height)
{
    rfbScreenInfo *screen = s->screen;
    if (s->pixels && (unsigned)screen->width == width && (unsigned)screen->height == height)
        return false;
    g_free(s->pixels);
    s->pixels = g_new0(uint32_t, MAX((gsize)width * height, 1));
    screen->frameBuffer = (char *)s->pixels;
    screen->width = width;
    screen->height = height;
    screen->paddedWidthInBytes = width * sizeof *s->pixels;
    screen->sizeInBytes = screen->paddedWidthInBytes * height;
    screen->cursorX = MIN(screen->cursorX, (int)width - 1);
    screen->cursorY = MIN(screen->cursorY, (int)height - 1);
    for (guint n = 0; n < s->viewers->len; n++) {
        VncViewer *v = g_ptr_array_index(s->viewers, n);
        if (v->client)
            client_resize(v->client);
    }
    return true;
}

/* ---- lines ---- */

/* Copies a tile; whether it has changed. */
static bool copy_tile(uint32_t *to, const uint32_t *from, unsigned stride, unsigned width, unsigned height)
{
    bool changed = false;
    for (unsigned y = 0; y < height; y++, to += stride, from += stride) {
        if (!memcmp(to, from, width * sizeof *to))
            continue;
        memcpy(to, from, width * sizeof *to);
        changed = true;
    }
    return changed;
}

/* Tiles beside each other make one rectangle. */
static void copy_band(VncServer *s, const uint32_t *from, unsigned y, unsigned height)
{
    unsigned width = s->screen->width, run = 0;
    for (unsigned x = 0; x < width; x += TILE_WIDTH) {
        gsize at = (gsize)y * width + x;
        unsigned end = MIN(x + TILE_WIDTH, width);
        bool changed = copy_tile(s->pixels + at, from + at, width, end - x, height);
        run = changed ? run + end - x : run;
        if (run && (!changed || end == width)) {
            unsigned right = changed ? end : x;
            rfbMarkRectAsModified(s->screen, right - run, y, right, y + height);
            run = 0;
        }
    }
}

static void copy_lines(VncServer *s, const Surface *from, unsigned y, unsigned count)
{
    if (from->width != (unsigned)s->screen->width || from->height != (unsigned)s->screen->height)
        return;
    for (unsigned end = MIN(y + count, from->height), next; y < end; y = next) {
        next = MIN(end, (y / TILE_HEIGHT + 1) * TILE_HEIGHT);
        copy_band(s, from->pixels, y, next - y);
    }
}

void vnc_picture_sync(VncServer *s)
{
    Console *c = view_console(s->view);
    if (!c)
        return;
    console_update(c, false);
    if (c->surface.pixels && vnc_picture_size(s, c->surface.width, c->surface.height))
        copy_lines(s, &c->surface, 0, c->surface.height);
}

/* ---- the pointer's picture ---- */

/* One that libvncserver can send at once: with its mask in UPDATE_BUF_SIZE (32 KiB). */
enum { CURSOR_SIDE = 80, OPAQUE_ALPHA = 0x80 };

/* libvncserver frees all of it by free(). */
static rfbCursor *cursor_make(unsigned width, unsigned height, int hot_x, int hot_y, const uint32_t *argb,
                              unsigned stride)
{
    rfbCursor *c = calloc(1, sizeof *c);
    unsigned row = (width + 7) / 8;
    uint32_t *pixels = calloc((gsize)width * height, sizeof *pixels);
    c->cleanup = c->cleanupMask = c->cleanupRichSource = TRUE;
    c->width = width;
    c->height = height;
    c->xhot = CLAMP(hot_x, 0, (int)width - 1);
    c->yhot = CLAMP(hot_y, 0, (int)height - 1);
    c->mask = calloc(row, height);
    c->richSource = (unsigned char *)pixels;
    for (unsigned y = 0; y < height; y++) {
        for (unsigned x = 0; x < width; x++) {
            pixels[y * width + x] = argb[y * stride + x] & 0xffffff;
            if (argb[y * stride + x] >> 24 >= OPAQUE_ALPHA)
                c->mask[y * row + x / 8] |= 0x80 >> x % 8;
        }
    }
    return c;
}

/*
 * A dot, as the guest may draw a pointer itself, or none.  Libvncserver draws the pointer into the picture of a viewer
 * that does not draw it: this one is off the screen.
 */
void vnc_cursor_default(VncServer *s)
{
    static const uint32_t dot[5 * 5] = {
        [1] = 0xff000000, [2] = 0xff000000, [3] = 0xff000000,
        [5] = 0xff000000, [6] = 0xffffffff, [7] = 0xffffffff, [8] = 0xffffffff, [9] = 0xff000000,
        [10] = 0xff000000, [11] = 0xffffffff, [12] = 0xffffffff, [13] = 0xffffffff, [14] = 0xff000000,
        [15] = 0xff000000, [16] = 0xffffffff, [17] = 0xffffffff, [18] = 0xffffffff, [19] = 0xff000000,
        [21] = 0xff000000, [22] = 0xff000000, [23] = 0xff000000,
    };
    s->screen->cursorX = s->screen->cursorY = -CURSOR_SIDE;
    rfbSetCursor(s->screen, cursor_make(5, 5, 2, 2, dot, 5));
}

/* ---- rounds ---- */

static void picture_size(void *opaque, unsigned width, unsigned height) { vnc_picture_size(opaque, width, height); }

static void picture_lines(void *opaque, unsigned y, unsigned count)
{
    VncServer *s = opaque;
    copy_lines(s, &view_console(s->view)->surface, y, count);
}

static void picture_cursor(void *opaque, const ConsoleCursor *c)
{
    VncServer *s = opaque;
    unsigned width = MIN(c->width, CURSOR_SIDE), height = MIN(c->height, CURSOR_SIDE);
    bool shown = c->on && c->pixels && width && height;
    if (shown) {
        s->screen->cursorX = CLAMP(c->x, 0, MAX(s->screen->width - 1, 0));
        s->screen->cursorY = CLAMP(c->y, 0, MAX(s->screen->height - 1, 0));
    }
    if (s->cursor_serial == c->serial)
        return;
    s->cursor_serial = c->serial;
    if (shown)
        rfbSetCursor(s->screen, cursor_make(width, height, c->hot_x, c->hot_y, c->pixels, c->width));
    else
        vnc_cursor_default(s);
}

static void picture_done(void *opaque) { vnc_send_soon(opaque); }

const ViewOps vnc_view_ops = {
    .size = picture_size, .lines = picture_lines, .cursor = picture_cursor, .done = picture_done,
};
#endif
