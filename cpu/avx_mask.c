/*
 * Opmask instructions (SDM vol. 2, KANDW and its kin), and those that move between opmasks and vectors.  Opmasks are
 * 64 bits wide; what an instruction does not write of its destination becomes 0.
 */
#include "cpu/avx.h"
#include "cpu/flags.h"

#define FOR_WIDTHS(M, op) M(op, 8) M(op, 16) M(op, 32) M(op, 64)

/* k1 = result of a (k2 by vvvv) and b (k3 by ModRM.rm). */
#define MASK_BINARY_WIDTH(op, bits)                                                                                    \
    static void op##_##bits(Cpu *cpu, const Insn *i)                                                                   \
    {                                                                                                                  \
        cpu->opmask[i->reg] = op##_value(cpu->opmask[i->vreg], cpu->opmask[i->rm]) & bit_mask(bits);                   \
    }                                                                                                                  \
    SEM_1(op##_##bits)
#define MASK_BINARY(op, result)                                                                                        \
    static inline uint64_t op##_value(uint64_t a, uint64_t b) { return result; }                                       \
    FOR_WIDTHS(MASK_BINARY_WIDTH, op)
MASK_BINARY(kand, a & b)
MASK_BINARY(kandn, ~a & b)
MASK_BINARY(kor, a | b)
MASK_BINARY(kxor, a ^ b)
MASK_BINARY(kxnor, ~(a ^ b))
MASK_BINARY(kadd, a + b)

/* The lower halves joined; `bits` is that of a half. */
#define MASK_UNPACK(bits)                                                                                              \
    static void kunpck_##bits(Cpu *cpu, const Insn *i)                                                                 \
    {                                                                                                                  \
        uint64_t high = cpu->opmask[i->vreg] & bit_mask(bits), low = cpu->opmask[i->rm] & bit_mask(bits);              \
        cpu->opmask[i->reg] = high << (bits) | low;                                                                    \
    }                                                                                                                  \
    SEM_1(kunpck_##bits)
MASK_UNPACK(8)
MASK_UNPACK(16)
MASK_UNPACK(32)

static void mask_flags(Cpu *cpu, bool zf, bool cf)
{
    set_zf(cpu, zf);
    cpu->cc_sp = 1; /* SF and PF clear */
    set_cf_of_af(cpu, cf, false, false);
}

#define MASK_OTHERS(op, bits)                                                                                          \
    static void knot_##bits(Cpu *cpu, const Insn *i)                                                                   \
    {                                                                                                                  \
        cpu->opmask[i->reg] = ~cpu->opmask[i->rm] & bit_mask(bits);                                                    \
    }                                                                                                                  \
    SEM_1(knot_##bits)                                                                                                 \
    static void kshiftl_##bits(Cpu *cpu, const Insn *i)                                                                \
    {                                                                                                                  \
        cpu->opmask[i->reg] = i->imm < (bits) ? cpu->opmask[i->rm] << i->imm & bit_mask(bits) : 0;                     \
    }                                                                                                                  \
    SEM_1(kshiftl_##bits)                                                                                              \
    static void kshiftr_##bits(Cpu *cpu, const Insn *i)                                                                \
    {                                                                                                                  \
        cpu->opmask[i->reg] = i->imm < (bits) ? (cpu->opmask[i->rm] & bit_mask(bits)) >> i->imm : 0;                   \
    }                                                                                                                  \
    SEM_1(kshiftr_##bits)                                                                                              \
    static void kortest_##bits(Cpu *cpu, const Insn *i)                                                                \
    {                                                                                                                  \
        uint64_t any = (cpu->opmask[i->reg] | cpu->opmask[i->rm]) & bit_mask(bits);                                    \
        mask_flags(cpu, any == 0, any == bit_mask(bits));                                                              \
    }                                                                                                                  \
    SEM_1(kortest_##bits)                                                                                              \
    static void ktest_##bits(Cpu *cpu, const Insn *i)                                                                  \
    {                                                                                                                  \
        uint64_t a = cpu->opmask[i->reg], b = cpu->opmask[i->rm] & bit_mask(bits);                                     \
        mask_flags(cpu, !(a & b), !(~a & b));                                                                          \
    }                                                                                                                  \
    SEM_1(ktest_##bits)                                                                                                \
    static void kmov_load_##bits##_r(Cpu *cpu, const Insn *i)                                                          \
    {                                                                                                                  \
        cpu->opmask[i->reg] = cpu->opmask[i->rm] & bit_mask(bits);                                                     \
    }                                                                                                                  \
    static void kmov_load_##bits##_m(Cpu *cpu, const Insn *i)                                                          \
    {                                                                                                                  \
        cpu->opmask[i->reg] = mem_read##bits(cpu, i->seg, insn_ea(cpu, i));                                            \
    }                                                                                                                  \
    SEM_RM(kmov_load_##bits)                                                                                           \
    static void kmov_store_##bits(Cpu *cpu, const Insn *i)                                                             \
    {                                                                                                                  \
        mem_write##bits(cpu, i->seg, insn_ea(cpu, i), cpu->opmask[i->reg]);                                            \
    }                                                                                                                  \
    SEM_1(kmov_store_##bits)                                                                                           \
    static void kmov_from_gpr_##bits(Cpu *cpu, const Insn *i)                                                          \
    {                                                                                                                  \
        cpu->opmask[i->reg] = cpu->gpr[i->rm] & bit_mask(bits);                                                        \
    }                                                                                                                  \
    SEM_1(kmov_from_gpr_##bits)                                                                                        \
    static void kmov_to_gpr_##bits(Cpu *cpu, const Insn *i)                                                            \
    {                                                                                                                  \
        set_reg64(cpu, i->reg, cpu->opmask[i->rm] & bit_mask(bits));                                                   \
    }                                                                                                                  \
    SEM_1(kmov_to_gpr_##bits)
FOR_WIDTHS(MASK_OTHERS, )

/* VPMOVM2x: lanes of all ones where the bit is set; VPMOVx2M: the top bits of the lanes. */
#define MASK_VECTOR(op, bits)                                                                                          \
    static void avx_pmovm2_##bits(Cpu *cpu, const Insn *i)                                                             \
    {                                                                                                                  \
        Vec *d = &cpu->vec[i->reg];                                                                                    \
        for (unsigned n = 0; n < avx_lanes(i, bits); n++)                                                              \
            vec_set_lane(d, bits, n, cpu->opmask[i->rm] >> n & 1 ? bit_mask(bits) : 0);                                \
        avx_clear_above(cpu, i->reg, avx_bytes(i));                                                                    \
    }                                                                                                                  \
    SEM_1(avx_pmovm2_##bits)                                                                                           \
    static void avx_pmov2m_##bits(Cpu *cpu, const Insn *i)                                                             \
    {                                                                                                                  \
        uint64_t r = 0;                                                                                                \
        for (unsigned n = 0; n < avx_lanes(i, bits); n++)                                                              \
            r |= vec_lane(&cpu->vec[i->rm], bits, n) >> ((bits) - 1) << n;                                             \
        cpu->opmask[i->reg] = r;                                                                                       \
    }                                                                                                                  \
    SEM_1(avx_pmov2m_##bits)
FOR_WIDTHS(MASK_VECTOR, )

/* VPBROADCASTMB2Q and VPBROADCASTMW2D: a byte or a word of the mask, zero-extended, to all lanes. */
static void broadcast_mask(Cpu *cpu, const Insn *i, unsigned mask_bits, unsigned bits)
{
    vec_fill(&cpu->vec[i->reg], cpu->opmask[i->rm] & bit_mask(mask_bits), bits, avx_qwords(i));
    avx_clear_above(cpu, i->reg, avx_bytes(i));
}
static void avx_broadcast_mask_64(Cpu *cpu, const Insn *i) { broadcast_mask(cpu, i, 8, 64); }
SEM_1(avx_broadcast_mask_64)
static void avx_broadcast_mask_32(Cpu *cpu, const Insn *i) { broadcast_mask(cpu, i, 16, 32); }
SEM_1(avx_broadcast_mask_32)
