/*
 * PS/2 keyboard and mouse: the devices behind a keyboard controller (hw/input/i8042.c), which owns them and adds them to
 * the machine's input (core/input.h).  They are also in the slots "ps2-keyboard" (Ps2Keyboard) and "ps2-mouse" (Ps2Mouse).
 */
#ifndef MYNA_HW_PS2_H
#define MYNA_HW_PS2_H

#include "core/device.h"
#include "core/machine.h"

enum { PS2_QUEUE_SIZE = 128, PS2_REPLY_SIZE = 8 };

/* What both have: bytes on their way to the controller.  Replies to commands go first. */
typedef struct Ps2Port {
    uint8_t queue[PS2_QUEUE_SIZE];
    uint8_t head, count;             /* of queue */
    uint8_t reply[PS2_REPLY_SIZE];
    uint8_t reply_count;
    uint8_t last;                    /* byte sent last, for the resend command */
    void (*ready)(void *opaque);     /* there are bytes to take */
    void *opaque;
    void (*drained)(struct Ps2Port *p); /* the last byte was taken; may be NULL */
} Ps2Port;

bool ps2_has_data(const Ps2Port *p);
uint8_t ps2_take(Ps2Port *p);

/* For the devices themselves. */
unsigned ps2_room(const Ps2Port *p);
void ps2_queue(Ps2Port *p, const uint8_t *bytes, unsigned n); /* all or, without room, none */
void ps2_reply(Ps2Port *p, uint8_t byte);
void ps2_clear(Ps2Port *p);
void ps2_clear_queue(Ps2Port *p); /* keeps replies */
extern const StateField ps2_port_state[];

/* Scan code of set 1 for one of set 2: the translation that a keyboard controller does. */
uint8_t ps2_set1_of_set2(uint8_t code);

typedef struct Ps2Keyboard {
    Ps2Port port;
    Machine *machine;
    Timer *repeat;
    uint8_t scan_set;                /* 1..3 */
    uint8_t leds;                    /* bit 0: scroll lock, 1: num lock, 2: caps lock */
    uint8_t rate;                    /* as in command F3h */
    bool enabled;
    uint8_t command;                 /* that awaits its parameter; 0: none */
    uint8_t repeat_key;              /* key to be repeated; 0: none */
    uint8_t down[32];                /* keys held, a bit for each usage */
    uint8_t key_mode[256];           /* set 3: PS2_KEY_* for each code */
} Ps2Keyboard;

void ps2_keyboard_init(Ps2Keyboard *k, Machine *m, void (*ready)(void *opaque), void *opaque);
void ps2_keyboard_exit(Ps2Keyboard *k);
void ps2_keyboard_reset(Ps2Keyboard *k);
void ps2_keyboard_write(Ps2Keyboard *k, uint8_t v); /* a byte from the controller */
extern const StateField ps2_keyboard_state[];

/*
 * A key goes down or up: key is its usage in page 7 of the USB HID Usage Tables (4: A, ... E7h: right GUI).  The
 * keyboard itself repeats keys that are held; a key that is down already is ignored, and one that it does not have.
 */
void ps2_keyboard_key(Ps2Keyboard *k, unsigned key, bool down);
void ps2_keyboard_release_all(Ps2Keyboard *k);
/* The key of a code of set 1, without its release bit, and whether E0h goes before it; 0: no key has it. */
unsigned ps2_key_of_set1(uint8_t code, bool extended);

uint8_t ps2_keyboard_leds(const Ps2Keyboard *k);

typedef struct Ps2Mouse {
    Ps2Port port;
    uint8_t id;                      /* 0: two axes, 3: with wheel, 4: with wheel and five buttons */
    uint8_t rate, resolution;
    bool enabled, remote, wrap, double_scale;
    uint8_t command;                 /* that awaits its parameter; 0: none */
    uint8_t rates[2];                /* the two rates set before the last */
    uint8_t buttons, buttons_sent;
    int32_t dx, dy, dz;              /* movement not yet sent */
} Ps2Mouse;

void ps2_mouse_init(Ps2Mouse *mouse, void (*ready)(void *opaque), void *opaque);
void ps2_mouse_reset(Ps2Mouse *mouse);
void ps2_mouse_write(Ps2Mouse *mouse, uint8_t v);
extern const StateField ps2_mouse_state[];

/* Movement to the right, down, and of the wheel towards the user; buttons now held (INPUT_*). */
void ps2_mouse_event(Ps2Mouse *mouse, int dx, int dy, int dz, unsigned buttons);
/* Reports though nothing happened, to a host that wants reports: its driver is to look elsewhere (vmmouse.c). */
void ps2_mouse_nudge(Ps2Mouse *mouse);

#endif
