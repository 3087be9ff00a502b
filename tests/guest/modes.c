/*
 * Ways between the processor's modes: protected mode of 16 and 32 bits, real mode with and without its limits, long
 * mode with compatibility mode, virtual-8086 mode with and without its extensions; the A20 gate (SDM vol. 3A 9.8, 9.9,
 * 20).
 */
#include "lib/guest.h"

enum { LOW = 0x8000, LOW_SEGMENT = 0x800, RESULTS = 0x7800, CS64 = FREE_SEL, STACK_TOP = 0x7000 };

extern u8 low_start[], low_end[];
void real_run(u32 place);
void long_run(u32 cr3);

static u8 ivt[1024];
static u64 pml4[512] __attribute__((aligned(4096))), pdpt[512] __attribute__((aligned(4096))),
    directory[512] __attribute__((aligned(4096)));

/* Memory near 0, of which the compiler believes that nothing is there. */
static volatile u8 *low(u32 address)
{
    asm("" : "+r"(address));
    return (volatile u8 *)address;
}
static u16 low16(u32 address) { return *(volatile u16 *)low(address); }
static u32 low32(u32 address) { return *(volatile u32 *)low(address); }
static u64 low64(u32 address) { return *(volatile u64 *)low(address); }
#define PLACE(label) ({ extern u8 label[]; (u32)(label - low_start) + LOW; })
#define OFFSET(label) (PLACE(label) - LOW)

static void vector_set(unsigned n, u32 segment, u32 offset)
{
    *(volatile u16 *)low(n * 4) = offset;
    *(volatile u16 *)low(n * 4 + 2) = segment;
}

static void low_install(void)
{
    memcpy((void *)low(LOW), low_start, low_end - low_start);
    memcpy(ivt, (void *)low(0), sizeof ivt);
}
static void results_clear(void) { memset((void *)low(RESULTS), 0, 128); }

static void test_protected16(void)
{
    u32 a, c, d;
    group("16-bit protected mode");
    const struct { u32 offset; u16 sel; } __attribute__((packed)) target = { PLACE(pm16), CS16 };
    asm volatile("lcall *%3" : "=a"(a), "=c"(c), "=d"(d) : "m"(target) : "memory");
    check_equal("movl, then movw", a, 0x89ab1234);
    check_equal("pushw, popw", c & 0xffff, 0x1234);
    check_equal("leal", d, 0x89ab1234u * 2);
}

static void test_real(void)
{
    group("real mode");
    vector_set(0x60, 0, PLACE(int60));
    results_clear();
    real_run(PLACE(real_basics));
    check_equal("CS", low16(RESULTS), 0);
    check_equal("push sp pushes what it was", low16(RESULTS + 4), low16(RESULTS + 2));
    check_equal("CR0.PE", low16(RESULTS + 6) & 1, 0);
    check_equal("CS behind jmp far", low16(RESULTS + 8), LOW_SEGMENT);
    check_equal("a segment's base is 16 times itself", low16(RESULTS + 10), 0x4242);
    check_equal("int, CS", low16(RESULTS + 16), 0);
    check_equal("int, flags", low16(RESULTS + 18), low16(RESULTS + 12));
    check_equal("int, behind iret", low16(RESULTS + 20), 0x6060);
    check_equal("a limit of 4 GiB from protected mode stays", low32(RESULTS + 24), 0x1badb002);
    check_equal("also when the segment is loaded", low32(RESULTS + 28), 0x1badb002);
    check_equal("call pushes a word", low16(RESULTS + 32), 0);
    check_equal("pushl pushes four bytes", (u16)(low16(RESULTS + 2) - low16(RESULTS + 34)), 4);
    check_equal("protected mode is back", cr0_read() & CR0_PE, CR0_PE);
    asm volatile("lmsw %w0" :: "r"(0));
    check_equal("lmsw cannot leave it", cr0_read() & CR0_PE, CR0_PE);
    asm volatile("lmsw %w0" :: "r"((u32)CR0_PE | CR0_MP));
}

static void real_expect(const char *name, int vector, u32 place, u32 offset)
{
    *(volatile u32 *)low(PLACE(real_fault_code)) = place;
    real_run(PLACE(real_fault));
    int got = (int16_t)low16(PLACE(real_vector));
    u32 ip = low16(PLACE(real_ip));
    check(name, got == vector && (vector < 0 || ip == place + offset), "vector %d at 0x%x, expected %d at 0x%x",
          got, ip,
          vector, place + offset);
}

static void test_real_faults(void)
{
    group("real mode faults");
    vector_set(0, 0, PLACE(real_catch_0));
    vector_set(4, 0, PLACE(real_catch_4));
    vector_set(5, 0, PLACE(real_catch_5));
    vector_set(6, 0, PLACE(real_catch_6));
    vector_set(12, 0, PLACE(real_catch_12));
    vector_set(13, 0, PLACE(real_catch_13));
    real_expect("none", -1, PLACE(r_nothing), 0);
    real_expect("divide", 0, PLACE(r_divide), 2);
    real_expect("into", 4, PLACE(r_into), 5);
    real_expect("bound", 5, PLACE(r_bound), 3);
    real_expect("ud2", 6, PLACE(r_ud2), 0);
    real_expect("lldt is undefined", 6, PLACE(r_lldt), 0);
    real_expect("arpl is undefined", 6, PLACE(r_arpl), 0);
    real_expect("lar is undefined", 6, PLACE(r_lar), 0);
    NOT_ON_QEMU("limits", "does not check them", {
        real_expect("a word across 64 KiB", 13, PLACE(r_limit), 0);
        real_expect("a 32-bit address", 13, PLACE(r_limit32), 6);
        real_expect("a word across 64 KiB of the stack", 12, PLACE(r_limit_stack), 3);
    });
    memcpy((void *)low(0), ivt, sizeof ivt);
}

static void test_a20(void)
{
    group("A20");
    u32 kept = low32(0x100000 + RESULTS + 32);
    results_clear();
    real_run(PLACE(real_a20));
    check_equal("off, 1 MiB higher is the same, read", low16(RESULTS), 0x1111);
    check_equal("off, write", low16(RESULTS + 2), 0x2222);
    check("on, it is not", low16(RESULTS + 4) == low16(RESULTS + 6), "0x%x, then 0x%x", low16(RESULTS + 4),
          low16(RESULTS + 6));
    check_equal("what lies there is unharmed", low32(0x100000 + RESULTS + 32), kept);
}

static void test_long(void)
{
    group("long mode");
    if (!cpu_has(HAS_LM)) {
        skip("all", "the processor lacks it");
        return;
    }
    pml4[0] = (word)pdpt | 3;
    pdpt[0] = (word)directory | 3;
    for (u64 k = 0; k < 512; k++)
        directory[k] = k << 21 | 0x83;
    gdt_set(CS64, descriptor(0, 0xfffff, A_CODE, D_G | D_L));
    msr_write(MSR_EFER, EFER_LME);
    if (on_qemu())
        skip("paging without PAE is refused", "QEMU: does not check it");
    else
        EXPECT("paging without PAE is refused", GP, 0, ANY_IP, cr0_write(cr0_read() | CR0_PG));
    check_equal("LMA waits for paging", msr_read(MSR_EFER) & (EFER_LME | EFER_LMA), EFER_LME);
    results_clear();
    long_run((word)pml4);
    check_equal("EFER in compatibility mode", low32(RESULTS) & (EFER_LME | EFER_LMA), EFER_LME | EFER_LMA);
    check_equal("40h is INC in compatibility mode", low32(RESULTS + 4), 1);
    check_equal("a 64-bit constant", low64(RESULTS + 8), 0x123456789abcdef0);
    check_equal("32-bit results clear the upper half", low64(RESULTS + 16), 0x55555555);
    check_equal("CS", low64(RESULTS + 24), CS64);
    check_equal("an address relative to RIP", low64(RESULTS + 40), 0);
    check_equal("16-bit compatibility code", low16(RESULTS + 60), 0x4321);
    check_equal("R15 outlives it", low64(RESULTS + 48), 0x123456789abcdef0);
    check_equal("LMA falls with paging, LME stays", low32(RESULTS + 56) & (EFER_LME | EFER_LMA), EFER_LME);
    check_equal("and protected mode is back", cr0_read() & (CR0_PG | CR0_PE), CR0_PE);
    check_equal("EFER", msr_read(MSR_EFER), 0);
}

/* Runs 8086 code at LOW_SEGMENT:offset until something ends it. */
static int v86_run(u32 offset, u32 flags)
{
    return FAULT_OF(asm volatile("push %0; push %0; push %0; push %0; push $0; push %1; push %2; push %3; push %4; iret"
                                 :: "r"(RESULTS >> 4), "i"(STACK_TOP), "r"(flags | F_VM | 2), "r"((u32)LOW_SEGMENT),
                                    "r"(offset) : "memory", "cc"));
}

static void v86_expect(const char *name, int vector, u32 error, u32 ip)
{
    check(name, fault.vector == vector && fault.error == error && fault.ip == ip && fault.cs == LOW_SEGMENT &&
          (fault.flags & F_VM), "vector %d error 0x%x at %x:%x, flags 0x%x, expected vector %d error 0x%x at 800:%x",
          fault.vector, fault.error, fault.cs, (u32)fault.ip, (u32)fault.flags, vector, error, ip);
}
#define V86(name, flags, vector, error, code, end)                                                                     \
    (v86_run(OFFSET(code), flags), v86_expect(name, vector, error, OFFSET(end)))
/* It comes through, to the UD2 that many bytes on. */
#define V86_PASSES(name, flags, code, length)                                                                          \
    (v86_run(OFFSET(code), flags), v86_expect(name, UD, 0, OFFSET(code) + (length)))
#define V86_FAULTS(name, flags, vector, error, code)                                                                   \
    (v86_run(OFFSET(code), flags), v86_expect(name, vector, error, OFFSET(code)))

static void test_v86(void)
{
    group("V86");
    tss.iomap = offsetof(Tss, bitmap);
    memset(tss.bitmap, 0xff, sizeof tss.bitmap);
    memset(tss.redirection, 0, sizeof tss.redirection);
    tss.bitmap[0x80 / 8] = 0xfe;
    cr4_write(cr4_read() & ~(word)CR4_VME);
    V86_PASSES("segments are 16 times the selector", F_IOPL, v_segments, PLACE(v_limit) - PLACE(v_segments) - 2);
    check_equal("what it read", fault.frame.bx & 0xffff, 0x5678);
    check_equal("saved DS", fault.frame.v86_ds, RESULTS >> 4);
    check_equal("DS is null in the handler", fault.frame.ds, 0);
    check_equal("saved SS:SP", fault.frame.ss << 16 | fault.frame.sp, STACK_TOP);
    V86_FAULTS("int n, IOPL 3, gate of level 0", F_IOPL, GP, 0x60 * 8 + 2, v_int);
    idt_set_dpl(0x60, 3);
    v86_run(OFFSET(v_int), F_IOPL);
    v86_expect("int n, IOPL 3, gate of level 3", 0x60, 0, OFFSET(v_int) + 2);
    V86_FAULTS("int n, IOPL 0", 0, GP, 0, v_int);
    idt_set_dpl(BP, 3);
    v86_run(OFFSET(v_int3), 0);
    v86_expect("int3, IOPL 0", BP, 0, OFFSET(v_int3) + 1);
    idt_reset(BP);
    V86_PASSES("cli, IOPL 3", F_IOPL | F_IF, v_cli, 1);
    check_equal("clears IF", fault.flags & F_IF, 0);
    V86_FAULTS("cli, IOPL 0", 0, GP, 0, v_cli);
    V86_PASSES("sti, IOPL 3", F_IOPL, v_sti, 1);
    check_equal("sets IF", fault.flags & F_IF, F_IF);
    V86_FAULTS("sti, IOPL 0", 0, GP, 0, v_sti);
    V86_PASSES("pushf, IOPL 3", F_IOPL | F_IF, v_pushf, 2);
    check_equal("its image", fault.frame.ax & 0x7fff & ~0x8d5, F_IOPL | F_IF | 2);
    V86_FAULTS("pushf, IOPL 0", 0, GP, 0, v_pushf);
    V86_PASSES("pushfd hides VM and RF", F_IOPL, v_pushfd, 4);
    check_equal("its image", fault.frame.ax & (F_VM | F_RF), 0);
    V86_PASSES("popf, IOPL 3", F_IOPL, v_popf, 4);
    check_equal("sets IF, leaves IOPL", fault.flags & (F_IF | F_IOPL), F_IF | F_IOPL);
    v86_run(OFFSET(v_popf), 0);
    v86_expect("popf, IOPL 0", GP, 0, OFFSET(v_popf) + 3);
    V86("iret, IOPL 3", F_IOPL, UD, 0, v_iret, v_ud2);
    V86("iret, IOPL 0", 0, GP, 0, v_iret, v_iret_itself);
    V86_FAULTS("hlt", F_IOPL, GP, 0, v_hlt);
    V86_PASSES("in of a port that the I/O map allows", 0, v_in_allowed, 2);
    V86_FAULTS("in of another, IOPL 3", F_IOPL, GP, 0, v_in_refused);
    V86_FAULTS("lldt is undefined", F_IOPL, UD, 0, v_lldt);
    V86_FAULTS("mov from cr0", F_IOPL, GP, 0, v_mov_cr);
    qemu_is_wrong("does not check limits");
    V86_FAULTS("a word across 64 KiB", F_IOPL, GP, 0, v_limit);
}

static void test_vme(void)
{
    group("VME");
    if (!cpu_has(HAS_VME)) {
        skip("all", "the processor lacks it");
        return;
    }
    cr4_write(cr4_read() | CR4_VME);
    vector_set(0x60, LOW_SEGMENT, OFFSET(v_handler));
    V86_PASSES("int n is redirected, IOPL 3", F_IOPL | F_IF, v_redirected, 3);
    check_equal("its ip", fault.frame.si & 0xffff, OFFSET(v_redirected) + 3);
    check_equal("its flags", fault.frame.dx & (F_IF | F_IOPL | F_CF), F_IF | F_IOPL | F_CF);
    check_equal("IF within", fault.frame.di & F_IF, 0);
    check_equal("IF behind", fault.flags & F_IF, F_IF);
    V86_PASSES("int n is redirected, IOPL 0", F_IF | F_VIF, v_redirected, 3);
    check_equal("its flags show VIF as IF, and IOPL 3", fault.frame.dx & (F_IF | F_IOPL | F_CF), F_IF | F_IOPL | F_CF);
    check_equal("IF within is VIF", fault.frame.di & F_IF, 0);
    check_equal("VIF behind", fault.flags & (F_VIF | F_IF), F_VIF | F_IF);
    tss.redirection[0x60 / 8] = 1;
    v86_run(OFFSET(v_int), F_IOPL);
    v86_expect("not redirected, IOPL 3", 0x60, 0, OFFSET(v_int) + 2);
    V86_FAULTS("not redirected, IOPL 0", 0, GP, 0, v_int);
    tss.redirection[0x60 / 8] = 0;
    V86_PASSES("cli, IOPL 0", F_IF | F_VIF, v_cli, 1);
    check_equal("clears VIF only", fault.flags & (F_VIF | F_IF), F_IF);
    V86_PASSES("sti, IOPL 0", 0, v_sti, 1);
    check_equal("sets VIF only", fault.flags & (F_VIF | F_IF), F_VIF);
    V86_FAULTS("sti with VIP", F_VIP, GP, 0, v_sti);
    V86_PASSES("pushf, IOPL 0", F_VIF, v_pushf, 2);
    check_equal("its image", fault.frame.ax & (F_IF | F_IOPL), F_IF | F_IOPL);
    V86_PASSES("popf, IOPL 0", 0, v_popf, 4);
    check_equal("sets VIF", fault.flags & (F_VIF | F_IF | F_IOPL), F_VIF);
    V86_FAULTS("pushfd, IOPL 0", 0, GP, 0, v_pushfd);
    cr4_write(cr4_read() & ~(word)CR4_VME);
    idt_reset(0x60);
    memcpy((void *)low(0), ivt, sizeof ivt);
}

void guest_main(void)
{
    low_install();
    test_protected16();
    test_real();
    test_real_faults();
    test_a20();
    test_long();
    test_v86();
    test_vme();
}
