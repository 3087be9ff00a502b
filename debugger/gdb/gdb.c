/* The gdb port: its life, its clients, and which packet is whose (gdb.h). */
#include "debugger/gdb/gdb.h"

#include <string.h>

#include "core/error.h"
#include "debugger/commands/command.h"
#include "debugger/gdb/gdb_internal.h"

/* ---- clients ---- */

/* The machine stands still for a new client, as gdb expects. */
static void attach(GdbPort *g)
{
    g->attached = true;
    debugger_attended(g->debugger, g, true);
    debugger_interrupt(g->debugger);
    gdb_choose_cpu(g, debugger_cpu(g->debugger));
}

/* What was the client's goes; whether the machine runs stays as it is. */
static void leave(GdbPort *g)
{
    gdb_nonstop_set(g, false);
    gdb_stops_clear(g);
    if (g->attached)
        debugger_attended(g->debugger, g, false);
    g->attached = g->waiting = g->no_ack = g->physical = g->swbreak = g->hwbreak = g->step_interrupts = false;
    g->running = g->ranged = NULL;
    g_string_truncate(g->object, 0);
}

static void on_event(void *opaque, int event)
{
    GdbPort *g = opaque;
    if (event == CHAR_OPENED || event == CHAR_CLOSED) {
        leave(g);
        gdb_packet_reset(g);
    }
}

/* ---- packets ---- */

void gdb_reply_ok(GdbPort *g) { g_string_assign(g->reply, "OK"); }
void gdb_reply_error(GdbPort *g, unsigned number) { g_string_printf(g->reply, "E%02x", number); }

/* gdb shows the text as it comes: without what would have to be escaped, "GP" for "#GP". */
void gdb_reply_failure(GdbPort *g, const char *text)
{
    g_string_assign(g->reply, "E.");
    for (; *text; text++)
        if (!strchr("#$*}", *text))
            g_string_append_c(g->reply, *text);
}

const GdbCommand *gdb_find_command(const GdbCommand *table, const char *packet)
{
    for (; table->name; table++)
        if (table->whole ? !strcmp(packet, table->name) : g_str_has_prefix(packet, table->name))
            return table;
    return NULL;
}

static void send_reply(GdbPort *g)
{
    if (!g->no_reply)
        gdb_send(g, g->reply->str, g->reply->len);
}

/* D and D;PID: the client goes, and the machine goes on. */
static void run_detach(GdbPort *g, const char *rest, size_t size)
{
    (void)rest, (void)size;
    gdb_reply_ok(g);
    send_reply(g);
    g->no_reply = true;
    leave(g);
    debugger_continue(g->debugger);
}

static void run_kill(GdbPort *g, const char *rest, size_t size)
{
    (void)rest, (void)size;
    g->no_reply = true;
    machine_quit(g->machine, 0);
}

static void run_kill_process(GdbPort *g, const char *rest, size_t size)
{
    (void)rest, (void)size;
    gdb_reply_ok(g);
    machine_quit(g->machine, 0);
}

/* "Run": a reset, after which the machine stands at its first instruction. */
static void run_restart(GdbPort *g, const char *rest, size_t size)
{
    (void)rest, (void)size;
    g->no_reply = true;
    debugger_interrupt(g->debugger);
    machine_reset(g->machine);
}

static void run_extended(GdbPort *g, const char *rest, size_t size)
{
    (void)rest, (void)size;
    gdb_reply_ok(g);
}

static const GdbCommand own_commands[] = {
    { "D", false, run_detach },      { "k", true, run_kill }, { "vKill;", false, run_kill_process },
    { "R", false, run_restart },     { "!", true, run_extended }, { NULL, false, NULL },
};

static const GdbCommand *find(const char *packet)
{
    static const GdbCommand *const tables[] = { gdb_register_commands, gdb_memory_commands, gdb_stop_commands,
                                                gdb_run_commands,      gdb_thread_commands, gdb_query_commands,
                                                own_commands };
    const GdbCommand *row = NULL;
    for (unsigned k = 0; k < G_N_ELEMENTS(tables) && !row; k++)
        row = gdb_find_command(tables[k], packet);
    return row;
}

/* Threads that run (the others of a machine that does not stop as a whole) are paused while one packet is served. */
void gdb_handle(GdbPort *g, const char *data, size_t size)
{
    if (!g->attached)
        attach(g);
    g_string_truncate(g->reply, 0);
    g->no_reply = false;
    bool late = g->late;
    const GdbCommand *row = strlen(data) == size || strchr("XG", *data) ? find(data) : NULL;
    if (row) {
        size_t name = strlen(row->name);
        bool calm = debugger_is_running(g->debugger);
        if (calm)
            debugger_freeze(g->debugger);
        row->run(g, data + name, size - name);
        if (calm)
            debugger_thaw(g->debugger);
    }
    send_reply(g);
    if (late)
        gdb_nonstop_tell_late(g);
}

void gdb_handle_overlong(GdbPort *g)
{
    g->no_reply = false;
    gdb_reply_error(g, GDB_EINVAL);
    send_reply(g);
}

/* ---- the port ---- */

static GdbPort *port_of(Machine *m) { return machine_find(m, "gdb"); }

static void port_free(GdbPort *g)
{
    leave(g);
    debugger_unlisten(g->debugger, &g->listener);
    machine_provide(g->machine, "gdb", NULL);
    g_byte_array_unref(g->body);
    g_string_free(g->sent, TRUE);
    g_string_free(g->reply, TRUE);
    g_string_free(g->object, TRUE);
    g_queue_free_full(g->stopped, g_free);
    g_array_unref(g->stops);
    g_array_unref(g->layout);
    g_free(g->device);
    g_free(g);
}

static void port_close(GdbPort *g)
{
    if (g->shared)
        char_connect(g->c, NULL, NULL);
    else
        char_free(g->c);
    port_free(g);
}

static unsigned can_receive(void *opaque)
{
    (void)opaque;
    return 4096;
}

/* The client may close its own port ("monitor gdbserver none"): not under our feet. */
static void receive(void *opaque, const uint8_t *data, unsigned size)
{
    GdbPort *g = opaque;
    g->busy = true;
    gdb_packet_feed(g, data, size);
    g->busy = false;
    if (g->closing)
        port_close(g);
}

static void on_reset(void *opaque) { ((GdbPort *)opaque)->ranged = NULL; }

static GdbPort *port_new(Machine *m, CharBackend *c, const char *device)
{
    static const CharFrontend frontend = { .can_receive = can_receive, .receive = receive, .event = on_event };
    GdbPort *g = g_new0(GdbPort, 1);
    g->machine = m;
    g->debugger = debugger_of(m);
    g->c = c;
    g->shared = g_str_has_prefix(device, "chardev:");
    g->device = g_strdup(device);
    g->body = g_byte_array_new();
    g->sent = g_string_new(NULL);
    g->reply = g_string_new(NULL);
    g->object = g_string_new(NULL);
    g->stopped = g_queue_new();
    g->stops = g_array_new(FALSE, FALSE, sizeof(GdbStop));
    g->cpu = debugger_cpu(g->debugger);
    g->layout = gdb_layout_new(g->cpu);
    g->listener = (DebuggerListener){ .stopped = gdb_on_stopped, .reset = on_reset, .output = gdb_on_output,
                                      .opaque = g };
    debugger_listen(g->debugger, &g->listener);
    machine_provide(m, "gdb", g);
    char_connect(c, &frontend, g);
    return g;
}

/* What QEMU adds by itself: a server that does not wait.  Without a host name, strangers cannot reach it. */
static char *full_device(const char *device)
{
    bool tcp = g_str_has_prefix(device, "tcp:"), local = g_str_has_prefix(device, "unix:");
    const char *host = g_str_has_prefix(device, "tcp::") ? "tcp:127.0.0.1:" : NULL;
    const char *server = (tcp || local) && !strstr(device, "server") ? ",server=on" : "";
    const char *wait = (tcp || local) && !strstr(device, "wait") && !strstr(device, "server=off") ? ",wait=off" : "";
    return g_strconcat(host ? host : "", host ? device + strlen("tcp::") : device, server, wait, NULL);
}

gboolean gdb_open(Machine *m, const char *device, GError **err)
{
    GdbPort *old = port_of(m);
    if (old && old->busy)
        return !strcmp(device, "none") ? old->closing = true
                                       : error_set(err, "gdbserver %s: a client cannot move its own port", device);
    if (old)
        port_close(old);
    if (!strcmp(device, "none"))
        return TRUE;
    if (!debugger_cpu(debugger_of(m)))
        return error_set(err, "gdbserver %s: the machine has no processor", device);
    g_autofree char *full = full_device(device);
    CharBackend *c = char_new(m, "gdb", full, err);
    if (c)
        port_new(m, c, device);
    return c != NULL;
}

void gdb_free(Machine *m)
{
    GdbPort *g = port_of(m);
    if (!g)
        return;
    if (g->attached) {
        g_autofree char *gone = g_strdup_printf("W%02x", m->exit_status & 0xff);
        gdb_send(g, gone, strlen(gone));
    }
    port_free(g);
}

/* ---- the command ---- */

static void command_gdbserver(MonitorCommand *c)
{
    g_autoptr(GError) err = NULL;
    const char *device = *c->arguments ? c->arguments : "tcp::1234";
    if (!gdb_open(c->machine, device, &err))
        g_string_append_printf(c->out, "%s\n", err->message);
    else if (!strcmp(device, "none"))
        g_string_append(c->out, "Disabled gdbserver\n");
    else
        g_string_append_printf(c->out, "Waiting for gdb connection on device '%s'\n", device);
}

const CommandRow gdb_commands[] = {
    { .name = "gdbserver", .arguments = "[DEVICE|none]", .help = "let gdb connect; tcp::1234 without DEVICE",
      .run = command_gdbserver,
      .more = "DEVICE is that of -gdb: tcp::PORT, tcp:HOST:PORT, unix:PATH, pty, stdio, chardev:ID\n" },
    { .name = NULL },
};
