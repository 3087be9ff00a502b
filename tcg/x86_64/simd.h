/* What the columns of simd.def mean, for the files that read more of it than the names. */
#ifndef MYNA_TCG_X86_64_SIMD_H
#define MYNA_TCG_X86_64_SIMD_H

#include "tcg/x86_64/encode.h"

enum {
    SIMD_LEGACY = 1 << 0,
    SIMD_VEX = 1 << 1,
    SIMD_256 = 1 << 2,      /* has a 256-bit VEX form */
    SIMD_ONLY256 = 1 << 3,  /* and none of 128 bits */
    SIMD_NDS = 1 << 4,      /* VEX: a first source in vvvv, which is the destination in the legacy form */
    SIMD_NDS_REG = 1 << 5,  /* the same, but only when r/m is a register */
    SIMD_IMM = 1 << 6,      /* an immediate byte */
    SIMD_IS4 = 1 << 7,      /* a fourth register in bits 7-4 of an immediate byte */
    SIMD_STORE = 1 << 8,    /* r/m is the destination */
    SIMD_MEM = 1 << 9,      /* r/m is memory only */
    SIMD_REG = 1 << 10,     /* r/m is a register only */
    SIMD_GATHER = 1 << 11,  /* r/m is memory with a vector index, vvvv the mask */
    SIMD_GROUP = 1 << 12,   /* a digit in the reg field; VEX: the destination in vvvv */
    SIMD_DIGIT_SHIFT = 13,  /* that digit, in three bits */
};

#endif
