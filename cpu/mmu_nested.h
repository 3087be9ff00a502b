/* Nested paging: a guest's physical addresses through its hypervisor's tables (AMD APM vol. 2 15.25). */
#ifndef MYNA_CPU_MMU_NESTED_H
#define MYNA_CPU_MMU_NESTED_H

#include "cpu/mmu.h"

/* What the tables allow at a place besides reading; the accesses are checked already. */
typedef struct NestedRights {
    bool write, exec;
} NestedRights;

#define NESTED_NOWHERE (~UINT64_C(0))

/*
 * The system-physical address of an entry of the guest's page tables, for reading and for setting bits in it; of what
 * the guest accesses itself.  #VMEXIT when the tables do not allow it, or NESTED_NOWHERE for a debugger.
 */
uint64_t nested_table_entry(Cpu *cpu, uint64_t gpa);
uint64_t nested_access(Cpu *cpu, uint64_t gpa, enum MmuAccess access, NestedRights *may);

/* Forgets what was translated. */
static inline void nested_flush(Cpu *cpu) { cpu->svm.nested_epoch++; }

#endif
