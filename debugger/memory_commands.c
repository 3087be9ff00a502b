/* Commands that look at memory, and change it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "debugger/command.h"
#include "util/bits.h"
#include "util/endian.h"

/* x and xp: /COUNT FORMAT SIZE as gdb has them. */
typedef struct Dump {
    unsigned count, size;
    char format;
    uint64_t address;
    bool physical;
} Dump;

static const char *parse_dump_format(const char *p, Dump *d)
{
    if (*p != '/')
        return p;
    p++;
    if (g_ascii_isdigit(*p))
        d->count = strtoul(p, (char **)&p, 10);
    for (; *p && !g_ascii_isspace(*p); p++) {
        static const char sizes[] = "bhwg";
        const char *s = strchr(sizes, *p);
        if (s)
            d->size = 1u << (s - sizes);
        else
            d->format = *p;
    }
    return p;
}

static bool dump_read(MonitorCommand *c, const Dump *d, uint64_t address, void *buf, unsigned size)
{
    if (d->physical) {
        as_read_bytes(c->machine->memory, address, buf, size);
        return true;
    }
    return debugger_read(debugger_cpu(c->debugger), address, buf, size);
}

static void dump_instructions(MonitorCommand *c, Dump *d)
{
    Cpu *cpu = debugger_cpu(c->debugger);
    for (; d->count; d->count--) {
        uint8_t bytes[15];
        unsigned n = sizeof bytes;
        while (n && !dump_read(c, d, d->address, bytes, n)) /* the next page may not be mapped */
            n--;
        g_string_append_printf(c->out, "0x%08" PRIx64 ":  ", d->address);
        if (!n) {
            g_string_append(c->out, "not mapped\n");
            return;
        }
        d->address += cpu_disassemble(cpu->code_size, d->address, bytes, n, c->out);
        g_string_append_c(c->out, '\n');
    }
}

static void dump_value(MonitorCommand *c, const Dump *d, uint64_t v)
{
    int digits = d->size * 2;
    switch (d->format) {
    case 'd': g_string_append_printf(c->out, " %" PRId64, sign_extend(v, d->size * 8)); break;
    case 'u': g_string_append_printf(c->out, " %" PRIu64, v); break;
    case 'o': g_string_append_printf(c->out, " 0%" PRIo64, v); break;
    case 'c': g_string_append_printf(c->out, " '%c'", (int)(v >= ' ' && v < 0x7f ? v : '.')); break;
    default: g_string_append_printf(c->out, " 0x%0*" PRIx64, digits, v); break;
    }
}

static void dump_values(MonitorCommand *c, Dump *d)
{
    unsigned per_line = MAX(16 / d->size, 1u);
    for (unsigned k = 0; k < d->count; k++) {
        uint8_t b[8];
        if (k % per_line == 0)
            g_string_append_printf(c->out, "%s%016" PRIx64 ":", k ? "\n" : "", d->address);
        if (!dump_read(c, d, d->address, b, d->size)) {
            g_string_append_printf(c->out, " cannot access memory at 0x%" PRIx64 "\n", d->address);
            return;
        }
        dump_value(c, d, ldle(b, d->size));
        d->address += d->size;
    }
    g_string_append_c(c->out, '\n');
}

#define DUMP_MAX 65536

static void dump_memory(MonitorCommand *c, bool physical)
{
    Dump d = { .count = 1, .size = 4, .format = 'x', .physical = physical };
    const char *p = parse_dump_format(c->arguments, &d);
    p += strspn(p, " \t");
    if (!*p)
        g_string_append(c->out, "usage: x /COUNTFORMATSIZE ADDRESS, e.g. x /8xg $rsp or x /5i $pc\n");
    if (!*p || !command_value(c, p, &d.address))
        return;
    d.count = MIN(d.count, DUMP_MAX);
    if (d.format == 'i')
        dump_instructions(c, &d);
    else
        dump_values(c, &d);
}

static void command_x(MonitorCommand *c) { dump_memory(c, false); }
static void command_xp(MonitorCommand *c) { dump_memory(c, true); }

const CommandRow memory_commands[] = {
    { .name = "x", .arguments = "/FMT ADDRESS", .help = "dump virtual memory: /COUNT, then x d u o c i, then b h w g",
      .run = command_x, .completes = COMPLETE_SYMBOL, .paused = true },
    { .name = "xp", .arguments = "/FMT ADDRESS", .help = "dump physical memory", .run = command_xp, .paused = true },
    { .name = NULL },
};
