/* The notes of core files (dump_memory.c), and the bytes that these files are made of. */
#ifndef MYNA_DEBUGGER_DUMP_NOTES_H
#define MYNA_DEBUGGER_DUMP_NOTES_H

#include <glib.h>

#include "debugger/debugger.h"

/* Appends a little-endian number of 1 to 8 bytes; zeros. */
void dump_put(GByteArray *a, uint64_t v, unsigned size);
void dump_put_zeros(GByteArray *a, unsigned n);

/*
 * Appends a note NT_PRSTATUS for each CPU, with registers as x86-64 has them or as i386, and then one of QEMU's for
 * each.
 */
void dump_put_notes(Debugger *d, bool long_mode, GByteArray *notes);

#endif
