/* General queries and settings of the gdb port (gdb manual E.4, E.5): q and Q packets. */
#include <string.h>

#include "debugger/commands/command.h"
#include "debugger/gdb/gdb_internal.h"

/* ---- what is supported ---- */

static void run_supported(GdbPort *g, const char *rest, size_t size)
{
    (void)size;
    g->swbreak = strstr(rest, "swbreak+") != NULL;
    g->hwbreak = strstr(rest, "hwbreak+") != NULL;
    g_string_printf(g->reply,
                    "PacketSize=%x;qXfer:features:read+;qXfer:threads:read+;qXfer:memory-map:read+;QStartNoAckMode+;"
                    "QNonStop+;vContSupported+;swbreak+;hwbreak+;ReverseStep+;ReverseContinue+;binary-upload+",
                    GDB_PACKET_MAX);
}

static void run_no_ack(GdbPort *g, const char *rest, size_t size)
{
    (void)rest, (void)size;
    gdb_send(g, "OK", 2);
    g->no_reply = g->no_ack = true;
}

static void run_non_stop(GdbPort *g, const char *rest, size_t size)
{
    (void)size;
    if (strcmp(rest, "0") && strcmp(rest, "1")) {
        gdb_reply_error(g, GDB_EINVAL);
        return;
    }
    if (*rest == '0')
        debugger_interrupt(g->debugger);
    gdb_nonstop_set(g, *rest == '1');
    gdb_reply_ok(g);
}

static void run_attached(GdbPort *g, const char *rest, size_t size)
{
    (void)rest, (void)size;
    g_string_assign(g->reply, "1");
}

/* lldb's: what kind of machine this is. */
static void run_host(GdbPort *g, const char *rest, size_t size)
{
    static const char triple[] = "x86_64-unknown-unknown", triple32[] = "i386-unknown-unknown";
    bool wide = cpu_has(g->cpu, FEAT_LM);
    const char *name = wide ? triple : triple32;
    (void)rest, (void)size;
    g_string_assign(g->reply, "triple:");
    gdb_put_bytes(g->reply, (const uint8_t *)name, strlen(name));
    g_string_append_printf(g->reply, ";endian:little;ptrsize:%d;", wide ? 8 : 4);
}

static void run_process(GdbPort *g, const char *rest, size_t size)
{
    run_host(g, rest, size);
    g_string_prepend(g->reply, "pid:1;");
}

/* ---- objects ---- */

typedef struct Object {
    const char *name;
    void (*make)(GdbPort *g, GString *out);
} Object;

static const Object objects[] = {
    { "features:read:target.xml:", gdb_make_description },
    { "threads:read::", gdb_make_threads },
    { "memory-map:read::", gdb_make_memory_map },
};

/* "OFFSET,LENGTH": a piece of what the object was when its first piece was read. */
static void reply_piece(GdbPort *g, const Object *o, const char *range)
{
    uint64_t offset, length;
    if (!gdb_parse_hex_then(&range, &offset, ',') || !gdb_parse_hex_then(&range, &length, 0)) {
        gdb_reply_error(g, GDB_EINVAL);
        return;
    }
    if (!offset) {
        g_string_truncate(g->object, 0);
        o->make(g, g->object);
    }
    offset = MIN(offset, g->object->len);
    length = MIN(length, MIN(g->object->len - offset, GDB_PACKET_MAX / 2)); /* escapes may double it */
    g_string_assign(g->reply, offset + length < g->object->len ? "m" : "l");
    g_string_append_len(g->reply, g->object->str + offset, length);
}

static void run_transfer(GdbPort *g, const char *rest, size_t size)
{
    (void)size;
    for (unsigned k = 0; k < G_N_ELEMENTS(objects); k++)
        if (g_str_has_prefix(rest, objects[k].name)) {
            reply_piece(g, &objects[k], rest + strlen(objects[k].name));
            return;
        }
    if (g_str_has_prefix(rest, "features:read:"))
        g_string_assign(g->reply, "E00"); /* no such annex */
}

/* ---- the monitor ---- */

static void run_monitor(GdbPort *g, const char *rest, size_t size)
{
    g_autofree char *line = g_malloc0(size / 2 + 1);
    g_autoptr(GString) out = g_string_new(NULL);
    if (size % 2 || !gdb_parse_bytes(&rest, (uint8_t *)line, size / 2)) {
        gdb_reply_error(g, GDB_EINVAL);
        return;
    }
    command_execute(g->machine, NULL, line, out);
    gdb_send_output(g, out->str);
    gdb_reply_ok(g);
}

/* ---- QEMU's ---- */

static void run_physical_ask(GdbPort *g, const char *rest, size_t size)
{
    (void)rest, (void)size;
    g_string_assign(g->reply, g->physical ? "1" : "0");
}

static void run_physical(GdbPort *g, const char *rest, size_t size)
{
    (void)size;
    if (strcmp(rest, "0") && strcmp(rest, "1")) {
        gdb_reply_error(g, GDB_EINVAL);
        return;
    }
    g->physical = *rest == '1';
    gdb_reply_ok(g);
}

/* Single steps: bit 1 has interrupts wait; bit 2, timers standing still, is not offered. */
enum { SSTEP_ENABLE = 1, SSTEP_NOIRQ = 2 };

static void run_step_bits(GdbPort *g, const char *rest, size_t size)
{
    (void)rest, (void)size;
    g_string_printf(g->reply, "ENABLE=%x,NOIRQ=%x", SSTEP_ENABLE, SSTEP_NOIRQ);
}

static void run_step_ask(GdbPort *g, const char *rest, size_t size)
{
    (void)rest, (void)size;
    g_string_printf(g->reply, "0x%x", SSTEP_ENABLE | (g->step_interrupts ? 0 : SSTEP_NOIRQ));
}

static void run_step(GdbPort *g, const char *rest, size_t size)
{
    uint64_t bits;
    (void)size;
    if (g_str_has_prefix(rest, "0x"))
        rest += 2;
    if (!gdb_parse_hex_then(&rest, &bits, 0) || bits & ~UINT64_C(7)) {
        gdb_reply_error(g, GDB_EINVAL);
        return;
    }
    g->step_interrupts = !(bits & SSTEP_NOIRQ);
    gdb_reply_ok(g);
}

const GdbCommand gdb_query_commands[] = {
    { "qSupported", false, run_supported },
    { "QStartNoAckMode", true, run_no_ack },
    { "QNonStop:", false, run_non_stop },
    { "qAttached", false, run_attached },
    { "qHostInfo", true, run_host },
    { "qProcessInfo", true, run_process },
    { "qXfer:", false, run_transfer },
    { "qRcmd,", false, run_monitor },
    { "qqemu.PhyMemMode", true, run_physical_ask },
    { "Qqemu.PhyMemMode:", false, run_physical },
    { "qqemu.sstepbits", true, run_step_bits },
    { "qqemu.sstep", true, run_step_ask },
    { "Qqemu.sstep=", false, run_step },
    { NULL, false, NULL },
};
