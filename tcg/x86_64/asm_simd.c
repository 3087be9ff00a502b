/* SSE and AVX instructions, from the rows of simd.def, and MXCSR (Intel SDM vol. 2). */
#include "tcg/x86_64/simd.h"

static const struct {
    uint32_t op;
    uint16_t form;
} rows[ASM_SIMD_OPS] = {
#define SIMD(id, name, op, form, operands) { op, form },
#include "tcg/x86_64/simd.def"
#undef SIMD
};

/* What a caller gives must be what the row has: its encoding, width, operands, memory or register. */
static bool row_fits(AsmSimd op, unsigned given, const AsmMem *rm)
{
    unsigned form = rows[op].form, same = SIMD_IMM | SIMD_GROUP;
    bool reg = rm->kind == ASM_MEM_REG;

    if (reg && form & SIMD_NDS_REG)
        form |= SIMD_NDS;
    if (given & SIMD_VEX)
        same |= SIMD_NDS | SIMD_IS4;
    return form & given & (SIMD_LEGACY | SIMD_VEX) && !((form ^ given) & same) &&
           (given & SIMD_256 ? form & SIMD_256 : !(form & SIMD_ONLY256)) && !(form & (reg ? SIMD_MEM : SIMD_REG));
}

static uint32_t opcode_of(AsmSimd op)
{
    return rows[op].op | (rows[op].form & SIMD_GATHER ? OP_VSIB : 0);
}

static unsigned digit_of(AsmSimd op)
{
    return rows[op].form >> SIMD_DIGIT_SHIFT & 7;
}

/* ---- legacy ---- */

void asm_sse_rm(Asm *a, AsmSimd op, unsigned reg, AsmMem rm)
{
    a->bad |= !row_fits(op, SIMD_LEGACY, &rm);
    put_op(a, rows[op].op, reg, &rm, 0);
}

void asm_sse_rmi(Asm *a, AsmSimd op, unsigned reg, AsmMem rm, uint8_t imm)
{
    a->bad |= !row_fits(op, SIMD_LEGACY | SIMD_IMM, &rm);
    if (put_op(a, rows[op].op, reg, &rm, 1))
        put8(a, imm);
}

void asm_sse_ri(Asm *a, AsmSimd op, unsigned reg, uint8_t imm)
{
    AsmMem rm = asm_reg(reg);

    a->bad |= !row_fits(op, SIMD_LEGACY | SIMD_IMM | SIMD_GROUP, &rm);
    if (put_op(a, rows[op].op, digit_of(op), &rm, 1))
        put8(a, imm);
}

/* ---- VEX ---- */

static unsigned vex_given(unsigned l, unsigned operands)
{
    return SIMD_VEX | (l ? SIMD_256 : 0) | operands;
}

void asm_vex_rm(Asm *a, AsmSimd op, unsigned l, unsigned reg, AsmMem rm)
{
    a->bad |= !row_fits(op, vex_given(l, 0), &rm);
    put_vex(a, rows[op].op, l, reg, 0, &rm, 0);
}

void asm_vex_rmi(Asm *a, AsmSimd op, unsigned l, unsigned reg, AsmMem rm, uint8_t imm)
{
    unsigned group = rows[op].form & SIMD_GROUP;

    a->bad |= !row_fits(op, vex_given(l, SIMD_IMM | group), &rm);
    if (put_vex(a, rows[op].op, l, group ? digit_of(op) : reg, group ? reg : 0, &rm, 1))
        put8(a, imm);
}

void asm_vex_rrm(Asm *a, AsmSimd op, unsigned l, unsigned reg, unsigned v, AsmMem rm)
{
    a->bad |= !row_fits(op, vex_given(l, SIMD_NDS), &rm);
    put_vex(a, opcode_of(op), l, reg, v, &rm, 0);
}

void asm_vex_rrmi(Asm *a, AsmSimd op, unsigned l, unsigned reg, unsigned v, AsmMem rm, uint8_t imm)
{
    a->bad |= !row_fits(op, vex_given(l, SIMD_NDS | SIMD_IMM), &rm);
    if (put_vex(a, rows[op].op, l, reg, v, &rm, 1))
        put8(a, imm);
}

void asm_vex_rrmr(Asm *a, AsmSimd op, unsigned l, unsigned reg, unsigned v, AsmMem rm, unsigned is4)
{
    a->bad |= !row_fits(op, vex_given(l, SIMD_NDS | SIMD_IS4), &rm);
    if (put_vex(a, rows[op].op, l, reg, v, &rm, 1))
        put8(a, is4 << 4);
}

/* ---- EVEX and opmasks ---- */

/* VMOVAPS zmm. */
void asm_vmov512(Asm *a, unsigned reg, AsmMem m, bool store)
{
    put_evex(a, store ? 0x29 : 0x28, (EvexBits){ .map = 1, .length = 2 }, reg, 0, &m);
}

void asm_kmovq(Asm *a, unsigned k, AsmMem m, bool store)
{
    put_vex(a, OP_0F | OP_W | (store ? 0x91 : 0x90), 0, k, 0, &m, 0);
}

/* ---- others ---- */

void asm_ldmxcsr(Asm *a, AsmMem m)
{
    put_group(a, OP_MEM | OP_0F | 0xae, 2, &m, 0);
}

void asm_stmxcsr(Asm *a, AsmMem m)
{
    put_group(a, OP_MEM | OP_0F | 0xae, 3, &m, 0);
}

void asm_prefetch(Asm *a, AsmPrefetch op, AsmMem m)
{
    put_group(a, OP_MEM | OP_0F | 0x18, op, &m, 0);
}
