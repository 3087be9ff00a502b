/*
 * The SDL window (ui/sdl*.c) with SDL's driver that shows nothing: what becomes of SDL's events.  How it looks is for
 * tests/ui/run-sdl.
 */
#include "config.h"

#include <glib.h>

#ifdef CONFIG_SDL2
#include <SDL.h>
#include <glib/gstdio.h>
#include <string.h>

#include "core/machine.h"
#include "hw/display/console.h"
#include "ui/typing.h"
#include "ui/ui.h"

enum { WIDTH = 320, HEIGHT = 200, RANDOM_EVENTS = 5000 };

typedef struct Fixture {
    Machine *m;
    Console console;
    GString *keys; /* "+04 -04 ..." */
    unsigned x, y, buttons;
    int dx, dy, dz;
    unsigned fit_width, fit_height;
    uint32_t window;
} Fixture;

static void update(void *opaque, bool all)
{
    (void)opaque, (void)all;
}

static void fit(void *opaque, unsigned width, unsigned height)
{
    Fixture *f = opaque;
    f->fit_width = width;
    f->fit_height = height;
}

static void key(void *opaque, unsigned usage, bool down)
{
    g_string_append_printf(((Fixture *)opaque)->keys, "%c%02x ", down ? '+' : '-', usage);
}

static void position(void *opaque, unsigned x, unsigned y, int dz, unsigned buttons)
{
    Fixture *f = opaque;
    f->x = x;
    f->y = y;
    f->dz += dz;
    f->buttons = buttons;
}

static void motion(void *opaque, int dx, int dy, int dz, unsigned buttons)
{
    Fixture *f = opaque;
    f->dx += dx;
    f->dy += dy;
    f->dz += dz;
    f->buttons = buttons;
}

static const ConsoleOps console_ops = { .update = update, .fit = fit };
static const InputSink keyboard = { .name = "keyboard", .key = key };
static const InputSink tablet = { .name = "tablet", .position = position };
static const InputSink mouse = { .name = "mouse", .motion = motion };

/* Until all events were taken, and painted. */
static void settle(Fixture *f)
{
    int64_t end = g_get_monotonic_time() + 2 * G_USEC_PER_SEC, quiet = 0;
    while (g_get_monotonic_time() < end && quiet < 3) {
        g_usleep(2000);
        bool busy = g_main_context_iteration(f->m->context, FALSE);
        quiet = busy || SDL_HasEvents(SDL_FIRSTEVENT, SDL_LASTEVENT) ? 0 : quiet + 1;
    }
}

static uint32_t window_id(void)
{
    for (uint32_t id = 1; id < 100; id++)
        if (SDL_GetWindowFromID(id))
            return id;
    return 0;
}

static void set_up(Fixture *f, const char *options)
{
    GError *err = NULL;
    memset(f, 0, sizeof *f);
    f->m = machine_new(1 << 20, &err);
    g_assert_no_error(err);
    f->keys = g_string_new(NULL);
    f->console = (Console){ .ops = &console_ops, .opaque = f };
    console_announce(&f->console, f->m);
    console_resize(&f->console, WIDTH, HEIGHT);
    input_add(f->m, &keyboard, f, true);
    machine_lock(f->m);
    display_open(f->m, options, &err);
    g_assert_no_error(err);
    settle(f);
    f->window = window_id();
}

static void tear_down(Fixture *f)
{
    display_close_all(f->m);
    typing_free(f->m);
    input_remove(f->m, f);
    console_withdraw(&f->console, f->m);
    machine_unlock(f->m);
    machine_free(f->m);
    g_string_free(f->keys, TRUE);
}

static void push_key(const Fixture *f, bool down, SDL_Scancode code, SDL_Keycode sym, unsigned modifiers)
{
    SDL_Event e = { .key = { .type = down ? SDL_KEYDOWN : SDL_KEYUP, .windowID = f->window,
                             .state = down ? SDL_PRESSED : SDL_RELEASED,
                             .keysym = { .scancode = code, .sym = sym, .mod = modifiers } } };
    SDL_PushEvent(&e);
}

static void push_window(const Fixture *f, unsigned event, int width, int height)
{
    SDL_Event e = { .window = { .type = SDL_WINDOWEVENT, .windowID = f->window, .event = event, .data1 = width,
                                .data2 = height } };
    SDL_PushEvent(&e);
}

/* ---- tests ---- */

static void test_open(void)
{
    Fixture f;
    GError *err = NULL;
    const char *id;
    int width, height;
    g_autoptr(GString) about = g_string_new(NULL);
    set_up(&f, "sdl,scale=integer");
    g_assert_true(display_nth(f.m, 0, &id, about));
    g_assert_cmpstr(id, ==, "sdl");
    g_assert_cmpstr(about->str, ==, "a window of 320 x 200 (dummy) showing 320 x 200");
    console_resize(&f.console, 400, 300);
    settle(&f);
    g_usleep(200000);
    settle(&f);
    SDL_GetWindowSize(SDL_GetWindowFromID(f.window), &width, &height);
    g_assert_cmpint(width, ==, 400);
    g_assert_cmpint(height, ==, 300);
    g_assert_false(display_open(f.m, "sdl,scale=big", &err));
    g_assert_cmpstr(err->message, ==, "-display sdl scale=: unknown value 'big'; known: smooth, integer, off");
    g_clear_error(&err);
    g_assert_false(display_open(f.m, "sdl,head=1", &err));
    g_assert_cmpstr(err->message, ==, "-display sdl,head=1: this machine has not so many screens");
    g_clear_error(&err);
    g_assert_true(display_open(f.m, "sdl", &err));
    g_assert_true(display_close(f.m, "sdl", &err));
    g_assert_true(display_close(f.m, "sdl.1", &err));
    g_assert_false(display_nth(f.m, 0, &id, about));
    tear_down(&f);
}

/* Every usage is a scancode of SDL's. */
static void test_keys(void)
{
    Fixture f;
    g_autoptr(GString) expected = g_string_new(NULL);
    set_up(&f, "sdl");
    for (unsigned code = 4; code <= 0xe7; code++) {
        push_key(&f, true, code, SDL_SCANCODE_TO_KEYCODE(code), 0);
        push_key(&f, false, code, SDL_SCANCODE_TO_KEYCODE(code), 0);
        g_string_append_printf(expected, "+%02x -%02x ", code, code);
    }
    settle(&f);
    g_assert_cmpstr(f.keys->str, ==, expected->str);
    tear_down(&f);
}

/* Ctrl and Alt, once they were for the window, are let go in the guest, and H is no news for it. */
static void test_own_keys(void)
{
    Fixture f;
    set_up(&f, "sdl");
    push_key(&f, true, SDL_SCANCODE_LCTRL, SDLK_LCTRL, 0);
    push_key(&f, true, SDL_SCANCODE_LALT, SDLK_LALT, KMOD_LCTRL);
    push_key(&f, true, SDL_SCANCODE_H, SDLK_h, KMOD_LCTRL | KMOD_LALT);
    push_key(&f, false, SDL_SCANCODE_H, SDLK_h, KMOD_LCTRL | KMOD_LALT);
    push_key(&f, false, SDL_SCANCODE_LALT, SDLK_LALT, KMOD_LCTRL);
    push_key(&f, false, SDL_SCANCODE_LCTRL, SDLK_LCTRL, 0);
    settle(&f);
    g_assert_cmpstr(f.keys->str, ==, "+e0 +e2 -e0 -e2 ");
    g_string_truncate(f.keys, 0);
    push_key(&f, true, SDL_SCANCODE_A, SDLK_a, 0);
    push_window(&f, SDL_WINDOWEVENT_FOCUS_LOST, 0, 0);
    push_key(&f, false, SDL_SCANCODE_A, SDLK_a, 0);
    settle(&f);
    g_assert_cmpstr(f.keys->str, ==, "+04 -04 ");
    tear_down(&f);
}

static void push_motion(const Fixture *f, int x, int y, int dx, int dy)
{
    SDL_Event e = { .motion = { .type = SDL_MOUSEMOTION, .windowID = f->window, .x = x, .y = y, .xrel = dx,
                                .yrel = dy } };
    SDL_PushEvent(&e);
}

static void push_button(const Fixture *f, bool down, unsigned button)
{
    SDL_Event e = { .button = { .type = down ? SDL_MOUSEBUTTONDOWN : SDL_MOUSEBUTTONUP, .windowID = f->window,
                                .button = button, .state = down ? SDL_PRESSED : SDL_RELEASED, .x = 10, .y = 10 } };
    SDL_PushEvent(&e);
}

static void test_positions(void)
{
    Fixture f;
    set_up(&f, "sdl");
    input_remove(f.m, &f);
    input_add(f.m, &tablet, &f, true);
    for (int x = 0; x < WIDTH; x += 29) {
        push_motion(&f, x, HEIGHT - 1 - x / 2, 0, 0);
        settle(&f);
        g_assert_cmpuint(f.x, ==, x * (INPUT_SCALE - 1) / (WIDTH - 1));
        g_assert_cmpuint(f.y, ==, (HEIGHT - 1 - x / 2) * (INPUT_SCALE - 1) / (HEIGHT - 1));
    }
    push_motion(&f, -50, 5000, 0, 0);
    push_button(&f, true, SDL_BUTTON_RIGHT);
    push_motion(&f, 20, 20, 0, 0);
    SDL_Event wheel = { .wheel = { .type = SDL_MOUSEWHEEL, .windowID = f.window, .y = -3 } };
    SDL_PushEvent(&wheel);
    settle(&f);
    g_assert_cmpuint(f.buttons, ==, INPUT_RIGHT);
    g_assert_cmpuint(f.x, ==, 20 * (INPUT_SCALE - 1) / (WIDTH - 1));
    g_assert_cmpint(f.dz, ==, 3);
    tear_down(&f);
}

/* Movements come after a click, all of them, and end with the keyboard's loss. */
static void test_movements(void)
{
    Fixture f;
    set_up(&f, "sdl");
    input_remove(f.m, &f);
    input_add(f.m, &mouse, &f, true);
    push_motion(&f, 5, 5, 5, 5);
    settle(&f);
    g_assert_cmpint(f.dx, ==, 0);
    push_button(&f, true, SDL_BUTTON_LEFT);
    push_button(&f, false, SDL_BUTTON_LEFT);
    settle(&f);
    g_assert_cmpuint(f.buttons, ==, 0);
    for (unsigned n = 0; n < 100; n++)
        push_motion(&f, 5, 5, 3, -2);
    push_button(&f, true, SDL_BUTTON_LEFT);
    settle(&f);
    g_assert_cmpint(f.dx, ==, 300);
    g_assert_cmpint(f.dy, ==, -200);
    g_assert_cmpuint(f.buttons, ==, INPUT_LEFT);
    push_window(&f, SDL_WINDOWEVENT_FOCUS_LOST, 0, 0);
    push_motion(&f, 5, 5, 3, -2);
    settle(&f);
    g_assert_cmpint(f.dx, ==, 300);
    g_assert_cmpuint(f.buttons, ==, 0);
    tear_down(&f);
}

/* The host's pointer is seen where the guest has one apart from its screen, and not where it hides it. */
static void test_cursor(void)
{
    Fixture f;
    uint32_t pixels[CURSOR_MAX * CURSOR_MAX];
    set_up(&f, "sdl");
    memset(pixels, 0x80, sizeof pixels);
    input_remove(f.m, &f);
    input_add(f.m, &tablet, &f, true);
    push_window(&f, SDL_WINDOWEVENT_FOCUS_GAINED, 0, 0);
    settle(&f);
    g_assert_cmpint(SDL_ShowCursor(SDL_QUERY), ==, SDL_DISABLE);
    console_define_cursor(&f.console, 24, 16, 30, -2, pixels);
    console_move_cursor(&f.console, 5, 5, true);
    g_usleep(200000);
    settle(&f);
    g_assert_cmpint(SDL_ShowCursor(SDL_QUERY), ==, SDL_ENABLE);
    console_move_cursor(&f.console, 5, 5, false);
    g_usleep(200000);
    settle(&f);
    g_assert_cmpint(SDL_ShowCursor(SDL_QUERY), ==, SDL_DISABLE);
    console_define_cursor(&f.console, CURSOR_MAX, CURSOR_MAX, 0, 0, pixels);
    console_move_cursor(&f.console, -500, 90000, true);
    input_remove(f.m, &f);
    input_add(f.m, &mouse, &f, true); /* drawn into the picture then */
    push_button(&f, true, SDL_BUTTON_LEFT);
    g_usleep(200000);
    settle(&f);
    console_define_cursor(&f.console, 0, 0, 0, 0, NULL);
    g_usleep(200000);
    settle(&f);
    g_assert_true(SDL_GetCursor() == SDL_GetDefaultCursor());
    tear_down(&f);
}

/* The user's size goes to the guest's monitor, a moment later; the window's own sizes do not. */
static void test_fit(void)
{
    Fixture f;
    set_up(&f, "sdl");
    SDL_Window *window = SDL_GetWindowFromID(f.window);
    g_usleep(400000);
    settle(&f);
    g_assert_cmpuint(f.fit_width, ==, 0);
    SDL_SetWindowSize(window, 500, 444);
    settle(&f);
    g_usleep(400000);
    settle(&f);
    g_assert_cmpuint(f.fit_width, ==, 500);
    g_assert_cmpuint(f.fit_height, ==, 444);
    tear_down(&f);
}

static void random_event(GRand *r, const Fixture *f, SDL_Event *e)
{
    static const uint32_t types[] = { SDL_KEYDOWN, SDL_KEYUP, SDL_MOUSEMOTION, SDL_MOUSEBUTTONDOWN, SDL_MOUSEBUTTONUP,
                                      SDL_MOUSEWHEEL, SDL_WINDOWEVENT, SDL_RENDER_TARGETS_RESET, SDL_QUIT };
    for (unsigned n = 0; n < sizeof *e; n++)
        ((uint8_t *)e)[n] = g_rand_int(r);
    e->type = types[g_rand_int_range(r, 0, G_N_ELEMENTS(types))];
    if (e->type != SDL_RENDER_TARGETS_RESET && g_rand_int_range(r, 0, 10))
        e->window.windowID = f->window;
    if (e->type == SDL_WINDOWEVENT)
        e->window.event = g_rand_int_range(r, 0, 20);
    if ((e->type == SDL_KEYDOWN || e->type == SDL_KEYUP) && g_rand_boolean(r)) {
        e->key.keysym.scancode = g_rand_int_range(r, 0, 0x120);
        e->key.keysym.sym = g_rand_boolean(r) ? g_rand_int_range(r, ' ', 0x7f) : SDLK_f;
        e->key.repeat = 0;
    }
}

static void test_random(void)
{
    Fixture f;
    SDL_Event e;
    GRand *r = g_rand_new_with_seed(g_test_rand_int());
    g_autofree char *folder = g_dir_make_tmp("myna-sdl-XXXXXX", NULL), *before = g_get_current_dir();
    g_assert_cmpint(g_chdir(folder), ==, 0); /* for the screenshots */
    set_up(&f, "sdl,window-close=off");
    for (unsigned n = 0; n < RANDOM_EVENTS; n++) {
        random_event(r, &f, &e);
        SDL_PushEvent(&e);
        if (n % 100 == 99)
            settle(&f);
    }
    tear_down(&f);
    g_rand_free(r);
    GDir *d = g_dir_open(".", 0, NULL);
    for (const char *name; (name = g_dir_read_name(d));)
        g_unlink(name);
    g_dir_close(d);
    g_assert_cmpint(g_chdir(before), ==, 0);
    g_rmdir(folder);
}
#endif

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#ifdef CONFIG_SDL2
    g_setenv("SDL_VIDEODRIVER", "dummy", TRUE);
    g_test_add_func("/sdl/open", test_open);
    g_test_add_func("/sdl/keys", test_keys);
    g_test_add_func("/sdl/own-keys", test_own_keys);
    g_test_add_func("/sdl/positions", test_positions);
    g_test_add_func("/sdl/movements", test_movements);
    g_test_add_func("/sdl/cursor", test_cursor);
    g_test_add_func("/sdl/fit", test_fit);
    g_test_add_func("/sdl/random", test_random);
#endif
    return g_test_run();
}
