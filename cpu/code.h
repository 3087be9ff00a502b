/*
 * The cache of decoded code: blocks of instructions, kept by physical page and found again by address.
 *
 * Overview.  A block is a run of decoded instructions within one physical page, up to the first that may change the
 * flow of control or the mode.  It is found in three steps, each slower than the last: the jump cache (by linear
 * address, valid until the TLB is flushed), the hash table (by place in RAM and decode key), and decoding.
 * A page with blocks carries PAGE_CODE, so that every write to it reaches code_written(), which drops the blocks that
 * overlap the written bytes; 32 bits a page, one for each 128 bytes, tell quickly that none does.
 * Blocks live in an arena that is emptied as a whole when it is full: a block's memory is never reused before, so a
 * dropped block may safely still be referred to; its key is BLOCK_DEAD.
 */
#ifndef MYNA_CPU_CODE_H
#define MYNA_CPU_CODE_H

#include "cpu/state.h"

#define BLOCK_MAX_INSNS 32
#define BLOCK_DEAD 0xffff

typedef struct Block {
    uint64_t pool_offset;     /* place in RAM of the first byte */
    struct Block *hash_next, *page_next;
    uint16_t key;             /* KEY_*, or BLOCK_DEAD */
    uint16_t bytes, count;    /* length in bytes and instructions */
    Insn insn[];
} Block;

#define JUMP_CACHE_SIZE 2048

typedef struct JumpEntry {
    uint64_t la, generation;
    Block *block;
} JumpEntry;

struct CodeCache {
    Cpu *cpu;
    JumpEntry jump[JUMP_CACHE_SIZE];
    Block **hash;
    struct CodePage **pages;  /* by pool page */
    uint64_t page_count;
    uint8_t *arena;
    size_t arena_used;
    Block *lone;              /* room for an instruction that crosses a page, or lies outside RAM; not cached */
    Block *current;           /* being executed */
    GMutex queue_lock;        /* for the queue: writes by other threads, served at EVENT_CODE */
    GArray *queue;            /* of struct CodeWrite */
};

CodeCache *code_cache_new(Cpu *cpu);
void code_cache_free(CodeCache *c);

/* Drops everything. */
void code_flush(CodeCache *c);

/* Drops what other threads' writes made stale (EVENT_CODE). */
void code_drain_queue(CodeCache *c);

/*
 * The block at linear address la (the CPU's CS base + RIP); decodes it when it is not there.  May raise #PF or #GP.
 */
Block *code_find(Cpu *cpu, uint64_t la);

static inline Block *code_lookup(Cpu *cpu, uint64_t la)
{
    const JumpEntry *e = &cpu->code->jump[(la ^ la >> 11) & (JUMP_CACHE_SIZE - 1)];
    if (likely(e->la == la && e->generation == cpu->tlb_generation && e->block->key == cpu->key))
        return e->block;
    return code_find(cpu, la);
}

#endif
