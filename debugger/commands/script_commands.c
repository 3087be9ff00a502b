/* Scripts, and commands about how commands are run. */
#include <math.h>
#include <string.h>

#include "core/error.h"
#include "debugger/commands/command_run.h"
#include "debugger/monitor/monitor.h"

#define DEPTH_MAX 16
#define SCRIPT_MAX (16u << 20)

/* Tells each statement from `first` on where it stands. */
static void mark_place(GList *first, const char *file, unsigned line, unsigned depth)
{
    for (GList *l = first; l; l = l->next) {
        Statement *s = l->data;
        if (!s->place)
            s->place = g_strdup_printf("%s:%u", file, line);
        s->depth = depth;
    }
}

gboolean script_read(const char *path, unsigned depth, GQueue *to, GError **err)
{
    g_autofree char *text = NULL;
    gsize size;
    if (g_file_test(path, G_FILE_TEST_EXISTS) && !g_file_test(path, G_FILE_TEST_IS_REGULAR))
        return error_set(err, "%s: not a regular file", path);
    if (!g_file_get_contents(path, &text, &size, err))
        return FALSE;
    if (size > SCRIPT_MAX || strlen(text) != size)
        return error_set(err, "%s: not a script: it %s", path, size > SCRIPT_MAX ? "is too long" : "has zero bytes");
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (unsigned k = 0; lines[k]; k++) {
        g_strchomp(lines[k]);
        statements_parse(lines[k], to);
        mark_place(to->head, path, k + 1, depth);
    }
    return TRUE;
}

/* ---- commands ---- */

/* The lines take the statement's place; its output goes where the statement's would. */
static void script_insert(CommandRun *run, GQueue *lines)
{
    Statement *s;
    while ((s = g_queue_pop_tail(lines))) {
        if (s->sink == SINK_SCREEN && run->now->target) {
            s->sink = run->now->sink == SINK_FILE ? SINK_APPEND : run->now->sink;
            s->target = g_strdup(run->now->target);
        }
        g_queue_push_head(&run->statements, s);
    }
}

static void command_script(MonitorCommand *c)
{
    g_autoptr(GError) err = NULL;
    const char *rest = c->arguments;
    g_autofree char *word = command_word(&rest);
    GQueue lines = G_QUEUE_INIT;
    if (!word) {
        g_string_append(c->out, "usage: script FILE\n");
        return;
    }
    g_autofree char *path = g_str_has_prefix(word, "~/") ? g_build_filename(g_get_home_dir(), word + 2, NULL)
                                                        : g_strdup(word);
    if (c->run->now->depth >= DEPTH_MAX)
        g_string_append_printf(c->out, "script: %s: scripts within scripts, %u deep: ended\n", path, DEPTH_MAX);
    else if (script_read(path, c->run->now->depth + 1, &lines, &err))
        script_insert(c->run, &lines);
    else
        g_string_append_printf(c->out, "script: %s\n", err->message);
    g_queue_clear_full(&lines, (GDestroyNotify)statement_free);
}

#define WAIT_MAX 1e6

static void command_wait(MonitorCommand *c)
{
    char *end;
    double seconds = g_ascii_strtod(c->arguments, &end);
    if (*c->arguments && (*end || !(seconds > 0 && seconds <= WAIT_MAX))) {
        g_string_append_printf(c->out, "wait: '%s' is no number of seconds above 0\n", c->arguments);
        return;
    }
    c->run->waits = true;
    c->run->wait_ms = *c->arguments ? (unsigned)ceil(seconds * 1000) : 0;
}

static void command_echo(MonitorCommand *c) { g_string_append_printf(c->out, "%s\n", c->arguments); }

static bool parse_switch(MonitorCommand *c, const char *name, bool *on)
{
    *on = !strcmp(c->arguments, "on");
    bool ok = c->monitor && (*on || !strcmp(c->arguments, "off"));
    if (!c->monitor)
        g_string_append_printf(c->out, "%s: it is of a monitor's; there is none here\n", name);
    else if (!ok)
        g_string_append_printf(c->out, "usage: %s on|off\n", name);
    return ok;
}

static void command_pager(MonitorCommand *c)
{
    bool on;
    if (parse_switch(c, "pager", &on))
        monitor_set_pager(c->monitor, on);
}

static void command_color_switch(MonitorCommand *c)
{
    bool on;
    if (parse_switch(c, "color", &on))
        monitor_set_color(c->monitor, on);
}

const CommandRow script_commands[] = {
    { .name = "color", .aliases = "colour", .arguments = "on|off", .help = "colours in this monitor",
      .run = command_color_switch },
    { .name = "echo", .arguments = "TEXT", .help = "print a text", .run = command_echo },
    { .name = "pager", .arguments = "on|off", .help = "hold long output after each screenful", .run = command_pager,
      .more = "  Keys at \"-- more --\": space a screenful, return a line, q no more.\n" },
    { .name = "script", .aliases = "source", .arguments = "FILE", .help = "run the commands of a file",
      .run = command_script, .completes = COMPLETE_FILE,
      .more = "  A line each; # begins a comment.\n"
              "  What follows a command that lets the machine run waits for a stop.\n" },
    { .name = "wait", .arguments = "[SECONDS]", .help = "wait for a stop before the next command",
      .run = command_wait, .more = "  With SECONDS, no longer than that.\n" },
    { .name = NULL },
};
