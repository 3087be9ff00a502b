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

#define TLB_BITS 12
#define TLB_SIZE (1u << TLB_BITS)
#define TLB_SLOW (UINT64_C(1) << GUEST_PAGE_BITS)

/* One TLB for each way an access is checked. */
enum {
    TLB_KERNEL,      /* supervisor; user pages allowed (SMAP off or EFLAGS.AC, or an implicit access under no SMAP) */
    TLB_KERNEL_SMAP, /* supervisor; user pages fault */
    TLB_USER,        /* CPL 3 */
    TLB_USER_ALIGN,  /* CPL 3 with alignment checks on: every access is slow */
    TLB_MODES,
    TLB_COUNT = TLB_MODES * 2, /* a hypervisor and its guest have their own: tlb_number() */
};

typedef struct TlbEntry {
    uint64_t read, write, exec; /* tags: see above */
    uintptr_t host;             /* address of the page in this process; 0: none */
} TlbEntry;

/* A set of entries, with a summary so that emptying it takes as long as there are members: words that may not be 0. */
typedef struct TlbSet {
    uint64_t words, word[TLB_SIZE / 64];
} TlbSet;

/* The addresses from `low` to `last` (0: none) between which all of something lies. */
typedef struct LinearSpan {
    uint64_t low, last;
} LinearSpan;

typedef struct Tlb {
    TlbEntry entry[TLB_SIZE];
    uint64_t gpa[TLB_SIZE];       /* guest-physical page of each entry */
    uint8_t page_bits[TLB_SIZE];  /* of the page that each entry is a part of */
    TlbSet local, global;         /* filled entries, by whether their page is global */
    TlbSet keyed;                 /* filled entries whose page has a protection key that matters */
    TlbSet large;                 /* filled entries of large pages: INVLPG inside drops all of a page's */
    LinearSpan large_span[2];     /* of these pages, in the lower and the upper half of the linear addresses */
} Tlb;

/*
 * The pages of descriptor tables and the TSS that were read last for the delivery of interrupts, by their low bits, so
 * that a page with the same index in the TLB does not slow every interrupt down: valid in the epoch of walks.
 */
#define SYSTEM_PAGES 8
typedef struct SystemPage {
    uint64_t page, epoch;
    const uint8_t *host;
} SystemPage;

/*
 * The pages of shadow stacks that were met last, by their low bits; valid in the epoch of walks (0: never again).
 */
#define SHADOW_PAGES 4
typedef struct ShadowPage {
    uint64_t page, epoch, gpa;
    uint8_t *host;                /* NULL: not plain RAM */
} ShadowPage;

/*
 * Where the last level of the page tables was found for a region of 2 MiB, as the processor's paging-structure caches
 * remember it (SDM vol. 3A 4.10.3): valid in the epoch that it was filled in.
 */
#define WALK_CACHE_SIZE 64
typedef struct WalkCacheEntry {
    uint64_t region, epoch;
    uint64_t table;               /* guest-physical */
    uint64_t all, any;            /* bits that all, and that any, of the entries above have */
} WalkCacheEntry;

/*
 * The pages that instructions were fetched from since blocks were last forgotten by their linear addresses: by a hash
 * for the small ones.  Kept for user and for supervisor code.
 */
#define CODE_FILTER_SIZE 4096
typedef struct CodePages {
    uint64_t filter[CODE_FILTER_SIZE / 64];
    LinearSpan large;
    bool any_local;               /* one of them was not global */
} CodePages;

/* The tag of what entry `index` does not allow. */
static inline uint64_t tlb_invalid_tag(unsigned index) { return (uint64_t)(index ^ 2) << GUEST_PAGE_BITS; }

static inline bool tlb_hits(uint64_t tag, uint64_t la, unsigned size) { return la - tag <= GUEST_PAGE_SIZE - size; }

/*
 * The micro TLB: what recompiled code looks at first.  Each of its accesses has a slot, chosen when it is translated, with
 * the page that it met last; so the look-up does not depend on the address.  Slots are filled from the TLB (by recompiled
 * code only) and dropped with any change to it.  An empty slot is tagged with `nowhere`, a random address whose
 * two top bits differ (which no canonical one has), and refers to a scratch page: no access is meant to reach it, nor can a guest find it.
 * Slots of different TLB modes, and of reads and writes, are different ones.
 */
#define MICRO_BITS 14
#define MICRO_SIZE (1u << MICRO_BITS)

typedef struct MicroEntry {
    uint64_t tag;
    uintptr_t host;
} MicroEntry;

typedef struct MicroTlb {
    MicroEntry slot[MICRO_SIZE];
    uint64_t nowhere;
    uint32_t used_count;       /* slots that are filled, in used[] as offsets in bytes */
    uint32_t used[MICRO_SIZE];
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
