/*
 * -netdev socket: QEMU's older notation of stream and datagram sockets.
 */
#include "backends/net/socket.h"

#include <string.h>

#include "core/error.h"

typedef struct SocketSettings {
    NetSettings common;
    char *listen, *connect, *mcast, *udp, *localaddr, *fd;
} SocketSettings;

static const OptionField socket_fields[] = {
    NET_SETTINGS_FIELDS(SocketSettings),
    OPTION_FIELD(SocketSettings, listen, "listen", OPTION_STRING),
    OPTION_FIELD(SocketSettings, connect, "connect", OPTION_STRING),
    OPTION_FIELD(SocketSettings, mcast, "mcast", OPTION_STRING),
    OPTION_FIELD(SocketSettings, udp, "udp", OPTION_STRING),
    OPTION_FIELD(SocketSettings, localaddr, "localaddr", OPTION_STRING),
    OPTION_FIELD(SocketSettings, fd, "fd", OPTION_STRING),
    OPTION_FIELD_END,
};

static gboolean open_stream(NetBackend *n, const char *text, bool server, GError **err)
{
    NetAddress a = {0};
    n->kind = &net_kind_stream;
    gboolean ok = net_address_parse("-netdev socket", text, &a, err) && net_stream_start(n, &a, server, err);
    net_address_clear(&a);
    return ok;
}

static gboolean open_datagrams(NetBackend *n, const SocketSettings *s, GError **err)
{
    static const char *const what = "-netdev socket";
    NetAddress local = {0}, remote = {0};
    n->kind = &net_kind_dgram;
    gboolean ok = net_address_parse(what, s->udp ? s->udp : s->mcast, &remote, err);
    if (ok && s->mcast && s->localaddr)
        local.host = g_strdup(s->localaddr);
    else if (ok && s->localaddr)
        ok = net_address_parse(what, s->localaddr, &local, err);
    ok = ok && net_dgram_start(n, &local, &remote, err);
    net_address_clear(&local);
    net_address_clear(&remote);
    return ok;
}

/* A descriptor is of the kind that it is. */
static gboolean open_descriptor(NetBackend *n, const char *fd, GError **err)
{
    NetAddress a = {.type = (char *)"fd", .str = (char *)fd};
    int type = SOCK_STREAM;
    socklen_t size = sizeof type;
    getsockopt(atoi(fd), SOL_SOCKET, SO_TYPE, &type, &size);
    n->kind = type == SOCK_DGRAM ? &net_kind_dgram : &net_kind_stream;
    return type == SOCK_DGRAM ? net_dgram_start(n, &a, NULL, err) : net_stream_start(n, &a, false, err);
}

/* The network is of the kind that does the work from then on. */
static gboolean socket_open(NetBackend *n, const void *settings, GError **err)
{
    const SocketSettings *s = settings;
    unsigned given = !!s->listen + !!s->connect + !!s->mcast + !!s->udp + (s->fd && !s->mcast);
    if (given != 1)
        return error_set(err, "-netdev socket: network '%s' needs one of listen=, connect=, udp=, mcast= and fd=",
                         n->id);
    if (s->listen || s->connect)
        return open_stream(n, s->listen ? s->listen : s->connect, s->listen, err);
    return s->fd ? open_descriptor(n, s->fd, err) : open_datagrams(n, s, err);
}

const NetKind net_kind_socket = {
    .name = "socket", .help = "listen=|connect=|udp=|mcast=HOST:PORT[,localaddr=HOST:PORT]: another machine",
    .settings_size = sizeof(SocketSettings), .fields = socket_fields, .open = socket_open,
};
