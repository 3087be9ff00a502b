/* CPUs as threads: number n + 1 is CPU n (gdb manual E.2: H and T; E.4: lists). */
#include <string.h>

#include "debugger/gdb/gdb_internal.h"

const char *gdb_cpu_state(const Cpu *cpu)
{
    switch (cpu->run_state) {
    case CPU_HALTED: return "halted";
    case CPU_WAIT_SIPI: return "waits for SIPI";
    case CPU_SHUTDOWN: return "shut down";
    default: return "running";
    }
}

void gdb_choose_cpu(GdbPort *g, Cpu *cpu)
{
    g->cpu = cpu;
    g->running = NULL;
}

static Cpu *cpu_of(const GdbPort *g, uint64_t id)
{
    return id && id <= GDB_CPUS ? debugger_cpu_at(g->debugger, id - 1) : NULL;
}

/* "Hg1": what packets are about; "Hc1": what s and c are about.  0 and -1: any, and all. */
static void run_H(GdbPort *g, const char *rest, size_t size)
{
    uint64_t id;
    char what = *rest;
    (void)size;
    rest += what != 0;
    bool ok = (what == 'g' || what == 'c') && gdb_parse_thread(&rest, &id) && !*rest;
    bool any = ok && (id == 0 || id == UINT64_MAX);
    Cpu *cpu = ok && !any ? cpu_of(g, id) : NULL;
    if (!any && !cpu) {
        gdb_reply_error(g, ok ? GDB_ESRCH : GDB_EINVAL);
        return;
    }
    if (what == 'c')
        g->running = cpu;
    else if (cpu)
        g->cpu = cpu;
    gdb_reply_ok(g);
}

static void run_T(GdbPort *g, const char *rest, size_t size)
{
    uint64_t id;
    (void)size;
    if (gdb_parse_thread(&rest, &id) && !*rest && cpu_of(g, id))
        gdb_reply_ok(g);
    else
        gdb_reply_error(g, GDB_ESRCH);
}

static void run_current(GdbPort *g, const char *rest, size_t size)
{
    (void)rest, (void)size;
    g_string_printf(g->reply, "QC%x", g->cpu->index + 1);
}

static void run_first(GdbPort *g, const char *rest, size_t size)
{
    (void)rest, (void)size;
    for (unsigned k = 0; debugger_cpu_at(g->debugger, k); k++)
        g_string_append_printf(g->reply, "%c%x", k ? ',' : 'm', k + 1);
}

static void run_more(GdbPort *g, const char *rest, size_t size)
{
    (void)rest, (void)size;
    g_string_assign(g->reply, "l");
}

static void run_extra(GdbPort *g, const char *rest, size_t size)
{
    uint64_t id;
    (void)size;
    Cpu *cpu = gdb_parse_thread(&rest, &id) && !*rest ? cpu_of(g, id) : NULL;
    if (!cpu) {
        gdb_reply_error(g, GDB_ESRCH);
        return;
    }
    g_autofree char *text = g_strdup_printf("CPU#%u [%s]", cpu->index, gdb_cpu_state(cpu));
    gdb_put_bytes(g->reply, (const uint8_t *)text, strlen(text));
}

const GdbCommand gdb_thread_commands[] = {
    { "H", false, run_H },
    { "T", false, run_T },
    { "qC", true, run_current },
    { "qfThreadInfo", true, run_first },
    { "qsThreadInfo", true, run_more },
    { "qThreadExtraInfo,", false, run_extra },
    { NULL, false, NULL },
};

void gdb_make_threads(GdbPort *g, GString *out)
{
    Cpu *cpu;
    g_string_append(out, "<?xml version=\"1.0\"?><threads>");
    for (unsigned k = 0; (cpu = debugger_cpu_at(g->debugger, k)); k++)
        g_string_append_printf(out, "<thread id=\"%x\" core=\"%u\" name=\"CPU#%u\">%s</thread>", k + 1, k, k,
                               gdb_cpu_state(cpu));
    g_string_append(out, "</threads>");
}
