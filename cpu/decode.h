/*
 * Patterns: the rows of the instruction table in the form that the decoder compares with instruction bytes.
 * decode_pattern.c makes them of the table's strings (notation: insn.h), decode.c reads bytes by them.
 */
#ifndef MYNA_CPU_DECODE_H
#define MYNA_CPU_DECODE_H

#include "cpu/insn.h"

enum { PREFIX_ANY, PREFIX_NONE, PREFIX_66, PREFIX_F3, PREFIX_F2 };

/* Opcode maps, of each kind of encoding apart. */
enum { ENC_LEGACY, ENC_VEX, ENC_EVEX, ENC_XOP };
enum {
    MAP_ONE, MAP_0F, MAP_0F38, MAP_0F3A, MAP_VEX_0F, MAP_VEX_0F38, MAP_VEX_0F3A, MAP_EVEX_0F, MAP_EVEX_0F38,
    MAP_EVEX_0F3A, MAP_EVEX_5, MAP_EVEX_6, MAP_XOP_8, MAP_XOP_9, MAP_XOP_A,
    MAP_3DNOW, MAP_COUNT,
};

enum { MOD_ANY, MOD_REG, MOD_MEM };
enum { IMM_NONE, IMM_B, IMM_J, IMM_W, IMM_Z, IMM_V, IMM_P, IMM_O };

/* What EVEX.aaa and EVEX.z may be (MASK_STORE: zeroing in a register only;
 * MASK_NEEDED: a mask other than k0 must be named), and EVEX.b with registers. */
enum { MASK_NO, MASK_MERGE, MASK_STORE, MASK_ANY, MASK_NEEDED };
enum { ROUND_NO, ROUND_IGNORED, ROUND_SAE, ROUND_ER };

/* The unit of an 8-bit displacement: bytes, or a part of the vector length (SDM vol. 2A 2.7.5). */
enum { SCALE_DUP = 0x40, SCALE_VECTOR = 0x80 };

/* Operands that are opmasks. */
enum { OPMASK_REG = 1, OPMASK_VVVV = 2, OPMASK_RM = 4 };

/* One way to recognise a row, and how to read the operands. */
typedef struct Pattern {
    uint16_t row;
    uint8_t opcode, opcodes;       /* first opcode byte, and how many from there on (1 or 8) */
    uint8_t encoding, map, prefix, mod; /* ENC_*, MAP_*, PREFIX_*, MOD_* */
    uint8_t modrm_mask, modrm_value; /* bits of ModRM that must match */
    uint8_t size_mask;             /* bit SZ*: operand sizes that match */
    int8_t w;                      /* W must be this; -1: any */
    bool no64, only64, no_rex_b;
    bool any_mod;                  /* ModRM.mod is ignored: a register even where it says memory */
    bool modrm;                    /* a ModRM byte follows */
    bool byte_reg, byte_rm;        /* these register numbers mean byte registers */
    bool reg_general, rm_general;  /* they name general registers */
    bool y_size;                   /* operand size is 32 or 64 bits */
    bool opcode_reg;               /* +r */
    bool vvvv, vvvv_general;       /* VEX.vvvv names a register, a general one */
    bool is4;                      /* the immediate's upper half names one */
    bool vsib;                     /* the index register is a vector */
    bool any_length;               /* VEX.L is ignored */
    uint8_t length_mask;           /* bits 0..2: vector lengths of 128, 256, 512 bits that match */
    uint8_t masking, rounding;     /* MASK_*, ROUND_* */
    uint8_t broadcast;             /* bytes of a broadcast element; 0: none */
    uint8_t disp_scale;            /* EVEX: SCALE_VECTOR | shift, SCALE_DUP, or bytes */
    uint8_t opmasks;               /* OPMASK_* */
    uint8_t imm, imm2;             /* IMM_* */
    uint8_t score;                 /* exactness */
} Pattern;

/*
 * The pattern of a row (of INSN_ROW_BAD too: a legacy one), as a decoder with every feature has it.  All rows are parsed
 * at the first call, once for all CPUs; any thread may call.
 */
const Pattern *insn_row_pattern(unsigned row);

/*
 * What an 8-bit displacement counts in an EVEX encoding with vector length `vl`, which is also what a memory operand has:
 * bytes.  For VEX rows: their memory operand, the vector length where the row does not say.
 */
unsigned pattern_memory_bytes(const Pattern *p, unsigned vl, bool broadcast);

struct InsnDecoder {
    Pattern *patterns;
    uint16_t first[MAP_COUNT][256];
    uint8_t count[MAP_COUNT][256];
    uint16_t *order;               /* pattern numbers by falling score; first and count index this */
    bool only_8086, until_286, has_3dnow; /* FEAT_* of that name */
};

#endif
