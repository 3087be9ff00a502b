/* Floating-point arithmetic and comparison with VEX and EVEX: kernels in simd_fp.h, forms in avx.h. */
#include "cpu/avx.h"

#define AVX_ARITHMETIC(op)                                                                                             \
    AVX_FP_BINARY(op##ps, 32)                                                                                          \
    AVX_FP_BINARY(op##pd, 64)                                                                                          \
    AVX_SEMANTICS(op##ss, avx_fp_binary_scalar, v_##op##ps, 32)                                                        \
    AVX_SEMANTICS(op##sd, avx_fp_binary_scalar, v_##op##pd, 64)

AVX_ARITHMETIC(add)
AVX_ARITHMETIC(sub)
AVX_ARITHMETIC(mul)
AVX_ARITHMETIC(div)
AVX_ARITHMETIC(min)
AVX_ARITHMETIC(max)
