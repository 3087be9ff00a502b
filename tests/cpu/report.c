/* The conformance page: what was compared, by CPUID feature (report.h). */
#include "tests/cpu/report.h"

#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cpu/features.h"
#include "cpu/insn.h"
#include "cpu/state.h"
#include "tcg/ir.h"
#include "tests/cpu/encode.h"

#define FEATURE_NAME(name, option, leaf, subleaf, reg, bit) [FEAT_##name] = option,
static const char *const names[FEAT_COUNT] = {
    [FEAT_BASE] = "8086", [FEAT_I186] = "80186", [FEAT_I286] = "80286", [FEAT_I386] = "80386", [FEAT_I486] = "80486",
    [FEAT_CPUID] = "CPUID", [FEAT_SMM] = "SMM", [FEAT_NOPL] = "NOPL", [FEAT_UD0] = "UD0",
    [FEAT_I387] = "80387", [FEAT_MMX2] = "SSE or MMXEXT", [FEAT_ONLY_8086] = "8086 alone",
    [FEAT_UNTIL_186] = "until 80186", [FEAT_UNTIL_286] = "until 80286", [FEAT_ONLY_286] = "80286 alone",
    [FEAT_NO_CPUID] = "without CPUID", [FEAT_ESC] = "x87 opcodes ignored", [FEAT_NO_FPU] = "without FPU",
    FEATURES(FEATURE_NAME)
};
#undef FEATURE_NAME

/* Deviations that docs/accuracy.md describes. */
static const struct { uint16_t feature; const char *text; } deviations[] = {
    { FEAT_FPU, "transcendental functions correctly rounded, which a processor's are not always" },
    { FEAT_SSE, "RCPPS, RSQRTPS: AMD Zen's values" },
    { FEAT_AVX, "VRCPPS, VRSQRTPS: AMD Zen's values" },
    { FEAT_AVX512F, "VRCP14, VRSQRT14: AMD Zen 4's values" },
    { FEAT_AVX512FP16, "VRCPPH, VRSQRTPH: exactly rounded" },
    { FEAT_3DNOW, "PFRCP, PFRSQRT: exactly rounded to their precision" },
};

/* A key of flat code with everything enabled. */
static unsigned lowering_key(unsigned size) { return size | KEY_FLAT; }

/* Whether the recompiler makes operations of this instruction, and not a call. */
static bool is_lowered(const Insn *i, unsigned size)
{
    static IrUnit unit;
    Block *block = g_malloc0(sizeof(Block) + sizeof(Insn));
    *block = (Block){ .key = lowering_key(size), .count = 1, .bytes = i->len };
    block->insn[0] = *i;
    ir_lower(&unit, block);
    g_free(block);
    for (unsigned k = 0; k < unit.count; k++)
        if (unit.op[k].code == IR_CALL)
            return false;
    return true;
}

/* In any of a few forms, with registers and memory. */
static bool row_lowered(const InsnDecoder *d, unsigned row)
{
    Random r = random_for(row);
    for (unsigned n = 0; n < 60; n++) {
        Encoded e;
        unsigned size = n & 1 ? SZ64 : SZ32;
        if (encode_row(d, &r, row, size, &encode_anything, &e) && is_lowered(&e.insn, size))
            return true;
    }
    return false;
}

typedef struct Line {
    unsigned rows, compared, failed, lowered;
    uint64_t cases;
} Line;

static void add_row(Line *line, const RowResult *result, bool lowered)
{
    line->rows++;
    line->compared += result->cases != 0;
    line->failed += result->failures != 0;
    line->cases += result->cases;
    line->lowered += lowered;
}

static const char *deviation_of(unsigned feature)
{
    for (unsigned k = 0; k < ARRAY_SIZE(deviations); k++)
        if (deviations[k].feature == feature)
            return deviations[k].text;
    return "";
}

static void print_line(FILE *f, const char *name, const Line *l, const char *note)
{
    fprintf(f, "| %s | %u | %u | %u | %" PRIu64 " | %u | %s |\n", name, l->rows, l->compared, l->lowered, l->cases,
            l->failed, note);
}

static const char heading[] =
    "# Conformance\n"
    "\n"
    "Written by `make conformance CASES=N` from the instruction table and its comparison with the real processor\n"
    "(`tests/cpu/`): do not edit. A row is an encoding of an instruction. *Compared* rows were executed with random\n"
    "operands on the host's processor, in the interpreter and recompiled, alone and among others; the rest needs\n"
    "privilege, depends on the machine, or is not on that processor, and is tested by bare guests and unit tests\n"
    "([testing](testing.md)). *Recompiled* rows become host code; the rest calls the interpreter's function. All known\n"
    "inaccuracies are in [accuracy](accuracy.md).\n"
    "\n"
    "| feature | rows | compared | recompiled | cases | mismatching rows | known deviations |\n"
    "|---|---|---|---|---|---|---|\n";

void report_write(const char *path, const InsnDecoder *d, const RowResult *results)
{
    Line lines[FEAT_COUNT] = { 0 }, all = { 0 };
    FILE *f = fopen(path, "w");
    if (!f) {
        perror(path);
        exit(1);
    }
    for (unsigned row = 0; row < insn_row_count; row++) {
        bool lowered = row_lowered(d, row);
        add_row(&lines[insn_rows[row].feature], &results[row], lowered);
        add_row(&all, &results[row], lowered);
    }
    fputs(heading, f);
    for (unsigned feature = 0; feature < FEAT_COUNT; feature++)
        if (lines[feature].rows)
            print_line(f, names[feature], &lines[feature], deviation_of(feature));
    print_line(f, "**all**", &all, "");
    fclose(f);
}
