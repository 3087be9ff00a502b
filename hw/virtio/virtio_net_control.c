/* virtio-net: the queue of commands, and the filter that they set (Virtual I/O Device 1.2, 5.1.6.5). */
#include <string.h>

#include "core/log.h"
#include "hw/virtio/virtio_net_private.h"
#include "util/bits.h"
#include "util/endian.h"

enum { CLASS_RX, CLASS_MAC, CLASS_VLAN, CLASS_ANNOUNCE, CLASS_MQ, CLASS_OFFLOADS };
enum { RX_PROMISCUOUS, RX_ALL_MULTICAST, RX_ALL_UNICAST, RX_NO_MULTICAST, RX_NO_UNICAST, RX_NO_BROADCAST };

static const char *id_of(const VirtioNet *n) { return n->virtio.pci.dev.id; }

/* ---- what may be left to the guest ---- */

static const struct { uint8_t feature, ability; } offloads[] = {
    { NET_F_GUEST_CSUM, NET_CAN_CSUM }, { NET_F_GUEST_TSO4, NET_CAN_TSO4 }, { NET_F_GUEST_TSO6, NET_CAN_TSO6 },
    { NET_F_GUEST_ECN, NET_CAN_ECN }, { NET_F_GUEST_UFO, NET_CAN_UFO },
};

/* NET_CAN_USO is of both versions of IP, so it takes both features. */
void virtio_net_offloads_changed(VirtioNet *n)
{
    const uint64_t uso = BIT(NET_F_GUEST_USO4) | BIT(NET_F_GUEST_USO6);
    unsigned abilities = (n->offloads & uso) == uso ? NET_CAN_USO : 0;

    for (unsigned k = 0; k < ARRAY_SIZE(offloads); k++)
        if (n->offloads >> offloads[k].feature & 1)
            abilities |= offloads[k].ability;
    net_set_abilities(n->backend, abilities & NET_CAN_CSUM ? abilities : 0);
}

/* ---- the filter ---- */

void virtio_net_filter_reset(VirtioNet *n)
{
    n->filter = (NetFilter) { .promiscuous = true };
}

static bool table_has(const MacTable *t, const uint8_t *mac)
{
    for (unsigned k = 0; k < t->count; k++)
        if (!memcmp(t->mac[k], mac, 6))
            return true;
    return false;
}

/* A driver that cannot set the list of networks gets all. */
static bool vlan_passes(const VirtioNet *n, const uint8_t *header, size_t size)
{
    enum { ETHER_VLAN = 0x8100 };
    if (!virtio_has(&n->virtio, NET_F_CTRL_VLAN) || size < 16 || ld16be(header + 12) != ETHER_VLAN)
        return true;
    unsigned vlan = ld16be(header + 14) & 0xfff;
    return n->filter.vlan[vlan / 8] >> vlan % 8 & 1;
}

bool virtio_net_filter_passes(const VirtioNet *n, const uint8_t *header, size_t size)
{
    const NetFilter *f = &n->filter;

    if (size < 14)
        return false;
    if (f->promiscuous)
        return true;
    if (!vlan_passes(n, header, size))
        return false;
    if (net_is_broadcast(header))
        return !f->no_broadcast;
    if (net_is_multicast(header))
        return !f->no_multicast && (f->all_multicast || f->multicast.overflow || table_has(&f->multicast, header));
    return !f->no_unicast && (f->all_unicast || f->unicast.overflow || !memcmp(header, n->mac, 6) ||
                              table_has(&f->unicast, header));
}

/* ---- commands: whether they were right ---- */

static bool set_rx(VirtioNet *n, uint8_t command, const uint8_t *data, size_t size)
{
    NetFilter *f = &n->filter;
    bool *const mode[] = { &f->promiscuous, &f->all_multicast, &f->all_unicast, &f->no_multicast, &f->no_unicast,
                           &f->no_broadcast };
    unsigned modes = virtio_has(&n->virtio, NET_F_CTRL_RX_EXTRA) ? ARRAY_SIZE(mode) : RX_ALL_UNICAST;

    if (!virtio_has(&n->virtio, NET_F_CTRL_RX) || command >= modes || size != 1)
        return false;
    *mode[command] = data[0];
    return true;
}

/* A table of the message: le32 entries, and the addresses; returns its bytes, 0 when it is not whole. */
static size_t table_read(MacTable *t, const uint8_t *data, size_t size)
{
    uint32_t entries = size >= 4 ? ld32le(data) : UINT32_MAX;

    if (size < 4 || entries > (size - 4) / 6)
        return 0;
    t->overflow = entries > NET_MACS_MAX;
    t->count = t->overflow ? 0 : entries;
    if (t->count)
        memcpy(t->mac, data + 4, t->count * 6);
    return 4 + entries * 6;
}

static bool set_macs(VirtioNet *n, const uint8_t *data, size_t size)
{
    MacTable unicast = { 0 }, multicast = { 0 };
    size_t first = table_read(&unicast, data, size), second = first ? table_read(&multicast, data + first, size - first) : 0;

    if (!virtio_has(&n->virtio, NET_F_CTRL_RX) || !second || first + second != size)
        return false;
    n->filter.unicast = unicast;
    n->filter.multicast = multicast;
    return true;
}

static bool set_mac(VirtioNet *n, uint8_t command, const uint8_t *data, size_t size)
{
    enum { TABLE_SET, ADDRESS_SET };
    if (command == TABLE_SET)
        return set_macs(n, data, size);
    if (command != ADDRESS_SET || size != 6 || !virtio_has(&n->virtio, NET_F_CTRL_MAC_ADDR))
        return false;
    memcpy(n->mac, data, 6);
    return true;
}

static bool set_vlan(VirtioNet *n, uint8_t command, const uint8_t *data, size_t size)
{
    enum { ADD, DELETE };
    if (!virtio_has(&n->virtio, NET_F_CTRL_VLAN) || command > DELETE || size != 2 || ld16le(data) > 0xfff)
        return false;
    unsigned vlan = ld16le(data);
    uint8_t bit = 1 << vlan % 8;
    n->filter.vlan[vlan / 8] = command == ADD ? n->filter.vlan[vlan / 8] | bit : n->filter.vlan[vlan / 8] & ~bit;
    return true;
}

static bool acknowledge_announcement(VirtioNet *n, uint8_t command)
{
    bool right = command == 0 && n->announcing && virtio_has(&n->virtio, NET_F_GUEST_ANNOUNCE);
    n->announcing &= !right;
    return right;
}

static bool set_pairs(VirtioNet *n, uint8_t command, const uint8_t *data, size_t size)
{
    if (!virtio_has(&n->virtio, NET_F_MQ) || command != 0 || size != 2 || !ld16le(data) || ld16le(data) > n->pairs)
        return false;
    n->pairs_used = ld16le(data);
    return true;
}

static bool set_offloads(VirtioNet *n, uint8_t command, const uint8_t *data, size_t size)
{
    const uint64_t all = n->virtio.features &
                         (BIT(NET_F_GUEST_CSUM) | BIT(NET_F_GUEST_TSO4) | BIT(NET_F_GUEST_TSO6) | BIT(NET_F_GUEST_ECN) |
                          BIT(NET_F_GUEST_UFO) | BIT(NET_F_GUEST_USO4) | BIT(NET_F_GUEST_USO6));

    if (!virtio_has(&n->virtio, NET_F_CTRL_GUEST_OFFLOADS) || command != 0 || size != 8 || ld64le(data) & ~all)
        return false;
    n->offloads = ld64le(data);
    virtio_net_offloads_changed(n);
    return true;
}

static bool carry_out(VirtioNet *n, uint8_t class, uint8_t command, const uint8_t *data, size_t size)
{
    switch (class) {
    case CLASS_RX: return set_rx(n, command, data, size);
    case CLASS_MAC: return set_mac(n, command, data, size);
    case CLASS_VLAN: return set_vlan(n, command, data, size);
    case CLASS_ANNOUNCE: return acknowledge_announcement(n, command);
    case CLASS_MQ: return set_pairs(n, command, data, size);
    case CLASS_OFFLOADS: return set_offloads(n, command, data, size);
    default: return false;
    }
}

/* class[1] command[1] data; the answer is one byte: 0 or 1 for an error. */
static void answer(VirtioNet *n, VirtElement *e)
{
    enum { COMMAND_MAX = 64 * 1024 };
    size_t size = MIN(e->out.size, COMMAND_MAX);
    g_autofree uint8_t *message = g_malloc0(MAX(size, 2));
    uint8_t failed;

    dma_to_buffer(&e->out, 0, message, size);
    failed = size < 2 || size != e->out.size || !carry_out(n, message[0], message[1], message + 2, size - 2);
    if (failed)
        log_guest_error("%s: command %u of class %u, with %zu bytes, is not one that was agreed on", id_of(n), message[1],
                        message[0], size);
    virtqueue_push(e->queue, e, dma_from_buffer(&e->in, 0, &failed, 1));
}

void virtio_net_control(VirtioNet *n, VirtQueue *q)
{
    VirtElement *e;

    while ((e = virtqueue_pop(q)))
        answer(n, e);
    virtqueue_flush(q);
}
