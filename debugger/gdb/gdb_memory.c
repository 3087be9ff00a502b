/* Memory through the gdb port: m, M, x, X, and the memory map (gdb manual E.2, E.12). */
#include <inttypes.h>

#include "core/memory.h"
#include "cpu/mmu.h"
#include "debugger/gdb/gdb_internal.h"

/* What fits into a reply of two digits a byte. */
#define READ_MAX (GDB_PACKET_MAX / 2 - 2)

/*
 * Addresses are 32 bits wide outside long mode, whatever gdb takes the CPU for.  In long mode it may have cut them:
 * where nothing is mapped, but at the whole address there is.
 */
static uint64_t linear_address(const GdbPort *g, uint64_t address)
{
    Translation t;
    uint64_t full = gdb_full_address(address);
    if (!g->cpu->long_mode)
        return (uint32_t)address;
    bool was_cut = full != address && !mmu_walk(g->cpu, address, &t) && mmu_walk(g->cpu, full, &t);
    return was_cut ? full : address;
}

/* Within a page. */
static bool read_piece(GdbPort *g, uint64_t address, uint8_t *bytes, size_t size)
{
    if (!g->physical)
        return debugger_read(g->cpu, linear_address(g, address), bytes, size);
    as_read_bytes(g->machine->memory, address, bytes, size);
    return true;
}

/* As much as is mapped, and at least one byte; 0: nothing. */
static size_t read_memory(GdbPort *g, uint64_t address, uint8_t *bytes, size_t size)
{
    size_t done = 0;
    while (done < size) {
        uint64_t at = address + done;
        size_t n = MIN(size - done, GUEST_PAGE_SIZE - (at & ~GUEST_PAGE_MASK));
        if (!read_piece(g, at, bytes + done, n))
            break;
        done += n;
    }
    return done;
}

static bool write_memory(GdbPort *g, uint64_t address, const uint8_t *bytes, size_t size)
{
    if (!g->physical)
        return debugger_write(g->cpu, linear_address(g, address), bytes, size);
    as_load_bytes(g->machine->memory, address, bytes, size);
    return true;
}

/* "ADDRESS,SIZE", and then a character or the end. */
static bool parse_range(const char **p, uint64_t *address, uint64_t *size, char then)
{
    return gdb_parse_hex_then(p, address, ',') && gdb_parse_hex_then(p, size, then);
}

/* The bytes that "ADDRESS,SIZE" asks for, as many as can be read; NULL: an error is replied. */
static uint8_t *read_range(GdbPort *g, const char *range, size_t *done)
{
    uint64_t address, size;
    if (!parse_range(&range, &address, &size, 0)) {
        gdb_reply_error(g, GDB_EINVAL);
        return NULL;
    }
    g_autofree uint8_t *bytes = g_malloc(READ_MAX);
    *done = read_memory(g, address, bytes, MIN(size, READ_MAX));
    if (size && !*done) {
        gdb_reply_error(g, GDB_EFAULT);
        return NULL;
    }
    return g_steal_pointer(&bytes);
}

static void run_m(GdbPort *g, const char *rest, size_t packet)
{
    size_t done;
    g_autofree uint8_t *bytes = read_range(g, rest, &done);
    (void)packet;
    if (bytes)
        gdb_put_bytes(g->reply, bytes, done);
}

/* "b" and the bytes as they are; escapes may double them. */
static void run_x(GdbPort *g, const char *rest, size_t packet)
{
    size_t done;
    g_autofree uint8_t *bytes = read_range(g, rest, &done);
    (void)packet;
    if (!bytes)
        return;
    g_string_assign(g->reply, "b");
    g_string_append_len(g->reply, (const char *)bytes, done);
}

static void reply_written(GdbPort *g, bool written)
{
    if (written)
        gdb_reply_ok(g);
    else
        gdb_reply_error(g, GDB_EFAULT);
}

static void run_M(GdbPort *g, const char *rest, size_t packet)
{
    uint64_t address, size;
    const char *end = rest + packet;
    if (!parse_range(&rest, &address, &size, ':') || (end - rest) % 2 ||
        (uint64_t)(end - rest) / 2 != size) {
        gdb_reply_error(g, GDB_EINVAL);
        return;
    }
    g_autofree uint8_t *bytes = g_malloc(size + 1);
    if (!gdb_parse_bytes(&rest, bytes, size))
        gdb_reply_error(g, GDB_EINVAL);
    else
        reply_written(g, !size || write_memory(g, address, bytes, size));
}

static void run_X(GdbPort *g, const char *rest, size_t packet)
{
    uint64_t address, size;
    const char *end = rest + packet;
    if (!parse_range(&rest, &address, &size, ':') || (uint64_t)(end - rest) != size)
        gdb_reply_error(g, GDB_EINVAL);
    else
        reply_written(g, !size || write_memory(g, address, (const uint8_t *)rest, size));
}

const GdbCommand gdb_memory_commands[] = {
    { "m", false, run_m }, { "M", false, run_M }, { "x", false, run_x },
    { "X", false, run_X }, { NULL, false, NULL },
};

/* ---- the map ---- */

static void put_memory(GString *out, bool rom, uint64_t first, uint64_t last)
{
    g_string_append_printf(out, "<memory type=\"%s\" start=\"0x%" PRIx64 "\" length=\"0x%" PRIx64 "\"/>",
                           rom ? "rom" : "ram", first, last - first + 1);
}

/* Only ROM that nothing lies behind is ROM: what shadow RAM has read-only for now may be written later. */
static bool is_rom(const AsTarget *t) { return t->host && t->readonly; }

/*
 * gdb takes what the map does not name for unreachable, and its addresses are linear: so all that is not ROM is RAM, to
 * the end of the address space.  ROM has gdb use hardware breakpoints, which are no different here.
 */
void gdb_make_memory_map(GdbPort *g, GString *out)
{
    const uint64_t half = UINT64_C(1) << 63, low = UINT64_C(1) << 32;
    uint64_t first = 0;
    bool rom = false;
    g_string_append(out, "<?xml version=\"1.0\"?><!DOCTYPE memory-map PUBLIC \"+//IDN gnu.org//DTD GDB Memory Map "
                         "V1.0//EN\" \"http://sourceware.org/gdb/gdb-memory-map.dtd\"><memory-map>");
    for (uint64_t at = 0; at < low;) {
        AsTarget t = as_lookup(g->machine->memory, at);
        if (is_rom(&t) != rom && at) {
            put_memory(out, rom, first, at - 1);
            first = at;
        }
        rom = is_rom(&t);
        at += MAX(t.room, 1);
    }
    if (rom) {
        put_memory(out, true, first, low - 1);
        first = low;
    }
    put_memory(out, false, first, half - 1);
    put_memory(out, false, half, UINT64_MAX);
    g_string_append(out, "</memory-map>");
}
