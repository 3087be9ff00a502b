/*
 * virtio-net against a driver in this test and a peer on its network: configuration, both directions, mergeable
 * buffers, lack of them, the queue of commands, the filter, several pairs, saves in mid-traffic, and drivers that do
 * what none should.
 */
#include "hw/virtio/virtio_net.h"

#include "backends/net/net.h"
#include "core/error.h"
#include "core/log.h"
#include "hw/virtio/virtio_net_private.h"
#include "tests/unit/virtio_split_driver.h"

enum { BUFFER = 2048, FRAMES_MAX = 64 };

typedef struct Fixture {
    Driver d;
    NetBackend *peer;
    unsigned received;            /* frames that the peer got */
    size_t size[FRAMES_MAX];
    uint8_t first[FRAMES_MAX];    /* byte 14 of each */
    uint8_t last[NET_FRAME_MAX];
    NetOffload offload;
    uint64_t buffers;             /* GPA of buffers to receive */
    uint64_t tx, control;
} Fixture;

static const uint8_t card_mac[6] = { 0x52, 0x54, 0, 1, 2, 3 };
static const uint8_t peer_mac[6] = { 0x52, 0x54, 0, 9, 9, 9 };

/* ---- the peer ---- */

static bool peer_can(void *opaque) { (void)opaque; return true; }

static void peer_receive(void *opaque, const struct iovec *iov, unsigned count, const NetOffload *offload)
{
    Fixture *f = opaque;
    size_t size = net_iov_copy(iov, count, 0, f->last, sizeof f->last);

    if (f->received < FRAMES_MAX) {
        f->size[f->received] = size;
        f->first[f->received] = f->last[14];
    }
    f->received++;
    f->offload = *offload;
}

static const NetUser peer_user = { .can_receive = peer_can, .receive = peer_receive };
enum { ALL_ABILITIES = NET_CAN_CSUM | NET_CAN_TSO4 | NET_CAN_TSO6 | NET_CAN_UFO | NET_CAN_ECN | NET_CAN_USO };

static void peer_send(Fixture *f, const uint8_t *dest, unsigned ethertype, size_t size, uint8_t mark)
{
    g_autofree uint8_t *frame = g_malloc(size);
    memset(frame, mark, size);
    memcpy(frame, dest, 6);
    memcpy(frame + 6, peer_mac, 6);
    st16be(frame + 12, ethertype);
    net_send(f->peer, &(struct iovec) { frame, size }, 1, NULL);
    driver_settle(&f->d);
}

/* ---- the machine ---- */

static void make(Fixture *f, const char *options)
{
    GError *err = NULL;
    g_auto(GStrv) words = g_strsplit(options, ",", -1);

    driver_machine(&f->d);
    g_assert_true(net_open(f->d.m, "hubport,id=card,hubid=0", &err));
    g_assert_true(net_open(f->d.m, "hubport,id=peer,hubid=0", &err));
    f->peer = net_find(f->d.m, "peer");
    g_assert_true(net_attach(f->peer, "peer", &peer_user, f, &err));
    net_set_abilities(f->peer, ALL_ABILITIES);
    Device *dev = device_new(f->d.m, &virtio_net_type, "net");
    g_assert_true(device_set(dev, "netdev", "card", &err));
    g_assert_true(device_set(dev, "mac", "52:54:00:01:02:03", &err));
    for (char **w = words; *w && **w; w += 2)
        g_assert_true(device_set(dev, w[0], w[1], &err));
    g_assert_true(device_create(dev, &err));
    g_assert_no_error(err);
    driver_attach(&f->d, dev);
    f->received = 0;
}

static void finish(Fixture *f)
{
    net_detach(f->peer);
    driver_remove_devices(&f->d);
    net_close_all(f->d.m);
    driver_exit(&f->d);
}

/* Features, and the queues of `pairs`; control behind them. */
static void start(Fixture *f, uint64_t features, unsigned pairs)
{
    Driver *d = &f->d;

    d->next_free = 4096;
    driver_negotiate(d, features);
    for (unsigned n = 0; n < 2 * pairs; n++)
        driver_queue(d, n, 64);
    if (features >> NET_F_CTRL_VQ & 1)
        driver_queue(d, 2 * pairs, 0);
    f->buffers = driver_alloc(d, 256 * BUFFER);
    f->tx = driver_alloc(d, 128 * 1024);
    f->control = driver_alloc(d, 64 * 1024);
    driver_ok(d);
}

static void give_buffers(Fixture *f, unsigned n, unsigned count, unsigned size)
{
    for (unsigned k = 0; k < count; k++) {
        unsigned slot = f->d.queue[n].free;
        driver_add(&f->d, n, &(DriverPiece) { f->buffers + (n / 2 * 64 + slot) * BUFFER, size }, 0, 1);
    }
    driver_kick(&f->d, n);
    driver_settle(&f->d);
}

static uint64_t buffer_of(Fixture *f, unsigned n, unsigned head) { return f->buffers + (n / 2 * 64 + head) * BUFFER; }

static void send(Fixture *f, unsigned n, const uint8_t *header, const uint8_t *frame, size_t size, bool kick)
{
    uint64_t at = f->tx + f->d.queue[n].free / 2 % 32 * 4096;
    as_write_bytes(f->d.m->memory, at, header, NET_HEADER_SIZE);
    as_write_bytes(f->d.m->memory, at + 64, frame, size);
    driver_add(&f->d, n, (DriverPiece[]) { { at, NET_HEADER_SIZE }, { at + 64, size } }, 2, 0);
    if (kick) {
        driver_kick(&f->d, n);
        driver_settle(&f->d);
    }
}

static const uint8_t no_header[NET_HEADER_SIZE];

static void frame_make(uint8_t *frame, size_t size, uint8_t mark)
{
    memset(frame, mark, size);
    memcpy(frame, peer_mac, 6);
    memcpy(frame + 6, card_mac, 6);
    st16be(frame + 12, 0x88b5); /* for experiments (IEEE 802) */
}

/* A command; true: it was right. */
static bool command(Fixture *f, unsigned n, unsigned class, unsigned command, const void *data, size_t size)
{
    Driver *d = &f->d;
    uint32_t written = 0;

    driver_write(d, f->control, class, 1);
    driver_write(d, f->control + 1, command, 1);
    as_write_bytes(d->m->memory, f->control + 16, data, size);
    driver_write(d, f->control + 60000, 0xee, 1);
    driver_add(d, n, (DriverPiece[]) { { f->control, 2 }, { f->control + 16, size }, { f->control + 60000, 1 } },
               size ? 2 : 1, 1);
    if (!size) /* the pieces are then header and answer */
        driver_describe(d, &d->queue[n], (d->queue[n].free + d->queue[n].size - 1) % d->queue[n].size,
                        &(DriverPiece) { f->control + 60000, 1 }, 2);
    driver_kick(d, n);
    driver_settle(d);
    g_assert_true(driver_take(d, n, NULL, &written));
    g_assert_cmpuint(written, ==, 1);
    return driver_read(d, f->control + 60000, 1) == 0;
}

/* ---- what it is ---- */

static void test_identity(void)
{
    Fixture f = { 0 };
    make(&f, "queues,3,host_mtu,1400,speed,1000,duplex,full");
    Driver *d = &f.d;

    g_assert_cmpuint(driver_config(d, PCI_VENDOR_ID, 2), ==, 0x1af4);
    g_assert_cmpuint(driver_config(d, PCI_DEVICE_ID, 2), ==, 0x1000); /* transitional (4.1.2.1) */
    g_assert_cmpuint(driver_config(d, PCI_CLASS, 2), ==, 0);
    g_assert_cmpuint(driver_config(d, 0x0a, 2), ==, 0x0200);
    g_assert_cmpuint(driver_common(d, 18, 2), ==, 7);
    uint64_t offered = driver_negotiate(d, 0);
    static const uint8_t bits[] = { 0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
                                    23, 54, 55, 56, 63 };
    for (unsigned k = 0; k < ARRAY_SIZE(bits); k++)
        g_assert_true(offered >> bits[k] & 1);
    for (unsigned k = 0; k < 6; k++)
        g_assert_cmpuint(driver_device_config(d, k, 1), ==, card_mac[k]);
    g_assert_cmpuint(driver_device_config(d, 6, 2), ==, 1);
    g_assert_cmpuint(driver_device_config(d, 8, 2), ==, 3);
    g_assert_cmpuint(driver_device_config(d, 10, 2), ==, 1400);
    g_assert_cmpuint(driver_device_config(d, 12, 4), ==, 1000);
    g_assert_cmpuint(driver_device_config(d, 16, 1), ==, 1);
    finish(&f);
}

static void test_switches(void)
{
    Fixture f = { 0 };
    make(&f, "csum,off,guest_csum,off,ctrl_vq,off,mrg_rxbuf,off,queues,2");
    uint64_t offered = driver_negotiate(&f.d, 0);
    /* and what is nothing without them (5.1.3.1) */
    static const uint8_t off[] = { 0, 1, 2, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 18, 19, 20, 21, 22, 23, 54, 55,
                                   56 };
    for (unsigned k = 0; k < ARRAY_SIZE(off); k++)
        g_assert_false(offered >> off[k] & 1);
    g_assert_true(offered >> NET_F_STATUS & 1);
    finish(&f);
}

static void refuse(const char *property, const char *value, const char *words)
{
    GError *err = NULL;
    Driver d;

    driver_machine(&d);
    Device *dev = device_new(d.m, &virtio_net_type, "net");
    if (device_set(dev, property, value, &err))
        g_assert_false(device_create(dev, &err));
    else
        device_remove(dev);
    if (!strstr(err->message, words))
        g_error("%s", err->message);
    g_clear_error(&err);
    driver_exit(&d);
}

static void test_mistakes(void)
{
    refuse("mac", "01:00:00:00:00:01", "group");
    refuse("rx_queue_size", "100", "powers of 2");
    refuse("tx_queue_size", "2048", "1024");
    refuse("duplex", "both", "half or full");
    refuse("queues", "32", "31");
}

/* ---- sending ---- */

static void test_send(void)
{
    Fixture f = { 0 };
    uint8_t frame[1514];
    unsigned head = 0;

    make(&f, "");
    start(&f, BIT(NET_F_MAC), 1);
    frame_make(frame, sizeof frame, 0x55);
    send(&f, 1, no_header, frame, sizeof frame, true);
    g_assert_cmpuint(f.received, ==, 1);
    g_assert_cmpuint(f.size[0], ==, sizeof frame);
    g_assert_cmpmem(f.last, sizeof frame, frame, sizeof frame);
    g_assert_true(driver_take(&f.d, 1, &head, NULL));
    g_assert_cmpuint(head, ==, 0);
    g_assert_cmpuint(f.d.interrupts, ==, 1);
    g_assert_cmpuint(driver_isr(&f.d), ==, 1);
    g_assert_cmpint(f.d.level, ==, 0);
    /* Several at once are one interrupt. */
    for (unsigned k = 0; k < 20; k++) {
        frame[14] = k;
        send(&f, 1, no_header, frame, 60 + k, k == 19);
    }
    g_assert_cmpuint(f.received, ==, 21);
    for (unsigned k = 0; k < 20; k++) {
        g_assert_cmpuint(f.size[1 + k], ==, 60 + k);
        g_assert_cmpuint(f.first[1 + k], ==, k);
        g_assert_true(driver_take(&f.d, 1, NULL, NULL));
    }
    g_assert_cmpuint(f.d.interrupts, ==, 2);
    finish(&f);
}

/* Header and frame in one piece, or in pieces of a byte: the layout is free (2.7.4). */
static void test_send_layouts(void)
{
    Fixture f = { 0 };
    uint8_t bytes[NET_HEADER_SIZE + 60] = { 0 };
    DriverPiece piece[sizeof bytes];

    make(&f, "");
    start(&f, BIT(NET_F_MAC), 1);
    frame_make(bytes + NET_HEADER_SIZE, 60, 0x77);
    as_write_bytes(f.d.m->memory, f.tx, bytes, sizeof bytes);
    driver_add(&f.d, 1, &(DriverPiece) { f.tx, sizeof bytes }, 1, 0);
    for (unsigned k = 0; k < 30; k++)
        piece[k] = (DriverPiece) { f.tx + k, 1 };
    piece[30] = (DriverPiece) { f.tx + 30, sizeof bytes - 30 };
    driver_add(&f.d, 1, piece, 31, 0);
    driver_kick(&f.d, 1);
    driver_settle(&f.d);
    g_assert_cmpuint(f.received, ==, 2);
    g_assert_cmpuint(f.size[1], ==, 60);
    g_assert_cmpmem(f.last, 60, bytes + NET_HEADER_SIZE, 60);
    finish(&f);
}

static void test_send_offload(void)
{
    Fixture f = { 0 };
    uint8_t frame[3000], header[NET_HEADER_SIZE] = { NET_NEEDS_CSUM, NET_GSO_TCP4 };

    make(&f, "");
    start(&f, BIT(NET_F_CSUM) | BIT(NET_F_HOST_TSO4), 1);
    st16le(header + 2, 54);
    st16le(header + 4, 1000);
    st16le(header + 6, 34);
    st16le(header + 8, 16);
    frame_make(frame, sizeof frame, 0);
    send(&f, 1, header, frame, sizeof frame, true);
    g_assert_cmpuint(f.received, ==, 1);
    g_assert_cmpuint(f.offload.flags, ==, NET_NEEDS_CSUM);
    g_assert_cmpuint(f.offload.gso, ==, NET_GSO_TCP4);
    g_assert_cmpuint(f.offload.header_size, ==, 54);
    g_assert_cmpuint(f.offload.gso_size, ==, 1000);
    g_assert_cmpuint(f.offload.csum_start, ==, 34);
    g_assert_cmpuint(f.offload.csum_offset, ==, 16);
    /* A checksum behind the frame, a kind of segmentation that is none, segments of nothing: not sent, but taken. */
    st16le(header + 6, 2999);
    send(&f, 1, header, frame, sizeof frame, true);
    header[0] = 0;
    header[1] = 2;
    send(&f, 1, header, frame, sizeof frame, true);
    header[1] = NET_GSO_TCP6;
    st16le(header + 4, 0);
    send(&f, 1, header, frame, sizeof frame, true);
    send(&f, 1, no_header, frame, 13, true);
    g_assert_cmpuint(f.received, ==, 1);
    for (unsigned k = 0; k < 5; k++)
        g_assert_true(driver_take(&f.d, 1, NULL, NULL));
    finish(&f);
}

/* ---- receiving ---- */

static void test_receive(void)
{
    Fixture f = { 0 };
    uint8_t bytes[NET_HEADER_SIZE + 200];
    unsigned head = 0;
    uint32_t written = 0;

    make(&f, "");
    start(&f, BIT(NET_F_MAC), 1);
    give_buffers(&f, 0, 4, BUFFER);
    peer_send(&f, card_mac, 0x88b5, 200, 0x42);
    g_assert_true(driver_take(&f.d, 0, &head, &written));
    g_assert_cmpuint(written, ==, sizeof bytes);
    as_read_bytes(f.d.m->memory, buffer_of(&f, 0, head), bytes, sizeof bytes);
    g_assert_cmpmem(bytes, 10, no_header, 10);
    g_assert_cmpuint(ld16le(bytes + 10), ==, 1); /* num_buffers, also without MRG_RXBUF (5.1.6.4.1) */
    g_assert_cmpmem(bytes + NET_HEADER_SIZE, 6, card_mac, 6);
    g_assert_cmpuint(bytes[NET_HEADER_SIZE + 199], ==, 0x42);
    g_assert_cmpuint(f.d.interrupts, ==, 1);
    finish(&f);
}

/* A frame of many buffers is one for the driver to put together. */
static void test_mergeable(void)
{
    Fixture f = { 0 };
    uint32_t written = 0, total = 0;
    unsigned head = 0, buffers = 0;

    make(&f, "");
    start(&f, BIT(NET_F_MRG_RXBUF), 1);
    give_buffers(&f, 0, 40, 500);
    peer_send(&f, card_mac, 0x88b5, 5000, 0x11);
    while (driver_take(&f.d, 0, &head, &written)) {
        if (!buffers)
            g_assert_cmpuint(driver_read(&f.d, buffer_of(&f, 0, head) + 10, 2), ==, 11);
        g_assert_cmpuint(written, <=, 500);
        total += written;
        buffers++;
    }
    g_assert_cmpuint(buffers, ==, 11);
    g_assert_cmpuint(total, ==, 5000 + NET_HEADER_SIZE);
    g_assert_cmpuint(f.d.interrupts, ==, 1);
    finish(&f);
}

/* Too few buffers: it waits, and what comes after it waits too, in order; nothing is lost. */
static void test_no_room(void)
{
    Fixture f = { 0 };
    unsigned head = 0;
    uint32_t written = 0;

    make(&f, "");
    start(&f, BIT(NET_F_MRG_RXBUF), 1);
    give_buffers(&f, 0, 2, 500);
    peer_send(&f, card_mac, 0x88b5, 2000, 1);
    for (unsigned k = 0; k < 5; k++)
        peer_send(&f, card_mac, 0x88b5, 100, 2 + k);
    g_assert_false(driver_take(&f.d, 0, &head, &written));
    give_buffers(&f, 0, 2, 500);
    g_assert_false(driver_take(&f.d, 0, &head, &written));
    give_buffers(&f, 0, 3, 500);
    for (unsigned k = 0; k < 5; k++)
        g_assert_true(driver_take(&f.d, 0, &head, &written));
    g_assert_true(driver_take(&f.d, 0, &head, &written));
    g_assert_cmpuint(driver_read(&f.d, buffer_of(&f, 0, head) + NET_HEADER_SIZE + 14, 1), ==, 2);
    give_buffers(&f, 0, 10, 500);
    for (unsigned k = 1; k < 5; k++) {
        g_assert_true(driver_take(&f.d, 0, &head, &written));
        g_assert_cmpuint(driver_read(&f.d, buffer_of(&f, 0, head) + NET_HEADER_SIZE + 14, 1), ==, 2 + k);
    }
    finish(&f);
}

/* What will never fit does not hold up the rest. */
static void test_never_fits(void)
{
    Fixture f = { 0 };
    uint32_t written = 0;

    make(&f, "");
    start(&f, BIT(NET_F_MAC), 1);
    give_buffers(&f, 0, 4, 500);
    peer_send(&f, card_mac, 0x88b5, 1000, 1);
    peer_send(&f, card_mac, 0x88b5, 100, 2);
    g_assert_true(driver_take(&f.d, 0, NULL, &written));
    g_assert_cmpuint(written, ==, 100 + NET_HEADER_SIZE);
    start(&f, BIT(NET_F_MRG_RXBUF), 1);
    give_buffers(&f, 0, 64, 15);
    peer_send(&f, card_mac, 0x88b5, 1500, 1);
    peer_send(&f, card_mac, 0x88b5, 100, 2);
    g_assert_true(driver_take(&f.d, 0, NULL, &written));
    g_assert_cmpuint(written, ==, 15);
    finish(&f);
}

/* No driver yet: frames wait for a while. */
static void test_before_driver(void)
{
    Fixture f = { 0 };

    make(&f, "");
    peer_send(&f, card_mac, 0x88b5, 100, 1);
    start(&f, BIT(NET_F_MAC), 1);
    give_buffers(&f, 0, 4, BUFFER);
    g_assert_true(driver_take(&f.d, 0, NULL, NULL));
    finish(&f);
}

/* ---- commands ---- */

static bool gets(Fixture *f, const uint8_t *dest, unsigned ethertype)
{
    bool got = false;
    give_buffers(f, 0, 1, BUFFER);
    peer_send(f, dest, ethertype, 100, 0x01);
    while (driver_take(&f->d, 0, NULL, NULL))
        got = true;
    return got;
}

static const uint64_t control_features = BIT(NET_F_CTRL_VQ) | BIT(NET_F_CTRL_RX) | BIT(NET_F_CTRL_RX_EXTRA) |
                                         BIT(NET_F_CTRL_VLAN) | BIT(NET_F_CTRL_MAC_ADDR) |
                                         BIT(NET_F_CTRL_GUEST_OFFLOADS);

static void test_filter(void)
{
    static const uint8_t off[] = { 0 }, on[] = { 1 };
    static const uint8_t broadcast[] = { 255, 255, 255, 255, 255, 255 }, multicast[] = { 1, 0, 0x5e, 0, 0, 1 };
    static const uint8_t other[] = { 0x52, 0x54, 0, 7, 7, 7 }, new_mac[] = { 0x52, 0x54, 0, 8, 8, 8 };
    static const uint8_t table[] = { 1, 0, 0, 0, 0x52, 0x54, 0, 7, 7, 7, 1, 0, 0, 0, 1, 0, 0x5e, 0, 0, 1 };
    Fixture f = { 0 };

    make(&f, "");
    start(&f, control_features, 1);
    g_assert_true(gets(&f, other, 0x88b5)); /* promiscuous until told otherwise */
    g_assert_true(command(&f, 2, 0, 0, off, 1));
    g_assert_true(gets(&f, card_mac, 0x88b5));
    g_assert_true(gets(&f, broadcast, 0x88b5));
    g_assert_false(gets(&f, other, 0x88b5));
    g_assert_false(gets(&f, multicast, 0x88b5));
    g_assert_true(command(&f, 2, 0, 1, on, 1)); /* all multicast */
    g_assert_true(gets(&f, multicast, 0x88b5));
    g_assert_true(command(&f, 2, 0, 1, off, 1));
    g_assert_true(command(&f, 2, 1, 0, table, sizeof table));
    g_assert_true(gets(&f, other, 0x88b5));
    g_assert_true(gets(&f, multicast, 0x88b5));
    g_assert_true(command(&f, 2, 0, 5, on, 1)); /* no broadcast */
    g_assert_false(gets(&f, broadcast, 0x88b5));
    g_assert_true(command(&f, 2, 0, 4, on, 1)); /* no unicast */
    g_assert_false(gets(&f, card_mac, 0x88b5));
    g_assert_true(command(&f, 2, 0, 4, off, 1));
    g_assert_true(command(&f, 2, 1, 1, new_mac, 6));
    g_assert_false(gets(&f, card_mac, 0x88b5));
    g_assert_true(gets(&f, new_mac, 0x88b5));
    g_assert_cmpuint(driver_device_config(&f.d, 3, 1), ==, 8);
    /* VLAN 0x101 of the mark's bytes */
    g_assert_false(gets(&f, new_mac, 0x8100));
    g_assert_true(command(&f, 2, 2, 0, "\x01\x01", 2));
    g_assert_true(gets(&f, new_mac, 0x8100));
    g_assert_true(command(&f, 2, 2, 1, "\x01\x01", 2));
    g_assert_false(gets(&f, new_mac, 0x8100));
    /* A reset forgets it all. */
    start(&f, control_features, 1);
    g_assert_true(gets(&f, other, 0x8100));
    g_assert_cmpuint(driver_device_config(&f.d, 3, 1), ==, 1);
    finish(&f);
}

static void test_bad_commands(void)
{
    static const uint8_t zeros[500];
    Fixture f = { 0 };

    make(&f, "");
    start(&f, control_features, 1);
    g_assert_false(command(&f, 2, 0, 0, zeros, 2));
    g_assert_false(command(&f, 2, 0, 6, zeros, 1));
    g_assert_false(command(&f, 2, 9, 0, zeros, 1));
    g_assert_false(command(&f, 2, 0, 0, zeros, 0));
    g_assert_false(command(&f, 2, 1, 0, "\xff\xff\xff\xff", 4));
    g_assert_false(command(&f, 2, 1, 0, "\1\0\0\0", 4));
    g_assert_false(command(&f, 2, 1, 0, zeros, 7));
    g_assert_true(command(&f, 2, 1, 0, zeros, 8));
    g_assert_false(command(&f, 2, 1, 1, zeros, 5));
    g_assert_false(command(&f, 2, 2, 0, "\0\x10", 2));
    g_assert_false(command(&f, 2, 3, 0, zeros, 0)); /* nothing was announced */
    g_assert_false(command(&f, 2, 4, 0, "\1\0", 2)); /* MQ was not agreed on */
    g_assert_false(command(&f, 2, 5, 0, "\x80\0\0\0\0\0\0\0", 8)); /* nor was GUEST_TSO4 */
    g_assert_true(command(&f, 2, 5, 0, zeros, 8));
    finish(&f);
}

/* More addresses than there is room for: all of their kind. */
static void test_filter_overflow(void)
{
    static const uint8_t off[] = { 0 }, other[] = { 0x52, 0x54, 0, 7, 7, 7 }, multicast[] = { 1, 0, 0x5e, 0, 0, 1 };
    uint8_t table[4 + 65 * 6 + 4] = { 65 };
    Fixture f = { 0 };

    make(&f, "");
    start(&f, control_features, 1);
    g_assert_true(command(&f, 2, 0, 0, off, 1));
    g_assert_true(command(&f, 2, 1, 0, table, sizeof table));
    g_assert_true(gets(&f, other, 0x88b5));
    g_assert_false(gets(&f, multicast, 0x88b5));
    finish(&f);
}

/* A TCP segment with this port of the guest. */
static size_t tcp_make(uint8_t *frame, unsigned port, bool to_guest)
{
    memset(frame, 0, 60);
    memcpy(frame, to_guest ? card_mac : peer_mac, 6);
    memcpy(frame + 6, to_guest ? peer_mac : card_mac, 6);
    st16be(frame + 12, 0x0800);
    frame[14] = 0x45;
    frame[23] = 6;
    st32be(frame + (to_guest ? 30 : 26), 0x0a00020f);
    st32be(frame + (to_guest ? 26 : 30), 0x0a000202);
    st16be(frame + (to_guest ? 36 : 34), port);
    st16be(frame + (to_guest ? 34 : 36), 80);
    return 60;
}

/* Answers come by the pair that the flow was sent by. */
static void test_pairs(void)
{
    Fixture f = { 0 };
    uint8_t frame[60];

    make(&f, "queues,4");
    start(&f, BIT(NET_F_MQ) | BIT(NET_F_CTRL_VQ), 4);
    g_assert_false(command(&f, 8, 4, 0, "\0\0", 2));
    g_assert_false(command(&f, 8, 4, 0, "\5\0", 2));
    g_assert_true(command(&f, 8, 4, 0, "\4\0", 2));
    for (unsigned pair = 0; pair < 4; pair++)
        give_buffers(&f, 2 * pair, 16, BUFFER);
    for (unsigned k = 0; k < 8; k++) {
        unsigned pair = (k * 3 + 1) % 4;
        tcp_make(frame, 40000 + k, false);
        send(&f, 2 * pair + 1, no_header, frame, sizeof frame, true);
        tcp_make(frame, 40000 + k, true);
        net_send(f.peer, &(struct iovec) { frame, sizeof frame }, 1, NULL);
        driver_settle(&f.d);
        g_assert_true(driver_take(&f.d, 2 * pair, NULL, NULL));
    }
    finish(&f);
}

/* A driver that knows nothing of several pairs has its commands behind the first (5.1.2). */
static void test_pairs_unused(void)
{
    Fixture f = { 0 };

    make(&f, "queues,4");
    start(&f, BIT(NET_F_CTRL_VQ) | BIT(NET_F_CTRL_RX), 1);
    g_assert_true(command(&f, 2, 0, 0, "\1", 1));
    finish(&f);
}

static void test_link(void)
{
    Fixture f = { 0 };

    make(&f, "");
    start(&f, BIT(NET_F_STATUS), 1);
    net_set_link(net_find(f.d.m, "card"), false);
    g_assert_cmpuint(driver_device_config(&f.d, 6, 2), ==, 0);
    g_assert_cmpuint(driver_isr(&f.d), ==, 2);
    net_set_link(net_find(f.d.m, "card"), true);
    g_assert_cmpuint(driver_device_config(&f.d, 6, 2), ==, 1);
    finish(&f);
}

/* ---- saving ---- */

/* The machine's state into another machine of the same make, where the driver goes on. */
static void move(Fixture *from, Fixture *to, const char *options)
{
    GError *err = NULL;
    GByteArray *saved = machine_save(from->d.m);

    make(to, options);
    g_assert_true(machine_load(to->d.m, saved->data, saved->len, &err));
    g_assert_no_error(err);
    g_byte_array_unref(saved);
    memcpy(to->d.queue, from->d.queue, sizeof to->d.queue);
    to->d.features = from->d.features;
    to->buffers = from->buffers;
    to->tx = from->tx;
    to->control = from->control;
    driver_settle(&to->d);
}

/* Frames that are in the ring but not sent, one that waits for buffers, and a filter. */
static void test_save(void)
{
    static const uint8_t off[] = { 0 }, other[] = { 0x52, 0x54, 0, 7, 7, 7 };
    Fixture a = { 0 }, b = { 0 };
    uint8_t frame[100];
    uint32_t written = 0, total = 0;

    make(&a, "");
    start(&a, control_features | BIT(NET_F_MRG_RXBUF) | BIT(NET_F_STATUS) | BIT(NET_F_GUEST_ANNOUNCE), 1);
    g_assert_true(command(&a, 2, 0, 0, off, 1));
    give_buffers(&a, 0, 2, 500);
    peer_send(&a, card_mac, 0x88b5, 2000, 0x33);
    g_assert_false(driver_take(&a.d, 0, NULL, NULL));
    frame_make(frame, sizeof frame, 0x66);
    for (unsigned k = 0; k < 3; k++)
        send(&a, 1, no_header, frame, sizeof frame, false);
    driver_kick(&a.d, 1); /* its timer has not come yet */
    g_assert_cmpuint(a.received, ==, 0);
    move(&a, &b, "");
    g_assert_cmpuint(b.received, ==, 3);
    give_buffers(&b, 0, 10, 500);
    while (driver_take(&b.d, 0, NULL, &written))
        total += written;
    g_assert_cmpuint(total, ==, 2000 + NET_HEADER_SIZE);
    g_assert_false(gets(&b, other, 0x88b5));
    /* It is to say where it is now (5.1.6.5.4). */
    g_assert_cmpuint(driver_device_config(&b.d, 6, 2), ==, 3);
    g_assert_true(command(&b, 2, 3, 0, NULL, 0));
    g_assert_cmpuint(driver_device_config(&b.d, 6, 2), ==, 1);
    finish(&a);
    finish(&b);
}

static void test_load_refused(void)
{
    Fixture a = { 0 }, b = { 0 };
    GError *err = NULL;

    make(&a, "queues,2");
    start(&a, BIT(NET_F_MQ) | BIT(NET_F_CTRL_VQ), 2);
    g_assert_true(command(&a, 4, 4, 0, "\2\0", 2));
    GByteArray *saved = machine_save(a.d.m);
    make(&b, "");
    g_assert_false(machine_load(b.d.m, saved->data, saved->len, &err));
    g_assert_nonnull(strstr(err->message, "net"));
    g_clear_error(&err);
    g_byte_array_unref(saved);
    finish(&a);
    finish(&b);
}

/* ---- harm ---- */

static void test_header_does_not_fit(void)
{
    Fixture f = { 0 };

    make(&f, "");
    start(&f, BIT(NET_F_MRG_RXBUF), 1);
    give_buffers(&f, 0, 64, 8);
    peer_send(&f, card_mac, 0x88b5, 100, 1);
    g_assert_cmpuint(driver_status(&f.d) & 0x40, ==, 0x40); /* it needs a reset */
    start(&f, BIT(NET_F_MRG_RXBUF), 1);
    give_buffers(&f, 0, 4, BUFFER);
    peer_send(&f, card_mac, 0x88b5, 100, 1);
    g_assert_true(driver_take(&f.d, 0, NULL, NULL));
    finish(&f);
}

static uint64_t any_address(GRand *rand)
{
    static const uint64_t bases[] = { 0, 0x1000, DRIVER_RAM - 64, DRIVER_BAR, UINT64_MAX - 100, 0x100000 };
    return bases[g_rand_int(rand) % ARRAY_SIZE(bases)] + g_rand_int(rand) % 4096;
}

static void disturb(Fixture *f, GRand *rand)
{
    Driver *d = &f->d;
    DriverQueue *q = &d->queue[g_rand_int(rand) % 3];
    static const uint32_t sizes[] = { 0, 1, 11, 12, 60, 2048, 65536, UINT32_MAX };
    uint32_t number = g_rand_int(rand);

    switch (g_rand_int(rand) % 8) {
    case 0: driver_write(d, d->part[COMMON_CFG] + number % 60, g_rand_int(rand), 1 << number % 3); break;
    case 1: driver_write(d, d->part[DEVICE_CFG] + number % 24, g_rand_int(rand), 1 << number % 3); break;
    case 2: driver_kick(d, g_rand_int(rand) % 4); break;
    case 3: peer_send(f, g_rand_boolean(rand) ? card_mac : peer_mac, 0x8100, 14 + g_rand_int(rand) % 9000, 5); break;
    case 4: driver_write(d, q->avail + 2, g_rand_int(rand) % 4 ? ++q->added : g_rand_int(rand), 2); break;
    case 5: driver_write(d, q->avail + 4 + 2 * (number % q->size), g_rand_int(rand) % (q->size + 1), 2); break;
    case 6: driver_settle(d); break;
    default: {
        DriverPiece p = { any_address(rand), sizes[g_rand_int(rand) % ARRAY_SIZE(sizes)] };
        driver_describe(d, q, g_rand_int(rand) % q->size, &p, g_rand_int(rand) % 8);
    }
    }
}

static void test_random(void)
{
    GRand *rand = g_rand_new_with_seed(5);
    Fixture f = { 0 };

    make(&f, "");
    for (unsigned round = 0; round < 60; round++) {
        start(&f, control_features | (round & 1 ? BIT(NET_F_MRG_RXBUF) : 0) | (round & 2 ? BIT(29) | BIT(28) : 0), 1);
        give_buffers(&f, 0, 20, BUFFER);
        for (unsigned k = 0; k < 300; k++)
            disturb(&f, rand);
    }
    /* And it works again. */
    start(&f, BIT(NET_F_MAC), 1);
    give_buffers(&f, 0, 4, BUFFER);
    peer_send(&f, card_mac, 0x88b5, 100, 1);
    g_assert_true(driver_take(&f.d, 0, NULL, NULL));
    finish(&f);
    g_rand_free(rand);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-net/identity", test_identity);
    g_test_add_func("/virtio-net/switches", test_switches);
    g_test_add_func("/virtio-net/mistakes", test_mistakes);
    g_test_add_func("/virtio-net/send", test_send);
    g_test_add_func("/virtio-net/send-layouts", test_send_layouts);
    g_test_add_func("/virtio-net/send-offload", test_send_offload);
    g_test_add_func("/virtio-net/receive", test_receive);
    g_test_add_func("/virtio-net/mergeable", test_mergeable);
    g_test_add_func("/virtio-net/no-room", test_no_room);
    g_test_add_func("/virtio-net/never-fits", test_never_fits);
    g_test_add_func("/virtio-net/before-driver", test_before_driver);
    g_test_add_func("/virtio-net/filter", test_filter);
    g_test_add_func("/virtio-net/bad-commands", test_bad_commands);
    g_test_add_func("/virtio-net/filter-overflow", test_filter_overflow);
    g_test_add_func("/virtio-net/pairs", test_pairs);
    g_test_add_func("/virtio-net/pairs-unused", test_pairs_unused);
    g_test_add_func("/virtio-net/link", test_link);
    g_test_add_func("/virtio-net/save", test_save);
    g_test_add_func("/virtio-net/load-refused", test_load_refused);
    g_test_add_func("/virtio-net/header-does-not-fit", test_header_does_not_fit);
    g_test_add_func("/virtio-net/random", test_random);
    return g_test_run();
}
