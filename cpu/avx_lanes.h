/*
 * Floating-point instructions with VEX and EVEX whose kernels work on selected lanes only: conversions, fused
 * multiply-add, comparisons to an opmask, and all of AVX-512.
 *
 * Overview.  A kernel computes the lanes whose bit is set in l->selected, and no others, so that these raise nothing;
 * a scalar instruction selects lane 0 or none.  FP_LANES makes it of an expression for one lane, in which a, b and c
 * are the operands vvvv, ModRM.rm and the old destination, imm is the immediate and e the environment; the functions
 * below read operands, look at exceptions, and write.
 */
#ifndef MYNA_CPU_AVX_LANES_H
#define MYNA_CPU_AVX_LANES_H

#include "cpu/avx.h"

typedef struct FpLanes {
    const Vec *a, *b, *c;
    Vec *d;
    unsigned imm;
    uint64_t selected;
    uint64_t result;   /* of a test: bit by lane */
    FpEnv e;
} FpLanes;

typedef void FpKernel(FpLanes *l);

#define FP_LANES_LOOP(name, FROM, statement)                                                                           \
    static void lanes_##name(FpLanes *l)                                                                               \
    {                                                                                                                  \
        FpEnv *e = &l->e;                                                                                              \
        unsigned imm = l->imm;                                                                                         \
        for (uint64_t s = l->selected; s; s &= s - 1) {                                                                \
            unsigned n = __builtin_ctzll(s);                                                                           \
            uint64_t a = FROM(*l->a, n), b = FROM(*l->b, n), c = FROM(*l->c, n);                                       \
            (void)a, (void)b, (void)c, (void)imm, (void)e;                                                             \
            statement;                                                                                                 \
        }                                                                                                              \
    }
/* Lane n of the destination, as TO has it, is expr of lanes n of the operands, as FROM has them. */
#define FP_LANES(name, TO, FROM, expr) FP_LANES_LOOP(name, FROM, TO(*l->d, n) = (expr))
/* Bit n of the result. */
#define FP_LANES_TEST(name, FROM, expr) FP_LANES_LOOP(name, FROM, l->result |= (uint64_t)((expr) != 0) << n)

/*
 * avx_fp_begin: all of *l but b, which avx_fp_source reads: `lanes` lanes of `bits`, or one for all of them.
 * avx_fp_lanes: all lanes, from `from` to `to` bits each (the wider of them fills the vector length).
 * avx_fp_scalar: lane 0, with what is above of 128 bits from register `upper`.
 * avx_fp_test, avx_fp_test_scalar: to an opmask register.
 */
void avx_fp_begin(const Cpu *cpu, const Insn *i, FpLanes *l, uint64_t selected, Vec *d);
const Vec *avx_fp_source(Cpu *cpu, const Insn *i, Vec *tmp, unsigned bits, unsigned lanes, uint64_t selected);
void avx_fp_lanes(Cpu *cpu, const Insn *i, FpKernel *kernel, unsigned to, unsigned from);
void avx_fp_scalar(Cpu *cpu, const Insn *i, FpKernel *kernel, unsigned to, unsigned from, unsigned upper);
void avx_fp_test(Cpu *cpu, const Insn *i, FpKernel *kernel, unsigned bits);
void avx_fp_test_scalar(Cpu *cpu, const Insn *i, FpKernel *kernel, unsigned bits);

/* sem_avx_NAME of lanes_KERNEL. */
#define AVX_FUNCTION(name, call)                                                                                       \
    static void avx_##name(Cpu *cpu, const Insn *i) { call; }                                                          \
    SEM_1(avx_##name)
#define AVX_LANES(name, kernel, to, from) AVX_FUNCTION(name, avx_fp_lanes(cpu, i, lanes_##kernel, to, from))
#define AVX_LANES_SCALAR(name, kernel, to, from)                                                                       \
    AVX_FUNCTION(name, avx_fp_scalar(cpu, i, lanes_##kernel, to, from, i->vreg))
/* The destination keeps its own upper part. */
#define AVX_LANES_SCALAR_MERGE(name, kernel, bits)                                                                     \
    AVX_FUNCTION(name, avx_fp_scalar(cpu, i, lanes_##kernel, bits, bits, i->reg))
#define AVX_LANES_TEST(name, kernel, bits) AVX_FUNCTION(name, avx_fp_test(cpu, i, lanes_##kernel, bits))
#define AVX_LANES_TEST_SCALAR(name, kernel, bits)                                                                      \
    AVX_FUNCTION(name, avx_fp_test_scalar(cpu, i, lanes_##kernel, bits))

/* All four forms of kernels for ps and pd. */
#define AVX_LANES_FORMS(name)                                                                                          \
    AVX_LANES(name##ps, name##ps, 32, 32)                                                                              \
    AVX_LANES(name##pd, name##pd, 64, 64)                                                                              \
    AVX_LANES_SCALAR(name##ss, name##ps, 32, 32)                                                                       \
    AVX_LANES_SCALAR(name##sd, name##pd, 64, 64)

/* VCOMIxx and VUCOMIxx. */
#define AVX_COMPARE(name, LANE, n, quiet)                                                                              \
    static void avx_##name(Cpu *cpu, const Insn *i)                                                                    \
    {                                                                                                                  \
        Vec tmp;                                                                                                       \
        FpEnv e;                                                                                                       \
        const Vec *b = avx_source_low(cpu, i, &tmp, n / 8);                                                            \
        avx_env(cpu, i, &e);                                                                                           \
        int order = fp##n##_compare(LANE(cpu->vec[i->reg], 0), LANE(*b, 0), quiet, &e);                                \
        avx_finish(cpu, i, &e);                                                                                        \
        set_flags_order(cpu, order);                                                                                   \
    }                                                                                                                  \
    SEM_1(avx_##name)

/*
 * Lane 0 of a vector operand of `from` bits to a general register of `to`; a general register or memory of `from` bits
 * to lane 0.  By operand size, with the kernels of doublewords and quadwords (avx_cvt.c).
 */
void avx_fp_to_general(Cpu *cpu, const Insn *i, FpKernel *kernel, unsigned to, unsigned from);
void avx_fp_from_general(Cpu *cpu, const Insn *i, FpKernel *kernel, unsigned to, unsigned from);

#define AVX_TO_GENERAL(name, kernel32, kernel64, from)                                                                 \
    static void avx_##name##_32(Cpu *cpu, const Insn *i) { avx_fp_to_general(cpu, i, lanes_##kernel32, 32, from); }    \
    static void avx_##name##_64(Cpu *cpu, const Insn *i) { avx_fp_to_general(cpu, i, lanes_##kernel64, 64, from); }    \
    SEM_Y(avx_##name)
#define AVX_FROM_GENERAL(name, kernel32, kernel64, to)                                                                 \
    static void avx_##name##_32(Cpu *cpu, const Insn *i) { avx_fp_from_general(cpu, i, lanes_##kernel32, to, 32); }    \
    static void avx_##name##_64(Cpu *cpu, const Insn *i) { avx_fp_from_general(cpu, i, lanes_##kernel64, to, 64); }    \
    SEM_Y(avx_##name)

#endif
