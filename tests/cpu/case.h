/*
 * Generated instruction tests: each row of the instruction table, executed with random operands on the real processor,
 * in the interpreter and recompiled, alone and among other instructions, and compared.
 *
 * Overview.  case.c makes a case from a row and a seed, the same on every host (encode.c its bytes, random.c its
 * operands), surround.c puts it among others.  native.c runs it on the host's own processor (x86-64 Linux only),
 * emulated.c in Myna's interpreter and recompiler; compare.c says where results differ.  main.c puts
 * them together: `cpu-tests` compares, `--record FILE` writes what the real processor did, and `--replay FILE` compares
 * the interpreter with such a file, on hosts that are no x86.
 *
 * Both sides see the same user-mode address space: a page of code at CODE_BASE, two pages of data at DATA_BASE, and
 * nothing behind them.
 */
#ifndef MYNA_TESTS_CPU_CASE_H
#define MYNA_TESTS_CPU_CASE_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu/insn.h"

#define CODE_BASE UINT64_C(0x20000000)
#define DATA_BASE UINT64_C(0x20010000)
#define DATA_SIZE 8192u
#define INSN_AT (CODE_BASE + 0x800) /* where a case begins */
#define CASE_BYTES 128

/* What both sides load before and read after. */
typedef struct Registers {
    uint64_t gpr[16], rip;
    uint64_t vec[32][8]; /* ZMM0 to ZMM31 */
    uint64_t opmask[8];
    uint64_t st_mant[8]; /* physical order R0..R7 */
    uint16_t st_sexp[8];
    uint16_t fcw, fsw;   /* fsw with TOP */
    uint8_t tags;        /* abridged */
    uint32_t mxcsr, eflags;
} Registers;

/* To an emulated CPU, but for EFLAGS; and from it, all. */
void registers_load(Cpu *cpu, const Registers *in);
void registers_save(const Cpu *cpu, Registers *out);

typedef struct Case {
    uint16_t row;
    uint8_t size;        /* code size: SZ32 or SZ64 */
    uint8_t length, insn_at; /* insn_at: where in `code` the row's instruction stands */
    uint8_t code[CASE_BYTES];
    uint32_t undefined, undefined_midway; /* flags that are not compared: at the end; when an exception ends it */
    uint64_t seed;
    Registers in;
} Case;

#define NO_FAULT 255

typedef struct Outcome {
    Registers out;
    uint8_t vector;      /* exception, or NO_FAULT */
    uint32_t error;
    uint64_t address;    /* CR2 of a page fault */
    uint8_t data[DATA_SIZE];
} Outcome;

/* Makes case number `n` of a row for a code size; false when this row cannot be made or tested so. */
bool case_make(const InsnDecoder *d, unsigned row, unsigned size, unsigned n, Case *c);

/*
 * The same instruction among others, which make and use flags, move registers and touch memory, so that a recompiler has
 * something to carry over it; false when the row leaves no room for neighbours (branches).
 */
bool case_surround(const InsnDecoder *d, const Case *c, Case *out);

/* Fills the data pages as the case wants them before it runs. */
void case_fill_data(const Case *c, uint8_t *data);

/* Why a row is never compared with a processor in user mode, or NULL when it is. */
const char *row_excluded(unsigned row);

/* Native execution; native_start returns false when this host cannot. */
bool native_start(void);
bool native_has(unsigned feature);
void native_run(const Case *c, Outcome *o);

/* Execution in Myna, interpreted or recompiled. */
void emulated_start(bool narrow); /* narrow: recompile as on a host without AVX-512 */
const InsnDecoder *emulated_decoder(void);
void emulated_run(const Case *c, Outcome *o);
void recompiled_run(const Case *c, Outcome *o);

/* How often recompiled code ran, and how often there was none to run. */
typedef struct RecompiledCounts {
    uint64_t ran, interpreted;
} RecompiledCounts;
RecompiledCounts recompiled_counts(void);

/* Describes the first differences in `text` (at most size bytes); true when there is none. */
bool outcome_equal(const Case *c, const Outcome *want, const Outcome *got, char *text, unsigned size);

#endif
