/*
 * The list of boards, and devices by the user's wish (machines/board.h).
 */
#include "machines/board.h"

#include <stdarg.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/options.h"
#include "machines/pc.h"
#include "util/bits.h"

const Board *const boards[] = {&board_pc, NULL};

const Board *board_find(const char *name, GError **err)
{
    const char *names[ARRAY_SIZE(boards)];
    unsigned n = 0;
    for (const Board *const *b = boards; *b; b++) {
        if (!strcmp((*b)->name, name) || !g_strcmp0((*b)->alias, name))
            return *b;
        names[n++] = (*b)->name;
    }
    names[n] = NULL;
    error_unknown(err, "-machine", "machine", name, names);
    return NULL;
}

void board_list(void)
{
    g_print("Machines:\n");
    for (const Board *const *b = boards; *b; b++)
        g_print("%-12s %s%s%s%s%s\n", (*b)->name, (*b)->description, (*b)->alias ? " (alias " : "",
                (*b)->alias ? (*b)->alias : "", (*b)->alias ? ")" : "", b == boards ? " (default)" : "");
}

uint64_t board_pool_size(const Options *o)
{
    return o->memory.size + GiB;
}

static const DeviceType *type_find(const DeviceType *const *types, const char *name)
{
    for (; *types; types++) {
        if (!strcmp((*types)->name, name))
            return *types;
    }
    return NULL;
}

const DeviceType *board_find_type(const DeviceType *const *types, const char *what, const char *name, GError **err)
{
    const DeviceType *type = type_find(types, name);
    if (type && type->user)
        return type;
    if (type) {
        error_set(err, "%s: '%s' is part of a board and cannot be added", what, name);
        return NULL;
    }
    GPtrArray *names = g_ptr_array_new();
    for (; *types; types++) {
        if ((*types)->user)
            g_ptr_array_add(names, (gpointer)(*types)->name);
    }
    g_ptr_array_add(names, NULL);
    error_unknown(err, what, "device", name, (const char *const *)names->pdata);
    g_ptr_array_unref(names);
    return NULL;
}

/* Splits "TYPE.PROP=VALUE"; the result is for g_strfreev(), or NULL when it has another form. */
static char **global_split(const char *text)
{
    const char *dot = strchr(text, '.'), *equals = strchr(text, '=');
    if (!dot || !equals || dot > equals)
        return NULL;
    char **parts = g_new0(char *, 4);
    parts[0] = g_strndup(text, dot - text);
    parts[1] = g_strndup(dot + 1, equals - dot - 1);
    parts[2] = g_strdup(equals + 1);
    return parts;
}

gboolean board_check_globals(const Options *o, GError **err)
{
    for (guint i = 0; i < o->globals->len; i++) {
        const char *text = g_ptr_array_index(o->globals, i);
        char **parts = global_split(text);
        if (!parts)
            return error_set(err, "-global: '%s' is not of the form TYPE.PROP=VALUE", text);
        if (!type_find(o->types, parts[0]))
            log_user("warning: -global %s: there is no device type '%s'", text, parts[0]);
        g_strfreev(parts);
    }
    return TRUE;
}

static gboolean globals_apply(const Options *o, Device *dev, GError **err)
{
    gboolean ok = TRUE;
    for (guint i = 0; ok && i < o->globals->len; i++) {
        char **parts = global_split(g_ptr_array_index(o->globals, i));
        if (parts && !strcmp(parts[0], dev->type->name))
            ok = device_set(dev, parts[1], parts[2], err);
        g_strfreev(parts);
    }
    return ok;
}

Device *board_add_device(Machine *m, const Options *o, const DeviceType *type, const char *id, GError **err, ...)
{
    Device *dev = device_new(m, type, id);
    gboolean ok = globals_apply(o, dev, err);
    va_list properties;
    va_start(properties, err);
    for (const char *name; ok && (name = va_arg(properties, const char *));)
        ok = device_set(dev, name, va_arg(properties, const char *), err);
    va_end(properties);
    if (!ok)
        device_remove(dev);
    return ok && device_create(dev, err) ? dev : NULL;
}

static bool type_has_property(const DeviceType *type, const char *name)
{
    for (const Property *p = type->properties; p && p->name; p++) {
        if (!strcmp(p->name, name))
            return true;
    }
    return false;
}

/* QEMU's names of the only buses that there are may be given, where a type does not choose among several itself. */
static gboolean bus_check(const DeviceType *type, GPtrArray *pairs, GError **err)
{
    if (type_has_property(type, "bus"))
        return TRUE;
    char *bus = option_pairs_take(pairs, "bus");
    gboolean ok = !bus || !strcmp(type->bus, "system") ||
                  (g_str_has_prefix(bus, type->bus) && (!bus[strlen(type->bus)] || !strcmp(strchr(bus, '.') ?: "", ".0")));
    if (!ok)
        error_set(err, "-device %s: there is no bus '%s'; it goes onto %s.0", type->name, bus, type->bus);
    g_free(bus);
    return ok;
}

static gboolean user_properties_set(Device *dev, const GPtrArray *pairs, GError **err)
{
    for (guint i = 0; i < pairs->len; i++) {
        const OptionPair *pair = g_ptr_array_index(pairs, i);
        if (!device_set(dev, pair->key, pair->value ? pair->value : "on", err))
            return FALSE;
    }
    return TRUE;
}

static gboolean user_device_add(Machine *m, const Options *o, const char *driver, GPtrArray *pairs, GError **err)
{
    const DeviceType *type = board_find_type(o->types, "-device", driver, err);
    if (!type || !bus_check(type, pairs, err))
        return FALSE;
    char *id = option_pairs_take(pairs, "id");
    if (id && device_find(m, id)) {
        error_set(err, "-device %s: the id '%s' is used twice", driver, id);
        g_free(id);
        return FALSE;
    }
    Device *dev = device_new(m, type, id);
    g_free(id);
    if (globals_apply(o, dev, err) && user_properties_set(dev, pairs, err))
        return device_create(dev, err);
    device_remove(dev);
    return FALSE;
}

gboolean board_add_user_device(Machine *m, const Options *o, const char *text, GError **err)
{
    GPtrArray *pairs = option_pairs_parse(text, "driver");
    char *driver = option_pairs_take(pairs, "driver");
    gboolean ok = driver ? user_device_add(m, o, driver, pairs, err)
                         : error_set(err, "-device %s: names no device type", text);
    g_free(driver);
    g_ptr_array_unref(pairs);
    return ok;
}
