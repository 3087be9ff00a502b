/*
 * Names of keys, as QEMU's send-key and sendkey have them (QKeyCode), for those that the keyboard has (hw/input/ps2.h).
 */
#ifndef MYNA_HW_INPUT_KEYS_H
#define MYNA_HW_INPUT_KEYS_H

#include <stdint.h>

typedef struct KeyName {
    const char *name;
    uint8_t key;      /* usage in page 7 of the USB HID Usage Tables */
} KeyName;

extern const KeyName key_names[]; /* ended by an empty row */

/* The key of that name; 0: none has it. */
uint8_t key_by_name(const char *name);

/* The key of a code of set 1, plus 80h behind E0h, as QEMU and RFB's extended key events number it; 0: none. */
uint8_t key_by_set1(unsigned code);

#endif
