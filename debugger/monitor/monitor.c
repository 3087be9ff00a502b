/* The monitor: lines that are typed, and what is shown (monitor.h). */
#include "debugger/monitor/monitor_parts.h"

#include <stdio.h>
#include <string.h>

/* A step ends well within this; its report then comes before the prompt. */
#define HOLD_MS 200

/* ---- output ---- */

void monitor_write(Monitor *mon, const char *text, gsize size) { char_write(mon->c, text, size); }

static void show(Monitor *mon, const char *text, gsize size)
{
    if (mon->editor && size)
        mon->kind->show(mon->editor, text, size);
}

static void show_text(Monitor *mon, const char *text) { show(mon, text, strlen(text)); }

static GPtrArray *monitors(Machine *m) { return machine_find(m, "monitors"); }

/* The first that somebody uses, or NULL. */
static Monitor *monitor_in_use(Machine *m)
{
    GPtrArray *all = monitors(m);
    for (guint k = 0; all && k < all->len; k++)
        if (((Monitor *)all->pdata[k])->editor)
            return all->pdata[k];
    return NULL;
}

bool monitor_is_used(Machine *m) { return monitor_in_use(m) != NULL; }

void monitor_output(Machine *m, Monitor *mon, const GString *text)
{
    if (!mon)
        mon = monitor_in_use(m);
    if (!mon) {
        fwrite(text->str, 1, text->len, stdout);
        fflush(stdout);
    } else if (mon->editor && text->len) {
        pager_show(mon, text->str, text->len);
    }
}

bool monitor_has_color(const Monitor *mon) { return mon && mon->color; }
void monitor_set_color(Monitor *mon, bool on) { mon->color = on; }
void monitor_set_pager(Monitor *mon, bool on) { mon->pager.off = !on; }

/* ---- the prompt ---- */

static void hold_end(Monitor *mon)
{
    if (!mon->hold)
        return;
    g_source_destroy(mon->hold);
    g_source_unref(mon->hold);
    mon->hold = NULL;
}

void monitor_try_ready(Monitor *mon)
{
    if (!mon->busy || mon->executing || mon->hold || mon->pager.rest || command_waits(mon->machine, mon))
        return;
    mon->busy = false;
    mon->pager.shown = 0;
    mon->kind->ready(mon->editor);
    if (!mon->receiving) /* else the caller brings the rest, in its order */
        char_accept_input(mon->c);
}

void monitor_ready(Monitor *mon) { monitor_try_ready(mon); }

static gboolean hold_over(gpointer data)
{
    Monitor *mon = data;
    machine_lock(mon->machine);
    hold_end(mon);
    monitor_try_ready(mon);
    machine_unlock(mon->machine);
    return G_SOURCE_REMOVE;
}

static void hold_begin(Monitor *mon)
{
    mon->hold = g_timeout_source_new(HOLD_MS);
    g_source_set_callback(mon->hold, hold_over, mon, NULL);
    g_source_attach(mon->hold, mon->machine->context);
}

/* ---- lines ---- */

static bool is_command(const CommandRow *r, const char *const *names)
{
    for (; r && *names; names++)
        if (command_find(*names, false) == r)
            return true;
    return false;
}

/* Whether an empty line after this one does it again: as users of gdb and Bochs expect. */
static bool repeats(const char *line)
{
    static const char *const commands[] = { "s", "n", "si", "ni", "up", "down", "x", "xp", "u", "list", NULL };
    line += strspn(line, " \t");
    g_autofree char *name = g_strndup(line, strcspn(line, " \t/"));
    return !strpbrk(line, ";|>") && is_command(command_resolve(name, false, NULL), commands);
}

static void set_repeat(Monitor *mon, const char *line)
{
    g_free(mon->repeat);
    mon->repeat = g_strdup(line);
}

void monitor_repeat(Monitor *mon, const char *line)
{
    if (mon && mon->repeat)
        set_repeat(mon, line);
}

static void execute(Monitor *mon, const char *line)
{
    Debugger *d = debugger_of(mon->machine);
    g_autoptr(GString) out = g_string_new(NULL);
    bool ran = debugger_is_running(d);
    debugger_attended(d, mon, true);
    mon->executing = true;
    command_execute(mon->machine, mon, line, out);
    mon->executing = false;
    if (mon->editor)
        monitor_output(mon->machine, mon, out);
    if (!ran && debugger_is_running(d))
        hold_begin(mon);
}

void monitor_take_line(Monitor *mon, const char *line)
{
    bool empty = !line[strspn(line, " \t")];
    g_autofree char *text = g_strdup(empty ? mon->repeat : line);
    mon->busy = true;
    if (!empty) {
        line_history_add(&mon->history, line);
        set_repeat(mon, repeats(line) ? line : NULL);
    }
    if (text)
        execute(mon, text);
    monitor_try_ready(mon);
}

void monitor_interrupt(Monitor *mon)
{
    Debugger *d = debugger_of(mon->machine);
    unsigned lines = command_cancel(mon->machine, mon);
    if (lines) {
        g_autofree char *text = g_strdup_printf("interrupted: %u more command%s not run\n", lines,
                                                lines > 1 ? "s" : "");
        show_text(mon, text);
    }
    if (debugger_is_running(d)) {
        debugger_attended(d, mon, true);
        debugger_interrupt(d);
    } else if (!mon->busy) {
        show_text(mon, "the machine is paused ('quit' ends the emulator)\n");
    }
    monitor_try_ready(mon);
}

/* ---- what the machine does ---- */

static void on_stopped(void *opaque, const StopReport *r)
{
    Monitor *mon = opaque;
    Machine *m = mon->machine;
    if (!mon->editor || (m->run_state == RUN_SHUTDOWN && !g_main_loop_is_running(m->loop)))
        return; /* nobody is here; or all ends */
    g_autoptr(GString) out = g_string_new(NULL);
    debugger_describe(debugger_of(m), r, out);
    show(mon, out->str, out->len);
    if (mon->hold) /* not at once: the stop's commands come first */
        g_source_set_ready_time(mon->hold, 0);
}

/* What a stop's commands printed. */
static void on_output(void *opaque, const char *text)
{
    show_text(opaque, text);
}

/* ---- input ---- */

static const EditorKind *first_kind(Monitor *mon)
{
#ifdef CONFIG_LIBEDIT
    unsigned rows, columns;
    if (char_terminal_size(mon->c, &rows, &columns))
        return &libedit_editor;
#else
    (void)mon;
#endif
    return &plain_editor;
}

static void greet(Monitor *mon)
{
    if (!char_has_output(mon->c))
        return;
    mon->kind = first_kind(mon);
    mon->editor = mon->kind->make(mon);
    if (!mon->editor) {
        mon->kind = &plain_editor;
        mon->editor = mon->kind->make(mon);
    }
    mon->listener.for_people = true;
    show_text(mon, "Myna monitor: 'help' lists the commands\n");
    mon->busy = true;
    monitor_try_ready(mon);
}

static void leave(Monitor *mon)
{
    Editor *e = g_steal_pointer(&mon->editor);
    mon->listener.for_people = false;
    hold_end(mon);
    pager_clear(&mon->pager);
    command_detach(mon->machine, mon);
    debugger_attended(debugger_of(mon->machine), mon, false);
    mon->busy = false;
    if (e)
        mon->kind->end(e, true);
}

void monitor_edit(Monitor *mon, const GString *typed)
{
#ifdef CONFIG_LIBEDIT
    Editor *plain = mon->editor, *e = libedit_editor.make(mon);
    if (!e)
        return;
    mon->kind->end(plain, false);
    mon->kind = &libedit_editor;
    mon->editor = e;
    mon->kind->receive(mon->editor, (const uint8_t *)typed->str, typed->len);
    if (!mon->busy)
        mon->kind->ready(mon->editor);
#else
    (void)mon, (void)typed;
#endif
}

void monitor_break(Monitor *mon)
{
    mon->kind->forget(mon->editor);
    if (mon->pager.rest)
        pager_key(mon, 'q');
    hold_end(mon);
    monitor_interrupt(mon);
}

static void take_key(Monitor *mon, uint8_t key)
{
    if (mon->busy && key == KEY_CTRL_C)
        monitor_break(mon);
    else if (mon->pager.rest)
        pager_key(mon, key);
    else
        mon->kind->receive(mon->editor, &key, 1);
    monitor_try_ready(mon);
}

static unsigned can_receive(void *opaque)
{
    Monitor *mon = opaque;
    return mon->editor ? mon->kind->room(mon->editor) : 64;
}

static void receive(void *opaque, const uint8_t *data, unsigned size)
{
    Monitor *mon = opaque;
    if (!mon->editor)
        greet(mon);
    if (!mon->editor)
        return;
    mon->receiving = true;
    for (unsigned k = 0; k < size; k++)
        take_key(mon, data[k]);
    mon->receiving = false;
}

static void event(void *opaque, int what)
{
    Monitor *mon = opaque;
    if (what == CHAR_OPENED && !mon->editor)
        greet(mon);
    else if (what == CHAR_OPENED || (what == CHAR_HIDDEN && mon->editor))
        mon->kind->hide(mon->editor, what == CHAR_HIDDEN);
    else if (what == CHAR_CLOSED)
        leave(mon);
}

/* ---- life ---- */

static void monitor_free(void *opaque)
{
    Monitor *mon = opaque;
    hold_end(mon);
    pager_clear(&mon->pager);
    if (mon->editor)
        mon->kind->end(mon->editor, false);
    debugger_unlisten(debugger_of(mon->machine), &mon->listener);
    line_history_clear(&mon->history);
    g_free(mon->repeat);
    g_free(mon);
}

void monitor_free_all(Machine *m)
{
    GPtrArray *all = monitors(m);
    command_cancel_all(m);
    machine_lock(m);
    if (all)
        g_ptr_array_free(all, TRUE);
#ifdef CONFIG_LIBEDIT
    libedit_editors_join(m);
#endif
    machine_unlock(m);
    machine_provide(m, "monitors", NULL);
}

void monitor_attach(Machine *m, CharBackend *c)
{
    static const CharFrontend frontend = { .can_receive = can_receive, .receive = receive, .event = event };
    GPtrArray *all = monitors(m);
    Monitor *mon = g_new0(Monitor, 1);
    unsigned rows, columns;
    bool terminal = char_terminal_size(c, &rows, &columns);
    if (!all)
        machine_provide(m, "monitors", all = g_ptr_array_new_with_free_func(monitor_free));
    mon->machine = m;
    mon->c = c;
    mon->color = terminal && !g_getenv("NO_COLOR");
    mon->listener = (DebuggerListener){ .stopped = on_stopped, .output = on_output, .opaque = mon };
    line_history_init(&mon->history, terminal);
    g_ptr_array_add(all, mon);
    debugger_listen(debugger_of(m), &mon->listener);
    char_take_keys(c);
    char_connect(c, &frontend, mon);
}
