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

/* TLB mode of data accesses now. */
static inline unsigned mmu_data_mode(const Cpu *cpu)
{
    bool ac = cpu->eflags & EFLAGS_AC;
    if (cpu->cpl == 3)
        return ac && (cpu->cr0 & CR0_AM) ? TLB_USER_ALIGN : TLB_USER;
    return (cpu->cr4 & CR4_SMAP) && !ac ? TLB_KERNEL_SMAP : TLB_KERNEL;
}

/*
 * The page at la for a shadow-stack access (SDM vol. 3A 4.6.1) in user or supervisor mode, after all checks of paging.
 */
ShadowPage mmu_shadow_page(Cpu *cpu, uint64_t la, bool write, bool user);

/* Drops all entries; all but global ones; those of the page at la. */
void tlb_flush_all(Cpu *cpu);
void tlb_flush_local(Cpu *cpu);
void tlb_flush_page(Cpu *cpu, uint64_t la);

/* The same for the TLBs of a hypervisor and of its guest, whichever runs; all others are for the one that does. */
void tlb_flush_worlds(Cpu *cpu);

/* The TLB mode of implicit supervisor accesses, which obey SMAP whatever EFLAGS.AC (SDM vol. 3A 4.6.1). */
static inline unsigned mmu_system_mode(const Cpu *cpu) { return cpu->cr4 & CR4_SMAP ? TLB_KERNEL_SMAP : TLB_KERNEL; }

/* Host address of size bytes at a linear address for reading or writing when that mode's TLB has it, else NULL. */
static inline const uint8_t *mmu_read_hit(const Cpu *cpu, unsigned mode, uint64_t la, unsigned size)
{
    const TlbEntry *e = &cpu->tlb[tlb_number(cpu, mode)].entry[tlb_index(la)];
    return likely(tlb_hits(e->read, la, size)) ? (const uint8_t *)(e->host + (uintptr_t)(la - e->read)) : NULL;
}
static inline uint8_t *mmu_write_hit(const Cpu *cpu, unsigned mode, uint64_t la, unsigned size)
{
    const TlbEntry *e = &cpu->tlb[tlb_number(cpu, mode)].entry[tlb_index(la)];
    return likely(tlb_hits(e->write, la, size)) ? (uint8_t *)(e->host + (uintptr_t)(la - e->write)) : NULL;
}

/* The same for reading tables that the processor keeps using. */
static inline const uint8_t *mmu_system_hit(const Cpu *cpu, uint64_t la, unsigned size)
{
    const SystemPage *s = &cpu->system_page[la >> GUEST_PAGE_BITS & (SYSTEM_PAGES - 1)];
    if (likely(s->epoch == cpu->walk_epoch && tlb_hits(s->page, la, size)))
        return s->host + (la - s->page);
    return mmu_read_hit(cpu, mmu_system_mode(cpu), la, size);
}

/* Remembers the page at la for that, if the TLB has it. */
void mmu_keep_system_page(Cpu *cpu, uint64_t la);

/* The tag of blocks found by linear address now: made of the epoch of user or supervisor code, and the key. */
static inline void mmu_update_jump_tag(Cpu *cpu)
{
    cpu->jump_tag = cpu->jump_epoch[code_kind(cpu, cpu->cpl == 3)] << 16 | cpu->key;
}

/* Loads PKRU, as WRPKRU and XRSTOR do, or IA32_PKRS, and has the soft TLB follow. */
void pkru_set(Cpu *cpu, uint32_t v);
void pkrs_set(Cpu *cpu, uint32_t v);

/* Makes every entry for a physical page slow for writing again (it now holds code, or its dirty bits were reset). */
void tlb_protect_gpa(Cpu *cpu, uint64_t gpa);

/* Entries of page tables by their system-physical address; setting bits fails if the entry is no longer `entry`. */
uint64_t mmu_entry_read(Cpu *cpu, uint64_t spa, unsigned size);
bool mmu_entry_set_bits(Cpu *cpu, uint64_t spa, uint64_t entry, unsigned size, uint64_t bits);

/* Loads the four PDPTEs from cr3; false (nothing loaded) when one has reserved bits set: the caller raises #GP(0). */
bool mmu_load_pdptes(Cpu *cpu, uint64_t cr3);

#endif
