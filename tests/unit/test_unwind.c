/*
 * debugger/unwind/: backtraces of stacks made by hand, in code of 16, 32 and 64 bits and by a kernel's own tables;
 * of damaged ones too.
 */
#include "debugger/unwind/unwind.h"

#include <string.h>
#include <unistd.h>

#include "cpu/mmu.h"
#include "debugger/commands/command.h"
#include "debugger/symbols/symbols.h"
#include "tests/unit/subject.h"
#include "util/endian.h"

enum { TABLES = 0x1000, CODE = 0x10000, STACK = 0x80000 };

typedef struct Fixture {
    Subject s;
    Machine *machine;
    Debugger *debugger;
} Fixture;

static Fixture fixture_new(void)
{
    Fixture f = { .s = subject_new("max") };
    f.machine = f.s.cpu->machine;
    machine_provide(f.machine, "cpu0", f.s.cpu);
    f.debugger = debugger_of(f.machine);
    g_test_queue_destroy((GDestroyNotify)debugger_free, f.machine);
    memset(f.s.ram + CODE, 0x90, 0x10000);
    return f;
}

static void set_registers(Fixture *f, uint64_t ip, uint64_t sp, uint64_t bp)
{
    f->s.cpu->rip = ip;
    f->s.cpu->gpr[R_SP] = sp;
    f->s.cpu->gpr[R_BP] = bp;
}

/* A call that returns to that place of the RAM. */
static void put_call(Fixture *f, uint64_t returns_to) { f->s.ram[returns_to - 5] = 0xe8; }

static void put64(Fixture *f, uint64_t at, uint64_t v) { st64le(f->s.ram + at, v); }

static const Frame *frame_at(const Backtrace *b, unsigned n)
{
    g_assert_cmpuint(n, <, b->frames->len);
    return &g_array_index(b->frames, Frame, n);
}

static void check_frame(const Backtrace *b, unsigned n, FrameKind kind, uint64_t pc, uint64_t sp)
{
    const Frame *f = frame_at(b, n);
    g_assert_cmphex(f->pc, ==, pc);
    g_assert_cmphex(f->reg[DWARF_RSP], ==, sp);
    g_assert_cmpuint(f->kind, ==, kind);
}

static Backtrace *trace(Fixture *f) { return unwind(f->debugger, f->s.cpu, 100); }

static char *command(Fixture *f, const char *line)
{
    GString *out = g_string_new(NULL);
    command_execute(f->machine, NULL, line, out);
    return g_string_free(out, FALSE);
}

/* ---- frame pointers ---- */

static void enter_real_mode(Fixture *f)
{
    Cpu *cpu = f->s.cpu;
    cpu->seg[SEG_CS].sel = CODE >> 4;
    cpu->seg[SEG_CS].base = CODE;
    cpu->seg[SEG_SS].sel = STACK >> 4;
    cpu->seg[SEG_SS].base = STACK;
    cpu_update_mode(cpu);
}

static void put16s(Fixture *f, uint64_t at, const uint16_t *v, unsigned count)
{
    for (unsigned k = 0; k < count; k++)
        st16le(f->s.ram + at + 2 * k, v[k]);
}

/* A near call, a far one out of another segment, and INT; the stack has a base. */
static void test_16(void)
{
    Fixture f = fixture_new();
    enter_real_mode(&f);
    set_registers(&f, 0x100, 0x700, 0x710);
    put16s(&f, STACK + 0x710, (const uint16_t []){ 0x720, 0x203 }, 2);
    put16s(&f, STACK + 0x720, (const uint16_t []){ 0x730, 0x005, 0x1800 }, 3);
    put16s(&f, STACK + 0x730, (const uint16_t []){ 0x000, 0x042, 0x1800, 0x202 }, 4);
    f.s.ram[CODE + 0x200] = 0xe8;                                   /* call near */
    f.s.ram[0x18000] = 0x9a;                                        /* call far */
    f.s.ram[0x18040] = 0xcd, f.s.ram[0x18041] = 0x10;               /* int 10h */
    g_autoptr(Backtrace) b = trace(&f);
    check_frame(b, 0, FRAME_INNERMOST, CODE + 0x100, 0x700);
    check_frame(b, 1, FRAME_POINTER, CODE + 0x203, 0x714);
    check_frame(b, 2, FRAME_POINTER, 0x18005, 0x726);
    check_frame(b, 3, FRAME_POINTER, 0x18042, 0x734);
    g_assert_cmphex(frame_at(b, 2)->cs, ==, 0x1800);
    g_assert_cmpuint(b->frames->len, ==, 4);
    g_assert_null(b->why);
    g_autofree char *text = command(&f, "bt");
    g_assert_nonnull(strstr(text, "#2  0x18005 (1800:0005)"));
}

static void put32s(Fixture *f, uint64_t at, uint32_t a, uint32_t b)
{
    st32le(f->s.ram + at, a);
    st32le(f->s.ram + at + 4, b);
}

/* Two frames, the stack's segment with a base; then the innermost one at each place of its prologue and end. */
static void test_32(void)
{
    Fixture f = fixture_new();
    static const struct { const char *code; unsigned size; uint32_t sp, bp; } places[] = {
        { "\x90", 1, 0x6f0, 0x700 },                    /* in the body */
        { "\x55\x89\xe5", 3, 0x704, 0x710 },            /* before push ebp */
        { "\xf3\x0f\x1e\xfb\x55", 5, 0x704, 0x710 },    /* and before endbr32 */
        { "\x89\xe5", 2, 0x700, 0x710 },                /* before mov ebp, esp */
        { "\xc3", 1, 0x704, 0x710 },                    /* before ret */
    };
    subject_enter_flat32(&f.s);
    f.s.cpu->seg[SEG_SS].base = STACK;
    cpu_update_mode(f.s.cpu);
    put32s(&f, STACK + 0x700, 0x710, CODE + 0x205);
    put32s(&f, STACK + 0x710, 0, CODE + 0x305);
    put_call(&f, CODE + 0x205);
    put_call(&f, CODE + 0x305);
    for (unsigned k = 0; k < G_N_ELEMENTS(places); k++) {
        memcpy(f.s.ram + CODE + 0x100, places[k].code, places[k].size);
        set_registers(&f, CODE + 0x100, places[k].sp, places[k].bp);
        g_autoptr(Backtrace) b = trace(&f);
        check_frame(b, 1, FRAME_POINTER, CODE + 0x205, 0x708);
        check_frame(b, 2, FRAME_POINTER, CODE + 0x305, 0x718);
        g_assert_cmphex(frame_at(b, 1)->reg[DWARF_RBP], ==, 0x710);
        g_assert_cmpuint(b->frames->len, ==, 3);
        g_assert_null(b->why);
    }
}

/* Identity for 2 MiB: nothing else is mapped. */
static void enter_long_mode(Fixture *f)
{
    Cpu *cpu = f->s.cpu;
    subject_enter_flat32(&f->s);
    cpu->seg[SEG_CS].attr = (cpu->seg[SEG_CS].attr & ~SA_DB) | SA_L;
    put64(f, TABLES, (TABLES + 0x1000) | 3);
    put64(f, TABLES + 0x1000, (TABLES + 0x2000) | 3);
    put64(f, TABLES + 0x2000, 0x83);
    cpu->cr0 |= CR0_PG;
    cpu->cr4 = CR4_PAE;
    cpu->cr3 = TABLES;
    cpu->efer = EFER_LME | EFER_LMA;
    cpu_update_mode(cpu);
}

static void put_frame64(Fixture *f, uint64_t at, uint64_t bp, uint64_t returns_to)
{
    put64(f, at, bp);
    put64(f, at + 8, returns_to);
    put_call(f, returns_to);
}

static void test_64(void)
{
    Fixture f = fixture_new();
    enter_long_mode(&f);
    set_registers(&f, CODE + 0x100, STACK, STACK + 0x10);
    put_frame64(&f, STACK + 0x10, STACK + 0x40, CODE + 0x210);
    put_frame64(&f, STACK + 0x40, 0, CODE + 0x310);
    g_autoptr(Backtrace) b = trace(&f);
    check_frame(b, 1, FRAME_POINTER, CODE + 0x210, STACK + 0x20);
    check_frame(b, 2, FRAME_POINTER, CODE + 0x310, STACK + 0x50);
    g_assert_cmpuint(b->frames->len, ==, 3);
    g_assert_null(b->why);
    g_autoptr(Backtrace) two = unwind(f.debugger, f.s.cpu, 2);
    g_assert_cmpuint(two->frames->len, ==, 2);
}

/* ---- damaged stacks ---- */

/* A frame pointer that points to itself. */
static void test_circle(void)
{
    Fixture f = fixture_new();
    enter_long_mode(&f);
    set_registers(&f, CODE + 0x100, STACK, STACK + 0x10);
    put_frame64(&f, STACK + 0x10, STACK + 0x10, CODE + 0x210);
    g_autoptr(Backtrace) b = trace(&f);
    check_frame(b, 1, FRAME_POINTER, CODE + 0x210, STACK + 0x20);
    g_assert_cmpuint(b->frames->len, ==, 2);
    g_assert_nonnull(b->why);
}

static void test_unreadable(void)
{
    Fixture f = fixture_new();
    enter_long_mode(&f);
    set_registers(&f, CODE + 0x100, STACK, STACK + 0x10);
    put_frame64(&f, STACK + 0x10, 0x400000, CODE + 0x210);
    g_autoptr(Backtrace) b = trace(&f);
    g_assert_cmpuint(b->frames->len, ==, 2);
    g_assert_cmpstr(b->why, ==, "cannot read the stack at 0x400000");
    set_registers(&f, CODE + 0x100, 0x400000, 0);
    g_autoptr(Backtrace) none = trace(&f);
    g_assert_cmpuint(none->frames->len, ==, 1);
    g_assert_cmpstr(none->why, ==, "cannot read the stack at 0x400000");
    set_registers(&f, UINT64_C(0x8000000000000000), UINT64_MAX - 3, UINT64_MAX); /* not even canonical */
    g_autoptr(Backtrace) nowhere = trace(&f);
    g_assert_cmpuint(nowhere->frames->len, ==, 1);
}

/* Without frame pointers what lies behind calls is shown, as a guess; what else there is is not. */
static void test_guess(void)
{
    Fixture f = fixture_new();
    enter_long_mode(&f);
    set_registers(&f, CODE + 0x100, STACK, 0x1234);
    put64(&f, STACK + 0x08, CODE + 0x400);          /* no call there */
    put64(&f, STACK + 0x10, CODE + 0x210);
    put64(&f, STACK + 0x28, CODE + 0x303);
    put_call(&f, CODE + 0x210);
    memcpy(f.s.ram + CODE + 0x300, "\xff\x50\x08", 3); /* call [rax+8] */
    g_autoptr(Backtrace) b = trace(&f);
    check_frame(b, 1, FRAME_GUESS, CODE + 0x210, STACK + 0x18);
    check_frame(b, 2, FRAME_GUESS, CODE + 0x303, STACK + 0x30);
    g_assert_cmpuint(b->frames->len, ==, 3);
    g_assert_nonnull(b->why);
    g_autofree char *text = command(&f, "bt");
    g_assert_nonnull(strstr(text, "#2  0x0000000000010303 ?\n"));
}

/* Any stack: a trace ends, and stays within its bound. */
static void test_random(void)
{
    Fixture f = fixture_new();
    GRand *random = g_rand_new_with_seed(1);
    enter_long_mode(&f);
    for (unsigned k = 0; k < 0x10000; k++)
        f.s.ram[CODE + k] = g_rand_int_range(random, 0, 4) ? 0xe8 : g_rand_int(random);
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned k = 0; k < 0x400; k++) {
            uint32_t r = g_rand_int(random);
            put64(&f, STACK + 8 * k, r % 4 == 0 ? r : r % 4 == 1 ? CODE + r / 4 % 0x10000 : STACK + r / 4 % 0x2000);
        }
        set_registers(&f, CODE + g_rand_int_range(random, 0, 0x10000), STACK + 8 * g_rand_int_range(random, 0, 64),
                      STACK + 8 * g_rand_int_range(random, 0, 0x400));
        g_autoptr(Backtrace) b = trace(&f);
        g_assert_cmpuint(b->frames->len, <=, 100);
    }
    g_rand_free(random);
}

/* ---- Linux's tables ---- */

enum { ORC_IPS = 0x40000, ORC_ENTRIES = 0x41000, BANNER = 0x42000, SP = 5, BP = 4, PREV_SP = 1, SP_INDIRECT = 9 };
enum { FUNCTION = CODE + 0x1000, CALLER = CODE + 0x2000, ENTRY = CODE + 0x3000, START = CODE + 0x4000,
       CODE_END = CODE + 0x5000 };

typedef struct OrcRow {
    uint64_t ip;
    int16_t sp_offset, bp_offset;
    unsigned sp_reg, bp_reg, type;
} OrcRow;

static void put_orc(Fixture *f, const OrcRow *rows, unsigned count)
{
    for (unsigned k = 0; k < count; k++) {
        uint8_t *e = f->s.ram + ORC_ENTRIES + 6 * k;
        st32le(f->s.ram + ORC_IPS + 4 * k, rows[k].ip - (ORC_IPS + 4 * k));
        st16le(e, rows[k].sp_offset);
        st16le(e + 2, rows[k].bp_offset);
        e[4] = rows[k].sp_reg | rows[k].bp_reg << 4;
        e[5] = rows[k].type;
    }
}

static void load_orc_symbols(Fixture *f, unsigned count)
{
    g_autofree char *text = g_strdup_printf("%016x R __start_orc_unwind_ip\n%016x R __stop_orc_unwind_ip\n"
                                            "%016x R __start_orc_unwind\n%016x D linux_banner\n%016x T inner_fn\n"
                                            "%016x T caller_fn\n%016x T entry_fn\n%016x T start_fn\n",
                                            ORC_IPS, ORC_IPS + 4 * count, ORC_ENTRIES, BANNER, FUNCTION, CALLER, ENTRY,
                                            START);
    g_autoptr(GError) err = NULL;
    g_autofree char *path = NULL;
    unsigned loaded;
    close(g_file_open_tmp("test-unwind-XXXXXX", &path, NULL));
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_true(symbols_load(debugger_symbols(f->debugger), path, 0, &loaded, &err));
    g_assert_no_error(err);
    unlink(path);
}

/*
 * A function without a frame pointer, its caller with one, an interrupt's entry that pushed all registers, and the
 * code that it interrupted: of the kernel, on a stack of its own.
 */
static void put_kernel_stack(Fixture *f)
{
    uint64_t regs = STACK + 0x60, other = STACK - 0x1000;
    enter_long_mode(f);
    set_registers(f, FUNCTION + 0x10, STACK, STACK + 0x20);
    put64(f, STACK + 0x08, CALLER + 0x20);
    put64(f, STACK + 0x20, 0x5555);          /* the caller's rbp */
    put64(f, STACK + 0x28, ENTRY + 0x30);
    for (unsigned k = 0; k < 15; k++)        /* r15 to rdi */
        put64(f, regs + 8 * k, 0x100 + k);
    put64(f, regs + 16 * 8, START + 0x40);   /* rip, cs, rflags, rsp, ss */
    put64(f, regs + 17 * 8, 0x10);
    put64(f, regs + 18 * 8, 0x202);
    put64(f, regs + 19 * 8, other);
    put64(f, regs + 20 * 8, 0x18);
}

static void check_kernel_trace(Fixture *f)
{
    g_autoptr(Backtrace) b = trace(f);
    check_frame(b, 1, FRAME_ORC, CALLER + 0x20, STACK + 0x10);
    check_frame(b, 2, FRAME_ORC, ENTRY + 0x30, STACK + 0x30);
    check_frame(b, 3, FRAME_ORC, START + 0x40, STACK - 0x1000);
    g_assert_cmphex(frame_at(b, 2)->reg[DWARF_RBP], ==, 0x5555);
    g_assert_cmphex(frame_at(b, 3)->reg[DWARF_RBP], ==, 0x104);
    g_assert_cmphex(frame_at(b, 3)->reg[15], ==, 0x100);
    g_assert_cmphex(frame_at(b, 3)->reg[DWARF_RDI], ==, 0x10e);
    g_assert_true(frame_at(b, 3)->exact);
    g_assert_cmpuint(b->frames->len, ==, 4);
    g_assert_null(b->why);
}

/* Linux 6.1: types CALL 0, REGS 1, and a bit for the end. */
static void test_orc_6_1(void)
{
    static const OrcRow rows[] = {
        { FUNCTION, 16, 0, SP, 0, 0 }, { CALLER, 16, -16, BP, PREV_SP, 0 }, { ENTRY, 0x30, 0, SP, 0, 1 },
        { START, 0, 0, 0, 0, 4 }, { CODE_END, 0, 0, 0, 0, 0 },
    };
    Fixture f = fixture_new();
    put_kernel_stack(&f);
    strcpy((char *)f.s.ram + BANNER, "Linux version 6.1.0-50");
    put_orc(&f, rows, G_N_ELEMENTS(rows));
    load_orc_symbols(&f, G_N_ELEMENTS(rows));
    check_kernel_trace(&f);
    g_autofree char *text = command(&f, "bt");
    g_assert_nonnull(strstr(text, " in entry_fn+0x30\n"));
    g_assert_nonnull(strstr(text, " in start_fn+0x40 [interrupted]\n"));
}

/* Linux 6.4: all in the type, END 1, CALL 2, REGS 3. */
static void test_orc_6_4(void)
{
    static const OrcRow rows[] = {
        { FUNCTION, 16, 0, SP, 0, 2 }, { CALLER, 16, -16, BP, PREV_SP, 2 }, { ENTRY, 0x30, 0, SP, 0, 3 },
        { START, 0, 0, 0, 0, 1 }, { CODE_END, 0, 0, 0, 0, 0 },
    };
    Fixture f = fixture_new();
    put_kernel_stack(&f);
    strcpy((char *)f.s.ram + BANNER, "Linux version 6.12.3");
    put_orc(&f, rows, G_N_ELEMENTS(rows));
    load_orc_symbols(&f, G_N_ELEMENTS(rows));
    check_kernel_trace(&f);
}

/* What the processor alone pushed, out of user mode; behind an interrupt's stack, which points to the one before. */
static void test_orc_user(void)
{
    static const OrcRow rows[] = {
        { FUNCTION, 8, 0, SP_INDIRECT, 0, 0 }, { ENTRY, 8, 0, SP, 0, 2 }, { CODE_END, 0, 0, 0, 0, 0 },
    };
    Fixture f = fixture_new();
    put_kernel_stack(&f);
    put64(&f, STACK, STACK + 0x300);
    put64(&f, STACK + 0x300, ENTRY + 0x30);
    put64(&f, STACK + 0x310, 0x401234);
    put64(&f, STACK + 0x318, 0x33);
    put64(&f, STACK + 0x328, 0x7ffc0000);
    put_orc(&f, rows, G_N_ELEMENTS(rows));
    load_orc_symbols(&f, G_N_ELEMENTS(rows));
    g_autoptr(Backtrace) b = trace(&f);
    check_frame(b, 1, FRAME_ORC, ENTRY + 0x30, STACK + 0x308);
    check_frame(b, 2, FRAME_ORC, 0x401234, 0x7ffc0000);
    g_assert_true(frame_at(b, 2)->user);
    g_assert_cmpuint(b->frames->len, ==, 3);
    g_assert_null(b->why);
}

/* Tables of any content. */
static void test_orc_damaged(void)
{
    Fixture f = fixture_new();
    GRand *random = g_rand_new_with_seed(1);
    put_kernel_stack(&f);
    load_orc_symbols(&f, 64);
    for (unsigned round = 0; round < 500; round++) {
        OrcRow rows[64];
        for (unsigned k = 0; k < G_N_ELEMENTS(rows); k++)
            rows[k] = (OrcRow){ CODE + 0x400 * k + g_rand_int_range(random, 0, round % 2 ? 0x400 : 0x8000),
                                g_rand_int_range(random, -0x100, 0x100) & ~7,
                                g_rand_int_range(random, -0x40, 0x40) & ~7,
                                g_rand_int(random) & 15, g_rand_int(random) & 15, g_rand_int(random) & 7 };
        put_orc(&f, rows, G_N_ELEMENTS(rows));
        g_autoptr(Backtrace) b = trace(&f);
        g_assert_cmpuint(b->frames->len, <=, 100);
    }
    g_rand_free(random);
}

/* ---- choosing ---- */

static void check_command(Fixture *f, const char *line, const char *begins)
{
    g_autofree char *text = command(f, line);
    if (!g_str_has_prefix(text, begins))
        g_error("'%s' says: %s", line, text);
}

static void test_choice(void)
{
    Fixture f = fixture_new();
    unsigned number;
    enter_long_mode(&f);
    set_registers(&f, CODE + 0x100, STACK, STACK + 0x10);
    put_frame64(&f, STACK + 0x10, STACK + 0x40, CODE + 0x210);
    put_frame64(&f, STACK + 0x40, 0, CODE + 0x310);
    check_command(&f, "frame", "#0  0x0000000000010100");
    check_command(&f, "up", "#1  0x0000000000010210");
    check_command(&f, "up", "#2  0x0000000000010310");
    check_command(&f, "up", "there are frames 0 to 2 only");
    check_command(&f, "frame", "#2  0x0000000000010310");
    check_command(&f, "down 2", "#0  0x0000000000010100");
    check_command(&f, "down", "frame 0 is the innermost");
    check_command(&f, "frame 1", "#1  0x0000000000010210");
    check_command(&f, "frame 18446744073709551615", "there are frames 0 to 2 only");
    Frame frame = frame_chosen(f.debugger, &number);
    g_assert_cmpuint(number, ==, 1);
    g_assert_cmphex(frame.reg[DWARF_RBP], ==, STACK + 0x40);
    set_registers(&f, CODE + 0x101, STACK, STACK + 0x10); /* the CPU has run */
    frame = frame_chosen(f.debugger, &number);
    g_assert_cmpuint(number, ==, 0);
    g_assert_cmphex(frame.pc, ==, CODE + 0x101);
}

static void test_registers(void)
{
    Fixture f = fixture_new();
    uint64_t v;
    subject_enter_flat32(&f.s);
    for (unsigned k = 0; k < 8; k++)
        f.s.cpu->gpr[k] = 0x100 + k;
    f.s.cpu->rip = CODE;
    Frame frame = frame_innermost(f.s.cpu);
    for (unsigned k = 0; k < 8; k++) { /* i386's numbers are the processor's */
        g_assert_true(frame_register(&frame, k, &v));
        g_assert_cmphex(v, ==, 0x100 + k);
    }
    g_assert_true(frame_register(&frame, 8, &v));
    g_assert_cmphex(v, ==, CODE);
    g_assert_false(frame_register(&frame, 9, &v));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/unwind/16", test_16);
    g_test_add_func("/unwind/32", test_32);
    g_test_add_func("/unwind/64", test_64);
    g_test_add_func("/unwind/circle", test_circle);
    g_test_add_func("/unwind/unreadable", test_unreadable);
    g_test_add_func("/unwind/guess", test_guess);
    g_test_add_func("/unwind/random", test_random);
    g_test_add_func("/unwind/orc_6_1", test_orc_6_1);
    g_test_add_func("/unwind/orc_6_4", test_orc_6_4);
    g_test_add_func("/unwind/orc_user", test_orc_user);
    g_test_add_func("/unwind/orc_damaged", test_orc_damaged);
    g_test_add_func("/unwind/choice", test_choice);
    g_test_add_func("/unwind/registers", test_registers);
    return g_test_run();
}
