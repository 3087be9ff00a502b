/* Page tables as a debugger reads them (page_tables.h). */
#include "debugger/page_tables.h"

#include "core/machine.h"
#include "util/endian.h"

#define ENTRY_ADDRESS UINT64_C(0x000ffffffffff000)

/* 256 MiB of tables: more than 64 GiB by pages of 4 KiB need. */
#define SCAN_ENTRIES (UINT64_C(1) << 25)

/* ---- modes ---- */

static void describe(PageTables *t, const char *name, unsigned levels, unsigned entry_size, unsigned bits)
{
    t->name = name;
    t->levels = levels;
    t->entry_size = entry_size;
    t->bits = bits;
}

/* By the registers that choose the mode; SDM vol. 3A 4.1.1. */
static void describe_mode(PageTables *t, uint64_t cr3, uint64_t cr4, uint64_t efer, bool long_mode)
{
    uint64_t beyond = ~bit_mask(t->cpu->physical_bits);
    t->nx = (efer & EFER_NXE) && (cr4 & CR4_PAE);
    t->reserved = (bit_mask(long_mode ? 52 : 63) & beyond) | (t->nx ? 0 : PTE_NX);
    t->pse = cr4 & CR4_PSE;
    t->huge = cpu_has(t->cpu, FEAT_PDPE1GB);
    t->top_reserved = PTE_PS;
    t->root = cr3 & ENTRY_ADDRESS;
    t->canonical = long_mode;
    if (long_mode) {
        bool five = cr4 & CR4_LA57;
        describe(t, five ? "5-level" : "4-level", five ? 5 : 4, 8, five ? 57 : 48);
    } else if (cr4 & CR4_PAE) {
        describe(t, "PAE", 3, 8, 32);
        t->pae_pointers = true;
        t->root = cr3 & 0xffffffe0;
    } else {
        describe(t, "32-bit", 2, 4, 32);
        t->root = cr3 & 0xfffff000;
        t->reserved = 0;
    }
}

/* With paging off the mode is the one that setting CR0.PG would choose: tables can be looked at before that. */
void page_tables_of(Cpu *cpu, const uint64_t *cr3, PageTables *t)
{
    bool on = cpu->cr0 & CR0_PG, will_be_long = (cpu->efer & EFER_LME) && (cpu->cr4 & CR4_PAE);
    *t = (PageTables){ .cpu = cpu, .nested = cpu->svm.nested };
    describe_mode(t, cr3 ? *cr3 : cpu->cr3, cpu->cr4, cpu->efer, on ? cpu->long_mode : will_be_long);
    t->pse_high = !cpu_has(cpu, FEAT_PSE36) ? 0 : cpu->physical_bits > 40 ? 8 : cpu->physical_bits - 32;
    t->use_loaded = t->pae_pointers && !cr3 && on && !t->nested;
    if (!on && !cr3) {
        describe(t, "off", 0, 0, cpu->long_mode ? 64 : 32);
        t->canonical = false;
    }
}

bool page_tables_nested(Cpu *cpu, PageTables *t)
{
    const SvmHost *h = &cpu->svm.host;
    if (!cpu->svm.nested)
        return false;
    *t = (PageTables){ .cpu = cpu };
    describe_mode(t, cpu->svm.nested_cr3, h->cr4, h->efer, h->efer & EFER_LMA);
    t->pse_high = 8;
    t->top_reserved = PTE_PS | PTE_G;
    t->canonical = false;
    return true;
}

bool page_tables_reach(const PageTables *t, uint64_t la)
{
    if (t->canonical)
        return sign_extend(la, t->bits) == (int64_t)la;
    return !(la & ~bit_mask(t->bits));
}

/* ---- entries ---- */

static unsigned level_shift(const PageTables *t, unsigned level)
{
    return 12 + (level - 1) * (t->entry_size == 4 ? 10 : 9);
}

static unsigned table_entries(const PageTables *t, unsigned level)
{
    return t->pae_pointers && level == 3 ? 4 : 4096 / t->entry_size;
}

static bool is_large(const PageTables *t, unsigned level, uint64_t value)
{
    if (!(value & PTE_PS) || (t->pae_pointers && level == 3))
        return false;
    return level == 2 ? t->entry_size == 8 || t->pse : level == 3 && t->huge;
}

/* Bits that an entry of an 8-byte format must not have (SDM vol. 3A 4.4, 4.5; AMD APM vol. 2 5.3). */
static uint64_t reserved_of_8(const PageTables *t, unsigned level, bool large)
{
    if (t->pae_pointers && level == 3)
        return ~bit_mask(t->cpu->physical_bits) | 0x1e6;
    uint64_t reserved = t->reserved;
    if (large)
        reserved |= bit_mask(level_shift(t, level)) & ~bit_mask(13);
    else if (level == 3)
        reserved |= t->huge ? 0 : PTE_PS;
    return level > 3 ? reserved | t->top_reserved : reserved;
}

static uint64_t large_target(const PageTables *t, const PageEntry *e)
{
    uint64_t base = e->value & ENTRY_ADDRESS & ~bit_mask(e->shift);
    return t->entry_size == 4 ? base | bits_extract(e->value, 13, t->pse_high) << 32 : base;
}

/* What the value says; level, address and value are set. */
static void classify(const PageTables *t, PageEntry *e)
{
    bool large = is_large(t, e->level, e->value);
    e->shift = level_shift(t, e->level);
    e->reserved = 0;
    e->target = large ? large_target(t, e) : e->value & ENTRY_ADDRESS;
    if (!(e->value & PTE_P)) {
        e->kind = PAGE_ABSENT;
        return;
    }
    if (t->entry_size == 8)
        e->reserved = e->value & reserved_of_8(t, e->level, large);
    else if (large)
        e->reserved = e->value & bit_mask(22) & ~bit_mask(13 + t->pse_high);
    e->kind = e->reserved ? PAGE_RESERVED : large || e->level == 1 ? PAGE_LEAF : PAGE_TABLE;
}

bool page_system_address(const PageTables *t, uint64_t gpa, uint64_t *spa)
{
    PageTables nested;
    PageWalk w;
    *spa = gpa;
    if (t->nested && page_tables_nested(t->cpu, &nested)) {
        if (!page_walk(&nested, gpa, &w) || !(w.all & PTE_U))
            return false;
        *spa = w.gpa;
    }
    *spa &= t->cpu->gpa_mask;
    return true;
}

/* Part of a table that does not cross a page; false when it is not in RAM. */
static bool read_table(const PageTables *t, uint64_t gpa, void *buf, unsigned size)
{
    uint64_t spa;
    if (!page_system_address(t, gpa, &spa))
        return false;
    AsTarget target = as_lookup(t->cpu->machine->memory, spa);
    if (!target.host || target.room < size)
        return false;
    memcpy(buf, target.host, size);
    return true;
}

/* Table of a level for an entry's index; the table's bytes are in buf already. */
static void make_entry(const PageTables *t, unsigned level, uint64_t table, unsigned index, const uint8_t *value,
                       PageEntry *e)
{
    *e = (PageEntry){ .level = level, .address = table + index * t->entry_size, .value = ldle(value, t->entry_size) };
    if (level == 3 && t->use_loaded)
        e->value = t->cpu->pdpte[index & 3];
    classify(t, e);
}

static void read_entry(const PageTables *t, unsigned level, uint64_t table, unsigned index, PageEntry *e)
{
    uint8_t bytes[8] = { 0 };
    bool known = level == 3 && t->use_loaded;
    bool read = read_table(t, table + index * t->entry_size, bytes, t->entry_size);
    make_entry(t, level, table, index, bytes, e);
    if (!read && !known)
        e->kind = PAGE_UNREADABLE;
}

/* PAE's pointers carry no rights. */
static void add_rights(const PageTables *t, const PageEntry *e, uint64_t *all, uint64_t *any)
{
    if (t->pae_pointers && e->level == 3)
        return;
    *all &= e->value;
    *any |= e->value;
}

unsigned page_rights(const PageTables *t, uint64_t all, uint64_t any)
{
    unsigned rights = all & PTE_U ? PAGE_RIGHT_USER : 0;
    rights |= all & PTE_W ? PAGE_RIGHT_WRITE : 0;
    return rights | ((any & PTE_NX) && t->nx ? 0 : PAGE_RIGHT_EXEC);
}

/* ---- one address ---- */

bool page_walk(const PageTables *t, uint64_t la, PageWalk *w)
{
    uint64_t table = t->root;
    *w = (PageWalk){ .all = ~UINT64_C(0), .gpa = la, .shift = 12, .mapped = !t->levels };
    if (!t->levels || !page_tables_reach(t, la))
        return w->mapped;
    for (unsigned level = t->levels; level; level--) {
        PageEntry *e = &w->entry[w->count++];
        unsigned index = la >> level_shift(t, level) & (table_entries(t, level) - 1);
        read_entry(t, level, table, index, e);
        add_rights(t, e, &w->all, &w->any);
        w->shift = e->shift;
        if (e->kind != PAGE_TABLE)
            break;
        table = e->target;
    }
    const PageEntry *last = &w->entry[w->count - 1];
    w->mapped = last->kind == PAGE_LEAF;
    w->gpa = last->target | (la & bit_mask(last->shift));
    return w->mapped;
}

/* ---- all of them ---- */

typedef struct Scan {
    const PageTables *t;
    uint64_t from, last, entries_left;
    PageMappingFn *fn;
    void *opaque;
    uint64_t *stopped;
} Scan;

static bool scan_stop(Scan *s, uint64_t la)
{
    *s->stopped = la;
    return false;
}

static bool scan_table(Scan *s, unsigned level, uint64_t table, uint64_t base, uint64_t all, uint64_t any);

static bool scan_entry(Scan *s, const PageEntry *e, uint64_t la, uint64_t all, uint64_t any)
{
    add_rights(s->t, e, &all, &any);
    if (e->kind == PAGE_TABLE)
        return scan_table(s, e->level - 1, e->target, la, all, any);
    if (e->kind != PAGE_LEAF && e->kind != PAGE_RESERVED)
        return true;
    PageMapping m = { .la = la, .gpa = e->target, .shift = e->shift, .entry = e->value,
                      .rights = page_rights(s->t, all, any), .reserved = e->kind == PAGE_RESERVED };
    return s->fn(s->opaque, &m) || scan_stop(s, la);
}

static uint64_t canonical(const PageTables *t, uint64_t la)
{
    return t->canonical ? (uint64_t)sign_extend(la, t->bits) : la;
}

/* The entries of one table, which is for addresses from base on. */
static bool scan_table(Scan *s, unsigned level, uint64_t table, uint64_t base, uint64_t all, uint64_t any)
{
    const PageTables *t = s->t;
    unsigned count = table_entries(t, level), shift = level_shift(t, level);
    uint8_t bytes[4096] = { 0 };
    if (!read_table(t, table, bytes, count * t->entry_size) && !(level == 3 && t->use_loaded))
        return true;
    for (unsigned k = 0; k < count; k++) {
        uint64_t la = canonical(t, base + ((uint64_t)k << shift));
        PageEntry e;
        if (la + bit_mask(shift) < s->from)
            continue;
        if (la > s->last)
            return true;
        if (!s->entries_left--)
            return scan_stop(s, la);
        make_entry(t, level, table, k, bytes + k * t->entry_size, &e);
        if (e.kind != PAGE_ABSENT && !scan_entry(s, &e, la, all, any))
            return false;
    }
    return true;
}

bool page_tables_scan(const PageTables *t, uint64_t from, uint64_t last, PageMappingFn *fn, void *opaque,
                      uint64_t *stopped)
{
    Scan s = { .t = t, .from = from, .last = last, .entries_left = SCAN_ENTRIES, .fn = fn, .opaque = opaque,
               .stopped = stopped };
    return !t->levels || scan_table(&s, t->levels, t->root, 0, ~UINT64_C(0), 0);
}
