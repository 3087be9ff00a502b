/*
 * The commands that look at page tables, descriptor tables, memory and registers (debugger/), on a processor with a
 * MiB of RAM.  Walks are compared with the processor's own (cpu/mmu.c).
 */
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cpu/mmu.h"
#include "debugger/commands/command.h"
#include "debugger/page_tables.h"
#include "tests/unit/subject.h"
#include "util/endian.h"

enum { ROOT = 0x1000, SECOND = 0x2000, THIRD = 0x3000, LAST = 0x4000, GDT = 0x8000, IDT = 0x9000, TSS = 0xa000,
       NESTED = 0x80000 };

static void free_debugger(gpointer m) { debugger_free(m); }

static Subject inspected(const char *model)
{
    Subject s = subject_new(model);
    machine_provide(s.cpu->machine, "cpu0", s.cpu);
    s.cpu->machine->cpu_count = 1;
    g_test_queue_destroy(free_debugger, s.cpu->machine);
    subject_enter_flat32(&s);
    return s;
}

/* What a line prints; freed with the test. */
static const char *run(const Subject *s, const char *line)
{
    GString *out = g_string_new(NULL);
    machine_lock(s->cpu->machine);
    command_execute(s->cpu->machine, NULL, line, out);
    machine_unlock(s->cpu->machine);
    char *text = g_string_free(out, FALSE);
    g_test_queue_free(text);
    return text;
}

static void expect(const Subject *s, const char *line, const char *text) { g_assert_cmpstr(run(s, line), ==, text); }

static void expect_part(const Subject *s, const char *line, const char *part)
{
    const char *text = run(s, line);
    if (!strstr(text, part))
        g_error("%s: no '%s' in: %s", line, part, text);
}

/* ---- page tables ---- */

typedef enum Mode { MODE_32, MODE_PAE, MODE_4, MODE_5, MODES } Mode;

static void enter_paging(Subject *s, Mode mode)
{
    Cpu *cpu = s->cpu;
    cpu->cr4 = CR4_PSE | (mode >= MODE_PAE ? CR4_PAE : 0) | (mode == MODE_5 ? CR4_LA57 : 0);
    cpu->efer = (mode >= MODE_PAE ? EFER_NXE : 0) | (mode >= MODE_4 ? EFER_LME | EFER_LMA : 0);
    cpu->cr3 = ROOT;
    cpu->cr0 |= CR0_PG | CR0_WP;
    if (mode >= MODE_4)
        cpu->seg[SEG_CS].attr = (cpu->seg[SEG_CS].attr & ~SA_DB) | SA_L;
    cpu_update_mode(cpu);
    tlb_flush_all(cpu);
}

static void put64(const Subject *s, uint64_t table, unsigned index, uint64_t v)
{
    st64le(s->ram + table + index * 8, v);
}

static void put32(const Subject *s, uint64_t table, unsigned index, uint32_t v)
{
    st32le(s->ram + table + index * 4, v);
}

/* The last three levels for all modes with entries of 8 bytes: small, large and huge pages, holes, reserved bits. */
static void put_lower_tables(const Subject *s, bool huge)
{
    if (huge) {
        put64(s, SECOND, 0, THIRD | 7);
        put64(s, SECOND, 1, UINT64_C(0x40000000) | 0x83 | PTE_NX);
        put64(s, SECOND, 3, THIRD | 7 | BIT(51)); /* more than the address bits of the model */
    }
    put64(s, THIRD, 0, LAST | 7);
    put64(s, THIRD, 1, 0x200000 | 0x1e7);
    put64(s, THIRD, 2, 0x400000 | 0x2000 | 0x87); /* bit 13 */
    put64(s, THIRD, 3, 0x600000 | 0x85);
    put64(s, LAST, 0, 0x0000 | 3);
    put64(s, LAST, 1, 0x1000 | 5);
    put64(s, LAST, 2, 0x2000 | 7 | PTE_NX);
    put64(s, LAST, 3, 0x3000 | 7 | PTE_NX);
    put64(s, LAST, 5, 0x9000 | 0x107 | 0x18);
}

static void test_4_level(void)
{
    Subject s = inspected("max,phys-bits=40");
    enter_paging(&s, MODE_4);
    put64(&s, ROOT, 0, SECOND | 7);
    put64(&s, ROOT, 256, SECOND | 3);
    put_lower_tables(&s, true);
    expect(&s, "info mem 0 0x7fffffffffff",
           "0000000000000000-0000000000001000 0000000000001000 -rwx\n"
           "0000000000001000-0000000000002000 0000000000001000 ur-x\n"
           "0000000000002000-0000000000004000 0000000000002000 urw-\n"
           "0000000000005000-0000000000006000 0000000000001000 urwx\n"
           "0000000000200000-0000000000400000 0000000000200000 urwx\n"
           "0000000000600000-0000000000800000 0000000000200000 ur-x\n"
           "0000000040000000-0000000080000000 0000000040000000 -rw-\n"
           "2 more with reserved bits set, which map nothing, the first for 0x0000000000400000: "
           "see 'page 0x400000'\n");
    expect_part(&s, "info mem", "ffff800000002000-ffff800000004000 0000000000002000 -rw-\n");
    expect(&s, "info tab 0 0x3fffff",
           "0x0000000000000000-0x0000000000003fff -> 0x000000000000-0x000000003fff\n"
           "0x0000000000005000-0x0000000000005fff -> 0x000000009000-0x000000009fff\n"
           "0x0000000000200000-0x00000000003fffff -> 0x000000200000-0x0000003fffff\n");
    expect(&s, "info tlb 0x2000 0x200000",
           "0000000000002000: 0000000000002000 X------UW 4K urw-\n"
           "0000000000003000: 0000000000003000 X------UW 4K urw-\n"
           "0000000000005000: 0000000000009000 -G---CTUW 4K urwx\n"
           "0000000000200000: 0000000000200000 -GPDA--UW 2M urwx\n");
    expect(&s, "gva2gpa 0x40123456", "gpa: 0x40123456\n");
    expect(&s, "gva2gpa 0xffff800000005678", "gpa: 0x9678\n");
    expect(&s, "gva2gpa 0x4000", "Unmapped\n");
    expect(&s, "gva2gpa 0x400000", "Unmapped\n");
    expect(&s, "gva2gpa 0x800000000000", "Unmapped\n");
}

static void test_page(void)
{
    Subject s = inspected("max,phys-bits=40");
    enter_paging(&s, MODE_4);
    put64(&s, ROOT, 0, SECOND | 7);
    put_lower_tables(&s, true);
    expect(&s, "page 0x2345",
           "4-level paging, CR3 0x000000001000\n"
           " PML4E at 0x000000001000: 0x0000000000002007 xd g ps d a pcd pwt U W P\n"
           " PDPTE at 0x000000002000: 0x0000000000003007 xd g ps d a pcd pwt U W P\n"
           "   PDE at 0x000000003000: 0x0000000000004007 xd g ps d a pcd pwt U W P\n"
           "   PTE at 0x000000004010: 0x8000000000002007 XD g pat d a pcd pwt U W P\n"
           "0x0000000000002345 is mapped to 0x000000002345 by a page of 4 KiB\n"
           "  user mode: read write\n"
           "  supervisor mode: read write\n");
    s.cpu->cr4 |= CR4_SMEP | CR4_SMAP | CR4_PKE;
    s.cpu->pkru = 8;
    put64(&s, LAST, 5, 0x9000 | 7 | UINT64_C(1) << 59);
    expect_part(&s, "page 0x5000",
                "  protection key 1: PKRU forbids writes\n"
                "  user mode: read execute\n"
                "  supervisor mode: nothing\n"
                "  SMEP: supervisors may not execute user pages\n"
                "  SMAP: supervisors may not access user pages while EFLAGS.AC is 0\n");
    expect_part(&s, "page 0x4000",
                "   PTE at 0x000000004020: 0x0000000000000000 xd g pat d a pcd pwt S R p  not present\n"
                                   "0x0000000000004000 is not mapped: the PTE is not present\n");
    expect_part(&s, "page 0x400000",
                "reserved bits set: 0x2000\n0x0000000000400000 is not mapped: the PDE has reserved bits set\n");
    expect_part(&s, "page 0xc0000000", "reserved bits set: 0x8000000000000\n");
    expect_part(&s, "page 0x800000000000", "is no address of 48 bits");
    put64(&s, ROOT, 1, UINT64_C(0x1000000000) | 3);
    expect_part(&s, "page 0x8000000000", " PDPTE at 0x001000000000: cannot be read: the table is not in RAM\n");
    expect_part(&s, "page 0x2345 cr3=0x20000", "0x0000000000002345 is not mapped: the PML4E is not present\n");
}

static void test_5_level(void)
{
    Subject s = inspected("max,phys-bits=40");
    enter_paging(&s, MODE_5);
    put64(&s, ROOT, 0x1ff, 0x5000 | 7);
    put64(&s, 0x5000, 0x1ff, SECOND | 7);
    put_lower_tables(&s, true);
    expect_part(&s, "page 0xffffff8000001000", "5-level paging, CR3 0x000000001000\n PML5E at 0x000000001ff8: ");
    expect_part(&s, "info mem", "ffffff8000002000-ffffff8000004000 0000000000002000 urw-\n");
    expect(&s, "gva2gpa 0xffffff8000001234", "gpa: 0x1234\n");
    expect_part(&s, "page 0x0100000000000000", "is no address of 57 bits");
    put64(&s, 0x5000, 0x1ff, SECOND | 0x87); /* no page is so large */
    expect_part(&s, "page 0xffffff8000001000", "reserved bits set: 0x80\n");
}

static void test_pae(void)
{
    Subject s = inspected("max,phys-bits=40");
    enter_paging(&s, MODE_PAE);
    s.cpu->pdpte[0] = THIRD | 1;
    put64(&s, ROOT, 0, 0x7000 | 1); /* in memory since: what was loaded counts */
    put_lower_tables(&s, false);
    expect(&s, "info mem",
           "0000000000000000-0000000000001000 0000000000001000 -rwx\n"
           "0000000000001000-0000000000002000 0000000000001000 ur-x\n"
           "0000000000002000-0000000000004000 0000000000002000 urw-\n"
           "0000000000005000-0000000000006000 0000000000001000 urwx\n"
           "0000000000200000-0000000000400000 0000000000200000 urwx\n"
           "0000000000600000-0000000000800000 0000000000200000 ur-x\n"
           "1 more with reserved bits set, which map nothing, the first for 0x0000000000400000: "
           "see 'page 0x400000'\n");
    expect_part(&s, "page 0x2000", " PDPTE at 0x000000001000: 0x0000000000003001");
    expect_part(&s, "page 0x2000", "(as loaded into the processor with CR3)");
    expect_part(&s, "page 0x2000 cr3=0x1000", "0x0000000000002000 is not mapped: the PDE is not present\n");
    expect(&s, "info tab 0 0x5000", "0x00000000-0x00003fff -> 0x000000000000-0x000000003fff\n"
                                    "0x00005000-0x00005fff -> 0x000000009000-0x000000009fff\n");
}

static void test_32(void)
{
    Subject s = inspected("max,phys-bits=40");
    enter_paging(&s, MODE_32);
    put32(&s, ROOT, 0, SECOND | 7);
    put32(&s, ROOT, 1, 0x00400000 | 0x83 | 0x1 << 13); /* at 4 GiB + 4 MiB */
    put32(&s, ROOT, 2, 0x00800000 | 0x83 | 1 << 21);
    put32(&s, ROOT, 0x3ff, ROOT | 3);                  /* itself */
    put32(&s, SECOND, 0, 0 | 5);
    put32(&s, SECOND, 0x3ff, 0x5000 | 3);
    expect(&s, "info mem 0 0xfffff",
           "0000000000000000-0000000000001000 0000000000001000 ur-x\n");
    expect(&s, "info mem 0x1000 0xbfffff",
           "00000000003ff000-0000000000800000 0000000000401000 -rwx\n"
           "1 more with reserved bits set, which map nothing, the first for 0x0000000000800000: "
           "see 'page 0x800000'\n");
    expect(&s, "info tlb 0x3ff000 0x7fffff",
           "00000000003ff000: 0000000000005000 --------W 4K -rwx\n"
           "0000000000400000: 0000000100400000 --P-----W 4M -rwx\n");
    expect_part(&s, "info tab", "0xffc00000-0xffc00fff -> 0x000000002000-0x000000002fff\n");
    expect_part(&s, "info tab", "0xfffff000-0xffffffff -> 0x000000001000-0x000000001fff\n");
    expect_part(&s, "page 0x400000", "PDE at 0x000000001004: 0x00402083 g PS d a pcd pwt S W P pat\n"
                                     "0x0000000000400000 is mapped to 0x000100400000 by a page of 4 MiB\n");
}

static void test_off(void)
{
    Subject s = inspected("max");
    expect(&s, "info mem", "PG disabled\n");
    expect(&s, "page 0x1234", "paging is off: 0x1234 is physical\n");
    expect(&s, "gva2gpa 0x1234", "gpa: 0x1234\n");
    expect_part(&s, "gpa2hva 0x1234", "Host virtual address for 0x1234 (ram) is 0x");
    expect(&s, "gpa2hva 0x100000", "No memory is mapped at address 0x100000\n");
    put32(&s, ROOT, 0, SECOND | 7); /* tables are ready before paging is on */
    put32(&s, SECOND, 3, 0x5000 | 7);
    expect(&s, "gva2gpa 0x3456 cr3=0x1000", "gpa: 0x5456\n");
}

/* Each table maps itself 512 times: nearly as many mappings as there are addresses. */
static void test_loop(void)
{
    Subject s = inspected("max");
    enter_paging(&s, MODE_4);
    for (unsigned k = 0; k < 512; k++)
        put64(&s, ROOT, k, ROOT | 7);
    expect_part(&s, "info mem", "there are too many tables, or they form a loop; go on with: info mem 0x");
    expect_part(&s, "info tlb", "there are more lines; go on with: info tlb 0xc350000\n");
}

/* ---- walks, against the processor's ---- */

static uint32_t random_state = 1;
static uint32_t random32(void) { return random_state = random_state * 1664525 + 1013904223; }
static uint32_t random_below(uint32_t n) { return (random32() >> 8) % n; }

/* Tables throughout RAM with a few entries each, most of which lead on. */
static uint64_t random_entry(unsigned size)
{
    uint64_t e = ((uint64_t)random_below(RAM >> 12) << 12) | random_below(0x1000) | 1;
    e = random_below(8) ? e & ~UINT64_C(0x80) : e;
    e = random_below(4) ? (e & ~UINT64_C(0x1e6)) | 6 : e;
    if (size == 4)
        return !(e & 0x80) || random_below(4) ? e : e | (uint64_t)random_below(16) << 20;
    if (e & 0x80)
        e &= random_below(4) ? ~UINT64_C(0x3fffe000) : ~UINT64_C(0);
    e |= random_below(8) ? 0 : PTE_NX;
    e |= random_below(16) ? 0 : BIT(32 + random_below(31));
    return e;
}

static void random_tables(const Subject *s, unsigned size)
{
    memset(s->ram, 0, RAM);
    for (uint64_t table = 0; table < RAM; table += 0x1000)
        for (unsigned k = 0; k < 8; k++)
            stle(s->ram + table + random_below(0x1000 / size) * size, random_entry(size), size);
}

/* A present entry of a table of so many, if there is one, searched for from a random one on. */
static unsigned random_present(const PageTables *t, const uint8_t *table, unsigned count)
{
    unsigned index = random_below(count);
    for (unsigned k = 0; k < count && !(ldle(table + index * t->entry_size, t->entry_size) & 1); k++)
        index = (index + 1) % count;
    return index;
}

/* An address whose entries are there more often than not. */
static uint64_t random_address(const PageTables *t, const Subject *s)
{
    uint64_t la = (uint64_t)random32() << 32 | random32(), table = t->root;
    unsigned bits = t->entry_size == 4 ? 10 : 9;
    for (unsigned level = t->levels; level; level--) {
        unsigned count = level == 3 && t->pae_pointers ? 4 : 1u << bits;
        const uint8_t *entries = s->ram + table % RAM;
        unsigned index = random_present(t, entries, count);
        la = bits_deposit(la, 12 + (level - 1) * bits, bits, index);
        table = ldle(entries + index * t->entry_size, t->entry_size) & UINT64_C(0xfffff000);
    }
    if (!t->canonical)
        return (uint32_t)la;
    return random_below(16) ? (uint64_t)sign_extend(la, t->bits) : la;
}

static bool same_walk(const Subject *s, const PageTables *t, uint64_t la)
{
    Translation own;
    PageWalk w;
    bool mapped = page_walk(t, la, &w), really = mmu_walk(s->cpu, la, &own);
    uint64_t spa = 0;
    bool there = mapped && page_system_address(t, w.gpa, &spa);
    if (there != really)
        return false;
    unsigned rights = page_rights(t, w.all, w.any);
    unsigned own_rights = (own.user ? PAGE_RIGHT_USER : 0) | (own.writable ? PAGE_RIGHT_WRITE : 0) |
                          (own.executable ? PAGE_RIGHT_EXEC : 0);
    return !there || (spa == own.gpa && UINT64_C(1) << w.shift == own.page_size && rights == own_rights);
}

static unsigned compare_walks(const Subject *s, const PageTables *t, unsigned count)
{
    unsigned mapped = 0;
    PageWalk w;
    for (unsigned k = 0; k < count; k++) {
        uint64_t la = random_address(t, s);
        g_autofree char *line = g_strdup_printf("page 0x%" G_GINT64_MODIFIER "x", la);
        if (!same_walk(s, t, la))
            g_error("walks differ: %s", run(s, line));
        mapped += page_walk(t, la, &w);
    }
    return mapped;
}

static bool collect(void *opaque, const PageMapping *m)
{
    if (!m->reserved)
        g_array_append_val((GArray *)opaque, *m);
    return true;
}

/* The list has what walks find, and nothing else. */
static void compare_scan(const Subject *s, const PageTables *t)
{
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(PageMapping));
    uint64_t stopped;
    g_assert_true(page_tables_scan(t, 0, ~UINT64_C(0), collect, all, &stopped));
    for (guint k = 0; k < all->len; k++) {
        const PageMapping *m = &g_array_index(all, PageMapping, k);
        PageWalk w;
        g_assert_true(page_walk(t, m->la, &w));
        g_assert_cmphex(w.gpa, ==, m->gpa);
        g_assert_cmphex(page_rights(t, w.all, w.any), ==, m->rights);
        g_assert_true(!k || m->la > m[-1].la + bit_mask(m[-1].shift));
    }
    for (unsigned n = 0; n < 2000; n++) {
        uint64_t la = random_address(t, s);
        PageWalk w;
        bool found = false;
        for (guint low = 0, high = all->len; low < high && !found;) {
            guint k = (low + high) / 2;
            const PageMapping *m = &g_array_index(all, PageMapping, k);
            found = la >= m->la && la - m->la <= bit_mask(m->shift);
            if (m->la > la)
                high = k;
            else
                low = k + 1;
        }
        g_assert_true(found == page_walk(t, la, &w));
    }
}

static void test_walks(gconstpointer data)
{
    Mode mode = GPOINTER_TO_UINT(data);
    unsigned mapped = 0;
    Subject s = inspected("max,phys-bits=40");
    enter_paging(&s, mode);
    for (unsigned n = 0; n < 8; n++) {
        PageTables t;
        random_state = n + 1;
        random_tables(&s, mode == MODE_32 ? 4 : 8);
        for (unsigned k = 0; k < 4 && mode == MODE_PAE; k++)
            put64(&s, ROOT, k, s.cpu->pdpte[k] = (uint64_t)random_below(RAM >> 12) << 12 | 1);
        s.cpu->efer = n & 1 ? s.cpu->efer & ~EFER_NXE : s.cpu->efer;
        page_tables_of(s.cpu, NULL, &t);
        mapped += compare_walks(&s, &t, 4000);
        compare_scan(&s, &t);
    }
    g_assert_cmpuint(mapped, >, 1000);
}

/* `page` shows both halves, whether they map an address or not. */
static void show_nested(const Subject *s, const PageTables *t)
{
    bool whole = false;
    while (!whole) {
        uint64_t la = random_address(t, s), spa;
        PageWalk w;
        g_autofree char *line = g_strdup_printf("page 0x%" G_GINT64_MODIFIER "x", la);
        bool mapped = page_walk(t, la, &w);
        whole = mapped && page_system_address(t, w.gpa, &spa);
        if (whole)
            expect_part(s, line, "  the guest: read write execute\n");
        else if (w.count && w.entry[w.count - 1].kind == PAGE_UNREADABLE)
            expect_part(s, line, "the nested tables do not map it to RAM");
        if (mapped)
            expect_part(s, line, "nested tables: ");
    }
}

/* A hypervisor's tables that map RAM to itself, with holes, but for the guest's first table. */
static void put_nested_tables(const Subject *s, Mode host)
{
    unsigned size = host == MODE_32 ? 4 : 8;
    memset(s->ram + NESTED, 0, 0x7000);
    if (host == MODE_32) {
        put32(s, NESTED, 0, (NESTED + 0x4000) | 7);
    } else {
        put64(s, NESTED, 0, (NESTED + 0x1000) | (host == MODE_PAE ? 1 : 7));
        put64(s, NESTED + 0x1000, 0, (NESTED + (host == MODE_PAE ? 0x4000 : 0x2000)) | 7);
        put64(s, NESTED + 0x2000, 0, (NESTED + (host == MODE_5 ? 0x3000 : 0x4000)) | 7);
        put64(s, NESTED + 0x3000, 0, (NESTED + 0x4000) | 7);
    }
    for (unsigned k = 0; k < RAM >> 12; k++)
        if (k == ROOT >> 12 || random_below(8))
            stle(s->ram + NESTED + 0x4000 + k * size, k << 12 | 7, size);
}

/* Under nested paging all of a guest's tables go through the hypervisor's, which are in another mode. */
static void test_nested(gconstpointer data)
{
    Mode host = GPOINTER_TO_UINT(data);
    unsigned mapped = 0;
    Subject s = inspected("max,phys-bits=40,+svm");
    Cpu *cpu = s.cpu;
    cpu->svm.host.cr4 = (host >= MODE_PAE ? CR4_PAE : 0) | CR4_PSE | (host == MODE_5 ? CR4_LA57 : 0);
    cpu->svm.host.efer = host >= MODE_4 ? EFER_LME | EFER_LMA | EFER_NXE : 0;
    enter_paging(&s, MODE_4);
    cpu->svm.guest = cpu->svm.nested = true;
    cpu->svm.nested_cr3 = NESTED;
    for (unsigned n = 0; n < 4; n++) {
        PageTables t, nested;
        random_state = n + 100;
        random_tables(&s, 8);
        put_nested_tables(&s, host);
        page_tables_of(cpu, NULL, &t);
        g_assert_true(page_tables_nested(cpu, &nested));
        mapped += compare_walks(&s, &t, 4000);
        show_nested(&s, &t);
    }
    g_assert_cmpuint(mapped, >, 100);
}

/* ---- descriptor tables ---- */

static void put_descriptor(const Subject *s, unsigned sel, uint32_t w1, uint32_t w0)
{
    st32le(s->ram + GDT + sel, w0);
    st32le(s->ram + GDT + sel + 4, w1);
}

static void test_gdt(void)
{
    Subject s = inspected("max");
    s.cpu->gdtr = (TablePtr){ .base = GDT, .limit = 0x6f };
    put_descriptor(&s, 0x08, 0x00cf9a00, 0x0000ffff);
    put_descriptor(&s, 0x10, 0x00cf92ff, 0x1234ffff);
    put_descriptor(&s, 0x18, 0x00009e0f, 0x0000fffe);
    put_descriptor(&s, 0x20, 0x0000f600, 0x00000000);
    put_descriptor(&s, 0x40, 0x00008900, 0xa0000067);
    put_descriptor(&s, 0x48, 0x0000820b, 0x0000000f);
    put_descriptor(&s, 0x50, 0x5678ec03, 0x00081234);
    put_descriptor(&s, 0x58, 0x0000e500, 0x00400000);
    put_descriptor(&s, 0x60, 0x00008400, 0x00081234);
    put_descriptor(&s, 0x68, 0x00008e00, 0x00081234);
    expect(&s, "info gdt",
           "GDT at 0x00008000, limit 0x6f\n"
           "GDT[0x0000]: empty\n"
           "GDT[0x0008]: 32-bit code, base=0x00000000, limit=0xffffffff, execute/read, DPL=0\n"
           "GDT[0x0010]: 32-bit data, base=0x00ff1234, limit=0xffffffff, read/write, DPL=0\n"
           "GDT[0x0018]: 16-bit code, base=0x000f0000, limit=0x0000fffe, execute/read, conforming, DPL=0\n"
           "GDT[0x0020]: 16-bit data, base=0x00000000, limit=0x00000000, read/write, expand-down, DPL=3\n"
           "GDT[0x0028]..GDT[0x0038]: empty\n"
           "GDT[0x0040]: 32-bit TSS (available), base=0x0000a000, limit=0x00000067, DPL=0\n"
           "GDT[0x0048]: LDT, base=0x000b0000, limit=0x0000000f, DPL=0\n"
           "GDT[0x0050]: 32-bit call gate to 0x0008:0x56781234, DPL=3, 3 parameters\n"
           "GDT[0x0058]: task gate to TSS 0x0040, DPL=3\n"
           "GDT[0x0060]: 16-bit call gate to 0x0008:0x00001234, DPL=0, 0 parameters\n"
           "GDT[0x0068]: 0x00008e0000081234: not valid in this table\n");
    expect(&s, "info gdt 0x0b", "GDT at 0x00008000, limit 0x6f\n"
                                "GDT[0x0008]: 32-bit code, base=0x00000000, limit=0xffffffff, execute/read, DPL=0\n");
    expect_part(&s, "info gdt 0x70", "entry 0x70 is beyond the limit");
    expect(&s, "info gdt 0x10 8", "the range ends before it begins\n");
    expect(&s, "info ldt", "there is no LDT: LDTR is 0x0000\n");
    s.cpu->seg[SEG_LDTR] = (Segment){ .sel = 0x48, .base = GDT + 8, .limit = 15, .attr = SA_P | 2 };
    expect_part(&s, "info ldt", "LDT[0x0008]: 32-bit data, base=0x00ff1234");
}

static void test_gdt_long(void)
{
    Subject s = inspected("max");
    enter_paging(&s, MODE_4);
    put64(&s, ROOT, 0, SECOND | 7);
    put_lower_tables(&s, true);
    put64(&s, LAST, 8, GDT | 3);
    s.cpu->gdtr = (TablePtr){ .base = GDT, .limit = 0x1fff };
    put_descriptor(&s, 0x08, 0x00af9b00, 0x0000ffff);
    put_descriptor(&s, 0x10, 0x12008b34, 0x56780067);
    st32le(s.ram + GDT + 0x18, 0xffffffff);
    put_descriptor(&s, 0x20, 0x0000ec00, 0x00081234);
    st32le(s.ram + GDT + 0x28, 0xffff8000);
    expect(&s, "info gdt",
           "GDT at 0x00008000, limit 0x1fff\n"
           "GDT[0x0000]: empty\n"
           "GDT[0x0008]: 64-bit code, base=0x00000000, limit=0xffffffff, execute/read, accessed, DPL=0\n"
           "GDT[0x0010]: 64-bit TSS (busy), base=0xffffffff12345678, limit=0x00000067, DPL=0\n"
           "GDT[0x0020]: 64-bit call gate to 0x0008:0xffff800000001234, DPL=3\n"
           "GDT[0x0030]..GDT[0x0ff8]: empty\n"
           "GDT[0x1000]..GDT[0x1ff8]: not mapped\n");
}

static void put_gate(const Subject *s, unsigned at, uint32_t w1, uint32_t w0)
{
    st32le(s->ram + at, w0);
    st32le(s->ram + at + 4, w1);
}

static void test_idt(void)
{
    Subject s = inspected("max");
    s.cpu->idtr = (TablePtr){ .base = IDT, .limit = 0x7ff };
    put_gate(&s, IDT, 0x00128e00, 0x00083456);
    put_gate(&s, IDT + 8, 0x00008f00, 0x00080010);
    put_gate(&s, IDT + 16, 0x0000e500, 0x00400000);
    put_gate(&s, IDT + 24, 0xffff8600, 0x00085678);
    put_gate(&s, IDT + 32, 0x00008900, 0x00000000);
    put_gate(&s, IDT + 40, 0x00000e00, 0x00085678);
    expect(&s, "info idt",
           "IDT at 0x00009000, limit 0x7ff\n"
           "IDT[0x00]: 32-bit interrupt gate to 0x0008:0x00123456, DPL=0\n"
           "IDT[0x01]: 32-bit trap gate to 0x0008:0x00000010, DPL=0\n"
           "IDT[0x02]: task gate to TSS 0x0040, DPL=3\n"
           "IDT[0x03]: 16-bit interrupt gate to 0x0008:0x00005678, DPL=0\n"
           "IDT[0x04]: 0x0000890000000000: not valid as a gate of interrupts\n"
           "IDT[0x05]: 32-bit interrupt gate to 0x0008:0x00005678, DPL=0, not present\n"
           "IDT[0x06]..IDT[0xff]: empty\n");
    expect(&s, "info idt 3", "IDT at 0x00009000, limit 0x7ff\n"
                             "IDT[0x03]: 16-bit interrupt gate to 0x0008:0x00005678, DPL=0\n");
    expect_part(&s, "info idt 256", "entry number 0x100 is beyond the limit");
    s.cpu->cr0 &= ~CR0_PE;
    cpu_update_mode(s.cpu);
    s.cpu->idtr = (TablePtr){ .base = 0, .limit = 0x3ff };
    st32le(s.ram + 0x40, 0xf000fea5);
    expect(&s, "info idt 0x10", "IVT at 0x00000000, limit 0x3ff\nIVT[0x10]: f000:fea5 (0x000ffea5)\n");
}

static void test_tss(void)
{
    Subject s = inspected("max");
    expect(&s, "info tss", "there is no TSS: TR is 0x0000\n");
    s.cpu->seg[SEG_TR] = (Segment){ .sel = 0x40, .base = TSS, .limit = 0x90, .attr = SA_P | 11 };
    st32le(s.ram + TSS + 4, 0x7000);
    st16le(s.ram + TSS + 102, 0x80);
    memset(s.ram + TSS + 0x80, 0xff, 0x11);
    s.ram[TSS + 0x80 + 0x60 / 8] = 0xee;
    s.ram[TSS + 0x80 + 0x10 / 8] = 0x0f;
    const char *text = run(&s, "info tss");
    g_assert_nonnull(strstr(text, "TSS 0x0040, 32-bit, at 0x0000a000, limit 0x90\n"));
    g_assert_nonnull(strstr(text, "  esp0   0x00007000\n"));
    g_assert_nonnull(strstr(text, "  I/O map at offset 0x80; ports allowed: 0x14-0x17, 0x60, 0x64\n"));
    s.cpu->seg[SEG_TR].limit = 0x2b;
    s.cpu->seg[SEG_TR].attr = SA_P | 3;
    st16le(s.ram + TSS + 42, 0x48);
    expect_part(&s, "info tss", "  ldt    0x0048\n");
    enter_paging(&s, MODE_4);
    s.cpu->seg[SEG_TR].attr = SA_P | 11;
    s.cpu->seg[SEG_TR].limit = 0x67;
    expect_part(&s, "info tss", "  ist7   not mapped\n  I/O map");
}

/* ---- memory ---- */

static void test_x(void)
{
    Subject s = inspected("max");
    for (unsigned k = 0; k < 64; k++)
        s.ram[0x5000 + k] = k * 5;
    memcpy(s.ram + 0x6000, "Hello\n\0wo\"rld\0\xff", 16);
    st64le(s.ram + 0x7000, UINT64_C(0x3ff8000000000000));
    expect(&s, "x /3xb 0x5000", "0000000000005000: 0x00 0x05 0x0a\n");
    expect(&s, "x/2xw 0x5000", "0000000000005000: 0x0f0a0500 0x231e1914\n");
    expect(&s, "x /1xg 0x5000", "0000000000005000: 0x231e19140f0a0500\n");
    expect(&s, "x /2dh 0x5038", "0000000000005038: 7448 10018\n");
    expect(&s, "x /1db 0x5020", "0000000000005020: -96\n");
    expect(&s, "x /1ub 0x5020", "0000000000005020: 160\n");
    expect(&s, "x /1ob 0x5020", "0000000000005020: 0240\n");
    expect(&s, "x /2tb 0x5001", "0000000000005001: 00000101 00001010\n");
    expect(&s, "x /3c 0x6004", "0000000000006004: 'o' '\\n' '\\x00'\n");
    expect(&s, "x /2s 0x6000", "0000000000006000: \"Hello\\n\"\n0000000000006007: \"wo\\\"rld\"\n");
    expect(&s, "x /1fg 0x7000", "0000000000007000: 1.5\n");
    expect(&s, "x /18bm 0x6000",
           "0000000000006000: 48 65 6c 6c 6f 0a 00 77 6f 22 72 6c 64 00 ff 00  Hello..wo\"rld...\n"
           "0000000000006010: 00 00                                            ..\n");
    expect(&s, "xp /1xw 0x5000", "0000000000005000: 0x0f0a0500\n");
    expect(&s, "x /1xw 0x200000", "0000000000200000: 0xffffffff\n");
    expect_part(&s, "x /1qw 0", "'q' is neither a format");
    expect_part(&s, "x", "usage: x");
    enter_paging(&s, MODE_4);
    expect(&s, "x /1xw 0x5000", "0000000000005000: cannot access memory at 0x5000\n");
    expect(&s, "x /1s 0x5000", "0000000000005000: \" cannot access memory at 0x5000\n");
    expect(&s, "x /1i 0x5000", "   0x0000000000005000:  not mapped\n");
}

static void test_u(void)
{
    static const uint8_t code[] = { 0x90, 0xb8, 0x78, 0x56, 0x34, 0x12, 0xc3 };
    Subject s = inspected("max");
    memcpy(s.ram + 0x5000, code, sizeof code);
    s.cpu->rip = 0x5001;
    const char *text = run(&s, "u /3 0x5000");
    g_assert_true(g_str_has_prefix(text, "   0x00005000:  nop"));
    g_assert_nonnull(strstr(text, "=> 0x00005001:  mov"));
    g_assert_nonnull(strstr(text, " ; b878563412\n   0x00005006:  ret"));
    g_assert_true(g_str_has_prefix(run(&s, "u"), "=> 0x00005001:"));
    g_assert_cmpstr(run(&s, "u 0x5000 +7"), ==, text);
    g_assert_cmpstr(run(&s, "u 0x5000, 0x5007"), ==, text);
    expect_part(&s, "u /2 bits=16 0x5001", " ; b87856\n");
    expect_part(&s, "u bits=8", "bits=8: code has 16, 32 or 64 bits\n");
    expect(&s, "u 0x5000 0x4000", "the range ends before it begins\n");
    s.cpu->cr0 &= ~CR0_PE;
    s.cpu->seg[SEG_CS] = (Segment){ .sel = 0x400, .base = 0x4000, .limit = 0xffff,
                                    .attr = SA_P | SA_S | SA_CODE | SA_WRITABLE };
    s.cpu->rip = 0x1000;
    cpu_update_mode(s.cpu);
    g_assert_true(g_str_has_prefix(run(&s, "u"), "=> 0x00005000 (0400:1000):  nop"));
}

static void test_stack(void)
{
    Subject s = inspected("max");
    s.cpu->gpr[R_SP] = 0x5ffc;
    s.cpu->seg[SEG_SS].base = 0x1000;
    st64le(s.ram + 0x6ffc, UINT64_C(0x1122334455667788));
    cpu_update_mode(s.cpu);
    expect(&s, "print-stack 2", "0x00006ffc: 0x55667788\n0x00007000: 0x11223344\n");
    s.cpu->seg[SEG_SS].attr &= ~SA_DB;
    s.cpu->gpr[R_SP] = 0xfffe;
    cpu_update_mode(s.cpu);
    expect(&s, "print-stack 2", "0x00010ffe: 0x0000\n0x00001000: 0x0000\n");
}

static void test_find(void)
{
    Subject s = inspected("max");
    memcpy(s.ram + 0x5ffe, "needle", 6);
    memcpy(s.ram + 0x7000, "needle", 6);
    st32le(s.ram + 0x9001, 0x12345678);
    expect(&s, "find 0x4000 +0x8000 \"needle\"", "0x00005ffe\n0x00007000\n");
    expect(&s, "find /s 0x4000 +0x8000 needle", "0x00005ffe\n0x00007000\n");
    expect(&s, "find /p 0x4000 0x7000 \"need\" 0x6c \"e\"", "0x00005ffe\n");
    expect(&s, "find /w 0, +0x10000, 0x12345678", "0x00009001\n");
    expect(&s, "find /g 0, +0x10000, 0x12345678", "0x00009001\n");
    expect(&s, "find 0x7000 +6 \"needle\"", "0x00007000\n");
    expect(&s, "find 0x7000 +5 \"needle\"", "not found\n");
    expect(&s, "find /1 0 +0x8000 \"needle\"", "0x00005ffe\nthere may be more: go on from 0x5fff\n");
    expect(&s, "find 0 0xffffffffffffffff \"needle\"", "0x00005ffe\n0x00007000\n");
    expect_part(&s, "find 0 +10", "what?");
    expect_part(&s, "find 0", "where does it end?");
    enter_paging(&s, MODE_4);
    put64(&s, ROOT, 0, SECOND | 7);
    put64(&s, ROOT, 256, SECOND | 7);
    put_lower_tables(&s, true);
    put64(&s, LAST, 0x55, 0x5000 | 7);
    put64(&s, LAST, 0x56, 0x6000 | 7);
    expect(&s, "find 0 0xffffffffffffffff \"needle\"", "0x0000000000055ffe\n0xffff800000055ffe\n");
}

static void test_change(void)
{
    Subject s = inspected("max");
    expect(&s, "set rax = 0x1234", "");
    g_assert_cmphex(s.cpu->gpr[R_AX], ==, 0x1234);
    expect(&s, "set $eax=5", "");
    g_assert_cmphex(s.cpu->gpr[R_AX], ==, 5);
    expect_part(&s, "set rax", "usage: set");
    expect_part(&s, "set 5 = 5", "set: ");
    expect(&s, "set u16[0x5010] = 0x123456", "");
    expect(&s, "set phys8[0x5012] = u8[0x5011] == 0x34", "");
    g_assert_cmphex(ld32le(s.ram + 0x5010), ==, 0x13456);
    expect(&s, "setpmem 0x5000 2 0x123456", "");
    g_assert_cmphex(ld32le(s.ram + 0x5000), ==, 0x3456);
    expect_part(&s, "setpmem 0x5000 3 0", "it is 1, 2, 4 or 8");
    expect(&s, "crc 0x5000 +2", "0x8c8c1c98\n");
    expect(&s, "in /w 0x80", "port 0x0080 = 0xffffffff\n");
    expect(&s, "i /xh 0x80", "port 0x0080 = 0xffff\n");
    expect(&s, "out 0x80 1", "");
    expect_part(&s, "in 0x10000", "is no port");
}

static void test_files(void)
{
    Subject s = inspected("max");
    g_autofree char *folder = g_dir_make_tmp("inspect-XXXXXX", NULL), *file = g_strdup_printf("%s/a file", folder);
    g_autofree char *save = g_strdup_printf("writemem \"%s\" 0x5000 8", file);
    g_autofree char *load = g_strdup_printf("loadmem \"%s\" 0x6004", file);
    g_autofree char *core = g_strdup_printf("dump-guest-memory \"%s\"", file);
    g_autofree char *data = NULL;
    gsize size;
    st64le(s.ram + 0x5000, UINT64_C(0x1122334455667788));
    expect(&s, save, "");
    expect_part(&s, load, "8 bytes at 0x6004\n");
    g_assert_cmphex(ld64le(s.ram + 0x6004), ==, UINT64_C(0x1122334455667788));
    expect_part(&s, "memsave 0 0xffffffffffffffff /dev/null", "are more than this machine's memory\n");
    expect_part(&s, "pmemsave 0 1 /nowhere/at/all", "'/nowhere/at/all' cannot be written: No such file");
    expect_part(&s, "pmemsave 0, 1, \"/nowhere/at all\"", "'/nowhere/at all' cannot be written: No such file");
    expect_part(&s, "memsave", "usage: memsave");
    expect_part(&s, "memsave file", "usage: memsave");
    expect_part(&s, core, "1 program headers, 2 MiB in");
    g_assert_true(g_file_get_contents(file, &data, &size, NULL));
    const uint8_t *elf = (const uint8_t *)data;
    g_assert_cmpuint(elf[4], ==, 1);
    g_assert_cmpuint(ld16le(elf + 16), ==, 4);
    uint32_t offset = ld32le(elf + 52 + 32 + 4);
    g_assert_cmphex(ld64le(elf + offset + 0x5000), ==, UINT64_C(0x1122334455667788));
    g_assert_cmpuint(size, ==, offset + RAM);
    expect_part(&s, "dump-guest-memory -p /dev/null", "paging is off");
    expect_part(&s, "dump-guest-memory", "usage");
    unlink(file);
    rmdir(folder);
}

/* ---- registers ---- */

static void test_registers(void)
{
    Subject s = inspected("max");
    s.cpu->gpr[R_AX] = 0xabcd;
    s.cpu->cr0 |= CR0_TS;
    s.cpu->dr[0] = 0x1234;
    s.cpu->dr[7] = 0x000d0402;
    s.cpu->fpu.reg[0] = (Float80){ .mant = UINT64_C(0xc000000000000000), .sexp = 0x4000 };
    s.cpu->fpu.tags = 1;
    expect_part(&s, "r", "eax: 0000abcd  ebx: 00000000");
    expect_part(&s, "r", ": id vip vif ac vm rf nt IOPL=0 of df if tf sf");
    expect(&s, "r eax cs", "eax: 0x0000abcd\ncs: 0x0000\n");
    expect_part(&s, "r nonsense", "'nonsense' is no register");
    expect_part(&s, "sreg", "cs:0x0000, dh=0x00cf9b00, dl=0x0000ffff\n"
                            "\tcode, execute/read, base=0x00000000, limit=0xffffffff, 32-bit");
    expect_part(&s, "creg", ": pg cd nw am wp NE ET TS em mp PE\n");
    expect_part(&s, "dreg", "DR0=0x0000000000001234: write of 4 bytes, global\n");
    expect_part(&s, "fp", "FP0 ST0: 0x4000 c000000000000000 +3\n");
    expect_part(&s, "sse", "masked: PE UE OE ZE DE IE\n");
    expect_part(&s, "zmm", "ZMM[07]: 0000000000000000");
    expect_part(&s, "info registers", "EAX=0000abcd");
    expect_part(&s, "info registers -a", "CPU#0\nEAX=0000abcd");
    expect_part(&s, "info cpus", "* CPU #0: apic id 0, pc 0x000000000000fff0, 32-bit, CPL 0");
    expect_part(&s, "info cpu", "XMM[00]");
}

/* ---- nonsense ---- */

static const char *random_token(void)
{
    static const char *const tokens[] = {
        "0", "1", "0x1000", "0xffffffffffffffff", "0x7fffffffffff", "0xffff800000000000", "rax", "$rsp", "rip", "cs",
        "-", "+",
        "+8", "/8xg", "/4i", "/99999999999999999999x", "/s", "/p", "/", "/q", "bits=16", "bits=", "cr3=0x1000", "cr3=",
        "cr3",
        "\"", "\"text\"", "\"\"", "=", "= 5", "rax = 7", ",", "soft", "-a", "-p", "-f", "out", "%s", "(", ")", "[",
        "rax+",
        "0x5000 +16", "0x40", "100000", "\xff\xfe",
    };
    return tokens[random_below(G_N_ELEMENTS(tokens))];
}

static void random_line(GString *line)
{
    static const CommandRow *const tables[] = {
        memory_commands, memory_change_commands, memory_search_commands, disassemble_commands, dump_commands,
        paging_commands,
        register_commands, vector_commands, paging_info, register_info, table_info, tss_info, device_info,
    };
    unsigned n = random_below(G_N_ELEMENTS(tables)), rows = 0;
    while (tables[n][rows].name)
        rows++;
    g_string_printf(line, "%s%s", n >= 8 ? "info " : "", tables[n][random_below(rows)].name);
    for (unsigned k = random_below(6); k; k--)
        g_string_append_printf(line, " %s", random_token());
}

/* No line does any harm.  Files go to a folder of their own, and are small. */
static void test_nonsense(void)
{
    g_autofree char *folder = g_dir_make_tmp("inspect-XXXXXX", NULL), *before = g_get_current_dir();
    g_autoptr(GString) line = g_string_new(NULL);
    g_autofree char *clean = g_strdup_printf("rm -rf '%s'", folder);
    Subject s = inspected("max");
    struct rlimit old;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 1 << 16, old.rlim_max });
    g_assert_cmpint(chdir(folder), ==, 0);
    for (unsigned n = 0; n < 3000; n++) {
        if (n % 500 == 0) {
            random_state = n + 7;
            random_tables(&s, n % 1000 ? 8 : 4);
            enter_paging(&s, n / 500 % MODES);
        }
        random_line(line);
        GString *out = g_string_new(NULL);
        machine_lock(s.cpu->machine);
        command_execute(s.cpu->machine, NULL, line->str, out);
        machine_unlock(s.cpu->machine);
        g_string_free(out, TRUE);
    }
    setrlimit(RLIMIT_FSIZE, &old);
    g_assert_cmpint(chdir(before), ==, 0);
    g_assert_cmpint(system(clean), ==, 0);
}

int main(int argc, char **argv)
{
    static const char *const modes[MODES] = { "32", "pae", "4", "5" };
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/inspect/paging/4-level", test_4_level);
    g_test_add_func("/inspect/paging/5-level", test_5_level);
    g_test_add_func("/inspect/paging/pae", test_pae);
    g_test_add_func("/inspect/paging/32", test_32);
    g_test_add_func("/inspect/paging/off", test_off);
    g_test_add_func("/inspect/paging/page", test_page);
    g_test_add_func("/inspect/paging/loop", test_loop);
    for (unsigned k = 0; k < MODES; k++) {
        g_autofree char *walks = g_strdup_printf("/inspect/walks/%s", modes[k]);
        g_autofree char *nested = g_strdup_printf("/inspect/nested/%s", modes[k]);
        g_test_add_data_func(walks, GUINT_TO_POINTER(k), test_walks);
        g_test_add_data_func(nested, GUINT_TO_POINTER(k), test_nested);
    }
    g_test_add_func("/inspect/tables/gdt", test_gdt);
    g_test_add_func("/inspect/tables/gdt-long", test_gdt_long);
    g_test_add_func("/inspect/tables/idt", test_idt);
    g_test_add_func("/inspect/tables/tss", test_tss);
    g_test_add_func("/inspect/memory/x", test_x);
    g_test_add_func("/inspect/memory/u", test_u);
    g_test_add_func("/inspect/memory/stack", test_stack);
    g_test_add_func("/inspect/memory/find", test_find);
    g_test_add_func("/inspect/memory/change", test_change);
    g_test_add_func("/inspect/memory/files", test_files);
    g_test_add_func("/inspect/registers", test_registers);
    g_test_add_func("/inspect/nonsense", test_nonsense);
    return g_test_run();
}
