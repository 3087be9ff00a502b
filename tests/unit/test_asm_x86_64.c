/*
 * The x86-64 assembler's encodings.  With capstone, each emitter's code for many operands is disassembled, and the text
 * compared with the one made here from the operands.  On every host, with or without it, a hash over all that code is
 * compared with the one of a run in which capstone agreed (so a new case changes it: the failure tells the new one).
 * Labels, limits and patching: test_asm_x86_64_limits.c; execution: test_asm_x86_64_run.c.
 */
#include <ctype.h>
#include <glib.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "tcg/x86_64/simd.h"
#ifdef CONFIG_CAPSTONE
#include <capstone/capstone.h>
#endif

#define EXEC UINT64_C(0x7f1234560000)

static uint8_t buffer[1 << 16];
static uint64_t hash;    /* of this case's code: FNV-1a */
static unsigned checked; /* instructions */

static Asm fresh(void)
{
    Asm a;

    asm_init(&a, buffer, sizeof buffer, EXEC);
    return a;
}

/* ---- comparing texts ---- */

#ifdef CONFIG_CAPSTONE

static bool starts_number(const char *text, const char *p)
{
    return (isdigit((unsigned char)*p) || (*p == '-' && isdigit((unsigned char)p[1]))) &&
           (p == text || !isalnum((unsigned char)p[-1]));
}

/* Numbers count by value, outside of brackets modulo the mask: "-1" is "0xff" for a byte. */
static bool same_text(const char *expected, const char *got, uint64_t mask)
{
    const char *e = expected, *g = got;
    bool inside = false;

    while (*e && *g) {
        if (starts_number(expected, e) && starts_number(got, g)) {
            uint64_t x = strtoull(e, (char **)&e, 0), y = strtoull(g, (char **)&g, 0);
            if ((x ^ y) & (inside ? UINT64_MAX : mask))
                return false;
            continue;
        }
        inside = *e == '[' || (inside && *e != ']');
        if (*e++ != *g++)
            return false;
    }
    return *e == *g;
}

/* Without the "xmmword ptr " of operands, where the expected text does not have them. */
static char *without_sizes(const char *text)
{
    GString *s = g_string_new(text);

    for (char *p; (p = strstr(s->str, " ptr ")) != NULL;) {
        char *word = p;
        while (word > s->str && isalnum((unsigned char)word[-1]))
            word--;
        g_string_erase(s, word - s->str, p + 5 - word);
    }
    return g_string_free(s, FALSE);
}

/* The memory forms of VCVTPD2PS and the like have, to tell their size, an x or y in AT&T's syntax alone. */
static char *without_suffix(char *text)
{
    char *end = strchr(text, ' ');

    if (g_str_has_prefix(text, "vcvt") && (end[-1] == 'x' || end[-1] == 'y'))
        memmove(end - 1, end, strlen(end) + 1);
    return text;
}

/* What capstone 4 cannot disassemble. */
static bool unknown_to_capstone(const char *expected)
{
    return g_str_has_prefix(expected, "vbroadcasti128 ");
}

static void compare_text(const Asm *a, const char *expected, uint64_t mask)
{
    static csh handle;
    cs_insn *insn;

    if (!handle)
        g_assert_cmpint(cs_open(CS_ARCH_X86, CS_MODE_64, &handle), ==, CS_ERR_OK);
    size_t n = cs_disasm(handle, a->start, asm_size(a), a->exec, 0, &insn);
    if (!n && unknown_to_capstone(expected))
        return;
    g_autofree char *text = n ? g_strdup_printf("%s%s%s", insn->mnemonic, insn->op_str[0] ? " " : "", insn->op_str)
                              : g_strdup("(bad)");
    g_autofree char *got = strstr(expected, " ptr ") ? g_strdup(text) : without_suffix(without_sizes(text));
    if (n != 1 || insn->size != asm_size(a) || !same_text(expected, got, mask)) {
        g_test_message("capstone: %s, %zu instructions", text, n);
        for (const uint8_t *p = a->start; p < a->p; p++)
            g_test_message("  %02x", *p);
        g_assert_cmpstr(got, ==, expected);
        g_assert_cmpuint(n, ==, 1);
        g_assert_cmpuint(insn->size, ==, asm_size(a));
    }
    cs_free(insn, n);
}

#else

static void compare_text(const Asm *a, const char *expected, uint64_t mask)
{
    (void)a, (void)expected, (void)mask;
}

#endif

/* One instruction, in a fresh Asm: takes the text. */
static void check_masked(Asm *a, char *expected, uint64_t mask)
{
    g_assert_true(asm_ok(a));
    for (const uint8_t *p = a->start; p < a->p; p++)
        hash = (hash ^ *p) * UINT64_C(0x100000001b3);
    compare_text(a, expected, mask);
    g_free(expected);
    checked++;
    *a = fresh();
}

static void check(Asm *a, char *expected)
{
    check_masked(a, expected, UINT64_MAX);
}

static Asm begin(void)
{
    hash = UINT64_C(0xcbf29ce484222325);
    checked = 0;
    return fresh();
}

static void finish(unsigned count, uint64_t expected)
{
    g_test_message("%u instructions, hash %#" PRIx64, checked, hash);
    g_assert_cmpuint(checked, ==, count);
    g_assert_cmphex(hash, ==, expected);
}

/* ---- operands and their texts ---- */

static const char *reg_name(unsigned size, unsigned reg)
{
    static const char *const names[16][4] = {
        { "al", "ax", "eax", "rax" },       { "cl", "cx", "ecx", "rcx" },       { "dl", "dx", "edx", "rdx" },
        { "bl", "bx", "ebx", "rbx" },       { "spl", "sp", "esp", "rsp" },      { "bpl", "bp", "ebp", "rbp" },
        { "sil", "si", "esi", "rsi" },      { "dil", "di", "edi", "rdi" },      { "r8b", "r8w", "r8d", "r8" },
        { "r9b", "r9w", "r9d", "r9" },      { "r10b", "r10w", "r10d", "r10" },  { "r11b", "r11w", "r11d", "r11" },
        { "r12b", "r12w", "r12d", "r12" },  { "r13b", "r13w", "r13d", "r13" },  { "r14b", "r14w", "r14d", "r14" },
        { "r15b", "r15w", "r15d", "r15" },
    };
    return names[reg][size == 8 ? 0 : size == 16 ? 1 : size == 32 ? 2 : 3];
}

/* Vector registers: 'x' or 'y', as a name to be freed. */
static char *vector_name(char width, unsigned reg)
{
    return g_strdup_printf("%cmm%u", width, reg);
}

static void append_displacement(GString *s, int64_t disp)
{
    if (s->str[s->len - 1] == '[')
        g_string_append_printf(s, "%#" PRIx64, disp);
    else if (disp)
        g_string_append_printf(s, " %c %#" PRIx64, disp < 0 ? '-' : '+', disp < 0 ? -disp : disp);
}

static void append_sum(GString *s, const AsmMem *m, char index_width)
{
    unsigned size = m->addr32 ? 32 : 64;

    if (m->base != A_NONE)
        g_string_append(s, reg_name(size, m->base));
    if (m->index != A_NONE) {
        g_autofree char *index = index_width ? vector_name(index_width, m->index)
                                             : g_strdup(reg_name(size, m->index));
        g_string_append_printf(s, "%s%s", m->base != A_NONE ? " + " : "", index);
        if (m->scale > 1)
            g_string_append_printf(s, "*%u", m->scale);
    }
    append_displacement(s, m->disp);
}

/* `end` is the address after the instruction; index_width is for gathers. */
static char *mem_text(const AsmMem *m, uint64_t end, char index_width)
{
    GString *s = g_string_new(m->segment == ASM_FS ? "fs:[" : m->segment == ASM_GS ? "gs:[" : "[");

    if (m->kind == ASM_MEM_BASE) {
        append_sum(s, m, index_width);
    } else {
        uint64_t target = m->kind == ASM_MEM_LABEL ? EXEC + m->label->at : m->address;
        g_string_append(s, "rip");
        append_displacement(s, target - end);
    }
    return g_string_free(g_string_append_c(s, ']'), FALSE);
}

static const char *size_name(unsigned size)
{
    return size == 8 ? "byte" : size == 16 ? "word" : size == 32 ? "dword" : size == 64 ? "qword" : "xmmword";
}

/* An r/m operand as its text, with the size of memory; size 0: without. */
static char *rm_text(unsigned size, const AsmMem *m, uint64_t end)
{
    if (m->kind == ASM_MEM_REG)
        return g_strdup(reg_name(size, m->base));
    g_autofree char *mem = mem_text(m, end, 0);
    return size ? g_strdup_printf("%s ptr %s", size_name(size), mem) : g_strdup(mem);
}

/* Memory operands of every shape; then the 16 registers. */
#define MEMS 33
#define RMS (MEMS + 16)

static AsmMem rm_at(unsigned i)
{
    const AsmMem mems[MEMS] = {
        asm_mem(A_RAX, 0), asm_mem(A_RCX, 8), asm_mem(A_RBX, -0x80), asm_mem(A_RDX, 0x80), asm_mem(A_RSI, -0x81),
        asm_mem(A_RSP, 0), asm_mem(A_RSP, 0x20), asm_mem(A_RSP, 0x12345678), asm_mem(A_RBP, 0), asm_mem(A_RBP, 0x7f),
        asm_mem(A_R8, 0), asm_mem(A_R9, 0x1000), asm_mem(A_R12, 0), asm_mem(A_R12, -1), asm_mem(A_R13, 0),
        asm_mem(A_R13, INT32_MIN), asm_mem(A_NONE, 0x1234), asm_mem(A_NONE, INT32_MAX),
        asm_mem_index(A_RAX, A_RCX, 1, 0), asm_mem_index(A_RBP, A_RBP, 2, 0), asm_mem_index(A_R13, A_RDI, 4, 0),
        asm_mem_index(A_RSP, A_RBX, 8, -8), asm_mem_index(A_R12, A_R12, 8, 0x10), asm_mem_index(A_R15, A_R13, 1, 0x100),
        asm_mem_index(A_NONE, A_RAX, 8, 0x100), asm_mem_index(A_NONE, A_R14, 2, -0x10), asm_mem_address(EXEC + 0x1000),
        asm_mem_address(EXEC - 0x40000000), asm_segment(asm_mem(A_RDI, 0x10), ASM_GS),
        asm_segment(asm_mem_index(A_R10, A_R11, 1, 0), ASM_FS), asm_addr32(asm_mem_index(A_RBX, A_R9, 4, 0x10)),
        asm_segment(asm_addr32(asm_mem_index(A_R8, A_RSI, 1, -4)), ASM_GS), asm_segment(asm_mem(A_NONE, 0x30), ASM_FS),
    };
    return i < MEMS ? mems[i] : asm_reg(i - MEMS);
}

/* ---- instructions with a register and an r/m operand ---- */

enum { REG_RM, RM_REG, RM_ONLY, ORDER = 3, MEM_ONLY = 4, RM_IS_BYTE = 8, NO_SIZE = 16, RM_64 = 32 };
enum { ALL = 8 | 16 | 32 | 64, WIDE = 16 | 32 | 64, LARGE = 32 | 64 };

typedef struct Row {
    const char *name;
    void (*emit)(Asm *a, unsigned op, unsigned size, AsmReg reg, AsmMem rm);
    unsigned op, sizes, form;
    const char *more; /* after the operands */
} Row;

#define EMIT(name, call)                                                                                               \
    static void emit_##name(Asm *a, unsigned op, unsigned size, AsmReg reg, AsmMem rm)                                 \
    {                                                                                                                  \
        (void)op, (void)size, (void)reg;                                                                               \
        call;                                                                                                          \
    }
EMIT(mov_rm, asm_mov_rm(a, size, reg, rm))
EMIT(mov_mr, asm_mov_mr(a, size, rm, reg))
EMIT(lea, asm_lea(a, size, reg, rm))
EMIT(movbe_rm, asm_movbe_rm(a, size, reg, rm))
EMIT(movbe_mr, asm_movbe_mr(a, size, rm, reg))
EMIT(movnti, asm_movnti_mr(a, size, rm, reg))
EMIT(cmov, asm_cmov_rm(a, op, size, reg, rm))
EMIT(setcc, asm_setcc_m(a, op, rm))
EMIT(push, asm_push_m(a, rm))
EMIT(pop, asm_pop_m(a, rm))
EMIT(xchg, asm_xchg_mr(a, size, rm, reg))
EMIT(xadd, asm_xadd_mr(a, size, rm, reg))
EMIT(cmpxchg, asm_cmpxchg_mr(a, size, rm, reg))
EMIT(lock_xadd, asm_lock(a); asm_xadd_mr(a, size, rm, reg))
EMIT(lock_cmpxchg, asm_lock(a); asm_cmpxchg_mr(a, size, rm, reg))
EMIT(lock_add, asm_lock(a); asm_alu_mr(a, A_ADD, size, rm, reg))
EMIT(cmpxchg8b, asm_cmpxchg8b(a, rm))
EMIT(cmpxchg16b, asm_cmpxchg16b(a, rm))
EMIT(alu_rm, asm_alu_rm(a, op, size, reg, rm))
EMIT(alu_mr, asm_alu_mr(a, op, size, rm, reg))
EMIT(test, asm_test_mr(a, size, rm, reg))
EMIT(unary, asm_unary_m(a, op, size, rm))
EMIT(imul, asm_imul_rm(a, size, reg, rm))
EMIT(imul_i8, asm_imul_rmi(a, size, reg, rm, -5))
EMIT(imul_i, asm_imul_rmi(a, size, reg, rm, 0x1234))
EMIT(shift_cl, asm_shift_mcl(a, op, size, rm))
EMIT(shxd_i, asm_shxd_mri(a, op, size, rm, reg, 11))
EMIT(shxd_cl, asm_shxd_mrcl(a, op, size, rm, reg))
EMIT(bt, asm_bt_mr(a, op, size, rm, reg))
EMIT(count, asm_count_rm(a, op, size, reg, rm))
EMIT(bls, asm_bls_rm(a, op, size, reg, rm))
EMIT(rorx, asm_rorx_rmi(a, size, reg, rm, 13))
EMIT(jmp, asm_jmp_m(a, rm))
EMIT(call, asm_call_m(a, rm))
EMIT(ldmxcsr, asm_ldmxcsr(a, rm))
EMIT(stmxcsr, asm_stmxcsr(a, rm))
EMIT(prefetch, asm_prefetch(a, op, rm))

static const Row rows[] = {
    { "mov", emit_mov_rm, 0, ALL, REG_RM, "" },
    { "mov", emit_mov_mr, 0, ALL, RM_REG, "" },
    { "lea", emit_lea, 0, WIDE, REG_RM | MEM_ONLY | NO_SIZE, "" },
    { "movbe", emit_movbe_rm, 0, WIDE, REG_RM | MEM_ONLY, "" },
    { "movbe", emit_movbe_mr, 0, WIDE, RM_REG | MEM_ONLY, "" },
    { "movnti", emit_movnti, 0, LARGE, RM_REG | MEM_ONLY, "" },
    { "push", emit_push, 0, 64, RM_ONLY | MEM_ONLY, "" },
    { "pop", emit_pop, 0, 64, RM_ONLY | MEM_ONLY, "" },
    { "xchg", emit_xchg, 0, ALL, RM_REG, "" },
    { "xadd", emit_xadd, 0, ALL, RM_REG, "" },
    { "cmpxchg", emit_cmpxchg, 0, ALL, RM_REG, "" },
    { "lock xadd", emit_lock_xadd, 0, ALL, RM_REG | MEM_ONLY, "" },
    { "lock cmpxchg", emit_lock_cmpxchg, 0, ALL, RM_REG | MEM_ONLY, "" },
    { "lock add", emit_lock_add, 0, ALL, RM_REG | MEM_ONLY, "" },
    { "cmpxchg8b", emit_cmpxchg8b, 0, 64, RM_ONLY | MEM_ONLY, "" },
    { "cmpxchg16b", emit_cmpxchg16b, 0, 128, RM_ONLY | MEM_ONLY, "" },
    { "test", emit_test, 0, ALL, RM_REG, "" },
    { "inc", emit_unary, A_INC, ALL, RM_ONLY, "" },
    { "dec", emit_unary, A_DEC, ALL, RM_ONLY, "" },
    { "not", emit_unary, A_NOT, ALL, RM_ONLY, "" },
    { "neg", emit_unary, A_NEG, ALL, RM_ONLY, "" },
    { "mul", emit_unary, A_MUL, ALL, RM_ONLY, "" },
    { "imul", emit_unary, A_IMUL, ALL, RM_ONLY, "" },
    { "div", emit_unary, A_DIV, ALL, RM_ONLY, "" },
    { "idiv", emit_unary, A_IDIV, ALL, RM_ONLY, "" },
    { "imul", emit_imul, 0, WIDE, REG_RM, "" },
    { "imul", emit_imul_i8, 0, WIDE, REG_RM, ", -5" },
    { "imul", emit_imul_i, 0, WIDE, REG_RM, ", 0x1234" },
    { "rol", emit_shift_cl, A_ROL, ALL, RM_ONLY, ", cl" },
    { "ror", emit_shift_cl, A_ROR, ALL, RM_ONLY, ", cl" },
    { "rcl", emit_shift_cl, A_RCL, ALL, RM_ONLY, ", cl" },
    { "rcr", emit_shift_cl, A_RCR, ALL, RM_ONLY, ", cl" },
    { "shl", emit_shift_cl, A_SHL, ALL, RM_ONLY, ", cl" },
    { "shr", emit_shift_cl, A_SHR, ALL, RM_ONLY, ", cl" },
    { "sar", emit_shift_cl, A_SAR, ALL, RM_ONLY, ", cl" },
    { "shld", emit_shxd_i, A_SHLD, WIDE, RM_REG, ", 0xb" },
    { "shrd", emit_shxd_i, A_SHRD, WIDE, RM_REG, ", 0xb" },
    { "shld", emit_shxd_cl, A_SHLD, WIDE, RM_REG, ", cl" },
    { "shrd", emit_shxd_cl, A_SHRD, WIDE, RM_REG, ", cl" },
    { "bt", emit_bt, A_BT, WIDE, RM_REG, "" },
    { "bts", emit_bt, A_BTS, WIDE, RM_REG, "" },
    { "btr", emit_bt, A_BTR, WIDE, RM_REG, "" },
    { "btc", emit_bt, A_BTC, WIDE, RM_REG, "" },
    { "bsf", emit_count, A_BSF, WIDE, REG_RM, "" },
    { "bsr", emit_count, A_BSR, WIDE, REG_RM, "" },
    { "tzcnt", emit_count, A_TZCNT, WIDE, REG_RM, "" },
    { "lzcnt", emit_count, A_LZCNT, WIDE, REG_RM, "" },
    { "popcnt", emit_count, A_POPCNT, WIDE, REG_RM, "" },
    { "adcx", emit_count, A_ADCX, LARGE, REG_RM, "" },
    { "adox", emit_count, A_ADOX, LARGE, REG_RM, "" },
    { "blsr", emit_bls, A_BLSR, LARGE, REG_RM, "" },
    { "blsmsk", emit_bls, A_BLSMSK, LARGE, REG_RM, "" },
    { "blsi", emit_bls, A_BLSI, LARGE, REG_RM, "" },
    { "rorx", emit_rorx, 0, LARGE, REG_RM, ", 0xd" },
    { "jmp", emit_jmp, 0, 64, RM_ONLY, "" },
    { "call", emit_call, 0, 64, RM_ONLY, "" },
    { "ldmxcsr", emit_ldmxcsr, 0, 32, RM_ONLY | MEM_ONLY, "" },
    { "stmxcsr", emit_stmxcsr, 0, 32, RM_ONLY | MEM_ONLY, "" },
    { "prefetchnta", emit_prefetch, A_PREFETCHNTA, 8, RM_ONLY | MEM_ONLY, "" },
    { "prefetcht0", emit_prefetch, A_PREFETCHT0, 8, RM_ONLY | MEM_ONLY, "" },
    { "prefetcht1", emit_prefetch, A_PREFETCHT1, 8, RM_ONLY | MEM_ONLY, "" },
    { "prefetcht2", emit_prefetch, A_PREFETCHT2, 8, RM_ONLY | MEM_ONLY, "" },
};

static void check_row(Asm *a, const Row *row, unsigned size, AsmReg reg, unsigned rm_index)
{
    AsmMem rm = rm_at(rm_index);

    row->emit(a, row->op, size, reg, rm);
    g_autofree char *m = rm_text(row->form & NO_SIZE ? 0 : size, &rm, asm_here(a));
    const char *r = reg_name(size, reg);
    switch (row->form & ORDER) {
    case REG_RM: check(a, g_strdup_printf("%s %s, %s%s", row->name, r, m, row->more)); break;
    case RM_REG: check(a, g_strdup_printf("%s %s, %s%s", row->name, m, r, row->more)); break;
    default: check(a, g_strdup_printf("%s %s%s", row->name, m, row->more)); break;
    }
}

/* Every register with every r/m operand, or just every r/m operand. */
static void check_row_of_size(Asm *a, const Row *row, unsigned size)
{
    unsigned regs = (row->form & ORDER) == RM_ONLY ? 1 : 16;

    for (unsigned reg = 0; reg < regs; reg++) {
        for (unsigned rm = 0; rm < (row->form & MEM_ONLY ? MEMS : RMS); rm++)
            check_row(a, row, size, reg, rm);
    }
}

static void check_row_sizes(Asm *a, const Row *row)
{
    for (unsigned size = 8; size <= 128; size *= 2) {
        if (row->sizes & size)
            check_row_of_size(a, row, size);
    }
}

static void test_rows(void)
{
    Asm a = begin();

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        check_row_sizes(&a, &rows[i]);
    finish(81368, UINT64_C(0xa233791c0ed2dae4));
}

static const char *const alu_names[8] = { "add", "or", "adc", "sbb", "and", "sub", "xor", "cmp" };
static const char *const cond_names[16] = {
    "o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g",
};

static void test_alu(void)
{
    Asm a = begin();

    for (unsigned op = 0; op < 8; op++) {
        check_row_sizes(&a, &(Row){ alu_names[op], emit_alu_rm, op, ALL, REG_RM, "" });
        check_row_sizes(&a, &(Row){ alu_names[op], emit_alu_mr, op, ALL, RM_REG, "" });
    }
    finish(50176, UINT64_C(0x933fc05f5ce7d725));
}

static void test_conditions(void)
{
    Asm a = begin();

    for (unsigned cond = 0; cond < 16; cond++) {
        g_autofree char *cmov = g_strdup_printf("cmov%s", cond_names[cond]);
        g_autofree char *set = g_strdup_printf("set%s", cond_names[cond]);
        check_row_sizes(&a, &(Row){ cmov, emit_cmov, cond, WIDE, REG_RM, "" });
        check_row_sizes(&a, &(Row){ set, emit_setcc, cond, 8, RM_ONLY, "" });
        g_assert_cmpuint(asm_cond_not(asm_cond_not(cond)), ==, cond);
    }
    finish(38416, UINT64_C(0x6f4fa72c5b3b5065));
}

/* ---- instructions whose operands differ in size, or are three ---- */

static void check_extension(Asm *a, unsigned size, unsigned from, AsmReg reg, AsmMem rm)
{
    asm_movzx_rm(a, size, from, reg, rm);
    g_autofree char *zx = rm_text(from, &rm, asm_here(a));
    check(a, g_strdup_printf("mov%s %s, %s", from == 32 ? "" : "zx", reg_name(MIN(size, 32), reg), zx));
    asm_movsx_rm(a, size, from, reg, rm);
    g_autofree char *sx = rm_text(from, &rm, asm_here(a));
    check(a, g_strdup_printf("movs%s %s, %s", from == 32 ? "xd" : "x", reg_name(size, reg), sx));
}

static void test_extensions(void)
{
    Asm a = begin();

    for (unsigned size = 16; size <= 64; size *= 2) {
        for (unsigned from = 8; from < size; from *= 2) {
            for (unsigned reg = 0; reg < 16; reg++) {
                for (unsigned rm = 0; rm < RMS; rm++)
                    check_extension(&a, size, from, reg, rm_at(rm));
            }
        }
    }
    finish(9408, UINT64_C(0x5452506588c96f35));
}

static void test_crc32(void)
{
    Asm a = begin();

    for (unsigned size = 8; size <= 64; size *= 2) {
        for (unsigned i = 0; i < 16 * RMS; i++) {
            AsmMem rm = rm_at(i % RMS);
            asm_crc32_rm(&a, size, i / RMS, rm);
            g_autofree char *m = rm_text(size, &rm, asm_here(&a));
            check(&a, g_strdup_printf("crc32 %s, %s", reg_name(MAX(size, 32), i / RMS), m));
        }
    }
    finish(3136, UINT64_C(0xf784aa0febc2b05));
}

static void check_bmi(Asm *a, unsigned size, AsmReg reg, AsmReg by, AsmMem rm)
{
    static const char *const names_by[] = { "shlx", "shrx", "sarx", "bzhi", "bextr" };
    static const char *const names[] = { "andn", "pdep", "pext", "mulx" };

    for (unsigned op = 0; op < ARRAY_SIZE(names_by); op++) {
        asm_bmi_rmr(a, op, size, reg, rm, by);
        g_autofree char *m = rm_text(size, &rm, asm_here(a));
        check(a, g_strdup_printf("%s %s, %s, %s", names_by[op], reg_name(size, reg), m, reg_name(size, by)));
    }
    for (unsigned op = 0; op < ARRAY_SIZE(names); op++) {
        asm_bmi_rrm(a, op, size, reg, by, rm);
        g_autofree char *m = rm_text(size, &rm, asm_here(a));
        check(a, g_strdup_printf("%s %s, %s, %s", names[op], reg_name(size, reg), reg_name(size, by), m));
    }
}

static void test_bmi(void)
{
    static const uint8_t regs[] = { A_RAX, A_RDX, A_RSP, A_RDI, A_R8, A_R15 };
    Asm a = begin();

    for (unsigned i = 0; i < ARRAY_SIZE(regs) * ARRAY_SIZE(regs) * RMS; i++) {
        unsigned reg = regs[i / RMS % ARRAY_SIZE(regs)], by = regs[i / RMS / ARRAY_SIZE(regs)];
        check_bmi(&a, 32, reg, by, rm_at(i % RMS));
        check_bmi(&a, 64, reg, by, rm_at(i % RMS));
    }
    finish(31752, UINT64_C(0xf14ba1307afbc955));
}

/* ---- immediates ---- */

static const int64_t immediates[] = {
    0, 1, 2, 9, 10, 0x7f, 0x80, 0xff, 0x1234, 0x7fff, 0xffff, 0x12345678, INT32_MAX, -1, -2, -0x80, -0x81, INT16_MIN,
    INT32_MIN,
};

static void check_immediate(Asm *a, unsigned size, AsmMem rm, int64_t imm)
{
    uint64_t mask = bit_mask(size);

    for (unsigned op = 0; op < 8; op++) {
        asm_alu_mi(a, op, size, rm, imm);
        g_autofree char *m = rm_text(size, &rm, asm_here(a));
        check_masked(a, g_strdup_printf("%s %s, %" PRId64, alu_names[op], m, imm), mask);
    }
    asm_test_mi(a, size, rm, imm);
    g_autofree char *test = rm_text(size, &rm, asm_here(a));
    check_masked(a, g_strdup_printf("test %s, %" PRId64, test, imm), mask);
    asm_mov_mi(a, size, rm, imm);
    g_autofree char *mov = rm_text(size, &rm, asm_here(a));
    check_masked(a, g_strdup_printf("mov %s, %" PRId64, mov, imm), mask);
}

static void test_immediates(void)
{
    Asm a = begin();

    for (unsigned size = 8; size <= 64; size *= 2) {
        for (unsigned i = 0; i < ARRAY_SIZE(immediates) * RMS; i++)
            check_immediate(&a, size, rm_at(i % RMS), immediates[i / RMS]);
    }
    finish(37240, UINT64_C(0x15c16f5dc5ff75f1));
}

static void check_counts(Asm *a, unsigned size, AsmMem rm, unsigned count)
{
    static const char *const shifts[8] = { "rol", "ror", "rcl", "rcr", "shl", "shr", NULL, "sar" };
    static const char *const bits[4] = { "bt", "bts", "btr", "btc" };

    for (unsigned op = 0; op < 8; op++) {
        if (!shifts[op])
            continue;
        asm_shift_mi(a, op, size, rm, count);
        g_autofree char *m = rm_text(size, &rm, asm_here(a));
        check(a, count == 1 ? g_strdup_printf("%s %s, 1", shifts[op], m)
                            : g_strdup_printf("%s %s, %u", shifts[op], m, count));
    }
    for (unsigned op = A_BT; size > 8 && op <= A_BTC; op++) {
        asm_bt_mi(a, op, size, rm, count);
        g_autofree char *m = rm_text(size, &rm, asm_here(a));
        check(a, g_strdup_printf("%s %s, %u", bits[op - A_BT], m, count));
    }
}

static void test_counts(void)
{
    static const uint8_t counts[] = { 0, 1, 2, 7, 31, 63 };
    Asm a = begin();

    for (unsigned size = 8; size <= 64; size *= 2) {
        for (unsigned i = 0; i < ARRAY_SIZE(counts) * RMS; i++)
            check_counts(&a, size, rm_at(i % RMS), counts[i / RMS]);
    }
    finish(11760, UINT64_C(0xac8096fcaa6bc987));
}

static void check_mov(Asm *a, unsigned size, AsmReg reg, uint64_t imm, unsigned length, const char *name)
{
    asm_mov_ri(a, size, reg, imm);
    g_assert_cmpuint(asm_size(a), ==, length);
    unsigned shown = size == 64 && imm <= UINT32_MAX ? 32 : size;
    check_masked(a, g_strdup_printf("%s %s, %#" PRIx64, name, reg_name(shown, reg), imm & bit_mask(shown)),
                 bit_mask(shown));
}

static void test_mov_immediates(void)
{
    Asm a = begin();

    for (unsigned reg = 0; reg < 16; reg++) {
        unsigned rex = reg > 7, byte_rex = reg > 3;
        check_mov(&a, 64, reg, 0, 5 + rex, "mov");
        check_mov(&a, 64, reg, UINT32_MAX, 5 + rex, "mov");
        check_mov(&a, 64, reg, UINT64_MAX, 7, "mov");
        check_mov(&a, 64, reg, (uint64_t)INT32_MIN, 7, "mov");
        check_mov(&a, 64, reg, (uint64_t)INT32_MIN - 1, 10, "movabs");
        check_mov(&a, 64, reg, UINT64_C(0x123456789abcdef0), 10, "movabs");
        check_mov(&a, 32, reg, 0x89abcdef, 5 + rex, "mov");
        check_mov(&a, 16, reg, 0x89ab, 4 + rex, "mov");
        check_mov(&a, 8, reg, 0x89, 2 + byte_rex, "mov");
        asm_mov_ri64(&a, reg, 1);
        g_assert_cmpuint(asm_size(&a), ==, 10);
        check(&a, g_strdup_printf("movabs %s, 1", reg_name(64, reg)));
        asm_mov_address(&a, reg, EXEC + 0x1000);
        g_assert_cmpuint(asm_size(&a), ==, 7);
        check(&a, g_strdup_printf("lea %s, [rip + %#x]", reg_name(64, reg), 0x1000 - 7));
        asm_zero(&a, reg);
        check(&a, g_strdup_printf("xor %s, %s", reg_name(32, reg), reg_name(32, reg)));
    }
    finish(192, UINT64_C(0xf6dacbf276aba9e9));
}

/* ---- instructions without an r/m operand ---- */

static void check_plain(Asm *a, const char *name)
{
    GString *s = g_string_new(name);

    if (g_str_has_prefix(name, "rep_")) {
        const char *size = name[strlen(name) - 1] == 'b' ? "byte" : "qword";
        bool load = strstr(name, "movs") != NULL;
        s->str[3] = ' ';
        g_string_append_printf(s, " %s ptr [rdi], ", size);
        g_string_append_printf(s, load ? "%s ptr [rsi]" : *size == 'b' ? "al" : "rax", size);
    }
    check(a, g_string_free(s, FALSE));
}

static void test_plain(void)
{
    Asm a = begin();

#define ASM_PLAIN(name, n, bytes)                                                                                      \
    asm_##name(&a);                                                                                                    \
    check_plain(&a, #name);
    ASM_PLAIN_LIST(ASM_PLAIN)
#undef ASM_PLAIN
    static const char *const cdq[3] = { "cwd", "cdq", "cqo" }, *const cbw[3] = { "cbw", "cwde", "cdqe" };
    for (unsigned i = 0; i < 3; i++) {
        asm_cdq(&a, 16 << i);
        check(&a, g_strdup(cdq[i]));
        asm_cbw(&a, 16 << i);
        check(&a, g_strdup(cbw[i]));
    }
    for (unsigned reg = 0; reg < 16; reg++) {
        asm_push_r(&a, reg);
        check(&a, g_strdup_printf("push %s", reg_name(64, reg)));
        asm_pop_r(&a, reg);
        check(&a, g_strdup_printf("pop %s", reg_name(64, reg)));
        asm_bswap(&a, 32, reg);
        check(&a, g_strdup_printf("bswap %s", reg_name(32, reg)));
        asm_bswap(&a, 64, reg);
        check(&a, g_strdup_printf("bswap %s", reg_name(64, reg)));
    }
    for (unsigned i = 0; i < ARRAY_SIZE(immediates); i++) {
        asm_push_i(&a, immediates[i]);
        check_masked(&a, g_strdup_printf("push %" PRId64, immediates[i]), UINT32_MAX);
    }
    finish(115, UINT64_C(0x208e2f356c93b9f));
}

static void test_nops(void)
{
    Asm a = begin();

    for (unsigned n = 1; n <= 8; n++) {
        asm_nop(&a, n);
        g_assert_cmpuint(asm_size(&a), ==, n);
        const char *index = n == 5 || n == 6 || n == 8 ? " + rax" : "";
        check(&a, n < 3 ? g_strdup("nop") : g_strdup_printf("nop [rax%s]", index));
    }
    for (unsigned n = 0; n < 100; n++) {
        a = fresh();
        asm_nop(&a, n);
        g_assert_cmpuint(asm_size(&a), ==, n);
        asm_align(&a, 64);
        g_assert_cmpuint(asm_here(&a) % 64, ==, 0);
        g_assert_cmpuint(asm_size(&a), <, n + 64);
    }
    a = fresh();
    finish(8, UINT64_C(0xe4cb087e33da82d1));
}

/* ---- SSE and AVX ---- */

static const struct SimdRow {
    const char *name;
    uint32_t op;
    uint32_t form;
    const char *operands;
} simd_rows[] = {
#define SIMD(id, name, op, form, operands) { name, op, form, operands },
#include "tcg/x86_64/simd.def"
#undef SIMD
};

#define IMM 0x5a

/* The operand of a letter of simd.def. */
static char *simd_reg(const struct SimdRow *row, char letter, unsigned l, unsigned reg)
{
    switch (letter) {
    case 'x': return vector_name(l ? 'y' : 'x', reg);
    case 'h': return vector_name('x', reg);
    case 'g': return g_strdup(reg_name(row->op & OP_W ? 64 : 32, reg));
    default: return g_strdup(reg_name(32, reg));
    }
}

/* Joins the operands that there are. */
static char *simd_text(const struct SimdRow *row, bool vex, const char *reg, const char *v, const char *rm,
                       const char *last)
{
    GString *s = g_string_new(NULL);
    bool store = row->form & SIMD_STORE, gather = row->form & SIMD_GATHER;
    const char *const order[4] = { store ? rm : reg, gather ? rm : v, store ? reg : gather ? v : rm, last };

    g_string_printf(s, "%s%s", vex ? "v" : "", row->name);
    for (unsigned i = 0, n = 0; i < 4; i++) {
        if (order[i])
            g_string_append_printf(s, "%s%s", n++ ? ", " : " ", order[i]);
    }
    return g_string_free(s, FALSE);
}

static void check_sse(Asm *a, AsmSimd op, unsigned reg, AsmMem rm)
{
    const struct SimdRow *row = &simd_rows[op];

    if (row->form & SIMD_GROUP)
        asm_sse_ri(a, op, rm.base, IMM);
    else if (row->form & SIMD_IMM)
        asm_sse_rmi(a, op, reg, rm, IMM);
    else
        asm_sse_rm(a, op, reg, rm);
    g_autofree char *r = row->form & SIMD_GROUP ? NULL : simd_reg(row, row->operands[0], 0, reg);
    g_autofree char *m = rm.kind == ASM_MEM_REG ? simd_reg(row, row->operands[1], 0, rm.base)
                                                : mem_text(&rm, asm_here(a), 0);
    check(a, simd_text(row, false, r, NULL, m, row->form & SIMD_IMM ? "0x5a" : NULL));
}

static bool has_v(const struct SimdRow *row, const AsmMem *rm)
{
    return row->form & SIMD_NDS || (row->form & SIMD_NDS_REG && rm->kind == ASM_MEM_REG);
}

static void emit_vex(Asm *a, AsmSimd op, unsigned l, unsigned reg, unsigned v, AsmMem rm, unsigned is4)
{
    const struct SimdRow *row = &simd_rows[op];

    if (row->form & SIMD_IS4)
        asm_vex_rrmr(a, op, l, reg, v, rm, is4);
    else if (has_v(row, &rm) && row->form & SIMD_IMM)
        asm_vex_rrmi(a, op, l, reg, v, rm, IMM);
    else if (has_v(row, &rm))
        asm_vex_rrm(a, op, l, reg, v, rm);
    else if (row->form & SIMD_IMM)
        asm_vex_rmi(a, op, l, reg, rm, IMM);
    else
        asm_vex_rm(a, op, l, reg, rm);
}

static void check_vex(Asm *a, AsmSimd op, unsigned l, unsigned reg, unsigned v, AsmMem rm)
{
    const struct SimdRow *row = &simd_rows[op];
    unsigned is4 = reg ^ 9;

    emit_vex(a, op, l, reg, v, rm, is4);
    bool gather = row->form & SIMD_GATHER, wide_index = l && row->operands[1] == 'x';
    char index = !gather ? 0 : wide_index ? 'y' : 'x';
    g_autofree char *r = simd_reg(row, row->form & SIMD_GROUP ? 'x' : row->operands[0], l, reg);
    g_autofree char *vt = has_v(row, &rm) ? simd_reg(row, gather ? row->operands[0] : 'x', l, v) : NULL;
    g_autofree char *m = rm.kind == ASM_MEM_REG ? simd_reg(row, row->operands[1], l, rm.base)
                                                : mem_text(&rm, asm_here(a), index);
    g_autofree char *fourth = row->form & SIMD_IS4 ? simd_reg(row, 'x', l, is4) : NULL;
    check(a, simd_text(row, true, r, vt, m, fourth ? fourth : row->form & SIMD_IMM ? "0x5a" : NULL));
}

/* Registers and memory of each kind of prefix; what the row allows. */
#define SIMD_RMS 10

static bool simd_rm(const struct SimdRow *row, unsigned i, AsmMem *rm)
{
    const AsmMem rms[SIMD_RMS] = {
        asm_reg(0), asm_reg(5), asm_reg(8), asm_reg(15), asm_mem(A_RAX, 0), asm_mem(A_R13, 0x10),
        asm_mem_index(A_RSP, A_R12, 8, 0x1000), asm_mem_address(EXEC + 0x2000),
        asm_segment(asm_mem(A_RDI, 4), ASM_GS), asm_mem_index(A_R9, A_RBP, 4, 8),
    };
    *rm = rms[i];
    if (row->form & SIMD_GATHER) { /* the index is any vector register, 4 as well */
        *rm = asm_mem_index(i & 1 ? A_R14 : A_RSI, i * 2 - (i > 7 ? 3 : 0), 1 << (i & 3), i & 2 ? 0x20 : 0);
        return true;
    }
    return !(row->form & (rm->kind == ASM_MEM_REG ? SIMD_MEM : SIMD_REG));
}

static void test_sse(void)
{
    Asm a = begin();
    AsmMem rm;

    for (unsigned op = 0; op < ASM_SIMD_OPS; op++) {
        for (unsigned i = 0; i < 16 * SIMD_RMS; i++) {
            if (simd_rows[op].form & SIMD_LEGACY && simd_rm(&simd_rows[op], i % SIMD_RMS, &rm))
                check_sse(&a, op, i / SIMD_RMS, rm);
        }
    }
    finish(42496, UINT64_C(0x9a907320a2b02e45));
}

static void check_vex_row(Asm *a, AsmSimd op, unsigned l)
{
    AsmMem rm;

    for (unsigned i = 0; i < 16 * SIMD_RMS; i++) {
        unsigned reg = i / SIMD_RMS;
        if (simd_rm(&simd_rows[op], i % SIMD_RMS, &rm))
            check_vex(a, op, l, reg, (reg * 5 + 3) & 15, rm);
    }
}

static void test_vex(void)
{
    Asm a = begin();

    for (unsigned op = 0; op < ASM_SIMD_OPS; op++) {
        unsigned form = simd_rows[op].form;
        if (form & SIMD_VEX && !(form & SIMD_ONLY256))
            check_vex_row(&a, op, 0);
        if (form & SIMD_256)
            check_vex_row(&a, op, 1);
    }
    finish(97856, UINT64_C(0x9c491ddc981af6f5));
}

/* ---- x87 ---- */

static void check_x87_mem(Asm *a, const char *name, void (*emit)(Asm *, AsmMem))
{
    const char *end = strstr(name, "_m");
    unsigned size = atoi(end + 2);
    /* Versions of capstone differ for 80 bits, and FNSTSW is wrong in one. */
    const char *word = size && size < 80 && strcmp(name, "fnstsw_m16") ? size_name(size) : NULL;

    for (unsigned i = 0; i < MEMS; i++) {
        AsmMem m = rm_at(i);
        emit(a, m);
        g_autofree char *text = mem_text(&m, asm_here(a), 0);
        check(a, g_strdup_printf("%.*s %s%s%s", (int)(end - name), name, word ? word : "", word ? " ptr " : "", text));
    }
}

static void test_x87_memory(void)
{
    static const char *const names[8] = { "fadd", "fmul", "fcom", "fcomp", "fsub", "fsubr", "fdiv", "fdivr" };
    Asm a = begin();

#define ASM_X87_MEM(name, byte, digit) check_x87_mem(&a, #name, asm_##name);
    ASM_X87_MEM_LIST(ASM_X87_MEM)
#undef ASM_X87_MEM
    for (unsigned i = 0; i < 8 * MEMS; i++) {
        AsmMem m = rm_at(i / 8);
        const char *name = names[i % 8];
        for (unsigned size = 32; size <= 64; size *= 2) {
            asm_x87_m(&a, i % 8, size, m);
            g_autofree char *text = rm_text(size, &m, asm_here(&a));
            check(&a, g_strdup_printf("%s %s", name, text));
            asm_x87_int_m(&a, i % 8, size / 2, m);
            g_autofree char *integer = rm_text(size / 2, &m, asm_here(&a));
            check(&a, g_strdup_printf("fi%s %s", name + 1, integer));
        }
    }
    finish(1980, UINT64_C(0x146260dd782d0321));
}

/* Capstone leaves out st(0) as a first operand, but in FCMOVcc. */
static void check_x87_st(Asm *a, const char *name, unsigned i)
{
    int length = strlen(name) - strlen("_st");

    check(a, g_strdup_printf("%.*s %sst(%u)", length, name, g_str_has_prefix(name, "fcmov") ? "st(0), " : "", i));
}

static void test_x87_registers(void)
{
    static const char *const names[8] = { "fadd", "fmul", "fcom", "fcomp", "fsub", "fsubr", "fdiv", "fdivr" };
    Asm a = begin();

    for (unsigned i = 0; i < 8; i++) {
#define ASM_X87_ST(name, first, second)                                                                                \
    asm_##name(&a, i);                                                                                                 \
    check_x87_st(&a, #name, i);
        ASM_X87_ST_LIST(ASM_X87_ST)
#undef ASM_X87_ST
        for (unsigned op = 0; op < 8; op++) {
            asm_x87_st0(&a, op, i);
            check(&a, g_strdup_printf("%s st(%u)", names[op], i));
            if (op == A_FCOM || op == A_FCOMP)
                continue;
            asm_x87_sti(&a, op, i);
            check(&a, g_strdup_printf("%s st(%u), st(0)", names[op], i));
            asm_x87_stip(&a, op, i);
            check(&a, g_strdup_printf("%sp st(%u)", names[op], i));
        }
    }
#define ASM_X87_PLAIN(name, n, bytes)                                                                                  \
    asm_##name(&a);                                                                                                    \
    check(&a, g_strdup(strcmp(#name, "fnstsw_ax") ? #name : "fnstsw ax"));
    ASM_X87_PLAIN_LIST(ASM_X87_PLAIN)
#undef ASM_X87_PLAIN
    finish(346, UINT64_C(0xdbcfdffd77e3abd3));
}

/* ---- branches and labels ---- */

/* RIP-relative data with an immediate after the displacement. */
static void test_label_operands(void)
{
    Asm a = begin();
    AsmLabel data = { 0 };
    const uint8_t *ends[6];

    asm_mov_rm(&a, 64, A_R9, asm_mem_label(&data));
    ends[0] = a.p;
    asm_alu_mi(&a, A_CMP, 32, asm_mem_label(&data), 5);
    ends[1] = a.p;
    asm_mov_mi(&a, 16, asm_mem_label(&data), 5);
    ends[2] = a.p;
    asm_mov_mi(&a, 64, asm_mem_label(&data), 5);
    ends[3] = a.p;
    asm_vex_rrmr(&a, S_VBLENDVPS, 1, 8, 9, asm_mem_label(&data), 10);
    ends[4] = a.p;
    asm_jmp_m(&a, asm_mem_label(&data));
    ends[5] = a.p;
    asm_align(&a, 8);
    asm_bind(&a, &data);
    asm_data(&a, "12345678", 8);
    g_assert_true(asm_ok(&a));
    static const uint8_t tails[6] = { 0, 1, 2, 4, 1, 0 };
    for (unsigned i = 0; i < 6; i++) {
        const uint8_t *field = ends[i] - tails[i] - 4;
        g_assert_true(ends[i] + (int32_t)ld32le(field) == buffer + data.at);
    }
    a = fresh();
    asm_alu_mi(&a, A_ADD, 32, asm_mem_label(&data), 0x12345678);
    AsmMem m = asm_mem_label(&data);
    g_autofree char *text = rm_text(32, &m, asm_here(&a));
    check(&a, g_strdup_printf("add %s, 0x12345678", text));
}

static void test_branch_texts(void)
{
    Asm a = begin();

    for (unsigned cond = 0; cond < 16; cond++) {
        asm_jcc_abs(&a, cond, EXEC + 0x12345678, A_RAX);
        check(&a, g_strdup_printf("j%s %#" PRIx64, cond_names[cond], EXEC + 0x12345678));
        asm_jcc8(&a, cond, &(AsmLabel){ .bound = true });
        check(&a, g_strdup_printf("j%s %#" PRIx64, cond_names[cond], EXEC));
    }
    asm_jmp_abs(&a, EXEC - 0x12345678, A_RAX);
    check(&a, g_strdup_printf("jmp %#" PRIx64, EXEC - 0x12345678));
    asm_call_abs(&a, EXEC + 0x7ffffff0, A_RAX);
    check(&a, g_strdup_printf("call %#" PRIx64, EXEC + 0x7ffffff0));
    asm_jmp8(&a, &(AsmLabel){ .bound = true });
    check(&a, g_strdup_printf("jmp %#" PRIx64, EXEC));
    finish(35, UINT64_C(0xf1b7642d1959eb65));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*test)(void);
    } tests[] = {
        { "/asm/rows", test_rows },
        { "/asm/alu", test_alu },
        { "/asm/conditions", test_conditions },
        { "/asm/extensions", test_extensions },
        { "/asm/crc32", test_crc32 },
        { "/asm/bmi", test_bmi },
        { "/asm/immediates", test_immediates },
        { "/asm/counts", test_counts },
        { "/asm/mov_immediates", test_mov_immediates },
        { "/asm/plain", test_plain },
        { "/asm/nops", test_nops },
        { "/asm/sse", test_sse },
        { "/asm/vex", test_vex },
        { "/asm/x87/memory", test_x87_memory },
        { "/asm/x87/registers", test_x87_registers },
        { "/asm/labels/operands", test_label_operands },
        { "/asm/branches", test_branch_texts },
    };
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(tests); i++)
        g_test_add_func(tests[i].path, tests[i].test);
    return g_test_run();
}
