/*
 * User mode networks (backends/net/slirp.c): a guest that is only as many frames as DHCP, ARP and a TCP connection need
 * (RFC 2131, 826, 9293), and the host's side on loopback.
 */
#include "config.h"
#include "net_card.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/net/user.h"
#include "core/error.h"
#include "util/endian.h"

#ifdef CONFIG_SLIRP
enum { ETHER = 14, FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

static const uint8_t guest_mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
static const uint8_t guest_ip[4] = {10, 0, 2, 15}, host_ip[4] = {10, 0, 2, 2};

static unsigned sum(unsigned start, const uint8_t *p, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        start += i % 2 ? p[i] : p[i] << 8;
        start = (start & 0xffff) + (start >> 16);
    }
    return start;
}

/* ---- the guest ---- */

typedef struct Guest {
    Bench bench;
    CpuPort port;
    Card card;
    uint8_t gateway[6];
    unsigned seen;          /* frames looked at */
    uint32_t seq, ack;      /* of the one connection */
    unsigned local, remote; /* its ports */
    uint8_t peer[4];
} Guest;

static void guest_init(Guest *g, const char *spec)
{
    *g = (Guest){0};
    bench_init(&g->bench, &g->port);
    card_init(&g->card, g->bench.m, spec, "n");
}

static void guest_exit(Guest *g)
{
    card_exit(&g->card);
    net_close_all(g->bench.m);
    bench_exit(&g->bench);
}

static void put_ethernet(const Guest *g, uint8_t *frame, unsigned type)
{
    memcpy(frame, g->gateway, 6);
    memcpy(frame + 6, guest_mac, 6);
    st16be(frame + 12, type);
}

static void put_ip(uint8_t *ip, unsigned protocol, const uint8_t *from, const uint8_t *to, unsigned size)
{
    memset(ip, 0, 20);
    ip[0] = 0x45;
    st16be(ip + 2, 20 + size);
    ip[8] = 64;
    ip[9] = protocol;
    memcpy(ip + 12, from, 4);
    memcpy(ip + 16, to, 4);
    st16be(ip + 10, ~sum(0, ip, 20));
}

static unsigned pseudo(const uint8_t *ip, unsigned protocol, unsigned size)
{
    const uint8_t rest[4] = {0, protocol, size >> 8, size & 0xff};
    return sum(sum(0, ip + 12, 8), rest, 4);
}

static void send_arp(Guest *g, unsigned operation, const uint8_t *to_mac, const uint8_t *to_ip)
{
    uint8_t frame[60] = {0}, *arp = frame + ETHER;
    memset(frame, 0xff, 6);
    memcpy(frame + 6, guest_mac, 6);
    st16be(frame + 12, 0x0806);
    st16be(arp, 1);
    st16be(arp + 2, 0x0800);
    arp[4] = 6;
    arp[5] = 4;
    st16be(arp + 6, operation);
    memcpy(arp + 8, guest_mac, 6);
    memcpy(arp + 14, guest_ip, 4);
    memcpy(arp + 18, to_mac, 6);
    memcpy(arp + 24, to_ip, 4);
    card_send(&g->card, frame, sizeof frame);
}

/* The next frame of that kind; questions for the guest's address are answered on the way. */
static const Frame *next_frame(Guest *g, unsigned type, unsigned protocol)
{
    for (;;) {
        card_wait(&g->card, g->seen + 1);
        const Frame *f = card_frame(&g->card, g->seen++);
        if (ld16be(f->data + 12) == 0x0806 && ld16be(f->data + ETHER + 6) == 1 && !memcmp(f->data + ETHER + 24, guest_ip, 4))
            send_arp(g, 2, f->data + ETHER + 8, f->data + ETHER + 14);
        if (ld16be(f->data + 12) == type && (type != 0x0800 || f->data[ETHER + 9] == protocol))
            return f;
    }
}

static void find_gateway(Guest *g)
{
    static const uint8_t nobody[6];
    send_arp(g, 1, nobody, host_ip);
    const Frame *f = next_frame(g, 0x0806, 0);
    g_assert_cmpuint(ld16be(f->data + ETHER + 6), ==, 2);
    memcpy(g->gateway, f->data + ETHER + 8, 6);
}

static void send_udp(Guest *g, const uint8_t *from, const uint8_t *to, unsigned from_port, unsigned to_port, const void *data,
                     unsigned size)
{
    uint8_t frame[1514], *ip = frame + ETHER, *udp = ip + 20;
    put_ethernet(g, frame, 0x0800);
    put_ip(ip, 17, from, to, 8 + size);
    st16be(udp, from_port);
    st16be(udp + 2, to_port);
    st16be(udp + 4, 8 + size);
    st16be(udp + 6, 0);
    memcpy(udp + 8, data, size);
    st16be(udp + 6, ~sum(pseudo(ip, 17, 8 + size), udp, 8 + size));
    card_send(&g->card, frame, ETHER + 20 + 8 + size);
}

static void send_tcp(Guest *g, unsigned flags, const void *data, unsigned size)
{
    g_autofree uint8_t *frame = g_malloc0(ETHER + 40 + size);
    uint8_t *ip = frame + ETHER, *tcp = ip + 20;
    put_ethernet(g, frame, 0x0800);
    put_ip(ip, 6, guest_ip, g->peer, 20 + size);
    st16be(tcp, g->local);
    st16be(tcp + 2, g->remote);
    st32be(tcp + 4, g->seq);
    st32be(tcp + 8, flags & ACK ? g->ack : 0);
    tcp[12] = 0x50;
    tcp[13] = flags;
    st16be(tcp + 14, 65535);
    if (size)
        memcpy(tcp + 20, data, size);
    NetOffload o = {.flags = NET_NEEDS_CSUM, .csum_start = ETHER + 20, .csum_offset = 16};
    st16be(tcp + 16, pseudo(ip, 6, 20 + size));
    if (size > 1460) {
        o.gso = NET_GSO_TCP4;
        o.gso_size = 1460;
    }
    card_send_offload(&g->card, frame, ETHER + 40 + size, &o);
    g->seq += size + !!(flags & (SYN | FIN));
}

/* The next segment of the connection, checked; its data goes to `data`.  Returns its flags. */
static unsigned receive_tcp(Guest *g, GString *data)
{
    const Frame *f = next_frame(g, 0x0800, 6);
    const uint8_t *ip = f->data + ETHER, *tcp = ip + 20;
    unsigned size = ld16be(ip + 2) - 20, header = (tcp[12] >> 4) * 4;
    g_assert_cmphex(sum(0, ip, 20), ==, 0xffff);
    if (f->offload.flags & NET_NEEDS_CSUM)
        g_assert_cmphex(ld16be(tcp + 16), ==, pseudo(ip, 6, size));
    else
        g_assert_cmphex(sum(pseudo(ip, 6, size), tcp, size), ==, 0xffff);
    g_assert_cmpuint(ld16be(tcp + 2), ==, g->local);
    if (tcp[13] & SYN)
        g->ack = ld32be(tcp + 4);
    else if (size > header)
        g_assert_cmphex(ld32be(tcp + 4), ==, g->ack);
    if (data)
        g_string_append_len(data, (const char *)tcp + header, size - header);
    g->ack = ld32be(tcp + 4) + size - header + !!(tcp[13] & (SYN | FIN));
    g->remote = ld16be(tcp);
    memcpy(g->peer, ip + 12, 4);
    return tcp[13];
}

/* ---- DHCP ---- */

static unsigned dhcp_fill(uint8_t *m, unsigned kind, const uint8_t *wanted)
{
    static const uint8_t cookie[4] = {99, 130, 83, 99};
    unsigned n = 240;
    memset(m, 0, 300);
    m[0] = 1;               /* BOOTREQUEST, Ethernet */
    m[1] = 1;
    m[2] = 6;
    st32be(m + 4, 0x12345678);
    memcpy(m + 28, guest_mac, 6);
    memcpy(m + 236, cookie, 4);
    m[n++] = 53;
    m[n++] = 1;
    m[n++] = kind;
    if (wanted) {
        m[n++] = 50;
        m[n++] = 4;
        memcpy(m + n, wanted, 4);
        n += 4;
    }
    m[n++] = 255;
    return 300;
}

/* An option of a reply, or NULL. */
static const uint8_t *dhcp_option(const uint8_t *m, size_t size, unsigned code)
{
    for (size_t i = 240; i + 2 < size && m[i] != 255; i += m[i] ? 2 + m[i + 1] : 1) {
        if (m[i] == code)
            return m + i + 2;
    }
    return NULL;
}

static const uint8_t *dhcp_ask(Guest *g, unsigned kind, const uint8_t *wanted, size_t *size)
{
    static const uint8_t none[4], all[4] = {255, 255, 255, 255};
    uint8_t message[300];
    memset(g->gateway, 0xff, 6);
    send_udp(g, none, all, 68, 67, message, dhcp_fill(message, kind, wanted));
    const Frame *f = next_frame(g, 0x0800, 17);
    *size = f->size - ETHER - 28;
    return f->data + ETHER + 28;
}

static void test_dhcp(void)
{
    Guest g;
    size_t size;
    guest_init(&g, "user,id=n,hostname=myguest,domainname=example.org,bootfile=pxe.0,ipv6=off");
    const uint8_t *m = dhcp_ask(&g, 1, NULL, &size); /* DISCOVER, OFFER */
    g_assert_cmpuint(dhcp_option(m, size, 53)[0], ==, 2);
    g_assert_cmpmem(m + 16, 4, guest_ip, 4);
    m = dhcp_ask(&g, 3, guest_ip, &size);            /* REQUEST, ACK */
    g_assert_cmpuint(dhcp_option(m, size, 53)[0], ==, 5);
    g_assert_cmpmem(m + 16, 4, guest_ip, 4);
    g_assert_cmpmem(dhcp_option(m, size, 1), 4, "\xff\xff\xff\0", 4);
    g_assert_cmpmem(dhcp_option(m, size, 3), 4, host_ip, 4);
    g_assert_cmpmem(dhcp_option(m, size, 6), 4, "\x0a\0\2\3", 4);
    g_assert_cmpmem(dhcp_option(m, size, 12), 7, "myguest", 7);
    g_assert_cmpmem(dhcp_option(m, size, 15), 11, "example.org", 11);
    g_assert_cmpmem(m + 108, 6, "pxe.0", 6);
    guest_exit(&g);
}

static void test_dhcp_elsewhere(void)
{
    static const struct { const char *spec; uint8_t guest[4], host[4], dns[4], mask[4]; } cases[] = {
        {"net=192.168.76.0/24", {192, 168, 76, 15}, {192, 168, 76, 2}, {192, 168, 76, 3}, {255, 255, 255, 0}},
        {"net=192.168.76.0/255.255.255.0,dhcpstart=192.168.76.9,host=192.168.76.200,dns=192.168.76.201", {192, 168, 76, 9},
         {192, 168, 76, 200}, {192, 168, 76, 201}, {255, 255, 255, 0}},
        {"net=10.0.0.0", {10, 0, 2, 15}, {10, 0, 2, 2}, {10, 0, 2, 3}, {255, 0, 0, 0}},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        Guest g;
        size_t size;
        g_autofree char *spec = g_strdup_printf("user,id=n,%s", cases[i].spec);
        guest_init(&g, spec);
        const uint8_t *m = dhcp_ask(&g, 1, NULL, &size);
        g_assert_cmpmem(m + 16, 4, cases[i].guest, 4);
        g_assert_cmpmem(dhcp_option(m, size, 1), 4, cases[i].mask, 4);
        g_assert_cmpmem(dhcp_option(m, size, 3), 4, cases[i].host, 4);
        g_assert_cmpmem(dhcp_option(m, size, 6), 4, cases[i].dns, 4);
        guest_exit(&g);
    }
}

/* ---- connections ---- */

static int host_listen(unsigned *port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    g_assert_cmpint(bind(fd, (struct sockaddr *)&a, sizeof a), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&a, &size), ==, 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static unsigned free_port(void)
{
    unsigned port;
    close(host_listen(&port));
    return port;
}

static int host_connect(unsigned port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    g_assert_cmpint(connect(fd, (struct sockaddr *)&a, sizeof a), ==, 0);
    return fd;
}

/* Reads so many bytes while the main loop runs. */
static GString *host_read(Guest *g, int fd, size_t size)
{
    GString *text = g_string_new(NULL);
    int64_t end = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
    while (text->len < size) {
        char buf[4096];
        ssize_t got = recv(fd, buf, MIN(sizeof buf, size - text->len), MSG_DONTWAIT);
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        if (got > 0)
            g_string_append_len(text, buf, got);
        else
            loop_idle(g->bench.m);
    }
    return text;
}

static GString *pattern(size_t size)
{
    GString *text = g_string_sized_new(size);
    for (size_t i = 0; i < size; i++)
        g_string_append_c(text, (char)(i * 7 + i / 251));
    return text;
}

/* The guest's side of a connection that comes from outside. */
static void accept_connection(Guest *g, unsigned local)
{
    g->local = local;
    g->seq = 1000;
    g_assert_cmphex(receive_tcp(g, NULL) & (SYN | ACK), ==, SYN);
    send_tcp(g, SYN | ACK, NULL, 0);
}

/* Data both ways: frames as the wire has them, and, for a card that can, large ones. */
static void forward(unsigned abilities)
{
    Guest g;
    unsigned port = free_port();
    size_t largest = 0;
    g_autofree char *spec = g_strdup_printf("user,id=n,hostfwd=tcp:127.0.0.1:%u-10.0.2.15:80", port);
    g_autoptr(GString) sent = pattern(30000), got = g_string_new(NULL);
    guest_init(&g, spec);
    net_set_abilities(g.card.net, abilities);
    find_gateway(&g);
    int fd = host_connect(port);
    accept_connection(&g, 80);
    g_assert_cmpint(write(fd, sent->str, sent->len), ==, (ssize_t)sent->len);
    while (got->len < sent->len) {
        size_t before = got->len;
        receive_tcp(&g, got);
        largest = MAX(largest, got->len - before);
        send_tcp(&g, ACK, NULL, 0);
    }
    g_assert_true(g_string_equal(sent, got));
    if (abilities & NET_CAN_TSO4)
        g_assert_cmpuint(largest, >, 1460);
    else
        g_assert_cmpuint(largest, <=, 1460);
    send_tcp(&g, ACK | PSH, sent->str, 20000);
    g_autoptr(GString) back = host_read(&g, fd, 20000);
    g_assert_cmpmem(back->str, back->len, sent->str, 20000);
    close(fd);
    while (!(receive_tcp(&g, NULL) & (FIN | RST)))
        continue;
    guest_exit(&g);
}

static void test_hostfwd(void)
{
    forward(0);
}

static void test_hostfwd_large(void)
{
    forward(NET_CAN_CSUM | NET_CAN_TSO4 | NET_CAN_TSO6);
}

/* The guest connects to a server of the host, by the address that stands for it. */
static void test_connect(void)
{
    Guest g;
    unsigned port;
    int server = host_listen(&port);
    g_autoptr(GString) got = g_string_new(NULL);
    guest_init(&g, "user,id=n");
    find_gateway(&g);
    g.local = 40000;
    g.remote = port;
    g.seq = 77;
    memcpy(g.peer, host_ip, 4);
    send_tcp(&g, SYN, NULL, 0);
    g_assert_cmphex(receive_tcp(&g, NULL) & (SYN | ACK | RST), ==, SYN | ACK);
    send_tcp(&g, ACK, NULL, 0);
    send_tcp(&g, ACK | PSH, "a question", 10);
    int fd = accept(server, NULL, NULL);
    g_autoptr(GString) question = host_read(&g, fd, 10);
    g_assert_cmpstr(question->str, ==, "a question");
    g_assert_cmpint(write(fd, "an answer", 9), ==, 9);
    while (got->len < 9)
        receive_tcp(&g, got);
    g_assert_cmpstr(got->str, ==, "an answer");
    g_autofree char *table = net_user_connections(g.card.net), *line = g_strdup_printf("10.0.2.2 %5u", port);
    g_assert_nonnull(strstr(table, "TCP[ESTABLISHED]"));
    g_assert_nonnull(strstr(table, line));
    close(fd);
    close(server);
    guest_exit(&g);
}

/* restrict=on: nothing gets out. */
static void test_restrict(void)
{
    Guest g;
    unsigned port;
    int server = host_listen(&port);
    guest_init(&g, "user,id=n,restrict=on");
    find_gateway(&g);
    g.local = 40000;
    g.remote = port;
    memcpy(g.peer, host_ip, 4);
    send_tcp(&g, SYN, NULL, 0);
    loop_idle(g.bench.m);
    g_autofree char *table = net_user_connections(g.card.net);
    g_assert_null(strstr(table, "TCP["));
    close(server);
    guest_exit(&g);
}

/* A frame for nobody who takes it: the sockets wait, and nothing is lost. */
static void test_full(void)
{
    Guest g;
    unsigned port = free_port();
    g_autofree char *spec = g_strdup_printf("user,id=n,hostfwd=tcp:127.0.0.1:%u-:80", port);
    g_autoptr(GString) sent = pattern(5000), got = g_string_new(NULL);
    guest_init(&g, spec);
    find_gateway(&g);
    int fd = host_connect(port);
    accept_connection(&g, 80);
    loop_idle(g.bench.m);
    g.card.full = true;
    g_assert_cmpint(write(fd, sent->str, sent->len), ==, (ssize_t)sent->len);
    loop_idle(g.bench.m);
    g.card.full = false;
    net_accept(g.card.net);
    while (got->len < sent->len) {
        receive_tcp(&g, got);
        send_tcp(&g, ACK, NULL, 0);
    }
    g_assert_true(g_string_equal(sent, got));
    close(fd);
    guest_exit(&g);
}

/* guestfwd=: an address of the guest's network that is a command, or a server. */
static void test_guestfwd(void)
{
    Guest g;
    unsigned port;
    int server = host_listen(&port);
    g_autofree char *spec = g_strdup_printf("user,id=n,guestfwd=tcp:10.0.2.100:7-cmd:/bin/cat,"
                                            "guestfwd=tcp:10.0.2.101:8-tcp:127.0.0.1:%u", port);
    guest_init(&g, spec);
    int fd = accept(server, NULL, NULL);
    find_gateway(&g);
    for (unsigned i = 0; i < 2; i++) {
        static const char text[] = "there and back";
        g_autoptr(GString) got = g_string_new(NULL);
        g.local = 40000 + i;
        g.remote = 7 + i;
        g.seq = 9;
        memcpy(g.peer, (const uint8_t[]){10, 0, 2, 100 + i}, 4);
        send_tcp(&g, SYN, NULL, 0);
        g_assert_cmphex(receive_tcp(&g, NULL) & (SYN | ACK | RST), ==, SYN | ACK);
        send_tcp(&g, ACK, NULL, 0);
        send_tcp(&g, ACK | PSH, text, sizeof text);
        if (i) {
            g_autoptr(GString) there = host_read(&g, fd, sizeof text);
            g_assert_cmpstr(there->str, ==, text);
            g_assert_cmpint(write(fd, text, sizeof text), ==, sizeof text);
        }
        while (got->len < sizeof text)
            receive_tcp(&g, got);
        g_assert_cmpstr(got->str, ==, text);
    }
    close(fd);
    close(server);
    guest_exit(&g);
}

/* ---- rules ---- */

static void test_rules(void)
{
    Guest g;
    unsigned port = free_port();
    g_autoptr(GError) err = NULL;
    g_autofree char *rule = g_strdup_printf("tcp:127.0.0.1:%u-:22", port), *end = g_strdup_printf("tcp:127.0.0.1:%u", port);
    g_autofree char *error = g_strdup_printf("network 'n': hostfwd=%s: TCP port %u of the host is in use already; choose another",
                                             rule, port);
    guest_init(&g, "user,id=n");
    g_assert_true(net_user_forward(g.card.net, rule, NULL));
    g_assert_false(net_user_forward(g.card.net, rule, &err));
    g_assert_cmpstr(err->message, ==, error);
    g_assert_true(net_user_forget(g.card.net, end, NULL));
    g_assert_false(net_user_forget(g.card.net, end, NULL));
    g_assert_true(net_user_forward(g.card.net, rule, NULL));
    guest_exit(&g);
}

static void test_mistakes(void)
{
    static const struct { const char *spec, *error; } mistakes[] = {
        {"hostfwd=tcp::22", "hostfwd='tcp::22' is not of the form [tcp|udp]:[HOSTADDRESS]:HOSTPORT-[GUESTADDRESS]:GUESTPORT"},
        {"hostfwd=icmp::22-:22", "hostfwd='icmp::22-:22' is not"}, {"hostfwd=tcp::0-:22", "hostfwd='tcp::0-:22' is not"},
        {"hostfwd=tcp::70000-:22", "hostfwd='tcp::70000-:22' is not"}, {"hostfwd=tcp:x:1-:2", "hostfwd='tcp:x:1-:2' is not"},
        {"guestfwd=tcp:10.0.2.100:7", "guestfwd='tcp:10.0.2.100:7' is not of the form tcp:SERVERADDRESS:PORT-CHARDEV or "
                                      "...-cmd:COMMAND"},
        {"guestfwd=udp:10.0.2.100:7-cmd:cat", "guestfwd='udp"},
        {"guestfwd=tcp:10.0.2.2:7-cmd:cat", "network 'b': guestfwd=tcp:10.0.2.2:7-cmd:cat: the address is not free in the guest's "
                                            "network"},
        {"guestfwd=tcp:1.2.3.4:7-cmd:cat", "network 'b': guestfwd=tcp:1.2.3.4:7-cmd:cat: the address is not free"},
        {"net=10.0.2.0/33", "-netdev user net=: 33 is too large, the most is 32"},
        {"net=10.0.2.0/29", "-netdev user: net=10.0.2.0/29 has no room: the mask is 28 bits at most"},
        {"net=ten", "-netdev user: net='ten' is not an IPv4 address"},
        {"host=10.0.3.1", "-netdev user: host=10.0.3.1 is not within the network 10.0.2.0, mask 255.255.255.0"},
        {"dns=10.0.2.2", "-netdev user: host= and dns= are the same address, 10.0.2.2"},
        {"dhcpstart=10.0.2.3", "-netdev user: dhcpstart= is the address of host= or dns=, 10.0.2.3"},
        {"ipv6-host=fe80::1", "-netdev user: ipv6-host=fe80::1 is not within the network's prefix of 64 bits"},
        {"ipv6-net=fec0::/127", "-netdev user ipv6-net=: 127 is too large, the most is 126"},
        {"ipv4=off,ipv6=off", "-netdev user: neither ipv4 nor ipv6 is on"}, {"ipv4=maybe", "-netdev user ipv4=: 'maybe' is neither"},
        {"tftp=/nowhere", "-netdev user: tftp=/nowhere is not a folder"},
        {"hostname=a-name-that-is-longer-than-thirty-two", "-netdev user: hostname=a-name-that-is-longer-than-thirty-two is longer"},
        {"smb=/tmp", "-netdev user: smb= is not there; a folder is shared by -device virtio-9p-pci"},
        {"dhcpstrat=10.0.2.9", "-netdev user: unknown property 'dhcpstrat' (did you mean 'dhcpstart'?); known: "},
    };
    Bench b;
    CpuPort port;
    bench_init(&b, &port);
    for (unsigned i = 0; i < ARRAY_SIZE(mistakes); i++) {
        g_autoptr(GError) err = NULL;
        g_autofree char *spec = g_strdup_printf("user,id=b,%s", mistakes[i].spec);
        g_assert_false(net_open(b.m, spec, &err));
        if (!g_str_has_prefix(err->message, mistakes[i].error))
            g_assert_cmpstr(err->message, ==, mistakes[i].error);
        g_assert_null(net_find(b.m, "b"));
    }
    net_close_all(b.m);
    bench_exit(&b);
}

/* Frames of all kinds of nonsense: libslirp and what is around it stay in one piece. */
static void test_nonsense(void)
{
    Guest g;
    guest_init(&g, "user,id=n,restrict=on");
    net_set_abilities(g.card.net, NET_CAN_CSUM | NET_CAN_TSO4 | NET_CAN_TSO6);
    find_gateway(&g);
    for (unsigned i = 0; i < 3000; i++) {
        uint8_t frame[200];
        unsigned size = g_test_rand_int_range(0, sizeof frame);
        for (unsigned k = 0; k < sizeof frame; k++)
            frame[k] = g_test_rand_int();
        if (size > ETHER + 28) {
            static const uint16_t types[] = {0x0806, 0x0800, 0x86dd, 0x88f8};
            put_ethernet(&g, frame, types[g_test_rand_int_range(0, 4)]);
            if (ld16be(frame + 12) == 0x0800)
                put_ip(frame + ETHER, (const uint8_t[]){1, 6, 17}[i % 3], guest_ip, host_ip, size - ETHER - 20);
        }
        NetOffload o = {.flags = g_test_rand_int_range(0, 2), .gso = g_test_rand_int_range(0, 6), .gso_size = 100,
                        .csum_start = g_test_rand_int_range(0, 220), .csum_offset = g_test_rand_int_range(0, 20)};
        card_send_offload(&g.card, frame, size, &o);
        g_main_context_iteration(g.bench.m->context, FALSE);
    }
    guest_exit(&g);
}
#endif

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#ifdef CONFIG_SLIRP
    g_test_add_func("/net-user/dhcp", test_dhcp);
    g_test_add_func("/net-user/dhcp-elsewhere", test_dhcp_elsewhere);
    g_test_add_func("/net-user/hostfwd", test_hostfwd);
    g_test_add_func("/net-user/hostfwd-large", test_hostfwd_large);
    g_test_add_func("/net-user/connect", test_connect);
    g_test_add_func("/net-user/restrict", test_restrict);
    g_test_add_func("/net-user/full", test_full);
    g_test_add_func("/net-user/guestfwd", test_guestfwd);
    g_test_add_func("/net-user/rules", test_rules);
    g_test_add_func("/net-user/mistakes", test_mistakes);
    g_test_add_func("/net-user/nonsense", test_nonsense);
#endif
    return g_test_run();
}
