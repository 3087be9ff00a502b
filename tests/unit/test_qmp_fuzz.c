/*
 * QMP: 10,000 lines out of the table of commands, many of them wrong: other types, huge numbers, deep nesting, wrong
 * UTF-8, cut off, changed anywhere.  Each gets a well-formed reply, and the session goes on.
 */
#include <signal.h>
#include <glib.h>

#include "config.h"

#ifdef CONFIG_JSON_GLIB
#include "tests/unit/qmp_client.h"

typedef struct Generator {
    GRand *rand;
    GString *text;
} Generator;

static unsigned below(Generator *g, unsigned n) { return g_rand_int_range(g->rand, 0, n); }
static void add(Generator *g, const char *text) { g_string_append(g->text, text); }

static const char *choose(Generator *g, const char *const *words)
{
    return words[below(g, g_strv_length((char **)words))];
}

static void add_number(Generator *g)
{
    static const char *const numbers[] = {
        "0", "-0", "1", "2", "16", "-1", "4096", "1048576", "4294967295", "4294967296", "9223372036854775807",
        "-9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616",
        "99999999999999999999999999", "1e5", "1E-5", "1e400", "-1e400", "1.5", "0.1e1", "01", "0x10", "1.", ".5", "+1",
        "--1", "1e", "NaN", "Infinity", "-", NULL
    };
    add(g, choose(g, numbers));
}

/* The inside of a string. */
static const char *const strings[] = {
    "", "a", "ctrl", "qcode", "number", "key", "btn", "rel", "abs", "x", "left", "info status", "info qtree", "help",
    "x /4xb 0", "info nothing", "isa-serial", "0x100", "rax", "rip + 1", "rax +", "*(u8 *)0", "code", "write", "ppm",
    "png", "/nowhere/at/all", "oob", "\\\"", "\\\\", "\\n\\t\\u00e9", "\\u0000", "\\ud800", "\\ud83d\\ude00",
    "\\udc00x", "\\uzzzz", "\\q", "\xc3\xa9", "\xc3", "\x80", "\xf4\x90\x80\x80", "%s%n", "{", "}", "[", "]", "'",
    "/*", "//", "#", NULL
};

static void add_string(Generator *g, const char *text)
{
    const char *quote = below(g, 8) || strchr(text, '\'') ? "\"" : "'";
    add(g, quote);
    add(g, text);
    add(g, quote);
}

static void add_long_string(Generator *g)
{
    g_autofree char *filling = g_strnfill(below(g, 5000), 'x');
    add_string(g, filling);
}

static void add_deep(Generator *g)
{
    unsigned depth = 1 + below(g, 100);
    for (unsigned k = 0; k < depth; k++)
        add(g, "[");
    for (unsigned k = 0; k < depth; k++)
        add(g, "]");
}

static void add_value(Generator *g, unsigned depth);

static void add_values(Generator *g, unsigned depth, bool named)
{
    unsigned count = below(g, 4);
    add(g, named ? "{" : "[");
    for (unsigned k = 0; k < count; k++) {
        add(g, k ? "," : "");
        if (named) {
            add_string(g, choose(g, strings));
            add(g, ":");
        }
        add_value(g, depth + 1);
    }
    add(g, named ? "}" : "]");
}

static void add_value(Generator *g, unsigned depth)
{
    static const char *const names[] = { "true", "false", "null", "True", "nul", "undefined", NULL };
    switch (below(g, depth < 4 ? 10 : 6)) {
    case 0: case 1: add_number(g); break;
    case 2: add(g, choose(g, names)); break;
    case 3: case 4: add_string(g, choose(g, strings)); break;
    case 5: add_long_string(g); break;
    case 6: add_deep(g); break;
    case 7: add_values(g, depth, false); break;
    default: add_values(g, depth, true); break;
    }
}

static void add_arguments(Generator *g, const QmpArgument *rows);

static void add_right_value(Generator *g, const QmpArgument *row)
{
    switch (row->type) {
    case QMP_STRING: add_string(g, choose(g, row->words && below(g, 4) ? row->words : strings)); break;
    case QMP_INTEGER: g_string_append_printf(g->text, "%d", (int)below(g, 300) - 20); break;
    case QMP_NUMBER: add(g, "1.25"); break;
    case QMP_BOOL: add(g, below(g, 2) ? "true" : "false"); break;
    case QMP_OBJECT: add_arguments(g, row->members); break;
    case QMP_OBJECTS:
        add(g, "[");
        for (unsigned k = below(g, 3), n = 0; n <= k; n++) {
            add(g, n ? "," : "");
            add_arguments(g, row->members);
        }
        add(g, "]");
        break;
    default: add_value(g, 2); break;
    }
}

/* By the table, with some left out, some wrong, and some that are not in it. */
static void add_arguments(Generator *g, const QmpArgument *rows)
{
    const char *between = "";
    add(g, "{");
    for (const QmpArgument *row = rows; row && row->name; row++) {
        if (!below(g, 10) || (row->optional && below(g, 2)))
            continue;
        g_string_append_printf(g->text, "%s\"%s\":", between, row->name);
        if (below(g, 6))
            add_right_value(g, row);
        else
            add_value(g, 0);
        between = ", ";
    }
    if (!below(g, 12)) {
        g_string_append_printf(g->text, "%s\"other\":", between);
        add_value(g, 1);
    }
    add(g, "}");
}

/* Not one that ends the machine, or has it come to what the test does not know. */
static const QmpCommand *choose_command(Generator *g)
{
    const QmpCommand *row;
    unsigned count = 0;
    while (qmp_command_nth(count))
        count++;
    do
        row = qmp_command_nth(below(g, count));
    while (!strcmp(row->name, "quit"));
    return row;
}

static void add_command(Generator *g)
{
    const QmpCommand *row = choose_command(g);
    g_string_append_printf(g->text, "{\"execute\": \"%s%s\"", row->name, below(g, 20) ? "" : "x");
    if (row->arguments || !below(g, 8)) {
        add(g, ", \"arguments\": ");
        if (below(g, 20))
            add_arguments(g, row->arguments);
        else
            add_value(g, 0);
    }
    if (!below(g, 3)) {
        add(g, ", \"id\": ");
        add_value(g, 1);
    }
    if (!below(g, 20)) {
        add(g, ", ");
        add_string(g, choose(g, strings));
        add(g, ": 1");
    }
    add(g, "}");
}

/* Bytes become others that change nothing about where the object ends. */
static void mutate_within(Generator *g)
{
    static const char others[] = "a0-,: \t.\x01\x7f\x80\xc3\xfe$/*eE";
    for (unsigned k = 0; k <= below(g, 4); k++) {
        char *p = g->text->str + below(g, g->text->len);
        if (!strchr("{}[]\"'\\", *p))
            *p = others[below(g, strlen(others))];
    }
}

/* Anything: bytes change, go, and come; the line has no end within. */
static void mutate(Generator *g)
{
    for (unsigned k = 0; k <= below(g, 6) && g->text->len > 1; k++) {
        unsigned at = below(g, g->text->len);
        char byte = below(g, 3) ? "{}[]\"'\\,: "[below(g, 10)] : (char)(1 + below(g, 255));
        if (byte == '\n')
            byte = ' ';
        switch (below(g, 3)) {
        case 0: g->text->str[at] = byte; break;
        case 1: g_string_erase(g->text, at, 1 + below(g, MIN(g->text->len - at, 20))); break;
        default: g_string_insert_c(g->text, at, byte); break;
        }
    }
}

static bool is_reply(JsonObject *o)
{
    if (json_object_has_member(o, "event"))
        return false;
    g_assert_true(json_object_has_member(o, "return") != json_object_has_member(o, "error"));
    if (json_object_has_member(o, "error")) {
        JsonObject *error = json_object_get_object_member(o, "error");
        g_assert_nonnull(json_object_get_string_member(error, "class"));
        g_assert_nonnull(json_object_get_string_member(error, "desc"));
    }
    return true;
}

/* Sends a line, then a command with an id of its own; how many replies came before that one's. */
static unsigned count_replies(Fixture *f, const GString *line, unsigned n)
{
    g_autofree char *probe = g_strdup_printf("\n{\"execute\":\"query-kvm\",\"id\":\"probe %u\"}\n", n);
    g_autofree char *wanted = g_strdup_printf("\"id\":\"probe %u\"", n);
    g_assert_cmpuint(client_send_some(f, line->str, line->len), ==, line->len);
    client_send(f, probe);
    for (unsigned count = 0; ; ) {
        g_autofree char *text = client_line_within(f, 20000);
        if (!text)
            g_error("line %u: no reply after: %s", n, line->str);
        JsonObject *o = parse_line(text);
        count += is_reply(o);
        json_object_unref(o);
        if (strstr(text, wanted))
            return count - 1;
    }
}

/* What a line is, by its number; *least and *most replies to it. */
static void make_line(Generator *g, unsigned n, unsigned *least, unsigned *most)
{
    g_string_truncate(g->text, 0);
    *least = *most = 1;
    add_command(g);
    switch (n % 8) {
    case 4: case 5: mutate_within(g); break;
    case 6: /* cut off, and begun anew */
        g_string_truncate(g->text, 1 + below(g, g->text->len - 1));
        add(g, "\377");
        break;
    case 7:
        mutate(g);
        add(g, "\377");
        *most = g->text->len;
        break;
    }
    if (!(n % 50)) {
        g_string_assign(g->text, n % 100 ? " \t \r" : "");
        *least = *most = 0;
    }
}

static void test_fuzz(Fixture *f, gconstpointer data)
{
    Generator g = { .rand = g_rand_new_with_seed(20), .text = g_string_new(NULL) };
    g_autofree char *before = g_get_current_dir();
    (void)data;
    g_assert_cmpint(chdir(f->folder), ==, 0); /* where files go that commands write */
    negotiate(f);
    for (unsigned n = 0; n < 10000; n++) {
        unsigned least, most;
        make_line(&g, n, &least, &most);
        unsigned count = count_replies(f, g.text, n);
        if (count < least || count > most)
            g_error("line %u: %u replies to: %s", n, count, g.text->str);
    }
    g_assert_cmpint(chdir(before), ==, 0);
    g_string_free(g.text, TRUE);
    g_rand_free(g.rand);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN); /* as main() does: monitor lines are among the messages, and pipes to programs that end */
    QMP_TEST("fuzz", test_fuzz);
    return g_test_run();
}
#else
int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_message("built without json-glib");
    return g_test_run();
}
#endif
