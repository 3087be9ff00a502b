/* A Linux guest's processes, and which of them each CPU runs (linux.h). */
#include <inttypes.h>

#include "core/error.h"
#include "debugger/linux/linux.h"
#include "util/bits.h"
#include "util/endian.h"

/* ---- CPUs ---- */

static bool is_kernel_address(uint64_t a) { return a >> 63; }

/*
 * The kernel's GS base is the CPU's own data; SWAPGS has put it away in user mode, and a moment before and after, when
 * the user's is in its place.
 */
gboolean linux_per_cpu(const Linux *l, const Cpu *cpu, uint64_t *base, GError **err)
{
    uint64_t gs = cpu->seg[SEG_GS].base, put_away = cpu->kernel_gs_base;
    (void)l;
    *base = cpu->cpl < 3 && is_kernel_address(gs) ? gs : put_away;
    return is_kernel_address(*base) ||
           error_set(err, "CPU %u has not been set up by the kernel: its GS base is 0x%" PRIx64, cpu->index, gs);
}

/* Offset of a CPU's variable in its data. */
static gboolean per_cpu_offset(const Linux *l, const char *name, uint64_t *offset, GError **err)
{
    uint64_t start = 0;
    if (!linux_symbol(l, name, offset, err))
        return FALSE;
    symbols_find(l->symbols, "__per_cpu_start", &start); /* 0, but for Linux 6.15 and later */
    *offset -= start;
    return TRUE;
}

gboolean linux_current(const Linux *l, const Cpu *cpu, uint64_t *task, GError **err)
{
    uint64_t base, offset, any;
    BtfField f = { .size = 8 };
    bool hot = !symbols_find(l->symbols, "current_task", &any); /* Linux 6.2 to 6.14 */
    if (!linux_per_cpu(l, cpu, &base, err) ||
        !per_cpu_offset(l, hot ? "pcpu_hot" : "current_task", &offset, err) ||
        (hot && !linux_field(l, "pcpu_hot", "current_task", &f, err)))
        return FALSE;
    return linux_get(l, base + offset, &f, task, err);
}

/* ---- tasks ---- */

enum { PF_KTHREAD = 0x200000 };

/* What is read of a task_struct. */
typedef struct TaskLayout {
    BtfField pid, comm, state, exit_state, flags, cpu, tasks, signal, thread_head, thread_node;
} TaskLayout;

typedef struct TaskList {
    TaskLayout at;
    uint64_t current[64];   /* of each CPU; 0: unknown */
    unsigned cpus;
    bool threads;
    GString *out;
} TaskList;

static gboolean find_layout(const Linux *l, TaskLayout *t, GError **err)
{
    return linux_field(l, "task_struct", "pid", &t->pid, err) &&
           linux_field(l, "task_struct", "comm", &t->comm, err) &&
           (linux_field(l, "task_struct", "__state", &t->state, NULL) ||
            linux_field(l, "task_struct", "state", &t->state, err)) && /* before Linux 5.14 */
           linux_field(l, "task_struct", "exit_state", &t->exit_state, err) &&
           linux_field(l, "task_struct", "flags", &t->flags, err) &&
           (linux_field(l, "task_struct", "thread_info.cpu", &t->cpu, NULL) ||
            linux_field(l, "task_struct", "cpu", &t->cpu, err)) && /* before Linux 5.16 */
           linux_field(l, "task_struct", "tasks", &t->tasks, err) &&
           linux_field(l, "task_struct", "signal", &t->signal, err) &&
           linux_field(l, "signal_struct", "thread_head", &t->thread_head, err) &&
           linux_field(l, "task_struct", "thread_node", &t->thread_node, err);
}

/* As /proc/PID/stat has it (task_state_index() in include/linux/sched.h). */
static char state_letter(uint64_t state, uint64_t exit_state)
{
    enum { REPORTED = 0x7f, IDLE = 0x402, RTLOCK_WAIT = 0x1000 };
    static const char letters[] = "RSDTtXZPI";
    unsigned shown = (state | exit_state) & REPORTED;
    if ((state & IDLE) == IDLE)
        return 'I';
    if (state & RTLOCK_WAIT)
        return 'D';
    return letters[shown ? bit_highest(shown) + 1 : 0];
}

static bool runs_now(const TaskList *t, uint64_t task)
{
    for (unsigned k = 0; k < t->cpus; k++)
        if (t->current[k] == task)
            return true;
    return false;
}

static gboolean print_task(Linux *l, uint64_t task, void *opaque, GError **err)
{
    TaskList *t = opaque;
    uint64_t pid, state, exit_state, flags, cpu;
    g_autoptr(GString) name = g_string_new(NULL);
    if (!linux_get(l, task, &t->at.pid, &pid, err) || !linux_get(l, task, &t->at.state, &state, err) ||
        !linux_get(l, task, &t->at.exit_state, &exit_state, err) || !linux_get(l, task, &t->at.flags, &flags, err) ||
        !linux_get(l, task, &t->at.cpu, &cpu, err) || !linux_get_text(l, task, &t->at.comm, name, err))
        return FALSE;
    g_string_append_printf(t->out, "%c %6d  %c %4u  %-6s  %-16s 0x%016" PRIx64 "\n", runs_now(t, task) ? '*' : ' ',
                           (int)pid, state_letter(state, exit_state), (unsigned)cpu,
                           flags & PF_KTHREAD ? "kernel" : "user", name->str, task);
    return TRUE;
}

/* A process, or all of its threads. */
static gboolean print_process(Linux *l, uint64_t task, void *opaque, GError **err)
{
    TaskList *t = opaque;
    uint64_t signal;
    if (!t->threads)
        return print_task(l, task, t, err);
    return linux_get(l, task, &t->at.signal, &signal, err) &&
           linux_list(l, signal + t->at.thread_head.offset, t->at.thread_node.offset, print_task, t, err);
}

/* The idle tasks that CPUs run: none but the first one's is in the list. */
static gboolean print_idle_tasks(Linux *l, TaskList *t, uint64_t init_task, GError **err)
{
    for (unsigned k = 0; k < t->cpus; k++) {
        uint64_t pid;
        if (!t->current[k] || t->current[k] == init_task)
            continue;
        if (!linux_get(l, t->current[k], &t->at.pid, &pid, err) || (!pid && !print_task(l, t->current[k], t, err)))
            return FALSE;
    }
    return TRUE;
}

static void find_running(Linux *l, TaskList *t)
{
    Cpu *cpu;
    for (; t->cpus < G_N_ELEMENTS(t->current) && (cpu = debugger_cpu_at(l->debugger, t->cpus)); t->cpus++)
        if (!linux_current(l, cpu, &t->current[t->cpus], NULL))
            t->current[t->cpus] = 0;
}

gboolean linux_print_tasks(Linux *l, bool threads, GString *out, GError **err)
{
    TaskList t = { .threads = threads, .out = out };
    uint64_t init_task;
    if (!find_layout(l, &t.at, err) || !linux_symbol(l, "init_task", &init_task, err))
        return FALSE;
    find_running(l, &t);
    g_string_append(out, "     PID  S  CPU  KIND    COMM             TASK\n");
    return print_task(l, init_task, &t, err) && print_idle_tasks(l, &t, init_task, err) &&
           linux_list(l, init_task + t.at.tasks.offset, t.at.tasks.offset, print_process, &t, err);
}

gboolean linux_print_current(Linux *l, GString *out, GError **err)
{
    TaskLayout at;
    Cpu *cpu;
    if (!find_layout(l, &at, err))
        return FALSE;
    for (unsigned k = 0; (cpu = debugger_cpu_at(l->debugger, k)); k++) {
        g_autoptr(GError) why = NULL;
        g_autoptr(GString) name = g_string_new(NULL);
        uint64_t task, pid;
        g_string_append_printf(out, "CPU %u: ", k);
        if (linux_current(l, cpu, &task, &why) && linux_get(l, task, &at.pid, &pid, &why) &&
            linux_get_text(l, task, &at.comm, name, &why))
            g_string_append_printf(out, "pid %d (%s), in %s mode, task 0x%016" PRIx64 "\n", (int)pid, name->str,
                                   cpu->cpl == 3 ? "user" : "kernel", task);
        else
            g_string_append_printf(out, "%s\n", why->message);
    }
    return TRUE;
}
