/* Flags: recipes, the record, the host's flags (emit.h). */
#include "tcg/record.h"
#include "tcg/x86_64/emit.h"

#define KIND_FIELD(n) asm_mem(H_CPU, offsetof(Cpu, rec) + (n))

/* The four bytes of the record's head, stored at once. */
_Static_assert(offsetof(RecompiledState, kind) == 0 && offsetof(RecompiledState, top_kind) == 1 &&
               offsetof(RecompiledState, cf) == 2 && offsetof(RecompiledState, cf_known) == 3, "head of the record");

static void store_arg(Emit *e, AsmMem slot, const RecipeArg *x, unsigned kind)
{
    if (x->where == ARG_IMM)
        asm_mov_mi(&e->a, 64, slot, x->imm);
    else if (x->where == ARG_REG)
        asm_mov_mr(&e->a, 64, slot, emit_read(e, ir_g(x->reg), 1u << (kind & 3), H_T1));
}

static unsigned cf_bytes(const Flags *f)
{
    return f->cf == CF_PLAIN ? 0 : f->cf == CF_SET ? 0x101 : 0x100;
}

static void store_head(Emit *e, const Flags *f)
{
    unsigned kinds = f->kind | f->top_kind << 8;
    if (f->cf != CF_SLOT) {
        asm_mov_mi(&e->a, 32, KIND_FIELD(0), (int32_t)(kinds | cf_bytes(f) << 16));
        return;
    }
    asm_mov_mi(&e->a, 16, KIND_FIELD(0), kinds);
    asm_mov_mi(&e->a, 8, KIND_FIELD(3), 1);
}

/* What comes on top of a record whose base is right already. */
static void store_overrides(Emit *e, const Flags *f)
{
    if (f->top_kind)
        asm_mov_mi(&e->a, 8, KIND_FIELD(1), f->top_kind);
    if (f->cf == CF_SLOT)
        asm_mov_mi(&e->a, 8, KIND_FIELD(3), 1);
    else if (f->cf != CF_PLAIN)
        asm_mov_mi(&e->a, 16, KIND_FIELD(2), cf_bytes(f));
}

void flags_store(Emit *e, Flags *f)
{
    if (f->unseen)
        return;
    if (f->recorded) {
        store_overrides(e, f);
    } else {
        store_head(e, f);
        store_arg(e, REC_FIELD(a), &f->a, f->kind);
        store_arg(e, REC_FIELD(b), &f->b, f->kind);
    }
    if (f->top_kind)
        store_arg(e, REC_FIELD(top), &f->top, f->top_kind);
    if (f->top_kind || f->cf != CF_PLAIN)
        f->kind = 0; /* the recipe is not all of it any more */
    f->recorded = true;
    f->top_kind = 0;
    f->cf = CF_PLAIN;
}

/* ---- to the host's flags ---- */

/* A recipe's operand as it is, or from memory. */
static AsmMem arg_place(Emit *e, const RecipeArg *x, AsmMem slot)
{
    return x->where == ARG_REG ? emit_place(e, ir_g(x->reg)) : slot;
}

static void load_arg(Emit *e, AsmReg to, const RecipeArg *x, AsmMem slot)
{
    if (x->where == ARG_IMM)
        asm_mov_ri(&e->a, 64, to, (int64_t)x->imm);
    else
        asm_mov_rm(&e->a, 64, to, arg_place(e, x, slot));
}

static void alu_arg(Emit *e, AsmAlu alu, unsigned bits, AsmReg to, const RecipeArg *x, AsmMem slot)
{
    if (x->where == ARG_IMM)
        asm_alu_ri(&e->a, alu, bits, to, x->imm);
    else
        asm_alu_rm(&e->a, alu, bits, to, arg_place(e, x, slot));
}

static bool repeat_shift(Emit *e, const Flags *f, AsmShift how)
{
    if (f->b.where != ARG_IMM)
        return false;
    load_arg(e, H_T1, &f->a, REC_FIELD(a));
    asm_shift_ri(&e->a, how, 8u << (f->kind & 3), H_T1, f->b.imm);
    return true;
}

/* Repeats the comparison; false when that is not simple. */
static bool repeat_base(Emit *e, const Flags *f)
{
    unsigned bits = 8u << (f->kind & 3);
    AsmMem b = REC_FIELD(b);
    AsmReg t = H_T1;
    switch (f->kind >> 2) {
    case FLAGS_LOGIC:
        load_arg(e, t, &f->a, REC_FIELD(a));
        asm_test_rr(&e->a, bits, t, t);
        return true;
    case FLAGS_CMP:
        if (f->a.where == ARG_REG && host_of_guest[f->a.reg] != A_NONE)
            t = host_of_guest[f->a.reg];
        else
            load_arg(e, t, &f->a, REC_FIELD(a));
        alu_arg(e, A_CMP, bits, t, &f->b, b);
        return true;
    case FLAGS_ADD:
        load_arg(e, t, &f->a, REC_FIELD(a));
        alu_arg(e, A_SUB, bits, t, &f->b, b);
        alu_arg(e, A_ADD, bits, t, &f->b, b);
        return true;
    case FLAGS_SUB:
        load_arg(e, t, &f->a, REC_FIELD(a));
        alu_arg(e, A_ADD, bits, t, &f->b, b);
        alu_arg(e, A_SUB, bits, t, &f->b, b);
        return true;
    case FLAGS_IMAGE:
        asm_mov_rr(&e->a, 64, t, A_RAX);
        asm_mov_rm(&e->a, 32, A_RAX, REC_FIELD(a));
        asm_alu_ri(&e->a, A_ADD, 8, A_RAX, 0x7f); /* OF, which was 0 or 1 */
        asm_sahf(&e->a);
        asm_mov_rr(&e->a, 64, A_RAX, t);
        return true;
    case FLAGS_IMUL:
        load_arg(e, t, &f->a, REC_FIELD(a));
        if (f->b.where == ARG_IMM)
            asm_imul_rri(&e->a, bits, t, t, f->b.imm);
        else
            asm_imul_rm(&e->a, bits, t, arg_place(e, &f->b, b));
        return true;
    case FLAGS_SHL: return repeat_shift(e, f, A_SHL);
    case FLAGS_SHR: return repeat_shift(e, f, A_SHR);
    case FLAGS_SAR: return repeat_shift(e, f, A_SAR);
    default: return false;
    }
}

static bool repeat_cf(Emit *e, const Flags *f)
{
    if (f->cf == CF_CLEAR)
        asm_clc(&e->a);
    else if (f->cf == CF_SET)
        asm_stc(&e->a);
    else
        asm_bt_mi(&e->a, A_BT, 32, KIND_FIELD(2), 0);
    return true;
}

static bool repeat_top(Emit *e, const Flags *f)
{
    unsigned bits = 8u << (f->top_kind & 3);
    bool inc = f->top_kind >> 2 == FLAGS_TOP_INC;
    load_arg(e, H_T1, &f->top, REC_FIELD(top));
    asm_lea(&e->a, 64, H_T1, asm_mem(H_T1, inc ? -1 : 1));
    asm_unary_r(&e->a, inc ? A_INC : A_DEC, bits, H_T1);
    return true;
}

/* Without the record; false when it takes more. */
static bool repeat_flags(Emit *e, Flags *f, uint32_t mask)
{
    if (f->cf != CF_PLAIN && mask == F_CF) {
        f->host = F_CF;
        return repeat_cf(e, f);
    }
    if (f->top_kind && !(mask & F_CF)) {
        f->host = F_ARITH & ~F_CF;
        return repeat_top(e, f);
    }
    if (f->cf != CF_PLAIN || f->top_kind || f->unseen)
        return false;
    if (!repeat_base(e, f))
        return false;
    f->host = F_ARITH;
    return true;
}

void flags_to_host(Emit *e, uint32_t mask)
{
    Flags *f = &e->flags;
    if ((f->host & mask) == mask) {
        if (mask & ~f->kept)
            e->slow[f->host_insn].wants_flags = true;
        if (mask & f->kept)
            e->slow[f->kept_insn].wants_flags = true;
        return;
    }
    if (!repeat_flags(e, f, mask)) {
        flags_store(e, f);
        xmm_store(e, &e->xmm);
        asm_call_abs(&e->a, e->be->thunks.flags, A_NONE);
        xmm_load(e, e->xmm.valid);
        f->host = F_ARITH;
    }
    f->host_insn = e->insn;
    f->kept = 0;
}

/* ---- producers ---- */

bool flags_operand_survives(const Emit *e, unsigned n)
{
    for (unsigned j = e->k + 1; j < e->op->last; j++)
        if (ir_writes_register(&e->u->op[j], n))
            return false;
    return true;
}

RecipeArg flags_slot_a(Emit *e, AsmReg value)
{
    asm_mov_mr(&e->a, 64, REC_FIELD(a), value);
    return (RecipeArg){ .where = ARG_SLOT };
}

RecipeArg flags_slot_b(Emit *e, AsmReg value)
{
    asm_mov_mr(&e->a, 64, REC_FIELD(b), value);
    return (RecipeArg){ .where = ARG_SLOT };
}

static RecipeArg arg_of(Emit *e, IrArg x, bool may_stay, RecipeArg (*slot)(Emit *, AsmReg))
{
    if (x == IR_IMM)
        return (RecipeArg){ .where = ARG_IMM, .imm = e->op->imm };
    if (ir_is_g(x) && may_stay && flags_operand_survives(e, x))
        return (RecipeArg){ .where = ARG_REG, .reg = x };
    return slot(e, emit_read(e, x, e->op->size, H_T1));
}

RecipeArg flags_keep_a(Emit *e, IrArg x) { return arg_of(e, x, true, flags_slot_a); }
RecipeArg flags_keep_b(Emit *e, IrArg x) { return arg_of(e, x, true, flags_slot_b); }
RecipeArg flags_save_a(Emit *e, IrArg x) { return arg_of(e, x, x != e->op->dst, flags_slot_a); }
RecipeArg flags_save_b(Emit *e, IrArg x) { return arg_of(e, x, x != e->op->dst, flags_slot_b); }

static void begin_flags(Emit *e)
{
    e->flags = (Flags){ .host = F_ARITH, .host_insn = e->insn };
}

void flags_produced_unseen(Emit *e)
{
    begin_flags(e);
    e->flags.unseen = true;
}

/*
 * A recipe with operands in the record only is stored at once where the instruction has a slow path: that one leaves
 * the record in another form, and what follows must not depend on which way was gone.
 */
static void store_for_both_ways(Emit *e)
{
    flags_store(e, &e->flags);
    if (e->checked)
        e->flags.kind = 0;
}

void flags_produced(Emit *e, unsigned kind, RecipeArg a, RecipeArg b)
{
    begin_flags(e);
    e->flags.kind = FLAGS_KIND(kind, size_log2(e->op->size));
    e->flags.a = a;
    e->flags.b = b;
    if (e->checked && (a.where == ARG_SLOT || b.where == ARG_SLOT))
        store_for_both_ways(e);
}

void flags_produced_image(Emit *e)
{
    if (!e->op->flags_seen) {
        flags_produced_unseen(e);
        return;
    }
    Asm *a = &e->a;
    asm_mov_rr(a, 64, H_T1, A_RAX);
    asm_lahf(a);
    asm_setcc_r(a, A_O, A_RAX);
    asm_mov_mr(a, 64, REC_FIELD(a), A_RAX);
    asm_mov_rr(a, 64, A_RAX, H_T1);
    begin_flags(e);
    e->flags.kind = FLAGS_KIND(FLAGS_IMAGE, 3);
    e->flags.b = (RecipeArg){ .where = ARG_SLOT };
    store_for_both_ways(e);
}

void flags_before_partial(Emit *e)
{
    if (e->op->flags_seen && e->checked)
        flags_store(e, &e->flags);
}

/* The current operation has put `flags` into the host's, and left `others` alone there. */
static void host_gained(Emit *e, uint32_t flags, uint32_t others)
{
    Flags *f = &e->flags;
    if (f->host_insn != e->insn) {
        f->kept = f->host & others & ~f->kept;
        f->kept_insn = f->host_insn;
    }
    f->host = flags | f->kept;
    f->host_insn = e->insn;
}

void flags_produced_cf(Emit *e, uint32_t others)
{
    Flags *f = &e->flags;
    host_gained(e, F_CF, others & ~F_CF);
    if (!e->op->flags_seen)
        return;
    asm_setcc_m(&e->a, A_B, KIND_FIELD(2));
    f->cf = CF_SLOT;
    if (e->checked)
        flags_store(e, f);
}

void flags_produced_cf_constant(Emit *e, bool cf)
{
    e->flags.cf = cf ? CF_SET : CF_CLEAR;
    e->flags.host &= ~F_CF;
}

void flags_produced_top(Emit *e, unsigned kind, IrArg result)
{
    Flags *f = &e->flags;
    host_gained(e, F_ARITH & ~F_CF, F_CF);
    if (!e->op->flags_seen)
        return;
    f->top_kind = FLAGS_KIND(kind, size_log2(e->op->size));
    f->top = (RecipeArg){ .where = ARG_SLOT };
    if (ir_is_g(result) && flags_operand_survives(e, result))
        f->top = (RecipeArg){ .where = ARG_REG, .reg = result };
    else
        asm_mov_mr(&e->a, 64, REC_FIELD(top), emit_read(e, result, e->op->size, H_T1));
    if (e->checked)
        flags_store(e, f);
}
