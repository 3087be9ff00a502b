/*
 * A pseudo terminal as a character back end.  While nobody has its slave side open, output is dropped, and the master
 * side is looked at five times a second for somebody to come.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "backends/char/backend.h"
#include "core/error.h"

enum { LOOK_MS = 200, PATIENCE_MS = 100 };

typedef struct Pty {
    int master;
    GSource *look;
} Pty;

static bool pty_connected(const Pty *pty)
{
    struct pollfd p = {.fd = pty->master, .events = POLLIN};
    return poll(&p, 1, 0) >= 0 && !(p.revents & POLLHUP);
}

static gboolean pty_look(gpointer opaque)
{
    CharBackend *c = opaque;
    Pty *pty = c->state;
    Machine *m = c->machine;
    machine_lock(m);
    bool connected = pty_connected(pty);
    if (connected) {
        g_source_unref(pty->look);
        pty->look = NULL;
        char_opened(c);
    }
    machine_unlock(m);
    return connected ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

static void pty_wait(CharBackend *c)
{
    Pty *pty = c->state;
    pty->look = g_timeout_source_new(LOOK_MS);
    g_source_set_callback(pty->look, pty_look, c, NULL);
    g_source_attach(pty->look, c->machine->context);
}

static void pty_hung_up(CharBackend *c)
{
    char_closed(c);
    pty_wait(c);
}

static void pty_close(CharBackend *c)
{
    Pty *pty = c->state;
    if (pty->look) {
        g_source_destroy(pty->look);
        g_source_unref(pty->look);
    }
    close(pty->master);
    g_free(pty);
}

/* Sets the terminal to pass bytes as they are, from its slave side; closing it again makes the master see a hang-up. */
static void pty_make_raw(const char *name)
{
    int slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct termios t;
    if (slave < 0)
        return;
    if (tcgetattr(slave, &t) == 0) {
        cfmakeraw(&t);
        tcsetattr(slave, TCSAFLUSH, &t);
    }
    close(slave);
}

static gboolean pty_open(CharBackend *c, const CharSettings *s, GError **err)
{
    (void)s;
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    const char *name = fd >= 0 && !grantpt(fd) && !unlockpt(fd) ? ptsname(fd) : NULL;
    if (!name) {
        error_set(err, "char device '%s': cannot make a pseudo terminal: %s", c->id, g_strerror(errno));
        if (fd >= 0)
            close(fd);
        return FALSE;
    }
    pty_make_raw(name);
    fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
    Pty *pty = g_new0(Pty, 1);
    pty->master = fd;
    c->state = pty;
    c->input = c->output = fd;
    c->patience = PATIENCE_MS;
    c->hung_up = pty_hung_up;
    c->close = pty_close;
    g_print("char device redirected to %s (label %s)\n", name, c->id);
    pty_wait(c);
    return TRUE;
}

const CharKind char_kind_pty = {"pty", NULL, false, "a new pseudo terminal, whose name is printed", pty_open};
