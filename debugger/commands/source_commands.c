/* Commands about source text: list, where it is, and lines of addresses. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "debugger/commands/command.h"
#include "debugger/expression/expression.h"
#include "debugger/monitor/monitor.h"
#include "debugger/symbols/dwarf.h"
#include "debugger/symbols/source.h"
#include "debugger/symbols/symbols.h"

enum { LISTED = 10 };

static Symbols *symbols_of(MonitorCommand *c) { return debugger_symbols(c->debugger); }
static Source *source_of(MonitorCommand *c) { return symbols_source(symbols_of(c)); }

/* ---- places ---- */

typedef struct LinePlace {
    const char *file, *folder;
    unsigned line;
} LinePlace;

static bool place_of_address(MonitorCommand *c, uint64_t address, LinePlace *p)
{
    DwarfFile *f;
    for (unsigned k = 0; (f = symbols_dwarf(symbols_of(c), k)); k++)
        if (dwarf_line_place(f, address, &p->file, &p->folder, &p->line))
            return true;
    return false;
}

static bool place_of_function(MonitorCommand *c, uint64_t address, LinePlace *p)
{
    DwarfFile *f;
    DwarfFunction function;
    for (unsigned k = 0; (f = symbols_dwarf(symbols_of(c), k)); k++) {
        if (!dwarf_function(f, address, &function) || function.first != address || !function.file)
            continue;
        *p = (LinePlace){ .file = function.file, .folder = function.folder, .line = function.line };
        return true;
    }
    return place_of_address(c, address, p);
}

/* FILE:LINE, with the file's whole name if DWARF has it. */
static bool place_of_text(MonitorCommand *c, const char *text, char **file, LinePlace *p)
{
    DwarfFile *f;
    const char *colon = strrchr(text, ':');
    char *end;
    unsigned long line = colon ? strtoul(colon + 1, &end, 10) : 0;
    if (!line || line > INT32_MAX || *end || colon == text)
        return false;
    *file = g_strndup(text, colon - text);
    *p = (LinePlace){ .file = *file, .line = line };
    for (unsigned k = 0; (f = symbols_dwarf(symbols_of(c), k)); k++)
        if (dwarf_find_source(f, *file, &p->file, &p->folder))
            return true;
    return strchr(*file, '.') || strchr(*file, '/');
}

static bool no_line(MonitorCommand *c, uint64_t address)
{
    g_string_append_printf(c->out, "no line is known for 0x%" PRIx64, address);
    symbols_print(symbols_of(c), address, c->out);
    g_string_append(c->out, symbols_dwarf(symbols_of(c), 0) ? "\n" : ": no DWARF data are loaded ('symbols FILE')\n");
    return false;
}

/* An address or a function; *address is set. */
static bool place_of_expression(MonitorCommand *c, const char *text, uint64_t *address, LinePlace *p)
{
    text += *text == '*';
    return command_value(c, text, address) && (place_of_function(c, *address, p) || no_line(c, *address));
}

/* ---- list ---- */

static void list_around(MonitorCommand *c, const LinePlace *p)
{
    unsigned first = p->line > LISTED / 2 ? p->line - LISTED / 2 : 1;
    if (!source_list(source_of(c), p->file, p->folder, first, first + LISTED - 1, c->out))
        g_string_append_printf(c->out, "%s has no line %u\n", p->file, p->line);
}

static void list_more(MonitorCommand *c, bool back)
{
    Source *s = source_of(c);
    unsigned first = back ? s->first > LISTED ? s->first - LISTED : 1 : s->last + 1;
    unsigned last = back ? MAX(s->first, 2u) - 1 : s->last + LISTED;
    if (back && s->first <= 1)
        g_string_append_printf(c->out, "%s: line 1 was listed\n", s->file);
    else if (!source_list(s, s->file, s->folder, first, last, c->out))
        g_string_append_printf(c->out, "%s: its last line was listed\n", s->file);
}

static void list_here(MonitorCommand *c)
{
    Frame f = frame_chosen(c->debugger, NULL);
    uint64_t pc = frame_lookup_pc(&f);
    LinePlace p;
    if (place_of_address(c, pc, &p))
        list_around(c, &p);
    else
        no_line(c, pc);
}

/* A line's number alone is one of the file that was listed. */
static bool is_line_number(const char *text, unsigned *line)
{
    char *end;
    unsigned long v = g_ascii_isdigit(*text) ? strtoul(text, &end, 10) : 0;
    *line = v;
    return v && v <= INT32_MAX && !*end;
}

static void command_list(MonitorCommand *c)
{
    const char *text = c->arguments;
    const Source *s = source_of(c);
    g_autofree char *file = NULL;
    unsigned line;
    uint64_t address;
    LinePlace p;
    if (s->file && (!*text || !strcmp(text, "-")))
        list_more(c, *text);
    else if (!*text || !strcmp(text, "-") || !strcmp(text, "."))
        list_here(c);
    else if (s->file && is_line_number(text, &line))
        list_around(c, &(LinePlace){ .file = s->file, .folder = s->folder, .line = line });
    else if (place_of_text(c, text, &file, &p) || place_of_expression(c, text, &address, &p))
        list_around(c, &p);
    monitor_repeat(c->monitor, !strcmp(text, "-") ? "list -" : "list");
}

/* ---- where text is ---- */

static void command_directory(MonitorCommand *c)
{
    const char *rest = c->arguments;
    g_autofree char *folder = command_word(&rest);
    Source *s = source_of(c);
    if (folder && !g_file_test(folder, G_FILE_TEST_IS_DIR)) {
        g_string_append_printf(c->out, "%s: no such folder\n", folder);
        return;
    }
    source_add_folder(s, folder);
    for (guint k = 0; k < s->folders->len; k++)
        g_string_append_printf(c->out, "%s\n", (const char *)s->folders->pdata[k]);
}

static void command_substitute(MonitorCommand *c)
{
    const char *rest = c->arguments;
    g_autofree char *from = command_word(&rest), *to = command_word(&rest);
    Source *s = source_of(c);
    if (from)
        source_substitute(s, from, to);
    for (guint k = 0; k + 1 < s->substitutions->len; k += 2)
        g_string_append_printf(c->out, "%s is replaced by %s\n", (const char *)s->substitutions->pdata[k],
                               (const char *)s->substitutions->pdata[k + 1]);
}

static void info_source(MonitorCommand *c)
{
    const Source *s = source_of(c);
    g_autofree char *path = s->file ? source_find(s, s->file, s->folder) : NULL;
    if (!s->file)
        g_string_append(c->out, "nothing was listed yet\n");
    else
        g_string_append_printf(c->out, "%s, compiled in %s: %s\n", s->file, s->folder ? s->folder : "(not known)",
                               path ? path : "its text is not there");
}

/* ---- lines of addresses ---- */

static void print_address(MonitorCommand *c, uint64_t address)
{
    g_string_append_printf(c->out, "0x%" PRIx64, address);
    symbols_print(symbols_of(c), address, c->out);
}

static void print_line_addresses(MonitorCommand *c, const LinePlace *p)
{
    g_autoptr(GArray) all = symbols_line_addresses(symbols_of(c), p->file, p->line);
    if (!all->len)
        g_string_append_printf(c->out, "%s has no code at or behind line %u\n", p->file, p->line);
    for (guint k = 0; k < all->len; k++) {
        LinePlace at;
        uint64_t address = g_array_index(all, uint64_t, k);
        if (place_of_address(c, address, &at))
            g_string_append_printf(c->out, "%s:%u: ", at.file, at.line);
        print_address(c, address);
        g_string_append_c(c->out, '\n');
    }
}

static void print_inlined(MonitorCommand *c, uint64_t address)
{
    DwarfFile *f;
    for (unsigned k = 0; (f = symbols_dwarf(symbols_of(c), k)); k++) {
        g_autoptr(GArray) all = dwarf_inlined(f, address);
        for (guint n = 0; n < all->len; n++) {
            const DwarfInlined *i = &g_array_index(all, DwarfInlined, n);
            g_string_append_printf(c->out, "  in %s, inlined at %s:%u\n", i->name, i->call_file ? i->call_file : "?",
                                   i->call_line);
        }
    }
}

static void info_line(MonitorCommand *c)
{
    g_autofree char *file = NULL;
    const char *text = *c->arguments ? c->arguments : "$pc";
    LinePlace p;
    uint64_t address;
    if (place_of_text(c, text, &file, &p)) {
        print_line_addresses(c, &p);
        return;
    }
    text += *text == '*';
    if (!command_value(c, text, &address) || (!place_of_address(c, address, &p) && !no_line(c, address)))
        return;
    print_address(c, address);
    g_string_append_printf(c->out, " is in line %u of %s\n", p.line, p.file);
    print_inlined(c, address);
}

const CommandRow source_commands[] = {
    { .name = "directory", .arguments = "[FOLDER]",
      .help = "look for source text under FOLDER too; without, forget all", .run = command_directory,
      .completes = COMPLETE_FILE },
    { .name = "list", .aliases = "l", .arguments = "[FUNCTION|FILE:LINE|LINE|ADDRESS|-]",
      .help = "source text; without arguments, what follows", .run = command_list, .completes = COMPLETE_SYMBOL,
      .paused = true, .more = "  'list .' is where the CPU stands, 'list -' what comes before what was listed.\n" },
    { .name = "substitute-path", .arguments = "[FROM [TO]]",
      .help = "look for source files of FROM... at TO...; without TO, no more", .run = command_substitute },
    { .name = NULL },
};

const CommandRow source_info[] = {
    { .name = "line", .arguments = "[ADDRESS|FILE:LINE]", .help = "the line of an address, or addresses of a line",
      .run = info_line, .completes = COMPLETE_SYMBOL, .paused = true },
    { .name = "source", .arguments = "", .help = "the source file listed last", .run = info_source },
    { .name = NULL },
};
