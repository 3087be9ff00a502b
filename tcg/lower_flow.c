/* Lowerings of branches (cpu/branch.c). */
#include "tcg/lower.h"

/* With CET in use at this privilege the functions of cpu/branch.c do it. */
static bool shadowed(const Lower *l) { return l->u->block->key & KEY_SHSTK; }
static bool tracked(const Lower *l) { return l->u->block->key & KEY_IBT; }

/* Widths that a near branch can have here: 64 bits in 64-bit code, 32 bits in 32-bit code. */
static bool flow_size(const Lower *l, unsigned size) { return size == (lower_code64(l) ? 8 : 4); }

static unsigned flow_bytes(const Lower *l) { return lower_code64(l) ? 8 : 4; }

/* The target of a relative branch, as an offset in the page; it may lie outside. */
static int64_t target_offset(const Lower *l) { return (int64_t)l->offset + l->i->len + l->i->imm; }

static bool target_near(const Lower *l) { return target_offset(l) == (int32_t)target_offset(l); }

static bool jcc(Lower *l, unsigned cc, unsigned size)
{
    if (!flow_size(l, size) || !target_near(l))
        return false;
    IrOp *op = lower_op(l, IR_JCC, size, IR_NONE, IR_NONE, IR_NONE);
    op->cc = cc;
    op->imm = target_offset(l);
    return true;
}

static bool jmp(Lower *l, unsigned code, unsigned size)
{
    (void)code;
    if (!flow_size(l, size) || !target_near(l))
        return false;
    lower_op(l, IR_EXIT, size, IR_NONE, IR_NONE, IR_NONE)->imm = target_offset(l);
    return l->ends = true;
}

static IrMem stack_top(const Lower *l, int32_t disp)
{
    return (IrMem){ .base = R_SP, .index = R_NONE, .seg = SEG_SS, .disp = disp, .bits = flow_bytes(l) * 8 };
}

static void move_sp(Lower *l, int32_t by)
{
    lower_op(l, IR_LEA, flow_bytes(l), R_SP, IR_NONE, IR_NONE)->mem = stack_top(l, by);
}

static void find(Lower *l, unsigned size) { lower_op(l, IR_FIND, size, IR_NONE, ir_t(0), IR_NONE); }

static bool jump(Lower *l, unsigned size)
{
    lower_op(l, IR_JUMP, size, IR_NONE, IR_NONE, IR_NONE);
    return l->ends = true;
}

/* Pushes the address of the next instruction. */
static void push_next(Lower *l, unsigned size)
{
    lower_op(l, IR_REF_W, size, ir_t(0), IR_NONE, IR_NONE)->mem = stack_top(l, -(int)size);
    lower_op(l, IR_PC, size, ir_t(1), IR_NONE, IR_NONE)->imm = l->offset + l->i->len;
    lower_op(l, IR_MOV, size, ir_m(0), ir_t(1), IR_NONE);
    move_sp(l, -(int)size);
}

static bool call(Lower *l, unsigned code, unsigned size)
{
    (void)code;
    if (!flow_size(l, size) || !target_near(l) || shadowed(l))
        return false;
    push_next(l, size);
    lower_op(l, IR_EXIT, size, IR_NONE, IR_NONE, IR_NONE)->imm = target_offset(l);
    return l->ends = true;
}

/* The target of JMP or CALL Ev in T0. */
static bool load_target(Lower *l, unsigned size)
{
    IrArg rm = flow_size(l, size) ? lower_rm(l, size) : IR_NONE;
    if (rm == IR_NONE)
        return false;
    lower_op(l, IR_MOV, size, ir_t(0), rm, IR_NONE);
    return true;
}

static bool jmp_E(Lower *l, unsigned code, unsigned size)
{
    (void)code;
    if (tracked(l) || !load_target(l, size))
        return false;
    find(l, size);
    return jump(l, size);
}

static bool call_E(Lower *l, unsigned code, unsigned size)
{
    (void)code;
    if (tracked(l) || shadowed(l) || !load_target(l, size))
        return false;
    find(l, size);
    push_next(l, size);
    return jump(l, size);
}

static bool ret_dropping(Lower *l, unsigned size, unsigned drop)
{
    if (!flow_size(l, size) || shadowed(l))
        return false;
    lower_op(l, IR_REF_R, size, ir_t(0), IR_NONE, IR_NONE)->mem = stack_top(l, 0);
    lower_op(l, IR_MOV, size, ir_t(0), ir_m(0), IR_NONE);
    find(l, size);
    move_sp(l, size + drop);
    return jump(l, size);
}
static bool ret(Lower *l, unsigned code, unsigned size)
{
    (void)code;
    return ret_dropping(l, size, 0);
}
static bool ret_I(Lower *l, unsigned code, unsigned size)
{
    (void)code;
    return ret_dropping(l, size, l->i->imm & 0xffff);
}

/* ENDBRANCH does something only behind a tracked branch. */
static bool endbr(Lower *l, unsigned code, unsigned size)
{
    (void)code, (void)size;
    return !tracked(l);
}

#define JCC(name, number) [ROW_J##name##_Jb] = { jcc, number, 0 }, [ROW_J##name##_Jz] = { jcc, number, 0 },

const Lowering lower_flow_rows[ROW_COUNT] = {
    JCC(O, 0) JCC(NO, 1) JCC(B, 2) JCC(AE, 3) JCC(E, 4) JCC(NE, 5) JCC(BE, 6) JCC(A, 7) JCC(S, 8) JCC(NS, 9) JCC(P, 10)
    JCC(NP, 11) JCC(L, 12) JCC(GE, 13) JCC(LE, 14) JCC(G, 15)
    [ROW_JMP_Jb] = { jmp, 0, 0 },
    [ROW_JMP_Jz] = { jmp, 0, 0 },
    [ROW_JMP_Ev] = { jmp_E, 0, 0 },
    [ROW_CALL_Jz] = { call, 0, 0 },
    [ROW_CALL_Ev] = { call_E, 0, 0 },
    [ROW_RET] = { ret, 0, 0 },
    [ROW_RET_Iw] = { ret_I, 0, 0 },
    [ROW_ENDBR64] = { endbr, 0, 0 },
    [ROW_ENDBR32] = { endbr, 0, 0 },
};
