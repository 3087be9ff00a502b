/*
 * Symbols out of text (symbols_file.h): System.map, /proc/kallsyms and the output of nm ("ADDRESS [SIZE] TYPE NAME"),
 * and Bochs's symbol files ("ADDRESS NAME", "SEGMENT:OFFSET NAME").
 */
#include <string.h>

#include "core/error.h"
#include "debugger/symbols/symbols_file.h"

/* Hexadecimal digits with or without 0x, up to `end`. */
static bool parse_hex(const char *p, const char *end, uint64_t *v)
{
    if (end - p > 2 && p[0] == '0' && (p[1] | 0x20) == 'x')
        p += 2;
    if (p == end || end - p > 16)
        return false;
    for (*v = 0; p < end; p++) {
        if (!g_ascii_isxdigit(*p))
            return false;
        *v = *v << 4 | g_ascii_xdigit_value(*p);
    }
    return true;
}

/* An address, or segment and offset as real mode adds them. */
static bool parse_address(const char *word, uint64_t *v)
{
    const char *colon = strchr(word, ':'), *end = word + strlen(word);
    uint64_t segment;
    if (!colon)
        return parse_hex(word, end, v);
    if (!parse_hex(word, colon, &segment) || !parse_hex(colon + 1, end, v))
        return false;
    *v += segment << 4;
    return true;
}

static unsigned rank_of_type(char type)
{
    if (strchr("wWvV", type))
        return RANK_WEAK;
    return g_ascii_isupper(type) ? RANK_GLOBAL : RANK_LOCAL;
}

/* nm's types that are no place: undefined, and of debugging sections. */
static bool is_nowhere(char type) { return strchr("UN", type); }

typedef struct Line {
    char *word[5];
    unsigned count;
} Line;

static Line split(char *text)
{
    Line line = { .count = 0 };
    for (char *p = text; line.count < G_N_ELEMENTS(line.word); ) {
        p += strspn(p, " \t\r");
        if (!*p)
            break;
        line.word[line.count++] = p;
        p += strcspn(p, " \t\r");
        if (!*p)
            break;
        *p++ = 0;
    }
    return line;
}

static bool is_type(const char *word) { return word[0] && !word[1] && (g_ascii_isalpha(word[0]) || word[0] == '?'); }

/* "ADDRESS TYPE NAME [MODULE]", "ADDRESS SIZE TYPE NAME", "ADDRESS NAME"; "U NAME" is a symbol of another file. */
static bool read_line(SymbolFile *f, Line *l)
{
    uint64_t address, size = 0;
    bool bare = l->count == 2, sized = l->count == 4 && !is_type(l->word[1]);
    if (bare && is_type(l->word[0]) && strchr("Uwv", l->word[0][0]))
        return true;
    if (l->count < 2 || !parse_address(l->word[0], &address))
        return false;
    if (bare) {
        symbol_file_add(f, l->word[1], address, 0, 0, RANK_GLOBAL, false);
        return true;
    }
    char *type = l->word[1 + sized], *name = l->word[2 + sized];
    if (!is_type(type) || (sized && !parse_hex(l->word[1], l->word[1] + strlen(l->word[1]), &size)))
        return false;
    if (!is_nowhere(*type))
        symbol_file_add(f, name, address, address + size, 0, rank_of_type(*type), strchr("aA", *type));
    return true;
}

static bool is_comment(const char *line)
{
    line += strspn(line, " \t\r");
    return !*line || *line == '#' || *line == ';';
}

gboolean symbols_read_text(SymbolFile *f, char *text, size_t size, GError **err)
{
    unsigned number = 1;
    if (memchr(text, 0, size))
        return error_set(err, "%s: neither an ELF file nor a list of symbols (System.map, nm, Bochs)", f->path);
    for (char *p = text, *next; p; p = next, number++) {
        next = strchr(p, '\n');
        if (next)
            *next++ = 0;
        if (is_comment(p))
            continue;
        g_autofree char *shown = g_strndup(p, 60);
        Line line = split(p);
        if (!read_line(f, &line))
            return error_set(err, "%s: line %u is '%s': expected 'ADDRESS [TYPE] NAME' or 'SEGMENT:OFFSET NAME'",
                             f->path, number, g_strdelimit(shown, "\r\n", ' '));
    }
    return TRUE;
}
