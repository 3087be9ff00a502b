/*
 * Commands that show descriptor tables: info idt, ivt, gdt, ldt (SDM vol. 3A 3.4.5, 3.5, 6.11; AMD APM vol. 2 4.7,
 * 4.8).
 */
#include <inttypes.h>

#include "cpu/descriptor.h"
#include "debugger/commands/command.h"
#include "debugger/commands/table_print.h"
#include "debugger/symbols/symbols.h"

static Descriptor read_descriptor(MonitorCommand *c, uint64_t la, bool wide)
{
    return (Descriptor){ .w0 = table_read(c, la, 4), .w1 = table_read(c, la + 4, 4),
                         .high = wide ? table_read(c, la + 8, 4) : 0, .la = la };
}

static bool is_long(const MonitorCommand *c) { return debugger_cpu(c->debugger)->long_mode; }

/* ---- gates ---- */

/* With the symbol of the offset where the segment is flat, as it is in 64-bit mode and all kernels of today. */
static void print_target(MonitorCommand *c, const Descriptor *d)
{
    g_string_append_printf(c->out, "0x%04x:0x%0*" PRIx64, gate_selector(d), is_long(c) ? 16 : 8, gate_offset(d));
    symbols_print(debugger_symbols(c->debugger), gate_offset(d), c->out);
}

static const char *width(MonitorCommand *c, unsigned type)
{
    return !(type & SYS_32) ? "16" : is_long(c) ? "64" : "32";
}

static void print_gate(MonitorCommand *c, const Descriptor *d, unsigned type)
{
    static const char *const names[8] = { [SYS_CALL16] = "call", [SYS_TASK_GATE] = "task", [SYS_INT16] = "interrupt",
                                          [SYS_TRAP16] = "trap" };
    if (type == SYS_TASK_GATE) {
        g_string_append_printf(c->out, "task gate to TSS 0x%04x", gate_selector(d));
    } else {
        g_string_append_printf(c->out, "%s-bit %s gate to ", width(c, type), names[type & 7]);
        print_target(c, d);
    }
    g_string_append_printf(c->out, ", DPL=%u", descriptor_dpl(d));
    if (is_long(c) && (type & 7) >= SYS_INT16 && (d->w1 & 7))
        g_string_append_printf(c->out, ", IST=%u", d->w1 & 7);
    if (!is_long(c) && (type & 7) == SYS_CALL16)
        g_string_append_printf(c->out, ", %u parameters", gate_count(d));
    if (!(descriptor_attr(d) & SA_P))
        g_string_append(c->out, ", not present");
}

static bool is_gate(unsigned type) { return type < 16 && (type & 7) >= SYS_CALL16; }

/* In long mode only 64-bit gates are left, and no task gates. */
static bool gate_valid(MonitorCommand *c, unsigned type)
{
    if (!is_gate(type) || type == (SYS_TASK_GATE | SYS_32))
        return false;
    return !is_long(c) || ((type & SYS_32) && type != SYS_TASK_GATE);
}

static void print_invalid(MonitorCommand *c, const Descriptor *d, const char *where)
{
    g_string_append_printf(c->out, "0x%08x%08x: not valid %s", d->w1, d->w0, where);
}

/* ---- segments ---- */

static void print_memory_segment(MonitorCommand *c, const Descriptor *d)
{
    uint16_t attr = descriptor_attr(d);
    bool code = attr & SA_CODE, code64 = code && is_long(c) && (attr & SA_L);
    g_string_append_printf(c->out, "%s-bit %s, base=0x%08" PRIx64 ", limit=0x%08x, %s%s%s%s, DPL=%u",
                           code64 ? "64" : attr & SA_DB ? "32" : "16", code ? "code" : "data", descriptor_base(d),
                           descriptor_limit(d), code ? "execute" : "read",
                           attr & SA_WRITABLE ? code ? "/read" : "/write" : "-only",
                           attr & SA_DOWN ? code ? ", conforming" : ", expand-down" : "",
                           attr & SA_ACCESSED ? ", accessed" : "", descriptor_dpl(d));
    if (!(attr & SA_P))
        g_string_append(c->out, ", not present");
}

static void print_system_segment(MonitorCommand *c, const Descriptor *d, unsigned type)
{
    if (type == SYS_LDT)
        g_string_append(c->out, "LDT");
    else
        g_string_append_printf(c->out, "%s-bit TSS (%s)", width(c, type), type & SYS_BUSY ? "busy" : "available");
    g_string_append_printf(c->out, ", base=0x%0*" PRIx64 ", limit=0x%08x, DPL=%u%s", is_long(c) ? 16 : 8,
                           descriptor_base(d), descriptor_limit(d), descriptor_dpl(d),
                           descriptor_attr(d) & SA_P ? "" : ", not present");
}

static bool system_valid(MonitorCommand *c, unsigned type)
{
    bool tss = (type & ~(SYS_BUSY | SYS_32)) == SYS_TSS16 && (!is_long(c) || (type & SYS_32));
    return type == SYS_LDT || tss;
}

static unsigned print_descriptor(MonitorCommand *c, uint64_t la, uint32_t offset)
{
    Descriptor d = read_descriptor(c, la, false);
    unsigned type = attr_system_type(descriptor_attr(&d));
    bool wide = type < 16 && type && is_long(c);
    (void)offset;
    if (wide)
        d = read_descriptor(c, la, true);
    if (type >= 16)
        print_memory_segment(c, &d);
    else if (system_valid(c, type))
        print_system_segment(c, &d, type);
    else if (gate_valid(c, type) && (type & 7) <= SYS_TASK_GATE)
        print_gate(c, &d, type);
    else
        print_invalid(c, &d, "in this table");
    return wide && (system_valid(c, type) || gate_valid(c, type)) ? 16 : 8;
}

/* ---- commands ---- */

static unsigned print_vector(MonitorCommand *c, uint64_t la, uint32_t offset)
{
    uint16_t ip = table_read(c, la, 2), cs = table_read(c, la + 2, 2);
    (void)offset;
    g_string_append_printf(c->out, "%04x:%04x (0x%08x)", cs, ip, cs * 16 + ip);
    symbols_print(debugger_symbols(c->debugger), cs * 16 + ip, c->out);
    return 4;
}

static unsigned print_idt_entry(MonitorCommand *c, uint64_t la, uint32_t offset)
{
    Descriptor d = read_descriptor(c, la, is_long(c));
    unsigned type = attr_system_type(descriptor_attr(&d));
    (void)offset;
    if (gate_valid(c, type) && (type & 7) != SYS_CALL16)
        print_gate(c, &d, type);
    else
        print_invalid(c, &d, "as a gate of interrupts");
    return is_long(c) ? 16 : 8;
}

/* The table of real mode, wherever IDTR has it. */
static void info_ivt(MonitorCommand *c)
{
    const Cpu *cpu = debugger_cpu(c->debugger);
    bool real = cpu_real_mode(cpu);
    Table t = { "IVT", real ? cpu->idtr.base : 0, real ? MIN(cpu->idtr.limit, 0x3ff) : 0x3ff, 4, print_vector };
    table_print(c, &t, false);
}

static void info_idt(MonitorCommand *c)
{
    const Cpu *cpu = debugger_cpu(c->debugger);
    unsigned size = cpu->long_mode ? 16 : 8;
    if (cpu_real_mode(cpu)) {
        info_ivt(c);
        return;
    }
    Table t = { "IDT", cpu->idtr.base, MIN(cpu->idtr.limit, 256 * size - 1), size, print_idt_entry };
    table_print(c, &t, false);
}

static void info_gdt(MonitorCommand *c)
{
    const Cpu *cpu = debugger_cpu(c->debugger);
    Table t = { "GDT", cpu->gdtr.base, cpu->gdtr.limit & 0xffff, 8, print_descriptor };
    table_print(c, &t, true);
}

static void info_ldt(MonitorCommand *c)
{
    const Segment *s = &debugger_cpu(c->debugger)->seg[SEG_LDTR];
    Table t = { "LDT", s->base, MIN(s->limit, 0xffff), 8, print_descriptor };
    if (!(s->attr & SA_P) || selector_null(s->sel))
        g_string_append_printf(c->out, "there is no LDT: LDTR is 0x%04x\n", s->sel);
    else
        table_print(c, &t, true);
}

const CommandRow table_info[] = {
    { .name = "gdt", .arguments = "[SELECTOR [LAST]]", .help = "the global descriptor table", .run = info_gdt,
      .paused = true },
    { .name = "idt", .arguments = "[VECTOR [LAST]]", .help = "the interrupt descriptor table", .run = info_idt,
      .paused = true },
    { .name = "ivt", .arguments = "[VECTOR [LAST]]", .help = "the interrupt vector table of real mode",
      .run = info_ivt, .paused = true },
    { .name = "ldt", .arguments = "[SELECTOR [LAST]]", .help = "the local descriptor table", .run = info_ldt,
      .paused = true },
    { .name = NULL },
};
