/* The ways to find a frame's caller, for unwind.c. */
#ifndef MYNA_DEBUGGER_UNWIND_INTERNAL_H
#define MYNA_DEBUGGER_UNWIND_INTERNAL_H

#include "debugger/unwind/unwind.h"

/* What a way knows of a frame. */
typedef enum Unwound {
    UNWOUND_NOTHING,     /* it does not cover this code: another may */
    UNWOUND_CALLER,      /* the caller was found */
    UNWOUND_OUTERMOST,   /* there is none */
    UNWOUND_UNREADABLE,  /* memory at Unwinder.at cannot be read */
} Unwound;

typedef struct OrcTables OrcTables;
typedef struct CfiFiles CfiFiles;

typedef struct Unwinder {
    Debugger *debugger;
    Cpu *cpu;
    uint64_t at;         /* of UNWOUND_UNREADABLE */
    OrcTables *orc;      /* NULL: not looked for yet, or none */
    bool orc_known;
    CfiFiles *cfi;
} Unwinder;

/* Each fills in the caller's frame, of which everything else was copied from f. */
Unwound unwind_by_orc(Unwinder *u, const Frame *f, Frame *caller);
Unwound unwind_by_cfi(Unwinder *u, const Frame *f, Frame *caller);
Unwound unwind_by_pointer(Unwinder *u, const Frame *f, Frame *caller);
Unwound unwind_by_search(Unwinder *u, const Frame *f, Frame *caller);

void orc_free(OrcTables *o);
void cfi_free(CfiFiles *c);

/* The bytes of an address or a pushed register in the frame's code. */
static inline unsigned frame_word(const Frame *f) { return 2u << f->code_size; }

/* Little-endian value of the stack at an offset into its segment; false, with u->at, when it cannot be read. */
bool unwind_read(Unwinder *u, const Frame *f, uint64_t offset, unsigned size, uint64_t *v);

/* Whether a call instruction ends at that offset of the frame's code segment: where a return address points. */
bool unwind_behind_call(Unwinder *u, const Frame *f, uint64_t ip);

/* Sets where the caller goes on, in the same code segment, and its stack pointer. */
void frame_set_caller(Frame *caller, FrameKind kind, uint64_t ip, uint64_t sp);

/* A register that a caller is known to have. */
static inline void frame_set(Frame *f, unsigned number, uint64_t v)
{
    f->reg[number] = v;
    f->known |= 1u << number;
}

#endif
