/*
 * Networks over stream sockets (-netdev stream, -netdev socket,listen=|connect=): QEMU's form on the wire, each frame
 * behind its length in 32 bits, big-endian.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "backends/net/socket.h"
#include "core/error.h"
#include "core/log.h"
#include "util/endian.h"

/*
 * input holds at least one frame of the largest kind; output is what the peer has not taken yet, beyond which frames
 * are dropped; a reader goes back to the main loop after so many reads, so that one peer cannot keep it.
 */
enum { INPUT_SIZE = 256 << 10, OUTPUT_MAX = 4 << 20, LENGTH_SIZE = 4, READS_MAX = 16, IOV_MAX_HERE = 64 };

typedef struct Stream {
    int listener, fd;       /* -1: none */
    GSource *accepting, *reading, *writing;
    char *path;             /* of a Unix server, removed at the end */
    char *name;
    GByteArray *output;
    unsigned start, end;    /* of what is in input */
    uint8_t input[INPUT_SIZE];
} Stream;

GSource *net_watch(NetBackend *n, int fd, GIOCondition condition, GUnixFDSourceFunc fn)
{
    GSource *source = g_unix_fd_source_new(fd, condition);
    g_source_set_callback(source, G_SOURCE_FUNC(fn), n, NULL);
    g_source_attach(source, n->machine->context);
    return source;
}

void net_unwatch(GSource **source)
{
    if (!*source)
        return;
    g_source_destroy(*source);
    g_clear_pointer(source, g_source_unref);
}

static void listen_for_peer(NetBackend *n);

static void peer_gone(NetBackend *n)
{
    Stream *s = n->state;
    net_unwatch(&s->reading);
    net_unwatch(&s->writing);
    close(s->fd);
    s->fd = -1;
    g_byte_array_set_size(s->output, 0);
    s->start = s->end = 0;
    net_set_carrier(n, false);
    if (s->listener >= 0)
        listen_for_peer(n);
    else
        log_user("network '%s': %s has closed the connection", n->id, s->name);
}

/* ---- from the peer ---- */

/*
 * Hands over the whole frames of the input as far as the card has room; FALSE: no peer that speaks this would say
 * that.
 */
static gboolean input_deliver(NetBackend *n)
{
    Stream *s = n->state;
    while (s->end - s->start >= LENGTH_SIZE && net_has_room(n)) {
        uint32_t size = ld32be(s->input + s->start);
        if (size > NET_FRAME_MAX)
            return FALSE;
        if (s->end - s->start - LENGTH_SIZE < size)
            break;
        struct iovec iov = {s->input + s->start + LENGTH_SIZE, size};
        s->start += LENGTH_SIZE + size;
        net_receive(n, &iov, 1, NULL);
    }
    return TRUE;
}

/* Reads once; FALSE: that was all for now. */
static gboolean input_read(NetBackend *n)
{
    Stream *s = n->state;
    memmove(s->input, s->input + s->start, s->end - s->start);
    s->end -= s->start;
    s->start = 0;
    ssize_t got = read(s->fd, s->input + s->end, sizeof s->input - s->end);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return FALSE;
    if (got > 0)
        s->end += got;
    if (got > 0 && input_deliver(n))
        return s->fd >= 0;
    if (got > 0)
        log_user("network '%s': %s does not send frames behind their length; the connection is closed", n->id,
                 s->name);
    peer_gone(n);
    return FALSE;
}

static gboolean peer_readable(gint fd, GIOCondition condition, gpointer p)
{
    (void)fd, (void)condition;
    NetBackend *n = p;
    Machine *m = n->machine;
    machine_lock(m);
    Stream *s = n->state;
    for (unsigned i = 0; s->reading && i < READS_MAX; i++) {
        if (!net_has_room(n))
            net_unwatch(&s->reading);
        else if (!input_read(n))
            break;
    }
    machine_unlock(m);
    return G_SOURCE_CONTINUE; /* a watch that went was destroyed, which counts more */
}

static void stream_wake(NetBackend *n)
{
    Stream *s = n->state;
    if (s->fd < 0 || s->reading)
        return;
    if (!input_deliver(n)) {
        peer_gone(n);
        return;
    }
    if (net_has_room(n))
        s->reading = net_watch(n, s->fd, G_IO_IN | G_IO_HUP | G_IO_ERR, peer_readable);
}

/* ---- to the peer ---- */

static gboolean peer_writable(gint fd, GIOCondition condition, gpointer p)
{
    (void)condition;
    NetBackend *n = p;
    Machine *m = n->machine;
    machine_lock(m);
    Stream *s = n->state;
    ssize_t done = s->writing ? send(fd, s->output->data, s->output->len, MSG_NOSIGNAL) : 0;
    if (done > 0)
        g_byte_array_remove_range(s->output, 0, done);
    if (!s->output->len || (done < 0 && errno != EAGAIN && errno != EINTR)) /* a broken one shows when it is read */
        net_unwatch(&s->writing);
    machine_unlock(m);
    return G_SOURCE_CONTINUE;
}

/* Keeps all behind the first `done` bytes for later. */
static void output_keep(NetBackend *n, const struct iovec *iov, unsigned count, size_t done)
{
    Stream *s = n->state;
    size_t rest = net_iov_size(iov, count) - done, at = s->output->len;
    g_byte_array_set_size(s->output, at + rest);
    net_iov_copy(iov, count, done, s->output->data + at, rest);
    if (!s->writing)
        s->writing = net_watch(n, s->fd, G_IO_OUT, peer_writable);
}

static void stream_send(NetBackend *n, const struct iovec *iov, unsigned count, const NetOffload *offload)
{
    Stream *s = n->state;
    uint8_t length[LENGTH_SIZE];
    struct iovec out[IOV_MAX_HERE + 1] = {{length, sizeof length}};
    (void)offload;
    if (s->fd < 0 || s->output->len > OUTPUT_MAX || count > IOV_MAX_HERE) {
        n->lost++;
        return;
    }
    st32be(length, net_iov_size(iov, count));
    memcpy(out + 1, iov, count * sizeof *iov);
    struct msghdr message = {.msg_iov = out, .msg_iovlen = count + 1};
    ssize_t done = s->output->len ? 0 : sendmsg(s->fd, &message, MSG_NOSIGNAL);
    if (done < 0 && errno != EAGAIN && errno != EINTR)
        return; /* the peer is gone, which shows when it is read */
    done = MAX(done, 0);
    if ((size_t)done < net_iov_size(out, count + 1))
        output_keep(n, out, count + 1, done);
}

/* ---- coming and going ---- */

static void peer_attach(NetBackend *n, int fd)
{
    Stream *s = n->state;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* fails on Unix sockets, which need none */
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    s->fd = fd;
    net_set_carrier(n, true);
    stream_wake(n);
}

static gboolean peer_comes(gint fd, GIOCondition condition, gpointer p)
{
    (void)condition;
    NetBackend *n = p;
    Machine *m = n->machine;
    machine_lock(m);
    Stream *s = n->state;
    int peer = s->accepting ? accept4(fd, NULL, NULL, SOCK_CLOEXEC) : -1;
    if (peer >= 0) {
        net_unwatch(&s->accepting);
        peer_attach(n, peer);
    }
    machine_unlock(m);
    return G_SOURCE_CONTINUE;
}

static void listen_for_peer(NetBackend *n)
{
    Stream *s = n->state;
    s->accepting = net_watch(n, s->listener, G_IO_IN, peer_comes);
}

gboolean net_stream_start(NetBackend *n, const NetAddress *address, bool server, GError **err)
{
    g_autofree char *what = g_strdup_printf("network '%s'", n->id);
    Stream *s = g_new0(Stream, 1);
    s->listener = s->fd = -1;
    s->output = g_byte_array_new();
    s->name = net_address_text(address);
    n->state = s;
    int fd = net_address_socket(what, address, SOCK_STREAM, server ? ADDRESS_BIND : ADDRESS_CONNECT, err);
    if (fd < 0)
        return FALSE;
    if (!server) {
        peer_attach(n, fd);
        return TRUE;
    }
    s->listener = fd;
    s->path = !g_strcmp0(address->type, "unix") ? g_strdup(address->path) : NULL;
    net_set_carrier(n, false);
    listen_for_peer(n);
    return TRUE;
}

static void stream_close(NetBackend *n)
{
    Stream *s = n->state;
    if (!s)
        return;
    net_unwatch(&s->accepting);
    net_unwatch(&s->reading);
    net_unwatch(&s->writing);
    if (s->fd >= 0)
        close(s->fd);
    if (s->listener >= 0)
        close(s->listener);
    if (s->path)
        unlink(s->path);
    g_byte_array_unref(s->output);
    g_free(s->path);
    g_free(s->name);
    g_free(s);
}

static void stream_describe(NetBackend *n, GString *out)
{
    const Stream *s = n->state;
    g_string_append_printf(out, ",%s=%s,peer=%s", s->listener >= 0 ? "listen" : "connect", s->name,
                           s->fd >= 0 ? "connected" : "none");
}

/* ---- -netdev stream ---- */

typedef struct StreamSettings {
    NetSettings common;
    bool server;
    NetAddress address;
} StreamSettings;

static const OptionField stream_fields[] = {
    NET_SETTINGS_FIELDS(StreamSettings),
    OPTION_FIELD(StreamSettings, server, "server", OPTION_BOOL),
    NET_ADDRESS_FIELDS(StreamSettings, address, "addr"),
    OPTION_FIELD_IGNORED("addr.numeric"), OPTION_FIELD_IGNORED("addr.keep-alive"),
    OPTION_FIELD_END,
};

static void stream_default(void *settings)
{
    StreamSettings *s = settings;
    s->address.ipv4 = s->address.ipv6 = true;
}

static gboolean stream_open(NetBackend *n, const void *settings, GError **err)
{
    const StreamSettings *s = settings;
    if (!s->address.type)
        return error_set(err, "-netdev stream: network '%s' needs an address (addr.type=inet,addr.host=,addr.port=)",
                         n->id);
    return net_stream_start(n, &s->address, s->server, err);
}

const NetKind net_kind_stream = {
    .name = "stream", .help = "[server=on,]addr.type=inet|unix|fd,addr.host=,addr.port=,addr.path=: a TCP or Unix "
                              "socket",
    .settings_size = sizeof(StreamSettings), .fields = stream_fields, .settings_default = stream_default,
    .open = stream_open, .close = stream_close, .send = stream_send, .wake = stream_wake, .describe = stream_describe,
};
