/* What stopped, in words (debugger_describe). */
#include <inttypes.h>
#include <string.h>

#include "cpu/fault.h"
#include "debugger/debugger.h"
#include "debugger/symbols/symbols.h"

static const char *kind_name(const StopReport *r)
{
    static const char *const names[STOP_KINDS] = {
        [STOP_CODE] = "Breakpoint", [STOP_DATA] = "Watchpoint", [STOP_IO] = "I/O watchpoint",
        [STOP_MSR] = "MSR watchpoint", [STOP_EXCEPTION] = "Catchpoint", [STOP_INTERRUPT] = "Catchpoint",
        [STOP_MODE] = "Catchpoint", [STOP_CR3] = "Catchpoint", [STOP_TASK] = "Catchpoint", [STOP_SMI] = "Catchpoint",
        [STOP_VMEXIT] = "Catchpoint",
    };
    return names[r->hit.kind];
}

static void describe_data(const StopHit *h, GString *out)
{
    const char *what = h->access == STOP_READ ? "read" : h->access == STOP_WRITE ? "write" : "read and write";
    g_string_append_printf(out, "%s of %u byte%s at 0x%" PRIx64, what, h->size, h->size == 1 ? "" : "s", h->address);
    if (h->access & STOP_WRITE)
        g_string_append_printf(out, ": 0x%" PRIx64 " -> 0x%" PRIx64, h->old, h->value);
    else
        g_string_append_printf(out, ": 0x%" PRIx64, h->value);
}

static void describe_io(const StopHit *h, GString *out)
{
    g_string_append_printf(out, "%s port 0x%" PRIx64 ": 0x%0*" PRIx64, h->access == STOP_READ ? "in from" : "out to",
                           h->address, h->size * 2, h->value);
}

static void describe_msr(const StopHit *h, GString *out)
{
    g_string_append_printf(out, "%s MSR 0x%" PRIx64 ": ", h->access == STOP_READ ? "read of" : "write to", h->address);
    if (h->access == STOP_WRITE)
        g_string_append_printf(out, "0x%" PRIx64 " -> ", h->old);
    g_string_append_printf(out, "0x%" PRIx64, h->value);
}

static void describe_exception(const StopHit *h, GString *out)
{
    g_string_append_printf(out, "exception %" PRIu64 " (%s)", h->address, cpu_exception_name(h->address));
    if (h->has_error)
        g_string_append_printf(out, ", error code 0x%04x", h->error);
    if (h->address == EXC_PF)
        g_string_append_printf(out, ", at address 0x%" PRIx64, h->value);
    g_string_append(out, ", not delivered yet");
}

static void append_mode(uint64_t mode, GString *out)
{
    static const char *const sizes[] = { "16-bit", "32-bit", "64-bit" };
    g_string_append_printf(out, "%s %s", sizes[mode & 3],
                           mode & 8    ? "virtual-8086"
                           : mode & 16 ? "long mode"
                           : mode & 4  ? "protected mode"
                                       : "real mode");
}

static void describe_mode(const StopHit *h, GString *out)
{
    append_mode(h->old, out);
    g_string_append(out, " -> ");
    append_mode(h->value, out);
}

static void describe_event(const StopHit *h, GString *out)
{
    switch (h->kind) {
    case STOP_DATA: describe_data(h, out); break;
    case STOP_IO: describe_io(h, out); break;
    case STOP_MSR: describe_msr(h, out); break;
    case STOP_EXCEPTION: describe_exception(h, out); break;
    case STOP_INTERRUPT: g_string_append_printf(out, "interrupt 0x%02" PRIx64, h->address); break;
    case STOP_MODE: describe_mode(h, out); break;
    case STOP_CR3: g_string_append_printf(out, "CR3 0x%" PRIx64 " -> 0x%" PRIx64, h->old, h->value); break;
    case STOP_TASK: g_string_append_printf(out, "task switch to 0x%04" PRIx64, h->value); break;
    case STOP_SMI: g_string_append(out, h->value ? "SMM entered" : "SMM left"); break;
    case STOP_VMEXIT: g_string_append_printf(out, "#VMEXIT 0x%" PRIx64, h->value); break;
    default: break;
    }
}

/* Where the CPU is: its mode tells how the address is written. */
static void describe_place(Debugger *d, const Cpu *cpu, GString *out)
{
    uint64_t la = cpu_linear_rip(cpu);
    if (cpu->code_size == SZ64)
        g_string_append_printf(out, "0x%016" PRIx64, la);
    else
        g_string_append_printf(out, "%04x:%0*" PRIx64, cpu->seg[SEG_CS].sel, cpu->code_size == SZ32 ? 8 : 4, cpu->rip);
    symbols_print(debugger_symbols(d), la, out);
}

static void describe_instruction(Debugger *d, Cpu *cpu, GString *out)
{
    uint8_t bytes[15];
    unsigned n = debugger_read_instruction(cpu, bytes);
    g_string_append(out, "=> ");
    describe_place(d, cpu, out);
    g_string_append(out, ":  ");
    if (n)
        cpu_disassemble(cpu->code_size, cpu->rip, bytes, n, out);
    else
        g_string_append(out, "not mapped");
    g_string_append_c(out, '\n');
}

/* The instruction that did it, where that is not the one that comes next. */
static void describe_culprit(Debugger *d, const StopReport *r, GString *out)
{
    g_string_append_printf(out, ", by 0x%" PRIx64, r->hit.la);
    symbols_print(debugger_symbols(d), r->hit.la, out);
}

static bool has_culprit(StopKind kind)
{
    return kind == STOP_DATA || kind == STOP_IO || kind == STOP_MSR || kind == STOP_CR3 || kind == STOP_MODE;
}

static void describe_hit(Debugger *d, const StopReport *r, GString *out)
{
    g_string_append_printf(out, "%s", kind_name(r));
    if (r->stop)
        g_string_append_printf(out, " %u", r->stop->point.id);
    g_string_append_printf(out, ", cpu %u: ", r->cpu->index);
    describe_event(&r->hit, out);
    if (has_culprit(r->hit.kind))
        describe_culprit(d, r, out);
    else if (r->hit.kind == STOP_CODE)
        describe_place(d, r->cpu, out);
    g_string_append_c(out, '\n');
}

void debugger_describe(Debugger *d, const StopReport *r, GString *out)
{
    if (r->hit.kind == STOP_TRIPLE_FAULT) {
        cpu_describe_triple_fault(r->cpu, out);
        g_string_append(out, "stopped before the reset: 'continue' goes on with it\n");
        return;
    }
    if (kind_name(r) && !(r->stop && r->stop->owner)) /* a step over a call ends at a stop that nobody sees */
        describe_hit(d, r, out);
    describe_instruction(d, r->cpu, out);
}
