/*
 * Every exception's vector, error code and saved instruction pointer, and which of two comes first (SDM vol. 3A 6.5 to
 * 6.15, table 6-2; vol. 2 for each instruction).  #MF and #XM are fpu.c's, #PF by kind of entry paging*.c's.
 */
#include "lib/guest.h"

#if BITS == 64
#define IRET "iretq"
#define SYSEXIT "sysexitl"
#else
#define IRET "iret"
#define SYSEXIT "sysexit"
#endif

u32 scratch[64] __attribute__((aligned(64)));

static void test_divide(void)
{
    group("#DE");
    EXPECT_PRE("div by zero", DE, 0, 0, "xor %%eax, %%eax; xor %%edx, %%edx; xor %%ecx, %%ecx", "div %%ecx");
    EXPECT_PRE("div quotient too large", DE, 0, 0, "xor %%eax, %%eax; mov $2, %%edx; mov $2, %%ecx", "div %%ecx");
    EXPECT_PRE("div fits", NO_FAULT, 0, 0, "xor %%eax, %%eax; mov $1, %%edx; mov $2, %%ecx", "div %%ecx");
    EXPECT_PRE("idiv of the least number by -1", DE, 0, 0, "mov $0x80000000, %%eax; cltd; mov $-1, %%ecx",
               "idiv %%ecx");
    EXPECT_PRE("idiv fits", NO_FAULT, 0, 0, "mov $0x80000001, %%eax; cltd; mov $-1, %%ecx", "idiv %%ecx");
    EXPECT_PRE("8-bit div", DE, 0, 0, "mov $0x1000, %%eax; mov $0x10, %%ecx", "div %%cl");
    EXPECT_PRE("8-bit idiv -128", NO_FAULT, 0, 0, "mov $0xff80, %%eax; mov $1, %%ecx", "idiv %%cl");
    EXPECT_PRE("8-bit idiv 128", DE, 0, 0, "mov $0x80, %%eax; mov $1, %%ecx", "idiv %%cl");
#if BITS == 64
    EXPECT_PRE("64-bit div", DE, 0, 0, "xor %%eax, %%eax; mov $1, %%edx; mov $1, %%ecx", "div %%rcx");
    EXPECT_PRE("64-bit idiv", DE, 0, 0, "mov $1, %%eax; shl $63, %%rax; cqto; mov $-1, %%rcx", "idiv %%rcx");
#else
    EXPECT_ASM("aam 0", DE, 0, 0, ".byte 0xd4, 0");
#endif
}

static void qemu_counts_16(void)
{
    if (BITS == 64)
        qemu_is_wrong("its error codes count 16 bytes a vector");
}

static void test_traps(void)
{
    group("traps");
    EXPECT_ASM("int3 saves the next ip", BP, 0, 1, "int3");
    check("int3 saves RF = 0", !(fault.flags & F_RF), "flags 0x%lx", (unsigned long)fault.flags);
    EXPECT_ASM("int 3 in two bytes", BP, 0, 2, ".byte 0xcd, 3");
    qemu_is_wrong("#UD for int1");
    EXPECT_ASM("int1 saves the next ip", DB, 0, 1, ".byte 0xf1");
#if BITS == 32
    EXPECT_PRE("into with OF", OF, 0, 1, "mov $0x7fffffff, %%eax; inc %%eax", "into");
    EXPECT_PRE("into without OF", NO_FAULT, 0, 0, "xor %%eax, %%eax", "into");
#endif
    qemu_counts_16();
    EXPECT_USER_ASM("int3 at level 3, gate of level 0", GP, 3 * 8 + 2, 0, "int3");
    idt_set_dpl(BP, 3);
    EXPECT_USER_ASM("int3 at level 3, gate of level 3", BP, 0, 1, "int3");
    check_equal("saved CS of level 3", fault.cs, USER_CS);
    check_equal("saved SS of level 3", fault.frame.ss & 0xffff, USER_DS);
    idt_reset(BP);
    qemu_is_wrong("#UD for int1");
    EXPECT_USER_ASM("int1 at level 3 does not ask for the gate's level", DB, 0, 1, ".byte 0xf1");
    qemu_counts_16();
    EXPECT_USER_ASM("int n at level 3, gate of level 0", GP, 0x80 * 8 + 2, 0, "int $0x80");
    idt_set_dpl(0x80, 3);
    EXPECT_USER_ASM("int n at level 3, gate of level 3", 0x80, 0, 2, "int $0x80");
    idt_set_present(0x80, false);
    qemu_counts_16();
    EXPECT_USER_ASM("int n through an absent gate", NP, 0x80 * 8 + 2, 0, "int $0x80");
    idt_set_dpl(0x80, 0);
    qemu_counts_16();
    EXPECT_USER_ASM("the gate's level is checked before it is present", GP, 0x80 * 8 + 2, 0, "int $0x80");
    idt_set(0x80, KERNEL_DS, idt_stub(0x80), A_INT32, 0);
    EXPECT_ASM("int n to a data segment", GP, KERNEL_DS, 0, "int $0x80");
    idt_set(0x80, 0, idt_stub(0x80), A_INT32, 0);
    EXPECT_ASM("int n to the null selector", GP, 0, 0, "int $0x80");
    idt_set(0x80, GDT_COUNT * 8, idt_stub(0x80), A_INT32, 0);
    EXPECT_ASM("int n to a selector beyond the GDT", GP, GDT_COUNT * 8, 0, "int $0x80");
    idt_set(0x80, KERNEL_CS, idt_stub(0x80), A_CALL32, 0);
    qemu_counts_16();
    EXPECT_ASM("int n through a call gate", GP, 0x80 * 8 + 2, 0, "int $0x80");
    idt_reset(0x80);
}

static word handler_flags;
static void handler_flags_record(Frame *f)
{
    (void)f;
    handler_flags = flags_read();
}

static void test_gate_kinds(void)
{
    group("gates");
    handlers[0x90] = handler_flags_record;
    flags_write(F_IF | F_AC);
    asm volatile("int $0x90" ::: "memory");
    check("interrupt gate clears IF", !(handler_flags & F_IF), "flags 0x%lx", (unsigned long)handler_flags);
    check("AC stays", handler_flags & F_AC, "flags 0x%lx", (unsigned long)handler_flags);
    check("iret restores IF", flags_read() & F_IF, "flags 0x%lx", (unsigned long)flags_read());
    idt_set(0x90, KERNEL_CS, idt_stub(0x90), A_TRAP32, 0);
    asm volatile("int $0x90" ::: "memory");
    check("trap gate keeps IF", handler_flags & F_IF, "flags 0x%lx", (unsigned long)handler_flags);
    flags_write(F_NT);
    asm volatile("int $0x90; push $2; popf" ::: "memory", "cc");
    check("NT is cleared", !(handler_flags & F_NT), "flags 0x%lx", (unsigned long)handler_flags);
    flags_write(2);
    handlers[0x90] = NULL;
    idt_reset(0x90);
}

#define INVALID(name, ...) EXPECT_ASM(name, UD, 0, 0, ".byte " #__VA_ARGS__)

static void test_undefined_sse(void)
{
    cr4_write(cr4_read() & ~(word)CR4_OSFXSR);
    INVALID("SSE with CR4.OSFXSR = 0", 0x0f, 0x58, 0xc0);
    INVALID("movups with CR4.OSFXSR = 0", 0x0f, 0x10, 0xc0);
    cr4_write(cr4_read() | CR4_OSFXSR);
    EXPECT_ASM("SSE with CR4.OSFXSR = 1", NO_FAULT, 0, 0, "movups %%xmm0, %%xmm0");
    cr0_write(cr0_read() | CR0_EM);
    INVALID("SSE with CR0.EM", 0x0f, 0x58, 0xc0);
    INVALID("MMX with CR0.EM", 0x0f, 0xfc, 0xc0);
    cr0_write(cr0_read() & ~(word)CR0_EM);
}

static void test_undefined(void)
{
    group("#UD");
    INVALID("ud2", 0x0f, 0x0b);
    qemu_is_wrong("saves RF = 0 for faults");
    check("faults save RF = 1", fault.flags & F_RF, "flags 0x%lx", (unsigned long)fault.flags);
    INVALID("ud1", 0x0f, 0xb9, 0xc0);
    INVALID("ud0", 0x0f, 0xff, 0xc0);
    qemu_is_wrong("lets LOCK pass");
    INVALID("lock mov", 0xf0, 0x89, 0x00);
    INVALID("lock add to a register", 0xf0, 0x01, 0xc0);
    INVALID("lock nop", 0xf0, 0x90);
    INVALID("lock cmp", 0xf0, 0x39, 0x00);
    qemu_is_wrong("lets LOCK pass");
    INVALID("lock btc of a register", 0xf0, 0x0f, 0xba, 0xf8, 1);
    INVALID("mov to cs", 0x8e, 0xc8);
    INVALID("mov to segment 6", 0x8e, 0xf0);
    INVALID("mov from segment 7", 0x8c, 0xf8);
    INVALID("lea of a register", 0x8d, 0xc0);
    INVALID("fe /2", 0xfe, 0xd0);
    INVALID("ff /7", 0xff, 0xf8);
    INVALID("call far of a register", 0xff, 0xd8);
    INVALID("jmp far of a register", 0xff, 0xe8);
    qemu_is_wrong("does not look at the digit");
    INVALID("c6 /1", 0xc6, 0xc8, 0);
    INVALID("0f ba /0", 0x0f, 0xba, 0xc0, 0);
    INVALID("cmpxchg8b of a register", 0x0f, 0xc7, 0xc8);
    INVALID("mov from cr1", 0x0f, 0x20, 0xc8);
    INVALID("mov from cr5", 0x0f, 0x20, 0xe8);
    INVALID("0f 04", 0x0f, 0x04);
    INVALID("0f 0a", 0x0f, 0x0a);
    INVALID("0f 24", 0x0f, 0x24, 0xc0);
    INVALID("0f 00 /6", 0x0f, 0x00, 0xf0);
    INVALID("movnti of a register", 0x0f, 0xc3, 0xc0);
    INVALID("rsm outside SMM", 0x0f, 0xaa);
#if BITS == 64
    INVALID("push es", 0x06);
    INVALID("pop ds", 0x1f);
    INVALID("daa", 0x27);
    INVALID("aas", 0x3f);
    INVALID("pusha", 0x60);
    INVALID("popa", 0x61);
    INVALID("82 /0", 0x82, 0xc0, 0);
    INVALID("call far absolute", 0x9a, 0, 0, 0, 0, 8, 0);
    INVALID("jmp far absolute", 0xea, 0, 0, 0, 0, 8, 0);
    INVALID("into", 0xce);
    INVALID("aam", 0xd4, 10);
    INVALID("aad", 0xd5, 10);
    INVALID("salc", 0xd6);
#endif
    if (cpu_has(HAS_DE)) {
        cr4_write(cr4_read() | CR4_DE);
        INVALID("mov from dr4 with CR4.DE", 0x0f, 0x21, 0xe0);
        INVALID("mov to dr5 with CR4.DE", 0x0f, 0x23, 0xe8);
        cr4_write(cr4_read() & ~CR4_DE);
    }
    EXPECT_ASM("mov from dr4 without CR4.DE", NO_FAULT, 0, 0, ".byte 0x0f, 0x21, 0xe0");
    if (cpu_has(HAS_SSE))
        test_undefined_sse();
    cr4_write(cr4_read() & ~(word)CR4_OSXSAVE);
    INVALID("xgetbv with CR4.OSXSAVE = 0", 0x0f, 0x01, 0xd0);
    EXPECT_USER_ASM("ud2 at level 3", UD, 0, 0, "ud2");
}
static void test_device_not_available(void)
{
    word cr0 = cr0_read() & ~(word)(CR0_TS | CR0_EM | CR0_MP);
    group("#NM");
    cr0_write(cr0 | CR0_TS);
    EXPECT_ASM("x87 with TS", NM, 0, 0, "fninit");
    EXPECT_ASM("wait with TS alone", NO_FAULT, 0, 0, "fwait");
    if (cpu_has(HAS_MMX))
        EXPECT_ASM("MMX with TS", NM, 0, 0, "paddb %%mm0, %%mm0");
    if (cpu_has(HAS_SSE)) {
        EXPECT_ASM("SSE with TS", NM, 0, 0, "addps %%xmm0, %%xmm0");
        EXPECT_ASM("fxsave with TS", NM, 0, 0, "fxsave scratch");
        EXPECT_ASM("prefetch with TS", NO_FAULT, 0, 0, "prefetchnta scratch");
        EXPECT_ASM("ldmxcsr with TS", NM, 0, 0, "ldmxcsr scratch");
    }
    cr0_write(cr0 | CR0_TS | CR0_MP);
    EXPECT_ASM("wait with TS and MP", NM, 0, 0, "fwait");
    cr0_write(cr0 | CR0_EM);
    EXPECT_ASM("x87 with EM", NM, 0, 0, "fninit");
    EXPECT_ASM("wait with EM", NO_FAULT, 0, 0, "fwait");
    cr0_write(cr0 | CR0_TS);
    asm volatile("clts");
    EXPECT_ASM("x87 after clts", NO_FAULT, 0, 0, "fninit");
    cr0_write(cr0 | CR0_MP);
}

/* A handler that cannot be entered: what becomes of it depends on both faults (SDM vol. 3A table 6-5). */
static void test_double(void)
{
    group("#DF");
    idt_set_present(GP, false);
    EXPECT_PRE("#NP while #GP is delivered", DF, 0, ANY_IP, "mov $0x400, %%eax", "mov %%eax, %%ds");
    idt_set_present(GP, true);
    idt_set_present(UD, false);
    qemu_is_wrong("leaves EXT out");
    EXPECT_ASM("#NP while #UD is delivered comes through", NP, UD * 8 + 3, 0, "ud2");
    idt_set_present(NP, false);
    EXPECT_ASM("#NP, #NP", DF, 0, ANY_IP, "ud2");
    idt_set_present(NP, true);
    idt_reset(UD);
    idt_set_present(DE, false);
    EXPECT_PRE("#NP while #DE is delivered", DF, 0, ANY_IP, "xor %%ecx, %%ecx", "div %%ecx");
    idt_reset(DE);

    struct TableRegister shorter = { (0x80 * BITS / 4) - 1, idt_register.base };
    asm volatile("lidt %0" :: "m"(shorter));
    qemu_counts_16();
    EXPECT_ASM("int n beyond the IDT limit", GP, 0x80 * 8 + 2, 0, "int $0x80");
    shorter.limit = 9 * BITS / 4 - 1;
    asm volatile("lidt %0" :: "m"(shorter));
    EXPECT_ASM("int n and #GP beyond the IDT limit", DF, 0, ANY_IP, "int $0x80");
    EXPECT_PRE("#GP beyond the IDT limit", DF, 0, ANY_IP, "mov $0x400, %%eax", "mov %%eax, %%ds");
    asm volatile("lidt %0" :: "m"(idt_register));
}

static void test_selectors(void)
{
    group("selectors");
    EXPECT_PRE("beyond the GDT", GP, 0x400, 0, "mov $0x403, %%eax", "mov %%eax, %%ds");
    EXPECT_PRE("beyond the GDT, mov ss", GP, 0x400, 0, "mov $0x400, %%eax", "mov %%eax, %%ss");
    EXPECT_PRE("without an LDT", GP, 0xc, 0, "mov $0xc, %%eax", "mov %%eax, %%es");
    gdt_set(FREE_SEL, descriptor(0, 0xfffff, A_DATA & ~0x80, D_FLAT));
    EXPECT_PRE("data not present", NP, 0x80, 0, "mov $0x80, %%eax", "mov %%eax, %%ds");
    EXPECT_PRE("stack not present", SS, 0x80, 0, "mov $0x80, %%eax", "mov %%eax, %%ss");
    gdt_set(FREE_SEL, descriptor(0, 0xfffff, A_XO & ~0x80, D_FLAT));
    EXPECT_PRE("the type is checked before it is present", GP, 0x80, 0, "mov $0x80, %%eax", "mov %%eax, %%ds");
    gdt_set(FREE_SEL, descriptor(0, 0xfffff, A_RO, D_FLAT));
    EXPECT_PRE("read-only stack", GP, 0x80, 0, "mov $0x80, %%eax", "mov %%eax, %%ss");
    EXPECT_PRE("read-only data", NO_FAULT, 0, 0, "mov $0x80, %%eax", "mov %%eax, %%fs");
    EXPECT_PRE("system descriptor", GP, TSS_SEL, 0, "mov $0x50, %%eax", "mov %%eax, %%es");
    EXPECT_USER_PRE("level 0 data at level 3", GP, 0x10, 0, "mov $0x10, %%eax", "mov %%eax, %%es");
    EXPECT_USER_PRE("level 0 stack at level 3", GP, 0x10, 0, "mov $0x10, %%eax", "mov %%eax, %%ss");
    EXPECT_USER_PRE("null stack at level 3", GP, 0, 0, "xor %%eax, %%eax", "mov %%eax, %%ss");
    EXPECT_PRE("ltr of a busy TSS", GP, TSS_SEL, 0, "mov $0x50, %%eax", "ltr %%ax");
    EXPECT_PRE("ltr of a data segment", GP, 0x10, 0, "mov $0x10, %%eax", "ltr %%ax");
    NOT_ON_QEMU("ltr of null", "loads it", EXPECT_PRE("ltr of null", GP, 0, 0, "xor %%eax, %%eax", "ltr %%ax"));
    EXPECT_PRE("lldt of a data segment", GP, 0x10, 0, "mov $0x10, %%eax", "lldt %%ax");
    EXPECT_PRE("lldt of null", NO_FAULT, 0, 0, "xor %%eax, %%eax", "lldt %%ax");
#if BITS == 32
    EXPECT_PRE("null stack", GP, 0, 0, "xor %%eax, %%eax", "mov %%eax, %%ss");
    EXPECT_ASM("jmp far to null", GP, 0, 0, "ljmp $0, $0");
    EXPECT_ASM("jmp far to data", GP, 0x10, 0, "ljmp $0x10, $0");
    qemu_is_wrong("does not check null selectors");
    EXPECT_PRE("read through null", GP, 0, 0, "xor %%eax, %%eax; mov %%eax, %%fs", "mov %%fs:0, %%eax");
    qemu_is_wrong("does not check null selectors");
    EXPECT_PRE("write through null of RPL 3", GP, 0, 0, "mov $3, %%eax; mov %%eax, %%fs",
               "movl $1, %%fs:0xf0000000");
#else
    EXPECT_PRE("null stack at level 0", NO_FAULT, 0, 0, "xor %%eax, %%eax", "mov %%eax, %%ss");
#endif
}

static void test_control_registers(void)
{
    group("cr");
#define EXPECT_WRITE(name, vector, reg, value)                                                                         \
    EXPECT(name, vector, 0, 0, asm volatile(MARK "mov %0, %%" #reg :: "r"((word)(value)) : "memory"))
    NOT_ON_QEMU("CR0.NW without CD", "does not check it",
                EXPECT_WRITE("CR0.NW without CD", GP, cr0, (cr0_read() & ~(word)CR0_CD) | CR0_NW));
    NOT_ON_QEMU("CR0.PG without PE", "does not check it",
                EXPECT_WRITE("CR0.PG without PE", GP, cr0, (cr0_read() & ~(word)CR0_PE) | CR0_PG));
    NOT_ON_QEMU("CR4 reserved bit 15", "stands still",
                EXPECT_WRITE("CR4 reserved bit 15", GP, cr4, cr4_read() | BIT(15)));
    NOT_ON_QEMU("CR4 reserved bit 31", "stands still",
                EXPECT_WRITE("CR4 reserved bit 31", GP, cr4, cr4_read() | BIT(31)));
    EXPECT_WRITE("CR0 reserved bit 15 is ignored", NO_FAULT, cr0, cr0_read() | BIT(15));
#if BITS == 64
    qemu_is_wrong("does not check it");
    EXPECT_WRITE("CR0 upper half", GP, cr0, cr0_read() | BIT64(32));
    NOT_ON_QEMU("CR4 upper half", "stands still", EXPECT_WRITE("CR4 upper half", GP, cr4, cr4_read() | BIT64(40)));
    NOT_ON_QEMU("CR4.PAE is needed in long mode", "lets it go",
                EXPECT_WRITE("CR4.PAE is needed in long mode", GP, cr4, cr4_read() & ~(word)CR4_PAE));
    NOT_ON_QEMU("CR0.PG is needed in 64-bit mode", "lets it go",
                EXPECT_WRITE("CR0.PG is needed in 64-bit mode", GP, cr0, cr0_read() & ~(word)CR0_PG));
    EXPECT_WRITE("DR7 upper half", GP, dr7, BIT64(32));
    EXPECT_WRITE("DR6 upper half", GP, dr6, BIT64(32));
    qemu_is_wrong("masks CR8 to its low bits");
    EXPECT("CR8 above 15", GP, 0, 0, asm volatile(MARK "mov %0, %%cr8" :: "r"((word)16) : "memory"));
    NOT_ON_QEMU("CR3 beyond the physical address width", "stands still",
                EXPECT_WRITE("CR3 beyond the physical address width", GP, cr3, cr3_read() | BIT64(52)));
    msr_write(MSR_EFER, msr_read(MSR_EFER) & ~(u64)EFER_LMA); /* ignored */
    check("EFER.LMA cannot be written", msr_read(MSR_EFER) & EFER_LMA, "EFER 0x%llx",
          (unsigned long long)msr_read(MSR_EFER));
    qemu_is_wrong("lets EFER.LME change with paging on");
    EXPECT("EFER.LME with paging on", GP, 0, ANY_IP, msr_write(MSR_EFER, msr_read(MSR_EFER) & ~(u64)EFER_LME));
    msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_LME);
#endif
}

static void test_level_3(void)
{
    group("level 3");
#define PRIVILEGED(text) EXPECT_USER_PRE(text, GP, 0, 0, "xor %%ecx, %%ecx; xor %%eax, %%eax", text)
    PRIVILEGED("hlt");
    PRIVILEGED("cli");
    PRIVILEGED("sti");
    PRIVILEGED("clts");
    PRIVILEGED("invd");
    PRIVILEGED("wbinvd");
    if (cpu_has(HAS_MSR)) {
        PRIVILEGED("rdmsr");
        PRIVILEGED("wrmsr");
    }
    PRIVILEGED("lmsw %%ax");
    PRIVILEGED("lldt %%ax");
    PRIVILEGED("ltr %%ax");
    PRIVILEGED("invlpg scratch");
    PRIVILEGED("lgdt scratch");
    PRIVILEGED("lidt scratch");
    if (cpu_has(HAS_SEP))
        EXPECT_USER_ASM("sysexit", BITS == 64 && is_amd() ? UD : GP, 0, 0, SYSEXIT);
    PRIVILEGED("in $0x80, %%al");
    PRIVILEGED("out %%al, $0x80");
    PRIVILEGED("insb");
    PRIVILEGED("outsb");
#if BITS == 64
    PRIVILEGED("mov %%rax, %%cr3");
    PRIVILEGED("mov %%cr0, %%rax");
    PRIVILEGED("mov %%rax, %%dr0");
    PRIVILEGED("mov %%cr8, %%rax");
    PRIVILEGED("swapgs");
    EXPECT_USER_PRE("lgdt, #GP before #PF", GP, 0, 0, "mov $5, %%eax; shl $32, %%rax", "lgdt (%%rax)");
#else
    PRIVILEGED("mov %%eax, %%cr3");
    PRIVILEGED("mov %%cr0, %%eax");
    PRIVILEGED("mov %%eax, %%dr0");
#endif
    if (cpu_has(HAS_TSC)) {
        EXPECT_USER_ASM("rdtsc", NO_FAULT, 0, 0, "rdtsc");
        cr4_write(cr4_read() | CR4_TSD);
        EXPECT_USER_ASM("rdtsc with CR4.TSD", GP, 0, 0, "rdtsc");
        cr4_write(cr4_read() & ~(word)CR4_TSD);
    }
    if (cpu_has(HAS_MMX))
        EXPECT_USER_PRE("rdpmc", GP, 0, 0, "xor %%ecx, %%ecx", "rdpmc");
    EXPECT_USER_ASM("smsw", NO_FAULT, 0, 0, "smsw %%eax");
    if (cpuid(0, 0).a >= 7 && (cpuid(7, 0).c & BIT(2))) {
        cr4_write(cr4_read() | CR4_UMIP);
        PRIVILEGED("sgdt scratch");
        PRIVILEGED("sidt scratch");
        PRIVILEGED("sldt %%eax");
        PRIVILEGED("str %%eax");
        PRIVILEGED("smsw %%eax");
        EXPECT_ASM("UMIP leaves level 0 alone", NO_FAULT, 0, 0, "sgdt scratch");
        cr4_write(cr4_read() & ~(word)CR4_UMIP);
    } else {
        skip("UMIP", "the processor lacks it");
    }
    volatile word kept = 0;
    USER_FAULT_OF(flags_write(F_IF | F_IOPL | 2); kept = flags_read());
    check("popf leaves IF and IOPL", !(kept & (F_IF | F_IOPL)), "flags 0x%lx", (unsigned long)kept);
    USER_FAULT_WITH(F_IOPL | 2, flags_write(F_IF | F_IOPL | 2); kept = flags_read());
    check("popf changes IF with IOPL 3", (kept & (F_IF | F_IOPL)) == (F_IF | F_IOPL), "flags 0x%lx",
          (unsigned long)kept);
    USER_FAULT_WITH(F_IOPL | 2, in8(0x80));
    check_fault("in with IOPL 3", NO_FAULT, 0, 0);
    tss.iomap = offsetof(Tss, bitmap);
    memset(tss.bitmap, 0xff, sizeof tss.bitmap);
    tss.bitmap[0x80 / 8] = 0xfe; /* port 80h alone */
    EXPECT_USER_ASM("in of a port that the I/O map allows", NO_FAULT, 0, 0, "in $0x80, %%al");
    EXPECT_USER_ASM("in of two ports, one allowed", GP, 0, 0, "in $0x80, %%ax");
    EXPECT_USER_ASM("in of another port", GP, 0, 0, "in $0x81, %%al");
    EXPECT_USER_PRE("in of a port beyond the TSS", GP, 0, 0, "mov $0x600, %%edx", "in %%dx, %%al");
    tss.iomap = sizeof tss;
}

static void test_alignment(void)
{
    word cr0 = cr0_read();
    group("#AC");
#define ALIGNMENT(name, vector, flags, text)                                                                           \
    (USER_FAULT_WITH(flags, asm volatile(MARK text ::: "memory", "eax")), check_fault(name, vector, 0, 0))
    cr0_write(cr0 | CR0_AM);
    qemu_is_wrong("#AC is not emulated");
    ALIGNMENT("dword at level 3", AC, F_AC | 2, "mov scratch + 1, %%eax");
    qemu_is_wrong("#AC is not emulated");
    ALIGNMENT("word at level 3", AC, F_AC | 2, "mov scratch + 1, %%ax");
    qemu_is_wrong("#AC is not emulated");
    ALIGNMENT("write at level 3", AC, F_AC | 2, "incw scratch + 3");
    ALIGNMENT("byte", NO_FAULT, F_AC | 2, "mov scratch + 1, %%al");
    ALIGNMENT("aligned", NO_FAULT, F_AC | 2, "mov scratch + 4, %%eax");
    ALIGNMENT("without EFLAGS.AC", NO_FAULT, 2, "mov scratch + 1, %%eax");
    EXPECT("at level 0", NO_FAULT, 0, 0, flags_write(F_AC | 2); asm volatile("mov scratch + 1, %%eax" ::: "eax"));
    flags_write(2);
    cr0_write(cr0 & ~(word)CR0_AM);
    ALIGNMENT("without CR0.AM", NO_FAULT, F_AC | 2, "mov scratch + 1, %%eax");
    cr0_write(cr0);
}

static void test_length(void)
{
    group("length");
    EXPECT_ASM("15 bytes", NO_FAULT, 0, 0, ".fill 14, 1, 0x66; nop");
    EXPECT_ASM("16 bytes", GP, 0, 0, ".fill 15, 1, 0x66; nop");
    EXPECT_ASM("16 bytes of an undefined instruction", GP, 0, 0, ".fill 15, 1, 0x66; ud2");
}

static void test_fpu(void)
{
    group("#MF, #XM");
    cr0_write(cr0_read() | CR0_NE);
    scratch[0] = 0x037b; /* #Z unmasked */
    EXPECT("#MF comes with the next x87 instruction", MF, 0, 0,
           asm volatile("fninit; fldcw scratch; fld1; fldz; fdivrp; nop;" MARK "fwait" ::: "memory"));
    EXPECT("fnstsw does not wait", NO_FAULT, 0, 0, asm volatile("fnstsw %%ax; fnclex; fninit" ::: "eax"));
    if (!cpu_has(HAS_SSE))
        return;
    cr4_write(cr4_read() | CR4_OSFXSR | CR4_OSXMMEXCPT);
    scratch[0] = 0x1f80 & ~BIT(9);
    scratch[4] = 0x3f800000;
    qemu_is_wrong("has no SSE exceptions");
    EXPECT("#XM", XM, 0, 0, asm volatile("ldmxcsr scratch; xorps %%xmm1, %%xmm1; movss scratch + 16, %%xmm0;"
                                         "shufps $0, %%xmm0, %%xmm0;" MARK "divps %%xmm1, %%xmm0" ::: "memory"));
    cr4_write(cr4_read() & ~(word)CR4_OSXMMEXCPT);
    qemu_is_wrong("has no SSE exceptions");
    EXPECT("#UD without CR4.OSXMMEXCPT", UD, 0, 0, asm volatile(MARK "divps %%xmm1, %%xmm0" ::: "memory"));
    cr4_write(cr4_read() | CR4_OSXMMEXCPT);
    scratch[0] = 0x1f80;
    asm volatile("ldmxcsr scratch" ::: "memory");
    scratch[0] = BIT(16);
    qemu_is_wrong("does not check it");
    EXPECT_ASM("ldmxcsr of a reserved bit", GP, 0, 0, "ldmxcsr scratch");
    EXPECT_ASM("movaps misaligned", GP, 0, 0, "movaps scratch + 4, %%xmm0");
    EXPECT_ASM("movups misaligned", NO_FAULT, 0, 0, "movups scratch + 4, %%xmm0");
    EXPECT_ASM("addps misaligned", GP, 0, 0, "addps scratch + 4, %%xmm0");
    EXPECT_ASM("fxsave misaligned", GP, 0, 0, "fxsave scratch + 8");
}

static void test_return(void)
{
    group("iret");
#if BITS == 64
    EXPECT_PRE("with NT", GP, 0, 0, "push $0x10; push %%rsp; push $2; push $8; push $1f; push $0x4000; popf",
               "iretq; 1:");
    flags_write(2);
    EXPECT_PRE("to null CS", GP, 0, 0, "mov %%rsp, %%rax; push $0x10; push %%rax; push $2; push $0; push $1f",
               "iretq; 1:");
    EXPECT_PRE("to data", GP, 0x10, 0, "mov %%rsp, %%rax; push $0x10; push %%rax; push $2; push $0x10; push $1f",
               "iretq; 1:");
    EXPECT_PRE("to null SS at level 3", GP, 0, 0,
               "mov %%rsp, %%rax; push $0; push %%rax; push $2; push $0x2b; push $1f",
               "iretq; 1:");
#else
    tss.link = 0x10;
    EXPECT_PRE("with NT and no task to go back to", TS, 0x10, 0, "push $2; push $8; push $1f; push $0x4000; popf",
               "iret; 1:");
    flags_write(2);
    EXPECT_PRE("to null CS", GP, 0, 0, "push $2; push $0; push $1f", "iret; 1:");
    EXPECT_PRE("to data", GP, 0x10, 0, "push $2; push $0x10; push $1f", "iret; 1:");
    EXPECT_PRE("to null SS at level 3", GP, 0, 0, "push $0; push $0; push $2; push $0x1b; push $1f", "iret; 1:");
    EXPECT_PRE("to level 3 code not conforming, RPL 0", GP, 0x18, 0, "push $2; push $0x18; push $1f", "iret; 1:");
#endif
    EXPECT_USER_PRE("to an inner level", GP, 8, 0, "push $0x10; push $0; push $2; push $8; push $0",
                    IRET);
}

#if BITS == 64
#define FAR_AWAY "mov $1, %%eax; shl $47, %%rax" /* the first address that is not canonical */

static void test_canonical(void)
{
    group("canonical");
    EXPECT_PRE("read", GP, 0, 0, FAR_AWAY, "mov (%%rax), %%ecx");
    qemu_is_wrong("#GP for the stack too");
    EXPECT("read on the stack", SS, 0, 0,
           asm volatile(FAR_AWAY "; push %%rbp; mov %%rax, %%rbp;" MARK "mov (%%rbp), %%ecx" ::: "rax", "rcx"));
    qemu_is_wrong("#GP for the stack too");
    EXPECT_USER_PRE("push", SS, 0, 0, FAR_AWAY "; lea 8(%%rax), %%rsp", "push %%rax");
    qemu_is_wrong("faults at the target");
    EXPECT_PRE("jmp", GP, 0, 0, FAR_AWAY, "jmp *%%rax");
    qemu_is_wrong("faults at the target");
    EXPECT_PRE("call", GP, 0, 0, FAR_AWAY, "call *%%rax");
    qemu_is_wrong("faults at the target");
    EXPECT_PRE("ret", GP, 0, 0, FAR_AWAY "; push %%rax", "ret");
    qemu_is_wrong("faults at the target");
    EXPECT_PRE("iret", GP, 0, 0, FAR_AWAY "; mov %%rsp, %%rcx; push $0x10; push %%rcx; push $2; push $8; push %%rax",
               "iretq");
    EXPECT_PRE("invlpg does nothing", NO_FAULT, 0, 0, FAR_AWAY, "invlpg (%%rax)");
    qemu_is_wrong("does not check it");
    EXPECT("LSTAR", GP, 0, ANY_IP, msr_write(0xc0000082, BIT64(63)));
    qemu_is_wrong("does not check it");
    EXPECT("FS base", GP, 0, ANY_IP, msr_write(0xc0000100, BIT64(63)));
    struct TableRegister wrong = { 0xffff, BIT64(63) };
    qemu_is_wrong("does not check the base");
    EXPECT("lgdt", GP, 0, 0, asm volatile(MARK "lgdt %0" :: "m"(wrong)));
    asm volatile("lgdt %0" :: "m"(gdt_register));
    qemu_is_wrong("does not check it");
    EXPECT_PRE("clflush", GP, 0, 0, FAR_AWAY, "clflush (%%rax)");
    EXPECT_PRE("prefetch does nothing", NO_FAULT, 0, 0, FAR_AWAY, "prefetchnta (%%rax)");
    EXPECT_PRE("nop does nothing", NO_FAULT, 0, 0, FAR_AWAY, "nopl (%%rax)");
    EXPECT_PRE("lea does nothing", NO_FAULT, 0, 0, FAR_AWAY, "lea (%%rax), %%ecx");
}

#define BEHIND "mov $32, %%ecx; mov $1, %%eax; shl $32, %%rax" /* 4 GiB: the first address that is not mapped */

static void expect_page_fault(const char *name, u32 error, word address, int offset)
{
    if (check_fault(name, PF, error, offset))
        check("CR2", fault.cr2 == address, "%s: CR2 0x%lx, expected 0x%lx", name, (unsigned long)fault.cr2,
              (unsigned long)address);
}

static void test_page(void)
{
    const word behind = BIT64(32);
    group("#PF");
#define PAGE_FAULT(name, error, address, text)                                                                         \
    (FAULT_OF(asm volatile(BEHIND "\n" MARK text ::: "memory", "cc", CLOBBERS)),                                       \
     expect_page_fault(name, error, address, 0))
#define PAGE_FAULT_USER(name, error, address, offset, text)                                                            \
    (USER_FAULT_OF(asm volatile(BEHIND "\n" MARK text ::: "memory", "cc", CLOBBERS)),                                  \
     expect_page_fault(name, error, address, offset))
    PAGE_FAULT("read", 0, behind, "mov (%%rax), %%ecx");
    PAGE_FAULT("write", 2, behind, "mov %%ecx, (%%rax)");
    qemu_is_wrong("reads first");
    PAGE_FAULT("add", 2, behind, "add %%ecx, (%%rax)");
    PAGE_FAULT("cmp", 0, behind, "cmp %%ecx, (%%rax)");
    qemu_is_wrong("reads first");
    PAGE_FAULT("cmpxchg", 2, behind, "cmpxchg %%ecx, (%%rax)");
    qemu_is_wrong("reads first");
    PAGE_FAULT("bts reaches beyond its operand", 2, behind + 4, "btsl %%ecx, (%%rax)");
    PAGE_FAULT("across the edge", 0, behind, "mov -2(%%rax), %%ecx");
    PAGE_FAULT_USER("read at level 3", 4, behind, 0, "mov (%%rax), %%ecx");
    PAGE_FAULT_USER("write at level 3", 6, behind, 0, "mov %%ecx, (%%rax)");
    FAULT_OF(enter_user(2); asm volatile(BEHIND "; lea 16(%%rax), %%rsp;" MARK "push %%rax" ::: "memory", CLOBBERS));
    expect_page_fault("push at level 3", 6, behind + 8, 0);
    FAULT_OF(asm volatile(BEHIND ";" MARK "call *%%rax" ::: "memory", CLOBBERS));
    check("fetch", fault.vector == PF && fault.ip == behind && fault.cr2 == behind && fault.error == 0,
          "vector %d error 0x%x ip 0x%lx", fault.vector, fault.error, (unsigned long)fault.ip);
    msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_NXE);
    USER_FAULT_OF(asm volatile(BEHIND ";" MARK "call *%%rax" ::: "memory", CLOBBERS));
    check("fetch at level 3 with EFER.NXE", fault.vector == PF && fault.ip == behind && fault.error == 0x14,
          "vector %d error 0x%x ip 0x%lx", fault.vector, fault.error, (unsigned long)fault.ip);
    msr_write(MSR_EFER, msr_read(MSR_EFER) & ~(u64)EFER_NXE);
    FAULT_OF(asm volatile(BEHIND "; lea -8(%%rax), %%rsi; mov $scratch, %%edi; mov $16, %%ecx;" MARK "rep movsb"
                          ::: "memory", CLOBBERS));
    expect_page_fault("rep movsb", 0, behind, 0);
    check("rep movsb stops where it faults", fault.frame.cx == 8 && fault.frame.si == behind &&
          fault.frame.di == (word)scratch + 8, "rcx 0x%lx rsi 0x%lx", (unsigned long)fault.frame.cx,
          (unsigned long)fault.frame.si);
    FAULT_OF(asm volatile(BEHIND "; mov $7, %%edx;" MARK "xadd %%edx, (%%rax)" ::: "memory", CLOBBERS));
    qemu_is_wrong("reads first");
    expect_page_fault("xadd", 2, behind, 0);
    check_equal("xadd leaves the register", fault.frame.dx, 7);
    FAULT_OF(asm volatile(BEHIND ";" MARK "mov (%%rax), %%rax" ::: "memory", CLOBBERS));
    check_equal("a load leaves the register", fault.frame.ax, behind);
    FAULT_OF(asm volatile(BEHIND ";" MARK "lodsl" : : "S"(behind) : "memory", "eax", "ecx"));
    check_equal("lods leaves rsi", fault.frame.si, behind);
}
#endif

void guest_main(void)
{
    test_divide();
    test_traps();
    test_gate_kinds();
    test_undefined();
    test_device_not_available();
    test_double();
    test_selectors();
    test_control_registers();
    test_level_3();
    test_alignment();
    test_length();
    test_fpu();
    test_return();
#if BITS == 64
    test_canonical();
    test_page();
#endif
}
