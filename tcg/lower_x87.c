/*
 * Lowerings of x87 instructions (cpu/x87*.c).  As with vectors, the back end knows what a row does; here is told what
 * memory it works on.
 *
 * Not here: transcendental functions and remainders, packed decimals, FFREE, and loading or storing of state.
 */
#include "tcg/lower.h"

static bool registers(Lower *l, unsigned code, unsigned cc)
{
    lower_op(l, code, 16, IR_NONE, IR_NONE, IR_NONE)->cc = cc & 15;
    return true;
}

/* The operand, and besides its address, which FDP keeps.  Ten bytes are checked as 16. */
static bool memory(Lower *l, unsigned code, unsigned size)
{
    bool writes = code == IR_X87_W;
    IrMem m;
    if (!lower_mem(l, &m) || !lower_ref(l, writes ? IR_REF_W : IR_REF_R, size == 10 ? 16 : size, 0))
        return false;
    lower_op(l, code, size, writes ? ir_m(0) : IR_NONE, writes ? IR_NONE : ir_m(0), IR_NONE)->mem = m;
    return true;
}

/* Control and status words. */
static bool load_word(Lower *l, unsigned code, unsigned size)
{
    if (!lower_ref(l, IR_REF_R, size, 0))
        return false;
    lower_op(l, code, size, IR_NONE, ir_m(0), IR_NONE);
    return true;
}
static bool store_word(Lower *l, unsigned code, unsigned size)
{
    if (!lower_ref(l, IR_REF_W, size, 0))
        return false;
    lower_op(l, code, size, ir_m(0), IR_NONE, IR_NONE);
    return true;
}
static bool fnstsw_ax(Lower *l, unsigned code, unsigned size)
{
    lower_op(l, code, size, R_AX, IR_NONE, IR_NONE);
    return true;
}

#define REG(row) [ROW_##row] = { registers, IR_X87, 16 },
#define READ(row, size) [ROW_##row] = { memory, IR_X87_R, size },
#define WRITE(row, size) [ROW_##row] = { memory, IR_X87_W, size },
#define FLAGS(row) [ROW_##row] = { registers, IR_X87_CMP, 16 },
#define MOVE_IF(row, cc) [ROW_##row] = { registers, IR_X87_CMOV, 16 + cc },
#define BY_MEMORY(name) READ(F##name##_Md, 4) READ(F##name##_Mq, 8) READ(FI##name##_Md, 4) READ(FI##name##_Mw, 2)
#define ARITHMETIC(name) BY_MEMORY(name) REG(F##name##_st0sti) REG(F##name##_stist0) REG(F##name##P_stist0)

const Lowering lower_x87_rows[ROW_COUNT] = {
    ARITHMETIC(ADD) ARITHMETIC(MUL) ARITHMETIC(SUB) ARITHMETIC(SUBR) ARITHMETIC(DIV) ARITHMETIC(DIVR)
    BY_MEMORY(COM) BY_MEMORY(COMP)
    REG(FCOM_sti) REG(FCOMP_sti) REG(FCOMPP) REG(FUCOM_sti) REG(FUCOMP_sti) REG(FUCOMPP) REG(FCOM2) REG(FCOMP3)
    REG(FCOMP5) REG(FTST) REG(FXAM) FLAGS(FUCOMI) FLAGS(FCOMI) FLAGS(FUCOMIP) FLAGS(FCOMIP)
    REG(FCHS) REG(FABS) REG(FSQRT) REG(FRNDINT)

    READ(FLD_Md, 4) READ(FLD_Mq, 8) READ(FLD_Mt, 10) READ(FILD_Mw, 2) READ(FILD_Md, 4) READ(FILD_Mq, 8)
    WRITE(FST_Md, 4) WRITE(FSTP_Md, 4) WRITE(FST_Mq, 8) WRITE(FSTP_Mq, 8) WRITE(FSTP_Mt, 10)
    WRITE(FIST_Mw, 2) WRITE(FISTP_Mw, 2) WRITE(FIST_Md, 4) WRITE(FISTP_Md, 4) WRITE(FISTP_Mq, 8)
    WRITE(FISTTP_Mw, 2) WRITE(FISTTP_Md, 4) WRITE(FISTTP_Mq, 8)
    REG(FLD_sti) REG(FST_sti) REG(FSTP_sti) REG(FSTP8) REG(FSTP9) REG(FXCH) REG(FXCH4) REG(FXCH7)
    REG(FLD1) REG(FLDL2T) REG(FLDL2E) REG(FLDPI) REG(FLDLG2) REG(FLDLN2) REG(FLDZ) REG(FDECSTP) REG(FINCSTP) REG(FNOP)
    REG(WAIT)
    MOVE_IF(FCMOVB, 2) MOVE_IF(FCMOVNB, 3) MOVE_IF(FCMOVE, 4) MOVE_IF(FCMOVNE, 5) MOVE_IF(FCMOVBE, 6)
    MOVE_IF(FCMOVNBE, 7) MOVE_IF(FCMOVU, 10) MOVE_IF(FCMOVNU, 11)

    [ROW_FLDCW] = { load_word, IR_X87_LDCW, 2 }, [ROW_FNSTCW] = { store_word, IR_X87_CW, 2 },
    [ROW_FNSTSW_Mw] = { store_word, IR_X87_SW, 2 }, [ROW_FNSTSW_AX] = { fnstsw_ax, IR_X87_SW, 2 },
};
