/* The keyboard in the window: the guest's keys, and with Ctrl-Alt the window's own (sdl_window.h). */
#include "config.h"

#ifdef CONFIG_SDL2
#include <string.h>

#include "ui/keymap.h"
#include "ui/picture.h"
#include "ui/sdl_window.h"
#include "ui/typing.h"

/* ---- the window's own ---- */

static void do_help(SdlWindow *w);
static void do_grab(SdlWindow *w) { sdl_grab(w, !w->grabbed); }
static void do_full_screen(SdlWindow *w) { sdl_set_full_screen(w, !w->full_screen); }
static double zoom_step(const SdlWindow *w) { return w->scale == SDL_SMOOTH ? 0.5 : 1; }
static void do_larger(SdlWindow *w) { sdl_zoom(w, w->zoom + zoom_step(w)); }
static void do_smaller(SdlWindow *w) { sdl_zoom(w, MAX(w->zoom - zoom_step(w), zoom_step(w))); }
static void do_original(SdlWindow *w) { sdl_zoom(w, 1); }

static void do_paste(SdlWindow *w)
{
    g_autoptr(GError) err = NULL;
    unsigned left_out = 0;
    char *text = SDL_GetClipboardText();
    if (!text || !*text)
        sdl_banner(w, "The clipboard has no text", false);
    else if (!typing_text(w->machine, text, &left_out, &err))
        sdl_banner(w, err->message, false);
    else if (left_out) {
        g_autofree char *said = g_strdup_printf("%u characters are not on the guest's keyboard (-k %s)", left_out,
                                                layout_name(layout_of(w->machine)));
        sdl_banner(w, said, false);
    }
    SDL_free(text);
}

static void do_screenshot(SdlWindow *w)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    g_autofree char *name = g_date_time_format(now, "myna-%Y%m%d-%H%M%S.png");
    Console *c = view_console(w->view);
    if (!c)
        return;
    bool ok = picture_write(c, name, PICTURE_PNG, &err);
    g_autofree char *said = ok ? g_strdup_printf("Saved %s", name) : g_strdup(err->message);
    sdl_banner(w, said, false);
}

static void do_stop_typing(SdlWindow *w) { typing_stop(w->machine); }

typedef struct OwnKey {
    SDL_Keycode letter, other;  /* what it says, by the host's layout */
    SDL_Scancode place;         /* where a digit or sign is on most; SDL_SCANCODE_UNKNOWN: only the letter counts */
    const char *help;
    void (*run)(SdlWindow *w);
} OwnKey;

static const OwnKey own_keys[] = {
    { SDLK_g, 0, SDL_SCANCODE_UNKNOWN, "G    grab keyboard and pointer, or release them", do_grab },
    { SDLK_f, 0, SDL_SCANCODE_UNKNOWN, "F    full screen, and back", do_full_screen },
    { SDLK_v, 0, SDL_SCANCODE_UNKNOWN, "V    type the clipboard's text into the guest", do_paste },
    { SDLK_x, 0, SDL_SCANCODE_UNKNOWN, "X    stop typing", do_stop_typing },
    { SDLK_s, 0, SDL_SCANCODE_UNKNOWN, "S    screenshot, a PNG in the current folder", do_screenshot },
    { SDLK_PLUS, SDLK_KP_PLUS, SDL_SCANCODE_EQUALS, "+ -  larger, smaller", do_larger },
    { SDLK_MINUS, SDLK_KP_MINUS, SDL_SCANCODE_MINUS, NULL, do_smaller },
    { SDLK_0, SDLK_KP_0, SDL_SCANCODE_0, "0    the guest's own size", do_original },
    { SDLK_h, 0, SDL_SCANCODE_UNKNOWN, "H    this list", do_help },
};

static void do_help(SdlWindow *w)
{
    if (w->banner && w->banner_is_help) {
        sdl_banner(w, NULL, false);
        return;
    }
    g_autoptr(GString) text = g_string_new("Keys of this window, with Ctrl-Alt:\n\n");
    for (unsigned n = 0; n < G_N_ELEMENTS(own_keys); n++)
        if (own_keys[n].help)
            g_string_append_printf(text, "  %s\n", own_keys[n].help);
    g_string_append(text, "\nAll others are the guest's.");
    sdl_banner(w, text->str, true);
}

static const OwnKey *own_key_of(const SDL_Keysym *k)
{
    if (!(k->mod & KMOD_CTRL) || !(k->mod & KMOD_LALT))
        return NULL;
    for (unsigned n = 0; n < G_N_ELEMENTS(own_keys); n++) {
        const OwnKey *o = &own_keys[n];
        if (k->sym == o->letter || (o->other && k->sym == o->other) ||
            (o->place != SDL_SCANCODE_UNKNOWN && k->scancode == o->place))
            return o;
    }
    return NULL;
}

/* ---- the guest's ---- */

void sdl_release_keys(SdlWindow *w)
{
    for (unsigned n = 0; n < SDL_NUM_SCANCODES; n++)
        if (w->held[n])
            input_key(w->machine, key_of_sdl(n), false);
    memset(w->held, 0, sizeof w->held);
}

static void key_down(SdlWindow *w, const SDL_Keysym *k)
{
    const OwnKey *own = own_key_of(k);
    if (own) {
        sdl_release_keys(w); /* Ctrl and Alt were for the window after all */
        w->own[k->scancode] = true;
        own->run(w);
    } else if (key_of_sdl(k->scancode)) {
        w->held[k->scancode] = true;
        input_key(w->machine, key_of_sdl(k->scancode), true);
    }
}

static void key_up(SdlWindow *w, SDL_Scancode code)
{
    if (w->held[code])
        input_key(w->machine, key_of_sdl(code), false);
    w->held[code] = w->own[code] = false;
}

/* Repetition is the guest's keyboard's own matter. */
void sdl_key_event(SdlWindow *w, const SDL_KeyboardEvent *e)
{
    SDL_Scancode code = e->keysym.scancode;
    if (code < 0 || code >= SDL_NUM_SCANCODES)
        return;
    if (e->type == SDL_KEYUP)
        key_up(w, code);
    else if (!e->repeat && !w->own[code])
        key_down(w, &e->keysym);
    view_hurry(w->view, false);
}
#endif
