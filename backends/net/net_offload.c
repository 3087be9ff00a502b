/*
 * What one side leaves to the other and that cannot: checksums (RFC 1071), segmentation of TCP (RFC 9293) and UDP, and
 * fragmentation (RFC 791, RFC 8200 4.5).
 *
 * Frames come from guests and from other machines, so that nothing in them is believed: a frame whose headers do not
 * hold what its offload says is dropped.  Payload is not copied, unless it comes in very many pieces.
 */
#include <string.h>

#include "backends/net/backend.h"
#include "core/log.h"
#include "util/endian.h"

/* Room for headers; pieces of a frame; the smallest segment that is taken seriously. */
enum { HEADERS_MAX = 512, PIECES_MAX = 64, SEGMENT_MIN = 8 };
enum { ETHER_HEADER = 14, ETHER_IPV4 = 0x0800, ETHER_IPV6 = 0x86dd, ETHER_VLAN = 0x8100, ETHER_QINQ = 0x88a8 };
enum { IP_PROTO_TCP = 6, IP_PROTO_UDP = 17, IP_PROTO_FRAGMENT = 44, FRAGMENT_HEADER = 8, IP_MORE_FRAGMENTS = 0x2000 };
enum { TCP_FIN = 1, TCP_PSH = 8, TCP_CWR = 0x80 };

typedef struct Packet {
    const struct iovec *iov;
    unsigned count;
    size_t size;
    uint8_t headers[HEADERS_MAX];
    unsigned headers_held;     /* the frame's first bytes, as far as they fit */
    unsigned l3, l4, payload;  /* where the network's and the transport's header and what is behind them begin */
    bool v6;
    unsigned segment;          /* bytes of payload in each */
    NetFrameFn *fn;
    void *opaque;
} Packet;

/* ---- checksums ---- */

/* The sum of little-endian words of 16 bits, folded. */
static uint16_t sum_words(const uint8_t *p, size_t size)
{
    uint64_t sum = 0;
    size_t i = 0;
    for (; i + 8 <= size; i += 8)
        sum += (uint64_t)ld32le(p + i) + ld32le(p + i + 4);
    for (; i + 2 <= size; i += 2)
        sum += ld16le(p + i);
    if (i < size)
        sum += p[i];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

static uint16_t sum_add(uint32_t a, uint32_t b)
{
    return (a + b) + (a + b >= 0x10000);
}

uint16_t net_sum(const struct iovec *iov, unsigned count, size_t offset, size_t size)
{
    uint16_t sum = 0;
    bool odd = false;
    for (unsigned i = 0; i < count && size; i++) {
        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        size_t part = MIN(iov[i].iov_len - offset, size);
        uint16_t of_part = sum_words((const uint8_t *)iov[i].iov_base + offset, part);
        sum = sum_add(sum, odd ? __builtin_bswap16(of_part) : of_part);
        odd ^= part & 1;
        size -= part;
        offset = 0;
    }
    return __builtin_bswap16(sum);
}

static uint16_t sum_flat(const uint8_t *p, size_t size)
{
    return net_sum(&(struct iovec){(void *)p, size}, 1, 0, size);
}

/* In UDP a zero means that there is none; both forms of zero are the same to everybody else. */
static uint16_t checksum_of(uint16_t sum)
{
    return sum == 0xffff ? 0xffff : ~sum;
}

/* The pseudo header of TCP and UDP (RFC 9293 3.1, RFC 8200 8.1). */
static uint16_t sum_pseudo(const Packet *p, const uint8_t *headers, unsigned protocol, size_t size)
{
    uint16_t addresses = p->v6 ? sum_flat(headers + p->l3 + 8, 32) : sum_flat(headers + p->l3 + 12, 8);
    return sum_add(addresses, sum_add(protocol, sum_add(size >> 16, size & 0xffff)));
}

/* ---- pieces ---- */

static unsigned iov_slice(const struct iovec *iov, unsigned count, size_t offset, size_t size, struct iovec *out)
{
    unsigned n = 0;
    for (unsigned i = 0; i < count && size; i++) {
        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        size_t part = MIN(iov[i].iov_len - offset, size);
        out[n++] = (struct iovec){(uint8_t *)iov[i].iov_base + offset, part};
        size -= part;
        offset = 0;
    }
    return n;
}

/* These headers, and `size` bytes of the frame behind `offset`; nothing is left to do. */
static void emit(const Packet *p, const uint8_t *headers, unsigned headers_size, size_t offset, size_t size)
{
    static const NetOffload nothing;
    struct iovec out[PIECES_MAX + 1] = {{(void *)headers, headers_size}};
    unsigned n = iov_slice(p->iov, p->count, offset, size, out + 1);
    p->fn(p->opaque, out, n + 1, &nothing);
}

/* ---- a checksum alone ---- */

static gboolean checksum_finish(Packet *p, const NetOffload *o)
{
    size_t field = (size_t)o->csum_start + o->csum_offset;
    if (field + 2 > p->headers_held)
        return FALSE;
    uint16_t sum = net_sum(p->iov, p->count, o->csum_start, p->size - o->csum_start);
    st16be(p->headers + field, checksum_of(sum));
    emit(p, p->headers, field + 2, field + 2, p->size - field - 2);
    return TRUE;
}

/* ---- headers ---- */

/* Behind the Ethernet header and up to two VLAN tags (IEEE 802.1Q). */
static unsigned ether_type(const Packet *p, unsigned *l3)
{
    unsigned at = 12, type = ld16be(p->headers + at);
    for (unsigned tags = 0; tags < 2 && (type == ETHER_VLAN || type == ETHER_QINQ); tags++) {
        at += 4;
        type = ld16be(p->headers + at);
    }
    *l3 = at + 2;
    return type;
}

static gboolean headers_parse(Packet *p, const NetOffload *o)
{
    if (p->headers_held < ETHER_HEADER + 2 * 4)
        return FALSE;
    unsigned type = ether_type(p, &p->l3);
    p->v6 = type == ETHER_IPV6;
    p->l4 = o->csum_start;
    p->segment = o->gso_size;
    return (type == ETHER_IPV4 || p->v6) && p->l4 >= p->l3 + (p->v6 ? 40 : 20) && p->l4 + 8 <= p->headers_held &&
           p->segment >= SEGMENT_MIN;
}

/* The network header of a segment with that many bytes behind it. */
static void ip_finish(const Packet *p, uint8_t *headers, unsigned number, size_t behind)
{
    uint8_t *ip = headers + p->l3;
    unsigned size = p->l4 - p->l3;
    if (p->v6) {
        st16be(ip + 4, size - 40 + behind);
        return;
    }
    st16be(ip + 2, size + behind);
    st16be(ip + 4, ld16be(p->headers + p->l3 + 4) + number);
    st16be(ip + 10, 0);
    st16be(ip + 10, ~sum_flat(ip, size));
}

/* The transport's checksum, whose field is zero, over its header and the payload. */
static uint16_t transport_checksum(const Packet *p, const uint8_t *headers, unsigned protocol, size_t offset,
                                   size_t size)
{
    size_t header = p->payload - p->l4;
    uint16_t sum = sum_add(sum_pseudo(p, headers, protocol, header + size), sum_flat(headers + p->l4, header));
    uint16_t rest = net_sum(p->iov, p->count, offset, size);
    return checksum_of(sum_add(sum, rest));
}

/* ---- segments ---- */

/* FIN and PSH belong to the last, CWR to the first (RFC 3168 6.1.2). */
static void tcp_segment(Packet *p, unsigned number, size_t offset, size_t size, bool last)
{
    uint8_t headers[HEADERS_MAX], *tcp = headers + p->l4;
    memcpy(headers, p->headers, p->payload);
    ip_finish(p, headers, number, p->payload - p->l4 + size);
    st32be(tcp + 4, ld32be(tcp + 4) + (uint32_t)(offset - p->payload));
    if (!last)
        tcp[13] &= ~(TCP_FIN | TCP_PSH);
    if (number)
        tcp[13] &= ~TCP_CWR;
    st16be(tcp + 16, 0);
    st16be(tcp + 16, transport_checksum(p, headers, IP_PROTO_TCP, offset, size));
    emit(p, headers, p->payload, offset, size);
}

static void udp_segment(Packet *p, unsigned number, size_t offset, size_t size, bool last)
{
    uint8_t headers[HEADERS_MAX], *udp = headers + p->l4;
    (void)last;
    memcpy(headers, p->headers, p->payload);
    ip_finish(p, headers, number, 8 + size);
    st16be(udp + 4, 8 + size);
    st16be(udp + 6, 0);
    st16be(udp + 6, transport_checksum(p, headers, IP_PROTO_UDP, offset, size));
    emit(p, headers, p->payload, offset, size);
}

/*
 * Fragments carry the same identification; IPv6 has it in a header of its own, here that of the whole datagram's
 * checksum.
 */
static void udp_fragment(Packet *p, unsigned number, size_t offset, size_t size, bool last)
{
    uint8_t headers[HEADERS_MAX + FRAGMENT_HEADER];
    size_t place = offset - p->l4;
    (void)number;
    memcpy(headers, p->headers, p->l4);
    if (!p->v6) {
        st16be(headers + p->l3 + 6, place / 8 | (last ? 0 : IP_MORE_FRAGMENTS));
        ip_finish(p, headers, 0, size);
        emit(p, headers, p->l4, offset, size);
        return;
    }
    uint8_t *fragment = headers + p->l4;
    ip_finish(p, headers, 0, FRAGMENT_HEADER + size);
    headers[p->l3 + 6] = IP_PROTO_FRAGMENT;
    fragment[0] = IP_PROTO_UDP;
    fragment[1] = 0;
    st16be(fragment + 2, place | !last);
    st32be(fragment + 4, ld32be(p->headers + p->l4) ^ (uint32_t)ld16be(p->headers + p->l4 + 6) << 8);
    emit(p, headers, p->l4 + FRAGMENT_HEADER, offset, size);
}

static void split(Packet *p, size_t from, void (*one)(Packet *p, unsigned number, size_t offset, size_t size,
                                                      bool last))
{
    unsigned number = 0;
    for (size_t at = from; at < p->size || !number; at += p->segment, number++) {
        size_t size = MIN(p->segment, p->size - at);
        one(p, number, at, size, at + size >= p->size);
    }
}

static gboolean tcp_parse(Packet *p)
{
    if (p->l4 + 20 > p->headers_held)
        return FALSE;
    p->payload = p->l4 + (p->headers[p->l4 + 12] >> 4) * 4;
    return p->payload >= p->l4 + 20 && p->payload <= p->headers_held;
}

static gboolean tcp_finish(Packet *p)
{
    if (!tcp_parse(p))
        return FALSE;
    split(p, p->payload, tcp_segment);
    return TRUE;
}

static gboolean udp_finish(Packet *p)
{
    p->payload = p->l4 + 8;
    split(p, p->payload, udp_segment);
    return TRUE;
}

/* The checksum is the whole datagram's, and travels in the first fragment: so the frame is put together again. */
static gboolean fragments_finish(Packet *p)
{
    size_t size = p->size - p->l4;
    g_autofree uint8_t *flat = g_malloc(p->size);
    struct iovec iov = {flat, p->size};
    p->payload = p->l4 + 8;
    p->segment &= ~7u;
    if (p->v6 && p->l4 != p->l3 + 40)
        return FALSE; /* other headers between: which of them goes into each fragment is theirs to say */
    st16be(p->headers + p->l4 + 4, size);
    st16be(p->headers + p->l4 + 6, 0);
    st16be(p->headers + p->l4 + 6, transport_checksum(p, p->headers, IP_PROTO_UDP, p->payload, p->size - p->payload));
    net_iov_copy(p->iov, p->count, 0, flat, p->size);
    memcpy(flat, p->headers, p->payload);
    p->iov = &iov;
    p->count = 1;
    split(p, p->l4, udp_fragment);
    return TRUE;
}

/* ---- */

static bool can_segment(const NetOffload *o, unsigned abilities)
{
    unsigned needed;
    switch (o->gso & ~NET_GSO_ECN) {
    case NET_GSO_TCP4: needed = NET_CAN_TSO4; break;
    case NET_GSO_TCP6: needed = NET_CAN_TSO6; break;
    case NET_GSO_UDP: needed = NET_CAN_UFO; break;
    case NET_GSO_UDP_L4: needed = NET_CAN_USO; break;
    default: return false;
    }
    needed |= NET_CAN_CSUM | (o->gso & NET_GSO_ECN ? NET_CAN_ECN : 0);
    return (abilities & needed) == needed;
}

bool net_unfinished(const NetOffload *o, unsigned abilities)
{
    if (o->gso & ~NET_GSO_ECN)
        return !can_segment(o, abilities);
    return o->flags & NET_NEEDS_CSUM && !(abilities & NET_CAN_CSUM);
}

static gboolean packet_finish(Packet *p, const NetOffload *o)
{
    unsigned gso = o->gso & ~NET_GSO_ECN;
    if (!gso)
        return o->csum_start < p->size && checksum_finish(p, o);
    if (!headers_parse(p, o))
        return FALSE;
    switch (gso) {
    case NET_GSO_TCP4: return !p->v6 && tcp_finish(p);
    case NET_GSO_TCP6: return p->v6 && tcp_finish(p);
    case NET_GSO_UDP_L4: return udp_finish(p);
    case NET_GSO_UDP: return fragments_finish(p);
    default: return FALSE;
    }
}

static void report_bad(size_t size, const NetOffload *o)
{
    log_guest_error("net: a frame of %zu bytes is dropped: its headers do not fit what is to be done (segments of "
                    "kind %u with "
                    "%u bytes, checksum at %u + %u)", size, o->gso, o->gso_size, o->csum_start, o->csum_offset);
}

/* Lengths and checksums of a large segment of TCP that stays one. */
static gboolean large_complete(Packet *p, uint8_t *frame, const NetOffload *o)
{
    if (!headers_parse(p, o) || !tcp_parse(p))
        return FALSE;
    ip_finish(p, p->headers, 0, p->size - p->l4);
    st16be(p->headers + p->l4 + 16, 0);
    st16be(p->headers + p->l4 + 16,
           transport_checksum(p, p->headers, IP_PROTO_TCP, p->payload, p->size - p->payload));
    memcpy(frame, p->headers, p->payload);
    return TRUE;
}

gboolean net_complete(uint8_t *frame, size_t size, const NetOffload *o)
{
    struct iovec iov = {frame, size};
    size_t field = (size_t)o->csum_start + o->csum_offset;
    if (o->gso & ~NET_GSO_ECN) {
        Packet p = {.iov = &iov, .count = 1, .size = size};
        p.headers_held = net_iov_copy(&iov, 1, 0, p.headers, sizeof p.headers);
        if (large_complete(&p, frame, o))
            return TRUE;
    } else if (!(o->flags & NET_NEEDS_CSUM)) {
        return TRUE;
    } else if (field + 2 <= size) {
        st16be(frame + field, checksum_of(net_sum(&iov, 1, o->csum_start, size - o->csum_start)));
        return TRUE;
    }
    report_bad(size, o);
    return FALSE;
}

void net_finish(const struct iovec *iov, unsigned count, const NetOffload *offload, unsigned abilities, NetFrameFn *fn,
                void *opaque)
{
    Packet p = {.iov = iov, .count = count, .size = net_iov_size(iov, count), .fn = fn, .opaque = opaque};
    g_autofree uint8_t *flat = NULL;
    struct iovec whole;
    if (!net_unfinished(offload, abilities)) {
        fn(opaque, iov, count, offload);
        return;
    }
    if (p.size > NET_FRAME_MAX) {
        log_guest_error("net: a frame of %zu bytes is dropped", p.size);
        return;
    }
    if (count > PIECES_MAX) {
        flat = g_malloc(p.size);
        whole = (struct iovec){flat, net_iov_copy(iov, count, 0, flat, p.size)};
        p.iov = &whole;
        p.count = 1;
    }
    p.headers_held = net_iov_copy(p.iov, p.count, 0, p.headers, sizeof p.headers);
    if (!packet_finish(&p, offload))
        report_bad(p.size, offload);
}
