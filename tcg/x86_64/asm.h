/*
 * An x86-64 assembler for the back end: each function writes one instruction into a buffer (Intel SDM vol. 2, AMD APM
 * vol. 3).  Plain C without knowledge of the host, so that it can be tested anywhere; what it needs of the host's
 * processor (BMI, AVX, ...) its caller must have checked.
 *
 *     Asm a;
 *     AsmLabel loop = { 0 };
 *     asm_init(&a, buffer, size, address at which it will execute);
 *     asm_zero(&a, A_RAX);
 *     asm_bind(&a, &loop);
 *     asm_alu_rm(&a, A_ADD, 64, A_RAX, asm_mem(A_RDI, 8));
 *     asm_unary_r(&a, A_DEC, 32, A_RSI);
 *     asm_jcc(&a, A_NZ, &loop);
 *     asm_ret(&a);
 *     if (!asm_ok(&a)) ...
 *
 * Words in names: r register, m memory, i immediate, in the order of Intel's syntax (destination first).  `size` is
 * the operand size in bits: 8, 16, 32 or 64 (byte registers are AL to R15B; AH to BH cannot be named).  A function that
 * takes an AsmMem as its r/m operand also takes a register there, by asm_reg(); the forms named _r, _rr, ... are short
 * for it.
 *
 * What goes wrong is noted, and asm_ok() tells it at the end:
 * - overflow: fewer than ASM_ROOM bytes were left.  Nothing is written past the end, nor anything after that.
 * - bad: an operand that the instruction cannot have, or a distance that does not fit: a mistake of the caller.
 */
#ifndef MYNA_TCG_X86_64_ASM_H
#define MYNA_TCG_X86_64_ASM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum AsmReg {
    A_RAX, A_RCX, A_RDX, A_RBX, A_RSP, A_RBP, A_RSI, A_RDI, A_R8, A_R9, A_R10, A_R11, A_R12, A_R13, A_R14, A_R15,
    A_NONE = 0xff,
} AsmReg;

typedef enum AsmXmm {
    A_XMM0, A_XMM1, A_XMM2, A_XMM3, A_XMM4, A_XMM5, A_XMM6, A_XMM7,
    A_XMM8, A_XMM9, A_XMM10, A_XMM11, A_XMM12, A_XMM13, A_XMM14, A_XMM15,
} AsmXmm;

/* Conditions, by their encoding. */
typedef enum AsmCond {
    A_O, A_NO, A_B, A_AE, A_E, A_NE, A_BE, A_A, A_S, A_NS, A_P, A_NP, A_L, A_GE, A_LE, A_G,
    A_C = A_B, A_NC = A_AE, A_Z = A_E, A_NZ = A_NE,
} AsmCond;

static inline AsmCond asm_cond_not(AsmCond cond) { return cond ^ 1; }

/* ---- buffer ---- */

/* Room asked for before each instruction: the longest has 15 bytes. */
#define ASM_ROOM 16
/* Largest buffer: labels keep offsets in 29 bits. */
#define ASM_MAX_SIZE ((size_t)1 << 29)

typedef struct Asm {
    uint8_t *p;           /* where the next byte goes */
    uint8_t *start, *end;
    uint64_t exec;        /* address at which *start will execute */
    uint32_t open;        /* references to labels that are not bound yet */
    bool overflow, bad;
} Asm;

void asm_init(Asm *a, uint8_t *start, size_t size, uint64_t exec);

static inline size_t asm_size(const Asm *a) { return a->p - a->start; }

/* The address at which the next instruction will execute. */
static inline uint64_t asm_here(const Asm *a) { return a->exec + asm_size(a); }

static inline bool asm_ok(const Asm *a) { return !a->overflow && !a->bad && !a->open; }

/* Whether a 32-bit displacement of the next instruction reaches an address. */
bool asm_reaches(const Asm *a, uint64_t address);

/* n bytes that do nothing, as few instructions; and as many as make asm_here() a multiple of a power of two. */
void asm_nop(Asm *a, unsigned n);
void asm_align(Asm *a, unsigned to);

/* Raw bytes, for data between instructions; and an instruction without operands, its first byte lowest (n to 8). */
void asm_data(Asm *a, const void *bytes, size_t n);
void asm_bytes(Asm *a, unsigned n, uint64_t bytes);

/* ---- labels ---- */

/*
 * A place in the code of one Asm; initialise by { 0 }.  References before it is bound are chained through their own
 * displacement fields, so there is no limit to them.
 */
typedef struct AsmLabel {
    uint32_t at;     /* offset from the start, when bound */
    uint32_t link32; /* last open 32-bit reference: offset of the field << 3 | bytes of the instruction after it */
    uint32_t link8;  /* last open 8-bit reference: offset of the field */
    bool bound;
} AsmLabel;

void asm_bind(Asm *a, AsmLabel *label);

/* ---- operands ---- */

typedef enum AsmMemKind {
    ASM_MEM_BASE,    /* [base + index * scale + disp], each of the three optional */
    ASM_MEM_ADDRESS, /* an absolute address near the code, RIP-relative */
    ASM_MEM_LABEL,   /* data at a label of the same code, RIP-relative */
    ASM_MEM_REG,     /* not memory: the register in `base` */
} AsmMemKind;

typedef enum AsmSegment { ASM_NO_SEGMENT, ASM_FS, ASM_GS } AsmSegment;

/* Of 16 bytes, so that it is passed in two registers. */
typedef struct AsmMem {
    uint8_t base;        /* A_NONE: none */
    uint8_t index;       /* A_NONE: none; not A_RSP.  For gathers an AsmXmm */
    uint8_t scale;       /* 1, 2, 4, 8 */
    uint8_t kind : 2;    /* AsmMemKind */
    uint8_t segment : 2; /* AsmSegment: its base is added */
    uint8_t addr32 : 1;  /* the sum (before the segment's base) is taken modulo 2^32 */
    int32_t disp;
    union {
        uint64_t address;
        AsmLabel *label;
    };
} AsmMem;

static inline AsmMem asm_mem(AsmReg base, int32_t disp)
{
    return (AsmMem){ .kind = ASM_MEM_BASE, .base = base, .index = A_NONE, .scale = 1, .disp = disp };
}

static inline AsmMem asm_mem_index(AsmReg base, unsigned index, unsigned scale, int32_t disp)
{
    return (AsmMem){ .kind = ASM_MEM_BASE, .base = base, .index = index, .scale = scale, .disp = disp };
}

static inline AsmMem asm_mem_address(uint64_t address)
{
    return (AsmMem){ .kind = ASM_MEM_ADDRESS, .base = A_NONE, .index = A_NONE, .address = address };
}

static inline AsmMem asm_mem_label(AsmLabel *label)
{
    return (AsmMem){ .kind = ASM_MEM_LABEL, .base = A_NONE, .index = A_NONE, .label = label };
}

/* A register, general or XMM, in place of memory. */
static inline AsmMem asm_reg(unsigned reg)
{
    return (AsmMem){ .kind = ASM_MEM_REG, .base = reg, .index = A_NONE };
}

/* The same operand with a segment's base added, or with a 32-bit sum. */
static inline AsmMem asm_segment(AsmMem m, AsmSegment segment)
{
    m.segment = segment;
    return m;
}

static inline AsmMem asm_addr32(AsmMem m)
{
    m.addr32 = true;
    return m;
}

/* asm_NAME_rr() for an asm_NAME_rm() of the form (a, size, reg, rm), and so on; _OP: with an operation before size. */
#define ASM_RR(name)                                                                                                   \
    static inline void asm_##name##_rr(Asm *a, unsigned size, AsmReg reg, AsmReg rm)                                   \
    {                                                                                                                  \
        asm_##name##_rm(a, size, reg, asm_reg(rm));                                                                    \
    }
#define ASM_OP_RR(name, Enum)                                                                                          \
    static inline void asm_##name##_rr(Asm *a, Enum op, unsigned size, AsmReg reg, AsmReg rm)                          \
    {                                                                                                                  \
        asm_##name##_rm(a, op, size, reg, asm_reg(rm));                                                                \
    }
#define ASM_OP_R(name, Enum)                                                                                           \
    static inline void asm_##name##_r(Asm *a, Enum op, unsigned size, AsmReg rm)                                       \
    {                                                                                                                  \
        asm_##name##_m(a, op, size, asm_reg(rm));                                                                      \
    }
#define ASM_OP_RI(name, Enum, Imm)                                                                                     \
    static inline void asm_##name##_ri(Asm *a, Enum op, unsigned size, AsmReg rm, Imm imm)                             \
    {                                                                                                                  \
        asm_##name##_mi(a, op, size, asm_reg(rm), imm);                                                                \
    }

/* ---- moves (asm_move.c) ---- */

void asm_mov_rr(Asm *a, unsigned size, AsmReg reg, AsmReg from); /* 32: clears the upper half */
void asm_mov_rm(Asm *a, unsigned size, AsmReg reg, AsmMem rm);
void asm_mov_mr(Asm *a, unsigned size, AsmMem rm, AsmReg reg);
/* The shortest that leaves the flags alone.  Size 64: 5, 6, 7 or 10 bytes. */
void asm_mov_ri(Asm *a, unsigned size, AsmReg reg, uint64_t imm);
/* Size 64: an immediate of 32 bits, sign-extended. */
void asm_mov_mi(Asm *a, unsigned size, AsmMem rm, int64_t imm);
/* Always 10 bytes, the last 8 of them the immediate. */
void asm_mov_ri64(Asm *a, AsmReg reg, uint64_t imm);
/* An address: as asm_mov_ri(), or RIP-relative LEA where that is shorter. */
void asm_mov_address(Asm *a, AsmReg reg, uint64_t address);
/* XOR of the register with itself: clobbers the flags. */
void asm_zero(Asm *a, AsmReg reg);

/* From 8, 16 or (MOVSXD; or a plain 32-bit MOV) 32 bits to `size`. */
void asm_movzx_rm(Asm *a, unsigned size, unsigned from, AsmReg reg, AsmMem rm);
void asm_movsx_rm(Asm *a, unsigned size, unsigned from, AsmReg reg, AsmMem rm);
static inline void asm_movzx_rr(Asm *a, unsigned size, unsigned from, AsmReg reg, AsmReg rm)
{
    asm_movzx_rm(a, size, from, reg, asm_reg(rm));
}
static inline void asm_movsx_rr(Asm *a, unsigned size, unsigned from, AsmReg reg, AsmReg rm)
{
    asm_movsx_rm(a, size, from, reg, asm_reg(rm));
}

void asm_lea(Asm *a, unsigned size, AsmReg reg, AsmMem m);
void asm_cmov_rm(Asm *a, AsmCond cond, unsigned size, AsmReg reg, AsmMem rm); /* 16, 32, 64 */
ASM_OP_RR(cmov, AsmCond)
void asm_setcc_m(Asm *a, AsmCond cond, AsmMem rm);
static inline void asm_setcc_r(Asm *a, AsmCond cond, AsmReg reg) { asm_setcc_m(a, cond, asm_reg(reg)); }

void asm_bswap(Asm *a, unsigned size, AsmReg reg); /* 32, 64 */
void asm_movbe_rm(Asm *a, unsigned size, AsmReg reg, AsmMem m);
void asm_movbe_mr(Asm *a, unsigned size, AsmMem m, AsmReg reg);
void asm_movnti_mr(Asm *a, unsigned size, AsmMem m, AsmReg reg); /* 32, 64 */

void asm_push_r(Asm *a, AsmReg reg);
void asm_pop_r(Asm *a, AsmReg reg);
void asm_push_m(Asm *a, AsmMem m);
void asm_pop_m(Asm *a, AsmMem m);
void asm_push_i(Asm *a, int32_t imm);

/* XCHG with memory, and XADD and CMPXCHG after asm_lock(), are atomic. */
void asm_lock(Asm *a); /* the prefix of the next instruction */
void asm_xchg_mr(Asm *a, unsigned size, AsmMem rm, AsmReg reg);
void asm_xadd_mr(Asm *a, unsigned size, AsmMem rm, AsmReg reg);
void asm_cmpxchg_mr(Asm *a, unsigned size, AsmMem rm, AsmReg reg);
void asm_cmpxchg8b(Asm *a, AsmMem m);
void asm_cmpxchg16b(Asm *a, AsmMem m);
static inline void asm_xchg_rr(Asm *a, unsigned size, AsmReg rm, AsmReg reg)
{
    asm_xchg_mr(a, size, asm_reg(rm), reg);
}

/* ---- integer arithmetic (asm_int.c) ---- */

typedef enum AsmAlu { A_ADD, A_OR, A_ADC, A_SBB, A_AND, A_SUB, A_XOR, A_CMP } AsmAlu;

void asm_alu_rr(Asm *a, AsmAlu op, unsigned size, AsmReg reg, AsmReg rm);
void asm_alu_rm(Asm *a, AsmAlu op, unsigned size, AsmReg reg, AsmMem rm);
void asm_alu_mr(Asm *a, AsmAlu op, unsigned size, AsmMem rm, AsmReg reg);
/* The immediate is taken modulo 2^size; of size 64, it must be a sign-extended 32-bit one. */
void asm_alu_mi(Asm *a, AsmAlu op, unsigned size, AsmMem rm, int64_t imm);
ASM_OP_RI(alu, AsmAlu, int64_t)

void asm_test_mr(Asm *a, unsigned size, AsmMem rm, AsmReg reg);
void asm_test_mi(Asm *a, unsigned size, AsmMem rm, int64_t imm);
static inline void asm_test_rr(Asm *a, unsigned size, AsmReg rm, AsmReg reg)
{
    asm_test_mr(a, size, asm_reg(rm), reg);
}
static inline void asm_test_ri(Asm *a, unsigned size, AsmReg rm, int64_t imm)
{
    asm_test_mi(a, size, asm_reg(rm), imm);
}

/* MUL to IDIV are the one-operand forms: rDX:rAX (of size 8: AX). */
typedef enum AsmUnary { A_INC, A_DEC, A_NOT, A_NEG, A_MUL, A_IMUL, A_DIV, A_IDIV } AsmUnary;

void asm_unary_m(Asm *a, AsmUnary op, unsigned size, AsmMem rm);
ASM_OP_R(unary, AsmUnary)

void asm_imul_rm(Asm *a, unsigned size, AsmReg reg, AsmMem rm);              /* 16, 32, 64 */
void asm_imul_rmi(Asm *a, unsigned size, AsmReg reg, AsmMem rm, int64_t imm);
ASM_RR(imul)
static inline void asm_imul_rri(Asm *a, unsigned size, AsmReg reg, AsmReg rm, int64_t imm)
{
    asm_imul_rmi(a, size, reg, asm_reg(rm), imm);
}

/* rAX to rDX:rAX (CWD, CDQ, CQO), and the half of rAX to rAX (CBW, CWDE, CDQE), by the size of rAX. */
void asm_cdq(Asm *a, unsigned size);
void asm_cbw(Asm *a, unsigned size);

typedef enum AsmShift { A_ROL, A_ROR, A_RCL, A_RCR, A_SHL, A_SHR, A_SAR = 7 } AsmShift;

void asm_shift_mi(Asm *a, AsmShift op, unsigned size, AsmMem rm, unsigned count);
void asm_shift_mcl(Asm *a, AsmShift op, unsigned size, AsmMem rm);
ASM_OP_RI(shift, AsmShift, unsigned)
static inline void asm_shift_rcl(Asm *a, AsmShift op, unsigned size, AsmReg rm)
{
    asm_shift_mcl(a, op, size, asm_reg(rm));
}

/* SHLD and SHRD of `rm`, filled from `reg`; 16, 32, 64. */
typedef enum AsmDoubleShift { A_SHLD = 0xa4, A_SHRD = 0xac } AsmDoubleShift;

void asm_shxd_mri(Asm *a, AsmDoubleShift op, unsigned size, AsmMem rm, AsmReg reg, unsigned count);
void asm_shxd_mrcl(Asm *a, AsmDoubleShift op, unsigned size, AsmMem rm, AsmReg reg);
static inline void asm_shxd_rri(Asm *a, AsmDoubleShift op, unsigned size, AsmReg rm, AsmReg reg, unsigned count)
{
    asm_shxd_mri(a, op, size, asm_reg(rm), reg, count);
}
static inline void asm_shxd_rrcl(Asm *a, AsmDoubleShift op, unsigned size, AsmReg rm, AsmReg reg)
{
    asm_shxd_mrcl(a, op, size, asm_reg(rm), reg);
}

/* 16, 32, 64.  With memory and a register, the bit may lie outside the operand. */
typedef enum AsmBitTest { A_BT = 4, A_BTS, A_BTR, A_BTC } AsmBitTest;

void asm_bt_mr(Asm *a, AsmBitTest op, unsigned size, AsmMem rm, AsmReg reg);
void asm_bt_mi(Asm *a, AsmBitTest op, unsigned size, AsmMem rm, unsigned bit);
ASM_OP_RI(bt, AsmBitTest, unsigned)
static inline void asm_bt_rr(Asm *a, AsmBitTest op, unsigned size, AsmReg rm, AsmReg reg)
{
    asm_bt_mr(a, op, size, asm_reg(rm), reg);
}

/* 16, 32, 64; ADCX and ADOX 32, 64. */
typedef enum AsmBitCount { A_BSF, A_BSR, A_TZCNT, A_LZCNT, A_POPCNT, A_ADCX, A_ADOX } AsmBitCount;

void asm_count_rm(Asm *a, AsmBitCount op, unsigned size, AsmReg reg, AsmMem rm);
ASM_OP_RR(count, AsmBitCount)

/* `size` is the source's; the register is the 32-bit one, of size 64 the 64-bit one. */
void asm_crc32_rm(Asm *a, unsigned size, AsmReg reg, AsmMem rm);
ASM_RR(crc32)

/* BMI1 and BMI2, size 32 or 64.  reg = rm OP by: SHLX to SARX, BZHI, BEXTR. */
typedef enum AsmBmiBy { A_SHLX, A_SHRX, A_SARX, A_BZHI, A_BEXTR } AsmBmiBy;
/* reg = by OP rm: ANDN (~by & rm), PDEP, PEXT (rm is the mask); MULX: by:reg = rDX * rm. */
typedef enum AsmBmi { A_ANDN, A_PDEP, A_PEXT, A_MULX } AsmBmi;
/* reg = OP rm: lowest set bit cleared, mask up to it, or it alone. */
typedef enum AsmBls { A_BLSR = 1, A_BLSMSK, A_BLSI } AsmBls;

void asm_bmi_rmr(Asm *a, AsmBmiBy op, unsigned size, AsmReg reg, AsmMem rm, AsmReg by);
void asm_bmi_rrm(Asm *a, AsmBmi op, unsigned size, AsmReg reg, AsmReg by, AsmMem rm);
void asm_bls_rm(Asm *a, AsmBls op, unsigned size, AsmReg reg, AsmMem rm);
void asm_rorx_rmi(Asm *a, unsigned size, AsmReg reg, AsmMem rm, unsigned count);
ASM_OP_RR(bls, AsmBls)

/* ---- flow (asm_flow.c) ---- */

/* To a bound label the shortest form; to one that is not bound yet, rel32. */
void asm_jmp(Asm *a, AsmLabel *label);
void asm_jcc(Asm *a, AsmCond cond, AsmLabel *label);
void asm_call(Asm *a, AsmLabel *label);
/* rel8: bad if the label turns out to be too far. */
void asm_jmp8(Asm *a, AsmLabel *label);
void asm_jcc8(Asm *a, AsmCond cond, AsmLabel *label);

void asm_jmp_m(Asm *a, AsmMem rm);
void asm_call_m(Asm *a, AsmMem rm);
static inline void asm_jmp_r(Asm *a, AsmReg reg) { asm_jmp_m(a, asm_reg(reg)); }
static inline void asm_call_r(Asm *a, AsmReg reg) { asm_call_m(a, asm_reg(reg)); }

/* To an absolute address: rel32 where that reaches, else through `scratch`, which is then lost. */
void asm_jmp_abs(Asm *a, uint64_t address, AsmReg scratch);
void asm_jcc_abs(Asm *a, AsmCond cond, uint64_t address, AsmReg scratch);
void asm_call_abs(Asm *a, uint64_t address, AsmReg scratch);

/*
 * Branches whose target may be changed while other threads execute them: rel32 form, after NOPs that put the
 * displacement at a multiple of 4.  Returns where the displacement is written (NULL: no room).  ASM_NEXT as the target
 * is the instruction after the branch.
 */
#define ASM_NEXT UINT64_C(0)
uint8_t *asm_jmp_patchable(Asm *a, uint64_t target);
uint8_t *asm_jcc_patchable(Asm *a, AsmCond cond, uint64_t target);
uint8_t *asm_call_patchable(Asm *a, uint64_t target);

/*
 * Changes such a displacement by one atomic store.  `field` is what the above returned, and `exec` the address of the
 * same bytes as they execute.  False, and nothing changed: the target is out of reach.
 */
bool asm_patch(uint8_t *field, uint64_t exec, uint64_t target);

/* ASM_PLAIN(name, bytes, encoding with the first byte lowest): asm_NAME(a), instructions without operands. */
#define ASM_PLAIN_LIST(ASM_PLAIN)                                                                                      \
    ASM_PLAIN(ret, 1, 0xc3)                                                                                            \
    ASM_PLAIN(leave, 1, 0xc9)                                                                                          \
    ASM_PLAIN(pushfq, 1, 0x9c)                                                                                         \
    ASM_PLAIN(popfq, 1, 0x9d)                                                                                          \
    ASM_PLAIN(lahf, 1, 0x9f)                                                                                           \
    ASM_PLAIN(sahf, 1, 0x9e)                                                                                           \
    ASM_PLAIN(cld, 1, 0xfc)                                                                                            \
    ASM_PLAIN(std, 1, 0xfd)                                                                                            \
    ASM_PLAIN(clc, 1, 0xf8)                                                                                            \
    ASM_PLAIN(stc, 1, 0xf9)                                                                                            \
    ASM_PLAIN(cmc, 1, 0xf5)                                                                                            \
    ASM_PLAIN(int3, 1, 0xcc)                                                                                           \
    ASM_PLAIN(ud2, 2, 0x0b0f)                                                                                          \
    ASM_PLAIN(pause, 2, 0x90f3)                                                                                        \
    ASM_PLAIN(cpuid, 2, 0xa20f)                                                                                        \
    ASM_PLAIN(rdtsc, 2, 0x310f)                                                                                        \
    ASM_PLAIN(lfence, 3, 0xe8ae0f)                                                                                     \
    ASM_PLAIN(mfence, 3, 0xf0ae0f)                                                                                     \
    ASM_PLAIN(sfence, 3, 0xf8ae0f)                                                                                     \
    ASM_PLAIN(rep_movsb, 2, 0xa4f3)                                                                                    \
    ASM_PLAIN(rep_movsq, 3, 0xa548f3)                                                                                  \
    ASM_PLAIN(rep_stosb, 2, 0xaaf3)                                                                                    \
    ASM_PLAIN(rep_stosq, 3, 0xab48f3)                                                                                  \
    ASM_PLAIN(vzeroupper, 3, 0x77f8c5)                                                                                 \
    ASM_PLAIN(vzeroall, 3, 0x77fcc5)                                                                                   \
    ASM_PLAIN(emms, 2, 0x770f)

#define ASM_PLAIN(name, n, bytes) static inline void asm_##name(Asm *a) { asm_bytes(a, n, bytes); }
ASM_PLAIN_LIST(ASM_PLAIN)
#undef ASM_PLAIN

/* ---- SSE and AVX (asm_simd.c; the operations are rows of simd.def) ---- */

typedef enum AsmSimd {
#define SIMD(id, name, op, form, operands) S_##id,
#include "tcg/x86_64/simd.def"
#undef SIMD
    ASM_SIMD_OPS
} AsmSimd;

/*
 * Operands stand in the order of simd.def: `reg` is the ModRM reg field, `rm` the r/m operand, so for a store `reg` is
 * its source.  Registers are AsmXmm, or AsmReg where the row says so.  Legacy encodings:
 */
void asm_sse_rm(Asm *a, AsmSimd op, unsigned reg, AsmMem rm);
void asm_sse_rmi(Asm *a, AsmSimd op, unsigned reg, AsmMem rm, uint8_t imm);
void asm_sse_ri(Asm *a, AsmSimd op, unsigned reg, uint8_t imm); /* shifts by an immediate */
static inline void asm_sse_rr(Asm *a, AsmSimd op, unsigned reg, unsigned rm) { asm_sse_rm(a, op, reg, asm_reg(rm)); }
static inline void asm_sse_rri(Asm *a, AsmSimd op, unsigned reg, unsigned rm, uint8_t imm)
{
    asm_sse_rmi(a, op, reg, asm_reg(rm), imm);
}

/*
 * VEX encodings.  `l`: 0 for 128 bits and scalars, 1 for 256.  `v` is the first source.  The last source of a blend by
 * mask is a register, `is4`; the mask of a gather or a masked move is `v`.  Shifts by an immediate: asm_vex_rri().
 */
void asm_vex_rm(Asm *a, AsmSimd op, unsigned l, unsigned reg, AsmMem rm);
void asm_vex_rmi(Asm *a, AsmSimd op, unsigned l, unsigned reg, AsmMem rm, uint8_t imm);
void asm_vex_rrm(Asm *a, AsmSimd op, unsigned l, unsigned reg, unsigned v, AsmMem rm);
void asm_vex_rrmi(Asm *a, AsmSimd op, unsigned l, unsigned reg, unsigned v, AsmMem rm, uint8_t imm);
void asm_vex_rrmr(Asm *a, AsmSimd op, unsigned l, unsigned reg, unsigned v, AsmMem rm, unsigned is4);
static inline void asm_vex_rr(Asm *a, AsmSimd op, unsigned l, unsigned reg, unsigned rm)
{
    asm_vex_rm(a, op, l, reg, asm_reg(rm));
}
static inline void asm_vex_rri(Asm *a, AsmSimd op, unsigned l, unsigned reg, unsigned rm, uint8_t imm)
{
    asm_vex_rmi(a, op, l, reg, asm_reg(rm), imm);
}
static inline void asm_vex_rrr(Asm *a, AsmSimd op, unsigned l, unsigned reg, unsigned v, unsigned rm)
{
    asm_vex_rrm(a, op, l, reg, v, asm_reg(rm));
}
static inline void asm_vex_rrri(Asm *a, AsmSimd op, unsigned l, unsigned reg, unsigned v, unsigned rm, uint8_t imm)
{
    asm_vex_rrmi(a, op, l, reg, v, asm_reg(rm), imm);
}
static inline void asm_vex_rrrr(Asm *a, AsmSimd op, unsigned l, unsigned reg, unsigned v, unsigned rm, unsigned is4)
{
    asm_vex_rrmr(a, op, l, reg, v, asm_reg(rm), is4);
}

/* Between a ZMM register (0..31) and memory off RBP, aligned; between an opmask and 8 bytes of memory. */
void asm_vmov512(Asm *a, unsigned reg, AsmMem m, bool store);
void asm_kmovq(Asm *a, unsigned k, AsmMem m, bool store);
void asm_ldmxcsr(Asm *a, AsmMem m);
void asm_stmxcsr(Asm *a, AsmMem m);

typedef enum AsmPrefetch { A_PREFETCHNTA, A_PREFETCHT0, A_PREFETCHT1, A_PREFETCHT2 } AsmPrefetch;
void asm_prefetch(Asm *a, AsmPrefetch op, AsmMem m);

/* ---- x87 (asm_x87.c) ---- */

/* By the encoding of st0, sti; FSUBR and FDIVR have the operands the other way round. */
typedef enum AsmX87Arith { A_FADD, A_FMUL, A_FCOM, A_FCOMP, A_FSUB, A_FSUBR, A_FDIV, A_FDIVR } AsmX87Arith;

/* st0 = st0 OP st(i); st(i) = st(i) OP st0, not FCOM; the same and pop; st0 = st0 OP memory. */
void asm_x87_st0(Asm *a, AsmX87Arith op, unsigned i);
void asm_x87_sti(Asm *a, AsmX87Arith op, unsigned i);
void asm_x87_stip(Asm *a, AsmX87Arith op, unsigned i);
void asm_x87_m(Asm *a, AsmX87Arith op, unsigned size, AsmMem m);     /* floating point, 32 or 64 bits */
void asm_x87_int_m(Asm *a, AsmX87Arith op, unsigned size, AsmMem m); /* integer, 16 or 32 bits */

/* ASM_X87_MEM(name, first byte, ModRM digit): asm_NAME(a, m). */
#define ASM_X87_MEM_LIST(ASM_X87_MEM)                                                                                  \
    ASM_X87_MEM(fld_m32, 0xd9, 0)                                                                                      \
    ASM_X87_MEM(fld_m64, 0xdd, 0)                                                                                      \
    ASM_X87_MEM(fld_m80, 0xdb, 5)                                                                                      \
    ASM_X87_MEM(fst_m32, 0xd9, 2)                                                                                      \
    ASM_X87_MEM(fst_m64, 0xdd, 2)                                                                                      \
    ASM_X87_MEM(fstp_m32, 0xd9, 3)                                                                                     \
    ASM_X87_MEM(fstp_m64, 0xdd, 3)                                                                                     \
    ASM_X87_MEM(fstp_m80, 0xdb, 7)                                                                                     \
    ASM_X87_MEM(fild_m16, 0xdf, 0)                                                                                     \
    ASM_X87_MEM(fild_m32, 0xdb, 0)                                                                                     \
    ASM_X87_MEM(fild_m64, 0xdf, 5)                                                                                     \
    ASM_X87_MEM(fist_m16, 0xdf, 2)                                                                                     \
    ASM_X87_MEM(fist_m32, 0xdb, 2)                                                                                     \
    ASM_X87_MEM(fistp_m16, 0xdf, 3)                                                                                    \
    ASM_X87_MEM(fistp_m32, 0xdb, 3)                                                                                    \
    ASM_X87_MEM(fistp_m64, 0xdf, 7)                                                                                    \
    ASM_X87_MEM(fisttp_m16, 0xdf, 1)                                                                                   \
    ASM_X87_MEM(fisttp_m32, 0xdb, 1)                                                                                   \
    ASM_X87_MEM(fisttp_m64, 0xdd, 1)                                                                                   \
    ASM_X87_MEM(fbld_m80, 0xdf, 4)                                                                                     \
    ASM_X87_MEM(fbstp_m80, 0xdf, 6)                                                                                    \
    ASM_X87_MEM(fldcw_m16, 0xd9, 5)                                                                                    \
    ASM_X87_MEM(fnstcw_m16, 0xd9, 7)                                                                                   \
    ASM_X87_MEM(fnstsw_m16, 0xdd, 7)                                                                                   \
    ASM_X87_MEM(fldenv_m, 0xd9, 4)                                                                                     \
    ASM_X87_MEM(fnstenv_m, 0xd9, 6)                                                                                    \
    ASM_X87_MEM(frstor_m, 0xdd, 4)                                                                                     \
    ASM_X87_MEM(fnsave_m, 0xdd, 6)

/* ASM_X87_ST(name, first byte, second for st0): asm_NAME(a, i) with st(i). */
#define ASM_X87_ST_LIST(ASM_X87_ST)                                                                                    \
    ASM_X87_ST(fld_st, 0xd9, 0xc0)                                                                                     \
    ASM_X87_ST(fxch_st, 0xd9, 0xc8)                                                                                    \
    ASM_X87_ST(fst_st, 0xdd, 0xd0)                                                                                     \
    ASM_X87_ST(fstp_st, 0xdd, 0xd8)                                                                                    \
    ASM_X87_ST(ffree_st, 0xdd, 0xc0)                                                                                   \
    ASM_X87_ST(fucom_st, 0xdd, 0xe0)                                                                                   \
    ASM_X87_ST(fucomp_st, 0xdd, 0xe8)                                                                                  \
    ASM_X87_ST(fucomi_st, 0xdb, 0xe8)                                                                                  \
    ASM_X87_ST(fcomi_st, 0xdb, 0xf0)                                                                                   \
    ASM_X87_ST(fucomip_st, 0xdf, 0xe8)                                                                                 \
    ASM_X87_ST(fcomip_st, 0xdf, 0xf0)                                                                                  \
    ASM_X87_ST(fcmovb_st, 0xda, 0xc0)                                                                                  \
    ASM_X87_ST(fcmove_st, 0xda, 0xc8)                                                                                  \
    ASM_X87_ST(fcmovbe_st, 0xda, 0xd0)                                                                                 \
    ASM_X87_ST(fcmovu_st, 0xda, 0xd8)                                                                                  \
    ASM_X87_ST(fcmovnb_st, 0xdb, 0xc0)                                                                                 \
    ASM_X87_ST(fcmovne_st, 0xdb, 0xc8)                                                                                 \
    ASM_X87_ST(fcmovnbe_st, 0xdb, 0xd0)                                                                                \
    ASM_X87_ST(fcmovnu_st, 0xdb, 0xd8)

/* ASM_X87_PLAIN(name, bytes, encoding): asm_NAME(a). */
#define ASM_X87_PLAIN_LIST(ASM_X87_PLAIN)                                                                              \
    ASM_X87_PLAIN(wait, 1, 0x9b)                                                                                       \
    ASM_X87_PLAIN(fnop, 2, 0xd0d9)                                                                                     \
    ASM_X87_PLAIN(fchs, 2, 0xe0d9)                                                                                     \
    ASM_X87_PLAIN(fabs, 2, 0xe1d9)                                                                                     \
    ASM_X87_PLAIN(ftst, 2, 0xe4d9)                                                                                     \
    ASM_X87_PLAIN(fxam, 2, 0xe5d9)                                                                                     \
    ASM_X87_PLAIN(fld1, 2, 0xe8d9)                                                                                     \
    ASM_X87_PLAIN(fldl2t, 2, 0xe9d9)                                                                                   \
    ASM_X87_PLAIN(fldl2e, 2, 0xead9)                                                                                   \
    ASM_X87_PLAIN(fldpi, 2, 0xebd9)                                                                                    \
    ASM_X87_PLAIN(fldlg2, 2, 0xecd9)                                                                                   \
    ASM_X87_PLAIN(fldln2, 2, 0xedd9)                                                                                   \
    ASM_X87_PLAIN(fldz, 2, 0xeed9)                                                                                     \
    ASM_X87_PLAIN(f2xm1, 2, 0xf0d9)                                                                                    \
    ASM_X87_PLAIN(fyl2x, 2, 0xf1d9)                                                                                    \
    ASM_X87_PLAIN(fptan, 2, 0xf2d9)                                                                                    \
    ASM_X87_PLAIN(fpatan, 2, 0xf3d9)                                                                                   \
    ASM_X87_PLAIN(fxtract, 2, 0xf4d9)                                                                                  \
    ASM_X87_PLAIN(fprem1, 2, 0xf5d9)                                                                                   \
    ASM_X87_PLAIN(fdecstp, 2, 0xf6d9)                                                                                  \
    ASM_X87_PLAIN(fincstp, 2, 0xf7d9)                                                                                  \
    ASM_X87_PLAIN(fprem, 2, 0xf8d9)                                                                                    \
    ASM_X87_PLAIN(fyl2xp1, 2, 0xf9d9)                                                                                  \
    ASM_X87_PLAIN(fsqrt, 2, 0xfad9)                                                                                    \
    ASM_X87_PLAIN(fsincos, 2, 0xfbd9)                                                                                  \
    ASM_X87_PLAIN(frndint, 2, 0xfcd9)                                                                                  \
    ASM_X87_PLAIN(fscale, 2, 0xfdd9)                                                                                   \
    ASM_X87_PLAIN(fsin, 2, 0xfed9)                                                                                     \
    ASM_X87_PLAIN(fcos, 2, 0xffd9)                                                                                     \
    ASM_X87_PLAIN(fcompp, 2, 0xd9de)                                                                                   \
    ASM_X87_PLAIN(fucompp, 2, 0xe9da)                                                                                  \
    ASM_X87_PLAIN(fnclex, 2, 0xe2db)                                                                                   \
    ASM_X87_PLAIN(fninit, 2, 0xe3db)                                                                                   \
    ASM_X87_PLAIN(fnstsw_ax, 2, 0xe0df)

#define ASM_X87_MEM(name, byte, digit) void asm_##name(Asm *a, AsmMem m);
#define ASM_X87_ST(name, first, second)                                                                                \
    static inline void asm_##name(Asm *a, unsigned i)                                                                  \
    {                                                                                                                  \
        a->bad |= i > 7;                                                                                               \
        asm_bytes(a, 2, (uint64_t)((second) + (i & 7)) << 8 | (first));                                                \
    }
#define ASM_X87_PLAIN(name, n, bytes) static inline void asm_##name(Asm *a) { asm_bytes(a, n, bytes); }
ASM_X87_MEM_LIST(ASM_X87_MEM)
ASM_X87_ST_LIST(ASM_X87_ST)
ASM_X87_PLAIN_LIST(ASM_X87_PLAIN)
#undef ASM_X87_MEM
#undef ASM_X87_ST
#undef ASM_X87_PLAIN

#endif
