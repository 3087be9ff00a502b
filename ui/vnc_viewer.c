/* A viewer from its connection to its end. */
#include "config.h"

#ifdef CONFIG_VNC
#include <errno.h>
#include <glib-unix.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/log.h"
#include "ui/vnc_internal.h"

enum { MESSAGES_AT_ONCE = 32, COMPLAINT_US = 5000000, VERSION_SIZE = 12 };

/* ---- the end ---- */

/* At most one line in five seconds: whoever may connect must not fill the log. */
static void complain(VncServer *s, const VncPeer *p, const char *why)
{
    int64_t now = g_get_monotonic_time();
    if (s->complained && now - s->complained < COMPLAINT_US)
        return;
    s->complained = now;
    log_user("vnc: viewer %s%s%s is turned away: %s", *p->host ? p->host : p->family,
             *p->service ? ":" : "", p->service, why);
}

/* libvncserver forgets this list. */
static void free_extensions(rfbClientPtr cl)
{
    for (rfbExtensionData *e = cl->extensions, *next; e; e = next) {
        next = e->next;
        free(e);
    }
    cl->extensions = NULL;
}

static void viewer_free(VncViewer *v)
{
    VncServer *s = v->server;
    const char *wrong = vnc_relay_wrong(v->relay);
    if (wrong)
        complain(s, &v->peer, wrong);
    g_source_destroy(v->source);
    g_source_unref(v->source);
    if (v->client) {
        machine_lock(s->machine);
        vnc_input_release(v);
        machine_unlock(s->machine);
        if (v->client->sock != RFB_INVALID_SOCKET)
            rfbCloseClient(v->client);
        free_extensions(v->client);
        rfbClientConnectionGone(v->client);
    } else if (v->fd >= 0) {
        close(v->fd);
    }
    vnc_relay_leave(v->relay);
    vnc_peer_clear(&v->peer);
    g_free(v);
}

void vnc_viewer_close(VncViewer *v)
{
    VncServer *s = v->server;
    g_ptr_array_remove(s->viewers, v);
    viewer_free(v);
    bool any = false;
    for (guint n = 0; n < s->viewers->len; n++)
        any |= ((VncViewer *)g_ptr_array_index(s->viewers, n))->client != NULL;
    if (!any)
        view_show(s->view, false);
}

/* Backwards, as the last viewers move down. */
void vnc_reap(VncServer *s)
{
    for (guint n = s->viewers->len; n--;) {
        VncViewer *v = g_ptr_array_index(s->viewers, n);
        if (v->client && v->client->sock == RFB_INVALID_SOCKET)
            vnc_viewer_close(v);
    }
}

/* ---- messages ---- */

static bool readable_now(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    return poll(&p, 1, 0) > 0;
}

/* Its version is there, or the end: what libvncserver makes of the first would wait for the second. */
static bool viewer_open(VncViewer *v)
{
    VncServer *s = v->server;
    char version[VERSION_SIZE];
    if (recv(v->fd, version, sizeof version, MSG_PEEK | MSG_DONTWAIT) != sizeof version)
        return false;
    machine_lock(s->machine);
    vnc_picture_sync(s);
    view_show(s->view, true);
    machine_unlock(s->machine);
    s->opening = v;
    v->client = rfbNewClient(s->screen, v->fd);
    v->fd = -1;
    s->opening = NULL;
    return v->client != NULL;
}

static gboolean viewer_readable(gint fd, GIOCondition condition, gpointer data)
{
    VncViewer *v = data;
    VncServer *s = v->server;
    (void)condition;
    if (!v->client && !viewer_open(v)) {
        vnc_viewer_close(v);
        return G_SOURCE_REMOVE;
    }
    for (unsigned n = 0; n < MESSAGES_AT_ONCE && v->client->sock != RFB_INVALID_SOCKET && readable_now(fd); n++)
        rfbProcessClientMessage(v->client);
    vnc_send_soon(s);
    vnc_reap(s);
    return G_SOURCE_CONTINUE;
}

/* ---- the beginning ---- */

void vnc_viewer_new(VncServer *s, int fd)
{
    VncFilter filter = { .password = s->options.password, .lossy = s->options.lossy, .power = s->options.power,
                         .shared_only = !g_strcmp0(s->options.share, "force-shared") };
    VncPeer peer = vnc_peer_of(fd, true);
    int inner = -1;
    VncRelay *relay = NULL;
    if (s->viewers->len >= VNC_VIEWERS_MAX) {
        complain(s, &peer, "there are as many as a server has");
        close(fd);
    } else if (!(relay = vnc_relay_new(fd, &filter, &inner))) {
        complain(s, &peer, g_strerror(errno));
    } else if (inner >= FD_SETSIZE) { /* libvncserver uses select() */
        complain(s, &peer, "too many files are open");
        close(inner);
        vnc_relay_leave(g_steal_pointer(&relay));
    }
    if (!relay) {
        vnc_peer_clear(&peer);
        return;
    }
    VncViewer *v = g_new0(VncViewer, 1);
    *v = (VncViewer){ .server = s, .relay = relay, .fd = inner, .peer = peer, .told_absolute = -1, .told_leds = -1,
                      .source = g_unix_fd_source_new(inner, G_IO_IN | G_IO_HUP | G_IO_ERR) };
    g_ptr_array_add(s->viewers, v);
    g_source_set_callback(v->source, G_SOURCE_FUNC(viewer_readable), v, NULL);
    g_source_attach(v->source, s->machine->context);
}
#endif
