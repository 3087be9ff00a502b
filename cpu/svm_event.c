/*
 * Events around a guest: which are intercepted, which are injected, and virtual interrupts and NMIs (AMD APM vol. 2
 * 15.12, 15.13, 15.20, 15.21).
 */
#include "cpu/flags.h"
#include "cpu/svm_internal.h"

/* ---- intercepts ---- */

void svm_intercept_event(Cpu *cpu, unsigned code)
{
    if (svm_intercepts(cpu, code))
        svm_exit(cpu, code, 0, 0);
}

/*
 * Exceptions are looked at before they make a double fault, and before delivery.  An intercepted page fault leaves CR2
 * alone and tells its address in EXITINFO2 (15.12.15).
 */
void svm_intercept_exception(Cpu *cpu, unsigned vector, bool has_error, uint32_t error, uint64_t next_rip)
{
    uint64_t info2 = 0;
    if (!svm_intercepts(cpu, VMEXIT_EXCEPTION + (vector & 31)))
        return;
    if (vector == EXC_PF) {
        info2 = cpu->cr2;
        cpu->cr2 = cpu->fault.old_cr2;
    }
    svm_exit_insn(cpu, VMEXIT_EXCEPTION + vector, has_error ? error : 0, info2, next_rip);
}

/* EXITINFO2: 15.14.1. */
void svm_intercept_task_switch(Cpu *cpu, uint16_t sel, enum TaskSwitchKind kind, bool has_error, uint32_t error)
{
    uint64_t info = has_error ? error | BIT(44) : 0;
    if (!svm_intercepts(cpu, VMEXIT_TASK_SWITCH))
        return;
    info |= kind == TASK_IRET ? BIT(36) : kind == TASK_JUMP ? BIT(38) : 0;
    if (cpu->eflags & EFLAGS_RF)
        info |= BIT(48);
    svm_exit(cpu, VMEXIT_TASK_SWITCH, sel, info);
}

static bool masks_interrupts(const Cpu *cpu) { return cpu->svm.int_ctl & V_INTR_MASKING; }

/* With V_INTR_MASKING the host's IF counts; an interrupt's shadow keeps none from being intercepted. */
bool svm_takes_interrupts(const Cpu *cpu)
{
    uint32_t flags = masks_interrupts(cpu) ? cpu->svm.host.eflags : cpu->eflags;
    return (flags & F_IF) && (!cpu->shadow || svm_intercepts(cpu, VMEXIT_INTR));
}

/* ---- what is being delivered ---- */

static unsigned event_type(unsigned vector, enum InterruptKind kind)
{
    switch (kind) {
    case INTERRUPT_EXTERNAL: return vector == EXC_NMI ? EVENT_TYPE_NMI : EVENT_TYPE_INTR;
    case INTERRUPT_SOFTWARE: return EVENT_TYPE_SOFTWARE;
    default: return EVENT_TYPE_EXCEPTION;
    }
}

void svm_event_begin(Cpu *cpu, unsigned vector, enum InterruptKind kind, bool has_error, uint32_t error)
{
    cpu->svm.event = EVENT_VALID | vector | event_type(vector, kind) << EVENT_TYPE_SHIFT |
                     (has_error ? EVENT_ERROR_VALID | (uint64_t)error << 32 : 0);
}

/* ---- injection ---- */

static unsigned injected_type(uint64_t event) { return event >> EVENT_TYPE_SHIFT & 7; }

bool svm_injection_valid(uint64_t event)
{
    unsigned vector = event & 0xff;
    if (!(event & EVENT_VALID))
        return true;
    switch (injected_type(event)) {
    case EVENT_TYPE_INTR:
    case EVENT_TYPE_NMI:
    case EVENT_TYPE_SOFTWARE: return true;
    case EVENT_TYPE_EXCEPTION: return vector != EXC_NMI && vector < 32;
    default: return false;
    }
}

/* Exceptions 3 and 4 are INT3 and INTO; these and software interrupts return to nRIP (15.20). */
static bool is_instruction(unsigned type, unsigned vector)
{
    return type == EVENT_TYPE_SOFTWARE || (type == EVENT_TYPE_EXCEPTION && (vector == EXC_BP || vector == EXC_OF));
}

static void inject_nmi(Cpu *cpu)
{
    if (cpu_has(cpu, FEAT_VNMI) && (cpu->svm.int_ctl & V_NMI_ENABLE))
        cpu->svm.int_ctl |= V_NMI_MASK;
    interrupt_deliver(cpu, EXC_NMI, INTERRUPT_EXTERNAL, false, 0);
}

void svm_inject(Cpu *cpu, uint64_t event, uint64_t next_rip)
{
    unsigned type = injected_type(event), vector = event & 0xff;
    bool has_error = event & EVENT_ERROR_VALID;
    if (is_instruction(type, vector))
        interrupt_inject(cpu, vector, type == EVENT_TYPE_SOFTWARE ? INTERRUPT_SOFTWARE : INTERRUPT_INT3,
                         cpu_has(cpu, FEAT_NRIP_SAVE) ? next_rip : cpu->rip);
    else if (type == EVENT_TYPE_EXCEPTION)
        cpu_deliver_exception(cpu, vector, has_error, has_error ? event >> 32 : 0);
    else if (type == EVENT_TYPE_NMI)
        inject_nmi(cpu);
    else
        interrupt_deliver(cpu, vector, INTERRUPT_EXTERNAL, false, 0);
}

/* ---- virtual interrupts and NMIs ---- */

static bool nmi_waits(const Cpu *cpu)
{
    const uint32_t wanted = V_NMI_ENABLE | V_NMI;
    return cpu_has(cpu, FEAT_VNMI) && (cpu->svm.int_ctl & (wanted | V_NMI_MASK)) == wanted;
}

void svm_update_virtual_events(Cpu *cpu)
{
    if (cpu->svm.guest && (cpu->svm.int_ctl & (V_IRQ | V_NMI)))
        atomic_fetch_or(&cpu->events, EVENT_VIRTUAL);
    else if (atomic_load(&cpu->events) & EVENT_VIRTUAL)
        atomic_fetch_and(&cpu->events, ~(unsigned)EVENT_VIRTUAL);
}

static bool virtual_gif(const Cpu *cpu)
{
    return !cpu_has(cpu, FEAT_VGIF) || !(cpu->svm.int_ctl & V_GIF_ENABLE) || (cpu->svm.int_ctl & V_GIF);
}

static bool priority_suffices(uint32_t int_ctl)
{
    return (int_ctl & V_IGN_TPR) || (int_ctl & V_INTR_PRIO) >> V_INTR_PRIO_SHIFT > (int_ctl & 15);
}

static void clear_and_wake(Cpu *cpu, uint32_t bits)
{
    cpu->svm.int_ctl &= ~bits;
    svm_update_virtual_events(cpu);
    if (cpu->run_state == CPU_HALTED)
        cpu->run_state = CPU_RUNNING;
}

void svm_virtual_events(Cpu *cpu)
{
    uint32_t int_ctl = cpu->svm.int_ctl;
    if (!(int_ctl & (V_IRQ | V_NMI)) || cpu->shadow || !virtual_gif(cpu))
        return;
    if (nmi_waits(cpu)) {
        clear_and_wake(cpu, V_NMI);
        inject_nmi(cpu);
        return;
    }
    if (!(int_ctl & V_IRQ) || !(cpu->eflags & F_IF) || !priority_suffices(int_ctl))
        return;
    svm_intercept_event(cpu, VMEXIT_VINTR);
    clear_and_wake(cpu, V_IRQ);
    interrupt_deliver(cpu, cpu->svm.int_vector, INTERRUPT_EXTERNAL, false, 0);
}

bool svm_end_virtual_nmi(Cpu *cpu)
{
    if (!cpu_has(cpu, FEAT_VNMI) || !(cpu->svm.int_ctl & V_NMI_ENABLE))
        return false;
    cpu->svm.int_ctl &= ~(uint32_t)V_NMI_MASK;
    if (cpu->svm.int_ctl & V_NMI)
        cpu_request_attention(cpu);
    return true;
}

bool svm_read_tpr(const Cpu *cpu, uint64_t *v)
{
    *v = cpu->svm.int_ctl & 15;
    return cpu->svm.guest && masks_interrupts(cpu);
}

bool svm_write_tpr(Cpu *cpu, uint64_t v)
{
    if (!cpu->svm.guest || !masks_interrupts(cpu))
        return false;
    cpu->svm.int_ctl = (cpu->svm.int_ctl & ~(uint32_t)V_TPR) | (v & 15);
    cpu_request_attention(cpu);
    return true;
}
