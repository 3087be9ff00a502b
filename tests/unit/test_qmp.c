/* QMP: where objects begin and end, negotiation, events, clients that do not read or come again. */
#include <glib.h>

#include "config.h"

#ifdef CONFIG_JSON_GLIB
#include "debugger/qmp/qmp_reader.h"
#include "tests/unit/qmp_client.h"

/* ---- the reader ---- */

/* What each object, "!" for a mistake, comes out of a text. */
static char *read_all(const char *text, size_t size)
{
    QmpReader r;
    GString *out = g_string_new(NULL);
    const char *mistake;
    qmp_reader_init(&r);
    for (size_t k = 0; k < size; k++) {
        switch (qmp_reader_take(&r, text[k], &mistake)) {
        case QMP_WHOLE: g_string_append_printf(out, "%s;", r.text->str); break;
        case QMP_MISTAKE: g_string_append(out, "!;"); break;
        case QMP_MORE: break;
        }
    }
    if (r.depth)
        g_string_append(out, "...");
    qmp_reader_clear(&r);
    return g_string_free(out, FALSE);
}

static void test_reader(void)
{
    static const struct { const char *text, *read; } cases[] = {
        { "", "" }, { " \t\r\n\n", "" }, { "{}", "{};" }, { "{} {}{}", "{};{};{};" }, { "[1]", "[1];" },
        { "{\n'a'\r\n:1}\n", "{\n'a'\r\n:1};" }, { "{\"a\":\"}{\\\"\"}", "{\"a\":\"}{\\\"\"};" },
        { "{'a':'\"}'}", "{'a':'\"}'};" }, { "{\"a\":\"\\\\\"}", "{\"a\":\"\\\\\"};" }, { "{\"a\":{\"b\":[", "..." },
        { "x y z\n{}", "!;{};" }, { "3\n", "!;" }, { "x y\r{}", "!;{};" }, { "}\n{}", "!;{};" }, { "{]}\n{}", "!;{};" },
        { "{} x {}\n{}", "{};!;{};" }, { "{\"a\": \"b\n{}", "!;{};" }, { "{\"a\": \"b\tc\"}\n{}", "!;{};" },
        { "{/**/}\n", "!;" }, { "{\"a\":tRue}\n", "!;" }, { "{\"a\":true,\"b\":null,\"c\":false}",
                                                            "{\"a\":true,\"b\":null,\"c\":false};" },
        { "{\"a\":01}\n", "!;" }, { "{\"a\":0x1}\n", "!;" }, { "{\"a\":-}\n", "!;" }, { "{\"a\":1.}\n", "!;" },
        { "{\"a\":1e999}\n", "!;" }, { "{\"a\":-1.5e+3}", "{\"a\":-1.5e+3};" }, { "{\"a\":1e}\n", "!;" },
        { "{\"a\":18446744073709551615}", "{\"a\":18446744073709551615};" }, { "{\"a\":18446744073709551616}\n", "!;" },
        { "{\"a\":-9223372036854775808}", "{\"a\":-9223372036854775808};" }, { "{\"a\":-9223372036854775809}\n", "!;" },
        { "{\"a\"\377{}", "!;{};" }, { "x\377{}", "!;{};" }, { "\377{}", "!;{};" }, { "{\"a\":\303\251}\n", "!;" },
        { "{\"a\":\"\303\251\"}", "{\"a\":\"\303\251\"};" },
    };
    for (unsigned k = 0; k < ARRAY_SIZE(cases); k++) {
        g_autofree char *read = read_all(cases[k].text, strlen(cases[k].text));
        g_assert_cmpstr(read, ==, cases[k].read);
    }
    g_autofree char *nul = read_all("{\0}\n{}", 6);
    g_assert_cmpstr(nul, ==, "!;{};");
}

/* Depth and size have bounds. */
static void test_reader_bounds(void)
{
    for (unsigned depth = QMP_DEPTH_MAX; depth <= QMP_DEPTH_MAX + 1; depth++) {
        g_autofree char *open = g_strnfill(depth, '['), *close = g_strnfill(depth, ']');
        g_autofree char *text = g_strconcat(open, close, "\n", NULL), *read = read_all(text, strlen(text));
        g_assert_true((read[0] == '!') == (depth > QMP_DEPTH_MAX));
    }
    g_autofree char *filling = g_strnfill(QMP_SIZE_MAX, 'x');
    g_autofree char *text = g_strconcat("{'", filling, "'}\n{}", NULL), *read = read_all(text, strlen(text));
    g_assert_cmpstr(read, ==, "!;{};");
}

/* ---- negotiation ---- */

static void test_negotiation(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *greeting = client_line(f);
    g_assert_cmpstr(greeting, ==, "{\"QMP\":{\"version\":{\"qemu\":{\"micro\":0,\"minor\":2,\"major\":7},"
                                  "\"package\":\"Myna 0.1\"},\"capabilities\":[]}}");
    ask(f, "{\"execute\": \"query-status\", \"id\": 1}",
        "{\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"Expecting capabilities negotiation with "
        "'qmp_capabilities'\"},\"id\":1}");
    ask(f, "{\"execute\": \"nothing\"}", "Expecting capabilities");
    ask(f, "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": [\"oob\"]}}",
        "\"desc\":\"Capability 'oob' is not available\"");
    ask(f, "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": []}}", "{\"return\":{}}");
    ask(f, "{\"execute\": \"qmp_capabilities\"}", "\"CommandNotFound\",\"desc\":\"Capabilities negotiation is already");
}

static void test_requests(Fixture *f, gconstpointer data)
{
    static const struct { const char *line, *reply; } cases[] = {
        { "{'execute': 'query-kvm', 'id': 'x'}", "{\"return\":{\"enabled\":false,\"present\":false},\"id\":\"x\"}" },
        { "{\"execute\": \"query-kvm\", \"id\": {\"a\": [1, null, true, -1.5]}}",
          "\"id\":{\"a\":[1,null,true,-1.5]}}" },
        { "{\"execute\":\n\"query-kvm\"\n,\"arguments\":\n{}}", "{\"return\":{\"enabled\"" },
        { "{\"execute\": \"nothing\", \"id\": 7}",
          "{\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"The command nothing has not been found\"},\"id\":7}" },
        { "{\"execute\": 3, \"id\": 7}", "\"QMP input member 'execute' must be a string\"},\"id\":7}" },
        { "{\"execute\": \"stop\", \"arguments\": 3}", "\"QMP input member 'arguments' must be an object\"" },
        { "{\"execute\": \"stop\", \"argument\": {}}", "\"QMP input member 'argument' is unexpected\"" },
        { "{\"exec-oob\": \"stop\"}", "\"QMP input member 'exec-oob' is unexpected\"" },
        { "{\"id\": 9}", "\"QMP input lacks member 'execute'\"},\"id\":9}" },
        { "[]", "\"QMP input must be a JSON object\"" },
        { "{\"execute\" \"stop\"}", "\"class\":\"GenericError\",\"desc\":\"JSON parse error:" },
        { "hello", "\"JSON parse error: expected an object\"" },
        { "{\"execute\": \"query-kvm\", \"id\": \"\xc3\xa9\\n\\u00e9\"}", "\"id\":\"\xc3\xa9\\n\xc3\xa9\"}" },
        { "{\"execute\": \"query-kvm\", \"id\": \"\xc3\"}", "JSON parse error" },
    };
    (void)data;
    negotiate(f);
    for (unsigned k = 0; k < ARRAY_SIZE(cases); k++)
        ask(f, cases[k].line, cases[k].reply);
    client_send(f, "{\"execute\":\"query-kvm\",\"id\":1}{\"execute\":\"query-kvm\",\"id\":2} {\"execute\":\"query-kvm\","
                   "\"id\":3}\n\n \n");
    for (unsigned id = 1; id <= 3; id++) {
        JsonObject *o = client_object(f);
        g_assert_cmpint(json_object_get_int_member(o, "id"), ==, id);
        json_object_unref(o);
    }
    expect_nothing(f);
}

/* ---- events ---- */

static void test_events(Fixture *f, gconstpointer data)
{
    Debugger *d = debugger_of(f->m);
    (void)data;
    negotiate(f);
    machine_resume(f->m);
    expect_event(f, "RESUME", "");
    debugger_freeze(d); /* a pause of a moment */
    debugger_thaw(d);
    expect_nothing(f);
    machine_pause(f->m);
    expect_event(f, "STOP", "");
    machine_press_reset(f->m, "test");
    expect_event(f, "RESET", "{\"guest\":false,\"reason\":\"host-qmp-system-reset\",\"detail\":\"test\"}");
    machine_request_reset(f->m, "triple fault");
    expect_event(f, "RESET", "{\"guest\":true,\"reason\":\"guest-reset\",\"detail\":\"triple fault\"}");
    machine_request_powerdown(f->m);
    expect_event(f, "POWERDOWN", "");
    machine_request_wake(f->m, "test");
    expect_event(f, "WAKEUP", "");
    f->m->no_shutdown = true;
    machine_resume(f->m);
    expect_event(f, "RESUME", "");
    machine_request_shutdown(f->m, 0, "ACPI");
    expect_event(f, "SHUTDOWN", "{\"guest\":true,\"reason\":\"guest-shutdown\",\"detail\":\"ACPI\"}");
    expect_event(f, "STOP", "");
    ask(f, "{\"execute\":\"query-status\"}", "\"status\":\"shutdown\"");
    ask(f, "{\"execute\":\"cont\"}", "Resetting the Virtual Machine is required");
    machine_quit_by_signal(f->m);
    expect_event(f, "SHUTDOWN", "{\"guest\":false,\"reason\":\"host-signal\",\"detail\":\"signal\"}");
    expect_nothing(f);
}

/* With -no-reboot a reset is a shutdown. */
static void test_no_reboot(Fixture *f, gconstpointer data)
{
    (void)data;
    negotiate(f);
    f->m->no_reboot = true;
    machine_request_reset(f->m, "triple fault");
    expect_event(f, "SHUTDOWN", "{\"guest\":true,\"reason\":\"guest-reset\",\"detail\":\"triple fault\"}");
    expect_nothing(f);
}

/* A processor meets a breakpoint. */
static void test_breakpoint(Fixture *f, gconstpointer data)
{
    (void)data;
    negotiate(f);
    ask(f, "{\"execute\":\"myna-break-add\",\"arguments\":{\"address\":\"0xfffffff0\",\"temporary\":true}}", "\"id\":1");
    client_send(f, "{\"execute\":\"cont\"}");
    expect_event(f, "RESUME", "");
    g_autofree char *reply = client_line(f);
    g_assert_cmpstr(reply, ==, "{\"return\":{}}");
    expect_event(f, "STOP", "");
    expect_event(f, "MYNA_STOPPED", "\"kind\":\"code\",\"cpu\":0,\"address\":\"0xfffffff0\",\"stop\":1,");
    ask(f, "{\"execute\":\"query-status\"}", "\"status\":\"debug\"");
    ask(f, "{\"execute\":\"myna-stops\"}", "{\"return\":[]}");
    ask(f, "{\"execute\":\"system_reset\"}", "{\"return\":{}}");
    expect_event(f, "RESET", "");
    ask(f, "{\"execute\":\"query-status\"}", "\"status\":\"paused\"");
}

/* Before negotiation a client is not told. */
static void test_early_events(Fixture *f, gconstpointer data)
{
    (void)data;
    g_free(client_line(f));
    machine_press_reset(f->m, "test");
    expect_nothing(f);
    ask(f, "{\"execute\": \"qmp_capabilities\"}", "{\"return\":{}}");
}

/* ---- clients ---- */

static void test_reconnect(Fixture *f, gconstpointer data)
{
    (void)data;
    for (unsigned k = 0; k < 3; k++) {
        negotiate(f);
        client_send(f, "{\"execute\": \"query-"); /* which the next one has not begun */
        client_leave(f);
        client_connect(f);
    }
    g_free(client_line(f));
    ask(f, "{\"execute\": \"query-kvm\"}", "Expecting capabilities negotiation");
}

/*
 * A client that sends and never reads: what it sends is not taken any more, the machine goes on, and events are lost.
 * When it reads at last, it gets a reply to each command that it had sent whole.
 */
static void test_unread(Fixture *f, gconstpointer data)
{
    enum { EVENTS = 20000 };
    static const char line[] = "{\"execute\":\"query-cpu-definitions\",\"id\":1}\n";
    unsigned lines = 0, replies = 0, lost = 0;
    size_t sent;
    (void)data;
    negotiate(f);
    while ((sent = client_send_some(f, line, strlen(line))) == strlen(line))
        g_assert_cmpuint(++lines, <, 1000000);
    for (unsigned k = 0; k < EVENTS; k++) {
        machine_request_powerdown(f->m);
        pump(f);
    }
    while (!lost) {
        JsonObject *o = client_object(f);
        replies += json_object_has_member(o, "return");
        if (!g_strcmp0(json_object_get_string_member_with_default(o, "event", ""), "MYNA_EVENTS_LOST"))
            lost = json_object_get_int_member(json_object_get_object_member(o, "data"), "count");
        json_object_unref(o);
    }
    g_assert_cmpuint(lost, >, 0);
    g_assert_cmpuint(lost, <, EVENTS);
    ask(f, line + sent, replies == lines ? "\"id\":1" : "\"return\"");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qmp/reader", test_reader);
    g_test_add_func("/qmp/reader-bounds", test_reader_bounds);
    QMP_TEST("negotiation", test_negotiation);
    QMP_TEST("requests", test_requests);
    QMP_TEST("events", test_events);
    QMP_TEST("no-reboot", test_no_reboot);
    QMP_TEST("breakpoint", test_breakpoint);
    QMP_TEST("early-events", test_early_events);
    QMP_TEST("reconnect", test_reconnect);
    QMP_TEST("unread", test_unread);
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
