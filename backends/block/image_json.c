/* Descriptions of images in JSON, as pairs (image_json.h). */
#include "backends/block/image_json.h"

#include "config.h"
#include "core/error.h"
#include "core/options.h"

#ifdef CONFIG_JSON_GLIB
#include <json-glib/json-glib.h>

enum { MAX_DEPTH = 32 };

static gboolean add_value(GPtrArray *pairs, const char *key, JsonNode *v, unsigned depth);

static gboolean add_object(GPtrArray *pairs, const char *prefix, JsonObject *o, unsigned depth)
{
    g_autoptr(GList) names = json_object_get_members(o);
    gboolean ok = TRUE;

    for (GList *l = names; ok && l; l = l->next) {
        g_autofree char *key = *prefix ? g_strconcat(prefix, ".", l->data, NULL) : g_strdup(l->data);
        ok = add_value(pairs, key, json_object_get_member(o, l->data), depth);
    }
    return ok;
}

static gboolean add_array(GPtrArray *pairs, const char *prefix, JsonArray *a, unsigned depth)
{
    gboolean ok = TRUE;

    for (guint i = 0; ok && i < json_array_get_length(a); i++) {
        g_autofree char *key = g_strdup_printf("%s.%u", prefix, i);
        ok = add_value(pairs, key, json_array_get_element(a, i), depth);
    }
    return ok;
}

static void add_scalar(GPtrArray *pairs, const char *key, JsonNode *v)
{
    g_autofree char *number = NULL;
    const char *text = "";

    if (json_node_get_value_type(v) == G_TYPE_BOOLEAN)
        text = json_node_get_boolean(v) ? "on" : "off";
    else if (json_node_get_value_type(v) == G_TYPE_STRING)
        text = json_node_get_string(v);
    else if (!json_node_is_null(v))
        text = number = g_strdup_printf("%" G_GINT64_FORMAT, json_node_get_int(v));
    option_pairs_add(pairs, key, text);
}

static gboolean add_value(GPtrArray *pairs, const char *key, JsonNode *v, unsigned depth)
{
    if (depth > MAX_DEPTH)
        return FALSE;
    if (JSON_NODE_HOLDS_OBJECT(v))
        return add_object(pairs, key, json_node_get_object(v), depth + 1);
    if (JSON_NODE_HOLDS_ARRAY(v))
        return add_array(pairs, key, json_node_get_array(v), depth + 1);
    add_scalar(pairs, key, v);
    return TRUE;
}

GPtrArray *image_json_parse(const char *what, const char *text, GError **err)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GPtrArray) pairs = option_pairs_parse("", NULL);
    JsonNode *root = json_parser_load_from_data(parser, text, -1, NULL) ? json_parser_get_root(parser) : NULL;

    if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
        error_set(err, "%s: this is not a JSON object: %s", what, text);
        return NULL;
    }
    if (!add_object(pairs, "", json_node_get_object(root), 0)) {
        error_set(err, "%s: this JSON object is nested too deeply", what);
        return NULL;
    }
    return g_steal_pointer(&pairs);
}
#else
GPtrArray *image_json_parse(const char *what, const char *text, GError **err)
{
    error_set(err, "%s: this Myna was built without json-glib and reads no JSON; key=value says the same: %s", what,
              text);
    return NULL;
}
#endif
