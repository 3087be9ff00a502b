/*
 * Paging in 64-bit mode: four levels, pages of 4 KiB, 2 MiB and 1 GiB, PCID (SDM vol. 3A 4.5, 4.10).
 */
#include "paging.h"

#define WINDOW BIT64(39) /* entry 1 of the top level */

extern u64 boot_pml4[512];
static u64 pdpt[512] __attribute__((aligned(4096))), directory[512] __attribute__((aligned(4096))),
    leaves[512] __attribute__((aligned(4096))), other_pml4[512] __attribute__((aligned(4096)));

static void identity_user(bool user)
{
    boot_pml4[0] = (boot_pml4[0] & ~(u64)P_U) | (user ? P_U : 0);
    cr3_write(cr3_read());
}

static void test_reserved(const Window *w)
{
    static unsigned bits;
    bits = physical_bits();
    group("reserved");
    leaf_set(w, 0, (word)data_a | P_ALL | BIT64(bits));
    PAGE_FAULT_RSVD("address bit in a page table", 0, w->address, window_read(w));
    PAGE_FAULT_RSVD_USER("address bit in a page table, user write", E_W, w->address, window_write(w));
    leaf_set(w, 0, (word)data_a | P_ALL | BIT64(52) | BIT64(58) | 0xe00);
    NO_PAGE_FAULT("bits 9 to 11 and 52 to 58 are free", window_read(w));
    upper_flags(w, 0, BIT64(bits));
    PAGE_FAULT_RSVD("address bit in a directory", 0, w->address, window_read(w));
    upper_flags(w, BIT64(bits), 0);
    pdpt[0] |= BIT64(51);
    cr3_write(cr3_read());
    PAGE_FAULT_RSVD("address bit in a PDPT", 0, w->address, window_read(w));
    pdpt[0] &= ~BIT64(51);
    boot_pml4[1] |= P_PS;
    cr3_write(cr3_read());
    PAGE_FAULT_RSVD("bit 7 of the top level", 0, w->address, window_read(w));
    boot_pml4[1] &= ~(u64)P_PS;
    cr3_write(cr3_read());
    directory[1] = P_ALL | P_PS | BIT(13);
    PAGE_FAULT_RSVD("bit 13 of a 2 MiB page", 0, w->address + 0x200000, (void)*window_word(w, 0x200000));
    directory[1] = P_ALL | P_PS | BIT(20);
    PAGE_FAULT_RSVD("bit 20 of a 2 MiB page", 0, w->address + 0x200000, (void)*window_word(w, 0x200000));
    directory[1] = P_ALL | P_PS | BIT(12);
    NO_PAGE_FAULT("bit 12 of a 2 MiB page is PAT", (void)*window_word(w, 0x200000));
    directory[1] = 0;
    invlpg(w->address + 0x200000);
}

static void test_large(const Window *w)
{
    group("large");
    *(volatile u32 *)data_a = 0x5a5a5a5a;
    const word offset = (word)data_a & 0x1fffff, base = (word)data_a & ~(word)0x1fffff;
    directory[2] = base | P_ALL | P_PS;
    check_equal("2 MiB", *window_word(w, 0x400000 + offset), 0x5a5a5a5a);
    check_equal("read sets A", directory[2] & (P_A | P_D), P_A);
    *window_word(w, 0x400000 + offset) = 0xa5a5a5a5;
    check_equal("write sets D", directory[2] & (P_A | P_D), P_A | P_D);
    directory[2] = 0;
    invlpg(w->address + 0x400000);
    const word second = BIT64(30);
    if (!(cpuid(0x80000001, 0).d & BIT(26))) {
        skip("1 GiB", "the processor lacks it");
        return;
    }
    pdpt[1] = P_ALL | P_PS;
    check_equal("1 GiB", *window_word(w, second + (word)data_a), 0xa5a5a5a5);
    check_equal("read sets A in 1 GiB", pdpt[1] & (P_A | P_D), P_A);
    *window_word(w, second + (word)data_a) = 0xc3c3c3c3;
    check_equal("write sets D in 1 GiB", pdpt[1] & (P_A | P_D), P_A | P_D);
    pdpt[1] = P_ALL | P_PS | BIT(29);
    invlpg(w->address + second);
    PAGE_FAULT_RSVD("bit 29 of a 1 GiB page", 0, w->address + second, (void)*window_word(w, second));
    pdpt[1] = P_P | P_W | P_PS;
    invlpg(w->address + second);
    PAGE_FAULT_USER("1 GiB of the supervisor", E_P | E_U, w->address + second + (word)data_a,
                    (void)*window_word(w, second + (word)data_a));
    pdpt[1] = 0;
    invlpg(w->address + second);
    *(volatile u32 *)data_a = 0xc3c3c3c3;
}

/* Two address spaces that differ in the window. */
static void test_spaces(const Window *w)
{
    static u64 other_pdpt[512] __attribute__((aligned(4096))), other_directory[512] __attribute__((aligned(4096))),
        other_leaves[512] __attribute__((aligned(4096)));
    group("CR3");
    memcpy(other_pml4, boot_pml4, PAGE);
    other_pml4[1] = (word)other_pdpt | P_ALL;
    other_pdpt[0] = (word)other_directory | P_ALL;
    other_directory[0] = (word)other_leaves | P_ALL;
    other_leaves[0] = (word)data_b | P_ALL;
    leaf_set(w, 0, (word)data_a | P_ALL);
    *(volatile u32 *)data_a = 0xaaaaaaaa;
    *(volatile u32 *)data_b = 0xbbbbbbbb;
    for (unsigned k = 0; k < 3; k++) {
        check_equal("first space", *window_word(w, 0), 0xaaaaaaaa);
        cr3_write((word)other_pml4);
        check_equal("second space", *window_word(w, 0), 0xbbbbbbbb);
        cr3_write((word)boot_pml4);
    }
}

static int invpcid(u64 type, u64 pcid, u64 address)
{
    struct { u64 pcid, address; } what = { pcid, address };
    return FAULT_OF(asm volatile("invpcid %0, %1" :: "m"(what), "r"(type) : "memory"));
}

static void test_pcid(const Window *w)
{
    group("PCID");
    if (!(cpuid(1, 0).c & BIT(17))) {
        skip("PCID", "the processor lacks it");
        return;
    }
    cr3_write((word)boot_pml4 | 0x18); /* PWT, PCD: without PCIDs */
    EXPECT("CR4.PCIDE with bits in CR3", GP, 0, ANY_IP, cr4_write(cr4_read() | CR4_PCIDE));
    cr3_write((word)boot_pml4);
    EXPECT("CR4.PCIDE", NO_FAULT, 0, 0, cr4_write(cr4_read() | CR4_PCIDE));
    for (unsigned k = 0; k < 2; k++) {
        cr3_write((word)boot_pml4 | 1 | (k ? BIT64(63) : 0));
        check_equal("PCID 1", *window_word(w, 0), 0xaaaaaaaa);
        check_equal("CR3 bit 63 does not read back", cr3_read(), (word)boot_pml4 | 1);
        cr3_write((word)other_pml4 | 2 | (k ? BIT64(63) : 0));
        check_equal("PCID 2", *window_word(w, 0), 0xbbbbbbbb);
    }
    cr3_write((word)boot_pml4 | 1);
    EXPECT("CR0.PG must stay", GP, 0, ANY_IP, cr0_write(cr0_read() & ~(word)CR0_PG));
    if (cpuid(7, 0).b & BIT(10)) {
        leaf_set(w, 0, (word)data_a | P_ALL);
        check_equal("before invpcid", *window_word(w, 0), 0xaaaaaaaa);
        for (unsigned type = 0; type < 4; type++) {
            leaves[0] = (type & 1 ? (word)data_a : (word)data_b) | P_ALL;
            check_equal("invpcid", (u64)invpcid(type, type < 2 ? 1 : 0, w->address), (u64)NO_FAULT);
            check_equal("drops the old page", *window_word(w, 0), type & 1 ? 0xaaaaaaaa : 0xbbbbbbbb);
        }
        check_equal("invpcid type 4", invpcid(4, 0, 0), GP);
        check_equal("invpcid with a reserved bit", invpcid(0, BIT(12), 0), GP);
        check_equal("invpcid with a noncanonical address", invpcid(0, 1, BIT64(63)), GP);
        check_equal("invpcid at level 3", USER_FAULT_OF(asm volatile("invpcid (%%rsp), %0" :: "r"(0ul) : "memory")),
                    GP);
    } else {
        skip("INVPCID", "the processor lacks it");
    }
    leaf_set(w, 0, (word)data_a | P_ALL);
    cr3_write((word)boot_pml4);
    cr4_write(cr4_read() & ~(word)CR4_PCIDE);
}

void guest_main(void)
{
    const Window w = { WINDOW, leaves, directory, true };
    memset(data_a, 0xc3, PAGE);
    memset(data_b, 0xc3, PAGE);
    boot_pml4[1] = (word)pdpt | P_ALL;
    pdpt[0] = (word)directory | P_ALL;
    directory[0] = (word)leaves | P_ALL;
    cr0_write(cr0_read() | CR0_WP);
    group("4-level");
    test_rights(&w);
    test_accessed_dirty(&w);
    test_translation(&w);
    test_across(&w);
    test_implicit(&w);
    test_smep_smap(&w, identity_user);
    test_no_execute(&w);
    test_reserved(&w);
    test_large(&w);
    test_spaces(&w);
    test_pcid(&w);
}
