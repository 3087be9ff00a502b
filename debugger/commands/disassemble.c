/* Disassembly: lines of code (disassemble.h), and the command u. */
#include "debugger/commands/disassemble.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "debugger/monitor/monitor.h"
#include "debugger/symbols/symbols.h"
#include "util/bits.h"

enum { LONGEST = 15, LINES = 10, LINES_MAX = 65536 };

/* ---- memory ---- */

MemoryView memory_view(MonitorCommand *c, bool physical)
{
    return (MemoryView){ .cpu = debugger_cpu(c->debugger), .symbols = debugger_symbols(c->debugger),
                         .physical = physical };
}

bool memory_view_read(const MemoryView *v, uint64_t address, void *buf, size_t size)
{
    if (!v->physical)
        return debugger_read(v->cpu, address, buf, size);
    as_read_bytes(v->cpu->machine->memory, address, buf, size);
    return true;
}

void memory_view_address(const MemoryView *v, uint64_t address, GString *out)
{
    g_string_append_printf(out, "0x%0*" PRIx64, v->cpu->long_mode || address >> 32 ? 16 : 8, address);
    if (!v->physical)
        symbols_print(v->symbols, address, out);
}

/* ---- ranges ---- */

/* Where a length begins: "+" right before a word, behind a blank. */
static const char *length_in(const char *text)
{
    for (const char *p = text; (p = strchr(p, '+')); p++)
        if (p > text && g_ascii_isspace(p[-1]) && p[1] && !g_ascii_isspace(p[1]))
            return p;
    return NULL;
}

bool memory_from(MonitorCommand *c, const char **p, uint64_t *from)
{
    const char *length = length_in(*p);
    g_autofree char *first = length ? g_strndup(*p, length - *p) : g_strdup(*p);
    const char *rest = first;
    if (!command_next_value(c, &rest, from))
        return false;
    *p += rest - first;
    return true;
}

bool memory_until(MonitorCommand *c, const char **p, uint64_t from, uint64_t *last)
{
    bool length = **p == '+';
    *p += length;
    if (!**p) {
        g_string_append(c->out, "where does it end? FROM TO, or FROM +LENGTH\n");
        return false;
    }
    if (!command_next_value(c, p, last))
        return false;
    *last = (length ? from + *last : *last) - 1;
    if (*last >= from)
        return true;
    g_string_append(c->out, "the range ends before it begins\n");
    return false;
}

/* ---- a line ---- */

CodeView code_view(MonitorCommand *c, bool physical)
{
    return (CodeView){ .memory = memory_view(c, physical), .code_size = debugger_cpu(c->debugger)->code_size };
}

bool code_view_option(MonitorCommand *c, CodeView *v, const char **rest)
{
    static const char *const sizes[] = { "16", "32", "64" };
    if (!g_str_has_prefix(*rest, "bits="))
        return true;
    g_autofree char *word = command_word(rest);
    *rest += strspn(*rest, " \t");
    for (unsigned k = 0; k < G_N_ELEMENTS(sizes); k++)
        if (!strcmp(word + strlen("bits="), sizes[k])) {
            v->code_size = k == 0 ? SZ16 : k == 1 ? SZ32 : SZ64;
            return true;
        }
    g_string_append_printf(c->out, "%s: code has 16, 32 or 64 bits\n", word);
    return false;
}

/* As many bytes of an instruction as there are: the next page may not be mapped. */
static unsigned read_code(const CodeView *v, uint64_t address, uint8_t bytes[LONGEST])
{
    unsigned n = LONGEST;
    while (n && !memory_view_read(&v->memory, address, bytes, n))
        n--;
    return n;
}

/*
 * What instruction pointers at this address count from: CS where it can reach there; else, as for 16-bit code of
 * another segment in real mode, the 64 KiB around.
 */
static uint64_t code_base(const CodeView *v, uint64_t address, uint16_t *sel)
{
    const Segment *cs = &v->memory.cpu->seg[SEG_CS];
    *sel = cs->sel;
    if (v->memory.physical || v->code_size == SZ64)
        return 0;
    if (address >= cs->base && address - cs->base <= (v->code_size == SZ16 ? 0xffff : 0xffffffff))
        return cs->base;
    if (v->code_size != SZ16 || address >= MiB)
        return 0;
    *sel = address >> 16 << 12;
    return address & 0xf0000;
}

/* The address that text holds behind `mark`, as the disassembler writes it: "0x12" or "12". */
static bool number_behind(const char *text, const char *mark, uint64_t *v)
{
    const char *p = strstr(text, mark);
    char *end;
    if (!p)
        return false;
    *v = g_ascii_strtoull(p + strlen(mark), &end, 0);
    return end > p + strlen(mark);
}

/* What the instruction refers to by its own address: the target of a branch, or memory by RIP. */
static bool refers_to(const char *text, uint64_t base, uint64_t next, uint64_t *to)
{
    uint64_t n;
    bool branches = text[0] == 'j' || g_str_has_prefix(text, "call ") || g_str_has_prefix(text, "loop");
    if (number_behind(text, "[rip + ", &n))
        *to = next + n;
    else if (number_behind(text, "[rip - ", &n))
        *to = next - n;
    else if (branches && !strchr(text, '[') && number_behind(text, " 0x", &n))
        *to = base + g_ascii_strtoull(strstr(text, " 0x") + 3, NULL, 16);
    else
        return false;
    return true;
}

static void append_reference(const CodeView *v, const char *text, uint64_t base, uint64_t next, GString *out)
{
    uint64_t to, distance;
    if (v->memory.physical || !refers_to(text, base, next, &to))
        return;
    if (strstr(text, "[rip"))
        g_string_append_printf(out, "  # 0x%" PRIx64, to);
    if (symbols_name(v->memory.symbols, to, &distance))
        symbols_print(v->memory.symbols, to, out);
}

static void append_bytes(const uint8_t *bytes, unsigned n, gsize begin, GString *out)
{
    while (out->len - begin < 32)
        g_string_append_c(out, ' ');
    g_string_append(out, " ; ");
    for (unsigned k = 0; k < n; k++)
        g_string_append_printf(out, "%02x", bytes[k]);
}

bool code_view_line(const CodeView *v, uint64_t *address, GString *out)
{
    const Cpu *cpu = v->memory.cpu;
    uint8_t bytes[LONGEST];
    unsigned n = read_code(v, *address, bytes);
    uint16_t sel;
    uint64_t base = code_base(v, *address, &sel);
    g_string_append(out, !v->memory.physical && *address == cpu_linear_rip(cpu) ? "=> " : "   ");
    memory_view_address(&v->memory, *address, out);
    if (base || (v->code_size == SZ16 && !v->memory.physical && *address <= 0xffff))
        g_string_append_printf(out, " (%04x:%04" PRIx64 ")", sel, *address - base);
    if (!n) {
        g_string_append(out, ":  not mapped\n");
        return false;
    }
    g_string_append(out, ":  ");
    gsize begin = out->len;
    unsigned length = cpu_disassemble(v->code_size, *address - base, bytes, n, out);
    g_autofree char *text = g_strdup(out->str + begin);
    append_reference(v, text, base, *address + length, out);
    if (v->bytes)
        append_bytes(bytes, length, begin, out);
    g_string_append_c(out, '\n');
    *address += length;
    if (!cpu->long_mode)
        *address = (uint32_t)*address;
    return true;
}

/* ---- u ---- */

typedef struct Range {
    unsigned long count;
    bool has_last;
    uint64_t from, last;
} Range;

/* "/10" or "/10i". */
static const char *parse_count(const char *p, Range *r)
{
    if (*p != '/')
        return p;
    r->count = strtoul(p + 1, NULL, 10);
    p += strcspn(p, " \t");
    return p + strspn(p, " \t");
}

/* [FROM [TO | +LENGTH]] */
static bool parse_range(MonitorCommand *c, const char *p, Range *r)
{
    if (!*p)
        return true;
    if (!memory_from(c, &p, &r->from))
        return false;
    r->has_last = *p;
    if (r->has_last && !memory_until(c, &p, r->from, &r->last))
        return false;
    if (*p)
        g_string_append_printf(c->out, "'%s': unexpected; usage: u [/COUNT] [bits=16|32|64] [FROM [TO | +LENGTH]]\n",
                               p);
    return !*p;
}

static void command_u(MonitorCommand *c)
{
    CodeView v = code_view(c, false);
    Range r = { .from = cpu_linear_rip(v.memory.cpu) };
    const char *p = parse_count(c->arguments, &r);
    v.bytes = true;
    if (!code_view_option(c, &v, &p) || !parse_range(c, p, &r))
        return;
    unsigned long count = r.count ? r.count : r.has_last ? LINES_MAX : LINES;
    for (count = MIN(count, LINES_MAX); count; count--)
        if ((r.has_last && r.from > r.last) || !code_view_line(&v, &r.from, c->out))
            break;
    g_autofree char *next = g_strdup_printf("u %.*s 0x%" PRIx64, (int)(p - c->arguments), c->arguments, r.from);
    monitor_repeat(c->monitor, next);
}

const CommandRow disassemble_commands[] = {
    { .name = "u", .aliases = "disasm disassemble unassemble", .arguments = "[/COUNT] [bits=N] [FROM [TO | +LENGTH]]",
      .help = "disassemble, from the next instruction on unless told otherwise", .run = command_u,
      .completes = COMPLETE_SYMBOL, .paused = true,
      .more = "  Addresses are linear; cs:ip names one by selector and offset.  Code is taken as the CPU is about to\n"
              "  execute it; bits=16, bits=32 or bits=64 before the addresses (of x /i too) says otherwise.\n"
              "  => marks the next instruction.\n" },
    { .name = NULL },
};
