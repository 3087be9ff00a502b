/* Codes of keys as Linux has them (include/uapi/linux/input-event-codes.h), which virtio's keyboards send. */
#include "hw/virtio/virtio_input.h"
#include "util/bits.h"

/* By usage of page 7 of the USB HID Usage Tables 1.4, section 10; as drivers/hid/hid-input.c of Linux has them. */
static const uint8_t codes[] = {
    [0x04] = 30, 48, 46, 32, 18, 33, 34, 35, 23, 36, 37, 38, 50, 49, 24, 25, 16, 19, 31, 20, 22, 47, 17, 45, 21, 44,
    [0x1e] = 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,                             /* 1 to 0 */
    [0x28] = 28, 1, 14, 15, 57, 12, 13, 26, 27, 43, 43, 39, 40, 41, 51, 52, 53, 58, /* Enter to Caps Lock */
    [0x3a] = 59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 87, 88,             /* F1 to F12 */
    [0x46] = 99, 70, 119, 110, 102, 104, 111, 107, 109, 106, 105, 108, 103, /* Print Screen to Up */
    [0x53] = 69, 98, 55, 74, 78, 96, 79, 80, 81, 75, 76, 77, 71, 72, 73, 82, 83, /* keypad */
    [0x64] = 86, 127, 116, 117,                                        /* between Shift and Z, Menu, Power, keypad = */
    [0x68] = 183, 184, 185, 186, 187, 188, 189, 190, 191, 192, 193, 194, /* F13 to F24 */
    [0x74] = 134, 138, 130, 132, 128, 129, 131, 137, 133, 135, 136, 113, 115, 114, /* Execute to Volume Down */
    [0x85] = 121, [0x87] = 89, 93, 124, 92, 94, 95, [0x90] = 122, 123, 90, 91, 85, /* of national keyboards */
    [0xb6] = 179, 180,                                                   /* keypad parentheses */
    [0xe0] = 29, 42, 56, 125, 97, 54, 100, 126,                          /* Control, Shift, Alt, GUI: left, right */
};

uint8_t evdev_of_usage(unsigned usage) { return usage < ARRAY_SIZE(codes) ? codes[usage] : 0; }
