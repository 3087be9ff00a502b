/*
 * Page walks and the soft TLB (SDM vol. 3A chapter 4).
 *
 * One walk serves all paging modes: it collects the entries it went through, and only when the access is allowed
 * are accessed and dirty bits set, as the processor does for the access that succeeds.
 */
#include "cpu/mmu.h"

#include "core/machine.h"
#include "cpu/fault.h"
#include "cpu/system.h"
#include "util/guest_atomic.h"

enum { /* page table entries */
    PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_A = 0x20, PTE_D = 0x40, PTE_PS = 0x80, PTE_G = 0x100,
};
#define PTE_NX BIT(63)
#define PTE_ADDRESS UINT64_C(0x000ffffffffff000)

/* An entry that a walk used. */
typedef struct WalkStep {
    uint64_t gpa;
    uint64_t entry;
} WalkStep;

typedef struct Walk {
    WalkStep step[5];
    unsigned steps;      /* the last is the leaf */
    unsigned entry_size; /* 4 or 8 bytes */
    unsigned page_bits;
    uint64_t gpa;        /* of the page */
    bool writable, user, executable, global;
    uint32_t error;      /* PF_P, PF_RSVD when it failed */
} Walk;

/* Host address of a page table entry in RAM, or NULL. */
static uint8_t *entry_host(Cpu *cpu, uint64_t gpa)
{
    struct RamWindow *w = &cpu->ram_window;
    if (unlikely(gpa - w->start >= w->size)) {
        AsTarget t = as_lookup(cpu->machine->memory, gpa);
        if (!t.host || t.readonly)
            return NULL;
        *w = (struct RamWindow){ .start = gpa, .size = t.room, .host = t.host };
    }
    return w->host + (gpa - w->start);
}

static uint64_t entry_read(Cpu *cpu, uint64_t gpa, unsigned size)
{
    gpa &= cpu->gpa_mask;
    const uint8_t *p = entry_host(cpu, gpa);
    if (!p)
        return as_read(cpu->machine->memory, gpa, size);
    return size == 4 ? atomic_ld32le(p) : atomic_ld64le(p);
}

/* Sets bits in an entry unless it has changed since it was read; false then. */
static bool entry_set_bits(Cpu *cpu, WalkStep *step, unsigned size, uint64_t bits)
{
    if ((step->entry & bits) == bits)
        return true;
    uint64_t gpa = step->gpa & cpu->gpa_mask, v = step->entry | bits;
    uint8_t *p = entry_host(cpu, gpa);
    if (!p) {
        as_write(cpu->machine->memory, gpa, v, size);
        return true;
    }
    bool done = size == 4 ? atomic_cas32le(p, step->entry, v) : atomic_cas64le(p, step->entry, v);
    if (done)
        ram_mark_written(cpu->machine->pool, p - cpu->machine->pool->host, size);
    return done;
}

/* Bits 52 to 62 are free in long mode, but reserved in PAE's entries (SDM vol. 3A tables 4-10, 4-11). */
static uint64_t reserved_bits(const Cpu *cpu)
{
    uint64_t reserved = bit_mask(cpu->long_mode ? 52 : 63) & ~bit_mask(cpu->physical_bits);
    return cpu->efer & EFER_NXE ? reserved : reserved | PTE_NX;
}

/* Reads the entry at gpa into the walk; false when it is not present or has reserved bits set. */
static bool walk_entry(Cpu *cpu, Walk *w, uint64_t gpa, uint64_t reserved)
{
    WalkStep *s = &w->step[w->steps++];
    s->gpa = gpa;
    s->entry = entry_read(cpu, gpa, w->entry_size);
    if (!(s->entry & PTE_P)) {
        w->error = 0;
        return false;
    }
    w->writable &= (s->entry & PTE_W) != 0;
    w->user &= (s->entry & PTE_U) != 0;
    w->executable &= !(s->entry & PTE_NX) || !(cpu->efer & EFER_NXE);
    w->error = PF_P;
    if (s->entry & reserved) {
        w->error = PF_P | PF_RSVD;
        return false;
    }
    return true;
}

static bool walk_leaf(Walk *w, uint64_t la, unsigned page_bits, uint64_t base)
{
    w->page_bits = page_bits;
    w->gpa = (base & ~bit_mask(page_bits)) | (la & bit_mask(page_bits) & GUEST_PAGE_MASK);
    w->global = w->step[w->steps - 1].entry & PTE_G;
    return true;
}

/* 32-bit paging: SDM vol. 3A 4.3. */
static bool walk_32(Cpu *cpu, Walk *w, uint64_t la)
{
    w->entry_size = 4;
    if (!walk_entry(cpu, w, (cpu->cr3 & 0xfffff000) + (la >> 22 & 0x3ff) * 4, 0))
        return false;
    uint64_t pde = w->step[0].entry;
    if ((pde & PTE_PS) && (cpu->cr4 & CR4_PSE)) {
        unsigned high = cpu_has(cpu, FEAT_PSE36) ? cpu->physical_bits > 40 ? 8 : cpu->physical_bits - 32 : 0;
        if (pde & bit_mask(22) & ~bit_mask(13 + high)) {
            w->error = PF_P | PF_RSVD;
            return false;
        }
        return walk_leaf(w, la, 22, (pde & 0xffc00000) | bits_extract(pde, 13, high) << 32);
    }
    if (!walk_entry(cpu, w, (pde & 0xfffff000) + (la >> 12 & 0x3ff) * 4, 0))
        return false;
    return walk_leaf(w, la, 12, w->step[1].entry & 0xfffff000);
}

/* The levels of PAE and long-mode paging from `shift` down, table being the GPA of the first: SDM vol. 3A 4.4, 4.5. */
static bool walk_64(Cpu *cpu, Walk *w, uint64_t la, uint64_t table, unsigned shift)
{
    uint64_t reserved = reserved_bits(cpu);
    for (;; shift -= 9) {
        bool may_be_large = shift == 21 || (shift == 30 && cpu_has(cpu, FEAT_PDPE1GB));
        uint64_t no_large = shift > 21 && !may_be_large ? PTE_PS : 0;
        if (!walk_entry(cpu, w, table + (la >> shift & 0x1ff) * 8, reserved | no_large))
            return false;
        uint64_t entry = w->step[w->steps - 1].entry;
        if (shift == 12)
            return walk_leaf(w, la, 12, entry & PTE_ADDRESS);
        if (may_be_large && (entry & PTE_PS)) {
            if (entry & bit_mask(shift) & ~bit_mask(13)) {
                w->error = PF_P | PF_RSVD;
                return false;
            }
            return walk_leaf(w, la, shift, entry & PTE_ADDRESS);
        }
        table = entry & PTE_ADDRESS;
    }
}

static bool walk_pae(Cpu *cpu, Walk *w, uint64_t la)
{
    uint64_t pdpte = cpu->pdpte[la >> 30 & 3];
    w->entry_size = 8;
    if (!(pdpte & PTE_P))
        return false;
    return walk_64(cpu, w, la, pdpte & PTE_ADDRESS, 21);
}

static bool walk(Cpu *cpu, Walk *w, uint64_t la)
{
    *w = (Walk){ .writable = true, .user = true, .executable = true };
    if (!(cpu->cr4 & CR4_PAE))
        return walk_32(cpu, w, la);
    if (!cpu->long_mode)
        return walk_pae(cpu, w, la);
    w->entry_size = 8;
    return walk_64(cpu, w, la, cpu->cr3 & PTE_ADDRESS, cpu->cr4 & CR4_LA57 ? 48 : 39);
}

bool mmu_load_pdptes(Cpu *cpu, uint64_t cr3)
{
    uint64_t pdpte[4];
    uint64_t reserved = ~bit_mask(cpu->physical_bits) | 0x1e6;
    for (unsigned k = 0; k < 4; k++) {
        pdpte[k] = entry_read(cpu, (cr3 & 0xffffffe0) + k * 8, 8);
        if ((pdpte[k] & PTE_P) && (pdpte[k] & reserved))
            return false;
    }
    for (unsigned k = 0; k < 4; k++)
        cpu->pdpte[k] = pdpte[k];
    return true;
}

bool mmu_walk(Cpu *cpu, uint64_t la, Translation *t)
{
    Walk w;
    *t = (Translation){ .gpa = la & cpu->gpa_mask, .page_size = GUEST_PAGE_SIZE, .writable = true, .user = true,
                        .executable = true };
    if (!(cpu->cr0 & CR0_PG))
        return true;
    if (cpu->long_mode && !cpu_canonical(cpu, la))
        return false;
    if (!walk(cpu, &w, la)) {
        t->error = w.error;
        return false;
    }
    t->gpa = (w.gpa | (la & ~GUEST_PAGE_MASK)) & cpu->gpa_mask;
    t->page_size = UINT64_C(1) << w.page_bits;
    t->writable = w.writable;
    t->user = w.user;
    t->executable = w.executable;
    t->global = w.global;
    t->dirty = w.step[w.steps - 1].entry & PTE_D;
    return true;
}

static bool mode_is_user(unsigned mode) { return mode >= TLB_USER; }

/* Access rights: SDM vol. 3A 4.6.1. */
static bool access_allowed(const Cpu *cpu, const Walk *w, enum MmuAccess access, unsigned mode)
{
    if (mode_is_user(mode)) {
        if (!w->user)
            return false;
        return access == MMU_EXEC ? w->executable : access == MMU_READ || w->writable;
    }
    if (access == MMU_EXEC)
        return w->executable && !(w->user && (cpu->cr4 & CR4_SMEP));
    if (w->user && mode == TLB_KERNEL_SMAP)
        return false;
    return access == MMU_READ || w->writable || !(cpu->cr0 & CR0_WP);
}

static uint32_t fault_code(const Cpu *cpu, uint32_t error, enum MmuAccess access, unsigned mode)
{
    if (access == MMU_WRITE)
        error |= PF_W;
    if (mode_is_user(mode))
        error |= PF_U;
    bool nx = (cpu->efer & EFER_NXE) && (cpu->cr4 & CR4_PAE);
    if (access == MMU_EXEC && (nx || (cpu->cr4 & CR4_SMEP)))
        error |= PF_I;
    return error;
}

/* Sets accessed bits and, for a write, the dirty bit; false when another CPU changed an entry meanwhile. */
static bool set_accessed(Cpu *cpu, Walk *w, bool write)
{
    for (unsigned k = 0; k < w->steps; k++) {
        bool leaf = k == w->steps - 1;
        if (!entry_set_bits(cpu, &w->step[k], w->entry_size, leaf && write ? PTE_A | PTE_D : PTE_A))
            return false;
    }
    return true;
}

/* INVLPG of an address inside a large page must drop all its 4 KiB entries: remember a span around all of them. */
static void note_large_page(Tlb *tlb, uint64_t la, unsigned page_bits)
{
    uint64_t mask = ~bit_mask(page_bits);
    if (!tlb->large_mask) {
        tlb->large_base = la & mask;
        tlb->large_mask = mask;
        return;
    }
    mask &= tlb->large_mask;
    while ((tlb->large_base ^ la) & mask)
        mask <<= 1;
    tlb->large_mask = mask;
    tlb->large_base &= mask;
}

static void invalidate_entry(Tlb *tlb, unsigned index)
{
    uint64_t none = tlb_invalid_tag(index);
    tlb->entry[index] = (TlbEntry){ none, none, none, 0 };
    tlb->local[index / 64] &= ~BIT(index % 64);
    tlb->global[index / 64] &= ~BIT(index % 64);
}

/* What the TLB needs to know of a translated page. */
typedef struct Mapping {
    uint64_t gpa;
    unsigned page_bits;
    bool read, write, exec, global;
} Mapping;

/* Tags of an entry: SLOW wherever a host access alone would not do. */
static void fill_entry(Cpu *cpu, uint64_t la, unsigned mode, const Mapping *m)
{
    Tlb *tlb = &cpu->tlb[mode];
    unsigned index = tlb_index(la);
    TlbEntry *e = &tlb->entry[index];
    uint64_t page = la & GUEST_PAGE_MASK, none = tlb_invalid_tag(index);
    RamPool *pool = cpu->machine->pool;
    AsTarget t = as_lookup(cpu->machine->memory, m->gpa);
    bool host = t.host && t.room >= GUEST_PAGE_SIZE && m->gpa != cpu->intc_page;
    bool slow = !host || mode == TLB_USER_ALIGN || debug_page_watched(cpu, la);
    uint8_t flags = host ? atomic_load(&pool->page_flags[t.pool_offset >> RAM_PAGE_BITS]) : 0;
    bool clean = t.readonly || flags != PAGE_DIRTY_ALL;
    e->read = m->read ? page ^ (slow ? TLB_SLOW : 0) : none;
    e->write = m->write ? page ^ (slow || clean ? TLB_SLOW : 0) : none;
    e->exec = m->exec ? page ^ (host ? 0 : TLB_SLOW) : none;
    e->host = host ? (uintptr_t)t.host : 0;
    tlb->gpa[index] = m->gpa;
    tlb->local[index / 64] &= ~BIT(index % 64);
    tlb->global[index / 64] &= ~BIT(index % 64);
    (m->global ? tlb->global : tlb->local)[index / 64] |= BIT(index % 64);
    if (m->page_bits > GUEST_PAGE_BITS)
        note_large_page(tlb, la, m->page_bits);
}

static uint64_t fill_unpaged(Cpu *cpu, uint64_t la, unsigned mode)
{
    Mapping m = { .gpa = la & GUEST_PAGE_MASK & cpu->gpa_mask, .page_bits = 12, .read = true, .write = true, .exec = true };
    fill_entry(cpu, la, mode, &m);
    return m.gpa | (la & ~GUEST_PAGE_MASK);
}

uint64_t mmu_translate(Cpu *cpu, uint64_t la, enum MmuAccess access, unsigned mode)
{
    Walk w;
    if (!(cpu->cr0 & CR0_PG))
        return fill_unpaged(cpu, la, mode);
    do {
        if (!walk(cpu, &w, la))
            cpu_raise_pf(cpu, la, fault_code(cpu, w.error, access, mode));
        if (!access_allowed(cpu, &w, access, mode))
            cpu_raise_pf(cpu, la, fault_code(cpu, PF_P, access, mode));
    } while (!set_accessed(cpu, &w, access == MMU_WRITE));
    bool dirty = access == MMU_WRITE || (w.step[w.steps - 1].entry & PTE_D);
    Mapping m = {
        .gpa = w.gpa & cpu->gpa_mask, .page_bits = w.page_bits, .global = w.global && (cpu->cr4 & CR4_PGE),
        .read = access_allowed(cpu, &w, MMU_READ, mode),
        .write = dirty && access_allowed(cpu, &w, MMU_WRITE, mode),
        .exec = access_allowed(cpu, &w, MMU_EXEC, mode),
    };
    fill_entry(cpu, la, mode, &m);
    return m.gpa | (la & ~GUEST_PAGE_MASK);
}

unsigned mmu_data_mode(const Cpu *cpu)
{
    bool ac = cpu->eflags & EFLAGS_AC;
    if (cpu->cpl == 3)
        return ac && (cpu->cr0 & CR0_AM) ? TLB_USER_ALIGN : TLB_USER;
    return (cpu->cr4 & CR4_SMAP) && !ac ? TLB_KERNEL_SMAP : TLB_KERNEL;
}

static void flush_set(Tlb *tlb, uint64_t *set)
{
    for (unsigned k = 0; k < TLB_SIZE / 64; k++) {
        while (set[k])
            invalidate_entry(tlb, k * 64 + bit_lowest(set[k]));
    }
}

/* Makes every entry of the jump cache stale. */
static void next_generation(Cpu *cpu)
{
    cpu->tlb_generation++;
    cpu->jump_tag = cpu->tlb_generation << 16 | cpu->key;
}

void tlb_flush_local(Cpu *cpu)
{
    micro_tlb_drop(&cpu->micro);
    for (unsigned mode = 0; mode < TLB_MODES; mode++)
        flush_set(&cpu->tlb[mode], cpu->tlb[mode].local);
    next_generation(cpu);
}

void tlb_flush_all(Cpu *cpu)
{
    tlb_flush_local(cpu);
    for (unsigned mode = 0; mode < TLB_MODES; mode++) {
        flush_set(&cpu->tlb[mode], cpu->tlb[mode].global);
        cpu->tlb[mode].large_base = cpu->tlb[mode].large_mask = 0;
    }
}

void tlb_flush_page(Cpu *cpu, uint64_t la)
{
    micro_tlb_drop(&cpu->micro);
    for (unsigned mode = 0; mode < TLB_MODES; mode++) {
        Tlb *tlb = &cpu->tlb[mode];
        if (tlb->large_mask && (la & tlb->large_mask) == tlb->large_base) {
            flush_set(tlb, tlb->local);
            flush_set(tlb, tlb->global);
            tlb->large_base = tlb->large_mask = 0;
        } else {
            invalidate_entry(tlb, tlb_index(la));
        }
    }
    next_generation(cpu);
}

void tlb_protect_gpa(Cpu *cpu, uint64_t gpa)
{
    micro_tlb_drop(&cpu->micro);
    for (unsigned mode = 0; mode < TLB_MODES; mode++)
        for (unsigned k = 0; k < TLB_SIZE; k++) {
            TlbEntry *e = &cpu->tlb[mode].entry[k];
            if (cpu->tlb[mode].gpa[k] == gpa && tlb_index(e->write) == k)
                e->write ^= TLB_SLOW;
        }
}
