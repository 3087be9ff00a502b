/* Commands about the machine as a whole and its devices. */
#include <inttypes.h>
#include <string.h>

#include "core/version.h"
#include "debugger/commands/command.h"
#include "debugger/symbols/symbols.h"
#include "hw/intc/apic.h"
#include "hw/intc/i8259.h"
#include "tcg/tcg.h"

static const char *mode_name(const Cpu *cpu)
{
    static const char *const sizes[3] = { [SZ16] = "16-bit", [SZ32] = "32-bit", [SZ64] = "64-bit" };
    if (cpu->in_smm)
        return "SMM";
    return cpu_real_mode(cpu) ? "real mode" : cpu_v86(cpu) ? "virtual-8086 mode" : sizes[cpu->code_size];
}

static const char *world_name(const Cpu *cpu)
{
    return !cpu->svm.guest ? "" : cpu->svm.nested ? ", a guest (SVM, nested paging)" : ", a guest (SVM)";
}

static void info_cpus(MonitorCommand *c)
{
    static const char *const states[] = { "", " (halted)", " (waits for SIPI)", " (shut down)" };
    Cpu *cpu;
    for (unsigned k = 0; (cpu = debugger_cpu_at(c->debugger, k)); k++) {
        uint64_t la = cpu->seg[SEG_CS].base + cpu->rip;
        char mark = cpu == debugger_cpu(c->debugger) ? '*' : ' ';
        g_string_append_printf(c->out, "%c CPU #%u: apic id %u, pc 0x%016" PRIx64 "%s, %s, CPL %u%s", mark, k,
                               cpu->apic_id, la, states[cpu->run_state], mode_name(cpu), cpu->cpl, world_name(cpu));
        symbols_print(debugger_symbols(c->debugger), la, c->out);
        g_string_append_c(c->out, '\n');
    }
}

/* The recompiler of each CPU. */
static void info_jit(MonitorCommand *c)
{
    gsize before = c->out->len;
    Cpu *cpu;
    for (unsigned k = 0; (cpu = debugger_cpu_at(c->debugger, k)); k++) {
        if (c->machine->cpu_count > 1)
            g_string_append_printf(c->out, "cpu%u:\n", k);
        tcg_info(cpu, c->out);
    }
    if (c->out->len == before)
        g_string_append(c->out, "there is no recompiler (-accel tcg)\n");
}

static void command_cpu(MonitorCommand *c)
{
    uint64_t n;
    if (!command_value(c, c->arguments, &n))
        return;
    Cpu *cpu = n < c->machine->cpu_count ? debugger_cpu_at(c->debugger, n) : NULL;
    if (cpu)
        debugger_choose_cpu(c->debugger, cpu);
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

/* -f: what each address leads to alone. */
static void info_mtree(MonitorCommand *c)
{
    bool flat = !strcmp(c->arguments, "-f");
    if (*c->arguments && !flat)
        g_string_append_printf(c->out, "info mtree: '%s': there is only -f\n", c->arguments);
    else
        for (unsigned k = 0; k < 2; k++)
            (flat ? as_dump_flat : as_dump)(k ? c->machine->ports : c->machine->memory, c->out);
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
    g_autofree char *id = g_strdup_printf("apic%u", debugger_cpu(c->debugger)->index);
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

static void command_reset(MonitorCommand *c) { machine_press_reset(c->machine, "monitor"); }
static void command_powerdown(MonitorCommand *c) { machine_request_powerdown(c->machine); }
static void command_quit(MonitorCommand *c) { machine_quit(c->machine, 0); }

const CommandRow machine_commands[] = {
    { .name = "cpu", .arguments = "N", .help = "make CPU N the one that commands are about", .run = command_cpu },
    { .name = "quit", .aliases = "q exit", .arguments = "", .help = "end the emulator", .run = command_quit },
    { .name = "system_powerdown", .arguments = "", .help = "press the power button", .run = command_powerdown },
    { .name = "system_reset", .arguments = "", .help = "press the reset button", .run = command_reset },
    { .name = NULL },
};

const CommandRow machine_info[] = {
    { .name = "cpus", .arguments = "", .help = "processors; * marks the one that commands are about", .run = info_cpus,
      .paused = true },
    { .name = "device", .arguments = "ID", .help = "state of one device", .run = info_device,
      .completes = COMPLETE_DEVICE },
    { .name = "jit", .arguments = "", .help = "the recompiler: units, code memory, time, what it does not translate",
      .run = info_jit, .paused = true },
    { .name = "lapic", .arguments = "", .help = "local APIC", .run = info_lapic },
    { .name = "mtree", .arguments = "[-f]", .help = "memory and port map; -f: flat", .run = info_mtree },
    { .name = "pic", .arguments = "", .help = "8259 interrupt controllers", .run = info_pic },
    { .name = "qtree", .arguments = "", .help = "devices and their properties", .run = info_qtree },
    { .name = "status", .arguments = "", .help = "running or paused", .run = info_status },
    { .name = "version", .arguments = "", .help = "version", .run = info_version },
    { .name = NULL },
};
