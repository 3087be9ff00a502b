/*
 * MMX instructions, with the additions of SSE, SSE2 and SSSE3 to the MMX registers (SDM vol. 1 chapter 9).
 * Those that also convert floating point are in sse_cvt.c.
 */
#include "cpu/mmx.h"
#include "cpu/simd_shuffle.h"

/* mm1 = kernel(mm1, mm2/mem). */
#define MMX_BINARY_FROM(name, load)                                                                                    \
    static KERNEL mmx_##name##_op(Cpu *cpu, const Insn *i, uint64_t source)                                            \
    {                                                                                                                  \
        Vec d, s;                                                                                                      \
        d.q[0] = mmx_read(cpu, i->reg);                                                                                \
        s.q[0] = source;                                                                                               \
        v_##name(&d, &d, &s, 1);                                                                                       \
        mmx_write(cpu, i->reg, d.q[0]);                                                                                \
    }                                                                                                                  \
    MMX_FORMS(name, load)
#define MMX_BINARY(name) MMX_BINARY_FROM(name, mmx_load_q)

MMX_BINARY(paddb)
MMX_BINARY(paddw)
MMX_BINARY(paddd)
MMX_BINARY(paddq)
MMX_BINARY(paddsb)
MMX_BINARY(paddsw)
MMX_BINARY(paddusb)
MMX_BINARY(paddusw)
MMX_BINARY(psubb)
MMX_BINARY(psubw)
MMX_BINARY(psubd)
MMX_BINARY(psubq)
MMX_BINARY(psubsb)
MMX_BINARY(psubsw)
MMX_BINARY(psubusb)
MMX_BINARY(psubusw)
MMX_BINARY(pmullw)
MMX_BINARY(pmulhw)
MMX_BINARY(pmulhuw)
MMX_BINARY(pmulhrsw)
MMX_BINARY(pmuludq)
MMX_BINARY(pmaddwd)
MMX_BINARY(pmaddubsw)
MMX_BINARY(psadbw)
MMX_BINARY(pand)
MMX_BINARY(pandn)
MMX_BINARY(por)
MMX_BINARY(pxor)
MMX_BINARY(pcmpeqb)
MMX_BINARY(pcmpeqw)
MMX_BINARY(pcmpeqd)
MMX_BINARY(pcmpgtb)
MMX_BINARY(pcmpgtw)
MMX_BINARY(pcmpgtd)
MMX_BINARY(pminub)
MMX_BINARY(pminsw)
MMX_BINARY(pmaxub)
MMX_BINARY(pmaxsw)
MMX_BINARY(pavgb)
MMX_BINARY(pavgw)
MMX_BINARY(psignb)
MMX_BINARY(psignw)
MMX_BINARY(psignd)
MMX_BINARY(packsswb)
MMX_BINARY(packssdw)
MMX_BINARY(packuswb)
MMX_BINARY(punpckhbw)
MMX_BINARY(punpckhwd)
MMX_BINARY(punpckhdq)
MMX_BINARY_FROM(punpcklbw, mmx_load_d)
MMX_BINARY_FROM(punpcklwd, mmx_load_d)
MMX_BINARY_FROM(punpckldq, mmx_load_d)
MMX_BINARY(phaddw)
MMX_BINARY(phaddd)
MMX_BINARY(phaddsw)
MMX_BINARY(phsubw)
MMX_BINARY(phsubd)
MMX_BINARY(phsubsw)
MMX_BINARY(pshufb)

/* mm1 = kernel(mm2/m64). */
#define MMX_UNARY(name)                                                                                                \
    static KERNEL mmx_##name##_op(Cpu *cpu, const Insn *i, uint64_t source)                                            \
    {                                                                                                                  \
        Vec d;                                                                                                         \
        d.q[0] = source;                                                                                               \
        v_##name(&d, &d, 1);                                                                                           \
        mmx_write(cpu, i->reg, d.q[0]);                                                                                \
    }                                                                                                                  \
    MMX_FORMS(name, mmx_load_q)

MMX_UNARY(pabsb)
MMX_UNARY(pabsw)
MMX_UNARY(pabsd)

/* Shifts of mm1 by mm2/m64, and of mm by imm8. */
#define MMX_SHIFT(name)                                                                                                \
    static inline void mmx_##name(Cpu *cpu, unsigned n, uint64_t count)                                                \
    {                                                                                                                  \
        Vec d;                                                                                                         \
        d.q[0] = mmx_read(cpu, n);                                                                                     \
        v_##name(&d, &d, count, 1);                                                                                    \
        mmx_write(cpu, n, d.q[0]);                                                                                     \
    }                                                                                                                  \
    static KERNEL mmx_##name##_op(Cpu *cpu, const Insn *i, uint64_t s) { mmx_##name(cpu, i->reg, s); }                 \
    MMX_FORMS(name, mmx_load_q)                                                                                        \
    static void mmx_##name##_imm(Cpu *cpu, const Insn *i)                                                              \
    {                                                                                                                  \
        mmx_begin(cpu);                                                                                                \
        mmx_##name(cpu, i->rm, i->imm);                                                                                \
    }                                                                                                                  \
    SEM_1(mmx_##name##_imm)

MMX_SHIFT(psllw)
MMX_SHIFT(pslld)
MMX_SHIFT(psllq)
MMX_SHIFT(psrlw)
MMX_SHIFT(psrld)
MMX_SHIFT(psrlq)
MMX_SHIFT(psraw)
MMX_SHIFT(psrad)

static KERNEL mmx_palignr_op(Cpu *cpu, const Insn *i, uint64_t source)
{
    Vec d, s;
    d.q[0] = mmx_read(cpu, i->reg);
    s.q[0] = source;
    v_palignr(&d, &d, &s, i->imm, 1);
    mmx_write(cpu, i->reg, d.q[0]);
}
MMX_FORMS(palignr, mmx_load_q)

static KERNEL mmx_pshufw_op(Cpu *cpu, const Insn *i, uint64_t source)
{
    Vec s;
    s.q[0] = source;
    mmx_write(cpu, i->reg, shuffle_words(&s, 0, i->imm));
}
MMX_FORMS(pshufw, mmx_load_q)

/* MOVD mm, r/m32 and MOVQ mm, r/m64. */
#define MMX_FROM_GPR(name, bits)                                                                                       \
    static void mmx_##name##_r(Cpu *cpu, const Insn *i)                                                                \
    {                                                                                                                  \
        mmx_begin(cpu);                                                                                                \
        mmx_write(cpu, i->reg, reg##bits(cpu, i->rm));                                                                 \
    }                                                                                                                  \
    static void mmx_##name##_m(Cpu *cpu, const Insn *i)                                                                \
    {                                                                                                                  \
        mmx_check(cpu);                                                                                                \
        uint64_t v = mem_read##bits(cpu, i->seg, insn_ea(cpu, i));                                                     \
        mmx_enter(cpu);                                                                                                \
        mmx_write(cpu, i->reg, v);                                                                                     \
    }                                                                                                                  \
    SEM_RM(mmx_##name)

MMX_FROM_GPR(movd_load, 32)
MMX_FROM_GPR(movq_from_gpr, 64)

#define MMX_TO_GPR(name, bits)                                                                                         \
    static void mmx_##name##_r(Cpu *cpu, const Insn *i)                                                                \
    {                                                                                                                  \
        mmx_begin(cpu);                                                                                                \
        set_reg##bits(cpu, i->rm, mmx_read(cpu, i->reg));                                                              \
    }                                                                                                                  \
    static void mmx_##name##_m(Cpu *cpu, const Insn *i)                                                                \
    {                                                                                                                  \
        mmx_check(cpu);                                                                                                \
        mem_write##bits(cpu, i->seg, insn_ea(cpu, i), mmx_read(cpu, i->reg));                                          \
        mmx_enter(cpu);                                                                                                \
    }                                                                                                                  \
    SEM_RM(mmx_##name)

MMX_TO_GPR(movd_store, 32)
MMX_TO_GPR(movq_to_gpr, 64)

/* MOVQ mm, mm/m64. */
static KERNEL mmx_movq_load_op(Cpu *cpu, const Insn *i, uint64_t s) { mmx_write(cpu, i->reg, s); }
MMX_FORMS(movq_load, mmx_load_q)

/* MOVQ mm/m64, mm and MOVNTQ. */
static void mmx_movq_store_r(Cpu *cpu, const Insn *i)
{
    mmx_begin(cpu);
    mmx_write(cpu, i->rm, mmx_read(cpu, i->reg));
}
static void mmx_movq_store_m(Cpu *cpu, const Insn *i) { mmx_movq_to_gpr_m(cpu, i); }
SEM_RM(mmx_movq_store)

static KERNEL mmx_insert_word(Cpu *cpu, const Insn *i, uint16_t v)
{
    mmx_write(cpu, i->reg, bits_deposit(mmx_read(cpu, i->reg), (i->imm & 3) * 16, 16, v));
}
static void mmx_pinsrw_r(Cpu *cpu, const Insn *i)
{
    mmx_begin(cpu);
    mmx_insert_word(cpu, i, reg16(cpu, i->rm));
}
static void mmx_pinsrw_m(Cpu *cpu, const Insn *i)
{
    mmx_check(cpu);
    uint16_t v = mmx_load_w(cpu, i);
    mmx_enter(cpu);
    mmx_insert_word(cpu, i, v);
}
SEM_RM(mmx_pinsrw)

static void mmx_pextrw(Cpu *cpu, const Insn *i)
{
    mmx_begin(cpu);
    set_reg32(cpu, i->reg, bits_extract(mmx_read(cpu, i->rm), (i->imm & 3) * 16, 16));
}
SEM_1(mmx_pextrw)

static void mmx_pmovmskb(Cpu *cpu, const Insn *i)
{
    Vec s;
    mmx_begin(cpu);
    s.q[0] = mmx_read(cpu, i->rm);
    set_reg32(cpu, i->reg, vec_mask_b(&s, 1));
}
SEM_1(mmx_pmovmskb)

static void mmx_maskmovq(Cpu *cpu, const Insn *i)
{
    Vec s, mask;
    mmx_check(cpu);
    s.q[0] = mmx_read(cpu, i->reg);
    mask.q[0] = mmx_read(cpu, i->rm);
    vec_store_bytes(cpu, i, &s, vec_mask_b(&mask, 1), 8);
    mmx_enter(cpu);
}
SEM_1(mmx_maskmovq)

static void mmx_movq2dq(Cpu *cpu, const Insn *i)
{
    mmx_begin(cpu);
    cpu->vec[i->reg].q[0] = mmx_read(cpu, i->rm);
    cpu->vec[i->reg].q[1] = 0;
}
SEM_1(mmx_movq2dq)

static void mmx_movdq2q(Cpu *cpu, const Insn *i)
{
    mmx_begin(cpu);
    mmx_write(cpu, i->reg, cpu->vec[i->rm].q[0]);
}
SEM_1(mmx_movdq2q)

/* All registers empty (SDM vol. 3A table 12-1). */
static void mmx_emms(Cpu *cpu, const Insn *i)
{
    (void)i;
    mmx_check(cpu);
    cpu->fpu.top = 0;
    cpu->fpu.tags = 0;
}
SEM_1(mmx_emms)
