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

/* The same for what may be an ELF file with symbols, or anything else; without a word. */
void symbols_load_elf(Symbols *s, const char *path);

bool symbols_unload(Symbols *s, const char *path);
void symbols_unload_all(Symbols *s);

/*
 * The same for an object file (a kernel module), whose sections lie where `sections` says: names, ".text", to
 * uint64_t *.  Without one .text is at the offset and others are left out.
 */
gboolean symbols_load_sections(Symbols *s, const char *path, int64_t offset, const GHashTable *sections,
                               unsigned *count, GError **err);

/* Where an ELF file's .text is linked to begin (0 in an object file); FALSE with *err where it has none. */
gboolean symbols_text_address(const char *path, uint64_t *address, GError **err);

/* Rises with each file that is loaded or unloaded: what was kept of earlier lookups is stale. */
unsigned symbols_changes(const Symbols *s);

/* File number n: its path (owned by s) and offset; false behind the last. */
bool symbols_file(const Symbols *s, unsigned n, const char **path, int64_t *offset);

/* The DWARF data (dwarf.h) of the n-th file that has any; NULL behind the last. */
struct DwarfFile *symbols_dwarf(const Symbols *s, unsigned n);

/* Where source text is looked for (source.h). */
struct Source *symbols_source(Symbols *s);

/* Files: "PATH at OFFSET: N symbols, DWARF", a line each. */
void symbols_list_files(const Symbols *s, GString *out);

/* The address of a name; of several, a global one first. */
bool symbols_find(const Symbols *s, const char *name, uint64_t *address);

/* The symbol at or below an address (in its section), with the distance; NULL: none.  Owned by s. */
const char *symbols_name(const Symbols *s, uint64_t address, uint64_t *distance);

/* The place of that symbol: first <= address < end. */
bool symbols_bounds(const Symbols *s, uint64_t address, uint64_t *first, uint64_t *end);

/* Appends " <name+0x12>" where there is one. */
void symbols_print(const Symbols *s, uint64_t address, GString *out);

/* Names that begin with a prefix, for completion: at most max; (char *), owned by the caller. */
GPtrArray *symbols_complete(const Symbols *s, const char *prefix, unsigned max);

/* All whose names begin with a prefix, by file and name. */
typedef void SymbolsFn(void *opaque, const char *name, uint64_t address, uint64_t size);
void symbols_each(const Symbols *s, const char *prefix, SymbolsFn *fn, void *opaque);

/* "FILE:LINE" to the addresses of its statements (uint64_t); and an address to its line.  By DWARF. */
GArray *symbols_line_addresses(Symbols *s, const char *file, unsigned line);
bool symbols_line(Symbols *s, uint64_t address, const char **file, unsigned *line);

/* The first address behind a function's prologue, or the address itself when that is not known. */
uint64_t symbols_behind_prologue(Symbols *s, uint64_t function);

#endif
