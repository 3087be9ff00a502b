/*
 * A machine with QMP on a Unix socket, and a client of it: a PC whose firmware is a jump to itself.  For test_qmp*.c, each
 * a program of its own.
 */
#ifndef MYNA_TESTS_UNIT_QMP_CLIENT_H
#define MYNA_TESTS_UNIT_QMP_CLIENT_H

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "backends/block/block.h"
#include "backends/net/net.h"
#include "core/options.h"
#include "debugger/qmp/qmp.h"
#include "debugger/qmp/qmp_command.h"
#include "machines/board.h"
#include "machines/devices.h"
#include "ui/typing.h"
#include "util/bits.h"

typedef struct Fixture {
    Machine *m;
    Options *o;
    void *board;
    char *folder, *path, *bios;
    int peer;
    GString *got;      /* of the client, not looked at yet */
} Fixture;

static inline void pump(Fixture *f)
{
    while (g_main_context_iteration(f->m->context, FALSE))
        ;
}

static inline void client_connect(Fixture *f)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    g_strlcpy(a.sun_path, f->path, sizeof a.sun_path);
    f->peer = socket(AF_UNIX, SOCK_STREAM, 0);
    g_assert_cmpint(connect(f->peer, (const struct sockaddr *)&a, sizeof a), ==, 0);
    fcntl(f->peer, F_SETFL, O_NONBLOCK);
    g_string_truncate(f->got, 0);
}

static inline void client_leave(Fixture *f)
{
    close(f->peer);
    pump(f);
}

/* The most that the machine takes now; how much that was. */
static inline size_t client_send_some(Fixture *f, const char *text, size_t size)
{
    size_t sent = 0;
    for (unsigned waits = 0; sent < size && waits < 20;) {
        ssize_t n = write(f->peer, text + sent, size - sent);
        sent += MAX(n, 0);
        waits = n > 0 ? 0 : waits + 1;
        pump(f);
    }
    return sent;
}

static inline void client_send(Fixture *f, const char *text)
{
    g_assert_cmpuint(client_send_some(f, text, strlen(text)), ==, strlen(text));
}

static inline void client_read(Fixture *f)
{
    char buf[65536];
    pump(f);
    ssize_t n = read(f->peer, buf, sizeof buf);
    if (n > 0)
        g_string_append_len(f->got, buf, n);
}

/* The next line from the machine, without its end; waits for it, at most some seconds: then NULL. */
static inline char *client_line_within(Fixture *f, unsigned ms)
{
    char *end;
    for (unsigned k = 0; !(end = strstr(f->got->str, "\r\n")); k++) {
        if (k == ms)
            return NULL;
        client_read(f);
        if (!strstr(f->got->str, "\r\n"))
            g_usleep(k ? 1000 : 0);
    }
    char *line = g_strndup(f->got->str, end - f->got->str);
    g_string_erase(f->got, 0, end - f->got->str + 2);
    return line;
}

static inline char *client_line(Fixture *f)
{
    char *line = client_line_within(f, 20000);
    g_assert_nonnull(line);
    return line;
}

/* A line is an object: the greeting, a reply or an event. */
static inline JsonObject *parse_line(const char *line)
{
    g_autoptr(GError) err = NULL;
    g_assert_true(g_utf8_validate(line, -1, NULL));
    JsonNode *root = json_from_string(line, &err);
    g_assert_no_error(err);
    g_assert_true(JSON_NODE_HOLDS_OBJECT(root));
    JsonObject *o = json_object_ref(json_node_get_object(root));
    json_node_unref(root);
    return o;
}

static inline JsonObject *client_object(Fixture *f)
{
    g_autofree char *line = client_line(f);
    return parse_line(line);
}

/* Sends, and wants the reply to contain a text; events may come before. */
static inline void ask(Fixture *f, const char *line, const char *contained)
{
    client_send(f, line);
    client_send(f, "\n");
    for (;;) {
        g_autofree char *reply = client_line(f);
        if (strstr(reply, "\"event\":"))
            continue;
        if (!strstr(reply, contained))
            g_error("%s\ngives     %s\nexpected: %s", line, reply, contained);
        return;
    }
}

/* The next event, which must be of that name; its data contain a text. */
static inline void expect_event(Fixture *f, const char *name, const char *contained)
{
    g_autofree char *line = client_line(f);
    JsonObject *o = parse_line(line);
    g_assert_cmpstr(json_object_get_string_member_with_default(o, "event", line), ==, name);
    g_assert_true(json_object_has_member(o, "timestamp"));
    if (!strstr(line, contained))
        g_error("%s\nexpected: %s", line, contained);
    json_object_unref(o);
}

static inline void expect_nothing(Fixture *f)
{
    g_autofree char *line = client_line_within(f, 20);
    g_assert_cmpstr(line, ==, NULL);
}

static inline void negotiate(Fixture *f)
{
    JsonObject *o = client_object(f);
    g_assert_true(json_object_has_member(o, "QMP"));
    json_object_unref(o);
    ask(f, "{\"execute\": \"qmp_capabilities\"}", "{\"return\":{}}");
}

/* jmp $ where the processor begins. */
static inline void write_firmware(const char *path)
{
    g_autofree char *image = g_malloc0(64 * KiB);
    memcpy(image + 0xfff0, "\xeb\xfe", 2);
    g_assert_true(g_file_set_contents(path, image, 64 * KiB, NULL));
}

static inline void machine_begin(Fixture *f)
{
    GError *err = NULL;
    char *words[] = { (char *)"myna", (char *)"-bios", f->bios, (char *)"-m", (char *)"2", (char *)"-accel",
                      (char *)"interp", (char *)"-smp", (char *)"2", (char *)"-S" };
    f->o = options_parse(ARRAY_SIZE(words), words, device_types, &err);
    g_assert_no_error(err);
    f->m = machine_new(board_pool_size(f->o), &err);
    g_assert_no_error(err);
    f->m->types = f->o->types;
    f->board = f->o->board->create(f->m, f->o, &err);
    g_assert_no_error(err);
}

static inline void setup(Fixture *f, gconstpointer data)
{
    GError *err = NULL;
    (void)data;
    f->folder = g_dir_make_tmp("myna-qmp-XXXXXX", NULL);
    f->bios = g_build_filename(f->folder, "bios", NULL);
    f->path = g_build_filename(f->folder, "qmp", NULL);
    f->got = g_string_new(NULL);
    write_firmware(f->bios);
    machine_begin(f);
    g_autofree char *spec = g_strdup_printf("unix:%s,server=on,wait=off", f->path);
    CharBackend *c = char_new(f->m, "qmp0", spec, &err);
    g_assert_no_error(err);
    g_assert_true(qmp_attach(f->m, c, false, "-qmp", &err));
    client_connect(f);
}

/* With the files that commands have written into it. */
static inline void folder_remove(const char *folder)
{
    GDir *d = g_dir_open(folder, 0, NULL);
    const char *name;
    while ((name = g_dir_read_name(d))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        unlink(path);
    }
    g_dir_close(d);
    rmdir(folder);
}

static inline void teardown(Fixture *f, gconstpointer data)
{
    (void)data;
    close(f->peer);
    machine_pause(f->m);
    f->o->board->destroy(f->board);
    qmp_free_all(f->m);
    typing_free(f->m);
    debugger_free(f->m);
    net_close_all(f->m);
    block_close_all(f->m);
    char_free_all(f->m);
    machine_free(f->m);
    options_free(f->o);
    folder_remove(f->folder);
    g_string_free(f->got, TRUE);
    g_free(f->folder);
    g_free(f->bios);
    g_free(f->path);
}

#define QMP_TEST(name, function) g_test_add("/qmp/" name, Fixture, NULL, setup, function, teardown)

#endif
