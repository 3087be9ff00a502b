/* Typing into the guest's keyboard (typing.h): the machine's slot "typing". */
#include "ui/typing.h"

#include "core/error.h"

enum { WAITING_MAX = 256 };

typedef struct Typing {
    Machine *machine;
    Timer *timer;
    GQueue *waiting; /* Chord *; the first is held down while the timer is armed and `down` */
    bool down;
} Typing;

static void press(Typing *t, const Chord *c, bool down)
{
    for (unsigned i = 0; i < c->count; i++)
        input_key(t->machine, c->keys[down ? i : c->count - 1 - i], down);
    t->down = down;
    timer_arm(t->timer, clock_now(t->machine->clocks, MYNA_CLOCK_VIRTUAL) + c->hold_ms * INT64_C(1000000));
}

/* Lets go of the first, or presses the next. */
static void go_on(void *opaque)
{
    Typing *t = opaque;
    Chord *c = g_queue_peek_head(t->waiting);
    if (!c)
        return;
    press(t, c, !t->down);
    if (!t->down)
        g_free(g_queue_pop_head(t->waiting));
}

static Typing *typing_of(Machine *m)
{
    Typing *t = machine_find(m, "typing");
    if (t)
        return t;
    t = g_new0(Typing, 1);
    t->machine = m;
    t->waiting = g_queue_new();
    t->timer = timer_new(m->clocks, MYNA_CLOCK_VIRTUAL, go_on, t);
    machine_provide(m, "typing", t);
    return t;
}

gboolean typing_add(Machine *m, const Chord *chord, GError **err)
{
    Typing *t = typing_of(m);
    if (!input_has_keyboard(m))
        return error_set(err, "this machine has no keyboard");
    if (g_queue_get_length(t->waiting) >= WAITING_MAX)
        return error_set(err, "%d key presses wait already: let the machine run", WAITING_MAX);
    g_queue_push_tail(t->waiting, g_memdup2(chord, sizeof *chord));
    if (!timer_armed(t->timer))
        go_on(t);
    return TRUE;
}

void typing_free(Machine *m)
{
    Typing *t = machine_find(m, "typing");
    if (!t)
        return;
    timer_free(t->timer);
    g_queue_free_full(t->waiting, g_free);
    g_free(t);
    machine_provide(m, "typing", NULL);
}
