/*
 * Page walks and the soft TLB (SDM vol. 3A chapter 4).
 *
 * One walk serves all paging modes: it collects the entries it went through, and only when the access is allowed
 * are accessed and dirty bits set, as the processor does for the access that succeeds.  Where the last table of a region
 * is known (WalkCacheEntry) only its entry is read; should that not do, the whole walk decides.
 *
 * What is forgotten, and when.  A load of CR3 drops the TLB's entries that are not global.  Blocks are found by linear
 * address in a cache (code.h) that is valid within an epoch; user and supervisor code have their own.  That of user code
 * ends with every load of CR3; that of supervisor code, which is global in all kernels of today, only when mappings of
 * its pages are dropped.  So that INVLPG of a page of data need not end an epoch, pages that instructions are fetched
 * from are noted (CodePages): an entry lets instructions be fetched only if it was made for a fetch.
 */
#include "cpu/mmu.h"

#include "core/machine.h"
#include "cpu/fault.h"
#include "cpu/mmu_nested.h"
#include "cpu/system.h"
#include "util/guest_atomic.h"

enum { /* page table entries */
    PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_A = 0x20, PTE_D = 0x40, PTE_PS = 0x80, PTE_G = 0x100,
};
#define PTE_NX BIT(63)
#define PTE_KEY_SHIFT 59
#define PTE_ADDRESS UINT64_C(0x000ffffffffff000)

/* An entry that a walk used. */
typedef struct WalkStep {
    uint64_t gpa;
    uint64_t entry;
} WalkStep;

typedef struct Walk {
    uint64_t all, any;             /* bits that all, and that any, of the entries have */
    uint64_t upper_all, upper_any; /* the same without the last level's, when that was reached */
    uint64_t gpa;                  /* of the page */
    unsigned steps;                /* the last is the leaf */
    unsigned entry_size;           /* 4 or 8 bytes */
    unsigned page_bits;
    uint32_t error;                /* PF_P, PF_RSVD when it failed */
    WalkStep step[5];
} Walk;

static void walk_begin(Walk *w, unsigned entry_size)
{
    w->all = ~UINT64_C(0);
    w->any = 0;
    w->steps = 0;
    w->error = 0;
    w->entry_size = entry_size;
}

static bool walk_global(const Walk *w) { return w->step[w->steps - 1].entry & PTE_G; }

/* Where a page of RAM is in this process, or NULL. */
static uint8_t *ram_page(Cpu *cpu, uint64_t page)
{
    struct RamWindow *w = &cpu->ram_window;
    if (likely(page - w->start < w->size && w->size - (page - w->start) >= GUEST_PAGE_SIZE))
        return w->host + (page - w->start);
    AsTarget t = as_lookup(cpu->machine->memory, page);
    if (!t.host || t.readonly || t.room < GUEST_PAGE_SIZE)
        return NULL;
    *w = (struct RamWindow){ .start = page, .size = t.room, .host = t.host };
    return t.host;
}

/* Host address of a page table entry in RAM, or NULL. */
static uint8_t *entry_host(Cpu *cpu, uint64_t gpa)
{
    uint8_t *p = ram_page(cpu, gpa & GUEST_PAGE_MASK);
    return likely(p != NULL) ? p + (gpa & ~GUEST_PAGE_MASK) : NULL;
}

uint64_t mmu_entry_read(Cpu *cpu, uint64_t spa, unsigned size)
{
    spa &= cpu->gpa_mask;
    const uint8_t *p = entry_host(cpu, spa);
    if (unlikely(!p))
        return as_read(cpu->machine->memory, spa, size);
    return size == 4 ? atomic_ld32le(p) : atomic_ld64le(p);
}

/* Of the tables that the CPU walks itself; those of a guest with nested paging lie in its own memory. */
static uint64_t entry_read(Cpu *cpu, uint64_t gpa, unsigned size)
{
    if (unlikely(cpu->svm.nested) && (gpa = nested_table_entry(cpu, gpa)) == NESTED_NOWHERE)
        return 0;
    return mmu_entry_read(cpu, gpa, size);
}

bool mmu_entry_set_bits(Cpu *cpu, uint64_t spa, uint64_t entry, unsigned size, uint64_t bits)
{
    if (likely((entry & bits) == bits))
        return true;
    uint64_t v = entry | bits;
    spa &= cpu->gpa_mask;
    uint8_t *p = entry_host(cpu, spa);
    if (!p) {
        as_write(cpu->machine->memory, spa, v, size);
        return true;
    }
    bool done = size == 4 ? atomic_cas32le(p, entry, v) : atomic_cas64le(p, entry, v);
    if (done)
        ram_mark_written(cpu->machine->pool, p - cpu->machine->pool->host, size);
    return done;
}

/* Sets bits in an entry unless it has changed since it was read; false then. */
static bool entry_set_bits(Cpu *cpu, const WalkStep *step, unsigned size, uint64_t bits)
{
    if (likely((step->entry & bits) == bits))
        return true;
    uint64_t gpa = unlikely(cpu->svm.nested) ? nested_table_entry(cpu, step->gpa) : step->gpa;
    return mmu_entry_set_bits(cpu, gpa, step->entry, size, bits);
}

/* Bits 52 to 62 are free in long mode, but reserved in PAE's entries (SDM vol. 3A tables 4-10, 4-11). */
static uint64_t reserved_bits(const Cpu *cpu)
{
    uint64_t reserved = bit_mask(cpu->long_mode ? 52 : 63) & ~bit_mask(cpu->physical_bits);
    return cpu->efer & EFER_NXE ? reserved : reserved | PTE_NX;
}

/* Reads the entry at gpa into the walk; false when it is not present or has reserved bits set. */
static inline bool walk_entry(Cpu *cpu, Walk *w, uint64_t gpa, uint64_t reserved)
{
    uint64_t entry = entry_read(cpu, gpa, w->entry_size);
    w->step[w->steps++] = (WalkStep){ gpa, entry };
    w->all &= entry;
    w->any |= entry;
    w->error = !(entry & PTE_P) ? 0 : entry & reserved ? PF_P | PF_RSVD : PF_P;
    return w->error == PF_P;
}

static bool walk_leaf(Walk *w, uint64_t la, unsigned page_bits, uint64_t base)
{
    w->page_bits = page_bits;
    w->gpa = (base & ~bit_mask(page_bits)) | (la & bit_mask(page_bits) & GUEST_PAGE_MASK);
    return true;
}

/* 32-bit paging: SDM vol. 3A 4.3. */
static bool walk_32(Cpu *cpu, Walk *w, uint64_t la)
{
    walk_begin(w, 4);
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

/* The last of three or more levels. */
static inline bool walk_last(Cpu *cpu, Walk *w, uint64_t la, uint64_t table, uint64_t reserved)
{
    w->upper_all = w->all;
    w->upper_any = w->any;
    return walk_entry(cpu, w, table + (la >> 12 & 0x1ff) * 8, reserved) &&
           walk_leaf(w, la, 12, w->step[w->steps - 1].entry & PTE_ADDRESS);
}

/* The levels of PAE and long-mode paging from `shift` down, table being the GPA of the first: SDM vol. 3A 4.4, 4.5. */
static bool walk_64(Cpu *cpu, Walk *w, uint64_t la, uint64_t table, unsigned shift)
{
    uint64_t reserved = reserved_bits(cpu);
    for (; shift > 12; shift -= 9) {
        bool may_be_large = shift == 21 || (shift == 30 && cpu_has(cpu, FEAT_PDPE1GB));
        uint64_t no_large = shift > 21 && !may_be_large ? PTE_PS : 0;
        if (!walk_entry(cpu, w, table + (la >> shift & 0x1ff) * 8, reserved | no_large))
            return false;
        uint64_t entry = w->step[w->steps - 1].entry;
        if (may_be_large && (entry & PTE_PS)) {
            if (entry & bit_mask(shift) & ~bit_mask(13)) {
                w->error = PF_P | PF_RSVD;
                return false;
            }
            return walk_leaf(w, la, shift, entry & PTE_ADDRESS);
        }
        table = entry & PTE_ADDRESS;
    }
    return walk_last(cpu, w, la, table, reserved);
}

static uint64_t pdpte_reserved(const Cpu *cpu) { return ~bit_mask(cpu->physical_bits) | 0x1e6; }

/* With nested paging the pointers are not kept but read by each walk (AMD APM vol. 2 15.25.10). */
static bool nested_pdpte(Cpu *cpu, Walk *w, uint64_t la, uint64_t *pdpte)
{
    *pdpte = entry_read(cpu, (cpu->cr3 & 0xffffffe0) + (la >> 30 & 3) * 8, 8);
    if ((*pdpte & PTE_P) && (*pdpte & pdpte_reserved(cpu))) {
        w->error = PF_P | PF_RSVD;
        return false;
    }
    return true;
}

static bool walk_pae(Cpu *cpu, Walk *w, uint64_t la)
{
    uint64_t pdpte = cpu->pdpte[la >> 30 & 3];
    walk_begin(w, 8);
    if (unlikely(cpu->svm.nested) && !nested_pdpte(cpu, w, la, &pdpte))
        return false;
    if (!(pdpte & PTE_P))
        return false;
    return walk_64(cpu, w, la, pdpte & PTE_ADDRESS, 21);
}

static bool walk(Cpu *cpu, Walk *w, uint64_t la)
{
    if (!(cpu->cr4 & CR4_PAE))
        return walk_32(cpu, w, la);
    if (!cpu->long_mode)
        return walk_pae(cpu, w, la);
    walk_begin(w, 8);
    return walk_64(cpu, w, la, cpu->cr3 & PTE_ADDRESS, cpu->cr4 & CR4_LA57 ? 48 : 39);
}

static WalkCacheEntry *walk_cached(Cpu *cpu, uint64_t la) { return &cpu->walk_cache[la >> 21 & (WALK_CACHE_SIZE - 1)]; }

/* The walk where the last table is known; false when it is not, or when the access needs a closer look. */
static bool walk_short(Cpu *cpu, Walk *w, uint64_t la)
{
    const WalkCacheEntry *c = walk_cached(cpu, la);
    if (c->region != la >> 21 || c->epoch != cpu->walk_epoch)
        return false;
    walk_begin(w, 8);
    w->all = c->all;
    w->any = c->any;
    return walk_last(cpu, w, la, c->table, reserved_bits(cpu));
}

static void remember_walk(Cpu *cpu, const Walk *w, uint64_t la)
{
    if (w->entry_size != 8 || w->page_bits != GUEST_PAGE_BITS)
        return;
    *walk_cached(cpu, la) = (WalkCacheEntry){ .region = la >> 21, .epoch = cpu->walk_epoch, .all = w->upper_all,
                                              .any = w->upper_any,
                                              .table = w->step[w->steps - 1].gpa & GUEST_PAGE_MASK };
}

bool mmu_load_pdptes(Cpu *cpu, uint64_t cr3)
{
    uint64_t pdpte[4];
    uint64_t reserved = pdpte_reserved(cpu);
    if (unlikely(cpu->svm.nested))
        return true;
    for (unsigned k = 0; k < 4; k++) {
        pdpte[k] = entry_read(cpu, (cr3 & 0xffffffe0) + k * 8, 8);
        if ((pdpte[k] & PTE_P) && (pdpte[k] & reserved))
            return false;
    }
    for (unsigned k = 0; k < 4; k++)
        cpu->pdpte[k] = pdpte[k];
    return true;
}

/* Access rights: SDM vol. 3A 4.6.1. */
typedef struct Rights {
    bool read, write, exec;
} Rights;

static bool mode_is_user(unsigned mode) { return mode >= TLB_USER; }

/* The protection key of a page, or 0 when its kind of pages has none (SDM vol. 3A 4.6.2). */
static unsigned walk_key(const Cpu *cpu, const Walk *w)
{
    uint64_t enabled = w->all & PTE_U ? CR4_PKE : CR4_PKS;
    return cpu->long_mode && (cpu->cr4 & enabled) ? w->step[w->steps - 1].entry >> PTE_KEY_SHIFT & 15 : 0;
}

enum { KEY_NO_ACCESS = 1, KEY_NO_WRITE = 2 };

/* What the page's key forbids: KEY_NO_*, where writes are so in supervisor mode only with CR0.WP. */
static unsigned key_forbids(const Cpu *cpu, const Walk *w, unsigned mode)
{
    bool user = w->all & PTE_U;
    if (!cpu->long_mode || !(cpu->cr4 & (user ? CR4_PKE : CR4_PKS)))
        return 0;
    unsigned bits = (user ? cpu->pkru : (uint32_t)cpu->pkrs) >> walk_key(cpu, w) * 2 & 3;
    return mode_is_user(mode) || (cpu->cr0 & CR0_WP) ? bits : bits & ~KEY_NO_WRITE;
}

static inline Rights walk_rights(const Cpu *cpu, const Walk *w, unsigned mode)
{
    bool user = w->all & PTE_U, writable = w->all & PTE_W;
    bool executable = !(w->any & PTE_NX) || !(cpu->efer & EFER_NXE);
    unsigned forbidden = unlikely(cpu->cr4 & (CR4_PKE | CR4_PKS)) ? key_forbids(cpu, w, mode) : 0;
    if (mode_is_user(mode)) {
        bool read = user && !(forbidden & KEY_NO_ACCESS);
        return (Rights){ read, read && writable && !forbidden, user && executable };
    }
    bool read = (!user || mode != TLB_KERNEL_SMAP) && !(forbidden & KEY_NO_ACCESS);
    return (Rights){ read, read && (writable || !(cpu->cr0 & CR0_WP)) && !forbidden,
                     executable && !(user && (cpu->cr4 & CR4_SMEP)) };
}

static inline bool access_allowed(Rights r, enum MmuAccess access)
{
    return access == MMU_READ ? r.read : access == MMU_WRITE ? r.write : r.exec;
}

/* The same in the guest's terms; t->gpa is then what its tables say. */
static bool walk_quietly(Cpu *cpu, uint64_t la, Translation *t)
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
    t->writable = w.all & PTE_W;
    t->user = w.all & PTE_U;
    t->executable = !(w.any & PTE_NX) || !(cpu->efer & EFER_NXE);
    t->global = walk_global(&w);
    t->dirty = w.step[w.steps - 1].entry & PTE_D;
    return true;
}

bool mmu_walk(Cpu *cpu, uint64_t la, Translation *t)
{
    NestedRights may;
    if (likely(!cpu->svm.nested))
        return walk_quietly(cpu, la, t);
    cpu->svm.looking = true;
    bool mapped = walk_quietly(cpu, la, t);
    if (mapped)
        t->gpa = nested_access(cpu, t->gpa, MMU_READ, &may);
    cpu->svm.looking = false;
    return mapped && t->gpa != NESTED_NOWHERE;
}

/* PF_P, with PF_PK when the key forbids the access, whatever else does (SDM vol. 3A 4.7). */
static uint32_t rights_error(const Cpu *cpu, const Walk *w, enum MmuAccess access, unsigned mode)
{
    unsigned forbidden = access == MMU_EXEC ? 0 : key_forbids(cpu, w, mode);
    return forbidden & (access == MMU_WRITE ? KEY_NO_ACCESS | KEY_NO_WRITE : KEY_NO_ACCESS) ? PF_P | PF_PK : PF_P;
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
    unsigned leaf = w->steps - 1;
    for (unsigned k = 0; k < leaf; k++)
        if (!entry_set_bits(cpu, &w->step[k], w->entry_size, PTE_A))
            return false;
    return entry_set_bits(cpu, &w->step[leaf], w->entry_size, write ? PTE_A | PTE_D : PTE_A);
}

/* ---- filling ---- */

static void span_add(LinearSpan *s, uint64_t low, uint64_t last)
{
    if (!s->last || low < s->low)
        s->low = low;
    if (last > s->last)
        s->last = last;
}

static bool span_has(const LinearSpan *s, uint64_t la) { return la >= s->low && la <= s->last; }

static void set_put(TlbSet *s, unsigned index)
{
    s->word[index / 64] |= BIT(index % 64);
    s->words |= BIT(index / 64);
}

static void set_remove(TlbSet *s, unsigned index) { s->word[index / 64] &= ~BIT(index % 64); }
static bool set_has(const TlbSet *s, unsigned index) { return s->word[index / 64] >> (index % 64) & 1; }

/* What the TLB needs to know of a translated page. */
typedef struct Mapping {
    uint64_t gpa;
    unsigned page_bits;
    Rights may;
    bool global, keyed;
} Mapping;

/* Notes to which sets an entry that is filled now belongs. */
static void classify_entry(Tlb *tlb, unsigned index, uint64_t la, const Mapping *m)
{
    unsigned page_bits = m->page_bits;
    set_put(m->global ? &tlb->global : &tlb->local, index);
    set_remove(m->global ? &tlb->local : &tlb->global, index);
    if (unlikely(m->keyed))
        set_put(&tlb->keyed, index);
    else
        set_remove(&tlb->keyed, index);
    tlb->page_bits[index] = page_bits;
    if (likely(page_bits == GUEST_PAGE_BITS)) {
        set_remove(&tlb->large, index);
        return;
    }
    set_put(&tlb->large, index);
    span_add(&tlb->large_span[la >> 63], la & ~bit_mask(page_bits), la | bit_mask(page_bits));
}

static uint64_t *code_filter_word(CodePages *c, uint64_t la, uint64_t *bit)
{
    uint64_t page = la >> GUEST_PAGE_BITS, hash = (page ^ page >> 12 ^ page >> 24) % CODE_FILTER_SIZE;
    *bit = BIT(hash % 64);
    return &c->filter[hash / 64];
}

/* Blocks of a page will be found by linear address: remembers which it is (see the overview). */
static void note_code_page(Cpu *cpu, uint64_t la, unsigned mode, unsigned page_bits, bool global)
{
    CodePages *c = &cpu->code_pages[code_kind(cpu, mode_is_user(mode))];
    uint64_t bit, *word = code_filter_word(c, la, &bit);
    c->any_local |= !global;
    if (page_bits == GUEST_PAGE_BITS)
        *word |= bit;
    else
        span_add(&c->large, la & ~bit_mask(page_bits), la | bit_mask(page_bits));
}

/* Where a page is, and whether accesses or (clean) writes need more than a host access. */
typedef struct Place {
    uint8_t *host;
    bool slow, clean;
} Place;

static Place find_place(Cpu *cpu, uint64_t gpa)
{
    RamPool *pool = cpu->machine->pool;
    if (unlikely(gpa == cpu->intc_page))
        return (Place){ .slow = true };
    uint8_t *host = ram_page(cpu, gpa);
    bool readonly = false;
    if (unlikely(!host)) {
        AsTarget t = as_lookup(cpu->machine->memory, gpa);
        if (!t.host || t.room < GUEST_PAGE_SIZE)
            return (Place){ .slow = true };
        host = t.host;
        readonly = t.readonly;
    }
    uint8_t flags = atomic_load(&pool->page_flags[(uint64_t)(host - pool->host) >> RAM_PAGE_BITS]);
    return (Place){ .host = host, .clean = readonly || flags != PAGE_DIRTY_ALL };
}

/* Tags of an entry: SLOW wherever a host access alone would not do. */
static void fill_entry(Cpu *cpu, uint64_t la, enum MmuAccess access, unsigned mode, const Mapping *m)
{
    Tlb *tlb = &cpu->tlb[tlb_number(cpu, mode)];
    unsigned index = tlb_index(la);
    TlbEntry *e = &tlb->entry[index];
    uint64_t page = la & GUEST_PAGE_MASK, none = tlb_invalid_tag(index);
    Place p = find_place(cpu, m->gpa);
    bool slow = p.slow || unlikely(mode == TLB_USER_ALIGN) || debug_page_watched(cpu, la) ||
                (stops_wanted(cpu, STOP_DATA) && stops_page_watched(cpu, la, m->gpa));
    uint64_t exec = page ^ (p.host ? 0 : TLB_SLOW);
    if (access == MMU_EXEC)
        note_code_page(cpu, la, mode, m->page_bits, m->global);
    else if (!m->may.exec || e->exec != exec)
        exec = none;
    e->read = m->may.read ? page ^ (slow ? TLB_SLOW : 0) : none;
    e->write = m->may.write ? page ^ (slow || p.clean ? TLB_SLOW : 0) : none;
    e->exec = exec;
    e->host = (uintptr_t)p.host;
    tlb->gpa[index] = m->gpa;
    classify_entry(tlb, index, la, m);
    cpu->tlb_keyed |= m->keyed;
}

/* What a guest-physical page is; and what may be done with it when the guest's own tables allow it. */
static void translate_nested(Cpu *cpu, uint64_t la, enum MmuAccess access, Mapping *m)
{
    NestedRights may;
    uint64_t spa = nested_access(cpu, m->gpa | (la & ~GUEST_PAGE_MASK), access, &may);
    m->gpa = spa & GUEST_PAGE_MASK & cpu->gpa_mask;
    m->may.write &= may.write;
    m->may.exec &= may.exec;
}

static uint64_t fill_unpaged(Cpu *cpu, uint64_t la, enum MmuAccess access, unsigned mode)
{
    Mapping m = { .gpa = la & GUEST_PAGE_MASK & cpu->gpa_mask, .page_bits = GUEST_PAGE_BITS,
                  .may = { true, true, true } };
    if (unlikely(cpu->svm.nested))
        translate_nested(cpu, la, access, &m);
    fill_entry(cpu, la, access, mode, &m);
    return m.gpa | (la & ~GUEST_PAGE_MASK);
}

/* The whole walk, until no other CPU interferes. */
static Rights walk_or_fault(Cpu *cpu, Walk *w, uint64_t la, enum MmuAccess access, unsigned mode)
{
    Rights r;
    do {
        if (!walk(cpu, w, la))
            cpu_raise_pf(cpu, la, fault_code(cpu, w->error, access, mode));
        r = walk_rights(cpu, w, mode);
        if (!access_allowed(r, access))
            cpu_raise_pf(cpu, la, fault_code(cpu, rights_error(cpu, w, access, mode), access, mode));
    } while (!set_accessed(cpu, w, access == MMU_WRITE));
    remember_walk(cpu, w, la);
    return r;
}

uint64_t mmu_translate(Cpu *cpu, uint64_t la, enum MmuAccess access, unsigned mode)
{
    Walk w;
    Mapping m;
    if (unlikely(!(cpu->cr0 & CR0_PG)))
        return fill_unpaged(cpu, la, access, mode);
    if (unlikely(cpu->long_mode && !cpu_canonical(cpu, la))) /* a descriptor table's base may be so (state.h) */
        cpu_raise_gp(cpu);
    if (!walk_short(cpu, &w, la) || !access_allowed(m.may = walk_rights(cpu, &w, mode), access) ||
        !set_accessed(cpu, &w, access == MMU_WRITE))
        m.may = walk_or_fault(cpu, &w, la, access, mode);
    m.may.write &= access == MMU_WRITE || (w.step[w.steps - 1].entry & PTE_D);
    m.gpa = w.gpa & cpu->gpa_mask;
    m.page_bits = w.page_bits;
    m.global = walk_global(&w) && (cpu->cr4 & CR4_PGE);
    m.keyed = walk_key(cpu, &w);
    if (unlikely(cpu->svm.nested))
        translate_nested(cpu, la, access, &m);
    fill_entry(cpu, la, access, mode, &m);
    return m.gpa | (la & ~GUEST_PAGE_MASK);
}

void mmu_keep_system_page(Cpu *cpu, uint64_t la)
{
    uint64_t page = la & GUEST_PAGE_MASK;
    unsigned mode = mmu_system_mode(cpu);
    const uint8_t *host = mmu_read_hit(cpu, mode, page, 1);
    if (host && !set_has(&cpu->tlb[tlb_number(cpu, mode)].keyed, tlb_index(page)))
        cpu->system_page[page >> GUEST_PAGE_BITS & (SYSTEM_PAGES - 1)] = (SystemPage){ page, cpu->walk_epoch, host };
}

/* ---- shadow stacks ---- */

/* R/W clear and D set in the last entry, R/W set in all others; U/S as the access has it (SDM vol. 3A 4.6.1). */
static bool walk_is_shadow(const Walk *w, bool user)
{
    if (!(w->all & PTE_U) == user)
        return false;
    for (unsigned k = 0; k + 1 < w->steps; k++)
        if (!(w->step[k].entry & PTE_W))
            return false;
    return (w->step[w->steps - 1].entry & (PTE_W | PTE_D)) == PTE_D;
}

static void walk_shadow(Cpu *cpu, Walk *w, uint64_t la, enum MmuAccess access, bool user)
{
    unsigned mode = user ? TLB_USER : TLB_KERNEL;
    do {
        if (!walk(cpu, w, la))
            cpu_raise_pf(cpu, la, fault_code(cpu, w->error, access, mode) | PF_SS);
        uint32_t error = rights_error(cpu, w, access, mode);
        if (!walk_is_shadow(w, user) || (error & PF_PK))
            cpu_raise_pf(cpu, la, fault_code(cpu, error, access, mode) | PF_SS);
    } while (!set_accessed(cpu, w, false));
}

/* A page that may not be kept: keys and nested tables may refuse the next access. */
static bool shadow_page_once(Cpu *cpu, const Walk *w, uint64_t la, enum MmuAccess access, uint64_t *gpa)
{
    bool once = (cpu->cr0 & CR0_PG) && (cpu->cr4 & (CR4_PKE | CR4_PKS)) && walk_key(cpu, w);
    if (unlikely(cpu->svm.nested)) {
        Mapping m = { .gpa = *gpa, .may = { true, true, true } };
        translate_nested(cpu, la, access, &m);
        *gpa = m.gpa;
        once |= !m.may.write;
    }
    return once;
}

ShadowPage mmu_shadow_page(Cpu *cpu, uint64_t la, bool write, bool user)
{
    Walk w = { .gpa = la & GUEST_PAGE_MASK };
    ShadowPage *s = &cpu->shadow_page[user][la >> GUEST_PAGE_BITS & (SHADOW_PAGES - 1)];
    if (likely(s->epoch == cpu->walk_epoch && s->page == (la & GUEST_PAGE_MASK)))
        return *s;
    if (cpu->long_mode && !cpu_canonical(cpu, la))
        cpu_raise_gp(cpu);
    enum MmuAccess access = write ? MMU_WRITE : MMU_READ;
    if (cpu->cr0 & CR0_PG)
        walk_shadow(cpu, &w, la, access, user);
    uint64_t gpa = w.gpa & cpu->gpa_mask;
    bool once = shadow_page_once(cpu, &w, la, access, &gpa);
    *s = (ShadowPage){ .page = la & GUEST_PAGE_MASK, .epoch = once ? 0 : cpu->walk_epoch, .gpa = gpa,
                       .host = gpa == cpu->intc_page ? NULL : ram_page(cpu, gpa) };
    return *s;
}

/* ---- flushing ---- */

static void invalidate_entry(Tlb *tlb, unsigned index)
{
    uint64_t none = tlb_invalid_tag(index);
    tlb->entry[index] = (TlbEntry){ none, none, none, 0 };
    set_remove(&tlb->local, index);
    set_remove(&tlb->global, index);
    set_remove(&tlb->keyed, index);
    set_remove(&tlb->large, index);
}

/* Drops all members of a set, which is one of tlb's. */
static void flush_set(Tlb *tlb, TlbSet *set)
{
    for (; set->words; set->words &= set->words - 1) {
        unsigned k = bit_lowest(set->words);
        tlb->large.word[k] &= ~set->word[k];
        tlb->keyed.word[k] &= ~set->word[k];
        for (uint64_t word = set->word[k]; word; word &= word - 1) {
            unsigned index = k * 64 + bit_lowest(word);
            uint64_t none = tlb_invalid_tag(index);
            tlb->entry[index] = (TlbEntry){ none, none, none, 0 };
        }
        set->word[k] = 0;
    }
}

/* Blocks of user or supervisor code are to be looked up anew. */
static void begin_jump_epoch(Cpu *cpu, bool user)
{
    cpu->jump_epoch[code_kind(cpu, user)]++;
    mmu_update_jump_tag(cpu);
}

/* No page of this kind may be fetched from now without a walk, which notes it. */
static void forget_code_pages(Cpu *cpu, bool user)
{
    cpu->code_pages[code_kind(cpu, user)] = (CodePages){ .any_local = false };
}

void tlb_flush_local(Cpu *cpu)
{
    micro_tlb_drop(&cpu->micro);
    for (unsigned mode = 0; mode < TLB_MODES; mode++) {
        Tlb *tlb = &cpu->tlb[tlb_number(cpu, mode)];
        flush_set(tlb, &tlb->local);
    }
    cpu->walk_epoch++;
    begin_jump_epoch(cpu, true);
    if (!cpu->tlb[tlb_number(cpu, TLB_USER)].global.words)
        forget_code_pages(cpu, true);
    CodePages *supervisor = &cpu->code_pages[code_kind(cpu, false)];
    if (supervisor->any_local) {
        begin_jump_epoch(cpu, false);
        supervisor->any_local = false;
    }
}

static void flush_tlb(Tlb *tlb)
{
    flush_set(tlb, &tlb->local);
    flush_set(tlb, &tlb->global);
    tlb->large_span[0] = tlb->large_span[1] = (LinearSpan){ 0 };
}

void tlb_flush_all(Cpu *cpu)
{
    micro_tlb_drop(&cpu->micro);
    for (unsigned mode = 0; mode < TLB_MODES; mode++)
        flush_tlb(&cpu->tlb[tlb_number(cpu, mode)]);
    cpu->walk_epoch++;
    for (unsigned user = 0; user < 2; user++) {
        begin_jump_epoch(cpu, user);
        forget_code_pages(cpu, user);
    }
}

void tlb_flush_worlds(Cpu *cpu)
{
    micro_tlb_drop(&cpu->micro);
    cpu->tlb_keyed = false;
    for (unsigned n = 0; n < TLB_COUNT; n++)
        flush_tlb(&cpu->tlb[n]);
    cpu->walk_epoch++;
    for (unsigned kind = 0; kind < 4; kind++) {
        cpu->jump_epoch[kind]++;
        cpu->code_pages[kind] = (CodePages){ .any_local = false };
    }
    mmu_update_jump_tag(cpu);
}

/* Entries of pages with a key hold what it allowed when they were filled. */
static void flush_keyed(Cpu *cpu)
{
    micro_tlb_drop(&cpu->micro);
    for (unsigned n = 0; n < TLB_COUNT; n++) {
        Tlb *tlb = &cpu->tlb[n];
        for (; tlb->keyed.words; tlb->keyed.words &= tlb->keyed.words - 1) {
            unsigned k = bit_lowest(tlb->keyed.words);
            for (uint64_t word = tlb->keyed.word[k]; word; word &= word - 1)
                invalidate_entry(tlb, k * 64 + bit_lowest(word));
        }
    }
    cpu->tlb_keyed = false;
}

/* Pages of key 0 are everywhere, and are not noted: software leaves them alone. */
static void follow_key_rights(Cpu *cpu, uint64_t changed)
{
    if (changed & 3)
        tlb_flush_worlds(cpu);
    else if (changed && cpu->tlb_keyed)
        flush_keyed(cpu);
}

void pkru_set(Cpu *cpu, uint32_t v)
{
    uint32_t changed = cpu->pkru ^ v;
    cpu->pkru = v;
    if (cpu->cr4 & CR4_PKE)
        follow_key_rights(cpu, changed);
}

void pkrs_set(Cpu *cpu, uint32_t v)
{
    uint64_t changed = cpu->pkrs ^ v;
    cpu->pkrs = v;
    if (cpu->cr4 & CR4_PKS)
        follow_key_rights(cpu, changed);
}

/* All that is known of the large page around la, whose size may be any of those with entries. */
static void flush_large(Tlb *tlb, uint64_t la)
{
    for (uint64_t words = tlb->large.words; words; words &= words - 1) {
        unsigned k = bit_lowest(words);
        for (uint64_t word = tlb->large.word[k]; word; word &= word - 1) {
            unsigned index = k * 64 + bit_lowest(word), bits = tlb->page_bits[index];
            const TlbEntry *e = &tlb->entry[index];
            if (!((e->read ^ la) >> bits) || !((e->write ^ la) >> bits) || !((e->exec ^ la) >> bits))
                invalidate_entry(tlb, index);
        }
    }
}

static bool is_code_page(Cpu *cpu, uint64_t la, bool user)
{
    CodePages *c = &cpu->code_pages[code_kind(cpu, user)];
    uint64_t bit, *word = code_filter_word(c, la, &bit);
    return (*word & bit) || span_has(&c->large, la);
}

void tlb_flush_page(Cpu *cpu, uint64_t la)
{
    micro_tlb_drop(&cpu->micro);
    for (unsigned mode = 0; mode < TLB_MODES; mode++) {
        Tlb *tlb = &cpu->tlb[tlb_number(cpu, mode)];
        invalidate_entry(tlb, tlb_index(la));
        if (span_has(&tlb->large_span[la >> 63], la))
            flush_large(tlb, la);
    }
    cpu->walk_epoch++;
    for (unsigned user = 0; user < 2; user++)
        if (is_code_page(cpu, la, user))
            begin_jump_epoch(cpu, user);
}

static void protect_set(Tlb *tlb, const TlbSet *set, uint64_t gpa)
{
    for (uint64_t words = set->words; words; words &= words - 1) {
        unsigned k = bit_lowest(words);
        for (uint64_t word = set->word[k]; word; word &= word - 1) {
            unsigned index = k * 64 + bit_lowest(word);
            TlbEntry *e = &tlb->entry[index];
            if (tlb->gpa[index] == gpa && tlb_index(e->write) == index)
                e->write ^= TLB_SLOW;
        }
    }
}

void tlb_protect_gpa(Cpu *cpu, uint64_t gpa)
{
    micro_tlb_drop(&cpu->micro);
    for (unsigned n = 0; n < TLB_COUNT; n++) {
        protect_set(&cpu->tlb[n], &cpu->tlb[n].local, gpa);
        protect_set(&cpu->tlb[n], &cpu->tlb[n].global, gpa);
    }
}
