/* Commands that have the machine run and stop. */
#include <inttypes.h>
#include <string.h>

#include "cpu/decode.h"
#include "debugger/commands/command.h"
#include "debugger/unwind/unwind.h"

static bool must_be_paused(MonitorCommand *c)
{
    if (!debugger_is_running(c->debugger))
        return true;
    g_string_append(c->out, "the machine runs: 'stop' pauses it\n");
    return false;
}

static void command_stop(MonitorCommand *c) { debugger_interrupt(c->debugger); }

/* continue [COUNT]: COUNT - 1 hits of the stop that it stands at are passed over. */
static void command_continue(MonitorCommand *c)
{
    uint64_t count = 1;
    if (*c->arguments && !command_value(c, c->arguments, &count))
        return;
    if (c->machine->run_state == RUN_SHUTDOWN)
        g_string_append(c->out, "the guest has shut down: 'system_reset' starts it again\n");
    debugger_ignore_here(c->debugger, count ? count - 1 : 0);
    debugger_continue(c->debugger);
}

/* stepi [COUNT], or Bochs's s CPU COUNT */
static void command_step(MonitorCommand *c)
{
    const char *rest = c->arguments;
    uint64_t first = 1, count;
    Cpu *cpu = debugger_cpu(c->debugger);
    if (!must_be_paused(c) || (*rest && !command_next_value(c, &rest, &first)))
        return;
    count = first;
    if (*rest) {
        if (!command_next_value(c, &rest, &count))
            return;
        cpu = first < c->machine->cpu_count ? debugger_cpu_at(c->debugger, first) : NULL;
    }
    if (!cpu || !count)
        g_string_append(c->out, "usage: step [COUNT], or step CPU COUNT\n");
    else
        debugger_step(c->debugger, cpu, count, true, false);
}

/* The length of the instruction at RIP when it comes back to the one behind it later: a call, INT, REP, LOOP; else 0. */
static unsigned returning_length(Cpu *cpu)
{
    uint8_t bytes[15];
    unsigned n = debugger_read_instruction(cpu, bytes);
    Insn i;
    int length = insn_decode(cpu->decoder, cpu->key & KEY_DECODE, bytes, n, &i);
    if (length <= 0 || i.row >= insn_row_count)
        return 0;
    const char *name = insn_rows[i.row].mnemonic;
    bool returns = g_str_has_prefix(name, "call") || g_str_has_prefix(name, "int") || g_str_has_prefix(name, "loop") ||
                   (i.rep && (insn_rows[i.row].attr & A_REP));
    return returns ? length : 0;
}

static void command_next(MonitorCommand *c)
{
    Cpu *cpu = debugger_cpu(c->debugger);
    if (!must_be_paused(c))
        return;
    unsigned length = returning_length(cpu);
    if (length)
        debugger_run_to(c->debugger, cpu, cpu_linear_rip(cpu) + length, cpu->gpr[R_SP]);
    else
        debugger_step(c->debugger, cpu, 1, true, false);
}

/* Bochs's p goes on, gdb's prints. */
static void command_p(MonitorCommand *c)
{
    if (*c->arguments)
        command_find("print", false)->run(c);
    else
        command_next(c);
}

/* To where the chosen frame goes back, with its own stack gone. */
static void command_finish(MonitorCommand *c)
{
    unsigned number;
    Cpu *cpu = debugger_cpu(c->debugger);
    if (!must_be_paused(c))
        return;
    frame_chosen(c->debugger, &number);
    g_autoptr(Backtrace) b = unwind(c->debugger, cpu, number + 2);
    if (b->frames->len < number + 2) {
        g_string_append_printf(c->out, "this frame's caller is not known%s%s\n", b->why ? ": " : "", b->why ? b->why : "");
        return;
    }
    const Frame *caller = &g_array_index(b->frames, Frame, number + 1);
    g_string_append(c->out, "Run to ");
    frame_print(c->debugger, caller, number + 1, c->out);
    debugger_run_to(c->debugger, cpu, caller->pc, caller->known >> DWARF_RSP & 1 ? caller->reg[DWARF_RSP] : 0);
}

static void command_until(MonitorCommand *c)
{
    uint64_t la;
    if (must_be_paused(c) && command_value(c, c->arguments, &la))
        debugger_run_to(c->debugger, debugger_cpu(c->debugger), la, 0);
}

const CommandRow run_commands[] = {
    { .name = "continue", .aliases = "c cont", .arguments = "[COUNT]",
      .help = "go on after a stop; with COUNT, pass over that many hits less one", .run = command_continue },
    { .name = "finish", .aliases = "fin", .arguments = "", .help = "run until the chosen frame returns",
      .run = command_finish },
    { .name = "next", .aliases = "n ni nexti proceed", .arguments = "",
      .help = "one instruction, over calls, INT, REP and LOOP", .run = command_next },
    { .name = "p", .arguments = "[EXPRESSION]", .help = "next, as in Bochs; with EXPRESSION, print, as in gdb",
      .run = command_p, .completes = COMPLETE_SYMBOL },
    { .name = "step", .aliases = "s si stepi", .arguments = "[CPU] [COUNT]",
      .help = "COUNT instructions [1] of the current CPU, or of CPU; the others hold still", .run = command_step,
      .more = "  Interrupts wait while instructions are stepped. A halted CPU goes on with the next interrupt.\n" },
    { .name = "stop", .arguments = "", .help = "pause the machine", .run = command_stop },
    { .name = "until", .aliases = "advance", .arguments = "ADDRESS", .help = "run to an address on the current CPU",
      .run = command_until, .completes = COMPLETE_SYMBOL },
    { .name = NULL },
};
