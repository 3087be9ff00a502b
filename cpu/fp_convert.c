/*
 * Soft-float: comparison, rounding to integral values, and conversions between formats and with integers
 * (SDM vol. 1 4.8.3 and 11.4.1.6, vol. 2: FCOM, FRNDINT, FIST, CVT*, ROUND*).
 */
#include "cpu/fp_internal.h"

FP_INLINE int order_magnitude(Num a, Num b)
{
    if (a.cls != b.cls)
        return a.cls < b.cls ? FP_LESS : FP_GREATER;
    if (a.cls != NUM_FINITE || (a.exp == b.exp && a.mant == b.mant))
        return FP_EQUAL;
    return a.exp < b.exp || (a.exp == b.exp && a.mant < b.mant) ? FP_LESS : FP_GREATER;
}

FP_INLINE int num_compare(Num a, Num b, bool quiet, FpEnv *e)
{
    if (unlikely(a.cls >= NUM_QNAN || b.cls >= NUM_QNAN)) {
        if (!quiet || a.cls > NUM_QNAN || b.cls > NUM_QNAN)
            e->flags |= FP_INVALID;
        return FP_UNORDERED;
    }
    num_note_denormals(a, b, e);
    if (a.cls == NUM_ZERO && b.cls == NUM_ZERO)
        return FP_EQUAL;
    if (a.sign != b.sign)
        return a.sign ? FP_LESS : FP_GREATER;
    return a.sign ? order_magnitude(b, a) : order_magnitude(a, b);
}

/* To a signed integer of `bits` bits; what does not fit is the integer indefinite. */
FP_INLINE int64_t num_to_int(Num n, unsigned bits, unsigned rounding, FpEnv *e)
{
    if (n.cls == NUM_ZERO)
        return 0;
    bool inexact = false;
    uint64_t v = ~UINT64_C(0);
    if (likely(n.cls == NUM_FINITE && n.exp < 64))
        v = num_integer(n, rounding, &inexact, e);
    if (unlikely(v > bit_mask(bits - 1) + n.sign)) {
        e->flags |= FP_INVALID;
        e->rounded_up = false;
        return -(int64_t)bit_mask(bits - 1) - 1;
    }
    if (inexact)
        e->flags |= FP_INEXACT;
    return n.sign ? -v : v;
}

/* To an unsigned integer; what does not fit is all ones (SDM vol. 2 VCVTPS2UDQ). */
FP_INLINE uint64_t num_to_uint(Num n, unsigned bits, unsigned rounding, FpEnv *e)
{
    if (n.cls == NUM_ZERO)
        return 0;
    bool inexact = false, fits = n.cls == NUM_FINITE && n.exp < (int)bits;
    uint64_t v = likely(fits) ? num_integer(n, rounding, &inexact, e) : 0;
    if (unlikely(!fits || v > bit_mask(bits) || (n.sign && v))) {
        e->flags |= FP_INVALID;
        return bit_mask(bits);
    }
    if (inexact)
        e->flags |= FP_INEXACT;
    return v;
}

/* Between formats: a NaN becomes quiet, and a denormal is reported except from x87's own format. */
FP_INLINE Num num_convert(Num n, FpEnv *e)
{
    if (unlikely(n.cls >= NUM_QNAN))
        return num_propagate_nan(n, n, e);
    num_note_denormals(n, n, e);
    return n;
}

FP_INLINE Num num_convert_f80(Float80 a, FpEnv *e)
{
    Num n = num_unpack_f80(a);
    n.denormal = false;
    return num_convert(n, e);
}

/* With the signature of the other formats; f80 has no operation limited by precision control here. */
FP_INLINE Num unpack_f80(Float80 a, bool daz)
{
    (void)daz;
    return num_unpack_f80(a);
}
static inline Float80 pack_f80(Num n, FpEnv *e) { return num_pack_f80(n, 64, e); }
#define unpack_f16 num_unpack_f16
#define pack_f16 num_pack_f16
#define unpack_f32 num_unpack_f32
#define unpack_f64 num_unpack_f64
#define pack_f32 num_pack_f32
#define pack_f64 num_pack_f64

#define CONVERSIONS(T, t)                                                                                              \
    T t##_round(T a, FpEnv *e) { return pack_exact_##t(num_round_integral(unpack_##t(a, e->daz), e)); }                \
    int t##_compare(T a, T b, bool quiet, FpEnv *e)                                                                    \
    {                                                                                                                  \
        return num_compare(unpack_##t(a, e->daz), unpack_##t(b, e->daz), quiet, e);                                    \
    }                                                                                                                  \
    int32_t t##_to_i32(T a, uint8_t rounding, FpEnv *e)                                                                \
    {                                                                                                                  \
        return num_to_int(unpack_##t(a, e->daz), 32, rounding, e);                                                     \
    }                                                                                                                  \
    int64_t t##_to_i64(T a, uint8_t rounding, FpEnv *e)                                                                \
    {                                                                                                                  \
        return num_to_int(unpack_##t(a, e->daz), 64, rounding, e);                                                     \
    }                                                                                                                  \
    T t##_from_i32(int32_t v, FpEnv *e) { return pack_##t(num_from_int(v), e); }                                       \
    T t##_from_i64(int64_t v, FpEnv *e) { return pack_##t(num_from_int(v), e); }

#define UNSIGNED_CONVERSIONS(T, t)                                                                                     \
    uint32_t t##_to_u32(T a, uint8_t rounding, FpEnv *e)                                                               \
    {                                                                                                                  \
        return num_to_uint(unpack_##t(a, e->daz), 32, rounding, e);                                                    \
    }                                                                                                                  \
    uint64_t t##_to_u64(T a, uint8_t rounding, FpEnv *e)                                                               \
    {                                                                                                                  \
        return num_to_uint(unpack_##t(a, e->daz), 64, rounding, e);                                                    \
    }                                                                                                                  \
    T t##_from_u32(uint32_t v, FpEnv *e) { return pack_##t(num_from_uint(v, false), e); }                              \
    T t##_from_u64(uint64_t v, FpEnv *e) { return pack_##t(num_from_uint(v, false), e); }

/* A value that the format is known to hold. */
static inline uint16_t pack_exact_f16(Num n)
{
    FpEnv e = { .rounding = FP_NEAREST };
    return num_pack_f16(n, &e);
}
static inline uint32_t pack_exact_f32(Num n)
{
    FpEnv e = { .rounding = FP_NEAREST };
    return num_pack_f32(n, &e);
}
static inline uint64_t pack_exact_f64(Num n)
{
    FpEnv e = { .rounding = FP_NEAREST };
    return num_pack_f64(n, &e);
}
static inline Float80 pack_exact_f80(Num n)
{
    FpEnv e = { .rounding = FP_NEAREST };
    return num_pack_f80(n, 64, &e);
}

CONVERSIONS(uint16_t, f16)
CONVERSIONS(uint32_t, f32)
CONVERSIONS(uint64_t, f64)
CONVERSIONS(Float80, f80)
UNSIGNED_CONVERSIONS(uint16_t, f16)
UNSIGNED_CONVERSIONS(uint32_t, f32)
UNSIGNED_CONVERSIONS(uint64_t, f64)

int16_t f80_to_i16(Float80 a, uint8_t rounding, FpEnv *e) { return num_to_int(num_unpack_f80(a), 16, rounding, e); }

int16_t f16_to_i16(uint16_t a, uint8_t rounding, FpEnv *e)
{
    return num_to_int(num_unpack_f16(a, false), 16, rounding, e);
}
uint16_t f16_to_u16(uint16_t a, uint8_t rounding, FpEnv *e)
{
    return num_to_uint(num_unpack_f16(a, false), 16, rounding, e);
}
uint16_t f16_from_i16(int16_t v, FpEnv *e) { return num_pack_f16(num_from_int(v), e); }
uint16_t f16_from_u16(uint16_t v, FpEnv *e) { return num_pack_f16(num_from_uint(v, false), e); }

bool f16_is_nan(uint16_t a) { return (a & 0x7fff) > 0x7c00; }
bool f16_is_snan(uint16_t a) { return f16_is_nan(a) && !(a & 0x200); }
bool f32_is_nan(uint32_t a) { return a << 1 > 0xff000000u; }
bool f32_is_snan(uint32_t a) { return f32_is_nan(a) && !(a & 0x400000); }
bool f64_is_nan(uint64_t a) { return a << 1 > UINT64_C(0xffe0000000000000); }
bool f64_is_snan(uint64_t a) { return f64_is_nan(a) && !(a & BIT(51)); }
bool f80_is_nan(Float80 a)
{
    unsigned cls = num_unpack_f80(a).cls;
    return cls == NUM_QNAN || cls == NUM_SNAN;
}
bool f80_is_snan(Float80 a) { return num_unpack_f80(a).cls == NUM_SNAN; }

uint64_t f32_to_f64(uint32_t a, FpEnv *e) { return num_pack_f64(num_convert(num_unpack_f32(a, e->daz), e), e); }
uint32_t f64_to_f32(uint64_t a, FpEnv *e) { return num_pack_f32(num_convert(num_unpack_f64(a, e->daz), e), e); }

uint32_t f16_to_f32(uint16_t a, FpEnv *e) { return num_pack_f32(num_convert(num_unpack_f16(a, false), e), e); }
uint64_t f16_to_f64(uint16_t a, FpEnv *e) { return num_pack_f64(num_convert(num_unpack_f16(a, false), e), e); }
uint16_t f32_to_f16(uint32_t a, FpEnv *e) { return num_pack_f16(num_convert(num_unpack_f32(a, e->daz), e), e); }
uint16_t f64_to_f16(uint64_t a, FpEnv *e) { return num_pack_f16(num_convert(num_unpack_f64(a, e->daz), e), e); }
uint32_t f16_to_f32_quietly(uint16_t a, FpEnv *e)
{
    Num n = num_unpack_f16(a, false);
    n.denormal = false;
    return num_pack_f32(num_convert(n, e), e);
}

/* Widening to x87's format is exact. */
static inline Float80 quiet_widened(Float80 r, bool denormal, FpEnv *e)
{
    if (denormal)
        e->flags |= FP_DENORMAL;
    if (unlikely((r.sexp & 0x7fff) == F80_INF_EXP && r.mant << 1 && !(r.mant & QUIET_BIT))) {
        e->flags |= FP_INVALID;
        r.mant |= QUIET_BIT;
    }
    return r;
}

Float80 f32_to_f80(uint32_t a, FpEnv *e)
{
    bool denormal;
    Float80 r = f80_widen32(a, &denormal);
    return quiet_widened(r, denormal, e);
}

Float80 f64_to_f80(uint64_t a, FpEnv *e)
{
    bool denormal;
    Float80 r = f80_widen64(a, &denormal);
    return quiet_widened(r, denormal, e);
}

uint32_t f80_to_f32(Float80 a, FpEnv *e) { return num_pack_f32(num_convert_f80(a, e), e); }
uint64_t f80_to_f64(Float80 a, FpEnv *e) { return num_pack_f64(num_convert_f80(a, e), e); }
