/* Where a VNC server listens: QEMU's notation of displays, and sockets. */
#include "config.h"

#ifdef CONFIG_VNC
#include <errno.h>
#include <glib-unix.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/error.h"
#include "ui/vnc_internal.h"

enum { FIRST_PORT = 5900, DISPLAYS = 65536 - FIRST_PORT, BACKLOG = 128 };

typedef struct VncListener {
    VncServer *server;
    GSource *source;
    int fd;
    char *path;      /* of a unix socket, removed at the end */
} VncListener;

/* ---- addresses of sockets ---- */

VncPeer vnc_peer_of(int fd, bool other)
{
    struct sockaddr_storage a = { .ss_family = AF_UNSPEC };
    socklen_t size = sizeof a;
    char host[128] = "", service[16] = "";
    if ((other ? getpeername : getsockname)(fd, (struct sockaddr *)&a, &size) || a.ss_family == AF_UNIX ||
        getnameinfo((struct sockaddr *)&a, size, host, sizeof host, service, sizeof service,
                    NI_NUMERICHOST | NI_NUMERICSERV))
        return (VncPeer){ "unix", g_strdup(""), g_strdup("") };
    return (VncPeer){ a.ss_family == AF_INET6 ? "ipv6" : "ipv4", g_strdup(host), g_strdup(service) };
}

void vnc_peer_clear(VncPeer *p)
{
    g_clear_pointer(&p->host, g_free);
    g_clear_pointer(&p->service, g_free);
}

void vnc_listener_peer(gpointer listener, VncPeer *p)
{
    const VncListener *l = listener;
    *p = vnc_peer_of(l->fd, false);
    if (l->path) {
        g_free(p->host);
        p->host = g_strdup(l->path);
    }
}

/* ---- listening ---- */

static gboolean viewer_comes(gint fd, GIOCondition condition, gpointer data)
{
    VncListener *l = data;
    (void)condition;
    int on = 1, viewer;
    for (unsigned n = 0; n < VNC_VIEWERS_MAX && (viewer = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0; n++) {
        setsockopt(viewer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* both fail on unix sockets, which need none */
        setsockopt(viewer, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        vnc_viewer_new(l->server, viewer);
    }
    return G_SOURCE_CONTINUE;
}

static void listener_free(gpointer data)
{
    VncListener *l = data;
    g_source_destroy(l->source);
    g_source_unref(l->source);
    close(l->fd);
    if (l->path)
        unlink(l->path);
    g_free(l->path);
    g_free(l);
}

static void listener_add(VncServer *s, int fd, const char *path)
{
    VncListener *l = g_new0(VncListener, 1);
    *l = (VncListener){ .server = s, .fd = fd, .path = g_strdup(path), .source = g_unix_fd_source_new(fd, G_IO_IN) };
    g_unix_set_fd_nonblocking(fd, TRUE, NULL);
    g_source_set_callback(l->source, G_SOURCE_FUNC(viewer_comes), l, NULL);
    g_source_attach(l->source, s->machine->context);
    g_ptr_array_add(s->listeners, l);
}

/* -1 and errno. */
static int socket_bind(int family, const struct sockaddr *address, socklen_t size)
{
    int on = 1, fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (family != AF_UNIX)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (!bind(fd, address, size) && !listen(fd, BACKLOG))
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* ---- unix:PATH ---- */

/* A socket that a dead server left behind would make bind() fail. */
static void remove_stale_socket(const char *path)
{
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path);
}

static gboolean listen_unix(VncServer *s, const char *path, GError **err)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    if (!*path || strlen(path) >= sizeof a.sun_path)
        return error_set(err, "-display vnc: unix:%s: the path must have 1 to %zu bytes", path, sizeof a.sun_path - 1);
    strcpy(a.sun_path, path);
    remove_stale_socket(path);
    int fd = socket_bind(AF_UNIX, (const struct sockaddr *)&a, sizeof a);
    if (fd < 0)
        return error_set(err, "-display vnc: cannot listen on unix:%s: %s", path, g_strerror(errno));
    listener_add(s, fd, path);
    return TRUE;
}

/* ---- HOST:N ---- */

/*
 * Every address of the host; FALSE with *err when there is none to listen on.  Without a host those of this one alone,
 * by which it can be reached from within: who wants the whole world in says 0.0.0.0.
 */
static gboolean listen_port(VncServer *s, const char *host, unsigned port, GError **err)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV }, *list;
    g_autofree char *service = g_strdup_printf("%u", port);
    int status = getaddrinfo(host, service, &hints, &list), failure = 0;
    if (status)
        return error_set(err, "-display vnc: %s: %s", host ? host : "localhost", gai_strerror(status));
    guint before = s->listeners->len;
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        int fd = socket_bind(a->ai_family, a->ai_addr, a->ai_addrlen);
        if (fd >= 0)
            listener_add(s, fd, NULL);
        else if (!failure || errno == EADDRINUSE)
            failure = errno;
    }
    freeaddrinfo(list);
    /* Half of them would let another server answer for the other half. */
    if (failure == EADDRINUSE && s->listeners->len > before)
        g_ptr_array_set_size(s->listeners, before);
    if (s->listeners->len > before)
        return TRUE;
    return error_set(err, "-display vnc: cannot listen on %s port %u (display %u): %s", host ? host : "localhost",
                     port, port - FIRST_PORT, g_strerror(failure));
}

static gboolean listen_tcp(VncServer *s, const char *host, unsigned display, int to, GError **err)
{
    for (;; display++) {
        g_autoptr(GError) failure = NULL;
        if (listen_port(s, host, FIRST_PORT + display, &failure))
            return TRUE;
        if ((int)display < to)
            continue;
        g_propagate_error(err, g_steal_pointer(&failure));
        return FALSE;
    }
}

/* NULL: none is given. */
static char *host_of(const char *address, const char *colon)
{
    if (colon == address)
        return NULL;
    if (address[0] == '[' && colon[-1] == ']')
        return g_strndup(address + 1, colon - address - 2);
    return g_strndup(address, colon - address);
}

gboolean vnc_listen(VncServer *s, const char *address, int to, GError **err)
{
    if (g_str_has_prefix(address, "unix:"))
        return listen_unix(s, address + 5, err);
    const char *colon = strrchr(address, ':');
    guint64 display;
    if (!colon || !g_ascii_string_to_unsigned(colon + 1, 10, 0, DISPLAYS - 1, &display, NULL))
        return error_set(err, "-display vnc: '%s' is no address: [HOST]:N with the display number N (port 5900 + N), "
                         "or unix:PATH", address);
    g_autofree char *host = host_of(address, colon);
    return listen_tcp(s, host, display, to, err);
}

GPtrArray *vnc_listeners_new(void) { return g_ptr_array_new_with_free_func(listener_free); }
#endif
