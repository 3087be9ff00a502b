/*
 * The interpreter: runs blocks of decoded instructions, and sees to events at instruction boundaries.
 *
 * Overview.  cpu_run() loops over three things: events (interrupts, resets, requests to stop), the careful way (one
 * instruction with everything that may surround it: shadows, single step, breakpoints), and the fast way, run_blocks(),
 * which leaves only when `attention`, `shadow` or `step_mode` says so.  An exception anywhere unwinds to cpu_run() by
 * longjmp and is delivered there.
 */
#include <inttypes.h>

#include "core/log.h"
#include "core/machine.h"
#include "cpu/cet.h"
#include "cpu/code.h"
#include "cpu/control.h"
#include "cpu/cpu.h"
#include "cpu/fault.h"
#include "cpu/flags.h"
#include "cpu/group.h"
#include "cpu/stops.h"
#include "cpu/svm.h"
#include "cpu/system.h"
#include "cpu/trace.h"

/* A fetch where CS has a base or a limit below 4 GiB: the linear address, after the limit check of one byte. */
static uint64_t fetch_linear(Cpu *cpu)
{
    if (cpu->code_flat)
        return cpu->rip;
    if (cpu->rip > cpu->seg[SEG_CS].limit)
        cpu_raise_gp(cpu);
    return (cpu->seg[SEG_CS].base + cpu->rip) & 0xffffffff;
}

/* How many instructions of the block may run before one would pass the limit of CS; at least one, or #GP. */
static unsigned within_limit(Cpu *cpu, const Block *b)
{
    uint64_t end = cpu->rip, limit = cpu->seg[SEG_CS].limit;
    unsigned n = 0;
    if (cpu->code_flat || cpu->rip + b->bytes - 1 <= limit)
        return b->count;
    while (n < b->count && end + b->insn[n].len - 1 <= limit)
        end += b->insn[n++].len;
    if (!n && cpu_has(cpu, FEAT_UNTIL_186))
        return 1; /* IP wraps */
    if (!n)
        cpu_raise_gp(cpu);
    return n;
}

/* Runs the first `count` instructions of a block. */
static inline void run_block(Cpu *cpu, Block *b, unsigned count)
{
    const Insn *i = b->insn;
    uint64_t rip = cpu->rip, base = trace_linear_base(cpu);
    cpu->code->current = b;
    cpu->insn_end = i + count;
    cpu->insn_count += count;
    do {
        cpu->rip = rip;
        rip += i->len;
        i->fn(cpu, i);
        i++;
    } while (i < cpu->insn_end);
    if (!i[-1].jump)
        cpu->rip = rip & cpu->rip_mask;
    else
        trace_jump(cpu, &i[-1], rip - i[-1].len, base);
}

static bool may_run_on(const Cpu *cpu)
{
    return likely(!(atomic_load_explicit(&cpu->attention, memory_order_relaxed) | cpu->shadow | cpu->step_mode));
}

/* These loops stay out of the function that calls setjmp(), where compilers keep little in registers. */
#define RUN_LOOP static G_GNUC_NO_INLINE void

RUN_LOOP run_blocks(Cpu *cpu)
{
    while (may_run_on(cpu)) {
        Block *b = code_lookup(cpu, fetch_linear(cpu));
        run_block(cpu, b, within_limit(cpu, b));
    }
}

/* The block to go on with, which is recompiled if it has become worth it. */
static Block *find_block(Cpu *cpu)
{
    CodeCache *c = cpu->code;
    Block *b = code_lookup(cpu, fetch_linear(cpu));
    if (b->host || !c->engine || likely(++b->heat != c->hot_after) || b->key == BLOCK_DEAD)
        return b;
    c->engine->hot(cpu, b);
    return code_lookup(cpu, fetch_linear(cpu)); /* the cache may have been emptied */
}

/* The same with a recompiler beside. */
RUN_LOOP run_recompiled(Cpu *cpu)
{
    while (may_run_on(cpu)) {
        Block *b = find_block(cpu);
        if (b->host)
            cpu->code->engine->run(cpu, b);
        else
            run_block(cpu, b, within_limit(cpu, b));
    }
}

/* Either of these, until the time slice is over. */
RUN_LOOP run_counted(Cpu *cpu)
{
    while (may_run_on(cpu) && cpu->rec.budget >= 0) {
        Block *b = find_block(cpu);
        if (b->host) {
            cpu->code->engine->run(cpu, b);
            continue;
        }
        unsigned count = within_limit(cpu, b);
        cpu->rec.budget -= count;
        run_block(cpu, b, count);
    }
}

/* Spinning CPUs give their host processor away now and then: whom they wait for may need it. */
#define PAUSES_A_YIELD 32

void cpu_yield(Cpu *cpu)
{
    if (cpu->counted) {
        cpu->rec.budget = -1;
        cpu->insn_end = NULL;
    } else if (++cpu->pauses % PAUSES_A_YIELD == 0) {
        g_thread_yield();
    }
}

static void log_step(Cpu *cpu)
{
    if (!log_in_range(cpu->rip))
        return;
    log_printf(LOG_EXEC, "Trace %u: %04x:%016" PRIx64 "\n", cpu->index, cpu->seg[SEG_CS].sel, cpu->rip);
    if (log_enabled(LOG_CPU)) {
        g_autoptr(GString) out = g_string_new(NULL);
        cpu_dump(cpu, out);
        log_printf(LOG_CPU, "%s", out->str);
    }
}

/* Instruction breakpoints (SDM vol. 3B 18.3.1.1): a fault before the instruction, unless RF. */
static void check_code_breakpoints(Cpu *cpu, uint64_t la)
{
    uint64_t hits = 0;
    for (unsigned n = 0; n < 4; n++)
        if ((cpu->dr[7] >> (n * 2) & 3) && !(cpu->dr[7] >> (16 + n * 4) & 3) && cpu->dr[n] == la)
            hits |= BIT(n);
    if (!hits)
        return;
    cpu->dr6_pending = 0;
    cpu->dr[6] = (cpu->dr[6] & ~UINT64_C(15)) | hits;
    cpu_raise(cpu, EXC_DB);
}

static void wake(Cpu *cpu)
{
    if (cpu->run_state == CPU_HALTED)
        cpu->run_state = CPU_RUNNING;
}

/* Debug conditions after an instruction become a trap (SDM vol. 3B 18.3.1.2, 18.3.1.4); it ends HLT too (vol. 2). */
static void raise_debug_trap(Cpu *cpu)
{
    wake(cpu);
    debug_take_pending(cpu);
    cpu_raise(cpu, EXC_DB);
}

/* A taken branch; a string instruction that goes on repeating is none. */
static bool has_branched(const Cpu *cpu, const Insn *i, uint64_t rip)
{
    return i->jump && !(insn_rows[i->row].attr & A_REP) && cpu->rip != ((rip + i->len) & cpu->rip_mask);
}

/* By the machine, or by a debugger for this CPU alone. */
static bool is_stopped(const Cpu *cpu) { return atomic_load(&cpu->events) & (EVENT_STOP | EVENT_HOLD); }

/* A debugger's mark belongs to the instruction behind it. */
static bool is_marked(const Block *b) { return b->insn[0].row == INSN_ROW_MARK && b->count > 1; }

/* One instruction with all that may come before and after it. */
static void step_carefully(Cpu *cpu)
{
    uint8_t shadow = cpu->shadow, mode = cpu->step_mode;
    uint64_t la = fetch_linear(cpu);
    if ((mode & STEP_CODE_BP) && !(mode & STEP_RF) && !(shadow & SHADOW_SS))
        check_code_breakpoints(cpu, la);
    if (mode & STEP_LOG)
        log_step(cpu);
    if (unlikely(mode & STEP_TRACE))
        trace_step(cpu, la);
    Block *b = code_lookup(cpu, la);
    unsigned count = within_limit(cpu, b), mark = is_marked(b);
    if (unlikely(mode & STEP_IBT))
        cet_check_target(cpu, b->insn + mark);
    uint64_t rip = cpu->rip;
    cpu->tf_trap = mode & STEP_TF;
    run_block(cpu, b, mode & ~STEP_LOG || shadow ? 1 + mark : count);
    if (mark && is_stopped(cpu)) /* before the instruction */
        return;
    if (shadow) {
        cpu->shadow &= ~shadow;
        cpu_request_attention(cpu); /* an interrupt may have waited for its end */
    }
    if ((mode & STEP_RF) && cpu->rip != rip)
        cpu_set_eflags(cpu, 0, EFLAGS_RF);
    if (unlikely(mode & STEP_BRANCH) && has_branched(cpu, b->insn + mark, rip))
        debug_note_branch(cpu, rip);
    if (cpu->tf_trap && !(cpu->shadow & SHADOW_SS)) /* a load of SS is not followed by one (SDM vol. 3A 6.8.3) */
        cpu->dr6_pending |= BIT(14);
    cpu->tf_trap = false;
}

/* A trap waits while a MOV SS shadow lasts (SDM vol. 3A 6.8.3). */
static void run_carefully(Cpu *cpu)
{
    if (cpu->dr6_pending && !(cpu->shadow & SHADOW_SS))
        raise_debug_trap(cpu);
    step_carefully(cpu);
    if (cpu->dr6_pending && !(cpu->shadow & SHADOW_SS))
        raise_debug_trap(cpu);
    if (unlikely(cpu->step_mode & STEP_DEBUG))
        stops_count(cpu);
}

static bool take_event(Cpu *cpu, unsigned event)
{
    return atomic_fetch_and(&cpu->events, ~event) & event;
}

/* The same, unless a guest's hypervisor wants it: then it stays pending. */
static bool claim_event(Cpu *cpu, unsigned event, unsigned code)
{
    if (unlikely(cpu->svm.guest) && (atomic_load(&cpu->events) & event))
        svm_intercept_event(cpu, code);
    return take_event(cpu, event);
}

static void do_sipi(Cpu *cpu)
{
    if (cpu->run_state != CPU_WAIT_SIPI)
        return;
    uint8_t vector = __atomic_load_n(&cpu->sipi_vector, __ATOMIC_RELAXED);
    cpu->seg[SEG_CS].sel = vector << 8;
    cpu->seg[SEG_CS].base = (uint64_t)vector << 12;
    cpu->rip = 0;
    cpu->run_state = CPU_RUNNING;
    cpu_update_mode(cpu);
}

static void do_init(Cpu *cpu)
{
    uint64_t number = trace_event(cpu, TRACE_INIT, 0, false, 0, 0);
    cpu_reset_state(cpu, true);
    trace_event_done(cpu, number);
    if (cpu->index != 0)
        cpu->run_state = CPU_WAIT_SIPI;
}

/*
 * One NMI can be pending while another is being handled; two that come together before the first is are both
 * delivered.
 */
static bool take_nmi(Cpu *cpu)
{
    if (!cpu->nmi_blocked && !cpu->shadow && cpu->run_state != CPU_WAIT_SIPI)
        return take_event(cpu, EVENT_NMI_2) || claim_event(cpu, EVENT_NMI, VMEXIT_NMI);
    if (cpu->nmi_blocked && (atomic_load(&cpu->events) & EVENT_NMI))
        take_event(cpu, EVENT_NMI_2);
    return false;
}

static void deliver_nmi(Cpu *cpu)
{
    cpu->nmi_blocked = true;
    wake(cpu);
    interrupt_deliver(cpu, EXC_NMI, INTERRUPT_EXTERNAL, false, 0);
}

static void deliver_intr(Cpu *cpu)
{
    machine_lock(cpu->machine);
    int vector = cpu->intc ? cpu->intc->acknowledge(cpu->intc_opaque) : -1;
    machine_unlock(cpu->machine);
    if (vector < 0)
        return;
    wake(cpu);
    interrupt_deliver(cpu, vector, INTERRUPT_EXTERNAL, false, 0);
}

static bool intr_possible(const Cpu *cpu)
{
    if (!(atomic_load(&cpu->events) & EVENT_INTR) || cpu->run_state == CPU_WAIT_SIPI || cpu->run_state == CPU_SHUTDOWN)
        return false;
    return unlikely(cpu->svm.guest) ? svm_takes_interrupts(cpu) : (cpu->eflags & F_IF) && !cpu->shadow;
}

static void serve_intr(Cpu *cpu)
{
    if (!intr_possible(cpu))
        return;
    if (unlikely(cpu->svm.guest))
        svm_intercept_event(cpu, VMEXIT_INTR);
    deliver_intr(cpu);
}

/* Upkeep of caches, and the reset line. */
static void do_housekeeping(Cpu *cpu)
{
    group_serve(cpu);
    if (take_event(cpu, EVENT_MEMORY))
        cpu_follow_memory(cpu);
    if (take_event(cpu, EVENT_CODE))
        code_serve(cpu->code);
    if (take_event(cpu, EVENT_RESET))
        cpu_reset(cpu);
    if (unlikely(atomic_load(&cpu->events) & EVENT_SAMPLE) && take_event(cpu, EVENT_SAMPLE))
        trace_sample(cpu);
}

/* A request to stop that came before `attention` was cleared must not be forgotten. */
static void keep_stop_request(Cpu *cpu)
{
    if (is_stopped(cpu))
        cpu_request_attention(cpu);
}

/*
 * Serves what is pending, in the order of SDM vol. 3A table 6-2.  `attention` is cleared first, so that whatever
 * arrives from now on sets it again.
 */
static void serve_events(Cpu *cpu)
{
    atomic_store_explicit(&cpu->attention, 0, memory_order_seq_cst);
    keep_stop_request(cpu);
    do_housekeeping(cpu);
    if (take_event(cpu, EVENT_POWER_OFF))
        cpu->run_state = CPU_SHUTDOWN;
    if (cpu->run_state == CPU_SHUTDOWN)
        return;
    if (cpu->svm.gif && claim_event(cpu, EVENT_INIT, VMEXIT_INIT))
        do_init(cpu);
    if (take_event(cpu, EVENT_SIPI))
        do_sipi(cpu);
    if (cpu->dr6_pending && !cpu->shadow)
        raise_debug_trap(cpu);
    if (unlikely(!cpu->svm.gif)) /* STGI asks for attention again */
        return;
    if (unlikely(cpu->step_mode & STEP_DEBUG) && stops_defer_interrupts(cpu)) /* the end of the steps does */
        return;
    if (!cpu->in_smm && claim_event(cpu, EVENT_SMI, VMEXIT_SMI))
        smm_enter(cpu);
    if (take_nmi(cpu))
        deliver_nmi(cpu);
    serve_intr(cpu);
    if (unlikely(cpu->svm.guest))
        svm_virtual_events(cpu);
}

/* From now on the CPU executes nothing; it goes on by wake_up(). */
static void fall_quiet(Cpu *cpu)
{
    atomic_store(&cpu->quiet, true);
}

static void wake_up(Cpu *cpu)
{
    atomic_store(&cpu->quiet, false);
    do_housekeeping(cpu);
}

/* Sleeps until something wants attention. */
static void wait_halted(Cpu *cpu)
{
    fall_quiet(cpu);
    idle_cpu_idle(cpu->machine);
    g_mutex_lock(&cpu->wait->lock);
    while (!atomic_load(&cpu->attention))
        g_cond_wait(&cpu->wait->cond, &cpu->wait->lock);
    g_mutex_unlock(&cpu->wait->lock);
    idle_cpu_busy(cpu->machine);
    wake_up(cpu);
}

/* Hits of a debugger's points are told before anything else happens; whether the CPU stops. */
static bool tell_hits(Cpu *cpu) { return unlikely(cpu->stops_pending) && stops_tell(cpu); }

/* While a debugger holds this CPU alone. */
static void wait_held(Cpu *cpu)
{
    tell_hits(cpu);
    fall_quiet(cpu);
    g_mutex_lock(&cpu->wait->lock);
    while ((atomic_load(&cpu->events) & (EVENT_HOLD | EVENT_STOP)) == EVENT_HOLD)
        g_cond_wait(&cpu->wait->cond, &cpu->wait->lock);
    g_mutex_unlock(&cpu->wait->lock);
    wake_up(cpu);
    cpu_request_attention(cpu);
}

static bool must_look(const Cpu *cpu)
{
    return atomic_load_explicit(&cpu->attention, memory_order_acquire) || cpu->fault.raised;
}

/* Delivers what was raised; false: a debugger wants the CPU first. */
static bool deliver_raised(Cpu *cpu)
{
    if (stops_wanted(cpu, STOP_EXCEPTION) && stops_exception(cpu))
        return false;
    cpu_deliver_raised(cpu);
    if (unlikely(cpu->step_mode & STEP_DEBUG))
        stops_count(cpu);
    return true;
}

/* One round: an exception that was raised, events, then instructions. */
static void run_once(Cpu *cpu)
{
    if (tell_hits(cpu) || (cpu->fault.raised && !deliver_raised(cpu)))
        return;
    if (atomic_load_explicit(&cpu->attention, memory_order_acquire))
        serve_events(cpu);
    if (tell_hits(cpu) || cpu->run_state != CPU_RUNNING || unlikely(is_stopped(cpu)))
        return;
    if (cpu->shadow || cpu->step_mode || cpu->dr6_pending)
        run_carefully(cpu);
    else if (cpu->counted)
        run_counted(cpu);
    else if (cpu->code->engine)
        run_recompiled(cpu);
    else
        run_blocks(cpu);
}

/* The same; an exception comes back here. */
static void run_guarded(Cpu *cpu)
{
    if (!_setjmp(cpu->unwind)) {
        run_once(cpu);
        return;
    }
    if (cpu->rec.here)
        cpu->code->engine->unwound(cpu);
    svm_switch(cpu);
}

static void begin_run(Cpu *cpu, bool counted)
{
    cpu->counted = counted;
    atomic_store_explicit(&cpu->thread, g_thread_self(), memory_order_relaxed);
    idle_cpu_busy(cpu->machine);
    wake_up(cpu);
    cpu_request_attention(cpu);
    if (unlikely(stops_take_reset(cpu)))
        machine_request_reset(cpu->machine, "triple fault");
}

static void end_run(Cpu *cpu)
{
    tell_hits(cpu);
    fall_quiet(cpu);
    idle_cpu_stopped(cpu->machine);
    atomic_store_explicit(&cpu->thread, NULL, memory_order_relaxed);
}

/* Nothing to do before something wakes it. */
static bool is_idle(const Cpu *cpu) { return cpu->run_state != CPU_RUNNING && !must_look(cpu); }

void cpu_run(Cpu *cpu)
{
    begin_run(cpu, false);
    while (!(atomic_load(&cpu->events) & EVENT_STOP)) {
        if (unlikely(is_stopped(cpu)))
            wait_held(cpu);
        else
            run_guarded(cpu);
        if (is_idle(cpu))
            wait_halted(cpu);
    }
    end_run(cpu);
}

bool cpu_run_slice(Cpu *cpu, unsigned instructions)
{
    if (is_idle(cpu) || is_stopped(cpu))
        return false;
    begin_run(cpu, true);
    for (cpu->rec.budget = instructions; cpu->rec.budget > 0 && !is_stopped(cpu) && !is_idle(cpu);) {
        cpu->rec.budget--; /* what one instruction at a time does not count */
        run_guarded(cpu);
    }
    end_run(cpu);
    return !is_idle(cpu) && !is_stopped(cpu);
}

static bool any_attention(Cpu *const *cpus, unsigned count)
{
    for (unsigned k = 0; k < count; k++)
        if (atomic_load(&cpus[k]->attention) && (atomic_load(&cpus[k]->events) & (EVENT_HOLD | EVENT_STOP)) != EVENT_HOLD)
            return true;
    return false;
}

void cpus_share_thread(Cpu *const *cpus, unsigned count)
{
    for (unsigned k = 0; k < count; k++)
        cpus[k]->wait = &cpus[0]->own_wait;
}

void cpus_wait(Cpu *const *cpus, unsigned count)
{
    struct CpuWait *wait = cpus[0]->wait;
    g_mutex_lock(&wait->lock);
    while (!any_attention(cpus, count))
        g_cond_wait(&wait->cond, &wait->lock);
    g_mutex_unlock(&wait->lock);
}
