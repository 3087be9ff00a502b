/* What there is of DWARF without libdw: nothing (dwarf.h). */
#include "config.h"
#include "core/error.h"
#include "debugger/symbols/dwarf.h"

#ifndef CONFIG_LIBDW

DwarfFile *dwarf_file_new(const char *path, int64_t offset, const GHashTable *sections)
{
    (void)path, (void)offset, (void)sections;
    return NULL;
}

DwarfFile *dwarf_file_ref(DwarfFile *f) { return f; }
void dwarf_file_unref(DwarfFile *f) { (void)f; }

unsigned dwarf_pointer_size(DwarfFile *f)
{
    (void)f;
    return 8;
}

bool dwarf_line(DwarfFile *f, uint64_t address, const char **file, unsigned *line)
{
    (void)f, (void)address, (void)file, (void)line;
    return false;
}

bool dwarf_line_place(DwarfFile *f, uint64_t address, const char **file, const char **folder, unsigned *line)
{
    (void)f, (void)address, (void)file, (void)folder, (void)line;
    return false;
}

void dwarf_line_addresses(DwarfFile *f, const char *file, unsigned line, GArray *addresses)
{
    (void)f, (void)file, (void)line, (void)addresses;
}

bool dwarf_find_source(DwarfFile *f, const char *file, const char **name, const char **folder)
{
    (void)f, (void)file, (void)name, (void)folder;
    return false;
}

bool dwarf_behind_prologue(DwarfFile *f, uint64_t address, uint64_t *behind)
{
    (void)f, (void)address, (void)behind;
    return false;
}

bool dwarf_function(DwarfFile *f, uint64_t address, DwarfFunction *out)
{
    (void)f, (void)address, (void)out;
    return false;
}

bool dwarf_function_named(DwarfFile *f, const char *name, DwarfFunction *out)
{
    (void)f, (void)name, (void)out;
    return false;
}

GArray *dwarf_inlined(DwarfFile *f, uint64_t address)
{
    (void)f, (void)address;
    return g_array_new(FALSE, FALSE, sizeof(DwarfInlined));
}

const Type *dwarf_type(DwarfFile *f, const char *tag, const char *name, uint64_t scope)
{
    (void)f, (void)tag, (void)name, (void)scope;
    return NULL;
}

const Type *dwarf_type_target(const Type *t) { return t->target; }
const GArray *dwarf_type_members(const Type *t) { return t->members; }

const Type *dwarf_symbol_type(DwarfFile *f, const char *name, uint64_t address, uint64_t scope)
{
    (void)f, (void)name, (void)address, (void)scope;
    return NULL;
}

const Type *dwarf_constant(DwarfFile *f, const char *name, uint64_t scope, int64_t *value)
{
    (void)f, (void)name, (void)scope, (void)value;
    return NULL;
}

DwarfVariable *dwarf_local(DwarfFile *f, const char *name, uint64_t address)
{
    (void)f, (void)name, (void)address;
    return NULL;
}

void dwarf_variable_free(DwarfVariable *v) { (void)v; }

const Type *dwarf_variable_type(const DwarfVariable *v)
{
    (void)v;
    return &type_void;
}

gboolean dwarf_variable_place(const DwarfVariable *v, Cpu *cpu, const Frame *frame, DwarfPlace *out, GError **err)
{
    (void)v, (void)cpu, (void)frame, (void)out;
    return error_set(err, "<optimized out>");
}

GPtrArray *dwarf_names(DwarfFile *f, uint64_t address, bool parameters)
{
    (void)f, (void)address, (void)parameters;
    return g_ptr_array_new();
}

bool dwarf_frame_address(DwarfFile *f, Cpu *cpu, const Frame *frame, uint64_t *cfa)
{
    (void)f, (void)cpu, (void)frame, (void)cfa;
    return false;
}

#endif
