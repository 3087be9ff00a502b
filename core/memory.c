/*
 * Guest-physical memory and I/O ports: the pool of RAM, the region tree, flat views, and accesses.
 *
 * Views and readers.  CPU threads look addresses up without a lock while another thread changes the tree.  An address
 * space owns two view buffers and a generation count; generation g stands in buffer g % 2.  A writer (under the machine
 * lock) fills the other buffer and then publishes generation g + 1.  A reader notes the generation, copies what it
 * looks for out of the buffer, and tries again if the generation has moved on.  The buffers are read and written by
 * relaxed atomic operations with fences around them, so a reader that is overtaken sees mixed values but never
 * undefined ones, and throws them away.  A reader writes nothing, so readers on many CPUs do not disturb each other.
 * A buffer that is too small is replaced by one of twice its size and kept until the address space is freed: together
 * the old ones are smaller than the new one, however often the guest changes the map.
 */
#include "core/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/error.h"
#include "core/log.h"
#include "util/bits.h"
#include "util/endian.h"

/*
 * RAM regions begin at multiples of 64 KiB of the pool, the largest common host page, so that the host can map or
 * protect them one by one.  The slack lets that many small regions be rounded up beyond the bytes asked for.
 */
#define POOL_ALIGN (64 * KiB)
#define POOL_SLACK (64 * POOL_ALIGN)

/* ================================================================================================== RAM pool ===== */

typedef struct CodeListener {
    RamWrittenFn *fn;
    void *opaque;
} CodeListener;

typedef struct DirtyListener {
    RamClearedFn *fn;
    void *opaque;
} DirtyListener;

static void *reserve_host_memory(uint64_t size)
{
    if (size > SIZE_MAX)
        return NULL;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

RamPool *ram_pool_new(uint64_t reserve, GError **err)
{
    RamPool *pool = g_new0(RamPool, 1);

    if (reserve > UINT64_MAX / 2) {
        g_free(pool);
        error_set(err, "cannot reserve %" G_GUINT64_FORMAT " bytes of guest memory: too large", reserve);
        return NULL;
    }
    pool->code_listeners = g_array_new(FALSE, FALSE, sizeof(CodeListener));
    pool->dirty_listeners = g_array_new(FALSE, FALSE, sizeof(DirtyListener));
    pool->reserved = align_up(reserve, POOL_ALIGN) + POOL_SLACK;
    pool->host = reserve_host_memory(pool->reserved);
    pool->page_flags = reserve_host_memory(pool->reserved >> RAM_PAGE_BITS);
    if (!pool->host || !pool->page_flags) {
        error_set(err, "cannot reserve %" G_GUINT64_FORMAT " MiB of guest memory: %s", reserve / MiB,
                  g_strerror(errno ? errno : ENOMEM));
        ram_pool_free(pool);
        return NULL;
    }
#ifdef MADV_HUGEPAGE
    madvise(pool->host, pool->reserved, MADV_HUGEPAGE); /* fewer TLB misses of the host; no matter if refused */
#endif
    return pool;
}

void ram_pool_free(RamPool *pool)
{
    if (pool->host)
        munmap(pool->host, pool->reserved);
    if (pool->page_flags)
        munmap(pool->page_flags, pool->reserved >> RAM_PAGE_BITS);
    g_array_free(pool->code_listeners, TRUE);
    g_array_free(pool->dirty_listeners, TRUE);
    g_free(pool);
}

#define RAM_LISTENERS(kind, Type, Fn)                                                                                  \
    void ram_add_##kind##_listener(RamPool *pool, Fn *fn, void *opaque)                                                \
    {                                                                                                                  \
        Type l = { fn, opaque };                                                                                       \
        g_array_append_val(pool->kind##_listeners, l);                                                                 \
    }                                                                                                                  \
    void ram_remove_##kind##_listener(RamPool *pool, Fn *fn, void *opaque)                                             \
    {                                                                                                                  \
        for (unsigned i = 0; i < pool->kind##_listeners->len; i++) {                                                   \
            const Type *l = &g_array_index(pool->kind##_listeners, Type, i);                                           \
            if (l->fn == fn && l->opaque == opaque) {                                                                  \
                g_array_remove_index(pool->kind##_listeners, i);                                                       \
                return;                                                                                                \
            }                                                                                                          \
        }                                                                                                              \
    }
RAM_LISTENERS(code, CodeListener, RamWrittenFn)
RAM_LISTENERS(dirty, DirtyListener, RamClearedFn)

static void tell_code_written(RamPool *pool, uint64_t offset, uint64_t size)
{
    for (unsigned i = 0; i < pool->code_listeners->len; i++) {
        const CodeListener *l = &g_array_index(pool->code_listeners, CodeListener, i);
        l->fn(l->opaque, offset, size);
    }
}

static void tell_dirty_cleared(RamPool *pool)
{
    for (unsigned i = 0; i < pool->dirty_listeners->len; i++) {
        const DirtyListener *l = &g_array_index(pool->dirty_listeners, DirtyListener, i);
        l->fn(l->opaque);
    }
}

/* Sequentially consistent: whoever clears the bit reads the bytes afterwards (see ram_note_page). */
static bool page_take_dirty(RamPool *pool, uint64_t page, uint8_t mask)
{
    if (!(atomic_load_explicit(&pool->page_flags[page], memory_order_relaxed) & mask))
        return false;
    atomic_fetch_and(&pool->page_flags[page], (uint8_t)~mask);
    return true;
}

bool ram_take_dirty(RamPool *pool, uint64_t offset, uint64_t size, uint8_t mask, uint8_t *taken)
{
    uint64_t first = offset >> RAM_PAGE_BITS;
    bool dirty = false;

    if (!size)
        return false;
    for (uint64_t page = first; page <= (offset + size - 1) >> RAM_PAGE_BITS; page++) {
        bool now = page_take_dirty(pool, page, mask);
        if (taken)
            taken[page - first] = now;
        dirty |= now;
    }
    if (dirty)
        tell_dirty_cleared(pool);
    return dirty;
}

bool ram_test_and_clear_dirty(RamPool *pool, uint64_t offset, uint64_t size, uint8_t mask)
{
    return ram_take_dirty(pool, offset, size, mask, NULL);
}

/*
 * Notes a finished write within one page.  The fence stands between the bytes and the flags: a watcher that cleared
 * a dirty bit before we look has bytes yet to read, and code decoded before we look has its PAGE_CODE set.
 */
static inline void ram_note_page(RamPool *pool, uint64_t offset, uint64_t size)
{
    _Atomic uint8_t *flags = &pool->page_flags[offset >> RAM_PAGE_BITS];

    atomic_thread_fence(memory_order_seq_cst);
    uint8_t now = atomic_load_explicit(flags, memory_order_relaxed);
    if (unlikely((now & PAGE_DIRTY_ALL) != PAGE_DIRTY_ALL))
        atomic_fetch_or_explicit(flags, PAGE_DIRTY_ALL, memory_order_relaxed);
    if (unlikely(now & PAGE_CODE))
        tell_code_written(pool, offset, size);
}

/* Does `fn` for the part of [offset, offset+size) on each page. */
static inline void ram_each_page(RamPool *pool, uint64_t offset, uint64_t size,
                                 void (*fn)(RamPool *, uint64_t, uint64_t))
{
    for (uint64_t n; size; offset += n, size -= n) {
        n = MIN(size, RAM_PAGE_SIZE - (offset & (RAM_PAGE_SIZE - 1)));
        fn(pool, offset, n);
    }
}

void ram_mark_written(RamPool *pool, uint64_t offset, uint64_t size)
{
    ram_each_page(pool, offset, size, ram_note_page);
}

void ram_release(RamPool *pool, uint64_t offset, uint64_t size)
{
    uint64_t page = sysconf(_SC_PAGESIZE), from = align_up(offset, page), to = align_down(offset + size, page);

    if (from >= to || madvise(pool->host + from, to - from, MADV_DONTNEED))
        return;
    ram_mark_written(pool, from, to - from);
}

/* Copies bytes into RAM; memmove, as the source may be guest memory too. */
static void ram_write_bytes(RamPool *pool, uint64_t offset, uint8_t *host, const uint8_t *from, uint64_t size)
{
    memmove(host, from, size);
    ram_each_page(pool, offset, size, ram_note_page);
}

/* ==================================================================================================== regions ==== */

typedef enum RegionKind { REGION_CONTAINER, REGION_RAM, REGION_ROM, REGION_IO, REGION_ALIAS } RegionKind;

struct Region {
    char *name;
    RegionKind kind;
    uint64_t size;
    bool enabled, readonly;
    /* Place in the tree. */
    Region *parent;
    uint64_t addr;          /* in the parent */
    int priority;
    GPtrArray *subs;        /* Region *, what covers comes first; NULL: none */
    AddressSpace *as;       /* whose root this is, or NULL */
    /* RAM and ROM. */
    RamPool *pool;
    uint64_t pool_offset;
    /* I/O, with the defaults of sizes filled in. */
    RegionOps ops;
    void *opaque;
    bool busy;              /* one of its functions runs, with the lock held */
    /* Aliases: what they show; and the aliases that show this region. */
    Region *target;
    uint64_t alias_offset;
    GPtrArray *aliases;     /* Region *; NULL: none */
};

/* A range of a view as its builder sees it, and as readers do. */
typedef struct Range {
    uint64_t start, last;
    Region *region;
    uint64_t offset;
    uint8_t *host;          /* of start; NULL: a device */
    bool readonly;
} Range;

typedef struct SharedRange {
    _Atomic uint64_t start, last, offset;
    Region *_Atomic region;
    uint8_t *_Atomic host;
    atomic_bool readonly;
} SharedRange;

typedef struct View {
    unsigned capacity;
    atomic_uint count;
    SharedRange range[];
} View;

typedef struct Listener {
    AsChangedFn *fn;
    void *opaque;
} Listener;

struct AddressSpace {
    View *_Atomic view[2];
    atomic_uint generation;
    uint64_t last;          /* the last address */
    RamPool *pool;
    GRecMutex *lock;
    char *name;
    Region *root;
    GArray *ranges;         /* Range: the current view, for comparison and as_dump */
    GPtrArray *outgrown;    /* View *, see above */
    GArray *listeners;      /* Listener */
    unsigned batch;         /* depth of as_batch_begin */
    bool stale;             /* changed during a batch */
    unsigned nested;        /* functions of devices that run, each called by the one before; with the lock held */
};

static Region *region_new(RegionKind kind, const char *name, uint64_t size)
{
    Region *r = g_new0(Region, 1);

    r->kind = kind;
    r->name = g_strdup(name);
    r->size = size;
    r->enabled = true;
    return r;
}

Region *region_new_container(const char *name, uint64_t size)
{
    return region_new(REGION_CONTAINER, name, size);
}

static Region *region_new_memory(RegionKind kind, RamPool *pool, const char *name, uint64_t size, GError **err)
{
    if (size > pool->reserved || align_up(size, POOL_ALIGN) > pool->reserved - pool->size) {
        error_set(err, "no room for %" G_GUINT64_FORMAT " bytes of memory '%s': %" G_GUINT64_FORMAT
                  " bytes of guest memory are left", size, name, pool->reserved - pool->size);
        return NULL;
    }
    Region *r = region_new(kind, name, size);
    r->pool = pool;
    r->pool_offset = pool->size;
    pool->size += align_up(size, POOL_ALIGN);
    return r;
}

Region *region_new_ram(RamPool *pool, const char *name, uint64_t size, GError **err)
{
    return region_new_memory(REGION_RAM, pool, name, size, err);
}

Region *region_new_rom(RamPool *pool, const char *name, uint64_t size, GError **err)
{
    Region *r = region_new_memory(REGION_ROM, pool, name, size, err);
    if (r)
        r->readonly = true;
    return r;
}

Region *region_new_io(const char *name, uint64_t size, const RegionOps *ops, void *opaque)
{
    Region *r = region_new(REGION_IO, name, size);

    r->ops = *ops;
    r->ops.min_size = ops->min_size ? ops->min_size : 1;
    r->ops.max_size = MAX(ops->max_size ? ops->max_size : 4, r->ops.min_size);
    r->opaque = opaque;
    return r;
}

Region *region_new_alias(const char *name, Region *target, uint64_t offset, uint64_t size)
{
    Region *r = region_new(REGION_ALIAS, name, size);

    r->target = target;
    r->alias_offset = offset;
    if (!target->aliases)
        target->aliases = g_ptr_array_new();
    g_ptr_array_add(target->aliases, r);
    return r;
}

uint8_t *region_host(const Region *r)
{
    return r->pool ? r->pool->host + r->pool_offset : NULL;
}

uint64_t region_pool_offset(const Region *r)
{
    return r->pool_offset;
}

uint64_t region_size(const Region *r)
{
    return r->size;
}

const char *region_name(const Region *r)
{
    return r->name;
}

/* ====================================================================================================== views ==== */

/* A part of a region to be shown: bytes [offset, offset+size) of it, at `addr`. */
typedef struct Window {
    uint64_t addr, offset, size;
    bool readonly;
} Window;

/* Shows a leaf's window where nothing is shown yet: what is rendered first covers what comes later. */
static void ranges_fill(GArray *ranges, Region *r, const Window *w)
{
    uint64_t at = w->addr, last = w->addr + w->size - 1;
    unsigned i = 0;

    while (i < ranges->len && g_array_index(ranges, Range, i).last < at)
        i++;
    for (;;) {
        const Range *next = i < ranges->len ? &g_array_index(ranges, Range, i) : NULL;
        if (!next || next->start > at) {
            uint64_t offset = w->offset + (at - w->addr);
            Range gap = { at, next && next->start <= last ? next->start - 1 : last, r, offset,
                          r->pool ? region_host(r) + offset : NULL, w->readonly };
            g_array_insert_val(ranges, i, gap);
            next = &g_array_index(ranges, Range, i);
        }
        if (next->last >= last)
            return;
        at = next->last + 1;
        i++;
    }
}

static void region_render(GArray *ranges, Region *r, Window w);

static void render_subs(GArray *ranges, const Region *r, const Window *w)
{
    for (unsigned i = 0; r->subs && i < r->subs->len; i++) {
        Region *sub = r->subs->pdata[i];
        if (!sub->size || sub->addr > w->offset + (w->size - 1))
            continue;
        uint64_t first = MAX(sub->addr, w->offset);
        uint64_t last = MIN(w->offset + (w->size - 1), sub->addr + (sub->size - 1));
        if (sub->addr + (sub->size - 1) < sub->addr)
            last = w->offset + (w->size - 1); /* the sub-region reaches beyond 2^64 */
        if (first > last)
            continue;
        region_render(ranges, sub, (Window) { w->addr + (first - w->offset), first - sub->addr, last - first + 1,
                                              w->readonly });
    }
}

static void render_alias(GArray *ranges, const Region *r, const Window *w)
{
    uint64_t offset = r->alias_offset + w->offset;

    if (!r->target || offset < w->offset || offset >= r->target->size)
        return;
    region_render(ranges, r->target, (Window) { w->addr, offset, MIN(w->size, r->target->size - offset), w->readonly });
}

static void region_render(GArray *ranges, Region *r, Window w)
{
    if (!r->enabled || !w.size)
        return;
    w.readonly |= r->readonly;
    if (r->kind == REGION_ALIAS) {
        render_alias(ranges, r, &w);
        return;
    }
    render_subs(ranges, r, &w);
    if (r->kind == REGION_CONTAINER)
        return;
    if (r->kind == REGION_IO)
        w.readonly = false;
    ranges_fill(ranges, r, &w);
}

/* Joins neighbours that continue each other. */
static void ranges_merge(GArray *ranges)
{
    unsigned kept = 0;

    for (unsigned i = 1; i < ranges->len; i++) {
        Range *a = &g_array_index(ranges, Range, kept), *b = &g_array_index(ranges, Range, i);
        if (a->last + 1 == b->start && a->region == b->region && a->readonly == b->readonly &&
            a->offset + (b->start - a->start) == b->offset)
            a->last = b->last;
        else
            g_array_index(ranges, Range, ++kept) = *b;
    }
    if (ranges->len)
        g_array_set_size(ranges, kept + 1);
}

static bool ranges_equal(const GArray *a, const GArray *b)
{
    if (a->len != b->len)
        return false;
    for (unsigned i = 0; i < a->len; i++) {
        const Range *x = &g_array_index(a, Range, i), *y = &g_array_index(b, Range, i);
        if (x->start != y->start || x->last != y->last || x->region != y->region || x->offset != y->offset ||
            x->host != y->host || x->readonly != y->readonly)
            return false;
    }
    return true;
}

/* The buffer for the next generation, with room for n ranges. */
static View *view_reserve(AddressSpace *as, unsigned slot, unsigned n)
{
    View *v = atomic_load_explicit(&as->view[slot], memory_order_relaxed);

    if (v && v->capacity >= n)
        return v;
    unsigned capacity = MAX(64, v ? v->capacity * 2 : 0);
    while (capacity < n)
        capacity *= 2;
    if (v)
        g_ptr_array_add(as->outgrown, v);
    v = g_malloc0(sizeof *v + capacity * sizeof v->range[0]);
    v->capacity = capacity;
    atomic_store_explicit(&as->view[slot], v, memory_order_release);
    return v;
}

static void range_share(SharedRange *to, const Range *from)
{
    atomic_store_explicit(&to->start, from->start, memory_order_relaxed);
    atomic_store_explicit(&to->last, from->last, memory_order_relaxed);
    atomic_store_explicit(&to->offset, from->offset, memory_order_relaxed);
    atomic_store_explicit(&to->region, from->region, memory_order_relaxed);
    atomic_store_explicit(&to->host, from->host, memory_order_relaxed);
    atomic_store_explicit(&to->readonly, from->readonly, memory_order_relaxed);
}

static void view_publish(AddressSpace *as, const GArray *ranges)
{
    unsigned generation = atomic_load_explicit(&as->generation, memory_order_relaxed) + 1;

    /* A reader that sees anything of what follows also sees that the generation it read there is over. */
    atomic_thread_fence(memory_order_release);
    View *v = view_reserve(as, generation & 1, ranges->len);
    for (unsigned i = 0; i < ranges->len; i++)
        range_share(&v->range[i], &g_array_index(ranges, Range, i));
    atomic_store_explicit(&v->count, ranges->len, memory_order_relaxed);
    atomic_store_explicit(&as->generation, generation, memory_order_release);
}

/* Makes the view anew; tells the listeners if it is another one. */
static void as_rebuild(AddressSpace *as)
{
    GArray *ranges = g_array_sized_new(FALSE, FALSE, sizeof(Range), as->ranges->len + 8);

    as->stale = false;
    region_render(ranges, as->root, (Window) { 0, 0, as->root->size, false });
    ranges_merge(ranges);
    if (ranges_equal(ranges, as->ranges)) {
        g_array_free(ranges, TRUE);
        return;
    }
    view_publish(as, ranges);
    g_array_free(as->ranges, TRUE);
    as->ranges = ranges;
    for (unsigned i = 0; i < as->listeners->len; i++) {
        Listener l = g_array_index(as->listeners, Listener, i);
        l.fn(l.opaque);
    }
}

/* =============================================================================================== tree changes ==== */

/* Marks the address spaces that show r, directly or by aliases, and lists those newly marked. */
static void region_mark_stale(const Region *r, GSList **stale)
{
    for (; r; r = r->parent) {
        if (!r->enabled)
            return;
        for (unsigned i = 0; r->aliases && i < r->aliases->len; i++)
            region_mark_stale(r->aliases->pdata[i], stale);
        if (r->as && !r->as->stale) {
            r->as->stale = true;
            *stale = g_slist_prepend(*stale, r->as);
        }
    }
}

static void stale_rebuild(GSList *stale)
{
    for (GSList *l = stale; l; l = l->next) {
        AddressSpace *as = l->data;
        if (!as->batch)
            as_rebuild(as);
    }
    g_slist_free(stale);
}

static void region_changed(const Region *r)
{
    GSList *stale = NULL;

    region_mark_stale(r, &stale);
    stale_rebuild(stale);
}

void region_add(Region *container, uint64_t offset, Region *sub, int priority)
{
    unsigned i = 0;

    if (sub->parent)
        region_remove(sub);
    if (!container->subs)
        container->subs = g_ptr_array_new();
    while (i < container->subs->len && ((Region *)container->subs->pdata[i])->priority > priority)
        i++;
    sub->parent = container;
    sub->addr = offset;
    sub->priority = priority;
    g_ptr_array_insert(container->subs, i, sub);
    region_changed(sub);
}

void region_remove(Region *sub)
{
    GSList *stale = NULL;

    if (!sub->parent)
        return;
    if (sub->enabled)
        region_mark_stale(sub->parent, &stale);
    g_ptr_array_remove(sub->parent->subs, sub);
    sub->parent = NULL;
    stale_rebuild(stale);
}

void region_set_enabled(Region *r, bool enabled)
{
    GSList *stale = NULL;

    if (r->enabled == enabled)
        return;
    r->enabled = true; /* so that marking does not stop here */
    region_mark_stale(r, &stale);
    r->enabled = enabled;
    stale_rebuild(stale);
}

void region_set_readonly(Region *r, bool readonly)
{
    readonly |= r->kind == REGION_ROM;
    if (r->readonly == readonly)
        return;
    r->readonly = readonly;
    region_changed(r);
}

void region_set_alias_offset(Region *r, uint64_t offset)
{
    if (r->alias_offset == offset)
        return;
    r->alias_offset = offset;
    region_changed(r);
}

void region_move(Region *sub, uint64_t offset)
{
    if (sub->addr == offset)
        return;
    sub->addr = offset;
    if (sub->parent)
        region_changed(sub);
}

void region_free(Region *r)
{
    if (!r)
        return;
    region_remove(r);
    while (r->subs && r->subs->len)
        region_remove(r->subs->pdata[r->subs->len - 1]);
    while (r->aliases && r->aliases->len) {
        Region *alias = g_ptr_array_steal_index(r->aliases, r->aliases->len - 1);
        alias->target = NULL;
        region_changed(alias);
    }
    if (r->target)
        g_ptr_array_remove(r->target->aliases, r);
    if (r->subs)
        g_ptr_array_free(r->subs, TRUE);
    if (r->aliases)
        g_ptr_array_free(r->aliases, TRUE);
    g_free(r->name);
    g_free(r);
}

/* ============================================================================================= address spaces ==== */

AddressSpace *as_new(const char *name, unsigned bits, RamPool *pool, GRecMutex *lock)
{
    AddressSpace *as = g_new0(AddressSpace, 1);

    as->name = g_strdup(name);
    as->last = bit_mask(bits);
    as->pool = pool;
    as->lock = lock;
    as->ranges = g_array_new(FALSE, FALSE, sizeof(Range));
    as->outgrown = g_ptr_array_new_with_free_func(g_free);
    as->listeners = g_array_new(FALSE, FALSE, sizeof(Listener));
    as->root = region_new_container(name, bits >= 64 ? UINT64_MAX : BIT(bits));
    as->root->as = as;
    view_publish(as, as->ranges);
    return as;
}

void as_free(AddressSpace *as)
{
    as->batch++; /* no more views */
    region_free(as->root);
    for (unsigned i = 0; i < 2; i++)
        g_free(as->view[i]);
    g_ptr_array_free(as->outgrown, TRUE);
    g_array_free(as->ranges, TRUE);
    g_array_free(as->listeners, TRUE);
    g_free(as->name);
    g_free(as);
}

Region *as_root(AddressSpace *as)
{
    return as->root;
}

RamPool *as_pool(AddressSpace *as)
{
    return as->pool;
}

void as_batch_begin(AddressSpace *as)
{
    as->batch++;
}

void as_batch_end(AddressSpace *as)
{
    if (!--as->batch && as->stale)
        as_rebuild(as);
}

void as_add_listener(AddressSpace *as, AsChangedFn *fn, void *opaque)
{
    Listener l = { fn, opaque };
    g_array_append_val(as->listeners, l);
}

void as_remove_listener(AddressSpace *as, AsChangedFn *fn, void *opaque)
{
    for (unsigned i = 0; i < as->listeners->len; i++) {
        const Listener *l = &g_array_index(as->listeners, Listener, i);
        if (l->fn == fn && l->opaque == opaque) {
            g_array_remove_index(as->listeners, i);
            return;
        }
    }
}

/* ===================================================================================================== lookup ==== */

#define RELAXED(field) atomic_load_explicit(&(field), memory_order_relaxed)

/* Looks up in one generation's buffer.  The values may be mixed when that generation ends meanwhile. */
static inline AsTarget view_lookup(const View *v, const RamPool *pool, uint64_t addr)
{
    unsigned low = 0, count = RELAXED(v->count), high = count;

    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (RELAXED(v->range[middle].last) < addr)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == count)
        return (AsTarget) { .room = UINT64_MAX - addr };
    const SharedRange *r = &v->range[low];
    uint64_t start = RELAXED(r->start), skip = addr - start;
    if (start > addr)
        return (AsTarget) { .room = start - addr };
    uint8_t *host = RELAXED(r->host);
    return (AsTarget) {
        .region = RELAXED(r->region),
        .offset = RELAXED(r->offset) + skip,
        .room = RELAXED(r->last) - addr + 1,
        .host = host ? host + skip : NULL,
        .pool_offset = host ? (uint64_t)(host - pool->host) + skip : 0,
        .readonly = RELAXED(r->readonly),
    };
}

static inline AsTarget lookup(AddressSpace *as, uint64_t addr)
{
    for (;;) {
        unsigned generation = atomic_load_explicit(&as->generation, memory_order_acquire);
        const View *v = atomic_load_explicit(&as->view[generation & 1], memory_order_acquire);
        AsTarget t = view_lookup(v, as->pool, addr);
        atomic_thread_fence(memory_order_acquire);
        if (likely(RELAXED(as->generation) == generation))
            return t;
    }
}

AsTarget as_lookup(AddressSpace *as, uint64_t addr)
{
    return lookup(as, addr);
}

/*
 * Devices access what the guest tells them to, which may be registers, their own too.  Without an end to that a guest
 * overflows the stack (an interrupt message to the register that causes the interrupt), or has a device begin its work
 * again in the middle of it.  So nobody gets to a region that is being accessed already, nor deeper than a processor's
 * access of a device, which copies to another, which sends a message.
 */
#define NESTED_MAX 4

static bool target_refuses(const AddressSpace *as, const AsTarget *t, uint64_t addr)
{
    if (!t->region->busy && as->nested < NESTED_MAX)
        return false;
    log_guest_error("%s: access at 0x%" PRIx64 " (%s) from within another that led there dropped", as->name, addr,
                    t->region->name);
    return true;
}

/*
 * The target of an access of up to `size` bytes, the machine lock taken if that is a device: then the target stays
 * what it is until target_release().  The first lookup, without the lock, may have been overtaken by a tree change.
 */
static AsTarget target_take(AddressSpace *as, uint64_t addr, bool *locked)
{
    AsTarget t = lookup(as, addr);

    *locked = t.region && !t.host;
    if (!*locked)
        return t;
    g_rec_mutex_lock(as->lock);
    t = lookup(as, addr);
    if (t.region && !t.host) {
        if (target_refuses(as, &t, addr))
            return (AsTarget) { .room = t.room };
        t.region->busy = true;
        as->nested++;
    }
    return t;
}

static void target_release(AddressSpace *as, const AsTarget *t, bool locked)
{
    if (!locked)
        return;
    if (t->region && !t->host) {
        t->region->busy = false;
        as->nested--;
    }
    g_rec_mutex_unlock(as->lock);
}

/* ================================================================================================ device access == */

/* The largest power of two that is at most n. */
static unsigned floor_power_of_2(uint64_t n)
{
    return 1u << bit_highest(n);
}

static uint64_t ops_read(const Region *r, uint64_t offset, unsigned size)
{
    uint64_t v = r->ops.read ? r->ops.read(r->opaque, offset, size) : ~UINT64_C(0);

    v &= bit_mask(8 * size);
    if (log_enabled(LOG_IO))
        log_printf(LOG_IO, "read  %s+0x%" PRIx64 " size %u = 0x%" PRIx64 "\n", r->name, offset, size, v);
    return v;
}

static void ops_write(const Region *r, uint64_t offset, uint64_t v, unsigned size)
{
    if (log_enabled(LOG_IO))
        log_printf(LOG_IO, "write %s+0x%" PRIx64 " size %u = 0x%" PRIx64 "\n", r->name, offset, size,
                   v & bit_mask(8 * size));
    if (r->ops.write)
        r->ops.write(r->opaque, offset, v & bit_mask(8 * size), size);
}

/* Whether an access begins or ends within a unit of the smallest size: the device sees whole units only. */
static bool within_unit(const Region *r, uint64_t offset, unsigned size)
{
    return size < r->ops.min_size || (offset & (r->ops.min_size - 1));
}

/* Reads size (a power of 2) bytes in sizes that the device takes. */
static uint64_t device_read(const Region *r, uint64_t offset, unsigned size)
{
    unsigned min = r->ops.min_size, max = r->ops.max_size;
    uint64_t v = 0;

    for (unsigned done = 0, n; done < size; done += n) {
        uint64_t at = offset + done, part;
        unsigned left = size - done;
        if (within_unit(r, at, left)) {
            unsigned skip = at & (min - 1);
            n = MIN(left, min - skip);
            part = ops_read(r, at - skip, min) >> 8 * skip & bit_mask(8 * n);
        } else {
            n = MIN(floor_power_of_2(left), max);
            part = ops_read(r, at, n);
        }
        v |= part << 8 * done;
    }
    return v;
}

static void device_write(const Region *r, uint64_t offset, uint64_t v, unsigned size)
{
    if (within_unit(r, offset, size)) {
        log_guest_error("%s: write of %u bytes at 0x%" PRIx64 " dropped: it takes %u to %u", r->name, size, offset,
                        r->ops.min_size, r->ops.max_size);
        return;
    }
    for (unsigned done = 0, n; done < size; done += n) {
        n = MIN(size - done, r->ops.max_size);
        ops_write(r, offset + done, v >> 8 * done, n);
    }
}

static void unassigned_log(const AddressSpace *as, const char *what, uint64_t addr, unsigned size)
{
    if (log_enabled(LOG_UNIMP))
        log_printf(LOG_UNIMP, "%s: unassigned %s of %u bytes at 0x%" PRIx64 "\n", as->name, what, size, addr);
}

/* ======================================================================================= values of 1 to 8 bytes == */

/*
 * Bytes of an access that one target can take: any number within RAM, else a power of 2.  A device decodes an access
 * by its address alone, also where a smaller region lies over its later bytes (port CF9h over CF8h of the PCI bridge).
 */
static unsigned piece_size(const AsTarget *t, unsigned size)
{
    uint64_t room = !t->host && t->region ? region_size(t->region) - t->offset : t->room;
    uint64_t n = MIN(size, MAX(room, 1));
    return t->host ? n : floor_power_of_2(n);
}

static uint64_t load_odd(const uint8_t *host, unsigned size)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)host[i] << 8 * i;
    return v;
}

/* The first bytes of an access, as many as *n says afterwards. */
static uint64_t read_piece(AddressSpace *as, uint64_t addr, unsigned size, unsigned *n)
{
    bool locked;
    AsTarget t = target_take(as, addr, &locked);
    uint64_t v;

    *n = piece_size(&t, size);
    if (t.host) {
        v = *n == size && is_power_of_2(size) ? ldle(t.host, size) : load_odd(t.host, *n);
    } else if (t.region) {
        v = device_read(t.region, t.offset, *n);
    } else {
        unassigned_log(as, "read", addr, *n);
        v = bit_mask(8 * *n);
    }
    target_release(as, &t, locked);
    return v;
}

static G_GNUC_NO_INLINE uint64_t read_slow(AddressSpace *as, uint64_t addr, unsigned size)
{
    uint64_t v = 0;

    for (unsigned done = 0, n; done < size; done += n)
        v |= read_piece(as, addr + done, size - done, &n) << 8 * done;
    return v;
}

uint64_t as_read(AddressSpace *as, uint64_t addr, unsigned size)
{
    AsTarget t = lookup(as, addr);

    if (likely(t.host && t.room >= size))
        return ldle(t.host, size);
    return read_slow(as, addr, size);
}

static unsigned write_piece(AddressSpace *as, uint64_t addr, uint64_t v, unsigned size)
{
    uint8_t bytes[8];
    bool locked;
    AsTarget t = target_take(as, addr, &locked);
    unsigned n = piece_size(&t, size);

    if (t.host) {
        st64le(bytes, v);
        if (!t.readonly)
            ram_write_bytes(as->pool, t.pool_offset, t.host, bytes, n);
    } else if (t.region) {
        device_write(t.region, t.offset, v, n);
    } else {
        unassigned_log(as, "write", addr, n);
    }
    target_release(as, &t, locked);
    return n;
}

static G_GNUC_NO_INLINE void write_slow(AddressSpace *as, uint64_t addr, uint64_t v, unsigned size)
{
    for (unsigned done = 0; done < size;)
        done += write_piece(as, addr + done, v >> 8 * done, size - done);
}

void as_write(AddressSpace *as, uint64_t addr, uint64_t value, unsigned size)
{
    AsTarget t = lookup(as, addr);
    uint64_t in_page = t.pool_offset & (RAM_PAGE_SIZE - 1);

    if (unlikely(!t.host || t.room < size || t.readonly || in_page + size > RAM_PAGE_SIZE)) {
        write_slow(as, addr, value, size);
        return;
    }
    stle(t.host, value, size);
    ram_note_page(as->pool, t.pool_offset, size);
}

/* ====================================================================================================== bytes ==== */

/* The widest naturally aligned access at a device's offset, of at most `left` bytes. */
static unsigned device_bytes_size(const AsTarget *t, uint64_t left)
{
    unsigned n = MIN(t->region->ops.max_size, floor_power_of_2(MIN(left, 8)));
    return t->offset ? MIN(n, BIT(MIN(bit_lowest(t->offset), 3))) : n;
}

void as_read_bytes(AddressSpace *as, uint64_t addr, void *buf, uint64_t size)
{
    uint8_t *to = buf;
    uint8_t value[8];

    for (uint64_t n; size; addr += n, to += n, size -= n) {
        bool locked;
        AsTarget t = target_take(as, addr, &locked);
        n = MIN(size, MAX(t.room, 1));
        if (t.host) {
            memmove(to, t.host, n);
        } else if (t.region) {
            n = device_bytes_size(&t, n);
            st64le(value, device_read(t.region, t.offset, n));
            memcpy(to, value, n);
        } else {
            memset(to, 0xff, n);
        }
        target_release(as, &t, locked);
    }
}

static void write_bytes(AddressSpace *as, uint64_t addr, const uint8_t *from, uint64_t size, bool rom_too)
{
    for (uint64_t n; size; addr += n, from += n, size -= n) {
        bool locked;
        AsTarget t = target_take(as, addr, &locked);
        n = MIN(size, MAX(t.room, 1));
        if (t.host) {
            if (!t.readonly || rom_too)
                ram_write_bytes(as->pool, t.pool_offset, t.host, from, n);
        } else if (t.region) {
            uint8_t value[8] = { 0 };
            n = device_bytes_size(&t, n);
            memcpy(value, from, n);
            device_write(t.region, t.offset, ld64le(value), n);
        }
        target_release(as, &t, locked);
    }
}

void as_write_bytes(AddressSpace *as, uint64_t addr, const void *buf, uint64_t size)
{
    write_bytes(as, addr, buf, size, false);
}

void as_load_bytes(AddressSpace *as, uint64_t addr, const void *buf, uint64_t size)
{
    write_bytes(as, addr, buf, size, true);
}

/* ======================================================================================================= dump ==== */

#define DUMP_RANGE "%016" PRIx64 "-%016" PRIx64

static const char *kind_name(const Region *r)
{
    while (r->kind == REGION_ALIAS && r->target)
        r = r->target;
    if (r->pool)
        return r->readonly ? "rom" : "ram";
    return "i/o";
}

static uint64_t region_end(uint64_t base, uint64_t size)
{
    return size ? base + (size - 1) : base;
}

/* Appends a region's line and those below it; notes targets of aliases for sections of their own. */
static void dump_region(const Region *r, uint64_t base, unsigned level, GPtrArray *shown, GString *out)
{
    g_string_append_printf(out, "%*s" DUMP_RANGE " (prio %d, %s): ", 2 * level, "", base, region_end(base, r->size),
                           r->priority, kind_name(r));
    if (r->kind != REGION_ALIAS) {
        g_string_append(out, r->name);
    } else if (!r->target) {
        g_string_append_printf(out, "alias %s of nothing", r->name);
    } else {
        g_string_append_printf(out, "alias %s @%s " DUMP_RANGE, r->name, r->target->name, r->alias_offset,
                               region_end(r->alias_offset, r->size));
        if (!g_ptr_array_find(shown, r->target, NULL))
            g_ptr_array_add(shown, r->target);
    }
    g_string_append(out, r->enabled ? "\n" : " [disabled]\n");
    for (unsigned i = 0; r->subs && i < r->subs->len; i++) {
        const Region *sub = r->subs->pdata[i];
        dump_region(sub, base + sub->addr, level + 1, shown, out);
    }
}

static bool region_below(const Region *r, const Region *root)
{
    while (r && r != root)
        r = r->parent;
    return r == root;
}

static void dump_tree(AddressSpace *as, GString *out)
{
    g_autoptr(GPtrArray) shown = g_ptr_array_new();

    g_string_append_printf(out, "address-space: %s\n", as->name);
    dump_region(as->root, 0, 1, shown, out);
    g_string_append_c(out, '\n');
    for (unsigned i = 0; i < shown->len; i++) { /* grows meanwhile */
        const Region *r = shown->pdata[i];
        if (region_below(r, as->root))
            continue;
        g_string_append_printf(out, "memory-region: %s\n", r->name);
        dump_region(r, 0, 1, shown, out);
        g_string_append_c(out, '\n');
    }
}

void as_dump_flat(AddressSpace *as, GString *out)
{
    g_string_append_printf(out, "FlatView\n AS \"%s\", root: %s\n", as->name, as->root->name);
    for (unsigned i = 0; i < as->ranges->len; i++) {
        const Range *f = &g_array_index(as->ranges, Range, i);
        const char *kind = f->host ? f->readonly ? "rom" : "ram" : "i/o";
        g_string_append_printf(out, "  " DUMP_RANGE " (prio %d, %s): %s", f->start, f->last, f->region->priority,
                               kind, f->region->name);
        if (f->offset)
            g_string_append_printf(out, " @%016" PRIx64, f->offset);
        g_string_append_c(out, '\n');
    }
    if (!as->ranges->len)
        g_string_append(out, "  No rendered FlatView\n");
    g_string_append_c(out, '\n');
}

void as_dump(AddressSpace *as, GString *out)
{
    dump_tree(as, out);
    as_dump_flat(as, out);
}
