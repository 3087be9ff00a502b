/*
 * PS/2 keyboard with 101 and more keys (IBM Personal System/2 Hardware Interface Technical Reference, "101- and 102-Key
 * Keyboard"): scan code sets 1 to 3, typematic repetition, commands.
 *
 * Codes are made in set 2, of which set 1 is a translation.
 */
#include "hw/input/ps2.h"

#include <string.h>

enum { REPLY_ECHO = 0xee, REPLY_ACK = 0xfa, REPLY_RESEND = 0xfe, REPLY_TEST_PASSED = 0xaa };
enum { RELEASED = 0xf0, EXTENDED = 0xe0, PAUSE = 0xe1 };
enum { KEY_PRINT = 0x46, KEY_PAUSE = 0x48, KEY_LCTRL = 0xe0, KEY_LSHIFT, KEY_LALT };
enum { KEY_RCTRL = 0xe4, KEY_RSHIFT, KEY_RALT };
enum { SET3_TYPEMATIC = 1, SET3_BREAK = 2, SET3_ALL = 3 };
enum { DEFAULT_RATE = 0x2b }; /* 10.9 characters a second after half a second */

/* A key's codes: set 2, whether E0h goes before it, set 3; without a code in set 3 it is silent there. */
typedef struct KeyCode {
    uint8_t set2, extended, set3;
} KeyCode;

#define KEY(usage, set2, set3) [usage] = { set2, 0, set3 }
#define XKEY(usage, set2, set3) [usage] = { set2, 1, set3 }

static const KeyCode key_codes[256] = {
    /* letters */
    KEY(0x04, 0x1c, 0x1c), KEY(0x05, 0x32, 0x32), KEY(0x06, 0x21, 0x21), KEY(0x07, 0x23, 0x23), KEY(0x08, 0x24, 0x24),
    KEY(0x09, 0x2b, 0x2b), KEY(0x0a, 0x34, 0x34), KEY(0x0b, 0x33, 0x33), KEY(0x0c, 0x43, 0x43), KEY(0x0d, 0x3b, 0x3b),
    KEY(0x0e, 0x42, 0x42), KEY(0x0f, 0x4b, 0x4b), KEY(0x10, 0x3a, 0x3a), KEY(0x11, 0x31, 0x31), KEY(0x12, 0x44, 0x44),
    KEY(0x13, 0x4d, 0x4d), KEY(0x14, 0x15, 0x15), KEY(0x15, 0x2d, 0x2d), KEY(0x16, 0x1b, 0x1b), KEY(0x17, 0x2c, 0x2c),
    KEY(0x18, 0x3c, 0x3c), KEY(0x19, 0x2a, 0x2a), KEY(0x1a, 0x1d, 0x1d), KEY(0x1b, 0x22, 0x22), KEY(0x1c, 0x35, 0x35),
    KEY(0x1d, 0x1a, 0x1a),
    /* digits 1 to 0 */
    KEY(0x1e, 0x16, 0x16), KEY(0x1f, 0x1e, 0x1e), KEY(0x20, 0x26, 0x26), KEY(0x21, 0x25, 0x25), KEY(0x22, 0x2e, 0x2e),
    KEY(0x23, 0x36, 0x36), KEY(0x24, 0x3d, 0x3d), KEY(0x25, 0x3e, 0x3e), KEY(0x26, 0x46, 0x46), KEY(0x27, 0x45, 0x45),
    /* enter, escape, backspace, tab, space, - = [ ] \ #(102nd) ; ' ` , . / caps lock */
    KEY(0x28, 0x5a, 0x5a), KEY(0x29, 0x76, 0x08), KEY(0x2a, 0x66, 0x66), KEY(0x2b, 0x0d, 0x0d), KEY(0x2c, 0x29, 0x29),
    KEY(0x2d, 0x4e, 0x4e), KEY(0x2e, 0x55, 0x55), KEY(0x2f, 0x54, 0x54), KEY(0x30, 0x5b, 0x5b), KEY(0x31, 0x5d, 0x5c),
    KEY(0x32, 0x5d, 0x53), KEY(0x33, 0x4c, 0x4c), KEY(0x34, 0x52, 0x52), KEY(0x35, 0x0e, 0x0e), KEY(0x36, 0x41, 0x41),
    KEY(0x37, 0x49, 0x49), KEY(0x38, 0x4a, 0x4a), KEY(0x39, 0x58, 0x14),
    /* F1 to F12 */
    KEY(0x3a, 0x05, 0x07), KEY(0x3b, 0x06, 0x0f), KEY(0x3c, 0x04, 0x17), KEY(0x3d, 0x0c, 0x1f), KEY(0x3e, 0x03, 0x27),
    KEY(0x3f, 0x0b, 0x2f), KEY(0x40, 0x83, 0x37), KEY(0x41, 0x0a, 0x3f), KEY(0x42, 0x01, 0x47), KEY(0x43, 0x09, 0x4f),
    KEY(0x44, 0x78, 0x56), KEY(0x45, 0x07, 0x5e),
    /* print, scroll lock, pause, insert, home, page up, delete, end, page down, right, left, down, up */
    XKEY(KEY_PRINT, 0x7c, 0x57), KEY(0x47, 0x7e, 0x5f), KEY(KEY_PAUSE, 0x77, 0x62), XKEY(0x49, 0x70, 0x67),
    XKEY(0x4a, 0x6c, 0x6e), XKEY(0x4b, 0x7d, 0x6f), XKEY(0x4c, 0x71, 0x64), XKEY(0x4d, 0x69, 0x65),
    XKEY(0x4e, 0x7a, 0x6d), XKEY(0x4f, 0x74, 0x6a), XKEY(0x50, 0x6b, 0x61), XKEY(0x51, 0x72, 0x60),
    XKEY(0x52, 0x75, 0x63),
    /* num lock, keypad / * - + enter 1 to 9, 0, . */
    KEY(0x53, 0x77, 0x76), XKEY(0x54, 0x4a, 0x77), KEY(0x55, 0x7c, 0x7e), KEY(0x56, 0x7b, 0x84), KEY(0x57, 0x79, 0x7c),
    XKEY(0x58, 0x5a, 0x79), KEY(0x59, 0x69, 0x69), KEY(0x5a, 0x72, 0x72), KEY(0x5b, 0x7a, 0x7a), KEY(0x5c, 0x6b, 0x6b),
    KEY(0x5d, 0x73, 0x73), KEY(0x5e, 0x74, 0x74), KEY(0x5f, 0x6c, 0x6c), KEY(0x60, 0x75, 0x75), KEY(0x61, 0x7d, 0x7d),
    KEY(0x62, 0x70, 0x70), KEY(0x63, 0x71, 0x71),
    /* <(102nd), menu, power, keypad =, F13 to F24 */
    KEY(0x64, 0x61, 0x13), XKEY(0x65, 0x2f, 0x8d), XKEY(0x66, 0x37, 0x00), KEY(0x67, 0x0f, 0x00), KEY(0x68, 0x08, 0x00),
    KEY(0x69, 0x10, 0x00), KEY(0x6a, 0x18, 0x00), KEY(0x6b, 0x20, 0x00), KEY(0x6c, 0x28, 0x00), KEY(0x6d, 0x30, 0x00),
    KEY(0x6e, 0x38, 0x00), KEY(0x6f, 0x40, 0x00), KEY(0x70, 0x48, 0x00), KEY(0x71, 0x50, 0x00), KEY(0x72, 0x57, 0x00),
    KEY(0x73, 0x5f, 0x00),
    /* mute, volume up and down; keypad comma; Ro, Katakana, Yen, Henkan, Muhenkan */
    XKEY(0x7f, 0x23, 0x00), XKEY(0x80, 0x32, 0x00), XKEY(0x81, 0x21, 0x00), KEY(0x85, 0x6d, 0x00),
    KEY(0x87, 0x51, 0x51), KEY(0x88, 0x13, 0x87), KEY(0x89, 0x6a, 0x5d), KEY(0x8a, 0x64, 0x86), KEY(0x8b, 0x67, 0x85),
    /* left and right control, shift, alt, GUI */
    KEY(KEY_LCTRL, 0x14, 0x11), KEY(KEY_LSHIFT, 0x12, 0x12), KEY(KEY_LALT, 0x11, 0x19), XKEY(0xe3, 0x1f, 0x8b),
    XKEY(KEY_RCTRL, 0x14, 0x58), KEY(KEY_RSHIFT, 0x59, 0x59), XKEY(KEY_RALT, 0x11, 0x39), XKEY(0xe7, 0x27, 0x8c),
};

/* Codes of set 1 for 00h..7Fh of set 2: position by position the numbering of the IBM PC's keyboard. */
static const uint8_t set1_codes[128] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

uint8_t ps2_set1_of_set2(uint8_t code)
{
    switch (code) {
    case 0x83: return 0x41;
    case 0x84: return 0x54;
    default: return code < 0x80 ? set1_codes[code] : code;
    }
}

/* --- keys to codes --------------------------------------------------------------------------------------------- */

typedef struct Codes {
    uint8_t byte[8];
    unsigned n;
} Codes;

static void codes_add(Codes *c, bool extended, bool released, uint8_t code)
{
    if (extended)
        c->byte[c->n++] = EXTENDED;
    if (released)
        c->byte[c->n++] = RELEASED;
    c->byte[c->n++] = code;
}

static bool key_held(const Ps2Keyboard *k, unsigned key)
{
    return k->down[key >> 3] >> (key & 7) & 1;
}

static bool either_held(const Ps2Keyboard *k, unsigned left, unsigned right)
{
    return key_held(k, left) || key_held(k, right);
}

/* Print screen: with alt it is another key, system request; alone it holds a false shift (reference, "Key 124"). */
static void print_codes(const Ps2Keyboard *k, Codes *c, bool down)
{
    bool bare = !either_held(k, KEY_LSHIFT, KEY_RSHIFT) && !either_held(k, KEY_LCTRL, KEY_RCTRL);

    if (either_held(k, KEY_LALT, KEY_RALT)) {
        codes_add(c, false, !down, 0x84);
        return;
    }
    if (bare && down)
        codes_add(c, true, false, 0x12);
    codes_add(c, true, !down, 0x7c);
    if (bare && !down)
        codes_add(c, true, true, 0x12);
}

/* Pause says all when it goes down; with control it is another key, break (reference, "Key 126"). */
static void pause_codes(const Ps2Keyboard *k, Codes *c, bool down)
{
    static const uint8_t pause[] = { PAUSE, 0x14, 0x77, PAUSE, RELEASED, 0x14, RELEASED, 0x77 };

    if (!down)
        return;
    if (either_held(k, KEY_LCTRL, KEY_RCTRL)) {
        codes_add(c, true, false, 0x7e);
        codes_add(c, true, true, 0x7e);
        return;
    }
    memcpy(c->byte, pause, sizeof pause);
    c->n = sizeof pause;
}

static void set2_codes(const Ps2Keyboard *k, Codes *c, unsigned key, bool down)
{
    if (key == KEY_PRINT)
        print_codes(k, c, down);
    else if (key == KEY_PAUSE)
        pause_codes(k, c, down);
    else
        codes_add(c, key_codes[key].extended, !down, key_codes[key].set2);
}

static void set3_codes(const Ps2Keyboard *k, Codes *c, unsigned key, bool down)
{
    uint8_t code = key_codes[key].set3;

    if (code && (down || (k->key_mode[code] & SET3_BREAK)))
        codes_add(c, false, !down, code);
}

unsigned ps2_key_of_set1(uint8_t code, bool extended)
{
    for (unsigned key = 0; key < G_N_ELEMENTS(key_codes); key++) {
        const KeyCode *c = &key_codes[key];
        if (c->set2 && c->extended == extended && ps2_set1_of_set2(c->set2) == code)
            return key;
    }
    return 0;
}

/* In set 1 a release is bit 7 of the code. */
static void codes_to_set1(Codes *c)
{
    unsigned n = 0;
    uint8_t release = 0;

    for (unsigned i = 0; i < c->n; i++) {
        if (c->byte[i] == RELEASED) {
            release = 0x80;
            continue;
        }
        c->byte[n++] = ps2_set1_of_set2(c->byte[i]) | release;
        release = 0;
    }
    c->n = n;
}

static void keyboard_send(Ps2Keyboard *k, unsigned key, bool down)
{
    Codes c = { .n = 0 };

    if (k->scan_set == 3)
        set3_codes(k, &c, key, down);
    else
        set2_codes(k, &c, key, down);
    if (k->scan_set == 1)
        codes_to_set1(&c);
    if (c.n)
        ps2_queue(&k->port, c.byte, c.n);
}

/* --- typematic ------------------------------------------------------------------------------------------------- */

static int64_t repeat_delay(const Ps2Keyboard *k)
{
    return ((k->rate >> 5 & 3) + 1) * INT64_C(250000000);
}

/* (8 + A) * 2^B * 4.17 ms (reference, "Set Typematic Rate/Delay"). */
static int64_t repeat_period(const Ps2Keyboard *k)
{
    return (INT64_C(8) + (k->rate & 7)) * (1 << (k->rate >> 3 & 3)) * 4170000;
}

static void repeat_after(Ps2Keyboard *k, int64_t ns)
{
    timer_arm(k->repeat, clock_now(k->machine->clocks, MYNA_CLOCK_VIRTUAL) + ns);
}

static void repeat_stop(Ps2Keyboard *k)
{
    k->repeat_key = 0;
    timer_cancel(k->repeat);
}

static bool key_repeats(const Ps2Keyboard *k, unsigned key)
{
    return key != KEY_PAUSE && (k->scan_set != 3 || (k->key_mode[key_codes[key].set3] & SET3_TYPEMATIC));
}

/* A guest that does not keep up gets no more of the same. */
static void keyboard_repeat(void *opaque)
{
    Ps2Keyboard *k = opaque;

    if (!ps2_has_data(&k->port))
        keyboard_send(k, k->repeat_key, true);
    repeat_after(k, repeat_period(k));
}

void ps2_keyboard_key(Ps2Keyboard *k, unsigned key, bool down)
{
    if (key >= G_N_ELEMENTS(key_codes) || !key_codes[key].set2 || key_held(k, key) == down)
        return;
    k->down[key >> 3] ^= 1 << (key & 7);
    if (k->enabled)
        keyboard_send(k, key, down);
    if (down && k->enabled && key_repeats(k, key)) {
        k->repeat_key = key;
        repeat_after(k, repeat_delay(k));
    } else if (!down && key == k->repeat_key) {
        repeat_stop(k);
    }
}

void ps2_keyboard_release_all(Ps2Keyboard *k)
{
    for (unsigned key = 0; key < G_N_ELEMENTS(key_codes); key++)
        if (key_held(k, key))
            ps2_keyboard_key(k, key, false);
}

uint8_t ps2_keyboard_leds(const Ps2Keyboard *k)
{
    return k->leds;
}

/* --- commands -------------------------------------------------------------------------------------------------- */

static void keyboard_defaults(Ps2Keyboard *k)
{
    k->rate = DEFAULT_RATE;
    memset(k->key_mode, SET3_ALL, sizeof k->key_mode);
    ps2_clear(&k->port);
    repeat_stop(k);
}

static void keyboard_power_on(Ps2Keyboard *k)
{
    keyboard_defaults(k);
    k->scan_set = 2;
    k->leds = 0;
    k->enabled = true;
    k->command = 0;
}

/* F7h..FDh: what keys of set 3 send, for all keys or (FBh on) for those named after the command. */
static uint8_t mode_of_command(uint8_t command)
{
    static const uint8_t modes[] = { SET3_TYPEMATIC, SET3_BREAK, 0, SET3_ALL, SET3_TYPEMATIC, SET3_BREAK, 0 };
    return modes[command - 0xf7];
}

static void keyboard_command(Ps2Keyboard *k, uint8_t v)
{
    uint8_t again = k->port.last;

    switch (v) {
    case 0xee: ps2_reply(&k->port, REPLY_ECHO); return;
    case 0xfe: ps2_reply(&k->port, again); return;
    case 0xed: case 0xf0: case 0xf3: case 0xfb: case 0xfc: case 0xfd: k->command = v; break;
    case 0xf2: case 0xff: break;
    case 0xf4: ps2_clear_queue(&k->port); k->enabled = true; break;
    case 0xf5: case 0xf6: keyboard_defaults(k); k->enabled = v == 0xf6; break;
    case 0xf7: case 0xf8: case 0xf9: case 0xfa: memset(k->key_mode, mode_of_command(v), sizeof k->key_mode); break;
    default: ps2_reply(&k->port, REPLY_RESEND); return;
    }
    if (v == 0xff)
        keyboard_power_on(k);
    ps2_reply(&k->port, REPLY_ACK);
    if (v == 0xf2) {
        ps2_reply(&k->port, 0xab);
        ps2_reply(&k->port, 0x83);
    }
    if (v == 0xff)
        ps2_reply(&k->port, REPLY_TEST_PASSED);
}

static void keyboard_choose_set(Ps2Keyboard *k, uint8_t v)
{
    if (v > 3) {
        ps2_reply(&k->port, REPLY_RESEND);
        return;
    }
    if (v) {
        ps2_clear_queue(&k->port);
        k->scan_set = v;
    }
    ps2_reply(&k->port, REPLY_ACK);
    if (!v)
        ps2_reply(&k->port, k->scan_set);
}

static void keyboard_parameter(Ps2Keyboard *k, uint8_t v)
{
    uint8_t command = k->command;

    if (command < 0xfb) /* the list of keys goes on to the next command */
        k->command = 0;
    if (command == 0xf0) {
        keyboard_choose_set(k, v);
        return;
    }
    if (command == 0xed)
        k->leds = v & 7;
    else if (command == 0xf3)
        k->rate = v & 0x7f;
    else
        k->key_mode[v] = mode_of_command(command);
    ps2_reply(&k->port, REPLY_ACK);
}

/* A command in place of a parameter is taken as one. */
void ps2_keyboard_write(Ps2Keyboard *k, uint8_t v)
{
    if (k->command && v < 0xed) {
        keyboard_parameter(k, v);
        return;
    }
    k->command = 0;
    keyboard_command(k, v);
}

/* --- state ----------------------------------------------------------------------------------------------------- */

void ps2_keyboard_init(Ps2Keyboard *k, Machine *m, void (*ready)(void *opaque), void *opaque)
{
    k->machine = m;
    k->port.ready = ready;
    k->port.opaque = opaque;
    k->repeat = timer_new(m->clocks, MYNA_CLOCK_VIRTUAL, keyboard_repeat, k);
}

void ps2_keyboard_exit(Ps2Keyboard *k)
{
    timer_free(k->repeat);
}

/* Keys that a person holds stay held. */
void ps2_keyboard_reset(Ps2Keyboard *k)
{
    keyboard_power_on(k);
    k->port.last = 0;
}

const StateField ps2_keyboard_state[] = {
    STATE_STRUCT(Ps2Keyboard, port, ps2_port_state), STATE_TIMER(Ps2Keyboard, repeat), STATE_U8(Ps2Keyboard, scan_set),
    STATE_U8(Ps2Keyboard, leds), STATE_U8(Ps2Keyboard, rate), STATE_BOOL(Ps2Keyboard, enabled),
    STATE_U8(Ps2Keyboard, command), STATE_U8(Ps2Keyboard, repeat_key), STATE_ARRAY_U8(Ps2Keyboard, down),
    STATE_ARRAY_U8(Ps2Keyboard, key_mode), STATE_END
};
