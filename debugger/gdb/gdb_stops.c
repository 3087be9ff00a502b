/*
 * Breakpoints and watchpoints of the gdb port (gdb manual E.2: Z and z).
 *
 * Nothing is written into the guest's memory, and there are as many as one likes: software and hardware breakpoints
 * are the same, and neither is lost when a loader writes over the code.
 *
 * While gdb takes the processor for a 32-bit one it cuts addresses to 32 bits: of a kernel in the topmost 2 GiB that is
 * still to be started, the upper half is lost, and when gdb has followed the processor into long mode it removes the
 * breakpoint by its full address.  So both forms of such an address are the same here, and both are stopped at.
 */
#include "debugger/gdb/gdb_internal.h"

static int find_stop(const GdbPort *g, const GdbStop *like)
{
    for (guint k = 0; k < g->stops->len; k++) {
        const GdbStop *s = &g_array_index(g->stops, GdbStop, k);
        if (s->type == like->type && s->address == like->address && s->length == like->length)
            return k;
    }
    return -1;
}

const GdbStop *gdb_stop_of(const GdbPort *g, const Stop *stop)
{
    for (guint k = 0; stop && k < g->stops->len; k++) {
        const GdbStop *s = &g_array_index(g->stops, GdbStop, k);
        if (s->id[0] == stop->point.id || s->id[1] == stop->point.id)
            return s;
    }
    return NULL;
}

void gdb_stops_clear(GdbPort *g)
{
    if (g->stops->len)
        debugger_stops_remove_all(g->debugger, g);
    g_array_set_size(g->stops, 0);
}

/* "TYPE,ADDRESS,KIND": of a breakpoint the kind is the size of an instruction that is never written. */
static bool parse_stop(const char *p, GdbStop *s)
{
    if (*p < '0' || *p > '4' || p[1] != ',')
        return false;
    s->type = *p;
    p += 2;
    if (!gdb_parse_hex_then(&p, &s->address, ',') || !gdb_parse_hex(&p, &s->length) || (*p && *p != ';'))
        return false;
    if (s->type < '2')
        s->length = 1;
    uint64_t given = s->address;
    s->address = gdb_full_address(given);
    s->cut = s->address != given;
    return s->length && s->address + (s->length - 1) >= s->address;
}

static unsigned add_stop(GdbPort *g, const GdbStop *s, uint64_t address)
{
    static const uint8_t access[] = { 0, 0, STOP_WRITE, STOP_READ, STOP_READ | STOP_WRITE };
    StopPoint p = { .kind = s->type < '2' ? STOP_CODE : STOP_DATA, .access = access[s->type - '0'],
                    .first = address, .last = address + s->length - 1 };
    return debugger_stop_add(g->debugger, &(Stop){ .point = p, .enabled = true, .cpu = -1, .owner = g })->point.id;
}

static void remove_stop(GdbPort *g, unsigned id)
{
    Stop *s = id ? debugger_stop_find(g->debugger, id) : NULL;
    if (s)
        debugger_stop_remove(g->debugger, s);
}

static void run_Z(GdbPort *g, const char *rest, size_t size)
{
    GdbStop s = { 0 };
    (void)size;
    if (!parse_stop(rest, &s)) {
        gdb_reply_error(g, GDB_EINVAL);
        return;
    }
    int at = find_stop(g, &s);
    if (at >= 0) {
        g_array_index(g->stops, GdbStop, at).cut = s.cut;
    } else {
        s.id[0] = add_stop(g, &s, s.address);
        if (s.address >> 31 == UINT64_MAX >> 31)
            s.id[1] = add_stop(g, &s, (uint32_t)s.address);
        g_array_append_val(g->stops, s);
    }
    gdb_reply_ok(g);
}

static void run_z(GdbPort *g, const char *rest, size_t size)
{
    GdbStop s = { 0 };
    (void)size;
    if (!parse_stop(rest, &s)) {
        gdb_reply_error(g, GDB_EINVAL);
        return;
    }
    int at = find_stop(g, &s);
    if (at >= 0) {
        s = g_array_index(g->stops, GdbStop, at);
        g_array_remove_index(g->stops, at);
        remove_stop(g, s.id[0]);
        remove_stop(g, s.id[1]);
    }
    gdb_reply_ok(g);
}

const GdbCommand gdb_stop_commands[] = { { "Z", false, run_Z }, { "z", false, run_z }, { NULL, false, NULL } };
