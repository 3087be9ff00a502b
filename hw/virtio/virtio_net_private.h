/* What the parts of virtio-net share: the card, frames (virtio_net_frames.c), commands and the filter (virtio_net_control.c). */
#ifndef MYNA_HW_VIRTIO_NET_PRIVATE_H
#define MYNA_HW_VIRTIO_NET_PRIVATE_H

#include "backends/net/net.h"
#include "core/clock.h"
#include "hw/virtio/virtio.h"

/* Feature bits (5.1.3). */
enum {
    NET_F_CSUM = 0, NET_F_GUEST_CSUM = 1, NET_F_CTRL_GUEST_OFFLOADS = 2, NET_F_MTU = 3, NET_F_MAC = 5, NET_F_GSO = 6,
    NET_F_GUEST_TSO4 = 7, NET_F_GUEST_TSO6 = 8, NET_F_GUEST_ECN = 9, NET_F_GUEST_UFO = 10, NET_F_HOST_TSO4 = 11,
    NET_F_HOST_TSO6 = 12, NET_F_HOST_ECN = 13, NET_F_HOST_UFO = 14, NET_F_MRG_RXBUF = 15, NET_F_STATUS = 16,
    NET_F_CTRL_VQ = 17, NET_F_CTRL_RX = 18, NET_F_CTRL_VLAN = 19, NET_F_CTRL_RX_EXTRA = 20, NET_F_GUEST_ANNOUNCE = 21,
    NET_F_MQ = 22, NET_F_CTRL_MAC_ADDR = 23, NET_F_GUEST_USO4 = 54, NET_F_GUEST_USO6 = 55, NET_F_HOST_USO = 56,
    NET_F_SPEED_DUPLEX = 63
};
enum { NET_FEATURE_SWITCHES = 26 };

enum {
    NET_PAIRS_MAX = 31,          /* two queues each, and one for control */
    NET_HEADER_SIZE = 12, NET_LEGACY_HEADER_SIZE = 10,
    NET_MACS_MAX = 64,           /* of the filter, of each kind */
    NET_FLOWS = 256,
};

/* A list of addresses of the filter; one with more than it holds lets all of its kind in. */
typedef struct MacTable {
    uint8_t mac[NET_MACS_MAX][6];
    uint16_t count;
    bool overflow;
} MacTable;

/* What the driver wants to see (5.1.6.5). */
typedef struct NetFilter {
    bool promiscuous, all_multicast, all_unicast, no_multicast, no_unicast, no_broadcast;
    MacTable unicast, multicast;
    uint8_t vlan[4096 / 8];      /* a bit for each that is let in */
} NetFilter;

typedef struct VirtioNet {
    VirtioDevice virtio;
    /* properties */
    NetBackend *backend;
    uint8_t mac_given[6];
    uint32_t pairs, rx_queue_size, tx_queue_size, mtu, speed;
    char *duplex;
    bool feature[NET_FEATURE_SWITCHES]; /* in the order of virtio_net.c's table */
    /* state */
    uint8_t mac[6];
    uint16_t pairs_used;
    bool announcing;             /* the driver is to tell the network where it is (5.1.6.5.4) */
    uint64_t offloads;           /* GUEST_* that are in use */
    NetFilter filter;
    uint8_t flow[NET_FLOWS];     /* by what of the pairs a flow was sent last: there its answers go (5.1.6.5.5) */
    uint64_t sending;            /* queues that are looked at without being notified, by pair */
    /* A frame for which there were not enough buffers; its queue waits for it. */
    uint32_t held_size;
    uint8_t *held;               /* NET_FRAME_MAX bytes */
    uint8_t held_header[NET_HEADER_SIZE];
    /* not saved */
    Timer *send, *announce;
    VirtElement *taken[VIRTIO_QUEUE_SIZE_MAX];
    struct iovec *iov;           /* of a frame without its header */
    unsigned iov_room;
} VirtioNet;

/* ---- virtio_net_frames.c ---- */

extern const NetUser virtio_net_user;
/* The driver has given frames to be sent, or buffers. */
void virtio_net_sent(VirtioNet *n, VirtQueue *q);
void virtio_net_refilled(VirtioNet *n);
/* The timer's function: sends what the queues under `sending` have. */
void virtio_net_send(void *opaque);

/* ---- virtio_net_control.c ---- */

void virtio_net_control(VirtioNet *n, VirtQueue *q);
void virtio_net_filter_reset(VirtioNet *n);
bool virtio_net_filter_passes(const VirtioNet *n, const uint8_t *header, size_t size);
/* Tells the network what may be left to the guest, by features and what it has switched off. */
void virtio_net_offloads_changed(VirtioNet *n);

#endif
