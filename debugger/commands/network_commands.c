/* Commands about networks: info network, info usernet, set_link, hostfwd_add, hostfwd_remove. */
#include <string.h>

#include "backends/net/user.h"
#include "core/options.h"
#include "debugger/commands/command.h"

static void info_network(MonitorCommand *c)
{
    const NetBackend *n;
    for (unsigned k = 0; (n = net_nth(c->machine, k)); k++)
        net_describe(n, c->out);
    if (!net_nth(c->machine, 0))
        g_string_append(c->out, "this machine has no network\n");
}

static NetBackend *next_user_network(MonitorCommand *c, unsigned *k)
{
    NetBackend *n;
    while ((n = net_nth(c->machine, (*k)++))) {
        if (net_is_user(n))
            return n;
    }
    return NULL;
}

static void info_usernet(MonitorCommand *c)
{
    NetBackend *n;
    unsigned k = 0;
    gsize before = c->out->len;
    while ((n = next_user_network(c, &k))) {
        g_autofree char *table = net_user_connections(n);
        g_string_append_printf(c->out, "%s:\n%s", net_id(n), table);
    }
    g_autofree char *ping = net_user_ping_problem();
    if (c->out->len == before)
        g_string_append(c->out, "this machine has no user network\n");
    else if (ping)
        g_string_append_printf(c->out, "%s\n", ping);
}

static void command_set_link(MonitorCommand *c)
{
    const char *rest = c->arguments;
    g_autofree char *name = command_word(&rest), *state = command_word(&rest);
    NetBackend *n = name ? net_find_named(c->machine, name) : NULL;
    g_autoptr(GError) err = NULL;
    bool up;
    if (!state)
        g_string_append(c->out, "usage: set_link NAME on|off\n");
    else if (!n)
        g_string_append_printf(c->out, "set_link: no network or card '%s': 'info network' lists them\n", name);
    else if (!parse_bool("set_link", state, &up, &err))
        g_string_append_printf(c->out, "%s\n", err->message);
    else
        net_set_link(n, up);
}

/* "[NETWORK] RULE": without a name the first user network is meant. */
static void change_forward(MonitorCommand *c, gboolean (*change)(NetBackend *n, const char *rule, GError **err))
{
    const char *rest = c->arguments;
    g_autofree char *first = command_word(&rest), *second = command_word(&rest);
    unsigned k = 0;
    NetBackend *n = second ? net_find_named(c->machine, first) : next_user_network(c, &k);
    g_autoptr(GError) err = NULL;
    if (!first)
        g_string_append(c->out, "usage: hostfwd_add [NETWORK] [tcp|udp]:[HOSTADDRESS]:HOSTPORT-[GUESTADDRESS]:PORT\n"
                                "       hostfwd_remove [NETWORK] [tcp|udp]:[HOSTADDRESS]:HOSTPORT\n");
    else if (!n || !net_is_user(n))
        g_string_append_printf(c->out, "there is no user network%s%s\n", second ? " " : "", second ? first : "");
    else if (!change(n, second ? second : first, &err))
        g_string_append_printf(c->out, "%s\n", err->message);
}

static void command_hostfwd_add(MonitorCommand *c) { change_forward(c, net_user_forward); }
static void command_hostfwd_remove(MonitorCommand *c) { change_forward(c, net_user_forget); }

const CommandRow network_commands[] = {
    { .name = "hostfwd_add", .arguments = "[NETWORK] RULE", .help = "forward a port of the host to the guest",
      .run = command_hostfwd_add, .more = "RULE is [tcp|udp]:[HOSTADDRESS]:HOSTPORT-[GUESTADDRESS]:PORT\n" },
    { .name = "hostfwd_remove", .arguments = "[NETWORK] RULE", .help = "forward a port of the host no longer",
      .run = command_hostfwd_remove, .more = "RULE is [tcp|udp]:[HOSTADDRESS]:HOSTPORT\n" },
    { .name = "set_link", .arguments = "NAME on|off", .help = "plug a network's cable in, or out",
      .run = command_set_link },
    { .name = NULL },
};

const CommandRow network_info[] = {
    { .name = "network", .arguments = "", .help = "networks, their cards and what went over them",
      .run = info_network },
    { .name = "usernet", .arguments = "", .help = "connections of user networks", .run = info_usernet },
    { .name = NULL },
};
