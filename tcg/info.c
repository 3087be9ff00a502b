/* What a recompiler has done, as text: the monitor's `info jit`. */
#include <inttypes.h>
#include <time.h>

#include "tcg/engine.h"
#include "tcg/log.h"
#include "tcg/verify.h"

#define SAMPLE 2000 /* units whose host instructions are counted */
#define TOP_ROWS 10

static double per(uint64_t a, uint64_t b) { return b ? (double)a / b : 0; }

static void show_size(const Engine *e, GString *out)
{
    const EngineCounts *n = &e->counts;
    size_t used = e->backend->used(e->back);
    g_string_append_printf(out, "units now:       %u, in %zu of %zu bytes of code memory (%.1f%%)\n", e->units->len,
                           used, e->code_bytes, 100 * per(used, e->code_bytes));
    g_string_append_printf(out, "units ever:      %" PRIu64 ", of %.1f instructions and %.1f guest bytes each\n",
                           n->units, per(n->insns, n->units), per(n->guest_bytes, n->units));
    g_string_append_printf(out, "links:           %" PRIu64 "\n"
                           "dropped units:   %" PRIu64 " (their code was written to)\n"
                           "flushes:         %" PRIu64 "\n", n->links, n->dropped, n->flushes);
}

/* Host code for each guest instruction: bytes are counted in all units, instructions in some, by disassembly. */
static void show_density(const Engine *e, GString *out)
{
    const EngineCounts *n = &e->counts;
    uint64_t guest = 0, all = 0, line = 0;
    unsigned step = MAX(e->units->len / SAMPLE, 1u), sample = 0;
    for (unsigned k = 0; k < e->units->len; k += step) {
        const UnitCode *u = g_ptr_array_index(e->units, k);
        if (u->block->key == BLOCK_DEAD)
            continue; /* a jump was written over its beginning */
        guest += u->block->count;
        all += host_code_count(u, u->size);
        line += host_code_count(u, u->line_size);
        sample++;
    }
    g_string_append_printf(out, "host code:       %.1f bytes for each guest instruction, %.1f without slow paths and "
                           "exits\n", per(n->host_bytes, n->insns), per(n->line_bytes, n->insns));
    if (all)
        g_string_append_printf(out, "                 %.1f instructions, %.1f without these (by disassembly of %u "
                               "units)\n", per(all, guest), per(line, guest), sample);
}

static void show_time(const Engine *e, GString *out)
{
    double used = (double)clock() / CLOCKS_PER_SEC, spent = e->counts.translating / 1e6;
    g_string_append_printf(out, "translating:     %.3f s, %.1f%% of the process's %.3f s of processor time\n", spent,
                           used > 0 ? 100 * spent / used : 0, used);
}

static const char *row_name(unsigned row) { return row < ROW_COUNT ? insn_rows[row].id : "(undefined)"; }

/* The rows that were most often translated to a call; how often they are executed is not counted. */
static void show_calls(const Engine *e, GString *out)
{
    const uint64_t *calls = e->counts.calls;
    bool shown[ROW_COUNT + 1] = { false };
    uint64_t all = 0;
    for (unsigned row = 0; row <= ROW_COUNT; row++)
        all += calls[row];
    g_string_append_printf(out, "calls:           %" PRIu64 " instructions (%.1f%%) are calls of the interpreter's "
                           "functions; most:\n", all, 100 * per(all, e->counts.insns));
    for (unsigned n = 0; n < TOP_ROWS; n++) {
        unsigned best = ROW_COUNT + 1;
        for (unsigned row = 0; row <= ROW_COUNT; row++)
            if (!shown[row] && calls[row] && (best > ROW_COUNT || calls[row] > calls[best]))
                best = row;
        if (best > ROW_COUNT)
            return;
        shown[best] = true;
        g_string_append_printf(out, "  %8" PRIu64 "  %s\n", calls[best], row_name(best));
    }
}

void tcg_info(Cpu *cpu, GString *out)
{
    if (!cpu->code->engine)
        return;
    const Engine *e = engine_of(cpu);
    show_size(e, out);
    show_density(e, out);
    show_time(e, out);
    if (e->verify)
        g_string_append_printf(out, "verify:          %" PRIu64 " runs compared\n", verify_compared(e->verify));
    show_calls(e, out);
}
