/*
 * XCR0, IA32_XSS and the XSAVE family: which values are valid, where components lie, what each form writes, loads and
 * refuses (SDM vol. 1 chapter 13).  Everything follows from the components that CPUID leaf 0Dh reports.
 */
#include "lib/guest.h"

enum {
    X87 = 1, SSE = 2, AVX = 4, MPX = 0x18, OPMASK = 0x20, ZMM_HIGH = 0x40, HIGH_ZMM = 0x80, AVX512 = 0xe0, PKRU = 0x200,
};
enum { XSTATE_BV = 512, XCOMP_BV = 520, EXTENDED = 576, MSR_XSS = 0xda0 };
#define COMPACT BIT64(63)

u8 area[4096] __attribute__((aligned(64))), source[4096] __attribute__((aligned(64)));
static u64 supported;

static u64 area64(unsigned offset) { return *(volatile u64 *)(area + offset); }
static u32 area32(unsigned offset) { return *(volatile u32 *)(area + offset); }
static void source_set(unsigned offset, u64 v) { *(volatile u64 *)(source + offset) = v; }

static int xsetbv(u32 n, u64 v)
{
    return FAULT_OF(asm volatile("xsetbv" :: "a"((u32)v), "d"((u32)(v >> 32)), "c"(n)));
}
static u64 xgetbv(u32 n)
{
    u32 low, high;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(n));
    return low | (u64)high << 32;
}

#define SAVE_FORM(name, place)                                                                                         \
    static void name(u64 mask)                                                                                         \
    {                                                                                                                  \
        asm volatile(#name " " #place :: "a"((u32)mask), "d"((u32)(mask >> 32)) : "memory");                           \
    }
SAVE_FORM(xsave, area)
SAVE_FORM(xsaveopt, area)
SAVE_FORM(xsavec, area)
SAVE_FORM(xsaves, area)
SAVE_FORM(xrstor, source)
SAVE_FORM(xrstors, source)

static bool has_form(unsigned bit) { return cpuid(0xd, 1).a & BIT(bit); }
enum { HAS_XSAVEOPT, HAS_XSAVEC, HAS_XGETBV1, HAS_XSAVES };

static void test_enabling(void)
{
    group("enabling");
    EXPECT_ASM("xsave without CR4.OSXSAVE", UD, 0, 0, "xsave area");
    EXPECT_PRE("xgetbv without CR4.OSXSAVE", UD, 0, 0, "xor %%ecx, %%ecx", "xgetbv");
    cr4_write(cr4_read() | CR4_OSXSAVE);
    check("CPUID.OSXSAVE follows", cpuid(1, 0).c & BIT(27), "it does not");
    supported = (cpuid(0xd, 0).a | (u64)cpuid(0xd, 0).d << 32) & ~(u64)MPX;
    check_equal("x87 and SSE are supported", supported & 3, 3);
    EXPECT_USER_PRE("xsetbv at level 3", GP, 0, 0, "xor %%ecx, %%ecx; xor %%edx, %%edx; mov $3, %%eax", "xsetbv");
    EXPECT_PRE("xgetbv of another register", GP, 0, 0, "mov $7, %%ecx", "xgetbv");
    EXPECT_PRE("xsave misaligned", GP, 0, 0, "mov $3, %%eax; xor %%edx, %%edx", "xsave area + 16");
    cr0_write(cr0_read() | CR0_TS);
    qemu_is_wrong("does not look at it");
    EXPECT_PRE("xsave with TS", NM, 0, 0, "mov $3, %%eax; xor %%edx, %%edx", "xsave area");
    asm volatile("clts");
}

/* What a value of XCR0 must fulfil (SDM vol. 1 13.3). */
static bool valid(u64 v)
{
    return !(v & ~supported) && (v & X87) && (!(v & AVX) || (v & SSE)) &&
           (!(v & AVX512) || ((v & AVX512) == AVX512 && (v & AVX)));
}

static void test_xcr0(void)
{
    group("XCR0");
    unsigned wrong = 0;
    for (u32 v = 0; v < 0x400; v++)
        if (!(v & MPX)) /* which QEMU has */
            wrong += xsetbv(0, v) != (valid(v) ? NO_FAULT : GP) || (valid(v) && xgetbv(0) != v);
    check_equal("values up to 3FFh that were not taken as they should be", wrong, 0);
    check_equal("a reserved bit", xsetbv(0, 3 | BIT64(62)), GP);
    check_equal("XCR1", xsetbv(1, 3), GP);
    check_equal("all that is supported", (u64)xsetbv(0, supported), (u64)NO_FAULT);
}

/* The last byte of the components in a mask, in the standard form. */
static unsigned standard_size(u64 mask)
{
    unsigned end = EXTENDED;
    for (unsigned n = 2; n < 63; n++) {
        Cpuid c = cpuid(0xd, n);
        if (mask >> n & 1 && c.b + c.a > end)
            end = c.b + c.a;
    }
    return end;
}

/* Where component n lies in the compacted form. */
static unsigned compact_offset(u64 mask, unsigned n)
{
    unsigned at = EXTENDED;
    for (unsigned k = 2; k <= n; k++) {
        Cpuid c = cpuid(0xd, k);
        if (!(mask >> k & 1) && k != n)
            continue;
        if (c.c & 2)
            at = (at + 63) & ~63u;
        at += k == n ? 0 : c.a;
    }
    return at;
}

static void test_cpuid(void)
{
    static const struct { u8 n; u16 size, offset; } intel[] = {
        { 2, 256, 576 }, { 5, 64, 1088 }, { 6, 512, 1152 }, { 7, 1024, 1664 }, { 9, 8, 2688 },
    };
    group("CPUID");
    for (unsigned k = 0; k < COUNT(intel); k++) {
        Cpuid c = cpuid(0xd, intel[k].n);
        bool there = supported >> intel[k].n & 1;
        check_equal("a component's size", c.a, there ? intel[k].size : 0);
        if (!is_amd())
            check_equal("a component's place", c.b, there ? intel[k].offset : 0);
    }
    check_equal("nothing of component 63", cpuid(0xd, 63).a, 0);
    qemu_is_wrong("has MPX");
    check_equal("size of all", cpuid(0xd, 0).c, standard_size(supported));
    check_equal("size of what is enabled", cpuid(0xd, 0).b, standard_size(supported));
    xsetbv(0, X87);
    check_equal("size with x87 alone", cpuid(0xd, 0).b, 576);
    if (has_form(HAS_XSAVEC))
        check_equal("compacted size with x87 alone", cpuid(0xd, 1).b, 576);
    xsetbv(0, supported);
    if (has_form(HAS_XSAVEC))
        check_equal("compacted size", cpuid(0xd, 1).b, compact_offset(supported, 62));
}

/* A standard image in which every component is present and no byte is zero. */
static void make_source(void)
{
    for (unsigned k = 0; k < sizeof source; k++)
        source[k] = k * 37 % 251 + 1;
    memset(source, 0, 160);
    source_set(0, 0x027f);
    source_set(24, 0x3f80);
    for (unsigned k = 0; k < 8; k++)
        source_set(32 + 16 * k, (u64)0x1111111111111111 * (k + 1));
    memset(source + 512, 0, 64);
    source_set(XSTATE_BV, supported);
    if (supported & PKRU)
        source_set(cpuid(0xd, 9).b, 0x55555554);
}

/* Bytes of a component that are moved in this mode. */
static unsigned moved(unsigned n)
{
    unsigned size = cpuid(0xd, n).a;
    if (BITS == 64 || n == 5 || n == 9)
        return size;
    return n == 7 ? 0 : size / 2;
}

/* Components that can be in use at all in this mode. */
static u64 usable(u64 mask) { return BITS == 64 ? mask : mask & ~(u64)HIGH_ZMM; }

static unsigned differing(u64 layout, bool compact)
{
    unsigned bad = 0;
    for (unsigned n = 2; n < 63; n++)
        if ((layout & supported) >> n & 1)
            bad += memcmp(area + (compact ? compact_offset(layout, n) : cpuid(0xd, n).b), source + cpuid(0xd, n).b,
                          moved(n)) != 0;
    return bad;
}

static void init_state(void)
{
    make_source();
    source_set(XSTATE_BV, 0);
    source_set(24, 0x1f80);
    xrstor(supported);
}

static void test_standard(void)
{
    group("xsave");
    make_source();
    xrstor(supported);
    memset(area, 0xee, sizeof area);
    memset(area + 512, 0, 64);
    *(volatile u64 *)(area + XSTATE_BV) = BIT64(40);
    xsave(supported);
    check_equal("XSTATE_BV", area64(XSTATE_BV), usable(supported) | BIT64(40));
    check_equal("legacy region", memcmp(area + 160, source + 160, BITS == 64 ? 256 : 128), 0);
    check_equal("MXCSR", area32(24), 0x3f80);
    check_equal("components that differ", differing(supported, false), 0);
    check_equal("what is behind it", area32(standard_size(supported)), 0xeeeeeeee);
    if (BITS == 32)
        check_equal("XMM8 outside 64-bit mode", area32(160 + 8 * 16), 0xeeeeeeee);
    memset(area, 0, 512);
    xsave(SSE);
    check_equal("SSE alone leaves x87's part", area32(0), 0);
    check_equal("SSE alone brings MXCSR", area32(24), 0x3f80);
    memset(area, 0, 512);
    xsave(X87);
    check_equal("x87 alone brings no MXCSR", area32(24), 0);
    check_equal("x87 alone, FCW", area32(0) & 0xffff, 0x027f);
    init_state();
    memset(area, 0xee, sizeof area);
    *(volatile u64 *)(area + XSTATE_BV) = ~(u64)0;
    xsave(supported);
    qemu_is_wrong("takes all for in use");
    check_equal("XSTATE_BV of initial state", area64(XSTATE_BV), ~supported);
    check_equal("XSAVE writes it all the same", area64(160), 0);
    check_equal("XCOMP_BV is left alone", area64(XCOMP_BV), 0xeeeeeeeeeeeeeeee);
}

static void test_optimized(void)
{
    group("xsaveopt");
    if (!has_form(HAS_XSAVEOPT)) {
        skip("all", "the processor lacks it");
        return;
    }
    init_state();
    memset(area, 0xee, sizeof area);
    memset(area + 512, 0, 64);
    xsaveopt(supported);
    qemu_is_wrong("takes all for in use");
    check_equal("XSTATE_BV of initial state", area64(XSTATE_BV), 0);
    qemu_is_wrong("takes all for in use");
    check_equal("x87 is left out", area32(0), 0xeeeeeeee);
    qemu_is_wrong("takes all for in use");
    check_equal("SSE is left out", area64(160), 0xeeeeeeeeeeeeeeee);
    check_equal("MXCSR is not", area32(24), 0x1f80);
    asm volatile("pcmpeqd %%xmm2, %%xmm2" ::: "memory");
    xsaveopt(supported);
    qemu_is_wrong("takes all for in use");
    check_equal("XSTATE_BV with XMM2", area64(XSTATE_BV), SSE);
    check_equal("XMM2", area64(160 + 32), ~(u64)0);
}

static void test_compacted(void)
{
    static const u16 masks[] = { 0x3ff, AVX | PKRU, OPMASK | ZMM_HIGH | PKRU, HIGH_ZMM | PKRU | SSE };
    group("xsavec");
    if (!has_form(HAS_XSAVEC)) {
        skip("all", "the processor lacks it");
        return;
    }
    for (unsigned k = 0; k < COUNT(masks); k++) {
        u64 layout = masks[k] & supported;
        make_source();
        xrstor(supported);
        memset(area, 0xee, sizeof area);
        xsavec(masks[k]);
        check_equal("XSTATE_BV", area64(XSTATE_BV), usable(layout));
        check_equal("XCOMP_BV", area64(XCOMP_BV), COMPACT | layout);
        check_equal("the header's other bytes", area64(528), 0xeeeeeeeeeeeeeeee);
        check_equal("components that differ", differing(layout, true), 0);
        check_equal("MXCSR comes with SSE", area32(24), layout & SSE ? 0x3f80 : 0xeeeeeeee);
    }
    init_state();
    xsavec(supported);
    check_equal("XSTATE_BV of initial state", area64(XSTATE_BV), 0);
    static const u32 mxcsr = 0x3f80, plain = 0x1f80;
    asm volatile("ldmxcsr %0" :: "m"(mxcsr));
    xsavec(supported);
    check_equal("an MXCSR of its own counts as SSE", area64(XSTATE_BV), SSE);
    if (has_form(HAS_XGETBV1))
        check_equal("and does for xgetbv", xgetbv(1), SSE);
    asm volatile("ldmxcsr %0" :: "m"(plain));
    if (has_form(HAS_XGETBV1))
        check_equal("nothing in use", xgetbv(1), 0);
}

/* From the compacted form, with components left out: they take no room, or a room of nothing. */
static void test_restore_compacted(void)
{
    group("xrstor, compacted");
    if (!has_form(HAS_XSAVEC)) {
        skip("all", "the processor lacks it");
        return;
    }
    make_source();
    xrstor(supported);
    xsavec(supported);
    memset(area + 528, 0, 48);
    u8 kept[16];
    memcpy(kept, area + 160, 16);
    memcpy(source, area, sizeof area);
    asm volatile("fninit; pxor %%xmm0, %%xmm0" ::: "memory");
    xrstor(supported);
    xsave(supported);
    check_equal("XMM0 comes back", memcmp(area + 160, kept, 16), 0);
    make_source();
    check_equal("components that differ", differing(supported, false), 0);
    source_set(XSTATE_BV, X87);
    source_set(XCOMP_BV, COMPACT | X87 | SSE);
    xrstor(supported);
    xsavec(supported);
    check_equal("what is not present is initialized", area64(XSTATE_BV), X87);
}

static void test_refused(void)
{
    static const struct { const char *name; u16 at; u64 value; } bad[] = {
        { "XSTATE_BV beyond XCR0", XSTATE_BV, BIT64(40) }, { "XCOMP_BV in the standard form", XCOMP_BV, 1 },
        { "reserved bytes", 528, 1 }, { "XSTATE_BV beyond XCOMP_BV", XCOMP_BV, COMPACT | SSE },
        { "XCOMP_BV beyond XCR0", XCOMP_BV, COMPACT | 3 | BIT64(40) }, { "reserved bits of MXCSR", 24, BIT64(31) },
    };
    group("xrstor refuses");
    for (unsigned k = 0; k < COUNT(bad); k++) {
        make_source();
        source_set(XSTATE_BV, 3);
        source_set(bad[k].at, bad[k].value);
        asm volatile("pcmpeqd %%xmm3, %%xmm3" ::: "memory");
        qemu_is_wrong("does not check MXCSR");
        EXPECT_PRE(bad[k].name, GP, 0, 0, "mov $3, %%eax; xor %%edx, %%edx", "xrstor source");
        xsave(SSE);
        qemu_is_wrong("does not check MXCSR");
        check_equal("nothing has changed", area64(160 + 3 * 16), ~(u64)0);
    }
    if (!has_form(HAS_XSAVEC))
        return;
    make_source();
    source_set(XSTATE_BV, 3);
    source_set(XCOMP_BV, COMPACT | 3);
    source_set(568, 1);
    EXPECT_PRE("reserved bytes, compacted", GP, 0, 0, "mov $3, %%eax; xor %%edx, %%edx", "xrstor source");
}

static void test_supervisor(void)
{
    group("xsaves");
    if (!has_form(HAS_XSAVES)) {
        skip("all", "the processor lacks it");
        return;
    }
    u64 possible = cpuid(0xd, 1).c;
    check_equal("IA32_XSS at first", msr_read(MSR_XSS), 0);
    EXPECT("IA32_XSS of what there is not", GP, 0, ANY_IP, msr_write(MSR_XSS, BIT64(40)));
    EXPECT("IA32_XSS of a user component", GP, 0, ANY_IP, msr_write(MSR_XSS, AVX));
    EXPECT("IA32_XSS of all", NO_FAULT, 0, ANY_IP, msr_write(MSR_XSS, possible));
    check_equal("IA32_XSS", msr_read(MSR_XSS), possible);
    EXPECT_USER_PRE("xsaves at level 3", GP, 0, 0, "mov $3, %%eax; xor %%edx, %%edx", "xsaves area");
    EXPECT_USER_PRE("xrstors at level 3", GP, 0, 0, "mov $3, %%eax; xor %%edx, %%edx", "xrstors source");
    make_source();
    EXPECT_PRE("xrstors of the standard form", GP, 0, 0, "mov $3, %%eax; xor %%edx, %%edx", "xrstors source");
    xrstor(supported);
    memset(area, 0xee, sizeof area);
    xsaves(supported | possible);
    check_equal("XSTATE_BV", area64(XSTATE_BV), usable(supported));
    check_equal("XCOMP_BV", area64(XCOMP_BV), COMPACT | supported | possible);
    check_equal("components that differ", differing(supported | possible, true), 0);
    check_equal("size", cpuid(0xd, 1).b, compact_offset(supported | possible, 62));
    memset(area + 528, 0, 48);
    memcpy(source, area, sizeof area);
    init_state();
    memcpy(source, area, sizeof area);
    xrstors(supported | possible);
    make_source();
    xsave(supported);
    check_equal("xrstors brings them back", differing(supported, false), 0);
    msr_write(MSR_XSS, 0);
}

void guest_main(void)
{
    cr0_write((cr0_read() & ~(word)(CR0_EM | CR0_TS)) | CR0_NE | CR0_MP);
    group("all");
    if (!(cpuid(1, 0).c & BIT(26)) || !cpu_has(HAS_SSE2)) {
        skip("of XSAVE", "the processor lacks it");
        return;
    }
    cr4_write(cr4_read() | CR4_OSFXSR | CR4_OSXMMEXCPT);
    test_enabling();
    test_xcr0();
    test_cpuid();
    test_standard();
    test_optimized();
    test_compacted();
    test_restore_compacted();
    test_refused();
    test_supervisor();
    init_state();
    cr4_write(cr4_read() & ~(word)CR4_OSXSAVE);
}
