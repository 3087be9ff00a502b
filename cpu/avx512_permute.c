/* Permutations of lanes with EVEX: kernels in simd_avx512.h.  None suppresses faults (SDM vol. 2, exceptions E4NF). */
#include "cpu/avx512.h"

#define AVX_PERMUTE(suffix, bits)                                                                                      \
    AVX_BINARY_WHOLE(vperm##suffix, bits)                                                                              \
    AVX_TERNARY_WHOLE(vpermi2##suffix, bits)                                                                           \
    AVX_TERNARY_WHOLE(vpermt2##suffix, bits)
AVX_PERMUTE(b, 8)
AVX_PERMUTE(w, 16)
AVX_PERMUTE(d, 32)
AVX_PERMUTE(q, 64)

AVX_UNARY_IMM_WHOLE(vpermq_imm, 64)
AVX_BINARY_WHOLE(vpermilps, 32)
AVX_BINARY_WHOLE(vpermilpd, 64)
AVX_SEMANTICS(vpermilps_imm, avx_unary_imm_whole, v_pshufd, 32)
AVX_UNARY_IMM_WHOLE(vpermilpd_imm, 64)
AVX_BINARY_IMM_WHOLE(valignd, 32)
AVX_BINARY_IMM_WHOLE(valignq, 64)
