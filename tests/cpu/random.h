/* Random numbers, the same on every host, and random operands with the interesting ones often. */
#ifndef MYNA_TESTS_CPU_RANDOM_H
#define MYNA_TESTS_CPU_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

/* xorshift64*. */
typedef struct Random {
    uint64_t state;
} Random;

static inline uint64_t random_next(Random *r)
{
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return r->state * UINT64_C(0x2545f4914f6cdd1d);
}

static inline uint64_t random_below(Random *r, uint64_t n) { return (random_next(r) >> 16) % n; }
static inline bool random_chance(Random *r, unsigned percent) { return random_below(r, 100) < percent; }

static inline Random random_for(uint64_t seed)
{
    Random r = { seed * UINT64_C(0x9e3779b97f4a7c15) + 0x1234567 };
    random_next(&r);
    random_next(&r);
    return r;
}

uint64_t random_integer(Random *r);

/* A quadword of a vector register: the instruction may read it as integers or floats of any size. */
uint64_t random_lane(Random *r);

void random_extended(Random *r, uint64_t *mant, uint16_t *sexp);

#endif
