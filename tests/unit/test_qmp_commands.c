/* QMP: each command with right arguments and with wrong ones, and what query-qmp-schema says of them. */
#include <glib.h>

#include "config.h"

#ifdef CONFIG_JSON_GLIB
#include "backends/net/net.h"
#include "tests/unit/qmp_client.h"

/* Right arguments of each command, and a part of the reply; in this order.  %s: the folder for files. */
static const struct { const char *name, *arguments, *reply; } right[] = {
    { "query-version", "{}", "\"return\":{\"qemu\":{\"micro\":0,\"minor\":2,\"major\":7}," },
    { "query-commands", "{}", "{\"name\":\"query-commands\"}" },
    { "query-qmp-schema", "{}", "{\"name\":\"memsave-arg\",\"meta-type\":\"object\",\"members\":[{\"name\":\"val\","
                                "\"type\":\"int\"}" },
    { "query-status", "{}", "{\"return\":{\"status\":\"prelaunch\",\"singlestep\":false,\"running\":false}}" },
    { "query-name", "{}", "{\"return\":{}}" },
    { "query-uuid", "{}", "{\"return\":{\"UUID\":\"00000000-" },
    { "query-kvm", "{}", "{\"return\":{\"enabled\":false" },
    { "query-target", "{}", "{\"return\":{\"arch\":\"x86_64\"}}" },
    { "query-machines", "{}", "{\"return\":[{\"name\":\"pc\"" },
    { "query-cpus-fast", "{}", "{\"cpu-index\":1,\"qom-path\":\"/machine/cpu[1]\"" },
    { "query-cpu-definitions", "{}", "{\"name\":\"max\",\"typename\":\"max-x86_64-cpu\"" },
    { "query-memory-size-summary", "{}", "{\"return\":{\"base-memory\":2097152,\"plugged-memory\":0}}" },
    { "query-chardev", "{}", "{\"frontend-open\":true,\"filename\":\"qmp0\",\"label\":\"qmp0\"}" },
    { "query-block", "{}", "{\"return\":[{\"device\":\"ide1-cd0\"" },
    { "set_link", "{\"name\": \"net0\", \"up\": false}", "{\"return\":{}}" },
    { "query-pci", "{}", "\"id\":{\"vendor\":32902,\"device\":4663" },
    { "device-list-properties", "{\"typename\": \"isa-serial\"}", "{\"name\":\"iobase\",\"type\":\"uint32\"" },
    { "human-monitor-command", "{\"command-line\": \"info version\"}", "{\"return\":\"Myna 0.1\\r\\n\"}" },
    { "human-monitor-command", "{\"command-line\": \"info status\", \"cpu-index\": 1}", "{\"return\":\"VM status: " },
    { "send-key", "{\"keys\": [{\"type\": \"qcode\", \"data\": \"ctrl\"}, {\"type\": \"number\", \"data\": 211}], "
                  "\"hold-time\": 10}", "{\"return\":{}}" },
    { "send-key", "{\"keys\": []}", "{\"return\":{}}" },
    { "input-send-event", "{\"events\": [{\"type\": \"key\", \"data\": {\"down\": true, \"key\": {\"type\": \"qcode\", "
                          "\"data\": \"a\"}}}, {\"type\": \"btn\", \"data\": {\"down\": true, \"button\": \"left\"}}, "
                          "{\"type\": \"rel\", \"data\": {\"axis\": \"x\", \"value\": -5}}]}", "{\"return\":{}}" },
    { "screendump", "{\"filename\": \"%s/out\"}", "{\"return\":{}}" },
    { "screendump", "{\"filename\": \"%s/out\", \"format\": \"png\", \"head\": 0}", "{\"return\":{}}" },
    { "query-mice", "{}", "\"index\":0," },
    { "query-display-options", "{}", "{\"return\":{\"type\":\"none\"}}" },
    { "memsave", "{\"val\": 1048560, \"size\": 16, \"filename\": \"%s/out\", \"cpu-index\": 1}", "{\"return\":{}}" },
    { "pmemsave", "{\"val\": 0, \"size\": 1048576, \"filename\": \"%s/out\"}", "{\"return\":{}}" },
    { "inject-nmi", "{}", "{\"return\":{}}" },
    { "query-vnc", "{}", "{\"return\":{\"enabled\":false}}" },
    { "query-vnc-servers", "{}", "{\"return\":[]}" },
    { "set_password", "{\"protocol\": \"vnc\", \"password\": \"p\", \"connected\": \"disconnect\"}", "VNC" },
    { "expire_password", "{\"protocol\": \"vnc\", \"time\": \"+10\"}", "VNC" },
    { "change-vnc-password", "{\"password\": \"p\"}", "VNC" },
    { "blockdev-change-medium", "{\"device\": \"ide1-cd0\", \"filename\": \"%s/out\", \"format\": \"raw\"}",
      "{\"return\":{}}" },
    { "query-block", "{}", "\"drv\":\"raw\",\"ro\":true" },
    { "block_resize", "{\"device\": \"ide1-cd0\", \"size\": 2048}", "drive 'ide1-cd0' is read-only" },
    { "eject", "{\"device\": \"ide1-cd0\"}", "{\"return\":{}}" },
    { "query-block", "{}", "\"io-status\":\"ok\",\"tray_open\":true}" },
    { "cont", "{}", "{\"return\":{}}" },
    { "query-status", "{}", "\"status\":\"running\",\"singlestep\":false,\"running\":true" },
    { "stop", "{}", "{\"return\":{}}" },
    { "query-status", "{}", "\"status\":\"paused\"" },
    { "system_reset", "{}", "{\"return\":{}}" },
    { "system_powerdown", "{}", "{\"return\":{}}" },
    { "myna-stops", "{}", "{\"return\":[]}" },
    { "myna-break-add", "{\"address\": \"0x100 + 4\", \"kind\": \"write\", \"size\": 4, \"cpu-index\": 0}",
      "{\"return\":{\"id\":1,\"kind\":\"write\",\"address\":\"0x104\",\"size\":4" },
    { "myna-stops", "{}", "{\"return\":[{\"id\":1," },
    { "myna-break-remove", "{\"id\": 1}", "{\"return\":{}}" },
    { "myna-stops", "{}", "{\"return\":[]}" },
    { "quit", "{}", "{\"return\":{}}" },
};

static void test_right(Fixture *f, gconstpointer data)
{
    g_autofree char *out = g_build_filename(f->folder, "out", NULL);
    (void)data;
    negotiate(f);
    g_assert_true(net_open(f->m, "hubport,id=net0,hubid=0", NULL));
    for (unsigned k = 0; k < ARRAY_SIZE(right); k++) {
        g_auto(GStrv) parts = g_strsplit(right[k].arguments, "%s", -1);
        g_autofree char *arguments = g_strjoinv(f->folder, parts);
        g_autofree char *line = g_strdup_printf("{\"execute\":\"%s\",\"arguments\":%s}", right[k].name, arguments);
        ask(f, line, right[k].reply);
    }
    const QmpCommand *row;
    for (unsigned n = 0; (row = qmp_command_nth(n)); n++) {
        bool tried = row->before_negotiation;
        for (unsigned k = 0; k < ARRAY_SIZE(right); k++)
            tried |= !strcmp(right[k].name, row->name);
        if (!tried)
            g_error("no right arguments of %s", row->name);
    }
    g_assert_false(net_link_up(net_find(f->m, "net0")));
    unlink(out);
}

/* What memory commands wrote: RAM and ROM as they are, a hole where devices are. */
static void test_saved_memory(Fixture *f, gconstpointer data)
{
    g_autofree char *out = g_build_filename(f->folder, "out", NULL), *text = NULL, *line = NULL;
    gsize size;
    (void)data;
    negotiate(f);
    as_write(f->m->memory, 0x1234, 0x12345678, 4);
    line = g_strdup_printf("{\"execute\":\"pmemsave\",\"arguments\":{\"val\":4096,\"size\":1044480,\"filename\":\"%s\"}}",
                           out);
    ask(f, line, "{\"return\":{}}");
    g_assert_true(g_file_get_contents(out, &text, &size, NULL));
    g_assert_cmpuint(size, ==, 1044480);
    g_assert_cmpint(memcmp(text + 0x234, "\x78\x56\x34\x12", 4), ==, 0);
    g_assert_cmpint(memcmp(text + 0xffff0 - 4096, "\xeb\xfe", 2), ==, 0);
    unlink(out);
}

static void ask_wrong(Fixture *f, const char *name, const char *arguments, const char *desc)
{
    g_autofree char *line = g_strdup_printf("{\"execute\":\"%s\",\"arguments\":%s,\"id\":\"w\"}", name, arguments);
    g_autofree char *reply = g_strdup_printf("\"desc\":\"%s", desc);
    ask(f, line, reply);
}

/* Mistakes that the table of arguments finds. */
static void check_row(Fixture *f, const QmpCommand *row)
{
    const QmpArgument *a = row->arguments;
    while (a && a->name && a->optional)
        a++;
    if (!a || !a->name) {
        ask_wrong(f, row->name, "{\"nonsense\":1}", "Parameter 'nonsense' is unexpected");
        return;
    }
    g_autofree char *missing = g_strdup_printf("Parameter '%s' is missing", a->name);
    g_autofree char *null = g_strdup_printf("{\"%s\":null}", a->name);
    g_autofree char *type = g_strdup_printf("Invalid parameter type for '%s', expected: ", a->name);
    ask_wrong(f, row->name, "{}", missing);
    ask_wrong(f, row->name, null, type);
}

static void test_wrong(Fixture *f, gconstpointer data)
{
    static const struct { const char *name, *arguments, *desc; } wrong[] = {
        { "send-key", "{\"keys\":[1]}", "Invalid parameter type for 'keys[0]', expected: object" },
        { "send-key", "{\"keys\":[{\"type\":\"qcode\"}]}", "Parameter 'keys[0].data' is missing" },
        { "send-key", "{\"keys\":[{\"type\":\"key\",\"data\":1}]}", "Parameter 'keys[0].type' does not accept value" },
        { "send-key", "{\"keys\":[{\"type\":\"qcode\",\"data\":1}]}", "Invalid parameter type for 'data', expected: st" },
        { "send-key", "{\"keys\":[{\"type\":\"qcode\",\"data\":\"q1\"}]}", "Parameter 'data' does not accept value 'q1'" },
        { "send-key", "{\"keys\":[{\"type\":\"number\",\"data\":-1}]}", "Parameter 'data' does not accept value '-1'" },
        { "send-key", "{\"keys\":[],\"hold-time\":0}", "Parameter 'hold-time' is 0: it can be 1 to 60000" },
        { "input-send-event", "{\"events\":[{\"type\":\"key\",\"data\":{}}]}", "Parameter 'data.down' is missing" },
        { "input-send-event", "{\"events\":[{\"type\":\"key\",\"data\":{\"down\":1}}]}", "Invalid parameter type for 'd" },
        { "input-send-event", "{\"events\":[{\"type\":\"key\",\"data\":{\"down\":true,\"key\":{}}}]}", "Parameter 'type" },
        { "input-send-event", "{\"events\":[{\"type\":\"abs\",\"data\":{}}]}", "the guest uses no pointer with absolute" },
        { "input-send-event", "{\"events\":[{\"type\":\"rel\",\"data\":{\"axis\":\"z\",\"value\":1}}]}",
          "Parameter 'axis' does not accept value 'z'" },
        { "input-send-event", "{\"events\":[{\"type\":\"btn\",\"data\":{\"down\":true,\"button\":\"x\"}}]}",
          "Parameter 'button' does not accept value 'x'" },
        { "set_link", "{\"name\":\"nowhere\",\"up\":true}", "Device 'nowhere' not found" },
        { "screendump", "{\"filename\":\"/nowhere/x\"}", "screendump: cannot create '/nowhere/x': No such file" },
        { "screendump", "{\"filename\":\"x\",\"format\":\"gif\"}", "Parameter 'format' does not accept value 'gif'" },
        { "screendump", "{\"filename\":\"/nowhere/x\",\"format\":\"png\"}", "screendump: " },
        { "screendump", "{\"filename\":\"x\",\"head\":1}", "this machine has no screen of number 1" },
        { "screendump", "{\"filename\":\"x\",\"device\":\"y\"}", "Device 'y' not found" },
        { "memsave", "{\"val\":0,\"size\":-1,\"filename\":\"x\"}", "Parameter 'size' is -1: it can be 0 to 2097152" },
        { "memsave", "{\"val\":0,\"size\":1,\"filename\":\"x\",\"cpu-index\":2}", "Parameter 'cpu-index' expects a CPU" },
        { "memsave", "{\"val\":0,\"size\":1,\"filename\":\"/nowhere/x\"}", "Could not open '/nowhere/x': No such file" },
        { "pmemsave", "{\"val\":0,\"size\":99999999999,\"filename\":\"x\"}", "Parameter 'size' is 99999999999: it can be " },
        { "pmemsave", "{\"val\":-1,\"size\":1,\"filename\":\"x\"}", "Parameter 'val' is 0xffffffffffffffff: memory ends" },
        { "pmemsave", "{\"val\":0,\"size\":1.5,\"filename\":\"x\"}", "Invalid parameter type for 'size', expected: int" },
        { "device-list-properties", "{\"typename\":\"x\"}", "Device 'x' not found" },
        { "human-monitor-command", "{\"command-line\":\"\",\"cpu-index\":-1}", "Parameter 'cpu-index' expects a CPU" },
        { "myna-break-add", "{\"address\":\"nowhere\"}", "there is no register or symbol 'nowhere'" },
        { "myna-break-add", "{\"address\":\"1\",\"condition\":\"nowhere\"}", "there is no register or symbol 'nowhere'" },
        { "myna-break-add", "{\"address\":\"1\",\"size\":0}", "Parameter 'size' is 0" },
        { "myna-break-add", "{\"address\":\"1\",\"kind\":\"x\"}", "Parameter 'kind' does not accept value 'x'" },
        { "myna-break-remove", "{\"id\":77}", "there is no stop of the id 77" },
    };
    const QmpCommand *row;
    (void)data;
    negotiate(f);
    for (unsigned n = 0; (row = qmp_command_nth(n)); n++)
        if (!row->before_negotiation)
            check_row(f, row);
    for (unsigned k = 0; k < ARRAY_SIZE(wrong); k++)
        ask_wrong(f, wrong[k].name, wrong[k].arguments, wrong[k].desc);
    ask(f, "{\"execute\":\"device-list-properties\",\"arguments\":{\"typename\":\"x\"}}", "\"class\":\"DeviceNotFound\"");
}

/* Every type that the schema names is there. */
static void test_schema(Fixture *f, gconstpointer data)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    JsonArray *a = qmp_schema();
    (void)data;
    for (guint k = 0; k < json_array_get_length(a); k++)
        g_assert_true(g_hash_table_add(names, (gpointer)json_object_get_string_member(
                                                  json_array_get_object_element(a, k), "name")));
    for (guint k = 0; k < json_array_get_length(a); k++) {
        static const char *const refers[] = { "arg-type", "ret-type", "element-type" };
        JsonObject *o = json_array_get_object_element(a, k);
        for (unsigned r = 0; r < ARRAY_SIZE(refers); r++)
            if (json_object_has_member(o, refers[r]))
                g_assert_true(g_hash_table_contains(names, json_object_get_string_member(o, refers[r])));
    }
    g_assert_cmpuint(g_hash_table_size(names), >, 40);
    json_array_unref(a);
    negotiate(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    QMP_TEST("right", test_right);
    QMP_TEST("saved-memory", test_saved_memory);
    QMP_TEST("wrong", test_wrong);
    QMP_TEST("schema", test_schema);
    return g_test_run();
}
#else
int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_message("built without json-glib");
    return g_test_run();
}
#endif
