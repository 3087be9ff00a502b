/*
 * System instructions (SDM vol. 2; AMD APM vol. 3 chapter 4): control and debug registers, MSRs, time-stamp counter,
 * CPUID, interrupt flag, halting, cache and TLB control, FS/GS bases, random numbers, fences, hints.
 */
#include <stdatomic.h>

#include "core/machine.h"
#include "core/random.h"
#include "cpu/access.h"
#include "cpu/flags.h"
#include "cpu/mmu.h"
#include "cpu/model.h"
#include "cpu/system.h"

static inline void require_cpl0(Cpu *cpu)
{
    if (cpu->cpl != 0)
        cpu_raise_gp(cpu);
}

/* A 64-bit value into EDX:EAX, and out of it. */
static inline void set_edx_eax(Cpu *cpu, uint64_t v)
{
    set_reg32(cpu, R_AX, v);
    set_reg32(cpu, R_DX, v >> 32);
}
static inline uint64_t edx_eax(const Cpu *cpu) { return (uint64_t)reg32(cpu, R_DX) << 32 | reg32(cpu, R_AX); }

/* Operands of MOV CR, MOV DR and INVPCID are as wide as the mode, whatever the prefixes. */
static inline uint64_t mode_reg(const Cpu *cpu, unsigned n)
{
    return cpu_code64(cpu) ? cpu->gpr[n] : reg32(cpu, n);
}

static void set_mode_reg(Cpu *cpu, unsigned n, uint64_t v)
{
    cpu->gpr[n] = cpu_code64(cpu) ? v : (uint32_t)v;
}

/* Control and debug registers. */

static uint64_t control_register(Cpu *cpu, unsigned n)
{
    switch (n) {
    case 0: return cpu->cr0;
    case 2: return cpu->cr2;
    case 3: return cpu->cr3;
    case 4: return cpu->cr4;
    default: return cr8_read(cpu);
    }
}

static void check_control_register(Cpu *cpu, unsigned n)
{
    if (n == 1 || (n > 4 && n != 8) || (n == 4 && !cpu_has(cpu, FEAT_CPUID)))
        cpu_raise_ud(cpu);
    require_cpl0(cpu);
}

static void sys_mov_from_cr(Cpu *cpu, const Insn *i)
{
    check_control_register(cpu, i->reg);
    set_mode_reg(cpu, i->rm, control_register(cpu, i->reg));
}

static void sys_mov_to_cr(Cpu *cpu, const Insn *i)
{
    uint64_t v = mode_reg(cpu, i->rm);
    check_control_register(cpu, i->reg);
    switch (i->reg) {
    case 0: cr0_write(cpu, v); break;
    case 2: cpu->cr2 = v; break;
    case 3: cr3_write(cpu, v); break;
    case 4: cr4_write(cpu, v); break;
    default: cr8_write(cpu, v); break;
    }
}

static void sys_mov_from_dr(Cpu *cpu, const Insn *i) { set_mode_reg(cpu, i->rm, dr_read(cpu, i->reg)); }
static void sys_mov_to_dr(Cpu *cpu, const Insn *i) { dr_write(cpu, i->reg, mode_reg(cpu, i->rm)); }

static void sys_clts(Cpu *cpu, const Insn *i)
{
    (void)i;
    require_cpl0(cpu);
    if (cpu->cr0 & CR0_TS) {
        cpu->cr0 &= ~(uint64_t)CR0_TS;
        cpu_update_mode(cpu);
    }
}

/* LMSW sets PE but cannot clear it. */
static void load_msw(Cpu *cpu, uint16_t v)
{
    cr0_write(cpu, (cpu->cr0 & ~(uint64_t)(CR0_MP | CR0_EM | CR0_TS)) | (v & 15));
}

static void sys_lmsw_r(Cpu *cpu, const Insn *i)
{
    require_cpl0(cpu);
    load_msw(cpu, cpu->gpr[i->rm]);
}

static void sys_lmsw_m(Cpu *cpu, const Insn *i)
{
    require_cpl0(cpu);
    load_msw(cpu, mem_read16(cpu, i->seg, insn_ea(cpu, i)));
}

static inline void check_umip(Cpu *cpu)
{
    if ((cpu->cr4 & CR4_UMIP) && cpu->cpl != 0)
        cpu_raise_gp(cpu);
}

static void sys_smsw_r16(Cpu *cpu, const Insn *i) { check_umip(cpu); set_reg16(cpu, i->rm, cpu->cr0); }
static void sys_smsw_r32(Cpu *cpu, const Insn *i) { check_umip(cpu); set_reg32(cpu, i->rm, cpu->cr0); }
static void sys_smsw_r64(Cpu *cpu, const Insn *i) { check_umip(cpu); set_reg64(cpu, i->rm, cpu->cr0); }
static void sys_smsw_m(Cpu *cpu, const Insn *i)
{
    check_umip(cpu);
    mem_write16(cpu, i->seg, insn_ea(cpu, i), cpu->cr0);
}
#define sys_smsw_m16 sys_smsw_m
#define sys_smsw_m32 sys_smsw_m
#define sys_smsw_m64 sys_smsw_m

/* MSRs, counters, CPUID. */

static void sys_rdmsr(Cpu *cpu, const Insn *i)
{
    (void)i;
    uint64_t v;
    require_cpl0(cpu);
    if (!msr_read(cpu, reg32(cpu, R_CX), &v))
        cpu_raise_gp(cpu);
    set_edx_eax(cpu, v);
    stops_note(cpu, STOP_MSR, reg32(cpu, R_CX), 0, STOP_READ, v, v);
}

static void sys_wrmsr(Cpu *cpu, const Insn *i)
{
    (void)i;
    require_cpl0(cpu);
    uint64_t old = 0;
    if (stops_wanted(cpu, STOP_MSR))
        msr_read(cpu, reg32(cpu, R_CX), &old);
    if (!msr_write(cpu, reg32(cpu, R_CX), edx_eax(cpu)))
        cpu_raise_gp(cpu);
    stops_note(cpu, STOP_MSR, reg32(cpu, R_CX), 0, STOP_WRITE, edx_eax(cpu), old);
}

typedef bool MsrListFn(Cpu *cpu, uint32_t index, uint64_t ea);

/*
 * RDMSRLIST, WRMSRLIST: the MSRs that the table at RSI names, with the one of values at RDI, for the bits of RCX from
 * the lowest on.  RCX loses each bit that is done, so that after a fault the instruction goes on where it was.
 */
static void each_listed_msr(Cpu *cpu, MsrListFn *step)
{
    require_cpl0(cpu);
    if ((cpu->gpr[R_SI] | cpu->gpr[R_DI]) & 7)
        cpu_raise_gp(cpu);
    while (cpu->gpr[R_CX]) {
        uint64_t offset = __builtin_ctzll(cpu->gpr[R_CX]) * 8;
        uint64_t index = mem_read64(cpu, SEG_DS, cpu->gpr[R_SI] + offset);
        if (index >> 32 || !step(cpu, index, cpu->gpr[R_DI] + offset))
            cpu_raise_gp(cpu);
        cpu->gpr[R_CX] &= cpu->gpr[R_CX] - 1;
    }
}

static bool read_listed_msr(Cpu *cpu, uint32_t index, uint64_t ea)
{
    uint64_t v;
    if (!msr_read(cpu, index, &v))
        return false;
    mem_write64(cpu, SEG_DS, ea, v);
    return true;
}
static bool write_listed_msr(Cpu *cpu, uint32_t index, uint64_t ea)
{
    return msr_write(cpu, index, mem_read64(cpu, SEG_DS, ea));
}

static void sys_rdmsrlist(Cpu *cpu, const Insn *i)
{
    (void)i;
    each_listed_msr(cpu, read_listed_msr);
}
static void sys_wrmsrlist(Cpu *cpu, const Insn *i)
{
    (void)i;
    each_listed_msr(cpu, write_listed_msr);
}

static inline void check_tsd(Cpu *cpu)
{
    if ((cpu->cr4 & CR4_TSD) && cpu->cpl != 0)
        cpu_raise_gp(cpu);
}

static void sys_rdtsc(Cpu *cpu, const Insn *i)
{
    (void)i;
    check_tsd(cpu);
    set_edx_eax(cpu, tsc_read(cpu));
}

static void sys_rdtscp(Cpu *cpu, const Insn *i)
{
    (void)i;
    check_tsd(cpu);
    set_edx_eax(cpu, tsc_read(cpu));
    set_reg32(cpu, R_CX, cpu->tsc_aux);
}

static void sys_rdpid(Cpu *cpu, const Insn *i) { set_reg32(cpu, i->rm, cpu->tsc_aux); }

/* Four counters on AMD, two on Intel's P6. */
static void sys_rdpmc(Cpu *cpu, const Insn *i)
{
    (void)i;
    if (!(cpu->cr4 & CR4_PCE) && cpu->cpl != 0)
        cpu_raise_gp(cpu);
    uint32_t n = reg32(cpu, R_CX);
    if (n >= (cpu->model->vendor == VENDOR_AMD ? 4 : 2))
        cpu_raise_gp(cpu);
    set_edx_eax(cpu, cpu->perf_ctr[n]);
}

/* Register 0 is MPERF and 1 is APERF, both at the TSC's rate; others read as 0 (APM vol. 3, RDPRU). */
static void sys_rdpru(Cpu *cpu, const Insn *i)
{
    (void)i;
    if ((cpu->cr4 & CR4_TSD) && cpu->cpl != 0)
        cpu_raise_ud(cpu);
    set_edx_eax(cpu, reg32(cpu, R_CX) <= 1 ? tsc_read(cpu) : 0);
}

/* It is serialising, which software uses as a fence. */
static void sys_cpuid(Cpu *cpu, const Insn *i)
{
    (void)i;
    uint32_t out[4];
    atomic_thread_fence(memory_order_seq_cst);
    cpuid_read(cpu, reg32(cpu, R_AX), reg32(cpu, R_CX), out);
    set_reg32(cpu, R_AX, out[CPUID_EAX]);
    set_reg32(cpu, R_BX, out[CPUID_EBX]);
    set_reg32(cpu, R_CX, out[CPUID_ECX]);
    set_reg32(cpu, R_DX, out[CPUID_EDX]);
}

/* Interrupt flag and halting. */

/* What CLI and STI act on: IF, the virtual IF, or nothing (#GP): SDM vol. 2A CLI, vol. 2B STI. */
enum FlagTarget { TARGET_IF, TARGET_VIF, TARGET_NONE };

static enum FlagTarget interrupt_flag_target(const Cpu *cpu)
{
    if (cpu->cpl <= cpu_iopl(cpu))
        return TARGET_IF;
    if (cpu_v86(cpu))
        return cpu->cr4 & CR4_VME ? TARGET_VIF : TARGET_NONE;
    return cpu->cpl == 3 && (cpu->cr4 & CR4_PVI) ? TARGET_VIF : TARGET_NONE;
}

static void sys_cli(Cpu *cpu, const Insn *i)
{
    (void)i;
    switch (interrupt_flag_target(cpu)) {
    case TARGET_IF: cpu_set_eflags(cpu, 0, F_IF); break;
    case TARGET_VIF: cpu_set_eflags(cpu, 0, EFLAGS_VIF); break;
    case TARGET_NONE: cpu_raise_gp(cpu);
    }
}

static void sys_sti(Cpu *cpu, const Insn *i)
{
    (void)i;
    enum FlagTarget target = interrupt_flag_target(cpu);
    if (target == TARGET_NONE || (target == TARGET_VIF && (cpu->eflags & EFLAGS_VIP)))
        cpu_raise_gp(cpu);
    if (target == TARGET_VIF) {
        cpu_set_eflags(cpu, EFLAGS_VIF, EFLAGS_VIF);
        return;
    }
    if (!(cpu->eflags & F_IF))
        cpu->shadow |= SHADOW_STI;
    cpu_set_eflags(cpu, F_IF, F_IF);
}

static void halt(Cpu *cpu)
{
    cpu->run_state = CPU_HALTED;
    cpu_request_attention(cpu);
}

static void sys_hlt(Cpu *cpu, const Insn *i)
{
    (void)i;
    require_cpl0(cpu);
    halt(cpu);
}

/* MONITOR, MONITORX: a line of memory, checked as a read of a byte. */
static void arm_monitor(Cpu *cpu, const Insn *i)
{
    Translation t;
    if (mode_reg(cpu, R_CX))
        cpu_raise_gp(cpu);
    uint64_t ea = cpu->gpr[R_AX] & (i->asz == SZ16 ? 0xffff : i->asz == SZ32 ? 0xffffffff : ~UINT64_C(0));
    mem_read8(cpu, i->seg, ea);
    cpu->monitor_gpa = mmu_walk(cpu, segment_linear(cpu, i->seg, ea, 1, false), &t) ? t.gpa : 0;
}

static void sys_monitor(Cpu *cpu, const Insn *i)
{
    if (cpu->cpl != 0)
        cpu_raise_ud(cpu);
    arm_monitor(cpu, i);
}

/* AMD's, for any privilege (APM vol. 3, MONITORX, MWAITX). */
static void sys_monitorx(Cpu *cpu, const Insn *i) { arm_monitor(cpu, i); }

/*
 * MWAIT may end at any time (SDM vol. 3A 9.10.4).  Stores of other CPUs are not watched, so it waits only where none
 * could come: with one CPU, for an interrupt that can be taken.  With several it is a PAUSE.
 */
static void monitor_wait(Cpu *cpu, bool timed)
{
    if (cpu->parallel)
        cpu_yield(cpu);
    else if (cpu->monitor_gpa && (cpu->eflags & F_IF) && !timed)
        halt(cpu);
    cpu->monitor_gpa = 0;
}

static void sys_mwait(Cpu *cpu, const Insn *i)
{
    (void)i;
    if (cpu->cpl != 0)
        cpu_raise_ud(cpu);
    if (mode_reg(cpu, R_CX) >> 1)
        cpu_raise_gp(cpu);
    monitor_wait(cpu, false);
}

/* Bit 1: no longer than so many cycles of the TSC as EBX says; it ends at once then. */
static void sys_mwaitx(Cpu *cpu, const Insn *i)
{
    (void)i;
    uint64_t extensions = mode_reg(cpu, R_CX);
    if (extensions >> 2)
        cpu_raise_gp(cpu);
    monitor_wait(cpu, extensions & 2);
}

/* Caches and TLB. */

/* INVD, WBINVD: there is no cache to write back or drop. */
static void sys_invd(Cpu *cpu, const Insn *i)
{
    (void)i;
    require_cpl0(cpu);
}

uint64_t invlpg_address(const Cpu *cpu, const Insn *i)
{
    uint64_t la = insn_ea(cpu, i);
    if (!cpu_code64(cpu))
        return (la + cpu->seg[i->seg].base) & 0xffffffff;
    return i->seg >= SEG_FS ? la + cpu->seg[i->seg].base : la;
}

/* A non-canonical address is nothing to flush. */
static void sys_invlpg(Cpu *cpu, const Insn *i)
{
    require_cpl0(cpu);
    tlb_flush_page(cpu, invlpg_address(cpu, i));
}

static void sys_invpcid(Cpu *cpu, const Insn *i)
{
    require_cpl0(cpu);
    uint64_t type = mode_reg(cpu, i->reg), descriptor[2];
    mem_read_vec(cpu, i->seg, insn_ea(cpu, i), descriptor, 16, 0);
    uint64_t pcid = descriptor[0];
    bool by_pcid = type <= 1;
    if (type > 3 || pcid >> 12 || (by_pcid && pcid && !(cpu->cr4 & CR4_PCIDE)))
        cpu_raise_gp(cpu);
    if (type == 0 && cpu->linear_bits > 32 && !cpu_canonical_register(cpu, descriptor[1]))
        cpu_raise_gp(cpu);
    /* Only the current PCID has entries in the soft TLB (control_regs.c). */
    if (by_pcid && (cpu->cr4 & CR4_PCIDE) && pcid != (cpu->cr3 & 0xfff))
        return;
    switch (type) {
    case 0: tlb_flush_page(cpu, descriptor[1]); break;
    case 2: tlb_flush_all(cpu); break;
    default: tlb_flush_local(cpu); break;
    }
}

/* CLFLUSH and its like fault as a load of one byte does. */
static void sys_clflush(Cpu *cpu, const Insn *i) { mem_read8(cpu, i->seg, insn_ea(cpu, i)); }

static void sys_fence(Cpu *cpu, const Insn *i)
{
    (void)cpu;
    (void)i;
    atomic_thread_fence(memory_order_seq_cst);
}

/* A sign of spinning on what another CPU will do. */
static void sys_pause(Cpu *cpu, const Insn *i)
{
    (void)i;
    if (cpu->parallel)
        cpu_yield(cpu);
}

static void sys_nop(Cpu *cpu, const Insn *i)
{
    (void)cpu;
    (void)i;
}

/* FS and GS bases. */

/* In 64-bit mode only whether the base is 0 follows from it. */
static void set_base64(Cpu *cpu, unsigned seg, uint64_t base)
{
    cpu->seg[seg].base = base;
    cpu->flat = (cpu->flat & ~(1u << seg)) | (uint32_t)(base == 0) << seg;
}

static void sys_swapgs(Cpu *cpu, const Insn *i)
{
    (void)i;
    require_cpl0(cpu);
    uint64_t base = cpu->kernel_gs_base;
    cpu->kernel_gs_base = cpu->seg[SEG_GS].base;
    set_base64(cpu, SEG_GS, base);
}

static void read_base(Cpu *cpu, const Insn *i, unsigned seg)
{
    if (!(cpu->cr4 & CR4_FSGSBASE))
        cpu_raise_ud(cpu);
    uint64_t base = cpu->seg[seg].base;
    cpu->gpr[i->rm] = i->osz == SZ64 ? base : (uint32_t)base;
}

static void write_base(Cpu *cpu, const Insn *i, unsigned seg)
{
    if (!(cpu->cr4 & CR4_FSGSBASE))
        cpu_raise_ud(cpu);
    uint64_t base = i->osz == SZ64 ? cpu->gpr[i->rm] : reg32(cpu, i->rm);
    if (!cpu_canonical_register(cpu, base))
        cpu_raise_gp(cpu);
    set_base64(cpu, seg, base);
}

static void sys_rdfsbase(Cpu *cpu, const Insn *i) { read_base(cpu, i, SEG_FS); }
static void sys_rdgsbase(Cpu *cpu, const Insn *i) { read_base(cpu, i, SEG_GS); }
static void sys_wrfsbase(Cpu *cpu, const Insn *i) { write_base(cpu, i, SEG_FS); }
static void sys_wrgsbase(Cpu *cpu, const Insn *i) { write_base(cpu, i, SEG_GS); }

/* Alignment-check flag. */

static void set_ac(Cpu *cpu, uint32_t value)
{
    if (cpu->cpl != 0)
        cpu_raise_ud(cpu);
    cpu_set_eflags(cpu, value, EFLAGS_AC);
}

static void sys_clac(Cpu *cpu, const Insn *i) { (void)i; set_ac(cpu, 0); }
static void sys_stac(Cpu *cpu, const Insn *i) { (void)i; set_ac(cpu, EFLAGS_AC); }

/* Rights of protection keys; ECX selects the register, which must be 0. */

static inline void check_pkru(Cpu *cpu)
{
    if (!(cpu->cr4 & CR4_PKE))
        cpu_raise_ud(cpu);
    if (reg32(cpu, R_CX))
        cpu_raise_gp(cpu);
}

static void sys_rdpkru(Cpu *cpu, const Insn *i)
{
    (void)i;
    check_pkru(cpu);
    set_edx_eax(cpu, cpu->pkru);
}

static void sys_wrpkru(Cpu *cpu, const Insn *i)
{
    (void)i;
    check_pkru(cpu);
    if (reg32(cpu, R_DX))
        cpu_raise_gp(cpu);
    pkru_set(cpu, reg32(cpu, R_AX));
}

/* Leaving SMM, random numbers, undefined on purpose. */

static void sys_rsm(Cpu *cpu, const Insn *i)
{
    (void)i;
    if (!cpu->in_smm)
        cpu_raise_ud(cpu);
    smm_leave(cpu);
}

/* CF tells that there was a number, which is always so; the other flags are 0. */
static void sys_rdrand(Cpu *cpu, const Insn *i)
{
    uint8_t bytes[8];
    random_bytes(bytes, sizeof bytes);
    uint64_t v = ld64le(bytes);
    switch (i->osz) {
    case SZ16: set_reg16(cpu, i->rm, v); break;
    case SZ32: set_reg32(cpu, i->rm, v); break;
    default: set_reg64(cpu, i->rm, v); break;
    }
    set_flags_arith(cpu, F_CF);
}

static void sys_ud(Cpu *cpu, const Insn *i)
{
    (void)i;
    cpu_raise_ud(cpu);
}

SEM_1(sys_mov_from_cr)
SEM_1(sys_mov_to_cr)
SEM_1(sys_mov_from_dr)
SEM_1(sys_mov_to_dr)
SEM_1(sys_clts)
SEM_RM(sys_lmsw)
SEM_RM_SZ(sys_smsw)
SEM_1(sys_rdmsr)
SEM_1(sys_wrmsr)
SEM_1(sys_rdmsrlist)
SEM_1(sys_wrmsrlist)
SEM_1(sys_rdtsc)
SEM_1(sys_rdtscp)
SEM_1(sys_rdpid)
SEM_1(sys_rdpmc)
SEM_1(sys_rdpru)
SEM_1(sys_cpuid)
SEM_1(sys_cli)
SEM_1(sys_sti)
SEM_1(sys_hlt)
SEM_1(sys_monitor)
SEM_1(sys_mwait)
SEM_1(sys_monitorx)
SEM_1(sys_mwaitx)
SEM_1(sys_invd)
SEM_1(sys_invlpg)
SEM_1(sys_invpcid)
SEM_1(sys_clflush)
SEM_1(sys_fence)
SEM_1(sys_pause)
SEM_1(sys_nop)
SEM_1(sys_swapgs)
SEM_1(sys_rdfsbase)
SEM_1(sys_rdgsbase)
SEM_1(sys_wrfsbase)
SEM_1(sys_wrgsbase)
SEM_1(sys_clac)
SEM_1(sys_stac)
SEM_1(sys_rdpkru)
SEM_1(sys_wrpkru)
SEM_1(sys_rsm)
SEM_1(sys_rdrand)
SEM_1(sys_ud)
