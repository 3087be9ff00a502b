/*
 * The face "curses": the text screen in the terminal that Myna was started from (X/Open Curses, by ncursesw).
 *
 * A screen of the guest that is larger than the terminal is shown around its cursor.  Graphics are named only: a
 * terminal has no dots.  Keys are in curses_keys.c.
 */
#include "config.h"

#ifdef CONFIG_CURSES
#include <errno.h>
#include <glib-unix.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "core/error.h"
#include "core/log.h"
#include "core/options.h"
#include "ui/cp437.h"
#include "ui/curses_internal.h"
#include "ui/ui.h"

enum { CELLS_MAX = 256 * 128, COLOURS = 16 };

/* ---- colours ---- */

/* The PC's order of red and blue is the other way round. */
static int colour_of(unsigned pc)
{
    unsigned swapped = (pc & 2) | (pc & 1) << 2 | (pc >> 2 & 1);
    return COLORS >= COLOURS ? swapped | (pc & 8) : swapped;
}

/* Pair 0 is the terminal's own; pairs are made where there is room for all of them. */
static void colours_start(Curses *c)
{
    c->bright = has_colors() && COLORS >= COLOURS && COLOR_PAIRS > COLOURS * COLOURS;
    c->colours = has_colors() && COLOR_PAIRS >= 64;
    unsigned count = c->bright ? COLOURS : 8;
    if (!c->colours)
        return;
    for (unsigned n = 1; n < count * count; n++)
        init_pair(n, colour_of(n % count), colour_of(n / count));
    c->pair_zero = count * count < (unsigned)COLOR_PAIRS ? (int)(count * count) : 0;
    if (c->pair_zero)
        init_pair(c->pair_zero, COLOR_BLACK, COLOR_BLACK);
}

/* Low four bits: the character's colour, then its background's.  Eight colours: bold makes a bright one. */
static void attribute_of(const Curses *c, unsigned attribute, attr_t *attr, short *pair)
{
    unsigned count = c->bright ? COLOURS : 8, front = attribute & 15, back = attribute >> 4;
    *attr = !c->bright && front & 8 ? A_BOLD : A_NORMAL;
    *pair = !c->colours ? 0 : (back % count) * count + front % count;
    if (c->colours && !*pair)
        *pair = c->pair_zero;
    if (!c->colours && back & 7)
        *attr |= A_REVERSE;
}

/* ---- drawing ---- */

static void draw_cell(const Curses *c, int y, int x, unsigned cell)
{
    wchar_t text[2] = { cp437_unicode[cell & 0xff], 0 };
    cchar_t shown;
    attr_t attr;
    short pair;
    attribute_of(c, cell >> 8 & 0xff, &attr, &pair);
    setcchar(&shown, text, attr, pair, NULL);
    mvadd_wch(y, x, &shown);
}

/* The first line or column that is shown of `all`, so that `at` is among the `room` that there are. */
static int shown_from(int at, int all, int room)
{
    return all <= room ? 0 : CLAMP(at - room + 1, 0, all - room);
}

static void draw_text(Curses *c, unsigned columns, unsigned rows, int cursor)
{
    int line = cursor < 0 ? 0 : cursor / (int)columns, column = cursor < 0 ? 0 : cursor % (int)columns;
    int top = shown_from(line, rows, LINES), left = shown_from(column, columns, COLS);
    erase();
    for (int y = 0; y < MIN(LINES, (int)rows); y++)
        for (int x = 0; x < MIN(COLS, (int)columns); x++)
            draw_cell(c, y, x, c->cells[(top + y) * columns + left + x]);
    bool seen = cursor >= 0 && line < (int)rows && line - top < LINES;
    curs_set(seen);
    if (seen)
        move(line - top, column - left);
}

static void draw_note(const char *note)
{
    erase();
    curs_set(0);
    mvaddstr(LINES / 2, MAX((COLS - (int)strlen(note)) / 2, 0), note);
}

/* Over the last line. */
static void draw_help(const Curses *c)
{
    static const char text[] =
        " Ctrl-A: x ends Myna, h help, d Ctrl-Alt-Del, r redraws, 1..9 Ctrl-Alt-F1.., Ctrl-A itself ";
    if (!c->prefix && !c->help)
        return;
    attron(A_REVERSE);
    mvaddnstr(LINES - 1, 0, text, COLS - 1);
    attroff(A_REVERSE);
}

void curses_draw(Curses *c)
{
    unsigned columns, rows;
    Console *console = view_console(c->view);
    if (!console) {
        draw_note("this machine has no screen");
    } else if (!console_text(console, &columns, &rows, c->cells, CELLS_MAX) || !columns ||
               columns * rows > CELLS_MAX) {
        g_autofree char *note = g_strdup_printf("%ux%u graphics", console->surface.width, console->surface.height);
        draw_note(note);
    } else {
        draw_text(c, columns, rows, console_text_cursor(console));
    }
    draw_help(c);
    refresh();
}

static void on_done(void *opaque) { curses_draw(opaque); }

static const ViewOps view_ops = { .done = on_done };

/* ---- the terminal ---- */

static gboolean terminal_readable(gint fd, GIOCondition condition, gpointer data)
{
    Curses *c = data;
    (void)fd;
    machine_lock(c->machine);
    bool gone = condition & (G_IO_HUP | G_IO_ERR);
    if (gone)
        machine_quit(c->machine, 0); /* nobody sits there any more */
    else
        curses_keys(c);
    machine_unlock(c->machine);
    return !gone;
}

static gboolean terminal_resized(gpointer data)
{
    Curses *c = data;
    struct winsize size;
    machine_lock(c->machine);
    if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row && size.ws_col) {
        resizeterm(size.ws_row, size.ws_col);
        clearok(stdscr, TRUE);
        curses_draw(c);
    }
    machine_unlock(c->machine);
    return G_SOURCE_CONTINUE;
}

static GSource *watch(Curses *c, GSource *s, GSourceFunc callback)
{
    g_source_set_callback(s, callback, c, NULL);
    g_source_attach(s, c->machine->context);
    return s;
}

static void terminal_start(Curses *c)
{
    raw();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(25);
    start_color();
    colours_start(c);
    c->keys = watch(c, g_unix_fd_source_new(STDIN_FILENO, G_IO_IN | G_IO_HUP | G_IO_ERR),
                    G_SOURCE_FUNC(terminal_readable));
    c->resized = watch(c, g_unix_signal_source_new(SIGWINCH), terminal_resized);
}

/* Raw already: a serial port or monitor is there. */
static bool terminal_taken(void)
{
    struct termios t;
    return !tcgetattr(STDIN_FILENO, &t) && !(t.c_lflag & ICANON);
}

static void curses_close(void *opaque)
{
    Curses *c = opaque;
    view_free(c->view);
    g_source_destroy(c->keys);
    g_source_unref(c->keys);
    g_source_destroy(c->resized);
    g_source_unref(c->resized);
    endwin();
    delscreen(c->screen);
    g_free(c->cells);
    g_free(c);
}

static const OptionField fields[] = {
    OPTION_FIELD(Curses, head, "head", OPTION_UNSIGNED), OPTION_FIELD_IGNORED("charset"), OPTION_FIELD_END,
};

static void *curses_open(Machine *m, const char *options, GError **err)
{
    g_autofree Curses *c = g_new0(Curses, 1);
    c->machine = m;
    if (!option_fields_parse("-display curses", options, "head", fields, c, err))
        return NULL;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        error_set(err, "-display curses: standard input and output are no terminal");
        return NULL;
    }
    if (terminal_taken()) {
        error_set(err, "-display curses: the terminal is in use by a serial port or monitor: give these another place "
                  "(-serial none, -monitor unix:PATH,server=on,wait=off)");
        return NULL;
    }
    setlocale(LC_CTYPE, "");
    c->screen = newterm(NULL, stdout, stdin);
    if (!c->screen) {
        error_set(err, "-display curses: nothing is known about a terminal of type '%s' ($TERM)", g_getenv("TERM"));
        return NULL;
    }
    terminal_start(c);
    c->cells = g_new0(uint16_t, CELLS_MAX);
    c->view = view_new(m, c->head, &view_ops, c);
    return g_steal_pointer(&c);
}

const DisplayType curses_display = {
    .name = "curses", .help = "the text screen in this terminal (Ctrl-A h: help)",
    .open = curses_open, .close = curses_close,
};
#endif
