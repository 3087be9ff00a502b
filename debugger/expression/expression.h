/*
 * Expressions of the monitor and of conditions: C's operators over numbers, registers, symbols and memory.
 *
 *   rax + 8*rcx      $rax          registers, with or without $ (a symbol of that name: 'rax')
 *   start_kernel+0x10              symbols; local variables where there are DWARF data (symbols.h)
 *   *(u32 *)rsp   u8[rip] u16[] u32[] u64[]    memory; phys32[0xb8000] and so on: physical
 *   ss:sp   0x7c0:0x10             selector:offset, by the CPU's mode and tables
 *   10 0x10 0b11 0o17 'A'          decimal unless prefixed; a bare 10h is 16
 *   task->comm  list.next  array[3] &variable  sizeof(struct task_struct)   with types of DWARF
 *
 * Parsing looks symbols up once; evaluation only reads: a CPU's own thread may do it (conditions) while others run.
 */
#ifndef MYNA_DEBUGGER_EXPRESSION_H
#define MYNA_DEBUGGER_EXPRESSION_H

#include "debugger/debugger.h"

/* NULL with *err, which points at the place.  `cpu`: whose registers and scope names are looked up in. */
Expression *expression_parse(Debugger *d, Cpu *cpu, const char *text, GError **err);
/* The same up to where the expression ends; *end is behind it. */
Expression *expression_parse_prefix(Debugger *d, Cpu *cpu, const char *text, const char **end, GError **err);
/* The same in a frame of a call stack (unwind.h; copied; NULL: the CPU's registers); end may be NULL: all of text. */
struct Frame;
Expression *expression_parse_in(Debugger *d, Cpu *cpu, const struct Frame *frame, const char *text, const char **end,
                                GError **err);
void expression_free(Expression *e);

/* Its value as a number (of an array or structure: its address). */
gboolean expression_value(const Expression *e, Cpu *cpu, uint64_t *v, GError **err);

/* Its value as text in its own type, as gdb's print; format: 0, or x d u o t c s a as gdb has them. */
gboolean expression_print(const Expression *e, Cpu *cpu, char format, GString *out, GError **err);

/* Assigns to a register or memory. */
gboolean expression_assign(const Expression *e, Cpu *cpu, uint64_t v, GError **err);

/* Where it lies in memory, linear, and its size; FALSE for a number or register. */
gboolean expression_place(const Expression *e, Cpu *cpu, uint64_t *la, uint64_t *size, GError **err);

/* Appends its type's name, or a type's definition (`ptype`). */
gboolean expression_print_type(const Expression *e, bool whole, GString *out, GError **err);

#endif
