/*
 * A trace in a file: branches, instructions, events of CPUs, in chunks that stand for themselves (the format is in
 * docs/debugging-trace.md; scripts/myna-trace reads it).
 *
 * Each CPU fills a buffer of its own, and its thread writes it when it is full; chunks of several CPUs mix in the file.
 */
#ifndef MYNA_CPU_TRACE_FILE_H
#define MYNA_CPU_TRACE_FILE_H

#include "cpu/trace.h"

/* What is traced. */
enum { TRACE_FILE_BRANCHES = 1, TRACE_FILE_INSNS = 2, TRACE_FILE_EVENTS = 4 };

/* Only what meets all of it. */
typedef struct TraceFilter {
    uint64_t first, last; /* linear addresses, of branches either end; both included */
    bool has_cr3;
    uint64_t cr3;         /* without its lowest 12 bits */
    int cpl;              /* or -1: any */
} TraceFilter;

typedef struct TraceFile TraceFile;
typedef struct TraceBuffer TraceBuffer;

/* Creates the file.  NULL with *err.  What does not take all at once (a pipe that is full) ends the trace. */
TraceFile *trace_file_open(const char *path, unsigned what, const TraceFilter *filter, unsigned cpus, int64_t time,
                           GError **err);
/* After all buffers were freed.  What went wrong with it, or NULL; owned by the caller. */
char *trace_file_close(TraceFile *f);

/* Bytes written so far, and what went wrong (newly allocated), or NULL. */
uint64_t trace_file_size(TraceFile *f, char **error);

/* A CPU's; freeing (NULL is allowed) writes what is left. */
TraceBuffer *trace_buffer_new(TraceFile *f, unsigned cpu);
void trace_buffer_free(TraceBuffer *b);

/* In the CPU's thread. */
void trace_buffer_branch(TraceBuffer *b, Cpu *cpu, const TraceBranch *branch);
void trace_buffer_event(TraceBuffer *b, Cpu *cpu, const TraceEvent *e);
void trace_buffer_insn(TraceBuffer *b, Cpu *cpu, uint64_t la);

#endif
