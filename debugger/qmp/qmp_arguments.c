/* Arguments of QMP commands against their rows, with QEMU's words for what is wrong (qmp_command.h). */
#include "config.h"

#ifdef CONFIG_JSON_GLIB
#include <string.h>

#include "debugger/qmp/qmp_command.h"

static bool has_type(JsonNode *v, QmpType type)
{
    GType held = json_node_get_value_type(v);
    switch (type) {
    case QMP_ANY: return true;
    case QMP_STRING: return JSON_NODE_HOLDS_VALUE(v) && held == G_TYPE_STRING;
    case QMP_INTEGER: return JSON_NODE_HOLDS_VALUE(v) && held == G_TYPE_INT64;
    case QMP_NUMBER: return JSON_NODE_HOLDS_VALUE(v) && (held == G_TYPE_INT64 || held == G_TYPE_DOUBLE);
    case QMP_BOOL: return JSON_NODE_HOLDS_VALUE(v) && held == G_TYPE_BOOLEAN;
    case QMP_OBJECT: return JSON_NODE_HOLDS_OBJECT(v);
    default: return JSON_NODE_HOLDS_ARRAY(v);
    }
}

static char *wrong_type(const char *path, QmpType type)
{
    static const char *const words[] = {
        [QMP_STRING] = "string", [QMP_INTEGER] = "integer", [QMP_NUMBER] = "number", [QMP_BOOL] = "boolean",
        [QMP_OBJECT] = "object", [QMP_STRINGS] = "array", [QMP_OBJECTS] = "array"
    };
    return g_strdup_printf("Invalid parameter type for '%s', expected: %s", path, words[type]);
}

static char *check_object(JsonObject *o, const QmpArgument *rows, const char *before);

static char *check_element(JsonNode *v, const QmpArgument *row, const char *path)
{
    QmpType type = row->type == QMP_STRINGS ? QMP_STRING : QMP_OBJECT;
    if (!has_type(v, type))
        return wrong_type(path, type);
    g_autofree char *before = g_strconcat(path, ".", NULL);
    return type == QMP_OBJECT && row->members ? check_object(json_node_get_object(v), row->members, before) : NULL;
}

static char *check_array(JsonArray *a, const QmpArgument *row, const char *path)
{
    char *wrong = NULL;
    for (guint k = 0; !wrong && k < json_array_get_length(a); k++) {
        g_autofree char *at = g_strdup_printf("%s[%u]", path, k);
        wrong = check_element(json_array_get_element(a, k), row, at);
    }
    return wrong;
}

static char *check_value(JsonNode *v, const QmpArgument *row, const char *path)
{
    if (!has_type(v, row->type))
        return wrong_type(path, row->type);
    if (row->words && !g_strv_contains(row->words, json_node_get_string(v)))
        return g_strdup_printf("Parameter '%s' does not accept value '%s'", path, json_node_get_string(v));
    if (row->type == QMP_STRINGS || row->type == QMP_OBJECTS)
        return check_array(json_node_get_array(v), row, path);
    g_autofree char *before = g_strconcat(path, ".", NULL);
    return row->type == QMP_OBJECT && row->members ? check_object(json_node_get_object(v), row->members, before) : NULL;
}

static char *check_rows(JsonObject *o, const QmpArgument *rows, const char *before)
{
    char *wrong = NULL;
    for (const QmpArgument *row = rows; !wrong && row && row->name; row++) {
        g_autofree char *path = g_strconcat(before, row->name, NULL);
        JsonNode *v = json_object_get_member(o, row->name);
        if (v)
            wrong = check_value(v, row, path);
        else if (!row->optional)
            wrong = g_strdup_printf("Parameter '%s' is missing", path);
    }
    return wrong;
}

static bool is_known(const QmpArgument *rows, const char *name)
{
    while (rows && rows->name && strcmp(rows->name, name))
        rows++;
    return rows && rows->name;
}

static char *check_object(JsonObject *o, const QmpArgument *rows, const char *before)
{
    char *wrong = check_rows(o, rows, before);
    g_autoptr(GList) names = json_object_get_members(o);
    for (GList *l = names; !wrong && l; l = l->next)
        if (!is_known(rows, l->data))
            wrong = g_strdup_printf("Parameter '%s%s' is unexpected", before, (const char *)l->data);
    return wrong;
}

char *qmp_arguments_check(JsonObject *o, const QmpArgument *rows) { return check_object(o, rows, ""); }

/* ---- for commands ---- */

bool qmp_has(const QmpCall *c, const char *name) { return json_object_has_member(c->arguments, name); }

const char *qmp_string(const QmpCall *c, const char *name, const char *otherwise)
{
    return qmp_has(c, name) ? json_object_get_string_member(c->arguments, name) : otherwise;
}

int64_t qmp_integer(const QmpCall *c, const char *name, int64_t otherwise)
{
    return qmp_has(c, name) ? json_object_get_int_member(c->arguments, name) : otherwise;
}

Cpu *qmp_cpu(QmpCall *c, const char *name)
{
    int64_t n = qmp_integer(c, name, -1);
    Cpu *cpu = !qmp_has(c, name) ? debugger_cpu(c->debugger)
             : n >= 0 && n < c->machine->cpu_count ? debugger_cpu_at(c->debugger, n) : NULL;
    if (!cpu)
        qmp_fail(c, "Parameter '%s' expects a CPU number", name);
    return cpu;
}

bool qmp_fail_error(QmpCall *c, GError **err)
{
    qmp_fail(c, "%s", *err ? (*err)->message : "failed");
    g_clear_error(err);
    return false;
}

bool qmp_return_object(QmpCall *c, JsonObject *o)
{
    c->result = json_node_init_object(json_node_alloc(), o);
    json_object_unref(o);
    return true;
}

bool qmp_return_array(QmpCall *c, JsonArray *a)
{
    c->result = json_node_init_array(json_node_alloc(), a);
    json_array_unref(a);
    return true;
}
#endif
