/*
 * The pointer over the window (sdl_window.h).
 *
 * A guest that takes positions gets them whenever the pointer is over the window.  One that takes movements gets them
 * while the pointer is grabbed: a click does so, Ctrl-Alt-G lets it go.
 */
#include "config.h"

#ifdef CONFIG_SDL2
#include <string.h>

#include "ui/sdl_window.h"

/* ---- what is shown ---- */

static void show_pointer(SdlWindow *w)
{
    bool over = input_is_absolute(w->machine);
    if (over && w->cursor && w->cursor_on)
        SDL_SetCursor(w->cursor);
    else
        SDL_SetCursor(SDL_GetDefaultCursor());
    /* Without a picture of its own the guest draws its pointer, where the host's would only be in the way. */
    SDL_ShowCursor(!over || (w->cursor_defined ? w->cursor_on : w->show_cursor) ? SDL_ENABLE : SDL_DISABLE);
}

void sdl_pointer_settle(SdlWindow *w)
{
    bool relative = w->grabbed && input_has_pointer(w->machine) && !input_is_absolute(w->machine);
    if (relative != w->relative) {
        SDL_SetRelativeMouseMode(relative ? SDL_TRUE : SDL_FALSE);
        w->relative = relative;
        sdl_repaint(w);
    }
    if (w->focused && !relative)
        show_pointer(w);
}

void sdl_grab(SdlWindow *w, bool on)
{
    if (w->grabbed == on)
        return;
    w->grabbed = on;
#if SDL_VERSION_ATLEAST(2, 0, 16)
    SDL_SetWindowKeyboardGrab(w->window, on ? SDL_TRUE : SDL_FALSE);
#endif
    sdl_pointer_settle(w);
    sdl_title(w);
}

/* ---- the guest's picture of it ---- */

static void cursor_drop(SdlWindow *w)
{
    if (w->cursor) {
        SDL_SetCursor(SDL_GetDefaultCursor());
        SDL_FreeCursor(w->cursor);
    }
    if (w->sprite)
        SDL_DestroyTexture(w->sprite);
    w->cursor = NULL;
    w->sprite = NULL;
}

static void cursor_take(SdlWindow *w, const ConsoleCursor *c)
{
    unsigned pitch = c->width * sizeof *c->pixels;
    int hot_x = CLAMP(c->hot_x, 0, (int)c->width - 1), hot_y = CLAMP(c->hot_y, 0, (int)c->height - 1);
    SDL_Surface *s = SDL_CreateRGBSurfaceWithFormatFrom(c->pixels, c->width, c->height, 32, pitch,
                                                        SDL_PIXELFORMAT_ARGB8888);
    if (!s)
        return;
    w->cursor = SDL_CreateColorCursor(s, hot_x, hot_y);
    w->sprite = SDL_CreateTextureFromSurface(w->renderer, s);
    SDL_FreeSurface(s);
}

void sdl_cursor_changed(SdlWindow *w, const ConsoleCursor *c)
{
    if (c->serial != w->cursor_serial) {
        w->cursor_serial = c->serial;
        cursor_drop(w);
        w->cursor_defined = c->pixels != NULL;
        if (c->pixels)
            cursor_take(w, c);
    }
    w->cursor_on = c->on;
    w->sprite_at = (SDL_Rect){ c->x - c->hot_x, c->y - c->hot_y, c->width, c->height };
    sdl_pointer_settle(w);
}

void sdl_pointer_free(SdlWindow *w)
{
    sdl_grab(w, false);
    cursor_drop(w);
}

/* ---- events ---- */

/* Where it is, for a guest that takes positions. */
static void place(SdlWindow *w, int x, int y)
{
    int dot_x, dot_y;
    if (!w->relative && input_is_absolute(w->machine) && sdl_dot_at(w, x, y, &dot_x, &dot_y))
        input_position(w->machine, dot_x, dot_y, w->width, w->height);
}

static bool guest_has_pointer(const SdlWindow *w) { return w->relative || input_is_absolute(w->machine); }

static void button(SdlWindow *w, const SDL_MouseButtonEvent *e)
{
    static const uint8_t bits[] = { [SDL_BUTTON_LEFT] = INPUT_LEFT, [SDL_BUTTON_MIDDLE] = INPUT_MIDDLE,
                                    [SDL_BUTTON_RIGHT] = INPUT_RIGHT, [SDL_BUTTON_X1] = INPUT_SIDE,
                                    [SDL_BUTTON_X2] = INPUT_EXTRA };
    unsigned bit = e->button < sizeof bits ? bits[e->button] : 0, held = input_buttons_held(w->machine);
    bool down = e->state == SDL_PRESSED;
    if (!guest_has_pointer(w)) {
        if (down && e->button == SDL_BUTTON_LEFT && input_has_pointer(w->machine))
            sdl_grab(w, true); /* and that is all that this click does */
        return;
    }
    place(w, e->x, e->y);
    input_buttons(w->machine, down ? held | bit : held & ~bit);
}

void sdl_pointer_event(SdlWindow *w, const SDL_Event *e)
{
    sdl_pointer_settle(w);
    if (e->type == SDL_MOUSEBUTTONDOWN || e->type == SDL_MOUSEBUTTONUP)
        button(w, &e->button);
    else if (!guest_has_pointer(w))
        return;
    else if (e->type == SDL_MOUSEWHEEL)
        input_wheel(w->machine, -CLAMP(e->wheel.y, -100, 100)); /* SDL counts away from the user */
    else if (w->relative)
        input_move(w->machine, e->motion.xrel, e->motion.yrel);
    else
        place(w, e->motion.x, e->motion.y);
    view_hurry(w->view, false);
}
#endif
