/* The engine's inside, for the files that serve it: tcg.c, verify.c, log.c, info.c. */
#ifndef MYNA_TCG_ENGINE_H
#define MYNA_TCG_ENGINE_H

#include "tcg/backend.h"
#include "cpu/rows.h"
#include "tcg/tcg.h"

/* For `info jit`.  Kept by the CPU's thread, read while it is paused. */
typedef struct EngineCounts {
    uint64_t units, insns;        /* translated so far; guest instructions in them */
    uint64_t guest_bytes, host_bytes, line_bytes; /* line: without slow paths and exits */
    uint64_t dropped;             /* units whose bytes were written to */
    uint64_t flushes, links;
    uint64_t calls[ROW_COUNT + 1]; /* instructions translated to a CALL, by row; the last: undefined ones */
    int64_t translating;          /* microseconds */
} EngineCounts;

typedef struct Engine {
    const Backend *backend;
    void *back;
    GPtrArray *units;       /* UnitCode * */
    struct Verify *verify;  /* verify=on, else NULL */
    size_t code_bytes;
    EngineCounts counts;
    bool named;             /* -perfmap */
    IrUnit ir;              /* being compiled */
} Engine;

static inline Engine *engine_of(const Cpu *cpu) { return cpu->code->engine_data; }

/* Fills e->ir from a unit's instructions, by all passes.  false: there is nothing to compile. */
bool engine_translate(Engine *e, Block *unit);

/* Runs host code from `code` on, until something leaves it; the CPU's state is whole before and after. */
void engine_enter(Engine *e, Cpu *cpu, const uint8_t *code);

#endif
