/*
 * Operands for the tests of floating point: random ones weighted towards zeros, denormals, infinities, NaNs, the ends
 * of the range and near-ties.
 */
#ifndef MYNA_TESTS_UNIT_FP_RANDOM_H
#define MYNA_TESTS_UNIT_FP_RANDOM_H

#include <glib.h>
#include <stdlib.h>

#include "util/bits.h"

static inline uint64_t random64(void)
{
    static uint64_t seed = 0x9e3779b97f4a7c15;
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * UINT64_C(0x2545f4914f6cdd1d);
}

static inline unsigned cases_per_operation(void)
{
    const char *text = g_getenv("FP_TEST_COUNT");
    return text ? strtoul(text, NULL, 10) : 20000;
}

/* Sixty-four bits with runs of ones and zeros, so that carries and ties happen. */
static inline uint64_t random_pattern(void)
{
    uint64_t v = random64(), k = random64();
    switch (k % 6) {
    case 0: return v;
    case 1: return BIT(v % 64);
    case 2: return ~UINT64_C(0) << v % 64;
    case 3: return bit_mask(v % 65);
    case 4: return (BIT(v % 64) | BIT(v / 64 % 64)) - (v >> 63);
    default: return 0;
    }
}

/* A value of a format: sign, exponent (special ones often, near `near` often), fraction. */
static inline uint64_t random_ieee(unsigned frac, unsigned width, uint64_t near)
{
    uint64_t max = bit_mask(width), exp, k = random64();
    switch (k % 8) {
    case 0: exp = 0; break;
    case 1: exp = max; break;
    case 2: exp = k >> 8 & 3 ? 1 + (k >> 16) % (frac + 3) : max - 1 - (k >> 16) % 3; break;
    case 3: exp = max / 2 + (k >> 16) % 5 - 2; break;
    case 4: exp = k >> 16 & max; break;
    default: exp = ((near >> frac) + (k >> 16) % (2 * frac + 8) - frac - 4) & max; break;
    }
    return (k >> 63) << (frac + width) | exp << frac | (random_pattern() >> (64 - frac) ^ (k >> 40 & 1));
}

#ifdef __x86_64__
static inline uint32_t mxcsr_get(void)
{
    uint32_t v;
    __asm__ volatile("stmxcsr %0" : "=m"(v)::"memory");
    return v;
}
static inline void mxcsr_set(uint32_t v) { __asm__ volatile("ldmxcsr %0" ::"m"(v) : "memory"); }
#endif

#endif
