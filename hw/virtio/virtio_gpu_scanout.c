/*
 * Screens of a virtio graphics card (virtio_gpu_private.h).  Commands only note which lines have changed; they are
 * drawn when a viewer wants to see them, in the main loop's thread.
 */
#include <string.h>

#include "core/error.h"
#include "core/machine.h"
#include "hw/virtio/virtio_gpu_private.h"

enum { IDLE_WIDTH = 640, IDLE_HEIGHT = 480, SIDE_FIT_MIN = 64, SIDE_FIT_MAX = 4088 };
enum { CURSOR_PIXELS = GPU_CURSOR_SIDE * GPU_CURSOR_SIDE, CURSOR_BYTES = CURSOR_PIXELS * GPU_PIXEL };

/* ---- lines ---- */

static void lines_change(GpuScanout *s, uint32_t from, uint32_t end)
{
    for (uint32_t y = from; y < end; y++)
        s->changed[y / 8] |= 1 << y % 8;
}

static void lines_change_all(GpuScanout *s) { memset(s->changed, 0xff, sizeof s->changed); }

static void flush(GpuScanout *s, const GpuRect *part)
{
    uint32_t from = MAX(part->y, s->rect.y), end = MIN(part->y + part->height, s->rect.y + s->rect.height);
    bool beside = part->x >= s->rect.x + s->rect.width || part->x + part->width <= s->rect.x;
    if (from < end && !beside)
        lines_change(s, from - s->rect.y, end - s->rect.y);
}

void gpu_scanouts_flush(Gpu *g, uint32_t id, const GpuRect *part)
{
    for (unsigned n = 0; n < g->max_outputs; n++)
        if (g->scanout[n].resource == id)
            flush(&g->scanout[n], part);
}

void gpu_scanout_show(GpuScanout *s, uint32_t id, const GpuRect *rect)
{
    s->resource = id;
    s->rect = id ? *rect : (GpuRect){ 0 };
    lines_change_all(s);
}

/* ---- drawing ---- */

static bool is_first(const GpuScanout *s) { return s == &s->gpu->scanout[0]; }
static bool is_idle(const GpuScanout *s) { return !s->resource; }

static void draw_line(GpuScanout *s, const GpuResource *r, uint32_t y)
{
    uint32_t *to = s->console->surface.pixels + (gsize)y * s->rect.width;

    gpu_resource_pixels(r, s->rect.x, s->rect.y + y, s->rect.width, to);
    for (uint32_t x = 0; x < s->rect.width; x++)
        to[x] &= 0xffffff;
    console_mark_lines(s->console, y, 1);
}

static void draw(GpuScanout *s, bool all)
{
    const GpuResource *r = gpu_resource(s->gpu, s->resource);

    if (console_resize(s->console, s->rect.width, s->rect.height) || all || !s->shown)
        lines_change_all(s);
    for (uint32_t y = 0; y < s->rect.height; y++)
        if (s->changed[y / 8] >> y % 8 & 1)
            draw_line(s, r, y);
    memset(s->changed, 0, sizeof s->changed);
    s->shown = true;
}

static void draw_idle(GpuScanout *s, bool all)
{
    const Surface *surface = &s->console->surface;

    if (is_first(s) && s->gpu->idle) {
        s->gpu->idle->update(s->gpu->idle_opaque, all || s->shown);
    } else if (!surface->pixels || s->shown || all) {
        console_resize(s->console, IDLE_WIDTH, IDLE_HEIGHT);
        memset(surface->pixels, 0, sizeof(uint32_t) * surface->width * surface->height);
        console_mark_lines(s->console, 0, surface->height);
    }
    s->shown = false;
}

static void scanout_update(void *opaque, bool all)
{
    GpuScanout *s = opaque;
    (is_idle(s) ? draw_idle : draw)(s, all);
}

static bool shows_vga(const GpuScanout *s) { return is_idle(s) && is_first(s) && s->gpu->idle; }

static bool scanout_text(void *opaque, unsigned *columns, unsigned *rows, uint16_t *cells, unsigned max_cells)
{
    const Gpu *g = ((GpuScanout *)opaque)->gpu;
    return shows_vga(opaque) && g->idle->text(g->idle_opaque, columns, rows, cells, max_cells);
}

static int scanout_text_cursor(void *opaque)
{
    const Gpu *g = ((GpuScanout *)opaque)->gpu;
    return shows_vga(opaque) ? g->idle->text_cursor(g->idle_opaque) : -1;
}

/* A viewer without a size has gone: its monitor is not there any more, unless it is the only one. */
static void scanout_fit(void *opaque, unsigned width, unsigned height)
{
    GpuScanout *s = opaque;
    bool connected = is_first(s) || (width && height);

    if (is_first(s) && s->gpu->idle)
        s->gpu->idle->fit(s->gpu->idle_opaque, width, height);
    if (width && height) {
        width = CLAMP(width, SIDE_FIT_MIN, SIDE_FIT_MAX);
        height = CLAMP(height, SIDE_FIT_MIN, SIDE_FIT_MAX);
    } else {
        width = s->width;
        height = s->height;
    }
    if (s->width == width && s->height == height && s->connected == connected)
        return;
    s->width = width;
    s->height = height;
    s->connected = connected;
    gpu_display_event(s->gpu);
}

static const ConsoleOps scanout_ops = {
    .update = scanout_update, .text = scanout_text, .text_cursor = scanout_text_cursor, .fit = scanout_fit,
};

/* ---- the pointer ---- */

/*
 * Drivers send colours multiplied by alpha, as their own hardware has them (Linux drm_plane.c, blend modes), and alpha
 * also where they name a format without (virtgpu_gem.c has one format for all that is allocated so).
 */
static uint32_t divided(uint32_t pixel)
{
    uint32_t alpha = pixel >> 24, out = pixel & 0xff000000;
    for (unsigned shift = 0; alpha && shift < 24; shift += 8)
        out |= MIN((pixel >> shift & 0xff) * 255 / alpha, 255) << shift;
    return out;
}

static bool has_cursor(const GpuScanout *s) { return s->cursor->len == CURSOR_BYTES; }

static void cursor_tell(const GpuScanout *s)
{
    uint32_t pixels[CURSOR_PIXELS];
    unsigned side = has_cursor(s) ? GPU_CURSOR_SIDE : 0;

    for (unsigned n = 0; n < side * side; n++)
        pixels[n] = ld32le(s->cursor->data + n * GPU_PIXEL);
    console_define_cursor(s->console, side, side, s->hot_x, s->hot_y, pixels);
}

void gpu_cursor_define(GpuScanout *s, const GpuResource *r, uint32_t hot_x, uint32_t hot_y)
{
    uint32_t line[GPU_CURSOR_SIDE];

    g_byte_array_set_size(s->cursor, r ? CURSOR_BYTES : 0);
    for (unsigned y = 0; r && y < GPU_CURSOR_SIDE; y++) {
        gpu_resource_pixels(r, 0, y, GPU_CURSOR_SIDE, line);
        for (unsigned x = 0; x < GPU_CURSOR_SIDE; x++)
            st32le(s->cursor->data + (y * GPU_CURSOR_SIDE + x) * GPU_PIXEL, divided(line[x]));
    }
    s->hot_x = MIN(hot_x, GPU_CURSOR_SIDE - 1);
    s->hot_y = MIN(hot_y, GPU_CURSOR_SIDE - 1);
    cursor_tell(s);
}

/* The driver says where the picture's corner is, which may be outside of the screen. */
static void cursor_place(const GpuScanout *s)
{
    int x = CLAMP((int32_t)s->cursor_x, -GPU_SIDE_MAX, GPU_SIDE_MAX);
    int y = CLAMP((int32_t)s->cursor_y, -GPU_SIDE_MAX, GPU_SIDE_MAX);
    console_move_cursor(s->console, x + (int)s->hot_x, y + (int)s->hot_y, has_cursor(s));
}

void gpu_cursor_move(GpuScanout *s, uint32_t x, uint32_t y)
{
    s->cursor_x = x;
    s->cursor_y = y;
    cursor_place(s);
}

/* ---- life ---- */

void gpu_scanouts_init(Gpu *g, Console *first)
{
    for (unsigned n = 0; n < GPU_SCANOUTS_MAX; n++) {
        GpuScanout *s = &g->scanout[n];
        s->gpu = g;
        s->cursor = g_byte_array_new();
        s->width = g->xres;
        s->height = g->yres;
        s->connected = !n;
        if (n >= g->max_outputs)
            continue;
        s->console = first && !n ? first : &s->own;
        s->console->ops = &scanout_ops;
        s->console->opaque = s;
        console_resize(s->console, IDLE_WIDTH, IDLE_HEIGHT);
        console_announce(s->console, g->virtio.pci.dev.machine);
    }
}

void gpu_scanouts_exit(Gpu *g)
{
    for (unsigned n = 0; n < GPU_SCANOUTS_MAX; n++) {
        GpuScanout *s = &g->scanout[n];
        if (s->console)
            console_withdraw(s->console, g->virtio.pci.dev.machine);
        g_byte_array_unref(s->cursor);
    }
}

void gpu_scanouts_reset(Gpu *g)
{
    for (unsigned n = 0; n < g->max_outputs; n++) {
        GpuScanout *s = &g->scanout[n];
        gpu_scanout_show(s, 0, NULL);
        gpu_cursor_define(s, NULL, 0, 0);
        gpu_cursor_move(s, 0, 0);
    }
}

static bool picture_valid(const GpuScanout *s)
{
    const GpuResource *r = gpu_resource(s->gpu, s->resource);
    bool there = s < s->gpu->scanout + s->gpu->max_outputs;
    return !s->resource || (there && r && gpu_resource_has(r, &s->rect));
}

static bool cursor_valid(const GpuScanout *s)
{
    return (!s->cursor->len || has_cursor(s)) && s->hot_x < GPU_CURSOR_SIDE && s->hot_y < GPU_CURSOR_SIDE;
}

static bool side_valid(uint32_t side) { return side >= SIDE_FIT_MIN && side <= SIDE_FIT_MAX; }

static bool scanout_valid(const GpuScanout *s)
{
    return picture_valid(s) && cursor_valid(s) && side_valid(s->width) && side_valid(s->height);
}

gboolean gpu_scanouts_loaded(Gpu *g, GError **err)
{
    for (unsigned n = 0; n < GPU_SCANOUTS_MAX; n++) {
        GpuScanout *s = &g->scanout[n];
        if (!scanout_valid(s))
            return error_set(err, "%s: the saved state has a screen %u that cannot be", g->virtio.pci.dev.id, n);
        lines_change_all(s);
        if (n < g->max_outputs) {
            cursor_tell(s);
            cursor_place(s);
        }
    }
    return TRUE;
}

const StateField gpu_scanout_state[] = {
    STATE_BOOL(GpuScanout, connected), STATE_U32(GpuScanout, width), STATE_U32(GpuScanout, height),
    STATE_U32(GpuScanout, resource), STATE_U32(GpuScanout, rect.x), STATE_U32(GpuScanout, rect.y),
    STATE_U32(GpuScanout, rect.width), STATE_U32(GpuScanout, rect.height),
    STATE_BYTE_ARRAY(GpuScanout, cursor, CURSOR_BYTES), STATE_U32(GpuScanout, hot_x), STATE_U32(GpuScanout, hot_y),
    STATE_U32(GpuScanout, cursor_x), STATE_U32(GpuScanout, cursor_y), STATE_END
};
