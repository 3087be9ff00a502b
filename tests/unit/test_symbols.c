/* Symbols, lines, types and variables (debugger/symbols/symbols.h) of texts, of ELF files made by hand, and of this program. */
#include "config.h"

#include <glib/gstdio.h>
#include <stddef.h>
#include <string.h>

#include "debugger/expression/expression.h"
#include "debugger/symbols/source.h"
#include "debugger/symbols/symbols.h"
#include "debugger/unwind/unwind.h"
#include "subject.h"
#include "util/endian.h"

/* ---- files ---- */

static char *write_file(const void *data, gsize size)
{
    char *path = g_build_filename(g_get_tmp_dir(), "myna-symbols-XXXXXX", NULL);
    int fd = g_mkstemp(path);
    g_assert_cmpint(fd, >=, 0);
    g_close(fd, NULL);
    g_assert_true(g_file_set_contents(path, data, size, NULL));
    return path;
}

static unsigned load_bytes(Symbols *s, const void *data, gsize size, int64_t offset)
{
    g_autofree char *path = write_file(data, size);
    g_autoptr(GError) err = NULL;
    unsigned count = 0;
    symbols_load(s, path, offset, &count, &err);
    g_assert_no_error(err);
    g_unlink(path);
    return count;
}

static unsigned load(Symbols *s, const char *text, int64_t offset) { return load_bytes(s, text, strlen(text), offset); }

/* One line that names the file. */
static void refuses(const void *data, gsize size, const char *why)
{
    g_autofree char *path = write_file(data, size);
    g_autoptr(GError) err = NULL;
    Symbols *s = symbols_new();
    g_assert_false(symbols_load(s, path, 0, NULL, &err));
    g_assert_true(g_str_has_prefix(err->message, path));
    g_assert_null(strchr(err->message, '\n'));
    g_assert_nonnull(strstr(err->message, why));
    symbols_free(s);
    g_unlink(path);
}

static uint64_t find(const Symbols *s, const char *name)
{
    uint64_t address = 0xdead;
    g_assert_true(symbols_find(s, name, &address));
    return address;
}

static void names(const Symbols *s, uint64_t address, const char *text)
{
    g_autoptr(GString) out = g_string_new(NULL);
    symbols_print(s, address, out);
    g_assert_cmpstr(out->str, ==, text);
}

/* ---- texts ---- */

static void test_system_map(void)
{
    Symbols *s = symbols_new();
    uint64_t v;
    g_assert_cmpuint(load(s, "0000000000000000 D __per_cpu_start\n0000000000000010 D counter\n"
                             "0000000000000100 D __per_cpu_end\n"
                             "ffffffff81000000 T _text\nffffffff81000000 t local\nffffffff81000040 t f\n"
                             "ffffffff81000080 T f\nffffffff81000100 B _end\n"
                             "                 U printf\n", 0x1000), ==, 8);
    g_assert_cmphex(find(s, "_text"), ==, 0xffffffff81001000);
    g_assert_cmphex(find(s, "f"), ==, 0xffffffff81001080); /* the global one */
    g_assert_cmphex(find(s, "counter"), ==, 0x10);         /* an offset: not moved */
    g_assert_false(symbols_find(s, "printf", &v));
    g_assert_false(symbols_find(s, "_tex", &v));
    names(s, 0xffffffff81001000, " <_text>");
    names(s, 0xffffffff81001044, " <f+0x4>");
    names(s, 0x10, "");
    names(s, 0xffffffff81000fff, "");
    names(s, 0xffffffff83001100, "");                      /* far behind the last */
    symbols_free(s);
}

static void test_bochs(void)
{
    Symbols *s = symbols_new();
    g_assert_cmpuint(load(s, "# comment\n00007c00 start\r\n\n 0x7c10 loop\n07c0:0020 data\na lonely\n", 0), ==, 4);
    g_assert_cmphex(find(s, "start"), ==, 0x7c00);
    g_assert_cmphex(find(s, "data"), ==, 0x7c20);
    g_assert_cmphex(find(s, "lonely"), ==, 10);
    names(s, 0x7c13, " <loop+0x3>");
    symbols_free(s);
}

static void test_nm(void)
{
    Symbols *s = symbols_new();
    load(s, "0000000000001000 0000000000000010 T sized\n0000000000001100 T open\n                 w weak\n", 0);
    names(s, 0x100f, " <sized+0xf>");
    names(s, 0x1010, "");
    names(s, 0x1200, " <open+0x100>");
    symbols_free(s);
}

static void test_bad_texts(void)
{
    refuses("", 0, "no symbols");
    refuses("# nothing\n", 10, "no symbols");
    refuses("1000 T a\nhello world again\n", 27, "line 2 is 'hello world again'");
    refuses("11112222333344445 T a\n", 22, "line 1");
    refuses("1000 T a\n\0\n", 11, "neither an ELF file nor");
    g_autoptr(GError) err = NULL;
    Symbols *s = symbols_new();
    g_assert_false(symbols_load(s, "/nonexistent/file", 0, NULL, &err));
    g_assert_nonnull(strstr(err->message, "/nonexistent/file"));
    g_clear_error(&err);
    g_assert_false(symbols_load(s, "/tmp", 0, NULL, &err));
    g_assert_nonnull(strstr(err->message, "not a regular file"));
    symbols_free(s);
}

static void test_reload(void)
{
    Symbols *s = symbols_new();
    g_autofree char *path = write_file("1000 T old\n", 11);
    g_autoptr(GString) out = g_string_new(NULL);
    uint64_t v;
    unsigned before;
    g_assert_true(symbols_load(s, path, 0, NULL, NULL));
    before = symbols_changes(s);
    g_assert_true(g_file_set_contents(path, "2000 T new\n", -1, NULL));
    g_assert_true(symbols_load(s, path, 0x100, NULL, NULL));
    g_assert_cmpuint(symbols_changes(s), !=, before);
    g_assert_false(symbols_find(s, "old", &v));
    g_assert_cmphex(find(s, "new"), ==, 0x2100);
    g_assert_true(g_file_set_contents(path, "what is this\n", -1, NULL)); /* a broken file leaves all as it was */
    g_assert_false(symbols_load(s, path, 0, NULL, NULL));
    g_assert_cmphex(find(s, "new"), ==, 0x2100);
    symbols_list_files(s, out);
    g_assert_nonnull(strstr(out->str, "at 0x100: 1 symbols\n"));
    g_assert_true(symbols_unload(s, path));
    g_assert_false(symbols_unload(s, path));
    g_assert_false(symbols_find(s, "new", &v));
    g_unlink(path);
    symbols_free(s);
}

static void test_completion(void)
{
    Symbols *s = symbols_new();
    load(s, "1 T sys_read\n2 T sys_write\n3 T sysfs\n4 T start\n5 t sys_read\n", 0);
    g_autoptr(GPtrArray) all = symbols_complete(s, "sys_", 10), two = symbols_complete(s, "", 2);
    g_assert_cmpuint(all->len, ==, 2);
    g_assert_cmpstr(all->pdata[0], ==, "sys_read");
    g_assert_cmpstr(all->pdata[1], ==, "sys_write");
    g_assert_cmpuint(two->len, ==, 2);
    symbols_free(s);
}

/* A name for each address of a large file is the one that a search from its beginning finds. */
static void test_large(void)
{
    Symbols *s = symbols_new();
    g_autoptr(GString) text = g_string_new(NULL);
    enum { COUNT = 50000 };
    for (unsigned k = 0; k < COUNT; k++)
        g_string_append_printf(text, "%x T s%u\n", 0x100000 + k * 48271 % COUNT * 16, k);
    g_assert_cmpuint(load(s, text->str, 0), ==, COUNT);
    for (unsigned k = 0; k < COUNT; k += 7) {
        g_autofree char *name = g_strdup_printf("s%u", k);
        uint64_t distance, address = 0x100000 + k * 48271 % COUNT * 16;
        g_assert_cmphex(find(s, name), ==, address);
        g_assert_cmpstr(symbols_name(s, address + 15, &distance), ==, name);
        g_assert_cmpuint(distance, ==, 15);
    }
    symbols_free(s);
}

/* ---- ELF files made by hand ---- */

#ifdef CONFIG_LIBDW

typedef struct Maker {
    bool wide, big;
    GByteArray *out;
} Maker;

static void put(Maker *m, uint64_t v, unsigned size)
{
    for (unsigned k = 0; k < size; k++) {
        uint8_t byte = v >> 8 * (m->big ? size - 1 - k : k);
        g_byte_array_append(m->out, &byte, 1);
    }
}

static void put_word(Maker *m, uint64_t v) { put(m, v, m->wide ? 8 : 4); }

static void put_section(Maker *m, unsigned name, unsigned type, unsigned flags, uint64_t address, unsigned offset,
                        unsigned size, unsigned link, unsigned entry)
{
    put(m, name, 4), put(m, type, 4);
    put_word(m, flags), put_word(m, address), put_word(m, offset), put_word(m, size);
    put(m, link, 4), put(m, 1, 4);
    put_word(m, 1), put_word(m, entry);
}

static void put_symbol(Maker *m, unsigned name, uint64_t value, unsigned size, unsigned info, unsigned section)
{
    put(m, name, 4);
    if (m->wide) {
        put(m, info, 1), put(m, 0, 1), put(m, section, 2), put(m, value, 8), put(m, size, 8);
    } else {
        put(m, value, 4), put(m, size, 4), put(m, info, 1), put(m, 0, 1), put(m, section, 2);
    }
}

#define STRINGS "\0main\0label\0number\0hidden"
#define SECTIONS "\0.text\0.symtab\0.strtab\0.shstrtab"

/* Header, .text of 0x100 bytes at 0x100000, symbols, strings, sections. */
static GByteArray *make_elf(bool wide, bool big)
{
    Maker m = { .wide = wide, .big = big, .out = g_byte_array_new() };
    unsigned header = wide ? 64 : 52, symbol = wide ? 24 : 16, symbols = header + 0x100, strings = symbols + 5 * symbol;
    unsigned section_names = strings + sizeof STRINGS, sections = section_names + sizeof SECTIONS;
    uint8_t ident[16] = { 0x7f, 'E', 'L', 'F', wide ? 2 : 1, big ? 2 : 1, 1 }, text[0x100] = { 0 };
    g_byte_array_append(m.out, ident, sizeof ident);
    put(&m, 2, 2), put(&m, wide ? 62 : 3, 2), put(&m, 1, 4);
    put_word(&m, 0x100000), put_word(&m, 0), put_word(&m, sections);
    put(&m, 0, 4), put(&m, header, 2), put(&m, 0, 2), put(&m, 0, 2), put(&m, wide ? 64 : 40, 2), put(&m, 5, 2);
    put(&m, 4, 2);
    g_byte_array_append(m.out, text, sizeof text);
    put_symbol(&m, 0, 0, 0, 0, 0);
    put_symbol(&m, 19, 0x100080, 0x10, 0x02, 1);  /* hidden: local function */
    put_symbol(&m, 1, 0x100000, 0x20, 0x12, 1);   /* main: global function */
    put_symbol(&m, 6, 0x100040, 0, 0x10, 1);      /* label: global, without size or type */
    put_symbol(&m, 12, 0x1234, 0, 0x10, 0xfff1);  /* number: absolute */
    g_byte_array_append(m.out, (const uint8_t *)STRINGS, sizeof STRINGS);
    g_byte_array_append(m.out, (const uint8_t *)SECTIONS, sizeof SECTIONS);
    put_section(&m, 0, 0, 0, 0, 0, 0, 0, 0);
    put_section(&m, 1, 1, 6, 0x100000, header, 0x100, 0, 0);
    put_section(&m, 7, 2, 0, 0, symbols, 5 * symbol, 3, symbol);
    put_section(&m, 15, 3, 0, 0, strings, sizeof STRINGS, 0, 0);
    put_section(&m, 23, 3, 0, 0, section_names, sizeof SECTIONS, 0, 0);
    return m.out;
}

static void test_elf(void)
{
    for (unsigned k = 0; k < 4; k++) {
        g_autoptr(GByteArray) elf = make_elf(k & 1, k & 2);
        Symbols *s = symbols_new();
        g_assert_cmpuint(load_bytes(s, elf->data, elf->len, 0x1000), ==, 4);
        g_assert_cmphex(find(s, "main"), ==, 0x101000);
        g_assert_cmphex(find(s, "label"), ==, 0x101040);
        g_assert_cmphex(find(s, "hidden"), ==, 0x101080);
        g_assert_cmphex(find(s, "number"), ==, 0x1234);
        names(s, 0x10101f, " <main+0x1f>");
        names(s, 0x101020, "");
        names(s, 0x10107f, " <label+0x3f>");
        names(s, 0x1010ff, "");               /* behind hidden; the label before it ended there */
        names(s, 0x1234, "");
        symbols_free(s);
    }
}

/* Whatever a file says: a set of symbols, or one line about it. */
static void load_any(const uint8_t *data, gsize size)
{
    g_autofree char *path = write_file(data, size);
    g_autoptr(GError) err = NULL;
    Symbols *s = symbols_new();
    uint64_t distance;
    bool loaded = symbols_load(s, path, 0, NULL, &err);
    g_assert_true(loaded == !err);
    g_assert_true(loaded || (g_str_has_prefix(err->message, path) && !strchr(err->message, '\n')));
    symbols_name(s, 0x100010, &distance);
    symbols_free(s);
    g_unlink(path);
}

static void test_broken_elf(void)
{
    for (unsigned k = 0; k < 4; k++) {
        g_autoptr(GByteArray) elf = make_elf(k & 1, k & 2);
        for (unsigned size = 4; size < elf->len; size += 1 + size / 16)
            load_any(elf->data, size);
        for (unsigned n = 0; n < 500; n++) {
            g_autofree uint8_t *copy = g_memdup2(elf->data, elf->len);
            for (int flips = g_test_rand_int_range(1, 6); flips; flips--)
                copy[g_test_rand_int_range(4, elf->len)] = g_test_rand_int();
            load_any(copy, elf->len);
        }
        refuses(elf->data, 40, "ELF");
    }
}

/* ---- this program's own DWARF data ---- */

typedef enum Color { RED, GREEN = 5, BLUE } Color;

typedef struct Inner {
    char letters[8];
    struct Inner *next;
} Inner;

typedef struct Sample {
    unsigned int count;
    short numbers[3][2];
    Inner inner, *link;
    union {
        long whole;
        unsigned char bytes[8];
    };
    unsigned low : 3, high : 11;
    int signed_field : 5;
    Color color;
    double ratio;
    int (*function)(struct Sample *, int);
} Sample;

Sample global_sample = { .count = 1 };
unsigned line_of_marker;

__attribute__((noinline)) int marker_function(Sample *sample, int number);
__attribute__((noinline)) int marker_function(Sample *sample, int number) { line_of_marker = __LINE__;
    sample->count += number;
    return sample->count;
}

/* Loads this program as it would lie without relocation. */
static Symbols *load_self(Symbols *s)
{
    g_autoptr(GError) err = NULL;
    unsigned count;
    symbols_load(s, "/proc/self/exe", 0, &count, &err);
    g_assert_no_error(err);
    g_assert_cmpuint(count, >, 100);
    return s;
}

static bool has_self(void)
{
    if (g_file_test("/proc/self/exe", G_FILE_TEST_EXISTS))
        return true;
    g_test_skip("no /proc/self/exe");
    return false;
}

static void test_lines(void)
{
    if (!has_self())
        return;
    Symbols *s = load_self(symbols_new());
    marker_function(&global_sample, 1);
    uint64_t address = find(s, "marker_function"), first, end;
    const char *file = NULL;
    unsigned line = 0;
    g_assert_cmphex(address - find(s, "test_lines"), ==,
                    (uint64_t)((uintptr_t)marker_function - (uintptr_t)test_lines));
    g_assert_true(symbols_line(s, address, &file, &line));
    g_assert_cmpuint(line, ==, line_of_marker);
    g_assert_true(g_str_has_suffix(file, "tests/unit/test_symbols.c"));
    g_assert_true(symbols_bounds(s, address, &first, &end));
    uint64_t behind = symbols_behind_prologue(s, address);
    g_assert_true(behind >= address && behind < end);
    g_autoptr(GArray) all = symbols_line_addresses(s, "test_symbols.c", line_of_marker + 1);
    g_assert_cmpuint(all->len, >, 0);
    g_assert_true(g_array_index(all, uint64_t, 0) >= address && g_array_index(all, uint64_t, 0) < end);
    g_autoptr(GArray) none = symbols_line_addresses(s, "ymbols.c", 1);
    g_autoptr(GArray) far = symbols_line_addresses(s, "test_symbols.c", 99999);
    g_assert_cmpuint(none->len + far->len, ==, 0);
    symbols_free(s);
}

static Subject subject_with_self(void)
{
    Subject s = subject_new("max");
    subject_enter_flat32(&s);
    machine_provide(s.cpu->machine, "cpu0", s.cpu);
    g_test_queue_destroy((GDestroyNotify)debugger_free, s.cpu->machine);
    load_self(debugger_symbols(debugger_of(s.cpu->machine)));
    return s;
}

static uint64_t value(const Subject *s, const char *text)
{
    g_autoptr(GError) err = NULL;
    uint64_t v = 0;
    Expression *e = expression_parse(debugger_of(s->cpu->machine), s->cpu, text, &err);
    g_assert_no_error(err);
    expression_value(e, s->cpu, &v, &err);
    g_assert_no_error(err);
    expression_free(e);
    return v;
}

static char *shown(const Subject *s, const char *text, int type)
{
    GString *out = g_string_new(NULL);
    g_autoptr(GError) err = NULL;
    Expression *e = expression_parse(debugger_of(s->cpu->machine), s->cpu, text, &err);
    g_assert_no_error(err);
    if (type < 0)
        expression_print(e, s->cpu, 0, out, &err);
    else
        expression_print_type(e, type, out, &err);
    g_assert_no_error(err);
    expression_free(e);
    return g_string_free(out, FALSE);
}

static void shows(const Subject *s, const char *text, int type, const char *expected)
{
    g_autofree char *is = shown(s, text, type);
    g_assert_cmpstr(is, ==, expected);
}

static void test_types(void)
{
    if (!has_self())
        return;
    Subject s = subject_with_self();
    g_assert_cmpuint(value(&s, "sizeof(struct Sample)"), ==, sizeof(Sample));
    g_assert_cmpuint(value(&s, "sizeof(Sample)"), ==, sizeof(Sample));
    g_assert_cmpuint(value(&s, "&((Sample *)0)->inner.next"), ==, offsetof(Sample, inner.next));
    g_assert_cmpuint(value(&s, "&((struct Sample *)16)->numbers[2][1]"), ==, 16 + offsetof(Sample, numbers[2][1]));
    g_assert_cmpuint(value(&s, "&((Sample *)0)->whole"), ==, offsetof(Sample, whole));
    g_assert_cmpuint(value(&s, "sizeof global_sample.inner"), ==, sizeof(Inner));
    g_assert_cmpuint(value(&s, "BLUE"), ==, BLUE);
    shows(&s, "GREEN", -1, "GREEN (5)");
    shows(&s, "global_sample", false, "Sample");
    shows(&s, "&global_sample.numbers", false, "short (*)[3][2]");
    shows(&s, "global_sample.function", false, "int (*)(struct Sample *, int)");
    shows(&s, "marker_function", false, "int (Sample *, int)");
    shows(&s, "struct Inner", true, "struct Inner {\n    char letters[8];\n    struct Inner *next;\n}");
    shows(&s, "Color", true, "enum Color {RED, GREEN = 5, BLUE}");
    g_autofree char *whole = shown(&s, "Sample", true);
    g_assert_nonnull(strstr(whole, "unsigned int high : 11;\n"));
}

static void test_values(void)
{
    if (!has_self() || HOST_BIG_ENDIAN) /* whose structures are not those of an x86 guest */
        return;
    Subject s = subject_with_self();
    Sample sample = { .count = 42, .numbers = { { 1, -2 }, { 3, 4 }, { 5, 6 } }, .inner.letters = "hello", .low = 5,
                      .high = 1234, .signed_field = -3, .color = GREEN, .ratio = 2.5, .bytes = { 1, 2 } };
    memcpy(s.ram + 0x1000, &sample, sizeof sample);
    s.cpu->gpr[R_BX] = 0x1000;
    g_assert_cmpuint(value(&s, "((Sample *)rbx)->count"), ==, 42);
    g_assert_cmpint(value(&s, "((Sample *)rbx)->numbers[0][1]"), ==, -2);
    g_assert_cmpuint(value(&s, "((Sample *)rbx)->low"), ==, 5);
    g_assert_cmpuint(value(&s, "((Sample *)rbx)->high"), ==, 1234);
    g_assert_cmpint(value(&s, "((Sample *)rbx)->signed_field"), ==, -3);
    g_assert_cmpuint(value(&s, "((Sample *)rbx)->bytes[1]"), ==, 2);
    g_assert_cmpuint(value(&s, "((Sample *)rbx)->color == GREEN"), ==, 1);
    shows(&s, "((Sample *)rbx)->inner.letters", -1, "\"hello\"");
    shows(&s, "((Sample *)rbx)->numbers", -1, "{{1, -2}, {3, 4}, {5, 6}}");
    shows(&s, "((Sample *)rbx)->color", -1, "GREEN (5)");
    shows(&s, "((Sample *)rbx)->ratio", -1, "2.5");
    shows(&s, "((Sample *)rbx)->inner", -1, "{letters = \"hello\", next = 0x0}");
    g_autoptr(GError) err = NULL;
    Debugger *d = debugger_of(s.cpu->machine);
    Expression *e = expression_parse(d, s.cpu, "((Sample *)rbx)->high", &err);
    g_assert_true(expression_assign(e, s.cpu, 77, &err));
    expression_free(e);
    memcpy(&sample, s.ram + 0x1000, sizeof sample);
    g_assert_cmpuint(sample.high, ==, 77);
    g_assert_cmpuint(sample.low, ==, 5);
    g_assert_cmpint(sample.signed_field, ==, -3);
    g_assert_null(expression_parse(d, s.cpu, "((Sample *)rbx)->nosuch", &err));
    g_assert_nonnull(strstr(err->message, "has no member 'nosuch'"));
}

/* At its first instruction, a function's parameters are where the psABI has them. */
static void test_locals(void)
{
#ifdef __x86_64__
    if (!has_self())
        return;
    Subject s = subject_with_self();
    Frame f = frame_innermost(s.cpu);
    const Symbols *symbols = debugger_symbols(debugger_of(s.cpu->machine));
    f.pc = find(symbols, "marker_function");
    f.code_size = SZ64;
    f.reg[DWARF_RDI] = 0x1000;
    f.reg[DWARF_RSI] = 7;
    Expression *e = expression_parse_in(debugger_of(s.cpu->machine), s.cpu, &f, "number + 1", NULL, NULL);
    uint64_t v = 0;
    g_assert_nonnull(e);
    g_assert_true(expression_value(e, s.cpu, &v, NULL));
    expression_free(e);
    g_assert_cmpuint(v, ==, 8);
#else
    g_test_skip("registers of another host");
#endif
}

#endif

/* ---- source text ---- */

static void test_source(void)
{
    g_autofree char *path = write_file("one\ntwo\nthree\nfour\n", 19), *folder = g_path_get_dirname(path);
    g_autofree char *base = g_path_get_basename(path), *elsewhere = g_build_filename("/build/src", base, NULL);
    g_autoptr(GString) out = g_string_new(NULL);
    Source *s = source_new();
    g_assert_true(source_list(s, elsewhere, NULL, 2, 3, out));
    g_assert_nonnull(strstr(out->str, "directory FOLDER"));
    g_string_truncate(out, 0);
    source_add_folder(s, folder);
    g_assert_true(source_list(s, elsewhere, NULL, 2, 3, out));
    g_assert_cmpstr(out->str, ==, "2\ttwo\n3\tthree\n");
    source_add_folder(s, NULL);
    g_string_truncate(out, 0);
    source_substitute(s, "/build/src", folder);
    g_assert_false(source_list(s, s->file, s->folder, 5, 6, out));
    g_assert_true(source_list(s, s->file, s->folder, 4, 6, out));
    g_assert_cmpstr(out->str, ==, "4\tfour\n");
    source_free(s);
    g_unlink(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/symbols/system-map", test_system_map);
    g_test_add_func("/symbols/bochs", test_bochs);
    g_test_add_func("/symbols/nm", test_nm);
    g_test_add_func("/symbols/bad-texts", test_bad_texts);
    g_test_add_func("/symbols/reload", test_reload);
    g_test_add_func("/symbols/completion", test_completion);
    g_test_add_func("/symbols/large", test_large);
    g_test_add_func("/symbols/source", test_source);
#ifdef CONFIG_LIBDW
    g_test_add_func("/symbols/elf", test_elf);
    g_test_add_func("/symbols/broken-elf", test_broken_elf);
    g_test_add_func("/symbols/lines", test_lines);
    g_test_add_func("/symbols/types", test_types);
    g_test_add_func("/symbols/values", test_values);
    g_test_add_func("/symbols/locals", test_locals);
#endif
    return g_test_run();
}
