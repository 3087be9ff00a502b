/*
 * Symbols: names for addresses, out of ELF files, System.map and Bochs's symbol files; lines and types out of DWARF.
 *
 * Several files can be loaded, each at an offset (a KASLR slide, a module's place).  Addresses are linear.
 * Lookups may be made by any thread while nothing is loaded.
 */
#ifndef MYNA_DEBUGGER_SYMBOLS_H
#define MYNA_DEBUGGER_SYMBOLS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "debugger/debugger.h"

Symbols *symbols_new(void);
void symbols_free(Symbols *s);

/*
 * Loads a file, whose kind is told by its content, with `offset` added to its addresses.  The number of symbols is in
 * *count.  FALSE with *err.  Loading a file again replaces it.
 */
gboolean symbols_load(Symbols *s, const char *path, int64_t offset, unsigned *count, GError **err);
bool symbols_unload(Symbols *s, const char *path);

/* Files: "PATH at OFFSET: N symbols, DWARF", a line each. */
void symbols_list_files(const Symbols *s, GString *out);

/* The address of a name; of several, a global one first. */
bool symbols_find(const Symbols *s, const char *name, uint64_t *address);

/* The symbol at or below an address (in its section), with the distance; NULL: none.  Owned by s. */
const char *symbols_name(const Symbols *s, uint64_t address, uint64_t *distance);

/* Appends " <name+0x12>" where there is one. */
void symbols_print(const Symbols *s, uint64_t address, GString *out);

/* Names that begin with a prefix, for completion: at most max; (char *), owned by the caller. */
GPtrArray *symbols_complete(const Symbols *s, const char *prefix, unsigned max);

/* "FILE:LINE" to the addresses of its statements (uint64_t); and an address to its line.  By DWARF. */
GArray *symbols_line_addresses(Symbols *s, const char *file, unsigned line);
bool symbols_line(Symbols *s, uint64_t address, const char **file, unsigned *line);

/* The first address behind a function's prologue, or the address itself when that is not known. */
uint64_t symbols_behind_prologue(Symbols *s, uint64_t function);

#endif
