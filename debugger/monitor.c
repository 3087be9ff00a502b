/* The monitor's line: prompt, echo, erasing, history (monitor.h). */
#include "debugger/monitor.h"

#include <string.h>

#include "debugger/command.h"

#define PROMPT "(myna) "
#define LINE_MAX_SIZE 1024
#define HISTORY_MAX 100

struct Monitor {
    Machine *machine;
    CharBackend *c;
    GString *line;
    GPtrArray *history;  /* of char *, oldest first */
    unsigned recalled;   /* index into history while walking it; its length: the new line */
    unsigned escape;     /* characters seen of an ESC [ sequence */
    bool greeted;
};

static void print(Monitor *mon, const char *text) { char_write(mon->c, text, strlen(text)); }

/* Terminals in raw mode need the carriage return. */
static void print_output(Monitor *mon, const GString *out)
{
    g_auto(GStrv) lines = g_strsplit(out->str, "\n", -1);
    for (char **l = lines; *l; l++) {
        print(mon, *l);
        if (l[1])
            print(mon, "\r\n");
    }
}

static void prompt(Monitor *mon) { print(mon, PROMPT); }

static void greet(Monitor *mon)
{
    if (mon->greeted)
        return;
    mon->greeted = true;
    print(mon, "Myna monitor: 'help' lists the commands\r\n");
    prompt(mon);
}

static void remember(Monitor *mon)
{
    if (mon->line->len)
        g_ptr_array_add(mon->history, g_strdup(mon->line->str));
    if (mon->history->len > HISTORY_MAX)
        g_ptr_array_remove_index(mon->history, 0);
    mon->recalled = mon->history->len;
}

static void finish_line(Monitor *mon)
{
    g_autoptr(GString) out = g_string_new(NULL);
    print(mon, "\r\n");
    remember(mon);
    command_execute(mon->machine, mon, mon->line->str, out);
    g_string_truncate(mon->line, 0);
    print_output(mon, out);
    prompt(mon);
}

static void replace_line(Monitor *mon, const char *text)
{
    print(mon, "\r" PROMPT);
    print(mon, text);
    print(mon, "\033[K");
    g_string_assign(mon->line, text);
}

/* Arrow keys: ESC [ A and ESC [ B. */
static void walk_history(Monitor *mon, int step)
{
    unsigned to = mon->recalled + step;
    if (to > mon->history->len)
        return;
    mon->recalled = to;
    replace_line(mon, to == mon->history->len ? "" : g_ptr_array_index(mon->history, to));
}

static void take_escape(Monitor *mon, uint8_t ch)
{
    if (mon->escape == 1) {
        mon->escape = ch == '[' ? 2 : 0;
        return;
    }
    mon->escape = 0;
    if (ch == 'A')
        walk_history(mon, -1);
    else if (ch == 'B')
        walk_history(mon, 1);
}

static void erase_last(Monitor *mon)
{
    if (!mon->line->len)
        return;
    g_string_truncate(mon->line, mon->line->len - 1);
    print(mon, "\b \b");
}

static void take_character(Monitor *mon, uint8_t ch)
{
    if (mon->escape) {
        take_escape(mon, ch);
        return;
    }
    switch (ch) {
    case '\r':
    case '\n': finish_line(mon); break;
    case 0x7f:
    case '\b': erase_last(mon); break;
    case 0x15: replace_line(mon, ""); break; /* Ctrl-U */
    case 0x1b: mon->escape = 1; break;
    default:
        if (ch >= ' ' && mon->line->len < LINE_MAX_SIZE) {
            g_string_append_c(mon->line, ch);
            char_write(mon->c, &ch, 1);
        }
    }
}

static unsigned can_receive(void *opaque)
{
    (void)opaque;
    return 64;
}

static void receive(void *opaque, const uint8_t *data, unsigned size)
{
    greet(opaque);
    for (unsigned k = 0; k < size; k++)
        take_character(opaque, data[k]);
}

static void event(void *opaque, int what)
{
    if (what == CHAR_OPENED)
        greet(opaque);
}

static void monitor_free(void *opaque)
{
    Monitor *mon = opaque;
    g_string_free(mon->line, TRUE);
    g_ptr_array_free(mon->history, TRUE);
    g_free(mon);
}

void monitor_free_all(Machine *m)
{
    GPtrArray *all = machine_find(m, "monitors");
    if (all)
        g_ptr_array_free(all, TRUE);
    machine_provide(m, "monitors", NULL);
}

void monitor_attach(Machine *m, CharBackend *c)
{
    static const CharFrontend frontend = { .can_receive = can_receive, .receive = receive, .event = event };
    GPtrArray *all = machine_find(m, "monitors");
    Monitor *mon = g_new0(Monitor, 1);
    if (!all)
        machine_provide(m, "monitors", all = g_ptr_array_new_with_free_func(monitor_free));
    mon->machine = m;
    mon->c = c;
    mon->line = g_string_new(NULL);
    mon->history = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(all, mon);
    char_connect(c, &frontend, mon);
}
