/*
 * 3DNow! by its definitions (AMD APM vol. 5): no processor of today has it.  Also which rows the K7 has without SSE,
 * and how the opcode behind the operands is found.
 */
#include <string.h>

#include "cpu/code.h"
#include "cpu/fault.h"
#include "tests/unit/subject.h"
#include "util/endian.h"

enum { CODE = 0x4000, DATA = 0x8000 };
#define F(x) float_bits(x)
#define LARGEST 0x7f7fffffu
#define MINUS 0x80000000u
#define DENORMAL 0x00400000u
#define TINY 0x00800000u /* the smallest normal number */

static uint32_t float_bits(float f)
{
    uint32_t v;
    memcpy(&v, &f, sizeof v);
    return v;
}

/* In 32-bit code without paging. */
static Subject subject_flat(const char *spec)
{
    Subject s = subject_new(spec);
    subject_enter_flat32(&s);
    return s;
}

/* Whether the instruction came to its end. */
static bool run(Subject *s, const void *code, unsigned length)
{
    Cpu *cpu = s->cpu;
    memcpy(s->ram + CODE, code, length);
    memset(s->ram + CODE + length, 0x90, 16);
    cpu->rip = CODE;
    code_flush(cpu->code);
    if (_setjmp(cpu->unwind)) {
        cpu->fault.raised = false;
        return false;
    }
    const Insn *i = code_lookup(cpu, CODE)->insn;
    i->fn(cpu, i);
    g_assert_true(i->jump || i->len == length);
    return !i->jump;
}

/* MM0 op MM1 in both lanes, each of which has its own operands. */
static uint64_t compute(Subject *s, uint8_t opcode, uint64_t a, uint64_t b)
{
    const uint8_t code[] = { 0x0f, 0x0f, 0xc1, opcode };
    s->cpu->fpu.reg[0].mant = a;
    s->cpu->fpu.reg[1].mant = b;
    g_assert_true(run(s, code, sizeof code));
    return s->cpu->fpu.reg[0].mant;
}

static uint64_t pair(uint32_t low, uint32_t high) { return low | (uint64_t)high << 32; }

/* The same operands in both lanes, and one result. */
static uint32_t lane(Subject *s, uint8_t opcode, uint32_t a, uint32_t b)
{
    uint64_t r = compute(s, opcode, pair(a, a), pair(b, b));
    g_assert_cmphex(r >> 32, ==, (uint32_t)r);
    return r;
}

typedef struct Row {
    uint8_t opcode;
    uint32_t a, b, want;
} Row;

static void test_lanes(void)
{
    Subject s = subject_flat("max");
    const Row rows[] = {
        { 0x9e, F(1.5f), F(2.25f), F(3.75f) },             /* PFADD */
        { 0x9e, F(1.0f), 0x33800000, F(1.0f) },            /* 1 + 2^-24: to nearest even */
        { 0x9e, F(1.0f), 0x33800001, 0x3f800001 },
        { 0x9e, LARGEST, LARGEST, LARGEST },               /* too large */
        { 0x9e, LARGEST | MINUS, LARGEST | MINUS, LARGEST | MINUS },
        { 0x9e, DENORMAL, F(1.0f), F(1.0f) },              /* a denormal is 0 */
        { 0x9e, DENORMAL, DENORMAL, 0 },
        { 0x9e, TINY | 1, TINY | MINUS, 0 },               /* so is a denormal result */
        { 0x9a, F(1.0f), F(3.0f), F(-2.0f) },              /* PFSUB */
        { 0xaa, F(1.0f), F(3.0f), F(2.0f) },               /* PFSUBR */
        { 0xb4, F(1.5f), F(-2.0f), F(-3.0f) },             /* PFMUL */
        { 0xb4, TINY, F(0.5f), 0 },
        { 0xb4, TINY | MINUS, F(0.5f), MINUS },
        { 0xb4, LARGEST, F(-2.0f), LARGEST | MINUS },
        { 0xb4, DENORMAL | MINUS, F(2.0f), MINUS },
        { 0xa4, F(1.0f), F(2.0f), F(2.0f) },               /* PFMAX */
        { 0xa4, F(-1.0f), MINUS, 0 },                      /* a zero comes out positive */
        { 0xa4, F(-2.0f), F(-1.0f), F(-1.0f) },
        { 0xa4, MINUS, MINUS, 0 },
        { 0x94, F(1.0f), F(2.0f), F(1.0f) },               /* PFMIN */
        { 0x94, F(1.0f), MINUS, 0 },
        { 0x94, F(-1.0f), 0, F(-1.0f) },
        { 0xb0, 0, MINUS, 0xffffffff },                    /* PFCMPEQ */
        { 0xb0, F(1.0f), F(2.0f), 0 },
        { 0xa0, F(2.0f), F(1.0f), 0xffffffff },            /* PFCMPGT */
        { 0xa0, F(1.0f), F(1.0f), 0 },
        { 0x90, F(1.0f), F(1.0f), 0xffffffff },            /* PFCMPGE */
        { 0x90, DENORMAL | MINUS, 0, 0xffffffff },
        { 0x90, F(-2.0f), F(-1.0f), 0 },
        { 0x0d, 0, 0x7fffffff, 0x4effffff },               /* PI2FD truncates */
        { 0x0d, 0, 0x80000001, 0xceffffff },
        { 0x0d, 0, 0x80000000, 0xcf000000 },
        { 0x0c, 0, 0x1234ffff, F(-1.0f) },                 /* PI2FW: the low word */
        { 0x1d, 0, F(-1.9f), 0xffffffff },                 /* PF2ID truncates and saturates */
        { 0x1d, 0, F(0.9f), 0 },
        { 0x1d, 0, F(3e9f), 0x7fffffff },
        { 0x1d, 0, F(-3e9f), 0x80000000 },
        { 0x1c, 0, F(-40000.0f), 0xffff8000 },             /* PF2IW */
        { 0x1c, 0, F(40000.0f), 0x7fff },
        { 0x1c, 0, F(-7.9f), 0xfffffff9 },
        { 0xb7, 0x7fff4000, 0x7fff0002, 0x3fff0001 },      /* PMULHRW */
        { 0xb7, 0x80000001, 0x80007fff, 0x40000000 },
        { 0xbf, 0xff000102, 0xff010204, 0xff010203 },      /* PAVGUSB */
        { 0x96, 0, F(4.0f), F(0.25f) },                    /* PFRCP */
        { 0x96, 0, MINUS, LARGEST | MINUS },
        { 0x96, 0, 0x7e800000, 0 },                        /* 2^126 */
        { 0x97, 0, F(16.0f), F(0.25f) },                   /* PFRSQRT */
        { 0x97, 0, F(-16.0f), F(-0.25f) },
        { 0x97, 0, 0, LARGEST },
        { 0xa6, F(0.5f), F(2.0f), F(1.0f) },               /* PFRCPIT1: 2 - a b */
        { 0xa7, F(0.25f), F(4.0f), F(1.0f) },              /* PFRSQIT1: (3 - a b) / 2 */
        { 0xb6, F(1.5f), F(2.0f), F(3.0f) },               /* PFRCPIT2: a b */
    };
    for (unsigned k = 0; k < ARRAY_SIZE(rows); k++) {
        uint32_t got = lane(&s, rows[k].opcode, rows[k].a, rows[k].b);
        if (got != rows[k].want)
            g_error("row %u, opcode %02x: %08x, not %08x", k, rows[k].opcode, got, rows[k].want);
    }
}

/* Those that mix lanes. */
static void test_across(void)
{
    Subject s = subject_flat("max");
    uint64_t a = pair(F(1.0f), F(2.0f)), b = pair(F(10.0f), F(4.0f));
    g_assert_cmphex(compute(&s, 0xae, a, b), ==, pair(F(3.0f), F(14.0f)));  /* PFACC */
    g_assert_cmphex(compute(&s, 0x8a, a, b), ==, pair(F(-1.0f), F(6.0f)));  /* PFNACC */
    g_assert_cmphex(compute(&s, 0x8e, a, b), ==, pair(F(-1.0f), F(14.0f))); /* PFPNACC */
    g_assert_cmphex(compute(&s, 0xbb, a, b), ==, pair(F(4.0f), F(10.0f)));  /* PSWAPD */
    g_assert_cmphex(compute(&s, 0x96, a, b), ==, pair(F(0.1f), F(0.1f)));   /* PFRCP: the low lane for both */
    g_assert_cmphex(compute(&s, 0x97, a, pair(F(4.0f), F(9.0f))), ==, pair(F(0.5f), F(0.5f)));
}

/* The sequences of the manual give the reciprocal and the root to within one unit in the last place. */
static void test_newton(void)
{
    Subject s = subject_flat("max");
    GRand *r = g_rand_new_with_seed(7);
    for (unsigned n = 0; n < 2000; n++) {
        uint32_t b = (g_rand_int(r) & 0x7fffff) | (uint32_t)g_rand_int_range(r, 2, 250) << 23;
        float value;
        memcpy(&value, &b, sizeof value);
        uint32_t x0 = lane(&s, 0x96, 0, b);
        uint32_t inverse = lane(&s, 0xb6, lane(&s, 0xa6, b, x0), x0);
        g_assert_cmpint(ABS((int32_t)(inverse - F((float)(1.0 / value)))), <=, 1);
        x0 = lane(&s, 0x97, 0, b);
        uint32_t step = lane(&s, 0xa7, lane(&s, 0xb4, x0, x0), b);
        uint32_t root = lane(&s, 0xb6, step, x0);
        double product = (double)value;
        float got;
        memcpy(&got, &root, sizeof got);
        g_assert_cmpfloat(ABS(product * got * got - 1), <, 4e-7);
    }
    g_rand_free(r);
}

/* The MMX state: tags, TOP, and a register's exponent. */
static void test_state(void)
{
    Subject s = subject_flat("max");
    s.cpu->fpu.tags = 0;
    s.cpu->fpu.top = 3;
    compute(&s, 0x9e, 0, 0);
    g_assert_cmphex(s.cpu->fpu.tags, ==, 0xff);
    g_assert_cmpuint(s.cpu->fpu.top, ==, 0);
    g_assert_cmphex(s.cpu->fpu.reg[0].sexp, ==, 0xffff);
    g_assert_true(run(&s, "\x0f\x0e", 2)); /* FEMMS */
    g_assert_cmphex(s.cpu->fpu.tags, ==, 0);
}

static void test_decoding(void)
{
    static const struct { const char *code; uint8_t length; } memory[] = {
        { "\x0f\x0f\x06\x9e", 4 },                         /* (%esi) */
        { "\x0f\x0f\x46\x08\x9e", 5 },                     /* 8(%esi) */
        { "\x0f\x0f\x86\x08\x00\x00\x00\x9e", 8 },
        { "\x0f\x0f\x05\x00\x80\x00\x00\x9e", 8 },
        { "\x0f\x0f\x04\x26\x9e", 5 },                     /* (%esi) by SIB */
        { "\x0f\x0f\x04\x25\x00\x80\x00\x00\x9e", 9 },     /* SIB without base */
        { "\x0f\x0f\x44\x26\x08\x9e", 6 },
        { "\x67\x0f\x0f\x04\x9e", 5 },                     /* (%si) */
        { "\x67\x0f\x0f\x06\x00\x80\x9e", 7 },             /* 16-bit displacement */
        { "\x67\x0f\x0f\x44\x08\x9e", 6 },
    };
    Subject s = subject_flat("max");
    for (unsigned k = 0; k < ARRAY_SIZE(memory); k++) {
        s.cpu->gpr[R_SI] = DATA;
        st64le(s.ram + DATA, pair(F(1.0f), F(2.0f)));
        st64le(s.ram + DATA + 8, pair(F(1.0f), F(2.0f)));
        s.cpu->fpu.reg[0].mant = pair(F(1.0f), F(1.0f));
        g_assert_true(run(&s, memory[k].code, memory[k].length));
        g_assert_cmphex(s.cpu->fpu.reg[0].mant, ==, pair(F(2.0f), F(3.0f)));
    }
    g_assert_false(run(&s, "\x0f\x0f\xc1\x54", 4)); /* no such opcode */
}

/* The K7 has SSE's integer instructions, the K6-2 none of them, and neither has SSE. */
static void test_mmxext(void)
{
    Subject k7 = subject_flat("athlon,-sse,-sse2"), k6 = subject_flat("k6-2"), p3 = subject_flat("pentium3");
    const char pavgb[] = "\x0f\xe0\xc1", addps[] = "\x0f\x58\xc1", pswapd[] = "\x0f\x0f\xc1\xbb", sfence[] = "\x0f\xae\xf8";
    g_assert_true(run(&k7, pavgb, 3));
    g_assert_true(run(&k7, sfence, 3));
    g_assert_true(run(&k7, pswapd, 4));
    g_assert_false(run(&k7, addps, 3));
    g_assert_false(run(&k6, pavgb, 3));
    g_assert_false(run(&k6, pswapd, 4));
    compute(&k6, 0x9e, 0, 0);
    g_assert_true(run(&p3, pavgb, 3));
    g_assert_false(run(&p3, pswapd, 4));
    g_assert_cmpint(p3.cpu->fault.vector, ==, EXC_UD);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/3dnow/lanes", test_lanes);
    g_test_add_func("/3dnow/across", test_across);
    g_test_add_func("/3dnow/newton", test_newton);
    g_test_add_func("/3dnow/state", test_state);
    g_test_add_func("/3dnow/decoding", test_decoding);
    g_test_add_func("/3dnow/mmxext", test_mmxext);
    return g_test_run();
}
