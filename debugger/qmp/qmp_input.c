/* QMP's commands that type and move the mouse (qmp_command.h). */
#include "config.h"

#ifdef CONFIG_JSON_GLIB
#include <inttypes.h>
#include <string.h>

#include "debugger/qmp/qmp_command.h"
#include "hw/input/keys.h"
#include "ui/typing.h"
#include "ui/ui.h"

/* ---- keys ---- */

/* QEMU's KeyValue; 0 after an error. */
static unsigned key_of(QmpCall *c, JsonObject *o)
{
    bool number = !strcmp(json_object_get_string_member(o, "type"), "number");
    JsonNode *data = json_object_get_member(o, "data");
    GType held = json_node_get_value_type(data);
    unsigned key;
    if (held != (number ? G_TYPE_INT64 : G_TYPE_STRING)) {
        qmp_fail(c, "Invalid parameter type for 'data', expected: %s", number ? "integer" : "string");
        return 0;
    }
    key = number ? key_by_set1(CLAMP(json_node_get_int(data), 0, 0x100)) : key_by_name(json_node_get_string(data));
    if (!key && number)
        qmp_fail(c, "Parameter 'data' does not accept value '%" PRId64 "'", json_node_get_int(data));
    else if (!key)
        qmp_fail(c, "Parameter 'data' does not accept value '%s'", json_node_get_string(data));
    return key;
}

static bool run_send_key(QmpCall *c)
{
    g_autoptr(GError) err = NULL;
    JsonArray *keys = json_object_get_array_member(c->arguments, "keys");
    int64_t hold = qmp_integer(c, "hold-time", CHORD_HOLD_MS);
    Chord chord = { .count = json_array_get_length(keys) };
    if (chord.count > CHORD_KEYS)
        return qmp_fail(c, "Parameter 'keys' has %u keys: at most %d can be held", chord.count, CHORD_KEYS);
    if (hold < 1 || hold > 60000)
        return qmp_fail(c, "Parameter 'hold-time' is %" PRId64 ": it can be 1 to 60000 milliseconds", hold);
    chord.hold_ms = hold;
    for (unsigned k = 0; k < chord.count; k++)
        if (!(chord.keys[k] = key_of(c, json_array_get_object_element(keys, k))))
            return false;
    return !chord.count || typing_add(c->machine, &chord, &err) || qmp_fail_error(c, &err);
}

/* ---- events ---- */

typedef struct MouseButton {
    const char *name;
    unsigned bit;     /* PS2_*; 0: the wheel */
    int wheel;
} MouseButton;

static const MouseButton buttons[] = {
    { "left", INPUT_LEFT, 0 }, { "middle", INPUT_MIDDLE, 0 }, { "right", INPUT_RIGHT, 0 }, { "side", INPUT_SIDE, 0 },
    { "extra", INPUT_EXTRA, 0 }, { "wheel-up", 0, -1 }, { "wheel-down", 0, 1 },
};

/* A member of an event's data, whose type is checked; NULL after an error. */
static JsonNode *member(QmpCall *c, JsonObject *data, const char *name, GType type)
{
    JsonNode *v = json_object_get_member(data, name);
    if (!v)
        qmp_fail(c, "Parameter 'data.%s' is missing", name);
    else if (type == G_TYPE_NONE ? !JSON_NODE_HOLDS_OBJECT(v) : json_node_get_value_type(v) != type)
        qmp_fail(c, "Invalid parameter type for 'data.%s', expected: %s", name,
                 type == G_TYPE_NONE ? "object" : type == G_TYPE_STRING ? "string" : type == G_TYPE_INT64 ? "integer"
                 : "boolean");
    else
        return v;
    return NULL;
}

static const QmpArgument key_arguments[];

static bool send_key_event(QmpCall *c, JsonObject *data, bool try)
{
    JsonNode *down = member(c, data, "down", G_TYPE_BOOLEAN), *key = down ? member(c, data, "key", G_TYPE_NONE) : NULL;
    if (!key)
        return false;
    char *wrong = qmp_arguments_check(json_node_get_object(key), key_arguments);
    if (wrong) {
        g_free(c->error);
        c->error = wrong;
        return false;
    }
    unsigned usage = key_of(c, json_node_get_object(key));
    if (usage && !input_has_keyboard(c->machine))
        return qmp_fail(c, "this machine has no keyboard");
    if (usage && !try)
        input_key(c->machine, usage, json_node_get_boolean(down));
    return usage != 0;
}

static void press_button(Machine *m, const MouseButton *b, bool held)
{
    unsigned others = input_buttons_held(m) & ~b->bit;
    input_buttons(m, held ? others | b->bit : others);
    input_wheel(m, held ? b->wheel : 0);
}

static bool send_button_event(QmpCall *c, JsonObject *data, bool try)
{
    JsonNode *down = member(c, data, "down", G_TYPE_BOOLEAN);
    JsonNode *name = down ? member(c, data, "button", G_TYPE_STRING) : NULL;
    if (!name)
        return false;
    for (unsigned k = 0; k < G_N_ELEMENTS(buttons); k++) {
        const MouseButton *b = &buttons[k];
        if (strcmp(b->name, json_node_get_string(name)))
            continue;
        bool held = json_node_get_boolean(down);
        if (!try)
            press_button(c->machine, b, held);
        return true;
    }
    return qmp_fail(c, "Parameter 'button' does not accept value '%s'", json_node_get_string(name));
}

/* A movement or a place along an axis, from..to; false after an error. */
static bool axis_of(QmpCall *c, JsonObject *data, int from, int to, bool *x, int *value)
{
    JsonNode *axis = member(c, data, "axis", G_TYPE_STRING), *v = axis ? member(c, data, "value", G_TYPE_INT64) : NULL;
    if (!v)
        return false;
    *x = !strcmp(json_node_get_string(axis), "x");
    *value = CLAMP(json_node_get_int(v), from, to);
    return *x || !strcmp(json_node_get_string(axis), "y") ||
           qmp_fail(c, "Parameter 'axis' does not accept value '%s'", json_node_get_string(axis));
}

static bool send_move_event(QmpCall *c, JsonObject *data, bool try)
{
    bool x;
    int by;
    if (!axis_of(c, data, -INPUT_SCALE, INPUT_SCALE, &x, &by))
        return false;
    if (!try)
        input_move(c->machine, x ? by : 0, x ? 0 : by);
    return true;
}

static bool send_place_event(QmpCall *c, JsonObject *data, bool try)
{
    bool x;
    int at;
    if (!input_is_absolute(c->machine))
        return qmp_fail(c, "the guest uses no pointer with absolute positions: 'rel' moves its mouse");
    if (!axis_of(c, data, 0, INPUT_SCALE - 1, &x, &at))
        return false;
    if (!try)
        input_place(c->machine, x ? at : -1, x ? -1 : at);
    return true;
}

/* try: only says whether it is right. */
static bool send_event(QmpCall *c, JsonObject *event, bool try)
{
    const char *type = json_object_get_string_member(event, "type");
    JsonObject *data = json_object_get_object_member(event, "data");
    if (!strcmp(type, "key"))
        return send_key_event(c, data, try);
    if (!input_has_pointer(c->machine))
        return qmp_fail(c, "this machine has no mouse");
    return (!strcmp(type, "btn") ? send_button_event : !strcmp(type, "abs") ? send_place_event : send_move_event)(c, data, try);
}

/* All of them, or with an error none. */
static bool run_send_event(QmpCall *c)
{
    JsonArray *events = json_object_get_array_member(c->arguments, "events");
    for (unsigned pass = 0; pass < 2; pass++)
        for (guint k = 0; k < json_array_get_length(events); k++)
            if (!send_event(c, json_array_get_object_element(events, k), pass == 0))
                return false;
    return true;
}

/* ---- what there is ---- */

static bool run_mice(QmpCall *c)
{
    JsonArray *a = json_array_new();
    const char *name;
    bool absolute, used;
    for (unsigned n = 0; input_pointer_nth(c->machine, n, &name, &absolute, &used); n++) {
        JsonObject *o = json_object_new();
        json_object_set_string_member(o, "name", name);
        json_object_set_int_member(o, "index", n);
        json_object_set_boolean_member(o, "current", used);
        json_object_set_boolean_member(o, "absolute", absolute);
        json_array_add_object_element(a, o);
    }
    return qmp_return_array(c, a);
}

/* The first face that is open; its options are not kept. */
static bool run_display_options(QmpCall *c)
{
    JsonObject *o = json_object_new();
    const char *id = "none";
    g_autoptr(GString) about = g_string_new(NULL);
    display_nth(c->machine, 0, &id, about);
    g_autofree char *type = g_strndup(id, strcspn(id, "."));
    json_object_set_string_member(o, "type", type);
    return qmp_return_object(c, o);
}

/* ---- the table ---- */

static const char *const key_types[] = { "qcode", "number", NULL };
static const char *const event_types[] = { "key", "btn", "rel", "abs", NULL };

static const QmpArgument key_arguments[] = {
    { "type", QMP_STRING, false, key_types, NULL },
    { "data", QMP_ANY, false, NULL, NULL },
    { .name = NULL },
};

static const QmpArgument send_key_arguments[] = {
    { "keys", QMP_OBJECTS, false, NULL, key_arguments },
    { "hold-time", QMP_INTEGER, true, NULL, NULL },
    { .name = NULL },
};

static const QmpArgument event_arguments[] = {
    { "type", QMP_STRING, false, event_types, NULL },
    { "data", QMP_OBJECT, false, NULL, NULL },
    { .name = NULL },
};

static const QmpArgument send_event_arguments[] = {
    { "device", QMP_STRING, true, NULL, NULL },
    { "head", QMP_INTEGER, true, NULL, NULL },
    { "events", QMP_OBJECTS, false, NULL, event_arguments },
    { .name = NULL },
};

const QmpCommand qmp_input_commands[] = {
    { .name = "send-key", .run = run_send_key, .arguments = send_key_arguments },
    { .name = "query-mice", .run = run_mice, .returns = "array" },
    { .name = "query-display-options", .run = run_display_options, .returns = "object" },
    { .name = "input-send-event", .run = run_send_event, .arguments = send_event_arguments },
    { .name = NULL },
};
#endif
