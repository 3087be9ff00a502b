/*
 * Paging of five levels (SDM vol. 3A 4.5), and which addresses are canonical with it and without (SDM vol. 1 3.3.7.1).
 */
#include "paging.h"

#define WINDOW BIT64(48) /* entry 1 of the top level */
#define CR4_LA57 0x1000
#define MSR_LSTAR 0xc0000082
#define MSR_GS_BASE 0xc0000101
#define FIVE BIT64(55)   /* canonical with five levels only */
#define NEVER BIT64(56)  /* not canonical with either */

void set_paging(u64 *top, bool la57);

extern u64 boot_pml4[512];
static u64 pml5[512] __attribute__((aligned(4096))), pml4[512] __attribute__((aligned(4096))),
    pdpt[512] __attribute__((aligned(4096))), directory[512] __attribute__((aligned(4096))),
    leaves[512] __attribute__((aligned(4096)));

static void identity_user(bool user)
{
    pml5[0] = (pml5[0] & ~(u64)P_U) | (user ? P_U : 0);
    cr3_write(cr3_read());
}

static inline __attribute__((always_inline)) void read_at(word address)
{
    asm volatile("mov (%0), %%eax" :: "r"(address) : "eax", "memory");
}
static inline __attribute__((always_inline)) void jump_to(word address)
{
    asm volatile("jmp *%0" :: "r"(address) : "memory");
}

/* Registers that keep addresses take those of five levels, whatever CR4.LA57. */
static void test_registers(void)
{
    static const u32 msrs[] = { MSR_LSTAR, 0xc0000083, 0xc0000100, MSR_GS_BASE, 0xc0000102, 0x175, 0x176 };
    for (unsigned k = 0; k < COUNT(msrs); k++) {
        check_equal("an MSR takes an address of five levels", FAULT_OF(msr_write(msrs[k], FIVE)), (u64)NO_FAULT);
        qemu_is_wrong("checks nothing");
        check_equal("but none beyond", FAULT_OF(msr_write(msrs[k], NEVER)), GP);
        msr_write(msrs[k], 0);
    }
    static struct TableRegister t;
    t = gdt_register;
    t.base = NEVER;
    qemu_is_wrong("LGDT takes anything");
    EXPECT("LGDT of no canonical base", GP, 0, ANY_IP,
           asm volatile("lgdt %0; lgdt %1" :: "m"(t), "m"(gdt_register) : "memory"));
    gdt_set(FREE_SEL, descriptor((u32)FIVE, PAGE - 1, A_LDT, 0));
    gdt_set(FREE_SEL + 8, NEVER >> 32);
    qemu_is_wrong("LLDT takes anything");
    EXPECT("LLDT of no canonical base", GP, FREE_SEL, ANY_IP, asm volatile("lldt %w0" :: "r"(FREE_SEL)));
    gdt_set(FREE_SEL + 8, FIVE >> 32);
    EXPECT("LLDT of a base of five levels", NO_FAULT, 0, 0, asm volatile("lldt %w0" :: "r"(FREE_SEL)));
    if (cr4_read() & CR4_LA57)
        PAGE_FAULT("a segment of that table", 0, FIVE + (USER_DS & ~7), LOAD_LOCAL);
    else
        check_equal("a segment of that table", FAULT_OF(LOAD_LOCAL), GP);
    asm volatile("lldt %w0" :: "r"(0));
}

static void test_four_levels(void)
{
    group("4-level");
    check_equal("CPUID's width of linear addresses", cpuid(0x80000008, 0).a >> 8 & 255, 57);
    EXPECT("CR4.LA57 cannot change in long mode", GP, 0, ANY_IP, cr4_write(cr4_read() | CR4_LA57));
    EXPECT("an address of five levels", GP, 0, ANY_IP, read_at(FIVE));
    EXPECT("a jump to it", GP, 0, ANY_IP, jump_to(FIVE));
    EXPECT("bit 47", GP, 0, ANY_IP, read_at(BIT64(47)));
    test_registers();
}

static void test_canonical(void)
{
    group("canonical");
    PAGE_FAULT("bit 47", 0, BIT64(47), read_at(BIT64(47)));
    PAGE_FAULT("bit 55", 0, FIVE, read_at(FIVE));
    EXPECT("bit 56", GP, 0, ANY_IP, read_at(NEVER));
    PAGE_FAULT("the lowest of the upper half", 0, -NEVER, read_at(-NEVER));
    EXPECT("the one before", GP, 0, ANY_IP, read_at(-NEVER - 1));
    qemu_is_wrong("looks at the first page first");
    EXPECT("a read across the end of the lower half", GP, 0, ANY_IP, read_at(NEVER - 3));
    qemu_is_wrong("#GP whatever the segment");
    EXPECT("stack", SS, 0, ANY_IP, asm volatile("mov %%rbp, %%r8; mov %0, %%rbp; mov (%%rbp), %%eax; mov %%r8, %%rbp"
                                               :: "r"(NEVER) : "rax", "r8"));
    PAGE_FAULT("a jump to bit 55", 0, FIVE, jump_to(FIVE));
    EXPECT("a jump to bit 56", GP, 0, ANY_IP, jump_to(NEVER));
    EXPECT("CR4.LA57 cannot change in long mode", GP, 0, ANY_IP, cr4_write(cr4_read() & ~(word)CR4_LA57));
    test_registers();
}

static void test_top_level(const Window *w)
{
    group("top level");
    pml5[1] |= P_PS;
    cr3_write(cr3_read());
    PAGE_FAULT_RSVD("bit 7", 0, w->address, window_read(w));
    pml5[1] = (word)pml4 | P_P | P_W | BIT64(51);
    cr3_write(cr3_read());
    PAGE_FAULT_RSVD("address bit", 0, w->address, window_read(w));
    pml5[1] = (word)pml4 | P_P | P_U;
    cr3_write(cr3_read());
    leaf_set(w, 0, (word)data_a | P_ALL);
    PAGE_FAULT("read-only", E_W | E_P, w->address, window_write(w));
    pml5[1] = (word)pml4 | P_P | P_W;
    cr3_write(cr3_read());
    PAGE_FAULT_USER("of the supervisor", E_U | E_P, w->address, window_read(w));
    pml5[1] = (word)pml4 | P_ALL;
    cr3_write(cr3_read());
    window_read(w);
    check_equal("A", pml5[1] & P_A, P_A);
    pml5[511] = (word)pml4 | P_ALL;
    *(volatile u32 *)data_a = 0x12345678;
    check_equal("the last entry", *(volatile u32 *)(w->address - BIT64(49)), 0x12345678);
    memset(data_a, 0xc3, PAGE);
    pml5[511] = 0;
    cr3_write(cr3_read());
}

void guest_main(void)
{
    const Window w = { WINDOW, leaves, directory, true };
    if (cpuid(0, 0).a < 7 || !(cpuid(7, 0).c & BIT(16))) {
        skip("all", "the processor lacks paging of five levels");
        return;
    }
    memset(data_a, 0xc3, PAGE);
    memset(data_b, 0xc3, PAGE);
    test_four_levels();
    pml5[0] = (word)boot_pml4 | P_ALL;
    pml5[1] = (word)pml4 | P_ALL;
    pml4[0] = (word)pdpt | P_ALL;
    pdpt[0] = (word)directory | P_ALL;
    directory[0] = (word)leaves | P_ALL;
    set_paging(pml5, true);
    cr0_write(cr0_read() | CR0_WP);
    group("5-level");
    check_equal("CR4.LA57", cr4_read() & CR4_LA57, CR4_LA57);
    test_rights(&w);
    test_accessed_dirty(&w);
    test_translation(&w);
    test_across(&w);
    test_implicit(&w);
    test_smep_smap(&w, identity_user);
    test_no_execute(&w);
    test_top_level(&w);
    test_canonical();
    set_paging(boot_pml4, false);
    group("4-level again");
    EXPECT("bit 47", GP, 0, ANY_IP, read_at(BIT64(47)));
    EXPECT("bit 55", GP, 0, ANY_IP, read_at(FIVE));
}
