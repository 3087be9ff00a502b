/*
 * Tap interfaces (-netdev tap, -netdev bridge): the host's kernel has the other end, and takes and gives large
 * segments and unfinished checksums behind a header that is virtio's (Linux, IFF_VNET_HDR).
 */
#include "backends/net/tap.h"

#ifdef __linux__
#include <errno.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backends/net/socket.h"
#include "core/error.h"
#include "core/log.h"
#include "util/endian.h"

#define DEFAULT_SCRIPT "/etc/qemu-ifup"
#define DEFAULT_DOWNSCRIPT "/etc/qemu-ifdown"

/* A reader goes back to the main loop after so many frames. */
enum { FRAMES_MAX = 64, PIECES_MAX = 64, HEADER_SIZE = 10 };

typedef struct Tap {
    int fd;
    bool header;            /* frames stand behind a virtio_net_hdr, little-endian */
    bool failed;            /* the interface went away, which was said */
    GSource *reading;
    char *name, *downscript;
    uint8_t frame[HEADER_SIZE + NET_FRAME_MAX];
} Tap;

static void header_put(uint8_t h[HEADER_SIZE], const NetOffload *o)
{
    h[0] = o->flags & NET_NEEDS_CSUM;
    h[1] = o->gso;
    st16le(h + 2, o->header_size);
    st16le(h + 4, o->gso_size);
    st16le(h + 6, o->csum_start);
    st16le(h + 8, o->csum_offset);
}

static NetOffload header_get(const uint8_t h[HEADER_SIZE])
{
    return (NetOffload){.flags = h[0] & (NET_NEEDS_CSUM | NET_CSUM_GOOD), .gso = h[1], .header_size = ld16le(h + 2),
                        .gso_size = ld16le(h + 4), .csum_start = ld16le(h + 6), .csum_offset = ld16le(h + 8)};
}

/* ---- frames ---- */

static void tap_gone(NetBackend *n)
{
    Tap *t = n->state;
    log_user("network '%s': the interface %s is gone: %s", n->id, t->name, g_strerror(errno));
    t->failed = true;
    net_unwatch(&t->reading);
    net_set_carrier(n, false);
}

/* FALSE: none is there. */
static bool frame_read(NetBackend *n)
{
    Tap *t = n->state;
    unsigned header = t->header ? HEADER_SIZE : 0;
    ssize_t got = read(t->fd, t->frame, sizeof t->frame);
    if (got < 0 && errno != EAGAIN && errno != EINTR && errno != EIO) /* EIO: the interface is down */
        tap_gone(n);
    if (got <= (ssize_t)header)
        return false;
    NetOffload offload = {0};
    if (header)
        offload = header_get(t->frame);
    struct iovec iov = {t->frame + header, got - header};
    net_receive(n, &iov, 1, &offload);
    return true;
}

static gboolean tap_readable(gint fd, GIOCondition condition, gpointer p)
{
    (void)fd, (void)condition;
    NetBackend *n = p;
    Machine *m = n->machine;
    machine_lock(m);
    Tap *t = n->state;
    for (unsigned i = 0; t->reading && i < FRAMES_MAX; i++) {
        if (!net_has_room(n))
            net_unwatch(&t->reading);
        else if (!frame_read(n))
            break;
    }
    machine_unlock(m);
    return G_SOURCE_CONTINUE;
}

static void tap_wake(NetBackend *n)
{
    Tap *t = n->state;
    if (t->fd >= 0 && !t->failed && !t->reading && net_has_room(n))
        t->reading = net_watch(n, t->fd, G_IO_IN, tap_readable);
}

static void tap_send(NetBackend *n, const struct iovec *iov, unsigned count, const NetOffload *offload)
{
    Tap *t = n->state;
    uint8_t header[HEADER_SIZE];
    struct iovec out[PIECES_MAX + 1] = {{header, sizeof header}};
    if (count > PIECES_MAX) {
        n->lost++;
        return;
    }
    header_put(header, offload);
    memcpy(out + 1, iov, count * sizeof *iov);
    ssize_t done = t->header ? writev(t->fd, out, count + 1) : writev(t->fd, out + 1, count);
    if (done < 0)
        n->lost++;
}

/* ---- offloads ---- */

/* What the kernel may leave to the card.  Older kernels know fewer, and refuse what they do not know. */
static void tap_abilities_changed(NetBackend *n)
{
    static const struct {
        unsigned can, tun;
    } bits[] = {{NET_CAN_TSO4, TUN_F_TSO4}, {NET_CAN_TSO6, TUN_F_TSO6}, {NET_CAN_ECN, TUN_F_TSO_ECN},
              {NET_CAN_UFO, TUN_F_UFO}};
    Tap *t = n->state;
    unsigned long offloads = 0;
    if (!t->header)
        return;
    for (unsigned i = 0; n->abilities & NET_CAN_CSUM && i < G_N_ELEMENTS(bits); i++)
        offloads |= n->abilities & bits[i].can ? bits[i].tun | TUN_F_CSUM : TUN_F_CSUM;
    if (ioctl(t->fd, TUNSETOFFLOAD, offloads) && ioctl(t->fd, TUNSETOFFLOAD, offloads & ~TUN_F_UFO))
        ioctl(t->fd, TUNSETOFFLOAD, 0);
}

static void header_negotiate(NetBackend *n)
{
    Tap *t = n->state;
    struct ifreq request = {0};
    int size = HEADER_SIZE, on = 1;
    if (ioctl(t->fd, TUNGETIFF, &request) || !(request.ifr_flags & IFF_VNET_HDR))
        return;
    t->header = ioctl(t->fd, TUNSETVNETHDRSZ, &size) == 0;
    if (ioctl(t->fd, TUNSETVNETLE, &on) && HOST_BIG_ENDIAN)
        log_user("network '%s': this kernel's tap header is not little-endian; give vnet_hdr=off", n->id);
    n->host_abilities = NET_CAN_CSUM | NET_CAN_TSO4 | NET_CAN_TSO6 | NET_CAN_ECN | NET_CAN_UFO;
}

/* ---- start and end ---- */

static const OptionField tap_fields[] = {
    NET_SETTINGS_FIELDS(TapSettings),
    OPTION_FIELD(TapSettings, ifname, "ifname", OPTION_STRING),
    OPTION_FIELD(TapSettings, script, "script", OPTION_STRING),
    OPTION_FIELD(TapSettings, downscript, "downscript", OPTION_STRING),
    OPTION_FIELD(TapSettings, fd, "fd", OPTION_STRING),
    OPTION_FIELD(TapSettings, bridge, "br", OPTION_STRING),
    OPTION_FIELD(TapSettings, helper, "helper", OPTION_STRING),
    OPTION_FIELD(TapSettings, vnet_hdr, "vnet_hdr", OPTION_BOOL),
    OPTION_FIELD_IGNORED("vhost"), OPTION_FIELD_IGNORED("sndbuf"),
    OPTION_FIELD_END,
};
static const OptionField bridge_fields[] = {
    NET_SETTINGS_FIELDS(TapSettings),
    OPTION_FIELD(TapSettings, bridge, "br", OPTION_STRING),
    OPTION_FIELD(TapSettings, helper, "helper", OPTION_STRING),
    OPTION_FIELD_END,
};

static void tap_default(void *settings)
{
    ((TapSettings *)settings)->vnet_hdr = true;
}

/* Not given: QEMU's, where there is one. */
static const char *script_choose(const char *given, const char *usual)
{
    return given ? given : g_file_test(usual, G_FILE_TEST_IS_EXECUTABLE) ? usual : "no";
}

static Tap *tap_new(NetBackend *n)
{
    Tap *t = g_new0(Tap, 1);
    t->fd = -1;
    n->state = t;
    return t;
}

static gboolean tap_open(NetBackend *n, const void *settings, GError **err)
{
    const TapSettings *s = settings;
    Tap *t = tap_new(n);
    if (s->fd && (s->ifname || s->script || s->downscript || s->helper))
        return error_set(err, "-netdev tap: network '%s': with fd= there is no ifname=, script=, downscript= or "
                              "helper=", n->id);
    if (s->helper && (s->ifname || s->script || s->downscript))
        return error_set(err, "-netdev tap: network '%s': with helper= there is no ifname=, script= or downscript=",
                         n->id);
    t->fd = s->fd ? tap_open_given(n, s, &t->name, err)
                  : s->helper ? tap_open_helper(n, s, &t->name, err) : tap_open_interface(n, s, &t->name, err);
    if (t->fd < 0)
        return FALSE;
    if (!s->fd && !s->helper) {
        if (!tap_run_script(n, script_choose(s->script, DEFAULT_SCRIPT), t->name, err))
            return FALSE;
        t->downscript = g_strdup(script_choose(s->downscript, DEFAULT_DOWNSCRIPT));
    }
    header_negotiate(n);
    tap_wake(n);
    return TRUE;
}

static gboolean bridge_open(NetBackend *n, const void *settings, GError **err)
{
    Tap *t = tap_new(n);
    t->fd = tap_open_helper(n, settings, &t->name, err);
    if (t->fd < 0)
        return FALSE;
    header_negotiate(n);
    tap_wake(n);
    return TRUE;
}

static void tap_close(NetBackend *n)
{
    Tap *t = n->state;
    g_autoptr(GError) why = NULL;
    net_unwatch(&t->reading);
    if (t->downscript && !tap_run_script(n, t->downscript, t->name, &why))
        log_user("%s", why->message);
    if (t->fd >= 0)
        close(t->fd);
    g_free(t->downscript);
    g_free(t->name);
    g_free(t);
}

static void tap_describe(NetBackend *n, GString *out)
{
    const Tap *t = n->state;
    g_string_append_printf(out, ",ifname=%s,vnet_hdr=%s", t->name, t->header ? "on" : "off");
}

const NetKind net_kind_tap = {
    .name = "tap", .help = "[ifname=NAME][,script=FILE|no][,downscript=][,fd=][,helper=,br=]: an interface of the "
                           "host",
    .settings_size = sizeof(TapSettings), .fields = tap_fields, .settings_default = tap_default, .open = tap_open,
    .close = tap_close, .send = tap_send, .wake = tap_wake, .abilities_changed = tap_abilities_changed,
    .describe = tap_describe,
};
const NetKind net_kind_bridge = {
    .name = "bridge", .help = "[br=NAME][,helper=FILE]: an interface on a bridge of the host, by a helper",
    .settings_size = sizeof(TapSettings), .fields = bridge_fields, .settings_default = tap_default,
        .open = bridge_open,
    .close = tap_close, .send = tap_send, .wake = tap_wake, .abilities_changed = tap_abilities_changed,
    .describe = tap_describe,
};
#else
const NetKind net_kind_tap = {.name = "tap", .help = "tap interfaces are there on Linux only"};
const NetKind net_kind_bridge = {.name = "bridge", .help = "tap interfaces are there on Linux only"};
#endif
