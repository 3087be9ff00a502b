/* Holding long output after each screenful (monitor_parts.h). */
#include <string.h>

#include "debugger/monitor/monitor_parts.h"

#define MORE "-- more --"

static void show(Monitor *mon, const char *text, gsize size) { mon->kind->show(mon->editor, text, size); }

/* Lines of the screen that a line of `size` bytes takes; escape sequences and UTF-8 make it less. */
static unsigned screen_lines(gsize size, unsigned columns) { return size ? (size + columns - 1) / columns : 1; }

/* Bytes of text that fit on what is left of the screen, by whole lines; at least one line. */
static gsize fitting(Pager *p, const char *text, gsize size, unsigned rows, unsigned columns)
{
    gsize at = 0;
    while (at < size) {
        const char *end = memchr(text + at, '\n', size - at);
        gsize line = end ? (gsize)(end - text) - at : size - at;
        unsigned more = screen_lines(line, columns);
        if (at && p->shown + more >= rows)
            break;
        p->shown += more;
        at += line + (end != NULL);
    }
    return at;
}

void pager_show(Monitor *mon, const char *text, gsize size)
{
    Pager *p = &mon->pager;
    unsigned rows, columns;
    if (p->rest) {
        g_string_append_len(p->rest, text, size);
        return;
    }
    gsize fits = p->off || !char_terminal_size(mon->c, &rows, &columns) ? size : fitting(p, text, size, rows, columns);
    show(mon, text, fits);
    if (fits == size)
        return;
    p->rest = g_string_new_len(text + fits, size - fits);
    show(mon, MORE, strlen(MORE));
}

/* Shows up to so many lines more. */
static void go_on(Monitor *mon, unsigned lines)
{
    Pager *p = &mon->pager;
    unsigned rows, columns;
    g_autoptr(GString) rest = g_steal_pointer(&p->rest);
    p->shown = char_terminal_size(mon->c, &rows, &columns) && lines < rows ? rows - lines - 1 : 0;
    pager_show(mon, rest->str, rest->len);
}

void pager_key(Monitor *mon, uint8_t key)
{
    static const char erase[] = "\r          \r";
    if (!key || !strchr(" \r\nqQ\003", key))
        return;
    show(mon, erase, strlen(erase));
    if (key == ' ')
        go_on(mon, UINT_MAX);
    else if (key == '\r' || key == '\n')
        go_on(mon, 1);
    else
        pager_clear(&mon->pager);
}

void pager_clear(Pager *p)
{
    if (p->rest)
        g_string_free(p->rest, TRUE);
    p->rest = NULL;
    p->shown = 0;
}
