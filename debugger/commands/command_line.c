/* Taking a line of commands apart (command_line.h). */
#include "debugger/commands/command_line.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "debugger/commands/command.h"
#include "debugger/commands/shell.h"

/* Where | and > are operators. */
static const char *const expression_commands[] = { "print", "set", "condition", "display", "ptype", NULL };

typedef struct Scanner {
    const char *start, *p;
    unsigned depth;     /* of parentheses and brackets */
} Scanner;

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static bool is_expression_command(const char *text)
{
    g_autofree char *name = g_strndup(text, strcspn(text, " \t/"));
    const CommandRow *r = command_resolve(name, false, NULL);
    for (const char *const *e = expression_commands; r && *e; e++)
        if (command_find(*e, false) == r)
            return true;
    return false;
}

/* Whether what stands before s->p is an expression with operators. */
static bool in_expression(const Scanner *s)
{
    g_autofree char *before = g_strndup(s->start, s->p - s->start);
    return is_expression_command(before) || strstr(before, " if ");
}

static bool begins_with_program(const char *text)
{
    text += strspn(text, " \t");
    g_autofree char *word = g_strndup(text, strcspn(text, " \t;|<>"));
    g_autofree char *path = *word ? g_find_program_in_path(word) : NULL;
    return path != NULL;
}

static bool blank_before(const Scanner *s) { return s->p > s->start && is_blank(s->p[-1]); }

static bool is_pipe(const Scanner *s)
{
    if (*s->p != '|' || s->depth || s->p == s->start)
        return false;
    return (blank_before(s) && !in_expression(s)) || begins_with_program(s->p + 1);
}

static bool is_redirection(const Scanner *s)
{
    return *s->p == '>' && !s->depth && blank_before(s) && s->p[1] != '=' && !in_expression(s);
}

/* Moves over a quoted text; an apostrophe alone is none. */
static bool skip_quoted(Scanner *s)
{
    const char *end = *s->p == '"' || *s->p == '\'' ? strchr(s->p + 1, *s->p) : NULL;
    if (end)
        s->p = end + 1;
    return end != NULL;
}

static void count_depth(Scanner *s)
{
    if (strchr("([{", *s->p))
        s->depth++;
    else if (s->depth && strchr(")]}", *s->p))
        s->depth--;
}

/* `commands` keeps all of the line for later. */
static bool takes_all(const char *text)
{
    g_autofree char *name = g_strndup(text, strcspn(text, " \t"));
    const CommandRow *r = command_resolve(name, false, NULL);
    return r && r == command_find("commands", false);
}

/* To the end of the statement's command. */
static void scan_command(Scanner *s)
{
    if (takes_all(s->p))
        s->p += strlen(s->p);
    while (*s->p && *s->p != ';') {
        if (skip_quoted(s))
            continue;
        count_depth(s);
        if (s->p[0] == '|' && s->p[1] == '|')
            s->p++;
        else if (is_pipe(s) || is_redirection(s))
            return;
        s->p++;
    }
}

static char *strip(const char *from, const char *to) { return g_strstrip(g_strndup(from, to - from)); }

/* FILE, or "FILE". */
static char *parse_file_name(Scanner *s)
{
    const char *from = s->p;
    while (*s->p && *s->p != ';')
        if (!skip_quoted(s))
            s->p++;
    g_autofree char *text = strip(from, s->p);
    const char *rest = text;
    return *text == '"' ? command_word(&rest) : g_steal_pointer(&text);
}

static void parse_sink(Scanner *s, Statement *to)
{
    if (*s->p == '|') {
        to->sink = SINK_SHELL;
        to->target = g_strstrip(g_strdup(s->p + 1));
        s->p += strlen(s->p);
    } else if (*s->p == '>') {
        to->sink = s->p[1] == '>' ? SINK_APPEND : SINK_FILE;
        s->p += to->sink == SINK_APPEND ? 2 : 1;
        to->target = parse_file_name(s);
    }
}

void statements_parse(const char *line, GQueue *to)
{
    Scanner s = { .p = line };
    if (line[strspn(line, " \t")] == '#')
        return;
    while (*s.p) {
        Statement *statement = g_new0(Statement, 1);
        s.start = s.p += strspn(s.p, " \t;");
        s.depth = 0;
        scan_command(&s);
        statement->text = strip(s.start, s.p);
        parse_sink(&s, statement);
        if (*statement->text)
            g_queue_push_tail(to, statement);
        else
            statement_free(statement);
    }
}

void statement_free(Statement *s)
{
    g_free(s->text);
    g_free(s->target);
    g_free(s->place);
    g_free(s);
}

/* ---- where output goes ---- */

static void write_file(const Statement *s, const GString *printed, GString *out)
{
    FILE *f = fopen(s->target, s->sink == SINK_APPEND ? "ae" : "we");
    bool ok = f && fwrite(printed->str, 1, printed->len, f) == printed->len;
    if (f)
        ok &= fclose(f) == 0;
    if (!ok)
        g_string_append_printf(out, "cannot write %s: %s\n", s->target, g_strerror(errno));
}

void statement_deliver(const Statement *s, const GString *printed, GString *out)
{
    if (s->sink == SINK_SCREEN)
        g_string_append_len(out, printed->str, printed->len);
    else if (!s->target || !*s->target)
        g_string_append_printf(out, "%s\n", s->sink == SINK_SHELL ? "'|' needs a shell command behind it"
                                                                  : "'>' needs a file name behind it");
    else if (s->sink == SINK_SHELL)
        shell_filter(s->target, printed, out);
    else
        write_file(s, printed, out);
}
