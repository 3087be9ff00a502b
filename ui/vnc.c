/* The face "vnc": its options and its server, and what the monitor asks of servers (vnc_internal.h). */
#include "config.h"

#include <string.h>

#include "core/error.h"
#include "ui/ui.h"
#include "ui/vnc.h"

void vnc_info_free(VncInfo *info)
{
    g_array_unref(info->listening);
    g_array_unref(info->viewers);
    g_free(info);
}

bool vnc_info_is_open(Machine *m) { return machine_find(m, "vnc") != NULL; }

bool vnc_parse_time(const char *text, int64_t *when)
{
    guint64 seconds;
    *when = !strcmp(text, "now") ? 1 : 0;
    if (*when || !strcmp(text, "never"))
        return true;
    if (!g_ascii_string_to_unsigned(text + (*text == '+'), 10, 0, G_MAXINT32, &seconds, NULL))
        return false;
    *when = *text == '+' ? g_get_real_time() / G_USEC_PER_SEC + (int64_t)seconds : (int64_t)MAX(seconds, 1);
    return true;
}

#ifdef CONFIG_VNC
#include "core/options.h"
#include "ui/vnc_internal.h"

/* VNC authentication takes 8 bytes of a password (RFC 6143 section 7.2.2). */
enum { PASSWORD_SIZE = 8 };

/* The machine's slot "vnc": VncServer *. */
static VncServer *server_nth(Machine *m, unsigned n)
{
    const GPtrArray *all = machine_find(m, "vnc");
    return all && n < all->len ? g_ptr_array_index(all, n) : NULL;
}

static void server_enlist(VncServer *s)
{
    GPtrArray *all = machine_find(s->machine, "vnc");
    if (!all)
        machine_provide(s->machine, "vnc", all = g_ptr_array_new());
    g_ptr_array_add(all, s);
}

static void server_strike(VncServer *s)
{
    GPtrArray *all = machine_find(s->machine, "vnc");
    g_ptr_array_remove(all, s);
    if (all->len)
        return;
    machine_provide(s->machine, "vnc", NULL);
    g_ptr_array_unref(all);
}

/* ---- libvncserver's hooks ---- */

static enum rfbNewClientAction on_new_client(rfbClientPtr cl)
{
    VncServer *s = cl->screen->screenData;
    cl->clientData = s->opening;
    return RFB_CLIENT_ACCEPT;
}

static bool password_good(const VncServer *s)
{
    return s->password && (!s->expires || g_get_real_time() / G_USEC_PER_SEC < s->expires);
}

/* The response is the challenge, encrypted by the password. */
static rfbBool on_password(rfbClientPtr cl, const char *response, int size)
{
    VncServer *s = cl->screen->screenData;
    uint8_t expected[CHALLENGESIZE];
    char key[PASSWORD_SIZE + 1] = "";
    if (size != CHALLENGESIZE || !password_good(s))
        return FALSE;
    strncpy(key, s->password, PASSWORD_SIZE);
    memcpy(expected, cl->authChallenge, sizeof expected);
    rfbEncryptBytes(expected, key);
    return !memcmp(expected, response, sizeof expected);
}

static rfbBool on_power(rfbClientPtr cl, uint8_t version, uint8_t code)
{
    Machine *m = ((VncServer *)cl->screen->screenData)->machine;
    if (version != 1 || (code != rfbXvp_Shutdown && code != rfbXvp_Reboot && code != rfbXvp_Reset))
        return FALSE;
    if (code == rfbXvp_Shutdown)
        machine_request_powerdown(m);
    else
        machine_press_reset(m, "a VNC viewer");
    return TRUE;
}

static void no_log(const char *format, ...) { (void)format; }

/* ---- the server ---- */

/* 0x00RRGGBB in the host's order, as surfaces are. */
static void set_format(rfbPixelFormat *f)
{
    f->depth = 24;
    f->redShift = 16;
    f->greenShift = 8;
    f->blueShift = 0;
}

static rfbScreenInfo *screen_new(VncServer *s)
{
    rfbScreenInfo *screen = rfbGetScreen(NULL, NULL, 640, 480, 8, 3, 4);
    set_format(&screen->serverFormat);
    screen->screenData = s;
    screen->desktopName = "Myna";
    screen->cursor = NULL;
    screen->deferUpdateTime = 0;
    screen->maxClientWait = 5000;
    screen->alwaysShared = !g_strcmp0(s->options.share, "ignore");
    screen->authPasswdData = s->options.password ? s : NULL; /* it only asks whether there is something */
    screen->passwordCheck = on_password;
    screen->newClientHook = on_new_client;
    screen->xvpHook = s->options.power ? on_power : NULL;
    vnc_input_hooks(screen);
    return screen;
}

static gboolean read_password_file(VncServer *s, GError **err)
{
    g_autoptr(GError) failure = NULL;
    const char *path = s->options.password_file;
    if (!g_file_get_contents(path, &s->password, NULL, &failure))
        return error_set(err, "-display vnc: password-file: %s", failure->message);
    s->password[strcspn(s->password, "\r\n")] = '\0';
    if (!*s->password)
        return error_set(err, "-display vnc: password-file: the first line of '%s' is empty", path);
    s->options.password = true;
    return TRUE;
}

static const char *const shares[] = { "allow-exclusive", "force-shared", "ignore", NULL };
static const OptionField fields[] = {
    OPTION_FIELD(VncOptions, address, "address", OPTION_STRING),
    OPTION_FIELD(VncOptions, to, "to", OPTION_STRING),
    OPTION_FIELD(VncOptions, password, "password", OPTION_BOOL),
    OPTION_FIELD(VncOptions, password_file, "password-file", OPTION_STRING),
    OPTION_FIELD(VncOptions, lossy, "lossy", OPTION_BOOL),
    OPTION_FIELD(VncOptions, power, "power-control", OPTION_BOOL),
    OPTION_FIELD(VncOptions, head, "head", OPTION_UNSIGNED),
    OPTION_CHOICE(VncOptions, share, "share", shares),
    OPTION_FIELD_IGNORED("key-delay-ms"), OPTION_FIELD_IGNORED("non-adaptive"), OPTION_FIELD_IGNORED("id"),
    OPTION_FIELD_END,
};

static gboolean options_read(VncServer *s, const char *options, int *to, GError **err)
{
    VncOptions *o = &s->options;
    unsigned last = 0;
    if (!option_fields_parse("-display vnc", options, "address", fields, o, err))
        return FALSE;
    if (!o->address)
        return error_set(err, "-display vnc: needs an address: vnc=:0 listens on localhost, port 5900");
    if (o->to && !parse_unsigned("-display vnc: to", o->to, 59635, &last, err))
        return FALSE;
    *to = o->to ? (int)last : -1;
    return !o->password_file || read_password_file(s, err);
}

static void vnc_close(void *opaque)
{
    VncServer *s = opaque;
    server_strike(s);
    g_clear_pointer(&s->listeners, g_ptr_array_unref);
    while (s->viewers->len)
        vnc_viewer_close(g_ptr_array_index(s->viewers, s->viewers->len - 1));
    g_ptr_array_unref(s->viewers);
    if (s->screen) {
        rfbScreenCleanup(s->screen);
        view_free(s->view);
        g_source_destroy(s->sender);
        g_source_unref(s->sender);
    }
    option_fields_clear(fields, &s->options);
    g_free(s->password);
    g_free(s->pixels);
    g_free(s);
}

static void server_start(VncServer *s)
{
    rfbLog = rfbErr = no_log;
    rfbRegisterProtocolExtension(&vnc_extension);
    s->screen = screen_new(s);
    vnc_picture_size(s, s->screen->width, s->screen->height);
    vnc_cursor_default(s);
    vnc_sender_start(s);
    s->view = view_new(s->machine, s->options.head, &vnc_view_ops, s);
    view_show(s->view, false);
}

static void *vnc_open(Machine *m, const char *options, GError **err)
{
    int to = -1;
    VncServer *s = g_new0(VncServer, 1);
    s->machine = m;
    s->listeners = vnc_listeners_new();
    s->viewers = g_ptr_array_new();
    server_enlist(s);
    if (options_read(s, options, &to, err) && vnc_listen(s, s->options.address, to, err)) {
        server_start(s);
        return s;
    }
    vnc_close(s);
    return NULL;
}

/* ---- what is told and set ---- */

static void peer_clear(gpointer p) { vnc_peer_clear(p); }

static GArray *peers_new(void)
{
    GArray *a = g_array_new(FALSE, TRUE, sizeof(VncPeer));
    g_array_set_clear_func(a, peer_clear);
    return a;
}

static VncInfo *info_of(const VncServer *s)
{
    VncInfo *info = g_new0(VncInfo, 1);
    *info = (VncInfo){ .auth = s->options.password ? "vnc" : "none", .listening = peers_new(),
                       .viewers = peers_new() };
    for (guint n = 0; n < s->listeners->len; n++) {
        VncPeer p;
        vnc_listener_peer(g_ptr_array_index(s->listeners, n), &p);
        g_array_append_val(info->listening, p);
    }
    for (guint n = 0; n < s->viewers->len; n++) {
        const VncViewer *v = g_ptr_array_index(s->viewers, n);
        VncPeer p = { v->peer.family, g_strdup(v->peer.host), g_strdup(v->peer.service) };
        if (v->client && v->client->state == RFB_NORMAL)
            g_array_append_val(info->viewers, p);
        else
            vnc_peer_clear(&p);
    }
    return info;
}

VncInfo *vnc_info_nth(Machine *m, unsigned n)
{
    const VncServer *s = server_nth(m, n);
    return s ? info_of(s) : NULL;
}

static void vnc_describe(void *opaque, GString *out)
{
    VncInfo *info = info_of(opaque);
    for (guint n = 0; n < info->listening->len; n++) {
        const VncPeer *p = &g_array_index(info->listening, VncPeer, n);
        bool six = !strcmp(p->family, "ipv6"), path = !strcmp(p->family, "unix");
        g_string_append_printf(out, "%s%s%s%s%s%s%s", n ? ", " : "", path ? "unix:" : "", six ? "[" : "", p->host,
                               six ? "]" : "", path ? "" : ":", p->service);
    }
    g_string_append_printf(out, "; %s; viewers: %u", *info->auth == 'n' ? "no password" : "password",
                           info->viewers->len);
    vnc_info_free(info);
}

static gboolean any_with_password(Machine *m, GError **err)
{
    const VncServer *s;
    for (unsigned n = 0; (s = server_nth(m, n)); n++)
        if (s->options.password)
            return TRUE;
    return error_set(err, "there is no VNC server with a password: -vnc :0,password=on opens one");
}

static void disconnect_all(VncServer *s)
{
    while (s->viewers->len)
        vnc_viewer_close(g_ptr_array_index(s->viewers, s->viewers->len - 1));
}

gboolean vnc_set_password(Machine *m, const char *password, bool disconnect, GError **err)
{
    VncServer *s;
    if (!any_with_password(m, err))
        return FALSE;
    for (unsigned n = 0; (s = server_nth(m, n)); n++) {
        if (!s->options.password)
            continue;
        g_free(s->password);
        s->password = g_strdup(password);
        if (disconnect)
            disconnect_all(s);
    }
    return TRUE;
}

gboolean vnc_expire_password(Machine *m, int64_t when, GError **err)
{
    VncServer *s;
    if (!any_with_password(m, err))
        return FALSE;
    for (unsigned n = 0; (s = server_nth(m, n)); n++)
        s->expires = when;
    return TRUE;
}

const DisplayType vnc_display = {
    .name = "vnc",
    .help = "vnc=[HOST]:N or vnc=unix:PATH: a VNC server, on this host alone unless HOST says otherwise",
    .open = vnc_open, .close = vnc_close, .describe = vnc_describe,
};

#else

VncInfo *vnc_info_nth(Machine *m, unsigned n)
{
    (void)m, (void)n;
    return NULL;
}

gboolean vnc_set_password(Machine *m, const char *password, bool disconnect, GError **err)
{
    (void)m, (void)password, (void)disconnect;
    return error_set(err, "VNC is not built in: it needs libvncserver-dev when configure runs");
}

gboolean vnc_expire_password(Machine *m, int64_t when, GError **err)
{
    return vnc_set_password(m, NULL, when, err);
}
#endif
