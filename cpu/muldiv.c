/*
 * Multiplication and division (SDM vol. 2: MUL, IMUL, DIV, IDIV).
 *
 * MUL and IMUL define CF and OF only, DIV and IDIV no flag; what is undefined is set as AMD's processors do:
 * a product leaves the other flags alone, a quotient clears ZF, SF and PF and sets AF.
 */
#include "cpu/integer.h"

typedef unsigned __int128 uint128_t;
typedef __int128 int128_t;

/* CF = OF = the product does not fit. */
static inline void product_flags(Cpu *cpu, bool over) { cpu->cc_aux = (uint64_t)over << 63 | (cpu->cc_aux & 8); }

static inline void quotient_flags(Cpu *cpu)
{
    cpu->cc_z = cpu->cc_sp = 1;
    cpu->cc_aux |= 8;
}

/* The double-width accumulator: AX, or DX:AX and its wider kin. */
#define ACCUMULATOR(n, wide)                                                                                           \
    static inline wide accumulator##n(const Cpu *cpu)                                                                  \
    {                                                                                                                  \
        return (wide)reg##n(cpu, R_DX) << n | reg##n(cpu, R_AX);                                                       \
    }                                                                                                                  \
    static inline void set_accumulator##n(Cpu *cpu, uint##n##_t lo, uint##n##_t hi)                                    \
    {                                                                                                                  \
        set_reg##n(cpu, R_AX, lo);                                                                                     \
        set_reg##n(cpu, R_DX, hi);                                                                                     \
    }
ACCUMULATOR(16, uint32_t)
ACCUMULATOR(32, uint64_t)
ACCUMULATOR(64, uint128_t)
static inline uint16_t accumulator8(const Cpu *cpu) { return reg16(cpu, R_AX); }
static inline void set_accumulator8(Cpu *cpu, uint8_t lo, uint8_t hi) { set_reg16(cpu, R_AX, lo | hi << 8); }

/* Values of n bits; `uwide` and `swide` have twice as many. */
#define MULDIV_VALUES(n, uwide, swide)                                                                                 \
    static inline void mul_value##n(Cpu *cpu, uint##n##_t b)                                                           \
    {                                                                                                                  \
        uwide r = (uwide)reg##n(cpu, R_AX) * b;                                                                        \
        set_accumulator##n(cpu, r, r >> n);                                                                            \
        product_flags(cpu, r >> n != 0);                                                                               \
    }                                                                                                                  \
    static inline void imul_value##n(Cpu *cpu, uint##n##_t b)                                                          \
    {                                                                                                                  \
        swide r = (swide)(int##n##_t)reg##n(cpu, R_AX) * (int##n##_t)b;                                                \
        set_accumulator##n(cpu, r, r >> n);                                                                            \
        product_flags(cpu, r != (int##n##_t)r);                                                                        \
    }                                                                                                                  \
    static inline void div_value##n(Cpu *cpu, uint##n##_t b)                                                           \
    {                                                                                                                  \
        uwide a = accumulator##n(cpu);                                                                                 \
        if (unlikely((a >> n) >= b)) /* the quotient would not fit; b may be 0 */                                      \
            cpu_raise(cpu, EXC_DE);                                                                                    \
        uint##n##_t q = a / b;                                                                                         \
        set_accumulator##n(cpu, q, a - (uwide)q * b);                                                                  \
        quotient_flags(cpu);                                                                                           \
    }                                                                                                                  \
    /* By magnitudes, so that nothing overflows here. */                                                               \
    static inline void idiv_value##n(Cpu *cpu, uint##n##_t b)                                                          \
    {                                                                                                                  \
        uwide a = accumulator##n(cpu);                                                                                 \
        bool a_negative = a >> (2 * n - 1), q_negative = a_negative ^ (b >> (n - 1));                                  \
        uwide ua = a_negative ? -a : a;                                                                                \
        uint##n##_t ub = b >> (n - 1) ? -b : b;                                                                        \
        if (unlikely((ua >> n) >= ub))                                                                                 \
            cpu_raise(cpu, EXC_DE);                                                                                    \
        uint##n##_t q = ua / ub, r = ua - (uwide)q * ub;                                                               \
        if (unlikely(q >> (n - 1)) && !(q_negative && q == (uint##n##_t)BIT(n - 1)))                                   \
            cpu_raise(cpu, EXC_DE);                                                                                    \
        set_accumulator##n(cpu, q_negative ? -q : q, a_negative ? -r : r);                                             \
        quotient_flags(cpu);                                                                                           \
    }
MULDIV_VALUES(8, uint16_t, int16_t)
MULDIV_VALUES(16, uint32_t, int32_t)
MULDIV_VALUES(32, uint64_t, int64_t)
MULDIV_VALUES(64, uint128_t, int128_t)

/* One operand. */
#define ONE_SIZE(op, n, t, R, M)                                                                                       \
    static void op##_E##t##R(Cpu *cpu, const Insn *i) { op##_value##n(cpu, reg##n(cpu, i->rm)); }                      \
    static void op##_E##t##M(Cpu *cpu, const Insn *i)                                                                  \
    {                                                                                                                  \
        op##_value##n(cpu, mem_read##n(cpu, i->seg, insn_ea(cpu, i)));                                                 \
    }
#define ONE(op)                                                                                                        \
    ONE_SIZE(op, 8, b, _r, _m)                                                                                         \
    ONE_SIZE(op, 16, v, _r16, _m16)                                                                                    \
    ONE_SIZE(op, 32, v, _r32, _m32)                                                                                    \
    ONE_SIZE(op, 64, v, _r64, _m64)                                                                                    \
    SEM_RM(op##_Eb)                                                                                                    \
    SEM_RM_SZ(op##_Ev)
ONE(mul)
ONE(imul)
ONE(div)
ONE(idiv)

/* IMUL with two and three operands. */
#define IMUL_G(n)                                                                                                      \
    static inline uint##n##_t imul_product##n(Cpu *cpu, int##n##_t a, int##n##_t b)                                    \
    {                                                                                                                  \
        int##n##_t r;                                                                                                  \
        product_flags(cpu, __builtin_mul_overflow(a, b, &r));                                                          \
        return r;                                                                                                      \
    }                                                                                                                  \
    static void imul_GvEv_r##n(Cpu *cpu, const Insn *i)                                                                \
    {                                                                                                                  \
        set_reg##n(cpu, i->reg, imul_product##n(cpu, reg##n(cpu, i->reg), reg##n(cpu, i->rm)));                        \
    }                                                                                                                  \
    static void imul_GvEv_m##n(Cpu *cpu, const Insn *i)                                                                \
    {                                                                                                                  \
        uint##n##_t b = mem_read##n(cpu, i->seg, insn_ea(cpu, i));                                                     \
        set_reg##n(cpu, i->reg, imul_product##n(cpu, reg##n(cpu, i->reg), b));                                         \
    }                                                                                                                  \
    static void imul_GvEvI_r##n(Cpu *cpu, const Insn *i)                                                               \
    {                                                                                                                  \
        set_reg##n(cpu, i->reg, imul_product##n(cpu, reg##n(cpu, i->rm), i->imm));                                     \
    }                                                                                                                  \
    static void imul_GvEvI_m##n(Cpu *cpu, const Insn *i)                                                               \
    {                                                                                                                  \
        uint##n##_t a = mem_read##n(cpu, i->seg, insn_ea(cpu, i));                                                     \
        set_reg##n(cpu, i->reg, imul_product##n(cpu, a, i->imm));                                                      \
    }
IMUL_G(16)
IMUL_G(32)
IMUL_G(64)
SEM_RM_SZ(imul_GvEv)
SEM_RM_SZ(imul_GvEvI)
