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

static inline unsigned tlb_index(uint64_t la) { return la >> GUEST_PAGE_BITS & (TLB_SIZE - 1); }

#endif
