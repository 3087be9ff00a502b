/* Running lines, with what waits for a stop in them (command.h, command_run.h). */
#include "debugger/commands/command_run.h"
#include "debugger/monitor/monitor.h"

/* The runs that wait; there while there are any, in the machine's slot of this name. */
typedef struct WaitingRuns {
    Machine *machine;
    GPtrArray *runs;          /* CommandRun *, the first goes on first */
    DebuggerListener listener;
    GSource *source;          /* a stop is told in the middle of things: they go on from the main loop */
} WaitingRuns;

#define SLOT "command-runs"

/* ---- a run ---- */

static CommandRun *run_new(Machine *m, Monitor *from)
{
    CommandRun *run = g_new0(CommandRun, 1);
    run->machine = m;
    run->monitor = from;
    run->shell = from != NULL;
    g_queue_init(&run->statements);
    return run;
}

static void timer_end(CommandRun *run)
{
    if (!run->timer)
        return;
    g_source_destroy(run->timer);
    g_source_unref(run->timer);
    run->timer = NULL;
}

static void run_free(CommandRun *run)
{
    timer_end(run);
    g_queue_clear_full(&run->statements, (GDestroyNotify)statement_free);
    g_free(run);
}

static bool is_run_command(const CommandRow *row)
{
    for (const CommandRow *r = run_commands; row && r->name; r++)
        if (r == row)
            return true;
    return false;
}

/* Whether what follows has to wait for a stop. */
static bool statement_execute(CommandRun *run, const Statement *s, GString *out)
{
    Debugger *d = debugger_of(run->machine);
    bool ran = debugger_is_running(d);
    g_autoptr(GString) printed = g_string_new(NULL);
    MonitorCommand c = { .machine = run->machine, .debugger = d, .monitor = run->monitor, .out = printed, .run = run,
                         .color = s->sink == SINK_SCREEN && monitor_has_color(run->monitor) };
    if (s->sink != SINK_SCREEN && !run->shell) {
        g_string_append(out, "'|' and '>' work in a monitor and in scripts only\n");
        return false;
    }
    run->now = s;
    const CommandRow *row = command_run_text(&c, s->text);
    if (!row && s->place)
        g_string_append_printf(out, "%s: ", s->place);
    statement_deliver(s, printed, out);
    return debugger_is_running(d) && (run->waits || !ran || is_run_command(row));
}

static void run_park(CommandRun *run, bool first);

/* `wait` has the wait of the command before it as its own, with its time. */
static bool wait_is_next(CommandRun *run)
{
    const Statement *next = g_queue_peek_head(&run->statements);
    g_autofree char *name = next ? g_strndup(next->text, strcspn(next->text, " \t/")) : NULL;
    const CommandRow *row = name ? command_resolve(name, false, NULL) : NULL;
    return row && row == command_find("wait", false);
}

/* Goes on until its end, which frees it, or until it has to wait; whether it does. */
static bool run_go(CommandRun *run, GString *out)
{
    Statement *s;
    while ((s = g_queue_pop_head(&run->statements))) {
        run->waits = false;
        bool wait = statement_execute(run, s, out);
        statement_free(s);
        if (wait && (run->waits || (run->statements.length && !wait_is_next(run)))) {
            run_park(run, false);
            return true;
        }
    }
    run_free(run);
    return false;
}

/* ---- runs that wait ---- */

static WaitingRuns *waiting(Machine *m) { return machine_find(m, SLOT); }

/* Whether a script of the command line waits that has standard output as its screen. */
static bool has_console(const WaitingRuns *w)
{
    for (guint k = 0; k < w->runs->len; k++) {
        const CommandRun *run = w->runs->pdata[k];
        if (!run->monitor && run->shell && !run->quiet)
            return !monitor_is_used(w->machine);
    }
    return false;
}

static void on_stopped(void *opaque, const StopReport *r)
{
    WaitingRuns *w = opaque;
    g_source_set_ready_time(w->source, 0);
    if (!has_console(w))
        return;
    g_autoptr(GString) out = g_string_new(NULL);
    debugger_describe(debugger_of(w->machine), r, out);
    monitor_output(w->machine, NULL, out);
}

static void waiting_free(WaitingRuns *w)
{
    debugger_unlisten(debugger_of(w->machine), &w->listener);
    machine_provide(w->machine, SLOT, NULL);
    g_source_destroy(w->source);
    g_source_unref(w->source);
    g_ptr_array_free(w->runs, TRUE);
    g_free(w);
}

static void run_take(WaitingRuns *w, CommandRun *run)
{
    timer_end(run);
    g_ptr_array_remove(w->runs, run);
    w->listener.for_people = has_console(w);
}

static void run_resume(CommandRun *run, GString *out)
{
    Machine *m = run->machine;
    Monitor *mon = run->monitor;
    bool quiet = run->quiet, waits = run_go(run, out);
    if (!quiet)
        monitor_output(m, mon, out);
    if (!waits && mon)
        monitor_ready(mon);
}

static void resume_all(WaitingRuns *w)
{
    g_autoptr(GPtrArray) runs = g_ptr_array_copy(w->runs, NULL, NULL);
    for (guint k = 0; k < runs->len && !debugger_is_running(debugger_of(w->machine)); k++) {
        g_autoptr(GString) out = g_string_new(NULL);
        if (!g_ptr_array_find(w->runs, runs->pdata[k], NULL))
            continue;
        run_take(w, runs->pdata[k]);
        run_resume(runs->pdata[k], out);
    }
}

static gboolean waiting_dispatch(GSource *source, GSourceFunc fn, gpointer data)
{
    WaitingRuns *w = data;
    Machine *m = w->machine;
    (void)fn;
    g_source_set_ready_time(source, -1);
    machine_lock(m);
    resume_all(w);
    if (!w->runs->len)
        waiting_free(w);
    machine_unlock(m);
    return G_SOURCE_CONTINUE;
}

static gboolean no_callback(gpointer data)
{
    (void)data;
    return G_SOURCE_CONTINUE;
}

static WaitingRuns *waiting_new(Machine *m)
{
    static GSourceFuncs funcs = { .dispatch = waiting_dispatch };
    WaitingRuns *w = g_new0(WaitingRuns, 1);
    w->machine = m;
    w->runs = g_ptr_array_new();
    w->listener = (DebuggerListener){ .stopped = on_stopped, .opaque = w };
    w->source = g_source_new(&funcs, sizeof(GSource));
    g_source_set_callback(w->source, no_callback, w, NULL);
    g_source_attach(w->source, m->context);
    machine_provide(m, SLOT, w);
    debugger_listen(debugger_of(m), &w->listener);
    return w;
}

static gboolean on_timer(gpointer data)
{
    CommandRun *run = data;
    Machine *m = run->machine;
    machine_lock(m);
    g_autoptr(GString) out = g_string_new(NULL);
    g_string_append_printf(out, "wait: no stop within %g s\n", run->wait_ms / 1000.0);
    run_take(waiting(m), run);
    run_resume(run, out);
    machine_unlock(m);
    return G_SOURCE_REMOVE;
}

static void run_park(CommandRun *run, bool first)
{
    WaitingRuns *w = waiting(run->machine);
    if (!w)
        w = waiting_new(run->machine);
    g_ptr_array_insert(w->runs, first ? 0 : -1, run);
    w->listener.for_people = has_console(w);
    if (!run->waits || !run->wait_ms)
        return;
    run->timer = g_timeout_source_new(run->wait_ms);
    g_source_set_callback(run->timer, on_timer, run, NULL);
    g_source_attach(run->timer, run->machine->context);
}

bool command_waits(Machine *m, const Monitor *mon)
{
    WaitingRuns *w = waiting(m);
    for (guint k = 0; w && k < w->runs->len; k++)
        if (((const CommandRun *)w->runs->pdata[k])->monitor == mon)
            return true;
    return false;
}

unsigned command_cancel(Machine *m, const Monitor *mon)
{
    WaitingRuns *w = waiting(m);
    unsigned lines = 0;
    for (guint k = w ? w->runs->len : 0; k-- > 0;) {
        CommandRun *run = w->runs->pdata[k];
        if (run->monitor != mon)
            continue;
        lines += run->statements.length;
        run_take(w, run);
        run_free(run);
    }
    return lines;
}

void command_detach(Machine *m, const Monitor *mon)
{
    WaitingRuns *w = waiting(m);
    for (guint k = 0; w && k < w->runs->len; k++) {
        CommandRun *run = w->runs->pdata[k];
        run->quiet |= run->monitor == mon;
        run->monitor = run->monitor == mon ? NULL : run->monitor;
    }
}

void command_cancel_all(Machine *m)
{
    WaitingRuns *w = waiting(m);
    if (!w)
        return;
    for (guint k = 0; k < w->runs->len; k++)
        run_free(w->runs->pdata[k]);
    waiting_free(w);
}

/* ---- entries ---- */

void command_execute(Machine *m, Monitor *from, const char *line, GString *out)
{
    CommandRun *run = run_new(m, from);
    statements_parse(line, &run->statements);
    run_go(run, out);
}

void command_execute_later(Machine *m, Monitor *from, const GPtrArray *lines)
{
    CommandRun *run = run_new(m, from);
    run->shell = true;
    for (guint k = 0; k < lines->len; k++)
        statements_parse(lines->pdata[k], &run->statements);
    run_park(run, true);
    g_source_set_ready_time(waiting(m)->source, 0);
}

gboolean command_execute_file(Machine *m, const char *path, bool *waits, GError **err)
{
    CommandRun *run = run_new(m, NULL);
    g_autoptr(GString) out = g_string_new(NULL);
    run->shell = true;
    *waits = false;
    if (!script_read(path, 1, &run->statements, err)) {
        run_free(run);
        return FALSE;
    }
    debugger_attended(debugger_of(m), m, true);
    *waits = run_go(run, out);
    monitor_output(m, NULL, out);
    return TRUE;
}
