/* The main loop's half of the editor of libedit (monitor_edit.h). */
#include "config.h"
#ifdef CONFIG_LIBEDIT

#include "debugger/monitor/monitor_edit.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define KEYS_MAX 65536
#define SLOT "libedit-editors"   /* GPtrArray of Editor *, those that have ended too, until their threads have */

/* ---- the pseudo terminal ---- */

static void set_size(int fd, unsigned rows, unsigned columns)
{
    struct winsize w = { .ws_row = rows, .ws_col = columns };
    ioctl(fd, TIOCSWINSZ, &w);
}

/* Takes over the size of the terminal outside; whether it is another than before. */
static bool follow_size(Editor *e)
{
    struct winsize w;
    unsigned rows, columns;
    if (!e->mon || !char_terminal_size(e->mon->c, &rows, &columns) || ioctl(e->master, TIOCGWINSZ, &w) ||
        (w.ws_row == rows && w.ws_col == columns))
        return false;
    set_size(e->master, rows, columns);
    return true;
}

/* Lines end in "\r\n"; nothing is echoed but by libedit. */
static void set_modes(int fd)
{
    struct termios t;
    if (tcgetattr(fd, &t))
        return;
    t.c_oflag |= OPOST | ONLCR;
    t.c_lflag &= ~(ECHO | ECHONL | ISIG);
    tcsetattr(fd, TCSANOW, &t);
}

static bool open_terminal(Editor *e)
{
    e->slave[0] = e->slave[1] = -1;
    e->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    const char *name = e->master >= 0 && !grantpt(e->master) && !unlockpt(e->master) ? ptsname(e->master) : NULL;
    if (name)
        e->slave[0] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (e->slave[0] < 0 || (e->slave[1] = fcntl(e->slave[0], F_DUPFD_CLOEXEC, 0)) < 0)
        return false;
    set_modes(e->slave[0]);
    set_size(e->master, 24, 80);
    follow_size(e);
    fcntl(e->master, F_SETFL, O_RDWR | O_NONBLOCK);
    return true;
}

/* ---- life ---- */

static void source_end(GSource **s)
{
    if (!*s)
        return;
    g_source_destroy(*s);
    g_source_unref(*s);
    *s = NULL;
}

static void request_free(EditRequest *r)
{
    g_free(r->text);
    g_free(r);
}

/* Drops what the thread asked for; whom it waits for itself, it frees. */
static void requests_clear(Editor *e)
{
    EditRequest *r;
    while ((r = g_queue_pop_head(&e->asked)))
        if (r->kind != EDIT_COMPLETE)
            request_free(r);
}

static void editor_free(Editor *e)
{
    source_end(&e->pump);
    source_end(&e->requests);
    if (e->thread)
        g_thread_join(e->thread);
    if (e->master >= 0)
        close(e->master);
    requests_clear(e);
    g_ptr_array_unref(e->history);
    g_byte_array_unref(e->keys);
    g_string_free(e->output, TRUE);
    g_mutex_clear(&e->lock);
    g_cond_clear(&e->changed);
    g_free(e);
}

/* ---- output ---- */

/* Copies what there is; false at the end: the thread has closed its side. */
static bool pump(Editor *e)
{
    char buf[4096];
    ssize_t n = read(e->master, buf, sizeof buf);
    if (n > 0 && e->c)
        char_write(e->c, buf, n);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static gboolean on_output(gint fd, GIOCondition condition, gpointer data)
{
    Editor *e = data;
    Machine *m = e->machine;
    (void)fd, (void)condition;
    machine_lock(m);
    if (!pump(e))
        g_ptr_array_remove(machine_find(m, SLOT), e);
    machine_unlock(m);
    return G_SOURCE_CONTINUE; /* its end destroyed the source */
}

/* ---- requests ---- */

static EditRequest *take_request(Editor *e)
{
    g_mutex_lock(&e->lock);
    EditRequest *r = g_queue_pop_head(&e->asked);
    g_mutex_unlock(&e->lock);
    return r;
}

static void answer_completion(Editor *e, EditRequest *r)
{
    GPtrArray *names = command_complete(e->machine, r->text, &r->start);
    g_mutex_lock(&e->lock);
    r->names = names;
    r->answered = true;
    g_cond_broadcast(&e->changed);
    g_mutex_unlock(&e->lock);
}

/* Whether Ctrl-C was typed ahead of what runs now. */
static bool keys_break(Editor *e)
{
    g_mutex_lock(&e->lock);
    bool found = e->keys->len && memchr(e->keys->data, KEY_CTRL_C, e->keys->len);
    g_mutex_unlock(&e->lock);
    return found;
}

static void serve_line(Editor *e, const char *line)
{
    monitor_take_line(e->mon, line);
    if (e->mon && e->mon->busy && keys_break(e))
        monitor_break(e->mon);
}

static void serve(Editor *e, EditRequest *r)
{
    switch (r->kind) {
    case EDIT_LINE: serve_line(e, r->text); break;
    case EDIT_INTERRUPT: monitor_interrupt(e->mon); break;
    case EDIT_MORE_KEYS: char_accept_input(e->mon->c); break;
    case EDIT_COMPLETE: answer_completion(e, r); return;
    }
    request_free(r);
}

static gboolean requests_dispatch(GSource *source, GSourceFunc fn, gpointer data)
{
    Editor *e = data;
    Machine *m = e->machine;
    EditRequest *r;
    (void)fn;
    g_source_set_ready_time(source, -1);
    machine_lock(m);
    while (e->mon && (r = take_request(e)))
        serve(e, r);
    machine_unlock(m);
    return G_SOURCE_CONTINUE;
}

static gboolean no_callback(gpointer data)
{
    (void)data;
    return G_SOURCE_CONTINUE;
}

static void sources_add(Editor *e)
{
    static GSourceFuncs funcs = { .dispatch = requests_dispatch };
    e->requests = g_source_new(&funcs, sizeof(GSource));
    g_source_set_callback(e->requests, no_callback, e, NULL);
    g_source_attach(e->requests, e->machine->context);
    e->pump = g_unix_fd_source_new(e->master, G_IO_IN | G_IO_HUP | G_IO_ERR);
    g_source_set_callback(e->pump, G_SOURCE_FUNC(on_output), e, NULL);
    g_source_attach(e->pump, e->machine->context);
}

/* ---- the editor ---- */

static GPtrArray *copy_history(const LineHistory *h)
{
    GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
    for (guint k = 0; k < h->lines->len; k++)
        g_ptr_array_add(lines, g_strdup(h->lines->pdata[k]));
    return lines;
}

static void choose_terminal(Editor *e)
{
    unsigned rows, columns;
    const char *kind = g_getenv("TERM");
    if (!char_terminal_size(e->c, &rows, &columns))
        e->terminal = "vt100"; /* what a terminal at the other end of a socket understands, whatever it is */
    else
        e->dumb = !kind || !*kind || !strcmp(kind, "dumb");
}

static GPtrArray *editors(Machine *m)
{
    GPtrArray *all = machine_find(m, SLOT);
    if (!all)
        machine_provide(m, SLOT, all = g_ptr_array_new_with_free_func((GDestroyNotify)editor_free));
    return all;
}

static Editor *edit_make(Monitor *mon)
{
    Editor *e = g_new0(Editor, 1);
    e->mon = mon;
    e->c = mon->c;
    e->machine = mon->machine;
    e->history = copy_history(&mon->history);
    e->keys = g_byte_array_new();
    e->output = g_string_new(NULL);
    e->color = mon->color;
    g_mutex_init(&e->lock);
    g_cond_init(&e->changed);
    g_queue_init(&e->asked);
    choose_terminal(e);
    if (!open_terminal(e)) {
        if (e->slave[0] >= 0)
            close(e->slave[0]);
        editor_free(e);
        return NULL;
    }
    g_ptr_array_add(editors(e->machine), e);
    sources_add(e);
    e->thread = g_thread_new("monitor", libedit_thread, e);
    return e;
}

static void edit_receive(Editor *e, const uint8_t *data, unsigned size)
{
    bool resized = follow_size(e);
    g_mutex_lock(&e->lock);
    e->resized |= resized;
    g_byte_array_append(e->keys, data, MIN(size, KEYS_MAX - MIN(e->keys->len, KEYS_MAX)));
    g_cond_broadcast(&e->changed);
    g_mutex_unlock(&e->lock);
}

static unsigned edit_room(Editor *e)
{
    g_mutex_lock(&e->lock);
    unsigned room = KEYS_MAX - MIN(e->keys->len, KEYS_MAX);
    e->full = !room;
    g_mutex_unlock(&e->lock);
    return room;
}

static void edit_show(Editor *e, const char *text, gsize size)
{
    g_mutex_lock(&e->lock);
    g_string_append_len(e->output, text, size);
    g_cond_broadcast(&e->changed);
    g_mutex_unlock(&e->lock);
}

static void edit_ready(Editor *e)
{
    bool resized = follow_size(e);
    g_mutex_lock(&e->lock);
    e->resized |= resized;
    e->ready = true;
    e->color = e->mon->color;
    g_cond_broadcast(&e->changed);
    g_mutex_unlock(&e->lock);
}

static void edit_forget(Editor *e)
{
    g_mutex_lock(&e->lock);
    g_byte_array_set_size(e->keys, 0);
    g_mutex_unlock(&e->lock);
}

static void edit_hide(Editor *e, bool hidden)
{
    g_mutex_lock(&e->lock);
    e->redraw |= e->hidden && !hidden;
    e->hidden = hidden;
    g_cond_broadcast(&e->changed);
    g_mutex_unlock(&e->lock);
}

/* The thread ends by itself; what it has to say still is dropped if the client has gone. */
static void edit_end(Editor *e, bool gone)
{
    e->mon = NULL;
    e->c = gone ? NULL : e->c;
    g_mutex_lock(&e->lock);
    e->quit = true;
    requests_clear(e);
    g_cond_broadcast(&e->changed);
    g_mutex_unlock(&e->lock);
}

/* All at once: one thread may hold libedit while it waits for room in its terminal. */
void libedit_editors_join(Machine *m)
{
    GPtrArray *all = machine_find(m, SLOT);
    while (all && all->len) {
        g_autofree GPollFD *fds = g_new0(GPollFD, all->len);
        guint n = all->len;
        for (guint k = 0; k < n; k++)
            fds[k] = (GPollFD){ .fd = ((Editor *)all->pdata[k])->master, .events = G_IO_IN | G_IO_HUP };
        if (g_poll(fds, n, -1) <= 0)
            continue;
        for (guint k = n; k-- > 0;)
            if (fds[k].revents && !pump(all->pdata[k]))
                g_ptr_array_remove_index(all, k);
    }
    if (all)
        g_ptr_array_unref(all);
    machine_provide(m, SLOT, NULL);
}

const EditorKind libedit_editor = {
    .make = edit_make, .receive = edit_receive, .room = edit_room, .show = edit_show, .ready = edit_ready,
    .forget = edit_forget, .hide = edit_hide, .end = edit_end,
};

#endif
