/* One file's DWARF data from within: for dwarf*.c (dwarf.h).  All functions are for callers between enter and leave. */
#ifndef MYNA_DEBUGGER_DWARF_INTERNAL_H
#define MYNA_DEBUGGER_DWARF_INTERNAL_H

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <sys/stat.h>

#include "debugger/symbols/dwarf.h"

/* A section as it was linked, and how far it lies from there. */
typedef struct DwarfSegment {
    uint64_t first, end;
    int64_t delta;
} DwarfSegment;

/* A compilation unit; its DIE. */
typedef struct DwarfUnit {
    Dwarf_Off die, start, end; /* all of it: start <= offset < end in .debug_info */
    const char *name, *folder; /* as compiled; may be NULL */
} DwarfUnit;

/* Code of a unit, as linked. */
typedef struct DwarfRange {
    uint64_t first, end;
    Dwarf_Off unit;            /* its DIE */
} DwarfRange;

struct DwarfFile {
    gint references;
    GRecMutex lock;
    char *path;
    int64_t offset;
    int fd;
    struct stat when;          /* as the file was */
    Elf *elf;
    Dwfl *dwfl;                /* of an object file: relocates it */
    Dwarf *dwarf;              /* once it was asked for */
    bool opened;
    unsigned pointer_size;
    GHashTable *sections;      /* of an object file: where the user says they are; may be NULL */
    GArray *segments;          /* of DwarfSegment */
    GArray *units;             /* of DwarfUnit, ascending; NULL: not looked at yet */
    GArray *ranges;            /* of DwarfRange, ascending; likewise */
    GHashTable *types;         /* Type * by offset of the DIE */
    GHashTable *found;         /* offset of a DIE, or 0 for none, by "KIND NAME" */
    GHashTable *pieces;        /* Type * that a DIE describes only half: subranges of arrays of arrays */
};

/* Takes the lock; false (without it) when there are no data. */
bool dwarf_enter(DwarfFile *f);
void dwarf_leave(DwarfFile *f);

/* From an address as linked to where it lies, and back. */
uint64_t dwarf_to_live(const DwarfFile *f, uint64_t address);
uint64_t dwarf_to_linked(const DwarfFile *f, uint64_t address);

const GArray *dwarf_units(DwarfFile *f);
const DwarfUnit *dwarf_unit_of(DwarfFile *f, Dwarf_Off die);

/* The DIE of the unit with code at a linked address. */
bool dwarf_unit_at(DwarfFile *f, uint64_t linked, Dwarf_Die *unit);

/* The innermost DIE of a subprogram (not inlined) around a linked address. */
bool dwarf_function_at(DwarfFile *f, uint64_t linked, Dwarf_Die *function);

/*
 * DIEs around a linked address, the innermost first, up to the unit's: their number, or 0.  Freed with free().
 */
int dwarf_scopes_at(DwarfFile *f, uint64_t linked, Dwarf_Die **scopes);

/*
 * A DIE that `accept` takes, with that name: in the unit around `scope` (live) first.  `kind` tells searches apart; of
 * "constant" the DIE is that of the enumeration.
 */
typedef bool DwarfAccept(Dwarf_Die *die, void *opaque);
bool dwarf_find(DwarfFile *f, const char *kind, const char *name, uint64_t scope, DwarfAccept *accept, void *opaque,
                Dwarf_Die *out);

/* DW_AT_name, following the abstract origin; NULL: none. */
const char *dwarf_die_name(Dwarf_Die *die);

/* The type that a DIE's DW_AT_type names; NULL: none, which is void. */
const Type *dwarf_type_of(DwarfFile *f, Dwarf_Die *die);
const Type *dwarf_type_from(DwarfFile *f, Dwarf_Die *die);

/* A section's bytes as they are in the file; false: none, compressed, or numbers in it are big-endian. */
bool dwarf_section(DwarfFile *f, const char *name, const uint8_t **data, size_t *size);

/* Whether a unit has lines of a file that is called so (dwarf_line_names.c); it may say so where it cannot tell. */
bool dwarf_unit_mentions(DwarfFile *f, const DwarfUnit *unit, const char *path);

/* Whether a path ends in whole parts like that. */
bool dwarf_path_ends(const char *path, const char *end);

#endif
