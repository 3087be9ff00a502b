/*
 * Shifts and rotates (SDM vol. 2: RCL/RCR/ROL/ROR, SAL/SAR/SHL/SHR, SHLD, SHRD).
 *
 * The count is masked to 5 bits (6 for 64-bit operands); a zero count changes no flag, but a 32-bit register is still
 * written.  OF for counts above 1 and AF are undefined; they are set here as processors set them: OF by the same rule
 * as for a count of 1, AF set by shifts.
 */
#include "cpu/integer.h"

static inline unsigned mask_count(uint64_t count, unsigned n) { return count & (n == 64 ? 63 : 31); }

/* ZF, SF and PF from the result, CF, and OF = CF xor `next`. */
static inline void shift_flags(Cpu *cpu, uint64_t r, bool cf, bool next, unsigned n)
{
    cpu->cc_z = cpu->cc_sp = sign_extend(r, n);
    cpu->cc_aux = (uint64_t)cf << 63 | (uint64_t)next << 62 | 8;
}
/* CF, and OF = CF xor `next`; nothing else. */
static inline void rotate_flags(Cpu *cpu, bool cf, bool next)
{
    cpu->cc_aux = (uint64_t)cf << 63 | (uint64_t)next << 62 | (cpu->cc_aux & 8);
}
static inline bool bit_of(uint64_t v, unsigned n) { return v >> n & 1; }

/*
 * Each takes an n-bit value, zero-extended, and a count of 1..31 (63), which may exceed n; it returns the result and
 * sets the flags.
 */
static inline uint64_t shl_by(Cpu *cpu, uint64_t a, unsigned c, unsigned n)
{
    uint64_t r = a << c;
    bool cf = n == 64 ? bit_of(a, 64 - c) : bit_of(r, n);
    shift_flags(cpu, r, cf, bit_of(r, n - 1), n);
    return r;
}
static inline uint64_t shr_by(Cpu *cpu, uint64_t a, unsigned c, unsigned n)
{
    uint64_t before = a >> (c - 1), r = before >> 1;
    /* OF is the top bit of the value before the last step. */
    bool cf = before & 1;
    shift_flags(cpu, r, cf, cf ^ bit_of(before, n - 1), n);
    return r;
}
static inline uint64_t sar_by(Cpu *cpu, uint64_t a, unsigned c, unsigned n)
{
    int64_t before = sign_extend(a, n) >> (c - 1);
    bool cf = before & 1;
    shift_flags(cpu, before >> 1, cf, cf, n);
    return before >> 1;
}
static inline uint64_t rol_by(Cpu *cpu, uint64_t a, unsigned c, unsigned n)
{
    unsigned k = c & (n - 1);
    uint64_t r = k ? a << k | a >> (n - k) : a;
    rotate_flags(cpu, r & 1, bit_of(r, n - 1));
    return r;
}
static inline uint64_t ror_by(Cpu *cpu, uint64_t a, unsigned c, unsigned n)
{
    unsigned k = c & (n - 1);
    uint64_t r = k ? a >> k | a << (n - k) : a;
    rotate_flags(cpu, bit_of(r, n - 1), bit_of(r, n - 2));
    return r;
}
/* RCL and RCR turn n + 1 bits; they are split so that no shift is as wide as its operand. */
static inline uint64_t rcl_by(Cpu *cpu, uint64_t a, unsigned c, unsigned n)
{
    unsigned k = n < 32 ? c % (n + 1) : c;
    bool cf = flag_cf(cpu);
    uint64_t r = a;
    if (k) {
        r = a << (k - 1) << 1 | (uint64_t)cf << (k - 1) | (a >> (n - k) >> 1);
        cf = bit_of(a, n - k);
    }
    rotate_flags(cpu, cf, bit_of(r, n - 1));
    return r;
}
static inline uint64_t rcr_by(Cpu *cpu, uint64_t a, unsigned c, unsigned n)
{
    unsigned k = n < 32 ? c % (n + 1) : c;
    bool cf = flag_cf(cpu);
    uint64_t r = a;
    if (k) {
        r = a >> (k - 1) >> 1 | (uint64_t)cf << (n - k) | a << (n - k) << 1;
        cf = bit_of(a, k - 1);
    }
    rotate_flags(cpu, cf, bit_of(r, n - 1) ^ bit_of(r, n - 2) ^ cf);
    return r;
}

/* Register and memory operand, for a masked count. */
#define SHIFT_SIZE(op, n, t, R, M)                                                                                     \
    static inline void op##_register##n(Cpu *cpu, const Insn *i, unsigned c)                                           \
    {                                                                                                                  \
        uint64_t a = reg##n(cpu, i->rm);                                                                               \
        if (likely(c))                                                                                                 \
            a = op##_by(cpu, a, c, n);                                                                                 \
        set_reg##n(cpu, i->rm, a);                                                                                     \
    }                                                                                                                  \
    static inline void op##_memory##n(Cpu *cpu, const Insn *i, unsigned c)                                             \
    {                                                                                                                  \
        MemRef ref;                                                                                                    \
        uint64_t a = mem_rmw##n(cpu, i->seg, insn_ea(cpu, i), &ref);                                                   \
        if (likely(c))                                                                                                 \
            a = op##_by(cpu, a, c, n);                                                                                 \
        mem_commit##n(cpu, &ref, a);                                                                                   \
    }                                                                                                                  \
    static void op##_E##t##1##R(Cpu *cpu, const Insn *i) { op##_register##n(cpu, i, 1); }                              \
    static void op##_E##t##1##M(Cpu *cpu, const Insn *i) { op##_memory##n(cpu, i, 1); }                                \
    static void op##_E##t##Ib##R(Cpu *cpu, const Insn *i) { op##_register##n(cpu, i, mask_count(i->imm, n)); }         \
    static void op##_E##t##Ib##M(Cpu *cpu, const Insn *i) { op##_memory##n(cpu, i, mask_count(i->imm, n)); }           \
    static void op##_E##t##CL##R(Cpu *cpu, const Insn *i)                                                              \
    {                                                                                                                  \
        op##_register##n(cpu, i, mask_count(cpu->gpr[R_CX], n));                                                       \
    }                                                                                                                  \
    static void op##_E##t##CL##M(Cpu *cpu, const Insn *i) { op##_memory##n(cpu, i, mask_count(cpu->gpr[R_CX], n)); }

#define SHIFT(op)                                                                                                      \
    SHIFT_SIZE(op, 8, b, _r, _m)                                                                                       \
    SHIFT_SIZE(op, 16, v, _r16, _m16)                                                                                  \
    SHIFT_SIZE(op, 32, v, _r32, _m32)                                                                                  \
    SHIFT_SIZE(op, 64, v, _r64, _m64)                                                                                  \
    SEM_RM(op##_Eb1)                                                                                                   \
    SEM_RM_SZ(op##_Ev1)                                                                                                \
    SEM_RM(op##_EbIb)                                                                                                  \
    SEM_RM_SZ(op##_EvIb)                                                                                               \
    SEM_RM(op##_EbCL)                                                                                                  \
    SEM_RM_SZ(op##_EvCL)
SHIFT(rol)
SHIFT(ror)
SHIFT(rcl)
SHIFT(rcr)
SHIFT(shl)
SHIFT(shr)
SHIFT(sar)

/*
 * SHLD and SHRD of `a`, filled from b.  With 16 bits the count may exceed the width: the result is undefined; b then
 * fills twice, and CF is 0, as AMD's processors do.
 */
static inline uint64_t shld_by(Cpu *cpu, uint64_t a, uint64_t b, unsigned c, unsigned n)
{
    uint64_t r = n == 16 ? (a << 32 | b << 16 | b) << c >> 32 : a << c | b >> (n - c);
    bool cf = n == 64 ? bit_of(a, 64 - c) : bit_of(a << c, n);
    shift_flags(cpu, r, cf, bit_of(a << c, n - 1), n);
    return r;
}
static inline uint64_t shrd_by(Cpu *cpu, uint64_t a, uint64_t b, unsigned c, unsigned n)
{
    uint64_t r = n == 16 ? (b << 32 | b << 16 | a) >> c : a >> c | b << (n - c);
    bool cf = bit_of(a, c - 1);
    shift_flags(cpu, r, cf, bit_of(r, n - 1) ^ bit_of(r, n - 2) ^ cf, n);
    return r;
}

#define DOUBLE_SIZE(op, n)                                                                                             \
    static inline void op##_register##n(Cpu *cpu, const Insn *i, unsigned c)                                           \
    {                                                                                                                  \
        uint64_t a = reg##n(cpu, i->rm);                                                                               \
        if (likely(c))                                                                                                 \
            a = op##_by(cpu, a, reg##n(cpu, i->reg), c, n);                                                            \
        set_reg##n(cpu, i->rm, a);                                                                                     \
    }                                                                                                                  \
    static inline void op##_memory##n(Cpu *cpu, const Insn *i, unsigned c)                                             \
    {                                                                                                                  \
        MemRef ref;                                                                                                    \
        uint64_t a = mem_rmw##n(cpu, i->seg, insn_ea(cpu, i), &ref);                                                   \
        if (likely(c))                                                                                                 \
            a = op##_by(cpu, a, reg##n(cpu, i->reg), c, n);                                                            \
        mem_commit##n(cpu, &ref, a);                                                                                   \
    }                                                                                                                  \
    static void op##_Ib_r##n(Cpu *cpu, const Insn *i) { op##_register##n(cpu, i, mask_count(i->imm, n)); }             \
    static void op##_Ib_m##n(Cpu *cpu, const Insn *i) { op##_memory##n(cpu, i, mask_count(i->imm, n)); }               \
    static void op##_CL_r##n(Cpu *cpu, const Insn *i) { op##_register##n(cpu, i, mask_count(cpu->gpr[R_CX], n)); }     \
    static void op##_CL_m##n(Cpu *cpu, const Insn *i) { op##_memory##n(cpu, i, mask_count(cpu->gpr[R_CX], n)); }
#define DOUBLE(op)                                                                                                     \
    DOUBLE_SIZE(op, 16)                                                                                                \
    DOUBLE_SIZE(op, 32)                                                                                                \
    DOUBLE_SIZE(op, 64)                                                                                                \
    SEM_RM_SZ(op##_Ib)                                                                                                 \
    SEM_RM_SZ(op##_CL)
DOUBLE(shld)
DOUBLE(shrd)
