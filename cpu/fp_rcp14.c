/*
 * VRCP14 and VRSQRT14 of 32 and 64 bits: the manuals bound the relative error (2^-14), not the result, and these are
 * the nearest values.  No flag is raised, DAZ and FTZ count.
 */
#include "cpu/fp_avx512.h"

static FpEnv approximation_env(const FpEnv *e)
{
    return (FpEnv){ .rounding = FP_NEAREST, .daz = e->daz, .ftz = e->ftz };
}

uint32_t fp32_rcp14(uint32_t a, const FpEnv *e)
{
    FpEnv r = approximation_env(e);
    return f32_div(0x3f800000, a, &r);
}

uint32_t fp32_rsqrt14(uint32_t a, const FpEnv *e)
{
    FpEnv r = approximation_env(e);
    return f32_div(0x3f800000, f32_sqrt(a, &r), &r);
}

uint64_t fp64_rcp14(uint64_t a, const FpEnv *e)
{
    FpEnv r = approximation_env(e);
    return f64_div(UINT64_C(0x3ff) << 52, a, &r);
}

uint64_t fp64_rsqrt14(uint64_t a, const FpEnv *e)
{
    FpEnv r = approximation_env(e);
    return f64_div(UINT64_C(0x3ff) << 52, f64_sqrt(a, &r), &r);
}
