/*
 * Putting TCP segments together (merge.h).
 */
#include "backends/net/merge.h"

#include <string.h>

#include "util/endian.h"

enum { ETHER_HEADER = 14, ETHER_IPV4 = 0x0800, ETHER_IPV6 = 0x86dd, IP_PROTO_TCP = 6 };
enum { TCP_PSH = 8, TCP_ACK = 0x10, CHECKSUM_OFFSET = 16 };
enum { IP_SIZE_MAX = 65535 };

/* Where the parts of a segment are. */
typedef struct Segment {
    bool v6;
    unsigned tcp, payload; /* offsets of header and data */
    size_t size;           /* of the data */
} Segment;

struct NetMerge {
    NetFrameFn *fn;
    void *opaque;
    unsigned abilities;
    unsigned count;        /* segments held back */
    Segment first;
    size_t size;           /* bytes of frame */
    uint8_t frame[ETHER_HEADER + IP_SIZE_MAX];
};

NetMerge *net_merge_new(NetFrameFn *fn, void *opaque)
{
    NetMerge *m = g_new0(NetMerge, 1);
    m->fn = fn;
    m->opaque = opaque;
    return m;
}

void net_merge_free(NetMerge *m)
{
    g_free(m);
}

void net_merge_set_abilities(NetMerge *m, unsigned abilities)
{
    net_merge_flush(m);
    m->abilities = abilities;
}

static void give(NetMerge *m, const uint8_t *frame, size_t size, const NetOffload *offload)
{
    struct iovec iov = {(void *)frame, size};
    m->fn(m->opaque, &iov, 1, offload);
}

/* The checksum is right, so that a card that can say so to its guest may. */
static void give_one(NetMerge *m, const uint8_t *frame, size_t size)
{
    NetOffload good = {.flags = m->abilities & NET_CAN_CSUM ? NET_CSUM_GOOD : 0};
    give(m, frame, size, &good);
}

/*
 * The sum of the pseudo header, which is what stands in the field when the checksum is left to do (virtio 1.2,
 * 5.1.6.2).
 */
static uint16_t pseudo_sum(const NetMerge *m, size_t size)
{
    const Segment *s = &m->first;
    struct iovec addresses = {(void *)(m->frame + ETHER_HEADER + (s->v6 ? 8 : 12)), s->v6 ? 32 : 8};
    uint32_t sum = net_sum(&addresses, 1, 0, addresses.iov_len) + IP_PROTO_TCP + size;
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xffff) + (sum >> 16);
}

static void headers_finish(NetMerge *m)
{
    const Segment *s = &m->first;
    uint8_t *ip = m->frame + ETHER_HEADER;
    size_t size = m->size - ETHER_HEADER;
    if (s->v6) {
        st16be(ip + 4, size - 40);
    } else {
        st16be(ip + 2, size);
        st16be(ip + 10, 0);
        st16be(ip + 10, ~net_sum(&(struct iovec){ip, 20}, 1, 0, 20));
    }
    st16be(m->frame + s->tcp + CHECKSUM_OFFSET, pseudo_sum(m, m->size - s->tcp));
}

void net_merge_flush(NetMerge *m)
{
    const Segment *s = &m->first;
    unsigned count = m->count;
    m->count = 0;
    if (count == 1)
        give_one(m, m->frame, m->size);
    if (count < 2)
        return;
    NetOffload o = {.flags = NET_NEEDS_CSUM, .gso = s->v6 ? NET_GSO_TCP6 : NET_GSO_TCP4, .header_size = s->payload,
                    .gso_size = s->size, .csum_start = s->tcp, .csum_offset = CHECKSUM_OFFSET};
    headers_finish(m);
    give(m, m->frame, m->size, &o);
}

/* A segment with data and no flags but these, of a datagram without options that is no fragment. */
static bool segment_parse(const uint8_t *frame, size_t size, Segment *s)
{
    if (size < ETHER_HEADER + 40)
        return false;
    const uint8_t *ip = frame + ETHER_HEADER;
    unsigned type = ld16be(frame + 12);
    size_t ip_size;
    s->v6 = type == ETHER_IPV6;
    if (s->v6) {
        ip_size = 40 + ld16be(ip + 4);
        s->tcp = ETHER_HEADER + 40;
        if (ip[6] != IP_PROTO_TCP)
            return false;
    } else {
        ip_size = ld16be(ip + 2);
        s->tcp = ETHER_HEADER + 20;
        if (type != ETHER_IPV4 || ip[0] != 0x45 || ip[9] != IP_PROTO_TCP || ld16be(ip + 6) & 0x3fff)
            return false;
    }
    if (size < s->tcp + 20 || size != ETHER_HEADER + ip_size)
        return false;
    s->payload = s->tcp + (frame[s->tcp + 12] >> 4) * 4;
    if (s->payload < s->tcp + 20 || s->payload >= size || (frame[s->tcp + 13] & ~TCP_PSH) != TCP_ACK)
        return false;
    s->size = size - s->payload;
    return true;
}

/* The same connection, acknowledging the same, with the data that comes next; no larger than those before. */
static bool segment_follows(const NetMerge *m, const uint8_t *frame, const Segment *s)
{
    const Segment *f = &m->first;
    const uint8_t *a = m->frame, *b = frame;
    uint32_t next = ld32be(a + f->tcp + 4) + (uint32_t)(m->size - f->payload);
    unsigned addresses = ETHER_HEADER + (s->v6 ? 8 : 12);
    return s->v6 == f->v6 && s->payload == f->payload && s->size <= f->size &&
           m->size + s->size <= sizeof m->frame && ld32be(b + s->tcp + 4) == next &&
           !memcmp(a, b, ETHER_HEADER + 2) && !memcmp(a + addresses, b + addresses, s->tcp + 4 - addresses) &&
           !memcmp(a + s->tcp + 8, b + s->tcp + 8, 5) && !memcmp(a + s->tcp + 14, b + s->tcp + 14, 2) &&
           !memcmp(a + s->tcp + 18, b + s->tcp + 18, s->payload - s->tcp - 18);
}

static void segment_start(NetMerge *m, const uint8_t *frame, size_t size, const Segment *s)
{
    net_merge_flush(m);
    memcpy(m->frame, frame, size);
    m->first = *s;
    m->size = size;
    m->count = 1;
}

static void segment_append(NetMerge *m, const uint8_t *frame, const Segment *s)
{
    memcpy(m->frame + m->size, frame + s->payload, s->size);
    m->frame[m->first.tcp + 13] |= frame[s->tcp + 13];
    m->size += s->size;
    m->count++;
}

static bool can_merge(const NetMerge *m, const Segment *s)
{
    unsigned needed = NET_CAN_CSUM | (s->v6 ? NET_CAN_TSO6 : NET_CAN_TSO4);
    return (m->abilities & needed) == needed;
}

void net_merge_add(NetMerge *m, const uint8_t *frame, size_t size)
{
    Segment s;
    if (size > sizeof m->frame || !segment_parse(frame, size, &s) || !can_merge(m, &s)) {
        net_merge_flush(m);
        give_one(m, frame, size);
        return;
    }
    if (m->count && segment_follows(m, frame, &s))
        segment_append(m, frame, &s);
    else
        segment_start(m, frame, size, &s);
    /* A shorter one, or one that the sender pushes, is the last of its row. */
    if (s.size < m->first.size || frame[s.tcp + 13] & TCP_PSH)
        net_merge_flush(m);
}
