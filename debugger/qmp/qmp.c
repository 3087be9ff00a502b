/* QMP's sessions: greeting, negotiation, commands, replies (qmp.h). */
#include "debugger/qmp/qmp.h"

#include "config.h"

#ifdef CONFIG_JSON_GLIB
#include <stdarg.h>

#include "core/error.h"
#include "core/version.h"
#include "debugger/qmp/qmp_command.h"
#include "debugger/qmp/qmp_reader.h"

enum {
    INPUT_SIZE = 4096,
    OUTPUT_BUSY = 64 * 1024, /* with so many bytes unread no command is served, */
    OUTPUT_MAX = 1024 * 1024 /* and with so many an event is lost */
};

struct QmpSession {
    Qmp *qmp;
    CharBackend *c;
    bool pretty, open, negotiated;
    QmpReader reader;
    GByteArray *in;          /* not looked at yet */
    GString *out;            /* not sent yet */
    unsigned lost;           /* events */
};

struct Qmp {
    Machine *machine;
    GPtrArray *sessions;     /* QmpSession * */
    QmpEvents events;
};

/* ---- output ---- */

static char *text_of(const QmpSession *s, JsonObject *o)
{
    g_autoptr(JsonGenerator) generator = json_generator_new();
    JsonNode *root = json_node_init_object(json_node_alloc(), o);
    json_generator_set_root(generator, root);
    json_generator_set_pretty(generator, s->pretty);
    json_generator_set_indent(generator, 4);
    g_autofree char *text = json_generator_to_data(generator, NULL);
    json_node_unref(root);
    return g_utf8_make_valid(text, -1);
}

/* Takes over the object. */
static void put(QmpSession *s, JsonObject *o)
{
    g_autofree char *text = text_of(s, o);
    g_string_append(s->out, text);
    g_string_append(s->out, "\r\n");
    json_object_unref(o);
}

static JsonObject *event_new(const char *name, JsonObject *data)
{
    gint64 now = g_get_real_time();
    JsonObject *o = json_object_new(), *time = json_object_new();
    json_object_set_int_member(time, "seconds", now / G_USEC_PER_SEC);
    json_object_set_int_member(time, "microseconds", now % G_USEC_PER_SEC);
    json_object_set_object_member(o, "timestamp", time);
    json_object_set_string_member(o, "event", name);
    if (data)
        json_object_set_object_member(o, "data", json_object_ref(data));
    return o;
}

static void put_event(QmpSession *s, const char *name, JsonObject *data)
{
    if (s->out->len > OUTPUT_MAX)
        s->lost++;
    else
        put(s, event_new(name, data));
}

static void put_lost(QmpSession *s)
{
    JsonObject *data = json_object_new();
    json_object_set_int_member(data, "count", s->lost);
    s->lost = 0;
    put_event(s, "MYNA_EVENTS_LOST", data);
    json_object_unref(data);
}

static void flush(QmpSession *s)
{
    g_string_erase(s->out, 0, char_write_some(s->c, s->out->str, s->out->len));
    if (s->lost && !s->out->len) {
        put_lost(s);
        flush(s);
    }
}

void qmp_event(Qmp *q, const char *name, JsonObject *data)
{
    for (guint k = 0; k < q->sessions->len; k++) {
        QmpSession *s = g_ptr_array_index(q->sessions, k);
        if (!s->negotiated)
            continue;
        put_event(s, name, data);
        flush(s);
    }
    if (data)
        json_object_unref(data);
}

/* ---- a command ---- */

bool qmp_fail(QmpCall *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_free(c->error);
    c->error = g_strdup_vprintf(format, args);
    va_end(args);
    return false;
}

static bool fail_class(QmpCall *c, const char *class, const char *text)
{
    c->error_class = class;
    return qmp_fail(c, "%s", text);
}

/* What a command object may have, and the types; "id" is any. */
static bool check_members(QmpCall *c, JsonObject *command)
{
    g_autoptr(GList) names = json_object_get_members(command);
    for (GList *l = names; l; l = l->next) {
        const char *name = l->data;
        JsonNode *v = json_object_get_member(command, name);
        if (!strcmp(name, "execute")) {
            if (json_node_get_value_type(v) != G_TYPE_STRING)
                return qmp_fail(c, "QMP input member 'execute' must be a string");
        } else if (!strcmp(name, "arguments")) {
            if (!JSON_NODE_HOLDS_OBJECT(v))
                return qmp_fail(c, "QMP input member 'arguments' must be an object");
        } else if (strcmp(name, "id")) {
            return qmp_fail(c, "QMP input member '%s' is unexpected", name);
        }
    }
    return json_object_has_member(command, "execute") || qmp_fail(c, "QMP input lacks member 'execute'");
}

/* The row of a command, in this state of the session. */
static const QmpCommand *find_command(QmpCall *c, const char *name)
{
    const QmpCommand *row = qmp_command_find(name);
    g_autofree char *unknown = g_strdup_printf("The command %s has not been found", name);
    if (!c->session->negotiated && !(row && row->before_negotiation))
        fail_class(c, "CommandNotFound", "Expecting capabilities negotiation with 'qmp_capabilities'");
    else if (!row)
        fail_class(c, "CommandNotFound", unknown);
    else if (c->session->negotiated && row->before_negotiation)
        fail_class(c, "CommandNotFound", "Capabilities negotiation is already complete, command ignored");
    else
        return row;
    return NULL;
}

static bool run_row(QmpCall *c, const QmpCommand *row)
{
    c->error = qmp_arguments_check(c->arguments, row->arguments);
    if (c->error)
        return false;
    if (row->paused)
        debugger_freeze(c->debugger);
    bool ok = row->run(c);
    if (row->paused)
        debugger_thaw(c->debugger);
    return ok;
}

static bool run_command(QmpCall *c, JsonObject *command)
{
    if (!check_members(c, command))
        return false;
    const QmpCommand *row = find_command(c, json_object_get_string_member(command, "execute"));
    if (!row)
        return false;
    c->arguments = json_object_has_member(command, "arguments")
                       ? json_object_ref(json_object_get_object_member(command, "arguments")) : json_object_new();
    bool ok = run_row(c, row);
    json_object_unref(c->arguments);
    return ok;
}

static void put_error(QmpCall *c, JsonObject *reply)
{
    JsonObject *error = json_object_new();
    json_object_set_string_member(error, "class", c->error_class ? c->error_class : "GenericError");
    json_object_set_string_member(error, "desc", c->error);
    json_object_set_object_member(reply, "error", error);
}

/* Result or error, and the id that the command gave. */
static void put_reply(QmpCall *c, bool ok, JsonNode *id)
{
    JsonObject *reply = json_object_new();
    if (!ok)
        put_error(c, reply);
    else if (c->result)
        json_object_set_member(reply, "return", g_steal_pointer(&c->result));
    else
        json_object_set_object_member(reply, "return", json_object_new());
    if (id)
        json_object_set_member(reply, "id", json_node_copy(id));
    put(c->session, reply);
    if (c->result)
        json_node_unref(c->result);
    g_free(c->error);
}

static QmpCall call_begin(QmpSession *s)
{
    Machine *m = s->qmp->machine;
    return (QmpCall){ .machine = m, .debugger = debugger_of(m), .session = s };
}

static void put_mistake(QmpSession *s, const char *what)
{
    QmpCall c = call_begin(s);
    qmp_fail(&c, "JSON parse error: %s", what);
    put_reply(&c, false, NULL);
}

static void serve_root(QmpSession *s, JsonNode *root)
{
    QmpCall c = call_begin(s);
    if (!JSON_NODE_HOLDS_OBJECT(root)) {
        put_reply(&c, qmp_fail(&c, "QMP input must be a JSON object"), NULL);
        return;
    }
    JsonObject *command = json_node_get_object(root);
    bool ok = run_command(&c, command);
    put_reply(&c, ok, json_object_get_member(command, "id"));
}

static void serve_text(QmpSession *s, const GString *text)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonNode *root = json_parser_load_from_data(parser, text->str, text->len, &err) ? json_parser_get_root(parser) : NULL;
    if (root)
        serve_root(s, root);
    else
        put_mistake(s, err ? err->message : "there is nothing");
}

/* ---- input ---- */

static void take_byte(QmpSession *s, uint8_t byte)
{
    const char *mistake;
    switch (qmp_reader_take(&s->reader, byte, &mistake)) {
    case QMP_WHOLE: serve_text(s, s->reader.text); break;
    case QMP_MISTAKE: put_mistake(s, mistake); break;
    case QMP_MORE: break;
    }
}

/* What came, as long as the client reads the replies. */
static void serve(QmpSession *s)
{
    guint k = 0;
    while (k < s->in->len && s->out->len < OUTPUT_BUSY) {
        take_byte(s, s->in->data[k++]);
        if (s->out->len)
            flush(s);
    }
    g_byte_array_remove_range(s->in, 0, k);
}

static unsigned can_receive(void *opaque)
{
    const QmpSession *s = opaque;
    return s->in->len || s->out->len >= OUTPUT_BUSY ? 0 : INPUT_SIZE;
}

static void receive(void *opaque, const uint8_t *data, unsigned size)
{
    QmpSession *s = opaque;
    g_byte_array_append(s->in, data, size);
    serve(s);
}

static void writable(void *opaque)
{
    QmpSession *s = opaque;
    flush(s);
    serve(s);
    char_accept_input(s->c);
}

/* ---- sessions ---- */

void qmp_session_negotiated(QmpSession *s) { s->negotiated = true; }

JsonObject *qmp_version(void)
{
    JsonObject *o = json_object_new(), *qemu = json_object_new();
    json_object_set_int_member(qemu, "micro", 0); /* whose commands these are: clients look at it */
    json_object_set_int_member(qemu, "minor", 2);
    json_object_set_int_member(qemu, "major", 7);
    json_object_set_object_member(o, "qemu", qemu);
    json_object_set_string_member(o, "package", "Myna " MYNA_VERSION);
    return o;
}

static void greet(QmpSession *s)
{
    JsonObject *o = json_object_new(), *qmp = json_object_new();
    json_object_set_object_member(qmp, "version", qmp_version());
    json_object_set_array_member(qmp, "capabilities", json_array_new());
    json_object_set_object_member(o, "QMP", qmp);
    put(s, o);
    flush(s);
}

/* A client came or went: what the one before has said and not read is forgotten. */
static void session_begin(QmpSession *s)
{
    s->negotiated = false;
    s->lost = 0;
    qmp_reader_reset(&s->reader);
    g_byte_array_set_size(s->in, 0);
    g_string_truncate(s->out, 0);
}

static void event(void *opaque, int what)
{
    QmpSession *s = opaque;
    if (what == CHAR_BREAK)
        return;
    session_begin(s);
    if (what == CHAR_OPENED)
        greet(s);
}

static void session_free(void *opaque)
{
    QmpSession *s = opaque;
    qmp_reader_clear(&s->reader);
    g_byte_array_unref(s->in);
    g_string_free(s->out, TRUE);
    g_free(s);
}

static Qmp *qmp_of(Machine *m)
{
    Qmp *q = machine_find(m, "qmp");
    if (q)
        return q;
    q = g_new0(Qmp, 1);
    q->machine = m;
    q->sessions = g_ptr_array_new_with_free_func(session_free);
    qmp_events_start(&q->events, q, m);
    machine_provide(m, "qmp", q);
    return q;
}

const QmpEvents *qmp_events_of(Machine *m) { return &qmp_of(m)->events; }

gboolean qmp_attach(Machine *m, CharBackend *c, bool pretty, const char *what, GError **err)
{
    static const CharFrontend frontend = {
        .can_receive = can_receive, .receive = receive, .event = event, .writable = writable
    };
    (void)what, (void)err;
    QmpSession *s = g_new0(QmpSession, 1);
    *s = (QmpSession){ .qmp = qmp_of(m), .c = c, .pretty = pretty };
    qmp_reader_init(&s->reader);
    s->in = g_byte_array_new();
    s->out = g_string_new(NULL);
    g_ptr_array_add(s->qmp->sessions, s);
    char_connect(c, &frontend, s);
    return TRUE;
}

void qmp_free_all(Machine *m)
{
    Qmp *q = machine_find(m, "qmp");
    if (!q)
        return;
    qmp_events_end(&q->events);
    for (guint k = 0; k < q->sessions->len; k++)
        char_connect(((QmpSession *)g_ptr_array_index(q->sessions, k))->c, NULL, NULL);
    g_ptr_array_free(q->sessions, TRUE);
    g_free(q);
    machine_provide(m, "qmp", NULL);
}
#endif
