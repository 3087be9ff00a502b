/* The monitor's commands, a row each (monitor.h). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/version.h"
#include "cpu/cpu.h"
#include "debugger/monitor.h"
#include "hw/display/console.h"
#include "hw/intc/apic.h"
#include "hw/intc/i8259.h"
#include "tcg/tcg.h"
#include "util/bits.h"
#include "util/endian.h"

typedef struct Row {
    const char *name, *alias; /* alias may be NULL */
    const char *arguments, *help;
    void (*run)(MonitorCommand *c);
} Row;

static Cpu *cpu_number(MonitorCommand *c, unsigned n)
{
    g_autofree char *name = g_strdup_printf("cpu%u", n);
    return machine_find(c->machine, name);
}

/* The CPU that commands are about: the first, until `cpu` chooses another. */
static Cpu *monitor_cpu(MonitorCommand *c)
{
    Cpu *chosen = machine_find(c->machine, "monitor-cpu");
    return chosen ? chosen : cpu_number(c, 0);
}

static bool is_running(MonitorCommand *c) { return c->machine->run_state == RUN_RUNNING; }

/* Registers are consistent only while the CPU does not run. */
static void with_paused(MonitorCommand *c, void (*fn)(MonitorCommand *c))
{
    bool running = is_running(c);
    if (running)
        machine_pause(c->machine);
    fn(c);
    if (running)
        machine_resume(c->machine);
}

static void show_registers(MonitorCommand *c)
{
    Cpu *cpu = monitor_cpu(c);
    if (cpu)
        cpu_dump(cpu, c->out);
}
static void info_registers(MonitorCommand *c) { with_paused(c, show_registers); }

/* The recompiler of each CPU. */
static void show_jit(MonitorCommand *c)
{
    gsize before = c->out->len;
    for (unsigned k = 0; k < c->machine->cpu_count; k++) {
        g_autofree char *name = g_strdup_printf("cpu%u", k);
        Cpu *cpu = machine_find(c->machine, name);
        if (c->machine->cpu_count > 1)
            g_string_append_printf(c->out, "%s:\n", name);
        if (cpu)
            tcg_info(cpu, c->out);
    }
    if (c->out->len == before)
        g_string_append(c->out, "there is no recompiler (-accel tcg)\n");
}
static void info_jit(MonitorCommand *c) { with_paused(c, show_jit); }

static void show_cpus(MonitorCommand *c)
{
    static const char *const states[] = { "", " (halted)", " (waits for SIPI)", " (shut down)" };
    for (unsigned k = 0; k < c->machine->cpu_count; k++) {
        const Cpu *cpu = cpu_number(c, k);
        if (cpu)
            g_string_append_printf(c->out, "%c CPU #%u: apic id %u, pc 0x%016" PRIx64 "%s\n",
                                   cpu == monitor_cpu(c) ? '*' : ' ', k, cpu->apic_id,
                                   cpu->seg[SEG_CS].base + cpu->rip, states[cpu->run_state]);
    }
}
static void info_cpus(MonitorCommand *c) { with_paused(c, show_cpus); }

static void command_cpu(MonitorCommand *c)
{
    char *end;
    unsigned long n = strtoul(c->arguments, &end, 10);
    Cpu *cpu = end == c->arguments || *end || n >= c->machine->cpu_count ? NULL : cpu_number(c, n);
    if (cpu)
        machine_provide(c->machine, "monitor-cpu", cpu);
    else
        g_string_append_printf(c->out, "cpu: '%s' is no CPU: there are 0 to %u\n", c->arguments,
                               MAX(c->machine->cpu_count, 1) - 1);
}

static void info_status(MonitorCommand *c)
{
    static const char *const names[] = { "paused", "running", "paused (shutdown)" };
    g_string_append_printf(c->out, "VM status: %s\n", names[c->machine->run_state]);
}

static void info_version(MonitorCommand *c) { g_string_append(c->out, "Myna " MYNA_VERSION "\n"); }

static void info_mtree(MonitorCommand *c)
{
    as_dump(c->machine->memory, c->out);
    as_dump(c->machine->ports, c->out);
}

/* Devices and their state tables: what -device made, and what the board has. */
static void info_qtree(MonitorCommand *c)
{
    for (unsigned k = 0; k < c->machine->devices->len; k++) {
        const Device *dev = g_ptr_array_index(c->machine->devices, k);
        g_string_append_printf(c->out, "dev: %s, id \"%s\", bus %s\n", dev->type->name, dev->id,
                               dev->type->bus ? dev->type->bus : "system");
        for (const Property *p = dev->type->properties; p && p->name; p++)
            device_property_print(dev, p, c->out);
    }
}

static void dump_device(MonitorCommand *c, const char *type)
{
    for (unsigned k = 0; k < c->machine->devices->len; k++) {
        const Device *dev = g_ptr_array_index(c->machine->devices, k);
        if (strcmp(dev->type->name, type) || !dev->type->state)
            continue;
        g_string_append_printf(c->out, "%s:\n", dev->id);
        state_dump(dev->type->state, dev, 2, c->out);
    }
}

static void info_pic(MonitorCommand *c) { dump_device(c, i8259_type.name); }

static void info_lapic(MonitorCommand *c)
{
    const Cpu *cpu = monitor_cpu(c);
    g_autofree char *id = g_strdup_printf("apic%u", cpu ? cpu->index : 0);
    Device *dev = device_find(c->machine, id);
    if (dev)
        lapic_dump((Lapic *)dev, c->out);
    else
        g_string_append(c->out, "this machine has no local APIC\n");
}

/* State of one device by id, from its table. */
static void info_device(MonitorCommand *c)
{
    Device *dev = device_find(c->machine, c->arguments);
    if (!dev)
        g_string_append_printf(c->out, "no device '%s': 'info qtree' lists them\n", c->arguments);
    else if (dev->type->state)
        state_dump(dev->type->state, dev, 0, c->out);
}

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

/* The value of a register by its 64- or 32-bit name; pc is linear. */
static bool register_value(const Cpu *cpu, const char *name, size_t length, uint64_t *v)
{
    static const char *const names[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                           "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };
    g_autofree char *wanted = g_strndup(name, length);
    if (wanted[0] == 'e')
        wanted[0] = 'r';
    if (!strcmp(wanted, "pc") || !strcmp(wanted, "rip")) {
        *v = cpu->seg[SEG_CS].base + cpu->rip;
        return true;
    }
    for (unsigned k = 0; k < ARRAY_SIZE(names); k++)
        if (!strcmp(wanted, names[k])) {
            *v = cpu->gpr[k];
            return true;
        }
    return false;
}

/* One number or $register; the place behind it, or NULL. */
static const char *parse_term(const Cpu *cpu, const char *p, uint64_t *v)
{
    char *end;
    if (*p == '$') {
        size_t n = strcspn(++p, "+- ");
        return cpu && register_value(cpu, p, n, v) ? p + n : NULL;
    }
    *v = strtoull(p, &end, 0);
    return end == p ? NULL : end;
}

/* Terms with + and - between them. */
static bool parse_address(MonitorCommand *c, const char *p, uint64_t *out)
{
    const Cpu *cpu = monitor_cpu(c);
    uint64_t v;
    bool minus = false;
    *out = 0;
    for (;;) {
        p = parse_term(cpu, p + strspn(p, " "), &v);
        if (!p)
            return false;
        *out += minus ? -v : v;
        p += strspn(p, " ");
        if (!*p)
            return true;
        if (*p != '+' && *p != '-')
            return false;
        minus = *p++ == '-';
    }
}

static bool dump_read(MonitorCommand *c, const Dump *d, uint64_t address, void *buf, unsigned size)
{
    if (d->physical) {
        as_read_bytes(c->machine->memory, address, buf, size);
        return true;
    }
    Cpu *cpu = monitor_cpu(c);
    return cpu && cpu_read_linear(cpu, address, buf, size);
}

static void dump_instructions(MonitorCommand *c, Dump *d)
{
    Cpu *cpu = monitor_cpu(c);
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
    if (!*p || !parse_address(c, p, &d.address)) {
        g_string_append(c->out, "usage: x /COUNTFORMATSIZE ADDRESS, e.g. x /8xg $rsp or x /5i $pc\n");
        return;
    }
    d.count = MIN(d.count, DUMP_MAX);
    if (d.format == 'i')
        dump_instructions(c, &d);
    else
        dump_values(c, &d);
}

static void dump_virtual(MonitorCommand *c) { dump_memory(c, false); }
static void dump_physical(MonitorCommand *c) { dump_memory(c, true); }
static void command_x(MonitorCommand *c) { with_paused(c, dump_virtual); }
static void command_xp(MonitorCommand *c) { with_paused(c, dump_physical); }

static void command_stop(MonitorCommand *c) { machine_pause(c->machine); }
static void command_cont(MonitorCommand *c) { machine_resume(c->machine); }
static void command_reset(MonitorCommand *c) { machine_request_reset(c->machine, "monitor"); }
static void command_powerdown(MonitorCommand *c) { machine_request_powerdown(c->machine); }
static void command_quit(MonitorCommand *c) { machine_quit(c->machine, 0); }
static void command_screendump(MonitorCommand *c)
{
    g_autoptr(GError) err = NULL;
    Console *console = machine_find(c->machine, "console0");
    if (!*c->arguments)
        g_string_append(c->out, "usage: screendump FILE (PPM)\n");
    else if (!console)
        g_string_append(c->out, "this machine has no screen\n");
    else if (!console_write_ppm(console, c->arguments, &err))
        g_string_append_printf(c->out, "%s\n", err->message);
}

static void command_help(MonitorCommand *c);
static void command_info(MonitorCommand *c);

static const Row commands[] = {
    { "cont", "c", "", "go on after a stop", command_cont },
    { "cpu", NULL, "N", "make CPU N the one that commands are about", command_cpu },
    { "help", "?", "[COMMAND]", "this list, or one line of it", command_help },
    { "info", NULL, "[WHAT]", "state of the machine; without WHAT, what there is", command_info },
    { "quit", "q", "", "end the emulator", command_quit },
    { "screendump", NULL, "FILE", "write the screen to a PPM file", command_screendump },
    { "stop", "s", "", "pause the machine", command_stop },
    { "system_powerdown", NULL, "", "press the power button", command_powerdown },
    { "system_reset", NULL, "", "press the reset button", command_reset },
    { "x", NULL, "/FMT ADDRESS", "dump virtual memory: /COUNT, then x d u o c i, then b h w g", command_x },
    { "xp", NULL, "/FMT ADDRESS", "dump physical memory", command_xp },
};

static const Row info_rows[] = {
    { "cpus", NULL, "", "processors; * marks the one that commands are about", info_cpus },
    { "device", NULL, "ID", "state of one device", info_device },
    { "jit", NULL, "", "the recompiler: units, code memory, time, what it does not translate", info_jit },
    { "lapic", NULL, "", "local APIC", info_lapic },
    { "mtree", NULL, "", "memory and port map", info_mtree },
    { "pic", NULL, "", "8259 interrupt controllers", info_pic },
    { "qtree", NULL, "", "devices and their properties", info_qtree },
    { "registers", NULL, "", "CPU registers", info_registers },
    { "status", NULL, "", "running or paused", info_status },
    { "version", NULL, "", "version", info_version },
};

static const Row *find_row(const Row *rows, unsigned n, const char *name)
{
    for (unsigned k = 0; k < n; k++)
        if (!strcmp(rows[k].name, name) || (rows[k].alias && !strcmp(rows[k].alias, name)))
            return &rows[k];
    return NULL;
}

static void print_row(const char *before, const Row *r, GString *out)
{
    g_autofree char *head = g_strdup_printf("%s%s%s%s %s", before, r->name, r->alias ? "|" : "", r->alias ? r->alias : "",
                                            r->arguments);
    g_string_append_printf(out, "%-32s %s\n", head, r->help);
}

static void print_rows(const char *before, const Row *rows, unsigned n, GString *out)
{
    for (unsigned k = 0; k < n; k++)
        print_row(before, &rows[k], out);
}

static void command_help(MonitorCommand *c)
{
    const Row *r = *c->arguments ? find_row(commands, ARRAY_SIZE(commands), c->arguments) : NULL;
    if (r && r->run != command_info)
        print_row("", r, c->out);
    else if (!r)
        print_rows("", commands, ARRAY_SIZE(commands), c->out);
    if (!r || r->run == command_info)
        print_rows("info ", info_rows, ARRAY_SIZE(info_rows), c->out);
}

static void unknown(const char *what, const char *name, const Row *rows, unsigned n, GString *out)
{
    const char *names[32];
    for (unsigned k = 0; k < n; k++)
        names[k] = rows[k].name;
    const char *near = nearest_name(name, names, n);
    g_string_append_printf(out, "unknown %s '%s'", what, name);
    if (near)
        g_string_append_printf(out, ": did you mean '%s'?", near);
    g_string_append(out, " ('help' lists all)\n");
}

/* Splits the first word off a line; the rest follows it in *rest. */
static char *first_word(const char *line, const char **rest)
{
    while (g_ascii_isspace(*line))
        line++;
    size_t n = strcspn(line, " \t/");
    *rest = line + n;
    while (g_ascii_isspace(**rest))
        (*rest)++;
    return g_strndup(line, n);
}

static void run_row(MonitorCommand *c, const char *what, const Row *rows, unsigned n, const char *line)
{
    g_autofree char *name = first_word(line, &c->arguments);
    const Row *r = find_row(rows, n, name);
    if (r)
        r->run(c);
    else
        unknown(what, name, rows, n, c->out);
}

static void command_info(MonitorCommand *c)
{
    if (*c->arguments)
        run_row(c, "info", info_rows, ARRAY_SIZE(info_rows), c->arguments);
    else
        print_rows("info ", info_rows, ARRAY_SIZE(info_rows), c->out);
}

void monitor_execute(Machine *m, const char *line, GString *out)
{
    MonitorCommand c = { .machine = m, .out = out };
    while (g_ascii_isspace(*line))
        line++;
    if (*line)
        run_row(&c, "command", commands, ARRAY_SIZE(commands), line);
}
