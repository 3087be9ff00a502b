/*
 * DWARF data of one file, by libdw: lines, functions, types and variables.
 *
 * Nothing is read before it is asked for, and only units that matter are: one for an address, by .debug_aranges; for a
 * name those units in which the name occurs at all.  A kernel's 500 MB are ready at once.
 *
 * Addresses are where the program lies, the file's offset included.  Any thread may call; a lock is held within.  A
 * file that was changed on disk since has no data any more.  Without libdw there is none, and nothing is found.
 */
#ifndef MYNA_DEBUGGER_DWARF_H
#define MYNA_DEBUGGER_DWARF_H

#include "debugger/symbols/type.h"
#include "debugger/unwind/unwind.h"

typedef struct DwarfFile DwarfFile;

/* NULL when the file has none.  sections: as of symbols_load_sections(); may be NULL.  Counted references. */
DwarfFile *dwarf_file_new(const char *path, int64_t offset, const GHashTable *sections);
DwarfFile *dwarf_file_ref(DwarfFile *f);
void dwarf_file_unref(DwarfFile *f);

/* Bytes of a pointer: 4 or 8. */
unsigned dwarf_pointer_size(DwarfFile *f);

/* ---- lines (dwarf_lines.c) ---- */

/* The line of an address; *file is owned by f.  The folder that names in it are relative to is in *folder (or NULL). */
bool dwarf_line(DwarfFile *f, uint64_t address, const char **file, unsigned *line);
bool dwarf_line_place(DwarfFile *f, uint64_t address, const char **file, const char **folder, unsigned *line);

/* Addresses where statements of FILE:LINE begin; of a line without any, those of the next one that has some. */
void dwarf_line_addresses(DwarfFile *f, const char *file, unsigned line, GArray *addresses);

/* The name of a file that ends in `file` (whole parts of the path), as DWARF has it; NULL: none. */
bool dwarf_find_source(DwarfFile *f, const char *file, const char **name, const char **folder);

/* The first address behind a function's prologue, when `address` is where it begins. */
bool dwarf_behind_prologue(DwarfFile *f, uint64_t address, uint64_t *behind);

/* ---- functions (dwarf_functions.c) ---- */

/* The place of the function around an address, and its line of declaration. */
typedef struct DwarfFunction {
    const char *name, *file, *folder; /* owned by the file */
    unsigned line;
    uint64_t first, end;
} DwarfFunction;
bool dwarf_function(DwarfFile *f, uint64_t address, DwarfFunction *out);
bool dwarf_function_named(DwarfFile *f, const char *name, DwarfFunction *out);

/* Names of the functions that were inlined at an address, the innermost first, with the lines of their calls. */
typedef struct DwarfInlined {
    const char *name;      /* owned by the file */
    const char *call_file;
    unsigned call_line;
} DwarfInlined;
GArray *dwarf_inlined(DwarfFile *f, uint64_t address);

/* ---- types (dwarf_types.c) ---- */

/*
 * A type by tag ("struct", "union", "enum", "typedef", or "" for a basic one) and name; that of the unit around `scope`
 * first, then any complete one.  Owned by f.  NULL: none.
 */
const Type *dwarf_type(DwarfFile *f, const char *tag, const char *name, uint64_t scope);

/* For type.c: what is looked up on demand. */
const Type *dwarf_type_target(const Type *t);
const GArray *dwarf_type_members(const Type *t);

/* The type of the function or variable of that name and address; NULL: not known. */
const Type *dwarf_symbol_type(DwarfFile *f, const char *name, uint64_t address, uint64_t scope);

/* The enumeration with a constant of that name; NULL: none. */
const Type *dwarf_constant(DwarfFile *f, const char *name, uint64_t scope, int64_t *value);

/* ---- variables (dwarf_variables.c) ---- */

typedef struct DwarfVariable DwarfVariable;

/* A parameter, local or static variable that is visible at an address.  NULL: none.  Owned by the caller. */
DwarfVariable *dwarf_local(DwarfFile *f, const char *name, uint64_t address);
void dwarf_variable_free(DwarfVariable *v);
const Type *dwarf_variable_type(const DwarfVariable *v);

typedef struct DwarfPlace {
    enum { DWARF_PLACE_MEMORY, DWARF_PLACE_REGISTER, DWARF_PLACE_BYTES } kind;
    uint64_t value;        /* address, or DWARF's number of a register */
    uint8_t bytes[16];     /* a value that is nowhere: little-endian */
} DwarfPlace;

/* Where it is in a frame; FALSE with *err "<optimized out>" where it is nowhere.  Reads memory as cpu has it. */
gboolean dwarf_variable_place(const DwarfVariable *v, Cpu *cpu, const Frame *frame, DwarfPlace *out, GError **err);

/* The names (const char *, owned by f) of the parameters or other variables that are visible, the innermost first. */
GPtrArray *dwarf_names(DwarfFile *f, uint64_t address, bool parameters);

/* The canonical frame address; false: not known. */
bool dwarf_frame_address(DwarfFile *f, Cpu *cpu, const Frame *frame, uint64_t *cfa);

#endif
