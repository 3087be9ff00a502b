/*
 * fuzz-cpu [--programs N] [--seed S] [--strict] [--print]
 *
 * Runs random programs in the interpreter and in the recompiler (program.h), and compares: forever, or N of them; then
 * prints `N passed, N failed`.  What differs is made smaller and printed with its seed; so is what crashes: programs run
 * in a process of their own.
 */
#include <glib.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/log.h"
#include "cpu/state.h"
#include "tcg/tcg.h"
#include "tests/fuzz/compare.h"

/* The reference, and those that are compared with it: hot_after. */
static const unsigned hot_of[] = { 0, 1, 3 };
#define VMS ARRAY_SIZE(hot_of)

static struct Options {
    gint64 programs, seed;
    gboolean strict, print;
    char *log;
    int failures;
} options = { .programs = -1, .seed = -1, .failures = 10 };

/* What the worker tells its parent. */
static struct Shared {
    uint64_t done, failed, timed_out, interpreted[VMS];
    gint64 next; /* program under way */
    volatile sig_atomic_t stopped;
} *shared;

static Vm *vms[VMS];

static void make_vms(void)
{
    for (unsigned k = 0; k < VMS; k++)
        if (!vms[k])
            vms[k] = vm_new(hot_of[k]);
}

/* ---- comparing ---- */

/* The machine that differs from the first; 0: none, -1: the program does not end. */
static int differing_vm(const Program *p)
{
    make_vms();
    if (!vm_run(vms[0], p))
        return -1;
    for (unsigned k = 1; k < VMS; k++)
        if (!vm_run(vms[k], p) || first_difference(vm_events(vms[0]), vm_events(vms[k])) >= 0)
            return k;
    return 0;
}

/* The same in a process of its own, where a crash is a difference. */
static bool differs_apart(const Program *p)
{
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        memset(vms, 0, sizeof vms);
        signal(SIGSEGV, SIG_DFL);
        alarm(20);
        _exit(differing_vm(p) > 0);
    }
    waitpid(pid, &status, 0);
    return status != 0;
}

/* ---- making it smaller ---- */

typedef bool Differs(const Program *p);
static bool differs_here(const Program *p) { return differing_vm(p) > 0; }

static bool try_change(Program *p, const Program *changed, Differs *differs)
{
    static Program trial;
    trial = *changed;
    if (!program_lay_out(&trial) || !differs(&trial))
        return false;
    *p = trial;
    return true;
}

static bool drop_range(Program *p, unsigned from, unsigned count, Differs *differs)
{
    static Program trial;
    bool any = false;
    trial = *p;
    for (unsigned k = from; k < from + count && k < p->count - 1; k++) {
        any |= !trial.item[k].dropped;
        trial.item[k].dropped = true;
    }
    return any && try_change(p, &trial, differs);
}

static void drop_items(Program *p, Differs *differs)
{
    bool progress = true;
    while (progress) {
        progress = false;
        for (unsigned size = p->count / 2; size; size /= 2)
            for (unsigned from = 0; from < p->count; from += size)
                progress |= drop_range(p, from, size, differs);
    }
}

static void simplify(Program *p, Differs *differs)
{
    static Program trial;
    trial = *p;
    trial.start = 0x100;
    try_change(p, &trial, differs);
    trial = *p;
    trial.watch = trial.align = trial.smap = false;
    try_change(p, &trial, differs);
    for (unsigned passes = 1; passes < p->passes; passes++) {
        trial = *p;
        trial.passes = passes;
        if (try_change(p, &trial, differs))
            break;
    }
}

/* ---- reporting ---- */

static void print_pair(const char *name, uint64_t want, uint64_t got)
{
    if (want != got)
        printf("    %-10s interpreted %016" PRIx64 " recompiled %016" PRIx64 "\n", name, want, got);
}

static void print_registers(const Registers *a, const Registers *b, uint32_t undefined)
{
    static const char *const names[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                           "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };
    char name[16];
    for (unsigned k = 0; k < 16; k++)
        print_pair(names[k], a->gpr[k], b->gpr[k]);
    print_pair("rip", a->rip, b->rip);
    print_pair("eflags", a->eflags & ~undefined, b->eflags & ~undefined);
    for (unsigned k = 0; k < 32 * 8; k++) {
        snprintf(name, sizeof name, "v%u.%u", k / 8, k % 8);
        print_pair(name, a->vec[k / 8][k % 8], b->vec[k / 8][k % 8]);
    }
    for (unsigned k = 0; k < 8; k++) {
        snprintf(name, sizeof name, "k%u", k);
        print_pair(name, a->opmask[k], b->opmask[k]);
    }
    print_pair("mxcsr", a->mxcsr, b->mxcsr);
    for (unsigned k = 0; k < 8; k++) {
        snprintf(name, sizeof name, "R%u", k);
        print_pair(name, a->st_mant[k], b->st_mant[k]);
        print_pair(name, a->st_sexp[k], b->st_sexp[k]);
    }
    print_pair("fcw", a->fcw, b->fcw);
    print_pair("fsw", a->fsw, b->fsw);
    print_pair("tags", a->tags, b->tags);
}

static void print_event(const char *who, const Event *e)
{
    static const char *const names[] = { "fault", "device read", "device write", "end" };
    if (!e) {
        printf("    %s: nothing more\n", who);
        return;
    }
    printf("    %s: %s", who, names[e->what]);
    if (e->what == EVENT_FAULT)
        printf(" %u error %x cr2 %" PRIx64 " at %" PRIx64, e->vector, e->error, e->cr2, e->r.rip);
    else if (e->what != EVENT_END)
        printf(" at %x of %u bytes, value %" PRIx64, e->vector, e->error, e->cr2);
    printf(", pass %u\n", e->pass);
}

static void print_memory(const Program *p, const Vm *a, const Vm *b)
{
    unsigned shown = 0;
    for (unsigned k = 0; k < CODE_BYTES && shown < 8; k++)
        if (vm_code(a)[k] != vm_code(b)[k])
            printf("    code %" PRIx64 " interpreted %02x recompiled %02x\n", p->code + k, vm_code(a)[k], vm_code(b)[k]), shown++;
    for (unsigned k = 0; k < DATA_PAGES * 4096 && shown < 8; k++) {
        const uint8_t *x = vm_data(a, k / 4096), *y = vm_data(b, k / 4096);
        if (x && x[k % 4096] != y[k % 4096])
            printf("    data %" PRIx64 " interpreted %02x recompiled %02x\n", p->data + k, x[k % 4096], y[k % 4096]), shown++;
    }
}

static void print_state_before(const Program *p, unsigned pass)
{
    Registers in;
    program_registers(p, pass, &in);
    printf("  registers at the start of pass %u: eflags %x mxcsr %x\n", pass, in.eflags, in.mxcsr);
    for (unsigned k = 0; k < 16; k++)
        printf("    r%u %" PRIx64 "%s", k, in.gpr[k], k % 4 == 3 ? "\n" : "");
}

static void print_difference(const Program *p, int which)
{
    if (which <= 0) {
        printf("  (no longer differs)\n");
        return;
    }
    const GArray *a = vm_events(vms[0]), *b = vm_events(vms[which]);
    int at = first_difference(a, b);
    printf("  with hot=%u:\n", hot_of[which]);
    if (at < 0) {
        printf("    only one of them ends\n");
        return;
    }
    const Event *x = (unsigned)at < a->len ? &g_array_index(a, Event, at) : NULL;
    const Event *y = (unsigned)at < b->len ? &g_array_index(b, Event, at) : NULL;
    print_event("interpreted", x);
    print_event("recompiled ", y);
    if (x && y)
        print_registers(&x->r, &y->r, x->undefined);
    if (x && y) {
        print_pair("fip", x->fip, y->fip);
        print_pair("fdp", x->fdp, y->fdp);
        print_pair("fcs", x->fcs, y->fcs);
        print_pair("fds", x->fds, y->fds);
    }
    if (x && y && x->memory != y->memory)
        print_memory(p, vms[0], vms[which]);
    print_state_before(p, x ? x->pass : y->pass);
}

/* The recompiler's log of the smaller program (--log). */
static void log_smallest(const Program *p)
{
    g_autoptr(GError) err = NULL;
    if (!options.log)
        return;
    fflush(stdout);
    if (!log_configure(options.log, NULL, &err))
        g_error("%s", err->message);
    vm_run(vms[1], p);
    log_configure("", NULL, NULL);
    log_mask = 0;
}

static void report(Program *p, bool crash)
{
    Differs *differs = crash ? differs_apart : differs_here;
    printf("FAIL program %" PRIu64 "%s (fuzz-cpu --programs 1 --seed %" PRIu64 ")\n", p->seed, crash ? " crashes" : "", p->seed);
    fflush(stdout);
    simplify(p, differs);
    drop_items(p, differs);
    simplify(p, differs);
    program_print(p);
    log_smallest(p);
    if (!crash)
        print_difference(p, differing_vm(p));
    fflush(stdout);
}

/* ---- running ---- */

static Program *make_program(uint64_t seed)
{
    static Program p;
    static const InsnDecoder *decoder;
    if (!decoder)
        decoder = vm_decoder(vm_new(0));
    program_generate(&p, decoder, seed, options.strict);
    return &p;
}

static void run_program(gint64 seed)
{
    Program *p = make_program(seed);
    if (options.print)
        program_print(p);
    int which = differing_vm(p);
    shared->timed_out += which < 0;
    if (which > 0) {
        shared->failed++;
        report(p, false);
    }
    shared->done++;
    for (unsigned k = 0; k < VMS; k++)
        shared->interpreted[k] = vm_interpreted(vms[k]);
}

static bool more(void)
{
    return !shared->stopped && (options.programs < 0 || shared->next < options.seed + options.programs) && (int)shared->failed < options.failures;
}

static void on_stop(int sig)
{
    (void)sig;
    shared->stopped = true;
}

/* The worker goes on to the end of its program; it does not outlive its parent. */
static void work(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    make_vms();
    for (; more(); shared->next++) {
        run_program(shared->next);
        if (options.programs < 0 && shared->done % 2000 == 0) {
            printf("%" PRIu64 " programs, %" PRIu64 " failed\n", shared->done, shared->failed);
            fflush(stdout);
        }
    }
}

/* A worker for as long as it lives; what kills it is a failure. */
static void supervise(void)
{
    while (more()) {
        int status;
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            signal(SIGTERM, SIG_IGN);
            work();
            fflush(stdout);
            _exit(0);
        }
        while (waitpid(pid, &status, 0) < 0)
            ;
        if (status == 0)
            return;
        shared->failed++;
        shared->done++;
        report(make_program(shared->next), true);
        shared->next++;
    }
}

static void sum_up(void)
{
    printf("seeds %" PRId64 " to %" PRId64 ", %" PRIu64 " without an end; instructions interpreted: %" PRIu64
           ", of the same %" PRIu64 " with hot=1 and %" PRIu64 " with hot=3\n",
           options.seed, shared->next - 1, shared->timed_out, shared->interpreted[0], shared->interpreted[1],
           shared->interpreted[2]);
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", shared->done - shared->failed, shared->failed);
}

int main(int argc, char **argv)
{
    GOptionEntry entries[] = {
        { "programs", 'n', 0, G_OPTION_ARG_INT64, &options.programs, "how many (default: no end)", "N" },
        { "seed", 's', 0, G_OPTION_ARG_INT64, &options.seed, "of the first program; each further one has the next", "S" },
        { "strict", 0, 0, G_OPTION_ARG_NONE, &options.strict, "compare undefined flags too", NULL },
        { "failures", 0, 0, G_OPTION_ARG_INT, &options.failures, "end after so many [10]", "N" },
        { "log", 0, 0, G_OPTION_ARG_STRING, &options.log, "log these categories (myna -d help) of what fails", "CATEGORIES" },
        { "print", 0, 0, G_OPTION_ARG_NONE, &options.print, "print each program", NULL },
        { 0 },
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) err = NULL;
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &err)) {
        fprintf(stderr, "fuzz-cpu: %s\n", err->message);
        return 1;
    }
    if (!tcg_available()) {
        printf("1..0 # SKIP there is no recompiler for this host\n");
        return 77;
    }
    if (options.seed < 0)
        options.seed = (g_get_real_time() & 0xffffff) * 1000000;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared->next = options.seed;
    signal(SIGTERM, on_stop);
    signal(SIGINT, on_stop);
    printf("seed %" PRId64 "\n", options.seed);
    supervise();
    sum_up();
    return shared->failed != 0;
}
