/* The notes of core files (dump_notes.h): registers as Linux's core files have them, and as QEMU's. */
#include "debugger/commands/dump_notes.h"

#include <string.h>

#include "cpu/flags.h"
#include "util/endian.h"

enum { NOTE_PRSTATUS = 1, NOTE_QEMU = 0 };

/* ---- bytes ---- */

void dump_put(GByteArray *a, uint64_t v, unsigned size)
{
    uint8_t b[8];
    stle(b, v, size);
    g_byte_array_append(a, b, size);
}

void dump_put_zeros(GByteArray *a, unsigned n)
{
    while (n--)
        dump_put(a, 0, 1);
}

static void pad4(GByteArray *a) { dump_put_zeros(a, -a->len & 3); }

/* ---- notes ---- */

static void put_note(GByteArray *notes, const char *owner, uint32_t type, const GByteArray *content)
{
    dump_put(notes, strlen(owner) + 1, 4);
    dump_put(notes, content->len, 4);
    dump_put(notes, type, 4);
    g_byte_array_append(notes, (const uint8_t *)owner, strlen(owner) + 1);
    pad4(notes);
    g_byte_array_append(notes, content->data, content->len);
    pad4(notes);
}

/* struct user_regs_struct of Linux for x86-64. */
static void put_registers_64(Cpu *cpu, GByteArray *a)
{
    static const uint8_t order[] = { R_15, R_14, R_13, R_12, R_BP, R_BX, R_11, R_10, R_9, R_8, R_AX, R_CX, R_DX, R_SI,
                                     R_DI };
    static const uint8_t segments[] = { SEG_DS, SEG_ES, SEG_FS, SEG_GS };
    for (unsigned k = 0; k < sizeof order; k++)
        dump_put(a, cpu->gpr[order[k]], 8);
    dump_put(a, ~UINT64_C(0), 8); /* orig_rax: not in a system call */
    dump_put(a, cpu->rip, 8);
    dump_put(a, cpu->seg[SEG_CS].sel, 8);
    dump_put(a, cpu_eflags(cpu), 8);
    dump_put(a, cpu->gpr[R_SP], 8);
    dump_put(a, cpu->seg[SEG_SS].sel, 8);
    dump_put(a, cpu->seg[SEG_FS].base, 8);
    dump_put(a, cpu->seg[SEG_GS].base, 8);
    for (unsigned k = 0; k < sizeof segments; k++)
        dump_put(a, cpu->seg[segments[k]].sel, 8);
}

/* The same for i386. */
static void put_registers_32(Cpu *cpu, GByteArray *a)
{
    static const uint8_t order[] = { R_BX, R_CX, R_DX, R_SI, R_DI, R_BP, R_AX };
    static const uint8_t segments[] = { SEG_DS, SEG_ES, SEG_FS, SEG_GS };
    for (unsigned k = 0; k < sizeof order; k++)
        dump_put(a, cpu->gpr[order[k]], 4);
    for (unsigned k = 0; k < sizeof segments; k++)
        dump_put(a, cpu->seg[segments[k]].sel, 4);
    dump_put(a, ~0u, 4);
    dump_put(a, cpu->rip, 4);
    dump_put(a, cpu->seg[SEG_CS].sel, 4);
    dump_put(a, cpu_eflags(cpu), 4);
    dump_put(a, cpu->gpr[R_SP], 4);
    dump_put(a, cpu->seg[SEG_SS].sel, 4);
}

/* struct elf_prstatus: signal, process (the CPU's number and one), times, registers, whether there are x87's. */
static void add_prstatus(GByteArray *notes, Cpu *cpu, bool long_mode)
{
    g_autoptr(GByteArray) a = g_byte_array_new();
    unsigned word = long_mode ? 8 : 4;
    dump_put_zeros(a, 16 + 2 * word);
    dump_put(a, cpu->index + 1, 4);
    dump_put_zeros(a, 3 * 4 + 4 * 2 * word);
    if (long_mode)
        put_registers_64(cpu, a);
    else
        put_registers_32(cpu, a);
    dump_put_zeros(a, word);
    put_note(notes, "CORE", NOTE_PRSTATUS, a);
}

static void put_qemu_segment(GByteArray *a, uint32_t sel, uint32_t limit, uint32_t flags, uint64_t base)
{
    dump_put(a, sel, 4);
    dump_put(a, limit, 4);
    dump_put(a, flags, 4);
    dump_put(a, 0, 4);
    dump_put(a, base, 8);
}

/* Version 1 of the state that QEMU's core files have. */
static void add_qemu_state(GByteArray *notes, Cpu *cpu)
{
    enum { SIZE = 440 };
    static const uint8_t order[] = { R_AX, R_BX, R_CX, R_DX, R_SI, R_DI, R_SP, R_BP, R_8, R_9, R_10, R_11, R_12, R_13,
                                     R_14,
                                     R_15, R_15 + 2 /* RIP */ };
    static const uint8_t segments[] = { SEG_CS, SEG_DS, SEG_ES, SEG_FS, SEG_GS, SEG_SS, SEG_LDTR, SEG_TR };
    const uint64_t cr[] = { cpu->cr0, 0, cpu->cr2, cpu->cr3, cpu->cr4 };
    g_autoptr(GByteArray) a = g_byte_array_new();
    dump_put(a, 1, 4);
    dump_put(a, SIZE, 4);
    for (unsigned k = 0; k < sizeof order; k++)
        dump_put(a, cpu->gpr[order[k]], 8);
    dump_put(a, cpu_eflags(cpu), 8);
    for (unsigned k = 0; k < sizeof segments; k++) {
        const Segment *s = &cpu->seg[segments[k]];
        put_qemu_segment(a, s->sel, s->limit, (uint32_t)s->attr << 8, s->base);
    }
    put_qemu_segment(a, 0, cpu->gdtr.limit, 0, cpu->gdtr.base);
    put_qemu_segment(a, 0, cpu->idtr.limit, 0, cpu->idtr.base);
    for (unsigned k = 0; k < G_N_ELEMENTS(cr); k++)
        dump_put(a, cr[k], 8);
    dump_put(a, cpu->kernel_gs_base, 8);
    put_note(notes, "QEMU", NOTE_QEMU, a);
}

void dump_put_notes(Debugger *d, bool long_mode, GByteArray *notes)
{
    Cpu *cpu;
    for (unsigned k = 0; (cpu = debugger_cpu_at(d, k)); k++)
        add_prstatus(notes, cpu, long_mode);
    for (unsigned k = 0; (cpu = debugger_cpu_at(d, k)); k++)
        add_qemu_state(notes, cpu);
}
