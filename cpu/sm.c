/*
 * SM3 and SM4 (SDM vol. 2, each under its mnemonic; GB/T 32905-2016, GB/T 32907-2016).
 */
#include "cpu/avx512.h"

static inline uint32_t rotate_left(uint32_t a, unsigned n) { return a << n | a >> (-n & 31); }

/* ---- SM3: lane 3 of the state holds A or C ---- */

static inline uint32_t permute0(uint32_t a) { return a ^ rotate_left(a, 9) ^ rotate_left(a, 17); }
static inline uint32_t permute1(uint32_t a) { return a ^ rotate_left(a, 15) ^ rotate_left(a, 23); }

/*
 * W[16..19] of W[7..10], W[13..15] and W[0..3].  MSG1 leaves out what needs W[3..6] and W[10..13], and W[16] itself,
 * which are MSG2's.
 */
static KERNEL v_vsm3msg1(Vec *d, const Vec *a, const Vec *b, const Vec *c, unsigned qwords)
{
    Vec r;
    for (unsigned j = 0; j < 4; j++)
        VEC_D(r, j) = permute1(VEC_D(*a, j) ^ VEC_D(*c, j) ^ (j < 3 ? rotate_left(VEC_D(*b, j), 15) : 0));
    vec_copy(d, &r, qwords);
}
static KERNEL v_vsm3msg2(Vec *d, const Vec *a, const Vec *b, const Vec *c, unsigned qwords)
{
    Vec r;
    for (unsigned j = 0; j < 4; j++)
        VEC_D(r, j) = VEC_D(*a, j) ^ VEC_D(*c, j) ^ rotate_left(VEC_D(*b, j), 7);
    VEC_D(r, 3) ^= permute1(rotate_left(VEC_D(r, 0), 15));
    vec_copy(d, &r, qwords);
}
AVX_TERNARY(vsm3msg1, 32)
AVX_TERNARY(vsm3msg2, 32)

static inline uint32_t majority(uint32_t x, uint32_t y, uint32_t z) { return (x & y) | (x & z) | (y & z); }
static inline uint32_t choice(uint32_t x, uint32_t y, uint32_t z) { return (x & y) | (~x & z); }

/*
 * Two rounds: C D G H in the destination, not yet rotated, A B E F in vvvv, words n, n+1, n+4 and n+5 of the message in
 * ModRM.rm; the immediate is n.
 */
static void avx_vsm3rnds2(Cpu *cpu, const Insn *i)
{
    Vec tmp, r = { .q = { 0 } };
    const Vec *v = &cpu->vec[i->reg], *s = &cpu->vec[i->vreg], *w = avx_source(cpu, i, &tmp, 32);
    unsigned round = i->imm & 0x3e;
    uint32_t constant = rotate_left(round < 16 ? 0x79cc4519 : 0x7a879d8a, round & 31);
    uint32_t a = VEC_D(*s, 3), b = VEC_D(*s, 2), c = rotate_left(VEC_D(*v, 3), 9), d = rotate_left(VEC_D(*v, 2), 9);
    uint32_t e = VEC_D(*s, 1), f = VEC_D(*s, 0), g = rotate_left(VEC_D(*v, 1), 19), h = rotate_left(VEC_D(*v, 0), 19);
    for (unsigned k = 0; k < 2; k++) {
        uint32_t ss1 = rotate_left(rotate_left(a, 12) + e + constant, 7), ss2 = ss1 ^ rotate_left(a, 12);
        uint32_t ff = round < 16 ? a ^ b ^ c : majority(a, b, c), gg = round < 16 ? e ^ f ^ g : choice(e, f, g);
        uint32_t t1 = ff + d + ss2 + (VEC_D(*w, k) ^ VEC_D(*w, k + 2)), t2 = gg + h + ss1 + VEC_D(*w, k);
        d = c;
        c = rotate_left(b, 9);
        b = a;
        a = t1;
        h = g;
        g = rotate_left(f, 19);
        f = e;
        e = permute0(t2);
        constant = rotate_left(constant, 1);
    }
    VEC_D(r, 3) = a;
    VEC_D(r, 2) = b;
    VEC_D(r, 1) = e;
    VEC_D(r, 0) = f;
    avx_write(cpu, i, i->reg, &r, 32);
}
SEM_1(avx_vsm3rnds2)

/* ---- SM4 ---- */

static const uint8_t sm4_sub_bytes[256] = {
    0xd6, 0x90, 0xe9, 0xfe, 0xcc, 0xe1, 0x3d, 0xb7, 0x16, 0xb6, 0x14, 0xc2, 0x28, 0xfb, 0x2c, 0x05,
    0x2b, 0x67, 0x9a, 0x76, 0x2a, 0xbe, 0x04, 0xc3, 0xaa, 0x44, 0x13, 0x26, 0x49, 0x86, 0x06, 0x99,
    0x9c, 0x42, 0x50, 0xf4, 0x91, 0xef, 0x98, 0x7a, 0x33, 0x54, 0x0b, 0x43, 0xed, 0xcf, 0xac, 0x62,
    0xe4, 0xb3, 0x1c, 0xa9, 0xc9, 0x08, 0xe8, 0x95, 0x80, 0xdf, 0x94, 0xfa, 0x75, 0x8f, 0x3f, 0xa6,
    0x47, 0x07, 0xa7, 0xfc, 0xf3, 0x73, 0x17, 0xba, 0x83, 0x59, 0x3c, 0x19, 0xe6, 0x85, 0x4f, 0xa8,
    0x68, 0x6b, 0x81, 0xb2, 0x71, 0x64, 0xda, 0x8b, 0xf8, 0xeb, 0x0f, 0x4b, 0x70, 0x56, 0x9d, 0x35,
    0x1e, 0x24, 0x0e, 0x5e, 0x63, 0x58, 0xd1, 0xa2, 0x25, 0x22, 0x7c, 0x3b, 0x01, 0x21, 0x78, 0x87,
    0xd4, 0x00, 0x46, 0x57, 0x9f, 0xd3, 0x27, 0x52, 0x4c, 0x36, 0x02, 0xe7, 0xa0, 0xc4, 0xc8, 0x9e,
    0xea, 0xbf, 0x8a, 0xd2, 0x40, 0xc7, 0x38, 0xb5, 0xa3, 0xf7, 0xf2, 0xce, 0xf9, 0x61, 0x15, 0xa1,
    0xe0, 0xae, 0x5d, 0xa4, 0x9b, 0x34, 0x1a, 0x55, 0xad, 0x93, 0x32, 0x30, 0xf5, 0x8c, 0xb1, 0xe3,
    0x1d, 0xf6, 0xe2, 0x2e, 0x82, 0x66, 0xca, 0x60, 0xc0, 0x29, 0x23, 0xab, 0x0d, 0x53, 0x4e, 0x6f,
    0xd5, 0xdb, 0x37, 0x45, 0xde, 0xfd, 0x8e, 0x2f, 0x03, 0xff, 0x6a, 0x72, 0x6d, 0x6c, 0x5b, 0x51,
    0x8d, 0x1b, 0xaf, 0x92, 0xbb, 0xdd, 0xbc, 0x7f, 0x11, 0xd9, 0x5c, 0x41, 0x1f, 0x10, 0x5a, 0xd8,
    0x0a, 0xc1, 0x31, 0x88, 0xa5, 0xcd, 0x7b, 0xbd, 0x2d, 0x74, 0xd0, 0x12, 0xb8, 0xe5, 0xb4, 0xb0,
    0x89, 0x69, 0x97, 0x4a, 0x0c, 0x96, 0x77, 0x7e, 0x65, 0xb9, 0xf1, 0x09, 0xc5, 0x6e, 0xc6, 0x84,
    0x18, 0xf0, 0x7d, 0xec, 0x3a, 0xdc, 0x4d, 0x20, 0x79, 0xee, 0x5f, 0x3e, 0xd7, 0xcb, 0x39, 0x48,
};

static uint32_t sm4_sub_word(uint32_t a)
{
    return sm4_sub_bytes[a & 0xff] | sm4_sub_bytes[a >> 8 & 0xff] << 8 | sm4_sub_bytes[a >> 16 & 0xff] << 16 |
           (uint32_t)sm4_sub_bytes[a >> 24] << 24;
}

/* What rounds do after the substitution, for data and for keys. */
static inline uint32_t mix_data(uint32_t a)
{
    return a ^ rotate_left(a, 2) ^ rotate_left(a, 10) ^ rotate_left(a, 18) ^ rotate_left(a, 24);
}
static inline uint32_t mix_key(uint32_t a) { return a ^ rotate_left(a, 13) ^ rotate_left(a, 23); }

/* Four rounds in each 128 bits: the four words are replaced one after the other. */
#define SM4_ROUNDS(name, mix)                                                                                          \
    static KERNEL v_##name(Vec *d, const Vec *a, const Vec *b, unsigned qwords)                                        \
    {                                                                                                                  \
        Vec r;                                                                                                         \
        vec_copy(&r, a, qwords);                                                                                       \
        for (unsigned j = 0; j < qwords * 2; j++) {                                                                    \
            unsigned block = j & -4;                                                                                   \
            uint32_t others = VEC_D(r, block + (j + 1) % 4) ^ VEC_D(r, block + (j + 2) % 4) ^                          \
                              VEC_D(r, block + (j + 3) % 4);                                                           \
            VEC_D(r, j) ^= mix(sm4_sub_word(others ^ VEC_D(*b, j)));                                                   \
        }                                                                                                              \
        vec_copy(d, &r, qwords);                                                                                       \
    }                                                                                                                  \
    AVX_BINARY(name, 32)

SM4_ROUNDS(vsm4key4, mix_key)
SM4_ROUNDS(vsm4rnds4, mix_data)
