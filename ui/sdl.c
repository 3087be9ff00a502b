/*
 * The window, by SDL 2: `-display sdl` (ui.h), options and events.
 *
 * SDL's events come through the connection to the X server, which the main loop watches, or, on other systems, by
 * looking a hundred times a second while a window has the keyboard.  What SDL read meanwhile by itself is found by a
 * tick.
 */
#include "config.h"

#ifdef CONFIG_SDL2
#include <string.h>

#include "core/error.h"
#include "core/options.h"
#include "ui/sdl_window.h"
#include "ui/ui.h"

#include <SDL_syswm.h>

enum { EVENTS_AT_ONCE = 512, MOVEMENT_MAX = 1 << 20 };
#define TICK_NS INT64_C(100000000)     /* where the connection is watched, or no window has the keyboard */
#define TICK_BLIND_NS INT64_C(10000000)

struct SdlHub {
    Machine *machine;
    GPtrArray *windows; /* SdlWindow * */
    GSource *source;    /* of the connection; NULL: there is none to watch */
    Timer *tick;
};

/* ---- events ---- */

static SdlWindow *window_of(const SdlHub *hub, uint32_t id)
{
    for (unsigned n = 0; n < hub->windows->len; n++) {
        SdlWindow *w = g_ptr_array_index(hub->windows, n);
        if (SDL_GetWindowID(w->window) == id)
            return w;
    }
    return NULL;
}

static void focus_event(SdlWindow *w, bool focused)
{
    w->focused = focused;
    if (!focused) {
        sdl_release_keys(w);
        input_buttons(w->machine, 0);
        sdl_grab(w, false);
    }
    view_hurry(w->view, false);
}

static void close_event(SdlWindow *w)
{
    if (w->close == SDL_CLOSE_QUITS)
        machine_quit(w->machine, 0);
    else if (w->close == SDL_CLOSE_POWERS_DOWN)
        machine_request_powerdown(w->machine);
}

static void window_event(SdlWindow *w, const SDL_WindowEvent *e)
{
    switch (e->event) {
    case SDL_WINDOWEVENT_EXPOSED: sdl_repaint(w); break;
    case SDL_WINDOWEVENT_SIZE_CHANGED: sdl_resized(w, e->data1, e->data2); break;
    case SDL_WINDOWEVENT_FOCUS_GAINED: focus_event(w, true); break;
    case SDL_WINDOWEVENT_FOCUS_LOST: focus_event(w, false); break;
    case SDL_WINDOWEVENT_LEAVE: input_forget_position(w->machine); break;
    case SDL_WINDOWEVENT_HIDDEN: case SDL_WINDOWEVENT_MINIMIZED: view_show(w->view, false); break;
    case SDL_WINDOWEVENT_SHOWN: case SDL_WINDOWEVENT_RESTORED: case SDL_WINDOWEVENT_MAXIMIZED:
        view_show(w->view, true);
        sdl_repaint(w);
        break;
    case SDL_WINDOWEVENT_CLOSE: close_event(w); break;
    default: break;
    }
}

/* Pictures on the graphics card may be lost. */
static void renew_all(SdlHub *hub)
{
    for (unsigned n = 0; n < hub->windows->len; n++)
        view_hurry(((SdlWindow *)g_ptr_array_index(hub->windows, n))->view, true);
}

/* All these events' windows are told at the same place of SDL_Event. */
static void event_take(SdlHub *hub, const SDL_Event *e)
{
    SdlWindow *w = window_of(hub, e->window.windowID);
    if (e->type == SDL_RENDER_TARGETS_RESET || e->type == SDL_RENDER_DEVICE_RESET)
        renew_all(hub);
    else if (!w)
        return;
    else if (e->type == SDL_WINDOWEVENT)
        window_event(w, &e->window);
    else if (e->type == SDL_KEYDOWN || e->type == SDL_KEYUP)
        sdl_key_event(w, &e->key);
    else if (e->type == SDL_MOUSEMOTION || e->type == SDL_MOUSEBUTTONDOWN || e->type == SDL_MOUSEBUTTONUP ||
             e->type == SDL_MOUSEWHEEL)
        sdl_pointer_event(w, e);
}

static int add_bounded(int a, int b) { return CLAMP((int64_t)a + b, -MOVEMENT_MAX, MOVEMENT_MAX); }

/* Movements in a row become one: the last place, and the way of all. */
static bool merge(SDL_Event *into, const SDL_Event *e)
{
    if (into->type != SDL_MOUSEMOTION || e->type != SDL_MOUSEMOTION || into->motion.windowID != e->motion.windowID)
        return false;
    int dx = add_bounded(into->motion.xrel, e->motion.xrel), dy = add_bounded(into->motion.yrel, e->motion.yrel);
    *into = *e;
    into->motion.xrel = dx;
    into->motion.yrel = dy;
    return true;
}

static void events_take(SdlHub *hub)
{
    SDL_Event last = { .type = SDL_FIRSTEVENT }, e;
    for (unsigned n = 0; n < EVENTS_AT_ONCE && SDL_PollEvent(&e); n++) {
        if (merge(&last, &e))
            continue;
        event_take(hub, &last);
        last = e;
    }
    event_take(hub, &last);
}

static bool any_focused(const SdlHub *hub)
{
    for (unsigned n = 0; n < hub->windows->len; n++)
        if (((const SdlWindow *)g_ptr_array_index(hub->windows, n))->focused)
            return true;
    return false;
}

static void tick_arm(SdlHub *hub)
{
    bool often = !hub->source && any_focused(hub);
    timer_arm(hub->tick, clock_now(hub->machine->clocks, MYNA_CLOCK_REALTIME) + (often ? TICK_BLIND_NS : TICK_NS));
}

static void tick(void *opaque)
{
    SdlHub *hub = opaque;
    events_take(hub);
    for (unsigned n = 0; n < hub->windows->len; n++)
        sdl_pointer_settle(g_ptr_array_index(hub->windows, n)); /* the guest may have begun to use another */
    tick_arm(hub);
}

/* ---- the connection ---- */

typedef struct SdlSource {
    GSource base;
    SdlHub *hub;
    gpointer tag;
} SdlSource;

static gboolean source_check(GSource *s)
{
    SdlSource *source = (SdlSource *)s;
    return (g_source_query_unix_fd(s, source->tag) & G_IO_IN) != 0;
}

static gboolean source_dispatch(GSource *s, GSourceFunc fn, gpointer data)
{
    SdlHub *hub = ((SdlSource *)s)->hub;
    (void)fn, (void)data;
    machine_lock(hub->machine);
    events_take(hub);
    machine_unlock(hub->machine);
    return G_SOURCE_CONTINUE;
}

/* The connection's number; -1: not known on this system. */
static int connection_fd(SDL_Window *window)
{
#ifdef SDL_VIDEO_DRIVER_X11
    SDL_SysWMinfo info;
    SDL_VERSION(&info.version);
    if (SDL_GetWindowWMInfo(window, &info) && info.subsystem == SDL_SYSWM_X11)
        return ConnectionNumber(info.info.x11.display);
#endif
    (void)window;
    return -1;
}

static void connection_watch(SdlHub *hub, SDL_Window *window)
{
    static GSourceFuncs functions = { .check = source_check, .dispatch = source_dispatch };
    int fd = connection_fd(window);
    if (hub->source || fd < 0)
        return;
    hub->source = g_source_new(&functions, sizeof(SdlSource));
    ((SdlSource *)hub->source)->hub = hub;
    ((SdlSource *)hub->source)->tag = g_source_add_unix_fd(hub->source, fd, G_IO_IN);
    g_source_attach(hub->source, hub->machine->context);
}

/* ---- SDL itself ---- */

static gboolean sdl_start(GError **err)
{
    static const char *const hints[][2] = {
        { SDL_HINT_NO_SIGNAL_HANDLERS, "1" },               /* main.c has them */
        { SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1" },
        { SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0" }, /* this is no game */
        { SDL_HINT_VIDEO_MINIMIZE_ON_FOCUS_LOSS, "0" },
        { SDL_HINT_MOUSE_FOCUS_CLICKTHROUGH, "1" },
        { "SDL_QUIT_ON_LAST_WINDOW_CLOSE", "0" },
        { "SDL_MOUSE_AUTO_CAPTURE", "1" },                  /* a drag may leave the window */
        { "SDL_APP_NAME", "Myna" },
    };
    for (unsigned n = 0; n < G_N_ELEMENTS(hints); n++)
        SDL_SetHint(hints[n][0], hints[n][1]);
    SDL_SetMainReady();
    if (SDL_InitSubSystem(SDL_INIT_VIDEO))
        return error_set(err, "-display sdl: cannot open a window here: %s ($DISPLAY is '%s')", SDL_GetError(),
                         g_getenv("DISPLAY") ? g_getenv("DISPLAY") : "");
    SDL_StopTextInput(); /* an input method would keep dead keys */
    return TRUE;
}

static SdlHub *hub_join(Machine *m, GError **err)
{
    SdlHub *hub = machine_find(m, "sdl");
    if (hub || !sdl_start(err))
        return hub;
    hub = g_new0(SdlHub, 1);
    hub->machine = m;
    hub->windows = g_ptr_array_new();
    hub->tick = timer_new(m->clocks, MYNA_CLOCK_REALTIME, tick, hub);
    tick_arm(hub);
    machine_provide(m, "sdl", hub);
    return hub;
}

/* The last one ends it. */
static void hub_leave(SdlHub *hub)
{
    if (hub->windows->len)
        return;
    if (hub->source) {
        g_source_destroy(hub->source);
        g_source_unref(hub->source);
    }
    timer_free(hub->tick);
    g_ptr_array_unref(hub->windows);
    machine_provide(hub->machine, "sdl", NULL);
    g_free(hub);
    SDL_QuitSubSystem(SDL_INIT_VIDEO);
}

/* ---- -display sdl ---- */

typedef struct SdlOptions {
    char *scale, *close;
    bool full_screen, show_cursor;
    unsigned head;
} SdlOptions;

static const char *const words_scale[] = { "smooth", "integer", "off", NULL };
static const char *const words_close[] = { "on", "powerdown", "off", NULL };

static const OptionField sdl_fields[] = {
    OPTION_CHOICE(SdlOptions, scale, "scale", words_scale),
    OPTION_CHOICE(SdlOptions, close, "window-close", words_close),
    OPTION_FIELD(SdlOptions, full_screen, "full-screen", OPTION_BOOL),
    OPTION_FIELD(SdlOptions, show_cursor, "show-cursor", OPTION_BOOL),
    OPTION_FIELD(SdlOptions, head, "head", OPTION_UNSIGNED),
    OPTION_FIELD_IGNORED("gl"), OPTION_FIELD_IGNORED("grab-mod"), OPTION_FIELD_IGNORED("alt_grab"),
    OPTION_FIELD_IGNORED("ctrl_grab"),
    OPTION_FIELD_END,
};

static unsigned word_index(const char *const *words, const char *word)
{
    unsigned n = 0;
    while (word && words[n] && strcmp(words[n], word))
        n++;
    return n;
}

static void on_event(void *opaque, const MachineEvent *e)
{
    if (e->kind == MACHINE_RUN_STATE)
        sdl_title(opaque);
}

static void sdl_close(void *opaque)
{
    SdlWindow *w = opaque;
    sdl_release_keys(w);
    machine_unlisten(w->machine, &w->listener);
    g_ptr_array_remove(w->hub->windows, w);
    sdl_window_close(w);
    hub_leave(w->hub);
    g_free(w);
}

static SdlWindow *window_make(Machine *m, const SdlOptions *o, GError **err)
{
    SdlHub *hub = hub_join(m, err);
    if (!hub)
        return NULL;
    SdlWindow *w = g_new0(SdlWindow, 1);
    *w = (SdlWindow){ .machine = m, .hub = hub, .scale = word_index(words_scale, o->scale), .zoom = 1,
                      .close = word_index(words_close, o->close), .show_cursor = o->show_cursor,
                      .full_screen = o->full_screen, .listener = { on_event, w } };
    if (!sdl_window_open(w, err)) {
        hub_leave(hub);
        g_free(w);
        return NULL;
    }
    machine_listen(m, &w->listener);
    g_ptr_array_add(hub->windows, w);
    w->view = view_new(m, o->head, &sdl_view_ops, w);
    connection_watch(hub, w->window);
    return w;
}

static void *sdl_open(Machine *m, const char *options, GError **err)
{
    SdlOptions o = { 0 };
    SdlWindow *w = NULL;
    if (!option_fields_parse("-display sdl", options, NULL, sdl_fields, &o, err))
        ;
    else if (!console_nth(m, o.head))
        error_set(err, o.head ? "-display sdl,head=%u: this machine has not so many screens"
                              : "-display sdl: this machine has no screen (-vga std gives it one)", o.head);
    else
        w = window_make(m, &o, err);
    option_fields_clear(sdl_fields, &o);
    return w;
}

static void sdl_describe(void *opaque, GString *out)
{
    SdlWindow *w = opaque;
    int width, height;
    SDL_GetWindowSize(w->window, &width, &height);
    g_string_append_printf(out, "a window of %d x %d (%s) showing %u x %u", width, height, SDL_GetCurrentVideoDriver(),
                           w->width, w->height);
}

const DisplayType sdl_display = {
    .name = "sdl", .help = "a window: scale=smooth|integer|off, full-screen=on, window-close=on|powerdown|off, head=N",
    .open = sdl_open, .close = sdl_close, .describe = sdl_describe,
};
#endif
