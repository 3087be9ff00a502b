/*
 * VRCP14 and VRSQRT14 of 32 and 64 bits.  The manuals bound the relative error (2^-14), not the result; this is what
 * AMD Zen 4 gives for every operand, measured: straight lines over the upper bits of the significand, 64 of them for
 * the reciprocal and 32 for the root of each parity of the exponent.  Powers of two, of four for the root, are exact.
 * No flag is raised; DAZ and FTZ count.
 */
#include "cpu/fp_avx512.h"
#include "cpu/fp_internal.h"

/* (start - slope * x) / 512 is the result's fraction of 16 bits, x the 10 bits below those that choose a line. */
typedef struct Line {
    uint32_t start;
    uint16_t slope;
} Line;

static const Line reciprocal[64] = {
    { 33552640, 1009 }, { 32519680, 977 }, { 31519232, 949 }, { 30547968, 921 }, { 29604608, 893 },
    { 28690176, 869 }, { 27800320, 843 }, { 26936832, 821 }, { 26096128, 797 }, { 25279488, 777 },
    { 24483840, 755 }, { 23710208, 735 }, { 22957056, 717 }, { 22223616, 699 }, { 21508352, 681 },
    { 20810752, 663 }, { 20131584, 647 }, { 19468544, 631 }, { 18822656, 617 }, { 18191104, 601 },
    { 17575168, 587 }, { 16973568, 573 }, { 16386560, 561 }, { 15811840, 547 }, { 15250944, 535 },
    { 14702592, 523 }, { 14167296, 513 }, { 13642240, 501 }, { 13129472, 491 }, { 12627200, 479 },
    { 12135936, 469 }, { 11654912, 459 }, { 11184640, 451 }, { 10723072, 441 }, { 10271744, 433 },
    { 9828352, 423 }, { 9394688, 415 }, { 8969472, 407 }, { 8552448, 399 }, { 8143616, 391 },
    { 7743488, 385 }, { 7349504, 377 }, { 6963456, 369 }, { 6585088, 363 }, { 6213888, 357 },
    { 5848320, 349 }, { 5490176, 343 }, { 5138432, 337 }, { 4793088, 331 }, { 4453632, 325 },
    { 4120064, 319 }, { 3793408, 315 }, { 3470848, 309 }, { 3154176, 303 }, { 2843648, 299 },
    { 2537216, 293 }, { 2236928, 289 }, { 1941248, 285 }, { 1649920, 279 }, { 1364736, 275 },
    { 1083648, 271 }, { 806656, 267 }, { 533760, 263 }, { 264960, 259 },
};
static const Line root_even[32] = {
    { 33551488, 1001 }, { 32526464, 955 }, { 31548032, 915 }, { 30611712, 877 }, { 29714176, 841 },
    { 28853120, 807 }, { 28026496, 775 }, { 27232384, 747 }, { 26467584, 719 }, { 25731200, 693 },
    { 25021312, 669 }, { 24336896, 647 }, { 23675136, 625 }, { 23035136, 603 }, { 22417280, 585 },
    { 21818752, 567 }, { 21238656, 549 }, { 20676992, 533 }, { 20131712, 517 }, { 19602432, 501 },
    { 19089024, 487 }, { 18590080, 473 }, { 18105344, 461 }, { 17633664, 449 }, { 17174400, 437 },
    { 16727424, 425 }, { 16292608, 415 }, { 15867648, 403 }, { 15454080, 393 }, { 15051520, 385 },
    { 14657408, 375 }, { 14273792, 367 },
};
static const Line root_odd[32] = {
    { 13896320, 707 }, { 13171840, 675 }, { 12480000, 647 }, { 11817472, 619 }, { 11183616, 595 },
    { 10574720, 571 }, { 9990272, 549 }, { 9428096, 527 }, { 8887936, 509 }, { 8367488, 491 },
    { 7864960, 473 }, { 7380608, 457 }, { 6912640, 441 }, { 6460672, 427 }, { 6023296, 413 },
    { 5600640, 401 }, { 5190528, 389 }, { 4792704, 377 }, { 4407168, 365 }, { 4033664, 355 },
    { 3670400, 345 }, { 3317504, 335 }, { 2974208, 325 }, { 2640896, 317 }, { 2316544, 309 },
    { 2000512, 301 }, { 1692544, 293 }, { 1392384, 285 }, { 1100416, 279 }, { 814720, 271 },
    { 536576, 265 }, { 264960, 259 },
};

/* A number below the power of two by `exp`, its fraction by the line for the top `bits` of n's. */
FP_INLINE Num line_read(const Line *lines, unsigned bits, Num n, int exp)
{
    uint64_t fraction = n.mant << 1;
    const Line *line = &lines[fraction >> (64 - bits)];
    uint32_t x = fraction << bits >> 54;
    n.mant = INTEGER_BIT | (uint64_t)((line->start - line->slope * x) >> 9) << 47;
    n.exp = exp;
    return n;
}

FP_INLINE Num num_rcp14(Num n, FpEnv *e)
{
    if (n.cls >= NUM_QNAN)
        return num_propagate_nan(n, n, e);
    if (n.cls != NUM_FINITE)
        return n.cls == NUM_ZERO ? num_inf(n.sign) : num_zero(n.sign);
    if (n.mant == INTEGER_BIT) {
        n.exp = -n.exp;
        return n;
    }
    return line_read(reciprocal, 6, n, -n.exp - 1);
}

FP_INLINE Num num_rsqrt14(Num n, FpEnv *e)
{
    if (n.cls >= NUM_QNAN)
        return num_propagate_nan(n, n, e);
    if (n.cls == NUM_ZERO)
        return num_inf(n.sign);
    if (n.sign)
        return num_invalid(e);
    if (n.cls == NUM_INF)
        return num_zero(false);
    bool odd = n.exp & 1;
    int half = (n.exp - odd) / 2;
    if (n.mant == INTEGER_BIT && !odd) {
        n.exp = -half;
        return n;
    }
    return line_read(odd ? root_odd : root_even, 5, n, -half - 1);
}

#define APPROXIMATIONS(T, n, t)                                                                                        \
    T fp##n##_rcp14(T a, const FpEnv *e)                                                                               \
    {                                                                                                                  \
        FpEnv r = { .rounding = FP_NEAREST, .ftz = e->ftz };                                                           \
        return num_pack_##t(num_rcp14(num_unpack_##t(a, e->daz), &r), &r);                                             \
    }                                                                                                                  \
    T fp##n##_rsqrt14(T a, const FpEnv *e)                                                                             \
    {                                                                                                                  \
        FpEnv r = { .rounding = FP_NEAREST, .ftz = e->ftz };                                                           \
        return num_pack_##t(num_rsqrt14(num_unpack_##t(a, e->daz), &r), &r);                                           \
    }

APPROXIMATIONS(uint32_t, 32, f32)
APPROXIMATIONS(uint64_t, 64, f64)
