/*
 * The operations of one lane that AVX-512 adds to arithmetic: exponents and significands, scaling, rounding to binary
 * places, ranges, classes and fix-ups (SDM vol. 2, instruction of the same name).
 *
 * Flags go to *e, whose DAZ counts for 32 and 64 bits only (cpu/fp.h).  imm8 is as in the instruction.  Approximations
 * and classes raise nothing.
 */
#ifndef MYNA_CPU_FP_AVX512_H
#define MYNA_CPU_FP_AVX512_H

#include "cpu/fp.h"

#define FP_AVX512_OPERATIONS(T, t)                                                                                     \
    T t##_getexp(T a, FpEnv *e);               /* the exponent as a floating-point number */                           \
    T t##_getmant(T a, uint8_t imm, FpEnv *e); /* 1:0 interval, 3:2 sign control */                                    \
    T t##_scalef(T a, T b, FpEnv *e);          /* a * 2^floor(b) */                                                    \
    T t##_rndscale(T a, uint8_t imm, FpEnv *e); /* to imm 7:4 binary places; 3 not inexact, 2:0 rounding */            \
    T t##_reduce(T a, uint8_t imm, FpEnv *e);  /* a less that */                                                       \
    bool t##_is_class(T a, uint8_t imm, const FpEnv *e); /* VFPCLASS */

FP_AVX512_OPERATIONS(uint16_t, fp16)
FP_AVX512_OPERATIONS(uint32_t, fp32)
FP_AVX512_OPERATIONS(uint64_t, fp64)
#undef FP_AVX512_OPERATIONS

uint32_t fp32_rcp14(uint32_t a, const FpEnv *e);
uint32_t fp32_rsqrt14(uint32_t a, const FpEnv *e);
uint64_t fp64_rcp14(uint64_t a, const FpEnv *e);
uint64_t fp64_rsqrt14(uint64_t a, const FpEnv *e);
uint16_t fp16_rcp(uint16_t a); /* VRCPPH, VRSQRTPH */
uint16_t fp16_rsqrt(uint16_t a);

/* imm 1:0 minimum, maximum, the same by magnitude; 3:2 the result's sign. */
uint32_t fp32_range(uint32_t a, uint32_t b, uint8_t imm, FpEnv *e);
uint64_t fp64_range(uint64_t a, uint64_t b, uint8_t imm, FpEnv *e);

/* What `table` has for the class of a, dest being the destination's old value. */
uint32_t fp32_fixupimm(uint32_t dest, uint32_t a, uint32_t table, uint8_t imm, FpEnv *e);
uint64_t fp64_fixupimm(uint64_t dest, uint64_t a, uint32_t table, uint8_t imm, FpEnv *e);

#endif
