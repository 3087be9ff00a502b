/*
 * Rounds of looking for changes (view.h).
 *
 * While there are changes a round comes every 33 ms.  Without them the pause grows to 133 ms, by a round's length for
 * each half second: a console's update costs little when nothing was written, but it costs, and the machine lock with
 * it.  A change of a few lines, as a text cursor that blinks is, only slows that growth.
 */
#include "ui/view.h"

#define ROUND_NS (INT64_C(1000000000) / 30)
enum { QUIET_ROUNDS = 15, SLOWEST = 4, SOON_NS = 5000000, FEW_LINES = 16, FEW_COUNT = 2 };

struct View {
    Machine *machine;
    const ViewOps *ops;
    void *opaque;
    Timer *timer;
    unsigned nth;
    const Console *seen;     /* what the serials below are of */
    uint64_t serial, size_serial, cursor_serial;
    unsigned width, height;
    int cursor_x, cursor_y;
    int64_t last;            /* when the last round was */
    unsigned quiet;          /* rounds without a change, about */
    bool shown, all;
};

Console *view_console(const View *v) { return console_nth(v->machine, v->nth); }

/* ---- a round ---- */

static bool size_round(View *v, const Console *c)
{
    if (!v->all && v->size_serial == c->size_serial)
        return false;
    v->size_serial = c->size_serial;
    if (v->ops->size)
        v->ops->size(v->opaque, c->surface.width, c->surface.height);
    return true;
}

/* How many were told. */
static unsigned lines_round(View *v, const Console *c, bool all)
{
    unsigned told = 0;
    for (unsigned y = 0, end; y < c->surface.height; y = end) {
        bool changed = all || c->line_serial[y] > v->serial;
        for (end = y + 1; end < c->surface.height && (all || c->line_serial[end] > v->serial) == changed; end++)
            ;
        if (changed && v->ops->lines)
            v->ops->lines(v->opaque, y, end - y);
        told += changed ? end - y : 0;
    }
    return told;
}

static bool cursor_round(View *v, const ConsoleCursor *c)
{
    if (!v->all && v->cursor_serial == c->serial && (!c->on || (v->cursor_x == c->x && v->cursor_y == c->y)))
        return false;
    v->cursor_serial = c->serial;
    v->cursor_x = c->x;
    v->cursor_y = c->y;
    if (v->ops->cursor)
        v->ops->cursor(v->opaque, c);
    return true;
}

static bool round_of(View *v, Console *c)
{
    uint64_t serial = console_update(c, false);
    if (!c->surface.pixels)
        return false;
    bool sized = size_round(v, c);
    unsigned lines = lines_round(v, c, sized || v->all);
    bool pointer = cursor_round(v, &c->cursor);
    v->serial = serial;
    v->all = false;
    if (pointer || sized || lines > FEW_LINES)
        v->quiet = 0;
    else if (lines)
        v->quiet -= MIN(v->quiet, FEW_COUNT);
    return pointer || sized || lines;
}

static void arm(View *v, int64_t in)
{
    timer_arm(v->timer, clock_now(v->machine->clocks, MYNA_CLOCK_REALTIME) + in);
}

static void go(void *opaque)
{
    View *v = opaque;
    Console *c = view_console(v);
    v->last = clock_now(v->machine->clocks, MYNA_CLOCK_REALTIME);
    v->all |= c != v->seen;
    v->seen = c;
    bool any = c && round_of(v, c);
    if (!any)
        v->quiet = MIN(v->quiet + 1, QUIET_ROUNDS * SLOWEST);
    if (v->shown)
        arm(v, ROUND_NS * CLAMP(v->quiet / QUIET_ROUNDS, 1, SLOWEST));
    if (any && v->ops->done)
        v->ops->done(v->opaque);
}

/* ---- for faces ---- */

View *view_new(Machine *m, unsigned nth, const ViewOps *ops, void *opaque)
{
    View *v = g_new0(View, 1);
    *v = (View){ .machine = m, .ops = ops, .opaque = opaque, .nth = nth, .shown = true, .all = true };
    v->timer = timer_new(m->clocks, MYNA_CLOCK_REALTIME, go, v);
    arm(v, 0);
    return v;
}

void view_free(View *v)
{
    if (!v)
        return;
    timer_free(v->timer);
    g_free(v);
}

void view_choose(View *v, unsigned nth)
{
    v->nth = nth;
    view_hurry(v, true);
}

void view_show(View *v, bool shown)
{
    if (v->shown == shown)
        return;
    v->shown = shown;
    if (shown)
        view_hurry(v, false);
    else
        timer_cancel(v->timer);
}

void view_hurry(View *v, bool all)
{
    int64_t soon = MAX(clock_now(v->machine->clocks, MYNA_CLOCK_REALTIME) + SOON_NS, v->last + ROUND_NS);
    v->quiet = 0;
    v->all |= all;
    if (v->shown && (!timer_armed(v->timer) || timer_deadline(v->timer) > soon))
        timer_arm(v->timer, soon);
}
