/* Expressions of the debugger (debugger/expression/expression.h), over a small machine's registers and memory. */
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "cpu/flags.h"
#include "debugger/expression/expression.h"
#include "debugger/symbols/symbols.h"
#include "subject.h"
#include "util/endian.h"

static void free_debugger(gpointer m) { debugger_free(m); }

static Subject subject_with_debugger(void)
{
    Subject s = subject_new("max");
    subject_enter_flat32(&s);
    machine_provide(s.cpu->machine, "cpu0", s.cpu);
    debugger_of(s.cpu->machine);
    g_test_queue_destroy(free_debugger, s.cpu->machine);
    return s;
}

static Expression *parse(const Subject *s, const char *text)
{
    g_autoptr(GError) err = NULL;
    Expression *e = expression_parse(debugger_of(s->cpu->machine), s->cpu, text, &err);
    g_assert_no_error(err);
    g_assert_nonnull(e);
    return e;
}

static uint64_t value(const Subject *s, const char *text)
{
    g_autoptr(GError) err = NULL;
    uint64_t v = 0;
    Expression *e = parse(s, text);
    expression_value(e, s->cpu, &v, &err);
    g_assert_no_error(err);
    expression_free(e);
    return v;
}

static void is(const Subject *s, const char *text, uint64_t expected)
{
    uint64_t v = value(s, text);
    if (v != expected)
        g_test_message("%s", text);
    g_assert_cmphex(v, ==, expected);
}

static void prints(const Subject *s, const char *text, char format, const char *expected)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GError) err = NULL;
    Expression *e = parse(s, text);
    g_assert_true(expression_print(e, s->cpu, format, out, &err));
    g_assert_cmpstr(out->str, ==, expected);
    expression_free(e);
}

/* One line, with a text in it; in parsing or in working out. */
static void fails(const Subject *s, const char *text, const char *why)
{
    g_autoptr(GError) err = NULL;
    uint64_t v;
    Expression *e = expression_parse(debugger_of(s->cpu->machine), s->cpu, text, &err);
    bool ok = e && expression_value(e, s->cpu, &v, &err);
    if (ok)
        g_test_message("%s", text);
    g_assert_false(ok);
    g_assert_nonnull(err);
    if (!strstr(err->message, why))
        g_test_message("%s: %s", text, err->message);
    g_assert_nonnull(strstr(err->message, why));
    g_assert_null(strchr(err->message, '\n'));
    expression_free(e);
}

/* ---- numbers ---- */

static void test_numbers(void)
{
    Subject s = subject_with_debugger();
    is(&s, "10", 10);
    is(&s, "0x10", 16);
    is(&s, "0XfF", 255);
    is(&s, "0b101", 5);
    is(&s, "0o17", 15);
    is(&s, "017", 15);
    is(&s, "10h", 16);
    is(&s, "0b8000h", 0xb8000);
    is(&s, "0", 0);
    is(&s, "0x7fffUL", 0x7fff);
    is(&s, "18446744073709551615", UINT64_MAX);
    is(&s, "'A'", 65);
    is(&s, "'\\n'", 10);
    is(&s, "'\\''", '\'');
    fails(&s, "18446744073709551616", "no number");
    fails(&s, "0x", "no number");
    fails(&s, "12abc", "no number");
    fails(&s, "0b12", "no number");
    fails(&s, "08", "no number");
    fails(&s, "b8000", "(0xb8000 is the number)");
}

/* ---- operators ---- */

static void test_operators(void)
{
    Subject s = subject_with_debugger();
    is(&s, "1+2*3", 7);
    is(&s, "(1+2)*3", 9);
    is(&s, "7/2", 3);
    is(&s, "-7/2", (uint64_t)-3);
    is(&s, "-7%3", (uint64_t)-1);
    is(&s, "7-2-1", 4);
    is(&s, "1<<40", UINT64_C(1) << 40);
    is(&s, "1<<64", 0);
    is(&s, "-8>>1", (uint64_t)-4);
    is(&s, "0xffffffffffffffff>>63", 1);
    is(&s, "6&3|8^1", 11);
    is(&s, "~0", UINT64_MAX);
    is(&s, "!5+!0", 1);
    is(&s, "1<2", 1);
    is(&s, "2<=1", 0);
    is(&s, "3>=3 && 3>2", 1);
    is(&s, "1==1 != 0", 1);
    is(&s, "-1<0", 1);
    is(&s, "0 && 1/0", 0);
    is(&s, "1 || 1/0", 1);
    is(&s, "1 ? 2 : 3", 2);
    is(&s, "0 ? 1 : 0 ? 2 : 3", 3);
    is(&s, "1 ? (0x10:0) : 3", 0x10 * 0);
    is(&s, "- - 3", 3);
    is(&s, "1+-1", 0);
    is(&s, "-9223372036854775807-1", UINT64_C(1) << 63);
    is(&s, "(-9223372036854775807-1)/-1", UINT64_C(1) << 63);
    is(&s, "(-9223372036854775807-1)%-1", 0);
    fails(&s, "1/0", "division by zero");
    fails(&s, "1%(2-2)", "division by zero");
}

static void test_casts(void)
{
    Subject s = subject_with_debugger();
    is(&s, "(u8)0x1ff", 0xff);
    is(&s, "(s8)0xff", UINT64_MAX);
    is(&s, "(unsigned char)-1", 255);
    is(&s, "(unsigned short int)-1", 0xffff);
    is(&s, "(int)0xffffffff", UINT64_MAX);
    is(&s, "(u32)-1 + (u32)1", 0);
    is(&s, "(u32)0 - (u32)1", 0xffffffff);
    is(&s, "(u32)-1 + 1", 0x100000000);
    is(&s, "(u32)-1 > (s32)0", 1);
    is(&s, "(s32)-1 < (u32)0", 0);
    is(&s, "(u8)255 > (s8)-1", 1);
    is(&s, "(bool)16", 1);
    is(&s, "sizeof(u32)", 4);
    is(&s, "sizeof(unsigned long long)", 8);
    is(&s, "sizeof(char *)", 8);
    is(&s, "sizeof u16[0]", 2);
    is(&s, "(u32 *)0x1000 + 2", 0x1008);
    is(&s, "2 + (u64 *)0x1000", 0x1010);
    is(&s, "(u32 *)0x1010 - (u32 *)0x1000", 4);
    is(&s, "(u32 *)0x1010 - 1", 0x100c);
    fails(&s, "(struct nosuch *)0", "struct nosuch");
    fails(&s, "(void)1", "cast");
    fails(&s, "u32", "type has no value");
}

/* ---- registers ---- */

static void test_registers(void)
{
    Subject s = subject_with_debugger();
    s.cpu->gpr[R_AX] = 0x1122334455667788;
    s.cpu->gpr[R_SP] = 0x8000;
    s.cpu->rip = 0x1234;
    s.cpu->seg[SEG_CS].base = 0x10000;
    s.cpu->seg[SEG_SS].base = 0x20000;
    is(&s, "rax", 0x1122334455667788);
    is(&s, "$rax", 0x1122334455667788);
    is(&s, "$EAX", 0x55667788);
    is(&s, "ax+al", 0x7788 + 0x88);
    is(&s, "rip", 0x1234);
    is(&s, "$pc", 0x11234);
    is(&s, "pc", 0x11234);
    is(&s, "$sp", 0x28000);
    is(&s, "sp", 0x8000);
    is(&s, "ss:sp", 0x28000);
    is(&s, "cs:rip+1", 0x11235);
    is(&s, "cr0&1", 1);
    cpu_set_eflags(s.cpu, F_CF | F_IF, F_CF | F_IF | F_ZF);
    is(&s, "$cf", 1);
    is(&s, "$zf", 0);
    is(&s, "$if && !$zf", 1);
    fails(&s, "$nosuch", "no register or flag");
    fails(&s, "cf", "no register or symbol");
}

static void test_segments(void)
{
    Subject s = subject_with_debugger();
    s.cpu->gdtr = (TablePtr){ .base = 0x3000, .limit = 0x17 };
    st32le(s.ram + 0x3010, 0x0000ffff | 0x5678u << 16);
    st32le(s.ram + 0x3014, 0x00cf9234);
    s.cpu->seg[SEG_LDTR].attr = 0;
    is(&s, "0x10:4", 0x345678 + 4);
    is(&s, "0x13:4 == 0x34567c", 1);
    is(&s, "0:4", 4);
    fails(&s, "0x18:0", "outside its descriptor table");
    fails(&s, "0x14:0", "outside its descriptor table");
    fails(&s, "0x10000:0", "no selector");
    s.cpu->cr0 &= ~CR0_PE;
    cpu_update_mode(s.cpu);
    is(&s, "0x7c0:0x10", 0x7c10);
    is(&s, "7c0h:10h", 0x7c10);
}

/* ---- memory ---- */

static void test_memory(void)
{
    Subject s = subject_with_debugger();
    st64le(s.ram + 0x1000, 0xfedcba9876543210);
    s.cpu->gpr[R_BX] = 0x1000;
    is(&s, "u8[0x1000]", 0x10);
    is(&s, "u16[rbx]", 0x3210);
    is(&s, "u32[rbx+4]", 0xfedcba98);
    is(&s, "u64[ rbx ]", 0xfedcba9876543210);
    is(&s, "s8[0x1007]", (uint64_t)-2);
    is(&s, "s32[0x1004] < 0", 1);
    is(&s, "phys16[0x1002]", 0x7654);
    is(&s, "*(u16 *)(rbx+2)", 0x7654);
    is(&s, "*rbx", 0x76543210);
    is(&s, "((u8 *)rbx)[7]", 0xfe);
    is(&s, "&u32[0x1000]", 0x1000);
    is(&s, "u8[u8[0x1000]+0xff0]", 0x10);
    fails(&s, "*(void *)0", "void");
    fails(&s, "rbx[1", "expected ']' at the end");
    fails(&s, "&rax", "'&' needs");
    s.cpu->cr3 = 0x80000;             /* nothing is mapped there */
    s.cpu->cr0 |= CR0_PG;
    cpu_update_mode(s.cpu);
    fails(&s, "u8[0x1000]", "cannot read memory at 0x1000");
}

static void assign(const Subject *s, const char *text, uint64_t v)
{
    g_autoptr(GError) err = NULL;
    Expression *e = parse(s, text);
    g_assert_true(expression_assign(e, s->cpu, v, &err));
    g_assert_no_error(err);
    expression_free(e);
}

static void test_assignment(void)
{
    Subject s = subject_with_debugger();
    g_autoptr(GError) err = NULL;
    assign(&s, "u16[0x2000]", 0x12345);
    g_assert_cmphex(ld32le(s.ram + 0x2000), ==, 0x2345);
    assign(&s, "phys8[0x2003]", 7);
    g_assert_cmphex(ld32le(s.ram + 0x2000), ==, 0x07002345);
    assign(&s, "rcx", 99);
    g_assert_cmpuint(s.cpu->gpr[R_CX], ==, 99);
    assign(&s, "cl", 1);
    g_assert_cmpuint(s.cpu->gpr[R_CX], ==, 1);
    assign(&s, "$zf", 1);
    is(&s, "$zf", 1);
    assign(&s, "$zf", 0);
    is(&s, "$zf", 0);
    Expression *e = parse(&s, "1+1");
    g_assert_false(expression_assign(e, s.cpu, 1, &err));
    g_assert_nonnull(err);
    expression_free(e);
}

static void test_places(void)
{
    Subject s = subject_with_debugger();
    g_autoptr(GError) err = NULL;
    uint64_t la, size;
    Expression *e = parse(&s, "u32[0x100+4]");
    g_assert_true(expression_place(e, s.cpu, &la, &size, &err));
    g_assert_cmphex(la, ==, 0x104);
    g_assert_cmpuint(size, ==, 4);
    expression_free(e);
    e = parse(&s, "rax");
    g_assert_false(expression_place(e, s.cpu, &la, &size, &err));
    expression_free(e);
}

/* ---- texts ---- */

static void test_print(void)
{
    Subject s = subject_with_debugger();
    strcpy((char *)s.ram + 0x100, "hi\n");
    prints(&s, "1+2", 0, "3");
    prints(&s, "-5", 0, "-5");
    prints(&s, "(u8)200", 0, "200");
    prints(&s, "(s8)200", 0, "-56");
    prints(&s, "(s8)200", 'x', "0xc8");
    prints(&s, "(s8)200", 'u', "200");
    prints(&s, "10", 't', "1010");
    prints(&s, "8", 'o', "010");
    prints(&s, "65", 'c', "65 'A'");
    prints(&s, "0xff", 'd', "255");
    prints(&s, "(char)65", 0, "65 'A'");
    prints(&s, "1==1", 0, "1");
    prints(&s, "(bool)2", 0, "true");
    prints(&s, "(char *)0x100", 0, "0x100 \"hi\\n\"");
    prints(&s, "(u32 *)0x100", 0, "(u32 *) 0x100");
    prints(&s, "(u8 *)0x100", 's', "0x100 \"hi\\n\"");
    prints(&s, "*(double *)0x200", 0, "0");
    prints(&s, "0x20+rcx*0", 0, "0x20 = 32");
}

static void test_errors(void)
{
    Subject s = subject_with_debugger();
    fails(&s, "", "expected a number");
    fails(&s, "(1+2", "expected ')' at the end");
    fails(&s, "(1+2 xyz", "expected ')' at 'xyz'");
    fails(&s, "1 2", "unexpected at '2'");
    fails(&s, "1 +", "at the end");
    fails(&s, "1 ? 2", "expected ':'");
    fails(&s, "nosuch", "no register or symbol 'nosuch'");
    fails(&s, "'nosuch", "closing '");
    fails(&s, "'no such'", "no symbol 'no such'");
    fails(&s, "@", "expected a number");
    fails(&s, "rax.b", "only a structure");
    fails(&s, "per_cpu(rax, 0)", "__per_cpu_offset");
    g_autoptr(GString) deep = g_string_new(NULL);
    for (unsigned k = 0; k < 10000; k++)
        g_string_append_c(deep, k % 2 ? '(' : '-');
    fails(&s, deep->str, "too deeply nested");
    g_string_assign(deep, "1");
    for (unsigned k = 0; k < 5000; k++)
        g_string_append(deep, "+1");
    fails(&s, deep->str, "too long");
}

/* An argument ends where the expression does. */
static void test_prefix(void)
{
    static const struct { const char *text, *rest; uint64_t value; } cases[] = {
        { "1+2 if x", " if x", 3 }, { "0x10, 4", ", 4", 16 }, { "1 2 3", " 2 3", 1 }, { "2*(3) cpu 1", " cpu 1", 6 },
        { "4 = 5", " = 5", 4 },
    };
    Subject s = subject_with_debugger();
    for (unsigned k = 0; k < G_N_ELEMENTS(cases); k++) {
        g_autoptr(GError) err = NULL;
        const char *end;
        uint64_t v;
        Expression *e = expression_parse_prefix(debugger_of(s.cpu->machine), s.cpu, cases[k].text, &end, &err);
        g_assert_no_error(err);
        g_assert_true(expression_value(e, s.cpu, &v, &err));
        g_assert_cmpuint(v, ==, cases[k].value);
        g_assert_cmpstr(end, ==, cases[k].rest);
        expression_free(e);
    }
}

/* ---- symbols ---- */

static void test_symbols(void)
{
    Subject s = subject_with_debugger();
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "myna-expression-XXXXXX", NULL);
    g_autoptr(GError) err = NULL;
    int fd = g_mkstemp(path);
    g_assert_cmpint(fd, >=, 0);
    g_assert_true(g_file_set_contents(path, "1000 main\n2000 f.isra.0\n3000 rax\n4000 __per_cpu_offset\n10 counter\n",
                                      -1, NULL));
    g_assert_true(symbols_load(debugger_symbols(debugger_of(s.cpu->machine)), path, 0, NULL, &err));
    close(fd);
    g_unlink(path);
    st64le(s.ram + 0x4008, 0x5000);
    st64le(s.ram + 0x4000, 0x6000);
    s.cpu->gpr[R_AX] = 7;
    is(&s, "main", 0x1000);
    is(&s, "main+4", 0x1004);
    is(&s, "&main", 0x1000);
    is(&s, "f.isra.0 + 1", 0x2001);
    is(&s, "'f.isra.0'-'main'", 0x1000);
    is(&s, "rax", 7);
    is(&s, "'rax'", 0x3000);
    is(&s, "per_cpu(counter, 1)", 0x5010);
    is(&s, "this_cpu(counter)", 0x6010);
    prints(&s, "main", 0, "0x1000 <main>");
    prints(&s, "0x1002", 'a', "0x1002 <main+0x2>");
}

/* ---- anything ---- */

static void random_expression(GString *out)
{
    static const char *const tokens[] = {
        "1", "0x10", "10h", "0b1", "rax", "$pc", "$zf", "xmm0", "st0", "cs", "ss:sp", "'A'", "'x", "u8[", "u32[",
        "phys64[", "]", "(", ")", "+", "-", "*", "/", "%", "&", "|", "^", "~", "!", "<", ">", "<=", "==", "&&", "||", "<<", ">>",
        "?", ":", ".", "->", "[", "(u32 *)", "(char)", "(struct x *)", "sizeof", "sizeof(int)", "unsigned", "per_cpu(", ",",
        " ", "@", "\xff", "18446744073709551615", "-9223372036854775807", "double", "(double *)", "0x8000000000000000",
    };
    for (int n = g_test_rand_int_range(1, 16); n; n--)
        g_string_append(out, tokens[g_test_rand_int_range(0, G_N_ELEMENTS(tokens))]);
}

static void test_random(void)
{
    Subject s = subject_with_debugger();
    g_autoptr(GString) text = g_string_new(NULL), out = g_string_new(NULL);
    static const char formats[] = { 0, 'x', 'd', 'u', 'o', 't', 'c', 's', 'a' };
    unsigned good = 0;
    for (unsigned k = 0; k < 20000; k++) {
        g_autoptr(GError) err = NULL, other = NULL;
        uint64_t v;
        g_string_truncate(text, 0);
        g_string_truncate(out, 0);
        random_expression(text);
        Expression *e = expression_parse(debugger_of(s.cpu->machine), s.cpu, text->str, &err);
        g_assert_true(!e == !!err);
        if (!e)
            continue;
        good++;
        g_assert_true(expression_value(e, s.cpu, &v, &err) == !err);
        g_assert_true(expression_print(e, s.cpu, formats[k % sizeof formats], out, &other) == !other);
        expression_print_type(e, true, out, NULL);
        expression_free(e);
    }
    g_assert_cmpuint(good, >, 500);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/expression/numbers", test_numbers);
    g_test_add_func("/expression/operators", test_operators);
    g_test_add_func("/expression/casts", test_casts);
    g_test_add_func("/expression/registers", test_registers);
    g_test_add_func("/expression/segments", test_segments);
    g_test_add_func("/expression/memory", test_memory);
    g_test_add_func("/expression/assignment", test_assignment);
    g_test_add_func("/expression/places", test_places);
    g_test_add_func("/expression/print", test_print);
    g_test_add_func("/expression/errors", test_errors);
    g_test_add_func("/expression/prefix", test_prefix);
    g_test_add_func("/expression/symbols", test_symbols);
    g_test_add_func("/expression/random", test_random);
    return g_test_run();
}
