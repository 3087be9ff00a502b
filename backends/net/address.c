/*
 * Addresses of sockets (address.h).
 */
#include "backends/net/address.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/error.h"
#include "core/options.h"

const char *const net_address_types[] = {"inet", "unix", "fd", NULL};

gboolean net_address_parse(const char *what, const char *text, NetAddress *a, GError **err)
{
    const char *colon = strrchr(text, ':');
    if (!colon || !colon[1])
        return error_set(err, "%s: '%s' is not HOST:PORT", what, text);
    gsize size = colon - text;
    if (size >= 2 && text[0] == '[' && colon[-1] == ']') {
        text++;
        size -= 2;
    }
    *a = (NetAddress){.type = g_strdup("inet"), .host = g_strndup(text, size), .port = g_strdup(colon + 1),
                      .ipv4 = true, .ipv6 = true};
    return TRUE;
}

void net_address_clear(NetAddress *a)
{
    char *const all[] = {a->type, a->host, a->port, a->path, a->str};
    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++)
        g_free(all[i]);
    *a = (NetAddress){0};
}

char *net_address_text(const NetAddress *a)
{
    if (!g_strcmp0(a->type, "unix"))
        return g_strdup(a->path);
    if (!g_strcmp0(a->type, "fd"))
        return g_strdup_printf("descriptor %s", a->str);
    return g_strdup_printf("%s:%s", a->host ? a->host : "", a->port);
}

/* ---- one socket ---- */

static int socket_fail(int fd)
{
    int saved = errno;
    if (fd >= 0)
        close(fd);
    errno = saved;
    return -1;
}

static int socket_bring_up(int family, int type, const struct sockaddr *address, socklen_t size, AddressUse use)
{
    int on = 1, fd = socket(family, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (use == ADDRESS_BIND && family != AF_UNIX && type == SOCK_STREAM)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bool ok = use == ADDRESS_CONNECT ? connect(fd, address, size) == 0
                                     : bind(fd, address, size) == 0 && (type != SOCK_STREAM || listen(fd, 1) == 0);
    return ok && fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0 ? fd : socket_fail(fd);
}

static void start_failed(const char *what, const NetAddress *a, AddressUse use, GError **err)
{
    g_autofree char *text = net_address_text(a);
    bool inet = g_strcmp0(a->type, "unix") != 0;
    if (use == ADDRESS_BIND && errno == EADDRINUSE && inet)
        error_set(err, "%s: port %s is in use already (%s); choose another", what, a->port, text);
    else if (use == ADDRESS_CONNECT && errno == ECONNREFUSED)
        error_set(err, "%s: nobody listens on %s; start that side first", what, text);
    else
        error_set(err, "%s: cannot %s %s: %s", what, use == ADDRESS_BIND ? "listen on" : "connect to", text,
                  g_strerror(errno));
}

/* ---- the kinds of addresses ---- */

static struct addrinfo *inet_list(const char *what, const NetAddress *a, int family, int type, bool passive,
                                  GError **err)
{
    struct addrinfo hints = {.ai_family = family, .ai_socktype = type, .ai_flags = passive ? AI_PASSIVE : 0}, *list;
    if (family == AF_UNSPEC && a->ipv4 != a->ipv6)
        hints.ai_family = a->ipv4 ? AF_INET : AF_INET6;
    if (!a->port || !*a->port) {
        error_set(err, "%s: the address needs a port", what);
        return NULL;
    }
    int status = getaddrinfo(a->host && *a->host ? a->host : NULL, a->port, &hints, &list);
    if (!status)
        return list;
    error_set(err, "%s: %s:%s: %s", what, a->host ? a->host : "", a->port, gai_strerror(status));
    return NULL;
}

static int inet_socket(const char *what, const NetAddress *a, int type, AddressUse use, GError **err)
{
    int fd = -1;
    struct addrinfo *list = inet_list(what, a, AF_UNSPEC, type, use == ADDRESS_BIND, err);
    if (!list)
        return -1;
    for (const struct addrinfo *i = list; i && fd < 0; i = i->ai_next)
        fd = socket_bring_up(i->ai_family, type, i->ai_addr, i->ai_addrlen, use);
    if (fd < 0)
        start_failed(what, a, use, err);
    freeaddrinfo(list);
    return fd;
}

static gboolean unix_address(const char *what, const NetAddress *a, struct sockaddr_un *out, GError **err)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (!a->path || !*a->path)
        return error_set(err, "%s: a Unix socket needs a path", what);
    if (strlen(a->path) >= sizeof out->sun_path)
        return error_set(err, "%s: the path %s is longer than %zu bytes", what, a->path, sizeof out->sun_path - 1);
    strcpy(out->sun_path, a->path);
    return TRUE;
}

static int unix_socket(const char *what, const NetAddress *a, int type, AddressUse use, GError **err)
{
    struct sockaddr_un address;
    struct stat st;
    if (!unix_address(what, a, &address, err))
        return -1;
    if (use == ADDRESS_BIND && lstat(a->path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(a->path); /* one that a dead process left would make bind() fail */
    int fd = socket_bring_up(AF_UNIX, type, (const struct sockaddr *)&address, sizeof address, use);
    if (fd < 0)
        start_failed(what, a, use, err);
    return fd;
}

static int given_socket(const char *what, const NetAddress *a, int type, GError **err)
{
    int is = 0;
    unsigned fd;
    socklen_t size = sizeof is;
    if (!a->str || !parse_unsigned(what, a->str, INT_MAX, &fd, err))
        return a->str ? -1 : (error_set(err, "%s: a descriptor needs its number (str=)", what), -1);
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &is, &size) || is != type) {
        error_set(err, "%s: descriptor %u is not a %s socket", what, fd, type == SOCK_STREAM ? "stream" : "datagram");
        return -1;
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return fd;
}

int net_address_socket(const char *what, const NetAddress *a, int socket_type, AddressUse use, GError **err)
{
    if (!g_strcmp0(a->type, "fd"))
        return given_socket(what, a, socket_type, err);
    if (!g_strcmp0(a->type, "unix"))
        return unix_socket(what, a, socket_type, use, err);
    return inet_socket(what, a, socket_type, use, err);
}

gboolean net_address_resolve(const char *what, const NetAddress *a, int family, struct sockaddr_storage *out,
                             socklen_t *size, GError **err)
{
    *out = (struct sockaddr_storage){0};
    if (!g_strcmp0(a->type, "unix")) {
        *size = sizeof(struct sockaddr_un);
        return unix_address(what, a, (struct sockaddr_un *)out, err);
    }
    struct addrinfo *list = inet_list(what, a, family, SOCK_DGRAM, false, err);
    if (!list)
        return FALSE;
    memcpy(out, list->ai_addr, list->ai_addrlen);
    *size = list->ai_addrlen;
    freeaddrinfo(list);
    return TRUE;
}
