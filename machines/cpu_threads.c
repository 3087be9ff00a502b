/*
 * A thread for each CPU, or for all (machines/cpu_threads.h).
 *
 * `resumed` says whether CPUs may run; each thread waits for it, runs its CPUs until EVENT_STOP, and notes in `running`
 * that it came back.  Both belong to `mutex`, which is never held while the machine lock is taken.
 */
#include "machines/cpu_threads.h"

#define SLICE 50000 /* instructions that a CPU executes before the next one's turn, where all share a thread */

typedef struct CpuThread {
    CpuThreads *all;
    Cpu *const *cpus;
    unsigned count;     /* of CPUs that it runs */
    GThread *thread;
} CpuThread;

struct CpuThreads {
    Machine *machine;
    void (*after_reset)(void *);
    void *opaque;
    GMutex mutex;
    GCond changed;      /* resumed, quit or running */
    bool resumed, quit;
    unsigned running;   /* threads that run CPUs now */
    unsigned cpu_count;
    Cpu **cpus;
    unsigned count;
    CpuThread thread[];
};

/* All get EVENT_STOP at the same time. */
static bool is_stopped(const CpuThread *self) { return atomic_load(&self->cpus[0]->events) & EVENT_STOP; }

static void run_in_turn(const CpuThread *self)
{
    while (!is_stopped(self)) {
        bool busy = false;
        for (unsigned i = 0; i < self->count; i++)
            busy |= cpu_run_slice(self->cpus[i], SLICE);
        if (!busy)
            cpus_wait(self->cpus, self->count);
    }
}

static gpointer thread_main(gpointer opaque)
{
    CpuThread *self = opaque;
    CpuThreads *t = self->all;
    g_mutex_lock(&t->mutex);
    while (!t->quit) {
        if (!t->resumed || is_stopped(self)) { /* a debugger's stop comes before the machine's pause */
            g_cond_wait(&t->changed, &t->mutex);
            continue;
        }
        t->running++;
        g_mutex_unlock(&t->mutex);
        if (self->count == 1)
            cpu_run(self->cpus[0]);
        else
            run_in_turn(self);
        g_mutex_lock(&t->mutex);
        t->running--;
        g_cond_broadcast(&t->changed);
    }
    g_mutex_unlock(&t->mutex);
    return NULL;
}

static void threads_resume(void *opaque)
{
    CpuThreads *t = opaque;
    g_mutex_lock(&t->mutex);
    for (unsigned i = 0; i < t->cpu_count; i++)
        atomic_fetch_and(&t->cpus[i]->events, ~(unsigned)EVENT_STOP);
    t->resumed = true;
    g_cond_broadcast(&t->changed);
    g_mutex_unlock(&t->mutex);
}

/* The caller does not hold the machine lock: a CPU on its way out may wait for it. */
static void threads_pause(void *opaque)
{
    CpuThreads *t = opaque;
    g_mutex_lock(&t->mutex);
    t->resumed = false;
    for (unsigned i = 0; i < t->cpu_count; i++)
        cpu_post_event(t->cpus[i], EVENT_STOP);
    while (t->running)
        g_cond_wait(&t->changed, &t->mutex);
    g_mutex_unlock(&t->mutex);
}

static void threads_reset(void *opaque)
{
    CpuThreads *t = opaque;
    for (unsigned i = 0; i < t->cpu_count; i++)
        cpu_reset(t->cpus[i]);
    if (t->after_reset)
        t->after_reset(t->opaque);
}

static const MachineCpuOps ops = {threads_resume, threads_pause, threads_reset};

static void thread_start(CpuThreads *t, unsigned i, unsigned cpus)
{
    char name[16];
    g_snprintf(name, sizeof name, "cpu%u", i);
    t->thread[i] = (CpuThread){.all = t, .cpus = t->cpus + i, .count = cpus};
    t->thread[i].thread = g_thread_new(name, thread_main, &t->thread[i]);
}

CpuThreads *cpu_threads_new(Machine *m, Cpu *const *cpus, unsigned count, bool single, void (*after_reset)(void *),
                            void *opaque)
{
    CpuThreads *t = g_malloc0(sizeof *t + count * sizeof t->thread[0]);
    t->machine = m;
    t->after_reset = after_reset;
    t->opaque = opaque;
    t->cpus = g_memdup2(cpus, count * sizeof *cpus);
    t->cpu_count = count;
    t->count = single ? 1 : count;
    g_mutex_init(&t->mutex);
    g_cond_init(&t->changed);
    if (single)
        cpus_share_thread(cpus, count);
    for (unsigned i = 0; i < t->count; i++)
        thread_start(t, i, count / t->count);
    m->cpu_ops = &ops;
    m->cpu_opaque = t;
    return t;
}

void cpu_threads_free(CpuThreads *t)
{
    if (!t)
        return;
    threads_pause(t);
    g_mutex_lock(&t->mutex);
    t->quit = true;
    g_cond_broadcast(&t->changed);
    g_mutex_unlock(&t->mutex);
    for (unsigned i = 0; i < t->count; i++)
        g_thread_join(t->thread[i].thread);
    t->machine->cpu_ops = NULL;
    t->machine->cpu_opaque = NULL;
    g_mutex_clear(&t->mutex);
    g_cond_clear(&t->changed);
    g_free(t->cpus);
    g_free(t);
}
