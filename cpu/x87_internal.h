/*
 * What the x87 semantics share: the register stack, memory operands, and how an operation's flags become FSW bits and
 * decide over its result (SDM vol. 1 8.1, 8.5 and 8.6).
 */
#ifndef MYNA_CPU_X87_INTERNAL_H
#define MYNA_CPU_X87_INTERNAL_H

#include "cpu/access.h"
#include "cpu/fp.h"
#include "cpu/x87.h"

/* Physical number of ST(n), the register, and whether it is empty. */
static inline unsigned st_number(const Cpu *cpu, unsigned n) { return (cpu->fpu.top + n) & 7; }
static inline Float80 *st(Cpu *cpu, unsigned n) { return &cpu->fpu.reg[st_number(cpu, n)]; }
static inline bool st_empty(const Cpu *cpu, unsigned n) { return !(cpu->fpu.tags >> st_number(cpu, n) & 1); }

static inline void st_set(Cpu *cpu, unsigned n, Float80 v)
{
    cpu->fpu.tags |= 1u << st_number(cpu, n);
    *st(cpu, n) = v;
}
static inline void st_pop(Cpu *cpu)
{
    cpu->fpu.tags &= ~(1u << cpu->fpu.top);
    cpu->fpu.top = (cpu->fpu.top + 1) & 7;
}
static inline void st_push(Cpu *cpu, Float80 v)
{
    cpu->fpu.top = (cpu->fpu.top - 1) & 7;
    st_set(cpu, 0, v);
}

/* FIP and FCS name the last instruction that is not a control instruction; FDP and FDS its memory operand. */
static inline void fpu_track(Cpu *cpu)
{
    cpu->fpu.ip = cpu->rip;
    cpu->fpu.cs = cpu->seg[SEG_CS].sel;
}
static inline void fpu_track_operand(Cpu *cpu, const Insn *i, uint64_t ea)
{
    fpu_track(cpu);
    cpu->fpu.dp = ea;
    cpu->fpu.ds = cpu->seg[i->seg].sel;
}

/* The start of a waiting instruction without a memory operand. */
static inline void fpu_enter(Cpu *cpu)
{
    fpu_check(cpu);
    fpu_track(cpu);
}

/* fpu_enter with a memory source; the value is the function's. */
#define FPU_ENTER_LOAD(bits)                                                                                           \
    static inline uint##bits##_t fpu_enter_load##bits(Cpu *cpu, const Insn *i)                                         \
    {                                                                                                                  \
        fpu_check(cpu);                                                                                                \
        uint64_t ea = insn_ea(cpu, i);                                                                                 \
        uint##bits##_t v = mem_read##bits(cpu, i->seg, ea);                                                            \
        fpu_track_operand(cpu, i, ea);                                                                                 \
        return v;                                                                                                      \
    }
FPU_ENTER_LOAD(16)
FPU_ENTER_LOAD(32)
FPU_ENTER_LOAD(64)
#undef FPU_ENTER_LOAD

static inline FpEnv fpu_env(const Cpu *cpu)
{
    static const uint8_t precision[4] = { 24, 64, 53, 64 };
    unsigned control = cpu->fpu.control;
    return (FpEnv){ .rounding = control >> 10 & 3, .precision = precision[control >> 8 & 3], .x87 = true,
                    .overflow_unmasked = !(control & FP_OVERFLOW), .underflow_unmasked = !(control & FP_UNDERFLOW) };
}

/* The rare end of fpu_raise*: some exception is unmasked.  Returns whether the result is to be stored. */
bool fpu_raise_unmasked(Cpu *cpu, unsigned flags, bool rounded_up, bool to_memory);

/*
 * Puts the flags of an operation into FSW and C1.  False when the operands must stay as they are: an unmasked
 * exception that is found before the computation, or (_store) leaves memory and stack alone.
 */
static inline bool fpu_raise(Cpu *cpu, const FpEnv *e)
{
    Fpu *f = &cpu->fpu;
    if (unlikely(e->flags & ~f->control))
        return fpu_raise_unmasked(cpu, e->flags, e->rounded_up, false);
    f->status = (f->status & ~FSW_C1) | e->flags | (e->rounded_up ? FSW_C1 : 0);
    return true;
}

/* What fpu_raise will say for a store, which must know before it touches memory. */
static inline bool fpu_stores(const Cpu *cpu, unsigned flags)
{
    return !(flags & ~cpu->fpu.control & (FP_INVALID | FP_OVERFLOW | FP_UNDERFLOW));
}
static inline void fpu_raise_store(Cpu *cpu, const FpEnv *e)
{
    Fpu *f = &cpu->fpu;
    if (unlikely(e->flags & ~f->control))
        fpu_raise_unmasked(cpu, e->flags, e->rounded_up, true);
    else
        f->status = (f->status & ~FSW_C1) | e->flags | (e->rounded_up ? FSW_C1 : 0);
}

/* Stack overflow (c1 = FSW_C1) or underflow (0).  Returns whether it is masked: the result is then the default NaN. */
bool fpu_stack_fault(Cpu *cpu, unsigned c1);

/* A stack underflow of an operation with its result in ST(n); returns whether to go on with a pop. */
bool fpu_underflow(Cpu *cpu, unsigned n);

/* Pushes v, or has a stack overflow. */
static inline void fpu_push(Cpu *cpu, Float80 v)
{
    if (unlikely(!st_empty(cpu, 7))) {
        if (fpu_stack_fault(cpu, FSW_C1))
            st_push(cpu, (Float80){ UINT64_C(3) << 62, 0xffff });
        return;
    }
    cpu->fpu.status &= ~FSW_C1;
    st_push(cpu, v);
}

/* C3, C2, C0 of a comparison (FP_LESS ...). */
static inline void fpu_set_condition(Cpu *cpu, int order)
{
    static const uint16_t codes[4] = { FSW_C0, FSW_C3, 0, FSW_C0 | FSW_C2 | FSW_C3 };
    cpu->fpu.status = (cpu->fpu.status & ~(FSW_C0 | FSW_C2 | FSW_C3)) | codes[order + 1];
}

/* Ten bytes in memory, as the x87 lays them out. */
static inline Float80 f80_load(const uint8_t *p) { return (Float80){ ld64le(p), ld16le(p + 8) }; }
static inline void f80_store(uint8_t *p, Float80 v)
{
    st64le(p, v.mant);
    st16le(p + 8, v.sexp);
}

#endif
