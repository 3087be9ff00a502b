/* From decoded instructions to the intermediate representation (ir.h): the frame; the instructions are in lower_*.c. */
#include "tcg/lower.h"

#include <string.h>

IrOp *lower_op(Lower *l, unsigned code, unsigned size, IrArg dst, IrArg a, IrArg b)
{
    IrOp *op = &l->u->op[l->u->count++];
    *op = (IrOp){ .code = code, .size = size, .dst = dst, .a = a, .b = b, .mem = { .base = R_NONE, .index = R_NONE } };
    return op;
}

IrOp *lower_op_imm(Lower *l, unsigned code, unsigned size, IrArg dst, IrArg a, int64_t imm)
{
    IrOp *op = lower_op(l, code, size, dst, a, IR_IMM);
    op->imm = imm;
    return op;
}

bool lower_mem(Lower *l, IrMem *m)
{
    const Insn *i = l->i;
    int64_t disp = i->disp + (i->base == R_IP ? (int64_t)l->offset : 0);
    if (i->asz == SZ16 || i->index == R_SIXTEEN || disp != (int32_t)disp)
        return false;
    if (!lower_code64(l) && (i->seg == SEG_CS || i->seg >= SEG_FS))
        return false;
    *m = (IrMem){ .base = i->base, .index = i->index, .scale = i->scale, .seg = i->seg, .disp = disp,
                  .bits = i->asz == SZ64 ? 64 : 32 };
    return true;
}

bool lower_ref(Lower *l, unsigned code, unsigned size, unsigned n)
{
    IrMem m;
    if (!lower_mem(l, &m))
        return false;
    IrOp *op = lower_op(l, code, size, ir_t(n), IR_NONE, IR_NONE);
    op->mem = m;
    op->from = size;
    return true;
}

IrArg lower_reg(unsigned n, unsigned size) { return size == 1 && n & 16 ? IR_H + (n & 3) : n; }

IrArg lower_rm(Lower *l, unsigned size)
{
    if (!l->i->mem)
        return lower_reg(l->i->rm, size);
    return lower_ref(l, IR_REF_R, size, 0) ? ir_m(0) : IR_NONE;
}

static const Lowering *find_lowering(unsigned row)
{
    static const Lowering *const tables[] = { lower_int_rows, lower_flow_rows, lower_sse_rows, lower_x87_rows,
                                             lower_system_rows };
    for (unsigned k = 0; k < G_N_ELEMENTS(tables) && row < ROW_COUNT; k++)
        if (tables[k][row].fn)
            return &tables[k][row];
    return NULL;
}

/* Whether the function is the row's own one, and not one that raises #UD or #NM because of the mode. */
static bool has_own_function(const Insn *i)
{
    const Sem *sem = insn_rows[i->row].sem;
    InsnFn *const *fn = i->mem ? sem->mem : sem->reg;
    return i->fn == fn[0] || i->fn == fn[1] || i->fn == fn[2];
}

static bool lower_known(Lower *l)
{
    const Lowering *known = find_lowering(l->i->row);
    unsigned count = l->u->count;
    if (!has_own_function(l->i))
        return false;
    if (known ? known->fn(l, known->code, known->size ? known->size : insn_size(l->i)) : lower_avx(l))
        return true;
    l->u->count = count;
    return false;
}

static void lower_call(Lower *l)
{
    uint32_t attr = insn_rows[l->i->row].attr;
    lower_op(l, IR_CALL, 0, IR_NONE, IR_NONE, IR_NONE);
    bool last = l->u->insns == l->u->block->count;
    if (attr & A_REP) {
        lower_op(l, IR_REPEAT, 0, IR_NONE, IR_NONE, IR_NONE);
    } else if ((attr & (A_JUMP | A_END)) && !((attr & A_SHADOW) && !last)) {
        lower_op(l, IR_NEXT, 0, IR_NONE, IR_NONE, IR_NONE);
        l->ends = true;
    }
}

static bool pushes_immediate(const Insn *i) { return i->row == ROW_PUSH_Ib || i->row == ROW_PUSH_Iz; }

/* IR_PUSHES or IR_POPS, if the instruction can be part of one; else IR_CALL. */
static unsigned group_code(const Insn *i)
{
    bool immediate = pushes_immediate(i);
    if (i->osz != SZ64 || !has_own_function(i) || (!immediate && i->reg == R_SP))
        return IR_CALL;
    return immediate || i->row == ROW_PUSH_Zv ? IR_PUSHES : i->row == ROW_POP_Zv ? IR_POPS : IR_CALL;
}

/* A row of pushes or pops as one operation; returns how many instructions that were, 1 if it is none. */
static unsigned lower_group(Lower *l)
{
    const Insn *end = l->u->block->insn + l->u->block->count;
    unsigned code = lower_code64(l) ? group_code(l->i) : IR_CALL, n = 0;
    while (code != IR_CALL && n < IR_GROUP_MAX && l->i + n < end && group_code(l->i + n) == code)
        n++;
    if (n < 2)
        return 1;
    IrOp *op = lower_op(l, code, 8, IR_NONE, IR_NONE, IR_NONE);
    op->from = n;
    for (unsigned k = 0; k < n; k++)
        op->imm |= (int64_t)(pushes_immediate(l->i + k) ? R_SP : l->i[k].reg) << (4 * k);
    return n;
}

void ir_lower(IrUnit *u, Block *block)
{
    Lower l = { .u = u, .offset = block->pool_offset & (GUEST_PAGE_SIZE - 1) };
    u->block = block;
    u->code64 = (block->key & KEY_SIZE) == SZ64;
    u->page_offset = l.offset;
    u->count = u->insns = 0;
    while (u->insns < block->count && !l.ends) {
        l.i = &block->insn[u->insns];
        lower_op(&l, IR_INSN, 0, IR_NONE, IR_NONE, IR_NONE)->imm = u->insns;
        unsigned span = u->span[u->insns] = lower_group(&l), next = l.offset;
        for (unsigned k = 0; k < span; k++) {
            u->insn_offset[u->insns++] = next;
            next += l.i[k].len;
        }
        if (span == 1 && !lower_known(&l))
            lower_call(&l);
        l.offset = next;
    }
    u->insn_offset[u->insns] = l.offset;
    if (l.ends)
        return;
    IrOp *op = lower_op(&l, IR_EXIT, 0, IR_NONE, IR_NONE, IR_NONE);
    op->imm = l.offset;
    op->far = u->insns < IR_MAX_INSNS; /* what follows was not decoded: it goes on in the next page */
}
