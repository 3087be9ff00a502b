/*
 * Checksums and segmentation (backends/net/net_offload.c), and its reverse (merge.c), beside a second implementation that does
 * everything byte by byte: RFC 791, 768, 8200, 9293, 1071.
 */
#include <string.h>

#include "backends/net/backend.h"
#include "backends/net/merge.h"
#include "util/bits.h"
#include "util/endian.h"

enum { ETHER = 14, ALL = NET_CAN_CSUM | NET_CAN_TSO4 | NET_CAN_TSO6 | NET_CAN_UFO | NET_CAN_ECN | NET_CAN_USO };

/* ---- the second implementation ---- */

/* Words of 16 bits, big-endian, with the carry coming in again at once (RFC 1071). */
static unsigned sum(unsigned start, const uint8_t *p, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        start += i % 2 ? p[i] : p[i] << 8;
        start = (start & 0xffff) + (start >> 16);
    }
    return start;
}

typedef struct Shape {
    bool v6, udp, vlan;
    unsigned options;       /* bytes of TCP options */
    uint8_t flags;          /* of TCP */
} Shape;

static unsigned ip_offset(const Shape *s) { return ETHER + (s->vlan ? 4 : 0); }
static unsigned l4_offset(const Shape *s) { return ip_offset(s) + (s->v6 ? 40 : 20); }
static unsigned data_offset(const Shape *s) { return l4_offset(s) + (s->udp ? 8 : 20 + s->options); }

static unsigned pseudo(const Shape *s, const uint8_t *frame, unsigned size)
{
    const uint8_t *ip = frame + ip_offset(s);
    const uint8_t rest[4] = {0, s->udp ? 17 : 6, size >> 8, size & 0xff};
    return sum(s->v6 ? sum(0, ip + 8, 32) : sum(0, ip + 12, 8), rest, 4);
}

/* A whole frame with right checksums: `number` as the identification's distance, `offset` as that of the sequence. */
static GByteArray *frame_make(const Shape *s, const uint8_t *data, size_t size, unsigned number, unsigned offset, uint8_t flags)
{
    GByteArray *a = g_byte_array_new();
    g_byte_array_set_size(a, data_offset(s) + size);
    memset(a->data, 0, a->len);
    uint8_t *f = a->data, *ip = f + ip_offset(s), *l4 = f + l4_offset(s);
    unsigned behind = a->len - l4_offset(s);
    memcpy(f, "\x52\x54\x00\x12\x34\x56\x52\x55\x0a\x00\x02\x02", 12);
    if (s->vlan) {
        st16be(f + 12, 0x8100);
        st16be(f + 14, 5);
    }
    st16be(ip - 2, s->v6 ? 0x86dd : 0x0800);
    if (s->v6) {
        st32be(ip, 0x60012345);
        st16be(ip + 4, behind);
        ip[6] = s->udp ? 17 : 6;
        ip[7] = 64;
        memcpy(ip + 8, "\xfe\xc0\0\0\0\0\0\0\0\0\0\0\0\0\0\2\xfe\xc0\0\0\0\0\0\0\x50\x54\0\xff\xfe\x12\x34\x56", 32);
    } else {
        ip[0] = 0x45;
        st16be(ip + 2, 20 + behind);
        st16be(ip + 4, 0xfffe + number);
        ip[8] = 64;
        ip[9] = s->udp ? 17 : 6;
        memcpy(ip + 12, "\x0a\x00\x02\x02\x0a\x00\x02\x0f", 8);
        st16be(ip + 10, ~sum(0, ip, 20));
    }
    st16be(l4, 5201);
    st16be(l4 + 2, 40001);
    if (s->udp) {
        st16be(l4 + 4, behind);
    } else {
        st32be(l4 + 4, 0xfffffff0 + offset);
        st32be(l4 + 8, 0x01020304);
        l4[12] = (20 + s->options) / 4 << 4;
        l4[13] = flags;
        st16be(l4 + 14, 4096);
        for (unsigned i = 0; i < s->options; i++)
            l4[20 + i] = i + 1;
    }
    if (size)
        memcpy(f + data_offset(s), data, size);
    unsigned c = sum(pseudo(s, f, behind), l4, behind) ^ 0xffff;
    st16be(l4 + (s->udp ? 6 : 16), c ? c : 0xffff);
    return a;
}

/* ---- what comes out ---- */

typedef struct Out {
    GPtrArray *frames;      /* GByteArray * */
    NetOffload last;
} Out;

static void collect(void *opaque, const struct iovec *iov, unsigned count, const NetOffload *offload)
{
    Out *o = opaque;
    GByteArray *a = g_byte_array_new();
    g_byte_array_set_size(a, net_iov_size(iov, count));
    g_assert_cmpuint(net_iov_copy(iov, count, 0, a->data, a->len), ==, a->len);
    g_ptr_array_add(o->frames, a);
    o->last = *offload;
}

static Out out_new(void)
{
    return (Out){.frames = g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref)};
}

static void assert_same(const GByteArray *got, const GByteArray *wanted)
{
    g_assert_cmpmem(got->data, got->len, wanted->data, wanted->len);
}

/* The frame in so many pieces of random length. */
static struct iovec *cut(const GByteArray *frame, unsigned pieces)
{
    struct iovec *iov = g_new0(struct iovec, pieces);
    size_t at = 0;
    for (unsigned i = 0; i < pieces; i++) {
        size_t left = frame->len - at, size = g_test_rand_int_range(0, MIN(left, 2 * frame->len / pieces) + 1);
        size = i + 1 < pieces ? size : left;
        iov[i] = (struct iovec){frame->data + at, size};
        at += size;
    }
    return iov;
}

static void finish(const GByteArray *frame, unsigned pieces, const NetOffload *o, unsigned abilities, Out *out)
{
    g_autofree struct iovec *iov = cut(frame, pieces);
    net_finish(iov, pieces, o, abilities, collect, out);
}

static GByteArray *random_data(size_t size)
{
    GByteArray *a = g_byte_array_new();
    g_byte_array_set_size(a, size);
    for (size_t i = 0; i < size; i++)
        a->data[i] = g_test_rand_int();
    return a;
}

/* As a driver leaves it: the field holds the pseudo header's sum. */
static NetOffload leave_checksum(const Shape *s, GByteArray *frame)
{
    unsigned l4 = l4_offset(s), field = s->udp ? 6 : 16;
    st16be(frame->data + l4 + field, pseudo(s, frame->data, frame->len - l4));
    return (NetOffload){.flags = NET_NEEDS_CSUM, .csum_start = l4, .csum_offset = field};
}

static Shape random_shape(void)
{
    return (Shape){.v6 = g_test_rand_bit(), .vlan = g_test_rand_bit(), .options = g_test_rand_int_range(0, 11) * 4,
                   .flags = 0x10};
}

static void test_checksum(void)
{
    for (unsigned i = 0; i < 500; i++) {
        Shape s = random_shape();
        s.udp = g_test_rand_bit();
        g_autoptr(GByteArray) data = random_data(g_test_rand_int_range(0, 1500));
        g_autoptr(GByteArray) right = frame_make(&s, data->data, data->len, 0, 0, s.flags);
        g_autoptr(GByteArray) frame = frame_make(&s, data->data, data->len, 0, 0, s.flags);
        NetOffload o = leave_checksum(&s, frame);
        Out out = out_new();
        finish(frame, g_test_rand_int_range(1, 100), &o, 0, &out);
        g_assert_cmpuint(out.frames->len, ==, 1);
        assert_same(out.frames->pdata[0], right);
        g_assert_cmpuint(out.last.flags | out.last.gso, ==, 0);
        g_assert_true(net_complete(frame->data, frame->len, &o));
        assert_same(frame, right);
        g_ptr_array_unref(out.frames);
    }
}

/* A UDP checksum that comes out as zero is sent as 0xffff (RFC 768). */
static void test_checksum_zero(void)
{
    Shape s = {.udp = true};
    uint8_t data[2] = {0, 0};
    g_autoptr(GByteArray) trial = frame_make(&s, data, 2, 0, 0, 0);
    memcpy(data, trial->data + l4_offset(&s) + 6, 2); /* the complement of all the rest */
    g_autoptr(GByteArray) frame = frame_make(&s, data, 2, 0, 0, 0);
    NetOffload o = leave_checksum(&s, frame);
    g_assert_true(net_complete(frame->data, frame->len, &o));
    g_assert_cmphex(ld16be(frame->data + l4_offset(&s) + 6), ==, 0xffff);
}

/* Large segments of TCP: the frames that the second implementation makes of the same data. */
static void test_tcp(void)
{
    for (unsigned i = 0; i < 300; i++) {
        Shape s = random_shape();
        unsigned mss = g_test_rand_int_range(8, 3000), number = 0;
        s.flags = 0x10 | (g_test_rand_int() & 0x89); /* ACK with CWR, PSH, FIN */
        g_autoptr(GByteArray) data = random_data(g_test_rand_int_range(1, i % 10 ? 9000 : 65000));
        g_autoptr(GByteArray) frame = frame_make(&s, data->data, data->len, 0, 0, s.flags);
        NetOffload o = leave_checksum(&s, frame);
        o.gso = s.v6 ? NET_GSO_TCP6 : NET_GSO_TCP4;
        o.gso_size = mss;
        Out out = out_new();
        finish(frame, g_test_rand_int_range(1, 100), &o, g_test_rand_bit() ? 0 : NET_CAN_CSUM, &out);
        for (size_t at = 0; at < data->len; at += mss, number++) {
            bool last = at + mss >= data->len;
            uint8_t flags = (last ? s.flags : s.flags & ~9) & (number ? ~0x80 : 0xff);
            g_autoptr(GByteArray) wanted = frame_make(&s, data->data + at, MIN(mss, data->len - at), number, at, flags);
            g_assert_cmpuint(number, <, out.frames->len);
            assert_same(out.frames->pdata[number], wanted);
        }
        g_assert_cmpuint(number, ==, out.frames->len);
        g_ptr_array_unref(out.frames);
    }
}

static void test_udp_segments(void)
{
    for (unsigned i = 0; i < 100; i++) {
        Shape s = {.v6 = g_test_rand_bit(), .vlan = g_test_rand_bit(), .udp = true};
        unsigned each = g_test_rand_int_range(8, 2000), number = 0;
        g_autoptr(GByteArray) data = random_data(g_test_rand_int_range(1, 20000));
        g_autoptr(GByteArray) frame = frame_make(&s, data->data, data->len, 0, 0, 0);
        NetOffload o = leave_checksum(&s, frame);
        o.gso = NET_GSO_UDP_L4;
        o.gso_size = each;
        Out out = out_new();
        finish(frame, 3, &o, 0, &out);
        for (size_t at = 0; at < data->len; at += each, number++) {
            g_autoptr(GByteArray) wanted = frame_make(&s, data->data + at, MIN(each, data->len - at), number, 0, 0);
            assert_same(out.frames->pdata[number], wanted);
        }
        g_assert_cmpuint(number, ==, out.frames->len);
        g_ptr_array_unref(out.frames);
    }
}

/* Fragments, put together by their offsets, are the datagram with its right checksum. */
static void test_fragments(void)
{
    for (unsigned i = 0; i < 100; i++) {
        Shape s = {.v6 = g_test_rand_bit(), .udp = true};
        unsigned l4 = l4_offset(&s), extra = s.v6 ? 8 : 0;
        g_autoptr(GByteArray) data = random_data(g_test_rand_int_range(2000, 30000));
        g_autoptr(GByteArray) right = frame_make(&s, data->data, data->len, 0, 0, 0);
        g_autoptr(GByteArray) frame = frame_make(&s, data->data, data->len, 0, 0, 0);
        g_autoptr(GByteArray) whole = random_data(right->len - l4);
        NetOffload o = leave_checksum(&s, frame);
        size_t covered = 0;
        o.gso = NET_GSO_UDP;
        o.gso_size = 1480;
        Out out = out_new();
        finish(frame, 3, &o, 0, &out);
        for (unsigned k = 0; k < out.frames->len; k++) {
            const GByteArray *f = out.frames->pdata[k];
            const uint8_t *ip = f->data + ETHER;
            unsigned size = f->len - l4 - extra, field = s.v6 ? ld16be(ip + 42) & 0xfff8 : (ld16be(ip + 6) & 0x1fff) * 8;
            bool more = s.v6 ? ip[43] & 1 : ip[6] & 0x20;
            g_assert_cmpint(more, ==, k + 1 < out.frames->len);
            g_assert_cmpuint(field + size, <=, whole->len);
            g_assert_cmpuint(f->len - ETHER, <=, 1500 + 20 + extra);
            if (s.v6) {
                g_assert_cmpuint(ip[6], ==, 44);
                g_assert_cmpuint(ip[40], ==, 17);
                g_assert_cmpuint(ld16be(ip + 4), ==, size + 8);
                g_assert_cmphex(ld32be(ip + 44), ==, ld32be(((GByteArray *)out.frames->pdata[0])->data + ETHER + 44));
            } else {
                g_assert_cmphex(sum(0, ip, 20), ==, 0xffff);
                g_assert_cmpuint(ld16be(ip + 2), ==, size + 20);
                g_assert_cmphex(ld16be(ip + 4), ==, 0xfffe);
            }
            memcpy(whole->data + field, f->data + l4 + extra, size);
            covered += size;
        }
        g_assert_cmpuint(covered, ==, whole->len);
        g_assert_cmpmem(whole->data, whole->len, right->data + l4, right->len - l4);
        g_ptr_array_unref(out.frames);
    }
}

/* Who can gets it as it is. */
static void test_passed_on(void)
{
    Shape s = {.flags = 0x10};
    g_autoptr(GByteArray) data = random_data(5000), frame = frame_make(&s, data->data, data->len, 0, 0, s.flags);
    NetOffload o = leave_checksum(&s, frame);
    o.gso = NET_GSO_TCP4;
    o.gso_size = 1460;
    g_assert_false(net_unfinished(&o, NET_CAN_CSUM | NET_CAN_TSO4));
    g_assert_true(net_unfinished(&o, NET_CAN_TSO4));
    g_assert_true(net_unfinished(&o, NET_CAN_CSUM | NET_CAN_TSO6));
    o.gso |= NET_GSO_ECN;
    g_assert_true(net_unfinished(&o, NET_CAN_CSUM | NET_CAN_TSO4));
    Out out = out_new();
    finish(frame, 3, &o, ALL, &out);
    assert_same(out.frames->pdata[0], frame);
    g_assert_cmpuint(out.last.gso, ==, NET_GSO_TCP4 | NET_GSO_ECN);
    g_ptr_array_unref(out.frames);
}

/* A large segment completed in one piece has right lengths and checksums, whatever the driver left in them. */
static void test_complete(void)
{
    for (unsigned i = 0; i < 100; i++) {
        Shape s = random_shape();
        g_autoptr(GByteArray) data = random_data(g_test_rand_int_range(1, 60000));
        g_autoptr(GByteArray) right = frame_make(&s, data->data, data->len, 0, 0, s.flags);
        g_autoptr(GByteArray) frame = frame_make(&s, data->data, data->len, 0, 0, s.flags);
        NetOffload o = leave_checksum(&s, frame);
        o.gso = s.v6 ? NET_GSO_TCP6 : NET_GSO_TCP4;
        o.gso_size = 1460;
        st16be(frame->data + ip_offset(&s) + (s.v6 ? 4 : 2), 0);
        g_assert_true(net_complete(frame->data, frame->len, &o));
        assert_same(frame, right);
    }
}

/* Nonsense makes no frames, or few; it never reads beyond what is there (which the sanitizers see). */
static void test_nonsense(void)
{
    for (unsigned i = 0; i < 20000; i++) {
        Shape s = random_shape();
        s.udp = g_test_rand_bit();
        g_autoptr(GByteArray) data = random_data(g_test_rand_int_range(0, 300));
        g_autoptr(GByteArray) frame = frame_make(&s, data->data, data->len, 0, 0, s.flags);
        g_autofree uint8_t *copy = NULL;
        NetOffload o = leave_checksum(&s, frame);
        for (unsigned k = g_test_rand_int_range(0, 4); k--;)
            frame->data[g_test_rand_int_range(0, MIN(frame->len, 80))] = g_test_rand_int();
        o.gso = g_test_rand_bit() ? g_test_rand_int_range(0, 7) : g_test_rand_int();
        o.gso_size = g_test_rand_int_range(0, g_test_rand_bit() ? 100 : 65536);
        if (g_test_rand_bit())
            o.csum_start = g_test_rand_int_range(0, g_test_rand_bit() ? 400 : 65536);
        if (g_test_rand_bit())
            o.csum_offset = g_test_rand_int_range(0, g_test_rand_bit() ? 40 : 65536);
        g_byte_array_set_size(frame, g_test_rand_int_range(0, frame->len + 1));
        Out out = out_new();
        finish(frame, g_test_rand_int_range(1, 70), &o, g_test_rand_int() & ALL, &out);
        g_assert_cmpuint(out.frames->len, <=, 1 + frame->len / 8);
        g_ptr_array_unref(out.frames);
        copy = g_memdup2(frame->data, frame->len);
        net_complete(copy, frame->len, &o);
    }
}

/* ---- putting together ---- */

static void merge_add(NetMerge *m, const GByteArray *frame)
{
    net_merge_add(m, frame->data, frame->len);
}

/* What segmentation takes apart, comes together again. */
static void test_merge(void)
{
    for (unsigned i = 0; i < 100; i++) {
        Shape s = {.v6 = g_test_rand_bit(), .options = g_test_rand_int_range(0, 11) * 4, .flags = 0x18};
        g_autoptr(GByteArray) data = random_data(g_test_rand_int_range(3000, 65000));
        g_autoptr(GByteArray) frame = frame_make(&s, data->data, data->len, 0, 0, s.flags);
        NetOffload o = leave_checksum(&s, frame);
        Out parts = out_new(), out = out_new();
        o.gso = s.v6 ? NET_GSO_TCP6 : NET_GSO_TCP4;
        o.gso_size = g_test_rand_int_range(500, 1460);
        finish(frame, 1, &o, 0, &parts);
        NetMerge *m = net_merge_new(collect, &out);
        net_merge_set_abilities(m, ALL);
        for (unsigned k = 0; k < parts.frames->len; k++)
            merge_add(m, parts.frames->pdata[k]);
        g_assert_cmpuint(out.frames->len, ==, 1); /* PSH is in the last */
        assert_same(out.frames->pdata[0], frame);
        g_assert_cmpuint(out.last.gso, ==, o.gso);
        g_assert_cmpuint(out.last.gso_size, ==, o.gso_size);
        g_assert_cmpuint(out.last.flags, ==, NET_NEEDS_CSUM);
        g_assert_cmpuint(out.last.csum_start, ==, o.csum_start);
        g_assert_cmpuint(out.last.header_size, ==, data_offset(&s));
        net_merge_free(m);
        g_ptr_array_unref(parts.frames);
        g_ptr_array_unref(out.frames);
    }
}

/* Frames of other kinds, connections, places: each by itself, in the order they came. */
static void test_merge_not(void)
{
    Shape s = {.flags = 0x10}, udp = {.udp = true}, options = {.options = 12};
    uint8_t data[4000] = {1, 2, 3};
    GByteArray *frames[] = {
        frame_make(&s, data, 1000, 0, 0, 0x10),
        frame_make(&s, data, 1000, 1, 1001, 0x10),   /* a byte is missing before it */
        frame_make(&s, data, 1001, 2, 2001, 0x10),   /* larger than the one before */
        frame_make(&s, data, 0, 3, 3002, 0x10),      /* no data */
        frame_make(&s, data, 1000, 4, 3002, 0x11),   /* FIN */
        frame_make(&udp, data, 1000, 5, 0, 0),
        frame_make(&options, data, 1000, 6, 4002, 0x10),
        frame_make(&s, data, 1000, 7, 5002, 0x10),   /* no options again */
    };
    Out out = out_new();
    NetMerge *m = net_merge_new(collect, &out);
    net_merge_set_abilities(m, ALL);
    for (unsigned i = 0; i < ARRAY_SIZE(frames); i++)
        merge_add(m, frames[i]);
    g_assert_cmpuint(out.frames->len, ==, ARRAY_SIZE(frames) - 1);
    net_merge_flush(m);
    g_assert_cmpuint(out.frames->len, ==, ARRAY_SIZE(frames));
    for (unsigned i = 0; i < ARRAY_SIZE(frames); i++) {
        assert_same(out.frames->pdata[i], frames[i]);
        g_byte_array_unref(frames[i]);
    }
    g_assert_cmpuint(out.last.flags, ==, NET_CSUM_GOOD);
    net_merge_free(m);
    g_ptr_array_unref(out.frames);
}

/* A card that cannot gets what it always got. */
static void test_merge_unable(void)
{
    static const unsigned abilities[] = {0, NET_CAN_CSUM, NET_CAN_TSO4, NET_CAN_CSUM | NET_CAN_TSO6};
    Shape s = {.flags = 0x10};
    uint8_t data[1000] = {0};
    for (unsigned i = 0; i < ARRAY_SIZE(abilities); i++) {
        Out out = out_new();
        NetMerge *m = net_merge_new(collect, &out);
        net_merge_set_abilities(m, abilities[i]);
        for (unsigned k = 0; k < 3; k++) {
            g_autoptr(GByteArray) frame = frame_make(&s, data, sizeof data, k, k * 1000, 0x10);
            merge_add(m, frame);
            g_assert_cmpuint(out.frames->len, ==, k + 1);
            assert_same(out.frames->pdata[k], frame);
            g_assert_cmpuint(out.last.flags, ==, abilities[i] & NET_CAN_CSUM ? NET_CSUM_GOOD : 0);
        }
        net_merge_free(m);
        g_ptr_array_unref(out.frames);
    }
}

static void test_merge_nonsense(void)
{
    Out out = out_new();
    NetMerge *m = net_merge_new(collect, &out);
    net_merge_set_abilities(m, ALL);
    for (unsigned i = 0; i < 20000; i++) {
        Shape s = {.v6 = g_test_rand_bit(), .options = g_test_rand_int_range(0, 11) * 4};
        uint8_t data[64] = {0};
        g_autoptr(GByteArray) frame = frame_make(&s, data, g_test_rand_int_range(0, 64), 0, i * 64, 0x10);
        for (unsigned k = g_test_rand_int_range(0, 3); k--;)
            frame->data[g_test_rand_int_range(0, MIN(frame->len, 80))] = g_test_rand_int();
        g_byte_array_set_size(frame, g_test_rand_int_range(0, frame->len + 1));
        merge_add(m, frame);
        g_ptr_array_set_size(out.frames, 0);
    }
    net_merge_free(m);
    g_ptr_array_unref(out.frames);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/net-offload/checksum", test_checksum);
    g_test_add_func("/net-offload/checksum-zero", test_checksum_zero);
    g_test_add_func("/net-offload/tcp", test_tcp);
    g_test_add_func("/net-offload/udp-segments", test_udp_segments);
    g_test_add_func("/net-offload/fragments", test_fragments);
    g_test_add_func("/net-offload/passed-on", test_passed_on);
    g_test_add_func("/net-offload/complete", test_complete);
    g_test_add_func("/net-offload/nonsense", test_nonsense);
    g_test_add_func("/net-offload/merge", test_merge);
    g_test_add_func("/net-offload/merge-not", test_merge_not);
    g_test_add_func("/net-offload/merge-unable", test_merge_unable);
    g_test_add_func("/net-offload/merge-nonsense", test_merge_nonsense);
    return g_test_run();
}
