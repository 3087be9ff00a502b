/*
 * Clocks and timers.
 *
 * Armed timers stand in a binary heap for each clock, ordered by deadline and, among equals, by the time of arming.
 * One GSource serves all.  On Linux it waits on a timerfd, since GLib's own timeouts have a resolution of a
 * millisecond; another thread makes the main loop wake earlier by timerfd_settime() alone, without waking it now.
 *
 * The wake time is only ever moved when the earliest deadline becomes earlier.  A timer that is moved later or
 * cancelled, as a guest does to its LAPIC timer all the time, costs no system call, but at most one idle wake-up.
 */
#include "core/clock.h"

#include <stdatomic.h>
#include <time.h>
#ifdef __linux__
#include <sys/timerfd.h>
#include <unistd.h>
#endif

#define NEVER INT64_MAX
#define CATCH_UP 100                   /* timers that one round of the main loop fires in strict order; see key below */
#define HOST_CLOCK_CHECK NS_PER_SECOND /* how late a jump of the host's clock is noticed, at most */

struct Timer {
    Clocks *clocks;
    TimerFn *fn;
    void *opaque;
    int64_t deadline;
    int64_t key;         /* order in the heap: deadline, or later when armed for the past over and over */
    uint64_t sequence;   /* of arming */
    ClockType type;
    unsigned place;      /* 1 + index in the heap; 0: not armed */
};

struct Clocks {
    GRecMutex *lock;     /* the machine's; guards the heaps and wake */
    GSource *source;
    int fd;              /* timerfd, or -1: the source's ready time is used */
    GPtrArray *heap[MYNA_CLOCK_COUNT];
    uint64_t sequence;
    int64_t wake;        /* monotonic time for which the source is set */
    /* While timer functions run: wake is set when they are done. */
    bool dispatching;
    unsigned catch_up;   /* how many more may fire in strict order */
    int64_t now[MYNA_CLOCK_COUNT]; /* when the round began */
    /* The virtual clock, written by the main loop's thread, read by all under a sequence count (odd: changing). */
    atomic_uint virtual_version;
    _Atomic int64_t virtual_base; /* running: monotonic time of virtual 0; stopped: the virtual time */
    atomic_bool virtual_running;
};

typedef struct ClockSource {
    GSource base;
    Clocks *clocks;
} ClockSource;

static int64_t host_time(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return ts.tv_sec * NS_PER_SECOND + ts.tv_nsec;
}

static int64_t monotonic_now(void)
{
    return host_time(CLOCK_MONOTONIC);
}

static int64_t add_saturated(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? NEVER : sum;
}

/* --- the virtual clock ------------------------------------------------------------------------------------------- */

static void virtual_read(Clocks *c, bool *running, int64_t *base)
{
    unsigned before, after;

    do {
        before = atomic_load_explicit(&c->virtual_version, memory_order_acquire);
        *running = atomic_load_explicit(&c->virtual_running, memory_order_relaxed);
        *base = atomic_load_explicit(&c->virtual_base, memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        after = atomic_load_explicit(&c->virtual_version, memory_order_relaxed);
    } while (before != after || before & 1);
}

static void virtual_write(Clocks *c, bool running, int64_t base)
{
    unsigned version = atomic_load_explicit(&c->virtual_version, memory_order_relaxed);

    atomic_store_explicit(&c->virtual_version, version + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&c->virtual_running, running, memory_order_relaxed);
    atomic_store_explicit(&c->virtual_base, base, memory_order_relaxed);
    atomic_store_explicit(&c->virtual_version, version + 2, memory_order_release);
}

int64_t clock_now(Clocks *c, ClockType type)
{
    bool running;
    int64_t base;

    switch (type) {
    case MYNA_CLOCK_VIRTUAL:
        virtual_read(c, &running, &base);
        return running ? monotonic_now() - base : base;
    case MYNA_CLOCK_HOST:
        return host_time(CLOCK_REALTIME);
    default:
        return monotonic_now();
    }
}

/* --- heaps ------------------------------------------------------------------------------------------------------- */

static Timer *heap_at(const GPtrArray *heap, unsigned i)
{
    return heap->pdata[i];
}

static bool timer_before(const Timer *a, const Timer *b)
{
    return a->key != b->key ? a->key < b->key : a->sequence < b->sequence;
}

static void heap_put(GPtrArray *heap, unsigned i, Timer *t)
{
    heap->pdata[i] = t;
    t->place = i + 1;
}

/* Moves t, whose place i is free, to where it belongs. */
static void heap_settle(GPtrArray *heap, unsigned i, Timer *t)
{
    while (i && timer_before(t, heap_at(heap, (i - 1) / 2))) {
        heap_put(heap, i, heap_at(heap, (i - 1) / 2));
        i = (i - 1) / 2;
    }
    for (unsigned child; (child = 2 * i + 1) < heap->len; i = child) {
        if (child + 1 < heap->len && timer_before(heap_at(heap, child + 1), heap_at(heap, child)))
            child++;
        if (!timer_before(heap_at(heap, child), t))
            break;
        heap_put(heap, i, heap_at(heap, child));
    }
    heap_put(heap, i, t);
}

static void heap_insert(GPtrArray *heap, Timer *t)
{
    g_ptr_array_add(heap, t);
    heap_settle(heap, heap->len - 1, t);
}

static void heap_remove(GPtrArray *heap, Timer *t)
{
    unsigned i = t->place - 1;
    Timer *last = heap_at(heap, heap->len - 1);

    g_ptr_array_set_size(heap, heap->len - 1);
    if (last != t)
        heap_settle(heap, i, last);
    t->place = 0;
}

/* --- the source -------------------------------------------------------------------------------------------------- */

static void source_set_wake(Clocks *c, int64_t when)
{
    c->wake = when;
#ifdef __linux__
    if (c->fd >= 0) {
        int64_t ns = when == NEVER ? 0 : MAX(when, 1); /* 0 would disarm */
        struct itimerspec spec = { .it_value = { ns / NS_PER_SECOND, ns % NS_PER_SECOND } };
        timerfd_settime(c->fd, TFD_TIMER_ABSTIME, &spec, NULL);
        return;
    }
#endif
    g_source_set_ready_time(c->source, when == NEVER ? -1 : when / 1000 + (when % 1000 != 0));
}

/* The monotonic time at which a deadline of that clock is due, or should be looked at again. */
static int64_t monotonic_deadline(Clocks *c, ClockType type, int64_t deadline)
{
    bool running;
    int64_t base;

    switch (type) {
    case MYNA_CLOCK_VIRTUAL:
        virtual_read(c, &running, &base);
        return running ? add_saturated(deadline, base) : NEVER;
    case MYNA_CLOCK_HOST:
        return monotonic_now() + MIN(deadline - host_time(CLOCK_REALTIME), HOST_CLOCK_CHECK);
    default:
        return deadline;
    }
}

/* Moves the wake time to the first timer of a heap if that is earlier. */
static void wake_for_heap(Clocks *c, ClockType type)
{
    if (!c->heap[type]->len || c->dispatching)
        return;
    int64_t when = monotonic_deadline(c, type, heap_at(c->heap[type], 0)->key);
    if (when < c->wake)
        source_set_wake(c, when);
}

/*
 * Runs what is due on one clock.  A guest may make a timer arm itself for the past each time.  Once CATCH_UP have
 * fired, timers armed from then on take their place behind all that are due and wait for the next round of the main
 * loop.
 */
static void clock_run_due(Clocks *c, ClockType type, bool stopped_too)
{
    GPtrArray *heap = c->heap[type];
    uint64_t limit = UINT64_MAX;

    c->catch_up = CATCH_UP;
    while (heap->len) {
        Timer *t = heap_at(heap, 0);
        if (t->key > c->now[type] || t->sequence >= limit || (type == MYNA_CLOCK_VIRTUAL && !c->virtual_running && !stopped_too))
            return;
        if (c->catch_up && !--c->catch_up)
            limit = c->sequence;
        heap_remove(heap, t);
        t->fn(t->opaque);
    }
}

/* Takes back what made the source ready. */
static void source_acknowledge(Clocks *c)
{
#ifdef __linux__
    uint64_t expirations;
    if (c->fd >= 0 && read(c->fd, &expirations, sizeof expirations) < 0)
        return; /* EAGAIN: another thread has set it again meanwhile */
#endif
    if (c->fd < 0)
        g_source_set_ready_time(c->source, -1);
}

static gboolean source_dispatch(GSource *source, GSourceFunc fn, gpointer data)
{
    Clocks *c = ((ClockSource *)source)->clocks;
    (void)fn;
    (void)data;

    g_rec_mutex_lock(c->lock);
    source_acknowledge(c);
    c->dispatching = true;
    for (ClockType type = 0; type < MYNA_CLOCK_COUNT; type++)
        c->now[type] = clock_now(c, type);
    for (ClockType type = 0; type < MYNA_CLOCK_COUNT; type++)
        clock_run_due(c, type, false);
    c->dispatching = false;
    c->wake = NEVER;
    for (ClockType type = 0; type < MYNA_CLOCK_COUNT; type++)
        wake_for_heap(c, type);
    g_rec_mutex_unlock(c->lock);
    return G_SOURCE_CONTINUE;
}

void clock_fire_due(Clocks *c)
{
    g_rec_mutex_lock(c->lock);
    c->dispatching = true;
    c->now[MYNA_CLOCK_VIRTUAL] = clock_now(c, MYNA_CLOCK_VIRTUAL);
    clock_run_due(c, MYNA_CLOCK_VIRTUAL, true);
    c->dispatching = false;
    g_rec_mutex_unlock(c->lock);
}

static GSourceFuncs clock_source_funcs = { .dispatch = source_dispatch };

Clocks *clocks_new(GMainContext *context, GRecMutex *lock)
{
    Clocks *c = g_new0(Clocks, 1);

    c->lock = lock;
    c->wake = NEVER;
    c->fd = -1;
    for (ClockType type = 0; type < MYNA_CLOCK_COUNT; type++)
        c->heap[type] = g_ptr_array_new();
    c->source = g_source_new(&clock_source_funcs, sizeof(ClockSource));
    ((ClockSource *)c->source)->clocks = c;
#ifdef __linux__
    c->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (c->fd >= 0)
        g_source_add_unix_fd(c->source, c->fd, G_IO_IN);
#endif
    g_source_set_name(c->source, "myna timers");
    g_source_attach(c->source, context);
    return c;
}

void clocks_free(Clocks *c)
{
    g_source_destroy(c->source);
    g_source_unref(c->source);
#ifdef __linux__
    if (c->fd >= 0)
        close(c->fd);
#endif
    for (ClockType type = 0; type < MYNA_CLOCK_COUNT; type++)
        g_ptr_array_free(c->heap[type], TRUE);
    g_free(c);
}

void clock_start(Clocks *c)
{
    g_rec_mutex_lock(c->lock);
    if (!c->virtual_running) {
        virtual_write(c, true, monotonic_now() - c->virtual_base);
        wake_for_heap(c, MYNA_CLOCK_VIRTUAL);
    }
    g_rec_mutex_unlock(c->lock);
}

void clock_stop(Clocks *c)
{
    g_rec_mutex_lock(c->lock);
    if (c->virtual_running)
        virtual_write(c, false, monotonic_now() - c->virtual_base);
    g_rec_mutex_unlock(c->lock);
}

void clock_set(Clocks *c, int64_t now)
{
    g_rec_mutex_lock(c->lock);
    virtual_write(c, c->virtual_running, c->virtual_running ? monotonic_now() - now : now);
    wake_for_heap(c, MYNA_CLOCK_VIRTUAL);
    g_rec_mutex_unlock(c->lock);
}

/* --- timers ------------------------------------------------------------------------------------------------------ */

Timer *timer_new(Clocks *c, ClockType type, TimerFn *fn, void *opaque)
{
    Timer *t = g_new0(Timer, 1);
    *t = (Timer) { .clocks = c, .type = type, .fn = fn, .opaque = opaque };
    return t;
}

void timer_free(Timer *t)
{
    if (!t)
        return;
    timer_cancel(t);
    g_free(t);
}

void timer_arm(Timer *t, int64_t deadline_ns)
{
    Clocks *c = t->clocks;
    GPtrArray *heap = c->heap[t->type];

    g_rec_mutex_lock(c->lock);
    t->deadline = MAX(deadline_ns, 0);
    t->key = c->dispatching && !c->catch_up ? MAX(t->deadline, c->now[t->type]) : t->deadline;
    t->sequence = c->sequence++;
    if (t->place)
        heap_settle(heap, t->place - 1, t);
    else
        heap_insert(heap, t);
    if (t->place == 1)
        wake_for_heap(c, t->type);
    g_rec_mutex_unlock(c->lock);
}

void timer_cancel(Timer *t)
{
    Clocks *c = t->clocks;

    g_rec_mutex_lock(c->lock);
    if (t->place)
        heap_remove(c->heap[t->type], t);
    g_rec_mutex_unlock(c->lock);
}

bool timer_armed(const Timer *t)
{
    return t->place != 0;
}

int64_t timer_deadline(const Timer *t)
{
    return t->place ? t->deadline : -1;
}
