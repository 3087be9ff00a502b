/* Location expressions of DWARF (dwarf_location.c), for dwarf_variables.c and dwarf_types.c. */
#ifndef MYNA_DEBUGGER_DWARF_LOCATION_H
#define MYNA_DEBUGGER_DWARF_LOCATION_H

#include "debugger/symbols/dwarf_internal.h"

typedef struct DwarfContext {
    DwarfFile *file;
    Cpu *cpu;
    const Frame *frame;
    Dwarf_Die function;      /* whose frame base DW_OP_fbreg takes */
    bool has_function;
    bool of_cfa;             /* works out the frame's address, which then cannot be asked for */
    unsigned depth;
    GError **err;
} DwarfContext;

/* Works an expression out; FALSE with *err "<optimized out>", or what is not supported. */
gboolean dwarf_locate(DwarfContext *c, const Dwarf_Attribute *attribute, const Dwarf_Op *ops, size_t count,
                      DwarfPlace *out);

/* The linked address that an operator names: itself, or by its place in a table of the unit, as clang writes it. */
bool dwarf_op_address(const Dwarf_Attribute *attribute, const Dwarf_Op *op, Dwarf_Addr *linked);

#endif
