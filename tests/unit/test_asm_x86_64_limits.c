/*
 * The x86-64 assembler's labels and patchable branches, the lengths of what it chooses, and what it does when room ends
 * or an operand cannot be encoded.
 */
#include <glib.h>
#include <string.h>

#include "tcg/x86_64/asm.h"
#include "util/bits.h"
#include "util/endian.h"

#define EXEC UINT64_C(0x7f1234560000)

static uint8_t buffer[1 << 12];

static Asm fresh(void)
{
    Asm a;

    asm_init(&a, buffer, sizeof buffer, EXEC);
    return a;
}

/* The shortest forms of arithmetic. */
static void test_lengths(void)
{
    static const struct {
        AsmReg reg;
        unsigned size;
        int64_t imm;
        unsigned length;
    } cases[] = {
        { A_RCX, 32, 1, 3 }, { A_RCX, 32, 0x80, 6 }, { A_RAX, 32, 0x80, 5 }, { A_RAX, 64, 0x80, 6 }, { A_RAX, 8, 1, 2 },
        { A_RCX, 64, -1, 4 }, { A_RCX, 32, 0xffffffff, 3 }, { A_RCX, 16, 0xffff, 4 }, { A_RCX, 8, 0xff, 3 },
        { A_R9, 64, 0x1000, 7 }, { A_RSI, 8, 1, 4 }, { A_RAX, 16, 0x1234, 4 },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        Asm a = fresh();
        asm_alu_ri(&a, A_ADD, cases[i].size, cases[i].reg, cases[i].imm);
        g_assert_cmpuint(asm_size(&a), ==, cases[i].length);
        g_assert_true(asm_ok(&a));
    }
}

/* The displacement of the last `bytes` of the code, 1 or 4. */
static int64_t last_displacement(const Asm *a, unsigned bytes)
{
    return bytes == 1 ? (int8_t)a->p[-1] : (int32_t)ld32le(a->p - 4);
}

static void test_forward_labels(void)
{
    Asm a = fresh();
    AsmLabel far_label = { 0 }, near_label = { 0 };
    const uint8_t *fields[20], *near_fields[8];

    for (unsigned i = 0; i < 20; i++) {
        switch (i % 3) {
        case 0: asm_jmp(&a, &far_label); break;
        case 1: asm_jcc(&a, i % 16, &far_label); break;
        default: asm_call(&a, &far_label); break;
        }
        fields[i] = a.p - 4;
    }
    for (unsigned i = 0; i < 8; i++) {
        if (i & 1)
            asm_jmp8(&a, &near_label);
        else
            asm_jcc8(&a, A_L, &near_label);
        near_fields[i] = a.p - 1;
    }
    g_assert_cmpuint(a.open, ==, 28);
    g_assert_false(asm_ok(&a));
    asm_nop(&a, 100);
    asm_bind(&a, &near_label);
    uint8_t *near_target = a.p;
    asm_nop(&a, 1000);
    asm_bind(&a, &far_label);
    g_assert_true(asm_ok(&a));
    for (unsigned i = 0; i < 20; i++)
        g_assert_true(fields[i] + 4 + (int32_t)ld32le(fields[i]) == a.p);
    for (unsigned i = 0; i < 8; i++)
        g_assert_true(near_fields[i] + 1 + *near_fields[i] == near_target);
}

/* Shortest where it reaches: -128 for the two bytes of rel8. */
static void test_backward_labels(void)
{
    for (unsigned distance = 0; distance < 200; distance++) {
        Asm a = fresh();
        AsmLabel label = { 0 };
        bool reaches = distance + 2 <= 128;
        asm_bind(&a, &label);
        asm_nop(&a, distance);
        asm_jmp(&a, &label);
        g_assert_cmpuint(asm_size(&a), ==, distance + (reaches ? 2 : 5));
        g_assert_cmpint(last_displacement(&a, reaches ? 1 : 4), ==, -(int64_t)asm_size(&a));
        asm_call(&a, &label);
        g_assert_cmpint(last_displacement(&a, 4), ==, -(int64_t)asm_size(&a));
        g_assert_true(asm_ok(&a));
        a = fresh();
        asm_nop(&a, distance);
        asm_jcc8(&a, A_Z, &(AsmLabel){ .bound = true });
        g_assert_cmpint(asm_ok(&a), ==, reaches);
    }
}

static void test_short_limits(void)
{
    for (unsigned distance = 120; distance < 300; distance++) {
        Asm a = fresh();
        AsmLabel label = { 0 };
        asm_jmp8(&a, &label);
        asm_nop(&a, distance);
        asm_bind(&a, &label);
        g_assert_cmpint(asm_ok(&a), ==, distance <= 127);
        /* Two references, of which the first is too far. */
        a = fresh();
        label = (AsmLabel){ 0 };
        asm_jmp8(&a, &label);
        asm_nop(&a, distance);
        asm_jcc8(&a, A_B, &label);
        asm_bind(&a, &label);
        g_assert_cmpint(asm_ok(&a), ==, distance + 2 <= 127);
    }
}

/* An address out of reach goes through the register. */
static void test_far_addresses(void)
{
    static const uint8_t call[] = { 0x48, 0xb8, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0xff, 0xd0 };
    static const uint8_t jump[] = { 0x41, 0xbb, 0, 0, 0, 0x80, 0x41, 0xff, 0xe3 };
    static const uint8_t jcc[] = { 0x75, 12, 0x48, 0xb8, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0xff, 0xe0 };
    Asm a = fresh();

    asm_call_abs(&a, UINT64_C(0x1122334455667788), A_RAX);
    g_assert_cmpmem(buffer, asm_size(&a), call, sizeof call);
    a = fresh();
    asm_jmp_abs(&a, 0x80000000, A_R11);
    g_assert_cmpmem(buffer, asm_size(&a), jump, sizeof jump);
    a = fresh();
    asm_jcc_abs(&a, A_E, UINT64_C(0x1122334455667788), A_RAX);
    g_assert_cmpmem(buffer, asm_size(&a), jcc, sizeof jcc);
    g_assert_true(asm_ok(&a));
    g_assert_true(asm_reaches(&a, EXEC + 0x7fff0000) && asm_reaches(&a, EXEC - 0x7fff0000));
    g_assert_false(asm_reaches(&a, EXEC + 0x80000100) || asm_reaches(&a, EXEC - 0x80000000));
    g_assert_false(asm_reaches(&a, 0) || asm_reaches(&a, UINT64_MAX) || asm_reaches(&a, EXEC ^ BIT(63)));
    asm_lea(&a, 64, A_RAX, asm_mem_address(0));
    g_assert_true(a.bad);
}

static void test_patchable(void)
{
    for (unsigned i = 0; i < 24; i++) {
        Asm a = fresh();
        asm_nop(&a, i / 3);
        uint8_t *field = i % 3 == 0   ? asm_jmp_patchable(&a, ASM_NEXT)
                         : i % 3 == 1 ? asm_call_patchable(&a, EXEC + 0x100)
                                      : asm_jcc_patchable(&a, A_S, EXEC - 0x100);
        uint64_t exec = EXEC + (field - buffer);
        int64_t target = i % 3 == 0 ? asm_here(&a) : i % 3 == 1 ? EXEC + 0x100 : EXEC - 0x100;
        g_assert_true(field + 4 == a.p && exec % 4 == 0);
        g_assert_cmpint((int32_t)ld32le(field), ==, target - (int64_t)(exec + 4));
        g_assert_cmpuint(asm_size(&a), <=, i / 3 + 3 + (i % 3 == 2 ? 6 : 5));
        g_assert_true(asm_patch(field, exec, EXEC + 0x7000000));
        g_assert_cmphex(ld32le(field), ==, EXEC + 0x7000000 - (exec + 4));
        g_assert_false(asm_patch(field, exec, 0x1000));
        g_assert_cmphex(ld32le(field), ==, EXEC + 0x7000000 - (exec + 4));
        g_assert_true(asm_patch(field, exec, ASM_NEXT));
        g_assert_cmphex(ld32le(field), ==, 0);
        g_assert_true(asm_ok(&a));
    }
}

/* ---- what goes wrong ---- */

static void emit_everything(Asm *a)
{
    AsmLabel label = { 0 };

    asm_lock(a);
    asm_alu_mi(a, A_ADD, 64, asm_segment(asm_mem_index(A_R8, A_R9, 8, 0x12345678), ASM_GS), 0x12345678);
    asm_jcc(a, A_O, &label);
    asm_jmp8(a, &label);
    asm_mov_ri(a, 64, A_R15, UINT64_MAX / 3);
    asm_call_abs(a, 1, A_RAX);
    asm_jmp_patchable(a, ASM_NEXT);
    asm_vex_rrmi(a, S_PALIGNR, 1, 8, 9, asm_mem(A_R10, 0x1000), 7);
    asm_sse_rm(a, S_ADDPS, 8, asm_mem(A_R10, 0x1000));
    asm_sse_ri(a, S_PSLLDQ_I, 8, 3);
    asm_nop(a, 20);
    asm_align(a, 32);
    asm_data(a, "0123456789", 10);
    asm_x87_st0(a, A_FADD, 1);
    asm_fld_m80(a, asm_mem_label(&label));
    asm_push_i(a, 1000);
    asm_cdq(a, 64);
    asm_alu_ri(a, A_CMP, 32, A_RAX, 0x12345);
    asm_ret(a);
    asm_bind(a, &label);
}

static void test_overflow(void)
{
    Asm a = fresh();
    emit_everything(&a);
    g_assert_true(asm_ok(&a));
    size_t whole = asm_size(&a);
    g_autofree uint8_t *code = g_memdup2(buffer, whole);

    for (size_t size = 0; size < whole + 2 * ASM_ROOM; size++) {
        memset(buffer, 0xee, sizeof buffer);
        asm_init(&a, buffer, size, EXEC);
        emit_everything(&a);
        g_assert_true(a.overflow == (size < whole) || (a.overflow && size < whole + ASM_ROOM));
        g_assert_cmpuint(asm_size(&a), <=, size);
        for (size_t i = size; i < whole + 3 * ASM_ROOM; i++)
            g_assert_cmphex(buffer[i], ==, 0xee);
        if (!a.overflow)
            g_assert_cmpmem(buffer, asm_size(&a), code, whole);
    }
}

static bool is_bad(const Asm *a)
{
    return a->bad && !a->overflow;
}

#define ASSERT_BAD(call)                                                                                               \
    do {                                                                                                               \
        Asm a = fresh();                                                                                               \
        call;                                                                                                          \
        g_assert_true(is_bad(&a));                                                                                     \
    } while (0)

static void test_mistakes(void)
{
    AsmMem m = asm_mem(A_RAX, 0), r = asm_reg(1);

    ASSERT_BAD(asm_mov_rm(&a, 64, A_RAX, asm_mem_index(A_RAX, A_RSP, 1, 0)));
    ASSERT_BAD(asm_mov_rm(&a, 64, A_RAX, asm_mem_index(A_RAX, A_RAX, 3, 0)));
    ASSERT_BAD(asm_mov_rm(&a, 64, A_RAX, asm_mem_index(A_RAX, A_RAX, 16, 0)));
    ASSERT_BAD(asm_mov_rm(&a, 64, A_RAX, asm_mem_index(A_RAX, A_RAX, 0, 0)));
    ASSERT_BAD(asm_alu_mi(&a, A_ADD, 64, m, INT64_C(0x80000000)));
    ASSERT_BAD(asm_mov_mi(&a, 64, m, INT64_MIN));
    ASSERT_BAD(asm_lea(&a, 64, A_RAX, r));
    ASSERT_BAD(asm_cmpxchg16b(&a, r));
    ASSERT_BAD(asm_fld_m64(&a, r));
    ASSERT_BAD(asm_movsx_rm(&a, 32, 32, A_RAX, r));
    ASSERT_BAD(asm_bmi_rmr(&a, A_SHLX, 16, A_RAX, r, A_RCX));
    ASSERT_BAD(asm_x87_sti(&a, A_FCOM, 1));
    ASSERT_BAD(asm_x87_st0(&a, A_FADD, 8));
    ASSERT_BAD(asm_sse_rm(&a, S_VPERMQ, 0, m));
    ASSERT_BAD(asm_sse_rm(&a, S_PSHUFD, 0, m));
    ASSERT_BAD(asm_sse_rmi(&a, S_PADDB, 0, m, 0));
    ASSERT_BAD(asm_sse_rmi(&a, S_PSLLW_I, 0, r, 0));
    ASSERT_BAD(asm_sse_rm(&a, S_MOVHLPS, 0, m));
    ASSERT_BAD(asm_sse_rm(&a, S_MOVLPS, 0, r));
    ASSERT_BAD(asm_vex_rm(&a, S_SHA1MSG1, 0, 0, m));
    ASSERT_BAD(asm_vex_rm(&a, S_ADDPS, 0, 0, m));
    ASSERT_BAD(asm_vex_rrm(&a, S_MOVAPS, 0, 0, 0, m));
    ASSERT_BAD(asm_vex_rrm(&a, S_MOVSS, 0, 0, 0, m));
    ASSERT_BAD(asm_vex_rrm(&a, S_ADDSS, 1, 0, 0, m));
    ASSERT_BAD(asm_vex_rrm(&a, S_VPERMD, 0, 0, 0, m));
    ASSERT_BAD(asm_vex_rrm(&a, S_VPGATHERDD, 0, 0, 0, m));
    AsmLabel label = { 0 };
    ASSERT_BAD(asm_bind(&a, &label); asm_bind(&a, &label));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*test)(void);
    } tests[] = {
        { "/asm/lengths", test_lengths },
        { "/asm/labels/forward", test_forward_labels },
        { "/asm/labels/backward", test_backward_labels },
        { "/asm/labels/short", test_short_limits },
        { "/asm/far", test_far_addresses },
        { "/asm/patchable", test_patchable },
        { "/asm/overflow", test_overflow },
        { "/asm/mistakes", test_mistakes },
    };
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(tests); i++)
        g_test_add_func(tests[i].path, tests[i].test);
    return g_test_run();
}
