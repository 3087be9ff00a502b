/* The monitor's commands: lines taken apart, names, scripts, completion (debugger/commands/command.h), and any line at all. */
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/char/char.h"
#include "core/options.h"
#include "debugger/commands/command.h"
#include "debugger/commands/command_line.h"
#include "debugger/monitor/monitor.h"
#include "machines/cpu_threads.h"
#include "tests/unit/subject.h"
#include "ui/typing.h"

enum { CODE = 0x1000, FUZZ_LINES = 10000 };

typedef struct Fixture {
    Machine *machine;
    Cpu *cpu;
    Region *ram;
    CpuModel *model;
    Monitor *monitor;
    char *folder;
    GString *out;
} Fixture;

static void add_cpu(Fixture *f)
{
    f->model = cpu_model_parse("max", NULL);
    f->ram = region_new_ram(f->machine->pool, "ram", RAM, NULL);
    region_add(as_root(f->machine->memory), 0, f->ram, 0);
    Subject s = { .cpu = f->cpu = cpu_new(f->machine, f->model, 0, 0) };
    subject_enter_flat32(&s);
    f->cpu->run_state = CPU_RUNNING;
    f->cpu->rip = CODE;
    f->cpu->gpr[R_SP] = 0x7000;
    memcpy((uint8_t *)region_host(f->ram) + CODE, "\x40\xeb\xfd", 3); /* inc eax; jmp back */
    f->machine->cpu_count = 1;
    machine_provide(f->machine, "cpu0", f->cpu);
    cpu_threads_new(f->machine, &f->cpu, 1, false, NULL, NULL);
}

/* A monitor whose screen is a file. */
static void add_monitor(Fixture *f)
{
    g_autofree char *spec = g_strdup_printf("file:%s/screen", f->folder);
    monitor_attach(f->machine, char_new(f->machine, "monitor0", spec, NULL));
    f->monitor = ((GPtrArray *)machine_find(f->machine, "monitors"))->pdata[0];
}

static void setup(Fixture *f, gconstpointer data)
{
    (void)data;
    f->folder = g_dir_make_tmp("myna-test-monitor-XXXXXX", NULL);
    f->out = g_string_new(NULL);
    f->machine = machine_new(RAM, NULL);
    add_cpu(f);
    add_monitor(f);
    machine_lock(f->machine);
}

static void remove_folder(const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        unlink(file);
    }
    g_dir_close(dir);
    rmdir(path);
}

static void teardown(Fixture *f, gconstpointer data)
{
    (void)data;
    machine_pause(f->machine);
    machine_unlock(f->machine);
    cpu_threads_free(f->machine->cpu_opaque);
    monitor_free_all(f->machine);
    typing_free(f->machine);
    debugger_free(f->machine);
    char_free_all(f->machine);
    cpu_free(f->cpu);
    machine_free(f->machine);
    region_free(f->ram);
    cpu_model_free(f->model);
    remove_folder(f->folder);
    g_free(f->folder);
    g_string_free(f->out, TRUE);
}

/* What a line prints. */
static const char *run(Fixture *f, const char *line)
{
    g_string_truncate(f->out, 0);
    command_execute(f->machine, f->monitor, line, f->out);
    return f->out->str;
}

static void expect(Fixture *f, const char *line, const char *printed) { g_assert_cmpstr(run(f, line), ==, printed); }

static void expect_part(Fixture *f, const char *line, const char *part)
{
    if (!strstr(run(f, line), part))
        g_error("'%s': no '%s' in '%s'", line, part, f->out->str);
}

/* A file of the test's folder. */
static char *file(Fixture *f, const char *name) { return g_build_filename(f->folder, name, NULL); }

static void write_file(Fixture *f, const char *name, const char *text)
{
    g_autofree char *path = file(f, name);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static char *read_file(Fixture *f, const char *name)
{
    g_autofree char *path = file(f, name);
    char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

/* Lets the main loop run until nothing of the monitor waits. */
static void finish(Fixture *f)
{
    while (command_waits(f->machine, f->monitor)) {
        machine_unlock(f->machine);
        g_main_context_iteration(f->machine->context, TRUE);
        machine_lock(f->machine);
    }
}

/* ---- lines ---- */

static void test_words(void)
{
    const char *rest = "  one \"two words\"  \"\" three\"x\" \"open";
    static const char *const words[] = { "one", "two words", "", "three\"x\"", "open", NULL };
    for (const char *const *w = words; *w; w++) {
        g_autofree char *word = command_word(&rest);
        g_assert_cmpstr(word, ==, *w);
    }
    g_assert_null(command_word(&rest));
}

/* "TEXT" or "TEXT <sink> TARGET", joined by " // ". */
static char *parsed(const char *line)
{
    static const char *const signs[] = { "", " <|> ", " <>> ", " <>>> " };
    GQueue all = G_QUEUE_INIT;
    GString *out = g_string_new(NULL);
    statements_parse(line, &all);
    for (Statement *s; (s = g_queue_pop_head(&all)); statement_free(s))
        g_string_append_printf(out, "%s%s%s%s", out->len ? " // " : "", s->text, signs[s->sink],
                               s->target ? s->target : "");
    return g_string_free(out, FALSE);
}

static void test_statements(void)
{
    static const struct { const char *line, *parts; } rows[] = {
        { "", "" }, { " ; ;; ", "" }, { "# a; b", "" }, { "  # a | b", "" },
        { "info status", "info status" }, { " a ; b;c ", "a // b // c" },
        { "echo \"a;b\" 'c;d'; e", "echo \"a;b\" 'c;d' // e" }, { "echo don't; e", "echo don't // e" },
        { "info mem | grep a; b > c", "info mem <|> grep a; b > c" }, { "info mem|cat", "info mem <|> cat" },
        { "info mem > a b; c", "info mem <>> a b // c" }, { "info mem >> \"a;b\"; c", "info mem <>>> a;b // c" },
        { "x /4 a|b", "x /4 a|b" }, { "x (a | b)", "x (a | b)" }, { "x u8[a > b]", "x u8[a > b]" },
        { "x a || b", "x a || b" }, { "x a >= b", "x a >= b" }, { "x a->b", "x a->b" },
        { "b 1 if rax > 5", "b 1 if rax > 5" }, { "b 1 if rax >> 5 | 1", "b 1 if rax >> 5 | 1" },
        { "b 1 if a | sort", "b 1 if a <|> sort" }, { "condition 1 rax > 5", "condition 1 rax > 5" },
        { "commands 1 a; b | c > d", "commands 1 a; b | c > d" }, { "echo x |", "echo x <|> " },
        { "echo x >", "echo x <>> " }, { "| cat", "| cat" }, { "echo )] > a", "echo )] <>> a" },
    };
    for (unsigned k = 0; k < G_N_ELEMENTS(rows); k++) {
        g_autofree char *parts = parsed(rows[k].line);
        g_assert_cmpstr(parts, ==, rows[k].parts);
    }
}

static void expect_row(const char *name, bool info, const char *row)
{
    const CommandRow *r = command_resolve(name, info, NULL);
    g_assert_cmpstr(r ? r->name : NULL, ==, row);
}

static void test_names(Fixture *f, gconstpointer data)
{
    (void)data;
    expect_row("continue", false, "continue");
    expect_row("c", false, "continue");       /* an alias, before all that begins with it */
    expect_row("conti", false, "continue");
    expect_row("system_r", false, "system_reset");
    expect_row("system_", false, NULL);
    expect_row("", false, NULL);
    expect_row("stat", true, "status");
    expect_row("status", false, NULL);
    g_assert_null(command_find("conti", false));
    g_assert_nonnull(command_find("cont", false));
    expect(f, "system_", "ambiguous command 'system_': system_powerdown, system_reset\n");
    expect(f, "statuz", "unknown command 'statuz' ('help' lists all)\n");
    expect(f, "continua", "unknown command 'continua': did you mean 'continue'? ('help' lists all)\n");
    expect(f, "info statuz", "unknown info 'statuz': did you mean 'status'? ('info' lists all)\n");
    expect(f, "info status", "VM status: paused\n");
    expect(f, "i stat ; i  stat", "VM status: paused\nVM status: paused\n");
}

static void test_help(Fixture *f, gconstpointer data)
{
    (void)data;
    expect(f, "help info status", "usage: info status\n  running or paused\n");
    expect_part(f, "help c", "usage: continue [COUNT]\n");
    expect_part(f, "help c", "  also: c cont\n");
    expect_part(f, "help step", "Interrupts wait");
    expect_part(f, "help info", "info status");
    expect_part(f, "help nonsense", "unknown command 'nonsense'");
    expect_part(f, "help info nonsense", "unknown info 'nonsense'");
    for (unsigned info = 0; info < 2; info++) {
        const GPtrArray *rows = command_rows(info);
        for (guint k = 0; k < rows->len; k++) {
            const CommandRow *r = rows->pdata[k];
            g_autofree char *line = g_strdup_printf("help %s%s", info ? "info " : "", r->name);
            if (r != command_find("info", false))
                expect_part(f, line, r->help);
            g_assert_true(command_find(r->name, info) == r); /* no name is taken twice */
            g_assert_nonnull(r->arguments);
        }
    }
}

/* ---- where output goes ---- */

static void test_sinks(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *to = file(f, "to"), *line = g_strdup_printf("echo a > %s; echo b >> \"%s\"; echo c", to, to);
    expect(f, "echo abc | tr b-c y-z", "ayz\n");
    expect(f, "echo a; echo b | cat -n", "a\n     1\tb\n");
    expect(f, "echo x | cat >&2", "x\n");
    expect(f, "echo x | exit 3", "");
    expect(f, line, "c\n");
    g_autofree char *text = read_file(f, "to");
    g_assert_cmpstr(text, ==, "a\nb\n");
    expect(f, "echo x > /nonexistent/a", "cannot write /nonexistent/a: No such file or directory\n");
    expect(f, "echo x |", "'|' needs a shell command behind it\n");
    expect(f, "echo x >", "'>' needs a file name behind it\n");
    g_string_truncate(f->out, 0);
    command_execute(f->machine, NULL, "echo x > to; echo y", f->out); /* of the gdb port and QMP */
    g_assert_cmpstr(f->out->str, ==, "'|' and '>' work in a monitor and in scripts only\ny\n");
}

/* More than fits into pipes, to a command that does not read it, and to one that gives it back. */
static void test_long_pipe(Fixture *f, gconstpointer data)
{
    (void)data;
    GString *line = g_string_new("echo ");
    for (unsigned k = 0; k < 100000; k++)
        g_string_append(line, "0123456789");
    gsize before = line->len;
    g_string_append(line, " | true");
    expect(f, line->str, "");
    g_string_truncate(line, before);
    g_string_append(line, " | cat; :");
    g_assert_cmpuint(strlen(run(f, line->str)), ==, 1000001);
    g_string_free(line, TRUE);
}

/* ---- scripts ---- */

static void test_stepping_line(Fixture *f, gconstpointer data)
{
    (void)data;
    expect(f, "step; echo > /dev/null; step; echo 2; step", "");
    g_assert_true(command_waits(f->machine, f->monitor));
    expect(f, "echo meanwhile", "meanwhile\n");
    finish(f);
    while (debugger_is_running(debugger_of(f->machine))) {
        machine_unlock(f->machine);
        g_main_context_iteration(f->machine->context, TRUE);
        machine_lock(f->machine);
    }
    g_assert_cmpuint(f->cpu->gpr[R_AX], ==, 2);
    g_autofree char *screen = read_file(f, "screen");
    g_assert_nonnull(strstr(screen, "\n2\n"));
}

static void test_script(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *inner = file(f, "inner"), *line = g_strdup_printf("script %s/outer; echo end", f->folder);
    g_autofree char *outer = g_strdup_printf("# nothing\n\n echo one\r\nsource \"%s\"\necho three\nfrobnicate\n",
                                             inner);
    write_file(f, "outer", outer);
    write_file(f, "inner", "step\necho two\n");
    expect(f, line, "one\n");
    finish(f);
    g_assert_cmpuint(f->cpu->gpr[R_AX], ==, 1);
    g_autofree char *screen = read_file(f, "screen");
    g_assert_nonnull(strstr(screen, "two\nthree\n"));
    g_assert_nonnull(strstr(screen, "outer:6: unknown command 'frobnicate' ('help' lists all)\nend\n"));
}

static void test_bad_scripts(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *line = g_strdup_printf("script %s/self", f->folder), *self = g_strdup_printf("%s\n", line);
    write_file(f, "self", self);
    expect_part(f, line, "scripts within scripts, 16 deep");
    expect(f, "script", "usage: script FILE\n");
    expect_part(f, "script /nonexistent", "No such file or directory");
    expect(f, "script /dev/null", "script: /dev/null: not a regular file\n");
    g_autofree char *zeros = file(f, "zeros"), *of_zeros = g_strdup_printf("script %s", zeros);
    g_assert_true(g_file_set_contents(zeros, "echo\0x", 6, NULL));
    expect_part(f, of_zeros, "it has zero bytes");
}

static void test_wait(Fixture *f, gconstpointer data)
{
    (void)data;
    expect(f, "wait; echo paused", "paused\n");
    expect(f, "wait x", "wait: 'x' is no number of seconds above 0\n");
    expect(f, "wait -1", "wait: '-1' is no number of seconds above 0\n");
    expect(f, "wait nan", "wait: 'nan' is no number of seconds above 0\n");
    expect(f, "continue; wait 0.05; echo late; stop", "");
    finish(f);
    g_assert_false(debugger_is_running(debugger_of(f->machine)));
    g_autofree char *screen = read_file(f, "screen");
    g_assert_nonnull(strstr(screen, "wait: no stop within 0.05 s\nlate\n"));
}

static void test_cancel(Fixture *f, gconstpointer data)
{
    (void)data;
    expect(f, "continue; echo a; echo b", "");
    expect(f, "wait; echo c", "");
    g_assert_cmpuint(command_cancel(f->machine, f->monitor), ==, 3);
    g_assert_false(command_waits(f->machine, f->monitor));
    expect(f, "wait; echo quiet", "");
    command_detach(f->machine, f->monitor);
    g_assert_false(command_waits(f->machine, f->monitor));
    run(f, "stop");
    while (g_main_context_iteration(f->machine->context, FALSE))
        ;
    g_autofree char *screen = read_file(f, "screen");
    g_assert_null(strstr(screen, "quiet"));
}

static void test_file_at_start(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *path = file(f, "rc");
    g_autofree char *text = g_strdup_printf("echo x | tr x y > %s/sink\nstep\necho end\n", f->folder);
    bool waits;
    GError *err = NULL;
    write_file(f, "rc", text);
    g_assert_true(command_execute_file(f->machine, path, &waits, &err));
    g_assert_true(waits);
    g_autofree char *sink = read_file(f, "sink");
    g_assert_cmpstr(sink, ==, "y\n");
    g_assert_false(command_execute_file(f->machine, "/nonexistent", &waits, &err));
    g_assert_false(waits);
    g_error_free(err);
}

/* ---- completion ---- */

/* The words, with blanks between; a word's own blank is "_". */
static char *completed(Fixture *f, const char *text, gsize *start)
{
    g_autoptr(GPtrArray) names = command_complete(f->machine, text, start);
    GString *out = g_string_new(NULL);
    for (guint k = 0; k < names->len; k++) {
        g_autofree char *name = g_strdelimit(g_strdup(names->pdata[k]), " ", '_');
        g_string_append_printf(out, "%s%s", k ? " " : "", name);
    }
    return g_string_free(out, FALSE);
}

static void test_completion(Fixture *f, gconstpointer data)
{
    static const struct { const char *text, *names; unsigned start; } rows[] = {
        { "conti", "continue_", 0 }, { "system_", "system_powerdown system_reset", 0 }, { "  conti", "continue_", 2 },
        { "a; conti", "continue_", 3 }, { "info statu", "status_", 5 }, { "i statu", "status_", 2 },
        { "help conti", "continue_", 5 }, { "help info statu", "status_", 10 }, { "frobnicate x", "", 11 },
        { "x /4xg $ri", "$rip_", 7 }, { "x/4xg ri", "rip_", 6 }, { "x *(8+$ri", "$rip_", 6 }, { "echo x", "", 5 },
    };
    (void)data;
    for (unsigned k = 0; k < G_N_ELEMENTS(rows); k++) {
        gsize start;
        g_autofree char *names = completed(f, rows[k].text, &start);
        g_assert_cmpstr(names, ==, rows[k].names);
        g_assert_cmpuint(start, ==, rows[k].start);
    }
}

static void test_completed_files(Fixture *f, gconstpointer data)
{
    gsize start;
    (void)data;
    write_file(f, "one", "");
    write_file(f, "other one", "");
    g_autofree char *all = g_strdup_printf("script %s/o", f->folder);
    g_autofree char *one = g_strdup_printf("script \"%s/ot", f->folder);
    g_autofree char *sink = g_strdup_printf("info status > %s/on", f->folder);
    g_autofree char *names = completed(f, all, &start), *quoted = completed(f, one, &start), *target;
    g_assert_nonnull(strstr(names, "/one"));
    g_assert_nonnull(strstr(names, "/other_one\""));
    g_assert_true(*quoted == '"' && g_str_has_suffix(quoted, "/other_one\"_"));
    target = completed(f, sink, &start);
    g_assert_true(g_str_has_suffix(target, "/one_"));
}

static void test_completed_stops(Fixture *f, gconstpointer data)
{
    gsize start;
    (void)data;
    run(f, "b 0x1000");
    run(f, "b 0x2000");
    g_autofree char *names = completed(f, "delete ", &start);
    g_assert_cmpstr(names, ==, "1 2");
}

static void test_common_prefix(void)
{
    static const struct { const char *names, *prefix; } rows[] = {
        { "", "" }, { "abc", "abc" }, { "abc abd", "ab" }, { "abc x", "" }, { "ab abc", "ab" },
        { "a\303\251 a\303\250", "a" },
    };
    for (unsigned k = 0; k < G_N_ELEMENTS(rows); k++) {
        g_auto(GStrv) words = g_strsplit(rows[k].names, " ", -1);
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        for (char **w = words; *w; w++)
            g_ptr_array_add(names, *w);
        g_autofree char *prefix = command_common_prefix(names);
        g_assert_cmpstr(prefix, ==, rows[k].prefix);
    }
}

/* ---- what faces do ---- */

typedef struct Heard {
    GString *keys;
    int dx, dy, dz;
    unsigned buttons;
} Heard;

static void heard_key(void *opaque, unsigned usage, bool down)
{
    g_string_append_printf(((Heard *)opaque)->keys, "%c%02x ", down ? '+' : '-', usage);
}

static void heard_motion(void *opaque, int dx, int dy, int dz, unsigned buttons)
{
    Heard *h = opaque;
    h->dx += dx;
    h->dy += dy;
    h->dz += dz;
    h->buttons = buttons;
}

static const InputSink heard_sink = { .name = "both in one", .key = heard_key, .motion = heard_motion };

static void test_faces(Fixture *f, gconstpointer data)
{
    Heard h = { .keys = g_string_new(NULL) };
    (void)data;
    expect(f, "type \"a\"", "type: this machine has no keyboard\n");
    expect(f, "mouse_move 1 2", "this machine has no mouse\n");
    expect(f, "info mice", "");
    input_add(f->machine, &heard_sink, &h, true);
    expect(f, "info mice", "* Mouse #0: both in one\n");
    expect(f, "type \"\\e\"", "");
    g_assert_cmpstr(h.keys->str, ==, "+29 ");
    expect(f, "type \"\303\261\\n\"", "type: 1 characters are left out: the layout 'us' (-k) does not have them\n");
    expect(f, "type", "usage: type \"TEXT\", e.g. type \"ls -l\\n\"\n");
    expect(f, "mouse_move 5 -3 1", "");
    g_assert_cmpint(h.dx, ==, 5);
    g_assert_cmpint(h.dy, ==, -3);
    g_assert_cmpint(h.dz, ==, -1); /* the wheel away from the user */
    expect(f, "mouse_move 5", "usage: mouse_move DX DY [DZ], in dots; DZ: steps of the wheel, away from the user\n");
    expect(f, "mouse_move 5 x", "'x' is no number\n");
    expect(f, "mouse_move 1 2 3 4", "'4' is one number too many\n");
    expect(f, "mouse_button 5", "");
    g_assert_cmpuint(h.buttons, ==, 5);
    expect_part(f, "mouse_button 32", "usage: mouse_button HELD");
    expect(f, "mouse_place 1 2", "this machine has no screen\n");
    expect(f, "screendump x", "this machine has no screen\n");
    expect(f, "screendump x -f gif", "-f: there is png and ppm\n");
    expect(f, "screendump", "usage: screendump FILE [-f png|ppm] [SCREEN]\n");
    expect(f, "record_screen x 1", "this machine has no screen 1\n");
    expect(f, "record_screen stop", "record_screen: nothing is being recorded\n");
    expect(f, "display_add none", "");
    expect_part(f, "display_add nothing", "-display: unknown display 'nothing'");
    expect(f, "display_del none", "there is no display 'none': 'info displays' lists those that are open\n");
    expect(f, "info displays", "");
    input_remove(f->machine, &h);
    g_string_free(h.keys, TRUE);
}

/* ---- any line at all ---- */

/* What ends the process, runs other files, or writes them. */
static const char *const left_out[] = {
    "quit", "screendump", "script", "dump-guest-memory", "memsave", "pmemsave", "savemem", "trace", "profile", "gdbserver",
    "savevm", "record_screen", "display_add",
    NULL,
};

static const char *const arguments[] = {
    "", "0", "1", "-1", "0x", "0x1000", "4096", "0xffffffffffffffff", "18446744073709551616", "1e9", "0b2", "'A'",
    "'", "\"", "\"a b\"", "rax", "$rip", "$", "cs:0", "0:0x1000", ":", "u8[rsp]", "u64[", "*(u32 *)rsp",
    "((((((((", "))))", "1/0", "1%0", "1<<64", "-9223372036854775808/-1", "a->b", "/", "/0", "/8xg", "/99i",
    "/-1x", "/3s", "/zz", "/18446744073709551616x", "if", "if rax", "if (", "cpu 0", "cpu 9", "cr3 0", "on", "off",
    "auto", "r", "w", "a", "80-90", "90-80", "exception", "#GP", "interrupt 256", "triple-fault", "info", "all",
    "%s%n", "\\", "\377\376", "\303", "*", "?", "#", "=", "rax=1", "$rip=", "...",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
};

static const char *pick_name(GRand *r)
{
    const GPtrArray *rows = command_rows(g_rand_boolean(r));
    return ((const CommandRow *)rows->pdata[g_rand_int_range(r, 0, rows->len)])->name;
}

static void mutate(GRand *r, GString *line)
{
    for (unsigned n = g_rand_int_range(r, 0, 4); n && line->len; n--) {
        gsize at = g_rand_int_range(r, 0, line->len);
        switch (g_rand_int_range(r, 0, 4)) {
        case 0: line->str[at] = g_rand_int_range(r, 1, 256); break;
        case 1: g_string_erase(line, at, 1); break;
        case 2: g_string_insert_c(line, at, g_rand_int_range(r, 1, 256)); break;
        default: g_string_insert_len(line, at, line->str, g_rand_int_range(r, 0, line->len)); break;
        }
    }
}

static GString *make_line(GRand *r)
{
    GString *line = g_string_new(g_rand_int_range(r, 0, 3) ? "" : "info ");
    g_string_append(line, pick_name(r));
    for (unsigned n = g_rand_int_range(r, 0, 5); n; n--)
        g_string_append_printf(line, "%s%s", g_rand_int_range(r, 0, 8) ? " " : ";",
                               g_rand_int_range(r, 0, 8) ? arguments[g_rand_int_range(r, 0, G_N_ELEMENTS(arguments))]
                                                         : pick_name(r));
    if (g_rand_boolean(r))
        mutate(r, line);
    return line;
}

static bool is_harmless(const char *line)
{
    bool harmless = true;
    GQueue all = G_QUEUE_INIT;
    statements_parse(line, &all);
    for (Statement *s; (s = g_queue_pop_head(&all)); statement_free(s)) {
        g_autofree char *name = g_strndup(s->text, strcspn(s->text, " \t/"));
        const CommandRow *row = command_resolve(name, false, NULL);
        for (const char *const *l = left_out; row && *l; l++)
            harmless &= strcmp(row->name, *l) != 0;
    }
    return harmless;
}

/* ---- savevm, loadvm ---- */

static uint8_t *memory_at(Fixture *f, uint64_t gpa) { return (uint8_t *)region_host(f->ram) + gpa; }

/* A running machine goes on after both. */
static void test_saved(Fixture *f, gconstpointer data)
{
    g_autofree char *path = file(f, "state"), *save = g_strdup_printf("savevm \"%s\"", path);
    g_autofree char *load = g_strdup_printf("loadvm \"%s\"", path);
    struct stat st;
    (void)data;

    *memory_at(f, 0x9000) = 0x5a;
    machine_resume(f->machine);
    expect(f, save, "");
    g_assert_cmpint(f->machine->run_state, ==, RUN_RUNNING);
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmphex(st.st_mode & 0777, ==, 0600);
    *memory_at(f, 0x9000) = *memory_at(f, 0xa000) = 0x77;
    expect(f, load, "");
    g_assert_cmpint(f->machine->run_state, ==, RUN_RUNNING);
    machine_pause(f->machine);
    g_assert_cmphex(*memory_at(f, 0x9000), ==, 0x5a);
    g_assert_cmphex(*memory_at(f, 0xa000), ==, 0);
}

/* What cannot be read, and what can be read in part only, changes nothing. */
static void test_saved_mistakes(Fixture *f, gconstpointer data)
{
    g_autofree char *path = file(f, "state"), *save = g_strdup_printf("savevm \"%s\"", path), *content = NULL;
    g_autofree char *load = g_strdup_printf("loadvm \"%s\"", path);
    g_autofree char *folder = g_strdup_printf("loadvm \"%s\"", f->folder);
    g_autofree char *nowhere = g_strdup_printf("savevm \"%s/none/state\"", f->folder);
    gsize size;
    (void)data;

    expect(f, "savevm", "usage: savevm FILE\n");
    expect(f, "loadvm a b", "usage: loadvm FILE\n");
    expect_part(f, nowhere, "No such file");
    expect_part(f, load, "No such file");
    expect_part(f, folder, "is no regular file");
    expect(f, "loadvm /dev/zero", "loadvm: '/dev/zero' is no regular file\n");
    f->cpu->rip = 0x1234;
    write_file(f, "state", "MYNASAUE");
    expect_part(f, load, "this is not a saved machine");
    g_assert_cmphex(f->cpu->rip, ==, 0x1234);
    expect(f, save, "");
    g_assert_true(g_file_get_contents(path, &content, &size, NULL));
    g_assert_true(g_file_set_contents(path, content, size - 1, NULL));
    expect_part(f, load, "is cut off after");
    g_assert_cmphex(f->cpu->rip, ==, 0x1234);
    content[8] = 99;
    g_assert_true(g_file_set_contents(path, content, size, NULL));
    expect_part(f, load, "has version 99; this program reads version");
}

static void fuzz_line(Fixture *f, const char *line)
{
    gsize start;
    run(f, "");
    command_execute(f->machine, NULL, line, f->out);
    g_ptr_array_unref(command_complete(f->machine, line, &start));
    g_assert_cmpuint(start, <=, strlen(line));
}

static void test_fuzz(Fixture *f, gconstpointer data)
{
    GRand *r = g_rand_new_with_seed(20261127);
    (void)data;
    g_assert_cmpint(chdir(f->folder), ==, 0);
    for (unsigned k = 0; k < FUZZ_LINES; k++) {
        GString *line = make_line(r);
        if (is_harmless(line->str))
            fuzz_line(f, line->str);
        g_string_free(line, TRUE);
        if (k % 64 == 0) {
            machine_pause(f->machine);
            command_cancel_all(f->machine);
            run(f, "delete");
            for (unsigned n = 0; n < 32 && g_main_context_iteration(f->machine->context, FALSE); n++)
                ;
        }
    }
    g_rand_free(r);
    run(f, "delete");
    machine_pause(f->machine);
    expect(f, "echo still there", "still there\n");
    g_assert_cmpint(chdir("/"), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
#define ADD(name, fn) g_test_add("/monitor/" name, Fixture, NULL, setup, fn, teardown)
    g_test_add_func("/monitor/words", test_words);
    g_test_add_func("/monitor/statements", test_statements);
    ADD("names", test_names);
    ADD("help", test_help);
    ADD("sinks", test_sinks);
    ADD("long-pipe", test_long_pipe);
    ADD("stepping-line", test_stepping_line);
    ADD("script", test_script);
    ADD("bad-scripts", test_bad_scripts);
    ADD("wait", test_wait);
    ADD("cancel", test_cancel);
    ADD("file-at-start", test_file_at_start);
    ADD("completion", test_completion);
    ADD("completed-files", test_completed_files);
    ADD("completed-stops", test_completed_stops);
    g_test_add_func("/monitor/common-prefix", test_common_prefix);
    ADD("faces", test_faces);
    ADD("saved", test_saved);
    ADD("saved-mistakes", test_saved_mistakes);
    ADD("fuzz", test_fuzz);
    return g_test_run();
}
