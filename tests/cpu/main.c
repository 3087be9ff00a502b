/*
 * cpu-tests [--cases N] [--record FILE | --replay FILE] [--report FILE] [--narrow] [--verbose] [ROW...]
 *
 * Compares interpreter and recompiler with the real processor, row by row of the instruction table (case.h).  ROW limits it to
 * rows whose identifier begins so.  Prints what differs, then the coverage, then `N passed, N failed` by rows.
 */
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "tcg/tcg.h"
#include "tests/cpu/case.h"
#include "tests/cpu/report.h"
#include "util/endian.h"

typedef struct Options {
    unsigned cases;
    const char *record, *replay, *report;
    gboolean verbose, narrow;
    char **rows;
    uint32_t recorded_row; /* replay: the row whose cases come next in the recording */
} Options;

#define NO_MORE_ROWS UINT32_MAX

typedef struct Totals {
    unsigned rows, compared, failed, excluded, absent;
    uint64_t cases;
    RowResult *row;
} Totals;

static bool row_selected(const Options *o, const char *id)
{
    if (!o->rows || !o->rows[0])
        return true;
    for (char **r = o->rows; *r; r++)
        if (g_str_has_prefix(id, *r))
            return true;
    return false;
}

static void print_case(const Case *c, const char *way, const char *text)
{
    printf("  %s (%s) case %" PRIx64 ", %s:", insn_rows[c->row].id, c->size == SZ64 ? "64" : "32", c->seed, way);
    for (unsigned at = 0; at < c->length;) {
        g_autoptr(GString) line = g_string_new(NULL);
        unsigned n = cpu_disassemble(c->size, INSN_AT + at, c->code + at, c->length - at, line);
        for (unsigned k = 0; k < n; k++)
            printf(" %02x", c->code[at + k]);
        printf(" (%s)", line->str);
        at += n;
    }
    printf(":%s\n", text);
}

/* The recorded form: everything that is compared, little-endian; data as changes against what the case began with. */
static void put(GByteArray *a, uint64_t v, unsigned size)
{
    uint8_t b[8];
    stle(b, v, size);
    g_byte_array_append(a, b, size);
}

/* Of each vector register and of the opmasks: a byte that says which quadwords are not as they were, and these. */
static void record_changes(GByteArray *a, const uint64_t *before, const uint64_t *after)
{
    uint8_t changed = 0;
    for (unsigned k = 0; k < 8; k++)
        changed |= (before[k] != after[k]) << k;
    put(a, changed, 1);
    for (unsigned k = 0; k < 8; k++)
        if (changed >> k & 1)
            put(a, after[k], 8);
}

static void record_registers(GByteArray *a, const Registers *before, const Registers *r)
{
    for (unsigned k = 0; k < 16; k++)
        put(a, r->gpr[k], 8);
    put(a, r->rip, 8);
    for (unsigned k = 0; k < 32; k++)
        record_changes(a, before->vec[k], r->vec[k]);
    record_changes(a, before->opmask, r->opmask);
    for (unsigned k = 0; k < 8; k++) {
        put(a, r->st_mant[k], 8);
        put(a, r->st_sexp[k], 2);
    }
    put(a, r->fcw, 2);
    put(a, r->fsw, 2);
    put(a, r->tags, 1);
    put(a, r->mxcsr, 4);
    put(a, r->eflags, 4);
}

static void record_outcome(FILE *f, const Case *c, const Outcome *o)
{
    g_autoptr(GByteArray) a = g_byte_array_new();
    uint8_t before[DATA_SIZE];
    unsigned changes = 0;
    case_fill_data(c, before);
    put(a, c->seed, 8);
    put(a, o->vector, 1);
    put(a, o->error, 4);
    put(a, o->address, 8);
    record_registers(a, &c->in, &o->out);
    for (unsigned k = 0; k < DATA_SIZE; k++)
        changes += before[k] != o->data[k];
    put(a, changes, 2);
    for (unsigned k = 0; k < DATA_SIZE; k++)
        if (before[k] != o->data[k]) {
            put(a, k, 2);
            put(a, o->data[k], 1);
        }
    fwrite(a->data, 1, a->len, f);
}

static uint64_t take(FILE *f, unsigned size)
{
    uint8_t b[8] = { 0 };
    if (fread(b, 1, size, f) != size) {
        fprintf(stderr, "cpu-tests: the recording ends too early\n");
        exit(1);
    }
    return ldle(b, size);
}

static void replay_changes(FILE *f, const uint64_t *before, uint64_t *after)
{
    uint8_t changed = take(f, 1);
    for (unsigned k = 0; k < 8; k++)
        after[k] = changed >> k & 1 ? take(f, 8) : before[k];
}

static void replay_registers(FILE *f, const Registers *before, Registers *r)
{
    for (unsigned k = 0; k < 16; k++)
        r->gpr[k] = take(f, 8);
    r->rip = take(f, 8);
    for (unsigned k = 0; k < 32; k++)
        replay_changes(f, before->vec[k], r->vec[k]);
    replay_changes(f, before->opmask, r->opmask);
    for (unsigned k = 0; k < 8; k++) {
        r->st_mant[k] = take(f, 8);
        r->st_sexp[k] = take(f, 2);
    }
    r->fcw = take(f, 2);
    r->fsw = take(f, 2);
    r->tags = take(f, 1);
    r->mxcsr = take(f, 4);
    r->eflags = take(f, 4);
}

static void replay_outcome(FILE *f, const Case *c, Outcome *o)
{
    uint64_t seed = take(f, 8);
    if (seed != c->seed) {
        fprintf(stderr, "cpu-tests: the recording is of another table (%s)\n", insn_rows[c->row].id);
        exit(1);
    }
    o->vector = take(f, 1);
    o->error = take(f, 4);
    o->address = take(f, 8);
    replay_registers(f, &c->in, &o->out);
    case_fill_data(c, o->data);
    for (unsigned changes = take(f, 2); changes; changes--) {
        unsigned at = take(f, 2) % DATA_SIZE;
        o->data[at] = take(f, 1);
    }
}

/* The case in Myna, in the way named, against what the processor did. */
static bool check_way(const Options *o, const Case *c, const char *way, void run(const Case *, Outcome *), const Outcome *want,
                      unsigned *failures)
{
    static Outcome got;
    char text[2000];
    run(c, &got);
    if (outcome_equal(c, want, &got, text, sizeof text))
        return true;
    if ((*failures)++ < (o->verbose ? 1000 : 3))
        print_case(c, way, text);
    return false;
}

/* Alone or among others. */
static void run_case(const Options *o, FILE *file, const Case *c, unsigned *failures)
{
    static Outcome want;
    if (o->replay)
        replay_outcome(file, c, &want);
    else
        native_run(c, &want);
    if (o->record) {
        record_outcome(file, c, &want);
        return;
    }
    if (check_way(o, c, "interpreted", emulated_run, &want, failures) && tcg_available())
        check_way(o, c, "recompiled", recompiled_run, &want, failures);
}

/* All cases of a row in one code size; returns how many ran, adding to *failures. */
static unsigned run_row(const Options *o, FILE *file, unsigned row, unsigned size, unsigned *failures)
{
    unsigned ran = 0;
    for (unsigned n = 0; n < o->cases; n++) {
        Case c, among;
        if (!case_make(emulated_decoder(), row, size, n, &c))
            continue;
        ran++;
        run_case(o, file, &c, failures);
        if (case_surround(emulated_decoder(), &c, &among))
            run_case(o, file, &among, failures);
    }
    return ran;
}

static void write_row(FILE *file, uint32_t row)
{
    uint8_t b[4];
    st32le(b, row);
    fwrite(b, 1, sizeof b, file);
}

/* Whether the row can be tested here: the processor has it, or the recording holds it. */
static bool row_present(Options *o, FILE *file, unsigned row)
{
    if (o->replay)
        return o->recorded_row == row;
    if (!native_has(insn_rows[row].feature))
        return false;
    if (o->record)
        write_row(file, row);
    return true;
}

static void test_row(Options *o, FILE *file, unsigned row, Totals *t)
{
    const InsnRow *r = &insn_rows[row];
    unsigned failures = 0, ran = 0;
    t->rows++;
    if (row_excluded(row)) {
        t->excluded++;
        return;
    }
    if (!row_present(o, file, row)) {
        t->absent++;
        return;
    }
    if (!strstr(r->encoding, "no64"))
        ran += run_row(o, file, row, SZ64, &failures);
    if (!strstr(r->encoding, "only64"))
        ran += run_row(o, file, row, SZ32, &failures);
    if (o->replay)
        o->recorded_row = take(file, 4);
    t->cases += ran;
    t->row[row] = (RowResult){ ran, failures };
    if (!ran)
        printf("  %s: no case could be made\n", r->id);
    if (failures)
        printf("FAIL %s: %u of %u cases differ\n", r->id, failures, ran);
    t->compared += ran != 0;
    t->failed += failures != 0;
}

static FILE *open_file(const Options *o)
{
    const char *name = o->record ? o->record : o->replay;
    if (!name)
        return NULL;
    FILE *f = fopen(name, o->record ? "wb" : "rb");
    if (!f) {
        perror(name);
        exit(1);
    }
    if (o->record) {
        uint8_t cases[4];
        st32le(cases, o->cases);
        fwrite(cases, 1, 4, f);
    }
    return f;
}

int main(int argc, char **argv)
{
    Options o = { .cases = 50 };
    int cases = 50;
    GOptionEntry entries[] = {
        { "cases", 0, 0, G_OPTION_ARG_INT, &cases, "cases for each row and code size", "N" },
        { "record", 0, 0, G_OPTION_ARG_FILENAME, &o.record, "write what the processor did", "FILE" },
        { "replay", 0, 0, G_OPTION_ARG_FILENAME, &o.replay, "compare with a recording", "FILE" },
        { "report", 0, 0, G_OPTION_ARG_FILENAME, &o.report, "write the conformance page", "FILE" },
        { "narrow", 0, 0, G_OPTION_ARG_NONE, &o.narrow, "recompile as on a host without AVX-512", NULL },
        { "verbose", 'v', 0, G_OPTION_ARG_NONE, &o.verbose, "print every difference", NULL },
        { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &o.rows, NULL, "ROW..." },
        { 0 },
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) err = NULL;
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &err)) {
        fprintf(stderr, "cpu-tests: %s\n", err->message);
        return 1;
    }
    o.cases = cases;
    emulated_start(o.narrow);
    if (!o.replay && !native_start()) {
        printf("This host runs no x86: compare with a recording (--replay).\n0 passed, 0 failed\n");
        return 0;
    }
    FILE *file = open_file(&o);
    if (o.replay) {
        o.cases = take(file, 4);
        o.recorded_row = take(file, 4);
    }
    Totals t = { .row = g_new0(RowResult, insn_row_count) };
    for (unsigned row = 0; row < insn_row_count; row++)
        if (row_selected(&o, insn_rows[row].id))
            test_row(&o, file, row, &t);
    if (o.record)
        write_row(file, NO_MORE_ROWS);
    if (file)
        fclose(file);
    if (o.report)
        report_write(o.report, emulated_decoder(), t.row);
    g_free(t.row);
    printf("rows in the table %u, compared %u, not comparable in user mode %u, not on this processor %u; cases %" PRIu64
           "\n", t.rows, t.compared, t.excluded, t.absent, t.cases);
    RecompiledCounts r = recompiled_counts();
    printf("recompiled code ran %" PRIu64 " times; %" PRIu64 " times there was none\n", r.ran, r.interpreted);
    printf("%u passed, %u failed\n", t.compared - t.failed, t.failed);
    return t.failed != 0;
}
