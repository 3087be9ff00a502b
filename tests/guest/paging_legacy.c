/*
 * Paging in 32-bit mode: two levels with 4 KiB and 4 MiB pages (SDM vol. 3A 4.3), and PAE (4.4).
 */
#include "paging.h"

enum { WINDOW = 0x40000000, IDENTITY_MIB = 16 };

static u32 directory[1024] __attribute__((aligned(4096)));
static u32 identity[IDENTITY_MIB / 4][1024] __attribute__((aligned(4096)));
static u32 leaves[1024] __attribute__((aligned(4096)));
static u64 pointers[4] __attribute__((aligned(32)));
static u64 pae_directory[4][512] __attribute__((aligned(4096)));
static u64 pae_leaves[512] __attribute__((aligned(4096)));

static void paging_on(word cr3)
{
    cr3_write(cr3);
    cr0_write(cr0_read() | CR0_PG | CR0_WP);
}

static void paging_off(void) { cr0_write(cr0_read() & ~(word)(CR0_PG | CR0_WP)); }

static void legacy_identity_user(bool user)
{
    for (unsigned k = 0; k < IDENTITY_MIB / 4; k++)
        directory[k] = (word)identity[k] | P_P | P_W | (user ? P_U : 0);
    cr3_write(cr3_read());
}

static void test_large(const Window *w)
{
    const unsigned slot = WINDOW >> 22;
    volatile u32 *entry = &directory[slot];
    group("4 MiB");
    *(volatile u32 *)data_a = 0x5a5a5a5a;
    const word inside = (word)data_a & 0x3fffff, base = (word)data_a & ~0x3fffffu;
    cr4_write(cr4_read() | CR4_PSE);
    *entry = base | P_ALL | P_PS;
    cr3_write(cr3_read());
    check_equal("a large page", *window_word(w, inside), 0x5a5a5a5a);
    check_equal("read sets A", *entry & (P_A | P_D), P_A);
    *window_word(w, inside) = 0xa5a5a5a5;
    check_equal("write sets D", *entry & (P_A | P_D), P_A | P_D);
    check_equal("and writes", *(volatile u32 *)data_a, 0xa5a5a5a5);
    *entry = base | P_P | P_PS | P_U;
    cr3_write(cr3_read());
    PAGE_FAULT("read-only", E_P | E_W, w->address + inside, *window_word(w, inside) = 1);
    *entry = base | P_ALL | P_PS | BIT(21);
    cr3_write(cr3_read());
    PAGE_FAULT_RSVD("reserved bit 21", 0, w->address, window_read(w));
    PAGE_FAULT_RSVD_USER("reserved bit 21, user write", E_W, w->address, window_write(w));
    if (cpuid(1, 0).d & BIT(17)) {
        *entry = base | P_ALL | P_PS | BIT(13); /* 4 GiB up (PSE-36) */
        cr3_write(cr3_read());
        *window_word(w, inside) = 0x77777777;
        check_equal("PSE-36 reaches above 4 GiB", *(volatile u32 *)data_a, 0xa5a5a5a5);
    }
    cr4_write(cr4_read() & ~(word)CR4_PSE);
    *entry = (word)leaves | P_ALL | P_PS;
    leaf_set(w, 0, (word)data_b | P_ALL);
    *(volatile u32 *)data_b = 0xb0b0b0b0;
    cr3_write(cr3_read());
    check_equal("without CR4.PSE the bit is ignored", *window_word(w, 0), 0xb0b0b0b0);
    *entry = (word)leaves | P_ALL;
    cr3_write(cr3_read());
    *(volatile u32 *)data_a = *(volatile u32 *)data_b = 0xc3c3c3c3;
}

/* The directory as its own page table: tables written through their own mapping. */
static void test_recursive(const Window *w)
{
    volatile u32 *tables = (volatile u32 *)0xffc00000;
    group("self-mapped");
    directory[1023] = (word)directory | P_P | P_W;
    leaf_set(w, 3, 0);
    check_equal("the directory shows itself", tables[1023 * 1024 + 1023] & ~0xfffu, (word)directory);
    tables[(WINDOW >> 12) + 3] = (word)data_b | P_ALL;
    *(volatile u32 *)data_b = 0x31313131;
    check_equal("a page mapped through it", *window_word(w, 3 * PAGE), 0x31313131);
    *(volatile u32 *)data_b = 0xc3c3c3c3;
    check("D of the table's own mapping", leaves[3] & P_A, "0x%x", leaves[3]);
    directory[1023] = 0;
    cr3_write(cr3_read());
}

static void legacy_run(void)
{
    const Window w = { WINDOW, leaves, &directory[WINDOW >> 22], false };
    for (unsigned k = 0; k < IDENTITY_MIB * 256; k++)
        ((u32 *)identity)[k] = k * PAGE | P_ALL;
    legacy_identity_user(true);
    directory[WINDOW >> 22] = (word)leaves | P_ALL;
    paging_on((word)directory);
    group("2-level");
    test_rights(&w);
    test_accessed_dirty(&w);
    test_translation(&w);
    test_across(&w);
    test_implicit(&w);
    test_smep_smap(&w, legacy_identity_user);
    test_large(&w);
    test_recursive(&w);
    paging_off();
    check_equal("paging is off again", *(volatile u32 *)data_a, 0xc3c3c3c3);
}

static void pae_identity_user(bool user)
{
    for (unsigned k = 0; k < IDENTITY_MIB / 2; k++)
        pae_directory[0][k] = k << 21 | P_P | P_W | P_PS | (user ? P_U : 0);
    cr3_write(cr3_read());
}

static void test_pae_reserved(const Window *w)
{
    static unsigned bits;
    bits = physical_bits();
    group("PAE reserved");
    leaf_set(w, 0, (word)data_a | P_ALL | BIT64(bits));
    PAGE_FAULT_RSVD("address bit in a page table", 0, w->address, window_read(w));
    leaf_set(w, 0, (word)data_a | P_ALL | BIT64(62));
    PAGE_FAULT_RSVD("bit 62 in a page table", 0, w->address, window_read(w));
    leaf_set(w, 0, (word)data_a | P_ALL);
    upper_flags(w, 0, BIT64(bits));
    PAGE_FAULT_RSVD_USER("address bit in a directory", 0, w->address, window_read(w));
    upper_flags(w, BIT64(bits), 0);
    leaf_set(w, 0, BIT64(62));
    PAGE_FAULT("what is not present has no reserved bits", 0, w->address, window_read(w));
    pae_directory[1][1] = P_ALL | P_PS | BIT(13);
    PAGE_FAULT_RSVD("bit 13 of a large page", E_W, w->address + 0x200000, *window_word(w, 0x200000) = 1);
    pae_directory[1][1] = 0;
}

static void test_pointers(const Window *w)
{
    group("PDPTE");
    leaf_set(w, 0, (word)data_a | P_ALL);
    window_read(w);
    pointers[1] = 0;
    invlpg(w->address);
    qemu_is_wrong("reads them from memory at each walk");
    NO_PAGE_FAULT("they are read when CR3 is loaded, not later", window_read(w));
    cr3_write(cr3_read());
    PAGE_FAULT("not present once CR3 is loaded", 0, w->address, window_read(w));
    pointers[1] = (word)pae_directory[1] | P_P | P_W;
    qemu_is_wrong("does not check them");
    EXPECT("reserved bit 1", GP, 0, ANY_IP, cr3_write(cr3_read()));
    pointers[1] = (word)pae_directory[1] | P_P | BIT64(63);
    qemu_is_wrong("does not check them");
    EXPECT("reserved bit 63", GP, 0, ANY_IP, cr3_write(cr3_read()));
    pointers[1] = P_W;
    EXPECT("not present, a reserved bit", NO_FAULT, 0, 0, cr3_write(cr3_read()));
    pointers[1] = (word)pae_directory[1] | P_P;
    cr3_write(cr3_read());
    NO_PAGE_FAULT("present again", window_read(w));
}

static void test_pae_large(const Window *w)
{
    group("2 MiB");
    const word inside = 0x200000 + ((word)data_a & 0x1fffff), base = (word)data_a & ~0x1fffffu;
    pae_directory[1][1] = base | P_ALL | P_PS;
    *(volatile u32 *)data_a = 0x5a5a5a5a;
    check_equal("a large page without CR4.PSE", *window_word(w, inside), 0x5a5a5a5a);
    check_equal("read sets A", pae_directory[1][1] & (P_A | P_D), P_A);
    *window_word(w, inside) = 0xc3c3c3c3;
    check_equal("write sets D", pae_directory[1][1] & (P_A | P_D), P_A | P_D);
    pae_directory[1][2] = base | P_ALL | P_PS | BIT64(32);
    *window_word(w, inside + 0x200000) = 0x12345678;
    check_equal("above 4 GiB is elsewhere", *(volatile u32 *)data_a, 0xc3c3c3c3);
}

static void pae_run(void)
{
    const Window w = { WINDOW, pae_leaves, &pae_directory[1][0], true };
    if (!(cpuid(1, 0).d & BIT(6))) {
        skip("PAE", "the processor lacks it");
        return;
    }
    for (unsigned k = 0; k < 4; k++)
        pointers[k] = (word)pae_directory[k] | P_P;
    pae_identity_user(true);
    pae_directory[1][0] = (word)pae_leaves | P_ALL;
    cr4_write(cr4_read() | CR4_PAE);
    paging_on((word)pointers);
    group("PAE");
    test_rights(&w);
    test_accessed_dirty(&w);
    test_translation(&w);
    test_across(&w);
    test_implicit(&w);
    test_smep_smap(&w, pae_identity_user);
    test_no_execute(&w);
    test_pae_reserved(&w);
    test_pae_large(&w);
    test_pointers(&w);
    paging_off();
    cr4_write(cr4_read() & ~(word)CR4_PAE);
}

void guest_main(void)
{
    memset(data_a, 0xc3, PAGE);
    memset(data_b, 0xc3, PAGE);
    legacy_run();
    pae_run();
}
