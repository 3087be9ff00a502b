/* Commands that type into the guest's keyboard. */
#include <stdlib.h>
#include <string.h>

#include "debugger/command.h"
#include "ui/typing.h"
#include "hw/input/keys.h"

/* A name, or a code of set 1 with bit 7 for a prefix of E0h, as QEMU has them; 0: neither. */
static unsigned find_key(const char *text)
{
    if (!g_str_has_prefix(text, "0x"))
        return key_by_name(text);
    return key_by_set1(MIN(strtoul(text, NULL, 16), 0x100));
}

/* ctrl-alt-f1; false after a message. */
static bool parse_chord(MonitorCommand *c, const char *text, Chord *chord)
{
    g_auto(GStrv) names = g_strsplit(text, "-", -1);
    unsigned count = g_strv_length(names);
    if (count > CHORD_KEYS) {
        g_string_append_printf(c->out, "sendkey: %u keys: at most %d can be held\n", count, CHORD_KEYS);
        return false;
    }
    for (; chord->count < count; chord->count++) {
        unsigned key = find_key(names[chord->count]);
        if (!key) {
            g_string_append_printf(c->out, "sendkey: unknown key '%s' ('help sendkey' lists them)\n",
                                   names[chord->count]);
            return false;
        }
        chord->keys[chord->count] = key;
    }
    return true;
}

static void command_sendkey(MonitorCommand *c)
{
    g_autoptr(GError) err = NULL;
    const char *rest = c->arguments;
    g_autofree char *keys = command_word(&rest), *hold = command_word(&rest);
    Chord chord = { .hold_ms = hold ? strtoul(hold, NULL, 10) : CHORD_HOLD_MS };
    if (!keys || chord.hold_ms < 1 || chord.hold_ms > 60000)
        g_string_append(c->out, "usage: sendkey KEY[-KEY]... [MILLISECONDS], e.g. sendkey ctrl-alt-f1 200\n");
    else if (parse_chord(c, keys, &chord) && !typing_add(c->machine, &chord, &err))
        g_string_append_printf(c->out, "sendkey: %s\n", err->message);
}

const CommandRow input_commands[] = {
    { .name = "sendkey", .arguments = "KEY[-KEY]... [MS]", .help = "press keys together, and hold them for 100 ms",
      .run = command_sendkey,
      .more = "  a to z, 0 to 9, f1 to f24, ret esc tab spc backspace minus equal bracket_left bracket_right backslash\n"
              "  semicolon apostrophe grave_accent comma dot slash less, ctrl shift alt meta_l (right: ctrl_r shift_r\n"
              "  alt_r meta_r), caps_lock num_lock scroll_lock print sysrq pause insert delete home end pgup pgdn\n"
              "  left right up down menu, kp_0 to kp_9 kp_add kp_subtract kp_multiply kp_divide kp_enter kp_decimal,\n"
              "  or 0xNN: a scan code of set 1, plus 0x80 behind E0h\n" },
    { .name = NULL },
};
