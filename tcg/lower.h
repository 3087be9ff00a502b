/*
 * How lowerings are written.  A lowering is a function that appends the operations of one instruction, and a line in
 * a table of its file that names the row (ROW_ID: cpu/table) with what the function needs to know.  It returns false,
 * having appended nothing that matters, when it does not know this form: the instruction is then a CALL.
 */
#ifndef MYNA_TCG_LOWER_H
#define MYNA_TCG_LOWER_H

#include "tcg/ir.h"
#include "cpu/rows.h"

typedef struct Lower {
    IrUnit *u;
    const Insn *i;
    unsigned offset; /* of the instruction in the page */
    bool ends;       /* the instruction has ended the unit */
} Lower;

typedef struct Lowering {
    bool (*fn)(Lower *l, unsigned code, unsigned size);
    uint8_t code; /* handed to fn: IrCode, condition, ... */
    uint8_t size; /* handed to fn: bytes; 0 becomes the operand size */
} Lowering;

/* Of VEX and EVEX rows (lower_avx.c), which are in no table. */
bool lower_avx(Lower *l);

/* By row; fn is NULL where there is no lowering. */
extern const Lowering lower_int_rows[ROW_COUNT], lower_flow_rows[ROW_COUNT], lower_sse_rows[ROW_COUNT],
    lower_x87_rows[ROW_COUNT], lower_system_rows[ROW_COUNT];

/* Appends an operation with no operands but dst, a and b; room is never short. */
IrOp *lower_op(Lower *l, unsigned code, unsigned size, IrArg dst, IrArg a, IrArg b);
IrOp *lower_op_imm(Lower *l, unsigned code, unsigned size, IrArg dst, IrArg a, int64_t imm); /* b is the immediate */

/* The instruction's memory operand; false when it needs what code outside the slow path cannot do. */
bool lower_mem(Lower *l, IrMem *m);

/* A checked host pointer to it in T(n), for `code` IR_REF_R and so on; false as above. */
bool lower_ref(Lower *l, unsigned code, unsigned size, unsigned n);

/* ModRM.rm as a value that is read: the register, or M(0); IR_NONE as above.  Register numbers as operands. */
IrArg lower_rm(Lower *l, unsigned size);
IrArg lower_reg(unsigned n, unsigned size);

static inline unsigned insn_size(const Insn *i) { return 2u << i->osz; }
static inline bool lower_code64(const Lower *l) { return l->u->code64; }

#endif
