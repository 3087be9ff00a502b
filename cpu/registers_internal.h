/* What the table of registers (register_rows.c) and the functions behind it (registers.c) share. */
#ifndef MYNA_CPU_REGISTERS_INTERNAL_H
#define MYNA_CPU_REGISTERS_INTERNAL_H

#include "cpu/registers.h"

/* How a register is kept; what `index` means to each. */
typedef enum RegisterKind {
    KIND_GPR,         /* R_*, R_IP; byte registers as Insn numbers them */
    KIND_FLAGS,
    KIND_SELECTOR,    /* SEG_*, as the next three */
    KIND_BASE, KIND_LIMIT, KIND_ATTR,
    KIND_TABLE_BASE,  /* TABLE_*, as the next */
    KIND_TABLE_LIMIT,
    KIND_CR, KIND_DR, /* number */
    KIND_EFER, KIND_XCR0, KIND_CPL, KIND_SSP, KIND_PKRU, KIND_MXCSR,
    KIND_FPU,         /* FPU_* */
    KIND_ST, KIND_MM, KIND_VECTOR, KIND_MASK, /* number */
    KIND_MSR,         /* its number */
    REGISTER_KINDS
} RegisterKind;

enum { TABLE_GDT, TABLE_IDT };
enum { FPU_CONTROL, FPU_STATUS, FPU_TAG, FPU_IP_SELECTOR, FPU_IP, FPU_DP_SELECTOR, FPU_DP, FPU_OPCODE };

/* CpuRegister.which: the kind, and what the CPU must have. */
#define REGISTER_WHICH(kind, feature) ((kind) << 8 | (feature))
_Static_assert(FEAT_COUNT <= 256, "a feature is kept in eight bits");
static inline RegisterKind register_kind(const CpuRegister *r) { return r->which >> 8; }
static inline unsigned register_feature(const CpuRegister *r) { return r->which & 0xff; }

static inline TablePtr *register_table(Cpu *cpu, const CpuRegister *r)
{
    return r->index == TABLE_GDT ? &cpu->gdtr : &cpu->idtr;
}

/* Writes one of at most 64 bits, of which v has no others.  NULL, or why the machine cannot have that value. */
const char *register_write(Cpu *cpu, const CpuRegister *r, uint64_t v);

#endif
