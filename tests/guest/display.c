/*
 * Shows the display cases (tests/display) one after the other: says "CASE n family/number" on COM1 when one stands on
 * the screen, and goes on when a byte arrives.  For tests/display/run-modes, which takes the pictures; run alone, it
 * shows the first and ends.
 */
#include "lib/guest.h"

#include "../display/cases.c"

enum { PCI_ADDRESS = 0xcf8, PCI_DATA = 0xcfc, CLASS_DISPLAY = 3, FRAME_BUFFER = 0xe0000000 };

struct Bus {
    u32 frame;
};

void bus_out(Bus *b, unsigned port, unsigned value, unsigned size)
{
    (void)b;
    if (size == 1)
        out8(port, value);
    else
        out16(port, value);
}

unsigned bus_in(Bus *b, unsigned port, unsigned size)
{
    (void)b;
    return size == 1 ? in8(port) : in16(port);
}

void bus_write(Bus *b, u32 address, u32 value, unsigned size)
{
    (void)b;
    if (size == 1)
        *(volatile u8 *)address = value;
    else if (size == 2)
        *(volatile u16 *)address = value;
    else
        *(volatile u32 *)address = value;
}

u32 bus_read(Bus *b, u32 address, unsigned size)
{
    (void)b;
    return size == 1 ? *(volatile u8 *)address : size == 2 ? *(volatile u16 *)address : *(volatile u32 *)address;
}

void bus_write_frame(Bus *b, u32 offset, const u8 *bytes, unsigned size)
{
    memcpy((void *)(b->frame + offset), bytes, size);
}

static u32 pci_read(unsigned devfn, unsigned offset)
{
    out32(PCI_ADDRESS, 0x80000000 | devfn << 8 | offset);
    return in32(PCI_DATA);
}

static void pci_write(unsigned devfn, unsigned offset, u32 value)
{
    out32(PCI_ADDRESS, 0x80000000 | devfn << 8 | offset);
    out32(PCI_DATA, value);
}

/* The card's frame buffer, put somewhere when no firmware has done so. */
static u32 frame_buffer(void)
{
    for (unsigned devfn = 0; devfn < 256; devfn++) {
        if (pci_read(devfn, 8) >> 24 != CLASS_DISPLAY)
            continue;
        if (!(pci_read(devfn, 0x10) & ~15u))
            pci_write(devfn, 0x10, FRAME_BUFFER);
        pci_write(devfn, 4, (pci_read(devfn, 4) & 0xffff) | 3);
        return pci_read(devfn, 0x10) & ~15u;
    }
    return 0;
}

/*
 * Whether that is the command line's end (Multiboot Specification 0.6.96, 3.3: flag 2, cmdline; it may begin with the
 * file's name).
 */
static bool command_line_ends(const char *word)
{
    u32 *info = (u32 *)multiboot_info;
    const char *line = multiboot_magic == 0x2badb002 && info[0] & 4 ? (const char *)info[4] : "";
    for (; *line; line++)
        if (!strcmp(line, word))
            return true;
    return false;
}

static bool told_to_go_on(void)
{
    int c;
    while ((c = get_char()) == -1)
        ;
    return c != 'q';
}

void guest_main(void)
{
    Bus b = { frame_buffer() };
    group("display");
    check("there is a card", b.frame, "no PCI function of class 3");
    bool wait = command_line_ends("wait");
    for (unsigned n = 0; n < case_count(); n++) {
        case_show(&b, n);
        print("CASE %u %s/%u\n", n, case_family(n), case_number(n));
        if (!wait || !told_to_go_on())
            break;
    }
}
