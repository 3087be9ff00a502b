/*
 * The plain line editor (monitor_parts.h): echo, backspace, Ctrl-U, Ctrl-C; the arrows and Tab where there is no
 * libedit.  It runs in the main loop's thread.
 */
#include <string.h>

#include "debugger/monitor/monitor_parts.h"

struct Editor {
    Monitor *mon;
    const char *newline;
    GString *line;
    GByteArray *ahead;   /* typed while a command runs */
    bool ready;          /* a prompt stands there */
    bool taking;         /* within take_ahead() */
    bool hidden;
    bool after_return;   /* "\r\n" is one end of a line */
    bool ended;          /* the monitor let go of it while it was taking keys */
#ifndef CONFIG_LIBEDIT
    unsigned recalled;   /* index into the history while walking it; its length: the new line */
    unsigned escape;     /* characters seen of an ESC [ sequence */
#endif
};

static void put(Editor *e, const char *text) { monitor_write(e->mon, text, strlen(text)); }

static void put_lines(Editor *e, const char *text, gsize size)
{
    const char *end;
    for (; (end = memchr(text, '\n', size)); text = end + 1) {
        monitor_write(e->mon, text, end - text);
        put(e, e->newline);
        size -= end + 1 - text;
    }
    monitor_write(e->mon, text, size);
}

static void put_prompt(Editor *e)
{
    put(e, PROMPT " ");
    put(e, e->line->str);
}

static void plain_show(Editor *e, const char *text, gsize size)
{
    bool above = e->ready && !e->hidden;
    if (above)
        put(e, e->newline);
    put_lines(e, text, size);
    if (above)
        put_prompt(e);
}

static void finish_line(Editor *e)
{
    g_autofree char *line = g_strdup(e->line->str);
    g_string_truncate(e->line, 0);
    put(e, e->newline);
    e->ready = false;
#ifndef CONFIG_LIBEDIT
    e->recalled = UINT_MAX;
#endif
    monitor_take_line(e->mon, line);
}

static void interrupt(Editor *e)
{
    bool typed = e->line->len;
    g_string_truncate(e->line, 0);
    if (!typed) {
        monitor_interrupt(e->mon);
        return;
    }
    put(e, "^C");
    put(e, e->newline);
    put_prompt(e);
}

static void erase_last(Editor *e)
{
    if (!e->line->len)
        return;
    gsize n = e->line->len - 1;
    while (n && (e->line->str[n] & 0xc0) == 0x80) /* UTF-8 */
        n--;
    g_string_truncate(e->line, n);
    put(e, "\b \b");
}

static void erase_all(Editor *e)
{
    while (e->line->len)
        erase_last(e);
}

#ifdef CONFIG_LIBEDIT

/* What was typed and not run goes to the other editor, which is for people; it prints the line anew. */
static void take_other_key(Editor *e, uint8_t key)
{
    g_autoptr(GString) typed = g_string_new_len(e->line->str, e->line->len);
    g_string_append_c(typed, key);
    g_string_append_len(typed, (const char *)e->ahead->data, e->ahead->len);
    put(e, "\r");
    monitor_edit(e->mon, typed);
}

static bool take_sequence(Editor *e, uint8_t key)
{
    (void)e, (void)key;
    return false;
}

#else

static void insert(Editor *e, const char *text)
{
    g_string_append(e->line, text);
    put(e, text);
}

/* Arrow keys: ESC [ A and ESC [ B. */
static void walk_history(Editor *e, int step)
{
    const GPtrArray *lines = e->mon->history.lines;
    unsigned to = MIN(e->recalled, lines->len) + step;
    if (to > lines->len)
        return;
    e->recalled = to;
    erase_all(e);
    insert(e, to == lines->len ? "" : lines->pdata[to]);
}

static bool take_sequence(Editor *e, uint8_t key)
{
    if (!e->escape)
        return false;
    if (e->escape == 1) {
        e->escape = key == '[' ? 2 : 0;
        return true;
    }
    e->escape = 0;
    if (key == 'A' || key == 'B')
        walk_history(e, key == 'A' ? -1 : 1);
    return true;
}

static void complete(Editor *e)
{
    gsize start;
    g_autoptr(GPtrArray) all = command_complete(e->mon->machine, e->line->str, &start);
    g_autofree char *common = command_common_prefix(all);
    if (strlen(common) > e->line->len - start) {
        insert(e, common + e->line->len - start);
    } else if (all->len > 1) {
        put(e, e->newline);
        for (guint k = 0; k < all->len; k++) {
            put(e, all->pdata[k]);
            put(e, k + 1 < all->len ? "  " : e->newline);
        }
        put_prompt(e);
    }
}

static void take_other_key(Editor *e, uint8_t key)
{
    if (key == KEY_ESCAPE)
        e->escape = 1;
    else if (key == KEY_TAB)
        complete(e);
}

#endif

static void take_text(Editor *e, uint8_t key)
{
    if (e->line->len >= LINE_MAX_SIZE)
        return;
    g_string_append_c(e->line, key);
    monitor_write(e->mon, (const char *)&key, 1);
}

static void take_key(Editor *e, uint8_t key)
{
    bool second_half = key == '\n' && e->after_return;
    e->after_return = key == '\r';
    if (take_sequence(e, key) || second_half)
        return;
    switch (key) {
    case '\r':
    case '\n': finish_line(e); break;
    case KEY_DELETE:
    case '\b': erase_last(e); break;
    case KEY_CTRL_C: interrupt(e); break;
    case KEY_CTRL_U: erase_all(e); break;
    case 0:
    case 4: break; /* Ctrl-D */
    default:
        if (key >= ' ')
            take_text(e, key);
        else
            take_other_key(e, key);
    }
}

static void editor_free(Editor *e)
{
    g_string_free(e->line, TRUE);
    g_byte_array_free(e->ahead, TRUE);
    g_free(e);
}

/* A line may be run meanwhile, and end the editor. */
static void take_ahead(Editor *e)
{
    if (e->taking)
        return;
    e->taking = true;
    while (e->ready && e->ahead->len && !e->ended) {
        uint8_t key = e->ahead->data[0];
        g_byte_array_remove_index(e->ahead, 0);
        take_key(e, key);
    }
    e->taking = false;
    if (e->ended)
        editor_free(e);
}

static void plain_receive(Editor *e, const uint8_t *data, unsigned size)
{
    g_byte_array_append(e->ahead, data, size);
    take_ahead(e);
}

static unsigned plain_room(Editor *e) { return LINE_MAX_SIZE - MIN(e->ahead->len, LINE_MAX_SIZE); }

static void plain_ready(Editor *e)
{
    e->ready = true;
    put_prompt(e);
    take_ahead(e);
}

static void plain_forget(Editor *e) { g_byte_array_set_size(e->ahead, 0); }

static void plain_hide(Editor *e, bool hidden)
{
    e->hidden = hidden;
    if (hidden || !e->ready)
        return;
    put(e, e->newline);
    put_prompt(e);
}

static void plain_end(Editor *e, bool gone)
{
    (void)gone;
    e->ended = true;
    if (!e->taking)
        editor_free(e);
}

static Editor *plain_make(Monitor *mon)
{
    Editor *e = g_new0(Editor, 1);
    e->mon = mon;
    e->newline = char_is_stream(mon->c) ? "\n" : "\r\n";
    e->line = g_string_new(NULL);
    e->ahead = g_byte_array_new();
#ifndef CONFIG_LIBEDIT
    e->recalled = UINT_MAX;
#endif
    return e;
}

const EditorKind plain_editor = {
    .make = plain_make, .receive = plain_receive, .room = plain_room, .show = plain_show, .ready = plain_ready,
    .forget = plain_forget, .hide = plain_hide, .end = plain_end,
};
