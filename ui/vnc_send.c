/*
 * Updates to viewers, and when they are sent: after a viewer has asked and something changed, when it has taken what
 * was sent before.  Whoever asks for much gets it less often, so that the main loop has three quarters of its time for
 * the rest.
 */
#include "config.h"

#ifdef CONFIG_VNC
#include <string.h>

#include "ui/vnc_internal.h"
#include "util/endian.h"

enum { TICK_US = 100000, PAUSE_US = 5000, RETRY_US = 4000, SHARE = 3 };

/* ---- QEMU's pseudo-encodings (rfbproto, sections of those names) ---- */

/* An update of one rectangle without a picture. */
static void send_note(VncViewer *v, unsigned x, unsigned width, unsigned height, int32_t encoding, const void *data,
                      unsigned size)
{
    uint8_t b[16 + 4] = { 0 };
    b[3] = 1;
    st16be(b + 4, x);
    st16be(b + 8, width);
    st16be(b + 10, height);
    st32be(b + 12, encoding);
    memcpy(b + 16, data, size);
    if (rfbWriteExact(v->client, (const char *)b, 16 + size) < 0)
        rfbCloseClient(v->client);
}

static void tell_lights(VncViewer *v, unsigned leds)
{
    uint8_t one[1] = { leds }, four[4];
    st32be(four, leds);
    if (v->led)
        send_note(v, 0, 0, 0, VNC_ENCODING_LED, one, sizeof one);
    else if (v->vmware_led)
        send_note(v, 0, 0, 0, VNC_ENCODING_VMWARE_LED, four, sizeof four);
}

/* INPUT_*_LOCK are the bits of both encodings of lights. */
void vnc_tell_state(VncViewer *v)
{
    if (!v->client || v->client->state != RFB_NORMAL || v->client->sock == RFB_INVALID_SOCKET)
        return;
    int absolute = input_is_absolute(v->server->machine), leds = input_leds(v->server->machine);
    if (v->motion && v->told_absolute != absolute)
        send_note(v, absolute, v->client->screen->width, v->client->screen->height, VNC_ENCODING_POINTER_MOTION,
                  "", 0);
    v->told_absolute = absolute;
    if (v->client->sock != RFB_INVALID_SOCKET && (v->led || v->vmware_led) && v->told_leds != leds) {
        tell_lights(v, leds);
        v->told_leds = leds;
    }
}

static rfbBool extension_new_client(rfbClientPtr cl, void **data)
{
    (void)cl;
    *data = NULL;
    return TRUE;
}

static rfbBool extension_enable(rfbClientPtr cl, void **data, int encoding)
{
    VncViewer *v = cl->clientData;
    (void)data;
    switch (encoding) {
    case VNC_ENCODING_POINTER_MOTION:
        v->motion = true;
        v->told_absolute = -1;
        return TRUE;
    case VNC_ENCODING_EXTENDED_KEY:
        if (!v->extended_keys)
            send_note(v, 0, cl->screen->width, cl->screen->height, VNC_ENCODING_EXTENDED_KEY, "", 0);
        v->extended_keys = true;
        return TRUE;
    case VNC_ENCODING_LED: v->led = true; return TRUE;
    case VNC_ENCODING_VMWARE_LED: v->vmware_led = true; return TRUE;
    default: return FALSE;
    }
}

/* The guest hears of the size, and may follow. */
static bool guest_fit(VncServer *s, unsigned width, unsigned height)
{
    machine_lock(s->machine);
    Console *c = view_console(s->view);
    bool can = c && console_fit(c, width, height);
    machine_unlock(s->machine);
    return can;
}

/*
 * What libvncserver does upon SetDesktopSize: a refusal is answered, and when the size changes all viewers learn who
 * wanted it.
 */
static void set_desktop_size(VncViewer *v, unsigned width, unsigned height, bool good)
{
    rfbClientPtr cl = v->client;
    cl->requestedDesktopSizeChange = rfbExtDesktopSize_ClientRequestedChange;
    cl->lastDesktopSizeChangeError = !good ? rfbExtDesktopSize_InvalidScreenLayout
        : guest_fit(v->server, width, height) ? rfbExtDesktopSize_Success : rfbExtDesktopSize_ResizeProhibited;
    if (cl->lastDesktopSizeChangeError) {
        cl->newFBSizePending = TRUE;
        return;
    }
    for (guint n = 0; n < v->server->viewers->len; n++) {
        const VncViewer *other = g_ptr_array_index(v->server->viewers, n);
        if (other != v && other->client)
            other->client->requestedDesktopSizeChange = rfbExtDesktopSize_OtherClientRequestedChange;
    }
}

/* QEMU's extended key event: down (16 bits), keysym, scan code; or what the filter makes of SetDesktopSize. */
static rfbBool extension_message(rfbClientPtr cl, void *data, const rfbClientToServerMsg *message)
{
    uint8_t b[VNC_QEMU_SIZE] = { 0 };
    (void)data;
    if (message->type != VNC_MESSAGE_QEMU)
        return FALSE;
    if (rfbReadExact(cl, (char *)b + 1, sizeof b - 1) <= 0)
        rfbCloseClient(cl);
    else if (b[1] == VNC_DESKTOP_SIZE)
        set_desktop_size(cl->clientData, ld16be(b + 2), ld16be(b + 4), b[6]);
    else
        vnc_key(cl->clientData, ld16be(b + 2), ld32be(b + 4), ld32be(b + 8));
    return TRUE;
}

/* libvncserver keeps one list of extensions for a process, and links it by a field of this. */
rfbProtocolExtension vnc_extension = {
    .newClient = extension_new_client, .enablePseudoEncoding = extension_enable, .handleMessage = extension_message,
};

/* ---- the sender ---- */

typedef struct Sender {
    GSource source;
    VncServer *server;
} Sender;

/* Sends what is due; when to look again, µs. */
static int64_t send_update(VncViewer *v, int64_t now)
{
    rfbClientPtr cl = v->client;
    if (!cl || cl->sock == RFB_INVALID_SOCKET || cl->state != RFB_NORMAL || sraRgnEmpty(cl->requestedRegion) ||
        !(FB_UPDATE_PENDING(cl)))
        return now + TICK_US;
    if (now < v->next)
        return v->next;
    if (vnc_relay_pending(v->relay))
        return now + RETRY_US;
    rfbUpdateClient(cl);
    int64_t after = g_get_monotonic_time();
    v->next = after + MAX(SHARE * (after - now), PAUSE_US);
    return now + TICK_US;
}

static void tell_states(VncServer *s)
{
    machine_lock(s->machine);
    for (guint n = 0; n < s->viewers->len; n++)
        vnc_tell_state(g_ptr_array_index(s->viewers, n));
    machine_unlock(s->machine);
}

static gboolean sender_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    VncServer *s = ((Sender *)source)->server;
    (void)callback, (void)data;
    int64_t then = G_MAXINT64;
    g_source_set_ready_time(source, -1);
    tell_states(s);
    for (guint n = 0; n < s->viewers->len; n++)
        then = MIN(then, send_update(g_ptr_array_index(s->viewers, n), g_get_monotonic_time()));
    vnc_reap(s);
    if (s->viewers->len)
        g_source_set_ready_time(source, then);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs sender_funcs = { .dispatch = sender_dispatch };

void vnc_sender_start(VncServer *s)
{
    s->sender = g_source_new(&sender_funcs, sizeof(Sender));
    ((Sender *)s->sender)->server = s;
    g_source_attach(s->sender, s->machine->context);
}

void vnc_send_soon(VncServer *s) { g_source_set_ready_time(s->sender, 0); }
#endif
