/*
 * What network cards know of Ethernet frames: the headers of IP (RFC 791, RFC 8200), TCP and UDP in them, their
 * checksums, and multicast filters.
 */
#ifndef MYNA_HW_NET_FRAME_H
#define MYNA_HW_NET_FRAME_H

#include "backends/net/net.h"

enum { FRAME_MIN = 60, FRAME_TAG_SIZE = 4, FRAME_FCS_SIZE = 4, FRAME_ADDRESSES = 12, FRAME_HEADER = 14 };
enum { FRAME_VLAN = 0x8100, FRAME_IPV4 = 0x0800, FRAME_IPV6 = 0x86dd, FRAME_TCP = 6, FRAME_UDP = 17 };

typedef struct FrameHeaders {
    bool v4, v6;
    unsigned l3, l4;   /* where the headers begin */
    unsigned protocol; /* FRAME_TCP or FRAME_UDP, whose header is whole; 0: another, or a fragment */
    size_t end;        /* of the datagram: padding may follow */
} FrameHeaders;

/* Reads a frame of at least FRAME_HEADER bytes; vlan: the type of a tag that is looked behind. */
FrameHeaders frame_parse(const uint8_t *f, size_t size, unsigned vlan);

/* Of a frame with v4: whether its header's sum is right; of one with a protocol: TCP's or UDP's. */
bool frame_ip_right(const FrameHeaders *h, const uint8_t *f);
bool frame_transport_right(const FrameHeaders *h, const uint8_t *f);

/* The sum of [start, end) to its place; nothing happens beyond the frame. */
void frame_put_sum(uint8_t *f, size_t size, size_t start, size_t end, size_t place);

/*
 * Leaves a checksum to the network: at `place` the pseudo header's sum for the transport's header and payload from
 * h->l4 to the end of the frame, and *o says so.
 */
void frame_leave_sum(uint8_t *f, size_t size, const FrameHeaders *h, unsigned place, NetOffload *o);

/* Leaves segmentation of TCP to the network: lengths and sums as of the whole (h says what is in the frame). */
void frame_leave_segments(uint8_t *f, size_t size, const FrameHeaders *h, unsigned place, unsigned segment,
                          unsigned header_size, NetOffload *o);

/* Puts a VLAN tag in front of the type; FRAME_TAG_SIZE bytes before f are free, and the frame begins there now. */
uint8_t *frame_add_tag(uint8_t *f, unsigned vlan, uint16_t tag, NetOffload *o);

/* The upper six bits of an address's CRC: its place in the filters of the DP8390 and RTL8139. */
unsigned frame_hash(const uint8_t *mac);

#endif
