/*
 * Vector instructions that few processors have, so that tests/cpu can seldom compare them: against the manual's
 * pseudocode (SDM vol. 2, each under its mnemonic), written out lane by lane.
 */
#include <glib.h>
#include <string.h>

#include "core/machine.h"
#include "cpu/cpu.h"
#include "cpu/state.h"
#include "tests/cpu/random.h"
#include "util/bits.h"

static Cpu *cpu;
static InsnDecoder *decoder; /* of every instruction there is */
static Random random_source = { 0x1234567 };

static uint64_t next_random(void) { return random_next(&random_source); }

static void start(void)
{
    Machine *machine = machine_new(0x10000, NULL);
    uint64_t features[FEAT_WORDS];
    memset(features, 0xff, sizeof features);
    for (unsigned f = FEAT_ONLY_8086; f <= FEAT_NO_FPU; f++)
        features[f / 64] &= ~BIT(f % 64);
    cpu = cpu_new(machine, cpu_model_parse("max", NULL), 0, 0);
    decoder = insn_decoder_new(features);
}

static bool decodes_in(unsigned size, const uint8_t *code, unsigned length)
{
    Insn insn;
    int n = insn_decode(decoder, size, code, length, &insn);
    return n > 0 && insn.row != INSN_ROW_BAD;
}
static bool decodes(const uint8_t *code, unsigned length) { return decodes_in(SZ64, code, length); }

/* Executes one instruction of registers alone. */
static void execute(const uint8_t *code, unsigned length)
{
    Insn insn;
    g_assert_cmpint(insn_decode(decoder, SZ64, code, length, &insn), ==, length);
    g_assert_cmpuint(insn.row, !=, INSN_ROW_BAD);
    g_assert_false(insn.mem);
    insn.fn(cpu, &insn);
}

/* Registers in which equal lanes, extremes and anything else are all frequent. */
static void fill_registers(void)
{
    static const uint64_t corners[] = { 0, UINT64_MAX, INT64_MAX, UINT64_C(0x8000000080000000),
                                        UINT64_C(0x7fff80007fff8000), UINT64_C(0x80ff7f0080ff7f00) };
    for (unsigned reg = 0; reg < 32; reg++)
        for (unsigned q = 0; q < 8; q++)
            cpu->vec[reg].q[q] = next_random() % 2 ? next_random() : corners[next_random() % ARRAY_SIZE(corners)];
    for (unsigned k = 0; k < 8; k++)
        cpu->opmask[k] = next_random();
}

/* Bits above the vector length are 0 after every VEX and EVEX instruction. */
static void assert_clear_above(const Vec *v, unsigned length)
{
    for (unsigned q = 2u << length; q < 8; q++)
        g_assert_cmphex(v->q[q], ==, 0);
}

/* ---- AVX-VNNI ---- */

static int64_t saturate32(int64_t v) { return v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : v; }

/* VPDPBUSD and VPDPBUSDS: src1 is unsigned, src2 signed. */
static uint32_t dot_bytes(uint32_t old, uint32_t src1, uint32_t src2, bool saturating)
{
    int64_t p[4];
    for (unsigned k = 0; k < 4; k++)
        p[k] = (int64_t)(uint8_t)(src1 >> 8 * k) * (int8_t)(src2 >> 8 * k);
    int64_t sum = (int64_t)(int32_t)old + p[0] + p[1] + p[2] + p[3];
    return saturating ? saturate32(sum) : sum;
}

static uint32_t dot_words(uint32_t old, uint32_t src1, uint32_t src2, bool saturating)
{
    int64_t sum = (int64_t)(int32_t)old + (int64_t)(int16_t)src1 * (int16_t)src2 +
                  (int64_t)(int16_t)(src1 >> 16) * (int16_t)(src2 >> 16);
    return saturating ? saturate32(sum) : sum;
}

static void test_avx_vnni(void)
{
    static uint32_t (*const expected[2])(uint32_t, uint32_t, uint32_t, bool) = { dot_bytes, dot_words };
    for (unsigned n = 0; n < 4000; n++) {
        unsigned op = n & 3, length = n >> 2 & 1;
        uint8_t code[] = { 0xc4, 0xe2, 0x71 | length << 2, 0x50 + op, 0xc2 }; /* (x|y)mm0, 1, 2 */
        fill_registers();
        Vec old = cpu->vec[0];
        execute(code, sizeof code);
        for (unsigned j = 0; j < 4u << length; j++)
            g_assert_cmphex(VEC_D(cpu->vec[0], j), ==,
                            expected[op >> 1](VEC_D(old, j), VEC_D(cpu->vec[1], j), VEC_D(cpu->vec[2], j), op & 1));
        assert_clear_above(&cpu->vec[0], length);
    }
}

/* ---- AVX-IFMA ---- */

/* Bits 51..0 or 103..52 of the product, by long multiplication of 26-bit halves. */
static uint64_t product52(uint64_t a, uint64_t b, bool high)
{
    const uint64_t half = bit_mask(26);
    uint64_t a0 = a & half, a1 = a >> 26 & half, b0 = b & half, b1 = b >> 26 & half;
    uint64_t low = a0 * b0, middle = a1 * b0 + a0 * b1, carried = low + ((middle & half) << 26);
    return high ? a1 * b1 + (middle >> 26) + (carried >> 52) : carried & bit_mask(52);
}

static void test_avx_ifma(void)
{
    for (unsigned n = 0; n < 4000; n++) {
        unsigned high = n & 1, length = n >> 1 & 1;
        uint8_t code[] = { 0xc4, 0xe2, 0xf1 | length << 2, 0xb4 + high, 0xc2 };
        fill_registers();
        Vec old = cpu->vec[0];
        execute(code, sizeof code);
        for (unsigned j = 0; j < 2u << length; j++)
            g_assert_cmphex(cpu->vec[0].q[j], ==, old.q[j] + product52(cpu->vec[1].q[j], cpu->vec[2].q[j], high));
        assert_clear_above(&cpu->vec[0], length);
    }
}

/* ---- VP2INTERSECT ---- */

static uint64_t lane(const Vec *v, bool quad, unsigned n) { return quad ? v->q[n] : VEC_D(*v, n); }

static void test_vp2intersect(void)
{
    for (unsigned n = 0; n < 6000; n++) {
        unsigned length = n % 3, quad = n & 1, reg = next_random() % 8;
        uint8_t code[] = { 0x62, 0xf2, quad << 7 | 0x77, length << 5 | 8, 0x68, 0xc2 | reg << 3 }; /* kN, 1, 2 */
        uint64_t others[8], first = 0, second = 0;
        fill_registers();
        memcpy(others, cpu->opmask, sizeof others);
        execute(code, sizeof code);
        for (unsigned j = 0; j < (quad ? 2u : 4u) << length; j++)
            for (unsigned k = 0; k < (quad ? 2u : 4u) << length; k++)
                if (lane(&cpu->vec[1], quad, j) == lane(&cpu->vec[2], quad, k)) {
                    first |= BIT(j);
                    second |= BIT(k);
                }
        others[reg & 6] = first;
        others[reg | 1] = second;
        g_assert_cmpmem(others, sizeof others, cpu->opmask, sizeof others);
    }
}

/* No mask, no zeroing; a broadcast of memory only. */
static void test_vp2intersect_encodings(void)
{
    g_assert_true(decodes((const uint8_t[]){ 0x62, 0xf2, 0x77, 0x48, 0x68, 0xc2 }, 6));
    g_assert_true(decodes((const uint8_t[]){ 0x62, 0xf2, 0x77, 0x58, 0x68, 0x00 }, 6));
    g_assert_false(decodes((const uint8_t[]){ 0x62, 0xf2, 0x77, 0x49, 0x68, 0xc2 }, 6)); /* k1 */
    g_assert_false(decodes((const uint8_t[]){ 0x62, 0xf2, 0x77, 0xc8, 0x68, 0xc2 }, 6)); /* zeroing */
    g_assert_false(decodes((const uint8_t[]){ 0x62, 0xf2, 0x77, 0x58, 0x68, 0xc2 }, 6)); /* EVEX.b of registers */
    g_assert_false(decodes((const uint8_t[]){ 0x62, 0x72, 0x77, 0x48, 0x68, 0xc2 }, 6)); /* k8 */
}

/* Outside 64-bit mode bit 3 of vvvv is ignored where vvvv names a register, and checked where it does not. */
static void test_vvvv_in_32_bit_code(void)
{
    Insn insn;
    const uint8_t vaddps[] = { 0xc4, 0xe1, 0x38, 0x58, 0xc1 };
    g_assert_cmpint(insn_decode(decoder, SZ32, vaddps, sizeof vaddps, &insn), ==, sizeof vaddps);
    g_assert_cmpuint(insn.vreg, ==, 0);
    g_assert_true(decodes_in(SZ32, (const uint8_t[]){ 0xc4, 0xe1, 0x78, 0x10, 0xc1 }, 5));
    g_assert_false(decodes_in(SZ32, (const uint8_t[]){ 0xc4, 0xe1, 0x38, 0x10, 0xc1 }, 5));
    g_assert_true(decodes_in(SZ32, (const uint8_t[]){ 0x62, 0xf2, 0xfd, 0x48, 0xc4, 0xc1 }, 6));
    g_assert_false(decodes_in(SZ32, (const uint8_t[]){ 0x62, 0xf2, 0xbd, 0x48, 0xc4, 0xc1 }, 6));
    g_assert_true(decodes_in(SZ32, (const uint8_t[]){ 0x62, 0xf2, 0xfd, 0x40, 0xc4, 0xc1 }, 6)); /* V' is not looked at */
    g_assert_false(decodes((const uint8_t[]){ 0x62, 0xf2, 0xfd, 0x40, 0xc4, 0xc1 }, 6));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    start();
    g_test_add_func("/vector/avx-vnni", test_avx_vnni);
    g_test_add_func("/vector/avx-ifma", test_avx_ifma);
    g_test_add_func("/vector/vp2intersect", test_vp2intersect);
    g_test_add_func("/vector/vp2intersect/encodings", test_vp2intersect_encodings);
    g_test_add_func("/vector/vvvv/32-bit", test_vvvv_in_32_bit_code);
    return g_test_run();
}
