/*
 * Far JMP and CALL in every mode: to code segments, through call gates, task gates and to TSSs (SDM vol. 2 JMP, CALL;
 * vol. 3A 5.8).
 */
#include "core/log.h"
#include "cpu/cet.h"
#include "cpu/control_stack.h"

#include <inttypes.h>

typedef struct FarTransfer {
    bool call;
    uint16_t sel;
    uint64_t offset;
    unsigned size;     /* operand size in bytes: what CALL pushes */
    uint64_t next_rip;
} FarTransfer;

static _Noreturn void raise_selector(Cpu *cpu, unsigned vector, uint16_t sel)
{
    cpu_raise_error(cpu, vector, selector_error(sel, 0));
}

static void push_return(Cpu *cpu, ControlStack *s, uint64_t next_rip, unsigned size)
{
    control_stack_push(cpu, s, cpu->seg[SEG_CS].sel, size);
    control_stack_push(cpu, s, next_rip, size);
}

static void far_real(Cpu *cpu, const FarTransfer *f)
{
    ControlStack s = control_stack_current(cpu, 0);
    if (f->call)
        control_stack_reserve(cpu, &s, 2, f->size);
    if (f->offset > cpu->seg[SEG_CS].limit)
        cpu_raise_gp(cpu);
    if (f->call) {
        push_return(cpu, &s, f->next_rip, f->size);
        control_stack_commit(cpu, &s);
    }
    if (cpu_v86(cpu))
        segment_load_v86(cpu, SEG_CS, f->sel);
    else
        segment_load_real(cpu, SEG_CS, f->sel);
    cpu->rip = f->offset;
    cpu_update_mode(cpu);
}

/* What a CALL makes of shadow stacks, or a JMP; nothing of the CPU changes yet. */
static uint64_t shadow_transfer(Cpu *cpu, const FarTransfer *f, const Descriptor *code, unsigned cpl)
{
    bool to64 = attr_is_code64(cpu, descriptor_attr(code));
    if (f->call)
        return shadow_enter(cpu, cpl, cpl != cpu->cpl, 0, to64, f->next_rip);
    shadow_check_jump(cpu, to64);
    return cpu->ssp;
}

static void enter_code(Cpu *cpu, uint16_t sel, unsigned cpl, const Descriptor *code, uint64_t rip, uint64_t ssp)
{
    if (cpl != cpu->cpl)
        shadow_save_user(cpu);
    cpu->ssp = ssp;
    code_enter(cpu, sel, cpl, code, rip);
    cet_track_far(cpu);
}

/* Enters code at the same level, saving the return address for a CALL; `flat`: as 64-bit code pushes. */
static void enter_same_level(Cpu *cpu, const FarTransfer *f, uint16_t sel, Descriptor *code, uint64_t rip,
                             unsigned size, bool flat)
{
    ControlStack s = control_stack_current(cpu, 0);
    if (flat) {
        s.flat = true;
        s.mask = ~UINT64_C(0);
    }
    if (f->call)
        control_stack_reserve(cpu, &s, 2, size);
    code_check_target(cpu, code, rip, 0);
    descriptor_set_accessed(cpu, code);
    if (f->call)
        push_return(cpu, &s, f->next_rip, size);
    uint64_t ssp = shadow_transfer(cpu, f, code, cpu->cpl);
    if (f->call)
        control_stack_commit(cpu, &s);
    enter_code(cpu, sel, cpu->cpl, code, rip, ssp);
}

static void far_to_code(Cpu *cpu, const FarTransfer *f, Descriptor *code)
{
    uint16_t attr = descriptor_attr(code);
    unsigned dpl = attr_dpl(attr);
    if (!attr_is_code(attr) || attr_bad_long(cpu, attr))
        raise_selector(cpu, EXC_GP, f->sel);
    if (attr_is_conforming(attr) ? dpl > cpu->cpl : dpl != cpu->cpl || (f->sel & 3u) > cpu->cpl)
        raise_selector(cpu, EXC_GP, f->sel);
    if (!(attr & SA_P))
        raise_selector(cpu, EXC_NP, f->sel);
    enter_same_level(cpu, f, f->sel, code, f->offset, f->size, cpu_code64(cpu));
}

/* CALL through a gate to a more privileged level (SDM vol. 2 CALL, MORE-PRIVILEGE). */
static void call_inner(Cpu *cpu, const FarTransfer *f, const Descriptor *gate, Descriptor *code, unsigned size)
{
    unsigned cpl = descriptor_dpl(code), count = size == 8 ? 0 : gate_count(gate);
    uint64_t rip = gate_offset(gate), parameter[31];
    ControlStack s =
        size == 8 ? control_stack_from_tss64(cpu, cpl * 8 + 4, cpl, 0) : control_stack_from_tss(cpu, cpl, 0);
    control_stack_reserve(cpu, &s, 4 + count, size);
    code_check_target(cpu, code, rip, 0);
    for (unsigned k = 0; k < count; k++) {
        uint64_t ea = (cpu->gpr[R_SP] + k * size) & cpu->sp_mask;
        parameter[k] = size == 4 ? mem_read32(cpu, SEG_SS, ea) : mem_read16(cpu, SEG_SS, ea);
    }
    descriptor_set_accessed(cpu, code);
    control_stack_push(cpu, &s, cpu->seg[SEG_SS].sel, size);
    control_stack_push(cpu, &s, cpu->gpr[R_SP], size);
    for (unsigned k = count; k > 0; k--)
        control_stack_push(cpu, &s, parameter[k - 1], size);
    push_return(cpu, &s, f->next_rip, size);
    uint64_t ssp = shadow_transfer(cpu, f, code, cpl);
    control_stack_commit(cpu, &s);
    enter_code(cpu, gate_selector(gate), cpl, code, rip, ssp);
}

/* The code segment that a call gate names. */
static void read_gate_target(Cpu *cpu, const FarTransfer *f, uint16_t sel, Descriptor *code)
{
    transfer_descriptor_read(cpu, sel, 0, code);
    uint16_t attr = descriptor_attr(code);
    unsigned dpl = attr_dpl(attr);
    if (!attr_is_code(attr) || dpl > cpu->cpl || (!f->call && !attr_is_conforming(attr) && dpl != cpu->cpl))
        raise_selector(cpu, EXC_GP, sel);
    if (cpu->long_mode && (attr & (SA_L | SA_DB)) != SA_L)
        raise_selector(cpu, EXC_GP, sel);
    if (!(attr & SA_P))
        raise_selector(cpu, EXC_NP, sel);
}

/* A gate or TSS may be used when its DPL is not below CPL and RPL. */
static void check_gate(Cpu *cpu, uint16_t sel, const Descriptor *d)
{
    unsigned dpl = descriptor_dpl(d);
    if (dpl < cpu->cpl || dpl < (sel & 3u))
        raise_selector(cpu, EXC_GP, sel);
    if (!(descriptor_attr(d) & SA_P))
        raise_selector(cpu, EXC_NP, sel);
}

static void far_through_gate(Cpu *cpu, const FarTransfer *f, Descriptor *gate)
{
    Descriptor code;
    unsigned size = cpu->long_mode ? 8 : descriptor_attr(gate) & SYS_32 ? 4 : 2;
    if (size == 8 && (!descriptor_read(cpu, f->sel, true, gate) || !descriptor_upper_valid(cpu, gate)))
        raise_selector(cpu, EXC_GP, f->sel);
    check_gate(cpu, f->sel, gate);
    uint16_t sel = gate_selector(gate);
    read_gate_target(cpu, f, sel, &code);
    if (f->call && !attr_is_conforming(descriptor_attr(&code)) && descriptor_dpl(&code) < cpu->cpl)
        call_inner(cpu, f, gate, &code, size);
    else
        enter_same_level(cpu, f, sel, &code, gate_offset(gate), size, size == 8);
}

static void far_to_task(Cpu *cpu, const FarTransfer *f, uint16_t tss)
{
    task_switch(cpu, tss, f->call ? TASK_CALL : TASK_JUMP, f->next_rip, false, 0);
}

static void far_to_system(Cpu *cpu, const FarTransfer *f, Descriptor *d)
{
    unsigned type = attr_system_type(descriptor_attr(d));
    if (cpu->long_mode && type != SYS_CALL32)
        raise_selector(cpu, EXC_GP, f->sel);
    switch (type) {
    case SYS_CALL16:
    case SYS_CALL32:
        far_through_gate(cpu, f, d);
        break;
    case SYS_TASK_GATE:
        check_gate(cpu, f->sel, d);
        far_to_task(cpu, f, gate_selector(d));
        break;
    case SYS_TSS16:
    case SYS_TSS32:
        check_gate(cpu, f->sel, d);
        far_to_task(cpu, f, f->sel);
        break;
    default:
        raise_selector(cpu, EXC_GP, f->sel);
    }
}

static void far_transfer(Cpu *cpu, const FarTransfer *f)
{
    Descriptor d;
    if (log_enabled(LOG_PCALL))
        log_printf(LOG_PCALL, "far %s %04x:%" PRIx64 " from %04x:%" PRIx64 "\n", f->call ? "call" : "jmp", f->sel,
                   f->offset, cpu->seg[SEG_CS].sel, cpu->rip);
    if (!cpu->protected_mode) {
        far_real(cpu, f);
        return;
    }
    transfer_descriptor_read(cpu, f->sel, 0, &d);
    if (descriptor_attr(&d) & SA_S)
        far_to_code(cpu, f, &d);
    else
        far_to_system(cpu, f, &d);
}

void far_jump(Cpu *cpu, uint16_t sel, uint64_t offset, unsigned osz, uint64_t next_rip)
{
    FarTransfer f = { .sel = sel, .offset = offset, .size = 2u << osz, .next_rip = next_rip };
    far_transfer(cpu, &f);
}

void far_call(Cpu *cpu, uint16_t sel, uint64_t offset, unsigned osz, uint64_t next_rip)
{
    FarTransfer f = { .call = true, .sel = sel, .offset = offset, .size = 2u << osz, .next_rip = next_rip };
    far_transfer(cpu, &f);
}
