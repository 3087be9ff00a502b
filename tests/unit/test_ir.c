/* The recompiler's operations: their text, and what ir_validate() finds wrong in units made by hand. */
#include <string.h>

#include "tcg/ir.h"
#include "cpu/rows.h"

enum { INSNS = 4 };

typedef struct Fixture {
    IrUnit u;
    Block *block;
} Fixture;

static void set_up(Fixture *f, gconstpointer unused)
{
    (void)unused;
    f->block = g_malloc0(sizeof(Block) + INSNS * sizeof(Insn));
    f->block->count = INSNS;
    f->u = (IrUnit){ .block = f->block, .code64 = true, .page_offset = 0x100 };
    for (unsigned k = 0; k < INSNS; k++) {
        f->block->insn[k] = (Insn){ .row = ROW_ADD_GvEv, .len = 4 };
        f->u.insn_offset[k] = 0x100 + 4 * k;
    }
}

static void tear_down(Fixture *f, gconstpointer unused)
{
    (void)unused;
    g_free(f->block);
}

static IrOp *add(Fixture *f, unsigned code, IrArg dst, IrArg a, IrArg b, int64_t imm)
{
    IrOp *op = &f->u.op[f->u.count++];
    *op = (IrOp){ .code = code, .size = 8, .dst = dst, .a = a, .b = b, .imm = imm,
                  .mem = { .base = R_BX, .index = R_NONE, .bits = 64 } };
    return op;
}

static void add_insn(Fixture *f) { add(f, IR_INSN, IR_NONE, IR_NONE, IR_NONE, f->u.insns++); }
static IrOp *add_ref(Fixture *f, unsigned code, IrArg to) { return add(f, code, to, IR_NONE, IR_NONE, 0); }
static void add_exit(Fixture *f) { add(f, IR_EXIT, IR_NONE, IR_NONE, IR_NONE, 0x110); }

/* ---- text ---- */

static void expect_text(Fixture *f, const char *wanted)
{
    GString *out = g_string_new(NULL);
    ir_print(&f->u, out);
    g_assert_cmpstr(out->str, ==, wanted);
    g_string_free(out, TRUE);
}

static void test_print(Fixture *f, gconstpointer unused)
{
    (void)unused;
    add_insn(f);
    IrOp *ref = add_ref(f, IR_REF_R, ir_t(0));
    ref->mem = (IrMem){ .base = R_BX, .index = R_CX, .scale = 3, .seg = SEG_GS, .bits = 64, .disp = -16 };
    add(f, IR_ADD, R_AX, R_AX, ir_m(0), 0)->size = 4;
    add_insn(f);
    add(f, IR_JCC, IR_NONE, IR_NONE, IR_NONE, 0x180)->cc = 4;
    add_insn(f);
    add(f, IR_MOV, IR_H + 1, IR_IMM, IR_NONE, 5)->size = 1;
    IrOp *locked = add(f, IR_ADD, ir_m(1), ir_m(1), IR_IMM, -1);
    locked->lock = locked->flags_seen = true;
    locked->last = 9;
    add_exit(f);
    expect_text(f, "  +0x100 ADD_GvEv\n"
                   "    ref.r.64 t0, gs:{rbx + rcx * 8 - 0x10}\n"
                   "    add.32 rax, rax, [t0]\n"
                   "  +0x104 ADD_GvEv\n"
                   "    jcce.64 0x180\n"
                   "  +0x108 ADD_GvEv\n"
                   "    mov.8 ch, 0x5\n"
                   "    lock add.64 [t1], [t1], 0xffffffffffffffff  ; flags to 9\n"
                   "    exit.64 0x110\n");
}

static void test_print_places(Fixture *f, gconstpointer unused)
{
    (void)unused;
    IrOp *lea = add_ref(f, IR_LEA, R_15);
    lea->mem = (IrMem){ .base = R_IP, .index = R_NONE, .bits = 64, .disp = 0x2000 };
    lea = add_ref(f, IR_LEA, R_8);
    lea->mem = (IrMem){ .base = R_NONE, .index = R_SI, .bits = 32, .disp = 0 };
    expect_text(f, "    lea.64 r15, {page + 0x2000}\n"
                   "    lea.64 r8, {rsi * 1 + 0}\n");
}

/* ---- rules ---- */

static void make_good(Fixture *f)
{
    add_insn(f);
    add_ref(f, IR_REF_W, ir_t(0));
    add(f, IR_PC, ir_t(1), IR_NONE, IR_NONE, 0x104);
    add(f, IR_MOV, ir_m(0), ir_t(1), IR_NONE, 0);
    add(f, IR_LEA, R_SP, IR_NONE, IR_NONE, 0);
    add_insn(f);
    add(f, IR_SHL, R_AX, R_AX, IR_IMM, 3);
    add(f, IR_SHL, R_BX, R_BX, IR_IMM, 3); /* no check: by an immediate */
    add(f, IR_JCC, IR_NONE, IR_NONE, IR_NONE, 0x180);
    add_insn(f);
    add(f, IR_CALL, IR_NONE, IR_NONE, IR_NONE, 0);
}
static void make_after_end(Fixture *f)
{
    add_insn(f);
    add_exit(f);
    add(f, IR_MOV, R_AX, R_BX, IR_NONE, 0);
    add_exit(f);
}
static void make_undefined(Fixture *f)
{
    add_insn(f);
    add(f, IR_MOV, R_AX, ir_m(0), IR_NONE, 0);
}
static void make_stale(Fixture *f)
{
    add_insn(f);
    add_ref(f, IR_REF_R, ir_t(1));
    add_insn(f);
    add(f, IR_MOV, R_AX, ir_m(1), IR_NONE, 0);
}
static void make_late_check(Fixture *f)
{
    add_insn(f);
    add(f, IR_MOV, R_AX, R_BX, IR_NONE, 0);
    add_ref(f, IR_REF_R, ir_t(0));
}
static void make_late_shift(Fixture *f)
{
    add_insn(f);
    add(f, IR_MOV, R_AX, R_BX, IR_NONE, 0);
    add(f, IR_SHL, R_DX, R_DX, R_CX, 0);
}
static void make_write_to_constant(Fixture *f)
{
    add_insn(f);
    add(f, IR_ADD, IR_IMM, R_AX, R_BX, 1);
}
static void make_change_of_constant(Fixture *f)
{
    add_insn(f);
    add(f, IR_XCHG, R_AX, IR_IMM, IR_NONE, 1);
}
static void make_ref_to_register(Fixture *f)
{
    add_insn(f);
    add_ref(f, IR_REF_R, R_AX);
}
static void make_many_temporaries(Fixture *f)
{
    add_insn(f);
    add_ref(f, IR_REF_R, ir_t(IR_TEMPS));
}
static void make_operand_of_none(Fixture *f)
{
    add_insn(f);
    add(f, IR_CLC, R_AX, IR_NONE, IR_NONE, 0);
}
static void make_missing_operand(Fixture *f)
{
    add_insn(f);
    add(f, IR_ADD, R_AX, R_AX, IR_NONE, 0);
}
static void make_no_operation(Fixture *f)
{
    add_insn(f);
    add(f, IR_CODES, R_AX, R_AX, IR_NONE, 0);
}

typedef struct Case {
    const char *name;
    void (*make)(Fixture *f);
    const char *wanted; /* NULL: all is well */
} Case;

static const Case cases[] = {
    { "good", make_good, NULL },
    { "after-end", make_after_end, "operation 2 (mov): an operation after the end" },
    { "undefined", make_undefined, "operation 1 (mov): a value that is not defined" },
    { "stale", make_stale, "operation 3 (mov): a value that is not defined" },
    { "late-check", make_late_check, "operation 2 (ref.r): a check after a change" },
    { "late-shift", make_late_shift, "operation 2 (shl): a check after a change" },
    { "write-to-constant", make_write_to_constant, "operation 1 (add): no place to write to" },
    { "change-of-constant", make_change_of_constant, "operation 1 (xchg): no place to read and write" },
    { "ref-to-register", make_ref_to_register, "operation 1 (ref.r): no temporary" },
    { "many-temporaries", make_many_temporaries, "operation 1 (ref.r): no temporary" },
    { "operand-of-none", make_operand_of_none, "operation 1 (clc): an operand where there is none" },
    { "missing-operand", make_missing_operand, "operation 1 (add): a value that is not defined" },
    { "no-operation", make_no_operation, "operation 1 (?): no such operation" },
};

static void test_rules(Fixture *f, gconstpointer which)
{
    const Case *c = which;
    c->make(f);
    add_exit(f);
    g_assert_cmpstr(ir_validate(&f->u), ==, c->wanted);
}

static void test_no_end(Fixture *f, gconstpointer unused)
{
    (void)unused;
    g_assert_cmpstr(ir_validate(&f->u), ==, "no end");
    make_good(f);
    g_assert_cmpstr(ir_validate(&f->u), ==, "no end");
    add(f, IR_NEXT, IR_NONE, IR_NONE, IR_NONE, 0);
    g_assert_null(ir_validate(&f->u));
}

/* ---- flags ---- */

/* A producer is seen up to the last operation that may look before the next full producer. */
static void test_live_flags(Fixture *f, gconstpointer unused)
{
    (void)unused;
    add_insn(f);
    IrOp *dead = add(f, IR_ADD, R_AX, R_AX, R_BX, 0);
    add_insn(f);
    IrOp *cmp = add(f, IR_CMP, IR_NONE, R_AX, R_BX, 0);
    add_insn(f);
    add_ref(f, IR_REF_R, ir_t(0)); /* its slow path sees the flags */
    add(f, IR_MOV, R_CX, ir_m(0), IR_NONE, 0);
    add_insn(f);
    IrOp *last = add(f, IR_SUB, R_DX, R_DX, R_CX, 0);
    add_exit(f);
    ir_find_live_flags(&f->u);
    g_assert_false(dead->flags_seen);
    g_assert_true(cmp->flags_seen);
    g_assert_cmpuint(cmp->last, ==, 5);
    g_assert_true(last->flags_seen);
    g_assert_cmpuint(last->last, ==, 9);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/ir/print", Fixture, NULL, set_up, test_print, tear_down);
    g_test_add("/ir/print-places", Fixture, NULL, set_up, test_print_places, tear_down);
    for (unsigned k = 0; k < G_N_ELEMENTS(cases); k++) {
        g_autofree char *path = g_strconcat("/ir/rules/", cases[k].name, NULL);
        g_test_add(path, Fixture, &cases[k], set_up, test_rules, tear_down);
    }
    g_test_add("/ir/rules/no-end", Fixture, NULL, set_up, test_no_end, tear_down);
    g_test_add("/ir/live-flags", Fixture, NULL, set_up, test_live_flags, tear_down);
    return g_test_run();
}
