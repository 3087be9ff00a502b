/*
 * Scan codes and X keysyms to usages (keymap.h).  SDL's scancodes are those of USB by definition (SDL_scancode.h); X
 * keysyms are those of X11's keysymdef.h and XF86keysym.h.
 */
#include <string.h>

#include "hw/input/keys.h"
#include "ui/keymap.h"

enum { SDL_MODE = 257, SDL_AUDIO_MUTE = 262, USAGE_MUTE = 0x7f, USAGE_LAST = 0xe7 };

unsigned key_of_sdl(unsigned scancode)
{
    if (scancode == SDL_MODE) /* an X server's AltGr, where it is Mode_switch */
        return KEY_RIGHT_ALT;
    if (scancode == SDL_AUDIO_MUTE)
        return USAGE_MUTE;
    return scancode > 3 && scancode <= USAGE_LAST ? scancode : 0; /* 1 to 3 are no keys */
}

unsigned key_of_xt(unsigned code)
{
    if (code >> 8 == 0xe0)
        code = (code & 0x7f) | 0x80;
    return key_by_set1(code);
}

/* ---- X keysyms ---- */

typedef struct KeysymRange {
    uint32_t first, last;
    uint8_t key; /* of the first; those that follow have the keys that follow */
} KeysymRange;

static const KeysymRange keysym_ranges[] = {
    { 0xff08, 0xff08, 0x2a },                                                     /* BackSpace */
    { 0xff09, 0xff09, 0x2b }, { 0xfe20, 0xfe20, 0x2b },                           /* Tab, ISO_Left_Tab */
    { 0xff0a, 0xff0a, 0x28 }, { 0xff0d, 0xff0d, 0x28 },                           /* Linefeed, Return */
    { 0xff13, 0xff13, 0x48 }, { 0xff6b, 0xff6b, 0x48 },                           /* Pause, Break */
    { 0xff14, 0xff14, 0x47 }, { 0xff1b, 0xff1b, 0x29 },                           /* Scroll_Lock, Escape */
    { 0xff15, 0xff15, 0x46 }, { 0xff61, 0xff61, 0x46 },                           /* Sys_Req, Print */
    { 0xff22, 0xff22, 0x8b }, { 0xff23, 0xff23, 0x8a }, { 0xff27, 0xff27, 0x88 }, /* Muhenkan, Henkan, Katakana */
    { 0xff50, 0xff50, 0x4a }, { 0xff51, 0xff51, 0x50 }, { 0xff52, 0xff52, 0x52 }, /* Home, Left, Up */
    { 0xff53, 0xff53, 0x4f }, { 0xff54, 0xff54, 0x51 }, { 0xff55, 0xff55, 0x4b }, /* Right, Down, Page_Up */
    { 0xff56, 0xff56, 0x4e }, { 0xff57, 0xff57, 0x4d },                           /* Page_Down, End */
    { 0xff63, 0xff63, 0x49 }, { 0xff67, 0xff67, 0x65 }, { 0xff20, 0xff20, 0x65 }, /* Insert, Menu, Multi_key */
    { 0xff7f, 0xff7f, 0x53 }, { 0xff8d, 0xff8d, 0x58 }, { 0xff80, 0xff80, 0x2c }, /* Num_Lock, KP_Enter, KP_Space */
    { 0xff95, 0xff95, 0x5f }, { 0xff96, 0xff96, 0x5c }, { 0xff97, 0xff97, 0x60 }, /* KP_Home, KP_Left, KP_Up */
    { 0xff98, 0xff98, 0x5e }, { 0xff99, 0xff99, 0x5a }, { 0xff9a, 0xff9a, 0x61 }, /* KP_Right, KP_Down, KP_Page_Up */
    { 0xff9b, 0xff9b, 0x5b }, { 0xff9c, 0xff9c, 0x59 }, { 0xff9d, 0xff9d, 0x5d }, /* KP_Page_Down, KP_End, KP_Begin */
    { 0xff9e, 0xff9f, 0x62 },                                                     /* KP_Insert, KP_Delete */
    { 0xffaa, 0xffaa, 0x55 }, { 0xffab, 0xffab, 0x57 }, { 0xffac, 0xffac, 0x85 }, /* KP_Multiply, Add, Separator */
    { 0xffad, 0xffad, 0x56 }, { 0xffae, 0xffae, 0x63 }, { 0xffaf, 0xffaf, 0x54 }, /* KP_Subtract, Decimal, Divide */
    { 0xffb0, 0xffb0, 0x62 }, { 0xffb1, 0xffb9, 0x59 }, { 0xffbd, 0xffbd, 0x67 }, /* KP_0, KP_1 to KP_9, KP_Equal */
    { 0xffbe, 0xffc9, 0x3a }, { 0xffca, 0xffd5, 0x68 },                           /* F1 to F12, F13 to F24 */
    { 0xffe1, 0xffe1, 0xe1 }, { 0xffe2, 0xffe2, 0xe5 },                           /* Shift_L, Shift_R */
    { 0xffe3, 0xffe3, 0xe0 }, { 0xffe4, 0xffe4, 0xe4 }, { 0xffe5, 0xffe5, 0x39 }, /* Control_L, Control_R, Caps_Lock */
    { 0xffe7, 0xffe7, 0xe3 }, { 0xffe8, 0xffe8, 0xe7 },                           /* Meta_L, Meta_R */
    { 0xffe9, 0xffe9, 0xe2 }, { 0xffea, 0xffea, 0xe6 },                           /* Alt_L, Alt_R */
    { 0xffeb, 0xffeb, 0xe3 }, { 0xffec, 0xffec, 0xe7 },                           /* Super_L, Super_R */
    { 0xfe03, 0xfe03, 0xe6 }, { 0xff7e, 0xff7e, 0xe6 },                           /* ISO_Level3_Shift, Mode_switch */
    { 0xffff, 0xffff, 0x4c },                                                     /* Delete */
    { 0x1008ff11, 0x1008ff11, 0x81 }, { 0x1008ff12, 0x1008ff12, 0x7f },           /* XF86AudioLowerVolume, Mute */
    { 0x1008ff13, 0x1008ff13, 0x80 }, { 0x1008ff2a, 0x1008ff2a, 0x66 },           /* XF86AudioRaiseVolume, PowerOff */
};

unsigned key_of_keysym(uint32_t keysym)
{
    for (unsigned n = 0; n < G_N_ELEMENTS(keysym_ranges); n++) {
        const KeysymRange *r = &keysym_ranges[n];
        if (keysym >= r->first && keysym <= r->last)
            return r->key + (keysym - r->first);
    }
    return 0;
}

/* Keysyms of old were the bytes of 8-bit character sets, from 100h on by the set. */
static uint32_t character_of_set(const char *set, uint8_t byte)
{
    g_autofree char *text = g_convert((const char *)&byte, 1, "UTF-8", set, NULL, NULL, NULL);
    return text && *text ? g_utf8_get_char(text) : 0;
}

/* Dead keys, from XK_dead_grave on: their combining characters. */
static uint32_t dead_character(uint32_t keysym)
{
    static const uint16_t marks[] = {
        0x300, 0x301, 0x302, 0x303, 0x304, 0x306, 0x307, 0x308, 0x30a, 0x30b, 0x30c, 0x327, 0x328,
    };
    return keysym - 0xfe50 < G_N_ELEMENTS(marks) ? marks[keysym - 0xfe50] : 0;
}

uint32_t character_of_keysym(uint32_t keysym)
{
    static const char *const sets[256] = {
        [0x01] = "ISO-8859-2", [0x02] = "ISO-8859-3", [0x03] = "ISO-8859-4", [0x06] = "KOI8-R", [0x0c] = "ISO-8859-8",
        [0x13] = "ISO-8859-15",
    };
    if ((keysym >= 0x20 && keysym < 0x7f) || (keysym >= 0xa0 && keysym < 0x100) || keysym == 0x20ac)
        return keysym;
    if (keysym >> 24 == 1)
        return (keysym & 0xffffff) <= 0x10ffff ? keysym & 0xffffff : 0;
    if (keysym >> 8 == 0xfe)
        return dead_character(keysym);
    return keysym < 0x10000 && sets[keysym >> 8] ? character_of_set(sets[keysym >> 8], keysym) : 0;
}
