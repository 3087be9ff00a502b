/*
 * The soft TLB: linear page to host page.  Interpreter and recompiled code read the same layout.
 *
 * An entry serves an access of `size` bytes at `la` when (la + size - 1) with its low 12 bits cleared equals the tag
 * for that kind of access: one compare for page, permission and page crossing.  A tag whose low bits are not 0
 * never matches, so pages that need more than a host load or store (devices, read-only, holding code, clean, watched,
 * alignment-checked) carry a TLB_SLOW bit there and reach the slow path by the same compare.
 */
#ifndef MYNA_CPU_TLB_H
#define MYNA_CPU_TLB_H

#include <stdint.h>

#define GUEST_PAGE_BITS 12
#define GUEST_PAGE_SIZE (UINT64_C(1) << GUEST_PAGE_BITS)
#define GUEST_PAGE_MASK (~(GUEST_PAGE_SIZE - 1))

#define TLB_BITS 10
#define TLB_SIZE (1u << TLB_BITS)
#define TLB_INVALID (~UINT64_C(0))
#define TLB_SLOW UINT64_C(1)

/* One TLB for each way an access is checked. */
enum {
    TLB_KERNEL,      /* supervisor; user pages allowed (SMAP off or EFLAGS.AC, or an implicit access under no SMAP) */
    TLB_KERNEL_SMAP, /* supervisor; user pages fault */
    TLB_USER,        /* CPL 3 */
    TLB_USER_ALIGN,  /* CPL 3 with alignment checks on: every access is slow */
    TLB_MODES,
};

typedef struct TlbEntry {
    uint64_t read, write, exec; /* page address of what is allowed, or TLB_INVALID, or the page with TLB_SLOW */
    uintptr_t addend;           /* host address = linear address + addend */
} TlbEntry;

typedef struct Tlb {
    TlbEntry entry[TLB_SIZE];
    uint64_t gpa[TLB_SIZE];      /* guest-physical page of each entry */
    uint64_t local[TLB_SIZE / 64];  /* bit n: entry n is filled and not global */
    uint64_t global[TLB_SIZE / 64]; /* bit n: entry n is filled from a global page */
    uint64_t large_base, large_mask; /* span of the large pages with entries here: INVLPG inside drops all */
} Tlb;

static inline unsigned tlb_index(uint64_t la) { return la >> GUEST_PAGE_BITS & (TLB_SIZE - 1); }

#endif
