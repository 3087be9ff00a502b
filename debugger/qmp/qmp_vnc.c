/* QMP's commands about VNC servers (qmp_command.h). */
#include "config.h"

#ifdef CONFIG_JSON_GLIB
#include <string.h>

#include "debugger/qmp/qmp_command.h"
#include "ui/vnc.h"

/* QEMU's VncBasicInfo. */
static JsonObject *peer_object(const VncPeer *p)
{
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "host", p->host);
    json_object_set_string_member(o, "service", p->service);
    json_object_set_string_member(o, "family", p->family);
    json_object_set_boolean_member(o, "websocket", FALSE);
    return o;
}

static JsonArray *viewers_array(const VncInfo *info)
{
    JsonArray *a = json_array_new();
    for (guint k = 0; k < info->viewers->len; k++)
        json_array_add_object_element(a, peer_object(&g_array_index(info->viewers, VncPeer, k)));
    return a;
}

/* The first server, as QEMU's VncInfo. */
static bool run_query(QmpCall *c)
{
    VncInfo *info = vnc_info_nth(c->machine, 0);
    JsonObject *o = info && info->listening->len ? peer_object(&g_array_index(info->listening, VncPeer, 0))
                                                 : json_object_new();
    json_object_set_boolean_member(o, "enabled", info != NULL);
    if (info) {
        json_object_remove_member(o, "websocket");
        json_object_set_string_member(o, "auth", info->auth);
        json_object_set_array_member(o, "clients", viewers_array(info));
        vnc_info_free(info);
    }
    return qmp_return_object(c, o);
}

/* VncServerInfo2 of each address. */
static JsonArray *listening_array(const VncInfo *info)
{
    JsonArray *a = json_array_new();
    for (guint k = 0; k < info->listening->len; k++) {
        JsonObject *o = peer_object(&g_array_index(info->listening, VncPeer, k));
        json_object_set_string_member(o, "auth", info->auth);
        json_array_add_object_element(a, o);
    }
    return a;
}

static bool run_query_servers(QmpCall *c)
{
    JsonArray *a = json_array_new();
    VncInfo *info;
    for (unsigned n = 0; (info = vnc_info_nth(c->machine, n)); n++) {
        g_autofree char *id = n ? g_strdup_printf("vnc.%u", n) : g_strdup("default");
        JsonObject *o = json_object_new();
        json_object_set_string_member(o, "id", id);
        json_object_set_array_member(o, "server", listening_array(info));
        json_object_set_array_member(o, "clients", viewers_array(info));
        json_object_set_string_member(o, "auth", info->auth);
        json_array_add_object_element(a, o);
        vnc_info_free(info);
    }
    return qmp_return_array(c, a);
}

static bool run_set_password(QmpCall *c)
{
    g_autoptr(GError) err = NULL;
    bool disconnect = !strcmp(qmp_string(c, "connected", "keep"), "disconnect");
    return vnc_set_password(c->machine, qmp_string(c, "password", ""), disconnect, &err) || qmp_fail_error(c, &err);
}

static bool run_expire_password(QmpCall *c)
{
    g_autoptr(GError) err = NULL;
    int64_t time;
    const char *when = qmp_string(c, "time", "");
    if (!vnc_parse_time(when, &time))
        return qmp_fail(c, "Parameter 'time' does not accept value '%s'", when);
    return vnc_expire_password(c->machine, time, &err) || qmp_fail_error(c, &err);
}

static const char *const protocols[] = { "vnc", NULL };
static const char *const connected[] = { "keep", "disconnect", NULL };

static const QmpArgument set_arguments[] = {
    { "protocol", QMP_STRING, false, protocols, NULL },
    { "password", QMP_STRING, false, NULL, NULL },
    { "connected", QMP_STRING, true, connected, NULL },
    { "display", QMP_STRING, true, NULL, NULL },
    { .name = NULL },
};

static const QmpArgument expire_arguments[] = {
    { "protocol", QMP_STRING, false, protocols, NULL },
    { "time", QMP_STRING, false, NULL, NULL },
    { "display", QMP_STRING, true, NULL, NULL },
    { .name = NULL },
};

static const QmpArgument change_arguments[] = {
    { "password", QMP_STRING, false, NULL, NULL },
    { .name = NULL },
};

const QmpCommand qmp_vnc_commands[] = {
    { .name = "query-vnc", .run = run_query, .returns = "object" },
    { .name = "query-vnc-servers", .run = run_query_servers, .returns = "array" },
    { .name = "set_password", .run = run_set_password, .arguments = set_arguments },
    { .name = "expire_password", .run = run_expire_password, .arguments = expire_arguments },
    { .name = "change-vnc-password", .run = run_set_password, .arguments = change_arguments },
    { .name = NULL },
};
#endif
