/* Integer arithmetic, shifts and bits (Intel SDM vol. 2). */
#include "tcg/x86_64/encode.h"

/* ---- arithmetic ---- */

void asm_alu_rr(Asm *a, AsmAlu op, unsigned size, AsmReg reg, AsmReg rm)
{
    asm_alu_mr(a, op, size, asm_reg(reg), rm);
}

void asm_alu_rm(Asm *a, AsmAlu op, unsigned size, AsmReg reg, AsmMem rm)
{
    put_op(a, op_any_size(op << 3 | 2, size), reg, &rm, 0);
}

void asm_alu_mr(Asm *a, AsmAlu op, unsigned size, AsmMem rm, AsmReg reg)
{
    put_op(a, op_any_size(op << 3, size), reg, &rm, 0);
}

/*
 * The immediate as the processor will extend it: what was given, modulo 2^size.  A 64-bit operand can only have the
 * sign extension of 32 bits.
 */
static int64_t immediate_of(Asm *a, unsigned size, int64_t imm)
{
    a->bad |= size == 64 && !fits32(imm);
    return sign_extend(imm, size);
}

/* The form of rAX without ModRM, a byte shorter than the general one when the immediate has the operand's size. */
static bool is_accumulator(const AsmMem *rm)
{
    return rm->kind == ASM_MEM_REG && rm->base == A_RAX;
}

static void put_accumulator(Asm *a, uint8_t op, unsigned size, int64_t imm)
{
    if (!asm_room(a))
        return;
    if (size == 16)
        put8(a, 0x66);
    if (size == 64)
        put8(a, 0x48);
    put8(a, size == 8 ? op : op | 1);
    put_imm(a, imm_size(size), imm);
}

void asm_alu_mi(Asm *a, AsmAlu op, unsigned size, AsmMem rm, int64_t imm)
{
    imm = immediate_of(a, size, imm);
    if (size > 8 && fits8(imm)) {
        if (put_group(a, op_size(0x83, size), op, &rm, 1))
            put_imm(a, 8, imm);
    } else if (is_accumulator(&rm)) {
        put_accumulator(a, op << 3 | 4, size, imm);
    } else if (put_group(a, op_any_size(0x80, size), op, &rm, imm_size(size) / 8)) {
        put_imm(a, imm_size(size), imm);
    }
}

void asm_test_mr(Asm *a, unsigned size, AsmMem rm, AsmReg reg)
{
    put_op(a, op_any_size(0x84, size), reg, &rm, 0);
}

void asm_test_mi(Asm *a, unsigned size, AsmMem rm, int64_t imm)
{
    imm = immediate_of(a, size, imm);
    if (is_accumulator(&rm))
        put_accumulator(a, 0xa8, size, imm);
    else if (put_group(a, op_any_size(0xf6, size), 0, &rm, imm_size(size) / 8))
        put_imm(a, imm_size(size), imm);
}

void asm_unary_m(Asm *a, AsmUnary op, unsigned size, AsmMem rm)
{
    if (op <= A_DEC)
        put_group(a, op_any_size(0xfe, size), op, &rm, 0);
    else
        put_group(a, op_any_size(0xf6, size), op, &rm, 0);
}

void asm_imul_rm(Asm *a, unsigned size, AsmReg reg, AsmMem rm)
{
    a->bad |= size == 8;
    put_op(a, op_size(OP_0F | 0xaf, size), reg, &rm, 0);
}

void asm_imul_rmi(Asm *a, unsigned size, AsmReg reg, AsmMem rm, int64_t imm)
{
    a->bad |= size == 8;
    imm = immediate_of(a, size, imm);
    unsigned bits = fits8(imm) ? 8 : imm_size(size);
    if (put_op(a, op_size(bits == 8 ? 0x6b : 0x69, size), reg, &rm, bits / 8))
        put_imm(a, bits, imm);
}

static void put_sized(Asm *a, uint8_t op, unsigned size)
{
    if (!asm_room(a))
        return;
    if (size != 32)
        put8(a, size == 16 ? 0x66 : 0x48);
    put8(a, op);
}

void asm_cdq(Asm *a, unsigned size)
{
    put_sized(a, 0x99, size);
}

void asm_cbw(Asm *a, unsigned size)
{
    put_sized(a, 0x98, size);
}

/* ---- shifts ---- */

void asm_shift_mi(Asm *a, AsmShift op, unsigned size, AsmMem rm, unsigned count)
{
    if (count == 1)
        put_group(a, op_any_size(0xd0, size), op, &rm, 0);
    else if (put_group(a, op_any_size(0xc0, size), op, &rm, 1))
        put_imm(a, 8, count);
}

void asm_shift_mcl(Asm *a, AsmShift op, unsigned size, AsmMem rm)
{
    put_group(a, op_any_size(0xd2, size), op, &rm, 0);
}

void asm_shxd_mri(Asm *a, AsmDoubleShift op, unsigned size, AsmMem rm, AsmReg reg, unsigned count)
{
    if (put_op(a, op_size(OP_0F | op, size), reg, &rm, 1))
        put_imm(a, 8, count);
}

void asm_shxd_mrcl(Asm *a, AsmDoubleShift op, unsigned size, AsmMem rm, AsmReg reg)
{
    put_op(a, op_size(OP_0F | op | 1, size), reg, &rm, 0);
}

/* ---- bits ---- */

void asm_bt_mr(Asm *a, AsmBitTest op, unsigned size, AsmMem rm, AsmReg reg)
{
    put_op(a, op_size(OP_0F | 0x83 | op << 3, size), reg, &rm, 0);
}

void asm_bt_mi(Asm *a, AsmBitTest op, unsigned size, AsmMem rm, unsigned bit)
{
    if (put_group(a, op_size(OP_0F | 0xba, size), op, &rm, 1))
        put_imm(a, 8, bit);
}

void asm_count_rm(Asm *a, AsmBitCount op, unsigned size, AsmReg reg, AsmMem rm)
{
    static const uint32_t ops[] = {
        [A_BSF] = OP_0F | 0xbc,
        [A_BSR] = OP_0F | 0xbd,
        [A_TZCNT] = OP_F3 | OP_0F | 0xbc,
        [A_LZCNT] = OP_F3 | OP_0F | 0xbd,
        [A_POPCNT] = OP_F3 | OP_0F | 0xb8,
        [A_ADCX] = OP_66 | OP_0F38 | 0xf6,
        [A_ADOX] = OP_F3 | OP_0F38 | 0xf6,
    };
    a->bad |= size == 8 || (size == 16 && op >= A_ADCX);
    put_op(a, op_size(ops[op], size), reg, &rm, 0);
}

void asm_crc32_rm(Asm *a, unsigned size, AsmReg reg, AsmMem rm)
{
    put_op(a, op_any_size(OP_F2 | OP_0F38 | 0xf0, size) & ~OP_R8, reg, &rm, 0);
}

/* ---- BMI: VEX-encoded, W for 64 bits ---- */

static uint32_t bmi_size(Asm *a, uint32_t op, unsigned size)
{
    a->bad |= size < 32;
    return op_size(op, size);
}

void asm_bmi_rmr(Asm *a, AsmBmiBy op, unsigned size, AsmReg reg, AsmMem rm, AsmReg by)
{
    static const uint32_t ops[] = {
        [A_SHLX] = OP_66 | OP_0F38 | 0xf7,
        [A_SHRX] = OP_F2 | OP_0F38 | 0xf7,
        [A_SARX] = OP_F3 | OP_0F38 | 0xf7,
        [A_BZHI] = OP_0F38 | 0xf5,
        [A_BEXTR] = OP_0F38 | 0xf7,
    };
    put_vex(a, bmi_size(a, ops[op], size), 0, reg, by, &rm, 0);
}

void asm_bmi_rrm(Asm *a, AsmBmi op, unsigned size, AsmReg reg, AsmReg by, AsmMem rm)
{
    static const uint32_t ops[] = {
        [A_ANDN] = OP_0F38 | 0xf2,
        [A_PDEP] = OP_F2 | OP_0F38 | 0xf5,
        [A_PEXT] = OP_F3 | OP_0F38 | 0xf5,
        [A_MULX] = OP_F2 | OP_0F38 | 0xf6,
    };
    put_vex(a, bmi_size(a, ops[op], size), 0, reg, by, &rm, 0);
}

void asm_bls_rm(Asm *a, AsmBls op, unsigned size, AsmReg reg, AsmMem rm)
{
    put_vex(a, bmi_size(a, OP_0F38 | 0xf3, size), 0, op, reg, &rm, 0);
}

void asm_rorx_rmi(Asm *a, unsigned size, AsmReg reg, AsmMem rm, unsigned count)
{
    if (put_vex(a, bmi_size(a, OP_F2 | OP_0F3A | 0xf0, size), 0, reg, 0, &rm, 1))
        put_imm(a, 8, count);
}
