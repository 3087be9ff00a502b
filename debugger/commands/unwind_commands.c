/* bt, frame, up, down: a CPU's backtrace, and a place in it (unwind.h). */
#include <inttypes.h>
#include <stdlib.h>

#include "debugger/commands/command.h"
#include "debugger/symbols/symbols.h"
#include "debugger/unwind/unwind.h"

#define DEFAULT_FRAMES 100

/* ---- showing ---- */

static void print_symbol(Symbols *s, const Frame *f, GString *out)
{
    uint64_t distance, lookup = frame_lookup_pc(f);
    const char *file, *name = symbols_name(s, lookup, &distance);
    unsigned line;
    if (!name)
        return;
    distance += f->pc - lookup;
    g_string_append_printf(out, distance ? " in %s+0x%" PRIx64 : " in %s", name, distance);
    if (symbols_line(s, lookup, &file, &line))
        g_string_append_printf(out, " (%s:%u)", file, line);
}

void frame_print(Debugger *d, const Frame *f, unsigned number, GString *out)
{
    static const int digits[] = { 5, 8, 16 };
    g_string_append_printf(out, "#%-3u0x%0*" PRIx64, number, digits[f->code_size], f->pc);
    if (f->code_size == SZ16)
        g_string_append_printf(out, " (%04x:%04x)", f->cs, (unsigned)f->reg[DWARF_RA]);
    print_symbol(debugger_symbols(d), f, out);
    if (f->kind == FRAME_GUESS)
        g_string_append(out, " ?");
    else if (f->exact && number)
        g_string_append(out, f->user ? " [user mode]" : " [interrupted]");
    g_string_append_c(out, '\n');
}

static void command_bt(MonitorCommand *c)
{
    uint64_t max = DEFAULT_FRAMES;
    if (*c->arguments && !command_value(c, c->arguments, &max))
        return;
    max = CLAMP(max, 1, UNWIND_MAX);
    g_autoptr(Backtrace) b = unwind(c->debugger, debugger_cpu(c->debugger), max);
    for (guint k = 0; k < b->frames->len; k++)
        frame_print(c->debugger, &g_array_index(b->frames, Frame, k), k, c->out);
    if (b->why)
        g_string_append_printf(c->out, "(%s)\n", b->why);
    else if (b->frames->len == max)
        g_string_append_printf(c->out, "(there may be more: bt %" PRIu64 ")\n", max * 2);
}

/* ---- the chosen frame ---- */

/* Which frame of which CPU: as long as that has these registers. */
typedef struct ChosenFrame {
    unsigned number;
    Cpu *cpu;
    Frame innermost, frame;
} ChosenFrame;

static bool same_place(const Frame *a, const Frame *b)
{
    for (unsigned k = 0; k < DWARF_REGISTERS; k++)
        if (a->reg[k] != b->reg[k])
            return false;
    return a->pc == b->pc && a->cs == b->cs;
}

Frame frame_chosen(Debugger *d, unsigned *number)
{
    const ChosenFrame *chosen = machine_find(debugger_machine(d), "frame");
    Cpu *cpu = debugger_cpu(d);
    Frame innermost = frame_innermost(cpu);
    bool valid = chosen && chosen->cpu == cpu && same_place(&chosen->innermost, &innermost);
    if (number)
        *number = valid ? chosen->number : 0;
    return valid ? chosen->frame : innermost;
}

void frame_forget(Machine *m)
{
    g_free(machine_find(m, "frame"));
    machine_provide(m, "frame", NULL);
}

/* Chooses a frame and shows it; one that is not there becomes the last one, with a word about that. */
static void choose_frame(MonitorCommand *c, uint64_t number)
{
    Cpu *cpu = debugger_cpu(c->debugger);
    g_autoptr(Backtrace) b = unwind(c->debugger, cpu, MIN(number, UNWIND_MAX - 1) + 1);
    if (number >= b->frames->len) {
        g_string_append_printf(c->out, "there are frames 0 to %u only%s%s\n", b->frames->len - 1, b->why ? ": " : "",
                               b->why ? b->why : "");
        return;
    }
    ChosenFrame *chosen = g_new0(ChosenFrame, 1);
    *chosen = (ChosenFrame){ .number = number, .cpu = cpu, .innermost = g_array_index(b->frames, Frame, 0),
                             .frame = g_array_index(b->frames, Frame, number) };
    frame_forget(c->machine);
    machine_provide(c->machine, "frame", chosen);
    frame_print(c->debugger, &chosen->frame, number, c->out);
}

static void command_frame(MonitorCommand *c)
{
    uint64_t number;
    unsigned now;
    Frame f = frame_chosen(c->debugger, &now);
    if (!*c->arguments)
        frame_print(c->debugger, &f, now, c->out);
    else if (command_value(c, c->arguments, &number))
        choose_frame(c, number);
}

static void move_frame(MonitorCommand *c, bool up)
{
    uint64_t count = 1;
    unsigned now;
    frame_chosen(c->debugger, &now);
    if (*c->arguments && !command_value(c, c->arguments, &count))
        return;
    if (!up && !now)
        g_string_append(c->out, "frame 0 is the innermost\n");
    else
        choose_frame(c, up ? now + MIN(count, UNWIND_MAX) : now - MIN(count, now));
}

static void command_up(MonitorCommand *c) { move_frame(c, true); }
static void command_down(MonitorCommand *c) { move_frame(c, false); }

const CommandRow unwind_commands[] = {
    { .name = "bt", .aliases = "where backtrace", .arguments = "[N]", .help = "who called what is executed: N frames",
      .run = command_bt, .paused = true,
      .more = "  \"?\" marks a guess: an address on the stack behind a call instruction.\n" },
    { .name = "frame", .aliases = "f", .arguments = "[N]", .help = "show frame N of the backtrace, and choose it",
      .run = command_frame, .paused = true },
    { .name = "up", .arguments = "[N]", .help = "choose the caller's frame, or the Nth up", .run = command_up,
      .paused = true },
    { .name = "down", .arguments = "[N]", .help = "choose the called function's frame", .run = command_down,
      .paused = true },
    { .name = NULL },
};
