/* The instruction table as data: every row of cpu/table, in one array. */
#include "cpu/features.h"
#include "cpu/insn.h"

#define INSN(id, mnemonic, encoding, operands, feature, fr, fw, fu, attr, sem) extern const Sem sem_##sem;
#include "cpu/table/all.def"
#undef INSN

void insn_undefined(Cpu *cpu, const Insn *i);
SEM_1(insn_undefined)
extern const Sem sem_insn_undefined;

#define INSN(id, mnemonic, encoding, operands, feature, fr, fw, fu, attr, sem)                                         \
    { #id, mnemonic, encoding, operands, FEAT_##feature, fr, fw, fu, attr, &sem_##sem },
const InsnRow insn_rows[] = {
#include "cpu/table/all.def"
    { "BAD", "(bad)", "", "", FEAT_BASE, 0, 0, 0, A_JUMP, &sem_insn_undefined },
    { "MARK", "(mark)", "", "", FEAT_BASE, 0, 0, 0, 0, &sem_insn_undefined },
};
#undef INSN

const unsigned insn_row_count = sizeof insn_rows / sizeof insn_rows[0] - 2;
