/*
 * Code of the x86-64 assembler executed through executable memory, on x86-64 hosts with the System V calling
 * convention: what a disassembler's text cannot tell (label fix-ups, reach of calls, order of operands), and patching
 * under way.
 */
#include <glib.h>
#include <inttypes.h>
#include <string.h>

#include "tcg/x86_64/asm.h"
#include "util/bits.h"
#include "util/execmem.h"

#if defined __x86_64__ && !defined _WIN32

#include <cpuid.h>

static ExecMem *memory;
static size_t used;

static uint64_t exec_address(const uint8_t *in_write)
{
    return (uintptr_t)execmem_to_exec(memory, in_write);
}

static Asm begin(void)
{
    Asm a;

    execmem_begin_write(memory);
    used = align_up(used, 64);
    asm_init(&a, memory->write + used, memory->size - used, exec_address(memory->write + used));
    return a;
}

typedef uint64_t Code(uint64_t rdi, uint64_t rsi, uint64_t rdx);

static Code *finish(Asm *a)
{
    g_assert_true(asm_ok(a));
    execmem_flush(memory, a->start, asm_size(a));
    execmem_end_write(memory);
    used += asm_size(a);
    return (Code *)(uintptr_t)a->exec;
}

/* The example of asm.h: a sum over an array. */
static void test_loop(void)
{
    Asm a = begin();
    AsmLabel loop = { 0 }, end = { 0 };
    uint64_t numbers[10], sum = 0;

    asm_zero(&a, A_RAX);
    asm_test_rr(&a, 32, A_RSI, A_RSI);
    asm_jcc(&a, A_Z, &end);
    asm_bind(&a, &loop);
    asm_alu_rm(&a, A_ADD, 64, A_RAX, asm_mem_index(A_RDI, A_RSI, 8, -8));
    asm_unary_r(&a, A_DEC, 32, A_RSI);
    asm_jcc(&a, A_NZ, &loop);
    asm_bind(&a, &end);
    asm_ret(&a);
    Code *code = finish(&a);
    for (unsigned i = 0; i < 10; i++)
        sum += numbers[i] = UINT64_C(0x9e3779b97f4a7c15) * (i + 1);
    g_assert_cmphex(code((uintptr_t)numbers, 10, 0), ==, sum);
    g_assert_cmphex(code(0, 0, 0), ==, 0);
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    return a * 3 + b;
}

/* Calls to C by rel32, through a register, through memory; and a function of the same code. */
static void test_calls(void)
{
    Asm a = begin();
    AsmLabel pointer = { 0 }, helper = { 0 };

    asm_push_r(&a, A_RBX);
    asm_call_abs(&a, (uintptr_t)mix, A_RAX);
    asm_mov_rr(&a, 64, A_RDI, A_RAX);
    asm_mov_ri64(&a, A_RBX, (uintptr_t)mix);
    asm_mov_ri(&a, 64, A_RSI, 5);
    asm_call_r(&a, A_RBX);
    asm_mov_rr(&a, 64, A_RDI, A_RAX);
    asm_call_m(&a, asm_mem_label(&pointer));
    asm_call(&a, &helper);
    asm_pop_r(&a, A_RBX);
    asm_ret(&a);
    asm_bind(&a, &helper);
    asm_lea(&a, 64, A_RAX, asm_mem_index(A_RAX, A_RAX, 4, 1));
    asm_ret(&a);
    asm_align(&a, 8);
    asm_bind(&a, &pointer);
    uint64_t address = (uintptr_t)mix;
    asm_data(&a, &address, 8);
    Code *code = finish(&a);
    g_assert_cmpuint(code(7, 11, 0), ==, mix(mix(mix(7, 11), 5), 5) * 5 + 1);
}

/* A target too far for rel32: code that claims to lie elsewhere takes the long way, and arrives all the same. */
static void test_far_call(void)
{
    Asm a = begin();
    AsmLabel skip = { 0 };

    a.exec ^= BIT(46);
    asm_alu_ri(&a, A_SUB, 64, A_RSP, 8);
    asm_jmp8(&a, &skip);
    asm_ud2(&a);
    asm_bind(&a, &skip);
    asm_call_abs(&a, (uintptr_t)mix, A_RAX);
    asm_alu_ri(&a, A_ADD, 64, A_RSP, 8);
    asm_test_rr(&a, 64, A_RAX, A_RAX);
    asm_jcc_abs(&a, A_Z, (uintptr_t)mix, A_RCX);
    asm_ret(&a);
    a.exec ^= BIT(46);
    Code *code = finish(&a);
    g_assert_cmpuint(code(7, 11, 0), ==, 32);
    g_assert_cmpuint(code(0, 0, 0), ==, 0);
}

/* Sizes: 8 and 16 keep the rest of the register, 32 clears the upper half. */
static void test_sizes(void)
{
    static const uint64_t expected[] = { 0x11223344556677ab, 0x112233445566cdab, 0x89abcdab };
    const uint64_t start = 0x1122334455667788;

    for (unsigned i = 0; i < 3; i++) {
        Asm a = begin();
        asm_mov_ri(&a, 64, A_RSI, start);
        asm_mov_ri(&a, 8 << i, A_RSI, 0x89abcdab);
        asm_mov_rr(&a, 64, A_RAX, A_RSI);
        asm_ret(&a);
        g_assert_cmphex(finish(&a)(0, 0, 0), ==, expected[i]);
    }
    Asm a = begin();
    asm_mov_mi(&a, 64, asm_mem(A_RDI, 0), -2);
    asm_mov_mi(&a, 16, asm_mem(A_RDI, 2), 0x1234);
    asm_movsx_rm(&a, 64, 8, A_RAX, asm_mem(A_RDI, 3));
    asm_movzx_rm(&a, 64, 16, A_RCX, asm_mem(A_RDI, 1));
    asm_alu_rr(&a, A_SUB, 64, A_RAX, A_RCX);
    asm_ret(&a);
    uint64_t cell = 0;
    g_assert_cmphex(finish(&a)((uintptr_t)&cell, 0, 0), ==, 0x12 - 0x34ff);
    g_assert_cmphex(cell, ==, 0xffffffff1234fffe);
}

/* Conditions after CMP, by SETcc, CMOVcc and Jcc: each must take its side. */
static bool holds(AsmCond cond, int64_t x, int64_t y)
{
    int64_t difference;
    bool overflow = __builtin_sub_overflow(x, y, &difference), below = (uint64_t)x < (uint64_t)y;
    bool values[8] = {
        overflow, below, x == y, below || x == y, difference < 0, !__builtin_parity(difference & 0xff), x < y, x <= y,
    };
    return values[cond / 2] ^ (cond & 1);
}

static void test_conditions(void)
{
    static const int64_t values[] = { 0, 1, -1, 3, INT64_MIN, INT64_MAX, 0x100 };

    for (unsigned cond = 0; cond < 16; cond++) {
        Asm a = begin();
        AsmLabel taken = { 0 };
        asm_zero(&a, A_RAX);
        asm_mov_ri(&a, 32, A_RCX, 2);
        asm_zero(&a, A_R8);
        asm_alu_rr(&a, A_CMP, 64, A_RDI, A_RSI);
        asm_setcc_r(&a, cond, A_RAX);
        asm_cmov_rr(&a, cond, 32, A_R8, A_RCX);
        asm_lea(&a, 64, A_RAX, asm_mem_index(A_RAX, A_R8, 1, 4));
        asm_jcc8(&a, cond, &taken);
        asm_lea(&a, 64, A_RAX, asm_mem(A_RAX, -4));
        asm_bind(&a, &taken);
        asm_ret(&a);
        Code *code = finish(&a);
        for (unsigned i = 0; i < 49; i++) {
            int64_t x = values[i / 7], y = values[i % 7];
            g_assert_cmpuint(code(x, y, 0), ==, holds(cond, x, y) ? 7 : 0);
        }
    }
}

/* rdi OP rsi by each of the eight; with rdx as the carry. */
static void test_alu(void)
{
    const uint64_t x = 0x123456789abcdef0, y = 0xfedcba9876543210;
    const uint64_t expected[7] = { x + y, x | y, x + y + 1, x - y - 1, x & y, x - y, x ^ y };

    for (unsigned op = 0; op < 7; op++) {
        Asm a = begin();
        asm_stc(&a);
        asm_alu_rr(&a, op, 64, A_RDI, A_RSI);
        asm_mov_rr(&a, 64, A_RAX, A_RDI);
        asm_ret(&a);
        g_assert_cmphex(finish(&a)(x, y, 0), ==, expected[op]);
    }
    Asm a = begin();
    asm_mov_rr(&a, 64, A_RAX, A_RDI);
    asm_mov_rr(&a, 64, A_RCX, A_RDX);
    asm_unary_r(&a, A_MUL, 64, A_RSI);
    asm_unary_r(&a, A_DIV, 64, A_RCX);
    asm_shift_ri(&a, A_ROL, 64, A_RAX, 8);
    asm_shxd_rri(&a, A_SHLD, 64, A_RAX, A_RDX, 4);
    asm_ret(&a);
    unsigned __int128 product = (unsigned __int128)x * 1000;
    uint64_t quotient = product / 7777, remainder = product % 7777;
    quotient = quotient << 8 | quotient >> 56;
    g_assert_cmphex(finish(&a)(x, 1000, 7777), ==, quotient << 4 | remainder >> 60);
}

/* Instructions with three operands, on the processors that have them. */
static void test_bmi(void)
{
    if (!__builtin_cpu_supports("bmi") || !__builtin_cpu_supports("bmi2")) {
        g_test_skip("no BMI2");
        return;
    }
    const uint64_t x = 0x8000000012345678, y = 36;
    const uint64_t by[] = { x << y, x >> y, (int64_t)x >> y, x & bit_mask(y) };
    for (unsigned op = A_SHLX; op <= A_BZHI; op++) {
        Asm a = begin();
        asm_bmi_rmr(&a, op, 64, A_RAX, asm_reg(A_RDI), A_RSI);
        asm_ret(&a);
        g_assert_cmphex(finish(&a)(x, y, 0), ==, by[op]);
    }
    Asm a = begin();
    asm_bmi_rrm(&a, A_ANDN, 64, A_R8, A_RDI, asm_reg(A_RSI));     /* ~rdi & rsi */
    asm_bmi_rrm(&a, A_PEXT, 64, A_R9, A_RDI, asm_reg(A_RSI));     /* of rdi, by rsi */
    asm_rorx_rmi(&a, 64, A_RAX, asm_reg(A_R9), 8);
    asm_alu_rr(&a, A_XOR, 64, A_RAX, A_R8);
    asm_bls_rr(&a, A_BLSI, 64, A_RCX, A_RDI);
    asm_alu_rr(&a, A_ADD, 64, A_RAX, A_RCX);
    asm_ret(&a);
    const uint64_t rotated = UINT64_C(0xabc) >> 8 | UINT64_C(0xbc) << 56;
    g_assert_cmphex(finish(&a)(0xabcd0, 0xffff00, 0), ==, (rotated ^ 0xf54300) + 0x10);
}

static void test_atomics(void)
{
    _Alignas(16) uint64_t cells[2] = { 1, 2 };
    unsigned eax, ebx, ecx = 0, edx;

    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_CMPXCHG16B)) {
        g_test_skip("no CMPXCHG16B");
        return;
    }
    Asm a = begin();
    asm_push_r(&a, A_RBX);
    asm_mov_ri(&a, 64, A_RAX, 1);
    asm_mov_ri(&a, 64, A_RDX, 2);
    asm_mov_ri(&a, 64, A_RBX, 10);
    asm_mov_ri(&a, 64, A_RCX, 20);
    asm_lock(&a);
    asm_cmpxchg16b(&a, asm_mem(A_RDI, 0));
    asm_pop_r(&a, A_RBX);
    asm_mov_ri(&a, 32, A_RCX, 5);
    asm_lock(&a);
    asm_xadd_mr(&a, 64, asm_mem(A_RDI, 8), A_RCX); /* rcx = 20, cell 25 */
    asm_xchg_mr(&a, 64, asm_mem(A_RDI, 0), A_RCX); /* rcx = 10, cell 20 */
    asm_mov_ri(&a, 32, A_RAX, 25);
    asm_lock(&a);
    asm_cmpxchg_mr(&a, 64, asm_mem(A_RDI, 8), A_RCX); /* cell 10 */
    asm_mfence(&a);
    asm_setcc_r(&a, A_Z, A_RAX);
    asm_ret(&a);
    g_assert_cmpuint(finish(&a)((uintptr_t)cells, 0, 0) & 0xff, ==, 1);
    g_assert_cmpuint(cells[0], ==, 20);
    g_assert_cmpuint(cells[1], ==, 10);
}

static void test_strings(void)
{
    char from[40] = "0123456789abcdef0123456789ABCDEF", to[40];
    Asm a = begin();

    asm_cld(&a);
    asm_mov_ri(&a, 32, A_RCX, 20);
    asm_rep_movsb(&a);
    asm_mov_ri(&a, 8, A_RAX, '*');
    asm_mov_ri(&a, 32, A_RCX, 10);
    asm_rep_stosb(&a);
    asm_mov_mi(&a, 8, asm_mem(A_RDI, 0), 0);
    asm_ret(&a);
    finish(&a)((uintptr_t)to, (uintptr_t)from, 0);
    g_assert_cmpstr(to, ==, "0123456789abcdef0123**********");
}

/* Constants beside the code; both encodings. */
static void emit_sse(Asm *a, AsmLabel *constant)
{
    asm_sse_rm(a, S_MOVUPD, A_XMM9, asm_mem(A_RDI, 0));
    asm_sse_rm(a, S_MULPD, A_XMM9, asm_mem_label(constant));
    asm_sse_rri(a, S_SHUFPD, A_XMM9, A_XMM9, 1);
    asm_sse_rm(a, S_MOVUPD_ST, A_XMM9, asm_mem(A_RDI, 0));
    asm_sse_rr(a, S_CVTTSD2SI64, A_RAX, A_XMM9);
    asm_sse_ri(a, S_PSLLQ_I, A_XMM9, 1);
    asm_sse_rr(a, S_MOVQ_GPR_ST, A_XMM9, A_RCX);
    asm_alu_rr(a, A_ADD, 64, A_RAX, A_RCX);
}

static void emit_vex(Asm *a, AsmLabel *constant)
{
    asm_vex_rm(a, S_MOVUPD, 0, A_XMM9, asm_mem(A_RDI, 0));
    asm_vex_rrm(a, S_MULPD, 0, A_XMM2, A_XMM9, asm_mem_label(constant));
    asm_vex_rrri(a, S_SHUFPD, 0, A_XMM15, A_XMM2, A_XMM2, 1);
    asm_vex_rm(a, S_MOVUPD_ST, 0, A_XMM15, asm_mem(A_RDI, 0));
    asm_vex_rr(a, S_CVTTSD2SI64, 0, A_RAX, A_XMM15);
    asm_vex_rri(a, S_PSLLQ_I, 0, A_XMM8, A_XMM15, 1);
    asm_vex_rr(a, S_MOVQ_GPR_ST, 0, A_XMM8, A_RCX);
    asm_alu_rr(a, A_ADD, 64, A_RAX, A_RCX);
    asm_vzeroupper(a);
}

static void check_simd(void (*emit)(Asm *, AsmLabel *))
{
    const double constants[2] = { 2.5, -100 };
    double values[2] = { 4, 7 };
    uint64_t bits;
    Asm a = begin();
    AsmLabel constant = { 0 };

    emit(&a, &constant);
    asm_ret(&a);
    asm_align(&a, 16);
    asm_bind(&a, &constant);
    asm_data(&a, constants, sizeof constants);
    uint64_t result = finish(&a)((uintptr_t)values, 0, 0);
    g_assert_cmpfloat(values[0], ==, -700);
    g_assert_cmpfloat(values[1], ==, 10);
    memcpy(&bits, &values[0], 8);
    g_assert_cmphex(result, ==, (uint64_t)-700 + (bits << 1));
}

static void test_simd(void)
{
    check_simd(emit_sse);
    if (__builtin_cpu_supports("avx"))
        check_simd(emit_vex);
}

/* What the disassembler does not know or print: broadcasts, the mask of a blend, the operands of FMA and a gather. */
static void test_avx2(void)
{
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
        g_test_skip("no AVX2 or FMA");
        return;
    }
    uint64_t in[4] = { 1, 2, 3, 4 }, out[12];
    Asm a = begin();
    asm_vex_rm(&a, S_VBROADCASTI128, 1, A_XMM1, asm_mem(A_RDI, 8));             /* 2 3 2 3 */
    asm_vex_rm(&a, S_MOVDQU, 1, A_XMM2, asm_mem(A_RDI, 0));                     /* 1 2 3 4 */
    asm_vex_rrr(&a, S_PCMPEQQ, 1, A_XMM3, A_XMM1, A_XMM2);                      /* none */
    asm_vex_rrri(&a, S_VPERM2I128, 1, A_XMM4, A_XMM1, A_XMM2, 0x31);            /* 2 3 3 4 */
    asm_vex_rrr(&a, S_PCMPEQQ, 1, A_XMM3, A_XMM4, A_XMM1);                      /* 1 1 0 0 */
    asm_vex_rrrr(&a, S_VPBLENDVB, 1, A_XMM5, A_XMM2, A_XMM1, A_XMM3);           /* 2 3 3 4 */
    asm_vex_rm(&a, S_MOVDQU_ST, 1, A_XMM5, asm_mem(A_RSI, 0));
    asm_vex_rrr(&a, S_PCMPEQQ, 1, A_XMM6, A_XMM6, A_XMM6);
    asm_vex_rri(&a, S_PSRLQ_I, 1, A_XMM7, A_XMM5, 1);                           /* 1 1 1 2 */
    asm_vex_rrm(&a, S_VPGATHERQQ, 1, A_XMM8, A_XMM6, asm_mem_index(A_RDI, A_XMM7, 8, 0));
    asm_vex_rm(&a, S_MOVDQU_ST, 1, A_XMM8, asm_mem(A_RSI, 32));
    asm_sse_rm(&a, S_CVTSI2SD, A_XMM0, asm_mem(A_RDI, 0));                      /* 1 */
    asm_sse_rm(&a, S_CVTSI2SD64, A_XMM1, asm_mem(A_RDI, 16));                   /* 3 */
    asm_sse_rm(&a, S_CVTSI2SD64, A_XMM2, asm_mem(A_RDI, 24));                   /* 4 */
    asm_vex_rrr(&a, S_VFMSUBS231D, 0, A_XMM0, A_XMM1, A_XMM2);                  /* 3 * 4 - 1 */
    asm_vex_rm(&a, S_CVTTSD2SI64, 0, A_RAX, asm_reg(A_XMM0));
    asm_vzeroupper(&a);
    asm_ret(&a);
    g_assert_cmpuint(finish(&a)((uintptr_t)in, (uintptr_t)out, 0), ==, 11);
    const uint64_t expected[8] = { 2, 3, 3, 4, 2, 2, 2, 3 };
    g_assert_cmpmem(out, sizeof expected, expected, sizeof expected);
}

static void test_mxcsr(void)
{
    uint32_t words[2] = { 0x7f80, 0 };
    double values[2] = { 1, 3 };
    Asm a = begin();

    asm_stmxcsr(&a, asm_mem(A_RDI, 4));
    asm_ldmxcsr(&a, asm_mem(A_RDI, 0)); /* towards zero */
    asm_sse_rm(&a, S_MOVSD, A_XMM0, asm_mem(A_RSI, 0));
    asm_sse_rm(&a, S_DIVSD, A_XMM0, asm_mem(A_RSI, 8));
    asm_ldmxcsr(&a, asm_mem(A_RDI, 4));
    asm_sse_rr(&a, S_MOVQ_GPR_ST, A_XMM0, A_RAX);
    asm_ret(&a);
    g_assert_cmphex(finish(&a)((uintptr_t)words, (uintptr_t)values, 0), ==, 0x3fd5555555555555);
    g_assert_cmphex(words[1] & 0xe000, ==, 0);
}

/* st1 OP st0 both ways round and with a pop, against C. */
static double x87_expected(AsmX87Arith op, double x, double y)
{
    switch (op) {
    case A_FADD: return x + y;
    case A_FMUL: return x * y;
    case A_FSUB: return x - y;
    case A_FSUBR: return y - x;
    case A_FDIV: return x / y;
    default: return y / x;
    }
}

static void test_x87(void)
{
    for (unsigned i = 0; i < 8 * 4; i++) {
        AsmX87Arith op = i / 4;
        double values[2] = { 12, 3 };
        if (op == A_FCOM || op == A_FCOMP)
            continue;
        Asm a = begin();
        asm_fld_m64(&a, asm_mem(A_RDI, 0));
        asm_fld_m64(&a, asm_mem(A_RDI, 8)); /* st0 = 3, st1 = 12 */
        switch (i % 4) {
        case 0: asm_x87_st0(&a, op, 1); asm_fstp_st(&a, 1); break;
        case 1: asm_x87_sti(&a, op, 1); asm_fstp_st(&a, 0); break;
        case 2: asm_x87_stip(&a, op, 1); break;
        default: asm_x87_m(&a, op, 64, asm_mem(A_RDI, 0)); asm_fstp_st(&a, 1); break;
        }
        asm_fstp_m64(&a, asm_mem(A_RDI, 0));
        asm_fnstsw_ax(&a);
        asm_movzx_rr(&a, 64, 16, A_RAX, A_RAX);
        asm_ret(&a);
        g_assert_cmphex(finish(&a)((uintptr_t)values, 0, 0) & 0x3841, ==, 0); /* empty, no error */
        bool st1_first = i % 4 == 1 || i % 4 == 2;
        g_assert_cmpfloat(values[0], ==, st1_first ? x87_expected(op, 12, 3) : x87_expected(op, 3, 12));
    }
}

static void test_flags(void)
{
    Asm a = begin();

    asm_alu_rr(&a, A_CMP, 64, A_RDI, A_RSI);
    asm_lahf(&a);
    asm_movzx_rr(&a, 64, 16, A_R8, A_RAX);
    asm_alu_rr(&a, A_XOR, 32, A_RCX, A_RCX);
    asm_sahf(&a);
    asm_pushfq(&a);
    asm_pop_r(&a, A_RCX);
    asm_push_r(&a, A_RCX);
    asm_popfq(&a);
    asm_cmc(&a);
    asm_setcc_r(&a, A_AE, A_RDX);
    asm_movzx_rr(&a, 32, 8, A_RAX, A_RDX);
    asm_shift_ri(&a, A_SHL, 32, A_RAX, 8);
    asm_movzx_rr(&a, 32, 8, A_RCX, A_RCX);
    asm_alu_rr(&a, A_OR, 32, A_RAX, A_RCX);
    asm_ret(&a);
    Code *code = finish(&a);
    g_assert_cmphex(code(1, 2, 0), ==, 0x197); /* 1 - 2: CF, and PF, AF, SF */
    g_assert_cmphex(code(2, 2, 0), ==, 0x046);
}

typedef struct Patched {
    Code *code;
    uint8_t *field;
    uint64_t exec, targets[2];
    int stop; /* atomic */
} Patched;

/* A function that returns 1 or 2, as its jump tells; patched by asm_patch(). */
static void make_patched(Patched *s)
{
    Asm a = begin();
    AsmLabel places[2] = { { 0 }, { 0 } }, end = { 0 };

    s->field = asm_jmp_patchable(&a, ASM_NEXT);
    for (unsigned i = 0; i < 2; i++) {
        asm_bind(&a, &places[i]);
        s->targets[i] = asm_here(&a);
        asm_mov_ri(&a, 32, A_RAX, i + 1);
        asm_jmp(&a, &end);
    }
    asm_bind(&a, &end);
    asm_ret(&a);
    s->exec = exec_address(s->field);
    s->code = finish(&a);
}

static void test_patch(void)
{
    Patched s = { 0 };

    make_patched(&s);
    g_assert_cmpuint(s.code(0, 0, 0), ==, 1);
    for (unsigned i = 0; i < 1000; i++) {
        execmem_begin_write(memory);
        g_assert_true(asm_patch(s.field, s.exec, s.targets[i & 1]));
        execmem_flush(memory, s.field, 4);
        execmem_end_write(memory);
        g_assert_cmpuint(s.code(0, 0, 0), ==, (i & 1) + 1);
    }
}

static gpointer patcher(gpointer opaque)
{
    Patched *s = opaque;

    for (unsigned i = 0; !__atomic_load_n(&s->stop, __ATOMIC_RELAXED); i++)
        asm_patch(s->field, s->exec, s->targets[i & 1]);
    return NULL;
}

/* While another thread changes it, the code is one or the other. */
static void test_patch_threads(void)
{
    if (memory->kind != EXECMEM_DUAL) {
        g_test_skip("needs two views");
        return;
    }
    Patched s = { 0 };
    make_patched(&s);
    GThread *thread = g_thread_new("patcher", patcher, &s);
    uint64_t counts[3] = { 0 };
    for (int64_t end = g_get_monotonic_time() + 5 * G_USEC_PER_SEC;
         (counts[1] < 10000 || counts[2] < 10000) && g_get_monotonic_time() < end;) {
        uint64_t result = s.code(0, 0, 0);
        g_assert_true(result == 1 || result == 2);
        counts[result]++;
    }
    __atomic_store_n(&s.stop, 1, __ATOMIC_RELAXED);
    g_thread_join(thread);
    g_test_message("%" PRIu64 " and %" PRIu64 " times", counts[1], counts[2]);
}

static void add_tests(void)
{
    GError *err = NULL;

    memory = execmem_new(MiB, &err);
    g_assert_no_error(err);
    __builtin_cpu_init();
    g_test_add_func("/asm/run/loop", test_loop);
    g_test_add_func("/asm/run/calls", test_calls);
    g_test_add_func("/asm/run/far_call", test_far_call);
    g_test_add_func("/asm/run/sizes", test_sizes);
    g_test_add_func("/asm/run/conditions", test_conditions);
    g_test_add_func("/asm/run/alu", test_alu);
    g_test_add_func("/asm/run/bmi", test_bmi);
    g_test_add_func("/asm/run/atomics", test_atomics);
    g_test_add_func("/asm/run/strings", test_strings);
    g_test_add_func("/asm/run/simd", test_simd);
    g_test_add_func("/asm/run/avx2", test_avx2);
    g_test_add_func("/asm/run/mxcsr", test_mxcsr);
    g_test_add_func("/asm/run/x87", test_x87);
    g_test_add_func("/asm/run/flags", test_flags);
    g_test_add_func("/asm/run/patch", test_patch);
    g_test_add_func("/asm/run/patch_threads", test_patch_threads);
}

static void remove_memory(void)
{
    execmem_free(memory);
}

#else

static void test_nothing(void)
{
    g_test_skip("not an x86-64 host");
}

static void add_tests(void) { g_test_add_func("/asm/run", test_nothing); }
static void remove_memory(void) {}

#endif

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_tests();
    int status = g_test_run();
    remove_memory();
    return status;
}
