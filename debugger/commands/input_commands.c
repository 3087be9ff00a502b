/* Commands that type into the guest's keyboard, and move its mouse. */
#include <stdlib.h>
#include <string.h>

#include "debugger/commands/command.h"
#include "hw/display/console.h"
#include "hw/input/keys.h"
#include "ui/keymap.h"
#include "ui/typing.h"

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

/* \n, \t, \e, \\ and \" become what they mean. */
static char *unescape(const char *text)
{
    static const char letters[] = "ntreb", meaning[] = "\n\t\r\033\b";
    GString *s = g_string_new(NULL);
    for (; *text; text++) {
        const char *letter = text[0] == '\\' && text[1] ? strchr(letters, text[1]) : NULL;
        if (text[0] == '\\' && text[1])
            text++;
        g_string_append_c(s, letter ? meaning[letter - letters] : *text);
    }
    return g_string_free(s, FALSE);
}

/* What is within quotes, or the whole line. */
static char *quoted_text(const char *line)
{
    gsize size = strlen(line);
    if (size < 2 || line[0] != '"' || line[size - 1] != '"')
        return unescape(line);
    g_autofree char *inner = g_strndup(line + 1, size - 2);
    return unescape(inner);
}

static void command_type(MonitorCommand *c)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *text = quoted_text(c->arguments);
    unsigned left_out = 0;
    if (!*text)
        g_string_append(c->out, "usage: type \"TEXT\", e.g. type \"ls -l\\n\"\n");
    else if (!typing_text(c->machine, text, &left_out, &err))
        g_string_append_printf(c->out, "type: %s\n", err->message);
    else if (left_out)
        g_string_append_printf(c->out, "type: %u characters are left out: the layout '%s' (-k) does not have them\n",
                               left_out, layout_name(layout_of(c->machine)));
}

/* ---- the mouse ---- */

/* Up to count numbers; how many there are, or -1 after a message. */
static int take_numbers(MonitorCommand *c, int *numbers, int count)
{
    const char *rest = c->arguments;
    for (int n = 0;; n++) {
        g_autofree char *word = command_word(&rest);
        char *end;
        if (!word)
            return n;
        long v = strtol(word, &end, 0);
        if (n == count || *end || v < INT32_MIN || v > INT32_MAX) {
            g_string_append_printf(c->out, n == count ? "'%s' is one number too many\n" : "'%s' is no number\n", word);
            return -1;
        }
        numbers[n] = v;
    }
}

static bool has_pointer(MonitorCommand *c)
{
    if (!input_has_pointer(c->machine))
        g_string_append(c->out, "this machine has no mouse\n");
    return input_has_pointer(c->machine);
}

static void command_mouse_move(MonitorCommand *c)
{
    int by[3] = { 0 }, count = take_numbers(c, by, 3);
    if (count >= 0 && count < 2)
        g_string_append(c->out, "usage: mouse_move DX DY [DZ], in dots; DZ: steps of the wheel, away from the user\n");
    else if (count >= 2 && has_pointer(c)) {
        if (by[0] || by[1])
            input_move(c->machine, by[0], by[1]);
        input_wheel(c->machine, -by[2]);
    }
}

static void command_mouse_place(MonitorCommand *c)
{
    int at[2], count = take_numbers(c, at, 2);
    Console *console = console_nth(c->machine, 0);
    if (count >= 0 && count < 2)
        g_string_append(c->out, "usage: mouse_place X Y, in dots of the screen\n");
    else if (count == 2 && !console)
        g_string_append(c->out, "this machine has no screen\n");
    else if (count == 2 && has_pointer(c)) {
        if (!input_is_absolute(c->machine))
            g_string_append(c->out, "the guest uses no pointer that takes positions: mouse_move moves its mouse\n");
        else
            input_position(c->machine, at[0], at[1], console->surface.width, console->surface.height);
    }
}

static void command_mouse_button(MonitorCommand *c)
{
    int held, count = take_numbers(c, &held, 1);
    if (count == 0 || (count == 1 && (held < 0 || held > 31)))
        g_string_append(c->out, "usage: mouse_button HELD, a sum of 1 left, 2 right, 4 middle, 8 side, 16 extra\n");
    else if (count == 1 && has_pointer(c))
        input_buttons(c->machine, held);
}

static void info_mice(MonitorCommand *c)
{
    const char *name;
    bool absolute, used;
    for (unsigned n = 0; input_pointer_nth(c->machine, n, &name, &absolute, &used); n++)
        g_string_append_printf(c->out, "%c Mouse #%u: %s%s\n", used ? '*' : ' ', n, name,
                               absolute ? " (absolute)" : "");
}

const CommandRow input_commands[] = {
    { .name = "sendkey", .arguments = "KEY[-KEY]... [MS]", .help = "press keys together, and hold them for 100 ms",
      .run = command_sendkey,
      .more = "  a to z, 0 to 9, f1 to f24, ret esc tab spc backspace minus equal bracket_left bracket_right backslash\n"
              "  semicolon apostrophe grave_accent comma dot slash less, ctrl shift alt meta_l (right: ctrl_r shift_r\n"
              "  alt_r meta_r), caps_lock num_lock scroll_lock print sysrq pause insert delete home end pgup pgdn\n"
              "  left right up down menu, kp_0 to kp_9 kp_add kp_subtract kp_multiply kp_divide kp_enter kp_decimal,\n"
              "  or 0xNN: a scan code of set 1, plus 0x80 behind E0h\n" },
    { .name = "type", .arguments = "\"TEXT\"", .help = "type a text, by the layout of -k; \\n is Enter, \\t Tab",
      .run = command_type },
    { .name = "mouse_move", .arguments = "DX DY [DZ]", .help = "move the mouse by so many dots, and its wheel",
      .run = command_mouse_move },
    { .name = "mouse_place", .arguments = "X Y", .help = "put the pointer on a dot of the screen",
      .run = command_mouse_place },
    { .name = "mouse_button", .arguments = "HELD", .help = "buttons held now: 1 left, 2 right, 4 middle, 8, 16",
      .run = command_mouse_button },
    { .name = NULL },
};

const CommandRow input_info[] = {
    { .name = "mice", .arguments = "", .help = "mice and tablets; * marks the one that the guest uses",
      .run = info_mice },
    { .name = NULL },
};
