/* One file of symbols: sorted arrays by address and by name (symbols_file.h). */
#include "debugger/symbols/symbols_file.h"

#include <string.h>

#include "debugger/symbols/dwarf.h"

/* How far a symbol of unknown size reaches when nothing follows: code of an unlisted module shall not get its name. */
#define REACH_MAX (UINT64_C(16) << 20)

SymbolFile *symbol_file_new(const char *path, int64_t offset)
{
    SymbolFile *f = g_new0(SymbolFile, 1);
    f->path = g_strdup(path);
    f->offset = offset;
    f->all = g_array_new(FALSE, FALSE, sizeof(Symbol));
    f->names = g_string_chunk_new(64 << 10);
    return f;
}

void symbol_file_free(SymbolFile *f)
{
    if (!f)
        return;
    dwarf_file_unref(f->dwarf);
    g_array_free(f->all, TRUE);
    g_string_chunk_free(f->names);
    g_free(f->reach);
    g_free(f->by_name);
    g_free(f->path);
    g_free(f);
}

static Symbol *symbol(const SymbolFile *f, guint n) { return &g_array_index(f->all, Symbol, n); }

/* An unknown end is kept as its limit, with the lowest bit of the rank's byte above the ranks set. */
#define RANK_OPEN 0x80

void symbol_file_add(SymbolFile *f, const char *name, uint64_t address, uint64_t end, uint64_t limit, unsigned rank,
                     bool absolute)
{
    Symbol s = { .name = g_string_chunk_insert(f->names, name), .address = address, .absolute = absolute,
                 .rank = rank };
    if (end > address) {
        s.end = end;
    } else {
        uint64_t most = address + REACH_MAX < address ? UINT64_MAX : address + REACH_MAX;
        s.end = limit > address ? limit : most;
        s.rank |= RANK_OPEN;
    }
    g_array_append_val(f->all, s);
}

/* ---- order ---- */

/* At one address the one to be shown comes last, as lookups come from above. */
static gint compare_addresses(gconstpointer a, gconstpointer b)
{
    const Symbol *s = a, *t = b;
    if (s->absolute != t->absolute)
        return s->absolute ? 1 : -1;
    if (s->address != t->address)
        return s->address < t->address ? -1 : 1;
    if ((s->rank ^ t->rank) & RANK_OPEN)
        return s->rank & RANK_OPEN ? -1 : 1;
    return s->rank != t->rank ? s->rank - t->rank : strcmp(t->name, s->name);
}

static gint compare_names(gconstpointer a, gconstpointer b, gpointer opaque)
{
    const SymbolFile *f = opaque;
    const Symbol *s = symbol(f, *(const guint *)a), *t = symbol(f, *(const guint *)b);
    int order = strcmp(s->name, t->name);
    if (order)
        return order;
    if (s->rank != t->rank)
        return t->rank - s->rank;
    return s->address < t->address ? -1 : s->address > t->address;
}

/* Linux's x86-64 per-CPU variables are linked at address 0: they are offsets, which a slide does not move. */
static void mark_per_cpu(SymbolFile *f)
{
    uint64_t end = 0;
    bool at_zero = false;
    for (guint k = 0; k < f->all->len; k++) {
        if (!strcmp(symbol(f, k)->name, "__per_cpu_start"))
            at_zero = !symbol(f, k)->address;
        else if (!strcmp(symbol(f, k)->name, "__per_cpu_end"))
            end = symbol(f, k)->address;
    }
    for (guint k = 0; at_zero && k < f->all->len; k++)
        symbol(f, k)->absolute |= symbol(f, k)->address <= end;
}

static void move(SymbolFile *f)
{
    for (guint k = 0; k < f->all->len; k++) {
        Symbol *s = symbol(f, k);
        if (s->absolute)
            continue;
        s->address += f->offset;
        s->end += f->offset;
        if (s->end < s->address)
            s->end = UINT64_MAX;
    }
}

/* Those of unknown size end at the next address that has a symbol. */
static void close_ends(SymbolFile *f)
{
    uint64_t next = UINT64_MAX, last = UINT64_MAX;
    for (guint k = f->all->len; k-- > 0;) {
        Symbol *s = symbol(f, k);
        if (s->address != last)
            next = last;
        if (s->rank & RANK_OPEN && !s->absolute && next > s->address)
            s->end = MIN(s->end, next);
        s->rank &= ~RANK_OPEN;
        if (!s->absolute)
            last = s->address;
    }
}

static void note_reach(SymbolFile *f)
{
    uint64_t reach = 0;
    f->reach = g_new(uint64_t, f->all->len + 1);
    for (guint k = 0; k < f->all->len; k++) {
        if (!symbol(f, k)->absolute)
            reach = MAX(reach, symbol(f, k)->end);
        f->reach[k] = reach;
    }
}

void symbol_file_finish(SymbolFile *f)
{
    mark_per_cpu(f);
    move(f);
    g_array_sort(f->all, compare_addresses);
    close_ends(f);
    note_reach(f);
    f->by_name = g_new(guint, f->all->len + 1);
    for (guint k = 0; k < f->all->len; k++)
        f->by_name[k] = k;
    g_qsort_with_data(f->by_name, f->all->len, sizeof *f->by_name, compare_names, f);
}

/* ---- lookups ---- */

const Symbol *symbol_file_by_name(const SymbolFile *f, guint place)
{
    return place < f->all->len ? symbol(f, f->by_name[place]) : NULL;
}

guint symbol_file_first(const SymbolFile *f, const char *prefix)
{
    guint low = 0, high = f->all->len;
    while (low < high) {
        guint middle = low + (high - low) / 2;
        if (strcmp(symbol_file_by_name(f, middle)->name, prefix) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const Symbol *symbol_file_find(const SymbolFile *f, const char *name)
{
    const Symbol *s = symbol_file_by_name(f, symbol_file_first(f, name));
    return s && !strcmp(s->name, name) ? s : NULL;
}

/* How many symbols are at or below an address; absolute ones are behind all others. */
static guint count_up_to(const SymbolFile *f, uint64_t address)
{
    guint low = 0, high = f->all->len;
    while (low < high) {
        guint middle = low + (high - low) / 2;
        const Symbol *s = symbol(f, middle);
        if (!s->absolute && s->address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const Symbol *symbol_file_at(const SymbolFile *f, uint64_t address)
{
    for (guint k = count_up_to(f, address); k-- > 0 && f->reach[k] > address;)
        if (symbol(f, k)->end > address)
            return symbol(f, k);
    return NULL;
}
