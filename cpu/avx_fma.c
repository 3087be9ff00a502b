/*
 * Fused multiply-add with VEX and EVEX.  132, 213 and 231 say which operands are multiplied and which is added: first,
 * second and third, that is, destination, vvvv and ModRM.rm.
 */
#include "cpu/avx_lanes.h"

/* x * y + z in n bits with x or z negated first. */
#define FMA(n, x, y, z, minus_x, minus_z)                                                                              \
    fp##n##_fma(minus_x ? fp##n##_negate(x) : (x), y, minus_z ? fp##n##_negate(z) : (z), e)

#define FMA_KERNELS(name, type, LANE, n, minus_x, minus_z)                                                             \
    FP_LANES(name##132##type, LANE, LANE, FMA(n, c, b, a, minus_x, minus_z))                                           \
    FP_LANES(name##213##type, LANE, LANE, FMA(n, a, c, b, minus_x, minus_z))                                           \
    FP_LANES(name##231##type, LANE, LANE, FMA(n, a, b, c, minus_x, minus_z))
#define FMA_PACKED(name, type, bits)                                                                                   \
    AVX_LANES(name##132##type, name##132##type, bits, bits)                                                            \
    AVX_LANES(name##213##type, name##213##type, bits, bits)                                                            \
    AVX_LANES(name##231##type, name##231##type, bits, bits)
#define FMA_SCALAR(name, type, packed, bits)                                                                           \
    AVX_LANES_SCALAR_MERGE(name##132##type, name##132##packed, bits)                                                   \
    AVX_LANES_SCALAR_MERGE(name##213##type, name##213##packed, bits)                                                   \
    AVX_LANES_SCALAR_MERGE(name##231##type, name##231##packed, bits)

#define FMA_FORMS(name, minus_x, minus_z)                                                                              \
    FMA_KERNELS(name, ps, VEC_D, 32, minus_x, minus_z)                                                                 \
    FMA_KERNELS(name, pd, VEC_Q, 64, minus_x, minus_z)                                                                 \
    FMA_KERNELS(name, ph, VEC_W, 16, minus_x, minus_z)                                                                 \
    FMA_PACKED(name, ps, 32)                                                                                           \
    FMA_PACKED(name, pd, 64)                                                                                           \
    FMA_PACKED(name, ph, 16)
#define FMA_ALL_FORMS(name, minus_x, minus_z)                                                                          \
    FMA_FORMS(name, minus_x, minus_z)                                                                                  \
    FMA_SCALAR(name, ss, ps, 32)                                                                                       \
    FMA_SCALAR(name, sd, pd, 64)                                                                                       \
    FMA_SCALAR(name, sh, ph, 16)

FMA_ALL_FORMS(fmadd, false, false)
FMA_ALL_FORMS(fmsub, false, true)
FMA_ALL_FORMS(fnmadd, true, false)
FMA_ALL_FORMS(fnmsub, true, true)
/* Odd lanes add and even ones subtract; the other way round. */
FMA_FORMS(fmaddsub, false, !(n & 1))
FMA_FORMS(fmsubadd, false, n & 1)
