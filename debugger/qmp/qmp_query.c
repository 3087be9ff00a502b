/* QMP's queries about the kind of machine (qmp_command.h). */
#include "config.h"

#ifdef CONFIG_JSON_GLIB
#include <unistd.h>

#include "cpu/model_internal.h"
#include "debugger/qmp/qmp_command.h"
#include "machines/board.h"

static bool run_name(QmpCall *c)
{
    JsonObject *o = json_object_new();
    const char *name = machine_find(c->machine, "name");
    if (name)
        json_object_set_string_member(o, "name", name);
    return qmp_return_object(c, o);
}

/* There is no option that gives a machine one; so says QEMU then. */
static bool run_uuid(QmpCall *c)
{
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "UUID", "00000000-0000-0000-0000-000000000000");
    return qmp_return_object(c, o);
}

static bool run_kvm(QmpCall *c)
{
    JsonObject *o = json_object_new();
    json_object_set_boolean_member(o, "enabled", FALSE);
    json_object_set_boolean_member(o, "present", FALSE);
    return qmp_return_object(c, o);
}

static bool run_target(QmpCall *c)
{
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "arch", "x86_64");
    return qmp_return_object(c, o);
}

static JsonObject *board_object(const Board *b)
{
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "name", b->name);
    if (b->alias)
        json_object_set_string_member(o, "alias", b->alias);
    if (b == boards[0])
        json_object_set_boolean_member(o, "is-default", TRUE);
    json_object_set_int_member(o, "cpu-max", b->max_cpus);
    json_object_set_boolean_member(o, "hotpluggable-cpus", FALSE);
    json_object_set_boolean_member(o, "numa-mem-supported", FALSE);
    json_object_set_boolean_member(o, "deprecated", FALSE);
    return o;
}

static bool run_machines(QmpCall *c)
{
    JsonArray *a = json_array_new();
    for (const Board *const *b = boards; *b; b++)
        json_array_add_object_element(a, board_object(*b));
    return qmp_return_array(c, a);
}

/* Where the index-th CPU is, by the topology: threads count first, then cores, dies and sockets. */
static JsonObject *cpu_place(const Machine *m, unsigned index)
{
    JsonObject *o = json_object_new();
    unsigned threads = MAX(m->topology.threads, 1), dies = MAX(m->topology.dies, 1);
    unsigned cores = m->topology.cores ? m->topology.cores : MAX(m->cpu_count, 1);
    json_object_set_int_member(o, "socket-id", index / threads / cores / dies);
    json_object_set_int_member(o, "die-id", index / threads / cores % dies);
    json_object_set_int_member(o, "core-id", index / threads % cores);
    json_object_set_int_member(o, "thread-id", index % threads);
    return o;
}

static JsonObject *cpu_object(const Machine *m, unsigned index)
{
    JsonObject *o = json_object_new();
    g_autofree char *path = g_strdup_printf("/machine/cpu[%u]", index);
    json_object_set_int_member(o, "cpu-index", index);
    json_object_set_string_member(o, "qom-path", path);
    json_object_set_int_member(o, "thread-id", getpid());
    json_object_set_string_member(o, "target", "x86_64");
    json_object_set_object_member(o, "props", cpu_place(m, index));
    return o;
}

static bool run_cpus(QmpCall *c)
{
    JsonArray *a = json_array_new();
    for (unsigned k = 0; k < c->machine->cpu_count; k++)
        json_array_add_object_element(a, cpu_object(c->machine, k));
    return qmp_return_array(c, a);
}

static JsonObject *model_object(const char *name, const char *alias_of)
{
    JsonObject *o = json_object_new();
    g_autofree char *type = g_strconcat(name, "-x86_64-cpu", NULL);
    json_object_set_string_member(o, "name", name);
    json_object_set_string_member(o, "typename", type);
    json_object_set_array_member(o, "unavailable-features", json_array_new());
    json_object_set_boolean_member(o, "migration-safe", FALSE);
    json_object_set_boolean_member(o, "static", FALSE);
    json_object_set_boolean_member(o, "deprecated", FALSE);
    if (alias_of)
        json_object_set_string_member(o, "alias-of", alias_of);
    return o;
}

static bool run_cpu_definitions(QmpCall *c)
{
    JsonArray *a = json_array_new();
    for (unsigned k = 0; k < model_count; k++)
        json_array_add_object_element(a, model_object(model_table[k].name, NULL));
    for (unsigned k = 0; k < model_alias_count; k++)
        json_array_add_object_element(a, model_object(model_aliases[k].alias, model_aliases[k].name));
    return qmp_return_array(c, a);
}

static bool run_memory_size(QmpCall *c)
{
    JsonObject *o = json_object_new();
    json_object_set_int_member(o, "base-memory", c->machine->ram_size);
    json_object_set_int_member(o, "plugged-memory", 0);
    return qmp_return_object(c, o);
}

const QmpCommand qmp_query_commands[] = {
    { .name = "query-name", .run = run_name, .returns = "object" },
    { .name = "query-uuid", .run = run_uuid, .returns = "object" },
    { .name = "query-kvm", .run = run_kvm, .returns = "object" },
    { .name = "query-target", .run = run_target, .returns = "object" },
    { .name = "query-machines", .run = run_machines, .returns = "array" },
    { .name = "query-cpus-fast", .run = run_cpus, .returns = "array" },
    { .name = "query-cpu-definitions", .run = run_cpu_definitions, .returns = "array" },
    { .name = "query-memory-size-summary", .run = run_memory_size, .returns = "object" },
    { .name = NULL },
};
#endif
