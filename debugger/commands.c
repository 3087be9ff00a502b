/* The monitor's commands together: finding a row, help, running a line (command.h). */
#include <string.h>

#include "core/error.h"
#include "debugger/command.h"
#include "debugger/expression.h"

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
    data_commands,
    linux_commands,
    gdb_commands,
    disassemble_commands,
    dump_commands,
    machine_commands,
    memory_change_commands,
    memory_commands,
    memory_search_commands,
    paging_commands,
    register_commands,
    run_commands,
    stop_commands,
    symbol_commands,
    unwind_commands,
    trace_commands,
    vector_commands,
};

static const CommandRow *const info_tables[] = {
    device_info,
    machine_info,
    paging_info,
    register_info,
    stop_info,
    symbol_info,
    table_info,
    trace_info,
    tss_info,
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

/* Whether `name` is one of the blank-separated words of `list` (may be NULL). */
static bool list_has(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = list; p && *p; p += strspn(p, " ")) {
        size_t length = strcspn(p, " ");
        if (length == n && !memcmp(p, name, n))
            return true;
        p += length;
    }
    return false;
}

const CommandRow *command_find(const char *name, bool info)
{
    const GPtrArray *rows = command_rows(info);
    for (guint k = 0; *name && k < rows->len; k++) {
        const CommandRow *r = g_ptr_array_index(rows, k);
        if (!strcmp(r->name, name) || list_has(r->aliases, name))
            return r;
    }
    return NULL;
}

/* ---- help ---- */

static void print_row(const char *before, const CommandRow *r, GString *out)
{
    g_autofree char *head = g_strdup_printf("%s%s %s", before, r->name, r->arguments);
    g_string_append_printf(out, "%-32s %s\n", head, r->help);
}

static void print_rows(bool info, GString *out)
{
    const GPtrArray *rows = command_rows(info);
    for (guint k = 0; k < rows->len; k++)
        print_row(info ? "info " : "", g_ptr_array_index(rows, k), out);
}

static void print_help(const char *before, const CommandRow *r, GString *out)
{
    print_row(before, r, out);
    if (r->aliases)
        g_string_append_printf(out, "  also: %s\n", r->aliases);
    if (r->more)
        g_string_append_printf(out, "%s", r->more);
}

static void unknown(const char *what, const char *name, bool info, GString *out)
{
    const GPtrArray *rows = command_rows(info);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (guint k = 0; k < rows->len; k++)
        g_ptr_array_add(names, (gpointer)((const CommandRow *)g_ptr_array_index(rows, k))->name);
    const char *near = nearest_name(name, (const char *const *)names->pdata, names->len);
    g_string_append_printf(out, "unknown %s '%s'", what, name);
    if (near)
        g_string_append_printf(out, ": did you mean '%s'?", near);
    g_string_append(out, " ('help' lists all)\n");
}

/* help; help NAME; help info WHAT */
static void command_help(MonitorCommand *c)
{
    const char *rest = c->arguments;
    g_autofree char *name = command_word(&rest), *what = command_word(&rest);
    const CommandRow *r = name ? command_find(name, false) : NULL, *info = what ? command_find(what, true) : NULL;
    if (!name) {
        print_rows(false, c->out);
        print_rows(true, c->out);
    } else if (!r) {
        unknown("command", name, false, c->out);
    } else if (r->run != command_info) {
        print_help("", r, c->out);
    } else if (info) {
        print_help("info ", info, c->out);
    } else {
        print_rows(true, c->out);
    }
}

/* ---- running a line ---- */

static void run_row(MonitorCommand *c, const CommandRow *r)
{
    if (r->paused)
        debugger_freeze(c->debugger);
    r->run(c);
    if (r->paused)
        debugger_thaw(c->debugger);
}

/* The first word is a name, which "/" ends too: x/8xg. */
static void run_line(MonitorCommand *c, const char *what, bool info, const char *line)
{
    line += strspn(line, " \t");
    size_t n = strcspn(line, " \t/");
    g_autofree char *name = g_strndup(line, n);
    const CommandRow *r = command_find(name, info);
    c->arguments = line + n + strspn(line + n, " \t");
    if (r)
        run_row(c, r);
    else
        unknown(what, name, info, c->out);
}

static void command_info(MonitorCommand *c)
{
    if (*c->arguments)
        run_line(c, "info", true, c->arguments);
    else
        print_rows(true, c->out);
}

void command_execute(Machine *m, Monitor *from, const char *line, GString *out)
{
    g_autofree char *text = g_strchomp(g_strdup(line));
    MonitorCommand c = { .machine = m, .debugger = debugger_of(m), .monitor = from, .out = out };
    if (text[strspn(text, " \t")])
        run_line(&c, "command", false, text);
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
