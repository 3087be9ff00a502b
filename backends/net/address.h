/*
 * Inside backends/net: addresses of sockets as -netdev writes them ("addr.type=inet,addr.host=...", QEMU's
 * SocketAddress).
 */
#ifndef MYNA_BACKENDS_NET_ADDRESS_H
#define MYNA_BACKENDS_NET_ADDRESS_H

#include <glib.h>
#include <stdbool.h>
#include <sys/socket.h>

typedef struct NetAddress {
    char *type;             /* "inet", "unix", "fd"; NULL: not given */
    char *host, *port, *path, *str;
    bool ipv4, ipv6;        /* allowed */
} NetAddress;

#define NET_ADDRESS_FIELDS(T, field, prefix)                                                                           \
    OPTION_CHOICE(T, field.type, prefix ".type", net_address_types),                                                   \
        OPTION_FIELD(T, field.host, prefix ".host", OPTION_STRING),                                                    \
        OPTION_FIELD(T, field.port, prefix ".port", OPTION_STRING),                                                    \
        OPTION_FIELD(T, field.path, prefix ".path", OPTION_STRING),                                                    \
        OPTION_FIELD(T, field.str, prefix ".str", OPTION_STRING),                                                      \
        OPTION_FIELD(T, field.ipv4, prefix ".ipv4", OPTION_BOOL),                                                      \
        OPTION_FIELD(T, field.ipv6, prefix ".ipv6", OPTION_BOOL)

extern const char *const net_address_types[];

/* "HOST:PORT" or ":PORT", an IPv6 host in brackets; strings to be freed by net_address_clear(). */
gboolean net_address_parse(const char *what, const char *text, NetAddress *a, GError **err);
void net_address_clear(NetAddress *a);

/* "tcp HOST:PORT" without the word before: for messages; to be freed. */
char *net_address_text(const NetAddress *a);

/*
 * A non-blocking socket of SOCK_STREAM or SOCK_DGRAM at the address: bound (and listening), or connected, or the given
 * descriptor.  -1 and *err, opened by `what`, that says which port or path and why.
 */
typedef enum AddressUse { ADDRESS_BIND, ADDRESS_CONNECT } AddressUse;
int net_address_socket(const char *what, const NetAddress *a, int socket_type, AddressUse use, GError **err);

/* Its bytes, for sendto(), of `family` (AF_UNSPEC: any). */
gboolean net_address_resolve(const char *what, const NetAddress *a, int family, struct sockaddr_storage *out,
                             socklen_t *size, GError **err);

#endif
