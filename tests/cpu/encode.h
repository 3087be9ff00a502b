/* Encodings made from the rows of the instruction table (cpu/insn.h), for generated tests. */
#ifndef MYNA_TESTS_CPU_ENCODE_H
#define MYNA_TESTS_CPU_ENCODE_H

#include "cpu/insn.h"
#include "tests/cpu/random.h"

/* What an encoding may use: general registers as bit masks, and chances in percent. */
typedef struct EncodeWish {
    uint16_t values;         /* operands; one of AX, CX and DX at least */
    uint16_t bases, indexes; /* of memory operands; index registers beside */
    uint8_t indexed;         /* chance of an index */
    uint8_t absolute;        /* of an address that is a displacement alone (relative to RIP in 64-bit code) */
    uint8_t segment;         /* of an FS or GS prefix */
    uint8_t memory;          /* of memory where a register would do */
} EncodeWish;

/* Any register. */
extern const EncodeWish encode_anything;

typedef struct Encoded {
    uint8_t code[16], length;
    uint8_t disp_at;         /* where the displacement of an absolute address stands; 0: there is none */
    Insn insn;               /* decoded again */
} Encoded;

/*
 * Makes one instruction of a row for a code size (SZ32 or SZ64); false when what came out is none, or another row's: a
 * further attempt may succeed.
 */
bool encode_row(const InsnDecoder *d, Random *r, unsigned row, unsigned size, const EncodeWish *wish, Encoded *out);

#endif
