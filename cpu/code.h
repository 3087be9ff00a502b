/*
 * The cache of decoded code: blocks of instructions, kept by physical page and found again by address.
 *
 * Overview.  A block is a run of decoded instructions within one physical page, up to the first that may change the
 * flow of control or the mode.  It is found in three steps, each slower than the last: the jump cache (by linear
 * address, valid until the TLB is flushed), the hash table (by place in RAM and decode key), and decoding.
 * A page with blocks carries PAGE_CODE, so that every write to it reaches code_written(), which drops the blocks that
 * overlap the written bytes; 32 bits a page, one for each 128 bytes, tell quickly that none does.  Until other CPUs have
 * noticed that the page is code (group.h), its blocks are compared with memory before each run, stay out of the jump
 * cache, and are not recompiled.
 * Where a debugger wants to stop, an instruction without bytes stands before the one at that address, a mark (stops.h).
 * Marks are set where a page is found by its linear address, and belong to the physical page.
 * Blocks live in an arena that is emptied as a whole when it is full: a block's memory is never reused before, so a
 * dropped block may safely still be referred to; its key is BLOCK_DEAD.
 */
#ifndef MYNA_CPU_CODE_H
#define MYNA_CPU_CODE_H

#include "cpu/state.h"

#define BLOCK_MAX_INSNS 32
#define BLOCK_DEAD 0xffff

/*
 * A unit is what a recompiler translates: a longer run that begins where a block does and goes on past conditional
 * jumps that are not taken.  It is a Block too, but stands in no hash table: its block refers to it.
 */
typedef struct Block {
    uint64_t pool_offset;     /* place in RAM of the first byte */
    struct Block *hash_next, *page_next;
    struct Block *peer;       /* a block's unit, or NULL; a unit's block; what a tail is the tail of */
    struct Block *tail;       /* of an instruction over a page boundary: stands for its bytes in the second page */
    const uint8_t *host;      /* a block's recompiled code, or NULL */
    void *recompiled;         /* a unit's: what the recompiler keeps of it */
    const uint8_t *copy;      /* its bytes, while others' writes to the page may go unheard; else NULL */
    uint32_t heat;            /* how often the interpreter ran it */
    uint16_t key;             /* KEY_*, or BLOCK_DEAD */
    uint16_t bytes, count;    /* length in bytes and instructions */
    bool is_unit, is_tail;
    Insn insn[];
} Block;

/*
 * A recompiler.  All functions are called by the CPU's own thread.  It publishes its work by setting block->host.
 */
typedef struct CodeEngine {
    void (*hot)(Cpu *cpu, Block *b);    /* b ran `hot_after` times in the interpreter */
    void (*run)(Cpu *cpu, Block *b);    /* executes from b on (cpu->rip is there), until something is not recompiled */
    void (*unwound)(Cpu *cpu);          /* an exception left run(): brings cc_* and MXCSR up to date */
    void (*drop)(Cpu *cpu, Block *unit); /* the unit's bytes change */
    void (*flush)(Cpu *cpu);            /* all blocks and units are gone */
    void (*release)(Cpu *cpu);          /* the CPU goes away */
} CodeEngine;

enum { CODE_MARKED_PAGES = 128 };

struct CodeCache {
    Cpu *cpu;
    const CodeEngine *engine; /* NULL: interpreter alone */
    void *engine_data;
    const uint8_t *no_host;   /* JumpEntry.host of what is not recompiled */
    uint32_t hot_after;
    Block **hash;
    struct CodePage **pages;  /* by pool page */
    uint64_t page_count;
    _Atomic uint32_t *watch;  /* by pool page: the granules whose writing by other threads matters */
    GArray *unheard;          /* of uint64_t: pages whose writing may go unheard, some of them perhaps no more */
    uint8_t *arena;
    size_t arena_used;
    Block *lone;              /* room for an instruction that crosses a page, or lies outside RAM; not cached */
    Block *current;           /* being executed */
    GMutex queue_lock;        /* for the queue: writes by other threads, served at EVENT_CODE */
    GArray *queue;            /* of struct CodeWrite */
    bool queue_full;          /* more than it holds: drop everything */
    GHashTable *marks;        /* by pool page: the offsets that have a debugger's mark (stops.h); NULL: none */
    struct MarkedPage {
        uint64_t la, gpa, page; /* la: with bit 0 set; page: of the pool */
    } marked[CODE_MARKED_PAGES]; /* pages that have their marks by now, by bits of their linear addresses */
};

CodeCache *code_cache_new(Cpu *cpu);
void code_cache_free(CodeCache *c);

/* Drops everything. */
void code_flush(CodeCache *c);

/* A debugger's points have changed: blocks with marks are dropped, and every page is looked at again.  No CPU runs. */
void code_forget_marks(CodeCache *c);

/* EVENT_CODE: drops what other threads' writes made stale, and looks which pages' writing is heard of now. */
void code_serve(CodeCache *c);

/*
 * The block at linear address la (the CPU's CS base + RIP); decodes it when it is not there.  May raise #PF or #GP.
 */
Block *code_find(Cpu *cpu, uint64_t la);

/* The same, or NULL where nothing can be kept: fetching from a device, which is done only to execute. */
Block *code_find_kept(Cpu *cpu, uint64_t la);

/*
 * The unit that begins with block b, decoded and entered so that writes to its bytes drop it; at most `max`
 * instructions.  NULL when the whole cache had to be flushed, b included, or when writes to the page might go unheard:
 * then b becomes hot again later.
 */
Block *code_make_unit(Cpu *cpu, Block *b, unsigned max);

/* A multiplication mixes the bits; recompiled code computes the same. */
#define JUMP_HASH_FACTOR 0x9e3779b1u

static inline JumpEntry *jump_entry(Cpu *cpu, uint64_t la)
{
    return &cpu->jump[(uint32_t)la * JUMP_HASH_FACTOR >> (32 - JUMP_CACHE_BITS)];
}

static inline Block *code_remembered(Cpu *cpu, uint64_t la)
{
    const JumpEntry *e = jump_entry(cpu, la);
    return likely(e->la == la && e->tag == cpu->jump_tag && e->block->key != BLOCK_DEAD) ? e->block : NULL;
}

static inline Block *code_lookup(Cpu *cpu, uint64_t la)
{
    Block *b = code_remembered(cpu, la);
    return likely(b) ? b : code_find(cpu, la);
}

static inline Block *code_lookup_kept(Cpu *cpu, uint64_t la)
{
    Block *b = code_remembered(cpu, la);
    return likely(b) ? b : code_find_kept(cpu, la);
}

#endif
