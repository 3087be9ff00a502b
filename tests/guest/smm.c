/*
 * System management mode: an SMI through port B2h, the state save area, RSM, relocation of SMBASE, SMRAM of the i440FX
 * (SDM vol. 3C chapter 32; AMD APM vol. 2 chapter 10; Intel 82441FX data sheet 3.2.20; 82371AB 7.2).
 */
#include "lib/guest.h"

#if BITS == 64
#define SP_NAME "rsp"
#define BX_NAME "rbx"
#else
#define SP_NAME "esp"
#define BX_NAME "ebx"
#endif

enum {
    PCI_ADDRESS = 0xcf8, PCI_DATA = 0xcfc, SMRAM_CONTROL = 0x72, SMRAM_OPEN = 0x4a, SMRAM_CLOSED = 0x0a,
    APM_COMMAND = 0xb2, DEVACTB = 0x58,
    SMBASE_RESET = 0x30000, SMRAM = 0xa0000, ENTRY = 0x8000, SAVE_AREA = 0xfe00,
};

typedef struct Box {
    volatile u32 count, cr0, cr4, cs, ds, esp, base, patch_at, patch_value, unused[7];
    volatile u8 area[512];
} Box;
extern Box smm_box;
extern u8 smm_handler[], smm_handler_end[];

/* Fields of the save area that are the same in spirit in both layouts: offsets from SMBASE. */
static struct { u16 ip, flags, ax, bx, sp, cr0, cr3, cs, cs_base, cs_limit, smbase, halt; } at;
static const u16 revision_at = 0xfefc;

static u32 field(unsigned offset) { return *(volatile u32 *)(smm_box.area + offset - SAVE_AREA); }

static u32 pci_read(u32 function, u32 reg)
{
    out32(PCI_ADDRESS, 0x80000000u | function << 8 | (reg & ~3u));
    return in32(PCI_DATA);
}
static void pci_write8(u32 function, u32 reg, u8 v)
{
    out32(PCI_ADDRESS, 0x80000000u | function << 8 | (reg & ~3u));
    out8(PCI_DATA + (reg & 3), v);
}
static void smram(u8 v) { pci_write8(0, SMRAM_CONTROL, v); }

/* Whatever SMBASE is now (SeaBIOS moves it to SMRAM), the handler is there. */
static void handler_install(void)
{
    memcpy((void *)(SMBASE_RESET + ENTRY), smm_handler, smm_handler_end - smm_handler);
    smram(SMRAM_OPEN);
    memcpy((void *)(SMRAM + ENTRY), smm_handler, smm_handler_end - smm_handler);
    smram(SMRAM_CLOSED);
    pci_write8(0x0b, DEVACTB + 3, pci_read(0x0b, DEVACTB) >> 24 | 2); /* APMC_EN */
}

static bool smi(void)
{
    u32 before = smm_box.count;
    out8(APM_COMMAND, 0x55);
    return WAIT_FOR(smm_box.count != before);
}

static void layout_find(void)
{
    u32 revision = field(revision_at);
    check("revision", (revision & 0xffff) == 0x64 || (revision & 0xffff) == 0, "0x%x", revision);
    check("SMBASE can be relocated", revision & BIT(17), "revision 0x%x", revision);
    if ((revision & 0xff) == 0x64) {
        at.ip = 0xff78, at.flags = 0xff70, at.ax = 0xfff8, at.bx = 0xffe0, at.sp = 0xffd8, at.cr0 = 0xff58;
        at.cr3 = 0xff50, at.cs = 0xfe10, at.cs_limit = 0xfe14, at.cs_base = 0xfe18,
        at.smbase = 0xff00, at.halt = 0xfec9;
    } else {
        at.ip = 0xfff0, at.flags = 0xfff4, at.ax = 0xffd0, at.bx = 0xffdc, at.sp = 0xffe0, at.cr0 = 0xfffc;
        at.cr3 = 0xfff8, at.cs = 0xffac, at.cs_limit = 0xff94, at.cs_base = 0xff98,
        at.smbase = 0xfef8, at.halt = 0xff02;
    }
}

static void test_entry(void)
{
    word ip, sp, flags, b;
    group("entry");
    if (!check("an SMI comes", smi(), "port B2h did nothing"))
        guest_end();
    layout_find();
    asm volatile("mov $1f, %0; mov %%" SP_NAME ", %1; mov %5, %%ebx; std; stc; out %%al, $0xb2; 1: jmp 2f; 2: pushf; "
                 "pop %2;"
                 "mov %%" BX_NAME ", %3; cld"
                 : "=&S"(ip), "=&D"(sp), "=&c"(flags), "=&d"(b) : "a"(0x99), "i"(0x87654321) : "ebx", "memory", "cc");
    /* QEMU notices the SMI at the next jump only */
    check("saved ip is behind OUT", field(at.ip) == ip || (on_qemu() && field(at.ip) == ip + 2), "0x%x, expected 0x%lx",
          field(at.ip), (unsigned long)ip);
    check_equal("saved sp", field(at.sp), sp);
    check_equal("saved ax", field(at.ax) & 0xff, 0x99);
    check_equal("saved bx", field(at.bx), 0x87654321);
    check_equal("saved CF and DF", field(at.flags) & 0x401, 0x401);
    check_equal("flags come back", flags & 0x401, 0x401);
    check_equal("registers come back", b, 0x87654321);
    check_equal("saved CR0", field(at.cr0), (u32)cr0_read());
    check_equal("saved CR3", field(at.cr3), (u32)cr3_read());
    check_equal("saved CS", field(at.cs) & 0xffff, KERNEL_CS);
    check_equal("saved base of CS", field(at.cs_base), 0);
    check_equal("saved limit of CS", field(at.cs_limit), 0xffffffff);
    check_equal("not halted", field(at.halt) & 1, 0);
    check_equal("CR0 within", smm_box.cr0 & 0x8000000d, 0);
    check_equal("CR4 within", smm_box.cr4, 0);
    check_equal("DS within", smm_box.ds, 0);
    check_equal("CS within is SMBASE / 16", smm_box.cs << 4, field(at.smbase));
    check_equal("the stack is as it was", smm_box.esp, (u32)sp);
    EXPECT_ASM("rsm outside", UD, 0, 0, "rsm");
}

static void test_patch(void)
{
    word a;
    group("patch");
    smm_box.patch_at = at.ax;
    smm_box.patch_value = 0x13572468;
    asm volatile("out %%al, $0xb2; jmp 1f; 1:" : "=a"(a) : "0"((word)0) : "memory");
    check_equal("a register changed by the handler", a, 0x13572468);
    smm_box.patch_at = at.ip;
    asm volatile("movl $1f, %0; xor %%eax, %%eax; out %%al, $0xb2; jmp 2f; 2: mov $1, %%eax; 1:"
                 : "=m"(smm_box.patch_value), "=a"(a)
                 :: "memory");
    check_equal("ip changed by the handler", a, 0);
    smm_box.patch_at = 0;
}

static void test_relocation(void)
{
    u32 base = field(at.smbase);
    u8 *const shared = (u8 *)SMRAM + ENTRY;
    group("SMBASE");
    check("is that of the reset, or SeaBIOS's", base == SMBASE_RESET || base == SMRAM, "0x%x", base);
    smm_box.patch_at = at.smbase;
    smm_box.patch_value = SMRAM;
    smi();
    smm_box.patch_at = 0;
    check("relocated", smi() && smm_box.base == SMRAM, "0x%x", smm_box.base);
    check_equal("in its save area", field(at.smbase), SMRAM);
    check("SMRAM does not show when closed", memcmp(shared, smm_handler, 32) != 0, "it does");
    smram(SMRAM_OPEN);
    check("but when open", memcmp(shared, smm_handler, 32) == 0, "it does not");
    smram(SMRAM_CLOSED);
    /* Caches and TLBs: the same address holds two things. */
    for (unsigned k = 0; k < 50; k++) {
        u32 before = smm_box.count;
        asm volatile("out %%al, $0xb2; jmp 1f; 1:" :: "a"(0) : "memory");
        if (smm_box.count != before + 1 || memcmp(shared, smm_handler, 32) == 0) {
            check("in and out 50 times", false, "round %u", k);
            return;
        }
    }
    check("in and out 50 times", true, "%s", "");
    smm_box.patch_at = at.smbase;
    smm_box.patch_value = SMBASE_RESET + 0x2000; /* 4 KiB alignment is not asked for beyond the Pentium */
    smi();
    smm_box.patch_at = 0;
    memcpy((void *)(SMBASE_RESET + 0x2000 + ENTRY), smm_handler, smm_handler_end - smm_handler);
    check("relocated to RAM", smi() && smm_box.base == SMBASE_RESET + 0x2000, "0x%x", smm_box.base);
}

void guest_main(void)
{
    handler_install();
    test_entry();
    test_patch();
    test_relocation();
    /* Where exceptions go, paging and the rest are still what they were. */
    group("after");
    EXPECT_ASM("#UD", UD, 0, 0, "ud2");
    EXPECT_USER_ASM("hlt at level 3", GP, 0, 0, "hlt");
}
