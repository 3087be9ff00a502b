/*
 * Fast system calls: SYSCALL, SYSRET, SYSENTER, SYSEXIT (SDM vol. 2B; AMD APM vol. 3).
 *
 * The vendors differ: AMD has SYSCALL and SYSRET in legacy and compatibility mode, Intel in 64-bit mode only; Intel
 * has SYSENTER and SYSEXIT in long mode, AMD not.  Only Intel checks SYSRET's target before the privilege changes.
 */
#include "cpu/cet.h"
#include "cpu/fault.h"
#include "cpu/flags.h"
#include "cpu/model.h"
#include "cpu/system.h"

/* Bits of EFLAGS that SYSRET takes from R11: all that exist but RF and VM. */
#define SYSRET_FLAGS 0x3c7fd7u

static bool is_amd(const Cpu *cpu) { return cpu->model->vendor == VENDOR_AMD; }

/* Flat CS and SS of a privilege level, with selectors as given; the derived state is up to the caller. */
static void set_flat_cs(Cpu *cpu, uint16_t sel, unsigned dpl, bool code64)
{
    cpu->seg[SEG_CS] = (Segment){
        .sel = sel, .limit = 0xffffffff,
        .attr = SA_CODE | SA_WRITABLE | SA_ACCESSED | SA_S | dpl << SA_DPL_SHIFT | SA_P | SA_G |
                (code64 ? SA_L : SA_DB),
    };
}

static void set_flat_ss(Cpu *cpu, uint16_t sel, unsigned dpl)
{
    cpu->seg[SEG_SS] = (Segment){
        .sel = sel, .limit = 0xffffffff,
        .attr = SA_WRITABLE | SA_ACCESSED | SA_S | dpl << SA_DPL_SHIFT | SA_P | SA_G | SA_DB,
    };
}

/* For these two the TF that counts is the one at their end (AMD APM vol. 3, SYSCALL; SDM vol. 2B, SYSRET). */
static void trap_by_new_tf(Cpu *cpu)
{
    cpu->tf_trap = false;
    if (cpu->eflags & F_TF)
        cpu->dr6_pending |= BIT(14);
}

/* CS and CPL have changed; from 64-bit code to 64-bit code little follows from that. */
static void follow_cs(Cpu *cpu, bool both64)
{
    if (likely(both64))
        cpu_update_level(cpu);
    else
        cpu_update_mode(cpu);
}

static void sys_syscall(Cpu *cpu, const Insn *i)
{
    bool from64 = cpu_code64(cpu);
    if (!(cpu->efer & EFER_SCE) || (!from64 && !is_amd(cpu)))
        cpu_raise_ud(cpu);
    uint64_t next = next_rip(cpu, i), target;
    uint32_t cleared = EFLAGS_RF | EFLAGS_VM;
    if (cpu->long_mode) {
        cpu->gpr[R_11] = cpu_eflags(cpu) & ~EFLAGS_RF;
        target = from64 ? cpu->lstar : cpu->cstar;
        cleared |= cpu->sfmask & ~EFLAGS_FIXED;
    } else {
        target = (uint32_t)cpu->star;
        cleared |= F_IF;
    }
    cpu->gpr[R_CX] = next;
    shadow_leave_by_syscall(cpu);
    uint16_t sel = cpu->star >> 32 & 0xfffc;
    set_flat_cs(cpu, sel, 0, cpu->long_mode);
    set_flat_ss(cpu, sel + 8, 0);
    cpu_set_eflags(cpu, 0, cleared);
    follow_cs(cpu, from64);
    cpu->rip = target;
    cet_track_far(cpu);
    trap_by_new_tf(cpu);
}

static void sys_sysret(Cpu *cpu, const Insn *i)
{
    bool from64 = cpu_code64(cpu), to64 = from64 && i->osz == SZ64;
    if (!(cpu->efer & EFER_SCE) || (!from64 && !is_amd(cpu)))
        cpu_raise_ud(cpu);
    if (!cpu->protected_mode || cpu->cpl != 0)
        cpu_raise_gp(cpu);
    uint64_t target = to64 ? cpu->gpr[R_CX] : reg32(cpu, R_CX);
    if (to64 && !is_amd(cpu) && !cpu_canonical(cpu, target))
        cpu_raise_gp(cpu);
    uint16_t sel = cpu->star >> 48;
    set_flat_cs(cpu, (to64 ? sel + 16 : sel) | 3, 3, to64);
    set_flat_ss(cpu, (sel + 8) | 3, 3);
    follow_cs(cpu, to64);
    if (from64)
        cpu_set_eflags(cpu, cpu->gpr[R_11] & SYSRET_FLAGS, SYSRET_FLAGS | EFLAGS_RF | EFLAGS_VM);
    else
        cpu_set_eflags(cpu, F_IF, F_IF);
    cpu->rip = target;
    shadow_return_to_user(cpu);
    trap_by_new_tf(cpu);
}

static void sys_sysenter(Cpu *cpu, const Insn *i)
{
    (void)i;
    if (cpu->long_mode && is_amd(cpu))
        cpu_raise_ud(cpu);
    if (cpu_real_mode(cpu) || !(cpu->sysenter_cs & 0xfffc))
        cpu_raise_gp(cpu);
    uint16_t sel = cpu->sysenter_cs & 0xfffc;
    bool wide = cpu->long_mode;
    shadow_leave_by_syscall(cpu);
    set_flat_cs(cpu, sel, 0, wide);
    set_flat_ss(cpu, sel + 8, 0);
    cpu_set_eflags(cpu, 0, EFLAGS_VM | F_IF | EFLAGS_RF);
    cpu_update_mode(cpu);
    cpu->gpr[R_SP] = wide ? cpu->sysenter_esp : (uint32_t)cpu->sysenter_esp;
    cpu->rip = wide ? cpu->sysenter_eip : (uint32_t)cpu->sysenter_eip;
    cet_track_far(cpu);
}

static void sys_sysexit(Cpu *cpu, const Insn *i)
{
    if (cpu->long_mode && is_amd(cpu))
        cpu_raise_ud(cpu);
    if (cpu_real_mode(cpu) || cpu->cpl != 0 || !(cpu->sysenter_cs & 0xfffc))
        cpu_raise_gp(cpu);
    bool to64 = cpu_code64(cpu) && i->osz == SZ64;
    uint64_t target = to64 ? cpu->gpr[R_DX] : reg32(cpu, R_DX), stack = to64 ? cpu->gpr[R_CX] : reg32(cpu, R_CX);
    if (to64 && (!cpu_canonical(cpu, target) || !cpu_canonical(cpu, stack)))
        cpu_raise_gp(cpu);
    uint16_t sel = (cpu->sysenter_cs + (to64 ? 32 : 16)) | 3;
    set_flat_cs(cpu, sel, 3, to64);
    set_flat_ss(cpu, sel + 8, 3);
    cpu_update_mode(cpu);
    cpu->gpr[R_SP] = stack;
    cpu->rip = target;
    shadow_return_to_user(cpu);
}

SEM_1(sys_syscall)
SEM_1(sys_sysret)
SEM_1(sys_sysenter)
SEM_1(sys_sysexit)
