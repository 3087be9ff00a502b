/*
 * User mode networks (-netdev user), beyond what every network does: port forwarding and connections, for the monitor.
 */
#ifndef MYNA_BACKENDS_NET_USER_H
#define MYNA_BACKENDS_NET_USER_H

#include "backends/net/net.h"

/* Whether Myna was built with libslirp. */
bool net_user_available(void);

/* Whether n is one, and whether restrict=on keeps its guest from the host's networks. */
bool net_is_user(const NetBackend *n);
bool net_user_is_restricted(const NetBackend *n);

/*
 * "[tcp|udp]:[HOSTADDRESS]:HOSTPORT-[GUESTADDRESS]:GUESTPORT"; and to end it "[tcp|udp]:[HOSTADDRESS]:HOSTPORT". FALSE
 * with *err, which names the port that is in use.
 */
gboolean net_user_forward(NetBackend *n, const char *rule, GError **err);
gboolean net_user_forget(NetBackend *n, const char *rule, GError **err);

/* The table of connections, to be freed. */
char *net_user_connections(NetBackend *n);

/* Why the guest's ping to other hosts gets no answer, to be freed; NULL when it does. */
char *net_user_ping_problem(void);

#endif
