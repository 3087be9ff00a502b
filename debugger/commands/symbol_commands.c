/* Commands about symbols: files of them, names and addresses. */
#include <inttypes.h>
#include <string.h>

#include "debugger/commands/command.h"
#include "debugger/symbols/symbols.h"

static Symbols *symbols_of(MonitorCommand *c) { return debugger_symbols(c->debugger); }

/* ---- files ---- */

static void load(MonitorCommand *c, const char *path, int64_t offset)
{
    g_autoptr(GError) err = NULL;
    unsigned count;
    if (!symbols_load(symbols_of(c), path, offset, &count, &err))
        g_string_append_printf(c->out, "%s\n", err->message);
    else
        g_string_append_printf(c->out, "%s: %u symbols\n", path, count);
}

/* FILE [OFFSET] */
static void load_arguments(MonitorCommand *c, const char *rest)
{
    g_autofree char *path = command_word(&rest);
    uint64_t offset = 0;
    rest += strspn(rest, " \t");
    if (!*rest || command_value(c, rest, &offset))
        load(c, path, (int64_t)offset);
}

static void command_symbols(MonitorCommand *c)
{
    size_t before = c->out->len;
    if (*c->arguments) {
        load_arguments(c, c->arguments);
        return;
    }
    symbols_list_files(symbols_of(c), c->out);
    if (c->out->len == before)
        g_string_append(c->out, "no symbols are loaded: 'symbols FILE [OFFSET]' loads some\n");
}

/* gdb's: without a file, there are none any more. */
static void command_symbol_file(MonitorCommand *c)
{
    if (*c->arguments)
        load_arguments(c, c->arguments);
    else
        symbols_unload_all(symbols_of(c));
}

/* Bochs's: ldsym [global] FILE [OFFSET]; all symbols are global here. */
static void command_ldsym(MonitorCommand *c)
{
    const char *rest = c->arguments;
    g_autofree char *word = command_word(&rest);
    if (word && strcmp(word, "global"))
        rest = c->arguments;
    rest += strspn(rest, " \t");
    if (*rest)
        load_arguments(c, rest);
    else
        g_string_append(c->out, "usage: ldsym [global] FILE [OFFSET]\n");
}

/* An address up to the next -s, which could be a subtraction otherwise. */
static bool take_address(MonitorCommand *c, const char **rest, uint64_t *address)
{
    const char *next = strstr(*rest, " -s ");
    g_autofree char *text = next ? g_strndup(*rest, next - *rest) : g_strdup(*rest);
    *rest = next ? next : "";
    return command_value(c, text, address);
}

/* "-s SECTION ADDRESS" and so on; NULL after a message. */
static GHashTable *take_sections(MonitorCommand *c, const char *rest)
{
    g_autoptr(GHashTable) all = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (char *word; (word = command_word(&rest)); g_free(word)) {
        char *section = strcmp(word, "-s") ? NULL : command_word(&rest);
        uint64_t address;
        if (!section)
            g_string_append_printf(c->out, "'%s': expected -s SECTION ADDRESS\n", word);
        rest += strspn(rest, " \t");
        if (!section || !take_address(c, &rest, &address)) {
            g_free(section);
            g_free(word);
            return NULL;
        }
        g_hash_table_insert(all, section, g_memdup2(&address, sizeof address));
    }
    return g_steal_pointer(&all);
}

/* gdb's: add-symbol-file FILE ADDRESS-OF-.TEXT [-s SECTION ADDRESS]... */
static void command_add_symbol_file(MonitorCommand *c)
{
    g_autoptr(GError) err = NULL;
    const char *rest = c->arguments;
    g_autofree char *path = command_word(&rest);
    uint64_t text, linked = 0;
    unsigned count;
    rest += strspn(rest, " \t");
    if (!path || !*rest) {
        g_string_append(c->out, "usage: add-symbol-file FILE ADDRESS-OF-.TEXT [-s SECTION ADDRESS]...\n");
        return;
    }
    if (!take_address(c, &rest, &text))
        return;
    g_autoptr(GHashTable) sections = take_sections(c, rest);
    if (!sections)
        return;
    if (symbols_text_address(path, &linked, &err) &&
        symbols_load_sections(symbols_of(c), path, (int64_t)(text - linked), sections, &count, &err))
        g_string_append_printf(c->out, "%s: %u symbols\n", path, count);
    else
        g_string_append_printf(c->out, "%s\n", err->message);
}

/* The path of the loaded file that ends so, "vmlinux" for "/boot/vmlinux"; NULL: none. */
static const char *find_file(MonitorCommand *c, const char *name)
{
    const char *path;
    int64_t offset;
    for (unsigned k = 0; symbols_file(symbols_of(c), k, &path, &offset); k++) {
        g_autofree char *base = g_path_get_basename(path);
        if (!strcmp(base, name))
            return path;
    }
    return NULL;
}

static void command_unload(MonitorCommand *c)
{
    const char *rest = c->arguments;
    g_autofree char *name = command_word(&rest);
    if (!name) {
        symbols_unload_all(symbols_of(c));
        return;
    }
    const char *path = find_file(c, name);
    if (!symbols_unload(symbols_of(c), path ? path : name))
        g_string_append_printf(c->out, "%s: not loaded ('symbols' lists what is)\n", name);
}

/* ---- names and addresses ---- */

static void print_symbol(void *opaque, const char *name, uint64_t address, uint64_t size)
{
    (void)size;
    g_string_append_printf(opaque, "%016" PRIx64 " %s\n", address, name);
}

static void command_names(MonitorCommand *c)
{
    size_t before = c->out->len;
    symbols_each(symbols_of(c), c->arguments, print_symbol, c->out);
    if (before == c->out->len)
        g_string_append_printf(c->out, "there is no symbol '%s...'\n", c->arguments);
}

static void info_symbol(MonitorCommand *c)
{
    uint64_t address, distance;
    if (!command_value(c, c->arguments, &address))
        return;
    const char *name = symbols_name(symbols_of(c), address, &distance);
    if (!name)
        g_string_append_printf(c->out, "no symbol has the address 0x%" PRIx64 " in it\n", address);
    else
        g_string_append_printf(c->out, distance ? "%s + %" PRIu64 "\n" : "%s\n", name, distance);
}

static void info_address(MonitorCommand *c)
{
    uint64_t address, first, end;
    const Symbols *s = symbols_of(c);
    if (!symbols_find(s, c->arguments, &address)) {
        g_string_append_printf(c->out, "there is no symbol '%s'\n", c->arguments);
        return;
    }
    g_string_append_printf(c->out, "%s is at 0x%" PRIx64, c->arguments, address);
    if (symbols_bounds(s, address, &first, &end) && first == address)
        g_string_append_printf(c->out, ", %" PRIu64 " bytes", end - first);
    g_string_append_c(c->out, '\n');
}

const CommandRow symbol_commands[] = {
    { .name = "add-symbol-file", .arguments = "FILE ADDRESS [-s SECTION ADDRESS]...",
      .help = "load the symbols of a file whose .text is at ADDRESS", .run = command_add_symbol_file,
      .completes = COMPLETE_FILE COMPLETE_SYMBOL, .paused = true },
    { .name = "ldsym", .arguments = "[global] FILE [OFFSET]", .help = "load symbols, as Bochs has it",
      .run = command_ldsym, .completes = COMPLETE_FILE, .paused = true },
    { .name = "slist", .arguments = "[PREFIX]", .help = "symbols whose names begin so (also 'info symbols')",
      .run = command_names, .completes = COMPLETE_SYMBOL },
    { .name = "symbol-file", .arguments = "[FILE [OFFSET]]", .help = "load symbols; without FILE, forget all",
      .run = command_symbol_file, .completes = COMPLETE_FILE COMPLETE_SYMBOL, .paused = true },
    { .name = "symbols", .arguments = "[FILE [OFFSET]]", .help = "load symbols; without FILE, list the files loaded",
      .run = command_symbols, .completes = COMPLETE_FILE COMPLETE_SYMBOL, .paused = true,
      .more = "  FILE is an ELF file (with DWARF: lines, types and variables too), System.map, the output of nm, or a\n"
              "  symbol file of Bochs. OFFSET is added to its addresses. A file that is loaded again is replaced.\n" },
    { .name = "unload", .arguments = "[FILE]", .help = "forget the symbols of a file, or of all",
      .run = command_unload, .completes = COMPLETE_FILE, .paused = true },
    { .name = NULL },
};

const CommandRow symbol_info[] = {
    { .name = "address", .arguments = "SYMBOL", .help = "where a symbol is", .run = info_address,
      .completes = COMPLETE_SYMBOL },
    { .name = "symbol", .arguments = "ADDRESS", .help = "the symbol that an address is in", .run = info_symbol,
      .completes = COMPLETE_SYMBOL, .paused = true },
    { .name = "symbols", .arguments = "[PREFIX]", .help = "symbols whose names begin so", .run = command_names,
      .completes = COMPLETE_SYMBOL },
    { .name = NULL },
};
