/* What the word before the cursor may become (command.h). */
#include <string.h>

#include "cpu/registers.h"
#include "debugger/commands/command.h"
#include "debugger/commands/command_line.h"
#include "debugger/symbols/symbols.h"

#define SYMBOLS_MAX 200
#define FILES_MAX 1000

/* A search for words. */
typedef struct Search {
    Machine *machine;
    const char *word;    /* up to the cursor */
    gsize size;
    GPtrArray *found;    /* char * */
} Search;

static void take(Search *s, const char *name)
{
    if (!strncmp(name, s->word, s->size))
        g_ptr_array_add(s->found, g_strdup(name));
}

static void take_rows(Search *s, bool info)
{
    const GPtrArray *rows = command_rows(info);
    for (guint k = 0; k < rows->len; k++) {
        const CommandRow *r = rows->pdata[k];
        g_auto(GStrv) aliases = g_strsplit(r->aliases ? r->aliases : "", " ", -1);
        guint before = s->found->len;
        take(s, r->name);
        for (char **a = aliases; s->size && *a && s->found->len == before; a++) /* one word of a row is enough */
            take(s, *a);
    }
}

static void take_devices(Search *s)
{
    for (guint k = 0; k < s->machine->devices->len; k++) {
        const Device *dev = s->machine->devices->pdata[k];
        if (dev->id)
            take(s, dev->id);
    }
}

/* As they are written in an expression: with or without $. */
static void take_registers(Search *s)
{
    bool dollar = *s->word == '$';
    Cpu *cpu = debugger_cpu(debugger_of(s->machine));
    for (unsigned k = 0; k < cpu_register_count; k++) {
        CpuRegister r;
        g_autofree char *name = g_strconcat(dollar ? "$" : "", cpu_registers[k].name, NULL);
        if (cpu_register_find(cpu, cpu_registers[k].name, &r))
            take(s, name);
    }
}

static void take_symbols(Search *s)
{
    take_registers(s);
    if (!s->size || *s->word == '$')
        return;
    g_autofree char *prefix = g_strndup(s->word, s->size);
    g_autoptr(GPtrArray) names = symbols_complete(debugger_symbols(debugger_of(s->machine)), prefix, SYMBOLS_MAX);
    for (guint k = 0; k < names->len; k++)
        take(s, names->pdata[k]);
    g_ptr_array_set_free_func(names, g_free);
}

static void take_stops(Search *s)
{
    const GPtrArray *stops = debugger_stops(debugger_of(s->machine));
    for (guint k = 0; k < stops->len; k++) {
        const Stop *stop = stops->pdata[k];
        g_autofree char *number = g_strdup_printf("%u", stop->point.id);
        if (!stop->owner)
            take(s, number);
    }
}

/* One file name of a folder: quoted where it has blanks; a folder goes on. */
static void take_file(Search *s, const char *typed_folder, const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    bool quote = *s->word == '"' || strpbrk(name, " \t;|>") != NULL;
    bool is_folder = g_file_test(path, G_FILE_TEST_IS_DIR);
    const char *end = is_folder ? "/" : quote ? "\"" : "";
    g_ptr_array_add(s->found, g_strconcat(quote ? "\"" : "", typed_folder, name, end, NULL));
}

static void take_files(Search *s)
{
    g_autofree char *word = g_strndup(s->word + (*s->word == '"'), s->size - (s->size && *s->word == '"'));
    const char *slash = strrchr(word, '/'), *base = slash ? slash + 1 : word;
    g_autofree char *typed = g_strndup(word, base - word);
    g_autofree char *folder = g_str_has_prefix(typed, "~/") ? g_build_filename(g_get_home_dir(), typed + 2, NULL)
                                                           : g_strdup(*typed ? typed : ".");
    GDir *dir = g_dir_open(folder, 0, NULL);
    const char *name;
    while (dir && s->found->len < FILES_MAX && (name = g_dir_read_name(dir)))
        if (g_str_has_prefix(name, base) && (*base == '.' || *name != '.') && g_utf8_validate(name, -1, NULL))
            take_file(s, typed, folder, name);
    if (dir)
        g_dir_close(dir);
}

/* The name at the end of an expression. */
static const char *last_name(const char *word)
{
    const char *p = word + strlen(word);
    while (p > word && (g_ascii_isalnum(p[-1]) || strchr("_.$", p[-1])))
        p--;
    return p;
}

static void take_kind(Search *s, char kind)
{
    if (kind == 's' || kind == 'r') {
        s->word = last_name(s->word);
        s->size = strlen(s->word);
    }
    switch (kind) {
    case 'c': take_rows(s, false); break;
    case 'i': take_rows(s, true); break;
    case 'd': take_devices(s); break;
    case 's': take_symbols(s); break;
    case 'r': take_registers(s); break;
    case 'f': take_files(s); break;
    case 'b': take_stops(s); break;
    default: break;
    }
}

/* The letter of argument number n, from 0; 0: none. */
static char kind_of(const CommandRow *r, unsigned n)
{
    size_t length = r && r->completes ? strlen(r->completes) : 0;
    return length ? r->completes[MIN(n, length - 1)] : 0;
}

/* Where the last word of a text begins, which quotes may hold together. */
static const char *last_word(const char *text)
{
    const char *start = text;
    bool quoted = false;
    for (const char *p = text; *p; p++) {
        quoted ^= *p == '"';
        if (!quoted && (*p == ' ' || *p == '\t'))
            start = p + 1;
    }
    return start;
}

/* The words before the last one. */
static GPtrArray *words_before(const char *text, const char *last)
{
    GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *before = g_strndup(text, last - text);
    const char *rest = before;
    char *word;
    while ((word = command_word(&rest))) {
        if (*word == '/') /* the format of x */
            g_free(word);
        else
            g_ptr_array_add(words, word);
    }
    return words;
}

static const CommandRow *row_of(const GPtrArray *words, guint k, bool info)
{
    g_autofree char *name = k < words->len ? g_strndup(words->pdata[k], strcspn(words->pdata[k], "/")) : NULL;
    return name ? command_resolve(name, info, NULL) : NULL;
}

/* What stands at the end of a command with these words before it. */
static char kind_at(const GPtrArray *words)
{
    const CommandRow *r = row_of(words, 0, false), *info = command_find("info", false), *what;
    guint arguments = words->len - 1;
    if (!words->len)
        return 'c';
    if (arguments && r == command_find("help", false))
        return arguments == 1 && row_of(words, 1, false) == info ? 'i' : 0;
    if (!arguments || r != info)
        return kind_of(r, arguments);
    what = row_of(words, 1, true);
    return kind_of(what, arguments - 1);
}

/* The last statement of the line, and what kind of word its end is. */
static char find_kind(const char *text, const char **statement)
{
    GQueue all = G_QUEUE_INIT;
    statements_parse(text, &all);
    const Statement *last = g_queue_peek_tail(&all);
    Sink sink = last ? last->sink : SINK_SCREEN;
    const char *end = text + strlen(text);
    g_queue_clear_full(&all, (GDestroyNotify)statement_free);
    *statement = text;
    for (const char *p = text; p < end; p++)
        if (*p == ';' && sink != SINK_SHELL)
            *statement = p + 1;
    if (sink != SINK_SCREEN)
        return 'f';
    *statement += strspn(*statement, " \t");
    g_autoptr(GPtrArray) words = words_before(*statement, last_word(*statement));
    return kind_at(words);
}

static gint compare_names(gconstpointer a, gconstpointer b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Sorted, each once; one that is alone is complete. */
static void arrange(GPtrArray *found)
{
    g_ptr_array_sort(found, compare_names);
    for (guint k = found->len; k-- > 1;)
        if (!strcmp(found->pdata[k], found->pdata[k - 1]))
            g_ptr_array_remove_index(found, k);
    if (found->len != 1 || g_str_has_suffix(found->pdata[0], "/"))
        return;
    char *whole = g_strconcat(found->pdata[0], " ", NULL);
    g_free(found->pdata[0]);
    found->pdata[0] = whole;
}

GPtrArray *command_complete(Machine *m, const char *text, gsize *start)
{
    const char *statement;
    char kind = find_kind(text, &statement);
    Search s = { .machine = m, .word = last_word(statement), .found = g_ptr_array_new_with_free_func(g_free) };
    s.size = strlen(s.word);
    take_kind(&s, kind);
    *start = s.word - text;
    arrange(s.found);
    return s.found;
}

char *command_common_prefix(const GPtrArray *names)
{
    if (!names->len)
        return g_strdup("");
    const char *first = names->pdata[0];
    gsize n = strlen(first);
    for (guint k = 1; k < names->len; k++) {
        gsize same = 0;
        while (same < n && first[same] == ((const char *)names->pdata[k])[same])
            same++;
        n = same;
    }
    while (n && (first[n] & 0xc0) == 0x80) /* whole characters of UTF-8 */
        n--;
    return g_strndup(first, n);
}
