/*
 * Executable memory for generated code: one reservation, written through one view and executed through another, so that
 * no page is ever writable and executable at once.
 *
 * Kinds of host, best first:
 * - EXECMEM_DUAL: an unnamed memory file mapped twice (memfd_create), read-write and read-execute.  Code may be written
 *   while other threads execute other parts of it.
 * - EXECMEM_JIT: one view, MAP_JIT of Apple's systems: for each thread by itself it is either writable or executable.
 * - EXECMEM_TOGGLE: one view, changed by mprotect: while it is written, no thread may execute any of it.
 * What is to work on all of them puts each write between execmem_begin_write() and execmem_end_write() of the same
 * thread, and never executes in between; with EXECMEM_DUAL both do nothing.
 *
 * Offsets.  Both views have the same layout; `write - exec` is constant (and 0 with one view).  Memory is committed by
 * the host as it is first touched.
 *
 * Threads.  This file has no locks.
 * - Different threads may write different ranges at once, except with EXECMEM_TOGGLE.
 * - New code: write, execmem_flush(), then publish its address by a release store; a thread that found the address by
 *   an acquire load may execute it.
 * - Changing code that another thread may be executing: only by a single aligned store of a size that the host fetches
 *   whole, at a place where its architecture allows this (x86-64: a branch's aligned 4-byte displacement; aarch64: one
 *   B, BL or NOP), then execmem_flush().  The other thread sees the old or the new for a while, so both must be right.
 * - Any other reuse of a range: only after each thread that may have executed it has passed a point where the host
 *   fetches instructions anew (x86-64: a serialising instruction; aarch64: ISB; ppc64: isync; all: a return from the
 *   kernel).  CPU threads that sleep while the code is thrown away are past it.
 */
#ifndef MYNA_UTIL_EXECMEM_H
#define MYNA_UTIL_EXECMEM_H

#include <glib.h>
#include <stdint.h>

typedef enum ExecMemKind { EXECMEM_DUAL, EXECMEM_JIT, EXECMEM_TOGGLE, EXECMEM_KINDS } ExecMemKind;

typedef struct ExecMem {
    ExecMemKind kind;
    uint8_t *write;       /* the reservation as it is written */
    const uint8_t *exec;  /* the same bytes as they are executed */
    size_t size;          /* of each view: whole host pages */
} ExecMem;

/*
 * Reserves at least `size` bytes, of the best kind that the host grants.  The executable view lies near this program's
 * own code where there is room, so that short calls reach it.
 */
ExecMem *execmem_new(size_t size, GError **err);

/* As execmem_new(), but of that kind or not at all. */
ExecMem *execmem_new_kind(ExecMemKind kind, size_t size, GError **err);

/* NULL is allowed.  No thread may execute or write the memory any more. */
void execmem_free(ExecMem *m);

/* From an address in one view to the same byte in the other. */
static inline const uint8_t *execmem_to_exec(const ExecMem *m, const uint8_t *in_write)
{
    return m->exec + (in_write - m->write);
}

static inline uint8_t *execmem_to_write(const ExecMem *m, const uint8_t *in_exec)
{
    return m->write + (in_exec - m->exec);
}

/* Around writes; not nested. */
void execmem_begin_write(const ExecMem *m);
void execmem_end_write(const ExecMem *m);

/*
 * Makes `size` bytes that were written at `in_write` (write view) visible to instruction fetch: cleans data caches and
 * invalidates instruction caches where the host does not by itself.  Before execmem_end_write() or after it.
 */
void execmem_flush(const ExecMem *m, const uint8_t *in_write, size_t size);

#endif
