/*
 * What the files of the assembler share: an instruction is an opcode word, the ModRM reg field and the r/m operand.
 * Encoding by Intel SDM vol. 2, chapter 2.
 */
#ifndef MYNA_TCG_X86_64_ENCODE_H
#define MYNA_TCG_X86_64_ENCODE_H

#include "tcg/x86_64/asm.h"
#include "util/bits.h"
#include "util/endian.h"

/* An opcode word: the opcode byte in bits 0-7, and these.  Map and prefix have the numbers of VEX's fields. */
enum {
    OP_MAP_SHIFT = 8,
    OP_0F = 1 << 8,
    OP_0F38 = 2 << 8,
    OP_0F3A = 3 << 8,
    OP_PREFIX_SHIFT = 10,
    OP_66 = 1 << 10,
    OP_F3 = 2 << 10,
    OP_F2 = 3 << 10,
    OP_W = 1 << 12,    /* 64-bit operand */
    OP_O16 = 1 << 13,  /* 16-bit operand: a prefix 66 beside the mandatory one */
    OP_R8 = 1 << 14,   /* reg is a byte register */
    OP_M8 = 1 << 15,   /* r/m is a byte, if a register */
    OP_VSIB = 1 << 16, /* the index is a vector register */
    OP_MEM = 1 << 17,  /* r/m must be memory */
};

/* The opcode for an operand size, where bit 0 of it tells bytes from larger, and where only larger ones exist. */
static inline uint32_t op_any_size(uint32_t op, unsigned size)
{
    return size == 8 ? op | OP_R8 | OP_M8 : op | 1 | (size == 16 ? OP_O16 : size == 64 ? OP_W : 0);
}

static inline uint32_t op_size(uint32_t op, unsigned size)
{
    return op | (size == 16 ? OP_O16 : size == 64 ? OP_W : 0);
}

/* True with room for one instruction; else notes the overflow. */
static inline bool asm_room(Asm *a)
{
    if (likely(!a->overflow && a->end - a->p >= ASM_ROOM))
        return true;
    a->overflow = true;
    return false;
}

static inline void put8(Asm *a, uint8_t byte)
{
    *a->p++ = byte;
}

static inline void put32(Asm *a, uint32_t v)
{
    st32le(a->p, v);
    a->p += 4;
}

/* The low `size` bits (8, 16, 32, 64) of an immediate. */
static inline void put_imm(Asm *a, unsigned size, uint64_t imm)
{
    stle(a->p, imm, size / 8);
    a->p += size / 8;
}

/* Bits of the immediate of an instruction with operands of this size, when it has the full form. */
static inline unsigned imm_size(unsigned size)
{
    return size == 64 ? 32 : size;
}

static inline bool fits8(int64_t v) { return v == (int8_t)v; }
static inline bool fits32(int64_t v) { return v == (int32_t)v; }

/* The displacement field of a branch to, or an operand at, an address or label; `tail` bytes follow it. */
void put_rel32(Asm *a, uint64_t address, unsigned tail);
void put_label32(Asm *a, AsmLabel *label, unsigned tail);

/*
 * All up to the immediate, of which the caller puts `tail` bytes next.  False, and nothing written: no room.  `v` and
 * `l` as in VEX; v is 0 where there is no such operand.
 */
bool put_op(Asm *a, uint32_t op, unsigned reg, const AsmMem *rm, unsigned tail);
bool put_vex(Asm *a, uint32_t op, unsigned l, unsigned reg, unsigned v, const AsmMem *rm, unsigned tail);

/* What EVEX has besides (SDM vol. 2A 2.7.1): L'L, opmask, zeroing, and b: broadcast, rounding control or SAE. */
typedef struct EvexBits {
    uint8_t map, length, mask;
    bool zero, b;
} EvexBits;

/* The same with EVEX: registers up to 31; the map of `op` does not count.  Memory is a base (not RSP, R12) and displacement. */
bool put_evex(Asm *a, uint32_t op, EvexBits bits, unsigned reg, unsigned v, const AsmMem *rm);

/*
 * An instruction with the register in the low bits of its opcode byte, up to the immediate: `op` has no map but 0F, and
 * no prefix but OP_O16 and OP_W.
 */
bool put_short(Asm *a, uint32_t op, AsmReg reg);

/* put_op() with an opcode extension in the reg field. */
static inline bool put_group(Asm *a, uint32_t op, unsigned digit, const AsmMem *rm, unsigned tail)
{
    return put_op(a, op & ~OP_R8, digit, rm, tail);
}

#endif
