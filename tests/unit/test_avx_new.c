/*
 * Instructions younger than AVX-512, which hardly any processor has, so that tests/cpu can seldom compare them: against
 * the manual's pseudocode (SDM vol. 2, each under its mnemonic), and against what the algorithms they are made for give.
 */
#include <glib.h>
#include <string.h>

#include "core/machine.h"
#include "cpu/cpu.h"
#include "cpu/fault.h"
#include "cpu/flags.h"
#include "cpu/model.h"
#include "cpu/system.h"
#include "util/endian.h"

enum { RAM = 1 << 20, DATA = 0x8000 };

static Cpu *cpu;
static uint8_t *ram;
static uint64_t seed = 0x7654321;

/* xorshift64*. */
static uint64_t next_random(void)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return seed * UINT64_C(0x2545f4914f6cdd1d);
}

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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    start();
    add_dots();
    g_test_add_func("/avx-new/dot/encodings", test_dot_encodings);
    return g_test_run();
}
