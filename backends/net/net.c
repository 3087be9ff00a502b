/*
 * Networks: list, notation, and the way of frames between a card and the host (net.h).
 */
#include "backends/net/net.h"

#include <inttypes.h>
#include <string.h>

#include "backends/net/backend.h"
#include "core/error.h"

/* What waits for a card: some rings' worth of full frames, or of large ones with segmentation left to it. */
enum { QUEUE_FRAMES_MAX = 2048, QUEUE_BYTES_MAX = 8 << 20 };

typedef struct Frame {
    NetOffload offload;
    size_t size;
    uint8_t data[];
} Frame;

/* All networks of a machine, in its slot "networks". */
typedef struct NetList {
    Machine *machine;
    GPtrArray *all;           /* NetBackend * */
    MachineListener listener;
    bool paused;              /* the machine was stopped: its memory must not change */
    unsigned macs;            /* given out by net_next_mac() */
} NetList;

/* ---- the list ---- */

static NetList *net_list(Machine *m)
{
    return machine_find(m, "networks");
}

static void queue_clear(NetQueue *q)
{
    g_queue_clear_full(&q->frames, g_free);
    q->bytes = 0;
}

static void backend_free(gpointer p)
{
    NetBackend *n = p;
    machine_provide_backend(n->machine, "netdev", n->id, NULL);
    if (n->kind->close)
        n->kind->close(n);
    queue_clear(&n->queue);
    net_captures_free(n);
    g_free(n->device);
    g_free(n->id);
    g_free(n);
}

static void queue_flush(NetBackend *n);

static void run_state_changed(void *opaque, const MachineEvent *e)
{
    NetList *l = opaque;
    if (e->kind != MACHINE_RUN_STATE)
        return;
    l->paused = l->machine->run_state != RUN_RUNNING;
    for (unsigned i = 0; !l->paused && i < l->all->len; i++) {
        NetBackend *n = l->all->pdata[i];
        queue_flush(n);
        if (n->kind->wake)
            n->kind->wake(n);
    }
}

static NetList *list_make(Machine *m)
{
    NetList *l = g_new0(NetList, 1);
    l->machine = m;
    l->all = g_ptr_array_new_with_free_func(backend_free);
    l->listener = (MachineListener){run_state_changed, l};
    machine_listen(m, &l->listener);
    machine_provide(m, "networks", l);
    return l;
}

NetBackend *net_find(Machine *m, const char *id) { return machine_find_backend(m, "netdev", id); }

NetBackend *net_nth(Machine *m, unsigned i)
{
    NetList *l = net_list(m);
    return l && i < l->all->len ? l->all->pdata[i] : NULL;
}

NetBackend *net_find_named(Machine *m, const char *name)
{
    NetBackend *n = net_find(m, name);
    for (unsigned i = 0; !n && net_nth(m, i); i++)
        n = g_strcmp0(net_nth(m, i)->device, name) ? NULL : net_nth(m, i);
    return n;
}

/* The last first: a hub's port lets go of what it was joined to. */
void net_close_all(Machine *m)
{
    NetList *l = net_list(m);
    if (!l)
        return;
    while (l->all->len)
        g_ptr_array_remove_index(l->all, l->all->len - 1);
    g_ptr_array_unref(l->all);
    machine_unlisten(m, &l->listener);
    machine_provide(m, "networks", NULL);
    g_free(l);
}

/* ---- notation ---- */

static const NetKind *const kinds[] = {
    &net_kind_user, &net_kind_tap, &net_kind_bridge, &net_kind_socket, &net_kind_stream, &net_kind_dgram,
    &net_kind_hubport, NULL,
};

static const NetKind *kind_find(const char *name, GError **err)
{
    const char *names[G_N_ELEMENTS(kinds)] = {NULL};
    for (unsigned i = 0; kinds[i]; i++) {
        if (!strcmp(kinds[i]->name, name))
            return kinds[i];
        names[i] = kinds[i]->name;
    }
    error_unknown(err, "-netdev", "type", name, names);
    return NULL;
}

static gboolean id_check(Machine *m, const char *id, GError **err)
{
    if (!id || !*id)
        return error_set(err, "-netdev: the network needs an id (id=NAME)");
    return !net_find(m, id) || error_set(err, "-netdev: the id '%s' is used twice; give each network its own", id);
}

static gboolean backend_open(Machine *m, const NetKind *kind, const NetSettings *s, GError **err)
{
    if (!id_check(m, s->id, err))
        return FALSE;
    NetList *l = net_list(m) ? net_list(m) : list_make(m);
    NetBackend *n = g_new0(NetBackend, 1);
    n->machine = m;
    n->id = g_strdup(s->id);
    n->kind = kind;
    g_queue_init(&n->queue.frames);
    g_ptr_array_add(l->all, n);
    machine_provide_backend(m, "netdev", n->id, n);
    if (kind->open(n, s, err) && (!s->pcap || net_capture_start(n, s->pcap, 0, err)))
        return TRUE;
    g_ptr_array_remove(l->all, n);
    return FALSE;
}

gboolean net_open(Machine *m, const char *text, GError **err)
{
    g_autofree char *name = g_strndup(text, strcspn(text, ","));
    const NetKind *kind = kind_find(g_str_has_prefix(name, "type=") ? name + strlen("type=") : name, err);
    if (!kind)
        return FALSE;
    if (!kind->open)
        return error_set(err, "-netdev %s: %s", kind->name, kind->help);
    g_autofree char *what = g_strdup_printf("-netdev %s", kind->name);
    g_autofree NetSettings *s = g_malloc0(kind->settings_size);
    if (kind->settings_default)
        kind->settings_default(s);
    gboolean ok = option_fields_parse(what, text, "type", kind->fields, s, err) && backend_open(m, kind, s, err);
    option_fields_clear(kind->fields, s);
    return ok;
}

void net_list_kinds(void)
{
    for (unsigned i = 0; kinds[i]; i++)
        g_print("%-9s %s\n", kinds[i]->name, kinds[i]->help);
}

/* ---- cards ---- */

gboolean net_attach(NetBackend *n, const char *device, const NetUser *user, void *opaque, GError **err)
{
    if (!n)
        return TRUE;
    if (n->user)
        return error_set(err, "device '%s': network '%s' is already used by '%s'; a hub (-netdev hubport) joins "
                         "several", device, n->id, n->device);
    n->user = user;
    n->opaque = opaque;
    n->device = g_strdup(device);
    n->abilities = 0;
    if (n->kind->abilities_changed)
        n->kind->abilities_changed(n);
    if (n->kind->wake)
        n->kind->wake(n);
    return TRUE;
}

void net_detach(NetBackend *n)
{
    if (!n)
        return;
    n->user = NULL;
    g_clear_pointer(&n->device, g_free);
    queue_clear(&n->queue);
}

void net_set_abilities(NetBackend *n, unsigned abilities)
{
    if (!n || n->abilities == abilities)
        return;
    n->abilities = abilities;
    if (n->kind->abilities_changed)
        n->kind->abilities_changed(n);
}

bool net_link_up(const NetBackend *n)
{
    return n && !n->down && !n->no_carrier;
}

static void link_update(NetBackend *n, bool was_up)
{
    bool up = net_link_up(n);
    if (up == was_up)
        return;
    if (!up)
        queue_clear(&n->queue);
    if (n->user && n->user->link_changed)
        n->user->link_changed(n->opaque, up);
    net_accept(n);
}

void net_set_link(NetBackend *n, bool up)
{
    bool was_up = net_link_up(n);
    n->down = !up;
    link_update(n, was_up);
}

void net_set_carrier(NetBackend *n, bool up)
{
    bool was_up = net_link_up(n);
    n->no_carrier = !up;
    link_update(n, was_up);
}

const char *net_id(const NetBackend *n)
{
    return n->id;
}

const char *net_user(const NetBackend *n)
{
    return n->device;
}

void net_describe(const NetBackend *n, GString *out)
{
    g_string_append_printf(out, "%s: type=%s", n->id, n->kind->name);
    if (n->kind->describe)
        n->kind->describe((NetBackend *)n, out);
    g_string_append_printf(out, "\n  device %s, link %s%s\n", n->device ? n->device : "none",
                           net_link_up(n) ? "on" : "off",
                           n->down ? " (set_link)" : "");
    g_string_append_printf(out, "  to the guest %" PRIu64 " frames, %" PRIu64 " bytes, %" PRIu64 " dropped, %u "
                           "waiting;", n->frames_in, n->bytes_in, n->dropped, n->queue.frames.length);
    g_string_append_printf(out, " from it %" PRIu64 " frames, %" PRIu64 " bytes, %" PRIu64 " dropped\n", n->frames_out,
                           n->bytes_out, n->lost);
}

/* ---- frames to the card ---- */

static bool card_ready(const NetBackend *n)
{
    return !n->delivering && !net_list(n->machine)->paused && n->user->can_receive(n->opaque);
}

bool net_has_room(NetBackend *n)
{
    bool taken = !n->user || !net_link_up(n) || (!n->queue.frames.length && card_ready(n));
    n->starved = !taken || net_list(n->machine)->paused;
    return !n->starved;
}

static void queue_add(NetBackend *n, const struct iovec *iov, unsigned count, const NetOffload *offload)
{
    size_t size = net_iov_size(iov, count);
    if (n->queue.frames.length >= QUEUE_FRAMES_MAX || n->queue.bytes + size > QUEUE_BYTES_MAX) {
        n->dropped++;
        return;
    }
    Frame *f = g_malloc(sizeof *f + size);
    f->offload = *offload;
    f->size = net_iov_copy(iov, count, 0, f->data, size);
    g_queue_push_tail(&n->queue.frames, f);
    n->queue.bytes += size;
}

static void card_give(NetBackend *n, const struct iovec *iov, unsigned count, const NetOffload *offload)
{
    n->delivering = true;
    n->user->receive(n->opaque, iov, count, offload);
    n->delivering = false;
}

/* The card, or what it does with a frame, may detach it. */
static void queue_flush(NetBackend *n)
{
    while (n->user && n->queue.frames.length && card_ready(n)) {
        g_autofree Frame *f = g_queue_pop_head(&n->queue.frames);
        struct iovec iov = {f->data, f->size};
        n->queue.bytes -= f->size;
        card_give(n, &iov, 1, &f->offload);
    }
}

/* A frame of which nothing is left to do that the card cannot. */
static void deliver(void *opaque, const struct iovec *iov, unsigned count, const NetOffload *offload)
{
    NetBackend *n = opaque;
    if (!n->user || n->delivering) { /* delivering: what the receiver makes of a frame comes back, by a loop of hubs */
        n->dropped++;
        return;
    }
    if (n->queue.frames.length || !card_ready(n)) {
        queue_add(n, iov, count, offload);
        return;
    }
    card_give(n, iov, count, offload);
    queue_flush(n);
}

void net_receive(NetBackend *n, const struct iovec *iov, unsigned count, const NetOffload *offload)
{
    static const NetOffload nothing;
    offload = offload ? offload : &nothing;
    if (!n->user || !net_link_up(n))
        return;
    n->frames_in++;
    n->bytes_in += net_iov_size(iov, count);
    if (n->captures)
        net_capture(n, iov, count);
    if (net_unfinished(offload, n->abilities))
        net_finish(iov, count, offload, n->abilities, deliver, n);
    else
        deliver(n, iov, count, offload);
}

void net_accept(NetBackend *n)
{
    if (!n)
        return;
    queue_flush(n);
    if (n->starved && n->kind->wake && net_has_room(n))
        n->kind->wake(n);
}

/* ---- frames from the card ---- */

static void send_finished(void *opaque, const struct iovec *iov, unsigned count, const NetOffload *offload)
{
    NetBackend *n = opaque;
    n->kind->send(n, iov, count, offload);
}

void net_send(NetBackend *n, const struct iovec *iov, unsigned count, const NetOffload *offload)
{
    static const NetOffload nothing;
    offload = offload ? offload : &nothing;
    if (!net_link_up(n) || n->sending)
        return;
    n->frames_out++;
    n->bytes_out += net_iov_size(iov, count);
    if (n->captures)
        net_capture(n, iov, count);
    n->sending = true;
    if (net_unfinished(offload, n->host_abilities))
        net_finish(iov, count, offload, n->host_abilities, send_finished, n);
    else
        n->kind->send(n, iov, count, offload);
    n->sending = false;
}

/* ---- addresses and bytes ---- */

gboolean net_parse_mac(const char *text, uint8_t mac[6], GError **err)
{
    return parse_mac("network card's address", text, mac, err);
}

void net_next_mac(Machine *m, uint8_t mac[6])
{
    NetList *l = net_list(m) ? net_list(m) : list_make(m);
    static const uint8_t first[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
    memcpy(mac, first, sizeof first);
    mac[5] += l->macs++;
}

uint32_t net_crc32(const uint8_t *data, size_t size)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

size_t net_iov_size(const struct iovec *iov, unsigned count)
{
    size_t size = 0;
    for (unsigned i = 0; i < count; i++)
        size += iov[i].iov_len;
    return size;
}

size_t net_iov_copy(const struct iovec *iov, unsigned count, size_t offset, void *buf, size_t size)
{
    size_t done = 0;
    for (unsigned i = 0; i < count && done < size; i++) {
        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        size_t part = MIN(iov[i].iov_len - offset, size - done);
        memcpy((uint8_t *)buf + done, (const uint8_t *)iov[i].iov_base + offset, part);
        done += part;
        offset = 0;
    }
    return done;
}
