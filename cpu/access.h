/*
 * Memory as an instruction sees it: segment and offset, through the soft TLB.
 *
 * Every function may raise #GP, #SS, #PF or #AC and then does not return.  An access that crosses a page is checked on
 * both pages before any byte moves.  `seg` is SEG_*; `ea` the offset, already cut to the address size.
 */
#ifndef MYNA_CPU_ACCESS_H
#define MYNA_CPU_ACCESS_H

#include "cpu/fault.h"
#include "cpu/state.h"
#include "util/guest_atomic.h"

/* Where hundreds of functions of one file use these, compilers would call them; the fast path must be in line. */
#define ACCESS_INLINE static inline __attribute__((always_inline))

/* Effective address of i's memory operand, cut to its address size. */
ACCESS_INLINE uint64_t insn_ea(const Cpu *cpu, const Insn *i)
{
    static const uint64_t mask[3] = { 0xffff, 0xffffffff, ~UINT64_C(0) };
    return (cpu->gpr[i->base] + (cpu->gpr[i->index] << i->scale) + (int64_t)i->disp) & mask[i->asz];
}
/* The same plus a displacement of `offset` bytes, wrapped likewise (second parts of operands). */
static inline uint64_t insn_ea_at(const Cpu *cpu, const Insn *i, uint64_t offset)
{
    static const uint64_t mask[3] = { 0xffff, 0xffffffff, ~UINT64_C(0) };
    return (insn_ea(cpu, i) + offset) & mask[i->asz];
}

/* Host address of size bytes at a linear address when the TLB allows it at once, else NULL. */
static inline uint8_t *tlb_read_hit(const Cpu *cpu, uint64_t la, unsigned size)
{
    const TlbEntry *e = &cpu->tlb_data[tlb_index(la)];
    return likely(tlb_hits(e->read, la, size)) ? (uint8_t *)(e->host + (uintptr_t)(la - e->read)) : NULL;
}
static inline uint8_t *tlb_write_hit(const Cpu *cpu, uint64_t la, unsigned size)
{
    const TlbEntry *e = &cpu->tlb_data[tlb_index(la)];
    return likely(tlb_hits(e->write, la, size)) ? (uint8_t *)(e->host + (uintptr_t)(la - e->write)) : NULL;
}

/* Loads and stores of guest memory by its host address, in x86's order. */
ACCESS_INLINE uint64_t guest_load(const Cpu *cpu, const uint8_t *p, unsigned size)
{
    uint64_t v = ldle(p, size);
    guest_load_fence(cpu->parallel);
    return v;
}
ACCESS_INLINE void guest_store(const Cpu *cpu, uint8_t *p, uint64_t v, unsigned size)
{
    guest_store_fence(cpu->parallel);
    stle(p, v, size);
}

/* The complete forms, for any segment, size (1, 2, 4 or 8) and page (access.c). */
uint64_t mem_read_slow(Cpu *cpu, unsigned seg, uint64_t ea, unsigned size);
void mem_write_slow(Cpu *cpu, unsigned seg, uint64_t ea, uint64_t v, unsigned size);

/*
 * A read-modify-write in progress: mem_rmw_* checks for writing and reads; mem_commit_* writes and cannot fault.
 * Nothing else may access memory in between.
 */
typedef struct MemRef {
    uint8_t *host;    /* the bytes, when plain RAM within a page */
    uint8_t *ram;     /* else: the same for RAM whose writing has to be noted, or NULL */
    uint64_t gpa[2];  /* else: guest-physical addresses of the first byte, and of the second page */
    uint64_t la;
    uint8_t first;    /* bytes on the first page */
} MemRef;
uint64_t mem_rmw_slow(Cpu *cpu, unsigned seg, uint64_t ea, unsigned size, MemRef *ref);
void mem_commit_slow(Cpu *cpu, const MemRef *ref, uint64_t v, unsigned size);
/* The same after the bytes at ref->ram were written by other means. */
void mem_commit_noted(Cpu *cpu, const MemRef *ref, unsigned size);
/* The value of a read-modify-write that is not RAM within a page, read again. */
uint64_t mem_rmw_again(Cpu *cpu, const MemRef *ref, unsigned size);

#define MEM_ACCESS(bits)                                                                                               \
    ACCESS_INLINE uint##bits##_t mem_read##bits(Cpu *cpu, unsigned seg, uint64_t ea)                                   \
    {                                                                                                                  \
        if (likely(cpu->flat >> seg & 1)) {                                                                            \
            const uint8_t *p = tlb_read_hit(cpu, ea, bits / 8);                                                        \
            if (likely(p != NULL))                                                                                     \
                return guest_load(cpu, p, bits / 8);                                                                   \
        }                                                                                                              \
        return mem_read_slow(cpu, seg, ea, bits / 8);                                                                  \
    }                                                                                                                  \
    ACCESS_INLINE void mem_write##bits(Cpu *cpu, unsigned seg, uint64_t ea, uint##bits##_t v)                          \
    {                                                                                                                  \
        if (likely(cpu->flat >> seg & 1)) {                                                                            \
            uint8_t *p = tlb_write_hit(cpu, ea, bits / 8);                                                             \
            if (likely(p != NULL)) {                                                                                   \
                guest_store(cpu, p, v, bits / 8);                                                                      \
                return;                                                                                                \
            }                                                                                                          \
        }                                                                                                              \
        mem_write_slow(cpu, seg, ea, v, bits / 8);                                                                     \
    }                                                                                                                  \
    ACCESS_INLINE uint##bits##_t mem_rmw##bits(Cpu *cpu, unsigned seg, uint64_t ea, MemRef *ref)                       \
    {                                                                                                                  \
        if (likely(cpu->flat >> seg & 1)) {                                                                            \
            ref->host = tlb_write_hit(cpu, ea, bits / 8);                                                              \
            if (likely(ref->host != NULL))                                                                             \
                return guest_load(cpu, ref->host, bits / 8);                                                           \
        }                                                                                                              \
        return mem_rmw_slow(cpu, seg, ea, bits / 8, ref);                                                              \
    }                                                                                                                  \
    ACCESS_INLINE void mem_commit##bits(Cpu *cpu, const MemRef *ref, uint##bits##_t v)                                 \
    {                                                                                                                  \
        if (likely(ref->host != NULL))                                                                                 \
            guest_store(cpu, ref->host, v, bits / 8);                                                                  \
        else                                                                                                           \
            mem_commit_slow(cpu, ref, v, bits / 8);                                                                    \
    }

MEM_ACCESS(8)
MEM_ACCESS(16)
MEM_ACCESS(32)
MEM_ACCESS(64)
#undef MEM_ACCESS

/*
 * size bytes (16, 32 or 64; also 10 and other odd sizes up to 512) between guest memory and a buffer of quadwords in
 * host order (a Vec): lane 0 is the lowest address.  With `align` not 0 an address that is not a multiple of it
 * raises #GP(0) (before any #PF).  A write checks all pages first.
 */
void mem_read_vec(Cpu *cpu, unsigned seg, uint64_t ea, uint64_t *q, unsigned size, unsigned align);
void mem_write_vec(Cpu *cpu, unsigned seg, uint64_t ea, const uint64_t *q, unsigned size, unsigned align);

/*
 * Raw bytes in memory order, at most 4096 (FXSAVE areas, 80-bit values); all pages checked before any byte moves.
 */
void mem_read_bytes(Cpu *cpu, unsigned seg, uint64_t ea, void *buf, unsigned size);
void mem_write_bytes(Cpu *cpu, unsigned seg, uint64_t ea, const void *buf, unsigned size);

/* Checks that size bytes (any number up to 4096) could be written, raising what the write would. */
void mem_probe_write(Cpu *cpu, unsigned seg, uint64_t ea, unsigned size);

/*
 * Linear accesses at supervisor privilege, whatever CPL: descriptor tables, TSS, interrupt stacks' descriptors
 * (implicit supervisor-mode accesses, SDM vol. 3A 4.6.1).  size 1, 2, 4 or 8.
 */
uint64_t linear_read_system(Cpu *cpu, uint64_t la, unsigned size);
void linear_write_system(Cpu *cpu, uint64_t la, uint64_t v, unsigned size);

/* A read or a write with the privilege of CPL `cpl` (stacks of another level). */
uint64_t linear_read_cpl(Cpu *cpu, uint64_t la, unsigned size, unsigned cpl);
void linear_write_cpl(Cpu *cpu, uint64_t la, uint64_t v, unsigned size, unsigned cpl);

/*
 * The linear address of seg:ea after all segment checks (limit, type, canonical) for an access of size bytes; raises
 * #GP or #SS (error 0).
 */
uint64_t segment_linear(Cpu *cpu, unsigned seg, uint64_t ea, unsigned size, bool write);

/*
 * For string instructions: host address of the bytes at seg:ea, and in *count how many bytes from there on (forward)
 * are plain RAM within the page and the segment limit, for reading or writing.  NULL when the slow way must be gone.
 */
uint8_t *mem_host_span(Cpu *cpu, unsigned seg, uint64_t ea, bool write, unsigned *count);

#endif
