/*
 * AMD's floating point with VEX and XOP: FMA4, whose four operands are apart, and XOP's fractions (AMD APM vol. 4).
 */
#include "cpu/avx.h"

/* x * y + z, with the product, z, or z in every other lane negated. */
typedef struct Fma {
    bool negate_product, negate_z, alternate; /* alternate: z negated in even lanes, or in odd ones with negate_z */
} Fma;

static bool z_negated(const Fma *f, unsigned lane) { return f->alternate ? (lane & 1) == f->negate_z : f->negate_z; }

static void fma_lane(Vec *r, const Fma *f, unsigned bits, unsigned n, uint64_t x, uint64_t y, uint64_t z, FpEnv *e)
{
    if (bits == 32)
        VEC_D(*r, n) = f32_muladd(f->negate_product ? f32_negate(x) : (uint32_t)x, y,
                                  z_negated(f, n) ? f32_negate(z) : (uint32_t)z, e);
    else
        VEC_Q(*r, n) = f64_muladd(f->negate_product ? f64_negate(x) : x, y, z_negated(f, n) ? f64_negate(z) : z, e);
}

/* The second factor and the summand are ModRM.rm and the immediate's register, or with W the other way round. */
static void fma4(Cpu *cpu, const Insn *i, bool w, Fma f, unsigned bits, bool scalar)
{
    Vec tmp, r = { .q = { 0 } };
    FpEnv e;
    const Vec *rm = scalar ? avx_source_low(cpu, i, &tmp, bits / 8) : avx_source_whole(cpu, i, &tmp, 64);
    const Vec *other = &cpu->vec[i->imm >> 4 & 15], *x = &cpu->vec[i->vreg];
    const Vec *y = w ? other : rm, *z = w ? rm : other;
    avx_env(cpu, i, &e);
    for (unsigned n = 0; n < (scalar ? 1 : avx_lanes(i, bits)); n++)
        fma_lane(&r, &f, bits, n, vec_lane(x, bits, n), vec_lane(y, bits, n), vec_lane(z, bits, n), &e);
    avx_finish(cpu, i, &e);
    avx_write_lanes(cpu, i, i->reg, &r, 64, scalar ? 2 : avx_qwords(i));
}

/* Rows of their own for W0 and W1. */
#define FMA4_FORM(name, suffix, bits, scalar, ...)                                                                     \
    static void fma4_##name##suffix(Cpu *cpu, const Insn *i)                                                           \
    {                                                                                                                  \
        fma4(cpu, i, false, (Fma){ __VA_ARGS__ }, bits, scalar);                                                       \
    }                                                                                                                  \
    SEM_1(fma4_##name##suffix)                                                                                         \
    static void fma4_##name##suffix##_w1(Cpu *cpu, const Insn *i)                                                      \
    {                                                                                                                  \
        fma4(cpu, i, true, (Fma){ __VA_ARGS__ }, bits, scalar);                                                        \
    }                                                                                                                  \
    SEM_1(fma4_##name##suffix##_w1)
#define FMA4(name, ...)                                                                                                \
    FMA4_FORM(name, ps, 32, false, __VA_ARGS__)                                                                        \
    FMA4_FORM(name, pd, 64, false, __VA_ARGS__)
#define FMA4_SCALAR(name, ...)                                                                                         \
    FMA4(name, __VA_ARGS__)                                                                                            \
    FMA4_FORM(name, ss, 32, true, __VA_ARGS__)                                                                         \
    FMA4_FORM(name, sd, 64, true, __VA_ARGS__)
FMA4_SCALAR(vfmadd, false, false, false)
FMA4_SCALAR(vfmsub, false, true, false)
FMA4_SCALAR(vfnmadd, true, false, false)
FMA4_SCALAR(vfnmsub, true, true, false)
FMA4(vfmaddsub, false, false, true)
FMA4(vfmsubadd, false, true, true)

/* What is left of a number without its integral part: exact, with the sign of the number; 0 as a difference has it. */
static uint64_t fraction(uint64_t a, unsigned bits, FpEnv *e)
{
    FpEnv truncating = *e;
    truncating.rounding = FP_ZERO;
    return bits == 32 ? f32_sub(a, f32_round(a, &truncating), e) : f64_sub(a, f64_round(a, &truncating), e);
}

static void fractions(Cpu *cpu, const Insn *i, unsigned bits, bool scalar)
{
    Vec tmp, r = { .q = { 0 } };
    FpEnv e;
    const Vec *a = scalar ? avx_source_low(cpu, i, &tmp, bits / 8) : avx_source_whole(cpu, i, &tmp, 64);
    avx_env(cpu, i, &e);
    for (unsigned n = 0; n < (scalar ? 1 : avx_lanes(i, bits)); n++)
        vec_set_lane(&r, bits, n, fraction(vec_lane(a, bits, n), bits, &e));
    avx_finish(cpu, i, &e);
    avx_write_lanes(cpu, i, i->reg, &r, 64, scalar ? 2 : avx_qwords(i));
}
static void xop_vfrczps(Cpu *cpu, const Insn *i) { fractions(cpu, i, 32, false); }
SEM_1(xop_vfrczps)
static void xop_vfrczpd(Cpu *cpu, const Insn *i) { fractions(cpu, i, 64, false); }
SEM_1(xop_vfrczpd)
static void xop_vfrczss(Cpu *cpu, const Insn *i) { fractions(cpu, i, 32, true); }
SEM_1(xop_vfrczss)
static void xop_vfrczsd(Cpu *cpu, const Insn *i) { fractions(cpu, i, 64, true); }
SEM_1(xop_vfrczsd)
