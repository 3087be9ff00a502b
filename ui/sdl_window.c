/* The window's size and picture (sdl_window.h). */
#include "config.h"

#ifdef CONFIG_SDL2
#include <math.h>
#include <string.h>

#include "core/error.h"
#include "ui/sdl_window.h"

#define FIT_AFTER_NS INT64_C(300000000)
#define BANNER_NS INT64_C(4000000000)
enum { START_WIDTH = 720, START_HEIGHT = 400, ZOOM_MAX = 8, SMALLEST = 64 };

/* ---- title ---- */

void sdl_title(SdlWindow *w)
{
    static const char *const states[] = { [RUN_PAUSED] = " [paused]", [RUN_SHUTDOWN] = " [shut down]" };
    const char *name = machine_find(w->machine, "name"), *state = NULL;
    if (w->machine->run_state < G_N_ELEMENTS(states))
        state = states[w->machine->run_state];
    const char *keys = w->grabbed ? "Ctrl-Alt-G releases the pointer" : "Ctrl-Alt-H: keys";
    g_autofree char *title = g_strdup_printf("%s%sMyna%s - %s", name ? name : "", name ? " - " : "",
                                             state ? state : "", keys);
    SDL_SetWindowTitle(w->window, title);
}

/* ---- where the picture is ---- */

/* Dots of the host's screen for each point of the window: 2 on some laptops' screens. */
static double density(const SdlWindow *w)
{
    int points, points_high, dots, dots_high;
    SDL_GetWindowSize(w->window, &points, &points_high);
    SDL_GetRendererOutputSize(w->renderer, &dots, &dots_high);
    return points > 0 && dots > 0 ? (double)dots / points : 1;
}

static double picture_factor(const SdlWindow *w, int width, int height)
{
    double fit = MIN((double)width / w->width, (double)height / w->height);
    if (w->scale == SDL_OFF)
        return w->zoom * density(w);
    return w->scale == SDL_INTEGER && fit >= 1 ? floor(fit) : fit;
}

/* In dots of the host's screen, in the middle of the window. */
static SDL_Rect picture_place(const SdlWindow *w)
{
    int width, height;
    SDL_GetRendererOutputSize(w->renderer, &width, &height);
    double factor = picture_factor(w, width, height);
    SDL_Rect r = { .w = MAX(lround(w->width * factor), 1), .h = MAX(lround(w->height * factor), 1) };
    r.x = (width - r.w) / 2;
    r.y = (height - r.h) / 2;
    return r;
}

bool sdl_dot_at(SdlWindow *w, int x, int y, int *dot_x, int *dot_y)
{
    if (!w->width)
        return false;
    SDL_Rect r = picture_place(w);
    double dense = density(w);
    /* The middle of the point, so that rounding goes the same way at every factor. */
    double left = floor(((x + 0.5) * dense - r.x) * w->width / r.w);
    double top = floor(((y + 0.5) * dense - r.y) * w->height / r.h);
    *dot_x = CLAMP(left, 0, w->width - 1.0);
    *dot_y = CLAMP(top, 0, w->height - 1.0);
    return true;
}

/* ---- painting ---- */

static void picture_paint(SdlWindow *w)
{
    SDL_Rect r = picture_place(w);
    bool whole = r.w % (int)w->width == 0 && r.h % (int)w->height == 0; /* every dot is as large as the next: sharp */
    SDL_SetTextureScaleMode(w->picture, whole || w->scale == SDL_OFF ? SDL_ScaleModeNearest : SDL_ScaleModeLinear);
    SDL_RenderCopy(w->renderer, w->picture, NULL, &r);
    if (w->sprite && w->relative && w->cursor_on) {
        SDL_Rect at = { r.x + w->sprite_at.x * r.w / (int)w->width, r.y + w->sprite_at.y * r.h / (int)w->height,
                        w->sprite_at.w * r.w / (int)w->width, w->sprite_at.h * r.h / (int)w->height };
        SDL_RenderSetClipRect(w->renderer, &r);
        SDL_RenderCopy(w->renderer, w->sprite, NULL, &at);
        SDL_RenderSetClipRect(w->renderer, NULL);
    }
}

static void banner_paint(SdlWindow *w)
{
    int width, height;
    SDL_GetRendererOutputSize(w->renderer, &width, &height);
    double shrink = MIN(1, MIN((double)width / w->banner_width, (double)height / w->banner_height));
    SDL_Rect at = { .w = w->banner_width * shrink, .h = w->banner_height * shrink };
    at.x = (width - at.w) / 2;
    at.y = w->banner_is_help ? (height - at.h) / 2 : height - at.h;
    SDL_RenderCopy(w->renderer, w->banner, NULL, &at);
}

/* Without the lock: the textures hold all that is needed. */
static gboolean paint(gpointer opaque)
{
    SdlWindow *w = opaque;
    g_clear_pointer(&w->painter, g_source_unref);
    SDL_SetRenderDrawColor(w->renderer, 0, 0, 0, 255);
    SDL_RenderClear(w->renderer);
    if (w->picture)
        picture_paint(w);
    if (w->banner)
        banner_paint(w);
    SDL_RenderPresent(w->renderer);
    return G_SOURCE_REMOVE;
}

void sdl_repaint(SdlWindow *w)
{
    if (w->painter)
        return;
    w->painter = g_idle_source_new();
    g_source_set_priority(w->painter, G_PRIORITY_DEFAULT); /* busy timers must not keep it from its turn */
    g_source_set_callback(w->painter, paint, w, NULL);
    g_source_attach(w->painter, w->machine->context);
}

/* ---- the view ---- */

static void view_size(void *opaque, unsigned width, unsigned height)
{
    SdlWindow *w = opaque;
    bool other = width != w->width || height != w->height;
    if (w->picture)
        SDL_DestroyTexture(w->picture);
    w->picture = SDL_CreateTexture(w->renderer, SDL_PIXELFORMAT_RGB888, SDL_TEXTUREACCESS_STREAMING, width, height);
    w->width = width;
    w->height = height;
    if (other && !w->sized_by_user)
        sdl_follow_guest(w);
}

static void view_lines(void *opaque, unsigned y, unsigned count)
{
    SdlWindow *w = opaque;
    const Surface *s = &view_console(w->view)->surface;
    SDL_Rect lines = { 0, y, s->width, count };
    if (w->picture)
        SDL_UpdateTexture(w->picture, &lines, s->pixels + (gsize)y * s->width, s->width * sizeof *s->pixels);
}

static void view_cursor(void *opaque, const ConsoleCursor *c) { sdl_cursor_changed(opaque, c); }
static void view_done(void *opaque) { sdl_repaint(opaque); }

const ViewOps sdl_view_ops = { .size = view_size, .lines = view_lines, .cursor = view_cursor, .done = view_done };

/* ---- size ---- */

/* A window that grew beyond an edge moves back. */
static void move_into(SDL_Window *window, const SDL_Rect *room, int width, int height)
{
    int x, y;
    SDL_GetWindowPosition(window, &x, &y);
    int left = CLAMP(x, room->x, MAX(room->x + room->w - width, room->x));
    int top = CLAMP(y, room->y, MAX(room->y + room->h - height, room->y));
    if (left != x || top != y)
        SDL_SetWindowPosition(window, left, top);
}

/* width x height, or less of the same shape where the host's screen has less room. */
static void set_size(SdlWindow *w, double width, double height)
{
    SDL_Rect room;
    int display = SDL_GetWindowDisplayIndex(w->window);
    bool bounded = display >= 0 && !SDL_GetDisplayUsableBounds(display, &room);
    if (bounded) {
        double shrink = MIN(1, MIN(room.w / width, room.h / height));
        width *= shrink;
        height *= shrink;
    }
    w->asked_width = MAX(lround(width), SMALLEST);
    w->asked_height = MAX(lround(height), SMALLEST);
    SDL_SetWindowSize(w->window, w->asked_width, w->asked_height);
    if (bounded)
        move_into(w->window, &room, w->asked_width, w->asked_height);
}

void sdl_follow_guest(SdlWindow *w)
{
    w->sized_by_user = false;
    if (w->width && !w->full_screen && !(SDL_GetWindowFlags(w->window) & SDL_WINDOW_MAXIMIZED))
        set_size(w, w->width * w->zoom, w->height * w->zoom);
    sdl_repaint(w);
}

void sdl_zoom(SdlWindow *w, double zoom)
{
    w->zoom = CLAMP(zoom, 0.5, ZOOM_MAX);
    if (SDL_GetWindowFlags(w->window) & SDL_WINDOW_MAXIMIZED)
        SDL_RestoreWindow(w->window);
    timer_cancel(w->fitting);
    sdl_follow_guest(w);
}

/* The guest's monitor gets the window's size: a driver that asks for it makes its picture as large. */
static void fit(void *opaque)
{
    SdlWindow *w = opaque;
    Console *c = view_console(w->view);
    int width, height;
    SDL_GetWindowSize(w->window, &width, &height);
    if (c)
        console_fit(c, lround(width / w->zoom), lround(height / w->zoom));
}

void sdl_resized(SdlWindow *w, int width, int height)
{
    sdl_repaint(w);
    if (width == w->asked_width && height == w->asked_height)
        return;
    w->asked_width = width;
    w->asked_height = height;
    w->sized_by_user = true;
    timer_arm(w->fitting, clock_now(w->machine->clocks, MYNA_CLOCK_REALTIME) + FIT_AFTER_NS);
}

void sdl_set_full_screen(SdlWindow *w, bool on)
{
    if (SDL_SetWindowFullscreen(w->window, on ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0))
        return;
    w->full_screen = on;
    sdl_repaint(w);
}

/* ---- text over the picture ---- */

static void banner_drop(void *opaque)
{
    SdlWindow *w = opaque;
    if (w->banner)
        SDL_DestroyTexture(w->banner);
    w->banner = NULL;
    timer_cancel(w->banner_end);
    sdl_repaint(w);
}

void sdl_banner(SdlWindow *w, const char *text, bool help)
{
    banner_drop(w);
    if (!text)
        return;
    Banner b = banner_make(text, 2 * MAX(lround(density(w)), 1));
    w->banner = SDL_CreateTexture(w->renderer, SDL_PIXELFORMAT_ARGB8888, SDL_TEXTUREACCESS_STATIC, b.width, b.height);
    if (w->banner) {
        SDL_UpdateTexture(w->banner, NULL, b.pixels, b.width * sizeof *b.pixels);
        SDL_SetTextureBlendMode(w->banner, SDL_BLENDMODE_BLEND);
        SDL_SetTextureScaleMode(w->banner, SDL_ScaleModeLinear);
    }
    w->banner_width = b.width;
    w->banner_height = b.height;
    w->banner_is_help = help;
    banner_clear(&b);
    if (!help)
        timer_arm(w->banner_end, clock_now(w->machine->clocks, MYNA_CLOCK_REALTIME) + BANNER_NS);
}

/* ---- the window ---- */

/* Mesa draws OpenGL by the processor where there is no graphics card; SDL does so for less. */
static bool drawn_by_processor(SDL_Renderer *r)
{
    typedef const unsigned char *(*GetString)(unsigned name);
    enum { GL_RENDERER_NAME = 0x1f01 };
    SDL_RendererInfo info;
    if (SDL_GetRendererInfo(r, &info) || strncmp(info.name, "opengl", 6))
        return false;
    GetString get = (GetString)SDL_GL_GetProcAddress("glGetString");
    const char *name = get ? (const char *)get(GL_RENDERER_NAME) : NULL;
    return name && (strstr(name, "llvmpipe") || strstr(name, "softpipe") || strstr(name, "swrast"));
}

static SDL_Renderer *renderer_make(SDL_Window *window)
{
    SDL_Renderer *r = SDL_CreateRenderer(window, -1, SDL_RENDERER_ACCELERATED);
    if (r && !drawn_by_processor(r))
        return r;
    if (r)
        SDL_DestroyRenderer(r);
    SDL_SetHint(SDL_HINT_FRAMEBUFFER_ACCELERATION, "0"); /* else SDL shows by OpenGL what it has drawn by itself */
    r = SDL_CreateRenderer(window, -1, SDL_RENDERER_SOFTWARE);
    return r ? r : SDL_CreateRenderer(window, -1, SDL_RENDERER_ACCELERATED); /* Wayland: SDL can show by OpenGL alone */
}

gboolean sdl_window_open(SdlWindow *w, GError **err)
{
    uint32_t flags = SDL_WINDOW_RESIZABLE | SDL_WINDOW_ALLOW_HIGHDPI;
    w->asked_width = START_WIDTH;
    w->asked_height = START_HEIGHT;
    w->window = SDL_CreateWindow("Myna", SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, START_WIDTH, START_HEIGHT,
                                 flags | (w->full_screen ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0));
    w->renderer = w->window ? renderer_make(w->window) : NULL;
    if (!w->renderer) {
        error_set(err, "-display sdl: cannot make a window: %s", SDL_GetError());
        if (w->window)
            SDL_DestroyWindow(w->window);
        return FALSE;
    }
    SDL_SetWindowMinimumSize(w->window, SMALLEST, SMALLEST);
    w->fitting = timer_new(w->machine->clocks, MYNA_CLOCK_REALTIME, fit, w);
    w->banner_end = timer_new(w->machine->clocks, MYNA_CLOCK_REALTIME, banner_drop, w);
    sdl_title(w);
    return TRUE;
}

void sdl_window_close(SdlWindow *w)
{
    view_free(w->view);
    timer_free(w->fitting);
    timer_free(w->banner_end);
    sdl_pointer_free(w);
    if (w->painter) { /* after all that asks for painting */
        g_source_destroy(w->painter);
        g_source_unref(w->painter);
    }
    if (w->picture)
        SDL_DestroyTexture(w->picture);
    if (w->banner)
        SDL_DestroyTexture(w->banner);
    SDL_DestroyRenderer(w->renderer);
    SDL_DestroyWindow(w->window);
}
#endif
