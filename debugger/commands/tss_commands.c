/* info tss: the task state segment in its three forms (SDM vol. 3A 8.2.1, 8.6, 8.7). */
#include <inttypes.h>

#include "cpu/descriptor.h"
#include "debugger/commands/command.h"
#include "debugger/commands/table_print.h"
#include "debugger/symbols/symbols.h"
#include "util/endian.h"

typedef struct TssField {
    const char *name;
    uint8_t offset, size;
} TssField;

static const TssField fields_16[] = {
    { "link", 0, 2 }, { "sp0", 2, 2 }, { "ss0", 4, 2 }, { "sp1", 6, 2 }, { "ss1", 8, 2 }, { "sp2", 10, 2 },
    { "ss2", 12, 2 },
    { "ip", 14, 2 }, { "flags", 16, 2 }, { "ax", 18, 2 }, { "cx", 20, 2 }, { "dx", 22, 2 }, { "bx", 24, 2 },
    { "sp", 26, 2 },
    { "bp", 28, 2 }, { "si", 30, 2 }, { "di", 32, 2 }, { "es", 34, 2 }, { "cs", 36, 2 }, { "ss", 38, 2 },
    { "ds", 40, 2 },
    { "ldt", 42, 2 }, { NULL, 0, 0 },
};
static const TssField fields_32[] = {
    { "link", 0, 2 }, { "esp0", 4, 4 }, { "ss0", 8, 2 }, { "esp1", 12, 4 }, { "ss1", 16, 2 }, { "esp2", 20, 4 },
    { "ss2", 24, 2 }, { "cr3", 28, 4 }, { "eip", 32, 4 }, { "eflags", 36, 4 }, { "eax", 40, 4 }, { "ecx", 44, 4 },
    { "edx", 48, 4 }, { "ebx", 52, 4 }, { "esp", 56, 4 }, { "ebp", 60, 4 }, { "esi", 64, 4 }, { "edi", 68, 4 },
    { "es", 72, 2 }, { "cs", 76, 2 }, { "ss", 80, 2 }, { "ds", 84, 2 }, { "fs", 88, 2 }, { "gs", 92, 2 },
    { "ldt", 96, 2 },
    { "trap", 100, 2 }, { NULL, 0, 0 },
};
static const TssField fields_64[] = {
    { "rsp0", 4, 8 }, { "rsp1", 12, 8 }, { "rsp2", 20, 8 }, { "ist1", 36, 8 }, { "ist2", 44, 8 }, { "ist3", 52, 8 },
    { "ist4", 60, 8 }, { "ist5", 68, 8 }, { "ist6", 76, 8 }, { "ist7", 84, 8 }, { NULL, 0, 0 },
};

/* Where the two maps are found; 16-bit segments have none. */
enum { MAP_BASE = 102, REDIRECTION_SIZE = 32, MAP_SIZE = 8192 };

static void print_fields(MonitorCommand *c, const Segment *tr, const TssField *fields)
{
    for (const TssField *f = fields; f->name; f++) {
        uint8_t b[8];
        g_string_append_printf(c->out, "  %-6s ", f->name);
        if (f->offset + f->size - 1u > tr->limit) {
            g_string_append(c->out, "beyond the limit\n");
        } else if (!debugger_read(debugger_cpu(c->debugger), tr->base + f->offset, b, f->size)) {
            g_string_append(c->out, "not mapped\n");
        } else {
            g_string_append_printf(c->out, "0x%0*" PRIx64, f->size * 2, ldle(b, f->size));
            symbols_print(debugger_symbols(c->debugger), ldle(b, f->size), c->out);
            g_string_append_c(c->out, '\n');
        }
    }
}

/* ---- bit maps ---- */

/* Appends the ranges of numbers whose bit is clear: "0x60-0x64, 0x80". */
static void print_clear_bits(const uint8_t *map, unsigned count, GString *out)
{
    bool any = false;
    for (unsigned k = 0; k < count; k++) {
        unsigned first = k;
        while (k < count && !(map[k / 8] >> k % 8 & 1))
            k++;
        if (k == first)
            continue;
        g_string_append_printf(out, k - first > 1 ? "%s 0x%x-0x%x" : "%s 0x%x", any ? "," : "", first, k - 1);
        any = true;
    }
    g_string_append(out, any ? "\n" : " none\n");
}

/* As much of a map as is within the limit and mapped; the rest reads as ones: forbidden. */
static void read_map(MonitorCommand *c, const Segment *tr, uint32_t offset, uint8_t *map, unsigned size)
{
    for (unsigned k = 0; k < size; k++)
        if (offset + k > tr->limit || !debugger_read(debugger_cpu(c->debugger), tr->base + offset + k, &map[k], 1))
            map[k] = 0xff;
}

static void print_maps(MonitorCommand *c, const Segment *tr)
{
    uint8_t map[MAP_SIZE];
    uint32_t base = tr->limit > MAP_BASE ? table_read(c, tr->base + MAP_BASE, 2) : UINT32_MAX;
    if (base > tr->limit) {
        g_string_append(c->out, "  I/O map: none, ports are for IOPL alone\n");
        return;
    }
    read_map(c, tr, base, map, MAP_SIZE);
    g_string_append_printf(c->out, "  I/O map at offset 0x%x; ports allowed:", base);
    print_clear_bits(map, MAP_SIZE * 8, c->out);
    if (base < REDIRECTION_SIZE || !(debugger_cpu(c->debugger)->cr4 & CR4_VME))
        return;
    read_map(c, tr, base - REDIRECTION_SIZE, map, REDIRECTION_SIZE);
    g_string_append(c->out, "  INT n of virtual-8086 mode served there:");
    print_clear_bits(map, REDIRECTION_SIZE * 8, c->out);
}

static void info_tss(MonitorCommand *c)
{
    const Cpu *cpu = debugger_cpu(c->debugger);
    const Segment *tr = &cpu->seg[SEG_TR];
    bool wide = tr->attr & SYS_32;
    if (!(tr->attr & SA_P) || selector_null(tr->sel)) {
        g_string_append_printf(c->out, "there is no TSS: TR is 0x%04x\n", tr->sel);
        return;
    }
    g_string_append_printf(c->out, "TSS 0x%04x, %s-bit, at 0x%0*" PRIx64, tr->sel,
                           !wide ? "16" : cpu->long_mode ? "64" : "32",
                           cpu->long_mode ? 16 : 8, tr->base);
    symbols_print(debugger_symbols(c->debugger), tr->base, c->out);
    g_string_append_printf(c->out, ", limit 0x%x\n", tr->limit);
    print_fields(c, tr, !wide ? fields_16 : cpu->long_mode ? fields_64 : fields_32);
    if (wide)
        print_maps(c, tr);
}

const CommandRow tss_info[] = {
    { .name = "tss", .arguments = "", .help = "the task state segment, with the ports that it allows", .run = info_tss,
      .paused = true },
    { .name = NULL },
};
