/* Random numbers and operands (random.h). */
#include "tests/cpu/random.h"

#include "util/bits.h"

/* Integers with the interesting ones often. */
uint64_t random_integer(Random *r)
{
    static const uint64_t corners[] = {
        0, 1, 2, 7, 8, 15, 16, 31, 32, 63, 64, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff,
        0x80000000, 0xffffffff, UINT64_C(0x100000000), INT64_MAX, UINT64_C(0x8000000000000000), UINT64_MAX,
        UINT64_MAX - 1, UINT64_C(0x5555555555555555), UINT64_C(0xaaaaaaaaaaaaaaaa),
    };
    if (random_chance(r, 40))
        return corners[random_below(r, ARRAY_SIZE(corners))];
    return random_next(r) >> random_below(r, 64);
}

static uint32_t random_float(Random *r)
{
    static const uint32_t corners[] = {
        0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x7f800001, 0xffa00000,
        1, 0x807fffff, 0x00800000, 0x7f7fffff, 0xff7fffff, 0x4b000000, 0x4f000000, 0xcf000000, 0x3f000000, 0x40490fdb,
    };
    if (random_chance(r, 35))
        return corners[random_below(r, ARRAY_SIZE(corners))];
    if (random_chance(r, 60))
        return (random_next(r) & 0x807fffff) | (uint32_t)(107 + random_below(r, 40)) << 23;
    return random_next(r);
}

static uint64_t random_double(Random *r)
{
    static const uint64_t corners[] = {
        0, UINT64_C(1) << 63, UINT64_C(0x3ff0000000000000), UINT64_C(0xbff0000000000000), UINT64_C(0x7ff0000000000000),
        UINT64_C(0xfff0000000000000), UINT64_C(0x7ff8000000000000), UINT64_C(0xfff8000000000001),
        UINT64_C(0x7ff0000000000001), UINT64_C(0xfff4000000000000), 1, UINT64_C(0x800fffffffffffff),
        UINT64_C(0x0010000000000000), UINT64_C(0x7fefffffffffffff), UINT64_C(0x4330000000000000),
        UINT64_C(0x43e0000000000000), UINT64_C(0xc3e0000000000000), UINT64_C(0x41dfffffffc00000),
        UINT64_C(0x3fe0000000000000), UINT64_C(0x400921fb54442d18),
    };
    if (random_chance(r, 35))
        return corners[random_below(r, ARRAY_SIZE(corners))];
    if (random_chance(r, 60))
        return (random_next(r) & UINT64_C(0x800fffffffffffff)) | (uint64_t)(983 + random_below(r, 80)) << 52;
    return random_next(r);
}

void random_extended(Random *r, uint64_t *mant, uint16_t *sexp)
{
    static const struct { uint64_t mant; uint16_t sexp; } corners[] = {
        { 0, 0 }, { 0, 0x8000 }, { BIT(63), 0x3fff }, { BIT(63), 0xbfff }, { BIT(63), 0x7fff }, { BIT(63), 0xffff },
        { UINT64_C(3) << 62, 0x7fff }, { UINT64_C(3) << 62, 0xffff }, { BIT(63) | 1, 0x7fff }, { 1, 0 },
        { BIT(63), 0 }, { BIT(63), 1 }, { UINT64_MAX, 0x7ffe }, { UINT64_C(0xc90fdaa22168c235), 0x4000 },
        { BIT(62), 0x3fff }, { 0, 0x7fff }, { BIT(63), 0x4000 }, { BIT(63), 0x3ffe },
    };
    if (random_chance(r, 30)) {
        unsigned k = random_below(r, ARRAY_SIZE(corners));
        *mant = corners[k].mant;
        *sexp = corners[k].sexp;
    } else {
        *mant = random_next(r) | BIT(63);
        if (random_chance(r, 30))
            *mant &= ~bit_mask(random_below(r, 60));
        *sexp = random_chance(r, 75) ? (random_next(r) & 0x8000) | (0x3fff - 40 + random_below(r, 100)) : random_next(r);
    }
}

/* Vector lanes of every kind: the instruction may read them as integers or floats of any size. */
uint64_t random_lane(Random *r)
{
    switch (random_below(r, 4)) {
    case 0: return random_integer(r);
    case 1: return random_next(r);
    case 2: return random_float(r) | (uint64_t)random_float(r) << 32;
    default: return random_double(r);
    }
}
