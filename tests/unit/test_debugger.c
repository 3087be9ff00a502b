/* The debugger of a machine (debugger/debugger.h), with processors in threads of their own. */
#include <string.h>

#include "debugger/debugger.h"
#include "debugger/expression/expression.h"
#include "machines/cpu_threads.h"
#include "tcg/tcg.h"
#include "tests/unit/subject.h"

enum { CPUS_MAX = 4, CODE = 0x1000, DATA = 0x8000, HITS_MAX = 4096 };

typedef struct Fixture {
    Machine *machine;
    Debugger *debugger;
    uint8_t *ram;
    Cpu *cpu[CPUS_MAX];
    unsigned cpus, resumed, count;
    StopReport report[HITS_MAX];
    DebuggerListener listener;
} Fixture;

static void on_stopped(void *opaque, const StopReport *r)
{
    Fixture *f = opaque;
    if (f->count < HITS_MAX)
        f->report[f->count] = *r;
    f->count++;
}

static void on_resumed(void *opaque) { ((Fixture *)opaque)->resumed++; }

static void add_cpu(Fixture *f, const CpuModel *model, bool recompiled, bool single)
{
    unsigned n = f->cpus++;
    g_autofree char *name = g_strdup_printf("cpu%u", n);
    Subject s = { .cpu = f->cpu[n] = cpu_new(f->machine, model, n, n) };
    subject_enter_flat32(&s);
    s.cpu->run_state = CPU_RUNNING;
    s.cpu->rip = CODE;
    s.cpu->gpr[R_SP] = 0x7000 - 0x400 * n;
    machine_provide(f->machine, name, s.cpu);
    if (recompiled && tcg_available())
        g_assert_true(tcg_attach(s.cpu, &(TcgConfig){ .hot_after = 2, .counted = single }, NULL));
}

/* Threads do not outlive the machine. */
static void free_all(gpointer opaque)
{
    Fixture *f = opaque;
    cpu_threads_free(f->machine->cpu_opaque);
    debugger_unlisten(f->debugger, &f->listener);
    debugger_free(f->machine);
    for (unsigned n = 0; n < f->cpus; n++)
        cpu_free(f->cpu[n]);
    machine_free(f->machine);
    g_free(f);
}

static Fixture *fixture_new(unsigned cpus, bool recompiled, bool single)
{
    Fixture *f = g_new0(Fixture, 1);
    CpuModel *model = cpu_model_parse("max", NULL);
    f->machine = machine_new(RAM, NULL);
    Region *r = region_new_ram(f->machine->pool, "ram", RAM, NULL);
    region_add(as_root(f->machine->memory), 0, r, 0);
    f->ram = region_host(r);
    f->machine->cpu_count = cpus;
    while (f->cpus < cpus)
        add_cpu(f, model, recompiled, single);
    f->debugger = debugger_of(f->machine);
    f->listener = (DebuggerListener){ .stopped = on_stopped, .resumed = on_resumed, .opaque = f };
    debugger_listen(f->debugger, &f->listener);
    cpu_threads_new(f->machine, f->cpu, cpus, single, NULL, NULL);
    g_test_queue_destroy((GDestroyNotify)cpu_model_free, model);
    g_test_queue_destroy((GDestroyNotify)region_free, r);
    g_test_queue_destroy(free_all, f);
    return f;
}

static Stop *add_stop(Fixture *f, StopPoint point, const char *condition)
{
    Stop s = { .point = point, .enabled = true, .cpu = -1 };
    if (condition)
        s.condition = expression_parse(f->debugger, f->cpu[0], condition, NULL);
    machine_lock(f->machine);
    Stop *made = debugger_stop_add(f->debugger, &s);
    machine_unlock(f->machine);
    return made;
}

static StopPoint code_point(uint64_t la) { return (StopPoint){ .kind = STOP_CODE, .first = la, .last = la }; }

static void go(Fixture *f)
{
    machine_lock(f->machine);
    debugger_continue(f->debugger);
    machine_unlock(f->machine);
}

/* Lets the main loop run until there have been so many reports. */
static void await(Fixture *f, unsigned count)
{
    while (f->count < count)
        g_main_context_iteration(f->machine->context, TRUE);
}

/* again: inc eax; lock inc dword [8000h]; jmp again */
static const uint8_t counting[] = { 0x40, 0xf0, 0xff, 0x05, 0, 0x80, 0, 0, 0xeb, 0xf6 };

static void test_break(const void *single)
{
    Fixture *f = fixture_new(2, true, single != NULL);
    memcpy(f->ram + CODE, counting, sizeof counting);
    Stop *s = add_stop(f, code_point(CODE + 1), "rax == 1000");
    s->cpu = 1;
    go(f);
    g_assert_cmpuint(f->resumed, ==, 1);
    await(f, 1);
    g_assert_true(f->report[0].cpu == f->cpu[1]);
    g_assert_true(f->report[0].stop == s);
    g_assert_cmphex(f->cpu[1]->rip, ==, CODE + 1);
    g_assert_cmpuint(f->cpu[1]->gpr[R_AX], ==, 1000);
    g_assert_cmpuint(s->hits, ==, 1);
    g_assert_true(f->machine->run_state == RUN_PAUSED);
    g_assert_false(debugger_is_running(f->debugger));
}

/* The instruction that was reported is executed, and the next time it is met again. */
static void test_continue(void)
{
    Fixture *f = fixture_new(1, true, false);
    memcpy(f->ram + CODE, counting, sizeof counting);
    add_stop(f, code_point(CODE), NULL);
    for (unsigned k = 1; k <= 50; k++) {
        go(f);
        await(f, k);
        g_assert_cmphex(f->cpu[0]->rip, ==, CODE);
        g_assert_cmpuint(f->cpu[0]->gpr[R_AX], ==, k - 1);
    }
}

static void test_step(const void *single)
{
    Fixture *f = fixture_new(2, true, single != NULL);
    memcpy(f->ram + CODE, counting, sizeof counting);
    for (unsigned k = 1; k <= 30; k++) {
        machine_lock(f->machine);
        debugger_step(f->debugger, f->cpu[1], 1, true, false);
        machine_unlock(f->machine);
        await(f, k);
        g_assert_true(f->report[k - 1].cpu == f->cpu[1]);
        g_assert_cmpint(f->report[k - 1].hit.kind, ==, STOP_STEP);
        g_assert_cmpuint(f->cpu[1]->gpr[R_AX], ==, (k + 2) / 3);
    }
    g_assert_cmphex(f->cpu[0]->rip, ==, CODE); /* held */
    g_assert_cmpuint(f->cpu[0]->gpr[R_AX], ==, 0);
}

static void test_run_to(void)
{
    Fixture *f = fixture_new(1, true, false);
    memcpy(f->ram + CODE, counting, sizeof counting);
    machine_lock(f->machine);
    debugger_run_to(f->debugger, f->cpu[0], CODE + 8, 0);
    machine_unlock(f->machine);
    await(f, 1);
    g_assert_cmphex(f->cpu[0]->rip, ==, CODE + 8);
    g_assert_cmpuint(debugger_stops(f->debugger)->len, ==, 0);
}

/*
 * Every write of four processors is reported once, by the one that made it.  Between a write and its report's reading of
 * memory another may write too, so values rise for each processor, and may be alike for two.
 */
static void test_watch(const void *single)
{
    Fixture *f = fixture_new(CPUS_MAX, true, single != NULL);
    enum { WRITES = 200 };
    memcpy(f->ram + CODE, counting, sizeof counting);
    add_stop(f, (StopPoint){ .kind = STOP_DATA, .access = STOP_WRITE, .first = DATA, .last = DATA + 3 }, NULL);
    while (f->count < WRITES) {
        unsigned before = f->count;
        go(f);
        await(f, before + 1);
    }
    unsigned reports[CPUS_MAX] = { 0 };
    uint64_t value[CPUS_MAX] = { 0 };
    for (unsigned k = 0; k < WRITES; k++) {
        const StopHit *h = &f->report[k].hit;
        unsigned n = f->report[k].cpu->index;
        g_assert_cmphex(h->la, ==, CODE + 1);
        g_assert_cmpuint(h->size, ==, 4);
        g_assert_cmpuint(h->value, >, value[n]);
        value[n] = h->value;
        reports[n]++;
    }
    uint32_t total = 0, made;
    memcpy(&made, f->ram + DATA, 4);
    made = GUINT32_FROM_LE(made);
    for (unsigned n = 0; n < CPUS_MAX; n++) {
        uint64_t counted = f->cpu[n]->gpr[R_AX]; /* the last write may be to come, or to be reported */
        g_assert_cmpuint(reports[n], <=, counted);
        g_assert_cmpuint(reports[n] + 1, >=, counted);
        total += counted;
    }
    g_assert_cmpuint(made, <=, total);
    g_assert_cmpuint(made, >=, WRITES);
    g_assert_cmpuint(made, <, WRITES + CPUS_MAX);
}

/* Four that come to a point at about the same time: the machine stays as the first left it until it is told to go on. */
static void test_together(void)
{
    Fixture *f = fixture_new(CPUS_MAX, true, false);
    memcpy(f->ram + CODE, counting, sizeof counting);
    Stop *s = add_stop(f, code_point(CODE + 1), NULL);
    for (unsigned k = 1; k <= 100; k++) {
        s->temporary = k == 100; /* what the others hit is stale then */
        go(f);
        await(f, k);
        unsigned resumed = f->resumed;
        for (unsigned n = 0; n < 20; n++)
            g_main_context_iteration(f->machine->context, FALSE);
        g_assert_cmpuint(f->count, ==, k);
        g_assert_cmpuint(f->resumed, ==, resumed);
        g_assert_true(f->machine->run_state == RUN_PAUSED);
    }
}

/* Of a CPU that may run, whose registers are in order only while it does not. */
static uint64_t rax_now(Fixture *f, unsigned n)
{
    machine_lock(f->machine);
    debugger_freeze(f->debugger);
    uint64_t v = f->cpu[n]->gpr[R_AX];
    debugger_thaw(f->debugger);
    machine_unlock(f->machine);
    return v;
}

/* One stops, the others go on. */
static void test_non_stop(const void *single)
{
    Fixture *f = fixture_new(2, true, single != NULL);
    uint32_t before, now;
    memcpy(f->ram + CODE, counting, sizeof counting);
    Stop *s = add_stop(f, code_point(CODE), "rax == 100");
    s->cpu = 0;
    debugger_set_non_stop(f->debugger, true);
    go(f);
    await(f, 1);
    g_assert_true(f->report[0].cpu == f->cpu[0]);
    g_assert_true(f->machine->run_state == RUN_RUNNING);
    __atomic_load((uint32_t *)(f->ram + DATA), &before, __ATOMIC_SEQ_CST);
    do {
        g_usleep(1000);
        __atomic_load((uint32_t *)(f->ram + DATA), &now, __ATOMIC_SEQ_CST);
    } while (now == before);
    g_assert_cmpuint(f->cpu[0]->gpr[R_AX], ==, 100);
    s->enabled = false;
    machine_lock(f->machine);
    debugger_stops_changed(f->debugger);
    g_assert_cmpuint(f->cpu[0]->gpr[R_AX], ==, 100); /* held through a pause of a moment */
    debugger_hold(f->debugger, f->cpu[0], false);
    machine_unlock(f->machine);
    while (rax_now(f, 0) < 200)
        g_usleep(1000);
}

/* A pause of a moment hides no hit and tells nobody. */
static void test_freeze(void)
{
    Fixture *f = fixture_new(2, true, false);
    memcpy(f->ram + CODE, counting, sizeof counting);
    add_stop(f, code_point(CODE), "rax == 20000");
    go(f);
    for (unsigned k = 0; k < 500 && !f->count; k++) {
        machine_lock(f->machine);
        debugger_freeze(f->debugger);
        debugger_thaw(f->debugger);
        machine_unlock(f->machine);
        g_main_context_iteration(f->machine->context, FALSE);
    }
    await(f, 1);
    g_assert_cmpuint(f->report[0].cpu->gpr[R_AX], ==, 20000);
    g_assert_cmphex(f->report[0].cpu->rip, ==, CODE);
    g_assert_cmpuint(f->count, ==, 1);
    g_assert_cmpuint(f->resumed, ==, 1);
}

static void test_ignore(void)
{
    Fixture *f = fixture_new(1, true, false);
    memcpy(f->ram + CODE, counting, sizeof counting);
    Stop *s = add_stop(f, code_point(CODE), NULL);
    s->ignore = 49;
    go(f);
    await(f, 1);
    g_assert_cmpuint(f->cpu[0]->gpr[R_AX], ==, 49);
    g_assert_cmpuint(s->hits, ==, 50);
}

static void test_pause(void)
{
    Fixture *f = fixture_new(2, true, false);
    memcpy(f->ram + CODE, counting, sizeof counting);
    go(f);
    machine_lock(f->machine);
    debugger_interrupt(f->debugger);
    machine_unlock(f->machine);
    g_assert_cmpuint(f->count, ==, 1);
    g_assert_cmpint(f->report[0].hit.kind, ==, STOP_PAUSE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/debugger/break", NULL, test_break);
    g_test_add_data_func("/debugger/break/single", "single", test_break);
    g_test_add_func("/debugger/continue", test_continue);
    g_test_add_data_func("/debugger/step", NULL, test_step);
    g_test_add_data_func("/debugger/step/single", "single", test_step);
    g_test_add_func("/debugger/run-to", test_run_to);
    g_test_add_data_func("/debugger/watch", NULL, test_watch);
    g_test_add_data_func("/debugger/watch/single", "single", test_watch);
    g_test_add_func("/debugger/together", test_together);
    g_test_add_data_func("/debugger/non-stop", NULL, test_non_stop);
    g_test_add_data_func("/debugger/non-stop/single", "single", test_non_stop);
    g_test_add_func("/debugger/freeze", test_freeze);
    g_test_add_func("/debugger/ignore", test_ignore);
    g_test_add_func("/debugger/pause", test_pause);
    return g_test_run();
}
