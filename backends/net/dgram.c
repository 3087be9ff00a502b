/*
 * Networks over datagram sockets (-netdev dgram, -netdev socket,udp=|mcast=): each datagram is a frame.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "backends/net/socket.h"
#include "core/error.h"

/* A reader goes back to the main loop after so many frames. */
enum { FRAMES_MAX = 64, OWN_ADDRESSES = 8 };

typedef struct Dgram {
    int fd;
    GSource *reading;
    struct sockaddr_storage remote;
    socklen_t remote_size;  /* 0: the socket is connected */
    bool group;
    /*
     * Senders' addresses of the last frames to a group: it sends them back, which a guest takes for a double of
     * itself.
     */
    uint8_t own[OWN_ADDRESSES][6];
    unsigned own_next;
    char *path;             /* of a bound Unix socket, removed at the end */
    char *name;
    uint8_t frame[NET_FRAME_MAX];
} Dgram;

static bool own_find(const Dgram *d, const uint8_t *mac)
{
    for (unsigned i = 0; i < OWN_ADDRESSES; i++) {
        if (!memcmp(d->own[i], mac, 6))
            return true;
    }
    return false;
}

static void own_remember(Dgram *d, const struct iovec *iov, unsigned count)
{
    uint8_t mac[6];
    if (net_iov_copy(iov, count, 6, mac, sizeof mac) < sizeof mac || own_find(d, mac))
        return;
    memcpy(d->own[d->own_next++ % OWN_ADDRESSES], mac, sizeof mac);
}

static gboolean frame_readable(gint fd, GIOCondition condition, gpointer p)
{
    (void)condition;
    NetBackend *n = p;
    Machine *m = n->machine;
    machine_lock(m);
    Dgram *d = n->state;
    for (unsigned i = 0; d->reading && i < FRAMES_MAX; i++) {
        if (!net_has_room(n)) {
            net_unwatch(&d->reading);
            break;
        }
        ssize_t got = recv(fd, d->frame, sizeof d->frame, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        /* an error is what ICMP says of a frame sent before: nobody is there */
        struct iovec iov = {d->frame, MAX(got, 0)};
        if (got >= 12 && !(d->group && own_find(d, d->frame + 6)))
            net_receive(n, &iov, 1, NULL);
    }
    machine_unlock(m);
    return G_SOURCE_CONTINUE;
}

static void dgram_wake(NetBackend *n)
{
    Dgram *d = n->state;
    if (d->fd >= 0 && !d->reading && net_has_room(n))
        d->reading = net_watch(n, d->fd, G_IO_IN, frame_readable);
}

static void dgram_send(NetBackend *n, const struct iovec *iov, unsigned count, const NetOffload *offload)
{
    Dgram *d = n->state;
    struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = count};
    (void)offload;
    if (d->remote_size) {
        message.msg_name = &d->remote;
        message.msg_namelen = d->remote_size;
    }
    if (d->group)
        own_remember(d, iov, count);
    if (sendmsg(d->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        n->lost++;
}

/* ---- start ---- */

static bool address_is_group(const struct sockaddr_storage *a)
{
    struct sockaddr_in in;
    memcpy(&in, a, sizeof in);
    return a->ss_family == AF_INET && IN_MULTICAST(ntohl(in.sin_addr.s_addr));
}

/* Several machines on one host bind the same port; the host gives each a copy, and this one its own. */
static gboolean group_join(NetBackend *n, const NetAddress *local, GError **err)
{
    Dgram *d = n->state;
    struct sockaddr_in group;
    struct ip_mreq request = {0};
    int on = 1;
    memcpy(&group, &d->remote, sizeof group);
    request.imr_multiaddr = group.sin_addr;
    if (local && local->host && inet_pton(AF_INET, local->host, &request.imr_interface) != 1)
        return error_set(err, "network '%s': local address '%s' is not an IPv4 address", n->id, local->host);
    d->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (d->fd < 0 || setsockopt(d->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        bind(d->fd, (const struct sockaddr *)&group, sizeof group) ||
        setsockopt(d->fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request) ||
        setsockopt(d->fd, IPPROTO_IP, IP_MULTICAST_LOOP, &on, sizeof on))
        return error_set(err, "network '%s': cannot join the group %s: %s", n->id, d->name, g_strerror(errno));
    if (request.imr_interface.s_addr)
        setsockopt(d->fd, IPPROTO_IP, IP_MULTICAST_IF, &request.imr_interface, sizeof request.imr_interface);
    d->group = true;
    return TRUE;
}

static gboolean pair_bind(NetBackend *n, const char *what, const NetAddress *local, const NetAddress *remote,
                          GError **err)
{
    Dgram *d = n->state;
    struct sockaddr_storage own = {0};
    socklen_t size = sizeof own;
    if (!local || !local->type)
        return error_set(err, "%s: a datagram socket needs its own address (local.type=..., or localaddr=)", what);
    d->fd = net_address_socket(what, local, SOCK_DGRAM, ADDRESS_BIND, err);
    if (d->fd < 0)
        return FALSE;
    d->path = !strcmp(local->type, "unix") ? g_strdup(local->path) : NULL;
    if (!remote || !remote->type)
        return !strcmp(local->type, "fd") || error_set(err, "%s: where to send is missing (remote.type=...)", what);
    return getsockname(d->fd, (struct sockaddr *)&own, &size) == 0 &&
           net_address_resolve(what, remote, own.ss_family, &d->remote, &d->remote_size, err);
}

gboolean net_dgram_start(NetBackend *n, const NetAddress *local, const NetAddress *remote, GError **err)
{
    g_autofree char *what = g_strdup_printf("network '%s'", n->id);
    bool inet = remote && !g_strcmp0(remote->type, "inet");
    Dgram *d = g_new0(Dgram, 1);
    d->fd = -1;
    d->name = net_address_text(remote && remote->type ? remote : local);
    n->state = d;
    if (inet && !net_address_resolve(what, remote, AF_UNSPEC, &d->remote, &d->remote_size, err))
        return FALSE;
    if (inet && address_is_group(&d->remote) && g_strcmp0(local ? local->type : NULL, "fd"))
        return group_join(n, local, err) && (dgram_wake(n), TRUE);
    if (!pair_bind(n, what, local, remote, err))
        return FALSE;
    dgram_wake(n);
    return TRUE;
}

static void dgram_close(NetBackend *n)
{
    Dgram *d = n->state;
    if (!d)
        return;
    net_unwatch(&d->reading);
    if (d->fd >= 0)
        close(d->fd);
    if (d->path)
        unlink(d->path);
    g_free(d->path);
    g_free(d->name);
    g_free(d);
}

static void dgram_describe(NetBackend *n, GString *out)
{
    const Dgram *d = n->state;
    g_string_append_printf(out, ",%s=%s", d->group ? "group" : "remote", d->name);
}

/* ---- -netdev dgram ---- */

typedef struct DgramSettings {
    NetSettings common;
    NetAddress local, remote;
} DgramSettings;

static const OptionField dgram_fields[] = {
    NET_SETTINGS_FIELDS(DgramSettings),
    NET_ADDRESS_FIELDS(DgramSettings, local, "local"),
    NET_ADDRESS_FIELDS(DgramSettings, remote, "remote"),
    OPTION_FIELD_END,
};

static void dgram_default(void *settings)
{
    DgramSettings *s = settings;
    s->local.ipv4 = s->local.ipv6 = s->remote.ipv4 = s->remote.ipv6 = true;
}

static gboolean dgram_open(NetBackend *n, const void *settings, GError **err)
{
    const DgramSettings *s = settings;
    if (!s->local.type && !s->remote.type)
        return error_set(err, "-netdev dgram: network '%s' needs addresses (local.type=inet,local.host=,local.port=,"
                         "remote.type=...)", n->id);
    return net_dgram_start(n, &s->local, &s->remote, err);
}

const NetKind net_kind_dgram = {
    .name = "dgram", .help = "local.type=inet|unix|fd,local.host=,local.port=,remote.type=,remote.host=,...: "
                             "datagrams",
    .settings_size = sizeof(DgramSettings), .fields = dgram_fields, .settings_default = dgram_default,
    .open = dgram_open, .close = dgram_close, .send = dgram_send, .wake = dgram_wake, .describe = dgram_describe,
};
