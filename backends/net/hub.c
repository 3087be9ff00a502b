/*
 * Hubs (-netdev hubport): what one port sends, all others of the same hubid receive. A port has a card, as any network
 * has, or with netdev= another network, so that several cards share it.
 */
#include <string.h>

#include "backends/net/backend.h"
#include "core/error.h"

enum { ALL_ABILITIES = NET_CAN_CSUM | NET_CAN_TSO4 | NET_CAN_TSO6 | NET_CAN_UFO | NET_CAN_ECN | NET_CAN_USO };

typedef struct HubSettings {
    NetSettings common;
    unsigned hubid;
    char *netdev;
} HubSettings;

typedef struct HubPort {
    unsigned hubid;
    NetBackend *joined;  /* by netdev=; NULL: a card has the port */
} HubPort;

static const OptionField hub_fields[] = {
    NET_SETTINGS_FIELDS(HubSettings),
    OPTION_FIELD(HubSettings, hubid, "hubid", OPTION_UNSIGNED),
    OPTION_FIELD(HubSettings, netdev, "netdev", OPTION_STRING),
    OPTION_FIELD_END,
};

static void hub_send(NetBackend *n, const struct iovec *iov, unsigned count, const NetOffload *offload)
{
    const HubPort *from = n->state;
    NetBackend *to;
    for (unsigned i = 0; (to = net_nth(n->machine, i)); i++) {
        if (to == n || to->kind != &net_kind_hubport)
            continue;
        const HubPort *port = to->state;
        if (port->hubid == from->hubid)
            net_receive(to, iov, count, offload);
    }
}

/* Between a port and the network that is joined to it: each is the other's card. */
static bool always_ready(void *opaque)
{
    (void)opaque;
    return true;
}

static void pass_on(void *opaque, const struct iovec *iov, unsigned count, const NetOffload *offload)
{
    net_send(opaque, iov, count, offload);
}

static const NetUser joint = {.can_receive = always_ready, .receive = pass_on};

static gboolean hub_join(NetBackend *n, const char *id, GError **err)
{
    HubPort *port = n->state;
    NetBackend *other = net_find(n->machine, id);
    if (!other || other == n)
        return error_set(err, "-netdev hubport: network '%s': there is no network '%s' to join; it must stand before",
                         n->id, id);
    if (!net_attach(other, n->id, &joint, n, err))
        return FALSE;
    port->joined = other;
    net_set_abilities(other, ALL_ABILITIES);
    if (!net_attach(n, id, &joint, other, err))
        return FALSE;
    net_set_abilities(n, ALL_ABILITIES);
    return TRUE;
}

static gboolean hub_open(NetBackend *n, const void *settings, GError **err)
{
    const HubSettings *s = settings;
    HubPort *port = g_new0(HubPort, 1);
    port->hubid = s->hubid;
    n->state = port;
    n->host_abilities = ALL_ABILITIES;
    return !s->netdev || hub_join(n, s->netdev, err);
}

static void hub_close(NetBackend *n)
{
    HubPort *port = n->state;
    if (port->joined)
        net_detach(port->joined);
    g_free(port);
}

static void hub_describe(NetBackend *n, GString *out)
{
    const HubPort *port = n->state;
    g_string_append_printf(out, ",hubid=%u", port->hubid);
}

const NetKind net_kind_hubport = {
    .name = "hubport", .help = "hubid=N[,netdev=ID]: a port of a hub, for a card or another network",
    .settings_size = sizeof(HubSettings), .fields = hub_fields, .open = hub_open, .close = hub_close, .send = hub_send,
    .describe = hub_describe,
};
