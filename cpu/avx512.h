/* What instructions that AVX-512 added are made with, beside avx.h: kernels that take the old destination too. */
#ifndef MYNA_CPU_AVX512_H
#define MYNA_CPU_AVX512_H

#include "cpu/avx.h"
#include "cpu/simd_avx512.h"

typedef void VecTernary(Vec *d, const Vec *a, const Vec *b, const Vec *c, unsigned qwords);

/* reg = kernel(reg, vvvv, rm); with fault suppression, and without. */
void avx_ternary(Cpu *cpu, const Insn *i, VecTernary *kernel, unsigned bits);
void avx_ternary_whole(Cpu *cpu, const Insn *i, VecTernary *kernel, unsigned bits);

#define AVX_TERNARY(name, bits) AVX_SEMANTICS(name, avx_ternary, v_##name, bits)
#define AVX_TERNARY_WHOLE(name, bits) AVX_SEMANTICS(name, avx_ternary_whole, v_##name, bits)

#endif
