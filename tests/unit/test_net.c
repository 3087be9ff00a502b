/*
 * Networks (backends/net): hubs, sockets, queues, links, captures, notation.
 */
#include "net_card.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/endian.h"

static const char *folder;

static char *in_folder(const char *name)
{
    return g_build_filename(folder, name, NULL);
}

static void bench_end(Bench *b)
{
    net_close_all(b->m);
    bench_exit(b);
}

/* A frame of that size with that number in it; addressed to all. */
static void frame_fill(uint8_t *frame, size_t size, unsigned number)
{
    memset(frame, 0xff, 6);
    for (size_t i = 6; i < size; i++)
        frame[i] = number + i * 7;
    st32be(frame + 14, number);
}

/* ---- hubs ---- */

static void test_hub(void)
{
    Bench b;
    CpuPort port;
    Card c[4];
    bench_init(&b, &port);
    card_init(&c[0], b.m, "hubport,id=a,hubid=1", "a");
    card_init(&c[1], b.m, "hubport,id=b,hubid=1", "b");
    card_init(&c[2], b.m, "hubport,id=c,hubid=2", "c");
    card_init(&c[3], b.m, "hubport,id=d,hubid=1", "d");
    card_send(&c[0], "hello, everybody", 16);
    g_assert_cmpuint(c[0].frames->len, ==, 0);
    g_assert_cmpuint(c[2].frames->len, ==, 0);
    assert_frame(&c[1], 0, "hello, everybody", 16);
    assert_frame(&c[3], 0, "hello, everybody", 16);
    for (unsigned i = 0; i < 4; i++)
        card_exit(&c[i]);
    bench_end(&b);
}

/* Two hubs with two lines between them: a frame goes over each once, and then no further. */
static void test_hub_loop(void)
{
    Bench b;
    CpuPort port;
    Card c[2];
    bench_init(&b, &port);
    card_init(&c[0], b.m, "hubport,id=a,hubid=1", "a");
    card_init(&c[1], b.m, "hubport,id=b,hubid=2", "b");
    for (unsigned i = 0; i < 2; i++) {
        g_autofree char *far = g_strdup_printf("hubport,id=far%u,hubid=2", i);
        g_autofree char *near = g_strdup_printf("hubport,id=near%u,hubid=1,netdev=far%u", i, i);
        g_assert_true(net_open(b.m, far, NULL));
        g_assert_true(net_open(b.m, near, NULL));
    }
    card_send(&c[0], "round and round it goes", 23);
    g_assert_cmpuint(c[1].frames->len, >=, 1);
    g_assert_cmpuint(c[1].frames->len, <=, 4);
    assert_frame(&c[1], 0, "round and round it goes", 23);
    card_exit(&c[0]);
    card_exit(&c[1]);
    bench_end(&b);
}

/* ---- queue and link ---- */

static void test_queue(void)
{
    Bench b;
    CpuPort port;
    Card c[2];
    uint8_t frame[64];
    bench_init(&b, &port);
    card_init(&c[0], b.m, "hubport,id=a,hubid=0", "a");
    card_init(&c[1], b.m, "hubport,id=b,hubid=0", "b");
    c[1].full = true;
    for (unsigned i = 0; i < 5000; i++) {
        frame_fill(frame, sizeof frame, i);
        card_send(&c[0], frame, sizeof frame);
    }
    c[1].full = false;
    net_accept(c[1].net);
    g_assert_cmpuint(c[1].frames->len, ==, 2048);
    for (unsigned i = 0; i < 2048; i++) {
        frame_fill(frame, sizeof frame, i);
        assert_frame(&c[1], i, frame, sizeof frame);
    }
    card_send(&c[0], frame, sizeof frame);
    g_assert_cmpuint(c[1].frames->len, ==, 2049);
    card_exit(&c[0]);
    card_exit(&c[1]);
    bench_end(&b);
}

/* What waits is bounded in bytes too: 8 MiB. */
static void test_queue_bytes(void)
{
    Bench b;
    CpuPort port;
    Card c[2];
    g_autofree uint8_t *frame = g_malloc0(60000);
    bench_init(&b, &port);
    card_init(&c[0], b.m, "hubport,id=a,hubid=0", "a");
    card_init(&c[1], b.m, "hubport,id=b,hubid=0", "b");
    c[1].full = true;
    for (unsigned i = 0; i < 200; i++)
        card_send(&c[0], frame, 60000);
    c[1].full = false;
    net_accept(c[1].net);
    g_assert_cmpuint(c[1].frames->len, ==, (8 << 20) / 60000);
    card_exit(&c[0]);
    card_exit(&c[1]);
    bench_end(&b);
}

static void test_link(void)
{
    Bench b;
    CpuPort port;
    Card c[2];
    bench_init(&b, &port);
    card_init(&c[0], b.m, "hubport,id=a,hubid=0", "a");
    card_init(&c[1], b.m, "hubport,id=b,hubid=0", "b");
    g_assert_true(net_link_up(c[0].net));
    net_set_link(net_find_named(b.m, "b"), false);
    g_assert_false(c[1].link);
    g_assert_true(c[0].link);
    card_send(&c[0], "nobody hears this.", 18);
    card_send(&c[1], "nor is this heard.", 18);
    net_set_link(c[1].net, true);
    g_assert_true(c[1].link);
    card_send(&c[0], "this is heard now.", 18);
    g_assert_cmpuint(c[0].frames->len, ==, 0);
    g_assert_cmpuint(c[1].frames->len, ==, 1);
    g_assert_false(net_link_up(NULL));
    net_send(NULL, NULL, 0, NULL);
    net_accept(NULL);
    card_exit(&c[0]);
    card_exit(&c[1]);
    bench_end(&b);
}

/* A machine that stands still gets nothing; what came meanwhile is there when it goes on. */
static void test_paused(void)
{
    Bench b;
    CpuPort port;
    Card c[2];
    bench_init(&b, &port);
    card_init(&c[0], b.m, "hubport,id=a,hubid=0", "a");
    card_init(&c[1], b.m, "hubport,id=b,hubid=0", "b");
    machine_resume(b.m);
    machine_pause(b.m);
    card_send(&c[0], "wait for it, please", 19);
    g_assert_cmpuint(c[1].frames->len, ==, 0);
    machine_resume(b.m);
    g_assert_cmpuint(c[1].frames->len, ==, 1);
    machine_pause(b.m);
    card_exit(&c[0]);
    card_exit(&c[1]);
    bench_end(&b);
}

/* ---- sockets ---- */

/* Frames of all sizes both ways, and then a row of them while one side has no room. */
static void exchange(Card *a, Card *b, size_t largest, unsigned row)
{
    g_autofree uint8_t *frame = g_malloc(largest);
    unsigned sent = 0;
    for (size_t size = 60; size <= largest; size += 1 + size / 3, sent++) {
        frame_fill(frame, size, size);
        card_send(a, frame, size);
        card_send(b, frame, size);
    }
    card_wait(b, sent);
    card_wait(a, sent);
    unsigned i = 0;
    for (size_t size = 60; size <= largest; size += 1 + size / 3, i++) {
        frame_fill(frame, size, size);
        assert_frame(a, i, frame, size);
        assert_frame(b, i, frame, size);
    }
    b->full = true;
    for (unsigned k = 0; k < row; k++) {
        frame_fill(frame, 1000, k);
        card_send(a, frame, 1000);
    }
    loop_idle(a->m);
    g_assert_cmpuint(b->frames->len, ==, sent);
    b->full = false;
    net_accept(b->net);
    card_wait(b, sent + row);
    for (unsigned k = 0; k < row; k++) {
        frame_fill(frame, 1000, k);
        assert_frame(b, sent + k, frame, 1000);
    }
}

static void pair_exchange(const char *first, const char *second, size_t largest, unsigned row)
{
    Bench b;
    CpuPort port;
    Card c[2];
    bench_init(&b, &port);
    card_init(&c[0], b.m, first, "a");
    card_init(&c[1], b.m, second, "b");
    loop_idle(b.m);
    g_assert_true(net_link_up(c[0].net) && net_link_up(c[1].net));
    exchange(&c[0], &c[1], largest, row);
    card_exit(&c[0]);
    card_exit(&c[1]);
    bench_end(&b);
}

/* A port that is free now. */
static unsigned free_port(int type)
{
    int fd = socket(AF_INET, type, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    g_assert_cmpint(bind(fd, (struct sockaddr *)&a, sizeof a), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&a, &size), ==, 0);
    close(fd);
    return ntohs(a.sin_port);
}

static void test_socket_tcp(void)
{
    unsigned port = free_port(SOCK_STREAM);
    g_autofree char *first = g_strdup_printf("socket,id=a,listen=127.0.0.1:%u", port);
    g_autofree char *second = g_strdup_printf("socket,id=b,connect=127.0.0.1:%u", port);
    pair_exchange(first, second, 65000, 200);
}

static void test_stream_unix(void)
{
    g_autofree char *path = in_folder("lan");
    g_autofree char *first = g_strdup_printf("stream,id=a,server=on,addr.type=unix,addr.path=%s", path);
    g_autofree char *second = g_strdup_printf("stream,id=b,addr.type=unix,addr.path=%s", path);
    pair_exchange(first, second, 65000, 200);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void test_socket_udp(void)
{
    unsigned p = free_port(SOCK_DGRAM), q = free_port(SOCK_DGRAM);
    g_autofree char *first = g_strdup_printf("socket,id=a,udp=127.0.0.1:%u,localaddr=127.0.0.1:%u", q, p);
    g_autofree char *second = g_strdup_printf("dgram,id=b,local.type=inet,local.host=127.0.0.1,local.port=%u,"
                                              "remote.type=inet,remote.host=127.0.0.1,remote.port=%u", q, p);
    pair_exchange(first, second, 9000, 40);
}

static void test_dgram_unix(void)
{
    g_autofree char *p = in_folder("p"), *q = in_folder("q");
    g_autofree char *first = g_strdup_printf("dgram,id=a,local.type=unix,local.path=%s,remote.type=unix,remote.path=%s", p, q);
    g_autofree char *second = g_strdup_printf("dgram,id=b,local.type=unix,local.path=%s,remote.type=unix,remote.path=%s", q, p);
    Bench b;
    CpuPort port;
    Card c[2];
    uint8_t frame[1514];
    bench_init(&b, &port);
    card_init(&c[0], b.m, first, "a");
    card_init(&c[1], b.m, second, "b");
    frame_fill(frame, sizeof frame, 3);
    card_send(&c[0], frame, sizeof frame);
    card_send(&c[1], frame, 60);
    card_wait(&c[1], 1);
    card_wait(&c[0], 1);
    assert_frame(&c[1], 0, frame, sizeof frame);
    assert_frame(&c[0], 0, frame, 60);
    card_exit(&c[0]);
    card_exit(&c[1]);
    bench_end(&b);
}

/* A group's members hear each other, but none itself. */
static void test_group(void)
{
    Bench b;
    CpuPort port;
    Card c[2];
    uint8_t frame[100];
    g_autofree char *group = g_strdup_printf("mcast=230.0.0.1:%u,localaddr=127.0.0.1", free_port(SOCK_DGRAM));
    g_autofree char *first = g_strdup_printf("socket,id=a,%s", group), *second = g_strdup_printf("socket,id=b,%s", group);
    bench_init(&b, &port);
    g_autoptr(GError) err = NULL;
    if (!net_open(b.m, first, &err)) {
        g_test_skip(err->message);
        bench_end(&b);
        return;
    }
    card_attach(&c[0], b.m, net_find(b.m, "a"));
    card_init(&c[1], b.m, second, "b");
    frame_fill(frame, sizeof frame, 1);
    card_send(&c[0], frame, sizeof frame);
    card_wait(&c[1], 1);
    loop_idle(b.m);
    g_assert_cmpuint(c[0].frames->len, ==, 0);
    assert_frame(&c[1], 0, frame, sizeof frame);
    card_exit(&c[0]);
    card_exit(&c[1]);
    bench_end(&b);
}

/* A peer that cuts a frame anywhere, and one that says nonsense; after it the next may come. */
static void test_stream_peer(void)
{
    Bench b;
    CpuPort port;
    Card c;
    g_autofree char *path = in_folder("peer"), *spec = g_strdup_printf("stream,id=a,server=on,addr.type=unix,addr.path=%s", path);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    uint8_t wire[4 + 100];
    strcpy(address.sun_path, path);
    bench_init(&b, &port);
    card_init(&c, b.m, spec, "a");
    g_assert_false(net_link_up(c.net));
    for (unsigned round = 0; round < 2; round++) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
        loop_idle(b.m);
        g_assert_true(c.link);
        st32be(wire, 100);
        frame_fill(wire + 4, 100, round);
        for (unsigned i = 0; i < sizeof wire; i++) {
            g_assert_cmpint(write(fd, wire + i, 1), ==, 1);
            while (g_main_context_iteration(b.m->context, FALSE))
                continue;
        }
        card_wait(&c, round + 1);
        assert_frame(&c, round, wire + 4, 100);
        g_assert_cmpint(write(fd, "\xff\xff\xff\xff nonsense", 13), ==, 13);
        loop_idle(b.m);
        g_assert_false(c.link);
        close(fd);
    }
    card_exit(&c);
    bench_end(&b);
}

/* ---- captures ---- */

static void test_pcap(void)
{
    Bench b;
    CpuPort port;
    Card c[2];
    uint8_t frame[1514];
    g_autofree char *whole = in_folder("whole.pcap"), *cut = in_folder("cut.pcap"), *text = NULL;
    g_autofree char *spec = g_strdup_printf("hubport,id=a,hubid=0,pcap=%s", whole);
    gsize size;
    bench_init(&b, &port);
    card_init(&c[0], b.m, spec, "a");
    card_init(&c[1], b.m, "hubport,id=b,hubid=0", "b");
    g_assert_true(net_capture_start(c[1].net, cut, 64, NULL));
    frame_fill(frame, sizeof frame, 9);
    card_send(&c[0], frame, sizeof frame);
    card_send(&c[1], frame, 60);
    card_exit(&c[0]);
    card_exit(&c[1]);
    bench_end(&b);

    /* libpcap's file format: a header of 24 bytes, and 16 bytes before each frame. */
    g_assert_true(g_file_get_contents(whole, &text, &size, NULL));
    g_assert_cmpuint(size, ==, 24 + 16 + 1514 + 16 + 60);
    const uint32_t *head = (const uint32_t *)(void *)text;
    g_assert_cmphex(head[0], ==, 0xa1b2c3d4);
    g_assert_cmpuint(head[5], ==, 1);
    g_assert_cmpuint(head[6 + 2], ==, 1514);
    g_assert_cmpuint(head[6 + 3], ==, 1514);
    g_assert_cmpmem(text + 40, 1514, frame, 1514);
    g_assert_cmpmem(text + 40 + 1514 + 16, 60, frame, 60);
    g_clear_pointer(&text, g_free);
    g_assert_true(g_file_get_contents(cut, &text, &size, NULL));
    g_assert_cmpuint(size, ==, 24 + 16 + 64 + 16 + 60);
    head = (const uint32_t *)(void *)text;
    g_assert_cmpuint(head[6 + 2], ==, 64);
    g_assert_cmpuint(head[6 + 3], ==, 1514);
    unlink(whole);
    unlink(cut);
}

/* ---- notation ---- */

static void test_mistakes(void)
{
    static const struct { const char *spec, *error; } mistakes[] = { /* how the line begins */
        {"usr,id=n", "-netdev: unknown type 'usr' (did you mean 'user'?); known: user, tap, bridge, socket, stream, dgram, "
                     "hubport"},
        {"hubport", "-netdev: the network needs an id (id=NAME)"},
        {"hubport,id=a", "-netdev: the id 'a' is used twice; give each network its own"},
        {"hubport,id=b,hubdi=1", "-netdev hubport: unknown property 'hubdi' (did you mean 'hubid'?); known: type, id, pcap, "
                                 "hubid, netdev"},
        {"hubport,id=b,netdev=c", "-netdev hubport: network 'b': there is no network 'c' to join; it must stand before"},
        {"socket,id=b", "-netdev socket: network 'b' needs one of listen=, connect=, udp=, mcast= and fd="},
        {"socket,id=b,listen=:1,connect=:2", "-netdev socket: network 'b' needs one of listen=, connect=, udp=, mcast= and "
                                             "fd="},
        {"socket,id=b,connect=1234", "-netdev socket: '1234' is not HOST:PORT"},
        {"socket,id=b,udp=127.0.0.1:9", "network 'b': a datagram socket needs its own address (local.type=..., or localaddr=)"},
        {"stream,id=b", "-netdev stream: network 'b' needs an address (addr.type=inet,addr.host=,addr.port=)"},
        {"stream,id=b,addr.type=inet,addr.host=127.0.0.1", "network 'b': the address needs a port"},
        {"stream,id=b,addr.type=fd,addr.str=0x7fff", "network 'b': descriptor 32767 is not a stream socket"},
        {"stream,id=b,addr.type=unix,addr.path=/nowhere/x", "network 'b': cannot connect to /nowhere/x: No such file or "
                                                            "directory"},
        {"hubport,id=b,pcap=/nowhere/x", "capture of network 'b': cannot write /nowhere/x: No such file or directory"},
        {"tap,id=b,fd=0,ifname=x", "-netdev tap: network 'b': with fd= there is no ifname=, script=, downscript= or helper="},
        {"tap,id=b,ifname=averylongname1234", "network 'b': ifname=averylongname1234 is longer than 15 characters"},
        {"bridge,id=b,helper=/nowhere/x", "network 'b': cannot start the helper /nowhere/x: "},
    };
    Bench b;
    CpuPort port;
    bench_init(&b, &port);
    g_assert_true(net_open(b.m, "hubport,id=a", NULL));
    for (unsigned i = 0; i < ARRAY_SIZE(mistakes); i++) {
        g_autoptr(GError) err = NULL;
        g_assert_false(net_open(b.m, mistakes[i].spec, &err));
        if (!g_str_has_prefix(err->message, mistakes[i].error))
            g_assert_cmpstr(err->message, ==, mistakes[i].error);
        g_assert_null(net_find(b.m, "b"));
    }
    bench_end(&b);
}

static void test_port_in_use(void)
{
    Bench b;
    CpuPort port;
    g_autoptr(GError) err = NULL;
    unsigned number = free_port(SOCK_STREAM);
    g_autofree char *first = g_strdup_printf("socket,id=a,listen=127.0.0.1:%u", number);
    g_autofree char *second = g_strdup_printf("socket,id=b,listen=127.0.0.1:%u", number);
    g_autofree char *error = g_strdup_printf("network 'b': port %u is in use already (127.0.0.1:%u); choose another", number,
                                             number);
    bench_init(&b, &port);
    g_assert_true(net_open(b.m, first, NULL));
    g_assert_false(net_open(b.m, second, &err));
    g_assert_cmpstr(err->message, ==, error);
    g_clear_error(&err);
    g_autofree char *third = g_strdup_printf("stream,id=b,addr.type=inet,addr.host=127.0.0.1,addr.port=%u",
                                             free_port(SOCK_STREAM));
    g_assert_false(net_open(b.m, third, &err));
    g_assert_nonnull(strstr(err->message, "nobody listens on 127.0.0.1:"));
    bench_end(&b);
}

/* One card a network; and what follows from it. */
static void test_attach(void)
{
    Bench b;
    CpuPort port;
    Card c, other;
    g_autoptr(GError) err = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    bench_init(&b, &port);
    card_init(&c, b.m, "hubport,id=a,hubid=3", "a");
    g_assert_false(net_attach(c.net, "second", &card_ops, &other, &err));
    g_assert_cmpstr(err->message, ==, "device 'second': network 'a' is already used by 'card'; a hub (-netdev hubport) joins "
                                      "several");
    g_assert_true(net_attach(NULL, "none", &card_ops, &other, NULL));
    card_send(&c, "twelve bytes", 12);
    net_describe(c.net, text);
    g_assert_cmpstr(text->str, ==, "a: type=hubport,hubid=3\n  device card, link on\n  to the guest 0 frames, 0 bytes, 0 dropped, "
                                   "0 waiting; from it 1 frames, 12 bytes, 0 dropped\n");
    card_exit(&c);
    bench_end(&b);
}

static void test_mac(void)
{
    static const char *const wrong[] = {"", "52:54:00:12:34", "52:54:00:12:34:5", "52:54:00:12:34:56:78", "52:54:00:12:34:5g",
                                        "525400123456", "52.54.00.12.34.56", "01:00:00:00:00:00", "52:54:00:12:34:56 "};
    static const uint8_t first[] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56}, second[] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x57};
    uint8_t mac[6] = {0};
    Machine *m = machine_new(MiB, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        g_autoptr(GError) err = NULL;
        g_assert_false(net_parse_mac(wrong[i], mac, &err));
        g_assert_nonnull(strstr(err->message, wrong[i]));
    }
    g_assert_true(net_parse_mac("52-54:00:12:34:aB", mac, NULL));
    g_assert_cmpmem(mac, 5, first, 5);
    g_assert_cmphex(mac[5], ==, 0xab);
    net_next_mac(m, mac);
    g_assert_cmpmem(mac, 6, first, 6);
    net_next_mac(m, mac);
    g_assert_cmpmem(mac, 6, second, 6);
    /* CRC-32 of "123456789" is 0xcbf43926 (ITU-T V.42). */
    g_assert_cmphex(net_crc32((const uint8_t *)"123456789", 9), ==, 0xcbf43926);
    net_close_all(m);
    machine_free(m);
}

int main(int argc, char **argv)
{
    g_autofree char *made = g_dir_make_tmp("myna-net-XXXXXX", NULL);
    folder = made;
    setenv("LC_ALL", "C", 1);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/net/hub", test_hub);
    g_test_add_func("/net/hub-loop", test_hub_loop);
    g_test_add_func("/net/queue", test_queue);
    g_test_add_func("/net/queue-bytes", test_queue_bytes);
    g_test_add_func("/net/link", test_link);
    g_test_add_func("/net/paused", test_paused);
    g_test_add_func("/net/socket-tcp", test_socket_tcp);
    g_test_add_func("/net/stream-unix", test_stream_unix);
    g_test_add_func("/net/socket-udp", test_socket_udp);
    g_test_add_func("/net/dgram-unix", test_dgram_unix);
    g_test_add_func("/net/group", test_group);
    g_test_add_func("/net/stream-peer", test_stream_peer);
    g_test_add_func("/net/pcap", test_pcap);
    g_test_add_func("/net/mistakes", test_mistakes);
    g_test_add_func("/net/port-in-use", test_port_in_use);
    g_test_add_func("/net/attach", test_attach);
    g_test_add_func("/net/mac", test_mac);
    int status = g_test_run();
    rmdir(folder);
    return status;
}
