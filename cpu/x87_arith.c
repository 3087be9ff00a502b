/*
 * x87: arithmetic, comparison and classification (SDM vol. 1 8.3.5 to 8.3.7, vol. 2: FADD, FSUB, FMUL, FDIV, FSQRT,
 * FRNDINT, FSCALE, FPREM, FPREM1, FXTRACT, FCHS, FABS, FCOM, FUCOM, FCOMI, FTST, FXAM).
 */
#include "cpu/flags.h"
#include "cpu/fp_internal.h"
#include "cpu/x87_internal.h"

/* --- the four operations --- */

static inline Float80 f80_subr(Float80 a, Float80 b, FpEnv *e) { return f80_sub(b, a, e); }
static inline Float80 f80_divr(Float80 a, Float80 b, FpEnv *e) { return f80_div(b, a, e); }

typedef Float80 Operation(Float80 a, Float80 b, FpEnv *e);

/* ST(to) = ST(to) op ST(from). */
static inline void operate(Cpu *cpu, Operation *op, unsigned to, unsigned from, bool pop)
{
    fpu_enter(cpu);
    if (unlikely(st_empty(cpu, 0) || st_empty(cpu, to + from))) {
        if (fpu_underflow(cpu, to) && pop)
            st_pop(cpu);
        return;
    }
    FpEnv e = fpu_env(cpu);
    Float80 r = op(*st(cpu, to), *st(cpu, from), &e);
    if (unlikely(!fpu_raise(cpu, &e)))
        return;
    *st(cpu, to) = r;
    if (pop)
        st_pop(cpu);
}

/* A denormal source in memory counts unless something of higher priority is there (SDM vol. 1 4.9.2). */
static inline void note_denormal_source(FpEnv *e, Float80 other)
{
    if (!(e->flags & (FP_INVALID | FP_DIVZERO)) && !f80_is_nan(other))
        e->flags |= FP_DENORMAL;
}

/* ST(0) = ST(0) op v. */
static inline void operate_value(Cpu *cpu, Operation *op, Float80 v, bool denormal)
{
    if (unlikely(st_empty(cpu, 0))) {
        fpu_underflow(cpu, 0);
        return;
    }
    FpEnv e = fpu_env(cpu);
    Float80 a = *st(cpu, 0), r = op(a, v, &e);
    if (unlikely(denormal))
        note_denormal_source(&e, a);
    if (likely(fpu_raise(cpu, &e)))
        *st(cpu, 0) = r;
}

#define OPERATION(name, op)                                                                                            \
    static void name##_st0(Cpu *cpu, const Insn *i) { operate(cpu, op, 0, i->rm, false); }                             \
    SEM_1(name##_st0)                                                                                                  \
    static void name##_sti(Cpu *cpu, const Insn *i) { operate(cpu, op, i->rm, 0, false); }                             \
    SEM_1(name##_sti)                                                                                                  \
    static void name##p_sti(Cpu *cpu, const Insn *i) { operate(cpu, op, i->rm, 0, true); }                             \
    SEM_1(name##p_sti)                                                                                                 \
    static void name##_m32(Cpu *cpu, const Insn *i)                                                                    \
    {                                                                                                                  \
        bool denormal;                                                                                                 \
        Float80 v = f80_widen32(fpu_enter_load32(cpu, i), &denormal);                                                  \
        operate_value(cpu, op, v, denormal);                                                                           \
    }                                                                                                                  \
    SEM_1(name##_m32)                                                                                                  \
    static void name##_m64(Cpu *cpu, const Insn *i)                                                                    \
    {                                                                                                                  \
        bool denormal;                                                                                                 \
        Float80 v = f80_widen64(fpu_enter_load64(cpu, i), &denormal);                                                  \
        operate_value(cpu, op, v, denormal);                                                                           \
    }                                                                                                                  \
    SEM_1(name##_m64)                                                                                                  \
    static void name##_i16(Cpu *cpu, const Insn *i)                                                                    \
    {                                                                                                                  \
        FpEnv e = { 0 };                                                                                               \
        operate_value(cpu, op, f80_from_i32((int16_t)fpu_enter_load16(cpu, i), &e), false);                            \
    }                                                                                                                  \
    SEM_1(name##_i16)                                                                                                  \
    static void name##_i32(Cpu *cpu, const Insn *i)                                                                    \
    {                                                                                                                  \
        FpEnv e = { 0 };                                                                                               \
        operate_value(cpu, op, f80_from_i32((int32_t)fpu_enter_load32(cpu, i), &e), false);                            \
    }                                                                                                                  \
    SEM_1(name##_i32)

OPERATION(fadd, f80_add)
OPERATION(fmul, f80_mul)
OPERATION(fsub, f80_sub)
OPERATION(fsubr, f80_subr)
OPERATION(fdiv, f80_div)
OPERATION(fdivr, f80_divr)

/* --- of ST(0) alone --- */

#define UNARY(name, op)                                                                                                \
    static void name(Cpu *cpu, const Insn *i)                                                                          \
    {                                                                                                                  \
        (void)i;                                                                                                       \
        fpu_enter(cpu);                                                                                                \
        if (unlikely(st_empty(cpu, 0))) {                                                                              \
            fpu_underflow(cpu, 0);                                                                                     \
            return;                                                                                                    \
        }                                                                                                              \
        FpEnv e = fpu_env(cpu);                                                                                        \
        Float80 r = op(*st(cpu, 0), &e);                                                                               \
        if (likely(fpu_raise(cpu, &e)))                                                                                \
            *st(cpu, 0) = r;                                                                                           \
    }                                                                                                                  \
    SEM_1(name)

/* Signs change without a look at what is signed. */
static inline Float80 f80_chs(Float80 a, FpEnv *e)
{
    (void)e;
    return (Float80){ a.mant, a.sexp ^ 0x8000 };
}
static inline Float80 f80_abs(Float80 a, FpEnv *e)
{
    (void)e;
    return (Float80){ a.mant, a.sexp & 0x7fff };
}

UNARY(fsqrt, f80_sqrt)
UNARY(frndint, f80_round)
UNARY(fchs, f80_chs)
UNARY(fabs_st0, f80_abs)

/* --- comparison --- */

/*
 * The order of a and b.  *pops becomes 0 when an exception is unmasked: the stack stays then, but the result is
 * delivered all the same (as AMD's processors do; Intel's manual leaves the codes unset).
 */
static inline int compare(Cpu *cpu, Float80 a, Float80 b, bool quiet, bool denormal, unsigned *pops)
{
    FpEnv e = { .x87 = true };
    int order = f80_compare(a, b, quiet, &e);
    if (unlikely(denormal))
        note_denormal_source(&e, a);
    if (unlikely(!fpu_raise(cpu, &e)))
        *pops = 0;
    return order;
}

/* A stack underflow compares as unordered. */
static inline int compare_underflow(Cpu *cpu, unsigned *pops)
{
    if (!fpu_stack_fault(cpu, 0))
        *pops = 0;
    return FP_UNORDERED;
}

static inline void pop_count(Cpu *cpu, unsigned count)
{
    while (count--)
        st_pop(cpu);
}

static inline int compare_sti(Cpu *cpu, unsigned n, bool quiet, unsigned *pops)
{
    fpu_enter(cpu);
    if (unlikely(st_empty(cpu, 0) || st_empty(cpu, n)))
        return compare_underflow(cpu, pops);
    return compare(cpu, *st(cpu, 0), *st(cpu, n), quiet, false, pops);
}

static inline void compare_register(Cpu *cpu, unsigned n, bool quiet, unsigned pops)
{
    fpu_set_condition(cpu, compare_sti(cpu, n, quiet, &pops));
    pop_count(cpu, pops);
}

static inline void compare_value(Cpu *cpu, Float80 v, bool denormal, unsigned pops)
{
    bool empty = st_empty(cpu, 0);
    fpu_set_condition(cpu, unlikely(empty) ? compare_underflow(cpu, &pops)
                                           : compare(cpu, *st(cpu, 0), v, false, denormal, &pops));
    pop_count(cpu, pops);
}

/* C1 stays, but for a stack underflow. */
static inline void compare_flags(Cpu *cpu, unsigned n, bool quiet, unsigned pops)
{
    static const uint8_t flags[4] = { F_CF, F_ZF, 0, F_CF | F_PF | F_ZF };
    unsigned c1 = cpu->fpu.status & FSW_C1;
    bool underflow = st_empty(cpu, 0) || st_empty(cpu, n);
    set_flags_arith(cpu, flags[compare_sti(cpu, n, quiet, &pops) + 1]);
    cpu->fpu.status |= underflow ? 0 : c1;
    pop_count(cpu, pops);
}

#define COMPARE_REGISTER(name, kind, n, quiet, pops)                                                                   \
    static void name(Cpu *cpu, const Insn *i)                                                                          \
    {                                                                                                                  \
        (void)i;                                                                                                       \
        compare_##kind(cpu, n, quiet, pops);                                                                           \
    }                                                                                                                  \
    SEM_1(name)
COMPARE_REGISTER(fcom_sti, register, i->rm, false, 0)
COMPARE_REGISTER(fcomp_sti, register, i->rm, false, 1)
COMPARE_REGISTER(fcompp, register, 1, false, 2)
COMPARE_REGISTER(fucom_sti, register, i->rm, true, 0)
COMPARE_REGISTER(fucomp_sti, register, i->rm, true, 1)
COMPARE_REGISTER(fucompp, register, 1, true, 2)
COMPARE_REGISTER(fcomi, flags, i->rm, false, 0)
COMPARE_REGISTER(fcomip, flags, i->rm, false, 1)
COMPARE_REGISTER(fucomi, flags, i->rm, true, 0)
COMPARE_REGISTER(fucomip, flags, i->rm, true, 1)

#define COMPARE_FLOAT(name, bits, pops)                                                                                \
    static void name(Cpu *cpu, const Insn *i)                                                                          \
    {                                                                                                                  \
        bool denormal;                                                                                                 \
        Float80 v = f80_widen##bits(fpu_enter_load##bits(cpu, i), &denormal);                                          \
        compare_value(cpu, v, denormal, pops);                                                                         \
    }                                                                                                                  \
    SEM_1(name)
COMPARE_FLOAT(fcom_m32, 32, 0)
COMPARE_FLOAT(fcomp_m32, 32, 1)
COMPARE_FLOAT(fcom_m64, 64, 0)
COMPARE_FLOAT(fcomp_m64, 64, 1)

#define COMPARE_INT(name, bits, pops)                                                                                  \
    static void name(Cpu *cpu, const Insn *i)                                                                          \
    {                                                                                                                  \
        FpEnv e = { 0 };                                                                                               \
        Float80 v = f80_from_i32((int##bits##_t)fpu_enter_load##bits(cpu, i), &e);                                     \
        compare_value(cpu, v, false, pops);                                                                            \
    }                                                                                                                  \
    SEM_1(name)
COMPARE_INT(fcom_i16, 16, 0)
COMPARE_INT(fcomp_i16, 16, 1)
COMPARE_INT(fcom_i32, 32, 0)
COMPARE_INT(fcomp_i32, 32, 1)

static void ftst(Cpu *cpu, const Insn *i)
{
    (void)i;
    fpu_enter(cpu);
    compare_value(cpu, (Float80){ 0, 0 }, false, 0);
}
SEM_1(ftst)

/* C1 is the sign, also of an empty register. */
static void fxam(Cpu *cpu, const Insn *i)
{
    static const uint16_t codes[6] = { [NUM_ZERO] = FSW_C3, [NUM_FINITE] = FSW_C2, [NUM_INF] = FSW_C2 | FSW_C0,
                                       [NUM_QNAN] = FSW_C0, [NUM_SNAN] = FSW_C0, [NUM_UNSUPPORTED] = 0 };
    (void)i;
    fpu_enter(cpu);
    Num n = num_unpack_f80(*st(cpu, 0));
    unsigned code = st_empty(cpu, 0) ? FSW_C3 | FSW_C0 : n.denormal ? FSW_C3 | FSW_C2 : codes[n.cls];
    cpu->fpu.status = (cpu->fpu.status & ~FSW_CC) | code | (n.sign ? FSW_C1 : 0);
}
SEM_1(fxam)

/* --- exponents --- */

/* a * 2^trunc(b). */
static Num num_scale(Num a, Num b, FpEnv *e)
{
    if (a.cls >= NUM_QNAN || b.cls >= NUM_QNAN)
        return num_propagate_nan(a, b, e);
    if (b.cls == NUM_INF && a.cls == (b.sign ? NUM_INF : NUM_ZERO))
        return num_invalid(e);
    num_note_denormals(a, b, e);
    if (b.cls == NUM_INF)
        return b.sign ? num_zero(a.sign) : num_inf(a.sign);
    if (a.cls != NUM_FINITE || b.cls != NUM_FINITE || b.exp < 0)
        return a;
    /* Beyond 2^17 every result overflows or underflows, scaled or not. */
    int scale = b.exp > 16 ? 1 << 17 : (int)(b.mant >> (63 - b.exp));
    a.exp += b.sign ? -scale : scale;
    return a;
}

/* ST(0) and ST(1) as numbers for an operation on both with its result in ST(0). */
static inline bool enter_pair(Cpu *cpu, Num *a, Num *b)
{
    fpu_enter(cpu);
    if (unlikely(st_empty(cpu, 0) || st_empty(cpu, 1))) {
        fpu_underflow(cpu, 0);
        return false;
    }
    *a = num_unpack_f80(*st(cpu, 0));
    *b = num_unpack_f80(*st(cpu, 1));
    return true;
}

/* To 64 bits whatever the precision control. */
static void fscale(Cpu *cpu, const Insn *i)
{
    Num a, b;
    (void)i;
    if (!enter_pair(cpu, &a, &b))
        return;
    FpEnv e = fpu_env(cpu);
    Float80 r = num_pack_f80(num_scale(a, b, &e), 64, &e);
    if (fpu_raise(cpu, &e))
        *st(cpu, 0) = r;
}
SEM_1(fscale)

/* Replaces ST(0) by first and pushes second. */
static void replace_and_push(Cpu *cpu, Float80 first, Float80 second)
{
    *st(cpu, 0) = first;
    st_push(cpu, second);
}

/* The exponent goes where the operand was, the significand above it. */
static void fxtract(Cpu *cpu, const Insn *i)
{
    (void)i;
    fpu_enter(cpu);
    if (unlikely(st_empty(cpu, 0) || !st_empty(cpu, 7))) {
        if (fpu_stack_fault(cpu, st_empty(cpu, 0) ? 0 : FSW_C1)) {
            st_set(cpu, 0, F80_DEFAULT_NAN);
            st_push(cpu, F80_DEFAULT_NAN);
        }
        return;
    }
    FpEnv e = fpu_env(cpu);
    Num n = num_unpack_f80(*st(cpu, 0)), exponent = n;
    if (n.cls >= NUM_QNAN) {
        n = exponent = num_propagate_nan(n, n, &e);
    } else if (n.cls == NUM_ZERO) {
        e.flags |= FP_DIVZERO;
        exponent = num_inf(true);
    } else if (n.cls == NUM_INF) {
        exponent = num_inf(false);
    } else {
        num_note_denormals(n, n, &e);
        exponent = num_unpack_f80(f80_from_i32(n.exp, &e));
        n.exp = 0;
    }
    if (fpu_raise(cpu, &e))
        replace_and_push(cpu, num_pack_f80(exponent, 64, &e), num_pack_f80(n, 64, &e));
}
SEM_1(fxtract)

/* --- remainders --- */

/* The low three bits of the quotient as condition codes. */
static unsigned quotient_codes(uint64_t q)
{
    return (q & 4 ? FSW_C0 : 0) | (q & 2 ? FSW_C3 : 0) | (q & 1 ? FSW_C1 : 0);
}

/* |a| mod |b| as a multiple of b's last place, for exponents less than 64 apart; *q is the quotient cut off. */
static uint64_t cut_remainder(Num a, Num b, int apart, uint64_t *q)
{
    u128 v = (u128)a.mant << apart;
    *q = v / b.mant;
    return v - (u128)*q * b.mant;
}

static Num from_remainder(Num n, uint64_t rest, int exp)
{
    if (!rest)
        return num_zero(n.sign);
    n.mant = rest;
    n.exp = exp;
    num_normalize(&n);
    return n;
}

/* To nearest (FPREM1): the other remainder, of the opposite sign, when it is smaller, or equal with an odd quotient. */
static Num nearest_remainder(Num a, Num b, int apart, uint64_t *q)
{
    if (apart < -1) {
        *q = 0;
        return a;
    }
    uint64_t rest = apart < 0 ? a.mant : cut_remainder(a, b, apart, q);
    /* With a's exponent one less, compare a to b - a in a's last place: b is one bit longer there. */
    u128 other = ((u128)b.mant << (apart < 0)) - rest;
    if (apart < 0)
        *q = 0;
    if (rest > other || (rest == other && *q & 1)) {
        rest = other;
        a.sign = !a.sign;
        ++*q;
    }
    return from_remainder(a, rest, apart < 0 ? a.exp : b.exp);
}

/*
 * The reduction that FPREM and FPREM1 share.  With exponents 64 or more apart it is partial: C2 is set and the
 * exponent falls by 32 to 63, as many as leave a multiple of 32 (AMD APM vol. 5, FPREM).
 */
static Num num_remainder(Num a, Num b, bool nearest, unsigned *codes, FpEnv *e)
{
    uint64_t q = 0;
    if (a.cls >= NUM_QNAN || b.cls >= NUM_QNAN)
        return num_propagate_nan(a, b, e);
    if (a.cls == NUM_INF || b.cls == NUM_ZERO)
        return num_invalid(e);
    num_note_denormals(a, b, e);
    *codes = 0;
    if (a.cls == NUM_ZERO || b.cls == NUM_INF)
        return a;
    int apart = a.exp - b.exp;
    if (apart >= 64) {
        int step = 32 + apart % 32;
        *codes = FSW_C2;
        return from_remainder(a, cut_remainder(a, b, step, &q), b.exp + apart - step);
    }
    if (nearest)
        a = nearest_remainder(a, b, apart, &q);
    else if (apart >= 0)
        a = from_remainder(a, cut_remainder(a, b, apart, &q), b.exp);
    *codes = quotient_codes(q);
    return a;
}

/* C1 and C2 are cleared in any case; without a remainder C0 and C3 stay. */
static void take_remainder(Cpu *cpu, bool nearest)
{
    Num a, b;
    fpu_check(cpu);
    cpu->fpu.status &= ~(FSW_C1 | FSW_C2);
    if (!enter_pair(cpu, &a, &b))
        return;
    FpEnv e = fpu_env(cpu);
    unsigned codes = cpu->fpu.status & FSW_CC;
    Float80 r = num_pack_f80(num_remainder(a, b, nearest, &codes, &e), 64, &e);
    if (!fpu_raise(cpu, &e))
        return;
    *st(cpu, 0) = r;
    cpu->fpu.status = (cpu->fpu.status & ~FSW_CC) | codes;
}

static void fprem(Cpu *cpu, const Insn *i)
{
    (void)i;
    take_remainder(cpu, false);
}
SEM_1(fprem)

static void fprem1(Cpu *cpu, const Insn *i)
{
    (void)i;
    take_remainder(cpu, true);
}
SEM_1(fprem1)
