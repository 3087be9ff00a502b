/* Compiling a unit (emit.c). */
#ifndef MYNA_TCG_X86_64_UNIT_H
#define MYNA_TCG_X86_64_UNIT_H

#include "tcg/x86_64/emit.h"

/* Room that any unit finds enough. */
#define UNIT_ROOM 65536

/* Writes a unit's code to `at` in the write view; NULL when `room` was too small. */
UnitCode *unit_emit(X86Backend *be, IrUnit *u, uint8_t *at, size_t room);

#endif
