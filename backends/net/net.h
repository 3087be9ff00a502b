/*
 * Networks: the host's half of a network card (-netdev), and the hubs between several.
 *
 * A NetBackend carries Ethernet frames, without checksum (FCS), between one network card and what the user named: the
 * host's sockets by libslirp, a tap interface, another machine, a hub.  A card that is connected to nothing has
 * NULL, and all functions take that: sending does nothing, the link is down.
 *
 * Everything here is called with the machine lock held; what comes from the host comes in the main loop's thread, with
 * it held.  Frames are never kept by reference: they are the caller's again when the function has returned.
 */
#ifndef MYNA_BACKENDS_NET_H
#define MYNA_BACKENDS_NET_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

typedef struct Machine Machine;
typedef struct NetBackend NetBackend;

/* with segmentation left to the other side; else 1514, 1518 with a VLAN tag, or a jumbo frame */
#define NET_FRAME_MAX 65550

/*
 * What is left to do with a frame: the fields and values of virtio_net_hdr (virtio 1.2, 5.1.6), host byte order.  All
 * zero: nothing.
 */
enum { NET_NEEDS_CSUM = 1, NET_CSUM_GOOD = 2 };                                    /* flags */
/* gso */
enum { NET_GSO_NONE = 0, NET_GSO_TCP4 = 1, NET_GSO_UDP = 3, NET_GSO_TCP6 = 4, NET_GSO_UDP_L4 = 5, NET_GSO_ECN = 0x80 };
typedef struct NetOffload {
    uint8_t flags, gso;
    uint16_t header_size, gso_size, csum_start, csum_offset;
} NetOffload;

/* What a card can do with frames that come in; the back end, or net.c for it, finishes the rest beforehand. */
enum { NET_CAN_CSUM = 1, NET_CAN_TSO4 = 2, NET_CAN_TSO6 = 4, NET_CAN_UFO = 8, NET_CAN_ECN = 16, NET_CAN_USO = 32 };

/* The card. */
typedef struct NetUser {
    /* Whether it takes a frame now; when it can again it calls net_accept(). */
    bool (*can_receive)(void *opaque);
    /* A frame for it, whole; a card that is not addressed, or has no room after all, drops it. */
    void (*receive)(void *opaque, const struct iovec *iov, unsigned count, const NetOffload *offload);
    void (*link_changed)(void *opaque, bool up); /* set_link, or the host's interface; may be NULL */
} NetUser;

/* Opens a back end by what -netdev says ("user,id=n0,hostfwd=..."); *err is one line.  Owned by the machine. */
gboolean net_open(Machine *m, const char *text, GError **err);
NetBackend *net_find(Machine *m, const char *id);
NetBackend *net_find_named(Machine *m, const char *name); /* by its id, or its card's */
NetBackend *net_nth(Machine *m, unsigned n); /* in the order they were opened; NULL behind the last */
void net_close_all(Machine *m);

/*
 * A card takes a back end for itself, in create(), and gives it back, in destroy(); FALSE with *err when another has
 * it.
 */
gboolean net_attach(NetBackend *n, const char *device, const NetUser *user, void *opaque, GError **err);
void net_detach(NetBackend *n);
/* NET_CAN_* of the card; none at first. */
void net_set_abilities(NetBackend *n, unsigned abilities);

/* A frame to the host.  What is left to do by *offload (NULL: nothing) is done before a host that cannot gets it. */
void net_send(NetBackend *n, const struct iovec *iov, unsigned count, const NetOffload *offload);
/* The card has room again. */
void net_accept(NetBackend *n);
bool net_link_up(const NetBackend *n);

/* The monitor's set_link, and `info network`. */
void net_set_link(NetBackend *n, bool up);
const char *net_id(const NetBackend *n);
const char *net_user(const NetBackend *n);     /* the device's id, or NULL */
void net_describe(const NetBackend *n, GString *out);

/* Records frames into a file of libpcap's format from now on, so many bytes of each at most (0: all). */
gboolean net_capture_start(NetBackend *n, const char *file, unsigned length, GError **err);

/* Prints the kinds (`-netdev help`). */
void net_list_kinds(void);

/* "52:54:00:12:34:56" to bytes. */
gboolean net_parse_mac(const char *text, uint8_t mac[6], GError **err);
/* The next of 52:54:00:12:34:56 and on, for a card that was given none. */
void net_next_mac(Machine *m, uint8_t mac[6]);

/*
 * For cards: whether a frame for `dest` belongs to `mac`, and the place of a multicast address in a filter (bits of
 * CRC-32).
 */
/* Ethernet's, bit order as on the wire (IEEE 802.3, 3.2.9) */
uint32_t net_crc32(const uint8_t *data, size_t size);
static inline bool net_is_multicast(const uint8_t *mac) { return mac[0] & 1; }
static inline bool net_is_broadcast(const uint8_t *mac)
{
    return (mac[0] & mac[1] & mac[2] & mac[3] & mac[4] & mac[5]) == 0xff;
}

/* Bytes of a list, and one buffer of them. */
size_t net_iov_size(const struct iovec *iov, unsigned count);
size_t net_iov_copy(const struct iovec *iov, unsigned count, size_t offset, void *buf, size_t size);

/* The sum of big-endian words of 16 bits (RFC 1071), folded and not inverted, of bytes [offset, offset + size). */
uint16_t net_sum(const struct iovec *iov, unsigned count, size_t offset, size_t size);

#endif
