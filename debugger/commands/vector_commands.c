/* Commands about the registers of x87, MMX, SSE, AVX and AVX-512. */
#include <inttypes.h>
#include <math.h>

#include "debugger/commands/command.h"
#include "debugger/commands/register_print.h"

static Cpu *current(MonitorCommand *c) { return debugger_cpu(c->debugger); }

/* ---- x87 ---- */

static const BitName exception_bits[] = {
    { 5, "pe" }, { 4, "ue" }, { 3, "oe" }, { 2, "ze" }, { 1, "de" }, { 0, "ie" }, { 0, NULL },
};
static const BitName status_bits[] = { { 15, "b" }, { 14, "c3" }, { 10, "c2" }, { 9, "c1" }, { 8, "c0" }, { 7, "es" },
                                       { 6, "sf" }, { 0, NULL } };
static const char *const roundings[4] = { "nearest", "down", "up", "to zero" };

/* For people: as exactly as the host's widest type has it. */
static void print_float80(const Float80 *f, GString *out)
{
    unsigned exponent = f->sexp & 0x7fff;
    char sign = f->sexp & 0x8000 ? '-' : '+';
    if (exponent == 0x7fff)
        g_string_append_printf(out, "%c%s", sign, f->mant << 1 ? "nan" : "inf");
    else if (exponent && !(f->mant >> 63))
        g_string_append(out, "unsupported");
    else
        g_string_append_printf(out, "%c%.20Lg", sign,
                               ldexpl((long double)f->mant, (int)MAX(exponent, 1u) - 16383 - 63));
}

static void print_x87_words(const Fpu *f, GString *out)
{
    static const char *const precisions[4] = { "24", "?", "53", "64" };
    g_string_append_printf(out, "control word: 0x%04x: rounding %s, precision %s bits, masked:", f->control,
                           roundings[f->control >> 10 & 3], precisions[f->control >> 8 & 3]);
    print_bits(out, f->control, exception_bits);
    g_string_append_printf(out, "\nstatus word:  0x%04x: TOS%u,", f->status | f->top << 11, f->top);
    print_bits(out, f->status, status_bits);
    print_bits(out, f->status, exception_bits);
    g_string_append_printf(out, "\ntag word:     0x%02x (bit n: register n is not empty)\n", f->tags);
    g_string_append_printf(out, "operation:    0x%03x at 0x%04x:0x%08" PRIx64, f->opcode, f->cs, f->ip);
    g_string_append_printf(out, ", operand at 0x%04x:0x%08" PRIx64 "\n", f->ds, f->dp);
}

void command_fp(MonitorCommand *c)
{
    const Fpu *f = &current(c)->fpu;
    print_x87_words(f, c->out);
    for (unsigned k = 0; k < 8; k++) {
        const Float80 *r = &f->reg[k];
        g_string_append_printf(c->out, "FP%u ST%u: 0x%04x %016" PRIx64 " ", k, (k - f->top) & 7, r->sexp, r->mant);
        if (f->tags >> k & 1)
            print_float80(r, c->out);
        else
            g_string_append(c->out, "empty");
        g_string_append_c(c->out, '\n');
    }
}

static void command_mmx(MonitorCommand *c)
{
    for (unsigned k = 0; k < 8; k++)
        g_string_append_printf(c->out, "MM%u: %016" PRIx64 "\n", k, current(c)->fpu.reg[k].mant);
}

/* ---- vectors ---- */

static const BitName mxcsr_bits[] = { { 17, "ule" }, { 15, "fuz" }, { 6, "daz" }, { 0, NULL } };

static void print_mxcsr(uint32_t v, GString *out)
{
    g_string_append_printf(out, "MXCSR: 0x%08x: rounding %s,", v, roundings[v >> 13 & 3]);
    print_bits(out, v, mxcsr_bits);
    g_string_append(out, ", flags:");
    print_bits(out, v, exception_bits);
    g_string_append(out, ", masked:");
    print_bits(out, v >> 7, exception_bits);
    g_string_append_c(out, '\n');
}

/* Of as many quadwords, the highest first. */
static void print_vectors(MonitorCommand *c, const char *name, unsigned count, unsigned quads)
{
    for (unsigned k = 0; k < count; k++) {
        g_string_append_printf(c->out, "%s[%02u]:", name, k);
        for (unsigned q = quads; q-- > 0;)
            g_string_append_printf(c->out, " %016" PRIx64, VEC_Q(current(c)->vec[k], q));
        g_string_append_c(c->out, '\n');
    }
}

static unsigned vector_count(MonitorCommand *c) { return current(c)->long_mode ? 16 : 8; }

void command_sse(MonitorCommand *c)
{
    print_mxcsr(current(c)->mxcsr, c->out);
    print_vectors(c, "XMM", vector_count(c), 2);
}

/* False after a message. */
static bool has(MonitorCommand *c, unsigned feature, const char *what)
{
    if (cpu_has(current(c), feature))
        return true;
    g_string_append_printf(c->out, "this CPU has no %s\n", what);
    return false;
}

static void command_ymm(MonitorCommand *c)
{
    if (has(c, FEAT_AVX, "AVX"))
        print_vectors(c, "YMM", vector_count(c), 4);
}

static void command_zmm(MonitorCommand *c)
{
    if (!has(c, FEAT_AVX512F, "AVX-512"))
        return;
    for (unsigned k = 0; k < 8; k++)
        g_string_append_printf(c->out, "K%u: %016" PRIx64 "\n", k, current(c)->opmask[k]);
    print_vectors(c, "ZMM", current(c)->long_mode ? 32 : 8, 8);
}

const CommandRow vector_commands[] = {
    { .name = "fp", .aliases = "fpu", .arguments = "", .help = "x87 registers", .run = command_fp, .paused = true },
    { .name = "mmx", .arguments = "", .help = "MMX registers", .run = command_mmx, .paused = true },
    { .name = "sse", .aliases = "xmm", .arguments = "", .help = "SSE registers", .run = command_sse, .paused = true },
    { .name = "ymm", .arguments = "", .help = "AVX registers", .run = command_ymm, .paused = true },
    { .name = "zmm", .arguments = "", .help = "AVX-512 registers and masks", .run = command_zmm, .paused = true },
    { .name = NULL },
};
