/*
 * Options of the form "value,key=value,flag,noflag" (core/options.h).
 */
#include "core/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"

static void pair_free(gpointer p)
{
    OptionPair *pair = p;
    g_free(pair->key);
    g_free(pair->value);
    g_free(pair);
}

/* The text up to the next single comma, with double ones joined; *text moves behind it, to NULL at the end. */
static char *take_part(const char **text)
{
    GString *part = g_string_new(NULL);
    const char *p = *text;
    for (; *p; p++) {
        if (*p == ',' && *++p != ',') {
            *text = p;
            return g_string_free(part, FALSE);
        }
        g_string_append_c(part, *p);
    }
    *text = NULL;
    return g_string_free(part, FALSE);
}

char **option_split(const char *text)
{
    GPtrArray *parts = g_ptr_array_new();
    while (text && *text)
        g_ptr_array_add(parts, take_part(&text));
    g_ptr_array_add(parts, NULL);
    return (char **)g_ptr_array_free(parts, FALSE);
}

static OptionPair *pair_new(const char *part, const char *implied_key)
{
    OptionPair *pair = g_new0(OptionPair, 1);
    const char *equals = strchr(part, '=');
    if (equals) {
        pair->key = g_strndup(part, equals - part);
        pair->value = g_strdup(equals + 1);
    } else if (implied_key) {
        pair->key = g_strdup(implied_key);
        pair->value = g_strdup(part);
    } else {
        pair->key = g_strdup(part);
    }
    return pair;
}

GPtrArray *option_pairs_parse(const char *text, const char *implied_key)
{
    GPtrArray *pairs = g_ptr_array_new_with_free_func(pair_free);
    char **parts = option_split(text);
    for (char **p = parts; *p; p++) {
        if (**p)
            g_ptr_array_add(pairs, pair_new(*p, p == parts ? implied_key : NULL));
    }
    g_strfreev(parts);
    return pairs;
}

const char *option_pairs_get(const GPtrArray *pairs, const char *key)
{
    for (guint i = pairs->len; i-- > 0;) {
        const OptionPair *pair = g_ptr_array_index(pairs, i);
        if (!strcmp(pair->key, key))
            return pair->value ? pair->value : "on";
    }
    return NULL;
}

char *option_pairs_take(GPtrArray *pairs, const char *key)
{
    char *value = g_strdup(option_pairs_get(pairs, key));
    for (guint i = pairs->len; i-- > 0;) {
        const OptionPair *pair = g_ptr_array_index(pairs, i);
        if (!strcmp(pair->key, key))
            g_ptr_array_remove_index(pairs, i);
    }
    return value;
}

void option_pairs_add(GPtrArray *pairs, const char *key, const char *value)
{
    OptionPair *pair = g_new0(OptionPair, 1);
    pair->key = g_strdup(key);
    pair->value = g_strdup(value);
    g_ptr_array_add(pairs, pair);
}

static void append_part(GString *out, const char *part)
{
    for (; *part; part++) {
        g_string_append_c(out, *part);
        if (*part == ',')
            g_string_append_c(out, ',');
    }
}

char *option_pairs_format(const GPtrArray *pairs)
{
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < pairs->len; i++) {
        const OptionPair *pair = g_ptr_array_index(pairs, i);
        if (i)
            g_string_append_c(out, ',');
        append_part(out, pair->key);
        if (pair->value) {
            g_string_append_c(out, '=');
            append_part(out, pair->value);
        }
    }
    return g_string_free(out, FALSE);
}

gboolean error_unknown(GError **err, const char *what, const char *kind, const char *given, const char *const *names)
{
    unsigned n = g_strv_length((char **)names);
    const char *nearest = nearest_name(given, names, n);
    char *list = g_strjoinv(", ", (char **)names);
    char *hint = nearest ? g_strdup_printf(" (did you mean '%s'?)", nearest) : g_strdup("");
    error_set(err, "%s: unknown %s '%s'%s; known: %s", what, kind, given, hint, list);
    g_free(hint);
    g_free(list);
    return FALSE;
}

gboolean parse_bool(const char *what, const char *text, bool *out, GError **err)
{
    static const char *const words[] = {"off", "on", "no", "yes", "false", "true"};
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        if (!strcmp(text, words[i])) {
            *out = i & 1;
            return TRUE;
        }
    }
    return error_set(err, "%s: '%s' is neither on nor off", what, text);
}

gboolean parse_unsigned(const char *what, const char *text, unsigned max, unsigned *out, GError **err)
{
    char *end;
    errno = 0;
    guint64 v = g_ascii_strtoull(text, &end, 0);
    if (!g_ascii_isdigit(*text) || *end)
        return error_set(err, "%s: '%s' is not a number", what, text);
    if (errno || v > max)
        return error_set(err, "%s: %s is too large, the most is %u", what, text, max);
    *out = v;
    return TRUE;
}

static const OptionField *field_find(const OptionField *fields, const char *key)
{
    for (; fields->key; fields++) {
        if (!strcmp(fields->key, key))
            return fields;
    }
    return NULL;
}

static gboolean unknown_field(const char *what, const char *key, const OptionField *fields, GError **err)
{
    GPtrArray *names = g_ptr_array_new();
    for (; fields->key; fields++)
        g_ptr_array_add(names, (gpointer)fields->key);
    g_ptr_array_add(names, NULL);
    error_unknown(err, what, "property", key, (const char *const *)names->pdata);
    g_ptr_array_unref(names);
    return FALSE;
}

static void string_replace(void *to, const char *value)
{
    char **slot = to;
    g_free(*slot);
    *slot = g_strdup(value);
}

static gboolean store_string(const char *where, const OptionField *f, const char *value, void *to, GError **err)
{
    if (f->allowed && !g_strv_contains(f->allowed, value))
        return error_unknown(err, where, "value", value, f->allowed);
    string_replace(to, value);
    return TRUE;
}

static gboolean list_add(void *to, const char *value)
{
    GPtrArray **list = to;
    if (!*list)
        *list = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(*list, g_strdup(value));
    return TRUE;
}

static gboolean store_value(const char *where, const OptionField *f, const char *value, void *object, GError **err)
{
    void *to = (char *)object + f->offset;
    switch (f->type) {
    case OPTION_BOOL: return parse_bool(where, value, to, err);
    case OPTION_UNSIGNED: return parse_unsigned(where, value, UINT_MAX, to, err);
    case OPTION_SIZE: return parse_size(where, value, 1, to, err);
    case OPTION_SIZE_MIB: return parse_size(where, value, 1 << 20, to, err);
    case OPTION_STRING: return store_string(where, f, value, to, err);
    case OPTION_LIST: return list_add(to, value);
    default: return TRUE;
    }
}

/* One part: key=value, or the name of a boolean with or without "no". */
static gboolean store_pair(const char *what, const OptionPair *pair, const OptionField *fields, void *object,
                           GError **err)
{
    const OptionField *f = field_find(fields, pair->key);
    const char *value = pair->value ? pair->value : "on";
    if (!f && !pair->value && g_str_has_prefix(pair->key, "no")) {
        f = field_find(fields, pair->key + 2);
        f = f && f->type == OPTION_BOOL ? f : NULL;
        value = "off";
    }
    if (!f)
        return unknown_field(what, pair->key, fields, err);
    if (!pair->value && f->type != OPTION_BOOL && f->type != OPTION_IGNORED)
        return error_set(err, "%s: property '%s' needs a value", what, f->key);
    char *where = g_strdup_printf("%s %s=", what, f->key);
    gboolean ok = store_value(where, f, value, object, err);
    g_free(where);
    return ok;
}

gboolean option_fields_parse(const char *what, const char *text, const char *implied_key, const OptionField *fields,
                             void *object, GError **err)
{
    GPtrArray *pairs = option_pairs_parse(text, implied_key);
    gboolean ok = TRUE;
    for (guint i = 0; ok && i < pairs->len; i++)
        ok = store_pair(what, g_ptr_array_index(pairs, i), fields, object, err);
    g_ptr_array_unref(pairs);
    return ok;
}

void option_fields_clear(const OptionField *fields, void *object)
{
    for (; fields->key; fields++) {
        if (fields->type == OPTION_STRING)
            string_replace((char *)object + fields->offset, NULL);
        else if (fields->type == OPTION_LIST)
            g_clear_pointer((GPtrArray **)((char *)object + fields->offset), g_ptr_array_unref);
    }
}
