/*
 * Delivery of interrupts and exceptions: real mode, virtual-8086 mode with redirection, protected mode through
 * interrupt, trap and task gates, and long mode with its stack table (SDM vol. 3A chapter 6, vol. 2 INT n).
 */
#include "core/log.h"
#include "cpu/cet.h"
#include "cpu/control_stack.h"
#include "cpu/flags.h"
#include "cpu/stops.h"
#include "cpu/svm.h"
#include "cpu/system.h"
#include "cpu/trace.h"
#include "cpu/transfer64.h"

#include <inttypes.h>

/* What is delivered. */
typedef struct Event {
    unsigned vector;
    enum InterruptKind kind;
    bool has_error;
    uint32_t error;
    uint64_t rip;    /* to save */
    uint16_t cs;     /* where it came */
    uint32_t flags;  /* to save */
    unsigned ext;    /* EXT bit of the error codes of what delivery trips over */
} Event;

/* INT n, INT3 and INTO obey the gate's DPL. */
static bool event_is_software(const Event *e) { return e->kind == INTERRUPT_SOFTWARE || e->kind == INTERRUPT_INT3; }

/*
 * Faults save RF = 1, so that an instruction breakpoint does not hit again when they return; #DB does not, nor do traps
 * and aborts (SDM vol. 3B 18.3.1.1).
 */
static bool vector_is_fault(unsigned vector)
{
    static const uint32_t faults = 1u << EXC_DE | 1u << EXC_BR | 1u << EXC_UD | 1u << EXC_NM | 1u << EXC_TS |
                                   1u << EXC_NP | 1u << EXC_SS | 1u << EXC_GP | 1u << EXC_PF | 1u << EXC_MF |
                                   1u << EXC_AC | 1u << EXC_XM | 1u << EXC_CP;
    return vector < 32 && (faults >> vector & 1);
}

static void log_event(const Cpu *cpu, const Event *e)
{
    bool page_fault = e->vector == EXC_PF && e->kind == INTERRUPT_EXCEPTION;
    log_printf(LOG_INT, "v=%02x e=%04x i=%d cpl=%u IP=%04x:%016" PRIx64 " pc=%016" PRIx64 " SP=%04x:%016" PRIx64
               " %s=%016" PRIx64 "\n", e->vector, e->error, event_is_software(e), cpu->cpl, cpu->seg[SEG_CS].sel,
               cpu->rip, cpu->seg[SEG_CS].base + cpu->rip, cpu->seg[SEG_SS].sel, cpu->gpr[R_SP],
               page_fault ? "CR2" : "EAX", page_fault ? cpu->cr2 : cpu->gpr[R_AX]);
}

/* Error code that names the IDT entry. */
static uint32_t idt_error(const Event *e) { return e->vector << 3 | 2 | e->ext; }

static uint64_t idt_entry_address(Cpu *cpu, const Event *e, unsigned size)
{
    if (e->vector * size + size - 1 > cpu->idtr.limit)
        control_fail(cpu, EXC_GP, idt_error(e), "IDT entry %u (vector 0x%02x) is beyond the IDT limit 0x%x", e->vector,
                     e->vector, cpu->idtr.limit);
    uint64_t la = cpu->idtr.base + e->vector * size;
    control_note_access(cpu, la, false, "reading IDT entry", e->vector);
    return la;
}

/* The frame of real mode and of redirected interrupts: three words. */
static void push_real_frame(Cpu *cpu, const Event *e, uint16_t flags)
{
    ControlStack s = control_stack_current(cpu, e->ext);
    control_stack_reserve(cpu, &s, 3, 2);
    control_stack_push(cpu, &s, flags, 2);
    control_stack_push(cpu, &s, cpu->seg[SEG_CS].sel, 2);
    control_stack_push(cpu, &s, e->rip, 2);
    control_stack_commit(cpu, &s);
}

static void deliver_real(Cpu *cpu, const Event *e)
{
    uint32_t vector = linear_read_system(cpu, idt_entry_address(cpu, e, 4), 4);
    if ((vector & 0xffff) > cpu->seg[SEG_CS].limit)
        control_fail(cpu, EXC_GP, e->ext, "handler address 0x%x is beyond the limit of CS", vector & 0xffff);
    push_real_frame(cpu, e, e->flags);
    cpu_set_eflags(cpu, 0, F_IF | F_TF | EFLAGS_RF | EFLAGS_AC);
    segment_load_real(cpu, SEG_CS, vector >> 16);
    cpu->rip = vector & 0xffff;
    cpu_update_mode(cpu);
}

/* The bit of the TSS's software interrupt redirection map, just below the I/O map (SDM vol. 3B 20.3.3). */
static bool redirection_bit(Cpu *cpu, unsigned vector)
{
    const Segment *tr = &cpu->seg[SEG_TR];
    if (tr->limit < 0x67)
        cpu_raise_gp(cpu);
    uint32_t offset = linear_read_system(cpu, tr->base + 0x66, 2) - 32 + vector / 8;
    if (offset > tr->limit)
        cpu_raise_gp(cpu);
    return linear_read_system(cpu, tr->base + offset, 1) >> (vector & 7) & 1;
}

/* To the 8086 program's own handler, by the table at linear address 0. */
static void deliver_redirected(Cpu *cpu, const Event *e)
{
    bool virtual_if = cpu_iopl(cpu) < 3;
    uint16_t flags = e->flags;
    uint32_t vector = linear_read_system(cpu, e->vector * 4, 4);
    if (virtual_if)
        flags = (flags & ~F_IF) | EFLAGS_IOPL | (cpu->eflags & EFLAGS_VIF ? F_IF : 0);
    push_real_frame(cpu, e, flags);
    cpu_set_eflags(cpu, 0, F_TF | EFLAGS_RF | (virtual_if ? EFLAGS_VIF : F_IF));
    segment_load_v86(cpu, SEG_CS, vector >> 16);
    cpu->rip = vector & 0xffff;
    cpu_update_mode(cpu);
}

/* INT n in virtual-8086 mode: redirected (true), or left to the IDT if IOPL is 3 (SDM vol. 3B table 20-2). */
static bool redirect_v86(Cpu *cpu, const Event *e)
{
    if (!cpu_v86(cpu) || e->kind != INTERRUPT_SOFTWARE)
        return false;
    if ((cpu->cr4 & CR4_VME) && !redirection_bit(cpu, e->vector)) {
        deliver_redirected(cpu, e);
        return true;
    }
    if (cpu_iopl(cpu) < 3)
        cpu_raise_gp(cpu);
    return false;
}

/* The bytes of a gate in memory order, for messages. */
static const char *gate_bytes(Cpu *cpu, uint64_t la, char text[33])
{
    unsigned size = cpu->long_mode ? 16 : 8;
    for (unsigned k = 0; k < size; k++)
        g_snprintf(text + 2 * k, 3, "%02x", (unsigned)linear_read_system(cpu, la + k, 1));
    return text;
}

static bool gate_type_valid(const Cpu *cpu, unsigned type)
{
    const unsigned wide = 1u << SYS_INT32 | 1u << SYS_TRAP32;
    const unsigned legacy = 1u << SYS_TASK_GATE | 1u << SYS_INT16 | 1u << SYS_TRAP16;
    return (cpu->long_mode ? wide : wide | legacy) >> type & 1;
}

/* Reads and checks the gate: type, DPL for software interrupts, P. */
static void read_gate(Cpu *cpu, const Event *e, Descriptor *gate)
{
    char text[33];
    gate->la = idt_entry_address(cpu, e, cpu->long_mode ? 16 : 8);
    uint64_t words = linear_read_system(cpu, gate->la, 8);
    gate->w0 = words;
    gate->w1 = words >> 32;
    gate->high = cpu->long_mode ? linear_read_system(cpu, gate->la + 8, 4) : 0;
    uint16_t attr = descriptor_attr(gate);
    if (!gate_type_valid(cpu, attr_system_type(attr)))
        control_fail(cpu, EXC_GP, idt_error(e), "IDT entry %u at 0x%" PRIx64 " is no gate: %s", e->vector, gate->la,
                     gate_bytes(cpu, gate->la, text));
    if (event_is_software(e) && attr_dpl(attr) < cpu->cpl)
        control_fail(cpu, EXC_GP, idt_error(e), "IDT entry %u has DPL %u", e->vector, attr_dpl(attr));
    if (!(attr & SA_P))
        control_fail(cpu, EXC_NP, idt_error(e), "IDT entry %u at 0x%" PRIx64 " not present: %s", e->vector, gate->la,
                     gate_bytes(cpu, gate->la, text));
}

static void read_handler_code(Cpu *cpu, const Event *e, uint16_t sel, Descriptor *code)
{
    uint32_t error = selector_error(sel, e->ext);
    transfer_descriptor_read(cpu, sel, e->ext, code);
    uint16_t attr = descriptor_attr(code);
    if (!attr_is_code(attr) || attr_dpl(attr) > cpu->cpl)
        control_fail(cpu, EXC_GP, error, "handler code selector 0x%04x is no code for CPL %u: %08x %08x", sel, cpu->cpl,
                     code->w0, code->w1);
    if (cpu->long_mode && (attr & (SA_L | SA_DB)) != SA_L)
        control_fail(cpu, EXC_GP, error, "handler code selector 0x%04x is no 64-bit code: %08x %08x", sel, code->w0,
                     code->w1);
    if (!(attr & SA_P))
        control_fail(cpu, EXC_NP, error, "handler code segment 0x%04x is not present", sel);
}

static bool is_inner(const Cpu *cpu, const Descriptor *code)
{
    return !attr_is_conforming(descriptor_attr(code)) && descriptor_dpl(code) < cpu->cpl;
}

/* What every frame has: flags, CS, RIP, error code. */
static void push_event(Cpu *cpu, ControlStack *s, const Event *e, unsigned size)
{
    control_stack_push(cpu, s, e->flags, size);
    control_stack_push(cpu, s, cpu->seg[SEG_CS].sel, size);
    control_stack_push(cpu, s, e->rip, size);
    if (e->has_error)
        control_stack_push(cpu, s, e->error, size);
}

static void push_stack_pointer(Cpu *cpu, ControlStack *s, unsigned size)
{
    control_stack_push(cpu, s, cpu->seg[SEG_SS].sel, size);
    control_stack_push(cpu, s, cpu->gpr[R_SP], size);
}

/* The data segments, which virtual-8086 mode leaves to the handler's null selectors. */
static const uint8_t v86_saved[] = { SEG_GS, SEG_FS, SEG_DS, SEG_ES };

static void push_v86_segments(Cpu *cpu, ControlStack *s, unsigned size)
{
    for (unsigned k = 0; k < sizeof v86_saved; k++)
        control_stack_push(cpu, s, cpu->seg[v86_saved[k]].sel, size);
}

/* The commit: nothing faults from here on. */
static void enter_handler(Cpu *cpu, const ControlStack *s, const Descriptor *gate, const Descriptor *code, uint64_t ssp)
{
    bool trap = descriptor_attr(gate) & 1; /* type 7 or 15 */
    if (s->cpl != cpu->cpl)
        shadow_save_user(cpu);
    cpu->ssp = ssp;
    if (cpu_v86(cpu))
        for (unsigned k = 0; k < sizeof v86_saved; k++)
            cpu->seg[v86_saved[k]] = (Segment){ 0 };
    cpu_set_eflags(cpu, 0, F_TF | EFLAGS_NT | EFLAGS_RF | EFLAGS_VM | (trap ? 0 : F_IF));
    control_stack_commit(cpu, s);
    code_enter(cpu, gate_selector(gate), s->cpl, code, gate_offset(gate));
    cet_track_far(cpu);
}

/* Interrupt and trap gates of 16 and 32 bits (SDM vol. 2 INT n, TRAP-OR-INTERRUPT-GATE). */
static void deliver_through_gate(Cpu *cpu, const Event *e, const Descriptor *gate)
{
    Descriptor code;
    uint16_t sel = gate_selector(gate);
    unsigned size = descriptor_attr(gate) & SYS_32 ? 4 : 2;
    bool v86 = cpu_v86(cpu);
    read_handler_code(cpu, e, sel, &code);
    bool inner = is_inner(cpu, &code);
    if (v86 && (!inner || descriptor_dpl(&code) != 0))
        control_fail(cpu, EXC_GP, selector_error(sel, e->ext), "handler code selector 0x%04x is not of level 0", sel);
    ControlStack s =
        inner ? control_stack_from_tss(cpu, descriptor_dpl(&code), e->ext) : control_stack_current(cpu, e->ext);
    control_stack_reserve(cpu, &s, 3 + e->has_error + (inner ? 2 : 0) + (v86 ? sizeof v86_saved : 0), size);
    code_check_target(cpu, &code, gate_offset(gate), e->ext);
    descriptor_set_accessed(cpu, &code);
    if (v86)
        push_v86_segments(cpu, &s, size);
    if (inner)
        push_stack_pointer(cpu, &s, size);
    push_event(cpu, &s, e, size);
    uint64_t ssp = shadow_enter(cpu, s.cpl, inner, 0, false, e->rip);
    enter_handler(cpu, &s, gate, &code, ssp);
}

/* Long mode's stack: from the interrupt stack table, of the inner level, or the current one (SDM vol. 3A 6.14.4). */
static ControlStack long_stack(Cpu *cpu, const Event *e, unsigned ist, bool inner, unsigned cpl)
{
    if (ist) {
        ControlStack s = control_stack_from_tss64(cpu, 28 + ist * 8, cpl, e->ext);
        if (!inner)
            s.ss = cpu->seg[SEG_SS];
        return s;
    }
    if (inner)
        return control_stack_from_tss64(cpu, 4 + cpl * 8, cpl, e->ext);
    ControlStack s = control_stack_current(cpu, e->ext);
    s.flat = true;
    s.mask = ~UINT64_C(0);
    return s;
}

/* TLB mode of pushes with the privilege of level cpl. */
static unsigned push_mode(const Cpu *cpu, unsigned cpl)
{
    if (cpl == 3)
        return TLB_USER;
    return cpu->eflags & EFLAGS_AC ? TLB_KERNEL : mmu_system_mode(cpu);
}

/* Where deliver_long() would take the stack pointer from; false when a closer look is needed. */
static bool long_stack_hit(const Cpu *cpu, unsigned ist, bool inner, unsigned cpl, uint64_t *sp)
{
    const Segment *tr = &cpu->seg[SEG_TR];
    unsigned offset = ist ? 28 + ist * 8 : 4 + cpl * 8;
    if (!ist && !inner) {
        *sp = cpu->gpr[R_SP];
        return cpu_code64(cpu);
    }
    const uint8_t *p = mmu_system_hit(cpu, tr->base + offset, 8);
    if (unlikely(!p || offset + 7 > tr->limit))
        return false;
    *sp = ld64le(p);
    return true;
}

/* What deliver_long() does, where all is in order and the TLB has what is needed; else false, and nothing is done. */
static bool deliver_long_at_once(Cpu *cpu, const Event *e)
{
    Descriptor gate, code;
    uint64_t sp;
    unsigned size = e->has_error ? 48 : 40;
    const uint8_t *p = mmu_system_hit(cpu, cpu->idtr.base + e->vector * 16, 16);
    if (unlikely(!p || e->vector * 16 + 15 > cpu->idtr.limit) || shadow_anywhere(cpu))
        return false;
    gate.w0 = ld32le(p);
    gate.w1 = ld32le(p + 4);
    gate.high = ld32le(p + 8);
    uint16_t attr = descriptor_attr(&gate);
    if ((attr & (SA_P | SA_S | (SA_TYPE & ~1))) != (SA_P | SYS_INT32) || (event_is_software(e) && attr_dpl(attr) < cpu->cpl))
        return false;
    unsigned ist = gate_count(&gate) & 7;
    if (!code64_read_hit(cpu, gate_selector(&gate), &code) || !cpu_canonical(cpu, gate_offset(&gate)))
        return false;
    unsigned cpl = descriptor_dpl(&code);
    bool inner = cpl < cpu->cpl, from64 = cpu_code64(cpu);
    if (cpl > cpu->cpl || !long_stack_hit(cpu, ist, inner, cpl, &sp))
        return false;
    sp = (sp & ~UINT64_C(15)) - size;
    uint8_t *to = mmu_write_hit(cpu, push_mode(cpu, cpl), sp, size);
    if (unlikely(!to))
        return false;
    if (e->has_error) {
        st64le(to, e->error);
        to += 8;
    }
    st64le(to, e->rip);
    st64le(to + 8, cpu->seg[SEG_CS].sel);
    st64le(to + 16, e->flags);
    st64le(to + 24, cpu->gpr[R_SP]);
    st64le(to + 32, cpu->seg[SEG_SS].sel);
    cpu_set_eflags(cpu, 0, F_TF | EFLAGS_NT | EFLAGS_RF | EFLAGS_VM | (attr & 1 ? 0 : F_IF));
    if (inner)
        cpu->seg[SEG_SS] = (Segment){ .sel = cpl, .attr = cpl << SA_DPL_SHIFT };
    cpu->gpr[R_SP] = sp;
    segment_from_descriptor(&cpu->seg[SEG_CS], (gate_selector(&gate) & ~3) | cpl, &code);
    cpu->rip = gate_offset(&gate);
    if (likely(from64))
        cpu_update_level(cpu);
    else
        cpu_update_mode(cpu);
    cet_track_far(cpu);
    return true;
}

static void deliver_long(Cpu *cpu, const Event *e)
{
    Descriptor gate, code;
    if (likely(deliver_long_at_once(cpu, e)))
        return;
    read_gate(cpu, e, &gate);
    mmu_keep_system_page(cpu, gate.la);
    read_handler_code(cpu, e, gate_selector(&gate), &code);
    bool inner = is_inner(cpu, &code);
    mmu_keep_system_page(cpu, code.la);
    ControlStack s = long_stack(cpu, e, gate_count(&gate) & 7, inner, inner ? descriptor_dpl(&code) : cpu->cpl);
    mmu_keep_system_page(cpu, cpu->seg[SEG_TR].base);
    s.sp &= ~UINT64_C(15);
    control_stack_reserve(cpu, &s, 5 + e->has_error, 8);
    code_check_target(cpu, &code, gate_offset(&gate), e->ext);
    descriptor_set_accessed(cpu, &code);
    push_stack_pointer(cpu, &s, 8);
    push_event(cpu, &s, e, 8);
    uint64_t ssp = shadow_enter(cpu, s.cpl, inner, gate_count(&gate) & 7, true, e->rip);
    enter_handler(cpu, &s, &gate, &code, ssp);
}

static void deliver_through_task_gate(Cpu *cpu, const Event *e, uint16_t tss)
{
    TaskSwitch t = { .kind = TASK_INTERRUPT, .sel = tss, .has_error = e->has_error, .error = e->error, .rip = e->rip,
                     .flags = e->flags, .ext = e->ext };
    task_switch_run(cpu, &t);
}

static void deliver_protected(Cpu *cpu, const Event *e)
{
    Descriptor gate;
    read_gate(cpu, e, &gate);
    if (attr_system_type(descriptor_attr(&gate)) == SYS_TASK_GATE)
        deliver_through_task_gate(cpu, e, gate_selector(&gate));
    else
        deliver_through_gate(cpu, e, &gate);
}

/* What surrounds a delivery while a guest runs or branches are recorded. */
static void note_delivered(Cpu *cpu, const Event *e)
{
    svm_event_end(cpu);
    if (cpu->debug_ctl & DEBUG_CTL_LBR)
        debug_note_interrupt(cpu, e->vector, e->rip);
    if (stops_wanted(cpu, STOP_INTERRUPT) && e->kind != INTERRUPT_EXCEPTION)
        stops_note_interrupt(cpu, e->vector, e->cs, e->rip);
}

static TraceEventKind trace_kind(const Event *e)
{
    if (e->kind == INTERRUPT_EXTERNAL)
        return e->vector == EXC_NMI ? TRACE_NMI : TRACE_INTERRUPT;
    return e->kind == INTERRUPT_EXCEPTION ? TRACE_EXCEPTION : TRACE_SOFTWARE;
}

static void deliver(Cpu *cpu, const Event *e)
{
    uint64_t cr2 = e->vector == EXC_PF && e->kind == INTERRUPT_EXCEPTION ? cpu->cr2 : 0;
    uint64_t number = trace_event(cpu, trace_kind(e), e->vector, e->has_error, e->error, cr2);
    if (log_enabled(LOG_INT))
        log_event(cpu, e);
    if (unlikely(cpu->svm.guest))
        svm_event_begin(cpu, e->vector, e->kind, e->has_error, e->error);
    if (cpu_real_mode(cpu))
        deliver_real(cpu, e);
    else if (cpu->long_mode)
        deliver_long(cpu, e);
    else if (!redirect_v86(cpu, e))
        deliver_protected(cpu, e);
    if (e->vector == EXC_DB && (e->kind == INTERRUPT_EXCEPTION || e->kind == INTERRUPT_ICEBP))
        cpu->dr[7] &= ~BIT(13); /* GD: the handler may use the debug registers (SDM vol. 3B 18.2.4) */
    note_delivered(cpu, e);
    trace_event_done(cpu, number);
}

void interrupt_deliver(Cpu *cpu, unsigned vector, enum InterruptKind kind, bool has_error, uint32_t error)
{
    bool fault = kind == INTERRUPT_EXCEPTION && vector_is_fault(vector);
    deliver(cpu, &(Event){ .vector = vector, .kind = kind, .has_error = has_error, .error = error, .rip = cpu->rip, .cs = cpu->seg[SEG_CS].sel,
                           .flags = cpu_eflags(cpu) | (fault ? EFLAGS_RF : 0),
                           .ext = kind != INTERRUPT_SOFTWARE && kind != INTERRUPT_INT3 });
}

void interrupt_inject(Cpu *cpu, unsigned vector, enum InterruptKind kind, uint64_t rip)
{
    deliver(cpu, &(Event){ .vector = vector, .kind = kind, .rip = rip, .cs = cpu->seg[SEG_CS].sel,
                           .flags = cpu_eflags(cpu) });
}

/* INT1, INT3 and INTO may be intercepted as the exceptions that they make; INT1 as a trap. */
static void ask_intercepts(Cpu *cpu, unsigned vector, enum InterruptKind kind, uint64_t next_rip)
{
    if (kind == INTERRUPT_SOFTWARE)
        return;
    if (kind == INTERRUPT_ICEBP && svm_intercepts(cpu, VMEXIT_EXCEPTION + vector))
        cpu->rip = next_rip;
    svm_intercept_exception(cpu, vector, false, 0, next_rip);
}

void interrupt_software(Cpu *cpu, unsigned vector, enum InterruptKind kind, uint64_t next_rip)
{
    if (unlikely(cpu->svm.guest))
        ask_intercepts(cpu, vector, kind, next_rip);
    deliver(cpu, &(Event){ .vector = vector, .kind = kind, .rip = next_rip, .flags = cpu_eflags(cpu) & ~EFLAGS_RF,
                           .ext = kind == INTERRUPT_ICEBP });
    cpu->tf_trap = false; /* TF was cleared: single step goes on when the handler returns (SDM vol. 3B 18.3.1.4) */
}
