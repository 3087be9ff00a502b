/*
 * Instructions younger than AVX-512, which hardly any processor has, so that tests/cpu can seldom compare them:
 * against the manual's pseudocode (SDM vol. 2, each under its mnemonic), and the algorithms that they are made for.
 */
#include <glib.h>
#include <string.h>

#include "core/machine.h"
#include "cpu/cpu.h"
#include "cpu/fault.h"
#include "cpu/flags.h"
#include "cpu/model.h"
#include "cpu/system.h"
#include "tests/cpu/random.h"
#include "util/endian.h"

enum { RAM = 1 << 20, DATA = 0x8000 };

static Cpu *cpu;
static uint8_t *ram;
static Random random_source = { 0x7654321 };

static uint64_t next_random(void) { return random_next(&random_source); }

/* In 64-bit code; the processor itself would need paging for that. */
static void start(void)
{
    Machine *machine = machine_new(RAM, NULL);
    Region *r = region_new_ram(machine->pool, "ram", RAM, NULL);
    region_add(as_root(machine->memory), 0, r, 0);
    ram = region_host(r);
    cpu = cpu_new(machine, cpu_model_parse("max", NULL), 0, 0);
    uint16_t attr = SA_P | SA_S | SA_WRITABLE | SA_ACCESSED | SA_G;
    for (unsigned k = SEG_ES; k <= SEG_GS; k++)
        cpu->seg[k] = (Segment){ .limit = 0xffffffff, .attr = attr | (k == SEG_CS ? SA_CODE | SA_L : 0) };
    cpu->cr0 = CR0_PE | CR0_ET | CR0_NE;
    cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_PAE;
    cpu->efer = EFER_LME | EFER_LMA;
    cpu->xcr0 = XCR0_X87 | XCR0_AVX_STATE;
    cpu_update_mode(cpu);
}

static bool decodes_in(unsigned size, const uint8_t *code, unsigned length)
{
    Insn insn;
    int n = insn_decode(cpu->decoder, size, code, length, &insn);
    return n > 0 && insn.row != INSN_ROW_BAD;
}
static bool decodes(const uint8_t *code, unsigned length) { return decodes_in(SZ64, code, length); }

/* Executes one instruction; its exception, or -1. */
static int execute(const uint8_t *code, unsigned length)
{
    Insn insn;
    g_assert_cmpint(insn_decode(cpu->decoder, SZ64, code, length, &insn), ==, length);
    g_assert_cmpuint(insn.row, !=, INSN_ROW_BAD);
    if (_setjmp(cpu->unwind)) {
        cpu->fault.raised = false;
        return cpu->fault.vector;
    }
    insn.fn(cpu, &insn);
    return -1;
}

/* A VEX instruction with W0 of registers 0 to 7: the map, pp as the prefix is encoded, vector length 0 or 1. */
enum { PP_NONE, PP_66, PP_F3, PP_F2 };
enum { MAP_38 = 2, MAP_3A = 3 };
typedef struct Vex {
    uint8_t map, pp, length, opcode;
} Vex;

static void vex_bytes(Vex v, unsigned vvvv, uint8_t modrm, uint8_t out[5])
{
    out[0] = 0xc4;
    out[1] = 0xe0 | v.map;
    out[2] = (~vvvv & 15) << 3 | v.length << 2 | v.pp;
    out[3] = v.opcode;
    out[4] = modrm;
}

/* Bits above the vector length are 0 after every VEX instruction. */
static void assert_clear_above(const Vec *v, unsigned bytes)
{
    for (unsigned q = bytes / 8; q < 8; q++)
        g_assert_cmphex(v->q[q], ==, 0);
}

static void execute_vex(Vex v, unsigned reg, unsigned vvvv, unsigned rm)
{
    uint8_t code[5];
    vex_bytes(v, vvvv, 0xc0 | reg << 3 | rm, code);
    g_assert_cmpint(execute(code, sizeof code), ==, -1);
    assert_clear_above(&cpu->vec[reg], 16u << v.length);
}

static bool decodes_vex(Vex v, unsigned vvvv, uint8_t modrm)
{
    uint8_t code[5];
    vex_bytes(v, vvvv, modrm, code);
    return decodes(code, sizeof code);
}

/* Registers in which extremes and anything else are all frequent. */
static void fill_registers(void)
{
    static const uint64_t corners[] = { 0, UINT64_MAX, INT64_MAX, UINT64_C(0x8000000080000000),
                                        UINT64_C(0x7fff80007fff8000), UINT64_C(0x80ff7f0080ff7f00) };
    for (unsigned reg = 0; reg < 8; reg++)
        for (unsigned q = 0; q < 8; q++)
            cpu->vec[reg].q[q] = next_random() % 2 ? next_random() : corners[next_random() % ARRAY_SIZE(corners)];
}

/* ---- AVX-VNNI-INT8, AVX-VNNI-INT16 ---- */

typedef struct Dot {
    Vex insn;
    uint8_t bits;
    bool signed1, signed2;
} Dot;

static int64_t part(uint32_t v, unsigned n, unsigned bits, bool is_signed)
{
    int64_t p = v >> n * bits & bit_mask(bits);
    return is_signed && p >> (bits - 1) ? p - (INT64_C(1) << bits) : p;
}

static uint32_t dot_expected(const Dot *d, bool saturating, uint32_t old, uint32_t src1, uint32_t src2)
{
    bool is_signed = d->signed1 || d->signed2;
    int64_t sum = is_signed ? (int64_t)old - ((int64_t)(old >> 31) << 32) : old;
    for (unsigned n = 0; n < 32u / d->bits; n++)
        sum += part(src1, n, d->bits, d->signed1) * part(src2, n, d->bits, d->signed2);
    int64_t least = is_signed ? INT32_MIN : 0, most = is_signed ? INT32_MAX : UINT32_MAX;
    return saturating ? CLAMP(sum, least, most) : sum;
}

static void test_dot(const void *data)
{
    for (unsigned n = 0; n < 2000; n++) {
        const Dot *d = data;
        Vex v = d->insn;
        bool saturating = n & 1;
        v.opcode += saturating;
        v.length = n >> 1 & 1;
        fill_registers();
        Vec old = cpu->vec[0];
        execute_vex(v, 0, 1, 2);
        for (unsigned j = 0; j < 4u << v.length; j++)
            g_assert_cmphex(VEC_D(cpu->vec[0], j), ==,
                            dot_expected(d, saturating, VEC_D(old, j), VEC_D(cpu->vec[1], j), VEC_D(cpu->vec[2], j)));
    }
}

static void add_dots(void)
{
    static const struct { const char *path; Dot dot; } dots[] = {
        { "/avx-new/vpdpbssd", { { MAP_38, PP_F2, 0, 0x50 }, 8, true, true } },
        { "/avx-new/vpdpbsud", { { MAP_38, PP_F3, 0, 0x50 }, 8, true, false } },
        { "/avx-new/vpdpbuud", { { MAP_38, PP_NONE, 0, 0x50 }, 8, false, false } },
        { "/avx-new/vpdpwsud", { { MAP_38, PP_F3, 0, 0xd2 }, 16, true, false } },
        { "/avx-new/vpdpwusd", { { MAP_38, PP_66, 0, 0xd2 }, 16, false, true } },
        { "/avx-new/vpdpwuud", { { MAP_38, PP_NONE, 0, 0xd2 }, 16, false, false } },
    };
    for (unsigned k = 0; k < ARRAY_SIZE(dots); k++)
        g_test_add_data_func(dots[k].path, &dots[k].dot, test_dot);
}

/* The same opcodes with W1, and what no prefix of them names. */
static void test_dot_encodings(void)
{
    g_assert_true(decodes((const uint8_t[]){ 0xc4, 0xe2, 0x73, 0x50, 0xc2 }, 5));
    g_assert_false(decodes((const uint8_t[]){ 0xc4, 0xe2, 0xf3, 0x50, 0xc2 }, 5));
    g_assert_false(decodes_vex((Vex){ MAP_38, PP_F2, 0, 0xd2 }, 1, 0xc2));
}

/* ---- SHA512 ---- */

static void load_dwords(unsigned reg, const uint32_t *v)
{
    for (unsigned n = 0; n < 4; n++)
        VEC_D(cpu->vec[reg], n) = v[n];
}
static void store_dwords(unsigned reg, uint32_t *v)
{
    for (unsigned n = 0; n < 4; n++)
        v[n] = VEC_D(cpu->vec[reg], n);
}

static const uint64_t sha512_constants[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
    0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
    0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
    0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
    0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};

/* W[t..t+3] of what stands before them in w. */
static void sha512_extend(uint64_t *w, unsigned t)
{
    memcpy(cpu->vec[0].q, w + t - 16, 32);
    memcpy(cpu->vec[1].q, w + t - 12, 32);
    execute_vex((Vex){ MAP_38, PP_F2, 1, 0xcc }, 0, 0, 1);
    for (unsigned k = 0; k < 4; k++)
        cpu->vec[0].q[k] += w[t - 7 + k];
    memcpy(cpu->vec[1].q, w + t - 4, 32);
    execute_vex((Vex){ MAP_38, PP_F2, 1, 0xcd }, 0, 0, 1);
    memcpy(w + t, cpu->vec[0].q, 32);
}

static void sha512_block(uint64_t state[8], const uint8_t *block)
{
    uint64_t w[80];
    for (unsigned t = 0; t < 16; t++)
        w[t] = ld64be(block + t * 8);
    for (unsigned t = 16; t < 80; t += 4)
        sha512_extend(w, t);
    Vec abef = { .q = { state[5], state[4], state[1], state[0] } };
    Vec cdgh = { .q = { state[7], state[6], state[3], state[2] } };
    for (unsigned t = 0; t < 80; t += 2) {
        cpu->vec[0] = cdgh;
        cpu->vec[1] = abef;
        cpu->vec[2] = (Vec){ .q = { w[t] + sha512_constants[t], w[t + 1] + sha512_constants[t + 1] } };
        execute_vex((Vex){ MAP_38, PP_F2, 1, 0xcb }, 0, 1, 2);
        cdgh = abef;
        abef = cpu->vec[0];
    }
    const uint64_t sum[8] = { abef.q[3], abef.q[2], cdgh.q[3], cdgh.q[2], abef.q[1], abef.q[0], cdgh.q[1], cdgh.q[0] };
    for (unsigned k = 0; k < 8; k++)
        state[k] += sum[k];
}

static void assert_sha512(const uint8_t *message, unsigned size)
{
    uint64_t state[8] = {
        UINT64_C(0x6a09e667f3bcc908), UINT64_C(0xbb67ae8584caa73b), UINT64_C(0x3c6ef372fe94f82b),
        UINT64_C(0xa54ff53a5f1d36f1), UINT64_C(0x510e527fade682d1), UINT64_C(0x9b05688c2b3e6c1f),
        UINT64_C(0x1f83d9abfb41bd6b), UINT64_C(0x5be0cd19137e2179),
    };
    uint8_t padded[512] = { 0 };
    unsigned blocks = (size + 17 + 127) / 128;
    memcpy(padded, message, size);
    padded[size] = 0x80;
    st64be(padded + blocks * 128 - 8, size * 8);
    for (unsigned k = 0; k < blocks; k++)
        sha512_block(state, padded + k * 128);
    g_autofree char *expected = g_compute_checksum_for_data(G_CHECKSUM_SHA512, message, size);
    GString *digest = g_string_new(NULL);
    for (unsigned k = 0; k < 8; k++)
        g_string_append_printf(digest, "%016" G_GINT64_MODIFIER "x", state[k]);
    g_assert_cmpstr(digest->str, ==, expected);
    g_string_free(digest, TRUE);
}

static void test_sha512(void)
{
    uint8_t message[300];
    assert_sha512((const uint8_t *)"abc", 3);
    for (unsigned size = 0; size < sizeof message; size += 37) {
        for (unsigned k = 0; k < size; k++)
            message[k] = next_random();
        assert_sha512(message, size);
    }
}

/* Registers of 256 bits only, and no vvvv where it names nothing. */
static void test_sha512_encodings(void)
{
    for (unsigned op = 0xcb; op <= 0xcd; op++) {
        g_assert_true(decodes_vex((Vex){ MAP_38, PP_F2, 1, op }, 0, 0xc2));
        g_assert_false(decodes_vex((Vex){ MAP_38, PP_F2, 1, op }, 0, 0x00));
        g_assert_false(decodes_vex((Vex){ MAP_38, PP_F2, 0, op }, 0, 0xc2));
        g_assert_cmpint(decodes_vex((Vex){ MAP_38, PP_F2, 1, op }, 1, 0xc2), ==, op == 0xcb);
    }
}

/* ---- SM3 ---- */

static uint32_t rotate_left(uint32_t v, unsigned n) { return v << n | v >> (32 - n); }

/* W[t..t+3] of what stands before them in w. */
static void sm3_extend(uint32_t *w, unsigned t)
{
    load_dwords(0, w + t - 9);
    load_dwords(1, w + t - 3);
    load_dwords(2, w + t - 16);
    execute_vex((Vex){ MAP_38, PP_NONE, 0, 0xda }, 0, 1, 2);
    load_dwords(1, w + t - 13);
    load_dwords(2, w + t - 6);
    execute_vex((Vex){ MAP_38, PP_66, 0, 0xda }, 0, 1, 2);
    store_dwords(0, w + t);
}

static void sm3_rounds2(const uint32_t *w, unsigned n)
{
    uint8_t code[6];
    vex_bytes((Vex){ MAP_3A, PP_66, 0, 0xde }, 1, 0xc2, code);
    code[5] = n;
    load_dwords(2, (const uint32_t[]){ w[n], w[n + 1], w[n + 4], w[n + 5] });
    g_assert_cmpint(execute(code, sizeof code), ==, -1);
    assert_clear_above(&cpu->vec[0], 16);
}

static void sm3_block(uint32_t state[8], const uint8_t *block)
{
    uint32_t w[72] = { 0 }, abef[4] = { state[5], state[4], state[1], state[0] };
    uint32_t cdgh[4] = { rotate_left(state[7], 13), rotate_left(state[6], 13), rotate_left(state[3], 23),
                         rotate_left(state[2], 23) };
    for (unsigned t = 0; t < 16; t++)
        w[t] = ld32be(block + t * 4);
    for (unsigned t = 16; t < 68; t += 4)
        sm3_extend(w, t);
    for (unsigned n = 0; n < 64; n += 2) {
        load_dwords(0, cdgh);
        load_dwords(1, abef);
        sm3_rounds2(w, n);
        memcpy(cdgh, abef, sizeof cdgh);
        store_dwords(0, abef);
    }
    const uint32_t sum[8] = { abef[3], abef[2], rotate_left(cdgh[3], 9), rotate_left(cdgh[2], 9),
                              abef[1], abef[0], rotate_left(cdgh[1], 19), rotate_left(cdgh[0], 19) };
    for (unsigned k = 0; k < 8; k++)
        state[k] ^= sum[k];
}

static void assert_sm3(const char *message, const char *expected)
{
    uint32_t state[8] = { 0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600,
                          0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e };
    uint8_t padded[128] = { 0 };
    unsigned size = strlen(message), blocks = (size + 9 + 63) / 64;
    memcpy(padded, message, size);
    padded[size] = 0x80;
    st32be(padded + blocks * 64 - 4, size * 8);
    for (unsigned k = 0; k < blocks; k++)
        sm3_block(state, padded + k * 64);
    char digest[65];
    for (unsigned k = 0; k < 8; k++)
        g_snprintf(digest + k * 8, 9, "%08x", state[k]);
    g_assert_cmpstr(digest, ==, expected);
}

/* The examples of GB/T 32905-2016 appendix A. */
static void test_sm3(void)
{
    assert_sm3("abc", "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0");
    assert_sm3("abcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcd",
               "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732");
    g_assert_false(decodes_vex((Vex){ MAP_38, PP_NONE, 1, 0xda }, 1, 0xc2));
}

/* ---- SM4 ---- */

static void sm4_expand(const uint32_t key[4], uint32_t round_keys[32])
{
    static const uint32_t system[4] = { 0xa3b1bac6, 0x56aa3350, 0x677d9197, 0xb27022dc };
    for (unsigned n = 0; n < 4; n++)
        VEC_D(cpu->vec[1], n) = key[n] ^ system[n];
    for (unsigned r = 0; r < 32; r += 4) {
        for (unsigned k = 0; k < 16; k++)
            VEC_B(cpu->vec[2], k) = ((r + k / 4) * 4 + 3 - k % 4) * 7;
        execute_vex((Vex){ MAP_38, PP_F3, 0, 0xda }, 1, 1, 2);
        store_dwords(1, round_keys + r);
    }
}

static void sm4_encrypt(const uint32_t round_keys[32], uint32_t block[4])
{
    load_dwords(1, block);
    for (unsigned r = 0; r < 32; r += 4) {
        load_dwords(2, round_keys + r);
        execute_vex((Vex){ MAP_38, PP_F2, 0, 0xda }, 1, 1, 2);
    }
    for (unsigned n = 0; n < 4; n++)
        block[n] = VEC_D(cpu->vec[1], 3 - n);
}

/* The examples of GB/T 32907-2016 appendix A: once, and a million times. */
static void test_sm4(void)
{
    static const uint32_t key[4] = { 0x01234567, 0x89abcdef, 0xfedcba98, 0x76543210 };
    static const uint32_t once[4] = { 0x681edf34, 0xd206965e, 0x86b3e94f, 0x536e4246 };
    static const uint32_t million[4] = { 0x595298c7, 0xc6fd271f, 0x0402f804, 0xc33d3f66 };
    uint32_t round_keys[32], block[4];
    memcpy(block, key, sizeof block);
    sm4_expand(key, round_keys);
    sm4_encrypt(round_keys, block);
    g_assert_cmpmem(block, sizeof block, once, sizeof once);
    for (unsigned n = 1; n < 1000000; n++)
        sm4_encrypt(round_keys, block);
    g_assert_cmpmem(block, sizeof block, million, sizeof million);
}

/* Each half of 256 bits as 128 bits by themselves. */
static void test_sm4_halves(void)
{
    for (unsigned n = 0; n < 200; n++) {
        Vex v = { MAP_38, n & 1 ? PP_F2 : PP_F3, 1, 0xda };
        fill_registers();
        execute_vex(v, 0, 1, 2);
        v.length = 0;
        for (unsigned half = 0; half < 2; half++) {
            memcpy(cpu->vec[3].q, cpu->vec[1].q + half * 2, 16);
            memcpy(cpu->vec[4].q, cpu->vec[2].q + half * 2, 16);
            execute_vex(v, 3, 3, 4);
            g_assert_cmpmem(cpu->vec[3].q, 16, cpu->vec[0].q + half * 2, 16);
        }
    }
}

/* ---- AVX-NE-CONVERT ---- */

static uint32_t bf16_expected(uint16_t a) { return (uint32_t)a << 16; }

/* By arithmetic of the host, which is exact here; a NaN becomes quiet. */
static uint32_t f16_expected(uint16_t a)
{
    unsigned exponent = a >> 10 & 31, fraction = a & 0x3ff;
    uint32_t sign = (uint32_t)(a >> 15) << 31, bits;
    if (exponent == 31)
        return sign | 0x7f800000 | fraction << 13 | (fraction ? 0x400000 : 0);
    float magnitude = exponent ? (1024 + fraction) * 0x1p-25f * (1u << exponent) : fraction * 0x1p-24f;
    memcpy(&bits, &magnitude, sizeof bits);
    return sign | bits;
}

typedef struct Widening {
    Vex insn;
    bool half, odd, broadcast;
} Widening;

static uint32_t widened(const Widening *w, uint16_t a) { return w->half ? f16_expected(a) : bf16_expected(a); }

/* Denormals, infinities and NaNs are frequent; neither MXCSR's DAZ and FTZ matter nor its unmasked exceptions. */
static void fill_halves(unsigned n)
{
    for (unsigned k = 0; k < 32; k += 2)
        st16le(ram + DATA + k, (next_random() & (n & 1 ? 0xffff : 0x83ff)) | (n & 2 ? 0x7c00 : 0));
    cpu->mxcsr = n & 4 ? 0x8040 : 0x1f80;
}

static void test_widening(const void *data)
{
    const Widening *w = data;
    for (unsigned n = 0; n < 2000; n++) {
        uint8_t code[5];
        Vex v = w->insn;
        v.length = n >> 3 & 1;
        vex_bytes(v, 0, 0x00, code); /* 0, [rax] */
        fill_registers();
        fill_halves(n);
        uint32_t mxcsr = cpu->mxcsr;
        cpu->gpr[R_AX] = DATA;
        g_assert_cmpint(execute(code, sizeof code), ==, -1);
        g_assert_cmphex(cpu->mxcsr, ==, mxcsr);
        for (unsigned j = 0; j < 4u << v.length; j++) {
            uint16_t a = ld16le(ram + DATA + (w->broadcast ? 0 : j * 4 + w->odd * 2));
            g_assert_cmphex(VEC_D(cpu->vec[0], j), ==, widened(w, a));
        }
        assert_clear_above(&cpu->vec[0], 16u << v.length);
    }
    cpu->mxcsr = 0x1f80;
}

static void add_widenings(void)
{
    static const struct { const char *path; Widening w; } widenings[] = {
        { "/avx-new/vbcstnebf162ps", { { MAP_38, PP_F3, 0, 0xb1 }, false, false, true } },
        { "/avx-new/vbcstnesh2ps", { { MAP_38, PP_66, 0, 0xb1 }, true, false, true } },
        { "/avx-new/vcvtneebf162ps", { { MAP_38, PP_F3, 0, 0xb0 }, false, false, false } },
        { "/avx-new/vcvtneobf162ps", { { MAP_38, PP_F2, 0, 0xb0 }, false, true, false } },
        { "/avx-new/vcvtneeph2ps", { { MAP_38, PP_66, 0, 0xb0 }, true, false, false } },
        { "/avx-new/vcvtneoph2ps", { { MAP_38, PP_NONE, 0, 0xb0 }, true, true, false } },
    };
    for (unsigned k = 0; k < ARRAY_SIZE(widenings); k++)
        g_test_add_data_func(widenings[k].path, &widenings[k].w, test_widening);
}

/* Memory only, but VCVTNEPS2BF16; vvvv names nothing. */
static void test_ne_convert_encodings(void)
{
    for (unsigned pp = PP_NONE; pp <= PP_F2; pp++) {
        g_assert_false(decodes_vex((Vex){ MAP_38, pp, 0, 0xb0 }, 0, 0xc0));
        g_assert_false(decodes_vex((Vex){ MAP_38, pp, 0, 0xb0 }, 1, 0x00));
        g_assert_cmpint(decodes_vex((Vex){ MAP_38, pp, 0, 0xb1 }, 0, 0x00), ==, pp == PP_66 || pp == PP_F3);
    }
    g_assert_true(decodes_vex((Vex){ MAP_38, PP_F3, 1, 0x72 }, 0, 0x00));
    g_assert_false(decodes_vex((Vex){ MAP_38, PP_F3, 1, 0x72 }, 1, 0x00));
}

/* The pseudocode's convert_fp32_to_bfloat16. */
static uint16_t narrowed(uint32_t a)
{
    uint32_t exponent = a >> 23 & 0xff, fraction = a & 0x7fffff;
    if (exponent == 0)
        return a >> 16 & 0x8000;
    if (exponent == 255)
        return fraction ? a >> 16 | 1 << 6 : a >> 16;
    return (a + 0x7fff + (a >> 16 & 1)) >> 16;
}

static void test_narrowing(void)
{
    for (unsigned n = 0; n < 4000; n++) {
        unsigned length = n & 1;
        uint8_t code[5];
        vex_bytes((Vex){ MAP_38, PP_F3, length, 0x72 }, 0, 0xc1, code);
        fill_registers();
        g_assert_cmpint(execute(code, sizeof code), ==, -1);
        for (unsigned j = 0; j < 4u << length; j++)
            g_assert_cmphex(VEC_W(cpu->vec[0], j), ==, narrowed(VEC_D(cpu->vec[1], j)));
        assert_clear_above(&cpu->vec[0], 8u << length);
    }
}

/* ---- CMPCCXADD ---- */

/* The flags of a - b in numbers of n bits, by the definitions of SDM vol. 1 3.4.3.1. */
static uint32_t flags_expected(uint64_t a, uint64_t b, unsigned n)
{
    __int128 bias = (__int128)1 << n, half = bias >> 1;
    __int128 difference = (a >= (uint64_t)half ? a - bias : a) - (b >= (uint64_t)half ? b - bias : b);
    uint64_t result = (a - b) & bit_mask(n);
    unsigned ones = 0;
    for (unsigned k = 0; k < 8; k++)
        ones += result >> k & 1;
    return (a < b ? F_CF : 0) | (ones % 2 ? 0 : F_PF) | ((a & 15) < (b & 15) ? F_AF : 0) | (result ? 0 : F_ZF) |
           (result >= (uint64_t)half ? F_SF : 0) | (difference >= half || difference < -half ? F_OF : 0);
}

/* SDM vol. 1 appendix B. */
static bool condition_expected(unsigned cc, uint32_t f)
{
    bool less = !(f & F_SF) != !(f & F_OF);
    const bool even[8] = { f & F_OF, f & F_CF,  f & F_ZF, f & (F_CF | F_ZF),
                           f & F_SF, f & F_PF, less,     less || f & F_ZF };
    return even[cc / 2] != (cc & 1);
}

static void test_cmpccxadd(void)
{
    for (unsigned n = 0; n < 20000; n++) {
        unsigned cc = n & 15, bits = n & 16 ? 64 : 32;
        const uint8_t code[] = { 0xc4, 0xe2, bits == 64 ? 0xf1 : 0x71, 0xe0 + cc, 0x10 }; /* [rax], rdx, rcx */
        uint64_t a = next_random() >> next_random() % 64, b = next_random() % 3 ? next_random() : a + next_random() % 3;
        uint64_t addend = next_random(), mask = bit_mask(bits);
        st64le(ram + DATA, a);
        cpu->gpr[R_AX] = DATA;
        cpu->gpr[R_DX] = b;
        cpu->gpr[R_CX] = addend;
        g_assert_cmpint(execute(code, sizeof code), ==, -1);
        uint32_t flags = flags_expected(a & mask, b & mask, bits);
        uint64_t sum = condition_expected(cc, flags) ? a + addend : a;
        g_assert_cmphex(ld64le(ram + DATA), ==, (sum & mask) | (a & ~mask));
        g_assert_cmphex(cpu->gpr[R_DX], ==, a & mask);
        g_assert_cmphex(cpu->gpr[R_CX], ==, addend);
        g_assert_cmphex(flags_arith(cpu), ==, flags);
    }
}

/* Unaligned: #GP, with nothing changed. */
static void test_cmpccxadd_alignment(void)
{
    static const uint8_t code32[] = { 0xc4, 0xe2, 0x71, 0xe2, 0x10 }, code64[] = { 0xc4, 0xe2, 0xf1, 0xe2, 0x10 };
    uint32_t flags = flags_arith(cpu);
    memset(ram + DATA, 0x11, 16);
    cpu->gpr[R_DX] = 7;
    cpu->gpr[R_AX] = DATA + 2;
    g_assert_cmpint(execute(code32, sizeof code32), ==, EXC_GP);
    cpu->gpr[R_AX] = DATA + 4;
    g_assert_cmpint(execute(code64, sizeof code64), ==, EXC_GP);
    g_assert_cmphex(ld64le(ram + DATA), ==, UINT64_C(0x1111111111111111));
    g_assert_cmphex(ld64le(ram + DATA + 8), ==, UINT64_C(0x1111111111111111));
    g_assert_cmphex(cpu->gpr[R_DX], ==, 7);
    g_assert_cmphex(flags_arith(cpu), ==, flags);
    g_assert_cmpint(execute(code32, sizeof code32), ==, -1);
}

/* With both operands one register, what memory was wins. */
static void test_cmpccxadd_same_register(void)
{
    static const uint8_t code[] = { 0xc4, 0xe2, 0xe9, 0xe3, 0x10 }; /* CMPNBXADD [rax], rdx, rdx */
    st64le(ram + DATA, 100);
    cpu->gpr[R_AX] = DATA;
    cpu->gpr[R_DX] = 7;
    g_assert_cmpint(execute(code, sizeof code), ==, -1);
    g_assert_cmpuint(ld64le(ram + DATA), ==, 107);
    g_assert_cmpuint(cpu->gpr[R_DX], ==, 100);
}

/* In 64-bit code, of memory, with a vector length of 0. */
static void test_cmpccxadd_encodings(void)
{
    g_assert_true(decodes_vex((Vex){ MAP_38, PP_66, 0, 0xef }, 1, 0x10));
    g_assert_false(decodes_vex((Vex){ MAP_38, PP_66, 1, 0xef }, 1, 0x10));
    g_assert_false(decodes_vex((Vex){ MAP_38, PP_NONE, 0, 0xef }, 1, 0x10));
    g_assert_false(decodes_vex((Vex){ MAP_38, PP_66, 0, 0xef }, 1, 0xd0));
    g_assert_false(decodes_in(SZ32, (const uint8_t[]){ 0xc4, 0xe2, 0x71, 0xe2, 0x10 }, 5));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    start();
    add_dots();
    add_widenings();
    g_test_add_func("/avx-new/dot/encodings", test_dot_encodings);
    g_test_add_func("/avx-new/sha512", test_sha512);
    g_test_add_func("/avx-new/sha512/encodings", test_sha512_encodings);
    g_test_add_func("/avx-new/sm3", test_sm3);
    g_test_add_func("/avx-new/sm4", test_sm4);
    g_test_add_func("/avx-new/sm4/halves", test_sm4_halves);
    g_test_add_func("/avx-new/vcvtneps2bf16", test_narrowing);
    g_test_add_func("/avx-new/ne-convert/encodings", test_ne_convert_encodings);
    g_test_add_func("/avx-new/cmpccxadd", test_cmpccxadd);
    g_test_add_func("/avx-new/cmpccxadd/alignment", test_cmpccxadd_alignment);
    g_test_add_func("/avx-new/cmpccxadd/same-register", test_cmpccxadd_same_register);
    g_test_add_func("/avx-new/cmpccxadd/encodings", test_cmpccxadd_encodings);
    return g_test_run();
}
