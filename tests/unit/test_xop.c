/*
 * TBM, XOP and FMA4 by their definitions (AMD APM vol. 3 and 4): processors of today have none of them.  Also WAITPKG,
 * MOVDIRI and MOVDIR64B, which few have.
 */
#include <string.h>

#include "cpu/code.h"
#include "cpu/fault.h"
#include "cpu/flags.h"
#include "tests/unit/subject.h"
#include "util/endian.h"

enum { CODE = 0x4000, DATA = 0x8000 };

/* In 32-bit code without paging, with AVX enabled. */
static Subject subject_with_avx(void)
{
    Subject s = subject_new("max");
    s.cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    s.cpu->xcr0 = XCR0_X87 | XCR0_AVX_STATE;
    subject_enter_flat32(&s);
    return s;
}

/* Its exception, or -1. */
static int run(Subject *s, const void *code, unsigned length)
{
    Cpu *cpu = s->cpu;
    memcpy(s->ram + CODE, code, length);
    memset(s->ram + CODE + length, 0x90, 16);
    cpu->rip = CODE;
    code_flush(cpu->code);
    if (_setjmp(cpu->unwind)) {
        cpu->fault.raised = false;
        return cpu->fault.vector;
    }
    const Insn *i = code_lookup(cpu, CODE)->insn;
    g_assert_true(i->jump || i->len == length);
    i->fn(cpu, i);
    return -1;
}

static void test_tbm(void)
{
    /* Of ECX to EAX; CF and the result for 0x0000ff0b, for 0, and for all ones. */
    static const struct { uint8_t opcode, digit; uint32_t want[3]; uint8_t carry; } rows[] = {
        { 0x01, 1, { 0xff08, 0, 0 }, 4 },                         /* BLCFILL: x & x + 1 */
        { 0x01, 2, { 0xff0b, 0xffffffff, 0xffffffff }, 2 },       /* BLSFILL: x | x - 1 */
        { 0x01, 3, { 0xff0f, 1, 0xffffffff }, 4 },                /* BLCS: x | x + 1 */
        { 0x01, 4, { 0, 0xffffffff, 0 }, 2 },                     /* TZMSK: ~x & x - 1 */
        { 0x01, 5, { 4, 1, 0 }, 4 },                              /* BLCIC: ~x & x + 1 */
        { 0x01, 6, { 0xfffffffe, 0xffffffff, 0xfffffffe }, 2 },   /* BLSIC: ~x | x - 1 */
        { 0x01, 7, { 0xfffffffc, 0xffffffff, 0 }, 4 },            /* T1MSKC: ~x | x + 1 */
        { 0x02, 1, { 7, 1, 0xffffffff }, 4 },                     /* BLCMSK: x ^ x + 1 */
        { 0x02, 6, { 0xfffffffb, 0xfffffffe, 0xffffffff }, 4 },   /* BLCI: x | ~(x + 1) */
    };
    static const uint32_t x[3] = { 0xff0b, 0, 0xffffffff };
    Subject s = subject_with_avx();
    for (unsigned k = 0; k < ARRAY_SIZE(rows); k++)
        for (unsigned n = 0; n < 3; n++) {
            const uint8_t code[] = { 0x8f, 0xe9, 0x78, rows[k].opcode, 0xc0 | rows[k].digit << 3 | R_CX };
            s.cpu->gpr[R_CX] = x[n];
            g_assert_cmpint(run(&s, code, sizeof code), ==, -1);
            g_assert_cmphex(s.cpu->gpr[R_AX], ==, rows[k].want[n]);
            g_assert_cmpint(flag_cf(s.cpu), ==, rows[k].carry >> n & 1);
            g_assert_cmpint(flag_zf(s.cpu), ==, !rows[k].want[n]);
            g_assert_cmpint(flag_sf(s.cpu), ==, rows[k].want[n] >> 31);
        }
    s.cpu->gpr[R_CX] = 0x12345678;
    g_assert_cmpint(run(&s, "\x8f\xea\x78\x10\xc1\x08\x0c\0\0", 9), ==, -1); /* bextr eax, ecx, 0c08h */
    g_assert_cmphex(s.cpu->gpr[R_AX], ==, 0x456);
}

/* XMM1 is the first source, XMM2 ModRM.rm, XMM3 the immediate's register, XMM0 the destination. */
static void xop(Subject *s, uint8_t map, bool w, uint8_t opcode, int imm)
{
    const uint8_t code[] = { 0x8f, 0xe0 | map, (w ? 0x80 : 0) | 0x70, opcode, 0xc2, imm };
    g_assert_cmpint(run(s, code, imm < 0 ? 5 : 6), ==, -1);
}
/* Without a first source in vvvv. */
static void xop_unary(Subject *s, uint8_t map, uint8_t opcode, int imm)
{
    const uint8_t code[] = { 0x8f, 0xe0 | map, 0x78, opcode, 0xc2, imm };
    g_assert_cmpint(run(s, code, imm < 0 ? 5 : 6), ==, -1);
}

static void set_vectors(Subject *s, uint64_t a, uint64_t b, uint64_t c)
{
    for (unsigned j = 0; j < 8; j++) {
        s->cpu->vec[0].q[j] = ~UINT64_C(0);
        s->cpu->vec[1].q[j] = a;
        s->cpu->vec[2].q[j] = b;
        s->cpu->vec[3].q[j] = c;
    }
}

/* The same in both quadwords, and zeros above. */
static uint64_t result(const Subject *s)
{
    g_assert_cmphex(s->cpu->vec[0].q[0], ==, s->cpu->vec[0].q[1]);
    g_assert_cmphex(s->cpu->vec[0].q[2] | s->cpu->vec[0].q[4], ==, 0);
    return s->cpu->vec[0].q[0];
}

static void test_multiply_add(void)
{
    static const struct { uint8_t opcode; uint64_t want; } words[] = {
        { 0x95, 0xfff6fff700010007 }, /* VPMACSWW wraps */
        { 0x85, 0xfff6fff77fff0007 }, /* VPMACSSWW saturates */
        { 0x96, 0x0001fff50003ffff }, /* VPMACSWD: the odd words */
        { 0xb6, 0x0001ffeb00040005 }, /* VPMADCSWD: both */
    };
    Subject s = subject_with_avx();
    /* Words, low first: 3 * 2 + 1, 7fffh * 2 + 3, -2 * 5 + 1, 4 * -3 + 2. */
    set_vectors(&s, 0x0004fffe7fff0003, 0xfffd000500020002, 0x0002000100030001);
    for (unsigned k = 0; k < ARRAY_SIZE(words); k++) {
        xop(&s, 8, false, words[k].opcode, 0x30);
        g_assert_cmphex(result(&s), ==, words[k].want);
    }
    set_vectors(&s, 0x8000000000000003, 0x7fffffff00000005, 10);
    xop(&s, 8, false, 0x97, 0x30); /* VPMACSDQL */
    g_assert_cmphex(result(&s), ==, 25);
    xop(&s, 8, false, 0x9f, 0x30); /* VPMACSDQH */
    g_assert_cmphex(result(&s), ==, 0xc00000008000000a);
    xop(&s, 8, false, 0x8e, 0x30); /* VPMACSSDD */
    g_assert_cmphex(result(&s), ==, 0x8000000000000019);
    set_vectors(&s, 0x8000000000000000, 0x7fffffff00000000, 0x8000000000000000);
    xop(&s, 8, false, 0x8f, 0x30); /* VPMACSSDQH */
    g_assert_cmphex(result(&s), ==, 0x8000000000000000);
}

static void test_selections(void)
{
    Subject s = subject_with_avx();
    set_vectors(&s, 0x1111111111111111, 0x2222222222222222, 0xffff0000ffff0000);
    xop(&s, 8, false, 0xa2, 0x30); /* VPCMOV */
    g_assert_cmphex(result(&s), ==, 0x1111222211112222);
    set_vectors(&s, 0x1111111111111111, 0xffff0000ffff0000, 0x2222222222222222);
    xop(&s, 8, true, 0xa2, 0x30);
    g_assert_cmphex(result(&s), ==, 0x1111222211112222);
    /* VPPERM: byte 2 of the second, then what can be done with byte 1 of the first, which is 83h. */
    set_vectors(&s, 0x8887868584838380, 0x1716151413121110, 0xe1c1a18161412112);
    xop(&s, 8, false, 0xa3, 0x30);
    g_assert_cmphex(result(&s), ==, 0x00ffff003ec17c12);
    set_vectors(&s, 0x8887868584838380, 0x0000000012111000, 0x1716151413121110);
    xop(&s, 8, true, 0xa3, 0x30);
    g_assert_cmphex(result(&s) & 0xffffffff, ==, 0x12111080);
}

static void test_permute_two(void)
{
    Subject s = subject_with_avx();
    static const uint8_t ps[] = { 0xc4, 0xe3, 0x71, 0x48, 0xc2, 0x30 };
    static const uint8_t ps_zero[] = { 0xc4, 0xe3, 0x71, 0x48, 0xc2, 0x32 };
    set_vectors(&s, 0x0000000100000000, 0x0000001100000010, 0x0000000500000001);
    g_assert_cmpint(run(&s, ps, sizeof ps), ==, -1);
    g_assert_cmphex(result(&s), ==, 0x0000001100000001); /* 1 of the first, 1 of the second */
    set_vectors(&s, 0x0000000100000000, 0x0000001100000010, 0x0000000d00000001);
    g_assert_cmpint(run(&s, ps_zero, sizeof ps_zero), ==, -1);
    g_assert_cmphex(result(&s), ==, 0x0000000000000001);
}

static void test_comparisons(void)
{
    /* Bytes: -1 with 1, 1 with 1, 2 with 1, 80h with 7fh; twice. */
    Subject s = subject_with_avx();
    static const uint32_t is_signed[8] = { 0xff0000ff, 0xff00ffff, 0x00ff0000, 0x00ffff00, 0x0000ff00, 0xffff00ff, 0,
                                           0xffffffff };
    static const uint32_t is_unsigned[8] = { 0, 0x0000ff00, 0xffff00ff, 0xffffffff, 0x0000ff00, 0xffff00ff, 0,
                                             0xffffffff };
    set_vectors(&s, 0x800201ff800201ff, 0x7f0101017f010101, 0);
    for (unsigned k = 0; k < 8; k++) {
        xop(&s, 8, false, 0xcc, k);
        g_assert_cmphex(result(&s), ==, is_signed[k] | (uint64_t)is_signed[k] << 32);
        xop(&s, 8, false, 0xec, k);
        g_assert_cmphex(result(&s), ==, is_unsigned[k] | (uint64_t)is_unsigned[k] << 32);
    }
    set_vectors(&s, 0x8000000000000000, 1, 0);
    xop(&s, 8, false, 0xcf, 0); /* VPCOMQ */
    g_assert_cmphex(result(&s), ==, ~UINT64_C(0));
    xop(&s, 8, false, 0xef, 0); /* VPCOMUQ */
    g_assert_cmphex(result(&s), ==, 0);
}

static void test_shifts(void)
{
    Subject s = subject_with_avx();
    set_vectors(&s, 0x000000ff00000004, 0x8000000180000001, 0); /* counts -1 and 4, of the values in XMM2 */
    xop(&s, 9, false, 0x92, -1); /* VPROTD */
    g_assert_cmphex(result(&s), ==, 0xc000000000000018);
    xop(&s, 9, false, 0x96, -1); /* VPSHLD */
    g_assert_cmphex(result(&s), ==, 0x4000000000000010);
    xop(&s, 9, false, 0x9a, -1); /* VPSHAD */
    g_assert_cmphex(result(&s), ==, 0xc000000000000010);
    set_vectors(&s, 0x8000000180000001, 0x000000ff00000004, 0);
    xop(&s, 9, true, 0x92, -1);
    g_assert_cmphex(result(&s), ==, 0xc000000000000018);
    set_vectors(&s, 0, 0x8001800180018001, 0);
    xop_unary(&s, 8, 0xc1, 1); /* VPROTW by 1 */
    g_assert_cmphex(result(&s), ==, 0x0003000300030003);
    xop_unary(&s, 8, 0xc1, 0xff);
    g_assert_cmphex(result(&s), ==, 0xc000c000c000c000);
}

static void test_sums(void)
{
    static const struct { uint8_t opcode; uint64_t want; } rows[] = {
        { 0xc1, 0x0001000000000003 }, { 0xc2, 0x0000000100000003 }, { 0xc3, 4 }, /* VPHADDBW, BD, BQ */
        { 0xc6, 0xffffff0200000201 },                                           /* WD */
        { 0xd1, 0x0001010000000003 }, { 0xd3, 0x104 },                          /* VPHADDUBW, UBQ */
        { 0xe1, 0x000100020000ffff },                                           /* VPHSUBBW */
    };
    Subject s = subject_with_avx();
    set_vectors(&s, 0, 0x0001ff0100000201, 0); /* bytes, low first: 1, 2, 0, 0, 1, -1, 1, 0 */
    for (unsigned k = 0; k < ARRAY_SIZE(rows); k++) {
        xop_unary(&s, 9, rows[k].opcode, -1);
        g_assert_cmphex(result(&s), ==, rows[k].want);
    }
}

static uint64_t floats(float low, float high)
{
    uint32_t a, b;
    memcpy(&a, &low, 4);
    memcpy(&b, &high, 4);
    return a | (uint64_t)b << 32;
}

static void test_fractions(void)
{
    Subject s = subject_with_avx();
    set_vectors(&s, 0, floats(2.75f, -3.5f), 0);
    xop_unary(&s, 9, 0x80, -1); /* VFRCZPS */
    g_assert_cmphex(result(&s), ==, floats(0.75f, -0.5f));
    set_vectors(&s, 0, floats(1e20f, 0.25f), 0);
    xop_unary(&s, 9, 0x80, -1);
    g_assert_cmphex(result(&s), ==, floats(0, 0.25f));
    g_assert_cmphex(s.cpu->mxcsr & 0x3f, ==, 0);
    set_vectors(&s, 0, 0x7f800000, 0);
    xop_unary(&s, 9, 0x82, -1); /* VFRCZSS of infinity */
    g_assert_cmphex(s.cpu->vec[0].q[0], ==, 0xffc00000);
    g_assert_cmphex(s.cpu->vec[0].q[1], ==, 0);
    g_assert_cmphex(s.cpu->mxcsr & 0x3f, ==, 1);
}

static void test_fma4(void)
{
    static const struct { uint8_t opcode; float low, high; } rows[] = {
        { 0x68, 23, 39 }, { 0x6c, 7, 17 }, { 0x78, -7, -17 }, { 0x7c, -23, -39 }, { 0x5c, 7, 39 }, { 0x5e, 23, 17 },
    };
    Subject s = subject_with_avx();
    for (unsigned k = 0; k < ARRAY_SIZE(rows); k++)
        for (unsigned w = 0; w < 2; w++) {
            const uint8_t code[] = { 0xc4, 0xe3, 0x71 | w << 7, rows[k].opcode, 0xc2, 0x30 };
            uint64_t y = floats(5, 7), z = floats(8, 11);
            set_vectors(&s, floats(3, 4), w ? z : y, w ? y : z);
            g_assert_cmpint(run(&s, code, sizeof code), ==, -1);
            g_assert_cmphex(result(&s), ==, floats(rows[k].low, rows[k].high));
        }
    const uint8_t scalar[] = { 0xc4, 0xe3, 0x71, 0x6a, 0xc2, 0x30 };
    set_vectors(&s, floats(3, 4), floats(5, 7), floats(8, 11));
    g_assert_cmpint(run(&s, scalar, sizeof scalar), ==, -1);
    g_assert_cmphex(s.cpu->vec[0].q[0], ==, floats(23, 0));
    g_assert_cmphex(s.cpu->vec[0].q[1], ==, 0);
}

static void test_enabling(void)
{
    Subject s = subject_with_avx();
    s.cpu->xcr0 = XCR0_X87 | XCR0_SSE;
    cpu_update_mode(s.cpu);
    g_assert_cmpint(run(&s, "\x8f\xe8\x70\xa2\xc2\x30", 6), ==, EXC_UD);
    g_assert_cmpint(run(&s, "\x8f\xe9\x78\x01\xc9", 5), ==, -1); /* TBM is no vector extension */
    g_assert_cmpint(run(&s, "\x8f\xc0", 2), ==, -1);             /* POP EAX, as ever */
}

static void test_waitpkg(void)
{
    Subject s = subject_with_avx();
    s.cpu->gpr[R_CX] = 1;
    set_flags_arith(s.cpu, F_ARITH);
    g_assert_cmpint(run(&s, "\x66\x0f\xae\xf1", 4), ==, -1); /* TPAUSE */
    g_assert_cmphex(flags_arith(s.cpu), ==, 0);
    g_assert_cmpint(run(&s, "\xf2\x0f\xae\xf1", 4), ==, -1); /* UMWAIT */
    g_assert_true(msr_write(s.cpu, 0xe1, 0x1001)); /* IA32_UMWAIT_CONTROL */
    g_assert_false(msr_write(s.cpu, 0xe1, 2));
    g_assert_cmphex(s.cpu->umwait_control, ==, 0x1001);
    s.cpu->gpr[R_CX] = 2;
    g_assert_cmpint(run(&s, "\x66\x0f\xae\xf1", 4), ==, EXC_GP);
    s.cpu->gpr[R_CX] = DATA;
    g_assert_cmpint(run(&s, "\xf3\x0f\xae\xf1", 4), ==, -1); /* UMONITOR */
    s.cpu->seg[SEG_DS].limit = 0xfff;
    cpu_update_mode(s.cpu);
    g_assert_cmpint(run(&s, "\xf3\x0f\xae\xf1", 4), ==, EXC_GP);
}

static void test_direct_stores(void)
{
    Subject s = subject_with_avx();
    for (unsigned k = 0; k < 64; k++)
        s.ram[DATA + 3 + k] = k + 1;
    s.cpu->gpr[R_AX] = DATA + 0x100;
    s.cpu->gpr[R_CX] = DATA + 3;
    g_assert_cmpint(run(&s, "\x66\x0f\x38\xf8\x01", 5), ==, -1); /* MOVDIR64B (%ecx), %eax */
    g_assert_cmpint(memcmp(s.ram + DATA + 0x100, s.ram + DATA + 3, 64), ==, 0);
    g_assert_cmphex(s.ram[DATA + 0x140], ==, 0);
    s.cpu->gpr[R_AX] += 8;
    g_assert_cmpint(run(&s, "\x66\x0f\x38\xf8\x01", 5), ==, EXC_GP);
    g_assert_cmpint(run(&s, "\x0f\x38\xf9\x01", 4), ==, -1); /* MOVDIRI %eax, (%ecx) */
    g_assert_cmphex(ld32le(s.ram + DATA + 3), ==, DATA + 0x108);
    g_assert_cmpint(run(&s, "\x0f\x01\xfc", 3), ==, -1); /* CLZERO: the line around EAX */
    g_assert_cmphex(ld64le(s.ram + DATA + 0x100) | ld64le(s.ram + DATA + 0x138), ==, 0);
    g_assert_cmpint(run(&s, "\x0f\x01\xe8", 3), ==, -1); /* SERIALIZE */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xop/tbm", test_tbm);
    g_test_add_func("/xop/multiply-add", test_multiply_add);
    g_test_add_func("/xop/selections", test_selections);
    g_test_add_func("/xop/permute-two", test_permute_two);
    g_test_add_func("/xop/comparisons", test_comparisons);
    g_test_add_func("/xop/shifts", test_shifts);
    g_test_add_func("/xop/sums", test_sums);
    g_test_add_func("/xop/fractions", test_fractions);
    g_test_add_func("/xop/fma4", test_fma4);
    g_test_add_func("/xop/enabling", test_enabling);
    g_test_add_func("/xop/waitpkg", test_waitpkg);
    g_test_add_func("/xop/direct-stores", test_direct_stores);
    return g_test_run();
}
