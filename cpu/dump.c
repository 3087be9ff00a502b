/* Registers as text, in the form of QEMU's `info registers`, which people's scripts read. */
#include <inttypes.h>

#include "cpu/cpu.h"
#include "cpu/flags.h"
#include "cpu/state.h"

static void dump_general(const Cpu *cpu, GString *out)
{
    static const char *const names64[16] = { "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                             "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15" };
    static const char *const names32[8] = { "EAX", "ECX", "EDX", "EBX", "ESP", "EBP", "ESI", "EDI" };
    static const uint8_t order[16] = { 0, 3, 1, 2, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15 };
    unsigned count = cpu->long_mode ? 16 : 8;
    for (unsigned k = 0; k < count; k++) {
        unsigned n = order[k];
        if (cpu->long_mode)
            g_string_append_printf(out, "%s=%016" PRIx64, names64[n], cpu->gpr[n]);
        else
            g_string_append_printf(out, "%s=%08" PRIx32, names32[n], (uint32_t)cpu->gpr[n]);
        g_string_append_c(out, k % 4 == 3 ? '\n' : ' ');
    }
}

static void dump_flags(const Cpu *cpu, GString *out)
{
    uint32_t f = cpu_eflags(cpu);
    g_string_append_printf(out, cpu->long_mode ? "RIP=%016" PRIx64 : "EIP=%08" PRIx64, cpu->rip);
    g_string_append_printf(out, cpu->long_mode ? " RFL=%08x [%c%c%c%c%c%c%c]" : " EFL=%08x [%c%c%c%c%c%c%c]", f,
                           f & F_DF ? 'D' : '-', f & F_OF ? 'O' : '-', f & F_SF ? 'S' : '-', f & F_ZF ? 'Z' : '-',
                           f & F_AF ? 'A' : '-', f & F_PF ? 'P' : '-', f & F_CF ? 'C' : '-');
    g_string_append_printf(out, " CPL=%d II=%d A20=%d SMM=%d HLT=%d\n", cpu->cpl, cpu->shadow != 0, cpu->a20_enabled,
                           cpu->in_smm, cpu->run_state == CPU_HALTED);
}

static void dump_segments(const Cpu *cpu, GString *out)
{
    static const char *const names[SEG_COUNT] = { "ES ", "CS ", "SS ", "DS ", "FS ", "GS ", "LDT", "TR " };
    for (unsigned s = 0; s < SEG_COUNT; s++) {
        const Segment *seg = &cpu->seg[s];
        g_string_append_printf(out, cpu->long_mode ? "%s=%04x %016" PRIx64 " %08x %08x" : "%s=%04x %08" PRIx64 " %08x %08x",
                               names[s], seg->sel, seg->base, seg->limit, (unsigned)seg->attr << 8);
        if (seg->attr & SA_P)
            g_string_append_printf(out, " DPL=%d %s%s", (seg->attr & SA_DPL) >> SA_DPL_SHIFT,
                                   !(seg->attr & SA_S) ? "sys" : seg->attr & SA_CODE ? "CS" : "DS",
                                   seg->attr & SA_L ? "64" : seg->attr & SA_DB ? "32" : "16");
        g_string_append_c(out, '\n');
    }
}

static void dump_system(const Cpu *cpu, GString *out)
{
    const char *format = cpu->long_mode ? "%s=     %016" PRIx64 " %08x\n" : "%s=     %08" PRIx64 " %08x\n";
    g_string_append_printf(out, format, "GDT", cpu->gdtr.base, cpu->gdtr.limit);
    g_string_append_printf(out, format, "IDT", cpu->idtr.base, cpu->idtr.limit);
    g_string_append_printf(out, "CR0=%08x CR2=%016" PRIx64 " CR3=%016" PRIx64 " CR4=%08x\n", (unsigned)cpu->cr0,
                           cpu->cr2, cpu->cr3, (unsigned)cpu->cr4);
    g_string_append_printf(out, "DR0=%016" PRIx64 " DR1=%016" PRIx64 " DR2=%016" PRIx64 " DR3=%016" PRIx64 "\n",
                           cpu->dr[0], cpu->dr[1], cpu->dr[2], cpu->dr[3]);
    g_string_append_printf(out, "DR6=%016" PRIx64 " DR7=%016" PRIx64 "\nEFER=%016" PRIx64 "\n", cpu->dr[6], cpu->dr[7],
                           cpu->efer);
}

static void dump_float(const Cpu *cpu, GString *out)
{
    g_string_append_printf(out, "FCW=%04x FSW=%04x [ST=%d] FTW=%02x MXCSR=%08x\n", cpu->fpu.control,
                           cpu->fpu.status | cpu->fpu.top << 11, cpu->fpu.top, cpu->fpu.tags, cpu->mxcsr);
    for (unsigned k = 0; k < 8; k++) {
        const Float80 *f = &cpu->fpu.reg[k];
        g_string_append_printf(out, "FPR%u=%016" PRIx64 " %04x%c", k, f->mant, f->sexp, k % 2 ? '\n' : ' ');
    }
}

/* A register's lowest quadwords, the highest of them first. */
static void dump_vector(const Cpu *cpu, GString *out, const char *name, unsigned k, unsigned quads, bool ends)
{
    g_string_append_printf(out, "%s%02u=", name, k);
    while (quads--)
        g_string_append_printf(out, "%016" PRIx64 "%s", cpu->vec[k].q[quads], quads ? " " : ends ? "\n" : " ");
}

/* As much of vector registers as the operating system has enabled. */
static void dump_vectors(const Cpu *cpu, GString *out)
{
    unsigned registers = cpu->long_mode ? 16 : 8;
    if (!(cpu->key & KEY_AVX512_UD)) {
        for (unsigned k = 0; k < 8; k++)
            g_string_append_printf(out, "K%u=%016" PRIx64 "%c", k, cpu->opmask[k], k % 4 == 3 ? '\n' : ' ');
        for (unsigned k = 0; k < registers * (cpu->long_mode ? 2 : 1); k++)
            dump_vector(cpu, out, "ZMM", k, 8, true);
    } else if (!(cpu->key & KEY_AVX_UD)) {
        for (unsigned k = 0; k < registers; k++)
            dump_vector(cpu, out, "YMM", k, 4, true);
    } else {
        for (unsigned k = 0; k < registers; k++)
            dump_vector(cpu, out, "XMM", k, 2, k % 2);
    }
}

void cpu_dump(Cpu *cpu, GString *out)
{
    dump_general(cpu, out);
    dump_flags(cpu, out);
    dump_segments(cpu, out);
    dump_system(cpu, out);
    dump_float(cpu, out);
    dump_vectors(cpu, out);
}
