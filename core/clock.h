/*
 * Clocks and timers.
 *
 * CLOCK_VIRTUAL runs while the machine runs, starting at 0: all that a guest can measure hangs on it.  CLOCK_HOST
 * is the host's wall clock (nanoseconds since 1970) and may jump.  CLOCK_REALTIME is the host's monotonic clock.
 * Timers fire in the main loop's thread, with the machine lock held, never early, in order of their deadlines.
 */
#ifndef MYNA_CORE_CLOCK_H
#define MYNA_CORE_CLOCK_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define NS_PER_SECOND INT64_C(1000000000)

typedef enum ClockType { MYNA_CLOCK_VIRTUAL, MYNA_CLOCK_HOST, MYNA_CLOCK_REALTIME, MYNA_CLOCK_COUNT } ClockType;

typedef struct Clocks Clocks;
typedef struct Timer Timer;
typedef void TimerFn(void *opaque);

/* The virtual clock starts stopped at 0.  Timers are served by sources on `context`. lock: the machine lock. */
Clocks *clocks_new(GMainContext *context, GRecMutex *lock);
void clocks_free(Clocks *c);

/* Nanoseconds; any thread, no lock. */
int64_t clock_now(Clocks *c, ClockType type);

/* Starts and stops the virtual clock; set: for restore, while stopped. */
void clock_start(Clocks *c);
void clock_stop(Clocks *c);
void clock_set(Clocks *c, int64_t now);

/*
 * Fires the virtual timers that are due at the present virtual time, in this thread, also while the clock is stopped:
 * for whoever moves the clock by clock_set() in steps (tests, engines that count instructions).
 */
void clock_fire_due(Clocks *c);

Timer *timer_new(Clocks *c, ClockType type, TimerFn *fn, void *opaque);
void timer_free(Timer *t);                     /* NULL is allowed */
void timer_arm(Timer *t, int64_t deadline_ns); /* absolute; replaces an earlier deadline; a past one fires at once */
void timer_cancel(Timer *t);
bool timer_armed(const Timer *t);
int64_t timer_deadline(const Timer *t);        /* of an armed timer; -1 when not armed */

/* v * mul / div without overflow. */
static inline int64_t muldiv64(int64_t v, uint32_t mul, uint32_t div)
{
    return (int64_t)((__int128)v * mul / div);
}

#endif
