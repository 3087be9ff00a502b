/*
 * The recompiler as boards use it: translates a CPU's hot code to the host's.
 *
 * A CPU with the recompiler attached still begins in the interpreter: blocks become hot there and are then translated
 * (cpu/code.h).  What the host or the mode does not allow to be translated stays interpreted, so attaching never changes
 * what a guest sees, only how fast.
 */
#ifndef MYNA_TCG_TCG_H
#define MYNA_TCG_TCG_H

#include <glib.h>

#include "cpu/state.h"

typedef struct TcgConfig {
    size_t code_bytes;   /* bound on generated code for each CPU; 0: the default (tb-size=) */
    uint32_t hot_after;  /* translate a block after this many runs; 0: the default */
    bool counted;        /* count instructions, so that a CPU stops after a given number of them (thread=single) */
    bool verify;         /* verify=on: run each unit in the interpreter too, and compare */
    bool narrow;         /* avx512=off: as on a host without AVX-512 */
    bool named;          /* -perfmap: name recompiled code for Linux perf */
} TcgConfig;

/* Whether this host has a back end. */
bool tcg_available(void);

/*
 * Attaches a recompiler to a CPU that is not running; it is freed with the CPU.  FALSE with *err when there is no back
 * end for this host or no executable memory.
 */
bool tcg_attach(Cpu *cpu, const TcgConfig *config, GError **err);

/* What a CPU's recompiler has done, as text (info jit); the CPU is paused.  Nothing when none is attached. */
void tcg_info(Cpu *cpu, GString *out);

#endif
