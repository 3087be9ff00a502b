/*
 * A guest with a text screen (80 x 25 at B8000h, where the firmware or nobody set it up): all characters in a table,
 * all colours in a row, a cursor, and below it the keyboard's bytes, set 1.
 *
 * F2 sets a graphics mode of the Bochs VBE registers, F1 leaves it.
 */
#include "lib/guest.h"

enum { COLUMNS = 80, ROWS = 25, CRTC = 0x3d4, CURSOR_START = 10, CURSOR_HIGH = 14, CURSOR_LOW = 15 };
enum { DISPI_INDEX = 0x1ce, DISPI_DATA = 0x1cf, KBD_DATA = 0x60, KBD_STATUS = 0x64, STATUS_FULL = 1 };

static volatile u16 *const screen = (volatile u16 *)0xb8000;
static u32 at;

static void crtc(u8 n, u8 v)
{
    out8(CRTC, n);
    out8(CRTC + 1, v);
}

static void cursor(u32 place)
{
    crtc(CURSOR_HIGH, place >> 8);
    crtc(CURSOR_LOW, place);
}

static void dispi(u16 index, u16 value)
{
    out16(DISPI_INDEX, index);
    out16(DISPI_DATA, value);
}

static void write(u32 row, u32 column, const char *text)
{
    for (; *text; text++, column++)
        screen[row * COLUMNS + column] = 0x0700 | (u8)*text;
}

static void picture(void)
{
    for (u32 n = 0; n < COLUMNS * ROWS; n++)
        screen[n] = 0x0720;
    write(0, 0, "Myna text guest");
    for (u32 n = 0; n < 256; n++)
        screen[(2 + n / 64) * COLUMNS + n % 64] = 0x0700 | n;
    for (u32 n = 0; n < 256; n++)
        screen[(7 + n / 64) * COLUMNS + n % 64] = n << 8 | 'x';
    write(24, 70, "last line");
    at = 12 * COLUMNS;
    cursor(at);
}

static void key(u8 code)
{
    static const char digits[] = "0123456789abcdef";
    screen[at] = 0x0a00 | digits[code >> 4];
    screen[at + 1] = 0x0a00 | digits[code & 15];
    at = at + 3 < 23 * COLUMNS ? at + 3 : 12 * COLUMNS;
    cursor(at);
    print("key %x%x\n", code >> 4, code & 15);
}

static void graphics(bool on)
{
    dispi(4, 0);
    if (!on) {
        picture(); /* both modes are of the same memory */
        return;
    }
    dispi(1, 1024);
    dispi(2, 768);
    dispi(3, 32);
    dispi(4, 0x41);
}

void guest_main(void)
{
    out8(KBD_STATUS, 0x60);
    while (in8(KBD_STATUS) & 2)
        ;
    out8(KBD_DATA, 0x40);
    crtc(CURSOR_START, 14);
    picture();
    print("ready\n");
    for (;;) {
        if (!(in8(KBD_STATUS) & STATUS_FULL))
            continue;
        u8 code = in8(KBD_DATA);
        key(code);
        if (code == 0x3c || code == 0x3b)
            graphics(code == 0x3c);
    }
}
