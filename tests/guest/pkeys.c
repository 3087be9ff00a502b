/*
 * Protection keys of user pages (PKRU) and of supervisor pages (IA32_PKRS): SDM vol. 3A 4.6.2, 4.7; vol. 2 RDPKRU, WRPKRU.
 */
#include "paging.h"

#define WINDOW BIT64(39) /* entry 1 of the top level */
#define KEY(n) ((u64)(n) << 59)
#define MSR_PKRS 0x6e1
enum { CR4_PKE = 1 << 22, CR4_PKS = 1 << 24, E_PK = 32, NO_ACCESS = 1, NO_WRITE = 2 };

extern u64 boot_pml4[512];
static u64 pdpt[512] __attribute__((aligned(4096))), directory[512] __attribute__((aligned(4096))),
    leaves[512] __attribute__((aligned(4096)));

#define RDPKRU ".byte 0x0f, 0x01, 0xee"
#define WRPKRU ".byte 0x0f, 0x01, 0xef"

static u32 pkru_read(void)
{
    u32 v, high;
    asm volatile(RDPKRU : "=a"(v), "=d"(high) : "c"(0) : "memory");
    return v | high;
}
static inline __attribute__((always_inline)) void pkru_write(u32 v)
{
    asm volatile(WRPKRU :: "a"(v), "c"(0), "d"(0) : "memory");
}

static inline __attribute__((always_inline)) u32 rights(unsigned key, u32 v) { return v << key * 2; }

static void identity_user(bool user)
{
    boot_pml4[0] = (boot_pml4[0] & ~(u64)P_U) | (user ? P_U : 0);
    cr3_write(cr3_read());
}

static void write_protect(bool on)
{
    cr0_write(on ? cr0_read() | CR0_WP : cr0_read() & ~(word)CR0_WP);
}

static void test_instructions(void)
{
    group("PKRU");
    check_equal("CPUID without CR4.PKE", cpuid(7, 0).c & BIT(4), 0);
    EXPECT_PRE("RDPKRU without CR4.PKE", UD, 0, 0, "xor %%ecx, %%ecx", RDPKRU);
    EXPECT_PRE("WRPKRU without CR4.PKE", UD, 0, 0, "xor %%ecx, %%ecx; xor %%edx, %%edx", WRPKRU);
    cr4_write(cr4_read() | CR4_PKE);
    check_equal("CPUID with CR4.PKE", cpuid(7, 0).c & BIT(4), BIT(4));
    check_equal("is 0 after reset", pkru_read(), 0);
    EXPECT_PRE("RDPKRU, ECX not 0", GP, 0, 0, "mov $1, %%ecx", RDPKRU);
    EXPECT_PRE("WRPKRU, ECX not 0", GP, 0, 0, "mov $1, %%ecx; xor %%edx, %%edx", WRPKRU);
    EXPECT_PRE("WRPKRU, EDX not 0", GP, 0, 0, "mov $1, %%edx; xor %%ecx, %%ecx", WRPKRU);
    EXPECT_USER_PRE("WRPKRU at level 3", NO_FAULT, 0, 0, "xor %%ecx, %%ecx; xor %%edx, %%edx; mov $0xaaaaaaa8, %%eax",
                    WRPKRU);
    check_equal("RDPKRU", pkru_read(), 0xaaaaaaa8);
    u64 high;
    asm volatile("mov $-1, %%rdx; mov $-1, %%rax; " RDPKRU : "=d"(high) : "c"(0) : "rax");
    check_equal("RDPKRU clears RDX", high, 0);
    pkru_write(0);
}

/* A page with key 5, of the user. */
static void test_user_page(const Window *w, u64 page, unsigned key)
{
    const word at = w->address;
    leaf_set(w, 0, page | P_ALL | KEY(key));
    pkru_write(0);
    NO_PAGE_FAULT_USER("user write", window_write(w));
    pkru_write(rights(key, NO_WRITE));
    NO_PAGE_FAULT_USER("user read, no write", window_read(w));
    PAGE_FAULT_USER("user write, no write", E_U | E_W | E_P | E_PK, at, window_write(w));
    PAGE_FAULT("write, no write", E_W | E_P | E_PK, at, window_write(w));
    write_protect(false);
    NO_PAGE_FAULT("write without CR0.WP, no write", window_write(w));
    PAGE_FAULT_USER("user write without CR0.WP, no write", E_U | E_W | E_P | E_PK, at, window_write(w));
    pkru_write(rights(key, NO_ACCESS));
    PAGE_FAULT("read without CR0.WP, no access", E_P | E_PK, at, window_read(w));
    PAGE_FAULT("write without CR0.WP, no access", E_P | E_W | E_PK, at, window_write(w));
    write_protect(true);
    PAGE_FAULT("read, no access", E_P | E_PK, at, window_read(w));
    PAGE_FAULT_USER("user read, no access", E_U | E_P | E_PK, at, window_read(w));
    PAGE_FAULT_USER("user write, no access", E_U | E_W | E_P | E_PK, at, window_write(w));
    NO_PAGE_FAULT_USER("user fetch, no access", window_fetch(w));
    pkru_write(~rights(key, NO_ACCESS | NO_WRITE) & ~3u);
    NO_PAGE_FAULT_USER("user write, all other keys closed", window_write(w));
    NO_PAGE_FAULT_USER("user read, all other keys closed", window_read(w));
    pkru_write(rights(key, NO_ACCESS));
    leaf_set(w, 0, page | P_P | P_U | KEY(key));
    PAGE_FAULT_USER("user write to a read-only page, no access", E_U | E_W | E_P | E_PK, at, window_write(w));
    pkru_write(0);
    PAGE_FAULT_USER("user write to a read-only page", E_U | E_W | E_P, at, window_write(w));
    leaf_set(w, 0, page | P_P | P_W | KEY(key));
    pkru_write(rights(key, NO_ACCESS | NO_WRITE));
    NO_PAGE_FAULT("a page of the supervisor is not concerned", window_write(w));
    PAGE_FAULT_USER("user read of it", E_U | E_P, at, window_read(w));
    leaf_set(w, 0, KEY(key));
    PAGE_FAULT("not present", 0, at, window_read(w));
    pkru_write(0);
}

/* All changes of rights without a flush, in a loop that becomes hot. */
static void test_switching(const Window *w)
{
    group("switching");
    static volatile unsigned wrong, faults;
    leaf_set(w, 0, (word)data_a | P_ALL | KEY(1));
    leaf_set(w, 1, (word)data_b | P_ALL | KEY(15));
    wrong = 0;
    for (volatile unsigned k = 0; k < 300; k++) {
        pkru_write(k & 1 ? rights(1, NO_ACCESS) : rights(15, NO_WRITE));
        *window_word(w, k & 1 ? PAGE : 0) = k;
        wrong += *window_word(w, k & 1 ? PAGE : 0) != k;
    }
    check_equal("what is allowed", wrong, 0);
    faults = 0;
    for (volatile unsigned k = 0; k < 300; k++) {
        pkru_write(k & 1 ? rights(1, NO_ACCESS) : rights(15, NO_WRITE));
        faults += FAULT_OF(*window_word(w, k & 1 ? 0 : PAGE) = k) == PF;
    }
    check_equal("what is not", faults, 300);
    pkru_write(0);
    memset(data_a, 0xc3, PAGE);
    memset(data_b, 0xc3, PAGE);
}

/* Large pages have their key in the last entry; those of other entries mean nothing. */
static void test_levels(const Window *w)
{
    group("levels");
    static word base;
    base = (word)data_a & ~(word)0x1fffff;
    directory[1] = base | P_ALL | P_PS | KEY(3);
    pkru_write(rights(3, NO_ACCESS));
    PAGE_FAULT("2 MiB, no access", E_P | E_PK, w->address + 0x200000, (void)*window_word(w, 0x200000));
    pkru_write(rights(3, NO_WRITE));
    NO_PAGE_FAULT("2 MiB, read", (void)*window_word(w, 0x200000));
    directory[1] = 0;
    invlpg(w->address + 0x200000);
    leaf_set(w, 0, (word)data_a | P_ALL | KEY(2));
    upper_flags(w, 0, KEY(3));
    pkru_write(rights(3, NO_ACCESS));
    NO_PAGE_FAULT("a key in a directory means nothing", window_read(w));
    upper_flags(w, KEY(15), 0);
    pkru_write(0);
}

/* Key 0 is like the others; the guest's own pages must be the supervisor's meanwhile. */
static void test_key_0(const Window *w)
{
    group("key 0");
    identity_user(false);
    leaf_set(w, 0, (word)data_a | P_ALL);
    NO_PAGE_FAULT("write", window_write(w));
    pkru_write(NO_WRITE);
    PAGE_FAULT("write, no write", E_W | E_P | E_PK, w->address, window_write(w));
    NO_PAGE_FAULT("read, no write", window_read(w));
    pkru_write(NO_ACCESS);
    PAGE_FAULT("read, no access", E_P | E_PK, w->address, window_read(w));
    cr4_write(cr4_read() & ~(word)CR4_PKE);
    NO_PAGE_FAULT("write without CR4.PKE", window_write(w));
    cr4_write(cr4_read() | CR4_PKE);
    qemu_is_wrong("keeps its TLB when CR4.PKE changes");
    PAGE_FAULT("read with CR4.PKE again", E_P | E_PK, w->address, window_read(w));
    pkru_write(0);
    NO_PAGE_FAULT("write again", window_write(w));
    identity_user(true);
}

static void test_supervisor_page(const Window *w)
{
    const word at = w->address;
    group("PKRS");
    if (!(cpuid(7, 0).c & BIT(31))) {
        skip("PKRS", "the processor lacks it");
        return;
    }
    EXPECT("upper half of the MSR", GP, 0, ANY_IP, msr_write(MSR_PKRS, BIT64(32)));
    msr_write(MSR_PKRS, rights(5, NO_ACCESS));
    leaf_set(w, 0, (word)data_a | P_P | P_W | KEY(5));
    NO_PAGE_FAULT("write without CR4.PKS", window_write(w));
    cr4_write(cr4_read() | CR4_PKS);
    qemu_is_wrong("keeps its TLB when CR4.PKS changes");
    PAGE_FAULT("write, no access", E_P | E_W | E_PK, at, window_write(w));
    qemu_is_wrong("keeps its TLB when CR4.PKS changes");
    PAGE_FAULT("read, no access", E_P | E_PK, at, window_read(w));
    NO_PAGE_FAULT("fetch, no access", window_fetch(w));
    msr_write(MSR_PKRS, rights(5, NO_WRITE));
    NO_PAGE_FAULT("read, no write", window_read(w));
    PAGE_FAULT("write, no write", E_P | E_W | E_PK, at, window_write(w));
    write_protect(false);
    NO_PAGE_FAULT("write without CR0.WP, no write", window_write(w));
    write_protect(true);
    msr_write(MSR_PKRS, rights(5, NO_ACCESS));
    leaf_set(w, 0, (word)data_a | P_ALL | KEY(5));
    NO_PAGE_FAULT("a page of the user is not concerned", window_write(w));
    msr_write(MSR_PKRS, 0);
    leaf_set(w, 0, (word)data_a | P_P | P_W | KEY(5));
    NO_PAGE_FAULT("write, all allowed", window_write(w));
    cr4_write(cr4_read() & ~(word)CR4_PKS);
}

/* The processor's own accesses obey keys too. */
static void test_implicit_keys(const Window *w)
{
    group("implicit");
    memcpy(data_a, gdt, sizeof gdt);
    gdt_set(FREE_SEL, descriptor(w->address, PAGE - 1, A_LDT, 0));
    gdt_set(FREE_SEL + 8, (u64)w->address >> 32);
    leaf_set(w, 0, (word)data_a | P_ALL | KEY(4));
    asm volatile("lldt %w0" :: "r"(FREE_SEL));
    NO_PAGE_FAULT("a descriptor table", LOAD_LOCAL);
    pkru_write(rights(4, NO_ACCESS));
    PAGE_FAULT("a descriptor table, no access", E_P | E_PK, w->address + (USER_DS & ~7), LOAD_LOCAL);
    PAGE_FAULT_USER("the same at level 3", E_P | E_PK, w->address + (USER_DS & ~7), LOAD_LOCAL);
    pkru_write(0);
    NO_PAGE_FAULT_USER("a descriptor table at level 3", LOAD_LOCAL);
    asm volatile("lldt %w0" :: "r"(0));
    memset(data_a, 0xc3, PAGE);
}

/* Pages of key 0 with all others closed: nothing changes. */
static void test_no_key(const Window *w)
{
    group("no key");
    pkru_write(~3u);
    test_rights(w);
    test_accessed_dirty(w);
    test_translation(w);
    test_across(w);
    test_implicit(w);
    test_smep_smap(w, identity_user);
    test_no_execute(w);
    pkru_write(0);
}

void guest_main(void)
{
    const Window w = { WINDOW, leaves, directory, true };
    if (cpuid(0, 0).a < 7 || !(cpuid(7, 0).c & BIT(3))) {
        skip("all", "the processor lacks protection keys");
        return;
    }
    memset(data_a, 0xc3, PAGE);
    memset(data_b, 0xc3, PAGE);
    boot_pml4[1] = (word)pdpt | P_ALL;
    pdpt[0] = (word)directory | P_ALL;
    directory[0] = (word)leaves | P_ALL;
    write_protect(true);
    test_instructions();
    group("user page");
    test_user_page(&w, (word)data_a, 5);
    group("key 15");
    test_user_page(&w, (word)data_a, 15);
    test_switching(&w);
    test_levels(&w);
    test_key_0(&w);
    test_supervisor_page(&w);
    test_implicit_keys(&w);
    test_no_key(&w);
}
