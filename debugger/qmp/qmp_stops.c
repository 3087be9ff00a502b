/* QMP's own commands about stops: breakpoints and watchpoints by expressions (qmp_command.h). */
#include "config.h"

#ifdef CONFIG_JSON_GLIB
#include <inttypes.h>
#include <string.h>

#include "debugger/expression/expression.h"
#include "debugger/qmp/qmp_command.h"

static const char *const kinds[] = { "code", "read", "write", "access", NULL };

/* As in myna-break-add, and for what only the monitor can add "other". */
static const char *kind_of(const StopPoint *p)
{
    if (p->kind == STOP_CODE)
        return "code";
    if (p->kind != STOP_DATA)
        return "other";
    return p->access == STOP_READ ? "read" : p->access == STOP_WRITE ? "write" : "access";
}

static JsonObject *stop_object(const Stop *s)
{
    JsonObject *o = json_object_new();
    g_autofree char *address = g_strdup_printf("0x%" PRIx64, s->point.first);
    json_object_set_int_member(o, "id", s->point.id);
    json_object_set_string_member(o, "kind", kind_of(&s->point));
    json_object_set_string_member(o, "address", address);
    json_object_set_int_member(o, "size", s->point.last - s->point.first + 1);
    json_object_set_boolean_member(o, "physical", s->point.physical);
    if (s->text)
        json_object_set_string_member(o, "text", s->text);
    if (s->condition_text)
        json_object_set_string_member(o, "condition", s->condition_text);
    json_object_set_boolean_member(o, "enabled", s->enabled);
    json_object_set_boolean_member(o, "temporary", s->temporary);
    json_object_set_int_member(o, "hits", s->hits);
    return o;
}

static bool run_stops(QmpCall *c)
{
    JsonArray *a = json_array_new();
    GPtrArray *all = debugger_stops(c->debugger);
    for (guint k = 0; k < all->len; k++) {
        const Stop *s = all->pdata[k];
        if (!s->owner)
            json_array_add_object_element(a, stop_object(s));
    }
    return qmp_return_array(c, a);
}

/* ---- adding and removing ---- */

/* An expression's value at this moment. */
static bool value_of(QmpCall *c, Cpu *cpu, const char *text, uint64_t *v)
{
    g_autoptr(GError) err = NULL;
    Expression *e = expression_parse(c->debugger, cpu, text, &err);
    bool ok = e && expression_value(e, cpu, v, &err);
    expression_free(e);
    return ok || qmp_fail_error(c, &err);
}

static void set_point(const QmpCall *c, StopPoint *p, uint64_t at)
{
    const char *kind = qmp_string(c, "kind", "code");
    p->kind = strcmp(kind, "code") ? STOP_DATA : STOP_CODE;
    p->access = !strcmp(kind, "read") ? STOP_READ : !strcmp(kind, "write") ? STOP_WRITE : STOP_READ | STOP_WRITE;
    if (p->kind == STOP_CODE)
        p->access = 0;
    p->physical = qmp_has(c, "physical") && json_object_get_boolean_member(c->arguments, "physical");
    p->first = at;
    p->last = at + qmp_integer(c, "size", 1) - 1;
}

static bool check_range(QmpCall *c, uint64_t at)
{
    int64_t size = qmp_integer(c, "size", 1);
    return (size > 0 && at + (uint64_t)size - 1 >= at) ||
           qmp_fail(c, "Parameter 'size' is %" PRId64 ": from the address on there must be 1 byte or more", size);
}

static bool set_condition(QmpCall *c, Stop *s, Cpu *cpu)
{
    g_autoptr(GError) err = NULL;
    const char *text = qmp_string(c, "condition", NULL);
    if (!text)
        return true;
    s->condition = expression_parse(c->debugger, cpu, text, &err);
    s->condition_text = g_strdup(text);
    if (s->condition)
        return true;
    g_free(s->condition_text);
    return qmp_fail_error(c, &err);
}

static bool run_add(QmpCall *c)
{
    Cpu *cpu = qmp_cpu(c, "cpu-index");
    const char *text = qmp_string(c, "address", "");
    Stop s = { .enabled = true, .cpu = qmp_integer(c, "cpu-index", -1) };
    uint64_t at;
    if (!cpu || !value_of(c, cpu, text, &at) || !check_range(c, at) || !set_condition(c, &s, cpu))
        return false;
    set_point(c, &s.point, at);
    s.temporary = qmp_has(c, "temporary") && json_object_get_boolean_member(c->arguments, "temporary");
    s.text = g_strdup(text);
    return qmp_return_object(c, stop_object(debugger_stop_add(c->debugger, &s)));
}

static bool run_remove(QmpCall *c)
{
    int64_t id = qmp_integer(c, "id", 0);
    Stop *s = id > 0 && id <= UINT32_MAX ? debugger_stop_find(c->debugger, id) : NULL;
    if (!s || s->owner)
        return qmp_fail(c, "there is no stop of the id %" PRId64 ": myna-stops lists them", id);
    debugger_stop_remove(c->debugger, s);
    return true;
}

static const QmpArgument add_arguments[] = {
    { "address", QMP_STRING, false, NULL, NULL },
    { "kind", QMP_STRING, true, kinds, NULL },
    { "size", QMP_INTEGER, true, NULL, NULL },
    { "physical", QMP_BOOL, true, NULL, NULL },
    { "condition", QMP_STRING, true, NULL, NULL },
    { "temporary", QMP_BOOL, true, NULL, NULL },
    { "cpu-index", QMP_INTEGER, true, NULL, NULL },
    { .name = NULL },
};

static const QmpArgument remove_arguments[] = {
    { "id", QMP_INTEGER, false, NULL, NULL },
    { .name = NULL },
};

const QmpCommand qmp_stop_commands[] = {
    { .name = "myna-stops", .run = run_stops, .returns = "array" },
    { .name = "myna-break-add", .run = run_add, .arguments = add_arguments, .returns = "object", .paused = true },
    { .name = "myna-break-remove", .run = run_remove, .arguments = remove_arguments },
    { .name = NULL },
};
#endif
