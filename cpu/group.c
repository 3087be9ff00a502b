/* What the CPUs of one machine share (group.h). */
#include "cpu/group.h"

#include "core/machine.h"
#include "cpu/mmu.h"

static CpuGroup *group_new(Machine *m)
{
    CpuGroup *g = g_new0(CpuGroup, 1);
    g->users = g_new0(uint16_t, m->pool->reserved >> RAM_PAGE_BITS);
    g_mutex_init(&g->lock);
    g_mutex_init(&g->split_lock);
    machine_provide(m, "cpu-group", g);
    return g;
}

static void group_free(Machine *m, CpuGroup *g)
{
    machine_provide(m, "cpu-group", NULL);
    g_free(g->users);
    g_mutex_clear(&g->lock);
    g_mutex_clear(&g->split_lock);
    g_free(g);
}

static void tell_parallel(CpuGroup *g)
{
    for (unsigned k = 0; k < g->count; k++)
        g->cpus[k]->parallel = g->count > 1;
}

void group_join(Cpu *cpu)
{
    CpuGroup *g = machine_find(cpu->machine, "cpu-group");
    if (!g)
        g = group_new(cpu->machine);
    g_assert(g->count < GROUP_MAX_CPUS);
    g->cpus[g->count++] = cpu;
    cpu->group = g;
    cpu->log_served = g->logged;
    tell_parallel(g);
}

void group_leave(Cpu *cpu)
{
    CpuGroup *g = cpu->group;
    unsigned k = 0;
    while (g->cpus[k] != cpu)
        k++;
    g->cpus[k] = g->cpus[--g->count];
    tell_parallel(g);
    if (!g->count)
        group_free(cpu->machine, g);
}

bool group_heard(const Cpu *cpu, uint64_t place)
{
    const CpuGroup *g = cpu->group;
    for (unsigned k = 0; k < g->count; k++) {
        const Cpu *c = g->cpus[k];
        if (c != cpu && atomic_load(&c->log_served) < place && !atomic_load(&c->quiet))
            return false;
    }
    return true;
}

/* Those who waited for this CPU alone go on. */
static void wake_awaiting(CpuGroup *g, const Cpu *served)
{
    for (unsigned k = 0; k < g->count; k++) {
        Cpu *c = g->cpus[k];
        if (c != served && c->awaited && group_heard(c, c->awaited))
            cpu_post_event(c, EVENT_CODE);
    }
}

/* With the lock.  One scan of the TLB a page, or a flush when that is less. */
static void serve_log(Cpu *cpu)
{
    CpuGroup *g = cpu->group;
    uint64_t from = cpu->log_served, to = g->logged;
    if (to - from > GROUP_LOG_SIZE)
        tlb_flush_worlds(cpu);
    else
        for (; from < to; from++)
            tlb_protect_gpa(cpu, g->log[from % GROUP_LOG_SIZE]);
    atomic_store(&cpu->log_served, to);
}

void group_serve_slow(Cpu *cpu)
{
    g_mutex_lock(&cpu->group->lock);
    serve_log(cpu);
    wake_awaiting(cpu->group, cpu);
    g_mutex_unlock(&cpu->group->lock);
}

/* A page becomes code: its GPA into the log, and the others' attention to that. */
static void log_page(Cpu *cpu, uint64_t gpa)
{
    CpuGroup *g = cpu->group;
    tlb_protect_gpa(cpu, gpa);
    if (g->count == 1)
        return;
    g->log[g->logged % GROUP_LOG_SIZE] = gpa;
    atomic_fetch_add(&g->logged, 1);
    atomic_store(&cpu->log_served, g->logged);
    for (unsigned k = 0; k < g->count; k++)
        if (g->cpus[k] != cpu)
            cpu_post_lazily(g->cpus[k], EVENT_CODE);
}

/*
 * Also when the page is code already its place is asked for: another CPU may have logged it a moment ago.  The places of
 * other pages logged since make no difference but that of waiting for them too.
 */
uint64_t group_add_code_page(Cpu *cpu, uint64_t page, uint64_t gpa)
{
    CpuGroup *g = cpu->group;
    g_mutex_lock(&g->lock);
    if (cpu->log_served != g->logged) {
        serve_log(cpu);
        wake_awaiting(g, cpu);
    }
    if (!g->users[page]++) {
        atomic_fetch_or(&cpu->machine->pool->page_flags[page], PAGE_CODE);
        log_page(cpu, gpa);
    }
    uint64_t place = group_heard(cpu, g->logged) ? 0 : g->logged;
    if (!cpu->awaited)
        cpu->awaited = place;
    g_mutex_unlock(&g->lock);
    return place;
}

void group_remove_code_page(Cpu *cpu, uint64_t page)
{
    CpuGroup *g = cpu->group;
    g_mutex_lock(&g->lock);
    if (!--g->users[page])
        atomic_fetch_and(&cpu->machine->pool->page_flags[page], (uint8_t)~PAGE_CODE);
    g_mutex_unlock(&g->lock);
}

void group_await(Cpu *cpu, uint64_t place)
{
    g_mutex_lock(&cpu->group->lock);
    cpu->awaited = place;
    if (place && group_heard(cpu, place))
        cpu_post_event(cpu, EVENT_CODE);
    g_mutex_unlock(&cpu->group->lock);
}
