/*
 * Inside backends/net: user mode networks.  slirp.c runs libslirp, slirp_options.c reads what -netdev user says.
 */
#ifndef MYNA_BACKENDS_NET_SLIRP_H
#define MYNA_BACKENDS_NET_SLIRP_H

#include <slirp/libslirp.h>

#include "backends/net/backend.h"

typedef struct UserSettings {
    NetSettings common;
    char *ipv4, *ipv6;          /* "on", "off"; NULL: not given */
    char *net, *host, *dhcpstart, *dns;
    char *ipv6_net, *ipv6_prefix, *ipv6_host, *ipv6_dns;
    unsigned ipv6_prefixlen;
    char *hostname, *domainname, *tftp, *tftp_server_name, *bootfile, *smb, *smbserver;
    bool restricted;
    GPtrArray *dnssearch, *hostfwd, *guestfwd; /* char *; NULL: none */
} UserSettings;

extern const OptionField user_fields[];
void user_settings_default(void *settings);

/* Strings of config belong to the settings, but for config->vdnssearch, which is to be freed. */
gboolean user_config_make(const UserSettings *s, SlirpConfig *config, GError **err);

/* A rule of port forwarding. */
typedef struct UserForward {
    bool udp;
    struct in_addr host, guest; /* 0: any, and the guest that DHCP serves first */
    unsigned host_port, guest_port;
    const char *target;         /* of guestfwd: what stands behind the "-", within the rule */
} UserForward;

/* hostfwd=, its beginning up to "-" for the removal, and guestfwd=. */
gboolean user_hostfwd_parse(const char *rule, bool removal, UserForward *f, GError **err);
gboolean user_guestfwd_parse(const char *rule, UserForward *f, GError **err);

#endif
