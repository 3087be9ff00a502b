/*
 * SSE arithmetic on the host's own floating point where its result is exact by construction, else by fp.h.
 *
 * The host computes in round to nearest, without telling flags.  Its result is the guest's when the guest rounds to
 * nearest too, inexactness is already on record, the operands are zero or normal, and the result is normal and off
 * the ends of the range (or zero without rounding): no flag can then be raised that is not.  IEEE 754 leaves such a
 * result no freedom, on any host.  Contraction of two operations into one must be off (-ffp-contract=off).
 * <math.h> is not included: its FP_ZERO is not ours.
 *
 * An engine that must see FP_INEXACT raised anew (MXCSR.PM clear) starts with e->flags = 0, and so comes to fp.h.
 */
#ifndef MYNA_CPU_FP_FAST_H
#define MYNA_CPU_FP_FAST_H

#include <float.h>
#include <string.h>

#include "cpu/fp.h"
#include "util/bits.h"

#if FLT_EVAL_METHOD == 0 && !defined(__FAST_MATH__)
#define FP_HOST_USABLE 1
#else
#define FP_HOST_USABLE 0 /* the host's registers are wider than its types: all by fp.h */
#endif

static inline bool fp_fast_env(const FpEnv *e)
{
    return FP_HOST_USABLE && e->rounding == FP_NEAREST && e->flags & FP_INEXACT;
}

/*
 * For each format: plain (zero or normal) and safe (biased exponent 2 .. max - 2, where neither tininess nor overflow
 * is in question) as one unsigned compare each.
 */
#define FP_FAST_FORMAT(T, H, n, t, frac, max)                                                                          \
    static inline H fp##n##_host(T a)                                                                                  \
    {                                                                                                                  \
        H h;                                                                                                           \
        memcpy(&h, &a, sizeof h);                                                                                      \
        return h;                                                                                                      \
    }                                                                                                                  \
    static inline T fp##n##_bits(H h)                                                                                  \
    {                                                                                                                  \
        T a;                                                                                                           \
        memcpy(&a, &h, sizeof a);                                                                                      \
        return a;                                                                                                      \
    }                                                                                                                  \
    static inline bool fp##n##_is_zero(T a) { return !(T)(a << 1); }                                                   \
    static inline bool fp##n##_is_normal(T a)                                                                          \
    {                                                                                                                  \
        return (T)((T)(a << 1) - ((T)1 << (frac + 1))) < (T)((T)(max - 1) << (frac + 1));                              \
    }                                                                                                                  \
    static inline bool fp##n##_is_plain(T a) { return likely(fp##n##_is_normal(a)) || fp##n##_is_zero(a); }            \
    static inline bool fp##n##_is_safe(T a)                                                                            \
    {                                                                                                                  \
        return (T)((T)(a << 1) - ((T)2 << (frac + 1))) < (T)((T)(max - 3) << (frac + 1));                              \
    }                                                                                                                  \
    /* A zero sum of plain numbers is exact. */                                                                        \
    static inline T fp##n##_add(T a, T b, FpEnv *e)                                                                    \
    {                                                                                                                  \
        if (likely(fp_fast_env(e) && fp##n##_is_plain(a) && fp##n##_is_plain(b))) {                                    \
            T r = fp##n##_bits(fp##n##_host(a) + fp##n##_host(b));                                                     \
            if (likely(fp##n##_is_safe(r)) || fp##n##_is_zero(r))                                                      \
                return r;                                                                                              \
        }                                                                                                              \
        return t##_add(a, b, e);                                                                                       \
    }                                                                                                                  \
    static inline T fp##n##_sub(T a, T b, FpEnv *e)                                                                    \
    {                                                                                                                  \
        if (likely(fp_fast_env(e) && fp##n##_is_plain(a) && fp##n##_is_plain(b))) {                                    \
            T r = fp##n##_bits(fp##n##_host(a) - fp##n##_host(b));                                                     \
            if (likely(fp##n##_is_safe(r)) || fp##n##_is_zero(r))                                                      \
                return r;                                                                                              \
        }                                                                                                              \
        return t##_sub(a, b, e);                                                                                       \
    }                                                                                                                  \
    static inline T fp##n##_mul(T a, T b, FpEnv *e)                                                                    \
    {                                                                                                                  \
        if (likely(fp_fast_env(e) && fp##n##_is_plain(a) && fp##n##_is_plain(b))) {                                    \
            T r = fp##n##_bits(fp##n##_host(a) * fp##n##_host(b));                                                     \
            if (likely(fp##n##_is_safe(r)) || fp##n##_is_zero(a) || fp##n##_is_zero(b))                                \
                return r;                                                                                              \
        }                                                                                                              \
        return t##_mul(a, b, e);                                                                                       \
    }                                                                                                                  \
    static inline T fp##n##_div(T a, T b, FpEnv *e)                                                                    \
    {                                                                                                                  \
        if (likely(fp_fast_env(e) && fp##n##_is_plain(a) && fp##n##_is_normal(b))) {                                   \
            T r = fp##n##_bits(fp##n##_host(a) / fp##n##_host(b));                                                     \
            if (likely(fp##n##_is_safe(r)) || fp##n##_is_zero(a))                                                      \
                return r;                                                                                              \
        }                                                                                                              \
        return t##_div(a, b, e);                                                                                       \
    }                                                                                                                  \
    /* Exact in any environment; only denormals and NaNs raise something. */                                           \
    static inline int fp##n##_compare(T a, T b, bool quiet, FpEnv *e)                                                  \
    {                                                                                                                  \
        if (likely(fp##n##_is_plain(a) && fp##n##_is_plain(b))) {                                                      \
            H x = fp##n##_host(a), y = fp##n##_host(b);                                                                \
            return (x > y) - (x < y);                                                                                  \
        }                                                                                                              \
        return t##_compare(a, b, quiet, e);                                                                            \
    }

FP_FAST_FORMAT(uint32_t, float, 32, f32, 23, 0xff)
FP_FAST_FORMAT(uint64_t, double, 64, f64, 52, 0x7ff)
#undef FP_FAST_FORMAT

static inline uint32_t fp32_sqrt(uint32_t a, FpEnv *e)
{
    if (likely(fp_fast_env(e) && fp32_is_normal(a) && !(a >> 31)))
        return fp32_bits(__builtin_sqrtf(fp32_host(a)));
    return f32_sqrt(a, e);
}
static inline uint64_t fp64_sqrt(uint64_t a, FpEnv *e)
{
    if (likely(fp_fast_env(e) && fp64_is_normal(a) && !(a >> 63)))
        return fp64_bits(__builtin_sqrt(fp64_host(a)));
    return f64_sqrt(a, e);
}

/* Widening a plain number is exact. */
static inline uint64_t fp32_to_fp64(uint32_t a, FpEnv *e)
{
    return likely(fp32_is_plain(a)) ? fp64_bits(fp32_host(a)) : f32_to_f64(a, e);
}
static inline uint32_t fp64_to_fp32(uint64_t a, FpEnv *e)
{
    if (likely(fp_fast_env(e) && fp64_is_normal(a))) {
        uint32_t r = fp32_bits((float)fp64_host(a));
        if (likely(fp32_is_safe(r)))
            return r;
    }
    return f64_to_f32(a, e);
}

/* Nearest for |h| < 2^51: in 1.5 * 2^52 + h the last place is worth 1, so that the sum itself rounds. */
static inline double fp_host_nearest(double h)
{
    volatile double sum = h + 0x1.8p52; /* volatile: the compiler must not cancel the two */
    return sum - 0x1.8p52;
}

/* What the host converts without reaching a limit; rounding is FP_NEAREST or FP_ZERO. */
static inline bool fp_fast_to_int(double h, double limit, unsigned rounding, const FpEnv *e)
{
    return FP_HOST_USABLE && e->flags & FP_INEXACT && h > -limit && h < limit &&
           (rounding == FP_ZERO || rounding == FP_NEAREST);
}

/* Denormals are left to fp.h for DAZ's sake: with it on they are not even inexact, which is on record anyway. */
static inline int32_t fp64_to_i32(uint64_t a, uint8_t rounding, FpEnv *e)
{
    double h = fp64_host(a);
    if (likely(fp_fast_to_int(h, 0x1p30, rounding, e) && fp64_is_plain(a)))
        return rounding == FP_ZERO ? (int32_t)h : (int32_t)fp_host_nearest(h);
    return f64_to_i32(a, rounding, e);
}
static inline int64_t fp64_to_i64(uint64_t a, uint8_t rounding, FpEnv *e)
{
    double h = fp64_host(a);
    if (likely(fp_fast_to_int(h, 0x1p50, rounding, e) && fp64_is_plain(a)))
        return rounding == FP_ZERO ? (int64_t)h : (int64_t)fp_host_nearest(h);
    return f64_to_i64(a, rounding, e);
}
static inline int32_t fp32_to_i32(uint32_t a, uint8_t rounding, FpEnv *e)
{
    double h = fp32_host(a);
    if (likely(fp_fast_to_int(h, 0x1p30, rounding, e) && fp32_is_plain(a)))
        return rounding == FP_ZERO ? (int32_t)h : (int32_t)fp_host_nearest(h);
    return f32_to_i32(a, rounding, e);
}
static inline int64_t fp32_to_i64(uint32_t a, uint8_t rounding, FpEnv *e)
{
    double h = fp32_host(a);
    if (likely(fp_fast_to_int(h, 0x1p50, rounding, e) && fp32_is_plain(a)))
        return rounding == FP_ZERO ? (int64_t)h : (int64_t)fp_host_nearest(h);
    return f32_to_i64(a, rounding, e);
}

/* Exact when the integer has no more bits than the significand. */
static inline uint64_t fp64_from_i32(int32_t v) { return fp64_bits((double)v); }
static inline uint64_t fp64_from_i64(int64_t v, FpEnv *e)
{
    if (likely(fp_fast_env(e) || (v >= -(INT64_C(1) << 53) && v <= INT64_C(1) << 53)))
        return fp64_bits((double)v);
    return f64_from_i64(v, e);
}
static inline uint32_t fp32_from_i32(int32_t v, FpEnv *e)
{
    if (likely(fp_fast_env(e) || (v >= -(1 << 24) && v <= 1 << 24)))
        return fp32_bits((float)v);
    return f32_from_i32(v, e);
}
static inline uint32_t fp32_from_i64(int64_t v, FpEnv *e)
{
    if (likely(fp_fast_env(e) || (v >= -(1 << 24) && v <= 1 << 24)))
        return fp32_bits((float)v);
    return f32_from_i64(v, e);
}

static inline uint32_t fp32_negate(uint32_t a) { return f32_negate(a); }
static inline uint64_t fp64_negate(uint64_t a) { return f64_negate(a); }

/* The C library's fma, where the compiler does not know the host to have one, rounds once too. */
static inline uint32_t fp32_fma(uint32_t a, uint32_t b, uint32_t c, FpEnv *e)
{
    if (likely(fp_fast_env(e) && fp32_is_plain(a) && fp32_is_plain(b) && fp32_is_plain(c))) {
        uint32_t r = fp32_bits(__builtin_fmaf(fp32_host(a), fp32_host(b), fp32_host(c)));
        if (likely(fp32_is_safe(r)))
            return r;
    }
    return f32_muladd(a, b, c, e);
}
static inline uint64_t fp64_fma(uint64_t a, uint64_t b, uint64_t c, FpEnv *e)
{
    if (likely(fp_fast_env(e) && fp64_is_plain(a) && fp64_is_plain(b) && fp64_is_plain(c))) {
        uint64_t r = fp64_bits(__builtin_fma(fp64_host(a), fp64_host(b), fp64_host(c)));
        if (likely(fp64_is_safe(r)))
            return r;
    }
    return f64_muladd(a, b, c, e);
}

/* Half precision has no host unit to use: the same names for it, so that lanes of all formats are written alike. */
static inline uint16_t fp16_add(uint16_t a, uint16_t b, FpEnv *e) { return f16_add(a, b, e); }
static inline uint16_t fp16_sub(uint16_t a, uint16_t b, FpEnv *e) { return f16_sub(a, b, e); }
static inline uint16_t fp16_mul(uint16_t a, uint16_t b, FpEnv *e) { return f16_mul(a, b, e); }
static inline uint16_t fp16_div(uint16_t a, uint16_t b, FpEnv *e) { return f16_div(a, b, e); }
static inline uint16_t fp16_sqrt(uint16_t a, FpEnv *e) { return f16_sqrt(a, e); }
static inline uint16_t fp16_negate(uint16_t a) { return f16_negate(a); }
static inline uint16_t fp16_fma(uint16_t a, uint16_t b, uint16_t c, FpEnv *e) { return f16_muladd(a, b, c, e); }
static inline int fp16_compare(uint16_t a, uint16_t b, bool quiet, FpEnv *e) { return f16_compare(a, b, quiet, e); }

#endif
