/*
 * Interrupts from the PIC, the local APIC and the I/O APIC; shadows, priorities, NMI, HLT (SDM vol. 3A 6.7, 6.8, 11;
 * Intel 8259A and 82093AA data sheets).
 */
#include "lib/guest.h"

enum {
    LAPIC_ID = 0x20, LAPIC_VERSION = 0x30, LAPIC_TPR = 0x80, LAPIC_PPR = 0xa0, LAPIC_EOI = 0xb0, LAPIC_LDR = 0xd0,
    LAPIC_DFR = 0xe0, LAPIC_SVR = 0xf0, LAPIC_ISR = 0x100, LAPIC_IRR = 0x200, LAPIC_ESR = 0x280, LAPIC_ICR = 0x300,
    LAPIC_ICR_HIGH = 0x310, LAPIC_LVT_TIMER = 0x320, LAPIC_LINT0 = 0x350, LAPIC_LINT1 = 0x360, LAPIC_LVT_ERROR = 0x370,
    LAPIC_INITIAL = 0x380, LAPIC_CURRENT = 0x390, LAPIC_DIVIDE = 0x3e0,
    LVT_MASKED = 1 << 16, TIMER_PERIODIC = 1 << 17, TIMER_DEADLINE = 2 << 17,
    ICR_NMI = 4 << 8, ICR_LOGICAL = 1 << 11, ICR_ASSERT = 1 << 14, ICR_SELF = 1 << 18, ICR_ALL = 2 << 18,
    ICR_OTHERS = 3 << 18,
    MSR_APIC_BASE = 0x1b, MSR_DEADLINE = 0x6e0, MSR_X2APIC = 0x800, X2APIC_ENABLE = 1 << 10,
    PIC1 = 0x20, PIC2 = 0xa0, PIT0 = 0x40, PIT_COMMAND = 0x43, COM1 = 0x3f8,
    LOW = 0x50, HIGH = 0x60, OTHER = 0x70, SPURIOUS = 0xff,
};
#if BITS == 64
#define SP_NAME "rsp"
#else
#define SP_NAME "esp"
#endif

static volatile u32 *const lapic = (volatile u32 *)(word)0xfee00000;
static volatile u32 *const ioapic = (volatile u32 *)(word)0xfec00000;

static u32 lapic_read(unsigned n) { return lapic[n / 4]; }
static void lapic_write(unsigned n, u32 v) { lapic[n / 4] = v; }
static bool lapic_bit(unsigned n, unsigned vector) { return lapic_read(n + vector / 32 * 16) >> (vector & 31) & 1; }

static u32 ioapic_read(unsigned n)
{
    ioapic[0] = n;
    return ioapic[4];
}
static void ioapic_write(unsigned n, u32 v)
{
    ioapic[0] = n;
    ioapic[4] = v;
}
static void ioapic_route(unsigned pin, u32 low)
{
    ioapic_write(0x11 + 2 * pin, lapic_read(LAPIC_ID));
    ioapic_write(0x10 + 2 * pin, low);
}

/* What came: how often, where from, and in which order. */
static volatile u32 count[256];
static volatile word last_ip;
static volatile u32 order[16], order_count;
static volatile bool by_pic, no_eoi;

static void note(Frame *f)
{
    count[f->vector] = count[f->vector] + 1;
    last_ip = f->ip;
    if (order_count < COUNT(order))
        order[order_count] = f->vector;
    order_count = order_count + 1;
    if (by_pic)
        pic_eoi(f->vector - IRQ_BASE);
    else if (!no_eoi && f->vector != NMI && f->vector != SPURIOUS)
        lapic_write(LAPIC_EOI, 0);
}

static void start(void)
{
    for (unsigned k = 0; k < 256; k++)
        count[k] = 0;
    order_count = 0;
}

static void pit_start(u16 divisor)
{
    out8(PIT_COMMAND, 0x34); /* channel 0, rate generator */
    out8(PIT0, divisor);
    out8(PIT0, divisor >> 8);
}

static void wait_some(void)
{
    for (unsigned k = 0; k < 100; k++)
        in8(0x61);
}

/* Some ticks, with interrupts on; a count of ports read instead of time. */
static void wait_long(void)
{
    for (unsigned k = 0; k < 60000; k++)
        in8(0x61);
}

static u8 pic_read(u8 command)
{
    out8(PIC1, command);
    return in8(PIC1);
}
#define PIC_IRR 0x0a
#define PIC_ISR 0x0b

static void test_pic(void)
{
    group("PIC");
    by_pic = true;
    pic_init();
    lapic_write(LAPIC_LINT0, 0x700); /* ExtINT */
    check_equal("mask reads back", (pic_mask(0xa5ff), in8(PIC1 + 1) | in8(PIC2 + 1) << 8), 0xa5ff);
    pit_start(5966); /* 200 Hz */
    handlers[IRQ_BASE] = note;
    start();
    interrupts_on();
    pic_mask(0xffff);
    wait_long();
    interrupts_off();
    check_equal("masked", count[IRQ_BASE], 0);
    check("and requested meanwhile", WAIT_FOR(pic_read(PIC_IRR) & 1), "IRR 0x%x", pic_read(PIC_IRR));
    pic_mask(0xfffe);
    wait_some();
    check_equal("not with IF = 0", count[IRQ_BASE], 0);
    interrupts_on();
    WAIT_FOR(count[IRQ_BASE] >= 5);
    interrupts_off();
    check("comes again and again", count[IRQ_BASE] >= 5, "%u times", count[IRQ_BASE]);

    start();
    asm volatile("sti; hlt; 1: cli; mov $1b, %0" : "=r"(order[15]) :: "memory");
    check("hlt ends, saved ip is behind it", count[IRQ_BASE] == 1 && last_ip == order[15], "%u times, ip 0x%lx",
          count[IRQ_BASE], (unsigned long)last_ip);

    /* sti and mov ss hold interrupts up for one instruction */
    WAIT_FOR(pic_read(PIC_IRR) & 1);
    start();
    asm volatile("sti; nop; 1: nop; cli; mov $1b, %0" : "=r"(order[15]) :: "memory");
    check("behind the instruction that follows sti", count[IRQ_BASE] == 1 && last_ip == order[15],
          "%u times, ip 0x%lx, expected 0x%x", count[IRQ_BASE], (unsigned long)last_ip, order[15]);
    WAIT_FOR(pic_read(PIC_IRR) & 1);
    start();
    asm volatile("sti; cli; nop; nop" ::: "memory");
    check_equal("sti, cli lets none in", count[IRQ_BASE], 0);
    start();
    asm volatile("mov %%ss, %%eax; pushf; orl $0x200, (%%" SP_NAME "); popf; 1: nop; cli; mov $1b, %0"
                 : "=r"(order[15]) :: "eax", "memory", "cc");
    check("popf lets it in at once", count[IRQ_BASE] == 1 && last_ip == order[15], "%u times, ip 0x%lx, expected 0x%x",
          count[IRQ_BASE], (unsigned long)last_ip, order[15]);
    WAIT_FOR(pic_read(PIC_IRR) & 1);
    start();
    asm volatile("mov %%ss, %%eax; sti; mov %%eax, %%ss; cli; nop" ::: "eax", "memory", "cc");
    check("sti, mov ss, cli", count[IRQ_BASE] <= 1, "%u times", count[IRQ_BASE]);

    /* in service until EOI */
    interrupts_on();
    WAIT_FOR(false == (pic_read(PIC_IRR) & 1));
    interrupts_off();
    by_pic = false;
    no_eoi = true;
    start();
    interrupts_on();
    WAIT_FOR(count[IRQ_BASE]);
    wait_long();
    interrupts_off();
    check_equal("one without EOI", count[IRQ_BASE], 1);
    check_equal("in service", pic_read(PIC_ISR), 1);
    out8(PIC1, 0x20);
    check_equal("EOI ends it", pic_read(PIC_ISR), 0);
    no_eoi = false;
    pic_mask(0xffff);
    out8(PIC1, 0x0c); /* poll */
    u8 polled = in8(PIC1);
    check("poll", !(polled & 0x80) || polled == 0x80, "0x%x", polled);
    out8(PIC1, 0x20);
    handlers[IRQ_BASE] = NULL;
    lapic_write(LAPIC_LINT0, LVT_MASKED);
}

static void self(u8 vector)
{
    lapic_write(LAPIC_ICR_HIGH, 0);
    lapic_write(LAPIC_ICR, ICR_SELF | ICR_ASSERT | vector);
}

static void test_ipi(void)
{
    group("IPI");
    handlers[LOW] = handlers[HIGH] = handlers[OTHER] = note;
    start();
    self(LOW);
    wait_some();
    check("waits in IRR with IF = 0", !count[LOW] && lapic_bit(LAPIC_IRR, LOW), "%u", count[LOW]);
    self(HIGH);
    wait_some();
    interrupts_on();
    WAIT_FOR(order_count >= 2);
    interrupts_off();
    check("the higher vector first", order[0] == HIGH && order[1] == LOW, "0x%x, 0x%x", order[0], order[1]);
    start();
    lapic_write(LAPIC_TPR, HIGH & 0xf0);
    self(LOW);
    self(HIGH);
    self(OTHER);
    interrupts_on();
    wait_some();
    interrupts_off();
    check("TPR holds its class and below back", count[OTHER] == 1 && !count[HIGH] && !count[LOW], "%u %u %u",
          count[LOW], count[HIGH], count[OTHER]);
    check_equal("PPR is TPR when nothing is in service", lapic_read(LAPIC_PPR), HIGH & 0xf0);
#if BITS == 64
    word v;
    asm volatile("mov %%cr8, %0" : "=r"(v));
    check_equal("CR8 is TPR's class", v, HIGH >> 4);
    asm volatile("mov %0, %%cr8" :: "r"((word)(LOW >> 4)));
    check_equal("and the other way", lapic_read(LAPIC_TPR), LOW & 0xf0);
#else
    lapic_write(LAPIC_TPR, LOW & 0xf0);
#endif
    interrupts_on();
    wait_some();
    interrupts_off();
    check("what TPR lets through comes then", count[HIGH] == 1 && !count[LOW], "%u %u", count[LOW], count[HIGH]);
    lapic_write(LAPIC_TPR, 0);
    interrupts_on();
    WAIT_FOR(count[LOW]);
    interrupts_off();
    check_equal("and the rest", count[LOW], 1);

    start();
    no_eoi = true;
    self(HIGH);
    interrupts_on();
    WAIT_FOR(count[HIGH]);
    self(LOW);
    wait_some();
    check("one in service holds lower ones", !count[LOW] && lapic_bit(LAPIC_ISR, HIGH) && lapic_bit(LAPIC_IRR, LOW),
          "%u", count[LOW]);
    check_equal("PPR", lapic_read(LAPIC_PPR), HIGH & 0xf0);
    self(OTHER);
    WAIT_FOR(count[OTHER]);
    check_equal("but not higher ones", count[OTHER], 1);
    interrupts_off();
    no_eoi = false;
    lapic_write(LAPIC_EOI, 0);
    check("EOI ends the highest", !lapic_bit(LAPIC_ISR, OTHER) && lapic_bit(LAPIC_ISR, HIGH), "not so");
    lapic_write(LAPIC_EOI, 0);
    interrupts_on();
    WAIT_FOR(count[LOW]);
    interrupts_off();

    start();
    lapic_write(LAPIC_ICR_HIGH, lapic_read(LAPIC_ID));
    lapic_write(LAPIC_ICR, ICR_ASSERT | LOW);
    interrupts_on();
    WAIT_FOR(count[LOW]);
    interrupts_off();
    check_equal("to the own id", count[LOW], 1);
    lapic_write(LAPIC_DFR, 0xffffffff);
    lapic_write(LAPIC_LDR, 0x40 << 24);
    lapic_write(LAPIC_ICR_HIGH, 0x41u << 24);
    lapic_write(LAPIC_ICR, ICR_ASSERT | ICR_LOGICAL | LOW);
    lapic_write(LAPIC_ICR_HIGH, 0x01u << 24);
    lapic_write(LAPIC_ICR, ICR_ASSERT | ICR_LOGICAL | HIGH);
    lapic_write(LAPIC_ICR, ICR_ASSERT | ICR_ALL | OTHER);
    lapic_write(LAPIC_ICR, ICR_ASSERT | ICR_OTHERS | HIGH);
    interrupts_on();
    wait_some();
    interrupts_off();
    check("logical destination", count[LOW] == 2 && !count[HIGH], "%u %u", count[LOW], count[HIGH]);
    check_equal("all", count[OTHER], 1);
    if (on_qemu()) {
        skip("a vector below 16 is an error", "QEMU: accepts it");
        return;
    }
    lapic_write(LAPIC_ESR, 0);
    lapic_write(LAPIC_ESR, 0);
    self(5);
    lapic_write(LAPIC_ESR, 0);
    check("a vector below 16 is an error", lapic_read(LAPIC_ESR) & 0x60, "ESR 0x%x", lapic_read(LAPIC_ESR));
    lapic_write(LAPIC_ESR, 0);
}

static volatile u32 nmi_depth, nmi_inner;
static void nmi_nested(Frame *f)
{
    count[NMI] = count[NMI] + 1;
    (void)f;
    if (nmi_depth)
        nmi_inner = nmi_inner + 1;
    nmi_depth = nmi_depth + 1;
    if (count[NMI] == 1) {
        lapic_write(LAPIC_ICR, ICR_ASSERT | ICR_NMI);
        lapic_write(LAPIC_ICR, ICR_ASSERT | ICR_NMI);
        wait_some();
    }
    nmi_depth = nmi_depth - 1;
}

static void test_nmi(void)
{
    group("NMI");
    start();
    handlers[NMI] = nmi_nested;
    lapic_write(LAPIC_ICR_HIGH, lapic_read(LAPIC_ID));
    lapic_write(LAPIC_ICR, ICR_ASSERT | ICR_NMI);
    WAIT_FOR(count[NMI] >= 2);
    wait_some();
    check_equal("comes with IF = 0; one waits for IRET, no more", count[NMI], 2);
    check_equal("not within another", nmi_inner, 0);
    handlers[NMI] = NULL;
}

static void test_timer(void)
{
    group("LAPIC timer");
    handlers[LOW] = note;
    lapic_write(LAPIC_DIVIDE, 0xb); /* by 1 */
    start();
    lapic_write(LAPIC_LVT_TIMER, LOW);
    lapic_write(LAPIC_INITIAL, 200000);
    interrupts_on();
    WAIT_FOR(count[LOW]);
    wait_long();
    interrupts_off();
    check_equal("once", count[LOW], 1);
    check_equal("count is 0 then", lapic_read(LAPIC_CURRENT), 0);
    start();
    lapic_write(LAPIC_LVT_TIMER, LOW | TIMER_PERIODIC);
    lapic_write(LAPIC_INITIAL, 200000);
    interrupts_on();
    check("periodic", WAIT_FOR(count[LOW] >= 5), "%u times", count[LOW]);
    lapic_write(LAPIC_LVT_TIMER, LOW | TIMER_PERIODIC | LVT_MASKED);
    wait_some();
    start();
    wait_long();
    interrupts_off();
    check_equal("masked", count[LOW], 0);
    lapic_write(LAPIC_INITIAL, 0);
    wait_some();
    check_equal("initial count 0 stops it", lapic_read(LAPIC_CURRENT), 0);
    lapic_write(LAPIC_LVT_TIMER, LOW | LVT_MASKED);
    lapic_write(LAPIC_INITIAL, 0xffffffff);
    u32 a = lapic_read(LAPIC_CURRENT);
    wait_some();
    u32 b = lapic_read(LAPIC_CURRENT);
    check("counts down", b < a, "0x%x, then 0x%x", a, b);
    lapic_write(LAPIC_INITIAL, 0);

    group("deadline");
    if (!(cpuid(1, 0).c & BIT(24))) {
        skip("all", "the processor lacks it");
        return;
    }
    start();
    lapic_write(LAPIC_LVT_TIMER, LOW | TIMER_DEADLINE);
    asm volatile("mfence" ::: "memory");
    u64 due = tsc() + 1000000;
    msr_write(MSR_DEADLINE, due);
    check_equal("reads back", msr_read(MSR_DEADLINE), due);
    interrupts_on();
    WAIT_FOR(count[LOW]);
    u64 now = tsc();
    wait_some();
    interrupts_off();
    check_equal("once", count[LOW], 1);
    check("not before its time", now >= due, "0x%llx early", (unsigned long long)(due - now));
    check_equal("is 0 afterwards", msr_read(MSR_DEADLINE), 0);
    start();
    msr_write(MSR_DEADLINE, 1);
    interrupts_on();
    wait_some();
    interrupts_off();
    check_equal("one in the past comes at once", count[LOW], 1);
    start();
    msr_write(MSR_DEADLINE, tsc() + 500000);
    msr_write(MSR_DEADLINE, 0);
    interrupts_on();
    wait_long();
    interrupts_off();
    check_equal("0 takes it back", count[LOW], 0);
    lapic_write(LAPIC_LVT_TIMER, LOW | LVT_MASKED);
}

static void test_ioapic(void)
{
    group("I/O APIC");
    u32 version = ioapic_read(1);
    check("version and pins",
          (version & 0xff0000) == 0x170000 && ((version & 0xff) == 0x11 || (version & 0xff) == 0x20),
          "0x%x", version);
    for (unsigned pin = 0; pin < 24; pin++)
        ioapic_route(pin, LVT_MASKED);
    check_equal("an entry reads back", (ioapic_route(5, LVT_MASKED | 0xa812), ioapic_read(0x10 + 10)),
                LVT_MASKED | 0xa812);
    ioapic_route(5, LVT_MASKED);
    pic_mask(0xffff);
    handlers[LOW] = handlers[HIGH] = note;
    start();
    ioapic_route(2, LOW); /* ISA line 0 is pin 2 (the MADT says so) */
    interrupts_on();
    check("PIT on pin 2", WAIT_FOR(count[LOW] >= 3), "%u times", count[LOW]);
    ioapic_route(2, LOW | LVT_MASKED);
    wait_some();
    start();
    wait_long();
    check_equal("masked", count[LOW], 0);
    ioapic_route(4, HIGH);
    out8(COM1 + 4, in8(COM1 + 4) | 8); /* OUT2 lets the line out */
    out8(COM1 + 1, 0);
    out8(COM1 + 1, 2);                 /* transmitter empty */
    check("COM1 on pin 4", WAIT_FOR(count[HIGH] >= 1), "%u times", count[HIGH]);
    out8(COM1 + 1, 0);
    in8(COM1 + 2);
    interrupts_off();
    ioapic_route(4, LVT_MASKED);
    /* level triggered: again and again until the device is satisfied; remote IRR meanwhile */
    start();
    no_eoi = true;
    ioapic_route(4, HIGH | 1 << 15);
    out8(COM1 + 1, 2);
    interrupts_on();
    WAIT_FOR(count[HIGH]);
    check("remote IRR until EOI", ioapic_read(0x10 + 8) & BIT(14), "entry 0x%x", ioapic_read(0x10 + 8));
    no_eoi = false;
    out8(COM1 + 1, 0);
    in8(COM1 + 2);
    lapic_write(LAPIC_EOI, 0);
    wait_some();
    interrupts_off();
    check("EOI takes it away", !(ioapic_read(0x10 + 8) & BIT(14)), "entry 0x%x", ioapic_read(0x10 + 8));
    check_equal("once", count[HIGH], 1);
    ioapic_route(4, LVT_MASKED);
    pit_start(0);
}

static void test_x2apic(void)
{
    group("x2APIC");
    if (!(cpuid(1, 0).c & BIT(21))) {
        skip("all", "the processor lacks it");
        return;
    }
    const u64 base = msr_read(MSR_APIC_BASE);
    const u32 id = lapic_read(LAPIC_ID) >> 24;
    EXPECT("its MSRs are not there before", GP, 0, ANY_IP, msr_read(MSR_X2APIC + 2));
    msr_write(MSR_APIC_BASE, base | X2APIC_ENABLE);
    check_equal("id", msr_read(MSR_X2APIC + 2), id);
    check_equal("version", msr_read(MSR_X2APIC + 3) & 0xff, 0x14 | (msr_read(MSR_X2APIC + 3) & 3));
    check_equal("logical id", msr_read(MSR_X2APIC + 0xd), BIT(id & 15) | (id >> 4) << 16);
    EXPECT("MSR 804h is reserved", GP, 0, ANY_IP, msr_read(MSR_X2APIC + 4));
    EXPECT("the ICR has one register", GP, 0, ANY_IP, msr_read(MSR_X2APIC + 0x31));
    EXPECT("EOI of 1", GP, 0, ANY_IP, msr_write(MSR_X2APIC + 0xb, 1));
    EXPECT("the version is read-only", GP, 0, ANY_IP, msr_write(MSR_X2APIC + 3, 0));
    EXPECT("TPR's upper half", GP, 0, ANY_IP, msr_write(MSR_X2APIC + 8, BIT64(32)));
    handlers[LOW] = NULL;
    EXPECT("self IPI", LOW, 0, ANY_IP, msr_write(MSR_X2APIC + 0x3f, LOW); interrupts_on();
           for (unsigned k = 0; k < 1000; k++) in8(0x61));
    interrupts_off();
    check("is in service", msr_read(MSR_X2APIC + 0x10 + LOW / 32) >> (LOW & 31) & 1, "it is not");
    msr_write(MSR_X2APIC + 0xb, 0);
    check("EOI", !(msr_read(MSR_X2APIC + 0x10 + LOW / 32) >> (LOW & 31) & 1), "it is still in service");
    EXPECT("ICR", LOW, 0, ANY_IP, msr_write(MSR_X2APIC + 0x30, (u64)id << 32 | LOW); interrupts_on();
           for (unsigned k = 0; k < 1000; k++) in8(0x61));
    interrupts_off();
    msr_write(MSR_X2APIC + 0xb, 0);
    EXPECT("not straight back to xAPIC", GP, 0, ANY_IP, msr_write(MSR_APIC_BASE, base));
    msr_write(MSR_APIC_BASE, base & ~(u64)(X2APIC_ENABLE | 0x800));
    EXPECT("off, then x2APIC without xAPIC", GP, 0, ANY_IP,
           msr_write(MSR_APIC_BASE, (base & ~(u64)0x800) | X2APIC_ENABLE));
    msr_write(MSR_APIC_BASE, base);
    check_equal("xAPIC is back", lapic_read(LAPIC_ID) >> 24, id);
}

void guest_main(void)
{
    if (!(cpuid(1, 0).d & BIT(9))) {
        skip("all", "the processor has no local APIC");
        return;
    }
    handlers[SPURIOUS] = note;
    lapic_write(LAPIC_SVR, 0x100 | SPURIOUS);
    lapic_write(LAPIC_LINT1, LVT_MASKED);
    test_pic();
    test_ipi();
    test_nmi();
    test_timer();
    test_ioapic();
    test_x2apic();
}
