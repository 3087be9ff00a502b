/*
 * The thread of the editor of libedit (monitor_edit.h).
 *
 * libedit draws by terminfo, which keeps state of the whole process: one thread at a time is within libedit, like with
 * an interpreter's lock.  It is given up while a thread waits for a key or writes a long text.
 */
#include "config.h"
#ifdef CONFIG_LIBEDIT

#include "debugger/monitor/monitor_edit.h"

#include <histedit.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* What is the thread's own. */
typedef struct Line {
    Editor *e;
    EditLine *el;
    History *history;
    FILE *in, *out;
    bool color;
} Line;

static GMutex *libedit_lock(void)
{
    static GMutex lock; /* of the process, as terminfo's state is */
    return &lock;
}

static void libedit_enter(void) { g_mutex_lock(libedit_lock()); }
static void libedit_leave(void) { g_mutex_unlock(libedit_lock()); }

static Line *line_of(EditLine *el)
{
    Line *l;
    el_get(el, EL_CLIENTDATA, &l);
    return l;
}

/* ---- showing texts ---- */

static void write_text(Line *l, const char *text, gsize size)
{
    fwrite(text, 1, size, l->out);
    fflush(l->out);
}

static char *prompt(EditLine *el)
{
    static char plain[] = PROMPT " ";
    static char bold[] = "\1\033[1m\1" PROMPT "\1\033[0m\1 "; /* libedit writes a sequence with what follows it */
    return line_of(el)->color ? bold : plain;
}

static unsigned columns(const Line *l)
{
    struct winsize w;
    return ioctl(fileno(l->out), TIOCGWINSZ, &w) || !w.ws_col ? 80 : w.ws_col;
}

/*
 * To the beginning of the line that is typed, which may take several of the screen, and it is gone; or below what the
 * console has written in its place (away).
 */
static void wipe_line(Line *l, bool away)
{
    const LineInfoW *info = el_wline(l->el);
    unsigned row = (strlen(PROMPT " ") + (info->cursor - info->buffer)) / columns(l);
    if (l->e->dumb || away)
        fputs("\n", l->out);
    else if (row)
        fprintf(l->out, "\033[%uA\r\033[J", row);
    else
        fputs("\r\033[J", l->out);
}

/* With the editor's lock, which is given up: shows what there is to be shown. */
static void show_output(Line *l)
{
    Editor *e = l->e;
    g_autoptr(GString) text = e->output;
    e->output = g_string_new(NULL);
    g_mutex_unlock(&e->lock);
    write_text(l, text->str, text->len);
    g_mutex_lock(&e->lock);
}

/* The same above the line that is typed. */
static void show_output_above(Line *l)
{
    Editor *e = l->e;
    bool visible = !e->hidden;
    if (visible)
        wipe_line(l, e->redraw);
    e->redraw = false;
    if (e->output->len)
        show_output(l);
    g_mutex_unlock(&e->lock);
    libedit_enter();
    if (visible)
        el_set(l->el, EL_REFRESH);
    libedit_leave();
    g_mutex_lock(&e->lock);
}

/* ---- keys ---- */

/* The next character of the keys, if it is whole; what is none is passed over. */
static bool take_character(Editor *e, wchar_t *out)
{
    while (e->keys->len) {
        gunichar c = g_utf8_get_char_validated((const char *)e->keys->data, e->keys->len);
        if (c == (gunichar)-2 && e->keys->len < 6)
            return false;
        bool valid = c != (gunichar)-1 && c != (gunichar)-2;
        g_byte_array_remove_range(e->keys, 0, valid ? (guint)g_unichar_to_utf8(c, NULL) : 1);
        if (!valid)
            continue;
        *out = c;
        return true;
    }
    return false;
}

static void ask(Editor *e, EditRequest *r)
{
    g_queue_push_tail(&e->asked, r);
    g_source_set_ready_time(e->requests, 0);
}

static void ask_for(Editor *e, EditRequestKind kind, const char *text)
{
    EditRequest *r = g_new0(EditRequest, 1);
    r->kind = kind;
    r->text = g_strdup(text);
    ask(e, r);
}

/* With the editor's lock. */
static void ask_for_keys(Editor *e)
{
    if (e->full && !e->quit)
        ask_for(e, EDIT_MORE_KEYS, NULL);
    e->full = false;
}

static void resize(Line *l)
{
    Editor *e = l->e;
    e->resized = false;
    g_mutex_unlock(&e->lock);
    libedit_enter();
    el_resize(l->el);
    libedit_leave();
    g_mutex_lock(&e->lock);
}

/* libedit's reading of a character; 0: the end. */
static int read_character(EditLine *el, wchar_t *out)
{
    Line *l = line_of(el);
    Editor *e = l->e;
    bool got = false;
    libedit_leave();
    g_mutex_lock(&e->lock);
    while (!e->quit && !(got = take_character(e, out))) {
        ask_for_keys(e);
        if (e->resized)
            resize(l);
        else if (e->output->len || e->redraw)
            show_output_above(l);
        else
            g_cond_wait(&e->changed, &e->lock);
    }
    if (e->quit)
        wipe_line(l, false);
    g_mutex_unlock(&e->lock);
    libedit_enter();
    return got;
}

/* ---- keys with a meaning of ours ---- */

static void clear_line(EditLine *el)
{
    const LineInfoW *info = el_wline(el);
    el_cursor(el, info->lastchar - info->cursor);
    info = el_wline(el);
    el_deletestr(el, info->lastchar - info->buffer);
}

/* Ctrl-C */
static unsigned char on_interrupt(EditLine *el, int key)
{
    Line *l = line_of(el);
    const LineInfoW *info = el_wline(el);
    (void)key;
    if (info->lastchar > info->buffer) {
        fputs("^C\n", l->out);
        clear_line(el);
        return CC_REDISPLAY;
    }
    g_mutex_lock(&l->e->lock);
    if (!l->e->quit)
        ask_for(l->e, EDIT_INTERRUPT, NULL);
    g_mutex_unlock(&l->e->lock);
    return CC_NORM;
}

/* Ctrl-D: libedit's own would end the input on an empty line. */
static unsigned char on_delete(EditLine *el, int key)
{
    const LineInfoW *info = el_wline(el);
    (void)key;
    if (info->cursor == info->lastchar)
        return CC_NORM;
    el_cursor(el, 1);
    el_deletestr(el, 1);
    return CC_REFRESH;
}

/* Has the main loop find the names; NULL: all ends.  Without libedit's lock. */
static GPtrArray *find_names(Editor *e, const char *text, gsize *start)
{
    EditRequest r = { .kind = EDIT_COMPLETE, .text = (char *)text };
    g_mutex_lock(&e->lock);
    if (!e->quit)
        ask(e, &r);
    while (!r.answered && !e->quit)
        g_cond_wait(&e->changed, &e->lock);
    g_mutex_unlock(&e->lock);
    *start = r.start;
    return r.names;
}

static void print_names(Line *l, const GPtrArray *names)
{
    unsigned width = 0, per_line;
    for (guint k = 0; k < names->len; k++)
        width = MAX(width, (unsigned)g_utf8_strlen(names->pdata[k], -1) + 2);
    per_line = MAX(columns(l) / width, 1u);
    for (guint k = 0; k < names->len; k++)
        fprintf(l->out, "%s%-*s", k % per_line ? "" : "\n", (k + 1) % per_line && k + 1 < names->len ? (int)width : 0,
                (const char *)names->pdata[k]);
    fputs("\n", l->out);
}

/* Puts what all names begin with for the word, or lists them. */
static unsigned char apply_names(Line *l, const char *typed, const GPtrArray *names)
{
    g_autofree char *common = command_common_prefix(names);
    if (strlen(common) > strlen(typed) && g_str_has_prefix(common, typed)) {
        el_insertstr(l->el, common + strlen(typed));
        return CC_REFRESH;
    }
    if (names->len == 1 && strcmp(common, typed)) { /* quotes come around it */
        el_deletestr(l->el, g_utf8_strlen(typed, -1));
        el_insertstr(l->el, common);
        return CC_REFRESH;
    }
    if (names->len < 2)
        return CC_NORM;
    print_names(l, names);
    return CC_REDISPLAY;
}

/* Tab */
static unsigned char on_tab(EditLine *el, int key)
{
    Line *l = line_of(el);
    const LineInfo *info = el_line(el);
    g_autofree char *text = g_strndup(info->buffer, info->cursor - info->buffer);
    gsize start;
    (void)key;
    libedit_leave();
    g_autoptr(GPtrArray) names = find_names(l->e, text, &start);
    libedit_enter();
    return names && names->len ? apply_names(l, text + start, names) : CC_NORM;
}

/* ---- the thread ---- */

static void set_up_keys(EditLine *el)
{
    el_set(el, EL_EDITOR, "emacs");
    /* Wide ones: of the others libedit makes copies, and never frees them. */
    el_wset(el, EL_ADDFN, L"myna-interrupt", L"clear the line or stop the machine", on_interrupt);
    el_wset(el, EL_ADDFN, L"myna-delete", L"delete the character under the cursor", on_delete);
    el_wset(el, EL_ADDFN, L"myna-complete", L"complete the word", on_tab);
    el_set(el, EL_BIND, "^C", "myna-interrupt", NULL);
    el_set(el, EL_BIND, "^D", "myna-delete", NULL);
    el_set(el, EL_BIND, "^I", "myna-complete", NULL);
    el_set(el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_set(el, EL_BIND, "^S", "em-inc-search-next", NULL);
    el_set(el, EL_BIND, "\\e[3~", "myna-delete", NULL);
    el_set(el, EL_BIND, "\\e[1;5C", "em-next-word", NULL);
    el_set(el, EL_BIND, "\\e[1;5D", "ed-prev-word", NULL);
    el_set(el, EL_BIND, "\\ex", "ed-unassigned", NULL); /* libedit's own commands */
}

static void remember(Line *l, const char *line)
{
    HistEvent ev;
    if (line[strspn(line, " \t")])
        history(l->history, &ev, H_ENTER, line);
}

static void set_up(Line *l)
{
    Editor *e = l->e;
    HistEvent ev;
    l->in = fdopen(e->slave[0], "r");
    l->out = fdopen(e->slave[1], "w");
    l->el = el_init("myna", l->in, l->out, l->out);
    l->history = history_init();
    history(l->history, &ev, H_SETSIZE, 1000);
    history(l->history, &ev, H_SETUNIQUE, 1);
    if (e->terminal)
        el_set(l->el, EL_TERMINAL, e->terminal);
    el_set(l->el, EL_CLIENTDATA, l);
    el_set(l->el, EL_SIGNAL, 0);
    el_set(l->el, EL_PROMPT_ESC, prompt, '\1');
    el_set(l->el, EL_GETCFN, read_character);
    el_set(l->el, EL_HIST, history, l->history);
    set_up_keys(l->el);
    for (guint k = 0; k < e->history->len; k++)
        remember(l, e->history->pdata[k]);
}

static void tear_down(Line *l)
{
    el_end(l->el);
    history_end(l->history);
    fclose(l->out);
    fclose(l->in);
}

/* Shows what commands print until a line is wanted; false: all ends. */
static bool wait_until_ready(Line *l)
{
    Editor *e = l->e;
    g_mutex_lock(&e->lock);
    while (e->output->len || (!e->quit && !e->ready)) {
        if (e->output->len)
            show_output(l);
        else
            g_cond_wait(&e->changed, &e->lock);
    }
    bool ready = !e->quit;
    l->color = e->color;
    e->redraw = false;
    g_mutex_unlock(&e->lock);
    return ready;
}

static void read_line(Line *l)
{
    Editor *e = l->e;
    int size;
    libedit_enter();
    const char *text = el_gets(l->el, &size);
    g_autofree char *line = text && size > 0 ? g_strchomp(g_strdup(text)) : NULL;
    if (line)
        remember(l, line);
    libedit_leave();
    if (!line)
        return;
    g_mutex_lock(&e->lock);
    e->ready = false;
    if (!e->quit)
        ask_for(e, EDIT_LINE, line);
    g_mutex_unlock(&e->lock);
}

/* Signals are the main loop's; characters are UTF-8 here, whatever the process has. */
static locale_t set_up_thread(void)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (!utf8)
        utf8 = newlocale(LC_CTYPE_MASK, "en_US.UTF-8", (locale_t)0);
    if (utf8)
        uselocale(utf8);
    return utf8;
}

void *libedit_thread(void *editor)
{
    Line l = { .e = editor };
    locale_t locale = set_up_thread();
    libedit_enter();
    set_up(&l);
    libedit_leave();
    while (wait_until_ready(&l))
        read_line(&l);
    libedit_enter();
    tear_down(&l);
    libedit_leave();
    uselocale(LC_GLOBAL_LOCALE);
    if (locale)
        freelocale(locale);
    return NULL;
}

#endif
