/* Moves, conversions of width, the stack and atomic exchanges (Intel SDM vol. 2). */
#include "tcg/x86_64/encode.h"

void asm_mov_rr(Asm *a, unsigned size, AsmReg reg, AsmReg from)
{
    asm_mov_mr(a, size, asm_reg(reg), from);
}

void asm_mov_rm(Asm *a, unsigned size, AsmReg reg, AsmMem rm)
{
    put_op(a, op_any_size(0x8a, size), reg, &rm, 0);
}

void asm_mov_mr(Asm *a, unsigned size, AsmMem rm, AsmReg reg)
{
    put_op(a, op_any_size(0x88, size), reg, &rm, 0);
}

static void mov_ri_narrow(Asm *a, unsigned size, AsmReg reg, uint64_t imm)
{
    uint32_t op = size == 8 ? 0xb0 | OP_R8 : op_size(0xb8, size);

    if (put_short(a, op, reg))
        put_imm(a, size, imm);
}

void asm_mov_ri(Asm *a, unsigned size, AsmReg reg, uint64_t imm)
{
    if (size < 64)
        mov_ri_narrow(a, size, reg, imm);
    else if (imm <= UINT32_MAX)
        mov_ri_narrow(a, 32, reg, imm);
    else if (fits32(imm))
        asm_mov_mi(a, 64, asm_reg(reg), imm);
    else
        asm_mov_ri64(a, reg, imm);
}

void asm_mov_ri64(Asm *a, AsmReg reg, uint64_t imm)
{
    if (put_short(a, 0xb8 | OP_W, reg))
        put_imm(a, 64, imm);
}

void asm_mov_mi(Asm *a, unsigned size, AsmMem rm, int64_t imm)
{
    a->bad |= size == 64 && !fits32(imm);
    if (put_group(a, op_any_size(0xc6, size), 0, &rm, imm_size(size) / 8))
        put_imm(a, imm_size(size), imm);
}

void asm_mov_address(Asm *a, AsmReg reg, uint64_t address)
{
    if (address > UINT32_MAX && asm_reaches(a, address))
        asm_lea(a, 64, reg, asm_mem_address(address));
    else
        asm_mov_ri(a, 64, reg, address);
}

void asm_zero(Asm *a, AsmReg reg)
{
    asm_alu_rr(a, A_XOR, 32, reg, reg);
}

/* Zero extension to 64 bits is what every 32-bit operation does: no REX.W. */
void asm_movzx_rm(Asm *a, unsigned size, unsigned from, AsmReg reg, AsmMem rm)
{
    uint32_t narrow = size == 64 ? 32 : size;

    a->bad |= from >= size;
    if (from == 32)
        asm_mov_rm(a, 32, reg, rm);
    else if (from == 16)
        put_op(a, op_size(OP_0F | 0xb7, narrow), reg, &rm, 0);
    else
        put_op(a, op_size(OP_0F | OP_M8 | 0xb6, narrow), reg, &rm, 0);
}

void asm_movsx_rm(Asm *a, unsigned size, unsigned from, AsmReg reg, AsmMem rm)
{
    a->bad |= from >= size;
    if (from == 32)
        put_op(a, op_size(0x63, size), reg, &rm, 0);
    else if (from == 16)
        put_op(a, op_size(OP_0F | 0xbf, size), reg, &rm, 0);
    else
        put_op(a, op_size(OP_0F | OP_M8 | 0xbe, size), reg, &rm, 0);
}

void asm_lea(Asm *a, unsigned size, AsmReg reg, AsmMem m)
{
    put_op(a, op_size(OP_MEM | 0x8d, size), reg, &m, 0);
}

void asm_cmov_rm(Asm *a, AsmCond cond, unsigned size, AsmReg reg, AsmMem rm)
{
    put_op(a, op_size(OP_0F | 0x40 | cond, size), reg, &rm, 0);
}

void asm_setcc_m(Asm *a, AsmCond cond, AsmMem rm)
{
    put_op(a, OP_0F | OP_M8 | 0x90 | cond, 0, &rm, 0);
}

void asm_bswap(Asm *a, unsigned size, AsmReg reg)
{
    a->bad |= size < 32;
    put_short(a, op_size(OP_0F | 0xc8, size), reg);
}

void asm_movbe_rm(Asm *a, unsigned size, AsmReg reg, AsmMem m)
{
    put_op(a, op_size(OP_MEM | OP_0F38 | 0xf0, size), reg, &m, 0);
}

void asm_movbe_mr(Asm *a, unsigned size, AsmMem m, AsmReg reg)
{
    put_op(a, op_size(OP_MEM | OP_0F38 | 0xf1, size), reg, &m, 0);
}

void asm_movnti_mr(Asm *a, unsigned size, AsmMem m, AsmReg reg)
{
    a->bad |= size < 32;
    put_op(a, op_size(OP_MEM | OP_0F | 0xc3, size), reg, &m, 0);
}

/* ---- the stack: 64-bit operands without REX.W ---- */

void asm_push_r(Asm *a, AsmReg reg)
{
    put_short(a, 0x50, reg);
}

void asm_pop_r(Asm *a, AsmReg reg)
{
    put_short(a, 0x58, reg);
}

void asm_push_m(Asm *a, AsmMem m)
{
    put_group(a, OP_MEM | 0xff, 6, &m, 0);
}

void asm_pop_m(Asm *a, AsmMem m)
{
    put_group(a, OP_MEM | 0x8f, 0, &m, 0);
}

void asm_push_i(Asm *a, int32_t imm)
{
    unsigned size = fits8(imm) ? 8 : 32;

    if (!asm_room(a))
        return;
    put8(a, size == 8 ? 0x6a : 0x68);
    put_imm(a, size, imm);
}

/* ---- exchanges ---- */

void asm_lock(Asm *a)
{
    asm_bytes(a, 1, 0xf0);
}

void asm_xchg_mr(Asm *a, unsigned size, AsmMem rm, AsmReg reg)
{
    put_op(a, op_any_size(0x86, size), reg, &rm, 0);
}

void asm_xadd_mr(Asm *a, unsigned size, AsmMem rm, AsmReg reg)
{
    put_op(a, op_any_size(OP_0F | 0xc0, size), reg, &rm, 0);
}

void asm_cmpxchg_mr(Asm *a, unsigned size, AsmMem rm, AsmReg reg)
{
    put_op(a, op_any_size(OP_0F | 0xb0, size), reg, &rm, 0);
}

void asm_cmpxchg8b(Asm *a, AsmMem m)
{
    put_group(a, OP_MEM | OP_0F | 0xc7, 1, &m, 0);
}

void asm_cmpxchg16b(Asm *a, AsmMem m)
{
    put_group(a, OP_MEM | OP_0F | OP_W | 0xc7, 1, &m, 0);
}
