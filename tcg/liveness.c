/*
 * Which flags anybody will see.
 *
 * The flags of a producer are seen by operations that read them, and by every place where the unit may be left: exits,
 * calls, slow paths of later instructions.  They are gone at the next full producer (one that writes all six, be some
 * of them undefined).  A slow path sees the flags as they were before its instruction, so checks of the instruction that
 * produces flags do not see them.
 */
#include "tcg/ir.h"

/* Whether flags in `mask` may be seen after operation k; *last is the last operation that sees them. */
static bool flags_seen(const IrUnit *u, unsigned k, uint32_t mask, uint16_t *last)
{
    bool seen = false, own_insn = true;
    for (unsigned j = k + 1; j < u->count; j++) {
        const IrOp *op = &u->op[j];
        const IrInfo *info = &ir_info[op->code];
        own_insn &= op->code != IR_INSN;
        if ((ir_reads(op) & mask) || (ir_effects(op) & (E_EXIT | E_CALL)) || ((ir_effects(op) & E_CHECK) && !own_insn)) {
            seen = true;
            *last = j;
        }
        if (info->writes == F_ARITH || op->code == IR_CALL)
            break; /* after a call they are in memory */
    }
    return seen;
}

void ir_find_live_flags(IrUnit *u)
{
    for (unsigned k = 0; k < u->count; k++) {
        IrOp *op = &u->op[k];
        uint32_t writes = ir_info[op->code].writes;
        op->flags_seen = writes && flags_seen(u, k, writes, &op->last);
    }
}
