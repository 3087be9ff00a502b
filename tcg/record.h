/*
 * The flags record: how recompiled code keeps the arithmetic flags in memory (RecompiledState in cpu/state.h).
 *
 * Storing two operands and a number is cheaper than computing six flags that nobody reads.  `kind` is FLAGS_* << 2
 * plus the binary logarithm of the size.
 */
#ifndef MYNA_TCG_RECORD_H
#define MYNA_TCG_RECORD_H

#include "cpu/state.h"

enum {
    FLAGS_CC,    /* they are in cc_z, cc_sp, cc_aux after all */
    FLAGS_IMAGE, /* a: bit 0 OF, bits 15:8 as LAHF gives them */
    FLAGS_LOGIC, /* a: result of AND, OR, XOR, TEST */
    FLAGS_ADD,   /* a: result, b: addend */
    FLAGS_SUB,   /* a: result, b: subtrahend */
    FLAGS_CMP,   /* a: minuend, b: subtrahend */
    FLAGS_SHL,   /* a: operand, b: count, not 0 once masked */
    FLAGS_SHR,
    FLAGS_SAR,
    FLAGS_IMUL,  /* a, b: factors */
    FLAGS_MULW,  /* a: upper half of an unsigned product */
    FLAGS_IMULW, /* a: upper half of a signed product, b: lower half */
};

/* top_kind: 0, or one of these << 2 plus the size as above: all flags but CF are those of an INC or DEC with result `top`. */
enum { FLAGS_TOP_INC = 1, FLAGS_TOP_DEC };

#define FLAGS_KIND(what, log2_size) ((what) << 2 | (log2_size))

/* Brings cc_z, cc_sp and cc_aux up to date; the record then says FLAGS_CC. */
void flags_record_settle(Cpu *cpu);

#endif
