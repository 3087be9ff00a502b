/* QMP's events: of the machine and of its debugger (qmp_command.h). */
#include "config.h"

#ifdef CONFIG_JSON_GLIB
#include <inttypes.h>
#include <string.h>

#include "debugger/qmp/qmp_command.h"

const char *const qmp_event_names[] = { "SHUTDOWN", "POWERDOWN", "RESET", "STOP", "RESUME", "WAKEUP", "MYNA_STOPPED",
                                        "MYNA_EVENTS_LOST", "BLOCK_IO_ERROR", "DEVICE_TRAY_MOVED", NULL };

/* ---- the machine's ---- */

static const char *reset_reason(const MachineEvent *e) { return e->guest ? "guest-reset" : "host-qmp-system-reset"; }

static const char *shutdown_reason(const MachineEvent *e)
{
    if (e->no_reboot)
        return reset_reason(e);
    return e->guest ? "guest-shutdown" : !g_strcmp0(e->reason, "signal") ? "host-signal" : "host-qmp-quit";
}

/* QEMU's reason is one of a few words; "detail" says more, where more is known: "triple fault". */
static void send_end(QmpEvents *q, const char *name, const MachineEvent *e, const char *reason)
{
    JsonObject *data = json_object_new();
    json_object_set_boolean_member(data, "guest", e->guest);
    json_object_set_string_member(data, "reason", reason);
    if (e->reason)
        json_object_set_string_member(data, "detail", e->reason);
    qmp_event(q->qmp, name, data);
}

static void happened(void *opaque, const MachineEvent *e)
{
    QmpEvents *q = opaque;
    switch (e->kind) {
    case MACHINE_SHUTDOWN:
        send_end(q, "SHUTDOWN", e, shutdown_reason(e));
        q->ending = !q->machine->no_shutdown || !e->reason || !strcmp(e->reason, "signal");
        break;
    case MACHINE_RESET:
        q->at_stop = false;
        if (!q->machine->waking)
            send_end(q, "RESET", e, reset_reason(e));
        break;
    case MACHINE_WAKE: qmp_event(q->qmp, "WAKEUP", NULL); break;
    case MACHINE_POWERDOWN: qmp_event(q->qmp, "POWERDOWN", NULL); break;
    case MACHINE_RUN_STATE: break; /* the debugger knows which of these are pauses of a moment */
    }
}

/* ---- the debugger's ---- */

static const char *const kind_names[STOP_KINDS] = {
    [STOP_CODE] = "code", [STOP_DATA] = "data", [STOP_IO] = "io", [STOP_MSR] = "msr", [STOP_EXCEPTION] = "exception",
    [STOP_INTERRUPT] = "interrupt", [STOP_MODE] = "mode", [STOP_CR3] = "cr3", [STOP_TASK] = "task", [STOP_SMI] = "smi",
    [STOP_VMEXIT] = "vmexit", [STOP_TRIPLE_FAULT] = "triple-fault", [STOP_STEP] = "step", [STOP_PAUSE] = "pause",
};

/* Hexadecimal text, since JSON's numbers are doubles to many clients. */
static void set_hex(JsonObject *o, const char *name, uint64_t v)
{
    g_autofree char *text = g_strdup_printf("0x%" PRIx64, v);
    json_object_set_string_member(o, name, text);
}

static JsonObject *stop_data(QmpEvents *q, const StopReport *r)
{
    JsonObject *o = json_object_new();
    g_autoptr(GString) text = g_string_new(NULL);
    debugger_describe(debugger_of(q->machine), r, text);
    json_object_set_string_member(o, "kind", kind_names[r->hit.kind]);
    json_object_set_int_member(o, "cpu", r->cpu->index);
    set_hex(o, "address", r->hit.la);
    if (r->stop)
        json_object_set_int_member(o, "stop", r->stop->point.id);
    if (r->hit.kind == STOP_DATA || r->hit.kind == STOP_IO || r->hit.kind == STOP_MSR)
        set_hex(o, "accessed", r->hit.address);
    json_object_set_string_member(o, "text", g_strchomp(text->str));
    return o;
}

static void stopped(void *opaque, const StopReport *r)
{
    QmpEvents *q = opaque;
    bool all = !debugger_is_running(debugger_of(q->machine)); /* not one CPU alone */
    if (all)
        q->at_stop = r->hit.kind != STOP_PAUSE;
    if (all && !q->ending)
        qmp_event(q->qmp, "STOP", NULL);
    if (r->hit.kind != STOP_PAUSE)
        qmp_event(q->qmp, "MYNA_STOPPED", stop_data(q, r));
}

static void resumed(void *opaque)
{
    QmpEvents *q = opaque;
    q->at_stop = false;
    qmp_event(q->qmp, "RESUME", NULL);
}

void qmp_events_start(QmpEvents *e, Qmp *q, Machine *m)
{
    *e = (QmpEvents){ .qmp = q, .machine = m };
    e->debugger = (DebuggerListener){ .stopped = stopped, .resumed = resumed, .opaque = e };
    e->listener = (MachineListener){ .happened = happened, .opaque = e };
    debugger_listen(debugger_of(m), &e->debugger);
    e->drives = (BlockListener){ .happened = qmp_block_event, .opaque = e };
    machine_listen(m, &e->listener);
    block_listen(m, &e->drives);
}

void qmp_events_end(QmpEvents *e)
{
    debugger_unlisten(debugger_of(e->machine), &e->debugger);
    machine_unlisten(e->machine, &e->listener);
    block_unlisten(e->machine, &e->drives);
}
#endif
