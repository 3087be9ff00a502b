/*
 * Near branches (SDM vol. 2: JMP, CALL, RET, Jcc, JCXZ, LOOP).
 *
 * A target is cut to the operand size and then checked, before anything changes: beyond the limit of CS, or not
 * canonical in 64-bit mode, it is a #GP(0) of the branch itself.
 */
#include "cpu/cet.h"
#include "cpu/integer.h"
#include "cpu/stack.h"

static inline uint64_t target_within_limit(Cpu *cpu, uint64_t rip)
{
    if (unlikely(rip > cpu->seg[SEG_CS].limit))
        cpu_raise_gp(cpu);
    return rip;
}
static inline uint64_t target_16(Cpu *cpu, uint64_t rip) { return target_within_limit(cpu, rip & 0xffff); }
static inline uint64_t target_32(Cpu *cpu, uint64_t rip) { return target_within_limit(cpu, rip & 0xffffffff); }
static inline uint64_t target_64(Cpu *cpu, uint64_t rip)
{
    if (unlikely(!cpu_canonical(cpu, rip)))
        cpu_raise_gp(cpu);
    return rip;
}
static inline uint64_t target_sized(Cpu *cpu, unsigned osz, uint64_t rip)
{
    return osz == SZ64 ? target_64(cpu, rip) : osz == SZ32 ? target_32(cpu, rip) : target_16(cpu, rip);
}

/* Jcc */
#define JCC_SIZE(cc, number, n)                                                                                        \
    static void j##cc##_##n(Cpu *cpu, const Insn *i)                                                                   \
    {                                                                                                                  \
        uint64_t next = next_rip(cpu, i);                                                                              \
        cpu->rip = condition(cpu, number) ? target_##n(cpu, next + i->imm) : next;                                     \
    }
#define JCC(cc, number)                                                                                                \
    JCC_SIZE(cc, number, 16)                                                                                           \
    JCC_SIZE(cc, number, 32)                                                                                           \
    JCC_SIZE(cc, number, 64)                                                                                           \
    SEM_SZ(j##cc)
CONDITIONS(JCC)

/* Bytes on the shadow stack for a return address of n bits. */
#define SHADOW_SLOT(n) ((n) == 64 ? 8 : 4)

/*
 * JMP and CALL, relative and through Ev; RET.  The push or pop of `n` bits comes after the check of the target.  CALL
 * with a displacement of 0, which reads the instruction pointer, leaves shadow stacks alone.
 */
#define NEAR(n)                                                                                                        \
    static void jmp_J_##n(Cpu *cpu, const Insn *i) { cpu->rip = target_##n(cpu, next_rip(cpu, i) + i->imm); }          \
    static inline void jmp_Ev_##n(Cpu *cpu, const Insn *i, uint64_t rip)                                               \
    {                                                                                                                  \
        cpu->rip = target_##n(cpu, rip);                                                                               \
        cet_track_near(cpu, i);                                                                                        \
    }                                                                                                                  \
    static void jmp_Ev_r##n(Cpu *cpu, const Insn *i) { jmp_Ev_##n(cpu, i, reg##n(cpu, i->rm)); }                       \
    static void jmp_Ev_m##n(Cpu *cpu, const Insn *i)                                                                   \
    {                                                                                                                  \
        jmp_Ev_##n(cpu, i, mem_read##n(cpu, i->seg, insn_ea(cpu, i)));                                                 \
    }                                                                                                                  \
    static inline void call_##n(Cpu *cpu, const Insn *i, uint64_t rip, bool shadowed)                                  \
    {                                                                                                                  \
        uint64_t target = target_##n(cpu, rip);                                                                        \
        uint##n##_t next = next_rip(cpu, i);                                                                           \
        if (unlikely(shadowed))                                                                                        \
            shadow_reserve(cpu, SHADOW_SLOT(n));                                                                       \
        push##n(cpu, next);                                                                                            \
        if (unlikely(shadowed))                                                                                        \
            shadow_push(cpu, next, SHADOW_SLOT(n));                                                                    \
        cpu->rip = target;                                                                                             \
    }                                                                                                                  \
    static void call_J_##n(Cpu *cpu, const Insn *i)                                                                    \
    {                                                                                                                  \
        call_##n(cpu, i, next_rip(cpu, i) + i->imm, shadow_in_use(cpu) && i->imm);                                     \
    }                                                                                                                  \
    static inline void call_Ev_##n(Cpu *cpu, const Insn *i, uint64_t rip)                                              \
    {                                                                                                                  \
        call_##n(cpu, i, rip, shadow_in_use(cpu));                                                                     \
        cet_track_near(cpu, i);                                                                                        \
    }                                                                                                                  \
    static void call_Ev_r##n(Cpu *cpu, const Insn *i) { call_Ev_##n(cpu, i, reg##n(cpu, i->rm)); }                     \
    static void call_Ev_m##n(Cpu *cpu, const Insn *i)                                                                  \
    {                                                                                                                  \
        call_Ev_##n(cpu, i, mem_read##n(cpu, i->seg, insn_ea(cpu, i)));                                                \
    }                                                                                                                  \
    static inline void ret_drop##n(Cpu *cpu, uint64_t drop)                                                            \
    {                                                                                                                  \
        uint64_t ea = n == 64 ? cpu->gpr[R_SP] : cpu->gpr[R_SP] & cpu->sp_mask;                                        \
        uint64_t target = target_##n(cpu, mem_read##n(cpu, SEG_SS, ea));                                               \
        if (unlikely(shadow_in_use(cpu)))                                                                              \
            shadow_pop_return(cpu, target, SHADOW_SLOT(n));                                                            \
        if (n == 64)                                                                                                   \
            cpu->gpr[R_SP] += n / 8 + drop;                                                                            \
        else                                                                                                           \
            set_sp(cpu, cpu->gpr[R_SP] + n / 8 + drop);                                                                \
        cpu->rip = target;                                                                                             \
    }                                                                                                                  \
    static void ret_##n(Cpu *cpu, const Insn *i) { (void)i; ret_drop##n(cpu, 0); }                                     \
    static void ret_Iw_##n(Cpu *cpu, const Insn *i) { ret_drop##n(cpu, (uint16_t)i->imm); }
NEAR(16)
NEAR(32)
NEAR(64)
SEM_SZ(jmp_J)
SEM_RM_SZ(jmp_Ev)
SEM_SZ(call_J)
SEM_RM_SZ(call_Ev)
SEM_SZ(ret)
SEM_SZ(ret_Iw)

/* JCXZ and LOOPcc count by address size. */
static void jcxz(Cpu *cpu, const Insn *i)
{
    uint64_t next = next_rip(cpu, i);
    bool zero = (cpu->gpr[R_CX] & address_mask(i->asz)) == 0;
    cpu->rip = zero ? target_sized(cpu, i->osz, next + i->imm) : next;
}
SEM_1(jcxz)

static inline void loop_while(Cpu *cpu, const Insn *i, bool more)
{
    uint64_t next = next_rip(cpu, i), count = cpu->gpr[R_CX] - 1;
    bool taken = more && (count & address_mask(i->asz)) != 0;
    uint64_t rip = taken ? target_sized(cpu, i->osz, next + i->imm) : next;
    set_address_reg(cpu, i->asz, R_CX, count);
    cpu->rip = rip;
}
static void loop(Cpu *cpu, const Insn *i) { loop_while(cpu, i, true); }
static void loope(Cpu *cpu, const Insn *i) { loop_while(cpu, i, flag_zf(cpu)); }
static void loopne(Cpu *cpu, const Insn *i) { loop_while(cpu, i, !flag_zf(cpu)); }
SEM_1(loop)
SEM_1(loope)
SEM_1(loopne)
