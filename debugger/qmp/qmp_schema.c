/*
 * What query-qmp-schema says (QEMU's docs/devel/qapi-code-gen, "Client JSON Protocol introspection"), out of the rows of
 * commands.  Types of arguments are named by command and argument, "memsave-arg"; results are told by their JSON type.
 */
#include "config.h"

#ifdef CONFIG_JSON_GLIB
#include <string.h>

#include "debugger/qmp/qmp_command.h"

static JsonObject *entry(JsonArray *a, const char *name, const char *meta)
{
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "name", name);
    json_object_set_string_member(o, "meta-type", meta);
    json_array_add_object_element(a, o);
    return o;
}

/* ---- types ---- */

static void add_builtin(JsonArray *a, const char *name, const char *json)
{
    json_object_set_string_member(entry(a, name, "builtin"), "json-type", json);
}

static void add_builtins(JsonArray *a)
{
    add_builtin(a, "str", "string");
    add_builtin(a, "int", "int");
    add_builtin(a, "number", "number");
    add_builtin(a, "bool", "boolean");
    add_builtin(a, "any", "value");
    json_object_set_array_member(entry(a, "q_empty", "object"), "members", json_array_new());
    json_object_set_string_member(entry(a, "[str]", "array"), "element-type", "str");
    json_object_set_string_member(entry(a, "[any]", "array"), "element-type", "any");
}

static void add_enum(JsonArray *a, const char *name, const char *const *words)
{
    JsonArray *values = json_array_new(), *members = json_array_new();
    JsonObject *o = entry(a, name, "enum");
    for (; *words; words++) {
        JsonObject *member = json_object_new();
        json_object_set_string_member(member, "name", *words);
        json_array_add_object_element(members, member);
        json_array_add_string_element(values, *words);
    }
    json_object_set_array_member(o, "members", members);
    json_object_set_array_member(o, "values", values);
}

static void add_object(JsonArray *a, const char *name, const QmpArgument *rows);

/* The name of an argument's type, which is added when it is one of its own. */
static char *type_name(JsonArray *a, const char *owner, const QmpArgument *row)
{
    static const char *const builtins[] = {
        [QMP_ANY] = "any", [QMP_STRING] = "str", [QMP_INTEGER] = "int", [QMP_NUMBER] = "number", [QMP_BOOL] = "bool",
        [QMP_OBJECT] = "any", [QMP_STRINGS] = "[str]", [QMP_OBJECTS] = "[any]"
    };
    g_autofree char *own = g_strdup_printf("%s-%s", owner, row->name);
    if (row->words)
        add_enum(a, own, row->words);
    else if (row->members)
        add_object(a, own, row->members);
    else
        return g_strdup(builtins[row->type]);
    if (row->type != QMP_OBJECTS)
        return g_steal_pointer(&own);
    char *array = g_strdup_printf("[%s]", own);
    json_object_set_string_member(entry(a, array, "array"), "element-type", own);
    return array;
}

static void add_object(JsonArray *a, const char *name, const QmpArgument *rows)
{
    JsonArray *members = json_array_new();
    JsonObject *o = entry(a, name, "object");
    for (; rows->name; rows++) {
        JsonObject *member = json_object_new();
        g_autofree char *type = type_name(a, name, rows);
        json_object_set_string_member(member, "name", rows->name);
        json_object_set_string_member(member, "type", type);
        if (rows->optional)
            json_object_set_null_member(member, "default");
        json_array_add_object_element(members, member);
    }
    json_object_set_array_member(o, "members", members);
}

/* ---- commands and events ---- */

static const char *result_type(const QmpCommand *row)
{
    if (!row->returns)
        return "q_empty";
    return !strcmp(row->returns, "array") ? "[any]" : !strcmp(row->returns, "string") ? "str" : "any";
}

static void add_command(JsonArray *a, const QmpCommand *row)
{
    g_autofree char *arguments = row->arguments ? g_strdup_printf("%s-arg", row->name) : g_strdup("q_empty");
    JsonObject *o = entry(a, row->name, "command");
    json_object_set_string_member(o, "arg-type", arguments);
    json_object_set_string_member(o, "ret-type", result_type(row));
    json_object_set_boolean_member(o, "allow-oob", FALSE);
    if (row->arguments)
        add_object(a, arguments, row->arguments);
}

JsonArray *qmp_schema(void)
{
    JsonArray *a = json_array_new();
    const QmpCommand *row;
    add_builtins(a);
    for (unsigned n = 0; (row = qmp_command_nth(n)); n++)
        add_command(a, row);
    for (const char *const *e = qmp_event_names; *e; e++)
        json_object_set_string_member(entry(a, *e, "event"), "arg-type", "any");
    return a;
}
#endif
