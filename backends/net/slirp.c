/*
 * User mode networks (-netdev user): libslirp ends the guest's connections in this process and opens the host's
 * sockets for them. It has no thread: frames of the guest come in by slirp_input(), in whatever thread the card is in,
 * and what its sockets have by slirp_pollfds_poll(), in the main loop; all with the machine lock.
 *
 * libslirp says anew each time which sockets it waits for.  After each frame that is compared with what the main loop
 * polls.  A difference is first looked at here, and wakes the main loop only if the socket is not ready yet.
 */
#include "config.h"

#include "backends/net/user.h"

#ifdef CONFIG_SLIRP
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/char/char.h"
#include "backends/net/merge.h"
#include "backends/net/slirp.h"
#include "core/error.h"
#include "core/log.h"
#include "util/endian.h"

/*
 * A dispatch goes round so often while there is more to read.  libslirp says 1000 milliseconds where it has nothing to
 * wait for.
 */
enum { ROUNDS_MAX = 4, IDLE_MS = 1000 };
enum { ETHER_ARP = 0x0806, ETHER_IPV6 = 0x86dd, IP_PROTO_ICMPV6 = 58 };

typedef struct UserNet UserNet;

/* What the main loop polls. */
typedef struct Watched {
    int fd;
    GIOCondition events;
    gpointer tag;
    unsigned seen;            /* in the round of UserNet.round */
} Watched;

/* guestfwd= to a character back end. */
typedef struct GuestForward {
    UserNet *u;
    CharBackend *chardev;
    bool owned;               /* made here */
    struct in_addr server;
    unsigned port;
} GuestForward;

struct UserNet {
    NetBackend *net;
    Slirp *slirp;
    GSource *source;
    GArray *wanted;           /* struct pollfd, in the order of slirp_pollfds_fill() */
    GArray *held;             /* the same as of the last comparison */
    GHashTable *watched;      /* by descriptor: Watched * */
    unsigned round;
    /* libslirp walks its lists: it must not be asked for its sockets, nor be given a frame */
    bool busy;
    NetMerge *merge;
    GPtrArray *forwards;      /* GuestForward * */
    SlirpConfig config;
    uint8_t frame[NET_FRAME_MAX]; /* what goes to libslirp, in one piece */
};

typedef struct UserSource {
    GSource base;
    UserNet *u;
} UserSource;

/* ---- what the main loop waits for ---- */

/* libslirp's events and poll()'s are the same but for their numbers. */
static const struct {
    int slirp, poll;
    GIOCondition glib;
} event_bits[] = {
    {SLIRP_POLL_IN, POLLIN, G_IO_IN},    {SLIRP_POLL_OUT, POLLOUT, G_IO_OUT}, {SLIRP_POLL_PRI, POLLPRI, G_IO_PRI},
    {SLIRP_POLL_ERR, POLLERR, G_IO_ERR}, {SLIRP_POLL_HUP, POLLHUP, G_IO_HUP},
};

static int add_poll(int fd, int events, void *opaque)
{
    UserNet *u = opaque;
    struct pollfd p = {.fd = fd};
    for (unsigned i = 0; i < G_N_ELEMENTS(event_bits); i++)
        p.events |= events & event_bits[i].slirp ? event_bits[i].poll : 0;
    g_array_append_val(u->wanted, p);
    return u->wanted->len - 1;
}

static int get_events(int index, void *opaque)
{
    const UserNet *u = opaque;
    int events = 0;
    if (index < 0 || (guint)index >= u->wanted->len)
        return 0;
    short got = g_array_index(u->wanted, struct pollfd, index).revents;
    for (unsigned i = 0; i < G_N_ELEMENTS(event_bits); i++)
        events |= got & event_bits[i].poll ? event_bits[i].slirp : 0;
    return events;
}

/* Milliseconds until libslirp has something to do by itself; UINT32_MAX: never. */
static uint32_t wanted_fill(UserNet *u)
{
    uint32_t timeout = UINT32_MAX;
    g_array_set_size(u->wanted, 0);
    slirp_pollfds_fill(u->slirp, &timeout, add_poll, u);
    return timeout;
}

static bool wanted_changed(const UserNet *u)
{
    if (u->wanted->len != u->held->len)
        return true;
    for (guint i = 0; i < u->wanted->len; i++) {
        const struct pollfd *a = &g_array_index(u->wanted, struct pollfd, i);
        const struct pollfd *b = &g_array_index(u->held, struct pollfd, i);
        if (a->fd != b->fd || a->events != b->events)
            return true;
    }
    return false;
}

static void watch_one(UserNet *u, const struct pollfd *p)
{
    GIOCondition events = 0;
    Watched *w = g_hash_table_lookup(u->watched, GINT_TO_POINTER(p->fd));
    for (unsigned i = 0; i < G_N_ELEMENTS(event_bits); i++)
        events |= p->events & event_bits[i].poll ? event_bits[i].glib : 0;
    if (!w) {
        w = g_new(Watched, 1);
        *w = (Watched){.fd = p->fd, .events = events, .tag = g_source_add_unix_fd(u->source, p->fd, events)};
        g_hash_table_insert(u->watched, GINT_TO_POINTER(p->fd), w);
    } else if (w->events != events) {
        g_source_modify_unix_fd(u->source, w->tag, events);
        w->events = events;
    }
    w->seen = u->round;
}

static gboolean watch_is_old(gpointer key, gpointer value, gpointer p)
{
    UserNet *u = p;
    const Watched *w = value;
    (void)key;
    if (w->seen == u->round)
        return FALSE;
    g_source_remove_unix_fd(u->source, w->tag);
    return TRUE;
}

static void watch_all(UserNet *u)
{
    GArray *swap = u->held;
    u->round++;
    for (guint i = 0; i < u->wanted->len; i++)
        watch_one(u, &g_array_index(u->wanted, struct pollfd, i));
    g_hash_table_foreach_remove(u->watched, watch_is_old, u);
    u->held = u->wanted;
    u->wanted = swap;
}

/*
 * Without room in the card the host's sockets keep what they have; libslirp's timers go on, unless the clock stands.
 */
static void user_watch(UserNet *u)
{
    if (u->busy)
        return;
    bool room = net_has_room(u->net);
    uint32_t timeout = wanted_fill(u);
    if (!room)
        g_array_set_size(u->wanted, 0);
    if (wanted_changed(u))
        watch_all(u);
    bool never = timeout >= IDLE_MS || u->net->machine->run_state == RUN_PAUSED;
    int64_t ready = never ? -1 : g_get_monotonic_time() + (int64_t)timeout * 1000;
    int64_t now = g_source_get_ready_time(u->source);
    if (g_main_current_source() == u->source || (ready >= 0 && (now < 0 || ready < now)))
        g_source_set_ready_time(u->source, ready);
}

/* Around each call that may send frames to the card. */
static void user_enter(UserNet *u)
{
    u->busy = true;
}

static void user_leave(UserNet *u)
{
    net_merge_flush(u->merge);
    u->busy = false;
    user_watch(u);
    for (guint i = 0; i < u->forwards->len; i++)
        char_accept_input(((GuestForward *)u->forwards->pdata[i])->chardev);
}

/* One look at all sockets; FALSE: none had anything. */
static bool user_poll(UserNet *u)
{
    wanted_fill(u);
    int ready = poll((struct pollfd *)(void *)u->wanted->data, u->wanted->len, 0);
    slirp_pollfds_poll(u->slirp, ready < 0, get_events, u);
    net_merge_flush(u->merge);
    return ready > 0;
}

static gboolean user_dispatch(GSource *source, GSourceFunc fn, gpointer opaque)
{
    UserNet *u = ((UserSource *)source)->u;
    Machine *m = u->net->machine;
    (void)fn, (void)opaque;
    machine_lock(m);
    user_enter(u);
    for (unsigned i = 0; i < ROUNDS_MAX && net_has_room(u->net) && user_poll(u); i++)
        continue;
    user_leave(u);
    machine_unlock(m);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs user_source_functions = {.dispatch = user_dispatch};

static void user_wake(NetBackend *n)
{
    UserNet *u = n->state;
    if (u->slirp)
        user_watch(u);
}

/* ---- what libslirp calls ---- */

static ssize_t slirp_sends(const void *buf, size_t size, void *opaque)
{
    net_merge_add(((UserNet *)opaque)->merge, buf, size);
    return size;
}

static void slirp_complains(const char *message, void *opaque)
{
    log_guest_error("network '%s': %s", ((UserNet *)opaque)->net->id, message);
}

static int64_t slirp_clock(void *opaque)
{
    return clock_now(((UserNet *)opaque)->net->machine->clocks, MYNA_CLOCK_VIRTUAL);
}

typedef struct UserTimer {
    UserNet *u;
    SlirpTimerCb fn;
    void *opaque;
    Timer *timer;
} UserTimer;

static void timer_fired(void *opaque)
{
    UserTimer *t = opaque;
    user_enter(t->u);
    t->fn(t->opaque);
    user_leave(t->u);
}

static void *slirp_timer_new(SlirpTimerCb fn, void *fn_opaque, void *opaque)
{
    UserTimer *t = g_new(UserTimer, 1);
    *t = (UserTimer){.u = opaque, .fn = fn, .opaque = fn_opaque};
    t->timer = timer_new(t->u->net->machine->clocks, MYNA_CLOCK_VIRTUAL, timer_fired, t);
    return t;
}

static void slirp_timer_free(void *timer, void *opaque)
{
    UserTimer *t = timer;
    (void)opaque;
    timer_free(t->timer);
    g_free(t);
}

static void slirp_timer_mod(void *timer, int64_t expires_ms, void *opaque)
{
    (void)opaque;
    timer_arm(((UserTimer *)timer)->timer, expires_ms * 1000000);
}

/* Sockets are found by slirp_pollfds_fill(). */
static void slirp_socket_there(int fd, void *opaque)
{
    (void)fd, (void)opaque;
}

/* A connection of guestfwd= has room for more, which user_leave() looks after. */
static void slirp_notifies(void *opaque)
{
    (void)opaque;
}

static const SlirpCb callbacks = {
    .send_packet = slirp_sends, .guest_error = slirp_complains, .clock_get_ns = slirp_clock,
    .timer_new = slirp_timer_new,
    .timer_free = slirp_timer_free, .timer_mod = slirp_timer_mod, .register_poll_fd = slirp_socket_there,
    .unregister_poll_fd = slirp_socket_there, .notify = slirp_notifies,
};

/* ---- frames from the guest ---- */

/* Tells the address of a station: frames for it wait in libslirp, until the next look at its sockets. */
static bool resolves_address(const uint8_t *frame, size_t size)
{
    unsigned type = size < 14 + 40 ? 0 : ld16be(frame + 12);
    return (size >= 14 && ld16be(frame + 12) == ETHER_ARP) || (type == ETHER_IPV6 && frame[14 + 6] == IP_PROTO_ICMPV6);
}

/*
 * libslirp takes a TCP segment of any size, so that a large one is not cut: only its checksums have to be right.  An
 * acknowledgement makes room for what waits in a socket: it is fetched here and now, as the main loop would have to be
 * woken for it.
 */
static void user_send(NetBackend *n, const struct iovec *iov, unsigned count, const NetOffload *offload)
{
    UserNet *u = n->state;
    size_t size = net_iov_size(iov, count);
    if (size > sizeof u->frame || u->busy) { /* busy: an answer to libslirp's own frame, from within */
        n->lost++;
        return;
    }
    net_iov_copy(iov, count, 0, u->frame, size);
    if (!net_complete(u->frame, size, offload))
        return;
    user_enter(u);
    slirp_input(u->slirp, u->frame, size);
    net_merge_flush(u->merge);
    wanted_fill(u);
    if (net_has_room(n) && (wanted_changed(u) || resolves_address(u->frame, size)))
        user_poll(u);
    user_leave(u);
}

static void user_abilities_changed(NetBackend *n)
{
    UserNet *u = n->state;
    net_merge_set_abilities(u->merge, n->abilities);
}

/* ---- forwarding to the host and back ---- */

static gboolean forward_failed(const NetBackend *n, const UserForward *f, const char *rule, GError **err)
{
    if (errno == EADDRINUSE)
        return error_set(err, "network '%s': hostfwd=%s: %s port %u of the host is in use already; choose another",
                         n->id, rule,
                         f->udp ? "UDP" : "TCP", f->host_port);
    if (errno == EACCES)
        return error_set(err, "network '%s': hostfwd=%s: the host keeps port %u for root; choose one from 1024 on",
                         n->id, rule,
                         f->host_port);
    return error_set(err, "network '%s': hostfwd=%s: cannot listen on port %u of the host: %s", n->id, rule,
                     f->host_port,
                     g_strerror(errno));
}

bool net_is_user(const NetBackend *n)
{
    return n->kind == &net_kind_user;
}

bool net_user_is_restricted(const NetBackend *n)
{
    return ((const UserNet *)n->state)->config.restricted;
}

gboolean net_user_forward(NetBackend *n, const char *rule, GError **err)
{
    UserNet *u = n->state;
    UserForward f;
    if (!user_hostfwd_parse(rule, false, &f, err))
        return FALSE;
    errno = 0;
    if (slirp_add_hostfwd(u->slirp, f.udp, f.host, f.host_port, f.guest, f.guest_port))
        return forward_failed(n, &f, rule, err);
    user_watch(u);
    return TRUE;
}

gboolean net_user_forget(NetBackend *n, const char *rule, GError **err)
{
    UserNet *u = n->state;
    UserForward f;
    if (!user_hostfwd_parse(rule, true, &f, err))
        return FALSE;
    if (slirp_remove_hostfwd(u->slirp, f.udp, f.host, f.host_port))
        return error_set(err, "network '%s': no host port is forwarded as %s", n->id, rule);
    user_watch(u);
    return TRUE;
}

static unsigned forward_room(void *opaque)
{
    const GuestForward *f = opaque;
    return MIN(slirp_socket_can_recv(f->u->slirp, f->server, f->port), INT_MAX);
}

static void forward_receive(void *opaque, const uint8_t *data, unsigned size)
{
    const GuestForward *f = opaque;
    user_enter(f->u);
    slirp_socket_recv(f->u->slirp, f->server, f->port, data, size);
    user_leave(f->u);
}

static const CharFrontend forward_frontend = {.can_receive = forward_room, .receive = forward_receive};

static ssize_t forward_write(const void *buf, size_t size, void *opaque)
{
    const GuestForward *f = opaque;
    char_write(f->chardev, buf, size);
    return size;
}

static void forward_free(gpointer p)
{
    GuestForward *f = p;
    if (f->chardev)
        char_connect(f->chardev, NULL, NULL);
    if (f->owned)
        char_free(f->chardev);
    g_free(f);
}

static gboolean forward_to_chardev(NetBackend *n, UserForward *rule, const char *text, GError **err)
{
    UserNet *u = n->state;
    g_autofree char *id = g_strdup_printf("%s-guestfwd%u", n->id, u->forwards->len);
    GuestForward *f = g_new0(GuestForward, 1);
    *f = (GuestForward){.u = u, .server = rule->guest, .port = rule->guest_port};
    g_ptr_array_add(u->forwards, f);
    f->chardev = char_new(n->machine, id, rule->target, err);
    if (!f->chardev)
        return FALSE;
    f->owned = !g_str_has_prefix(rule->target, "chardev:");
    if (char_is_connected(f->chardev))
        return error_set(err, "network '%s': guestfwd=%s: the chardev is in use already", n->id, text);
    if (slirp_add_guestfwd(u->slirp, forward_write, f, &f->server, f->port))
        return error_set(err, "network '%s': guestfwd=%s: the address is not free in the guest's network", n->id,
                         text);
    char_connect(f->chardev, &forward_frontend, f);
    return TRUE;
}

/* A command is started for each connection, a character back end is one stream for all. */
static gboolean guest_forward(NetBackend *n, const char *text, GError **err)
{
    UserNet *u = n->state;
    UserForward f;
    if (!user_guestfwd_parse(text, &f, err))
        return FALSE;
    if (!g_str_has_prefix(f.target, "cmd:"))
        return forward_to_chardev(n, &f, text, err);
    return slirp_add_exec(u->slirp, f.target + strlen("cmd:"), &f.guest, f.guest_port) == 0 ||
           error_set(err, "network '%s': guestfwd=%s: the address is not free in the guest's network", n->id, text);
}

/* ---- ping ---- */

/* The host lets processes of some groups send ICMP echo requests (Linux, icmp(7): ping_group_range). */
char *net_user_ping_problem(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP);
    g_autofree char *range = NULL;
    if (fd >= 0) {
        close(fd);
        return NULL;
    }
    if ((errno != EACCES && errno != EPERM) || !g_file_get_contents("/proc/sys/net/ipv4/ping_group_range", &range,
                                                                    NULL, NULL))
        return g_strdup_printf("the guest can ping only addresses of its own network: %s", g_strerror(errno));
    g_strdelimit(g_strchomp(range), "\t", ' ');
    return g_strdup_printf("the guest can ping only addresses of its own network: "
                           "/proc/sys/net/ipv4/ping_group_range is '%s', "
                           "without this process's group %u; for all, as root: sysctl -w "
                           "net.ipv4.ping_group_range='0 2147483647'",
                           range, (unsigned)getgid());
}

/* ---- start and end ---- */

static void source_start(UserNet *u)
{
    u->source = g_source_new(&user_source_functions, sizeof(UserSource));
    ((UserSource *)u->source)->u = u;
    g_source_set_name(u->source, "user network");
    g_source_attach(u->source, u->net->machine->context);
    user_watch(u);
}

static void merged(void *opaque, const struct iovec *iov, unsigned count, const NetOffload *offload)
{
    net_receive(opaque, iov, count, offload);
}

static gboolean rules_add(NetBackend *n, const UserSettings *s, GError **err)
{
    for (guint i = 0; s->hostfwd && i < s->hostfwd->len; i++) {
        if (!net_user_forward(n, s->hostfwd->pdata[i], err))
            return FALSE;
    }
    for (guint i = 0; s->guestfwd && i < s->guestfwd->len; i++) {
        if (!guest_forward(n, s->guestfwd->pdata[i], err))
            return FALSE;
    }
    return TRUE;
}

static gboolean user_open(NetBackend *n, const void *settings, GError **err)
{
    const UserSettings *s = settings;
    UserNet *u = g_new0(UserNet, 1);
    u->net = n;
    n->state = u;
    n->host_abilities = NET_CAN_CSUM | NET_CAN_TSO4 | NET_CAN_TSO6 | NET_CAN_ECN;
    u->wanted = g_array_new(FALSE, FALSE, sizeof(struct pollfd));
    u->held = g_array_new(FALSE, FALSE, sizeof(struct pollfd));
    u->watched = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    u->forwards = g_ptr_array_new_with_free_func(forward_free);
    u->merge = net_merge_new(merged, n);
    if (!user_config_make(s, &u->config, err))
        return FALSE;
    u->slirp = slirp_new(&u->config, &callbacks, u);
    if (!u->slirp)
        return error_set(err, "network '%s': libslirp %s takes no such configuration", n->id, slirp_version_string());
    source_start(u);
    return rules_add(n, s, err);
}

static void user_close(NetBackend *n)
{
    UserNet *u = n->state;
    if (u->source) {
        g_source_destroy(u->source);
        g_source_unref(u->source);
    }
    g_ptr_array_unref(u->forwards);
    if (u->slirp)
        slirp_cleanup(u->slirp);
    net_merge_free(u->merge);
    g_hash_table_unref(u->watched);
    g_array_unref(u->wanted);
    g_array_unref(u->held);
    g_free(u->config.vdnssearch);
    g_free(u);
}

static void user_describe(NetBackend *n, GString *out)
{
    const UserNet *u = n->state;
    g_autofree char *network = g_strdup(inet_ntoa(u->config.vnetwork));
    g_string_append_printf(out, ",net=%s,mask=%s,ipv4=%s,ipv6=%s,restrict=%s", network, inet_ntoa(u->config.vnetmask),
                           u->config.in_enabled ? "on" : "off", u->config.in6_enabled ? "on" : "off",
                           u->config.restricted ? "on" : "off");
}

char *net_user_connections(NetBackend *n)
{
    g_autofree char *text = slirp_connection_info(((UserNet *)n->state)->slirp);
    return g_strdup(text);
}

bool net_user_available(void)
{
    return true;
}

const NetKind net_kind_user = {
    .name = "user", .help = "[net=ADDRESS/BITS][,hostfwd=tcp::HOSTPORT-:PORT]...: the host's connections, by NAT",
    .settings_size = sizeof(UserSettings), .fields = user_fields, .settings_default = user_settings_default,
    .open = user_open, .close = user_close, .send = user_send, .wake = user_wake,
    .abilities_changed = user_abilities_changed, .describe = user_describe,
};
#endif
