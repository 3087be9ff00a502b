/* Byte strings for the decoder, and what a second, simple reading of their prefixes says of them. */
#ifndef MYNA_TESTS_DECODE_STRING_H
#define MYNA_TESTS_DECODE_STRING_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu/insn.h"
#include "tests/cpu/random.h"

#define STRING_SIZE 15

/* What a rule may ask of a string (rules.h). */
enum {
    FACT_66 = 1 << 0, FACT_67 = 1 << 1, FACT_F2 = 1 << 2, FACT_F3 = 1 << 3, FACT_LOCK = 1 << 4, FACT_REX = 1 << 5,
    FACT_W = 1 << 6, FACT_MEMORY = 1 << 7, FACT_LEGACY = 1 << 8, FACT_VEX = 1 << 9, FACT_EVEX = 1 << 10,
    FACT_XOP = 1 << 11, FACT_L = 1 << 12, FACT_LL3 = 1 << 13, FACT_VVVV = 1 << 14, FACT_K = 1 << 15, FACT_Z = 1 << 16,
    FACT_B = 1 << 17, FACT_16 = 1 << 18, FACT_32 = 1 << 19, FACT_64 = 1 << 20, FACT_SEGMENT = 1 << 21,
    FACT_R = 1 << 22, FACT_RHIGH = 1 << 23, FACT_VHIGH = 1 << 24, FACT_X = 1 << 25, FACT_BASE_B = 1 << 26,
    FACT_L2 = 1 << 27, FACT_SIB = 1 << 28, FACT_TWO = 1 << 29, FACT_APART = 1 << 30,
};

typedef struct Facts {
    uint32_t bits;     /* FACT_* */
    uint8_t pp;        /* 0, 1, 2, 3: no mandatory prefix, 66, F3, F2 */
    uint8_t map, opcode, modrm; /* map: 0 one byte, 1 0F, 2 0F38, 3 0F3A, and as VEX, EVEX and XOP number them */
    uint8_t prefixes;  /* legacy and REX prefixes */
} Facts;

/* Makes a string: of a row of the table, of random structure, or of random bytes. */
void string_make(const InsnDecoder *d, Random *r, unsigned size, uint8_t *bytes);

/* `bytes` has STRING_SIZE bytes; size is SZ16, SZ32 or SZ64. */
Facts string_facts(const uint8_t *bytes, unsigned size);

#endif
