/*
 * Non-stop mode of the gdb port: threads stop and go one by one (gdb manual E.10).
 *
 * Time and devices go on; a CPU that does not run is held.  The client hears of a stop by a notification, asks for the
 * others by vStopped, and until it has them all hears of no more.
 */
#include <string.h>

#include "cpu/stops.h"
#include "debugger/gdb/gdb_internal.h"

static void forget_stops(GdbPort *g)
{
    char *reply;
    while ((reply = g_queue_pop_head(g->stopped)))
        g_free(reply);
}

/* All CPUs stand still at first. */
void gdb_nonstop_set(GdbPort *g, bool on)
{
    Cpu *cpu;
    if (g->non_stop == on)
        return;
    debugger_freeze(g->debugger);
    debugger_set_non_stop(g->debugger, g->non_stop = on);
    forget_stops(g);
    memset(g->runs, 0, sizeof g->runs);
    g->untold = g->late = false;
    for (unsigned k = 0; (cpu = debugger_cpu_at(g->debugger, k)); k++) {
        stops_step(cpu, 0, false);
        debugger_hold(g->debugger, cpu, on);
    }
    debugger_thaw(g->debugger);
    if (on)
        debugger_continue(g->debugger);
}

/* Takes over the reply. */
static void queue_stop(GdbPort *g, char *reply)
{
    g_queue_push_tail(g->stopped, reply);
    if (g->stopped->length > 1)
        return;
    g_autofree char *text = g_strconcat("Stop:", reply, NULL);
    gdb_notify(g, text);
}

static void stop_one(GdbPort *g, Cpu *cpu, const StopReport *r, unsigned signal)
{
    if (!g->runs[cpu->index])
        return;
    g->runs[cpu->index] = false;
    g->met[cpu->index] = r && (r->hit.kind == STOP_CODE || r->hit.kind == STOP_EXCEPTION);
    g->met_at[cpu->index] = r ? r->hit.la : 0;
    debugger_hold(g->debugger, cpu, true);
    queue_stop(g, gdb_stop_reply(g, r, cpu, signal));
}

static void stop_all(GdbPort *g, unsigned signal)
{
    Cpu *cpu;
    for (unsigned k = 0; (cpu = debugger_cpu_at(g->debugger, k)); k++)
        stop_one(g, cpu, NULL, signal);
}

/* A pause of the whole machine stops all that run. */
void gdb_nonstop_stopped(GdbPort *g, const StopReport *r)
{
    if (r->hit.kind == STOP_PAUSE) {
        stop_all(g, GDB_SIGINT);
        return;
    }
    gdb_explain(g, r);
    stop_one(g, r->cpu, r, r->hit.kind == STOP_TRIPLE_FAULT ? GDB_SIGSEGV : GDB_SIGTRAP);
}

void gdb_nonstop_interrupt(GdbPort *g) { stop_all(g, GDB_SIGINT); }

/* Steps over a range are single steps: gdb goes on by itself. */
static void start_one(GdbPort *g, Cpu *cpu, bool step)
{
    g->runs[cpu->index] = true;
    if (g->met[cpu->index] && g->met_at[cpu->index] == cpu_linear_rip(cpu))
        stops_pass(cpu);
    stops_step(cpu, step, g->step_interrupts);
    debugger_hold(g->debugger, cpu, false);
}

/* CPUs of which nothing is said stay as they are.  The machine may have been paused by another face. */
void gdb_nonstop_act(GdbPort *g, const GdbAction *actions)
{
    Cpu *cpu;
    gdb_reply_ok(g);
    debugger_freeze(g->debugger);
    for (unsigned k = 0; (cpu = debugger_cpu_at(g->debugger, k)); k++)
        if (actions[k].what && actions[k].what != 't' && !g->runs[k])
            start_one(g, cpu, actions[k].what != 'c');
    debugger_thaw(g->debugger);
    gdb_send(g, "OK", 2);
    g->no_reply = true;
    for (unsigned k = 0; (cpu = debugger_cpu_at(g->debugger, k)); k++)
        if (actions[k].what == 't')
            stop_one(g, cpu, NULL, 0);
    debugger_continue(g->debugger);
}

/* The first thread that stands still, or none, and whether there are more. */
static Cpu *first_still(GdbPort *g, bool *more)
{
    Cpu *cpu, *first = NULL;
    *more = false;
    for (unsigned k = 0; (cpu = debugger_cpu_at(g->debugger, k)); k++) {
        *more |= first && !g->runs[k];
        if (!first && !g->runs[k])
            first = cpu;
    }
    return first;
}

/* gdb 13 fails an assertion when it is told of more than one thread here: the others follow by themselves. */
void gdb_nonstop_ask(GdbPort *g)
{
    forget_stops(g);
    Cpu *first = first_still(g, &g->untold);
    if (first)
        g_queue_push_tail(g->stopped, gdb_stop_reply(g, NULL, first, GDB_SIGTRAP));
    g_string_assign(g->reply, first ? g_queue_peek_head(g->stopped) : "OK");
}

/* The one that was told is done with. */
void gdb_nonstop_next(GdbPort *g)
{
    g_free(g_queue_pop_head(g->stopped));
    const char *next = g_queue_peek_head(g->stopped);
    g_string_assign(g->reply, next ? next : "OK");
    g->late = g->untold && !next;
}

void gdb_nonstop_tell_late(GdbPort *g)
{
    Cpu *cpu;
    bool more, late = g->late && g->untold;
    g->late = g->untold = false;
    const Cpu *first = first_still(g, &more);
    for (unsigned k = 0; late && (cpu = debugger_cpu_at(g->debugger, k)); k++)
        if (!g->runs[k] && cpu != first)
            queue_stop(g, gdb_stop_reply(g, NULL, cpu, 0));
}
