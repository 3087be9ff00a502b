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
#include "cpu/code.h"
#include "cpu/control.h"
#include "cpu/cpu.h"
#include "cpu/fault.h"
#include "cpu/flags.h"
#include "cpu/mmu.h"
#include "cpu/system.h"

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
    if (!n)
        cpu_raise_gp(cpu);
    return n;
}

/* Runs the first `count` instructions of a block. */
static inline void run_block(Cpu *cpu, Block *b, unsigned count)
{
    const Insn *i = b->insn;
    uint64_t rip = cpu->rip;
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
}

static bool may_run_on(const Cpu *cpu)
{
    return likely(!(atomic_load_explicit(&cpu->attention, memory_order_relaxed) | cpu->shadow | cpu->step_mode));
}

static void run_blocks(Cpu *cpu)
{
    while (may_run_on(cpu)) {
        Block *b = code_lookup(cpu, fetch_linear(cpu));
        run_block(cpu, b, within_limit(cpu, b));
    }
}

/* The same with a recompiler beside: what is not recompiled yet is interpreted until it is worth it. */
static void run_recompiled(Cpu *cpu)
{
    CodeCache *c = cpu->code;
    while (may_run_on(cpu)) {
        Block *b = code_lookup(cpu, fetch_linear(cpu));
        if (b->host) {
            c->engine->run(cpu, b);
            continue;
        }
        run_block(cpu, b, within_limit(cpu, b));
        if (unlikely(++b->heat == c->hot_after) && b->key == cpu->key)
            c->engine->hot(cpu, b);
    }
}

static void log_step(Cpu *cpu)
{
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

/* One instruction with all that may come before and after it. */
static void step_carefully(Cpu *cpu)
{
    uint8_t shadow = cpu->shadow, mode = cpu->step_mode;
    uint64_t la = fetch_linear(cpu);
    if ((mode & STEP_CODE_BP) && !(mode & STEP_RF) && !(shadow & SHADOW_SS))
        check_code_breakpoints(cpu, la);
    if (mode & STEP_LOG)
        log_step(cpu);
    Block *b = code_lookup(cpu, la);
    unsigned count = within_limit(cpu, b);
    uint64_t rip = cpu->rip;
    cpu->tf_trap = mode & STEP_TF;
    run_block(cpu, b, mode & ~STEP_LOG || shadow ? 1 : count);
    if (shadow) {
        cpu->shadow &= ~shadow;
        cpu_request_attention(cpu); /* an interrupt may have waited for its end */
    }
    if ((mode & STEP_RF) && cpu->rip != rip)
        cpu_set_eflags(cpu, 0, EFLAGS_RF);
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
}

static bool take_event(Cpu *cpu, unsigned event)
{
    return atomic_fetch_and(&cpu->events, ~event) & event;
}

static void do_sipi(Cpu *cpu)
{
    if (cpu->run_state != CPU_WAIT_SIPI)
        return;
    cpu->seg[SEG_CS].sel = cpu->sipi_vector << 8;
    cpu->seg[SEG_CS].base = (uint64_t)cpu->sipi_vector << 12;
    cpu->rip = 0;
    cpu->run_state = CPU_RUNNING;
    cpu_update_mode(cpu);
}

static void do_init(Cpu *cpu)
{
    cpu_reset_state(cpu, true);
    if (cpu->index != 0)
        cpu->run_state = CPU_WAIT_SIPI;
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

static void do_memory_event(Cpu *cpu)
{
    cpu->ram_window.size = 0;
    tlb_flush_all(cpu);
}

static bool intr_possible(const Cpu *cpu)
{
    return (atomic_load(&cpu->events) & EVENT_INTR) && (cpu->eflags & F_IF) && !cpu->shadow &&
           cpu->run_state != CPU_WAIT_SIPI && cpu->run_state != CPU_SHUTDOWN;
}

/* Upkeep of caches, and the reset line. */
static void do_housekeeping(Cpu *cpu)
{
    if (take_event(cpu, EVENT_MEMORY))
        do_memory_event(cpu);
    if (take_event(cpu, EVENT_CODE))
        code_drain_queue(cpu->code);
    if (take_event(cpu, EVENT_RESET))
        cpu_reset(cpu);
}

/* A request to stop that came before `attention` was cleared must not be forgotten. */
static void keep_stop_request(Cpu *cpu)
{
    if (atomic_load(&cpu->events) & EVENT_STOP)
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
    if (take_event(cpu, EVENT_INIT))
        do_init(cpu);
    if (take_event(cpu, EVENT_SIPI))
        do_sipi(cpu);
    if (cpu->dr6_pending && !cpu->shadow)
        raise_debug_trap(cpu);
    if (!cpu->in_smm && take_event(cpu, EVENT_SMI))
        smm_enter(cpu);
    if (!cpu->nmi_blocked && !cpu->shadow && cpu->run_state != CPU_WAIT_SIPI && take_event(cpu, EVENT_NMI))
        deliver_nmi(cpu);
    if (intr_possible(cpu))
        deliver_intr(cpu);
}

/* Sleeps until something wants attention. */
static void wait_halted(Cpu *cpu)
{
    g_mutex_lock(&cpu->wait_lock);
    while (!atomic_load(&cpu->attention))
        g_cond_wait(&cpu->wait_cond, &cpu->wait_lock);
    g_mutex_unlock(&cpu->wait_lock);
}

static bool must_look(const Cpu *cpu)
{
    return atomic_load_explicit(&cpu->attention, memory_order_acquire) || cpu->fault.raised;
}

/* One round: an exception that was raised, events, then instructions. */
static void run_once(Cpu *cpu)
{
    if (cpu->fault.raised)
        cpu_deliver_raised(cpu);
    if (atomic_load_explicit(&cpu->attention, memory_order_acquire))
        serve_events(cpu);
    if (cpu->run_state != CPU_RUNNING)
        return;
    if (cpu->shadow || cpu->step_mode || cpu->dr6_pending)
        run_carefully(cpu);
    else if (cpu->code->engine)
        run_recompiled(cpu);
    else
        run_blocks(cpu);
}

void cpu_run(Cpu *cpu)
{
    cpu->thread = g_thread_self();
    cpu_request_attention(cpu);
    while (!(atomic_load(&cpu->events) & EVENT_STOP)) {
        if (!_setjmp(cpu->unwind))
            run_once(cpu);
        else if (cpu->rec.here)
            cpu->code->engine->unwound(cpu);
        if (cpu->run_state != CPU_RUNNING && !must_look(cpu))
            wait_halted(cpu);
    }
    cpu->thread = NULL;
}
