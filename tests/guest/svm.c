/*
 * Secure virtual machines: VMRUN and #VMEXIT of each kind, injection, virtual interrupts, nested paging (AMD APM vol. 2
 * chapter 15).  The guests within this guest are short runs of instructions that end with VMMCALL.
 */
#include "lib/guest.h"

enum { PAGE = 4096, P_P = 1, P_W = 2, P_U = 4, P_A = 32, P_D = 64, P_PS = 128, P_ALL = 7 };
#define P_NX BIT64(63)
enum { MSR_PAT = 0x277, MSR_TSC_RATIO = 0xc0000104, MSR_VM_CR = 0xc0010114, MSR_VM_HSAVE = 0xc0010117,
       MSR_STAR = 0xc0000081, EFER_SVME = 0x1000 };
enum { LAPIC_EOI = 0xb0, LAPIC_SVR = 0xf0, LAPIC_ICR = 0x300, ICR_SELF = 1 << 18, VECTOR = 0x50 };

/* Fields of the VMCB, by offset. */
static u8 vmcb[PAGE] __attribute__((aligned(4096))), hsave[PAGE] __attribute__((aligned(4096))),
    iopm[3 * PAGE] __attribute__((aligned(4096))), msrpm[2 * PAGE] __attribute__((aligned(4096))),
    guest_stack[2 * PAGE] __attribute__((aligned(4096)));
u8 data[2 * PAGE] __attribute__((aligned(4096))); /* guests name it */
#define V8(at) (*(volatile u8 *)(vmcb + (at)))
#define V16(at) (*(volatile u16 *)(vmcb + (at)))
#define V32(at) (*(volatile u32 *)(vmcb + (at)))
#define V64(at) (*(volatile u64 *)(vmcb + (at)))
enum {
    IOPM = 0x40, MSRPM = 0x48, TSC_OFFSET = 0x50, ASID = 0x58, TLB_CONTROL = 0x5c, INT_CTL = 0x60, INT_VECTOR = 0x64,
    INT_STATE = 0x68, EXITCODE = 0x70, INFO1 = 0x78, INFO2 = 0x80, EXITINTINFO = 0x88, NESTED = 0x90, EVENTINJ = 0xa8,
    NESTED_CR3 = 0xb0, VIRT_EXT = 0xb8, NEXT_RIP = 0xc8, V_ES = 0x400, V_CS = 0x410, V_SS = 0x420, V_DS = 0x430,
    GDTR = 0x460, IDTR = 0x480, V_EFER = 0x4d0, V_CR4 = 0x548, V_CR3 = 0x550, V_CR0 = 0x558, V_DR7 = 0x560, V_DR6 = 0x568,
    V_RFLAGS = 0x570, V_RIP = 0x578, V_RSP = 0x5d8, V_RAX = 0x5f8, V_CR2 = 0x640, V_PAT = 0x668,
    V_IRQ = 1 << 8, V_INTR_PRIO = 1 << 16, V_IGN_TPR = 1 << 20, V_INTR_MASKING = 1 << 24, V_GIF_ENABLE = 1 << 25,
};
/* Exit codes, which are the intercepts' bits. */
enum {
    X_CR0_READ = 0, X_CR3_READ = 3, X_CR0_WRITE = 0x10, X_CR3_WRITE = 0x13, X_CR4_WRITE = 0x14, X_DR0_READ = 0x20,
    X_DR7_WRITE = 0x37, X_EXCEPTION = 0x40, X_INTR = 0x60, X_NMI, X_VINTR = 0x64, X_CR0_SEL, X_SIDT, X_SGDT, X_SLDT,
    X_STR, X_LIDT, X_LGDT, X_LLDT, X_LTR, X_RDTSC, X_RDPMC, X_PUSHF, X_POPF, X_CPUID, X_RSM, X_IRET, X_INT, X_INVD,
    X_PAUSE, X_HLT, X_INVLPG, X_INVLPGA, X_IOIO, X_MSR, X_TASK, X_SHUTDOWN = 0x7f, X_VMRUN, X_VMMCALL, X_VMLOAD,
    X_VMSAVE, X_STGI, X_CLGI, X_RDTSCP = 0x87, X_ICEBP, X_WBINVD, X_INVPCID = 0xa2, X_NPF = 0x400,
};
#define X_INVALID (~(u64)0)
#define EVENT_VALID BIT64(31)

/* A guest: what it executes, and the address of its VMMCALL, `NAME_end`. */
#define GUEST(name, text)                                                                                              \
    asm(".pushsection .text\n" #name ": " text "\n" #name "_end: vmmcall\n1: jmp 1b\n.popsection");                     \
    extern const u8 name[], name##_end[];
#if BITS == 64
#define WIDE "q"
#define AX "%rax"
#define SP "%rsp"
#else
#define WIDE "l"
#define AX "%eax"
#define SP "%esp"
#endif

word intercepted[8]; /* copies of descriptor tables for SGDT and the like */
GUEST(g_nothing, "nop")

static void intercept(unsigned code, bool on)
{
    u32 bit = BIT(code & 31);
    V32(code / 32 * 4) = on ? V32(code / 32 * 4) | bit : V32(code / 32 * 4) & ~bit;
}

static void set_segment(unsigned at, unsigned sel, unsigned attr)
{
    V16(at) = sel;
    V16(at + 2) = attr;
    V32(at + 4) = 0xffffffff;
    V64(at + 8) = 0;
}

static void set_table(unsigned at, const struct TableRegister *t)
{
    V32(at + 4) = t->limit;
    V64(at + 8) = t->base;
}

/* A guest in the host's own mode and memory. */
static void vmcb_prepare(void)
{
    memset(vmcb, 0, sizeof vmcb);
    set_segment(V_CS, BITS == 64 ? KERNEL_CS : KERNEL_CS32, BITS == 64 ? 0xa9b : 0xc9b);
    set_segment(V_SS, KERNEL_DS, 0xc93);
    set_segment(V_DS, KERNEL_DS, 0xc93);
    set_segment(V_ES, KERNEL_DS, 0xc93);
    set_table(GDTR, &gdt_register);
    set_table(IDTR, &idt_register);
    V32(ASID) = 1;
    V64(IOPM) = (word)iopm;
    V64(MSRPM) = (word)msrpm;
    V64(V_CR0) = cr0_read();
    V64(V_CR3) = cr3_read();
    V64(V_CR4) = cr4_read();
    V64(V_EFER) = msr_read(MSR_EFER);
    V64(V_DR6) = 0xffff0ff0;
    V64(V_DR7) = 0x400;
    V64(V_RFLAGS) = 2;
    V64(V_PAT) = msr_read(MSR_PAT);
    V8(TLB_CONTROL) = 1;
    intercept(X_VMRUN, true);
    intercept(X_VMMCALL, true);
    intercept(X_SHUTDOWN, true);
}

/* Runs the VMCB; GIF is clear behind it, as #VMEXIT leaves it. */
static void vmrun_raw(void)
{
    word pa = (word)vmcb;
#if BITS == 64
    asm volatile("push %%rbp; push %%rbx; vmrun; pop %%rbx; pop %%rbp" : "+a"(pa) ::"rcx", "rdx", "rsi", "rdi", "r8",
                 "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
#else
    asm volatile("push %%ebp; push %%ebx; vmrun; pop %%ebx; pop %%ebp" : "+a"(pa) ::"ecx", "edx", "esi", "edi",
                 "memory", "cc");
#endif
}

static void stgi(void) { asm volatile("stgi" ::: "memory"); }
static void clgi(void) { asm volatile("clgi" ::: "memory"); }

static u64 go_on(void)
{
    vmrun_raw();
    stgi();
    return V64(EXITCODE);
}

static u64 run(const u8 *guest)
{
    V64(V_RIP) = (word)guest;
    V64(V_RSP) = (word)guest_stack + PAGE;
    return go_on();
}

static unsigned supported(unsigned bit) { return cpuid(0x8000000a, 0).d >> bit & 1; }
enum { HAS_NPT = 0, HAS_LBRV, HAS_NRIP = 3, HAS_SCALE, HAS_ASSISTS = 7, HAS_VGIF = 16 };

static bool check_exit(const char *name, u64 code, u64 info1, u64 info2)
{
    return check(name, V64(EXITCODE) == code && V64(INFO1) == info1 && V64(INFO2) == info2,
                 "exit 0x%llx 0x%llx 0x%llx, expected 0x%llx 0x%llx 0x%llx", (unsigned long long)V64(EXITCODE),
                 (unsigned long long)V64(INFO1), (unsigned long long)V64(INFO2), (unsigned long long)code,
                 (unsigned long long)info1, (unsigned long long)info2);
}

/* What came to the guest's handlers. */
static volatile u32 count[256];
static volatile word last_ip;
static volatile word last_error;

static void note(Frame *f)
{
    count[f->vector] = count[f->vector] + 1;
    last_ip = f->ip;
    last_error = f->error;
    if (f->vector == UD)
        f->ip += 2;
}

static void forget(void)
{
    for (unsigned k = 0; k < 256; k++)
        count[k] = 0;
    last_ip = last_error = 0;
}

/* ---- instructions ---- */

static void test_gate(void)
{
    group("gate");
    word pa = (word)vmcb;
    msr_write(MSR_EFER, msr_read(MSR_EFER) & ~(u64)EFER_SVME);
    EXPECT("VMRUN without SVME", UD, 0, 0, asm volatile(MARK "vmrun" ::"a"(pa) : "memory"));
    EXPECT("VMLOAD without SVME", UD, 0, 0, asm volatile(MARK "vmload" ::"a"(pa) : "memory"));
    EXPECT("CLGI without SVME", UD, 0, 0, asm volatile(MARK "clgi" ::: "memory"));
    msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_SVME);
    check("SVME is set", msr_read(MSR_EFER) & EFER_SVME, "EFER 0x%llx", (unsigned long long)msr_read(MSR_EFER));
    EXPECT("VMRUN of no page", GP, 0, 0, asm volatile(MARK "vmrun" ::"a"(pa + 8) : "memory"));
    EXPECT_USER("VMRUN at CPL 3", GP, 0, 0, asm volatile(MARK "vmrun" ::"a"(pa) : "memory"));
    EXPECT_USER("VMSAVE at CPL 3", GP, 0, 0, asm volatile(MARK "vmsave" ::"a"(pa) : "memory"));
    EXPECT_ASM("VMMCALL outside a guest", UD, 0, 0, "vmmcall");
    qemu_is_wrong("has SKINIT");
    EXPECT("SKINIT", UD, 0, 0, asm volatile(MARK ".byte 0x0f, 0x01, 0xde" ::"a"(0) : "memory"));
    qemu_is_wrong("does not check it");
    check_equal("VM_HSAVE_PA takes pages", (u64)FAULT_OF(msr_write(MSR_VM_HSAVE, 8)), GP);
    check_equal("VM_CR is open", msr_read(MSR_VM_CR) & 0x18, 0);
    check("ASIDs", cpuid(0x8000000a, 0).b >= 2, "%u", cpuid(0x8000000a, 0).b);
}

static void test_save(void)
{
    group("VMSAVE");
    word pa = (word)vmcb;
    msr_write(MSR_STAR, 0x123456789abcdef0);
    memset(vmcb, 0, sizeof vmcb);
    asm volatile("vmsave" ::"a"(pa) : "memory");
    check_equal("STAR", V64(0x600), 0x123456789abcdef0);
    check_equal("TR", V16(0x490), TSS_SEL);
    V64(0x600) = 0x1122334455667788;
    asm volatile("vmload" ::"a"(pa) : "memory");
    check_equal("VMLOAD of STAR", msr_read(MSR_STAR), 0x1122334455667788);
    qemu_is_wrong("shows a TSS that is not busy");
    check_equal("TR's attributes", V16(0x492) & 0xff, 0x8b);
    msr_write(MSR_STAR, 0);
}

/* Each guest: its first instruction is the one in question. */
GUEST(g_cpuid, "cpuid")
GUEST(g_rdtsc, "rdtsc")
GUEST(g_pushf, "pushf; pop " AX)
GUEST(g_popf, "popf; push $2; popf")
GUEST(g_pause, "pause")
GUEST(g_invd, "wbinvd")
GUEST(g_invlpg, "invlpg (" AX ")")
GUEST(g_int, "int $0x60")
GUEST(g_icebp, ".byte 0xf1")
GUEST(g_sgdt, "sgdt intercepted")
GUEST(g_sidt, "sidt intercepted")
GUEST(g_sldt, "sldt %ax")
GUEST(g_str, "str %ax")
GUEST(g_lgdt, "lgdt gdt_register")
GUEST(g_lidt, "lidt idt_register")
GUEST(g_mov_from_cr3, "mov %cr3, " AX)
GUEST(g_mov_to_cr3, "mov " AX ", %cr3")
GUEST(g_mov_from_cr0, "mov %cr0, " AX)
GUEST(g_smsw, "smsw %ax")
GUEST(g_clts, "clts")
GUEST(g_mov_from_dr0, "mov %dr0, " AX)
GUEST(g_mov_to_dr7, "mov " AX ", %dr7")
GUEST(g_vmsave, "vmsave")
GUEST(g_stgi, "stgi")
GUEST(g_invlpga, "invlpga")
GUEST(g_invpcid, "invpcid data, " AX)
GUEST(g_hlt, "hlt")
GUEST(g_rsm, "rsm")
GUEST(g_iret, "iret" WIDE)
GUEST(g_vmrun, "vmrun")

/* What decode assists say of an instruction: a GPR's number, a vector, an address. */
static u64 assist(u64 v) { return supported(HAS_ASSISTS) ? v : 0; }

static void test_one(const char *name, const u8 *guest, const u8 *end, unsigned code, unsigned length, u64 info,
                     u64 rax, bool goes_on)
{
    vmcb_prepare();
    group(name);
    intercept(code, true);
    V64(V_RAX) = rax;
    run(guest);
    if (info)
        qemu_is_wrong("has no decode assists");
    check_exit("is intercepted", code, info, 0);
    check_equal("RIP stays", V64(V_RIP), (word)guest);
    if (supported(HAS_NRIP))
        check_equal("nRIP", V64(NEXT_RIP), (word)guest + length);
    if (!goes_on)
        return;
    intercept(code, false);
    V64(V_RAX) = rax;
    run(guest);
    check_equal("is not", V64(EXITCODE), X_VMMCALL);
    check_equal("comes to its end", V64(V_RIP), (word)end);
}

#define ONE(name, guest, code, length, info, rax) test_one(name, guest, guest##_end, code, length, info, rax, true)
#define ONLY(name, guest, code, length) test_one(name, guest, guest##_end, code, length, 0, 0, false)

static void test_instructions(void)
{
    const u64 mov = BIT64(63);
    handlers[0x60] = note;
    ONE("CPUID", g_cpuid, X_CPUID, 2, 0, 0);
    ONE("RDTSC", g_rdtsc, X_RDTSC, 2, 0, 0);
    ONE("PUSHF", g_pushf, X_PUSHF, 1, 0, 0);
    ONE("POPF", g_popf, X_POPF, 1, 0, 0);
    ONE("PAUSE", g_pause, X_PAUSE, 2, 0, 0);
    ONE("WBINVD", g_invd, X_WBINVD, 2, 0, 0);
    ONE("INVLPG", g_invlpg, X_INVLPG, 3, assist((word)data), (word)data);
    ONE("INT n", g_int, X_INT, 2, assist(0x60), 0);
    ONE("SGDT", g_sgdt, X_SGDT, BITS == 64 ? 8 : 7, 0, 0);
    ONE("SIDT", g_sidt, X_SIDT, BITS == 64 ? 8 : 7, 0, 0);
    ONE("SLDT", g_sldt, X_SLDT, 4, 0, 0);
    ONE("STR", g_str, X_STR, 4, 0, 0);
    ONE("LGDT", g_lgdt, X_LGDT, BITS == 64 ? 8 : 7, 0, 0);
    ONE("LIDT", g_lidt, X_LIDT, BITS == 64 ? 8 : 7, 0, 0);
    ONE("MOV from CR3", g_mov_from_cr3, X_CR3_READ, 3, assist(mov), 0);
    ONE("MOV to CR3", g_mov_to_cr3, X_CR3_WRITE, 3, assist(mov), cr3_read());
    ONE("MOV from CR0", g_mov_from_cr0, X_CR0_READ, 3, assist(mov), 0);
    ONE("SMSW", g_smsw, X_CR0_READ, 4, 0, 0);
    ONE("CLTS", g_clts, X_CR0_WRITE, 2, 0, 0);
    ONE("MOV from DR0", g_mov_from_dr0, X_DR0_READ, 3, 0, 0);
    ONE("MOV to DR7", g_mov_to_dr7, X_DR7_WRITE, 3, 0, 0x400);
    NOT_ON_QEMU("VMSAVE", "always exits", ONE("VMSAVE", g_vmsave, X_VMSAVE, 3, 0, (word)data));
    ONE("STGI", g_stgi, X_STGI, 3, 0, 0);
    ONE("INVLPGA", g_invlpga, X_INVLPGA, 3, 0, (word)data);
    if (cpuid(7, 0).b & BIT(10)) {
        vmcb_prepare();
        group("INVPCID");
        intercept(X_INVPCID, true);
        V64(V_RAX) = 2;
        run(g_invpcid);
        check_exit("is intercepted with its operands", X_INVPCID, (word)data, 2);
    }
    ONLY("HLT", g_hlt, X_HLT, 1);
    NOT_ON_QEMU("RSM", "raises #UD", ONLY("RSM", g_rsm, X_RSM, 2));
    ONLY("IRET", g_iret, X_IRET, BITS == 64 ? 2 : 1);
    ONLY("VMRUN", g_vmrun, X_VMRUN, 3);
    NOT_ON_QEMU("ICEBP", "raises #UD", ONLY("ICEBP", g_icebp, X_ICEBP, 1));
}

GUEST(g_cr0_ts, "mov %cr0, " AX "; or $8, " AX "; mov " AX ", %cr0; clts")
GUEST(g_cr0_am, "mov %cr0, " AX "; xor $0x40000, " AX "; mov " AX ", %cr0")
GUEST(g_lmsw, "smsw %ax; lmsw %ax")

static void test_selective(void)
{
    group("selective CR0");
    vmcb_prepare();
    intercept(X_CR0_SEL, true);
    check_equal("TS alone passes", run(g_cr0_ts), X_VMMCALL);
    check_equal("AM does not", run(g_cr0_am), X_CR0_SEL);
    qemu_is_wrong("looks at the bits");
    check_equal("LMSW does not", run(g_lmsw), X_CR0_SEL);
    intercept(X_CR0_WRITE, true);
    check_equal("the plain intercept comes first", run(g_cr0_am), X_CR0_WRITE);
}

/* ---- ports and MSRs ---- */

GUEST(g_in, "in $0x80, %al")
GUEST(g_out, "mov $0x1234, %dx; outw %ax, %dx")
GUEST(g_insb, "mov $0x1234, %edx; mov $data, %edi; mov $3, %ecx; rep insb")
GUEST(g_outsb, "mov $0x80, %edx; mov $data, %esi; mov $0, %ecx; rep outsb")
GUEST(g_in_last, "mov $0xffff, %edx; inl %dx, %eax")
GUEST(g_rdmsr, "mov $0xc0000081, %ecx; rdmsr")
GUEST(g_wrmsr, "mov $0xc0000081, %ecx; mov $0, %eax; mov $0, %edx; wrmsr")
GUEST(g_rdmsr_unmapped, "mov $0x12345678, %ecx; rdmsr")

static void port_bit(u32 port, bool on)
{
    iopm[port / 8] = on ? iopm[port / 8] | BIT(port & 7) : iopm[port / 8] & ~BIT(port & 7);
}

static void test_ports(void)
{
    const u64 address = BITS == 64 ? BIT(9) : BIT(8);
    group("ports");
    vmcb_prepare();
    intercept(X_IOIO, true);
    check_equal("with a clear map", run(g_in), X_VMMCALL);
    port_bit(0x80, true);
    run(g_in);
    qemu_is_wrong("leaves the address size out");
    check_exit("IN", X_IOIO, 0x80 << 16 | BIT(4) | address | 1, (word)g_in + 2);
    run(g_outsb);
    qemu_is_wrong("intercepts it");
    check_equal("REP OUTSB of nothing", V64(EXITCODE), X_VMMCALL);
    port_bit(0x80, false);
    port_bit(0x1235, true);
    run(g_out);
    qemu_is_wrong("leaves the address size out");
    check_exit("OUT over a bit", X_IOIO, 0x1234 << 16 | BIT(5) | address, (word)g_out_end);
    port_bit(0x1234, true);
    run(g_insb);
    qemu_is_wrong("leaves the address size out");
    check("REP INSB", V64(EXITCODE) == X_IOIO && (V64(INFO1) & ~(u64)0x1c00) == (0x1234 << 16 | BIT(4) | address | 13) &&
                          V64(INFO2) == (word)g_insb_end, "0x%llx 0x%llx 0x%llx", (unsigned long long)V64(EXITCODE),
          (unsigned long long)V64(INFO1), (unsigned long long)V64(INFO2));
    port_bit(0x1234, false);
    port_bit(0x1235, false);
    port_bit(0x10002, true);
    qemu_is_wrong("does not look there");
    check_equal("ports beyond FFFFh", run(g_in_last), X_IOIO);
    port_bit(0x10002, false);
}

static void test_msrs(void)
{
    const unsigned star = 0x800 * 8 + 0x81 * 2;
    group("MSRs");
    vmcb_prepare();
    intercept(X_MSR, true);
    check_equal("with a clear map", run(g_rdmsr), X_VMMCALL);
    msrpm[star / 8] |= BIT(star & 7);
    run(g_rdmsr);
    check_exit("RDMSR", X_MSR, 0, 0);
    check_equal("RIP", V64(V_RIP), (word)g_rdmsr + 5);
    check_equal("WRMSR has a bit of its own", run(g_wrmsr), X_VMMCALL);
    msrpm[star / 8] = BIT((star & 7) + 1);
    run(g_wrmsr);
    check_exit("WRMSR", X_MSR, 1, 0);
    msrpm[star / 8] = 0;
    check_equal("outside the map", run(g_rdmsr_unmapped), X_MSR);
}

/* ---- exceptions ---- */

GUEST(g_ud, "ud2")
GUEST(g_de, "mov $0, %ecx; mov %ecx, %edx; div %ecx")
GUEST(g_gp, "mov $0x1230, %eax; mov %ax, %fs")
GUEST(g_int3, "int3")
GUEST(g_step, "nop; nop")

static void test_exceptions(void)
{
    group("exceptions");
    vmcb_prepare();
    handlers[UD] = note;
    handlers[BP] = note;
    forget();
    check_equal("#UD is the guest's", run(g_ud), X_VMMCALL);
    check("in its handler", count[UD] == 1 && last_ip == (word)g_ud, "%u at 0x%lx", count[UD], (unsigned long)last_ip);
    intercept(X_EXCEPTION + UD, true);
    run(g_ud);
    check_exit("#UD intercepted", X_EXCEPTION + UD, 0, 0);
    check_equal("#UD's RIP", V64(V_RIP), (word)g_ud);
    check("not delivered", count[UD] == 1, "%u", count[UD]);
    intercept(X_EXCEPTION + DE, true);
    check_equal("#DE", run(g_de), X_EXCEPTION + DE);
    intercept(X_EXCEPTION + GP, true);
    run(g_gp);
    check_exit("#GP with its error code", X_EXCEPTION + GP, 0x1230, 0);
    intercept(X_EXCEPTION + BP, true);
    qemu_is_wrong("does not intercept INT3");
    check_equal("#BP", run(g_int3), X_EXCEPTION + BP);
    qemu_is_wrong("saves the next RIP");
    check_equal("INT3's RIP", V64(V_RIP), (word)g_int3);
    qemu_is_wrong("has no nRIP");
    if (supported(HAS_NRIP))
        check_equal("INT3's nRIP", V64(NEXT_RIP), (word)g_int3 + 1);
    intercept(X_EXCEPTION + DB, true);
    V64(V_RFLAGS) = 2 | F_TF;
    check_equal("single step", run(g_step), X_EXCEPTION + DB);
    check_equal("after the first instruction", V64(V_RIP), (word)g_step + 1);
    check_equal("DR6", V64(V_DR6), 0xffff4ff0);
    V64(V_RFLAGS) = 2;
}

static void test_shutdown(void)
{
    group("shutdown");
    vmcb_prepare();
    V32(IDTR + 4) = 0;
    check_equal("triple fault", run(g_ud), X_SHUTDOWN);
    V32(ASID) = 1;
}

/* ---- events ---- */

static void test_injection(void)
{
    group("injection");
    vmcb_prepare();
    handlers[VECTOR] = handlers[GP] = handlers[NMI] = note;
    forget();
    V64(EVENTINJ) = EVENT_VALID | VECTOR;
    check_equal("interrupt", run(g_nothing), X_VMMCALL);
    check("is delivered before the first instruction", count[VECTOR] == 1 && last_ip == (word)g_nothing, "%u at 0x%lx",
          count[VECTOR], (unsigned long)last_ip);
    qemu_is_wrong("leaves it");
    check_equal("EVENTINJ is cleared", V64(EVENTINJ), 0);
    V64(EVENTINJ) = EVENT_VALID | 3 << 8 | BIT(11) | GP | BIT64(35);
    run(g_nothing);
    check("exception with an error code", count[GP] == 1 && last_error == 8, "%u, 0x%lx", count[GP],
          (unsigned long)last_error);
    V64(EVENTINJ) = EVENT_VALID | 2 << 8 | NMI;
    run(g_nothing);
    check("NMI", count[NMI] == 1, "%u", count[NMI]);
    V64(EVENTINJ) = EVENT_VALID | 4 << 8 | 0x60;
    V64(NEXT_RIP) = (word)g_nothing_end;
    run(g_nothing);
    qemu_is_wrong("saves RIP");
    check("software interrupt returns to nRIP", count[0x60] == 1 && last_ip == (word)g_nothing_end, "%u at 0x%lx",
          count[0x60], (unsigned long)last_ip);
    V64(EVENTINJ) = EVENT_VALID | 3 << 8 | NMI;
    qemu_is_wrong("does not check it");
    check_equal("exception 2", run(g_nothing), X_INVALID);
    V64(EVENTINJ) = 0;
    idt_set_present(VECTOR, false);
    intercept(X_EXCEPTION + NP, true);
    V64(EVENTINJ) = EVENT_VALID | VECTOR;
    run(g_nothing);
    check_equal("a fault in delivery", V64(EXITCODE), X_EXCEPTION + NP);
    check_equal("EXITINTINFO", V64(EXITINTINFO) & 0xffffffff, EVENT_VALID | VECTOR);
    idt_set_present(VECTOR, true);
    idt_reset(VECTOR);
    V64(EVENTINJ) = 0;
}

GUEST(g_sti, "sti; nop; nop; cli")
GUEST(g_nops, "nop; nop; nop")
GUEST(g_cr8, "mov $5, " AX "; .byte 0x44, 0x0f, 0x22, 0xc0; .byte 0x44, 0x0f, 0x20, 0xc0")

static void test_virtual_interrupts(void)
{
    const u32 request = V_INTR_MASKING | V_IRQ | 15 * V_INTR_PRIO;
    group("virtual interrupts");
    vmcb_prepare();
    handlers[VECTOR] = note;
    forget();
    V32(INT_CTL) = request;
    V8(INT_VECTOR) = VECTOR;
    run(g_nops);
    check("wait for IF", count[VECTOR] == 0 && (V32(INT_CTL) & V_IRQ), "%u, 0x%x", count[VECTOR], V32(INT_CTL));
    run(g_sti);
    check("come behind STI's shadow", count[VECTOR] == 1 && last_ip == (word)g_sti + 2, "%u at 0x%lx", count[VECTOR],
          (unsigned long)last_ip);
    check("are taken once", !(V32(INT_CTL) & V_IRQ), "0x%x", V32(INT_CTL));
    V32(INT_CTL) = V_INTR_MASKING | V_IRQ | 3 * V_INTR_PRIO | 4;
    run(g_sti);
    check("wait for the priority", count[VECTOR] == 1 && (V32(INT_CTL) & V_IRQ), "%u, 0x%x", count[VECTOR],
          V32(INT_CTL));
    V32(INT_CTL) |= V_IGN_TPR;
    run(g_sti);
    check("but for V_IGN_TPR", count[VECTOR] == 2, "%u", count[VECTOR]);
    V32(INT_CTL) = request;
    intercept(X_VINTR, true);
    check_equal("intercepted", run(g_sti), X_VINTR);
    check("and kept", count[VECTOR] == 2 && (V32(INT_CTL) & V_IRQ), "%u, 0x%x", count[VECTOR], V32(INT_CTL));
    intercept(X_VINTR, false);
    V32(INT_CTL) = request;
    V64(INT_STATE) = 1;
    V64(V_RFLAGS) = 2 | F_IF;
    run(g_nops);
    qemu_is_wrong("forgets the shadow");
    check("come after the shadow in the VMCB", count[VECTOR] == 3 && last_ip == (word)g_nops + 1, "%u at 0x%lx",
          count[VECTOR], (unsigned long)last_ip);
    check_equal("which is over then", V64(INT_STATE) & 1, 0);
    if (BITS == 64) {
        V32(INT_CTL) = V_INTR_MASKING;
        run(g_cr8);
        check_equal("CR8 is V_TPR", V32(INT_CTL) & 0xff, 5);
        check_equal("as read", V64(V_RAX), 5);
    }
    V64(V_RFLAGS) = 2;
}

GUEST(g_loop, "mov $100000000, %ecx; 2: dec %ecx; jnz 2b")
GUEST(g_gif, "clgi; sti; nop; nop; stgi; nop")

static volatile u32 *const lapic = (volatile u32 *)(word)0xfee00000;
static void self_interrupt(void) { lapic[LAPIC_ICR / 4] = ICR_SELF | VECTOR; }

static void note_physical(Frame *f)
{
    note(f);
    lapic[LAPIC_EOI / 4] = 0;
}

static void take(void) { asm volatile("sti; nop; cli" ::: "memory"); }

static void test_physical_interrupts(void)
{
    group("physical interrupts");
    vmcb_prepare();
    lapic[LAPIC_SVR / 4] = 0x1ff;
    handlers[VECTOR] = note_physical;
    forget();
    V32(INT_CTL) = V_INTR_MASKING;
    intercept(X_INTR, true);
    clgi();
    self_interrupt();
    asm volatile("sti" ::: "memory");
    V64(V_RIP) = (word)g_loop;
    V64(V_RSP) = (word)guest_stack + PAGE;
    check("wait for GIF", count[VECTOR] == 0, "%u", count[VECTOR]);
    vmrun_raw();
    asm volatile("cli" ::: "memory");
    stgi();
    check_equal("leave the guest by the host's IF", V64(EXITCODE), X_INTR);
    check("still pending", count[VECTOR] == 0, "%u", count[VECTOR]);
    take();
    check("and the host's", count[VECTOR] == 1, "%u", count[VECTOR]);
    self_interrupt();
    check_equal("with the host's IF clear", run(g_sti), X_VMMCALL);
    take();
    check("the host takes it later", count[VECTOR] == 2, "%u", count[VECTOR]);
    V32(INT_CTL) = 0;
    self_interrupt();
    check_equal("without masking by the guest's IF", run(g_sti), X_INTR);
    take();
    intercept(X_INTR, false);
    V64(V_RFLAGS) = 2;
    V64(INT_STATE) = 0;
    self_interrupt();
    check_equal("not intercepted", run(g_sti), X_VMMCALL);
    check("by the guest's handler", count[VECTOR] == 4 && last_ip == (word)g_sti + 2, "%u at 0x%lx", count[VECTOR],
          (unsigned long)last_ip);
    intercept(X_INTR, true);
    self_interrupt();
    run(g_gif);
    check_equal("a guest's CLGI", V64(EXITCODE), X_INTR);
    check("holds it until STGI", V64(V_RIP) >= (word)g_gif_end - 1, "0x%llx", (unsigned long long)V64(V_RIP));
    take();
    V64(V_RFLAGS) = 2;
}

/* ---- the VMCB's checks ---- */

static void refused(const char *name, unsigned at, u64 v)
{
    u64 old = V64(at);
    V64(at) = v;
    qemu_is_wrong("writes 32 bits");
    check_equal(name, run(g_nothing), X_INVALID);
    V64(at) = old;
}

static void test_checks(void)
{
    group("refused");
    vmcb_prepare();
    check_equal("not as it is", run(g_nothing), X_VMMCALL);
    refused("ASID 0", ASID, 0);
    intercept(X_VMRUN, false);
    qemu_is_wrong("writes 32 bits");
    check_equal("VMRUN not intercepted", run(g_nothing), X_INVALID);
    intercept(X_VMRUN, true);
    refused("EFER without SVME", V_EFER, V64(V_EFER) & ~(u64)EFER_SVME);
    refused("EFER bit 20", V_EFER, V64(V_EFER) | BIT(20));
    refused("CR0.NW without CD", V_CR0, (V64(V_CR0) | CR0_NW) & ~(u64)CR0_CD);
    refused("CR0 bit 32", V_CR0, V64(V_CR0) | BIT64(32));
    refused("CR3 bit 63", V_CR3, V64(V_CR3) | BIT64(63));
    refused("CR4 bit 63", V_CR4, V64(V_CR4) | BIT64(63));
    refused("DR6 bit 32", V_DR6, V64(V_DR6) | BIT64(32));
    refused("DR7 bit 32", V_DR7, V64(V_DR7) | BIT64(32));
    if (BITS == 64) {
        refused("long mode without PAE", V_CR4, V64(V_CR4) & ~(u64)CR4_PAE);
        refused("long mode without PE", V_CR0, V64(V_CR0) & ~(u64)CR0_PE);
        refused("CS of 64 and 32 bits", V_CS, V64(V_CS) | 0x400 << 16);
    }
}

/* ---- modes, time ---- */

/* 16-bit code, to be copied below 1 MiB: mov ax,1234h; shl eax,16; mov ax,5678h; vmmcall. */
static const u8 real_code[] = { 0xb8, 0x34, 0x12, 0x66, 0xc1, 0xe0, 0x10, 0xb8, 0x78, 0x56, 0x0f, 0x01, 0xd9 };

static void test_real_mode(void)
{
    group("real mode");
    vmcb_prepare();
    memcpy((void *)(word)0x7000, real_code, sizeof real_code);
    V64(V_CR0) = 0x10;
    V64(V_CR3) = 0;
    V64(V_CR4) = 0;
    V64(V_EFER) = EFER_SVME;
    for (unsigned at = V_ES; at <= V_DS; at += 16)
        V16(at) = 0, V16(at + 2) = at == V_CS ? 0x9b : 0x93, V32(at + 4) = 0xffff, V64(at + 8) = 0;
    V16(V_CS) = 0x700;
    V64(V_CS + 8) = 0x7000;
    V64(V_RIP) = 0;
    go_on();
    check_equal("VMMCALL", V64(EXITCODE), X_VMMCALL);
    check_equal("has run 16-bit code", V64(V_RAX), 0x12345678);
    check_equal("IP", V64(V_RIP), 10);
}

static u64 guest_time(void)
{
    static const u8 code[] = { 0x0f, 0x31, 0x89, 0xc1, 0x0f, 0x01, 0xd9 }; /* rdtsc; mov ecx,eax; vmmcall */
    u32 high;
    V64(V_RIP) = (word)code;
    word pa = (word)vmcb;
#if BITS == 64
    asm volatile("push %%rbp; push %%rbx; vmrun; pop %%rbx; pop %%rbp; stgi" : "+a"(pa), "=d"(high)::"rcx", "rsi", "rdi",
                 "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
#else
    asm volatile("push %%ebp; push %%ebx; vmrun; pop %%ebx; pop %%ebp; stgi" : "+a"(pa), "=d"(high)::"ecx", "esi",
                 "edi", "memory", "cc");
#endif
    return (u64)high << 32 | (u32)V64(V_RAX);
}

static void test_time(void)
{
    group("time");
    vmcb_prepare();
    V64(TSC_OFFSET) = BIT64(60);
    u64 a = tsc(), b = guest_time(), c = tsc();
    check("the offset", b >= a + BIT64(60) && b <= c + BIT64(60), "0x%llx 0x%llx 0x%llx", (unsigned long long)a,
          (unsigned long long)b, (unsigned long long)c);
    if (!supported(HAS_SCALE))
        return;
    check_equal("the ratio is 1", msr_read(MSR_TSC_RATIO), BIT64(32));
    V64(TSC_OFFSET) = 0;
    msr_write(MSR_TSC_RATIO, BIT64(31));
    a = tsc(), b = guest_time(), c = tsc();
    check("half as fast", b >= a / 2 && b <= c / 2, "0x%llx 0x%llx 0x%llx", (unsigned long long)a,
          (unsigned long long)b, (unsigned long long)c);
    msr_write(MSR_TSC_RATIO, BIT64(32));
}

/* ---- nested paging ---- */

/* Tables that map 1 GiB one to one, the page of `data` by itself. */
static u64 top[512] __attribute__((aligned(4096))), middle[512] __attribute__((aligned(4096))),
    directory[512] __attribute__((aligned(4096))), leaves[512] __attribute__((aligned(4096)));
static volatile u64 *data_entry;

static void nested_build(void)
{
    memset(top, 0, sizeof top);
    memset(middle, 0, sizeof middle);
    for (unsigned k = 0; k < 512; k++)
        directory[k] = (u64)k << 21 | P_PS | P_ALL;
    word base = (word)data & ~(word)0x1fffff;
    for (unsigned k = 0; k < 512; k++)
        leaves[k] = (base + k * PAGE) | P_ALL;
    directory[base >> 21] = (word)leaves | P_ALL;
    middle[0] = (word)directory | (BITS == 64 ? P_ALL : P_P);
    top[0] = (word)middle | P_ALL;
    data_entry = &leaves[(word)data >> 12 & 511];
}

static void nested_prepare(void)
{
    vmcb_prepare();
    nested_build();
    V64(NESTED) = 1;
    V64(NESTED_CR3) = BITS == 64 ? (word)top : (word)middle;
}

GUEST(g_read, "mov data+0x10, %eax")
GUEST(g_write, "mov %eax, data+0x10")
GUEST(g_exec, "mov $data, %ecx; call *" AX)

static void entry_set(u64 v)
{
    *data_entry = v;
    V8(TLB_CONTROL) = 1;
}

static void test_nested(void)
{
    const u64 at = (word)data + 0x10, final = BIT64(32), page = (word)data;
    group("nested paging");
    if (!supported(HAS_NPT)) {
        skip("all", "the processor has none");
        return;
    }
    nested_prepare();
    *(volatile u32 *)(data + 0x10) = 0x5a5a1234;
    run(g_read);
    check_equal("an identity", V64(EXITCODE), X_VMMCALL);
    check_equal("reads", V64(V_RAX), 0x5a5a1234);
    check_equal("A is set", *data_entry & (P_A | P_D), P_A);
    run(g_write);
    check_equal("D is set", *data_entry & (P_A | P_D), P_A | P_D);
    entry_set(0);
    run(g_read);
    check_exit("not present, read", X_NPF, final | 4, at);
    check_equal("RIP", V64(V_RIP), (word)g_read);
    run(g_write);
    check_exit("not present, write", X_NPF, final | 6, at);
    entry_set(page | P_ALL);
    check_equal("goes on when it is", go_on(), X_VMMCALL);
    entry_set(page | P_P | P_U);
    check_equal("read-only, read", run(g_read), X_VMMCALL);
    run(g_write);
    check_exit("read-only, write", X_NPF, final | 7, at);
    entry_set(page | P_P | P_W);
    run(g_read);
    check_exit("of the supervisor", X_NPF, final | 5, at);
    entry_set((page + PAGE) | P_ALL);
    *(volatile u32 *)(data + PAGE + 0x10) = 0xabcd4321;
    run(g_read);
    check_equal("another page", V64(V_RAX), 0xabcd4321);
    msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_NXE);
    memset(data, 0xc3, 16);
    entry_set(page | P_ALL | P_NX);
    V64(V_RAX) = page;
    run(g_exec);
    check_exit("no execution", X_NPF, final | 0x15, page);
    entry_set(page | P_ALL);
    V64(V_RAX) = page;
    check_equal("execution", run(g_exec), X_VMMCALL);
    entry_set(page | P_ALL | BIT64(51));
    run(g_read);
    qemu_is_wrong("leaves P out");
    check_exit("reserved bit", X_NPF, final | 0xd, at);
    entry_set(page | P_ALL);
}

static void test_nested_tables(void)
{
    group("nested tables");
    if (!supported(HAS_NPT) || !(V64(V_CR0) & CR0_PG))
        return;
    nested_prepare();
    u64 cr3 = cr3_read() & ~(u64)0xfff;
    memcpy(data, (void *)(word)cr3, PAGE);
    V64(V_CR3) = (word)data;
    check_equal("the guest's tables elsewhere", run(g_nothing), X_VMMCALL);
    check("are marked as written", (*data_entry & (P_A | P_D)) == (P_A | P_D), "0x%llx",
          (unsigned long long)*data_entry);
    entry_set((word)data | P_P | P_U);
    run(g_nothing);
    check("are written to be read", V64(EXITCODE) == X_NPF && V64(INFO1) == (BIT64(33) | 7) &&
                                        (V64(INFO2) & ~(u64)0xfff) == (word)data, "0x%llx 0x%llx 0x%llx",
          (unsigned long long)V64(EXITCODE), (unsigned long long)V64(INFO1), (unsigned long long)V64(INFO2));
    entry_set((word)data | P_ALL);
}

static void start_paging(void)
{
#if BITS == 32
    static u64 pointers[4] __attribute__((aligned(32))), pages[4][512] __attribute__((aligned(4096)));
    for (unsigned k = 0; k < 4 * 512; k++)
        pages[k / 512][k % 512] = (u64)k << 21 | P_PS | P_ALL;
    for (unsigned k = 0; k < 4; k++)
        pointers[k] = (word)pages[k] | P_P;
    cr4_write(cr4_read() | CR4_PAE);
    cr3_write((word)pointers);
    cr0_write(cr0_read() | CR0_PG);
#endif
}

void guest_main(void)
{
    if (!(cpuid(0x80000001, 0).c & 4)) {
        group("SVM");
        skip("all", "the processor has none");
        guest_end();
    }
    start_paging();
    msr_write(MSR_VM_HSAVE, (word)hsave);
    msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_SVME);
    test_gate();
    test_save();
    test_instructions();
    test_selective();
    test_ports();
    test_msrs();
    test_exceptions();
    test_shutdown();
    test_injection();
    test_virtual_interrupts();
    test_physical_interrupts();
    test_checks();
    test_real_mode();
    test_time();
    test_nested();
    test_nested_tables();
    guest_end();
}
