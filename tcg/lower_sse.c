/*
 * Lowerings of vector instructions (cpu/sse_*.c, crypto.c) and fences.
 *
 * What an instruction computes is left to the back end, which knows it by its row; here is told which registers and
 * what memory it works on.  The operands are those that the table names.
 *
 * Not here: RCPxx and RSQRTxx, whose approximations differ between processors; MASKMOVDQU; MXCSR and state.
 */
#include "tcg/lower.h"

#include <string.h>

static const char *operands(const Lower *l) { return insn_rows[l->i->row].operands; }

/* Bytes of an operand, by what follows its first letter. */
static unsigned bytes_of(const Lower *l, const char *type)
{
    switch (type[0]) {
    case 'b': return 1;
    case 'w': return 2;
    case 'd': return type[1] == 'q' ? 16 : 4;
    case 'q': return 8;
    case 'y': return l->i->osz == SZ64 ? 8 : 4;
    case 's': return type[1] == 'd' ? 8 : 4;
    default: return 16; /* ps, pd */
    }
}

static bool is_memory(const Lower *l, char letter) { return l->i->mem && strchr("WEM", letter); }

static IrArg operand(const Lower *l, char letter)
{
    switch (letter) {
    case 'V': return ir_x(l->i->reg);
    case 'G': return l->i->reg;
    case 'U': return ir_x(l->i->rm);
    case 'R': return l->i->rm;
    case 'I': return IR_IMM;
    case 'x': return ir_x(0);
    default: return is_memory(l, letter) ? ir_m(0) : letter == 'W' ? ir_x(l->i->rm) : l->i->rm;
    }
}

/* The operand's bytes, or those of the general register that is the other one. */
static unsigned size_of(const Lower *l, const char *first, const char *second)
{
    const char *counts = strchr("EGRM", first[0]) || is_memory(l, first[0]) ? first : second;
    return strchr("EGRMW", counts[0]) ? bytes_of(l, counts + 1) : 16;
}

static bool reference(Lower *l, const char *first, const char *second, bool aligned)
{
    bool writes = is_memory(l, first[0]);
    const char *memory = writes ? first : second;
    unsigned size = bytes_of(l, memory + 1);
    if (!l->i->mem)
        return true;
    if (size == 16 && aligned)
        return lower_ref(l, writes ? IR_REF_XW : IR_REF_X, 16, 0);
    return lower_ref(l, writes ? IR_REF_W : IR_REF_R, size, 0);
}

static bool vector_aligned(Lower *l, unsigned code, bool aligned)
{
    const char *first = operands(l), *second = strchr(first, ',') + 1, *third = strchr(second, ',');
    bool compares = code == IR_VTEST || code == IR_FCMP;
    IrArg a = operand(l, first[0]), b = operand(l, second[0]);
    if (!reference(l, first, second, aligned))
        return false;
    IrOp *op = lower_op(l, code, size_of(l, first, second), compares ? IR_NONE : a, compares ? a : b,
                        compares ? b : IR_NONE);
    if (code == IR_VMOD3)
        op->b = operand(l, third[1]);
    op->imm = l->i->imm;
    return true;
}

static bool vector(Lower *l, unsigned code, unsigned size)
{
    (void)size;
    return vector_aligned(l, code, true);
}
static bool vector_unaligned(Lower *l, unsigned code, unsigned size)
{
    (void)size;
    return vector_aligned(l, code, false);
}

/* Between registers they keep the rest of the destination. */
static bool move_scalar(Lower *l, unsigned code, unsigned size) { return vector(l, l->i->mem ? code : IR_VMOD, size); }

/* From 32 bits to binary64 it is exact, whatever MXCSR says. */
static bool cvtsi2sd(Lower *l, unsigned code, unsigned size)
{
    return vector(l, l->i->osz == SZ64 ? code : IR_VMOD, size);
}

/* PCMPESTRI and so on: `code` is the register of the result. */
static bool find(Lower *l, unsigned code, unsigned size)
{
    (void)size;
    if (!reference(l, "Vdq", "Wdq", false))
        return false;
    lower_op(l, IR_VFIND, 4, code, operand(l, 'V'), operand(l, 'W'))->imm = l->i->imm;
    return true;
}

static bool movnti(Lower *l, unsigned code, unsigned size)
{
    size = bytes_of(l, "y");
    if (!lower_ref(l, IR_REF_W, size, 0))
        return false;
    lower_op(l, code, size, ir_m(0), l->i->reg, IR_NONE);
    return true;
}

static bool fence(Lower *l, unsigned orders, unsigned size)
{
    (void)size;
    lower_op(l, IR_FENCE, 0, IR_NONE, IR_NONE, IR_NONE)->imm = orders;
    return true;
}

static bool prefetch(Lower *l, unsigned code, unsigned size)
{
    (void)l, (void)code, (void)size;
    return true;
}

#define SET(row) [ROW_##row] = { vector, IR_VSET, 1 },
#define MOD(row) [ROW_##row] = { vector, IR_VMOD, 1 },
#define MOD3(row) [ROW_##row] = { vector, IR_VMOD3, 1 },
#define FSET(row) [ROW_##row] = { vector, IR_FSET, 1 },
#define FMOD(row) [ROW_##row] = { vector, IR_FMOD, 1 },
#define UNALIGNED(row) [ROW_##row] = { vector_unaligned, IR_VSET, 1 },
#define SCALAR_MOVE(row) [ROW_##row] = { move_scalar, IR_VSET, 1 },
#define MOD_BHWD(name) MOD(name##BW_XMM) MOD(name##WD_XMM) MOD(name##DQ_XMM) MOD(name##QDQ_XMM)
#define MOD_BWD(name) MOD(name##B_XMM) MOD(name##W_XMM) MOD(name##D_XMM)
#define SHIFT(name) MOD(name##_XMM) MOD(name##_XMM_Ib)
#define FLOATS(name) FMOD(name##PS) FMOD(name##PD) FMOD(name##SS) FMOD(name##SD)
#define LOGIC(name) MOD(name##PS) MOD(name##PD)
#define WIDEN(s)                                                                                                       \
    SET(PMOV##s##XBW) SET(PMOV##s##XBD) SET(PMOV##s##XBQ) SET(PMOV##s##XWD) SET(PMOV##s##XWQ) SET(PMOV##s##XDQ)

const Lowering lower_sse_rows[ROW_COUNT] = {
    /* integers */
    MOD_BHWD(PUNPCKL) MOD_BHWD(PUNPCKH) MOD(PACKSSWB_XMM) MOD(PACKSSDW_XMM) MOD(PACKUSWB_XMM) MOD(PACKUSDW)
    MOD_BWD(PCMPGT) MOD(PCMPGTQ) MOD_BWD(PCMPEQ) MOD(PCMPEQQ)
    MOD_BWD(PADD) MOD(PADDQ_XMM) MOD_BWD(PSUB) MOD(PSUBQ_XMM)
    MOD(PADDSB_XMM) MOD(PADDSW_XMM) MOD(PADDUSB_XMM) MOD(PADDUSW_XMM)
    MOD(PSUBSB_XMM) MOD(PSUBSW_XMM) MOD(PSUBUSB_XMM) MOD(PSUBUSW_XMM)
    MOD(PMULLW_XMM) MOD(PMULHW_XMM) MOD(PMULHUW_XMM) MOD(PMULHRSW_XMM) MOD(PMULLD) MOD(PMULUDQ_XMM) MOD(PMULDQ)
    MOD(PMADDWD_XMM) MOD(PMADDUBSW_XMM) MOD(PSADBW_XMM) MOD(MPSADBW) SET(PHMINPOSUW) MOD(PAVGB_XMM) MOD(PAVGW_XMM)
    MOD(PMINUB_XMM) MOD(PMINSB) MOD(PMINUW) MOD(PMINSW_XMM) MOD(PMINUD) MOD(PMINSD)
    MOD(PMAXUB_XMM) MOD(PMAXSB) MOD(PMAXUW) MOD(PMAXSW_XMM) MOD(PMAXUD) MOD(PMAXSD)
    MOD(PHADDW_XMM) MOD(PHADDD_XMM) MOD(PHADDSW_XMM) MOD(PHSUBW_XMM) MOD(PHSUBD_XMM) MOD(PHSUBSW_XMM)
    MOD_BWD(PSIGN) SET(PABSB_XMM) SET(PABSW_XMM) SET(PABSD_XMM)
    SHIFT(PSRLW) SHIFT(PSRLD) SHIFT(PSRLQ) SHIFT(PSRAW) SHIFT(PSRAD) SHIFT(PSLLW) SHIFT(PSLLD) SHIFT(PSLLQ)
    MOD(PSRLDQ_XMM_Ib) MOD(PSLLDQ_XMM_Ib)
    MOD(PAND_XMM) MOD(PANDN_XMM) MOD(POR_XMM) MOD(PXOR_XMM) LOGIC(AND) LOGIC(ANDN) LOGIC(OR) LOGIC(XOR)
    [ROW_PTEST] = { vector, IR_VTEST, 1 },

    /* shuffles */
    MOD(PSHUFB_XMM) SET(PSHUFD_XMM) SET(PSHUFHW_XMM) SET(PSHUFLW_XMM) MOD(PALIGNR_XMM)
    MOD(UNPCKLPS) MOD(UNPCKLPD) MOD(UNPCKHPS) MOD(UNPCKHPD) MOD(SHUFPS) MOD(SHUFPD)
    MOD(PBLENDW) MOD(BLENDPS) MOD(BLENDPD) MOD3(PBLENDVB) MOD3(BLENDVPS) MOD3(BLENDVPD)
    SET(MOVDDUP_VdqWq) SET(MOVSLDUP_VdqWdq) SET(MOVSHDUP_VdqWdq) WIDEN(S) WIDEN(Z)
    MOD(INSERTPS_VdqUdq) MOD(INSERTPS_VdqMd) MOD(PINSRB_VdqRd) MOD(PINSRB_VdqMb) MOD(PINSRW_VdqRd) MOD(PINSRW_VdqMw)
    MOD(PINSRD_VdqRd) MOD(PINSRD_VdqMd) MOD(PINSRQ_VdqRq) MOD(PINSRQ_VdqMq)
    SET(PEXTRB_RdVdq) SET(PEXTRB_MbVdq) SET(PEXTRW_GdUdq) SET(PEXTRW_RdVdq) SET(PEXTRW_MwVdq) SET(PEXTRD_RdVdq)
    SET(PEXTRD_MdVdq) SET(PEXTRQ_RqVdq) SET(PEXTRQ_MqVdq) SET(EXTRACTPS)

    /* moves */
    UNALIGNED(MOVUPS_VpsWps) UNALIGNED(MOVUPS_WpsVps) UNALIGNED(MOVUPD_VpdWpd) UNALIGNED(MOVUPD_WpdVpd)
    UNALIGNED(MOVDQU_VdqWdq) UNALIGNED(MOVDQU_WdqVdq) UNALIGNED(LDDQU_VdqMdq)
    SET(MOVAPS_VpsWps) SET(MOVAPS_WpsVps) SET(MOVAPD_VpdWpd) SET(MOVAPD_WpdVpd) SET(MOVDQA_VdqWdq) SET(MOVDQA_WdqVdq)
    SET(MOVNTPS_MpsVps) SET(MOVNTPD_MpdVpd) SET(MOVNTDQ_MdqVdq) SET(MOVNTDQA)
    SCALAR_MOVE(MOVSS_VssWss) SCALAR_MOVE(MOVSS_WssVss) SCALAR_MOVE(MOVSD_VsdWsd) SCALAR_MOVE(MOVSD_WsdVsd)
    MOD(MOVLPS_VqMq) SET(MOVLPS_MqVq) MOD(MOVLPD_VqMq) SET(MOVLPD_MqVq) MOD(MOVHPS_VdqMq) SET(MOVHPS_MqVdq)
    MOD(MOVHPD_VdqMq) SET(MOVHPD_MqVdq) MOD(MOVHLPS_VqUdq) MOD(MOVLHPS_VdqUq)
    SET(MOVD_VdqEd) SET(MOVQ_VdqEq) SET(MOVD_EdVdq) SET(MOVQ_EqVdq) SET(MOVQ_VqWq) SET(MOVQ_WqVq)
    SET(MOVMSKPS_GdUps) SET(MOVMSKPD_GdUpd) SET(PMOVMSKB_GdUdq)
    [ROW_MOVNTI_MyGy] = { movnti, IR_MOV, 1 },

    /* floating point */
    FLOATS(ADD) FLOATS(SUB) FLOATS(MUL) FLOATS(DIV) FLOATS(MIN) FLOATS(MAX)
    FSET(SQRTPS) FSET(SQRTPD) FMOD(SQRTSS) FMOD(SQRTSD)
    FMOD(CMPPS_XMM) FMOD(CMPPD_XMM) FMOD(CMPSS_XMM) FMOD(CMPSD_XMM)
    FMOD(ADDSUBPS) FMOD(ADDSUBPD) FMOD(HADDPS) FMOD(HADDPD) FMOD(HSUBPS) FMOD(HSUBPD) FMOD(DPPS) FMOD(DPPD)
    FSET(ROUNDPS) FSET(ROUNDPD) FMOD(ROUNDSS) FMOD(ROUNDSD)
    [ROW_COMISS] = { vector, IR_FCMP, 1 }, [ROW_COMISD] = { vector, IR_FCMP, 1 },
    [ROW_UCOMISS] = { vector, IR_FCMP, 1 }, [ROW_UCOMISD] = { vector, IR_FCMP, 1 },
    FSET(CVTPS2PD) FSET(CVTPD2PS) FMOD(CVTSS2SD) FMOD(CVTSD2SS) FSET(CVTDQ2PS) FSET(CVTPS2DQ) FSET(CVTTPS2DQ)
    SET(CVTDQ2PD) FSET(CVTPD2DQ) FSET(CVTTPD2DQ) FMOD(CVTSI2SS) [ROW_CVTSI2SD] = { cvtsi2sd, IR_FMOD, 1 },
    FSET(CVTTSS2SI) FSET(CVTTSD2SI) FSET(CVTSS2SI) FSET(CVTSD2SI)

    /* strings */
    [ROW_PCMPESTRI] = { find, R_CX, 1 }, [ROW_PCMPISTRI] = { find, R_CX, 1 },
    [ROW_PCMPESTRM] = { find, IR_X, 1 }, [ROW_PCMPISTRM] = { find, IR_X, 1 },

    /* cryptography */
    SET(AESIMC) MOD(AESENC) MOD(AESENCLAST) MOD(AESDEC) MOD(AESDECLAST) SET(AESKEYGENASSIST) MOD(PCLMULQDQ)
    MOD(SHA1NEXTE) MOD(SHA1MSG1) MOD(SHA1MSG2) MOD(SHA256MSG1) MOD(SHA256MSG2) MOD3(SHA256RNDS2) MOD(SHA1RNDS4)

    [ROW_LFENCE] = { fence, 1, 1 }, [ROW_SFENCE] = { fence, 2, 1 }, [ROW_MFENCE] = { fence, 3, 1 },
    [ROW_PREFETCH_0D] = { prefetch, 0, 1 }, [ROW_PREFETCH_18] = { prefetch, 0, 1 },
};
