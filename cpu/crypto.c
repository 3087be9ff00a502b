/*
 * AES-NI, PCLMULQDQ, with VEX and EVEX too, and SHA (SDM vol. 2, each under its mnemonic; FIPS 197, FIPS 180-4).
 */
#include "cpu/avx.h"

/* FIPS 197 figure 7 and figure 14. */
static const uint8_t sub_bytes[256] = {
    0x63, 0x7c, 0x77, 0x7b, 0xf2, 0x6b, 0x6f, 0xc5, 0x30, 0x01, 0x67, 0x2b, 0xfe, 0xd7, 0xab, 0x76,
    0xca, 0x82, 0xc9, 0x7d, 0xfa, 0x59, 0x47, 0xf0, 0xad, 0xd4, 0xa2, 0xaf, 0x9c, 0xa4, 0x72, 0xc0,
    0xb7, 0xfd, 0x93, 0x26, 0x36, 0x3f, 0xf7, 0xcc, 0x34, 0xa5, 0xe5, 0xf1, 0x71, 0xd8, 0x31, 0x15,
    0x04, 0xc7, 0x23, 0xc3, 0x18, 0x96, 0x05, 0x9a, 0x07, 0x12, 0x80, 0xe2, 0xeb, 0x27, 0xb2, 0x75,
    0x09, 0x83, 0x2c, 0x1a, 0x1b, 0x6e, 0x5a, 0xa0, 0x52, 0x3b, 0xd6, 0xb3, 0x29, 0xe3, 0x2f, 0x84,
    0x53, 0xd1, 0x00, 0xed, 0x20, 0xfc, 0xb1, 0x5b, 0x6a, 0xcb, 0xbe, 0x39, 0x4a, 0x4c, 0x58, 0xcf,
    0xd0, 0xef, 0xaa, 0xfb, 0x43, 0x4d, 0x33, 0x85, 0x45, 0xf9, 0x02, 0x7f, 0x50, 0x3c, 0x9f, 0xa8,
    0x51, 0xa3, 0x40, 0x8f, 0x92, 0x9d, 0x38, 0xf5, 0xbc, 0xb6, 0xda, 0x21, 0x10, 0xff, 0xf3, 0xd2,
    0xcd, 0x0c, 0x13, 0xec, 0x5f, 0x97, 0x44, 0x17, 0xc4, 0xa7, 0x7e, 0x3d, 0x64, 0x5d, 0x19, 0x73,
    0x60, 0x81, 0x4f, 0xdc, 0x22, 0x2a, 0x90, 0x88, 0x46, 0xee, 0xb8, 0x14, 0xde, 0x5e, 0x0b, 0xdb,
    0xe0, 0x32, 0x3a, 0x0a, 0x49, 0x06, 0x24, 0x5c, 0xc2, 0xd3, 0xac, 0x62, 0x91, 0x95, 0xe4, 0x79,
    0xe7, 0xc8, 0x37, 0x6d, 0x8d, 0xd5, 0x4e, 0xa9, 0x6c, 0x56, 0xf4, 0xea, 0x65, 0x7a, 0xae, 0x08,
    0xba, 0x78, 0x25, 0x2e, 0x1c, 0xa6, 0xb4, 0xc6, 0xe8, 0xdd, 0x74, 0x1f, 0x4b, 0xbd, 0x8b, 0x8a,
    0x70, 0x3e, 0xb5, 0x66, 0x48, 0x03, 0xf6, 0x0e, 0x61, 0x35, 0x57, 0xb9, 0x86, 0xc1, 0x1d, 0x9e,
    0xe1, 0xf8, 0x98, 0x11, 0x69, 0xd9, 0x8e, 0x94, 0x9b, 0x1e, 0x87, 0xe9, 0xce, 0x55, 0x28, 0xdf,
    0x8c, 0xa1, 0x89, 0x0d, 0xbf, 0xe6, 0x42, 0x68, 0x41, 0x99, 0x2d, 0x0f, 0xb0, 0x54, 0xbb, 0x16,
};
static const uint8_t inv_sub_bytes[256] = {
    0x52, 0x09, 0x6a, 0xd5, 0x30, 0x36, 0xa5, 0x38, 0xbf, 0x40, 0xa3, 0x9e, 0x81, 0xf3, 0xd7, 0xfb,
    0x7c, 0xe3, 0x39, 0x82, 0x9b, 0x2f, 0xff, 0x87, 0x34, 0x8e, 0x43, 0x44, 0xc4, 0xde, 0xe9, 0xcb,
    0x54, 0x7b, 0x94, 0x32, 0xa6, 0xc2, 0x23, 0x3d, 0xee, 0x4c, 0x95, 0x0b, 0x42, 0xfa, 0xc3, 0x4e,
    0x08, 0x2e, 0xa1, 0x66, 0x28, 0xd9, 0x24, 0xb2, 0x76, 0x5b, 0xa2, 0x49, 0x6d, 0x8b, 0xd1, 0x25,
    0x72, 0xf8, 0xf6, 0x64, 0x86, 0x68, 0x98, 0x16, 0xd4, 0xa4, 0x5c, 0xcc, 0x5d, 0x65, 0xb6, 0x92,
    0x6c, 0x70, 0x48, 0x50, 0xfd, 0xed, 0xb9, 0xda, 0x5e, 0x15, 0x46, 0x57, 0xa7, 0x8d, 0x9d, 0x84,
    0x90, 0xd8, 0xab, 0x00, 0x8c, 0xbc, 0xd3, 0x0a, 0xf7, 0xe4, 0x58, 0x05, 0xb8, 0xb3, 0x45, 0x06,
    0xd0, 0x2c, 0x1e, 0x8f, 0xca, 0x3f, 0x0f, 0x02, 0xc1, 0xaf, 0xbd, 0x03, 0x01, 0x13, 0x8a, 0x6b,
    0x3a, 0x91, 0x11, 0x41, 0x4f, 0x67, 0xdc, 0xea, 0x97, 0xf2, 0xcf, 0xce, 0xf0, 0xb4, 0xe6, 0x73,
    0x96, 0xac, 0x74, 0x22, 0xe7, 0xad, 0x35, 0x85, 0xe2, 0xf9, 0x37, 0xe8, 0x1c, 0x75, 0xdf, 0x6e,
    0x47, 0xf1, 0x1a, 0x71, 0x1d, 0x29, 0xc5, 0x89, 0x6f, 0xb7, 0x62, 0x0e, 0xaa, 0x18, 0xbe, 0x1b,
    0xfc, 0x56, 0x3e, 0x4b, 0xc6, 0xd2, 0x79, 0x20, 0x9a, 0xdb, 0xc0, 0xfe, 0x78, 0xcd, 0x5a, 0xf4,
    0x1f, 0xdd, 0xa8, 0x33, 0x88, 0x07, 0xc7, 0x31, 0xb1, 0x12, 0x10, 0x59, 0x27, 0x80, 0xec, 0x5f,
    0x60, 0x51, 0x7f, 0xa9, 0x19, 0xb5, 0x4a, 0x0d, 0x2d, 0xe5, 0x7a, 0x9f, 0x93, 0xc9, 0x9c, 0xef,
    0xa0, 0xe0, 0x3b, 0x4d, 0xae, 0x2a, 0xf5, 0xb0, 0xc8, 0xeb, 0xbb, 0x3c, 0x83, 0x53, 0x99, 0x61,
    0x17, 0x2b, 0x04, 0x7e, 0xba, 0x77, 0xd6, 0x26, 0xe1, 0x69, 0x14, 0x63, 0x55, 0x21, 0x0c, 0x7d,
};

/* Byte j of a 128-bit AES state is row j % 4 of column j / 4; row r moves left by r columns. */
static inline unsigned shifted_row(unsigned j) { return (j + j % 4 * 4) % 16; }
static inline unsigned inv_shifted_row(unsigned j) { return (j - j % 4 * 4) % 16; }

/* Four bytes times x in GF(2^8), FIPS 197 4.2.1. */
static inline uint32_t times_x(uint32_t a)
{
    return (a & 0x7f7f7f7f) << 1 ^ (a >> 7 & 0x01010101) * 0x1b;
}
static inline uint32_t rotate_right(uint32_t a, unsigned n) { return a >> n | a << (32 - n); }

static inline uint32_t mix_column(uint32_t a)
{
    uint32_t twice = times_x(a);
    return twice ^ rotate_right(twice ^ a, 8) ^ rotate_right(a, 16) ^ rotate_right(a, 24);
}
/* InvMixColumns is MixColumns after adding 4 * (a ^ a rotated by two rows). */
static inline uint32_t inv_mix_column(uint32_t a)
{
    return mix_column(a ^ times_x(times_x(a ^ rotate_right(a, 16))));
}

#define AES_ROUND(name, shifted, table, mix)                                                                           \
    static KERNEL v_##name(Vec *d, const Vec *a, const Vec *key, unsigned qwords)                                      \
    {                                                                                                                  \
        Vec r;                                                                                                         \
        for (unsigned j = 0; j < qwords * 8; j++)                                                                      \
            VEC_B(r, j) = table[VEC_B(*a, (j & -16) + shifted(j % 16))];                                               \
        for (unsigned j = 0; j < qwords * 2; j++)                                                                      \
            VEC_D(r, j) = mix(VEC_D(r, j));                                                                            \
        for (unsigned j = 0; j < qwords; j++)                                                                          \
            d->q[j] = r.q[j] ^ key->q[j];                                                                              \
    }                                                                                                                  \
    SSE_BINARY(name)                                                                                                   \
    AVX_BINARY_WHOLE(name, 64)

AES_ROUND(aesenc, shifted_row, sub_bytes, mix_column)
AES_ROUND(aesenclast, shifted_row, sub_bytes, )
AES_ROUND(aesdec, inv_shifted_row, inv_sub_bytes, inv_mix_column)
AES_ROUND(aesdeclast, inv_shifted_row, inv_sub_bytes, )

static KERNEL v_aesimc(Vec *d, const Vec *a, unsigned qwords)
{
    for (unsigned j = 0; j < qwords * 2; j++)
        VEC_D(*d, j) = inv_mix_column(VEC_D(*a, j));
}
SSE_UNARY(aesimc, vec_load_x)
AVX_UNARY_WHOLE(aesimc, 64)

static uint32_t sub_word(uint32_t a)
{
    return sub_bytes[a & 0xff] | sub_bytes[a >> 8 & 0xff] << 8 | sub_bytes[a >> 16 & 0xff] << 16 |
           (uint32_t)sub_bytes[a >> 24] << 24;
}
static KERNEL v_aeskeygenassist(Vec *d, const Vec *a, unsigned imm, unsigned qwords)
{
    for (unsigned j = 0; j < qwords; j++) {
        uint32_t word = sub_word(a->q[j] >> 32);
        d->q[j] = (uint64_t)(rotate_right(word, 8) ^ imm) << 32 | word;
    }
}
SSE_UNARY_IMM(aeskeygenassist)
AVX_UNARY_IMM_WHOLE(aeskeygenassist, 64)

/*
 * Product of polynomials over GF(2), four bits of b at a time.  The multiples of a are of its low 61 bits, so that they
 * fit; its upper three are multiplied at the end.
 */
static void multiply_carryless(uint64_t *d, uint64_t a, uint64_t b)
{
    uint64_t multiple[16] = { 0, a & bit_mask(61) }, low = 0, high = 0;
    for (unsigned k = 2; k < 16; k++)
        multiple[k] = multiple[k / 2] << 1 ^ multiple[k & 1];
    for (unsigned k = 0; k < 64; k += 4, b = b << 4 | b >> 60) {
        high = high << 4 | low >> 60;
        low = low << 4 ^ multiple[b >> 60];
    }
    for (unsigned k = 61; k < 64; k++) {
        uint64_t mask = -(a >> k & 1);
        low ^= b << k & mask;
        high ^= b >> (64 - k) & mask;
    }
    d[0] = low;
    d[1] = high;
}
static KERNEL v_pclmulqdq(Vec *d, const Vec *a, const Vec *b, unsigned imm, unsigned qwords)
{
    for (unsigned j = 0; j < qwords; j += 2)
        multiply_carryless(&d->q[j], a->q[j + (imm & 1)], b->q[j + (imm >> 4 & 1)]);
}
SSE_BINARY_IMM(pclmulqdq)
AVX_BINARY_IMM_WHOLE(pclmulqdq, 64)

/*
 * SHA-1: lane 3 of a register holds the earliest word, A of the state or W of the schedule.  Memory operands of the SHA
 * instructions need no alignment on AMD processors (on Intel's they do); so here.
 */
static inline uint32_t rotate_left(uint32_t a, unsigned n) { return a << n | a >> (32 - n); }

static uint32_t sha1_function(unsigned kind, uint32_t b, uint32_t c, uint32_t d)
{
    switch (kind) {
    case 0: return (b & c) ^ (~b & d);
    case 2: return (b & c) ^ (b & d) ^ (c & d);
    default: return b ^ c ^ d;
    }
}
static KERNEL v_sha1rnds4(Vec *v, const Vec *state, const Vec *message, unsigned imm, unsigned qwords)
{
    static const uint32_t constant[4] = { 0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6 };
    (void)qwords;
    uint32_t a = VEC_D(*state, 3), b = VEC_D(*state, 2), c = VEC_D(*state, 1), d = VEC_D(*state, 0), e = 0;
    for (unsigned k = 0; k < 4; k++) {
        uint32_t next = sha1_function(imm & 3, b, c, d) + rotate_left(a, 5) + VEC_D(*message, 3 - k) + e +
                        constant[imm & 3];
        e = d;
        d = c;
        c = rotate_left(b, 30);
        b = a;
        a = next;
    }
    VEC_D(*v, 3) = a;
    VEC_D(*v, 2) = b;
    VEC_D(*v, 1) = c;
    VEC_D(*v, 0) = d;
}
static KERNEL sse_sha1rnds4_op(Cpu *cpu, const Insn *i, const Vec *s)
{
    v_sha1rnds4(&cpu->vec[i->reg], &cpu->vec[i->reg], s, i->imm, 2);
}
SSE_FORMS(sha1rnds4, vec_load_u)

static KERNEL v_sha1nexte(Vec *d, const Vec *a, const Vec *b, unsigned qwords)
{
    uint32_t e = rotate_left(VEC_D(*a, 3), 30);
    vec_copy(d, b, qwords);
    VEC_D(*d, 3) += e;
}
SSE_BINARY_FROM(sha1nexte, vec_load_u)

static KERNEL v_sha1msg1(Vec *d, const Vec *a, const Vec *b, unsigned qwords)
{
    (void)qwords;
    uint64_t low = a->q[0] ^ b->q[1], high = a->q[1] ^ a->q[0];
    d->q[0] = low;
    d->q[1] = high;
}
SSE_BINARY_FROM(sha1msg1, vec_load_u)

static KERNEL v_sha1msg2(Vec *d, const Vec *a, const Vec *b, unsigned qwords)
{
    (void)qwords;
    uint32_t w16 = rotate_left(VEC_D(*a, 3) ^ VEC_D(*b, 2), 1), w17 = rotate_left(VEC_D(*a, 2) ^ VEC_D(*b, 1), 1);
    uint32_t w18 = rotate_left(VEC_D(*a, 1) ^ VEC_D(*b, 0), 1), w19 = rotate_left(VEC_D(*a, 0) ^ w16, 1);
    VEC_D(*d, 3) = w16;
    VEC_D(*d, 2) = w17;
    VEC_D(*d, 1) = w18;
    VEC_D(*d, 0) = w19;
}
SSE_BINARY_FROM(sha1msg2, vec_load_u)

/* SHA-256: the functions of FIPS 180-4 4.1.2. */
static inline uint32_t sha256_rotations(uint32_t a, unsigned x, unsigned y, unsigned z)
{
    return rotate_right(a, x) ^ rotate_right(a, y) ^ rotate_right(a, z);
}
static inline uint32_t schedule0(uint32_t a) { return rotate_right(a, 7) ^ rotate_right(a, 18) ^ a >> 3; }
static inline uint32_t schedule1(uint32_t a) { return rotate_right(a, 17) ^ rotate_right(a, 19) ^ a >> 10; }

/* Two rounds: C D G H in the destination, A B E F in the source, the message and its constants in XMM0. */
static KERNEL sse_sha256rnds2_op(Cpu *cpu, const Insn *i, const Vec *s)
{
    Vec *v = &cpu->vec[i->reg];
    uint32_t wk[2] = { VEC_D(cpu->vec[0], 0), VEC_D(cpu->vec[0], 1) };
    uint32_t a = VEC_D(*s, 3), b = VEC_D(*s, 2), c = VEC_D(*v, 3), d = VEC_D(*v, 2);
    uint32_t e = VEC_D(*s, 1), f = VEC_D(*s, 0), g = VEC_D(*v, 1), h = VEC_D(*v, 0);
    for (unsigned k = 0; k < 2; k++) {
        uint32_t t1 = h + sha256_rotations(e, 6, 11, 25) + ((e & f) ^ (~e & g)) + wk[k];
        uint32_t t2 = sha256_rotations(a, 2, 13, 22) + ((a & b) ^ (a & c) ^ (b & c));
        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + t2;
    }
    VEC_D(*v, 3) = a;
    VEC_D(*v, 2) = b;
    VEC_D(*v, 1) = e;
    VEC_D(*v, 0) = f;
}
SSE_FORMS(sha256rnds2, vec_load_u)

static KERNEL v_sha256msg1(Vec *d, const Vec *a, const Vec *b, unsigned qwords)
{
    Vec r;
    for (unsigned j = 0; j < 4; j++)
        VEC_D(r, j) = VEC_D(*a, j) + schedule0(j < 3 ? VEC_D(*a, j + 1) : VEC_D(*b, 0));
    vec_copy(d, &r, qwords);
}
SSE_BINARY_FROM(sha256msg1, vec_load_u)

static KERNEL v_sha256msg2(Vec *d, const Vec *a, const Vec *b, unsigned qwords)
{
    Vec r;
    for (unsigned j = 0; j < 4; j++)
        VEC_D(r, j) = VEC_D(*a, j) + schedule1(j < 2 ? VEC_D(*b, j + 2) : VEC_D(r, j - 2));
    vec_copy(d, &r, qwords);
}
SSE_BINARY_FROM(sha256msg2, vec_load_u)
