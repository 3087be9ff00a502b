/* Commands about the translation of one address. */
#include <inttypes.h>
#include <string.h>

#include "core/machine.h"
#include "debugger/commands/command.h"
#include "debugger/commands/paging.h"
#include "debugger/symbols/symbols.h"

/* ---- arguments ---- */

/* Takes "cr3=VALUE" off the arguments, wherever it stands among them; false after a message. */
static bool take_cr3(MonitorCommand *c, GString *arguments, uint64_t *cr3, bool *has)
{
    const char *found = strstr(arguments->str, "cr3=");
    *has = found && (found == arguments->str || g_ascii_isspace(found[-1]));
    if (!*has)
        return true;
    const char *end = found + strlen("cr3=");
    if (!command_next_value(c, &end, cr3))
        return false;
    g_string_erase(arguments, found - arguments->str, end - found);
    return true;
}

bool paging_parse(MonitorCommand *c, PagingArguments *a)
{
    g_autoptr(GString) arguments = g_string_new(c->arguments);
    uint64_t cr3;
    bool has_cr3;
    *a = (PagingArguments){ .last = ~UINT64_C(0) };
    if (!take_cr3(c, arguments, &cr3, &has_cr3))
        return false;
    page_tables_of(debugger_cpu(c->debugger), has_cr3 ? &cr3 : NULL, &a->tables);
    a->cr3 = has_cr3 ? cr3 : debugger_cpu(c->debugger)->cr3;
    const char *rest = arguments->str + strspn(arguments->str, " \t");
    uint64_t *const numbers[] = { &a->from, &a->last };
    for (; *rest && a->count < ARRAY_SIZE(numbers); a->count++)
        if (!command_next_value(c, &rest, numbers[a->count]))
            return false;
    if (*rest)
        g_string_append_printf(c->out, "'%s': unexpected\n", rest);
    return !*rest;
}

/* ---- page ---- */

static const char *const entry_names[6] = { "", "PTE", "PDE", "PDPTE", "PML4E", "PML5E" };

/* As Bochs has them: what is set in capital letters. */
static void print_flags(const PageTables *t, const PageEntry *e, GString *out)
{
    static const struct { uint64_t bit; const char *set, *clear; } flags[] = {
        { PTE_G, "G", "g" }, { PTE_PS, "PS", "ps" }, { PTE_D, "D", "d" }, { PTE_A, "A", "a" },
        { PTE_PCD, "PCD", "pcd" }, { PTE_PWT, "PWT", "pwt" }, { PTE_U, "U", "S" }, { PTE_W, "W", "R" },
        { PTE_P, "P", "p" },
    };
    if (t->entry_size == 8)
        g_string_append(out, e->value & PTE_NX ? " XD" : " xd");
    for (unsigned k = 0; k < ARRAY_SIZE(flags); k++) {
        bool pat = flags[k].bit == PTE_PS && e->level == 1;
        const char *name = e->value & flags[k].bit ? flags[k].set : flags[k].clear;
        g_string_append_printf(out, " %s", !pat ? name : e->value & PTE_PS ? "PAT" : "pat");
    }
    if (e->kind == PAGE_LEAF && e->level > 1)
        g_string_append(out, e->value & PTE_LARGE_PAT ? " PAT" : " pat");
}

static void print_entry(const PageTables *t, const PageEntry *e, GString *out)
{
    uint64_t spa;
    g_string_append_printf(out, "%6s at 0x%012" PRIx64, entry_names[e->level], e->address);
    if (t->nested && page_system_address(t, e->address, &spa))
        g_string_append_printf(out, " (system 0x%012" PRIx64 ")", spa);
    if (e->kind == PAGE_UNREADABLE) {
        g_string_append(out, t->nested ? ": cannot be read: the nested tables do not map it to RAM\n"
                                       : ": cannot be read: the table is not in RAM\n");
        return;
    }
    g_string_append_printf(out, ": 0x%0*" PRIx64, t->entry_size * 2, e->value);
    print_flags(t, e, out);
    if (e->kind == PAGE_ABSENT)
        g_string_append(out, "  not present");
    if (e->kind == PAGE_RESERVED)
        g_string_append_printf(out, "  reserved bits set: 0x%" PRIx64, e->reserved);
    if (e->level == 3 && t->use_loaded)
        g_string_append(out, "  (as loaded into the processor with CR3)");
    g_string_append_c(out, '\n');
}

static const char *size_name(unsigned shift)
{
    return shift == 12 ? "4 KiB" : shift == 21 ? "2 MiB" : shift == 22 ? "4 MiB" : "1 GiB";
}

static void print_rights(const char *who, bool read, bool write, bool exec, GString *out)
{
    g_string_append_printf(out, "  %s:%s%s%s%s\n", who, read ? " read" : "", write ? " write" : "",
                           exec ? " execute" : "",
                           read || write || exec ? "" : " nothing");
}

/* The protection key's bits in PKRU or PKRS: access, write; SDM vol. 3A 4.6.2. */
static unsigned print_key(const PageTables *t, const PageWalk *w, GString *out)
{
    Cpu *cpu = t->cpu;
    bool user = w->all & PTE_U;
    if (!t->canonical || !(cpu->cr4 & (user ? CR4_PKE : CR4_PKS)))
        return 0;
    unsigned key = w->entry[w->count - 1].value >> 59 & 15, bits = (user ? cpu->pkru : cpu->pkrs) >> key * 2 & 3;
    g_string_append_printf(out, "  protection key %u: %s %s\n", key, user ? "PKRU" : "IA32_PKRS",
                           bits & 1 ? "forbids all accesses" : bits ? "forbids writes" : "allows all");
    return bits;
}

/* What is allowed, and why not more: SDM vol. 3A 4.6. */
static void print_effect(const PageTables *t, const PageWalk *w, GString *out)
{
    Cpu *cpu = t->cpu;
    unsigned rights = page_rights(t, w->all, w->any);
    bool user = rights & PAGE_RIGHT_USER, write = rights & PAGE_RIGHT_WRITE, exec = rights & PAGE_RIGHT_EXEC;
    bool smep = user && (cpu->cr4 & CR4_SMEP), smap = user && (cpu->cr4 & CR4_SMAP), wp = cpu->cr0 & CR0_WP;
    bool smap_acts = smap && !(cpu->eflags & EFLAGS_AC);
    unsigned key = print_key(t, w, out);
    bool key_read = !(key & 1), key_write = !key;
    print_rights("user mode", user && key_read, user && write && key_write, user && exec, out);
    print_rights("supervisor mode", !smap_acts && key_read,
                 !smap_acts && key_read && (!wp || (write && key_write)), exec && !smep, out);
    if (smep && exec)
        g_string_append(out, "  SMEP: supervisors may not execute user pages\n");
    if (smap)
        g_string_append_printf(out, "  SMAP: supervisors may %saccess user pages while EFLAGS.AC is %d\n",
                               smap_acts ? "not " : "", !smap_acts);
    if (!write && !wp)
        g_string_append(out, "  CR0.WP is 0: supervisors may write to read-only pages\n");
    if (!write && (cpu->cr4 & CR4_CET) && (w->entry[w->count - 1].value & PTE_D))
        g_string_append(out, "  a page for shadow stacks (read-only and dirty)\n");
}

static void print_walk(const PageTables *t, const PageWalk *w, uint64_t la, GString *out)
{
    for (unsigned k = 0; k < w->count; k++)
        print_entry(t, &w->entry[k], out);
    const PageEntry *last = w->count ? &w->entry[w->count - 1] : NULL;
    if (!last)
        g_string_append_printf(out, "0x%016" PRIx64 " is no address of %u bits: it cannot be mapped\n", la, t->bits);
    else if (!w->mapped)
        g_string_append_printf(out, "0x%016" PRIx64 " is not mapped: the %s %s\n", la, entry_names[last->level],
                               last->kind == PAGE_RESERVED ? "has reserved bits set" :
                               last->kind == PAGE_ABSENT ? "is not present" : "cannot be read");
    else
        g_string_append_printf(out, "0x%016" PRIx64 " is mapped to 0x%012" PRIx64 " by a page of %s%s\n", la, w->gpa,
                               size_name(w->shift), last->value & PTE_G ? ", global" : "");
}

/* The second half under nested paging: where the guest's physical address really is. */
static void print_nested(const PageTables *guest, uint64_t gpa, GString *out)
{
    PageTables t;
    PageWalk w;
    if (!guest->nested || !page_tables_nested(guest->cpu, &t))
        return;
    g_string_append_printf(out, "nested tables: %s, nCR3 0x%012" PRIx64 "\n", t.name, guest->cpu->svm.nested_cr3);
    page_walk(&t, gpa, &w);
    print_walk(&t, &w, gpa, out);
    unsigned rights = page_rights(&t, w.all, w.any);
    if (w.mapped)
        print_rights("the guest", rights & PAGE_RIGHT_USER, (rights & PAGE_RIGHT_USER) && (rights & PAGE_RIGHT_WRITE),
                     (rights & PAGE_RIGHT_USER) && (rights & PAGE_RIGHT_EXEC), out);
}

static void command_page(MonitorCommand *c)
{
    PagingArguments a;
    PageWalk w;
    if (!*c->arguments)
        g_string_append(c->out, "usage: page ADDRESS [cr3=VALUE]\n");
    if (!*c->arguments || !paging_parse(c, &a))
        return;
    if (a.count != 1) {
        g_string_append(c->out, "page: give one address\n");
        return;
    }
    page_walk(&a.tables, a.from, &w);
    if (!a.tables.levels) {
        g_string_append_printf(c->out, "paging is off: 0x%" PRIx64 " is physical\n", a.from);
    } else {
        g_string_append_printf(c->out, "%s paging, CR3 0x%012" PRIx64 "\n", a.tables.name, a.cr3);
        print_walk(&a.tables, &w, a.from, c->out);
        if (w.mapped)
            print_effect(&a.tables, &w, c->out);
    }
    if (w.mapped || (w.count && w.entry[w.count - 1].kind == PAGE_UNREADABLE))
        print_nested(&a.tables, w.mapped ? w.gpa : w.entry[w.count - 1].address, c->out);
}

/* ---- addresses ---- */

static void command_gva2gpa(MonitorCommand *c)
{
    PagingArguments a;
    PageWalk w;
    uint64_t spa;
    if (!paging_parse(c, &a))
        return;
    if (a.count != 1)
        g_string_append(c->out, "usage: gva2gpa ADDRESS [cr3=VALUE]\n");
    else if (!page_walk(&a.tables, a.from, &w))
        g_string_append(c->out, "Unmapped\n");
    else if (!a.tables.nested)
        g_string_append_printf(c->out, "gpa: 0x%" PRIx64 "\n", w.gpa & a.tables.cpu->gpa_mask);
    else if (page_system_address(&a.tables, w.gpa, &spa))
        g_string_append_printf(c->out, "gpa: 0x%" PRIx64 " (of the guest: 0x%" PRIx64 ")\n", spa, w.gpa);
    else
        g_string_append_printf(c->out, "Unmapped: the nested tables do not map 0x%" PRIx64 "\n", w.gpa);
}

static void command_gpa2hva(MonitorCommand *c)
{
    uint64_t gpa;
    if (!*c->arguments)
        g_string_append(c->out, "usage: gpa2hva ADDRESS\n");
    if (!*c->arguments || !command_value(c, c->arguments, &gpa))
        return;
    AsTarget t = as_lookup(c->machine->memory, gpa);
    if (t.host)
        g_string_append_printf(c->out, "Host virtual address for 0x%" PRIx64 " (%s) is %p\n", gpa,
                               region_name(t.region),
                               (void *)t.host);
    else
        g_string_append_printf(c->out, t.region ? "Memory at address 0x%" PRIx64 " is not RAM\n"
                                                : "No memory is mapped at address 0x%" PRIx64 "\n", gpa);
}

const CommandRow paging_commands[] = {
    { .name = "gpa2hva", .arguments = "ADDRESS", .help = "where guest-physical memory is in this process",
      .run = command_gpa2hva, .paused = true },
    { .name = "gva2gpa", .arguments = "ADDRESS [cr3=VALUE]", .help = "the guest-physical address of a linear one",
      .run = command_gva2gpa, .completes = COMPLETE_SYMBOL, .paused = true },
    { .name = "page", .arguments = "ADDRESS [cr3=VALUE]",
      .help = "how a linear address is translated: the entry of each level, and what is allowed", .run = command_page,
      .completes = COMPLETE_SYMBOL, .paused = true,
      .more = "  Flags in capital letters are set: XD G PS/PAT D A PCD PWT, U or S (user, supervisor), W or R, P.\n"
              "  Under nested paging the nested tables' entries follow.\n" },
    { .name = NULL },
};
