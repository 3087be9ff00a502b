/* Character back ends: notation, files, sockets, pseudo terminals, flow control, and sharing with Ctrl-A. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "backends/char/char.h"
#include "core/machine.h"
#include "util/bits.h"

/* A front end that keeps what it gets, as far as it has room. */
typedef struct Sink {
    GString *got;
    unsigned room;
    int last_event;
    unsigned drained;
} Sink;

static unsigned sink_room(void *opaque)
{
    return ((Sink *)opaque)->room;
}

static void sink_receive(void *opaque, const uint8_t *data, unsigned size)
{
    Sink *s = opaque;
    g_assert_cmpuint(size, <=, s->room);
    s->room -= size;
    g_string_append_len(s->got, (const char *)data, size);
}

static void sink_event(void *opaque, int event)
{
    ((Sink *)opaque)->last_event = event;
}

static void sink_writable(void *opaque)
{
    ((Sink *)opaque)->drained++;
}

static const CharFrontend sink_ops = {.can_receive = sink_room, .receive = sink_receive, .event = sink_event,
                                      .writable = sink_writable};

static Machine *machine(void)
{
    GError *err = NULL;
    Machine *m = machine_new(MiB, &err);
    g_assert_no_error(err);
    return m;
}

static void machine_end(Machine *m)
{
    char_free_all(m);
    machine_free(m);
}

/* Runs the loop until the sink has that many bytes, or for a while. */
static void settle(Machine *m, const Sink *s, gsize want)
{
    for (unsigned i = 0; i < 500 && s->got->len < want; i++) {
        while (g_main_context_iteration(m->context, FALSE))
            ;
        g_usleep(1000);
    }
    while (g_main_context_iteration(m->context, FALSE))
        ;
}

static CharBackend *open_right(Machine *m, const char *id, const char *spec)
{
    GError *err = NULL;
    CharBackend *c = char_new(m, id, spec, &err);
    g_assert_no_error(err);
    return c;
}

static void test_mistakes(void)
{
    static const struct { const char *spec, *error; } mistakes[] = {
        {"stdoi", "char device 'x': unknown kind 'stdoi' (did you mean 'stdio'?); known: stdio, file, pty, unix, tcp, "
                  "socket, null, none, vc, chardev:ID"},
        {"null:x", "char device 'x': nothing may follow 'null:'"},
        {"chardev:y", "char device 'x': no -chardev has the id 'y'"},
        {"file:", "char device 'x': file needs a path"},
        {"file,pth=a", "char device 'x': unknown property 'pth' (did you mean 'path'?); known: path, host, port, address, "
                       "server, wait, append, mux, signal, id, nodelay"},
        {"file:/nowhere/at/all", "char device 'x': cannot open /nowhere/at/all: No such file or directory"},
        {"tcp:host", "char device 'x': tcp needs HOST:PORT"},
        {"unix:/nowhere/at/all", "char device 'x': cannot connect to /nowhere/at/all: No such file or directory"},
        {"null,id=y", NULL},
    };
    Machine *m = machine();
    for (unsigned i = 0; i < ARRAY_SIZE(mistakes); i++) {
        GError *err = NULL;
        CharBackend *c = char_new(m, "x", mistakes[i].spec, &err);
        g_assert_true(!c == !!mistakes[i].error);
        g_assert_cmpstr(err ? err->message : NULL, ==, mistakes[i].error);
        g_clear_error(&err);
    }
    machine_end(m);
}

static void test_file(void)
{
    char *path = g_build_filename(g_get_tmp_dir(), "myna-test-char-XXXXXX", NULL), *text;
    close(g_mkstemp(path));
    Machine *m = machine();
    char *spec = g_strconcat("file:", path, NULL);
    char_write(open_right(m, "a", spec), "hello", 5);
    char_write(NULL, "x", 1);
    machine_end(m);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "hello");
    unlink(path);
    g_free(text);
    g_free(spec);
    g_free(path);
}

static int unix_connect(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(a.sun_path, path);
    g_assert_cmpint(connect(fd, (const struct sockaddr *)&a, sizeof a), ==, 0);
    return fd;
}

typedef struct Line {
    Machine *m;
    CharBackend *c;
    char *path;
    int peer;
    Sink first, second;
} Line;

static void line_open(Line *l)
{
    *l = (Line){.m = machine(), .first = {g_string_new(NULL), 100, -1, 0}, .second = {g_string_new(NULL), 100, -1, 0}};
    l->path = g_strdup_printf("%s/myna-test-char-%d", g_get_tmp_dir(), (int)getpid());
    char *spec = g_strdup_printf("unix:%s,server,nowait", l->path);
    l->c = open_right(l->m, "line", spec);
    char_connect(l->c, &sink_ops, &l->first);
    l->peer = unix_connect(l->path);
    settle(l->m, &l->first, 0);
    g_free(spec);
}

static void line_close(Line *l)
{
    close(l->peer);
    machine_end(l->m);
    g_assert_false(g_file_test(l->path, G_FILE_TEST_EXISTS));
    g_free(l->path);
    g_string_free(l->first.got, TRUE);
    g_string_free(l->second.got, TRUE);
}

static void line_type(Line *l, const char *text, Sink *to, const char *expected)
{
    g_assert_cmpint(write(l->peer, text, strlen(text)), ==, (gssize)strlen(text));
    settle(l->m, to, strlen(expected));
    g_assert_cmpstr(to->got->str, ==, expected);
}

/* Input beyond the front end's room waits; a peer may go, and another come. */
static void test_socket(void)
{
    Line l;
    char buf[16];
    line_open(&l);
    g_assert_cmpint(l.first.last_event, ==, CHAR_OPENED);
    l.first.room = 3;
    line_type(&l, "abcdef", &l.first, "abc");
    l.first.room = 2;
    char_accept_input(l.c);
    line_type(&l, "", &l.first, "abcde");
    l.first.room = 10;
    char_accept_input(l.c);
    line_type(&l, "", &l.first, "abcdef");
    char_write(l.c, "out", 3);
    g_assert_cmpint(read(l.peer, buf, sizeof buf), ==, 3);
    close(l.peer);
    settle(l.m, &l.first, 7);
    g_assert_cmpint(l.first.last_event, ==, CHAR_CLOSED);
    char_write(l.c, "lost", 4);
    l.peer = unix_connect(l.path);
    line_type(&l, "g", &l.first, "abcdefg");
    line_close(&l);
}

/* A peer that does not read: nobody waits for it, and what it has not taken yet is told. */
static void test_write_some(void)
{
    enum { SIZE = 8 * MiB };
    Line l;
    line_open(&l);
    uint8_t *data = g_malloc0(SIZE);
    unsigned taken = char_write_some(l.c, data, SIZE);
    g_assert_cmpuint(taken, >, 0);
    g_assert_cmpuint(taken, <, SIZE);
    settle(l.m, &l.first, 0);
    g_assert_cmpuint(l.first.drained, ==, 0);
    for (unsigned got = 0; got < taken;) {
        ssize_t n = read(l.peer, data, taken - got);
        g_assert_cmpint(n, >, 0);
        got += n;
    }
    settle(l.m, &l.first, 0);
    g_assert_cmpuint(l.first.drained, ==, 1);
    g_assert_cmpuint(char_write_some(l.c, data, 100), ==, 100);
    char_write_some(l.c, data, SIZE); /* a watch that is there when all is freed */
    g_free(data);
    line_close(&l);
}

static void test_mux(void)
{
    Line l;
    char buf[1024] = "";
    line_open(&l);
    CharBackend *second = char_mux(l.c);
    g_assert_true(char_mux(l.c) == second);
    char_connect(second, &sink_ops, &l.second);
    g_assert_cmpint(l.second.last_event, ==, -1);
    line_type(&l, "a\1\1b", &l.first, "a\1b");
    line_type(&l, "\1cinfo", &l.second, "info");
    g_assert_cmpint(l.second.last_event, ==, CHAR_OPENED);
    g_assert_cmpstr(l.first.got->str, ==, "a\1b");
    line_type(&l, "\1b", &l.second, "info");
    g_assert_cmpint(l.second.last_event, ==, CHAR_BREAK);
    line_type(&l, "\1Cz", &l.first, "a\1bz");
    g_assert_cmpint(l.second.last_event, ==, CHAR_HIDDEN);
    char_write(second, "mon", 3);
    g_assert_cmpint(read(l.peer, buf, sizeof buf), ==, 3);
    line_type(&l, "\1h", &l.first, "a\1bz");
    g_assert_cmpint(read(l.peer, buf, sizeof buf - 1), >, 0);
    g_assert_nonnull(strstr(buf, "C-a x"));
    l.first.room = 0; /* a guest that takes nothing: what is typed waits, commands work */
    line_type(&l, "wait\1c!", &l.second, "info!");
    l.first.room = 100;
    char_accept_input(l.c);
    g_assert_cmpstr(l.first.got->str, ==, "a\1bzwait");
    line_close(&l);
}

/* A chroot without devpts has none. */
static bool have_ptys(void)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void test_pty(void)
{
    if (!have_ptys()) {
        g_test_skip("this host has no pseudo terminals");
        return;
    }
    Machine *m = machine();
    Sink s = {g_string_new(NULL), 100, -1, 0};
    CharBackend *c;
    if (g_test_subprocess()) {
        open_right(m, "serial0", "pty");
        machine_end(m);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_stdout("*char device redirected to /dev/pts/* (label serial0)*");
    c = open_right(m, "serial0", "pty");
    char_connect(c, &sink_ops, &s);
    char_write(c, "dropped", 7); /* nobody is there */
    settle(m, &s, 0);
    g_assert_cmpint(s.last_event, ==, -1);
    g_string_free(s.got, TRUE);
    machine_end(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/char/mistakes", test_mistakes);
    g_test_add_func("/char/file", test_file);
    g_test_add_func("/char/socket", test_socket);
    g_test_add_func("/char/write-some", test_write_some);
    g_test_add_func("/char/mux", test_mux);
    g_test_add_func("/char/pty", test_pty);
    return g_test_run();
}
