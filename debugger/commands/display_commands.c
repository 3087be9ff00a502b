/* Commands about what the machine shows: windows and other faces, pictures, films. */
#include <stdlib.h>
#include <string.h>

#include "debugger/commands/command.h"
#include "hw/display/console.h"
#include "ui/picture.h"
#include "ui/record.h"
#include "ui/ui.h"

#define SCREENDUMP_USAGE "usage: screendump FILE [-f png|ppm] [SCREEN]\n"

static void print_error(MonitorCommand *c, const GError *err)
{
    if (err)
        g_string_append_printf(c->out, "%s\n", err->message);
}

/* A number of a screen, 0 if there is none; false after a message. */
static bool take_head(MonitorCommand *c, const char *word, unsigned *head)
{
    char *end = NULL;
    *head = word ? strtoul(word, &end, 10) : 0;
    if (word && (*end || !g_ascii_isdigit(*word)))
        g_string_append_printf(c->out, "'%s' is no number of a screen\n", word);
    else if (!console_nth(c->machine, *head))
        g_string_append_printf(c->out, "this machine has no screen%s%s\n", word ? " " : "", word ? word : "");
    else
        return true;
    return false;
}

/* -f FORMAT anywhere; false after a message. */
static bool take_format(MonitorCommand *c, const char **rest, char *words[2], PictureFormat *format)
{
    unsigned count = 0;
    char *word;
    while ((word = command_word(rest))) {
        g_autofree char *value = !strcmp(word, "-f") ? command_word(rest) : NULL;
        if (strcmp(word, "-f") && count < 2) {
            words[count++] = word;
            continue;
        }
        g_free(word);
        if (g_strcmp0(value, "png") && g_strcmp0(value, "ppm")) {
            g_string_append(c->out, value ? "-f: there is png and ppm\n" : SCREENDUMP_USAGE);
            return false;
        }
        *format = !strcmp(value, "png") ? PICTURE_PNG : PICTURE_PPM;
    }
    return true;
}

static void command_screendump(MonitorCommand *c)
{
    g_autoptr(GError) err = NULL;
    const char *rest = c->arguments;
    char *words[2] = { NULL, NULL };
    PictureFormat format = PICTURE_BY_NAME;
    unsigned head;
    if (!take_format(c, &rest, words, &format))
        ;
    else if (!words[0])
        g_string_append(c->out, SCREENDUMP_USAGE);
    else if (take_head(c, words[1], &head))
        picture_write(console_nth(c->machine, head), words[0], format, &err);
    print_error(c, err);
    g_free(words[0]);
    g_free(words[1]);
}

static void command_record(MonitorCommand *c)
{
    g_autoptr(GError) err = NULL;
    const char *rest = c->arguments;
    g_autofree char *file = command_word(&rest), *screen = command_word(&rest);
    unsigned head;
    if (!file)
        g_string_append(c->out, "usage: record_screen FILE [SCREEN], record_screen stop\n");
    else if (!strcmp(file, "stop"))
        record_stop(c->machine, &err);
    else if (take_head(c, screen, &head))
        record_start(c->machine, head, file, &err);
    print_error(c, err);
}

static void command_display_add(MonitorCommand *c)
{
    g_autoptr(GError) err = NULL;
    if (!*c->arguments)
        g_string_append(c->out, "usage: display_add NAME[,KEY=VALUE]..., as for -display\n");
    else
        display_open(c->machine, c->arguments, &err);
    print_error(c, err);
}

static void command_display_del(MonitorCommand *c)
{
    g_autoptr(GError) err = NULL;
    display_close(c->machine, c->arguments, &err);
    print_error(c, err);
}

static void info_displays(MonitorCommand *c)
{
    const char *id;
    g_autoptr(GString) about = g_string_new(NULL);
    for (unsigned n = 0; display_nth(c->machine, n, &id, about); n++) {
        g_string_append_printf(c->out, "%s: %s\n", id, about->str);
        g_string_truncate(about, 0);
    }
    for (unsigned n = 0; console_nth(c->machine, n); n++) {
        const Surface *s = &console_nth(c->machine, n)->surface;
        g_string_append_printf(c->out, "screen %u: %u x %u\n", n, s->width, s->height);
    }
}

const CommandRow display_commands[] = {
    { .name = "display_add", .arguments = "NAME[,KEY=VALUE]...",
      .help = "open a window or another face, like -display", .run = command_display_add },
    { .name = "display_del", .arguments = "ID", .help = "close it ('info displays' lists them)",
      .run = command_display_del },
    { .name = "record_screen", .arguments = "FILE|stop [SCREEN]", .help = "make a film of the screen (AVI), or end it",
      .run = command_record, .completes = COMPLETE_FILE },
    { .name = "screendump", .arguments = "FILE [-f png|ppm] [SCREEN]",
      .help = "write the screen to a file: PNG if its name ends in .png, else PPM", .run = command_screendump,
      .completes = COMPLETE_FILE },
    { .name = NULL },
};

const CommandRow display_info[] = {
    { .name = "displays", .arguments = "", .help = "windows and other faces that are open, and screens",
      .run = info_displays },
    { .name = NULL },
};
