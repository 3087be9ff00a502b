/* Commands about what CPUs did last, traces in files, and profiles. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "cpu/trace.h"
#include "debugger/commands/command.h"
#include "debugger/symbols/symbols.h"
#include "debugger/trace_control.h"

#define SHOWN 20

/* ---- looking ---- */

/* [N [CPU]]; false after a message. */
static bool parse_look(MonitorCommand *c, uint64_t *n, Cpu **cpu)
{
    const char *rest = c->arguments;
    uint64_t index;
    *n = SHOWN;
    *cpu = debugger_cpu(c->debugger);
    if (*rest && !command_next_value(c, &rest, n))
        return false;
    if (!*rest)
        return true;
    if (!command_next_value(c, &rest, &index))
        return false;
    *cpu = index < MAX(c->machine->cpu_count, 1) ? debugger_cpu_at(c->debugger, index) : NULL;
    if (!*cpu)
        g_string_append_printf(c->out, "there is no CPU %" PRIu64 ": there are 0 to %u\n", index,
                               MAX(c->machine->cpu_count, 1) - 1);
    return *cpu != NULL;
}

static void print_place(MonitorCommand *c, uint64_t la)
{
    g_string_append_printf(c->out, "0x%08" PRIx64, la);
    symbols_print(debugger_symbols(c->debugger), la, c->out);
}

static void print_branch(MonitorCommand *c, const TraceBranch *b, unsigned back)
{
    char name[24];
    char mark = b->flags & TRACE_LOST ? '!' : b->flags & TRACE_SKIPPED ? '~' : ' ';
    g_string_append_printf(c->out, "%c -%-4u %-8s ", mark, back, trace_branch_name(b, name));
    if (b->flags & TRACE_FROM_UNKNOWN)
        g_string_append(c->out, "?");
    else
        print_place(c, b->from);
    g_string_append(c->out, " -> ");
    print_place(c, b->to);
    g_string_append_c(c->out, '\n');
}

static void print_marks(MonitorCommand *c, unsigned flags)
{
    if (flags & TRACE_SKIPPED)
        g_string_append(c->out, "~ recompiled code ran before this one: its branches within a page are not recorded, "
                                "unless by 'trace branches full'\n");
    if (flags & TRACE_LOST)
        g_string_append(c->out, "! others before this one were overwritten\n");
}

static void info_branches(MonitorCommand *c)
{
    uint64_t n;
    Cpu *cpu;
    if (!parse_look(c, &n, &cpu))
        return;
    g_autofree TraceBranch *b = g_new(TraceBranch, TRACE_BRANCHES);
    unsigned count = trace_branches(cpu, b, MIN(n, TRACE_BRANCHES)), flags = 0;
    for (unsigned k = 0; k < count; k++) {
        print_branch(c, &b[k], count - k);
        flags |= b[k].flags;
    }
    if (!count)
        g_string_append_printf(c->out, "CPU %u has not branched yet\n", cpu->index);
    print_marks(c, flags);
}

static void print_page_fault(MonitorCommand *c, const TraceEvent *e)
{
    enum { PRESENT = 1, WRITE = 2, USER = 4, RESERVED = 8, FETCH = 16 }; /* SDM vol. 3A 4.7 */
    g_string_append_printf(c->out, " at 0x%" PRIx64 " (%s, %s, %s)", e->value,
                           e->error & WRITE ? "write" : e->error & FETCH ? "fetch" : "read",
                           e->error & USER ? "user" : "supervisor",
                           e->error & RESERVED ? "reserved bit set" : e->error & PRESENT ? "not allowed" : "not present");
}

static void print_event(MonitorCommand *c, const TraceEvent *e)
{
    char name[32];
    g_string_append_printf(c->out, "#%-5" PRIu64, e->number);
    if (e->time)
        g_string_append_printf(c->out, " %" PRId64 ".%06" PRId64 "s", e->time / NS_PER_SECOND,
                               e->time % NS_PER_SECOND / 1000);
    g_string_append_printf(c->out, " %s", trace_event_name(e, name));
    if (e->has_error)
        g_string_append_printf(c->out, " error 0x%04x", e->error);
    if (e->kind == TRACE_EXCEPTION && e->vector == 14)
        print_page_fault(c, e);
    g_string_append_printf(c->out, ", from %04x:0x%" PRIx64, e->cs, e->rip);
    if (e->la != e->rip)
        g_string_append_printf(c->out, " (0x%" PRIx64 ")", e->la);
    symbols_print(debugger_symbols(c->debugger), e->la, c->out);
    g_string_append_printf(c->out, " SP 0x%" PRIx64 " CPL %u", e->sp, e->cpl);
    if (e->kind != TRACE_TRIPLE_FAULT)
        g_string_append(c->out, e->delivered ? " -> " : ", not delivered");
    if (e->delivered)
        print_place(c, e->to);
    g_string_append_c(c->out, '\n');
}

static bool is_fault(const TraceEvent *e) { return e->kind == TRACE_EXCEPTION || e->kind == TRACE_TRIPLE_FAULT; }

static void print_events(MonitorCommand *c, bool faults)
{
    const TraceEvent *e[TRACE_EVENTS];
    uint64_t n;
    Cpu *cpu;
    unsigned chosen = 0;
    if (!parse_look(c, &n, &cpu))
        return;
    unsigned count = trace_events(cpu, e, TRACE_EVENTS);
    for (unsigned k = 0; k < count; k++)
        if (!faults || is_fault(e[k]))
            e[chosen++] = e[k];
    for (unsigned k = chosen - MIN(chosen, n); k < chosen; k++)
        print_event(c, e[k]);
    if (!chosen)
        g_string_append_printf(c->out, "CPU %u: none%s\n", cpu->index, count ? " of the last events" : " yet");
}

static void info_events(MonitorCommand *c) { print_events(c, false); }
static void info_faults(MonitorCommand *c) { print_events(c, true); }

/* ---- trace ---- */

typedef struct TraceWish {
    char *path;
    unsigned what;
    TraceFilter filter;
    int cpu;
} TraceWish;

/* "A-B" or "A..B", of expressions. */
static bool parse_range(MonitorCommand *c, const char *text, TraceFilter *f)
{
    const char *dots = strstr(text, ".."), *end = dots ? dots : strchr(text, '-');
    if (!end) {
        g_string_append_printf(c->out, "range=%s: is no range: range=FIRST-LAST or range=FIRST..LAST\n", text);
        return false;
    }
    g_autofree char *first = g_strndup(text, end - text);
    return command_value(c, first, &f->first) && command_value(c, end + (dots ? 2 : 1), &f->last);
}

static bool parse_cpl(MonitorCommand *c, const char *text, TraceFilter *f)
{
    uint64_t v;
    if (!command_value(c, text, &v))
        return false;
    if (v > 3)
        g_string_append_printf(c->out, "cpl=%s: is none of 0 to 3\n", text);
    f->cpl = v & 3;
    return v <= 3;
}

static bool parse_cr3(MonitorCommand *c, const char *text, TraceFilter *f)
{
    f->has_cr3 = true;
    return command_value(c, text, &f->cr3);
}

static bool parse_cpu(MonitorCommand *c, const char *text, int *cpu)
{
    uint64_t v;
    if (!command_value(c, text, &v))
        return false;
    if (v >= MAX(c->machine->cpu_count, 1)) {
        g_string_append_printf(c->out, "cpu=%s: there are 0 to %u\n", text, MAX(c->machine->cpu_count, 1) - 1);
        return false;
    }
    *cpu = v;
    return true;
}

static bool parse_wish(MonitorCommand *c, const char *word, TraceWish *w)
{
    static const struct { const char *name; unsigned what; } names[] = {
        { "branches", TRACE_FILE_BRANCHES }, { "insns", TRACE_FILE_INSNS }, { "events", TRACE_FILE_EVENTS },
    };
    for (unsigned k = 0; k < G_N_ELEMENTS(names); k++)
        if (!strcmp(word, names[k].name)) {
            w->what |= names[k].what;
            return true;
        }
    const char *value = strchr(word, '=');
    value = value ? value + 1 : "";
    if (g_str_has_prefix(word, "range="))
        return parse_range(c, value, &w->filter);
    if (g_str_has_prefix(word, "cr3="))
        return parse_cr3(c, value, &w->filter);
    if (g_str_has_prefix(word, "cpl="))
        return parse_cpl(c, value, &w->filter);
    if (g_str_has_prefix(word, "cpu="))
        return parse_cpu(c, value, &w->cpu);
    g_string_append_printf(c->out, "trace on: '%s' is none of branches, insns, events, range=, cr3=, cpl=, cpu=\n", word);
    return false;
}

static bool parse_wishes(MonitorCommand *c, const char *rest, TraceWish *w)
{
    w->path = command_word(&rest);
    if (!w->path)
        g_string_append(c->out, "usage: trace on FILE [branches] [insns] [events] [range=A-B] [cr3=X] [cpl=N] [cpu=N]\n");
    bool ok = w->path != NULL;
    for (char *word; ok && (word = command_word(&rest)); g_free(word))
        ok = parse_wish(c, word, w);
    if (!w->what)
        w->what = TRACE_FILE_BRANCHES | TRACE_FILE_EVENTS;
    return ok;
}

static void trace_on(MonitorCommand *c, TraceControl *t, const char *rest)
{
    g_autoptr(GError) err = NULL;
    TraceWish w = { .filter = { .last = UINT64_MAX, .cpl = -1 }, .cpu = -1 };
    if (parse_wishes(c, rest, &w) && !trace_control_start(t, w.path, w.what, &w.filter, w.cpu, &err))
        g_string_append_printf(c->out, "%s\n", err->message);
    g_free(w.path);
}

static void trace_off(MonitorCommand *c, TraceControl *t)
{
    if (!t->file)
        g_string_append(c->out, "there is no trace under way\n");
    g_autofree char *error = trace_control_stop(t);
    if (error)
        g_string_append_printf(c->out, "%s: the trace is not whole: %s\n", t->path, error);
}

static void trace_status(MonitorCommand *c, TraceControl *t)
{
    g_autofree char *error = NULL;
    if (t->file) {
        uint64_t size = trace_file_size(t->file, &error);
        g_string_append_printf(c->out, "%s:%s%s%s of ", t->path, t->what & TRACE_FILE_BRANCHES ? " branches" : "",
                               t->what & TRACE_FILE_INSNS ? " insns" : "", t->what & TRACE_FILE_EVENTS ? " events" : "");
        if (t->cpu < 0)
            g_string_append(c->out, "all CPUs");
        else
            g_string_append_printf(c->out, "CPU %d", t->cpu);
        g_string_append_printf(c->out, ", %" PRIu64 " bytes written%s%s\n", size, error ? "; stopped: " : "",
                               error ? error : "");
    } else {
        g_string_append(c->out, "no trace to a file\n");
    }
    g_string_append_printf(c->out, "recompiled code records %s\n",
                           debugger_cpu(c->debugger)->trace->exact ? "all its branches" : "branches that leave a page");
}

static void trace_branches_command(MonitorCommand *c, TraceControl *t, const char *rest)
{
    g_autofree char *word = command_word(&rest);
    bool full = word && !strcmp(word, "full");
    if (full || (word && !strcmp(word, "far")))
        trace_control_set_full(t, full);
    else
        g_string_append(c->out, "usage: trace branches full|far: of recompiled code, all or those that leave a page\n");
}

static void trace_clear_command(MonitorCommand *c)
{
    Cpu *cpu;
    for (unsigned k = 0; (cpu = debugger_cpu_at(c->debugger, k)); k++) {
        if (cpu->trace->exact)
            trace_settle(cpu);
        trace_clear(cpu);
    }
}

static void command_trace(MonitorCommand *c)
{
    TraceControl *t = trace_control_of(c->machine, c->debugger);
    const char *rest = c->arguments;
    g_autofree char *word = command_word(&rest);
    const char *what = word ? word : "status";
    if (!strcmp(what, "on"))
        trace_on(c, t, rest);
    else if (!strcmp(what, "off"))
        trace_off(c, t);
    else if (!strcmp(what, "status"))
        trace_status(c, t);
    else if (!strcmp(what, "clear"))
        trace_clear_command(c);
    else if (!strcmp(what, "branches"))
        trace_branches_command(c, t, rest);
    else
        g_string_append_printf(c->out, "trace: '%s' is none of on, off, status, clear, branches\n", what);
}

/* ---- profile ---- */

#define DEFAULT_HZ 1000
#define MAX_HZ 10000

static void profile_on(MonitorCommand *c, TraceControl *t, const char *rest)
{
    g_autofree char *word = command_word(&rest);
    bool by_insns = word && g_str_has_prefix(word, "insns=");
    uint64_t n = DEFAULT_HZ;
    if (word && !command_value(c, by_insns ? word + strlen("insns=") : word, &n))
        return;
    if (!n || (!by_insns && n > MAX_HZ))
        g_string_append_printf(c->out, "profile on %s: 1 to %u samples a second, or insns=N with N at least 1\n", word,
                               MAX_HZ);
    else
        trace_control_profile(t, by_insns ? 0 : n, by_insns ? n : 0);
}

static void profile_save(MonitorCommand *c, TraceControl *t, const char *rest)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *path = command_word(&rest);
    if (!path)
        g_string_append(c->out, "usage: profile save FILE\n");
    else if (!trace_control_save_profile(t, path, &err))
        g_string_append_printf(c->out, "%s\n", err->message);
}

static void profile_status(MonitorCommand *c, TraceControl *t)
{
    if (!t->profile)
        g_string_append(c->out, "no profile: 'profile on' begins one\n");
    else
        g_string_append_printf(c->out, "profile %s, %" PRIu64 " samples\n", t->profiling ? "on" : "off",
                               profile_samples(t->profile));
}

static void command_profile(MonitorCommand *c)
{
    TraceControl *t = trace_control_of(c->machine, c->debugger);
    const char *rest = c->arguments;
    g_autofree char *word = command_word(&rest);
    const char *what = word ? word : "status";
    if (!strcmp(what, "on"))
        profile_on(c, t, rest);
    else if (!strcmp(what, "off"))
        trace_control_end_profile(t);
    else if (!strcmp(what, "save"))
        profile_save(c, t, rest);
    else if (!strcmp(what, "status"))
        profile_status(c, t);
    else
        g_string_append_printf(c->out, "profile: '%s' is none of on, off, save, status\n", what);
}

const CommandRow trace_commands[] = {
    { .name = "profile", .arguments = "on [HZ|insns=N]|off|save FILE|status",
      .help = "count where CPUs are, by call stack", .run = command_profile, .completes = COMPLETE_FILE, .paused = true,
      .more = "  on [HZ]      samples a second of virtual time [1000]; a CPU that sleeps is not counted\n"
              "  on insns=N   a sample each N instructions, without the recompiler: the same each time\n"
              "  save FILE    \"main;foo;bar 123\" lines, for flame graphs, with the symbols known then\n" },
    { .name = "trace", .arguments = "on FILE ...|off|status|clear|branches full|far", .help = "trace to a file; what is recorded",
      .run = command_trace, .completes = COMPLETE_FILE, .paused = true,
      .more = "  on FILE [branches] [insns] [events] [range=A-B] [cr3=X] [cpl=N] [cpu=N]\n"
              "                 [branches events]; scripts/myna-trace reads the file.  insns goes without the recompiler\n"
              "  branches full  recompiled code records every branch; far: those that leave a page, which is the default\n"
              "  clear          forget the branches and events so far\n" },
    { .name = NULL },
};

const CommandRow trace_info[] = {
    { .name = "branches", .arguments = "[N [CPU]]", .help = "the last branches of a CPU, newest last", .run = info_branches,
      .paused = true },
    { .name = "events", .arguments = "[N [CPU]]",
      .help = "the last interrupts, exceptions, task switches, VM exits ... of a CPU", .run = info_events,
      .paused = true },
    { .name = "faults", .arguments = "[N [CPU]]", .help = "the last exceptions of a CPU", .run = info_faults,
      .paused = true },
    { .name = NULL },
};
