/* Tables in memory, entry by entry (table_print.h). */
#include "debugger/commands/table_print.h"

#include <inttypes.h>

#include "debugger/symbols/symbols.h"
#include "util/endian.h"

uint64_t table_read(MonitorCommand *c, uint64_t la, unsigned size)
{
    uint8_t b[8];
    return debugger_read(debugger_cpu(c->debugger), la, b, size) ? ldle(b, size) : 0;
}

void table_print_head(MonitorCommand *c, const Table *t)
{
    g_string_append_printf(c->out, "%s at 0x%0*" PRIx64, t->name, t->base >> 32 ? 16 : 8, t->base);
    symbols_print(debugger_symbols(c->debugger), t->base, c->out);
    g_string_append_printf(c->out, ", limit 0x%x\n", t->limit);
}

typedef enum EntryKind { ENTRY_USED, ENTRY_EMPTY, ENTRY_NOT_MAPPED } EntryKind;

static EntryKind entry_kind(MonitorCommand *c, const Table *t, uint32_t offset)
{
    uint8_t b[16];
    if (!debugger_read(debugger_cpu(c->debugger), t->base + offset, b, t->entry_size))
        return ENTRY_NOT_MAPPED;
    for (unsigned k = 0; k < t->entry_size; k++)
        if (b[k])
            return ENTRY_USED;
    return ENTRY_EMPTY;
}

static void print_name(MonitorCommand *c, const Table *t, uint32_t offset, bool by_offset)
{
    g_string_append_printf(c->out, by_offset ? "%s[0x%04x]" : "%s[0x%02x]", t->name,
                           by_offset ? offset : offset / t->entry_size);
}

/* A run of entries of one kind that have nothing to show. */
static uint32_t print_run(MonitorCommand *c, const Table *t, uint32_t offset, uint32_t last, EntryKind kind,
                          bool by_offset)
{
    uint32_t end = offset + t->entry_size;
    while (end <= last && entry_kind(c, t, end) == kind)
        end += t->entry_size;
    print_name(c, t, offset, by_offset);
    if (end - offset > t->entry_size) {
        g_string_append(c->out, "..");
        print_name(c, t, end - t->entry_size, by_offset);
    }
    g_string_append(c->out, kind == ENTRY_EMPTY ? ": empty\n" : ": not mapped\n");
    return end;
}

/* Entries from offset on whose first byte is at `last` at most. */
static void print_entries(MonitorCommand *c, const Table *t, uint32_t offset, uint32_t last, bool by_offset)
{
    while (offset <= last) {
        EntryKind kind = entry_kind(c, t, offset);
        if (kind != ENTRY_USED) {
            offset = print_run(c, t, offset, last, kind, by_offset);
            continue;
        }
        print_name(c, t, offset, by_offset);
        g_string_append(c->out, ": ");
        offset += t->print(c, t->base + offset, offset);
        g_string_append_c(c->out, '\n');
    }
}

/* [N [M]]: false after a message. */
static bool parse_entries(MonitorCommand *c, const Table *t, bool by_offset, uint64_t *first, uint64_t *last)
{
    const char *p = c->arguments;
    if (!*p)
        return true;
    if (!command_next_value(c, &p, first))
        return false;
    *last = *first;
    if (*p && !command_value(c, p, last))
        return false;
    if (by_offset) {
        *first &= ~UINT64_C(7);
        *last &= ~UINT64_C(7);
    } else {
        *first = MIN(*first, UINT32_MAX) * t->entry_size;
        *last = MIN(*last, UINT32_MAX) * t->entry_size;
    }
    if (*last >= *first)
        return true;
    g_string_append(c->out, "the range ends before it begins\n");
    return false;
}

void table_print(MonitorCommand *c, const Table *t, bool by_offset)
{
    uint64_t first = 0, last = ~UINT64_C(0);
    if (!parse_entries(c, t, by_offset, &first, &last))
        return;
    table_print_head(c, t);
    if (t->limit + UINT64_C(1) < t->entry_size || first > t->limit + UINT64_C(1) - t->entry_size) {
        g_string_append_printf(c->out, "%s: entry %s0x%" PRIx64 " is beyond the limit\n", t->name,
                               by_offset ? "" : "number ",
                               by_offset ? first : first / t->entry_size);
        return;
    }
    print_entries(c, t, first, MIN(last, t->limit + UINT64_C(1) - t->entry_size), by_offset);
}
