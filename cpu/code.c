/* The cache of decoded code (code.h). */
#include "cpu/code.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "core/log.h"
#include "core/machine.h"
#include "cpu/cpu.h"
#include "cpu/fault.h"
#include "cpu/group.h"
#include "cpu/mmu.h"
#include "cpu/stops.h"
#include "cpu/trace.h"

#define HASH_BITS 17
#define HASH_SIZE (1u << HASH_BITS)
#define ARENA_SIZE (64 * MiB)
#define GRANULE_BITS 7
#define ALL_GRANULES UINT32_MAX
#define QUEUE_MAX 512
#define INSN_MAX_BYTES 15

/* What is known of a page that holds code. */
typedef struct CodePage {
    uint32_t granules; /* bit n: a block has bytes in [128n, 128n+128) */
    Block *blocks;
    unsigned idle;     /* writes since it had no blocks */
    uint64_t unheard;  /* until others have served this place of the group's log their writes may go unheard; 0: no more */
} CodePage;

typedef struct CodeWrite {
    uint64_t offset, size;
} CodeWrite;

static unsigned hash_of(uint64_t pool_offset, unsigned key)
{
    return (pool_offset ^ (uint64_t)key << 40) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - HASH_BITS);
}

static uint32_t granule_mask(uint64_t page_offset, uint64_t size)
{
    unsigned first = page_offset >> GRANULE_BITS, last = (page_offset + size - 1) >> GRANULE_BITS;
    return bit_mask(last + 1) & ~bit_mask(first);
}

static void unlink_hash(CodeCache *c, Block *b)
{
    Block **p = &c->hash[hash_of(b->pool_offset, b->key)];
    while (*p && *p != b)
        p = &(*p)->hash_next;
    if (*p)
        *p = b->hash_next;
}

static void kill_unit(CodeCache *c, Block *unit)
{
    unit->peer->host = NULL;
    unit->peer->peer = NULL;
    unit->peer->heat = 0;
    unit->key = BLOCK_DEAD;
    c->engine->drop(c->cpu, unit);
    c->cpu->insn_end = NULL; /* it may be this one that executes */
}

static void kill_block(CodeCache *c, Block *b)
{
    if (b->is_tail)
        b = b->peer; /* which stays in its own page's list, dead */
    if (b->key == BLOCK_DEAD)
        return;
    if (b->is_unit) {
        kill_unit(c, b);
        return;
    }
    unlink_hash(c, b);
    b->key = BLOCK_DEAD;
    if (c->current == b)
        c->cpu->insn_end = NULL;
}

/*
 * Other threads see here whether a write concerns this cache.  All of the page does while something of it is being
 * decoded, while writes may go unheard, and when it has no blocks left (the next write ends its being code).
 */
static void publish_watch(CodeCache *c, uint64_t page)
{
    const CodePage *cp = c->pages[page];
    uint32_t watch = !cp ? 0 : cp->unheard || !cp->blocks ? ALL_GRANULES : cp->granules;
    atomic_store_explicit(&c->watch[page], watch, memory_order_release);
}

static void clear_page(CodeCache *c, uint64_t page)
{
    g_free(c->pages[page]);
    c->pages[page] = NULL;
    publish_watch(c, page);
    group_remove_code_page(c->cpu, page);
}

/*
 * A page without blocks stays a code page for some writes: where code is written again and again, its being marked anew
 * each time would cost far more than the writes' slow way.
 */
#define IDLE_WRITES_MAX 32

/* Drops the page's blocks that overlap bytes [start, start+size) of it, and at last the page when none is left. */
static void invalidate_in_page(CodeCache *c, uint64_t page, uint64_t start, uint64_t size)
{
    CodePage *cp = c->pages[page];
    if (!cp || (cp->blocks && !(cp->granules & granule_mask(start, size))))
        return;
    uint32_t granules = 0;
    for (Block **p = &cp->blocks; *p;) {
        Block *b = *p;
        uint64_t at = b->pool_offset & (RAM_PAGE_SIZE - 1);
        if (at < start + size && start < at + b->bytes) {
            *p = b->page_next;
            kill_block(c, b);
        } else {
            granules |= granule_mask(at, b->bytes);
            p = &b->page_next;
        }
    }
    cp->granules = granules;
    if (cp->blocks || ++cp->idle < IDLE_WRITES_MAX)
        publish_watch(c, page);
    else
        clear_page(c, page);
}

static void invalidate(CodeCache *c, uint64_t offset, uint64_t size)
{
    while (size) {
        uint64_t start = offset & (RAM_PAGE_SIZE - 1), n = MIN(size, RAM_PAGE_SIZE - start);
        invalidate_in_page(c, offset >> RAM_PAGE_BITS, start, n);
        offset += n;
        size -= n;
    }
}

/* Adds a write to the queue, or widens the last one when it is to the same page. */
static void queue_write(CodeCache *c, uint64_t offset, uint64_t size)
{
    CodeWrite w = { offset, size };
    g_mutex_lock(&c->queue_lock);
    CodeWrite *last = c->queue->len ? &g_array_index(c->queue, CodeWrite, c->queue->len - 1) : NULL;
    if (last && last->offset >> RAM_PAGE_BITS == offset >> RAM_PAGE_BITS) {
        uint64_t end = MAX(last->offset + last->size, offset + size);
        last->offset = MIN(last->offset, offset);
        last->size = end - last->offset;
    } else if (c->queue->len < QUEUE_MAX) {
        g_array_append_val(c->queue, w);
    } else {
        c->queue_full = true;
    }
    g_mutex_unlock(&c->queue_lock);
}

/* A write within one page: by the CPU's own thread at once, by others by way of the queue. */
static void code_written(void *opaque, uint64_t offset, uint64_t size)
{
    CodeCache *c = opaque;
    uint64_t start = offset & (RAM_PAGE_SIZE - 1);
    if (atomic_load_explicit(&c->cpu->thread, memory_order_relaxed) == g_thread_self()) {
        invalidate_in_page(c, offset >> RAM_PAGE_BITS, start, size);
    } else if (atomic_load(&c->watch[offset >> RAM_PAGE_BITS]) & granule_mask(start, size)) {
        queue_write(c, offset, size);
        cpu_post_lazily(c->cpu, EVENT_CODE);
    }
}

static void drain_queue(CodeCache *c)
{
    g_mutex_lock(&c->queue_lock);
    if (c->queue_full)
        code_flush(c);
    for (unsigned k = 0; k < c->queue->len; k++) {
        const CodeWrite *w = &g_array_index(c->queue, CodeWrite, k);
        invalidate(c, w->offset, w->size);
    }
    g_array_set_size(c->queue, 0);
    c->queue_full = false;
    g_mutex_unlock(&c->queue_lock);
}

static const uint8_t *block_bytes(const CodeCache *c, uint64_t pool_offset)
{
    return c->cpu->machine->pool->host + pool_offset;
}

/* Whether a block's copy, if it has one, is what memory holds. */
static bool block_holds(const CodeCache *c, const Block *b)
{
    return !b->copy || !memcmp(b->copy, block_bytes(c, b->pool_offset), b->bytes);
}

/* From now on every write to the page is heard of: blocks that hold now go on to. */
static void settle_page(CodeCache *c, uint64_t page)
{
    CodePage *cp = c->pages[page];
    cp->unheard = 0;
    for (Block *b = cp->blocks, *next; b; b = next) {
        next = b->page_next;
        if (!block_holds(c, b))
            invalidate_in_page(c, page, b->pool_offset & (RAM_PAGE_SIZE - 1), b->bytes);
        else
            b->copy = NULL;
        if (!c->pages[page])
            return;
    }
    publish_watch(c, page);
}

static void settle_pages(CodeCache *c)
{
    uint64_t awaited = 0;
    unsigned kept = 0;
    for (unsigned k = 0; k < c->unheard->len; k++) {
        uint64_t page = g_array_index(c->unheard, uint64_t, k);
        const CodePage *cp = c->pages[page];
        if (!cp || !cp->unheard)
            continue;
        if (group_heard(c->cpu, cp->unheard)) {
            settle_page(c, page);
            continue;
        }
        awaited = awaited ? MIN(awaited, cp->unheard) : cp->unheard;
        g_array_index(c->unheard, uint64_t, kept++) = page;
    }
    g_array_set_size(c->unheard, kept);
    group_await(c->cpu, awaited);
}

void code_serve(CodeCache *c)
{
    drain_queue(c);
    if (c->unheard->len)
        settle_pages(c);
}

static void *map_zero(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        g_error("cannot reserve %zu bytes for the code cache", size);
    return p;
}

static void clear_jump_cache(CodeCache *c)
{
    trace_settle(c->cpu);
    for (unsigned k = 0; k < JUMP_CACHE_SIZE; k++)
        c->cpu->jump[k] = (JumpEntry){ .la = ~UINT64_C(0), .block = c->lone, .host = c->no_host };
}

CodeCache *code_cache_new(Cpu *cpu)
{
    CodeCache *c = g_new0(CodeCache, 1);
    RamPool *pool = cpu->machine->pool;
    c->cpu = cpu;
    c->page_count = pool->reserved >> RAM_PAGE_BITS;
    c->hash = map_zero(HASH_SIZE * sizeof *c->hash);
    c->pages = map_zero(c->page_count * sizeof *c->pages);
    c->watch = map_zero(c->page_count * sizeof *c->watch);
    c->unheard = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    c->arena = map_zero(ARENA_SIZE);
    c->lone = g_malloc0(sizeof(Block) + 2 * sizeof(Insn));
    c->lone->key = BLOCK_DEAD;
    c->queue = g_array_new(FALSE, FALSE, sizeof(CodeWrite));
    g_mutex_init(&c->queue_lock);
    clear_jump_cache(c);
    ram_add_code_listener(pool, code_written, c);
    return c;
}

void code_cache_free(CodeCache *c)
{
    if (!c)
        return;
    RamPool *pool = c->cpu->machine->pool;
    code_forget_marks(c);
    code_flush(c);
    if (c->engine)
        c->engine->release(c->cpu);
    ram_remove_code_listener(pool, code_written, c);
    munmap(c->hash, HASH_SIZE * sizeof *c->hash);
    munmap(c->pages, c->page_count * sizeof *c->pages);
    munmap(c->watch, c->page_count * sizeof *c->watch);
    munmap(c->arena, ARENA_SIZE);
    g_array_free(c->unheard, TRUE);
    g_array_free(c->queue, TRUE);
    g_mutex_clear(&c->queue_lock);
    g_free(c->lone);
    g_free(c);
}

void code_flush(CodeCache *c)
{
    uint64_t pages = c->cpu->machine->pool->size >> RAM_PAGE_BITS;
    for (uint64_t page = 0; page < pages; page++)
        if (c->pages[page])
            clear_page(c, page);
    g_array_set_size(c->unheard, 0);
    group_await(c->cpu, 0);
    memset(c->hash, 0, HASH_SIZE * sizeof *c->hash);
    c->arena_used = 0;
    c->current = NULL;
    c->cpu->insn_end = NULL;
    clear_jump_cache(c);
    if (c->engine)
        c->engine->flush(c->cpu);
}

static void insn_too_long(Cpu *cpu, const Insn *i)
{
    (void)i;
    cpu_raise_gp(cpu);
}

static void make_too_long(Insn *i)
{
    *i = (Insn){ .fn = insn_too_long, .row = INSN_ROW_BAD, .jump = 1, .len = 15, .base = R_NONE, .index = R_NONE };
}

static void log_block(Cpu *cpu, uint64_t la, const uint8_t *bytes, unsigned size)
{
    if (!log_in_range(la))
        return;
    g_autoptr(GString) out = g_string_new("----------------\nIN:\n");
    for (unsigned at = 0; at < size;) {
        g_string_append_printf(out, "0x%08" PRIx64 ":  ", la + at);
        at += cpu_disassemble(cpu->key & KEY_SIZE, la + at, bytes + at, size - at, out);
        g_string_append_c(out, '\n');
    }
    log_printf(LOG_IN_ASM, "%s\n", out->str);
}

/* A conditional jump or a repeated instruction: what follows is likely to run as well. */
static bool falls_through(const InsnRow *row)
{
    return (row->operands[0] == 'J' && row->flags_read) || (row->attr & (A_REP | A_SHADOW));
}

static const uint64_t *marks_of(const CodeCache *c, uint64_t page)
{
    return unlikely(c->marks != NULL) ? g_hash_table_lookup(c->marks, GSIZE_TO_POINTER(page)) : NULL;
}

static bool is_marked(const uint64_t *marks, unsigned offset) { return marks && marks[offset / 64] >> (offset & 63) & 1; }

static void make_mark(Insn *i) { *i = (Insn){ .fn = stops_mark, .row = INSN_ROW_MARK, .base = R_NONE, .index = R_NONE }; }

/* Decodes into insns as much as makes a block (or a unit), at most `max`; returns its length in bytes. */
static unsigned decode_run(Cpu *cpu, const uint8_t *bytes, uint64_t pool_offset, unsigned room, Insn *insns, unsigned max,
                           bool unit, unsigned *count)
{
    unsigned pos = 0, n = 0, start = pool_offset & (RAM_PAGE_SIZE - 1);
    const uint64_t *marks = marks_of(cpu->code, pool_offset >> RAM_PAGE_BITS);
    while (n < max && pos < room) {
        bool marked = is_marked(marks, start + pos);
        Insn *i = &insns[n + marked];
        if (n + marked == max)
            break;
        int len = insn_decode(cpu->decoder, cpu->key & KEY_DECODE, bytes + pos, room - pos, i);
        if (len == DECODE_MORE)
            break;
        if (len == DECODE_TOO_LONG) {
            make_too_long(i);
            len = 15;
        }
        if (marked)
            make_mark(&insns[n++]);
        n++;
        pos += len;
        if (insn_row_ends(&insn_rows[i->row]) && !(unit && falls_through(&insn_rows[i->row])))
            break;
    }
    *count = n;
    return pos;
}

static size_t block_size(unsigned count, unsigned copied)
{
    return sizeof(Block) + count * sizeof(Insn) + align_up(copied, _Alignof(Block));
}

/* Makes sure that there is room for a block, if need be by dropping all; false then. */
static bool arena_reserve(CodeCache *c, unsigned count)
{
    if (c->arena_used + block_size(count, count * INSN_MAX_BYTES) <= ARENA_SIZE)
        return true;
    code_flush(c);
    return false;
}

static Block *arena_take(CodeCache *c, unsigned count, unsigned copied)
{
    Block *b = (Block *)(c->arena + c->arena_used);
    c->arena_used += block_size(count, copied);
    return b;
}

static void enter_hash(CodeCache *c, Block *b)
{
    unsigned slot = hash_of(b->pool_offset, b->key);
    b->hash_next = c->hash[slot];
    c->hash[slot] = b;
}

static void enter_page(CodeCache *c, Block *b)
{
    uint64_t page = b->pool_offset >> RAM_PAGE_BITS;
    CodePage *cp = c->pages[page];
    b->page_next = cp->blocks;
    cp->blocks = b;
    cp->granules |= granule_mask(b->pool_offset & (RAM_PAGE_SIZE - 1), b->bytes);
    publish_watch(c, page);
}

/*
 * Before bytes are decoded their page is marked and all of it watched, so that no later write to it goes unseen: the
 * writer looks at marks and watches after a fence too.
 */
static CodePage *open_page(CodeCache *c, uint64_t page, uint64_t gpa)
{
    CodePage *cp = c->pages[page];
    if (!cp) {
        cp = c->pages[page] = g_new0(CodePage, 1);
        cp->unheard = group_add_code_page(c->cpu, page, gpa & GUEST_PAGE_MASK);
        if (cp->unheard)
            g_array_append_val(c->unheard, page);
    }
    cp->idle = 0;
    atomic_store_explicit(&c->watch[page], ALL_GRANULES, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    return cp;
}

/* A block at pool_offset, or NULL when not even one instruction lies wholly within the page. */
static Block *build_block(Cpu *cpu, uint64_t la, uint64_t gpa, uint64_t pool_offset)
{
    CodeCache *c = cpu->code;
    Insn insns[BLOCK_MAX_INSNS];
    uint8_t copy[BLOCK_MAX_INSNS * INSN_MAX_BYTES];
    unsigned count, room = RAM_PAGE_SIZE - (pool_offset & (RAM_PAGE_SIZE - 1));
    const uint8_t *bytes = block_bytes(c, pool_offset);
    arena_reserve(c, BLOCK_MAX_INSNS);
    bool copied = open_page(c, pool_offset >> RAM_PAGE_BITS, gpa)->unheard;
    if (copied)
        bytes = memcpy(copy, bytes, MIN(room, sizeof copy));
    unsigned size = decode_run(cpu, bytes, pool_offset, MIN(room, sizeof copy), insns, BLOCK_MAX_INSNS, false,
                               &count);
    if (!count)
        return NULL;
    if (log_enabled(LOG_IN_ASM))
        log_block(cpu, la, bytes, size);
    Block *b = arena_take(c, count, copied ? size : 0);
    *b = (Block){ .pool_offset = pool_offset, .key = cpu->key, .bytes = size, .count = count };
    memcpy(b->insn, insns, count * sizeof *insns);
    if (copied)
        b->copy = memcpy(b->insn + count, copy, size);
    enter_hash(c, b);
    enter_page(c, b);
    return b;
}

static void enter_tail(CodeCache *c, Block *b, uint64_t pool_offset, unsigned bytes)
{
    b->tail = arena_take(c, 0, 0);
    *b->tail = (Block){ .pool_offset = pool_offset, .key = b->key, .bytes = bytes, .is_tail = true, .peer = b };
    enter_page(c, b->tail);
}

static Block *make_crossing_unit(CodeCache *c, Block *b)
{
    Block *unit = arena_take(c, 1, 0);
    *unit = *b;
    unit->is_unit = true;
    unit->peer = b;
    unit->insn[0] = b->insn[0];
    enter_page(c, unit);
    enter_tail(c, unit, b->tail->pool_offset, b->tail->bytes);
    b->peer = unit;
    return unit;
}

Block *code_make_unit(Cpu *cpu, Block *b, unsigned max)
{
    CodeCache *c = cpu->code;
    Insn insns[max];
    unsigned count, room = RAM_PAGE_SIZE - (b->pool_offset & (RAM_PAGE_SIZE - 1));
    uint64_t pool_offset = b->pool_offset, page = pool_offset >> RAM_PAGE_BITS;
    if (b->copy) {
        b->heat = 0;
        return NULL;
    }
    if (!arena_reserve(c, max))
        return NULL;
    if (b->tail)
        return make_crossing_unit(c, b);
    open_page(c, page, 0);
    unsigned size = decode_run(cpu, block_bytes(c, pool_offset), pool_offset, room, insns, max, true, &count);
    Block *unit = arena_take(c, count, 0);
    *unit = (Block){ .pool_offset = pool_offset, .key = b->key, .bytes = size, .count = count, .is_unit = true, .peer = b };
    memcpy(unit->insn, insns, count * sizeof *insns);
    enter_page(c, unit);
    b->peer = unit;
    return unit;
}

static unsigned exec_mode(const Cpu *cpu) { return cpu->cpl == 3 ? TLB_USER : TLB_KERNEL; }

static uint64_t translate_code(Cpu *cpu, uint64_t la, const TlbEntry **entry)
{
    unsigned mode = exec_mode(cpu), index = tlb_index(la);
    const TlbEntry *e = *entry = &cpu->tlb[tlb_number(cpu, mode)].entry[index];
    if (likely((e->exec | TLB_SLOW) == ((la & GUEST_PAGE_MASK) | TLB_SLOW)))
        return cpu->tlb[tlb_number(cpu, mode)].gpa[index] | (la & ~GUEST_PAGE_MASK);
    return mmu_translate(cpu, la, MMU_EXEC, mode);
}

static bool is_point(Cpu *cpu, uint64_t la, uint64_t gpa)
{
    uint64_t marks[STOP_MARK_WORDS] = { 0 };
    return stops_wanted(cpu, STOP_CODE) && stops_mark_page(cpu, la, gpa, marks) &&
           is_marked(marks, la & ~GUEST_PAGE_MASK);
}

/* One instruction byte by byte, from a device or where it may be over a page boundary: not cached. */
static Block *build_lone(Cpu *cpu, uint64_t la)
{
    Block *b = cpu->code->lone;
    uint8_t bytes[15];
    const TlbEntry *e;
    unsigned room = GUEST_PAGE_SIZE - (la & ~GUEST_PAGE_MASK), n = MIN(room, sizeof bytes);
    uint64_t gpa = translate_code(cpu, la, &e);
    bool marked = is_point(cpu, la, gpa);
    Insn *i = b->insn + marked;
    as_read_bytes(cpu->machine->memory, gpa, bytes, n);
    int len = insn_decode(cpu->decoder, cpu->key & KEY_DECODE, bytes, n, i);
    if (len == DECODE_MORE) {
        uint64_t next = cpu->code_size == SZ64 ? la + n : (la + n) & 0xffffffff;
        as_read_bytes(cpu->machine->memory, translate_code(cpu, next, &e), bytes + n, sizeof bytes - n);
        len = insn_decode(cpu->decoder, cpu->key & KEY_DECODE, bytes, sizeof bytes, i);
    }
    if (len == DECODE_TOO_LONG || len == DECODE_MORE)
        make_too_long(i);
    if (marked)
        make_mark(b->insn);
    if (log_enabled(LOG_IN_ASM))
        log_block(cpu, la, bytes, i->len);
    b->bytes = i->len;
    b->count = 1 + marked;
    return b;
}

static Block *find_hashed(CodeCache *c, uint64_t pool_offset, unsigned key)
{
    for (Block *b = c->hash[hash_of(pool_offset, key)]; b; b = b->hash_next)
        if (b->pool_offset == pool_offset && b->key == key && !b->tail)
            return b;
    return NULL;
}

static Block *find_crossing(CodeCache *c, uint64_t pool_offset, uint64_t second, unsigned key)
{
    for (Block *b = c->hash[hash_of(pool_offset, key)]; b; b = b->hash_next)
        if (b->pool_offset == pool_offset && b->key == key && b->tail && b->tail->pool_offset == second)
            return b;
    return NULL;
}

/* NULL while writes to either page may go unheard. */
static Block *build_crossing(Cpu *cpu, uint64_t pool_offset, uint64_t second, uint64_t gpa2)
{
    CodeCache *c = cpu->code;
    uint8_t bytes[INSN_MAX_BYTES];
    unsigned room = RAM_PAGE_SIZE - (pool_offset & (RAM_PAGE_SIZE - 1));
    arena_reserve(c, BLOCK_MAX_INSNS);
    if (open_page(c, second >> RAM_PAGE_BITS, gpa2)->unheard)
        return NULL;
    CodePage *first = c->pages[pool_offset >> RAM_PAGE_BITS];
    if (!first || first->unheard)
        return NULL;
    memcpy(bytes, block_bytes(c, pool_offset), room);
    memcpy(bytes + room, block_bytes(c, second), sizeof bytes - room);
    Block *b = arena_take(c, 1, 0);
    *b = (Block){ .pool_offset = pool_offset, .key = cpu->key, .bytes = room, .count = 1 };
    if (insn_decode(cpu->decoder, cpu->key & KEY_DECODE, bytes, sizeof bytes, b->insn) <= 0)
        make_too_long(b->insn);
    enter_hash(c, b);
    enter_page(c, b);
    enter_tail(c, b, second, b->insn->len - room);
    return b;
}

/* An instruction over a page boundary: it is cached for the pair of physical pages, where both are RAM. */
static Block *find_or_build_crossing(Cpu *cpu, uint64_t la, uint64_t pool_offset)
{
    const TlbEntry *e;
    uint64_t next = (la + GUEST_PAGE_SIZE) & GUEST_PAGE_MASK & (cpu->code_size == SZ64 ? ~UINT64_C(0) : 0xffffffff);
    if (!cpu->code_flat || log_enabled(LOG_IN_ASM) ||
        is_marked(marks_of(cpu->code, pool_offset >> RAM_PAGE_BITS), pool_offset & (RAM_PAGE_SIZE - 1)))
        return NULL;
    uint64_t gpa = translate_code(cpu, next, &e);
    if (e->exec != next)
        return NULL;
    uint64_t second = e->host - (uintptr_t)cpu->machine->pool->host;
    Block *b = find_crossing(cpu->code, pool_offset, second, cpu->key);
    return b ? b : build_crossing(cpu, pool_offset, second, gpa);
}

/* Adds the marks of the points that lie in a page, where it is found now. */
static void add_marks(CodeCache *c, uint64_t la, uint64_t gpa, uint64_t page)
{
    uint64_t old[STOP_MARK_WORDS] = { 0 }, marks[STOP_MARK_WORDS];
    uint64_t *kept = c->marks ? g_hash_table_lookup(c->marks, GSIZE_TO_POINTER(page)) : NULL;
    memcpy(marks, kept ? kept : old, sizeof marks);
    if (!stops_mark_page(c->cpu, la, gpa, marks))
        return;
    if (!c->marks)
        c->marks = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    memcpy(old, kept ? kept : old, sizeof old);
    g_hash_table_insert(c->marks, GSIZE_TO_POINTER(page), g_memdup2(marks, sizeof marks));
    for (unsigned at = 0; at < RAM_PAGE_SIZE; at++)
        if (is_marked(marks, at) && !is_marked(old, at))
            invalidate_in_page(c, page, at, 1);
}

/* Has the page at pool_offset, which is found at la and gpa now, marked where a debugger's points lie. */
static void mark_page(CodeCache *c, uint64_t la, uint64_t gpa, uint64_t pool_offset)
{
    struct MarkedPage now = { (la & GUEST_PAGE_MASK) | 1, gpa & GUEST_PAGE_MASK, pool_offset >> RAM_PAGE_BITS };
    struct MarkedPage *m = &c->marked[la >> GUEST_PAGE_BITS & (CODE_MARKED_PAGES - 1)];
    if (m->la == now.la && m->gpa == now.gpa && m->page == now.page)
        return;
    add_marks(c, la, gpa, now.page);
    *m = now;
}

void code_forget_marks(CodeCache *c)
{
    GHashTableIter it;
    gpointer page, marks;
    memset(c->marked, 0, sizeof c->marked);
    if (c->marks) {
        g_hash_table_iter_init(&it, c->marks);
        while (g_hash_table_iter_next(&it, &page, &marks))
            for (unsigned at = 0; at < RAM_PAGE_SIZE; at++)
                if (is_marked(marks, at))
                    invalidate_in_page(c, GPOINTER_TO_SIZE(page), at, 1);
        g_hash_table_destroy(c->marks);
        c->marks = NULL;
    }
    clear_jump_cache(c);
}

Block *code_find_kept(Cpu *cpu, uint64_t la)
{
    CodeCache *c = cpu->code;
    const TlbEntry *e;
    if (unlikely(cpu->code_size == SZ64 && !cpu_canonical(cpu, la)))
        cpu_raise_gp(cpu);
    uint64_t gpa = translate_code(cpu, la, &e);
    if (unlikely(e->exec != (la & GUEST_PAGE_MASK)))
        return NULL;
    uint64_t pool_offset = e->host - (uintptr_t)cpu->machine->pool->host + (la & ~GUEST_PAGE_MASK);
    if (stops_wanted(cpu, STOP_CODE))
        mark_page(c, la, gpa, pool_offset);
    Block *b = find_hashed(c, pool_offset, cpu->key);
    if (b && unlikely(!block_holds(c, b))) {
        invalidate(c, pool_offset, b->bytes);
        b = NULL;
    }
    if (!b)
        b = build_block(cpu, la, gpa, pool_offset);
    if (!b)
        b = find_or_build_crossing(cpu, la, pool_offset);
    if (!b || unlikely(b->copy != NULL))
        return b;
    trace_replace(cpu, jump_entry(cpu, la), la);
    *jump_entry(cpu, la) = (JumpEntry){ .la = la, .tag = cpu->jump_tag, .block = b,
                                        .host = b->host ? b->host : c->no_host };
    return b;
}

Block *code_find(Cpu *cpu, uint64_t la)
{
    Block *b = code_find_kept(cpu, la);
    return b ? b : build_lone(cpu, la);
}
