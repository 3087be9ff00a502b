/*
 * Inside backends/net: the two ways that a network goes over a socket, which -netdev socket chooses from.
 */
#ifndef MYNA_BACKENDS_NET_SOCKET_H
#define MYNA_BACKENDS_NET_SOCKET_H

#include <glib-unix.h>

#include "backends/net/address.h"
#include "backends/net/backend.h"

/* A stream: each frame behind its length (32 bits, big-endian).  A server has one peer at a time. */
gboolean net_stream_start(NetBackend *n, const NetAddress *address, bool server, GError **err);

/* Datagrams, a frame each: from and to `remote`; a group when that is a multicast address, joined on `local`. */
gboolean net_dgram_start(NetBackend *n, const NetAddress *local, const NetAddress *remote, GError **err);

/* A source that calls fn when fd is ready; freed by net_unwatch(), which also clears *source. */
GSource *net_watch(NetBackend *n, int fd, GIOCondition condition, GUnixFDSourceFunc fn);
void net_unwatch(GSource **source);

#endif
