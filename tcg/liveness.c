/*
 * Which flags anybody will see.
 *
 * The flags of a producer are seen by operations that read them, and by every place where the unit may be left: exits,
 * calls, slow paths of later instructions.  They are gone at the next full producer (one that writes all six, be some
 * of them undefined).  A slow path sees the flags as they were before its instruction, so checks of the instruction that
 * produces flags do not see them.
 */
#include "tcg/ir.h"

/* Operations that leave a host's flags alone, whatever the host: moves between registers, and readers of flags. */
static bool keeps_flags(const IrOp *op)
{
    switch (op->code) {
    case IR_INSN: case IR_LEA: return true;
    case IR_MOV: case IR_ZEXT: case IR_SEXT: return !ir_is_h(op->dst) && !ir_is_h(op->a);
    case IR_SETCC: case IR_CMOV: case IR_ADC: case IR_SBB: return true;
    default: return false;
    }
}

/* By a count in a register: it may be 0, and the flags are then those of before. */
static bool may_write_nothing(const IrOp *op) { return op->code >= IR_SHL && op->code <= IR_ROR && op->b != IR_IMM; }

static void find_uses(IrUnit *u, unsigned k)
{
    IrOp *producer = &u->op[k];
    uint32_t mask = ir_info[producer->code].writes | (may_write_nothing(producer) ? F_OF : 0); /* rotates by 1 */
    bool own_insn = true, at_once = !may_write_nothing(producer);
    for (unsigned j = k + 1; j < u->count; j++) {
        const IrOp *op = &u->op[j];
        bool reads = ir_reads(op) & mask;
        own_insn &= op->code != IR_INSN;
        bool left = (ir_effects(op) & (E_EXIT | E_CALL)) || ((ir_effects(op) & E_CHECK) && !own_insn);
        at_once &= keeps_flags(op) && !(ir_reads(op) & ~mask); /* ZF after BT is asked for elsewhere, which loses CF */
        if (reads && at_once)
            producer->flags_next = true;
        if (left || (reads && !at_once)) {
            producer->flags_seen = true;
            producer->last = j;
        }
        if (ir_info[op->code].writes == F_ARITH || op->code == IR_CALL)
            break; /* after a call they are in memory */
    }
}

void ir_find_live_flags(IrUnit *u)
{
    for (unsigned k = 0; k < u->count; k++)
        if (ir_info[u->op[k].code].writes)
            find_uses(u, k);
}
