/* What is put off until a CPU has nothing else to do (idle.h). */
#include "core/idle.h"

#include "core/machine.h"

/*
 * A CPU that falls idle takes itself off `busy` before it looks at `awaited`; a task is entered before `busy` is looked at:
 * one of the two sees the other's store.
 */
bool idle_await(Machine *m, IdleTask *t)
{
    IdleWatch *w = &m->idle;

    if (!t->waits) {
        t->waits = true;
        t->next = w->tasks;
        w->tasks = t;
        atomic_store(&w->awaited, true);
    }
    unsigned busy = atomic_load(&w->busy);
    if (busy && busy == m->cpu_count)
        return true;
    idle_forget(m, t);
    return false;
}

void idle_forget(Machine *m, IdleTask *t)
{
    IdleWatch *w = &m->idle;
    IdleTask **link = &w->tasks;

    if (!t->waits)
        return;
    while (*link != t)
        link = &(*link)->next;
    *link = t->next;
    t->waits = false;
    atomic_store(&w->awaited, w->tasks);
}

void idle_cpu_busy(Machine *m) { atomic_fetch_add(&m->idle.busy, 1); }

void idle_cpu_stopped(Machine *m) { atomic_fetch_sub(&m->idle.busy, 1); }

void idle_cpu_idle(Machine *m)
{
    IdleWatch *w = &m->idle;

    idle_cpu_stopped(m);
    if (!atomic_load(&w->awaited))
        return;
    machine_lock(m);
    while (w->tasks) {
        IdleTask *t = w->tasks;
        idle_forget(m, t);
        t->fn(t->opaque);
    }
    machine_unlock(m);
}
