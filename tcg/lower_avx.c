/*
 * Lowering of VEX and EVEX instructions, all rows alike: what an instruction computes is left to the back end, which
 * knows it by its row and does it on the vector registers that the instruction names; here is told what memory and
 * which general registers it works on.
 *
 * Not here, and so calls: what is not one access of known size (gathers, scatters; A_PACKED: memory of VPCOMPRESS and
 * VPEXPAND), XOP, which processors of today lack, and rows with A_CALL: VMASKMOVDQU, approximations that differ between
 * processors, what names registers by convention (VPCMPESTRI and the like) or two at once (VP2INTERSECT), CMPccXADD,
 * which reads and writes its memory, and MXCSR.
 */
#include "tcg/lower.h"

#include <string.h>

#include "cpu/decode.h"

static bool is_call(const Insn *i, const Pattern *p)
{
    uint32_t attr = insn_rows[i->row].attr;
    return p->vsib || p->encoding == ENC_LEGACY || p->encoding == ENC_XOP ||
           (attr & (A_CALL | A_JUMP | A_END | A_PRIV)) || (i->mem && (attr & A_PACKED));
}

static bool is_general(char letter, bool in_memory)
{
    return letter == 'G' || letter == 'B' || (strchr("ER", letter) && !in_memory);
}

static IrArg general_register(const Insn *i, char letter)
{
    return letter == 'G' ? i->reg : letter == 'B' ? i->vreg : i->rm;
}

static bool is_memory(const Insn *i, const char *operand)
{
    return i->mem && (strchr("WEM", operand[0]) || (operand[0] == 'K' && strchr("em", operand[1])));
}

/* Bytes of the memory operand: as the encoding says, or (VEX) as its type does. */
static unsigned memory_bytes(const Insn *i, const Pattern *p)
{
    const char *o = insn_rows[i->row].operands;
    while (!is_memory(i, o))
        o += strcspn(o, ",") + 1;
    if (p->disp_scale || p->encoding == ENC_EVEX)
        return pattern_memory_bytes(p, i->vl, i->broadcast);
    switch (o[1]) {
    case 'b': return 1;
    case 'w': return 2;
    case 'd': return o[2] == 'q' ? 16 : 4;
    case 'q': return o[2] == 'q' ? 32 : 8;
    case 'y': return insn_size(i);
    case 's': return o[2] == 'd' ? 8 : 4;
    default: return 16u << i->vl;
    }
}

static bool reference(Lower *l, const Pattern *p, bool writes)
{
    const Insn *i = l->i;
    unsigned size = memory_bytes(i, p);
    if (insn_rows[i->row].attr & A_ALIGN)
        return lower_ref(l, writes ? IR_REF_XW : IR_REF_X, size, 0);
    return lower_ref(l, writes ? IR_REF_W : IR_REF_R, size, 0);
}

static unsigned code_of(const InsnRow *row)
{
    bool flags = row->flags_written & F_ARITH;
    return row->attr & A_FP ? (flags ? IR_FAVX_FLAGS : IR_FAVX) : flags ? IR_AVX_FLAGS : IR_AVX;
}

/* The destination is the first operand; of the others at most one is in ModRM.rm and one in vvvv. */
static bool lower_operands(Lower *l, const Pattern *p, unsigned code)
{
    const Insn *i = l->i;
    const char *o = insn_rows[i->row].operands;
    bool compares = code == IR_AVX_FLAGS && (insn_rows[i->row].attr & (A_AVX | A_AVX512));
    IrArg dst = IR_NONE, a = IR_NONE, b = IR_NONE;
    bool writes = i->mem && is_memory(i, o) && !compares;
    if (i->mem && !reference(l, p, writes))
        return false;
    for (bool first = true; *o; first = false, o += strcspn(o, ","), o += *o == ',') {
        IrArg x = is_memory(i, o) ? ir_m(0) : is_general(o[0], i->mem) ? general_register(i, o[0]) : IR_NONE;
        if (x == IR_NONE)
            continue;
        if (first && !compares && code != IR_FAVX_FLAGS)
            dst = x;
        else if (o[0] == 'B')
            b = x;
        else
            a = x;
    }
    lower_op(l, code, 8, dst, a, b);
    return true;
}

static bool lower_mulx(Lower *l)
{
    const Insn *i = l->i;
    if (i->mem && !lower_ref(l, IR_REF_R, insn_size(i), 0))
        return false;
    lower_op(l, IR_MULX, insn_size(i), i->reg, i->mem ? ir_m(0) : i->rm, i->vreg);
    return true;
}

bool lower_avx(Lower *l)
{
    const InsnRow *row = &insn_rows[l->i->row];
    const Pattern *p = insn_row_pattern(l->i->row);
    if (is_call(l->i, p))
        return false;
    if (!strcmp(row->mnemonic, "mulx"))
        return lower_mulx(l);
    if (!strcmp(row->mnemonic, "vzeroupper")) {
        lower_op(l, IR_VZEROUPPER, 0, IR_NONE, IR_NONE, IR_NONE);
        return true;
    }
    return lower_operands(l, p, code_of(row));
}
