/*
 * What is traced of a machine: a file, exact branches, a profile.  Kept with the machine, like its debugger; made on
 * first use.
 *
 * Threads: main loop's, with the machine lock held; the CPUs are paused but for trace_control_of().
 */
#ifndef MYNA_DEBUGGER_TRACE_CONTROL_H
#define MYNA_DEBUGGER_TRACE_CONTROL_H

#include "cpu/profile.h"
#include "cpu/trace_file.h"
#include "debugger/debugger.h"

typedef struct TraceControl {
    Machine *machine;
    Debugger *debugger;
    bool full;             /* recompiled code records every branch, also without a file */
    TraceFile *file;       /* NULL: none */
    char *path;
    unsigned what;         /* TRACE_FILE_* */
    int cpu;               /* that is traced to the file, or -1: all */
    Profile *profile;      /* running, or of the last run; NULL: none yet */
    bool profiling;
    unsigned hz;           /* samples a second, or 0 */
    uint64_t period;       /* instructions between samples, or 0 */
    Timer *timer;
} TraceControl;

TraceControl *trace_control_of(Machine *m, Debugger *d);
void trace_control_free(Machine *m);

void trace_control_set_full(TraceControl *t, bool full);

/* Begins a trace, after the end of one that is under way; cpu -1: of all.  FALSE with *err. */
gboolean trace_control_start(TraceControl *t, const char *path, unsigned what, const TraceFilter *filter, int cpu,
                             GError **err);
/* Ends it; what went wrong with the file, or NULL; owned by the caller. */
char *trace_control_stop(TraceControl *t);

/* A new profile, by time (samples a second of virtual time) or, with hz 0, a sample each `period` instructions. */
void trace_control_profile(TraceControl *t, unsigned hz, uint64_t period);
void trace_control_end_profile(TraceControl *t);

/* Writes "main;foo;bar 123" lines.  FALSE with *err. */
gboolean trace_control_save_profile(TraceControl *t, const char *path, GError **err);

#endif
