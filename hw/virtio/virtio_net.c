/*
 * A network card (Virtual I/O Device 1.2, 5.1): what it is and offers, its configuration, its life.  Frames are in
 * virtio_net_frames.c, commands in virtio_net_control.c.
 */
#include "hw/virtio/virtio_net.h"

#include <string.h>

#include "core/error.h"
#include "core/machine.h"
#include "hw/virtio/virtio_net_private.h"
#include "util/bits.h"
#include "util/endian.h"

enum { CONTROL_QUEUE_SIZE = 64, CONFIG_SIZE = 17, LINK_UP = 1, ANNOUNCE = 2 };

/* ---- features ---- */

/* Bits that a property switches, and what they are nothing without (5.1.3.1). */
typedef struct FeatureSwitch {
    uint8_t bit;
    uint64_t needs;
} FeatureSwitch;

static const FeatureSwitch switches[NET_FEATURE_SWITCHES] = {
    { NET_F_CSUM, 0 }, { NET_F_GUEST_CSUM, 0 }, { NET_F_GSO, BIT(NET_F_CSUM) }, { NET_F_GUEST_TSO4, BIT(NET_F_GUEST_CSUM) },
    { NET_F_GUEST_TSO6, BIT(NET_F_GUEST_CSUM) }, { NET_F_GUEST_ECN, BIT(NET_F_GUEST_CSUM) },
    { NET_F_GUEST_UFO, BIT(NET_F_GUEST_CSUM) }, { NET_F_GUEST_USO4, BIT(NET_F_GUEST_CSUM) },
    { NET_F_GUEST_USO6, BIT(NET_F_GUEST_CSUM) }, { NET_F_HOST_TSO4, BIT(NET_F_CSUM) }, { NET_F_HOST_TSO6, BIT(NET_F_CSUM) },
    { NET_F_HOST_ECN, BIT(NET_F_CSUM) }, { NET_F_HOST_UFO, BIT(NET_F_CSUM) }, { NET_F_HOST_USO, BIT(NET_F_CSUM) },
    { NET_F_MRG_RXBUF, 0 }, { NET_F_STATUS, 0 }, { NET_F_CTRL_VQ, 0 }, { NET_F_CTRL_RX, BIT(NET_F_CTRL_VQ) },
    { NET_F_CTRL_RX_EXTRA, BIT(NET_F_CTRL_VQ) }, { NET_F_CTRL_VLAN, BIT(NET_F_CTRL_VQ) },
    { NET_F_CTRL_MAC_ADDR, BIT(NET_F_CTRL_VQ) }, { NET_F_CTRL_GUEST_OFFLOADS, BIT(NET_F_CTRL_VQ) },
    { NET_F_GUEST_ANNOUNCE, BIT(NET_F_CTRL_VQ) | BIT(NET_F_STATUS) }, { NET_F_MQ, BIT(NET_F_CTRL_VQ) },
    { NET_F_SPEED_DUPLEX, 0 }, { NET_F_MAC, 0 },
};

static uint64_t features_of(const VirtioNet *n)
{
    uint64_t features = n->mtu ? BIT(NET_F_MTU) : 0;

    for (unsigned k = 0; k < ARRAY_SIZE(switches); k++)
        if (n->feature[k] && (features & switches[k].needs) == switches[k].needs)
            features |= BIT(switches[k].bit);
    return n->pairs > 1 ? features : features & ~BIT(NET_F_MQ);
}

static const uint64_t guest_offloads = BIT(NET_F_GUEST_CSUM) | BIT(NET_F_GUEST_TSO4) | BIT(NET_F_GUEST_TSO6) |
                                       BIT(NET_F_GUEST_ECN) | BIT(NET_F_GUEST_UFO) | BIT(NET_F_GUEST_USO4) |
                                       BIT(NET_F_GUEST_USO6);

/* ---- configuration ---- */

static void net_config_read(VirtioDevice *v, uint8_t *config)
{
    VirtioNet *n = (VirtioNet *)v;
    bool half = !g_strcmp0(n->duplex, "half"), full = !g_strcmp0(n->duplex, "full");

    memcpy(config, n->mac, 6);
    st16le(config + 6, (net_link_up(n->backend) ? LINK_UP : 0) | (n->announcing ? ANNOUNCE : 0));
    st16le(config + 8, n->pairs);
    st16le(config + 10, n->mtu);
    st32le(config + 12, n->speed);
    config[16] = half ? 0 : full ? 1 : 0xff;
}

/* Drivers from before 1.0 set their address here (5.1.4.3). */
static void net_config_write(VirtioDevice *v, const uint8_t *config, unsigned offset, unsigned size)
{
    VirtioNet *n = (VirtioNet *)v;
    (void)size;
    if (offset < 6 && !virtio_has(v, VIRTIO_F_VERSION_1))
        memcpy(n->mac, config, 6);
}

/* ---- what the driver does ---- */

/* Behind all pairs, or behind the only one that a driver knows of (5.1.2). */
static unsigned control_index(const VirtioNet *n)
{
    return virtio_has(&n->virtio, NET_F_MQ) ? 2 * n->pairs : 2;
}

static void net_notify(VirtioDevice *v, VirtQueue *q)
{
    VirtioNet *n = (VirtioNet *)v;

    if (q->index == control_index(n) && virtio_has(v, NET_F_CTRL_VQ))
        virtio_net_control(n, q);
    else if (q->index >= 2 * n->pairs)
        return;
    else if (q->index & 1)
        virtio_net_sent(n, q);
    else
        virtio_net_refilled(n);
}

/* Frames that came before the driver was there may wait in the network. */
static void net_status_changed(VirtioDevice *v, uint8_t status)
{
    enum { STATUS_FEATURES_OK = 8, STATUS_DRIVER_OK = 4 };
    VirtioNet *n = (VirtioNet *)v;

    if (status & (STATUS_FEATURES_OK | STATUS_DRIVER_OK) && !n->offloads) {
        n->offloads = v->features & guest_offloads;
        virtio_net_offloads_changed(n);
    }
    if (status & STATUS_DRIVER_OK)
        net_accept(n->backend);
}

static void net_driver_reset(VirtioDevice *v)
{
    VirtioNet *n = (VirtioNet *)v;

    timer_cancel(n->send);
    timer_cancel(n->announce);
    memcpy(n->mac, n->mac_given, 6);
    n->pairs_used = 1;
    n->announcing = false;
    n->offloads = n->sending = 0;
    n->held_size = 0;
    memset(n->flow, 0, sizeof n->flow);
    virtio_net_filter_reset(n);
    virtio_net_offloads_changed(n);
}

/* Nothing is ever on the way: a frame is sent, or received, in one go. */
static void net_queue_reset(VirtioDevice *v, VirtQueue *q)
{
    VirtioNet *n = (VirtioNet *)v;
    if (q->index & 1)
        n->sending &= ~BIT(q->index / 2);
}

static const VirtioType net_virtio = {
    .id = VIRTIO_ID_NET, .class_code = 0x020000, .config_size = CONFIG_SIZE, .config_read = net_config_read,
    .config_write = net_config_write, .notify = net_notify, .status_changed = net_status_changed, .reset = net_driver_reset,
    .queue_reset = net_queue_reset,
};

/* ---- life ---- */

/* The guest is somewhere else now, for all that the network knows (5.1.6.5.4). */
static void announce_now(void *opaque)
{
    VirtioNet *n = opaque;

    if (!virtio_has(&n->virtio, NET_F_GUEST_ANNOUNCE) || !virtio_running(&n->virtio) || !net_link_up(n->backend))
        return;
    n->announcing = true;
    virtio_config_changed(&n->virtio);
}

static gboolean check(const VirtioNet *n, GError **err)
{
    const char *id = n->virtio.pci.dev.id;

    if (net_is_multicast(n->mac_given))
        return error_set(err, "%s: mac: a card's address is no multicast address: its first byte is even", id);
    if (!is_power_of_2(n->rx_queue_size) || !is_power_of_2(n->tx_queue_size))
        return error_set(err, "%s: rx_queue_size and tx_queue_size are powers of 2", id);
    if (n->duplex && strcmp(n->duplex, "half") && strcmp(n->duplex, "full"))
        return error_set(err, "%s: duplex=%s; it is half or full", id, n->duplex);
    return TRUE;
}

static void set_sizes(VirtioNet *n)
{
    for (unsigned k = 0; k < 2 * n->pairs; k++)
        n->virtio.queue[k].size_max = k & 1 ? n->tx_queue_size : n->rx_queue_size;
}

static gboolean net_create(Device *dev, GError **err)
{
    VirtioNet *n = (VirtioNet *)dev;
    static const uint8_t none[6];

    if (!check(n, err) || !net_attach(n->backend, dev->id, &virtio_net_user, n, err))
        return FALSE;
    if (!virtio_init(&n->virtio, &net_virtio, 2 * n->pairs + 1, CONTROL_QUEUE_SIZE, err)) {
        net_detach(n->backend);
        return FALSE;
    }
    if (!memcmp(n->mac_given, none, 6))
        net_next_mac(dev->machine, n->mac_given);
    n->virtio.features_offered |= features_of(n);
    set_sizes(n);
    n->held = g_malloc0(NET_FRAME_MAX);
    n->send = timer_new(dev->machine->clocks, MYNA_CLOCK_VIRTUAL, virtio_net_send, n);
    n->announce = timer_new(dev->machine->clocks, MYNA_CLOCK_VIRTUAL, announce_now, n);
    return TRUE;
}

static void net_reset(Device *dev) { virtio_reset((VirtioDevice *)dev); }

static void net_destroy(Device *dev)
{
    VirtioNet *n = (VirtioNet *)dev;

    net_detach(n->backend);
    timer_free(n->send);
    timer_free(n->announce);
    virtio_exit(&n->virtio);
    g_free(n->held);
    g_free(n->iov);
}

static void net_pre_save(Device *dev) { virtio_pre_save((VirtioDevice *)dev); }

static gboolean net_post_load(Device *dev, GError **err)
{
    VirtioNet *n = (VirtioNet *)dev;

    if (!n->pairs_used || n->pairs_used > n->pairs || n->filter.unicast.count > NET_MACS_MAX ||
        n->filter.multicast.count > NET_MACS_MAX || n->sending >> (n->pairs - 1) > 1 || n->offloads & ~guest_offloads)
        return error_set(err, "%s: %u queue pairs or a filter in the saved state that this card does not have", dev->id,
                         n->pairs_used);
    if (!virtio_post_load(&n->virtio, err))
        return FALSE;
    virtio_net_offloads_changed(n);
    timer_arm(n->send, 0);
    timer_arm(n->announce, 0);
    return TRUE;
}

/* In the order of `switches`. */
#define FEATURE(k, name_, default_, help_)                                                                             \
    { .name = name_, .type = PROP_BOOL, .offset = offsetof(VirtioNet, feature[k]), .initial = default_, .help = help_ }

static const Property net_properties[] = {
    VIRTIO_PROPERTIES(VirtioNet),
    PROPERTY(VirtioNet, backend, "netdev", PROP_NET, 0, "network (-netdev) that the card is on"),
    PROPERTY(VirtioNet, mac_given, "mac", PROP_MAC, 0, "the card's address"),
    { .name = "queues", .type = PROP_U32, .offset = offsetof(VirtioNet, pairs), .initial = 1, .min = 1, .max = NET_PAIRS_MAX,
      .help = "pairs of queues, one to receive and one to send" },
    { .name = "rx_queue_size", .type = PROP_U32, .offset = offsetof(VirtioNet, rx_queue_size), .initial = 256, .min = 64,
      .max = VIRTIO_QUEUE_SIZE_MAX, .help = "buffers of a queue to receive, a power of 2" },
    { .name = "tx_queue_size", .type = PROP_U32, .offset = offsetof(VirtioNet, tx_queue_size), .initial = 256, .min = 64,
      .max = VIRTIO_QUEUE_SIZE_MAX, .help = "frames of a queue to send, a power of 2" },
    { .name = "host_mtu", .type = PROP_U32, .offset = offsetof(VirtioNet, mtu), .initial = 0, .max = 65535,
      .help = "largest packet of the network, for the guest to keep to; 0: it is not told" },
    { .name = "speed", .type = PROP_U32, .offset = offsetof(VirtioNet, speed), .initial = UINT32_MAX,
      .help = "of the link, in Mbit/s, as the guest is told" },
    PROPERTY(VirtioNet, duplex, "duplex", PROP_STRING, 0, "half or full, as the guest is told"),
    FEATURE(0, "csum", 1, "the card can make checksums"),
    FEATURE(1, "guest_csum", 1, "frames may come without checksums"),
    FEATURE(2, "gso", 1, "large segments, in the words of old drivers"),
    FEATURE(3, "guest_tso4", 1, "large segments of TCP over IPv4 may come"),
    FEATURE(4, "guest_tso6", 1, "and over IPv6"),
    FEATURE(5, "guest_ecn", 1, "and with congestion notification"),
    FEATURE(6, "guest_ufo", 1, "large UDP datagrams may come, to be fragments"),
    FEATURE(7, "guest_uso4", 1, "large segments of UDP over IPv4 may come"),
    FEATURE(8, "guest_uso6", 1, "and over IPv6"),
    FEATURE(9, "host_tso4", 1, "the card can split TCP over IPv4"),
    FEATURE(10, "host_tso6", 1, "and over IPv6"),
    FEATURE(11, "host_ecn", 1, "and with congestion notification"),
    FEATURE(12, "host_ufo", 1, "the card can make UDP fragments"),
    FEATURE(13, "host_uso", 1, "the card can split UDP"),
    FEATURE(14, "mrg_rxbuf", 1, "a frame may come in several buffers"),
    FEATURE(15, "status", 1, "the link can be down"),
    FEATURE(16, "ctrl_vq", 1, "there is a queue of commands"),
    FEATURE(17, "ctrl_rx", 1, "commands for what is received"),
    FEATURE(18, "ctrl_rx_extra", 1, "and some more"),
    FEATURE(19, "ctrl_vlan", 1, "commands for VLANs"),
    FEATURE(20, "ctrl_mac_addr", 1, "a command for the address"),
    FEATURE(21, "ctrl_guest_offloads", 1, "a command for what may come unfinished"),
    FEATURE(22, "guest_announce", 1, "the guest announces itself after a restore"),
    FEATURE(23, "mq", 1, "several pairs of queues, where there are some"),
    FEATURE(24, "speed_duplex", 1, "the link's speed is told"),
    FEATURE(25, "mac_addr", 1, "the address is told"),
    PROPERTY_END
};

static const StateField table_state[] = {
    STATE_ARRAY_U8(MacTable, mac), STATE_U16(MacTable, count), STATE_BOOL(MacTable, overflow), STATE_END
};

static const StateField filter_state[] = {
    STATE_BOOL(NetFilter, promiscuous), STATE_BOOL(NetFilter, all_multicast), STATE_BOOL(NetFilter, all_unicast),
    STATE_BOOL(NetFilter, no_multicast), STATE_BOOL(NetFilter, no_unicast), STATE_BOOL(NetFilter, no_broadcast),
    STATE_STRUCT(NetFilter, unicast, table_state), STATE_STRUCT(NetFilter, multicast, table_state),
    STATE_ARRAY_U8(NetFilter, vlan), STATE_END
};

static const StateField net_state[] = {
    STATE_STRUCT(VirtioNet, virtio, virtio_state), STATE_ARRAY_U8(VirtioNet, mac), STATE_U16(VirtioNet, pairs_used),
    STATE_BOOL(VirtioNet, announcing), STATE_U64(VirtioNet, offloads), STATE_STRUCT(VirtioNet, filter, filter_state),
    STATE_ARRAY_U8(VirtioNet, flow), STATE_U64(VirtioNet, sending), STATE_U32(VirtioNet, held_size),
    STATE_VBUFFER(VirtioNet, held, held_size, NET_FRAME_MAX), STATE_ARRAY_U8(VirtioNet, held_header), STATE_END
};

const DeviceType virtio_net_type = {
    .name = "virtio-net-pci", .description = "virtio network card", .bus = "pci", .size = sizeof(VirtioNet), .user = true,
    .properties = net_properties, .create = net_create, .reset = net_reset, .destroy = net_destroy, .state = net_state,
    .pre_save = net_pre_save, .post_load = net_post_load,
};
