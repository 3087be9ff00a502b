/*
 * Segmentation in 32-bit protected mode: limits and types, conforming code, call gates, far returns, and the
 * instructions that look at descriptors (SDM vol. 3A chapter 5).
 *
 * QEMU's TCG does not check limits and types of data accesses.
 */
#include "lib/guest.h"

/* Slots of the GDT and LDT that tests use: the selector of the n-th. */
#define SLOT(n) (FREE_SEL + 8 * (n))
#define NO_LIMITS "does not check limits and types"

static u8 buffer[0x20000] __attribute__((aligned(4096)));
u32 seen[8], seen_cs, seen_sp;
u16 seen_fs, seen_gs;
static u64 ldt[16] __attribute__((aligned(16)));

/* Accesses at an offset of a segment that FS holds. */
#define ACCESS(name, vector, sel, at, text)                                                                            \
    (FAULT_OF(asm volatile("mov %0, %%fs; " MARK text :: "r"(sel), "d"(at) : "eax", "memory", "cc")),                  \
     check_fault(name, vector, 0, 0))
#define REFUSED(name, sel, at, text) (qemu_is_wrong(NO_LIMITS), ACCESS(name, GP, sel, at, text))
#define ALLOWED(name, sel, at, text) ACCESS(name, NO_FAULT, sel, at, text)

static void test_limits(void)
{
    const word at = (word)buffer + 0x1000;
    group("limit");
    gdt_set(SLOT(0), descriptor(at, 15, A_DATA, D_32));
    ALLOWED("last dword", SLOT(0), 12, "mov %%fs:(%%edx), %%eax");
    REFUSED("dword one further", SLOT(0), 13, "mov %%fs:(%%edx), %%eax");
    ALLOWED("last byte", SLOT(0), 15, "mov %%fs:(%%edx), %%al");
    REFUSED("byte behind", SLOT(0), 16, "mov %%fs:(%%edx), %%al");
    REFUSED("word at the last byte", SLOT(0), 15, "mov %%ax, %%fs:(%%edx)");
    REFUSED("dword around 0", SLOT(0), -2, "mov %%fs:(%%edx), %%eax");
    REFUSED("far beyond", SLOT(0), 0x80000000, "incl %%fs:(%%edx)");
    qemu_is_wrong(NO_LIMITS);
    FAULT_OF(asm volatile("mov %0, %%fs; mov $14, %%esi; mov $seen, %%edi; mov $9, %%ecx;" MARK "rep fs movsb"
                          :: "r"(SLOT(0)) : "ecx", "esi", "edi", "memory"));
    if (check_fault("rep movsb across the limit", GP, 0, 0))
        check_equal("stops there", fault.frame.cx, 7);
    gdt_set(SLOT(0), descriptor(at, 0, A_DATA, D_G | D_32));
    ALLOWED("one page", SLOT(0), 0xffc, "mov %%fs:(%%edx), %%eax");
    REFUSED("behind one page", SLOT(0), 0x1000, "mov %%fs:(%%edx), %%al");

    group("expand-down");
    gdt_set(SLOT(1), descriptor(at, 15, A_DOWN, D_32));
    ALLOWED("first byte", SLOT(1), 16, "mov %%fs:(%%edx), %%al");
    REFUSED("below", SLOT(1), 15, "mov %%fs:(%%edx), %%al");
    REFUSED("dword from below", SLOT(1), 14, "mov %%fs:(%%edx), %%eax");
    ALLOWED("above 64 KiB with B = 1", SLOT(1), 0x10000, "mov %%fs:(%%edx), %%al");
    gdt_set(SLOT(1), descriptor(at, 15, A_DOWN, 0));
    ALLOWED("last word with B = 0", SLOT(1), 0xfffe, "mov %%fs:(%%edx), %%ax");
    REFUSED("dword at the end with B = 0", SLOT(1), 0xfffe, "mov %%fs:(%%edx), %%eax");
    REFUSED("above 64 KiB with B = 0", SLOT(1), 0x10000, "mov %%fs:(%%edx), %%al");

    group("type");
    gdt_set(SLOT(2), descriptor(at, 0xffff, A_RO, D_32));
    ALLOWED("read read-only data", SLOT(2), 0, "mov %%fs:(%%edx), %%eax");
    REFUSED("write read-only data", SLOT(2), 0, "mov %%eax, %%fs:(%%edx)");
    REFUSED("add to read-only data", SLOT(2), 0, "add %%eax, %%fs:(%%edx)");
    gdt_set(SLOT(2), descriptor(at, 0xffff, A_CODE, D_32));
    ALLOWED("read code", SLOT(2), 0, "mov %%fs:(%%edx), %%eax");
    REFUSED("write code", SLOT(2), 0, "mov %%eax, %%fs:(%%edx)");
    gdt_set(SLOT(2), descriptor(at, 0xffff, A_XO, D_32));
    EXPECT_PRE("load execute-only code", GP, SLOT(2), 0, "mov $0x90, %%eax", "mov %%eax, %%fs");

    group("accessed");
    gdt_set(SLOT(3), descriptor(at, 0xffff, A_DATA, D_32));
    asm volatile("mov %0, %%gs" :: "r"(SLOT(3)) : "memory");
    check_equal("set when loaded", *(volatile u64 *)&gdt[SLOT(3) / 8] >> 40 & 0xff, A_DATA | 1);
    asm volatile("mov %0, %%gs" :: "r"(KERNEL_DS) : "memory");
}

/* At level 3, SS is what is wrong. */
static void test_stack_limits(void)
{
    group("stack");
    gdt_set(SLOT(4), descriptor((word)buffer, 0xfff, A_DATA | A_DPL3, D_32));
    qemu_is_wrong(NO_LIMITS);
    EXPECT_USER_PRE("read beyond the limit", SS, 0, 0, "mov $0xa3, %%eax; mov %%eax, %%ss", "mov %%ss:0x1000, %%al");
    qemu_is_wrong(NO_LIMITS);
    EXPECT_USER_PRE("read through esp", SS, 0, 0, "mov $0xa3, %%eax; mov %%eax, %%ss; xor %%esp, %%esp",
                    "mov 0x1000(%%esp), %%al");
    qemu_is_wrong(NO_LIMITS);
    EXPECT_USER_PRE("push beyond the limit", SS, 0, 0, "mov $0xa3, %%eax; mov %%eax, %%ss; mov $0x2000, %%esp",
                    "push %%eax");
    qemu_is_wrong(NO_LIMITS);
    EXPECT_USER_PRE("push below 0", SS, 0, 0, "mov $0xa3, %%eax; mov %%eax, %%ss; mov $2, %%esp", "push %%eax");
    qemu_is_wrong(NO_LIMITS);
    EXPECT_USER_PRE("pop at the end", SS, 0, 0, "mov $0xa3, %%eax; mov %%eax, %%ss; mov $0xffe, %%esp", "pop %%eax");
    qemu_is_wrong(NO_LIMITS);
    EXPECT_USER_PRE("call", SS, 0, 0, "mov $0xa3, %%eax; mov %%eax, %%ss; mov $0x2000, %%esp", "call 1f; 1:");
    gdt_set(SLOT(4), descriptor((word)buffer, 0xffff, A_DATA | A_DPL3, 0));
    USER_FAULT_OF(asm volatile("mov $0xa3, %%eax; mov %%eax, %%ss; mov $0x12340000, %%esp; push $0x77;" MARK "int $0x90"
                               ::: "eax", "memory"));
    check_equal("of a 16-bit stack SP alone counts", fault.frame.sp, 0x1234fffc);
    check_equal("and wraps", *(volatile u32 *)(buffer + 0xfffc), 0x77);
}

/* A routine for each way in: records what it finds on its stack, and goes back. */
asm(".text\n"
    "record_entry: mov %ss, %eax; mov %eax, %ds; mov %eax, %es; mov %esp, seen_sp; mov %cs, seen_cs;"
    "  mov %esp, %esi; mov $seen, %edi; mov $8, %ecx; cld; rep movsl; ret\n"
    "gate_target: call record_entry; mov $0x23, %eax; mov %eax, %ds; mov %eax, %es; lret $8\n"
    "gate_target16: call record_entry; int $0x81\n"
    "plain_target: push %ds; call record_entry; pop %ds; lret\n"
    "outward: mov %fs, seen_fs; mov %gs, seen_gs; int $0x81\n");
extern u8 gate_target[], gate_target16[], plain_target[], outward[];

#define USER_CALL(before, sel)                                                                                         \
    USER_FAULT_OF(asm volatile(before "; mov %%esp, %%ebx; " MARK "lcall %0, $0; sub %%esp, %%ebx; "                   \
                               "mov %%ebx, call_left"                                                                  \
                               :: "i"(sel) : "eax", "ebx", "ecx", "edx", "esi", "edi", "memory", "cc"))
u32 call_left;

static void test_call_gates(void)
{
    group("call gate");
    gdt_set(SLOT(0), gate(KERNEL_CS, (word)gate_target, A_CALL32 | A_DPL3, 2));
    USER_CALL("push $0x11111111; push $0x22222222", SLOT(0));
    check_fault("to level 0 and back", NO_FAULT, 0, 0);
    check_equal("CS within", seen_cs & 0xffff, KERNEL_CS);
    check_equal("frame, CS", seen[2] & 0xffff, USER_CS32);
    check_equal("frame, last parameter", seen[3], 0x22222222);
    check_equal("frame, first parameter", seen[4], 0x11111111);
    check_equal("frame, SS", seen[6] & 0xffff, USER_DS);
    check_equal("stack of the TSS", seen_sp, tss.sp0 - 6 * 4 - 4);
    check_equal("the return took the parameters off the outer stack", call_left, (u32)-8);
    gdt_set(SLOT(1), descriptor((word)gate_target16 & ~0xfffu, 0xfffff, A_CODE, D_FLAT));
    gdt_set(SLOT(2), gate(SLOT(1), (word)gate_target16 & 0xfff, A_CALL16 | A_DPL3, 2));
    USER_FAULT_OF(asm volatile("pushw $0x1111; pushw $0x2222;" MARK "lcall $0x90, $0" ::: "memory"));
    check_equal("16-bit gate, CS", seen[1] >> 16, USER_CS32);
    check_equal("16-bit gate, parameters", seen[2], 0x11112222);
    check_equal("16-bit gate, SS", seen[3] >> 16, USER_DS);
    gdt_set(SLOT(2), gate(KERNEL_CS, (word)gate_target, A_CALL32, 2));
    USER_CALL("", SLOT(2));
    check_fault("gate of level 0", GP, SLOT(2), 0);
    gdt_set(SLOT(2), gate(KERNEL_CS, (word)gate_target, (A_CALL32 | A_DPL3) & ~0x80, 2));
    USER_CALL("", SLOT(2));
    check_fault("gate not present", NP, SLOT(2), 0);
    gdt_set(SLOT(2), gate(KERNEL_DS, (word)gate_target, A_CALL32 | A_DPL3, 2));
    USER_CALL("", SLOT(2));
    check_fault("gate to data", GP, KERNEL_DS, 0);
    gdt_set(SLOT(2), gate(0, (word)gate_target, A_CALL32 | A_DPL3, 2));
    USER_CALL("", SLOT(2));
    check_fault("gate to null", GP, 0, 0);
    gdt_set(SLOT(2), gate(GDT_COUNT * 8, (word)gate_target, A_CALL32 | A_DPL3, 2));
    USER_CALL("", SLOT(2));
    check_fault("gate beyond the GDT", GP, GDT_COUNT * 8, 0);
    gdt_set(SLOT(2), gate(KERNEL_CS, (word)gate_target, A_CALL32 | A_DPL3, 0));
    USER_FAULT_OF(asm volatile(MARK "ljmp $0x90, $0" ::: "memory"));
    check_fault("jmp through a gate to an inner level", GP, KERNEL_CS, 0);
    gdt_set(SLOT(3), descriptor(0, 0xfffff, A_CODE & ~0x80, D_FLAT));
    gdt_set(SLOT(2), gate(SLOT(3), (word)gate_target, A_CALL32 | A_DPL3, 0));
    USER_CALL("", SLOT(2));
    check_fault("gate to code not present", NP, SLOT(3), 0);
    gdt_set(SLOT(3), descriptor(0, 15, A_CODE, D_32));
    USER_CALL("", SLOT(2));
    qemu_is_wrong(NO_LIMITS);
    check_fault("gate to beyond the code's limit", GP, 0, 0);

    gdt_set(SLOT(2), gate(KERNEL_CS, (word)plain_target, A_CALL32, 3));
    FAULT_OF(asm volatile(MARK "lcall $0x90, $0" ::: "eax", "ecx", "edx", "esi", "edi", "memory"));
    check_fault("within one level no parameters are copied", NO_FAULT, 0, 0);
    check_equal("its frame", seen[3] & 0xffff, KERNEL_CS);
}

static void test_inner_stacks(void)
{
    group("inner stack");
    gdt_set(SLOT(0), descriptor(0, 0xfffff, A_CODE | A_DPL1, D_FLAT));
    gdt_set(SLOT(1), descriptor(0, 0xfffff, A_DATA | A_DPL1, D_FLAT));
    gdt_set(SLOT(2), gate(SLOT(0), (word)gate_target, A_CALL32 | A_DPL3, 2));
    tss.sp1 = (word)buffer + 0x2000;
    tss.ss1 = SLOT(1) | 1;
    USER_CALL("push $1; push $2", SLOT(2));
    check_fault("level 1 and back", NO_FAULT, 0, 0);
    check_equal("CS of level 1", seen_cs & 0xffff, SLOT(0) | 1);
    check_equal("ESP of level 1", seen_sp, tss.sp1 - 7 * 4);
    tss.ss1 = 0;
    USER_CALL("", SLOT(2));
    check_fault("null", TS, 0, 0);
    tss.ss1 = SLOT(1);
    USER_CALL("", SLOT(2));
    check_fault("RPL is not the new level", TS, SLOT(1), 0);
    tss.ss1 = KERNEL_DS | 1;
    USER_CALL("", SLOT(2));
    check_fault("DPL is not the new level", TS, KERNEL_DS, 0);
    tss.ss1 = SLOT(0) | 1;
    USER_CALL("", SLOT(2));
    check_fault("code", TS, SLOT(0), 0);
    tss.ss1 = (GDT_COUNT * 8) | 1;
    USER_CALL("", SLOT(2));
    check_fault("beyond the GDT", TS, GDT_COUNT * 8, 0);
    tss.ss1 = SLOT(1) | 1;
    gdt_set(SLOT(1), descriptor(0, 0xfffff, (A_DATA | A_DPL1) & ~0x80, D_FLAT));
    USER_CALL("", SLOT(2));
    qemu_is_wrong("#TS for it");
    check_fault("not present", SS, SLOT(1), 0);
    gdt_set(SLOT(1), descriptor(0, 0xfff, A_DATA | A_DPL1, D_32));
    qemu_is_wrong(NO_LIMITS);
    USER_CALL("", SLOT(2));
    check_fault("no room", SS, SLOT(1), 0);
}

static void test_conforming(void)
{
    group("conforming");
    gdt_set(SLOT(0), descriptor(0, 0xfffff, A_CONFORMING, D_FLAT));
    USER_FAULT_OF(asm volatile(MARK "lcall $0x80, $plain_target" ::: "eax", "ecx", "edx", "esi", "edi", "memory"));
    check_fault("call from level 3", NO_FAULT, 0, 0);
    check_equal("the level stays", seen_cs & 0xffff, SLOT(0) | 3);
    USER_FAULT_OF(asm volatile(MARK "lcall $8, $plain_target" ::: "eax", "ecx", "edx", "esi", "edi", "memory"));
    check_fault("code that does not conform", GP, 8, 0);
    gdt_set(SLOT(0), descriptor(0, 0xfffff, A_CONFORMING | A_DPL3, D_FLAT));
    EXPECT_ASM("an outer level's", GP, SLOT(0), 0, "lcall $0x80, $plain_target");
    EXPECT_ASM("RPL above the level", GP, 8, 0, "lcall $0xb, $plain_target");
    EXPECT_ASM("code of the outer level", GP, 0x18, 0, "ljmp $0x1b, $plain_target");
    gdt_set(SLOT(0), descriptor(0, 0xfffff, A_CODE & ~0x80, D_FLAT));
    EXPECT_ASM("not present", NP, SLOT(0), 0, "ljmp $0x80, $plain_target");
    gdt_set(SLOT(0), descriptor(0, 0xfff, A_CODE, D_32));
    EXPECT_ASM("beyond the limit", GP, 0, 0, "ljmp $0x80, $0x1000");
    gdt_set(SLOT(0), descriptor(0, 15, A_DATA & ~0x10, D_32));
    EXPECT_ASM("a reserved system type", GP, SLOT(0), 0, "ljmp $0x80, $0");
}

/* Code whose segment ends: offsets count from code_start. */
asm(".text\ncode_start: nop; nop; mov $0x12345678, %eax; lret; jmp . + 0x1000; code_end:\n");
extern u8 code_start[], code_end[];

static void test_code_limit(void)
{
    group("code limit");
    gdt_set(SLOT(0), descriptor((word)code_start, 0xffff, A_CODE, D_32));
    EXPECT_ASM("based code", NO_FAULT, 0, 0, "lcall $0x80, $0");
    gdt_set(SLOT(0), descriptor((word)code_start, 5, A_CODE, D_32));
    qemu_is_wrong(NO_LIMITS);
    EXPECT("an instruction across the limit", GP, 0, ANY_IP, asm volatile("lcall $0x80, $0" ::: "eax", "memory"));
    qemu_is_wrong(NO_LIMITS);
    check("saved CS:EIP", fault.cs == SLOT(0) && fault.ip == 2, "%x:%lx", fault.cs, (unsigned long)fault.ip);
    gdt_set(SLOT(0), descriptor((word)code_start, 1, A_CODE, D_32));
    qemu_is_wrong(NO_LIMITS);
    EXPECT("running off the end", GP, 0, ANY_IP, asm volatile("lcall $0x80, $0" ::: "eax", "memory"));
    qemu_is_wrong(NO_LIMITS);
    check("saved EIP", fault.ip == 2, "%lx", (unsigned long)fault.ip);
    gdt_set(SLOT(0), descriptor((word)code_start, code_end - code_start - 1, A_CODE, D_32));
    if (on_qemu()) {
        skip("jmp beyond the limit", "QEMU: " NO_LIMITS);
        return;
    }
    EXPECT("jmp beyond the limit", GP, 0, ANY_IP, asm volatile("lcall $0x80, $8" ::: "eax", "memory"));
    check("saved EIP of the jmp", fault.ip == 8, "%lx", (unsigned long)fault.ip);
}

static void test_return(void)
{
    group("lret");
    asm volatile("mov %0, %%fs; mov %1, %%gs" :: "r"(KERNEL_DS), "r"(USER_DS));
    EXPECT_PRE("outward", NO_FAULT, 0, 0, "mov %%esp, %%eax; push $0x23; push %%eax; push $0x1b; push $outward",
               "mov $0x23, %%eax; mov %%eax, %%ds; lret");
    check_equal("a segment of an inner level becomes null", seen_fs, 0);
    check_equal("one of the outer level stays", seen_gs, USER_DS);
    EXPECT_PRE("to null", GP, 0, 0, "push $0; push $0", "lret");
    EXPECT_PRE("to data", GP, 0x10, 0, "push $0x10; push $0", "lret");
    EXPECT_PRE("outward with a stack of level 0", GP, 0x10, 0, "push $0x10; push $0; push $0x1b; push $outward",
               "lret");
    EXPECT_PRE("outward with a null stack", GP, 0, 0, "push $0; push $0; push $0x1b; push $outward", "lret");
    EXPECT_USER_PRE("inward", GP, 8, 0, "push $8; push $0", "lret");
    gdt_set(SLOT(0), descriptor(0, 0xfffff, (A_DATA | A_DPL3) & ~0x80, D_FLAT));
    qemu_is_wrong("#NP for it");
    EXPECT_PRE("outward with a stack not present", SS, SLOT(0), 0,
               "push $0x83; push $0; push $0x1b; push $outward", "lret");
    gdt_set(SLOT(0), descriptor(0, 0xfffff, (A_CODE | A_DPL3) & ~0x80, D_FLAT));
    EXPECT_PRE("to code not present", NP, SLOT(0), 0, "push $0x23; push $0; push $0x83; push $outward", "lret");
}

/* LAR and LSL: the value, or -1 when ZF = 0. */
static u32 lar(u32 sel)
{
    u32 v;
    asm volatile("lar %1, %0; jz 1f; mov $-1, %0; 1:" : "=&r"(v) : "r"(sel) : "cc");
    return v;
}
static u32 lsl(u32 sel)
{
    u32 v;
    asm volatile("lsl %1, %0; jz 1f; mov $-1, %0; 1:" : "=&r"(v) : "r"(sel) : "cc");
    return v;
}
static bool verr(u32 sel) { bool v; asm volatile("verr %w1; setz %0" : "=q"(v) : "r"(sel) : "cc"); return v; }
static bool verw(u32 sel) { bool v; asm volatile("verw %w1; setz %0" : "=q"(v) : "r"(sel) : "cc"); return v; }

static void test_inspection(void)
{
    /* Which system types they know (SDM vol. 2, LAR table 3-53, LSL table 3-58). */
    static const u16 lar_types = BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(9) | BIT(11) | BIT(12);
    static const u16 lsl_types = BIT(1) | BIT(2) | BIT(3) | BIT(9) | BIT(11);
    u32 wrong_lar = 0, wrong_lsl = 0;
    group("lar, lsl");
    for (u32 type = 0; type < 16; type++) {
        gdt_set(SLOT(0), descriptor(0, 0x12345, 0x80 | type, 0));
        wrong_lar |= (u32)((lar(SLOT(0)) != (u32)-1) != (lar_types >> type & 1)) << type;
        wrong_lsl |= (u32)((lsl(SLOT(0)) != (u32)-1) != (lsl_types >> type & 1)) << type;
    }
    check_equal("system types that lar judges wrongly", wrong_lar, 0);
    check_equal("system types that lsl judges wrongly", wrong_lsl, 0);
    qemu_is_wrong("leaves code not accessed");
    check_equal("lar of code", lar(KERNEL_CS) & 0xf0ff00, 0xc09b00);
    check_equal("lar of data", lar(USER_DS) & 0xf0ff00, 0xc0f300);
    check_equal("lsl of 4 GiB", lsl(KERNEL_DS), 0xffffffff);
    check_equal("lsl counts pages", (gdt_set(SLOT(0), descriptor(0, 2, A_DATA, D_G)), lsl(SLOT(0))), 0x2fff);
    check_equal("lsl counts bytes", (gdt_set(SLOT(0), descriptor(0, 0x54321, A_DATA, 0)), lsl(SLOT(0))), 0x54321);
    check_equal("lar of null", lar(0), (u32)-1);
    check_equal("lar beyond the GDT", lar(GDT_COUNT * 8), (u32)-1);
    check_equal("RPL above DPL", lar(KERNEL_DS | 3), (u32)-1);
    check_equal("not present is no matter", (gdt_set(SLOT(0), descriptor(0, 7, A_DATA & ~0x80, 0)), lsl(SLOT(0))), 7);
    volatile u32 v = 0;
    USER_FAULT_OF(v = lar(KERNEL_DS));
    check_equal("level 0 at level 3", v, (u32)-1);
    USER_FAULT_OF(v = lsl(USER_DS) == (u32)-1);
    check_equal("level 3 at level 3", v, true);
    gdt_set(SLOT(1), descriptor(0, 0xfffff, A_CONFORMING, D_FLAT));
    USER_FAULT_OF(v = lar(SLOT(1)));
    check_equal("conforming code at level 3", v & 0xf0ff00, 0xc09e00);

    group("verr, verw");
    gdt_set(SLOT(2), descriptor(0, 0xfffff, A_RO, D_FLAT));
    gdt_set(SLOT(3), descriptor(0, 0xfffff, A_XO, D_FLAT));
    check("data", verr(KERNEL_DS) && verw(KERNEL_DS), "ZF = 0");
    check("read-only data", verr(SLOT(2)) && !verw(SLOT(2)), "verr %d verw %d", verr(SLOT(2)), verw(SLOT(2)));
    check("code", verr(KERNEL_CS) && !verw(KERNEL_CS), "verr %d verw %d", verr(KERNEL_CS), verw(KERNEL_CS));
    check("execute-only code", !verr(SLOT(3)) && !verw(SLOT(3)), "ZF = 1");
    check("system", !verr(TSS_SEL) && !verw(TSS_SEL), "ZF = 1");
    check("null", !verr(0) && !verw(0), "ZF = 1");
    check("RPL above DPL", !verr(KERNEL_DS | 3), "ZF = 1");
    check("conforming code of an inner level", verr(SLOT(1) | 3), "ZF = 0");

    group("arpl");
    u32 a = 0x10;
    bool z;
    asm volatile("arpl %w2, %w0; setz %1" : "+r"(a), "=q"(z) : "r"(3) : "cc");
    check("raises", a == 0x13 && z, "0x%x, ZF %d", a, z);
    asm volatile("arpl %w2, %w0; setz %1" : "+r"(a), "=q"(z) : "r"(1) : "cc");
    check("leaves", a == 0x13 && !z, "0x%x, ZF %d", a, z);
}

static void test_ldt(void)
{
    group("LDT");
    gdt_set(SLOT(5), descriptor((word)ldt, 15, A_LDT, 0));
    asm volatile("lldt %w0" :: "r"(SLOT(5)));
    u32 sel = 0;
    asm volatile("sldt %0" : "=r"(sel));
    check_equal("sldt", sel, SLOT(5));
    asm volatile("str %0" : "=r"(sel));
    check_equal("str", sel, TSS_SEL);
    ldt[0] = descriptor((word)buffer, 0xff, A_DATA, D_32);
    ldt[1] = descriptor((word)buffer, 0xff, A_RO & ~0x80, D_32);
    buffer[5] = 0x42;
    u8 v;
    asm volatile("mov %1, %%fs; mov %%fs:5, %0" : "=q"(v) : "r"(4) : "memory");
    check_equal("entry 0 is no null selector", v, 0x42);
    EXPECT_PRE("not present", NP, 0xc, 0, "mov $0xc, %%eax", "mov %%eax, %%fs");
    EXPECT_PRE("beyond the limit", GP, 0x14, 0, "mov $0x14, %%eax", "mov %%eax, %%fs");
    EXPECT_PRE("lldt of a selector of the LDT", GP, 4, 0, "mov $4, %%eax", "lldt %%ax");
    gdt_set(SLOT(6), descriptor((word)ldt, 15, A_LDT & ~0x80, 0));
    EXPECT_PRE("lldt of what is not present", NP, SLOT(6), 0, "mov $0xb0, %%eax", "lldt %%ax");
    asm volatile("lldt %w0" :: "r"(0));
    EXPECT_PRE("an LDT selector without an LDT", GP, 4, 0, "mov $4, %%eax", "mov %%eax, %%fs");
    EXPECT_PRE("LAR of it", NO_FAULT, 0, 0, "mov $4, %%eax", "lar %%eax, %%ecx");
}

static void test_loads(void)
{
    u32 v = 0;
    static const struct { u32 offset; u16 sel; } __attribute__((packed)) pointer = { 0x12345678, USER_DS },
        wrong = { 0x12345678, GDT_COUNT * 8 };
    group("load");
    asm volatile("lgs %1, %0" : "=r"(v) : "m"(pointer));
    check_equal("lgs, offset", v, 0x12345678);
    asm volatile("mov %%gs, %0" : "=r"(v));
    check_equal("lgs, selector", v, USER_DS);
    v = 7;
    EXPECT("lfs beyond the GDT", GP, GDT_COUNT * 8, 0, asm volatile(MARK "lfs %1, %0" : "+r"(v) : "m"(wrong)));
    asm volatile("mov %1, %%gs; push %%gs; pop %0" : "=r"(v) : "r"(USER_DS));
    check_equal("push gs", v & 0xffff, USER_DS);
    asm volatile("pushl $0x10; pop %%gs; mov %%gs, %0" : "=r"(v));
    check_equal("pop gs", v, KERNEL_DS);
    asm volatile("mov %%gs, %w0" : "=r"(v) : "0"(0x55550000));
    check_equal("mov to a word register", v, 0x55550000 | KERNEL_DS);
    asm volatile("mov %0, %%gs; mov %1, %%fs" :: "r"(3), "r"(0));
    asm volatile("mov %%gs, %0" : "=r"(v));
    check_equal("null keeps its RPL", v, 3);
}

void guest_main(void)
{
    test_limits();
    test_stack_limits();
    test_call_gates();
    test_inner_stacks();
    test_conforming();
    test_code_limit();
    test_return();
    test_inspection();
    test_ldt();
    test_loads();
}
