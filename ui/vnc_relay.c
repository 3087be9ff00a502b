/* Bytes on their way between a viewer and libvncserver (vnc_relay.h). */
#include "ui/vnc_relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CHUNK = 64 * 1024,
    OUTPUT_MAX = 160 * 1024 * 1024, /* a picture of 8K x 4K dots, and what comes with it */
    OUTPUT_BUSY = 1024 * 1024,      /* above it, what the viewer sends waits */
    INPUT_MAX = 4 * (VNC_CUT_TEXT_MAX + 8),
    FAREWELL_MS = 500,
    VERSION_SIZE = 12,
};
static const char our_version[] = "RFB 003.008\n";

typedef struct Queue {
    GByteArray *bytes;
    gsize start;        /* bytes before it are gone */
} Queue;

struct VncRelay {
    gatomicrefcount users;      /* the thread and the owner */
    int peer, inner;            /* of the thread; -1: closed */
    VncFilter filter;
    Queue from_peer, to_inner, to_peer;
    unsigned version_left;      /* of libvncserver's own opening line, which the viewer has already */
    int64_t deadline;           /* µs, monotonic: of the opening, or of the farewell; 0: none */
    gint pending;               /* atomic: length of to_peer */
    const char *wrong;          /* atomic */
};

/* ---- queues ---- */

static gsize queue_length(const Queue *q) { return q->bytes->len - q->start; }

static void queue_add(Queue *q, const void *data, gsize size) { g_byte_array_append(q->bytes, data, size); }

static void queue_take(Queue *q, gsize size)
{
    q->start += size;
    if (q->start == q->bytes->len) {
        g_byte_array_set_size(q->bytes, 0);
        q->start = 0;
    } else if (q->start > q->bytes->len / 2 && q->start >= CHUNK) {
        g_byte_array_remove_range(q->bytes, 0, q->start);
        q->start = 0;
    }
}

/* Writes what fd takes now; false: it is gone. */
static bool queue_write(Queue *q, int fd)
{
    while (queue_length(q)) {
        gssize n = send(fd, q->bytes->data + q->start, queue_length(q), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
        queue_take(q, n);
    }
    return true;
}

/* Reads what there is, at most a chunk; false: the end. */
static bool queue_read(Queue *q, int fd)
{
    uint8_t data[CHUNK];
    gssize n = recv(fd, data, sizeof data, MSG_DONTWAIT);
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
    queue_add(q, data, n);
    return true;
}

/* ---- both ways ---- */

static int64_t in_ms(int64_t ms) { return g_get_monotonic_time() + 1000 * ms; }

static bool cut_off(VncRelay *r, const char *why)
{
    g_atomic_pointer_set(&r->wrong, why);
    return false;
}

/* From the viewer, through the filter. */
static bool filter_input(VncRelay *r)
{
    gsize used;
    Queue *q = &r->from_peer;
    const char *wrong = vnc_filter(&r->filter, q->bytes->data + q->start, queue_length(q), r->to_inner.bytes, &used);
    queue_take(q, used);
    if (r->filter.phase == VNC_MESSAGES)
        r->deadline = 0;
    return wrong ? cut_off(r, wrong) : true;
}

/* libvncserver's own line is left out of what the viewer gets. */
static bool read_inner(VncRelay *r)
{
    if (!queue_read(&r->to_peer, r->inner))
        return false;
    unsigned drop = MIN(r->version_left, queue_length(&r->to_peer));
    if (drop)
        g_byte_array_remove_range(r->to_peer.bytes, r->to_peer.start, drop);
    r->version_left -= drop;
    if (queue_length(&r->to_peer) > OUTPUT_MAX)
        return cut_off(r, "asks for pictures and takes none");
    return true;
}

/* libvncserver is done: what it wrote goes out, within a time. */
static void say_farewell(VncRelay *r)
{
    close(r->inner);
    r->inner = -1;
    r->deadline = in_ms(FAREWELL_MS);
}

static int wait_ms(const VncRelay *r)
{
    return r->deadline ? CLAMP((r->deadline - g_get_monotonic_time()) / 1000 + 1, 0, VNC_OPENING_MS) : -1;
}

/* One round; false: it is over. */
static bool relay_step(VncRelay *r)
{
    bool room = r->inner >= 0 && queue_length(&r->to_peer) < OUTPUT_BUSY && queue_length(&r->to_inner) < INPUT_MAX;
    struct pollfd fds[2] = {
        { .fd = r->peer, .events = (room ? POLLIN : 0) | (queue_length(&r->to_peer) ? POLLOUT : 0) },
        { .fd = r->inner, .events = POLLIN | (queue_length(&r->to_inner) ? POLLOUT : 0) },
    };
    if (poll(fds, 2, wait_ms(r)) < 0)
        return errno == EINTR;
    if (r->deadline && g_get_monotonic_time() >= r->deadline)
        return r->inner >= 0 && cut_off(r, "does not finish its opening");
    if (fds[1].revents & (POLLIN | POLLHUP | POLLERR) && !read_inner(r)) {
        if (r->wrong)
            return false;
        say_farewell(r);
    }
    if (fds[0].revents & (POLLIN | POLLHUP | POLLERR) && (!queue_read(&r->from_peer, r->peer) || !filter_input(r)))
        return false;
    if (r->inner >= 0 && !queue_write(&r->to_inner, r->inner))
        say_farewell(r);
    bool ok = queue_write(&r->to_peer, r->peer);
    g_atomic_int_set(&r->pending, queue_length(&r->to_peer));
    return ok && (r->inner >= 0 || queue_length(&r->to_peer));
}

/* ---- thread and owner ---- */

static void relay_unref(VncRelay *r)
{
    if (!g_atomic_ref_count_dec(&r->users))
        return;
    g_byte_array_unref(r->from_peer.bytes);
    g_byte_array_unref(r->to_inner.bytes);
    g_byte_array_unref(r->to_peer.bytes);
    g_free(r);
}

static gpointer relay_run(gpointer data)
{
    VncRelay *r = data;
    while (relay_step(r))
        ;
    close(r->peer);
    if (r->inner >= 0)
        close(r->inner);
    relay_unref(r);
    return NULL;
}

static VncRelay *relay_alloc(int peer, int inner, const VncFilter *filter)
{
    VncRelay *r = g_new0(VncRelay, 1);
    g_atomic_ref_count_init(&r->users);
    r->peer = peer;
    r->inner = inner;
    r->filter = *filter;
    r->from_peer.bytes = g_byte_array_new();
    r->to_inner.bytes = g_byte_array_new();
    r->to_peer.bytes = g_byte_array_new();
    r->version_left = VERSION_SIZE;
    r->deadline = in_ms(VNC_OPENING_MS);
    queue_add(&r->to_peer, our_version, VERSION_SIZE);
    return r;
}

VncRelay *vnc_relay_new(int peer, const VncFilter *filter, int *inner)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
        close(peer);
        return NULL;
    }
    VncRelay *r = relay_alloc(peer, pair[1], filter);
    g_atomic_ref_count_inc(&r->users);
    GThread *t = g_thread_try_new("vnc", relay_run, r, NULL);
    if (!t) {
        close(peer);
        close(pair[0]);
        close(pair[1]);
        relay_unref(r);
        relay_unref(r);
        errno = EAGAIN;
        return NULL;
    }
    g_thread_unref(t);
    *inner = pair[0];
    return r;
}

unsigned vnc_relay_pending(const VncRelay *r) { return g_atomic_int_get(&r->pending); }

const char *vnc_relay_wrong(VncRelay *r) { return g_atomic_pointer_get(&r->wrong); }

void vnc_relay_leave(VncRelay *r) { relay_unref(r); }
