/* What network cards know of frames (frame.h). */
#include "hw/net/frame.h"

#include <string.h>

#include "util/endian.h"

/* ---- headers ---- */

static void parse_v4(FrameHeaders *h, const uint8_t *f, size_t size)
{
    const uint8_t *ip = f + h->l3;

    if (h->l3 + 20 > size || ip[0] >> 4 != 4 || (ip[0] & 15) < 5)
        return;
    h->l4 = h->l3 + (ip[0] & 15) * 4;
    h->end = h->l3 + ld16be(ip + 2);
    h->v4 = h->l4 <= h->end && h->end <= size;
    if (h->v4 && !(ld16be(ip + 6) & 0x3fff))
        h->protocol = ip[9];
}

/* Without extension headers. */
static void parse_v6(FrameHeaders *h, const uint8_t *f, size_t size)
{
    const uint8_t *ip = f + h->l3;

    if (h->l3 + 40 > size || ip[0] >> 4 != 6)
        return;
    h->l4 = h->l3 + 40;
    h->end = h->l4 + ld16be(ip + 4);
    h->v6 = h->end <= size;
    if (h->v6)
        h->protocol = ip[6];
}

FrameHeaders frame_parse(const uint8_t *f, size_t size, unsigned vlan)
{
    FrameHeaders h = { .l3 = FRAME_HEADER };
    unsigned type = ld16be(f + FRAME_ADDRESSES);

    if (type == vlan && size >= FRAME_HEADER + FRAME_TAG_SIZE) {
        h.l3 += FRAME_TAG_SIZE;
        type = ld16be(f + h.l3 - 2);
    }
    if (type == FRAME_IPV4)
        parse_v4(&h, f, size);
    else if (type == FRAME_IPV6)
        parse_v6(&h, f, size);
    if ((h.protocol != FRAME_TCP && h.protocol != FRAME_UDP) || h.l4 + (h.protocol == FRAME_TCP ? 20 : 8) > h.end)
        h.protocol = 0;
    return h;
}

/* ---- checksums ---- */

static uint16_t fold(uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xffff) + (sum >> 16);
}

static uint16_t sum_of(const uint8_t *f, size_t start, size_t end)
{
    return net_sum(&(struct iovec){ (void *)f, end }, 1, start, end - start);
}

/* The pseudo header (RFC 9293, 3.1; RFC 8200, 8.1). */
static uint32_t pseudo_sum(const FrameHeaders *h, const uint8_t *f, unsigned protocol, size_t size)
{
    return (h->v4 ? sum_of(f, h->l3 + 12, h->l3 + 20) : sum_of(f, h->l3 + 8, h->l3 + 40)) + protocol + (uint32_t)size;
}

bool frame_ip_right(const FrameHeaders *h, const uint8_t *f) { return sum_of(f, h->l3, h->l4) == 0xffff; }

/* Zero stands for a UDP datagram without checksum (RFC 768). */
bool frame_transport_right(const FrameHeaders *h, const uint8_t *f)
{
    if (h->protocol == FRAME_UDP && !ld16be(f + h->l4 + 6))
        return true;
    return fold(pseudo_sum(h, f, h->protocol, h->end - h->l4) + sum_of(f, h->l4, h->end)) == 0xffff;
}

void frame_put_sum(uint8_t *f, size_t size, size_t start, size_t end, size_t place)
{
    if (start < end && end <= size && place + 2 <= size)
        st16be(f + place, ~sum_of(f, start, end));
}

/* ---- what is left to the network ---- */

void frame_leave_sum(uint8_t *f, size_t size, const FrameHeaders *h, unsigned place, NetOffload *o)
{
    st16be(f + place, fold(pseudo_sum(h, f, h->protocol, size - h->l4)));
    o->flags = NET_NEEDS_CSUM;
    o->csum_start = h->l4;
    o->csum_offset = place - h->l4;
}

void frame_leave_segments(uint8_t *f, size_t size, const FrameHeaders *h, unsigned place, unsigned segment,
                          unsigned header_size, NetOffload *o)
{
    uint8_t *ip = f + h->l3;

    if (h->v4) {
        st16be(ip + 2, size - h->l3);
        st16be(ip + 10, 0);
        frame_put_sum(f, size, h->l3, h->l4, h->l3 + 10);
    } else {
        st16be(ip + 4, size - h->l3 - 40);
    }
    frame_leave_sum(f, size, h, place, o);
    o->gso = h->v4 ? NET_GSO_TCP4 : NET_GSO_TCP6;
    o->gso_size = segment;
    o->header_size = header_size;
}

uint8_t *frame_add_tag(uint8_t *f, unsigned vlan, uint16_t tag, NetOffload *o)
{
    memmove(f - FRAME_TAG_SIZE, f, FRAME_ADDRESSES);
    f -= FRAME_TAG_SIZE;
    st16be(f + FRAME_ADDRESSES, vlan);
    st16be(f + FRAME_ADDRESSES + 2, tag);
    if (o->flags)
        o->csum_start += FRAME_TAG_SIZE;
    if (o->gso)
        o->header_size += FRAME_TAG_SIZE;
    return f;
}

/* ---- multicast ---- */

/* The chips take the bits of the CRC's register, in which those of the reflected form stand the other way round. */
unsigned frame_hash(const uint8_t *mac)
{
    uint32_t crc = ~net_crc32(mac, 6);
    unsigned hash = 0;

    for (unsigned n = 0; n < 6; n++)
        hash = hash << 1 | (crc >> n & 1);
    return hash;
}
