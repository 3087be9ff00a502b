/*
 * Paging: page walks and the soft TLB's filling and flushing (SDM vol. 3A chapter 4).
 */
#ifndef MYNA_CPU_MMU_H
#define MYNA_CPU_MMU_H

#include "cpu/state.h"

enum MmuAccess { MMU_READ, MMU_WRITE, MMU_EXEC };

/* What a walk found. */
typedef struct Translation {
    uint64_t gpa;        /* of the byte asked for */
    uint64_t page_size;  /* of the mapping: 4 KiB, 2 MiB, 4 MiB, 1 GiB */
    bool writable, user, executable, global, dirty;
    uint32_t error;      /* PF_* when the walk failed */
} Translation;

/*
 * Walks the page tables for la without any side effect (no A/D bits, no exception): for debuggers.  False when not
 * mapped.  With paging off the address maps to itself.
 */
bool mmu_walk(Cpu *cpu, uint64_t la, Translation *t);

/*
 * Translates for an access in TLB mode `mode` (TLB_*), setting A and D bits; raises #PF when not allowed.  Fills the
 * TLB entry of that page.  Returns the GPA.
 */
uint64_t mmu_translate(Cpu *cpu, uint64_t la, enum MmuAccess access, unsigned mode);

/* TLB mode of data accesses now; of supervisor accesses that are implicit. */
unsigned mmu_data_mode(const Cpu *cpu);

/* Drops all entries; all but global ones; those of the page at la. */
void tlb_flush_all(Cpu *cpu);
void tlb_flush_local(Cpu *cpu);
void tlb_flush_page(Cpu *cpu, uint64_t la);

/* Makes every entry for a physical page slow for writing again (it now holds code, or its dirty bits were reset). */
void tlb_protect_gpa(Cpu *cpu, uint64_t gpa);

/* Loads the four PDPTEs from cr3; false (nothing loaded) when one has reserved bits set: the caller raises #GP(0). */
bool mmu_load_pdptes(Cpu *cpu, uint64_t cr3);

#endif
