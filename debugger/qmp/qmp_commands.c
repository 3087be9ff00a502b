/* QMP's commands together, and those that run and end the machine (qmp_command.h). */
#include "config.h"

#ifdef CONFIG_JSON_GLIB
#include <string.h>

#include "debugger/commands/command.h"
#include "debugger/qmp/qmp_command.h"

static const QmpCommand *const tables[] = {
    qmp_run_commands, qmp_query_commands, qmp_hardware_commands, qmp_memory_commands, qmp_input_commands,
    qmp_stop_commands, qmp_block_commands, qmp_vnc_commands,
};

const QmpCommand *qmp_command_nth(unsigned n)
{
    for (unsigned k = 0; k < G_N_ELEMENTS(tables); k++)
        for (const QmpCommand *row = tables[k]; row->name; row++)
            if (!n--)
                return row;
    return NULL;
}

const QmpCommand *qmp_command_find(const char *name)
{
    const QmpCommand *row;
    for (unsigned n = 0; (row = qmp_command_nth(n)); n++)
        if (!strcmp(row->name, name))
            return row;
    return NULL;
}

/* ---- negotiation ---- */

static bool run_capabilities(QmpCall *c)
{
    if (qmp_has(c, "enable")) {
        JsonArray *a = json_object_get_array_member(c->arguments, "enable");
        if (json_array_get_length(a))
            return qmp_fail(c, "Capability '%s' is not available", json_array_get_string_element(a, 0));
    }
    qmp_session_negotiated(c->session);
    return true;
}

static bool run_query_version(QmpCall *c) { return qmp_return_object(c, qmp_version()); }

static bool run_query_commands(QmpCall *c)
{
    JsonArray *a = json_array_new();
    const QmpCommand *row;
    for (unsigned n = 0; (row = qmp_command_nth(n)); n++) {
        JsonObject *o = json_object_new();
        json_object_set_string_member(o, "name", row->name);
        json_array_add_object_element(a, o);
    }
    return qmp_return_array(c, a);
}

static bool run_query_schema(QmpCall *c) { return qmp_return_array(c, qmp_schema()); }

/* ---- run state ---- */

static const char *status_name(QmpCall *c)
{
    if (debugger_is_running(c->debugger))
        return "running";
    if (c->machine->run_state == RUN_SHUTDOWN)
        return "shutdown";
    if (qmp_events_of(c->machine)->at_stop)
        return "debug";
    return clock_now(c->machine->clocks, MYNA_CLOCK_VIRTUAL) ? "paused" : "prelaunch";
}

static bool run_query_status(QmpCall *c)
{
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "status", status_name(c));
    json_object_set_boolean_member(o, "singlestep", FALSE);
    json_object_set_boolean_member(o, "running", debugger_is_running(c->debugger));
    return qmp_return_object(c, o);
}

static bool run_stop(QmpCall *c)
{
    debugger_interrupt(c->debugger);
    return true;
}

static bool run_cont(QmpCall *c)
{
    if (c->machine->run_state == RUN_SHUTDOWN)
        return qmp_fail(c, "Resetting the Virtual Machine is required");
    debugger_continue(c->debugger);
    return true;
}

static bool run_reset(QmpCall *c)
{
    machine_press_reset(c->machine, "QMP");
    return true;
}

static bool run_powerdown(QmpCall *c)
{
    machine_request_powerdown(c->machine);
    return true;
}

static bool run_quit(QmpCall *c)
{
    machine_quit(c->machine, 0);
    return true;
}

/* ---- the monitor ---- */

static const QmpArgument monitor_arguments[] = {
    { "command-line", QMP_STRING, false, NULL, NULL },
    { "cpu-index", QMP_INTEGER, true, NULL, NULL },
    { .name = NULL },
};

/* QEMU ends the monitor's lines so. */
static char *with_returns(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    return g_strjoinv("\r\n", lines);
}

/* With cpu-index the command is about that CPU, and the choice is as before then. */
static bool run_monitor_command(QmpCall *c)
{
    g_autoptr(GString) out = g_string_new(NULL);
    Cpu *before = debugger_cpu(c->debugger), *cpu = before;
    if (qmp_has(c, "cpu-index") && !(cpu = qmp_cpu(c, "cpu-index")))
        return false;
    debugger_choose_cpu(c->debugger, cpu);
    command_execute(c->machine, NULL, qmp_string(c, "command-line", ""), out);
    if (cpu != before)
        debugger_choose_cpu(c->debugger, before);
    g_autofree char *text = with_returns(out->str);
    c->result = json_node_init_string(json_node_alloc(), text);
    return true;
}

static const QmpArgument capabilities_arguments[] = {
    { "enable", QMP_STRINGS, true, NULL, NULL },
    { .name = NULL },
};

const QmpCommand qmp_run_commands[] = {
    { .name = "qmp_capabilities", .run = run_capabilities, .arguments = capabilities_arguments,
      .before_negotiation = true },
    { .name = "query-version", .run = run_query_version, .returns = "object" },
    { .name = "query-commands", .run = run_query_commands, .returns = "array" },
    { .name = "query-qmp-schema", .run = run_query_schema, .returns = "array" },
    { .name = "query-status", .run = run_query_status, .returns = "object" },
    { .name = "stop", .run = run_stop },
    { .name = "cont", .run = run_cont },
    { .name = "system_reset", .run = run_reset },
    { .name = "system_powerdown", .run = run_powerdown },
    { .name = "quit", .run = run_quit },
    { .name = "human-monitor-command", .run = run_monitor_command, .arguments = monitor_arguments,
      .returns = "string" },
    { .name = NULL },
};
#endif
