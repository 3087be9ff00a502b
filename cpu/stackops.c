/*
 * Stack instructions (SDM vol. 2: PUSH, POP, PUSHA, POPA, PUSHF, POPF, ENTER, LEAVE), but for segment registers.
 */
#include "cpu/integer.h"
#include "cpu/stack.h"

/* RSP after it moves by `by` bytes, as set_sp() would make it. */
static uint64_t sp_moved(const Cpu *cpu, int64_t by)
{
    uint64_t sp = cpu->gpr[R_SP], moved = (sp & ~cpu->sp_mask) | ((sp + by) & cpu->sp_mask);
    return cpu->sp_mask == 0xffffffff ? moved & 0xffffffff : moved;
}

/*
 * PUSH and POP.  PUSH SP pushes the old value; POP SP keeps what was popped.  The address of POP m is computed with
 * the new SP (SDM vol. 2, POP), which is only stored once the write has succeeded.
 */
#define PUSH_POP(n)                                                                                                    \
    static void push_Zv_##n(Cpu *cpu, const Insn *i) { push##n(cpu, reg##n(cpu, i->reg)); }                            \
    static void push_I_##n(Cpu *cpu, const Insn *i) { push##n(cpu, i->imm); }                                          \
    static void push_Ev_r##n(Cpu *cpu, const Insn *i) { push##n(cpu, reg##n(cpu, i->rm)); }                            \
    static void push_Ev_m##n(Cpu *cpu, const Insn *i)                                                                  \
    {                                                                                                                  \
        push##n(cpu, mem_read##n(cpu, i->seg, insn_ea(cpu, i)));                                                       \
    }                                                                                                                  \
    static void pop_Zv_##n(Cpu *cpu, const Insn *i)                                                                    \
    {                                                                                                                  \
        uint##n##_t v = pop##n(cpu);                                                                                   \
        set_reg##n(cpu, i->reg, v);                                                                                    \
    }                                                                                                                  \
    static void pop_Ev_r##n(Cpu *cpu, const Insn *i)                                                                   \
    {                                                                                                                  \
        uint##n##_t v = pop##n(cpu);                                                                                   \
        set_reg##n(cpu, i->rm, v);                                                                                     \
    }                                                                                                                  \
    static void pop_Ev_m##n(Cpu *cpu, const Insn *i)                                                                   \
    {                                                                                                                  \
        uint64_t sp = sp_moved(cpu, n / 8);                                                                            \
        uint##n##_t v = mem_read##n(cpu, SEG_SS, cpu->gpr[R_SP] & cpu->sp_mask);                                       \
        uint64_t ea = i->base == R_SP ? insn_ea_at(cpu, i, sp - cpu->gpr[R_SP]) : insn_ea(cpu, i);                     \
        mem_write##n(cpu, i->seg, ea, v);                                                                              \
        cpu->gpr[R_SP] = sp;                                                                                           \
    }
PUSH_POP(16)
PUSH_POP(32)
PUSH_POP(64)
SEM_SZ(push_Zv)
SEM_SZ(push_I)
SEM_RM_SZ(push_Ev)
SEM_SZ(pop_Zv)
SEM_RM_SZ(pop_Ev)

/* PUSHA and POPA; SP is stored last, so that they can be restarted.  POPA skips the image of SP. */
#define PUSHA_POPA(n)                                                                                                  \
    static void pusha_##n(Cpu *cpu, const Insn *i)                                                                     \
    {                                                                                                                  \
        uint64_t sp = cpu->gpr[R_SP];                                                                                  \
        (void)i;                                                                                                       \
        for (unsigned r = R_AX; r <= R_DI; r++) {                                                                      \
            sp -= n / 8;                                                                                               \
            mem_write##n(cpu, SEG_SS, sp & cpu->sp_mask, reg##n(cpu, r));                                              \
        }                                                                                                              \
        set_sp(cpu, sp);                                                                                               \
    }                                                                                                                  \
    static void popa_##n(Cpu *cpu, const Insn *i)                                                                      \
    {                                                                                                                  \
        uint64_t sp = cpu->gpr[R_SP];                                                                                  \
        uint##n##_t v[8];                                                                                              \
        (void)i;                                                                                                       \
        for (unsigned k = 0; k < 8; k++, sp += n / 8)                                                                  \
            v[k] = mem_read##n(cpu, SEG_SS, sp & cpu->sp_mask);                                                        \
        set_sp(cpu, sp);                                                                                               \
        for (unsigned k = 0; k < 8; k++)                                                                               \
            if (R_DI - k != R_SP)                                                                                      \
                set_reg##n(cpu, R_DI - k, v[k]);                                                                       \
    }
PUSHA_POPA(16)
PUSHA_POPA(32)
const Sem sem_pusha = { { pusha_16, pusha_32, NULL }, { NULL } };
const Sem sem_popa = { { popa_16, popa_32, NULL }, { NULL } };

/*
 * PUSHF and POPF.  In virtual-8086 mode below IOPL 3 they are #GP(0), but for the 16-bit forms with CR4.VME: these
 * work on VIF in place of IF (SDM vol. 3B 20.3).
 */
static bool flags_virtual(Cpu *cpu, unsigned osz)
{
    if (likely(!cpu_v86(cpu)) || cpu_iopl(cpu) == 3)
        return false;
    if (osz != SZ16 || !(cpu->cr4 & CR4_VME))
        cpu_raise_gp(cpu);
    return true;
}

static uint32_t virtual_flags_image(const Cpu *cpu)
{
    uint32_t f = (cpu_eflags(cpu) & ~F_IF) | EFLAGS_IOPL;
    return f & EFLAGS_VIF ? f | F_IF : f;
}

static void pushf(Cpu *cpu, const Insn *i)
{
    uint32_t f = flags_virtual(cpu, i->osz) ? virtual_flags_image(cpu) : cpu_eflags(cpu);
    push_sized(cpu, i->osz, f & ~(EFLAGS_RF | EFLAGS_VM));
}
SEM_1(pushf)

/* What POPF may change at this privilege; RF is among the bits, to be cleared. */
static uint32_t popf_mask(const Cpu *cpu, unsigned osz)
{
    uint32_t mask = F_ARITH | F_TF | F_DF | EFLAGS_NT;
    if (cpu->cpl <= cpu_iopl(cpu))
        mask |= F_IF;
    if (cpu->cpl == 0)
        mask |= EFLAGS_IOPL;
    if (osz == SZ16)
        return mask;
    if (cpu_has(cpu, FEAT_I486))
        mask |= EFLAGS_AC;
    if (cpu_has(cpu, FEAT_CPUID))
        mask |= EFLAGS_ID;
    return mask | EFLAGS_RF;
}

static void popf_virtual(Cpu *cpu)
{
    uint32_t f = mem_read16(cpu, SEG_SS, cpu->gpr[R_SP] & cpu->sp_mask);
    if ((f & F_TF) || ((f & F_IF) && (cpu->eflags & EFLAGS_VIP)))
        cpu_raise_gp(cpu);
    set_sp(cpu, cpu->gpr[R_SP] + 2);
    cpu_set_eflags(cpu, f | (f & F_IF ? EFLAGS_VIF : 0), F_ARITH | F_TF | F_DF | EFLAGS_NT | EFLAGS_VIF);
}

static void popf(Cpu *cpu, const Insn *i)
{
    if (flags_virtual(cpu, i->osz))
        popf_virtual(cpu);
    else
        cpu_set_eflags(cpu, pop_sized(cpu, i->osz) & ~EFLAGS_RF, popf_mask(cpu, i->osz));
}
SEM_1(popf)

/*
 * ENTER.  The frame pointers of the enclosing levels are copied from the old frame, then the new one is added.  The
 * new stack top is probed for a push, as processors do, and BP and SP change last.
 */
#define ENTER_LEAVE(n)                                                                                                 \
    static void enter_##n(Cpu *cpu, const Insn *i)                                                                     \
    {                                                                                                                  \
        unsigned level = i->imm2 & 31;                                                                                 \
        uint64_t sp = cpu->gpr[R_SP] - n / 8, bp = cpu->gpr[R_BP];                                                     \
        mem_write##n(cpu, SEG_SS, sp & cpu->sp_mask, bp);                                                              \
        uint64_t frame = sp_moved(cpu, -(n / 8));                                                                      \
        for (unsigned k = 1; k < level; k++) {                                                                         \
            bp -= n / 8;                                                                                               \
            sp -= n / 8;                                                                                               \
            mem_write##n(cpu, SEG_SS, sp & cpu->sp_mask, mem_read##n(cpu, SEG_SS, bp & cpu->sp_mask));                 \
        }                                                                                                              \
        if (level) {                                                                                                   \
            sp -= n / 8;                                                                                               \
            mem_write##n(cpu, SEG_SS, sp & cpu->sp_mask, frame);                                                       \
        }                                                                                                              \
        sp -= (uint16_t)i->imm;                                                                                        \
        mem_probe_write(cpu, SEG_SS, sp & cpu->sp_mask, n / 8);                                                        \
        set_sp(cpu, sp);                                                                                               \
        set_reg##n(cpu, R_BP, frame);                                                                                  \
    }                                                                                                                  \
    static void leave_##n(Cpu *cpu, const Insn *i)                                                                     \
    {                                                                                                                  \
        uint64_t bp = cpu->gpr[R_BP];                                                                                  \
        (void)i;                                                                                                       \
        uint##n##_t v = mem_read##n(cpu, SEG_SS, bp & cpu->sp_mask);                                                   \
        set_sp(cpu, bp + n / 8);                                                                                       \
        set_reg##n(cpu, R_BP, v);                                                                                      \
    }
ENTER_LEAVE(16)
ENTER_LEAVE(32)
ENTER_LEAVE(64)
SEM_SZ(enter)
SEM_SZ(leave)
