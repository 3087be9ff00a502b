/* QMP's commands and events about drives (qmp_command.h). */
#include "config.h"

#ifdef CONFIG_JSON_GLIB
#include <string.h>

#include "backends/block/block.h"
#include "debugger/qmp/qmp_command.h"

/* ---- query-block ---- */

/* The node that a drive's image is, with its backing files below. */
static JsonObject *image_object(const BlockBackend *b)
{
    JsonObject *o = json_object_new();

    json_object_set_string_member(o, "filename", block_file(b));
    json_object_set_string_member(o, "format", block_format(b));
    json_object_set_int_member(o, "virtual-size", block_size(b));
    if (block_backing(b, 0))
        json_object_set_string_member(o, "backing-filename", block_backing(b, 0));
    return o;
}

static JsonObject *cache_object(const BlockBackend *b)
{
    JsonObject *o = json_object_new();
    const char *mode = block_cache_mode(b);

    json_object_set_boolean_member(o, "writeback", block_write_cache(b));
    json_object_set_boolean_member(o, "direct", !strcmp(mode, "none") || !strcmp(mode, "directsync"));
    json_object_set_boolean_member(o, "no-flush", !strcmp(mode, "unsafe"));
    return o;
}

static JsonObject *medium_object(const BlockBackend *b)
{
    JsonObject *o = json_object_new();
    unsigned depth = 0;

    while (block_backing(b, depth))
        depth++;
    json_object_set_string_member(o, "file", block_file(b));
    json_object_set_string_member(o, "drv", block_format(b));
    json_object_set_boolean_member(o, "ro", block_readonly(b));
    json_object_set_boolean_member(o, "encrypted", FALSE);
    json_object_set_int_member(o, "backing_file_depth", depth);
    if (depth)
        json_object_set_string_member(o, "backing_file", block_backing(b, 0));
    json_object_set_object_member(o, "image", image_object(b));
    json_object_set_object_member(o, "cache", cache_object(b));
    return o;
}

static JsonObject *drive_object(const BlockBackend *b)
{
    JsonObject *o = json_object_new();
    bool removable = block_is_cdrom(b) || (block_user(b) && block_removable(b));

    json_object_set_string_member(o, "device", block_id(b));
    json_object_set_string_member(o, "type", "unknown");
    if (block_user(b))
        json_object_set_string_member(o, "qdev", block_user(b));
    json_object_set_boolean_member(o, "removable", removable);
    json_object_set_boolean_member(o, "locked", block_locked(b));
    json_object_set_string_member(o, "io-status", block_has_failed(b) ? "failed" : "ok");
    if (removable)
        json_object_set_boolean_member(o, "tray_open", block_tray_open(b));
    if (block_inserted(b))
        json_object_set_object_member(o, "inserted", medium_object(b));
    return o;
}

static bool run_block(QmpCall *c)
{
    JsonArray *a = json_array_new();
    const BlockBackend *b;
    for (unsigned n = 0; (b = block_nth(c->machine, n)); n++)
        json_array_add_object_element(a, drive_object(b));
    return qmp_return_array(c, a);
}

/* ---- changing ---- */

/* QEMU names a drive by "device", or its device by "id"; NULL after qmp_fail(). */
static BlockBackend *find_drive(QmpCall *c)
{
    const char *drive = qmp_string(c, "device", NULL), *device = qmp_string(c, "id", NULL);
    BlockBackend *b = drive ? block_find(c->machine, drive) : NULL;

    for (unsigned n = 0; !b && device && (b = block_nth(c->machine, n)); n++) {
        if (!g_strcmp0(block_user(b), device))
            return b;
        b = NULL;
    }
    if (!b) {
        c->error_class = "DeviceNotFound";
        qmp_fail(c, "Device '%s' not found", drive ? drive : device ? device : "");
    }
    return b;
}

static bool flag(const QmpCall *c, const char *name)
{
    return qmp_has(c, name) && json_object_get_boolean_member(c->arguments, name);
}

static bool run_eject(QmpCall *c)
{
    BlockBackend *b = find_drive(c);
    GError *err = NULL;

    return b && (block_eject(b, flag(c, "force"), &err) || qmp_fail_error(c, &err));
}

static bool run_change_medium(QmpCall *c)
{
    BlockBackend *b = find_drive(c);
    const char *mode = qmp_string(c, "read-only-mode", "retain");
    GError *err = NULL;

    return b && (block_change(b, qmp_string(c, "filename", ""), qmp_string(c, "format", NULL),
                              !strcmp(mode, "read-only"), flag(c, "force"), &err) || qmp_fail_error(c, &err));
}

static bool run_resize(QmpCall *c)
{
    BlockBackend *b = find_drive(c);
    int64_t size = qmp_integer(c, "size", -1);
    GError *err = NULL;

    if (size < 0)
        return qmp_fail(c, "Parameter 'size' expects a >0 size");
    return b && (block_resize(b, size, &err) || qmp_fail_error(c, &err));
}

static const QmpArgument eject_arguments[] = {
    { "device", QMP_STRING, true, NULL, NULL },
    { "id", QMP_STRING, true, NULL, NULL },
    { "force", QMP_BOOL, true, NULL, NULL },
    { .name = NULL },
};

static const char *const readonly_modes[] = { "retain", "read-only", "read-write", NULL };

static const QmpArgument change_arguments[] = {
    { "device", QMP_STRING, true, NULL, NULL },
    { "id", QMP_STRING, true, NULL, NULL },
    { "filename", QMP_STRING, false, NULL, NULL },
    { "format", QMP_STRING, true, NULL, NULL },
    { "force", QMP_BOOL, true, NULL, NULL },
    { "read-only-mode", QMP_STRING, true, readonly_modes, NULL },
    { .name = NULL },
};

static const QmpArgument resize_arguments[] = {
    { "device", QMP_STRING, false, NULL, NULL },
    { "size", QMP_INTEGER, false, NULL, NULL },
    { .name = NULL },
};

const QmpCommand qmp_block_commands[] = {
    { .name = "query-block", .run = run_block, .returns = "array" },
    { .name = "eject", .run = run_eject, .arguments = eject_arguments },
    { .name = "blockdev-change-medium", .run = run_change_medium, .arguments = change_arguments },
    { .name = "block_resize", .run = run_resize, .arguments = resize_arguments },
    { .name = NULL },
};

/* ---- events ---- */

static void send_error(QmpEvents *q, const BlockEvent *e)
{
    static const char *const actions[] = { [BLOCK_ERROR_REPORT] = "report", [BLOCK_ERROR_IGNORE] = "ignore",
                                           [BLOCK_ERROR_STOP] = "stop" };
    JsonObject *data = json_object_new();

    json_object_set_string_member(data, "device", block_id(e->drive));
    json_object_set_string_member(data, "operation", e->write ? "write" : "read");
    json_object_set_string_member(data, "action", actions[e->action]);
    json_object_set_boolean_member(data, "nospace", e->status == -ENOSPC);
    json_object_set_string_member(data, "reason", g_strerror(-e->status));
    qmp_event(q->qmp, "BLOCK_IO_ERROR", data);
}

static void send_tray(QmpEvents *q, const BlockEvent *e)
{
    JsonObject *data = json_object_new();

    json_object_set_string_member(data, "device", block_id(e->drive));
    json_object_set_string_member(data, "id", block_user(e->drive) ? block_user(e->drive) : "");
    json_object_set_boolean_member(data, "tray-open", block_tray_open(e->drive));
    qmp_event(q->qmp, "DEVICE_TRAY_MOVED", data);
}

void qmp_block_event(void *opaque, const BlockEvent *e)
{
    if (e->kind == BLOCK_EVENT_ERROR)
        send_error(opaque, e);
    else
        send_tray(opaque, e);
}
#endif
