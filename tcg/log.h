/* What the recompiler shows of its work: -d op,op_opt,out_asm, and -perfmap. */
#ifndef MYNA_TCG_LOG_H
#define MYNA_TCG_LOG_H

#include "core/log.h"
#include "tcg/backend.h"

/* The unit's operations to the log under `category`, after a title. */
void tcg_log_operations(enum LogMask category, const char *title, const IrUnit *u, uint64_t la);

/* Its host code (LOG_OUT_ASM); u is as compile() left it. */
void tcg_log_code(const IrUnit *u, const UnitCode *code, uint64_t la);

/* Host code as text: by capstone, else in hexadecimal; with marks where instructions of u begin (u may be NULL). */
void host_code_print(const IrUnit *u, const UnitCode *code, GString *out);

/* Instructions in the first `size` bytes of host code; 0 when that cannot be told. */
unsigned host_code_count(const UnitCode *code, size_t size);

/* Appends a line to /tmp/perf-PID.map, by which Linux perf names what it finds in recompiled code. */
void perf_map_add(const void *code, size_t size, const char *name);

#endif
