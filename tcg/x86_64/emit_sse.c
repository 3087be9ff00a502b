/*
 * Vector operations (emit.h).
 *
 * An instruction is done by the host's own instruction of the same row, on the same registers: guest XMM register n
 * lives in host register n from its first use in a unit to its end, or to the next call of C.  XmmState tells what is
 * known at a point of the code; memory (Cpu.vec) is brought up to date before anything leaves the unit.
 *
 * Arithmetic runs under the guest's MXCSR, loaded when it is first needed after C has run, if it masks all exceptions:
 * the host then never traps, and keeps the sticky flags itself.  An unmasked exception makes each arithmetic instruction
 * take its slow path, and goes on elsewhere behind it: see xmm_resume().
 */
#include <stdlib.h>
#include <string.h>

#include "cpu/rows.h"
#include "tcg/x86_64/emit.h"
#include "tcg/x86_64/encode.h"

#define VEC_FIELD(n) asm_mem(H_CPU, offsetof(Cpu, vec) + (n) * sizeof(Vec))
#define OPMASK_FIELD(n) asm_mem(H_CPU, offsetof(Cpu, opmask) + (n) * sizeof(uint64_t))

/* ---- registers ---- */

/* Moves between host register n and Cpu.vec; registers from 16 on need EVEX. */
static void move_register(Emit *e, unsigned n, bool store)
{
    AsmMem field = VEC_FIELD(n);
    if (e->width == 16)
        asm_sse_rm(&e->a, store ? S_MOVAPS_ST : S_MOVAPS, n, field);
    else if (e->width == 32)
        asm_vex_rm(&e->a, store ? S_MOVAPS_ST : S_MOVAPS, 1, n, field);
    else
        asm_vmov512(&e->a, n, field, store);
}

static void opmask_store(Emit *e, XmmState *x)
{
    for (unsigned n = 0; n < 8; n++)
        if (x->opmask_dirty >> n & 1)
            asm_kmovq(&e->a, n, OPMASK_FIELD(n), true);
    x->opmask_dirty = 0;
}

void xmm_store(Emit *e, XmmState *x)
{
    for (unsigned n = 0; n < 32; n++)
        if (x->dirty >> n & 1)
            move_register(e, n, true);
    x->dirty = 0;
    opmask_store(e, x);
}

void xmm_load(Emit *e, uint32_t set)
{
    for (unsigned n = 0; n < 32; n++)
        if (set >> n & 1)
            move_register(e, n, false);
}

void opmask_load(Emit *e, uint8_t set)
{
    for (unsigned n = 0; n < 8; n++)
        if (set >> n & 1)
            asm_kmovq(&e->a, n, OPMASK_FIELD(n), false);
}

void xmm_resume(Emit *e, const XmmState *after, bool wants_flags)
{
    if (after->mxcsr) {
        asm_call_abs(&e->a, e->be->thunks.mxcsr, A_NONE);
        asm_jcc_abs(&e->a, A_NE, e->be->thunks.elsewhere, A_NONE);
    }
    x87_resume(e, &after->x87);
    if (wants_flags)
        asm_call_abs(&e->a, e->be->thunks.flags, A_NONE);
    xmm_load(e, after->valid);
    opmask_load(e, after->opmask_valid);
}

static bool is_avx(const IrOp *op) { return op->code >= IR_AVX && op->code <= IR_FAVX_FLAGS; }

static void add_use(XmmState *x, const IrOp *op)
{
    const IrArg args[3] = { op->dst, op->a, op->b };
    for (unsigned j = 0; j < 3; j++)
        if (ir_is_x(args[j])) {
            x->valid |= 1u << ir_number(args[j]);
            x->dirty |= j ? 0 : 1u << ir_number(args[j]);
        }
}

static void add_avx_use(XmmState *x, const Insn *i)
{
    VectorUse use = avx_use(i);
    x->valid |= use.reads | use.writes;
    x->dirty |= use.writes;
    x->opmask_valid |= use.opmask_reads | use.opmask_writes;
    x->opmask_dirty |= use.opmask_writes;
}

XmmState xmm_unit_use(const Emit *e)
{
    const IrUnit *u = e->u;
    XmmState x = { 0 };
    unsigned insn = 0;
    for (unsigned k = 0; k < u->count; k++) {
        const IrOp *op = &u->op[k];
        if (op->code == IR_INSN)
            insn = op->imm;
        if (is_avx(op))
            add_avx_use(&x, &u->block->insn[insn + op->part]);
        else
            add_use(&x, op);
    }
    if (e->width == 64)
        return x;
    /* The host has not got the others: what uses them is a call. */
    return (XmmState){ .valid = x.valid & 0xffff, .dirty = x.dirty & 0xffff };
}

static void need(Emit *e, IrArg x)
{
    unsigned bit = ir_is_x(x) ? 1u << ir_number(x) : 0;
    xmm_load(e, bit & ~e->xmm.valid);
    e->xmm.valid |= bit;
}

static void written(Emit *e, IrArg x)
{
    unsigned bit = ir_is_x(x) ? 1u << ir_number(x) : 0;
    e->xmm.valid |= bit;
    e->xmm.dirty |= bit;
}

/* ---- MXCSR ---- */

void check_mxcsr(Emit *e)
{
    if (e->xmm.mxcsr)
        return;
    StateCheck *c = &e->check[e->checks++];
    *c = (StateCheck){ .insn = e->insn, .thunk = e->be->thunks.mxcsr };
    emit_slow(e);
    asm_alu_mi(&e->a, A_CMP, 8, REC_FIELD(mxcsr_here), 0);
    asm_jcc(&e->a, A_E, &c->enter);
    asm_bind(&e->a, &c->back);
    flags_clobber(e);
    e->xmm.mxcsr = true;
}

void emit_check(Emit *e, StateCheck *c)
{
    asm_bind(&e->a, &c->enter);
    asm_call_abs(&e->a, c->thunk, A_NONE);
    asm_jcc(&e->a, A_E, &c->back);
    asm_jmp(&e->a, &e->slow[c->insn].enter);
}

/* ---- instructions ---- */

/* The host's instruction: an opcode word (encode.h), and the reg field where it belongs to the opcode. */
typedef struct HostInsn {
    uint32_t op;
    int digit;      /* or -1 */
    bool imm, swap; /* the first operand is in ModRM.rm */
} HostInsn;

/* Moves past the cache, which are ordinary ones here: the host's order of stores is then the guest's. */
static bool moves_past_cache(unsigned row, HostInsn *h)
{
    switch (row) {
    case ROW_MOVNTPS_MpsVps: case ROW_MOVNTPD_MpdVpd: case ROW_MOVNTDQ_MdqVdq: h->op = OP_0F | 0x29; return true;
    case ROW_MOVNTDQA: h->op = OP_0F | 0x28; return true;
    default: return false;
    }
}

static bool is_word(const char *text, const char *word)
{
    size_t n = strlen(word);
    return !strncmp(text, word, n) && (text[n] == ' ' || !text[n]);
}

/* Each word of a row's encoding in turn (cpu/insn.h): prefix, map, opcode, then the rest. */
static const char *next_word(const char *p)
{
    p += strcspn(p, " ");
    return p + strspn(p, " ");
}

static HostInsn host_insn(const Insn *i)
{
    const InsnRow *row = &insn_rows[i->row];
    const char *p = row->encoding;
    HostInsn h = { .digit = -1, .imm = strstr(row->operands, ",Ib"), .swap = !strchr("VG", row->operands[0]) };
    if (moves_past_cache(i->row, &h))
        return h;
    h.op = is_word(p, "66") ? OP_66 : is_word(p, "F3") ? OP_F3 : is_word(p, "F2") ? OP_F2 : 0;
    p = next_word(p);
    h.op |= is_word(p, "0F38") ? OP_0F38 : is_word(p, "0F3A") ? OP_0F3A : OP_0F;
    p = next_word(p);
    h.op |= strtoul(p, NULL, 16);
    for (p = next_word(p); *p; p = next_word(p)) {
        if (is_word(p, "W1"))
            h.op |= OP_W;
        else if (p[0] == '/' && p[1] != 'r')
            h.digit = p[1] - '0';
    }
    if (i->osz == SZ64 && (strchr(row->operands, 'y') || i->row == ROW_PCMPESTRI || i->row == ROW_PCMPESTRM))
        h.op |= OP_W;
    return h;
}

/* A register or memory operand of the host; a general register that has none of its own is T1. */
static AsmMem operand(Emit *e, IrArg x, bool is_result)
{
    if (ir_is_x(x))
        return asm_reg(ir_number(x));
    if (ir_is_m(x))
        return asm_mem(H_T0, e->op->at);
    if (!is_result)
        return asm_reg(emit_read(e, x, 8, H_T1));
    return asm_reg(host_of_guest[x] == A_NONE ? H_T1 : host_of_guest[x]);
}

static void put_insn(Emit *e, const HostInsn *h, AsmMem first, AsmMem second)
{
    AsmMem rm = h->swap ? first : second, reg = h->swap ? second : first;
    if (put_op(&e->a, h->op, h->digit >= 0 ? (unsigned)h->digit : reg.base, &rm, h->imm) && h->imm)
        put8(&e->a, e->op->imm);
}

/* Two operands: the destination, if it has the form of one, and the source. */
static void emit_host(Emit *e, const Insn *i)
{
    const IrOp *op = e->op;
    bool compares = op->dst == IR_NONE || op->code == IR_VFIND;
    IrArg first = compares ? op->a : op->dst, second = compares ? op->b : op->a;
    HostInsn h = host_insn(i);
    if ((op->code != IR_VSET && op->code != IR_FSET) || e->width > 16)
        need(e, first); /* SSE keeps the upper part */
    if (e->width > 16)
        need(e, op->dst);
    need(e, second);
    if (op->code == IR_VMOD3)
        need(e, op->b);
    AsmMem to = operand(e, first, !compares);
    put_insn(e, &h, to, second == IR_IMM ? to : operand(e, second, false));
    written(e, op->dst);
    if (!compares && ir_is_g(op->dst) && host_of_guest[op->dst] == A_NONE)
        emit_write(e, op->dst, 8, H_T1);
}

static bool uses_mxcsr(const IrOp *op) { return op->code == IR_FSET || op->code == IR_FMOD || op->code == IR_FCMP; }

static void emit_fence(Emit *e)
{
    if (e->op->imm == 1)
        asm_lfence(&e->a);
    else if (e->op->imm == 2)
        asm_sfence(&e->a);
    else
        asm_mfence(&e->a);
}

/* What the host lacks takes the slow path each time; the rest is then never reached, but keeps what is known right. */
void emit_vector(Emit *e)
{
    const Insn *i = &e->u->block->insn[e->insn + e->op->part];
    if (e->op->code == IR_FENCE) {
        emit_fence(e);
        return;
    }
    if (!host_has_row(e, i)) {
        asm_jmp(&e->a, emit_slow(e));
        flags_clobber(e);
    } else if (uses_mxcsr(e->op)) {
        check_mxcsr(e);
    }
    emit_host(e, i);
    if (ir_info[e->op->code].writes)
        flags_produced_image(e);
}
