/* The debugger of a machine (debugger.h). */
#include "debugger/debugger.h"

#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "cpu/mmu.h"
#include "cpu/registers.h"
#include "cpu/trace.h"
#include "debugger/commands/command.h"
#include "debugger/expression/expression.h"
#include "debugger/symbols/symbols.h"
#include "debugger/trace_control.h"
#include "debugger/unwind/unwind.h"

/* A hit that was not reported yet. */
typedef struct Pending {
    Cpu *cpu;
    StopHit hit;
    StopPoint point;   /* what was hit */
} Pending;

/* Numbers from here on are of stops that the user does not see. */
#define HIDDEN_IDS (1u << 31)

struct Debugger {
    Machine *machine;
    Cpu *current;
    Symbols *symbols;
    GPtrArray *stops;          /* Stop *; changes while no CPU runs */
    unsigned next_id, next_hidden; /* of the user's stops, and of those that faces set for themselves */
    GPtrArray *listeners;      /* const DebuggerListener * */
    MachineListener listener;
    GHashTable *faces;         /* who is there to look (debugger_attended) */
    TripleFaultStop triple_fault;
    bool non_stop;
    bool listening;            /* CPUs tell their hits */
    unsigned last_stop;        /* what was reported last, or 0 */
    unsigned frozen;           /* paused for a moment: nobody is told */
    bool thaws;                /* ran before that */
    GSource *source;           /* reports hits in the main loop */
    GMutex lock;               /* for the rest, and for Stop.hits and .ignore: CPU threads */
    GQueue *pending;           /* Pending * */
    uint64_t reported[256];    /* by CPU: where it was reported to stop before an instruction; all ones: nowhere */
};

/* ---- the machine's CPUs ---- */

Machine *debugger_machine(Debugger *d) { return d->machine; }
Symbols *debugger_symbols(Debugger *d) { return d->symbols; }

Cpu *debugger_cpu_at(Debugger *d, unsigned n)
{
    g_autofree char *name = g_strdup_printf("cpu%u", n);
    return machine_find(d->machine, name);
}

Cpu *debugger_cpu(Debugger *d)
{
    if (!d->current)
        d->current = debugger_cpu_at(d, 0);
    return d->current;
}

void debugger_choose_cpu(Debugger *d, Cpu *cpu) { d->current = cpu; }

/* ---- telling ---- */

typedef void Teller(const DebuggerListener *l, const void *what);

static void tell(Debugger *d, Teller *teller, const void *what)
{
    g_autoptr(GPtrArray) all = g_ptr_array_copy(d->listeners, NULL, NULL);
    for (guint k = 0; k < all->len; k++)
        if (g_ptr_array_find(d->listeners, all->pdata[k], NULL))
            teller(all->pdata[k], what);
}

static void tell_stopped(const DebuggerListener *l, const void *what)
{
    if (l->stopped)
        l->stopped(l->opaque, what);
}

static void tell_resumed(const DebuggerListener *l, const void *what)
{
    (void)what;
    if (l->resumed)
        l->resumed(l->opaque);
}

static void tell_reset(const DebuggerListener *l, const void *what)
{
    (void)what;
    if (l->reset)
        l->reset(l->opaque);
}

static void tell_output(const DebuggerListener *l, const void *what)
{
    if (l->output)
        l->output(l->opaque, what);
}

static void keep_branches(Debugger *d, bool kept)
{
    Cpu *cpu;
    debugger_freeze(d);
    for (unsigned k = 0; (cpu = debugger_cpu_at(d, k)); k++)
        trace_set_kept(cpu, kept);
    debugger_thaw(d);
}

void debugger_listen(Debugger *d, const DebuggerListener *l)
{
    g_ptr_array_add(d->listeners, (gpointer)l);
    if (d->listeners->len == 1)
        keep_branches(d, true);
}

void debugger_rest(Debugger *d)
{
    if (!d->listeners->len && !d->stops->len)
        keep_branches(d, false);
}

void debugger_unlisten(Debugger *d, const DebuggerListener *l) { g_ptr_array_remove(d->listeners, (gpointer)l); }

/* ---- hits ---- */

static Stop *find_stop(Debugger *d, unsigned id)
{
    for (guint k = 0; id && k < d->stops->len; k++) {
        Stop *s = d->stops->pdata[k];
        if (s->point.id == id)
            return s;
    }
    return NULL;
}

/* Whether a stop's conditions hold; one that cannot be worked out does, so that the user sees it. */
static bool stop_applies(const Stop *s, Cpu *cpu)
{
    uint64_t v;
    if ((s->cpu >= 0 && (unsigned)s->cpu != cpu->index) || (s->has_cr3 && (s->cr3 ^ cpu->cr3) & ~UINT64_C(0xfff)) ||
        (s->has_cs && s->cs != cpu->seg[SEG_CS].sel) || (s->sp && cpu->gpr[R_SP] < s->sp))
        return false;
    return !s->condition || !expression_value(s->condition, cpu, &v, NULL) || v;
}

/* A hit that counts, with the lock. */
static bool count_hit(Stop *s)
{
    s->hits++;
    if (!s->ignore)
        return true;
    s->ignore--;
    return false;
}

/* In the CPU's thread. */
static StopAnswer on_hit(void *opaque, Cpu *cpu, const StopHit *hit)
{
    Debugger *d = opaque;
    Stop *s = find_stop(d, hit->id);
    if (s && !stop_applies(s, cpu))
        return STOP_GO_ON;
    g_mutex_lock(&d->lock);
    bool stops = !s || count_hit(s);
    if (stops) {
        Pending *p = g_new0(Pending, 1);
        *p = (Pending){ .cpu = cpu, .hit = *hit };
        if (s)
            p->point = s->point;
        g_queue_push_tail(d->pending, p);
    }
    g_mutex_unlock(&d->lock);
    if (!stops)
        return STOP_GO_ON;
    g_source_set_ready_time(d->source, 0);
    return d->non_stop ? STOP_THIS : STOP_ALL;
}

static Pending *take_pending(Debugger *d)
{
    g_mutex_lock(&d->lock);
    Pending *p = g_queue_pop_head(d->pending);
    g_mutex_unlock(&d->lock);
    return p;
}

static bool is_pending(Debugger *d)
{
    g_mutex_lock(&d->lock);
    bool any = !g_queue_is_empty(d->pending);
    g_mutex_unlock(&d->lock);
    return any;
}

static bool stops_before(StopKind kind) { return kind == STOP_CODE || kind == STOP_EXCEPTION; }

/* What was hit, if that is still wanted: a face may have removed it, or have it again under another number. */
static Stop *same_stop(Debugger *d, const StopPoint *p)
{
    for (guint k = 0; k < d->stops->len; k++) {
        Stop *s = d->stops->pdata[k];
        if (s->enabled && s->point.kind == p->kind && s->point.first == p->first && s->point.last == p->last &&
            s->point.physical == p->physical && s->point.access == p->access)
            return s;
    }
    return NULL;
}

/* A CPU that waits before an instruction comes by again; what it has done, it has done. */
static bool is_stale(Debugger *d, const Pending *p)
{
    if (!p->hit.id)
        return false;
    return stops_before(p->hit.kind) ? cpu_linear_rip(p->cpu) != p->hit.la || !same_stop(d, &p->point)
                                     : !same_stop(d, &p->point);
}

/* Lines that a stop has run; one of them may let the machine go on. */
static void run_commands_of(Debugger *d, GPtrArray *lines)
{
    g_autoptr(GString) out = g_string_new(NULL);
    for (guint k = 0; k < lines->len; k++)
        command_execute(d->machine, NULL, lines->pdata[k], out);
    if (out->len)
        tell(d, tell_output, out->str);
}

/* Where nobody else would show it. */
static void log_report(Debugger *d, const StopReport *r)
{
    for (guint k = 0; k < d->listeners->len; k++)
        if (((const DebuggerListener *)d->listeners->pdata[k])->for_people)
            return;
    g_autoptr(GString) out = g_string_new(NULL);
    debugger_describe(d, r, out);
    log_user("%s", g_strchomp(out->str));
}

static void report(Debugger *d, const Pending *p)
{
    Stop *s = p->hit.id ? find_stop(d, p->hit.id) : NULL;
    if (p->hit.id && !s)
        s = same_stop(d, &p->point);
    d->current = p->cpu;
    if (stops_before(p->hit.kind))
        d->reported[p->cpu->index] = cpu_linear_rip(p->cpu);
    StopReport r = { .hit = p->hit, .cpu = p->cpu, .stop = s };
    if (p->hit.kind == STOP_TRIPLE_FAULT || !d->listeners->len)
        log_report(d, &r);
    unsigned id = d->last_stop = s ? s->point.id : 0;
    g_autoptr(GPtrArray) commands = s && s->commands ? g_ptr_array_ref(s->commands) : NULL;
    tell(d, tell_stopped, &r);
    s = find_stop(d, id);
    if (s && s->temporary)
        debugger_stop_remove(d, s);
    if (commands)
        run_commands_of(d, commands);
}

/* The first pending hit that still matters, if any. */
static bool report_next(Debugger *d)
{
    Pending *p;
    while ((p = take_pending(d))) {
        bool stale = is_stale(d, p);
        if (!stale)
            report(d, p);
        g_free(p);
        if (!stale)
            return true;
    }
    return false;
}

/* ---- stopping and going on ---- */

static void pause_quietly(Debugger *d)
{
    d->frozen++;
    machine_pause(d->machine);
    d->frozen--;
}

static void resume_quietly(Debugger *d)
{
    d->frozen++;
    machine_resume(d->machine);
    d->frozen--;
}

static void end_steps(Debugger *d)
{
    Cpu *cpu;
    for (unsigned k = 0; (cpu = debugger_cpu_at(d, k)); k++) {
        stops_step(cpu, 0, false);
        if (!d->non_stop)
            stops_hold(cpu, false);
    }
}

/*
 * A hit of all: the machine is paused when its listeners hear of it.  What another CPU hit until it stood still comes when the
 * machine is to go on, so that who looks at the first one keeps the machine as it is.
 */
static void serve_hits(Debugger *d)
{
    if (!is_pending(d))
        return;
    if (d->non_stop) {
        while (report_next(d))
            ;
        return;
    }
    if (d->machine->run_state != RUN_RUNNING)
        return;
    pause_quietly(d);
    end_steps(d);
    if (!report_next(d))
        resume_quietly(d);
}

static gboolean source_dispatch(GSource *source, GSourceFunc fn, gpointer data)
{
    Debugger *d = data;
    (void)fn;
    g_source_set_ready_time(source, -1);
    machine_lock(d->machine);
    if (!d->frozen)
        serve_hits(d);
    machine_unlock(d->machine);
    return G_SOURCE_CONTINUE;
}

static gboolean no_callback(gpointer data)
{
    (void)data;
    return G_SOURCE_CONTINUE;
}

static GSource *source_new(Debugger *d)
{
    static GSourceFuncs funcs = { .dispatch = source_dispatch };
    GSource *source = g_source_new(&funcs, sizeof(GSource));
    g_source_set_callback(source, no_callback, d, NULL);
    g_source_attach(source, d->machine->context);
    return source;
}

void debugger_freeze(Debugger *d)
{
    if (!d->frozen++) {
        d->thaws = d->machine->run_state == RUN_RUNNING;
        machine_pause(d->machine);
    }
}

void debugger_thaw(Debugger *d)
{
    if (--d->frozen || !d->thaws)
        return;
    if (is_pending(d) && !d->non_stop) {
        end_steps(d);
        if (report_next(d))
            return;
    }
    resume_quietly(d);
}

bool debugger_is_running(const Debugger *d)
{
    return d->machine->run_state == RUN_RUNNING || (d->frozen && d->thaws);
}

/* What was reported before an instruction is not reported again, unless somebody moved the CPU away. */
static void pass_reported(Debugger *d)
{
    Cpu *cpu;
    for (unsigned k = 0; (cpu = debugger_cpu_at(d, k)); k++) {
        if (d->reported[k] == cpu_linear_rip(cpu))
            stops_pass(cpu);
        d->reported[k] = ~UINT64_C(0);
    }
}

static void resume(Debugger *d)
{
    if (d->machine->run_state != RUN_PAUSED)
        return;
    pass_reported(d);
    machine_resume(d->machine);
}

void debugger_continue(Debugger *d)
{
    if (d->machine->run_state == RUN_PAUSED && !report_next(d))
        resume(d);
}

void debugger_ignore_here(Debugger *d, uint64_t count)
{
    Stop *s = find_stop(d, d->last_stop);
    if (s && count)
        s->ignore = count;
}

void debugger_step(Debugger *d, Cpu *cpu, uint64_t count, bool alone, bool interrupts)
{
    Cpu *other;
    if (d->machine->run_state != RUN_PAUSED || report_next(d))
        return;
    for (unsigned k = 0; alone && (other = debugger_cpu_at(d, k)); k++)
        stops_hold(other, other != cpu);
    if (!d->listening)
        debugger_stops_changed(d);
    stops_step(cpu, count, interrupts);
    resume(d);
}

void debugger_run_to(Debugger *d, Cpu *cpu, uint64_t la, uint64_t sp)
{
    if (d->machine->run_state != RUN_PAUSED || report_next(d))
        return;
    debugger_stop_add(d, &(Stop){ .point = { .kind = STOP_CODE, .first = la, .last = la }, .enabled = true,
                                  .temporary = true, .cpu = cpu->index, .sp = sp, .owner = d });
    resume(d);
}

void debugger_interrupt(Debugger *d)
{
    if (d->machine->run_state == RUN_RUNNING)
        machine_pause(d->machine);
}

void debugger_set_non_stop(Debugger *d, bool on)
{
    Cpu *cpu;
    d->non_stop = on;
    for (unsigned k = 0; !on && (cpu = debugger_cpu_at(d, k)); k++)
        stops_hold(cpu, false);
}

void debugger_hold(Debugger *d, Cpu *cpu, bool held)
{
    (void)d;
    stops_hold(cpu, held);
}

/* The machine was paused or resumed, by whomever. */
static void on_run_state(Debugger *d)
{
    if (d->frozen)
        return;
    if (d->machine->run_state == RUN_RUNNING) {
        tell(d, tell_resumed, NULL);
        return;
    }
    end_steps(d);
    if (d->machine->run_state == RUN_SHUTDOWN && !d->machine->no_shutdown)
        return; /* the process ends */
    tell(d, tell_stopped, &(StopReport){ .hit = { .kind = STOP_PAUSE }, .cpu = debugger_cpu(d) });
}

static void on_reset(Debugger *d)
{
    Pending *p;
    while ((p = take_pending(d)))
        g_free(p);
    tell(d, tell_reset, NULL);
}

static void on_event(void *opaque, const MachineEvent *e)
{
    if (e->kind == MACHINE_RUN_STATE)
        on_run_state(opaque);
    else if (e->kind == MACHINE_RESET)
        on_reset(opaque);
}

/* ---- the list of stops ---- */

static bool wants_triple_fault(const Debugger *d)
{
    if (d->triple_fault != TRIPLE_FAULT_AUTO)
        return d->triple_fault == TRIPLE_FAULT_STOP;
    return d->stops->len || g_hash_table_size(d->faces);
}

void debugger_stops_changed(Debugger *d)
{
    g_autoptr(GArray) points = g_array_new(FALSE, FALSE, sizeof(StopPoint));
    for (guint k = 0; k < d->stops->len; k++) {
        const Stop *s = d->stops->pdata[k];
        if (s->enabled)
            g_array_append_val(points, s->point);
    }
    if (wants_triple_fault(d)) {
        StopPoint triple = { .kind = STOP_TRIPLE_FAULT };
        g_array_append_val(points, triple);
    }
    Cpu *cpu = debugger_cpu_at(d, 0);
    if (!cpu)
        return;
    debugger_freeze(d);
    stops_set(cpu, (const StopPoint *)points->data, points->len, on_hit, d);
    d->listening = true;
    debugger_thaw(d);
}

static void stop_free(gpointer p)
{
    Stop *s = p;
    g_free(s->text);
    g_free(s->condition_text);
    expression_free(s->condition);
    if (s->commands)
        g_ptr_array_unref(s->commands);
    g_free(s);
}

Stop *debugger_stop_add(Debugger *d, const Stop *init)
{
    Stop *s = g_memdup2(init, sizeof *init);
    s->point.id = s->owner ? HIDDEN_IDS + ++d->next_hidden : ++d->next_id;
    debugger_freeze(d);
    g_ptr_array_add(d->stops, s);
    debugger_stops_changed(d);
    debugger_thaw(d);
    return s;
}

void debugger_stop_remove(Debugger *d, Stop *s)
{
    debugger_freeze(d);
    g_ptr_array_remove(d->stops, s);
    debugger_stops_changed(d);
    debugger_thaw(d);
}

void debugger_stops_remove_all(Debugger *d, const void *owner)
{
    debugger_freeze(d);
    for (guint k = d->stops->len; k-- > 0;)
        if (((const Stop *)d->stops->pdata[k])->owner == owner)
            g_ptr_array_remove_index(d->stops, k);
    debugger_stops_changed(d);
    debugger_thaw(d);
}

Stop *debugger_stop_find(Debugger *d, unsigned id) { return find_stop(d, id); }
GPtrArray *debugger_stops(Debugger *d) { return d->stops; }

void debugger_set_triple_fault(Debugger *d, TripleFaultStop what)
{
    d->triple_fault = what;
    debugger_stops_changed(d);
}

void debugger_attended(Debugger *d, const void *face, bool there)
{
    bool was = g_hash_table_contains(d->faces, face);
    if (was == there)
        return;
    if (there)
        g_hash_table_add(d->faces, (gpointer)face);
    else
        g_hash_table_remove(d->faces, face);
    debugger_stops_changed(d);
}

/* ---- memory ---- */

bool debugger_read(Cpu *cpu, uint64_t la, void *buf, size_t size) { return cpu_read_linear(cpu, la, buf, size); }
bool debugger_write(Cpu *cpu, uint64_t la, const void *buf, size_t size) { return cpu_write_linear(cpu, la, buf, size); }

unsigned debugger_read_instruction(Cpu *cpu, uint8_t bytes[15])
{
    unsigned n = 15;
    while (n && !debugger_read(cpu, cpu_linear_rip(cpu), bytes, n))
        n--;
    return n;
}

/* ---- life ---- */

static Debugger *debugger_new(Machine *m)
{
    Debugger *d = g_new0(Debugger, 1);
    d->machine = m;
    d->symbols = symbols_new();
    d->stops = g_ptr_array_new_with_free_func(stop_free);
    d->listeners = g_ptr_array_new();
    d->faces = g_hash_table_new(NULL, NULL);
    d->pending = g_queue_new();
    d->source = source_new(d);
    memset(d->reported, 0xff, sizeof d->reported);
    g_mutex_init(&d->lock);
    d->listener = (MachineListener){ .happened = on_event, .opaque = d };
    machine_listen(m, &d->listener);
    return d;
}

Debugger *debugger_of(Machine *m)
{
    Debugger *d = machine_find(m, "debugger");
    if (!d)
        machine_provide(m, "debugger", d = debugger_new(m));
    return d;
}

void debugger_free(Machine *m)
{
    Debugger *d = machine_find(m, "debugger");
    trace_control_free(m);
    if (!d)
        return;
    machine_unlisten(m, &d->listener);
    g_source_destroy(d->source);
    g_source_unref(d->source);
    g_queue_free_full(d->pending, g_free);
    g_ptr_array_free(d->stops, TRUE);
    g_ptr_array_free(d->listeners, TRUE);
    g_hash_table_destroy(d->faces);
    symbols_free(d->symbols);
    frame_forget(m);
    g_mutex_clear(&d->lock);
    g_free(d);
    machine_provide(m, "debugger", NULL);
}
