/*
 * A command of QMP: a row of a table.  A file of commands about one subject has a table, ended by an empty row, and
 * qmp_commands.c lists the tables.  Rows also make query-commands and query-qmp-schema.
 */
#ifndef MYNA_DEBUGGER_QMP_COMMAND_H
#define MYNA_DEBUGGER_QMP_COMMAND_H

#include <json-glib/json-glib.h>

#include "backends/block/block.h"
#include "debugger/debugger.h"

typedef struct Qmp Qmp;               /* of a machine: its sessions */
typedef struct QmpSession QmpSession;

typedef enum QmpType {
    QMP_ANY, QMP_STRING, QMP_INTEGER, QMP_NUMBER, QMP_BOOL, QMP_OBJECT,
    QMP_STRINGS,                      /* an array of strings */
    QMP_OBJECTS,                      /* an array of objects */
} QmpType;

typedef struct QmpArgument {
    const char *name;
    QmpType type;
    bool optional;
    const char *const *words;         /* that a string may be, ended by NULL; NULL: any */
    const struct QmpArgument *members; /* of QMP_OBJECT and QMP_OBJECTS, ended by an empty row */
} QmpArgument;

/* What a command works on. */
typedef struct QmpCall {
    Machine *machine;
    Debugger *debugger;
    QmpSession *session;
    JsonObject *arguments;            /* as the row says; never NULL */
    JsonNode *result;                 /* what it returns, taken over; NULL: {} */
    const char *error_class;          /* NULL: GenericError */
    char *error;
} QmpCall;

typedef struct QmpCommand {
    const char *name;
    bool (*run)(QmpCall *c);          /* false: after qmp_fail() */
    const QmpArgument *arguments;     /* ended by an empty row; NULL: none */
    const char *returns;              /* "object", "array", "string"; NULL: an empty object */
    bool before_negotiation;          /* allowed then, and only then */
    bool paused;                      /* looks at CPUs or memory in peace: a running machine is paused around it */
} QmpCommand;

/* Tables. */
extern const QmpCommand qmp_run_commands[], qmp_query_commands[], qmp_hardware_commands[], qmp_memory_commands[],
    qmp_input_commands[], qmp_stop_commands[], qmp_block_commands[], qmp_vnc_commands[];

/* The n-th of all rows, or NULL; by name. */
const QmpCommand *qmp_command_nth(unsigned n);
const QmpCommand *qmp_command_find(const char *name);

/* Sets the error; false, so that a command may `return qmp_fail(...)`. */
bool qmp_fail(QmpCall *c, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Takes over *err. */
bool qmp_fail_error(QmpCall *c, GError **err);

/* Sets the result, which is taken over. */
bool qmp_return_object(QmpCall *c, JsonObject *o);
bool qmp_return_array(QmpCall *c, JsonArray *a);

/* Optional arguments. */
bool qmp_has(const QmpCall *c, const char *name);
const char *qmp_string(const QmpCall *c, const char *name, const char *otherwise);
int64_t qmp_integer(const QmpCall *c, const char *name, int64_t otherwise);

/* The CPU that an argument names by its index, or the current one; NULL after qmp_fail(). */
Cpu *qmp_cpu(QmpCall *c, const char *name);

/* ---- between the files of QMP ---- */

/* Checks arguments against rows, as far as these say; NULL, or the mistake, to be freed. */
char *qmp_arguments_check(JsonObject *o, const QmpArgument *rows);

/* Sends an event to all sessions that have negotiated; data (may be NULL) is taken over. */
void qmp_event(Qmp *q, const char *name, JsonObject *data);
extern const char *const qmp_event_names[]; /* ended by NULL */

/* Events of the machine and its debugger. */
typedef struct QmpEvents {
    Qmp *qmp;
    Machine *machine;
    DebuggerListener debugger;
    MachineListener listener;
    BlockListener drives;
    bool ending;        /* SHUTDOWN was sent, and no reset came since: what follows needs no events */
    bool at_stop;       /* paused by what a CPU did, not by a command */
} QmpEvents;
void qmp_events_start(QmpEvents *e, Qmp *q, Machine *m);
void qmp_events_end(QmpEvents *e);

/* Of a drive; opaque is the QmpEvents. */
void qmp_block_event(void *opaque, const BlockEvent *e);

const QmpEvents *qmp_events_of(Machine *m);

/* What query-qmp-schema returns. */
JsonArray *qmp_schema(void);

/* Ends the session's negotiation. */
void qmp_session_negotiated(QmpSession *s);

/* {"qemu": ..., "package": ...} */
JsonObject *qmp_version(void);

#endif
