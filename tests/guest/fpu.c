/*
 * x87, MMX and SSE as the system sees them: exceptions and when they come, the images that FNSAVE and FXSAVE write,
 * registers that alias (SDM vol. 1 chapters 8 to 13, vol. 3A chapter 13).
 */
#include "lib/guest.h"

u8 area[1024] __attribute__((aligned(64)));
u32 value[4] __attribute__((aligned(16)));
static volatile u32 irq13_count;

static u32 area32(unsigned offset) { return *(volatile u32 *)(area + offset); }
static u16 area16(unsigned offset) { return *(volatile u16 *)(area + offset); }
static u64 area64(unsigned offset) { return *(volatile u64 *)(area + offset); }

static u16 status_word(void)
{
    u16 v;
    asm volatile("fnstsw %0" : "=a"(v));
    return v;
}

static void test_init(void)
{
    group("fninit");
    asm volatile("fninit; fnsave area" ::: "memory");
    check_equal("control word", area16(0), 0x37f);
    check_equal("status word", area16(4), 0);
    check_equal("tag word", area16(8), 0xffff);
    asm volatile("fninit; fld1; 1: fldz; movl $1b, value; fnstenv area; fninit" ::: "memory");
    check_equal("two tags, 1 and 0", area16(8), 0x1fff);
    check_equal("TOP", area16(4) & 0x3800, 0x3000);
    check_equal("instruction pointer", area32(12), value[0]);
    asm volatile("fninit; fld1; fnsave area; fnstsw value; frstor area; fnstsw value + 4; fninit" ::: "memory");
    check_equal("fnsave initializes", value[0] & 0xffff, 0);
    check_equal("frstor brings TOP back", value[1] & 0x3800, 0x3800);
    check_equal("1.0, significand", area64(28), BIT64(63));
    check_equal("1.0, exponent", area16(36), 0x3fff);
}

static void test_stack(void)
{
    group("stack");
    asm volatile("fninit; fld1; fld1; fld1; fld1; fld1; fld1; fld1; fld1; fnstsw value; fld1; fnstsw value + 4; fninit"
                 ::: "memory");
    check_equal("eight fit", value[0] & 0x3bff, 0);
    qemu_is_wrong("does not watch the stack");
    check_equal("the ninth overflows, IE, SF, C1", value[1] & 0x241, 0x241);
    asm volatile("fninit; fadd %%st(1), %%st; fnstsw value; fninit" ::: "memory");
    qemu_is_wrong("does not watch the stack");
    check_equal("empty registers underflow, IE, SF", value[0] & 0x241, 0x41);
}

#define CONTROL(bits) (value[0] = 0x37f & ~(bits), barrier())

static void test_mf(void)
{
    group("#MF");
    cr0_write(cr0_read() | CR0_NE);
    CONTROL(4);
#define PENDING "fninit; fldcw value; fld1; fldz; fdivrp; "
    EXPECT("fwait", MF, 0, 0, asm volatile(PENDING MARK "fwait" ::: "memory"));
    qemu_is_wrong("#MF only with fwait");
    EXPECT("fld", MF, 0, 0, asm volatile(PENDING MARK "fld1" ::: "memory"));
    if (cpu_has(HAS_MMX)) {
        qemu_is_wrong("#MF only with fwait");
        EXPECT("MMX", MF, 0, 0, asm volatile(PENDING MARK "paddb %%mm0, %%mm0" ::: "memory"));
        qemu_is_wrong("#MF only with fwait");
        EXPECT("emms", MF, 0, 0, asm volatile(PENDING MARK "emms" ::: "memory"));
    }
    check_equal("summary and busy", status_word() & 0x8084, 0x8084);
    EXPECT("fnstsw", NO_FAULT, 0, 0, asm volatile(PENDING MARK "fnstsw %%ax" ::: "eax", "memory"));
    EXPECT("fnstcw", NO_FAULT, 0, 0, asm volatile(PENDING MARK "fnstcw value + 8" ::: "memory"));
    EXPECT("fninit", NO_FAULT, 0, 0, asm volatile(PENDING MARK "fninit" ::: "memory"));
    EXPECT("fnclex", NO_FAULT, 0, 0, asm volatile(PENDING MARK "fnclex; fwait" ::: "memory"));
    if (cpu_has(HAS_FXSR))
        EXPECT("fxsave", NO_FAULT, 0, 0, asm volatile(PENDING MARK "fxsave area; fninit" ::: "memory"));
    if (cpu_has(HAS_SSE))
        EXPECT("SSE", NO_FAULT, 0, 0, asm volatile(PENDING MARK "addps %%xmm0, %%xmm0; fninit" ::: "memory"));
    EXPECT("fldcw that unmasks what is there", NO_FAULT, 0, 0,
           asm volatile("fninit; fld1; fldz; fdivrp; " MARK "fldcw value" ::: "memory"));
    qemu_is_wrong("#MF only with fwait");
    EXPECT("comes next", MF, 0, 0, asm volatile(MARK "fld1" ::: "memory"));
    asm volatile("fninit");
}

static void irq13(Frame *f)
{
    (void)f;
    irq13_count = irq13_count + 1;
    out8(0xf0, 0);
    asm volatile("fnclex");
    pic_eoi(13);
}

/* CR0.NE = 0: the error goes out as IRQ 13 of the PC. */
static void test_ferr(void)
{
    group("FERR#");
    pic_init();
    handlers[IRQ_BASE + 13] = irq13;
    cr0_write(cr0_read() & ~(word)CR0_NE);
    pic_mask(0xffff & ~(BIT(2) | BIT(13)));
    CONTROL(4);
    interrupts_on();
    asm volatile(PENDING "fwait; nop; nop" ::: "memory");
    WAIT_FOR(irq13_count);
    interrupts_off();
    check_equal("IRQ 13", irq13_count, 1);
    pic_mask(0xffff);
    cr0_write(cr0_read() | CR0_NE);
    asm volatile("fninit");
}

static void test_mmx(void)
{
    group("MMX");
    asm volatile("fninit; fld1; fld1; fld1; movl $0x89abcdef, value; movl $0x01234567, value + 4; movq value, %%mm2;"
                 "fnsave area; frstor area; fxsave area; emms; fnstenv value_env" ::: "memory");
    check_equal("TOP becomes 0", area16(2) & 0x3800, 0);
    check_equal("all tags are valid", area[4], 0xff);
    check_equal("MM2, significand", area64(32 + 2 * 16), 0x0123456789abcdef);
    qemu_is_wrong("leaves it");
    check_equal("MM2, exponent", area16(32 + 2 * 16 + 8), 0xffff);
    check_equal("emms empties all tags", area16(512 + 8), 0xffff);
}
asm(".set value_env, area + 512");

static void test_fxsave(void)
{
    group("fxsave");
    memset(area, 0xee, 1024);
    value[0] = 0x1fa5;
    value[1] = 0x11111111;
    asm volatile("fninit; fld1; ldmxcsr value; pcmpeqd %%xmm3, %%xmm3; fxsave area" ::: "memory");
    check_equal("FCW", area16(0), 0x37f);
    check_equal("FSW", area16(2), 0x3800);
    check_equal("FTW in short", area[4], 0x80);
    check_equal("MXCSR", area32(24), 0x1fa5);
    check_equal("MXCSR mask", area32(28) & 0xffff, 0xffff);
    check_equal("ST0", area64(32), BIT64(63));
    check_equal("XMM3, low", area64(160 + 3 * 16), ~(u64)0);
    check_equal("XMM3, high", area64(160 + 3 * 16 + 8), ~(u64)0);
    check_equal("bytes 464 to 511 are the program's", area32(464), 0xeeeeeeee);
    *(volatile u32 *)(area + 160 + 7 * 16) = 0x77777777;
    *(volatile u32 *)(area + 24) = 0x1f80;
    asm volatile("pxor %%xmm3, %%xmm3; fninit; fxrstor area; movd %%xmm7, value; movd %%xmm3, value + 4;"
                 "fnstsw value + 8; stmxcsr value + 12" ::: "memory");
    check_equal("fxrstor, XMM7", value[0], 0x77777777);
    check_equal("fxrstor, XMM3", value[1], 0xffffffff);
    check_equal("fxrstor, TOP", value[2] & 0x3800, 0x3800);
    check_equal("fxrstor, MXCSR", value[3], 0x1f80);
    *(volatile u32 *)(area + 24) = 0x11f80;
    qemu_is_wrong("does not check it");
    EXPECT_ASM("fxrstor with a reserved bit of MXCSR", GP, 0, 0, "fxrstor area");
    *(volatile u32 *)(area + 24) = 0x1f80;
#if BITS == 64
    asm volatile("pcmpeqd %%xmm15, %%xmm15; fxsave64 area" ::: "memory");
    check_equal("XMM15", area64(160 + 15 * 16), ~(u64)0);
#else
    memset(area + 288, 0xdd, 128);
    asm volatile("fxsave area" ::: "memory");
    check_equal("eight registers in 32-bit mode", area32(288), 0xdddddddd);
#endif
    asm volatile("fninit");
}

static void test_xm(void)
{
    group("#XM");
    if (on_qemu()) {
        skip("exceptions", "QEMU: has none");
        return;
    }
#define SSE_EXPECT(name, vector, mask, flags, text)                                                                    \
    (value[0] = 0x1f80 & ~(mask),                                                                                      \
     EXPECT(name, vector, 0, 0, asm volatile("ldmxcsr value; xorps %%xmm1, %%xmm1; movl $0x3f800000, value + 4;"       \
                                             "movss value + 4, %%xmm0; shufps $0, %%xmm0, %%xmm0; " MARK text          \
                                             ::: "memory")),                                                           \
     asm_mxcsr(), check_equal(name " flags", value[0] & 0x3f, flags))
#define asm_mxcsr() ({ asm volatile("stmxcsr value" ::: "memory"); })
    SSE_EXPECT("divide by zero", XM, 0x200, 4, "divss %%xmm1, %%xmm0");
    asm volatile("movss %%xmm0, value + 4" ::: "memory");
    check_equal("the destination is left alone", value[1], 0x3f800000);
    SSE_EXPECT("divide by zero, masked", NO_FAULT, 0, 4, "divss %%xmm1, %%xmm0");
    SSE_EXPECT("invalid", XM, 0x80, 1, "divss %%xmm1, %%xmm1");
    SSE_EXPECT("compare ordered", NO_FAULT, 0x80, 0, "ucomiss %%xmm1, %%xmm0");
    SSE_EXPECT("inexact, not asked for", NO_FAULT, 0x200, 0x20,
               "movl $0x40400000, value + 4; divss value + 4, %%xmm0");
    value[0] = 0x1f80;
    asm volatile("ldmxcsr value" ::: "memory");
}

void guest_main(void)
{
    cr0_write((cr0_read() & ~(word)(CR0_EM | CR0_TS)) | CR0_NE | CR0_MP);
    if (cpu_has(HAS_SSE))
        cr4_write(cr4_read() | CR4_OSFXSR | CR4_OSXMMEXCPT);
    test_init();
    test_stack();
    test_mf();
    if (cpu_has(HAS_SSE2)) {
        test_mmx();
        test_fxsave();
        test_xm();
    } else {
        skip("MMX, fxsave, #XM", "the processor lacks SSE2");
    }
    NOT_ON_QEMU("FERR#", "aborts", test_ferr());
}
