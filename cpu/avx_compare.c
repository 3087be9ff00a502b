/* Packed integer comparisons and tests whose result is an opmask (SDM vol. 2, VPCMPD and its kin). */
#include "cpu/avx.h"

typedef bool LaneTest(uint64_t a, uint64_t b, unsigned bits);

/* The bits of the lanes that pass; masked lanes are not read. */
static void compare_lanes(Cpu *cpu, const Insn *i, LaneTest *test, unsigned bits)
{
    Vec tmp;
    const Vec *a = &cpu->vec[i->vreg], *b = avx_source(cpu, i, &tmp, bits);
    uint64_t r = 0;
    for (unsigned n = 0; n < avx_lanes(i, bits); n++)
        r |= (uint64_t)test(vec_lane(a, bits, n), vec_lane(b, bits, n), bits) << n;
    avx_write_mask(cpu, i, r, avx_lanes(i, bits));
}

static bool lane_equal(uint64_t a, uint64_t b, unsigned bits)
{
    (void)bits;
    return a == b;
}
static bool lane_below(uint64_t a, uint64_t b, unsigned bits)
{
    (void)bits;
    return a < b;
}
static bool lane_less(uint64_t a, uint64_t b, unsigned bits) { return sign_extend(a, bits) < sign_extend(b, bits); }
static bool lane_greater(uint64_t a, uint64_t b, unsigned bits) { return lane_less(b, a, bits); }
static bool lane_below_equal(uint64_t a, uint64_t b, unsigned bits) { return !lane_below(b, a, bits); }
static bool lane_less_equal(uint64_t a, uint64_t b, unsigned bits) { return !lane_less(b, a, bits); }
static bool lane_never(uint64_t a, uint64_t b, unsigned bits)
{
    (void)a, (void)b, (void)bits;
    return false;
}
static bool lane_meets(uint64_t a, uint64_t b, unsigned bits)
{
    (void)bits;
    return a & b;
}

static bool lane_not_equal(uint64_t a, uint64_t b, unsigned bits) { return !lane_equal(a, b, bits); }
static bool lane_not_below(uint64_t a, uint64_t b, unsigned bits) { return !lane_below(a, b, bits); }
static bool lane_not_less(uint64_t a, uint64_t b, unsigned bits) { return !lane_less(a, b, bits); }
static bool lane_above(uint64_t a, uint64_t b, unsigned bits) { return lane_below(b, a, bits); }
static bool lane_always(uint64_t a, uint64_t b, unsigned bits) { return !lane_never(a, b, bits); }
static bool lane_misses(uint64_t a, uint64_t b, unsigned bits) { return !lane_meets(a, b, bits); }

/* By bits 2:0 of the immediate. */
static LaneTest *const signed_tests[8] = { lane_equal,     lane_less,     lane_less_equal, lane_never,
                                           lane_not_equal, lane_not_less, lane_greater,    lane_always };
static LaneTest *const unsigned_tests[8] = { lane_equal,     lane_below,     lane_below_equal, lane_never,
                                             lane_not_equal, lane_not_below, lane_above,       lane_always };

#define MASK_COMPARE(suffix, bits)                                                                                     \
    AVX_SEMANTICS(mask_pcmpeq##suffix, compare_lanes, lane_equal, bits)                                                \
    AVX_SEMANTICS(mask_pcmpgt##suffix, compare_lanes, lane_greater, bits)                                              \
    AVX_SEMANTICS(pcmp##suffix, compare_lanes, signed_tests[i->imm & 7], bits)                                         \
    AVX_SEMANTICS(pcmpu##suffix, compare_lanes, unsigned_tests[i->imm & 7], bits)                                      \
    AVX_SEMANTICS(ptestm##suffix, compare_lanes, lane_meets, bits)                                                     \
    AVX_SEMANTICS(ptestnm##suffix, compare_lanes, lane_misses, bits)
MASK_COMPARE(b, 8)
MASK_COMPARE(w, 16)
MASK_COMPARE(d, 32)
MASK_COMPARE(q, 64)
