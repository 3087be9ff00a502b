/* Films of a screen (record.h): the machine's slot "recording". */
#include "ui/record.h"

#include <stdatomic.h>

#include "core/error.h"
#include "core/log.h"
#include "hw/display/console.h"
#include "ui/avi.h"
#include "ui/picture.h"

enum { WAITING_MAX = 8, LEVEL = 1 };
#define JUMP_NS (10 * NS_PER_SECOND)

typedef struct Recording {
    Machine *machine;
    unsigned head;
    Timer *timer;
    int64_t next;        /* deadline, so that frames keep their rate */
    uint64_t seen;       /* serial of the console's picture that was taken last */
    unsigned repeats;    /* frames since, which are not told to the thread yet */
    Avi *avi;            /* the thread's, until that has ended */
    GThreadPool *thread; /* of one */
    atomic_uint waiting; /* frames on their way to the file */
    atomic_bool full;
} Recording;

/* What the thread gets: frames like the one before, then one of its own. */
typedef struct Frame {
    unsigned repeats, width, height;
    uint32_t *pixels; /* NULL: only the repeats */
} Frame;

/* ---- the thread ---- */

static void frame_write(gpointer data, gpointer opaque)
{
    Frame *f = data;
    Recording *r = opaque;
    bool ok = true;
    for (; ok && f->repeats; f->repeats--)
        ok = avi_frame(r->avi, NULL, 0);
    if (ok && f->pixels) {
        g_autoptr(GByteArray) png = picture_png(f->pixels, f->width, f->height, LEVEL);
        ok = avi_frame(r->avi, png->data, png->len);
    }
    if (!ok)
        atomic_store(&r->full, true);
    g_free(f->pixels);
    g_free(f);
    atomic_fetch_sub(&r->waiting, 1);
}

static void frame_send(Recording *r, const Surface *s)
{
    Frame *f = g_new0(Frame, 1);
    f->repeats = r->repeats;
    r->repeats = 0;
    if (s) {
        f->width = s->width;
        f->height = s->height;
        f->pixels = g_memdup2(s->pixels, (gsize)s->width * s->height * sizeof *s->pixels);
    }
    atomic_fetch_add(&r->waiting, 1);
    g_thread_pool_push(r->thread, f, NULL);
}

/* ---- frames ---- */

static bool changed(const Recording *r, const Console *c)
{
    for (unsigned y = 0; y < c->surface.height; y++)
        if (c->line_serial[y] > r->seen)
            return true;
    return !r->seen;
}

static void take_frame(Recording *r)
{
    Console *c = console_nth(r->machine, r->head);
    uint64_t serial = c ? console_update(c, false) : 0;
    bool room = atomic_load(&r->waiting) < WAITING_MAX;
    if (!c || !c->surface.pixels || !room || !changed(r, c)) {
        r->repeats++; /* what could not be taken is taken by a later frame: r->seen stays */
        return;
    }
    frame_send(r, &c->surface);
    r->seen = serial;
}

static void frame_due(void *opaque)
{
    Recording *r = opaque;
    if (atomic_load(&r->full)) {
        log_user("record_screen: the film ends here, its file can hold no more");
        record_end(r->machine);
        return;
    }
    take_frame(r);
    r->next += NS_PER_SECOND / RECORD_RATE;
    if (r->next < clock_now(r->machine->clocks, MYNA_CLOCK_VIRTUAL) - JUMP_NS) /* a saved state put the clock on */
        r->next = clock_now(r->machine->clocks, MYNA_CLOCK_VIRTUAL);
    timer_arm(r->timer, r->next);
}

/* What stands at the end is a picture again: readers give frames that only repeat no time behind the last one. */
static void take_last(Recording *r)
{
    Console *c = console_nth(r->machine, r->head);
    bool picture = r->repeats && c && c->surface.pixels;
    r->repeats -= picture;
    frame_send(r, picture ? &c->surface : NULL);
}

/* ---- for faces ---- */

gboolean record_start(Machine *m, unsigned head, const char *path, GError **err)
{
    Console *c = console_nth(m, head);
    if (!c)
        return error_set(err, "record_screen: this machine has no screen %u", head);
    if (machine_find(m, "recording"))
        return error_set(err, "record_screen: the screen is being recorded already: 'record_screen stop' ends that");
    console_update(c, false);
    Avi *avi = avi_create(path, "MPNG", c->surface.width, c->surface.height, RECORD_RATE, err);
    if (!avi) {
        g_prefix_error(err, "record_screen: ");
        return FALSE;
    }
    Recording *r = g_new0(Recording, 1);
    *r = (Recording){ .machine = m, .head = head, .avi = avi, .next = clock_now(m->clocks, MYNA_CLOCK_VIRTUAL) };
    r->thread = g_thread_pool_new(frame_write, r, 1, FALSE, NULL);
    r->timer = timer_new(m->clocks, MYNA_CLOCK_VIRTUAL, frame_due, r);
    timer_arm(r->timer, r->next);
    machine_provide(m, "recording", r);
    return TRUE;
}

gboolean record_stop(Machine *m, GError **err)
{
    Recording *r = machine_find(m, "recording");
    if (!r)
        return error_set(err, "record_screen: nothing is being recorded");
    machine_provide(m, "recording", NULL);
    timer_free(r->timer);
    take_last(r);
    g_thread_pool_free(r->thread, FALSE, TRUE); /* after what waits */
    gboolean ok = avi_close(r->avi, err);
    if (!ok)
        g_prefix_error(err, "record_screen: ");
    g_free(r);
    return ok;
}

void record_end(Machine *m)
{
    g_autoptr(GError) err = NULL;
    if (machine_find(m, "recording") && !record_stop(m, &err))
        log_user("%s", err->message);
}
