/* Numbers of the instruction table's rows, ROW_ID: indices into insn_rows[]. */
#ifndef MYNA_CPU_ROWS_H
#define MYNA_CPU_ROWS_H

enum {
#define INSN(id, mnemonic, encoding, operands, feature, reads, writes, undefined, attr, sem) ROW_##id,
#include "cpu/table/all.def"
#undef INSN
    ROW_COUNT
};

#endif
