/*
 * The soft TLB: linear page to host page.  Interpreter and recompiled code read the same layout.
 *
 * An entry serves an access of `size` bytes at `la` when la - tag, as an unsigned number, is at most the page size less
 * `size`: one compare for page, permission and page crossing, and the difference is the offset in the page.  A tag is
 * the page's address, or one of another index, which no address that is looked up here can match: pages that need more
 * than a host load or store (devices, read-only, holding code, clean, watched, alignment-checked) are so tagged with
 * TLB_SLOW flipped, and what is not allowed with tlb_invalid_tag().
 */
#ifndef MYNA_CPU_TLB_H
#define MYNA_CPU_TLB_H

#include <stdbool.h>
#include <stdint.h>

#define GUEST_PAGE_BITS 12
#define GUEST_PAGE_SIZE (UINT64_C(1) << GUEST_PAGE_BITS)
#define GUEST_PAGE_MASK (~(GUEST_PAGE_SIZE - 1))

#define TLB_BITS 10
#define TLB_SIZE (1u << TLB_BITS)
#define TLB_SLOW (UINT64_C(1) << GUEST_PAGE_BITS)

/* One TLB for each way an access is checked. */
enum {
    TLB_KERNEL,      /* supervisor; user pages allowed (SMAP off or EFLAGS.AC, or an implicit access under no SMAP) */
    TLB_KERNEL_SMAP, /* supervisor; user pages fault */
    TLB_USER,        /* CPL 3 */
    TLB_USER_ALIGN,  /* CPL 3 with alignment checks on: every access is slow */
    TLB_MODES,
};

typedef struct TlbEntry {
    uint64_t read, write, exec; /* tags: see above */
    uintptr_t host;             /* address of the page in this process; 0: none */
} TlbEntry;

typedef struct Tlb {
    TlbEntry entry[TLB_SIZE];
    uint64_t gpa[TLB_SIZE];      /* guest-physical page of each entry */
    uint64_t local[TLB_SIZE / 64];  /* bit n: entry n is filled and not global */
    uint64_t global[TLB_SIZE / 64]; /* bit n: entry n is filled from a global page */
    uint64_t large_base, large_mask; /* span of the large pages with entries here: INVLPG inside drops all */
} Tlb;

/* The tag of what entry `index` does not allow. */
static inline uint64_t tlb_invalid_tag(unsigned index) { return (uint64_t)(index ^ 2) << GUEST_PAGE_BITS; }

static inline bool tlb_hits(uint64_t tag, uint64_t la, unsigned size) { return la - tag <= GUEST_PAGE_SIZE - size; }

/*
 * The micro TLB: what recompiled code looks at first.  Each of its accesses has a slot, chosen when it is translated, with
 * the page that it met last; so the look-up does not depend on the address.  Slots are filled from the TLB (by recompiled
 * code only) and dropped with any change to it.  An empty slot is tagged with a page of `micro_nowhere`, a random
 * non-canonical address, and refers to a scratch page: no access is meant to reach it, nor can a guest find it.
 * Slots of different TLB modes, and of reads and writes, are different ones.
 */
#define MICRO_BITS 12
#define MICRO_SIZE (1u << MICRO_BITS)

typedef struct MicroEntry {
    uint64_t tag;
    uintptr_t host;
} MicroEntry;

typedef struct MicroTlb {
    MicroEntry slot[MICRO_SIZE];
    uint64_t nowhere;
    uint32_t used_count;       /* slots that are filled, in used[] as offsets in bytes */
    uint16_t used[MICRO_SIZE];
    uint8_t scratch[GUEST_PAGE_SIZE + 64];
} MicroTlb;

static inline void micro_tlb_drop(MicroTlb *m)
{
    for (uint32_t k = 0; k < m->used_count; k++)
        m->slot[m->used[k] / sizeof(MicroEntry)] = (MicroEntry){ m->nowhere, (uintptr_t)m->scratch };
    m->used_count = 0;
}

static inline unsigned tlb_index(uint64_t la) { return la >> GUEST_PAGE_BITS & (TLB_SIZE - 1); }

#endif
