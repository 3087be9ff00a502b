/* Commands that look at memory: x, xp, print-stack. */
#include <inttypes.h>
#include <string.h>

#include "debugger/commands/command.h"
#include "debugger/commands/disassemble.h"
#include "debugger/monitor/monitor.h"
#include "debugger/symbols/symbols.h"
#include "util/bits.h"
#include "util/endian.h"

enum { COUNT_MAX = 65536, STRING_MAX = 200 };

/* x and xp: /COUNT FORMAT SIZE as gdb, QEMU and Bochs have them. */
typedef struct Dump {
    CodeView view;
    uint64_t count;
    unsigned size;     /* bytes of each; 0: not said */
    char format;
    uint64_t address;
} Dump;

static const char formats[] = "xduotcsimaf", sizes[] = "bhwg";

static bool bad_format(MonitorCommand *c, char letter)
{
    g_string_append_printf(c->out, "'%c' is neither a format (x d u o t c a f s i m) nor a size (b h w g)\n", letter);
    return false;
}

/* Moves *p behind "/8xg" and blanks. */
static bool parse_format(MonitorCommand *c, const char **p, Dump *d)
{
    const char *q = *p;
    char *end;
    if (*q != '/')
        return true;
    q++;
    if (g_ascii_isdigit(*q)) {
        d->count = MIN(g_ascii_strtoull(q, &end, 10), COUNT_MAX);
        q = end;
    }
    for (; *q && !g_ascii_isspace(*q); q++) {
        const char *size = strchr(sizes, *q);
        if (size)
            d->size = 1u << (size - sizes);
        else if (strchr(formats, *q))
            d->format = *q;
        else
            return bad_format(c, *q);
    }
    *p = q + strspn(q, " \t");
    return true;
}

/* ---- values ---- */

static void print_char(uint8_t v, char quote, GString *out)
{
    static const char escapes[] = "\aa\bb\ff\nn\rr\tt\vv";
    const char *e = v ? memchr(escapes, v, sizeof escapes - 1) : NULL;
    if (e && (e - escapes) % 2 == 0)
        g_string_append_printf(out, "\\%c", e[1]);
    else if (v < ' ' || v >= 0x7f)
        g_string_append_printf(out, "\\x%02x", v);
    else
        g_string_append_printf(out, v == quote || v == '\\' ? "\\%c" : "%c", v);
}

static void print_binary(uint64_t v, unsigned bits, GString *out)
{
    g_string_append_c(out, ' ');
    while (bits--)
        g_string_append_c(out, v >> bits & 1 ? '1' : '0');
}

static void print_float(const uint8_t *bytes, unsigned size, GString *out)
{
    union { uint32_t u; float f; } single = { ld32le(bytes) };
    union { uint64_t u; double f; } twice = { size == 8 ? ld64le(bytes) : 0 };
    if (size == 8)
        g_string_append_printf(out, " %.17g", twice.f);
    else
        g_string_append_printf(out, " %.9g", (double)single.f);
}

static void print_value(const Dump *d, const uint8_t *bytes, GString *out)
{
    uint64_t v = ldle(bytes, d->size);
    switch (d->format) {
    case 'd': g_string_append_printf(out, " %" PRId64, sign_extend(v, d->size * 8)); break;
    case 'u': g_string_append_printf(out, " %" PRIu64, v); break;
    case 'o': g_string_append_printf(out, " 0%" PRIo64, v); break;
    case 't': print_binary(v, d->size * 8, out); break;
    case 'f': print_float(bytes, d->size, out); break;
    case 'c':
        g_string_append(out, " '");
        print_char(v, '\'', out);
        g_string_append_c(out, '\'');
        break;
    default: g_string_append_printf(out, " 0x%0*" PRIx64, (int)d->size * 2, v); break;
    }
    if (d->format == 'a')
        symbols_print(d->view.memory.symbols, v, out);
}

static void begin_line(const Dump *d, GString *out)
{
    const MemoryView *m = &d->view.memory;
    g_string_append_printf(out, "%016" PRIx64, d->address);
    if (!m->physical)
        symbols_print(m->symbols, d->address, out);
    g_string_append_c(out, ':');
}

static void cannot_access(const Dump *d, GString *out)
{
    g_string_append_printf(out, " cannot access memory at 0x%" PRIx64 "\n", d->address);
}

static unsigned values_in_line(const Dump *d)
{
    if (d->format == 't' || d->format == 'a')
        return d->format == 'a' ? 1 : MAX(8 / d->size, 1u);
    return MAX((d->format == 'c' ? 8 : 16) / d->size, 1u);
}

static void dump_values(MonitorCommand *c, Dump *d)
{
    unsigned per_line = values_in_line(d);
    for (uint64_t k = 0; k < d->count; k++) {
        uint8_t b[8];
        if (k % per_line == 0) {
            g_string_append(c->out, k ? "\n" : "");
            begin_line(d, c->out);
        }
        if (!memory_view_read(&d->view.memory, d->address, b, d->size)) {
            cannot_access(d, c->out);
            return;
        }
        print_value(d, b, c->out);
        d->address += d->size;
    }
    g_string_append_c(c->out, '\n');
}

/* ---- m: bytes and their characters ---- */

static void dump_row(const uint8_t *b, unsigned n, GString *out)
{
    for (unsigned k = 0; k < 16; k++)
        g_string_append_printf(out, k < n ? " %02x" : "   ", k < n ? b[k] : 0);
    g_string_append(out, "  ");
    for (unsigned k = 0; k < n; k++)
        g_string_append_c(out, b[k] >= ' ' && b[k] < 0x7f ? b[k] : '.');
    g_string_append_c(out, '\n');
}

static void dump_rows(MonitorCommand *c, Dump *d)
{
    for (uint64_t left = d->count * d->size; left;) {
        uint8_t b[16];
        unsigned n = MIN(left, sizeof b);
        begin_line(d, c->out);
        if (!memory_view_read(&d->view.memory, d->address, b, n)) {
            cannot_access(d, c->out);
            return;
        }
        dump_row(b, n, c->out);
        d->address += n;
        left -= n;
    }
}

/* ---- strings and instructions ---- */

/* A string to its end, or so much of it; false when memory ends before. */
static bool print_string(Dump *d, GString *out)
{
    uint8_t b = 1;
    g_string_append(out, " \"");
    for (unsigned k = 0; k < STRING_MAX; k++) {
        if (!memory_view_read(&d->view.memory, d->address, &b, 1))
            return false;
        d->address++;
        if (!b)
            break;
        print_char(b, '"', out);
    }
    g_string_append(out, b ? "\"...\n" : "\"\n");
    return true;
}

static void dump_strings(MonitorCommand *c, Dump *d)
{
    for (uint64_t k = 0; k < d->count; k++) {
        begin_line(d, c->out);
        if (!print_string(d, c->out)) {
            cannot_access(d, c->out);
            return;
        }
    }
}

static void dump_instructions(MonitorCommand *c, Dump *d)
{
    for (uint64_t k = 0; k < d->count && code_view_line(&d->view, &d->address, c->out); k++)
        ;
}

/* ---- x ---- */

static void dump_run(MonitorCommand *c, Dump *d)
{
    unsigned pointer = debugger_cpu(c->debugger)->long_mode ? 8 : 4;
    if (!d->size)
        d->size = strchr("cm", d->format) ? 1 : d->format == 'a' ? pointer : 4;
    if (d->format == 'f')
        d->size = MAX(d->size, 4);
    switch (d->format) {
    case 'i': dump_instructions(c, d); break;
    case 's': dump_strings(c, d); break;
    case 'm': dump_rows(c, d); break;
    default: dump_values(c, d); break;
    }
}

static void dump_memory(MonitorCommand *c, bool physical)
{
    Dump d = { .view = code_view(c, physical), .count = 1, .format = 'x' };
    const char *p = c->arguments;
    if (!parse_format(c, &p, &d) || !code_view_option(c, &d.view, &p))
        return;
    if (!*p) {
        g_string_append(c->out, "usage: x /COUNTFORMATSIZE ADDRESS, e.g. x /8xg rsp or x /5i $pc\n");
    } else if (command_value(c, p, &d.address)) {
        dump_run(c, &d);
        g_autofree char *next = g_strdup_printf("%s %.*s 0x%" PRIx64, physical ? "xp" : "x", (int)(p - c->arguments),
                                                c->arguments, d.address);
        monitor_repeat(c->monitor, next);
    }
}

static void command_x(MonitorCommand *c) { dump_memory(c, false); }
static void command_xp(MonitorCommand *c) { dump_memory(c, true); }

/* ---- print-stack ---- */

static unsigned stack_word(const Cpu *cpu)
{
    if (cpu->code_size == SZ64)
        return 8;
    return cpu->seg[SEG_SS].attr & SA_DB ? 4 : 2;
}

static void command_print_stack(MonitorCommand *c)
{
    MemoryView v = memory_view(c, false);
    unsigned size = stack_word(v.cpu);
    uint64_t count = 16, sp = v.cpu->gpr[R_SP] & v.cpu->sp_mask;
    if (*c->arguments && !command_value(c, c->arguments, &count))
        return;
    for (count = MIN(count, COUNT_MAX); count; count--) {
        uint8_t b[8];
        uint64_t la = cpu_code64(v.cpu) ? sp : (uint32_t)(v.cpu->seg[SEG_SS].base + sp);
        g_string_append_printf(c->out, "0x%0*" PRIx64 ": ", size == 8 ? 16 : 8, la);
        if (!memory_view_read(&v, la, b, size)) {
            g_string_append(c->out, "not mapped\n");
            return;
        }
        g_string_append_printf(c->out, "0x%0*" PRIx64, (int)size * 2, ldle(b, size));
        symbols_print(v.symbols, ldle(b, size), c->out);
        g_string_append_c(c->out, '\n');
        sp = (sp + size) & v.cpu->sp_mask;
    }
}

const CommandRow memory_commands[] = {
    { .name = "print-stack", .arguments = "[WORDS]", .help = "words on the stack, in the width of its mode",
      .run = command_print_stack, .paused = true },
    { .name = "x", .arguments = "/FMT ADDRESS",
      .help = "dump virtual memory: /COUNT, then x d u o t c a f s i m, then b h w g",
      .run = command_x, .completes = COMPLETE_SYMBOL, .paused = true,
      .more = "  x d u o t: hexadecimal, signed, unsigned, octal, binary; c: characters; a: addresses with symbols;\n"
              "  f: floating point; s: strings; i: instructions; m: bytes with their characters.\n"
              "  b h w g: 1, 2, 4, 8 bytes.  x /8xg rsp   x /5i $pc   x /2s 0x1000   x /5i bits=16 cs:ip\n" },
    { .name = "xp", .arguments = "/FMT ADDRESS", .help = "dump physical memory", .run = command_xp, .paused = true },
    { .name = NULL },
};
