/* What is traced of a machine (trace_control.h). */
#include "debugger/trace_control.h"

#include <inttypes.h>

#include "core/error.h"
#include "debugger/symbols/symbols.h"

TraceControl *trace_control_of(Machine *m, Debugger *d)
{
    TraceControl *t = machine_find(m, "trace");
    if (t)
        return t;
    t = g_new0(TraceControl, 1);
    t->machine = m;
    t->debugger = d;
    t->cpu = -1;
    machine_provide(m, "trace", t);
    return t;
}

/* The CPUs are gone. */
void trace_control_free(Machine *m)
{
    TraceControl *t = machine_find(m, "trace");
    if (!t)
        return;
    if (t->file)
        g_free(trace_file_close(t->file));
    timer_free(t->timer);
    profile_free(t->profile);
    g_free(t->path);
    g_free(t);
    machine_provide(m, "trace", NULL);
}

/* ---- branches and files ---- */

static bool traced_to_file(const TraceControl *t, const Cpu *cpu)
{
    return t->file && (t->cpu < 0 || (unsigned)t->cpu == cpu->index);
}

/* After any change: what each CPU does about it. */
static void apply(TraceControl *t)
{
    Cpu *cpu;
    for (unsigned k = 0; (cpu = debugger_cpu_at(t->debugger, k)); k++) {
        bool to_file = traced_to_file(t, cpu);
        trace_set_exact(cpu, t->full || (to_file && (t->what & TRACE_FILE_BRANCHES)));
        trace_set_steps(cpu, (to_file && (t->what & TRACE_FILE_INSNS)) || (t->profiling && t->period));
        cpu->trace->profile = t->profiling ? t->profile : NULL;
        cpu->trace->period = t->profiling ? t->period : 0;
    }
}

void trace_control_set_full(TraceControl *t, bool full)
{
    t->full = full;
    apply(t);
}

gboolean trace_control_start(TraceControl *t, const char *path, unsigned what, const TraceFilter *filter, int cpu,
                             GError **err)
{
    Cpu *each;
    g_free(trace_control_stop(t));
    t->file = trace_file_open(path, what, filter, MAX(t->machine->cpu_count, 1),
                              clock_now(t->machine->clocks, MYNA_CLOCK_VIRTUAL), err);
    if (!t->file)
        return FALSE;
    g_free(t->path);
    t->path = g_strdup(path);
    t->what = what;
    t->cpu = cpu;
    for (unsigned k = 0; (each = debugger_cpu_at(t->debugger, k)); k++)
        each->trace->file = traced_to_file(t, each) ? trace_buffer_new(t->file, k) : NULL;
    apply(t);
    return TRUE;
}

char *trace_control_stop(TraceControl *t)
{
    TraceFile *file = t->file;
    Cpu *cpu;
    if (!file)
        return NULL;
    t->file = NULL;
    apply(t); /* what is not in the buffers yet goes there */
    for (unsigned k = 0; (cpu = debugger_cpu_at(t->debugger, k)); k++) {
        if (cpu->trace->exact)
            trace_settle(cpu);
        trace_buffer_free(cpu->trace->file);
        cpu->trace->file = NULL;
    }
    return trace_file_close(file);
}

/* ---- profile ---- */

/* CPUs that sleep, or are in no time slice, are left alone: they execute nothing. */
static void on_tick(void *opaque)
{
    TraceControl *t = opaque;
    Cpu *cpu;
    for (unsigned k = 0; (cpu = debugger_cpu_at(t->debugger, k)); k++)
        if (!atomic_load(&cpu->quiet))
            cpu_post_event(cpu, EVENT_SAMPLE);
    timer_arm(t->timer, clock_now(t->machine->clocks, MYNA_CLOCK_VIRTUAL) + NS_PER_SECOND / t->hz);
}

void trace_control_profile(TraceControl *t, unsigned hz, uint64_t period)
{
    Cpu *cpu;
    trace_control_end_profile(t);
    profile_free(t->profile);
    t->profile = profile_new();
    t->profiling = true;
    t->hz = hz;
    t->period = hz ? 0 : period;
    for (unsigned k = 0; (cpu = debugger_cpu_at(t->debugger, k)); k++)
        cpu->trace->left = period;
    apply(t);
    if (!hz)
        return;
    if (!t->timer)
        t->timer = timer_new(t->machine->clocks, MYNA_CLOCK_VIRTUAL, on_tick, t);
    timer_arm(t->timer, clock_now(t->machine->clocks, MYNA_CLOCK_VIRTUAL) + NS_PER_SECOND / hz);
}

void trace_control_end_profile(TraceControl *t)
{
    if (t->timer)
        timer_cancel(t->timer);
    t->profiling = false;
    apply(t);
}

typedef struct Folder {
    const Symbols *symbols;
    GHashTable *lines; /* char * to uint64_t * */
} Folder;

/* A return address may be the first byte of the next function. */
static void append_frame(const Folder *f, uint64_t la, bool returns, GString *out)
{
    uint64_t distance;
    const char *name = symbols_name(f->symbols, la - returns, &distance);
    if (out->len)
        g_string_append_c(out, ';');
    if (name)
        g_string_append(out, name);
    else
        g_string_append_printf(out, "0x%" PRIx64, la);
}

static void fold(void *opaque, const uint64_t *frames, unsigned count, uint64_t samples)
{
    Folder *f = opaque;
    GString *line = g_string_new(NULL);
    for (unsigned k = count; k-- > 0;)
        append_frame(f, frames[k], k > 0, line);
    if (!count)
        g_string_append(line, "others");
    uint64_t *sum = g_hash_table_lookup(f->lines, line->str);
    if (!sum)
        g_hash_table_insert(f->lines, g_strdup(line->str), sum = g_new0(uint64_t, 1));
    *sum += samples;
    g_string_free(line, TRUE);
}

static gint compare_lines(gconstpointer a, gconstpointer b) { return g_strcmp0(a, b); }

static char *fold_profile(TraceControl *t)
{
    GString *out = g_string_new(NULL);
    Folder f = { debugger_symbols(t->debugger), g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free) };
    profile_foreach(t->profile, fold, &f);
    GList *lines = g_list_sort(g_hash_table_get_keys(f.lines), compare_lines);
    for (GList *l = lines; l; l = l->next)
        g_string_append_printf(out, "%s %" PRIu64 "\n", (char *)l->data,
                               *(uint64_t *)g_hash_table_lookup(f.lines, l->data));
    g_list_free(lines);
    g_hash_table_destroy(f.lines);
    return g_string_free(out, FALSE);
}

gboolean trace_control_save_profile(TraceControl *t, const char *path, GError **err)
{
    if (!t->profile)
        return error_set(err, "there is no profile: 'profile on' begins one");
    g_autofree char *text = fold_profile(t);
    return g_file_set_contents(path, text, -1, err);
}
