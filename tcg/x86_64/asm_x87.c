/* x87 instructions with memory or two registers; the others are bytes in asm.h (Intel SDM vol. 2, B.17). */
#include "tcg/x86_64/encode.h"

#define ASM_X87_MEM(name, byte, digit)                                                                                 \
    void asm_##name(Asm *a, AsmMem m) { put_group(a, OP_MEM | (byte), digit, &m, 0); }
ASM_X87_MEM_LIST(ASM_X87_MEM)

static void put_st(Asm *a, uint8_t first, unsigned op, unsigned i)
{
    a->bad |= i > 7;
    asm_bytes(a, 2, (uint64_t)(0xc0 | op << 3 | (i & 7)) << 8 | first);
}

/* With st(i) as the destination, the two directions of subtraction and division have each other's encoding. */
static unsigned reversed(AsmX87Arith op)
{
    return op >= A_FSUB ? op ^ 1 : op;
}

void asm_x87_st0(Asm *a, AsmX87Arith op, unsigned i)
{
    put_st(a, 0xd8, op, i);
}

void asm_x87_sti(Asm *a, AsmX87Arith op, unsigned i)
{
    a->bad |= op == A_FCOM || op == A_FCOMP;
    put_st(a, 0xdc, reversed(op), i);
}

void asm_x87_stip(Asm *a, AsmX87Arith op, unsigned i)
{
    a->bad |= op == A_FCOM || op == A_FCOMP;
    put_st(a, 0xde, reversed(op), i);
}

void asm_x87_m(Asm *a, AsmX87Arith op, unsigned size, AsmMem m)
{
    put_group(a, OP_MEM | (size == 32 ? 0xd8 : 0xdc), op, &m, 0);
}

void asm_x87_int_m(Asm *a, AsmX87Arith op, unsigned size, AsmMem m)
{
    put_group(a, OP_MEM | (size == 32 ? 0xda : 0xde), op, &m, 0);
}
