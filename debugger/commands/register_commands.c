/* Commands about a CPU's registers; those of x87, SSE and AVX are in vector_commands.c. */
#include <inttypes.h>
#include <string.h>

#include "cpu/descriptor.h"
#include "cpu/flags.h"
#include "cpu/registers.h"
#include "cpu/system.h"
#include "debugger/commands/command.h"
#include "debugger/commands/register_print.h"
#include "debugger/symbols/symbols.h"

/* ---- bits by name ---- */

/* As Bochs has them: what is set in capital letters. */
void print_bits(GString *out, uint64_t v, const BitName *names)
{
    for (const BitName *n = names; n->name; n++) {
        g_autofree char *text = v >> n->bit & 1 ? g_ascii_strup(n->name, -1) : g_ascii_strdown(n->name, -1);
        g_string_append_printf(out, " %s", text);
    }
}

static const BitName eflags_low[] = {
    { 11, "of" }, { 10, "df" }, { 9, "if" }, { 8, "tf" }, { 7, "sf" }, { 6, "zf" }, { 4, "af" }, { 2, "pf" },
    { 0, "cf" },
    { 0, NULL },
};
static const BitName eflags_high[] = {
    { 21, "id" }, { 20, "vip" }, { 19, "vif" }, { 18, "ac" }, { 17, "vm" }, { 16, "rf" }, { 14, "nt" }, { 0, NULL },
};
static const BitName cr0_bits[] = {
    { 31, "pg" }, { 30, "cd" }, { 29, "nw" }, { 18, "am" }, { 16, "wp" }, { 5, "ne" }, { 4, "et" }, { 3, "ts" },
    { 2, "em" },
    { 1, "mp" }, { 0, "pe" }, { 0, NULL },
};
static const BitName cr4_bits[] = {
    { 24, "pks" }, { 23, "cet" }, { 22, "pke" }, { 21, "smap" }, { 20, "smep" }, { 18, "osxsave" }, { 17, "pcide" },
    { 16, "fsgsbase" }, { 14, "smxe" }, { 13, "vmxe" }, { 12, "la57" }, { 11, "umip" }, { 10, "osxmmexcpt" },
    { 9, "osfxsr" },
    { 8, "pce" }, { 7, "pge" }, { 6, "mce" }, { 5, "pae" }, { 4, "pse" }, { 3, "de" }, { 2, "tsd" }, { 1, "pvi" },
    { 0, "vme" }, { 0, NULL },
};
static const BitName efer_bits[] = {
    { 14, "ffxsr" }, { 13, "lmsle" }, { 12, "svme" }, { 11, "nxe" }, { 10, "lma" }, { 8, "lme" }, { 0, "sce" },
    { 0, NULL },
};
static const BitName xcr0_bits[] = {
    { 9, "pkru" }, { 7, "high_zmm" }, { 6, "zmm_high" }, { 5, "opmask" }, { 2, "avx" }, { 1, "sse" }, { 0, "x87" },
    { 0, NULL },
};
static const BitName dr6_bits[] = {
    { 15, "bt" }, { 14, "bs" }, { 13, "bd" }, { 3, "b3" }, { 2, "b2" }, { 1, "b1" }, { 0, "b0" }, { 0, NULL },
};

static Cpu *current(MonitorCommand *c) { return debugger_cpu(c->debugger); }

static void begin_cpu(MonitorCommand *c) { g_string_append_printf(c->out, "CPU%u:\n", current(c)->index); }

/* ---- r ---- */

static void print_eflags(Cpu *cpu, GString *out)
{
    uint32_t f = cpu_eflags(cpu);
    g_string_append_printf(out, "eflags 0x%08x:", f);
    print_bits(out, f, eflags_high);
    g_string_append_printf(out, " IOPL=%u", (f & EFLAGS_IOPL) >> EFLAGS_IOPL_SHIFT);
    print_bits(out, f, eflags_low);
    g_string_append_c(out, '\n');
}

static void print_general(MonitorCommand *c)
{
    static const char *const names[16] = { "ax", "cx", "dx", "bx", "sp", "bp", "si", "di",
                                           "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };
    static const uint8_t order[16] = { 0, 3, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
    Cpu *cpu = current(c);
    bool wide = cpu->long_mode;
    int digits = wide ? 16 : 8;
    for (unsigned k = 0; k < (wide ? 16 : 8); k++) {
        unsigned n = order[k];
        g_string_append_printf(c->out, "%s%s%s: ", n < 8 ? wide ? "r" : "e" : "", names[n],
                               n == 8 || n == 9 ? " " : "");
        g_string_append_printf(c->out, "%0*" PRIx64 "%s", digits, cpu->gpr[n] & bit_mask(digits * 4),
                               k % 4 == 3 ? "\n" : "  ");
    }
    g_string_append_printf(c->out, "%cip: %0*" PRIx64, wide ? 'r' : 'e', digits, cpu->rip);
    symbols_print(debugger_symbols(c->debugger), cpu->seg[SEG_CS].base + cpu->rip, c->out);
    g_string_append_c(c->out, '\n');
    print_eflags(cpu, c->out);
}

/* Any register, all its bytes. */
static bool print_named(MonitorCommand *c, const char *name)
{
    CpuRegister r;
    uint8_t bytes[CPU_REGISTER_MAX_BYTES];
    if (!cpu_register_find(current(c), name + (*name == '$'), &r)) {
        g_string_append_printf(c->out, "'%s' is no register of this CPU\n", name);
        return false;
    }
    cpu_register_read(current(c), &r, bytes);
    g_string_append_printf(c->out, "%s: 0x", r.name);
    for (unsigned k = (r.bits + 7) / 8; k-- > 0;)
        g_string_append_printf(c->out, "%02x", bytes[k]);
    if (r.bits == 64)
        symbols_print(debugger_symbols(c->debugger), cpu_register_get(current(c), &r), c->out);
    g_string_append_c(c->out, '\n');
    return true;
}

static void command_r(MonitorCommand *c)
{
    const char *p = c->arguments;
    char *name;
    if (!*p) {
        begin_cpu(c);
        print_general(c);
    }
    for (bool more = true; more && (name = command_word(&p)); g_free(name))
        more = print_named(c, name);
}

/* ---- sreg ---- */

/* The two words that a descriptor of this content has: SDM vol. 3A figure 3-8. */
static void print_words(const Segment *s, GString *out)
{
    uint32_t limit = s->attr & SA_G ? s->limit >> 12 : s->limit;
    uint32_t low = (uint32_t)s->base << 16 | (limit & 0xffff);
    uint32_t high = ((uint32_t)s->base & 0xff000000) | (limit & 0xf0000) | (uint32_t)(s->attr & 0xf0ff) << 8 |
                    (s->base >> 16 & 0xff);
    g_string_append_printf(out, "0x%04x, dh=0x%08x, dl=0x%08x", s->sel, high, low);
}

static const char *tss_kind(const Cpu *cpu, const Segment *s)
{
    return !(s->attr & SYS_32) ? "16-bit TSS" : cpu->long_mode ? "64-bit TSS" : "32-bit TSS";
}

static const char *segment_kind(const Cpu *cpu, const Segment *s)
{
    static const char *const kinds[8] = {
        "data, read-only", "data, read/write", "data, read-only, expand-down", "data, read/write, expand-down",
        "code, execute-only", "code, execute/read", "code, execute-only, conforming", "code, execute/read, conforming",
    };
    if (!(s->attr & SA_P))
        return "unusable";
    if (!(s->attr & SA_S))
        return (s->attr & SA_TYPE) == SYS_LDT ? "LDT" : tss_kind(cpu, s);
    return kinds[(s->attr & SA_TYPE) >> 1];
}

static const char *segment_width(const Cpu *cpu, const Segment *s)
{
    if (!(s->attr & SA_S) || !(s->attr & SA_P))
        return "";
    if (cpu->long_mode && (s->attr & SA_L) && (s->attr & SA_CODE))
        return ", 64-bit";
    return s->attr & SA_DB ? ", 32-bit" : ", 16-bit";
}

static void command_sreg(MonitorCommand *c)
{
    static const char *const names[SEG_COUNT] = { "es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr" };
    const Cpu *cpu = current(c);
    int digits = cpu->long_mode ? 16 : 8;
    begin_cpu(c);
    for (unsigned k = 0; k < SEG_COUNT; k++) {
        const Segment *s = &cpu->seg[k];
        g_string_append_printf(c->out, "%s:", names[k]);
        print_words(s, c->out);
        g_string_append_printf(c->out, "\n\t%s, base=0x%0*" PRIx64 ", limit=0x%08x%s, DPL=%u\n", segment_kind(cpu, s),
                               digits,
                               s->base, s->limit, segment_width(cpu, s), attr_dpl(s->attr));
    }
    g_string_append_printf(c->out, "gdtr:base=0x%0*" PRIx64 ", limit=0x%x\n", digits, cpu->gdtr.base, cpu->gdtr.limit);
    g_string_append_printf(c->out, "idtr:base=0x%0*" PRIx64 ", limit=0x%x\n", digits, cpu->idtr.base, cpu->idtr.limit);
}

/* ---- creg, dreg ---- */

static void print_flags_register(MonitorCommand *c, const char *name, uint64_t v, const BitName *names)
{
    g_string_append_printf(c->out, "%s=0x%0*" PRIx64 ":", name, v >> 32 ? 16 : 8, v);
    print_bits(c->out, v, names);
    g_string_append_c(c->out, '\n');
}

static void command_creg(MonitorCommand *c)
{
    Cpu *cpu = current(c);
    begin_cpu(c);
    print_flags_register(c, "CR0", cpu->cr0, cr0_bits);
    g_string_append_printf(c->out, "CR2=page fault laddr=0x%016" PRIx64 "\n", cpu->cr2);
    g_string_append_printf(c->out, "CR3=0x%016" PRIx64 "\n", cpu->cr3);
    if (cpu->cr4 & CR4_PCIDE)
        g_string_append_printf(c->out, "    page tables at 0x%012" PRIx64 ", PCID %u\n",
                               cpu->cr3 & ~UINT64_C(0xfff) & bit_mask(52), (unsigned)(cpu->cr3 & 0xfff));
    else
        g_string_append_printf(c->out, "    %s, %s\n", cpu->cr3 & 0x10 ? "PCD" : "pcd", cpu->cr3 & 8 ? "PWT" : "pwt");
    print_flags_register(c, "CR4", cpu->cr4, cr4_bits);
    g_string_append_printf(c->out, "CR8=0x%x\n", (unsigned)cr8_read(cpu));
    print_flags_register(c, "EFER", cpu->efer, efer_bits);
    if (cpu_has(cpu, FEAT_XSAVE))
        print_flags_register(c, "XCR0", cpu->xcr0, xcr0_bits);
}

/* What DR7 says of a breakpoint: SDM vol. 3B 18.2.4. */
static void print_breakpoint(MonitorCommand *c, unsigned n)
{
    static const char *const kinds[4] = { "execution", "write", "I/O", "read or write" };
    static const uint8_t lengths[4] = { 1, 2, 8, 4 };
    const Cpu *cpu = current(c);
    unsigned enabled = cpu->dr[7] >> n * 2 & 3, control = cpu->dr[7] >> (16 + n * 4) & 15;
    g_string_append_printf(c->out, "DR%u=0x%016" PRIx64, n, cpu->dr[n]);
    if (enabled)
        g_string_append_printf(c->out, ": %s of %u byte%s, %s", kinds[control & 3], lengths[control >> 2],
                               control >> 2 ? "s" : "", enabled & 2 ? "global" : "local");
    if (enabled)
        symbols_print(debugger_symbols(c->debugger), cpu->dr[n], c->out);
    g_string_append_c(c->out, '\n');
}

static void command_dreg(MonitorCommand *c)
{
    const Cpu *cpu = current(c);
    begin_cpu(c);
    for (unsigned n = 0; n < 4; n++)
        print_breakpoint(c, n);
    print_flags_register(c, "DR6", cpu->dr[6], dr6_bits);
    g_string_append_printf(c->out, "DR7=0x%08x: %s %s %s", (unsigned)cpu->dr[7], cpu->dr[7] & 0x2000 ? "GD" : "gd",
                           cpu->dr[7] & 0x200 ? "GE" : "ge", cpu->dr[7] & 0x100 ? "LE" : "le");
    for (unsigned n = 0; n < 4; n++)
        g_string_append_printf(c->out, " %c%u %c%u", cpu->dr[7] >> (n * 2 + 1) & 1 ? 'G' : 'g', n,
                               cpu->dr[7] >> n * 2 & 1 ? 'L' : 'l', n);
    g_string_append_c(c->out, '\n');
}

/* ---- mtrr ---- */

static const char *memory_type(unsigned type)
{
    static const char *const names[8] = { "UC", "WC", "?", "?", "WT", "WP", "WB", "?" };
    return names[type & 7];
}

/* SDM vol. 3A 12.11.2. */
static void command_mtrr(MonitorCommand *c)
{
    static const char *const fixed[11] = { "00000", "80000", "a0000", "c0000", "c8000", "d0000", "d8000", "e0000",
                                           "e8000", "f0000",
                                           "f8000" };
    const Cpu *cpu = current(c);
    const MtrrState *m = &cpu->mtrr;
    begin_cpu(c);
    g_string_append_printf(c->out, "default %s, %s, fixed ranges %s\n", memory_type(m->def_type),
                           m->def_type & 0x800 ? "on" : "off", m->def_type & 0x400 ? "on" : "off");
    for (unsigned k = 0; k < G_N_ELEMENTS(fixed); k++) {
        g_string_append_printf(c->out, "from %s:", fixed[k]);
        for (unsigned n = 0; n < 8; n++)
            g_string_append_printf(c->out, " %s", memory_type(m->fixed[k] >> n * 8));
        g_string_append_c(c->out, '\n');
    }
    for (unsigned k = 0; k < G_N_ELEMENTS(m->base); k++)
        if (m->mask[k] & 0x800)
            g_string_append_printf(c->out, "%u: base 0x%012" PRIx64 ", mask 0x%012" PRIx64 ": %s\n", k,
                                   m->base[k] & ~UINT64_C(0xfff),
                                   m->mask[k] & ~UINT64_C(0xfff), memory_type(m->base[k]));
}

/* ---- info ---- */

/* QEMU's form; -a: of all CPUs. */
static void info_registers(MonitorCommand *c)
{
    Cpu *cpu;
    const char *p = c->arguments;
    g_autofree char *option = command_word(&p);
    if (option && strcmp(option, "-a")) {
        command_r(c);
        return;
    }
    if (!option)
        cpu_dump(current(c), c->out);
    for (unsigned k = 0; option && (cpu = debugger_cpu_at(c->debugger, k)); k++) {
        g_string_append_printf(c->out, "%sCPU#%u\n", k ? "\n" : "", k);
        cpu_dump(cpu, c->out);
    }
}

static void info_cpu(MonitorCommand *c)
{
    begin_cpu(c);
    print_general(c);
    command_sreg(c);
    command_creg(c);
    command_dreg(c);
    command_fp(c);
    command_sse(c);
}

static void info_eflags(MonitorCommand *c) { print_eflags(current(c), c->out); }

const CommandRow register_commands[] = {
    { .name = "creg", .arguments = "", .help = "control registers, EFER and XCR0, with their bits by name",
      .run = command_creg, .paused = true },
    { .name = "dreg", .arguments = "", .help = "debug registers, decoded", .run = command_dreg, .paused = true },
    { .name = "mtrr", .arguments = "", .help = "memory type range registers", .run = command_mtrr, .paused = true },
    { .name = "r", .aliases = "reg regs registers", .arguments = "[REGISTER...]",
      .help = "general registers and flags, or the registers named", .run = command_r, .completes = COMPLETE_REGISTER,
      .paused = true,
      .more = "  Flags in capital letters are set.  r xmm0 msr_star cs_base: any register by its name.\n" },
    { .name = "sreg", .arguments = "", .help = "segment registers and descriptor table registers, decoded",
      .run = command_sreg, .paused = true },
    { .name = NULL },
};

const CommandRow register_info[] = {
    { .name = "cpu", .arguments = "", .help = "all registers of the CPU, decoded", .run = info_cpu, .paused = true },
    { .name = "eflags", .aliases = "flags", .arguments = "", .help = "the flags by name: capital letters are set",
      .run = info_eflags, .paused = true },
    { .name = "registers", .aliases = "r reg", .arguments = "[-a | REGISTER...]",
      .help = "CPU registers; -a: of all CPUs",
      .run = info_registers, .completes = COMPLETE_REGISTER, .paused = true },
    { .name = NULL },
};
