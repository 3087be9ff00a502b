/*
 * Model-specific registers, and the fast ways in and out: SYSENTER, SYSEXIT, SYSCALL, SYSRET (SDM vol. 2, vol. 3A
 * 5.8.7, vol. 4; AMD APM vol. 2 6.1).
 */
#include "lib/guest.h"

enum {
    MSR_TSC = 0x10, MSR_APIC_BASE = 0x1b, MSR_TSC_ADJUST = 0x3b, MSR_MTRRCAP = 0xfe, MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_MISC_ENABLE = 0x1a0, MSR_MTRR_BASE0 = 0x200, MSR_MTRR_MASK0,
    MSR_MTRR_FIX64K = 0x250, MSR_PAT = 0x277, MSR_MTRR_DEFTYPE = 0x2ff,
    MSR_STAR = 0xc0000081, MSR_LSTAR, MSR_CSTAR, MSR_SFMASK, MSR_FS_BASE = 0xc0000100, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
    MSR_TSC_AUX,
    CR4_FSGSBASE = 1 << 16,
};

static int read_fault(u32 n) { return FAULT_OF(msr_read(n)); }
static int write_fault(u32 n, u64 v) { return FAULT_OF(msr_write(n, v)); }
#define REFUSES(name, n, v) check_equal(name, (u64)write_fault(n, v), GP)
#define TAKES(name, n, v)                                                                                              \
    do {                                                                                                               \
        u64 old_ = msr_read(n);                                                                                        \
        check_equal(name, (u64)write_fault(n, v), (u64)NO_FAULT);                                                      \
        check_equal(name ", read back", msr_read(n), v);                                                               \
        msr_write(n, old_);                                                                                            \
    } while (0)

static void test_unknown(void)
{
    static const u32 numbers[] = { 0xdeadbeef, 0x12345678, 0xc000f000, 0x3fff };
    group("unknown");
    for (unsigned k = 0; k < COUNT(numbers); k++) {
        qemu_is_wrong("reads 0");
        check_equal("read", read_fault(numbers[k]), GP);
        qemu_is_wrong("ignores it");
        check_equal("write", write_fault(numbers[k], 0), GP);
    }
    if (cpu_has(HAS_NX))
        NOT_ON_QEMU("saved ip", "does not check EFER",
                    EXPECT_PRE("saved ip", GP, 0, 0, "mov $0xc0000080, %%ecx; mov $-1, %%eax; mov $-1, %%edx",
                               "wrmsr"));
}

static void test_types(void)
{
    group("PAT");
    check_equal("as a BIOS leaves it", msr_read(MSR_PAT), 0x0007040600070406);
    TAKES("all types", MSR_PAT, 0x0001040506070001);
    qemu_is_wrong("does not check it");
    REFUSES("type 2", MSR_PAT, 0x0007040600070402);
    qemu_is_wrong("does not check it");
    REFUSES("type 8", MSR_PAT, 0x0007040600070408);
    msr_write(MSR_PAT, 0x0007040600070406);
    group("MTRR");
    u64 cap = msr_read(MSR_MTRRCAP);
    check("variable ranges", (cap & 255) >= 8 && (cap & BIT(8)), "MTRRcap 0x%llx", (unsigned long long)cap);
    qemu_is_wrong("ignores it");
    REFUSES("MTRRcap is read-only", MSR_MTRRCAP, cap);
    TAKES("base", MSR_MTRR_BASE0 + 14, 0x80000006);
    TAKES("mask", MSR_MTRR_MASK0 + 14, 0xffff0800);
    qemu_is_wrong("does not check it");
    REFUSES("base of type 2", MSR_MTRR_BASE0 + 14, 2);
    qemu_is_wrong("does not check it");
    REFUSES("base with bit 8", MSR_MTRR_BASE0 + 14, 0x100);
    qemu_is_wrong("does not check it");
    REFUSES("mask above the address width", MSR_MTRR_MASK0 + 14, BIT64(60));
    TAKES("fixed ranges", MSR_MTRR_FIX64K, 0x0606060606060600);
    qemu_is_wrong("does not check it");
    REFUSES("fixed range of type 3", MSR_MTRR_FIX64K, 3);
    qemu_is_wrong("does not check it");
    REFUSES("default type 7", MSR_MTRR_DEFTYPE, 0xc07);
}

static void test_efer(void)
{
    group("EFER");
    u64 efer = msr_read(MSR_EFER);
    check_equal("LME and LMA", efer & (EFER_LME | EFER_LMA), BITS == 64 ? EFER_LME | EFER_LMA : 0);
    qemu_is_wrong("ignores it");
    REFUSES("reserved bit 1", MSR_EFER, efer | 2);
    qemu_is_wrong("ignores it");
    REFUSES("reserved bit 40", MSR_EFER, efer | BIT64(40));
    TAKES("NXE", MSR_EFER, efer | EFER_NXE);
    if (cpu_has(HAS_LM)) /* HAS_SYSCALL shows in 64-bit mode only on Intel's processors */
        TAKES("SCE", MSR_EFER, efer | EFER_SCE);
}

static void test_time(void)
{
    if (cpu_has(HAS_MTRR)) { /* the P6 family and what came later */
        group("APIC_BASE");
        check_equal("boot processor, enabled, FEE00000h", msr_read(MSR_APIC_BASE) & ~(u64)0x400, 0xfee00900);
    }
    group("time");
    u64 a = msr_read(MSR_TSC), b = tsc(), c = msr_read(MSR_TSC);
    qemu_is_wrong("reads the MSR as 0");
    check("the TSC goes on", a <= b && b <= c && a < c, "0x%llx 0x%llx 0x%llx", (unsigned long long)a,
          (unsigned long long)b, (unsigned long long)c);
    msr_write(MSR_TSC, BIT64(50));
    b = tsc();
    qemu_is_wrong("ignores it");
    check("the TSC can be set", b >= BIT64(50) && b < BIT64(50) + BIT64(34), "0x%llx", (unsigned long long)b);
    if (cpuid(0, 0).a >= 7 && (cpuid(7, 0).b & 2)) {
        u64 adjust = msr_read(MSR_TSC_ADJUST);
        a = tsc();
        msr_write(MSR_TSC_ADJUST, adjust - BIT64(49));
        b = tsc();
        qemu_is_wrong("ignores it");
        check("TSC_ADJUST moves it", b < a - BIT64(48) && b > a - BIT64(50), "0x%llx after 0x%llx",
              (unsigned long long)b, (unsigned long long)a);
    }
    msr_write(MSR_TSC, 0);
    if (cpu_has(HAS_LM) && (cpuid(0x80000001, 0).d & BIT(27))) {
        u32 aux, low, high;
        TAKES("TSC_AUX", MSR_TSC_AUX, 0x1234567);
        qemu_is_wrong("does not check it");
        if (is_amd())
            skip("TSC_AUX of 33 bits", "AMD's processors drop the upper half");
        else
            REFUSES("TSC_AUX of 33 bits", MSR_TSC_AUX, BIT64(32));
        msr_write(MSR_TSC_AUX, 0xabcd);
        asm volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux));
        check_equal("rdtscp", aux, 0xabcd);
        cr4_write(cr4_read() | CR4_TSD);
        EXPECT_USER_ASM("rdtscp at level 3 with CR4.TSD", GP, 0, 0, "rdtscp");
        cr4_write(cr4_read() & ~(word)CR4_TSD);
        if (cpuid(0, 0).a >= 7 && (cpuid(7, 0).c & BIT(22))) {
            word v;
            asm volatile(".byte 0xf3, 0x0f, 0xc7, 0xf8" : "=a"(v)); /* rdpid */
            check_equal("rdpid", v, 0xabcd);
        }
    } else {
        skip("rdtscp", "the processor lacks it");
    }
}

/* ---- SYSENTER and SYSEXIT ---- */

u32 entered_cs, entered_ss;
word entered_flags, entered_sp, entered_stack[64], entered_rcx, entered_r11;

#if BITS == 64
#define SYSEXIT "sysexitq"
#define STORE_SP "mov %rsp, entered_sp"
#define SP_NAME "rsp"
#define REG_C2 "%%rcx"
#else
#define SYSEXIT "sysexit"
#define STORE_SP "mov %esp, entered_sp"
#define SP_NAME "esp"
#define REG_C2 "%%ecx"
#endif
asm(".text\n"
    "sysenter_entry: " STORE_SP "; mov %cs, entered_cs; mov %ss, entered_ss; pushf; pop entered_flags; " SYSEXIT "\n");
extern u8 sysenter_entry[];

static void test_sysenter(void)
{
    volatile u32 cs = 0, ss = 0;
    group("sysenter");
    if (!(cpuid(1, 0).d & BIT(11))) {
        skip("all", "the processor lacks it");
        return;
    }
    if (BITS == 64 && is_amd()) {
        EXPECT_USER_ASM("sysenter is not AMD's in long mode", UD, 0, 0, "sysenter");
        EXPECT_ASM("sysexit is not AMD's in long mode", UD, 0, 0, SYSEXIT);
        return;
    }
    msr_write(MSR_SYSENTER_CS, 0);
    EXPECT_USER_ASM("with SYSENTER_CS = 0", GP, 0, 0, "sysenter");
    msr_write(MSR_SYSENTER_CS, KERNEL_CS);
    TAKES("SYSENTER_ESP", MSR_SYSENTER_ESP, 0x12345678);
    TAKES("SYSENTER_EIP", MSR_SYSENTER_EIP, 0x87654321);
    msr_write(MSR_SYSENTER_ESP, (word)(entered_stack + COUNT(entered_stack)));
    msr_write(MSR_SYSENTER_EIP, (word)sysenter_entry);
    if (BITS == 64) {
        qemu_is_wrong("does not check it");
        REFUSES("SYSENTER_EIP not canonical", MSR_SYSENTER_EIP, BIT64(63));
        msr_write(MSR_SYSENTER_EIP, (word)sysenter_entry);
    }
    USER_FAULT_WITH(F_IF | 2 | F_CF, {
        asm volatile("mov $1f, %%edx; mov %%" SP_NAME ", " REG_C2 "; sysenter; 1:" ::: "ecx", "edx", "memory", "cc");
        asm volatile("mov %%cs, %0; mov %%ss, %1" : "=m"(cs), "=m"(ss));
    });
    check_fault("to level 0 and back", NO_FAULT, 0, 0);
    check_equal("CS", entered_cs & 0xffff, KERNEL_CS);
    check_equal("SS", entered_ss & 0xffff, KERNEL_DS);
    check_equal("SP", entered_sp, (word)(entered_stack + COUNT(entered_stack)));
    check("IF is cleared", !(entered_flags & F_IF), "flags 0x%lx", (unsigned long)entered_flags);
    check_equal("CS behind", cs & 0xffff, USER_CS);
    check_equal("SS behind", ss & 0xffff, BITS == 64 ? 0x33 : USER_DS);
}

#if BITS == 64
asm(".text\n"
    "syscall_entry: mov %cs, entered_cs; mov %ss, entered_ss; mov %rcx, entered_rcx; mov %r11, entered_r11\n"
    "  mov %rsp, entered_sp; mov $entered_stack + 512, %esp; pushf; pop entered_flags; mov entered_sp, %rsp; sysretq\n"
    "syscall_entry32: mov $compat_code, %ecx; sysretl\n"
    ".code32\ncompat_code: mov %cs, entered_cs; mov %ss, entered_ss; .byte 0x40; mov %eax, entered_sp; int $0x81\n"
    ".code64\n");
extern u8 syscall_entry[], syscall_entry32[];

static void test_syscall(void)
{
    volatile u32 cs = 0, ss = 0;
    volatile word flags = 0;
    static volatile word next;
    group("syscall");
    EXPECT_ASM("without EFER.SCE", UD, 0, 0, "syscall");
    EXPECT_ASM("sysret without EFER.SCE", UD, 0, 0, "sysretq");
    msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_SCE);
    msr_write(MSR_STAR, (u64)(USER_CS32) << 48 | (u64)KERNEL_CS << 32);
    msr_write(MSR_LSTAR, (word)syscall_entry);
    msr_write(MSR_SFMASK, F_IF | F_CF);
    USER_FAULT_WITH(F_IF | F_CF | F_ZF | 2, {
        asm volatile("movq $1f, %0; syscall; 1:" : "=m"(next) :: "rcx", "r11", "memory", "cc");
        flags = flags_read();
        asm volatile("mov %%cs, %0; mov %%ss, %1" : "=m"(cs), "=m"(ss));
    });
    check_fault("to level 0 and back", NO_FAULT, 0, 0);
    check_equal("CS", entered_cs & 0xffff, KERNEL_CS);
    check_equal("SS", entered_ss & 0xffff, KERNEL_DS);
    check_equal("RCX is the next instruction", entered_rcx, next);
    check_equal("R11 is the flags", entered_r11 & (F_IF | F_CF | F_ZF | F_RF), F_IF | F_CF | F_ZF);
    qemu_is_wrong("clears the arithmetic flags too");
    check_equal("flags of SFMASK are cleared", entered_flags & (F_IF | F_CF | F_ZF), F_ZF);
    check_equal("CS behind", cs & 0xffff, USER_CS64);
    check_equal("SS behind", ss & 0xffff, USER_DS);
    check_equal("flags behind", flags & (F_IF | F_CF | F_ZF), F_IF | F_CF | F_ZF);
    msr_write(MSR_LSTAR, (word)syscall_entry32);
    USER_FAULT_OF(asm volatile("mov $41, %%eax; syscall" ::: "rax", "rcx", "r11", "memory"));
    check_fault("sysret to 32-bit code", NO_FAULT, 0, 0);
    check_equal("its CS", entered_cs & 0xffff, USER_CS32);
    check_equal("it runs in 32-bit mode", entered_sp & 0xffffffff, 42);
    EXPECT_USER_ASM("sysret at level 3", GP, 0, 0, "sysretq");
    msr_write(MSR_EFER, msr_read(MSR_EFER) & ~(u64)EFER_SCE);
}

static void test_bases(void)
{
    word v;
    group("bases");
    TAKES("FS base", MSR_FS_BASE, 0x123456789000);
    TAKES("GS base", MSR_GS_BASE, 0xffff800000000000);
    msr_write(MSR_GS_BASE, 0x1000);
    msr_write(MSR_KERNEL_GS_BASE, 0x2000);
    asm volatile("swapgs");
    check("swapgs", msr_read(MSR_GS_BASE) == 0x2000 && msr_read(MSR_KERNEL_GS_BASE) == 0x1000, "GS base 0x%llx",
          (unsigned long long)msr_read(MSR_GS_BASE));
    entered_stack[5] = 0x55;
    msr_write(MSR_GS_BASE, (word)entered_stack);
    asm volatile("mov %%gs:40, %0" : "=r"(v) :: "memory");
    check_equal("an access through it", v, 0x55);
    asm volatile("mov %0, %%gs" :: "r"(KERNEL_DS));
    check_equal("a descriptor's base takes its place", msr_read(MSR_GS_BASE), 0);
    if (!(cpuid(7, 0).b & 1)) {
        skip("FSGSBASE", "the processor lacks it");
        return;
    }
    EXPECT_ASM("rdfsbase without CR4.FSGSBASE", UD, 0, 0, ".byte 0xf3, 0x48, 0x0f, 0xae, 0xc0");
    cr4_write(cr4_read() | CR4_FSGSBASE);
    asm volatile("wrfsbase %1; rdfsbase %0" : "=r"(v) : "r"((word)0x7ffff0001000));
    check_equal("wrfsbase, rdfsbase", v, 0x7ffff0001000);
    check_equal("the same in the MSR", msr_read(MSR_FS_BASE), 0x7ffff0001000);
    qemu_is_wrong("does not check it");
    EXPECT("wrgsbase not canonical", GP, 0, 0, asm volatile(MARK "wrgsbase %0" :: "r"(BIT64(63))));
    cr4_write(cr4_read() & ~(word)CR4_FSGSBASE);
    msr_write(MSR_FS_BASE, 0);
    msr_write(MSR_GS_BASE, 0);
}
#endif

void guest_main(void)
{
    if (!cpu_has(HAS_MSR)) {
        skip("all", "the processor lacks them");
        return;
    }
    test_unknown();
    if (cpu_has(HAS_MTRR) && cpu_has(HAS_PAT))
        test_types();
    if (cpu_has(HAS_NX))
        test_efer();
    test_time();
    test_sysenter();
#if BITS == 64
    test_syscall();
    test_bases();
#endif
}
