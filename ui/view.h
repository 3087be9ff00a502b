/*
 * A face's view of one of the machine's screens: looks for changes up to 30 times a second, and less often as long as
 * there are none.
 *
 * Calls come in rounds, from a timer, under the machine lock in the main loop's thread; in each: size() when the
 * picture has another size than before (all lines follow), lines() for each run of lines that changed, cursor(), then
 * done() if any of the others was called.  A face that draws slowly should only note or copy in them what there is to
 * draw, and draw without the lock (an idle GSource in machine->context): processors that use devices wait for the
 * lock.
 */
#ifndef MYNA_UI_VIEW_H
#define MYNA_UI_VIEW_H

#include <stdbool.h>

#include "core/machine.h"
#include "hw/display/console.h"

typedef struct View View;

/* Any may be NULL. */
typedef struct ViewOps {
    void (*size)(void *opaque, unsigned width, unsigned height);
    void (*lines)(void *opaque, unsigned y, unsigned count);
    void (*cursor)(void *opaque, const ConsoleCursor *c); /* another picture, on or off, or another place */
    void (*done)(void *opaque);
} ViewOps;

/* Of the machine's nth screen, which may come and go later; shown at first.  ops is kept, not copied. */
View *view_new(Machine *m, unsigned nth, const ViewOps *ops, void *opaque);
void view_free(View *v); /* NULL is allowed; not within its own calls */

/* Another screen; all of it is shown anew. */
void view_choose(View *v, unsigned nth);

/* The screen; NULL: the machine has no such one (now).  Its surface is what the last round found. */
Console *view_console(const View *v);

/* No rounds at all while nobody looks: an icon, no client. */
void view_show(View *v, bool shown);

/* The next round comes soon, as after a key; with `all` it tells everything, as after a client's request. */
void view_hurry(View *v, bool all);

#endif
