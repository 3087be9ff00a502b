/*
 * Inside backends/net: puts TCP segments of one connection that come one behind the other together to one large frame,
 * for cards that take such (NET_CAN_TSO4, NET_CAN_TSO6): the guest then handles one frame in place of forty.
 *
 * Only for sources whose checksums are known to be right.
 */
#ifndef MYNA_BACKENDS_NET_MERGE_H
#define MYNA_BACKENDS_NET_MERGE_H

#include "backends/net/backend.h"

typedef struct NetMerge NetMerge;

NetMerge *net_merge_new(NetFrameFn *fn, void *opaque);
void net_merge_free(NetMerge *m);

/* What the card can; what is held back goes out as it would have before. */
void net_merge_set_abilities(NetMerge *m, unsigned abilities);

/* A frame: it goes out, with those before it, at once or by the next flush. */
void net_merge_add(NetMerge *m, const uint8_t *frame, size_t size);
void net_merge_flush(NetMerge *m);

#endif
