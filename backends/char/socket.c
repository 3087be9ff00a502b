/*
 * TCP and Unix sockets as character back ends: client, or server for one peer at a time.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "backends/char/backend.h"
#include "core/error.h"
#include "core/log.h"

enum { PATIENCE_MS = 500 };

typedef struct Socket {
    int listener;       /* of a server, or -1 */
    GSource *accepting; /* while no peer is there */
    char *path;         /* of a Unix server, removed at the end */
    char *name;         /* for messages */
} Socket;

static void peer_attach(CharBackend *c, int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* fails on Unix sockets, which need none */
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    c->input = c->output = fd;
    char_opened(c);
}

static gboolean peer_comes(gint fd, GIOCondition condition, gpointer p)
{
    (void)condition;
    CharBackend *c = p;
    Socket *s = c->state;
    Machine *m = c->machine;
    machine_lock(m);
    int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    if (peer >= 0) {
        g_source_unref(s->accepting);
        s->accepting = NULL;
        peer_attach(c, peer);
    }
    machine_unlock(m);
    return peer >= 0 ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

static void socket_listen(CharBackend *c)
{
    Socket *s = c->state;
    s->accepting = g_unix_fd_source_new(s->listener, G_IO_IN);
    g_source_set_callback(s->accepting, G_SOURCE_FUNC(peer_comes), c, NULL);
    g_source_attach(s->accepting, c->machine->context);
}

static void peer_detach(CharBackend *c)
{
    if (c->input >= 0)
        close(c->input);
    c->input = c->output = -1;
}

static void socket_hung_up(CharBackend *c)
{
    Socket *s = c->state;
    char_closed(c);
    peer_detach(c);
    if (s->listener >= 0)
        socket_listen(c);
}

static void socket_close(CharBackend *c)
{
    Socket *s = c->state;
    peer_detach(c);
    if (s->accepting) {
        g_source_destroy(s->accepting);
        g_source_unref(s->accepting);
    }
    if (s->listener >= 0)
        close(s->listener);
    if (s->path)
        unlink(s->path);
    g_free(s->path);
    g_free(s->name);
    g_free(s);
}

/* A server waits for its first peer here, before the machine starts, unless wait=off. */
static gboolean server_start(CharBackend *c, bool wait, GError **err)
{
    Socket *s = c->state;
    if (!wait) {
        fcntl(s->listener, F_SETFL, fcntl(s->listener, F_GETFL) | O_NONBLOCK);
        socket_listen(c);
        return TRUE;
    }
    log_user("waiting for a connection to %s", s->name);
    int peer;
    do
        peer = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
    while (peer < 0 && errno == EINTR);
    if (peer < 0)
        return error_set(err, "char device '%s': %s: %s", c->id, s->name, g_strerror(errno));
    fcntl(s->listener, F_SETFL, fcntl(s->listener, F_GETFL) | O_NONBLOCK);
    peer_attach(c, peer);
    return TRUE;
}

/* Binds or connects; -1 and errno on failure. */
static int socket_bring_up(int family, const struct sockaddr *address, socklen_t size, bool server)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    if (server && family != AF_UNIX)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (server ? bind(fd, address, size) == 0 && listen(fd, 1) == 0 : connect(fd, address, size) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* Takes a descriptor that is bound or connected, or fails with errno's text. */
static gboolean socket_start(CharBackend *c, const CharSettings *settings, int fd, char *name, GError **err)
{
    Socket *s = g_new0(Socket, 1);
    s->name = name;
    s->listener = -1;
    c->state = s;
    c->close = socket_close;
    c->hung_up = socket_hung_up;
    c->patience = PATIENCE_MS;
    if (fd < 0)
        return error_set(err, "char device '%s': cannot %s %s: %s", c->id, settings->server ? "listen on" : "connect to",
                         name, g_strerror(errno));
    if (settings->server) {
        s->listener = fd;
        return server_start(c, settings->wait, err);
    }
    peer_attach(c, fd);
    return TRUE;
}

/* A socket that a dead server left behind would make bind() fail. */
static void remove_stale_socket(const char *path)
{
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path);
}

static gboolean unix_open(CharBackend *c, const CharSettings *settings, GError **err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (!settings->path || !*settings->path)
        return error_set(err, "char device '%s': a Unix socket needs a path", c->id);
    if (strlen(settings->path) >= sizeof a.sun_path)
        return error_set(err, "char device '%s': the path %s is longer than %zu bytes", c->id, settings->path,
                         sizeof a.sun_path - 1);
    strcpy(a.sun_path, settings->path);
    if (settings->server)
        remove_stale_socket(settings->path);
    int fd = socket_bring_up(AF_UNIX, (const struct sockaddr *)&a, sizeof a, settings->server);
    gboolean ok = socket_start(c, settings, fd, g_strdup(settings->path), err);
    Socket *s = c->state;
    if (s->listener >= 0)
        s->path = g_strdup(settings->path);
    return ok;
}

static gboolean inet_open(CharBackend *c, const CharSettings *settings, const char *host, const char *port,
                          GError **err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = settings->server ? AI_PASSIVE : 0}, *list;
    int status = getaddrinfo(host && *host ? host : NULL, port, &hints, &list);
    if (status)
        return error_set(err, "char device '%s': %s:%s: %s", c->id, host ? host : "", port, gai_strerror(status));
    int fd = -1;
    for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
        fd = socket_bring_up(a->ai_family, a->ai_addr, a->ai_addrlen, settings->server);
    freeaddrinfo(list);
    return socket_start(c, settings, fd, g_strdup_printf("%s:%s", host ? host : "", port), err);
}

/* HOST:PORT, split at the last colon; an IPv6 host may stand in brackets. */
static gboolean tcp_open(CharBackend *c, const CharSettings *settings, GError **err)
{
    if (!settings->address && settings->port)
        return inet_open(c, settings, settings->host, settings->port, err);
    const char *colon = settings->address ? strrchr(settings->address, ':') : NULL;
    if (!colon)
        return error_set(err, "char device '%s': tcp needs HOST:PORT", c->id);
    const char *start = settings->address;
    gsize size = colon - start;
    if (size >= 2 && start[0] == '[' && colon[-1] == ']') {
        start++;
        size -= 2;
    }
    char *host = g_strndup(start, size);
    gboolean ok = inet_open(c, settings, host, colon + 1, err);
    g_free(host);
    return ok;
}

static gboolean socket_open(CharBackend *c, const CharSettings *settings, GError **err)
{
    return settings->path ? unix_open(c, settings, err) : tcp_open(c, settings, err);
}

const CharKind char_kind_unix = {"unix", "path", false, "unix:PATH[,server=on][,wait=off]: a Unix socket", unix_open};
const CharKind char_kind_tcp = {"tcp", "address", false, "tcp:HOST:PORT[,server=on][,wait=off]: a TCP socket", tcp_open};
const CharKind char_kind_socket = {"socket", NULL, false, "socket,path=PATH or socket,host=HOST,port=PORT: as above",
                                   socket_open};
