/* Lanes moved about, and in and out of vectors, with VEX and EVEX: kernels in simd_shuffle.h, forms in avx.h. */
#include "cpu/avx.h"
#include "cpu/simd_shuffle.h"

#include <string.h>

AVX_BINARY_WHOLE(packsswb, 8)
AVX_BINARY_WHOLE(packuswb, 8)

/* The source is of doublewords, the result of words. */
static void avx_pack_dwords(Cpu *cpu, const Insn *i, VecBinary *kernel, unsigned bits)
{
    Vec tmp, r;
    const Vec *b = avx_source_whole(cpu, i, &tmp, 2 * bits);
    kernel(&r, &cpu->vec[i->vreg], b, avx_qwords(i));
    avx_write(cpu, i, i->reg, &r, bits);
}
AVX_SEMANTICS(packssdw, avx_pack_dwords, v_packssdw, 16)
AVX_SEMANTICS(packusdw, avx_pack_dwords, v_packusdw, 16)

AVX_BINARY_WHOLE(punpcklbw, 8)
AVX_BINARY_WHOLE(punpcklwd, 16)
AVX_BINARY_WHOLE(punpckldq, 32)
AVX_BINARY_WHOLE(punpcklqdq, 64)
AVX_BINARY_WHOLE(punpckhbw, 8)
AVX_BINARY_WHOLE(punpckhwd, 16)
AVX_BINARY_WHOLE(punpckhdq, 32)
AVX_BINARY_WHOLE(punpckhqdq, 64)

AVX_BINARY_WHOLE(phaddw, 16)
AVX_BINARY_WHOLE(phaddd, 32)
AVX_BINARY_WHOLE(phaddsw, 16)
AVX_BINARY_WHOLE(phsubw, 16)
AVX_BINARY_WHOLE(phsubd, 32)
AVX_BINARY_WHOLE(phsubsw, 16)

AVX_BINARY_WHOLE(pshufb, 8)
AVX_BINARY_IMM_WHOLE(palignr, 8)
AVX_UNARY_IMM_WHOLE(pshufd, 32)
AVX_UNARY_IMM_WHOLE(pshufhw, 16)
AVX_UNARY_IMM_WHOLE(pshuflw, 16)
AVX_BINARY_IMM_WHOLE(shufps, 32)
AVX_BINARY_IMM_WHOLE(shufpd, 64)
AVX_BINARY_IMM_WHOLE(perm2f128, 64)
AVX_SEMANTICS(shuffle_32x4, avx_binary_imm_whole, v_shuffle_blocks, 32)
AVX_SEMANTICS(shuffle_64x2, avx_binary_imm_whole, v_shuffle_blocks, 64)
AVX_BINARY_IMM(pblendw, 16)
AVX_BINARY_IMM(blendps, 32)
AVX_BINARY_IMM(blendpd, 64)

/* The mask is a fourth register, named by the upper half of the immediate. */
#define AVX_BLEND_VARIABLE(name)                                                                                       \
    static void avx_##name(Cpu *cpu, const Insn *i)                                                                    \
    {                                                                                                                  \
        Vec tmp;                                                                                                       \
        const Vec *b = avx_source_whole(cpu, i, &tmp, 64);                                                             \
        v_##name(&cpu->vec[i->reg], &cpu->vec[i->vreg], b, &cpu->vec[i->imm >> 4], avx_qwords(i));                     \
        avx_clear_above(cpu, i->reg, avx_bytes(i));                                                                    \
    }                                                                                                                  \
    SEM_1(avx_##name)
AVX_BLEND_VARIABLE(pblendvb)
AVX_BLEND_VARIABLE(blendvps)
AVX_BLEND_VARIABLE(blendvpd)

/* VPBLENDMx: selected lanes are of the second operand, the others of the first or 0. */
static void blend_mask(Cpu *cpu, const Insn *i, unsigned bits)
{
    Vec tmp, r;
    uint64_t selected = avx_selected(cpu, i, bits);
    const Vec *b = avx_source(cpu, i, &tmp, bits);
    for (unsigned n = 0; n < avx_lanes(i, bits); n++) {
        uint64_t other = i->zero ? 0 : vec_lane(&cpu->vec[i->vreg], bits, n);
        vec_set_lane(&r, bits, n, selected >> n & 1 ? vec_lane(b, bits, n) : other);
    }
    vec_copy(&cpu->vec[i->reg], &r, avx_qwords(i));
    avx_clear_above(cpu, i->reg, avx_bytes(i));
}
#define AVX_BLEND_MASK(bits)                                                                                           \
    static void avx_blend_mask_##bits(Cpu *cpu, const Insn *i) { blend_mask(cpu, i, bits); }                           \
    SEM_1(avx_blend_mask_##bits)
AVX_BLEND_MASK(8)
AVX_BLEND_MASK(16)
AVX_BLEND_MASK(32)
AVX_BLEND_MASK(64)

AVX_UNARY_WHOLE(movsldup, 32)
AVX_UNARY_WHOLE(movshdup, 32)

/* 128 bits are made of 64. */
static void avx_movddup(Cpu *cpu, const Insn *i)
{
    Vec tmp, r;
    v_movddup(&r, avx_source_low(cpu, i, &tmp, i->vl ? avx_bytes(i) : 8), avx_qwords(i));
    avx_write(cpu, i, i->reg, &r, 64);
}
SEM_1(avx_movddup)

/* Lanes widened from `from` bits to `to`, which the mask counts. */
static void avx_widen(Cpu *cpu, const Insn *i, VecUnary *kernel, unsigned from, unsigned to)
{
    Vec tmp, r;
    const Vec *a = avx_source_part(cpu, i, &tmp, from, avx_lanes(i, to), avx_selected(cpu, i, to));
    kernel(&r, a, avx_qwords(i));
    avx_write(cpu, i, i->reg, &r, to);
}
#define AVX_WIDEN(suffix, from, to)                                                                                    \
    static void avx_pmovsx##suffix(Cpu *cpu, const Insn *i) { avx_widen(cpu, i, v_pmovsx##suffix, from, to); }         \
    SEM_1(avx_pmovsx##suffix)                                                                                          \
    static void avx_pmovzx##suffix(Cpu *cpu, const Insn *i) { avx_widen(cpu, i, v_pmovzx##suffix, from, to); }         \
    SEM_1(avx_pmovzx##suffix)
AVX_WIDEN(bw, 8, 16)
AVX_WIDEN(bd, 8, 32)
AVX_WIDEN(bq, 8, 64)
AVX_WIDEN(wd, 16, 32)
AVX_WIDEN(wq, 16, 64)
AVX_WIDEN(dq, 32, 64)

/* `lanes` lanes of `bits` of the source, again and again; those that no selected lane needs are not read. */
static void avx_broadcast(Cpu *cpu, const Insn *i, unsigned bits, unsigned lanes)
{
    Vec tmp, r;
    uint64_t needed = 0;
    for (uint64_t selected = avx_selected(cpu, i, bits); selected; selected >>= lanes)
        needed |= selected & bit_mask(lanes);
    const Vec *a = avx_source_part(cpu, i, &tmp, bits, lanes, needed);
    if (lanes == 1)
        vec_fill(&r, vec_lane(a, bits, 0), bits, avx_qwords(i));
    else
        for (unsigned j = 0; j < avx_qwords(i); j++)
            r.q[j] = a->q[j % (lanes * bits / 64)];
    avx_write(cpu, i, i->reg, &r, bits);
}
#define AVX_BROADCAST(suffix, bits, lanes)                                                                             \
    static void avx_broadcast_##suffix(Cpu *cpu, const Insn *i) { avx_broadcast(cpu, i, bits, lanes); }                \
    SEM_1(avx_broadcast_##suffix)
AVX_BROADCAST(8, 8, 1)
AVX_BROADCAST(16, 16, 1)
AVX_BROADCAST(32, 32, 1)
AVX_BROADCAST(64, 64, 1)
AVX_BROADCAST(32x2, 32, 2)
AVX_BROADCAST(32x4, 32, 4)
AVX_BROADCAST(32x8, 32, 8)
AVX_BROADCAST(64x2, 64, 2)
AVX_BROADCAST(64x4, 64, 4)

#define AVX_BROADCAST_GENERAL(bits)                                                                                    \
    static void avx_broadcast_gpr_##bits(Cpu *cpu, const Insn *i)                                                      \
    {                                                                                                                  \
        Vec r;                                                                                                         \
        vec_fill(&r, cpu->gpr[i->rm] & bit_mask(bits), bits, avx_qwords(i));                                           \
        avx_write(cpu, i, i->reg, &r, bits);                                                                           \
    }                                                                                                                  \
    SEM_1(avx_broadcast_gpr_##bits)
AVX_BROADCAST_GENERAL(8)
AVX_BROADCAST_GENERAL(16)
AVX_BROADCAST_GENERAL(32)
AVX_BROADCAST_GENERAL(64)

/* Parts of `lanes` lanes of `bits`, counted by the immediate: VINSERTF128, VEXTRACTF128 and their kin. */
static void avx_insert(Cpu *cpu, const Insn *i, unsigned bits, unsigned lanes)
{
    Vec tmp, r;
    unsigned qwords = lanes * bits / 64, parts = avx_qwords(i) / qwords;
    const Vec *part = avx_source_low(cpu, i, &tmp, qwords * 8);
    vec_copy(&r, &cpu->vec[i->vreg], avx_qwords(i));
    memcpy(r.q + (i->imm & (parts - 1)) * qwords, part->q, qwords * 8);
    avx_write(cpu, i, i->reg, &r, bits);
}
static void avx_extract(Cpu *cpu, const Insn *i, unsigned bits, unsigned lanes)
{
    Vec r;
    unsigned qwords = lanes * bits / 64, parts = avx_qwords(i) / qwords;
    memcpy(r.q, cpu->vec[i->reg].q + (i->imm & (parts - 1)) * qwords, qwords * 8);
    if (!i->mem) {
        avx_write_lanes(cpu, i, i->rm, &r, bits, lanes);
        return;
    }
    mem_probe_write(cpu, i->seg, insn_ea(cpu, i), qwords * 8); /* also where the mask lets nothing be written */
    avx_store(cpu, i, &r, bits, lanes, avx_mask(cpu, i, lanes));
}
#define AVX_PARTS(suffix, bits, lanes)                                                                                 \
    static void avx_insert_##suffix(Cpu *cpu, const Insn *i) { avx_insert(cpu, i, bits, lanes); }                      \
    SEM_1(avx_insert_##suffix)                                                                                         \
    static void avx_extract_##suffix(Cpu *cpu, const Insn *i) { avx_extract(cpu, i, bits, lanes); }                    \
    SEM_1(avx_extract_##suffix)
AVX_PARTS(32x4, 32, 4)
AVX_PARTS(64x2, 64, 2)
AVX_PARTS(32x8, 32, 8)
AVX_PARTS(64x4, 64, 4)

/* VPINSRx: vvvv with one lane from a general register or memory. */
#define AVX_INSERT_LANE(suffix, bits, from)                                                                            \
    static inline void avx_pinsr##suffix##_value(Cpu *cpu, const Insn *i, uint##bits##_t v)                            \
    {                                                                                                                  \
        Vec *d = &cpu->vec[i->reg];                                                                                    \
        vec_copy(d, &cpu->vec[i->vreg], 2);                                                                            \
        vec_set_lane(d, bits, i->imm & (128 / (bits) - 1), v);                                                         \
        avx_clear_above(cpu, i->reg, 16);                                                                              \
    }                                                                                                                  \
    static void avx_pinsr##suffix##_r(Cpu *cpu, const Insn *i)                                                         \
    {                                                                                                                  \
        avx_pinsr##suffix##_value(cpu, i, from(cpu, i->rm));                                                           \
    }                                                                                                                  \
    static void avx_pinsr##suffix##_m(Cpu *cpu, const Insn *i)                                                         \
    {                                                                                                                  \
        avx_pinsr##suffix##_value(cpu, i, mem_read##bits(cpu, i->seg, insn_ea(cpu, i)));                               \
    }                                                                                                                  \
    SEM_RM(avx_pinsr##suffix)
AVX_INSERT_LANE(b, 8, reg32)
AVX_INSERT_LANE(w, 16, reg32)
AVX_INSERT_LANE(d, 32, reg32)
AVX_INSERT_LANE(q, 64, reg64)

static void avx_insertps(Cpu *cpu, const Insn *i)
{
    Vec *d = &cpu->vec[i->reg];
    uint32_t v = i->mem ? mem_read32(cpu, i->seg, insn_ea(cpu, i)) : VEC_D(cpu->vec[i->rm], i->imm >> 6 & 3);
    vec_copy(d, &cpu->vec[i->vreg], 2);
    vec_insert_float(d, v, i->imm);
    avx_clear_above(cpu, i->reg, 16);
}
SEM_1(avx_insertps)
