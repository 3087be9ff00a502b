/*
 * Running through the gdb port: c, s, vCont, and what the client is told when the machine stops (gdb manual E.2, E.3).
 *
 * The machine stops as a whole, unless the client asked for non-stop mode (gdb_nonstop.c).  CPUs that a vCont says
 * nothing of are held back until the next stop.
 */
#include <inttypes.h>
#include <string.h>

#include "cpu/stops.h"
#include "debugger/gdb/gdb_internal.h"

/* ---- what happened ---- */

/*
 * "watch:ADDRESS;" or "swbreak:;", for what the client has set.  Not in 64-bit code what it has set by a cut address:
 * it would look for the breakpoint at the whole one, not find it, and go on.
 */
static void put_reason(const GdbPort *g, GString *out, const StopReport *r)
{
    static const char *const watches[] = { "watch", "rwatch", "awatch" };
    const GdbStop *s = gdb_stop_of(g, r->stop);
    if (!s || (s->cut && r->cpu->code_size == SZ64))
        return;
    if (s->type == '0' && g->swbreak)
        g_string_append(out, "swbreak:;");
    else if (s->type == '1' && g->hwbreak)
        g_string_append(out, "hwbreak:;");
    else if (s->type >= '2')
        g_string_append_printf(out, "%s:%" PRIx64 ";", watches[s->type - '2'], r->hit.address);
}

char *gdb_stop_reply(GdbPort *g, const StopReport *r, Cpu *cpu, unsigned signal)
{
    GString *out = g_string_new(NULL);
    g_string_printf(out, "T%02xthread:%x;core:%x;", signal, cpu->index + 1, cpu->index);
    if (r)
        put_reason(g, out, r);
    return g_string_free(out, FALSE);
}

static unsigned signal_of(const StopReport *r)
{
    switch (r->hit.kind) {
    case STOP_PAUSE: return GDB_SIGINT;
    case STOP_TRIPLE_FAULT: return GDB_SIGSEGV;
    default: return GDB_SIGTRAP;
    }
}

void gdb_explain(GdbPort *g, const StopReport *r)
{
    g_autoptr(GString) text = g_string_new(NULL);
    if (r->hit.kind == STOP_STEP || r->hit.kind == STOP_PAUSE || gdb_stop_of(g, r->stop))
        return;
    debugger_describe(g->debugger, r, text);
    if (text->len && text->str[text->len - 1] != '\n')
        g_string_append_c(text, '\n');
    gdb_send_output(g, text->str);
}

/* Still within the lines that gdb steps over: on with it. */
static bool ranges_on(GdbPort *g, const StopReport *r)
{
    Cpu *cpu = g->ranged;
    g->ranged = NULL;
    if (r->hit.kind != STOP_STEP || r->cpu != cpu)
        return false;
    uint64_t pc = cpu_linear_rip(cpu);
    if (pc < g->range_first || pc > g->range_last)
        return false;
    g->ranged = cpu;
    debugger_step(g->debugger, cpu, 1, false, g->step_interrupts);
    return true;
}

void gdb_on_stopped(void *opaque, const StopReport *r)
{
    GdbPort *g = opaque;
    if (g->non_stop) {
        gdb_nonstop_stopped(g, r);
        return;
    }
    if (!g->waiting || ranges_on(g, r))
        return;
    g->waiting = false;
    gdb_explain(g, r);
    gdb_choose_cpu(g, r->cpu);
    g_autofree char *reply = gdb_stop_reply(g, r, r->cpu, signal_of(r));
    gdb_send(g, reply, strlen(reply));
}

/* Only a client that waits for a stop takes output by itself. */
void gdb_on_output(void *opaque, const char *text)
{
    GdbPort *g = opaque;
    if (g->waiting)
        gdb_send_output(g, text);
}

/* A machine that does not go on (the guest has shut down) leaves no client waiting. */
static void end_vain_wait(GdbPort *g)
{
    if (!g->waiting || debugger_is_running(g->debugger))
        return;
    g->waiting = false;
    g_autofree char *reply = gdb_stop_reply(g, NULL, g->cpu, GDB_SIGINT);
    gdb_send(g, reply, strlen(reply));
}

void gdb_interrupt(GdbPort *g)
{
    if (g->non_stop)
        gdb_nonstop_interrupt(g);
    else if (g->waiting)
        debugger_interrupt(g->debugger);
    end_vain_wait(g);
}

static void run_question(GdbPort *g, const char *rest, size_t size)
{
    (void)rest, (void)size;
    if (g->non_stop) {
        gdb_nonstop_ask(g);
        return;
    }
    g_autofree char *reply = gdb_stop_reply(g, NULL, g->cpu, GDB_SIGTRAP);
    g_string_assign(g->reply, reply);
}

/* ---- going on ---- */

/* The first CPU that steps, or NULL; all that have nothing to do are held. */
static Cpu *distribute(GdbPort *g, const GdbAction *actions)
{
    Cpu *cpu, *stepper = NULL;
    for (unsigned k = 0; (cpu = debugger_cpu_at(g->debugger, k)); k++) {
        debugger_hold(g->debugger, cpu, !actions[k].what);
        if (!stepper && (actions[k].what == 's' || actions[k].what == 'r'))
            stepper = cpu;
    }
    return stepper;
}

static void act(GdbPort *g, const GdbAction *actions)
{
    if (g->non_stop) {
        gdb_nonstop_act(g, actions);
        return;
    }
    Cpu *stepper = distribute(g, actions);
    const GdbAction *step = stepper ? &actions[stepper->index] : NULL;
    g->no_reply = g->waiting = true;
    g->ranged = step && step->what == 'r' ? stepper : NULL;
    if (step) {
        g->range_first = step->first;
        g->range_last = step->end - 1;
        debugger_step(g->debugger, stepper, 1, false, g->step_interrupts);
    } else {
        debugger_continue(g->debugger);
    }
    end_vain_wait(g);
}

/* "r1000,1010" and "C05": signals mean nothing to a machine. */
static bool parse_action(const char **p, GdbAction *a)
{
    uint64_t signal;
    a->what = g_ascii_tolower(**p);
    if (!strchr("cCsSrt", **p) || !**p)
        return false;
    char given = *(*p)++;
    if (given == 'C' || given == 'S')
        return gdb_parse_hex(p, &signal);
    if (given == 'r')
        return gdb_parse_hex_then(p, &a->first, ',') && gdb_parse_hex(p, &a->end) && a->first < a->end;
    return true;
}

/* The leftmost action that names a CPU is its own. */
static void assign(GdbPort *g, GdbAction *actions, const GdbAction *a, uint64_t id)
{
    bool all = id == UINT64_MAX, any = id == 0;
    for (unsigned k = 0; k < GDB_CPUS && debugger_cpu_at(g->debugger, k); k++)
        if (!actions[k].what && (all || (any ? g->cpu->index == k : id == k + 1)))
            actions[k] = *a;
}

/* "vCont;s:1;c" */
static bool parse_actions(GdbPort *g, const char *p, GdbAction *actions)
{
    while (*p) {
        GdbAction a = { 0 };
        uint64_t id = UINT64_MAX;
        if (!parse_action(&p, &a) || (*p == ':' && (p++, !gdb_parse_thread(&p, &id))) || (*p && *p != ';'))
            return false;
        p += *p == ';';
        assign(g, actions, &a, id);
    }
    return true;
}

static bool any_action(const GdbAction *actions)
{
    for (unsigned k = 0; k < GDB_CPUS; k++)
        if (actions[k].what && actions[k].what != 't')
            return true;
    return false;
}

static void run_vcont(GdbPort *g, const char *rest, size_t size)
{
    GdbAction actions[GDB_CPUS] = { 0 };
    (void)size;
    if (!parse_actions(g, rest, actions) || (!g->non_stop && !any_action(actions)))
        gdb_reply_error(g, GDB_EINVAL);
    else
        act(g, actions);
}

static void run_vcont_ask(GdbPort *g, const char *rest, size_t size)
{
    (void)rest, (void)size;
    g_string_assign(g->reply, "vCont;c;C;s;S;t;r");
}

/* c and s of old: with an address, from there. */
static void act_plain(GdbPort *g, char what, const char *rest)
{
    GdbAction actions[GDB_CPUS] = { 0 };
    uint64_t address;
    Cpu *cpu = g->running ? g->running : g->cpu;
    if (*rest && (!gdb_parse_hex_then(&rest, &address, 0) || !gdb_set_pc(cpu, address, NULL))) {
        gdb_reply_error(g, GDB_EINVAL);
        return;
    }
    assign(g, actions, &(GdbAction){ .what = what }, what == 'c' ? UINT64_MAX : cpu->index + 1u);
    assign(g, actions, &(GdbAction){ .what = 'c' }, UINT64_MAX);
    act(g, actions);
}

static void run_c(GdbPort *g, const char *rest, size_t size)
{
    (void)size;
    act_plain(g, 'c', rest);
}

static void run_s(GdbPort *g, const char *rest, size_t size)
{
    (void)size;
    act_plain(g, 's', rest);
}

/* "C05;ADDRESS" */
static void run_C(GdbPort *g, const char *rest, size_t size)
{
    (void)size;
    rest += strcspn(rest, ";");
    act_plain(g, 'c', rest + (*rest == ';'));
}

static void run_S(GdbPort *g, const char *rest, size_t size)
{
    (void)size;
    rest += strcspn(rest, ";");
    act_plain(g, 's', rest + (*rest == ';'));
}

/* There is no history to go back to. */
static void run_back(GdbPort *g, const char *rest, size_t size)
{
    (void)rest, (void)size;
    g_autofree char *reply = gdb_stop_reply(g, NULL, g->cpu, GDB_SIGTRAP);
    g_string_printf(g->reply, "%sreplaylog:begin;", reply);
}

static void run_stopped(GdbPort *g, const char *rest, size_t size)
{
    (void)rest, (void)size;
    if (g->non_stop)
        gdb_nonstop_next(g);
    else
        gdb_reply_error(g, GDB_EINVAL);
}

static void run_ctrlc(GdbPort *g, const char *rest, size_t size)
{
    (void)rest, (void)size;
    gdb_reply_ok(g);
    gdb_interrupt(g);
}

const GdbCommand gdb_run_commands[] = {
    { "?", true, run_question },    { "c", false, run_c },         { "s", false, run_s },
    { "C", false, run_C },          { "S", false, run_S },         { "vCont;", false, run_vcont },
    { "vCont?", true, run_vcont_ask }, { "vStopped", true, run_stopped }, { "vCtrlC", true, run_ctrlc },
    { "bs", true, run_back },       { "bc", true, run_back },      { NULL, false, NULL },
};
