/*
 * Ends that take the machine down: three triple faults, whose chain the emulator must name (SDM vol. 3A 6.15, interrupt
 * 8), and two resets.  The command line says which.
 */
#include "lib/guest.h"

enum { MBI_CMDLINE = 1 << 2 };

static u32 directory[1024] __attribute__((aligned(4096))), identity[1024] __attribute__((aligned(4096)));
static u32 nothing[1024] __attribute__((aligned(4096)));

static bool ends_with(const char *text, const char *tail)
{
    const char *end = text;
    u32 n = 0;
    while (tail[n])
        n++;
    while (*end)
        end++;
    return (u32)(end - text) >= n && !memcmp(end - n, tail, n);
}

static void paging_on(void)
{
    for (u32 k = 0; k < 1024; k++)
        identity[k] = k << 12 | 3;
    directory[0] = (word)identity | 3;
    cr3_write((word)directory);
    cr0_write(cr0_read() | CR0_PG);
}

/* An interrupt table of no entries. */
static void fault_idt(void)
{
    static const struct TableRegister none = { 0, 0 };
    asm volatile("lidt %0; ud2" :: "m"(none));
}

/* A stack where no page is, so that no exception can be pushed. */
static void fault_stack(void)
{
    paging_on();
    asm volatile("mov $0x7ffff000, %esp; push %eax");
}

/* Page tables that map nothing, not even the next instruction. */
static void fault_pages(void)
{
    paging_on();
    cr3_write((word)nothing);
}

static void reset_keyboard(void)
{
    while (in8(0x64) & 2)
        ;
    out8(0x64, 0xfe);
}

static void reset_cf9(void)
{
    out8(0xcf9, 2);
    out8(0xcf9, 6);
}

static const struct Way {
    const char *name;
    void (*run)(void);
} ways[] = {
    { "idt", fault_idt }, { "stack", fault_stack }, { "pages", fault_pages }, { "keyboard", reset_keyboard },
    { "cf9", reset_cf9 },
};

void guest_main(void)
{
    const u32 *info = (const u32 *)(word)multiboot_info;
    const char *line = info[0] & MBI_CMDLINE ? (const char *)(word)info[4] : "";
    for (u32 k = 0; k < COUNT(ways); k++) {
        if (ends_with(line, ways[k].name)) {
            print("BEGIN %s\n", ways[k].name);
            ways[k].run();
            WAIT_FOR(false);
            print("FAIL %s: the machine is still there\n", ways[k].name);
            guest_exit(1);
        }
    }
    print("FAIL command line '%s' names none of the ways\n", line);
    guest_exit(1);
}
