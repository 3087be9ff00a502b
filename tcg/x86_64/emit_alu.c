/* Integer operations (emit.h). */
#include "tcg/record.h"
#include "tcg/x86_64/emit.h"

static unsigned bits_of(const IrOp *op) { return op->size * 8; }

/* Whether a guest register has to be fetched from Cpu.gpr. */
static bool in_memory(IrArg x) { return ir_is_g(x) && host_of_guest[x] == A_NONE; }

AsmMem emit_place(const Emit *e, IrArg x)
{
    if (ir_is_t(x))
        return asm_reg(ir_number(x) ? H_T1 : H_T0);
    if (ir_is_m(x))
        return asm_mem(ir_number(x) ? H_T1 : H_T0, e->op->at);
    return in_memory(x) ? asm_mem(H_CPU, offsetof(Cpu, gpr) + x * 8) : asm_reg(host_of_guest[x]);
}

static void load_sized(Emit *e, AsmReg to, AsmMem from, unsigned size)
{
    if (size < 4)
        asm_movzx_rm(&e->a, 32, size * 8, to, from);
    else
        asm_mov_rm(&e->a, size * 8, to, from);
}

/* AH to BH: the flags are lost. */
static void read_high(Emit *e, IrArg x, AsmReg to)
{
    asm_mov_rr(&e->a, 32, to, host_of_guest[x & 3]);
    asm_shift_ri(&e->a, A_SHR, 32, to, 8);
    flags_clobber(e);
}

/* The low byte of T1 to AH and so on, which are turned down to the low byte and back.  The flags are lost. */
static void put_high(Emit *e, IrArg x)
{
    AsmReg reg = host_of_guest[x & 3];
    asm_shift_ri(&e->a, A_ROR, 64, reg, 8);
    asm_mov_rr(&e->a, 8, reg, H_T1);
    asm_shift_ri(&e->a, A_ROL, 64, reg, 8);
    flags_clobber(e);
}

AsmReg emit_read(Emit *e, IrArg x, unsigned size, AsmReg scratch)
{
    if (x == IR_IMM) {
        asm_mov_ri(&e->a, 64, scratch, e->op->imm);
        return scratch;
    }
    if (ir_is_h(x)) {
        read_high(e, x, scratch);
        return scratch;
    }
    AsmMem place = emit_place(e, x);
    if (place.kind == ASM_MEM_REG)
        return place.base;
    load_sized(e, scratch, place, size); /* no more than was stored: or the store must first reach the cache */
    return scratch;
}

void emit_write(Emit *e, IrArg x, unsigned size, AsmReg from)
{
    AsmMem place = emit_place(e, x);
    if (place.kind == ASM_MEM_REG) {
        if (place.base != from || size == 4)
            asm_mov_rr(&e->a, size * 8, place.base, from);
        return;
    }
    if (in_memory(x) && size == 4) { /* in one store, which a later load of 8 bytes can take its data from */
        asm_mov_rr(&e->a, 32, from, from);
        size = 8;
    }
    asm_mov_mr(&e->a, size * 8, place, from);
}

/*
 * The register to compute in that ends up in dst: its own, or a scratch that finish_in() then stores.  It begins with
 * the value of `from`, which is often dst itself.
 */
static AsmReg begin_in(Emit *e, IrArg dst, IrArg from, AsmReg scratch)
{
    AsmMem place = emit_place(e, dst);
    AsmReg reg = place.kind == ASM_MEM_REG ? place.base : scratch;
    if (place.kind == ASM_MEM_REG && dst == from)
        return reg;
    AsmReg value = emit_read(e, from, e->op->size, reg);
    if (value != reg)
        asm_mov_rr(&e->a, 64, reg, value);
    return reg;
}

static void finish_in(Emit *e, IrArg dst, AsmReg reg)
{
    if (emit_place(e, dst).kind != ASM_MEM_REG)
        emit_write(e, dst, e->op->size, reg);
}

static void alu_by(Emit *e, AsmAlu alu, AsmReg reg, IrArg b)
{
    unsigned bits = bits_of(e->op);
    if (b == IR_IMM)
        asm_alu_ri(&e->a, alu, bits, reg, e->op->imm);
    else
        asm_alu_rm(&e->a, alu, bits, reg, emit_place(e, b));
}

/* ---- ADD to XOR ---- */

static bool is_logic(AsmAlu alu) { return alu == A_AND || alu == A_OR || alu == A_XOR; }

/* [T0] = [T0] op b with the result in a register as well, which a recipe needs. */
static void alu_memory_seen(Emit *e, AsmAlu alu)
{
    const IrOp *op = e->op;
    RecipeArg b = { .where = ARG_NONE };
    load_sized(e, H_T1, emit_place(e, op->dst), op->size);
    alu_by(e, alu, H_T1, op->b);
    asm_mov_mr(&e->a, bits_of(op), emit_place(e, op->dst), H_T1);
    RecipeArg a = flags_slot_a(e, H_T1);
    if (!is_logic(alu))
        b = flags_keep_b(e, op->b);
    flags_produced(e, is_logic(alu) ? FLAGS_LOGIC : alu == A_ADD ? FLAGS_ADD : FLAGS_SUB, a, b);
}

/* [T0] = [T0] op b */
static void alu_memory(Emit *e, AsmAlu alu)
{
    const IrOp *op = e->op;
    if (op->flags_seen && !op->lock && (is_logic(alu) || alu == A_ADD || alu == A_SUB)) {
        alu_memory_seen(e, alu);
        return;
    }
    if (op->b == IR_IMM) {
        if (op->lock)
            asm_lock(&e->a);
        asm_alu_mi(&e->a, alu, bits_of(op), emit_place(e, op->dst), op->imm);
    } else {
        AsmReg b = emit_read(e, op->b, op->size, H_T1);
        if (op->lock)
            asm_lock(&e->a);
        asm_alu_mr(&e->a, alu, bits_of(op), emit_place(e, op->dst), b);
    }
    flags_produced_image(e);
}

/* A memory operand whose value the recipe needs is loaded to T0, in place of the pointer. */
static IrArg load_for_recipe(Emit *e, IrArg x)
{
    if (!ir_is_m(x) || !e->op->flags_seen)
        return x;
    load_sized(e, H_T0, emit_place(e, x), e->op->size);
    return ir_t(0);
}

static void alu_register(Emit *e, AsmAlu alu)
{
    const IrOp *op = e->op;
    bool sum = alu == A_ADD || alu == A_SUB;
    IrArg b = sum ? load_for_recipe(e, op->b) : op->b;
    RecipeArg kept = { .where = ARG_SLOT };
    if (sum && op->flags_seen)
        kept = b == op->dst ? flags_save_b(e, b) : flags_keep_b(e, b);
    AsmReg reg = begin_in(e, op->dst, op->a, H_T1);
    alu_by(e, alu, reg, b);
    finish_in(e, op->dst, reg);
    if (!op->flags_seen)
        flags_produced_unseen(e);
    else if (sum)
        flags_produced(e, alu == A_ADD ? FLAGS_ADD : FLAGS_SUB, flags_keep_a(e, op->dst), kept);
    else if (is_logic(alu))
        flags_produced(e, FLAGS_LOGIC, flags_keep_a(e, op->dst), (RecipeArg){ .where = ARG_NONE });
    else
        flags_produced_image(e);
}

/* AND, OR, XOR of AH to BH with an immediate. */
static void alu_high(Emit *e, AsmAlu alu)
{
    const IrOp *op = e->op;
    RecipeArg none = { .where = ARG_NONE };
    read_high(e, op->dst, H_T1);
    asm_alu_ri(&e->a, alu, 8, H_T1, op->imm);
    if (op->flags_seen || op->flags_next)
        flags_produced(e, FLAGS_LOGIC, flags_slot_a(e, H_T1), none);
    else
        flags_produced_unseen(e);
    put_high(e, op->dst);
}

static void emit_alu(Emit *e, AsmAlu alu)
{
    if (ir_is_h(e->op->dst)) {
        alu_high(e, alu);
        return;
    }
    if (alu == A_ADC || alu == A_SBB)
        flags_to_host(e, F_CF);
    if (ir_is_m(e->op->dst))
        alu_memory(e, alu);
    else
        alu_register(e, alu);
}

/* ---- CMP and TEST ---- */

static void compare_unseen(Emit *e)
{
    const IrOp *op = e->op;
    bool test = op->code == IR_TEST;
    IrArg a = op->a, b = op->b;
    if (ir_is_h(a) || (op->b != IR_IMM && emit_place(e, a).kind != ASM_MEM_REG)) {
        emit_read(e, a, op->size, H_T1); /* has no register of its own */
        a = ir_t(1);
    }
    if (ir_is_h(b)) {
        emit_read(e, b, op->size, H_T0);
        b = ir_t(0);
    }
    if (b == IR_IMM && test)
        asm_test_mi(&e->a, bits_of(op), emit_place(e, a), op->imm);
    else if (b == IR_IMM)
        asm_alu_mi(&e->a, A_CMP, bits_of(op), emit_place(e, a), op->imm);
    else if (test)
        asm_test_mr(&e->a, bits_of(op), emit_place(e, b), emit_place(e, a).base);
    else
        asm_alu_rm(&e->a, A_CMP, bits_of(op), emit_place(e, a).base, emit_place(e, b));
    flags_produced_unseen(e);
}

static void emit_cmp(Emit *e)
{
    const IrOp *op = e->op;
    IrArg b = op->b;
    RecipeArg kept_a, kept_b;
    AsmReg a;
    if (ir_is_m(b) || ir_is_h(b)) {
        AsmReg value = emit_read(e, b, op->size, H_T0);
        kept_b = flags_slot_b(e, value);
        b = ir_t(0);
    } else {
        kept_b = flags_keep_b(e, b);
    }
    a = emit_read(e, op->a, op->size, H_T1);
    kept_a = ir_is_g(op->a) ? flags_keep_a(e, op->a) : flags_slot_a(e, a);
    if (in_memory(op->a)) /* keeping another operand may have used the scratch */
        a = emit_read(e, op->a, op->size, H_T1);
    alu_by(e, A_CMP, a, b);
    flags_produced(e, FLAGS_CMP, kept_a, kept_b);
}

/* The result of TEST is computed where a recipe needs it: AND sets the same flags. */
static void emit_test(Emit *e)
{
    const IrOp *op = e->op;
    RecipeArg none = { .where = ARG_NONE };
    if (op->a == op->b && ir_is_g(op->a)) {
        AsmReg reg = emit_read(e, op->a, op->size, H_T1);
        asm_test_rr(&e->a, bits_of(op), reg, reg);
        flags_produced(e, FLAGS_LOGIC, flags_keep_a(e, op->a), none);
        return;
    }
    IrArg b = op->b;
    if (ir_is_h(b) || (ir_is_m(b) && ir_is_h(op->a))) {
        asm_mov_rr(&e->a, 64, H_T0, emit_read(e, b, op->size, H_T0));
        b = ir_t(0);
    }
    AsmReg a = emit_read(e, op->a, op->size, H_T1);
    if (a != H_T1)
        asm_mov_rr(&e->a, 64, H_T1, a);
    alu_by(e, A_AND, H_T1, b);
    flags_produced(e, FLAGS_LOGIC, flags_slot_a(e, H_T1), none);
}

/* ---- INC, DEC, NEG, NOT ---- */

/* Of memory: in a register, so that the result is known; atomically by way of XADD. */
static void inc_memory(Emit *e, bool inc)
{
    const IrOp *op = e->op;
    unsigned bits = bits_of(op);
    AsmMem place = emit_place(e, op->dst);
    flags_before_partial(e);
    if (op->lock) {
        asm_mov_ri(&e->a, 64, H_T1, inc ? 1 : -1);
        asm_lock(&e->a);
        asm_xadd_mr(&e->a, bits, place, H_T1);
        flags_clobber(e);
        asm_unary_r(&e->a, inc ? A_INC : A_DEC, bits, H_T1);
    } else {
        load_sized(e, H_T1, place, op->size);
        asm_unary_r(&e->a, inc ? A_INC : A_DEC, bits, H_T1);
        asm_mov_mr(&e->a, bits, place, H_T1);
    }
    flags_produced_top(e, inc ? FLAGS_TOP_INC : FLAGS_TOP_DEC, ir_t(1));
}

static void emit_inc(Emit *e, bool inc)
{
    const IrOp *op = e->op;
    if (ir_is_m(op->dst)) {
        inc_memory(e, inc);
        return;
    }
    AsmReg reg = begin_in(e, op->dst, op->a, H_T1);
    asm_unary_r(&e->a, inc ? A_INC : A_DEC, bits_of(op), reg);
    finish_in(e, op->dst, reg);
    flags_produced_top(e, inc ? FLAGS_TOP_INC : FLAGS_TOP_DEC, op->dst);
}

static void emit_neg(Emit *e)
{
    const IrOp *op = e->op;
    if (ir_is_m(op->dst)) {
        if (op->lock)
            asm_lock(&e->a);
        asm_unary_m(&e->a, A_NEG, bits_of(op), emit_place(e, op->dst));
        flags_produced_image(e);
        return;
    }
    RecipeArg b = op->flags_seen ? flags_save_b(e, op->a) : (RecipeArg){ .where = ARG_SLOT };
    AsmReg reg = begin_in(e, op->dst, op->a, H_T1);
    asm_unary_r(&e->a, A_NEG, bits_of(op), reg);
    finish_in(e, op->dst, reg);
    if (op->flags_seen)
        flags_produced(e, FLAGS_CMP, (RecipeArg){ .where = ARG_IMM, .imm = 0 }, b);
    else
        flags_produced_unseen(e);
}

static void emit_not(Emit *e)
{
    const IrOp *op = e->op;
    if (ir_is_m(op->dst)) {
        if (op->lock)
            asm_lock(&e->a);
        asm_unary_m(&e->a, A_NOT, bits_of(op), emit_place(e, op->dst));
        return;
    }
    AsmReg reg = begin_in(e, op->dst, op->a, H_T1);
    asm_unary_r(&e->a, A_NOT, bits_of(op), reg);
    finish_in(e, op->dst, reg);
}

/* ---- shifts ---- */

static void shift_memory(Emit *e, AsmShift how, bool rotate)
{
    const IrOp *op = e->op;
    if (rotate)
        flags_before_partial(e);
    asm_shift_mi(&e->a, how, bits_of(op), emit_place(e, op->dst), op->imm);
    if (rotate)
        flags_produced_cf(e, F_ARITH & ~F_OF);
    else
        flags_produced_image(e);
}

/* The recipe of a shift by CL is stored beforehand, where the count is not 0: that would leave the flags. */
static void record_shift(Emit *e, unsigned kind)
{
    const IrOp *op = e->op;
    AsmLabel zero = { 0 };
    flags_store(e, &e->flags);
    asm_test_ri(&e->a, 8, A_RCX, op->size == 8 ? 63 : 31);
    asm_jcc8(&e->a, A_Z, &zero);
    asm_mov_mi(&e->a, 32, REC_FIELD(kind), FLAGS_KIND(kind, size_log2(op->size)));
    flags_slot_a(e, emit_read(e, op->a, op->size, H_T1));
    flags_slot_b(e, A_RCX);
    asm_bind(&e->a, &zero);
    e->flags = (Flags){ .recorded = true };
}

static void shift_by_cl(Emit *e, AsmShift how, unsigned kind)
{
    const IrOp *op = e->op;
    if (op->flags_seen)
        record_shift(e, kind);
    AsmReg reg = begin_in(e, op->dst, op->a, H_T1);
    asm_shift_rcl(&e->a, how, bits_of(op), reg);
    finish_in(e, op->dst, reg);
    if (!op->flags_seen)
        flags_produced_unseen(e);
    flags_clobber(e); /* the count may have been 0 */
}

static void emit_shift(Emit *e, AsmShift how, unsigned kind)
{
    const IrOp *op = e->op;
    RecipeArg a = { .where = ARG_SLOT }, b = a;
    if (ir_is_m(op->dst)) {
        shift_memory(e, how, false);
        return;
    }
    if (op->b != IR_IMM) {
        shift_by_cl(e, how, kind);
        return;
    }
    if (op->flags_seen) {
        a = flags_save_a(e, op->a);
        b = flags_save_b(e, op->b);
    }
    AsmReg reg = begin_in(e, op->dst, op->a, H_T1);
    asm_shift_ri(&e->a, how, bits_of(op), reg, op->imm);
    finish_in(e, op->dst, reg);
    if (op->flags_seen)
        flags_produced(e, kind, a, b);
    else
        flags_produced_unseen(e);
}

/* A count of 1 defines OF: it takes the slow path, where flags are asked for.  A count of 0 leaves the flags. */
static void rotate_by_cl(Emit *e, AsmShift how)
{
    const IrOp *op = e->op;
    unsigned mask = op->size == 8 ? 63 : 31;
    AsmLabel zero = { 0 };
    if (op->flags_seen) {
        AsmLabel *slow = emit_slow(e);
        flags_store(e, &e->flags);
        asm_mov_rr(&e->a, 32, H_T1, A_RCX);
        asm_alu_ri(&e->a, A_AND, 32, H_T1, mask);
        asm_alu_ri(&e->a, A_CMP, 32, H_T1, 1);
        asm_jcc(&e->a, A_E, slow);
    }
    AsmReg reg = begin_in(e, op->dst, op->a, H_T1);
    asm_shift_rcl(&e->a, how, bits_of(op), reg);
    finish_in(e, op->dst, reg);
    if (op->flags_seen) {
        asm_setcc_r(&e->a, A_B, H_T0);
        asm_test_ri(&e->a, 8, A_RCX, mask);
        asm_jcc8(&e->a, A_Z, &zero);
        asm_mov_mr(&e->a, 8, REC_FIELD(cf), H_T0);
        asm_mov_mi(&e->a, 8, REC_FIELD(cf_known), 1);
        asm_bind(&e->a, &zero);
        e->flags = (Flags){ .recorded = true };
    }
    flags_clobber(e);
}

/* By an immediate other than 1: OF is undefined, and left alone. */
static void emit_rotate(Emit *e, AsmShift how)
{
    const IrOp *op = e->op;
    if (ir_is_m(op->dst)) {
        shift_memory(e, how, true);
        return;
    }
    if (op->b != IR_IMM) {
        rotate_by_cl(e, how);
        return;
    }
    AsmReg reg = begin_in(e, op->dst, op->a, H_T1);
    asm_shift_ri(&e->a, how, bits_of(op), reg, op->imm);
    finish_in(e, op->dst, reg);
    flags_produced_cf(e, F_ARITH & ~F_OF);
}

static void emit_double_shift(Emit *e, AsmDoubleShift how)
{
    const IrOp *op = e->op;
    AsmReg fill = emit_read(e, op->a, op->size, H_T0);
    AsmReg reg = begin_in(e, op->dst, op->dst, H_T1);
    asm_shxd_rri(&e->a, how, bits_of(op), reg, fill, op->imm);
    finish_in(e, op->dst, reg);
    flags_produced_image(e);
}

/* ---- multiplication and division ---- */

static void emit_imul(Emit *e)
{
    const IrOp *op = e->op;
    bool simple = !ir_is_m(op->a) && !ir_is_m(op->b) && op->flags_seen;
    RecipeArg a = { .where = ARG_SLOT }, b = a;
    if (simple) {
        a = flags_save_a(e, op->a);
        b = flags_save_b(e, op->b);
    }
    if (op->b == IR_IMM) {
        AsmMem place = emit_place(e, op->dst);
        AsmReg reg = place.kind == ASM_MEM_REG ? place.base : H_T1;
        asm_imul_rmi(&e->a, bits_of(op), reg, emit_place(e, op->a), op->imm);
        finish_in(e, op->dst, reg);
    } else {
        AsmReg reg = begin_in(e, op->dst, op->a, H_T1);
        asm_imul_rm(&e->a, bits_of(op), reg, emit_place(e, op->b));
        finish_in(e, op->dst, reg);
    }
    if (simple)
        flags_produced(e, FLAGS_IMUL, a, b);
    else
        flags_produced_image(e);
}

static void emit_wide(Emit *e, AsmUnary how)
{
    asm_unary_m(&e->a, how, bits_of(e->op), emit_place(e, e->op->a));
    if (!e->op->flags_seen)
        flags_produced_unseen(e);
    else if (how == A_MUL)
        flags_produced(e, FLAGS_MULW, flags_keep_a(e, R_DX), (RecipeArg){ .where = ARG_NONE });
    else
        flags_produced(e, FLAGS_IMULW, flags_keep_a(e, R_DX), flags_keep_b(e, R_AX));
}

/* What would divide by zero or overflow takes the slow path: the upper half must be below the divisor. */
static void emit_div(Emit *e)
{
    const IrOp *op = e->op;
    AsmMem by = emit_place(e, op->a);
    AsmLabel *slow = emit_slow(e);
    asm_alu_rm(&e->a, A_CMP, bits_of(op), A_RDX, by);
    asm_jcc(&e->a, A_AE, slow);
    asm_unary_m(&e->a, A_DIV, bits_of(op), by);
    flags_clobber(e);
}

/* Only a dividend that is rAX, sign-extended, by what is neither 0 nor -1 is sure not to overflow. */
static void emit_idiv(Emit *e)
{
    const IrOp *op = e->op;
    unsigned bits = bits_of(op);
    AsmLabel *slow = emit_slow(e);
    AsmReg by = emit_read(e, op->a, op->size, H_T0);
    if (by != H_T0)
        asm_mov_rr(&e->a, 64, H_T0, by);
    asm_lea(&e->a, bits, H_T1, asm_mem(H_T0, 1));
    asm_alu_ri(&e->a, A_CMP, bits, H_T1, 1);
    asm_jcc(&e->a, A_BE, slow);
    asm_mov_rr(&e->a, bits, H_T1, A_RAX);
    asm_shift_ri(&e->a, A_SAR, bits, H_T1, bits - 1);
    asm_alu_rr(&e->a, A_CMP, bits, H_T1, A_RDX);
    asm_jcc(&e->a, A_NE, slow);
    asm_unary_r(&e->a, A_IDIV, bits, H_T0);
    flags_clobber(e);
}

/* ---- bits ---- */

static void emit_bt(Emit *e, AsmBitTest how)
{
    const IrOp *op = e->op;
    bool memory = ir_is_m(op->a);
    if (memory)
        flags_before_partial(e);
    AsmReg reg = memory ? A_NONE : begin_in(e, op->a, op->a, H_T1);
    AsmMem place = memory ? emit_place(e, op->a) : asm_reg(reg);
    if (op->lock)
        asm_lock(&e->a);
    if (op->b == IR_IMM)
        asm_bt_mi(&e->a, how, bits_of(op), place, op->imm);
    else
        asm_bt_mr(&e->a, how, bits_of(op), place, emit_read(e, op->b, op->size, H_T0));
    if (op->dst != IR_NONE && !memory)
        finish_in(e, op->dst, reg);
    flags_produced_cf(e, F_ZF);
}

static void emit_scan(Emit *e, AsmBitCount how)
{
    const IrOp *op = e->op;
    AsmLabel *slow = emit_slow(e);
    AsmReg from = emit_read(e, op->a, op->size, H_T0);
    asm_test_rr(&e->a, bits_of(op), from, from);
    asm_jcc(&e->a, A_Z, slow);
    RecipeArg kept = { .where = ARG_SLOT };
    if (op->flags_seen)
        kept = ir_is_g(op->a) ? flags_save_a(e, op->a) : flags_slot_a(e, from);
    AsmMem place = emit_place(e, op->dst);
    AsmReg reg = place.kind == ASM_MEM_REG ? place.base : H_T1;
    asm_count_rr(&e->a, how, bits_of(op), reg, from);
    finish_in(e, op->dst, reg);
    if (op->flags_seen)
        flags_produced(e, FLAGS_LOGIC, kept, (RecipeArg){ .where = ARG_NONE });
    else
        flags_produced_unseen(e);
    e->flags.host &= F_ZF;
}

/* Where the host has it not, TZCNT would be BSF, and LZCNT BSR: it takes the slow path each time. */
static void emit_count(Emit *e, AsmBitCount count)
{
    const IrOp *op = e->op;
    if (!host_has_row(e, &e->u->block->insn[e->insn]))
        asm_jmp(&e->a, emit_slow(e));
    AsmMem place = emit_place(e, op->dst);
    AsmReg reg = place.kind == ASM_MEM_REG ? place.base : H_T1;
    asm_count_rm(&e->a, count, bits_of(op), reg, emit_place(e, op->a));
    finish_in(e, op->dst, reg);
    flags_produced_image(e);
}

static void emit_crc32(Emit *e)
{
    const IrOp *op = e->op;
    AsmReg reg = begin_in(e, op->dst, op->dst, H_T1);
    asm_crc32_rm(&e->a, op->from * 8, reg, emit_place(e, op->a));
    finish_in(e, op->dst, reg);
}

/* ---- moves ---- */

static void write_high(Emit *e, IrArg x, IrArg from)
{
    AsmReg value = emit_read(e, from, 1, H_T1);
    if (value != H_T1)
        asm_mov_rr(&e->a, 32, H_T1, value);
    put_high(e, x);
}

static void emit_mov(Emit *e)
{
    const IrOp *op = e->op;
    if (ir_is_h(op->dst)) {
        write_high(e, op->dst, op->a);
        return;
    }
    AsmMem place = emit_place(e, op->dst);
    bool imm32 = op->imm == (int32_t)op->imm;
    if (op->a == IR_IMM && place.kind == ASM_MEM_REG) {
        asm_mov_ri(&e->a, bits_of(op), place.base, op->imm);
    } else if (op->a == IR_IMM && imm32 && !(in_memory(op->dst) && op->size == 4)) {
        asm_mov_mi(&e->a, bits_of(op), place, op->imm);
    } else if (place.kind == ASM_MEM_REG && ir_is_m(op->a) && op->size < 4 && !ir_is_t(op->dst)) {
        asm_mov_rm(&e->a, bits_of(op), place.base, emit_place(e, op->a));
    } else if (place.kind == ASM_MEM_REG && !ir_is_h(op->a)) {
        asm_mov_rm(&e->a, bits_of(op), place.base, emit_place(e, op->a));
    } else {
        AsmReg value = emit_read(e, op->a, op->size, H_T1);
        if (in_memory(op->dst) && op->size == 4 && value != H_T1) {
            asm_mov_rr(&e->a, 32, H_T1, value);
            value = H_T1;
        }
        emit_write(e, op->dst, op->size, value);
    }
}

static void emit_extend(Emit *e, bool sign)
{
    const IrOp *op = e->op;
    AsmMem place = emit_place(e, op->dst);
    AsmReg reg = place.kind == ASM_MEM_REG ? place.base : H_T1;
    AsmMem from = ir_is_h(op->a) ? asm_reg(emit_read(e, op->a, 1, H_T1)) : emit_place(e, op->a);
    if (sign)
        asm_movsx_rm(&e->a, bits_of(op), op->from * 8, reg, from);
    else
        asm_movzx_rm(&e->a, op->size == 8 ? 32 : bits_of(op), op->from * 8, reg, from);
    finish_in(e, op->dst, reg);
}

static void emit_bswap(Emit *e)
{
    const IrOp *op = e->op;
    AsmReg reg = begin_in(e, op->dst, op->a, H_T1);
    asm_bswap(&e->a, bits_of(op), reg);
    finish_in(e, op->dst, reg);
}

/* ---- by condition ---- */

static void emit_setcc(Emit *e)
{
    flags_to_host(e, ir_reads(e->op));
    asm_setcc_m(&e->a, e->op->cc, emit_place(e, e->op->dst));
}

static void emit_cmov(Emit *e)
{
    const IrOp *op = e->op;
    flags_to_host(e, ir_reads(op));
    AsmReg reg = begin_in(e, op->dst, op->dst, H_T1);
    asm_cmov_rm(&e->a, op->cc, bits_of(op), reg, emit_place(e, op->a));
    finish_in(e, op->dst, reg);
}

/* ---- exchanges ---- */

static void emit_xchg(Emit *e)
{
    const IrOp *op = e->op;
    if (ir_is_m(op->dst)) {
        AsmReg value = emit_read(e, op->a, op->size, H_T1);
        if (!op->lock && value != H_T1) { /* the host's XCHG would be atomic, and slow */
            load_sized(e, H_T1, emit_place(e, op->dst), op->size);
            asm_mov_mr(&e->a, bits_of(op), emit_place(e, op->dst), value);
            emit_write(e, op->a, op->size, H_T1);
            return;
        }
        if (value != H_T1)
            asm_mov_rr(&e->a, 64, H_T1, value);
        asm_xchg_mr(&e->a, bits_of(op), emit_place(e, op->dst), H_T1);
        emit_write(e, op->a, op->size, H_T1);
        return;
    }
    asm_mov_rm(&e->a, 64, H_T0, emit_place(e, op->dst));
    asm_mov_rm(&e->a, 64, H_T1, emit_place(e, op->a));
    emit_write(e, op->dst, op->size, H_T1);
    emit_write(e, op->a, op->size, H_T0);
}

static void emit_xadd(Emit *e)
{
    const IrOp *op = e->op;
    AsmReg value = emit_read(e, op->a, op->size, H_T1);
    if (value != H_T1)
        asm_mov_rr(&e->a, 64, H_T1, value);
    if (op->lock)
        asm_lock(&e->a);
    asm_xadd_mr(&e->a, bits_of(op), emit_place(e, op->dst), H_T1);
    emit_write(e, op->a, op->size, H_T1);
    flags_produced_image(e);
}

static void emit_cmpxchg(Emit *e)
{
    const IrOp *op = e->op;
    AsmReg value = emit_read(e, op->a, op->size, H_T1);
    if (op->lock)
        asm_lock(&e->a);
    asm_cmpxchg_mr(&e->a, bits_of(op), emit_place(e, op->dst), value);
    flags_produced_image(e);
}

void emit_integer(Emit *e)
{
    switch (e->op->code) {
    case IR_MOV: emit_mov(e); break;
    case IR_ZEXT: emit_extend(e, false); break;
    case IR_SEXT: emit_extend(e, true); break;
    case IR_ADD: emit_alu(e, A_ADD); break;
    case IR_ADC: emit_alu(e, A_ADC); break;
    case IR_SUB: emit_alu(e, A_SUB); break;
    case IR_SBB: emit_alu(e, A_SBB); break;
    case IR_AND: emit_alu(e, A_AND); break;
    case IR_OR: emit_alu(e, A_OR); break;
    case IR_XOR: emit_alu(e, A_XOR); break;
    case IR_CMP:
    case IR_TEST:
        if (!e->op->flags_seen)
            compare_unseen(e);
        else if (e->op->code == IR_CMP)
            emit_cmp(e);
        else
            emit_test(e);
        break;
    case IR_INC: emit_inc(e, true); break;
    case IR_DEC: emit_inc(e, false); break;
    case IR_NEG: emit_neg(e); break;
    case IR_NOT: emit_not(e); break;
    case IR_SHL: emit_shift(e, A_SHL, FLAGS_SHL); break;
    case IR_SHR: emit_shift(e, A_SHR, FLAGS_SHR); break;
    case IR_SAR: emit_shift(e, A_SAR, FLAGS_SAR); break;
    case IR_ROL: emit_rotate(e, A_ROL); break;
    case IR_ROR: emit_rotate(e, A_ROR); break;
    case IR_SHLD: emit_double_shift(e, A_SHLD); break;
    case IR_SHRD: emit_double_shift(e, A_SHRD); break;
    case IR_IMUL: emit_imul(e); break;
    case IR_MULW: emit_wide(e, A_MUL); break;
    case IR_IMULW: emit_wide(e, A_IMUL); break;
    case IR_DIVW: emit_div(e); break;
    case IR_IDIVW: emit_idiv(e); break;
    case IR_CWD: asm_cdq(&e->a, bits_of(e->op)); break;
    case IR_BT: emit_bt(e, A_BT); break;
    case IR_BTS: emit_bt(e, A_BTS); break;
    case IR_BTR: emit_bt(e, A_BTR); break;
    case IR_BTC: emit_bt(e, A_BTC); break;
    case IR_BSF: emit_scan(e, A_BSF); break;
    case IR_BSR: emit_scan(e, A_BSR); break;
    case IR_POPCNT: emit_count(e, A_POPCNT); break;
    case IR_TZCNT: emit_count(e, A_TZCNT); break;
    case IR_LZCNT: emit_count(e, A_LZCNT); break;
    case IR_BSWAP: emit_bswap(e); break;
    case IR_CRC32: emit_crc32(e); break;
    case IR_SETCC: emit_setcc(e); break;
    case IR_CMOV: emit_cmov(e); break;
    case IR_CLC: flags_produced_cf_constant(e, false); break;
    case IR_STC: flags_produced_cf_constant(e, true); break;
    case IR_XCHG: emit_xchg(e); break;
    case IR_XADD: emit_xadd(e); break;
    case IR_CMPXCHG: emit_cmpxchg(e); break;
    default: break;
    }
}
