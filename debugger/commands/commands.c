/* The monitor's commands together: finding a row, help, running a line (command.h). */
#include <string.h>

#include "core/error.h"
#include "debugger/commands/command_run.h"
#include "debugger/expression/expression.h"

static void command_help(MonitorCommand *c);
static void command_info(MonitorCommand *c);

static const CommandRow own_commands[] = {
    { .name = "help", .aliases = "h ?", .arguments = "[COMMAND]", .help = "this list, or more about one command",
      .run = command_help, .completes = COMPLETE_COMMAND },
    { .name = "info", .aliases = "i", .arguments = "[WHAT]", .help = "state of the machine; without WHAT, what there is",
      .run = command_info, .completes = COMPLETE_INFO },
    { .name = NULL },
};

static const CommandRow *const command_tables[] = {
    own_commands,
    balloon_commands,
    block_commands,
    data_commands,
    display_commands,
    disassemble_commands,
    dump_commands,
    gdb_commands,
    input_commands,
    linux_commands,
    machine_commands,
    network_commands,
    memory_change_commands,
    memory_commands,
    memory_search_commands,
    paging_commands,
    register_commands,
    run_commands,
    save_commands,
    script_commands,
    source_commands,
    stop_commands,
    symbol_commands,
    trace_commands,
    unwind_commands,
    vector_commands,
    vnc_commands,
};

static const CommandRow *const info_tables[] = {
    balloon_info,
    block_info,
    data_info,
    device_info,
    display_info,
    input_info,
    network_info,
    machine_info,
    paging_info,
    register_info,
    sound_info,
    source_info,
    stop_info,
    symbol_info,
    table_info,
    trace_info,
    tss_info,
    vnc_info,
};

/* ---- rows ---- */

static gint compare_rows(gconstpointer a, gconstpointer b)
{
    const CommandRow *const *p = a, *const *q = b;
    return strcmp((*p)->name, (*q)->name);
}

static GPtrArray *collect(const CommandRow *const *tables, unsigned count)
{
    GPtrArray *rows = g_ptr_array_new();
    for (unsigned k = 0; k < count; k++)
        for (const CommandRow *r = tables[k]; r->name; r++)
            g_ptr_array_add(rows, (gpointer)r);
    g_ptr_array_sort(rows, compare_rows);
    return rows;
}

const GPtrArray *command_rows(bool info)
{
    static gsize made;
    static GPtrArray *rows[2];
    if (g_once_init_enter(&made)) {
        rows[0] = collect(command_tables, G_N_ELEMENTS(command_tables));
        rows[1] = collect(info_tables, G_N_ELEMENTS(info_tables));
        g_once_init_leave(&made, 1);
    }
    return rows[info];
}

/* The word of the blank-separated `list` (may be NULL) that is `name`, or that begins with it; NULL: none. */
static const char *list_find(const char *list, const char *name, bool whole)
{
    size_t n = strlen(name);
    for (const char *p = list; p && *p; p += strspn(p, " ")) {
        size_t length = strcspn(p, " ");
        if ((whole ? length == n : length >= n) && !memcmp(p, name, n))
            return p;
        p += length;
    }
    return NULL;
}

static bool row_has(const CommandRow *r, const char *name, bool whole)
{
    return list_find(r->name, name, whole) || list_find(r->aliases, name, whole);
}

const CommandRow *command_find(const char *name, bool info)
{
    const GPtrArray *rows = command_rows(info);
    for (guint k = 0; *name && k < rows->len; k++)
        if (row_has(rows->pdata[k], name, true))
            return rows->pdata[k];
    return NULL;
}

/* ---- names that are none ---- */

static const char *nearest(const char *name, bool info)
{
    const GPtrArray *rows = command_rows(info);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (guint k = 0; k < rows->len; k++)
        g_ptr_array_add(names, (gpointer)((const CommandRow *)rows->pdata[k])->name);
    return nearest_name(name, (const char *const *)names->pdata, names->len);
}

static void unknown(const char *name, bool info, GString *out)
{
    const char *near = nearest(name, info);
    g_string_append_printf(out, "unknown %s '%s'", info ? "info" : "command", name);
    if (near)
        g_string_append_printf(out, ": did you mean '%s'?", near);
    g_string_append(out, info ? " ('info' lists all)\n" : " ('help' lists all)\n");
}

static void ambiguous(const char *name, bool info, const GPtrArray *found, GString *out)
{
    g_string_append_printf(out, "ambiguous %s '%s':", info ? "info" : "command", name);
    for (guint k = 0; k < found->len; k++)
        g_string_append_printf(out, "%s %s", k ? "," : "", ((const CommandRow *)found->pdata[k])->name);
    g_string_append_c(out, '\n');
}

const CommandRow *command_resolve(const char *name, bool info, GString *out)
{
    const CommandRow *r = command_find(name, info);
    const GPtrArray *rows = command_rows(info);
    g_autoptr(GPtrArray) found = g_ptr_array_new();
    if (r)
        return r;
    for (guint k = 0; *name && k < rows->len; k++)
        if (row_has(rows->pdata[k], name, false))
            g_ptr_array_add(found, rows->pdata[k]);
    if (found->len == 1)
        return found->pdata[0];
    if (out && found->len)
        ambiguous(name, info, found, out);
    else if (out)
        unknown(name, info, out);
    return NULL;
}

/* ---- help ---- */

#define HELP_COLUMN 32

static void print_row(const char *before, const CommandRow *r, GString *out)
{
    g_autofree char *head = g_strdup_printf("%s%s %s", before, r->name, r->arguments);
    g_string_append_printf(out, strlen(head) > HELP_COLUMN ? "%s\n%*s %s\n" : "%s%*s %s\n", head,
                           strlen(head) > HELP_COLUMN ? HELP_COLUMN : HELP_COLUMN - (int)strlen(head), "", r->help);
}

static void print_rows(bool info, GString *out)
{
    const GPtrArray *rows = command_rows(info);
    for (guint k = 0; k < rows->len; k++)
        print_row(info ? "info " : "", g_ptr_array_index(rows, k), out);
}

static void print_help(const char *before, const CommandRow *r, GString *out)
{
    g_string_append_printf(out, "usage: %s%s%s%s\n  %s\n", before, r->name, *r->arguments ? " " : "", r->arguments,
                           r->help);
    if (r->aliases)
        g_string_append_printf(out, "  also: %s\n", r->aliases);
    if (r->more)
        g_string_append(out, r->more);
}

static void help_info(MonitorCommand *c, const char *what)
{
    const CommandRow *r = what ? command_resolve(what, true, c->out) : NULL;
    if (!what)
        print_rows(true, c->out);
    else if (r)
        print_help("info ", r, c->out);
}

/* help; help NAME; help info WHAT */
static void command_help(MonitorCommand *c)
{
    const char *rest = c->arguments;
    g_autofree char *name = command_word(&rest), *what = command_word(&rest);
    const CommandRow *r = name ? command_resolve(name, false, c->out) : NULL;
    if (!name) {
        print_rows(false, c->out);
        print_rows(true, c->out);
    } else if (r && r->run == command_info) {
        help_info(c, what);
    } else if (r) {
        print_help("", r, c->out);
    }
}

/* ---- running a command ---- */

static void run_row(MonitorCommand *c, const CommandRow *r)
{
    if (r->paused)
        debugger_freeze(c->debugger);
    r->run(c);
    if (r->paused)
        debugger_thaw(c->debugger);
}

/* The first word is a name, which "/" ends too: x/8xg. */
static const CommandRow *run_line(MonitorCommand *c, bool info, const char *line)
{
    line += strspn(line, " \t");
    size_t n = strcspn(line, " \t/");
    g_autofree char *name = g_strndup(line, n);
    const CommandRow *r = command_resolve(name, info, c->out);
    c->arguments = line + n + strspn(line + n, " \t");
    if (r)
        run_row(c, r);
    return r;
}

static void command_info(MonitorCommand *c)
{
    if (*c->arguments)
        run_line(c, true, c->arguments);
    else
        print_rows(true, c->out);
}

const CommandRow *command_run_text(MonitorCommand *c, const char *text) { return run_line(c, false, text); }

const char *command_color(const MonitorCommand *c, CommandColor color)
{
    static const char *const sequences[] = { "\033[0m", "\033[1m", "\033[1;33m", "\033[36m" };
    return c->color ? sequences[color] : "";
}

/* ---- arguments ---- */

char *command_word(const char **rest)
{
    const char *p = *rest + strspn(*rest, " \t");
    bool quoted = *p == '"';
    size_t n = quoted ? strcspn(p + 1, "\"") : strcspn(p, " \t");
    if (!*p)
        return NULL;
    char *word = g_strndup(p + quoted, n);
    p += n + quoted;
    *rest = p + (quoted && *p == '"');
    return word;
}

bool command_value(MonitorCommand *c, const char *text, uint64_t *v)
{
    g_autoptr(GError) err = NULL;
    Cpu *cpu = debugger_cpu(c->debugger);
    Expression *e = expression_parse(c->debugger, cpu, text, &err);
    bool ok = e && expression_value(e, cpu, v, &err);
    expression_free(e);
    if (!ok)
        g_string_append_printf(c->out, "%s\n", err->message);
    return ok;
}

bool command_next_value(MonitorCommand *c, const char **rest, uint64_t *v)
{
    g_autoptr(GError) err = NULL;
    Cpu *cpu = debugger_cpu(c->debugger);
    Expression *e = expression_parse_prefix(c->debugger, cpu, *rest, rest, &err);
    bool ok = e && expression_value(e, cpu, v, &err);
    expression_free(e);
    if (ok)
        *rest += strspn(*rest, " \t,");
    else
        g_string_append_printf(c->out, "%s\n", err->message);
    return ok;
}
