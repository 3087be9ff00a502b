/*
 * Lists of what is mapped.  They are made by going through tables, not addresses, and end after so many lines, with
 * one that says how to go on.
 */
#include <inttypes.h>

#include "cpu/mmu.h"
#include "debugger/commands/command.h"
#include "debugger/commands/paging.h"

#define LINES_MAX 50000

typedef struct List {
    const PageTables *tables;
    GString *out;
    unsigned lines;
    bool any;          /* a range is being put together */
    bool physical;     /* its pages follow each other in physical memory too */
    uint64_t la, last; /* of the range; last included */
    uint64_t gpa;      /* of `la` */
    unsigned rights;
    bool reserved;
    uint64_t broken, broken_first; /* mappings with reserved bits set, the first one of them */
    void (*print)(struct List *l);
} List;

static void rights_text(unsigned rights, char text[5])
{
    text[0] = rights & PAGE_RIGHT_USER ? 'u' : '-';
    text[1] = 'r';
    text[2] = rights & PAGE_RIGHT_WRITE ? 'w' : '-';
    text[3] = rights & PAGE_RIGHT_EXEC ? 'x' : '-';
    text[4] = 0;
}

static void note_broken(List *l, const PageMapping *m)
{
    if (!l->broken++)
        l->broken_first = m->la;
}

static bool list_room(const List *l) { return l->lines < LINES_MAX; }

/* ---- ranges ---- */

static void range_end(List *l)
{
    if (l->any) {
        l->print(l);
        l->lines++;
    }
    l->any = false;
}

static bool range_goes_on(const List *l, const PageMapping *m)
{
    if (!l->any || m->la != l->last + 1)
        return false;
    return l->physical ? m->gpa == l->gpa + (m->la - l->la) : m->rights == l->rights;
}

/* Mappings with reserved bits map nothing: they are counted. */
static bool range_add(void *opaque, const PageMapping *m)
{
    List *l = opaque;
    if (m->reserved) {
        note_broken(l, m);
        return true;
    }
    if (range_goes_on(l, m)) {
        l->last = m->la + bit_mask(m->shift);
        return true;
    }
    range_end(l);
    if (!list_room(l))
        return false;
    l->any = true;
    l->la = m->la;
    l->last = m->la + bit_mask(m->shift);
    l->gpa = m->gpa;
    l->rights = m->rights;
    return true;
}

static void print_mem(List *l)
{
    char text[5];
    rights_text(l->rights, text);
    g_string_append_printf(l->out, "%016" PRIx64 "-%016" PRIx64 " %016" PRIx64 " %s\n", l->la, l->last + 1,
                           l->last + 1 - l->la, text);
}

static void print_tab(List *l)
{
    int digits = l->tables->bits > 32 ? 16 : 8;
    g_string_append_printf(l->out, "0x%0*" PRIx64 "-0x%0*" PRIx64, digits, l->la, digits, l->last);
    g_string_append_printf(l->out, " -> 0x%012" PRIx64 "-0x%012" PRIx64 "\n", l->gpa, l->gpa + (l->last - l->la));
}

/* ---- the lists ---- */

static void finish(List *l, const char *command, const PagingArguments *a, bool all, uint64_t stopped)
{
    g_autofree char *last = a->count > 1 ? g_strdup_printf(" 0x%" PRIx64, a->last) : g_strdup("");
    const char *why = list_room(l) ? "there are too many tables, or they form a loop" : "there are more lines";
    if (!all)
        g_string_append_printf(l->out, "%s; go on with: info %s 0x%" PRIx64 "%s\n", why, command, stopped, last);
    if (l->broken)
        g_string_append_printf(l->out, "%" PRIu64 " more with reserved bits set, which map nothing, the first for "
                               "0x%016" PRIx64 ": see 'page 0x%" PRIx64 "'\n", l->broken, l->broken_first,
                               l->broken_first);
}

static void run_list(MonitorCommand *c, List *l, const char *command, PageMappingFn *fn)
{
    PagingArguments a;
    uint64_t stopped;
    if (!paging_parse(c, &a))
        return;
    if (a.last < a.from) {
        g_string_append_printf(c->out, "info %s: the range ends before it begins\n", command);
        return;
    }
    if (!a.tables.levels) {
        g_string_append(c->out, "PG disabled\n");
        return;
    }
    l->tables = &a.tables;
    l->out = c->out;
    bool all = page_tables_scan(&a.tables, a.from, a.last, fn, l, &stopped);
    range_end(l);
    finish(l, command, &a, all, stopped);
}

static void info_mem(MonitorCommand *c) { run_list(c, &(List){ .print = print_mem }, "mem", range_add); }

static void info_tab(MonitorCommand *c)
{
    run_list(c, &(List){ .print = print_tab, .physical = true }, "tab", range_add);
}

/* The letters are QEMU's, of the last entry alone; then the page's size, and the rights of all levels together. */
static bool print_mapping(void *opaque, const PageMapping *m)
{
    static const struct { uint64_t bit; char letter; } flags[] = {
        { PTE_NX, 'X' }, { PTE_G, 'G' }, { PTE_PS, 'P' }, { PTE_D, 'D' }, { PTE_A, 'A' }, { PTE_PCD, 'C' },
        { PTE_PWT, 'T' }, { PTE_U, 'U' }, { PTE_W, 'W' },
    };
    List *l = opaque;
    char rights[5];
    if (m->reserved) {
        note_broken(l, m);
        return true;
    }
    if (!list_room(l))
        return false;
    rights_text(m->rights, rights);
    g_string_append_printf(l->out, "%016" PRIx64 ": %016" PRIx64 " ", m->la, m->gpa);
    for (unsigned k = 0; k < ARRAY_SIZE(flags); k++) {
        bool set = m->entry & flags[k].bit && (flags[k].bit != PTE_PS || m->shift > 12);
        g_string_append_c(l->out, set ? flags[k].letter : '-');
    }
    const char *size = m->shift == 12 ? "4K" : m->shift == 21 ? "2M" : m->shift == 22 ? "4M" : "1G";
    g_string_append_printf(l->out, " %s %s\n", size, rights);
    l->lines++;
    return true;
}

/* ---- the emulator's own TLB ---- */

static char access_letter(uint64_t tag, uint64_t la, char letter)
{
    return tag == la ? letter : tag == (la ^ TLB_SLOW) ? g_ascii_toupper(letter) : '-';
}

static uint64_t entry_page(const TlbEntry *e, unsigned index)
{
    const uint64_t tags[] = { e->read, e->write, e->exec };
    for (unsigned k = 0; k < ARRAY_SIZE(tags); k++)
        if (tags[k] != tlb_invalid_tag(index))
            return tlb_index(tags[k]) == index ? tags[k] : tags[k] ^ TLB_SLOW;
    return 0;
}

static void print_soft(const Tlb *tlb, const char *name, GString *out)
{
    for (unsigned k = 0; k < TLB_SIZE; k++) {
        if (!((tlb->local.word[k / 64] | tlb->global.word[k / 64]) >> k % 64 & 1))
            continue;
        const TlbEntry *e = &tlb->entry[k];
        uint64_t la = entry_page(e, k);
        g_string_append_printf(out, "%-11s %016" PRIx64 ": %016" PRIx64 " %c%c%c%s\n", name, la, tlb->gpa[k],
                               access_letter(e->read, la, 'r'), access_letter(e->write, la, 'w'),
                               access_letter(e->exec, la, 'x'),
                               tlb->global.word[k / 64] >> k % 64 & 1 ? " global" : "");
    }
}

static void info_soft_tlb(MonitorCommand *c)
{
    static const char *const names[TLB_COUNT] = { "kernel", "kernel+smap", "user", "user+align",
                                                  "g:kernel", "g:kern+smap", "g:user", "g:user+al" };
    for (unsigned k = 0; k < TLB_COUNT; k++)
        print_soft(&debugger_cpu(c->debugger)->tlb[k], names[k], c->out);
}

static void info_tlb(MonitorCommand *c)
{
    if (!g_strcmp0(c->arguments, "soft"))
        info_soft_tlb(c);
    else
        run_list(c, &(List){ 0 }, "tlb", print_mapping);
}

#define MORE "  FROM and LAST bound the addresses; cr3= lists another address space.\n"

const CommandRow paging_info[] = {
    { .name = "mem", .arguments = "[FROM [LAST]] [cr3=VALUE]",
      .help = "mapped linear addresses by what is allowed: u(ser) r w x", .run = info_mem, .paused = true,
      .more = MORE },
    { .name = "tab", .arguments = "[FROM [LAST]] [cr3=VALUE]", .help = "linear addresses and where they are mapped to",
      .run = info_tab, .paused = true, .more = MORE },
    { .name = "tlb", .arguments = "[soft | [FROM [LAST]] [cr3=VALUE]]",
      .help = "every mapping, with its last entry's flags and the rights of all levels", .run = info_tlb,
      .paused = true,
      .more = MORE
              "  Flags: X no-execute, G global, P large page, D dirty, A accessed, C PCD, T PWT, U user, W writable;\n"
              "  then the size of the page, and what all levels together allow.\n"
              "  soft: what the emulator itself keeps for the current CPU; capital letters: by a slow path.\n" },
    { .name = NULL },
};
