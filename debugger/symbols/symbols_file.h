/*
 * One loaded file of symbols, for symbols.c and the readers of the formats.
 *
 * A reader adds symbols in any order; symbol_file_finish() sorts them once, and from then on nothing changes: lookups
 * are binary searches that any thread may make.
 */
#ifndef MYNA_DEBUGGER_SYMBOLS_FILE_H
#define MYNA_DEBUGGER_SYMBOLS_FILE_H

#include "debugger/symbols/symbols.h"

/* Which of several symbols with one name, or at one address, is meant: the highest. */
enum { RANK_LOCAL_LABEL, RANK_LOCAL, RANK_WEAK, RANK_LABEL, RANK_GLOBAL };

typedef struct Symbol {
    const char *name;
    uint64_t address;
    uint64_t end;      /* first address behind it; while a file is read: 0 where that is not known */
    uint8_t rank;      /* RANK_* */
    bool absolute;     /* a number, or an offset in a CPU's data: not moved with the file, and names no address */
} Symbol;

typedef struct SymbolFile {
    char *path;
    int64_t offset;
    GArray *all;           /* of Symbol, by address */
    uint64_t *reach;       /* the highest end of all[0..n] */
    guint *by_name;        /* indexes into all, by name, the highest rank first */
    GStringChunk *names;
    struct DwarfFile *dwarf; /* NULL: none */
} SymbolFile;

SymbolFile *symbol_file_new(const char *path, int64_t offset);
void symbol_file_free(SymbolFile *f);

/* end 0: up to the next symbol, or `limit` (0: none). */
void symbol_file_add(SymbolFile *f, const char *name, uint64_t address, uint64_t end, uint64_t limit, unsigned rank,
                     bool absolute);
void symbol_file_finish(SymbolFile *f);

/* NULL: none.  The first one's place in by_name is in *at. */
const Symbol *symbol_file_find(const SymbolFile *f, const char *name);
const Symbol *symbol_file_at(const SymbolFile *f, uint64_t address);

/* The place in by_name of the first name that is not before `prefix`; and the symbol at a place, NULL at the end. */
guint symbol_file_first(const SymbolFile *f, const char *prefix);
const Symbol *symbol_file_by_name(const SymbolFile *f, guint place);

/* Readers, which add; FALSE with *err, which names the file.  The text's bytes may be changed. */
gboolean symbols_read_text(SymbolFile *f, char *text, size_t size, GError **err);
gboolean symbols_read_elf(SymbolFile *f, const GHashTable *sections, GError **err);

#endif
