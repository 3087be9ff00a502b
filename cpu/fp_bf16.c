/*
 * bfloat16: conversion and the dot product of AVX512_BF16 (SDM vol. 2 VCVTNEPS2BF16, VDPBF16PS).  Neither looks at
 * MXCSR: to nearest, denormals are zeros on both sides, and no flag is raised.
 */
#include "cpu/fp.h"

uint16_t f32_to_bf16(uint32_t a)
{
    if (f32_is_nan(a))
        return a >> 16 | 0x40;
    if (!(a & 0x7f800000))
        return a >> 16 & 0x8000;
    return (a + 0x7fff + (a >> 16 & 1)) >> 16;
}

uint32_t bf16_dot(uint32_t sum, uint32_t a, uint32_t b)
{
    FpEnv e = { .rounding = FP_NEAREST, .daz = true, .ftz = true };
    sum = f32_muladd(a & 0xffff0000, b & 0xffff0000, sum, &e);
    return f32_muladd(a << 16, b << 16, sum, &e);
}
