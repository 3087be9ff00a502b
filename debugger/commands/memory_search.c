/* Commands that go through memory: find, crc. */
#include <inttypes.h>
#include <string.h>

#include "core/machine.h"
#include "debugger/commands/command.h"
#include "debugger/commands/disassemble.h"
#include "debugger/page_tables.h"
#include "debugger/symbols/symbols.h"
#include "util/bits.h"
#include "util/endian.h"

enum { PIECE = 4096, MATCHES = 100, PATTERN_MAX = 256 };

/* So much of memory is looked at in one go: some seconds' work. */
#define BYTES_MAX (4 * GiB)

/* ---- memory in pieces ---- */

/* How many bytes from an address on are certainly not there (0: they are, up to the end of the page). */
static uint64_t hole_at(const MemoryView *v, const PageTables *t, uint64_t address)
{
    PageWalk w;
    uint64_t spa;
    if (v->physical || !t->levels) {
        AsTarget target = as_lookup(v->cpu->machine->memory, address);
        return target.host ? 0 : MAX(target.room, PIECE - (address & (PIECE - 1)));
    }
    if (page_walk(t, address, &w)) /* devices are not read: that may do something */
        return page_system_address(t, w.gpa, &spa) && as_lookup(v->cpu->machine->memory, spa).host
                   ? 0 : PIECE - (address & (PIECE - 1));
    if (!w.count) /* between the halves of canonical addresses */
        return t->canonical && address < -BIT(t->bits - 1) ? -BIT(t->bits - 1) - address : ~UINT64_C(0);
    return bit_mask(w.shift) + 1 - (address & bit_mask(w.shift));
}

/* ---- find ---- */

typedef struct Search {
    MemoryView view;
    PageTables tables;
    unsigned size;          /* of numbers; 0: as they need */
    unsigned matches_left;
    bool string;
    uint64_t from, last;
    uint8_t pattern[PATTERN_MAX];
    unsigned length;
    uint8_t piece[PATTERN_MAX + PIECE]; /* what came before, for matches across pieces, and a piece */
    unsigned kept;
} Search;

static bool parse_options(MonitorCommand *c, const char **p, Search *s)
{
    static const char letters[] = "bhwg";
    while (**p == '/') {
        for (++*p; **p && !g_ascii_isspace(**p) && **p != '/'; ++*p) {
            const char *size = strchr(letters, **p);
            if (size)
                s->size = 1u << (size - letters);
            else if (**p == 's' || **p == 'p')
                *(**p == 's' ? &s->string : &s->view.physical) = true;
            else if (g_ascii_isdigit(**p))
                s->matches_left = MIN(s->matches_left * 10u + (**p - '0'), 1000000u);
            else {
                g_string_append_printf(c->out, "find: '%c' is none of b h w g (sizes), s (a string), p (physical)\n",
                                       **p);
                return false;
            }
        }
        *p += strspn(*p, " \t");
    }
    return true;
}

static bool add_bytes(MonitorCommand *c, Search *s, const void *bytes, size_t n)
{
    if (n > PATTERN_MAX - s->length) {
        g_string_append_printf(c->out, "find: a pattern has at most %u bytes\n", PATTERN_MAX);
        return false;
    }
    memcpy(s->pattern + s->length, bytes, n);
    s->length += n;
    return true;
}

static bool add_number(MonitorCommand *c, Search *s, uint64_t v)
{
    uint8_t b[8];
    unsigned need = !(v >> 8) ? 1 : !(v >> 16) ? 2 : !(v >> 32) ? 4 : 8;
    stle(b, v, 8);
    return add_bytes(c, s, b, s->size ? s->size : need);
}

static bool add_string(MonitorCommand *c, Search *s, const char **p)
{
    g_autofree char *text = command_word(p);
    *p += strspn(*p, " \t,");
    return add_bytes(c, s, text, strlen(text));
}

/* Numbers and "strings", up to the end; with /s the rest is one. */
static bool parse_pattern(MonitorCommand *c, const char *p, Search *s)
{
    uint64_t v;
    if (s->string && *p != '"')
        return add_bytes(c, s, p, strlen(p));
    while (*p) {
        if (*p == '"') {
            if (!add_string(c, s, &p))
                return false;
        } else if (!command_next_value(c, &p, &v) || !add_number(c, s, v)) {
            return false;
        }
    }
    return true;
}

static bool report_match(Search *s, uint64_t address, GString *out)
{
    memory_view_address(&s->view, address, out);
    g_string_append_c(out, '\n');
    if (--s->matches_left)
        return true;
    g_string_append_printf(out, "there may be more: go on from 0x%" PRIx64 "\n", address + 1);
    return false;
}

/* Looks through what was kept and n new bytes, of which the last is the one before `next`; false: enough. */
static bool search_piece(Search *s, unsigned n, uint64_t next, GString *out)
{
    unsigned have = s->kept + n;
    for (unsigned k = 0; k + s->length <= have; k++)
        if (s->piece[k] == s->pattern[0] && !memcmp(s->piece + k, s->pattern, s->length) &&
            !report_match(s, next - have + k, out))
            return false;
    s->kept = MIN(have, s->length - 1);
    memmove(s->piece, s->piece + have - s->kept, s->kept);
    return true;
}

static void search(Search *s, GString *out)
{
    uint64_t looked = 0;
    for (uint64_t at = s->from;; ) {
        uint64_t hole = hole_at(&s->view, &s->tables, at), n = MIN(s->last - at, PIECE - 1 - (at & (PIECE - 1))) + 1;
        if (!hole && !memory_view_read(&s->view, at, s->piece + s->kept, n))
            hole = n;
        if (hole) {
            s->kept = 0;
            n = hole;
        } else if (!search_piece(s, n, at + n, out)) {
            return;
        }
        if (s->last - at < n)
            return;
        at += n;
        looked += hole ? PIECE / 8 : n;
        if (looked > BYTES_MAX) {
            g_string_append_printf(out, "so far up to 0x%" PRIx64 ": go on from there\n", at);
            return;
        }
    }
}

static void run_find(MonitorCommand *c)
{
    Search s = { .view = memory_view(c, false) };
    const char *p = c->arguments;
    if (!parse_options(c, &p, &s))
        return;
    if (!*p) {
        g_string_append(c->out,
                        "usage: find [/s|b|h|w|g] [/p] FROM TO|+LENGTH PATTERN, e.g. find 0x1000 +0x100 0x55 0xaa\n");
        return;
    }
    if (!memory_from(c, &p, &s.from) || !memory_until(c, &p, s.from, &s.last) || !parse_pattern(c, p, &s))
        return;
    if (!s.length) {
        g_string_append(c->out, "find: what? Numbers, or \"strings\"\n");
        return;
    }
    s.matches_left = s.matches_left ? s.matches_left : MATCHES;
    page_tables_of(s.view.cpu, NULL, &s.tables);
    gsize before = c->out->len;
    search(&s, c->out);
    if (c->out->len == before)
        g_string_append(c->out, "not found\n");
}

/* ---- crc ---- */

/* The CRC of ISO 3309, as zlib, Ethernet and Bochs have it. */
static uint32_t crc32_add(uint32_t crc, const uint8_t *b, unsigned n)
{
    static const uint32_t nibbles[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    for (unsigned k = 0; k < n; k++) {
        crc ^= b[k];
        crc = crc >> 4 ^ nibbles[crc & 15];
        crc = crc >> 4 ^ nibbles[crc & 15];
    }
    return crc;
}

static void command_crc(MonitorCommand *c)
{
    MemoryView v = memory_view(c, true);
    const char *p = c->arguments;
    uint64_t from, last;
    uint32_t crc = ~0u;
    if (!*p)
        g_string_append(c->out, "usage: crc FROM TO|+LENGTH (physical addresses)\n");
    if (!*p || !memory_from(c, &p, &from) || !memory_until(c, &p, from, &last))
        return;
    if (*p || last - from >= BYTES_MAX) {
        g_string_append(c->out, *p ? "crc: only a range is asked for\n" : "crc: at most 4 GiB at a time\n");
        return;
    }
    for (uint64_t at = from, left = last - from + 1; left;) {
        uint8_t b[PIECE];
        unsigned n = MIN(left, PIECE - (at & (PIECE - 1)));
        memory_view_read(&v, at, b, n);
        crc = crc32_add(crc, b, n);
        at += n;
        left -= n;
    }
    g_string_append_printf(c->out, "0x%08x\n", ~crc);
}

const CommandRow memory_search_commands[] = {
    { .name = "crc", .arguments = "FROM TO|+LENGTH", .help = "CRC-32 of physical memory", .run = command_crc,
      .paused = true },
    { .name = "find", .arguments = "[/FLAGS] FROM TO|+LENGTH PATTERN",
      .help = "where bytes or a string stand in memory",
      .run = run_find, .completes = COMPLETE_SYMBOL, .paused = true,
      .more = "  PATTERN: numbers, of a size that /b, /h, /w or /g says or that each needs, and \"strings\";\n"
              "  after /s: text.\n"
              "  /p: physical addresses; /20: at most 20 places.  Memory that is not mapped is passed over.\n"
              "  find /w 0 +0x100000 0x20445352   find /s start_kernel +4096 Linux   find 0 0x1000 \"RSD \" 0x50\n" },
    { .name = NULL },
};
