/*
 * x87 operations (emit.h).
 *
 * The host's own x87 does them, under the guest's control word, with the guest's status word in the host's.  The guest's
 * stack is mapped when the unit is compiled: TOP and the tags are taken to be what they were then, and compared where
 * the first x87 instruction of the unit stands.  So each register has a known place in Cpu.fpu, and stack faults are
 * known beforehand.  Registers are loaded to the host's stack at their first use and stay there, in any order (X87State
 * has the map), until x87_store().  All that differs, unmasked exceptions and stack faults take the slow path.
 *
 * A register that is popped keeps its value, which FXSAVE and MMX can show.  It stays on the host's stack until stored,
 * unless it is pushed over before the unit is left.
 *
 * C0, C2 and C3 are the host's; C1, which nearly all instructions write, also those that only load and store registers
 * here, has a state of its own.
 */
#include <stdlib.h>
#include <string.h>

#include "cpu/x87.h"
#include "cpu/rows.h"
#include "tcg/x86_64/emit.h"
#include "tcg/x86_64/encode.h"

#define FPU_FIELD(field) CPU_FIELD(fpu.field)
#define REG_FIELD(n) asm_mem(H_CPU, offsetof(Cpu, fpu.reg) + (n) * sizeof(Float80))
#define ENV_FIELD(offset) asm_mem(H_CPU, offsetof(Cpu, rec.spill) + (offset))

_Static_assert(offsetof(Fpu, tags) == offsetof(Fpu, top) + 1, "TOP and tags are compared and stored at once");

/* ---- what rows do ---- */

enum {
    K_NONE, K_LOAD_M, K_LOAD_ST, K_CONSTANT, K_STORE_M, K_STORE_ST, K_ST0, K_STI, K_ARITH_M, K_UNARY, K_COMPARE,
    K_COMPARE_M, K_COMPARE_FLAGS, K_EXAMINE, K_EXCHANGE, K_MOVE_IF, K_ROTATE, K_NOP, K_WAIT,
    K_EFFECT, K_RESET, /* not done here; their effect on the stack is known */
};

typedef struct X87Row {
    uint8_t kind;
    uint8_t op; /* AsmX87Arith; FUCOM: 1; rotation; registers pushed by K_EFFECT */
    uint8_t pops;
} X87Row;

#define BY_MEMORY(name, kind, op, pops)                                                                                \
    [ROW_F##name##_Md] = { kind, op, pops }, [ROW_F##name##_Mq] = { kind, op, pops },                                  \
    [ROW_FI##name##_Md] = { kind, op, pops }, [ROW_FI##name##_Mw] = { kind, op, pops },
#define ARITHMETIC(name)                                                                                               \
    BY_MEMORY(name, K_ARITH_M, A_F##name, 0)                                                                           \
    [ROW_F##name##_st0sti] = { K_ST0, A_F##name, 0 }, [ROW_F##name##_stist0] = { K_STI, A_F##name, 0 },                \
    [ROW_F##name##P_stist0] = { K_STI, A_F##name, 1 },
#define ROW(row, kind, ...) [ROW_##row] = { kind, __VA_ARGS__ },

static const X87Row rows[ROW_COUNT] = {
    ARITHMETIC(ADD) ARITHMETIC(MUL) ARITHMETIC(SUB) ARITHMETIC(SUBR) ARITHMETIC(DIV) ARITHMETIC(DIVR)
    BY_MEMORY(COM, K_COMPARE_M, 0, 0) BY_MEMORY(COMP, K_COMPARE_M, 0, 1)
    ROW(FCOM_sti, K_COMPARE, 0, 0) ROW(FCOMP_sti, K_COMPARE, 0, 1) ROW(FCOMPP, K_COMPARE, 0, 2)
    ROW(FUCOM_sti, K_COMPARE, 1, 0) ROW(FUCOMP_sti, K_COMPARE, 1, 1) ROW(FUCOMPP, K_COMPARE, 1, 2)
    ROW(FCOM2, K_COMPARE, 0, 0) ROW(FCOMP3, K_COMPARE, 0, 1) ROW(FCOMP5, K_COMPARE, 0, 1)
    ROW(FCOMI, K_COMPARE_FLAGS, 0, 0) ROW(FCOMIP, K_COMPARE_FLAGS, 0, 1)
    ROW(FUCOMI, K_COMPARE_FLAGS, 1, 0) ROW(FUCOMIP, K_COMPARE_FLAGS, 1, 1)
    ROW(FTST, K_EXAMINE, 0, 0) ROW(FXAM, K_EXAMINE, 1, 0)
    ROW(FCHS, K_UNARY, 0, 0) ROW(FABS, K_UNARY, 0, 0) ROW(FSQRT, K_UNARY, 0, 0) ROW(FRNDINT, K_UNARY, 0, 0)
    ROW(FLD_Md, K_LOAD_M, 0, 0) ROW(FLD_Mq, K_LOAD_M, 0, 0) ROW(FLD_Mt, K_LOAD_M, 0, 0)
    ROW(FILD_Mw, K_LOAD_M, 0, 0) ROW(FILD_Md, K_LOAD_M, 0, 0) ROW(FILD_Mq, K_LOAD_M, 0, 0)
    ROW(FST_Md, K_STORE_M, 0, 0) ROW(FSTP_Md, K_STORE_M, 1, 1) ROW(FST_Mq, K_STORE_M, 0, 0) ROW(FSTP_Mq, K_STORE_M, 1, 1)
    ROW(FIST_Mw, K_STORE_M, 0, 0) ROW(FISTP_Mw, K_STORE_M, 1, 1) ROW(FIST_Md, K_STORE_M, 0, 0)
    ROW(FISTP_Md, K_STORE_M, 1, 1) ROW(FISTP_Mq, K_STORE_M, 0, 1) ROW(FSTP_Mt, K_STORE_M, 0, 1)
    ROW(FISTTP_Mw, K_STORE_M, 0, 1) ROW(FISTTP_Md, K_STORE_M, 0, 1) ROW(FISTTP_Mq, K_STORE_M, 0, 1)
    ROW(FLD_sti, K_LOAD_ST, 0, 0) ROW(FST_sti, K_STORE_ST, 0, 0) ROW(FSTP_sti, K_STORE_ST, 0, 1)
    ROW(FSTP8, K_STORE_ST, 0, 1) ROW(FSTP9, K_STORE_ST, 0, 1)
    ROW(FXCH, K_EXCHANGE, 0, 0) ROW(FXCH4, K_EXCHANGE, 0, 0) ROW(FXCH7, K_EXCHANGE, 0, 0)
    ROW(FLD1, K_CONSTANT, 0, 0) ROW(FLDL2T, K_CONSTANT, 0, 0) ROW(FLDL2E, K_CONSTANT, 0, 0) ROW(FLDPI, K_CONSTANT, 0, 0)
    ROW(FLDLG2, K_CONSTANT, 0, 0) ROW(FLDLN2, K_CONSTANT, 0, 0) ROW(FLDZ, K_CONSTANT, 0, 0)
    ROW(FDECSTP, K_ROTATE, 7, 0) ROW(FINCSTP, K_ROTATE, 1, 0) ROW(FNOP, K_NOP, 0, 0) ROW(WAIT, K_WAIT, 0, 0)
    ROW(FCMOVB, K_MOVE_IF, 0, 0) ROW(FCMOVNB, K_MOVE_IF, 0, 0) ROW(FCMOVE, K_MOVE_IF, 0, 0) ROW(FCMOVNE, K_MOVE_IF, 0, 0)
    ROW(FCMOVBE, K_MOVE_IF, 0, 0) ROW(FCMOVNBE, K_MOVE_IF, 0, 0) ROW(FCMOVU, K_MOVE_IF, 0, 0)
    ROW(FCMOVNU, K_MOVE_IF, 0, 0)
    ROW(FYL2X, K_EFFECT, 0, 1) ROW(FYL2XP1, K_EFFECT, 0, 1) ROW(FPATAN, K_EFFECT, 0, 1)
    ROW(FPTAN, K_EFFECT, 1, 0) ROW(FSINCOS, K_EFFECT, 1, 0) ROW(FXTRACT, K_EFFECT, 1, 0)
    ROW(FNINIT, K_RESET, 0, 0) ROW(FNSAVE, K_RESET, 0, 0) ROW(EMMS, K_RESET, 0, 0) ROW(FBLD_Mt, K_EFFECT, 1, 0) ROW(FBSTP_Mt, K_EFFECT, 0, 1)
};

static bool pushes(const X87Row *r)
{
    return r->kind == K_LOAD_M || r->kind == K_LOAD_ST || r->kind == K_CONSTANT || (r->kind == K_EFFECT && r->op);
}

/* ---- the guest's stack and the map ---- */

static unsigned number(const X87State *x, unsigned n) { return (x->top + n) & 7; }
static bool is_full(const X87State *x, unsigned n) { return x->tags >> number(x, n) & 1; }

static void guest_push(X87State *x)
{
    x->top = (x->top - 1) & 7;
    x->tags |= 1u << x->top;
    x->moved = true;
}

static void guest_pop(X87State *x)
{
    x->tags &= ~(1u << x->top);
    x->top = (x->top + 1) & 7;
    x->moved = true;
}

static int find(const X87State *x, unsigned reg)
{
    for (unsigned p = 0; p < x->depth; p++)
        if (x->host[p] == reg)
            return p;
    return -1;
}

static void note_push(X87State *x, unsigned reg)
{
    memmove(x->host + 1, x->host, x->depth++);
    x->host[0] = reg;
}

static void note_pop(X87State *x) { memmove(x->host, x->host + 1, --x->depth); }

static void change(X87State *x, unsigned reg) { x->dirty |= 1u << reg; }

static void store_registers(Emit *e, X87State *x)
{
    for (; x->depth; note_pop(x))
        if (x->dirty >> x->host[0] & 1)
            asm_fstp_m80(&e->a, REG_FIELD(x->host[0]));
        else
            asm_fstp_st(&e->a, 0);
    x->dirty = 0;
}

/* Room for n more on the host's stack. */
static void reserve(Emit *e, X87State *x, unsigned n)
{
    if (x->depth + n > 8)
        store_registers(e, x);
}

static unsigned bring(Emit *e, X87State *x, unsigned reg)
{
    int p = find(x, reg);
    if (p >= 0)
        return p;
    asm_fld_m80(&e->a, REG_FIELD(reg));
    note_push(x, reg);
    return 0;
}

static void to_top(Emit *e, X87State *x, unsigned reg)
{
    unsigned p = bring(e, x, reg);
    if (!p)
        return;
    asm_fxch_st(&e->a, p);
    x->host[p] = x->host[0];
    x->host[0] = reg;
}

/* The register gets a new value: what the host's stack has of it goes. */
static void discard(Emit *e, X87State *x, unsigned reg)
{
    if (find(x, reg) < 0)
        return;
    to_top(e, x, reg);
    asm_fstp_st(&e->a, 0);
    note_pop(x);
    x->dirty &= ~(1u << reg);
}

/* Whether a register that is popped is pushed over before the unit can be left, with TOP at `top` now. */
static bool is_pushed_over(const Emit *e, unsigned reg, unsigned top)
{
    for (unsigned j = e->k + 1, insn = e->insn; j < e->u->count; j++) {
        const IrOp *op = &e->u->op[j];
        bool is_x87 = op->code >= IR_X87 && op->code <= IR_X87_CMP;
        if (ir_effects(op) & (is_x87 ? E_EXIT | E_CALL : E_EXIT | E_CALL | E_CHECK))
            return false;
        if (op->code == IR_INSN)
            insn = op->imm;
        if (!is_x87)
            continue;
        const X87Row *r = &rows[e->u->block->insn[insn].row];
        if (r->kind == K_ROTATE)
            return false;
        top = (top + r->pops - pushes(r)) & 7;
        if (pushes(r) && top == reg)
            return true;
    }
    return false;
}

/* Whether ST(0) need not be kept when it is popped by an instruction that pops `pops`. */
static bool may_go(const Emit *e, const X87State *x, unsigned pops)
{
    return !(x->dirty >> x->top & 1) || is_pushed_over(e, x->top, number(x, pops));
}

/* Pops registers that nothing has popped on the host's stack. */
static void pop(Emit *e, X87State *x, unsigned pops)
{
    for (; pops; pops--) {
        if (find(x, x->top) == 0 && may_go(e, x, pops))
            discard(e, x, x->top);
        guest_pop(x);
    }
}

/* ---- to memory and back ---- */

static void store_status(Emit *e, X87State *x)
{
    const unsigned kept = FSW_C0 | FSW_C2 | FSW_C3 | FSW_SF | FSW_EXCEPTIONS;
    Asm *a = &e->a;
    asm_fnstsw_m16(a, ENV_FIELD(24));
    asm_movzx_rm(a, 32, 16, H_T1, ENV_FIELD(24));
    asm_alu_ri(a, A_AND, 32, H_T1, kept | (x->c1 == C1_HOST ? FSW_C1 : 0));
    if (x->c1 == C1_MEMORY) {
        asm_alu_mi(a, A_AND, 16, FPU_FIELD(status), FSW_C1);
        asm_alu_mr(a, A_OR, 16, FPU_FIELD(status), H_T1);
    } else {
        asm_mov_mr(a, 16, FPU_FIELD(status), H_T1);
    }
    x->c1 = C1_MEMORY;
}

static AsmMem selector(unsigned seg)
{
    return asm_mem(H_CPU, offsetof(Cpu, seg) + seg * sizeof(Segment) + offsetof(Segment, sel));
}

static void copy16(Emit *e, AsmMem to, AsmMem from)
{
    asm_movzx_rm(&e->a, 32, 16, H_T1, from);
    asm_mov_mr(&e->a, 16, to, H_T1);
}

static void store_pointers(Emit *e, X87State *x)
{
    Asm *a = &e->a;
    if (x->ip >= 0) {
        asm_mov_rm(a, 64, H_T1, REC_FIELD(page));
        asm_lea(a, e->u->code64 ? 64 : 32, H_T1, asm_mem(H_T1, x->ip));
        asm_mov_mr(a, 64, FPU_FIELD(ip), H_T1);
        copy16(e, FPU_FIELD(cs), selector(SEG_CS));
    }
    if (x->ds >= 0)
        copy16(e, FPU_FIELD(ds), selector(x->ds));
    x->ip = x->ds = -1;
}

bool x87_pending(const X87State *x) { return x->known && (x->used || x->moved || x->depth); }

void x87_store(Emit *e, X87State *x)
{
    if (!x87_pending(x))
        return;
    if (x->used)
        store_status(e, x);
    if (x->moved)
        asm_mov_mi(&e->a, 16, FPU_FIELD(top), x->top | x->tags << 8);
    store_pointers(e, x);
    store_registers(e, x);
    x->used = x->moved = false;
}

void x87_forget(X87State *x, unsigned row)
{
    const X87Row *r = row < ROW_COUNT ? &rows[row] : NULL;
    X87State now = { .top = x->top, .tags = x->tags, .lost = x->lost, .ip = -1, .ds = -1 };
    for (unsigned n = 0; r && r->kind == K_EFFECT && n < r->pops; n++)
        guest_pop(&now);
    if (r && r->kind == K_EFFECT && r->op)
        guest_push(&now);
    if (r && (r->kind == K_RESET || insn_rows[row].attr & A_MMX)) {
        now.top = 0;
        now.tags = r->kind == K_RESET ? 0 : 0xff;
    }
    *x = now;
}

/* C1 was lost by loading registers. */
static void reload_c1(Emit *e)
{
    Asm *a = &e->a;
    asm_movzx_rm(a, 32, 16, H_T1, FPU_FIELD(status));
    asm_alu_ri(a, A_AND, 32, H_T1, FSW_C1);
    asm_fnstenv_m(a, ENV_FIELD(0));
    asm_alu_mi(a, A_AND, 16, ENV_FIELD(4), ~FSW_C1);
    asm_alu_mr(a, A_OR, 16, ENV_FIELD(4), H_T1);
    asm_fldenv_m(a, ENV_FIELD(0));
}

void x87_resume(Emit *e, const X87State *after)
{
    Asm *a = &e->a;
    if (!after->known)
        return;
    asm_call_abs(a, e->be->thunks.x87, A_NONE);
    asm_jcc_abs(a, A_NE, e->be->thunks.elsewhere, A_NONE);
    asm_alu_mi(a, A_CMP, 16, FPU_FIELD(top), after->top | after->tags << 8);
    asm_jcc_abs(a, A_NE, e->be->thunks.elsewhere, A_NONE);
    if (after->c1 == C1_CLEAR) { /* but set if the stack has overflowed, though TOP and tags may be right after that */
        asm_test_mi(a, 16, FPU_FIELD(status), FSW_C1);
        asm_jcc_abs(a, A_NZ, e->be->thunks.elsewhere, A_NONE);
    }
    for (unsigned p = after->depth; p-- > 0;)
        asm_fld_m80(a, REG_FIELD(after->host[p]));
    if (after->c1 == C1_HOST)
        reload_c1(e);
}

/* The first x87 instruction, or the first after C. */
static void check_state(Emit *e, X87State *x)
{
    if (x->known)
        return;
    AsmLabel *slow = emit_slow(e);
    StateCheck *c = &e->check[e->checks++];
    *c = (StateCheck){ .insn = e->insn, .thunk = e->be->thunks.x87 };
    asm_alu_mi(&e->a, A_CMP, 8, REC_FIELD(x87_here), 0);
    asm_jcc(&e->a, A_E, &c->enter);
    asm_bind(&e->a, &c->back);
    asm_alu_mi(&e->a, A_CMP, 16, FPU_FIELD(top), x->top | x->tags << 8);
    asm_jcc(&e->a, A_NE, slow);
    flags_clobber(e);
    x->known = true;
    x->c1 = C1_MEMORY;
}

/* ---- instructions ---- */

/* The host's instruction is the guest's: opcode and digit of a memory form, or two bytes. */
static void put_memory(Emit *e, const char *encoding, int minus)
{
    AsmMem m = asm_mem(H_T0, 0);
    put_group(&e->a, OP_MEM | strtoul(encoding, NULL, 16), encoding[4] - '0' - minus, &m, 0);
}

static void put_bytes(Emit *e, const char *encoding)
{
    char *second;
    unsigned first = strtoul(encoding, &second, 16);
    asm_bytes(&e->a, 2, strtoul(second, NULL, 16) << 8 | first);
}

/* The same with ST(i) on the host. */
static void put_st(Emit *e, const char *encoding, unsigned i)
{
    char *second;
    unsigned first = strtoul(encoding, &second, 16);
    asm_bytes(&e->a, 2, (strtoul(second, NULL, 16) + i) << 8 | first);
}

/* T1 = effective address, without the segment's base. */
static void load_operand_address(Emit *e, const IrMem *m)
{
    Asm *a = &e->a;
    unsigned base = m->base < R_NONE ? host_of_guest[m->base] : A_NONE;
    unsigned index = m->index < R_NONE ? host_of_guest[m->index] : A_NONE;
    unsigned scale = 1u << m->scale;
    if (m->index < R_NONE && index == A_NONE && m->base < R_NONE) {
        asm_mov_rm(a, 64, H_T1, emit_place(e, m->index));
        asm_shift_ri(a, A_SHL, 64, H_T1, m->scale);
        asm_alu_rm(a, A_ADD, 64, H_T1, emit_place(e, m->base));
        flags_clobber(e);
        base = H_T1;
    } else if (m->index < R_NONE && index == A_NONE) {
        asm_mov_rm(a, 64, index = H_T1, emit_place(e, m->index));
    } else if (m->base == R_IP) {
        asm_mov_rm(a, 64, base = H_T1, REC_FIELD(page));
    } else if (m->base < R_NONE && base == A_NONE) {
        asm_mov_rm(a, 64, base = H_T1, emit_place(e, m->base));
    }
    if (base == A_NONE && index == A_NONE)
        asm_mov_ri(a, 64, H_T1, m->bits == 32 ? (uint32_t)m->disp : (uint64_t)(int64_t)m->disp);
    else
        asm_lea(a, m->bits, H_T1, asm_mem_index(base, index, index == A_NONE ? 1 : scale, m->disp));
}

/* FIP and FDP (cpu/x87_internal.h). */
static void track(Emit *e, X87State *x)
{
    const IrOp *op = e->op;
    x->ip = e->u->insn_offset[e->insn];
    x->used = true;
    if (op->code != IR_X87_R && op->code != IR_X87_W)
        return;
    load_operand_address(e, &op->mem);
    asm_mov_mr(&e->a, 64, FPU_FIELD(dp), H_T1);
    x->ds = op->mem.seg;
}

static void push_new(X87State *x)
{
    guest_push(x);
    note_push(x, x->top);
    change(x, x->top);
    x->c1 = C1_CLEAR;
}

static void emit_load(Emit *e, X87State *x, const Insn *i, const X87Row *r)
{
    const char *encoding = insn_rows[i->row].encoding;
    unsigned source = number(x, i->rm);
    discard(e, x, number(x, 7));
    reserve(e, x, 2);
    if (r->kind == K_LOAD_ST)
        asm_fld_st(&e->a, bring(e, x, source));
    else if (r->kind == K_LOAD_M)
        put_memory(e, encoding, 0);
    else
        put_bytes(e, encoding);
    push_new(x);
}

/* r->op: the form that does not pop has the digit before. */
static void emit_store(Emit *e, X87State *x, const Insn *i, const X87Row *r)
{
    const char *encoding = insn_rows[i->row].encoding;
    bool keep = r->pops && !may_go(e, x, 1);
    reserve(e, x, 2);
    to_top(e, x, x->top);
    if (keep && !r->op)
        asm_fld_st(&e->a, 0);
    put_memory(e, encoding, keep && r->op);
    if (r->pops && !keep) {
        x->dirty &= ~(1u << x->top);
        note_pop(x);
    }
    if (r->pops)
        guest_pop(x);
    x->c1 = C1_HOST;
}

static void copy_to(Emit *e, X87State *x, unsigned to)
{
    discard(e, x, to);
    reserve(e, x, 2);
    asm_fld_st(&e->a, bring(e, x, x->top));
    note_push(x, to);
}

/* ST(i) = ST(0); a popped ST(0) that need not be kept only changes its name. */
static void emit_store_st(Emit *e, X87State *x, const Insn *i, const X87Row *r)
{
    unsigned to = number(x, i->rm), from = x->top;
    if (to != from && r->pops && may_go(e, x, 1)) {
        discard(e, x, to);
        reserve(e, x, 1);
        x->host[bring(e, x, from)] = to;
        x->dirty &= ~(1u << from);
    } else if (to != from) {
        copy_to(e, x, to);
    }
    if (to != from) {
        change(x, to);
        x->tags |= 1u << to;
        x->moved = true;
    }
    if (r->pops && to != from)
        guest_pop(x);
    else
        pop(e, x, r->pops);
    x->c1 = C1_CLEAR;
}

/* Both operands of an instruction between ST(0) and ST(i), in registers. */
static void bring_both(Emit *e, X87State *x, unsigned other)
{
    reserve(e, x, 2);
    bring(e, x, other);
    bring(e, x, x->top);
}

/* `to` = `to` op `from`, one of which must be the host's ST(0). */
static void operate(Emit *e, X87State *x, AsmX87Arith op, unsigned to, unsigned from)
{
    if (find(x, to) && find(x, from))
        to_top(e, x, x->top);
    if (find(x, to) == 0)
        asm_x87_st0(&e->a, op, find(x, from));
    else
        asm_x87_sti(&e->a, op, find(x, to));
    change(x, to);
}

static void emit_arithmetic(Emit *e, X87State *x, const Insn *i, const X87Row *r)
{
    unsigned other = number(x, i->rm), zero = x->top;
    bring_both(e, x, other);
    if (r->kind == K_ST0) {
        operate(e, x, r->op, zero, other);
    } else if (r->pops && other != zero && may_go(e, x, 1)) {
        to_top(e, x, zero);
        asm_x87_stip(&e->a, r->op, find(x, other));
        change(x, other);
        note_pop(x);
        x->dirty &= ~(1u << zero);
    } else {
        operate(e, x, r->op, other, zero);
    }
    if (r->pops)
        guest_pop(x);
    x->c1 = C1_HOST;
}

static void emit_compare(Emit *e, X87State *x, const Insn *i, const X87Row *r)
{
    unsigned other = number(x, insn_rows[i->row].operands[0] ? i->rm : 1);
    bring_both(e, x, other);
    to_top(e, x, x->top);
    if (r->op)
        asm_fucom_st(&e->a, find(x, other));
    else
        asm_x87_st0(&e->a, A_FCOM, find(x, other));
    x->c1 = C1_CLEAR;
    pop(e, x, r->pops);
}

/* C1 stays as it is, though registers may have to be loaded. */
static void keep_c1(Emit *e, X87State *x)
{
    if (x->c1 != C1_HOST)
        return;
    store_status(e, x);
    flags_clobber(e);
}

static void emit_compare_flags(Emit *e, X87State *x, const Insn *i, const X87Row *r)
{
    unsigned other = number(x, i->rm);
    keep_c1(e, x);
    bring_both(e, x, other);
    to_top(e, x, x->top);
    if (r->op)
        asm_fucomi_st(&e->a, find(x, other));
    else
        asm_fcomi_st(&e->a, find(x, other));
    pop(e, x, r->pops);
    flags_produced_image(e);
}

static void emit_move_if(Emit *e, X87State *x, const Insn *i)
{
    unsigned other = number(x, i->rm);
    keep_c1(e, x);
    bring_both(e, x, other);
    to_top(e, x, x->top);
    flags_to_host(e, ir_reads(e->op));
    put_st(e, insn_rows[i->row].encoding, find(x, other));
    change(x, x->top);
}

static void emit_exchange(Emit *e, X87State *x, const Insn *i)
{
    unsigned other = number(x, i->rm), zero = x->top;
    bring_both(e, x, other);
    unsigned p = bring(e, x, other), q = bring(e, x, zero); /* which are there */
    x->host[p] = zero;
    x->host[q] = other;
    if (p != q) {
        change(x, zero);
        change(x, other);
    }
    x->c1 = C1_CLEAR;
}

/* One operand, ST(0), at the host's top. */
static void emit_on_top(Emit *e, X87State *x, const Insn *i, const X87Row *r)
{
    const char *encoding = insn_rows[i->row].encoding;
    reserve(e, x, 1);
    to_top(e, x, x->top);
    switch (r->kind) {
    case K_ARITH_M:
    case K_UNARY:
        if (r->kind == K_UNARY)
            put_bytes(e, encoding);
        else
            put_memory(e, encoding, 0);
        change(x, x->top);
        x->c1 = C1_HOST;
        break;
    case K_COMPARE_M:
        put_memory(e, encoding, r->pops);
        x->c1 = C1_CLEAR;
        pop(e, x, r->pops);
        break;
    default:
        put_bytes(e, encoding);
        x->c1 = r->op ? C1_HOST : C1_CLEAR;
        break;
    }
}

/* Whether the registers that an instruction needs are full or empty, as the guest's stack is taken to be. */
static bool stack_fits(const X87State *x, const Insn *i, const X87Row *r)
{
    switch (r->kind) {
    case K_LOAD_M: case K_CONSTANT: return !is_full(x, 7);
    case K_LOAD_ST: return !is_full(x, 7) && is_full(x, i->rm);
    case K_ROTATE: case K_NOP: case K_WAIT: return true;
    case K_ST0: case K_STI: case K_COMPARE_FLAGS: case K_EXCHANGE: case K_MOVE_IF:
        return is_full(x, 0) && is_full(x, i->rm);
    case K_COMPARE: return is_full(x, 0) && is_full(x, insn_rows[i->row].operands[0] ? i->rm : 1);
    default: return is_full(x, 0);
    }
}

static void emit_row(Emit *e, X87State *x, const Insn *i, const X87Row *r)
{
    switch (r->kind) {
    case K_LOAD_M: case K_LOAD_ST: case K_CONSTANT: emit_load(e, x, i, r); break;
    case K_STORE_M: emit_store(e, x, i, r); break;
    case K_STORE_ST: emit_store_st(e, x, i, r); break;
    case K_ST0: case K_STI: emit_arithmetic(e, x, i, r); break;
    case K_COMPARE: emit_compare(e, x, i, r); break;
    case K_COMPARE_FLAGS: emit_compare_flags(e, x, i, r); break;
    case K_EXCHANGE: emit_exchange(e, x, i); break;
    case K_MOVE_IF: emit_move_if(e, x, i); break;
    case K_ROTATE:
        x->top = number(x, r->op);
        x->moved = true;
        x->c1 = C1_CLEAR;
        break;
    case K_NOP: case K_WAIT: break;
    default: emit_on_top(e, x, i, r); break;
    }
}

/* Masks all set: nothing can be pending before or after. */
static void emit_load_control(Emit *e)
{
    Asm *a = &e->a;
    AsmLabel *slow = emit_slow(e);
    asm_movzx_rm(a, 32, 16, H_T1, asm_mem(H_T0, 0));
    asm_mov_rr(a, 32, H_T0, H_T1);
    asm_alu_ri(a, A_AND, 32, H_T0, FCW_MASKS);
    asm_alu_ri(a, A_CMP, 32, H_T0, FCW_MASKS);
    asm_jcc(a, A_NE, slow);
    asm_alu_ri(a, A_AND, 32, H_T1, FCW_WRITABLE);
    asm_alu_ri(a, A_OR, 32, H_T1, FCW_FIXED);
    asm_mov_mr(a, 16, FPU_FIELD(control), H_T1);
    asm_fldcw_m16(a, FPU_FIELD(control));
    flags_clobber(e);
}

static void emit_status_word(Emit *e, X87State *x)
{
    if (x->used) {
        store_status(e, x);
        flags_clobber(e);
    }
    asm_movzx_rm(&e->a, 32, 16, H_T1, FPU_FIELD(status));
    if (x->top) {
        asm_alu_ri(&e->a, A_OR, 32, H_T1, x->top << 11);
        flags_clobber(e);
    }
    emit_write(e, e->op->dst, 2, H_T1);
}

static void emit_control_word(Emit *e)
{
    asm_movzx_rm(&e->a, 32, 16, H_T1, FPU_FIELD(control));
    emit_write(e, e->op->dst, 2, H_T1);
}

void emit_x87(Emit *e)
{
    const Insn *i = &e->u->block->insn[e->insn];
    const X87Row *r = &rows[i->row];
    X87State *x = &e->xmm.x87;
    bool word = e->op->code == IR_X87_SW || e->op->code == IR_X87_LDCW;
    if (e->op->code == IR_X87_CW) {
        emit_control_word(e);
        return;
    }
    if (x->lost || !host_has_row(e, i) || (!word && !stack_fits(x, i, r))) {
        x87_forget(x, ROW_COUNT);
        x->lost = true;
        asm_jmp(&e->a, emit_slow(e));
        flags_clobber(e);
        if (e->op->code == IR_X87_CMP)
            flags_produced_image(e);
        return;
    }
    check_state(e, x);
    if (e->op->code == IR_X87_SW) {
        emit_status_word(e, x);
    } else if (word) {
        emit_load_control(e);
    } else {
        if (r->kind != K_WAIT)
            track(e, x);
        emit_row(e, x, i, r);
    }
}
