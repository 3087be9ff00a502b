/* Lowerings of integer instructions but for branches (cpu/integer.c, shift.c, muldiv.c, bits.c, stackops.c). */
#include "tcg/lower.h"

/* Operations that can have AH to BH as an operand. */
static bool takes_high(unsigned code)
{
    return code == IR_MOV || code == IR_CMP || code == IR_TEST || code == IR_ZEXT || code == IR_SEXT;
}

static bool is_logic(unsigned code) { return code == IR_AND || code == IR_OR || code == IR_XOR; }

static bool compares(unsigned code) { return code == IR_CMP || code == IR_TEST; }

/* E = E op b, for a register or memory; b is a register or (IR_IMM) the immediate. */
static bool lower_to_rm(Lower *l, unsigned code, unsigned size, IrArg b)
{
    const Insn *i = l->i;
    IrArg place = i->mem ? ir_m(0) : lower_reg(i->rm, size);
    bool high_logic = is_logic(code) && ir_is_h(place) && b == IR_IMM;
    if ((ir_is_h(place) || ir_is_h(b)) && !high_logic && (!takes_high(code) || i->mem))
        return false;
    if (i->mem && !lower_ref(l, compares(code) ? IR_REF_R : IR_REF_W, size, 0))
        return false;
    IrOp *op = lower_op(l, code, size, compares(code) ? IR_NONE : place, place, b);
    op->imm = i->imm;
    op->lock = i->lock && l->u->parallel;
    return true;
}

static bool alu_EG(Lower *l, unsigned code, unsigned size)
{
    return lower_to_rm(l, code, size, lower_reg(l->i->reg, size));
}

static bool alu_EI(Lower *l, unsigned code, unsigned size) { return lower_to_rm(l, code, size, IR_IMM); }

static bool alu_GE(Lower *l, unsigned code, unsigned size)
{
    IrArg reg = lower_reg(l->i->reg, size), rm = lower_rm(l, size);
    if (rm == IR_NONE || ((ir_is_h(reg) || ir_is_h(rm)) && !takes_high(code)))
        return false;
    lower_op(l, code, size, compares(code) ? IR_NONE : reg, reg, rm);
    return true;
}

static bool alu_AI(Lower *l, unsigned code, unsigned size)
{
    lower_op_imm(l, code, size, compares(code) ? IR_NONE : R_AX, R_AX, l->i->imm);
    return true;
}

/* INC, DEC, NEG, NOT */
static bool unary(Lower *l, unsigned code, unsigned size)
{
    if (ir_is_h(lower_reg(l->i->rm, size)) && !l->i->mem)
        return false;
    if (!lower_to_rm(l, code, size, IR_NONE))
        return false;
    return true;
}
static bool unary_Z(Lower *l, unsigned code, unsigned size)
{
    lower_op(l, code, size, l->i->reg, l->i->reg, IR_NONE);
    return true;
}

/* ---- moves ---- */

static bool mov_EG(Lower *l, unsigned code, unsigned size)
{
    IrArg reg = lower_reg(l->i->reg, size), place = lower_reg(l->i->rm, size);
    if (l->i->mem && !lower_ref(l, IR_REF_W, size, 0))
        return false;
    lower_op(l, code, size, l->i->mem ? ir_m(0) : place, reg, IR_NONE);
    return true;
}

static bool mov_GE(Lower *l, unsigned code, unsigned size)
{
    IrArg rm = lower_rm(l, size);
    if (rm == IR_NONE)
        return false;
    lower_op(l, code, size, lower_reg(l->i->reg, size), rm, IR_NONE);
    return true;
}

static bool mov_EI(Lower *l, unsigned code, unsigned size)
{
    if (l->i->mem && !lower_ref(l, IR_REF_W, size, 0))
        return false;
    lower_op(l, code, size, l->i->mem ? ir_m(0) : lower_reg(l->i->rm, size), IR_IMM, IR_NONE)->imm = l->i->imm;
    return true;
}

static bool mov_ZI(Lower *l, unsigned code, unsigned size)
{
    lower_op(l, code, size, lower_reg(l->i->reg, size), IR_IMM, IR_NONE)->imm = l->i->imm;
    return true;
}

/* MOVZX, MOVSX, MOVSXD; `size` is the source's. */
static bool extend(Lower *l, unsigned code, unsigned size)
{
    unsigned to = insn_size(l->i);
    IrArg rm = lower_rm(l, size);
    if (rm == IR_NONE || to < size)
        return false;
    IrOp *op = lower_op(l, to == size ? IR_MOV : code, to, l->i->reg, rm, IR_NONE);
    op->from = size;
    return true;
}

static bool cbw(Lower *l, unsigned code, unsigned size)
{
    lower_op(l, code, size, R_AX, R_AX, IR_NONE)->from = size / 2;
    return true;
}

static bool plain(Lower *l, unsigned code, unsigned size)
{
    lower_op(l, code, size, IR_NONE, IR_NONE, IR_NONE);
    return true;
}

static bool nop(Lower *l, unsigned code, unsigned size)
{
    (void)l, (void)code, (void)size;
    return true;
}

static bool lea(Lower *l, unsigned code, unsigned size)
{
    IrMem m;
    if (size == 2 || !l->i->mem || !lower_mem(l, &m))
        return false;
    m.seg = SEG_DS;
    lower_op(l, code, size, l->i->reg, IR_NONE, IR_NONE)->mem = m;
    return true;
}

static bool bswap(Lower *l, unsigned code, unsigned size)
{
    if (size == 2)
        return false;
    lower_op(l, code, size, l->i->reg, l->i->reg, IR_NONE);
    return true;
}

static bool movbe_load(Lower *l, unsigned code, unsigned size)
{
    if (size == 2 || !lower_ref(l, IR_REF_R, size, 0))
        return false;
    lower_op(l, IR_MOV, size, l->i->reg, ir_m(0), IR_NONE);
    lower_op(l, code, size, l->i->reg, l->i->reg, IR_NONE);
    return true;
}

static bool movbe_store(Lower *l, unsigned code, unsigned size)
{
    if (size == 2 || !lower_ref(l, IR_REF_W, size, 0))
        return false;
    lower_op(l, IR_MOV, size, ir_t(1), l->i->reg, IR_NONE);
    lower_op(l, code, size, ir_t(1), ir_t(1), IR_NONE);
    lower_op(l, IR_MOV, size, ir_m(0), ir_t(1), IR_NONE);
    return true;
}

static bool xchg_EG(Lower *l, unsigned code, unsigned size)
{
    IrArg reg = lower_reg(l->i->reg, size), place = l->i->mem ? ir_m(0) : lower_reg(l->i->rm, size);
    if (ir_is_h(reg) || ir_is_h(place) || (l->i->mem && !lower_ref(l, IR_REF_W, size, 0)))
        return false;
    lower_op(l, code, size, place, reg, IR_NONE)->lock = l->i->mem && l->u->parallel;
    return true;
}
static bool xchg_ZA(Lower *l, unsigned code, unsigned size)
{
    lower_op(l, code, size, l->i->reg, R_AX, IR_NONE);
    return true;
}

/* XADD and CMPXCHG with memory; in registers they are rare. */
static bool exchange_M(Lower *l, unsigned code, unsigned size)
{
    IrArg reg = lower_reg(l->i->reg, size);
    if (!l->i->mem || ir_is_h(reg) || !lower_ref(l, IR_REF_W, size, 0))
        return false;
    lower_op(l, code, size, ir_m(0), reg, IR_NONE)->lock = l->i->lock && l->u->parallel;
    return true;
}

/* ---- stack: 64-bit pushes in 64-bit code, 32-bit ones in 32-bit code ---- */

static bool stack_size(const Lower *l, unsigned size) { return size == (lower_code64(l) ? 8 : 4); }

static IrMem stack_mem(const Lower *l, unsigned reg, int32_t disp)
{
    return (IrMem){ .base = reg, .index = R_NONE, .seg = SEG_SS, .disp = disp, .bits = lower_code64(l) ? 64 : 32 };
}

static void move_sp(Lower *l, unsigned from, int32_t by)
{
    lower_op(l, IR_LEA, lower_code64(l) ? 8 : 4, R_SP, IR_NONE, IR_NONE)->mem = stack_mem(l, from, by);
}

static bool push(Lower *l, unsigned size, IrArg value)
{
    if (!stack_size(l, size))
        return false;
    lower_op(l, IR_REF_W, size, ir_t(0), IR_NONE, IR_NONE)->mem = stack_mem(l, R_SP, -(int)size);
    lower_op(l, IR_MOV, size, ir_m(0), value, IR_NONE)->imm = l->i->imm;
    move_sp(l, R_SP, -(int)size);
    return true;
}

static bool push_Z(Lower *l, unsigned code, unsigned size)
{
    (void)code;
    return push(l, size, l->i->reg);
}
static bool push_I(Lower *l, unsigned code, unsigned size)
{
    (void)code;
    return push(l, size, IR_IMM);
}

static bool push_E(Lower *l, unsigned code, unsigned size)
{
    (void)code;
    if (!stack_size(l, size) || !l->i->mem)
        return stack_size(l, size) && push(l, size, l->i->rm);
    if (!lower_ref(l, IR_REF_R, size, 0))
        return false;
    lower_op(l, IR_MOV, size, ir_t(1), ir_m(0), IR_NONE);
    return push(l, size, ir_t(1));
}

static bool pop_Z(Lower *l, unsigned code, unsigned size)
{
    (void)code;
    if (!stack_size(l, size))
        return false;
    lower_op(l, IR_REF_R, size, ir_t(0), IR_NONE, IR_NONE)->mem = stack_mem(l, R_SP, 0);
    move_sp(l, R_SP, size);
    lower_op(l, IR_MOV, size, l->i->reg, ir_m(0), IR_NONE);
    return true;
}

static bool leave(Lower *l, unsigned code, unsigned size)
{
    (void)code;
    if (!stack_size(l, size))
        return false;
    lower_op(l, IR_REF_R, size, ir_t(0), IR_NONE, IR_NONE)->mem = stack_mem(l, R_BP, 0);
    move_sp(l, R_BP, size);
    lower_op(l, IR_MOV, size, R_BP, ir_m(0), IR_NONE);
    return true;
}

/* ---- shifts ---- */

static bool is_rotate(unsigned code) { return code == IR_ROL || code == IR_ROR; }

static bool shift_by(Lower *l, unsigned code, unsigned size, unsigned count)
{
    count &= size == 8 ? 63 : 31;
    if (!count || (is_rotate(code) && (count == 1 || count % (size * 8) == 0)))
        return false;
    if (!lower_to_rm(l, code, size, IR_IMM))
        return false;
    l->u->op[l->u->count - 1].imm = count;
    return true;
}
static bool shift_I(Lower *l, unsigned code, unsigned size) { return shift_by(l, code, size, l->i->imm & 0xff); }
static bool shift_1(Lower *l, unsigned code, unsigned size) { return shift_by(l, code, size, 1); }
static bool shift_CL(Lower *l, unsigned code, unsigned size)
{
    return !l->i->mem && !(is_rotate(code) && l->i->rm == R_CX) && lower_to_rm(l, code, size, R_CX);
}

static bool shift_double(Lower *l, unsigned code, unsigned size)
{
    const Insn *i = l->i;
    unsigned count = i->imm & (size == 8 ? 63 : 31);
    if (i->mem || size == 2 || !count)
        return false;
    lower_op_imm(l, code, size, i->rm, i->reg, count);
    return true;
}

/* ---- multiplication, division, bits ---- */

static bool imul_GE(Lower *l, unsigned code, unsigned size) { return alu_GE(l, code, size); }

static bool imul_GEI(Lower *l, unsigned code, unsigned size)
{
    IrArg rm = lower_rm(l, size);
    if (rm == IR_NONE)
        return false;
    lower_op_imm(l, code, size, l->i->reg, rm, l->i->imm);
    return true;
}

static bool wide(Lower *l, unsigned code, unsigned size)
{
    IrArg rm = lower_rm(l, size);
    if (rm == IR_NONE || size < 4)
        return false;
    lower_op(l, code, size, IR_NONE, rm, IR_NONE);
    return true;
}

/* BT to BTC: with memory, only by an immediate (a register's bit may lie anywhere). */
static bool bit_test(Lower *l, unsigned code, unsigned size, IrArg bit)
{
    const Insn *i = l->i;
    IrArg place = i->mem ? ir_m(0) : i->rm;
    if (i->mem && (bit != IR_IMM || !lower_ref(l, code == IR_BT ? IR_REF_R : IR_REF_W, size, 0)))
        return false;
    IrOp *op = lower_op(l, code, size, code == IR_BT ? IR_NONE : place, place, bit);
    op->imm = i->imm & (size * 8 - 1);
    op->lock = i->lock && l->u->parallel;
    return true;
}
static bool bit_test_G(Lower *l, unsigned code, unsigned size) { return bit_test(l, code, size, l->i->reg); }
static bool bit_test_I(Lower *l, unsigned code, unsigned size) { return bit_test(l, code, size, IR_IMM); }

static bool count_GE(Lower *l, unsigned code, unsigned size)
{
    IrArg rm = lower_rm(l, size);
    if (rm == IR_NONE || size == 2)
        return false;
    lower_op(l, code, size, l->i->reg, rm, IR_NONE);
    return true;
}

static bool crc32(Lower *l, unsigned code, unsigned size)
{
    IrArg rm = lower_rm(l, size);
    if (rm == IR_NONE || ir_is_h(rm))
        return false;
    lower_op(l, code, l->i->osz == SZ64 ? 8 : 4, l->i->reg, rm, IR_NONE)->from = size;
    return true;
}

/* ---- by condition ---- */

static bool setcc(Lower *l, unsigned cc, unsigned size)
{
    IrArg place = l->i->mem ? ir_m(0) : lower_reg(l->i->rm, 1);
    (void)size;
    if (ir_is_h(place) || (l->i->mem && !lower_ref(l, IR_REF_W, 1, 0)))
        return false;
    lower_op(l, IR_SETCC, 1, place, IR_NONE, IR_NONE)->cc = cc;
    return true;
}

static bool cmov(Lower *l, unsigned cc, unsigned size)
{
    IrArg rm = lower_rm(l, size);
    if (rm == IR_NONE)
        return false;
    lower_op(l, IR_CMOV, size, l->i->reg, rm, IR_NONE)->cc = cc;
    return true;
}

#define ALU(name)                                                                                                      \
    [ROW_##name##_EbGb] = { alu_EG, IR_##name, 1 }, [ROW_##name##_EvGv] = { alu_EG, IR_##name, 0 },                    \
    [ROW_##name##_GbEb] = { alu_GE, IR_##name, 1 }, [ROW_##name##_GvEv] = { alu_GE, IR_##name, 0 },                    \
    [ROW_##name##_ALIb] = { alu_AI, IR_##name, 1 }, [ROW_##name##_rAXIz] = { alu_AI, IR_##name, 0 },                   \
    [ROW_##name##_EbIb] = { alu_EI, IR_##name, 1 }, [ROW_##name##_EvIz] = { alu_EI, IR_##name, 0 },                    \
    [ROW_##name##_EvIb] = { alu_EI, IR_##name, 0 },

#define SHIFT(name)                                                                                                    \
    [ROW_##name##_EbIb] = { shift_I, IR_##name, 1 }, [ROW_##name##_EvIb] = { shift_I, IR_##name, 0 },                  \
    [ROW_##name##_Eb1] = { shift_1, IR_##name, 1 }, [ROW_##name##_Ev1] = { shift_1, IR_##name, 0 },                    \
    [ROW_##name##_EbCL] = { shift_CL, IR_##name, 1 }, [ROW_##name##_EvCL] = { shift_CL, IR_##name, 0 },

#define CONDITION(name, number)                                                                                        \
    [ROW_SET##name##_Eb] = { setcc, number, 1 }, [ROW_CMOV##name##_GvEv] = { cmov, number, 0 },

const Lowering lower_int_rows[ROW_COUNT] = {
    ALU(ADD) ALU(ADC) ALU(SUB) ALU(SBB) ALU(AND) ALU(OR) ALU(XOR) ALU(CMP)
    [ROW_TEST_EbGb] = { alu_EG, IR_TEST, 1 },
    [ROW_TEST_EvGv] = { alu_EG, IR_TEST, 0 },
    [ROW_TEST_ALIb] = { alu_AI, IR_TEST, 1 },
    [ROW_TEST_rAXIz] = { alu_AI, IR_TEST, 0 },
    [ROW_TEST_EbIb] = { alu_EI, IR_TEST, 1 },
    [ROW_TEST_EvIz] = { alu_EI, IR_TEST, 0 },
    [ROW_INC_Eb] = { unary, IR_INC, 1 },
    [ROW_INC_Ev] = { unary, IR_INC, 0 },
    [ROW_DEC_Eb] = { unary, IR_DEC, 1 },
    [ROW_DEC_Ev] = { unary, IR_DEC, 0 },
    [ROW_INC_Zv] = { unary_Z, IR_INC, 0 },
    [ROW_DEC_Zv] = { unary_Z, IR_DEC, 0 },
    [ROW_NEG_Eb] = { unary, IR_NEG, 1 },
    [ROW_NEG_Ev] = { unary, IR_NEG, 0 },
    [ROW_NOT_Eb] = { unary, IR_NOT, 1 },
    [ROW_NOT_Ev] = { unary, IR_NOT, 0 },

    [ROW_MOV_EbGb] = { mov_EG, IR_MOV, 1 },
    [ROW_MOV_EvGv] = { mov_EG, IR_MOV, 0 },
    [ROW_MOV_GbEb] = { mov_GE, IR_MOV, 1 },
    [ROW_MOV_GvEv] = { mov_GE, IR_MOV, 0 },
    [ROW_MOV_EbIb] = { mov_EI, IR_MOV, 1 },
    [ROW_MOV_EvIz] = { mov_EI, IR_MOV, 0 },
    [ROW_MOV_ZbIb] = { mov_ZI, IR_MOV, 1 },
    [ROW_MOV_ZvIv] = { mov_ZI, IR_MOV, 0 },
    [ROW_MOVZX_GvEb] = { extend, IR_ZEXT, 1 },
    [ROW_MOVZX_GvEw] = { extend, IR_ZEXT, 2 },
    [ROW_MOVSX_GvEb] = { extend, IR_SEXT, 1 },
    [ROW_MOVSX_GvEw] = { extend, IR_SEXT, 2 },
    [ROW_MOVSXD_GvEz] = { extend, IR_SEXT, 4 },
    [ROW_CBW] = { cbw, IR_SEXT, 2 },
    [ROW_CWDE] = { cbw, IR_SEXT, 4 },
    [ROW_CDQE] = { cbw, IR_SEXT, 8 },
    [ROW_CWD] = { plain, IR_CWD, 2 },
    [ROW_CDQ] = { plain, IR_CWD, 4 },
    [ROW_CQO] = { plain, IR_CWD, 8 },
    [ROW_NOP] = { nop, 0, 1 },
    [ROW_NOP_Ev] = { nop, 0, 1 },
    [ROW_NOP_1E] = { nop, 0, 1 },
    [ROW_LEA_GvM] = { lea, IR_LEA, 0 },
    [ROW_BSWAP_Zv] = { bswap, IR_BSWAP, 0 },
    [ROW_MOVBE_GvMv] = { movbe_load, IR_BSWAP, 0 },
    [ROW_MOVBE_MvGv] = { movbe_store, IR_BSWAP, 0 },
    [ROW_XCHG_EbGb] = { xchg_EG, IR_XCHG, 1 },
    [ROW_XCHG_EvGv] = { xchg_EG, IR_XCHG, 0 },
    [ROW_XCHG_ZvrAX] = { xchg_ZA, IR_XCHG, 0 },
    [ROW_XADD_EbGb] = { exchange_M, IR_XADD, 1 },
    [ROW_XADD_EvGv] = { exchange_M, IR_XADD, 0 },
    [ROW_CMPXCHG_EbGb] = { exchange_M, IR_CMPXCHG, 1 },
    [ROW_CMPXCHG_EvGv] = { exchange_M, IR_CMPXCHG, 0 },

    [ROW_PUSH_Zv] = { push_Z, 0, 0 },
    [ROW_PUSH_Iz] = { push_I, 0, 0 },
    [ROW_PUSH_Ib] = { push_I, 0, 0 },
    [ROW_PUSH_Ev] = { push_E, 0, 0 },
    [ROW_POP_Zv] = { pop_Z, 0, 0 },
    [ROW_LEAVE] = { leave, 0, 0 },

    SHIFT(SHL) SHIFT(SHR) SHIFT(SAR) SHIFT(ROL) SHIFT(ROR)
    [ROW_SHLD_EvGvIb] = { shift_double, IR_SHLD, 0 },
    [ROW_SHRD_EvGvIb] = { shift_double, IR_SHRD, 0 },

    [ROW_IMUL_GvEv] = { imul_GE, IR_IMUL, 0 },
    [ROW_IMUL_GvEvIz] = { imul_GEI, IR_IMUL, 0 },
    [ROW_IMUL_GvEvIb] = { imul_GEI, IR_IMUL, 0 },
    [ROW_MUL_Ev] = { wide, IR_MULW, 0 },
    [ROW_IMUL_Ev] = { wide, IR_IMULW, 0 },
    [ROW_DIV_Ev] = { wide, IR_DIVW, 0 },
    [ROW_IDIV_Ev] = { wide, IR_IDIVW, 0 },
    [ROW_BT_EvGv] = { bit_test_G, IR_BT, 0 },
    [ROW_BT_EvIb] = { bit_test_I, IR_BT, 0 },
    [ROW_BTS_EvGv] = { bit_test_G, IR_BTS, 0 },
    [ROW_BTS_EvIb] = { bit_test_I, IR_BTS, 0 },
    [ROW_BTR_EvGv] = { bit_test_G, IR_BTR, 0 },
    [ROW_BTR_EvIb] = { bit_test_I, IR_BTR, 0 },
    [ROW_BTC_EvGv] = { bit_test_G, IR_BTC, 0 },
    [ROW_BTC_EvIb] = { bit_test_I, IR_BTC, 0 },
    [ROW_BSF_GvEv] = { count_GE, IR_BSF, 0 },
    [ROW_BSR_GvEv] = { count_GE, IR_BSR, 0 },
    [ROW_POPCNT_GvEv] = { count_GE, IR_POPCNT, 0 },
    [ROW_TZCNT_GvEv] = { count_GE, IR_TZCNT, 0 },
    [ROW_LZCNT_GvEv] = { count_GE, IR_LZCNT, 0 },
    [ROW_CRC32_GdEb] = { crc32, IR_CRC32, 1 },
    [ROW_CRC32_GdEv] = { crc32, IR_CRC32, 0 },
    [ROW_CLC] = { plain, IR_CLC, 1 },
    [ROW_STC] = { plain, IR_STC, 1 },

    CONDITION(O, 0) CONDITION(NO, 1) CONDITION(B, 2) CONDITION(AE, 3) CONDITION(E, 4) CONDITION(NE, 5) CONDITION(BE, 6)
    CONDITION(A, 7) CONDITION(S, 8) CONDITION(NS, 9) CONDITION(P, 10) CONDITION(NP, 11) CONDITION(L, 12)
    CONDITION(GE, 13) CONDITION(LE, 14) CONDITION(G, 15)
};
