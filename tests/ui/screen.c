/*
 * A guest to look at and type to: sets modes of the Bochs VBE registers, draws, and tells on COM1 what the keyboard
 * and the mouse send (the 8042's bytes, "key 1e", "mouse 08 01 ff").
 *
 * Keys: 1 to 5 set a size; D draws at full speed, until the next key; S scrolls a picture up by a line at a time.
 */
#include "lib/guest.h"

enum { DISPI_INDEX = 0x1ce, DISPI_DATA = 0x1cf, DISPI_X = 1, DISPI_Y = 2, DISPI_BITS = 3, DISPI_ENABLE = 4 };
enum { KBD_DATA = 0x60, KBD_STATUS = 0x64, STATUS_FULL = 1, STATUS_BUSY = 2, STATUS_MOUSE = 0x20 };
enum { PCI_ADDRESS = 0xcf8, PCI_DATA = 0xcfc, CLASS_VGA = 0x0300 };

static const struct { u16 width, height; } sizes[] = {
    { 640, 480 }, { 800, 600 }, { 1024, 768 }, { 1280, 1024 }, { 720, 400 },
};

static volatile u32 *frame;
static u32 width, height, seed = 1;

static u32 pci_read(u32 device, u32 at)
{
    out32(PCI_ADDRESS, 0x80000000 | device << 11 | at);
    return in32(PCI_DATA);
}

static void frame_find(void)
{
    for (u32 device = 0; device < 32; device++)
        if (pci_read(device, 8) >> 16 == CLASS_VGA)
            frame = (volatile u32 *)(word)(pci_read(device, 0x10) & ~15u);
}

static void dispi(u16 index, u16 value)
{
    out16(DISPI_INDEX, index);
    out16(DISPI_DATA, value);
}

/* A gradient with a white border, so that each dot says where it is. */
static void picture(void)
{
    for (u32 y = 0; y < height; y++)
        for (u32 x = 0; x < width; x++)
            frame[y * width + x] = !x || !y || x == width - 1 || y == height - 1 ? 0xffffff
                                   : (x * 255 / width) << 16 | (y * 255 / height) << 8 | ((x ^ y) & 0xff);
}

static void mode_set(u32 n)
{
    width = sizes[n].width;
    height = sizes[n].height;
    dispi(DISPI_ENABLE, 0);
    dispi(DISPI_X, width);
    dispi(DISPI_Y, height);
    dispi(DISPI_BITS, 32);
    dispi(DISPI_ENABLE, 0x41);
    picture();
    print("mode %ux%u\n", width, height);
}

static u32 random(void) { return seed = seed * 1103515245 + 12345, seed >> 8; }

static void draw(void)
{
    u32 w = 1 + random() % 200, h = 1 + random() % 100, x = random() % (width - w), y = random() % (height - h);
    u32 colour = random();
    for (u32 row = y; row < y + h; row++)
        for (u32 at = row * width + x; at < row * width + x + w; at++)
            frame[at] = colour;
}

static void scroll(void)
{
    for (u32 at = 0; at < (height - 1) * width; at++)
        frame[at] = frame[at + width];
    for (u32 x = 0; x < width; x++)
        frame[(height - 1) * width + x] = x * seed;
    seed++;
}

static void controller_wait(void)
{
    while (in8(KBD_STATUS) & STATUS_BUSY)
        ;
}

/* A byte to the mouse, whose answer is told like all else. */
static void mouse_send(u8 v)
{
    controller_wait();
    out8(KBD_STATUS, 0xd4);
    controller_wait();
    out8(KBD_DATA, v);
}

/* Both ports on, no interrupts, translation to set 1. */
static void controller_start(void)
{
    controller_wait();
    out8(KBD_STATUS, 0x60);
    controller_wait();
    out8(KBD_DATA, 0x40);
    controller_wait();
    out8(KBD_STATUS, 0xa8);
    mouse_send(0xf4);
}

static char mode = 'p';

static void key(u8 code)
{
    print("key %x%x\n", code >> 4, code & 15);
    if (code >= 0x02 && code < 0x02 + COUNT(sizes))
        mode_set(code - 0x02);
    if (!(code & 0x80))
        mode = code == 0x20 ? 'd' : code == 0x1f ? 's' : 'p';
}

static void mouse(u8 byte)
{
    static u8 packet[3];
    static u32 count;
    packet[count++] = byte;
    if (count == 1 && (byte == 0xfa || !(byte & 8))) /* an answer, or out of step */
        count = 0;
    if (count < 3)
        return;
    print("mouse %x%x %x%x %x%x\n", packet[0] >> 4, packet[0] & 15, packet[1] >> 4, packet[1] & 15, packet[2] >> 4,
          packet[2] & 15);
    count = 0;
}

void guest_main(void)
{
    frame_find();
    controller_start();
    mode_set(0);
    for (;;) {
        u8 status = in8(KBD_STATUS);
        if (status & STATUS_FULL)
            (status & STATUS_MOUSE ? mouse : key)(in8(KBD_DATA));
        if (mode == 'd')
            draw();
        if (mode == 's')
            scroll();
    }
}
