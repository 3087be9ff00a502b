/*
 * Hardware task switching (SDM vol. 3A chapter 7): by JMP, CALL, IRET, interrupts and exceptions, through TSSs of 32
 * and 16 bits and task gates; busy bits, NT, links, CR0.TS, the T bit, and what refuses a switch.
 */
#include "lib/guest.h"

#define SLOT(n) (FREE_SEL + 8 * (n))
enum { TASK = SLOT(0), TASK_GATE = SLOT(1), TASK_LDT = SLOT(2), OTHER = SLOT(3), TASK16 = SLOT(4) };

typedef struct Tss16 {
    u16 link, sp0, ss0, sp1, ss1, sp2, ss2, ip, flags, ax, cx, dx, bx, sp, bp, si, di, es, cs, ss, ds, ldt;
} Tss16;

static Tss task __attribute__((aligned(128)));
static Tss16 task16 __attribute__((aligned(64)));
u8 task_stack[4096] __attribute__((aligned(16)));
static u64 task_ldt[4];

/* What the other task saw. */
volatile u32 seen_flags, seen_cr0, seen_tr, seen_ax, seen_sp, seen_link, seen_runs, seen_error, seen_dr7, seen_ip;

/*
 * The other task: notes its registers and goes back by the instruction that task_back selects: 0 IRET, 1 a jump to the
 * first task.  Being entered once more it goes on behind that.
 */
asm(".text\n"
    "task_entry: mov %eax, seen_ax; mov %esp, seen_sp\n"
    "1: pushf; pop seen_flags; mov %cr0, %eax; mov %eax, seen_cr0; xor %eax, %eax; str %eax; mov %eax, seen_tr\n"
    "   mov %dr7, %eax; mov %eax, seen_dr7; incl seen_runs\n"
    "   cmpl $0, task_back; jne 2f; iret; jmp 1b\n"
    "2: ljmp $0x50, $0; jmp 1b\n"
    "task_entry_error: pop seen_error; mov tss + 32, %eax; mov %eax, seen_ip; addl $2, tss + 32; jmp 1b\n");
extern u8 task_entry[], task_entry_error[];
u32 task_back;

static u32 access_of(unsigned sel) { return *(volatile u64 *)&gdt[sel / 8] >> 40 & 0xff; }

static void task_set_up(u32 back)
{
    memset(&task, 0, sizeof task);
    task.ip = (word)task_entry;
    task.sp = (word)(task_stack + sizeof task_stack);
    task.flags = 2;
    task.ax = 0xabcdef01;
    task.cs = KERNEL_CS;
    task.ss = task.ds = task.es = task.fs = task.gs = KERNEL_DS;
    task.iomap = sizeof task;
    task_back = back;
    gdt_set(TASK, descriptor((word)&task, 103, A_TSS32, 0));
    gdt_set(TASK_GATE, gate(TASK, 0, A_TASK_GATE, 0));
    asm volatile("clts");
}

/* Back to the first task's TSS after a fault in another task. */
static void task_recover(void)
{
    gdt_set(TSS_SEL, descriptor((word)&tss, sizeof tss - 1, A_TSS32, 0));
    asm volatile("ltr %w0; clts" :: "r"(TSS_SEL));
    flags_write(2);
}

#define SWITCH(text) asm volatile(text ::: "memory", "cc")

static void check_switch(const char *name, bool nested)
{
    u32 tr = 0;
    asm volatile("str %0" : "=r"(tr));
    group(name);
    check_equal("TR within", seen_tr, TASK);
    check_equal("TR behind", tr, TSS_SEL);
    check_equal("EAX of the TSS", seen_ax, 0xabcdef01);
    check_equal("ESP of the TSS", seen_sp, (word)(task_stack + sizeof task_stack));
    check_equal("CR0.TS within", seen_cr0 & CR0_TS, CR0_TS);
    check_equal("CR0.TS behind", cr0_read() & CR0_TS, CR0_TS);
    check_equal("NT within", seen_flags & F_NT, nested ? F_NT : 0);
    check_equal("NT behind", flags_read() & F_NT, 0);
    check_equal("link", task.link & 0xffff, nested ? TSS_SEL : 0);
    check_equal("busy, first task", access_of(TSS_SEL), A_TSS32 | 2);
    check_equal("busy, other task", access_of(TASK), A_TSS32);
    check_equal("NT in its TSS", task.flags & F_NT, 0);
    check_equal("its CS was saved", task.cs, KERNEL_CS);
    asm volatile("clts");
}

static void test_switches(void)
{
    task_set_up(1);
    SWITCH("ljmp $0x80, $0");
    check_switch("jmp", false);
    SWITCH("ljmp $0x80, $0");
    check_equal("goes on where it was", seen_runs, 2);
    task_set_up(1);
    SWITCH("ljmp $0x88, $0");
    check_switch("jmp through a gate", false);
    task_set_up(0);
    SWITCH("lcall $0x80, $0");
    check_switch("call", true);
    SWITCH("lcall $0x80, $0");
    check_equal("goes on behind iret", seen_runs, 5);
    task_set_up(0);
    SWITCH("lcall $0x88, $0");
    check_switch("call through a gate", true);
    task_set_up(0);
    idt_set(0x90, TASK, 0, A_TASK_GATE, 0);
    SWITCH("int $0x90");
    check_switch("int", true);

    group("task gate");
    gdt_set(TASK_GATE, gate(TASK, 0, A_TASK_GATE & ~0x80, 0));
    EXPECT_ASM("not present", NP, TASK_GATE, 0, "ljmp $0x88, $0");
    gdt_set(TASK_GATE, gate(KERNEL_DS, 0, A_TASK_GATE, 0));
    EXPECT_ASM("to data", GP, KERNEL_DS, 0, "ljmp $0x88, $0");
    gdt_set(TASK_GATE, gate(TASK, 0, A_TASK_GATE, 0));
    EXPECT_USER_ASM("of level 0 at level 3", GP, TASK_GATE, 0, "lcall $0x88, $0");
    EXPECT_USER_ASM("TSS of level 0 at level 3", GP, TASK, 0, "lcall $0x80, $0");
    idt_reset(0x90);
}

/* Exceptions through a task gate: the error code is pushed on the new task's stack.  It passes the instruction by. */
static void test_exceptions(void)
{
    group("exception");
    task_set_up(0);
    task.ip = (word)task_entry_error;
    idt_set(GP, TASK, 0, A_TASK_GATE, 0);
    u32 place;
    asm volatile("movl $771f, %0; mov $0x400, %%eax; 771: mov %%eax, %%fs" : "=m"(place) :: "eax", "memory");
    check_equal("error code on the other stack", seen_error, 0x400);
    check_equal("ESP once it is popped", task.sp, (word)(task_stack + sizeof task_stack));
    check_equal("saved EIP", seen_ip, place);
    check_equal("NT within", seen_flags & F_NT, F_NT);
    idt_reset(GP);

    task_set_up(0);
    task.ip = (word)task_entry_error;
    idt_set(DF, TASK, 0, A_TASK_GATE, 0);
    idt_set_present(UD, false);
    idt_set_present(NP, false);
    seen_error = 1;
    asm volatile("ud2" ::: "memory");
    check_equal("double fault", seen_error, 0);
    idt_reset(DF);
    idt_reset(UD);
    idt_reset(NP);
    asm volatile("clts");
}

static void test_refused(void)
{
    group("refused");
    task_set_up(1);
    gdt_set(TASK, descriptor((word)&task, 103, A_TSS32 | 2, 0));
    EXPECT_ASM("jmp to a busy task", GP, TASK, 0, "ljmp $0x80, $0");
    EXPECT_ASM("call of a busy task", GP, TASK, 0, "lcall $0x80, $0");
    EXPECT_ASM("call of itself", GP, TSS_SEL, 0, "lcall $0x50, $0");
    gdt_set(TASK, descriptor((word)&task, 103, A_TSS32 & ~0x80, 0));
    EXPECT_ASM("not present", NP, TASK, 0, "ljmp $0x80, $0");
    gdt_set(TASK, descriptor((word)&task, 102, A_TSS32, 0));
    EXPECT_ASM("too short", TS, TASK, 0, "ljmp $0x80, $0");
    gdt_set(TASK, descriptor((word)&task, 103, A_TSS32, 0));
    tss.link = TASK;
    EXPECT_PRE("iret to a task not busy", TS, TASK, 0, "pushf; orl $0x4000, (%%esp); popf", "iret");
    flags_write(2);
    tss.link = TSS_SEL | 4;
    EXPECT_PRE("iret to a TSS in the LDT", TS, TSS_SEL | 4, 0, "pushf; orl $0x4000, (%%esp); popf", "iret");
    flags_write(2);
}

/*
 * Faults once the new task is the current one (7.3, steps 11 and 12; table 7-1).  Its stack may not be usable, so #TS,
 * #NP and #SS go through task gates too: the rescue tasks note error code and TR, and jump back to the first task.
 */
static const u8 rescued[] = { TS, NP, SS };
enum { RESCUE = 6 }; /* the first one's slot */
static Tss rescue[COUNT(rescued)] __attribute__((aligned(128)));

asm(".text\n"
    "rescue_entry: pop seen_error; xor %eax, %eax; str %eax; mov %eax, seen_tr; ljmp $0x50, $0; jmp rescue_entry\n");
extern u8 rescue_entry[];

static void rescue_set_up(void)
{
    for (unsigned k = 0; k < COUNT(rescued); k++) {
        rescue[k] = task;
        rescue[k].ip = (word)rescue_entry;
        rescue[k].sp = (word)(task_stack + 1024 + 512 * k);
        rescue[k].ss = rescue[k].ds = rescue[k].es = rescue[k].fs = rescue[k].gs = KERNEL_DS;
        rescue[k].cs = KERNEL_CS;
        rescue[k].ldt = 0;
        gdt_set(SLOT(RESCUE + k), descriptor((word)&rescue[k], 103, A_TSS32, 0));
        idt_set(rescued[k], SLOT(RESCUE + k), 0, A_TASK_GATE, 0);
    }
}

static void rescue_end(void)
{
    for (unsigned k = 0; k < COUNT(rescued); k++)
        idt_reset(rescued[k]);
    asm volatile("clts");
}

#define REFUSED_WITHIN(name, vector, sel, change)                                                                      \
    do {                                                                                                               \
        task_set_up(1);                                                                                                \
        rescue_set_up();                                                                                               \
        change;                                                                                                        \
        seen_tr = seen_error = -1;                                                                                     \
        SWITCH("ljmp $0x80, $0");                                                                                      \
        rescue_end();                                                                                                  \
        check_within(name, vector, sel);                                                                               \
    } while (0)

static void check_within(const char *name, int vector, u32 sel)
{
    unsigned n = (seen_tr - SLOT(RESCUE)) / 8;
    bool known = n < COUNT(rescued);
    check(name, known && rescued[n] == vector && seen_error == sel && (rescue[n].link & 0xffff) == TASK &&
          task.ip == (word)task_entry,
          "vector %d, error 0x%x, from task 0x%x at 0x%x, expected vector %d error 0x%x", known ? rescued[n] : -1,
          seen_error, known ? rescue[n].link : 0, task.ip, vector, sel);
}

static void test_faults_within(void)
{
    group("new task");
    if (on_qemu()) {
        skip("faults", "QEMU: reports them in the old task");
        return;
    }
    gdt_set(OTHER, descriptor(0, 0xfffff, A_DATA & ~0x80, D_FLAT));
    REFUSED_WITHIN("null SS", TS, 0, task.ss = 0);
    REFUSED_WITHIN("SS of code", TS, KERNEL_CS, task.ss = KERNEL_CS);
    REFUSED_WITHIN("SS of another level", TS, USER_DS & ~3, task.ss = USER_DS);
    REFUSED_WITHIN("SS not present", SS, OTHER, task.ss = OTHER);
    REFUSED_WITHIN("DS beyond the GDT", TS, GDT_COUNT * 8, task.ds = GDT_COUNT * 8);
    REFUSED_WITHIN("DS not present", NP, OTHER, task.ds = OTHER);
    REFUSED_WITHIN("GS of a system descriptor", TS, TSS_SEL, task.gs = TSS_SEL);
    REFUSED_WITHIN("null CS", TS, 0, task.cs = 0);
    REFUSED_WITHIN("CS of data", TS, KERNEL_DS, task.cs = KERNEL_DS);
    REFUSED_WITHIN("LDT of a data segment", TS, KERNEL_DS, task.ldt = KERNEL_DS);
    gdt_set(TASK_LDT, descriptor((word)task_ldt, sizeof task_ldt - 1, A_LDT & ~0x80, 0));
    REFUSED_WITHIN("LDT not present", TS, TASK_LDT, task.ldt = TASK_LDT);
    gdt_set(OTHER, descriptor(0, 0xfffff, A_CODE & ~0x80, D_FLAT));
    REFUSED_WITHIN("CS not present", NP, OTHER, task.cs = OTHER);
}

static void test_context(void)
{
    group("context");
    gdt_set(TASK_LDT, descriptor((word)task_ldt, sizeof task_ldt - 1, A_LDT, 0));
    task_ldt[1] = descriptor(0, 0xfffff, A_DATA, D_FLAT);
    task_set_up(1);
    task.ldt = TASK_LDT;
    task.gs = 8 | 4;
    EXPECT("a segment of the new task's LDT", NO_FAULT, 0, 0, SWITCH("ljmp $0x80, $0"));
    u32 sel = 1;
    asm volatile("sldt %0" : "=r"(sel));
    check_equal("the first task's LDT is back", sel, 0);
    check_equal("its GS was saved", task.gs, 8 | 4);

    dr7_write(0x400 | 1 << 2 | 2);
    task_set_up(1);
    SWITCH("ljmp $0x80, $0");
    check_equal("local breakpoints are off in the new task", seen_dr7 & 0xff, 2);
    dr7_write(0);

    task_set_up(1);
    task.trap = 1;
    dr6_write(0xffff0ff0);
    qemu_is_wrong("lacks it");
    EXPECT("T bit", DB, 0, ANY_IP, SWITCH("ljmp $0x80, $0"));
    if (fault.vector == DB) {
        check_equal("DR6.BT", fault.dr6 & 0xe00f, 0x8000);
        check_equal("before the first instruction", fault.ip, (word)task_entry);
        task_recover();
    }
    dr6_write(0xffff0ff0);

    /* Flags and registers of the old task come back. */
    task_set_up(1);
    u32 a = 0x11111111, b = 0x22222222, flags;
    asm volatile("stc; ljmp $0x80, $0; pushf; pop %2" : "+S"(a), "+D"(b), "=r"(flags) :: "memory", "cc");
    check("registers", a == 0x11111111 && b == 0x22222222, "0x%x 0x%x", a, b);
    qemu_is_wrong("loses the flags that it has not computed yet");
    check_equal("CF", flags & F_CF, F_CF);
    asm volatile("clts");
}

/* In a TSS of 16 bits selectors and registers have their low halves only. */
asm(".text\n"
    "task16_code: .byte 0x66, 0xea; .long task16_flat; .word 8\n" /* jmp far to 32-bit code */
    "task16_flat: mov $0x10, %ecx; mov %ecx, %ss; mov %ecx, %ds; movzwl %sp, %esp; add $task_stack, %esp\n"
    "  mov %eax, seen_ax; mov %ebp, seen_sp; pushf; pop seen_flags; incl seen_runs; iret\n");
extern u8 task16_code[];

static void test_16(void)
{
    group("16 bits");
    memset(&task16, 0, sizeof task16);
    gdt_set(OTHER, descriptor((word)task16_code, 0xfff, A_CODE, 0));
    gdt_set(SLOT(5), descriptor((word)task_stack, 0xfff, A_DATA, 0));
    task16.cs = OTHER;
    task16.ss = task16.ds = task16.es = SLOT(5);
    task16.sp = 0x800;
    task16.ax = 0x1234;
    task16.bp = 0x5678;
    task16.flags = 2;
    gdt_set(TASK16, descriptor((word)&task16, sizeof task16 - 1, A_TSS16, 0));
    u32 runs = seen_runs;
    SWITCH("lcall $0xa0, $0");
    check_equal("ran", seen_runs, runs + 1);
    check_equal("AX", seen_ax & 0xffff, 0x1234);
    check_equal("BP", seen_sp & 0xffff, 0x5678);
    check_equal("NT within", seen_flags & F_NT, F_NT);
    check_equal("link", task16.link, TSS_SEL);
    check_equal("busy bit", access_of(TASK16), A_TSS16);
    check_equal("saved flags", task16.flags & F_NT, 0);
    gdt_set(TASK16, descriptor((word)&task16, sizeof task16 - 2, A_TSS16, 0));
    EXPECT_ASM("too short", TS, TASK16, 0, "ljmp $0xa0, $0");
    asm volatile("clts");
}

void guest_main(void)
{
    test_switches();
    test_exceptions();
    test_refused();
    test_context();
    test_16();
    test_faults_within();
}
