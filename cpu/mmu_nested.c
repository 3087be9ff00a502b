/*
 * Nested paging (AMD APM vol. 2 15.25).
 *
 * The tables are the host's, in the mode of paging that the host was in at VMRUN, and every access through them is one
 * of user mode.  An access to the guest's own tables is a write, whatever the guest does (15.25.6): the processor may
 * set accessed bits.  Translations are kept for an epoch, which ends when the hypervisor asks for a flush, or changes
 * the guest's ASID or tables: as with a real TLB, more rights are noticed at once, fewer need a flush.
 */
#include "cpu/mmu_nested.h"

#include "cpu/fault.h"
#include "cpu/svm.h"

enum { NPTE_P = 1, NPTE_W = 2, NPTE_U = 4, NPTE_A = 0x20, NPTE_D = 0x40, NPTE_PS = 0x80, NPTE_G = 0x100 };
#define NPTE_NX BIT(63)
#define NPTE_ADDRESS UINT64_C(0x000ffffffffff000)

typedef struct NestedWalk {
    struct { uint64_t spa, entry; } step[5];
    unsigned steps, entry_size;
    uint64_t all, any, spa; /* bits that all and that any entries have; of the page */
    uint32_t error;
} NestedWalk;

static uint64_t host_reserved_bits(const Cpu *cpu)
{
    const SvmHost *h = &cpu->svm.host;
    uint64_t reserved = bit_mask(h->efer & EFER_LMA ? 52 : 63) & ~bit_mask(cpu->physical_bits);
    return h->efer & EFER_NXE ? reserved : reserved | NPTE_NX;
}

/* Reads an entry; false when it stops the walk. */
static bool walk_entry(Cpu *cpu, NestedWalk *w, uint64_t spa, uint64_t reserved)
{
    uint64_t entry = mmu_entry_read(cpu, spa, w->entry_size);
    w->step[w->steps].spa = spa;
    w->step[w->steps++].entry = entry;
    w->all &= entry;
    w->any |= entry;
    w->error = !(entry & NPTE_P) ? 0 : entry & reserved ? PF_P | PF_RSVD : PF_P;
    return w->error == PF_P;
}

static bool walk_leaf(NestedWalk *w, uint64_t gpa, unsigned page_bits, uint64_t base)
{
    w->spa = (base & ~bit_mask(page_bits)) | (gpa & bit_mask(page_bits) & GUEST_PAGE_MASK);
    return true;
}

static bool walk_fails(NestedWalk *w)
{
    w->error = PF_P | PF_RSVD;
    return false;
}

static bool walk_32(Cpu *cpu, NestedWalk *w, uint64_t gpa)
{
    w->entry_size = 4;
    if (!walk_entry(cpu, w, (cpu->svm.nested_cr3 & 0xfffff000) + (gpa >> 22 & 0x3ff) * 4, 0))
        return false;
    uint64_t pde = w->step[0].entry;
    if ((pde & NPTE_PS) && (cpu->svm.host.cr4 & CR4_PSE)) {
        if (pde & BIT(21))
            return walk_fails(w);
        return walk_leaf(w, gpa, 22, (pde & 0xffc00000) | bits_extract(pde, 13, 8) << 32);
    }
    return walk_entry(cpu, w, (pde & 0xfffff000) + (gpa >> 12 & 0x3ff) * 4, 0) &&
           walk_leaf(w, gpa, 12, w->step[1].entry & 0xfffff000);
}

static uint64_t reserved_at(const Cpu *cpu, unsigned shift, uint64_t reserved)
{
    if (shift >= 39)
        return reserved | NPTE_PS | NPTE_G;
    return shift == 30 && !cpu_has(cpu, FEAT_PDPE1GB) ? reserved | NPTE_PS : reserved;
}

static bool walk_64(Cpu *cpu, NestedWalk *w, uint64_t gpa, uint64_t table, unsigned shift)
{
    uint64_t reserved = host_reserved_bits(cpu);
    for (;; shift -= 9) {
        if (!walk_entry(cpu, w, table + (gpa >> shift & 0x1ff) * 8, reserved_at(cpu, shift, reserved)))
            return false;
        uint64_t entry = w->step[w->steps - 1].entry;
        if (shift == 12)
            return walk_leaf(w, gpa, 12, entry & NPTE_ADDRESS);
        if (entry & NPTE_PS)
            return entry & bit_mask(shift) & ~bit_mask(13) ? walk_fails(w)
                                                           : walk_leaf(w, gpa, shift, entry & NPTE_ADDRESS);
        table = entry & NPTE_ADDRESS;
    }
}

/* The four pointers have no rights of their own. */
static bool walk_pae(Cpu *cpu, NestedWalk *w, uint64_t gpa)
{
    uint64_t pointer = mmu_entry_read(cpu, (cpu->svm.nested_cr3 & 0xffffffe0) + (gpa >> 30 & 3) * 8, 8);
    if (!(pointer & NPTE_P))
        return false;
    if (pointer & (host_reserved_bits(cpu) | NPTE_NX | 0x1e6))
        return walk_fails(w);
    return walk_64(cpu, w, gpa, pointer & NPTE_ADDRESS, 21);
}

static bool walk(Cpu *cpu, NestedWalk *w, uint64_t gpa)
{
    const SvmHost *h = &cpu->svm.host;
    unsigned levels_shift = h->cr4 & CR4_LA57 ? 48 : 39;
    *w = (NestedWalk){ .entry_size = 8, .all = ~UINT64_C(0) };
    if (!(h->efer & EFER_LMA))
        return gpa >> 32 ? false : h->cr4 & CR4_PAE ? walk_pae(cpu, w, gpa) : walk_32(cpu, w, gpa);
    return !(gpa >> (levels_shift + 9)) && walk_64(cpu, w, gpa, cpu->svm.nested_cr3 & NPTE_ADDRESS, levels_shift);
}

static bool access_allowed(const Cpu *cpu, const NestedWalk *w, enum MmuAccess access)
{
    if (!(w->all & NPTE_U))
        return false;
    if (access == MMU_WRITE)
        return w->all & NPTE_W;
    return access != MMU_EXEC || !(w->any & NPTE_NX) || !(cpu->svm.host.efer & EFER_NXE);
}

static bool set_accessed(Cpu *cpu, const NestedWalk *w, bool write)
{
    for (unsigned k = 0; k < w->steps; k++) {
        uint64_t bits = write && k == w->steps - 1 ? NPTE_A | NPTE_D : NPTE_A;
        if (!mmu_entry_set_bits(cpu, w->step[k].spa, w->step[k].entry, w->entry_size, bits))
            return false;
    }
    return true;
}

static uint64_t fault_info(const Cpu *cpu, uint32_t error, enum MmuAccess access)
{
    const SvmHost *h = &cpu->svm.host;
    bool tells_fetches = ((h->efer & EFER_NXE) && (h->cr4 & CR4_PAE)) || (h->cr4 & CR4_SMEP);
    return error | PF_U | (access == MMU_WRITE ? PF_W : 0) | (access == MMU_EXEC && tells_fetches ? PF_I : 0);
}

/* The whole walk; false when it fails, with what EXITINFO1 is to say of it. */
static bool walk_whole(Cpu *cpu, NestedWalk *w, uint64_t gpa, enum MmuAccess access, uint64_t *info)
{
    do {
        if (!walk(cpu, w, gpa) || !access_allowed(cpu, w, access)) {
            *info = fault_info(cpu, w->error, access);
            return false;
        }
    } while (!cpu->svm.looking && !set_accessed(cpu, w, access == MMU_WRITE));
    return true;
}

static bool entry_serves(const Cpu *cpu, const NestedEntry *e, uint64_t gpa, enum MmuAccess access)
{
    return e->gpa == (gpa & GUEST_PAGE_MASK) && e->epoch == cpu->svm.nested_epoch &&
           (access == MMU_READ || (access == MMU_WRITE ? e->write : e->exec));
}

/* Pages whose dirty bit is still clear are kept as if they could not be written. */
static void fill_entry(Cpu *cpu, NestedEntry *e, const NestedWalk *w, uint64_t gpa, enum MmuAccess access)
{
    bool dirty = access == MMU_WRITE || (w->step[w->steps - 1].entry & NPTE_D);
    *e = (NestedEntry){ .gpa = gpa & GUEST_PAGE_MASK, .epoch = cpu->svm.nested_epoch, .spa = w->spa,
                        .write = dirty && (w->all & NPTE_W), .exec = access_allowed(cpu, w, MMU_EXEC) };
}

static uint64_t translate(Cpu *cpu, uint64_t gpa, enum MmuAccess access, uint64_t where, NestedRights *may)
{
    NestedEntry *e = &cpu->svm.nested_tlb[gpa >> GUEST_PAGE_BITS & (NESTED_TLB_SIZE - 1)];
    if (unlikely(!entry_serves(cpu, e, gpa, access))) {
        NestedWalk w;
        uint64_t info;
        if (!walk_whole(cpu, &w, gpa, access, &info)) {
            if (cpu->svm.looking)
                return NESTED_NOWHERE;
            svm_exit(cpu, VMEXIT_NPF, info | where, gpa);
        }
        if (cpu->svm.looking)
            return w.spa | (gpa & ~GUEST_PAGE_MASK);
        fill_entry(cpu, e, &w, gpa, access);
    }
    *may = (NestedRights){ e->write, e->exec };
    return e->spa | (gpa & ~GUEST_PAGE_MASK);
}

uint64_t nested_table_entry(Cpu *cpu, uint64_t gpa)
{
    NestedRights may;
    return translate(cpu, gpa, cpu->svm.looking ? MMU_READ : MMU_WRITE, NPF_TABLE, &may);
}

uint64_t nested_access(Cpu *cpu, uint64_t gpa, enum MmuAccess access, NestedRights *may)
{
    return translate(cpu, gpa, access, NPF_FINAL, may);
}
