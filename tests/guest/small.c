/*
 * The small guest that `make run` falls back to when no kernel can be had: a banner, what CPUID and the boot loader
 * tell, and a prompt on COM1.
 */
#include "lib/guest.h"

enum { MULTIBOOT_MAGIC = 0x2badb002, PCI_ADDRESS = 0xcf8, PCI_DATA = 0xcfc, LINE_SIZE = 80, SLP_EN = 1 << 13 };

static void cpu_print(void)
{
    u32 text[13] = { 0 };
    Cpuid c = cpuid(0, 0);
    text[0] = c.b, text[1] = c.d, text[2] = c.c;
    print("CPU      %s", (char *)text);
    c = cpuid(1, 0);
    print(", family %u model %u stepping %u", (c.a >> 8 & 15) + (c.a >> 20 & 255),
          (c.a >> 4 & 15) | (c.a >> 12 & 0xf0), c.a & 15);
    if (cpuid(0x80000000, 0).a >= 0x80000004) {
        for (u32 k = 0; k < 3; k++) {
            c = cpuid(0x80000002 + k, 0);
            memcpy(text + 4 * k, &c, sizeof c);
        }
        print(", %s", (char *)text);
    }
    print("\n");
}

static void memory_print(void)
{
    const u32 *info = (const u32 *)(word)multiboot_info;
    if (multiboot_magic != MULTIBOOT_MAGIC || !(info[0] & 1)) {
        print("memory   unknown\n");
        return;
    }
    print("memory   %u KiB low, %u MiB from 1 MiB on\n", info[1], info[2] >> 10);
}

static u32 bcd(u32 v) { return (v >> 4) * 10 + (v & 15); }

static u32 rtc_read(u8 n)
{
    out8(0x70, n);
    return in8(0x71);
}

static u32 rtc_field(u8 n) { return rtc_read(0xb) & 4 ? rtc_read(n) : bcd(rtc_read(n)); }

static void print_two(u32 v, const char *behind) { print("%u%u%s", v / 10 % 10, v % 10, behind); }

static void time_print(void)
{
    WAIT_FOR(!(rtc_read(0xa) & 0x80));
    print("time     20");
    print_two(rtc_field(9), "-");
    print_two(rtc_field(8), "-");
    print_two(rtc_field(7), " ");
    print_two(rtc_field(4), ":");
    print_two(rtc_field(2), ":");
    print_two(rtc_field(0), " by the clock chip\n");
}

/* Three exceptions, none of which finds a handler: the processor shuts down (SDM vol. 3A, 6.15, interrupt 8). */
static void fault_triple(void)
{
    static const struct TableRegister none = { 0, 0 };
    print("no interrupt table, then an invalid instruction: a triple fault\n");
    asm volatile("lidt %0; ud2" :: "m"(none));
}

static u32 pci_read(u32 address)
{
    out32(PCI_ADDRESS, address);
    return in32(PCI_DATA);
}

/* Soft off: the PIIX4's power management function (8086:7113) is 0:1.3, its ports stand in register 40h. */
static void power_off(void)
{
    print("Bye.\n");
    if (pci_read(0x80000b00) == 0x71138086) {
        u32 base = pci_read(0x80000b40) & 0xffc0;
        if (base) {
            out16(base + 4, SLP_EN); /* sleep type 0: S5 on this chip */
            WAIT_FOR(false);
        }
    }
    guest_exit(0);
}

static void help_print(void);

static const struct Command {
    const char *name, *help;
    void (*run)(void);
} commands[] = {
    { "help", "this list", help_print },
    { "cpu", "what CPUID says", cpu_print },
    { "mem", "how much memory there is", memory_print },
    { "time", "date and time", time_print },
    { "fault", "a deliberate triple fault", fault_triple },
    { "off", "power off", power_off },
};

static void help_print(void)
{
    for (u32 k = 0; k < COUNT(commands); k++)
        print("  %s\t%s\n", commands[k].name, commands[k].help);
}

static void command_run(const char *line)
{
    for (u32 k = 0; k < COUNT(commands); k++) {
        if (!strcmp(line, commands[k].name)) {
            commands[k].run();
            return;
        }
    }
    if (*line)
        print("no command '%s'; 'help' lists them\n", line);
}

static void line_read(char *line)
{
    u32 n = 0;
    for (;;) {
        int c = get_char();
        if (c == '\r' || c == '\n') {
            print("\n");
            line[n] = 0;
            return;
        }
        if ((c == 8 || c == 127) && n) {
            n--;
            print("\b \b");
        } else if (c >= ' ' && c < 127 && n < LINE_SIZE - 1) {
            line[n++] = c;
            put_char(c);
        }
        asm volatile("pause");
    }
}

void guest_main(void)
{
    char line[LINE_SIZE];
    print("\nMyna's small guest: a %u-bit program without an operating system\n\n", BITS);
    cpu_print();
    memory_print();
    time_print();
    print("\nType 'help' for the commands.\n");
    for (;;) {
        print("> ");
        line_read(line);
        command_run(line);
    }
}
