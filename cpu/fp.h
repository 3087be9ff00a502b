/*
 * Software floating point: IEEE 754 binary16, binary32, binary64 and x87 extended, as x86 has them.
 *
 * All operations take an FpEnv: rounding, what counts as denormal, and the flags that they raise.  NaN results follow
 * SDM vol. 1 table 4-7 (first operand's NaN made quiet for SSE; the larger significand for x87).  Exact on every
 * host: where the host's own unit is used (results proven identical), that is an inner matter of fp.c.
 */
#ifndef MYNA_CPU_FP_H
#define MYNA_CPU_FP_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu/state.h"

/* Exception flags, as in MXCSR 5:0 and FSW 5:0. */
enum { FP_INVALID = 1, FP_DENORMAL = 2, FP_DIVZERO = 4, FP_OVERFLOW = 8, FP_UNDERFLOW = 16, FP_INEXACT = 32 };
/* Rounding, as in MXCSR 14:13 and FCW 11:10. */
enum { FP_NEAREST, FP_DOWN, FP_UP, FP_ZERO };

typedef struct FpEnv {
    uint8_t rounding;
    uint8_t precision;   /* x87 only: significand bits 24, 53, 64 */
    uint8_t flags;       /* raised so far (sticky; a raised flag may speed up what follows) */
    bool daz, ftz;       /* SSE: denormal operands are zeros; results flushed (underflow masked) */
    bool underflow_unmasked; /* tiny results raise underflow even when exact */
    bool overflow_unmasked;
    bool x87;            /* x87 NaN rule, and unmasked overflow and underflow scale the exponent by 24576 */
    bool rounded_up;     /* x87: C1 of the last inexact result */
} FpEnv;

/* Order: less, equal, greater, unordered. */
enum { FP_LESS = -1, FP_EQUAL = 0, FP_GREATER = 1, FP_UNORDERED = 2 };

#define FP_OPERATIONS(T, t)                                                                                            \
    T t##_add(T a, T b, FpEnv *e);                                                                                     \
    T t##_sub(T a, T b, FpEnv *e);                                                                                     \
    T t##_mul(T a, T b, FpEnv *e);                                                                                     \
    T t##_div(T a, T b, FpEnv *e);                                                                                     \
    T t##_sqrt(T a, FpEnv *e);                                                                                         \
    T t##_round(T a, FpEnv *e);               /* to an integral value; FP_INEXACT when changed */                      \
    int t##_compare(T a, T b, bool quiet, FpEnv *e); /* quiet: only signalling NaNs are invalid */                     \
    bool t##_is_nan(T a);                                                                                              \
    bool t##_is_snan(T a);                                                                                             \
    /* Out of range or NaN: FP_INVALID and the integer indefinite (top bit alone). */                                  \
    int32_t t##_to_i32(T a, uint8_t rounding, FpEnv *e);                                                               \
    int64_t t##_to_i64(T a, uint8_t rounding, FpEnv *e);                                                               \
    T t##_from_i32(int32_t v, FpEnv *e);                                                                               \
    T t##_from_i64(int64_t v, FpEnv *e);

FP_OPERATIONS(uint16_t, f16)
FP_OPERATIONS(uint32_t, f32)
FP_OPERATIONS(uint64_t, f64)
FP_OPERATIONS(Float80, f80)
#undef FP_OPERATIONS

/*
 * What AVX adds to the SSE formats.  muladd is a * b + c with one rounding: the NaN of a, else of b, else of c, and
 * inf * 0 is invalid unless c is a NaN.  FNMADD, FMSUB and the like negate operands first, with t_negate, which leaves
 * NaNs as they are.
 * Unsigned: out of range or NaN gives FP_INVALID and all ones; what rounds to zero from below is only inexact.
 */
#define FP_AVX_OPERATIONS(T, t)                                                                                        \
    T t##_muladd(T a, T b, T c, FpEnv *e);                                                                             \
    T t##_negate(T a);                                                                                                 \
    uint32_t t##_to_u32(T a, uint8_t rounding, FpEnv *e);                                                              \
    uint64_t t##_to_u64(T a, uint8_t rounding, FpEnv *e);                                                              \
    T t##_from_u32(uint32_t v, FpEnv *e);                                                                              \
    T t##_from_u64(uint64_t v, FpEnv *e);

FP_AVX_OPERATIONS(uint16_t, f16)
FP_AVX_OPERATIONS(uint32_t, f32)
FP_AVX_OPERATIONS(uint64_t, f64)
#undef FP_AVX_OPERATIONS

uint64_t f32_to_f64(uint32_t a, FpEnv *e);
uint32_t f64_to_f32(uint64_t a, FpEnv *e);
Float80 f32_to_f80(uint32_t a, FpEnv *e);
Float80 f64_to_f80(uint64_t a, FpEnv *e);
uint32_t f80_to_f32(Float80 a, FpEnv *e);
uint64_t f80_to_f64(Float80 a, FpEnv *e);
int16_t f80_to_i16(Float80 a, uint8_t rounding, FpEnv *e);

/*
 * Half precision.  MXCSR's DAZ and FTZ do not apply to it: operands and results of 16 bits keep their denormals, while
 * the 32- and 64-bit side of a conversion follows them (Intel's AVX512-FP16 architecture specification).
 */
int16_t f16_to_i16(uint16_t a, uint8_t rounding, FpEnv *e);
uint16_t f16_to_u16(uint16_t a, uint8_t rounding, FpEnv *e);
uint16_t f16_from_i16(int16_t v, FpEnv *e);
uint16_t f16_from_u16(uint16_t v, FpEnv *e);
uint32_t f16_to_f32(uint16_t a, FpEnv *e);
uint64_t f16_to_f64(uint16_t a, FpEnv *e);
uint16_t f32_to_f16(uint32_t a, FpEnv *e);
uint16_t f64_to_f16(uint64_t a, FpEnv *e);
/* As VCVTPH2PS of F16C does it: a denormal operand raises nothing.  VCVTPS2PH is f32_to_f16. */
uint32_t f16_to_f32_quietly(uint16_t a, FpEnv *e);

/*
 * bfloat16 takes no environment: to nearest, denormals are zeros on both sides, no flags (VCVTNEPS2BF16, VDPBF16PS).
 */
uint16_t f32_to_bf16(uint32_t a);
/* sum plus the products of two pairs of bfloat16, as VDPBF16PS does it in each lane. */
uint32_t bf16_dot(uint32_t sum, uint32_t a, uint32_t b);

#endif
