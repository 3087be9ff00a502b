/* Packed integer arithmetic, logic and rotations that AVX-512 added: kernels in simd_avx512.h, forms in avx.h. */
#include "cpu/avx512.h"

void avx_ternary(Cpu *cpu, const Insn *i, VecTernary *kernel, unsigned bits)
{
    Vec tmp, r;
    const Vec *c = avx_source(cpu, i, &tmp, bits);
    kernel(&r, &cpu->vec[i->reg], &cpu->vec[i->vreg], c, avx_qwords(i));
    avx_write(cpu, i, i->reg, &r, bits);
}

void avx_ternary_whole(Cpu *cpu, const Insn *i, VecTernary *kernel, unsigned bits)
{
    Vec tmp, r;
    const Vec *c = avx_source_whole(cpu, i, &tmp, bits);
    kernel(&r, &cpu->vec[i->reg], &cpu->vec[i->vreg], c, avx_qwords(i));
    avx_write(cpu, i, i->reg, &r, bits);
}

static void ternary_logic_lanes(Cpu *cpu, const Insn *i, unsigned bits)
{
    Vec tmp, r;
    const Vec *a = &cpu->vec[i->reg], *b = &cpu->vec[i->vreg], *c = avx_source(cpu, i, &tmp, bits);
    for (unsigned j = 0; j < avx_qwords(i); j++)
        r.q[j] = ternary_logic(a->q[j], b->q[j], c->q[j], i->imm);
    avx_write(cpu, i, i->reg, &r, bits);
}
static void avx_vpternlogd(Cpu *cpu, const Insn *i) { ternary_logic_lanes(cpu, i, 32); }
static void avx_vpternlogq(Cpu *cpu, const Insn *i) { ternary_logic_lanes(cpu, i, 64); }
SEM_1(avx_vpternlogd)
SEM_1(avx_vpternlogq)

AVX_UNARY(vpopcntb, 8)
AVX_UNARY(vpopcntw, 16)
AVX_UNARY(vpopcntd, 32)
AVX_UNARY(vpopcntq, 64)
AVX_UNARY(vplzcntd, 32)
AVX_UNARY(vplzcntq, 64)
AVX_UNARY_WHOLE(vpconflictd, 32)
AVX_UNARY_WHOLE(vpconflictq, 64)

#define AVX_DOUBLE_SHIFTS(suffix, bits)                                                                                \
    AVX_BINARY_IMM(vpshld##suffix, bits)                                                                               \
    AVX_BINARY_IMM(vpshrd##suffix, bits)                                                                               \
    AVX_TERNARY(vpshldv##suffix, bits)                                                                                 \
    AVX_TERNARY(vpshrdv##suffix, bits)
AVX_DOUBLE_SHIFTS(w, 16)
AVX_DOUBLE_SHIFTS(d, 32)
AVX_DOUBLE_SHIFTS(q, 64)

/* vvvv = kernel(rm, imm8). */
static void rotate_by_imm(Cpu *cpu, const Insn *i, VecUnaryImm *kernel, unsigned bits)
{
    Vec tmp, r;
    kernel(&r, avx_source(cpu, i, &tmp, bits), i->imm, avx_qwords(i));
    avx_write(cpu, i, i->vreg, &r, bits);
}
#define AVX_ROTATIONS(suffix, bits)                                                                                    \
    AVX_SEMANTICS(vprol##suffix, rotate_by_imm, v_vprol##suffix, bits)                                                 \
    AVX_SEMANTICS(vpror##suffix, rotate_by_imm, v_vpror##suffix, bits)                                                 \
    AVX_BINARY(vprolv##suffix, bits)                                                                                   \
    AVX_BINARY(vprorv##suffix, bits)
AVX_ROTATIONS(d, 32)
AVX_ROTATIONS(q, 64)

/* The mask counts bytes, a broadcast quadwords. */
static void avx_vpmultishiftqb(Cpu *cpu, const Insn *i)
{
    Vec tmp, r;
    const Vec *b = avx_source_whole(cpu, i, &tmp, 64);
    v_vpmultishiftqb(&r, &cpu->vec[i->vreg], b, avx_qwords(i));
    avx_write(cpu, i, i->reg, &r, 8);
}
SEM_1(avx_vpmultishiftqb)

AVX_BINARY_IMM_WHOLE(vdbpsadbw, 16)

AVX_TERNARY(vpdpbusd, 32)
AVX_TERNARY(vpdpbusds, 32)
AVX_TERNARY(vpdpwssd, 32)
AVX_TERNARY(vpdpwssds, 32)
AVX_TERNARY(vpmadd52luq, 64)
AVX_TERNARY(vpmadd52huq, 64)

/* ---- results in opmasks ---- */

/* Bits of vvvv's quadwords that the bytes of the other operand name. */
static void avx_vpshufbitqmb(Cpu *cpu, const Insn *i)
{
    Vec tmp;
    const Vec *a = &cpu->vec[i->vreg], *b = avx_source(cpu, i, &tmp, 8);
    uint64_t result = 0;
    for (unsigned j = 0; j < avx_bytes(i); j++)
        result |= (a->q[j / 8] >> (VEC_B(*b, j) & 63) & 1) << j;
    avx_write_mask(cpu, i, result, avx_bytes(i));
}
SEM_1(avx_vpshufbitqmb)

/* A pair of opmasks: which lanes of vvvv are among those of the other operand, and which of these among those. */
static void intersect(Cpu *cpu, const Insn *i, unsigned bits)
{
    Vec tmp;
    const Vec *a = &cpu->vec[i->vreg], *b = avx_source_whole(cpu, i, &tmp, bits);
    uint64_t found[2] = { 0, 0 };
    for (unsigned j = 0; j < avx_lanes(i, bits); j++)
        for (unsigned k = 0; k < avx_lanes(i, bits); k++)
            if (vec_lane(a, bits, j) == vec_lane(b, bits, k)) {
                found[0] |= BIT(j);
                found[1] |= BIT(k);
            }
    cpu->opmask[i->reg & ~1] = found[0];
    cpu->opmask[i->reg | 1] = found[1];
}
static void avx_vp2intersectd(Cpu *cpu, const Insn *i) { intersect(cpu, i, 32); }
static void avx_vp2intersectq(Cpu *cpu, const Insn *i) { intersect(cpu, i, 64); }
SEM_1(avx_vp2intersectd)
SEM_1(avx_vp2intersectq)
