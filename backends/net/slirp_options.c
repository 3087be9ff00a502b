/*
 * What -netdev user says: addresses, names, rules of forwarding.
 */
#include "config.h"

#ifdef CONFIG_SLIRP
#include <string.h>

#include "backends/net/slirp.h"
#include "core/error.h"

#define WHAT "-netdev user"

const OptionField user_fields[] = {
    NET_SETTINGS_FIELDS(UserSettings),
    OPTION_FIELD(UserSettings, ipv4, "ipv4", OPTION_STRING),
    OPTION_FIELD(UserSettings, ipv6, "ipv6", OPTION_STRING),
    OPTION_FIELD(UserSettings, net, "net", OPTION_STRING),
    OPTION_FIELD(UserSettings, host, "host", OPTION_STRING),
    OPTION_FIELD(UserSettings, dhcpstart, "dhcpstart", OPTION_STRING),
    OPTION_FIELD(UserSettings, dns, "dns", OPTION_STRING),
    OPTION_FIELD(UserSettings, ipv6_net, "ipv6-net", OPTION_STRING),
    OPTION_FIELD(UserSettings, ipv6_prefix, "ipv6-prefix", OPTION_STRING),
    OPTION_FIELD(UserSettings, ipv6_prefixlen, "ipv6-prefixlen", OPTION_UNSIGNED),
    OPTION_FIELD(UserSettings, ipv6_host, "ipv6-host", OPTION_STRING),
    OPTION_FIELD(UserSettings, ipv6_dns, "ipv6-dns", OPTION_STRING),
    OPTION_FIELD(UserSettings, hostname, "hostname", OPTION_STRING),
    OPTION_FIELD(UserSettings, domainname, "domainname", OPTION_STRING),
    OPTION_FIELD(UserSettings, dnssearch, "dnssearch", OPTION_LIST),
    OPTION_FIELD(UserSettings, restricted, "restrict", OPTION_BOOL),
    OPTION_FIELD(UserSettings, hostfwd, "hostfwd", OPTION_LIST),
    OPTION_FIELD(UserSettings, guestfwd, "guestfwd", OPTION_LIST),
    OPTION_FIELD(UserSettings, tftp, "tftp", OPTION_STRING),
    OPTION_FIELD(UserSettings, tftp_server_name, "tftp-server-name", OPTION_STRING),
    OPTION_FIELD(UserSettings, bootfile, "bootfile", OPTION_STRING),
    OPTION_FIELD(UserSettings, smb, "smb", OPTION_STRING),
    OPTION_FIELD(UserSettings, smbserver, "smbserver", OPTION_STRING),
    OPTION_FIELD_END,
};

void user_settings_default(void *settings)
{
    UserSettings *s = settings;
    s->ipv6_prefixlen = 64;
}

/* ---- addresses ---- */

static gboolean address4(const char *key, const char *text, struct in_addr *out, GError **err)
{
    return !text || inet_pton(AF_INET, text, out) == 1 ||
           error_set(err, WHAT ": %s='%s' is not an IPv4 address", key, text);
}

static gboolean address6(const char *key, const char *text, struct in6_addr *out, GError **err)
{
    return !text || inet_pton(AF_INET6, text, out) == 1 ||
           error_set(err, WHAT ": %s='%s' is not an IPv6 address", key, text);
}

static uint32_t mask_of(unsigned bits)
{
    return bits ? UINT32_MAX << (32 - bits) : 0;
}

/* "ADDRESS", with the mask of its class, "ADDRESS/BITS" or "ADDRESS/MASK". */
static gboolean net4(const char *text, SlirpConfig *c, GError **err)
{
    g_auto(GStrv) parts = g_strsplit(text, "/", 2);
    struct in_addr mask;
    unsigned bits;
    if (!parts[0] || !address4("net", parts[0], &c->vnetwork, err))
        return FALSE;
    uint32_t address = ntohl(c->vnetwork.s_addr);
    if (!parts[1])
        mask.s_addr = htonl(mask_of(!(address >> 31) ? 8 : address >> 30 == 2 ? 16 : 24));
    else if (strchr(parts[1], '.')) {
        if (!address4("net", parts[1], &mask, err))
            return FALSE;
    } else if (parse_unsigned(WHAT " net=", parts[1], 32, &bits, err))
        mask.s_addr = htonl(mask_of(bits));
    else
        return FALSE;
    c->vnetmask = mask;
    c->vnetwork.s_addr &= mask.s_addr;
    return (ntohl(mask.s_addr) & 0xf) == 0 || error_set(err, WHAT ": net=%s has no room: the mask is 28 bits at most",
                                                        text);
}

/* Where a machine is within the network, unless it is said. */
static gboolean station4(const char *key, const char *text, const SlirpConfig *c, uint32_t usual, struct in_addr *out,
                         GError **err)
{
    out->s_addr = c->vnetwork.s_addr | (htonl(usual) & ~c->vnetmask.s_addr);
    if (!address4(key, text, out, err))
        return FALSE;
    if ((out->s_addr & c->vnetmask.s_addr) == c->vnetwork.s_addr)
        return TRUE;
    g_autofree char *network = g_strdup(inet_ntoa(c->vnetwork));
    return error_set(err, WHAT ": %s=%s is not within the network %s, mask %s", key, text, network,
                     inet_ntoa(c->vnetmask));
}

static gboolean config4(const UserSettings *s, SlirpConfig *c, GError **err)
{
    if (!net4(s->net ? s->net : "10.0.2.0/24", c, err) ||
        !station4("host", s->host, c, 0x0202, &c->vhost, err) ||
        !station4("dhcpstart", s->dhcpstart, c, 0x020f, &c->vdhcp_start, err) ||
        !station4("dns", s->dns, c, 0x0203, &c->vnameserver, err))
        return FALSE;
    if (c->vhost.s_addr == c->vnameserver.s_addr)
        return error_set(err, WHAT ": host= and dns= are the same address, %s", inet_ntoa(c->vhost));
    if (c->vdhcp_start.s_addr == c->vhost.s_addr || c->vdhcp_start.s_addr == c->vnameserver.s_addr)
        return error_set(err, WHAT ": dhcpstart= is the address of host= or dns=, %s", inet_ntoa(c->vdhcp_start));
    return TRUE;
}

/* "PREFIX/BITS"; QEMU's two options of their own mean the same. */
static gboolean net6(const UserSettings *s, SlirpConfig *c, GError **err)
{
    const char *text = s->ipv6_net ? s->ipv6_net : s->ipv6_prefix ? s->ipv6_prefix : "fec0::";
    g_auto(GStrv) parts = g_strsplit(text, "/", 2);
    unsigned bits = s->ipv6_prefixlen;
    if (!parts[0] || !address6("ipv6-net", parts[0], &c->vprefix_addr6, err) ||
        (parts[1] && !parse_unsigned(WHAT " ipv6-net=", parts[1], 126, &bits, err)))
        return FALSE;
    if (bits < 1 || bits > 126)
        return error_set(err, WHAT ": ipv6-prefixlen=%u: it takes 1 to 126", bits);
    c->vprefix_len = bits;
    return TRUE;
}

static bool same_prefix(const struct in6_addr *a, const struct in6_addr *b, unsigned bits)
{
    unsigned rest = bits % 8;
    return !memcmp(a->s6_addr, b->s6_addr, bits / 8) &&
           (!rest || (a->s6_addr[bits / 8] ^ b->s6_addr[bits / 8]) >> (8 - rest) == 0);
}

static gboolean station6(const char *key, const char *text, const SlirpConfig *c, uint8_t usual, struct in6_addr *out,
                         GError **err)
{
    *out = c->vprefix_addr6;
    out->s6_addr[15] |= usual;
    return address6(key, text, out, err) &&
           (same_prefix(out, &c->vprefix_addr6, c->vprefix_len) ||
            error_set(err, WHAT ": %s=%s is not within the network's prefix of %u bits", key, text, c->vprefix_len));
}

static gboolean config6(const UserSettings *s, SlirpConfig *c, GError **err)
{
    return net6(s, c, err) && station6("ipv6-host", s->ipv6_host, c, 2, &c->vhost6, err) &&
           station6("ipv6-dns", s->ipv6_dns, c, 3, &c->vnameserver6, err);
}

/* Each is on; when only one is said to be on, the other is off (QEMU). */
static gboolean versions(const UserSettings *s, SlirpConfig *c, GError **err)
{
    bool four = true, six = true;
    if ((s->ipv4 && !parse_bool(WHAT " ipv4=", s->ipv4, &four, err)) ||
        (s->ipv6 && !parse_bool(WHAT " ipv6=", s->ipv6, &six, err)))
        return FALSE;
    c->in_enabled = four && !(s->ipv6 && six && !s->ipv4);
    c->in6_enabled = six && !(s->ipv4 && four && !s->ipv6);
    return c->in_enabled || c->in6_enabled || error_set(err, WHAT ": neither ipv4 nor ipv6 is on");
}

/* ---- the rest ---- */

static gboolean names(const UserSettings *s, SlirpConfig *c, GError **err)
{
    if (s->smb || s->smbserver)
        return error_set(err, WHAT ": smb= is not there; a folder is shared by -device virtio-9p-pci");
    if (s->domainname && !*s->domainname)
        return error_set(err, WHAT ": domainname= is empty");
    if (s->hostname && strlen(s->hostname) > 32) /* libslirp's room for it in a DHCP reply */
        return error_set(err, WHAT ": hostname=%s is longer than 32 bytes", s->hostname);
    if (s->tftp && !g_file_test(s->tftp, G_FILE_TEST_IS_DIR))
        return error_set(err, WHAT ": tftp=%s is not a folder", s->tftp);
    c->vhostname = s->hostname;
    c->vdomainname = s->domainname;
    c->tftp_path = s->tftp;
    c->tftp_server_name = s->tftp_server_name;
    c->bootfile = s->bootfile;
    c->restricted = s->restricted;
    return TRUE;
}

gboolean user_config_make(const UserSettings *s, SlirpConfig *config, GError **err)
{
    *config = (SlirpConfig){.version = 1};
    if (!versions(s, config, err) || !config4(s, config, err) || !config6(s, config, err) || !names(s, config, err))
        return FALSE;
    if (!s->dnssearch)
        return TRUE;
    config->vdnssearch = g_new0(const char *, s->dnssearch->len + 1);
    for (guint i = 0; i < s->dnssearch->len; i++)
        config->vdnssearch[i] = s->dnssearch->pdata[i];
    return TRUE;
}

/* ---- rules ---- */

/* Takes what is in front of the next `mark`; NULL when there is none. */
static char *rule_part(const char **rule, char mark)
{
    const char *end = strchr(*rule, mark);
    if (!end)
        return NULL;
    char *part = g_strndup(*rule, end - *rule);
    *rule = end + 1;
    return part;
}

static bool rule_port(const char *text, unsigned *port)
{
    return text && parse_unsigned("", text, 65535, port, NULL) && *port;
}

static bool rule_address(const char *text, struct in_addr *out)
{
    out->s_addr = INADDR_ANY;
    return text && (!*text || inet_pton(AF_INET, text, out) == 1);
}

static bool rule_protocol(const char *text, bool *udp)
{
    *udp = text && !strcmp(text, "udp");
    return text && (!*text || *udp || !strcmp(text, "tcp"));
}

gboolean user_hostfwd_parse(const char *rule, bool removal, UserForward *f, GError **err)
{
    const char *rest = rule;
    g_autofree char *protocol = rule_part(&rest, ':'), *host = rule_part(&rest, ':');
    *f = (UserForward){0};
    bool ok = rule_protocol(protocol, &f->udp) && rule_address(host, &f->host);
    if (removal) {
        g_autofree char *port = g_strndup(rest, strcspn(rest, "-"));
        return (ok && rule_port(port, &f->host_port)) ||
               error_set(err, "'%s' is not of the form [tcp|udp]:[HOSTADDRESS]:HOSTPORT", rule);
    }
    g_autofree char *port = rule_part(&rest, '-'), *guest = rule_part(&rest, ':');
    return (ok && rule_port(port, &f->host_port) && rule_address(guest, &f->guest) &&
            rule_port(rest, &f->guest_port)) ||
           error_set(err, "hostfwd='%s' is not of the form [tcp|udp]:[HOSTADDRESS]:HOSTPORT-[GUESTADDRESS]:GUESTPORT",
                     rule);
}

gboolean user_guestfwd_parse(const char *rule, UserForward *f, GError **err)
{
    const char *rest = rule;
    g_autofree char *protocol = rule_part(&rest, ':'), *server = rule_part(&rest, ':'), *port = rule_part(&rest, '-');
    *f = (UserForward){0};
    f->target = rest;
    return (rule_protocol(protocol, &f->udp) && !f->udp && rule_address(server, &f->guest) && f->guest.s_addr &&
            rule_port(port, &f->guest_port) && *rest) ||
           error_set(err, "guestfwd='%s' is not of the form tcp:SERVERADDRESS:PORT-CHARDEV or ...-cmd:COMMAND", rule);
}
#endif
