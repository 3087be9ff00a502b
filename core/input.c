/* Which device gets keys and pointer (input.h). */
#include "core/input.h"

#include <glib.h>
#include <string.h>

#include "core/machine.h"

enum { USAGES = 256, DEFAULT_WIDTH = 1024, DEFAULT_HEIGHT = 768 };

typedef struct Listed {
    const InputSink *sink;
    void *opaque;
    bool active;
    unsigned leds;
} Listed;

struct Input {
    GPtrArray *sinks;            /* Listed *, the one activated last at the end */
    bool down[USAGES];           /* by the faces' word; the keyboard in use was told of each */
    unsigned buttons;
    int x, y;                    /* position last sent, 0 .. INPUT_SCALE - 1 */
    bool placed;                 /* dot_x, dot_y are where the pointer was last */
    int dot_x, dot_y;
};

Input *input_new(void)
{
    Input *in = g_new0(Input, 1);
    in->sinks = g_ptr_array_new_with_free_func(g_free);
    in->x = in->y = INPUT_SCALE / 2;
    return in;
}

void input_free(Input *in)
{
    g_ptr_array_unref(in->sinks);
    g_free(in);
}

/* ---- choice ---- */

static Listed *listed_nth(const Input *in, unsigned n) { return g_ptr_array_index(in->sinks, n); }

static Listed *listed_of(const Input *in, const void *opaque, unsigned *at)
{
    for (unsigned n = 0; n < in->sinks->len; n++)
        if (listed_nth(in, n)->opaque == opaque) {
            *at = n;
            return listed_nth(in, n);
        }
    return NULL;
}

static Listed *keyboard_of(const Input *in)
{
    for (unsigned n = in->sinks->len; n-- > 0;)
        if (listed_nth(in, n)->active && listed_nth(in, n)->sink->key)
            return listed_nth(in, n);
    return NULL;
}

static Listed *pointer_of(const Input *in)
{
    Listed *relative = NULL;
    for (unsigned n = in->sinks->len; n-- > 0;) {
        Listed *l = listed_nth(in, n);
        if (l->active && l->sink->position)
            return l;
        if (l->active && l->sink->motion && !relative)
            relative = l;
    }
    return relative;
}

/* Another keyboard than `old` may be in use now: held keys stay with the one that had them, which is told the end. */
static void keyboard_changed(Input *in, Listed *old)
{
    if (!old || keyboard_of(in) == old)
        return;
    for (unsigned usage = 0; usage < USAGES; usage++)
        if (in->down[usage])
            old->sink->key(old->opaque, usage, false);
    memset(in->down, 0, sizeof in->down);
}

void input_add(Machine *m, const InputSink *sink, void *opaque, bool active)
{
    Listed *l = g_new0(Listed, 1);
    l->sink = sink;
    l->opaque = opaque;
    g_ptr_array_insert(m->input->sinks, 0, l);
    if (active)
        input_activate(m, opaque, true);
}

void input_remove(Machine *m, void *opaque)
{
    unsigned at;
    if (!listed_of(m->input, opaque, &at))
        return;
    input_activate(m, opaque, false);
    g_ptr_array_remove_index(m->input->sinks, at);
}

void input_activate(Machine *m, void *opaque, bool active)
{
    Input *in = m->input;
    unsigned at;
    Listed *old = keyboard_of(in), *l = listed_of(in, opaque, &at);
    if (!l || (l->active == active && (!active || at == in->sinks->len - 1)))
        return;
    l->active = active;
    if (active) {
        g_ptr_array_steal_index(in->sinks, at);
        g_ptr_array_add(in->sinks, l);
    }
    keyboard_changed(in, old);
}

void input_set_leds(Machine *m, void *opaque, unsigned leds)
{
    unsigned at;
    Listed *l = listed_of(m->input, opaque, &at);
    if (l)
        l->leds = leds;
}

unsigned input_leds(Machine *m)
{
    const Listed *l = keyboard_of(m->input);
    return l ? l->leds : 0;
}

bool input_has_keyboard(Machine *m) { return keyboard_of(m->input) != NULL; }
bool input_has_pointer(Machine *m) { return pointer_of(m->input) != NULL; }

bool input_is_absolute(Machine *m)
{
    const Listed *l = pointer_of(m->input);
    return l && l->sink->position;
}

bool input_pointer_nth(Machine *m, unsigned n, const char **name, bool *absolute, bool *used)
{
    for (unsigned k = 0; k < m->input->sinks->len; k++) {
        const Listed *l = listed_nth(m->input, k);
        if ((!l->sink->position && !l->sink->motion) || n--)
            continue;
        *name = l->sink->name;
        *absolute = l->sink->position;
        *used = l == pointer_of(m->input);
        return true;
    }
    return false;
}

/* ---- events ---- */

void input_key(Machine *m, unsigned usage, bool down)
{
    const Listed *l = keyboard_of(m->input);
    if (!l || usage >= USAGES)
        return;
    m->input->down[usage] = down;
    l->sink->key(l->opaque, usage, down);
}

void input_release_keys(Machine *m)
{
    for (unsigned usage = 0; usage < USAGES; usage++)
        if (m->input->down[usage])
            input_key(m, usage, false);
}

/* A pointer that takes positions learns of all by its position; the other by a movement. */
static void pointer_tell(Input *in, int dx, int dy, int dz)
{
    const Listed *l = pointer_of(in);
    if (l && l->sink->position)
        l->sink->position(l->opaque, in->x, in->y, dz, in->buttons);
    else if (l)
        l->sink->motion(l->opaque, dx, dy, dz, in->buttons);
}

static int scaled(int dot, unsigned size)
{
    unsigned last = MAX(size, 2) - 1;
    return (int64_t)CLAMP(dot, 0, (int)last) * (INPUT_SCALE - 1) / last;
}

void input_move(Machine *m, int dx, int dy)
{
    Input *in = m->input;
    dx = CLAMP(dx, -INPUT_SCALE, INPUT_SCALE);
    dy = CLAMP(dy, -INPUT_SCALE, INPUT_SCALE);
    in->x = CLAMP(in->x + dx * INPUT_SCALE / DEFAULT_WIDTH, 0, INPUT_SCALE - 1);
    in->y = CLAMP(in->y + dy * INPUT_SCALE / DEFAULT_HEIGHT, 0, INPUT_SCALE - 1);
    pointer_tell(in, dx, dy, 0);
}

void input_position(Machine *m, int x, int y, unsigned width, unsigned height)
{
    Input *in = m->input;
    int dx = in->placed ? x - in->dot_x : 0, dy = in->placed ? y - in->dot_y : 0;
    in->x = scaled(x, width);
    in->y = scaled(y, height);
    in->dot_x = x;
    in->dot_y = y;
    in->placed = true;
    pointer_tell(in, dx, dy, 0);
}

void input_place(Machine *m, int x, int y)
{
    Input *in = m->input;
    input_position(m, x < 0 ? in->x : x, y < 0 ? in->y : y, INPUT_SCALE, INPUT_SCALE);
    in->placed = false; /* those are no dots */
}

void input_forget_position(Machine *m) { m->input->placed = false; }

void input_buttons(Machine *m, unsigned buttons)
{
    if (m->input->buttons == buttons)
        return;
    m->input->buttons = buttons;
    pointer_tell(m->input, 0, 0, 0);
}

unsigned input_buttons_held(Machine *m) { return m->input->buttons; }

void input_wheel(Machine *m, int dz)
{
    if (dz)
        pointer_tell(m->input, 0, 0, dz);
}
