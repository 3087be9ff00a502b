/* Lowerings of what a kernel does at every entry (cpu/system_insns.c): at CPL 0 only; else the slow path decides. */
#include "tcg/lower.h"

static bool plain(Lower *l, unsigned code, unsigned size)
{
    lower_op(l, code, size, IR_NONE, IR_NONE, IR_NONE);
    return true;
}

/* The instruction behind STI runs before any event is looked at: it must stand in the same unit. */
static bool sti(Lower *l, unsigned code, unsigned size)
{
    return l->u->insns < l->u->block->count && plain(l, code, size);
}

const Lowering lower_system_rows[ROW_COUNT] = {
    [ROW_CLI] = { plain, IR_CLI, 4 },
    [ROW_STI] = { sti, IR_STI, 4 },
    [ROW_SWAPGS] = { plain, IR_SWAPGS, 8 },
};
