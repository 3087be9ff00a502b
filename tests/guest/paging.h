/*
 * What the two paging guests have in common: a window of linear addresses whose last two levels of tables they hold,
 * and tests of access rights, accessed and dirty bits through it (SDM vol. 3A 4.6 to 4.8).
 */
#include "lib/guest.h"

#pragma GCC diagnostic ignored "-Wunused-function" /* each guest takes what it needs of this */

enum {
    P_P = 1, P_W = 2, P_U = 4, P_A = 32, P_D = 64, P_PS = 128, P_G = 256, P_ALL = P_P | P_W | P_U,
    E_P = 1, E_W = 2, E_U = 4, E_RSVD = 8, E_I = 16,
    PAGE = 4096,
};
#define P_NX BIT64(63)

/* Pages of RAM to map, each filled with RET instructions. */
static u8 data_a[PAGE] __attribute__((aligned(4096))), data_b[PAGE] __attribute__((aligned(4096)));

/* Where a window lies, and the entries that map its first pages: `upper` is one for all of it. */
typedef struct Window {
    word address;
    volatile void *leaf, *upper;
    bool wide; /* 8-byte entries */
} Window;

static u64 entry_get(const Window *w, volatile void *table, unsigned n)
{
    return w->wide ? ((volatile u64 *)table)[n] : ((volatile u32 *)table)[n];
}

static void entry_set(const Window *w, volatile void *table, unsigned n, u64 v)
{
    if (w->wide)
        ((volatile u64 *)table)[n] = v;
    else
        ((volatile u32 *)table)[n] = v;
}

/* Maps page n of the window. */
static void leaf_set(const Window *w, unsigned n, u64 v)
{
    entry_set(w, w->leaf, n, v);
    invlpg(w->address + n * PAGE);
}

static void upper_flags(const Window *w, u64 clear, u64 set)
{
    entry_set(w, w->upper, 0, (entry_get(w, w->upper, 0) & ~clear) | set);
    cr3_write(cr3_read());
}

static volatile u32 *window_word(const Window *w, word offset) { return (volatile u32 *)(w->address + offset); }

static void check_page_fault(const char *name, u32 error, word address)
{
    check(name, fault.vector == PF && fault.error == error && fault.cr2 == address,
          "got vector %d error 0x%x CR2 0x%lx, expected #PF error 0x%x CR2 0x%lx", fault.vector, fault.error,
          (unsigned long)fault.cr2, error, (unsigned long)address);
}

#define PAGE_FAULT(name, error, address, ...) (FAULT_OF(__VA_ARGS__), check_page_fault(name, error, address))
#define PAGE_FAULT_USER(name, error, address, ...) (USER_FAULT_OF(__VA_ARGS__), check_page_fault(name, error, address))
/* QEMU leaves P out of the error code. */
#define PAGE_FAULT_RSVD(name, error, address, ...)                                                                     \
    (qemu_is_wrong("reports P = 0"), PAGE_FAULT(name, (error) | E_P | E_RSVD, address, __VA_ARGS__))
#define PAGE_FAULT_RSVD_USER(name, error, address, ...)                                                                \
    (qemu_is_wrong("reports P = 0"), PAGE_FAULT_USER(name, (error) | E_P | E_RSVD | E_U, address, __VA_ARGS__))
#define NO_PAGE_FAULT(name, ...)                                                                                       \
    (FAULT_OF(__VA_ARGS__), check(name, fault.vector == NO_FAULT, "got vector %d error 0x%x CR2 0x%lx", fault.vector,  \
                                  fault.error, (unsigned long)fault.cr2))
#define NO_PAGE_FAULT_USER(name, ...)                                                                                  \
    (USER_FAULT_OF(__VA_ARGS__), check(name, fault.vector == NO_FAULT, "got vector %d error 0x%x CR2 0x%lx",           \
                                       fault.vector, fault.error, (unsigned long)fault.cr2))

static inline __attribute__((always_inline)) void window_read(const Window *w)
{
    asm volatile("mov (%0), %%eax" :: "r"(w->address) : "eax", "memory");
}
static inline __attribute__((always_inline)) void window_write(const Window *w)
{
    asm volatile("movl $0xc3c3c3c3, (%0)" :: "r"(w->address) : "memory");
}
static inline __attribute__((always_inline)) void window_fetch(const Window *w)
{
    asm volatile("call *%0" :: "r"(w->address) : "memory");
}

/* A load of the LDT's USER_DS. */
#define LOAD_LOCAL asm volatile("mov %0, %%gs" :: "r"(USER_DS | 4) : "memory")

static void test_rights(const Window *w)
{
    const word at = w->address, a = (word)data_a;
    leaf_set(w, 0, 0);
    PAGE_FAULT("read, not present", 0, at, window_read(w));
    PAGE_FAULT("write, not present", E_W, at, window_write(w));
    PAGE_FAULT("fetch, not present", 0, at, window_fetch(w));
    PAGE_FAULT_USER("user read, not present", E_U, at, window_read(w));
    PAGE_FAULT_USER("user write, not present", E_U | E_W, at, window_write(w));

    leaf_set(w, 0, a | P_P | P_U);
    cr0_write(cr0_read() & ~(word)CR0_WP);
    NO_PAGE_FAULT("write to a read-only page without CR0.WP", window_write(w));
    check("and it becomes dirty", entry_get(w, w->leaf, 0) & P_D, "entry 0x%llx",
          (unsigned long long)entry_get(w, w->leaf, 0));
    PAGE_FAULT_USER("user write to a read-only page without CR0.WP", E_U | E_W | E_P, at, window_write(w));
    cr0_write(cr0_read() | CR0_WP);
    PAGE_FAULT("write to a read-only page with CR0.WP", E_W | E_P, at, window_write(w));
    NO_PAGE_FAULT_USER("user read of a read-only page", window_read(w));

    leaf_set(w, 0, a | P_P | P_W);
    PAGE_FAULT_USER("user read of a supervisor page", E_U | E_P, at, window_read(w));
    PAGE_FAULT_USER("user write to a supervisor page", E_U | E_W | E_P, at, window_write(w));
    PAGE_FAULT_USER("user fetch from a supervisor page", E_U | E_P, at, window_fetch(w));
    NO_PAGE_FAULT("write to a supervisor page", window_write(w));

    leaf_set(w, 0, a | P_ALL);
    NO_PAGE_FAULT_USER("user write", window_write(w));
    NO_PAGE_FAULT_USER("user fetch", window_fetch(w));
    upper_flags(w, P_W, 0);
    PAGE_FAULT("write, the upper level read-only", E_W | E_P, at, window_write(w));
    upper_flags(w, P_U, P_W);
    PAGE_FAULT_USER("user read, the upper level of the supervisor", E_U | E_P, at, window_read(w));
    upper_flags(w, P_P, P_U);
    PAGE_FAULT("read, the upper level not present", 0, at, window_read(w));
    upper_flags(w, 0, P_P);
    NO_PAGE_FAULT("read again", window_read(w));
}

static void test_accessed_dirty(const Window *w)
{
    leaf_set(w, 0, (word)data_a | P_ALL);
    upper_flags(w, P_A, 0);
    check("no access yet", !(entry_get(w, w->leaf, 0) & (P_A | P_D)), "entry 0x%llx",
          (unsigned long long)entry_get(w, w->leaf, 0));
    window_read(w);
    check_equal("read sets A", entry_get(w, w->leaf, 0) & (P_A | P_D), P_A);
    check_equal("and in the upper level", entry_get(w, w->upper, 0) & P_A, P_A);
    window_write(w);
    check_equal("write sets D", entry_get(w, w->leaf, 0) & (P_A | P_D), P_A | P_D);
    leaf_set(w, 0, (word)data_a | P_ALL);
    window_write(w);
    check_equal("write sets A and D", entry_get(w, w->leaf, 0) & (P_A | P_D), P_A | P_D);
    leaf_set(w, 0, (word)data_a | P_ALL);
    window_fetch(w);
    check_equal("fetch sets A", entry_get(w, w->leaf, 0) & (P_A | P_D), P_A);
    leaf_set(w, 0, (word)data_a | P_P | P_U);
    FAULT_OF(window_write(w));
    check_equal("a refused write does not set D", entry_get(w, w->leaf, 0) & P_D, 0);
    leaf_set(w, 0, (word)data_a | P_ALL);
    asm volatile("cmpxchg %0, (%1)" :: "r"(0x12345678), "r"(w->address), "a"(1) : "memory", "cc");
    check_equal("cmpxchg sets D though it fails", entry_get(w, w->leaf, 0) & P_D, P_D);
}

static void test_global(const Window *w)
{
    cr4_write(cr4_read() | CR4_PGE);
    leaf_set(w, 0, (word)data_a | P_ALL | P_G);
    check_equal("global page A", *window_word(w, 0), 0xaaaaaaaa);
    leaf_set(w, 0, (word)data_b | P_ALL | P_G);
    check_equal("invlpg drops a global page", *window_word(w, 0), 0xbbbbbbbb);
    entry_set(w, w->leaf, 0, (word)data_a | P_ALL);
    cr4_write(cr4_read() & ~(word)CR4_PGE);
    check_equal("so does a change of CR4.PGE", *window_word(w, 0), 0xaaaaaaaa);
}

static void test_translation(const Window *w)
{
    *(volatile u32 *)data_a = 0xaaaaaaaa;
    *(volatile u32 *)data_b = 0xbbbbbbbb;
    leaf_set(w, 0, (word)data_a | P_ALL);
    check_equal("page A", *window_word(w, 0), 0xaaaaaaaa);
    leaf_set(w, 0, (word)data_b | P_ALL);
    check_equal("page B after invlpg", *window_word(w, 0), 0xbbbbbbbb);
    entry_set(w, w->leaf, 0, (word)data_a | P_ALL);
    cr3_write(cr3_read());
    check_equal("page A after CR3 is loaded", *window_word(w, 0), 0xaaaaaaaa);
    leaf_set(w, 1, 0);
    PAGE_FAULT("page 1 is not there", 0, w->address + PAGE, (void)*window_word(w, PAGE));
    entry_set(w, w->leaf, 1, (word)data_b | P_ALL);
    check_equal("no invlpg is needed for what was not present", *window_word(w, PAGE), 0xbbbbbbbb);

    if (cpu_has(HAS_PGE))
        test_global(w);
    *(volatile u32 *)data_a = *(volatile u32 *)data_b = 0xc3c3c3c3;
}

/* Accesses to two pages at once: all of it or nothing. */
static void test_across(const Window *w)
{
    const word edge = w->address + PAGE;
    leaf_set(w, 0, (word)data_a | P_ALL);
    leaf_set(w, 1, (word)data_b | P_ALL);
    *(volatile u32 *)(edge - 2) = 0x11223344;
    check("write to both", data_a[PAGE - 1] == 0x33 && data_b[0] == 0x22, "%x %x", data_a[PAGE - 1], data_b[0]);
    check_equal("read from both", *(volatile u32 *)(edge - 2), 0x11223344);
    leaf_set(w, 1, 0);
    PAGE_FAULT("write, the second not present", E_W, edge, *(volatile u32 *)(edge - 2) = 0x55667788);
    check_equal("the first page is left alone", data_a[PAGE - 1], 0x33);
    PAGE_FAULT("read, the second not present", 0, edge, (void)*(volatile u32 *)(edge - 1));
    leaf_set(w, 1, (word)data_b | P_P | P_U);
    PAGE_FAULT("write, the second read-only", E_W | E_P, edge, *(volatile u32 *)(edge - 2) = 0x55667788);
    check_equal("the first page is left alone still", data_a[PAGE - 1], 0x33);
    leaf_set(w, 0, 0);
    PAGE_FAULT("write, both refused, the first one counts", E_W, edge - 2, *(volatile u32 *)(edge - 2) = 0x55667788);

    /* mov $0x55443322, %eax; ret, three bytes of it on the second page */
    static const u8 code[] = { 0xb8, 0x22, 0x33, 0x44, 0x55, 0xc3 };
    leaf_set(w, 0, (word)data_a | P_ALL);
    leaf_set(w, 1, (word)data_b | P_ALL);
    memcpy((void *)(edge - 3), code, sizeof code);
    u32 v = 0;
    asm volatile("call *%1" : "=a"(v) : "r"(edge - 3) : "memory");
    check_equal("an instruction across two pages", v, 0x55443322);
    leaf_set(w, 1, 0);
    PAGE_FAULT("its second page not present", 0, edge, asm volatile("call *%0" :: "r"(edge - 3) : "memory", "eax"));
    check_equal("saved ip is its start", fault.ip, edge - 3);
    memset(data_a, 0xc3, PAGE);
    memset(data_b, 0xc3, PAGE);
}

/* What the processor itself reads and writes counts as the supervisor's, whatever the privilege level. */
static void test_implicit(const Window *w)
{
    const word at = w->address + (USER_DS & ~7);
    memcpy(data_a, gdt, sizeof gdt);
    gdt_set(FREE_SEL, descriptor(w->address, PAGE - 1, A_LDT, 0));
    gdt_set(FREE_SEL + 8, (u64)w->address >> 32);
    leaf_set(w, 0, (word)data_a | P_P | P_W);
    asm volatile("lldt %w0" :: "r"(FREE_SEL));
    NO_PAGE_FAULT_USER("LDT on a supervisor page", LOAD_LOCAL);
    leaf_set(w, 0, 0);
    PAGE_FAULT("LDT not present", 0, at, LOAD_LOCAL);
    PAGE_FAULT_USER("LDT not present, at level 3", 0, at, LOAD_LOCAL);
    ((volatile u8 *)data_a)[(USER_DS & ~7) + 5] &= ~1; /* accessed bit */
    leaf_set(w, 0, (word)data_a | P_P);
    check("accessed bit on a read-only page", FAULT_OF(LOAD_LOCAL) == PF && fault.error == (E_W | E_P) &&
          (fault.cr2 & ~(word)7) == at, "vector %d error 0x%x CR2 0x%lx", fault.vector, fault.error,
          (unsigned long)fault.cr2);
    leaf_set(w, 0, (word)data_a | P_P | P_W);
    FAULT_OF(LOAD_LOCAL);
    check("accessed bit", ((volatile u8 *)data_a)[(USER_DS & ~7) + 5] & 1, "is not set");
    asm volatile("lldt %w0" :: "r"(0));
    memset(data_a, 0xc3, PAGE);
}

/* CR4.SMEP and CR4.SMAP (4.6); the guest's own pages must be the supervisor's meanwhile. */
static void test_smep_smap(const Window *w, void (*identity_user)(bool))
{
    static u32 features; /* static: kept across faults */
    features = cpuid(0, 0).a >= 7 ? cpuid(7, 0).b : 0;
    identity_user(false);
    leaf_set(w, 0, (word)data_a | P_ALL);
    if (features & BIT(7)) {
        cr4_write(cr4_read() | CR4_SMEP);
        PAGE_FAULT("SMEP, fetch from a user page", E_I | E_P, w->address, window_fetch(w));
        NO_PAGE_FAULT("SMEP, read of a user page", window_read(w));
        cr4_write(cr4_read() & ~(word)CR4_SMEP);
        NO_PAGE_FAULT("fetch without SMEP", window_fetch(w));
    } else {
        skip("SMEP", "the processor lacks it");
    }
    if (features & BIT(20)) {
        cr4_write(cr4_read() | CR4_SMAP);
        PAGE_FAULT("SMAP, read of a user page", E_P, w->address, window_read(w));
        PAGE_FAULT("SMAP, write to a user page", E_P | E_W, w->address, window_write(w));
        NO_PAGE_FAULT("SMAP, fetch from a user page", window_fetch(w));
        asm volatile("stac" ::: "cc");
        NO_PAGE_FAULT("SMAP, read with EFLAGS.AC", window_read(w));
        asm volatile("clac" ::: "cc");
        leaf_set(w, 0, (word)data_a | P_P | P_W);
        NO_PAGE_FAULT("SMAP, read of a supervisor page", window_read(w));
        cr4_write(cr4_read() & ~(word)CR4_SMAP);
    } else {
        skip("SMAP", "the processor lacks it");
    }
    identity_user(true);
}

/* Execute disable; entries must be wide. */
static void test_no_execute(const Window *w)
{
    if (!cpu_has(HAS_NX)) {
        skip("NX", "the processor lacks it");
        return;
    }
    leaf_set(w, 0, (word)data_a | P_ALL | P_NX);
    PAGE_FAULT_RSVD("NX is reserved without EFER.NXE", 0, w->address, window_read(w));
    msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_NXE);
    NO_PAGE_FAULT("NX, read", window_read(w));
    PAGE_FAULT("NX, fetch", E_P | E_I, w->address, window_fetch(w));
    PAGE_FAULT_USER("NX, user fetch", E_P | E_I | E_U, w->address, window_fetch(w));
    leaf_set(w, 0, 0);
    PAGE_FAULT("fetch, not present, with EFER.NXE", E_I, w->address, window_fetch(w));
    leaf_set(w, 0, (word)data_a | P_ALL);
    upper_flags(w, 0, P_NX);
    PAGE_FAULT("NX in the upper level", E_P | E_I, w->address, window_fetch(w));
    upper_flags(w, P_NX, 0);
    NO_PAGE_FAULT("fetch again", window_fetch(w));
    msr_write(MSR_EFER, msr_read(MSR_EFER) & ~(u64)EFER_NXE);
}

/* The largest physical address bit that exists, plus one (CPUID leaf 80000008h). */
static unsigned physical_bits(void)
{
    return cpuid(0x80000000, 0).a >= 0x80000008 ? cpuid(0x80000008, 0).a & 255 : 36;
}
