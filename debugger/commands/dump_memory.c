/*
 * dump-guest-memory: the guest's memory and its CPUs' registers as an ELF core file, for gdb and crash.
 *
 * The form is that of QEMU's command: a note NT_PRSTATUS for each CPU, as in core files of Linux, then one of type 0
 * by the owner "QEMU" with the system registers (crash finds the kernel by these), then program headers.  Those have
 * physical addresses; linear ones are the same, or with -p those of the current CPU's page tables, in which case what
 * is not mapped has linear address 0.  All headers of the same memory refer to the same place in the file, and pages
 * of zeros are holes in it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/machine.h"
#include "debugger/commands/command.h"
#include "debugger/commands/dump_notes.h"
#include "debugger/page_tables.h"
#include "util/bits.h"

/* System V ABI, chapters 4 and 5. */
enum { ELF_CORE = 4, ELF_386 = 3, ELF_X86_64 = 62, ELF_LOAD = 1, ELF_NOTE = 4, ELF_MANY = 0xffff };

#define SEGMENTS_MAX 1000000

/* A range of RAM or ROM, and where its bytes are in the file. */
typedef struct Block {
    uint64_t gpa, size, offset;
} Block;

/* A program header for memory. */
typedef struct Segment64 {
    uint64_t la, gpa, size;
} Segment64;

typedef struct Dump {
    MonitorCommand *c;
    bool wide;           /* ELFCLASS64; else ELFCLASS32 */
    bool long_mode;      /* registers are those of x86-64 */
    GArray *blocks;      /* of Block, by gpa */
    GArray *segments;    /* of Segment64 */
    GByteArray *notes;
    uint64_t data;       /* offset of memory in the file */
    uint64_t end;
} Dump;

/* ---- memory ---- */

/* All RAM and ROM between two addresses, last included. */
static void find_blocks(Dump *d, uint64_t first, uint64_t last)
{
    for (uint64_t at = first;;) {
        AsTarget t = as_lookup(d->c->machine->memory, at);
        uint64_t room = MIN(t.room ? t.room - 1 : 0, last - at); /* behind the byte at `at` */
        Block *before = d->blocks->len ? &g_array_index(d->blocks, Block, d->blocks->len - 1) : NULL;
        if (t.host && before && before->gpa + before->size == at) {
            before->size += room + 1;
        } else if (t.host) {
            Block b = { .gpa = at, .size = room + 1 };
            g_array_append_val(d->blocks, b);
        }
        if (last - at <= room)
            return;
        at += room + 1;
    }
}

static bool add_segment(Dump *d, uint64_t la, uint64_t gpa, uint64_t size)
{
    Segment64 s = { la, gpa, size };
    g_array_append_val(d->segments, s);
    return d->segments->len < SEGMENTS_MAX;
}

/* The parts of a mapping that are in blocks; joined to the last segment where they follow it. */
static bool add_mapping(void *opaque, const PageMapping *m)
{
    Dump *d = opaque;
    uint64_t end = m->gpa + bit_mask(m->shift) + 1;
    for (guint k = 0; k < d->blocks->len && !m->reserved; k++) {
        const Block *b = &g_array_index(d->blocks, Block, k);
        uint64_t from = MAX(m->gpa, b->gpa), to = MIN(end, b->gpa + b->size), la = m->la + (from - m->gpa);
        if (from >= to)
            continue;
        Segment64 *last = d->segments->len ? &g_array_index(d->segments, Segment64, d->segments->len - 1) : NULL;
        if (last && last->la + last->size == la && last->gpa + last->size == from && from != b->gpa)
            last->size += to - from;
        else if (!add_segment(d, la, from, to - from))
            return false;
    }
    return true;
}

static gint by_gpa(gconstpointer a, gconstpointer b)
{
    const Segment64 *p = a, *q = b;
    return p->gpa < q->gpa ? -1 : p->gpa > q->gpa;
}

/* What of the blocks no segment has, with linear address 0. */
static void add_unmapped(Dump *d)
{
    g_autoptr(GArray) sorted = g_array_copy(d->segments);
    g_array_sort(sorted, by_gpa);
    guint k = 0;
    for (guint n = 0; n < d->blocks->len; n++) {
        const Block *b = &g_array_index(d->blocks, Block, n);
        uint64_t at = b->gpa, end = b->gpa + b->size;
        for (; k < sorted->len && g_array_index(sorted, Segment64, k).gpa < end; k++) {
            const Segment64 *s = &g_array_index(sorted, Segment64, k);
            if (s->gpa > at)
                add_segment(d, 0, at, s->gpa - at);
            at = MAX(at, s->gpa + s->size);
        }
        if (at < end)
            add_segment(d, 0, at, end - at);
    }
}

static bool add_linear(Dump *d)
{
    PageTables t;
    uint64_t stopped;
    page_tables_of(debugger_cpu(d->c->debugger), NULL, &t);
    if (!t.levels || t.nested) {
        g_string_append(d->c->out, t.nested ? "dump-guest-memory: -p: not while a guest runs in nested page tables\n"
                                            : "dump-guest-memory: -p: paging is off\n");
        return false;
    }
    if (!page_tables_scan(&t, 0, ~UINT64_C(0), add_mapping, d, &stopped)) {
        g_string_append_printf(d->c->out, "dump-guest-memory: -p: there are too many mappings, up to 0x%" PRIx64
                               " already\n", stopped);
        return false;
    }
    add_unmapped(d);
    return true;
}

static void add_physical(Dump *d)
{
    for (guint k = 0; k < d->blocks->len; k++) {
        const Block *b = &g_array_index(d->blocks, Block, k);
        add_segment(d, b->gpa, b->gpa, b->size);
    }
}

/* ---- headers ---- */

/* A number as wide as the class of the file. */
static void put_word(const Dump *d, GByteArray *a, uint64_t v) { dump_put(a, v, d->wide ? 8 : 4); }

static unsigned header_size(const Dump *d) { return d->wide ? 64 : 52; }
static unsigned program_header_size(const Dump *d) { return d->wide ? 56 : 32; }
static unsigned section_header_size(const Dump *d) { return d->wide ? 64 : 40; }

/* More program headers than 16 bits count are told of by the first section header. */
static bool counts_in_section(const Dump *d) { return d->segments->len + 1 >= ELF_MANY; }

static void put_header(const Dump *d, GByteArray *a)
{
    const uint8_t ident[16] = { 0x7f, 'E', 'L', 'F', d->wide ? 2 : 1, 1, 1 };
    bool many = counts_in_section(d);
    unsigned count = d->segments->len + 1, headers_end = header_size(d) + count * program_header_size(d);
    g_byte_array_append(a, ident, sizeof ident);
    dump_put(a, ELF_CORE, 2);
    dump_put(a, d->long_mode ? ELF_X86_64 : ELF_386, 2);
    dump_put(a, 1, 4);
    put_word(d, a, 0);
    put_word(d, a, header_size(d));
    put_word(d, a, many ? headers_end : 0);
    dump_put(a, 0, 4);
    dump_put(a, header_size(d), 2);
    dump_put(a, program_header_size(d), 2);
    dump_put(a, many ? ELF_MANY : count, 2);
    dump_put(a, many ? section_header_size(d) : 0, 2);
    dump_put(a, many, 2);
    dump_put(a, 0, 2);
}

static void put_program_header(const Dump *d, GByteArray *a, uint32_t type, uint64_t offset, Segment64 s)
{
    dump_put(a, type, 4);
    if (d->wide)
        dump_put(a, 0, 4);
    put_word(d, a, offset);
    put_word(d, a, s.la);
    put_word(d, a, s.gpa);
    put_word(d, a, s.size);
    put_word(d, a, type == ELF_LOAD ? s.size : 0);
    if (!d->wide)
        dump_put(a, 0, 4);
    put_word(d, a, 0);
}

/* Section 0: null, but for sh_info. */
static void put_section_header(const Dump *d, GByteArray *a)
{
    dump_put_zeros(a, d->wide ? 44 : 28);
    dump_put(a, d->segments->len + 1, 4);
    dump_put_zeros(a, section_header_size(d) - (d->wide ? 48 : 32));
}

static uint64_t place_in_file(const Dump *d, uint64_t gpa)
{
    for (guint k = 0; k < d->blocks->len; k++) {
        const Block *b = &g_array_index(d->blocks, Block, k);
        if (gpa - b->gpa < b->size)
            return b->offset + (gpa - b->gpa);
    }
    return 0;
}

/* Where everything goes. */
static void lay_out(Dump *d)
{
    uint64_t at = header_size(d) + (uint64_t)(d->segments->len + 1) * program_header_size(d);
    at += (counts_in_section(d) ? section_header_size(d) : 0) + d->notes->len;
    d->data = at = align_up(at, 4096);
    for (guint k = 0; k < d->blocks->len; k++) {
        Block *b = &g_array_index(d->blocks, Block, k);
        b->offset = at;
        at += b->size;
    }
    d->end = at;
}

static GByteArray *make_headers(Dump *d)
{
    GByteArray *a = g_byte_array_new();
    unsigned notes = header_size(d) + (d->segments->len + 1) * program_header_size(d);
    notes += counts_in_section(d) ? section_header_size(d) : 0;
    put_header(d, a);
    put_program_header(d, a, ELF_NOTE, notes, (Segment64){ .size = d->notes->len });
    for (guint k = 0; k < d->segments->len; k++) {
        const Segment64 *s = &g_array_index(d->segments, Segment64, k);
        put_program_header(d, a, ELF_LOAD, place_in_file(d, s->gpa), *s);
    }
    if (counts_in_section(d))
        put_section_header(d, a);
    g_byte_array_append(a, d->notes->data, d->notes->len);
    return a;
}

/* ---- the file ---- */

static bool write_block(Dump *d, FILE *f, const Block *b)
{
    static const uint8_t zeros[4096];
    for (uint64_t done = 0; done < b->size;) {
        uint8_t page[4096];
        unsigned n = MIN(sizeof page, b->size - done);
        as_read_bytes(d->c->machine->memory, b->gpa + done, page, n);
        if (memcmp(page, zeros, n) && (fseeko(f, b->offset + done, SEEK_SET) || fwrite(page, 1, n, f) != n))
            return false;
        done += n;
    }
    return true;
}

static bool write_file(Dump *d, FILE *f)
{
    g_autoptr(GByteArray) headers = make_headers(d);
    bool ok = fwrite(headers->data, 1, headers->len, f) == headers->len;
    for (guint k = 0; ok && k < d->blocks->len; k++)
        ok = write_block(d, f, &g_array_index(d->blocks, Block, k));
    return ok && !fflush(f) && !ftruncate(fileno(f), d->end);
}

static void write_dump(Dump *d, const char *file)
{
    GString *out = d->c->out;
    FILE *f = fopen(file, "wb");
    bool ok = f && write_file(d, f);
    if (f && fclose(f))
        ok = false;
    if (!ok)
        g_string_append_printf(out, "dump-guest-memory: '%s' cannot be written: %s\n", file, g_strerror(errno));
    else
        g_string_append_printf(out, "%u program headers, %" PRIu64 " MiB in '%s'\n", d->segments->len,
                               (d->end + MiB - 1) / MiB, file);
}

static void command_dump(MonitorCommand *c)
{
    const Cpu *cpu = debugger_cpu(c->debugger);
    const char *p = c->arguments;
    g_autofree char *option = command_word(&p), *second = NULL;
    bool paging = !g_strcmp0(option, "-p");
    const char *file = paging ? second = command_word(&p) : option;
    if (!file || *file == '-' || p[strspn(p, " \t")]) {
        g_string_append(c->out, "usage: dump-guest-memory [-p] FILE\n");
        return;
    }
    Dump d = { .c = c, .long_mode = cpu->long_mode, .blocks = g_array_new(FALSE, FALSE, sizeof(Block)),
               .segments = g_array_new(FALSE, FALSE, sizeof(Segment64)), .notes = g_byte_array_new() };
    find_blocks(&d, 0, bit_mask(52));
    const Block *last = d.blocks->len ? &g_array_index(d.blocks, Block, d.blocks->len - 1) : NULL;
    d.wide = d.long_mode || (last && last->gpa + last->size > BIT(32));
    dump_put_notes(c->debugger, d.long_mode, d.notes);
    if (!paging)
        add_physical(&d);
    if (!paging || add_linear(&d)) {
        lay_out(&d);
        write_dump(&d, file);
    }
    g_array_unref(d.blocks);
    g_array_unref(d.segments);
    g_byte_array_unref(d.notes);
}

const CommandRow dump_commands[] = {
    { .name = "dump-guest-memory", .arguments = "[-p] FILE", .help = "write memory and registers to an ELF core file",
      .run = command_dump, .completes = COMPLETE_FILE, .paused = true,
      .more = "  gdb and crash read it.  Addresses are physical; with -p also linear, as the current CPU maps them.\n" },
    { .name = NULL },
};
