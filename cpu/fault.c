/*
 * Raising exceptions, double and triple faults (SDM vol. 3A 6.15, interrupt 8), and the report of a triple fault.
 */
#include <glib.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/log.h"
#include "core/machine.h"
#include "cpu/control.h"
#include "cpu/cpu.h"
#include "cpu/fault.h"
#include "cpu/stops.h"
#include "cpu/svm.h"
#include "cpu/trace.h"

static _Noreturn void raise_exception(Cpu *cpu, unsigned vector, bool has_error, uint32_t error)
{
    cpu->fault.raised = true;
    cpu->fault.vector = vector;
    cpu->fault.has_error = has_error;
    cpu->fault.error = error;
    _longjmp(cpu->unwind, 1);
}

void cpu_raise(Cpu *cpu, unsigned vector) { raise_exception(cpu, vector, false, 0); }
void cpu_raise_error(Cpu *cpu, unsigned vector, uint32_t error) { raise_exception(cpu, vector, true, error); }
void cpu_raise_gp(Cpu *cpu) { raise_exception(cpu, EXC_GP, true, 0); }
void cpu_raise_ud(Cpu *cpu) { raise_exception(cpu, EXC_UD, false, 0); }

void cpu_raise_pf(Cpu *cpu, uint64_t la, uint32_t error)
{
    cpu->fault.old_cr2 = cpu->cr2;
    cpu->cr2 = la;
    raise_exception(cpu, EXC_PF, true, error);
}

void cpu_unwind(Cpu *cpu)
{
    cpu->fault.raised = false;
    _longjmp(cpu->unwind, 1);
}

void cpu_note_fault(Cpu *cpu, const char *format, ...)
{
    if (!cpu->fault.delivering || cpu->fault.chain_length == 0)
        return;
    struct FaultRecord *record = &cpu->fault.chain[cpu->fault.chain_length - 1];
    va_list args;
    va_start(args, format);
    vsnprintf(record->why, sizeof record->why, format, args);
    va_end(args);
}

const char *cpu_exception_name(unsigned vector)
{
    static const char *const names[32] = {
        "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "coprocessor overrun", "#TS", "#NP", "#SS",
        "#GP", "#PF", "reserved", "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
    };
    return vector < 32 && names[vector] ? names[vector] : "interrupt";
}

static bool is_contributory(unsigned vector)
{
    return vector == EXC_DE || (vector >= EXC_TS && vector <= EXC_GP) || vector == EXC_CP;
}

/* Whether `second`, raised while `first` is delivered, makes a double fault (SDM vol. 3A table 6-5). */
static bool makes_double_fault(unsigned first, unsigned second)
{
    if (first == EXC_PF)
        return second == EXC_PF || is_contributory(second);
    return is_contributory(first) && is_contributory(second);
}

static void record_fault(Cpu *cpu, unsigned vector, bool has_error, uint32_t error)
{
    if (cpu->fault.chain_length == ARRAY_SIZE(cpu->fault.chain))
        return;
    struct FaultRecord *record = &cpu->fault.chain[cpu->fault.chain_length++];
    record->vector = vector;
    record->has_error = has_error;
    record->external = record->software = false;
    record->error = error;
    record->cr2 = cpu->cr2;
    record->rip = cpu->rip;
    record->cs = cpu->seg[SEG_CS].sel;
    record->fetch = cpu->seg[SEG_CS].base + cpu->rip;
    record->why[0] = 0;
}

/* Without NX and SMEP the error code does not tell a fetch from a read. */
static const char *fault_access(const struct FaultRecord *f)
{
    if (f->error & PF_W)
        return "write";
    return (f->error & PF_I) || f->cr2 == f->fetch ? "fetch" : "read";
}

static void describe_fault(const struct FaultRecord *f, const char *what, GString *out)
{
    g_string_append_printf(out, "  %s: %s", what, cpu_exception_name(f->vector));
    if (f->has_error)
        g_string_append_printf(out, " error 0x%04x", f->error);
    if (f->vector == EXC_PF)
        g_string_append_printf(out, " at address 0x%" PRIx64 " (%s, %s, %s)", f->cr2,
                               fault_access(f),
                               f->error & PF_U ? "user" : "supervisor",
                               f->error & PF_RSVD ? "reserved bit set" : f->error & PF_P ? "not allowed" : "not present");
    g_string_append_printf(out, ", at %04x:%016" PRIx64 "\n", f->cs, f->rip);
    if (f->why[0])
        g_string_append_printf(out, "    not delivered: %s\n", f->why);
}

static void describe_table_entry(Cpu *cpu, const char *name, const TablePtr *table, unsigned offset, unsigned size,
                                 GString *out)
{
    uint8_t bytes[16];
    g_string_append_printf(out, "  %s+0x%x:", name, offset);
    if (offset + size - 1 > table->limit)
        g_string_append_printf(out, " beyond the limit 0x%x\n", table->limit);
    else if (!cpu_read_linear(cpu, table->base + offset, bytes, size))
        g_string_append_printf(out, " not mapped (0x%" PRIx64 ")\n", table->base + offset);
    else {
        for (unsigned k = 0; k < size; k++)
            g_string_append_printf(out, " %02x", bytes[k]);
        g_string_append_c(out, '\n');
    }
}

/* The gate of a vector and the code segment descriptor that it names. */
static void describe_gate(Cpu *cpu, unsigned vector, GString *out)
{
    unsigned size = cpu_real_mode(cpu) ? 4 : cpu->long_mode ? 16 : 8;
    uint8_t gate[16];
    g_autofree char *name = g_strdup_printf("IDT[%u]", vector);
    describe_table_entry(cpu, name, &cpu->idtr, vector * size, size, out);
    if (size == 4 || vector * size + size - 1 > cpu->idtr.limit ||
        !cpu_read_linear(cpu, cpu->idtr.base + vector * size, gate, size))
        return;
    unsigned selector = gate[2] | gate[3] << 8;
    describe_table_entry(cpu, "  GDT", &cpu->gdtr, selector & ~7u, 8, out);
}

static void describe_code(Cpu *cpu, GString *out)
{
    uint8_t bytes[16];
    uint64_t la = cpu->seg[SEG_CS].base + cpu->rip;
    g_string_append(out, "  bytes at RIP:");
    if (!cpu_read_linear(cpu, la, bytes, sizeof bytes)) {
        g_string_append_printf(out, " not mapped (0x%" PRIx64 ")\n", la);
        return;
    }
    for (unsigned k = 0; k < sizeof bytes; k++)
        g_string_append_printf(out, " %02x", bytes[k]);
    g_string_append(out, "\n  ");
    cpu_disassemble(cpu->code_size, cpu->rip, bytes, sizeof bytes, out);
    g_string_append_c(out, '\n');
}

static bool seen_before(const Cpu *cpu, unsigned n)
{
    for (unsigned k = 0; k < n; k++)
        if (cpu->fault.chain[k].vector == cpu->fault.chain[n].vector)
            return true;
    return false;
}

void cpu_describe_triple_fault(Cpu *cpu, GString *out)
{
    g_string_append_printf(out, "triple fault on CPU %u: no exception could be delivered\n", cpu->index);
    for (unsigned k = 0; k < cpu->fault.chain_length; k++)
        describe_fault(&cpu->fault.chain[k], k ? "then" : "first fault", out);
    for (unsigned k = 0; k < cpu->fault.chain_length; k++)
        if (!seen_before(cpu, k))
            describe_gate(cpu, cpu->fault.chain[k].vector, out);
    describe_code(cpu, out);
}

static void report_triple_fault(Cpu *cpu)
{
    g_autoptr(GString) out = g_string_new("myna: ");
    cpu_describe_triple_fault(cpu, out);
    cpu_dump(cpu, out);
    fputs(out->str, stderr);
    fflush(stderr);
}

static void enter_shutdown(Cpu *cpu)
{
    if (cpu->svm.guest)
        svm_intercept_event(cpu, VMEXIT_SHUTDOWN);
    trace_event(cpu, TRACE_TRIPLE_FAULT, cpu->fault.vector, cpu->fault.has_error, cpu->fault.error, cpu->cr2);
    cpu->run_state = CPU_SHUTDOWN;
    cpu->fault.delivering = false; /* the chain stays, for who looks */
    if (stops_triple_fault(cpu))
        return;
    report_triple_fault(cpu);
    machine_request_reset(cpu->machine, "triple fault");
}

unsigned cpu_exception_due(const Cpu *cpu)
{
    return cpu->fault.delivering && makes_double_fault(cpu->fault.current, cpu->fault.vector) ? EXC_DF
                                                                                             : cpu->fault.vector;
}

/* Turns what was raised into what must be delivered; false: shutdown. */
static bool escalate(Cpu *cpu)
{
    if (!cpu->fault.delivering)
        return true;
    if (cpu->fault.current == EXC_DF && (is_contributory(cpu->fault.vector) || cpu->fault.vector == EXC_PF)) {
        record_fault(cpu, cpu->fault.vector, cpu->fault.has_error, cpu->fault.error);
        return false;
    }
    if (makes_double_fault(cpu->fault.current, cpu->fault.vector)) {
        record_fault(cpu, cpu->fault.vector, cpu->fault.has_error, cpu->fault.error);
        cpu->fault.vector = EXC_DF;
        cpu->fault.has_error = true;
        cpu->fault.error = 0;
        if (cpu->svm.guest)
            svm_intercept_exception(cpu, EXC_DF, true, 0, 0);
    }
    return true;
}

/* Exceptions in between are raised, and come here by cpu_deliver_raised(). */
void cpu_deliver_exception(Cpu *cpu, unsigned vector, bool has_error, uint32_t error)
{
    cpu->fault.delivering = true;
    cpu->fault.current = vector;
    record_fault(cpu, vector, has_error, error);
    interrupt_deliver(cpu, vector, INTERRUPT_EXCEPTION, has_error, error);
    cpu->fault.delivering = false;
    cpu->fault.chain_length = 0;
}

void cpu_deliver_raised(Cpu *cpu)
{
    cpu->fault.raised = false;
    if (!cpu->fault.delivering)
        cpu->fault.chain_length = 0;
    if (unlikely(cpu->svm.guest))
        svm_intercept_exception(cpu, cpu->fault.vector, cpu->fault.has_error, cpu->fault.error, 0);
    if (cpu->shadow) { /* a shadow ends with the instruction, also when that faults */
        cpu->shadow = 0;
        cpu_request_attention(cpu);
    }
    cpu->tf_trap = false;
    if (!escalate(cpu)) {
        enter_shutdown(cpu);
        return;
    }
    cpu_deliver_exception(cpu, cpu->fault.vector, cpu->fault.has_error, cpu->fault.error);
}
