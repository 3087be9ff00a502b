/*
 * VEX and EVEX vector instructions: operands, masks and rounding around the kernels of simd_*.h.
 *
 * Overview.  One semantic function serves all forms of an instruction, VEX and EVEX, of every length, with register or
 * memory: what they differ in is in the Insn (vl, mask, zero, broadcast, rounding), where a VEX instruction has what
 * an EVEX one with k0 has.  The function names a kernel and the width of the lanes that the opmask counts:
 *
 *   AVX_BINARY(paddb, 8)                    makes sem_avx_paddb of v_paddb
 *   AVX_FP_BINARY(addps, 32)                the same with MXCSR and its exceptions
 *
 * Lanes whose mask bit is clear are not read from memory, raise no exception, and stay or become 0 (SDM vol. 1
 * 15.6.1).  Floating-point kernels compute them all the same, on 1.0, which no operation objects to.  Every result
 * clears the register above the vector length.
 */
#ifndef MYNA_CPU_AVX_H
#define MYNA_CPU_AVX_H

#include "cpu/simd_fp.h"

static inline unsigned avx_qwords(const Insn *i) { return 2u << i->vl; }
static inline unsigned avx_bytes(const Insn *i) { return 16u << i->vl; }

/* Bit n: lane n of `lanes` is selected. */
static inline uint64_t avx_mask(const Cpu *cpu, const Insn *i, unsigned lanes)
{
    return bit_mask(lanes) & (i->mask ? cpu->opmask[i->mask] : ~UINT64_C(0));
}

/* Lanes of `bits` in the instruction's vector length, and which of them are selected. */
static inline unsigned avx_lanes(const Insn *i, unsigned bits) { return avx_bytes(i) * 8 / bits; }
static inline uint64_t avx_selected(const Cpu *cpu, const Insn *i, unsigned bits)
{
    return avx_mask(cpu, i, avx_lanes(i, bits));
}

/* One lane of 8, 16, 32 or 64 bits. */
uint64_t vec_lane(const Vec *v, unsigned bits, unsigned n);
void vec_set_lane(Vec *v, unsigned bits, unsigned n, uint64_t value);
/* v, of so many bits, in all lanes. */
void vec_fill(Vec *d, uint64_t v, unsigned bits, unsigned qwords);

/*
 * Operands in ModRM.rm: the register itself, or memory read into *tmp.
 * avx_source: lanes of `bits`, those not selected are not read and are 0 in *tmp; broadcast where the instruction says.
 * avx_source_whole: read even where no lane is selected (broadcast likewise), for instructions that suppress no faults.
 * avx_source_part: the lowest `lanes` lanes of `bits` only, of which those in `selected` are read.
 * avx_source_low: the lowest `size` bytes (1..64), whatever the mask.
 */
const Vec *avx_source(Cpu *cpu, const Insn *i, Vec *tmp, unsigned bits);
const Vec *avx_source_whole(Cpu *cpu, const Insn *i, Vec *tmp, unsigned bits);
const Vec *avx_source_part(Cpu *cpu, const Insn *i, Vec *tmp, unsigned bits, unsigned lanes, uint64_t selected);
const Vec *avx_source_low(Cpu *cpu, const Insn *i, Vec *tmp, unsigned size);

/*
 * Results.  avx_write: to vector register `reg`, lanes of `bits` under the mask, of the whole vector length.
 * avx_write_lanes: `lanes` of them; above it the register is cleared.
 * avx_write_scalar: the lowest lane of i->reg, under the mask; bits up to 127 from register `upper`, zeros above.
 * avx_write_mask: comparison result to opmask i->reg, under the mask, which zeroes.
 * avx_store: the selected ones of `lanes` lanes to the memory operand; all pages are checked before any byte moves.
 * avx_probe_store: makes that check by itself, before computing.
 */
void avx_write(Cpu *cpu, const Insn *i, unsigned reg, const Vec *r, unsigned bits);
void avx_write_lanes(Cpu *cpu, const Insn *i, unsigned reg, const Vec *r, unsigned bits, unsigned lanes);
void avx_write_scalar(Cpu *cpu, const Insn *i, uint64_t r, unsigned bits, unsigned upper);
void avx_write_mask(Cpu *cpu, const Insn *i, uint64_t result, unsigned lanes);
void avx_store(Cpu *cpu, const Insn *i, const Vec *v, unsigned bits, unsigned lanes, uint64_t selected);
void avx_probe_store(Cpu *cpu, const Insn *i, unsigned bits, unsigned lanes, uint64_t selected);

/* Clears register `reg` above its lowest `bytes` (1..64; below 16 not for VEX instructions). */
void avx_clear_above(Cpu *cpu, unsigned reg, unsigned bytes);

/*
 * The floating-point environment: MXCSR, or what EVEX.b says in its place; and the end of the computation, which raises
 * #XM or sets flags unless exceptions are suppressed (SDM vol. 2A 2.7.7).
 */
void avx_env(const Cpu *cpu, const Insn *i, FpEnv *e);
static inline void avx_finish(Cpu *cpu, const Insn *i, const FpEnv *e)
{
    if (!i->rounding)
        simd_finish(cpu, e->flags);
}

/* 1.0 in lanes of `bits` (16, 32, 64) of v that are not in `selected`: nothing to be raised there. */
void vec_calm(Vec *v, uint64_t selected, unsigned bits, unsigned lanes);

/* ---- instructions of one kernel ---- */

typedef void VecUnary(Vec *d, const Vec *a, unsigned qwords);
typedef void VecUnaryImm(Vec *d, const Vec *a, unsigned imm, unsigned qwords);
typedef void VecShift(Vec *d, const Vec *a, uint64_t count, unsigned qwords);
typedef void VecBinary(Vec *d, const Vec *a, const Vec *b, unsigned qwords);
typedef void VecBinaryImm(Vec *d, const Vec *a, const Vec *b, unsigned imm, unsigned qwords);
typedef void VecFpUnary(Vec *d, const Vec *a, unsigned qwords, FpEnv *e);
typedef void VecFpBinary(Vec *d, const Vec *a, const Vec *b, unsigned qwords, FpEnv *e);

/* reg = kernel(vvvv, rm), reg = kernel(rm), with the immediate as last operand; fault suppression (see avx_source). */
void avx_binary(Cpu *cpu, const Insn *i, VecBinary *kernel, unsigned bits);
void avx_unary(Cpu *cpu, const Insn *i, VecUnary *kernel, unsigned bits);
void avx_binary_imm(Cpu *cpu, const Insn *i, VecBinaryImm *kernel, unsigned bits);
void avx_unary_imm(Cpu *cpu, const Insn *i, VecUnaryImm *kernel, unsigned bits);
/* The same, the source always read whole. */
void avx_binary_whole(Cpu *cpu, const Insn *i, VecBinary *kernel, unsigned bits);
void avx_unary_whole(Cpu *cpu, const Insn *i, VecUnary *kernel, unsigned bits);
void avx_binary_imm_whole(Cpu *cpu, const Insn *i, VecBinaryImm *kernel, unsigned bits);
void avx_unary_imm_whole(Cpu *cpu, const Insn *i, VecUnaryImm *kernel, unsigned bits);

/* Floating point, all lanes; and the lowest lane alone, with the rest of the 128 bits from vvvv. */
void avx_fp_binary(Cpu *cpu, const Insn *i, VecFpBinary *kernel, unsigned bits);
void avx_fp_unary(Cpu *cpu, const Insn *i, VecFpUnary *kernel, unsigned bits);
void avx_fp_binary_scalar(Cpu *cpu, const Insn *i, VecFpBinary *kernel, unsigned bits);
void avx_fp_unary_scalar(Cpu *cpu, const Insn *i, VecFpUnary *kernel, unsigned bits);

#define AVX_SEMANTICS(name, way, kernel, bits)                                                                         \
    static void avx_##name(Cpu *cpu, const Insn *i) { way(cpu, i, kernel, bits); }                                     \
    SEM_1(avx_##name)

#define AVX_BINARY(name, bits) AVX_SEMANTICS(name, avx_binary, v_##name, bits)
#define AVX_UNARY(name, bits) AVX_SEMANTICS(name, avx_unary, v_##name, bits)
#define AVX_BINARY_IMM(name, bits) AVX_SEMANTICS(name, avx_binary_imm, v_##name, bits)
#define AVX_UNARY_IMM(name, bits) AVX_SEMANTICS(name, avx_unary_imm, v_##name, bits)
#define AVX_BINARY_WHOLE(name, bits) AVX_SEMANTICS(name, avx_binary_whole, v_##name, bits)
#define AVX_UNARY_WHOLE(name, bits) AVX_SEMANTICS(name, avx_unary_whole, v_##name, bits)
#define AVX_BINARY_IMM_WHOLE(name, bits) AVX_SEMANTICS(name, avx_binary_imm_whole, v_##name, bits)
#define AVX_UNARY_IMM_WHOLE(name, bits) AVX_SEMANTICS(name, avx_unary_imm_whole, v_##name, bits)
#define AVX_FP_BINARY(name, bits) AVX_SEMANTICS(name, avx_fp_binary, v_##name, bits)
#define AVX_FP_UNARY(name, bits) AVX_SEMANTICS(name, avx_fp_unary, v_##name, bits)

#endif
