/* Commands about VNC servers, with QEMU's names. */
#include <stdlib.h>
#include <string.h>

#include "debugger/commands/command.h"
#include "ui/vnc.h"

static void print_peer(GString *out, const char *what, const VncPeer *p)
{
    bool path = !strcmp(p->family, "unix");
    g_string_append_printf(out, "  %s: %s%s%s (%s)\n", what, path ? "unix:" : p->host, path ? p->host : ":",
                           p->service, p->family);
}

static void info_vnc(MonitorCommand *c)
{
    VncInfo *info;
    for (unsigned n = 0; (info = vnc_info_nth(c->machine, n)); n++) {
        g_string_append_printf(c->out, "server %u:\n", n);
        for (guint k = 0; k < info->listening->len; k++)
            print_peer(c->out, "listens on", &g_array_index(info->listening, VncPeer, k));
        g_string_append_printf(c->out, "  authentication: %s\n", info->auth);
        for (guint k = 0; k < info->viewers->len; k++)
            print_peer(c->out, "viewer", &g_array_index(info->viewers, VncPeer, k));
        vnc_info_free(info);
    }
    if (!vnc_info_is_open(c->machine))
        g_string_append(c->out, "there is no VNC server; -vnc :0 opens one\n");
}

static void print_failure(MonitorCommand *c, const char *command, const GError *err)
{
    if (err)
        g_string_append_printf(c->out, "%s: %s\n", command, err->message);
}

void command_change_vnc(MonitorCommand *c, const char *rest)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *what = command_word(&rest), *password = command_word(&rest);
    if (g_strcmp0(what, "password") || !password)
        g_string_append(c->out, "usage: change vnc password PASSWORD\n");
    else if (!vnc_set_password(c->machine, password, false, &err))
        print_failure(c, "change", err);
}

/* Whether the protocol is one that there is. */
static bool is_vnc(MonitorCommand *c, const char *command, const char *protocol)
{
    if (!g_strcmp0(protocol, "vnc"))
        return true;
    g_string_append_printf(c->out, "usage: %s vnc %s\n", command,
                           *command == 's' ? "PASSWORD [keep|disconnect]" : "now|never|+SECONDS|SECONDS");
    return false;
}

static void command_set_password(MonitorCommand *c)
{
    const char *rest = c->arguments;
    g_autoptr(GError) err = NULL;
    g_autofree char *protocol = command_word(&rest), *password = command_word(&rest), *connected = command_word(&rest);
    bool keep = !connected || !strcmp(connected, "keep");
    if (!is_vnc(c, "set_password", password ? protocol : NULL))
        return;
    if (!keep && strcmp(connected, "disconnect"))
        g_string_append_printf(c->out, "set_password: '%s' is neither keep nor disconnect\n", connected);
    else if (!vnc_set_password(c->machine, password, !keep, &err))
        print_failure(c, "set_password", err);
}

static void command_expire_password(MonitorCommand *c)
{
    const char *rest = c->arguments;
    g_autoptr(GError) err = NULL;
    g_autofree char *protocol = command_word(&rest), *when = command_word(&rest);
    int64_t time;
    if (!is_vnc(c, "expire_password", when ? protocol : NULL))
        return;
    if (!vnc_parse_time(when, &time))
        g_string_append_printf(c->out, "expire_password: '%s' is none of now, never, +SECONDS, SECONDS since 1970\n",
                               when);
    else if (!vnc_expire_password(c->machine, time, &err))
        print_failure(c, "expire_password", err);
}

const CommandRow vnc_commands[] = {
    { .name = "set_password", .arguments = "vnc PASSWORD [keep|disconnect]",
      .help = "the password of the VNC servers that were opened with password=on", .run = command_set_password,
      .more = "disconnect: who is connected has to come again.  VNC looks at the first 8 characters alone.\n" },
    { .name = "expire_password", .arguments = "vnc now|never|+SECONDS|SECONDS",
      .help = "until when that password is good", .run = command_expire_password },
    { .name = NULL },
};

const CommandRow vnc_info[] = {
    { .name = "vnc", .arguments = "", .help = "VNC servers and their viewers", .run = info_vnc },
    { .name = NULL },
};
