/*
 * Single step, breakpoints and the debug registers (SDM vol. 3B chapter 18).
 *
 * Traps are recorded by a handler that lets the program go on: their places, DR6, and the saved RF.
 */
#include "lib/guest.h"

enum { DR6_B0 = 1, DR6_B1 = 2, DR6_B2 = 4, DR6_BD = 1 << 13, DR6_BS = 1 << 14, DR6_BITS = 0xe00f,
    DR6_ONES = 0xffff0ff0 };
enum { L0 = 1, G0 = 2, L1 = 4, GD = 1 << 13, EXECUTE = 0, WRITE = 1, IO = 2, ACCESS = 3 };
#define CONTROL(n, kind, length) ((u32)((kind) | ((length) - 1 == 7 ? 2 : (length) - 1) << 2) << (16 + 4 * (n)))

enum { TRAPS_MAX = 24 };
static struct { word ip, dr6, flags, cx; } traps[TRAPS_MAX];
static volatile unsigned trap_count;
static bool resume_flag; /* set RF for breakpoints to be passed */
u32 watched[8] __attribute__((aligned(32)));

static void record(Frame *f)
{
    if (trap_count < TRAPS_MAX) {
        traps[trap_count].ip = f->ip;
        traps[trap_count].dr6 = dr6_read();
        traps[trap_count].flags = f->flags;
        traps[trap_count].cx = f->cx;
    }
    trap_count = trap_count + 1;
    dr6_write(DR6_ONES);
    if (resume_flag)
        f->flags |= F_RF;
    if (trap_count >= TRAPS_MAX)
        f->flags &= ~(word)F_TF;
}

static void start(void)
{
    trap_count = 0;
    dr6_write(DR6_ONES);
    handlers[DB] = record;
}

static void stop(void)
{
    dr7_write(0);
    resume_flag = false;
    handlers[DB] = NULL;
}

/* The traps were at these places, with this in DR6. */
static void check_traps(const char *name, u32 dr6, unsigned n, const word *places)
{
    bool ok = trap_count == n;
    for (unsigned k = 0; ok && k < n; k++)
        ok = traps[k].ip == places[k] && (traps[k].dr6 & DR6_BITS) == dr6;
    if (check(name, ok, "%u traps, expected %u", trap_count, n))
        return;
    for (unsigned k = 0; k < n || k < trap_count; k++)
        if (k < TRAPS_MAX)
            print("  %u: at 0x%lx, expected 0x%lx; DR6 0x%lx, expected 0x%x\n", k,
                  k < trap_count ? (unsigned long)traps[k].ip : 0, k < n ? (unsigned long)places[k] : 0,
                  (unsigned long)traps[k].dr6, dr6);
}

/* A program with labels p1, p2, ... of its own; the places that count are given as a table of their addresses. */
#define PROGRAM(name, text, ...)                                                                                       \
    asm(".text\n" #name ":\n" text "\nret\n.data\n.balign 8\n" #name "_places: " WORD_DATA #__VA_ARGS__ "\n.text");    \
    extern void name(void);                                                                                            \
    extern const word name##_places[]
#if BITS == 64
#define WORD_DATA ".quad "
#define TF_ON "pushfq; orl $0x100, (%rsp); popfq; "
#define TF_OFF "pushfq; andl $~0x100, (%rsp); popfq; "
#define SP "%rsp"
#define DI "%rdi"
#define SI "%rsi"
#define SP_NAME "rsp"
#define AX_NAME "rax"
#else
#define WORD_DATA ".long "
#define TF_ON "pushfl; orl $0x100, (%esp); popfl; "
#define TF_OFF "pushfl; andl $~0x100, (%esp); popfl; "
#define SP "%esp"
#define DI "%edi"
#define SI "%esi"
#define SP_NAME "esp"
#define AX_NAME "eax"
#endif

/* Single step: the first trap is after the instruction behind POPF, the last after the POPF that clears TF. */
PROGRAM(step_plain, TF_ON "nop; a1: inc %eax; a2: jmp a3; nop; a3: " TF_OFF "a6: nop",
        a1, a2, a3, a3 + 1, a6 - 1, a6);
PROGRAM(step_ss, "mov %ss, %eax; " TF_ON "nop; b1: mov %eax, %ss; nop; b2: nop; b3: " TF_OFF "b6: nop",
        b1, b2, b3, b3 + 1, b6 - 1, b6);
PROGRAM(step_rep, "push " DI "; push " SI "; mov $watched, %edi; mov $watched + 16, %esi; mov $3, %ecx; " TF_ON
        "nop; c1: rep movsb; c2: nop; c3: " TF_OFF "c6: pop " SI "; pop " DI,
        c1, c1, c1, c2, c3, c3 + 1, c6 - 1, c6);
PROGRAM(step_rep_none, "push " DI "; xor %ecx, %ecx; " TF_ON "nop; d1: rep stosb; d2: " TF_OFF "d6: pop " DI,
        d1, d2, d2 + 1, d6 - 1, d6);
PROGRAM(step_int, TF_ON "nop; e1: int $0x90; e2: nop; e3: " TF_OFF "e6: nop", e1, e3, e3 + 1, e6 - 1, e6);
PROGRAM(step_call, TF_ON "call f9; f2: " TF_OFF "f6: ret; f9: ret", f9, f2, f2 + 1, f6 - 1, f6);
PROGRAM(step_sti, TF_ON "nop; g1: sti; g2: cli; g3: " TF_OFF "g6: nop", g1, g2, g3, g3 + 1, g6 - 1, g6);

static void handler_nothing(Frame *f) { (void)f; }

static void step(const char *name, void (*program)(void), unsigned n, const word *places)
{
    start();
    program();
    stop();
    check_traps(name, DR6_BS, n, places);
}

static void test_step(void)
{
    group("step");
    step("instructions", step_plain, 6, step_plain_places);
    step("mov ss lets the next one pass", step_ss, 6, step_ss_places);
    step("every round of rep", step_rep, 8, step_rep_places);
    step("rep of no rounds", step_rep_none, 5, step_rep_none_places);
    handlers[0x90] = handler_nothing;
    step("int n is not stepped into, nor stopped behind", step_int, 5, step_int_places);
    handlers[0x90] = NULL;
    step("call and ret", step_call, 5, step_call_places);
    qemu_is_wrong("holds it up");
    step("sti does not hold it up", step_sti, 6, step_sti_places);
    start();
    FAULT_OF(asm volatile("pushf; orl $0x100, (%%" SP_NAME "); popf; " MARK "ud2" ::: "memory"));
    stop();
    check("a fault comes without a step", fault.vector == UD && trap_count == 1 && traps[0].ip == fault.ip &&
          (fault.flags & F_TF),
          "vector %d, %u traps, flags 0x%lx", fault.vector, trap_count, (unsigned long)fault.flags);
}

#define NOWHERE ((const word *)0)

PROGRAM(execute_twice, "nop; h1: inc %ecx; h2: nop; jmp h3; h3: nop", h1, h2);
PROGRAM(execute_ss, "mov %ss, %eax; mov %eax, %ss; i1: nop; i2: nop", i1, i2);
PROGRAM(execute_prefixed, "nop; j1: rep; j2: nop; j3: nop", j1, j2);

static void test_execute(void)
{
    group("execute");
    start();
    resume_flag = true;
    dr0_write(execute_twice_places[0]);
    dr1_write(execute_twice_places[1]);
    dr7_write(L0 | CONTROL(0, EXECUTE, 1));
    execute_twice();
    check_traps("a fault before the instruction", DR6_B0, 1, execute_twice_places);
    check("RF of the saved flags is 0", !(traps[0].flags & F_RF), "flags 0x%lx", (unsigned long)traps[0].flags);
    start();
    dr7_write(G0 | CONTROL(0, EXECUTE, 1));
    execute_twice();
    check_traps("enabled globally", DR6_B0, 1, execute_twice_places);
    start();
    dr7_write(CONTROL(0, EXECUTE, 1));
    execute_twice();
    check_traps("not enabled", 0, 0, NOWHERE);
    start();
    dr7_write(L1 | CONTROL(1, EXECUTE, 1));
    execute_twice();
    check_traps("in DR1", DR6_B1, 1, execute_twice_places + 1);
    start();
    dr7_write(L0 | L1);
    execute_twice();
    check("RF holds for one instruction only", trap_count == 2 && traps[1].ip == execute_twice_places[1],
          "%u traps", trap_count);
    start();
    dr0_write(execute_prefixed_places[1]);
    dr7_write(L0);
    execute_prefixed();
    check_traps("not within an instruction", 0, 0, NOWHERE);
    start();
    dr0_write(execute_ss_places[1]);
    dr7_write(L0);
    execute_ss();
    check_traps("behind the one that follows mov ss", DR6_B0, 1, execute_ss_places + 1);
    start();
    dr0_write(execute_ss_places[0]);
    execute_ss();
    qemu_is_wrong("does not hold it up");
    check_traps("mov ss holds it up", 0, 0, NOWHERE);
    stop();
}

PROGRAM(data_write, "movl $1, watched; k1: nop", k1);
PROGRAM(data_read, "mov watched, %eax; l1: nop", l1);
PROGRAM(data_modify, "incl watched; m1: nop", m1);
PROGRAM(data_byte3, "movb $1, watched + 3; n1: nop", n1);
PROGRAM(data_byte4, "movb $1, watched + 4; o1: nop", o1);
PROGRAM(data_across, "movl $1, watched + 2; q1: nop", q1);
PROGRAM(data_ss, "mov %ss, %eax; mov %eax, watched; r0: mov watched, %ss; nop; r1: nop", r0, r1);
PROGRAM(data_rep, "push " DI "; xor %eax, %eax; mov $watched - 4, %edi; mov $3, %ecx; s1: rep stosl; s2: pop " DI, s1,
        s2);
PROGRAM(data_push,
        "mov " SP ", " DI "; mov $watched + 8, %eax; mov %" AX_NAME ", " SP "; push %" AX_NAME "; t1: mov " DI
        ", " SP, t1);

static void data(const char *name, u32 control, void (*program)(void), unsigned n, const word *places)
{
    start();
    dr0_write((word)watched);
    dr7_write(L0 | control);
    program();
    stop();
    check_traps(name, DR6_B0, n, places);
}

static void test_data(void)
{
    group("data");
    data("write", CONTROL(0, WRITE, 4), data_write, 1, data_write_places);
    data("read is no write", CONTROL(0, WRITE, 4), data_read, 0, NOWHERE);
    data("access, by a read", CONTROL(0, ACCESS, 4), data_read, 1, data_read_places);
    data("access, by a write", CONTROL(0, ACCESS, 4), data_write, 1, data_write_places);
    data("read and write", CONTROL(0, WRITE, 4), data_modify, 1, data_modify_places);
    data("fourth byte of four", CONTROL(0, WRITE, 4), data_byte3, 1, data_byte3_places);
    data("fifth byte of four", CONTROL(0, WRITE, 4), data_byte4, 0, NOWHERE);
    data("fourth byte of two", CONTROL(0, WRITE, 2), data_byte3, 0, NOWHERE);
    data("second half of four", CONTROL(0, WRITE, 4), data_across, 1, data_across_places);
    data("a byte within four", CONTROL(0, WRITE, 1), data_write, 1, data_write_places);
#if BITS == 64
    data("fifth byte of eight", CONTROL(0, WRITE, 8), data_byte4, 1, data_byte4_places);
#endif
    start();
    dr0_write((word)watched + 3); /* the low bits do not count */
    dr7_write(L0 | CONTROL(0, WRITE, 4));
    data_write();
    check_traps("misaligned register", DR6_B0, 1, data_write_places);
    start();
    dr0_write((word)watched);
    dr7_write(L0 | CONTROL(0, ACCESS, 2));
    data_ss();
    qemu_is_wrong("reports it at once");
    check("mov ss from there is reported behind the next instruction", 
          trap_count == 2 && traps[0].ip == data_ss_places[0] &&
          traps[1].ip == data_ss_places[1] && (traps[1].dr6 & DR6_B0), "%u traps, the second at 0x%lx, expected 0x%lx",
          trap_count, (unsigned long)traps[1].ip, (unsigned long)data_ss_places[1]);
    start();
    dr7_write(L0 | CONTROL(0, WRITE, 4));
    data_rep();
    check("rep stops in the round that hits", trap_count == 1 && traps[0].ip == data_rep_places[0] && traps[0].cx == 1,
          "%u traps, ip 0x%lx, cx %lx", trap_count, (unsigned long)traps[0].ip, (unsigned long)traps[0].cx);
    start();
    dr0_write((word)watched + 8 - BITS / 8);
    dr7_write(L0 | CONTROL(0, WRITE, 4));
    asm volatile("call data_push" ::: "memory", "cc", "eax", "edi");
    stop();
    check_traps("push", DR6_B0, 1, data_push_places);
}

PROGRAM(port_out, "out %al, $0x80; u1: nop", u1);
PROGRAM(port_in, "in $0x81, %al; v1: nop", v1);

static void test_ports(void)
{
    group("ports");
    if (!cpu_has(HAS_DE)) {
        skip("all", "the processor lacks CR4.DE");
        return;
    }
    cr4_write(cr4_read() | CR4_DE);
    start();
    dr1_write(0x80);
    dr7_write(L1 | CONTROL(1, IO, 1));
    port_out();
    check_traps("out", DR6_B1, 1, port_out_places);
    start();
    port_in();
    check_traps("another port", 0, 0, NOWHERE);
    start();
    dr7_write(L1 | CONTROL(1, IO, 2));
    port_in();
    check_traps("in of the second of two", DR6_B1, 1, port_in_places);
    stop();
    cr4_write(cr4_read() & ~(word)CR4_DE);
}

static void test_registers(void)
{
    group("registers");
    dr6_write(0);
    check_equal("DR6 of zeros", dr6_read(), DR6_ONES);
    dr6_write(0xffffffff);
    check_equal("DR6 of ones", dr6_read() & ~(word)0x11800, 0xffffe7ff & ~0x11800u); /* bits 11, 16: newer features */
    dr6_write(DR6_ONES);
    dr7_write(0);
    check_equal("DR7 of zeros", dr7_read(), 0x400);
    dr7_write(0xffff0000 | 0xd000);
    qemu_is_wrong("keeps them");
    check_equal("DR7 of reserved bits", dr7_read() & ~(word)0x800, 0xffff0400);
    dr7_write(0);
    word v;
    asm volatile(".byte 0x0f, 0x21, 0xe0" : "=a"(v)); /* mov %dr4, %eax */
    check_equal("DR4 is DR6", v, DR6_ONES);
    asm volatile(".byte 0x0f, 0x21, 0xe8" : "=a"(v));
    check_equal("DR5 is DR7", v, 0x400);
    for (unsigned k = 0; k < 2; k++) {
        word pattern = k ? (word)0x5a5aa5a512345678 : 0;
        dr0_write(pattern), dr1_write(~pattern), dr2_write(pattern + 1), dr3_write(pattern + 2);
        check("DR0 to DR3 keep what they get", dr0_read() == pattern && dr1_read() == ~pattern &&
              dr2_read() == pattern + 1 && dr3_read() == pattern + 2, "DR0 0x%lx", (unsigned long)dr0_read());
    }
    if (on_qemu()) {
        skip("general detect, int1", "QEMU: lacks them");
        dr7_write(0);
        return;
    }
    EXPECT("general detect", DB, 0, 0, dr7_write(GD); asm volatile(MARK "mov %%dr0, %%" AX_NAME ::: "eax"));
    check_equal("DR6.BD", fault.dr6 & DR6_BITS, DR6_BD);
    check_equal("GD is cleared by #DB", dr7_read() & GD, 0);
    dr6_write(DR6_ONES);
    start();
    asm volatile(".byte 0xf1");
    stop();
    check("int1 leaves DR6 alone", trap_count == 1 && (traps[0].dr6 & DR6_BITS) == 0, "%u traps, DR6 0x%lx", trap_count,
          (unsigned long)traps[0].dr6);
}

void guest_main(void)
{
    test_step();
    test_execute();
    test_data();
    test_ports();
    test_registers();
}
