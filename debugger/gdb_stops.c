/*
 * Breakpoints and watchpoints of the gdb port (gdb manual E.2: Z and z).
 *
 * Nothing is written into the guest's memory, and there are as many as one likes: software and hardware breakpoints are
 * the same, and neither is lost when a loader writes over the code.
 */
#include "debugger/gdb_internal.h"

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
    for (guint k = 0; stop && k < g->stops->len; k++)
        if (g_array_index(g->stops, GdbStop, k).id == stop->point.id)
            return &g_array_index(g->stops, GdbStop, k);
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
    return s->length && s->address + (s->length - 1) >= s->address;
}

static StopPoint point_of(const GdbStop *s)
{
    static const uint8_t access[] = { 0, 0, STOP_WRITE, STOP_READ, STOP_READ | STOP_WRITE };
    return (StopPoint){ .kind = s->type < '2' ? STOP_CODE : STOP_DATA, .access = access[s->type - '0'],
                        .first = s->address, .last = s->address + s->length - 1 };
}

static void run_Z(GdbPort *g, const char *rest, size_t size)
{
    GdbStop s = { 0 };
    (void)size;
    if (!parse_stop(rest, &s)) {
        gdb_reply_error(g, GDB_EINVAL);
        return;
    }
    if (find_stop(g, &s) < 0) {
        s.id = debugger_stop_add(g->debugger, &(Stop){ .point = point_of(&s), .enabled = true, .cpu = -1, .owner = g })
                   ->point.id;
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
        Stop *stop = debugger_stop_find(g->debugger, g_array_index(g->stops, GdbStop, at).id);
        g_array_remove_index(g->stops, at);
        if (stop)
            debugger_stop_remove(g->debugger, stop);
    }
    gdb_reply_ok(g);
}

const GdbCommand gdb_stop_commands[] = { { "Z", false, run_Z }, { "z", false, run_z }, { NULL, false, NULL } };
