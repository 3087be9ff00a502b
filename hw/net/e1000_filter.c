/*
 * Which frames the e1000 takes (317453, 3.2.1 and 13.5), and what their checksums are worth (3.2.9).
 */
#include <string.h>

#include "hw/net/e1000_internal.h"
#include "hw/net/frame.h"
#include "util/endian.h"

enum { ADDRESS_VALID = 0x80000000u };

/* ---- filters ---- */

static bool vlan_wanted(const E1000 *s, const uint8_t *frame)
{
    unsigned id = ld16be(frame + 14) & 0xfff;

    if (!(REG(s, RCTL) & RCTL_VFE) || ld16be(frame + 12) != REG(s, VET))
        return true;
    return REG(s, VFTA + 4 * (id >> 5)) >> (id & 31) & 1;
}

static bool is_address(const E1000 *s, const uint8_t *frame)
{
    for (unsigned at = RA; at < RA_END; at += 8) {
        uint32_t high = REG(s, at + 4);
        if (high & ADDRESS_VALID && ld32le(frame) == REG(s, at) && ld16le(frame + 4) == (high & 0xffff))
            return true;
    }
    return false;
}

/* Twelve bits of the address, which of them RCTL.MO says. */
static bool in_multicast_table(const E1000 *s, const uint8_t *frame)
{
    static const uint8_t shift[] = { 4, 3, 2, 0 };
    unsigned bit = ld16le(frame + 4) >> shift[REG(s, RCTL) >> 12 & 3] & 0xfff;

    return REG(s, MTA + 4 * (bit >> 5)) >> (bit & 31) & 1;
}

bool e1000_accepts(const E1000 *s, const uint8_t *frame)
{
    uint32_t rctl = REG(s, RCTL);

    if (!vlan_wanted(s, frame))
        return false;
    if (net_is_broadcast(frame) && rctl & RCTL_BAM)
        return true;
    if (net_is_multicast(frame))
        return rctl & RCTL_MPE || is_address(s, frame) || in_multicast_table(s, frame);
    return rctl & RCTL_UPE || is_address(s, frame);
}

/* ---- checksums ---- */

static unsigned check_ip(const FrameHeaders *h, const uint8_t *f, bool good)
{
    return good || frame_ip_right(h, f) ? RXD_IPCS : RXD_IPCS | RXD_ERROR_IPE << 8;
}

static unsigned check_transport(const E1000 *s, const FrameHeaders *h, const uint8_t *f, bool good)
{
    unsigned status = h->protocol == FRAME_UDP && s->model->is_82574 ? RXD_TCPCS | RXD_UDPCS : RXD_TCPCS;

    if (h->protocol == FRAME_UDP && !ld16be(f + h->l4 + 6))
        return 0; /* there is none */
    return good || frame_transport_right(h, f) ? status : status | RXD_ERROR_TCPE << 8;
}

/* Only the 82574 looks into IPv6. */
unsigned e1000_check_sums(const E1000 *s, const uint8_t *frame, size_t size, bool good)
{
    FrameHeaders h = frame_parse(frame, size, REG(s, VET));
    unsigned status = 0;

    if (h.v4 && REG(s, RXCSUM) & RXCSUM_IPOFL)
        status |= check_ip(&h, frame, good);
    if (h.protocol && (h.v4 || s->model->is_82574) && REG(s, RXCSUM) & RXCSUM_TUOFL)
        status |= check_transport(s, &h, frame, good);
    return status ? status : RXD_IXSM;
}

/* ---- receive side scaling of the 82574 (317694, 7.1.6) ---- */

enum { RSS_TCP4 = 1, RSS_IP4 = 2, RSS_TCP6 = 3, RSS_IP6 = 5, RSS_INPUT_MAX = 36 };
enum { MRQC_RSS = 1, MRQC_TCP4 = 0x10000, MRQC_IP4 = 0x20000, MRQC_TCP6 = 0x40000, MRQC_IP6 = 0x100000 };

static unsigned rss_type(const E1000 *s, const FrameHeaders *h)
{
    uint32_t m = REG(s, MRQC);
    bool tcp = h->protocol == FRAME_TCP;

    if (h->v4)
        return tcp && m & MRQC_TCP4 ? RSS_TCP4 : m & MRQC_IP4 ? RSS_IP4 : 0;
    if (h->v6)
        return tcp && m & MRQC_TCP6 ? RSS_TCP6 : m & MRQC_IP6 ? RSS_IP6 : 0;
    return 0;
}

/* Toeplitz: for each bit of the input that is set, the 32 bits of the key from there. */
static uint32_t toeplitz(const E1000 *s, const uint8_t *input, unsigned size)
{
    uint8_t key[RSSRK_END - RSSRK];
    uint32_t hash = 0;

    for (unsigned n = 0; n < sizeof key; n += 4)
        st32le(key + n, REG(s, RSSRK + n));
    for (unsigned bit = 0; bit < 8 * size; bit++) {
        uint64_t window = (uint64_t)ld32be(key + bit / 8) << 8 | key[bit / 8 + 4];
        if (input[bit / 8] >> (7 - bit % 8) & 1)
            hash ^= (uint32_t)(window >> (8 - bit % 8));
    }
    return hash;
}

uint32_t e1000_rss_hash(const E1000 *s, const uint8_t *frame, size_t size, unsigned *type)
{
    FrameHeaders h = frame_parse(frame, size, REG(s, VET));
    unsigned addresses = h.v4 ? 8 : 32;
    uint8_t input[RSS_INPUT_MAX];

    *type = (REG(s, MRQC) & 3) == MRQC_RSS ? rss_type(s, &h) : 0;
    if (!*type)
        return 0;
    memcpy(input, frame + h.l3 + (h.v4 ? 12 : 8), addresses);
    memcpy(input + addresses, frame + h.l4, *type == RSS_TCP4 || *type == RSS_TCP6 ? 4 : 0);
    return toeplitz(s, input, addresses + (*type == RSS_TCP4 || *type == RSS_TCP6 ? 4 : 0));
}
