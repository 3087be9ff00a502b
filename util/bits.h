/* Bit fields, sign extension and other small integer helpers that C and GLib lack. */
#ifndef MYNA_UTIL_BITS_H
#define MYNA_UTIL_BITS_H

#include <stdbool.h>
#include <stdint.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define KiB (UINT64_C(1) << 10)
#define MiB (UINT64_C(1) << 20)
#define GiB (UINT64_C(1) << 30)

/* A value with only bit `n` (0..63) set. */
#define BIT(n) (UINT64_C(1) << (n))

/* The low `n` bits set; n is 0..64. */
static inline uint64_t bit_mask(unsigned n)
{
    return n >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1;
}

/* Bits lo .. lo+n-1 of v, moved to bit 0. */
static inline uint64_t bits_extract(uint64_t v, unsigned lo, unsigned n)
{
    return v >> lo & bit_mask(n);
}

/* v with bits lo .. lo+n-1 replaced by the low n bits of field. */
static inline uint64_t bits_deposit(uint64_t v, unsigned lo, unsigned n, uint64_t field)
{
    uint64_t mask = bit_mask(n) << lo;
    return (v & ~mask) | (field << lo & mask);
}

/* The low n bits (1..64) of v, sign-extended to 64 bits. */
static inline int64_t sign_extend(uint64_t v, unsigned n)
{
    unsigned shift = 64 - n;
    return (int64_t)(v << shift) >> shift;
}

static inline uint64_t align_down(uint64_t v, uint64_t to) { return v & ~(to - 1); }
static inline uint64_t align_up(uint64_t v, uint64_t to) { return (v + to - 1) & ~(to - 1); }
static inline bool is_power_of_2(uint64_t v) { return v && !(v & (v - 1)); }

/* Index of the lowest or highest set bit; v must not be 0. */
static inline unsigned bit_lowest(uint64_t v) { return __builtin_ctzll(v); }
static inline unsigned bit_highest(uint64_t v) { return 63 - __builtin_clzll(v); }

#endif
