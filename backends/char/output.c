/*
 * Bytes to the host's side of a character back end (char.h): all of them, waiting a while, or what it takes at once.
 */
#include <errno.h>
#include <glib-unix.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include "backends/char/backend.h"

/* Waits until a full output takes more; false when it does not in time. */
static bool output_wait(CharBackend *c)
{
    struct pollfd p = {.fd = c->output, .events = POLLOUT};
    int ready = poll(&p, 1, c->stalled ? 0 : c->patience);
    c->stalled = ready == 0;
    return ready > 0 || (ready < 0 && errno == EINTR);
}

void char_write(CharBackend *c, const void *data, unsigned size)
{
    if (c && c->first)
        c = c->first;
    if (!c || c->output < 0 || !c->opened)
        return;
    const uint8_t *p = data;
    while (size) {
        ssize_t n = write(c->output, p, size);
        if (n >= 0) {
            p += n;
            size -= n;
        } else if (errno == EAGAIN ? !output_wait(c) : errno != EINTR) {
            return;
        }
    }
}

/* ---- without waiting ---- */

/* Of the half c alone: each half of a mux has its own. */
void char_unwatch_output(CharBackend *c)
{
    if (!c->draining)
        return;
    g_source_destroy(c->draining);
    g_source_unref(c->draining);
    c->draining = NULL;
}

static gboolean output_drained(gint fd, GIOCondition condition, gpointer p)
{
    (void)fd, (void)condition;
    CharBackend *c = p;
    Machine *m = c->machine;
    machine_lock(m);
    char_unwatch_output(c);
    if (c->frontend && c->frontend->writable)
        c->frontend->writable(c->opaque);
    machine_unlock(m);
    return G_SOURCE_REMOVE;
}

static void output_watch(CharBackend *c, int fd)
{
    if (c->draining)
        return;
    c->draining = g_unix_fd_source_new(fd, G_IO_OUT | G_IO_ERR | G_IO_HUP);
    g_source_set_callback(c->draining, G_SOURCE_FUNC(output_drained), c, NULL);
    g_source_attach(c->draining, c->machine->context);
}

/*
 * What a descriptor takes at once; -1: its peer is gone.  Standard output may be one that blocks: what poll() calls
 * writable takes a piece as long as PIPE_BUF at least.
 */
static ssize_t output_piece(int fd, const uint8_t *data, unsigned size)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    if (poll(&p, 1, 0) <= 0)
        return 0;
    ssize_t n = write(fd, data, MIN(size, PIPE_BUF));
    return n >= 0 ? n : errno == EAGAIN || errno == EINTR ? 0 : -1;
}

unsigned char_write_some(CharBackend *c, const void *data, unsigned size)
{
    const CharBackend *to = c && c->first ? c->first : c;
    if (!to || to->output < 0 || !to->opened)
        return size;
    for (unsigned done = 0; done < size;) {
        ssize_t n = output_piece(to->output, (const uint8_t *)data + done, size - done);
        if (n < 0)
            return size;
        done += n;
        if (!n) {
            output_watch(c, to->output);
            return done;
        }
    }
    return size;
}
